#include <utility>

#include "base/text.h"
#include "tenancy/api_key.h"
#include "tenancy/tenant_input.h"
#include "tenancy/tenants_impl.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::size_t kMaxActiveKeys = 100;

// RFC 3339 in UTC, as everywhere; null stays null.
std::string rfc3339(std::string_view column) {
  return "pg_catalog.to_char(" + std::string(column) +
         " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
}

std::string key_columns() {
  return "k.id, k.name, k.hint, " + rfc3339("k.created_at") + ", " + rfc3339("k.expires_at") + ", " +
         rfc3339("k.revoked_at") + ", " + rfc3339("k.last_used_at");
}

const std::string& list_sql() {
  static const std::string sql =
      "SELECT " + key_columns() +
      " FROM platform.api_keys k WHERE k.tenant_id = $1::uuid ORDER BY k.created_at, k.id";
  return sql;
}

// Nothing is inserted when the tenant is being deleted or has too many keys.
const std::string& create_sql() {
  static const std::string sql =
      "WITH k AS (INSERT INTO platform.api_keys (id, tenant_id, name, hint, hash, expires_at) "
      "SELECT $2::uuid, t.id, $3::text, $4::text, $5::bytea, $6::timestamptz FROM platform.tenants t "
      "WHERE t.id = $1::uuid AND t.status <> 'deleting' AND (SELECT count(*) FROM platform.api_keys o "
      "WHERE o.tenant_id = t.id AND o.revoked_at IS NULL) < " +
      std::to_string(kMaxActiveKeys) + " RETURNING *), recorded AS (" + audit::insert_sql(7, "k") +
      "), announced AS (" + outbox_sql(7 + audit::kChangeParameters, "k", "tenant_id") + ") SELECT " +
      key_columns() + " FROM k";
  return sql;
}

const std::string& revoke_sql() {
  static const std::string sql =
      "WITH k AS (UPDATE platform.api_keys SET revoked_at = pg_catalog.now() WHERE id = $2::uuid AND "
      "tenant_id = "
      "$1::uuid AND revoked_at IS NULL RETURNING *), recorded AS (" +
      audit::insert_sql(3, "k") + "), announced AS (" +
      outbox_sql(3 + audit::kChangeParameters, "k", "tenant_id") +
      ") SELECT (SELECT count(*) FROM k) + (SELECT count(*) FROM platform.api_keys WHERE id = $2::uuid AND "
      "tenant_id "
      "= $1::uuid)";
  return sql;
}

ApiKey key_from_row(const pg::Rows& rows, std::size_t row) {
  ApiKey key;
  key.id = Uuid::parse(rows.text(row, 0)).value_or(Uuid());
  key.name = rows.text(row, 1);
  key.hint = rows.text(row, 2);
  key.created_at = rows.text(row, 3);
  key.expires_at = rows.text(row, 4);
  key.revoked_at = rows.text(row, 5);
  key.last_used_at = rows.text(row, 6);
  return key;
}

audit::Change key_change(const Uuid& tenant, const Uuid& key, std::string action, const Actor& actor) {
  auto change = change_of(tenant, std::move(action), actor);
  change.object_type = "api_key";
  change.object_id = key.to_string();
  return change;
}

void append_records(pg::Params& params, const audit::Change& change) {
  audit::append_parameters(params, change);
  params.emplace_back(change.action);
  json::Value payload;
  payload.set("key", change.object_id);
  params.emplace_back(json::serialize(payload));
}

Faults faults_of_key(const std::string& name, const std::optional<WallTime>& expires_at, WallTime now) {
  Faults faults;
  check_name("/name", name, faults);
  if (expires_at && *expires_at <= now) faults.emplace_back("/expires_at", "must be in the future");
  return faults;
}

}  // namespace

Task<Result<std::vector<ApiKey>>> TenantService::keys(std::string id_or_slug, CallOptions options) {
  CO_TRY(const auto tenant, co_await impl_->read(std::move(id_or_slug), options));
  pg::Params params;
  params.emplace_back(tenant->id.to_string());
  const pg::Statement statement(list_sql(), std::move(params));
  CO_TRY(const auto rows, co_await impl_->platform.run(nullptr, statement, options));
  std::vector<ApiKey> keys;
  for (std::size_t row = 0; row < rows.size(); ++row) keys.push_back(key_from_row(rows, row));
  co_return keys;
}

Task<Result<NewApiKey>> TenantService::create_key(std::string id_or_slug, std::string name,
                                                  std::optional<WallTime> expires_at, Actor actor,
                                                  CallOptions options) {
  auto faults = faults_of_key(name, expires_at, impl_->clock.now());
  if (!faults.empty()) co_return error_of(std::move(faults));
  CO_TRY(const auto tenant, co_await impl_->read(std::move(id_or_slug), options));
  NewApiKey made;
  made.secret = make_credential(kTenantKeyPrefix);
  const Uuid id = Uuid::make_v7(impl_->clock.now());
  auto change = key_change(tenant->id, id, "key.created", actor);
  json::Value values;
  values.set("name", name);
  values.set("hint", hint_of_credential(made.secret));
  change.new_json = json::serialize(values);
  pg::Params params;
  params.emplace_back(tenant->id.to_string());
  params.emplace_back(id.to_string());
  params.emplace_back(std::move(name));
  params.emplace_back(hint_of_credential(made.secret));
  params.emplace_back(bytea_text(hash_of_credential(made.secret)));
  params.emplace_back(expires_at ? pg::Param(to_rfc3339(*expires_at)) : std::nullopt);
  append_records(params, change);
  const pg::Statement statement(create_sql(), std::move(params), pg::Access::write);
  CO_TRY(const auto rows, co_await impl_->platform.run(nullptr, statement, options));
  if (rows.size() == 0) {
    co_return Error(ErrorCode::conflict, "the tenant is being deleted, or has " +
                                             std::to_string(kMaxActiveKeys) +
                                             " keys already; revoke one that is not needed");
  }
  impl_->announce(tenant->id);
  made.key = key_from_row(rows, 0);
  co_return made;
}

Task<Result<void>> TenantService::revoke_key(std::string id_or_slug, Uuid key_id, Actor actor,
                                             CallOptions options) {
  CO_TRY(const auto tenant, co_await impl_->read(std::move(id_or_slug), options));
  const auto change = key_change(tenant->id, key_id, "key.revoked", actor);
  pg::Params params;
  params.emplace_back(tenant->id.to_string());
  params.emplace_back(key_id.to_string());
  append_records(params, change);
  const pg::Statement statement(revoke_sql(), std::move(params), pg::Access::write);
  CO_TRY(const auto rows, co_await impl_->platform.run(nullptr, statement, options));
  impl_->announce(tenant->id);
  if (rows.text(0, 0) == "0") co_return Error(ErrorCode::not_found, "the tenant has no such key");
  co_return Result<void>();
}

}  // namespace rowhouse::tenancy
