#include "crypto/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <cstdio>
#include <cstdlib>

namespace rowhouse::crypto {
namespace {

constexpr std::size_t kBlockBytes = 64;                       // SHA-256's input block (RFC 2104 calls it B)
constexpr std::size_t kMaxDerivedBytes = 255 * kSha256Bytes;  // RFC 5869, section 2.3

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "crypto: %s failed\n", what);
  std::abort();
}

void require(bool held, const char* what) {
  if (!held) fail(what);
}

// Fetched once: a look-up by name takes locks and costs more than hashing a key.
const EVP_MD* sha256_algorithm() {
  static const EVP_MD* const algorithm = [] {
    const EVP_MD* fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    require(fetched != nullptr, "EVP_MD_fetch(SHA256)");
    return fetched;
  }();
  return algorithm;
}

struct Context {
  Context() : value(EVP_MD_CTX_new()) { require(value != nullptr, "EVP_MD_CTX_new"); }
  ~Context() { EVP_MD_CTX_free(value); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  EVP_MD_CTX* value;
};

// One per thread, so that hashing allocates nothing.
EVP_MD_CTX* thread_context() {
  thread_local const Context context;
  return context.value;
}

using Digest = std::array<unsigned char, kSha256Bytes>;

void begin(EVP_MD_CTX* context) {
  require(EVP_DigestInit_ex2(context, sha256_algorithm(), nullptr) == 1, "EVP_DigestInit_ex2");
}
void feed(EVP_MD_CTX* context, std::string_view data) {
  require(EVP_DigestUpdate(context, data.data(), data.size()) == 1, "EVP_DigestUpdate");
}
Digest end(EVP_MD_CTX* context) {
  Digest digest;
  unsigned int size = 0;
  require(EVP_DigestFinal_ex(context, digest.data(), &size) == 1 && size == digest.size(),
          "EVP_DigestFinal_ex");
  return digest;
}

std::string_view view(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

}  // namespace

std::string sha256(std::string_view data) {
  EVP_MD_CTX* context = thread_context();
  begin(context);
  feed(context, data);
  return std::string(view(end(context)));
}

// RFC 2104 over the thread's digest context: about four times as fast as fetching an EVP_MAC for each call.
std::string hmac_sha256(std::string_view key, std::string_view data) {
  EVP_MD_CTX* context = thread_context();
  std::array<char, kBlockBytes> inner_pad{};
  if (key.size() > kBlockBytes) {
    begin(context);
    feed(context, key);
    const Digest hashed = end(context);
    view(hashed).copy(inner_pad.data(), hashed.size());
  } else {
    key.copy(inner_pad.data(), key.size());
  }
  std::array<char, kBlockBytes> outer_pad = inner_pad;
  for (char& byte : inner_pad) byte = static_cast<char>(byte ^ 0x36);
  for (char& byte : outer_pad) byte = static_cast<char>(byte ^ 0x5c);

  begin(context);
  feed(context, {inner_pad.data(), inner_pad.size()});
  feed(context, data);
  const Digest inner = end(context);
  begin(context);
  feed(context, {outer_pad.data(), outer_pad.size()});
  feed(context, view(inner));
  const Digest outer = end(context);
  OPENSSL_cleanse(inner_pad.data(), inner_pad.size());
  OPENSSL_cleanse(outer_pad.data(), outer_pad.size());
  return std::string(view(outer));
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  require(context_ != nullptr, "EVP_MD_CTX_new");
  begin(static_cast<EVP_MD_CTX*>(context_));
}
Sha256::~Sha256() { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_)); }
void Sha256::update(std::string_view data) { feed(static_cast<EVP_MD_CTX*>(context_), data); }
std::string Sha256::finish() { return std::string(view(end(static_cast<EVP_MD_CTX*>(context_)))); }

std::string random_bytes(std::size_t size) {
  std::string bytes(size, '\0');
  require(RAND_bytes_ex(nullptr, reinterpret_cast<unsigned char*>(bytes.data()), size, 0) == 1,
          "RAND_bytes_ex");
  return bytes;
}

bool constant_time_equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string hkdf_sha256(std::string_view key_material, std::string_view salt, std::string_view info,
                        std::size_t size) {
  require(size <= kMaxDerivedBytes, "hkdf_sha256: more bytes than SHA-256 allows");
  std::string pseudorandom_key = hmac_sha256(salt, key_material);
  std::string derived;
  std::string block;
  for (unsigned char counter = 1; derived.size() < size; ++counter) {
    block.append(info).push_back(static_cast<char>(counter));
    block = hmac_sha256(pseudorandom_key, block);
    derived.append(block, 0, size - derived.size());
  }
  wipe(pseudorandom_key);
  wipe(block);
  return derived;
}

std::string derive_key(std::string_view master, std::string_view label, std::size_t size) {
  return hkdf_sha256(master, {}, label, size);
}

void wipe(std::string& secret) {
  OPENSSL_cleanse(secret.data(), secret.size());
  secret.clear();
}

}  // namespace rowhouse::crypto
