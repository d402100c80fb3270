// What a session offers beside tables: the context itself, settings, objects of one's own, what all sessions
// of a database share.
#include <fmt/format.h>

#include "pg/quote.h"
#include "verify/arena.h"

namespace rowhouse::verify {
namespace {

constexpr std::pair<Forgery, const char*> kForgeries[] = {
    {Forgery::wrong_mac, "a changed signature"},
    {Forgery::wrong_key_id, "an unknown key"},
    {Forgery::wrong_key, "the key of another database"},
    {Forgery::wrong_tenant, "another tenant's claims"},
    {Forgery::expired, "an expired token"},
    {Forgery::other_backend, "a token of another session"},
    {Forgery::old_number, "a number that was used"},
};

// Statements that must be refused with 42501 (or fail because there is no such thing), whatever they are
// aimed at.
struct Forbidden {
  const char* surface;
  const char* attack;
  const char* sql;
};
constexpr Forbidden kForbidden[] = {
    {"objects of one's own", "create table", "CREATE TABLE public.canary (x int)"},
    {"objects of one's own", "create table", "CREATE TABLE rowhouse.canary (x int)"},
    {"objects of one's own", "create table", "CREATE TABLE {schema}.canary (x int)"},
    {"objects of one's own", "create temporary table", "CREATE TEMPORARY TABLE canary (x int)"},
    {"objects of one's own", "create schema", "CREATE SCHEMA canary"},
    {"objects of one's own", "create function",
     "CREATE FUNCTION {schema}.canary() RETURNS int LANGUAGE sql AS 'SELECT 1'"},
    {"objects of one's own", "create function",
     "CREATE FUNCTION pg_temp.canary() RETURNS int LANGUAGE sql AS 'SELECT 1'"},
    {"objects of one's own", "run code", "DO $$ BEGIN NULL; END $$"},
    {"objects of one's own", "create extension", "CREATE EXTENSION dblink"},
    {"objects of one's own", "create extension", "CREATE EXTENSION pg_trgm"},
    {"objects of one's own", "change policies", "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"},
    {"objects of one's own", "change policies", "ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"},
    {"objects of one's own", "change policies", "CREATE POLICY canary ON {table} USING (true)"},
    {"objects of one's own", "change policies", "DROP POLICY rowhouse_wall ON {table}"},
    {"objects of one's own", "change triggers", "ALTER TABLE {table} DISABLE TRIGGER ALL"},
    {"objects of one's own", "create publication", "CREATE PUBLICATION canary FOR TABLE {table}"},
    {"objects of one's own", "grant", "GRANT ALL ON {table} TO PUBLIC WITH GRANT OPTION"},
    {"large objects", "create", "SELECT pg_catalog.lo_create(0)"},
    {"large objects", "create from bytes", "SELECT pg_catalog.lo_from_bytea(0, '\\x00')"},
    {"large objects", "read", "SELECT pg_catalog.lo_get(1)"},
    {"large objects", "read pages", "SELECT count(*) FROM pg_catalog.pg_largeobject"},
    {"notifications", "pg_notify", "SELECT pg_catalog.pg_notify('canary', 'canary')"},
    {"advisory locks", "lock", "SELECT pg_catalog.pg_advisory_lock(1)"},
    {"advisory locks", "try", "SELECT pg_catalog.pg_try_advisory_lock(1)"},
    {"advisory locks", "try in transaction", "SELECT pg_catalog.pg_try_advisory_xact_lock_shared(1, 1)"},
    {"other sessions", "read statements", "SELECT count(*) FROM pg_catalog.pg_stat_activity"},
    {"other sessions", "read statements", "SELECT pg_catalog.pg_stat_get_activity(NULL)"},
    {"other sessions", "read locks", "SELECT count(*) FROM pg_catalog.pg_locks"},
    {"other sessions", "read locks", "SELECT pg_catalog.pg_lock_status()"},
    {"other sessions", "cancel", "SELECT pg_catalog.pg_cancel_backend({backend})"},
    {"other sessions", "terminate", "SELECT pg_catalog.pg_terminate_backend({backend})"},
    {"other sessions", "export a snapshot", "SELECT pg_catalog.pg_export_snapshot()"},
    {"server files", "read a file", "SELECT pg_catalog.pg_read_file('postgresql.conf')"},
    {"server files", "list a folder", "SELECT pg_catalog.pg_ls_dir('.')"},
    {"server files", "copy from a file", "COPY {table} FROM '/etc/hostname'"},
    {"server files", "copy to a program", "COPY (SELECT 1) TO PROGRAM 'true'"},
    {"server files", "import a large object", "SELECT pg_catalog.lo_import('/etc/hostname')"},
    {"server files", "read the write-ahead log",
     "SELECT pg_catalog.pg_current_wal_insert_lsn(), pg_catalog.pg_switch_wal()"},
    {"settings", "replication role", "SET LOCAL session_replication_role = replica"},
    {"settings", "server setting", "ALTER SYSTEM SET row_security = off"},
    {"settings", "role setting", "ALTER ROLE ALL SET row_security = off"},
};

class SessionAttack {
 public:
  explicit SessionAttack(Arena& arena) : arena_(arena), client_(*arena.runtime) {}

  void run() {
    for (const RelationInfo* table : planting_order(arena_.inventory)) {
      if (arena_.label(table->schema) != "rowhouse" && arena_.victims->rows_of(table->oid) != nullptr)
        table_ = table;
    }
    if (table_ == nullptr) {
      arena_.report.attacked(arena_.surface("session", "context"), "good token", 0, Verdict::failed,
                             "there is no table with a canary");
      return;
    }
    contexts();
    replays();
    settings();
    forbidden();
    notifications();
    statistics();
  }

 private:
  std::string probe(const Canaries& whose) const {
    return "SELECT 1 FROM " + table_->qualified() +
           " t WHERE t.tenant_id = " + pg::quote_literal(whose.tenant().to_string()) + " LIMIT 1";
  }
  SurfaceId context() const { return arena_.surface("session", "context"); }

  void told(const char* surface, std::string_view attack, bool broken, std::string note = {}) {
    arena_.report.attacked(arena_.surface("session", surface), attack, 1,
                           broken ? Verdict::broken : Verdict::held, broken ? std::move(note) : "");
  }

  // Every token that is not good, for the victim: no rows. A good one, for the owner: rows.
  void contexts() {
    for (const auto& [forgery, name] : kForgeries) {
      client_.run("BEGIN");
      client_.run("SAVEPOINT token");
      const SqlAnswer set =
          client_.run(arena_.impersonation.statement(arena_.database, client_, arena_.victim_id(), forgery));
      if (!set.ok()) client_.run("ROLLBACK TO token");
      const SqlAnswer rows = client_.run(probe(*arena_.victims));
      client_.run("ROLLBACK");
      const bool broken = set.ok() || (rows.ok() && !rows.rows.empty());
      told("context", name, broken, "the database takes a token that is not good");
    }
    const SqlAnswer good = arena_.as(&arena_.victim_id(), probe(*arena_.victims));
    arena_.report.attacked(
        context(), "a good token", 1, good.ok() && !good.rows.empty() ? Verdict::held : Verdict::unproven,
        good.ok() && !good.rows.empty() ? "" : "a good token gives its owner no rows: " + good.words);
    const SqlAnswer none = arena_.as(nullptr, "SELECT rowhouse.tenant_id()");
    told("context", "no token", none.ok() && none.rows[0][0].has_value(),
         "there is a tenant without a token");
  }

  void replays() {
    // The same token twice in one session.
    const std::string token = arena_.impersonation.statement(arena_.database, client_, arena_.victim_id());
    client_.run("BEGIN");
    client_.run(token);
    client_.run("COMMIT");
    const SqlAnswer after = client_.run(probe(*arena_.victims));
    told("context", "after the transaction", after.ok() && !after.rows.empty(),
         "the context outlives its transaction");
    told("context", "a token again in the same session", takes(client_, token), "a token can be used twice");
    // A token that its session used, in another session; and one that was never used.
    auto other = SqlClient::connect(arena_.cluster.as(arena_.role, arena_.database));
    if (other.ok()) {
      told("context", "a token in another session", takes(**other, token),
           "a token works in another session");
      const std::string fresh = arena_.impersonation.statement(arena_.database, client_, arena_.victim_id());
      told("context", "an unused token in another session", takes(**other, fresh),
           "a token works in another session");
    }
    // Two contexts in one transaction: the first stays, or everything is refused.
    client_.run("BEGIN");
    client_.run(arena_.impersonation.statement(arena_.database, client_, arena_.attacker_id()));
    const SqlAnswer second =
        client_.run(arena_.impersonation.statement(arena_.database, client_, arena_.victim_id()));
    const SqlAnswer rows = client_.run(probe(*arena_.victims));
    client_.run("ROLLBACK");
    told("context", "a second context in one transaction", second.ok() || (rows.ok() && !rows.rows.empty()),
         "a transaction can change its tenant");
    // A context that was rolled back to a savepoint.
    client_.run("BEGIN; SAVEPOINT token");
    client_.run(arena_.impersonation.statement(arena_.database, client_, arena_.victim_id()));
    client_.run("ROLLBACK TO token");
    client_.run("COMMIT");
    const SqlAnswer left = client_.run(probe(*arena_.victims));
    told("context", "after a savepoint", left.ok() && !left.rows.empty(),
         "the context outlives its transaction");
  }

  bool takes(SqlClient& client, const std::string& token) {
    client.run("BEGIN; SAVEPOINT token");
    const SqlAnswer set = client.run(token);
    if (!set.ok()) client.run("ROLLBACK TO token");
    const SqlAnswer rows = client.run(probe(*arena_.victims));
    client.run("ROLLBACK");
    return rows.ok() && !rows.rows.empty();
  }

  void settings() {
    const std::string victim = pg::quote_literal(arena_.victim_id().to_string());
    for (const std::string& forge :
         {"SELECT pg_catalog.set_config('rowhouse.context', " + victim + ", true)",
          "SET LOCAL rowhouse.context = " + victim,
          "SELECT pg_catalog.set_config('rowhouse.tenant_id', " + victim + ", true)",
          "SELECT pg_catalog.set_config('app.tenant_id', " + victim + ", true)",
          std::string("SET LOCAL row_security = off"),
          std::string("SET LOCAL search_path = pg_temp, ") +
              pg::quote_name(arena_.attacker->placement.schema)}) {
      for (const Uuid* tenant : {static_cast<const Uuid*>(nullptr), &arena_.attacker_id()}) {
        const SqlAnswer rows = arena_.as(tenant, forge + "; " + probe(*arena_.victims));
        told("settings", "forge the tenant", rows.ok() && !rows.rows.empty(),
             "a setting decides which tenant's rows are visible");
      }
    }
  }

  void forbidden() {
    for (const Forbidden& one : kForbidden) {
      std::string sql = replaced(one.sql, "{table}", table_->qualified());
      sql = replaced(sql, "{schema}", pg::quote_name(table_->schema));
      sql = replaced(sql, "{backend}", std::to_string(arena_.admin->backend_pid()));
      const SqlAnswer answer = arena_.as(&arena_.attacker_id(), sql);
      const bool refused = !answer.ok() && answer.sqlstate != "context";
      told(one.surface, one.attack, !refused, "the runtime role may do this: " + std::string(one.sql));
    }
  }

  // LISTEN cannot be forbidden; nobody but the server's own roles can send anything, so there is nothing to
  // hear.
  void notifications() {
    client_.run("LISTEN canary");
    arena_.as(&arena_.victim_id(), "NOTIFY canary, 'canary'");
    auto victim = SqlClient::connect(arena_.cluster.as(arena_.role, arena_.database));
    if (victim.ok()) (*victim)->run("NOTIFY canary, " + pg::quote_literal(arena_.victims->mark()));
    const std::string heard = client_.notifications();
    client_.run("UNLISTEN *");
    // Sent by SQL of its own will, not by anything that Rowhouse does with rows: what is said is the sender's
    // choice.
    arena_.report.attacked(arena_.surface("session", "notifications"), "listen", 1, Verdict::held);
    if (!heard.empty()) {
      arena_.report.limit(
          "NOTIFY reaches every session of a database: PostgreSQL has no right for it. Rowhouse sends none "
          "with row contents, "
          "and no request can run NOTIFY.");
    }
  }

  void statistics() {
    for (const auto& [name, sql] :
         {std::pair<const char*, std::string>{
              "pg_stats", "SELECT s::text FROM pg_catalog.pg_stats s WHERE s.schemaname = "},
          {"pg_stats_ext", "SELECT s::text FROM pg_catalog.pg_stats_ext s WHERE s.schemaname = "}}) {
      const SqlAnswer answer = arena_.as(&arena_.attacker_id(), sql + pg::quote_literal(table_->schema));
      told("statistics", name, answer.ok() && !answer.rows.empty(),
           "values of all tenants' rows show in the statistics");
    }
    const SqlAnswer raw = arena_.as(&arena_.attacker_id(), "SELECT 1 FROM pg_catalog.pg_statistic LIMIT 1");
    told("statistics", "pg_statistic", raw.ok(), "the raw statistics are readable");
    const SqlAnswer volume =
        arena_.as(&arena_.attacker_id(),
                  "SELECT reltuples FROM pg_catalog.pg_class WHERE oid = " + table_->oid + "::oid");
    arena_.report.attacked(arena_.surface("session", "statistics"), "volume of shared tables", 1,
                           Verdict::held);
    if (volume.ok()) {
      arena_.report.limit(
          "SQL as the runtime role could read how many rows and bytes a shared table has altogether "
          "(pg_class.reltuples, "
          "EXPLAIN, pg_relation_size) and the names of databases, schemas and roles, which hold tenants' "
          "slugs. No request can run SQL of its own.");
    }
  }

  Arena& arena_;
  SqlClient& client_;
  const RelationInfo* table_ = nullptr;
};

}  // namespace

void attack_sessions(Arena& arena) { SessionAttack(arena).run(); }

}  // namespace rowhouse::verify
