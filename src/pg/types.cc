#include "pg/types.h"

#include <libpq-fe.h>

#include "base/text.h"

namespace rowhouse::pg {

void Rows::Clear::operator()(pg_result* result) const { PQclear(result); }

Rows::Rows(pg_result* result) : result_(result) {}

std::size_t Rows::size() const { return result_ ? static_cast<std::size_t>(PQntuples(result_.get())) : 0; }
std::size_t Rows::columns() const { return result_ ? static_cast<std::size_t>(PQnfields(result_.get())) : 0; }

std::string_view Rows::column_name(std::size_t column) const {
  return PQfname(result_.get(), static_cast<int>(column));
}

std::uint32_t Rows::column_type(std::size_t column) const {
  return PQftype(result_.get(), static_cast<int>(column));
}

bool Rows::is_null(std::size_t row, std::size_t column) const {
  return PQgetisnull(result_.get(), static_cast<int>(row), static_cast<int>(column)) != 0;
}

std::string_view Rows::text(std::size_t row, std::size_t column) const {
  const int r = static_cast<int>(row);
  const int c = static_cast<int>(column);
  return {PQgetvalue(result_.get(), r, c), static_cast<std::size_t>(PQgetlength(result_.get(), r, c))};
}

std::optional<std::string> Rows::value(std::size_t row, std::size_t column) const {
  if (is_null(row, column)) return std::nullopt;
  return std::string(text(row, column));
}

std::uint64_t Rows::affected() const {
  if (!result_) return 0;
  return static_cast<std::uint64_t>(parse_int64(PQcmdTuples(result_.get())).value_or(0));
}

namespace {

std::string field(const pg_result* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text != nullptr ? text : "";
}

// "unnamed portal parameter $3 = '…'" → "3": the parameter whose text its type refused.
std::string refused_parameter(const std::string& context) {
  constexpr std::string_view kMarker = "portal parameter $";
  const auto position = context.find(kMarker);
  if (position == std::string::npos) {
    // A named portal or statement says: portal "p" parameter $3
    const auto other = context.find(" parameter $");
    if (other == std::string::npos || context.find("portal") == std::string::npos) return {};
    const auto start = other + std::string_view(" parameter $").size();
    return context.substr(start, context.find_first_not_of("0123456789", start) - start);
  }
  const auto start = position + kMarker.size();
  return context.substr(start, context.find_first_not_of("0123456789", start) - start);
}

struct Meaning {
  ErrorCode code;
  const char* message;
};

Meaning meaning_of(std::string_view sqlstate) {
  if (sqlstate == "23505") return {ErrorCode::conflict, "a row with this key exists already"};
  if (sqlstate == "23P01") return {ErrorCode::conflict, "the row conflicts with another row"};
  if (sqlstate == "23502") return {ErrorCode::validation_failed, "a value is required"};
  if (sqlstate == "23503")
    return {ErrorCode::validation_failed, "the row refers to one that does not exist, or is referred to"};
  if (sqlstate == "23514") return {ErrorCode::validation_failed, "a value breaks a rule of the table"};
  if (sqlstate == "40001" || sqlstate == "40P01") {
    return {ErrorCode::conflict, "another transaction was in the way; try again"};
  }
  if (sqlstate == "57014" || sqlstate == "55P03" || sqlstate == "25P03") {
    return {ErrorCode::statement_timeout, "the statement took longer than it may"};
  }
  if (sqlstate == "55006") {
    return {ErrorCode::conflict, "somebody else is using it right now: let them end, then try again"};
  }
  if (sqlstate == "3D000") return {ErrorCode::conflict, "a database that is needed does not exist"};
  if (sqlstate == "53100") return {ErrorCode::disk_full, "the database has no space left on its disk"};
  if (sqlstate == "42501") return {ErrorCode::forbidden, "the database refuses this operation"};
  if (sqlstate.starts_with("08") || sqlstate.starts_with("57P") || sqlstate == "53300" ||
      sqlstate.starts_with("28")) {
    return {ErrorCode::database_unavailable, "the database is not available right now"};
  }
  if (sqlstate.starts_with("22") || sqlstate.starts_with("23")) {
    return {ErrorCode::validation_failed, "a value is not valid"};
  }
  return {ErrorCode::internal, "the database reported an unexpected error"};
}

}  // namespace

Error error_from_result(const pg_result* result) {
  const std::string sqlstate = field(result, PG_DIAG_SQLSTATE);
  const Meaning meaning = meaning_of(sqlstate);
  Error error(meaning.code, meaning.message);
  const auto add = [&](std::string_view key, std::string value) {
    if (!value.empty()) error.details.emplace_back(std::string(key), std::move(value));
  };
  add(kSqlState, sqlstate);
  add(kConstraint, field(result, PG_DIAG_CONSTRAINT_NAME));
  add(kColumn, field(result, PG_DIAG_COLUMN_NAME));
  add(kTable, field(result, PG_DIAG_TABLE_NAME));
  add(kParameter, refused_parameter(field(result, PG_DIAG_CONTEXT)));
  add(kServerMessage, field(result, PG_DIAG_MESSAGE_PRIMARY));
  return error;
}

}  // namespace rowhouse::pg
