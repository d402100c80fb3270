#include "verify/canary.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/text.h"
#include "pg/quote.h"

namespace rowhouse::verify {
namespace {

constexpr std::size_t kRowsPerTable = 2;
constexpr std::size_t kMaxForeignKeyChoices = 64;  // ways to choose among two parents each
constexpr std::int64_t kMaxTextLength = 128;       // of candidates made for a check of the length
constexpr std::size_t kMaxCombinations = 200'000;  // of candidates under one group of checks

std::string hex_digits(Random& random, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += "0123456789abcdef"[random() % 16];
  return text;
}

std::vector<std::string> literals_of(const std::string& expression) {
  std::vector<std::string> found;
  for (std::size_t at = expression.find('\''); at != std::string::npos; at = expression.find('\'', at)) {
    const std::size_t end = expression.find('\'', at + 1);
    if (end == std::string::npos) break;
    found.push_back(expression.substr(at + 1, end - at - 1));
    at = end + 1;
  }
  return found;
}

std::vector<std::int64_t> numbers_of(const std::string& expression) {
  std::vector<std::int64_t> found;
  for (std::size_t i = 0; i < expression.size(); ++i) {
    std::size_t end = i;
    while (end < expression.size() && expression[end] >= '0' && expression[end] <= '9') ++end;
    if (end > i) {
      if (const auto value = parse_int64(expression.substr(i, end - i))) found.push_back(*value);
      i = end;
    }
  }
  return found;
}

}  // namespace

// Plants the rows of one table.
class Planter {
 public:
  Planter(Canaries& canaries, SqlClient& sql, const Inventory& inventory, const RelationInfo& table)
      : canaries_(canaries), sql_(sql), inventory_(inventory), table_(table) {
    for (const ForeignKeyInfo& key : inventory.foreign_keys) {
      if (key.table == table.oid) foreign_keys_.push_back(&key);
    }
    for (const CheckInfo& check : inventory.checks) {
      if (check.table == table.oid) checks_.push_back(&check);
    }
  }

  std::string plant() {  // "" or the fault
    for (std::size_t row = 0; row < kRowsPerTable; ++row) {
      const std::string fault = plant_row(row);
      if (!fault.empty()) return row == 0 ? fault : "";  // one row is enough where no second one fits
    }
    return "";
  }

 private:
  using Candidates = std::vector<Cell>;
  enum class Fill { everything, required };

  std::string plant_row(std::size_t row) {
    std::string fault;
    const std::size_t choices =
        std::min(kMaxForeignKeyChoices, std::size_t{1} << std::min<std::size_t>(foreign_keys_.size(), 10));
    for (const Fill fill : {Fill::everything, Fill::required}) {
      for (std::size_t choice = 0; choice < choices; ++choice) {
        fault = try_row(row, choice ^ (row == 0 ? 0 : choices - 1), fill);
        if (fault.empty()) return fault;
      }
    }
    return fault;
  }

  std::string try_row(std::size_t row, std::size_t choice, Fill fill) {
    std::map<std::string, Candidates> candidates;
    for (const ColumnInfo& column : table_.columns) {
      if (is_left_to_database(column, fill)) continue;
      candidates[column.name] = candidates_of(column, row);
    }
    candidates["tenant_id"] = {Cell(canaries_.tenant_.to_string())};
    set_references(candidates, choice);
    std::map<std::string, Cell> values;
    for (const auto& [name, list] : candidates) {
      if (list.empty()) return "no value is known for " + name;
      values[name] = list.front();
    }
    const std::string fault = satisfy_checks(candidates, values);
    return fault.empty() ? insert(values) : fault;
  }

  bool is_left_to_database(const ColumnInfo& column, Fill fill) const {
    if (column.generated || column.identity != ' ') return true;
    const bool in_key = std::find(table_.key.begin(), table_.key.end(), column.name) != table_.key.end();
    if (column.has_default && column.category == 'N' && in_key) return true;  // a sequence
    return fill == Fill::required && (!column.not_null || column.has_default);
  }

  // Later keys win where two share a column; with the same choice they agree.
  void set_references(std::map<std::string, Candidates>& candidates, std::size_t choice) {
    for (std::size_t i = 0; i < foreign_keys_.size(); ++i) {
      const ForeignKeyInfo& key = *foreign_keys_[i];
      const auto* parents = canaries_.rows_of(key.target);
      for (std::size_t c = 0; c < key.columns.size(); ++c) {
        const ColumnInfo* column = table_.find(key.columns[c]);
        if (key.columns[c] == "tenant_id" || column == nullptr) continue;
        if (parents == nullptr || parents->empty()) {
          candidates[key.columns[c]] = {Cell()};
        } else {
          const CanaryRow& parent = (*parents)[(choice >> i & 1) % parents->size()];
          const auto value = parent.values.find(key.target_columns[c]);
          candidates[key.columns[c]] = {value == parent.values.end() ? Cell() : value->second};
        }
      }
    }
  }

  Candidates candidates_of(const ColumnInfo& column, std::size_t row) {
    Candidates list;
    if (column.kind == 'e') {
      for (std::size_t i = 0; i < column.labels.size(); ++i)
        list.emplace_back(column.labels[(i + row) % column.labels.size()]);
    } else if (column.category == 'A') {
      list = arrays(column);
    } else if (column.category == 'S' || column.base == "citext") {
      list = texts(column, row);
    } else if (column.category == 'N') {
      list = numbers(column, row);
    } else {
      list = specials(column, row);
    }
    if (!column.not_null) list.emplace_back(std::nullopt);
    if (column.kind == 'd') drop_what_the_domain_refuses(column, list);
    return list;
  }

  std::vector<std::string> literals_about(const ColumnInfo& column) const {
    std::vector<std::string> found;
    for (const CheckInfo* check : checks_) {
      if (std::find(check->columns.begin(), check->columns.end(), column.number) == check->columns.end())
        continue;
      for (std::string& literal : literals_of(check->expression)) found.push_back(std::move(literal));
    }
    return found;
  }

  // Numbers in its checks that may be how long it has to be.
  std::vector<std::size_t> lengths_about(const ColumnInfo& column) const {
    std::vector<std::size_t> found;
    const auto shortest = static_cast<std::int64_t>(canaries_.mark_.size());
    for (const CheckInfo* check : checks_) {
      if (std::find(check->columns.begin(), check->columns.end(), column.number) == check->columns.end())
        continue;
      for (const std::int64_t number : numbers_of(check->expression)) {
        if (number > shortest && number <= kMaxTextLength) found.push_back(static_cast<std::size_t>(number));
      }
    }
    return found;
  }

  Candidates texts(const ColumnInfo& column, std::size_t row) {
    const std::string mark = canaries_.mark_;
    const auto random_hex = [this](std::size_t count) { return hex_digits(canaries_.random_, count); };
    std::vector<std::string> all = {"canary " + mark + " " + random_hex(4),
                                    "canary-" + mark + random_hex(4) + "@canary.example",
                                    "https://canary.example/" + mark + random_hex(4),
                                    "canary/" + mark + random_hex(4) + ".png",
                                    "c" + mark + random_hex(3),
                                    mark + random_hex(52),
                                    mark + random_hex(28),
                                    mark + random_hex(20),
                                    canaries_.uuid(),
                                    mark};
    for (const std::size_t length : lengths_about(column))
      all.push_back(mark + random_hex(length - mark.size()));
    std::vector<std::string> literals = literals_about(column);
    for (std::size_t i = 0; i < literals.size(); ++i) all.push_back(literals[(i + row) % literals.size()]);
    for (const char* common : {"en",
                               "en-GB",
                               "EUR",
                               "DE",
                               "UTC",
                               "Europe/Berlin",
                               "192.0.2.7",
                               "+491701234567",
                               "image/png",
                               "1.0.0",
                               "#a1b2c3",
                               "canary.example",
                               "02:00:00:00:00:01",
                               "2020-01-01",
                               "10:00",
                               "a",
                               "A",
                               "1",
                               "0",
                               "/canary",
                               "canary"}) {
      all.emplace_back(common);
    }
    Candidates list;
    for (std::string& value : all) {
      if (column.length < 0 || value.size() <= static_cast<std::size_t>(column.length))
        list.emplace_back(std::move(value));
    }
    return list;
  }

  Candidates numbers(const ColumnInfo& column, std::size_t row) {
    std::vector<std::int64_t> all;
    const std::int64_t marked = *parse_int64(canaries_.number_mark_);
    if (column.base == "int8")
      all.push_back(marked * 1'000'000 + static_cast<std::int64_t>(canaries_.random_() % 1'000'000));
    if (column.base != "int2") all.push_back(marked + static_cast<std::int64_t>(row));
    for (const std::int64_t common : {7, 1, 0, 10, 50, 100, 1000, -1})
      all.push_back(common + static_cast<std::int64_t>(row));
    for (const CheckInfo* check : checks_) {
      for (const std::int64_t number : numbers_of(check->expression)) {
        for (const std::int64_t near : {number, number + 1, number - 1}) all.push_back(near);
      }
    }
    Candidates list;
    for (const std::int64_t value : all) {
      if (column.base == "int2" && (value > 32'767 || value < -32'768)) continue;
      if (column.base == "int4" && (value > 2'147'483'647 || value < -2'147'483'648LL)) continue;
      const auto digits = static_cast<int>(std::to_string(std::abs(value)).size());
      if (column.precision >= 0 && digits > column.precision - column.scale && value != 0) continue;
      list.emplace_back(std::to_string(value));
    }
    if (list.empty() || column.precision >= 0) list.emplace_back("0");
    return list;
  }

  Candidates arrays(const ColumnInfo& column) {
    Candidates list;
    if (column.base == "_text" || column.base == "_varchar" || column.base == "_bpchar") {
      list.emplace_back(array_text({"canary " + canaries_.mark_}));
      for (const std::string& literal : literals_about(column)) list.emplace_back(array_text({literal}));
    } else if (column.base == "_uuid") {
      list.emplace_back(array_text({canaries_.uuid()}));
    } else if (!column.labels.empty()) {
      list.emplace_back(array_text({column.labels.front()}));
    }
    list.emplace_back("{}");
    return list;
  }

  Candidates specials(const ColumnInfo& column, std::size_t row) {
    const std::string& base = column.base;
    const std::string& mark = canaries_.mark_;
    const std::string day = fmt::format("{}-{:02}", canaries_.month_, row + 1);
    if (base == "uuid") return {Cell(canaries_.uuid())};
    if (base == "bool") return {Cell("true"), Cell("false")};
    if (base == "date") return {Cell(day), Cell("2099-01-01")};
    if (base == "timestamp" || base == "timestamptz")
      return {Cell(day + " 10:00:00+00"), Cell("2099-01-01 00:00:00+00")};
    if (base == "time" || base == "timetz") return {Cell("10:00:00+00")};
    if (base == "interval") return {Cell("1 hour")};
    if (base == "json" || base == "jsonb") {
      return {Cell("{\"canary\": \"" + mark + "\"}"), Cell("[\"" + mark + "\"]"), Cell("{}"), Cell("[]")};
    }
    if (base == "bytea")
      return {Cell("\\x" + mark + hex_digits(canaries_.random_, 8)),
              Cell("\\x" + mark + hex_digits(canaries_.random_, 52))};
    if (base == "inet" || base == "cidr")
      return {Cell(fmt::format("192.0.2.{}", row + 1)), Cell("192.0.2.0/24")};
    if (base == "macaddr") return {Cell(fmt::format("02:00:00:00:00:{:02}", row + 1))};
    if (base == "xml") return {Cell("<canary>" + mark + "</canary>")};
    if (base == "tsvector") return {Cell("'" + mark + "'")};
    if (base == "tsquery") return {Cell(mark)};
    if (base == "point") return {Cell("(1,2)")};
    if (base == "bit" || base == "varbit") return {Cell("1")};
    if (column.category == 'R') return {Cell("empty")};
    return {};
  }

  void drop_what_the_domain_refuses(const ColumnInfo& column, Candidates& list) {
    std::erase_if(list, [&](const Cell& value) {
      sql_.run("SAVEPOINT canary");
      const SqlAnswer answer = sql_.run("SELECT $1::" + column.type, {value});
      sql_.run("ROLLBACK TO canary");
      return !answer.ok();
    });
  }

  // Columns that share a check are chosen together: PostgreSQL says which combination its checks accept.
  std::string satisfy_checks(const std::map<std::string, Candidates>& candidates,
                             std::map<std::string, Cell>& values) {
    std::map<int, std::set<int>> groups;  // first column → all
    for (const CheckInfo* check : checks_) {
      std::set<int> joined(check->columns.begin(), check->columns.end());
      std::erase_if(groups, [&](const auto& group) {
        const bool shares =
            std::any_of(group.second.begin(), group.second.end(), [&](int c) { return joined.count(c) > 0; });
        if (shares) joined.insert(group.second.begin(), group.second.end());
        return shares;
      });
      if (!joined.empty()) groups[*joined.begin()] = joined;
    }
    for (const auto& [first, group] : groups) {
      std::string fault = satisfy_group(group, candidates, values);
      if (!fault.empty()) return fault;
    }
    return "";
  }

  std::string satisfy_group(const std::set<int>& group, const std::map<std::string, Candidates>& candidates,
                            std::map<std::string, Cell>& values) {
    std::vector<const ColumnInfo*> columns;
    std::size_t combinations = 1;
    for (const ColumnInfo& column : table_.columns) {
      if (group.count(column.number) == 0) continue;
      if (candidates.count(column.name) == 0) {
        if (column.generated || column.identity != ' ' || column.has_default)
          return "";  // the database decides
        columns.push_back(&column);
        continue;
      }
      columns.push_back(&column);
      combinations *= candidates.at(column.name).size();
    }
    if (combinations > kMaxCombinations) return "too many combinations for a check";
    std::string from, lateral, rank = "0", condition = "true";
    std::vector<Cell> parameters;
    for (const ColumnInfo* column : columns) {
      const auto known = candidates.find(column->name);
      const Candidates list = known == candidates.end() ? Candidates{Cell()} : known->second;
      const std::string alias = fmt::format("c{}", column->number);
      std::string rows;
      for (std::size_t i = 0; i < list.size(); ++i) {
        parameters.push_back(list[i]);
        rows += fmt::format("{}({}, ${}::text)", rows.empty() ? "" : ", ", i, parameters.size());
      }
      from += fmt::format("{}(VALUES {}) {}(i, v)", from.empty() ? "" : " CROSS JOIN ", rows, alias);
      lateral += fmt::format("{}{}.v::{} AS {}", lateral.empty() ? "" : ", ", alias, column->type,
                             pg::quote_name(column->name));
      rank += " + " + alias + ".i";
    }
    std::string selected;
    for (const ColumnInfo* column : columns)
      selected += fmt::format("{}c{}.v", selected.empty() ? "" : ", ", column->number);
    for (const CheckInfo* check : checks_) {
      if (!check->columns.empty() && group.count(check->columns.front()) > 0)
        condition += " AND ((" + check->expression + ") IS NOT FALSE)";
    }
    sql_.run("SAVEPOINT canary");
    const SqlAnswer answer =
        sql_.run("SELECT " + selected + " FROM " + from + " CROSS JOIN LATERAL (SELECT " + lateral +
                     ") canary WHERE " + condition + " ORDER BY " + rank + " LIMIT 1",
                 parameters);
    sql_.run(answer.ok() ? "RELEASE canary" : "ROLLBACK TO canary");
    if (!answer.ok()) return "a check could not be tried: " + answer.words;
    if (answer.rows.empty()) return "no value is known that fits: " + condition;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (candidates.count(columns[i]->name) > 0) values[columns[i]->name] = answer.rows[0][i];
    }
    return "";
  }

  std::string insert(const std::map<std::string, Cell>& values) {
    std::string names, places, returning;
    std::vector<Cell> parameters;
    for (const auto& [name, value] : values) {
      parameters.push_back(value);
      names += (names.empty() ? "" : ", ") + pg::quote_name(name);
      places +=
          fmt::format("{}${}::{}", places.empty() ? "" : ", ", parameters.size(), table_.find(name)->type);
    }
    for (const ColumnInfo& column : table_.columns) {
      returning += (returning.empty() ? "" : ", ") + pg::quote_name(column.name) + "::text";
    }
    sql_.run("SAVEPOINT canary");
    const SqlAnswer answer = sql_.run("INSERT INTO " + table_.qualified() + " (" + names + ") VALUES (" +
                                          places + ") RETURNING " + returning,
                                      parameters);
    sql_.run(answer.ok() ? "RELEASE canary" : "ROLLBACK TO canary");
    if (!answer.ok() || answer.rows.empty()) return "no row could be planted: " + answer.words;
    CanaryRow row;
    for (std::size_t i = 0; i < table_.columns.size(); ++i)
      row.values[table_.columns[i].name] = answer.rows[0][i];
    canaries_.rows_[table_.oid].push_back(std::move(row));
    return "";
  }

  Canaries& canaries_;
  SqlClient& sql_;
  const Inventory& inventory_;
  const RelationInfo& table_;
  std::vector<const ForeignKeyInfo*> foreign_keys_;
  std::vector<const CheckInfo*> checks_;
};

Canaries::Canaries(const Uuid& tenant, Random& random)
    : tenant_(tenant),
      mark_("c" + hex_digits(random, 11)),
      number_mark_(std::to_string(100'000'000 + random() % 899'999'999)),
      month_(fmt::format("{}-{:02}", 1970 + random() % 50, 1 + random() % 12)),
      random_(random) {}

bool Canaries::shows_in(std::string_view text) const {
  return text.find(mark_) != std::string_view::npos || text.find(number_mark_) != std::string_view::npos;
}

std::string Canaries::uuid() {
  const std::string random = hex_digits(random_, 20);
  return random.substr(0, 8) + "-" + random.substr(8, 4) + "-4" + random.substr(13, 3) + "-a" +
         random.substr(17, 3) + "-" + mark_;
}

const std::vector<CanaryRow>* Canaries::rows_of(const std::string& table) const {
  const auto place = rows_.find(table);
  return place == rows_.end() ? nullptr : &place->second;
}

std::vector<const RelationInfo*> planting_order(const Inventory& inventory) {
  std::vector<const RelationInfo*> left, ordered;
  for (const RelationInfo& relation : inventory.relations) {
    if (relation.is_table() && !relation.is_partition && relation.has("tenant_id")) left.push_back(&relation);
  }
  while (!left.empty()) {
    const auto is_free = [&](const RelationInfo* table) {
      return std::none_of(
          inventory.foreign_keys.begin(), inventory.foreign_keys.end(), [&](const ForeignKeyInfo& key) {
            return key.table == table->oid && key.target != table->oid &&
                   std::any_of(left.begin(), left.end(),
                               [&](const RelationInfo* other) { return other->oid == key.target; });
          });
    };
    auto next = std::find_if(left.begin(), left.end(), is_free);
    if (next == left.end()) next = left.begin();
    ordered.push_back(*next);
    left.erase(next);
  }
  return ordered;
}

std::vector<std::string> Canaries::plant(SqlClient& administrator, const Inventory& inventory) {
  std::vector<std::string> faults;
  for (const RelationInfo* table : planting_order(inventory)) {
    administrator.run("BEGIN");
    const std::string fault = Planter(*this, administrator, inventory, *table).plant();
    const SqlAnswer committed = administrator.run("COMMIT");
    if (!fault.empty()) faults.push_back(table->qualified() + ": " + fault);
    if (!committed.ok()) faults.push_back(table->qualified() + ": " + committed.words);
    if (rows_of(table->oid) != nullptr) order_.push_back(table->oid);
  }
  return faults;
}

}  // namespace rowhouse::verify
