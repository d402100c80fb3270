#include "objects/content.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace rowhouse::objects {
namespace {

constexpr std::uint64_t kBigPartBytes = 64U << 20;
constexpr std::size_t kMaxPieceBytes = 1U << 20;

}  // namespace

std::uint64_t part_bytes_of(std::uint64_t bytes, const storage::ObjectStore& store) {
  const std::uint64_t least = bytes / (storage::kMaxParts - 1) + 1;
  const std::uint64_t wanted = std::max({kBigPartBytes, least, store.min_part_bytes()});
  const std::uint64_t alignment = std::max<std::uint64_t>(store.part_alignment(), 1);
  return (wanted + alignment - 1) / alignment * alignment;
}

Result<void> check_sha256(std::string_view expected, std::string_view found) {
  if (expected.empty() || expected == found) return {};
  return Error(ErrorCode::checksum_mismatch,
               "the content's SHA-256 is " + std::string(found) + ", not the one that was sent with it");
}

Result<void> CheckedBody::check_end() {
  found_ = to_hex(hash_.finish());
  return check_sha256(expected_, found_);
}

Task<Result<std::optional<std::string>>> CheckedBody::next() {
  if (seen_ == bytes_) {
    if (found_.empty()) CO_TRY_DO(check_end());  // an empty body
    co_return std::optional<std::string>();
  }
  CO_TRY(const auto piece, co_await body_.read());
  if (!piece) {
    co_return Error(ErrorCode::malformed_request, "the body ended before the bytes that were announced");
  }
  if (piece->size() > bytes_ - seen_) {
    co_return Error(ErrorCode::malformed_request, "the body is longer than was announced");
  }
  hash_.update(*piece);
  seen_ += piece->size();
  if (seen_ == bytes_) CO_TRY_DO(check_end());
  co_return std::optional<std::string>(std::string(*piece));
}

Task<Result<std::optional<std::string>>> TextSource::next() {
  if (rest_.empty()) co_return std::optional<std::string>();
  const std::string_view piece = rest_.substr(0, kMaxPieceBytes);
  rest_.remove_prefix(piece.size());
  co_return std::optional<std::string>(std::string(piece));
}

Task<Result<std::optional<std::string>>> SlicedSource::next() {
  if (left_ == 0) co_return std::optional<std::string>();
  std::string piece = std::exchange(kept_, std::string());
  if (piece.empty()) {
    CO_TRY(auto more, co_await whole_.next());
    if (!more) co_return std::optional<std::string>();  // the store says that bytes are missing
    piece = std::move(*more);
  }
  if (piece.size() > left_) {
    kept_ = piece.substr(left_);
    piece.resize(left_);
  }
  left_ -= piece.size();
  co_return std::optional<std::string>(std::move(piece));
}

Task<Result<void>> BodyParts::read_more() {
  CO_TRY(const auto piece, co_await body_.read());
  if (!piece) {
    at_end_ = true;
    co_return Result<void>();
  }
  hash_.update(*piece);
  bytes_ += piece->size();
  kept_ = *piece;
  co_return Result<void>();
}

// Reads on until something is kept for the next part or nothing follows: so the last part is known as such.
Task<Result<void>> BodyParts::fill(std::string& part, std::size_t part_bytes) {
  part.clear();
  while (true) {
    const std::size_t taken = std::min(kept_.size(), part_bytes - part.size());
    part.append(kept_, 0, taken);
    kept_.erase(0, taken);
    if (at_end_ || !kept_.empty()) co_return Result<void>();
    CO_TRY_DO(co_await read_more());
  }
}

std::string BodyParts::finish_sha256() { return to_hex(hash_.finish()); }

}  // namespace rowhouse::objects
