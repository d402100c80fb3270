#include "base/text.h"
#include "http/documents.h"
#include "http/routes/routes.h"
#include "http/schemas.h"

namespace rowhouse::http {
namespace {

using identity::PlatformContext;

constexpr const char* kIdempotencyKeyText =
    "A value of the caller's choosing, 1 to 255 visible ASCII characters. A repeated request with the same "
    "key begins nothing "
    "new and gets the same answer.";
constexpr const char* kPreferText = "`respond-async`: answer 202 as soon as the operation is recorded";
constexpr const char* kOperationIdText = "Id of the operation that did it, or does it";

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
      TRY(filter.limit, read_limit(value));
    }
  }
  return filter;
}

class TenantRoutes {
 public:
  TenantRoutes(const Dependencies& dependencies, const ApiOptions& options)
      : operations_(dependencies.operations),
        tenants_(dependencies.tenants),
        mail_(dependencies.mail),
        signing_keys_(dependencies.signing_keys),
        options_(options) {}

  Reply create(Call& call, const PlatformContext& context) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, options_.max_json_bytes));
    CO_TRY(tenancy::NewTenant wanted, read_new_tenant(body));
    CO_TRY(std::string key, read_idempotency_key(call.request));
    call.options.deadline = deadline_in(options_.long_request_timeout);
    CO_TRY(tenancy::StartedCreation started,
           co_await tenants_.start_create(std::move(wanted), actor_of(call, context), std::move(key),
                                          call.options));
    if (prefers_async(call.request)) {
      json::Value begun;
      begun.set("tenant", started.tenant == nullptr ? json::Value() : tenant_document(*started.tenant));
      begun.set("api_key", started.api_key.empty() ? json::Value() : json::Value(started.api_key));
      begun.set("invitation_link", invitation_link(started.invitation));
      CO_TRY(auto accepted, co_await answer_accepted(started.operation, std::move(begun), call.options));
      co_return told_of(std::move(accepted), started.operation, started.novelty);
    }
    const Uuid operation = started.operation;
    const auto novelty = started.novelty;
    CO_TRY(const auto created, co_await tenants_.finish_create(std::move(started), call.options));
    json::Value document;
    document.set("tenant", tenant_document(*created.tenant));
    document.set("api_key", created.api_key);
    document.set("sample_rows", static_cast<std::int64_t>(created.sample_row_count));
    document.set("invitation_link", invitation_link(created.invitation));
    net::HttpResponse response = json_response(201, document);
    response.headers.emplace_back("Cache-Control", "no-store");
    response.headers.emplace_back("Location", "/v1/tenants/" + created.tenant->id.to_string());
    co_return told_of(std::move(response), operation, novelty);
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
    CO_TRY(std::string key, read_idempotency_key(call.request));
    call.options.deadline = deadline_in(options_.long_request_timeout);
    CO_TRY(const tenancy::StartedRemoval started,
           co_await tenants_.start_remove(call.parameters[0], actor_of(call, context), std::move(key),
                                          call.options));
    if (prefers_async(call.request)) {
      json::Value begun;
      CO_TRY(auto accepted, co_await answer_accepted(started.operation, std::move(begun), call.options));
      co_return told_of(std::move(accepted), started.operation, started.novelty);
    }
    CO_TRY_DO(co_await tenants_.finish_remove(started, call.options));
    co_return told_of(net::HttpResponse(204), started.operation, started.novelty);
  }

 private:
  // To be shown where no mail brings it.
  json::Value invitation_link(const std::string& token) const {
    if (token.empty() || mail_.sends()) return {};
    identity::LinkOptions options;
    options.base_url = signing_keys_.options().issuer;
    return json::Value(identity::link_url(options, "invitation", token));
  }

  // 202: `document` with the operation, which goes on by itself.
  Reply answer_accepted(Uuid id, json::Value document, CallOptions options) const {
    CO_TRY(const auto operation, co_await operations_.get(id, options));
    document.set("operation", operation_document(operation));
    net::HttpResponse response = json_response(202, document);
    response.headers.emplace_back("Location", "/v1/operations/" + id.to_string());
    response.headers.emplace_back("Preference-Applied", "respond-async");
    co_return response;
  }

  static net::HttpResponse told_of(net::HttpResponse response, const Uuid& operation,
                                   operations::Submitted::Novelty novelty) {
    response.headers.emplace_back("Operation-Id", operation.to_string());
    if (novelty == operations::Submitted::Novelty::repeated) {
      response.headers.emplace_back("Idempotency-Replayed", "true");
    }
    return response;
  }

  operations::Engine& operations_;
  tenancy::TenantService& tenants_;
  identity::MailQueue& mail_;
  identity::SigningKeys& signing_keys_;
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
  const auto info = [](Method method, const char* path, Guard guard, const char* id, const char* title) {
    return RouteInfo(method, path, guard, id, title).in("Tenants");
  };
  const json::Value text = json::Object{{"type", "string"}};
  on(info(Method::get, "/v1/tenants", Guard::platform("tenants:read"), "listTenants", "List tenants")
         .query("pack", "Only tenants of this pack", text)
         .query("plan", "Only tenants on this plan", text)
         .query("tier", "pool, schema or database", text)
         .query("status", "provisioning, active, suspended, archived or deleting", text)
         .query("search", "Part of the name or slug", text)
         .query("limit", "Tenants on a page, 1 to 500", json::Object{{"type", "integer"}, {"default", 50}})
         .query("cursor", "next_cursor of the page before", text)
         .returns(200, ref("TenantPage")),
     &TenantRoutes::list);
  on(info(Method::post, "/v1/tenants", Guard::platform("tenants:manage"), "createTenant", "Create a tenant")
         .about("Provisions rows, a schema or a database, and returns the first API key. The key is shown "
                "only here. All of it is an operation: it goes on when the client goes away, and leaves "
                "nothing if it "
                "fails. With `Prefer: respond-async` the answer does not wait for it.")
         .header("Idempotency-Key", kIdempotencyKeyText)
         .header("Prefer", kPreferText)
         .takes(ref("TenantCreate"))
         .returns(201, ref("TenantCreated"))
         .or_returns(202, ref("TenantAccepted"))
         .response_header("Operation-Id", kOperationIdText)
         .with_location(),
     &TenantRoutes::create);
  on(info(Method::get, "/v1/tenants/{tenant}", Guard::platform("tenants:read"), "getTenant", "Get a tenant")
         .returns(200, ref("Tenant"))
         .with_etag(),
     &TenantRoutes::get);
  on(info(Method::patch, "/v1/tenants/{tenant}", Guard::platform("tenants:manage"), "updateTenant",
          "Change a tenant")
         .about("Members that are left out stay as they are.")
         .header("If-Match", "ETag of the version to change")
         .takes(ref("TenantUpdate"))
         .returns(200, ref("Tenant"))
         .with_etag(),
     &TenantRoutes::update);
  on(info(Method::remove, "/v1/tenants/{tenant}", Guard::platform("tenants:manage"), "deleteTenant",
          "Delete a tenant and everything it has")
         .about("An operation, which goes on until nothing is left: there is no way back. With `Prefer: "
                "respond-async` "
                "the answer does not wait for it.")
         .header("Idempotency-Key", kIdempotencyKeyText)
         .header("Prefer", kPreferText)
         .returns(204)
         .or_returns(202, ref("OperationAccepted"))
         .response_header("Operation-Id", kOperationIdText),
     &TenantRoutes::remove);
  on(info(Method::post, "/v1/tenants/{tenant}/suspend", Guard::platform("tenants:manage"), "suspendTenant",
          "Suspend a tenant")
         .returns(200, ref("Tenant")),
     &TenantRoutes::suspend);
  on(info(Method::post, "/v1/tenants/{tenant}/resume", Guard::platform("tenants:manage"), "resumeTenant",
          "Resume a tenant")
         .returns(200, ref("Tenant")),
     &TenantRoutes::resume);
}

}  // namespace rowhouse::http
