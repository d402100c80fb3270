// Looks at the bytes of an upload while they pass: counts them and computes what they are compared with.
//
// The last piece is held back until the whole is known to be what it should be: a source that gives the wrong
// bytes ends as an error before the provider has all of them, and the provider stores nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "crypto/crypto.h"
#include "net/http_transfer.h"
#include "storage/digests.h"

namespace rowhouse::storage {

class CheckedSource final : public net::TransferSource {
 public:
  enum Digest : unsigned { sha256_digest = 1, md5_digest = 2, crc32c_digest = 4, crc64_digest = 8 };

  // `digests`: which to compute, or'ed. `expected_sha256`: hexadecimal, or "".
  CheckedSource(net::TransferSource& source, std::uint64_t bytes, unsigned digests,
                std::string expected_sha256 = {});

  // Errors: those of the source; internal (more or fewer bytes than were said); checksum_mismatch.
  Task<Result<std::optional<std::string>>> next() override;

  // After the end.
  const std::string& sha256() const { return sha256_; }  // hexadecimal
  const std::string& md5() const { return md5_; }        // 16 bytes
  std::uint32_t crc32c() const { return crc32c_; }
  std::uint64_t crc64() const { return crc64_; }
  bool at_end() const { return ended_; }

 private:
  Result<void> look_at(std::string_view piece);
  Result<void> finish();

  net::TransferSource& source_;
  const std::uint64_t bytes_;
  const unsigned digests_;
  const std::string expected_sha256_;
  std::uint64_t passed_ = 0;
  bool ended_ = false;
  crypto::Sha256 sha256_state_;
  Md5 md5_state_;
  std::string sha256_, md5_;
  std::uint32_t crc32c_ = 0;
  std::uint64_t crc64_ = 0;
};

// The next `bytes` of another source, which may have more.
class SliceSource final : public net::TransferSource {
 public:
  SliceSource(net::TransferSource& source, std::string& rest, std::uint64_t bytes)
      : source_(source), rest_(rest), left_(bytes) {}
  // `rest` (outlives this) keeps what was read and belongs to the next slice.
  Task<Result<std::optional<std::string>>> next() override;

 private:
  net::TransferSource& source_;
  std::string& rest_;
  std::uint64_t left_;
};

class TextSource final : public net::TransferSource {
 public:
  explicit TextSource(std::string text) : text_(std::move(text)) {}
  Task<Result<std::optional<std::string>>> next() override;

 private:
  std::optional<std::string> text_;
};

// Reads everything, at most `limit` bytes. Errors: those of the source; internal (more than that).
Task<Result<std::string>> read_source(net::TransferSource& source, std::uint64_t limit);

}  // namespace rowhouse::storage
