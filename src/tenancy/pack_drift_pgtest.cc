// Drift reports: what one finds, and that it trusts what an earlier one saw only where nothing has happened
// since.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tenancy/installation_pgtest.h"

namespace rowhouse::tenancy {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::patient;

constexpr std::size_t kTemplate = 1;  // a database with one schema: always read

class DriftTest : public fixture::InstallationTest {
 protected:
  void SetUp() override {
    InstallationTest::SetUp();
    for (const char* name : {"Drift one", "Drift two", "Drift three"})
      tenants_.push_back(create(request(name, Tier::schema)).tenant);
    report(DriftReading::everything);
  }
  void TearDown() override {
    for (const auto& tenant : tenants_) remove(*tenant);
  }

  static DriftReport report(DriftReading reading = DriftReading::what_has_changed) {
    auto drift = run(node().upgrades.drift("mini", reading, patient()));
    if (!drift.ok()) {
      ADD_FAILURE() << drift.error().message << drift.error().detail(pg::kServerMessage);
      return DriftReport();
    }
    return std::move(drift).value();
  }
  // "schema object" of each finding.
  static std::vector<std::string> found(const DriftReport& drift) {
    std::vector<std::string> lines;
    for (const LintFinding& finding : drift.findings) lines.push_back(finding.schema + " " + finding.object);
    return lines;
  }
  const std::string& schema() const { return tenants_[0]->placement.schema; }
  static std::string pool() { return pool_database_name("mini"); }
  // With "@" in place of the first tenant's schema.
  void change(std::string sql) const {
    for (auto at = sql.find('@'); at != std::string::npos; at = sql.find('@')) sql.replace(at, 1, schema());
    testing::BlockingSql(testing::superuser(pool())).run(sql);
  }

  std::vector<std::shared_ptr<const Tenant>> tenants_;
};

TEST_F(DriftTest, NothingIsReadTwice) {
  const auto first = report();
  EXPECT_THAT(first.findings, IsEmpty());
  EXPECT_EQ(first.schemas, 5U);
  EXPECT_EQ(first.read_anew, kTemplate);
  EXPECT_EQ(report(DriftReading::everything).read_anew, 5U);
  EXPECT_EQ(report().read_anew, kTemplate);
}

TEST_F(DriftTest, WhatSomebodyChangesByHandIsFound) {
  struct Change {
    std::string sql, object, undo;
  };
  const std::vector<Change> changes = {
      {"ALTER TABLE @.leads ADD COLUMN phone text", "column leads.phone",
       "ALTER TABLE @.leads DROP COLUMN phone"},
      {"DROP INDEX @.leads_by_created", "index leads.leads_by_created",
       "CREATE INDEX leads_by_created ON @.leads (tenant_id, created_at, id)"},
      {"ALTER POLICY rowhouse_wall ON @.leads USING (true)", "policy leads.rowhouse_wall",
       "ALTER POLICY rowhouse_wall ON @.leads USING (tenant_id = (SELECT rowhouse.tenant_id()))"},
      {"CREATE OR REPLACE FUNCTION @.touch() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS "
       "$$BEGIN RETURN NEW; END $$",
       "function touch()",
       "CREATE OR REPLACE FUNCTION @.touch() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$\n"
       "BEGIN\n  NEW.created_at := OLD.created_at;\n  RETURN NEW;\nEND $$"},
      {"ALTER TABLE @.leads DISABLE ROW LEVEL SECURITY", "relation leads",
       "ALTER TABLE @.leads ENABLE ROW LEVEL SECURITY"},
      {"ALTER TABLE @.leads DISABLE TRIGGER touch", "trigger leads.touch",
       "ALTER TABLE @.leads ENABLE TRIGGER touch"},
      {"ALTER TABLE @.leads ALTER COLUMN status DROP NOT NULL", "column leads.status",
       "ALTER TABLE @.leads ALTER COLUMN status SET NOT NULL"},
      {"ALTER TABLE @.leads ALTER COLUMN value SET DEFAULT 1", "column leads.value",
       "ALTER TABLE @.leads ALTER COLUMN value SET DEFAULT 0"},
      {"ALTER SEQUENCE @.notes_number_seq INCREMENT 2", "sequence notes_number_seq",
       "ALTER SEQUENCE @.notes_number_seq INCREMENT 1"},
      {"ALTER TYPE @.lead_status ADD VALUE 'gone'", "type lead_status", ""},
  };
  for (const Change& one : changes) {
    change(one.sql);
    const auto drift = report();
    EXPECT_THAT(found(drift), Contains(schema() + " " + one.object)) << one.sql;
    EXPECT_EQ(drift.read_anew, kTemplate + 1) << one.sql;
    const auto again = report();
    EXPECT_EQ(found(again), found(drift)) << one.sql;
    EXPECT_EQ(again.read_anew, kTemplate) << one.sql;
    if (one.undo.empty()) continue;
    change(one.undo);
    EXPECT_THAT(found(report()), IsEmpty()) << one.undo;
  }
}

// One row of a catalog goes and one comes: the number is the same.
TEST_F(DriftTest, RowsOfTheCatalogAreNotJustCounted) {
  change(
      "UPDATE pg_catalog.pg_attribute SET attnotnull = false WHERE attrelid = '@.leads'::regclass AND "
      "attname = 'status'");
  EXPECT_THAT(found(report()), ElementsAre(schema() + " column leads.status"));
}

TEST_F(DriftTest, AChangeThatIsUnderWayIsSeenWhenItIsDone) {
  testing::BlockingSql somebody(testing::superuser(pool()));
  somebody.run("BEGIN");
  somebody.run("CREATE INDEX mine ON " + pg::quote_qualified(schema(), "notes") + " (tenant_id, body)");
  change("ALTER TABLE @.leads ADD COLUMN phone text");  // so that all is remembered anew meanwhile
  const std::string column = schema() + " column leads.phone";
  EXPECT_THAT(found(report()), ElementsAre(column));
  EXPECT_THAT(found(report()), ElementsAre(column));
  somebody.run("COMMIT");
  EXPECT_THAT(found(report()), ElementsAre(column, schema() + " index notes.mine"));
}

TEST_F(DriftTest, SchemasThatComeAndGoAreNoReasonToReadTheOthers) {
  const auto fourth = create(request("Drift four", Tier::schema)).tenant;
  EXPECT_EQ(report().read_anew, kTemplate + 1);
  EXPECT_EQ(report().read_anew, kTemplate);
  remove(*fourth);
  const auto drift = report();
  EXPECT_EQ(drift.schemas, 5U);
  EXPECT_EQ(drift.read_anew, kTemplate);
  EXPECT_EQ(platform_sql().value("SELECT count(*) FROM platform.drift_schemas WHERE database_name = '" +
                                 pool() + "'"),
            "4");
}

TEST_F(DriftTest, WhatIsAroundTheSchemasCounts) {
  change("CREATE FUNCTION public.drift_test() RETURNS integer LANGUAGE sql RETURN 1");
  EXPECT_EQ(report().read_anew, 5U);
  EXPECT_EQ(report().read_anew, kTemplate);
  change("DROP FUNCTION public.drift_test()");
  EXPECT_EQ(report().read_anew, 5U);
}

TEST_F(DriftTest, WhatAnotherServerOrVersionRemembersIsNotTrusted) {
  platform_sql().run("UPDATE platform.drift_databases SET recipe = 'another'");
  platform_sql().run("UPDATE platform.drift_schemas SET fingerprint = 'another'");
  EXPECT_THAT(found(report()), IsEmpty());
  platform_sql().run("UPDATE platform.drift_databases SET horizon = 1000000000000");
  platform_sql().run("UPDATE platform.drift_schemas SET fingerprint = 'another'");
  EXPECT_THAT(found(report()), IsEmpty());
  platform_sql().run("UPDATE platform.drift_schemas SET fingerprint = 'another' WHERE schema_name = '" +
                     schema() + "'");
  EXPECT_THAT(found(report()), ElementsAre(schema() + " " + schema())) << "is it remembered at all?";
  EXPECT_THAT(found(report(DriftReading::everything)), IsEmpty());
  EXPECT_THAT(found(report()), IsEmpty());
}

TEST_F(DriftTest, DatabasesThatCannotBeReachedAreNamed) {
  const auto own = create(request("Drift own", Tier::database)).tenant;
  const std::string database = own->placement.database;
  testing::BlockingSql server(testing::superuser("postgres"));
  server.run("ALTER DATABASE " + pg::quote_name(database) + " ALLOW_CONNECTIONS false");
  change("ALTER TABLE @.leads ADD COLUMN phone text");
  const auto drift = report();
  server.run("ALTER DATABASE " + pg::quote_name(database) + " ALLOW_CONNECTIONS true");
  EXPECT_THAT(drift.unreachable, ElementsAre(database));
  EXPECT_THAT(found(drift), ElementsAre(schema() + " column leads.phone"));
  EXPECT_THAT(drift.findings[0].message, HasSubstr("is here and not elsewhere"));
  remove(*own);
  const auto unknown = run(node().upgrades.drift("nothing", DriftReading::what_has_changed, patient()));
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace rowhouse::tenancy
