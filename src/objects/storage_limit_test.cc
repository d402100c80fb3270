#include "objects/storage_limit.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <string>

namespace rowhouse::objects {
namespace {

std::int64_t limit_of(const std::map<std::string, std::int64_t>& limits) {
  tenancy::Plan plan;
  for (const auto& [name, value] : limits) plan.limits[name] = value;
  return storage_limit(plan);
}

TEST(StorageLimit, BytesGoBeforeMegabytes) {
  EXPECT_EQ(limit_of({}), tenancy::kUnlimited);
  EXPECT_EQ(limit_of({{"storage_mb", 3}}), 3'000'000);
  EXPECT_EQ(limit_of({{"storage_mb", 3}, {"storage_bytes", 17}}), 17);
  EXPECT_EQ(limit_of({{"storage_mb", -1}}), tenancy::kUnlimited);
  EXPECT_EQ(limit_of({{"storage_mb", std::numeric_limits<std::int64_t>::max()}}), tenancy::kUnlimited);
  EXPECT_EQ(limit_of({{"storage_bytes", 0}}), 0);
}

TEST(StorageLimit, AQuotaOfTheProviderIsTheSame) {
  auto pack = std::make_shared<tenancy::Pack>();
  const auto quota_with = [&](const std::map<std::string, std::int64_t>& limits) {
    tenancy::Plan plan;
    plan.name = "basic";
    for (const auto& [name, value] : limits) plan.limits[name] = value;
    auto changed = std::make_shared<tenancy::Pack>(*pack);
    changed->manifest.plans = {plan};
    tenancy::Tenant tenant;
    tenant.plan_name = "basic";
    tenant.pack = changed;
    return storage_quota_of(tenant);
  };
  EXPECT_EQ(quota_with({{"storage_mb", 3}}), 3'000'000u);
  EXPECT_EQ(quota_with({}), 0u);
  EXPECT_EQ(quota_with({{"storage_bytes", -1}}), 0u);
  EXPECT_EQ(storage_quota_of(tenancy::Tenant()), 0u);
}

}  // namespace
}  // namespace rowhouse::objects
