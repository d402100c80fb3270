// Upgrades of packs over many tenants, as operations: waves, failures, pauses, locks, databases that are
// down, nodes that die in the middle.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tenancy/installation_pgtest.h"
#include "tenancy/pack_upgrade.h"

namespace rowhouse::tenancy {
namespace {

using fixture::tester;
using operations::OperationStatus;
using operations::Point;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::patient;
using ::testing::UnorderedElementsAre;

using namespace std::chrono_literals;

constexpr const char* kPhone =
    "ALTER TABLE leads ADD COLUMN phone text; CREATE INDEX leads_by_phone ON leads (tenant_id, phone)";

// Does something at each effect of one step.
class Watcher : public operations::Observer {
 public:
  Task<Result<void>> at(const Point& point) override {
    if (busy_ || !at_effect || point.scope != Point::Scope::effect || point.step != step)
      co_return Result<void>();
    busy_ = true;  // what it does has effects, too
    co_await at_effect(point);
    busy_ = false;
    co_return Result<void>();
  }
  std::string step;
  std::function<Task<void>(const Point&)> at_effect;

 private:
  bool busy_ = false;
};

operations::EngineOptions quick() {
  operations::EngineOptions options;
  options.heartbeat = 20ms;
  options.poll = 20ms;
  return options;
}

constexpr const char* kDyingNode = "dying";
operations::EngineOptions mortal() {
  operations::EngineOptions options;
  options.node = kDyingNode;
  options.lease = 1h;
  options.heartbeat = 1h;
  return options;
}

class UpgradeTest : public fixture::InstallationTest {
 protected:
  // Every test has a pack of its own.
  void SetUp() override {
    static int tests = 0;
    pack_ = "up" + std::to_string(++tests);
    start_node(quick());
    auto installed = install(version("1.0.0", ""), unlinted());
    ASSERT_TRUE(installed.ok()) << installed.error().message;
  }
  void TearDown() override {
    other_.reset();
    node_.reset();
  }
  void start_node(operations::EngineOptions options) {
    watcher_ = std::make_unique<Watcher>();
    node_ = std::make_unique<fixture::Node>(cluster(), clock(), RegistryOptions(), std::move(options),
                                            watcher_.get());
    node_->operations.start(operations::Engine::Duty::adopt);
    auto started = run(node_->registry.start(patient()));
    ASSERT_TRUE(started.ok()) << started.error().message;
    node_->tenants.wire(nullptr, nullptr, nullptr);
  }

  Bundle version(const std::string& number, const std::string& sql, const std::string& more = "") const {
    std::vector<std::string> migrations;
    migrations.emplace_back(fixture::kTables);
    migrations.emplace_back(fixture::kViews);
    if (!sql.empty()) migrations.push_back(sql);
    if (!more.empty()) migrations.push_back(more);
    auto document = fixture::manifest_document();
    document.set("name", pack_);
    document.set("version", number);
    return fixture::bundle(std::move(migrations), std::move(document));
  }
  // Some are broken on purpose, which lint would find.
  static UpgradeOptions unlinted() {
    UpgradeOptions options;
    options.lint = LintFirst::no;
    options.lock_timeout = 50ms;
    return options;
  }
  Result<InstallReport> install(const Bundle& bundle, const UpgradeOptions& options) {
    return run(node_->upgrades.install(bundle, options, "tester", patient()));
  }
  Uuid start(const Bundle& bundle, const UpgradeOptions& options) {
    auto started = run(node_->upgrades.start(bundle, options, "tester", "", patient()));
    if (!started.ok() || !started->operation) {
      ADD_FAILURE() << (started.ok() ? "there was nothing to do" : started.error().message);
      std::abort();
    }
    return *started->operation;
  }
  operations::Operation wait(const Uuid& operation) {
    auto ended = run(node_->operations.wait(operation, patient()));
    if (!ended.ok()) {
      ADD_FAILURE() << ended.error().message;
      std::abort();
    }
    return std::move(ended).value();
  }

  std::shared_ptr<const Tenant> add(const std::string& slug, Tier tier, const std::string& plan = "basic") {
    auto reloaded = run(node_->registry.reload_packs(patient()));
    EXPECT_TRUE(reloaded.ok());
    NewTenant wanted = request(slug, tier);
    wanted.slug = pack_ + "-" + slug;
    wanted.pack = pack_;
    wanted.plan = plan;
    auto created = run(node_->tenants.create(std::move(wanted), tester(), patient()));
    if (!created.ok()) {
      ADD_FAILURE() << created.error().message << created.error().detail(pg::kServerMessage);
      std::abort();
    }
    return created->tenant;
  }
  std::string full(const std::string& slug) const { return pack_ + "-" + slug; }

  static std::string value(const std::string& sql, const std::string& database) {
    return testing::BlockingSql(testing::superuser(database)).value(sql);
  }
  static void sql(const std::string& text, const std::string& database) {
    testing::BlockingSql(testing::superuser(database)).run(text);
  }
  static bool is_upgraded(const Tenant& tenant) {
    return value(
               "SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace "
               "n ON n.oid = "
               "c.relnamespace WHERE n.nspname = " +
                   pg::quote_literal(tenant.placement.schema) +
                   " AND c.relname = 'leads' AND a.attname = 'phone' AND NOT a.attisdropped",
               tenant.placement.database) == "1";
  }
  // So that the migration cannot run there.
  static void spoil(const Tenant& tenant) {
    sql("ALTER TABLE " + pg::quote_qualified(tenant.placement.schema, "leads") + " ADD COLUMN phone text",
        tenant.placement.database);
  }
  static void mend(const Tenant& tenant) {
    sql("ALTER TABLE " + pg::quote_qualified(tenant.placement.schema, "leads") + " DROP COLUMN phone",
        tenant.placement.database);
  }
  std::string pending() const {
    return platform_sql().value("SELECT upgrade_pending FROM platform.packs WHERE name = '" + pack_ + "'");
  }
  // "slug status wave" of each tenant, in order.
  std::vector<std::string> told(const Uuid& operation) {
    std::vector<std::string> lines;
    UpgradeFilter filter;
    filter.limit = 2;  // pages
    do {
      auto page = run(node_->upgrades.targets(operation, filter, patient()));
      if (!page.ok()) {
        ADD_FAILURE() << page.error().message;
        break;
      }
      for (const UpgradeTarget& target : page->targets) {
        if (!target.tenant) continue;
        lines.push_back(target.slug.substr(pack_.size() + 1) + " " +
                        std::string(upgrade_status_name(target.status)) + " " + std::to_string(target.wave));
      }
      filter.cursor = page->next_cursor;
    } while (!filter.cursor.empty());
    return lines;
  }
  std::string of_target(const Tenant& tenant, const std::string& column) const {
    return platform_sql().value("SELECT " + column + " FROM platform.operation_targets WHERE tenant_id = '" +
                                tenant.id.to_string() + "'");
  }

  fixture::Node& node() { return *node_; }
  Watcher& watcher() { return *watcher_; }

  std::string pack_;
  std::unique_ptr<Watcher> watcher_;
  std::unique_ptr<fixture::Node> node_, other_;
};

TEST_F(UpgradeTest, WavesBeginWithTheCanaryAndGoFromCheapPlansToDearOnes) {
  const auto old_basic = add("old-basic", Tier::schema);
  const auto own_all = add("own-all", Tier::database, "all");
  const auto all = add("all", Tier::schema, "all");
  const auto own_basic = add("own-basic", Tier::database);
  const auto young_basic = add("young-basic", Tier::schema);
  add("pooled", Tier::pool);
  const Uuid operation = start(version("1.1.0", kPhone), unlinted());
  const auto ended = wait(operation);
  EXPECT_EQ(ended.status, OperationStatus::succeeded);
  EXPECT_THAT(told(operation), ElementsAre("young-basic done 1", "own-basic done 1", "old-basic done 2",
                                           "all done 3", "own-all done 4"));
  for (const auto& tenant : {old_basic, own_all, all, own_basic, young_basic})
    EXPECT_TRUE(is_upgraded(*tenant));
  EXPECT_EQ(pending(), "f");
  EXPECT_EQ(*ended.output.find("migrated"), json::Value(5));
  EXPECT_EQ(of_target(*all, "migrations_run || ' ' || attempts || ' ' || (duration_us > 0)"), "1 1 true");
  EXPECT_EQ(platform_sql().value(
                "SELECT count(*) FROM platform.events WHERE type = 'pack.upgraded' AND payload ->> "
                "'operation' = '" +
                operation.to_string() + "'"),
            "1");
  const auto unknown = run(node().upgrades.targets(Uuid(), UpgradeFilter(), patient()));
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, ErrorCode::not_found);
}

TEST_F(UpgradeTest, ACanaryThatFailsStopsEverythingAndRetryGoesOn) {
  const auto first = add("first", Tier::schema);
  const auto second = add("second", Tier::schema);
  const auto canary = add("canary", Tier::schema);
  spoil(*canary);
  const Uuid operation = start(version("1.1.0", kPhone), unlinted());
  const auto failed = wait(operation);
  EXPECT_EQ(failed.status, OperationStatus::failed);
  EXPECT_EQ(*failed.error.find("step"), json::Value("canary"));
  EXPECT_THAT(told(operation), ElementsAre("canary failed 1", "first waiting 2", "second waiting 2"));
  EXPECT_FALSE(is_upgraded(*first));
  EXPECT_EQ(pending(), "t");
  EXPECT_THAT(of_target(*canary, "error"), HasSubstr("already exists"));

  mend(*canary);
  const auto retried = run(node().operations.retry(operation, "tester", patient()));
  ASSERT_TRUE(retried.ok()) << retried.error().message;
  EXPECT_EQ(wait(operation).status, OperationStatus::succeeded);
  EXPECT_THAT(told(operation), ElementsAre("canary done 1", "first done 2", "second done 2"));
  EXPECT_TRUE(is_upgraded(*first) && is_upgraded(*second) && is_upgraded(*canary));
  EXPECT_EQ(pending(), "f");
}

TEST_F(UpgradeTest, ItStopsWhenTooManyFail) {
  std::vector<std::shared_ptr<const Tenant>> tenants;
  for (int i = 0; i < 4; ++i) tenants.push_back(add("own" + std::to_string(i), Tier::database));
  for (int i = 0; i < 3; ++i) spoil(*tenants[static_cast<std::size_t>(i)]);  // the last one is the canary
  auto options = unlinted();
  options.max_failures = 2;
  options.parallel = 1;
  const auto report = install(version("1.1.0", kPhone), options);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_THAT(report->migrated, ElementsAre(full("own3")));
  EXPECT_EQ(report->failed.size(), 2U);
  EXPECT_EQ(report->waiting, 1U);
  EXPECT_EQ(pending(), "t");
  for (int i = 0; i < 3; ++i) mend(*tenants[static_cast<std::size_t>(i)]);
  // The same pack once more goes on, too.
  const auto resumed = install(version("1.1.0", kPhone), options);
  ASSERT_TRUE(resumed.ok()) << resumed.error().message;
  EXPECT_THAT(resumed->migrated,
              UnorderedElementsAre("template", "pool", full("own0"), full("own1"), full("own2")));
  EXPECT_THAT(resumed->failed, IsEmpty());
  EXPECT_EQ(pending(), "f");
}

TEST_F(UpgradeTest, APauseTakesEffectBetweenTenants) {
  std::vector<std::shared_ptr<const Tenant>> tenants;
  for (int i = 0; i < 4; ++i) tenants.push_back(add("own" + std::to_string(i), Tier::database));
  auto options = unlinted();
  options.parallel = 1;
  options.canary = 0;
  bool asked = false;
  Uuid operation;
  watcher().step = "migrate_tenants";
  watcher().at_effect = [&](const Point& point) -> Task<void> {
    if (point.effect != "ALTER TABLE" || std::exchange(asked, true)) co_return;
    const auto paused = co_await node().operations.pause(operation, "tester", patient());
    EXPECT_TRUE(paused.ok());
    // Two heartbeats later the engine knows.
    for (int beat = 0; beat < 2; ++beat) {
      const std::string expires =
          "SELECT lease_expires_at FROM platform.operations WHERE id = '" + operation.to_string() + "'";
      const std::string before = platform_sql().value(expires);
      while (platform_sql().value(expires) == before) co_await net::sleep_for(executor(), 2ms);
    }
  };
  operation = start(version("1.1.0", kPhone), options);
  EXPECT_EQ(wait(operation).status, OperationStatus::paused);
  EXPECT_THAT(told(operation),
              ElementsAre("own0 done 2", "own1 waiting 2", "own2 waiting 2", "own3 waiting 2"));
  EXPECT_FALSE(is_upgraded(*tenants[1]));
  watcher().at_effect = nullptr;
  ASSERT_TRUE(run(node().operations.resume(operation, "tester", patient())).ok());
  EXPECT_EQ(wait(operation).status, OperationStatus::succeeded);
  for (const auto& tenant : tenants) EXPECT_TRUE(is_upgraded(*tenant));
  EXPECT_EQ(pending(), "f");
}

TEST_F(UpgradeTest, CancelKeepsWhatIsMigrated) {
  std::vector<std::shared_ptr<const Tenant>> tenants;
  for (int i = 0; i < 3; ++i) tenants.push_back(add("own" + std::to_string(i), Tier::database));
  auto options = unlinted();
  options.parallel = 1;
  Uuid operation;
  watcher().step = "migrate_tenants";
  bool asked = false;
  watcher().at_effect = [&](const Point&) -> Task<void> {
    if (std::exchange(asked, true)) co_return;
    const auto cancelled = co_await node().operations.cancel(operation, "tester", patient());
    EXPECT_TRUE(cancelled.ok());
  };
  operation = start(version("1.1.0", kPhone), options);
  EXPECT_EQ(wait(operation).status, OperationStatus::cancelled);
  EXPECT_TRUE(is_upgraded(*tenants[2])) << "the canary";
  EXPECT_THAT(told(operation), Not(Contains(HasSubstr("running"))));
  EXPECT_EQ(pending(), "t");
  const auto resumed = install(version("1.1.0", kPhone), options);
  ASSERT_TRUE(resumed.ok()) << resumed.error().message;
  EXPECT_THAT(resumed->migrated, UnorderedElementsAre("template", "pool", full("own0"), full("own1")));
  EXPECT_EQ(pending(), "f");
}

TEST_F(UpgradeTest, ALockIsNotWaitedForAndTheTenantTriedAgain) {
  const auto busy = add("busy", Tier::schema);
  const auto own = add("own", Tier::database);
  add("canary", Tier::schema);
  const std::string lock =
      "BEGIN; LOCK TABLE " + pg::quote_qualified(busy->placement.schema, "leads") + " IN SHARE MODE";
  testing::BlockingSql holder(testing::superuser(busy->placement.database));
  holder.run(lock);
  const Uuid operation = start(version("1.1.0", kPhone), unlinted());
  ASSERT_TRUE(eventually([&] {
    return platform_sql().value("SELECT count(*) FROM platform.operation_targets WHERE tenant_id = '" +
                                busy->id.to_string() + "' AND attempts > 0") == "1";
  }));
  holder.run("ROLLBACK");
  EXPECT_EQ(wait(operation).status, OperationStatus::succeeded);
  EXPECT_EQ(of_target(*busy, "status || ' ' || (attempts > 1)"), "done true");
  EXPECT_TRUE(is_upgraded(*busy) && is_upgraded(*own));
}

TEST_F(UpgradeTest, ALockThatIsNeverGivenBackFailsTheTenant) {
  const auto busy = add("busy", Tier::schema);
  const auto canary = add("canary", Tier::schema);
  testing::BlockingSql holder(testing::superuser(busy->placement.database));
  holder.run("BEGIN; LOCK TABLE " + pg::quote_qualified(busy->placement.schema, "leads") + " IN SHARE MODE");
  const auto report = install(version("1.1.0", kPhone), unlinted());
  ASSERT_TRUE(report.ok()) << report.error().message;
  ASSERT_EQ(report->failed.size(), 1U);
  EXPECT_EQ(report->failed[0].first, full("busy"));
  EXPECT_EQ(of_target(*busy, "attempts"), "5");
  EXPECT_TRUE(is_upgraded(*canary));
  holder.run("ROLLBACK");
  const auto resumed = install(version("1.1.0", kPhone), unlinted());
  ASSERT_TRUE(resumed.ok()) << resumed.error().message;
  EXPECT_THAT(resumed->migrated, ElementsAre("template", "pool", full("busy")));
}

TEST_F(UpgradeTest, ADatabaseThatIsDownIsLeftBehindAndCaughtUp) {
  const auto down = add("down", Tier::database);
  const auto up = add("up", Tier::database);
  sql("ALTER DATABASE " + pg::quote_name(down->placement.database) + " ALLOW_CONNECTIONS false", "postgres");
  const auto report = install(version("1.1.0", kPhone), unlinted());
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_THAT(report->failed, IsEmpty());
  EXPECT_EQ(report->behind, 1U);
  EXPECT_TRUE(is_upgraded(*up));
  EXPECT_EQ(pending(), "t");
  const auto too_early = run(node().upgrades.catch_up(patient()));
  ASSERT_TRUE(too_early.ok()) << too_early.error().message;
  EXPECT_THAT(*too_early, IsEmpty());

  sql("ALTER DATABASE " + pg::quote_name(down->placement.database) + " ALLOW_CONNECTIONS true", "postgres");
  const auto caught = run(node().upgrades.catch_up(patient()));
  ASSERT_TRUE(caught.ok()) << caught.error().message;
  EXPECT_THAT(*caught, ElementsAre(pack_));
  ASSERT_TRUE(eventually([&] { return pending() == "f"; }));
  EXPECT_TRUE(is_upgraded(*down));
  EXPECT_EQ(
      platform_sql().value(
          "SELECT count(*) FROM platform.events WHERE type = 'pack.caught_up' AND payload ->> 'pack' = '" +
          pack_ + "'"),
      "1");
  const auto nothing_left = run(node().upgrades.catch_up(patient()));
  ASSERT_TRUE(nothing_left.ok());
  EXPECT_THAT(*nothing_left, IsEmpty());
}

TEST_F(UpgradeTest, ATenantThatIsDeletedMeanwhileIsNotMadeAgain) {
  const auto doomed = add("doomed", Tier::schema);
  const auto own = add("own", Tier::database);
  add("canary", Tier::schema);
  add("own-canary", Tier::database);
  bool deleted = false;
  watcher().step = "canary";
  watcher().at_effect = [&](const Point&) -> Task<void> {
    if (std::exchange(deleted, true)) co_return;
    for (const auto& tenant : {doomed, own}) {
      const auto removed = co_await node().tenants.remove(tenant->id.to_string(), tester(), patient());
      EXPECT_TRUE(removed.ok());
    }
  };
  const Uuid operation = start(version("1.1.0", kPhone), unlinted());
  EXPECT_EQ(wait(operation).status, OperationStatus::succeeded);
  EXPECT_TRUE(deleted);
  EXPECT_THAT(told(operation), ElementsAre("canary done 1", "own-canary done 1"));
  EXPECT_EQ(value("SELECT count(*) FROM pg_namespace WHERE nspname = " +
                      pg::quote_literal(doomed->placement.schema),
                  doomed->placement.database),
            "0");
  EXPECT_EQ(pending(), "f");
}

TEST_F(UpgradeTest, AnotherNodeGoesOnInTheMiddle) {
  std::vector<std::shared_ptr<const Tenant>> tenants;
  for (int i = 0; i < 3; ++i) tenants.push_back(add("shared" + std::to_string(i), Tier::schema));
  for (int i = 0; i < 3; ++i) tenants.push_back(add("own" + std::to_string(i), Tier::database));
  node_.reset();
  start_node(mortal());
  auto options = unlinted();
  options.parallel = 1;
  int commits = 0;
  bool stopped = false, let_go = false;
  watcher().step = "migrate_tenants";
  watcher().at_effect = [&](const Point& point) -> Task<void> {
    if (point.effect != "COMMIT" || point.moment != EffectGuard::Moment::after || ++commits != 3) co_return;
    platform_sql().run(
        std::string("UPDATE platform.operations SET lease_expires_at = clock_timestamp() - interval "
                    "'1s' WHERE lease_holder = '") +
        kDyingNode + "'");
    stopped = true;
    while (!let_go) co_await net::sleep_for(executor(), 2ms);
  };
  const Uuid operation = start(version("1.1.0", kPhone), options);
  ASSERT_TRUE(eventually([&] { return stopped; }));
  other_ = std::make_unique<fixture::Node>(cluster(), clock(), RegistryOptions(), quick());
  other_->operations.start(operations::Engine::Duty::adopt);
  const auto ended = run(other_->operations.wait(operation, patient()));
  ASSERT_TRUE(ended.ok()) << ended.error().message;
  EXPECT_EQ(ended->status, OperationStatus::succeeded);
  EXPECT_EQ(ended->attempts, 2);
  for (const auto& tenant : tenants) {
    EXPECT_TRUE(is_upgraded(*tenant));
    EXPECT_EQ(value("SELECT count(*) FROM rowhouse.pack_migrations WHERE schema_name = " +
                        pg::quote_literal(tenant->placement.schema),
                    tenant->placement.database),
              "3");
  }
  EXPECT_EQ(pending(), "f");
  let_go = true;
  node_.reset();  // the watcher works with what is about to go
}

TEST_F(UpgradeTest, OneUpgradeOfAPackAtATime) {
  add("one", Tier::schema);
  bool let_go = false;
  watcher().step = "migrate_pool";
  watcher().at_effect = [&](const Point&) -> Task<void> {
    while (!let_go) co_await net::sleep_for(executor(), 2ms);
  };
  const Uuid operation = start(version("1.1.0", kPhone), unlinted());
  const auto same = run(node().upgrades.start(version("1.1.0", kPhone), unlinted(), "tester", "", patient()));
  ASSERT_TRUE(same.ok()) << same.error().message;
  EXPECT_EQ(same->operation, operation);
  EXPECT_EQ(same->novelty, operations::Submitted::Novelty::repeated);
  const auto other =
      run(node().upgrades.start(version("1.2.0", kPhone), unlinted(), "tester", "", patient()));
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code, ErrorCode::conflict);
  EXPECT_THAT(other.error().message, HasSubstr(operation.to_string()));
  let_go = true;
  EXPECT_EQ(wait(operation).status, OperationStatus::succeeded);
  EXPECT_EQ(platform_sql().value("SELECT count(*) FROM platform.pack_uploads WHERE bundle IS NOT NULL"), "0");
}

TEST_F(UpgradeTest, AFailedUpgradeDoesNotGoOnBehindALaterOne) {
  const auto canary = add("canary", Tier::schema);
  spoil(*canary);
  const Uuid operation = start(version("1.1.0", kPhone), unlinted());
  EXPECT_EQ(wait(operation).status, OperationStatus::failed);
  mend(*canary);
  const auto later = install(version("1.2.0", kPhone), unlinted());
  ASSERT_TRUE(later.ok()) << later.error().message;
  ASSERT_TRUE(run(node().operations.retry(operation, "tester", patient())).ok());
  const auto retried = wait(operation);
  EXPECT_EQ(retried.status, OperationStatus::failed);
  EXPECT_THAT(operations::operation_error(retried).message, HasSubstr("another upgrade"));
}

TEST_F(UpgradeTest, WhatIsUpToDateIsNotTouched) {
  for (int i = 0; i < 3; ++i) add("t" + std::to_string(i), Tier::schema);
  const auto same = run(node().upgrades.start(version("1.0.0", ""), unlinted(), "tester", "", patient()));
  ASSERT_TRUE(same.ok()) << same.error().message;
  EXPECT_FALSE(same->operation.has_value());
  EXPECT_EQ(same->report.unchanged, 5U);
  const auto renamed = install(version("1.1.0", ""), unlinted());
  ASSERT_TRUE(renamed.ok()) << renamed.error().message;
  EXPECT_THAT(renamed->migrated, IsEmpty());
  EXPECT_EQ(renamed->unchanged, 5U);
}

TEST_F(UpgradeTest, WhatTakesSomethingAwayIsAskedForAndWaitsForThoseBehind) {
  const auto down = add("down", Tier::database);
  const std::string database = pg::quote_name(down->placement.database);
  sql("ALTER DATABASE " + database + " ALLOW_CONNECTIONS false", "postgres");
  ASSERT_TRUE(install(version("1.1.0", kPhone), unlinted()).ok());
  ASSERT_EQ(pending(), "t");
  const Bundle contract =
      version("1.2.0", kPhone, "-- rowhouse: contract\nALTER TABLE leads DROP COLUMN phone");
  auto asked_for = unlinted();
  asked_for.contract = Contract::allowed;
  const auto too_early = install(contract, asked_for);
  ASSERT_FALSE(too_early.ok());
  EXPECT_EQ(too_early.error().code, ErrorCode::pack_refused);
  EXPECT_THAT(too_early.error().message, HasSubstr("finish its upgrade first"));

  sql("ALTER DATABASE " + database + " ALLOW_CONNECTIONS true", "postgres");
  ASSERT_TRUE(install(version("1.1.0", kPhone), unlinted()).ok());
  ASSERT_EQ(pending(), "f");
  const auto not_asked_for = install(contract, unlinted());
  ASSERT_FALSE(not_asked_for.ok());
  EXPECT_EQ(not_asked_for.error().code, ErrorCode::pack_refused);
  EXPECT_TRUE(is_upgraded(*down));
  const auto done = install(contract, asked_for);
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_FALSE(is_upgraded(*down));
}

TEST_F(UpgradeTest, ServersGoByTheOldVersionUntilEverybodyHasTheNewOne) {
  const auto first = add("first", Tier::schema);
  const auto canary = add("canary", Tier::schema);
  const auto stored = [&] {
    return platform_sql().value(
        "SELECT version || ' ' || upgrade_pending FROM platform.packs WHERE name = '" + pack_ + "'");
  };
  const auto in_pool = [&] {
    return value(
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'app.leads'::regclass AND attname = 'phone'",
        pool_database_name(pack_));
  };
  spoil(*canary);
  const Uuid operation = start(version("1.1.0", kPhone), unlinted());
  EXPECT_EQ(wait(operation).status, OperationStatus::failed);
  EXPECT_EQ(stored(), "1.0.0 true");
  EXPECT_EQ(in_pool(), "0");
  EXPECT_FALSE(is_upgraded(*first));
  // Nobody would look for them later.
  const auto newcomer = add("newcomer", Tier::schema);
  const auto own_newcomer = add("own-newcomer", Tier::database);
  EXPECT_TRUE(is_upgraded(*newcomer));
  EXPECT_TRUE(is_upgraded(*own_newcomer));
  mend(*canary);
  ASSERT_TRUE(run(node().operations.retry(operation, "tester", patient())).ok());
  EXPECT_EQ(wait(operation).status, OperationStatus::succeeded);
  EXPECT_EQ(stored(), "1.1.0 false");
  EXPECT_EQ(in_pool(), "1");
  EXPECT_TRUE(is_upgraded(*first));
  EXPECT_TRUE(is_upgraded(*canary));
}

TEST_F(UpgradeTest, WhatIsTakenAwayIsNoLongerServedBeforeTheFirstLosesIt) {
  add("one", Tier::schema);
  ASSERT_TRUE(install(version("1.1.0", kPhone), unlinted()).ok());
  auto options = unlinted();
  options.contract = Contract::allowed;
  const Uuid operation =
      start(version("1.2.0", kPhone, "-- rowhouse: contract\nALTER TABLE leads DROP COLUMN phone"), options);
  EXPECT_EQ(wait(operation).status, OperationStatus::succeeded);
  EXPECT_EQ(
      platform_sql().value("SELECT string_agg(name, ' ' ORDER BY ordinal) FROM platform.operation_steps "
                           "WHERE operation_id = '" +
                           operation.to_string() + "' AND status = 'done'"),
      "upload check migrate_template_first migrate_pool_first store_first list_tenants canary "
      "migrate_tenants finish");
}

TEST_F(UpgradeTest, OptionsHaveBounds) {
  const auto refused = [&](const std::function<void(UpgradeOptions&)>& change) {
    UpgradeOptions options;
    change(options);
    const auto started =
        run(node().upgrades.start(version("1.1.0", kPhone), options, "tester", "", patient()));
    return !started.ok() && started.error().code == ErrorCode::invalid_parameter;
  };
  EXPECT_TRUE(refused([](UpgradeOptions& options) { options.parallel = 0; }));
  EXPECT_TRUE(refused([](UpgradeOptions& options) { options.parallel = 17; }));
  EXPECT_TRUE(refused([](UpgradeOptions& options) { options.canary = 1'001; }));
  EXPECT_TRUE(refused([](UpgradeOptions& options) { options.lock_timeout = 0ms; }));
  EXPECT_TRUE(refused([](UpgradeOptions& options) { options.max_failures = 0; }));
}

}  // namespace
}  // namespace rowhouse::tenancy
