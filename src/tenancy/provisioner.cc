#include "tenancy/provisioner.h"

#include <utility>

#include "net/executor.h"
#include "pg/quote.h"
#include "tenancy/tenant_rows.h"

namespace rowhouse::tenancy {

namespace {

using namespace std::chrono_literals;

// Of all nodes and workers together, to one tenant's own database.
constexpr int kMaxTenantConnections = 50;
// Requests that were let in before the tenant's status changed; longer than their statement timeout.
constexpr auto kRunningRequestsPatience = 10s;
constexpr auto kRunningRequestsPause = 25ms;

constexpr const char* kRowhouseSchema = "rowhouse";

constexpr std::string_view kObjectInUse = "55006";
constexpr std::string_view kNoSuchDatabase = "3D000";

// A password must not reach the server's log, whatever the operator has set.
constexpr std::string_view kQuietSql =
    "SET log_statement = 'none'; SET log_min_duration_statement = -1; SET log_min_error_statement = "
    "'panic';\n";

constexpr std::string_view kRoleExistsSql = "SELECT FROM pg_catalog.pg_roles WHERE rolname = $1";
constexpr std::string_view kDatabaseExistsSql = "SELECT FROM pg_catalog.pg_database WHERE datname = $1";
constexpr std::string_view kNowSql = "SELECT pg_catalog.clock_timestamp()";
constexpr std::string_view kRunningSql = R"(
SELECT FROM pg_catalog.pg_stat_activity
WHERE datname = $1 AND usename = $2 AND state <> 'idle' AND xact_start < $3::timestamptz LIMIT 1)";

constexpr std::string_view kForgetMigrationsSql =
    "WITH rules AS (DELETE FROM rowhouse.row_rules WHERE schema_name = $1) "
    "DELETE FROM rowhouse.pack_migrations WHERE schema_name = $1";
constexpr std::string_view kSchemaLeftSql = R"(
SELECT 'schema ' || nspname FROM pg_catalog.pg_namespace WHERE nspname = $1
UNION ALL SELECT 'rowhouse.pack_migrations' FROM rowhouse.pack_migrations WHERE schema_name = $1
UNION ALL SELECT 'rowhouse.row_rules' FROM rowhouse.row_rules WHERE schema_name = $1)";
constexpr std::string_view kDatabaseLeftSql = R"(
SELECT 'database ' || datname FROM pg_catalog.pg_database WHERE datname = $1
UNION ALL SELECT 'role ' || rolname FROM pg_catalog.pg_roles WHERE rolname = $2)";

pg::Statement statement(std::string_view sql, pg::Params params = {}) {
  return pg::Statement(std::string(sql), std::move(params), pg::Access::write, pg::Reuse::once);
}

// In words that tell an operator what to do; the server's own do not leave the log.
Error cannot_clone(Error error, const Tenant& tenant) {
  const std::string database = template_database_name(tenant.pack_name);
  const std::string_view state = error.detail(pg::kSqlState);
  if (state == kObjectInUse) {
    error.message = "the template database " + database +
                    " is in use, so that it cannot be copied: end the sessions that are connected to it "
                    "(pg_stat_activity shows them)";
  } else if (state == kNoSuchDatabase) {
    error.message = "the template database " + database + " does not exist: the next upgrade of the pack " +
                    tenant.pack_name + " makes it anew";
  }
  return error;
}

pg::Statement about(std::string_view sql, const std::string& name) {
  pg::Params params;
  params.emplace_back(name);
  return statement(sql, std::move(params));
}

Error left_behind(const Tenant& tenant, std::string_view what) {
  return Error(ErrorCode::internal,
               "tenant " + tenant.slug + " is not wholly removed, " + std::string(what) + " is left");
}

// Schemas that may hold rows of a tenant.
std::vector<std::string> schemas_of(const Tenant& tenant) {
  std::vector<std::string> schemas;
  schemas.emplace_back(kRowhouseSchema);
  schemas.push_back(tenant.placement.schema);
  return schemas;
}

std::string create_role_sql(const Cluster& cluster, const std::string& role) {
  return "CREATE ROLE " + pg::quote_name(role) +
         " LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT " +
         std::to_string(kMaxTenantConnections) + " PASSWORD " +
         pg::quote_literal(cluster.credentials().password_of(role));
}

// The clone has the template's grants to the shared runtime role. It cannot connect here; it shall have no
// rights here either.
std::string hand_over_sql(const std::string& schema, const std::string& role) {
  const std::string shared = pg::quote_name(kRuntimeRole);
  const std::string both = pg::quote_name(schema) + ", " + kRowhouseSchema;
  std::string sql = "SET ROLE " + pg::quote_name(kOwnerRole) + ";\n";
  for (const char* what : {"TABLES", "SEQUENCES", "ROUTINES"}) {
    sql += std::string("REVOKE ALL ON ALL ") + what + " IN SCHEMA " + both + " FROM " + shared + ";\n";
  }
  sql += "REVOKE ALL ON SCHEMA " + both + " FROM " + shared + ";\n";
  return sql + "SELECT rowhouse.grant_runtime(" + pg::quote_literal(role) + ");\nRESET ROLE;";
}

}  // namespace

// ---------------------------------------------------------------------------------------- schema tier

Task<Result<void>> Provisioner::create_schema(const Tenant& tenant, CallOptions options) {
  const std::string create = "SET ROLE " + pg::quote_name(kOwnerRole) + "; CREATE SCHEMA IF NOT EXISTS " +
                             pg::quote_name(tenant.placement.schema) + "; RESET ROLE";
  CO_TRY(auto session, co_await cluster_.migrator(tenant.placement.database, options));
  co_return co_await session.script(create, options);
}

Task<Result<void>> Provisioner::drop_schema(const Tenant& tenant, CallOptions options) {
  const std::string drop = "SET ROLE " + pg::quote_name(kOwnerRole) + "; DROP SCHEMA IF EXISTS " +
                           pg::quote_name(tenant.placement.schema) + " CASCADE";
  const auto forget = about(kForgetMigrationsSql, tenant.placement.schema);
  CO_TRY(auto session, co_await cluster_.migrator(tenant.placement.database, options));
  CO_TRY_DO(co_await session.script(drop, options));
  CO_TRY_DO(co_await session.query(forget, options));
  co_return Result<void>();
}

// -------------------------------------------------------------------------------------- database tier

// The names end in random digits of the tenant's id: what is there already was made by an attempt before.
Task<Result<void>> Provisioner::create_role(const Tenant& tenant, CallOptions options) {
  const std::string quiet(kQuietSql);
  const std::string create = create_role_sql(cluster_, tenant.placement.role);
  const auto exists = about(kRoleExistsSql, tenant.placement.role);
  CO_TRY(auto server, co_await cluster_.administrator(kMaintenanceDatabase, options));
  CO_TRY(const auto existing, co_await server.query(exists, options));
  if (existing.size() > 0) co_return Result<void>();
  CO_TRY_DO(co_await server.script(quiet, options));
  co_return co_await server.script(create, options);
}

Task<Result<void>> Provisioner::create_database(const Tenant& tenant, CallOptions options) {
  // wal_log copies through the buffers: a checkpoint before and after, as file_copy needs, would hold
  // everybody up.
  const std::string create = "CREATE DATABASE " + pg::quote_name(tenant.placement.database) + " OWNER " +
                             pg::quote_name(kOwnerRole) + " TEMPLATE " +
                             pg::quote_name(template_database_name(tenant.pack_name)) + " STRATEGY wal_log";
  const auto exists = about(kDatabaseExistsSql, tenant.placement.database);
  CO_TRY(auto server, co_await cluster_.administrator(kMaintenanceDatabase, options));
  CO_TRY(const auto existing, co_await server.query(exists, options));
  if (existing.size() > 0) co_return Result<void>();
  auto created = co_await server.script(create, options);
  if (!created.ok()) co_return cannot_clone(std::move(created).error(), tenant);
  co_return created;
}

Task<Result<void>> Provisioner::grant_database(const Tenant& tenant, CallOptions options) {
  return cluster_.apply_database_privileges(tenant.placement.database, tenant.placement.role, options);
}

Task<Result<void>> Provisioner::hand_over(const Tenant& tenant, CallOptions options) {
  const std::string script = hand_over_sql(tenant.placement.schema, tenant.placement.role);
  CO_TRY(auto session, co_await cluster_.migrator(tenant.placement.database, options));
  co_return co_await session.script(script, options);
}

Task<Result<void>> Provisioner::guard_database(const Tenant& tenant, CallOptions options) {
  return packs_.guard().bring(tenant.placement.database, options);
}

Task<Result<void>> Provisioner::drop_database(const Tenant& tenant, CallOptions options) {
  return cluster_.drop_database(tenant.placement.database, options);
}

Task<Result<void>> Provisioner::drop_role(const Tenant& tenant, CallOptions options) {
  const std::string drop = "DROP ROLE IF EXISTS " + pg::quote_name(tenant.placement.role);
  CO_TRY(auto server, co_await cluster_.administrator(kMaintenanceDatabase, options));
  co_return co_await server.script(drop, options);
}

// ------------------------------------------------------------------------------------------------ both

// After a clone this migrates only if the pack was upgraded after the template had been copied.
Task<Result<void>> Provisioner::prepare_schema(const Tenant& tenant, const Bundle& bundle,
                                               CallOptions options) {
  const auto& placement = tenant.placement;
  CO_TRY_DO(
      co_await packs_.prepare_schema(placement.database, placement.schema, placement.role, bundle, options));
  co_return Result<void>();
}

// ------------------------------------------------------------------------------------ pool and schema

// There is no telling whose transaction is whose, so all that are older than this moment are waited for; they
// are short.
Task<Result<void>> Provisioner::wait_for_running_requests(const Tenant& tenant, CallOptions options) {
  CO_TRY(auto session, co_await cluster_.administrator(kMaintenanceDatabase, options));
  const auto now_statement = statement(kNowSql);
  CO_TRY(auto now, co_await session.query(now_statement, options));
  pg::Params params;
  params.emplace_back(tenant.placement.database);
  params.emplace_back(tenant.placement.role);
  params.emplace_back(std::string(now.text(0, 0)));
  const auto running_statement = statement(kRunningSql, std::move(params));
  const auto patience = deadline_in(kRunningRequestsPatience);
  while (std::chrono::steady_clock::now() < patience) {
    CO_TRY(auto running, co_await session.query(running_statement, options));
    if (running.size() == 0) break;
    co_await net::sleep_for(cluster_.executor(), kRunningRequestsPause);
  }
  co_return Result<void>();
}

// ------------------------------------------------------------------------------------------ every tier

Task<Result<void>> Provisioner::erase_rows(const Tenant& tenant, CallOptions options) {
  auto schemas = schemas_of(tenant);
  CO_TRY(auto session, co_await cluster_.migrator(tenant.placement.database, options));
  RowEraser eraser(session, packs_.guard(), tenant.placement.database, tenant.id);
  co_return co_await eraser.erase(std::move(schemas), options);
}

Task<Result<void>> Provisioner::prove_no_rows(const Tenant& tenant, CallOptions options) {
  auto schemas = schemas_of(tenant);
  auto parameters = cluster_.as(kBackupRole, tenant.placement.database);
  CO_TRY(auto auditor, co_await pg::connect(cluster_.executor(), std::move(parameters), options));
  CO_TRY(const auto left,
         co_await tables_with_rows_of(auditor, tenant.id.to_string(), std::move(schemas), options));
  if (!left.empty()) co_return left_behind(tenant, "a row in " + left.front());
  co_return Result<void>();
}

Task<Result<void>> Provisioner::prove_nothing_is_left(const Tenant& tenant, CallOptions options) {
  const auto& placement = tenant.placement;
  if (placement.tier == Tier::database) {
    pg::Params params;
    params.emplace_back(placement.database);
    params.emplace_back(placement.role);
    const auto proof = statement(kDatabaseLeftSql, std::move(params));
    CO_TRY(auto server, co_await cluster_.administrator(kMaintenanceDatabase, options));
    CO_TRY(const auto left, co_await server.query(proof, options));
    if (left.size() > 0) co_return left_behind(tenant, left.text(0, 0));
    co_return Result<void>();
  }
  if (placement.tier == Tier::schema) {
    const std::string become_owner = "SET ROLE " + pg::quote_name(kOwnerRole);
    const auto proof = about(kSchemaLeftSql, placement.schema);
    CO_TRY(auto session, co_await cluster_.migrator(placement.database, options));
    CO_TRY_DO(co_await session.script(become_owner, options));
    CO_TRY(const auto left, co_await session.query(proof, options));
    if (left.size() > 0) co_return left_behind(tenant, left.text(0, 0));
  }
  co_return co_await prove_no_rows(tenant, options);
}

}  // namespace rowhouse::tenancy
