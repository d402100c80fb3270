#include "identity/authenticator.h"

#include <utility>

#include "base/text.h"
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

std::string key_actor(const tenancy::KeyEntry& entry) { return "key " + entry.name; }

// Which refusals are security events: somebody tried a credential or reached for another tenant. A request
// without a credential, or a database that is away, is neither.
bool is_security_event(ErrorCode code) {
  return code == ErrorCode::credential_unknown || code == ErrorCode::tenant_mismatch ||
         code == ErrorCode::tenant_suspended || code == ErrorCode::malformed_request;
}

}  // namespace

struct Authenticator::Presented {
  Presented(tenancy::KeyHash key_hash, std::string_view tenant_claim, std::string_view request_host)
      : hash(key_hash), claim(tenant_claim), host(request_host) {}
  tenancy::KeyHash hash;
  std::string_view claim;  // "" if none; points into the request, as does
  std::string_view host;   // "" if none
};

Result<Authenticator::Presented> Authenticator::presented(const net::HttpRequest& request) const {
  std::optional<std::string_view> key;
  std::optional<std::string_view> claim;
  std::string_view host;
  for (const auto& [name, value] : request.headers) {
    // Cheap test first: this loop runs for every header of every request.
    if (name.size() == kTenantKeyHeader.size() && equals_ignoring_case(name, kTenantKeyHeader)) {
      if (key) return Error(ErrorCode::malformed_request, "the header X-Tenant-Key is given more than once");
      key = value;
    } else if (name.size() == kTenantIdHeader.size() && equals_ignoring_case(name, kTenantIdHeader)) {
      if (claim) return Error(ErrorCode::malformed_request, "the header X-Tenant-ID is given more than once");
      claim = value;
    } else if (name.size() == kHostHeader.size() && equals_ignoring_case(name, kHostHeader)) {
      host = value;  // exactly one: the HTTP server has seen to it
    }
  }
  if (!key || key->empty()) {
    return Error(ErrorCode::credential_missing, "the header X-Tenant-Key with the tenant's key is required");
  }
  if (claim && claim->empty()) {
    return Error(ErrorCode::malformed_request,
                 "the header X-Tenant-ID is empty: name the tenant or leave it out");
  }
  if (!tenancy::has_credential_form(*key, tenancy::kTenantKeyPrefix)) return unknown_credential();
  return Presented(tenancy::hash_of_credential(*key), claim.value_or(std::string_view()), host);
}

Result<TenantContext> Authenticator::admit(const tenancy::KeyEntry& entry,
                                           const Presented& credential) const {
  if (entry.expires_at && *entry.expires_at <= clock_.now()) return unknown_credential();
  switch (entry.tenant->status) {
    case tenancy::TenantStatus::active:
      break;
    case tenancy::TenantStatus::suspended:
      return Error(ErrorCode::tenant_suspended, "the tenant is suspended; its rows are kept");
    case tenancy::TenantStatus::provisioning:
    case tenancy::TenantStatus::archived:
    case tenancy::TenantStatus::deleting:
      return unknown_credential();
  }
  if (!credential.claim.empty() && !names_tenant(credential.claim, *entry.tenant)) {
    return Error(ErrorCode::tenant_mismatch, "the key belongs to another tenant than the one in X-Tenant-ID");
  }
  if (!host_agrees(credential.host, base_domain_, *entry.tenant)) {
    return Error(ErrorCode::tenant_mismatch,
                 "the key belongs to another tenant than the one that Host names");
  }
  Principal principal(PrincipalKind::tenant_key, entry.id, key_actor(entry));
  return TenantContext(entry.tenant, std::move(principal));
}

Error Authenticator::refuse(Error error, const net::HttpRequest& request, const tenancy::Tenant* tenant,
                            std::string_view actor) {
  if (!is_security_event(error.code)) return error;
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
  auto entry = co_await registry_.find_key(credential->hash, options);
  if (!entry.ok()) co_return refuse(std::move(entry).error(), request, nullptr, "");
  auto context = admit(*entry, *credential);
  if (context.ok()) co_return context;
  const std::string actor = key_actor(*entry);
  co_return refuse(std::move(context).error(), request, entry->tenant.get(), actor);
}

Task<Result<PlatformContext>> Authenticator::platform(const net::HttpRequest& request, CallOptions options) {
  if (request.header_count(kAuthorizationHeader) > 1) {
    Error twice(ErrorCode::malformed_request, "the header Authorization is given more than once");
    co_return refuse(std::move(twice), request, nullptr, "");
  }
  const auto authorization = request.header(kAuthorizationHeader);
  if (!authorization || authorization->empty()) {
    co_return Error(ErrorCode::credential_missing, "the header \"Authorization: Bearer rha_…\" is required");
  }
  const bool is_bearer = authorization->size() > kBearer.size() &&
                         equals_ignoring_case(authorization->substr(0, kBearer.size()), kBearer);
  const auto token = is_bearer ? trim(authorization->substr(kBearer.size())) : std::string_view();
  if (!tenancy::has_credential_form(token, tenancy::kAdminTokenPrefix)) {
    co_return refuse(unknown_credential(), request, nullptr, "");
  }
  const tenancy::KeyHash hash = tenancy::hash_of_credential(token);
  auto entry = co_await registry_.find_admin_token(hash, options);
  if (!entry.ok()) co_return refuse(std::move(entry).error(), request, nullptr, "");
  Principal principal(PrincipalKind::platform_admin, entry->id, "admin " + entry->name);
  co_return PlatformContext(std::move(principal));
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
  co_return TenantContext(std::move(tenant), std::move(principal));
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
  Principal server(PrincipalKind::platform_admin, Uuid(), "server");
  const PlatformContext itself(std::move(server));
  co_return co_await for_platform(itself, std::move(tenant), std::move(purpose), options);
}

}  // namespace rowhouse::identity
