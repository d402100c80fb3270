// The HTTP API: route → authenticate → handler → response. One per worker.
//
//   handle(): find the route (404, 405) · authenticate by its audience (401, 403) · run the handler · render
//   its error
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "audit/trail.h"
#include "base/task.h"
#include "data/data_service.h"
#include "http/problem.h"
#include "http/router.h"
#include "identity/authenticator.h"
#include "net/http_message.h"
#include "observe/log.h"
#include "session/tenant_database.h"
#include "tenancy/packs.h"
#include "tenancy/registry.h"
#include "tenancy/tenants.h"

namespace rowhouse::http {

struct ApiOptions {
  std::chrono::milliseconds request_timeout{30'000};
  // For routes that stream: import, export, installing a pack, deleting a tenant.
  std::chrono::milliseconds long_request_timeout{3'600'000};
  std::uint64_t max_json_bytes = 8U << 20;
  std::uint64_t max_pack_bytes = 128U << 20;
  std::uint64_t max_import_bytes = std::uint64_t{16} << 30;
  std::string version;  // of the binary
};

struct NodeStatus {
  std::size_t workers = 0;
  std::uint64_t requests = 0;
  std::int64_t uptime_seconds = 0;
};

struct Dependencies {
  observe::Log& log;
  audit::Trail& trail;
  identity::Authenticator& authenticator;
  data::DataService& data;
  tenancy::TenantService& tenants;
  tenancy::PackStore& packs;
  tenancy::Registry& registry;
  session::TenantDatabase& database;
  // Is the database there? When not, requests that need it are answered 503 at once.
  std::function<bool()> database_ready;
  std::function<NodeStatus()> node_status;
  // Tells every worker of this node to load the packs again. May be empty.
  std::function<void()> packs_changed;
};

class Api {
 public:
  Api(Dependencies dependencies, ApiOptions options);
  ~Api();
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  Task<net::HttpResponse> handle(net::HttpRequest& request);
  const Router& router() const { return router_; }

 private:
  Task<Result<net::HttpResponse>> dispatch(const Route& route, Call& call);
  Task<Result<net::HttpResponse>> run_tenant(const TenantHandler& handler, Call& call,
                                             const identity::TenantContext& context);

  Dependencies dependencies_;
  ApiOptions options_;
  Router router_;
};

}  // namespace rowhouse::http
