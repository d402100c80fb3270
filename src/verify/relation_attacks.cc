// Tables, partitions and views: read, write and guess at the victim's rows in every way that SQL has.
#include <fmt/format.h>

#include <algorithm>

#include "pg/quote.h"
#include "verify/arena.h"

namespace rowhouse::verify {
namespace {

// When an attack got something. The owner, asking the same way, must get it.
enum class Prey {
  rows,      // any row: the statement asks for the victim's alone
  marks,     // the victim's mark, anywhere in the answer
  count,     // a first cell that is not 0
  affected,  // rows changed, or a constraint that spoke before row security did
  error,     // an error that only the victim's row can cause
};

// Where a statement makes sense.
enum class Needs { anything, tenant_column, marks, key, update, table, plain_table };

struct Shot {
  const char* name;
  Prey prey;
  Needs needs;
  // {R} relation, {victim} {attacker} ids as literals, {mark}, {key} condition on the victim's row, {set} an
  // assignment that changes nothing, {ctid} where the victim's row lies.
  const char* sql;
};

constexpr Shot kShots[] = {
    {"select", Prey::marks, Needs::marks, "SELECT t.* FROM (SELECT * FROM {R} LIMIT 1000) t"},
    {"select whole row", Prey::marks, Needs::marks, "SELECT t FROM (SELECT * FROM {R} LIMIT 1000) t"},
    {"select by tenant", Prey::rows, Needs::tenant_column,
     "SELECT t.* FROM {R} t WHERE t.tenant_id = {victim} LIMIT 10"},
    {"select what is not mine", Prey::rows, Needs::tenant_column,
     "SELECT 1 FROM {R} t WHERE t.tenant_id <> {attacker} LIMIT 5"},
    {"select by key", Prey::rows, Needs::key, "SELECT t.* FROM {R} t WHERE {key}"},
    {"select by mark", Prey::rows, Needs::marks, "SELECT 1 FROM {R} t WHERE t::text LIKE '%{mark}%' LIMIT 5"},
    {"count", Prey::count, Needs::tenant_column, "SELECT count(*) FROM {R} t WHERE t.tenant_id = {victim}"},
    {"exists", Prey::rows, Needs::tenant_column,
     "SELECT 1 WHERE EXISTS (SELECT FROM {R} t WHERE t.tenant_id = {victim})"},
    {"aggregate", Prey::marks, Needs::marks,
     "SELECT string_agg(t::text, ' ') FROM (SELECT * FROM {R} LIMIT 1000) t"},
    {"join", Prey::rows, Needs::tenant_column,
     "SELECT t.* FROM (VALUES ({victim}::uuid)) v(id) JOIN {R} t ON t.tenant_id = v.id LIMIT 10"},
    {"common table expression", Prey::rows, Needs::tenant_column,
     "WITH t AS MATERIALIZED (SELECT * FROM {R} LIMIT 1000) SELECT * FROM t WHERE tenant_id = {victim}"},
    {"cursor", Prey::rows, Needs::tenant_column,
     "DECLARE canary CURSOR FOR SELECT t.* FROM {R} t WHERE t.tenant_id = {victim}; FETCH 10 FROM canary"},
    {"cursor with hold", Prey::rows, Needs::tenant_column,
     "DECLARE canary SCROLL CURSOR WITH HOLD FOR SELECT t.* FROM {R} t WHERE t.tenant_id = {victim}; FETCH "
     "10 FROM canary"},
    {"prepared statement", Prey::rows, Needs::tenant_column,
     "PREPARE canary (uuid) AS SELECT t.* FROM {R} t WHERE t.tenant_id = $1 LIMIT 10; EXECUTE canary "
     "({victim})"},
    {"tablesample", Prey::rows, Needs::table,
     "SELECT t.* FROM {R} t TABLESAMPLE BERNOULLI (100) WHERE t.tenant_id = {victim}"},
    {"system columns", Prey::rows, Needs::plain_table,
     "SELECT t.ctid, t.xmin, t.tableoid FROM {R} t WHERE t.tenant_id = {victim}"},
    {"row address", Prey::marks, Needs::plain_table, "SELECT t.* FROM {R} t WHERE t.ctid = '{ctid}'"},
    {"index scan", Prey::rows, Needs::key,
     "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SELECT t.tenant_id FROM {R} t WHERE "
     "{key}"},
    {"copy to", Prey::marks, Needs::marks, "COPY (SELECT * FROM {R} LIMIT 1000) TO STDOUT"},
    {"xml export", Prey::marks, Needs::marks,
     "SELECT pg_catalog.query_to_xml('SELECT * FROM {R} LIMIT 1000', true, false, '')"},
    {"error of a division", Prey::error, Needs::marks,
     "SELECT count(*) FROM {R} t WHERE 1 / (CASE WHEN t::text LIKE '%{mark}%' THEN 0 ELSE 1 END) = 1"},
    {"error of a cast", Prey::marks, Needs::marks,
     "SELECT count(*) FROM {R} t WHERE (t::text || t::text)::integer = 1"},
    {"row security off", Prey::rows, Needs::tenant_column,
     "SET LOCAL row_security = off; SELECT 1 FROM {R} t WHERE t.tenant_id = {victim} LIMIT 5"},
    {"select for update", Prey::rows, Needs::key, "SELECT t.* FROM {R} t WHERE {key} FOR UPDATE SKIP LOCKED"},
    {"select for key share", Prey::rows, Needs::key,
     "SELECT t.* FROM {R} t WHERE {key} FOR KEY SHARE NOWAIT"},
    {"update", Prey::affected, Needs::update, "UPDATE {R} t SET {set} WHERE {key}"},
    {"update all", Prey::affected, Needs::update, "UPDATE {R} t SET {set} WHERE t.tenant_id = {victim}"},
    {"update returning", Prey::rows, Needs::update, "UPDATE {R} t SET {set} WHERE {key} RETURNING t.*"},
    {"delete", Prey::affected, Needs::key, "DELETE FROM {R} t WHERE {key}"},
    {"delete in a query", Prey::rows, Needs::key,
     "WITH gone AS (DELETE FROM {R} t WHERE {key} RETURNING t.*) SELECT * FROM gone"},
    {"merge update", Prey::affected, Needs::update,
     "MERGE INTO {R} t USING (VALUES (1)) v(x) ON {key} WHEN MATCHED THEN UPDATE SET {set}"},
    {"merge delete", Prey::affected, Needs::key,
     "MERGE INTO {R} t USING (VALUES (1)) v(x) ON {key} WHEN MATCHED THEN DELETE"},
};

struct Prepared {
  const RelationInfo& relation;
  SurfaceId surface;
  bool has_tenant = false, has_marks = false;
  std::string key, set, ctid;
};

bool applies(const Shot& shot, const Prepared& target) {
  const bool is_table =
      target.relation.kind == 'r' || target.relation.kind == 'p' || target.relation.kind == 'm';
  switch (shot.needs) {
    case Needs::anything:
      return true;
    case Needs::tenant_column:
      return target.has_tenant;
    case Needs::marks:
      return target.has_marks;
    case Needs::key:
      return !target.key.empty();
    case Needs::update:
      return !target.key.empty() && !target.set.empty();
    case Needs::table:
      return is_table && target.has_tenant;
    case Needs::plain_table:
      return !target.ctid.empty();
  }
  return false;
}

bool got(const SqlAnswer& answer, Prey prey, const Canaries& victims) {
  switch (prey) {
    case Prey::rows:
      return (answer.ok() && !answer.rows.empty()) || answer.sqlstate.starts_with("23");
    case Prey::marks:
      return victims.shows_in(answer.everything());
    case Prey::count:
      return answer.ok() && answer.value() != "0";
    case Prey::affected:
      return (answer.ok() && answer.affected > 0) || answer.sqlstate.starts_with("23");
    case Prey::error:
      return answer.sqlstate == "22012";
  }
  return true;
}

// What the two answers, the attacker's and the owner's, say together.
Verdict judge(const SqlAnswer& attempt, const SqlAnswer& control, Prey prey, const Canaries& victims,
              std::string& note) {
  if (got(attempt, prey, victims)) {
    note = "the attacker got what belongs to the victim";
    return Verdict::broken;
  }
  for (const SqlAnswer* answer : {&attempt, &control}) {
    const bool expected = answer->ok() || is_refusal(*answer) || got(*answer, prey, victims) ||
                          (prey == Prey::marks && answer->sqlstate.starts_with("22"));
    if (!expected) {
      note = (answer == &attempt ? "the attacker's statement failed: " : "the owner's statement failed: ") +
             answer->sqlstate + " " + answer->words;
      return Verdict::failed;
    }
  }
  if (got(control, prey, victims)) return Verdict::held;
  if (is_refusal(control)) return Verdict::refused;
  note = "the owner did not see its own canary in this way";
  return Verdict::unproven;
}

class RelationAttack {
 public:
  explicit RelationAttack(Arena& arena) : arena_(arena) {}

  void attack(const RelationInfo& relation) {
    Prepared target = prepare(relation);
    if (!target.has_tenant && !target.has_marks) {
      plain(target);
      return;
    }
    std::vector<const Shot*> shots;
    for (const Shot& shot : kShots) {
      if (applies(shot, target)) shots.push_back(&shot);
    }
    std::shuffle(shots.begin(), shots.end(), arena_.random);
    for (const Shot* shot : shots) fire(*shot, target);
    without_context(target);
    as_owner(target);
    if (relation.is_table()) write(target);
    if (target.relation.has("tenant_id")) prepared_by_victim(target);
  }

 private:
  std::string literal(const Uuid& id) const { return pg::quote_literal(id.to_string()); }

  Prepared prepare(const RelationInfo& relation) {
    Prepared target{relation, arena_.surface_of(relation), false, false, {}, {}, {}};
    const std::string where =
        relation.has("tenant_id") ? " WHERE tenant_id = " + literal(arena_.victim_id()) : "";
    const SqlAnswer seen =
        arena_.admin->run("SELECT count(*), count(*) FILTER (WHERE t::text LIKE '%" + arena_.victims->mark() +
                          "%') FROM (SELECT * FROM " + relation.qualified() + where + " LIMIT 5000) t");
    target.has_tenant = relation.has("tenant_id");
    target.has_marks = seen.ok() && seen.rows[0][1] != "0";
    const auto* rows = arena_.victims->rows_of(relation.oid);
    if (rows != nullptr && !relation.key.empty()) {
      for (const std::string& column : relation.key) {
        const auto value = rows->front().values.find(column);
        if (value == rows->front().values.end() || !value->second) continue;
        target.key += (target.key.empty() ? "t." : " AND t.") + pg::quote_name(column) + " = " +
                      pg::quote_literal(*value->second);
      }
      for (const ColumnInfo& column : relation.columns) {
        if (column.generated ||
            std::find(relation.key.begin(), relation.key.end(), column.name) != relation.key.end())
          continue;
        const auto right =
            arena_.admin->run("SELECT pg_catalog.has_column_privilege($1, $2::oid, $3, 'UPDATE')",
                              {Cell(arena_.role), Cell(relation.oid), Cell(column.name)});
        if (right.value() != "t" && !target.set.empty()) continue;
        const std::string name = pg::quote_name(column.name);
        target.set = name + " = t." + name;
        if (right.value() == "t") break;
      }
      if (relation.kind == 'r') {
        target.ctid =
            arena_.admin->run("SELECT ctid FROM " + relation.qualified() + " t WHERE " + target.key).value();
      }
    }
    return target;
  }

  std::string statement(const char* sql, const Prepared& target) const {
    std::string text = replaced(sql, "{R}", target.relation.qualified());
    text = replaced(text, "{victim}", literal(arena_.victim_id()));
    text = replaced(text, "{attacker}", literal(arena_.attacker_id()));
    text = replaced(text, "{mark}", arena_.victims->mark());
    text = replaced(text, "{key}", target.key);
    text = replaced(text, "{set}", target.set);
    return replaced(text, "{ctid}", target.ctid);
  }

  void fire(const Shot& shot, const Prepared& target) {
    const std::string sql = statement(shot.sql, target);
    const SqlAnswer attempt = arena_.as(&arena_.attacker_id(), sql);
    forget_session();
    const SqlAnswer control = arena_.as(&arena_.victim_id(), sql);
    forget_session();
    std::string note;
    const Verdict verdict = judge(attempt, control, shot.prey, *arena_.victims, note);
    arena_.report.attacked(target.surface, shot.name, 1, verdict, note);
  }

  void forget_session() { arena_.runtime->run("CLOSE ALL; DEALLOCATE ALL"); }

  // A relation without tenants' rows, as far as anybody can tell: it must not show any.
  void plain(const Prepared& target) {
    const std::string sql =
        "SELECT t.* FROM (SELECT * FROM " + target.relation.qualified() + " LIMIT 5000) t";
    const SqlAnswer attempt = arena_.as(&arena_.attacker_id(), sql);
    const bool leaks = arena_.victims->shows_in(attempt.everything()) ||
                       attempt.everything().find(arena_.victim_id().to_string()) != std::string::npos;
    Verdict verdict = leaks ? Verdict::broken : is_refusal(attempt) ? Verdict::refused : Verdict::held;
    std::string note = leaks ? "it shows rows of another tenant" : "";
    if (!attempt.ok() && !is_refusal(attempt)) {
      verdict = Verdict::failed;
      note = attempt.words;
    }
    arena_.report.attacked(target.surface, "select without tenants", 1, verdict, note);
    const SqlAnswer change =
        arena_.as(&arena_.attacker_id(), "DELETE FROM " + target.relation.qualified() + " WHERE false");
    const bool writable = change.ok() && target.relation.is_table();
    arena_.report.attacked(target.surface, "write without tenants", 1,
                           writable ? Verdict::broken : Verdict::refused,
                           writable ? "tenants may write into a table that all share" : "");
  }

  void without_context(const Prepared& target) {
    const std::string sql =
        "SELECT t.* FROM (SELECT * FROM " + target.relation.qualified() + " LIMIT 1000) t";
    const SqlAnswer attempt = arena_.as(nullptr, sql);
    const bool leaks = arena_.victims->shows_in(attempt.everything()) ||
                       arena_.attackers->shows_in(attempt.everything()) ||
                       (attempt.ok() && target.has_tenant && !attempt.rows.empty());
    arena_.report.attacked(target.surface, "select without a context", 1,
                           leaks                 ? Verdict::broken
                           : attempt.ok()        ? Verdict::held
                           : is_refusal(attempt) ? Verdict::refused
                                                 : Verdict::failed,
                           leaks          ? "there are rows without a context"
                           : attempt.ok() ? ""
                                          : attempt.words);
  }

  // Row security is forced: the owner of the table, with or without a context, sees no more than its tenant.
  void as_owner(const Prepared& target) {
    if (!target.has_tenant) return;
    const std::string owner(tenancy::kOwnerRole);
    const std::string sql = "SELECT 1 FROM " + target.relation.qualified() +
                            " t WHERE t.tenant_id = " + literal(arena_.victim_id()) + " LIMIT 1";
    const SqlAnswer nobody = arena_.as_role(owner, nullptr, sql);
    const SqlAnswer attempt = arena_.as_role(owner, &arena_.attacker_id(), sql);
    const SqlAnswer control = arena_.as_role(owner, &arena_.victim_id(), sql);
    std::string note;
    Verdict verdict = judge(attempt, control, Prey::rows, *arena_.victims, note);
    if (nobody.ok() && !nobody.rows.empty()) verdict = Verdict::broken;
    if (verdict == Verdict::unproven && target.relation.is_partition) {
      verdict = Verdict::refused;  // a partition has no policy of its own that would let anybody in
      note.clear();
    }
    if (verdict == Verdict::broken) note = "the role that owns the table sees rows of any tenant";
    arena_.report.attacked(target.surface, "as the owner", 2, verdict, note);
  }

  // Rows for another tenant: inserted, moved, copied in; as the runtime, and as the owner, whom no missing
  // column right stops.
  void write(const Prepared& target) {
    const auto* rows = arena_.victims->rows_of(target.relation.oid);
    if (rows != nullptr) {
      std::string names, values;
      for (const ColumnInfo& column : target.relation.columns) {
        const Cell& value = rows->front().values.at(column.name);
        if (column.generated || column.identity == 'a' || !value) continue;
        const bool is_id = column.base == "uuid" && column.name != "tenant_id" &&
                           std::find(target.relation.key.begin(), target.relation.key.end(), column.name) !=
                               target.relation.key.end();
        names += (names.empty() ? "" : ", ") + pg::quote_name(column.name);
        values += (values.empty() ? "" : ", ") + pg::quote_literal(is_id ? arena_.attackers->uuid() : *value);
      }
      const std::string into = target.relation.qualified() + " (" + names + ")";
      forbidden(target, "insert for another", "INSERT INTO " + into + " VALUES (" + values + ")");
      forbidden(target, "insert for another, on conflict",
                "INSERT INTO " + into + " VALUES (" + values + ") ON CONFLICT DO NOTHING");
      forbidden(target, "merge insert for another",
                "MERGE INTO " + target.relation.qualified() +
                    " t USING (VALUES (1)) v(x) ON false WHEN NOT MATCHED THEN INSERT (" + names +
                    ") VALUES (" + values + ")");
      copy_in(target, *rows);
    }
    forbidden(target, "move to another",
              "UPDATE " + target.relation.qualified() + " t SET tenant_id = " + literal(arena_.victim_id()) +
                  " WHERE t.tenant_id = " + literal(arena_.attacker_id()));
    truncate(target);
  }

  void forbidden(const Prepared& target, const char* name, const std::string& sql) {
    const std::string owner(tenancy::kOwnerRole);
    const SqlAnswer as_runtime = arena_.as(&arena_.attacker_id(), sql);
    const SqlAnswer as_owner = arena_.as_role(owner, &arena_.attacker_id(), sql);
    const SqlAnswer as_nobody = arena_.as_role(owner, nullptr, sql);
    Verdict verdict = Verdict::held;
    std::string note;
    for (const SqlAnswer* answer : {&as_runtime, &as_owner, &as_nobody}) {
      // A constraint that speaks was asked after row security: the row had passed.
      const bool passed = (answer->ok() && answer->affected > 0) || answer->sqlstate.starts_with("23");
      if (passed) {
        verdict = Verdict::broken;
        note = answer == &as_runtime
                   ? "the runtime role may write rows of another tenant"
                   : "no policy stops the owner of the table from writing rows of another tenant";
        break;
      }
      if (!answer->ok() && !is_refusal(*answer)) {
        verdict = Verdict::failed;
        note = answer->sqlstate + " " + answer->words;
      }
    }
    arena_.report.attacked(target.surface, name, 3, verdict, note);
  }

  void copy_in(const Prepared& target, const std::vector<CanaryRow>& rows) {
    std::string names, line;
    for (const std::string& column : target.relation.key) {
      names += (names.empty() ? "" : ", ") + pg::quote_name(column);
      line += (line.empty() ? "" : "\t") + rows.front().values.at(column).value_or("\\N");
    }
    if (names.empty()) return;
    SqlClient& client = *arena_.runtime;
    client.run("BEGIN");
    client.run(arena_.impersonation.statement(arena_.database, client, arena_.attacker_id()));
    const SqlAnswer answer =
        client.copy_in("COPY " + target.relation.qualified() + " (" + names + ") FROM STDIN", line + "\n");
    client.run("ROLLBACK");
    const bool passed = answer.ok() || answer.sqlstate.starts_with("23");
    arena_.report.attacked(target.surface, "copy from", 1,
                           passed               ? Verdict::broken
                           : is_refusal(answer) ? Verdict::refused
                                                : Verdict::failed,
                           passed               ? "COPY writes rows of another tenant"
                           : is_refusal(answer) ? ""
                                                : answer.words);
  }

  // TRUNCATE knows no row security. The right is asked for first: with it, the attempt would lock others out.
  void truncate(const Prepared& target) {
    const auto right = arena_.admin->run("SELECT pg_catalog.has_table_privilege($1, $2::oid, 'TRUNCATE')",
                                         {Cell(arena_.role), Cell(target.relation.oid)});
    const bool may = right.value() == "t";
    SqlAnswer answer;
    if (!may) answer = arena_.as(&arena_.attacker_id(), "TRUNCATE " + target.relation.qualified());
    arena_.report.attacked(
        target.surface, "truncate", 1, may || answer.ok() ? Verdict::broken : Verdict::refused,
        may || answer.ok() ? "the runtime role may TRUNCATE, which empties the table for everybody" : "");
  }

  // A plan that was made for the victim, run by the attacker.
  void prepared_by_victim(const Prepared& target) {
    SqlClient& client = *arena_.runtime;
    const std::string prepare = "PREPARE canary AS SELECT t.* FROM " + target.relation.qualified() +
                                " t WHERE t.tenant_id = " + literal(arena_.victim_id()) + " LIMIT 10";
    const SqlAnswer control = arena_.as(&arena_.victim_id(), prepare + "; EXECUTE canary");
    const SqlAnswer attempt = arena_.as(&arena_.attacker_id(), "EXECUTE canary");
    const SqlAnswer nobody = arena_.as(nullptr, "EXECUTE canary");
    client.run("DEALLOCATE ALL");
    std::string note;
    Verdict verdict = Verdict::refused;
    if (control.ok()) verdict = judge(attempt, control, Prey::rows, *arena_.victims, note);
    if (nobody.ok() && !nobody.rows.empty()) {
      verdict = Verdict::broken;
      note = "a prepared statement gives the rows of the tenant that prepared it";
    }
    arena_.report.attacked(target.surface, "statement prepared by the other", 2, verdict, note);
  }

  Arena& arena_;
};

}  // namespace

void attack_relations(Arena& arena) {
  for (const RelationInfo& relation : arena.inventory.relations) {
    if (arena.stopped()) return;
    RelationAttack(arena).attack(relation);
  }
}

}  // namespace rowhouse::verify
