#include "objects/store_transfer.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "objects/content.h"

namespace rowhouse::objects {
namespace {

// An object that is being read, as the body of an upload.
class DownloadBody final : public net::BodyReader {
 public:
  DownloadBody(storage::Download& download, CallOptions options) : download_(download), options_(options) {}
  Task<Result<std::optional<std::string_view>>> read() override {
    CO_TRY(piece_, co_await download_.next(options_));
    std::optional<std::string_view> piece;
    if (piece_) piece = *piece_;
    co_return piece;
  }
  void set_limit(std::uint64_t) override {}

 private:
  storage::Download& download_;
  const CallOptions options_;
  std::optional<std::string> piece_;
};

Task<Result<void>> put_whole(const StoreTransfer& transfer, CheckedBody& source, CallOptions options) {
  storage::PutOptions put_options;
  put_options.content_type = transfer.content_type;
  put_options.sha256 = transfer.sha256;
  std::string key = transfer.to_key;
  CO_TRY_DO(
      co_await transfer.to->put(std::move(key), transfer.bytes, source, std::move(put_options), options));
  co_return Result<void>();
}

Task<Result<void>> put_parts(const StoreTransfer& transfer, CheckedBody& whole, CallOptions options) {
  storage::PutOptions put_options;
  put_options.content_type = transfer.content_type;
  put_options.sha256 = transfer.sha256;
  storage::ObjectStore& store = *transfer.to;
  CO_TRY(const std::string upload,
         co_await store.begin_upload(transfer.to_key, std::move(put_options), options));
  CO_TRY_DO(co_await transfer.note_upload(upload));
  const std::uint64_t part_bytes = part_bytes_of(transfer.bytes, store);
  SlicedSource source(whole);
  std::vector<storage::Part> parts;
  for (std::uint64_t sent = 0; sent < transfer.bytes;) {
    const std::uint64_t size = std::min(part_bytes, transfer.bytes - sent);
    const int number = static_cast<int>(parts.size()) + 1;
    source.begin_part(size);
    CO_TRY(auto part, co_await store.put_part(transfer.to_key, upload, number, size, source, options));
    parts.push_back(std::move(part));
    sent += size;
  }
  CO_TRY_DO(co_await store.complete_upload(transfer.to_key, upload, std::move(parts), options));
  co_return Result<void>();
}

}  // namespace

Task<Result<std::string>> run_transfer(StoreTransfer transfer, CallOptions options) {
  CO_TRY(const auto download, co_await transfer.from->get(transfer.from_key, std::nullopt, options));
  DownloadBody body(*download, options);
  CheckedBody source(body, transfer.bytes, transfer.sha256);
  Result<void> done;
  if (transfer.bytes > kMaxOnePutBytes) {
    done = co_await put_parts(transfer, source, options);
  } else {
    done = co_await put_whole(transfer, source, options);
  }
  if (!done.ok() && done.error().code == ErrorCode::malformed_request) {
    co_return Error(ErrorCode::storage_failed, "the object has another length than is written down");
  }
  if (!done.ok()) co_return std::move(done).error();
  co_return source.sha256();
}

}  // namespace rowhouse::objects
