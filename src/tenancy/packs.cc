#include "tenancy/packs.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "tenancy/lint.h"
#include "tenancy/pack_migrator.h"
#include "tenancy/pack_names.h"
#include "tenancy/scratch_check.h"
#include "tenancy/tenant.h"

namespace rowhouse::tenancy {

namespace {

// One install of a pack at a time, over all nodes: held by the session until it is returned to its pool.
constexpr std::string_view kLockSql =
    "SELECT pg_catalog.pg_advisory_lock(pg_catalog.hashtextextended('rowhouse pack ' || $1, 0))";
constexpr std::string_view kUnlockSql =
    "SELECT pg_catalog.pg_advisory_unlock(pg_catalog.hashtextextended('rowhouse pack ' || $1, 0))";

constexpr std::string_view kFindSql =
    "SELECT version, checksum, upgrade_pending, manifest FROM platform.packs WHERE name = $1";
constexpr std::string_view kListSql = "SELECT name, manifest FROM platform.packs ORDER BY name";
constexpr std::string_view kMigrationsSql =
    "SELECT number, name, sql, checksum FROM platform.pack_migrations WHERE pack = $1 ORDER BY number";
constexpr std::string_view kSamplesSql =
    "SELECT resource, content FROM platform.pack_sample_files WHERE pack = $1 ORDER BY ordinal";

constexpr std::string_view kStorePackSql =
    "INSERT INTO platform.packs (name, version, manifest, checksum, upgrade_pending) "
    "VALUES ($1, $2, $3::json, $4, true) "
    "ON CONFLICT (name) DO UPDATE SET version = excluded.version, manifest = excluded.manifest, "
    "checksum = excluded.checksum, upgrade_pending = true";
constexpr std::string_view kStoreMigrationSql =
    "INSERT INTO platform.pack_migrations (pack, number, name, sql, checksum) VALUES ($1, $2::integer, $3, "
    "$4, $5) "
    "ON CONFLICT (pack, number) DO NOTHING";
constexpr std::string_view kClearSamplesSql = "DELETE FROM platform.pack_sample_files WHERE pack = $1";
constexpr std::string_view kStoreSampleSql =
    "INSERT INTO platform.pack_sample_files (pack, ordinal, resource, content) VALUES ($1, $2::integer, $3, "
    "$4)";
constexpr std::string_view kFinishSql =
    "UPDATE platform.packs SET upgrade_pending = false WHERE name = $1 AND checksum = $2";

// Tenants that are still being made are left to their maker, who prepares them with the stored bundle.
constexpr std::string_view kTargetsSql = R"sql(
SELECT t.slug, d.database_name, d.schema_name, d.role_name
  FROM platform.tenants t
  JOIN platform.tenant_databases d ON d.tenant_id = t.id AND d.kind = 'metadata'
 WHERE t.pack = $1 AND d.tier IN ('schema', 'database') AND t.status NOT IN ('provisioning', 'deleting')
 ORDER BY d.tier = 'database', d.database_name, t.slug
)sql";

// In one refusal; the linter lists them all.
constexpr std::size_t kMaxShownFindings = 50;

pg::Statement statement(std::string_view sql, std::initializer_list<std::string_view> values) {
  pg::Params params;
  for (const std::string_view value : values) params.emplace_back(std::string(value));
  return pg::Statement(std::string(sql), std::move(params), pg::Access::write, pg::Reuse::once);
}

std::string checksum_of(const Bundle& bundle) {
  return to_hex(crypto::sha256(json::serialize(bundle_to_json(bundle))));
}

Error refused(std::string message) { return Error(ErrorCode::pack_refused, std::move(message)); }

// A failed attempt is often told apart only by the server's own words.
std::string words_of(const Error& error) {
  std::string words = error.message;
  if (const auto detail = error.detail(pg::kServerMessage);
      !detail.empty() && words.find(detail) == std::string::npos) {
    words += ": " + std::string(detail);
  }
  for (const FieldError& field : error.fields) words += "; " + field.path + ": " + field.message;
  return words;
}

struct StoredPack {
  std::string version, checksum;
  bool upgrade_pending = false;
};

struct Target {
  std::string name, database, schema, role;
};

Task<Result<std::optional<StoredPack>>> find_stored(pg::Session& session, std::string pack,
                                                    CallOptions options) {
  const pg::Statement query = statement(kFindSql, {pack});
  CO_TRY(const auto rows, co_await session.query(query, options));
  std::optional<StoredPack> stored;
  if (rows.size() > 0) {
    stored.emplace();
    stored->version = rows.text(0, 0);
    stored->checksum = rows.text(0, 1);
    stored->upgrade_pending = rows.text(0, 2) == "t";
  }
  co_return stored;
}

// A new version keeps every released migration as it was and may add some.
Task<Result<void>> compare_with_stored(pg::Session& session, StoredPack stored, const Bundle& bundle,
                                       std::string checksum, CallOptions options) {
  const Manifest& manifest = bundle.manifest;
  const auto old_version = parse_pack_version(stored.version);
  const auto new_version = parse_pack_version(manifest.version);
  if (old_version > new_version) {
    co_return refused("The pack " + manifest.name + " is installed in version " + stored.version + "; " +
                      manifest.version + " is older, and migrations cannot be taken back");
  }
  const pg::Statement query = statement(kMigrationsSql, {manifest.name});
  CO_TRY(const auto rows, co_await session.query(query, options));
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const std::string name(rows.text(row, 1));
    const std::string path = "migrations/" + name + ".sql";
    if (row >= bundle.migrations.size() || bundle.migrations[row].name != name) {
      co_return refused("The released migration " + name + " is missing")
          .with_field(path, "is missing, but it was released and has run");
    }
    if (bundle.migrations[row].checksum() != rows.text(row, 3)) {
      co_return refused("The released migration " + name + " was changed; add a further migration instead")
          .with_field(path, "was changed after its release; restore it, and add a further migration");
    }
  }
  if (old_version == new_version && stored.checksum != checksum) {
    co_return refused("The pack " + manifest.name + " differs from the installed one, but both are version " +
                      manifest.version + "; give it a higher version");
  }
  co_return Result<void>();
}

Task<Result<void>> store_bundle(pg::Session& session, const Bundle& bundle, std::string checksum,
                                CallOptions options) {
  const Manifest& manifest = bundle.manifest;
  const std::string document = json::serialize(bundle.manifest_document);
  CO_TRY_DO(co_await session.begin(nullptr, options));
  const pg::Statement store_pack =
      statement(kStorePackSql, {manifest.name, manifest.version, document, checksum});
  CO_TRY_DO(co_await session.query(store_pack, options));
  for (const PackMigration& migration : bundle.migrations) {
    const std::string number = std::to_string(migration.number);
    const std::string migration_checksum = migration.checksum();
    const pg::Statement store = statement(
        kStoreMigrationSql, {manifest.name, number, migration.name, migration.sql, migration_checksum});
    CO_TRY_DO(co_await session.query(store, options));
  }
  const pg::Statement clear = statement(kClearSamplesSql, {manifest.name});
  CO_TRY_DO(co_await session.query(clear, options));
  for (std::size_t i = 0; i < bundle.samples.size(); ++i) {
    const std::string ordinal = std::to_string(i);
    const SampleData& sample = bundle.samples[i];
    const pg::Statement store =
        statement(kStoreSampleSql, {manifest.name, ordinal, sample.resource, sample.csv});
    CO_TRY_DO(co_await session.query(store, options));
  }
  co_return co_await session.commit(options);
}

Task<Result<std::vector<Target>>> find_targets(pg::Session& session, std::string pack, CallOptions options) {
  const pg::Statement query = statement(kTargetsSql, {pack});
  CO_TRY(const auto rows, co_await session.query(query, options));
  std::vector<Target> targets;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    Target target;
    target.name = rows.text(row, 0);
    target.database = rows.text(row, 1);
    target.schema = rows.text(row, 2);
    target.role = rows.text(row, 3);
    targets.push_back(std::move(target));
  }
  co_return targets;
}

Task<Result<int>> prepare_on(pg::Session& session, const Target& target, const Bundle& bundle,
                             CallOptions options) {
  CO_TRY(const auto migrated,
         co_await migrate_schema(session, target.schema, target.role, bundle, OnFinding::refuse, options));
  if (!migrated.findings.empty()) co_return refusal(bundle.manifest.name, migrated.findings);
  co_return migrated.migrations_run;
}

// The templates and pools first; then the tenants, one after the other, whatever fails.
class Installation {
 public:
  Installation(ContextGuard& guard, pg::Session& platform, const Bundle& bundle,
               const std::function<void(std::string_view)>& progress, Linter* linter, CallOptions options)
      : cluster_(guard.cluster()),
        guard_(guard),
        platform_(platform),
        bundle_(bundle),
        progress_(progress),
        linter_(linter),
        options_(options) {
    report_.pack = bundle.manifest.name;
    report_.to_version = bundle.manifest.version;
  }

  Task<Result<InstallReport>> run();

 private:
  Task<Result<bool>> is_wanted();  // false: everything is as it should be
  Task<Result<void>> lint_installed();
  Task<Result<void>> migrate_shared(std::string name, std::string database, std::string role);
  Task<Result<void>> migrate_tenants();
  Task<Result<int>> migrate_tenant(const Target& target);
  Task<Result<void>> count_unchanged();
  void tell(std::string_view target) const {
    if (progress_) progress_(target);
  }

  const Cluster& cluster_;
  ContextGuard& guard_;
  pg::Session& platform_;
  const Bundle& bundle_;
  const std::function<void(std::string_view)>& progress_;
  Linter* const linter_;  // null: whatever is broken, go on
  const CallOptions options_;
  const std::string checksum_ = checksum_of(bundle_);
  enum class Check { needed, done } check_ = Check::needed;
  std::optional<pg::Session> tenant_session_;  // to tenant_database_; schema-tier tenants share one
  std::string tenant_database_;
  InstallReport report_;
};

Task<Result<InstallReport>> Installation::run() {
  CO_TRY(const bool wanted, co_await is_wanted());
  if (!wanted) {
    CO_TRY_DO(co_await count_unchanged());
    co_return std::move(report_);
  }
  if (linter_ != nullptr && !report_.from_version.empty()) CO_TRY_DO(co_await lint_installed());
  if (check_ == Check::needed) {
    tell("check");
    CO_TRY(const auto findings, co_await check_in_scratch_database(cluster_, bundle_, options_));
    if (!findings.empty()) co_return refusal(report_.pack, findings);
  }
  // Nobody works in the template, and each clone gets its own role: it grants nothing.
  CO_TRY_DO(co_await migrate_shared("template", template_database_name(report_.pack), ""));
  CO_TRY_DO(co_await migrate_shared("pool", pool_database_name(report_.pack), std::string(kRuntimeRole)));
  CO_TRY_DO(co_await store_bundle(platform_, bundle_, checksum_, options_));
  CO_TRY_DO(co_await migrate_tenants());
  if (report_.failed.empty()) {
    const pg::Statement finish = statement(kFinishSql, {report_.pack, checksum_});
    CO_TRY_DO(co_await platform_.query(finish, options_));
  }
  co_return std::move(report_);
}

Task<Result<bool>> Installation::is_wanted() {
  CO_TRY(const auto stored, co_await find_stored(platform_, report_.pack, options_));
  if (!stored) co_return true;
  report_.from_version = stored->version;
  CO_TRY_DO(co_await compare_with_stored(platform_, *stored, bundle_, checksum_, options_));
  if (stored->checksum != checksum_) co_return true;
  check_ = Check::done;  // it was stored after it had passed
  co_return stored->upgrade_pending;
}

// A migration that runs over a broken installation may make it worse, and hides when it broke.
Task<Result<void>> Installation::lint_installed() {
  tell("lint");
  LintRequest request;
  request.pack = report_.pack;
  CO_TRY(const auto linted, co_await linter_->run(std::move(request), options_));
  const std::size_t errors = linted.count(Severity::error);
  if (errors == 0) co_return Result<void>();
  Error error = refused("The pack " + report_.pack + " is not upgraded: `rowhouse lint` finds " +
                        std::to_string(errors) + (errors == 1 ? " error" : " errors") +
                        " where it is installed. Mend them first, or skip this check");
  for (const LintFinding& finding : linted.findings) {
    if (finding.severity != Severity::error || error.fields.size() >= kMaxShownFindings) continue;
    std::string path = finding.database;
    for (const std::string& part : {finding.schema, finding.object}) path += part.empty() ? "" : "." + part;
    error.fields.emplace_back(path, finding.rule + ": " + finding.message + ". Fix: " + finding.fix);
  }
  co_return std::move(error).with_detail(std::string(kLintRefused), "errors");
}

Task<Result<void>> Installation::migrate_shared(std::string name, std::string database, std::string role) {
  tell(name);
  CO_TRY_DO(co_await cluster_.create_tenant_data_database(database, options_));
  CO_TRY_DO(co_await guard_.bring(database, options_));
  CO_TRY(auto session, co_await cluster_.migrator(database, options_));
  Target target;
  target.name = std::move(name);
  target.schema = kSharedSchema;
  target.role = std::move(role);
  CO_TRY(const int migrations_run, co_await prepare_on(session, target, bundle_, options_));
  if (migrations_run > 0) {
    report_.migrated.push_back(target.name);
  } else {
    ++report_.unchanged;
  }
  co_return Result<void>();
}

Task<Result<void>> Installation::migrate_tenants() {
  CO_TRY(const auto targets, co_await find_targets(platform_, report_.pack, options_));
  for (const Target& target : targets) {
    tell(target.name);
    auto migrated = co_await migrate_tenant(target);
    if (!migrated.ok()) {
      tenant_session_.reset();  // in whatever state it is
      const bool is_over = migrated.error().code == ErrorCode::cancelled ||
                           options_.deadline <= std::chrono::steady_clock::now();
      if (is_over) co_return std::move(migrated).error();
      report_.failed.emplace_back(target.name, words_of(migrated.error()));
    } else if (*migrated > 0) {
      report_.migrated.push_back(target.name);
    } else {
      ++report_.unchanged;
    }
  }
  tenant_session_.reset();
  co_return Result<void>();
}

Task<Result<int>> Installation::migrate_tenant(const Target& target) {
  if (!tenant_session_ || tenant_database_ != target.database) {
    tenant_session_.reset();
    CO_TRY(auto session, co_await cluster_.migrator(target.database, options_));
    tenant_session_.emplace(std::move(session));
    tenant_database_ = target.database;
  }
  co_return co_await prepare_on(*tenant_session_, target, bundle_, options_);
}

Task<Result<void>> Installation::count_unchanged() {
  constexpr std::size_t kTemplateAndPool = 2;
  CO_TRY(const auto targets, co_await find_targets(platform_, report_.pack, options_));
  report_.unchanged = targets.size() + kTemplateAndPool;
  co_return Result<void>();
}

Result<json::Value> parse_stored(std::string_view manifest) {
  auto document = json::parse(manifest);
  if (!document.ok())
    return Error(ErrorCode::internal, "A stored manifest cannot be read: " + document.error().message);
  return document;
}

}  // namespace

Task<Result<std::vector<Finding>>> PackStore::check(const Bundle& bundle, CallOptions options) {
  co_return co_await check_in_scratch_database(cluster_, bundle, options);
}

Task<Result<InstallReport>> PackStore::install(const Bundle& bundle,
                                               std::function<void(std::string_view target)> progress,
                                               CallOptions options, LintFirst lint) {
  CO_TRY(auto session, co_await platform_.acquire(options));
  const pg::Statement lock = statement(kLockSql, {bundle.manifest.name});
  CO_TRY_DO(co_await session.query(lock, options));
  Linter linter(cluster_, platform_);
  Installation installation(guard_, session, bundle, progress, lint == LintFirst::yes ? &linter : nullptr,
                            options);
  auto report = co_await installation.run();
  if (!report.ok()) co_return report;  // destroying the session gives the lock back
  const pg::Statement unlock = statement(kUnlockSql, {bundle.manifest.name});
  CO_TRY_DO(co_await session.query(unlock, options));
  co_return report;
}

Task<Result<int>> PackStore::prepare_schema(const std::string& database, const std::string& schema,
                                            const std::string& runtime_role, const Bundle& bundle,
                                            CallOptions options) {
  Target target;
  target.database = database;
  target.schema = schema;
  target.role = runtime_role;
  CO_TRY(auto session, co_await cluster_.migrator(database, options));
  co_return co_await prepare_on(session, target, bundle, options);
}

Task<Result<Bundle>> PackStore::stored_bundle(const std::string& pack, CallOptions options) {
  CO_TRY(auto session, co_await platform_.acquire(options));
  // One snapshot: an upgrade may be storing the next version.
  const std::string begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
  CO_TRY_DO(co_await session.script(begin, options));
  const pg::Statement find = statement(kFindSql, {pack});
  const pg::Statement find_migrations = statement(kMigrationsSql, {pack});
  const pg::Statement find_samples = statement(kSamplesSql, {pack});
  CO_TRY(const auto packs, co_await session.query(find, options));
  CO_TRY(const auto migrations, co_await session.query(find_migrations, options));
  CO_TRY(const auto samples, co_await session.query(find_samples, options));
  CO_TRY_DO(co_await session.commit(options));
  if (packs.size() == 0) co_return Error(ErrorCode::not_found, "There is no pack " + pack);

  Bundle bundle;
  CO_TRY(bundle.manifest_document, parse_stored(packs.text(0, 3)));
  CO_TRY(bundle.manifest, parse_manifest(bundle.manifest_document));
  for (std::size_t row = 0; row < migrations.size(); ++row) {
    bundle.migrations.emplace_back(static_cast<int>(parse_int64(migrations.text(row, 0)).value_or(0)),
                                   std::string(migrations.text(row, 1)),
                                   std::string(migrations.text(row, 2)));
  }
  for (std::size_t row = 0; row < samples.size(); ++row) {
    bundle.samples.emplace_back(std::string(samples.text(row, 0)), std::string(samples.text(row, 1)));
  }
  co_return bundle;
}

Task<Result<std::vector<std::shared_ptr<const Pack>>>> PackStore::load_all(CallOptions options) {
  const pg::Statement list = statement(kListSql, {});
  CO_TRY(const auto rows, co_await platform_.run(nullptr, list, options));
  std::vector<std::shared_ptr<const Pack>> packs;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const std::string name(rows.text(row, 0));
    CO_TRY(const auto document, parse_stored(rows.text(row, 1)));
    CO_TRY(auto manifest, parse_manifest(document));
    CO_TRY(auto session, co_await cluster_.migrator(pool_database_name(name), options));
    const std::string schema(kSharedSchema);
    CO_TRY(auto pack, co_await load_pack(session, schema, std::move(manifest), options));
    packs.push_back(std::make_shared<const Pack>(std::move(pack)));
  }
  co_return packs;
}

}  // namespace rowhouse::tenancy
