#include "identity/authenticator.h"

#include <gtest/gtest.h>

#include "identity/context_pgtest.h"
#include "tenancy/api_key.h"
#include "tenancy/installation_pgtest.h"

namespace rowhouse::identity {
namespace {

using tenancy::CreatedTenant;
using tenancy::fixture::tester;
using testing::patient;

class AuthenticatorTest : public tenancy::fixture::InstallationTest {
 protected:
  void SetUp() override {
    InstallationTest::SetUp();
    acme_.emplace(create(request("Acme")));
    other_.emplace(create(request("Other")));
    trail_.emplace(executor(), node().platform, audit::TrailOptions());
    authenticator_.emplace(node().registry, *trail_, clock(), "app.example");
    events_before_ = count_of_events();
  }
  void TearDown() override {
    run(trail_->stop());
    for (const auto& created : {acme_, other_}) {
      EXPECT_TRUE(run(tenants().remove(created->tenant->id.to_string(), tester(), patient())).ok());
    }
  }

  static net::HttpRequest http(std::vector<net::Header> headers) {
    net::HttpRequest request;
    request.headers = std::move(headers);
    request.peer = "198.51.100.9:5000";
    request.request_id = "request-1";
    return request;
  }
  Result<TenantContext> tenant(const net::HttpRequest& request) {
    return run(authenticator_->tenant(request, patient()));
  }
  static Result<tenancy::NewApiKey> make_key(tenancy::Grant grant) {
    return run(tenants().create_key("acme", tenancy::NewKey("of a test", std::move(grant)),
                                    tenancy::KeyMaker(tester()), patient()));
  }
  ErrorCode refusal(std::vector<net::Header> headers) {
    const auto request = http(std::move(headers));
    const auto context = tenant(request);
    EXPECT_FALSE(context.ok());
    // The fast path refuses in the same way, or leaves it to the slow one.
    const auto cached = authenticator_->tenant_if_cached(request);
    if (cached && !context.ok()) {
      EXPECT_EQ(cached->error().code, context.error().code);
    }
    return context.ok() ? ErrorCode::internal : context.error().code;
  }
  int count_of_events() {
    return std::stoi(platform_sql().value("SELECT count(*) FROM platform.audit_log WHERE kind = 'security'"));
  }

  std::optional<CreatedTenant> acme_, other_;
  std::optional<audit::Trail> trail_;
  std::optional<Authenticator> authenticator_;
  int events_before_ = 0;
};

TEST_F(AuthenticatorTest, AKeyGivesTheContextOfItsTenant) {
  const auto request = http({{"Host", "localhost"}, {"x-tenant-key", acme_->api_key}});
  EXPECT_FALSE(authenticator_->tenant_if_cached(request).has_value());
  const auto context = tenant(request);
  ASSERT_TRUE(context.ok()) << context.error().message;
  EXPECT_EQ(context->tenant().id, acme_->tenant->id);
  EXPECT_EQ(context->pack().manifest.name, "mini");
  EXPECT_TRUE(context->require("lead:read").ok());
  EXPECT_FALSE(context->require("lead:delete").ok());
  EXPECT_EQ(context->principal().kind, PrincipalKind::tenant_key);
  EXPECT_EQ(context->principal().name, "key default");
  const auto cached = authenticator_->tenant_if_cached(request);
  ASSERT_TRUE(cached.has_value());
  ASSERT_TRUE(cached->ok());
  EXPECT_EQ((*cached)->tenant().id, acme_->tenant->id);
}

TEST_F(AuthenticatorTest, TheTenantThatIsNamedMustBeTheKeys) {
  for (const std::string& claim : {acme_->tenant->slug, acme_->tenant->id.to_string()}) {
    EXPECT_TRUE(tenant(http({{"X-Tenant-Key", acme_->api_key}, {"X-Tenant-ID", claim}})).ok()) << claim;
  }
  for (const std::string& claim :
       {other_->tenant->slug, other_->tenant->id.to_string(), std::string("nobody"), std::string("ACME")}) {
    EXPECT_EQ(refusal({{"X-Tenant-Key", acme_->api_key}, {"X-Tenant-ID", claim}}), ErrorCode::tenant_mismatch)
        << claim;
  }
  const auto request = http({{"X-Tenant-Key", acme_->api_key}});
  const auto context = tenant(request);
  ASSERT_TRUE(context.ok());
  EXPECT_TRUE(authenticator_->check_claim(*context, "acme", request).ok());
  EXPECT_EQ(authenticator_->check_claim(*context, "other", request).error().code, ErrorCode::tenant_mismatch);
}

TEST_F(AuthenticatorTest, DoubtfulHeadersAreRefused) {
  const auto& key = acme_->api_key;
  EXPECT_EQ(refusal({}), ErrorCode::credential_missing);
  EXPECT_EQ(refusal({{"X-Tenant-Key", ""}}), ErrorCode::credential_missing);
  EXPECT_EQ(refusal({{"X-Tenant-Key", key}, {"X-Tenant-Key", other_->api_key}}),
            ErrorCode::malformed_request);
  EXPECT_EQ(refusal({{"X-Tenant-Key", key}, {"x-tenant-key", key}}), ErrorCode::malformed_request);
  EXPECT_EQ(refusal({{"X-Tenant-Key", key}, {"X-Tenant-ID", "acme"}, {"X-Tenant-Id", "acme"}}),
            ErrorCode::malformed_request);
  EXPECT_EQ(refusal({{"X-Tenant-Key", key}, {"X-Tenant-ID", ""}}), ErrorCode::malformed_request);
  for (const std::string& bad : {std::string("tk_"), key + "x", key.substr(0, 45), "TK_" + key.substr(3),
                                 key + "," + key, std::string("' OR 1=1 --"), std::string("\xff\xfe"),
                                 tenancy::make_credential(tenancy::kTenantKeyPrefix)}) {
    EXPECT_EQ(refusal({{"X-Tenant-Key", bad}}), ErrorCode::credential_unknown) << bad;
  }
}

TEST_F(AuthenticatorTest, KeysExpireByTheClock) {
  tenancy::Grant grant;
  grant.expires_at = clock().now() + std::chrono::minutes(1);
  const auto made = make_key(grant);
  ASSERT_TRUE(made.ok());
  const auto request = http({{"X-Tenant-Key", made->secret}});
  EXPECT_TRUE(tenant(request).ok());
  clock().advance(std::chrono::minutes(2));
  EXPECT_EQ(tenant(request).error().code, ErrorCode::credential_unknown);
  EXPECT_EQ(authenticator_->tenant_if_cached(request)->error().code, ErrorCode::credential_unknown);
}

TEST_F(AuthenticatorTest, AKeyMayDoWhatItsScopesSay) {
  tenancy::Grant grant;
  grant.permissions = std::make_shared<const tenancy::Permissions>(
      tenancy::Permissions::from({"lead:write", "key:read"}).value());
  const auto made = make_key(grant);
  ASSERT_TRUE(made.ok()) << made.error().message;
  const auto context = tenant(http({{"X-Tenant-Key", made->secret}}));
  ASSERT_TRUE(context.ok());
  EXPECT_TRUE(context->require("key:read").ok());
  EXPECT_EQ(context->require("lead:read").error().code, ErrorCode::permission_missing);
  EXPECT_EQ(context->require("key:manage").error().code, ErrorCode::permission_missing);
  // The plan comes first, and Rowhouse's own operations are in every plan.
  EXPECT_EQ(context->require("lead:delete").error().code, ErrorCode::feature_missing);
  EXPECT_NE(context->require("key:manage").error().message.find("key:manage"), std::string::npos);
  EXPECT_EQ(context->grant().permissions->patterns(), grant.permissions->patterns());
  EXPECT_EQ(context->rows(), tenancy::RowScope::all);
  EXPECT_EQ(context->role(), "");
}

TEST_F(AuthenticatorTest, AKeyIsBoundToItsNetworks) {
  const auto bound_to = [&](const std::string& network) {
    tenancy::Grant grant;
    grant.networks = std::make_shared<const tenancy::Networks>(tenancy::Networks::from({network}).value());
    return make_key(grant)->secret;
  };
  EXPECT_TRUE(tenant(http({{"X-Tenant-Key", bound_to("198.51.100.0/24")}})).ok());
  const std::string elsewhere = bound_to("203.0.113.0/24");
  EXPECT_EQ(refusal({{"X-Tenant-Key", elsewhere}}), ErrorCode::forbidden);
  EXPECT_EQ(refusal({{"X-Tenant-Key", elsewhere}}), ErrorCode::forbidden) << "out of the cache as well";
  auto request = http({{"X-Tenant-Key", elsewhere}});
  request.peer = "203.0.113.7:1";
  EXPECT_TRUE(tenant(request).ok());
  run(trail_->stop());
  EXPECT_GT(count_of_events(), events_before_);
}

TEST_F(AuthenticatorTest, BothSecretsOfARotatedKeyAreGoodUntilTheOverlapIsOver) {
  const auto made = make_key(tenancy::Grant());
  ASSERT_TRUE(made.ok());
  const auto old_secret = http({{"X-Tenant-Key", made->secret}});
  EXPECT_TRUE(tenant(old_secret).ok());
  const auto rotate = [&](std::chrono::seconds overlap) {
    return run(tenants().rotate_key("acme", made->key.id, overlap, tenancy::KeyMaker(tester()), patient()));
  };
  const auto rotated = rotate(std::chrono::hours(1));
  ASSERT_TRUE(rotated.ok()) << rotated.error().message;
  EXPECT_EQ(rotated->key.id, made->key.id);
  const auto new_secret = http({{"X-Tenant-Key", rotated->secret}});
  for (int use = 0; use < 2; ++use) {  // looked up, and out of the cache
    EXPECT_TRUE(tenant(old_secret).ok());
    EXPECT_TRUE(tenant(new_secret).ok());
  }
  EXPECT_EQ(rotate(std::chrono::hours(1)).error().code, ErrorCode::conflict);
  clock().advance(std::chrono::hours(1));
  EXPECT_EQ(tenant(old_secret).error().code, ErrorCode::credential_unknown);
  EXPECT_TRUE(tenant(new_secret).ok());

  const auto last = rotate(std::chrono::seconds(0));
  ASSERT_TRUE(last.ok()) << last.error().message;
  EXPECT_TRUE(last->key.previous_until.empty());
  EXPECT_EQ(tenant(new_secret).error().code, ErrorCode::credential_unknown);
  EXPECT_TRUE(tenant(http({{"X-Tenant-Key", last->secret}})).ok());
}

TEST_F(AuthenticatorTest, OnlyAnActiveTenantIsLetIn) {
  const auto request = http({{"X-Tenant-Key", acme_->api_key}});
  ASSERT_TRUE(run(tenants().suspend("acme", tester(), patient())).ok());
  EXPECT_EQ(tenant(request).error().code, ErrorCode::tenant_suspended);
  ASSERT_TRUE(run(tenants().resume("acme", tester(), patient())).ok());
  EXPECT_TRUE(tenant(request).ok());
  for (const char* status : {"provisioning", "archived", "deleting"}) {
    platform_sql().run(std::string("UPDATE platform.tenants SET status = '") + status +
                       "' WHERE slug = 'acme'");
    node().registry.forget_tenant(acme_->tenant->id);
    EXPECT_EQ(tenant(request).error().code, ErrorCode::credential_unknown) << status;
  }
}

TEST_F(AuthenticatorTest, AdminsComeWithABearerToken) {
  const auto token = tenancy::make_credential(tenancy::kAdminTokenPrefix);
  ASSERT_TRUE(run(tenants().set_admin_token("cli", token, patient())).ok());
  const auto platform = [&](std::vector<net::Header> headers) {
    const auto request = http(std::move(headers));
    return run(authenticator_->platform(request, patient()));
  };
  for (const std::string& scheme : {std::string("Bearer "), std::string("bearer ")}) {
    const auto context = platform({{"Authorization", scheme + token}});
    ASSERT_TRUE(context.ok()) << context.error().message;
    EXPECT_EQ(context->principal().name, "admin cli");
  }
  EXPECT_EQ(platform({}).error().code, ErrorCode::credential_missing);
  EXPECT_EQ(
      platform({{"Authorization", "Bearer " + token}, {"Authorization", "Bearer " + token}}).error().code,
      ErrorCode::malformed_request);
  for (const std::string& bad : {"Basic " + token, token, std::string("Bearer"), "Bearer " + acme_->api_key,
                                 "Bearer " + tenancy::make_credential(tenancy::kAdminTokenPrefix)}) {
    EXPECT_EQ(platform({{"Authorization", bad}}).error().code, ErrorCode::credential_unknown) << bad;
  }
  // A tenant's key opens nothing here, an admin's token nothing there.
  EXPECT_EQ(refusal({{"X-Tenant-Key", token}}), ErrorCode::credential_unknown);
}

TEST_F(AuthenticatorTest, RefusalsAreOnTheRecordWithoutTheKey) {
  const auto secret = tenancy::make_credential(tenancy::kTenantKeyPrefix);
  const auto unknown = http({{"X-Tenant-Key", secret}, {"User-Agent", "curl/8"}});
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(tenant(unknown).ok());
  const auto mismatch = http({{"X-Tenant-Key", acme_->api_key}, {"X-Tenant-ID", "other"}});
  EXPECT_FALSE(tenant(mismatch).ok());
  const auto missing = http({});
  EXPECT_FALSE(tenant(missing).ok());
  run(trail_->stop());
  EXPECT_EQ(count_of_events() - events_before_, 2) << "repetitions fold, a missing key is no event";
  EXPECT_EQ(platform_sql().value(
                "SELECT action || ' ' || severity || ' ' || host(address) || ' ' || agent || ' ' || "
                "(new_values->>'detail') || ' ' || (new_values->>'count') FROM platform.audit_log "
                "WHERE kind = 'security' AND agent = 'curl/8'"),
            "INVALID_TENANT_ACCESS high 198.51.100.9 curl/8 credential_unknown 5");
  EXPECT_EQ(
      platform_sql().value("SELECT new_values->>'detail' FROM platform.audit_log WHERE kind = 'security' AND "
                           "actor = 'key default' AND tenant_id = '" +
                           acme_->tenant->id.to_string() + "'"),
      "tenant_mismatch");
  EXPECT_EQ(platform_sql().value("SELECT count(*) FROM platform.audit_log a WHERE a::text LIKE '%" +
                                 secret.substr(3) + "%'"),
            "0");
}

TEST_F(AuthenticatorTest, PlatformWorkOnATenantIsOnTheRecord) {
  const auto admin = PlatformContextForTests::make();
  const auto context = run(authenticator_->for_platform(admin, acme_->tenant, "support case 7", patient()));
  ASSERT_TRUE(context.ok()) << context.error().message;
  EXPECT_EQ(context->tenant().id, acme_->tenant->id);
  EXPECT_EQ(context->principal().kind, PrincipalKind::platform_admin);
  const auto server =
      run(authenticator_->for_server(Authenticator::ServerTask::load_sample_data, acme_->tenant, patient()));
  ASSERT_TRUE(server.ok());
  EXPECT_EQ(server->principal().name, "server");
  EXPECT_EQ(platform_sql().value(
                "SELECT string_agg(actor || ': ' || (new_values->>'purpose'), ', ' ORDER BY id) FROM "
                "platform.audit_log WHERE action = 'tenant.rows_opened' AND tenant_id = '" +
                acme_->tenant->id.to_string() + "'"),
            "admin of a test: support case 7, server: load sample data");
}

TEST_F(AuthenticatorTest, AHostThatNamesAnotherTenantIsRefused) {
  const std::string own = acme_->tenant->subdomain;
  const std::string other = other_->tenant->subdomain;
  ASSERT_NE(own, other);
  for (const std::string& host :
       {own + ".app.example", own + ".APP.Example:8080", std::string("app.example"),
        std::string("127.0.0.1:8080"), std::string("[::1]:8080"), std::string("localhost")}) {
    const auto context = tenant(http({{"Host", host}, {"X-Tenant-Key", acme_->api_key}}));
    EXPECT_TRUE(context.ok()) << host;
  }
  for (const std::string& host :
       {other + ".app.example", std::string("nobody.app.example"), std::string("elsewhere.example"),
        own + ".app.example.evil.example", "x." + own + ".app.example"}) {
    EXPECT_EQ(refusal({{"Host", host}, {"X-Tenant-Key", acme_->api_key}}), ErrorCode::tenant_mismatch)
        << host;
  }
}

}  // namespace
}  // namespace rowhouse::identity
