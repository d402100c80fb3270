// The query grammar and the SQL made from it: whatever the client sends, the text of a statement consists of
// our own words, names of the catalog, parameter numbers and one limit. Everything of the client's travels in
// parameters.
#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/text.h"
#include "data/cursor.h"
#include "data/sql_builder.h"
#include "testing/sample_resource.h"

using namespace rowhouse;        // NOLINT
using namespace rowhouse::data;  // NOLINT

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

constexpr std::array<std::string_view, 39> kWords = {
    "SELECT", "FROM",    "WHERE",   "AND",      "OR",      "NOT",        "IS",       "NULL",
    "TRUE",   "FALSE",   "LIKE",    "ILIKE",    "ANY",     "ORDER",      "BY",       "DESC",
    "NULLS",  "FIRST",   "LAST",    "LIMIT",    "false",   "DECLARE",    "exported", "NO",
    "SCROLL", "CURSOR",  "FOR",     "UPDATE",   "xmin",    "pg_catalog", "count",    "text",
    "uuid",   "varchar", "integer", "smallint", "numeric", "float8",     "boolean"};
constexpr std::array<std::string_view, 6> kTypes = {"date", "timestamptz", "jsonb", "json", "bytea", "inet"};

bool is_known_name(const tenancy::Resource& resource, std::string_view name) {
  return name == "app" || name == "things" || name == "mood" || resource.find_column(name) != nullptr;
}

std::string_view take_while(std::string_view& rest, bool (*matches)(char)) {
  std::size_t end = 0;
  while (end < rest.size() && matches(rest[end])) ++end;
  const std::string_view token = rest.substr(0, end);
  rest.remove_prefix(end);
  return token;
}

bool is_word_character(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

void check(const tenancy::Resource& resource, const pg::Statement& statement) {
  std::string_view rest = statement.sql;
  std::size_t parameters = 0;
  while (!rest.empty()) {
    const char c = rest.front();
    if (c == '"') {
      const auto end = rest.find('"', 1);
      require(end != std::string_view::npos && is_known_name(resource, rest.substr(1, end - 1)));
      rest.remove_prefix(end + 1);
    } else if (c == '$') {
      rest.remove_prefix(1);
      require(take_while(rest, is_digit) == std::to_string(++parameters) && rest.starts_with("::"));
    } else if (is_digit(c)) {
      require(parse_int64(take_while(rest, is_digit)).value_or(0) <= 1001 &&
              rest.empty());  // LIMIT comes last
    } else if (is_word_character(c)) {
      const std::string_view word = take_while(rest, is_word_character);
      require(std::find(kWords.begin(), kWords.end(), word) != kWords.end() ||
              std::find(kTypes.begin(), kTypes.end(), word) != kTypes.end());
    } else {
      require(std::string_view(" ,.()[]:<>=@*").find(c) != std::string_view::npos);
      rest.remove_prefix(1);
    }
  }
  require(parameters == statement.params.size());
  for (const pg::Param& param : statement.params) {
    require(!param || (is_valid_utf8(*param) && param->find('\0') == std::string::npos));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const tenancy::Resource resource = testing::sample_resource();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parameters = parse_parameters(text);
  if (!parameters.ok()) return 0;
  for (const QueryUse use : {QueryUse::list, QueryUse::one_row, QueryUse::export_rows}) {
    const auto query = parse_query(*parameters, resource, DataOptions(), use);
    if (!query.ok()) {
      require(!query.error().message.empty() && is_valid_utf8(query.error().message));
      continue;
    }
    require(!query->order.empty() && query->order.back().column->name == "id" && !query->select.empty());
    require(query->limit >= 1 && query->limit <= 1000);
    std::vector<pg::Param> after;
    for (const SortTerm& term : query->order) {
      after.push_back(after.size() % 3 == 1 && term.column->nullable ? pg::Param() : pg::Param("'; DROP --"));
    }
    check(resource, build_list(resource, "app", *query, nullptr).statement);
    check(resource, build_list(resource, "app", *query, &after).statement);
    check(resource, build_count(resource, "app", *query));
    check(resource, build_export(resource, "app", *query));
    check(resource, build_get(resource, "app", query->select, "some id", RowLock::for_update));

    const std::string print = fingerprint(resource, *query);
    CursorScope scope;
    const std::string key(32, 'k');
    scope.key = key;
    scope.fingerprint = print;
    const auto cursor = encode_cursor(scope, after);
    require(cursor.ok());
    require(decode_cursor(scope, *cursor, after.size()).value() == after);
    if (use == QueryUse::list && !query->cursor.empty() && query->cursor != *cursor) {
      require(!decode_cursor(scope, query->cursor, after.size()).ok());
    }
  }
  return 0;
}
