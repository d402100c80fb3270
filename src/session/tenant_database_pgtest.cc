#include "session/tenant_database.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "identity/context_pgtest.h"
#include "tenancy/context_keys.h"
#include "tenancy/installation_pgtest.h"

namespace rowhouse::session {
namespace {

using identity::TenantContext;
using identity::TenantContextForTests;
using tenancy::CreatedTenant;
using tenancy::Tier;
using tenancy::fixture::tester;
using testing::BlockingSql;
using ::testing::ElementsAre;
using testing::patient;

constexpr std::int32_t kGeneration = 1;  // of context keys; an installation begins with this one
constexpr const char* kCountLeads = "SELECT count(*) FROM app.leads";

class TenantDatabaseTest : public tenancy::fixture::InstallationTest {
 protected:
  void SetUp() override {
    InstallationTest::SetUp();
    make_database(TenantDatabaseOptions());
    acme_.emplace(create(request("Acme")));
    other_.emplace(create(request("Other")));
  }
  void TearDown() override {
    database_.reset();
    for (const auto& created : {acme_, other_}) remove(*created);
  }

  void make_database(TenantDatabaseOptions options) {
    const auto server = testing::superuser("postgres");
    options.host = server.host;
    options.port = server.port;
    const auto password_of = [](const std::string& role) {
      return cluster().credentials().password_of(role);
    };
    const auto context_key_of = [](const std::string& database) {
      return std::make_shared<const pg::ContextKey>(
          tenancy::derive_context_key(cluster().credentials(), kGeneration, database));
    };
    database_ = std::make_unique<TenantDatabase>(executor(), std::move(options), password_of, context_key_of);
  }
  void remove(const CreatedTenant& created) {
    EXPECT_TRUE(run(tenants().remove(created.tenant->id.to_string(), tester(), patient())).ok());
  }
  static TenantContext context_of(const CreatedTenant& created) {
    return TenantContextForTests::make(created.tenant);
  }

  Result<pg::Rows> query(const CreatedTenant& created, std::string sql, pg::Params params = {},
                         pg::Access access = pg::Access::read) {
    const auto context = context_of(created);
    const pg::Statement statement(std::move(sql), std::move(params), access);
    return run(database_->run(context, statement, patient()));
  }
  std::string value(const CreatedTenant& created, std::string sql) {
    const auto rows = query(created, std::move(sql));
    if (!rows.ok())
      return "error " + std::string(rows.error().detail(pg::kSqlState)) + " " + rows.error().message;
    return rows->size() == 0 ? "" : std::string(rows->text(0, 0));
  }

  std::unique_ptr<TenantDatabase> database_;
  std::optional<CreatedTenant> acme_, other_;
};

TEST_F(TenantDatabaseTest, ATenantSeesItsOwnRowsAlone) {
  ASSERT_TRUE(
      query(*acme_, "INSERT INTO app.leads (email) VALUES ('a@example.com')", {}, pg::Access::write).ok());
  ASSERT_TRUE(query(*other_, "INSERT INTO app.leads (email) VALUES ('a@example.com'), ('b@example.com')", {},
                    pg::Access::write)
                  .ok());
  EXPECT_EQ(value(*acme_, kCountLeads), "1");
  EXPECT_EQ(value(*other_, kCountLeads), "2");
  EXPECT_EQ(value(*acme_, "SELECT rowhouse.tenant_id()"), acme_->tenant->id.to_string());
  EXPECT_EQ(value(*acme_, "SELECT count(*) FROM app.leads WHERE tenant_id = '" +
                              other_->tenant->id.to_string() + "'"),
            "0");
  const auto deleted = query(*acme_, "DELETE FROM app.leads", {}, pg::Access::write);
  ASSERT_TRUE(deleted.ok());
  EXPECT_EQ(deleted->affected(), 1U);
  EXPECT_EQ(value(*other_, kCountLeads), "2");
}

TEST_F(TenantDatabaseTest, WithoutAContextTheRuntimeRoleSeesAndWritesNothing) {
  add_lead(*acme_->tenant, "a@example.com");
  BlockingSql runtime(cluster().as(tenancy::kRuntimeRole, acme_->tenant->placement.database));
  EXPECT_EQ(runtime.value(kCountLeads), "0");
  EXPECT_NE(runtime.failure("INSERT INTO app.leads (email) VALUES ('x@example.com')"), "");
  // Nor may it say whose row it writes.
  EXPECT_EQ(runtime.failure("INSERT INTO app.leads (tenant_id, email) VALUES ('" +
                            acme_->tenant->id.to_string() + "', 'x@example.com')"),
            "42501");
}

Task<void> run_into(TenantDatabase& database, TenantContext context, std::string sql,
                    std::vector<std::string>& answers) {
  const pg::Statement statement(std::move(sql));
  auto rows = co_await database.run(context, statement, patient());
  answers.push_back(rows.ok() ? std::string(rows->text(0, 0))
                              : std::string(rows.error().detail(pg::kSqlState)));
}

TEST_F(TenantDatabaseTest, AFailureAmongPipelinedRequestsStaysAlone) {
  add_lead(*acme_->tenant, "a@example.com");
  TenantDatabaseOptions options;
  options.shared_pool.read_connections = 1;
  options.shared_pool.read_depth = 16;
  make_database(std::move(options));
  ASSERT_EQ(value(*acme_, kCountLeads), "1");  // the connection is open: what follows goes into one pipeline
  std::vector<std::string> acme, other, failures;
  net::TaskGroup group;
  for (int i = 0; i < 12; ++i) {
    group.spawn(run_into(*database_, context_of(*acme_), kCountLeads, acme));
    group.spawn(
        run_into(*database_, context_of(*acme_), "SELECT 1 / (count(*) - 1) FROM app.leads", failures));
    group.spawn(run_into(*database_, context_of(*other_), kCountLeads, other));
  }
  run(group.join());
  EXPECT_EQ(acme, std::vector<std::string>(12, "1"));
  EXPECT_EQ(other, std::vector<std::string>(12, "0"));
  EXPECT_EQ(failures, std::vector<std::string>(12, "22012"));
}

TEST_F(TenantDatabaseTest, WhatAStatementDoesToTheSessionEndsWithIt) {
  add_lead(*acme_->tenant, "a@example.com");
  TenantDatabaseOptions options;
  options.shared_pool.exclusive_connections = 1;
  make_database(std::move(options));
  const auto context = context_of(*other_);
  {
    auto transaction = run(database_->begin(context, patient()));
    ASSERT_TRUE(transaction.ok()) << transaction.error().message;
    const std::string litter =
        "SET statement_timeout = '1h'; SET rowhouse.note = 'mine'; PREPARE left_over AS SELECT 1; "
        "DECLARE left_open CURSOR WITH HOLD FOR SELECT rowhouse.tenant_id()";
    ASSERT_TRUE(run(transaction->script(litter, patient())).ok());
    ASSERT_TRUE(run(transaction->commit(patient())).ok());
  }
  const auto borrower = context_of(*acme_);
  auto next = run(database_->begin(borrower, patient()));
  ASSERT_TRUE(next.ok()) << next.error().message;
  const pg::Statement state(
      "SELECT rowhouse.tenant_id(), current_setting('statement_timeout'), "
      "(SELECT count(*) FROM pg_prepared_statements WHERE name = 'left_over'), "
      "coalesce(current_setting('rowhouse.note', true), ''), "
      "(SELECT count(*) FROM pg_cursors WHERE name = 'left_open')");
  const auto rows = run(next->query(state, patient()));
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(rows->text(0, 0), acme_->tenant->id.to_string());
  EXPECT_EQ(rows->text(0, 1), "5s");
  EXPECT_EQ(rows->text(0, 2), "0");
  EXPECT_EQ(rows->text(0, 3), "");
  EXPECT_EQ(rows->text(0, 4), "0");
}

TEST_F(TenantDatabaseTest, ASessionWhoseMemoryWasWipedIsReplaced) {
  add_lead(*acme_->tenant, "a@example.com");
  TenantDatabaseOptions options;
  options.shared_pool.read_connections = 1;
  options.shared_pool.exclusive_connections = 1;
  make_database(std::move(options));
  // Injected into reads: forgets which contexts the session has seen (the extension does not care, but may
  // not fail).
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(query(*other_, "DISCARD SEQUENCES").ok());
    EXPECT_EQ(value(*acme_, kCountLeads), "1");
    EXPECT_EQ(value(*other_, kCountLeads), "0");
  }
  const auto context = context_of(*acme_);
  for (int i = 0; i < 3; ++i) {
    auto transaction = run(database_->begin(context, patient()));
    ASSERT_TRUE(transaction.ok()) << transaction.error().message;
    ASSERT_TRUE(run(transaction->script("DISCARD SEQUENCES", patient())).ok());
    ASSERT_TRUE(run(transaction->commit(patient())).ok());
  }
}

TEST_F(TenantDatabaseTest, AKeyThatTheDatabaseDoesNotHaveOpensNothing) {
  add_lead(*acme_->tenant, "a@example.com");
  const auto server = testing::superuser("postgres");
  TenantDatabaseOptions options;
  options.host = server.host;
  options.port = server.port;
  const auto password_of = [](const std::string& role) { return cluster().credentials().password_of(role); };
  for (const std::int32_t generation : {kGeneration, kGeneration + 1}) {
    // The key of another database, or one that is not in use yet.
    const auto wrong_key = [generation](const std::string& database) {
      const std::string of = generation == kGeneration ? database + "_other" : database;
      return std::make_shared<const pg::ContextKey>(
          tenancy::derive_context_key(cluster().credentials(), generation, of));
    };
    TenantDatabase wrong(executor(), options, password_of, wrong_key);
    const auto context = context_of(*acme_);
    const pg::Statement count(kCountLeads);
    const auto rows = run(wrong.run(context, count, patient()));
    ASSERT_FALSE(rows.ok());
    EXPECT_EQ(rows.error().code, ErrorCode::internal);
    EXPECT_NE(rows.error().detail(pg::kContextRefused), "");
    EXPECT_FALSE(run(wrong.begin(context, patient())).ok());
  }
}

TEST_F(TenantDatabaseTest, ATransactionIsAllOrNothing) {
  const auto context = context_of(*acme_);
  const pg::Statement insert("INSERT INTO app.leads (email) VALUES ($1)", {"t@example.com"},
                             pg::Access::write);
  {
    auto transaction = run(database_->begin(context, patient()));
    ASSERT_TRUE(transaction.ok());
    ASSERT_TRUE(run(transaction->query(insert, patient())).ok());
  }  // no commit
  EXPECT_EQ(value(*acme_, kCountLeads), "0");
  {
    auto transaction = run(database_->begin(context, patient()));
    ASSERT_TRUE(transaction.ok());
    ASSERT_TRUE(run(transaction->query(insert, patient())).ok());
    ASSERT_TRUE(run(transaction->commit(patient())).ok());
  }
  EXPECT_EQ(value(*acme_, kCountLeads), "1");
  {
    auto transaction = run(database_->begin(context, patient()));
    ASSERT_TRUE(transaction.ok());
    EXPECT_FALSE(run(transaction->query(insert, patient())).ok());
    EXPECT_FALSE(run(transaction->commit(patient())).ok()) << "a failed transaction must not report success";
  }
}

TEST_F(TenantDatabaseTest, SettingsOfTheSessionAreTheOnesWePromise) {
  EXPECT_EQ(value(*acme_, "SHOW search_path"), "");
  EXPECT_EQ(value(*acme_, "SHOW statement_timeout"), "5s");
  EXPECT_EQ(value(*acme_, "SHOW TimeZone"), "UTC");
  EXPECT_EQ(value(*acme_, "SHOW IntervalStyle"), "iso_8601");
  EXPECT_EQ(value(*acme_, "SHOW lc_messages"), "C");
  EXPECT_EQ(value(*acme_, "SELECT current_user"), "tenant_service");
  EXPECT_EQ(value(*acme_, "SELECT pg_sleep(0) IS NULL"), "f");
}

TEST_F(TenantDatabaseTest, EachTierIsReachedAsTheRightRole) {
  const auto schema = create(request("Schema", Tier::schema));
  const auto dedicated = create(request("Dedicated", Tier::database));
  for (const CreatedTenant* created : {static_cast<const CreatedTenant*>(&*acme_), &schema, &dedicated}) {
    const auto& placement = created->tenant->placement;
    const auto table = pg::quote_qualified(placement.schema, "leads");
    ASSERT_TRUE(
        query(*created, "INSERT INTO " + table + " (email) VALUES ('a@example.com')", {}, pg::Access::write)
            .ok());
    EXPECT_EQ(value(*created, "SELECT count(*) FROM " + table), "1");
    EXPECT_EQ(value(*created, "SELECT tenant_id FROM " + table), created->tenant->id.to_string());
    EXPECT_EQ(value(*created, "SELECT current_user"), placement.role);
    EXPECT_EQ(value(*created, "SELECT current_database()"), placement.database);
  }
  // Another tenant's schema in the same database is readable only through row security: no rows.
  EXPECT_EQ(
      value(*acme_, "SELECT count(*) FROM " + pg::quote_qualified(schema.tenant->placement.schema, "leads")),
      "0");
  database_->close_dedicated(dedicated.tenant->placement.database);
  remove(schema);
  remove(dedicated);
}

TEST_F(TenantDatabaseTest, ARoleThatHasMoreThanItMayIsNotUsed) {
  BlockingSql sql(testing::superuser("postgres"));
  const auto refused = [&](const std::string& give, const std::string& take) {
    sql.run(give);
    make_database(TenantDatabaseOptions());
    const auto rows = query(*acme_, kCountLeads);
    EXPECT_FALSE(rows.ok()) << give;
    if (!rows.ok()) {
      EXPECT_EQ(rows.error().code, ErrorCode::database_unavailable) << give;
    }
    sql.run(take);
  };
  refused("ALTER ROLE tenant_service BYPASSRLS", "ALTER ROLE tenant_service NOBYPASSRLS");
  refused("ALTER ROLE tenant_service SUPERUSER", "ALTER ROLE tenant_service NOSUPERUSER");
  refused("GRANT tenant_owner TO tenant_service", "REVOKE tenant_owner FROM tenant_service");
  BlockingSql pool(testing::superuser(acme_->tenant->placement.database));
  pool.run("CREATE SCHEMA owned AUTHORIZATION tenant_service");
  refused("SELECT 1", "SELECT 1");
  pool.run("DROP SCHEMA owned");
  make_database(TenantDatabaseOptions());
  EXPECT_EQ(value(*acme_, kCountLeads), "0");
}

TEST_F(TenantDatabaseTest, PoolsOfTenantDatabasesAreFewAndTheIdleOnesGoFirst) {
  std::vector<CreatedTenant> made;
  for (int i = 0; i < 3; ++i) made.push_back(create(request("Own " + std::to_string(i), Tier::database)));
  TenantDatabaseOptions options;
  options.max_dedicated_pools = 2;
  make_database(std::move(options));
  for (int round = 0; round < 3; ++round) {
    for (const auto& created : made) {
      EXPECT_EQ(value(created, "SELECT current_database()"), created.tenant->placement.database);
      EXPECT_LE(database_->stats().pools, 2U);
    }
  }
  // Two that are in use are not closed for a third.
  const auto first = context_of(made[0]);
  const auto second = context_of(made[1]);
  {
    auto one = run(database_->begin(first, patient()));
    auto two = run(database_->begin(second, patient()));
    ASSERT_TRUE(one.ok() && two.ok());
    const auto refused = query(made[2], "SELECT 1");
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::overloaded);
    // A pool that is dropped while it is in use lives until the transaction has ended.
    database_->close_dedicated(made[0].tenant->placement.database);
    const pg::Statement still("SELECT current_database()");
    const auto rows = run(one->query(still, patient()));
    ASSERT_TRUE(rows.ok());
    EXPECT_EQ(rows->text(0, 0), made[0].tenant->placement.database);
  }
  EXPECT_EQ(value(made[2], "SELECT current_database()"), made[2].tenant->placement.database);
  BlockingSql sql(testing::superuser("postgres"));
  EXPECT_TRUE(eventually([&] {
    return sql.value("SELECT count(*) FROM pg_stat_activity WHERE datname = '" +
                     made[0].tenant->placement.database + "'") == "0";
  }));
  database_.reset();
  for (const auto& created : made) remove(created);
}

TEST_F(TenantDatabaseTest, StatsCountPoolsAndConnections) {
  EXPECT_EQ(database_->stats().pools, 0U);
  EXPECT_EQ(value(*acme_, kCountLeads), "0");
  const auto stats = database_->stats();
  EXPECT_EQ(stats.pools, 1U);
  EXPECT_EQ(stats.open_connections, 1U);
  EXPECT_EQ(stats.busy_connections, 0U);
}

}  // namespace
}  // namespace rowhouse::session
