#include "verify/engine.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tenancy/installation_pgtest.h"
#include "verify/store.h"

namespace rowhouse::verify {
namespace {

using tenancy::Tier;

// The engine without an API, on the pack "mini": domains, enums, generated and identity columns, partitions.
class EngineTest : public tenancy::fixture::InstallationTest {
 protected:
  static Report verified(std::vector<Tier> tiers = {Tier::pool}) {
    EngineSettings settings(testing::superuser("postgres"), cluster().credentials(), clock());
    Engine engine(
        std::move(settings), [](const Progress&) {}, [] { return false; });
    Request wanted;
    wanted.packs = {"mini"};
    wanted.tiers = std::move(tiers);
    wanted.seed = 1;
    const std::string prefix = make_slug_prefix();
    auto report = engine.run(wanted, Uuid::make_v7(clock().now()), prefix);
    EXPECT_TRUE(report.ok()) << report.error().message;
    EXPECT_EQ(platform_sql().value("SELECT count(*) FROM platform.tenants"), "0")
        << "the throw-away tenants are gone";
    return std::move(report).value();
  }

  static bool broken(const Report& report, const std::string& kind, const std::string& name) {
    for (const auto& [where, surface] : report.surfaces()) {
      if (where.kind != kind || where.name != name) continue;
      for (const Attack& attack : surface.attacks) {
        if (attack.verdict == Verdict::broken) return true;
      }
    }
    return false;
  }

  static std::string findings(const Report& report) {
    std::string all;
    for (const auto& [where, surface] : report.surfaces()) {
      for (const Attack& attack : surface.attacks) {
        if (attack.verdict == Verdict::held || attack.verdict == Verdict::refused) continue;
        all += where.kind + " " + where.name + ": " + attack.name + ": " + attack.note + "\n";
      }
    }
    for (const SurfaceId& where : report.uncovered())
      all += "uncovered: " + where.kind + " " + where.name + "\n";
    return all;
  }

  // Breaks something in the pool database, runs, and mends it.
  static Report verified_with(const std::string& break_sql, const std::string& mend_sql) {
    testing::BlockingSql sql(testing::superuser(tenancy::pool_database_name("mini")));
    sql.run(break_sql);
    Report report = verified();
    sql.run(mend_sql);
    return report;
  }
};

TEST_F(EngineTest, FindsNothingWhereNothingIsBroken) {
  const Report report = verified({Tier::pool, Tier::schema, Tier::database});
  EXPECT_EQ(findings(report), "");
  ASSERT_EQ(report.failures.size(), 3U) << "nothing but the API, which is not there";
  for (const std::string& failure : report.failures)
    EXPECT_NE(failure.find("the API was not attacked"), std::string::npos);
  EXPECT_EQ(report.outcome(), Outcome::incomplete);
  EXPECT_GT(report.attempts(), 1000);
}

TEST_F(EngineTest, FindsAPermissivePolicy) {
  const Report report =
      verified_with("CREATE POLICY open ON app.notes USING (true)", "DROP POLICY open ON app.notes");
  EXPECT_TRUE(broken(report, "policy", "app.notes.open"));
  EXPECT_EQ(report.outcome(), Outcome::broken);
}

TEST_F(EngineTest, FindsAViewWithItsOwnersRights) {
  const Report report = verified_with(
      "CREATE VIEW app.every_lead AS SELECT id, email FROM app.leads; GRANT SELECT ON app.every_lead TO "
      "tenant_service",
      "DROP VIEW app.every_lead");
  EXPECT_TRUE(broken(report, "view", "app.every_lead")) << findings(report);
}

TEST_F(EngineTest, FindsAFunctionThatCountsEverybodysRows) {
  const Report report = verified_with(
      "CREATE FUNCTION app.leads_of_all() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER SET "
      "search_path = '' AS "
      "'SELECT count(*) FROM app.leads'; GRANT EXECUTE ON FUNCTION app.leads_of_all() TO tenant_service",
      "DROP FUNCTION app.leads_of_all()");
  EXPECT_TRUE(broken(report, "function", "app.leads_of_all()")) << findings(report);
}

TEST_F(EngineTest, FindsAForeignKeyWithoutTheTenant) {
  const Report report = verified_with(
      "CREATE UNIQUE INDEX leads_id ON app.leads (id);"
      "ALTER TABLE app.notes ADD CONSTRAINT notes_any_lead FOREIGN KEY (lead_id) REFERENCES app.leads (id) "
      "ON DELETE CASCADE;"
      "ALTER TABLE app.notes DROP CONSTRAINT notes_lead",
      "ALTER TABLE app.notes ADD CONSTRAINT notes_lead FOREIGN KEY (tenant_id, lead_id) REFERENCES app.leads "
      "(tenant_id, id) "
      "ON DELETE SET NULL (lead_id); ALTER TABLE app.notes DROP CONSTRAINT notes_any_lead; DROP INDEX "
      "app.leads_id");
  EXPECT_TRUE(broken(report, "foreign key", "app.notes.notes_any_lead")) << findings(report);
  EXPECT_TRUE(broken(report, "unique key", "app.leads.leads_id")) << findings(report);
}

TEST_F(EngineTest, TellsOfASurfaceThatItCannotAttack) {
  const Report report =
      verified_with("CREATE PUBLICATION everything FOR ALL TABLES", "DROP PUBLICATION everything");
  ASSERT_EQ(report.uncovered().size(), 1U) << findings(report);
  EXPECT_EQ(report.uncovered()[0].kind, "publication");
}

TEST_F(EngineTest, TellsOfATableThatNoCanaryFits) {
  const Report report = verified_with(
      "SET ROLE tenant_owner; CREATE TABLE app.picky (tenant_id uuid NOT NULL, id uuid NOT NULL, word text "
      "NOT NULL CHECK "
      "(md5(word) = 'x'), "
      "PRIMARY KEY (tenant_id, id))",
      "DROP TABLE app.picky");
  EXPECT_TRUE(std::any_of(report.failures.begin(), report.failures.end(), [](const std::string& failure) {
    return failure.find("\"app\".\"picky\"") != std::string::npos;
  }));
}

class EngineUsersTest : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    const tenancy::Bundle ruled = tenancy::fixture::bundle_with_row_rules();
    const auto upgraded =
        run(node().upgrades.install(ruled, tenancy::UpgradeOptions(), "tester", testing::patient()));
    ASSERT_TRUE(upgraded.ok()) << upgraded.error().message;
  }

  static std::size_t attempts(const Report& report, const std::string& attack_name) {
    std::size_t count = 0;
    for (const auto& [where, surface] : report.surfaces()) {
      for (const Attack& attack : surface.attacks) count += attack.name == attack_name ? 1 : 0;
    }
    return count;
  }
};

TEST_F(EngineUsersTest, UsersOfOneTenantAreTried) {
  const Report report = verified({Tier::pool, Tier::schema, Tier::database});
  EXPECT_EQ(findings(report), "");
  // leads and notes; in the pool, and in each tenant's own schema and database.
  EXPECT_EQ(attempts(report, "read and write as another user"), 10U);
  EXPECT_EQ(attempts(report, "a row for another user"), 10U);
}

TEST_F(EngineUsersTest, ARuleThatLetsEverybodyReadIsFound) {
  const Report report = verified_with(
      "CREATE TABLE public.kept AS SELECT qual FROM pg_policies WHERE schemaname = 'app' AND tablename = "
      "'notes' AND policyname = 'rowhouse_role'; ALTER POLICY rowhouse_role ON app.notes USING (true)",
      "DO $$ BEGIN EXECUTE format('ALTER POLICY rowhouse_role ON app.notes USING (%s)', (SELECT qual FROM "
      "public.kept)); END $$; DROP TABLE public.kept");
  EXPECT_TRUE(broken(report, "table", "app.notes")) << findings(report);
}

TEST_F(EngineUsersTest, ARuleThatLetsRowsBeGivenAwayIsFound) {
  const Report report =
      verified_with("ALTER POLICY rowhouse_role ON app.leads WITH CHECK (true)",
                    "ALTER POLICY rowhouse_role ON app.leads WITH CHECK (COALESCE((SELECT "
                    "rowhouse.principal_role()), 0) <> 1 OR (SELECT rowhouse.principal_id()) = ANY "
                    "(ARRAY[assigned_to, created_by]))");
  EXPECT_TRUE(broken(report, "table", "app.leads")) << findings(report);
}

TEST_F(EngineTest, SweepsWhatACrashLeft) {
  const std::string prefix = make_slug_prefix();
  auto left = request("Left behind", Tier::schema);
  left.slug = prefix + "1";
  create(std::move(left));
  auto bystander = request("Bystander");
  const auto kept = create(std::move(bystander));
  EngineSettings settings(testing::superuser("postgres"), cluster().credentials(), clock());
  Engine engine(
      std::move(settings), [](const Progress&) {}, [] { return false; });
  EXPECT_TRUE(engine.sweep({prefix}).empty());
  EXPECT_EQ(platform_sql().value("SELECT string_agg(slug, ' ') FROM platform.tenants"), "bystander");
  EXPECT_TRUE(engine.sweep({"b", ""}).empty());
  EXPECT_EQ(platform_sql().value("SELECT string_agg(slug, ' ') FROM platform.tenants"), "bystander");
  remove(*kept.tenant);
}

TEST_F(EngineTest, OneRunAtATime) {
  Store store(node().platform);
  const Uuid first = Uuid::make_v7(clock().now()), second = Uuid::make_v7(clock().now());
  ASSERT_TRUE(run(store.begin(first, make_slug_prefix(), Request(), "tester", testing::patient())).ok());
  const auto refused = run(store.begin(second, make_slug_prefix(), Request(), "tester", testing::patient()));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::conflict);
  // One that has been silent for long has died.
  platform_sql().run("UPDATE platform.verifications SET heartbeat_at = now() - interval '1 hour'");
  EXPECT_TRUE(run(store.begin(second, make_slug_prefix(), Request(), "tester", testing::patient())).ok());
  EXPECT_EQ(run(store.get(first.to_string(), testing::patient())).value().status, "failed");
  ASSERT_TRUE(run(store.finish(second, Outcome::proven, 3, 0, 0, 9, "{}", testing::patient())).ok());
  const auto latest = run(store.latest(testing::patient()));
  ASSERT_TRUE(latest.ok() && latest->has_value());
  EXPECT_EQ((*latest)->run.result, "proven");
  EXPECT_EQ(run(store.uncleared(testing::patient())).value().size(), 2U);
}

}  // namespace
}  // namespace rowhouse::verify
