#include "storage/lanes.h"

#include <algorithm>
#include <chrono>
#include <random>

namespace rowhouse::storage {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstPause{100};
constexpr milliseconds kFirstQueuePause{2};
constexpr milliseconds kMaxQueuePause{50};
constexpr milliseconds kUsePause{60};
constexpr int kMaxUseTries = 200;  // 6 to 12 s

// Between a half and the whole, so that many do not come back at the same moment.
milliseconds with_jitter(milliseconds pause) {
  static thread_local std::minstd_rand generator{std::random_device{}()};
  std::uniform_int_distribution<milliseconds::rep> some(pause.count() / 2, pause.count());
  return milliseconds(some(generator));
}

milliseconds time_left(const CallOptions& options) {
  return std::chrono::duration_cast<milliseconds>(options.deadline - std::chrono::steady_clock::now());
}

struct TurnAwaiter {
  LaneWaiter& waiter;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) noexcept { waiter.handle = handle; }
  void await_resume() const noexcept {}
};

}  // namespace

Result<void> check_time(const CallOptions& options) {
  if (options.cancel != nullptr && options.cancel->cancelled()) {
    return Error(ErrorCode::cancelled, "the caller went away");
  }
  if (time_left(options) <= milliseconds(0)) {
    return Error(ErrorCode::server_unreachable, "the storage did not answer in time");
  }
  return {};
}

Lanes::Lanes(net::Executor& executor, net::BlockingWork& work, std::vector<std::unique_ptr<FileSystem>> files,
             BlockingStoreOptions::Sharing sharing)
    : executor_(executor), work_(work), sharing_(sharing) {
  for (auto& one : files) lanes_.emplace_back().files = std::move(one);
}

LaneUse Lanes::choose() {
  const auto fewer = [](const Lane& a, const Lane& b) { return a.users < b.users; };
  return LaneUse(*std::min_element(lanes_.begin(), lanes_.end(), fewer));
}

Task<Result<void>> Lanes::enter(Lane& lane, CallOptions options) {
  CO_TRY_DO(check_time(options));
  if (sharing_ == BlockingStoreOptions::Sharing::many_calls) co_return Result<void>();
  if (!lane.busy) {
    lane.busy = true;
    co_return Result<void>();
  }
  LaneWaiter waiter;
  lane.waiting.push_back(&waiter);
  const auto give_up = [this, &lane, &waiter] {
    if (waiter.state != LaneWaiter::State::waiting) return;
    waiter.state = LaneWaiter::State::given_up;
    std::erase(lane.waiting, &waiter);
    executor_.post([handle = waiter.handle] { handle.resume(); });
  };
  const std::unique_ptr<net::Timer> timer = executor_.after(time_left(options) + milliseconds(1), give_up);
  CancelSource::Registration registration;
  if (options.cancel != nullptr) registration = options.cancel->on_cancel(give_up);
  TurnAwaiter awaiter{waiter};
  co_await awaiter;
  if (waiter.state == LaneWaiter::State::granted) co_return Result<void>();
  if (const auto checked = check_time(options); !checked.ok()) co_return checked.error();
  co_return Error(ErrorCode::server_unreachable, "the storage did not answer in time");
}

// The lane stays busy when it goes to the next one in the queue.
void Lanes::leave(Lane& lane) {
  if (sharing_ == BlockingStoreOptions::Sharing::many_calls) return;
  if (lane.waiting.empty()) {
    lane.busy = false;
    return;
  }
  LaneWaiter* next = lane.waiting.front();
  lane.waiting.pop_front();
  next->state = LaneWaiter::State::granted;
  executor_.post([handle = next->handle] { handle.resume(); });
}

// A full queue is no failure of a transfer under way: it waits, as it would for a slow disk.
Task<Result<void>> Lanes::run(std::function<void()> job, CallOptions options) {
  for (milliseconds wait = kFirstQueuePause;; wait = std::min(wait * 2, kMaxQueuePause)) {
    Result<void> ran = co_await work_.run(executor_, job, options);
    if (ran.ok() || ran.error().code != ErrorCode::overloaded) co_return ran;
    CO_TRY_DO(check_time(options));
    co_await net::sleep_for(executor_, with_jitter(wait));
  }
}

Task<bool> Lanes::pause(int attempt, CallOptions options) {
  if (attempt >= kMaxAttempts) co_return false;
  const milliseconds wait = with_jitter(kFirstPause * (1 << (2 * attempt - 2)));
  if (wait >= time_left(options)) co_return false;
  co_await net::sleep_for(executor_, wait);
  co_return check_time(options).ok();
}

Task<bool> Lanes::pause_for_use(int attempt, CallOptions options) {
  if (attempt >= kMaxUseTries) co_return false;
  co_await net::sleep_for(executor_, with_jitter(kUsePause));
  co_return check_time(options).ok();
}

}  // namespace rowhouse::storage
