// One thread's share of a node: an executor and every service, wired. Nothing in it is shared with another
// worker.
//
// Made and prepared on the main thread, before run(); then everything belongs to the worker's own thread.
// post-like calls (forget_tenant, reload_packs, begin_drain) may come from any thread.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "audit/trail.h"
#include "base/clock.h"
#include "data/data_service.h"
#include "http/api.h"
#include "identity/access_directory.h"
#include "identity/authenticator.h"
#include "identity/browser_cookies.h"
#include "identity/external_tokens.h"
#include "identity/invitations.h"
#include "identity/links.h"
#include "identity/mail_queue.h"
#include "identity/outbox.h"
#include "identity/passwords.h"
#include "identity/second_factors.h"
#include "identity/sessions.h"
#include "identity/signing_keys.h"
#include "identity/sso.h"
#include "identity/users.h"
#include "net/blocking_work.h"
#include "net/executor.h"
#include "net/http_fetch.h"
#include "net/http_server.h"
#include "net/http_transfer.h"
#include "objects/object_links.h"
#include "objects/object_service.h"
#include "objects/object_sweeper.h"
#include "objects/provisioned_stores.h"
#include "objects/storage_configs.h"
#include "objects/storage_limit.h"
#include "objects/storage_moves.h"
#include "objects/store_quotas.h"
#include "observe/log.h"
#include "operations/engine.h"
#include "pg/listener.h"
#include "pg/pool.h"
#include "platform/config.h"
#include "platform/context_upkeep.h"
#include "platform/hooks.h"
#include "platform/storage_settings.h"
#include "secrets/rotation.h"
#include "secrets/tenant_secrets.h"
#include "session/tenant_database.h"
#include "storage/admin.h"
#include "storage/open.h"
#include "tenancy/cluster.h"
#include "tenancy/context_guard.h"
#include "tenancy/context_keys.h"
#include "tenancy/context_rotation.h"
#include "tenancy/lint.h"
#include "tenancy/pack_upgrade.h"
#include "tenancy/packs.h"
#include "tenancy/registry.h"
#include "tenancy/tenants.h"
#include "tenancy/upgrade_catch_up.h"
#include "verify/runner.h"
#include "verify/store.h"

namespace rowhouse::platform {

// What the workers of one node share. Outlives them.
struct NodeContext {
  const Config& config;
  pg::ConnectionParameters administrator;
  tenancy::Credentials credentials;
  observe::Log& log;
  const Clock& clock;
  const Hooks& hooks;
  identity::Passwords& passwords;
  net::BlockingWork& background;     // network work that blocks: mail
  net::BlockingWork& provider_work;  // the same with identity providers of tenants
  net::BlockingWork& storage_work;   // NFS, SMB and directories
  const StorageSetup& storage;
  const secrets::WrappingKeys& wrapping_keys;
  identity::MailOptions mail;
  std::function<bool()> database_ready;                                 // any thread
  std::function<void(std::size_t worker, const Uuid&)> tenant_changed;  // tells the other workers
  std::function<void(std::size_t worker)> packs_changed;                // the same
  std::function<void(std::size_t worker, const Uuid&)> access_changed;  // the same
  std::function<void(const std::string& payload)> operation_noticed;    // tells every worker
  std::function<void()> mail_queued;                                    // tells the worker that sends
  std::function<bool(verify::Runner::Job)> run_verification;            // any thread
  std::atomic<std::uint64_t> requests{0};
  std::array<std::atomic<std::uint64_t>, 5> requests_by_class{};  // of status: 1xx, 2xx, …
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
};

class Worker {
 public:
  Worker(NodeContext& node, std::size_t index);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // ---- on the main thread, before run()
  // Loads the registry. The databases and packs must be there.
  Task<Result<void>> prepare(CallOptions options);
  // Begins to work on durable operations; after prepare(). One worker of each node adopts those that nobody
  // works on. `leases`: those of before may be taken from whoever held them, because this node is the only
  // one.
  enum class OldLeases { release, respect };
  Task<Result<void>> start_operations(OldLeases leases, CallOptions options);
  // After packs were installed: the registry, once more.
  Task<Result<void>> load_packs(CallOptions options);
  // Binds the port (0: the system picks one) and starts to accept.
  Result<std::uint16_t> listen(std::uint16_t port);
  // For a worker that never runs: closes what prepare() opened.
  Task<void> stop_services();

  // ---- on the worker's thread
  void run();  // until a drain has ended

  // ---- from any thread
  // Stops accepting, lets requests end until the deadline, then ends run(). A second call may bring the
  // deadline forward.
  void begin_drain(Deadline deadline);
  void forget_tenant(const Uuid& tenant);
  void forget_access(const Uuid& subject);  // a user, session or tenant; see AccessDirectory
  void reload_packs();
  void notice_operation(const std::string& payload);
  void hurry_mail();

  net::Executor& executor() { return executor_; }
  const tenancy::Cluster& cluster() const { return cluster_; }
  tenancy::ContextGuard& guard() { return guard_; }
  tenancy::PackUpgrades& upgrades() { return upgrades_; }
  tenancy::TenantService& tenants() { return tenants_; }

 private:
  void wire_tenants();
  void wire_storage();
  void wire_identity();
  void listen_for_operations();
  // The first admin of a tenant that is being made; see TenantService::wire_welcome().
  Task<Result<void>> welcome(std::shared_ptr<const tenancy::Tenant> tenant, std::string email,
                             std::string token, tenancy::Actor actor, CallOptions options);
  Task<Result<void>> remove_people(Uuid tenant, tenancy::Actor actor, CallOptions options);
  Task<Result<bool>> has_objects(Uuid tenant, CallOptions options);
  Task<Result<identity::TenantContext>> tidy_context(Uuid tenant, CallOptions options);
  Task<Result<std::shared_ptr<const tenancy::Tenant>>> tenant_of(Uuid tenant, CallOptions options);
  Task<Result<void>> make_store(std::shared_ptr<const tenancy::Tenant> tenant, CallOptions options);
  objects::StorageMoves::Parts move_parts();
  // What stores of tenants' own are opened with, and those that were made for them.
  storage::StoreTools store_tools();
  storage::StoreTools own_store_tools();
  Task<Result<std::size_t>> load_samples(std::shared_ptr<const tenancy::Tenant> tenant,
                                         const std::vector<tenancy::SampleData>& samples,
                                         CallOptions options);
  http::Dependencies dependencies();
  void count(const net::AccessRecord& record);
  void write_access(const net::AccessRecord& record);
  Task<void> drain(Deadline deadline);
  Task<void> drain_and_end(Deadline deadline);
  Task<void> reload_packs_now();

  NodeContext& node_;
  std::size_t index_;
  net::Executor executor_;
  tenancy::Cluster cluster_;
  pg::Pool platform_pool_;
  net::HttpTransfers transfers_;
  net::HttpTransfers own_transfers_;  // to the platform's own object storage
  secrets::TenantSecrets tenant_secrets_;
  std::unique_ptr<storage::ObjectStoreAdmin> store_admin_;  // null: no storage is provisioned
  objects::ProvisionedStores provisioned_stores_;
  objects::StorageConfigs storage_configs_;
  secrets::KeyRotation key_rotation_;
  std::unique_ptr<operations::Observer> observer_;  // null in the product
  operations::Engine operations_;
  std::unique_ptr<pg::Listener> operation_notices_;  // of the first worker, for all of this process
  tenancy::ContextGuard guard_;
  tenancy::ContextKeys context_keys_;
  tenancy::ContextRotation rotation_;
  tenancy::PackStore packs_;
  tenancy::PackUpgrades upgrades_;
  tenancy::Linter linter_;
  verify::Store verifications_;
  tenancy::Registry registry_;
  audit::Trail trail_;
  pg::Pool identity_pool_;
  identity::SigningKeys signing_keys_;
  identity::Outbox outbox_;
  identity::AccessDirectory access_;
  identity::UserService users_;
  identity::MailQueue mail_;
  identity::LinkService links_;
  identity::InvitationService invitations_;
  identity::SecondFactors second_factors_;
  identity::SessionService sessions_;
  const identity::BrowserCookies cookies_;
  net::HttpFetch provider_fetch_;
  identity::ProviderService providers_;
  identity::ExternalIssuers issuers_;
  identity::ExternalUsers external_users_;
  identity::ExternalTokens external_tokens_;
  identity::SingleSignOn single_sign_on_;
  identity::Authenticator authenticator_;
  session::TenantDatabase database_;
  tenancy::TenantService tenants_;
  data::DataService data_;
  objects::ObjectService objects_;
  objects::StorageMoves storage_moves_;
  const objects::ObjectLinks object_links_;
  objects::ObjectSweeper object_sweeper_;  // of the first worker
  objects::StoreQuotas store_quotas_;      // of the first worker
  http::Api api_;
  std::unique_ptr<net::HttpServer> server_;
  ContextUpkeep upkeep_;
  tenancy::UpgradeCatchUp catch_up_;
  net::TaskGroup tasks_;
  bool draining_ = false;
};

}  // namespace rowhouse::platform
