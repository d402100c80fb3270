#include "identity/authenticator.h"

#include <utility>

#include "base/text.h"
#include "identity/providers_model.h"
#include "identity/tokens.h"
#include "tenancy/api_key.h"

namespace rowhouse::identity {

namespace {

constexpr std::string_view kBearer = "bearer ";
constexpr std::string_view kHostHeader = "Host";

Error unknown_credential() { return Error(ErrorCode::credential_unknown, "the credential is not known"); }

bool names_tenant(std::string_view id_or_slug, const tenancy::Tenant& tenant) {
  if (id_or_slug == tenant.slug) return true;
  const auto id = Uuid::parse(id_or_slug);
  return id.has_value() && *id == tenant.id;
}

// "acme.app.example:8080" → "acme.app.example"; "[::1]:80" stays in its brackets.
std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
  return host.substr(0, host.find(':'));
}

bool is_address_or_localhost(std::string_view host) {
  return host.starts_with('[') || equals_ignoring_case(host, "localhost") ||
         host.find_first_not_of("0123456789.") == std::string_view::npos;
}

// Does the host name this tenant, or nobody? See the constructor.
bool host_agrees(std::string_view host_header, std::string_view base_domain, const tenancy::Tenant& tenant) {
  const std::string_view host = without_port(host_header);
  if (base_domain.empty() || is_address_or_localhost(host)) return true;
  if (equals_ignoring_case(host, base_domain)) return true;
  if (!tenant.domain.empty() && equals_ignoring_case(host, tenant.domain)) return true;
  return !tenant.subdomain.empty() &&
         equals_ignoring_case(host, tenant.subdomain + "." + std::string(base_domain));
}

// A good credential in the wrong place: the owner has bound it to networks.
Error wrong_address(std::string_view peer) {
  return Error(ErrorCode::forbidden, "the credential may not be used from the address " +
                                         std::string(tenancy::address_of_peer(peer)));
}

Error authorization_twice() {
  return Error(ErrorCode::malformed_request, "the header Authorization is given more than once");
}

// What follows "Bearer", or "".
std::string_view bearer_token(std::string_view authorization) {
  const bool is_bearer = authorization.size() > kBearer.size() &&
                         equals_ignoring_case(authorization.substr(0, kBearer.size()), kBearer);
  return is_bearer ? trim(authorization.substr(kBearer.size())) : std::string_view();
}

std::string user_actor(const Access& access) { return "user " + access.email; }

Principal user_principal(PrincipalKind kind, const Access& access) {
  Principal principal(kind, access.claims.user, user_actor(access));
  if (access.via == Access::Via::session) principal.session = access.claims.session;
  return principal;
}

const std::shared_ptr<const tenancy::Permissions>& no_permissions() {
  static const auto none = std::make_shared<const tenancy::Permissions>(tenancy::Permissions::nothing());
  return none;
}

std::string key_actor(const tenancy::KeyEntry& entry) { return "key " + entry.name; }

constexpr const char* kNoTenantCredential =
    "the header X-Tenant-Key with a key of the tenant is required, or Authorization with the access token of "
    "a user";
constexpr const char* kNoPlatformCredential =
    "the header \"Authorization: Bearer rha_…\" is required, or one with the access token of a platform "
    "admin";

// Which refusals are security events: somebody tried a credential or reached for another tenant. A request
// without a credential, or a database that is away, is neither.
bool is_security_event(ErrorCode code) {
  return code == ErrorCode::credential_unknown || code == ErrorCode::tenant_mismatch ||
         code == ErrorCode::tenant_suspended || code == ErrorCode::malformed_request ||
         code == ErrorCode::forbidden || code == ErrorCode::cross_site_request;
}

}  // namespace

// The texts point into the request.
struct Authenticator::Presented {
  std::string_view token;   // of a user; "" if it is a key
  tenancy::KeyHash hash{};  // of the key
  std::string_view claim;   // "" if none
  std::string_view host;    // "" if none
  std::string_view peer;    // address and port
  // The request, if its token came in a cookie: then it must prove where it comes from.
  const net::HttpRequest* browser = nullptr;
};

// Apart from the loop over the headers, so that requests with a header do no more work because of browsers.
Result<std::string_view> Authenticator::token_of_cookie(const net::HttpRequest& request,
                                                        const char* missing) const {
  if (cookies_ == nullptr) return Error(ErrorCode::credential_missing, missing);
  TRY(const std::string_view token, BrowserCookies::find(request, cookies_->access_name()));
  if (token.empty()) return Error(ErrorCode::credential_missing, missing);
  if (!has_access_token_form(token)) return unknown_credential();
  return token;
}

Result<Authenticator::Presented> Authenticator::presented(const net::HttpRequest& request) const {
  std::optional<std::string_view> key;
  std::optional<std::string_view> authorization;
  std::optional<std::string_view> claim;
  Presented credential;
  credential.peer = request.peer;
  for (const auto& [name, value] : request.headers) {
    // Cheap test first: this loop runs for every header of every request.
    if (name.size() == kTenantKeyHeader.size() && equals_ignoring_case(name, kTenantKeyHeader)) {
      if (key) return Error(ErrorCode::malformed_request, "the header X-Tenant-Key is given more than once");
      key = value;
    } else if (name.size() == kTenantIdHeader.size() && equals_ignoring_case(name, kTenantIdHeader)) {
      if (claim) return Error(ErrorCode::malformed_request, "the header X-Tenant-ID is given more than once");
      claim = value;
    } else if (name.size() == kHostHeader.size() && equals_ignoring_case(name, kHostHeader)) {
      credential.host = value;  // exactly one: the HTTP server has seen to it
    } else if (name.size() == kAuthorizationHeader.size() &&
               equals_ignoring_case(name, kAuthorizationHeader)) {
      if (authorization) return authorization_twice();
      authorization = value;
    }
  }
  if (key && authorization) {
    return Error(ErrorCode::malformed_request,
                 "the request has both X-Tenant-Key and Authorization: send one of them");
  }
  const bool has_header = (key && !key->empty()) || (authorization && !authorization->empty());
  if (!has_header) {
    TRY(credential.token, token_of_cookie(request, kNoTenantCredential));
    credential.browser = &request;
  }
  if (claim && claim->empty()) {
    return Error(ErrorCode::malformed_request,
                 "the header X-Tenant-ID is empty: name the tenant or leave it out");
  }
  credential.claim = claim.value_or(std::string_view());
  if (!has_header) return credential;
  if (authorization) {
    credential.token = bearer_token(*authorization);
    if (!has_access_token_form(credential.token)) return unknown_credential();
    return credential;
  }
  if (!tenancy::has_credential_form(*key, tenancy::kTenantKeyPrefix)) return unknown_credential();
  credential.hash = tenancy::hash_of_credential(*key);
  return credential;
}

Result<void> Authenticator::check_tenant(const tenancy::Tenant& tenant, const Presented& credential) const {
  switch (tenant.status) {
    case tenancy::TenantStatus::active:
      break;
    case tenancy::TenantStatus::suspended:
      return Error(ErrorCode::tenant_suspended, "the tenant is suspended; its rows are kept");
    case tenancy::TenantStatus::provisioning:
    case tenancy::TenantStatus::archived:
    case tenancy::TenantStatus::deleting:
      return unknown_credential();
  }
  if (!credential.claim.empty() && !names_tenant(credential.claim, tenant)) {
    return Error(ErrorCode::tenant_mismatch,
                 "the credential belongs to another tenant than the one in X-Tenant-ID");
  }
  if (!host_agrees(credential.host, base_domain_, tenant)) {
    return Error(ErrorCode::tenant_mismatch,
                 "the credential belongs to another tenant than the one that Host names");
  }
  return {};
}

Result<TenantContext> Authenticator::admit(const tenancy::KeyEntry& entry,
                                           const Presented& credential) const {
  if (entry.grant.has_expired(clock_.now())) return unknown_credential();
  if (!entry.grant.admits(credential.peer)) return wrong_address(credential.peer);
  TRY_DO(check_tenant(*entry.tenant, credential));
  Principal principal(PrincipalKind::tenant_key, entry.id, key_actor(entry));
  Rights rights{entry.grant.permissions, tenancy::RowScope::all, "", entry.grant.expires_at,
                entry.grant.networks};
  return TenantContext(entry.tenant, std::move(principal), std::move(rights));
}

// A role of the pack is what the manifest says now.
Result<TenantContext> Authenticator::admit(const Access& access,
                                           std::shared_ptr<const tenancy::Tenant> tenant,
                                           const Presented& credential) const {
  TRY_DO(check_tenant(*tenant, credential));
  if (access.via == Access::Via::issuer) {
    // Only programs have such tokens, and only where the plan still has single sign-on.
    const bool has_feature = tenant->plan() != nullptr && tenant->plan()->features.contains(kSsoFeature);
    if (credential.browser != nullptr || !has_feature) return unknown_credential();
  }
  if (credential.browser != nullptr) {
    TRY_DO(cookies_->check(*credential.browser, access.claims.session));
  }
  Rights rights{access.permissions, access.rows, access.role};
  if (rights.permissions == nullptr) {
    rights.permissions = no_permissions();
    for (const tenancy::Role& role : tenant->pack->manifest.roles) {
      if (role.name != access.role) continue;
      rights.permissions = role.permissions;
      rights.rows = role.rows;
    }
  }
  return TenantContext(std::move(tenant), user_principal(PrincipalKind::tenant_user, access),
                       std::move(rights));
}

Error Authenticator::refuse(Error error, const net::HttpRequest& request, const tenancy::Tenant* tenant,
                            std::string_view actor) {
  if (!is_security_event(error.code)) return error;
  // Every client that is away for a while comes back with one: a true token is no attempt at anything.
  if (!error.detail(kTokenExpired).empty()) return error;
  audit::SecurityEvent event(audit::SecurityEventKind::invalid_tenant_access);
  if (tenant != nullptr) event.tenant = tenant->id;
  event.actor = actor;
  event.detail = error_code_name(error.code);
  event.address = request.peer;
  event.agent = request.header("User-Agent").value_or(std::string_view());
  event.request_id = request.request_id;
  trail_.record(std::move(event));
  return error;
}

std::optional<Result<TenantContext>> Authenticator::tenant_if_cached(const net::HttpRequest& request) {
  auto credential = presented(request);
  if (!credential.ok()) {
    return Result<TenantContext>(refuse(std::move(credential).error(), request, nullptr, ""));
  }
  if (!credential->token.empty()) return user_if_cached(request, *credential);
  const tenancy::KeyEntry* entry = registry_.cached_key(credential->hash);
  if (entry == nullptr) return std::nullopt;
  auto context = admit(*entry, *credential);
  if (context.ok()) return context;
  return Result<TenantContext>(
      refuse(std::move(context).error(), request, entry->tenant.get(), key_actor(*entry)));
}

Task<Result<TenantContext>> Authenticator::tenant(const net::HttpRequest& request, CallOptions options) {
  auto credential = presented(request);
  if (!credential.ok()) co_return refuse(std::move(credential).error(), request, nullptr, "");
  if (!credential->token.empty()) co_return co_await user(request, *credential, options);
  auto entry = co_await registry_.find_key(credential->hash, options);
  if (!entry.ok()) co_return refuse(std::move(entry).error(), request, nullptr, "");
  auto context = admit(*entry, *credential);
  if (context.ok()) co_return context;
  const std::string actor = key_actor(*entry);
  co_return refuse(std::move(context).error(), request, entry->tenant.get(), actor);
}

std::optional<Result<TenantContext>> Authenticator::user_if_cached(const net::HttpRequest& request,
                                                                   const Presented& credential) {
  const auto access = directory_ != nullptr ? directory_->cached(credential.token) : nullptr;
  if (access == nullptr || !access->claims.tenant) return std::nullopt;
  auto tenant = registry_.cached_tenant(*access->claims.tenant);
  if (tenant == nullptr) return std::nullopt;
  auto context = admit(*access, tenant, credential);
  if (context.ok()) return context;
  return Result<TenantContext>(
      refuse(std::move(context).error(), request, tenant.get(), user_actor(*access)));
}

Task<Result<TenantContext>> Authenticator::user(const net::HttpRequest& request, Presented credential,
                                                CallOptions options) {
  if (directory_ == nullptr) co_return refuse(unknown_credential(), request, nullptr, "");
  std::string token(credential.token);
  auto found = co_await directory_->find(std::move(token), options);
  if (!found.ok()) co_return refuse(std::move(found).error(), request, nullptr, "");
  const Access& access = **found;
  const std::string actor = user_actor(access);
  // A platform admin's opens no tenant.
  if (!access.claims.tenant) co_return refuse(unknown_credential(), request, nullptr, actor);
  std::string id = access.claims.tenant->to_string();
  auto tenant = co_await registry_.find_tenant(std::move(id), options);
  if (!tenant.ok() && tenant.error().code == ErrorCode::not_found) {
    co_return refuse(unknown_credential(), request, nullptr, actor);
  }
  if (!tenant.ok()) co_return std::move(tenant).error();
  auto context = admit(access, *tenant, credential);
  if (context.ok()) co_return context;
  co_return refuse(std::move(context).error(), request, tenant->get(), actor);
}

Task<Result<PlatformContext>> Authenticator::platform_user(const net::HttpRequest& request, std::string token,
                                                           Carrier carrier, CallOptions options) {
  if (directory_ == nullptr) co_return refuse(unknown_credential(), request, nullptr, "");
  auto found = co_await directory_->find(std::move(token), options);
  if (!found.ok()) co_return refuse(std::move(found).error(), request, nullptr, "");
  const Access& access = **found;
  if (access.role_of != Access::RoleOf::platform) {
    const std::string actor = user_actor(access);
    co_return refuse(unknown_credential(), request, nullptr, actor);
  }
  if (carrier == Carrier::cookie) {
    auto own = cookies_->check(request, access.claims.session);
    if (!own.ok()) {
      const std::string actor = user_actor(access);
      co_return refuse(std::move(own).error(), request, nullptr, actor);
    }
  }
  tenancy::Grant grant;
  grant.permissions = access.permissions;
  co_return PlatformContext(user_principal(PrincipalKind::platform_admin, access), std::move(grant));
}

Task<Result<PlatformContext>> Authenticator::platform(const net::HttpRequest& request, CallOptions options) {
  if (request.header_count(kAuthorizationHeader) > 1) {
    co_return refuse(authorization_twice(), request, nullptr, "");
  }
  const auto authorization = request.header(kAuthorizationHeader);
  if (!authorization || authorization->empty()) {
    const auto cookie = token_of_cookie(request, kNoPlatformCredential);
    if (!cookie.ok()) {
      Error error = cookie.error();
      co_return refuse(std::move(error), request, nullptr, "");
    }
    std::string copy(*cookie);
    co_return co_await platform_user(request, std::move(copy), Carrier::cookie, options);
  }
  const auto token = bearer_token(*authorization);
  if (has_access_token_form(token)) {
    std::string copy(token);
    co_return co_await platform_user(request, std::move(copy), Carrier::header, options);
  }
  if (!tenancy::has_credential_form(token, tenancy::kAdminTokenPrefix)) {
    co_return refuse(unknown_credential(), request, nullptr, "");
  }
  const tenancy::KeyHash hash = tenancy::hash_of_credential(token);
  auto entry = co_await registry_.find_admin_token(hash, options);
  if (!entry.ok()) co_return refuse(std::move(entry).error(), request, nullptr, "");
  const std::string actor =
      (entry->kind == tenancy::AdminEntry::Kind::service ? "service key " : "admin ") + entry->name;
  if (entry->grant.has_expired(clock_.now())) co_return refuse(unknown_credential(), request, nullptr, actor);
  if (!entry->grant.admits(request.peer)) {
    co_return refuse(wrong_address(request.peer), request, nullptr, actor);
  }
  Principal principal(PrincipalKind::platform_admin, entry->id, actor);
  co_return PlatformContext(std::move(principal), std::move(entry->grant));
}

Result<void> Authenticator::check_claim(const TenantContext& context, std::string_view id_or_slug,
                                        const net::HttpRequest& request) {
  if (names_tenant(id_or_slug, context.tenant())) return {};
  Error mismatch(ErrorCode::tenant_mismatch, "the request names another tenant than the key's");
  return refuse(std::move(mismatch), request, &context.tenant(), context.principal().name);
}

Task<Result<TenantContext>> Authenticator::for_platform(const PlatformContext& admin,
                                                        std::shared_ptr<const tenancy::Tenant> tenant,
                                                        std::string purpose, CallOptions options) {
  Principal principal = admin.principal();
  audit::Change change(principal.name, "tenant.rows_opened");
  change.tenant = tenant->id;
  change.object_type = "tenant";
  change.object_id = tenant->id.to_string();
  json::Value values;
  values.set("purpose", std::move(purpose));
  change.new_json = json::serialize(values);
  CO_TRY_DO(co_await trail_.record_change(std::move(change), options));
  co_return TenantContext(std::move(tenant), std::move(principal), Rights());
}

Result<TenantContext> Authenticator::for_objects(ObjectTask task,
                                                 std::shared_ptr<const tenancy::Tenant> tenant) const {
  static const auto reading =
      std::make_shared<const tenancy::Permissions>(tenancy::Permissions::from({"object:read"}).value());
  static const auto writing =
      std::make_shared<const tenancy::Permissions>(tenancy::Permissions::from({"object:write"}).value());
  // Nobody asks the server itself for what it may: its context reaches statements alone.
  static const auto nothing = std::make_shared<const tenancy::Permissions>(tenancy::Permissions::nothing());
  Rights rights;
  switch (task) {
    case ObjectTask::read_by_link:
      rights.permissions = reading;
      break;
    case ObjectTask::write_by_link:
      rights.permissions = writing;
      break;
    case ObjectTask::tidy:
      rights.permissions = nothing;
      break;
  }
  const bool suspended = tenant->status == tenancy::TenantStatus::suspended;
  if (suspended && task != ObjectTask::tidy) {
    return Error(ErrorCode::tenant_suspended, "the tenant is suspended; its rows are kept");
  }
  if (!suspended && tenant->status != tenancy::TenantStatus::active) return unknown_credential();
  Principal server(PrincipalKind::server, Uuid(), task == ObjectTask::tidy ? "server" : "link");
  return TenantContext(std::move(tenant), std::move(server), std::move(rights));
}

Task<Result<TenantContext>> Authenticator::for_server(ServerTask task,
                                                      std::shared_ptr<const tenancy::Tenant> tenant,
                                                      CallOptions options) {
  std::string purpose;
  switch (task) {
    case ServerTask::load_sample_data:
      purpose = "load sample data";
      break;
  }
  Principal server(PrincipalKind::server, Uuid(), "server");
  tenancy::Grant everything;
  const PlatformContext itself(std::move(server), std::move(everything));
  co_return co_await for_platform(itself, std::move(tenant), std::move(purpose), options);
}

}  // namespace rowhouse::identity
