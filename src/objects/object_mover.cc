#include "objects/object_mover.h"

#include <algorithm>
#include <utility>

#include "objects/store_transfer.h"
#include "storage/admin.h"

namespace rowhouse::objects {
namespace {

using namespace std::chrono_literals;

constexpr int kBatchObjects = 100;
// A batch of large objects is a short one, so that little is copied again after a crash.
constexpr std::uint64_t kBatchBytes = 256U << 20;
constexpr int kTransfers = 8;
constexpr int kCopyAttempts = 4;
constexpr std::chrono::milliseconds kFirstPause = 200ms;
// Between passes, while writes of before the move end.
constexpr std::chrono::milliseconds kPassPause = 250ms;

bool is_passing(ErrorCode code) {
  return code == ErrorCode::storage_failed || code == ErrorCode::server_unreachable;
}

// In words that say which object to look at.
Error about(const Object& object, Error error) {
  if (error.code == ErrorCode::checksum_mismatch) {
    error.message = "the former storage has other bytes than were stored, by their checksum";
  } else if (error.code == ErrorCode::not_found) {
    error.message = "the former storage does not have it any more";
  }
  error.message = "object \"" + object.key + "\" could not be moved: " + error.message;
  return error;
}

}  // namespace

struct ObjectMover::Batch {
  std::vector<Object> objects, copied;
  std::size_t next = 0;
  std::optional<std::pair<Object, Error>> failed;  // the first; no other is begun after it
};

struct ObjectMover::Progress {
  std::int64_t objects = 0, bytes = 0;  // done
  std::int64_t all_objects = 0, all_bytes = 0;
};

Task<Result<void>> ObjectMover::copy_all(const Context& context, Way way, operations::Run& run) {
  const CallOptions options = run.options();
  CO_TRY_DO(co_await settle(context, way, options));
  Progress progress;
  while (true) {
    CO_TRY_DO(co_await rows_.give_up_dead(context, options));
    CO_TRY(const MoveRest before, co_await moves_.rest(context, way.from, options));
    progress.all_objects = progress.objects + before.objects;
    progress.all_bytes = progress.bytes + before.bytes;
    CO_TRY_DO(co_await pass(context, way, progress, run));
    CO_TRY_DO(co_await settle(context, way, options));
    CO_TRY(const MoveRest rest, co_await moves_.rest(context, way.from, options));
    if (rest.objects == 0 && rest.writes == 0) break;
    if (run.pause_requested()) co_return operations::paused();
    co_await net::sleep_for(executor_, kPassPause);
    if (options.cancel != nullptr && options.cancel->cancelled()) {
      co_return Error(ErrorCode::cancelled, "the move was interrupted");
    }
  }
  co_return Result<void>();
}

Task<Result<void>> ObjectMover::pass(const Context& context, Way way, Progress& progress,
                                     operations::Run& run) {
  const CallOptions options = run.options();
  std::string after;
  while (true) {
    Batch batch;
    CO_TRY(batch.objects, co_await moves_.next(context, way.from, after, kBatchObjects, options));
    if (batch.objects.empty()) co_return Result<void>();
    std::uint64_t bytes = 0;
    const auto enough = std::find_if(batch.objects.begin(), batch.objects.end(), [&](const Object& object) {
      const bool is_full = bytes >= kBatchBytes;
      bytes += object.bytes;
      return is_full;
    });
    batch.objects.erase(enough, batch.objects.end());
    after = batch.objects.back().key;
    const std::function<Task<Result<void>>()> work = [&] {
      return copy_batch(context, way, batch, progress, options);
    };
    CO_TRY_DO(co_await storage::as_effect("copy objects", work, options));
    run.output().set("objects", progress.objects);
    run.output().set("bytes", progress.bytes);
    std::string what =
        "objects, " + std::to_string(progress.bytes) + " of " + std::to_string(progress.all_bytes) + " bytes";
    CO_TRY_DO(co_await run.progress(progress.objects, progress.all_objects, std::move(what)));
    if (run.pause_requested()) co_return operations::paused();
  }
}

Task<Result<void>> ObjectMover::copy_batch(const Context& context, Way way, Batch& batch, Progress& progress,
                                           CallOptions options) {
  CO_TRY_DO(co_await moves_.name_copies(context, way.to, batch.objects, options));
  net::TaskGroup tasks;
  for (int i = 0; i < kTransfers; ++i) tasks.spawn(copy_some(context, way, batch, options));
  co_await tasks.join();
  if (!batch.copied.empty()) {
    CO_TRY(const auto switched,
           co_await moves_.switch_rows(context, way.from, way.to, batch.copied, options));
    progress.objects += switched.objects;
    progress.bytes += switched.bytes;
  }
  if (!batch.failed) co_return Result<void>();
  co_return about(batch.failed->first, std::move(batch.failed->second));
}

Task<void> ObjectMover::copy_some(const Context& context, Way way, Batch& batch, CallOptions options) {
  while (batch.next < batch.objects.size() && !batch.failed) {
    Object object = batch.objects[batch.next++];
    auto copied = co_await copy_one(context, way, object, options);
    if (copied.ok()) {
      if (object.sha256.empty()) object.sha256 = std::move(*copied);
      batch.copied.push_back(std::move(object));
      continue;
    }
    // It may have been replaced or deleted meanwhile; then this is no failure.
    const auto found = co_await rows_.find(context, object.key, options);
    const bool is_still_there =
        !found.ok() || (*found && (*found)->version == object.version && (*found)->store == way.from);
    if (is_still_there && !batch.failed) batch.failed.emplace(std::move(object), std::move(copied).error());
  }
}

Task<Result<std::string>> ObjectMover::copy_one(const Context& context, Way way, Object object,
                                                CallOptions options) {
  auto pause = kFirstPause;
  for (int attempt = 1;; ++attempt) {
    auto copied = co_await try_copy(context, way, object, options);
    const bool is_cancelled = options.cancel != nullptr && options.cancel->cancelled();
    if (copied.ok() || is_cancelled || attempt == kCopyAttempts || !is_passing(copied.error().code)) {
      co_return copied;
    }
    co_await net::sleep_for(executor_, pause);
    pause *= 4;
  }
}

Task<Result<std::string>> ObjectMover::try_copy(const Context& context, Way way, Object object,
                                                CallOptions options) {
  CO_TRY(auto from, co_await stores_.open_number(context, way.from, options));
  CO_TRY(auto to, co_await stores_.open_number(context, way.to, options));
  const std::string name = store_key(object.key, object.version);
  StoreTransfer transfer;
  transfer.from = std::move(from.store);
  transfer.to = std::move(to.store);
  transfer.from_key = name;
  transfer.to_key = name;
  transfer.bytes = object.bytes;
  transfer.sha256 = std::move(object.sha256);
  transfer.content_type = std::move(object.content_type);
  transfer.note_upload = [this, &context, way, &name, options](std::string upload) {
    return moves_.name_upload(context, way.to, name, std::move(upload), options);
  };
  co_return co_await run_transfer(std::move(transfer), options);
}

Task<Result<void>> ObjectMover::settle(const Context& context, Way way, CallOptions options) {
  CO_TRY(auto dead, co_await moves_.settle_copies(context, way.to, options));
  if (dead.empty()) co_return Result<void>();
  CO_TRY(const auto target, co_await stores_.open_number(context, way.to, options));
  for (GarbageRow& piece : dead) {
    const auto aborted = co_await target.store->abort_upload(piece.store_key, piece.upload, options);
    if (!aborted.ok() && aborted.error().code != ErrorCode::not_found) co_return aborted;
    CO_TRY_DO(co_await moves_.forget_upload(context, way.to, std::move(piece.store_key), options));
  }
  co_return Result<void>();
}

}  // namespace rowhouse::objects
