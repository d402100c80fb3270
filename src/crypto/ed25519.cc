#include "crypto/ed25519.h"

#include <openssl/evp.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

namespace rowhouse::crypto {
namespace {

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Key = std::unique_ptr<EVP_PKEY, FreeKey>;
using Context = std::unique_ptr<EVP_MD_CTX, FreeContext>;

const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

void require(bool held, const char* what) {
  if (held) return;
  std::fprintf(stderr, "crypto: %s failed\n", what);
  std::abort();
}

Key private_key(std::string_view seed) {
  require(seed.size() == kEd25519KeyBytes, "Ed25519: the seed must be 32 bytes");
  Key key(EVP_PKEY_new_raw_private_key_ex(nullptr, "ED25519", nullptr, bytes(seed), seed.size()));
  require(key != nullptr, "EVP_PKEY_new_raw_private_key_ex");
  return key;
}

}  // namespace

std::string ed25519_public_key(std::string_view seed) {
  const Key key = private_key(seed);
  std::string out(kEd25519KeyBytes, '\0');
  std::size_t size = out.size();
  require(EVP_PKEY_get_raw_public_key(key.get(), bytes(out), &size) == 1 && size == out.size(),
          "EVP_PKEY_get_raw_public_key");
  return out;
}

std::string ed25519_sign(std::string_view seed, std::string_view message) {
  const Key key = private_key(seed);
  const Context context(EVP_MD_CTX_new());
  std::string out(kEd25519SignatureBytes, '\0');
  std::size_t size = out.size();
  require(context != nullptr &&
              EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
              EVP_DigestSign(context.get(), bytes(out), &size, bytes(message), message.size()) == 1 &&
              size == out.size(),
          "EVP_DigestSign");
  return out;
}

bool ed25519_verify(std::string_view public_key, std::string_view message, std::string_view signature) {
  if (public_key.size() != kEd25519KeyBytes || signature.size() != kEd25519SignatureBytes) return false;
  const Key key(
      EVP_PKEY_new_raw_public_key_ex(nullptr, "ED25519", nullptr, bytes(public_key), public_key.size()));
  const Context context(EVP_MD_CTX_new());
  return key != nullptr && context != nullptr &&
         EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), bytes(signature), signature.size(), bytes(message),
                          message.size()) == 1;
}

}  // namespace rowhouse::crypto
