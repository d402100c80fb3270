#include <map>

#include "http/openapi.h"
#include "http/routes/routes.h"
#include "http/schemas.h"
#include "http/static_files.h"

namespace rowhouse::http {
namespace {

using identity::PlatformContext;

class OpenRoutes {
 public:
  OpenRoutes(const Router& router, const Dependencies& dependencies, const ApiOptions& options)
      : router_(router), dependencies_(dependencies), options_(options) {}

  // The process lives.
  Reply health(Call&) const {
    json::Value document;
    document.set("status", "ok");
    co_return json_response(200, document);
  }

  // Requests can be served: the database answers.
  Reply ready(Call&) const {
    if (!dependencies_.database_ready()) {
      co_return Error(ErrorCode::database_unavailable, "the database is being restarted");
    }
    json::Value document;
    document.set("status", "ready");
    co_return json_response(200, document);
  }

  Reply openapi(Call& call) const {
    CO_TRY(const auto parameters, read_query(call.request, {"pack"}));
    const std::string pack = parameters.empty() ? "" : parameters.front().second;
    if (!pack.empty() && !dependencies_.registry.find_pack(pack)) {
      co_return Error(ErrorCode::not_found, "there is no pack \"" + pack + "\"");
    }
    net::HttpResponse response(200);
    response.headers.emplace_back("Content-Type", "application/json");
    response.body = document_for(pack);
    co_return response;
  }

  Reply page(Call&) const { co_return static_file("docs.html"); }
  // Every page has its own files beside it.
  Reply asset(Call& call) const {
    const std::string& name = call.parameters[0];
    if (!name.starts_with("docs.")) co_return Error(ErrorCode::unknown_route, "there is no such page");
    co_return static_file(name);
  }

  Reply status(Call& call, const PlatformContext&) const {
    CO_TRY(const auto platform, co_await dependencies_.tenants.status(call.options));
    CO_TRY(const auto lint, co_await dependencies_.linter.last(call.options));
    CO_TRY(const auto contexts, co_await dependencies_.context_rotation.status(call.options));
    json::Value document = status_document(platform);
    document.set("context", context_document(contexts));
    document.set("lint", lint.has_value() ? lint_document(*lint) : json::Value());
    CO_TRY(const auto verified, co_await dependencies_.verifications.latest(call.options));
    document.set("verification", verified.has_value() ? verification_document(*verified) : json::Value());
    co_return json_response(200, document);
  }

 private:
  // The text is made once for each pack filter and set of packs: it takes milliseconds, and anybody may ask.
  const std::string& document_for(const std::string& pack) const {
    auto packs = dependencies_.registry.packs();
    if (packs != documented_packs_) {
      documents_.clear();
      documented_packs_ = std::move(packs);
    }
    const auto [entry, is_new] = documents_.try_emplace(pack);
    if (is_new) {
      std::vector<RouteInfo> infos;
      for (const Route& route : router_.routes()) infos.push_back(route.info);
      entry->second = json::serialize(build_openapi(infos, documented_packs_, pack, options_.version));
    }
    return entry->second;
  }

  json::Value status_document(const tenancy::PlatformStatus& platform) const {
    json::Array by, databases;
    std::int64_t total = 0;
    for (const auto& count : platform.counts) {
      total += count.tenants;
      json::Value entry;
      entry.set("pack", count.pack);
      entry.set("plan", count.plan);
      entry.set("tier", count.tier);
      entry.set("status", count.status);
      entry.set("tenants", count.tenants);
      by.push_back(std::move(entry));
    }
    for (const auto& [name, bytes] : platform.databases) {
      json::Value entry;
      entry.set("name", name);
      entry.set("bytes", bytes);
      databases.push_back(std::move(entry));
    }
    json::Value tenants, connections, document;
    tenants.set("total", total);
    tenants.set("by", std::move(by));
    connections.set("used", platform.connections);
    connections.set("max", platform.max_connections);
    document.set("version", options_.version);
    document.set("postgresql", platform.server_version);
    document.set("tenants", std::move(tenants));
    document.set("databases", std::move(databases));
    document.set("connections", std::move(connections));
    document.set("node", node_document());
    return document;
  }

  static json::Value context_document(const tenancy::ContextStatus& contexts) {
    const auto* signing = contexts.signing();
    json::Value document;
    document.set("implementation", contexts.implementation);
    document.set("generation", signing == nullptr ? json::Value() : json::Value(signing->generation));
    document.set("since", signing == nullptr ? json::Value() : json::Value(signing->activated_at));
    document.set("databases_behind", static_cast<std::int64_t>(contexts.behind.size()));
    return document;
  }

  static json::Value verification_document(const verify::Store::Latest& latest) {
    json::Value document;
    document.set("id", latest.run.id);
    document.set("result", latest.run.result);
    document.set("started_at", latest.run.started_at);
    document.set("age_seconds", latest.age_seconds);
    document.set("surfaces", latest.run.surfaces);
    document.set("uncovered", latest.run.uncovered);
    document.set("findings", latest.run.findings);
    return document;
  }

  static json::Value lint_document(const tenancy::LintSummary& lint) {
    json::Value document;
    document.set("finished_at", lint.finished_at);
    document.set("errors", lint.errors);
    document.set("warnings", lint.warnings);
    document.set("databases", lint.databases);
    document.set("schemas", lint.schemas);
    document.set("duration_ms", lint.duration_ms);
    return document;
  }

  json::Value node_document() const {
    const NodeStatus node = dependencies_.node_status();
    const session::TenantDatabaseStats pools = dependencies_.database.stats();
    json::Value document;
    document.set("workers", static_cast<std::int64_t>(node.workers));
    document.set("uptime_seconds", node.uptime_seconds);
    document.set("requests", static_cast<std::int64_t>(node.requests));
    document.set("pools", static_cast<std::int64_t>(pools.pools));
    document.set("open_connections", static_cast<std::int64_t>(pools.open_connections));
    document.set("busy_connections", static_cast<std::int64_t>(pools.busy_connections));
    document.set("waiting", static_cast<std::int64_t>(pools.waiting));
    return document;
  }

  const Router& router_;
  Dependencies dependencies_;
  const ApiOptions& options_;
  mutable std::vector<std::shared_ptr<const tenancy::Pack>> documented_packs_;
  mutable std::map<std::string, std::string> documents_;
};

}  // namespace

void add_open_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options) {
  using net::Method;
  // Shared by the handlers below, which live as long as the router.
  const auto routes = std::make_shared<OpenRoutes>(router, dependencies, options);
  const auto on = [&](const char* path, const char* id, const char* title, const char* tag, auto member,
                      json::Value schema, const char* type) {
    router.add(RouteInfo(Method::get, path, Guard::open(), id, title)
                   .in(tag)
                   .returns(200, std::move(schema))
                   .response_type(type),
               OpenHandler([routes, member](Call& call) { return ((*routes).*member)(call); }));
  };
  const json::Value text = json::Object{{"type", "string"}};
  const json::Value object = json::Object{{"type", "object"}};
  on("/healthz", "getHealth", "Is the process alive?", "Server", &OpenRoutes::health, object,
     "application/json");
  on("/readyz", "getReadiness", "Can requests be served?", "Server", &OpenRoutes::ready, object,
     "application/json");
  on("/docs", "getReferencePage", "This reference, for a browser", "Server", &OpenRoutes::page, text,
     "text/html");
  on("/docs/{asset}", "getReferenceAsset", "Script and style of the reference page", "Server",
     &OpenRoutes::asset, text, "*/*");
  router.add(RouteInfo(Method::get, "/openapi.json", Guard::open(), "getOpenApi", "This document")
                 .in("Server")
                 .query("pack", "Only the resources of this pack", text)
                 .returns(200, object),
             OpenHandler([routes](Call& call) { return routes->openapi(call); }));
  router.add(RouteInfo(Method::get, "/v1/status", Guard::platform("platform:read"), "getStatus",
                       "The platform at a glance")
                 .in("Server")
                 .returns(200, ref("Status")),
             PlatformHandler([routes](Call& call, const PlatformContext& context) {
               return routes->status(call, context);
             }));
}

}  // namespace rowhouse::http
