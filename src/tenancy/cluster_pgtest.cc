#include "tenancy/cluster.h"

#include <gtest/gtest.h>

#include <vector>

#include "testing/postgres.h"

namespace rowhouse::tenancy {
namespace {

using testing::BlockingSql;
using testing::patient;

class ClusterTest : public ::testing::Test {
 protected:
  ClusterTest()
      : cluster_(executor_, testing::superuser("postgres"), Credentials(testing::server().master_key())) {}

  template <class T>
  T run(Task<T> task) {
    return net::run_until_done(executor_, std::move(task));
  }

  net::Executor executor_;
  Cluster cluster_;
};

Task<void> bootstrap_into(const Cluster& cluster, std::vector<Result<void>>& results) {
  auto result = co_await cluster.bootstrap(patient());
  results.push_back(std::move(result));
}

TEST_F(ClusterTest, BootstrapsConcurrentlyAndAgain) {
  std::vector<Result<void>> results;
  net::TaskGroup group;
  for (int i = 0; i < 4; ++i) group.spawn(bootstrap_into(cluster_, results));
  net::run_until_done(executor_, group.join());
  results.push_back(run(cluster_.bootstrap(patient())));
  ASSERT_EQ(results.size(), 5U);
  for (const auto& result : results) EXPECT_TRUE(result.ok()) << result.error().message;

  BlockingSql sql(testing::superuser(kPlatformDatabase));
  EXPECT_EQ(sql.value("SELECT to_regclass('platform.tenants') IS NOT NULL"), "t");
  EXPECT_EQ(sql.value("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'rowhouse_platform'"),
            "platform_service");
  BlockingSql identity(testing::superuser(kIdentityDatabase));
  EXPECT_EQ(identity.value("SELECT to_regclass('identity.users') IS NOT NULL"), "t");
}

TEST_F(ClusterTest, RolesHaveTheRightsOfTheRecipeAndNoMore) {
  ASSERT_TRUE(run(cluster_.bootstrap(patient())).ok());
  BlockingSql sql(testing::superuser("postgres"));
  // Somebody was generous; the next start takes it back.
  sql.run("ALTER ROLE tenant_service SUPERUSER BYPASSRLS CREATEDB; GRANT tenant_owner TO tenant_service");
  ASSERT_TRUE(run(cluster_.bootstrap(patient())).ok());
  EXPECT_EQ(
      sql.value(
          "SELECT string_agg(rolname, ',' ORDER BY rolname) FROM pg_roles WHERE rolname ~ "
          "'^(tenant_|platform_|backup_)' AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication)"),
      "");
  EXPECT_EQ(sql.value("SELECT string_agg(rolname, ',') FROM pg_roles WHERE rolbypassrls AND NOT rolsuper"),
            "backup_service");
  EXPECT_EQ(
      sql.value(
          "SELECT string_agg(rolname, ',') FROM pg_roles WHERE rolname = 'tenant_owner' AND rolcanlogin"),
      "");
  EXPECT_EQ(
      sql.value("SELECT string_agg(member::regrole || ' in ' || roleid::regrole, ',') FROM pg_auth_members "
                "WHERE member::regrole::text ~ '^(tenant_|platform_|backup_)'"),
      "tenant_migrator in tenant_owner");
}

TEST_F(ClusterTest, RuntimeRolesReachNoDatabaseOfThePlatform) {
  ASSERT_TRUE(run(cluster_.bootstrap(patient())).ok());
  for (const char* database : {"rowhouse_platform", "rowhouse_identity", "postgres", "template1"}) {
    const auto parameters = cluster_.as(kRuntimeRole, database);
    EXPECT_NE(BlockingSql::cannot_connect(parameters).find("permission denied"), std::string::npos)
        << database;
  }
  EXPECT_EQ(BlockingSql::cannot_connect(cluster_.as(kPlatformRole, kPlatformDatabase)), "");
}

TEST_F(ClusterTest, ADatabaseForTenantsIsClosedToOthersAndMadeOnce) {
  ASSERT_TRUE(run(cluster_.bootstrap(patient())).ok());
  const std::string name = "rowhouse_pool_cluster_test";
  ASSERT_TRUE(run(cluster_.create_tenant_data_database(name, patient())).ok());
  ASSERT_TRUE(run(cluster_.create_tenant_data_database(name, patient())).ok());
  for (const auto role : {kRuntimeRole, kMigratorRole, kBackupRole}) {
    EXPECT_EQ(BlockingSql::cannot_connect(cluster_.as(role, name)), "") << role;
  }
  EXPECT_NE(BlockingSql::cannot_connect(cluster_.as(kPlatformRole, name)), "");
  {
    BlockingSql sql(testing::superuser(name));
    EXPECT_EQ(sql.value("SELECT count(*) FROM aclexplode((SELECT datacl FROM pg_database WHERE datname = "
                        "current_database())) a WHERE a.grantee = 0"),
              "0");
    EXPECT_EQ(sql.value("SELECT rowhouse.tenant_id() IS NULL"), "t");
  }
  BlockingSql runtime(cluster_.as(kRuntimeRole, name));
  EXPECT_EQ(runtime.value("SHOW lc_messages"), "C");
  EXPECT_EQ(runtime.failure("SELECT pg_advisory_lock(1)"), "42501");
  EXPECT_EQ(runtime.failure("CREATE TEMPORARY TABLE t (x int)"), "42501");
  // Dropped although somebody is connected.
  ASSERT_TRUE(run(cluster_.drop_database(name, patient())).ok());
  ASSERT_TRUE(run(cluster_.drop_database(name, patient())).ok());
  EXPECT_NE(BlockingSql::cannot_connect(cluster_.as(kRuntimeRole, name)), "");
}

TEST_F(ClusterTest, PrivilegesAreTakenFromWhoeverHadThem) {
  ASSERT_TRUE(run(cluster_.bootstrap(patient())).ok());
  const std::string name = "rowhouse_pool_privileges_test";
  ASSERT_TRUE(run(cluster_.create_tenant_data_database(name, patient())).ok());
  BlockingSql sql(testing::superuser("postgres"));
  sql.run(
      "CREATE ROLE nosy LOGIN; GRANT CONNECT, CREATE ON DATABASE rowhouse_pool_privileges_test TO nosy, "
      "PUBLIC");
  ASSERT_TRUE(run(cluster_.apply_database_privileges(name, kRuntimeRole, patient())).ok());
  EXPECT_EQ(sql.value("SELECT has_database_privilege('nosy', 'rowhouse_pool_privileges_test', 'CONNECT')"),
            "f");
  EXPECT_EQ(
      sql.value(
          "SELECT has_database_privilege('tenant_service', 'rowhouse_pool_privileges_test', 'CONNECT')"),
      "t");
}

TEST_F(ClusterTest, RefusesAnAdministratorWithoutTheRights) {
  BlockingSql sql(testing::superuser("postgres"));
  sql.run(
      "CREATE ROLE modest LOGIN CREATEDB CREATEROLE PASSWORD 'modest'; GRANT CONNECT ON DATABASE postgres TO "
      "modest");
  auto parameters = testing::superuser("postgres");
  parameters.user = "modest";
  parameters.password = "modest";
  const Cluster modest(executor_, parameters, Credentials(testing::server().master_key()));
  const auto outcome = run(modest.bootstrap(patient()));
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, ErrorCode::server_unsupported);
}

TEST_F(ClusterTest, PasswordsAreDerived) {
  const Credentials one("0123456789abcdef0123456789abcdef");
  const Credentials other("0123456789abcdef0123456789abcdeF");
  EXPECT_EQ(one.password_of("tenant_service").size(), 43U);
  EXPECT_EQ(one.password_of("tenant_service"), one.password_of("tenant_service"));
  EXPECT_NE(one.password_of("tenant_service"), one.password_of("backup_service"));
  EXPECT_NE(one.password_of("tenant_service"), other.password_of("tenant_service"));
  EXPECT_NE(one.derive("cursor"), one.derive("etag"));
  EXPECT_EQ(one.derive("cursor").size(), 32U);
}

}  // namespace
}  // namespace rowhouse::tenancy
