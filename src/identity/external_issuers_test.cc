#include "identity/external_issuers.h"

#include <gtest/gtest.h>

namespace rowhouse::identity {
namespace {

constexpr const char* kIssuer = "https://id.acme.example";

std::string document(const std::string& extra = "") {
  return R"({"issuer":"https://id.acme.example","authorization_endpoint":"https://id.acme.example/auth",)"
         R"("token_endpoint":"https://id.acme.example/token","jwks_uri":"https://id.acme.example/jwks")" +
         extra + "}";
}

Result<IssuerMetadata> parsed(const std::string& text, net::Reach reach = net::Reach::public_addresses) {
  return parse_issuer_metadata(json::parse(text).value(), kIssuer, reach);
}

TEST(IssuerMetadata, SaysWhereToGo) {
  const auto found = parsed(document(R"(,"code_challenge_methods_supported":["plain","S256"],)"
                                     R"("token_endpoint_auth_methods_supported":["client_secret_post"],)"
                                     R"("authorization_response_iss_parameter_supported":true)"));
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->token_endpoint, "https://id.acme.example/token");
  EXPECT_EQ(found->pkce, IssuerMetadata::Pkce::s256);
  EXPECT_EQ(found->client_secret, IssuerMetadata::ClientSecret::in_body);
  EXPECT_EQ(found->names_itself, IssuerMetadata::NamesItself::yes);
  const auto plain = parsed(document());
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->client_secret, IssuerMetadata::ClientSecret::in_header);
  EXPECT_EQ(plain->names_itself, IssuerMetadata::NamesItself::no);
  EXPECT_EQ(plain->userinfo_endpoint, "");
}

TEST(IssuerMetadata, OfAnotherIssuerOrWithPlacesThatMayNotBeUsed) {
  EXPECT_FALSE(parse_issuer_metadata(json::parse(document()).value(), "https://id.acme.example/",
                                     net::Reach::public_addresses)
                   .ok());
  for (const char* extra : {R"(,"userinfo_endpoint":"http://id.acme.example/me")",
                            R"(,"userinfo_endpoint":"file:///etc/passwd")"}) {
    const auto found = parsed(document(extra));
    ASSERT_FALSE(found.ok()) << extra;
    EXPECT_EQ(found.error().code, ErrorCode::identity_provider_failed);
  }
  for (const char* jwks :
       {"", "http://127.0.0.1/jwks", "ftp://id.acme.example/jwks", "https://", "https:///x",
        "https://user:secret@id.acme.example/", "https://id.acme.example/#x"}) {
    json::Value whole = json::parse(document()).value();
    whole.set("jwks_uri", jwks);
    EXPECT_FALSE(parse_issuer_metadata(whole, kIssuer, net::Reach::any_address).ok()) << jwks;
  }
}

}  // namespace
}  // namespace rowhouse::identity
