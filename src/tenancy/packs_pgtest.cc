// Installing, upgrading and checking packs on a real server, with tenants in every tier.
#include "tenancy/packs.h"

#include <gmock/gmock.h>

#include <chrono>

#include "base/text.h"
#include "observe/log.h"
#include "operations/engine.h"
#include "pg/quote.h"
#include "tenancy/pack_fixture.h"
#include "tenancy/pack_upgrade.h"
#include "tenancy/tenant.h"
#include "testing/postgres.h"

namespace rowhouse::tenancy {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

template <class T>
std::string words_of(const Result<T>& result) {
  if (result.ok()) return "";
  std::string words = result.error().message + ": " + std::string(result.error().detail(pg::kServerMessage));
  for (const FieldError& field : result.error().fields) words += "\n" + field.path + ": " + field.message;
  return words;
}

std::vector<std::string> summary(const std::vector<Finding>& findings) {
  std::vector<std::string> lines;
  for (const Finding& finding : findings) lines.push_back(finding.rule + " " + finding.object);
  return lines;
}

constexpr const char* kUpgradeSql =
    "ALTER TABLE leads ADD COLUMN phone varchar(30);"
    "CREATE INDEX leads_by_phone ON leads (tenant_id, phone);"
    "CREATE TABLE calls (tenant_id uuid NOT NULL, id uuid NOT NULL DEFAULT gen_random_uuid(), PRIMARY KEY "
    "(tenant_id, id))";

class Packs : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_ = new Shared();
    const auto outcome = run(shared_->cluster.bootstrap(testing::patient()));
    ASSERT_TRUE(outcome.ok()) << words_of(outcome);
  }
  static void TearDownTestSuite() {
    delete shared_;
    shared_ = nullptr;
  }

  Packs()
      : platform_pool_(shared_->executor, platform_options()),
        guard_(shared_->cluster, platform_pool_),
        store_(shared_->cluster, platform_pool_, guard_),
        engine_(
            shared_->executor, platform_pool_, observe::process_log(),
            [](std::string prefix, std::string own, CallOptions options) {
              return shared_->cluster.end_sessions(std::move(prefix), std::move(own), options);
            },
            engine_options()),
        upgrades_(shared_->cluster, platform_pool_, guard_, store_, engine_) {
    engine_.start(operations::Engine::Duty::own);
  }

  ~Packs() override {
    net::run_until_done(shared_->executor, engine_.stop());
    for (const std::string& role : roles_) server_sql("DROP OWNED BY " + role, "postgres");
    testing::BlockingSql sql(testing::superuser("postgres"));
    for (const auto& row :
         sql.run("SELECT quote_ident(datname) FROM pg_database WHERE datname ~ '(mini|^tenant_)'")) {
      sql.run("DROP DATABASE " + *row[0]);
    }
    for (const std::string& role : roles_) sql.run("DROP ROLE " + role);
    testing::BlockingSql platform(testing::superuser(kPlatformDatabase));
    platform.run("DELETE FROM platform.operations; DELETE FROM platform.tenants; DELETE FROM platform.packs");
  }

  template <class T>
  static T run(Task<T> task) {
    return net::run_until_done(shared_->executor, std::move(task));
  }

  static void server_sql(const std::string& sql, std::string_view database) {
    testing::BlockingSql(testing::superuser(database)).run(sql);
  }
  static std::string value(const std::string& sql, std::string_view database) {
    return testing::BlockingSql(testing::superuser(database)).value(sql);
  }

  Result<InstallReport> install(const Bundle& bundle) {
    return run(upgrades_.install(bundle, UpgradeOptions(), "tester", testing::patient()));
  }
  // Where tenants were put there by hand, or somebody broke one on purpose, lint would refuse.
  Result<InstallReport> install_unlinted(const Bundle& bundle) {
    UpgradeOptions options;
    options.lint = LintFirst::no;
    return run(upgrades_.install(bundle, options, "tester", testing::patient()));
  }
  std::vector<std::string> check(const Bundle& bundle) {
    const auto findings = run(store_.check(bundle, testing::patient()));
    EXPECT_TRUE(findings.ok()) << words_of(findings);
    return findings.ok() ? summary(*findings) : std::vector<std::string>();
  }

  // The good pack, with this text in place of its second migration's end.
  static Bundle with_migration(const std::string& sql, const std::string& version = "1.0.0") {
    std::vector<std::string> migrations;
    migrations.emplace_back(fixture::kTables);
    migrations.emplace_back(fixture::kViews);
    if (!sql.empty()) migrations.push_back(sql);
    auto document = fixture::manifest_document();
    document.set("version", version);
    return fixture::bundle(std::move(migrations), std::move(document));
  }

  // A tenant with rows of its own, made by hand.
  void add_tenant(const std::string& slug, Tier tier) {
    const bool own_database = tier == Tier::database;
    const std::string database = own_database ? "tenant_" + slug : pool_database_name("mini");
    const std::string schema = tier == Tier::schema ? "t_" + slug : "app";
    const std::string role = own_database ? "tenant_" + slug : "tenant_service";
    const auto bundle = run(store_.stored_bundle("mini", testing::patient()));
    ASSERT_TRUE(bundle.ok()) << words_of(bundle);
    if (own_database) {
      server_sql("CREATE ROLE " + role + " LOGIN NOINHERIT", "postgres");
      roles_.push_back(role);
      server_sql("CREATE DATABASE " + database + " OWNER tenant_owner TEMPLATE rowhouse_template_mini",
                 "postgres");
      ASSERT_TRUE(run(shared_->cluster.apply_database_privileges(database, role, testing::patient())).ok());
    }
    if (tier != Tier::pool) {
      const auto prepared = run(store_.prepare_schema(database, schema, role, *bundle, testing::patient()));
      ASSERT_TRUE(prepared.ok()) << words_of(prepared);
      EXPECT_EQ(*prepared, own_database ? 0 : static_cast<int>(bundle->migrations.size()));
    }
    const std::string id = value("SELECT gen_random_uuid()", "postgres");
    server_sql("INSERT INTO platform.tenants (id, slug, name, pack, plan, status, tier) VALUES ('" + id +
                   "', '" + slug + "', 'Name', 'mini', 'basic', 'active', '" + std::string(tier_name(tier)) +
                   "');"
                   "INSERT INTO platform.tenant_databases (tenant_id, tier, database_name, schema_name, "
                   "role_name) VALUES ('" +
                   id + "', '" + std::string(tier_name(tier)) + "', '" + database + "', '" + schema + "', '" +
                   role + "')",
               kPlatformDatabase);
    server_sql("INSERT INTO " + schema + ".leads (tenant_id, email) VALUES ('" + id + "', '" + slug +
                   "@example.com')",
               database);
  }

  static std::string scratch_databases() {
    return value("SELECT count(*) FROM pg_database WHERE datname LIKE 'rowhouse_check_%'", "postgres");
  }

  PackStore& store() { return store_; }
  PackUpgrades& upgrades() { return upgrades_; }
  static Cluster& cluster() { return shared_->cluster; }

 private:
  struct Shared {
    net::Executor executor;
    Cluster cluster{executor, testing::superuser("postgres"), Credentials(testing::server().master_key())};
  };
  static pg::PoolOptions platform_options() {
    pg::PoolOptions options;
    options.parameters = shared_->cluster.as(kPlatformRole, kPlatformDatabase);
    return options;
  }
  static operations::EngineOptions engine_options() {
    operations::EngineOptions options;
    options.node = "packs-test";
    return options;
  }

  static Shared* shared_;
  pg::Pool platform_pool_;
  ContextGuard guard_;
  PackStore store_;
  operations::Engine engine_;
  PackUpgrades upgrades_;
  std::vector<std::string> roles_;
};

Packs::Shared* Packs::shared_ = nullptr;

TEST_F(Packs, AGoodPackPassesAndLeavesNothing) {
  EXPECT_THAT(check(fixture::bundle()), IsEmpty());
  EXPECT_EQ(scratch_databases(), "0");
}

TEST_F(Packs, WhatMigrationsMustNotDoIsFound) {
  struct Case {
    std::vector<std::string> findings;
    const char* sql;
  };
  const Case cases[] = {
      {{"migration-statement 0003_step:2", "migration-statement 0003_step:3",
        "migration-statement 0003_step:4", "migration-statement 0003_step:5",
        "migration-statement 0003_step:6"},
       "SELECT 1;\nCOMMIT;\nSET ROLE tenant_migrator;\nRESET ROLE;\nSET LOCAL SESSION AUTHORIZATION "
       "DEFAULT;\n"
       "COPY leads FROM STDIN;"},
      {{"migration-changes-role 0003_step"},
       "DO $$ BEGIN PERFORM set_config('role', 'tenant_migrator', true); END $$"},
      {{"migration-changes-settings 0003_step"}, "SET search_path = public"},
      {{"migration-failed 0003_step"}, "CREATE TABLE leads (id int)"},
      {{"migration-failed 0003_step"}, "CREATE ROLE more"},
      {{"grant-to-public leads", "grant-to-public lead_total", "grant-in-migration leads",
        "grant-in-migration leads", "grant-in-migration leads.tenant_id",
        "view-not-security-invoker all_leads", "outside-schema schema elsewhere",
        "outside-schema table rowhouse.things", "outside-schema extension citext",
        "outside-schema function rowhouse.tenant_id()", "outside-schema table rowhouse.idempotency_keys",
        "outside-schema settings of a role or database",
        "outside-schema default privileges on new relations belonging to role tenant_owner"},
       "GRANT SELECT ON leads TO PUBLIC; GRANT EXECUTE ON FUNCTION lead_total TO PUBLIC;"
       "GRANT SELECT ON leads TO platform_service; GRANT TRUNCATE ON leads TO tenant_service;"
       "GRANT UPDATE (tenant_id) ON leads TO tenant_service; CREATE VIEW all_leads AS SELECT * FROM leads;"
       "CREATE SCHEMA IF NOT EXISTS elsewhere; CREATE TABLE IF NOT EXISTS rowhouse.things (a int);"
       "CREATE EXTENSION IF NOT EXISTS citext SCHEMA public;"
       "CREATE OR REPLACE FUNCTION rowhouse.tenant_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE "
       "RETURN gen_random_uuid();"
       "ALTER TABLE rowhouse.idempotency_keys ADD COLUMN IF NOT EXISTS more text;"
       "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''1GB''', current_database()); END $$;"
       "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC"},
      {{"schema-named 0003_step"}, "ALTER TABLE app.leads ADD COLUMN more text"},
      {{"outside-schema column x of app.leads"},
       "ALTER TABLE app.leads ADD COLUMN IF NOT EXISTS x int, ALTER COLUMN x SET DEFAULT 1"},
  };
  for (const Case& tried : cases) {
    SCOPED_TRACE(tried.sql);
    const auto found = check(with_migration(tried.sql));
    for (const std::string& finding : tried.findings) EXPECT_THAT(found, Contains(finding));
  }
  EXPECT_EQ(scratch_databases(), "0");
}

TEST_F(Packs, SampleDataMustFitItsTable) {
  Bundle bundle = fixture::bundle();
  bundle.samples[0].csv = "\xef\xbb\xbf\"email\",mail,tenant_id,doubled\r\n";
  EXPECT_THAT(check(bundle),
              ElementsAre("sample-data-column sample/leads.csv", "sample-data-tenant-id sample/leads.csv"));
}

TEST_F(Packs, LeftoversOfADeadServerAreSweptAndThoseInUseAreNot) {
  const std::string recent =
      "rowhouse_check_" + value("SELECT floor(extract(epoch FROM now()))::bigint", "postgres") + "_00ff";
  const std::string abandoned = "rowhouse_check_1000000000_00ff", in_use = "rowhouse_check_1000000001_00ff";
  for (const std::string& name : {recent, abandoned, in_use})
    server_sql("CREATE DATABASE " + name, "postgres");
  constexpr auto kNames =
      "SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database WHERE datname LIKE "
      "'rowhouse_check_%'";
  {
    testing::BlockingSql somebody(testing::superuser(in_use));
    EXPECT_THAT(check(fixture::bundle()), IsEmpty());
    EXPECT_EQ(value(kNames, "postgres"), in_use + "," + recent);
  }
  const Deadline deadline =
      deadline_in(std::chrono::seconds(30));  // until the server has noticed that somebody is gone
  while (value(kNames, "postgres") != recent && std::chrono::steady_clock::now() < deadline) {
    const auto cleared = run(upgrades().clear_up(testing::patient()));
    ASSERT_TRUE(cleared.ok()) << cleared.error().message;
  }
  EXPECT_EQ(value(kNames, "postgres"), recent);
  server_sql("DROP DATABASE " + recent, "postgres");
}

TEST_F(Packs, InstallMakesTemplateAndPoolAndIsIdempotent) {
  const auto first = install(fixture::bundle());
  ASSERT_TRUE(first.ok()) << words_of(first);
  EXPECT_EQ(first->pack, "mini");
  EXPECT_EQ(first->from_version, "");
  EXPECT_EQ(first->to_version, "1.0.0");
  EXPECT_THAT(first->migrated, ElementsAre("template", "pool"));
  EXPECT_THAT(first->failed, IsEmpty());
  EXPECT_EQ(
      value(
          "SELECT string_agg(name, ' ' ORDER BY ordinal) FROM platform.operation_steps WHERE status = 'done'",
          kPlatformDatabase),
      "upload check announce list_tenants canary migrate_tenants migrate_template migrate_pool store finish");

  const auto begin = std::chrono::steady_clock::now();
  const auto second = install(fixture::bundle());
  ASSERT_TRUE(second.ok()) << words_of(second);
  EXPECT_THAT(second->migrated, IsEmpty());
  EXPECT_EQ(second->unchanged, 2U);
  EXPECT_EQ(second->from_version, "1.0.0");
  EXPECT_EQ(value("SELECT count(*) FROM platform.operations", kPlatformDatabase), "1")
      << "nothing to do is no operation";
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2))
      << "nothing to do must cost nothing";

  // The template grants nothing to anyone who serves tenants, the pool does.
  const std::string granted = "SELECT has_table_privilege('tenant_service', 'app.leads', 'SELECT')";
  EXPECT_EQ(value(granted, pool_database_name("mini")), "t");
  EXPECT_EQ(value(granted, template_database_name("mini")), "f");
}

TEST_F(Packs, TheStoredBundleIsTheInstalledOne) {
  const Bundle bundle = fixture::bundle();
  ASSERT_TRUE(install(bundle).ok());
  const auto stored = run(store().stored_bundle("mini", testing::patient()));
  ASSERT_TRUE(stored.ok()) << words_of(stored);
  EXPECT_EQ(bundle_to_json(*stored), bundle_to_json(bundle));
  EXPECT_EQ(stored->manifest.plans[0].name, "basic") << "plans keep their author's order";
  const auto missing = run(store().stored_bundle("nothing", testing::patient()));
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
}

TEST_F(Packs, ABrokenPackIsRefusedAndTouchesNothing) {
  const auto refused = install(with_migration("CREATE TABLE things (id uuid PRIMARY KEY)"));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::pack_refused);
  std::vector<std::string> paths;
  for (const FieldError& field : refused.error().fields) paths.push_back(field.path);
  EXPECT_THAT(paths, Contains("things"));
  EXPECT_THAT(words_of(refused), HasSubstr("tenant-id-missing"));
  EXPECT_THAT(words_of(refused), HasSubstr("ALTER TABLE things ADD COLUMN tenant_id uuid NOT NULL;"));
  EXPECT_EQ(
      value("SELECT count(*) FROM pg_database WHERE datname LIKE '%mini%' OR datname LIKE 'rowhouse_check_%'",
            "postgres"),
      "0");
  EXPECT_EQ(value("SELECT count(*) FROM platform.packs", kPlatformDatabase), "0");
}

TEST_F(Packs, AnUpgradeReachesEveryTier) {
  ASSERT_TRUE(install(fixture::bundle()).ok());
  add_tenant("pooled", Tier::pool);
  add_tenant("apart", Tier::schema);
  add_tenant("alone", Tier::database);
  const auto upgraded = install_unlinted(with_migration(kUpgradeSql, "1.1.0"));
  ASSERT_TRUE(upgraded.ok()) << words_of(upgraded);
  EXPECT_EQ(upgraded->from_version, "1.0.0");
  EXPECT_EQ(upgraded->to_version, "1.1.0");
  EXPECT_THAT(upgraded->migrated, ElementsAre("template", "pool", "apart", "alone"));
  EXPECT_THAT(upgraded->failed, IsEmpty());
  const std::string pool = pool_database_name("mini");
  EXPECT_EQ(value("SELECT has_column_privilege('tenant_service', 'app.leads', 'phone', 'UPDATE')", pool),
            "t");
  EXPECT_EQ(value("SELECT has_column_privilege('tenant_service', 't_apart.leads', 'phone', 'UPDATE')", pool),
            "t");
  EXPECT_EQ(
      value("SELECT has_column_privilege('tenant_alone', 'app.leads', 'phone', 'UPDATE')", "tenant_alone"),
      "t");
  EXPECT_EQ(value("SELECT count(*) FROM pg_policy WHERE polrelid = 'app.calls'::regclass", "tenant_alone"),
            "2");
  EXPECT_EQ(value("SELECT has_table_privilege('tenant_service', 'app.calls', 'SELECT')", "tenant_alone"),
            "f");
}

TEST_F(Packs, MigrationsSeeTheRowsOfEveryTenant) {
  ASSERT_TRUE(install(fixture::bundle()).ok());
  add_tenant("first", Tier::pool);
  add_tenant("second", Tier::pool);
  const auto upgraded = install(with_migration(
      "ALTER TABLE leads ADD COLUMN domain text; UPDATE leads SET domain = split_part(email, '@', 2);"
      "ALTER TABLE leads ALTER COLUMN domain SET NOT NULL, ALTER COLUMN domain SET DEFAULT ''",
      "1.1.0"));
  ASSERT_TRUE(upgraded.ok()) << words_of(upgraded);
  const std::string pool = pool_database_name("mini");
  EXPECT_EQ(value("SELECT count(*) FROM app.leads WHERE domain = 'example.com'", pool), "2");
  EXPECT_EQ(
      value(
          "SELECT count(*) FROM pg_class WHERE relnamespace = 'app'::regnamespace AND relkind IN ('r', 'p') "
          "AND NOT (relrowsecurity AND relforcerowsecurity)",
          pool),
      "0");
}

TEST_F(Packs, ReleasedMigrationsAndVersionsAreBinding) {
  ASSERT_TRUE(install(with_migration(kUpgradeSql, "1.1.0")).ok());
  const auto downgrade = install(fixture::bundle());
  ASSERT_FALSE(downgrade.ok());
  EXPECT_EQ(downgrade.error().code, ErrorCode::pack_refused);
  EXPECT_THAT(downgrade.error().message, HasSubstr("older"));

  const auto changed = install(with_migration(std::string(kUpgradeSql) + ";", "1.2.0"));
  ASSERT_FALSE(changed.ok());
  EXPECT_EQ(changed.error().code, ErrorCode::pack_refused);
  EXPECT_EQ(changed.error().fields.at(0).path, "migrations/0003_step.sql");

  const auto removed = install(with_migration("", "1.2.0"));
  ASSERT_FALSE(removed.ok());
  EXPECT_EQ(removed.error().code, ErrorCode::pack_refused);
  EXPECT_THAT(removed.error().message, HasSubstr("missing"));

  Bundle same_version = with_migration(kUpgradeSql, "1.1.0");
  same_version.samples[0].csv += "bob@example.com,new\n";
  const auto quiet = install(same_version);
  ASSERT_FALSE(quiet.ok());
  EXPECT_EQ(quiet.error().code, ErrorCode::pack_refused);
  EXPECT_THAT(quiet.error().message, HasSubstr("higher version"));
  EXPECT_EQ(value("SELECT version FROM platform.packs", kPlatformDatabase), "1.1.0");
}

TEST_F(Packs, AnUpgradeGoesOnOverFailingTenantsAndResumes) {
  ASSERT_TRUE(install(fixture::bundle()).ok());
  add_tenant("apart", Tier::schema);
  add_tenant("broken", Tier::database);
  add_tenant("last", Tier::database);
  // Somebody changed a tenant's database by hand: the migration cannot run there.
  server_sql("ALTER TABLE app.leads ADD COLUMN phone text", "tenant_broken");
  const Bundle next = with_migration(kUpgradeSql, "1.1.0");
  const auto upgraded = install_unlinted(next);
  ASSERT_TRUE(upgraded.ok()) << words_of(upgraded);
  // What all share waits until every tenant can be served by the new version.
  EXPECT_THAT(upgraded->migrated, ElementsAre("apart", "last"));
  ASSERT_EQ(upgraded->failed.size(), 1U);
  EXPECT_EQ(upgraded->failed[0].first, "broken");
  EXPECT_THAT(upgraded->failed[0].second, HasSubstr("column \"phone\" of relation \"leads\" already exists"));
  EXPECT_EQ(value("SELECT upgrade_pending FROM platform.packs", kPlatformDatabase), "t");

  server_sql("ALTER TABLE app.leads DROP COLUMN phone", "tenant_broken");
  const auto resumed = install_unlinted(next);
  ASSERT_TRUE(resumed.ok()) << words_of(resumed);
  EXPECT_THAT(resumed->migrated, ElementsAre("template", "pool", "broken"));
  EXPECT_EQ(resumed->unchanged, 2U);
  EXPECT_THAT(resumed->failed, IsEmpty());
  EXPECT_EQ(value("SELECT upgrade_pending FROM platform.packs", kPlatformDatabase), "f");
}

TEST_F(Packs, AnInstallThatWasCutOffIsTakenUpAgain) {
  // The template is there, the pool is there without its migrations, nothing is stored.
  const Bundle bundle = fixture::bundle();
  ASSERT_TRUE(
      run(cluster().create_tenant_data_database(template_database_name("mini"), testing::patient())).ok());
  const auto prepared =
      run(store().prepare_schema(template_database_name("mini"), "app", "", bundle, testing::patient()));
  ASSERT_TRUE(prepared.ok()) << words_of(prepared);
  EXPECT_EQ(*prepared, 2);
  ASSERT_TRUE(
      run(cluster().create_tenant_data_database(pool_database_name("mini"), testing::patient())).ok());
  const auto installed = install(bundle);
  ASSERT_TRUE(installed.ok()) << words_of(installed);
  EXPECT_THAT(installed->migrated, ElementsAre("pool"));
  EXPECT_EQ(installed->unchanged, 1U);
}

TEST_F(Packs, ATargetThatWouldBreakARuleIsLeftAsItWas) {
  ASSERT_TRUE(install(fixture::bundle()).ok());
  add_tenant("apart", Tier::schema);
  const std::string pool = pool_database_name("mini");
  server_sql("SET ROLE tenant_owner; CREATE POLICY backdoor ON t_apart.leads USING (true)", pool);
  const auto refused = install(with_migration(kUpgradeSql, "1.1.0"));
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("lint"));
  EXPECT_EQ(value("SELECT version FROM platform.packs", kPlatformDatabase), "1.0.0");
  const auto upgraded = install_unlinted(with_migration(kUpgradeSql, "1.1.0"));
  ASSERT_TRUE(upgraded.ok()) << words_of(upgraded);
  ASSERT_EQ(upgraded->failed.size(), 1U);
  EXPECT_THAT(upgraded->failed[0].second, HasSubstr("policy-permissive"));
  EXPECT_EQ(value("SELECT count(*) FROM pg_attribute WHERE attrelid = 't_apart.leads'::regclass AND attname "
                  "= 'phone'",
                  pool),
            "0");
}

TEST_F(Packs, AMigrationThatRanOtherwiseIsNotRunAgain) {
  ASSERT_TRUE(install(fixture::bundle()).ok());
  const std::string pool = pool_database_name("mini");
  server_sql("UPDATE rowhouse.pack_migrations SET checksum = repeat('0', 64) WHERE number = 2", pool);
  const Bundle bundle = fixture::bundle();
  const auto prepared =
      run(store().prepare_schema(pool, "app", "tenant_service", bundle, testing::patient()));
  ASSERT_FALSE(prepared.ok());
  EXPECT_EQ(prepared.error().code, ErrorCode::migration_changed);
  EXPECT_THAT(prepared.error().message, HasSubstr("0002_step"));
  server_sql("UPDATE rowhouse.pack_migrations SET pack = 'other'", pool);
  EXPECT_EQ(
      run(store().prepare_schema(pool, "app", "tenant_service", bundle, testing::patient())).error().code,
      ErrorCode::migration_changed);
}

TEST_F(Packs, PreparingASchemaTwiceIsTheSameAsOnce) {
  ASSERT_TRUE(install(fixture::bundle()).ok());
  const Bundle bundle = fixture::bundle();
  const std::string pool = pool_database_name("mini");
  const std::string odd = "T \"odd\" schema';--";
  for (const int expected : {2, 0}) {
    const auto prepared =
        run(store().prepare_schema(pool, odd, "tenant_service", bundle, testing::patient()));
    ASSERT_TRUE(prepared.ok()) << words_of(prepared);
    EXPECT_EQ(*prepared, expected);
  }
  EXPECT_EQ(value("SELECT count(*) FROM pg_policies WHERE schemaname = " + pg::quote_literal(odd), pool),
            "6");
}

TEST_F(Packs, LoadsEveryInstalledPack) {
  ASSERT_TRUE(install(fixture::bundle()).ok());
  const auto packs = run(store().load_all(testing::patient()));
  ASSERT_TRUE(packs.ok()) << words_of(packs);
  ASSERT_EQ(packs->size(), 1U);
  const Pack& pack = *packs->front();
  EXPECT_EQ(pack.pool_database, "rowhouse_pool_mini");
  EXPECT_EQ(pack.template_database, "rowhouse_template_mini");

  const Resource& leads = pack.resources.find("leads")->second;
  ASSERT_EQ(leads.find_column("tenant_id"), nullptr);
  const Column& email = *leads.find_column("email");
  EXPECT_EQ(email.type, "character varying(100)");
  EXPECT_EQ(email.cast, "pg_catalog.\"varchar\"");
  EXPECT_EQ(email.max_characters, 100U);
  EXPECT_EQ(email.comment, "E-mail address");
  EXPECT_TRUE(email.personal);
  EXPECT_TRUE(email.nullable);
  EXPECT_EQ(leads.find_column("id")->cast, "pg_catalog.uuid");
  const Column& status = *leads.find_column("status");
  EXPECT_EQ(status.cast, "");
  EXPECT_EQ(status.local_type, "lead_status");
  EXPECT_EQ(status.type, "lead_status");
  EXPECT_EQ(status.kind, ColumnKind::text);
  EXPECT_THAT(status.labels, ElementsAre("new", "won", "lost"));
  const Column& past = *leads.find_column("past");
  EXPECT_EQ(past.local_type, "lead_status");
  EXPECT_TRUE(past.local_type_is_array);
  EXPECT_EQ(past.kind, ColumnKind::array);
  EXPECT_EQ(past.type, "lead_status[]");
  const Column& nickname = *leads.find_column("nickname");
  EXPECT_EQ(nickname.local_type, "short_name");
  EXPECT_EQ(nickname.kind, ColumnKind::text);
  EXPECT_EQ(nickname.max_characters, 20U) << "through the domain";
  EXPECT_TRUE(leads.find_column("doubled")->generated);
  EXPECT_TRUE(leads.find_column("created_at")->read_only);
  EXPECT_EQ(leads.find_column("created_at")->kind, ColumnKind::timestamp);
  EXPECT_EQ(leads.find_column("extra")->kind, ColumnKind::json);
  EXPECT_TRUE(pack.resources.find("notes")->second.find_column("id")->generated);
  EXPECT_TRUE(pack.resources.find("notes")->second.find_column("number")->has_default);

  std::vector<std::string> constraints;
  for (const Constraint& constraint : leads.constraints) constraints.push_back(constraint.name);
  EXPECT_THAT(constraints, ElementsAre("leads_email_unique", "leads_pkey", "leads_value_check"));
  EXPECT_THAT(leads.constraints[0].columns, ElementsAre("email"));
  const Resource& events = pack.resources.find("events")->second;
  EXPECT_TRUE(events.is_partitioned);
  std::vector<std::string> of_partitions;
  for (const Constraint& constraint : events.constraints) of_partitions.push_back(constraint.name);
  EXPECT_THAT(of_partitions, ElementsAre("events_0_pkey", "events_1_pkey", "events_pkey"));
  EXPECT_TRUE(pack.resources.find("open_leads")->second.is_view);

  const Function& counts = pack.functions.find("lead_counts")->second;
  ASSERT_EQ(counts.arguments.size(), 1U);
  EXPECT_EQ(counts.arguments[0].name, "since");
  EXPECT_EQ(counts.arguments[0].cast, "pg_catalog.timestamptz");
  EXPECT_TRUE(counts.arguments[0].has_default);
  EXPECT_TRUE(counts.returns_set);
  EXPECT_TRUE(counts.returns_row);
  EXPECT_TRUE(counts.read_only);
  ASSERT_EQ(counts.result.size(), 2U);
  EXPECT_EQ(counts.result[1].name, "leads");
  EXPECT_EQ(counts.result[1].kind, ColumnKind::integer);
  const Function& total = pack.functions.find("lead_total")->second;
  EXPECT_FALSE(total.returns_row);
  EXPECT_FALSE(total.arguments[0].has_default);
  ASSERT_EQ(total.result.size(), 1U);
  EXPECT_EQ(total.result[0].name, "lead_total");
  EXPECT_EQ(total.operation, "lead:read");
}

TEST_F(Packs, APackWhoseTablesAreGoneIsNotLoaded) {
  ASSERT_TRUE(install(fixture::bundle()).ok());
  server_sql("DROP TABLE app.notes", pool_database_name("mini"));
  const auto packs = run(store().load_all(testing::patient()));
  ASSERT_FALSE(packs.ok());
  EXPECT_EQ(packs.error().code, ErrorCode::pack_refused);
  EXPECT_THAT(words_of(packs), HasSubstr("notes"));
}

TEST_F(Packs, TheBundledPacksBreakNoRule) {
  const auto names = embedded_pack_names();
  EXPECT_THAT(names, ElementsAre("deeplens", "isp-monitor", "tekup"));
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    const auto bundle = bundle_from_embedded(name);
    ASSERT_TRUE(bundle.ok()) << words_of(bundle);
    const auto findings = run(store().check(*bundle, testing::patient()));
    ASSERT_TRUE(findings.ok()) << words_of(findings);
    for (const Finding& finding : *findings) {
      ADD_FAILURE() << finding.rule << " " << finding.object << ": " << finding.message << "\n  "
                    << finding.fix;
    }
  }
}

}  // namespace
}  // namespace rowhouse::tenancy
