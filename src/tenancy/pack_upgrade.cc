#include "tenancy/pack_upgrade.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "tenancy/pack_upgrade_impl.h"
#include "tenancy/scratch_check.h"

namespace rowhouse::tenancy {

namespace {

using namespace std::chrono_literals;

constexpr const char* kChecksumDetail = "checksum";
constexpr const char* kCatchUpActor = "rowhouse";

// One row: what is installed, how many tenants have a schema or database of their own, and how many
// migrations are released.
constexpr std::string_view kInstalledSql =
    "SELECT p.version, p.checksum, p.upgrade_pending, (SELECT pg_catalog.count(*) FROM platform.tenants t "
    "JOIN platform.tenant_databases d ON d.tenant_id = t.id AND d.kind = 'metadata' WHERE t.pack = p.name "
    "AND d.tier "
    "IN ('schema', 'database') AND t.status NOT IN ('provisioning', 'deleting')), "
    "(SELECT pg_catalog.count(*) FROM platform.pack_migrations m WHERE m.pack = p.name) "
    "FROM platform.packs p WHERE p.name = $1";
constexpr std::size_t kTemplateAndPool = 2;

// Packs whose last upgrade has ended well but for tenants that were left behind, with their databases in
// random order: a few of each are tried. A pack whose tenants are all gone by now is finished, too.
constexpr std::string_view kBehindSql = R"sql(
SELECT u.pack, d.database_name
  FROM platform.pack_uploads u
  JOIN platform.operations o ON o.id = u.operation_id AND o.status = 'succeeded'
  JOIN platform.packs p ON p.name = u.pack AND p.checksum = u.checksum AND p.upgrade_pending
  LEFT JOIN LATERAL (
    SELECT DISTINCT t.database_name, pg_catalog.random() AS place FROM platform.operation_targets t
      JOIN platform.tenants k ON k.id = t.tenant_id AND k.status <> 'deleting'
     WHERE t.operation_id = o.id AND t.status = 'behind' ORDER BY place LIMIT 20) d ON true
 ORDER BY u.pack
)sql";
constexpr auto kProbePatience = 2s;

UpgradeInput input_for(const Bundle& bundle, const BundleText& text, std::string from_version,
                       UpgradeInput::Checked checked, UpgradeOptions options) {
  UpgradeInput upgrade;
  upgrade.pack = bundle.manifest.name;
  upgrade.from_version = std::move(from_version);
  upgrade.to_version = bundle.manifest.version;
  upgrade.checksum = text.checksum;
  for (const Plan& plan : bundle.manifest.plans) upgrade.plans.push_back(plan.name);
  upgrade.checked = checked;
  upgrade.options = options;
  return upgrade;
}

// What makes a repeated request the same: not what happens to be installed.
std::string digest_of(UpgradeInput upgrade) {
  upgrade.from_version.clear();
  upgrade.checked = UpgradeInput::Checked::not_yet;
  upgrade.serve = UpgradeInput::Serve::old_version;
  return to_hex(crypto::sha256(json::serialize(input_of(upgrade))));
}

Result<void> check_options(const UpgradeOptions& options) {
  const auto refuse = [](const char* what) { return Error(ErrorCode::invalid_parameter, what); };
  if (options.canary > kMaxCanary) return refuse("canary must be 0 to 1000");
  if (options.parallel < 1 || options.parallel > kMaxUpgradeSessions)
    return refuse("parallel must be 1 to 16");
  if (options.lock_timeout < 1ms || options.lock_timeout > kMaxLockTimeout) {
    return refuse("lock_timeout must be 1 ms to 10 minutes");
  }
  if (options.max_failures < 1 || options.max_failures > kMaxFailures) {
    return refuse("max_failures must be 1 to 1000000");
  }
  return {};
}

// What a caller is told of an upgrade that somebody stopped on purpose.
Error stopped(const operations::Operation& operation) {
  const std::string id = operation.id.to_string();
  if (operation.status == operations::OperationStatus::paused) {
    return Error(ErrorCode::conflict,
                 "the upgrade was paused; `rowhouse operation resume " + id + "` goes on with it")
        .with_detail(std::string(kUnderWay), id);
  }
  return Error(ErrorCode::conflict, "the upgrade was cancelled; what is migrated stays so")
      .with_detail(std::string(kUnderWay), id);
}

std::string step_of(const operations::Operation& operation) {
  const json::Value* step = operation.error.find("step");
  return step == nullptr || step->as_string() == nullptr ? "" : *step->as_string();
}

}  // namespace

PackUpgrades::PackUpgrades(const Cluster& cluster, pg::Pool& platform, ContextGuard& guard, PackStore& packs,
                           operations::Engine& engine)
    : impl_(std::make_unique<Impl>(cluster, platform, guard, packs, engine)) {
  engine.add(impl_->kind());
}

PackUpgrades::~PackUpgrades() = default;

Task<Result<StartedUpgrade>> PackUpgrades::start(const Bundle& bundle, UpgradeOptions upgrade,
                                                 std::string requested_by, std::string request_key,
                                                 CallOptions options) {
  CO_TRY_DO(check_options(upgrade));
  const BundleText text = bundle_text(bundle);
  pg::Params params;
  params.emplace_back(bundle.manifest.name);
  const pg::Statement find(std::string(kInstalledSql), std::move(params), pg::Access::write);
  CO_TRY(const auto rows, co_await impl_->platform.run(nullptr, find, options));
  const bool is_installed = rows.size() > 0;
  const bool is_same = is_installed && rows.text(0, 1) == text.checksum;
  std::string from_version(is_installed ? rows.text(0, 0) : "");
  if (is_same && rows.text(0, 2) != "t") {
    StartedUpgrade nothing;
    nothing.report.pack = bundle.manifest.name;
    nothing.report.from_version = std::move(from_version);
    nothing.report.to_version = bundle.manifest.version;
    nothing.report.unchanged =
        kTemplateAndPool + static_cast<std::size_t>(parse_int64(rows.text(0, 3)).value_or(0));
    co_return nothing;
  }
  // It was stored after it had passed.
  const auto checked = is_same ? UpgradeInput::Checked::before : UpgradeInput::Checked::not_yet;
  UpgradeInput input = input_for(bundle, text, std::move(from_version), checked, upgrade);
  const auto released = static_cast<std::size_t>(is_installed ? parse_int64(rows.text(0, 4)).value_or(0) : 0);
  if (is_installed && upgrade.contract == Contract::allowed && has_contract(bundle, released))
    input.serve = UpgradeInput::Serve::new_version;
  co_return co_await impl_->submit(bundle, text, std::move(input), std::move(requested_by),
                                   std::move(request_key), options);
}

Task<Result<StartedUpgrade>> PackUpgrades::Impl::submit(const Bundle& bundle, BundleText text,
                                                        UpgradeInput upgrade, std::string requested_by,
                                                        std::string request_key, CallOptions options) {
  StartedUpgrade started;
  started.report.pack = upgrade.pack;
  started.report.from_version = upgrade.from_version;
  started.report.to_version = upgrade.to_version;
  operations::Submission submission;
  submission.kind = kUpgradeOperation;
  submission.input = input_of(upgrade);
  submission.requested_by = std::move(requested_by);
  submission.request_digest = request_key.empty() ? "" : digest_of(upgrade);
  submission.request_key = std::move(request_key);
  // No coroutine: what it captures lives in this frame.
  submission.first = [this, &bundle, &text](operations::Run& run, pg::Session& session) {
    return register_upload(bundle, text, run, session);
  };
  auto submitted = co_await engine.submit(std::move(submission), options);
  if (submitted.ok()) {
    started.operation = submitted->id;
    started.novelty = submitted->novelty;
    co_return started;
  }
  // The same one is under way: whoever asked for it first, this caller wants nothing else.
  const Error& error = submitted.error();
  const auto active = Uuid::parse(error.detail(kUnderWay));
  if (!active || error.detail(kChecksumDetail) != upgrade.checksum) co_return std::move(submitted).error();
  started.operation = *active;
  started.novelty = operations::Submitted::Novelty::repeated;
  co_return started;
}

Task<Result<void>> PackUpgrades::Impl::register_upload(const Bundle& bundle, const BundleText& text,
                                                       operations::Run& run, pg::Session& session) {
  const std::string pack = bundle.manifest.name;
  CO_TRY(const auto active, co_await take_upload_place(session, run.id(), pack, text, run.options()));
  if (active) {
    const std::string id = active->operation.to_string();
    co_return Error(ErrorCode::conflict,
                    "another upgrade of the pack " + pack + " is under way: operation " + id)
        .with_detail(std::string(kUnderWay), id)
        .with_detail(kChecksumDetail, active->checksum);
  }
  CO_TRY(const auto stored, co_await find_stored_pack(session, pack, run.options()));
  if (!stored) co_return Result<void>();
  co_return co_await compare_with_stored(session, *stored, bundle, text.checksum, run.options());
}

Task<Result<InstallReport>> PackUpgrades::finish(StartedUpgrade started, CallOptions options) {
  if (!started.operation) co_return std::move(started.report);
  CO_TRY(const auto operation, co_await impl_->engine.wait(*started.operation, options));
  using Status = operations::OperationStatus;
  if (operation.status == Status::succeeded) co_return co_await impl_->report_of(std::move(started), options);
  if (operation.status != Status::failed) co_return stopped(operation);
  const std::string step = step_of(operation);
  CO_TRY(auto report, co_await impl_->report_of(std::move(started), options));
  if (!report.failed.empty() && (step == "canary" || step == "migrate_tenants")) co_return report;
  Error error = operations::operation_error(operation);
  if (step == "lint" && error.code == ErrorCode::pack_refused) {
    co_return std::move(error).with_detail(std::string(kLintRefused), "errors");
  }
  co_return error;
}

Task<Result<InstallReport>> PackUpgrades::Impl::report_of(StartedUpgrade started, CallOptions options) {
  InstallReport report = std::move(started.report);
  CO_TRY(auto summary, co_await targets.summary(*started.operation, options));
  report.migrated = std::move(summary.migrated);
  report.failed = std::move(summary.failed);
  report.unchanged = summary.unchanged;
  report.behind = summary.behind;
  report.waiting = summary.waiting;
  co_return report;
}

Task<Result<InstallReport>> PackUpgrades::install(const Bundle& bundle, UpgradeOptions upgrade,
                                                  std::string requested_by, CallOptions options) {
  CO_TRY(auto started, co_await start(bundle, upgrade, std::move(requested_by), "", options));
  co_return co_await finish(std::move(started), options);
}

Task<Result<UpgradePage>> PackUpgrades::targets(Uuid operation, UpgradeFilter filter, CallOptions options) {
  return impl_->targets.page(operation, std::move(filter), options);
}

Task<Result<bool>> PackUpgrades::Impl::is_reachable(std::string database, CallOptions options) {
  CallOptions probing = options;
  probing.deadline = std::min(probing.deadline, deadline_in(kProbePatience));
  const auto session = co_await cluster.migrator(database, probing);
  if (session.ok()) co_return true;
  if (session.error().code == ErrorCode::cancelled) co_return session.error();
  co_return false;
}

Task<Result<std::vector<std::string>>> PackUpgrades::catch_up(CallOptions options) {
  const pg::Statement find(std::string(kBehindSql), pg::Params(), pg::Access::write);
  CO_TRY(const auto rows, co_await impl_->platform.run(nullptr, find, options));
  std::map<std::string, std::vector<std::string>> behind;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    auto& databases = behind[std::string(rows.text(row, 0))];
    if (!rows.is_null(row, 1)) databases.emplace_back(rows.text(row, 1));
  }
  std::vector<std::string> packs;
  for (const auto& [pack, databases] : behind) {
    bool worth_it = databases.empty();
    for (const std::string& database : databases) {
      if (worth_it) break;
      CO_TRY(worth_it, co_await impl_->is_reachable(database, options));
    }
    if (!worth_it) continue;
    CO_TRY(const Bundle bundle, co_await impl_->packs.stored_bundle(pack, options));
    UpgradeOptions upgrade;
    upgrade.lint = LintFirst::no;  // it was looked at when the upgrade began
    upgrade.purpose = UpgradeOptions::Purpose::catch_up;
    const auto started = co_await start(bundle, upgrade, kCatchUpActor, "", options);
    // Another node was faster, or somebody upgrades the pack.
    if (!started.ok() && started.error().code == ErrorCode::conflict) continue;
    if (!started.ok()) co_return Error(started.error());
    packs.push_back(pack);
  }
  co_return packs;
}

Task<Result<void>> PackUpgrades::clear_up(CallOptions options) {
  return sweep_scratch_databases(impl_->cluster, options);
}

}  // namespace rowhouse::tenancy
