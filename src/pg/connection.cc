#include "pg/connection.h"

#include <libpq-fe.h>

#include "base/text.h"
#include "pg/canceller.h"

namespace rowhouse::pg {

Error context_refused(const Error& answer) {
  Error error(ErrorCode::internal, "PostgreSQL did not accept the tenant context");
  error.details = answer.details;
  error.details.emplace_back(kContextRefused, "yes");
  return error;
}

Error connection_error(std::string_view text) {
  return Error(ErrorCode::database_unavailable, "the database is not available right now")
      .with_detail(std::string(kServerMessage), std::string(trim(text)));
}

Error cancelled_error() { return Error(ErrorCode::cancelled, "the caller went away"); }

namespace {

// "-c name=value" with the escapes that libpq's `options` wants (backslash before space and backslash).
std::string option_text(const std::vector<std::pair<std::string, std::string>>& settings) {
  std::string text;
  for (const auto& [name, value] : settings) {
    if (!text.empty()) text.push_back(' ');
    text += "-c ";
    text += name;
    text.push_back('=');
    for (const char c : value) {
      if (c == ' ' || c == '\\') text.push_back('\\');
      text.push_back(c);
    }
  }
  return text;
}

}  // namespace

ConnectKeywords::ConnectKeywords(const ConnectionParameters& parameters) {
  pairs_ = {{"host", parameters.host},
            {"port", std::to_string(parameters.port)},
            {"dbname", parameters.database},
            {"user", parameters.user},
            {"password", parameters.password},
            {"sslmode", parameters.sslmode},
            {"client_encoding", "UTF8"},
            {"application_name", parameters.application_name},
            {"options", option_text(parameters.settings)}};
  for (const auto& [keyword, value] : pairs_) {
    keyword_pointers_.push_back(keyword.c_str());
    value_pointers_.push_back(value.c_str());
  }
  keyword_pointers_.push_back(nullptr);
  value_pointers_.push_back(nullptr);
}

Connection::Connection(net::Executor& executor, const ConnectionParameters& parameters, Deadline deadline,
                       Connected connected)
    : executor_(executor), connected_(std::move(connected)) {
  const ConnectKeywords keywords(parameters);
  connection_ = PQconnectStartParams(keywords.keywords(), keywords.values(), 0);
  // Notices have no reader here; libpq would print them.
  if (connection_ != nullptr)
    PQsetNoticeReceiver(
        connection_, [](void*, const PGresult*) {}, nullptr);
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  connect_timer_ = executor_.after(std::max(left, std::chrono::milliseconds(1)), [this] {
    finish_connect(connection_error("the connection was not established in time"));
  });
  // Never call back from the constructor: the owner does not have the object yet.
  executor_.post([this, alive = alive()] {
    if (!alive.expired()) poll_connect();
  });
}

Connection::~Connection() {
  watch_.reset();
  if (connection_ != nullptr) PQfinish(connection_);
}

void Connection::poll_connect() {
  if (connection_ == nullptr || PQstatus(connection_) == CONNECTION_BAD) {
    finish_connect(connection_error(connection_ != nullptr ? PQerrorMessage(connection_) : "out of memory"));
    return;
  }
  // The first wait is for writing, as if PQconnectPoll had said so (libpq manual, 34.1).
  const PostgresPollingStatusType status = watch_ ? PQconnectPoll(connection_) : PGRES_POLLING_WRITING;
  switch (status) {
    case PGRES_POLLING_OK:
      finish_connect({});
      return;
    case PGRES_POLLING_FAILED:
      finish_connect(connection_error(PQerrorMessage(connection_)));
      return;
    default:
      break;
  }
  // libpq may have opened another socket since the last step, so each step watches anew; one descriptor has
  // one watch.
  watch_.reset();
  watch_ = executor_.watch(PQsocket(connection_));
  if (status == PGRES_POLLING_READING) {
    watch_->when_readable([this] { poll_connect(); });
  } else {
    watch_->when_writable([this] { poll_connect(); });
  }
}

void Connection::finish_connect(Result<void> outcome) {
  connect_timer_.reset();
  if (outcome.ok()) {
    PQsetnonblocking(connection_, 1);
    watch_.reset();
    watch_ = executor_.watch(PQsocket(connection_));
    outcome = prepare_mode();
  }
  if (outcome.ok()) {
    arm_read();
  } else {
    broken_ = true;
    watch_.reset();
  }
  const auto connected = std::move(connected_);
  connected(std::move(outcome));
}

void Connection::arm_read() {
  watch_->when_readable([this] { on_readable(); });
}

void Connection::on_readable() {
  if (broken_) return;
  if (PQconsumeInput(connection_) == 0) {
    fail(PQerrorMessage(connection_));
    return;
  }
  arm_read();
  on_input();  // may destroy this object: nothing after it
}

void Connection::flush() {
  if (broken_ || waiting_to_write_) return;
  const int left = PQflush(connection_);
  if (left < 0) {
    fail(PQerrorMessage(connection_));
  } else if (left > 0) {
    waiting_to_write_ = true;
    watch_->when_writable([this] {
      waiting_to_write_ = false;
      flush();
    });
  }
}

void Connection::fail(std::string_view what) {
  if (broken_) return;
  broken_ = true;
  watch_.reset();
  executor_.post([this, alive = alive(), error = connection_error(what)] {
    if (!alive.expired()) on_broken(error);
  });
}

SignedContext Connection::sign(const TransactionContext& context, std::int64_t number) const {
  const auto expires_at = std::chrono::system_clock::now() + kContextLifetime;
  return SignedContext(context, PQbackendPID(connection_), number, expires_at);
}

void Connection::request_cancel() {
  if (!broken_) cancel_in_background(PQgetCancel(connection_));
}

}  // namespace rowhouse::pg
