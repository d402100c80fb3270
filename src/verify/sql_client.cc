#include "verify/sql_client.h"

#include <libpq-fe.h>

#include <memory>

#include "base/text.h"
#include "pg/transaction_context.h"

namespace rowhouse::verify {
namespace {

constexpr const char* kConnectTimeoutSeconds = "10";

struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using ResultPointer = std::unique_ptr<PGresult, ClearResult>;

std::string field(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? "" : text;
}

void keep_notice(void* into, const PGresult* result) {
  *static_cast<std::string*>(into) += field(result, PG_DIAG_MESSAGE_PRIMARY) + "\n";
}

std::string read_copy(PGconn* connection) {
  std::string all;
  char* piece = nullptr;
  for (int size = PQgetCopyData(connection, &piece, 0); size > 0;
       size = PQgetCopyData(connection, &piece, 0)) {
    all.append(piece, static_cast<std::size_t>(size));
    PQfreemem(piece);
  }
  return all;
}

}  // namespace

std::string SqlAnswer::value() const {
  return rows.empty() || rows[0].empty() ? std::string() : rows[0][0].value_or("");
}

std::string SqlAnswer::everything() const {
  std::string all = words + "\n" + notices + "\n" + copied + "\n";
  for (const auto& row : rows) {
    for (const Cell& cell : row) all += cell.value_or("") + "\t";
    all += "\n";
  }
  return all;
}

Result<std::unique_ptr<SqlClient>> SqlClient::connect(const pg::ConnectionParameters& parameters) {
  std::string options =
      "-c statement_timeout=15s -c lock_timeout=2s -c idle_in_transaction_session_timeout=120s";
  for (const auto& [name, value] : parameters.settings) options += " -c " + name + "=" + value;
  const std::string port = std::to_string(parameters.port);
  const char* const keywords[] = {"host",
                                  "port",
                                  "dbname",
                                  "user",
                                  "password",
                                  "sslmode",
                                  "options",
                                  "connect_timeout",
                                  "application_name",
                                  "client_encoding",
                                  nullptr};
  const char* const values[] = {parameters.host.c_str(),
                                port.c_str(),
                                parameters.database.c_str(),
                                parameters.user.c_str(),
                                parameters.password.c_str(),
                                parameters.sslmode.c_str(),
                                options.c_str(),
                                kConnectTimeoutSeconds,
                                "rowhouse verify",
                                "UTF8",
                                nullptr};
  PGconn* raw = PQconnectdbParams(keywords, values, 0);
  std::unique_ptr<SqlClient> client(new SqlClient(raw));
  if (raw == nullptr || PQstatus(raw) != CONNECTION_OK) {
    const std::string words = raw == nullptr ? "out of memory" : std::string(trim(PQerrorMessage(raw)));
    return Error(ErrorCode::database_unavailable,
                 "cannot connect to " + parameters.database + " as " + parameters.user)
        .with_detail(std::string(pg::kServerMessage), words);
  }
  PQsetNoticeReceiver(raw, keep_notice, &client->notices_);
  return client;
}

SqlClient::SqlClient(pg_conn* connection) : connection_(connection) {}
SqlClient::~SqlClient() { PQfinish(connection_); }

int SqlClient::backend_pid() const { return PQbackendPID(connection_); }
bool SqlClient::in_transaction() const { return PQtransactionStatus(connection_) != PQTRANS_IDLE; }

SqlAnswer SqlClient::take(pg_result* raw) {
  ResultPointer result(raw);
  SqlAnswer answer;
  const ExecStatusType status = PQresultStatus(result.get());
  if (status == PGRES_COPY_OUT) {
    answer.copied = read_copy(connection_);
    result.reset(PQgetResult(connection_));
  } else if (status == PGRES_COPY_IN) {
    PQputCopyEnd(connection_, "no data");
    result.reset(PQgetResult(connection_));
  }
  if (PQresultStatus(result.get()) != PGRES_TUPLES_OK && PQresultStatus(result.get()) != PGRES_COMMAND_OK &&
      PQresultStatus(result.get()) != PGRES_EMPTY_QUERY) {
    answer.sqlstate = field(result.get(), PG_DIAG_SQLSTATE);
    if (answer.sqlstate.empty()) answer.sqlstate = "08006";
    for (const char code :
         {PG_DIAG_MESSAGE_PRIMARY, PG_DIAG_MESSAGE_DETAIL, PG_DIAG_MESSAGE_HINT, PG_DIAG_CONTEXT}) {
      const std::string words = field(result.get(), static_cast<unsigned char>(code));
      if (!words.empty()) answer.words += words + "\n";
    }
    if (answer.words.empty()) answer.words = PQerrorMessage(connection_);
  } else {
    for (int row = 0; row < PQntuples(result.get()); ++row) {
      auto& cells = answer.rows.emplace_back();
      for (int column = 0; column < PQnfields(result.get()); ++column) {
        cells.push_back(
            PQgetisnull(result.get(), row, column) != 0
                ? Cell()
                : Cell(std::string(PQgetvalue(result.get(), row, column),
                                   static_cast<std::size_t>(PQgetlength(result.get(), row, column)))));
      }
    }
    answer.affected = parse_int64(PQcmdTuples(result.get())).value_or(0);
  }
  while (PGresult* rest = PQgetResult(connection_)) {
    PQclear(rest);
    if (PQstatus(connection_) != CONNECTION_OK) break;
  }
  answer.notices = std::exchange(notices_, {});
  return answer;
}

SqlAnswer SqlClient::run(const std::string& sql) { return take(PQexec(connection_, sql.c_str())); }

SqlAnswer SqlClient::run(const std::string& sql, const std::vector<Cell>& parameters) {
  std::vector<const char*> values;
  values.reserve(parameters.size());
  for (const Cell& cell : parameters) values.push_back(cell ? cell->c_str() : nullptr);
  return take(PQexecParams(connection_, sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(),
                           nullptr, nullptr, 0));
}

SqlAnswer SqlClient::copy_in(const std::string& sql, const std::string& data) {
  ResultPointer begun(PQexec(connection_, sql.c_str()));
  if (PQresultStatus(begun.get()) != PGRES_COPY_IN) return take(begun.release());
  PQputCopyData(connection_, data.data(), static_cast<int>(data.size()));
  PQputCopyEnd(connection_, nullptr);
  return take(PQgetResult(connection_));
}

std::int64_t SqlClient::take_context_number() {
  return parse_int64(run(pg::kContextNumberSql).value()).value_or(0);
}

std::string SqlClient::notifications() {
  run("SELECT 1");
  PQconsumeInput(connection_);
  std::string all;
  while (PGnotify* notice = PQnotifies(connection_)) {
    all += std::string(notice->relname) + " " + notice->extra + "\n";
    PQfreemem(notice);
  }
  return all;
}

}  // namespace rowhouse::verify
