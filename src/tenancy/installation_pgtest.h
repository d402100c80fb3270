// For tests above PostgreSQL: an installation with the pack "mini" (see pack_fixture.h), one per process, and
// nodes on it, each with its own pool, registry and service, as processes of a cluster would have.
//
// Passwords of the roles become derived ones here, so a process that uses this cannot use testing::as_role().
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "net/executor.h"
#include "observe/log.h"
#include "operations/engine.h"
#include "pg/quote.h"
#include "tenancy/cluster.h"
#include "tenancy/context_guard.h"
#include "tenancy/context_keys.h"
#include "tenancy/pack_fixture.h"
#include "tenancy/pack_upgrade.h"
#include "tenancy/packs.h"
#include "tenancy/registry.h"
#include "tenancy/tenants.h"
#include "testing/postgres.h"

namespace rowhouse::tenancy::fixture {

inline Actor tester() { return Actor("tester", "192.0.2.7:4711"); }

inline std::vector<std::string> paths(const Error& error) {
  std::vector<std::string> all;
  for (const auto& field : error.fields) all.push_back(field.path);
  return all;
}

struct Node {
  Node(const Cluster& cluster, const Clock& clock, RegistryOptions options = RegistryOptions(),
       operations::EngineOptions operation_options = operations::EngineOptions(),
       operations::Observer* observer = nullptr)
      : executor(cluster.executor()),
        platform(cluster.executor(), pool_options(cluster)),
        operations(
            cluster.executor(), platform, observe::process_log(),
            [&cluster](std::string prefix, std::string own, CallOptions call) {
              return cluster.end_sessions(std::move(prefix), std::move(own), call);
            },
            named(std::move(operation_options)), observer),
        guard(cluster, platform),
        context_keys(cluster.credentials(), platform),
        packs(cluster, platform, guard),
        upgrades(cluster, platform, guard, packs, operations),
        registry(cluster, platform, packs, options),
        tenants(cluster, platform, packs, registry, operations, clock) {}
  ~Node() { net::run_until_done(executor, operations.stop()); }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  static operations::EngineOptions named(operations::EngineOptions options) {
    if (options.node.empty()) options.node = "node-" + to_hex(crypto::random_bytes(8));
    return options;
  }

  static pg::PoolOptions pool_options(const Cluster& cluster) {
    pg::PoolOptions options;
    options.parameters = cluster.as(kPlatformRole, kPlatformDatabase);
    return options;
  }

  net::Executor& executor;
  pg::Pool platform;
  operations::Engine operations;  // start() it before tenants are made
  ContextGuard guard;
  ContextKeys context_keys;  // refresh() it before contexts are signed
  PackStore packs;
  PackUpgrades upgrades;
  Registry registry;
  TenantService tenants;
};

class InstallationTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_ = std::make_unique<Shared>();
    ASSERT_TRUE(run(shared_->cluster.bootstrap(testing::patient())).ok());
    shared_->node = std::make_unique<Node>(shared_->cluster, shared_->clock);
    const Bundle mini = bundle();
    shared_->node->operations.start(operations::Engine::Duty::own);
    auto installed =
        run(shared_->node->upgrades.install(mini, UpgradeOptions(), "tester", testing::patient()));
    ASSERT_TRUE(installed.ok()) << installed.error().message;
    auto started = run(shared_->node->registry.start(testing::patient()));
    ASSERT_TRUE(started.ok()) << started.error().message;
    ASSERT_TRUE(run(shared_->node->context_keys.refresh(testing::patient())).ok());
  }
  static void TearDownTestSuite() { shared_.reset(); }

  void SetUp() override { tenants().wire(nullptr, nullptr, nullptr); }

  template <class T>
  static T run(Task<T> task) {
    return net::run_until_done(shared_->executor, std::move(task));
  }
  static void run(Task<void> task) { net::run_until_done(shared_->executor, std::move(task)); }

  static net::Executor& executor() { return shared_->executor; }
  static Cluster& cluster() { return shared_->cluster; }
  static ManualClock& clock() { return shared_->clock; }
  static Node& node() { return *shared_->node; }
  // The key that signs contexts in a database now, for session::TenantDatabase.
  static std::shared_ptr<const pg::ContextKey> context_key(const std::string& database) {
    return node().context_keys.current(database);
  }
  static TenantService& tenants() { return shared_->node->tenants; }
  static testing::BlockingSql& platform_sql() { return shared_->platform_sql(); }

  static NewTenant request(std::string name, Tier tier = Tier::pool) {
    NewTenant wanted;
    wanted.name = std::move(name);
    wanted.pack = "mini";
    wanted.tier = tier;
    return wanted;
  }

  // Fails the test if it does not work.
  static CreatedTenant create(NewTenant wanted) {
    auto created = run(tenants().create(std::move(wanted), tester(), testing::patient()));
    if (!created.ok()) {
      ADD_FAILURE() << created.error().message << " " << created.error().detail(pg::kServerMessage);
      std::abort();
    }
    return std::move(created).value();
  }

  static void remove(const Tenant& tenant) {
    const auto removed = run(tenants().remove(tenant.id.to_string(), tester(), testing::patient()));
    EXPECT_TRUE(removed.ok()) << removed.error().message;
  }

  static std::string status_of(const Uuid& id) {
    return platform_sql().value("SELECT status FROM platform.tenants WHERE id = '" + id.to_string() + "'");
  }
  // What was recorded of a tenant, in order: actions in the audit, or types in the outbox; without what
  // operations tell of themselves there.
  static std::vector<std::string> actions_of(const Uuid& id, const std::string& table = "audit_log") {
    std::vector<std::string> actions;
    const std::string column = table == "events" ? "type" : "action";
    for (const auto& row :
         platform_sql().run("SELECT " + column + " FROM platform." + table + " WHERE tenant_id = '" +
                            id.to_string() + "' AND " + column + " !~ '^operation[.]' ORDER BY id")) {
      actions.push_back(*row[0]);
    }
    return actions;
  }

  // A lead of the tenant with this address, put there behind Rowhouse's back.
  static void add_lead(const Tenant& tenant, const std::string& email) {
    testing::BlockingSql sql(testing::superuser(tenant.placement.database));
    sql.run("INSERT INTO " + pg::quote_qualified(tenant.placement.schema, "leads") +
            " (tenant_id, email) VALUES (" + pg::quote_literal(tenant.id.to_string()) + ", " +
            pg::quote_literal(email) + ")");
  }

  // Turns the loop until it is so; false if that takes too long.
  static bool eventually(const std::function<bool()>& condition) {
    const auto deadline = deadline_in(std::chrono::seconds(30));
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      run(net::sleep_for(executor(), std::chrono::milliseconds(5)));
    }
    return true;
  }

  // Everything on the server that a tenant could leave behind, as text.
  static std::string inventory() {
    std::string all = joined(
        "SELECT 'database ' || datname FROM pg_database UNION ALL SELECT 'role ' || rolname FROM pg_roles "
        "UNION ALL SELECT 'setting ' || setdatabase || ' ' || setrole FROM pg_db_role_setting ORDER BY 1",
        "postgres");
    all += joined(
        "SELECT 'tenants ' || count(*) FROM platform.tenants UNION ALL "
        "SELECT 'databases ' || count(*) FROM platform.tenant_databases UNION ALL "
        "SELECT 'keys ' || count(*) FROM platform.api_keys",
        std::string(kPlatformDatabase));
    all += joined(
        "SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname !~ '^pg_' UNION ALL "
        "SELECT 'table ' || c.oid::regclass::text FROM pg_class c WHERE relkind IN ('r', 'p', 'v') AND "
        "relnamespace "
        "NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) UNION ALL "
        "SELECT 'lead ' || id FROM app.leads UNION ALL SELECT 'note ' || id FROM app.notes UNION ALL "
        "SELECT 'event ' || id FROM app.events UNION ALL SELECT 'key ' || key FROM rowhouse.idempotency_keys "
        "UNION ALL "
        "SELECT 'migration ' || schema_name || number FROM rowhouse.pack_migrations ORDER BY 1",
        pool_database_name("mini"));
    return all;
  }

 private:
  static std::string joined(const std::string& query, const std::string& database) {
    testing::BlockingSql sql(testing::superuser(database));
    std::string text;
    for (const auto& row : sql.run(query)) text += row[0].value_or("") + "\n";
    return text;
  }

  struct Shared {
    Shared()
        : cluster(executor, testing::superuser("postgres"), Credentials(testing::server().master_key())),
          clock(std::chrono::system_clock::now()) {}
    testing::BlockingSql& platform_sql() {
      if (!sql) sql = std::make_unique<testing::BlockingSql>(testing::superuser(kPlatformDatabase));
      return *sql;
    }
    net::Executor executor;
    Cluster cluster;
    ManualClock clock;
    std::unique_ptr<Node> node;
    std::unique_ptr<testing::BlockingSql> sql;
  };
  static inline std::unique_ptr<Shared> shared_;
};

}  // namespace rowhouse::tenancy::fixture
