#include "net/http_client.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "net/http_test_support.h"

namespace rowhouse::net {
namespace {

using test::TestCertificate;
using test::TestServer;

Task<HttpResponse> echo(HttpRequest& request) {
  auto body = co_await read_whole_body(request, 16U << 20);
  if (!body.ok()) co_return test::make_problem(body.error(), request.request_id);
  HttpResponse response(request.path == "/refuse" ? 409 : 200);
  response.headers.emplace_back("X-Type", std::string(request.header("content-type").value_or("none")));
  response.headers.emplace_back("X-Key", std::string(request.header("x-tenant-key").value_or("none")));
  response.headers.emplace_back("X-Method", request.method_text);
  response.headers.emplace_back("X-Target", request.target);
  response.body = std::move(body).value();
  co_return response;
}

std::string header_of(const ClientResponse& response, std::string_view name) {
  for (const auto& [key, value] : response.headers) {
    if (equals_ignoring_case(key, name)) return value;
  }
  return "";
}

struct HttpClientTest : testing::Test {
  ClientRequest to(std::string_view method, std::string_view path) const {
    ClientRequest request;
    request.method = method;
    request.url = fmt::format("http://127.0.0.1:{}{}", server.port(), path);
    return request;
  }
  TestServer server{echo};
};

TEST_F(HttpClientTest, SendsMethodTargetHeadersAndBody) {
  for (const std::string method : {"GET", "POST", "PUT", "PATCH", "DELETE"}) {
    auto request = to(method, "/v1/a/../b?x=%20");
    request.headers.emplace_back("X-Tenant-Key", "tk_1");
    if (method != "GET" && method != "DELETE") {
      request.headers.emplace_back("Content-Type", "application/json");
      request.body = "{}";
    }
    const auto response = send(request);
    ASSERT_TRUE(response.ok()) << response.error().message;
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->body, request.body);
    EXPECT_EQ(header_of(*response, "x-method"), method);
    EXPECT_EQ(header_of(*response, "x-target"), "/v1/a/../b?x=%20");
    EXPECT_EQ(header_of(*response, "x-key"), "tk_1");
    EXPECT_EQ(header_of(*response, "x-type"), request.body.empty() ? "none" : "application/json");
  }
}

TEST_F(HttpClientTest, HeadHasNoBody) {
  const auto response = send(to("HEAD", "/"));
  ASSERT_TRUE(response.ok()) << response.error().message;
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(header_of(*response, "x-method"), "HEAD");
}

TEST_F(HttpClientTest, AnErrorStatusIsAResponse) {
  auto request = to("POST", "/refuse");
  request.body = "why";
  int pieces = 0;
  request.body_sink = [&](std::string_view) { return ++pieces > 0; };
  const auto response = send(request);
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->status, 409);
  EXPECT_EQ(response->body, "why");  // not for the sink: it is the problem document
  EXPECT_EQ(pieces, 0);
}

TEST_F(HttpClientTest, StreamsBothWays) {
  constexpr std::size_t kBytes = 5U << 20;
  auto request = to("POST", "/");
  std::size_t sent = 0;
  request.body_source = [&](char* buffer, std::size_t capacity) {
    const std::size_t count = std::min(capacity, kBytes - sent);
    std::fill_n(buffer, count, 'x');
    sent += count;
    return count;
  };
  std::size_t received = 0;
  request.body_sink = [&](std::string_view piece) {
    received += piece.size();
    return true;
  };
  const auto response = send(request);
  ASSERT_TRUE(response.ok()) << response.error().message;
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(received, kBytes);
  EXPECT_EQ(response->body, "");
}

TEST_F(HttpClientTest, TheSinkMayStopTheTransfer) {
  auto request = to("POST", "/");
  request.body.assign(5U << 20, 'x');
  int pieces = 0;
  request.body_sink = [&](std::string_view) {
    ++pieces;
    return false;
  };
  const auto response = send(request);
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(pieces, 1);
}

TEST(HttpClientErrorTest, NamesTheUrlAndWhatToTry) {
  std::uint16_t free_port = 0;
  {
    const TestServer server(echo);
    free_port = server.port();
  }
  ClientRequest request;
  request.url = fmt::format("http://127.0.0.1:{}/", free_port);
  const auto response = send(request);
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().code, ErrorCode::server_unreachable);
  EXPECT_NE(response.error().message.find(request.url), std::string::npos);
  EXPECT_NE(response.error().message.find("Is the server running"), std::string::npos);
  request.url = "ftp://127.0.0.1/";
  EXPECT_FALSE(send(request).ok());
  request.url = "no url at all";
  EXPECT_FALSE(send(request).ok());
}

// Answers nothing until the client goes away.
Task<HttpResponse> never(HttpRequest& request) {
  struct Gone {
    CancelSource& cancel;
    CancelSource::Registration registration;
    bool await_ready() const { return cancel.cancelled(); }
    void await_suspend(std::coroutine_handle<> handle) {
      registration = cancel.on_cancel([handle] { handle.resume(); });
    }
    void await_resume() const {}
  } gone{*request.cancel, {}};
  co_await gone;
  co_return HttpResponse(499);
}

TEST(HttpClientErrorTest, TimesOut) {
  TestServer server(never);
  ClientRequest request;
  request.url = fmt::format("http://127.0.0.1:{}/", server.port());
  request.timeout = std::chrono::milliseconds(50);
  const auto response = send(request);
  ASSERT_FALSE(response.ok());
  EXPECT_NE(response.error().message.find("in time"), std::string::npos);
}

TEST(HttpClientErrorTest, CanBeStoppedWhileItWaits) {
  TestServer server(never);
  ClientRequest request;
  request.url = fmt::format("http://127.0.0.1:{}/", server.port());
  int asked = 0;
  request.while_waiting = [&asked] { return ++asked < 3; };
  const auto response = send(request);
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().code, ErrorCode::cancelled);
  EXPECT_EQ(asked, 3);
}

TEST(HttpClientErrorTest, AnUnknownAuthorityIsRefused) {
  const TestCertificate certificate;
  ServerOptions options;
  options.certificate_file = certificate.certificate_file();
  options.key_file = certificate.key_file();
  const TestServer server(echo, options);
  ClientRequest request;
  request.url = fmt::format("https://localhost:{}/", server.port());
  const auto refused = send(request);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("certificate authority"), std::string::npos);
  request.ca_file = certificate.certificate_file();
  const auto accepted = send(request);
  ASSERT_TRUE(accepted.ok()) << accepted.error().message;
  EXPECT_EQ(accepted->status, 200);
}

}  // namespace
}  // namespace rowhouse::net
