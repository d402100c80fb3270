// Credentials → contexts. The only maker of TenantContext and PlatformContext.
//
// Data plane: header X-Tenant-Key ("tk_…") or "Authorization: Bearer JWT" of a user (tokens.h), exactly one
// of them. X-Tenant-ID (id or slug), when given, must name the credential's own tenant. Control plane:
// "Authorization: Bearer rha_…" or the JWT of a platform admin. Errors:
//   malformed_request    the credential or the claim is given more than once, or a key and a token
//   credential_missing   none is given
//   credential_unknown   not of the right form, unknown, revoked, expired, or its tenant is gone
//   forbidden            the credential is bound to other networks than the peer's
//   tenant_suspended     the tenant is suspended
//   tenant_mismatch      the request names another tenant
//   cross_site_request   a browser session did not prove that its own page sent the request
//   database_unavailable and the like, from the look-up
// One per worker; all of it belongs to the executor's thread. Refusals go to the trail.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "audit/trail.h"
#include "base/call.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "identity/access_directory.h"
#include "identity/browser_cookies.h"
#include "identity/tenant_context.h"
#include "net/http_message.h"
#include "tenancy/registry.h"

namespace rowhouse::identity {

inline constexpr std::string_view kTenantKeyHeader = "X-Tenant-Key";
inline constexpr std::string_view kTenantIdHeader = "X-Tenant-ID";
inline constexpr std::string_view kAuthorizationHeader = "Authorization";

class Authenticator {
 public:
  // `base_domain` ("app.example"): tenants are reached at SUBDOMAIN.BASE_DOMAIN or a domain of their own, and
  // a Host that names another tenant, or none, is a tenant_mismatch; addresses, localhost and the base domain
  // itself name nobody.
  // "": hosts say nothing about tenants.
  Authenticator(tenancy::Registry& registry, audit::Trail& trail, const Clock& clock, std::string base_domain)
      : registry_(registry), trail_(trail), clock_(clock), base_domain_(std::move(base_domain)) {}

  // Whose tokens are taken; before the first request. Without it there are none.
  void accept_tokens(AccessDirectory& directory) { directory_ = &directory; }
  // The same for cookies; they need accept_tokens(), too.
  void accept_cookies(const BrowserCookies& cookies) { cookies_ = &cookies; }

  // The hot path, without a coroutine: the answer if it needs no query, nullopt if tenant() must be awaited.
  std::optional<Result<TenantContext>> tenant_if_cached(const net::HttpRequest& request);
  // `request` must live until the task has ended.
  Task<Result<TenantContext>> tenant(const net::HttpRequest& request, CallOptions options);
  Task<Result<PlatformContext>> platform(const net::HttpRequest& request, CallOptions options);

  // A tenant that path, host or body names must be the context's: nothing, or tenant_mismatch (recorded).
  Result<void> check_claim(const TenantContext& context, std::string_view id_or_slug,
                           const net::HttpRequest& request);

  // Platform work on a tenant's rows, on an admin's behalf; recorded before it is handed out. `purpose` is a
  // few words for the audit ("show rows to support").
  Task<Result<TenantContext>> for_platform(const PlatformContext& admin,
                                           std::shared_ptr<const tenancy::Tenant> tenant, std::string purpose,
                                           CallOptions options);
  // Work on a tenant's objects alone, with rights for nothing else: by a link that somebody signed who might,
  // or to take back what died. Not recorded; links are to be checked before. Errors: tenant_suspended (links
  // alone), credential_unknown (the tenant is not active).
  enum class ObjectTask { read_by_link, write_by_link, tidy };
  Result<TenantContext> for_objects(ObjectTask task, std::shared_ptr<const tenancy::Tenant> tenant) const;
  // Work that the server itself does on a tenant's rows as a part of what an admin asked for.
  enum class ServerTask { load_sample_data };
  Task<Result<TenantContext>> for_server(ServerTask task, std::shared_ptr<const tenancy::Tenant> tenant,
                                         CallOptions options);

 private:
  struct Presented;  // what the request holds, form checked
  Result<Presented> presented(const net::HttpRequest& request) const;
  // The access token of a browser session, or `missing`.
  Result<std::string_view> token_of_cookie(const net::HttpRequest& request, const char* missing) const;
  // Is the tenant there, and the one that the request names?
  Result<void> check_tenant(const tenancy::Tenant& tenant, const Presented& credential) const;
  Result<TenantContext> admit(const tenancy::KeyEntry& entry, const Presented& credential) const;
  Result<TenantContext> admit(const Access& access, std::shared_ptr<const tenancy::Tenant> tenant,
                              const Presented& credential) const;
  std::optional<Result<TenantContext>> user_if_cached(const net::HttpRequest& request,
                                                      const Presented& credential);
  Task<Result<TenantContext>> user(const net::HttpRequest& request, Presented credential,
                                   CallOptions options);
  enum class Carrier { header, cookie };
  Task<Result<PlatformContext>> platform_user(const net::HttpRequest& request, std::string token,
                                              Carrier carrier, CallOptions options);
  Error refuse(Error error, const net::HttpRequest& request, const tenancy::Tenant* tenant,
               std::string_view actor);

  tenancy::Registry& registry_;
  audit::Trail& trail_;
  const Clock& clock_;
  const std::string base_domain_;
  AccessDirectory* directory_ = nullptr;
  const BrowserCookies* cookies_ = nullptr;
};

}  // namespace rowhouse::identity
