#include "http/documents.h"

#include <gtest/gtest.h>

namespace rowhouse::http {
namespace {

json::Value parsed(std::string_view text) {
  auto value = json::parse(text);
  EXPECT_TRUE(value.ok());
  return std::move(value).value();
}

std::vector<std::string> paths(const Error& error) {
  std::vector<std::string> result;
  for (const auto& field : error.fields) result.push_back(field.path);
  return result;
}

TEST(NewTenantBody, ReadsEveryMember) {
  const auto tenant = read_new_tenant(parsed(
      R"({"name": "Acme", "slug": "acme", "pack": "tekup", "plan": "basic", "tier": "schema", "domain": "acme.example",
          "storage": "byos", "admin_email": "a@acme.example", "settings": {"timezone": "UTC"}, "sample_data": true})"));
  ASSERT_TRUE(tenant.ok());
  EXPECT_EQ(tenant->name, "Acme");
  EXPECT_EQ(tenant->tier, tenancy::Tier::schema);
  EXPECT_EQ(tenant->storage, tenancy::StorageChoice::byos);
  EXPECT_EQ(tenant->sample_rows, tenancy::NewTenant::SampleRows::load);
  EXPECT_EQ(*tenant->settings.find("timezone")->as_string(), "UTC");
  EXPECT_NE(tenant->branding.as_object(), nullptr);
}

TEST(NewTenantBody, NamesEveryFault) {
  const auto tenant = read_new_tenant(parsed(
      R"({"name": 5, "tier": "cloud", "storage": "tape", "settings": [], "sample_data": "yes", "id": "x", "status": "active"})"));
  ASSERT_FALSE(tenant.ok());
  EXPECT_EQ(tenant.error().code, ErrorCode::validation_failed);
  EXPECT_EQ(paths(tenant.error()), (std::vector<std::string>{"/pack", "/name", "/tier", "/storage",
                                                             "/sample_data", "/settings", "/id", "/status"}));
}

TEST(NewTenantBody, MustBeAnObject) {
  EXPECT_FALSE(read_new_tenant(parsed("[]")).ok());
  EXPECT_FALSE(read_tenant_change(parsed("null")).ok());
}

TEST(TenantChangeBody, NullClearsAndAbsenceKeeps) {
  const auto change = read_tenant_change(parsed(R"({"domain": null, "plan": "enterprise"})"));
  ASSERT_TRUE(change.ok());
  EXPECT_EQ(change->domain, "");
  EXPECT_EQ(change->plan, "enterprise");
  EXPECT_FALSE(change->name.has_value());
}

TEST(TenantChangeBody, CannotMoveOrRestate) {
  const auto change =
      read_tenant_change(parsed(R"({"tier": "pool", "status": "active", "slug": "x", "pack": "tekup"})"));
  ASSERT_FALSE(change.ok());
  EXPECT_EQ(change.error().fields.size(), 4U);
}

}  // namespace
}  // namespace rowhouse::http
