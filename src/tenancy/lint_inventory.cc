#include "tenancy/lint_inventory.h"

#include <set>
#include <utility>

#include "base/json.h"
#include "tenancy/cluster.h"
#include "tenancy/packs.h"
#include "tenancy/row_rules.h"
#include "tenancy/tenant.h"

namespace rowhouse::tenancy {

namespace {

// What a version brings whose upgrade is under way counts already, as its migrations do.
std::string packs_sql() {
  return "SELECT p.name, p.manifest, s.value FROM platform.packs p LEFT JOIN platform.settings s ON s.key "
         "= " +
         std::string(kAnnouncedRowRulesKeySql) + " ORDER BY p.name";
}

constexpr std::string_view kMigrationsSql = R"sql(
SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object('pack', pack, 'number', number, 'name', name,
                                                                 'checksum', checksum)), '[]')
  FROM platform.pack_migrations)sql";

constexpr std::string_view kGuardSql =
    "SELECT value ->> 'implementation' FROM platform.settings WHERE key = 'context_guard'";

constexpr std::string_view kPlacementsSql = R"sql(
SELECT t.pack, d.tier, d.database_name, d.schema_name, d.role_name, t.status IN ('provisioning', 'deleting')
  FROM platform.tenants t
  JOIN platform.tenant_databases d ON d.tenant_id = t.id AND d.kind = 'metadata'
 WHERE d.tier IN ('schema', 'database')
 ORDER BY t.pack, d.database_name, d.schema_name)sql";

json::Value database_entry(const std::string& name, std::string_view kind, const std::string& runtime) {
  json::Value entry;
  entry.set("name", name);
  entry.set("kind", kind);
  entry.set("runtime", runtime);
  return entry;
}

LintTarget shared_target(const std::string& pack, DatabaseKind kind) {
  LintTarget target;
  target.kind = kind;
  target.pack = pack;
  target.database = kind == DatabaseKind::pool ? pool_database_name(pack) : template_database_name(pack);
  target.runtime_role = kRuntimeRole;
  LintSchema schema;
  schema.schema = kSharedSchema;
  // Nobody works in a template: what is granted there is granted to each clone's own role.
  schema.runtime_role = kind == DatabaseKind::pool ? std::string(kRuntimeRole) : "";
  schema.pack = pack;
  target.schemas.push_back(std::move(schema));
  return target;
}

// Places of tenants: schemas go to their pool, databases are targets of their own.
void add_placements(LintInventory& inventory, const pg::Rows& rows, json::Array& pending) {
  std::map<std::string, std::size_t> pools;
  for (std::size_t i = 0; i < inventory.targets.size(); ++i) pools[inventory.targets[i].database] = i;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const bool own_database = rows.text(row, 1) == "database";
    const std::string database(rows.text(row, 2)), schema_name(rows.text(row, 3)), role(rows.text(row, 4));
    if (rows.text(row, 5) == "t") {
      for (const std::string& name : {own_database ? database : schema_name, role})
        pending.emplace_back(name);
      if (own_database) continue;
    }
    LintSchema schema;
    schema.schema = schema_name;
    schema.runtime_role = role;
    schema.pack = rows.text(row, 0);
    if (!own_database) {
      if (const auto pool = pools.find(database); pool != pools.end() && rows.text(row, 5) != "t")
        inventory.targets[pool->second].schemas.push_back(std::move(schema));
      continue;
    }
    LintTarget target;
    target.kind = DatabaseKind::tenant;
    target.pack = schema.pack;
    target.database = database;
    target.runtime_role = role;
    target.schemas.push_back(std::move(schema));
    inventory.targets.push_back(std::move(target));
  }
}

}  // namespace

Task<Result<LintInventory>> read_lint_inventory(pg::Pool& platform, CallOptions options) {
  const auto statement = [](std::string_view sql) {
    return pg::Statement(std::string(sql), pg::Params(), pg::Access::read, pg::Reuse::once);
  };
  const pg::Statement packs_statement = statement(packs_sql());
  const pg::Statement migrations_statement = statement(kMigrationsSql);
  const pg::Statement placements_statement = statement(kPlacementsSql);
  CO_TRY(const auto packs, co_await platform.run(nullptr, packs_statement, options));
  CO_TRY(const auto migrations, co_await platform.run(nullptr, migrations_statement, options));
  const pg::Statement guard_statement = statement(kGuardSql);
  CO_TRY(const auto guard, co_await platform.run(nullptr, guard_statement, options));
  CO_TRY(const auto placements, co_await platform.run(nullptr, placements_statement, options));

  LintInventory inventory;
  inventory.migrations = migrations.text(0, 0);
  if (guard.size() > 0 && !guard.text(0, 0).empty()) inventory.guard = guard.text(0, 0);
  json::Array row_rules;
  for (std::size_t row = 0; row < packs.size(); ++row) {
    const std::string name(packs.text(row, 0));
    CO_TRY(const auto document, json::parse(packs.text(row, 1)));
    CO_TRY(auto manifest, parse_manifest(document));
    const std::string rules =
        packs.is_null(row, 2) ? row_rules_json(manifest) : std::string(packs.text(row, 2));
    CO_TRY(auto rules_value, json::parse(rules));
    json::Value entry;
    entry.set("pack", name);
    entry.set("rules", std::move(rules_value));
    row_rules.push_back(std::move(entry));
    inventory.manifests.emplace(name, std::move(manifest));
    inventory.targets.push_back(shared_target(name, DatabaseKind::template_database));
    inventory.targets.push_back(shared_target(name, DatabaseKind::pool));
  }
  json::Array pending, databases, runtimes;
  inventory.row_rules = json::serialize(json::Value(std::move(row_rules)));
  add_placements(inventory, placements, pending);

  std::set<std::string> roles = {std::string(kRuntimeRole)};
  for (const std::string_view own : {kPlatformDatabase, kIdentityDatabase})
    databases.push_back(database_entry(std::string(own), "platform", ""));
  for (const LintTarget& target : inventory.targets) {
    const std::string_view kind = target.kind == DatabaseKind::tenant ? "tenant"
                                  : target.kind == DatabaseKind::pool ? "pool"
                                                                      : "template";
    databases.push_back(database_entry(target.database, kind, target.runtime_role));
    roles.insert(target.runtime_role);
  }
  for (const std::string& role : roles) runtimes.emplace_back(role);
  inventory.databases = json::serialize(json::Value(std::move(databases)));
  inventory.runtimes = json::serialize(json::Value(std::move(runtimes)));
  inventory.pending = json::serialize(json::Value(std::move(pending)));
  co_return inventory;
}

}  // namespace rowhouse::tenancy
