#include <utility>

#include "base/text.h"
#include "observe/log.h"
#include "tenancy/tenants_impl.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::string_view kStaleAfter = "10 minutes";
constexpr std::size_t kMaxSwept = 1'000;

const std::string& delete_sql() {
  static const std::string sql =
      "WITH t AS (DELETE FROM platform.tenants WHERE id = $1::uuid AND status = 'deleting' "
      "RETURNING *), recorded AS (" +
      audit::insert_sql(2, "t") + "), announced AS (" + outbox_sql(2 + audit::kChangeParameters, "t") +
      ") SELECT id FROM t";
  return sql;
}

// What the registry could still hold of a tenant; usage, operations, audit and events are kept on purpose.
constexpr std::string_view kLeftSql = R"(
SELECT 'tenants' FROM platform.tenants WHERE id = $1::uuid
UNION ALL SELECT 'tenant_databases' FROM platform.tenant_databases WHERE tenant_id = $1::uuid
UNION ALL SELECT 'api_keys' FROM platform.api_keys WHERE tenant_id = $1::uuid
UNION ALL SELECT 'tenant_storage_configs' FROM platform.tenant_storage_configs WHERE tenant_id = $1::uuid
UNION ALL SELECT 'instances' FROM platform.instances WHERE tenant_id = $1::uuid)";

constexpr std::string_view kHasInstancesSql =
    "SELECT FROM platform.instances WHERE tenant_id = $1::uuid LIMIT 1";

const std::string& half_done_sql() {
  static const std::string sql =
      "SELECT " + std::string(kTenantColumns) + std::string(kTenantFrom) +
      "WHERE t.status IN ('provisioning', 'deleting') AND ($1::interval IS NULL OR "
      "t.updated_at < pg_catalog.now() - $1::interval) ORDER BY t.created_at LIMIT " +
      std::to_string(kMaxSwept);
  return sql;
}

pg::Statement about(std::string_view sql, const Uuid& tenant) {
  pg::Params params;
  params.emplace_back(tenant.to_string());
  return pg::Statement(std::string(sql), std::move(params));
}

}  // namespace

Task<Result<void>> TenantService::Impl::clear_away(std::shared_ptr<const Tenant> tenant, std::string action,
                                                   Actor actor) {
  const CallOptions options{deadline_in(kClearDeadline)};
  if (close_database && tenant->placement.tier == Tier::database) close_database(tenant->placement.database);
  CO_TRY_DO(co_await provisioner.remove(*tenant, options));

  auto change = change_of(tenant->id, std::move(action), actor);
  change.old_json = json::serialize(tenant_summary(*tenant));
  pg::Params params;
  params.emplace_back(tenant->id.to_string());
  audit::append_parameters(params, change);
  params.emplace_back(change.action);
  params.emplace_back(change.old_json);
  const pg::Statement statement(delete_sql(), std::move(params), pg::Access::write);
  CO_TRY_DO(co_await platform.run(nullptr, statement, options));
  announce(tenant->id);

  const auto proof = about(kLeftSql, tenant->id);
  CO_TRY(const auto left, co_await platform.run(nullptr, proof, options));
  if (left.size() > 0) {
    co_return Error(ErrorCode::internal, "tenant " + tenant->slug + " is not wholly removed, a row in " +
                                             std::string(left.text(0, 0)) + " is left; delete it again");
  }
  co_return Result<void>();
}

Task<Result<void>> TenantService::remove(std::string id_or_slug, Actor actor, CallOptions options) {
  CO_TRY(auto tenant, co_await impl_->read(std::move(id_or_slug), options));
  if (tenant->status == TenantStatus::provisioning) {
    co_return Error(ErrorCode::conflict, "the tenant is being created; delete it when that has ended");
  }
  const auto instances_statement = about(kHasInstancesSql, tenant->id);
  CO_TRY(const auto instances, co_await impl_->platform.run(nullptr, instances_statement, options));
  if (instances.size() > 0) {
    co_return Error(ErrorCode::conflict, "the tenant still has running instances; remove them first");
  }
  // From here on its keys are refused everywhere. One that is deleting already is a deletion that was cut
  // off, or one that runs elsewhere: every step may be done twice.
  while (tenant->status != TenantStatus::deleting) {
    const Uuid id = tenant->id;
    CO_TRY_DO(co_await impl_->set_status(*tenant, tenant->status, TenantStatus::deleting,
                                         "tenant.deletion_started", actor, options));
    CO_TRY(tenant, co_await impl_->read(id.to_string(), options));
  }
  co_return co_await impl_->clear_away(std::move(tenant), "tenant.deleted", std::move(actor));
}

Task<Result<std::size_t>> TenantService::Impl::sweep_one(std::shared_ptr<const Tenant> tenant,
                                                         CallOptions options) {
  Actor server("server", "");
  if (tenant->status == TenantStatus::provisioning) {
    CO_TRY(const auto closed, co_await set_status(*tenant, TenantStatus::provisioning, TenantStatus::deleting,
                                                  "tenant.creation_abandoned", server, options));
    if (closed == nullptr) co_return std::size_t{0};  // it was finished after all
  }
  CO_TRY_DO(co_await clear_away(std::move(tenant), "tenant.swept", std::move(server)));
  co_return std::size_t{1};
}

Task<Result<std::size_t>> TenantService::sweep(SweepScope scope, CallOptions options) {
  pg::Params params;
  params.emplace_back(scope == SweepScope::stale ? pg::Param(kStaleAfter) : std::nullopt);
  const pg::Statement statement(half_done_sql(), std::move(params));
  CO_TRY(const auto rows, co_await impl_->platform.run(nullptr, statement, options));
  const auto find_pack = impl_->finder();
  std::size_t swept = 0;
  std::optional<Error> failure;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    CO_TRY(auto tenant, tenant_from_row(rows, row, 0, find_pack));
    const std::string slug = tenant->slug;
    auto cleared = co_await impl_->sweep_one(std::move(tenant), options);
    if (cleared.ok()) {
      swept += *cleared;
      continue;
    }
    // One that cannot be cleared must not keep the others.
    observe::process_log().write_error("tenant_not_swept", cleared.error(), {{"tenant", slug}});
    failure = std::move(cleared).error();
  }
  if (failure && swept == 0) co_return std::move(*failure);
  co_return swept;
}

}  // namespace rowhouse::tenancy
