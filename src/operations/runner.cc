#include "operations/runner.h"

#include <algorithm>
#include <utility>

#include "operations/error_json.h"
#include "operations/nap.h"

namespace rowhouse::operations {
namespace {

using namespace std::chrono_literals;

constexpr auto kStoreDeadline = 5s;
constexpr auto kWriteAgainAfter = 100ms;
constexpr auto kEndSessionsDeadline = 10s;
constexpr std::chrono::milliseconds kEndSessionsAgainAfter = 1s;
constexpr std::chrono::milliseconds kAtOnce = 0ms;

Error not_here() { return Error(ErrorCode::cancelled, "the operation does not go on here"); }

// Whether there is something that an undo has to look at.
bool has_begun(StepStatus status) {
  return status == StepStatus::running || status == StepStatus::done || status == StepStatus::failed ||
         status == StepStatus::undoing;
}

}  // namespace

const Step* Runner::find_step(const std::string& name) const {
  for (const Step& step : held_.kind.steps) {
    if (step.name == name) return &step;
  }
  return nullptr;
}

void Runner::mark(std::size_t index, StepStatus status) {
  held_.stored.steps[index].status = status;
  dirty_.insert(index);
}

void Runner::log_step(std::string_view event, std::size_t index, const Error* error) const {
  const Stored& stored = held_.stored;
  const StoredStep& step = stored.steps[index];
  const std::string operation = stored.lease.operation.to_string();
  const bool undoing = stored.status == OperationStatus::undoing;
  const int attempt = undoing ? step.undo_attempts : step.attempts;
  const std::string_view direction = undoing ? "undo" : "run";
  if (error == nullptr) {
    shop_.log.write(observe::Level::info, event,
                    {{"operation", operation},
                     {"kind", stored.kind},
                     {"step", step.name},
                     {"direction", direction},
                     {"attempt", attempt}});
  } else {
    shop_.log.write_error(event, *error,
                          {{"operation", operation},
                           {"kind", stored.kind},
                           {"step", step.name},
                           {"direction", direction},
                           {"attempt", attempt},
                           {"sqlstate", error->detail(pg::kSqlState)}});
  }
}

// ----------------------------------------------------------------------------------------------------------
// the row

Task<bool> Runner::write(Change change) {
  change.steps.assign(dirty_.begin(), dirty_.end());
  ++held_.stored.writes;
  const pg::Statement statement = shop_.store.change_statement(held_.stored, change);
  while (!held_.lost()) {
    const auto before = std::chrono::steady_clock::now();
    const CallOptions options{deadline_in(kStoreDeadline)};
    const auto rows = co_await shop_.store.platform().run(nullptr, statement, options);
    if (rows.ok()) {
      if (rows->size() == 0) break;
      held_.valid_until = before + shop_.store.lease();
      held_.take_wishes(Store::wishes_of(*rows));
      dirty_.clear();
      unsaved_ = false;
      co_return true;
    }
    const std::string operation = held_.stored.lease.operation.to_string();
    if (!is_transient(rows.error())) {
      shop_.log.write_error("operation_not_recorded", rows.error(), {{"operation", operation}});
      break;
    }
    // Another may take over from here on; there the operation stands as it was written last.
    if (held_.expired() || held_.stop == Held::Stop::stopping) break;
    co_await nap(shop_.executor, kWriteAgainAfter, nullptr);
  }
  held_.lose();
  taken_away();
  co_return false;
}

Task<bool> Runner::flush() {
  if (dirty_.empty() && !unsaved_) co_return true;
  co_return co_await write(Change());
}

// What PostgreSQL has, after an answer that did not come.
Task<bool> Runner::reload() {
  while (!held_.lost()) {
    const CallOptions options{deadline_in(kStoreDeadline)};
    auto loaded = co_await shop_.store.load(held_.stored.lease, options);
    if (loaded.ok()) {
      if (!loaded->has_value()) break;
      (*loaded)->writes = held_.stored.writes;
      held_.stored = std::move(**loaded);
      dirty_.clear();
      unsaved_ = false;
      co_return true;
    }
    if (held_.expired() || held_.stop == Held::Stop::stopping) break;
    co_await nap(shop_.executor, kWriteAgainAfter, nullptr);
  }
  held_.lose();
  co_return false;
}

Runner::Next Runner::taken_away() {
  taken_away_ = true;
  return Next::over;
}

Task<Runner::Next> Runner::give_back(std::chrono::milliseconds run_after) {
  Change change;
  change.lease = Change::Lease::give_back;
  change.run_after = run_after;
  co_await write(std::move(change));
  co_return Next::over;
}

Task<Runner::Next> Runner::finish(OperationStatus status, std::string event) {
  Stored& stored = held_.stored;
  stored.status = status;
  if (status == OperationStatus::succeeded) stored.error = json::Value();
  if (status == OperationStatus::undone || status == OperationStatus::cancelled)
    stored.error = stored.failure;
  Change change;
  change.lease = Change::Lease::give_back;
  change.event = event;
  if (!co_await write(std::move(change))) co_return Next::over;
  const std::string operation = stored.lease.operation.to_string();
  std::string name = event.empty() ? "operation.paused" : event;
  std::replace(name.begin(), name.end(), '.', '_');
  const auto level = status == OperationStatus::failed ? observe::Level::error : observe::Level::info;
  shop_.log.write(level, name, {{"operation", operation}, {"kind", stored.kind}});
  co_return Next::over;
}

// ----------------------------------------------------------------------------------------------------------
// the way

Task<Runner::End> Runner::run() {
  const std::string operation = held_.stored.lease.operation.to_string();
  const bool resumed = held_.stored.lease.epoch > 1;
  sessions_may_linger_ = resumed;
  shop_.log.write(observe::Level::info, resumed ? "operation_resumed" : "operation_started",
                  {{"operation", operation},
                   {"kind", held_.stored.kind},
                   {"tenant", held_.stored.tenant ? held_.stored.tenant->to_string() : std::string()},
                   {"epoch", held_.stored.lease.epoch}});
  Next next = Next::go_on;
  while (next == Next::go_on) next = co_await turn();
  if (taken_away_) {
    shop_.log.write(observe::Level::warning, "operation_lease_lost",
                    {{"operation", operation}, {"kind", held_.stored.kind}});
  }
  co_return next == Next::unknown ? End::unknown : End::over;
}

Task<void> Runner::leave() { co_await give_back(kAtOnce); }

Task<Runner::Next> Runner::turn() {
  if (held_.lost()) co_return taken_away();
  if (held_.stop == Held::Stop::stopping) co_return co_await give_back(kAtOnce);
  const bool alone = co_await end_older_sessions();
  if (!alone) co_return co_await give_back(kEndSessionsAgainAfter);
  if (held_.stored.status == OperationStatus::undoing) co_return co_await backward();
  co_return co_await forward();
}

void Runner::begin_undo(const Error& error, std::string_view step) {
  Stored& stored = held_.stored;
  stored.failure = error_to_json(error, step);
  stored.error = stored.failure;
  stored.status = OperationStatus::undoing;
  unsaved_ = true;
  const std::string operation = stored.lease.operation.to_string();
  shop_.log.write_error("operation_undoing", error,
                        {{"operation", operation}, {"kind", stored.kind}, {"step", step}});
}

Task<Runner::Next> Runner::forward() {
  Stored& stored = held_.stored;
  std::size_t index = 0;
  while (index < stored.steps.size() && stored.steps[index].status == StepStatus::done) ++index;
  if (stored.cancel_requested && held_.may_cancel()) {
    const Error error(ErrorCode::cancelled, "cancelled by " + stored.cancel_requested_by);
    const std::string step = index < stored.steps.size() ? stored.steps[index].name : std::string();
    begin_undo(error, step);
    if (held_.kind.on_failure == OnFailure::undo) co_return Next::go_on;
    co_return co_await finish(OperationStatus::cancelled, "operation.cancelled");
  }
  if (index == stored.steps.size()) {
    co_return co_await finish(OperationStatus::succeeded, "operation.succeeded");
  }
  if (stored.pause_requested) co_return co_await finish(OperationStatus::paused, "");
  const Step* step = find_step(stored.steps[index].name);
  if (step == nullptr) co_return Next::unknown;
  co_return co_await run_step(index, *step, Direction::run);
}

Task<Runner::Next> Runner::backward() {
  Stored& stored = held_.stored;
  std::size_t count = stored.steps.size();
  while (count > 0 && !has_begun(stored.steps[count - 1].status)) --count;
  if (count == 0) {
    const json::Value* code = stored.failure.find("code");
    const bool cancelled = code != nullptr && *code == json::Value(error_code_name(ErrorCode::cancelled));
    if (cancelled) co_return co_await finish(OperationStatus::cancelled, "operation.cancelled");
    co_return co_await finish(OperationStatus::undone, "operation.undone");
  }
  const std::size_t index = count - 1;
  const Step* step = find_step(stored.steps[index].name);
  if (step == nullptr) co_return Next::unknown;
  if (!step->undo_effect && !step->undo_record) {
    mark(index, StepStatus::undone);
    co_return Next::go_on;
  }
  co_return co_await run_step(index, *step, Direction::undo);
}

// ----------------------------------------------------------------------------------------------------------
// one step

CallOptions Runner::attempt_options(const Step& step, Fence& fence) const {
  return CallOptions{deadline_in(step.timeout), held_.attempt.get(), &fence};
}

Task<Runner::Next> Runner::run_step(std::size_t index, const Step& step, Direction direction) {
  Result<void> outcome;
  if (step.run_record) {
    outcome = co_await run_record(index, step, direction);
  } else {
    outcome = co_await run_effect(index, step, direction);
  }
  held_.attempt.reset();
  if (held_.lost()) co_return taken_away();
  if (!outcome.ok()) {
    if (direction == Direction::run) co_return co_await failed(index, step, std::move(outcome).error());
    co_return co_await undo_failed(index, step, std::move(outcome).error());
  }
  held_.stored.steps[index].error = json::Value();
  log_step(direction == Direction::run ? "operation_step_done" : "operation_step_undone", index, nullptr);
  co_return Next::go_on;
}

// Sessions that earlier attempts left on the server, here or on a node that lost the lease, may still work.
// Between attempts there is none of this lease that anybody needs.
Task<bool> Runner::end_older_sessions() {
  if (!sessions_may_linger_ || !shop_.end_sessions) co_return true;
  const CallOptions options{deadline_in(kEndSessionsDeadline)};
  std::string prefix = session_prefix(held_.stored.lease.operation);
  std::string own = prefix + std::to_string(held_.stored.lease.epoch) + ".0";
  const auto ended = co_await shop_.end_sessions(std::move(prefix), std::move(own), options);
  if (ended.ok()) {
    sessions_may_linger_ = false;
    co_return true;
  }
  const std::string operation = held_.stored.lease.operation.to_string();
  shop_.log.write_error("operation_sessions_not_ended", ended.error(), {{"operation", operation}});
  co_return false;
}

Task<Result<void>> Runner::run_effect(std::size_t index, const Step& step, Direction direction) {
  Stored& stored = held_.stored;
  const bool forward = direction == Direction::run;
  const int attempt = forward ? ++stored.steps[index].attempts : ++stored.steps[index].undo_attempts;
  mark(index, forward ? StepStatus::running : StepStatus::undoing);
  Change begun;
  if (!co_await write(std::move(begun))) co_return not_here();
  if (held_.stop != Held::Stop::none) co_return not_here();
  if (forward && stored.cancel_requested && held_.may_cancel()) co_return not_here();

  held_.attempt = std::make_unique<CancelSource>();
  Fence fence(held_, shop_.store, shop_.observer, step.name, direction);
  const CallOptions options = attempt_options(step, fence);
  const Error failure = error_from_json(stored.failure);
  StepRun run(held_, shop_.store, attempt, forward ? nullptr : &failure, options, StepRun::Storing::at_once);
  Result<void> outcome = co_await fence.around_step(EffectGuard::Moment::before);
  if (outcome.ok()) {
    const Effect& effect = forward ? step.run_effect : step.undo_effect;
    outcome = co_await effect(run);
  }
  if (outcome.ok()) outcome = co_await fence.around_step(EffectGuard::Moment::after);
  if (!outcome.ok()) sessions_may_linger_ = true;
  if (outcome.ok()) mark(index, forward ? StepStatus::done : StepStatus::undone);
  co_return outcome;
}

Task<Result<void>> Runner::run_record(std::size_t index, const Step& step, Direction direction) {
  if (!co_await flush()) co_return not_here();
  if (held_.stop != Held::Stop::none) co_return not_here();
  const bool forward = direction == Direction::run;
  StoredStep& stored_step = held_.stored.steps[index];
  const int attempt = forward ? ++stored_step.attempts : ++stored_step.undo_attempts;
  const json::Value state = held_.stored.state;
  const json::Value output = held_.stored.output;

  held_.attempt = std::make_unique<CancelSource>();
  Fence fence(held_, shop_.store, shop_.observer, step.name, direction);
  Commit commit = Commit::not_sent;
  Result<void> outcome = co_await fence.around_step(EffectGuard::Moment::before);
  if (outcome.ok()) outcome = co_await in_transaction(index, step, fence, direction, commit);
  if (outcome.ok()) outcome = co_await fence.around_step(EffectGuard::Moment::after);
  if (outcome.ok()) co_return outcome;

  if (commit == Commit::sent) {
    if (!co_await reload()) co_return outcome;
    const StepStatus wanted = forward ? StepStatus::done : StepStatus::undone;
    if (held_.stored.steps[index].status == wanted) co_return Result<void>();
  }
  // As if it had never been, but for the count of attempts.
  held_.stored.state = state;
  held_.stored.output = output;
  (forward ? held_.stored.steps[index].attempts : held_.stored.steps[index].undo_attempts) = attempt;
  co_return outcome;
}

namespace {

class Flag {
 public:
  explicit Flag(bool& flag) : flag_(flag) { flag_ = true; }
  ~Flag() { flag_ = false; }
  Flag(const Flag&) = delete;
  Flag& operator=(const Flag&) = delete;

 private:
  bool& flag_;
};

}  // namespace

Task<Result<void>> Runner::in_transaction(std::size_t index, const Step& step, Fence& fence,
                                          Direction direction, Commit& commit) {
  const bool forward = direction == Direction::run;
  const StepStatus wanted = forward ? StepStatus::done : StepStatus::undone;
  const CallOptions own{deadline_in(step.timeout), held_.attempt.get()};
  CO_TRY(auto session, co_await shop_.store.platform().acquire(own));
  // A frozen process must not keep the row locked: nobody could take over.
  const std::string begin =
      "BEGIN; SET LOCAL idle_in_transaction_session_timeout = " + std::to_string(shop_.store.lease().count());
  CO_TRY_DO(co_await session.script(begin, own));
  const pg::Statement lock = shop_.store.lock_statement(held_.stored.lease, index);
  CO_TRY(const auto locked, co_await session.query(lock, own));
  if (locked.size() == 0) {
    held_.lose();
    co_return not_here();
  }
  if (locked.text(0, 0) == step_status_name(wanted)) {
    commit = Commit::sent;  // by an attempt whose answer was lost
    co_return Error(ErrorCode::conflict, "the step is done already");
  }
  const Flag flag(held_.in_transaction);
  const Error failure = error_from_json(held_.stored.failure);
  const int attempt = forward ? held_.stored.steps[index].attempts : held_.stored.steps[index].undo_attempts;
  StepRun run(held_, shop_.store, attempt, forward ? nullptr : &failure, attempt_options(step, fence),
              StepRun::Storing::with_the_step);
  const Record& record = forward ? step.run_record : step.undo_record;
  auto outcome = co_await record(run, session);
  const CallOptions at_the_end{deadline_in(kStoreDeadline)};
  if (!outcome.ok()) {
    const auto rolled_back = co_await session.rollback(at_the_end);
    if (!rolled_back.ok()) observe::process_log().write_error("rollback_failed", rolled_back.error());
    co_return outcome;
  }
  Stored after = held_.stored;
  after.writes = ++held_.stored.writes;
  after.steps[index].status = wanted;
  after.steps[index].error = json::Value();
  Change change;
  change.steps = {index};
  const auto before = std::chrono::steady_clock::now();
  const pg::Statement recorded = shop_.store.change_statement(after, change);
  CO_TRY(const auto rows, co_await session.query(recorded, at_the_end));
  if (rows.size() == 0) {
    held_.lose();
    co_return not_here();
  }
  commit = Commit::sent;
  const CallOptions committing{deadline_in(kStoreDeadline), nullptr, &fence};
  CO_TRY_DO(co_await session.commit(committing));
  held_.stored.steps[index].status = wanted;
  held_.valid_until = before + shop_.store.lease();
  held_.take_wishes(Store::wishes_of(rows));
  co_return Result<void>();
}

}  // namespace rowhouse::operations
