#include "crypto/seal.h"

#include <sodium.h>

#include <cstdio>
#include <cstdlib>

#include "crypto/crypto.h"

namespace rowhouse::crypto {

namespace {

constexpr std::size_t kNonceBytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t kTagBytes = crypto_aead_xchacha20poly1305_ietf_ABYTES;
static_assert(kSealKeyBytes == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);

const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

// A key of another length is a mistake in the program.
void check_key(std::string_view key) {
  if (sodium_init() >= 0 && key.size() == kSealKeyBytes) return;
  std::fputs("crypto: a sealing key has 32 bytes\n", stderr);
  std::abort();
}

}  // namespace

std::string seal(std::string_view key, std::string_view context, std::string_view text) {
  check_key(key);
  std::string sealed = random_bytes(kNonceBytes);
  sealed.resize(kNonceBytes + text.size() + kTagBytes);
  crypto_aead_xchacha20poly1305_ietf_encrypt(bytes(sealed) + kNonceBytes, nullptr, bytes(text), text.size(),
                                             bytes(context), context.size(), nullptr, bytes(sealed),
                                             bytes(key));
  return sealed;
}

std::optional<std::string> open_sealed(std::string_view key, std::string_view context,
                                       std::string_view sealed) {
  check_key(key);
  if (sealed.size() < kNonceBytes + kTagBytes) return std::nullopt;
  std::string text(sealed.size() - kNonceBytes - kTagBytes, '\0');
  const std::string_view body = sealed.substr(kNonceBytes);
  const int failed =
      crypto_aead_xchacha20poly1305_ietf_decrypt(bytes(text), nullptr, nullptr, bytes(body), body.size(),
                                                 bytes(context), context.size(), bytes(sealed), bytes(key));
  if (failed != 0) return std::nullopt;
  return text;
}

}  // namespace rowhouse::crypto
