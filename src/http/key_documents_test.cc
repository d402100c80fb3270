#include "http/key_documents.h"

#include <gmock/gmock.h>

namespace rowhouse::http {
namespace {

using testing::ElementsAre;

json::Value parsed(const char* text) { return json::parse(text).value(); }

std::vector<std::string> faults_of(const char* body, Scopes scopes = Scopes::optional) {
  const auto key = read_new_key(parsed(body), tenancy::Grant(), scopes);
  std::vector<std::string> paths;
  if (key.ok()) return paths;
  for (const auto& field : key.error().fields) paths.push_back(field.path);
  return paths;
}

TEST(KeyBody, ReadsEverything) {
  const auto key = read_new_key(parsed(R"({"name": "ci", "scopes": ["lead:read", "key:*"],
      "expires_at": "2027-01-31T12:00:00.250Z", "allowed_networks": ["10.0.0.0/8", "::1"]})"),
                                tenancy::Grant(), Scopes::required);
  ASSERT_TRUE(key.ok()) << key.error().message;
  EXPECT_EQ(key->name, "ci");
  EXPECT_THAT(key->grant.permissions->patterns(), ElementsAre("key:*", "lead:read"));
  EXPECT_EQ(to_rfc3339(*key->grant.expires_at), "2027-01-31T12:00:00.000Z");
  EXPECT_THAT(key->grant.networks->texts(), ElementsAre("10.0.0.0/8", "::1/128"));
}

TEST(KeyBody, WhatIsLeftOutIsTheMakersOwn) {
  tenancy::Grant own;
  own.permissions =
      std::make_shared<const tenancy::Permissions>(tenancy::Permissions::from({"lead:read"}).value());
  own.expires_at = WallTime(std::chrono::hours(24));
  own.networks = std::make_shared<const tenancy::Networks>(tenancy::Networks::from({"10.0.0.0/8"}).value());
  const auto same = read_new_key(parsed(R"({"name": "same"})"), own, Scopes::optional);
  ASSERT_TRUE(same.ok());
  EXPECT_TRUE(tenancy::check_within(own, same->grant).ok());
  EXPECT_EQ(same->grant.expires_at, own.expires_at);
  // Said outright, it is not: check_within() refuses these.
  const auto unbound = read_new_key(parsed(R"({"name": "x", "expires_at": null, "allowed_networks": []})"),
                                    own, Scopes::optional);
  ASSERT_TRUE(unbound.ok());
  EXPECT_FALSE(unbound->grant.expires_at.has_value());
  EXPECT_EQ(unbound->grant.networks, nullptr);
  EXPECT_FALSE(tenancy::check_within(own, unbound->grant).ok());
}

TEST(KeyBody, NamesEveryFault) {
  EXPECT_THAT(faults_of("{}", Scopes::required), ElementsAre("/name", "/scopes"));
  EXPECT_THAT(faults_of(R"([])"), ElementsAre(""));
  EXPECT_THAT(faults_of(R"({"name": 1, "scope": [], "expires_at": "tomorrow"})"),
              ElementsAre("/name", "/scope", "/expires_at"));
  EXPECT_THAT(
      faults_of(R"({"name": "a", "scopes": ["lead:read", "lead"], "allowed_networks": ["10.0.0.1/8"]})"),
      ElementsAre("/scopes/1", "/allowed_networks/0"));
  EXPECT_THAT(faults_of(R"({"name": "a", "scopes": "*", "allowed_networks": [1]})"),
              ElementsAre("/scopes", "/allowed_networks/0"));
  for (const char* time : {R"("2027-01-31T12:00:00")", R"("2027-01-31T12:00:00.Z")", R"("2027-01-31")", "5",
                           R"("2027-01-31T12:00:00+01:00")", R"("2027-01-31T12:00:00.0000000000Z")"}) {
    const std::string body = R"({"name": "a", "expires_at": )" + std::string(time) + "}";
    EXPECT_THAT(faults_of(body.c_str()), ElementsAre("/expires_at")) << time;
  }
}

TEST(KeyRotationBody, HasABoundedOverlap) {
  const auto overlap = [](const char* body) {
    const auto read = read_key_rotation(parsed(body));
    return read.ok() ? read->count() : -1;
  };
  EXPECT_EQ(overlap("{}"), 86'400);
  EXPECT_EQ(overlap(R"({"overlap_seconds": 0})"), 0);
  EXPECT_EQ(overlap(R"({"overlap_seconds": 2592000})"), 2'592'000);
  for (const char* wrong :
       {R"({"overlap_seconds": -1})", R"({"overlap_seconds": 2592001})", "[]", R"({"overlap_seconds": "1h"})",
        R"({"overlap": 1})", R"({"overlap_seconds": 0.5})"}) {
    EXPECT_EQ(overlap(wrong), -1) << wrong;
  }
}

}  // namespace
}  // namespace rowhouse::http
