#include "identity/tokens.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/text.h"
#include "crypto/crypto.h"
#include "crypto/ed25519.h"

namespace rowhouse::identity {
namespace {

using namespace std::chrono_literals;

const WallTime kNow = WallTime(std::chrono::seconds(1'750'000'000));
constexpr const char* kKid = "key-1";

std::string seed() { return std::string(crypto::kEd25519KeyBytes, 'k'); }
std::string other_seed() { return std::string(crypto::kEd25519KeyBytes, 'o'); }

TokenVerifier verifier() {
  return TokenVerifier(TokenOptions(), {VerificationKey{kKid, crypto::ed25519_public_key(seed())},
                                        VerificationKey{"key-2", crypto::ed25519_public_key(other_seed())}});
}

AccessClaims claims() {
  AccessClaims made;
  made.token = Uuid::make_v7(kNow);
  made.user = Uuid::make_v7(kNow);
  made.session = Uuid::make_v7(kNow);
  made.tenant = Uuid::make_v7(kNow);
  made.role = "admin";
  made.issued_at = kNow;
  made.expires_at = kNow + 600s;
  return made;
}

std::string sign(const AccessClaims& wanted) {
  return TokenSigner(TokenOptions(), SigningKey{kKid, seed()}).sign(wanted);
}

std::string assembled(std::string_view header, std::string_view payload, const std::string& key) {
  const std::string text = to_base64url(header) + "." + to_base64url(payload);
  return text + "." + to_base64url(crypto::ed25519_sign(key, text));
}

json::Value header() {
  json::Value made;
  made.set("alg", "EdDSA");
  made.set("kid", kKid);
  made.set("typ", "at+jwt");
  return made;
}

json::Value payload() {
  const AccessClaims made = claims();
  json::Value value;
  value.set("iss", "rowhouse");
  value.set("aud", "rowhouse");
  value.set("sub", made.user.to_string());
  value.set("tid", made.tenant->to_string());
  value.set("sid", made.session.to_string());
  value.set("jti", made.token.to_string());
  value.set("role", "admin");
  value.set("iat", std::int64_t{1'750'000'000});
  value.set("exp", std::int64_t{1'750'000'600});
  return value;
}

void drop(json::Value& object, std::string_view name) {
  std::erase_if(*object.as_object(), [&](const json::Member& member) { return member.first == name; });
}

bool accepted(const std::string& token, WallTime now = kNow) {
  const auto result = verifier().verify(token, now);
  if (!result.ok()) {
    EXPECT_EQ(result.error().code, ErrorCode::credential_unknown);
    EXPECT_EQ(result.error().message, "the access token is not valid, or no longer");
  }
  return result.ok();
}

bool accepted_with(const std::function<void(json::Value&)>& change_header,
                   const std::function<void(json::Value&)>& change_payload) {
  json::Value changed_header = header();
  json::Value changed_payload = payload();
  if (change_header) change_header(changed_header);
  if (change_payload) change_payload(changed_payload);
  return accepted(assembled(json::serialize(changed_header), json::serialize(changed_payload), seed()));
}

TEST(Tokens, WhatWasSignedIsReadBack) {
  for (const bool with_tenant : {true, false}) {
    AccessClaims wanted = claims();
    if (!with_tenant) {
      wanted.tenant.reset();
      wanted.role = kPlatformAdminRole;
    }
    const std::string token = sign(wanted);
    EXPECT_TRUE(has_access_token_form(token));
    const auto read = verifier().verify(token, kNow);
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(*read, wanted);
  }
}

TEST(Tokens, TheControlOfTheTablesBelowIsAccepted) { EXPECT_TRUE(accepted_with({}, {})); }

TEST(Tokens, TimeDecides) {
  const std::string token = sign(claims());
  EXPECT_TRUE(accepted(token, kNow + 629s));
  EXPECT_FALSE(accepted(token, kNow + 630s));  // 30 s of skew
  EXPECT_TRUE(accepted(token, kNow - 30s));
  EXPECT_FALSE(accepted(token, kNow - 31s));
  AccessClaims eternal = claims();
  eternal.expires_at = kNow + 3601s;
  EXPECT_FALSE(accepted(sign(eternal)));
  AccessClaims backwards = claims();
  backwards.expires_at = kNow - 1s;
  EXPECT_FALSE(accepted(sign(backwards)));
}

// Who comes back late has a true token; everything else is an attempt.
TEST(Tokens, OnlyATrueTokenIsCalledExpired) {
  const auto is_called_expired = [](const std::string& token, WallTime now) {
    const auto read = verifier().verify(token, now);
    return !read.ok() && !read.error().detail(kTokenExpired).empty();
  };
  const std::string token = sign(claims());
  EXPECT_TRUE(is_called_expired(token, kNow + 630s));
  EXPECT_FALSE(is_called_expired(token, kNow - 31s));
  AccessClaims eternal = claims();
  eternal.expires_at = kNow + 3601s;
  EXPECT_FALSE(is_called_expired(sign(eternal), kNow + 5000s));
  const std::string forged = assembled(json::serialize(header()), json::serialize(payload()), other_seed());
  EXPECT_FALSE(is_called_expired(forged, kNow + 630s));
}

TEST(Tokens, AnotherKeySignsForItselfAlone) {
  const std::string head = json::serialize(header());
  const std::string body = json::serialize(payload());
  EXPECT_TRUE(accepted(assembled(head, body, seed())));
  EXPECT_FALSE(accepted(assembled(head, body, other_seed())));
  json::Value second = header();
  second.set("kid", "key-2");
  EXPECT_TRUE(accepted(assembled(json::serialize(second), body, other_seed())));
  EXPECT_FALSE(accepted(assembled(json::serialize(second), body, seed())));
}

TEST(Tokens, AKeyThatIsRetiredIsAcceptedNoMore) {
  const TokenVerifier retiring(TokenOptions(),
                               {VerificationKey(kKid, crypto::ed25519_public_key(seed()), kNow + 60s)});
  const std::string token = sign(claims());
  EXPECT_TRUE(retiring.verify(token, kNow + 59s).ok());
  EXPECT_FALSE(retiring.verify(token, kNow + 60s).ok());
}

TEST(Tokens, HostileHeadersAreRefused) {
  const std::string public_key = crypto::ed25519_public_key(seed());
  const json::Value own_key = *jwks({VerificationKey{kKid, public_key}}).find("keys");
  const std::vector<std::pair<const char*, std::function<void(json::Value&)>>> table = {
      {"alg none", [](auto& h) { h.set("alg", "none"); }},
      {"alg nOnE", [](auto& h) { h.set("alg", "nOnE"); }},
      {"alg empty", [](auto& h) { h.set("alg", ""); }},
      {"alg null", [](auto& h) { h.set("alg", nullptr); }},
      {"alg in another case", [](auto& h) { h.set("alg", "eddsa"); }},
      {"alg HS256", [](auto& h) { h.set("alg", "HS256"); }},
      {"alg RS256", [](auto& h) { h.set("alg", "RS256"); }},
      {"alg ES256", [](auto& h) { h.set("alg", "ES256"); }},
      {"alg list", [](auto& h) { h.set("alg", json::Array{json::Value("EdDSA")}); }},
      {"no alg", [](auto& h) { drop(h, "alg"); }},
      {"typ JWT", [](auto& h) { h.set("typ", "JWT"); }},
      {"typ in another case", [](auto& h) { h.set("typ", "AT+JWT"); }},
      {"typ with prefix", [](auto& h) { h.set("typ", "application/at+jwt"); }},
      {"no typ", [](auto& h) { drop(h, "typ"); }},
      {"no kid", [](auto& h) { drop(h, "kid"); }},
      {"kid number", [](auto& h) { h.set("kid", 1); }},
      {"kid empty", [](auto& h) { h.set("kid", ""); }},
      {"kid unknown", [](auto& h) { h.set("kid", "key-3"); }},
      {"kid in another case", [](auto& h) { h.set("kid", "KEY-1"); }},
      {"kid path", [](auto& h) { h.set("kid", "../../../dev/null"); }},
      {"kid sql", [](auto& h) { h.set("kid", "key-1' OR '1'='1"); }},
      {"kid with NUL", [](auto& h) { h.set("kid", std::string("key-1\0", 6)); }},
      {"kid long", [](auto& h) { h.set("kid", std::string(65, 'a')); }},
      {"kid url", [](auto& h) { h.set("kid", "https://evil.example/jwks"); }},
      {"jwk", [&](auto& h) { h.set("jwk", own_key.as_array()->front()); }},
      {"jku", [](auto& h) { h.set("jku", "https://evil.example/jwks.json"); }},
      {"x5u", [](auto& h) { h.set("x5u", "https://evil.example/cert.pem"); }},
      {"x5c", [](auto& h) { h.set("x5c", json::Array{}); }},
      {"crit", [](auto& h) { h.set("crit", json::Array{json::Value("exp")}); }},
      {"b64 false", [](auto& h) { h.set("b64", false); }},
      {"zip", [](auto& h) { h.set("zip", "DEF"); }},
      {"cty JWT", [](auto& h) { h.set("cty", "JWT"); }},
  };
  for (const auto& [name, change] : table) EXPECT_FALSE(accepted_with(change, {})) << name;
}

TEST(Tokens, HostileClaimsAreRefused) {
  const std::string nil = Uuid().to_string();
  const std::vector<std::pair<const char*, std::function<void(json::Value&)>>> table = {
      {"no iss", [](auto& p) { drop(p, "iss"); }},
      {"wrong iss", [](auto& p) { p.set("iss", "https://evil.example"); }},
      {"iss with slash", [](auto& p) { p.set("iss", "rowhouse/"); }},
      {"iss list", [](auto& p) { p.set("iss", json::Array{json::Value("rowhouse")}); }},
      {"no aud", [](auto& p) { drop(p, "aud"); }},
      {"wrong aud", [](auto& p) { p.set("aud", "somebody"); }},
      {"aud list", [](auto& p) { p.set("aud", json::Array{json::Value("rowhouse")}); }},
      {"no tenant", [](auto& p) { drop(p, "tid"); }},
      {"tenant null", [](auto& p) { p.set("tid", nullptr); }},
      {"tenant slug", [](auto& p) { p.set("tid", "acme"); }},
      {"tenant nil", [&](auto& p) { p.set("tid", nil); }},
      {"tenant for the platform", [](auto& p) { p.set("aud", "rowhouse-platform"); }},
      {"platform without asking",
       [](auto& p) {
         p.set("aud", "rowhouse-platform");
         p.set("tid", nullptr);
       }},
      {"no sub", [](auto& p) { drop(p, "sub"); }},
      {"sub nil", [&](auto& p) { p.set("sub", nil); }},
      {"sub upper case", [](auto& p) { p.set("sub", "0197F000-0000-7000-8000-00000000000A"); }},
      {"sub number", [](auto& p) { p.set("sub", 7); }},
      {"no sid", [](auto& p) { drop(p, "sid"); }},
      {"no jti", [](auto& p) { drop(p, "jti"); }},
      {"no role", [](auto& p) { drop(p, "role"); }},
      {"role empty", [](auto& p) { p.set("role", ""); }},
      {"role long", [](auto& p) { p.set("role", std::string(64, 'r')); }},
      {"role with a line feed", [](auto& p) { p.set("role", "admin\n"); }},
      {"role list", [](auto& p) { p.set("role", json::Array{json::Value("admin")}); }},
      {"no exp", [](auto& p) { drop(p, "exp"); }},
      {"no iat", [](auto& p) { drop(p, "iat"); }},
      {"exp text", [](auto& p) { p.set("exp", "1750000600"); }},
      {"exp null", [](auto& p) { p.set("exp", nullptr); }},
      {"exp fraction", [](auto& p) { p.set("exp", json::Number("1750000600.5")); }},
      {"exp huge", [](auto& p) { p.set("exp", json::Number("1e30")); }},
      {"exp beyond a time", [](auto& p) { p.set("exp", json::Number("9223372036854775807")); }},
      {"exp negative", [](auto& p) { p.set("exp", std::int64_t{-1}); }},
      {"exp past", [](auto& p) { p.set("exp", std::int64_t{1'749'999'000}); }},
      {"iat future", [](auto& p) { p.set("iat", std::int64_t{1'750'000'060}); }},
      {"lives too long", [](auto& p) { p.set("exp", std::int64_t{1'750'100'000}); }},
      {"nested",
       [](auto& p) { p.set("x", json::Array{json::Value(json::Array{json::Value(json::Array{})})}); }},
  };
  for (const auto& [name, change] : table) EXPECT_FALSE(accepted_with({}, change)) << name;
  // Another node may know more claims than this one.
  EXPECT_TRUE(accepted_with({}, [](auto& p) { p.set("later", "something"); }));
}

TEST(Tokens, HostileTextsAreRefused) {
  const std::string good = sign(claims());
  const auto first = good.find('.');
  const auto second = good.find('.', first + 1);
  const std::string head = good.substr(0, first);
  const std::string body = good.substr(first + 1, second - first - 1);
  const std::string signature = good.substr(second + 1);
  const std::string text = json::serialize(payload());
  const std::string duplicate = R"({"role":"viewer",)" + text.substr(1);
  const std::string double_alg = R"({"alg":"none","alg":"EdDSA","kid":"key-1","typ":"at+jwt"})";
  std::string flipped = signature;
  flipped[5] = flipped[5] == 'A' ? 'B' : 'A';
  const std::string hs256 = to_base64url(R"({"alg":"HS256","kid":"key-1","typ":"at+jwt"})") + "." + body;
  const std::string public_key = crypto::ed25519_public_key(seed());
  const std::vector<std::pair<const char*, std::string>> table = {
      {"nothing", ""},
      {"dots", ".."},
      {"one part", head},
      {"two parts", head + "." + body},
      {"no signature", head + "." + body + "."},
      {"trailing dot", good + "."},
      {"leading dot", "." + good},
      {"four parts", good + "." + signature},
      {"five parts", good + ".a.b"},
      {"another signature", head + "." + body + "." + flipped},
      {"short signature", head + "." + body + "." + signature.substr(0, 40)},
      {"padded", good + "=="},
      {"blank behind", good + " "},
      {"blank before", " " + good},
      {"line feed", good + "\n"},
      {"NUL behind", good + std::string(1, '\0')},
      {"standard base64", head + "." + body + "." + std::string(85, '+') + "/"},
      {"public key as a secret", hs256 + "." + to_base64url(crypto::hmac_sha256(public_key, hs256))},
      {"unsigned", to_base64url(R"({"alg":"none","typ":"at+jwt"})") + "." + body + "."},
      {"unsigned with a signature",
       to_base64url(R"({"alg":"none","kid":"key-1","typ":"at+jwt"})") + "." + body + "." + signature},
      {"oversized", good + std::string(kMaxAccessTokenBytes, 'A')},
      {"duplicate claim", assembled(json::serialize(header()), duplicate, seed())},
      {"duplicate alg", assembled(double_alg, text, seed())},
      {"header list", assembled("[]", text, seed())},
      {"payload list", assembled(json::serialize(header()), "[]", seed())},
      {"payload text", assembled(json::serialize(header()), "\"admin\"", seed())},
      {"payload empty", assembled(json::serialize(header()), "{}", seed())},
      {"payload cut off", assembled(json::serialize(header()), text.substr(0, text.size() - 1), seed())},
      {"payload with more behind", assembled(json::serialize(header()), text + "{}", seed())},
      {"not UTF-8", assembled(json::serialize(header()), "{\"role\":\"\xff\"}", seed())},
  };
  for (const auto& [name, token] : table) EXPECT_FALSE(accepted(token)) << name;
  EXPECT_TRUE(accepted(good));
}

TEST(Tokens, EveryChangedCharacterIsNoticed) {
  const std::string good = sign(claims());
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string changed = good;
    changed[i] = changed[i] == 'x' ? 'y' : 'x';
    EXPECT_FALSE(accepted(changed)) << i;
  }
}

TEST(Tokens, KeysArePublishedAsJwk) {
  const std::string public_key = crypto::ed25519_public_key(seed());
  EXPECT_EQ(json::serialize(jwks({VerificationKey{kKid, public_key}})),
            R"({"keys":[{"kty":"OKP","crv":"Ed25519","use":"sig","alg":"EdDSA","kid":"key-1","x":")" +
                to_base64url(public_key) + R"("}]})");
  EXPECT_EQ(json::serialize(jwks({})), R"({"keys":[]})");
}

TEST(Tokens, AnotherIssuersTokensAreNotOurs) {
  TokenOptions elsewhere;
  elsewhere.issuer = "https://other.example";
  const std::string token = TokenSigner(elsewhere, SigningKey{kKid, seed()}).sign(claims());
  EXPECT_FALSE(accepted(token));
}

}  // namespace
}  // namespace rowhouse::identity
