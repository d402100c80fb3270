#include "tenancy/pack_rows.h"

#include <initializer_list>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "tenancy/breaking_changes.h"
#include "tenancy/pack_names.h"
#include "tenancy/row_rules.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::string_view kFindSql =
    "SELECT version, checksum, upgrade_pending FROM platform.packs WHERE name = $1";
constexpr std::string_view kMigrationsSql =
    "SELECT name, checksum FROM platform.pack_migrations WHERE pack = $1 ORDER BY number";

constexpr std::string_view kCountSql =
    "SELECT pg_catalog.count(*) FROM platform.pack_migrations WHERE pack = $1";

constexpr std::string_view kStorePackSql =
    "INSERT INTO platform.packs (name, version, manifest, checksum, upgrade_pending) "
    "VALUES ($1, $2, $3::json, $4, true) "
    "ON CONFLICT (name) DO UPDATE SET version = excluded.version, manifest = excluded.manifest, "
    "checksum = excluded.checksum, upgrade_pending = true";
constexpr std::string_view kStoreMigrationSql =
    "INSERT INTO platform.pack_migrations (pack, number, name, sql, checksum) VALUES ($1, $2::integer, $3, "
    "$4, $5) "
    "ON CONFLICT (pack, number) DO NOTHING";
constexpr std::string_view kAnnounceSql =
    "UPDATE platform.packs SET upgrade_pending = true WHERE name = $1 RETURNING name";
constexpr std::string_view kAnnounceRowRulesSql =
    "INSERT INTO platform.settings (key, value) VALUES ($1, $2::jsonb) "
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value";
constexpr std::string_view kForgetRowRulesSql = "DELETE FROM platform.settings WHERE key = $1";
constexpr std::string_view kClearSamplesSql = "DELETE FROM platform.pack_sample_files WHERE pack = $1";
constexpr std::string_view kStoreSampleSql =
    "INSERT INTO platform.pack_sample_files (pack, ordinal, resource, content) VALUES ($1, $2::integer, $3, "
    "$4)";
constexpr std::string_view kFinishSql =
    "UPDATE platform.packs SET upgrade_pending = false WHERE name = $1 AND checksum = $2 AND upgrade_pending";

// Two that start at once: the second waits here, and then sees the first.
constexpr std::string_view kPlaceLockSql =
    "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('rowhouse pack ' || $1, 0))";
// The lock on the operation keeps a failed one from being retried at this moment.
constexpr std::string_view kActiveSql =
    "SELECT o.id, u.checksum, o.status IN ('pending', 'running', 'paused', 'undoing') "
    "FROM platform.pack_uploads u JOIN platform.operations o ON o.id = u.operation_id WHERE u.pack = $1 "
    "FOR UPDATE OF o";
constexpr std::string_view kUploadSql =
    "INSERT INTO platform.pack_uploads (pack, operation_id, checksum, bundle) VALUES ($1, $2::uuid, $3, $4) "
    "ON CONFLICT (pack) DO UPDATE SET operation_id = excluded.operation_id, checksum = excluded.checksum, "
    "bundle = excluded.bundle, uploaded_at = pg_catalog.now()";
constexpr std::string_view kFindUploadSql =
    "SELECT bundle FROM platform.pack_uploads WHERE operation_id = $1::uuid";
constexpr std::string_view kDropUploadSql =
    "UPDATE platform.pack_uploads SET bundle = NULL WHERE operation_id = $1::uuid RETURNING pack";

pg::Statement statement(std::string_view sql, std::initializer_list<std::string_view> values) {
  pg::Params params;
  for (const std::string_view value : values) params.emplace_back(std::string(value));
  return pg::Statement(std::string(sql), std::move(params), pg::Access::write, pg::Reuse::once);
}

Error refused(std::string message) { return Error(ErrorCode::pack_refused, std::move(message)); }

Error superseded() {
  return Error(ErrorCode::conflict,
               "another upgrade of this pack was started since; this one does not go on");
}

}  // namespace

BundleText bundle_text(const Bundle& bundle) {
  BundleText text;
  text.json = json::serialize(bundle_to_json(bundle));
  text.checksum = to_hex(crypto::sha256(text.json));
  return text;
}

Task<Result<std::optional<StoredPack>>> find_stored_pack(pg::Session& session, std::string pack,
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

Task<Result<std::size_t>> count_released(pg::Pool& platform, std::string pack, CallOptions options) {
  const pg::Statement query = statement(kCountSql, {pack});
  CO_TRY(const auto rows, co_await platform.run(nullptr, query, options));
  co_return static_cast<std::size_t>(parse_int64(rows.text(0, 0)).value_or(0));
}

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
    const std::string name(rows.text(row, 0));
    const std::string path = "migrations/" + name + ".sql";
    if (row >= bundle.migrations.size() || bundle.migrations[row].name != name) {
      co_return refused("The released migration " + name + " is missing")
          .with_field(path, "is missing, but it was released and has run");
    }
    if (bundle.migrations[row].checksum() != rows.text(row, 1)) {
      co_return refused("The released migration " + name + " was changed; add a further migration instead")
          .with_field(path, "was changed after its release; restore it, and add a further migration");
    }
  }
  if (stored.upgrade_pending && stored.checksum != checksum && has_contract(bundle, rows.size())) {
    co_return refused("The pack " + manifest.name + " takes away what version " + stored.version +
                      " has, and some tenants do not have that version yet; finish its upgrade first");
  }
  if (old_version == new_version && stored.checksum != checksum) {
    co_return refused("The pack " + manifest.name + " differs from the installed one, but both are version " +
                      manifest.version + "; give it a higher version");
  }
  co_return Result<void>();
}

namespace {

Task<Result<void>> store_migrations(pg::Session& session, const Bundle& bundle, CallOptions options) {
  for (const PackMigration& migration : bundle.migrations) {
    const std::string number = std::to_string(migration.number);
    const std::string checksum = migration.checksum();
    const pg::Statement store = statement(
        kStoreMigrationSql, {bundle.manifest.name, number, migration.name, migration.sql, checksum});
    CO_TRY_DO(co_await session.query(store, options));
  }
  co_return Result<void>();
}

}  // namespace

Task<Result<void>> announce_migrations(pg::Session& session, const Bundle& bundle, CallOptions options) {
  const pg::Statement announce = statement(kAnnounceSql, {bundle.manifest.name});
  CO_TRY(const auto rows, co_await session.query(announce, options));
  if (rows.size() == 0) co_return Result<void>();  // nobody has it yet
  const std::string key = announced_row_rules_key(bundle.manifest.name);
  const std::string rules = row_rules_json(bundle.manifest);
  const pg::Statement announce_rules = statement(kAnnounceRowRulesSql, {key, rules});
  CO_TRY_DO(co_await session.query(announce_rules, options));
  co_return co_await store_migrations(session, bundle, options);
}

Task<Result<void>> store_bundle(pg::Session& session, const Bundle& bundle, std::string checksum,
                                CallOptions options) {
  const Manifest& manifest = bundle.manifest;
  const std::string document = json::serialize(bundle.manifest_document);
  const pg::Statement store_pack =
      statement(kStorePackSql, {manifest.name, manifest.version, document, checksum});
  CO_TRY_DO(co_await session.query(store_pack, options));
  const std::string key = announced_row_rules_key(manifest.name);
  const pg::Statement forget = statement(kForgetRowRulesSql, {key});  // from here on the manifest says it
  CO_TRY_DO(co_await session.query(forget, options));
  CO_TRY_DO(co_await store_migrations(session, bundle, options));
  const pg::Statement clear = statement(kClearSamplesSql, {manifest.name});
  CO_TRY_DO(co_await session.query(clear, options));
  for (std::size_t i = 0; i < bundle.samples.size(); ++i) {
    const std::string ordinal = std::to_string(i);
    const SampleData& sample = bundle.samples[i];
    const pg::Statement store =
        statement(kStoreSampleSql, {manifest.name, ordinal, sample.resource, sample.csv});
    CO_TRY_DO(co_await session.query(store, options));
  }
  co_return Result<void>();
}

Task<Result<void>> finish_upgrade(pg::Session& session, std::string pack, std::string checksum,
                                  CallOptions options) {
  const pg::Statement finish = statement(kFinishSql, {pack, checksum});
  CO_TRY_DO(co_await session.query(finish, options));
  co_return Result<void>();
}

Task<Result<std::optional<ActiveUpgrade>>> take_upload_place(pg::Session& session, Uuid operation,
                                                             std::string pack, const BundleText& bundle,
                                                             CallOptions options) {
  std::optional<ActiveUpgrade> active;
  const pg::Statement lock = statement(kPlaceLockSql, {pack});
  CO_TRY_DO(co_await session.query(lock, options));
  const pg::Statement find = statement(kActiveSql, {pack});
  CO_TRY(const auto rows, co_await session.query(find, options));
  if (rows.size() > 0 && rows.text(0, 2) == "t") {
    active.emplace();
    active->operation = Uuid::parse(rows.text(0, 0)).value_or(Uuid());
    active->checksum = rows.text(0, 1);
    co_return active;
  }
  const std::string id = operation.to_string();
  const pg::Statement take = statement(kUploadSql, {pack, id, bundle.checksum, bundle.json});
  CO_TRY_DO(co_await session.query(take, options));
  co_return active;
}

Task<Result<std::optional<Bundle>>> find_upload(pg::Pool& platform, Uuid operation, CallOptions options) {
  std::optional<Bundle> found;
  const std::string id = operation.to_string();
  const pg::Statement find = statement(kFindUploadSql, {id});
  CO_TRY(const auto rows, co_await platform.run(nullptr, find, options));
  if (rows.size() == 0) co_return superseded();
  if (rows.is_null(0, 0)) co_return found;
  CO_TRY(const auto document, json::parse(rows.text(0, 0)));
  CO_TRY(auto bundle, bundle_from_json(document));
  found.emplace(std::move(bundle));
  co_return found;
}

Task<Result<void>> drop_upload(pg::Session& session, Uuid operation, CallOptions options) {
  const std::string id = operation.to_string();
  const pg::Statement drop = statement(kDropUploadSql, {id});
  CO_TRY(const auto rows, co_await session.query(drop, options));
  if (rows.size() == 0) co_return superseded();
  co_return Result<void>();
}

}  // namespace rowhouse::tenancy
