#include "storage/blocking_store.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "storage/blocking_store_impl.h"

namespace rowhouse::storage {

namespace {

using namespace std::chrono_literals;

constexpr auto kCleanUpTime = 15s;
constexpr auto kSweepPause = 1h;
constexpr std::size_t kRemoveBatch = 50;  // keys in one step

Error wrong_length() {
  return Error(ErrorCode::internal, "the source gave another number of bytes than it had announced");
}

// What one step of a download brings.
struct Opened {
  std::unique_ptr<OpenFile> file;
  ObjectInfo info;
  std::uint64_t first = 0, end = 0;
  std::string piece;
};

Result<std::string> read_step(OpenFile& file, std::uint64_t at, std::uint64_t end) {
  const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(kPieceBytes, end - at));
  TRY(std::string piece, file.read(at, wanted));
  if (piece.size() < wanted)
    return Error(ErrorCode::storage_failed, "the object's file is shorter than it was");
  return piece;
}

// Opens an object and reads the first piece of the range.
Result<Opened> open_object(FileSystem& files, const FileLayout& layout, const std::string& key,
                           const std::optional<ByteRange>& range) {
  for (int i = 0;; ++i) {
    Opened opened;
    TRY(opened.info, stat_object(files, layout, key));
    TRY(opened.file, files.open(layout.object(key)));
    TRY(const FileInfo info, opened.file->info());
    const ObjectInfo now = object_info(key, info);
    // Another version came in between: what was said of the former one does not go with it.
    if (now.etag != opened.info.etag && i < kMaxAttempts) continue;
    opened.info.bytes = info.bytes;
    opened.end = info.bytes;
    if (range) {
      const bool is_empty = range->last && *range->last < range->first;
      if (range->first >= info.bytes || is_empty) {
        return Error(
            ErrorCode::range_not_satisfiable,
            fmt::format("the object has {} bytes; the range begins at {}", info.bytes, range->first));
      }
      opened.first = range->first;
      if (range->last) opened.end = std::min(opened.end, *range->last + 1);
    }
    TRY(opened.piece, read_step(*opened.file, opened.first, opened.end));
    return opened;
  }
}

class FileDownload final : public Download {
 public:
  FileDownload(Lanes& lanes, LaneUse use, Opened opened)
      : lanes_(lanes), use_(std::move(use)), opened_(std::move(opened)), at_(opened_.first) {}

  const ObjectInfo& info() const override { return opened_.info; }
  Task<Result<std::optional<std::string>>> next(CallOptions options) override {
    CO_TRY_DO(check_time(options));
    if (at_ >= opened_.end) co_return std::optional<std::string>();
    std::string piece = std::exchange(opened_.piece, {});
    if (piece.empty()) {
      std::function<Result<std::string>(FileSystem&)> read = [this](FileSystem&) {
        return read_step(*opened_.file, at_, opened_.end);
      };
      CO_TRY(piece, co_await lanes_.call<std::string>(use_.lane(), read, options));
    }
    at_ += piece.size();
    co_return std::optional<std::string>(std::move(piece));
  }

 private:
  Lanes& lanes_;
  LaneUse use_;
  Opened opened_;
  std::uint64_t at_;
};

class DownloadSource final : public ByteSource {
 public:
  DownloadSource(Download& download, CallOptions options) : download_(download), options_(options) {}
  Task<Result<std::optional<std::string>>> next() override { return download_.next(options_); }

 private:
  Download& download_;
  CallOptions options_;
};

}  // namespace

Task<Result<ObjectInfo>> BlockingStore::put(std::string key, std::uint64_t bytes, ByteSource& source,
                                            PutOptions put_options, CallOptions options) {
  CO_TRY_DO(check_key(key));
  const LaneUse use = lanes_.choose();
  if (put_options.condition == PutCondition::absent) {
    // Before the bytes are asked for; publishing looks once more.
    std::function<Result<FileInfo>(FileSystem&)> look = [this, &key](FileSystem& files) {
      return files.stat(layout_.object(key));
    };
    const Result<FileInfo> there = co_await lanes_.call_again<FileInfo>(use.lane(), look, options);
    if (there.ok()) {
      co_return Error(ErrorCode::precondition_failed, "there is an object of that key already");
    }
    if (there.error().code != ErrorCode::not_found) co_return there.error();
  }
  FileWriting writing;
  Publish publish = [this, &writing, &key, &put_options](FileSystem& files) {
    return publish_object(files, layout_, writing, key, put_options);
  };
  Result<ObjectInfo> put =
      co_await write_object(use.lane(), writing, bytes, source, put_options.sha256, publish, options);
  if (!put.ok()) co_await discard(use.lane(), writing);
  if (put.ok()) co_await sweep_sometimes(use.lane(), options);
  co_return put;
}

// A small object is one step: written, made last, read back and published.
Task<Result<ObjectInfo>> BlockingStore::write_object(Lane& lane, FileWriting& writing, std::uint64_t bytes,
                                                     ByteSource& source, std::string sha256, Publish publish,
                                                     CallOptions options) {
  std::string held;
  std::uint64_t received = 0;
  std::function<Result<void>(FileSystem&)> write = [this, &writing,
                                                    &held](FileSystem& files) -> Result<void> {
    if (writing.file == nullptr) TRY_DO(begin_file(files, layout_, writing));
    return write_piece(writing, held);
  };
  for (;;) {
    CO_TRY_DO(check_time(options));
    CO_TRY(std::optional<std::string> piece, co_await source.next());
    if (!piece) break;
    received += piece->size();
    if (received > bytes) co_return wrong_length();
    if (held.empty()) {
      held = std::move(*piece);
    } else if (held.size() + piece->size() <= kStepBytes) {
      held += *piece;
    } else {
      CO_TRY_DO(co_await lanes_.call<void>(lane, write, options));
      held = std::move(*piece);
    }
  }
  if (received != bytes) co_return wrong_length();
  const bool is_small = bytes <= kStepBytes;
  std::function<Result<void>(FileSystem&)> end = [&write, &writing,
                                                  &sha256](FileSystem& files) -> Result<void> {
    TRY_DO(write(files));
    return end_file(writing, sha256);
  };
  if (!is_small) {
    CO_TRY_DO(co_await lanes_.call<void>(lane, end, options));
    if (reads_back()) CO_TRY_DO(co_await verify(lane, writing, options));
    co_return co_await lanes_.call_patiently<ObjectInfo>(lane, publish, options);
  }
  std::function<Result<ObjectInfo>(FileSystem&)> all = [this, &end, &publish,
                                                        &writing](FileSystem& files) -> Result<ObjectInfo> {
    TRY_DO(end(files));
    if (reads_back()) TRY_DO(read_back(files, writing));
    return publish(files);
  };
  Result<ObjectInfo> object = co_await lanes_.call<ObjectInfo>(lane, all, options);
  if (object.ok() || object.error().code != ErrorCode::overloaded) co_return object;
  co_return co_await lanes_.call_patiently<ObjectInfo>(lane, publish, options);
}

Task<Result<void>> BlockingStore::verify(Lane& lane, FileWriting& writing, CallOptions options) {
  std::unique_ptr<OpenFile> file;
  std::uint64_t at = 0;
  crypto::Sha256 hash;
  std::function<Result<void>(FileSystem&)> step = [&file, &at, &hash,
                                                   &writing](FileSystem& files) -> Result<void> {
    if (file == nullptr) {
      TRY(file, files.open(writing.temporary));
    }
    TRY(const std::string piece, file->read(at, kStepBytes));
    if (piece.empty()) return read_back_failed();
    hash.update(piece);
    at += piece.size();
    if (at >= writing.bytes) return file->finish();
    return {};
  };
  while (at < writing.bytes) {
    CO_TRY_DO(co_await lanes_.call<void>(lane, step, options));
  }
  if (to_hex(hash.finish()) != writing.sha256) co_return read_back_failed();
  co_return Result<void>();
}

Task<void> BlockingStore::discard(Lane& lane, FileWriting& writing) {
  if (writing.temporary.empty()) co_return;
  CallOptions own;
  own.deadline = deadline_in(kCleanUpTime);
  std::function<Result<void>(FileSystem&)> work = [&writing](FileSystem& files) {
    writing.file.reset();
    return files.remove(writing.temporary);
  };
  const Result<void> removed = co_await lanes_.call<void>(lane, work, own);
  // What could not be removed now is swept later.
  static_cast<void>(removed.ok());
}

Task<void> BlockingStore::sweep_sometimes(Lane& lane, CallOptions options) {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_sweep_) co_return;
  next_sweep_ = now + kSweepPause;
  const std::int64_t now_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(clock_.now().time_since_epoch()).count();
  std::function<Result<void>(FileSystem&)> work = [this, now_ms](FileSystem& files) -> Result<void> {
    sweep(files, layout_, now_ms);
    return {};
  };
  const Result<void> swept = co_await lanes_.call<void>(lane, work, options);
  static_cast<void>(swept.ok());
}

Task<Result<std::unique_ptr<Download>>> BlockingStore::get(std::string key, std::optional<ByteRange> range,
                                                           CallOptions options) {
  CO_TRY_DO(check_key(key));
  LaneUse use = lanes_.choose();
  std::function<Result<Opened>(FileSystem&)> work = [this, &key, &range](FileSystem& files) {
    return open_object(files, layout_, key, range);
  };
  CO_TRY(Opened opened, co_await lanes_.call_again<Opened>(use.lane(), work, options));
  std::unique_ptr<Download> download =
      std::make_unique<FileDownload>(lanes_, std::move(use), std::move(opened));
  co_return download;
}

Task<Result<ObjectInfo>> BlockingStore::stat(std::string key, CallOptions options) {
  CO_TRY_DO(check_key(key));
  const LaneUse use = lanes_.choose();
  std::function<Result<ObjectInfo>(FileSystem&)> work = [this, &key](FileSystem& files) {
    return stat_object(files, layout_, key);
  };
  co_return co_await lanes_.call_again<ObjectInfo>(use.lane(), work, options);
}

Task<Result<void>> BlockingStore::remove(std::vector<std::string> keys, CallOptions options) {
  if (keys.size() > kMaxRemoveKeys) {
    co_return Error(ErrorCode::validation_failed, fmt::format("at most {} keys at once", kMaxRemoveKeys));
  }
  for (const std::string& key : keys) CO_TRY_DO(check_key(key));
  const LaneUse use = lanes_.choose();
  for (std::size_t from = 0; from < keys.size(); from += kRemoveBatch) {
    const std::size_t to = std::min(keys.size(), from + kRemoveBatch);
    const std::vector<std::string> some(keys.begin() + static_cast<std::ptrdiff_t>(from),
                                        keys.begin() + static_cast<std::ptrdiff_t>(to));
    std::function<Result<void>(FileSystem&)> work = [this, &some](FileSystem& files) {
      return remove_objects(files, layout_, some);
    };
    CO_TRY_DO(co_await lanes_.call_again<void>(use.lane(), work, options));
  }
  co_return Result<void>();
}

Task<Result<ObjectInfo>> BlockingStore::copy(std::string from, std::string to, CallOptions options) {
  CO_TRY_DO(check_key(to));
  CO_TRY(const std::unique_ptr<Download> download, co_await get(from, std::nullopt, options));
  PutOptions put_options;
  if (!download->info().content_type.empty()) put_options.content_type = download->info().content_type;
  put_options.sha256 = download->info().sha256;
  DownloadSource source(*download, options);
  co_return co_await put(to, download->info().bytes, source, put_options, options);
}

std::unique_ptr<ObjectStore> make_blocking_store(net::Executor& executor, net::BlockingWork& work,
                                                 const Clock& clock,
                                                 std::vector<std::unique_ptr<FileSystem>> lanes,
                                                 BlockingStoreOptions options) {
  return std::make_unique<BlockingStore>(executor, work, clock, std::move(lanes), std::move(options));
}

}  // namespace rowhouse::storage
