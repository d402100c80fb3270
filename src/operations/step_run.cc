#include "operations/step_run.h"

#include <utility>

namespace rowhouse::operations {
namespace {

using namespace std::chrono_literals;

constexpr auto kStoreDeadline = 5s;
constexpr auto kProgressEvery = 250ms;

}  // namespace

Result<void> StepRun::outcome_of(bool held) {
  if (held) return {};
  held_.lose();
  return Error(ErrorCode::cancelled, "another has taken the operation over");
}

Task<Result<void>> StepRun::save() {
  if (storing_ == Storing::with_the_step) co_return Result<void>();
  const CallOptions options{deadline_in(kStoreDeadline), options_.cancel};
  const json::Value& state = held_.stored.state;
  std::string text = state.is_null() ? std::string("{}") : json::serialize(state);
  CO_TRY(const bool held, co_await store_.save_state(held_.stored.lease, std::move(text), options));
  co_return outcome_of(held);
}

Task<Result<void>> StepRun::progress(std::int64_t done, std::int64_t total, std::string what) {
  if (storing_ == Storing::with_the_step) co_return Result<void>();
  const auto now = std::chrono::steady_clock::now();
  const bool last = total > 0 && done >= total;
  if (!last && last_progress_ && now - *last_progress_ < kProgressEvery) co_return Result<void>();
  last_progress_ = now;
  Progress progress;
  progress.done = done;
  progress.total = total;
  progress.what = std::move(what);
  const CallOptions options{deadline_in(kStoreDeadline), options_.cancel};
  const auto held = co_await store_.save_progress(held_.stored.lease, std::move(progress), options);
  // Progress that cannot be shown for a moment is no reason to stop.
  if (!held.ok()) co_return Result<void>();
  co_return outcome_of(*held);
}

}  // namespace rowhouse::operations
