#include "storage/minio_payload.h"

#include <openssl/evp.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

namespace rowhouse::storage {
namespace {

constexpr char kPbkdf2AesGcm = 2;
constexpr int kRounds = 8'192;
constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kTagBytes = 16;
constexpr char kLastFragment = '\x80';

struct CipherFreer {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};

const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

// Nothing here fails for its input.
void must(int outcome) {
  if (outcome == 1) return;
  std::fputs("storage: OpenSSL refused AES-256-GCM\n", stderr);
  std::abort();
}

// Ciphertext and tag. `number`: of the fragment, the last four bytes of the nonce, little-endian.
std::string seal_fragment(std::string_view key, std::string_view nonce, char number,
                          std::string_view associated, std::string_view text) {
  const std::string whole_nonce = std::string(nonce) + number + std::string(3, '\0');
  const std::unique_ptr<EVP_CIPHER_CTX, CipherFreer> context(EVP_CIPHER_CTX_new());
  std::string sealed(text.size() + kTagBytes, '\0');
  int length = 0;
  must(EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, bytes(key), bytes(whole_nonce)));
  if (!associated.empty()) {
    must(EVP_EncryptUpdate(context.get(), nullptr, &length, bytes(associated),
                           static_cast<int>(associated.size())));
  }
  must(EVP_EncryptUpdate(context.get(), bytes(sealed), &length, bytes(text), static_cast<int>(text.size())));
  must(EVP_EncryptFinal_ex(context.get(), bytes(sealed) + text.size(), &length));
  must(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, bytes(sealed) + text.size()));
  return sealed;
}

}  // namespace

std::string seal_minio_payload(std::string_view secret_key, std::string_view text, std::string_view salt,
                               std::string_view nonce) {
  must(salt.size() == kMinioSaltBytes && nonce.size() == kMinioNonceBytes && text.size() <= kMaxMinioPayload);
  std::string key(kKeyBytes, '\0');
  must(PKCS5_PBKDF2_HMAC(secret_key.data(), static_cast<int>(secret_key.size()), bytes(salt),
                         static_cast<int>(salt.size()), kRounds, EVP_sha256(), kKeyBytes, bytes(key)));
  // What binds the fragments together: the tag of an empty one with the number 0.
  const std::string binding = seal_fragment(key, nonce, 0, "", "");
  const std::string fragment = seal_fragment(key, nonce, 1, kLastFragment + binding, text);
  return std::string(salt) + kPbkdf2AesGcm + std::string(nonce) + fragment;
}

}  // namespace rowhouse::storage
