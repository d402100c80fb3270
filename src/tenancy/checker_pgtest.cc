// Breaks each rule on purpose: a good pack, one edit, the expected finding.
#include "tenancy/checker.h"

#include <gmock/gmock.h>

#include <set>

#include "tenancy/catalog.h"
#include "tenancy/pack_fixture.h"
#include "testing/postgres.h"

namespace rowhouse::tenancy {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;

struct Break {
  const char* rule;
  const char* object;
  const char* edit;         // as tenant_owner, before protection
  const char* tamper = "";  // as superuser, after it
};

constexpr Break kBreaks[] = {
    {"row-rule-impossible", "leads",
     R"(INSERT INTO rowhouse.row_rules VALUES ('app', '[{"relation": "leads", "owners": ["id", "email"]}]'))"},
    {"row-rule-impossible", "open_leads",
     R"(INSERT INTO rowhouse.row_rules VALUES ('app', '[{"relation": "open_leads", "owners": ["id"]}]'))"},
    {"row-rule-impossible", "notes",
     R"(INSERT INTO rowhouse.row_rules VALUES ('app', '[{"relation": "notes", "through": "lead_id", "parent": "leads_"}]'))"},
    {"tenant-id-missing", "things", "CREATE TABLE things (id uuid PRIMARY KEY)"},
    {"tenant-id-wrong-type", "things",
     "CREATE TABLE things (tenant_id text NOT NULL, id uuid, PRIMARY KEY (tenant_id, id))"},
    {"tenant-id-wrong-type", "things",
     "CREATE TABLE things (id uuid, tenant_id uuid GENERATED ALWAYS AS (id) STORED NOT NULL, PRIMARY KEY "
     "(tenant_id, id))"},
    {"tenant-id-nullable", "things", "CREATE TABLE things (tenant_id uuid, id uuid PRIMARY KEY)"},
    {"tenant-id-default", "things",
     "CREATE TABLE things (tenant_id uuid NOT NULL DEFAULT gen_random_uuid(), id uuid, PRIMARY KEY "
     "(tenant_id, id))"},
    {"primary-key-missing", "things", "CREATE TABLE things (tenant_id uuid NOT NULL, id uuid NOT NULL)"},
    {"primary-key-not-tenant-led", "things",
     "CREATE TABLE things (tenant_id uuid NOT NULL, id uuid PRIMARY KEY)"},
    {"primary-key-not-tenant-led", "things",
     "CREATE TABLE things (tenant_id uuid NOT NULL, id uuid, PRIMARY KEY (id, tenant_id))"},
    {"unique-not-tenant-led", "leads.leads_nickname_key", "ALTER TABLE leads ADD UNIQUE (nickname)"},
    {"unique-not-tenant-led", "leads.by_value", "CREATE UNIQUE INDEX by_value ON leads (value, tenant_id)"},
    {"unique-not-tenant-led", "leads.by_lower", "CREATE UNIQUE INDEX by_lower ON leads (lower(email))"},
    {"unique-not-tenant-led", "leads.part", "CREATE UNIQUE INDEX part ON leads (email) WHERE status = 'new'"},
    {"unique-not-tenant-led", "events_0.direct", "CREATE UNIQUE INDEX direct ON events_0 (id)"},
    {"exclusion-not-tenant-led", "notes.no_overlap",
     "ALTER TABLE notes ADD CONSTRAINT no_overlap EXCLUDE USING btree (number WITH =)"},
    {"foreign-key-not-tenant-led", "notes.bare",
     "ALTER TABLE leads ADD CONSTRAINT by_id UNIQUE (id); ALTER TABLE notes ADD CONSTRAINT bare FOREIGN KEY "
     "(lead_id) "
     "REFERENCES leads (id)"},
    {"foreign-key-not-tenant-led", "notes.crossed",
     "ALTER TABLE leads ADD CONSTRAINT turned UNIQUE (id, tenant_id); ALTER TABLE notes ADD CONSTRAINT "
     "crossed "
     "FOREIGN KEY (tenant_id, lead_id) REFERENCES leads (id, tenant_id)"},
    {"foreign-key-outside-pack", "notes.away",
     "ALTER TABLE notes ADD CONSTRAINT away FOREIGN KEY (tenant_id, body) REFERENCES "
     "rowhouse.idempotency_keys"},
    {"foreign-key-clears-tenant-id", "notes.clearing",
     "ALTER TABLE notes ADD CONSTRAINT clearing FOREIGN KEY (tenant_id, lead_id) REFERENCES leads ON DELETE "
     "SET NULL"},
    {"foreign-key-clears-tenant-id", "notes.clearing",
     "ALTER TABLE notes ADD CONSTRAINT clearing FOREIGN KEY (tenant_id, lead_id) REFERENCES leads ON UPDATE "
     "SET DEFAULT"},
    {"constraint-not-valid", "leads.late",
     "ALTER TABLE leads ADD CONSTRAINT late CHECK (value < 1000) NOT VALID"},
    {"index-invalid", "leads.leads_by_created", "",
     "UPDATE pg_catalog.pg_index SET indisvalid = false WHERE indexrelid = "
     "'app.leads_by_created'::pg_catalog.regclass"},
    {"row-security-off", "leads", "", "ALTER TABLE leads NO FORCE ROW LEVEL SECURITY"},
    {"row-security-off", "events_1", "", "ALTER TABLE events_1 DISABLE ROW LEVEL SECURITY"},
    {"policy-missing", "leads", "", "DROP POLICY rowhouse_wall ON leads"},
    {"policy-changed", "leads.rowhouse_tenant", "", "ALTER POLICY rowhouse_tenant ON leads USING (true)"},
    {"policy-changed", "leads.rowhouse_tenant", "",
     "ALTER POLICY rowhouse_tenant ON leads WITH CHECK (true)"},
    {"policy-changed", "leads.rowhouse_wall", "", "ALTER POLICY rowhouse_wall ON leads TO tenant_service"},
    {"policy-changed", "leads.rowhouse_wall", "",
     "CREATE FUNCTION tenant_id() RETURNS uuid LANGUAGE sql RETURN gen_random_uuid(); DROP POLICY "
     "rowhouse_wall ON leads;"
     "CREATE POLICY rowhouse_wall ON leads AS RESTRICTIVE USING (tenant_id = (SELECT tenant_id())) "
     "WITH CHECK (tenant_id = (SELECT tenant_id()))"},
    {"policy-permissive", "leads.mine", "CREATE POLICY mine ON leads USING (true)"},
    {"policy-not-for-public", "leads.mine",
     "CREATE POLICY mine ON leads AS RESTRICTIVE TO tenant_owner USING (true)"},
    {"policy-on-partition", "events_0.mine", "CREATE POLICY mine ON events_0 AS RESTRICTIVE USING (true)"},
    {"view-not-security-invoker", "all_leads", "CREATE VIEW all_leads AS SELECT * FROM leads"},
    {"view-not-security-invoker", "open_leads",
     "CREATE OR REPLACE VIEW open_leads AS SELECT tenant_id, id, email, created_at FROM leads"},
    {"view-not-security-barrier", "all_leads",
     "CREATE VIEW all_leads WITH (security_invoker) AS SELECT * FROM leads"},
    {"partition-elsewhere", "events.events_2", "",
     "ALTER TABLE events DETACH PARTITION events_1;"
     "CREATE TABLE rowhouse.events_2 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 1)"},
    {"table-kind", "kept", "CREATE MATERIALIZED VIEW kept AS SELECT * FROM leads"},
    {"table-kind", "far", "",
     "CREATE EXTENSION file_fdw SCHEMA public; CREATE SERVER far_server FOREIGN DATA WRAPPER file_fdw;"
     "CREATE FOREIGN TABLE far (tenant_id uuid) SERVER far_server OPTIONS (filename '/dev/null')"},
    {"table-kind", "things",
     "CREATE UNLOGGED TABLE things (tenant_id uuid NOT NULL, id uuid, PRIMARY KEY (tenant_id, id))"},
    {"table-inherits", "child", "CREATE TABLE child (PRIMARY KEY (tenant_id, id)) INHERITS (leads)"},
    {"rewrite-rule", "leads.sly", "CREATE RULE sly AS ON DELETE TO leads DO ALSO DELETE FROM notes"},
    {"trigger-disabled", "leads.touch", "ALTER TABLE leads DISABLE TRIGGER touch"},
    {"trigger-function-elsewhere", "leads.sly", "",
     "CREATE FUNCTION rowhouse.sly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
     "CREATE TRIGGER sly BEFORE INSERT ON leads FOR EACH ROW EXECUTE FUNCTION rowhouse.sly()"},
    {"function-leakproof", "lead_total", "", "ALTER FUNCTION lead_total(numeric) LEAKPROOF"},
    {"function-setting", "sly",
     "CREATE FUNCTION sly() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS "
     "'BEGIN PERFORM pg_catalog.set_config(''backtrace_functions'', ''x'', true); END'"},
    {"replica-identity", "leads", "ALTER TABLE leads REPLICA IDENTITY FULL"},
    {"statistics-object", "leads.together", "CREATE STATISTICS together ON email, status FROM leads"},
    {"function-definer-search-path", "sly",
     "CREATE FUNCTION sly(a int) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT 1::bigint'"},
    {"function-setting", "sly",
     "CREATE FUNCTION sly() RETURNS bigint LANGUAGE sql SET row_security = off AS 'SELECT 1::bigint'"},
    {"function-setting", "sly", "",
     "CREATE FUNCTION sly() RETURNS bigint LANGUAGE sql SET rowhouse.note = 'x' AS 'SELECT 1::bigint'"},
    {"function-language", "raw", "",
     "CREATE FUNCTION raw(text) RETURNS text LANGUAGE internal STRICT AS 'upper'"},
    {"extension-object", "citext", "CREATE EXTENSION citext"},
    {"name-too-long", "a23456789a123456789a123456789a123456789a123456789a123456789a123",
     "CREATE TABLE a23456789a123456789a123456789a123456789a123456789a123456789a123456 "
     "(tenant_id uuid NOT NULL, id uuid, PRIMARY KEY (tenant_id, id))"},
    {"name-too-long", "leads.a23456789a123456789a123456789a123456789a123456789a123456789a123",
     "ALTER TABLE leads ADD COLUMN a23456789a123456789a123456789a123456789a123456789a123456789a123456 int"},
    {"owner-not-tenant-owner", "leads", "", "ALTER TABLE leads OWNER TO backup_service"},
    {"owner-not-tenant-owner", "leads", "", "ALTER TABLE leads OWNER TO tenant_service"},
    {"runtime-role-too-strong", "mighty_service", "",
     "CREATE ROLE mighty_service BYPASSRLS; GRANT USAGE ON SCHEMA app TO mighty_service"},
    {"runtime-role-too-strong", "member_service", "",
     "CREATE ROLE member_service IN ROLE tenant_owner; GRANT USAGE ON SCHEMA app TO member_service"},
    {"runtime-role-too-strong", "tenant_service", "", "ALTER TABLE leads OWNER TO tenant_service"},
    {"grant-to-public", "leads", "", "GRANT SELECT ON leads TO PUBLIC"},
    {"grant-to-public", "app", "", "GRANT USAGE ON SCHEMA app TO PUBLIC"},
    {"grant-to-public", "leads.email", "", "GRANT SELECT (email) ON leads TO PUBLIC"},
    {"grant-to-public", "lead_counts", "", "GRANT EXECUTE ON FUNCTION lead_counts TO PUBLIC"},
    {"grant-to-public", "notes_number_seq", "", "GRANT USAGE ON SEQUENCE notes_number_seq TO PUBLIC"},
    {"grant-in-migration", "leads", "", "GRANT SELECT ON leads TO platform_service"},
    {"grant-in-migration", "leads", "", "GRANT UPDATE ON leads TO tenant_service"},
    {"grant-in-migration", "leads", "", "GRANT TRUNCATE ON leads TO tenant_service"},
    {"grant-in-migration", "leads.tenant_id", "", "GRANT INSERT (tenant_id) ON leads TO tenant_service"},
    {"grant-in-migration", "events_0", "", "GRANT SELECT ON events_0 TO tenant_service"},
    {"grant-in-migration", "leads", "", "GRANT DELETE ON leads TO backup_service"},
    {"grant-in-migration", "app", "", "GRANT CREATE ON SCHEMA app TO tenant_service"},
    // The manifest's promises
    {"resource-relation-missing", "notes", "DROP TABLE notes"},
    {"id-missing", "notes", "ALTER TABLE notes RENAME COLUMN id TO number_two"},
    {"column-missing", "leads.status", "ALTER TABLE leads RENAME COLUMN status TO stage"},
    {"column-missing", "leads.email", "ALTER TABLE leads RENAME COLUMN email TO mail"},
    {"id-missing", "notes",
     "ALTER TABLE notes DROP CONSTRAINT notes_pkey, ADD PRIMARY KEY (tenant_id, id, number)"},
    {"natural-key-not-unique", "leads",
     "ALTER TABLE leads DROP CONSTRAINT leads_email_unique; CREATE UNIQUE INDEX ON leads (tenant_id, email) "
     "WHERE status = 'new'"},
    {"natural-key-not-unique", "leads",
     "ALTER TABLE leads DROP CONSTRAINT leads_email_unique, ADD UNIQUE (tenant_id, email) DEFERRABLE"},
    {"order-not-indexed", "leads.-created_at", "DROP INDEX leads_by_created"},
    {"order-not-indexed", "leads.-created_at",
     "DROP INDEX leads_by_created; CREATE INDEX ON leads (tenant_id, created_at) WHERE status = 'new'"},
    {"order-not-indexed", "leads.-created_at",
     "DROP INDEX leads_by_created; CREATE INDEX ON leads (created_at)"},
    {"column-name-reserved", "leads.limit", "ALTER TABLE leads ADD COLUMN \"limit\" integer"},
    {"function-missing", "lead_total", "DROP FUNCTION lead_total"},
    {"function-overloaded", "lead_total",
     "CREATE FUNCTION lead_total() RETURNS bigint LANGUAGE sql RETURN 1"},
    {"function-argument-unnamed", "lead_total",
     "DROP FUNCTION lead_total; CREATE FUNCTION lead_total(numeric) RETURNS bigint LANGUAGE sql RETURN 1"},
    {"function-argument-local-type", "lead_total",
     "DROP FUNCTION lead_total; CREATE FUNCTION lead_total(s lead_status) RETURNS bigint LANGUAGE sql RETURN "
     "1"},
    {"function-polymorphic", "lead_total",
     "DROP FUNCTION lead_total; CREATE FUNCTION lead_total(s anyelement) RETURNS bigint LANGUAGE sql AS "
     "'SELECT 1::bigint'"},
    {"function-result-unknown", "lead_total",
     "DROP FUNCTION lead_total; CREATE FUNCTION lead_total() RETURNS record LANGUAGE sql AS 'SELECT 1, 2'"},
    {"function-not-callable", "lead_total",
     "DROP FUNCTION lead_total; CREATE PROCEDURE lead_total() LANGUAGE sql AS 'SELECT 1'"},
    {"function-not-callable", "lead_total",
     "DROP FUNCTION lead_total; CREATE FUNCTION lead_total(VARIADIC n int[]) RETURNS bigint LANGUAGE sql "
     "RETURN 1"},
};

template <class T>
std::string words_of(const Result<T>& result) {
  if (result.ok()) return "";
  return result.error().message + ": " + std::string(result.error().detail(pg::kServerMessage));
}

class Checker : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { database_ = new std::string(testing::fresh_tenant_database()); }
  static void TearDownTestSuite() { delete database_; }

  Checker() : sql_(testing::superuser(*database_)) { build(""); }
  ~Checker() override {
    sql_.run(
        "RESET ROLE; DROP SCHEMA IF EXISTS app CASCADE; DROP EXTENSION IF EXISTS file_fdw CASCADE;"
        "DROP ROLE IF EXISTS mighty_service, member_service");
  }

  // The schema `app` with the good pack and one edit.
  void build(const std::string& edit) {
    sql_.run(
        "RESET ROLE; DROP SCHEMA IF EXISTS app CASCADE; DELETE FROM rowhouse.row_rules; SET search_path = "
        "app; "
        "SET ROLE tenant_owner; CREATE SCHEMA app");
    sql_.run(fixture::kTables);
    sql_.run(fixture::kViews);
    if (!edit.empty()) sql_.run(edit);
    sql_.run("RESET ROLE");
  }

  template <class T>
  T run(Task<T> task) {
    return net::run_until_done(executor_, std::move(task));
  }

  // Protects, tampers, and checks; as migrator with the owner's role.
  std::vector<Finding> check(const std::string& tamper, const Manifest& manifest) {
    auto session =
        run(pg::connect(executor_, testing::as_role("tenant_migrator", *database_), testing::patient()));
    EXPECT_TRUE(session.ok());
    const std::string begin = "BEGIN; SET LOCAL ROLE tenant_owner";
    const std::string commit = "COMMIT";
    EXPECT_TRUE(run(session->script(begin, testing::patient())).ok());
    const auto protect = run(protect_schema(*session, "app", "tenant_service", testing::patient()));
    EXPECT_TRUE(protect.ok()) << words_of(protect);
    EXPECT_TRUE(run(session->script(commit, testing::patient())).ok());
    if (!tamper.empty()) sql_.run(tamper);
    EXPECT_TRUE(run(session->script(begin, testing::patient())).ok());
    auto findings = run(check_schema(*session, "app", manifest, testing::patient()));
    EXPECT_TRUE(findings.ok()) << words_of(findings);
    EXPECT_TRUE(run(session->script(commit, testing::patient())).ok());
    return findings.ok() ? std::move(findings).value() : std::vector<Finding>();
  }

  static std::vector<std::string> summary(const std::vector<Finding>& findings) {
    std::vector<std::string> lines;
    for (const Finding& finding : findings) lines.push_back(finding.rule + " " + finding.object);
    return lines;
  }

  testing::BlockingSql& sql() { return sql_; }
  net::Executor& executor() { return executor_; }
  static const std::string& database() { return *database_; }

 private:
  static std::string* database_;
  net::Executor executor_;
  testing::BlockingSql sql_;
};

std::string* Checker::database_ = nullptr;

TEST_F(Checker, AGoodPackHasNoFindings) { EXPECT_THAT(summary(check("", fixture::manifest())), IsEmpty()); }

TEST_F(Checker, EveryBrokenRuleIsNamedWithItsObject) {
  for (const Break& broken : kBreaks) {
    SCOPED_TRACE(std::string(broken.rule) + ": " + broken.edit + broken.tamper);
    build(broken.edit);
    const auto findings = check(broken.tamper, fixture::manifest());
    EXPECT_THAT(summary(findings), Contains(std::string(broken.rule) + " " + broken.object));
    for (const Finding& finding : findings) {
      EXPECT_FALSE(finding.message.empty());
      EXPECT_FALSE(finding.fix.empty()) << finding.rule;
    }
    sql().run(
        "RESET ROLE; DROP SCHEMA app CASCADE; DROP FUNCTION IF EXISTS rowhouse.sly(); DROP EXTENSION IF "
        "EXISTS file_fdw CASCADE;"
        "DROP ROLE IF EXISTS mighty_service, member_service; DROP EXTENSION IF EXISTS citext");
  }
}

TEST_F(Checker, EveryIsolationRuleIsBrokenByATest) {
  std::set<std::string_view> tested;
  for (const Break& broken : kBreaks) tested.insert(broken.rule);
  for (const IsolationRule& rule : isolation_rules()) {
    if (rule.use == RuleUse::lint) continue;  // lint_pgtest.cc breaks those
    EXPECT_TRUE(tested.contains(rule.name)) << rule.name;
  }
}

TEST_F(Checker, FixesThatAreSqlMendWhatTheyFound) {
  // A fix with "…" is for the author to complete; the others are run as they are.
  std::size_t mended = 0;
  for (const Break& broken : kBreaks) {
    if (*broken.edit == '\0') continue;
    SCOPED_TRACE(std::string(broken.rule) + ": " + broken.edit);
    build(broken.edit);
    const auto findings = check("", fixture::manifest());
    sql().run("SET ROLE tenant_owner");
    std::vector<std::string> expected_gone;
    for (const Finding& finding : findings) {
      if (!finding.fix.ends_with(";") || finding.fix.find("…") != std::string::npos) continue;
      if (finding.rule != broken.rule) continue;
      sql().run(finding.fix);
      expected_gone.push_back(finding.rule + " " + finding.object);
      ++mended;
    }
    sql().run("RESET ROLE");
    const auto after = summary(check("", fixture::manifest()));
    for (const std::string& gone : expected_gone) EXPECT_THAT(after, ::testing::Not(Contains(gone)));
    sql().run("RESET ROLE; DROP SCHEMA app CASCADE; DROP EXTENSION IF EXISTS citext");
  }
  EXPECT_GT(mended, 15U);
}

TEST_F(Checker, RestrictivePoliciesOfTheAuthorAreAllowed) {
  build("CREATE POLICY mine ON leads AS RESTRICTIVE USING (status <> 'lost')");
  EXPECT_THAT(summary(check("", fixture::manifest())), IsEmpty());
}

TEST_F(Checker, OperatorsThatLookLikeEqualityAreSeenThrough) {
  build("");
  const auto findings = check(
      "CREATE FUNCTION always(uuid, uuid) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN true;"
      "CREATE OPERATOR = (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = always);"
      "DROP POLICY rowhouse_tenant ON leads;"
      "CREATE POLICY rowhouse_tenant ON leads USING (tenant_id OPERATOR(app.=) (SELECT rowhouse.tenant_id()))"
      " WITH CHECK (tenant_id OPERATOR(app.=) (SELECT rowhouse.tenant_id()))",
      fixture::manifest());
  EXPECT_THAT(summary(findings), Contains("policy-changed leads.rowhouse_tenant"));
}

TEST_F(Checker, ReportsEveryRelationWhateverItDependsOn) {
  // The rules find a schema's objects through pg_depend; this is what that rests on.
  EXPECT_EQ(sql().value("SELECT count(*) FROM pg_class c WHERE relnamespace = 'app'::regnamespace AND "
                        "relkind IN ('r','p','v','m','f','S') "
                        "AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND "
                        "d.objid = c.oid "
                        "AND d.refclassid = 'pg_namespace'::regclass AND d.refobjid = c.relnamespace)"),
            "0");
}

}  // namespace
}  // namespace rowhouse::tenancy
