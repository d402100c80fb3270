// What the protector leaves behind, tried as each role.
#include <gmock/gmock.h>

#include "tenancy/pack_fixture.h"
#include "tenancy/packs.h"
#include "testing/postgres.h"
#include "testing/signed_session.h"

namespace rowhouse::tenancy {
namespace {

constexpr const char* kA = "aaaaaaaa-0000-7000-8000-000000000000";
constexpr const char* kB = "bbbbbbbb-0000-7000-8000-000000000000";
constexpr const char* kDenied = "42501";

template <class T>
std::string words_of(const Result<T>& result) {
  if (result.ok()) return "";
  return result.error().message + ": " + std::string(result.error().detail(pg::kServerMessage));
}

class Protector : public ::testing::Test {
 protected:
  Protector() : database_(testing::fresh_tenant_database()), owner_(testing::superuser(database_)) {
    owner_.run("SET ROLE tenant_owner; CREATE SCHEMA app; SET search_path = app");
    owner_.run(fixture::kTables);
    owner_.run(fixture::kViews);
    // Rows of two tenants, before anything is protected.
    for (const std::string tenant : {kA, kB}) {
      owner_.run("INSERT INTO leads (tenant_id, id, email) VALUES ('" + tenant + "', '" + tenant +
                 "', 'same@example.com')");
      owner_.run("INSERT INTO notes (tenant_id, lead_id, body) VALUES ('" + tenant + "', '" + tenant +
                 "', 'note')");
      owner_.run("INSERT INTO events (tenant_id, what) VALUES ('" + tenant + "', 'event')");
    }
  }

  void protect(const std::string& role = "tenant_service") {
    auto session = net::run_until_done(
        executor_,
        pg::connect(executor_, testing::as_role("tenant_migrator", database_), testing::patient()));
    ASSERT_TRUE(session.ok()) << words_of(session);
    const std::string begin = "BEGIN; SET LOCAL ROLE tenant_owner";
    const std::string commit = "COMMIT";
    ASSERT_TRUE(net::run_until_done(executor_, session->script(begin, testing::patient())).ok());
    const auto outcome =
        net::run_until_done(executor_, protect_schema(*session, "app", role, testing::patient()));
    ASSERT_TRUE(outcome.ok()) << words_of(outcome);
    ASSERT_TRUE(net::run_until_done(executor_, session->script(commit, testing::patient())).ok());
  }

  // Every privilege, policy and flag, to see whether anything changed.
  std::string picture() {
    return owner_.value(
        "SELECT md5(string_agg(line, E'\\n' ORDER BY line)) FROM ("
        "SELECT format('%s %s %s %s %s', c.xmin, relname, relrowsecurity, relforcerowsecurity, relacl) AS "
        "line FROM pg_class c "
        "WHERE relnamespace = 'app'::regnamespace UNION ALL SELECT format('%s %s %s', xmin, proname, proacl) "
        "FROM pg_proc "
        "WHERE pronamespace = 'app'::regnamespace UNION ALL SELECT format('%s %s', xmin, polname) FROM "
        "pg_policy "
        "UNION ALL SELECT format('%s %s %s %s', attrelid, attnum, xmin, attacl) FROM pg_attribute a "
        "WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'app'::regnamespace) UNION ALL "
        "SELECT format('%s %s', nspname, nspacl) FROM pg_namespace WHERE nspname = 'app') all_lines");
  }

  testing::BlockingSql& owner() { return owner_; }
  const std::string& database() const { return database_; }

 private:
  std::string database_;
  net::Executor executor_;
  testing::BlockingSql owner_;
};

// The runtime role, working for one tenant, or for nobody.
class Runtime {
 public:
  Runtime(const std::string& database, std::string_view tenant)
      : session_(testing::as_role("tenant_service", database)), tenant_(tenant) {}
  std::string value(const std::string& sql) {
    return tenant_.empty() ? session_.sql().value(sql) : session_.value(tenant_, sql);
  }
  std::string failure(const std::string& sql) {
    return tenant_.empty() ? session_.sql().failure(sql) : session_.failure(tenant_, sql);
  }
  void run(const std::string& sql) { session_.run(tenant_, sql); }

 private:
  testing::SignedSession session_;
  std::string tenant_;
};

constexpr const char* kOwnersRule =
    R"(INSERT INTO rowhouse.row_rules VALUES ('app', '[{"relation": "leads", "owners": ["assigned_to"], "creator": "assigned_to"}]'))";
constexpr const char* kAddOwners = "ALTER TABLE leads ADD COLUMN assigned_to uuid";

TEST_F(Protector, MakesAndCorrectsRowRules) {
  const std::string condition =
      "SELECT qual = with_check AND permissive = 'RESTRICTIVE' AND cmd = 'ALL' AND "
      "roles = '{public}' AND qual LIKE '%ARRAY[assigned_to]%' FROM pg_policies WHERE "
      "policyname = 'rowhouse_role' AND tablename = 'leads'";
  const std::string default_of =
      "SELECT column_default FROM information_schema.columns WHERE table_schema = 'app' AND table_name = "
      "'leads' "
      "AND column_name = 'assigned_to'";
  owner().run(kAddOwners);
  owner().run(kOwnersRule);
  protect();
  EXPECT_EQ(owner().value(condition), "t");
  EXPECT_THAT(owner().value(default_of), ::testing::HasSubstr("principal_id"));
  const std::string before = picture();
  protect();
  EXPECT_EQ(picture(), before) << "what is right is left alone";
  for (const std::string change :
       {"ALTER POLICY rowhouse_role ON leads USING (true)",
        "ALTER POLICY rowhouse_role ON leads WITH CHECK (true)",
        "ALTER POLICY rowhouse_role ON leads TO tenant_migrator", "DROP POLICY rowhouse_role ON leads",
        "DROP POLICY rowhouse_role ON leads; CREATE POLICY rowhouse_role ON leads USING (true)",
        "ALTER TABLE leads ALTER COLUMN assigned_to DROP DEFAULT",
        "ALTER TABLE leads ALTER COLUMN assigned_to SET DEFAULT gen_random_uuid()"}) {
    owner().run(change);
    protect();
    EXPECT_EQ(owner().value(condition), "t") << change;
    EXPECT_THAT(owner().value(default_of), ::testing::HasSubstr("principal_id")) << change;
  }
  // An operator that only looks like the right one.
  owner().run("CREATE FUNCTION always(uuid, uuid[]) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN true");
  owner().run("CREATE FUNCTION never(integer, integer) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN true");
  owner().run("CREATE OPERATOR <> (LEFTARG = integer, RIGHTARG = integer, FUNCTION = never)");
  owner().run(
      "ALTER POLICY rowhouse_role ON leads USING (COALESCE((SELECT rowhouse.principal_role()), 0) "
      "OPERATOR(app.<>) 1 OR (SELECT rowhouse.principal_id()) = ANY (ARRAY[assigned_to]))");
  EXPECT_EQ(owner().value("SELECT count(*) FROM pg_policies WHERE qual LIKE '%app.<>%'"), "1");
  protect();
  EXPECT_EQ(owner().value("SELECT count(*) FROM pg_policies WHERE qual LIKE '%app.<>%'"), "0");

  owner().run("DELETE FROM rowhouse.row_rules");
  protect();
  EXPECT_EQ(owner().value("SELECT count(*) FROM pg_policies WHERE policyname = 'rowhouse_role'"), "0");
  EXPECT_EQ(owner().value("SELECT (" + default_of + ") IS NULL"), "t");
}

TEST_F(Protector, ARuleThatCannotBeMadeLeavesWhatIsThere) {
  owner().run(kAddOwners);
  owner().run(kOwnersRule);
  protect();
  owner().run(
      R"(UPDATE rowhouse.row_rules SET rules = '[{"relation": "leads", "owners": ["not_yet"]}, {"relation": "nowhere", "owners": ["x"]}]')");
  protect();
  EXPECT_EQ(owner().value("SELECT qual LIKE '%ARRAY[assigned_to]%' FROM pg_policies WHERE policyname = "
                          "'rowhouse_role'"),
            "t");
  owner().run("ALTER TABLE leads ADD COLUMN not_yet uuid");
  protect();
  EXPECT_EQ(owner().value("SELECT qual LIKE '%ARRAY[not_yet]%' FROM pg_policies WHERE policyname = "
                          "'rowhouse_role'"),
            "t");
}

TEST_F(Protector, RowRulesOfPartitionedTablesAreTheirParents) {
  owner().run("ALTER TABLE events ADD COLUMN made_by uuid");
  owner().run(
      R"(INSERT INTO rowhouse.row_rules VALUES ('app', '[{"relation": "events", "owners": ["made_by"], "creator": "made_by"}]'))");
  protect();
  protect();
  EXPECT_EQ(
      owner().value("SELECT string_agg(tablename, ' ') FROM pg_policies WHERE policyname = 'rowhouse_role'"),
      "events");
  testing::SignedSession session(testing::as_role("tenant_service", database()));
  session.act_as(kB, pg::ContextRole::user_own_rows);
  EXPECT_EQ(session.value(kA, "SELECT count(*) FROM app.events"), "0");
  EXPECT_EQ(session.value(kA, "INSERT INTO app.events (what) VALUES ('x') RETURNING made_by"), kB);
  EXPECT_EQ(session.value(kA, "SELECT count(*) FROM app.events"), "1");
}

TEST_F(Protector, ATenantSeesItsOwnRowsAlone) {
  protect();
  Runtime a(database(), kA);
  EXPECT_EQ(a.value("SELECT string_agg(id::text, ',') FROM app.leads"), kA);
  EXPECT_EQ(a.value("SELECT count(*) FROM app.notes"), "1");
  EXPECT_EQ(a.value("SELECT count(*) FROM app.events"), "1");
  EXPECT_EQ(a.value("SELECT string_agg(id::text, ',') FROM app.open_leads"), kA) << "through a view";
  EXPECT_EQ(a.value("SELECT leads FROM app.lead_counts()"), "1") << "through a function";
  EXPECT_EQ(a.value("SELECT app.lead_total(0)"), "1");
  EXPECT_EQ(a.value("WITH gone AS (DELETE FROM app.leads WHERE id = '" + std::string(kB) +
                    "' RETURNING 1) SELECT count(*) FROM gone"),
            "0");
  EXPECT_EQ(a.value("WITH hit AS (UPDATE app.leads SET value = 9 RETURNING 1) SELECT count(*) FROM hit"),
            "1");
  EXPECT_EQ(owner().value("RESET ROLE; SELECT count(*) FROM app.leads WHERE value = 9"), "1");
}

TEST_F(Protector, WithoutATenantThereIsNothing) {
  protect();
  Runtime nobody(database(), "");
  for (const char* table : {"leads", "notes", "events", "open_leads"}) {
    EXPECT_EQ(nobody.value("SELECT count(*) FROM app." + std::string(table)), "0") << table;
  }
  EXPECT_EQ(nobody.failure("INSERT INTO app.leads (email) VALUES ('x@example.com')"), kDenied);
}

TEST_F(Protector, RowsAreBornWithTheTenantOfTheTransaction) {
  protect();
  Runtime b(database(), kB);
  EXPECT_EQ(b.value("INSERT INTO app.leads (email) VALUES ('new@example.com') RETURNING tenant_id"), kB);
  EXPECT_EQ(b.value("INSERT INTO app.notes (body) VALUES ('x') RETURNING tenant_id"), kB)
      << "with identity and serial";
  EXPECT_EQ(b.value("INSERT INTO app.events (what) VALUES ('x') RETURNING tenant_id"), kB)
      << "into a partition";
  // The same e-mail as another tenant's lead is no conflict, and tells nothing.
  EXPECT_EQ(
      b.value("INSERT INTO app.leads (email) VALUES ('same@example.com') ON CONFLICT (tenant_id, email) "
              "DO UPDATE SET value = 5 RETURNING id"),
      kB);
}

TEST_F(Protector, TenantIdAndGeneratedColumnsCannotBeWritten) {
  protect();
  Runtime a(database(), kA);
  EXPECT_EQ(a.failure("INSERT INTO app.leads (tenant_id, email) VALUES ('" + std::string(kA) +
                      "', 'x@example.com')"),
            kDenied);
  EXPECT_EQ(a.failure("UPDATE app.leads SET tenant_id = '" + std::string(kB) + "'"), kDenied);
  EXPECT_EQ(a.failure("UPDATE app.notes SET id = DEFAULT"), kDenied);
  EXPECT_EQ(a.failure("UPDATE app.leads SET doubled = DEFAULT"), kDenied);
}

TEST_F(Protector, TheRuntimeHasNoOtherWay) {
  protect();
  Runtime a(database(), kA);
  EXPECT_EQ(a.failure("SELECT * FROM app.events_0"), kDenied) << "partition";
  EXPECT_EQ(a.failure("INSERT INTO app.events_1 (what) VALUES ('x')"), kDenied);
  EXPECT_EQ(a.failure("TRUNCATE app.leads"), kDenied);
  EXPECT_EQ(a.failure("ALTER TABLE app.leads DISABLE ROW LEVEL SECURITY"), kDenied);
  EXPECT_EQ(a.failure("SET ROLE tenant_owner"), kDenied);
  EXPECT_EQ(a.failure("CREATE TABLE app.mine (a int)"), kDenied);
  EXPECT_EQ(a.failure("SELECT app.touch()"), kDenied) << "trigger function";
  EXPECT_EQ(a.failure("SELECT * FROM rowhouse.pack_migrations"), kDenied);
  EXPECT_EQ(a.failure("DELETE FROM app.open_leads"), kDenied) << "views are only read";
  EXPECT_EQ(a.failure("SELECT setval('app.notes_number_seq', 1)"), kDenied);
  EXPECT_EQ(a.failure("SET row_security = off; SELECT count(*) FROM app.leads"), kDenied);
}

TEST_F(Protector, PartitionsAreClosedToTheirOwnerToo) {
  protect();
  EXPECT_EQ(owner().value("SET ROLE tenant_owner; SELECT count(*) FROM app.events_0"), "0");
  EXPECT_EQ(owner().value("SELECT count(*) FROM app.events"), "0");
}

TEST_F(Protector, TheBackupRoleReadsEverythingAndWritesNothing) {
  protect();
  testing::BlockingSql backup(testing::as_role("backup_service", database()));
  EXPECT_EQ(backup.value("SELECT count(*) FROM app.leads"), "2");
  EXPECT_EQ(backup.value("SELECT (SELECT count(*) FROM app.events_0) + (SELECT count(*) FROM app.events_1)"),
            "2");
  EXPECT_EQ(backup.value("SELECT count(*) FROM app.notes_number_seq"), "1");
  EXPECT_EQ(backup.failure("DELETE FROM app.leads"), kDenied);
}

TEST_F(Protector, ASecondRunChangesNothing) {
  protect();
  const std::string before = picture();
  protect();
  EXPECT_EQ(picture(), before);
}

TEST_F(Protector, WhatWasTamperedWithIsPutRight) {
  protect();
  owner().run(
      "RESET ROLE; ALTER TABLE leads NO FORCE ROW LEVEL SECURITY; ALTER TABLE events_0 DISABLE ROW LEVEL "
      "SECURITY;"
      "ALTER POLICY rowhouse_tenant ON leads USING (true) WITH CHECK (true); DROP POLICY rowhouse_wall ON "
      "leads;"
      "ALTER POLICY rowhouse_wall ON notes TO tenant_service; ALTER TABLE leads ALTER COLUMN tenant_id DROP "
      "DEFAULT;"
      "GRANT ALL ON ALL TABLES IN SCHEMA app TO PUBLIC; GRANT SELECT ON leads TO tenant_service WITH GRANT "
      "OPTION;"
      "GRANT UPDATE (tenant_id) ON leads TO tenant_service; GRANT ALL ON SCHEMA app TO platform_service;"
      "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA app TO PUBLIC; REVOKE INSERT (email) ON leads FROM "
      "tenant_service;"
      "GRANT SELECT ON leads TO platform_service");
  protect();
  Runtime a(database(), kA);
  EXPECT_EQ(a.value("SELECT string_agg(id::text, ',') FROM app.leads"), kA);
  EXPECT_EQ(a.value("INSERT INTO app.leads (email) VALUES ('y@example.com') RETURNING tenant_id"), kA);
  EXPECT_EQ(a.failure("UPDATE app.leads SET tenant_id = '" + std::string(kB) + "'"), kDenied);
  EXPECT_EQ(a.failure("SELECT app.touch()"), kDenied);
  owner().run("RESET ROLE");
  EXPECT_EQ(owner().value("SELECT count(*) FROM pg_policy WHERE polroles <> '{0}'"), "0");
  EXPECT_EQ(
      owner().value(
          "SELECT count(*) FROM pg_class WHERE relnamespace = 'app'::regnamespace AND relkind IN ('r', 'p') "
          "AND NOT (relrowsecurity AND relforcerowsecurity)"),
      "0");
  EXPECT_EQ(
      owner().value("SELECT string_agg(DISTINCT grantee::regrole::text, ',' ORDER BY grantee::regrole::text) "
                    "FROM pg_class c, aclexplode(relacl) WHERE relnamespace = 'app'::regnamespace"),
      "backup_service,tenant_owner,tenant_service");
  EXPECT_EQ(
      owner().value(
          "SELECT count(*) FROM pg_class c, aclexplode(relacl) WHERE relnamespace = 'app'::regnamespace "
          "AND is_grantable AND grantee <> 'tenant_owner'::regrole"),
      "0");
}

TEST_F(Protector, TheRightsGoOverToAnotherRuntimeRole) {
  protect();
  protect("");
  EXPECT_EQ(owner().value("SELECT has_schema_privilege('tenant_service', 'app', 'USAGE') OR "
                          "has_table_privilege('tenant_service', 'app.leads', 'SELECT') OR "
                          "has_any_column_privilege('tenant_service', 'app.leads', 'INSERT') OR "
                          "has_function_privilege('tenant_service', 'app.lead_total(numeric)', 'EXECUTE')"),
            "f");
  protect("platform_service");
  EXPECT_EQ(owner().value("SELECT has_table_privilege('platform_service', 'app.leads', 'DELETE') AND "
                          "has_any_column_privilege('platform_service', 'app.leads', 'INSERT') AND "
                          "has_sequence_privilege('platform_service', 'app.notes_number_seq', 'USAGE')"),
            "t");
}

TEST_F(Protector, TablesWithoutATenantAreClosedRatherThanOpen) {
  owner().run(
      "CREATE TABLE bare (id uuid PRIMARY KEY); INSERT INTO bare VALUES (gen_random_uuid());"
      "CREATE VIEW leaky AS SELECT * FROM leads;"
      "CREATE FUNCTION sly() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM "
      "app.leads'");
  protect();
  Runtime a(database(), kA);
  EXPECT_EQ(a.failure("SELECT * FROM app.bare"), kDenied);
  EXPECT_EQ(a.failure("SELECT * FROM app.leaky"), kDenied);
  EXPECT_EQ(a.failure("SELECT app.sly()"), kDenied);
  EXPECT_EQ(owner().value("SET ROLE tenant_owner; SELECT count(*) FROM app.bare"), "0");
}

TEST_F(Protector, ATableThatBecomesAPartitionLosesItsPolicies) {
  owner().run(
      "CREATE TABLE dated (tenant_id uuid NOT NULL, id int, PRIMARY KEY (tenant_id, id)) PARTITION BY RANGE "
      "(tenant_id);"
      "CREATE TABLE later (tenant_id uuid NOT NULL, id int, PRIMARY KEY (tenant_id, id))");
  protect();
  EXPECT_EQ(owner().value("SELECT count(*) FROM pg_policy WHERE polrelid = 'app.later'::regclass"), "2");
  owner().run("ALTER TABLE dated ATTACH PARTITION later FOR VALUES FROM (MINVALUE) TO (MAXVALUE)");
  protect();
  EXPECT_EQ(owner().value("SELECT count(*) FROM pg_policy WHERE polrelid = 'app.later'::regclass"), "0");
  Runtime a(database(), kA);
  EXPECT_EQ(a.failure("SELECT * FROM app.later"), kDenied);
  EXPECT_EQ(a.value("INSERT INTO app.dated (id) VALUES (1) RETURNING tenant_id"), kA);
  EXPECT_EQ(a.value("SELECT count(*) FROM app.dated"), "1");
}

TEST_F(Protector, OddNamesAreQuoted) {
  owner().run(
      "CREATE TABLE \"O'Brien \"\"x\"\" $$\" (tenant_id uuid NOT NULL, id int, \"a) b\" int, PRIMARY KEY "
      "(tenant_id, id))");
  protect();
  Runtime a(database(), kA);
  EXPECT_EQ(
      a.value("INSERT INTO app.\"O'Brien \"\"x\"\" $$\" (id, \"a) b\") VALUES (1, 2) RETURNING tenant_id"),
      kA);
}

TEST_F(Protector, ForeignKeysStillWork) {
  protect();
  Runtime a(database(), kA);
  EXPECT_EQ(a.failure("INSERT INTO app.notes (lead_id) VALUES ('" + std::string(kB) + "')"), "23503")
      << "another tenant's lead";
  a.run("DELETE FROM app.leads");
  EXPECT_EQ(a.value("SELECT count(*) FROM app.notes WHERE lead_id IS NULL"), "1");
}

}  // namespace
}  // namespace rowhouse::tenancy
