// The digests and encodings that object stores want beside SHA-256: MD5, CRC-32C, CRC-64, base64, RSA.
//
// MD5 and the CRCs find accidents, not attacks: they are what providers tell of what they stored. Any thread.
// Sources: RFC 1321, RFC 3720 B.4 (CRC-32C), the Azure Blob service's CRC-64 (that of NVM Express).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rowhouse::storage {

inline constexpr std::size_t kMd5Bytes = 16;

std::string md5(std::string_view data);  // 16 bytes

class Md5 {
 public:
  Md5();
  ~Md5();
  Md5(const Md5&) = delete;
  Md5& operator=(const Md5&) = delete;
  void update(std::string_view data);
  std::string finish();  // once

 private:
  void* context_;
};

// Over `data` that follows what gave `before`; 0 for the first piece.
std::uint32_t crc32c(std::string_view data, std::uint32_t before = 0);
// The checksum of two texts after one another, from theirs and the second's length.
std::uint32_t crc32c_combine(std::uint32_t first, std::uint32_t second, std::uint64_t second_bytes);
std::string crc32c_base64(std::uint32_t crc);  // big-endian, as Google writes it
std::uint64_t crc64(std::string_view data, std::uint64_t before = 0);
std::string crc64_base64(std::uint64_t crc);  // little-endian, as Azure writes it

// RFC 4648, section 4: with padding. Decoding is strict.
std::string to_base64(std::string_view bytes);
std::optional<std::string> from_base64(std::string_view text);

// A private RSA key that signs with SHA-256 and PKCS #1 v1.5 (RS256).
class RsaSigner {
 public:
  // PEM, PKCS #8 or PKCS #1, at least 2,048 bits. Error: validation_failed, without the key.
  static Result<RsaSigner> create(const std::string& pem);
  std::string sign(std::string_view text) const;

 private:
  explicit RsaSigner(std::shared_ptr<void> key) : key_(std::move(key)) {}
  std::shared_ptr<void> key_;
};

}  // namespace rowhouse::storage
