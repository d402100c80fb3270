// Creating and deleting tenants as durable operations: interrupted at every step, asked for twice, cancelled.
#include "tenancy/tenant_operations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tenancy/api_key.h"
#include "tenancy/installation_pgtest.h"

namespace rowhouse::tenancy {
namespace {

using fixture::tester;
using operations::OperationStatus;
using operations::Point;
using ::testing::ElementsAre;
using testing::patient;

using namespace std::chrono_literals;

constexpr const char* kDyingNode = "dying";

// A node that dies at one point: it says nothing any more, until it is let go.
class Interrupter : public operations::Observer {
 public:
  Interrupter(net::Executor& executor, testing::BlockingSql& platform)
      : executor_(executor), platform_(platform) {}

  Task<Result<void>> at(const Point& point) override {
    const std::string name = point.name();
    if (point.scope == Point::Scope::step) seen.push_back(name);
    if (name == stop_at) co_await die();
    co_return Result<void>();
  }
  // As if nothing had been heard of it for as long as its lease was.
  Task<void> die() {
    platform_.run(
        std::string("UPDATE platform.operations SET lease_expires_at = clock_timestamp() - interval '1s' ") +
        "WHERE lease_holder = '" + kDyingNode + "'");
    stopped = true;
    while (!let_go) co_await net::sleep_for(executor_, 2ms);
  }

  std::string stop_at;
  bool stopped = false, let_go = false;
  std::vector<std::string> seen;  // points around whole steps

 private:
  net::Executor& executor_;
  testing::BlockingSql& platform_;
};

operations::EngineOptions mortal() {
  operations::EngineOptions options;
  options.node = kDyingNode;
  options.lease = 1h;
  options.heartbeat = 1h;
  options.poll = 1h;
  return options;
}

operations::EngineOptions adopting() {
  operations::EngineOptions options;
  options.poll = 20ms;
  return options;
}

// Two rows in two statements of one session: what a node leaves that dies between them must not stay.
Task<Result<std::size_t>> load_two_rows(const Cluster& cluster, std::shared_ptr<const Tenant> tenant,
                                        CallOptions options) {
  CO_TRY(auto session, co_await cluster.administrator(tenant->placement.database, options));
  for (const char* email : {"one@example.com", "two@example.com"}) {
    const std::string insert = "INSERT INTO " + pg::quote_qualified(tenant->placement.schema, "leads") +
                               " (tenant_id, email) VALUES (" + pg::quote_literal(tenant->id.to_string()) +
                               ", " + pg::quote_literal(email) + ")";
    CO_TRY_DO(co_await session.script(insert, options));
  }
  co_return std::size_t{2};
}

class TenantOperationsTest : public fixture::InstallationTest {
 protected:
  // Two nodes: `first` works on what is asked of it and may die, `second` goes on with whatever nobody works
  // on.
  void start_nodes() {
    interrupter_ = std::make_unique<Interrupter>(executor(), platform_sql());
    first_ =
        std::make_unique<fixture::Node>(cluster(), clock(), RegistryOptions(), mortal(), interrupter_.get());
    second_ = std::make_unique<fixture::Node>(cluster(), clock(), RegistryOptions(), adopting());
    for (auto* one : {first_.get(), second_.get()}) {
      ASSERT_TRUE(run(one->registry.start(patient())).ok());
      one->tenants.wire(
          nullptr,
          [](std::shared_ptr<const Tenant> tenant, const std::vector<SampleData>&, CallOptions options) {
            return load_two_rows(cluster(), std::move(tenant), options);
          },
          nullptr);
    }
    first_->operations.start(operations::Engine::Duty::own);
    second_->operations.start(operations::Engine::Duty::adopt);
  }
  void stop_nodes() {
    interrupter_->let_go = true;
    first_.reset();
    second_.reset();
    interrupter_.reset();
  }
  void TearDown() override {
    if (interrupter_) stop_nodes();
  }

  StartedCreation start(fixture::Node& on, NewTenant wanted, const std::string& key = "") {
    auto started = run(on.tenants.start_create(std::move(wanted), tester(), key, patient()));
    if (!started.ok()) {
      ADD_FAILURE() << started.error().message;
      std::abort();
    }
    return std::move(started).value();
  }
  StartedRemoval start_removal(fixture::Node& on, const Tenant& tenant) {
    auto started = run(on.tenants.start_remove(tenant.id.to_string(), tester(), "", patient()));
    if (!started.ok()) {
      ADD_FAILURE() << started.error().message;
      std::abort();
    }
    return *started;
  }
  operations::Operation wait(fixture::Node& on, const Uuid& operation) {
    auto ended = run(on.operations.wait(operation, patient()));
    if (!ended.ok()) {
      ADD_FAILURE() << ended.error().message;
      std::abort();
    }
    return std::move(ended).value();
  }

  NewTenant with_samples(const std::string& name, Tier tier) {
    auto wanted = request(name, tier);
    wanted.sample_rows = NewTenant::SampleRows::load;
    return wanted;
  }

  static std::string leads_of(const Tenant& tenant) {
    testing::BlockingSql sql(testing::superuser(tenant.placement.database));
    return sql.value("SELECT count(*) FROM " + pg::quote_qualified(tenant.placement.schema, "leads") +
                     " WHERE tenant_id = '" + tenant.id.to_string() + "'");
  }

  // Everything that makes the tenant one that works.
  void expect_works(const Tenant& tenant, const std::string& api_key) {
    EXPECT_EQ(status_of(tenant.id), "active");
    EXPECT_EQ(leads_of(tenant), "2");
    EXPECT_TRUE(run(second_->registry.find_key(hash_of_credential(api_key), patient())).ok());
    testing::BlockingSql sql(testing::superuser(tenant.placement.database));
    const std::string leads = pg::quote_qualified(tenant.placement.schema, "leads");
    EXPECT_EQ(sql.value("SELECT relforcerowsecurity FROM pg_class WHERE oid = to_regclass('" + leads + "')"),
              "t");
    EXPECT_EQ(
        sql.value("SELECT has_table_privilege('" + tenant.placement.role + "', '" + leads + "', 'SELECT')"),
        "t");
    EXPECT_EQ(
        testing::BlockingSql::cannot_connect(cluster().as(tenant.placement.role, tenant.placement.database)),
        "");
  }

  // The points around the steps of what `act` does, as a node sees them that is left alone.
  template <class Act>
  std::vector<std::string> points_of(Act act) {
    start_nodes();
    act();
    auto seen = interrupter_->seen;
    stop_nodes();
    return seen;
  }

  std::unique_ptr<Interrupter> interrupter_;
  std::unique_ptr<fixture::Node> first_, second_;
};

constexpr Tier kTiers[] = {Tier::pool, Tier::schema, Tier::database};

// ------------------------------------------------------------------------------------------ interruptions

TEST_F(TenantOperationsTest, ACreationThatIsCutOffAnywhereEndsInATenantThatWorks) {
  const auto before = inventory();
  for (const Tier tier : kTiers) {
    const auto points = points_of([&] {
      const auto started = start(*first_, with_samples("Model", tier));
      EXPECT_EQ(wait(*first_, started.operation).status, OperationStatus::succeeded);
      const auto removal = start_removal(*second_, *started.tenant);
      EXPECT_EQ(wait(*second_, removal.operation).status, OperationStatus::succeeded);
    });
    EXPECT_GE(points.size(), 4U);
    for (const auto& point : points) {
      SCOPED_TRACE(point);
      start_nodes();
      interrupter_->stop_at = point;
      const auto started = start(*first_, with_samples("Cut Off", tier));
      EXPECT_EQ(wait(*second_, started.operation).status, OperationStatus::succeeded);
      EXPECT_TRUE(interrupter_->stopped);
      expect_works(*started.tenant, started.api_key);
      // The dead one was only asleep: nothing of what it does now counts.
      interrupter_->let_go = true;
      first_.reset();
      expect_works(*started.tenant, started.api_key);
      const auto removal = start_removal(*second_, *started.tenant);
      EXPECT_EQ(wait(*second_, removal.operation).status, OperationStatus::succeeded);
      stop_nodes();
      EXPECT_EQ(inventory(), before);
    }
  }
}

TEST_F(TenantOperationsTest, ADeletionThatIsCutOffAnywhereLeavesNothing) {
  const auto before = inventory();
  for (const Tier tier : kTiers) {
    const auto points = points_of([&] {
      const auto tenant = create(request("Model", tier)).tenant;
      const auto removal = start_removal(*first_, *tenant);
      EXPECT_EQ(wait(*first_, removal.operation).status, OperationStatus::succeeded);
    });
    EXPECT_GE(points.size(), 6U);
    for (const auto& point : points) {
      SCOPED_TRACE(point);
      start_nodes();
      interrupter_->stop_at = point;
      const auto tenant = create(request("Cut Off", tier)).tenant;
      add_lead(*tenant, "a@example.com");
      const auto removal = start_removal(*first_, *tenant);
      EXPECT_EQ(wait(*second_, removal.operation).status, OperationStatus::succeeded);
      EXPECT_TRUE(interrupter_->stopped);
      EXPECT_EQ(inventory(), before);
      stop_nodes();
      EXPECT_EQ(inventory(), before);
      EXPECT_THAT(actions_of(tenant->id).back(), "tenant.deleted");
      const auto actions = actions_of(tenant->id);
      EXPECT_EQ(std::count(actions.begin(), actions.end(), "tenant.deleted"), 1);
    }
  }
}

// The undo, too, may be cut off anywhere.
TEST_F(TenantOperationsTest, AFailedCreationThatIsCutOffAnywhereLeavesNothing) {
  const auto fail = [](std::shared_ptr<const Tenant>, const std::vector<SampleData>&,
                       CallOptions) -> Task<Result<std::size_t>> {
    co_return Error(ErrorCode::validation_failed, "row 3 is bad");
  };
  const auto before = inventory();
  for (const Tier tier : kTiers) {
    const auto start_failing = [&] {
      for (auto* one : {first_.get(), second_.get()}) one->tenants.wire(nullptr, fail, nullptr);
      return start(*first_, with_samples("Unlucky", tier));
    };
    const auto points = points_of(
        [&] { EXPECT_EQ(wait(*first_, start_failing().operation).status, OperationStatus::undone); });
    for (const auto& point : points) {
      SCOPED_TRACE(point);
      start_nodes();
      interrupter_->stop_at = point;
      const auto started = start_failing();
      const auto ended = wait(*second_, started.operation);
      EXPECT_EQ(ended.status, OperationStatus::undone);
      EXPECT_EQ(operations::operation_error(ended).message, "row 3 is bad");
      EXPECT_EQ(inventory(), before);
      stop_nodes();
      EXPECT_EQ(inventory(), before);
    }
  }
}

// A node that falls asleep between two statements of a step, in whose middle another takes over.
TEST_F(TenantOperationsTest, ASleepingNodeWritesNothingMore) {
  for (const Tier tier : kTiers) {
    SCOPED_TRACE(tier_name(tier));
    start_nodes();
    first_->tenants.wire(
        nullptr,
        [&](std::shared_ptr<const Tenant> tenant, const std::vector<SampleData>&,
            CallOptions options) -> Task<Result<std::size_t>> {
          auto session = co_await cluster().administrator(tenant->placement.database, options);
          if (!session.ok()) co_return std::move(session).error();
          const std::string table = pg::quote_qualified(tenant->placement.schema, "leads");
          const std::string insert = "INSERT INTO " + table + " (tenant_id, email) VALUES ('" +
                                     tenant->id.to_string() + "', 'x@example.com')";
          CO_TRY_DO(co_await session->script(insert, options));
          co_await interrupter_->die();
          // Even if nobody asked whether the lease is still there: the session is gone with it.
          const CallOptions unwatched{options.deadline};
          const auto late = co_await session->script(insert, unwatched);
          EXPECT_FALSE(late.ok());
          co_return std::size_t{2};
        },
        nullptr);
    const auto started = start(*first_, with_samples("Sleeper", tier));
    EXPECT_EQ(wait(*second_, started.operation).status, OperationStatus::succeeded);
    EXPECT_TRUE(interrupter_->stopped);
    interrupter_->let_go = true;
    first_.reset();
    expect_works(*started.tenant, started.api_key);
    start_removal(*second_, *started.tenant);
    EXPECT_TRUE(eventually([&] { return status_of(started.tenant->id).empty(); }));
    stop_nodes();
  }
}

// --------------------------------------------------------------------------------------------- repetition

Task<void> start_into(TenantService& service, NewTenant wanted, std::string key,
                      std::vector<Result<StartedCreation>>& results) {
  auto result = co_await service.start_create(std::move(wanted), tester(), std::move(key), patient());
  results.push_back(std::move(result));
}

TEST_F(TenantOperationsTest, OneKeyFiftyTimesAtOnceMakesOneTenant) {
  for (const Tier tier : kTiers) {
    SCOPED_TRACE(tier_name(tier));
    const std::string key = "key of " + std::string(tier_name(tier));
    std::vector<Result<StartedCreation>> results;
    net::TaskGroup group;
    for (int i = 0; i < 50; ++i) group.spawn(start_into(tenants(), request("Once", tier), key, results));
    run(group.join());
    std::set<std::string> ids, keys, operations;
    std::size_t new_ones = 0;
    for (auto& result : results) {
      ASSERT_TRUE(result.ok()) << result.error().message;
      ASSERT_NE(result->tenant, nullptr);
      ids.insert(result->tenant->id.to_string());
      keys.insert(result->api_key);
      operations.insert(result->operation.to_string());
      if (result->novelty == operations::Submitted::Novelty::started) ++new_ones;
    }
    EXPECT_EQ(ids.size(), 1U);
    EXPECT_EQ(keys.size(), 1U);
    EXPECT_EQ(operations.size(), 1U);
    EXPECT_EQ(new_ones, 1U);
    const auto first = run(tenants().finish_create(*results[0], patient()));
    const auto last = run(tenants().finish_create(*results[49], patient()));
    ASSERT_TRUE(first.ok() && last.ok());
    EXPECT_EQ(first->api_key, last->api_key);
    EXPECT_EQ(platform_sql().value("SELECT count(*) FROM platform.tenants WHERE name = 'Once'"), "1");
    EXPECT_EQ(platform_sql().value("SELECT count(*) FROM platform.api_keys WHERE hash = sha256('" +
                                   first->api_key + "')"),
              "1");
    remove(*first->tenant);
    // Gone: the key still names that tenant, and makes no other.
    auto again = run(tenants().start_create(request("Once", tier), tester(), key, patient()));
    ASSERT_TRUE(again.ok()) << again.error().message;
    EXPECT_EQ(again->tenant, nullptr);
    EXPECT_EQ(again->api_key, "");
    EXPECT_EQ(run(tenants().finish_create(*again, patient())).error().code, ErrorCode::conflict);
  }
}

TEST_F(TenantOperationsTest, AKeyStandsForOneRequestOfOneActor) {
  for (const Tier tier : {Tier::pool, Tier::schema}) {
    SCOPED_TRACE(tier_name(tier));
    const std::string key = "mine-" + std::string(tier_name(tier));
    const auto started = start(node(), request("Mine", tier), key);
    ASSERT_TRUE(run(tenants().finish_create(started, patient())).ok());
    const auto other_request = run(tenants().start_create(request("Other", tier), tester(), key, patient()));
    ASSERT_FALSE(other_request.ok());
    EXPECT_EQ(other_request.error().code, ErrorCode::idempotency_key_reused);
    const auto other_actor =
        run(tenants().start_create(request("Mine", tier), Actor("somebody else", ""), key, patient()));
    ASSERT_TRUE(other_actor.ok()) << other_actor.error().message;
    EXPECT_EQ(other_actor->novelty, operations::Submitted::Novelty::started);
    EXPECT_NE(other_actor->tenant->id, started.tenant->id);
    EXPECT_NE(other_actor->api_key, started.api_key);
    ASSERT_TRUE(run(tenants().finish_create(*other_actor, patient())).ok());
    remove(*started.tenant);
    remove(*other_actor->tenant);
  }
}

TEST_F(TenantOperationsTest, ARepeatedDeletionFindsTheFirst) {
  const auto created = create(request("Twice"));
  const std::string id = created.tenant->id.to_string();
  const auto first = run(tenants().start_remove(id, tester(), "delete it", patient()));
  ASSERT_TRUE(first.ok()) << first.error().message;
  ASSERT_TRUE(run(tenants().finish_remove(*first, patient())).ok());
  const auto second = run(tenants().start_remove(id, tester(), "delete it", patient()));
  ASSERT_TRUE(second.ok()) << second.error().message;
  EXPECT_EQ(second->operation, first->operation);
  EXPECT_EQ(second->novelty, operations::Submitted::Novelty::repeated);
  EXPECT_TRUE(run(tenants().finish_remove(*second, patient())).ok());
  EXPECT_EQ(run(tenants().start_remove(id, tester(), "another", patient())).error().code,
            ErrorCode::not_found);
}

Task<void> remove_into(TenantService& service, std::string id, std::vector<Result<StartedRemoval>>& results) {
  auto result = co_await service.start_remove(std::move(id), tester(), "", patient());
  results.push_back(std::move(result));
}

TEST_F(TenantOperationsTest, ATenantIsDeletedOnceHoweverManyAsk) {
  const auto created = create(request("Wanted Gone", Tier::schema));
  std::vector<Result<StartedRemoval>> results;
  net::TaskGroup group;
  for (int i = 0; i < 10; ++i) group.spawn(remove_into(tenants(), created.tenant->id.to_string(), results));
  run(group.join());
  std::set<std::string> operations;
  for (const auto& result : results) {
    ASSERT_TRUE(result.ok()) << result.error().message;
    operations.insert(result->operation.to_string());
    EXPECT_TRUE(run(tenants().finish_remove(*result, patient())).ok());
  }
  EXPECT_EQ(operations.size(), 1U);
  EXPECT_THAT(actions_of(created.tenant->id), ElementsAre("tenant.creation_started", "tenant.created",
                                                          "tenant.deletion_started", "tenant.deleted"));
}

// ------------------------------------------------------------------------------------------------ cancel

TEST_F(TenantOperationsTest, ACancelledCreationLeavesNothing) {
  const auto before = inventory();
  for (const Tier tier : kTiers) {
    SCOPED_TRACE(tier_name(tier));
    bool loading = false;
    tenants().wire(
        nullptr,
        [&](std::shared_ptr<const Tenant>, const std::vector<SampleData>&,
            CallOptions options) -> Task<Result<std::size_t>> {
          loading = true;
          while (!options.cancel->cancelled()) co_await net::sleep_for(executor(), 2ms);
          co_return Error(ErrorCode::cancelled, "stopped");
        },
        nullptr);
    const auto started = start(node(), with_samples("Regretted", tier));
    EXPECT_EQ(started.tenant->status, TenantStatus::provisioning);
    EXPECT_EQ(run(tenants().remove(started.tenant->slug, tester(), patient())).error().code,
              ErrorCode::conflict);
    EXPECT_TRUE(eventually([&] { return loading; }));
    ASSERT_TRUE(run(node().operations.cancel(started.operation, "tester", patient())).ok());
    const auto finished = run(tenants().finish_create(started, patient()));
    ASSERT_FALSE(finished.ok());
    EXPECT_EQ(finished.error().code, ErrorCode::conflict);
    EXPECT_EQ(wait(node(), started.operation).status, OperationStatus::cancelled);
    EXPECT_EQ(inventory(), before);
    EXPECT_THAT(actions_of(started.tenant->id),
                ElementsAre("tenant.creation_started", "tenant.creation_failed", "tenant.creation_undone"));
  }
}

// Nobody has begun yet: what was written when it was submitted goes all the same.
TEST_F(TenantOperationsTest, ACreationThatIsCancelledBeforeItBeganLeavesNothing) {
  const auto before = inventory();
  const auto points = points_of([&] {
    const auto started = start(*first_, request("Model", Tier::schema));
    wait(*first_, started.operation);
    start_removal(*second_, *started.tenant);
    EXPECT_TRUE(eventually([&] { return status_of(started.tenant->id).empty(); }));
  });
  ASSERT_FALSE(points.empty());
  start_nodes();
  interrupter_->stop_at = points.front();
  const auto started = start(*first_, request("Never Mind", Tier::schema));
  EXPECT_TRUE(eventually([&] { return interrupter_->stopped; }));
  ASSERT_TRUE(run(first_->operations.cancel(started.operation, "tester", patient())).ok());
  EXPECT_EQ(wait(*second_, started.operation).status, OperationStatus::cancelled);
  EXPECT_EQ(inventory(), before);
}

// --------------------------------------------------------------------------- a template that cannot be
// copied

TEST_F(TenantOperationsTest, ATemplateThatIsGoneIsNotWaitedFor) {
  const auto before = inventory();
  const std::string name = template_database_name("mini");
  testing::BlockingSql server(testing::superuser("postgres"));
  server.run("ALTER DATABASE " + pg::quote_name(name) + " RENAME TO hidden");
  const auto started = start(node(), request("No Template", Tier::database));
  const auto finished = run(tenants().finish_create(started, patient()));
  server.run("ALTER DATABASE hidden RENAME TO " + pg::quote_name(name));
  ASSERT_FALSE(finished.ok());
  EXPECT_EQ(finished.error().code, ErrorCode::conflict);
  EXPECT_THAT(finished.error().message, ::testing::HasSubstr(name + " does not exist"));
  EXPECT_EQ(platform_sql().value("SELECT attempts FROM platform.operation_steps WHERE name = "
                                 "'create_database' AND operation_id = '" +
                                 started.operation.to_string() + "'"),
            "1");
  EXPECT_EQ(wait(node(), started.operation).status, OperationStatus::undone);
  EXPECT_EQ(inventory(), before);
}

TEST_F(TenantOperationsTest, ATemplateInUseIsWaitedForAndWhatToDoIsSaid) {
  auto user = std::make_unique<testing::BlockingSql>(testing::superuser(template_database_name("mini")));
  user->run("SELECT 1");
  const auto started = start(node(), request("Busy Template", Tier::database));
  const std::string message =
      "SELECT COALESCE(max(error ->> 'message'), '') FROM platform.operation_steps WHERE name = "
      "'create_database' AND operation_id = '" +
      started.operation.to_string() + "'";
  EXPECT_TRUE(eventually([&] {
    return platform_sql().value(message).find("end the sessions that are connected to it") !=
           std::string::npos;
  }));
  user.reset();
  const auto finished = run(tenants().finish_create(started, patient()));
  ASSERT_TRUE(finished.ok()) << finished.error().message;
  EXPECT_EQ(platform_sql().value(message), "") << "nothing is wrong any more";
  remove(*finished->tenant);
}

TEST_F(TenantOperationsTest, NothingSecretIsStoredWithAnOperation) {
  const auto created = create(request("Discreet", Tier::database));
  const std::string id = created.tenant->id.to_string();
  const std::string stored = platform_sql().value(
      "SELECT o::text || (SELECT string_agg(s::text, ' ') FROM platform.operation_steps s WHERE "
      "s.operation_id = o.id) FROM platform.operations o WHERE kind = 'tenant.create' AND tenant_id = '" +
      id + "'");
  EXPECT_NE(stored.find("activate"), std::string::npos);
  for (const std::string& secret :
       {created.api_key, cluster().credentials().password_of(created.tenant->placement.role)}) {
    EXPECT_EQ(stored.find(secret.substr(8)), std::string::npos);
  }
  EXPECT_EQ(*wait(node(), created.operation).output.find("tenant"), json::Value(id));
  remove(*created.tenant);
}

}  // namespace
}  // namespace rowhouse::tenancy
