// Keys, foreign keys, policies, triggers, indexes: what a write tells about rows that are not one's own.
//
// Everything happens in transactions of the superuser's connection, as the attacker's role with the
// attacker's context, so that the victim's rows can be compared before the transaction is rolled back.
#include <fmt/format.h>

#include <algorithm>

#include "pg/quote.h"
#include "verify/arena.h"

namespace rowhouse::verify {
namespace {

class KeyAttack {
 public:
  explicit KeyAttack(Arena& arena) : arena_(arena), admin_(*arena.admin) {}

  void run() {
    mirror();
    for (const ForeignKeyInfo& key : arena_.inventory.foreign_keys) foreign_key(key);
    for (const RelationInfo& relation : arena_.inventory.relations) policies(relation);
    for (const ObjectInfo& index : arena_.inventory.indexes) index_scan(index);
    for (const ObjectInfo& statistics : arena_.inventory.statistics) extended_statistics(statistics);
    for (const RelationInfo& relation : arena_.inventory.relations) without_tenants(relation);
  }

 private:
  std::string role() const { return "SET LOCAL ROLE " + pg::quote_name(arena_.role); }
  std::string attacker() const { return pg::quote_literal(arena_.attacker_id().to_string()); }
  std::string victim() const { return pg::quote_literal(arena_.victim_id().to_string()); }

  SurfaceId surface_on(const char* kind, const std::string& table, const std::string& name) const {
    const RelationInfo* relation = arena_.inventory.relation(table);
    const std::string prefix =
        relation == nullptr ? "" : arena_.label(relation->schema) + "." + relation->name + ".";
    return arena_.surface(kind, prefix + name);
  }

  static const char* kind_of(const KeyInfo& key) {
    return key.kind == 'p' ? "primary key" : key.kind == 'x' ? "exclusion constraint" : "unique key";
  }

  bool may(const RelationInfo& table, const std::string& column, const char* right) {
    return admin_
               .run("SELECT pg_catalog.has_column_privilege($1, $2::oid, $3, $4)",
                    {Cell(arena_.role), Cell(table.oid), Cell(column), Cell(right)})
               .value() == "t";
  }

  // Columns that the runtime role may write.
  const std::vector<std::string>& writable(const RelationInfo& table) {
    auto& columns = writable_[table.oid];
    if (columns.empty()) {
      for (const ColumnInfo& column : table.columns) {
        if (!column.generated && column.identity != 'a' && column.name != "tenant_id" &&
            may(table, column.name, "INSERT")) {
          columns.push_back(column.name);
        }
      }
    }
    return columns;
  }

  // INSERT of a row as a tenant would write it, with some values replaced.
  std::string insert_sql(const RelationInfo& table, const CanaryRow& row,
                         const std::map<std::string, std::string>& instead = {}) {
    std::string names, values;
    for (const std::string& column : writable(table)) {
      const auto other = instead.find(column);
      const Cell& value = row.values.at(column);
      names += (names.empty() ? "" : ", ") + pg::quote_name(column);
      values += (values.empty() ? "" : ", ") + (other != instead.end() ? pg::quote_literal(other->second)
                                                : value                ? pg::quote_literal(*value)
                                                                       : "NULL");
    }
    return "INSERT INTO " + table.qualified() + " (" + names + ") VALUES (" + values + ")";
  }

  // A statement within a savepoint that is rolled back.
  SqlAnswer attempt(const std::string& sql) {
    admin_.run("SAVEPOINT attempt");
    SqlAnswer answer = admin_.run(sql);
    admin_.run("ROLLBACK TO attempt");
    return answer;
  }

  // The attacker writes rows with the victim's very ids and keys, changes them and deletes them. They must be
  // free, and the victim's must not notice.
  void mirror() {
    arena_.begin_refereed(arena_.attacker_id());
    admin_.run("SET LOCAL session_replication_role = replica");
    for (const std::string& oid : arena_.attackers->order()) {
      admin_.run("DELETE FROM " + arena_.inventory.relation(oid)->qualified() +
                 " WHERE tenant_id = " + attacker());
    }
    admin_.run("SET LOCAL session_replication_role = origin");
    const std::string before = arena_.victim_state();
    admin_.run(role());
    std::vector<const RelationInfo*> written;
    for (const std::string& oid : arena_.victims->order()) {
      const RelationInfo& table = *arena_.inventory.relation(oid);
      if (mirror_table(table)) written.push_back(&table);
    }
    const bool untouched_by_inserts = compare(before);
    change(written);
    const bool untouched = compare(before) && untouched_by_inserts;
    admin_.run("ROLLBACK");
    for (const RelationInfo* table : planting_order(arena_.inventory)) {
      const SurfaceId where = arena_.surface_of(*table);
      arena_.report.attacked(
          where, "same ids and keys", 1, untouched ? Verdict::held : Verdict::broken,
          untouched ? "" : "rows of the victim changed when the attacker wrote and deleted its own");
      for (const ObjectInfo& trigger : arena_.inventory.triggers) {
        if (trigger.table == table->oid) outcome_of_writes("trigger", trigger, untouched);
      }
      for (const ObjectInfo& rule : arena_.inventory.rules) {
        if (rule.table == table->oid) outcome_of_writes("rule", rule, untouched);
      }
      for (const ForeignKeyInfo& key : arena_.inventory.foreign_keys) {
        if (key.table == table->oid || key.target == table->oid) {
          arena_.report.attacked(
              surface_on("foreign key", key.table, key.name), "actions of changes and deletions", 1,
              untouched ? Verdict::held : Verdict::broken,
              untouched ? "" : "rows of the victim changed when the attacker changed its own");
        }
      }
    }
  }

  void outcome_of_writes(const char* kind, const ObjectInfo& object, bool untouched) {
    arena_.report.attacked(surface_on(kind, object.table, object.name), "fires for the attacker's rows", 1,
                           untouched ? Verdict::held : Verdict::broken,
                           untouched ? "" : "rows of the victim changed");
  }

  bool compare(const std::string& before) {
    admin_.run("SAVEPOINT compare; SET LOCAL ROLE NONE");
    const bool same = arena_.victim_state() == before;
    admin_.run("ROLLBACK TO compare");
    return same;
  }

  // True if the rows are there now.
  bool mirror_table(const RelationInfo& table) {
    const auto& rows = *arena_.victims->rows_of(table.oid);
    if (writable(table).empty()) {
      for (const KeyInfo& key : keys_of(table)) {
        arena_.report.attacked(surface_on(kind_of(key), key.table, key.name), "insert with the other's key",
                               1, Verdict::refused);
      }
      return false;
    }
    for (const KeyInfo& key : keys_of(table)) conflict(table, rows.front(), key);
    bool inserted = true;
    for (const CanaryRow& row : rows) {
      admin_.run("SAVEPOINT attempt");
      const SqlAnswer answer = admin_.run(insert_sql(table, row));
      admin_.run(answer.ok() ? "RELEASE attempt" : "ROLLBACK TO attempt");
      inserted = inserted && answer.ok();
      const bool exists = answer.sqlstate == "23505" || answer.sqlstate == "23P01";
      for (const KeyInfo& key : keys_of(table)) {
        arena_.report.attacked(surface_on(kind_of(key), key.table, key.name), "insert with the other's key",
                               1,
                               answer.ok() || is_refusal(answer) ? Verdict::held
                               : exists                          ? Verdict::broken
                                                                 : Verdict::failed,
                               answer.ok() ? ""
                               : exists    ? "it tells that another tenant has such a row"
                                           : answer.words);
      }
    }
    if (inserted) control_keys(table, rows.front());
    return inserted;
  }

  std::vector<KeyInfo> keys_of(const RelationInfo& table) const {
    std::vector<KeyInfo> keys;
    for (const KeyInfo& key : arena_.inventory.keys) {
      if (key.table == table.oid) keys.push_back(key);
    }
    return keys;
  }

  // ON CONFLICT asks the index, which knows no row security: it must not find the victim's entry.
  void conflict(const RelationInfo& table, const CanaryRow& row, const KeyInfo& key) {
    const SurfaceId where = surface_on(kind_of(key), key.table, key.name);
    const std::string insert = insert_sql(table, row);
    const SqlAnswer ignored = attempt(insert + " ON CONFLICT DO NOTHING");
    const bool silent = ignored.ok() && ignored.affected == 0;
    arena_.report.attacked(where, "on conflict do nothing", 1,
                           silent                ? Verdict::broken
                           : ignored.ok()        ? Verdict::held
                           : is_refusal(ignored) ? Verdict::refused
                                                 : Verdict::failed,
                           silent         ? "ON CONFLICT meets a row of another tenant"
                           : ignored.ok() ? ""
                                          : ignored.words);
    if (key.kind == 'x' || key.columns.empty()) return;
    std::string column;
    for (const std::string& name : writable(table)) {
      if (std::find(key.columns.begin(), key.columns.end(), name) == key.columns.end() &&
          may(table, name, "UPDATE"))
        column = name;
    }
    if (column.empty()) return;
    const std::string target = key.kind == 'i' ? "" : " ON CONSTRAINT " + pg::quote_name(key.name);
    if (target.empty())
      return;  // an index without a constraint may be partial: its predicate would have to be named
    const SqlAnswer updated =
        attempt(insert + " ON CONFLICT" + target + " DO UPDATE SET " + pg::quote_name(column) +
                " = EXCLUDED." + pg::quote_name(column) + " RETURNING tenant_id, xmax = 0");
    const bool foreign =
        updated.ok() && (updated.value() != arena_.attacker_id().to_string() || updated.rows[0][1] != "t");
    const bool told =
        updated.sqlstate == "42501" && updated.words.find("row-level security") != std::string::npos;
    arena_.report.attacked(where, "on conflict do update", 1,
                           foreign || told       ? Verdict::broken
                           : updated.ok()        ? Verdict::held
                           : is_refusal(updated) ? Verdict::refused
                                                 : Verdict::failed,
                           foreign || told ? "ON CONFLICT meets a row of another tenant"
                           : updated.ok()  ? ""
                                           : updated.words);
  }

  // The same row a second time: now it is the attacker's own, and every key that the attacker can choose says
  // so.
  void control_keys(const RelationInfo& table, const CanaryRow& row) {
    const SqlAnswer again = attempt(insert_sql(table, row));
    const bool spoke = again.sqlstate == "23505" || again.sqlstate == "23P01";
    for (const KeyInfo& key : keys_of(table)) {
      const bool chosen = std::all_of(key.columns.begin(), key.columns.end(), [&](const std::string& column) {
        const auto& can = writable(table);
        return column == "tenant_id" || std::find(can.begin(), can.end(), column) != can.end();
      });
      if (!chosen) continue;
      arena_.report.attacked(surface_on(kind_of(key), key.table, key.name), "insert with the other's key", 1,
                             spoke ? Verdict::held : Verdict::unproven,
                             spoke ? "" : "the same row could be inserted twice, so the key was not asked");
    }
  }

  void change(const std::vector<const RelationInfo*>& written) {
    for (auto place = written.rbegin(); place != written.rend(); ++place) {
      const RelationInfo& table = **place;
      for (const std::string& column : writable(table)) {
        const std::string name = pg::quote_name(column);
        attempt_and_keep("UPDATE " + table.qualified() + " SET " + name + " = " + name);
      }
    }
    for (const RelationInfo* table : written) attempt_and_keep("DELETE FROM " + table->qualified());
    for (auto place = written.rbegin(); place != written.rend(); ++place)
      attempt_and_keep("DELETE FROM " + (*place)->qualified());
  }

  void attempt_and_keep(const std::string& sql) {
    admin_.run("SAVEPOINT attempt");
    const SqlAnswer answer = admin_.run(sql);
    admin_.run(answer.ok() ? "RELEASE attempt" : "ROLLBACK TO attempt");
  }

  // A child that names the victim's parent: refused in the same words as one that names a parent that does
  // not exist.
  void foreign_key(const ForeignKeyInfo& key) {
    const SurfaceId where = surface_on("foreign key", key.table, key.name);
    const RelationInfo* child = arena_.inventory.relation(key.table);
    const auto* own_rows = arena_.attackers->rows_of(key.table);
    const auto* others = arena_.victims->rows_of(key.target);
    if (child == nullptr || own_rows == nullptr || others == nullptr) return;  // stays uncovered
    const std::map<std::string, std::string> theirs = values_for(key, others->front());
    std::map<std::string, std::string> nobodys;
    for (const auto& [column, value] : theirs) nobodys[column] = unknown_like(*child, column);
    if (theirs.empty()) {
      arena_.report.attacked(where, "child of the other's parent", 0, Verdict::failed,
                             "the key has no column that a tenant chooses");
      return;
    }
    arena_.begin_refereed(arena_.attacker_id());
    admin_.run("SET LOCAL session_replication_role = replica; DELETE FROM " + child->qualified() +
               " WHERE tenant_id = " + attacker() +
               "; SET LOCAL session_replication_role = origin; SET CONSTRAINTS ALL IMMEDIATE");
    admin_.run(role());
    const SqlAnswer own = attempt(insert_sql(*child, own_rows->back()));
    const SqlAnswer stolen = attempt(insert_sql(*child, own_rows->back(), theirs));
    const SqlAnswer unknown = attempt(insert_sql(*child, own_rows->back(), nobodys));
    admin_.run("ROLLBACK");
    std::string told = stolen.words, expected = unknown.words;
    for (const auto& [column, value] : theirs) told = replaced(told, value, "X");
    for (const auto& [column, value] : nobodys) expected = replaced(expected, value, "X");
    Verdict verdict = Verdict::held;
    std::string note;
    if (stolen.ok()) {
      verdict = Verdict::broken;
      note = "a row may refer to a row of another tenant";
    } else if (stolen.sqlstate != unknown.sqlstate || told != expected) {
      verdict = Verdict::broken;
      note = "the refusal tells whether another tenant has the parent";
    } else if (is_refusal(stolen) && is_refusal(own)) {
      verdict = Verdict::refused;
    } else if (!own.ok()) {
      verdict = Verdict::unproven;
      note = "a row with a parent of one's own is refused, too: " + own.words;
    }
    arena_.report.attacked(where, "child of the other's parent", 2, verdict, note);
  }

  static std::map<std::string, std::string> values_for(const ForeignKeyInfo& key, const CanaryRow& parent) {
    std::map<std::string, std::string> values;
    for (std::size_t i = 0; i < key.columns.size(); ++i) {
      const auto value = parent.values.find(key.target_columns[i]);
      if (key.columns[i] != "tenant_id" && value != parent.values.end() && value->second)
        values[key.columns[i]] = *value->second;
    }
    return values;
  }

  std::string unknown_like(const RelationInfo& table, const std::string& column) {
    const ColumnInfo* info = table.find(column);
    if (info != nullptr && info->category == 'N')
      return std::to_string(2'000'000'000 + arena_.random() % 100'000'000);
    return arena_.attackers->uuid();
  }

  // What hangs on a table that holds no canaries: nobody may write there, so nothing speaks or fires.
  void without_tenants(const RelationInfo& relation) {
    if (arena_.victims->rows_of(relation.oid) != nullptr || !relation.is_table()) return;
    const SqlAnswer answer =
        arena_.as(&arena_.attacker_id(), "INSERT INTO " + relation.qualified() + " DEFAULT VALUES");
    const Verdict verdict = is_refusal(answer) ? Verdict::refused : Verdict::broken;
    const std::string note = is_refusal(answer) ? "" : "tenants may write into a table that all share";
    for (const KeyInfo& key : keys_of(relation)) {
      arena_.report.attacked(surface_on(kind_of(key), key.table, key.name), "insert without a right", 1,
                             verdict, note);
    }
    for (const ForeignKeyInfo& key : arena_.inventory.foreign_keys) {
      if (key.table == relation.oid)
        arena_.report.attacked(surface_on("foreign key", key.table, key.name), "insert without a right", 1,
                               verdict, note);
    }
    for (const auto& [kind, objects] :
         {std::pair<const char*, const std::vector<ObjectInfo>*>{"trigger", &arena_.inventory.triggers},
          {"rule", &arena_.inventory.rules}}) {
      for (const ObjectInfo& object : *objects) {
        if (object.table == relation.oid)
          arena_.report.attacked(surface_on(kind, object.table, object.name), "insert without a right", 1,
                                 verdict, note);
      }
    }
  }

  // Each policy on its own: would it let the victim's rows through if it were the only one?
  void policies(const RelationInfo& relation) {
    bool wall_reads = false, wall_writes = false, any = false;
    for (const PolicyInfo& policy : arena_.inventory.policies) {
      if (policy.table != relation.oid) continue;
      any = true;
      const bool reads = lets_through(relation, policy, policy.using_expression);
      // Without one of its own, USING is what new rows are checked with.
      const std::string& check =
          policy.check_expression.empty() ? policy.using_expression : policy.check_expression;
      const bool writes = lets_through(relation, policy, check);
      const SurfaceId where = surface_on("policy", policy.table, policy.name);
      const bool asks_reads = policy.command != 'a',
                 asks_writes = policy.command != 'r' && policy.command != 'd';
      if (policy.permissive) {
        const bool open = (asks_reads && reads) || (asks_writes && writes);
        arena_.report.attacked(where, "policy alone", 2, open ? Verdict::broken : Verdict::held,
                               open ? "this permissive policy accepts rows of other tenants" : "");
      } else {
        arena_.report.attacked(where, "policy alone", 2, Verdict::held);
        if (policy.command == '*') {
          wall_reads = wall_reads || !reads;
          wall_writes = wall_writes || !writes;
        }
      }
    }
    if (!relation.is_table() || !relation.has("tenant_id") || relation.is_partition) return;
    const bool walled = wall_reads && wall_writes && relation.row_security && relation.forced;
    arena_.report.attacked(
        arena_.surface_of(relation), "wall behind the policies", 1, walled ? Verdict::held : Verdict::broken,
        walled                                       ? ""
        : !any                                       ? "the table has no policy"
        : !relation.row_security || !relation.forced ? "row security is not enabled and forced"
                                                     : "no restrictive policy rejects rows of other tenants");
  }

  bool lets_through(const RelationInfo& relation, const PolicyInfo& policy, const std::string& expression) {
    if (expression.empty()) return false;
    const std::string sql = "SELECT count(*) FROM " + relation.qualified() +
                            " WHERE tenant_id = " + victim() + " AND (" + expression + ")";
    arena_.begin_refereed(arena_.attacker_id());
    const SqlAnswer asked = admin_.run(sql);
    admin_.run("ROLLBACK");
    arena_.begin_refereed(arena_.victim_id());
    const SqlAnswer control = admin_.run(sql);
    admin_.run("ROLLBACK");
    if (!asked.ok() || !control.ok() ||
        (control.value() == "0" && policy.permissive && !relation.is_partition)) {
      arena_.report.attacked(
          surface_on("policy", policy.table, policy.name), "policy alone", 1, Verdict::unproven,
          "the policy does not let the owner's rows through: " + asked.words + control.words);
    }
    return asked.ok() && asked.value() != "0";
  }

  void index_scan(const ObjectInfo& index) {
    const RelationInfo* table = arena_.inventory.relation(index.table);
    const SurfaceId where = surface_on("index", index.table, index.name);
    if (table == nullptr) return;
    if (!table->has("tenant_id")) {
      const SqlAnswer answer =
          arena_.as(&arena_.attacker_id(), "SELECT 1 FROM " + table->qualified() + " LIMIT 1");
      arena_.report.attacked(where, "ordered scan", 1, is_refusal(answer) ? Verdict::refused : Verdict::held);
      return;
    }
    const std::string columns =
        admin_
            .run(
                "SELECT pg_catalog.string_agg(pg_catalog.pg_get_indexdef(i.indexrelid, k, true), ', ') "
                "FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid "
                "CROSS JOIN pg_catalog.generate_series(1, i.indnkeyatts) k "
                "WHERE i.indrelid = $1::oid AND c.relname = $2",
                {Cell(index.table), Cell(index.name)})
            .value();
    const std::string sql =
        "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off; "
        "SELECT 1 FROM " +
        table->qualified() + " WHERE tenant_id = " + victim() + " ORDER BY " + columns + " LIMIT 5";
    const SqlAnswer asked = arena_.as(&arena_.attacker_id(), sql);
    const SqlAnswer control = arena_.as(&arena_.victim_id(), sql);
    const bool leaks = asked.ok() && !asked.rows.empty();
    const bool owner_sees = control.ok() && !control.rows.empty();
    arena_.report.attacked(where, "ordered scan", 1,
                           leaks                 ? Verdict::broken
                           : is_refusal(control) ? Verdict::refused
                           : !asked.ok()         ? Verdict::failed
                           : owner_sees          ? Verdict::held
                                                 : Verdict::unproven,
                           leaks        ? "a scan of this index gives rows of another tenant"
                           : owner_sees ? ""
                                        : asked.words + control.words);
  }

  void extended_statistics(const ObjectInfo& statistics) {
    const SurfaceId where = surface_on("statistics", statistics.table, statistics.name);
    const SqlAnswer asked =
        arena_.as(&arena_.attacker_id(), "SELECT * FROM pg_catalog.pg_stats_ext WHERE statistics_name = " +
                                             pg::quote_literal(statistics.name));
    const bool leaks = asked.ok() && !asked.rows.empty();
    arena_.report.attacked(where, "read statistics", 1, leaks ? Verdict::broken : Verdict::held,
                           leaks ? "statistics of all tenants' rows are readable" : "");
  }

  Arena& arena_;
  SqlClient& admin_;
  std::map<std::string, std::vector<std::string>> writable_;
};

}  // namespace

void attack_keys(Arena& arena) { KeyAttack(arena).run(); }

}  // namespace rowhouse::verify
