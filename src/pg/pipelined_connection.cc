#include "pg/pipelined_connection.h"

#include <libpq-fe.h>

namespace rowhouse::pg {
namespace {

using namespace std::chrono_literals;

constexpr const char* kContextStatement = "rowhouse_context";
// How many numbers follow the one that PostgreSQL has told, less some for statements that were not ours:
// portable SQL gives a session a range of 2^20 (sql/tenant/0003).
constexpr std::int64_t kContextsPerConnection = 1'000'000;
// An abandoned request is cancelled after this, so that short ones end by themselves.
constexpr auto kCancelAfter = 50ms;
// A server that does not even answer a cancel request after this is given up.
constexpr auto kGiveUpAfter = 15s;

std::vector<const char*> pointers(const Params& params) {
  std::vector<const char*> result;
  result.reserve(params.size());
  for (const Param& param : params) result.push_back(param ? param->c_str() : nullptr);
  return result;
}

// A cancel request that was sent so long ago has arrived by now.
constexpr auto kCancelInTransit = 2s;

// These say that the prepared statement does not fit the catalog any more; preparing it anew helps.
bool is_stale_plan(const Error& error) {
  const auto sqlstate = error.detail(kSqlState);
  return sqlstate == "26000" || sqlstate == "0A000";
}

// Statements of ours end by themselves or break a rule on data (22, 23, 40). Others may be injected ones, and
// what they did to the session (PREPARE is not undone by an error) is not to be found by the next request.
bool leaves_traces(const Error& error) {
  const auto sqlstate = error.detail(kSqlState);
  return sqlstate == "57014" || sqlstate.starts_with("42") || sqlstate.starts_with("25") ||
         sqlstate.starts_with("XX");
}

}  // namespace

PipelinedConnection::PipelinedConnection(net::Executor& executor, const ConnectionParameters& parameters,
                                         std::size_t max_statements, Deadline deadline, Connected connected,
                                         std::function<void()> finished)
    : Connection(executor, parameters, deadline, std::move(connected)),
      max_statements_(max_statements),
      finished_(std::move(finished)) {}

PipelinedConnection::~PipelinedConnection() = default;

Result<void> PipelinedConnection::prepare_mode() {
  if (PQenterPipelineMode(native()) == 0) return connection_error(PQerrorMessage(native()));
  return {};
}

// Not at once: a database without tenants has no such function.
void PipelinedConnection::prepare_context(Flight& flight) {
  context_prepared_ = true;
  PQsendPrepare(native(), kContextStatement, kSetContextSql, 0, nullptr);
  PQpipelineSync(native());
  ++flight.setup_segments;
}

void PipelinedConnection::count_contexts_from(std::int64_t number) {
  last_context_ = number;
  contexts_left_ = kContextsPerConnection;
}

bool PipelinedConnection::send_context(const TransactionContext& context, Flight& flight) {
  flight.expects_context = true;
  if (--contexts_left_ <= 0) retired_ = true;
  const SignedContext token = sign(context, ++last_context_);
  return PQsendQueryPrepared(native(), kContextStatement, SignedContext::kParameters, token.values(),
                             token.lengths(), token.formats(), 0) != 0;
}

void PipelinedConnection::send(const TransactionContext* context, const Statement& statement,
                               Deadline deadline, Receiver& receiver) {
  Flight flight;
  flight.deadline = deadline;
  flight.receiver = &receiver;
  flight.started = std::chrono::steady_clock::now();
  bool sent = true;
  const std::string* name = nullptr;
  if (context != nullptr && !context_prepared_) prepare_context(flight);
  if (statement.reuse == Reuse::prepared) name = &prepare(statement.sql, flight);
  if (context != nullptr) sent = send_context(*context, flight);
  const auto values = pointers(statement.params);
  const int count = static_cast<int>(values.size());
  if (name != nullptr) {
    sent =
        sent && PQsendQueryPrepared(native(), name->c_str(), count, values.data(), nullptr, nullptr, 0) != 0;
  } else {
    sent = sent && PQsendQueryParams(native(), statement.sql.c_str(), count, nullptr, values.data(), nullptr,
                                     nullptr, 0) != 0;
  }
  sent = sent && PQpipelineSync(native()) != 0;
  flights_.push_back(std::move(flight));
  if (!sent) {
    // libpq refused (out of memory, or the socket is gone): what it has queued cannot be told apart any more.
    fail(PQerrorMessage(native()));
    return;
  }
  flush();
}

const std::string& PipelinedConnection::prepare(const std::string& sql, Flight& flight) {
  if (const auto found = prepared_.find(sql); found != prepared_.end()) {
    recently_used_.splice(recently_used_.begin(), recently_used_, found->second.used);
    return found->second.name;
  }
  if (prepared_.size() >= max_statements_) {
    const std::string oldest = recently_used_.back();
    const std::string deallocate = "DEALLOCATE " + prepared_.at(oldest).name;
    PQsendQueryParams(native(), deallocate.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0);
    PQpipelineSync(native());
    ++flight.setup_segments;
    forget(oldest);
  }
  recently_used_.push_front(sql);
  auto& entry = prepared_[sql];
  entry.name = "s" + std::to_string(++last_statement_);
  entry.used = recently_used_.begin();
  PQsendPrepare(native(), entry.name.c_str(), sql.c_str(), 0, nullptr);
  PQpipelineSync(native());
  ++flight.setup_segments;
  flight.statement_text = sql;
  return entry.name;
}

void PipelinedConnection::forget(const std::string& sql) {
  const auto found = prepared_.find(sql);
  if (found == prepared_.end()) return;
  recently_used_.erase(found->second.used);
  prepared_.erase(found);
}

bool PipelinedConnection::abandon(const Receiver& receiver) {
  for (Flight& flight : flights_) {
    if (flight.receiver != &receiver) continue;
    flight.receiver = nullptr;
    return true;
  }
  return false;
}

std::chrono::milliseconds PipelinedConnection::head_age() const {
  if (flights_.empty()) return 0ms;
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               flights_.front().started);
}

void PipelinedConnection::check() {
  if (broken() || flights_.empty()) return;
  const auto now = std::chrono::steady_clock::now();
  for (Flight& flight : flights_) {
    if (flight.receiver == nullptr || flight.deadline > now) continue;
    done_.emplace_back(std::exchange(flight.receiver, nullptr),
                       Error(ErrorCode::statement_timeout, "the database did not answer in time"));
  }
  Flight& head = flights_.front();
  const auto age = head_age();
  if (head.receiver == nullptr && !head.cancel_sent && age > kCancelAfter) {
    head.cancel_sent = true;
    last_cancel_ = now;
    request_cancel();
  } else if (head.receiver == nullptr && age > kGiveUpAfter) {
    fail("the server does not answer");
  }
  deliver();
}

void PipelinedConnection::on_input() {
  while (!flights_.empty() && PQisBusy(native()) == 0) {
    PGresult* result = PQgetResult(native());
    if (result != nullptr) take(result);
  }
  deliver();
}

void PipelinedConnection::deliver() {
  // Receivers run last, on their own copy: they may send more, or destroy this connection.
  auto done = std::exchange(done_, {});
  if (done.empty()) return;
  const auto finished = finished_;
  for (auto& [receiver, outcome] : done) receiver->complete(std::move(outcome));
  finished();
}

void PipelinedConnection::take(pg_result* result) {
  Rows rows(result);
  Flight& flight = flights_.front();
  switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
      if (flight.setup_segments > 0) {
        --flight.setup_segments;
      } else {
        end_flight();
      }
      return;
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
      if (flight.setup_segments > 0) return;
      if (flight.expects_context) {
        flight.expects_context = false;
      } else {
        flight.rows = std::move(rows);
      }
      return;
    case PGRES_PIPELINE_ABORTED:
      return;
    default:
      // Whatever it was: whether PostgreSQL has counted this context is not known.
      if (flight.expects_context && flight.setup_segments == 0) retired_ = true;
      // The first error is the cause; later ones only follow from it.
      if (flight.error) return;
      flight.error = error_from_result(result);
      flight.context_refused = flight.expects_context && flight.setup_segments == 0;
  }
}

void PipelinedConnection::end_flight() {
  Flight flight = std::move(flights_.front());
  flights_.pop_front();
  // The next request starts to run now, not when it was sent.
  if (!flights_.empty()) flights_.front().started = std::chrono::steady_clock::now();
  if (flight.context_refused) flight.error = context_refused(*flight.error);
  if (flight.error && (flight.context_refused || leaves_traces(*flight.error))) retired_ = true;
  if (flight.error && (!flight.statement_text.empty() || is_stale_plan(*flight.error))) {
    // Which text was stale is known only to the one who sent it, and it is rare: prepare all of them anew.
    if (is_stale_plan(*flight.error)) {
      prepared_.clear();
      recently_used_.clear();
    } else {
      forget(flight.statement_text);
    }
  }
  if (flight.receiver == nullptr) return;
  if (flight.error) {
    // PostgreSQL says 57014 for a timeout, too, and its words depend on the language, so the time decides.
    const auto now = std::chrono::steady_clock::now();
    if (flight.error->detail(kSqlState) == "57014" && last_cancel_ &&
        now - *last_cancel_ < kCancelInTransit) {
      flight.error->details.emplace_back(kCancelledForAnother, "yes");
    }
    done_.emplace_back(flight.receiver, std::move(*flight.error));
  } else {
    done_.emplace_back(flight.receiver, std::move(flight.rows));
  }
}

void PipelinedConnection::on_broken(const Error& error) {
  for (Flight& flight : flights_) {
    if (flight.receiver != nullptr) done_.emplace_back(flight.receiver, error);
  }
  flights_.clear();
  const auto finished = finished_;
  for (auto& [receiver, outcome] : std::exchange(done_, {})) receiver->complete(std::move(outcome));
  finished();
}

}  // namespace rowhouse::pg
