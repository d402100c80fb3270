// The HTTP API: route → authenticate → handler → response. One per worker.
//
//   handle(): find the route (404, 405) · authenticate by its audience (401, 403) · check its guard (403) ·
//   run the handler · render its error
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>

#include "audit/trail.h"
#include "base/task.h"
#include "data/data_service.h"
#include "http/problem.h"
#include "http/router.h"
#include "identity/authenticator.h"
#include "identity/browser_cookies.h"
#include "identity/invitations.h"
#include "identity/links.h"
#include "identity/mail_queue.h"
#include "identity/second_factors.h"
#include "identity/sessions.h"
#include "identity/signing_keys.h"
#include "identity/sso.h"
#include "identity/users.h"
#include "net/executor.h"
#include "net/http_message.h"
#include "objects/object_links.h"
#include "objects/object_service.h"
#include "objects/storage_configs.h"
#include "objects/storage_moves.h"
#include "observe/log.h"
#include "operations/engine.h"
#include "secrets/rotation.h"
#include "session/tenant_database.h"
#include "tenancy/context_rotation.h"
#include "tenancy/lint.h"
#include "tenancy/pack_upgrade.h"
#include "tenancy/registry.h"
#include "tenancy/tenants.h"
#include "verify/runner.h"
#include "verify/store.h"

namespace rowhouse::http {

struct ApiOptions {
  std::chrono::milliseconds request_timeout{30'000};
  // For routes that stream: import, export, installing a pack, deleting a tenant.
  std::chrono::milliseconds long_request_timeout{3'600'000};
  std::uint64_t max_json_bytes = 8U << 20;
  std::uint64_t max_pack_bytes = 128U << 20;
  std::uint64_t max_import_bytes = std::uint64_t{16} << 30;
  std::uint64_t max_object_bytes = std::uint64_t{5} << 40;
  std::size_t max_watchers = 64;  // of operations, at the same time
  std::string version;            // of the binary
};

struct NodeStatus {
  std::size_t workers = 0;
  std::uint64_t requests = 0;
  std::array<std::uint64_t, 5> requests_by_class{};  // of status: 1xx, 2xx, …
  std::int64_t uptime_seconds = 0;
};

struct Dependencies {
  net::Executor& executor;
  observe::Log& log;
  audit::Trail& trail;
  identity::Authenticator& authenticator;
  identity::UserService& users;
  identity::SessionService& sessions;
  identity::MailQueue& mail;
  identity::LinkService& links;
  identity::InvitationService& invitations;
  identity::SecondFactors& second_factors;
  const identity::BrowserCookies& cookies;
  identity::ProviderService& providers;
  identity::SingleSignOn& single_sign_on;
  identity::SigningKeys& signing_keys;
  data::DataService& data;
  operations::Engine& operations;
  tenancy::TenantService& tenants;
  objects::StorageConfigs& storage_configs;
  objects::StorageMoves& storage_moves;
  secrets::KeyRotation& key_rotation;
  tenancy::PackUpgrades& upgrades;
  tenancy::Linter& linter;
  tenancy::Registry& registry;
  session::TenantDatabase& database;
  objects::ObjectService& objects;
  const objects::ObjectLinks& object_links;
  tenancy::ContextRotation& context_rotation;
  verify::Store& verifications;
  // Hands a run that was begun in the store to this node's runner; false if it cannot take it.
  std::function<bool(verify::Runner::Job)> run_verification;
  std::string verification_public_key;  // raw, 32 bytes
  // Told of every request whose signed context PostgreSQL did not accept; says so in the log.
  std::function<void(const Error&)> context_refused;
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
  Task<Result<net::HttpResponse>> run_tenant(Guard guard, const TenantHandler& handler, Call& call,
                                             const identity::TenantContext& context);

  Dependencies dependencies_;
  ApiOptions options_;
  Router router_;
};

}  // namespace rowhouse::http
