// Row rules by role: what users of one tenant reach of each other's rows, in every tier; and how the rules
// come to installations that exist, change, and go again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tenancy/installation_pgtest.h"
#include "tenancy/lint.h"
#include "testing/signed_session.h"

namespace rowhouse::tenancy {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::patient;

constexpr const char* kAnn = "aaaaaaaa-0000-7000-8000-00000000000a";
constexpr const char* kBob = "bbbbbbbb-0000-7000-8000-00000000000b";
constexpr const char* kEve = "eeeeeeee-0000-7000-8000-00000000000e";  // owns nothing
constexpr const char* kNobodysLead = "99999999-0000-7000-8000-000000000009";
constexpr const char* kDenied = "42501";
constexpr const char* kForeignKey = "23503";

class RowRules : public fixture::InstallationTest {
 protected:
  static Bundle bundle_of(std::string_view version, json::Value of_leads, json::Value of_notes) {
    Bundle made = fixture::bundle_with_row_rules();
    made.manifest_document = fixture::with_row_rules(version, std::move(of_leads), std::move(of_notes));
    made.manifest = parse_manifest(made.manifest_document).value();
    return made;
  }

  static InstallReport upgrade(const Bundle& bundle) {
    auto report = run(node().upgrades.install(bundle, UpgradeOptions(), "tester", patient()));
    if (!report.ok()) {
      ADD_FAILURE() << report.error().message << " "
                    << ::testing::PrintToString(fixture::paths(report.error()));
      return InstallReport();
    }
    EXPECT_TRUE(report->failed.empty());
    return std::move(report).value();
  }

  static std::vector<std::string> lint() {
    Linter linter(cluster(), node().platform);
    const auto report = run(linter.run(LintRequest(), patient()));
    if (!report.ok()) {
      ADD_FAILURE() << report.error().message << report.error().detail(pg::kServerMessage);
      return {};
    }
    std::vector<std::string> words;
    for (const LintFinding& finding : report->findings) {
      words.push_back(finding.rule + " " + finding.database + "." + finding.schema + " " + finding.object +
                      ": " + finding.message + " " + finding.fix);
    }
    return words;
  }

  static std::vector<std::string> drift() {
    const auto report = run(node().upgrades.drift("mini", DriftReading::what_has_changed, patient()));
    std::vector<std::string> words;
    if (!report.ok()) {
      ADD_FAILURE() << report.error().message;
      return words;
    }
    for (const LintFinding& finding : report->findings)
      words.push_back(finding.schema + " " + finding.object + " " + finding.message + " " + finding.fix);
    return words;
  }

  // "table: condition" of each role policy of a schema, and defaults that name the principal.
  static std::vector<std::string> rules_in(const std::string& database, const std::string& schema) {
    testing::BlockingSql sql(testing::superuser(database));
    std::vector<std::string> lines;
    for (const auto& row : sql.run(
             "SELECT tablename || ' ' || policyname FROM pg_policies WHERE policyname = 'rowhouse_role' AND "
             "permissive = 'RESTRICTIVE' AND cmd = 'ALL' AND qual = with_check AND schemaname = '" +
             schema +
             "' UNION ALL SELECT table_name || '.' || column_name FROM information_schema.columns WHERE "
             "table_schema = '" +
             schema + "' AND column_default LIKE '%principal_id%' ORDER BY 1"))
      lines.push_back(*row[0]);
    return lines;
  }

  static std::vector<std::string> rules_of(const Tenant& tenant) {
    return rules_in(tenant.placement.database, tenant.placement.schema);
  }

  static std::shared_ptr<const Tenant> make(std::string name, Tier tier) {
    auto tenant = create(request(std::move(name), tier)).tenant;
    EXPECT_TRUE(run(node().context_keys.refresh(patient())).ok());
    return tenant;
  }
};

// One user of a tenant, at work in its tables.
class User {
 public:
  User(const Tenant& tenant, const Cluster& cluster, const pg::ContextKey& key, std::string_view id,
       pg::ContextRole role)
      : session_(std::make_unique<testing::SignedSession>(
            cluster.as(tenant.placement.role, tenant.placement.database), key)),
        tenant_(tenant.id.to_string()),
        schema_(pg::quote_name(tenant.placement.schema)) {
    session_->act_as(id, role);
  }

  // With "@" in place of the schema.
  std::string value(std::string sql) { return session_->value(tenant_, filled(std::move(sql))); }
  std::string failure(std::string sql) { return session_->failure(tenant_, filled(std::move(sql))); }
  void run(std::string sql) { session_->run(tenant_, filled(std::move(sql))); }
  // Rows that an UPDATE or DELETE … RETURNING 1 hits.
  std::string hits(const std::string& sql) {
    return value("WITH hit AS (" + sql + " RETURNING 1) SELECT count(*) FROM hit");
  }

 private:
  std::string filled(std::string sql) const {
    for (auto at = sql.find("@."); at != std::string::npos; at = sql.find("@.", at + schema_.size()))
      sql.replace(at, 1, schema_);
    return sql;
  }
  std::unique_ptr<testing::SignedSession> session_;
  std::string tenant_, schema_;
};

class UsersOfOneTenant : public RowRules, public ::testing::WithParamInterface<Tier> {
 protected:
  void SetUp() override {
    RowRules::SetUp();
    upgrade(fixture::bundle_with_row_rules());
    tenant_ = make("Users", GetParam());
    ann_ = user(kAnn, pg::ContextRole::user_own_rows);
    bob_ = user(kBob, pg::ContextRole::user_own_rows);
    eve_ = user(kEve, pg::ContextRole::user_own_rows);
    admin_ = user(kEve, pg::ContextRole::user_all_rows);
    service_ = user(kEve, pg::ContextRole::service);
    ann_->run("INSERT INTO @.leads (email) VALUES ('ann@example.com')");
    bob_->run("INSERT INTO @.leads (email) VALUES ('bob@example.com')");
    anns_ = ann_->value("SELECT id FROM @.leads");
    bobs_ = bob_->value("SELECT id FROM @.leads");
    ann_->run("INSERT INTO @.notes (lead_id, body) VALUES ('" + anns_ + "', 'of ann')");
    bob_->run("INSERT INTO @.notes (lead_id, body) VALUES ('" + bobs_ + "', 'of bob')");
  }
  void TearDown() override {
    ann_.reset(), bob_.reset(), eve_.reset(), admin_.reset(), service_.reset();
    if (tenant_) remove(*tenant_);
  }

  std::unique_ptr<User> user(std::string_view id, pg::ContextRole role) {
    const auto key = context_key(tenant_->placement.database);
    return std::make_unique<User>(*tenant_, cluster(), *key, id, role);
  }

  std::shared_ptr<const Tenant> tenant_;
  std::unique_ptr<User> ann_, bob_, eve_, admin_, service_;
  std::string anns_, bobs_;
};

INSTANTIATE_TEST_SUITE_P(Tiers, UsersOfOneTenant, ::testing::Values(Tier::pool, Tier::schema, Tier::database),
                         [](const auto& tested) { return std::string(tier_name(tested.param)); });

TEST_P(UsersOfOneTenant, ReadWhatIsTheirs) {
  const std::string emails = "SELECT string_agg(email, ' ' ORDER BY email) FROM @.leads";
  EXPECT_EQ(ann_->value(emails), "ann@example.com");
  EXPECT_EQ(bob_->value(emails), "bob@example.com");
  EXPECT_EQ(eve_->value("SELECT count(*) FROM @.leads"), "0");
  EXPECT_EQ(admin_->value(emails), "ann@example.com bob@example.com");
  EXPECT_EQ(service_->value(emails), "ann@example.com bob@example.com");

  const std::string notes = "SELECT string_agg(body, ' ' ORDER BY body) FROM @.notes";
  EXPECT_EQ(ann_->value(notes), "of ann");
  EXPECT_EQ(bob_->value(notes), "of bob");
  EXPECT_EQ(eve_->value("SELECT count(*) FROM @.notes"), "0");
  EXPECT_EQ(admin_->value(notes), "of ann of bob");

  EXPECT_EQ(ann_->value("SELECT string_agg(email, ' ') FROM @.open_leads"), "ann@example.com") << "view";
  EXPECT_EQ(ann_->value("SELECT leads FROM @.lead_counts()"), "1") << "function";
  EXPECT_EQ(admin_->value("SELECT @.lead_total(0)"), "2");
}

TEST_P(UsersOfOneTenant, ReachWhatIsAssignedToThem) {
  EXPECT_EQ(ann_->hits("UPDATE @.leads SET assigned_to = '" + std::string(kBob) + "'"), "1");
  EXPECT_EQ(bob_->value("SELECT count(*) FROM @.leads"), "2");
  EXPECT_EQ(bob_->value("SELECT count(*) FROM @.notes"), "2");
  EXPECT_EQ(ann_->value("SELECT count(*) FROM @.leads"), "1");
  EXPECT_EQ(eve_->value("SELECT count(*) FROM @.leads"), "0");
}

TEST_P(UsersOfOneTenant, ChangeAndDeleteWhatIsTheirs) {
  EXPECT_EQ(ann_->hits("UPDATE @.leads SET value = 5"), "1");
  EXPECT_EQ(ann_->hits("UPDATE @.leads SET value = 6 WHERE id = '" + bobs_ + "'"), "0");
  EXPECT_EQ(ann_->hits("UPDATE @.notes SET body = 'mine' WHERE body = 'of bob'"), "0");
  EXPECT_EQ(ann_->hits("DELETE FROM @.notes WHERE body = 'of bob'"), "0");
  EXPECT_EQ(ann_->hits("DELETE FROM @.leads WHERE id = '" + bobs_ + "'"), "0");
  EXPECT_EQ(eve_->hits("DELETE FROM @.leads"), "0");
  EXPECT_EQ(admin_->value("SELECT string_agg(email || ' ' || value, ', ' ORDER BY email) FROM @.leads"),
            "ann@example.com 5.00, bob@example.com 0.00");
  EXPECT_EQ(admin_->hits("UPDATE @.leads SET value = 7"), "2");
  EXPECT_EQ(service_->hits("UPDATE @.leads SET value = 8"), "2");
  EXPECT_EQ(ann_->hits("DELETE FROM @.notes"), "1");
  EXPECT_EQ(ann_->hits("DELETE FROM @.leads"), "1");
  EXPECT_EQ(admin_->hits("DELETE FROM @.leads"), "1");
}

TEST_P(UsersOfOneTenant, GiveNothingAwayThatTheyDoNotKeepAndTakeNothing) {
  EXPECT_EQ(ann_->failure("UPDATE @.leads SET created_by = '" + std::string(kBob) + "'"), kDenied);
  EXPECT_EQ(ann_->failure("INSERT INTO @.leads (email, created_by) VALUES ('x@example.com', '" +
                          std::string(kBob) + "')"),
            kDenied);
  EXPECT_EQ(ann_->failure("INSERT INTO @.leads (email, created_by) VALUES ('x@example.com', NULL)"), kDenied);
  EXPECT_EQ(ann_->failure("UPDATE @.notes SET lead_id = '" + bobs_ + "'"), kDenied);
  EXPECT_EQ(ann_->failure("UPDATE @.notes SET lead_id = NULL"), kDenied);
  // Assigned to somebody else, and still theirs.
  ann_->run("INSERT INTO @.leads (email, assigned_to) VALUES ('given@example.com', '" + std::string(kBob) +
            "')");
  EXPECT_EQ(bob_->value("SELECT count(*) FROM @.leads WHERE email = 'given@example.com'"), "1");
  EXPECT_EQ(admin_->failure("INSERT INTO @.leads (email, created_by) VALUES ('y@example.com', '" +
                            std::string(kBob) + "')"),
            "");
}

// Neither the answer nor the order of checks tells a row of somebody else from none.
TEST_P(UsersOfOneTenant, PointAtNothingTheyDoNotReach) {
  const auto note_on = [](const std::string& lead) {
    return "INSERT INTO @.notes (lead_id, body) VALUES ('" + lead + "', 'x') RETURNING id";
  };
  EXPECT_EQ(ann_->failure(note_on(bobs_)), kDenied);
  EXPECT_EQ(ann_->failure(note_on(kNobodysLead)), kDenied);
  EXPECT_EQ(ann_->failure(note_on(anns_)), "");
  EXPECT_EQ(admin_->failure(note_on(kNobodysLead)), kForeignKey);
  EXPECT_EQ(admin_->failure(note_on(bobs_)), "");
  const auto upsert = [](const std::string& email) {
    return "INSERT INTO @.leads (email) VALUES ('" + email +
           "') ON CONFLICT (tenant_id, email) DO UPDATE SET value = 1 RETURNING id";
  };
  EXPECT_EQ(ann_->failure(upsert("ann@example.com")), "");
  EXPECT_EQ(ann_->failure(upsert("bob@example.com")), kDenied);
  EXPECT_EQ(bob_->value("SELECT value FROM @.leads"), "0.00");
}

TEST_P(UsersOfOneTenant, AreWrittenDownAsCreators) {
  EXPECT_EQ(ann_->value("SELECT created_by FROM @.leads"), kAnn);
  EXPECT_EQ(ann_->value("INSERT INTO @.leads (email) VALUES ('new@example.com') RETURNING created_by"), kAnn);
  admin_->run("INSERT INTO @.leads (email) VALUES ('admin@example.com')");
  EXPECT_EQ(admin_->value("SELECT created_by FROM @.leads WHERE email = 'admin@example.com'"), kEve);
  service_->run("INSERT INTO @.leads (email) VALUES ('key@example.com')");
  EXPECT_EQ(service_->value("SELECT created_by IS NULL FROM @.leads WHERE email = 'key@example.com'"), "t")
      << "a key is nobody";
}

// A list of twenty in the promised order, for whom the rule does not touch, reads no more than twenty rows.
TEST_P(UsersOfOneTenant, WhoReachesAllRowsKeepsTheIndex) {
  admin_->run(
      "INSERT INTO @.leads (email, created_at) SELECT 'n' || n || '@example.com', now() - n * interval '1 s' "
      "FROM generate_series(1, 5000) n");
  testing::BlockingSql(testing::superuser(tenant_->placement.database))
      .run("ANALYZE " + pg::quote_qualified(tenant_->placement.schema, "leads"));
  for (User* reader : {admin_.get(), service_.get()}) {
    const std::string plan = reader->value(
        "EXPLAIN (FORMAT JSON) SELECT * FROM @.leads ORDER BY created_at DESC, id DESC LIMIT 20");
    EXPECT_THAT(plan, ::testing::HasSubstr("\"Index Name\": \"leads_by_created\"")) << plan;
    EXPECT_THAT(plan, ::testing::HasSubstr("InitPlan"));
    EXPECT_THAT(plan, ::testing::Not(::testing::HasSubstr("\"Sort\"")));
    const std::string ran = reader->value(
        "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) SELECT * FROM @.leads ORDER BY created_at DESC, id DESC "
        "LIMIT 20");
    EXPECT_THAT(ran, ::testing::Not(::testing::HasSubstr("\"Rows Removed by Filter\": 1"))) << ran;
  }
  // Nor is it looked for the parents of rows.
  const std::string notes =
      admin_->value("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) SELECT * FROM @.notes WHERE body <> ''");
  EXPECT_THAT(notes, ::testing::HasSubstr("\"Alias\": \"rowhouse_parent\"")) << notes;
  for (auto at = notes.find("\"Alias\": \"rowhouse_parent\""); at != std::string::npos;
       at = notes.find("\"Alias\": \"rowhouse_parent\"", at + 1)) {
    const auto loops = notes.find("\"Actual Loops\": ", at);
    EXPECT_EQ(notes.substr(loops, 17), "\"Actual Loops\": 0") << notes;
  }
  const std::string once = ann_->value(
      "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) SELECT * FROM @.leads ORDER BY created_at DESC LIMIT 20");
  // principal_role() and principal_id() are evaluated once, not for each of the rows that are filtered out.
  EXPECT_THAT(once, ::testing::HasSubstr("\"Rows Removed by Filter\": 5001")) << once;
  for (auto at = once.find("InitPlan"); at != std::string::npos; at = once.find("InitPlan", at + 1)) {
    const auto loops = once.find("\"Actual Loops\": ", at);
    EXPECT_EQ(once.substr(loops, 18), "\"Actual Loops\": 1\n") << once;
  }
}

class RowRulesOverTime : public RowRules {};

TEST_F(RowRulesOverTime, ComeChangeAndGoWithVersions) {
  const std::vector<std::string> all = {"leads rowhouse_role", "leads.created_by", "notes rowhouse_role"};
  std::vector<std::shared_ptr<const Tenant>> tenants;
  for (const Tier tier : {Tier::pool, Tier::schema, Tier::database})
    tenants.push_back(make("Old " + std::string(tier_name(tier)), tier));
  const auto expect_everywhere = [&](const std::vector<std::string>& expected) {
    for (const auto& tenant : tenants) EXPECT_EQ(rules_of(*tenant), expected) << tenant->slug;
    EXPECT_EQ(rules_in(template_database_name("mini"), "app"), expected);
    EXPECT_EQ(rules_in(pool_database_name("mini"), "app"), expected);
    EXPECT_THAT(lint(), IsEmpty());
    EXPECT_THAT(drift(), IsEmpty());
  };
  expect_everywhere({});

  upgrade(fixture::bundle_with_row_rules());
  for (const Tier tier : {Tier::schema, Tier::database})
    tenants.push_back(make("New " + std::string(tier_name(tier)), tier));
  expect_everywhere(all);
  EXPECT_EQ(platform_sql().value("SELECT count(*) FROM platform.settings WHERE key LIKE 'row_rules.%'"), "0");

  // Another rule, and no migration.
  auto report = upgrade(bundle_of(
      "1.2.0", fixture::rule(R"({"owners": ["assigned_to"], "creator": "assigned_to"})"), json::Value()));
  EXPECT_EQ(report.migrated.size(), 6U) << "four tenants, template and pool";
  EXPECT_EQ(report.unchanged, 0U);
  expect_everywhere({"leads rowhouse_role", "leads.assigned_to"});
  {
    testing::BlockingSql sql(testing::superuser(tenants[1]->placement.database));
    EXPECT_EQ(sql.value("SELECT qual LIKE '%ARRAY[assigned_to]%' FROM pg_policies WHERE policyname = "
                        "'rowhouse_role' AND schemaname = '" +
                        tenants[1]->placement.schema + "'"),
              "t");
  }

  // None any more, and then nothing is to be done.
  upgrade(bundle_of("1.3.0", json::Value(), json::Value()));
  expect_everywhere({});
  report = upgrade(bundle_of("1.4.0", json::Value(), json::Value()));
  EXPECT_EQ(report.unchanged, 6U);
  for (const auto& tenant : tenants) remove(*tenant);
  testing::BlockingSql sql(testing::superuser(pool_database_name("mini")));
  EXPECT_EQ(sql.value("SELECT count(*) FROM rowhouse.row_rules"), "0");
}

TEST_F(RowRulesOverTime, WhoIsMadeDuringAnUpgradeGetsTheNewRules) {
  platform_sql().run(
      R"(INSERT INTO platform.settings (key, value) VALUES ('row_rules.mini', '[{"relation": "events", "owners": ["id"]}]'))");
  const auto schema = make("Meanwhile schema", Tier::schema), own = make("Meanwhile own", Tier::database);
  EXPECT_THAT(rules_of(*schema), ElementsAre("events rowhouse_role"));
  EXPECT_THAT(rules_of(*own), ElementsAre("events rowhouse_role"));
  platform_sql().run("DELETE FROM platform.settings WHERE key = 'row_rules.mini'");
  remove(*schema);
  remove(*own);
}

class RowRulesDrift : public RowRules {};

TEST_F(RowRulesDrift, IsSeenAndMended) {
  upgrade(fixture::bundle_with_row_rules());
  std::vector<std::shared_ptr<const Tenant>> tenants;
  for (const char* name : {"One", "Two", "Three"}) tenants.push_back(make(name, Tier::schema));
  const std::string schema = tenants[0]->placement.schema, leads = pg::quote_qualified(schema, "leads"),
                    notes = pg::quote_qualified(schema, "notes"),
                    events = pg::quote_qualified(schema, "events");
  ASSERT_THAT(drift(), IsEmpty());
  const std::pair<std::string, std::string> changes[] = {
      {"DROP POLICY rowhouse_role ON " + leads, "policy leads.rowhouse_role"},
      {"DROP POLICY rowhouse_role ON " + notes, "policy notes.rowhouse_role"},
      {"ALTER POLICY rowhouse_role ON " + leads + " WITH CHECK (true)", "policy leads.rowhouse_role"},
      {"ALTER POLICY rowhouse_role ON " + notes + " USING (lead_id IS NULL)", "policy notes.rowhouse_role"},
      {"CREATE POLICY rowhouse_role ON " + events + " AS RESTRICTIVE USING (what = '')",
       "policy events.rowhouse_role"},
      {"ALTER TABLE " + leads + " ALTER COLUMN created_by DROP DEFAULT", "column leads.created_by"},
  };
  testing::BlockingSql sql(testing::superuser(tenants[0]->placement.database));
  sql.run("SET search_path = ''");
  for (const auto& [change, object] : changes) {
    SCOPED_TRACE(change);
    sql.run(change);
    const auto report = run(node().upgrades.drift("mini", DriftReading::what_has_changed, patient()));
    ASSERT_TRUE(report.ok());
    ASSERT_EQ(report->findings.size(), 1U);
    EXPECT_EQ(report->findings[0].schema, schema);
    EXPECT_EQ(report->findings[0].object, object);
    ASSERT_TRUE(report->findings[0].fix.ends_with(";")) << report->findings[0].fix;
    sql.run(report->findings[0].fix);
    EXPECT_THAT(drift(), IsEmpty()) << report->findings[0].fix;
    EXPECT_THAT(lint(), IsEmpty()) << report->findings[0].fix;
  }
}

class RowRulesRefused : public RowRules {};

TEST_F(RowRulesRefused, ARuleThatTheTablesCannotKeep) {
  const auto refused = [](json::Value of_leads, json::Value of_notes) {
    const Bundle bundle = bundle_of("1.1.0", std::move(of_leads), std::move(of_notes));
    const auto findings = run(node().packs.check(bundle, patient()));
    std::vector<std::string> words;
    if (!findings.ok()) {
      ADD_FAILURE() << findings.error().message;
      return words;
    }
    for (const Finding& finding : *findings)
      words.push_back(finding.rule + " " + finding.object + ": " + finding.message);
    return words;
  };
  EXPECT_THAT(refused(fixture::rule(R"({"owners": ["assigned_to"]})"), json::Value()), IsEmpty());
  EXPECT_THAT(
      refused(fixture::rule(R"({"owners": ["nobody"]})"), json::Value()),
      ElementsAre(
          "row-rule-impossible leads: its row rule cannot hold: it has no column nobody of type uuid"));
  EXPECT_THAT(
      refused(fixture::rule(R"({"owners": ["assigned_to"], "creator": "email"})"), json::Value()),
      ElementsAre(
          "row-rule-impossible leads: its row rule cannot hold: it has no column email of type uuid"));
  EXPECT_THAT(
      refused(fixture::rule(R"({"owners": ["assigned_to"]})"),
              fixture::rule(R"({"through": "number", "resource": "leads"})")),
      ElementsAre(
          "row-rule-impossible notes: its row rule cannot hold: it has no column number of type uuid"));
  Bundle of_view = fixture::bundle_with_row_rules();
  json::Value resources = *of_view.manifest_document.find("resources");
  json::Value view = *resources.find("open_leads");
  view.set("row_rule", fixture::rule(R"({"owners": ["id"]})"));
  resources.set("open_leads", std::move(view));
  of_view.manifest_document.set("resources", std::move(resources));
  of_view.manifest = parse_manifest(of_view.manifest_document).value();
  const auto findings = run(node().packs.check(of_view, patient()));
  ASSERT_TRUE(findings.ok());
  ASSERT_EQ(findings->size(), 1U);
  EXPECT_EQ((*findings)[0].message, "its row rule cannot hold: it is not a table");
}

}  // namespace
}  // namespace rowhouse::tenancy
