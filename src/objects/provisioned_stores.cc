#include "objects/provisioned_stores.h"

#include <optional>
#include <string_view>
#include <utility>

#include "base/json.h"

namespace rowhouse::objects {
namespace {

// No row when the tenant has a storage that it brought along, or is gone.
constexpr std::string_view kKeepSql = R"(
INSERT INTO platform.tenant_storage_configs (tenant_id, store, provider, sealed, origin, status)
SELECT id, platform.next_store(id), $2::text, $3::bytea, 'provisioned', 'working'
FROM platform.tenants WHERE id = $1::uuid
ON CONFLICT (tenant_id) WHERE active DO UPDATE SET provider = EXCLUDED.provider, sealed = EXCLUDED.sealed,
  version = tenant_storage_configs.version + 1
WHERE tenant_storage_configs.origin = 'provisioned'
RETURNING tenant_id)";

// The same, as the target of a move.
constexpr std::string_view kKeepTargetSql = R"(
INSERT INTO platform.tenant_storage_configs (tenant_id, store, active, provider, sealed, origin, status)
SELECT id, $4::integer, false, $2::text, $3::bytea, 'provisioned', 'working'
FROM platform.tenants WHERE id = $1::uuid
ON CONFLICT (tenant_id, store) DO UPDATE SET provider = EXCLUDED.provider, sealed = EXCLUDED.sealed,
  version = tenant_storage_configs.version + 1
WHERE tenant_storage_configs.origin = 'provisioned'
RETURNING tenant_id)";

constexpr std::string_view kForgetSql = R"(
DELETE FROM platform.tenant_storage_configs WHERE tenant_id = $1::uuid AND origin = 'provisioned')";

constexpr std::string_view kHasSql = R"(
SELECT FROM platform.tenant_storage_configs WHERE tenant_id = $1::uuid AND origin = 'provisioned')";

}  // namespace

Task<Result<void>> ProvisionedStores::make(Uuid tenant, std::uint64_t quota_bytes, CallOptions options) {
  return make_as(tenant, std::nullopt, quota_bytes, options);
}

Task<Result<void>> ProvisionedStores::make_target(Uuid tenant, int number, std::uint64_t quota_bytes,
                                                  CallOptions options) {
  return make_as(tenant, number, quota_bytes, options);
}

Task<Result<void>> ProvisionedStores::make_as(Uuid tenant, std::optional<int> number,
                                              std::uint64_t quota_bytes, CallOptions options) {
  if (admin_ == nullptr) {
    co_return Error(ErrorCode::storage_not_configured,
                    "this installation provisions no storage (storage_provisioned)");
  }
  CO_TRY(auto made, co_await admin_->create(tenant, quota_bytes, options));
  std::string purpose = "storage " + made.provider + " config";
  std::string text = json::serialize(made.config);
  CO_TRY(const std::string sealed,
         co_await secrets_.seal(tenant, std::move(purpose), std::move(text), options));
  pg::Params params;
  params.emplace_back(tenant.to_string());
  params.emplace_back(std::move(made.provider));
  params.emplace_back(secrets::bytea_text(sealed));
  if (number) params.emplace_back(std::to_string(*number));
  const pg::Statement keep(std::string(number ? kKeepTargetSql : kKeepSql), std::move(params),
                           pg::Access::write);
  CO_TRY(const auto kept, co_await platform_.run(nullptr, keep, options));
  if (kept.size() == 0) {
    co_return Error(ErrorCode::conflict, "the tenant has another storage, or is being removed");
  }
  co_return Result<void>();
}

Task<Result<bool>> ProvisionedStores::has_store(Uuid tenant, CallOptions options) {
  pg::Params params;
  params.emplace_back(tenant.to_string());
  const pg::Statement look(std::string(kHasSql), std::move(params));
  CO_TRY(const auto rows, co_await platform_.run(nullptr, look, options));
  co_return rows.size() > 0;
}

Task<Result<void>> ProvisionedStores::remove(Uuid tenant, CallOptions options) {
  if (admin_ == nullptr) {
    CO_TRY(const bool has, co_await has_store(tenant, options));
    if (!has) co_return Result<void>();
    co_return Error(ErrorCode::storage_not_configured,
                    "the tenant has provisioned storage, and this server is not told how to remove it "
                    "(storage_provisioned)");
  }
  CO_TRY_DO(co_await admin_->remove(tenant, options));
  pg::Params params;
  params.emplace_back(tenant.to_string());
  const pg::Statement forget(std::string(kForgetSql), std::move(params), pg::Access::write);
  CO_TRY_DO(co_await platform_.run(nullptr, forget, options));
  co_return Result<void>();
}

}  // namespace rowhouse::objects
