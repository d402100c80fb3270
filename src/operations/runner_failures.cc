// What becomes of a step that did not work.
#include <algorithm>
#include <utility>

#include "crypto/crypto.h"
#include "operations/error_json.h"
#include "operations/nap.h"
#include "operations/runner.h"

namespace rowhouse::operations {
namespace {

using namespace std::chrono_literals;

// A longer wait gives the lease back.
constexpr auto kLongestNap = 1s;

// Between half and all of it, so that what failed together is not tried again together.
std::chrono::milliseconds with_jitter(std::chrono::milliseconds delay) {
  const std::string random = crypto::random_bytes(2);
  const auto low = static_cast<unsigned char>(random[0]);
  const auto high = static_cast<unsigned char>(random[1]);
  const std::int64_t share = low + 256 * high;  // 0 to 65535
  return delay / 2 + delay * share / (2 * 65'536);
}

std::chrono::milliseconds delay_after(const Retry& retry, int attempt) {
  auto delay = retry.first_delay;
  for (int i = 1; i < attempt && delay < retry.max_delay; ++i) delay *= 2;
  return with_jitter(std::min(delay, retry.max_delay));
}

}  // namespace

Task<Runner::Next> Runner::failed(std::size_t index, const Step& step, Error error) {
  Stored& stored = held_.stored;
  StoredStep& stored_step = stored.steps[index];
  if (held_.stop == Held::Stop::stopping || is_paused(error)) {
    // It goes on later; this was no attempt that failed.
    --stored_step.attempts;
    dirty_.insert(index);
    co_return Next::go_on;
  }
  stored_step.error = error_to_json(error, step.name);
  dirty_.insert(index);
  if (stored.cancel_requested && held_.may_cancel()) co_return Next::go_on;
  stored.error = stored_step.error;
  unsaved_ = true;
  log_step("operation_step_failed", index, &error);
  const bool again = is_transient(error) && stored_step.attempts < step.retry.attempts;
  if (again || held_.kind.on_failure == OnFailure::keep_trying) {
    co_return co_await retry_later(step, stored_step.attempts);
  }
  mark(index, StepStatus::failed);
  if (held_.kind.on_failure == OnFailure::stop) {
    co_return co_await finish(OperationStatus::failed, "operation.failed");
  }
  begin_undo(error, step.name);
  co_return Next::go_on;
}

Task<Runner::Next> Runner::undo_failed(std::size_t index, const Step& step, Error error) {
  Stored& stored = held_.stored;
  StoredStep& stored_step = stored.steps[index];
  dirty_.insert(index);
  if (held_.stop == Held::Stop::stopping) {
    --stored_step.undo_attempts;
    co_return Next::go_on;
  }
  stored_step.error = error_to_json(error, step.name);
  log_step("operation_undo_failed", index, &error);
  if (stored_step.undo_attempts < step.retry.attempts) {
    co_return co_await retry_later(step, stored_step.undo_attempts);
  }
  mark(index, StepStatus::failed);
  stored.error = stored_step.error;
  co_return co_await finish(OperationStatus::failed, "operation.failed");
}

Task<Runner::Next> Runner::retry_later(const Step& step, int attempt) {
  const auto delay = delay_after(step.retry, attempt);
  if (delay <= kLongestNap) {
    held_.attempt = std::make_unique<CancelSource>();
    co_await nap(shop_.executor, delay, held_.attempt.get());
    held_.attempt.reset();
    co_return Next::go_on;
  }
  Change change;
  change.lease = Change::Lease::give_back;
  change.run_after = delay;
  co_await write(std::move(change));
  co_return Next::over;
}

}  // namespace rowhouse::operations
