#include "tenancy/tenant_input.h"

#include <gtest/gtest.h>

#include "tenancy/pack_fixture.h"

namespace rowhouse::tenancy {
namespace {

Manifest manifest_with_settings() {
  auto manifest = fixture::manifest();
  manifest.settings.clear();
  const auto add = [&](const char* name, const char* type, json::Value fallback) -> Setting& {
    auto& setting = manifest.settings.emplace_back();
    setting.name = name;
    setting.type = type;
    setting.default_value = std::move(fallback);
    return setting;
  };
  add("timezone", "string", "UTC");
  auto& interval = add("interval_s", "integer", 60);
  interval.minimum = 10;
  interval.maximum = 3600;
  add("dark", "boolean", false);
  auto& format = add("format", "string", "24h");
  format.allowed.emplace_back("24h");
  format.allowed.emplace_back("12h");
  add("thresholds", "object", json::Value(json::Object{}));
  return manifest;
}

std::vector<std::string> paths(const Faults& faults) {
  std::vector<std::string> all;
  for (const auto& fault : faults) all.push_back(fault.path);
  return all;
}

TEST(TenantInput, SettingsAreTheDefaultsWithTheGivenOnes) {
  Faults faults;
  const auto given = json::parse(R"({"interval_s": 30, "format": "12h"})").value();
  const auto merged = merge_settings(manifest_with_settings(), json::Value(), given, faults);
  EXPECT_TRUE(faults.empty());
  EXPECT_EQ(json::serialize(merged),
            R"({"timezone":"UTC","interval_s":30,"dark":false,"format":"12h","thresholds":{}})");
}

TEST(TenantInput, SettingsKeepWhatIsThereAndNullGoesBackToTheDefault) {
  Faults faults;
  const auto current = json::parse(R"({"timezone": "Europe/Berlin", "interval_s": 30, "gone": 1})").value();
  const auto given = json::parse(R"({"interval_s": null, "dark": true})").value();
  const auto merged = merge_settings(manifest_with_settings(), current, given, faults);
  EXPECT_TRUE(faults.empty());
  EXPECT_EQ(json::serialize(merged),
            R"({"timezone":"Europe/Berlin","interval_s":60,"dark":true,"format":"24h","thresholds":{}})");
}

TEST(TenantInput, EveryFaultySettingIsNamed) {
  Faults faults;
  const auto given =
      json::parse(R"({"interval_s": 5, "dark": "yes", "format": "36h", "no/such~one": 1, "thresholds": []})")
          .value();
  merge_settings(manifest_with_settings(), json::Value(), given, faults);
  EXPECT_EQ(paths(faults),
            (std::vector<std::string>{"/settings/interval_s", "/settings/dark", "/settings/format",
                                      "/settings/no~1such~0one", "/settings/thresholds"}));
  faults.clear();
  const auto fraction = json::parse(R"({"interval_s": 10.5})").value();
  merge_settings(manifest_with_settings(), json::Value(), fraction, faults);
  EXPECT_EQ(paths(faults), std::vector<std::string>{"/settings/interval_s"});
}

TEST(TenantInput, DocumentsAreObjectsThatJsonbCanHold) {
  const auto faults_of = [](const json::Value& document) {
    Faults faults;
    check_document("/branding", document, faults);
    return faults.size();
  };
  EXPECT_EQ(faults_of(json::Value()), 0U);
  EXPECT_EQ(faults_of(json::parse(R"({"colour": "#123", "list": [1]})").value()), 0U);
  EXPECT_EQ(faults_of(json::Value("text")), 1U);
  EXPECT_EQ(faults_of(json::parse(R"({"a": [{"b": "x\u0000y"}]})").value()), 1U);
  json::Value large;
  large.set("logo", std::string(kMaxDocumentBytes, 'x'));
  EXPECT_EQ(faults_of(large), 1U);
}

TEST(TenantInput, AddressesOfTheTenant) {
  const auto domain_ok = [](std::string_view domain) {
    Faults faults;
    check_domain("/domain", domain, faults);
    return faults.empty();
  };
  EXPECT_TRUE(domain_ok("crm.example.com"));
  EXPECT_TRUE(domain_ok("xn--mller-kva.de"));
  for (const char* bad : {"", "example", "a..b", ".a.b", "a.b.", "-a.b", "a_b.c", "a b.c", "müller.de"}) {
    EXPECT_FALSE(domain_ok(bad)) << bad;
  }
  EXPECT_FALSE(domain_ok(std::string(64, 'a') + ".com"));
  const auto email_ok = [](std::string_view email) {
    Faults faults;
    check_email("/admin_email", email, faults);
    return faults.empty();
  };
  EXPECT_TRUE(email_ok("ann+crm@example.com"));
  for (const char* bad : {"", "ann", "@b", "a@", "a@b@c", "a b@c", "a@b\nBcc: x", "<a@b>"}) {
    EXPECT_FALSE(email_ok(bad)) << bad;
  }
}

TEST(TenantInput, ANewTenantIsCheckedAsAWhole) {
  const auto manifest = fixture::manifest();
  NewTenant request;
  request.name = "Acme";
  request.admin_email = "ann@example.com";
  request.domain = "CRM.Example.COM";
  Faults faults;
  check_new_tenant(request, manifest, faults);
  EXPECT_TRUE(faults.empty());
  EXPECT_EQ(request.plan, manifest.default_plan);
  EXPECT_EQ(request.tier, manifest.default_tier);
  EXPECT_EQ(request.domain, "crm.example.com");
  EXPECT_EQ(*request.contact.find("admin_email")->as_string(), "ann@example.com");
  EXPECT_EQ(json::serialize(request.branding), "{}");

  NewTenant bad;
  bad.plan = "platinum";
  bad.domain = "x";
  bad.subdomain = "-x";
  bad.admin_email = "x";
  bad.branding = json::Value(1);
  bad.settings = json::parse(R"({"unknown": 1})").value();
  faults.clear();
  check_new_tenant(bad, manifest, faults);
  EXPECT_EQ(paths(faults), (std::vector<std::string>{"/plan", "/domain", "/subdomain", "/admin_email",
                                                     "/branding", "/settings/unknown"}));
  const auto error = error_of(faults);
  EXPECT_EQ(error.code, ErrorCode::validation_failed);
  EXPECT_EQ(error.fields.size(), 6U);
  EXPECT_NE(error.fields[0].message.find("basic"), std::string::npos);
}

}  // namespace
}  // namespace rowhouse::tenancy
