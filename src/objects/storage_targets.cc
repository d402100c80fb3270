// Configurations that are not used yet: of tenants that are being made, and targets of moves. See
// storage_configs.h.
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "objects/content.h"
#include "objects/storage_configs_impl.h"

namespace rowhouse::objects {

namespace {

constexpr std::size_t kProbeNameBytes = 12;
constexpr std::string_view kProbeText = "rowhouse";

constexpr std::string_view kSaveNewSql =
    "INSERT INTO platform.tenant_storage_configs (tenant_id, store, provider, sealed, store_hash) "
    "VALUES ($1::uuid, platform.next_store($1::uuid), $2::text, $3::bytea, $4::bytea)";

// Those that another move has left before they became active.
constexpr std::string_view kDropTargetsSql = R"(
DELETE FROM platform.tenant_storage_configs c
WHERE c.tenant_id = $1::uuid AND NOT c.active AND c.origin = 'byos'
  AND c.store > (SELECT a.store FROM platform.tenant_storage_configs a
                 WHERE a.tenant_id = c.tenant_id AND a.active))";

constexpr std::string_view kSaveTargetSql = R"(
INSERT INTO platform.tenant_storage_configs
  (tenant_id, store, active, provider, sealed, store_hash, proved_at, status, last_test_at, last_test_result)
VALUES ($1::uuid, $2::integer, false, $3::text, $4::bytea, $5::bytea,
        CASE WHEN $6::boolean THEN pg_catalog.now() END, 'working', pg_catalog.now(), $7::jsonb))";

Error same_place() {
  return Error(ErrorCode::validation_failed, "the storage is not valid")
      .with_field("/config", "is the place where the tenant's objects are already");
}

}  // namespace

// ------------------------------------------------------------------------------------- with a new tenant

Result<void> StorageConfigs::check(const StorageSetting& setting) const {
  TRY(const Checked wanted, checked(setting));
  return {};
}

Task<Result<void>> StorageConfigs::save_new(pg::Session& session, Uuid tenant, StorageSetting setting,
                                            CallOptions options) {
  CO_TRY(const Checked wanted, checked(setting));
  const auto lock = write(std::string(kLockSql), {to_hex(wanted.store_hash)});
  CO_TRY_DO(co_await session.query(lock, options));
  const auto read_used =
      write(std::string(kUsedSql), {tenant.to_string(), secrets::bytea_text(wanted.store_hash)});
  CO_TRY(const auto used, co_await session.query(read_used, options));
  if (used.text(0, 0) == "t") {
    co_return bucket_in_use(
        "make the tenant without a configuration and set it then, which tells how to prove that "
        "you control the bucket");
  }
  const std::string purpose = storage_purpose(setting.provider);
  CO_TRY(const std::string sealed,
         co_await secrets_.seal_in(session, tenant, purpose, json::serialize(setting.config), options));
  const auto insert =
      write(std::string(kSaveNewSql), {tenant.to_string(), setting.provider, secrets::bytea_text(sealed),
                                       secrets::bytea_text(wanted.store_hash)});
  CO_TRY_DO(co_await session.query(insert, options));
  co_return Result<void>();
}

Task<Result<void>> StorageConfigs::require_working(Uuid tenant, CallOptions options) {
  return require_working_number(tenant, kActive, options);
}

Task<Result<void>> StorageConfigs::require_working_number(Uuid tenant, int number, CallOptions options) {
  CO_TRY(const Stored stored, co_await read(tenant, number, options));
  CO_TRY(Store store, open_stored(stored));
  CO_TRY(const auto result, co_await probe(std::move(store), options));
  const auto update = write(std::string(kTestedSql), {tenant.to_string(), result.ok ? "working" : "failing",
                                                      json::serialize(result_document(result)),
                                                      stored.version, std::to_string(stored.number)});
  CO_TRY_DO(co_await platform_.run(nullptr, update, options));
  if (!result.ok) co_return probe_error(result);
  co_return Result<void>();
}

// ------------------------------------------------------------------------------------------- with a move

Task<Result<StorageConfigs::Target>> StorageConfigs::check_target(Uuid tenant, StorageSetting setting,
                                                                  CallOptions options) {
  CO_TRY(Checked wanted, checked(setting));
  CO_TRY(const Stored present, co_await read(tenant, kActive, options));
  CO_TRY(const Store from, open_stored(present));
  if (from->identity() == wanted.store->identity()) co_return same_place();
  CO_TRY(const bool is_used, co_await is_used_by_another(tenant, wanted.store_hash, options));
  Target target;
  if (is_used && present.store_hash != wanted.store_hash) {
    CO_TRY_DO(co_await prove_control(tenant, wanted, options));
    target.proof = Target::Proof::given;
  }
  CO_TRY(const auto result, co_await probe(wanted.store, options));
  if (!result.ok) co_return probe_error(result);
  CO_TRY_DO(co_await require_apart(from, wanted.store, options));
  target.provider = setting.provider;
  target.store_hash = std::move(wanted.store_hash);
  target.test_result = json::serialize(result_document(result));
  std::string purpose = storage_purpose(setting.provider);
  std::string text = json::serialize(setting.config);
  CO_TRY(target.sealed, co_await secrets_.seal(tenant, std::move(purpose), std::move(text), options));
  co_return target;
}

Task<Result<void>> StorageConfigs::save_target(pg::Session& session, Uuid tenant, int number, Target target,
                                               CallOptions options) {
  const auto lock = write(std::string(kLockSql), {to_hex(target.store_hash)});
  CO_TRY_DO(co_await session.query(lock, options));
  const auto drop = write(std::string(kDropTargetsSql), {tenant.to_string()});
  CO_TRY_DO(co_await session.query(drop, options));
  const bool is_proved = target.proof == Target::Proof::given;
  if (!is_proved) {
    const auto look =
        write(std::string(kTakenSql), {tenant.to_string(), secrets::bytea_text(target.store_hash)});
    CO_TRY(const auto used, co_await session.query(look, options));
    if (used.text(0, 0) == "t") {
      co_return bucket_in_use("try again to learn how to prove that you control it");
    }
  }
  const auto insert = write(std::string(kSaveTargetSql),
                            {tenant.to_string(), std::to_string(number), std::move(target.provider),
                             secrets::bytea_text(target.sealed), secrets::bytea_text(target.store_hash),
                             is_proved ? "true" : "false", std::move(target.test_result)});
  CO_TRY_DO(co_await session.query(insert, options));
  co_return Result<void>();
}

Task<Result<void>> StorageConfigs::require_target(Uuid tenant, int number, CallOptions options) {
  CO_TRY_DO(co_await require_working_number(tenant, number, options));
  CO_TRY(const TenantStore present, co_await open_tenant(tenant, options));
  if (present.number == number) co_return Result<void>();
  CO_TRY(const TenantStore target, co_await open_tenant_number(tenant, number, options));
  co_return co_await require_apart(present.store, target.store, options);
}

// Two names may lead to one place (an alias of a host, a link in a share). Copied onto themselves the objects
// would be lost when the old ones are removed, so what is put into one must not be seen in the other.
Task<Result<void>> StorageConfigs::require_apart(Store present, Store target, CallOptions options) {
  const std::string key = "rowhouse-probe/" + to_hex(crypto::random_bytes(kProbeNameBytes));
  TextSource source(kProbeText);
  storage::PutOptions put_options;
  CO_TRY_DO(co_await target->put(key, kProbeText.size(), source, std::move(put_options), options));
  const auto seen = co_await present->stat(key, options);
  std::vector<std::string> keys;
  keys.push_back(key);
  CO_TRY_DO(co_await target->remove(std::move(keys), options));
  if (seen.ok()) co_return same_place();
  if (seen.error().code != ErrorCode::not_found) {
    co_return Error(
        ErrorCode::storage_failed,
        "the storage that the tenant has does not answer, so nothing can be moved: " + seen.error().message);
  }
  co_return Result<void>();
}

}  // namespace rowhouse::objects
