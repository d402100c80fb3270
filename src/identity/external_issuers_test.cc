#include "identity/external_issuers.h"

#include <gtest/gtest.h>

#include <memory>

#include "base/text.h"
#include "crypto/ed25519.h"
#include "net/blocking_work.h"
#include "net/http_server.h"

namespace rowhouse::identity {
namespace {

using namespace std::chrono_literals;

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

// An issuer on this machine, whose signing key can be changed.
class LocalIssuer {
 public:
  LocalIssuer() {
    net::ServerOptions server;
    server.port = 0;
    auto created = net::HttpServer::create(
        executor_, server, [this](net::HttpRequest& request) { return answer(request.path); },
        [](const Error& error, std::string_view) { return net::HttpResponse(error_code_status(error.code)); },
        [](const net::AccessRecord&) {});
    EXPECT_TRUE(created.ok());
    server_ = std::move(created).value();
    server_->start();
  }
  ~LocalIssuer() { net::run_until_done(executor_, server_->drain(deadline_in(0ms))); }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_->port()); }
  void sign_with(std::string kid) { kid_ = std::move(kid); }
  int reads() const { return reads_; }

  // A token signed by the key of that name.
  static crypto::Jws token(const std::string& kid) {
    const std::string text =
        to_base64url(R"({"alg":"EdDSA","kid":")" + kid + R"("})") + "." + to_base64url("{}");
    return crypto::parse_jws(text + "." + to_base64url(crypto::ed25519_sign(seed(kid), text))).value();
  }
  bool vouches(ExternalIssuers& issuers, const std::string& kid) {
    const auto claims =
        net::run_until_done(executor_, issuers.claims(url(), token(kid), CallOptions{deadline_in(30s)}));
    EXPECT_TRUE(claims.ok() || claims.error().code == ErrorCode::credential_unknown);
    return claims.ok();
  }
  net::Executor& executor() { return executor_; }

 private:
  static std::string seed(const std::string& kid) {
    return std::string(crypto::kEd25519KeyBytes, kid.back());
  }

  Task<net::HttpResponse> answer(std::string path) {
    net::HttpResponse response(200);
    if (path == "/jwks") {
      ++reads_;
      response.body = R"({"keys":[{"kty":"OKP","crv":"Ed25519","kid":")" + kid_ + R"(","x":")" +
                      to_base64url(crypto::ed25519_public_key(seed(kid_))) + R"("}]})";
    } else {
      response.body = R"({"issuer":")" + url() + R"(","authorization_endpoint":")" + url() +
                      R"(/auth","token_endpoint":")" + url() + R"(/token","jwks_uri":")" + url() +
                      R"(/jwks"})";
    }
    co_return response;
  }

  net::Executor executor_;
  std::unique_ptr<net::HttpServer> server_;
  std::string kid_ = "key-1";
  int reads_ = 0;
};

class ExternalIssuersTest : public testing::Test {
 protected:
  static net::FetchOptions reachable() {
    net::FetchOptions options;
    options.reach = net::Reach::plain_loopback;
    return options;
  }

  LocalIssuer provider;
  net::BlockingWork background{net::BlockingWorkOptions()};
  const net::EgressPolicy policy;
  net::HttpFetch fetch{provider.executor(), background, policy, reachable()};
};

TEST_F(ExternalIssuersTest, AnIssuerMayChangeItsKeys) {
  IssuerOptions eager;
  eager.keys_again_after = 0ms;
  ExternalIssuers issuers(fetch, eager);
  EXPECT_TRUE(provider.vouches(issuers, "key-1"));
  EXPECT_TRUE(provider.vouches(issuers, "key-1"));
  EXPECT_EQ(provider.reads(), 1) << "keys are remembered";
  provider.sign_with("key-2");
  EXPECT_TRUE(provider.vouches(issuers, "key-1")) << "until the keys are read again";
  EXPECT_TRUE(provider.vouches(issuers, "key-2"));
  EXPECT_FALSE(provider.vouches(issuers, "key-1")) << "the issuer has it no longer";
}

TEST_F(ExternalIssuersTest, UnknownKeysAreNotAskedForAllTheTime) {
  ExternalIssuers issuers(fetch);
  for (const char* kid : {"key-7", "key-8", "key-9"}) EXPECT_FALSE(provider.vouches(issuers, kid));
  EXPECT_EQ(provider.reads(), 1);
  EXPECT_TRUE(provider.vouches(issuers, "key-1"));
}

}  // namespace
}  // namespace rowhouse::identity
