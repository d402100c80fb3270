// The steps of pack.upgrade; see pack_upgrade.h.
#include <utility>

#include "base/text.h"
#include "tenancy/lint.h"
#include "tenancy/pack_migrator.h"
#include "tenancy/pack_upgrade_impl.h"
#include "tenancy/scratch_check.h"
#include "tenancy/tenant.h"
#include "tenancy/upgrade_waves.h"

namespace rowhouse::tenancy {

namespace {

using namespace std::chrono_literals;
using operations::Run;
using operations::Step;

constexpr auto kCheckTime = 1h;
constexpr auto kTenantsTime = 24h;  // then it counts as one attempt, and goes on where it is

constexpr const char* kPack = "pack";
constexpr const char* kFromVersion = "from_version";
constexpr const char* kToVersion = "to_version";
constexpr const char* kChecksum = "checksum";
constexpr const char* kPlans = "plans";
constexpr const char* kCheck = "check";
constexpr const char* kServeNew = "serve_new_version";
constexpr const char* kLint = "lint";
constexpr const char* kContract = "contract";
constexpr const char* kCanary = "canary";
constexpr const char* kParallel = "parallel";
constexpr const char* kLockTimeoutMs = "lock_timeout_ms";
constexpr const char* kMaxFailuresName = "max_failures";
constexpr const char* kCatchUp = "catch_up";
constexpr const char* kScratch = "scratch_database";  // in the state: while there may be one

constexpr std::string_view kUnreachable = "database-unreachable";  // a rule of the linter

// In one refusal; the linter lists them all.
constexpr std::size_t kMaxShownFindings = 50;

constexpr std::string_view kHasEverythingSql =
    "SELECT NOT p.upgrade_pending AND (SELECT pg_catalog.count(*) FROM platform.pack_migrations m "
    "WHERE m.pack = p.name) = $2::bigint FROM platform.packs p WHERE p.name = $1";

constexpr std::string_view kEventSql = "INSERT INTO platform.events (type, payload) VALUES ($1, $2::jsonb)";

std::string text_of(const json::Value& object, std::string_view name) {
  const json::Value* value = object.find(name);
  const std::string* text = value == nullptr ? nullptr : value->as_string();
  return text == nullptr ? "" : *text;
}

bool is_set(const json::Value& object, std::string_view name) {
  const json::Value* value = object.find(name);
  return value != nullptr && value->as_bool() != nullptr && *value->as_bool();
}

std::size_t size_of(const json::Value& object, std::string_view name, std::size_t otherwise) {
  const json::Value* value = object.find(name);
  const auto number = value == nullptr ? std::nullopt : value->as_int64();
  return number && *number >= 0 ? static_cast<std::size_t>(*number) : otherwise;
}

bool wants_check(const json::Value& input) { return is_set(input, kCheck); }
bool wants_lint(const json::Value& input) { return is_set(input, kLint); }
bool serves_new(const json::Value& input) { return is_set(input, kServeNew); }
bool serves_old(const json::Value& input) { return !is_set(input, kServeNew); }

// The rows of the first step were written when the operation was submitted.
Task<Result<void>> done_at_submission(Run&, pg::Session&) { co_return Result<void>(); }

}  // namespace

json::Value input_of(const UpgradeInput& upgrade) {
  json::Array plans;
  for (const std::string& plan : upgrade.plans) plans.emplace_back(plan);
  const UpgradeOptions& options = upgrade.options;
  json::Value input;
  input.set(kPack, upgrade.pack);
  input.set(kFromVersion, upgrade.from_version);
  input.set(kToVersion, upgrade.to_version);
  input.set(kChecksum, upgrade.checksum);
  input.set(kPlans, std::move(plans));
  input.set(kCheck, upgrade.checked == UpgradeInput::Checked::not_yet);
  input.set(kServeNew, upgrade.serve == UpgradeInput::Serve::new_version);
  // What is not installed anywhere cannot be broken.
  input.set(kLint, options.lint == LintFirst::yes && !upgrade.from_version.empty());
  input.set(kContract, options.contract == Contract::allowed);
  input.set(kCanary, static_cast<std::int64_t>(options.canary));
  input.set(kParallel, static_cast<std::int64_t>(options.parallel));
  input.set(kLockTimeoutMs, static_cast<std::int64_t>(options.lock_timeout.count()));
  input.set(kMaxFailuresName, static_cast<std::int64_t>(options.max_failures));
  input.set(kCatchUp, options.purpose == UpgradeOptions::Purpose::catch_up);
  return input;
}

UpgradeInput upgrade_of(const json::Value& input) {
  UpgradeInput upgrade;
  upgrade.pack = text_of(input, kPack);
  upgrade.from_version = text_of(input, kFromVersion);
  upgrade.to_version = text_of(input, kToVersion);
  upgrade.checksum = text_of(input, kChecksum);
  const json::Value* plans = input.find(kPlans);
  if (plans != nullptr && plans->as_array() != nullptr) {
    for (const json::Value& plan : *plans->as_array()) {
      if (plan.as_string() != nullptr) upgrade.plans.push_back(*plan.as_string());
    }
  }
  using Checked = UpgradeInput::Checked;
  upgrade.checked = is_set(input, kCheck) ? Checked::not_yet : Checked::before;
  using Serve = UpgradeInput::Serve;
  upgrade.serve = is_set(input, kServeNew) ? Serve::new_version : Serve::old_version;
  UpgradeOptions& options = upgrade.options;
  options.lint = is_set(input, kLint) ? LintFirst::yes : LintFirst::no;
  options.contract = is_set(input, kContract) ? Contract::allowed : Contract::refused;
  options.canary = size_of(input, kCanary, options.canary);
  options.parallel = size_of(input, kParallel, options.parallel);
  const auto default_lock_timeout = static_cast<std::size_t>(options.lock_timeout.count());
  options.lock_timeout = std::chrono::milliseconds(size_of(input, kLockTimeoutMs, default_lock_timeout));
  options.max_failures = size_of(input, kMaxFailuresName, options.max_failures);
  using Purpose = UpgradeOptions::Purpose;
  options.purpose = is_set(input, kCatchUp) ? Purpose::catch_up : Purpose::requested;
  return upgrade;
}

// The lambdas are no coroutines: what they capture need not outlive the task.
operations::Effect PackUpgrades::Impl::effect(Job job) {
  return [this, job](Run& run) { return (this->*job)(run); };
}

operations::Record PackUpgrades::Impl::record(RecordJob job) {
  return [this, job](Run& run, pg::Session& session) { return (this->*job)(run, session); };
}

operations::Kind PackUpgrades::Impl::kind() {
  operations::Kind kind;
  kind.name = kUpgradeOperation;
  kind.on_failure = operations::OnFailure::stop;
  // What has to be caught up is known by it.
  kind.kept_while = "EXISTS (SELECT FROM platform.pack_uploads AS u WHERE u.operation_id = o.id)";
  auto& steps = kind.steps;
  steps.push_back(Step::record("upload", done_at_submission));
  steps.push_back(Step::effect("check", effect(&Impl::check)).when(wants_check).within(kCheckTime));
  steps.push_back(Step::effect("lint", effect(&Impl::lint)).when(wants_lint).within(kCheckTime));
  // Servers look at the pool for what tables are like. What only adds is served when everybody has it; what
  // takes away is served no longer when the first one loses it.
  const auto shared = [&](const char* its_template, const char* its_pool, const char* storing, auto when) {
    steps.push_back(
        Step::effect(its_template, effect(&Impl::migrate_template)).when(when).within(kCheckTime));
    steps.push_back(Step::effect(its_pool, effect(&Impl::migrate_pool)).when(when).within(kTenantsTime));
    steps.push_back(Step::record(storing, record(&Impl::store)).when(when));
  };
  shared("migrate_template_first", "migrate_pool_first", "store_first", serves_new);
  steps.push_back(Step::record("announce", record(&Impl::announce)).when(serves_old));
  steps.push_back(Step::record("list_tenants", record(&Impl::list_tenants)));
  steps.push_back(Step::effect("canary", effect(&Impl::canary)).within(kTenantsTime));
  steps.push_back(Step::effect("migrate_tenants", effect(&Impl::migrate_tenants)).within(kTenantsTime));
  shared("migrate_template", "migrate_pool", "store", serves_old);
  steps.push_back(Step::record("finish", record(&Impl::finish)));
  return kind;
}

Task<Result<Bundle>> PackUpgrades::Impl::bundle_of(Run& run) {
  CO_TRY(auto uploaded, co_await find_upload(platform, run.id(), run.options()));
  if (uploaded) co_return std::move(*uploaded);
  const std::string pack = upgrade_of(run.input()).pack;
  co_return co_await packs.stored_bundle(pack, run.options());
}

// The name is written down before there is such a database, so that whoever goes on after a crash drops it.
Task<Result<std::string>> PackUpgrades::Impl::scratch_of(Run& run) {
  const std::string left = text_of(run.state(), kScratch);
  if (!left.empty()) CO_TRY_DO(co_await cluster.drop_database(left, run.options()));
  CO_TRY(std::string database, co_await new_scratch_name(cluster, run.options()));
  run.state().set(kScratch, database);
  CO_TRY_DO(co_await run.save());
  co_return database;
}

Task<Result<void>> PackUpgrades::Impl::check(Run& run) {
  const UpgradeInput upgrade = upgrade_of(run.input());
  CO_TRY(const Bundle bundle, co_await bundle_of(run));
  CO_TRY(const std::string database, co_await scratch_of(run));
  ScratchUpgrade scratch;
  scratch.contract = upgrade.options.contract;
  CO_TRY(scratch.released, co_await count_released(platform, upgrade.pack, run.options()));
  CO_TRY(const auto findings, co_await check_in_scratch(cluster, database, bundle, scratch, run.options()));
  run.state().set(kScratch, json::Value());
  if (!findings.empty()) co_return refusal(bundle.manifest.name, findings);
  co_return Result<void>();
}

// Whether a place of the pack may lack one of its migrations, should there be so many.
Task<Result<bool>> PackUpgrades::Impl::may_migrate(std::string pack, std::size_t migrations,
                                                   CallOptions options) {
  pg::Params params;
  params.emplace_back(std::move(pack));
  params.emplace_back(std::to_string(migrations));
  const pg::Statement find(std::string(kHasEverythingSql), std::move(params), pg::Access::write);
  CO_TRY(const auto rows, co_await platform.run(nullptr, find, options));
  co_return rows.size() == 0 || rows.text(0, 0) != "t";
}

// A migration that runs over a broken installation may make it worse, and hides when it broke. A version
// that brings none is not held up.
Task<Result<void>> PackUpgrades::Impl::lint(Run& run) {
  const UpgradeInput upgrade = upgrade_of(run.input());
  CO_TRY(const Bundle bundle, co_await bundle_of(run));
  CO_TRY(const bool migrates, co_await may_migrate(upgrade.pack, bundle.migrations.size(), run.options()));
  if (!migrates) co_return Result<void>();
  Linter linter(cluster, platform);
  LintRequest request;
  request.pack = upgrade.pack;
  CO_TRY(request.scratch_database, co_await scratch_of(run));
  CO_TRY(auto linted, co_await linter.run(std::move(request), run.options()));
  run.state().set(kScratch, json::Value());
  // A database that is down now is waited for or left behind, as any other that is down later.
  std::erase_if(linted.findings, [](const LintFinding& finding) { return finding.rule == kUnreachable; });
  const std::size_t errors = linted.count(Severity::error);
  if (errors == 0) co_return Result<void>();
  Error error(ErrorCode::pack_refused, "The pack " + upgrade.pack +
                                           " is not upgraded: `rowhouse lint` finds " +
                                           std::to_string(errors) + (errors == 1 ? " error" : " errors") +
                                           " where it is installed. Mend them first, or skip this check");
  for (const LintFinding& finding : linted.findings) {
    if (finding.severity != Severity::error || error.fields.size() >= kMaxShownFindings) continue;
    std::string path = finding.database;
    for (const std::string& part : {finding.schema, finding.object}) path += part.empty() ? "" : "." + part;
    error.fields.emplace_back(path, finding.rule + ": " + finding.message + ". Fix: " + finding.fix);
  }
  co_return error;
}

// Nobody works in the template, and each clone gets its own role: it grants nothing.
Task<Result<void>> PackUpgrades::Impl::migrate_template(Run& run) {
  const std::string pack = upgrade_of(run.input()).pack;
  co_return co_await migrate_shared("template", template_database_name(pack), "", run);
}

Task<Result<void>> PackUpgrades::Impl::migrate_pool(Run& run) {
  const std::string pack = upgrade_of(run.input()).pack;
  std::string role(kRuntimeRole);
  co_return co_await migrate_shared("pool", pool_database_name(pack), std::move(role), run);
}

Task<Result<void>> PackUpgrades::Impl::migrate_shared(std::string name, std::string database,
                                                      std::string role, Run& run) {
  CO_TRY(const Bundle bundle, co_await bundle_of(run));
  const auto begin = std::chrono::steady_clock::now();
  CO_TRY_DO(co_await cluster.create_tenant_data_database(database, run.options()));
  CO_TRY_DO(co_await guard.bring(database, run.options()));
  CO_TRY(auto session, co_await cluster.migrator(database, run.options()));
  MigrationSettings settings;
  settings.lock_timeout = upgrade_of(run.input()).options.lock_timeout;
  std::string schema(kSharedSchema);
  CO_TRY(const auto migrated, co_await migrate_schema(session, std::move(schema), std::move(role), bundle,
                                                      settings, run.options()));
  if (!migrated.findings.empty()) co_return refusal(bundle.manifest.name, migrated.findings);
  UpgradeResult result;
  result.database = std::move(database);
  result.schema = kSharedSchema;
  const bool is_changed = migrated.migrations_run > 0 || migrated.row_rules_changed;
  result.status = is_changed ? UpgradeStatus::done : UpgradeStatus::unchanged;
  result.migrations_run = migrated.migrations_run;
  result.duration =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
  co_return co_await targets.record_shared(run.id(), std::move(name), std::move(result), run.options());
}

// From here on tenants are made with the new migrations, too.
Task<Result<void>> PackUpgrades::Impl::announce(Run& run, pg::Session& session) {
  CO_TRY(const Bundle bundle, co_await bundle_of(run));
  co_return co_await announce_migrations(session, bundle, run.options());
}

Task<Result<void>> PackUpgrades::Impl::store(Run& run, pg::Session& session) {
  const UpgradeInput upgrade = upgrade_of(run.input());
  CO_TRY(const Bundle bundle, co_await bundle_of(run));
  CO_TRY_DO(co_await drop_upload(session, run.id(), run.options()));
  co_return co_await store_bundle(session, bundle, upgrade.checksum, run.options());
}

// In a transaction after that of `announce`: a tenant that is not in the list yet sees the new migrations
// when it is made.
Task<Result<void>> PackUpgrades::Impl::list_tenants(Run& run, pg::Session& session) {
  const UpgradeInput upgrade = upgrade_of(run.input());
  co_return co_await targets.list(session, run.id(), upgrade.pack, upgrade.plans, upgrade.options.canary,
                                  run.options());
}

namespace {

WaveSettings settings_of(const UpgradeInput& upgrade) {
  WaveSettings settings;
  settings.parallel = upgrade.options.parallel;
  settings.lock_timeout = upgrade.options.lock_timeout;
  settings.max_failures = static_cast<std::int64_t>(upgrade.options.max_failures);
  return settings;
}

}  // namespace

Task<Result<void>> PackUpgrades::Impl::canary(Run& run) {
  CO_TRY(const Bundle bundle, co_await bundle_of(run));
  UpgradeWaves waves(cluster, targets, bundle, settings_of(upgrade_of(run.input())), run);
  co_return co_await waves.run(UpgradeWaves::Part::canary);
}

Task<Result<void>> PackUpgrades::Impl::migrate_tenants(Run& run) {
  CO_TRY(const Bundle bundle, co_await bundle_of(run));
  UpgradeWaves waves(cluster, targets, bundle, settings_of(upgrade_of(run.input())), run);
  co_return co_await waves.run(UpgradeWaves::Part::all);
}

Task<Result<void>> PackUpgrades::Impl::finish(Run& run, pg::Session& session) {
  const UpgradeInput upgrade = upgrade_of(run.input());
  const CallOptions unwatched{run.options().deadline, run.options().cancel};  // it only reads
  CO_TRY(const auto counts, co_await targets.counts(run.id(), unwatched));
  json::Value& output = run.output();
  output.set(kPack, upgrade.pack);
  output.set(kFromVersion, upgrade.from_version.empty() ? json::Value() : json::Value(upgrade.from_version));
  output.set(kToVersion, upgrade.to_version);
  output.set("migrated", counts.done);
  output.set("unchanged", counts.unchanged);
  output.set("behind", counts.behind);
  std::vector<std::string> events = {"pack.upgraded"};
  if (counts.behind == 0) {
    CO_TRY_DO(co_await finish_upgrade(session, upgrade.pack, upgrade.checksum, run.options()));
    if (upgrade.options.purpose == UpgradeOptions::Purpose::catch_up) events.emplace_back("pack.caught_up");
  }
  json::Value payload = output;
  payload.set("operation", run.id().to_string());
  for (const std::string& type : events) {
    pg::Params params;
    params.emplace_back(type);
    params.emplace_back(json::serialize(payload));
    const pg::Statement announce(std::string(kEventSql), std::move(params), pg::Access::write);
    CO_TRY_DO(co_await session.query(announce, run.options()));
  }
  co_return Result<void>();
}

}  // namespace rowhouse::tenancy
