// Whether every place of a pack looks as the others with the same migrations do.
#include <utility>

#include "tenancy/lint_drift.h"
#include "tenancy/lint_inventory.h"
#include "tenancy/lint_snapshot.h"
#include "tenancy/pack_drift_memory.h"
#include "tenancy/pack_upgrade_impl.h"

namespace rowhouse::tenancy {

namespace {

// With fewer schemas, remembering takes longer than reading.
constexpr std::size_t kWorthRemembering = 3;

std::vector<AlikeSchemas> each_alone(std::size_t schemas) {
  std::vector<AlikeSchemas> groups;
  for (std::size_t i = 0; i < schemas; ++i) groups.push_back(AlikeSchemas(1, i));
  return groups;
}

Task<Result<Fingerprints>> read_some(const Cluster& cluster, pg::Session& session, const LintTarget& target,
                                     const AlikeSchemas& positions, CallOptions options) {
  LintTarget part = target;
  part.schemas.clear();
  for (const std::size_t i : positions) part.schemas.push_back(target.schemas[i]);
  Fingerprints fingerprints;
  if (part.schemas.empty()) co_return fingerprints;
  std::vector<AlikeSchemas> groups = each_alone(part.schemas.size());
  // Looking for alike ones reads whole catalogs, however few schemas it is asked for.
  if (joins_of(part.schemas.size()) == JoinsOf::many_schemas) {
    CO_TRY(groups, co_await find_alike(cluster, session, part, options));
  }
  CO_TRY_DO(co_await use_joins(session, joins_of(part.schemas.size()), options));
  CO_TRY(const auto linted, co_await read_linted_schemas(session, part, groups, options));
  for (const LintedSchema& schema : linted) fingerprints.emplace(schema.schema->schema, schema.hash);
  co_return fingerprints;
}

struct Looked {
  std::vector<LintedSchema> schemas;
  std::size_t read_anew = 0;
};

Task<Result<Looked>> look_at_many(const Cluster& cluster, pg::Pool& platform, const LintTarget& target,
                                  DriftReading reading, CallOptions options) {
  DriftMemory memory(platform, target);
  CO_TRY_DO(co_await memory.recall(options));
  CO_TRY(auto session, co_await catalog_snapshot(cluster, target.database, options));
  const auto trust =
      reading == DriftReading::everything ? DriftMemory::Trust::nothing : DriftMemory::Trust::what_is_proven;
  CO_TRY(const AlikeSchemas changed, co_await memory.changed(session, trust, options));
  CO_TRY(Fingerprints fingerprints, co_await read_some(cluster, session, target, changed, options));
  CO_TRY_DO(co_await memory.remember(fingerprints, options));
  CO_TRY(auto migrations, co_await read_migrations(session, options));
  Looked looked;
  looked.read_anew = changed.size();
  for (const LintSchema& known : target.schemas) {
    const auto fingerprint = fingerprints.find(known.schema);
    if (fingerprint == fingerprints.end()) continue;  // it is not there
    LintedSchema& schema = looked.schemas.emplace_back();
    schema.target = &target;
    schema.schema = &known;
    schema.migrations = migrations[known.schema];
    schema.hash = fingerprint->second;
  }
  co_return looked;
}

Task<Result<Looked>> look_at(const Cluster& cluster, pg::Pool& platform, const LintTarget& target,
                             DriftReading reading, CallOptions options) {
  if (target.schemas.size() >= kWorthRemembering)
    co_return co_await look_at_many(cluster, platform, target, reading, options);
  CO_TRY(auto session, co_await catalog_snapshot(cluster, target.database, options));
  const std::vector<AlikeSchemas> groups = each_alone(target.schemas.size());
  CO_TRY_DO(co_await use_joins(session, JoinsOf::few_schemas, options));
  Looked looked;
  CO_TRY(looked.schemas, co_await read_linted_schemas(session, target, groups, options));
  looked.read_anew = looked.schemas.size();
  co_return looked;
}

}  // namespace

Task<Result<DriftReport>> PackUpgrades::drift(std::string pack, DriftReading reading, CallOptions options) {
  CO_TRY(const LintInventory inventory, co_await read_lint_inventory(impl_->platform, options));
  if (!inventory.manifests.contains(pack))
    co_return Error(ErrorCode::not_found, "there is no pack \"" + pack + "\"");
  DriftReport report;
  std::vector<LintedSchema> schemas;
  for (const LintTarget& target : inventory.targets) {
    if (target.pack != pack) continue;
    auto looked = co_await look_at(impl_->cluster, impl_->platform, target, reading, options);
    if (!looked.ok() && looked.error().code == ErrorCode::database_unavailable) {
      report.unreachable.push_back(target.database);
      continue;
    }
    if (!looked.ok()) co_return std::move(looked).error();
    report.read_anew += looked->read_anew;
    for (LintedSchema& schema : looked->schemas) schemas.push_back(std::move(schema));
  }
  report.schemas = schemas.size();
  CO_TRY(report.findings, co_await find_drift(impl_->cluster, schemas, inventory, options));
  co_return report;
}

}  // namespace rowhouse::tenancy
