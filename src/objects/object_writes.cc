#include "objects/object_writes.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "base/text.h"
#include "base/uuid.h"
#include "objects/write_lease.h"

namespace rowhouse::objects {
namespace {

constexpr std::chrono::milliseconds kTidyTimeout{60'000};
constexpr std::chrono::milliseconds kAbandonTimeout{10'000};
// What runs at the end of the process gets so long; the rest is garbage that the sweeper finds.
constexpr std::chrono::milliseconds kStopTimeout{5'000};
constexpr std::chrono::milliseconds kLookAgain{30'000};
// Removed and forgotten together: a slow store gets through so many in kTidyTimeout.
constexpr std::size_t kRemovedAtOnce = 100;
// After so many looks that failed one after the other, a tenant is left to the sweeper: it may be gone.
constexpr int kMaxFailedLooks = 20;
// Beyond that, garbage waits for the next look.
constexpr std::size_t kMaxBackgroundTasks = 256;
constexpr std::size_t kMaxUntidy = 10'000;
constexpr std::int64_t kSweepRounds = 20;
// A tenant that moves is found at its new store with the second one.
constexpr int kOpenAttempts = 3;

Error too_slow() {
  return Error(ErrorCode::server_unreachable, "the object storage did not remove everything within the time");
}

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

}  // namespace

ObjectWrites::ObjectWrites(net::Executor& executor, ObjectRows& rows, StoreSource& stores, observe::Log& log,
                           const Clock& clock)
    : executor_(executor), rows_(rows), stores_(stores), log_(log), clock_(clock) {}

ObjectWrites::~ObjectWrites() = default;

std::string ObjectWrites::new_version() const {
  const Uuid id = Uuid::make_v7(clock_.now());
  const auto& bytes = id.bytes();
  return to_base64url(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

Task<Error> ObjectWrites::over_quota(const Context& context, std::uint64_t wanted, CallOptions options) {
  const std::int64_t limit = storage_limit(context.plan());
  std::string used = "the rest";
  const auto usage = co_await rows_.usage(context, options);
  if (usage.ok()) used = grouped(usage->bytes + usage->reserved);
  co_return Error(
      ErrorCode::quota_exceeded,
      fmt::format(
          "the plan \"{}\" allows {} bytes of objects; {} are used or reserved, and this needs {} more",
          context.plan().name, grouped(static_cast<std::uint64_t>(limit)), used, grouped(wanted)));
}

Task<Result<void>> ObjectWrites::reserve(const Context& context, NewWrite write, ObjectRows::Begun& begun,
                                         CallOptions options) {
  const std::int64_t limit = storage_limit(context.plan());
  NewWrite again = write;
  CO_TRY(begun, co_await rows_.begin(context, std::move(write), limit, options));
  if (begun != ObjectRows::Begun::over_limit) co_return Result<void>();
  // Perhaps what died on some node still holds its reservation.
  CO_TRY(const std::size_t freed, co_await rows_.give_up_dead(context, options));
  if (freed == 0) co_return Result<void>();
  look_again(context);
  CO_TRY(begun, co_await rows_.begin(context, std::move(again), limit, options));
  co_return Result<void>();
}

Task<Result<void>> ObjectWrites::begin(const Context& context, Store& store, NewWrite write,
                                       CallOptions options) {
  using Begun = ObjectRows::Begun;
  const std::uint64_t wanted = write.reserved;
  for (int attempt = 1; attempt <= kOpenAttempts; ++attempt) {
    write.store = store.number;
    NewWrite one = write;
    Begun begun = Begun::over_limit;
    CO_TRY_DO(co_await reserve(context, std::move(one), begun, options));
    if (begun == Begun::reserved) co_return Result<void>();
    if (begun == Begun::over_limit) co_return co_await over_quota(context, wanted, options);
    stores_.forget(context);
    CO_TRY(store, co_await stores_.open(context, options));
  }
  co_return Error(ErrorCode::conflict, "the tenant's storage is being exchanged; send the object again");
}

Task<Result<void>> ObjectWrites::grow(const Context& context, std::string id, std::uint64_t more,
                                      CallOptions options) {
  const std::int64_t limit = storage_limit(context.plan());
  CO_TRY(const auto growth, co_await rows_.grow(context, std::move(id), more, limit, options));
  if (growth == ObjectRows::Growth::done) co_return Result<void>();
  co_return co_await over_quota(context, more, options);
}

Task<Result<StoredObject>> ObjectWrites::commit(const Context& context, Finished finished,
                                                CallOptions options) {
  StoredObject stored;
  stored.object.key = finished.key;
  stored.object.version = finished.id;
  stored.object.bytes = finished.content.bytes;
  stored.object.sha256 = finished.content.sha256;
  stored.object.content_type = finished.content.content_type;
  auto committed = co_await rows_.commit(context, finished.id, std::move(finished.content),
                                         std::move(finished.condition), options);
  if (!committed.ok()) {
    // It happened or not: if it did, there is no write left to take back.
    co_await abandon(context, std::move(finished.id));
    co_return std::move(committed).error();
  }
  GarbageRow piece;
  piece.store = committed->garbage_store;
  piece.store_key = std::move(committed->garbage);
  std::vector<GarbageRow> garbage;
  if (!piece.store_key.empty()) garbage.push_back(piece);
  using Outcome = Committed::Outcome;
  switch (committed->outcome) {
    case Outcome::created:
      stored.outcome = StoredObject::Outcome::created;
      break;
    case Outcome::replaced:
      stored.outcome = StoredObject::Outcome::replaced;
      break;
    case Outcome::condition_failed:
      remove_soon(context, std::move(garbage));
      co_return Error(ErrorCode::precondition_failed, "the object is not as the request says it must be");
    case Outcome::write_gone:
      piece.store = finished.store;
      piece.store_key = store_key(finished.key, finished.id);
      garbage.push_back(std::move(piece));
      remove_soon(context, std::move(garbage));
      co_return Error(ErrorCode::conflict, "the upload took so long that it was given up; send it again");
  }
  stored.object.modified_ms = committed->modified_ms;
  if (!garbage.empty()) remove_soon(context, std::move(garbage));
  co_return stored;
}

Task<void> ObjectWrites::abandon(const Context& context, std::string id) {
  const CallOptions options{deadline_in(kAbandonTimeout)};
  const auto abandoned = co_await rows_.abandon(context, std::move(id), options);
  if (!abandoned.ok()) log_.write_error("object_write_not_taken_back", abandoned.error());
  if (abandoned.ok()) {
    sweep_soon(context);
  } else {
    look_again(context);
  }
}

// ---- garbage

void ObjectWrites::sweep_soon(const Context& context) {
  look_again(context);
  if (!stopped_ && tasks_.size() < kMaxBackgroundTasks) tasks_.spawn(remove_due(context));
}

void ObjectWrites::remove_soon(const Context& context, std::vector<GarbageRow> garbage) {
  if (stopped_ || tasks_.size() >= kMaxBackgroundTasks) return look_again(context);
  tasks_.spawn(remove_now(context, std::move(garbage)));
}

Task<void> ObjectWrites::remove_now(Context context, std::vector<GarbageRow> garbage) {
  const CallOptions options{deadline_in(kTidyTimeout), &ending_};
  const auto removed = co_await take_out(context, std::move(garbage), options);
  if (!removed.ok()) look_again(context);
}

Task<void> ObjectWrites::remove_due(Context context) {
  const CallOptions options{deadline_in(kTidyTimeout), &ending_};
  const auto swept = co_await sweep(context, options);
  if (!swept.ok() && !stopped_) log_.write_error("objects_not_removed", swept.error());
}

Task<Result<void>> ObjectWrites::take_out(const Context& context, std::vector<GarbageRow> garbage,
                                          CallOptions options) {
  std::map<int, std::vector<GarbageRow>> by_store;
  for (GarbageRow& piece : garbage) by_store[piece.store].push_back(std::move(piece));
  Result<void> outcome;
  for (auto& [number, pieces] : by_store) {
    Result<void> taken;
    for (std::size_t first = 0; first < pieces.size() && taken.ok(); first += kRemovedAtOnce) {
      // What is not begun within the time stays due.
      if (std::chrono::steady_clock::now() >= options.deadline) co_return too_slow();
      const auto begin = pieces.begin() + static_cast<std::ptrdiff_t>(first);
      const auto end = begin + static_cast<std::ptrdiff_t>(std::min(kRemovedAtOnce, pieces.size() - first));
      std::vector<GarbageRow> some(std::make_move_iterator(begin), std::make_move_iterator(end));
      const CallOptions own{deadline_in(kTidyTimeout), options.cancel};
      taken = co_await take_out_of(context, number, std::move(some), own);
    }
    if (!taken.ok()) outcome = std::move(taken);
  }
  co_return outcome;
}

Task<Result<void>> ObjectWrites::take_out_of(const Context& context, int number,
                                             std::vector<GarbageRow> garbage, CallOptions options) {
  const auto opened = co_await stores_.open_number(context, number, options);
  // One that the tenant has no longer is out of reach for good.
  const bool is_gone = !opened.ok() && opened.error().code == ErrorCode::storage_not_configured;
  if (!opened.ok() && !is_gone) co_return Error(opened.error());
  std::vector<std::string> keys, failed;
  for (GarbageRow& piece : garbage) {
    if (!is_gone && !piece.upload.empty()) {
      const auto aborted =
          co_await opened->store->abort_upload(piece.store_key, std::move(piece.upload), options);
      if (!aborted.ok() && aborted.error().code != ErrorCode::not_found) {
        failed.push_back(std::move(piece.store_key));
        continue;
      }
    }
    keys.push_back(std::move(piece.store_key));
  }
  if (!failed.empty())
    CO_TRY_DO(co_await rows_.postpone_garbage(context, number, std::move(failed), options));
  if (keys.empty()) co_return Result<void>();
  if (!is_gone) {
    std::vector<std::string> doomed = keys;
    auto removed = co_await opened->store->remove(std::move(doomed), options);
    if (!removed.ok()) {
      CO_TRY_DO(co_await rows_.postpone_garbage(context, number, std::move(keys), options));
      co_return removed;
    }
  }
  co_return co_await rows_.forget_garbage(context, number, std::move(keys), options);
}

Task<Result<ObjectRows::Chores>> ObjectWrites::sweep(const Context& context, CallOptions options) {
  CO_TRY(auto chores, co_await rows_.chores(context, options));
  for (int round = 0; round < kSweepRounds && (chores.dead_writes || chores.garbage); ++round) {
    if (chores.dead_writes) CO_TRY_DO(co_await rows_.give_up_dead(context, options));
    CO_TRY(auto garbage, co_await rows_.due_garbage(context, options));
    CO_TRY_DO(co_await take_out(context, std::move(garbage), options));
    CO_TRY(chores, co_await rows_.chores(context, options));
  }
  co_return chores;
}

// ---- what was left behind

void ObjectWrites::look_again(const Context& context) {
  if (stopped_ || untidy_.size() >= kMaxUntidy) return;
  untidy_.try_emplace(context.tenant().id, Untidy{context, 0});
  if (!timer_) arm();
}

void ObjectWrites::arm() {
  timer_ = executor_.after(kLookAgain, [this] {
    timer_.reset();
    tasks_.spawn(look_again_now());
  });
}

Task<void> ObjectWrites::look_again_now() {
  auto untidy = std::exchange(untidy_, {});
  for (const auto& [id, one] : untidy) {
    if (stopped_) co_return;
    const CallOptions options{deadline_in(kTidyTimeout), &ending_};
    const auto chores = co_await sweep(one.context, options);
    if (chores.ok() ? chores->later : one.failed_looks < kMaxFailedLooks) {
      look_again(one.context);
      const auto entry = untidy_.find(id);
      if (!chores.ok() && entry != untidy_.end()) entry->second.failed_looks = one.failed_looks + 1;
    }
  }
}

Task<void> ObjectWrites::stop() {
  stopped_ = true;
  timer_ = executor_.after(kStopTimeout, [this] { ending_.cancel(); });
  co_await tasks_.join();
  timer_.reset();
}

}  // namespace rowhouse::objects
