#include "tenancy/cluster.h"

#include <array>
#include <chrono>
#include <utility>
#include <vector>

#include "base/text.h"
#include "crypto/crypto.h"
#include "pg/embedded_server.h"
#include "pg/migrations.h"
#include "pg/quote.h"

namespace rowhouse::tenancy {

namespace {

// Held by a node while it bootstraps; 'rowh' in ASCII, and a number of our own below it.
constexpr std::string_view kBootstrapLockSql = "SELECT pg_catalog.pg_advisory_lock(1919907688, 2)";
constexpr std::string_view kBootstrapUnlockSql = "SELECT pg_catalog.pg_advisory_unlock(1919907688, 2)";

constexpr std::string_view kServerFactsSql = R"(
SELECT current_setting('server_version_num')::integer, r.rolsuper, r.rolname,
       (SELECT pg_catalog.pg_encoding_to_char(encoding) FROM pg_catalog.pg_database WHERE datname = current_database())
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)";

// Passwords of roles must not reach the server's log, whatever the operator has set.
constexpr std::string_view kQuietSql =
    "SET log_statement = 'none'; SET log_min_duration_statement = -1; SET log_min_error_statement = 'panic'";

// The comment on platform_service says which master key the installation was made with, without giving it
// away.
constexpr std::string_view kKeyMarkSql =
    "SELECT pg_catalog.shobj_description(oid, 'pg_authid') FROM pg_catalog.pg_roles WHERE rolname = $1";
constexpr std::string_view kKeyMarkPrefix = "Rowhouse master key ";

constexpr std::string_view kExistingRolesSql =
    "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY (pg_catalog.string_to_array($1, ','))";

// Memberships that none of our roles may have; tenant_migrator is the one member, of tenant_owner.
constexpr std::string_view kForbiddenMembershipsSql = R"(
SELECT granted.rolname, member.rolname
FROM pg_catalog.pg_auth_members m
JOIN pg_catalog.pg_roles granted ON granted.oid = m.roleid
JOIN pg_catalog.pg_roles member ON member.oid = m.member
WHERE member.rolname = ANY (pg_catalog.string_to_array($1, ','))
  AND NOT (granted.rolname = 'tenant_owner' AND member.rolname = 'tenant_migrator'))";

constexpr std::string_view kDatabaseExistsSql = "SELECT FROM pg_catalog.pg_database WHERE datname = $1";

constexpr std::string_view kDatabaseGranteesSql = R"(
SELECT DISTINCT r.rolname
FROM pg_catalog.pg_database d
CROSS JOIN LATERAL pg_catalog.aclexplode(d.datacl) a
JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
WHERE d.datname = $1 AND a.grantee <> d.datdba)";

constexpr std::string_view kDuplicateDatabase = "42P04";

constexpr std::string_view kEndSessionsSql = R"(
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE pg_catalog.starts_with(application_name, $1) AND application_name <> $2)";
constexpr std::chrono::milliseconds kEndingSessionsPause{5};

struct RoleRecipe {
  std::string_view name;
  std::string_view attributes;
};
constexpr std::array<RoleRecipe, 5> kRoles = {{
    {kPlatformRole, "LOGIN NOINHERIT NOBYPASSRLS"},
    {kOwnerRole, "NOLOGIN NOINHERIT NOBYPASSRLS"},
    {kMigratorRole, "LOGIN NOINHERIT NOBYPASSRLS"},
    {kRuntimeRole, "LOGIN NOINHERIT NOBYPASSRLS"},
    {kBackupRole, "LOGIN NOINHERIT BYPASSRLS"},
}};

std::string names_of_roles() {
  std::string names;
  for (const auto& role : kRoles) names += (names.empty() ? "" : ",") + std::string(role.name);
  return names;
}

pg::Statement statement(std::string_view sql, pg::Params params = {}) {
  return pg::Statement(std::string(sql), std::move(params), pg::Access::write, pg::Reuse::once);
}

Task<Result<void>> check_server(pg::Session& session, CallOptions options) {
  const auto facts_statement = statement(kServerFactsSql);
  CO_TRY(auto facts, co_await session.query(facts_statement, options));
  CO_TRY_DO(pg::check_server_version(static_cast<int>(parse_int64(facts.text(0, 0)).value_or(0))));
  if (facts.text(0, 1) != "t") {
    co_return Error(
        ErrorCode::server_unsupported,
        "Rowhouse needs a superuser of the PostgreSQL server, to create roles and databases and to close "
        "what PostgreSQL opens to everyone; " +
            std::string(facts.text(0, 2)) + " is none");
  }
  if (facts.text(0, 3) != "UTF8") {
    co_return Error(ErrorCode::server_unsupported,
                    "the PostgreSQL server's encoding is " + std::string(facts.text(0, 3)) +
                        "; Rowhouse needs a cluster made with initdb --encoding=UTF8");
  }
  co_return Result<void>();
}

// Another key would give the roles other passwords: the nodes that run would be locked out, and what they
// signed or sealed could not be read.
Task<Result<void>> check_master_key(pg::Session& session, std::string mark, CallOptions options) {
  pg::Params params;
  params.emplace_back(std::string(kPlatformRole));
  const auto mark_statement = statement(kKeyMarkSql, std::move(params));
  CO_TRY(auto marks, co_await session.query(mark_statement, options));
  const bool marked = marks.size() > 0 && marks.text(0, 0).starts_with(kKeyMarkPrefix);
  if (marked && marks.text(0, 0) != mark) {
    co_return Error(
        ErrorCode::config_invalid,
        "this PostgreSQL server holds an installation that was made with another master key; use that "
        "encryption key, which is the same on every node");
  }
  co_return Result<void>();
}

Task<Result<void>> create_roles(pg::Session& session, const Credentials& credentials, CallOptions options) {
  const std::string names = names_of_roles();
  pg::Params params;
  params.emplace_back(names);
  const auto existing_statement = statement(kExistingRolesSql, params);
  CO_TRY(auto existing, co_await session.query(existing_statement, options));
  std::string script;
  for (const auto& role : kRoles) {
    bool exists = false;
    for (std::size_t row = 0; row < existing.size(); ++row)
      exists = exists || existing.text(row, 0) == role.name;
    script += std::string(exists ? "ALTER" : "CREATE") + " ROLE " + pg::quote_name(role.name) +
              " NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION " + std::string(role.attributes);
    if (role.attributes.starts_with("LOGIN")) {
      script += " PASSWORD " + pg::quote_literal(credentials.password_of(role.name));
    }
    script += ";\n";
    // A role may change its own password and settings; SQL that slipped in must not do so for good.
    if (role.name == kRuntimeRole) script += "ALTER ROLE " + pg::quote_name(role.name) + " RESET ALL;\n";
  }
  script += "GRANT " + pg::quote_name(kOwnerRole) + " TO " + pg::quote_name(kMigratorRole) + ";\n";
  CO_TRY_DO(co_await session.script(script, options));

  const auto memberships_statement = statement(kForbiddenMembershipsSql, params);
  CO_TRY(auto memberships, co_await session.query(memberships_statement, options));
  for (std::size_t row = 0; row < memberships.size(); ++row) {
    const std::string revoke = "REVOKE " + pg::quote_name(memberships.text(row, 0)) + " FROM " +
                               pg::quote_name(memberships.text(row, 1));
    CO_TRY_DO(co_await session.script(revoke, options));
  }
  co_return Result<void>();
}

// Returns without an error if another node was faster.
Task<Result<void>> create_database_if_missing(pg::Session& session, std::string_view name,
                                              std::string_view owner, CallOptions options) {
  pg::Params params;
  params.emplace_back(std::string(name));
  const auto exists_statement = statement(kDatabaseExistsSql, std::move(params));
  CO_TRY(auto existing, co_await session.query(exists_statement, options));
  if (existing.size() > 0) co_return Result<void>();
  const std::string create = "CREATE DATABASE " + pg::quote_name(name) + " OWNER " + pg::quote_name(owner) +
                             " TEMPLATE template0 ENCODING 'UTF8'";
  auto created = co_await session.script(create, options);
  if (!created.ok() && created.error().detail(pg::kSqlState) != kDuplicateDatabase) co_return created;
  co_return Result<void>();
}

// The server's messages are read by code (which parameter was refused): they must not be translated. An
// ordinary role may not set this for itself.
std::string plain_messages(const std::string& quoted_database) {
  return "ALTER DATABASE " + quoted_database + " SET lc_messages = 'C';\n";
}

Task<Result<void>> migrate(pg::Session& session, std::string_view folder, CallOptions options) {
  CO_TRY(const auto migrations, pg::migrations_from_embedded(folder));
  CO_TRY_DO(co_await pg::run_migrations(session, migrations, options));
  co_return Result<void>();
}

}  // namespace

std::string Credentials::password_of(std::string_view role) const {
  return to_base64url(derive("password of database role " + std::string(role)));
}

std::string Credentials::derive(std::string_view purpose, std::size_t bytes) const {
  return crypto::derive_key(master_key_, purpose, bytes);
}

Cluster::Cluster(net::Executor& executor, pg::ConnectionParameters administrator, Credentials credentials)
    : executor_(executor), administrator_(std::move(administrator)), credentials_(std::move(credentials)) {}

pg::ConnectionParameters Cluster::as(std::string_view role, std::string_view database) const {
  auto parameters = as_administrator(database);
  parameters.user = role;
  parameters.password = credentials_.password_of(role);
  return parameters;
}

pg::ConnectionParameters Cluster::as_administrator(std::string_view database) const {
  auto parameters = administrator_;
  parameters.database = database;
  // Every name in Rowhouse's SQL carries its schema; nothing may be found by a search.
  parameters.settings.emplace_back("search_path", "");
  return parameters;
}

Task<Result<pg::Session>> Cluster::administrator(std::string_view database, CallOptions options) const {
  auto parameters = as_administrator(database);
  return pg::connect(executor_, std::move(parameters), options);
}

Task<Result<pg::Session>> Cluster::migrator(std::string_view database, CallOptions options) const {
  auto parameters = as(kMigratorRole, database);
  return pg::connect(executor_, std::move(parameters), options);
}

Task<Result<void>> Cluster::bootstrap(CallOptions options) const {
  CO_TRY(auto session, co_await administrator(kMaintenanceDatabase, options));
  CO_TRY_DO(co_await check_server(session, options));
  const std::string quiet(kQuietSql);
  CO_TRY_DO(co_await session.script(quiet, options));
  const auto lock = statement(kBootstrapLockSql);
  CO_TRY_DO(co_await session.query(lock, options));
  const std::string key_mark =
      std::string(kKeyMarkPrefix) + to_hex(credentials_.derive("mark of the master key"));
  CO_TRY_DO(co_await check_master_key(session, key_mark, options));
  CO_TRY_DO(co_await create_roles(session, credentials_, options));
  const std::string set_mark =
      "COMMENT ON ROLE " + pg::quote_name(kPlatformRole) + " IS " + pg::quote_literal(key_mark);
  CO_TRY_DO(co_await session.script(set_mark, options));

  struct OwnDatabase {
    std::string_view name, migrations;
  };
  constexpr std::array<OwnDatabase, 2> kOwnDatabases = {
      {{kPlatformDatabase, "sql/platform/"}, {kIdentityDatabase, "sql/identity/"}}};
  for (const auto& database : kOwnDatabases) {
    CO_TRY_DO(co_await create_database_if_missing(session, database.name, kPlatformRole, options));
    const std::string quoted = pg::quote_name(database.name);
    const std::string grants = "REVOKE ALL ON DATABASE " + quoted +
                               " FROM PUBLIC; GRANT CONNECT ON DATABASE " + quoted + " TO " +
                               pg::quote_name(kBackupRole) + "; " + plain_messages(quoted);
    CO_TRY_DO(co_await session.script(grants, options));
    auto parameters = as(kPlatformRole, database.name);
    CO_TRY(auto owner, co_await pg::connect(executor_, std::move(parameters), options));
    CO_TRY_DO(co_await migrate(owner, database.migrations, options));
  }
  // A tenant's own role shall reach its own database alone, not the ones that every server has.
  const std::string closed = "REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC";
  CO_TRY_DO(co_await session.script(closed, options));
  const auto unlock = statement(kBootstrapUnlockSql);
  CO_TRY_DO(co_await session.query(unlock, options));
  co_return Result<void>();
}

Task<Result<void>> Cluster::create_tenant_data_database(std::string_view name, CallOptions options) const {
  const std::string database(name);
  CO_TRY(auto server, co_await administrator(kMaintenanceDatabase, options));
  CO_TRY_DO(co_await create_database_if_missing(server, database, kOwnerRole, options));
  {
    CO_TRY(auto session, co_await administrator(database, options));
    CO_TRY_DO(co_await migrate(session, "sql/tenant/", options));
  }
  co_return co_await apply_database_privileges(database, kRuntimeRole, options);
}

Task<Result<void>> Cluster::apply_database_privileges(std::string_view database,
                                                      std::string_view runtime_role,
                                                      CallOptions options) const {
  const std::string quoted = pg::quote_name(database);
  const std::string role = pg::quote_name(runtime_role);
  pg::Params params;
  params.emplace_back(std::string(database));
  const auto grantees_statement = statement(kDatabaseGranteesSql, std::move(params));
  CO_TRY(auto session, co_await administrator(kMaintenanceDatabase, options));
  CO_TRY(auto grantees, co_await session.query(grantees_statement, options));
  // One script is one transaction: there is no moment in which nobody or everybody may connect.
  std::string script = "REVOKE ALL ON DATABASE " + quoted + " FROM PUBLIC";
  for (std::size_t row = 0; row < grantees.size(); ++row)
    script += ", " + pg::quote_name(grantees.text(row, 0));
  script += ";\nGRANT CONNECT ON DATABASE " + quoted + " TO " + pg::quote_name(kMigratorRole) + ", " +
            pg::quote_name(kBackupRole) + ", " + role + ";\n";
  script += plain_messages(quoted);
  // Nets below the ones that the server's own connections set: a client that gets hold of the password has
  // them too.
  for (const std::string_view setting :
       {"statement_timeout = '60s'", "idle_in_transaction_session_timeout = '60s'", "search_path = ''"}) {
    script += "ALTER ROLE " + role + " IN DATABASE " + quoted + " SET " + std::string(setting) + ";\n";
  }
  co_return co_await session.script(script, options);
}

Task<Result<void>> Cluster::drop_database(std::string_view name, CallOptions options) const {
  const std::string drop = "DROP DATABASE IF EXISTS " + pg::quote_name(name) + " WITH (FORCE)";
  CO_TRY(auto session, co_await administrator(kMaintenanceDatabase, options));
  co_return co_await session.script(drop, options);
}

Task<Result<void>> Cluster::end_sessions(std::string prefix, std::string own, CallOptions options) const {
  pg::Params params;
  params.emplace_back(std::move(prefix));
  params.emplace_back(std::move(own));
  const auto end = statement(kEndSessionsSql, std::move(params));
  CO_TRY(auto session, co_await administrator(kMaintenanceDatabase, options));
  // A session is over when the server no longer shows it, not when it was told to end.
  for (;;) {
    CO_TRY(const auto ended, co_await session.query(end, options));
    if (ended.size() == 0) co_return Result<void>();
    co_await net::sleep_for(executor_, kEndingSessionsPause);
  }
}

}  // namespace rowhouse::tenancy
