#include "storage/checked_source.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace rowhouse::storage {

CheckedSource::CheckedSource(net::TransferSource& source, std::uint64_t bytes, unsigned digests,
                             std::string expected_sha256)
    : source_(source), bytes_(bytes), digests_(digests), expected_sha256_(std::move(expected_sha256)) {}

Result<void> CheckedSource::look_at(std::string_view piece) {
  passed_ += piece.size();
  if (passed_ > bytes_) return Error(ErrorCode::internal, "the upload has more bytes than were announced");
  if ((digests_ & sha256_digest) != 0) sha256_state_.update(piece);
  if ((digests_ & md5_digest) != 0) md5_state_.update(piece);
  if ((digests_ & crc32c_digest) != 0) crc32c_ = storage::crc32c(piece, crc32c_);
  if ((digests_ & crc64_digest) != 0) crc64_ = storage::crc64(piece, crc64_);
  return {};
}

Result<void> CheckedSource::finish() {
  ended_ = true;
  if ((digests_ & sha256_digest) != 0) sha256_ = to_hex(sha256_state_.finish());
  if ((digests_ & md5_digest) != 0) md5_ = md5_state_.finish();
  if (!expected_sha256_.empty() && expected_sha256_ != sha256_) {
    return Error(ErrorCode::checksum_mismatch, "the content does not have the SHA-256 that was announced");
  }
  return {};
}

Task<Result<std::optional<std::string>>> CheckedSource::next() {
  if (ended_) co_return std::optional<std::string>();
  std::optional<std::string> piece;
  if (passed_ < bytes_) {
    CO_TRY(piece, co_await source_.next());
    if (!piece.has_value())
      co_return Error(ErrorCode::internal, "the upload has fewer bytes than were announced");
    CO_TRY_DO(look_at(*piece));
  }
  if (passed_ == bytes_) {
    // Whatever would still come is too much; asked now, because the provider has everything after this piece.
    while (true) {
      CO_TRY(auto more, co_await source_.next());
      if (!more.has_value()) break;
      CO_TRY_DO(look_at(*more));
    }
    CO_TRY_DO(finish());
  }
  co_return piece;
}

Task<Result<std::optional<std::string>>> SliceSource::next() {
  if (left_ == 0) co_return std::optional<std::string>();
  std::string piece = std::exchange(rest_, {});
  while (piece.empty()) {
    CO_TRY(auto more, co_await source_.next());
    if (!more.has_value())
      co_return std::optional<std::string>();  // whoever counts says that it is too short
    piece = std::move(*more);
  }
  if (piece.size() > left_) {
    rest_ = piece.substr(left_);
    piece.resize(left_);
  }
  left_ -= piece.size();
  co_return std::optional<std::string>(std::move(piece));
}

Task<Result<std::optional<std::string>>> TextSource::next() {
  std::optional<std::string> text = std::exchange(text_, std::nullopt);
  if (text.has_value() && text->empty()) text.reset();
  co_return text;
}

Task<Result<std::string>> read_source(net::TransferSource& source, std::uint64_t limit) {
  std::string text;
  while (true) {
    CO_TRY(auto piece, co_await source.next());
    if (!piece.has_value()) co_return text;
    if (text.size() + piece->size() > limit) co_return Error(ErrorCode::internal, "a source gave too much");
    text += *piece;
  }
}

}  // namespace rowhouse::storage
