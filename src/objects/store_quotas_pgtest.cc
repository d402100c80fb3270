#include "objects/store_quotas.h"

#include <gtest/gtest.h>

#include <utility>

#include "tenancy/installation_pgtest.h"

namespace rowhouse::objects {
namespace {

using testing::patient;

// Notes what it is told; fails while it is away.
class NotingAdmin final : public storage::ObjectStoreAdmin {
 public:
  Task<Result<storage::MadeStore>> create(Uuid, std::uint64_t, CallOptions) override {
    co_return storage::MadeStore();
  }
  Task<Result<void>> set_quota(Uuid tenant, std::uint64_t quota_bytes, CallOptions) override {
    if (is_away) co_return Error(ErrorCode::server_unreachable, "away");
    told.emplace_back(tenant, quota_bytes);
    co_return Result<void>();
  }
  Task<Result<void>> remove(Uuid, CallOptions) override { co_return Result<void>(); }
  Task<Result<std::vector<Uuid>>> list_ours(CallOptions) override { co_return std::vector<Uuid>(); }

  using Told = std::vector<std::pair<Uuid, std::uint64_t>>;
  Told take() { return std::exchange(told, {}); }
  Told told;
  bool is_away = false;
};

class StoreQuotasTest : public tenancy::fixture::InstallationTest {
 protected:
  void SetUp() override {
    InstallationTest::SetUp();
    acme_ = create(request("Acme")).tenant;
    other_ = create(request("Other")).tenant;
    give_store(*acme_, "provisioned");
    give_store(*other_, "byos");
    quotas_ = std::make_unique<StoreQuotas>(executor(), node().platform, &admin_, observe::process_log(),
                                            [this](Uuid tenant, CallOptions) { return found(tenant); });
  }
  void TearDown() override {
    run(quotas_->stop());
    platform_sql().run("DELETE FROM platform.tenant_storage_configs");
    remove(*acme_);
    remove(*other_);
  }

  // Sealed with a data key that nobody opens here.
  static void give_store(const tenancy::Tenant& tenant, const std::string& origin) {
    const std::string id = "'" + tenant.id.to_string() + "'";
    platform_sql().run(
        "INSERT INTO platform.tenant_data_keys (tenant_id, generation, wrapped, wrapping_key) VALUES (" + id +
        ", 1, decode(repeat('00', 48), 'hex'), repeat('0', 16))");
    platform_sql().run(
        "INSERT INTO platform.tenant_storage_configs (tenant_id, provider, sealed, origin) VALUES (" + id +
        ", 'minio', '\\x0000000001', '" + origin + "')");
  }
  // The tenant as its plan is now.
  Task<Result<std::shared_ptr<const tenancy::Tenant>>> found(Uuid id) {
    if (is_gone_) co_return Error(ErrorCode::not_found, "gone");
    auto pack = std::make_shared<tenancy::Pack>();
    tenancy::Plan plan;
    plan.name = "basic";
    plan.limits["storage_mb"] = megabytes_;
    pack->manifest.plans.push_back(std::move(plan));
    auto tenant = std::make_shared<tenancy::Tenant>(id == acme_->id ? *acme_ : *other_);
    tenant->pack = std::move(pack);
    tenant->plan_name = "basic";
    co_return std::shared_ptr<const tenancy::Tenant>(std::move(tenant));
  }
  bool look() { return run(quotas_->look()).ok(); }
  NotingAdmin::Told acme_has(std::uint64_t bytes) const { return {{acme_->id, bytes}}; }

  NotingAdmin admin_;
  std::shared_ptr<const tenancy::Tenant> acme_, other_;
  std::unique_ptr<StoreQuotas> quotas_;
  std::int64_t megabytes_ = 1;
  bool is_gone_ = false;
};

TEST_F(StoreQuotasTest, AChangedPlanIsToldAndNothingElse) {
  quotas_->changed(nullptr);
  ASSERT_TRUE(look());
  EXPECT_EQ(admin_.take(), acme_has(1'000'000));
  quotas_->changed(&acme_->id);
  quotas_->changed(&other_->id);
  ASSERT_TRUE(look());
  EXPECT_TRUE(admin_.take().empty()) << "nothing has changed";
  megabytes_ = 2;
  ASSERT_TRUE(look());
  EXPECT_TRUE(admin_.take().empty()) << "nobody has told";
  quotas_->changed(&acme_->id);
  quotas_->changed(&other_->id);
  ASSERT_TRUE(look());
  EXPECT_EQ(admin_.take(), acme_has(2'000'000)) << "storage of a tenant's own has no quota of ours";
}

TEST_F(StoreQuotasTest, WhatFailedIsToldLater) {
  admin_.is_away = true;
  quotas_->changed(&acme_->id);
  EXPECT_FALSE(look());
  admin_.is_away = false;
  ASSERT_TRUE(look());
  EXPECT_EQ(admin_.take(), acme_has(1'000'000));
}

TEST_F(StoreQuotasTest, ATenantThatIsGoneIsNoError) {
  is_gone_ = true;
  quotas_->changed(nullptr);
  EXPECT_TRUE(look());
  EXPECT_TRUE(admin_.take().empty());
}

TEST_F(StoreQuotasTest, LooksByItselfAfterAStartAndAfterAChange) {
  quotas_->start();
  ASSERT_TRUE(eventually([this] { return !admin_.told.empty(); }));
  EXPECT_EQ(admin_.take(), acme_has(1'000'000));
  megabytes_ = 3;
  quotas_->changed(&acme_->id);
  ASSERT_TRUE(eventually([this] { return !admin_.told.empty(); }));
  EXPECT_EQ(admin_.take(), acme_has(3'000'000));
}

}  // namespace
}  // namespace rowhouse::objects
