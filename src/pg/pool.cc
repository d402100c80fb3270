#include "pg/pool.h"

#include <algorithm>
#include <coroutine>
#include <deque>
#include <list>

#include "base/effects.h"
#include "base/text.h"
#include "pg/pipelined_connection.h"
#include "pg/session_impl.h"
#include "pg/statement_effect.h"

namespace rowhouse::pg {
namespace {

using namespace std::chrono_literals;

// Deadlines and abandoned requests are looked after at this pace, and only while there are any.
constexpr auto kTick = 50ms;
// A connection whose oldest request has run this long gets no further ones: they would wait for it.
constexpr auto kStalledAfter = 20ms;
// A request that lost its prepared statement, whose context was refused, or that was hit by another's cancel,
// is run again; it did not take effect.
constexpr int kMaxAttempts = 3;

// Of the answer to PoolOptions::session_check.
constexpr std::size_t kContextNumberColumn = 1;

bool hit_by_foreign_cancel(const Error& error) { return !error.detail(kCancelledForAnother).empty(); }

// The prepared statement is gone, or "cached plan must not change result type" after a migration.
bool lost_its_plan(const Error& error) {
  const auto sqlstate = error.detail(kSqlState);
  return sqlstate == "26000" || sqlstate == "0A000";
}

// The connection was spoilt (its numbering of contexts is lost): another one will do.
bool spoilt_connection(const Error& error) { return !error.detail(kContextRefused).empty(); }

bool did_not_run(const Error& error) {
  return hit_by_foreign_cancel(error) || lost_its_plan(error) || spoilt_connection(error);
}

}  // namespace

// ----------------------------------------------------------------------------------------------------------
// waiting

namespace {

// One run() that waits in the queue or is in flight. Lives in the coroutine that awaits it.
class Request final : public Receiver {
 public:
  Request(const TransactionContext* request_context, const Statement& request_statement,
          CallOptions request_options)
      : context(request_context), statement(request_statement), options(request_options) {}

  void complete(Result<Rows> result) override {
    outcome.emplace(std::move(result));
    connection = nullptr;
    std::exchange(waiter, {}).resume();
  }

  const TransactionContext* context;
  const Statement& statement;
  CallOptions options;
  std::coroutine_handle<> waiter;
  std::optional<Result<Rows>> outcome;
  PipelinedConnection* connection = nullptr;  // set while in flight
};

// One acquire() that waits for a connection of its own.
struct Borrower {
  explicit Borrower(CallOptions borrower_options) : options(borrower_options) {}
  CallOptions options;
  std::coroutine_handle<> waiter;
  std::unique_ptr<ExclusiveConnection> connection;
  std::optional<Error> error;
};

}  // namespace

struct Pool::Impl {
  // A set of pipelined connections and the requests that wait for one of them.
  struct Lane {
    std::size_t max_connections = 0;
    std::size_t depth = 1;
    std::vector<std::unique_ptr<PipelinedConnection>> open;
    std::vector<std::unique_ptr<PipelinedConnection>> opening;
    std::deque<Request*> waiting;
  };

  // Checks a new pipelined connection before it takes part.
  class Check final : public Receiver {
   public:
    Check(Impl& pool, Lane& lane, PipelinedConnection* connection)
        : pool_(pool), lane_(lane), connection_(connection) {}
    void complete(Result<Rows> outcome) override { pool_.checked(lane_, connection_, std::move(outcome)); }
    const PipelinedConnection* connection() const { return connection_; }

   private:
    Impl& pool_;
    Lane& lane_;
    PipelinedConnection* connection_;
  };

  Impl(net::Executor& pool_executor, PoolOptions pool_options)
      : executor(pool_executor), options(std::move(pool_options)) {
    reads.max_connections = std::max<std::size_t>(options.read_connections, 1);
    reads.depth = std::max<std::size_t>(options.read_depth, 1);
    writes.max_connections = std::max<std::size_t>(options.write_connections, 1);
  }

  void submit(Request& request);
  void abandon(Request& request, ErrorCode code, const char* message);
  void pump(Lane& lane);
  PipelinedConnection* pick(Lane& lane);
  void open_connection(Lane& lane);
  void opened(Lane& lane, PipelinedConnection* connection, Result<void> outcome);
  void checked(Lane& lane, PipelinedConnection* connection, Result<Rows> outcome);
  void sweep(Lane& lane);
  void fail_waiting(Lane& lane, const Error& error);

  void submit(Borrower& borrower);
  void pump_exclusive();
  void open_exclusive();
  void give_back(std::unique_ptr<ExclusiveConnection> connection);
  void resume_borrower(Borrower& borrower);

  void arm_tick();
  void tick();
  void expire(Lane& lane);
  Lane& lane_for(const Statement& statement) { return statement.access == Access::read ? reads : writes; }
  // Connections must not be destroyed from inside their own callbacks' callers: they are dropped on the next
  // turn.
  void bury(std::unique_ptr<Connection> connection);

  net::Executor& executor;
  PoolOptions options;
  Lane reads, writes;
  std::deque<Borrower*> borrowers;
  std::vector<std::unique_ptr<ExclusiveConnection>> idle_exclusive;
  std::list<std::unique_ptr<ExclusiveConnection>> changing_exclusive;  // connecting, or being cleaned
  std::size_t lent = 0;
  std::size_t running = 0;  // run() calls under way
  std::list<Check> checks;
  std::list<std::unique_ptr<Connection>> graveyard;
  std::unique_ptr<net::Timer> tick_timer;
  // Posted work looks here whether the pool still is.
  std::shared_ptr<int> alive = std::make_shared<int>(0);
};

// --------------------------------------------------------------------------------------------------------
// shared lane

void Pool::Impl::submit(Request& request) {
  Lane& lane = lane_for(request.statement);
  lane.waiting.push_back(&request);
  pump(lane);
  arm_tick();
}

PipelinedConnection* Pool::Impl::pick(Lane& lane) {
  PipelinedConnection* best = nullptr;
  for (const auto& connection : lane.open) {
    const std::size_t load = connection->in_flight();
    if (connection->broken() || connection->retired() || load >= lane.depth) continue;
    if (load > 0 && connection->head_age() > kStalledAfter) continue;
    if (best == nullptr || load < best->in_flight()) best = connection.get();
    if (load == 0) break;
  }
  return best;
}

void Pool::Impl::pump(Lane& lane) {
  while (!lane.waiting.empty()) {
    PipelinedConnection* connection = pick(lane);
    if (connection == nullptr) break;
    Request& request = *lane.waiting.front();
    lane.waiting.pop_front();
    request.connection = connection;
    connection->send(request.context, request.statement, request.options.deadline, request);
  }
  // One more connection for what waits; when it is there the rest is looked at again.
  if (lane.waiting.size() > lane.opening.size() &&
      lane.open.size() + lane.opening.size() < lane.max_connections) {
    open_connection(lane);
  }
}

void Pool::Impl::open_connection(Lane& lane) {
  // The connection's address is known only after it was made; its callbacks come later.
  auto* slot = &lane.opening.emplace_back();
  auto holder = std::make_shared<PipelinedConnection*>(nullptr);
  *slot = std::make_unique<PipelinedConnection>(
      executor, options.parameters, options.max_statements, deadline_in(kConnectTimeout),
      [this, &lane, holder](Result<void> outcome) { opened(lane, *holder, std::move(outcome)); },
      [this, &lane, watch = std::weak_ptr<int>(alive)] {
        if (watch.expired()) return;  // the request that just ended was the pool's last
        sweep(lane);
        pump(lane);
      });
  *holder = slot->get();
}

void Pool::Impl::opened(Lane& lane, PipelinedConnection* connection, Result<void> outcome) {
  if (!outcome.ok()) {
    checked(lane, connection, std::move(outcome).error());
    return;
  }
  if (options.session_check.empty()) {
    checked(lane, connection, Rows());
    return;
  }
  const Statement statement(options.session_check, {}, Access::read, Reuse::once);
  connection->send(nullptr, statement, deadline_in(kConnectTimeout),
                   checks.emplace_back(*this, lane, connection));
}

void Pool::Impl::checked(Lane& lane, PipelinedConnection* connection, Result<Rows> outcome) {
  const auto found = std::find_if(lane.opening.begin(), lane.opening.end(),
                                  [&](const auto& candidate) { return candidate.get() == connection; });
  checks.remove_if([&](const Check& check) { return check.connection() == connection; });
  if (found == lane.opening.end()) return;
  std::unique_ptr<PipelinedConnection> owned = std::move(*found);
  lane.opening.erase(found);
  if (outcome.ok() && !options.session_check.empty() &&
      (outcome->size() != 1 || outcome->text(0, 0) != "t")) {
    outcome = Error(ErrorCode::database_unavailable, "the database role has rights that it must not have");
  }
  if (outcome.ok()) {
    if (outcome->size() == 1 && outcome->columns() > kContextNumberColumn) {
      owned->count_contexts_from(parse_int64(outcome->text(0, kContextNumberColumn)).value_or(0));
    }
    lane.open.push_back(std::move(owned));
    pump(lane);
    return;
  }
  const Error error = std::move(outcome).error();
  bury(std::move(owned));
  // With other connections open the waiting requests still get their turn.
  if (lane.open.empty() && lane.opening.empty()) fail_waiting(lane, error);
}

void Pool::Impl::fail_waiting(Lane& lane, const Error& error) {
  auto waiting = std::exchange(lane.waiting, {});
  for (Request* request : waiting) request->complete(error);
}

void Pool::Impl::sweep(Lane& lane) {
  for (auto& connection : lane.open) {
    const bool ended = connection->retired() && connection->in_flight() == 0;
    if (connection->broken() || ended) bury(std::move(connection));
  }
  std::erase(lane.open, nullptr);
}

void Pool::Impl::bury(std::unique_ptr<Connection> connection) {
  const auto grave = graveyard.insert(graveyard.end(), std::move(connection));
  // This one alone: of another, buried since, the turn may not have come yet in which it tells its receivers
  // that it is broken.
  executor.post([this, grave, watch = std::weak_ptr<int>(alive)] {
    if (!watch.expired()) graveyard.erase(grave);
  });
}

void Pool::Impl::abandon(Request& request, ErrorCode code, const char* message) {
  if (request.connection != nullptr) {
    if (!request.connection->abandon(request)) return;  // it is being completed right now
    request.connection = nullptr;
  } else {
    const auto removed = std::erase(lane_for(request.statement).waiting, &request);
    if (removed == 0) return;  // it is being completed right now
  }
  request.outcome.emplace(Error(code, message));
  executor.post([waiter = std::exchange(request.waiter, {})] { waiter.resume(); });
}

// -----------------------------------------------------------------------------------------------------
// exclusive lane

void Pool::Impl::submit(Borrower& borrower) {
  borrowers.push_back(&borrower);
  pump_exclusive();
  arm_tick();
}

void Pool::Impl::resume_borrower(Borrower& borrower) {
  executor.post([waiter = std::exchange(borrower.waiter, {})] { waiter.resume(); });
}

void Pool::Impl::pump_exclusive() {
  std::erase_if(idle_exclusive, [](const auto& connection) { return !connection->idle(); });
  while (!borrowers.empty() && !idle_exclusive.empty()) {
    Borrower& borrower = *borrowers.front();
    borrowers.pop_front();
    borrower.connection = std::move(idle_exclusive.back());
    idle_exclusive.pop_back();
    ++lent;
    resume_borrower(borrower);
  }
  if (borrowers.size() > changing_exclusive.size() &&
      lent + changing_exclusive.size() < options.exclusive_connections) {
    open_exclusive();
  }
}

void Pool::Impl::open_exclusive() {
  const auto slot = changing_exclusive.emplace(changing_exclusive.end());
  const auto ready = [this, slot](Result<Rows> outcome) {
    auto connection = std::move(*slot);
    changing_exclusive.erase(slot);
    if (outcome.ok() && !options.session_check.empty() &&
        (outcome->size() != 1 || outcome->text(0, 0) != "t")) {
      outcome = Error(ErrorCode::database_unavailable, "the database role has rights that it must not have");
    }
    if (outcome.ok()) {
      idle_exclusive.push_back(std::move(connection));
    } else {
      bury(std::move(connection));
      if (lent == 0 && changing_exclusive.empty()) {
        for (Borrower* borrower : std::exchange(borrowers, {})) {
          borrower->error = outcome.error();
          resume_borrower(*borrower);
        }
      }
    }
    pump_exclusive();
  };
  *slot = std::make_unique<ExclusiveConnection>(
      executor, options.parameters, deadline_in(kConnectTimeout), [this, slot, ready](Result<void> outcome) {
        if (!outcome.ok()) {
          ready(std::move(outcome).error());
        } else if (options.session_check.empty()) {
          ready(Rows());
        } else {
          const Statement statement(options.session_check, {}, Access::read, Reuse::once);
          (*slot)->query(statement, deadline_in(kConnectTimeout), ready);
        }
      });
}

void Pool::Impl::give_back(std::unique_ptr<ExclusiveConnection> connection) {
  --lent;
  if (!connection->idle()) {
    bury(std::move(connection));  // closing it makes the server roll back
    pump_exclusive();
    return;
  }
  const auto slot = changing_exclusive.insert(changing_exclusive.end(), std::move(connection));
  (*slot)->script(options.session_reset, deadline_in(kConnectTimeout),
                  [this, slot](const Result<Rows>& outcome) {
                    auto cleaned = std::move(*slot);
                    changing_exclusive.erase(slot);
                    if (outcome.ok()) {
                      idle_exclusive.push_back(std::move(cleaned));
                    } else {
                      bury(std::move(cleaned));
                    }
                    pump_exclusive();
                  });
}

// ---------------------------------------------------------------------------------------------------------------
// time

void Pool::Impl::arm_tick() {
  if (!tick_timer) tick_timer = executor.after(kTick, [this] { tick(); });
}

void Pool::Impl::expire(Lane& lane) {
  const auto now = std::chrono::steady_clock::now();
  std::vector<Request*> late;
  for (Request* request : lane.waiting) {
    if (request->options.deadline <= now) late.push_back(request);
  }
  for (Request* request : late) {
    abandon(*request, ErrorCode::overloaded, "no database connection became free in time");
  }
  // Receivers may open or lose connections meanwhile, so the list is walked by position.
  for (std::size_t i = 0; i < lane.open.size(); ++i) lane.open[i]->check();
  sweep(lane);
  pump(lane);
}

void Pool::Impl::tick() {
  tick_timer.reset();
  expire(reads);
  expire(writes);
  const auto now = std::chrono::steady_clock::now();
  for (auto entry = borrowers.begin(); entry != borrowers.end();) {
    Borrower& borrower = **entry;
    const bool gone = borrower.options.cancel != nullptr && borrower.options.cancel->cancelled();
    if (!gone && borrower.options.deadline > now) {
      ++entry;
      continue;
    }
    borrower.error =
        gone ? cancelled_error() : Error(ErrorCode::overloaded, "no database connection became free in time");
    entry = borrowers.erase(entry);
    resume_borrower(borrower);
  }
  const auto active = [](const Lane& lane) {
    return !lane.waiting.empty() ||
           std::any_of(lane.open.begin(), lane.open.end(),
                       [](const auto& connection) { return connection->in_flight() > 0; });
  };
  if (active(reads) || active(writes) || !borrowers.empty()) arm_tick();
}

// ---------------------------------------------------------------------------------------------------------------
// face

Pool::Pool(net::Executor& executor, PoolOptions options)
    : impl_(std::make_unique<Impl>(executor, std::move(options))) {}
Pool::~Pool() = default;

namespace {

struct RequestAwaiter {
  Pool::Impl& pool;
  Request& request;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle);
  Result<Rows> await_resume() { return std::move(*request.outcome); }
};

class RunningGuard {
 public:
  explicit RunningGuard(std::size_t& count) : count_(count) { ++count_; }
  ~RunningGuard() { --count_; }
  RunningGuard(const RunningGuard&) = delete;
  RunningGuard& operator=(const RunningGuard&) = delete;

 private:
  std::size_t& count_;
};

struct BorrowerAwaiter {
  Pool::Impl& pool;
  Borrower& borrower;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    borrower.waiter = handle;
    pool.submit(borrower);
  }
  void await_resume() const noexcept {}
};

void RequestAwaiter::await_suspend(std::coroutine_handle<> handle) {
  request.waiter = handle;
  pool.submit(request);
}

}  // namespace

Task<Result<Rows>> Pool::run(const TransactionContext* context, const Statement& statement,
                             CallOptions options) {
  if (options.effects == nullptr) return run_unwatched(context, statement, options);
  if (statement.access == Access::write) return run_fenced(context, statement, options);
  // What changes nothing may come late; its name says so.
  auto answer = run_unwatched(context, statement, options);
  return watched(std::move(answer), "read " + effect_name(statement.sql), *options.effects);
}

// A node that froze between its look at the lease and the statement would send it when it goes on. Only a
// session that carries the operation's mark can be ended before that.
Task<Result<Rows>> Pool::run_fenced(const TransactionContext* context, const Statement& statement,
                                    CallOptions options) {
  CO_TRY(auto session, co_await acquire(options));
  if (context == nullptr) co_return co_await session.query(statement, options);
  CO_TRY_DO(co_await session.begin(context, options));
  CO_TRY(auto rows, co_await session.query(statement, options));
  CO_TRY_DO(co_await session.commit(options));
  co_return rows;
}

Task<Result<Rows>> Pool::run_unwatched(const TransactionContext* context, const Statement& statement,
                                       CallOptions options) {
  Impl& pool = *impl_;
  const RunningGuard guard(pool.running);
  for (int attempt = 1;; ++attempt) {
    if (options.cancel != nullptr && options.cancel->cancelled()) co_return cancelled_error();
    if (pool.lane_for(statement).waiting.size() >= pool.options.max_waiting) {
      co_return Error(ErrorCode::overloaded, "too many requests wait for the database");
    }
    Request request(context, statement, options);
    CancelSource::Registration registration;
    if (options.cancel != nullptr) {
      registration = options.cancel->on_cancel(
          [&pool, &request] { pool.abandon(request, ErrorCode::cancelled, "the caller went away"); });
    }
    RequestAwaiter answered{pool, request};
    Result<Rows> outcome = co_await answered;
    if (outcome.ok() || attempt == kMaxAttempts) co_return outcome;
    if (!did_not_run(outcome.error())) co_return outcome;
  }
}

Task<Result<Session>> Pool::acquire(CallOptions options) {
  if (impl_->borrowers.size() >= impl_->options.max_waiting) {
    co_return Error(ErrorCode::overloaded, "too many requests wait for the database");
  }
  Borrower borrower(options);
  BorrowerAwaiter lent{*impl_, borrower};
  co_await lent;
  if (borrower.error) co_return std::move(*borrower.error);
  auto give_back = [pool = impl_.get()](std::unique_ptr<ExclusiveConnection> connection) {
    pool->give_back(std::move(connection));
  };
  Session session(std::make_unique<Session::Impl>(std::move(borrower.connection), std::move(give_back)));
  if (options.effects != nullptr) {
    // Marked like a session of connect(), until session_reset.
    Params label;
    label.emplace_back(options.effects->label());
    const Statement mark("SELECT pg_catalog.set_config('application_name', $1::text, false)",
                         std::move(label), Access::write, Reuse::once);
    const CallOptions unwatched{options.deadline, options.cancel};
    CO_TRY_DO(co_await session.query(mark, unwatched));
    CO_TRY_DO(co_await options.effects->admit());
  }
  co_return session;
}

PoolStats Pool::stats() const {
  PoolStats stats;
  for (const auto* lane : {&impl_->reads, &impl_->writes}) {
    stats.open_connections += lane->open.size() + lane->opening.size();
    stats.waiting += lane->waiting.size();
    for (const auto& connection : lane->open) stats.busy_connections += connection->in_flight() > 0 ? 1 : 0;
  }
  stats.open_connections += impl_->lent + impl_->idle_exclusive.size() + impl_->changing_exclusive.size();
  stats.busy_connections += impl_->lent;
  stats.waiting += impl_->borrowers.size();
  return stats;
}

bool Pool::in_use() const { return impl_->running > 0 || impl_->lent > 0 || !impl_->borrowers.empty(); }

}  // namespace rowhouse::pg
