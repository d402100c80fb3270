// Hashes, message authentication, key derivation and random bytes: a thin face over OpenSSL 3.
//
// Byte strings travel in std::string / std::string_view. Every function may be called from any thread.
// Nothing here can fail because of its input; a library that has no SHA-256 or a kernel that gives no random
// bytes ends the process, because nothing safe could follow.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace rowhouse::crypto {

inline constexpr std::size_t kSha256Bytes = 32;

// 32 bytes, not hexadecimal: see to_hex() and to_base64url() in base/text.h.
std::string sha256(std::string_view data);
std::string hmac_sha256(std::string_view key, std::string_view data);

// SHA-256 over data that comes in pieces (checksums of migrations and streamed bodies).
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(std::string_view data);
  std::string finish();  // once

 private:
  void* context_;
};

// `size` bytes from the kernel's generator by way of OpenSSL's.
std::string random_bytes(std::size_t size);

// Whether both hold the same bytes, in a time that depends on the lengths alone.
bool constant_time_equal(std::string_view a, std::string_view b);

// A key of `size` bytes (at most 8160) for one purpose, from a master key: HKDF with SHA-256 (RFC 5869)
// without salt, the label as `info`. Different labels give independent keys; the master key cannot be found
// from them. The master key must itself be random (at least 16 bytes), not a password.
std::string derive_key(std::string_view master, std::string_view label, std::size_t size = kSha256Bytes);

// HKDF with all its inputs, as RFC 5869 writes it.
std::string hkdf_sha256(std::string_view key_material, std::string_view salt, std::string_view info,
                        std::size_t size);

// Overwrites the bytes of a secret in a way that the compiler keeps, then empties the string.
void wipe(std::string& secret);

}  // namespace rowhouse::crypto
