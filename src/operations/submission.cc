// How an operation begins.
#include <utility>

#include "operations/engine_impl.h"
#include "operations/nap.h"
#include "operations/step_run.h"
#include "pg/statement_effect.h"

namespace rowhouse::operations {
namespace {

using namespace std::chrono_literals;

// Until it is known whether a COMMIT without an answer has worked.
constexpr auto kLookAgainAfter = 200ms;

// In the place of a step, in points of one statement that is the whole submission.
constexpr const char* kSubmit = "submit";

// Whether the statement may have worked although it answered with this.
bool leaves_doubt(const Error& error) {
  return error.code == ErrorCode::database_unavailable || error.code == ErrorCode::statement_timeout ||
         error.code == ErrorCode::cancelled;
}

}  // namespace

struct Engine::Impl::Draft {
  Submission submission;
  const Kind* kind = nullptr;
  Uuid id;
  std::vector<std::string> steps;
  Store::Begin begin = Store::Begin::waiting;
  json::Value state{json::Object()}, output{json::Object()};
  Deadline valid_until;
};

Task<Result<Submitted>> Engine::submit(Submission submission, CallOptions options) {
  Impl& impl = *impl_;
  if (impl.state == Impl::State::stopped)
    co_return Error(ErrorCode::shutting_down, "the server is shutting down");
  Impl::Draft draft;
  draft.kind = impl.find_kind(submission.kind);
  if (draft.kind == nullptr)
    co_return Error(ErrorCode::internal, "there are no operations " + submission.kind);
  bool first_is_record = false;
  for (const Step& step : draft.kind->steps) {
    if (step.condition && !step.condition(submission.input)) continue;
    if (draft.steps.empty()) first_is_record = static_cast<bool>(step.run_record);
    draft.steps.push_back(step.name);
  }
  if (submission.first && !first_is_record) {
    co_return Error(ErrorCode::internal, "the first step of " + submission.kind + " is no record step");
  }
  draft.id = submission.id ? *submission.id : Uuid::make_v7(std::chrono::system_clock::now());
  draft.submission = std::move(submission);
  if (!draft.submission.request_key.empty()) {
    auto found = co_await impl.earlier(draft.submission, options);
    if (found.ok() || found.error().code != ErrorCode::not_found) co_return found;
  }
  // The place is kept while the statement is under way.
  const bool at_once = impl.state == Impl::State::running && impl.room() > 0;
  if (at_once) ++impl.reserved;
  draft.begin = at_once ? Store::Begin::started : Store::Begin::waiting;
  auto submitted = co_await impl.insert(draft, options);
  if (at_once) --impl.reserved;
  if (submitted.ok() && submitted->novelty == Submitted::Novelty::started) {
    impl.begin(draft);
  } else {
    impl.next_work();
  }
  co_return submitted;
}

std::unique_ptr<EffectGuard> Engine::submission_guard(std::string kind) {
  if (impl_->observer == nullptr) return nullptr;
  return std::make_unique<SubmissionGuard>(impl_->observer, std::move(kind), kSubmit);
}

Task<Result<Submitted>> Engine::Impl::earlier(const Submission& submission, CallOptions call) {
  CO_TRY(const auto found, co_await store.find_request(submission.request_key, call));
  if (!found) co_return Error(ErrorCode::not_found, "there is no such request");
  if (found->digest != submission.request_digest) {
    co_return Error(ErrorCode::idempotency_key_reused, "the idempotency key was used for another request");
  }
  Submitted submitted;
  submitted.id = found->id;
  submitted.novelty = Submitted::Novelty::repeated;
  co_return submitted;
}

Task<Result<Submitted>> Engine::Impl::insert(Draft& draft, CallOptions call) {
  bool inserted = false;
  if (draft.submission.first) {
    CO_TRY(inserted, co_await insert_with_first(draft, call));
  } else {
    CO_TRY(inserted, co_await insert_alone(draft, call));
  }
  if (!inserted) co_return co_await earlier(draft.submission, call);
  Submitted submitted;
  submitted.id = draft.id;
  co_return submitted;
}

// After an answer that did not come: whether the operation is there. `error` when it is not.
Task<Result<bool>> Engine::Impl::look_for(const Uuid& id, Error error, CallOptions call) {
  while (std::chrono::steady_clock::now() < call.deadline && state != State::stopped) {
    const CallOptions unwatched{call.deadline};
    const auto found = co_await store.exists(id, unwatched);
    if (found.ok()) {
      if (*found) co_return true;
      co_return error;
    }
    co_await nap(executor, kLookAgainAfter, &stopping);
  }
  co_return error;
}

// Neither this nor COMMIT is cancelled when the caller goes away: it would be known to nobody until its lease
// runs out.
Task<Result<bool>> Engine::Impl::insert_alone(Draft& draft, CallOptions call) {
  SubmissionGuard guard(observer, draft.kind->name, kSubmit);
  const pg::Statement statement =
      store.insert_statement(draft.submission, draft.id, draft.steps, 0, draft.begin);
  draft.valid_until = std::chrono::steady_clock::now() + options.lease;
  const CallOptions uncancelled{call.deadline};
  const std::string effect = pg::effect_name(statement.sql);
  CO_TRY_DO(co_await guard.around(EffectGuard::Moment::before, effect));
  auto rows = co_await store.platform().run(nullptr, statement, uncancelled);
  if (rows.ok()) {
    auto told = co_await guard.around(EffectGuard::Moment::after, effect);
    if (!told.ok()) rows = std::move(told).error();
  }
  if (rows.ok()) co_return rows->size() == 1;
  if (!leaves_doubt(rows.error())) co_return std::move(rows).error();
  co_return co_await look_for(draft.id, std::move(rows).error(), call);
}

Task<Result<bool>> Engine::Impl::insert_with_first(Draft& draft, CallOptions call) {
  const CallOptions own{call.deadline, call.cancel};
  SubmissionGuard guard(observer, draft.kind->name, draft.steps.front());
  const CallOptions watched{call.deadline, call.cancel, &guard};
  CO_TRY(auto session, co_await store.platform().acquire(own));
  // A frozen process must not keep those waiting who came with the same request key.
  const std::string begin =
      "BEGIN; SET LOCAL idle_in_transaction_session_timeout = " + std::to_string(options.lease.count());
  CO_TRY_DO(co_await session.script(begin, own));
  const pg::Statement statement =
      store.insert_statement(draft.submission, draft.id, draft.steps, 1, draft.begin);
  draft.valid_until = std::chrono::steady_clock::now() + options.lease;
  CO_TRY(const auto rows, co_await session.query(statement, own));
  const CallOptions ending{call.deadline};
  if (rows.size() == 0) {
    CO_TRY_DO(co_await session.rollback(ending));
    co_return false;
  }
  SubmissionRun run(draft.submission, draft.id, watched);
  auto first = co_await draft.submission.first(run, session);
  if (!first.ok()) {
    const auto rolled_back = co_await session.rollback(ending);
    if (!rolled_back.ok()) log.write_error("rollback_failed", rolled_back.error());
    co_return std::move(first).error();
  }
  draft.state = run.state();
  draft.output = run.output();
  const json::Value nothing{json::Object()};
  if (draft.state != nothing || draft.output != nothing) {
    const pg::Statement noted = store.state_statement(draft.id, draft.state, draft.output);
    CO_TRY_DO(co_await session.query(noted, own));
  }
  const CallOptions committing{call.deadline, nullptr, &guard};
  auto committed = co_await session.commit(committing);
  if (committed.ok()) co_return true;
  if (!leaves_doubt(committed.error())) co_return std::move(committed).error();
  co_return co_await look_for(draft.id, std::move(committed).error(), call);
}

void Engine::Impl::begin(Draft& draft) {
  if (state == State::stopped) return;  // its lease runs out, and another begins
  if (draft.begin == Store::Begin::waiting) {
    wake(draft.id);
    return;
  }
  Stored stored;
  stored.lease.operation = draft.id;
  stored.lease.epoch = 1;
  stored.kind = draft.kind->name;
  stored.tenant = draft.submission.tenant;
  stored.status = OperationStatus::running;
  stored.requested_by = draft.submission.requested_by;
  stored.input = draft.submission.input.is_null() ? json::Value(json::Object()) : draft.submission.input;
  stored.state = std::move(draft.state);
  stored.output = std::move(draft.output);
  for (const std::string& name : draft.steps) {
    StoredStep& step = stored.steps.emplace_back();
    step.name = name;
    if (draft.submission.first && stored.steps.size() == 1) {
      step.status = StepStatus::done;
      step.attempts = 1;
    }
  }
  launch(std::move(stored), draft.valid_until);
}

}  // namespace rowhouse::operations
