#include "crypto/password.h"

#include <sodium.h>

#include <array>
#include <cstdio>
#include <cstdlib>

namespace rowhouse::crypto {
namespace {

static_assert(kMinPasswordMemoryBytes == crypto_pwhash_argon2id_MEMLIMIT_MIN);

// Once for the process; libsodium makes it safe to be called at the same time.
void initialise() {
  static const int result = sodium_init();
  if (result >= 0) return;
  std::fprintf(stderr, "crypto: libsodium cannot be initialised\n");
  std::abort();
}

// libsodium reads hashes as C strings.
bool is_readable(std::string_view hash) {
  return !hash.empty() && hash.size() < crypto_pwhash_argon2id_STRBYTES &&
         hash.find('\0') == std::string_view::npos;
}

}  // namespace

std::string hash_password(std::string_view password, PasswordCost cost) {
  initialise();
  std::array<char, crypto_pwhash_argon2id_STRBYTES> text{};
  const int failed = crypto_pwhash_argon2id_str(text.data(), password.data(), password.size(), cost.passes,
                                                static_cast<std::size_t>(cost.memory_bytes));
  return failed != 0 ? std::string() : std::string(text.data());
}

bool verify_password(std::string_view hash, std::string_view password) {
  initialise();
  if (!is_readable(hash)) return false;
  const std::string text(hash);
  return crypto_pwhash_argon2id_str_verify(text.c_str(), password.data(), password.size()) == 0;
}

bool needs_rehash(std::string_view hash, PasswordCost cost) {
  initialise();
  if (!is_readable(hash)) return true;
  const std::string text(hash);
  return crypto_pwhash_argon2id_str_needs_rehash(text.c_str(), cost.passes,
                                                 static_cast<std::size_t>(cost.memory_bytes)) != 0;
}

}  // namespace rowhouse::crypto
