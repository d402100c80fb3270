#include "platform/worker.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "crypto/ed25519.h"
#include "crypto/seal.h"
#include "http/problem.h"
#include "http/security_headers.h"
#include "platform/version.h"

namespace rowhouse::platform {
namespace {

constexpr std::chrono::milliseconds kPackReloadTimeout{60'000};

pg::PoolOptions platform_pool_options(const NodeContext& node, const tenancy::Cluster& cluster) {
  pg::PoolOptions options = node.config.platform_pool;
  options.parameters = cluster.as(tenancy::kPlatformRole, tenancy::kPlatformDatabase);
  return options;
}

pg::PoolOptions identity_pool_options(const NodeContext& node, const tenancy::Cluster& cluster) {
  pg::PoolOptions options = node.config.identity_pool;
  options.parameters = cluster.as(tenancy::kPlatformRole, tenancy::kIdentityDatabase);
  return options;
}

session::TenantDatabaseOptions tenant_database_options(const NodeContext& node) {
  session::TenantDatabaseOptions options = node.config.tenant_database;
  options.host = node.administrator.host;
  options.port = node.administrator.port;
  options.sslmode = node.administrator.sslmode;
  return options;
}

http::ApiOptions api_options(const Config& config) {
  http::ApiOptions options;
  options.request_timeout = config.request_timeout;
  options.max_json_bytes = config.http.max_body_bytes;
  options.max_import_bytes = config.data.max_import_bytes;
  options.version = kVersion;
  return options;
}

// What authenticator apps show beside the account: the host that people know.
std::string second_factor_place(std::string_view issuer) {
  const std::size_t scheme = issuer.find("://");
  if (scheme == std::string_view::npos) return std::string(issuer);
  const std::string_view rest = issuer.substr(scheme + 3);
  return std::string(rest.substr(0, rest.find('/')));
}

identity::LinkOptions link_options(const Config& config) {
  identity::LinkOptions options;
  options.base_url = config.tokens.issuer;
  options.invitation_life = config.invitation_life;
  return options;
}

identity::SsoOptions sso_options(const Config& config) {
  identity::SsoOptions options;
  options.base_url = config.tokens.issuer;
  options.clock_skew = config.tokens.clock_skew;
  return options;
}

std::string verification_public_key(const tenancy::Credentials& credentials) {
  std::string seed = verify::signing_seed(credentials);
  std::string key = crypto::ed25519_public_key(seed);
  crypto::wipe(seed);
  return key;
}

objects::StorageConfigsOptions storage_options(const Config& config) {
  objects::StorageConfigsOptions options;
  for (const std::string_view root : split(config.egress.mount_roots, ',')) {
    if (!trim(root).empty()) options.limits.mount_roots.emplace_back(trim(root));
  }
  return options;
}

// Tells workers apart, also those of a process that had the same number.
std::string operation_node(std::size_t worker_index) {
  std::array<char, 65> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  constexpr std::size_t kRandomBytes = 4;
  return fmt::format("{}-{}-{}-{}", host.data(), getpid(), worker_index,
                     to_hex(crypto::random_bytes(kRandomBytes)));
}

operations::EngineOptions engine_options(const Config& config, std::size_t worker_index) {
  operations::EngineOptions options = config.operations;
  options.node = operation_node(worker_index);
  return options;
}

// One worker of each node is enough for what concerns all databases.
ContextUpkeep::Duty upkeep_duty(std::size_t worker_index) {
  return worker_index == 0 ? ContextUpkeep::Duty::keys_and_databases : ContextUpkeep::Duty::keys;
}

}  // namespace

Worker::Worker(NodeContext& node, std::size_t index)
    : node_(node),
      index_(index),
      cluster_(executor_, node.administrator, node.credentials),
      platform_pool_(executor_, platform_pool_options(node, cluster_)),
      transfers_(executor_, node.storage.egress, node.storage.transfers),
      own_transfers_(executor_, node.storage.own_egress, node.storage.transfers),
      tenant_secrets_(platform_pool_, node.wrapping_keys),
      store_admin_(open_store_admin(node.storage, own_store_tools(), node.credentials)),
      provisioned_stores_(platform_pool_, tenant_secrets_, store_admin_.get()),
      storage_configs_(platform_pool_, tenant_secrets_, store_tools(), own_store_tools(),
                       node.credentials.derive("proof of control of storage"), storage_options(node.config)),
      key_rotation_(platform_pool_, node.wrapping_keys),
      observer_(node.hooks.make_observer ? node.hooks.make_observer(executor_) : nullptr),
      operations_(
          executor_, platform_pool_, node.log,
          [this](std::string prefix, std::string own, CallOptions options) {
            return cluster_.end_sessions(std::move(prefix), std::move(own), options);
          },
          engine_options(node.config, index), observer_.get()),
      guard_(cluster_, platform_pool_),
      context_keys_(cluster_.credentials(), platform_pool_),
      rotation_(guard_, platform_pool_, node.clock, node.config.context_keys),
      packs_(cluster_, platform_pool_, guard_),
      upgrades_(cluster_, platform_pool_, guard_, packs_, operations_),
      linter_(cluster_, platform_pool_),
      verifications_(platform_pool_),
      registry_(cluster_, platform_pool_, packs_, node.config.registry),
      trail_(executor_, platform_pool_, audit::TrailOptions()),
      identity_pool_(executor_, identity_pool_options(node, cluster_)),
      signing_keys_(
          identity_pool_, [this](std::string_view purpose) { return node_.credentials.derive(purpose); },
          node.clock, node.config.tokens),
      outbox_(identity_pool_, platform_pool_),
      access_(cluster_, identity_pool_, signing_keys_, outbox_, node.clock, node.config.access),
      users_(executor_, identity_pool_, node.passwords, node.clock),
      mail_(executor_, identity_pool_, node.background, node.log, node.clock,
            node.credentials.derive("queued mail", crypto::kSealKeyBytes), node.mail),
      links_(executor_, identity_pool_, mail_, trail_, node.passwords, node.clock, link_options(node.config)),
      invitations_(executor_, identity_pool_, registry_, users_, mail_, trail_, node.passwords, node.clock,
                   link_options(node.config)),
      second_factors_(identity_pool_, node.clock, second_factor_place(node.config.tokens.issuer),
                      node.credentials.derive(identity::kSecondFactorKeyPurpose)),
      sessions_(executor_, identity_pool_, registry_, trail_, node.passwords, signing_keys_, node.clock,
                node.config.sessions),
      cookies_(node.config.tokens.issuer, node.credentials.derive(identity::kCsrfKeyPurpose)),
      provider_fetch_(executor_, node.provider_work, node.storage.egress, node.config.sso),
      providers_(identity_pool_, users_, node.clock, node.config.sso.reach,
                 node.credentials.derive(identity::kSsoKeyPurpose, crypto::kSealKeyBytes)),
      issuers_(provider_fetch_),
      external_users_(identity_pool_, users_),
      external_tokens_(providers_, issuers_, external_users_, node.clock, node.config.tokens),
      single_sign_on_(identity_pool_, registry_, trail_, providers_, issuers_, external_users_, sessions_,
                      node.clock, sso_options(node.config),
                      node.credentials.derive(identity::kSsoKeyPurpose, crypto::kSealKeyBytes)),
      authenticator_(registry_, trail_, node.clock, node.config.server.base_domain),
      database_(
          executor_, tenant_database_options(node),
          [this](const std::string& role) { return node_.credentials.password_of(role); },
          [this](const std::string& database) { return context_keys_.current(database); }),
      tenants_(cluster_, platform_pool_, packs_, registry_, operations_, node.clock),
      data_(database_, node.credentials.derive("data cursor"), node.config.data),
      objects_(executor_, database_, storage_configs_, node.log, node.clock),
      storage_moves_(move_parts()),
      object_links_(node.config.tokens.issuer, node.credentials.derive(objects::kLinkKeyPurpose)),
      object_sweeper_(executor_, platform_pool_, objects_.writes(), node.log,
                      [this](Uuid tenant, CallOptions options) { return tidy_context(tenant, options); }),
      store_quotas_(executor_, platform_pool_, store_admin_.get(), node.log,
                    [this](Uuid tenant, CallOptions options) { return tenant_of(tenant, options); }),
      api_(dependencies(), api_options(node.config)),
      upkeep_(executor_, context_keys_, rotation_, node.log, upkeep_duty(index)),
      catch_up_(executor_, upgrades_, node.log) {
  wire_tenants();
  wire_storage();
  wire_identity();
  registry_.on_context_keys([this] { upkeep_.keys_changed(); });
}

Worker::~Worker() = default;

http::Dependencies Worker::dependencies() {
  return http::Dependencies{
      .executor = executor_,
      .log = node_.log,
      .trail = trail_,
      .authenticator = authenticator_,
      .users = users_,
      .sessions = sessions_,
      .mail = mail_,
      .links = links_,
      .invitations = invitations_,
      .second_factors = second_factors_,
      .cookies = cookies_,
      .providers = providers_,
      .single_sign_on = single_sign_on_,
      .signing_keys = signing_keys_,
      .data = data_,
      .operations = operations_,
      .tenants = tenants_,
      .storage_configs = storage_configs_,
      .storage_moves = storage_moves_,
      .key_rotation = key_rotation_,
      .upgrades = upgrades_,
      .linter = linter_,
      .registry = registry_,
      .database = database_,
      .objects = objects_,
      .object_links = object_links_,
      .context_rotation = rotation_,
      .verifications = verifications_,
      .run_verification = node_.run_verification,
      .verification_public_key = verification_public_key(node_.credentials),
      .context_refused = [this](const Error& error) { upkeep_.refused(error); },
      .database_ready = node_.database_ready,
      .node_status =
          [this] {
            const auto up = std::chrono::steady_clock::now() - node_.started;
            http::NodeStatus status;
            status.workers = node_.config.server.workers;
            status.requests = node_.requests.load(std::memory_order_relaxed);
            for (std::size_t i = 0; i < status.requests_by_class.size(); ++i) {
              status.requests_by_class[i] = node_.requests_by_class[i].load(std::memory_order_relaxed);
            }
            status.uptime_seconds = std::chrono::duration_cast<std::chrono::seconds>(up).count();
            return status;
          },
      .packs_changed = [this] { node_.packs_changed(index_); }};
}

// A change is known to this worker at once and to the others on their next turn; other nodes hear of it by
// NOTIFY.
void Worker::wire_tenants() {
  tenants_.wire(
      [this](const Uuid& tenant) {
        registry_.forget_tenant(tenant);
        node_.tenant_changed(index_, tenant);
      },
      [this](std::shared_ptr<const tenancy::Tenant> tenant, const std::vector<tenancy::SampleData>& samples,
             CallOptions options) { return load_samples(std::move(tenant), samples, options); },
      [this](const std::string& database) { database_.close_dedicated(database); });
  tenancy::TenantService::MakeStore make;
  if (provisioned_stores_.available()) {
    make = [this](std::shared_ptr<const tenancy::Tenant> tenant, CallOptions options) {
      return make_store(std::move(tenant), options);
    };
  }
  tenants_.wire_stores(std::move(make), [this](Uuid tenant, CallOptions options) {
    return provisioned_stores_.remove(tenant, options);
  });
}

void Worker::wire_storage() {
  // The registry tells storage_configs_, here and on the other workers and nodes.
  registry_.on_forgotten([this](const Uuid* tenant) {
    if (index_ == 0) store_quotas_.changed(tenant);
    if (tenant == nullptr) {
      storage_configs_.forget_all();
    } else {
      storage_configs_.forget(*tenant);
    }
  });
  storage_configs_.wire(
      [this](const Uuid& tenant) {
        registry_.forget_tenant(tenant);
        node_.tenant_changed(index_, tenant);
      },
      [this](Uuid tenant, CallOptions options) { return has_objects(tenant, options); });
  tenancy::TenantService::StorageConfigHooks hooks;
  hooks.check = [this](const tenancy::NewStorage& wanted) {
    return storage_configs_.check(objects::StorageSetting(wanted.provider, wanted.config));
  };
  hooks.save = [this](pg::Session& session, Uuid tenant, tenancy::NewStorage wanted, CallOptions options) {
    objects::StorageSetting setting(std::move(wanted.provider), std::move(wanted.config));
    return storage_configs_.save_new(session, tenant, std::move(setting), options);
  };
  hooks.require_working = [this](Uuid tenant, CallOptions options) {
    return storage_configs_.require_working(tenant, options);
  };
  tenants_.wire_storage_configs(std::move(hooks));
}

// What a change of people makes stale is forgotten here at once, as above.
void Worker::wire_identity() {
  const auto changed = [this](const Uuid& subject) {
    access_.forget(subject);
    node_.access_changed(index_, subject);
  };
  users_.wire(changed);
  mail_.wire([this] { node_.mail_queued(); });
  links_.wire(changed);
  invitations_.wire(changed);
  sessions_.wire(changed);
  providers_.wire(changed);
  access_.accept_external(external_tokens_);
  sessions_.wire(second_factors_);
  authenticator_.accept_tokens(access_);
  authenticator_.accept_cookies(cookies_);
  tenants_.wire_people([this](Uuid tenant, tenancy::Actor actor, CallOptions options) {
    return remove_people(tenant, std::move(actor), options);
  });
  tenants_.wire_welcome([this](std::shared_ptr<const tenancy::Tenant> tenant, std::string email,
                               std::string token, tenancy::Actor actor, CallOptions options) {
    return welcome(std::move(tenant), std::move(email), std::move(token), std::move(actor), options);
  });
}

Task<Result<void>> Worker::welcome(std::shared_ptr<const tenancy::Tenant> tenant, std::string email,
                                   std::string token, tenancy::Actor actor, CallOptions options) {
  co_return co_await invitations_.welcome(std::move(tenant), std::move(email), std::move(token),
                                          std::move(actor), options);
}

Task<Result<void>> Worker::remove_people(Uuid tenant, tenancy::Actor actor, CallOptions options) {
  CO_TRY_DO(co_await users_.remove_tenant(tenant, std::move(actor), options));
  co_return co_await users_.prove_tenant_gone(tenant, options);
}

Task<Result<bool>> Worker::has_objects(Uuid tenant, CallOptions options) {
  CO_TRY(const auto context, co_await tidy_context(tenant, options));
  CO_TRY(const auto usage, co_await objects_.usage(context, options));
  co_return usage.objects > 0 || usage.reserved > 0;
}

Task<Result<std::shared_ptr<const tenancy::Tenant>>> Worker::tenant_of(Uuid tenant, CallOptions options) {
  const std::string id = tenant.to_string();
  co_return co_await registry_.find_tenant(id, options);
}

Task<Result<identity::TenantContext>> Worker::tidy_context(Uuid tenant, CallOptions options) {
  const std::string id = tenant.to_string();
  CO_TRY(auto found, co_await registry_.find_tenant(id, options));
  co_return authenticator_.for_objects(identity::Authenticator::ObjectTask::tidy, std::move(found));
}

Task<Result<void>> Worker::make_store(std::shared_ptr<const tenancy::Tenant> tenant, CallOptions options) {
  co_return co_await provisioned_stores_.make(tenant->id, objects::storage_quota_of(*tenant), options);
}

objects::StorageMoves::Parts Worker::move_parts() {
  return objects::StorageMoves::Parts{
      .executor = executor_,
      .platform = platform_pool_,
      .database = database_,
      .engine = operations_,
      .configs = storage_configs_,
      .provisioned = provisioned_stores_,
      .writes = objects_.writes(),
      .context_of = [this](Uuid tenant, CallOptions options) { return tidy_context(tenant, options); },
      .changed =
          [this](const Uuid& tenant) {
            registry_.forget_tenant(tenant);
            node_.tenant_changed(index_, tenant);
          }};
}

storage::StoreTools Worker::store_tools() {
  return storage::StoreTools{executor_, transfers_, node_.storage.egress, node_.storage_work, node_.clock};
}

storage::StoreTools Worker::own_store_tools() {
  return storage::StoreTools{executor_, own_transfers_, node_.storage.own_egress, node_.storage_work,
                             node_.clock};
}

Task<Result<std::size_t>> Worker::load_samples(std::shared_ptr<const tenancy::Tenant> tenant,
                                               const std::vector<tenancy::SampleData>& samples,
                                               CallOptions options) {
  CO_TRY(const auto context, co_await authenticator_.for_server(
                                 identity::Authenticator::ServerTask::load_sample_data, tenant, options));
  std::size_t rows = 0;
  for (const tenancy::SampleData& sample : samples) {
    CO_TRY(const std::size_t loaded,
           co_await data_.import_text(context, sample.resource, sample.csv, options));
    rows += loaded;
  }
  co_return rows;
}

Task<Result<void>> Worker::prepare(CallOptions options) {
  // The registry first: it tells of every later change of the keys.
  CO_TRY_DO(co_await registry_.start(options));
  CO_TRY_DO(co_await context_keys_.refresh(options));
  CO_TRY_DO(co_await access_.start(options));
  upkeep_.start();
  co_return Result<void>();
}

Task<Result<void>> Worker::start_operations(OldLeases leases, CallOptions options) {
  if (leases == OldLeases::release) CO_TRY_DO(co_await operations_.release_all_leases(options));
  operations_.start(index_ == 0 ? operations::Engine::Duty::adopt : operations::Engine::Duty::own);
  if (index_ == 0) {
    listen_for_operations();
    catch_up_.start();
    mail_.start();
    object_sweeper_.start();
    store_quotas_.start();
  }
  co_return Result<void>();
}

// While nobody listens, heartbeats and polls find the same, later.
void Worker::listen_for_operations() {
  operation_notices_ = std::make_unique<pg::Listener>(
      executor_, cluster_.as(tenancy::kPlatformRole, tenancy::kPlatformDatabase), operations::kNoticeChannel,
      [this](std::string_view payload) { node_.operation_noticed(std::string(payload)); },
      [this] { node_.operation_noticed(std::string()); });
}

Task<Result<void>> Worker::load_packs(CallOptions options) {
  CO_TRY_DO(co_await registry_.reload_packs(options));
  co_return Result<void>();
}

Result<std::uint16_t> Worker::listen(std::uint16_t port) {
  net::ServerOptions options = node_.config.http;
  options.port = port;
  options.fixed_headers = http::security_header_block(node_.config.tokens.issuer);
  const auto handle = [this](net::HttpRequest& request) {
    node_.requests.fetch_add(1, std::memory_order_relaxed);
    return api_.handle(request);
  };
  net::AccessSink access;
  if (node_.config.server.access_log == ServerSettings::AccessLog::on) {
    access = [this](const net::AccessRecord& record) {
      count(record);
      write_access(record);
    };
  } else {
    access = [this](const net::AccessRecord& record) { count(record); };
  }
  TRY(server_, net::HttpServer::create(executor_, options, handle, http::problem_response, access));
  server_->start();
  return server_->port();
}

void Worker::count(const net::AccessRecord& record) {
  const auto status_class = static_cast<std::size_t>(record.status / 100);
  if (status_class < 1 || status_class > node_.requests_by_class.size()) return;
  node_.requests_by_class[status_class - 1].fetch_add(1, std::memory_order_relaxed);
}

void Worker::write_access(const net::AccessRecord& record) {
  node_.log.write(observe::Level::info, "request",
                  {{"method", record.method},
                   {"path", record.path},
                   {"route", record.route},
                   {"status", record.status},
                   {"error", record.error_code},
                   {"tenant", record.tenant},
                   {"duration_us", record.duration.count()},
                   {"request_bytes", record.request_bytes},
                   {"response_bytes", record.response_bytes},
                   {"peer", record.peer},
                   {"agent", record.user_agent},
                   {"request_id", record.request_id}});
}

void Worker::run() { executor_.run(); }

void Worker::begin_drain(Deadline deadline) {
  executor_.post([this, deadline] {
    // The first drain ends the loop; a later one only brings the end of the requests forward.
    const bool first = !std::exchange(draining_, true);
    tasks_.spawn(first ? drain_and_end(deadline) : drain(deadline));
  });
}

Task<void> Worker::drain(Deadline deadline) {
  if (server_) co_await server_->drain(deadline);
}

Task<void> Worker::drain_and_end(Deadline deadline) {
  co_await drain(deadline);
  co_await stop_services();
  // On a later turn: by then this task, too, has ended.
  executor_.post([this] { executor_.stop(); });
}

Task<void> Worker::stop_services() {
  co_await mail_.stop();
  co_await object_sweeper_.stop();
  co_await store_quotas_.stop();
  co_await objects_.stop();
  co_await catch_up_.stop();
  operation_notices_.reset();
  co_await operations_.stop();
  access_.stop();
  registry_.stop();
  co_await upkeep_.stop();
  co_await trail_.stop();
}

void Worker::forget_tenant(const Uuid& tenant) {
  executor_.post([this, tenant] { registry_.forget_tenant(tenant); });
}

void Worker::forget_access(const Uuid& subject) {
  executor_.post([this, subject] { access_.forget(subject); });
}

void Worker::notice_operation(const std::string& payload) {
  executor_.post([this, payload] { operations_.notice(payload); });
}

void Worker::hurry_mail() {
  executor_.post([this] { mail_.hurry(); });
}

void Worker::reload_packs() {
  executor_.post([this] { tasks_.spawn(reload_packs_now()); });
}

Task<void> Worker::reload_packs_now() {
  const CallOptions options{deadline_in(kPackReloadTimeout)};
  const auto loaded = co_await registry_.reload_packs(options);
  if (!loaded.ok()) node_.log.write_error("packs_not_reloaded", loaded.error());
}

}  // namespace rowhouse::platform
