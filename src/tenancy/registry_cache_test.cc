#include "tenancy/registry_cache.h"

#include <gtest/gtest.h>

namespace rowhouse::tenancy {
namespace {

std::shared_ptr<const Tenant> tenant_named(std::string slug) {
  auto tenant = std::make_shared<Tenant>();
  tenant->id = Uuid::make_v7(std::chrono::system_clock::now());
  tenant->slug = std::move(slug);
  return tenant;
}

KeyHash hash_with(std::uint8_t byte) {
  KeyHash hash{};
  hash[0] = byte;
  return hash;
}

KeyEntry key_of(std::shared_ptr<const Tenant> tenant) {
  KeyEntry entry;
  entry.tenant = std::move(tenant);
  return entry;
}

RegistryOptions small() {
  RegistryOptions options;
  options.max_tenants = 2;
  options.max_keys = 3;
  options.max_unknown_keys = 2;
  return options;
}

TEST(RegistryCache, TenantsByIdAndSlug) {
  RegistryCache cache(small());
  const auto acme = tenant_named("acme");
  cache.keep_tenant(acme);
  EXPECT_EQ(cache.tenant("acme"), acme);
  EXPECT_EQ(cache.tenant(acme->id.to_string()), acme);
  EXPECT_EQ(cache.tenant("other"), nullptr);
  cache.forget_tenant(acme->id);
  EXPECT_EQ(cache.tenant("acme"), nullptr);
  EXPECT_EQ(cache.size(), 0U);
}

TEST(RegistryCache, AnEvictedTenantIsNotFoundByItsSlug) {
  RegistryCache cache(small());
  for (const char* slug : {"a", "b", "c"}) cache.keep_tenant(tenant_named(slug));
  EXPECT_EQ(cache.tenant("a"), nullptr);
  EXPECT_NE(cache.tenant("b"), nullptr);
  EXPECT_NE(cache.tenant("c"), nullptr);
}

TEST(RegistryCache, ForgettingATenantForgetsItsKeysAlone) {
  RegistryCache cache(small());
  const auto acme = tenant_named("acme");
  const auto other = tenant_named("other");
  cache.keep_key(hash_with(1), key_of(acme));
  cache.keep_key(hash_with(2), key_of(acme));
  cache.keep_key(hash_with(3), key_of(other));
  cache.forget_tenant(acme->id);
  EXPECT_EQ(cache.key(hash_with(1)), nullptr);
  EXPECT_EQ(cache.key(hash_with(2)), nullptr);
  EXPECT_NE(cache.key(hash_with(3)), nullptr);
}

TEST(RegistryCache, EverythingIsBounded) {
  RegistryCache cache(small());
  const auto now = std::chrono::steady_clock::now();
  for (int i = 0; i < 200; ++i) {
    const auto tenant = tenant_named("t" + std::to_string(i));
    cache.keep_tenant(tenant);
    cache.keep_key(hash_with(static_cast<std::uint8_t>(i)), key_of(tenant));
    cache.keep_unknown(hash_with(static_cast<std::uint8_t>(i)), now);
  }
  EXPECT_EQ(cache.size(), 2U + 3U + 2U);
}

TEST(RegistryCache, UnknownKeysAreForgottenSoon) {
  RegistryCache cache(small());
  const auto now = std::chrono::steady_clock::now();
  cache.keep_unknown(hash_with(1), now);
  EXPECT_TRUE(cache.is_unknown(hash_with(1), now));
  EXPECT_FALSE(cache.is_unknown(hash_with(1), now + RegistryCache::kUnknownFor));
  EXPECT_FALSE(cache.is_unknown(hash_with(2), now));
}

TEST(RegistryCache, ALookUpLearnsOfChangesMeanwhile) {
  RegistryCache cache(small());
  const auto acme = tenant_named("acme");
  const auto other = tenant_named("other");
  RegistryCache::Lookup lookup(cache);
  EXPECT_TRUE(lookup.may_keep(acme->id));
  cache.forget_tenant(acme->id);
  EXPECT_FALSE(lookup.may_keep(acme->id));
  EXPECT_TRUE(lookup.may_keep(other->id));
  RegistryCache::Lookup later(cache);
  EXPECT_TRUE(later.may_keep(acme->id));
  cache.forget_everything();
  EXPECT_FALSE(lookup.may_keep(other->id));
  EXPECT_FALSE(later.may_keep());
}

}  // namespace
}  // namespace rowhouse::tenancy
