#include "tenancy/packs.h"

#include <utility>

#include "base/text.h"
#include "tenancy/pack_migrator.h"
#include "tenancy/row_rules.h"
#include "tenancy/scratch_check.h"
#include "tenancy/tenant.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::string_view kFindSql = "SELECT manifest FROM platform.packs WHERE name = $1";
constexpr std::string_view kListSql = "SELECT name, manifest FROM platform.packs ORDER BY name";
constexpr std::string_view kMigrationsSql =
    "SELECT number, name, sql, checksum FROM platform.pack_migrations WHERE pack = $1 ORDER BY number";
constexpr std::string_view kSettingSql = "SELECT value FROM platform.settings WHERE key = $1";
constexpr std::string_view kSamplesSql =
    "SELECT resource, content FROM platform.pack_sample_files WHERE pack = $1 ORDER BY ordinal";

pg::Statement statement(std::string_view sql, std::initializer_list<std::string_view> values) {
  pg::Params params;
  for (const std::string_view value : values) params.emplace_back(std::string(value));
  return pg::Statement(std::string(sql), std::move(params), pg::Access::write, pg::Reuse::once);
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

Task<Result<int>> PackStore::prepare_schema(const std::string& database, const std::string& schema,
                                            const std::string& runtime_role, const Bundle& bundle,
                                            CallOptions options) {
  CO_TRY(auto session, co_await cluster_.migrator(database, options));
  CO_TRY(const auto migrated,
         co_await migrate_schema(session, schema, runtime_role, bundle, OnFinding::refuse, options));
  if (!migrated.findings.empty()) co_return refusal(bundle.manifest.name, migrated.findings);
  co_return migrated.migrations_run;
}

Task<Result<Bundle>> PackStore::stored_bundle(const std::string& pack, CallOptions options) {
  CO_TRY(auto session, co_await platform_.acquire(options));
  // One snapshot: an upgrade may be storing the next version.
  const std::string begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
  CO_TRY_DO(co_await session.script(begin, options));
  const pg::Statement find = statement(kFindSql, {pack});
  const pg::Statement find_migrations = statement(kMigrationsSql, {pack});
  const pg::Statement find_samples = statement(kSamplesSql, {pack});
  const std::string key = announced_row_rules_key(pack);
  const pg::Statement find_row_rules = statement(kSettingSql, {key});
  CO_TRY(const auto packs, co_await session.query(find, options));
  CO_TRY(const auto migrations, co_await session.query(find_migrations, options));
  CO_TRY(const auto samples, co_await session.query(find_samples, options));
  CO_TRY(const auto row_rules, co_await session.query(find_row_rules, options));
  CO_TRY_DO(co_await session.commit(options));
  if (packs.size() == 0) co_return Error(ErrorCode::not_found, "There is no pack " + pack);

  Bundle bundle;
  CO_TRY(bundle.manifest_document, parse_stored(packs.text(0, 0)));
  CO_TRY(bundle.manifest, parse_manifest(bundle.manifest_document));
  if (row_rules.size() > 0) bundle.announced_row_rules = row_rules.text(0, 0);
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
