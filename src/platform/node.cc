#include "platform/node.h"

#include <fmt/format.h>
#include <sys/prctl.h>

#include <cstdlib>
#include <ostream>
#include <thread>
#include <vector>

#include "cli/api_client.h"
#include "cli/table.h"
#include "platform/banner.h"
#include "platform/bundled_packs.h"
#include "platform/database.h"
#include "platform/demo.h"
#include "platform/listen_probe.h"
#include "platform/mail_settings.h"
#include "platform/secrets.h"
#include "platform/signals.h"
#include "platform/storage_settings.h"
#include "platform/version.h"
#include "platform/worker.h"
#include "platform/wrapping_key_settings.h"
#include "verify/runner.h"

namespace rowhouse::platform {
namespace {

constexpr std::string_view kAdminTokenName = "platform";

// Says what the start is doing: to a person on a terminal as text, otherwise as events of the log.
class StartProgress {
 public:
  StartProgress(const cli::Terminal& terminal, const observe::Log& log) : terminal_(terminal), log_(log) {}
  void step(std::string_view event, std::string_view what, std::string_view subject = "") const {
    if (terminal_.err_is_terminal) {
      terminal_.err << what << subject << " …\n";
    } else {
      std::vector<observe::Field> fields;
      if (!subject.empty()) fields.emplace_back("subject", subject);
      log_.write(observe::Level::info, event, fields);
    }
  }

 private:
  const cli::Terminal& terminal_;
  const observe::Log& log_;
};

// The operator, and nobody else, is told what PostgreSQL said.
Error explained(Error error) {
  const std::string words(error.detail(pg::kServerMessage));
  if (!words.empty() && error.message.find(words) == std::string::npos) error.message += ": " + words;
  return error;
}

// Before anything is done there: who, where, and why not.
Task<Result<void>> check_connection(const tenancy::Cluster& cluster, CallOptions options) {
  const auto session = co_await cluster.administrator("postgres", options);
  if (session.ok()) co_return Result<void>();
  const auto parameters = cluster.as_administrator("postgres");
  Error error = explained(session.error());
  error.message = fmt::format("cannot connect to PostgreSQL at {}:{} as {}, who must be a superuser: {}",
                              parameters.host, parameters.port, parameters.user, error.message);
  co_return error;
}

// Apart from other work: providers are named by tenants, and may be slow on purpose.
net::BlockingWorkOptions provider_work_options() {
  net::BlockingWorkOptions options;
  options.threads = 8;
  options.overloaded_message = "too many people are signing in right now; try again in a moment";
  return options;
}

// Apart from other work, too: a server of files that hangs holds its thread.
net::BlockingWorkOptions storage_work_options() {
  net::BlockingWorkOptions options;
  options.threads = 16;
  options.max_queued = 512;
  options.overloaded_message = "too many files are being read and written right now; try again in a moment";
  return options;
}

// Every worker of this process, and the threads that run them.
class Node {
 public:
  Node(const Resolved& resolved, ServerKind kind, Database& database, observe::Log& log, const Hooks& hooks,
       identity::MailOptions mail, const StorageSetup& storage, const secrets::WrappingKeys& wrapping_keys)
      : resolved_(resolved),
        config_(resolved.config),
        kind_(kind),
        passwords_(config_.passwords),
        background_(net::BlockingWorkOptions()),
        provider_work_(provider_work_options()),
        storage_work_(storage_work_options()),
        context_{.config = config_,
                 .administrator = database.administrator,
                 .credentials = database.credentials,
                 .log = log,
                 .clock = clock_,
                 .hooks = hooks,
                 .passwords = passwords_,
                 .background = background_,
                 .provider_work = provider_work_,
                 .storage_work = storage_work_,
                 .storage = storage,
                 .wrapping_keys = wrapping_keys,
                 .mail = std::move(mail),
                 .database_ready = [&database] { return database.ready(); },
                 .tenant_changed = [this](std::size_t origin,
                                          const Uuid& tenant) { forget_tenant(origin, tenant); },
                 .packs_changed = [this](std::size_t origin) { reload_packs(origin); },
                 .access_changed = [this](std::size_t origin,
                                          const Uuid& subject) { forget_access(origin, subject); },
                 .operation_noticed =
                     [this](const std::string& payload) {
                       for (const auto& worker : workers_) worker->notice_operation(payload);
                     },
                 .mail_queued = [this] { first().hurry_mail(); },
                 .run_verification =
                     [this](verify::Runner::Job job) { return verifier_.request(std::move(job)); }},
        verifier_(verifier_settings(), config_.verify_every, log) {
    for (std::size_t i = 0; i < config_.server.workers; ++i) {
      workers_.push_back(std::make_unique<Worker>(context_, i));
    }
  }

  // Everything that must be there before the first request, on the main thread.
  Result<void> prepare(const std::string& admin_token, const StartProgress& progress, Signals& signals) {
    CancelSource cancel;
    net::Executor& executor = first().executor();
    signals.on_arrival([&](int count) {
      if (count > 1) std::_Exit(static_cast<int>(cli::ExitCode::interrupted));
      executor.post([&cancel] { cancel.cancel(); });
    });
    const CallOptions options{deadline_in(config_.server.startup_timeout), &cancel};
    auto prepared = net::run_until_done(executor, prepare_databases(admin_token, progress, options));
    for (const auto& worker : workers_) {
      if (prepared.ok()) prepared = net::run_until_done(worker->executor(), worker->prepare(options));
    }
    if (prepared.ok()) prepared = start_operations(options);
    if (prepared.ok()) prepared = install_packs(progress, options);
    signals.on_arrival(nullptr);
    // The callback may have posted in the last moment: let that run while `cancel` lives.
    net::run_until_done(executor, net::sleep_for(executor, std::chrono::milliseconds(0)));
    if (signals.count() > 0) return Error(ErrorCode::cancelled, "interrupted while starting");
    return prepared;
  }

  Result<std::vector<DemoTenant>> create_demo(const StartProgress& progress) {
    progress.step("demo_tenants", "Making the demo tenants");
    const CallOptions options{deadline_in(config_.server.startup_timeout)};
    TRY(auto packs, selected_packs(config_.server.packs));
    std::string directory = config_.postgres.data_directory + "/demo-keys";
    return net::run_until_done(first().executor(), create_demo_tenants(first().tenants(), std::move(packs),
                                                                       std::move(directory), options));
  }

  // Binds every worker to one port and starts the threads. Returns the port.
  Result<std::uint16_t> listen() {
    std::uint16_t port = config_.http.port;
    for (const auto& worker : workers_) {
      TRY(port, worker->listen(port));
    }
    for (const auto& worker : workers_) {
      threads_.emplace_back([&running = *worker] { running.run(); });
    }
    const bool is_only_node = kind_ == ServerKind::embedded;
    verifier_.start(config_.verify_url.empty() ? own_url(config_.http, port) : config_.verify_url,
                    config_.http.certificate_file,
                    is_only_node ? verify::Runner::Nodes::this_one : verify::Runner::Nodes::several);
    return port;
  }

  void begin_drain(std::chrono::milliseconds time) {
    background_.stop_soon();
    provider_work_.stop_soon();
    for (const auto& worker : workers_) worker->begin_drain(deadline_in(time));
  }

  // Waits for the drain; or ends workers that never ran.
  void end() {
    verifier_.stop();
    for (std::thread& thread : threads_) thread.join();
    if (!threads_.empty()) return;
    for (const auto& worker : workers_) net::run_until_done(worker->executor(), worker->stop_services());
  }

 private:
  Worker& first() { return *workers_.front(); }

  verify::EngineSettings verifier_settings() {
    verify::EngineSettings settings(context_.administrator, context_.credentials, clock_);
    settings.version = kVersion;
    // The runner is no worker: every worker is told.
    settings.tenant_changed = [this](const Uuid& tenant) { forget_tenant(workers_.size(), tenant); };
    return settings;
  }

  Task<Result<void>> prepare_databases(std::string admin_token, const StartProgress& progress,
                                       CallOptions options) {
    progress.step("bootstrap", "Preparing the platform database");
    CO_TRY_DO(co_await check_connection(first().cluster(), options));
    CO_TRY_DO(co_await first().cluster().bootstrap(options));
    CO_TRY_DO(co_await guard_databases(progress, options));
    std::string name(kAdminTokenName);
    co_return co_await first().tenants().set_admin_token(std::move(name), std::move(admin_token), options);
  }

  // As operations, like every other installation.
  Result<void> install_packs(const StartProgress& progress, CallOptions options) {
    TRY(auto names, selected_packs(config_.server.packs));
    bool is_any_new = false;
    const std::function<void(std::string_view)> told = [&](std::string_view pack) {
      is_any_new = true;
      progress.step("pack_install", "Installing pack ", pack);
    };
    TRY_DO(net::run_until_done(first().executor(), install_bundled_packs(first().upgrades(), std::move(names),
                                                                         told, context_.log, options)));
    if (!is_any_new) return {};
    for (const auto& worker : workers_) {
      TRY_DO(net::run_until_done(worker->executor(), worker->load_packs(options)));
    }
    return {};
  }

  // What a node left when it ended is resumed in the background.
  Result<void> start_operations(CallOptions options) {
    using Leases = Worker::OldLeases;
    using Abandoned = tenancy::TenantService::Abandoned;
    const bool is_only_node = kind_ == ServerKind::embedded;
    // The first worker releases, before any works.
    Leases leases = is_only_node ? Leases::release : Leases::respect;
    for (const auto& worker : workers_) {
      TRY_DO(net::run_until_done(worker->executor(), worker->start_operations(leases, options)));
      leases = Leases::respect;
    }
    const Abandoned which = is_only_node ? Abandoned::all : Abandoned::stale;
    TRY(const std::size_t abandoned,
        net::run_until_done(first().executor(), first().tenants().remove_abandoned(which, options)));
    if (abandoned > 0)
      context_.log.write(observe::Level::warning, "removing_abandoned_tenants", {{"tenants", abandoned}});
    return {};
  }

  // Before anything is asked of a database with tenant rows. One that is down is left for later: its tenant
  // waits, the others do not.
  Task<Result<void>> guard_databases(const StartProgress& progress, CallOptions options) {
    progress.step("guard_databases", "Preparing the databases with tenant rows");
    CO_TRY(const auto choice, co_await first().guard().choose(config_.context_guard, options));
    context_.log.write(observe::Level::info, "context_guard",
                       {{"implementation", tenancy::guard_implementation_name(choice.implementation)},
                        {"reason", choice.reason}});
    CO_TRY(const auto report, co_await first().guard().catch_up(options));
    if (!report.brought.empty()) {
      context_.log.write(observe::Level::info, "databases_guarded", {{"databases", report.brought.size()}});
    }
    for (const auto& [database, reason] : report.failed) {
      context_.log.write(observe::Level::warning, "database_behind",
                         {{"database", database}, {"reason", reason}});
    }
    co_return Result<void>();
  }

  void forget_tenant(std::size_t origin, const Uuid& tenant) {
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      if (i != origin) workers_[i]->forget_tenant(tenant);
    }
  }

  void forget_access(std::size_t origin, const Uuid& subject) {
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      if (i != origin) workers_[i]->forget_access(subject);
    }
  }

  void reload_packs(std::size_t origin) {
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      if (i != origin) workers_[i]->reload_packs();
    }
  }

  const Resolved& resolved_;
  const Config& config_;
  ServerKind kind_;
  SystemClock clock_;
  // Before the workers: nobody may wait for these when they go.
  identity::Passwords passwords_;
  net::BlockingWork background_;
  net::BlockingWork provider_work_;
  net::BlockingWork storage_work_;
  NodeContext context_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::thread> threads_;
  verify::Runner verifier_;
};

Result<std::unique_ptr<observe::FileSink>> open_log_sink(const Config& config) {
  if (config.server.log_file.empty()) return observe::FileSink::standard_error();
  return observe::FileSink::open(config.server.log_file);
}

// `serve` needs a token from the operator: what it made itself would differ on each node.
Result<std::string> admin_token_for(const Resolved& resolved, ServerKind kind) {
  if (kind == ServerKind::embedded) return own_admin_token(resolved);
  TRY(auto token, find_secret(resolved, "admin_token", "admin_token_file"));
  if (!token.empty()) return token;
  return Error(ErrorCode::config_invalid, "`rowhouse serve` needs the admin token")
      .with_detail(std::string(cli::kHint),
                   "Set ROWHOUSE_ADMIN_TOKEN or --admin-token-file; make one with "
                   "`echo rha_$(openssl rand -base64 32 | tr '+/' '-_' | tr -d '=')`");
}

void serve_until_asked_to_stop(Node& node, const Config& config, Signals& signals,
                               const cli::Terminal& terminal, const observe::Log& log) {
  signals.wait_for(1);
  log.write(observe::Level::info, "draining", {{"timeout_ms", config.server.drain_timeout.count()}});
  if (terminal.err_is_terminal)
    terminal.err << "\nStopping: running requests may end. Ctrl-C again stops at once.\n";
  node.begin_drain(config.server.drain_timeout);
  signals.on_arrival([&node](int count) {
    if (count > 1) node.begin_drain(std::chrono::milliseconds(0));
  });
  node.end();
  signals.on_arrival(nullptr);
}

}  // namespace

std::string own_url(const net::ServerOptions& http, std::uint16_t port) {
  std::string host = http.address;
  if (host == "0.0.0.0") host = "127.0.0.1";
  if (host == "::") host = "::1";
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  return fmt::format("{}://{}:{}", http.certificate_file.empty() ? "http" : "https", host, port);
}

Result<cli::ExitCode> run_node(const Resolved& resolved, ServerKind kind, Demo demo,
                               const cli::Terminal& terminal, const Hooks& hooks) {
  const Config& config = resolved.config;
  prctl(PR_SET_DUMPABLE, 0);  // a core file would hold every key; also keeps debuggers of others away
  Signals signals;            // first: threads made before it would receive signals, too
  TRY_DO(selected_packs(config.server.packs));
  TRY(auto mail, mail_options(resolved));
  TRY_DO(check_address_is_free(config.http.address, config.http.port));
  TRY(const auto sink, open_log_sink(config));
  const SystemClock clock;
  observe::Log log(*sink, clock, config.server.log_level);
  const StartProgress progress(terminal, log);

  progress.step("starting",
                kind == ServerKind::embedded ? "Starting PostgreSQL" : "Connecting to PostgreSQL");
  TRY(auto database, open_database(resolved, kind));
  TRY(const auto admin_token, admin_token_for(resolved, kind));
  TRY(const auto storage, storage_setup(resolved, kind));
  TRY(const auto keys, wrapping_keys(resolved, database.credentials));
  Node node(resolved, kind, database, log, hooks, std::move(mail), storage, *keys);
  const auto fail = [&](Error error) -> Result<cli::ExitCode> {
    node.end();
    return explained(std::move(error));
  };
  auto prepared = node.prepare(admin_token, progress, signals);
  if (!prepared.ok()) return fail(std::move(prepared).error());
  std::vector<DemoTenant> demo_tenants;
  if (demo == Demo::with) {
    auto created = node.create_demo(progress);
    if (!created.ok()) return fail(std::move(created).error());
    demo_tenants = std::move(*created);
  }
  auto port = node.listen();
  if (!port.ok()) return fail(std::move(port).error());

  log.write(observe::Level::info, "started",
            {{"address", config.http.address}, {"port", *port}, {"workers", config.server.workers}});
  print_banner(terminal, resolved, kind, *port, demo_tenants);
  serve_until_asked_to_stop(node, config, signals, terminal, log);
  if (database.embedded) database.embedded->stop();
  log.write(observe::Level::info, "stopped");
  return cli::ExitCode::ok;
}

}  // namespace rowhouse::platform
