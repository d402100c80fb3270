#include "identity/external_claims.h"

#include <gtest/gtest.h>

#include <string>

namespace rowhouse::identity {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds kSkew{30};
const WallTime kNow{1'800'000'000s};

Provider provider() {
  Provider provider;
  provider.settings.issuer = "https://id.acme.example";
  provider.settings.client_id = "rowhouse";
  provider.settings.token_audience = "urn:rows";
  return provider;
}

json::Value parsed(std::string_view text) { return json::parse(text).value(); }

json::Value id_token() {
  return parsed(
      R"({"iss":"https://id.acme.example","aud":"rowhouse","sub":"s1","nonce":"n","iat":1800000000,)"
      R"("exp":1800000600})");
}

json::Value with(json::Value claims, std::string_view name, std::string_view value) {
  claims.set(std::string(name), parsed(value));
  return claims;
}

json::Value without(const json::Value& claims, std::string_view name) {
  json::Object left;
  for (const auto& member : *claims.as_object()) {
    if (member.first != name) left.push_back(member);
  }
  return json::Value(std::move(left));
}

bool accepts(const json::Value& claims, std::string_view nonce = "n") {
  return is_id_token_for(claims, provider(), nonce, kNow, kSkew);
}

TEST(IdToken, IsForThisClientThisSignInAndNow) {
  EXPECT_TRUE(accepts(id_token()));
  EXPECT_TRUE(accepts(with(id_token(), "aud", R"(["rowhouse"])")));
  EXPECT_TRUE(accepts(with(with(id_token(), "aud", R"(["rowhouse","other"])"), "azp", R"("rowhouse")")));
  EXPECT_TRUE(accepts(with(id_token(), "exp", "1799999971")));
  EXPECT_TRUE(accepts(with(id_token(), "iat", "1800000030")));
}

TEST(IdToken, EveryOtherOneIsRefused) {
  struct Case {
    const char* name;
    const char* value;
  };
  for (const auto& [name, value] : {Case{"iss", R"("https://id.acme.example/")"},
                                    Case{"iss", R"("https://evil.example")"},
                                    Case{"iss", "null"},
                                    Case{"aud", R"("other")"},
                                    Case{"aud", "[]"},
                                    Case{"aud", R"(["rowhouse","other"])"},
                                    Case{"aud", R"([["rowhouse"]])"},
                                    Case{"aud", R"("Rowhouse")"},
                                    Case{"azp", R"("other")"},
                                    Case{"azp", "7"},
                                    Case{"nonce", R"("m")"},
                                    Case{"nonce", R"("")"},
                                    Case{"nonce", "null"},
                                    Case{"exp", "1799999970"},
                                    Case{"exp", R"("1800000600")"},
                                    Case{"exp", "-1"},
                                    Case{"exp", "1e99"},
                                    Case{"iat", "1800000031"},
                                    Case{"nbf", "1800000031"},
                                    Case{"nbf", R"("soon")"}}) {
    EXPECT_FALSE(accepts(with(id_token(), name, value))) << name << " " << value;
  }
  for (const char* name : {"iss", "aud", "nonce", "exp", "iat"}) {
    EXPECT_FALSE(accepts(without(id_token(), name))) << name;
  }
  EXPECT_FALSE(accepts(id_token(), "other"));
  // A sign-in without a nonce is none.
  EXPECT_FALSE(accepts(with(id_token(), "nonce", R"("")"), ""));
}

TEST(AccessToken, IsForTheAudienceOfTheProvider) {
  const json::Value token =
      parsed(R"({"iss":"https://id.acme.example","aud":["x","urn:rows"],"sub":"s1","exp":1800000600})");
  const auto end = access_token_end(token, provider(), kNow, kSkew);
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(*end, kNow + 600s);
  const auto refused = [](const json::Value& claims) {
    return !access_token_end(claims, provider(), kNow, kSkew).has_value();
  };
  EXPECT_TRUE(refused(with(token, "aud", R"("rowhouse")")));
  EXPECT_TRUE(refused(with(token, "iss", R"("https://other.example")")));
  EXPECT_TRUE(refused(with(token, "exp", "1799999970")));
  EXPECT_TRUE(refused(without(token, "exp")));
  // Of an ID token, and of one that only the holder of a key may use.
  EXPECT_TRUE(refused(with(token, "nonce", R"("n")")));
  EXPECT_TRUE(refused(with(token, "cnf", "{}")));
  Provider without_audience = provider();
  without_audience.settings.token_audience.clear();
  EXPECT_FALSE(access_token_end(with(token, "aud", R"("")"), without_audience, kNow, kSkew).has_value());
}

TEST(Types, OfTokens) {
  for (const char* type : {"", "JWT", "jwt"}) {
    EXPECT_TRUE(is_id_token_type(type)) << type;
    EXPECT_TRUE(is_access_token_type(type)) << type;
  }
  for (const char* type : {"at+jwt", "application/at+jwt", "AT+JWT"}) {
    EXPECT_TRUE(is_access_token_type(type)) << type;
    EXPECT_FALSE(is_id_token_type(type)) << type;
  }
  for (const char* type : {"logout+jwt", "dpop+jwt", "secevent+jwt", "JOSE"}) {
    EXPECT_FALSE(is_access_token_type(type)) << type;
  }
}

TEST(Person, WhoTheClaimsAreAbout) {
  const ProviderSettings settings;
  const auto person = person_of(
      parsed(
          R"({"sub":"s1","email":" Ada@ACME.example ","email_verified":true,"name":"Ada","groups":["a",7,"b"]})"),
      settings);
  ASSERT_TRUE(person.has_value());
  EXPECT_EQ(person->subject, "s1");
  EXPECT_EQ(person->email, "Ada@ACME.example");
  EXPECT_EQ(person->verified, ExternalPerson::Verified::yes);
  EXPECT_EQ(person->groups, (std::vector<std::string>{"a", "b"}));
  for (const char* claims : {R"({})", R"({"sub":""})", R"({"sub":7})", R"({"sub":"a\u0000b"})"}) {
    EXPECT_FALSE(person_of(parsed(claims), settings).has_value()) << claims;
  }
  json::Value endless;
  endless.set("sub", std::string(kMaxSubjectBytes + 1, 's'));
  EXPECT_FALSE(person_of(endless, settings).has_value());
}

TEST(Person, VerifiedIsWhatTheProviderSaysOfAnAddress) {
  ProviderSettings settings;
  const auto verified = [&settings](const char* claims) {
    const auto person = person_of(parsed(claims), settings);
    return person && person->verified == ExternalPerson::Verified::yes;
  };
  EXPECT_TRUE(verified(R"({"sub":"s","email":"a@b.example","email_verified":"true"})"));
  for (const char* claims :
       {R"({"sub":"s","email":"a@b.example"})", R"({"sub":"s","email":"a@b.example","email_verified":false})",
        R"({"sub":"s","email":"a@b.example","email_verified":1})",
        R"({"sub":"s","email":"a@b.example","email_verified":"yes"})",
        R"({"sub":"s","email":"no address","email_verified":true})",
        R"({"sub":"s","email_verified":true})"}) {
    EXPECT_FALSE(verified(claims)) << claims;
  }
  // It says nothing about other claims.
  settings.email_claim = "upn";
  EXPECT_FALSE(verified(R"({"sub":"s","upn":"a@b.example","email_verified":true})"));
}

TEST(Person, GroupsMayBeInsideObjects) {
  ProviderSettings settings;
  settings.groups_claim = "realm_access.roles";
  EXPECT_EQ(person_of(parsed(R"({"sub":"s","realm_access":{"roles":["x"]}})"), settings)->groups.size(), 1u);
  EXPECT_EQ(person_of(parsed(R"({"sub":"s","realm_access.roles":"y"})"), settings)->groups.front(), "y");
  EXPECT_EQ(person_of(parsed(R"({"sub":"s","realm_access":["roles"]})"), settings)->knows_groups,
            ExternalPerson::Groups::unknown);
}

TEST(Roles, TheFirstThatFitsCounts) {
  ProviderSettings settings;
  settings.role_mapping = {GroupRole{"boss", "admin"}, GroupRole{"staff", "user"}};
  ExternalPerson person;
  EXPECT_EQ(role_of(person, settings), "");
  person.groups = {"staff", "boss"};
  EXPECT_EQ(role_of(person, settings), "admin");
  person.groups = {"Boss"};
  EXPECT_EQ(role_of(person, settings), "");
  settings.default_role = "viewer";
  EXPECT_EQ(role_of(person, settings), "viewer");
}

TEST(Domains, AreWholeAndWithoutThoseBelow) {
  const std::vector<std::string> domains = {"acme.example"};
  EXPECT_TRUE(is_in_domains("ada@acme.example", domains));
  EXPECT_TRUE(is_in_domains("ada@ACME.example", domains));
  for (const char* email : {"ada@evil.acme.example", "ada@acme.example.evil", "ada@notacme.example",
                            "acme.example", "", "ada@acme.example@evil.example"}) {
    EXPECT_FALSE(is_in_domains(email, domains)) << email;
  }
}

}  // namespace
}  // namespace rowhouse::identity
