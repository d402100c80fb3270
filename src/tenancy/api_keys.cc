// API keys of tenants: list, create, revoke. Rotation: key_rotation.cc.
#include <utility>

#include "base/text.h"
#include "tenancy/api_key.h"
#include "tenancy/api_key_rows.h"
#include "tenancy/grant_row.h"
#include "tenancy/manifest_roles.h"
#include "tenancy/tenants_impl.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::size_t kMaxActiveKeys = 100;

const std::string& list_sql() {
  static const std::string sql =
      "SELECT " + key_columns("k") +
      " FROM platform.api_keys k WHERE k.tenant_id = $1::uuid ORDER BY k.created_at, k.id";
  return sql;
}

// The audit record and the event of whatever `k` holds, then its columns.
std::string recorded(int first_parameter) {
  return ", recorded AS (" + audit::insert_sql(first_parameter, "k") + "), announced AS (" +
         outbox_sql(first_parameter + audit::kChangeParameters, "k", "tenant_id") + ") SELECT " +
         key_columns("k") + " FROM k";
}

// Nothing is inserted when the tenant is being deleted or has too many keys.
const std::string& create_sql() {
  static const std::string sql =
      "WITH k AS (INSERT INTO platform.api_keys (id, tenant_id, name, hint, hash, created_by, scopes, "
      "networks, expires_at) SELECT $2::uuid, t.id, $3::text, $4::text, $5::bytea, $6::text, $7::text[], "
      "$8::cidr[], $9::timestamptz FROM platform.tenants t "
      "WHERE t.id = $1::uuid AND t.status <> 'deleting' AND (SELECT count(*) FROM platform.api_keys o "
      "WHERE o.tenant_id = t.id AND o.revoked_at IS NULL) < " +
      std::to_string(kMaxActiveKeys) + " RETURNING *)" + recorded(10);
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

// Scopes that allow nothing in this pack are mistakes.
void check_scopes(const Permissions& scopes, const Pack& pack, Faults& faults) {
  const auto patterns = scopes.patterns();
  for (const std::string& pattern : patterns) {
    if (is_permission_of(pack.manifest, pattern)) continue;
    faults.emplace_back("/scopes", pattern + " is no operation of the pack " + pack.manifest.name);
  }
}

}  // namespace

Task<Result<std::vector<ApiKey>>> TenantService::keys(std::string id_or_slug, CallOptions options) {
  CO_TRY(const auto tenant, co_await impl_->read(std::move(id_or_slug), options));
  pg::Params params;
  params.emplace_back(tenant->id.to_string());
  const pg::Statement statement(list_sql(), std::move(params));
  CO_TRY(const auto rows, co_await impl_->platform.run(nullptr, statement, options));
  std::vector<ApiKey> keys;
  keys.reserve(rows.size());
  for (std::size_t row = 0; row < rows.size(); ++row) keys.push_back(key_from_row(rows, row));
  co_return keys;
}

Task<Result<NewApiKey>> TenantService::create_key(std::string id_or_slug, NewKey wanted, KeyMaker maker,
                                                  CallOptions options) {
  CO_TRY(const auto tenant, co_await impl_->read(std::move(id_or_slug), options));
  CO_TRY(const auto pack, co_await impl_->pack_named(tenant->pack_name, options));
  auto faults = faults_of_key(wanted, impl_->clock.now());
  check_scopes(*wanted.grant.permissions, *pack, faults);
  if (!faults.empty()) co_return error_of(std::move(faults));
  CO_TRY_DO(check_within(maker.own, wanted.grant));
  NewApiKey made;
  made.secret = make_credential(kTenantKeyPrefix);
  const std::string hint = hint_of_credential(made.secret);
  const Uuid id = Uuid::make_v7(impl_->clock.now());
  auto change = key_change(tenant->id, id, "key.created", maker.actor);
  change.new_json = key_summary(wanted, hint);
  pg::Params params;
  params.emplace_back(tenant->id.to_string());
  params.emplace_back(id.to_string());
  params.emplace_back(std::move(wanted.name));
  params.emplace_back(hint);
  params.emplace_back(bytea_text(hash_of_credential(made.secret)));
  params.emplace_back(maker.actor.name);
  append_grant(params, wanted.grant);
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
  if (rows.text(0, 0) == "0") co_return no_such_key(KeyTable::api_keys);
  co_return Result<void>();
}

}  // namespace rowhouse::tenancy
