// Roles, databases and system catalogs: who can become whom, who can enter where, and what the catalogs tell.
#include <fmt/format.h>

#include <algorithm>

#include "pg/quote.h"
#include "verify/arena.h"

namespace rowhouse::verify {
namespace {

// Beyond so many, tenants' own databases and roles are sampled.
constexpr std::size_t kMaxOthersTried = 50;

class InstallationAttack {
 public:
  explicit InstallationAttack(Arena& arena) : arena_(arena) {
    for (const RelationInfo* table : planting_order(arena.inventory)) {
      if (arena.victims->rows_of(table->oid) != nullptr) tables_.push_back(table);
    }
  }

  void run() {
    roles();
    backup();
    databases();
    catalogs();
    for (const auto& [kind, name] : arena_.inventory.others) other(kind, name);
  }

 private:
  std::string victim() const { return pg::quote_literal(arena_.victim_id().to_string()); }

  SurfaceId role_surface(const std::string& name) const {
    std::string shown = name;
    if (arena_.tier == "database" && name == arena_.attacker->placement.role) shown = "(own role)";
    if (arena_.tier == "database" && name == arena_.victim->placement.role) shown = "(other's role)";
    return arena_.surface("role", shown);
  }

  void roles() {
    std::size_t others_tried = 0, others_left = 0;
    for (const RoleInfo& role : arena_.inventory.roles) {
      const bool is_others = arena_.roles_of_others.count(role.name) > 0;
      if (is_others && ++others_tried > kMaxOthersTried) {
        ++others_left;
        continue;
      }
      const SurfaceId where =
          is_others ? arena_.surface("role", "(roles of other tenants)") : role_surface(role.name);
      if (role.name != arena_.role) become(where, role);
      if (role.superuser) {
        arena_.report.limit(
            "Superusers of PostgreSQL see everything; whoever holds the server or its superuser is outside "
            "of this proof.");
      } else if (role.name != tenancy::kBackupRole) {
        read_as(where, role.name);
      }
    }
    if (others_left > 0) {
      arena_.report.limit(fmt::format(
          "{} of the roles of other tenants were tried; `rowhouse lint` compares the rights of all.",
          kMaxOthersTried));
    }
  }

  void become(const SurfaceId& where, const RoleInfo& role) {
    for (const std::string& sql : {"SET LOCAL ROLE " + pg::quote_name(role.name),
                                   "SET LOCAL SESSION AUTHORIZATION " + pg::quote_name(role.name)}) {
      const SqlAnswer answer = arena_.as(&arena_.attacker_id(), sql);
      arena_.report.attacked(where, "become this role", 1, answer.ok() ? Verdict::broken : Verdict::held,
                             answer.ok() ? "the runtime role can become " + role.name : "");
    }
  }

  void read_as(const SurfaceId& where, const std::string& role) {
    for (const RelationInfo* table : tables_) {
      const std::string sql =
          "SELECT 1 FROM " + table->qualified() + " WHERE tenant_id = " + victim() + " LIMIT 1";
      for (const Uuid* tenant : {static_cast<const Uuid*>(nullptr), &arena_.attacker_id()}) {
        const SqlAnswer answer = arena_.as_role(role, tenant, sql);
        const bool leaks = answer.ok() && !answer.rows.empty();
        if (answer.sqlstate == "context") continue;
        arena_.report.attacked(where, "read as this role", 1,
                               leaks         ? Verdict::broken
                               : answer.ok() ? Verdict::held
                                             : Verdict::refused,
                               leaks ? "the role sees rows of another tenant in " + table->name : "");
      }
    }
  }

  // The backup sees every row, and that is all it may.
  void backup() {
    const SurfaceId where = role_surface(std::string(tenancy::kBackupRole));
    auto client = SqlClient::connect(arena_.cluster.as(tenancy::kBackupRole, arena_.database));
    if (!client.ok()) {
      arena_.report.attacked(where, "write as the backup", 1, Verdict::failed,
                             std::string(client.error().detail(pg::kServerMessage)));
      return;
    }
    for (const RelationInfo* table : tables_) {
      const SqlAnswer sees = (*client)->run("SELECT 1 FROM " + table->qualified() +
                                            " WHERE tenant_id = " + victim() + " LIMIT 1");
      arena_.report.attacked(
          where, "read everything", 1, sees.ok() && !sees.rows.empty() ? Verdict::held : Verdict::unproven,
          sees.ok() && !sees.rows.empty() ? "" : "the backup does not see the canaries of " + table->name);
      for (const std::string& sql :
           {"DELETE FROM " + table->qualified() + " WHERE tenant_id = " + victim(),
            "UPDATE " + table->qualified() + " SET tenant_id = tenant_id WHERE tenant_id = " + victim()}) {
        const SqlAnswer answer = arena_.on(**client, nullptr, sql);
        arena_.report.attacked(where, "write as the backup", 1,
                               answer.ok() ? Verdict::broken : Verdict::refused,
                               answer.ok() ? "the backup role can change rows of " + table->name : "");
      }
    }
  }

  void databases() {
    std::size_t tried = 0, left = 0;
    const std::set<std::string> ours = {arena_.attacker->placement.database,
                                        arena_.victim->placement.database};
    for (const std::string& name : arena_.inventory.databases) {
      const bool is_tenants = name.starts_with("tenant_") && ours.count(name) == 0;
      if (is_tenants && ++tried > kMaxOthersTried) {
        ++left;
        continue;
      }
      const SurfaceId where = arena_.surface(
          "database", is_tenants ? "(databases of other tenants)" : arena_.database_label(name));
      enter(where, arena_.role, name, may_enter(name));
      if (name.starts_with("tenant_") || name.starts_with("rowhouse_pool_") ||
          name.starts_with("rowhouse_template_")) {
        enter(where, std::string(tenancy::kPlatformRole), name, false);
      }
    }
    if (left > 0) {
      arena_.report.limit(fmt::format(
          "{} of the databases of other tenants were tried; `rowhouse lint` compares the rights on all.",
          kMaxOthersTried));
    }
  }

  bool may_enter(const std::string& name) const {
    // Templates hold no rows: packs are migrated there with the same rights as where tenants live.
    if (arena_.role == tenancy::kRuntimeRole)
      return arena_.pool_databases.count(name) > 0 || name.starts_with("rowhouse_template_");
    return name == arena_.database;
  }

  void enter(const SurfaceId& where, const std::string& role, const std::string& name, bool allowed) {
    auto client = SqlClient::connect(arena_.cluster.as(role, name));
    const std::string attack = role == arena_.role ? "enter as the runtime role" : "enter as " + role;
    if (!client.ok()) {
      const std::string words(client.error().detail(pg::kServerMessage));
      if (words.find("does not exist") != std::string::npos) return;  // dropped in the meantime
      const bool refused = words.find("permission denied") != std::string::npos ||
                           words.find("no pg_hba.conf entry") != std::string::npos;
      arena_.report.attacked(where, attack, 1,
                             !refused  ? Verdict::failed
                             : allowed ? Verdict::unproven
                                       : Verdict::refused,
                             refused && !allowed ? "" : words);
      return;
    }
    arena_.report.attacked(where, attack, 1, allowed ? Verdict::held : Verdict::broken,
                           allowed ? "" : "the role " + role + " can enter this database");
  }

  // Every relation of pg_catalog and information_schema that the runtime role may read, while the victim runs
  // a statement that bears its mark.
  void catalogs() {
    auto busy = SqlClient::connect(arena_.cluster.as(arena_.role, arena_.database));
    if (busy.ok()) {
      (*busy)->run("BEGIN");
      (*busy)->run(arena_.impersonation.statement(arena_.database, **busy, arena_.victim_id()));
      (*busy)->run("SELECT " + pg::quote_literal(arena_.victims->mark()));
    }
    const std::string like = " WHERE x::text LIKE '%' || pg_catalog.right($1, 11) || '%'";
    const auto control = arena_.admin->run("SELECT count(*) FROM pg_catalog.pg_stat_activity x" + like,
                                           {Cell(arena_.victims->mark())});
    const auto names = arena_.admin->run(
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = "
        "c.relnamespace "
        "WHERE n.nspname IN ('pg_catalog', 'information_schema') AND c.relkind IN ('r', 'v') ORDER BY 1, 2");
    arena_.runtime->run("SET application_name = ''");
    for (const auto& row : names.rows) {
      const std::string relation = pg::quote_qualified(*row[0], *row[1]);
      // The probe itself must not bear the mark, or it would find itself.
      arena_.runtime->run("BEGIN");
      arena_.runtime->run(
          arena_.impersonation.statement(arena_.database, *arena_.runtime, arena_.attacker_id()));
      const SqlAnswer answer = arena_.runtime->run("SELECT count(*) FROM " + relation + " x" + like,
                                                   {Cell(arena_.victims->mark())});
      arena_.runtime->run("ROLLBACK");
      const bool leaks = answer.ok() && answer.value() != "0";
      const bool understood = answer.ok() || is_refusal(answer);
      arena_.report.attacked(arena_.surface("catalog", *row[0] + "." + *row[1]), "search for the mark", 1,
                             leaks         ? Verdict::broken
                             : !understood ? Verdict::failed
                             : answer.ok() ? Verdict::held
                                           : Verdict::refused,
                             leaks        ? "values of another tenant show here"
                             : understood ? ""
                                          : answer.words);
    }
    const bool visible = control.ok() && control.value() != "0";
    arena_.report.attacked(arena_.surface("catalog", "pg_catalog.pg_stat_activity"), "search for the mark", 1,
                           visible ? Verdict::held : Verdict::unproven,
                           visible ? "" : "a superuser does not see the victim's statement, either");
  }

  void other(const std::string& kind, const std::string& name) {
    const SurfaceId where = arena_.surface(kind, name);
    if (kind == "large object") {
      const SqlAnswer answer = arena_.as(&arena_.attacker_id(), "SELECT pg_catalog.lo_get(" + name + ")");
      arena_.report.attacked(where, "read", 1, answer.ok() ? Verdict::broken : Verdict::refused,
                             answer.ok() ? "tenants can read a large object" : "");
    } else {
      arena_.report.found(where);  // nothing of ours makes one; somebody has to look at it
    }
  }

  Arena& arena_;
  std::vector<const RelationInfo*> tables_;
};

}  // namespace

void attack_installation(Arena& arena) { InstallationAttack(arena).run(); }

}  // namespace rowhouse::verify
