#include "net/http_fetch.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>

#include "net/http_server.h"
#include "net/http_test_support.h"

namespace rowhouse::net {
namespace {

using namespace std::chrono_literals;

bool is_public(const std::string& text) {
  sockaddr_storage storage{};
  if (text.find(':') == std::string::npos) {
    sockaddr_in inet{};
    inet.sin_family = AF_INET;
    EXPECT_EQ(inet_pton(AF_INET, text.c_str(), &inet.sin_addr), 1) << text;
    std::memcpy(&storage, &inet, sizeof inet);
  } else {
    sockaddr_in6 inet6{};
    inet6.sin6_family = AF_INET6;
    EXPECT_EQ(inet_pton(AF_INET6, text.c_str(), &inet6.sin6_addr), 1) << text;
    std::memcpy(&storage, &inet6, sizeof inet6);
  }
  return is_public_address(reinterpret_cast<const sockaddr&>(storage));
}

TEST(HttpFetch, PublicAddresses) {
  for (const char* address : {"1.1.1.1", "8.8.8.8", "172.15.255.255", "172.32.0.0", "192.169.0.1",
                              "2606:4700::1111", "2a00:1450:4001::1"}) {
    EXPECT_TRUE(is_public(address)) << address;
  }
  for (const char* address :
       {"0.0.0.0",          "10.1.2.3",       "100.64.0.1",      "127.0.0.1", "127.255.255.254",
        "169.254.169.254",  "172.16.0.1",     "172.31.255.255",  "192.0.0.1", "192.168.1.1",
        "198.18.0.1",       "224.0.0.1",      "255.255.255.255", "::",        "::1",
        "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "fe80::1",   "fc00::1",
        "fd12::1",          "ff02::1",        "2002:7f00:1::",   "2001::1",   "2001:db8::1",
        "3fff::1"}) {
    EXPECT_FALSE(is_public(address)) << address;
  }
}

TEST(HttpFetch, UrlsThatMayBeUsed) {
  EXPECT_TRUE(is_fetchable_url("https://id.acme.example/realms/x?y=1", Reach::public_addresses));
  EXPECT_TRUE(is_fetchable_url("http://127.0.0.1:3000/x", Reach::plain_loopback));
  EXPECT_TRUE(is_fetchable_url("http://[::1]:3000/x", Reach::plain_loopback));
  EXPECT_TRUE(is_fetchable_url("http://localhost", Reach::plain_loopback));
  for (const char* url :
       {"", "https://", "https:///x", "https://?x", "HTTPS://x", "ftp://x", "file:///etc/passwd",
        "gopher://x", "https://a@b/", "https://a/ b", "https://a/\n", "https://a#b", "https://ä/",
        "http://127.0.0.1.evil.example/", "http://localhost.evil.example", "http://10.0.0.1/",
        "http://evil.example\\@127.0.0.1"}) {
    EXPECT_FALSE(is_fetchable_url(url, Reach::plain_loopback)) << url;
  }
  EXPECT_FALSE(is_fetchable_url("http://127.0.0.1/", Reach::any_address));
}

FetchOptions options_for(Reach reach) {
  FetchOptions options;
  options.reach = reach;
  options.timeout = 5s;
  return options;
}

TEST(HttpFetch, AnAddressOfThisMachineIsRefusedWhateverItsName) {
  Executor executor;
  BlockingWork background{BlockingWorkOptions()};
  const EgressPolicy policy;
  HttpFetch fetch(executor, background, policy, options_for(Reach::public_addresses));
  for (const char* url :
       {"https://127.0.0.1:1/", "https://localhost:1/", "https://[::1]:1/", "https://2130706433:1/"}) {
    ClientRequest request;
    request.url = url;
    const auto answer = run_until_done(executor, fetch.send(request, CallOptions{deadline_in(10s)}));
    ASSERT_FALSE(answer.ok()) << url;
    EXPECT_EQ(answer.error().code, ErrorCode::server_unreachable) << url;
    EXPECT_NE(answer.error().message.find("egress_allow"), std::string::npos) << answer.error().message;
  }
}

Task<HttpResponse> answer_with(HttpRequest& request) {
  HttpResponse response(request.path == "/moved" ? 302 : 200);
  if (request.path == "/moved") response.headers.emplace_back("Location", "/long");
  response.body = std::string(request.path == "/long" ? 5'000 : 10, 'x');
  co_return response;
}

// One guard for object stores and identity providers: what egress_allow names is reached, and no more.
TEST(HttpFetch, WhatTheOperatorAllowsIsReached) {
  const test::TestCertificate certificate;
  ServerOptions server_options;
  server_options.certificate_file = certificate.certificate_file();
  server_options.key_file = certificate.key_file();
  const test::TestServer server(answer_with, server_options);
  const std::string port = std::to_string(server.port());
  FetchOptions options = options_for(Reach::public_addresses);
  options.ca_file = certificate.certificate_file();
  const auto reaches = [&](const std::string& allowed, const std::string& host) {
    Executor executor;
    BlockingWork background{BlockingWorkOptions()};
    const auto policy = EgressPolicy::create({allowed});
    EXPECT_TRUE(policy.ok()) << allowed;
    HttpFetch fetch(executor, background, *policy, options);
    ClientRequest request;
    request.url = "https://" + host + ":" + port + "/short";
    const auto answer = run_until_done(executor, fetch.send(request, CallOptions{deadline_in(10s)}));
    if (!answer.ok()) {
      EXPECT_EQ(answer.error().code, ErrorCode::server_unreachable);
      EXPECT_NE(answer.error().message.find("egress_allow"), std::string::npos) << answer.error().message;
    }
    return answer.ok() && answer->status == 200;
  };
  EXPECT_TRUE(reaches("127.0.0.1:" + port, "127.0.0.1"));
  EXPECT_TRUE(reaches("127.0.0.0/8", "127.0.0.1"));
  EXPECT_TRUE(reaches("localhost:" + port, "localhost"));
  EXPECT_FALSE(reaches("127.0.0.1:1", "127.0.0.1"));
  EXPECT_FALSE(reaches("10.0.0.0/8", "127.0.0.1"));
  EXPECT_FALSE(reaches("127.0.0.1", "localhost")) << "a local name is allowed by its name alone";
}

TEST(HttpFetch, FollowsNoRedirectAndReadsNoMoreThanItsLimit) {
  const test::TestServer server(answer_with);
  Executor executor;
  BlockingWork background{BlockingWorkOptions()};
  FetchOptions options = options_for(Reach::plain_loopback);
  options.max_response_bytes = 1'000;
  const EgressPolicy policy;
  HttpFetch fetch(executor, background, policy, options);
  const auto get = [&](const std::string& path) {
    ClientRequest request;
    request.url = "http://127.0.0.1:" + std::to_string(server.port()) + path;
    return run_until_done(executor, fetch.send(request, CallOptions{deadline_in(10s)}));
  };
  ASSERT_TRUE(get("/short").ok());
  EXPECT_EQ(get("/short")->body.size(), 10u);
  const auto moved = get("/moved");
  ASSERT_TRUE(moved.ok());
  EXPECT_EQ(moved->status, 302);
  const auto endless = get("/long");
  ASSERT_FALSE(endless.ok());
  EXPECT_EQ(endless.error().code, ErrorCode::server_unreachable);
}

}  // namespace
}  // namespace rowhouse::net
