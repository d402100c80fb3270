#include "identity/browser_cookies.h"

#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"

namespace rowhouse::identity {
namespace {

constexpr std::string_view kCookieHeader = "Cookie";
constexpr std::string_view kHttps = "https://";

// "https://rows.example/base" → "https://rows.example"
std::string origin_of(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return std::string();
  return std::string(url.substr(0, url.find('/', scheme + 3)));
}

// "https://rows.example/base" → "/base"
std::string path_of(std::string_view url) { return std::string(url.substr(origin_of(url).size())); }

std::string_view authority_of(std::string_view origin) {
  const std::size_t scheme = origin.find("://");
  return scheme == std::string_view::npos ? std::string_view() : origin.substr(scheme + 3);
}

bool changes_nothing(net::Method method) {
  return method == net::Method::get || method == net::Method::head || method == net::Method::options;
}

Error cross_site(std::string what) { return Error(ErrorCode::cross_site_request, std::move(what)); }

}  // namespace

BrowserCookies::BrowserCookies(std::string_view issuer, std::string csrf_key)
    : secure_(issuer.starts_with(kHttps)),
      access_name_(secure_ ? "__Host-rowhouse_access" : "rowhouse_access"),
      refresh_name_(secure_ ? "__Secure-rowhouse_refresh" : "rowhouse_refresh"),
      csrf_name_(secure_ ? "__Host-rowhouse_csrf" : "rowhouse_csrf"),
      origin_(to_lower_ascii(origin_of(issuer))),
      refresh_path_(path_of(issuer) + std::string(kBrowserPath)),
      csrf_key_(std::move(csrf_key)) {}

Result<std::string_view> BrowserCookies::find(const net::HttpRequest& request, std::string_view name) {
  std::string_view found;
  bool given = false;
  for (const auto& [header, text] : request.headers) {
    if (!equals_ignoring_case(header, kCookieHeader)) continue;
    for (const std::string_view pair : split(text, ';')) {
      const std::string_view cookie = trim(pair);
      const std::size_t equals = cookie.find('=');
      if (equals == std::string_view::npos || cookie.substr(0, equals) != name) continue;
      if (given) {
        return Error(ErrorCode::malformed_request,
                     "the cookie " + std::string(name) + " is given more than once");
      }
      given = true;
      found = cookie.substr(equals + 1);
    }
  }
  return found;
}

std::string BrowserCookies::csrf_token(const Uuid& session) const {
  return to_base64url(crypto::hmac_sha256(csrf_key_, session.to_string()));
}

Result<void> BrowserCookies::check_origin(const net::HttpRequest& request) const {
  // A page cannot set either of them.
  if (const auto site = request.header("Sec-Fetch-Site")) {
    if (*site == "same-origin" || *site == "none") return {};
    return cross_site("the browser says that another site sent the request");
  }
  const auto origin = request.header("Origin");
  if (!origin) return {};
  if (!origin_.empty() && equals_ignoring_case(*origin, origin_)) return {};
  const std::string_view host = request.header("Host").value_or(std::string_view());
  const std::string_view from = authority_of(*origin);
  // An https page is not sent to from an http one of the same name.
  const bool scheme_agrees = !secure_ || origin->starts_with(kHttps);
  if (!from.empty() && scheme_agrees && equals_ignoring_case(from, host)) return {};
  return cross_site("the browser says that the request comes from a page of another origin");
}

Result<void> BrowserCookies::check(const net::HttpRequest& request, const Uuid& session) const {
  if (changes_nothing(request.method)) return {};
  TRY_DO(check_origin(request));
  const auto given = request.header(kCsrfHeader);
  if (!given) {
    return cross_site("a browser session needs the header X-CSRF-Token for a request that changes something");
  }
  if (request.header_count(kCsrfHeader) > 1 || !crypto::constant_time_equal(*given, csrf_token(session))) {
    return cross_site("the header X-CSRF-Token does not belong to the browser session");
  }
  return {};
}

}  // namespace rowhouse::identity
