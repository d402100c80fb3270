#include "base/text.h"
#include "http/documents.h"
#include "http/routes/routes.h"
#include "http/schemas.h"

namespace rowhouse::http {
namespace {

using identity::PlatformContext;

tenancy::Actor actor_of(const Call& call, const PlatformContext& context) {
  const std::string_view peer = call.request.peer;
  return tenancy::Actor(context.principal().name, std::string(peer.substr(0, peer.rfind(':'))));
}

net::HttpResponse tenant_response(int status, const tenancy::Tenant& tenant) {
  net::HttpResponse response = json_response(status, tenant_document(tenant));
  response.headers.emplace_back("ETag", "\"v" + std::to_string(tenant.version) + "\"");
  return response;
}

// "\"v12\"" → 12
Result<std::optional<std::int64_t>> read_if_match(const net::HttpRequest& request) {
  const std::string_view text = request.header("If-Match").value_or("");
  if (text.empty() || text == "*") return std::optional<std::int64_t>();
  const bool shaped = text.size() > 3 && text.starts_with("\"v") && text.ends_with('"');
  const auto version = shaped ? parse_int64(text.substr(2, text.size() - 3)) : std::nullopt;
  if (!version)
    return Error(ErrorCode::invalid_parameter, "If-Match must be an ETag of this tenant, such as \"v3\"");
  return version;
}

Result<tenancy::TenantFilter> read_filter(const net::HttpRequest& request) {
  tenancy::TenantFilter filter;
  TRY(const auto parameters,
      read_query(request, {"pack", "plan", "tier", "status", "search", "limit", "cursor"}));
  for (const auto& [name, value] : parameters) {
    if (name == "pack") filter.pack = value;
    if (name == "plan") filter.plan = value;
    if (name == "search") filter.search = value;
    if (name == "cursor") filter.cursor = value;
    if (name == "tier" && !(filter.tier = tenancy::parse_tier(value))) {
      return Error(ErrorCode::invalid_parameter, "tier must be pool, schema or database");
    }
    if (name == "status" && !(filter.status = tenancy::parse_tenant_status(value))) {
      return Error(ErrorCode::invalid_parameter,
                   "status must be provisioning, active, suspended, archived or deleting");
    }
    if (name == "limit") {
      const auto limit = parse_int64(value);
      if (!limit || *limit < 1 || *limit > 500) {
        return Error(ErrorCode::invalid_parameter, "limit must be a number from 1 to 500");
      }
      filter.limit = static_cast<std::size_t>(*limit);
    }
  }
  return filter;
}

class TenantRoutes {
 public:
  TenantRoutes(const Dependencies& dependencies, const ApiOptions& options)
      : tenants_(dependencies.tenants), options_(options) {}

  Reply create(Call& call, const PlatformContext& context) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, options_.max_json_bytes));
    CO_TRY(tenancy::NewTenant wanted, read_new_tenant(body));
    call.options.deadline = deadline_in(options_.long_request_timeout);
    CO_TRY(const auto created,
           co_await tenants_.create(std::move(wanted), actor_of(call, context), call.options));
    json::Value document;
    document.set("tenant", tenant_document(*created.tenant));
    document.set("api_key", created.api_key);
    document.set("sample_rows", static_cast<std::int64_t>(created.sample_row_count));
    net::HttpResponse response = json_response(201, document);
    response.headers.emplace_back("Location", "/v1/tenants/" + created.tenant->id.to_string());
    co_return response;
  }

  Reply list(Call& call, const PlatformContext&) const {
    CO_TRY(tenancy::TenantFilter filter, read_filter(call.request));
    CO_TRY(const auto page, co_await tenants_.list(std::move(filter), call.options));
    json::Array data;
    for (const auto& tenant : page.tenants) data.push_back(tenant_document(*tenant));
    json::Value document;
    document.set("data", std::move(data));
    document.set("next_cursor", page.next_cursor.empty() ? json::Value() : json::Value(page.next_cursor));
    co_return json_response(200, document);
  }

  Reply get(Call& call, const PlatformContext&) const {
    CO_TRY(const auto tenant, co_await tenants_.get(call.parameters[0], call.options));
    co_return tenant_response(200, *tenant);
  }

  Reply update(Call& call, const PlatformContext& context) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, options_.max_json_bytes));
    CO_TRY(tenancy::TenantChange change, read_tenant_change(body));
    CO_TRY(change.if_version, read_if_match(call.request));
    CO_TRY(const auto tenant, co_await tenants_.update(call.parameters[0], std::move(change),
                                                       actor_of(call, context), call.options));
    co_return tenant_response(200, *tenant);
  }

  Reply suspend(Call& call, const PlatformContext& context) const {
    CO_TRY(const auto tenant,
           co_await tenants_.suspend(call.parameters[0], actor_of(call, context), call.options));
    co_return tenant_response(200, *tenant);
  }

  Reply resume(Call& call, const PlatformContext& context) const {
    CO_TRY(const auto tenant,
           co_await tenants_.resume(call.parameters[0], actor_of(call, context), call.options));
    co_return tenant_response(200, *tenant);
  }

  Reply remove(Call& call, const PlatformContext& context) const {
    call.options.deadline = deadline_in(options_.long_request_timeout);
    CO_TRY_DO(co_await tenants_.remove(call.parameters[0], actor_of(call, context), call.options));
    co_return net::HttpResponse(204);
  }

  Reply list_keys(Call& call, const PlatformContext&) const {
    CO_TRY(const auto keys, co_await tenants_.keys(call.parameters[0], call.options));
    json::Array data;
    for (const auto& key : keys) data.push_back(key_document(key));
    json::Value document;
    document.set("data", std::move(data));
    co_return json_response(200, document);
  }

  Reply create_key(Call& call, const PlatformContext& context) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, options_.max_json_bytes));
    CO_TRY(const KeyRequest wanted, read_key_request(body));
    CO_TRY(const auto created,
           co_await tenants_.create_key(call.parameters[0], wanted.name, wanted.expires_at,
                                        actor_of(call, context), call.options));
    json::Value document;
    document.set("key", key_document(created.key));
    document.set("secret", created.secret);
    co_return json_response(201, document);
  }

  Reply revoke_key(Call& call, const PlatformContext& context) const {
    const auto key = Uuid::parse(call.parameters[1]);
    if (!key) co_return Error(ErrorCode::not_found, "this tenant has no such key");
    CO_TRY_DO(co_await tenants_.revoke_key(call.parameters[0], *key, actor_of(call, context), call.options));
    co_return net::HttpResponse(204);
  }

 private:
  tenancy::TenantService& tenants_;
  const ApiOptions& options_;
};

}  // namespace

void add_tenant_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options) {
  using net::Method;
  // Shared by the handlers below, which live as long as the router.
  const auto routes = std::make_shared<TenantRoutes>(dependencies, options);
  const auto on = [&](RouteInfo info, auto member) {
    router.add(std::move(info), PlatformHandler([routes, member](Call& call, const PlatformContext& context) {
                 return ((*routes).*member)(call, context);
               }));
  };
  const auto info = [](Method method, const char* path, const char* id, const char* title) {
    return RouteInfo(method, path, Audience::platform, id, title).in("Tenants");
  };
  const json::Value text = json::Object{{"type", "string"}};
  on(info(Method::get, "/v1/tenants", "listTenants", "List tenants")
         .query("pack", "Only tenants of this pack", text)
         .query("plan", "Only tenants on this plan", text)
         .query("tier", "pool, schema or database", text)
         .query("status", "provisioning, active, suspended, archived or deleting", text)
         .query("search", "Part of the name or slug", text)
         .query("limit", "Tenants on a page, 1 to 500", json::Object{{"type", "integer"}, {"default", 50}})
         .query("cursor", "next_cursor of the page before", text)
         .returns(200, ref("TenantPage")),
     &TenantRoutes::list);
  on(info(Method::post, "/v1/tenants", "createTenant", "Create a tenant")
         .about("Provisions rows, a schema or a database, and returns the first API key. The key is shown "
                "only here.")
         .takes(ref("TenantCreate"))
         .returns(201, ref("TenantCreated"))
         .with_location(),
     &TenantRoutes::create);
  on(info(Method::get, "/v1/tenants/{tenant}", "getTenant", "Get a tenant")
         .returns(200, ref("Tenant"))
         .with_etag(),
     &TenantRoutes::get);
  on(info(Method::patch, "/v1/tenants/{tenant}", "updateTenant", "Change a tenant")
         .about("Members that are left out stay as they are.")
         .header("If-Match", "ETag of the version to change")
         .takes(ref("TenantUpdate"))
         .returns(200, ref("Tenant"))
         .with_etag(),
     &TenantRoutes::update);
  on(info(Method::remove, "/v1/tenants/{tenant}", "deleteTenant", "Delete a tenant and everything it has")
         .returns(204),
     &TenantRoutes::remove);
  on(info(Method::post, "/v1/tenants/{tenant}/suspend", "suspendTenant", "Suspend a tenant")
         .returns(200, ref("Tenant")),
     &TenantRoutes::suspend);
  on(info(Method::post, "/v1/tenants/{tenant}/resume", "resumeTenant", "Resume a tenant")
         .returns(200, ref("Tenant")),
     &TenantRoutes::resume);
  on(info(Method::get, "/v1/tenants/{tenant}/keys", "listKeys", "List a tenant's API keys")
         .returns(200, ref("KeyList")),
     &TenantRoutes::list_keys);
  on(info(Method::post, "/v1/tenants/{tenant}/keys", "createKey", "Create an API key")
         .about("The secret is shown only here.")
         .takes(ref("KeyCreate"))
         .returns(201, ref("KeyCreated")),
     &TenantRoutes::create_key);
  on(info(Method::remove, "/v1/tenants/{tenant}/keys/{key}", "revokeKey", "Revoke an API key").returns(204),
     &TenantRoutes::revoke_key);
}

}  // namespace rowhouse::http
