// What goes to PostgreSQL and what comes back. No libpq header is needed to use these.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

struct pg_result;

namespace rowhouse::pg {

struct ConnectionParameters {
  std::string host;  // a name, an address, or the absolute path of a socket directory
  std::uint16_t port = 5432;
  std::string database;
  std::string user;
  std::string password;
  std::string sslmode = "prefer";             // only for TCP
  std::string application_name = "rowhouse";  // how the session shows in pg_stat_activity
  // Sent at start-up ("-c name=value"); for example {"search_path", ""}.
  std::vector<std::pair<std::string, std::string>> settings;
};

// Parameters travel as text; nullopt is NULL. Their types come from the casts in the statement: "$1::uuid".
using Param = std::optional<std::string>;
using Params = std::vector<Param>;

// How the plan of a statement is kept: `prepared` for texts that come back (kept per connection, least
// recently used dropped), `once` for texts that do not (batches).
enum class Reuse { prepared, once };
// Reads share a few connections, several in flight on each; writes go wide, one in flight each (group
// commit).
enum class Access { read, write };

struct Statement {
  Statement() = default;
  explicit Statement(std::string text, Params parameters = {}, Access statement_access = Access::read,
                     Reuse statement_reuse = Reuse::prepared)
      : sql(std::move(text)),
        params(std::move(parameters)),
        access(statement_access),
        reuse(statement_reuse) {}
  std::string sql;
  Params params;
  Access access = Access::read;
  Reuse reuse = Reuse::prepared;
};

// The result of one statement. Owns the libpq result; views are valid while it lives.
class Rows {
 public:
  Rows() = default;
  explicit Rows(pg_result* result);

  std::size_t size() const;
  std::size_t columns() const;
  std::string_view column_name(std::size_t column) const;
  std::uint32_t column_type(std::size_t column) const;  // pg_type OID
  bool is_null(std::size_t row, std::size_t column) const;
  // Text form; "" for NULL.
  std::string_view text(std::size_t row, std::size_t column) const;
  std::optional<std::string> value(std::size_t row, std::size_t column) const;
  // Rows written by INSERT, UPDATE or DELETE; rows returned by SELECT.
  std::uint64_t affected() const;

 private:
  struct Clear {
    void operator()(pg_result* result) const;
  };
  std::unique_ptr<pg_result, Clear> result_;
};

// Details that errors of this module carry (see Error::detail).
inline constexpr std::string_view kSqlState = "sqlstate";
inline constexpr std::string_view kConstraint = "constraint";  // name, for class 23
inline constexpr std::string_view kColumn = "column";          // name, for not-null violations
inline constexpr std::string_view kTable = "table";
inline constexpr std::string_view kParameter =
    "parameter";  // number of the parameter whose text was refused ("3")
inline constexpr std::string_view kServerMessage =
    "server_message";  // PostgreSQL's own words; for the log alone
// PostgreSQL did not take the signed context; the statement was not run. The server's words say why.
inline constexpr std::string_view kContextRefused = "context_refused";

// Error out of a failed result. Codes: conflict (23505, 40001, 40P01, 55006, 3D000), validation_failed (22…,
// 23502, 23503, 23514), statement_timeout (57014, 55P03), disk_full (53100), database_unavailable (08…,
// 57P0x, 53300), forbidden (42501), otherwise internal. The message never repeats values.
Error error_from_result(const pg_result* result);

}  // namespace rowhouse::pg
