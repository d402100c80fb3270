// The bytes of an upload on their way from the client to the store: counted, hashed, compared.
//
// Belongs to one request; what it reads from must outlive it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/task.h"
#include "crypto/crypto.h"
#include "net/http_message.h"
#include "storage/object_store.h"

namespace rowhouse::objects {

// The body of a request as a store takes it, of a known length.
//
// `sha256`: hexadecimal, what it must be; "" = anything. The last piece is handed on only when everything
// agrees, so that a store never ends an object that is not what the client meant. Errors: checksum_mismatch,
// malformed_request (fewer or more bytes than were said), those of the body.
class CheckedBody final : public storage::ByteSource {
 public:
  CheckedBody(net::BodyReader& body, std::uint64_t bytes, std::string sha256)
      : body_(body), bytes_(bytes), expected_(std::move(sha256)) {}
  Task<Result<std::optional<std::string>>> next() override;
  // Hexadecimal; after the last piece.
  const std::string& sha256() const { return found_; }

 private:
  Result<void> check_end();
  net::BodyReader& body_;
  const std::uint64_t bytes_;
  const std::string expected_;
  std::uint64_t seen_ = 0;
  crypto::Sha256 hash_;
  std::string found_;
};

// Bytes that are in memory already. `text` must outlive it.
class TextSource final : public storage::ByteSource {
 public:
  explicit TextSource(std::string_view text) : rest_(text) {}
  Task<Result<std::optional<std::string>>> next() override;

 private:
  std::string_view rest_;
};

// `bytes` of another source, for one part after the other.
class SlicedSource final : public storage::ByteSource {
 public:
  explicit SlicedSource(storage::ByteSource& whole) : whole_(whole) {}
  // The next part; the one before has been read to its end.
  void begin_part(std::uint64_t bytes) { left_ = bytes; }
  Task<Result<std::optional<std::string>>> next() override;

 private:
  storage::ByteSource& whole_;
  std::string kept_;  // of the part after this one
  std::uint64_t left_ = 0;
};

// Reads a body of unknown length part by part: fills `part` up to `part_bytes`; shorter at the end alone.
class BodyParts {
 public:
  explicit BodyParts(net::BodyReader& body) : body_(body) {}
  Task<Result<void>> fill(std::string& part, std::size_t part_bytes);
  bool at_end() const { return at_end_; }
  std::uint64_t bytes() const { return bytes_; }
  // Hexadecimal, of everything; once, at the end.
  std::string finish_sha256();

 private:
  Task<Result<void>> read_more();
  net::BodyReader& body_;
  std::string kept_;  // read, and not yet in a part
  bool at_end_ = false;
  std::uint64_t bytes_ = 0;
  crypto::Sha256 hash_;
};

// Above, providers refuse one request (5 GiB, Azure a little less), so it becomes parts.
inline constexpr std::uint64_t kMaxOnePutBytes = std::uint64_t{4} << 30;
// Parts of a known whole: as few as needed, never too many.
std::uint64_t part_bytes_of(std::uint64_t bytes, const storage::ObjectStore& store);

// Error: checksum_mismatch unless `expected` is "" or the same.
Result<void> check_sha256(std::string_view expected, std::string_view found);

}  // namespace rowhouse::objects
