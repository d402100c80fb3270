#include "tenancy/sql_scanner.h"

#include <algorithm>
#include <array>

namespace rowhouse::tenancy {

namespace {

bool is_word_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_word_part(char c) { return is_word_start(c) || (c >= '0' && c <= '9') || c == '$'; }

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

class Scanner {
 public:
  explicit Scanner(std::string_view sql) : sql_(sql) {}

  std::vector<SqlStatement> run() {
    while (position_ < sql_.size()) step();
    end_statement();
    return std::move(statements_);
  }

 private:
  void step() {
    const char c = sql_[position_];
    if (c == ';') {
      // Semicolons of a BEGIN ATOMIC body separate its statements, not ours.
      ++position_;
      at_start_ = true;
      if (!in_body_) end_statement();
    } else if (sql_.substr(position_).starts_with("--")) {
      skip_to(sql_.find('\n', position_), 1);
    } else if (sql_.substr(position_).starts_with("/*")) {
      skip_comment();
    } else if (c == '\'') {
      skip_string(escapes_ ? '\\' : '\0');
      note("");
    } else if (c == '"') {
      skip_string('\0');
      note("");
    } else if (c == '$' && skip_dollar_quote()) {
      note("");
    } else if (is_word_start(c)) {
      word();
      return;
    } else {
      if (c == '\n') ++line_;
      if (c == '(' || c == ')' || c == ',') {
        note(std::string(1, c));
      } else if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
        note("");
      }
      ++position_;
    }
    escapes_ = false;
  }

  void skip_to(std::size_t end, std::size_t length) {
    const std::size_t next = end == std::string_view::npos ? sql_.size() : end + length;
    line_ += static_cast<std::size_t>(std::ranges::count(sql_.substr(position_, next - position_), '\n'));
    position_ = next;
  }

  void skip_comment() {
    std::size_t depth = 0;
    std::size_t at = position_;
    while (at < sql_.size()) {
      const std::string_view rest = sql_.substr(at, 2);
      if (rest == "/*") {
        ++depth;
        at += 2;
      } else if (rest == "*/") {
        at += 2;
        if (--depth == 0) break;
      } else {
        ++at;
      }
    }
    skip_to(std::min(at, sql_.size()), 0);
  }

  // A doubled quote ends one string and begins the next, which comes to the same.
  void skip_string(char escape) {
    const char quote = sql_[position_];
    std::size_t at = position_ + 1;
    while (at < sql_.size() && sql_[at] != quote) at += sql_[at] == escape && escape != '\0' ? 2 : 1;
    skip_to(at < sql_.size() ? at : std::string_view::npos, 1);
  }

  bool skip_dollar_quote() {
    std::size_t at = position_ + 1;
    while (at < sql_.size() && is_word_part(sql_[at]) && sql_[at] != '$') ++at;
    if (at >= sql_.size() || sql_[at] != '$') return false;
    if (at > position_ + 1 && !is_word_start(sql_[position_ + 1])) return false;
    const std::string_view tag = sql_.substr(position_, at + 1 - position_);
    skip_to(sql_.find(tag, at + 1), tag.size());
    return true;
  }

  void word() {
    std::size_t end = position_;
    std::string text;
    while (end < sql_.size() && is_word_part(sql_[end])) text += upper(sql_[end++]);
    escapes_ = text == "E" && end < sql_.size() && sql_[end] == '\'';
    position_ = end;
    if (in_body_) {
      // CASE … END stands inside an expression; the END of the body begins a statement.
      if (at_start_ && text == "END") in_body_ = false;
      at_start_ = false;
    } else {
      if (text == "ATOMIC" && last_word_ == "BEGIN" && count_ > 2) {
        in_body_ = true;
        at_start_ = true;
      }
      note(text);
    }
    last_word_ = text;
  }

  // A part of the current statement, as in SqlStatement::parts.
  void note(const std::string& text) {
    if (in_body_) {
      at_start_ = false;
      return;
    }
    if (count_ == 0) current_.line = line_;
    if (count_ < 3 && !text.empty() && is_word_start(text[0])) current_.words[count_] = text;
    current_.parts.push_back(text);
    ++count_;
  }

  void end_statement() {
    if (count_ > 0) statements_.push_back(std::move(current_));
    current_ = SqlStatement();
    count_ = 0;
    last_word_.clear();
    in_body_ = false;
  }

  std::string_view sql_;
  std::size_t position_ = 0;
  std::size_t line_ = 1;
  SqlStatement current_;
  std::size_t count_ = 0;  // parts of the current statement so far
  std::string last_word_;
  bool escapes_ = false;   // the string that follows has backslash escapes
  bool in_body_ = false;   // between BEGIN ATOMIC and its END
  bool at_start_ = false;  // of a statement within that body
  std::vector<SqlStatement> statements_;
};

using Parts = std::vector<std::string>;

template <std::size_t size>
bool is_one_of(std::string_view word, const std::array<std::string_view, size>& words) {
  return std::ranges::find(words, word) != words.end();
}

bool creates_definition(const Parts& parts) {
  constexpr std::array<std::string_view, 5> kBefore = {"CREATE", "OR", "REPLACE", "UNIQUE", "CONSTRAINT"};
  constexpr std::array<std::string_view, 8> kObjects = {"INDEX",   "VIEW", "FUNCTION", "PROCEDURE",
                                                        "TRIGGER", "TYPE", "DOMAIN",   "SEQUENCE"};
  constexpr std::array<std::string_view, 4> kSources = {"WITH", "VALUES", "TABLE", "EXECUTE"};
  const auto object =
      std::ranges::find_if(parts, [&](const auto& part) { return !is_one_of(part, kBefore); });
  if (object == parts.end()) return false;
  if (*object != "TABLE") return is_one_of(*object, kObjects);
  // CREATE TABLE … AS: its query is a SELECT, or one of few others after AS.
  for (auto part = object; part != parts.end(); ++part) {
    if (*part == "SELECT") return false;
    if (*part == "AS" && part + 1 != parts.end() && is_one_of(*(part + 1), kSources)) return false;
  }
  return true;
}

// Whether the words after DEFAULT call nothing that could run queries of its own.
bool is_plain_default(Parts::const_iterator from, Parts::const_iterator end) {
  constexpr std::array<std::string_view, 8> kKnown = {
      "NOW", "GEN_RANDOM_UUID", "CLOCK_TIMESTAMP", "CHECK", "NUMERIC", "VARCHAR", "CHAR", "IN"};
  for (auto part = from; part != end && part + 1 != end; ++part) {
    if (*(part + 1) == "(" && !part->empty() && is_word_start((*part)[0]) && !is_one_of(*part, kKnown))
      return false;
  }
  return true;
}

bool alters_definition(const Parts& parts) {
  constexpr std::array<std::string_view, 9> kMayQuery = {
      "REFERENCES", "FOREIGN", "CONSTRAINT", "VALIDATE", "ATTACH", "TYPE", "USING", "SELECT", "AS"};
  if (std::ranges::any_of(parts, [&](const auto& part) { return is_one_of(part, kMayQuery); })) return false;
  for (auto part = parts.begin(); part != parts.end(); ++part) {
    if (*part == "DEFAULT" && !is_plain_default(part, parts.end())) return false;
  }
  return true;
}

}  // namespace

std::vector<SqlStatement> scan_statements(std::string_view sql) { return Scanner(sql).run(); }

std::string_view fault_of_statement(const SqlStatement& statement) {
  constexpr std::string_view kTransactionFault =
      "a migration runs in one transaction, which is not its own to begin or end";
  constexpr std::string_view kRoleFault = "a migration runs as the owner of the tables and stays so";
  constexpr std::array<std::string_view, 9> kTransaction = {
      "BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "PREPARE"};
  const auto& [first, second, third] = statement.words;
  if (std::ranges::find(kTransaction, first) != kTransaction.end()) return kTransactionFault;
  if (first == "COPY") return "a migration has no client to copy from; use INSERT, or sample data";
  if (first == "DISCARD") return kRoleFault;
  if (first != "SET" && first != "RESET") return "";
  if (second == "TRANSACTION" || third == "CHARACTERISTICS") return kTransactionFault;
  const bool scoped = second == "LOCAL" || second == "SESSION";
  const std::string& setting = scoped ? third : second;
  if (setting == "ROLE" || setting == "AUTHORIZATION" || setting == "SESSION" || setting == "ALL")
    return kRoleFault;
  return "";
}

bool touches_rows(const SqlStatement& statement) {
  constexpr std::array<std::string_view, 7> kHarmless = {"COMMENT", "DROP",  "GRANT", "REVOKE",
                                                         "SET",     "RESET", "LOCK"};
  constexpr std::array<std::string_view, 7> kAltered = {"TYPE",      "VIEW",    "FUNCTION", "SEQUENCE",
                                                        "PROCEDURE", "TRIGGER", "INDEX"};
  const std::string& first = statement.words[0];
  if (is_one_of(first, kHarmless)) return false;
  if (first == "CREATE") return !creates_definition(statement.parts);
  if (first != "ALTER") return true;
  if (statement.words[1] == "TABLE") return !alters_definition(statement.parts);
  return !is_one_of(statement.words[1], kAltered);
}

bool changes_tables_alone(const SqlStatement& statement) {
  const auto& [first, second, third] = statement.words;
  if (first == "COMMENT") return true;
  if (first == "CREATE" && second == "UNIQUE") return third == "INDEX";
  if (first == "CREATE") return second == "TABLE" || second == "INDEX";
  return (first == "ALTER" && second == "TABLE") || (first == "DROP" && second == "INDEX");
}

}  // namespace rowhouse::tenancy
