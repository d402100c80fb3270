// Keys of tenant contexts on a real installation: which database has which, rotation in all its steps, and
// that databases accept their own keys alone.
#include <gmock/gmock.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "pg/transaction_context.h"
#include "tenancy/context_rotation.h"
#include "tenancy/installation_pgtest.h"

namespace rowhouse::tenancy {
namespace {

using fixture::tester;
using testing::BlockingSql;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::patient;
using testing::TransactionContextForTests;
using Retire = ContextRotation::Retire;
using Look = ContextRotation::Look;

constexpr std::chrono::milliseconds kGrace{120'000};

class ContextKeysTest : public fixture::InstallationTest {
 protected:
  ContextKeysTest() : rotation_(node().guard, node().platform, clock(), options()) {}

  // A rotation of an earlier test is over.
  void SetUp() override {
    InstallationTest::SetUp();
    finish();
  }
  void TearDown() override { finish(); }

  static ContextKeyOptions options() {
    ContextKeyOptions options;
    options.grace = kGrace;
    options.notice = std::chrono::milliseconds(0);
    return options;
  }

  void finish() {
    clock().advance(kGrace + std::chrono::seconds(1));
    advance(Look::thorough);
  }

  GuardReport advance(Look look) {
    auto report = run(rotation_.advance(look, patient()));
    EXPECT_TRUE(report.ok()) << report.error().message << report.error().detail(pg::kServerMessage);
    return report.ok() ? std::move(*report) : GuardReport();
  }

  std::int32_t rotate(Retire retire = Retire::after_grace) {
    auto generation = run(rotation_.rotate(retire, tester(), patient()));
    EXPECT_TRUE(generation.ok()) << generation.error().message;
    return generation.ok() ? *generation : 0;
  }

  std::int32_t signing() { return run(signing_generation(node().platform, patient())).value(); }

  // "3 signing, 2 expiring": those that are not retired.
  std::string states() {
    auto status = run(rotation_.status(patient()));
    EXPECT_TRUE(status.ok());
    std::string text;
    for (const auto& key : status->generations) {
      if (key.state == "retired") continue;
      text += (text.empty() ? "" : ", ") + std::to_string(key.generation) + " " + key.state;
    }
    return text;
  }

  std::vector<std::string> behind() { return run(node().guard.behind(patient())).value(); }

  static std::string keys_in(const std::string& database) {
    BlockingSql sql(testing::superuser(database));
    return sql.value("SELECT string_agg(id::text, ',' ORDER BY id) FROM rowhouse.context_keys");
  }
  static std::string key_bytes_in(const std::string& database, std::int32_t generation) {
    BlockingSql sql(testing::superuser(database));
    return sql.value("SELECT encode(key, 'hex') FROM rowhouse.context_keys WHERE id = " +
                     std::to_string(generation));
  }
  static std::string derived(const std::string& database, std::int32_t generation) {
    return to_hex(derive_context_key(cluster().credentials(), generation, database).bytes);
  }

  static pg::TransactionContext context_of(const Tenant& tenant, std::int32_t generation,
                                           const std::string& key_of) {
    const auto key = std::make_shared<const pg::ContextKey>(
        derive_context_key(cluster().credentials(), generation, key_of));
    return TransactionContextForTests::make(tenant.id, key);
  }

  // Why a context that was signed with the key of `key_of` is refused in the tenant's database; "" if it is
  // not.
  std::string refusal(const Tenant& tenant, std::int32_t generation, const std::string& key_of) {
    const auto context = context_of(tenant, generation, key_of);
    auto parameters = cluster().as(tenant.placement.role, tenant.placement.database);
    auto session = run(pg::connect(executor(), std::move(parameters), patient()));
    EXPECT_TRUE(session.ok()) << session.error().message;
    const auto begun = run(session->begin(&context, patient()));
    return begun.ok() ? "" : std::string(begun.error().detail(pg::kServerMessage));
  }

  // Where new sessions look for libraries; "": where the configuration says.
  static void search_libraries_in(const std::string& path) {
    const auto shown = [] {
      BlockingSql sql(testing::superuser("postgres"));
      return sql.value("SHOW dynamic_library_path");
    };
    const std::string before = shown();
    {
      BlockingSql sql(testing::superuser("postgres"));
      sql.run(path.empty() ? "ALTER SYSTEM RESET dynamic_library_path"
                           : "ALTER SYSTEM SET dynamic_library_path = " + pg::quote_literal(path));
      sql.run("SELECT pg_reload_conf()");
    }
    EXPECT_TRUE(eventually([&] { return shown() != before; }));
  }

  static void set_connections(const std::string& database, std::string_view allowed) {
    BlockingSql sql(testing::superuser("postgres"));
    sql.run("ALTER DATABASE " + pg::quote_name(database) + " ALLOW_CONNECTIONS " + std::string(allowed));
  }

  std::vector<std::string> audited(std::int32_t generation) {
    std::vector<std::string> actions;
    for (const auto& row :
         platform_sql().run("SELECT action || ' by ' || actor FROM platform.audit_log WHERE object_type = "
                            "'context_key' AND object_id = '" +
                            std::to_string(generation) + "' ORDER BY id")) {
      actions.push_back(*row[0]);
    }
    return actions;
  }

  ContextRotation rotation_;
};

TEST_F(ContextKeysTest, EveryDatabaseHasItsOwnKeysAlone) {
  const auto mine = create(request("Own keys", Tier::database));
  const auto other = create(request("Other keys", Tier::database));
  const std::string pool = pool_database_name("mini"), pattern = template_database_name("mini");
  const std::string& database = mine.tenant->placement.database;
  const std::string signing_now = std::to_string(signing());
  for (const auto& name : {pool, pattern, database, other.tenant->placement.database}) {
    EXPECT_EQ(keys_in(name), signing_now) << name;
    EXPECT_EQ(key_bytes_in(name, signing()), derived(name, signing())) << name;
  }
  // A clone accepts neither its template's keys nor its sister's.
  EXPECT_EQ(refusal(*mine.tenant, signing(), database), "");
  EXPECT_EQ(refusal(*mine.tenant, signing(), pattern), "the tenant context is not valid");
  EXPECT_EQ(refusal(*mine.tenant, signing(), other.tenant->placement.database),
            "the tenant context is not valid");
  EXPECT_EQ(refusal(*mine.tenant, signing() + 1, database), "the tenant context is not valid");
  remove(*mine.tenant);
  remove(*other.tenant);
}

TEST_F(ContextKeysTest, ARestoredCopyAcceptsNothingBeforeItIsBrought) {
  const auto created = create(request("Restored", Tier::database));
  const std::string& database = created.tenant->placement.database;
  BlockingSql server(testing::superuser("postgres"));
  const std::string quoted = pg::quote_name(database), aside = pg::quote_name(database + "_x");
  server.run("ALTER DATABASE " + quoted + " RENAME TO " + aside);
  server.run("CREATE DATABASE " + quoted + " OWNER tenant_owner TEMPLATE " +
             pg::quote_name(pool_database_name("mini")));
  ASSERT_TRUE(
      run(cluster().apply_database_privileges(database, created.tenant->placement.role, patient())).ok());
  {
    BlockingSql copy(testing::superuser(database));
    copy.run("SET ROLE tenant_owner; SELECT rowhouse.grant_runtime(" +
             pg::quote_literal(created.tenant->placement.role) + ")");
  }
  EXPECT_EQ(refusal(*created.tenant, signing(), database), "the tenant context is not valid");
  // The name is known, but it is another database now.
  EXPECT_THAT(behind(), ElementsAre(database));
  advance(Look::thorough);
  EXPECT_THAT(behind(), ElementsAre());
  EXPECT_EQ(refusal(*created.tenant, signing(), database), "");
  server.run("DROP DATABASE " + aside);
  remove(*created.tenant);
}

TEST_F(ContextKeysTest, BringingMendsWhatSomebodyChanged) {
  const std::string pool = pool_database_name("mini");
  BlockingSql sql(testing::superuser(pool));
  const std::string body =
      "SELECT md5(string_agg(prosrc, '|' ORDER BY oid)) FROM pg_proc WHERE pronamespace = "
      "'rowhouse'::regnamespace";
  const std::string before = sql.value(body);
  sql.run(
      "CREATE OR REPLACE FUNCTION rowhouse.tenant_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL RESTRICTED "
      "AS "
      "$$SELECT '00000000-0000-0000-0000-000000000001'::uuid$$");
  sql.run("INSERT INTO rowhouse.context_keys (id, key) VALUES (77, decode(repeat('00', 64), 'hex'))");
  sql.run("UPDATE rowhouse.context_keys SET key = decode(repeat('11', 64), 'hex') WHERE id < 77");
  ASSERT_TRUE(run(node().guard.bring(pool, patient())).ok());
  EXPECT_EQ(sql.value(body), before);
  EXPECT_EQ(keys_in(pool), std::to_string(signing()));
  EXPECT_EQ(key_bytes_in(pool, signing()), derived(pool, signing()));
}

TEST_F(ContextKeysTest, WhatIsInOrderIsNotConnectedTo) {
  EXPECT_THAT(behind(), ElementsAre());
  // Nobody can connect, and nobody tries.
  set_connections(pool_database_name("mini"), "false");
  const auto report = run(node().guard.catch_up(patient()));
  set_connections(pool_database_name("mini"), "true");
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->brought.empty());
  EXPECT_TRUE(report->failed.empty());
}

TEST_F(ContextKeysTest, AnExistingInstallationIsBroughtAtTheNextStart) {
  const auto pool = create(request("Old pool"));
  const auto own = create(request("Old database", Tier::database));
  for (const auto& name : {pool_database_name("mini"), own.tenant->placement.database}) {
    BlockingSql sql(testing::superuser(name));
    sql.run("DELETE FROM rowhouse.context_keys");
  }
  platform_sql().run("DELETE FROM platform.guarded_databases");
  EXPECT_EQ(behind().size(), 3U);
  EXPECT_EQ(refusal(*own.tenant, signing(), own.tenant->placement.database),
            "the tenant context is not valid");
  // Several nodes at once, and one database that is down.
  set_connections(template_database_name("mini"), "false");
  std::vector<Result<GuardReport>> reports;
  const auto start = [](ContextGuard& guard, std::vector<Result<GuardReport>>& out) -> Task<void> {
    auto report = co_await guard.catch_up(patient());
    out.push_back(std::move(report));
  };
  net::TaskGroup group;
  for (int i = 0; i < 3; ++i) group.spawn(start(node().guard, reports));
  run(group.join());
  set_connections(template_database_name("mini"), "true");
  std::size_t brought = 0;
  for (const auto& report : reports) {
    ASSERT_TRUE(report.ok()) << report.error().message;
    brought += report->brought.size();
    ASSERT_EQ(report->failed.size(), 1U);
    EXPECT_EQ(report->failed[0].first, template_database_name("mini"));
    EXPECT_NE(report->failed[0].second, "");
  }
  EXPECT_EQ(brought, 2U);  // by one of them
  EXPECT_EQ(refusal(*own.tenant, signing(), own.tenant->placement.database), "");
  EXPECT_EQ(refusal(*pool.tenant, signing(), pool_database_name("mini")), "");
  advance(Look::thorough);
  EXPECT_THAT(behind(), ElementsAre());
  remove(*pool.tenant);
  remove(*own.tenant);
}

TEST_F(ContextKeysTest, TheExtensionIsDemandedOrTried) {
  search_libraries_in("$libdir");
  const auto demanded = run(node().guard.choose(GuardMode::extension, patient()));
  const auto tried = run(node().guard.choose(GuardMode::automatic, patient()));
  search_libraries_in("");
  ASSERT_FALSE(demanded.ok());
  EXPECT_EQ(demanded.error().code, ErrorCode::config_invalid);
  EXPECT_THAT(demanded.error().message, HasSubstr("rowhouse_guard"));
  EXPECT_THAT(demanded.error().message, HasSubstr("make install-guard"));
  ASSERT_TRUE(tried.ok()) << tried.error().message;
  EXPECT_EQ(tried->implementation, GuardImplementation::portable);
  EXPECT_THAT(tried->reason, HasSubstr("could not access file"));
  const auto again = run(node().guard.choose(GuardMode::automatic, patient()));
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again->implementation, GuardImplementation::extension);
  const auto portable = run(node().guard.choose(GuardMode::portable, patient()));
  ASSERT_TRUE(portable.ok());
  EXPECT_EQ(run(rotation_.status(patient()))->implementation, "portable");
}

TEST_F(ContextKeysTest, TheImplementationIsSwitchedInEveryTier) {
  std::vector<CreatedTenant> tenants;
  for (const Tier tier : {Tier::pool, Tier::schema, Tier::database}) {
    tenants.push_back(create(request("Switched " + std::string(tier_name(tier)), tier)));
  }
  for (const auto mode :
       {GuardMode::extension, GuardMode::portable, GuardMode::extension, GuardMode::portable}) {
    ASSERT_TRUE(run(node().guard.choose(mode, patient())).ok());
    const auto report = run(node().guard.catch_up(patient()));
    ASSERT_TRUE(report.ok()) << report.error().message;
    EXPECT_EQ(report->brought.size(), 3U);
    EXPECT_TRUE(report->failed.empty());
    for (const auto& created : tenants) {
      const std::string& database = created.tenant->placement.database;
      BlockingSql sql(testing::superuser(database));
      EXPECT_EQ(sql.value("SELECT DISTINCT lanname FROM pg_proc p JOIN pg_language l ON l.oid = prolang "
                          "WHERE pronamespace = "
                          "'rowhouse'::regnamespace AND proname = 'set_context'"),
                mode == GuardMode::extension ? "c" : "plpgsql");
      EXPECT_EQ(refusal(*created.tenant, signing(), database), "");
      EXPECT_EQ(refusal(*created.tenant, signing(), "another"), "the tenant context is not valid");
    }
  }
  for (const auto& created : tenants) remove(*created.tenant);
}

// The library keeps keys in memory, in sessions that were there before.
TEST_F(ContextKeysTest, ARetiredKeyIsRefusedInOpenSessionsToo) {
  for (const auto mode : {GuardMode::extension, GuardMode::portable}) {
    ASSERT_TRUE(run(node().guard.choose(mode, patient())).ok());
    ASSERT_TRUE(run(node().guard.catch_up(patient())).ok());
    const auto created = create(request("Open session", Tier::database));
    const std::string& database = created.tenant->placement.database;
    const std::int32_t old_one = signing();
    const auto old_context = context_of(*created.tenant, old_one, database);
    auto session =
        run(pg::connect(executor(), cluster().as(created.tenant->placement.role, database), patient()));
    ASSERT_TRUE(session.ok());
    ASSERT_TRUE(run(session->begin(&old_context, patient())).ok());
    ASSERT_TRUE(run(session->commit(patient())).ok());
    const std::int32_t new_one = rotate(Retire::at_once);
    ASSERT_FALSE(run(session->begin(&old_context, patient())).ok());
    ASSERT_TRUE(run(session->rollback(patient())).ok());
    const auto new_context = context_of(*created.tenant, new_one, database);
    EXPECT_TRUE(run(session->begin(&new_context, patient())).ok());
    EXPECT_TRUE(run(session->commit(patient())).ok());
    remove(*created.tenant);
  }
}

TEST_F(ContextKeysTest, ARotationAddsSignsAndRetires) {
  const auto created = create(request("Rotated", Tier::database));
  const std::string& database = created.tenant->placement.database;
  const std::int32_t old_one = signing();
  const std::int32_t new_one = rotate();
  EXPECT_EQ(new_one, old_one + 1);
  EXPECT_EQ(signing(), new_one);
  const std::string both = std::to_string(old_one) + "," + std::to_string(new_one);
  for (const auto& name : {database, pool_database_name("mini"), template_database_name("mini")}) {
    EXPECT_EQ(keys_in(name), both) << name;
  }
  EXPECT_EQ(states(), std::to_string(new_one) + " signing, " + std::to_string(old_one) + " expiring");
  // A node that has not noticed goes on; a tenant that is made now has both.
  EXPECT_EQ(refusal(*created.tenant, old_one, database), "");
  EXPECT_EQ(refusal(*created.tenant, new_one, database), "");
  const auto later = create(request("Made meanwhile", Tier::database));
  EXPECT_EQ(keys_in(later.tenant->placement.database), both);

  clock().advance(kGrace - std::chrono::seconds(1));
  EXPECT_TRUE(advance(Look::thorough).brought.empty());
  EXPECT_EQ(keys_in(database), both);
  clock().advance(std::chrono::seconds(2));
  EXPECT_EQ(advance(Look::at_keys).brought.size(), 4U);
  EXPECT_EQ(keys_in(database), std::to_string(new_one));
  EXPECT_EQ(states(), std::to_string(new_one) + " signing");
  EXPECT_EQ(refusal(*created.tenant, old_one, database), "the tenant context is not valid");
  EXPECT_EQ(refusal(*created.tenant, new_one, database), "");
  EXPECT_THAT(audited(new_one),
              ElementsAre("context_key.added by tester", "context_key.activated by tester"));
  EXPECT_EQ(audited(old_one).back(), "context_key.retired by server");
  remove(*created.tenant);
  remove(*later.tenant);
}

TEST_F(ContextKeysTest, OneRotationAtATime) {
  std::vector<Result<std::int32_t>> outcomes;
  const auto start = [](ContextRotation& rotation, std::vector<Result<std::int32_t>>& out) -> Task<void> {
    auto outcome = co_await rotation.rotate(Retire::after_grace, tester(), patient());
    out.push_back(std::move(outcome));
  };
  net::TaskGroup group;
  for (int i = 0; i < 3; ++i) group.spawn(start(rotation_, outcomes));
  run(group.join());
  const auto refused = std::count_if(outcomes.begin(), outcomes.end(), [](const auto& outcome) {
    return !outcome.ok() && outcome.error().code == ErrorCode::conflict;
  });
  EXPECT_EQ(refused, 2);
}

TEST_F(ContextKeysTest, ALeakedKeyGoesAtOnce) {
  const auto created = create(request("Leaked", Tier::database));
  const std::string& database = created.tenant->placement.database;
  const std::int32_t first = signing();
  const std::int32_t second = rotate();  // under way, with its grace
  const std::int32_t third = rotate(Retire::at_once);
  EXPECT_EQ(third, second + 1);
  EXPECT_EQ(keys_in(database), std::to_string(third));
  EXPECT_EQ(refusal(*created.tenant, first, database), "the tenant context is not valid");
  EXPECT_EQ(refusal(*created.tenant, second, database), "the tenant context is not valid");
  EXPECT_EQ(refusal(*created.tenant, third, database), "");
  EXPECT_EQ(states(), std::to_string(third) + " signing");
  remove(*created.tenant);
}

// A server that was killed after each step; another one goes on.
TEST_F(ContextKeysTest, AHalfDoneRotationGoesOnByItself) {
  const std::string pool = pool_database_name("mini");
  const std::int32_t old_one = signing();
  const std::int32_t new_one = old_one + 1;
  const std::string generation = std::to_string(new_one);
  // Killed after it was recorded.
  platform_sql().run("INSERT INTO platform.context_keys (generation) VALUES (" + generation + ")");
  EXPECT_EQ(states(), generation + " adding, " + std::to_string(old_one) + " signing");
  // Killed after one database had it.
  ASSERT_TRUE(run(node().guard.bring(pool, patient())).ok());
  EXPECT_EQ(keys_in(template_database_name("mini")), std::to_string(old_one));
  advance(Look::at_keys);
  EXPECT_EQ(keys_in(template_database_name("mini")), std::to_string(old_one) + "," + generation);
  EXPECT_EQ(states(), generation + " signing, " + std::to_string(old_one) + " expiring");
  EXPECT_EQ(signing(), new_one);
  // Killed after it was marked, before it was removed anywhere.
  platform_sql().run(
      "UPDATE platform.context_keys SET retire_at = now(), retired_at = now() WHERE generation = " +
      std::to_string(old_one));
  EXPECT_EQ(states(), generation + " signing, " + std::to_string(old_one) + " retiring");
  EXPECT_EQ(behind().size(), 2U);
  advance(Look::thorough);
  EXPECT_EQ(keys_in(pool), generation);
  EXPECT_EQ(states(), generation + " signing");
}

TEST_F(ContextKeysTest, ADatabaseThatIsDownHoldsARotationUpForAWhile) {
  const auto created = create(request("Down", Tier::database));
  const std::string& database = created.tenant->placement.database;
  const std::int32_t old_one = signing();
  set_connections(database, "false");
  const std::int32_t new_one = rotate();
  EXPECT_EQ(signing(), old_one);
  EXPECT_EQ(states(), std::to_string(new_one) + " adding, " + std::to_string(old_one) + " signing");
  EXPECT_EQ(advance(Look::at_keys).failed.size(), 1U);
  EXPECT_EQ(signing(), old_one);
  clock().advance(ContextRotation::kPatience + std::chrono::seconds(1));
  EXPECT_EQ(advance(Look::at_keys).failed.size(), 1U);
  EXPECT_EQ(signing(), new_one);
  set_connections(database, "true");
  EXPECT_THAT(behind(), ElementsAre(database));
  EXPECT_THAT(advance(Look::thorough).brought, ElementsAre(database));
  EXPECT_EQ(refusal(*created.tenant, new_one, database), "");
  remove(*created.tenant);
}

TEST_F(ContextKeysTest, EveryNodeHearsOfTheNewKey) {
  fixture::Node other(cluster(), clock());
  int told = 0;
  other.registry.on_context_keys([&] { ++told; });
  ASSERT_TRUE(run(other.registry.start(patient())).ok());
  ASSERT_TRUE(run(other.context_keys.refresh(patient())).ok());
  const std::string database = pool_database_name("mini");
  const auto before = other.context_keys.current(database);
  EXPECT_EQ(before->id, signing());
  EXPECT_EQ(other.context_keys.current(database), before);  // derived once
  const std::int32_t new_one = rotate();
  EXPECT_TRUE(eventually([&] { return told > 0; }));
  ASSERT_TRUE(run(other.context_keys.refresh(patient())).ok());
  EXPECT_EQ(other.context_keys.current(database)->id, new_one);
  EXPECT_EQ(before->id, new_one - 1);  // a transaction that was begun keeps its own
  other.registry.stop();
}

TEST_F(ContextKeysTest, ANodeOfAnotherVersionLeavesKeysAlone) {
  ASSERT_TRUE(run(node().guard.choose(GuardMode::portable, patient())).ok());
  platform_sql().run(
      "UPDATE platform.settings SET value = value || '{\"version\": \"portable of tomorrow\"}' "
      "WHERE key = 'context_guard'");
  EXPECT_THAT(behind(), ElementsAre());
  const std::int32_t before = signing();
  EXPECT_FALSE(run(rotation_.rotate(Retire::after_grace, tester(), patient())).ok());
  EXPECT_EQ(signing(), before);
  EXPECT_EQ(states(), std::to_string(before) + " signing");
  ASSERT_TRUE(run(node().guard.choose(GuardMode::portable, patient())).ok());
  EXPECT_EQ(rotate(), before + 1);  // the last to start decides
}

}  // namespace
}  // namespace rowhouse::tenancy
