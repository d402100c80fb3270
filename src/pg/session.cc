#include "pg/session.h"

#include <algorithm>
#include <coroutine>
#include <variant>

#include "base/effects.h"
#include "base/text.h"
#include "pg/connection.h"
#include "pg/session_impl.h"
#include "pg/statement_effect.h"

namespace rowhouse::pg {

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&& other) noexcept {
  std::swap(impl_, other.impl_);
  return *this;
}
Session::~Session() {
  if (impl_ && impl_->give_back) impl_->give_back(std::move(impl_->connection));
}

namespace {

// A context, and its number in the session.
struct NumberedContext {
  const TransactionContext& context;
  std::int64_t number;
};

// Awaits one statement, script or context on an exclusive connection.
struct ExclusiveAwaiter {
  ExclusiveConnection& connection;
  std::variant<const Statement*, const std::string*, const NumberedContext*> what;
  Deadline deadline;
  std::optional<Result<Rows>> outcome;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    auto done = [this, handle](Result<Rows> result) {
      outcome.emplace(std::move(result));
      handle.resume();
    };
    if (const auto* statement = std::get_if<const Statement*>(&what)) {
      connection.query(**statement, deadline, std::move(done));
    } else if (const auto* sql = std::get_if<const std::string*>(&what)) {
      connection.script(**sql, deadline, std::move(done));
    } else {
      const NumberedContext& token = *std::get<const NumberedContext*>(what);
      connection.set_context(token.context, token.number, deadline, std::move(done));
    }
  }
  Result<Rows> await_resume() { return std::move(*outcome); }
};

Task<Result<Rows>> run_on(ExclusiveAwaiter awaiter, CallOptions options) {
  ExclusiveConnection& connection = awaiter.connection;
  if (connection.broken()) co_return connection_error("the connection is lost");
  if (options.cancel != nullptr && options.cancel->cancelled()) co_return cancelled_error();
  CancelSource::Registration registration;
  if (options.cancel != nullptr) {
    registration = options.cancel->on_cancel([&connection] { connection.cancel(); });
  }
  Result<Rows> outcome = co_await awaiter;
  const bool cancelled = options.cancel != nullptr && options.cancel->cancelled();
  if (!outcome.ok() && cancelled) co_return cancelled_error();
  co_return outcome;
}

}  // namespace

Task<Result<Rows>> Session::query(const Statement& statement, CallOptions options) {
  ExclusiveAwaiter awaiter{*impl_->connection, &statement, options.deadline, std::nullopt};
  auto answer = run_on(std::move(awaiter), options);
  if (options.effects == nullptr) return answer;
  return watched(std::move(answer), effect_name(statement.sql), *options.effects);
}

Task<Result<void>> Session::script(const std::string& sql, CallOptions options) {
  ExclusiveAwaiter awaiter{*impl_->connection, &sql, options.deadline, std::nullopt};
  auto answer = run_on(std::move(awaiter), options);
  if (options.effects != nullptr) answer = watched(std::move(answer), effect_name(sql), *options.effects);
  auto outcome = co_await answer;
  if (!outcome.ok()) co_return std::move(outcome).error();
  co_return Result<void>();
}

Task<Result<void>> Session::begin(const TransactionContext* context, CallOptions options) {
  std::string begin_sql = "BEGIN";
  if (context == nullptr) co_return co_await script(begin_sql, options);
  // Which number the context will have is asked each time: there is no telling what the borrower has run.
  begin_sql += "; ";
  begin_sql += kContextNumberSql;
  ExclusiveAwaiter begun{*impl_->connection, &begin_sql, options.deadline, std::nullopt};
  auto outcome = co_await run_on(std::move(begun), options);
  if (outcome.ok()) {
    const auto last = outcome->size() == 1 ? parse_int64(outcome->text(0, 0)) : std::nullopt;
    const NumberedContext token{*context, last.value_or(0) + 1};
    ExclusiveAwaiter set{*impl_->connection, &token, options.deadline, std::nullopt};
    outcome = co_await run_on(std::move(set), options);
  }
  if (outcome.ok()) co_return Result<void>();
  if (outcome.error().detail(kSqlState).empty()) co_return std::move(outcome).error();
  co_return context_refused(outcome.error());
}

Task<Result<void>> Session::commit(CallOptions options) {
  // COMMIT of a failed transaction answers ROLLBACK without an error: that must not read as success.
  const Statement statement("COMMIT", {}, Access::write, Reuse::once);
  const bool failed = impl_->connection->in_failed_transaction();
  auto outcome = co_await query(statement, options);
  if (!outcome.ok()) co_return std::move(outcome).error();
  if (failed) co_return Error(ErrorCode::internal, "the transaction had failed and was rolled back");
  co_return Result<void>();
}

Task<Result<void>> Session::rollback(CallOptions options) {
  const std::string sql = "ROLLBACK";
  co_return co_await script(sql, options);
}

namespace {

struct ConnectAwaiter {
  net::Executor& executor;
  const ConnectionParameters& parameters;
  Deadline deadline;
  std::unique_ptr<ExclusiveConnection> connection;
  std::optional<Result<void>> outcome;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    connection = std::make_unique<ExclusiveConnection>(executor, parameters, deadline,
                                                       [this, handle](Result<void> result) {
                                                         outcome.emplace(std::move(result));
                                                         handle.resume();
                                                       });
  }
  void await_resume() const noexcept {}
};

}  // namespace

Task<Result<Session>> connect(net::Executor& executor, ConnectionParameters parameters, CallOptions options) {
  if (options.effects != nullptr) parameters.application_name = options.effects->label();
  const Deadline deadline = std::min(options.deadline, deadline_in(kConnectTimeout));
  ConnectAwaiter awaiter{executor, parameters, deadline, nullptr, std::nullopt};
  co_await awaiter;
  if (!awaiter.outcome->ok()) co_return std::move(*awaiter.outcome).error();
  Session session(std::make_unique<Session::Impl>(std::move(awaiter.connection), nullptr));
  if (options.effects != nullptr) CO_TRY_DO(co_await options.effects->admit());
  co_return session;
}

}  // namespace rowhouse::pg
