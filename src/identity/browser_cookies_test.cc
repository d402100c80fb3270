#include "identity/browser_cookies.h"

#include <gtest/gtest.h>

#include <utility>

namespace rowhouse::identity {
namespace {

const std::string kKey(32, 'k');

net::HttpRequest request_with(net::Method method, std::vector<net::Header> headers) {
  net::HttpRequest request;
  request.method = method;
  request.headers = std::move(headers);
  return request;
}

Uuid session(unsigned char last) {
  return *Uuid::parse("0193b1d2-7c3a-7d52-9a60-3f8f1f0d3b0" + std::to_string(last));
}

TEST(BrowserCookies, AreFoundAmongOthers) {
  const auto request =
      request_with(net::Method::get, {{"cookie", "a=1;b=2 ; rowhouse_access=x.y=z; =9"}, {"Cookie", "c=3"}});
  EXPECT_EQ(*BrowserCookies::find(request, "rowhouse_access"), "x.y=z");
  EXPECT_EQ(*BrowserCookies::find(request, "b"), "2");
  EXPECT_EQ(*BrowserCookies::find(request, "c"), "3");
  EXPECT_EQ(*BrowserCookies::find(request, "d"), "");
  EXPECT_EQ(*BrowserCookies::find(request_with(net::Method::get, {}), "a"), "");
}

TEST(BrowserCookies, TwoOfOneNameAreNone) {
  for (const auto& headers : {std::vector<net::Header>{{"Cookie", "a=1; a=1"}},
                              std::vector<net::Header>{{"Cookie", "a=1"}, {"Cookie", "a="}}}) {
    const auto found = BrowserCookies::find(request_with(net::Method::get, headers), "a");
    ASSERT_FALSE(found.ok());
    EXPECT_EQ(found.error().code, ErrorCode::malformed_request);
  }
}

TEST(BrowserCookies, AreCalledByTheWayPeopleCome) {
  const BrowserCookies plain("http://127.0.0.1:8080", kKey);
  EXPECT_FALSE(plain.secure());
  EXPECT_EQ(plain.access_name(), "rowhouse_access");
  EXPECT_EQ(plain.refresh_path(), "/v1/auth/browser");
  const BrowserCookies secure("https://rows.example/base", kKey);
  EXPECT_TRUE(secure.secure());
  EXPECT_EQ(secure.access_name(), "__Host-rowhouse_access");
  EXPECT_EQ(secure.refresh_name(), "__Secure-rowhouse_refresh");
  EXPECT_EQ(secure.refresh_path(), "/base/v1/auth/browser");
}

TEST(BrowserCookies, TheCsrfTokenIsTheSessionsOwn) {
  const BrowserCookies cookies("http://127.0.0.1:8080", kKey);
  const BrowserCookies other_key("http://127.0.0.1:8080", std::string(32, 'o'));
  const std::string token = cookies.csrf_token(session(1));
  EXPECT_EQ(token, cookies.csrf_token(session(1)));
  EXPECT_NE(token, cookies.csrf_token(session(2)));
  EXPECT_NE(token, other_key.csrf_token(session(1)));
  for (const net::Method method :
       {net::Method::post, net::Method::put, net::Method::patch, net::Method::remove, net::Method::other}) {
    EXPECT_TRUE(cookies.check(request_with(method, {{"x-csrf-token", token}}), session(1)).ok());
    EXPECT_FALSE(cookies.check(request_with(method, {{"X-CSRF-Token", token}}), session(2)).ok());
    EXPECT_FALSE(cookies.check(request_with(method, {}), session(1)).ok());
    EXPECT_FALSE(
        cookies.check(request_with(method, {{"X-CSRF-Token", token}, {"X-CSRF-Token", token}}), session(1))
            .ok());
  }
  for (const net::Method method : {net::Method::get, net::Method::head, net::Method::options}) {
    EXPECT_TRUE(cookies.check(request_with(method, {}), session(1)).ok());
  }
}

TEST(BrowserCookies, OriginsOfOurOwn) {
  const BrowserCookies cookies("https://Rows.example/base", kKey);
  const auto from = [&](std::vector<net::Header> headers) {
    return cookies.check_origin(request_with(net::Method::post, std::move(headers))).ok();
  };
  EXPECT_TRUE(from({}));
  EXPECT_TRUE(from({{"Origin", "https://rows.example"}, {"Host", "10.0.0.1:8080"}}));
  EXPECT_TRUE(from({{"Origin", "https://acme.rows.example"}, {"Host", "acme.rows.example"}}));
  EXPECT_FALSE(from({{"Origin", "https://acme.rows.example"}, {"Host", "rows.example"}}));
  EXPECT_FALSE(from({{"Origin", "http://rows.example"}, {"Host", "rows.example"}}));
  EXPECT_FALSE(from({{"Origin", "null"}, {"Host", "null"}}));
  EXPECT_FALSE(from({{"Origin", ""}, {"Host", ""}}));
  EXPECT_FALSE(from({{"Origin", "https://"}, {"Host", ""}}));
  EXPECT_FALSE(from({{"Sec-Fetch-Site", "same-site"}, {"Origin", "https://rows.example"}}));
  EXPECT_TRUE(from({{"Sec-Fetch-Site", "same-origin"}}));
}

}  // namespace
}  // namespace rowhouse::identity
