// Runs calls of FileSystems on threads that may block, from coroutines, each FileSystem in its turn.
//
// Belongs to one executor's thread; outlives every call. Errors: those of the work; cancelled; and
// server_unreachable when the deadline passes before a turn comes.
#pragma once

#include <coroutine>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "net/blocking_work.h"
#include "net/executor.h"
#include "storage/blocking_store.h"
#include "storage/file_system.h"

namespace rowhouse::storage {

struct LaneWaiter {
  std::coroutine_handle<> handle;
  enum class State { waiting, granted, given_up } state = State::waiting;
};

struct Lane {
  std::unique_ptr<FileSystem> files;
  bool busy = false;
  std::deque<LaneWaiter*> waiting;
  std::size_t users = 0;
};

// An object or a call that goes on in one lane: files that were opened there can only be used there.
class LaneUse {
 public:
  explicit LaneUse(Lane& lane) : lane_(&lane) { ++lane_->users; }
  LaneUse(LaneUse&& other) noexcept : lane_(std::exchange(other.lane_, nullptr)) {}
  LaneUse& operator=(LaneUse&&) = delete;
  ~LaneUse() {
    if (lane_ != nullptr) --lane_->users;
  }
  Lane& lane() const { return *lane_; }

 private:
  Lane* lane_;
};

// cancelled, or server_unreachable if the time is over.
Result<void> check_time(const CallOptions& options);

class Lanes {
 public:
  Lanes(net::Executor& executor, net::BlockingWork& work, std::vector<std::unique_ptr<FileSystem>> files,
        BlockingStoreOptions::Sharing sharing);

  LaneUse choose();  // the one with the fewest users

  template <class T>
  Task<Result<T>> call(Lane& lane, std::function<Result<T>(FileSystem&)> work, CallOptions options) {
    CO_TRY_DO(co_await enter(lane, options));
    std::optional<Result<T>> result;
    FileSystem& files = *lane.files;
    std::function<void()> job = [&result, &work, &files] { result.emplace(work(files)); };
    const Result<void> ran = co_await run(job, options);
    leave(lane);
    if (!ran.ok()) co_return ran.error();
    co_return std::move(*result);
  }

  // For work that may be done twice: tried again with growing pauses while the server cannot be reached.
  template <class T>
  Task<Result<T>> call_again(Lane& lane, std::function<Result<T>(FileSystem&)> work, CallOptions options) {
    for (int attempt = 1;; ++attempt) {
      Result<T> result = co_await call<T>(lane, work, options);
      if (result.ok() || !may_pass(result.error())) co_return result;
      const bool again = co_await pause(attempt, options);
      if (!again) co_return final_error(std::move(result).error());
    }
  }

  // For the last step of a put: the file that it replaces may be in use for a while.
  template <class T>
  Task<Result<T>> call_patiently(Lane& lane, std::function<Result<T>(FileSystem&)> work,
                                 CallOptions options) {
    for (int attempt = 1;; ++attempt) {
      Result<T> result = co_await call<T>(lane, work, options);
      if (result.ok() || result.error().code != ErrorCode::overloaded) co_return result;
      const bool again = co_await pause_for_use(attempt, options);
      if (!again) co_return final_error(std::move(result).error());
    }
  }

 private:
  Task<Result<void>> enter(Lane& lane, CallOptions options);
  void leave(Lane& lane);
  Task<Result<void>> run(std::function<void()> job, CallOptions options);
  Task<bool> pause(int attempt, CallOptions options);  // false: no further try
  Task<bool> pause_for_use(int attempt, CallOptions options);
  // A FileSystem says overloaded of a file that is in use.
  static bool may_pass(const Error& error) {
    return error.code == ErrorCode::server_unreachable || error.code == ErrorCode::overloaded;
  }
  static Error final_error(Error error) {
    if (error.code == ErrorCode::overloaded) error.code = ErrorCode::storage_failed;
    return error;
  }

  net::Executor& executor_;
  net::BlockingWork& work_;
  std::vector<Lane> lanes_;
  BlockingStoreOptions::Sharing sharing_;
};

}  // namespace rowhouse::storage
