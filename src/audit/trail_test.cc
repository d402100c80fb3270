#include "audit/trail.h"

#include <gtest/gtest.h>

namespace rowhouse::audit {
namespace {

TEST(Trail, SeveritiesOfSecurityEvents) {
  EXPECT_EQ(severity_of(SecurityEventKind::invalid_tenant_access), Severity::high);
  EXPECT_EQ(severity_of(SecurityEventKind::feature_access_denied), Severity::medium);
  EXPECT_EQ(severity_of(SecurityEventKind::permission_denied), Severity::medium);
  EXPECT_EQ(security_event_name(SecurityEventKind::permission_denied), "PERMISSION_DENIED");
  EXPECT_EQ(severity_of(SecurityEventKind::login_failed), Severity::medium);
  EXPECT_EQ(security_event_name(SecurityEventKind::login_failed), "LOGIN_FAILED");
  EXPECT_EQ(severity_of(SecurityEventKind::refresh_token_reused), Severity::high);
  EXPECT_EQ(security_event_name(SecurityEventKind::refresh_token_reused), "REFRESH_TOKEN_REUSED");
  EXPECT_EQ(severity_of(SecurityEventKind::link_refused), Severity::medium);
  EXPECT_EQ(security_event_name(SecurityEventKind::link_refused), "LINK_REFUSED");
  EXPECT_EQ(severity_of(SecurityEventKind::rate_limit_exceeded), Severity::medium);
  EXPECT_EQ(severity_of(SecurityEventKind::validation_error), Severity::high);
  EXPECT_EQ(security_event_name(SecurityEventKind::rate_limit_exceeded), "RATE_LIMIT_EXCEEDED");
}

TEST(Trail, ParametersMatchTheStatement) {
  Change change("admin cli", "tenant.suspended");
  change.address = "127.0.0.1:40123";
  pg::Params params;
  params.emplace_back("first");
  append_parameters(params, change);
  EXPECT_EQ(params.size(), 1U + kChangeParameters);
  const auto sql = insert_sql(2, "changed");
  EXPECT_NE(sql.find("$2::uuid"), std::string::npos);
  EXPECT_NE(sql.find("$9::inet FROM changed"), std::string::npos);
  EXPECT_EQ(params[8], "127.0.0.1");
}

TEST(Trail, AddressesLoseTheirPorts) {
  const auto address_of = [](std::string peer) {
    Change change("a", "b");
    change.address = std::move(peer);
    pg::Params params;
    append_parameters(params, change);
    return params[7];
  };
  EXPECT_EQ(address_of("[2001:db8::1]:443"), "2001:db8::1");
  EXPECT_EQ(address_of("2001:db8::1"), "2001:db8::1");
  EXPECT_EQ(address_of("10.0.0.1"), "10.0.0.1");
  EXPECT_EQ(address_of("unix"), std::nullopt);
  EXPECT_EQ(address_of("'; DROP TABLE x"), std::nullopt);
  EXPECT_EQ(address_of(""), std::nullopt);
}

TEST(Trail, RepetitionsAreThoseOfOnePeer) {
  SecurityEvent one(SecurityEventKind::invalid_tenant_access);
  one.detail = "credential_unknown";
  one.address = "10.0.0.1";
  SecurityEvent other = one;
  other.request_id = "another";
  EXPECT_TRUE(one.repeats(other));
  other.address = "10.0.0.2";
  EXPECT_FALSE(one.repeats(other));
}

}  // namespace
}  // namespace rowhouse::audit
