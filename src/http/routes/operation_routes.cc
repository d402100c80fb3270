#include "base/text.h"
#include "http/documents.h"
#include "http/operation_events.h"
#include "http/routes/routes.h"
#include "http/schemas.h"

namespace rowhouse::http {
namespace {

using identity::PlatformContext;
using operations::Engine;
using operations::Operation;

Result<Uuid> read_operation_id(const Call& call) {
  const auto id = Uuid::parse(call.parameters[0]);
  if (!id) return Error(ErrorCode::not_found, "there is no such operation");
  return *id;
}

class OperationRoutes {
 public:
  OperationRoutes(const Dependencies& dependencies, const ApiOptions& options)
      : executor_(dependencies.executor),
        engine_(dependencies.operations),
        tenants_(dependencies.tenants),
        options_(options),
        watchers_(options.max_watchers) {}

  Reply list(Call& call, const PlatformContext&) {
    CO_TRY(const auto parameters, read_query(call.request, {"status", "kind", "tenant", "limit", "cursor"}));
    operations::OperationFilter filter;
    std::string tenant;
    for (const auto& [name, value] : parameters) {
      if (name == "kind") filter.kind = value;
      if (name == "cursor") filter.cursor = value;
      if (name == "tenant") tenant = value;
      if (name == "status" && !(filter.status = operations::parse_operation_status(value))) {
        co_return Error(
            ErrorCode::invalid_parameter,
            "status must be pending, running, paused, undoing, succeeded, undone, cancelled or failed");
      }
      if (name == "limit") {
        CO_TRY(filter.limit, read_limit(value));
      }
    }
    if (!tenant.empty()) {
      // By id also when the tenant is gone; a slug belongs to those that are there.
      filter.tenant = Uuid::parse(tenant);
      if (!filter.tenant) {
        CO_TRY(const auto found, co_await tenants_.get(tenant, call.options));
        filter.tenant = found->id;
      }
    }
    CO_TRY(const auto page, co_await engine_.list(std::move(filter), call.options));
    json::Array data;
    for (const Operation& operation : page.operations) data.push_back(operation_document(operation));
    json::Value document;
    document.set("data", std::move(data));
    document.set("next_cursor", page.next_cursor.empty() ? json::Value() : json::Value(page.next_cursor));
    co_return json_response(200, document);
  }

  Reply get(Call& call, const PlatformContext&) {
    CO_TRY(const Uuid id, read_operation_id(call));
    CO_TRY(const Operation operation, co_await engine_.get(id, call.options));
    co_return json_response(200, operation_document(operation));
  }

  Reply events(Call& call, const PlatformContext&) {
    CO_TRY(const Uuid id, read_operation_id(call));
    auto seat = watchers_.take();
    if (seat == nullptr) {
      co_return Error(ErrorCode::overloaded,
                      "too many clients watch operations; ask for the operation instead");
    }
    OperationEventsOptions watching;
    watching.until = deadline_in(options_.long_request_timeout);
    watching.query_timeout = options_.request_timeout;
    watching.seen_revision = parse_int64(call.request.header("Last-Event-ID").value_or("")).value_or(-1);
    watching.gone = call.request.cancel;
    watching.closing = call.request.closing;
    net::HttpResponse response(200);
    response.headers.emplace_back("Content-Type", "text/event-stream");
    response.headers.emplace_back("Cache-Control", "no-store");
    response.headers.emplace_back("X-Accel-Buffering", "no");  // of proxies that collect before they pass on
    response.stream = watch_operation(executor_, engine_, id, watching, std::move(seat));
    co_return response;
  }

  using Change = Task<Result<Operation>> (Engine::*)(Uuid, std::string, CallOptions);
  Reply change(Change verb, Call& call, const PlatformContext& context) {
    CO_TRY(const Uuid id, read_operation_id(call));
    std::string actor = context.principal().name;
    CO_TRY(const Operation operation, co_await (engine_.*verb)(id, std::move(actor), call.options));
    co_return json_response(200, operation_document(operation));
  }

 private:
  net::Executor& executor_;
  Engine& engine_;
  tenancy::TenantService& tenants_;
  const ApiOptions& options_;
  WatcherCount watchers_;
};

RouteInfo info(net::Method method, const char* path, Guard guard, const char* id, const char* title) {
  return RouteInfo(method, path, guard, id, title).in("Operations");
}

}  // namespace

void add_operation_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options) {
  using net::Method;
  // Shared by the handlers below, which live as long as the router.
  const auto routes = std::make_shared<OperationRoutes>(dependencies, options);
  const auto on = [&](RouteInfo row, auto member) {
    router.add(std::move(row), PlatformHandler([routes, member](Call& call, const PlatformContext& context) {
                 return ((*routes).*member)(call, context);
               }));
  };
  const auto on_change = [&](RouteInfo row, OperationRoutes::Change change) {
    router.add(std::move(row).returns(200, ref("Operation")),
               PlatformHandler([routes, change](Call& call, const PlatformContext& context) {
                 return routes->change(change, call, context);
               }));
  };
  const json::Value text = json::Object{{"type", "string"}};
  on(info(Method::get, "/v1/operations", Guard::platform("operations:read"), "listOperations",
          "List operations, newest first")
         .query("status", "Only those with this status", ref("OperationStatus"))
         .query("kind", "Only those of this kind, such as tenant.create", text)
         .query("tenant", "Only those of this tenant: its id, or its slug while it is there", text)
         .query("limit", "Operations on a page, 1 to 500", json::Object{{"type", "integer"}, {"default", 50}})
         .query("cursor", "next_cursor of the page before", text)
         .returns(200, ref("OperationPage")),
     &OperationRoutes::list);
  on(info(Method::get, "/v1/operations/{operation}", Guard::platform("operations:read"), "getOperation",
          "Get an operation with its steps")
         .returns(200, ref("Operation")),
     &OperationRoutes::get);
  on(info(Method::get, "/v1/operations/{operation}/events", Guard::platform("operations:read"),
          "watchOperation", "Watch an operation")
         .about("Server-sent events: the operation as JSON whenever it has changed, with its revision as id; "
                "at the end an "
                "event named `end`. A stream that ends without it is asked for again.")
         .header("Last-Event-ID", "Revision that the client has seen already")
         .returns(200, text)
         .response_type("text/event-stream"),
     &OperationRoutes::events);
  on_change(info(Method::post, "/v1/operations/{operation}/cancel", Guard::platform("operations:manage"),
                 "cancelOperation", "Cancel an operation")
                .about("What it has done is taken back. 409 if it has ended, or if there is no way back (a "
                       "deletion)."),
            &Engine::cancel);
  on_change(info(Method::post, "/v1/operations/{operation}/pause", Guard::platform("operations:manage"),
                 "pauseOperation", "Stop an operation where it can go on later"),
            &Engine::pause);
  on_change(info(Method::post, "/v1/operations/{operation}/resume", Guard::platform("operations:manage"),
                 "resumeOperation", "Go on with a paused operation"),
            &Engine::resume);
  on_change(info(Method::post, "/v1/operations/{operation}/retry", Guard::platform("operations:manage"),
                 "retryOperation", "Try again, at once, what has failed or waits for its next attempt")
                .about("It goes on where it stopped."),
            &Engine::retry);
}

}  // namespace rowhouse::http
