#include "testing/blocking_sql.h"

#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <memory>

namespace rowhouse::testing {
namespace {

using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;

PGconn* connect(const pg::ConnectionParameters& parameters) {
  const std::string port = std::to_string(parameters.port);
  std::string options;
  for (const auto& [name, value] : parameters.settings) options += "-c " + name + "=" + value + " ";
  const char* keywords[] = {"host", "port", "dbname", "user", "password", "sslmode", "options", nullptr};
  const char* values[] = {parameters.host.c_str(),
                          port.c_str(),
                          parameters.database.c_str(),
                          parameters.user.c_str(),
                          parameters.password.c_str(),
                          parameters.sslmode.c_str(),
                          options.c_str(),
                          nullptr};
  PGconn* connection = PQconnectdbParams(keywords, values, 0);
  // Notices would only clutter the output of tests.
  PQsetNoticeProcessor(
      connection, [](void*, const char*) {}, nullptr);
  return connection;
}

bool succeeded(const PGresult* result) {
  const auto status = PQresultStatus(result);
  return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}

}  // namespace

BlockingSql::BlockingSql(const pg::ConnectionParameters& parameters) : connection_(connect(parameters)) {
  EXPECT_EQ(PQstatus(connection_), CONNECTION_OK) << PQerrorMessage(connection_);
}

BlockingSql::~BlockingSql() { PQfinish(connection_); }

std::vector<BlockingSql::Row> BlockingSql::run(const std::string& sql) {
  const Result result(PQexec(connection_, sql.c_str()), PQclear);
  std::vector<Row> rows;
  if (!succeeded(result.get())) {
    ADD_FAILURE() << sql << "\n" << PQerrorMessage(connection_);
    return rows;
  }
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    Row& cells = rows.emplace_back();
    for (int column = 0; column < PQnfields(result.get()); ++column) {
      if (PQgetisnull(result.get(), row, column) != 0) {
        cells.emplace_back();
      } else {
        cells.emplace_back(PQgetvalue(result.get(), row, column));
      }
    }
  }
  return rows;
}

std::string BlockingSql::value(const std::string& sql) {
  const auto rows = run(sql);
  return rows.empty() || rows[0].empty() ? std::string() : rows[0][0].value_or("");
}

std::string BlockingSql::failure(const std::string& sql) {
  const Result result(PQexec(connection_, sql.c_str()), PQclear);
  if (succeeded(result.get())) return "";
  const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
  return state == nullptr ? "lost" : state;
}

std::string BlockingSql::complaint(const std::string& sql) {
  const Result result(PQexec(connection_, sql.c_str()), PQclear);
  if (succeeded(result.get())) return "";
  const char* message = PQresultErrorField(result.get(), PG_DIAG_MESSAGE_PRIMARY);
  return message == nullptr ? "lost" : message;
}

int BlockingSql::backend_pid() const { return PQbackendPID(connection_); }

std::string BlockingSql::cannot_connect(const pg::ConnectionParameters& parameters) {
  const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(connect(parameters), PQfinish);
  return PQstatus(connection.get()) == CONNECTION_OK ? "" : PQerrorMessage(connection.get());
}

}  // namespace rowhouse::testing
