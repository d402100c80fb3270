#include "http/browser_session.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rowhouse::http {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

std::vector<std::string> set_by(const net::HttpResponse& response) {
  std::vector<std::string> cookies;
  for (const auto& [name, value] : response.headers) {
    if (name == "Set-Cookie") cookies.push_back(value);
  }
  return cookies;
}

identity::SignedIn somebody() {
  identity::SignedIn signed_in;
  signed_in.access_token = "a.b.c";
  signed_in.refresh_token = "rht_secret";
  signed_in.session = *Uuid::parse("0193b1d2-7c3a-7d52-9a60-3f8f1f0d3b01");
  signed_in.access_expires_at = std::chrono::system_clock::now() + minutes(10);
  signed_in.refresh_expires_at = std::chrono::system_clock::now() + hours(24);
  return signed_in;
}

TEST(BrowserSession, SetsThreeCookiesAndIsNotStored) {
  const BrowserCookies cookies("https://rows.example", std::string(32, 'k'));
  net::HttpResponse response(302);
  begin_browser_session(response, somebody(), cookies);
  const auto set = set_by(response);
  ASSERT_EQ(set.size(), 3U);
  EXPECT_TRUE(set[0].starts_with("__Host-rowhouse_access=a.b.c; Path=/; Max-Age=")) << set[0];
  EXPECT_TRUE(set[0].ends_with("; HttpOnly; SameSite=Lax; Secure")) << set[0];
  EXPECT_TRUE(set[1].starts_with("__Secure-rowhouse_refresh=rht_secret; Path=/v1/auth/browser; ")) << set[1];
  EXPECT_TRUE(set[1].ends_with("; HttpOnly; SameSite=Strict; Secure")) << set[1];
  EXPECT_EQ(set[2].find("HttpOnly"), std::string::npos);
  EXPECT_NE(set[2].find("=" + cookies.csrf_token(somebody().session) + ";"), std::string::npos) << set[2];
  EXPECT_EQ(response.headers.back(), net::Header("Cache-Control", "no-store"));
}

TEST(BrowserSession, EndsByCookiesThatAreOver) {
  const BrowserCookies cookies("http://127.0.0.1:8080", std::string(32, 'k'));
  net::HttpResponse response(204);
  end_browser_session(response, cookies);
  const auto set = set_by(response);
  ASSERT_EQ(set.size(), 3U);
  EXPECT_EQ(set[0], "rowhouse_access=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
  EXPECT_EQ(set[1], "rowhouse_refresh=; Path=/v1/auth/browser; Max-Age=0; HttpOnly; SameSite=Strict");
  EXPECT_EQ(set[2], "rowhouse_csrf=; Path=/; Max-Age=0; SameSite=Strict");
}

}  // namespace
}  // namespace rowhouse::http
