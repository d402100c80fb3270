#include "pg/statement_effect.h"

#include <algorithm>
#include <array>

namespace rowhouse::pg {
namespace {

// Keywords whose next word is a keyword, too. After any other the next word may be a name or a literal.
constexpr std::array<std::string_view, 7> kWithObject = {"CREATE", "DROP",   "ALTER", "COMMENT",
                                                         "INSERT", "DELETE", "SET"};
// Stand between the keyword and the kind of object.
constexpr std::array<std::string_view, 5> kModifiers = {"OR", "REPLACE", "UNIQUE", "TEMP", "TEMPORARY"};
// What may follow; anything else (SET name = …) is left out.
constexpr std::array<std::string_view, 22> kObjects = {
    "SCHEMA", "DATABASE", "ROLE",  "TABLE",     "INDEX",      "EXTENSION", "FUNCTION", "POLICY",
    "VIEW",   "SEQUENCE", "TYPE",  "DOMAIN",    "TRIGGER",    "DEFAULT",   "ON",       "INTO",
    "FROM",   "LOCAL",    "OWNED", "PROCEDURE", "TABLESPACE", "USER"};

template <std::size_t N>
bool holds(const std::array<std::string_view, N>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

void skip_space_and_comments(std::string_view& sql) {
  while (!sql.empty()) {
    const char c = sql.front();
    if (c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == ';') {
      sql.remove_prefix(1);
    } else if (sql.starts_with("--")) {
      sql.remove_prefix(std::min(sql.size(), sql.find('\n')));
    } else {
      return;
    }
  }
}

std::string next_word(std::string_view& sql) {
  skip_space_and_comments(sql);
  std::string word;
  while (!sql.empty() && is_letter(sql.front())) {
    const char c = sql.front();
    word.push_back(c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
    sql.remove_prefix(1);
  }
  return word;
}

}  // namespace

std::string effect_name(std::string_view sql) {
  std::string name = next_word(sql);
  if (name.empty()) return "SQL";
  if (!holds(kWithObject, name)) return name;
  std::string object = next_word(sql);
  while (holds(kModifiers, object)) object = next_word(sql);
  if (holds(kObjects, object)) name += " " + object;
  return name;
}

Task<Result<Rows>> watched(Task<Result<Rows>> statement, std::string name, EffectGuard& guard) {
  CO_TRY_DO(co_await guard.around(EffectGuard::Moment::before, name));
  Result<Rows> outcome = co_await statement;
  if (!outcome.ok()) co_return outcome;
  CO_TRY_DO(co_await guard.around(EffectGuard::Moment::after, name));
  co_return outcome;
}

}  // namespace rowhouse::pg
