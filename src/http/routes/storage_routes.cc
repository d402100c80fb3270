// The object storage of a tenant: what it is, setting it, trying it. And the keys that its secrets are under.
#include "http/documents.h"
#include "http/routes/people.h"
#include "http/routes/routes.h"
#include "http/schemas.h"
#include "http/storage_documents.h"

namespace rowhouse::http {
namespace {

using identity::PlatformContext;
using identity::TenantContext;

// Connecting to a store that does not answer takes as long as its probe may.
constexpr std::chrono::seconds kStorageTimeout{60};

class StorageRoutes {
 public:
  // Whose storage, and who asks.
  struct Subject {
    Uuid tenant;
    tenancy::Actor actor;
    enum class Asks { tenant, platform } asks = Asks::tenant;
  };
  using Handler = Reply (StorageRoutes::*)(Call&, const Subject&) const;

  explicit StorageRoutes(const Dependencies& dependencies)
      : configs_(dependencies.storage_configs),
        moves_(dependencies.storage_moves),
        operations_(dependencies.operations),
        tenants_(dependencies.tenants) {}

  Reply on_own_tenant(Handler handler, Call& call, const TenantContext& context) const {
    const Subject subject{context.tenant().id, acting(call, context.principal()), Subject::Asks::tenant};
    co_return co_await (this->*handler)(call, subject);
  }

  Reply on_any_tenant(Handler handler, Call& call, const PlatformContext& context) const {
    CO_TRY(const auto place, co_await place_in_path(call, context, tenants_));
    const Subject subject{place.tenant->id, acting(call, context.principal()), Subject::Asks::platform};
    co_return co_await (this->*handler)(call, subject);
  }

  Reply show(Call& call, const Subject& subject) const {
    CO_TRY(const auto view, co_await configs_.get(subject.tenant, call.options));
    co_return co_await answer(subject, view, call.options);
  }

  Reply set(Call& call, const Subject& subject) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(auto setting, read_storage_setting(body));
    call.options.deadline = deadline_in(kStorageTimeout);
    tenancy::Actor actor = subject.actor;
    CO_TRY(const auto view,
           co_await configs_.set(subject.tenant, std::move(setting), std::move(actor), call.options));
    co_return co_await answer(subject, view, call.options);
  }

  Reply test(Call& call, const Subject& subject) const {
    call.options.deadline = deadline_in(kStorageTimeout);
    CO_TRY(const auto view, co_await configs_.test(subject.tenant, call.options));
    co_return co_await answer(subject, view, call.options);
  }

  Reply move(Call& call, const Subject& subject) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    std::optional<objects::StorageSetting> setting;
    if (subject.asks == Subject::Asks::platform) {
      CO_TRY(setting, read_storage_move(body));
    } else {
      CO_TRY(setting, read_storage_setting(body));
    }
    call.options.deadline = deadline_in(kStorageTimeout);
    tenancy::Actor actor = subject.actor;
    if (!setting) {
      CO_TRY(const Uuid id,
             co_await moves_.start_provisioned(subject.tenant, std::move(actor), call.options));
      co_return co_await answer_accepted(subject, id, call.options);
    }
    CO_TRY(const Uuid id,
           co_await moves_.start(subject.tenant, std::move(*setting), std::move(actor), call.options));
    co_return co_await answer_accepted(subject, id, call.options);
  }

  Reply confirm_move(Call& call, const Subject& subject) const {
    auto old_objects = objects::OldObjects::remove;
    if (!media_type(call.request).empty()) {
      CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
      CO_TRY(old_objects, read_move_confirmation(body));
    }
    tenancy::Actor actor = subject.actor;
    CO_TRY(const Uuid id,
           co_await moves_.confirm(subject.tenant, old_objects, std::move(actor), call.options));
    co_return co_await answer_accepted(subject, id, call.options);
  }

  Reply remove(Call& call, const Subject& subject) const {
    tenancy::Actor actor = subject.actor;
    CO_TRY_DO(co_await configs_.remove(subject.tenant, std::move(actor), call.options));
    co_return net::HttpResponse(204);
  }

 private:
  Reply answer(const Subject& subject, const objects::StorageView& view, CallOptions options) const {
    CO_TRY(const auto move, co_await moves_.view(subject.tenant, options));
    co_return json_response(200, storage_document(view, move));
  }

  // The platform may look at operations; a tenant sees in its storage how far it is.
  Reply answer_accepted(const Subject& subject, Uuid id, CallOptions options) const {
    CO_TRY(const auto operation, co_await operations_.get(id, options));
    if (subject.asks == Subject::Asks::tenant) co_return json_response(202, begun_document(operation));
    json::Value document;
    document.set("operation", operation_document(operation));
    net::HttpResponse response = json_response(202, document);
    response.headers.emplace_back("Location", "/v1/operations/" + id.to_string());
    co_return response;
  }

  objects::StorageConfigs& configs_;
  objects::StorageMoves& moves_;
  operations::Engine& operations_;
  tenancy::TenantService& tenants_;
};

using Routes = std::shared_ptr<StorageRoutes>;

struct Names {
  const char* own_id;
  const char* platform_id;
  const char* title;
};

// Twice: below /v1 for the caller's own tenant, below /v1/tenants/{tenant} for the platform.
void add_both(Router& router, const Routes& routes, net::Method method, const std::string& path, Guard own,
              Guard platform, Names names, StorageRoutes::Handler handler,
              const std::function<RouteInfo(RouteInfo)>& describe) {
  router.add(describe(RouteInfo(method, "/v1" + path, own, names.own_id, names.title).in("Storage")),
             TenantHandler([routes, handler](Call& call, const TenantContext& context) {
               return routes->on_own_tenant(handler, call, context);
             }));
  const std::string title = std::string(names.title) + ", of any tenant";
  router.add(
      describe(
          RouteInfo(method, "/v1/tenants/{tenant}" + path, platform, names.platform_id, title).in("Storage")),
      PlatformHandler([routes, handler](Call& call, const PlatformContext& context) {
        return routes->on_any_tenant(handler, call, context);
      }));
}

class EncryptionKeyRoutes {
 public:
  EncryptionKeyRoutes(const Dependencies& dependencies, const ApiOptions& options)
      : rotation_(dependencies.key_rotation), trail_(dependencies.trail), options_(options) {}

  Reply list(Call& call, const PlatformContext&) const {
    CO_TRY(const auto status, co_await rotation_.status(call.options));
    co_return json_response(200, encryption_keys_document(status));
  }

  Reply rotate(Call& call, const PlatformContext& context) const {
    auto data_keys = secrets::KeyRotation::DataKeys::keep;
    if (!media_type(call.request).empty()) {
      CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
      CO_TRY(data_keys, read_encryption_key_rotation(body));
    }
    const tenancy::Actor actor = acting(call, context.principal());
    call.options.deadline = deadline_in(options_.long_request_timeout);
    CO_TRY(const auto report, co_await rotation_.rotate(data_keys, call.options));
    CO_TRY(const auto status, co_await rotation_.status(call.options));
    json::Value document = rotation_document(report, status);
    audit::Change change(actor.name, "encryption_key.rotated");
    change.object_type = "encryption_key";
    change.object_id = status.keys.front().fingerprint;
    change.address = actor.address;
    json::Value counts;
    for (const char* name : {"rewrapped", "renewed", "resealed"}) counts.set(name, *document.find(name));
    change.new_json = json::serialize(counts);
    CO_TRY_DO(co_await trail_.record_change(std::move(change), call.options));
    co_return json_response(200, document);
  }

 private:
  secrets::KeyRotation& rotation_;
  audit::Trail& trail_;
  const ApiOptions& options_;
};

void add_encryption_key_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options) {
  using net::Method;
  const auto routes = std::make_shared<EncryptionKeyRoutes>(dependencies, options);
  router.add(
      RouteInfo(Method::get, "/v1/platform/encryption-keys", Guard::platform("platform:read"),
                "listEncryptionKeys", "List the keys that tenants' secrets are under")
          .in("Server")
          .about("Fingerprints of the wrapping keys, and how many data keys are wrapped with each. A key "
                 "that nothing is wrapped with can be taken out of the configuration.")
          .returns(200, ref("EncryptionKeyList")),
      PlatformHandler(
          [routes](Call& call, const PlatformContext& context) { return routes->list(call, context); }));
  router.add(
      RouteInfo(Method::post, "/v1/platform/encryption-keys/rotate",
                Guard::platform("encryption-keys:manage"), "rotateEncryptionKey",
                "Bring tenants' secrets under the current wrapping key")
          .in("Server")
          .about("Wraps every data key with the key that is configured now, in batches; every secret is "
                 "readable meanwhile. Cut off anywhere, it goes on when it is asked for again.")
          .takes(ref("EncryptionKeyRotate"))
          .returns(200, ref("EncryptionKeyRotation")),
      PlatformHandler(
          [routes](Call& call, const PlatformContext& context) { return routes->rotate(call, context); }));
}

bool is_of_platform(const RouteInfo& info) { return info.path.find("{tenant}") != std::string::npos; }

void add_move_routes(Router& router, const Routes& routes) {
  using net::Method;
  constexpr Guard kManage = Guard::tenant("storage:manage");
  constexpr Guard kManageAll = Guard::platform("tenants:manage");
  add_both(
      router, routes, Method::post, "/storage/move", kManage, kManageAll,
      {"moveStorage", "moveTenantStorage", "Move to another object storage"}, &StorageRoutes::move,
      [](RouteInfo info) {
        const bool platform = is_of_platform(info);
        return std::move(info)
            .about(
                "The new storage is tried as by PUT; from then on new objects go there, and an operation "
                "copies the others, which stay readable all the time. The former storage is kept until "
                "the move is confirmed. 409 while another move is not confirmed.")
            .takes(ref(platform ? "StorageMoveTo" : "StorageSet"))
            .returns(202, ref(platform ? "OperationAccepted" : "StorageMoveAccepted"));
      });
  add_both(router, routes, Method::post, "/storage/move/confirm", kManage, kManageAll,
           {"confirmStorageMove", "confirmTenantStorageMove", "Confirm a move to another object storage"},
           &StorageRoutes::confirm_move, [](RouteInfo info) {
             const bool platform = is_of_platform(info);
             return std::move(info)
                 .about(
                     "Removes the copies in the former storage, or leaves them there, and forgets its "
                     "configuration. 409 while objects are copied, or uploads in parts are open that began "
                     "before the move.")
                 .takes(ref("StorageMoveConfirm"))
                 .returns(202, ref(platform ? "OperationAccepted" : "StorageMoveAccepted"));
           });
}

}  // namespace

void add_storage_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options) {
  using net::Method;
  const auto routes = std::make_shared<StorageRoutes>(dependencies);
  constexpr Guard kRead = Guard::tenant("storage:read");
  constexpr Guard kManage = Guard::tenant("storage:manage");
  constexpr Guard kReadAll = Guard::platform("tenants:read");
  constexpr Guard kManageAll = Guard::platform("tenants:manage");
  add_both(router, routes, Method::get, "/storage", kRead, kReadAll,
           {"getStorage", "getTenantStorage", "Get the object storage"}, &StorageRoutes::show,
           [](RouteInfo info) {
             return std::move(info)
                 .about("Which members of the configuration are set; never a secret. 409 if there is none.")
                 .returns(200, ref("Storage"));
           });
  add_both(router, routes, Method::put, "/storage", kManage, kManageAll,
           {"setStorage", "setTenantStorage", "Set the object storage"}, &StorageRoutes::set,
           [](RouteInfo info) {
             return std::move(info)
                 .about(
                     "Is tried first, with a probe object, and becomes active only if that could be written, "
                     "read, listed and deleted. A bucket that another tenant uses takes a proof of control: "
                     "the answer (409) names an object to put there.")
                 .takes(ref("StorageSet"))
                 .returns(200, ref("Storage"));
           });
  add_both(
      router, routes, Method::remove, "/storage", kManage, kManageAll,
      {"removeStorage", "removeTenantStorage", "Forget the object storage"}, &StorageRoutes::remove,
      [](RouteInfo info) {
        return std::move(info)
            .about(
                "The configuration goes; what is in the bucket stays. Refused while the tenant has objects.")
            .returns(204);
      });
  add_both(router, routes, Method::post, "/storage/test", kManage, kManageAll,
           {"testStorage", "testTenantStorage", "Try the object storage"}, &StorageRoutes::test,
           [](RouteInfo info) {
             return std::move(info)
                 .about("Writes, reads, lists and deletes a probe object, and stores what became of it.")
                 .returns(200, ref("Storage"));
           });
  add_move_routes(router, routes);
  add_encryption_key_routes(router, dependencies, options);
}

}  // namespace rowhouse::http
