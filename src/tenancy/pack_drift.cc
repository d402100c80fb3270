// Whether every place of a pack looks as the others with the same migrations do.
#include <utility>

#include "tenancy/lint_drift.h"
#include "tenancy/lint_inventory.h"
#include "tenancy/lint_snapshot.h"
#include "tenancy/pack_upgrade_impl.h"

namespace rowhouse::tenancy {

namespace {

Task<Result<std::vector<LintedSchema>>> look_at(const Cluster& cluster, const LintTarget& target,
                                                CallOptions options) {
  CO_TRY(auto session, co_await catalog_snapshot(cluster, target.database, options));
  CO_TRY(const auto groups, co_await find_alike(cluster, session, target, options));
  CO_TRY_DO(co_await use_joins(session, joins_of(target.schemas.size()), options));
  co_return co_await read_linted_schemas(session, target, groups, options);
}

}  // namespace

Task<Result<DriftReport>> PackUpgrades::drift(std::string pack, CallOptions options) {
  CO_TRY(const LintInventory inventory, co_await read_lint_inventory(impl_->platform, options));
  if (!inventory.manifests.contains(pack))
    co_return Error(ErrorCode::not_found, "there is no pack \"" + pack + "\"");
  DriftReport report;
  std::vector<LintedSchema> schemas;
  for (const LintTarget& target : inventory.targets) {
    if (target.pack != pack) continue;
    auto looked_at = co_await look_at(impl_->cluster, target, options);
    if (!looked_at.ok() && looked_at.error().code == ErrorCode::database_unavailable) {
      report.unreachable.push_back(target.database);
      continue;
    }
    if (!looked_at.ok()) co_return std::move(looked_at).error();
    for (LintedSchema& schema : *looked_at) schemas.push_back(std::move(schema));
  }
  report.schemas = schemas.size();
  CO_TRY(report.findings, co_await find_drift(impl_->cluster, schemas, inventory, options));
  co_return report;
}

}  // namespace rowhouse::tenancy
