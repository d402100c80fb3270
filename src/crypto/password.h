// Password hashes: argon2id (RFC 9106) by way of libsodium. Any thread; a call takes as long and as much
// memory as the cost says, so it does not belong on an event loop. No memory for it: an empty hash, or false.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rowhouse::crypto {

struct PasswordCost {
  std::uint64_t memory_bytes = 64ULL * 1024 * 1024;  // at least kMinPasswordMemoryBytes
  std::uint64_t passes = 2;                          // at least 1
};

inline constexpr std::uint64_t kMinPasswordMemoryBytes = 8 * 1024;

// "$argon2id$v=19$m=…,t=…,p=1$salt$hash", with a random salt. "" if there was no memory for it.
std::string hash_password(std::string_view password, PasswordCost cost);
// False also for a text that is no hash, or when there was no memory.
bool verify_password(std::string_view hash, std::string_view password);
// Whether it was made with another cost.
bool needs_rehash(std::string_view hash, PasswordCost cost);

}  // namespace rowhouse::crypto
