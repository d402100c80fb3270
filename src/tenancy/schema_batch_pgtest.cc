// Many schemas of one database: the fast way ends where the slow way does, and nothing is ever half done.
#include "tenancy/schema_batch.h"

#include <gmock/gmock.h>

#include <map>
#include <memory>
#include <set>

#include "tenancy/checker.h"
#include "tenancy/isolation_sql.h"
#include "tenancy/lint_structure.h"
#include "tenancy/pack_fixture.h"
#include "tenancy/pack_migrator.h"
#include "tenancy/schema_batch_script.h"
#include "testing/postgres.h"

namespace rowhouse::tenancy {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using std::chrono_literals::operator""ms;

constexpr const char* kUpgradeSql =
    "ALTER TABLE leads ADD COLUMN phone varchar(30);\n"
    "CREATE INDEX leads_by_phone ON leads (tenant_id, phone) -- no semicolon, and a comment";
constexpr std::size_t kSchemas = 10;  // enough to be looked at as groups

Bundle bundle_with(std::vector<std::string> more) {
  std::vector<std::string> migrations;
  migrations.emplace_back(fixture::kTables);
  migrations.emplace_back(fixture::kViews);
  for (std::string& sql : more) migrations.push_back(std::move(sql));
  return fixture::bundle(std::move(migrations), fixture::manifest_document());
}

Bundle bundle_with(const char* sql) {
  std::vector<std::string> more;
  more.emplace_back(sql);
  return bundle_with(std::move(more));
}

std::string words_of(const Error& error) {
  std::string words = error.message + " " + std::string(error.detail(pg::kServerMessage));
  for (const FieldError& field : error.fields) words += "\n" + field.path + ": " + field.message;
  return words;
}

class SchemaBatch : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_ = std::make_unique<Shared>();
    ASSERT_TRUE(run(shared_->cluster.bootstrap(testing::patient())).ok());
    make(bundle_with(std::vector<std::string>()), kTemplate, kSchemas);
  }
  static void TearDownTestSuite() { shared_.reset(); }

  // Each test has a copy of its own.
  void SetUp() override {
    admin("DROP DATABASE IF EXISTS " + database_);
    admin("CREATE DATABASE " + database_ + " OWNER tenant_owner TEMPLATE " + kTemplate);
    for (std::size_t i = 0; i < kSchemas; ++i) targets_.push_back(target(i));
  }
  void TearDown() override { admin("DROP DATABASE " + database_ + " WITH (FORCE)"); }

  template <class T>
  static T run(Task<T> task) {
    return net::run_until_done(shared_->executor, std::move(task));
  }
  static Cluster& cluster() { return shared_->cluster; }
  static void admin(const std::string& sql) { testing::BlockingSql(testing::superuser("postgres")).run(sql); }
  std::vector<testing::BlockingSql::Row> rows(const std::string& sql) {
    return testing::BlockingSql(testing::superuser(database_)).run(sql);
  }
  std::string value(const std::string& sql) {
    return testing::BlockingSql(testing::superuser(database_)).value(sql);
  }

  static BatchTarget target(std::size_t number) {
    BatchTarget made;
    made.slug = "tenant-" + std::to_string(number);
    made.schema = "t_number_" + std::to_string(number) + "_0123456789a" + std::to_string(number % 10);
    made.role = kRuntimeRole;
    return made;
  }

  static void make(const Bundle& bundle, const std::string& name, std::size_t count) {
    ASSERT_TRUE(run(cluster().create_tenant_data_database(name, testing::patient())).ok());
    for (std::size_t i = 0; i < count; ++i) migrate_slowly(name, target(i), bundle);
  }
  static void migrate_slowly(const std::string& name, BatchTarget one, const Bundle& bundle) {
    auto session = run(cluster().migrator(name, testing::patient()));
    ASSERT_TRUE(session.ok());
    const auto migrated =
        run(migrate_schema(*session, one.schema, one.role, bundle, OnFinding::refuse, testing::patient()));
    ASSERT_TRUE(migrated.ok()) << words_of(migrated.error());
    ASSERT_THAT(migrated->findings, IsEmpty());
  }

  BatchReport migrate(const Bundle& bundle, BatchOptions options = BatchOptions()) {
    auto on_finished = options.on_finished;
    told_.clear();
    options.on_finished = [this, on_finished](const TargetOutcome& outcome) {
      EXPECT_TRUE(told_.insert(outcome.target).second) << "told twice";
      if (on_finished) on_finished(outcome);
    };
    auto report =
        run(migrate_schemas(cluster(), database_, targets_, bundle, std::move(options), testing::patient()));
    EXPECT_TRUE(report.ok()) << report.error().message;
    if (!report.ok()) return BatchReport();
    for (const TargetOutcome& outcome : report->outcomes) {
      EXPECT_EQ(told_.contains(outcome.target), outcome.status != TargetStatus::not_begun);
      const bool is_fault = outcome.status == TargetStatus::failed ||
                            outcome.status == TargetStatus::outage ||
                            outcome.status == TargetStatus::lock_timeout;
      EXPECT_EQ(outcome.error.has_value(), is_fault);
    }
    return std::move(*report);
  }
  static std::size_t count(const BatchReport& report, MigrationWay way) {
    return static_cast<std::size_t>(std::ranges::count(report.outcomes, way, &TargetOutcome::way));
  }

  // What the schemas are made of, each line once for all that have it; one line a schema is the good case.
  std::map<std::string, std::set<std::string>> fingerprints() {
    std::vector<SchemaScope> scopes;
    for (const BatchTarget& one : targets_) {
      SchemaScope& scope = scopes.emplace_back();
      scope.schema = one.schema;
      scope.runtime_role = one.role;
    }
    std::map<std::string, std::set<std::string>> by_hash;
    const auto read = [&](pg::Session session) -> Task<Result<void>> {
      CO_TRY_DO(co_await begin_as_owner(session, testing::patient()));
      CO_TRY_DO(co_await use_catalog_search_path(session, testing::patient()));
      CO_TRY(const auto found, co_await read_fingerprints(session, scopes, testing::patient()));
      for (const auto& fingerprint : found) by_hash[fingerprint.hash].insert(fingerprint.schema);
      co_return co_await session.rollback(testing::patient());
    };
    auto session = run(cluster().migrator(database_, testing::patient()));
    EXPECT_TRUE(session.ok());
    EXPECT_TRUE(run(read(std::move(*session))).ok());
    return by_hash;
  }
  // Rights and owners, which fingerprints leave out, without the schema's name.
  std::set<std::string> rights(const std::string& schema) {
    std::set<std::string> lines;
    for (const auto& row :
         rows("SELECT concat_ws(' ', c.relname, c.relowner::regrole, c.relacl, a.attname, a.attacl) FROM "
              "pg_class c "
              "LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 WHERE c.relnamespace = '" +
              schema + "'::regnamespace")) {
      lines.insert(*row[0]);
    }
    return lines;
  }
  std::vector<Finding> findings(const std::string& schema) {
    std::vector<Finding> found;
    const auto read = [&](pg::Session session) -> Task<Result<void>> {
      CO_TRY_DO(co_await begin_as_owner(session, testing::patient()));
      CO_TRY(found, co_await check_isolation(session, schema, CheckTime::complete, testing::patient()));
      CO_TRY(const auto script,
             co_await write_protection(session, schema, std::string(kRuntimeRole), testing::patient()));
      EXPECT_EQ(script, "") << schema;
      co_return co_await session.rollback(testing::patient());
    };
    auto session = run(cluster().migrator(database_, testing::patient()));
    EXPECT_TRUE(session.ok());
    EXPECT_TRUE(run(read(std::move(*session))).ok());
    return found;
  }
  std::string migrations_of(const std::string& schema) {
    return value("SELECT count(*) FROM rowhouse.pack_migrations WHERE schema_name = '" + schema + "'");
  }
  bool has_phone(const std::string& schema) {
    return value("SELECT count(*) FROM pg_attribute WHERE attname = 'phone' AND attrelid = '" + schema +
                 ".leads'::regclass") == "1";
  }
  // Everything is there or nothing is.
  void expect_whole(const std::string& schema) {
    EXPECT_EQ(migrations_of(schema), has_phone(schema) ? "3" : "2") << schema;
    EXPECT_THAT(findings(schema), IsEmpty()) << schema;
  }
  void expect_like_the_slow_way(const Bundle& bundle) {
    BatchTarget slow = target(0);
    slow.schema = "t_slowly_abcdefabcdef";
    migrate_slowly(database_, slow, bundle);
    targets_.push_back(slow);
    EXPECT_THAT(fingerprints(), SizeIs(1));
    const auto expected = rights(slow.schema);
    EXPECT_FALSE(expected.empty());
    for (const BatchTarget& one : targets_) {
      EXPECT_EQ(rights(one.schema), expected) << one.schema;
      EXPECT_THAT(findings(one.schema), IsEmpty()) << one.schema;
    }
    EXPECT_EQ(value("SELECT count(DISTINCT (pack, number, name, checksum)) FROM rowhouse.pack_migrations"),
              std::to_string(bundle.migrations.size()));
  }

  struct Shared {
    net::Executor executor;
    Cluster cluster{executor, testing::superuser("postgres"), Credentials(std::string(32, 'k'))};
  };
  static constexpr const char* kTemplate = "batch_template";
  static inline std::unique_ptr<Shared> shared_;
  const std::string database_ = "batch_copy";
  std::vector<BatchTarget> targets_;
  std::set<std::size_t> told_;
};

TEST_F(SchemaBatch, DoesWhatTheSlowWayDoes) {
  const Bundle bundle = bundle_with(kUpgradeSql);
  const BatchReport report = migrate(bundle);
  EXPECT_EQ(report.count(TargetStatus::done), kSchemas);
  EXPECT_EQ(report.groups, 1U);
  EXPECT_EQ(count(report, MigrationWay::slow), 1U);
  EXPECT_EQ(count(report, MigrationWay::fast), kSchemas - 1);
  for (const TargetOutcome& outcome : report.outcomes) EXPECT_EQ(outcome.migrations_run, 1);
  expect_like_the_slow_way(bundle);

  const BatchReport again = migrate(bundle);
  EXPECT_EQ(again.count(TargetStatus::unchanged), targets_.size());
}

// New tables, types and functions, rows that change, rights that were too many: in several migrations at
// once.
TEST_F(SchemaBatch, DoesWhatTheSlowWayDoesWithEverythingElse) {
  for (const BatchTarget& one : targets_) {
    rows("INSERT INTO " + one.schema +
         ".leads (tenant_id, email) VALUES (gen_random_uuid(), 'ann@example.com')");
    rows("GRANT SELECT ON " + one.schema + ".leads TO PUBLIC");
  }
  std::vector<std::string> more;
  more.emplace_back(kUpgradeSql);
  more.emplace_back(
      "CREATE TYPE size AS ENUM ('s', 'l'); ALTER TYPE lead_status ADD VALUE 'gone';"
      "CREATE TABLE calls (tenant_id uuid NOT NULL, id uuid NOT NULL DEFAULT gen_random_uuid(), number "
      "serial, how size, "
      "lead_id uuid, PRIMARY KEY (tenant_id, id));"
      "ALTER TABLE calls ADD CONSTRAINT calls_lead FOREIGN KEY (tenant_id, lead_id) REFERENCES leads "
      "(tenant_id, id);"
      "CREATE FUNCTION last_call(wanted size) RETURNS size LANGUAGE sql STABLE RETURN (SELECT max(how) FROM "
      "calls WHERE "
      "how = wanted);"
      "CREATE VIEW all_calls WITH (security_invoker = true, security_barrier = true) AS SELECT tenant_id, "
      "id, how FROM "
      "calls");
  more.emplace_back(
      "UPDATE leads SET phone = 'unknown' WHERE status <> 'gone'; ALTER TABLE leads ALTER phone SET NOT NULL;"
      "DROP VIEW open_leads; DROP INDEX leads_by_created");
  const Bundle bundle = bundle_with(std::move(more));
  const BatchReport report = migrate(bundle);
  EXPECT_EQ(report.count(TargetStatus::done), kSchemas);
  EXPECT_EQ(count(report, MigrationWay::fast), kSchemas - 1);
  for (const TargetOutcome& outcome : report.outcomes) EXPECT_EQ(outcome.migrations_run, 3);
  for (const BatchTarget& one : targets_)
    EXPECT_EQ(value("SELECT string_agg(phone, ',') FROM " + one.schema + ".leads"), "unknown");
  expect_like_the_slow_way(bundle);
}

TEST_F(SchemaBatch, NoticesSchemasThatDiffer) {
  rows("CREATE INDEX of_my_own ON " + targets_[2].schema + ".leads (tenant_id, value)");
  rows("GRANT SELECT ON " + targets_[3].schema + ".leads TO PUBLIC");
  rows("GRANT SELECT ON " + targets_[4].schema + ".leads TO PUBLIC");
  rows("ALTER TABLE " + targets_[6].schema + ".leads OWNER TO CURRENT_USER");
  rows("DELETE FROM rowhouse.pack_migrations WHERE schema_name = '" + targets_[8].schema +
       "' AND number = 2");
  const BatchReport report = migrate(bundle_with(kUpgradeSql));
  EXPECT_EQ(report.groups, 4U);
  EXPECT_EQ(report.count(TargetStatus::done), kSchemas - 2);
  EXPECT_EQ(count(report, MigrationWay::fast), kSchemas - 6);
  for (const std::size_t different : {2U, 3U, 4U}) {
    EXPECT_EQ(report.outcomes[different].way, MigrationWay::slow);
    EXPECT_EQ(report.outcomes[different].status, TargetStatus::done);
    expect_whole(targets_[different].schema);
  }
  for (const std::size_t broken : {6U, 8U}) {
    ASSERT_EQ(report.outcomes[broken].status, TargetStatus::failed);
    EXPECT_FALSE(has_phone(targets_[broken].schema));
  }
  EXPECT_EQ(report.outcomes[8].error->code, ErrorCode::migration_failed)
      << words_of(*report.outcomes[8].error);
}

// What happens to rows may depend on anything: only schemas that are alike before share a way.
TEST_F(SchemaBatch, LooksBeforehandWhereRowsAreTouched) {
  rows("CREATE INDEX of_my_own ON " + targets_[2].schema + ".leads (tenant_id, value)");
  rows("GRANT SELECT ON " + targets_[4].schema + ".leads TO PUBLIC");
  const BatchReport report = migrate(
      bundle_with("ALTER TABLE leads ADD COLUMN phone varchar(30); UPDATE leads SET phone = 'unknown'"));
  EXPECT_EQ(report.groups, 3U);
  EXPECT_EQ(report.count(TargetStatus::done), kSchemas);
  EXPECT_EQ(count(report, MigrationWay::fast), kSchemas - 3);
  for (const BatchTarget& one : targets_) expect_whole(one.schema);
}

// What the first cannot show: the rows of one do not bear the migration.
TEST_F(SchemaBatch, LeavesWhatFailedAsItWas) {
  const std::string& unlucky = targets_[5].schema;
  rows("INSERT INTO " + unlucky + ".leads (tenant_id, nickname) VALUES (gen_random_uuid(), 'long name')");
  const Bundle bundle = bundle_with(
      "ALTER TABLE leads ADD COLUMN phone varchar(30); ALTER TABLE leads ADD CHECK (length(nickname) < 5)");
  const BatchReport report = migrate(bundle);
  EXPECT_EQ(report.count(TargetStatus::done), kSchemas - 1);
  ASSERT_EQ(report.outcomes[5].status, TargetStatus::failed);
  EXPECT_EQ(report.outcomes[5].error->code, ErrorCode::migration_failed);
  EXPECT_THAT(words_of(*report.outcomes[5].error), HasSubstr("0003_step"));
  for (const BatchTarget& one : targets_) expect_whole(one.schema);
  EXPECT_FALSE(has_phone(unlucky));

  rows("UPDATE " + unlucky + ".leads SET nickname = 'n'");
  const BatchReport again = migrate(bundle);
  EXPECT_EQ(again.count(TargetStatus::unchanged), kSchemas - 1);
  EXPECT_EQ(again.outcomes[5].status, TargetStatus::done);
  EXPECT_THAT(fingerprints(), SizeIs(1));
}

// A migration of conditions, which makes another schema of the same one: proven, and told.
TEST_F(SchemaBatch, NoticesWhatAMigrationDidElsewhere) {
  rows("INSERT INTO " + targets_[3].schema +
       ".leads (tenant_id, email) VALUES (gen_random_uuid(), 'ann@example.com')");
  const BatchReport report = migrate(
      bundle_with("ALTER TABLE leads ADD COLUMN phone text; DO $$ BEGIN IF EXISTS (SELECT FROM leads) THEN "
                  "CREATE INDEX by_phone ON leads (tenant_id, phone); END IF; END $$"));
  EXPECT_EQ(report.count(TargetStatus::done), kSchemas - 1);
  ASSERT_EQ(report.outcomes[3].status, TargetStatus::failed);
  EXPECT_THAT(words_of(*report.outcomes[3].error), HasSubstr("index leads.by_phone"));
}

// Columns that were dropped leave a gap that no structure shows.
TEST_F(SchemaBatch, AGapInTheNumbersOfColumnsIsNoDifference) {
  rows("ALTER TABLE " + targets_[0].schema + ".leads ADD COLUMN gone int; ALTER TABLE " + targets_[0].schema +
       ".leads DROP COLUMN gone");
  const BatchReport report = migrate(bundle_with(kUpgradeSql));
  EXPECT_EQ(report.count(TargetStatus::done), kSchemas);
  EXPECT_EQ(report.groups, 2U);
  EXPECT_EQ(count(report, MigrationWay::fast), kSchemas - 2);
}

TEST_F(SchemaBatch, TellsOfLocksAndGoesOnWithTheOthers) {
  testing::BlockingSql holder(testing::superuser(database_));
  holder.run("BEGIN; LOCK TABLE " + targets_[4].schema + ".leads IN ACCESS SHARE MODE");
  BatchOptions options;
  options.lock_timeout = 100ms;
  const Bundle bundle = bundle_with(kUpgradeSql);
  const BatchReport report = migrate(bundle, options);
  EXPECT_EQ(report.count(TargetStatus::done), kSchemas - 1);
  EXPECT_EQ(report.outcomes[4].status, TargetStatus::lock_timeout);
  expect_whole(targets_[4].schema);
  holder.run("ROLLBACK");
  EXPECT_EQ(migrate(bundle, options).outcomes[4].status, TargetStatus::done);

  // The first of all is in the way of nobody either.
  rows("DROP INDEX " + targets_[0].schema + ".leads_by_phone");
  EXPECT_THAT(fingerprints(), SizeIs(2));
}

TEST_F(SchemaBatch, AnotherLeadsWhenTheFirstIsLocked) {
  testing::BlockingSql holder(testing::superuser(database_));
  holder.run("BEGIN; LOCK TABLE " + targets_[0].schema + ".leads IN ACCESS SHARE MODE");
  BatchOptions options;
  options.lock_timeout = 100ms;
  const BatchReport report = migrate(bundle_with(kUpgradeSql), options);
  EXPECT_EQ(report.outcomes[0].status, TargetStatus::lock_timeout);
  EXPECT_EQ(report.outcomes[1].way, MigrationWay::slow);
  EXPECT_EQ(count(report, MigrationWay::fast), kSchemas - 2);
}

// A migration that ends its own backend where there is a row: once, as a server that dies once.
TEST_F(SchemaBatch, GoesOnAfterABackendWasKilled) {
  for (const BatchTarget& one : targets_)
    rows("SET ROLE tenant_owner; CREATE SEQUENCE " + one.schema + ".deaths");
  rows("GRANT EXECUTE ON FUNCTION pg_terminate_backend(integer, bigint) TO tenant_owner");
  rows("GRANT pg_signal_backend TO tenant_owner");
  rows("INSERT INTO " + targets_[7].schema +
       ".leads (tenant_id, email) VALUES (gen_random_uuid(), 'ann@example.com')");
  const BatchReport report =
      migrate(bundle_with("ALTER TABLE leads ADD COLUMN phone varchar(30); DO $$ BEGIN IF EXISTS (SELECT "
                          "FROM leads) AND nextval('deaths') = 1 "
                          "THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; END $$"));
  EXPECT_EQ(report.count(TargetStatus::done), kSchemas);
  rows("REVOKE pg_signal_backend FROM tenant_owner");
  EXPECT_EQ(value("SELECT is_called FROM " + targets_[7].schema + ".deaths"), "t");
  EXPECT_EQ(report.outcomes[7].way, MigrationWay::slow);
  for (const BatchTarget& one : targets_) {
    EXPECT_TRUE(has_phone(one.schema));
    expect_whole(one.schema);
  }
}

TEST_F(SchemaBatch, EndsWhereItIsToldTo) {
  BatchOptions options;
  options.sessions = 1;
  std::size_t asked = 0;
  options.should_stop = [&asked] { return ++asked > 6; };
  const Bundle bundle = bundle_with(kUpgradeSql);
  const BatchReport report = migrate(bundle, options);
  EXPECT_GT(report.count(TargetStatus::done), 1U);
  EXPECT_GT(report.count(TargetStatus::not_begun), 1U);
  EXPECT_EQ(report.count(TargetStatus::done) + report.count(TargetStatus::not_begun), kSchemas);
  for (const BatchTarget& one : targets_) expect_whole(one.schema);
  EXPECT_EQ(migrate(bundle).count(TargetStatus::unchanged), report.count(TargetStatus::done));
}

TEST_F(SchemaBatch, ADatabaseThatIsDownIsAnOutageForAll) {
  admin("ALTER DATABASE " + database_ + " ALLOW_CONNECTIONS false");
  const BatchReport report = migrate(bundle_with(kUpgradeSql));
  admin("ALTER DATABASE " + database_ + " ALLOW_CONNECTIONS true");
  EXPECT_EQ(report.count(TargetStatus::outage), kSchemas) << words_of(*report.outcomes[0].error);
}

// No migration: the first shows the way, the others follow; one that is otherwise is brought there, too.
TEST_F(SchemaBatch, OtherRowRulesAlone) {
  const Bundle before = bundle_with(kUpgradeSql);
  ASSERT_EQ(migrate(before).count(TargetStatus::done), kSchemas);
  Bundle ruled = before;
  ruled.announced_row_rules =
      R"([{"relation": "leads", "owners": ["id"]}, {"relation": "notes", "through": "lead_id", "parent": "leads"}])";
  rows("CREATE POLICY rowhouse_role ON " + targets_[5].schema + ".leads AS RESTRICTIVE USING (true)");
  BatchReport report = migrate(ruled);
  EXPECT_EQ(report.count(TargetStatus::done), kSchemas);
  EXPECT_GE(count(report, MigrationWay::fast), kSchemas - 2);
  for (const TargetOutcome& outcome : report.outcomes) EXPECT_EQ(outcome.migrations_run, 0);
  EXPECT_EQ(value("SELECT count(*) FROM pg_policies WHERE policyname = 'rowhouse_role' AND qual <> 'true'"),
            std::to_string(2 * kSchemas));
  EXPECT_EQ(migrate(ruled).count(TargetStatus::unchanged), kSchemas);

  report = migrate(before);
  EXPECT_EQ(report.count(TargetStatus::done), kSchemas);
  EXPECT_EQ(count(report, MigrationWay::fast), kSchemas - 1);
  EXPECT_EQ(value("SELECT count(*) FROM pg_policies WHERE policyname = 'rowhouse_role'"), "0");
  EXPECT_EQ(value("SELECT count(*) FROM rowhouse.row_rules"), "0");
}

// Beside a migration, in its transaction: together or not at all.
TEST_F(SchemaBatch, RowRulesComeWithTheMigration) {
  Bundle ruled = bundle_with("ALTER TABLE leads ADD COLUMN owner uuid");
  ruled.announced_row_rules = R"([{"relation": "leads", "owners": ["owner"], "creator": "owner"}])";
  rows("CREATE VIEW " + targets_[3].schema + ".owner AS SELECT 1 AS one; ALTER TABLE " + targets_[3].schema +
       ".leads ADD COLUMN owner text");
  const BatchReport report = migrate(ruled);
  EXPECT_EQ(report.count(TargetStatus::done), kSchemas - 1);
  EXPECT_EQ(report.outcomes[3].status, TargetStatus::failed);
  EXPECT_EQ(value("SELECT count(*) FROM pg_policies WHERE policyname = 'rowhouse_role'"),
            std::to_string(kSchemas - 1));
  EXPECT_EQ(value("SELECT count(*) FROM rowhouse.row_rules WHERE schema_name = '" + targets_[3].schema + "'"),
            "0");
}

TEST_F(SchemaBatch, KnowsWhatHasRun) {
  rows("UPDATE rowhouse.pack_migrations SET checksum = repeat('0', 64) WHERE schema_name = '" +
       targets_[1].schema + "' AND number = 1");
  rows("DELETE FROM rowhouse.pack_migrations WHERE schema_name = '" + targets_[2].schema +
       "' AND number = 2");
  rows("DELETE FROM rowhouse.pack_migrations WHERE schema_name = '" + targets_[3].schema + "'");
  targets_[4].schema = "t_nowhere_0123456789ab";
  const auto applied =
      run(find_applied(cluster(), database_, targets_, bundle_with(kUpgradeSql), testing::patient()));
  ASSERT_TRUE(applied.ok());
  std::vector<std::optional<std::size_t>> migrations;
  for (const AppliedPack& one : *applied) migrations.push_back(one.migrations);
  const std::vector<std::optional<std::size_t>> expected = {2, std::nullopt, 1, 0, std::nullopt, 2, 2, 2, 2,
                                                            2};
  EXPECT_EQ(migrations, expected);

  const BatchReport report = migrate(bundle_with(kUpgradeSql));
  EXPECT_EQ(report.outcomes[1].status, TargetStatus::failed);
  EXPECT_EQ(report.outcomes[1].error->code, ErrorCode::migration_changed);
}

TEST(BatchScript, NamesTheSchemaWhereverTheNotesDo) {
  const PackMigration migration(3, "0003_it's", "SELECT 't_a_0123456789ab'");
  MigrationNotes notes;
  notes.preparation = "GRANT USAGE ON SCHEMA t_a_0123456789ab TO x";
  MigrationNotes::Migration& note = notes.migrations.emplace_back();
  note.migration = &migration;
  note.after = "GRANT SELECT ON t_a_0123456789ab.leads, t_a_0123456789ab.\"t_b\" TO x";
  const auto script = BatchScript::make("t_a_0123456789ab", "mini", notes, 5ms);
  ASSERT_TRUE(script.has_value());
  const std::string text = script->for_schema("t_other_ba9876543210");
  EXPECT_THAT(text, HasSubstr("SCHEMA t_other_ba9876543210 TO x;"));
  EXPECT_THAT(text, HasSubstr("t_other_ba9876543210.leads, t_other_ba9876543210.\"t_b\" TO x;"));
  EXPECT_THAT(text, HasSubstr("SELECT 't_a_0123456789ab'\n"));  // the author's words stay
  EXPECT_THAT(text, HasSubstr("'0003_it''s'"));
  EXPECT_THAT(text, HasSubstr("lock_timeout = 5;"));

  note.after = "DROP TABLE t_a_0123456789ab_x";
  EXPECT_FALSE(BatchScript::make("t_a_0123456789ab", "mini", notes, 5ms).has_value());
  note.after = "";
  EXPECT_FALSE(BatchScript::make("app", "mini", notes, 5ms).has_value());
}

TEST(BatchScript, KnowsGeneratedNames) {
  for (const char* good : {"t_a_0123456789ab", "t_acme_2_ffffffffffff"})
    EXPECT_TRUE(is_generated_schema_name(good));
  for (const char* bad : {"app", "t_a_0123456789aB", "t_a_0123456789g0", "T_a_0123456789ab",
                          "t_a0123456789ab", "_0123456789ab", "t_\"_0123456789ab"}) {
    EXPECT_FALSE(is_generated_schema_name(bad)) << bad;
  }
}

}  // namespace
}  // namespace rowhouse::tenancy
