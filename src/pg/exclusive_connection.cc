#include "pg/exclusive_connection.h"

#include <libpq-fe.h>

#include <algorithm>

namespace rowhouse::pg {
namespace {

using namespace std::chrono_literals;

// How long a cancelled statement may take to end before the connection is given up.
constexpr auto kCancelPatience = 5s;

std::chrono::milliseconds until(Deadline deadline) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return std::max(left, std::chrono::milliseconds(1));
}

}  // namespace

ExclusiveConnection::ExclusiveConnection(net::Executor& executor, const ConnectionParameters& parameters,
                                         Deadline deadline, Connected connected)
    : Connection(executor, parameters, deadline, std::move(connected)) {}

void ExclusiveConnection::query(const Statement& statement, Deadline deadline, Done done) {
  std::vector<const char*> values;
  values.reserve(statement.params.size());
  for (const Param& param : statement.params) values.push_back(param ? param->c_str() : nullptr);
  const int sent = PQsendQueryParams(native(), statement.sql.c_str(), static_cast<int>(values.size()),
                                     nullptr, values.data(), nullptr, nullptr, 0);
  begin(sent, deadline, std::move(done));
}

void ExclusiveConnection::script(const std::string& sql, Deadline deadline, Done done) {
  const int sent = PQsendQuery(native(), sql.c_str());
  begin(sent, deadline, std::move(done));
}

void ExclusiveConnection::set_context(const TransactionContext& context, std::int64_t number,
                                      Deadline deadline, Done done) {
  const SignedContext token = sign(context, number);
  const int sent = PQsendQueryParams(native(), kSetContextSql, SignedContext::kParameters, nullptr,
                                     token.values(), token.lengths(), token.formats(), 0);
  begin(sent, deadline, std::move(done));
}

void ExclusiveConnection::begin(int sent, Deadline deadline, Done done) {
  done_ = std::move(done);
  error_.reset();
  rows_ = Rows();
  if (sent == 0) {
    fail(PQerrorMessage(native()));
    return;
  }
  timer_ = executor().after(until(deadline), [this] { cancel(); });
  flush();
}

void ExclusiveConnection::cancel() {
  if (!busy()) return;
  request_cancel();
  timer_ =
      executor().after(kCancelPatience, [this] { fail("the server did not end a cancelled statement"); });
}

bool ExclusiveConnection::idle() const {
  return !broken() && !busy() && PQtransactionStatus(native()) == PQTRANS_IDLE;
}

bool ExclusiveConnection::in_failed_transaction() const {
  return PQtransactionStatus(native()) == PQTRANS_INERROR;
}

void ExclusiveConnection::on_input() {
  while (busy() && PQisBusy(native()) == 0) {
    PGresult* result = PQgetResult(native());
    if (result == nullptr) {
      auto outcome = error_ ? Result<Rows>(std::move(*error_)) : Result<Rows>(std::move(rows_));
      finish(std::move(outcome));
      return;
    }
    Rows rows(result);
    switch (PQresultStatus(result)) {
      case PGRES_TUPLES_OK:
      case PGRES_COMMAND_OK:
      case PGRES_EMPTY_QUERY:
        rows_ = std::move(rows);
        break;
      case PGRES_COPY_IN:
      case PGRES_COPY_OUT:
      case PGRES_COPY_BOTH:
        // A script that starts COPY FROM STDIN has no one to feed it: only giving up the connection ends it.
        fail("COPY to or from the client is not possible here");
        return;
      default:
        if (!error_) error_ = error_from_result(result);
    }
  }
}

void ExclusiveConnection::on_broken(const Error& error) { finish(error); }

void ExclusiveConnection::finish(Result<Rows> outcome) {
  timer_.reset();
  const auto done = std::exchange(done_, nullptr);
  if (done) done(std::move(outcome));
}

}  // namespace rowhouse::pg
