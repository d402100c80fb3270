#include "pg/migrations.h"

#include <gtest/gtest.h>

#include <optional>

#include "testing/postgres.h"
#include "testing/signed_session.h"

namespace rowhouse::pg {
namespace {

using rowhouse::testing::as_role;
using rowhouse::testing::BlockingSql;
using rowhouse::testing::ensure_roles;
using rowhouse::testing::fresh_database;
using rowhouse::testing::patient;
using rowhouse::testing::PgTest;
using rowhouse::testing::SignedSession;

std::vector<Migration> two_files() {
  std::vector<Migration> files;
  files.emplace_back(1, "0001_first", "CREATE TABLE first (n int); INSERT INTO first VALUES (1);");
  files.emplace_back(2, "0002_second", "CREATE TABLE second (n int);");
  return files;
}

Task<Result<int>> migrate(Pool& pool, std::vector<Migration> migrations) {
  CO_TRY(auto session, co_await pool.acquire(patient()));
  co_return co_await run_migrations(session, migrations, patient());
}

class MigrationsTest : public PgTest {
 protected:
  Result<int> migrate_now(std::vector<Migration> migrations) {
    return run(migrate(pool(), std::move(migrations)));
  }
  void expect_applied(std::vector<Migration> migrations, int count) {
    const auto applied = migrate_now(std::move(migrations));
    ASSERT_TRUE(applied.ok()) << applied.error().message;
    EXPECT_EQ(*applied, count);
  }
  void expect_refused(std::vector<Migration> migrations, ErrorCode code, const std::string& word) {
    const auto refused = migrate_now(std::move(migrations));
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(error_code_name(refused.error().code), error_code_name(code)) << refused.error().message;
    EXPECT_NE(refused.error().message.find(word), std::string::npos) << refused.error().message;
  }
  bool has_table(const std::string& name) {
    return sql().value("SELECT to_regclass('public." + name + "') IS NOT NULL") == "t";
  }
};

TEST_F(MigrationsTest, RunOnce) {
  expect_applied(two_files(), 2);
  expect_applied(two_files(), 0);
  EXPECT_EQ(sql().value("SELECT count(*) FROM first"), "1");
  EXPECT_EQ(
      sql().value("SELECT string_agg(number || name, ' ' ORDER BY number) FROM rowhouse_meta.migrations"),
      "10001_first 20002_second");
  auto three = two_files();
  three.emplace_back(3, "0003_third", "CREATE TABLE third (n int);");
  expect_applied(three, 1);
}

TEST_F(MigrationsTest, AnEmptyListIsNothingToDo) { expect_applied({}, 0); }

TEST_F(MigrationsTest, AChangedFileIsRefused) {
  expect_applied(two_files(), 2);
  auto changed = two_files();
  changed[0].sql += " ";
  changed.emplace_back(3, "0003_third", "CREATE TABLE third (n int);");
  expect_refused(changed, ErrorCode::migration_changed, "0001_first");
  EXPECT_FALSE(has_table("third"));
}

TEST_F(MigrationsTest, AMissingFileIsRefused) {
  expect_applied(two_files(), 2);
  auto shorter = two_files();
  shorter.pop_back();
  expect_refused(shorter, ErrorCode::migration_changed, "0002_second");
}

TEST_F(MigrationsTest, AFailingFileLeavesNothing) {
  auto files = two_files();
  files.emplace_back(3, "0003_broken",
                     "CREATE TABLE third (n int); INSERT INTO first VALUES (2); SELECT 1/0;");
  expect_refused(files, ErrorCode::migration_failed, "0003_broken");
  EXPECT_TRUE(has_table("second")) << "the files before it stay";
  EXPECT_FALSE(has_table("third"));
  EXPECT_EQ(sql().value("SELECT count(*) FROM first"), "1");
  EXPECT_EQ(sql().value("SELECT count(*) FROM rowhouse_meta.migrations"), "2");
  EXPECT_EQ(sql().value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), "0");
  files[2].sql = "CREATE TABLE third (n int);";
  expect_applied(files, 1);
}

TEST_F(MigrationsTest, SyntaxErrorsTellTheServersWords) {
  auto files = two_files();
  files[1].sql = "CREATE TABEL second (n int)";
  expect_refused(files, ErrorCode::migration_failed, "TABEL");
}

Task<void> migrate_into(Pool& pool, std::vector<Migration> migrations, std::optional<Result<int>>* applied) {
  applied->emplace(co_await migrate(pool, std::move(migrations)));
}

Task<void> migrate_side_by_side(Pool& pool, std::optional<Result<int>>* results, std::size_t count) {
  net::TaskGroup group;
  for (std::size_t i = 0; i < count; ++i) {
    group.spawn(migrate_into(pool, two_files(), &results[i]));
  }
  co_await group.join();
}

TEST_F(MigrationsTest, SeveralAtOnceRunEachFileOnce) {
  constexpr std::size_t kNodes = 5;
  std::optional<Result<int>> results[kNodes];
  run(migrate_side_by_side(pool(), results, kNodes));
  int applied = 0;
  for (const auto& result : results) {
    ASSERT_TRUE(result.has_value());
    ASSERT_TRUE(result->ok()) << result->error().message;
    applied += result->value();
  }
  EXPECT_EQ(applied, 2);
  EXPECT_EQ(sql().value("SELECT count(*) FROM first"), "1");
}

TEST(EmbeddedMigrations, AreNumberedWithoutGaps) {
  for (const char* folder : {"sql/platform/", "sql/identity/", "sql/tenant/"}) {
    const auto migrations = migrations_from_embedded(folder);
    ASSERT_TRUE(migrations.ok()) << migrations.error().message;
    ASSERT_FALSE(migrations->empty()) << folder;
    EXPECT_EQ(migrations->front().number, 1);
    EXPECT_TRUE(migrations->front().name.starts_with("0001_"));
  }
}

TEST(EmbeddedMigrations, FoldersWithOtherFilesAreRefused) {
  const auto wrong = migrations_from_embedded("sql/");
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().code, ErrorCode::config_invalid);
}

// The real files, on real databases.
class ShippedSqlTest : public PgTest {
 protected:
  // Runs the files of a folder as a role and returns the database.
  std::string migrated(const std::string& folder, const std::string& owner) {
    ensure_roles();
    std::string name = fresh_database(owner);
    PoolOptions options;
    options.parameters = folder == "sql/tenant/" ? rowhouse::testing::superuser(name) : as_role(owner, name);
    Pool own_pool(executor(), std::move(options));
    auto migrations = migrations_from_embedded(folder);
    EXPECT_TRUE(migrations.ok());
    const auto applied = run(migrate(own_pool, *migrations));
    EXPECT_TRUE(applied.ok()) << applied.error().message;
    EXPECT_EQ(applied.ok() ? *applied : 0, static_cast<int>(migrations->size()));
    return name;
  }
};

constexpr const char* kTenant = "018f0000-0000-7000-8000-00000000000a";
constexpr const char* kOther = "018f0000-0000-7000-8000-00000000000b";

void add_tenant(BlockingSql& platform, const std::string& id, const std::string& slug) {
  platform.run("INSERT INTO platform.tenants (id, slug, name, pack, plan, tier) VALUES ('" + id + "', '" +
               slug + "', 'Name', 'tekup', 'basic', 'pool')");
}

TEST_F(ShippedSqlTest, PlatformKeepsOwnDatabasesApart) {
  BlockingSql platform(as_role("platform_service", migrated("sql/platform/", "platform_service")));
  platform.run(
      "INSERT INTO platform.packs (name, version, manifest, checksum) VALUES ('tekup', '1', '{}', "
      "repeat('a', 64))");
  add_tenant(platform, kTenant, "acme-corp");
  add_tenant(platform, kOther, "acme_corp");
  const auto place = [](const std::string& id, const std::string& rest) {
    return "INSERT INTO platform.tenant_databases (tenant_id, tier, database_name, schema_name, role_name) "
           "VALUES ('" +
           id + "', " + rest + ")";
  };
  platform.run(place(kTenant, "'database', 'tenant_acme', 'app', 'tenant_acme_rt'"));
  EXPECT_EQ(platform.failure(place(kOther, "'database', 'tenant_acme', 'app', 'tenant_other_rt'")), "23505");
  EXPECT_EQ(platform.failure(place(kOther, "'database', 'tenant_other', 'app', 'tenant_acme_rt'")), "23505");
  EXPECT_EQ(platform.failure(place(kOther, "'pool', 'tenant_acme', 'app', 'tenant_service'")), "23514");
  EXPECT_EQ(platform.failure(place(kOther, "'database', 'tenant_other', 'app', 'tenant_service'")), "23514");
  EXPECT_EQ(platform.failure(place(kOther, "'schema', 'rowhouse_pool_tekup', 'app', 'tenant_service'")),
            "23514");
  platform.run(place(kOther, "'schema', 'rowhouse_pool_tekup', 'tenant_other', 'tenant_service'"));
  platform.run("DELETE FROM platform.tenants WHERE id = '" + std::string(kTenant) + "'");
  EXPECT_EQ(platform.value("SELECT count(*) FROM platform.tenant_databases"), "1");
}

TEST_F(ShippedSqlTest, PlatformRefusesBadTenantsAndKeys) {
  BlockingSql platform(as_role("platform_service", migrated("sql/platform/", "platform_service")));
  platform.run(
      "INSERT INTO platform.packs (name, version, manifest, checksum) VALUES ('tekup', '1', '{}', "
      "repeat('a', 64))");
  add_tenant(platform, kTenant, "acme");
  const auto change = [&](const std::string& what) {
    return platform.failure("UPDATE platform.tenants SET " + what);
  };
  EXPECT_EQ(change("slug = 'Acme'"), "23514");
  EXPECT_EQ(change("slug = repeat('a', 64)"), "23514");
  EXPECT_EQ(change("name = E'a\\u0001b'"), "23514");
  EXPECT_EQ(change("status = 'gone'"), "23514");
  EXPECT_EQ(change("tier = 'galaxy'"), "23514");
  EXPECT_EQ(change("domain = 'no dots'"), "23514");
  EXPECT_EQ(change("settings = '[]'"), "23514");
  EXPECT_EQ(change("pack = 'unknown'"), "23503");
  EXPECT_EQ(change("domain = 'crm.example.com', subdomain = 'acme', version = 99"), "");
  EXPECT_EQ(platform.value("SELECT version FROM platform.tenants"), "2");
  const std::string key =
      "INSERT INTO platform.api_keys (id, tenant_id, name, hint, hash) VALUES (gen_random_uuid(), '" +
      std::string(kTenant) + "', 'k', 'tk_abcde', ";
  platform.run(key + "sha256('a'))");
  EXPECT_EQ(platform.failure(key + "sha256('a'))"), "23505");
  EXPECT_EQ(platform.failure(key + "'short')"), "23514");
}

TEST_F(ShippedSqlTest, AuditIsAppendOnly) {
  const std::string name = migrated("sql/platform/", "platform_service");
  BlockingSql platform(as_role("platform_service", name));
  platform.run(
      "INSERT INTO platform.audit_log (actor, action, address) VALUES ('ann', 'tenant.create', '10.1.2.3')");
  for (const char* change : {"UPDATE platform.audit_log SET actor = 'eve'", "DELETE FROM platform.audit_log",
                             "TRUNCATE platform.audit_log"}) {
    EXPECT_EQ(platform.failure(change), "42501") << change;
  }
  EXPECT_EQ(platform.value("SELECT actor FROM platform.audit_log"), "ann");
}

TEST_F(ShippedSqlTest, RegistryRevisionsGrowInTheOrderOfCommits) {
  const std::string name = migrated("sql/platform/", "platform_service");
  BlockingSql first(as_role("platform_service", name));
  BlockingSql second(as_role("platform_service", name));
  const auto concerned = [&] {
    return first.value(
        "SELECT coalesce(string_agg(coalesce(tenant_id::text, 'all'), ' ' ORDER BY revision), '')"
        " FROM platform.registry_changes");
  };
  first.run(
      "INSERT INTO platform.packs (name, version, manifest, checksum) VALUES ('tekup', '1', '{}', "
      "repeat('a', 64))");
  EXPECT_EQ(concerned(), "all");
  first.run("TRUNCATE platform.registry_changes");
  add_tenant(first, kTenant, "slow");
  add_tenant(first, kOther, "quick");
  first.run("INSERT INTO platform.api_keys (id, tenant_id, name, hint, hash) VALUES (gen_random_uuid(), '" +
            std::string(kTenant) + "', 'k', 'tk_abcde', sha256('a'))");
  EXPECT_EQ(concerned(), "") << "what is new is in nobody's cache";
  // The first to write is the last to commit: its revision must be the higher one.
  first.run("BEGIN");
  first.run("UPDATE platform.tenants SET name = 'Slow' WHERE slug = 'slow'");
  second.run("UPDATE platform.tenants SET name = 'Quick' WHERE slug = 'quick'");
  first.run("COMMIT");
  EXPECT_EQ(concerned(), std::string(kOther) + " " + kTenant);
  first.run("TRUNCATE platform.registry_changes");
  first.run("UPDATE platform.api_keys SET last_used_at = now()");
  EXPECT_EQ(concerned(), "") << "use of a key is no change of the registry";
  first.run("UPDATE platform.api_keys SET revoked_at = now()");
  EXPECT_EQ(concerned(), kTenant);
}

TEST_F(ShippedSqlTest, IdentityKeepsRolesWithinTheirTenant) {
  BlockingSql identity(as_role("platform_service", migrated("sql/identity/", "platform_service")));
  const std::string tenant(kTenant), other(kOther);
  identity.run("INSERT INTO identity.users (id, email) VALUES ('" + tenant + "', 'Ann@Example.com')");
  EXPECT_EQ(
      identity.failure("INSERT INTO identity.users (id, email) VALUES ('" + other + "', 'ann@example.com')"),
      "23505");
  EXPECT_EQ(identity.failure("UPDATE identity.users SET password_hash = 'secret'"), "23514");
  identity.run("INSERT INTO identity.roles (tenant_id, id, name) VALUES ('" + tenant + "', '" + tenant +
               "', 'admin')");
  const std::string join = "INSERT INTO identity.memberships (tenant_id, user_id, role_id) VALUES ('";
  EXPECT_EQ(identity.failure(join + other + "', '" + tenant + "', '" + tenant + "')"), "23503");
  identity.run(join + tenant + "', '" + tenant + "', '" + tenant + "')");
  EXPECT_EQ(identity.failure("INSERT INTO identity.role_operations VALUES ('" + tenant + "', '" + tenant +
                             "', 'Lead Read')"),
            "23514");
}

TEST_F(ShippedSqlTest, TenantDatabasesGiveTheRuntimeNothingWithoutContext) {
  const std::string name = migrated("sql/tenant/", "tenant_owner");
  const std::string refused = BlockingSql::cannot_connect(as_role("tenant_service", name));
  EXPECT_NE(refused.find("permission denied"), std::string::npos) << refused;
  BlockingSql(rowhouse::testing::superuser(name))
      .run("GRANT CONNECT ON DATABASE " + name + " TO tenant_service, tenant_migrator, backup_service");
  BlockingSql administrator(rowhouse::testing::superuser(name));
  rowhouse::testing::install_guard(administrator, rowhouse::testing::Guard::portable);
  SignedSession session(as_role("tenant_service", name));
  BlockingSql& runtime = session.sql();
  const std::string insert = "INSERT INTO rowhouse.idempotency_keys (key, fingerprint) VALUES ('a', 'x')";
  EXPECT_EQ(runtime.failure(insert), "42501");
  session.run(kTenant, insert);
  EXPECT_EQ(runtime.value("SELECT count(*) FROM rowhouse.idempotency_keys"), "0");
  session.begin(kOther);
  EXPECT_EQ(runtime.value("SELECT count(*) FROM rowhouse.idempotency_keys"), "0");
  runtime.run(insert);
  runtime.run("COMMIT");
  BlockingSql backup(as_role("backup_service", name));
  EXPECT_EQ(backup.value("SELECT count(DISTINCT tenant_id) FROM rowhouse.idempotency_keys"), "2");
  BlockingSql migrator(as_role("tenant_migrator", name));
  EXPECT_EQ(migrator.failure("SELECT * FROM rowhouse.idempotency_keys"), "42501");
  migrator.run("SET ROLE tenant_owner");
  EXPECT_EQ(migrator.value("SELECT count(*) FROM rowhouse.idempotency_keys"), "0")
      << "the owner is behind the wall, too";
  EXPECT_EQ(migrator.failure("SELECT pg_advisory_xact_lock(1)"), "");
}

TEST_F(ShippedSqlTest, TenantDatabasesCloseTheWaysAroundRowSecurity) {
  const std::string name = migrated("sql/tenant/", "tenant_owner");
  BlockingSql administrator(rowhouse::testing::superuser(name));
  administrator.run("GRANT CONNECT ON DATABASE " + name + " TO tenant_service");
  BlockingSql runtime(as_role("tenant_service", name));
  for (const char* attempt : {"INSERT INTO rowhouse.idempotency_keys (tenant_id, key, fingerprint) VALUES "
                              "(gen_random_uuid(), 'a', 'x')",
                              "UPDATE rowhouse.idempotency_keys SET tenant_id = gen_random_uuid()",
                              "TRUNCATE rowhouse.idempotency_keys",
                              "SELECT * FROM rowhouse.pack_migrations",
                              "SELECT * FROM rowhouse.row_rules",
                              "SELECT rowhouse.grant_runtime('tenant_service')",
                              "SELECT pg_advisory_lock(1)",
                              "SELECT pg_try_advisory_xact_lock_shared(1, 2)",
                              "SELECT lo_create(0)",
                              "SELECT lo_get(1)",
                              "SELECT pg_notify('a', 'b')",
                              "SELECT * FROM pg_stat_activity",
                              "SELECT pg_stat_get_activity(null)",
                              "SELECT pg_stat_get_backend_activity(1)",
                              "SELECT pg_terminate_backend(1)",
                              "SELECT pg_cancel_backend(1)",
                              "SELECT * FROM pg_locks",
                              "DO $$ BEGIN END $$",
                              "CREATE TEMP TABLE t (n int)",
                              "CREATE SCHEMA s",
                              "CREATE TABLE public.t (n int)",
                              "CREATE TABLE rowhouse.t (n int)",
                              "SET ROLE tenant_owner",
                              "SET row_security = off; SELECT * FROM rowhouse.idempotency_keys"}) {
    EXPECT_EQ(runtime.failure(attempt), "42501") << attempt;
  }
}

TEST_F(ShippedSqlTest, ATenantsOwnRoleIsGrantedTheSame) {
  const std::string name = migrated("sql/tenant/", "tenant_owner");
  BlockingSql administrator(rowhouse::testing::superuser(name));
  administrator.run("CREATE ROLE tenant_own_runtime LOGIN NOINHERIT PASSWORD '" +
                    std::string(rowhouse::testing::kRolePassword) + "'");
  administrator.run("GRANT CONNECT ON DATABASE " + name + " TO tenant_own_runtime");
  rowhouse::testing::install_guard(administrator, rowhouse::testing::Guard::portable);
  SignedSession session(as_role("tenant_own_runtime", name));
  BlockingSql& runtime = session.sql();
  EXPECT_EQ(runtime.failure("SELECT rowhouse.tenant_id()"), "42501");
  administrator.run("SET ROLE tenant_owner; SELECT rowhouse.grant_runtime('tenant_own_runtime')");
  session.begin(kTenant);
  EXPECT_EQ(runtime.value("SELECT rowhouse.tenant_id()"), kTenant);
  runtime.run("INSERT INTO rowhouse.idempotency_keys (key, fingerprint) VALUES ('a', 'x'); COMMIT");
}

}  // namespace
}  // namespace rowhouse::pg
