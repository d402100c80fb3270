// A connection as an attacker has it: plain libpq, one statement after the other, everything that PostgreSQL
// says.
//
// Blocking, for the thread of a verification alone. Unlike pg::Session it shows messages, details and notices
// word by word, speaks COPY, and keeps nothing clean behind its user's back.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pg/types.h"

struct pg_conn;
struct pg_result;

namespace rowhouse::verify {

using Cell = std::optional<std::string>;

struct SqlAnswer {
  std::string sqlstate;  // "" = it worked; "08006" if the connection is lost
  std::string words;     // everything an error says: message, detail, hint, context
  std::vector<std::vector<Cell>> rows;
  std::string copied;  // of COPY … TO STDOUT
  std::int64_t affected = 0;
  std::string notices;

  bool ok() const { return sqlstate.empty(); }
  bool refused() const { return sqlstate == "42501"; }
  // First cell of the first row, "" if there is none.
  std::string value() const;
  // Everything it tells, for the search for marks.
  std::string everything() const;
};

class SqlClient {
 public:
  // `settings` go into the start-up packet. Error: database_unavailable, with PostgreSQL's words in
  // kServerMessage.
  static Result<std::unique_ptr<SqlClient>> connect(const pg::ConnectionParameters& parameters);
  ~SqlClient();
  SqlClient(const SqlClient&) = delete;
  SqlClient& operator=(const SqlClient&) = delete;

  // One or more statements; the answer to the last, or to the first that failed.
  SqlAnswer run(const std::string& sql);
  SqlAnswer run(const std::string& sql, const std::vector<Cell>& parameters);
  SqlAnswer copy_in(const std::string& sql, const std::string& data);
  // What NOTIFY brought, after a round trip.
  std::string notifications();
  int backend_pid() const;
  bool in_transaction() const;

  // Takes a number of this session. Its next token has to be signed with the one after it. 0 if it was not
  // told.
  std::int64_t take_context_number();

 private:
  explicit SqlClient(pg_conn* connection);
  SqlAnswer take(pg_result* result);
  pg_conn* connection_;
  std::string notices_;
};

}  // namespace rowhouse::verify
