#include "tenancy/registry.h"

#include <gtest/gtest.h>

#include "tenancy/api_key.h"
#include "tenancy/installation_pgtest.h"

namespace rowhouse::tenancy {
namespace {

using fixture::tester;
using testing::patient;

class RegistryTest : public fixture::InstallationTest {
 protected:
  void SetUp() override {
    InstallationTest::SetUp();
    other_ = std::make_unique<fixture::Node>(cluster(), clock());
    ASSERT_TRUE(run(other_->registry.start(patient())).ok());
    created_.emplace(create(request("Watched")));
    hash_ = hash_of_credential(created_->api_key);
  }
  void TearDown() override {
    EXPECT_TRUE(run(tenants().remove(created_->tenant->id.to_string(), tester(), patient())).ok());
    other_.reset();
  }

  Registry& here() { return node().registry; }
  Registry& there() { return other_->registry; }
  ErrorCode code_of(Registry& registry) {
    const auto found = run(registry.find_key(hash_, patient()));
    return found.ok() ? ErrorCode::internal : found.error().code;
  }

  std::unique_ptr<fixture::Node> other_;
  std::optional<CreatedTenant> created_;
  KeyHash hash_{};
};

TEST_F(RegistryTest, AKeyIsFoundOnceAndCached) {
  EXPECT_EQ(there().cached_key(hash_), nullptr);
  const auto found = run(there().find_key(hash_, patient()));
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found->name, "default");
  EXPECT_FALSE(found->grant.expires_at);
  EXPECT_EQ(found->tenant->id, created_->tenant->id);
  ASSERT_NE(found->tenant->plan(), nullptr);
  EXPECT_EQ(found->tenant->plan()->name, "basic");
  ASSERT_NE(there().cached_key(hash_), nullptr);
  EXPECT_EQ(there().cached_key(hash_)->tenant, found->tenant);
  // Tenant and key share one snapshot.
  EXPECT_EQ(*run(there().find_tenant("watched", patient())), found->tenant);
  EXPECT_EQ(*run(there().find_tenant(created_->tenant->id.to_string(), patient())), found->tenant);
}

TEST_F(RegistryTest, UnknownThingsAreNotFound) {
  EXPECT_EQ(run(here().find_key(hash_of_credential("tk_nothing"), patient())).error().code,
            ErrorCode::credential_unknown);
  EXPECT_EQ(run(here().find_admin_token(hash_, patient())).error().code, ErrorCode::credential_unknown);
  for (const std::string& name : {std::string("nobody"), std::string("\xff"), std::string("a\0b", 3),
                                  Uuid::make_v7(clock().now()).to_string(), std::string()}) {
    EXPECT_EQ(run(here().find_tenant(name, patient())).error().code, ErrorCode::not_found) << name;
  }
  EXPECT_EQ(here().find_pack("nothing"), nullptr);
  ASSERT_NE(here().find_pack("mini"), nullptr);
  EXPECT_EQ(here().packs().size(), 1U);
}

Task<void> find_into(Registry& registry, KeyHash hash, std::vector<Result<KeyEntry>>& results) {
  auto result = co_await registry.find_key(hash, patient());
  results.push_back(std::move(result));
}

TEST_F(RegistryTest, ManyWhoWantOneKeyShareOneQuery) {
  const auto executed = [&] { return other_->platform.stats().busy_connections; };
  std::vector<Result<KeyEntry>> results;
  net::TaskGroup group;
  for (int i = 0; i < 200; ++i) group.spawn(find_into(there(), hash_, results));
  // Two hundred queries would fill every connection and a queue.
  EXPECT_LE(executed(), 1U);
  EXPECT_EQ(other_->platform.stats().waiting + executed(), 1U);
  run(group.join());
  ASSERT_EQ(results.size(), 200U);
  for (const auto& result : results) {
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_EQ(result->tenant, results.front()->tenant);
  }
}

TEST_F(RegistryTest, ARevokedKeyIsRefusedHereAtOnceAndThereSoon) {
  const auto key = run(here().find_key(hash_, patient()));
  ASSERT_TRUE(key.ok());
  ASSERT_TRUE(run(there().find_key(hash_, patient())).ok());
  ASSERT_TRUE(run(tenants().revoke_key("watched", key->id, tester(), patient())).ok());
  EXPECT_EQ(here().cached_key(hash_), nullptr);
  EXPECT_EQ(code_of(here()), ErrorCode::credential_unknown);
  EXPECT_TRUE(eventually([&] { return there().cached_key(hash_) == nullptr; }));
  EXPECT_EQ(code_of(there()), ErrorCode::credential_unknown);
}

TEST_F(RegistryTest, ASuspensionIsSeenEverywhere) {
  ASSERT_TRUE(run(here().find_key(hash_, patient())).ok());
  ASSERT_TRUE(run(there().find_key(hash_, patient())).ok());
  ASSERT_TRUE(run(tenants().suspend("watched", tester(), patient())).ok());
  EXPECT_EQ(run(here().find_key(hash_, patient()))->tenant->status, TenantStatus::suspended);
  EXPECT_TRUE(eventually(
      [&] { return run(there().find_key(hash_, patient()))->tenant->status == TenantStatus::suspended; }));
}

TEST_F(RegistryTest, ALostNotificationIsMadeUpForByThePoll) {
  ASSERT_TRUE(run(there().find_key(hash_, patient())).ok());
  const std::string id = "'" + created_->tenant->id.to_string() + "'";
  // A change whose notification never arrives: the triggers are off, only the revision is written.
  platform_sql().run(
      "BEGIN; ALTER TABLE platform.tenants DISABLE TRIGGER registry; UPDATE platform.tenants SET "
      "status = 'suspended' WHERE id = " +
      id +
      "; ALTER TABLE platform.tenants ENABLE TRIGGER registry; INSERT INTO platform.registry_changes "
      "(tenant_id) VALUES (" +
      id + "); COMMIT");
  EXPECT_TRUE(eventually([&] { return there().cached_key(hash_) == nullptr; }));
  EXPECT_EQ(run(there().find_key(hash_, patient()))->tenant->status, TenantStatus::suspended);
}

TEST_F(RegistryTest, AfterALostConnectionEverythingIsForgotten) {
  ASSERT_TRUE(run(there().find_key(hash_, patient())).ok());
  testing::BlockingSql sql(testing::superuser("postgres"));
  // The listeners' connections are those whose last statement was LISTEN.
  EXPECT_TRUE(eventually(
      [&] { return sql.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'") == "2"; }));
  sql.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'");
  EXPECT_TRUE(eventually([&] { return there().cached_key(hash_) == nullptr; }));
  // And it listens again.
  EXPECT_TRUE(eventually(
      [&] { return sql.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'") == "2"; }));
}

TEST_F(RegistryTest, AdminTokensAreFoundUntilTheyAreReplaced) {
  const auto token = make_credential(kAdminTokenPrefix);
  ASSERT_TRUE(run(tenants().set_admin_token("ops", token, patient())).ok());
  const auto hash = hash_of_credential(token);
  const auto admin = run(there().find_admin_token(hash, patient()));
  ASSERT_TRUE(admin.ok()) << admin.error().message;
  EXPECT_EQ(admin->name, "ops");
  ASSERT_TRUE(run(tenants().set_admin_token("ops", make_credential(kAdminTokenPrefix), patient())).ok());
  EXPECT_TRUE(eventually([&] { return !run(there().find_admin_token(hash, patient())).ok(); }));
}

TEST_F(RegistryTest, TheUseOfAKeyIsWrittenDownInTheBackground) {
  RegistryOptions options;
  options.poll_every = std::chrono::milliseconds(20);
  options.polls_per_use_report = 2;
  fixture::Node watching(cluster(), clock(), options);
  ASSERT_TRUE(run(watching.registry.start(patient())).ok());
  const auto last_used = [&] {
    return platform_sql().value("SELECT last_used_at FROM platform.api_keys WHERE tenant_id = '" +
                                created_->tenant->id.to_string() + "'");
  };
  EXPECT_EQ(last_used(), "");
  ASSERT_TRUE(run(watching.registry.find_key(hash_, patient())).ok());
  EXPECT_TRUE(eventually([&] { return !last_used().empty(); }));
  EXPECT_NE(watching.registry.cached_key(hash_), nullptr) << "use of a key is no change";
}

TEST_F(RegistryTest, StoppingMayBeRepeatedAndEndsLookUps) {
  there().stop();
  there().stop();
  EXPECT_EQ(code_of(there()), ErrorCode::shutting_down);
}

}  // namespace
}  // namespace rowhouse::tenancy
