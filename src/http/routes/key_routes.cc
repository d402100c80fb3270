// API keys, as the platform manages those of every tenant and a tenant its own; and service keys.
#include "http/key_documents.h"
#include "http/routes/routes.h"
#include "http/schemas.h"

namespace rowhouse::http {
namespace {

using identity::PlatformContext;
using identity::TenantContext;

tenancy::Actor actor_of(const Call& call, const identity::Principal& principal) {
  const std::string_view peer = call.request.peer;
  return tenancy::Actor(principal.name, std::string(peer.substr(0, peer.rfind(':'))));
}

// Platform credentials have operations of the platform, which no key of a tenant can be given: keys:manage
// means every key of every tenant.
tenancy::KeyMaker platform_maker(const Call& call, const PlatformContext& context) {
  return tenancy::KeyMaker(actor_of(call, context.principal()));
}

Result<Uuid> key_id(const std::string& text) {
  const auto id = Uuid::parse(text);
  if (!id) return Error(ErrorCode::not_found, "there is no such key");
  return *id;
}

// A key is no person, so row rules do not bind it.
Result<tenancy::KeyMaker> tenant_maker(const Call& call, const TenantContext& context) {
  if (context.rows() == tenancy::RowScope::own) {
    return Error(ErrorCode::permission_missing,
                 "a key reaches all rows of the tenant, and the caller's role only its own");
  }
  return tenancy::KeyMaker(actor_of(call, context.principal()), context.grant());
}

class KeyRoutes {
 public:
  KeyRoutes(const Dependencies& dependencies, const ApiOptions& options)
      : tenants_(dependencies.tenants), options_(options) {}

  // ---- the platform, for any tenant

  Reply list(Call& call, const PlatformContext&) const { return list_of(call, call.parameters[0]); }

  Reply create(Call& call, const PlatformContext& context) const {
    const auto maker = platform_maker(call, context);
    return create_for(call, call.parameters[0], maker);
  }

  Reply rotate(Call& call, const PlatformContext& context) const {
    const auto maker = platform_maker(call, context);
    return rotate_for(call, call.parameters[0], call.parameters[1], maker);
  }

  Reply revoke(Call& call, const PlatformContext& context) const {
    return revoke_for(call, call.parameters[0], call.parameters[1], actor_of(call, context.principal()));
  }

  // ---- a tenant, for itself

  Reply list_own(Call& call, const TenantContext& context) const {
    return list_of(call, context.tenant().id.to_string());
  }

  Reply create_own(Call& call, const TenantContext& context) const {
    CO_TRY(const auto maker, tenant_maker(call, context));
    co_return co_await create_for(call, context.tenant().id.to_string(), maker);
  }

  Reply rotate_own(Call& call, const TenantContext& context) const {
    CO_TRY(const auto maker, tenant_maker(call, context));
    co_return co_await rotate_for(call, context.tenant().id.to_string(), call.parameters[0], maker);
  }

  Reply revoke_own(Call& call, const TenantContext& context) const {
    return revoke_for(call, context.tenant().id.to_string(), call.parameters[0],
                      actor_of(call, context.principal()));
  }

  // ---- service keys

  Reply list_service(Call& call, const PlatformContext&) const {
    CO_TRY(const auto keys, co_await tenants_.service_keys(call.options));
    co_return json_response(200, key_list_document(keys));
  }

  Reply create_service(Call& call, const PlatformContext& context) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, options_.max_json_bytes));
    CO_TRY(tenancy::NewKey wanted, read_new_key(body, context.grant(), Scopes::required));
    const tenancy::KeyMaker maker(actor_of(call, context.principal()), context.grant());
    CO_TRY(const auto made, co_await tenants_.create_service_key(std::move(wanted), maker, call.options));
    co_return json_response(201, new_key_document(made));
  }

  Reply rotate_service(Call& call, const PlatformContext& context) const {
    CO_TRY(const Uuid key, key_id(call.parameters[0]));
    CO_TRY(const auto overlap, co_await read_overlap(call));
    const tenancy::KeyMaker maker(actor_of(call, context.principal()), context.grant());
    CO_TRY(const auto made, co_await tenants_.rotate_service_key(key, overlap, maker, call.options));
    co_return json_response(200, new_key_document(made));
  }

  Reply revoke_service(Call& call, const PlatformContext& context) const {
    CO_TRY(const Uuid key, key_id(call.parameters[0]));
    const auto actor = actor_of(call, context.principal());
    CO_TRY_DO(co_await tenants_.revoke_service_key(key, actor, call.options));
    co_return net::HttpResponse(204);
  }

 private:
  Reply list_of(Call& call, std::string tenant) const {
    CO_TRY(const auto keys, co_await tenants_.keys(std::move(tenant), call.options));
    co_return json_response(200, key_list_document(keys));
  }

  Reply create_for(Call& call, std::string tenant, tenancy::KeyMaker maker) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, options_.max_json_bytes));
    CO_TRY(tenancy::NewKey wanted, read_new_key(body, maker.own, Scopes::optional));
    CO_TRY(const auto made, co_await tenants_.create_key(std::move(tenant), std::move(wanted),
                                                         std::move(maker), call.options));
    co_return json_response(201, new_key_document(made));
  }

  Task<Result<std::chrono::seconds>> read_overlap(Call& call) const {
    json::Value body{json::Object{}};
    if (!media_type(call.request).empty()) {
      CO_TRY(body, co_await read_json(call.request, options_.max_json_bytes));
    }
    co_return read_key_rotation(body);
  }

  Reply rotate_for(Call& call, std::string tenant, std::string key_text, tenancy::KeyMaker maker) const {
    CO_TRY(const Uuid key, key_id(key_text));
    CO_TRY(const auto overlap, co_await read_overlap(call));
    CO_TRY(const auto made,
           co_await tenants_.rotate_key(std::move(tenant), key, overlap, std::move(maker), call.options));
    co_return json_response(200, new_key_document(made));
  }

  Reply revoke_for(Call& call, std::string tenant, std::string key_text, tenancy::Actor actor) const {
    CO_TRY(const Uuid key, key_id(key_text));
    CO_TRY_DO(co_await tenants_.revoke_key(std::move(tenant), key, std::move(actor), call.options));
    co_return net::HttpResponse(204);
  }

  tenancy::TenantService& tenants_;
  const ApiOptions& options_;
};

constexpr const char* kRotationText =
    "The answer holds a new secret; the one before stays good for `overlap_seconds` (a day unless given), so "
    "that no request fails while it is being replaced everywhere. 0 ends every older secret at once. Refused "
    "(409) while the overlap of an earlier rotation is not over.";
constexpr const char* kOwnKeyText =
    "A key can never give more than its maker has: neither operations, nor time, nor networks. What is left "
    "out is the maker's own. The secret is shown only here.";

}  // namespace

void add_key_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options) {
  using net::Method;
  // Shared by the handlers below, which live as long as the router.
  const auto routes = std::make_shared<KeyRoutes>(dependencies, options);
  const auto platform = [&](RouteInfo info, auto member) {
    router.add(std::move(info).in("Keys"),
               PlatformHandler([routes, member](Call& call, const PlatformContext& context) {
                 return ((*routes).*member)(call, context);
               }));
  };
  const auto tenant = [&](RouteInfo info, auto member) {
    router.add(std::move(info).in("Keys"),
               TenantHandler([routes, member](Call& call, const TenantContext& context) {
                 return ((*routes).*member)(call, context);
               }));
  };
  constexpr Guard kManage = Guard::platform("keys:manage");
  constexpr Guard kManageOwn = Guard::tenant("key:manage");
  constexpr Guard kService = Guard::platform("service-keys:manage");
  platform(RouteInfo(Method::get, "/v1/tenants/{tenant}/keys", Guard::platform("keys:read"), "listKeys",
                     "List a tenant's API keys")
               .returns(200, ref("KeyList")),
           &KeyRoutes::list);
  platform(RouteInfo(Method::post, "/v1/tenants/{tenant}/keys", kManage, "createKey", "Create an API key")
               .about("The secret is shown only here.")
               .takes(ref("KeyCreate"))
               .returns(201, ref("KeyCreated")),
           &KeyRoutes::create);
  platform(RouteInfo(Method::post, "/v1/tenants/{tenant}/keys/{key}/rotate", kManage, "rotateKey",
                     "Give an API key a new secret")
               .about(kRotationText)
               .takes(ref("KeyRotation"))
               .returns(200, ref("KeyCreated")),
           &KeyRoutes::rotate);
  platform(
      RouteInfo(Method::remove, "/v1/tenants/{tenant}/keys/{key}", kManage, "revokeKey", "Revoke an API key")
          .returns(204),
      &KeyRoutes::revoke);
  tenant(RouteInfo(Method::get, "/v1/keys", Guard::tenant("key:read"), "listOwnKeys",
                   "List the tenant's own API keys")
             .returns(200, ref("KeyList")),
         &KeyRoutes::list_own);
  tenant(
      RouteInfo(Method::post, "/v1/keys", kManageOwn, "createOwnKey", "Create an API key of one's own tenant")
          .about(kOwnKeyText)
          .takes(ref("KeyCreate"))
          .returns(201, ref("KeyCreated")),
      &KeyRoutes::create_own);
  tenant(RouteInfo(Method::post, "/v1/keys/{key}/rotate", kManageOwn, "rotateOwnKey",
                   "Give an API key of one's own tenant a new secret")
             .about(kRotationText)
             .takes(ref("KeyRotation"))
             .returns(200, ref("KeyCreated")),
         &KeyRoutes::rotate_own);
  tenant(RouteInfo(Method::remove, "/v1/keys/{key}", kManageOwn, "revokeOwnKey",
                   "Revoke an API key of one's own tenant")
             .returns(204),
         &KeyRoutes::revoke_own);
  platform(RouteInfo(Method::get, "/v1/service-keys", kService, "listServiceKeys", "List service keys")
               .returns(200, ref("KeyList")),
           &KeyRoutes::list_service);
  platform(RouteInfo(Method::post, "/v1/service-keys", kService, "createServiceKey",
                     "Create a service key of the platform")
               .about("A token for programs (rha_…) with operations of the platform as scopes. It can never "
                      "give more than its maker has. The secret is shown only here.")
               .takes(ref("ServiceKeyCreate"))
               .returns(201, ref("KeyCreated")),
           &KeyRoutes::create_service);
  platform(RouteInfo(Method::post, "/v1/service-keys/{key}/rotate", kService, "rotateServiceKey",
                     "Give a service key a new secret")
               .about(kRotationText)
               .takes(ref("KeyRotation"))
               .returns(200, ref("KeyCreated")),
           &KeyRoutes::rotate_service);
  platform(RouteInfo(Method::remove, "/v1/service-keys/{key}", kService, "revokeServiceKey",
                     "Revoke a service key")
               .returns(204),
           &KeyRoutes::revoke_service);
}

}  // namespace rowhouse::http
