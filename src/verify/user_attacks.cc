// Users of one tenant against each other: rows that a row rule by role gives to one of them.
//
// What is divided is what rowhouse.row_rules declares; the canaries of the victim have an owner each, for
// every uuid of theirs is another one. Both users are of the victim's tenant.
#include <algorithm>
#include <map>
#include <optional>

#include "pg/quote.h"
#include "verify/arena.h"

namespace rowhouse::verify {
namespace {

constexpr const char* kRulesSql =
    "SELECT w.schema_name, d.relation, d.owners, d.through, d.parent FROM rowhouse.row_rules w CROSS JOIN "
    "LATERAL "
    "pg_catalog.jsonb_to_recordset(w.rules) d (relation text, owners text[], through text, parent text)";

constexpr int kMaxChain = 10;  // of parents

struct Rule {
  const RelationInfo* table = nullptr;
  std::vector<std::string> owners;
  std::string through;
  std::string parent;  // OID
};

class UserAttack {
 public:
  explicit UserAttack(Arena& arena) : arena_(arena) {}

  void run() {
    const SqlAnswer declared = arena_.admin->run(kRulesSql);
    for (const auto& row : declared.rows) {
      const RelationInfo* table = relation(*row[0], *row[1]);
      if (table == nullptr) continue;  // of a tenant that does not take part
      Rule& rule = rules_[table->oid];
      rule.table = table;
      if (row[2]) rule.owners = array_elements(*row[2]);
      if (row[3]) rule.through = *row[3];
      const RelationInfo* parent = row[4] ? relation(*row[0], *row[4]) : nullptr;
      if (parent != nullptr) rule.parent = parent->oid;
    }
    for (const auto& [oid, rule] : rules_) {
      if (arena_.stopped()) return;
      attack(rule);
    }
  }

 private:
  const RelationInfo* relation(const std::string& schema, const std::string& name) const {
    for (const RelationInfo& one : arena_.inventory.relations) {
      if (one.schema == schema && one.name == name) return &one;
    }
    return nullptr;
  }

  static Cell value_of(const CanaryRow& row, const std::string& column) {
    const auto found = row.values.find(column);
    return found == row.values.end() ? Cell() : found->second;
  }

  const CanaryRow* row_with_id(const std::string& table, const std::string& id) const {
    const auto* rows = arena_.victims->rows_of(table);
    if (rows == nullptr) return nullptr;
    for (const CanaryRow& row : *rows) {
      if (value_of(row, "id") == id) return &row;
    }
    return nullptr;
  }

  // The user whom the row belongs to.
  std::optional<Uuid> owner_of(const Rule& rule, const CanaryRow& row, int depth = 0) const {
    for (const std::string& column : rule.owners) {
      if (const Cell value = value_of(row, column)) return Uuid::parse(*value);
    }
    const Cell id = rule.through.empty() ? Cell() : value_of(row, rule.through);
    const auto parent = rules_.find(rule.parent);
    if (!id || parent == rules_.end() || depth >= kMaxChain) return std::nullopt;
    const CanaryRow* parent_row = row_with_id(rule.parent, *id);
    return parent_row == nullptr ? std::nullopt : owner_of(parent->second, *parent_row, depth + 1);
  }

  SqlAnswer ask(const Person& user, const std::string& sql) {
    return arena_.as_user(arena_.victim_id(), user, sql);
  }

  void attack(const Rule& rule) {
    const SurfaceId where = arena_.surface_of(*rule.table);
    const auto* rows = arena_.victims->rows_of(rule.table->oid);
    const auto owner = rows == nullptr ? std::nullopt : owner_of(rule, rows->front());
    if (!owner || rule.table->key.empty()) {
      arena_.report.attacked(where, kReading, 1, Verdict::unproven, "no canary here belongs to a user");
      return;
    }
    owner_ = Person{*owner, pg::ContextRole::user_own_rows};
    other_ = Person{Uuid::make_v7(std::chrono::system_clock::now()), pg::ContextRole::user_own_rows};
    everybody_ = Person{other_.id, pg::ContextRole::user_all_rows};
    key_.clear();
    for (const std::string& column : rule.table->key) {
      key_ += (key_.empty() ? "t." : " AND t.") + pg::quote_name(column) + " = " +
              pg::quote_literal(value_of(rows->front(), column).value_or(""));
    }
    read_and_write(rule, where);
    give(rule, where, *rows);
  }

  bool got(const SqlAnswer& answer) const {
    // A division by zero, or a constraint that spoke: the row was there.
    if (answer.sqlstate == "22012" || answer.sqlstate.starts_with("23")) return true;
    return answer.ok() &&
           (!answer.rows.empty() || answer.affected > 0 || arena_.victims->shows_in(answer.everything()));
  }

  void read_and_write(const Rule& rule, const SurfaceId& where) {
    const std::string table = rule.table->qualified();
    const std::string& column = rule.through.empty() ? rule.owners.front() : rule.through;
    const std::string set = pg::quote_name(column) + " = t." + pg::quote_name(column);
    const std::string of_tenant =
        " t WHERE t.tenant_id = " + pg::quote_literal(arena_.victim_id().to_string());
    const std::vector<std::string> statements = {
        "SELECT 1 FROM " + table + " t WHERE " + key_,
        "SELECT 1 FROM " + table + of_tenant + " LIMIT 5",
        "SELECT 1 FROM " + table + of_tenant + " FOR UPDATE SKIP LOCKED",
        "SELECT 1 WHERE EXISTS (SELECT FROM " + table + of_tenant + ")",
        "COPY (SELECT * FROM " + table + " LIMIT 1000) TO STDOUT",
        "SELECT 1 FROM " + table + " t WHERE 1 / (CASE WHEN t::text LIKE '%" + arena_.victims->mark() +
            "%' THEN 0 ELSE 1 END) > 1",
        "UPDATE " + table + " t SET " + set + " WHERE " + key_,
        "UPDATE " + table + " t SET " + set + " WHERE " + key_ + " RETURNING 1",
        "DELETE FROM " + table + " t WHERE " + key_,
        "WITH gone AS (DELETE FROM " + table + " t WHERE " + key_ + " RETURNING 1) SELECT * FROM gone",
        "MERGE INTO " + table + " t USING (VALUES (1)) v(x) ON " + key_ + " WHEN MATCHED THEN DELETE",
        "SET LOCAL row_security = off; SELECT 1 FROM " + table + of_tenant + " LIMIT 5",
    };
    Verdict verdict = Verdict::held;
    std::string note;
    for (const std::string& sql : statements) {
      const SqlAnswer attempt = ask(other_, sql), control = ask(owner_, sql);
      if (got(attempt)) {
        verdict = Verdict::broken;
        note = "a user of the same tenant got the row of another one: " + sql;
        break;
      }
      if (got(control) || (is_refusal(attempt) && is_refusal(control))) continue;
      verdict = Verdict::unproven;
      note = "the user who owns the row did not get it: " + sql + ": " + control.words;
    }
    arena_.report.attacked(where, kReading, static_cast<int>(statements.size()), verdict, note);
  }

  // Rows that are not, or would not stay, of the user who writes them.
  void give(const Rule& rule, const SurfaceId& where, const std::vector<CanaryRow>& rows) {
    struct Gift {
      Person giver;
      std::string sql;
    };
    std::vector<Gift> gifts = {{other_, insert_of(rule, rows.front())}};
    const std::string update = "UPDATE " + rule.table->qualified() + " t SET ";
    if (rule.through.empty()) {
      std::string set;
      for (const std::string& column : rule.owners) {
        const Cell of_another = rows.size() > 1 ? value_of(rows[1], column) : Cell();
        set += (set.empty() ? "" : ", ") + pg::quote_name(column) + " = " +
               pg::quote_literal(of_another.value_or(other_.id.to_string()));
      }
      gifts.push_back({owner_, update + set + " WHERE " + key_});
    } else if (const CanaryRow* parent = parent_of_another(rule)) {
      const std::string set = update + pg::quote_name(rule.through) + " = ";
      gifts.push_back({owner_, set + pg::quote_literal(*value_of(*parent, "id")) + " WHERE " + key_});
      compare_with_nothing(where, gifts.back().sql,
                           set + pg::quote_literal(other_.id.to_string()) + " WHERE " + key_);
    }
    Verdict verdict = Verdict::held;
    std::string note;
    for (const Gift& gift : gifts) {
      const SqlAnswer attempt = ask(gift.giver, gift.sql), control = ask(everybody_, gift.sql);
      if (got(attempt)) {
        verdict = Verdict::broken;
        note = "a user wrote a row that is not their own: " + gift.sql;
        break;
      }
      if (got(control) || (is_refusal(attempt) && is_refusal(control))) continue;
      verdict = Verdict::unproven;
      note = "who reaches all rows could not do it, either: " + gift.sql + ": " + control.words;
    }
    arena_.report.attacked(where, kGiving, static_cast<int>(gifts.size()), verdict, note);
  }

  // The victim's row once more, with other ids: of the owner, or under the same parent.
  std::string insert_of(const Rule& rule, const CanaryRow& row) {
    std::string names, values;
    for (const ColumnInfo& column : rule.table->columns) {
      const Cell& value = row.values.at(column.name);
      if (column.generated || column.identity == 'a' || column.name == "tenant_id" || !value) continue;
      const bool is_id =
          column.base == "uuid" && column.name != rule.through &&
          std::find(rule.table->key.begin(), rule.table->key.end(), column.name) != rule.table->key.end();
      names += (names.empty() ? "" : ", ") + pg::quote_name(column.name);
      values += (values.empty() ? "" : ", ") + pg::quote_literal(is_id ? arena_.victims->uuid() : *value);
    }
    return "INSERT INTO " + rule.table->qualified() + " (" + names + ") VALUES (" + values + ")";
  }

  const CanaryRow* parent_of_another(const Rule& rule) const {
    const auto parent = rules_.find(rule.parent);
    const auto* rows = arena_.victims->rows_of(rule.parent);
    if (parent == rules_.end() || rows == nullptr) return nullptr;
    for (const CanaryRow& row : *rows) {
      const auto owner = owner_of(parent->second, row);
      if (owner && *owner != owner_.id && value_of(row, "id")) return &row;
    }
    return nullptr;
  }

  void compare_with_nothing(const SurfaceId& where, const std::string& at_another,
                            const std::string& at_nothing) {
    const SqlAnswer one = ask(owner_, at_another), none = ask(owner_, at_nothing);
    const bool same = one.sqlstate == none.sqlstate && one.words == none.words;
    arena_.report.attacked(where, kGiving, 1, same ? Verdict::held : Verdict::broken,
                           same ? "" : "the refusal tells that another user's row exists: " + one.words);
  }

  static constexpr const char* kReading = "read and write as another user";
  static constexpr const char* kGiving = "a row for another user";

  Arena& arena_;
  std::map<std::string, Rule> rules_;  // by OID of the table
  Person owner_, other_, everybody_;
  std::string key_;
};

}  // namespace

void attack_users(Arena& arena) { UserAttack(arena).run(); }

}  // namespace rowhouse::verify
