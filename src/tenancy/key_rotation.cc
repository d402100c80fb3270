// Rotation with an overlap, of API keys and of service keys: they differ in the table alone.
#include <utility>

#include "base/text.h"
#include "tenancy/api_key.h"
#include "tenancy/api_key_rows.h"
#include "tenancy/grant_row.h"
#include "tenancy/tenants_impl.h"

namespace rowhouse::tenancy {

namespace {

std::string table_of(KeyTable table) {
  return table == KeyTable::api_keys ? "platform.api_keys" : "platform.admin_tokens";
}

// $1: the tenant, null of a service key; $2: the key.
std::string is_wanted(KeyTable table) {
  return table == KeyTable::api_keys ? "k.tenant_id = $1::uuid AND k.id = $2::uuid"
                                     : "$1::uuid IS NULL AND k.kind = 'service' AND k.id = $2::uuid";
}

std::string rights_sql(KeyTable table) {
  return "SELECT " + grant_columns("k", "k.expires_at") +
         ", (k.revoked_at IS NOT NULL)::text, (extract(epoch FROM k.previous_until) * 1000)::bigint FROM " +
         table_of(table) + " k WHERE " + is_wanted(table);
}

// $5: now; $6: until when the secret of before is good, null if it ends. The conditions are looked at again:
// somebody else may rotate or revoke the key at the same time.
std::string rotate_sql(KeyTable table) {
  constexpr int kFirstRecordParameter = 7;
  const char* tenant = table == KeyTable::api_keys ? "tenant_id" : "NULL::uuid";
  return "WITH k AS (UPDATE " + table_of(table) +
         " k SET hash = $3::bytea, hint = $4::text, rotated_at = $5::timestamptz, previous_hash = CASE WHEN "
         "$6::timestamptz IS NOT NULL THEN hash END, previous_until = $6::timestamptz WHERE " +
         is_wanted(table) +
         " AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $5::timestamptz) AND "
         "($6::timestamptz IS NULL OR previous_until IS NULL OR previous_until <= $5::timestamptz) RETURNING "
         "*), recorded AS (" +
         audit::insert_sql(kFirstRecordParameter, "k") + "), announced AS (" +
         outbox_sql(kFirstRecordParameter + audit::kChangeParameters, "k", tenant) + ") SELECT " +
         key_columns("k") + " FROM k";
}

pg::Param id_or_null(const std::optional<Uuid>& id) { return id ? pg::Param(id->to_string()) : std::nullopt; }

std::string rotation_summary(std::string_view hint, std::chrono::seconds overlap) {
  json::Value values;
  values.set("hint", hint);
  values.set("overlap_seconds", static_cast<std::int64_t>(overlap.count()));
  return json::serialize(values);
}

audit::Change change_of_rotation(const KeyRotation& rotation, std::string_view hint) {
  const bool is_service = rotation.table == KeyTable::admin_tokens;
  audit::Change change(rotation.maker.actor.name, is_service ? "service_key.rotated" : "key.rotated");
  change.tenant = rotation.tenant;
  change.object_type = is_service ? "service_key" : "api_key";
  change.object_id = rotation.key.to_string();
  change.address = rotation.maker.actor.address;
  change.new_json = rotation_summary(hint, rotation.overlap);
  return change;
}

}  // namespace

// May the maker rotate the key, now?
Task<Result<void>> TenantService::Impl::check_rotation(const KeyRotation& rotation, CallOptions options) {
  pg::Params params;
  params.push_back(id_or_null(rotation.tenant));
  params.emplace_back(rotation.key.to_string());
  const pg::Statement statement(rights_sql(rotation.table), std::move(params));
  CO_TRY(const auto rows, co_await platform.run(nullptr, statement, options));
  if (rows.size() == 0) co_return no_such_key(rotation.table);
  CO_TRY(const Grant grant, grant_from_row(rows, 0, 0));
  CO_TRY_DO(check_within(rotation.maker.own, grant));
  const WallTime now = clock.now();
  if (rows.text(0, kGrantColumnCount) == "true" || grant.has_expired(now)) {
    co_return Error(ErrorCode::conflict, "the key is revoked or has expired: make a new one");
  }
  const auto previous_ms = parse_int64(rows.text(0, kGrantColumnCount + 1));
  const WallTime previous_until{std::chrono::milliseconds(previous_ms.value_or(0))};
  if (rotation.overlap > std::chrono::seconds(0) && previous_until > now) {
    co_return Error(ErrorCode::conflict,
                    "the key was rotated before, and that secret is good until " +
                        to_rfc3339(previous_until) +
                        ": wait, or rotate with an overlap of 0, which ends every older secret at once");
  }
  co_return Result<void>();
}

Task<Result<NewApiKey>> TenantService::Impl::rotate(KeyRotation rotation, CallOptions options) {
  CO_TRY_DO(co_await check_rotation(rotation, options));
  const bool overlaps = rotation.overlap > std::chrono::seconds(0);
  NewApiKey made;
  made.secret = make_credential(rotation.table == KeyTable::api_keys ? kTenantKeyPrefix : kAdminTokenPrefix);
  const std::string hint = hint_of_credential(made.secret);
  const WallTime now = clock.now();
  const auto change = change_of_rotation(rotation, hint);
  json::Value payload;
  payload.set("key", change.object_id);
  pg::Params params;
  params.push_back(id_or_null(rotation.tenant));
  params.emplace_back(rotation.key.to_string());
  params.emplace_back(bytea_text(hash_of_credential(made.secret)));
  params.emplace_back(hint);
  params.emplace_back(to_rfc3339(now));
  params.emplace_back(overlaps ? pg::Param(to_rfc3339(now + rotation.overlap)) : std::nullopt);
  audit::append_parameters(params, change);
  params.emplace_back(change.action);
  params.emplace_back(json::serialize(payload));
  const pg::Statement statement(rotate_sql(rotation.table), std::move(params), pg::Access::write);
  CO_TRY(const auto rows, co_await platform.run(nullptr, statement, options));
  if (rows.size() == 0) {
    co_return Error(ErrorCode::conflict, "the key was rotated or revoked at the same time; look at it again");
  }
  if (rotation.tenant) announce(*rotation.tenant);
  made.key = key_from_row(rows, 0);
  co_return made;
}

Task<Result<NewApiKey>> TenantService::rotate_key(std::string id_or_slug, Uuid key_id,
                                                  std::chrono::seconds overlap, KeyMaker maker,
                                                  CallOptions options) {
  CO_TRY(const auto tenant, co_await impl_->read(std::move(id_or_slug), options));
  KeyRotation rotation(KeyTable::api_keys, tenant->id, key_id, overlap, std::move(maker));
  co_return co_await impl_->rotate(std::move(rotation), options);
}

Task<Result<NewApiKey>> TenantService::rotate_service_key(Uuid key_id, std::chrono::seconds overlap,
                                                          KeyMaker maker, CallOptions options) {
  KeyRotation rotation(KeyTable::admin_tokens, std::nullopt, key_id, overlap, std::move(maker));
  co_return co_await impl_->rotate(std::move(rotation), options);
}

}  // namespace rowhouse::tenancy
