// Browser sessions: the tokens of a session (sessions.h) in cookies, and how a request proves that it comes
// from our own pages.
//
//   rowhouse_access   the access token. HttpOnly, SameSite=Lax, Path=/
//   rowhouse_refresh  the refresh token. HttpOnly, SameSite=Strict, Path=refresh_path()
//   rowhouse_csrf     what the header X-CSRF-Token must hold for every request but GET, HEAD and OPTIONS.
//                     Readable by scripts of the page, SameSite=Strict, Path=/
//
// Where people reach the installation by https (the issuer says so) all are Secure and called
// __Host-rowhouse_access, __Secure-rowhouse_refresh and __Host-rowhouse_csrf, so that no sibling host can set
// them. The CSRF token is an HMAC of the session's id: no table is needed, and one of another session is
// worth nothing. Immutable; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/uuid.h"
#include "net/http_message.h"

namespace rowhouse::identity {

inline constexpr std::string_view kBrowserPath = "/v1/auth/browser";
inline constexpr std::string_view kCsrfHeader = "X-CSRF-Token";

// Credentials::derive() of this makes the key of the CSRF tokens.
inline constexpr std::string_view kCsrfKeyPurpose = "browser csrf";

class BrowserCookies {
 public:
  // `issuer`: TokenOptions::issuer, the URL under which people reach this installation.
  BrowserCookies(std::string_view issuer, std::string csrf_key);

  const std::string& access_name() const { return access_name_; }
  const std::string& refresh_name() const { return refresh_name_; }
  const std::string& csrf_name() const { return csrf_name_; }
  // kBrowserPath below the path of the issuer, which a proxy in front takes away.
  const std::string& refresh_path() const { return refresh_path_; }
  bool secure() const { return secure_; }

  // The value of the only cookie of that name, "" if there is none. Points into the request. Error
  // malformed_request: several.
  static Result<std::string_view> find(const net::HttpRequest& request, std::string_view name);

  std::string csrf_token(const Uuid& session) const;

  // Nothing, or cross_site_request: the browser says that the request comes from another site
  // (Sec-Fetch-Site, or else Origin, neither this host nor the issuer). What says nothing passes: no browser
  // of today.
  Result<void> check_origin(const net::HttpRequest& request) const;
  // Of a request that a session's cookie vouches for: the same, and the session's CSRF token, unless its
  // method changes nothing.
  Result<void> check(const net::HttpRequest& request, const Uuid& session) const;

 private:
  const bool secure_;
  const std::string access_name_, refresh_name_, csrf_name_;
  const std::string origin_;  // of the issuer: "https://rows.example"
  const std::string refresh_path_;
  const std::string csrf_key_;
};

}  // namespace rowhouse::identity
