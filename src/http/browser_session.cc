#include "http/browser_session.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>

namespace rowhouse::http {
namespace {

constexpr std::string_view kEverywhere = "/";
// HttpOnly keeps it from scripts; Lax lets links from elsewhere arrive signed in, Strict does not.
constexpr std::string_view kAccessAttributes = "; HttpOnly; SameSite=Lax";
constexpr std::string_view kRefreshAttributes = "; HttpOnly; SameSite=Strict";
constexpr std::string_view kCsrfAttributes = "; SameSite=Strict";

std::chrono::seconds seconds_until(WallTime time) {
  const auto left = time - std::chrono::system_clock::now();
  return std::max(std::chrono::seconds(0), std::chrono::duration_cast<std::chrono::seconds>(left));
}

class CookieWriter {
 public:
  CookieWriter(net::HttpResponse& response, const BrowserCookies& cookies)
      : response_(response), cookies_(cookies) {}

  void set(const std::string& name, std::string_view value, std::string_view path,
           std::string_view attributes, std::chrono::seconds life) {
    std::string text = name + "=";
    text += value;
    text += "; Path=";
    text += path;
    text += "; Max-Age=" + std::to_string(life.count());
    text += attributes;
    if (cookies_.secure()) text += "; Secure";
    response_.headers.emplace_back("Set-Cookie", std::move(text));
  }

 private:
  net::HttpResponse& response_;
  const BrowserCookies& cookies_;
};

void set_all(net::HttpResponse& response, const BrowserCookies& cookies, const identity::SignedIn& signed_in,
             std::string_view csrf_token, std::chrono::seconds access_life,
             std::chrono::seconds refresh_life) {
  CookieWriter writer(response, cookies);
  writer.set(cookies.access_name(), signed_in.access_token, kEverywhere, kAccessAttributes, access_life);
  writer.set(cookies.refresh_name(), signed_in.refresh_token, cookies.refresh_path(), kRefreshAttributes,
             refresh_life);
  writer.set(cookies.csrf_name(), csrf_token, kEverywhere, kCsrfAttributes, refresh_life);
  response.headers.emplace_back("Cache-Control", "no-store");
}

}  // namespace

void begin_browser_session(net::HttpResponse& response, const identity::SignedIn& signed_in,
                           const BrowserCookies& cookies) {
  set_all(response, cookies, signed_in, cookies.csrf_token(signed_in.session),
          seconds_until(signed_in.access_expires_at), seconds_until(signed_in.refresh_expires_at));
}

void end_browser_session(net::HttpResponse& response, const BrowserCookies& cookies) {
  set_all(response, cookies, identity::SignedIn(), "", std::chrono::seconds(0), std::chrono::seconds(0));
}

}  // namespace rowhouse::http
