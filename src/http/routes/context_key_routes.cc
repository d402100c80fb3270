#include <algorithm>

#include "http/routes/routes.h"
#include "http/schemas.h"
#include "tenancy/context_rotation.h"

namespace rowhouse::http {
namespace {

using identity::PlatformContext;

constexpr std::size_t kMaxNamesBehind = 100;
constexpr std::string_view kRetireNow = "retire_now";

json::Value text_or_null(const std::string& text) { return text.empty() ? json::Value() : json::Value(text); }

json::Value list_document(const tenancy::ContextStatus& status) {
  json::Array data, behind;
  for (const auto& key : status.generations) {
    json::Value entry;
    entry.set("generation", key.generation);
    entry.set("state", key.state);
    entry.set("created_at", key.created_at);
    entry.set("activated_at", text_or_null(key.activated_at));
    entry.set("retire_at", text_or_null(key.retire_at));
    entry.set("retired_at", text_or_null(key.retired_at));
    data.push_back(std::move(entry));
  }
  const std::size_t shown = std::min(status.behind.size(), kMaxNamesBehind);
  for (std::size_t i = 0; i < shown; ++i) behind.emplace_back(status.behind[i]);
  json::Value document;
  document.set("implementation", status.implementation);
  document.set("reason", status.reason);
  document.set("databases", status.databases);
  document.set("behind", std::move(behind));
  document.set("data", std::move(data));
  return document;
}

Result<tenancy::ContextRotation::Retire> read_rotation(const json::Value& body) {
  using Retire = tenancy::ContextRotation::Retire;
  const json::Object* members = body.as_object();
  if (members == nullptr) {
    return Error(ErrorCode::validation_failed, "the body must be an object")
        .with_field("", "must be an object");
  }
  Retire retire = Retire::after_grace;
  for (const auto& [name, value] : *members) {
    const bool* flag = value.as_bool();
    if (name != kRetireNow || flag == nullptr) {
      const std::string what =
          name == kRetireNow ? "must be true or false" : "is not a member of this object";
      return Error(ErrorCode::validation_failed, "the content is not valid").with_field("/" + name, what);
    }
    if (*flag) retire = Retire::at_once;
  }
  return retire;
}

class ContextKeyRoutes {
 public:
  ContextKeyRoutes(const Dependencies& dependencies, const ApiOptions& options)
      : rotation_(dependencies.context_rotation), options_(options) {}

  Reply list(Call& call, const PlatformContext&) const { return answer(call, 200); }

  Reply rotate(Call& call, const PlatformContext& context) const {
    auto retire = tenancy::ContextRotation::Retire::after_grace;
    if (!media_type(call.request).empty()) {
      CO_TRY(const json::Value body, co_await read_json(call.request, options_.max_json_bytes));
      CO_TRY(retire, read_rotation(body));
    }
    const std::string_view peer = call.request.peer;
    tenancy::Actor actor(context.principal().name, std::string(peer.substr(0, peer.rfind(':'))));
    call.options.deadline = deadline_in(options_.long_request_timeout);
    CO_TRY_DO(co_await rotation_.rotate(retire, std::move(actor), call.options));
    co_return co_await answer(call, 201);
  }

 private:
  Reply answer(Call& call, int http_status) const {
    CO_TRY(const auto status, co_await rotation_.status(call.options));
    co_return json_response(http_status, list_document(status));
  }

  tenancy::ContextRotation& rotation_;
  const ApiOptions& options_;
};

}  // namespace

void add_context_key_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options) {
  using net::Method;
  // Shared by the handlers below, which live as long as the router.
  const auto routes = std::make_shared<ContextKeyRoutes>(dependencies, options);
  router.add(
      RouteInfo(Method::get, "/v1/context-keys", Guard::platform("platform:read"), "listContextKeys",
                "List the keys of tenant contexts")
          .in("Server")
          .about("Generations of the key that tenant contexts are signed with, and which databases still "
                 "lack the current ones.")
          .returns(200, ref("ContextKeyList")),
      PlatformHandler(
          [routes](Call& call, const PlatformContext& context) { return routes->list(call, context); }));
  router.add(
      RouteInfo(Method::post, "/v1/context-keys", Guard::platform("context-keys:manage"), "rotateContextKey",
                "Rotate the key of tenant contexts")
          .in("Server")
          .about("Adds a key to every database, then signs with it; the key before is accepted until its "
                 "grace is over, and then retired by itself. No request fails. Refused (409) while an "
                 "earlier rotation is not over. With retire_now every older key is refused within seconds.")
          .takes(ref("ContextKeyRotation"))
          .returns(201, ref("ContextKeyList")),
      PlatformHandler(
          [routes](Call& call, const PlatformContext& context) { return routes->rotate(call, context); }));
}

}  // namespace rowhouse::http
