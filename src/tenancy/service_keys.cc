// Service keys: credentials of the platform for programs. They are in one table with the admins' tokens, and
// found in the same way.
#include <utility>

#include "tenancy/api_key.h"
#include "tenancy/api_key_rows.h"
#include "tenancy/grant_row.h"
#include "tenancy/tenants_impl.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::size_t kMaxActiveKeys = 500;
constexpr std::string_view kNameTaken = "service_keys_by_name";

const std::string& list_sql() {
  static const std::string sql = "SELECT " + key_columns("a") +
                                 " FROM platform.admin_tokens a WHERE a.kind = 'service' ORDER BY "
                                 "a.created_at, a.id";
  return sql;
}

const std::string& create_sql() {
  static const std::string sql =
      "WITH k AS (INSERT INTO platform.admin_tokens (kind, id, name, hint, hash, created_by, scopes, "
      "networks, "
      "expires_at) SELECT 'service', $1::uuid, $2::text, $3::text, $4::bytea, $5::text, $6::text[], "
      "$7::cidr[], "
      "$8::timestamptz WHERE (SELECT count(*) FROM platform.admin_tokens o WHERE o.kind = 'service' AND "
      "o.revoked_at IS NULL) < " +
      std::to_string(kMaxActiveKeys) + " RETURNING *), recorded AS (" + audit::insert_sql(9, "k") +
      "), announced AS (" + outbox_sql(9 + audit::kChangeParameters, "k", "NULL::uuid") + ") SELECT " +
      key_columns("k") + " FROM k";
  return sql;
}

const std::string& revoke_sql() {
  static const std::string sql =
      "WITH k AS (UPDATE platform.admin_tokens SET revoked_at = pg_catalog.now() WHERE id = $1::uuid AND "
      "kind = 'service' AND revoked_at IS NULL RETURNING *), recorded AS (" +
      audit::insert_sql(2, "k") + "), announced AS (" +
      outbox_sql(2 + audit::kChangeParameters, "k", "NULL::uuid") +
      ") SELECT (SELECT count(*) FROM k) + (SELECT count(*) FROM platform.admin_tokens WHERE id = $1::uuid "
      "AND kind = 'service')";
  return sql;
}

audit::Change change_of_key(const Uuid& key, std::string action, const Actor& actor) {
  audit::Change change(actor.name, std::move(action));
  change.object_type = "service_key";
  change.object_id = key.to_string();
  change.address = actor.address;
  return change;
}

void append_records(pg::Params& params, const audit::Change& change) {
  audit::append_parameters(params, change);
  params.emplace_back(change.action);
  json::Value payload;
  payload.set("key", change.object_id);
  params.emplace_back(json::serialize(payload));
}

// Is there a platform operation that the pattern allows?
bool is_platform_pattern(std::string_view pattern) {
  if (pattern == "*" || is_platform_operation(pattern)) return true;
  if (!pattern.ends_with(":*")) return false;
  for (const auto& own : kPlatformOperations) {
    if (operation_kind(own.name) == operation_kind(pattern)) return true;
  }
  return false;
}

}  // namespace

Task<Result<std::vector<ApiKey>>> TenantService::service_keys(CallOptions options) {
  const pg::Statement statement{std::string(list_sql())};
  CO_TRY(const auto rows, co_await impl_->platform.run(nullptr, statement, options));
  std::vector<ApiKey> keys;
  keys.reserve(rows.size());
  for (std::size_t row = 0; row < rows.size(); ++row) keys.push_back(key_from_row(rows, row));
  co_return keys;
}

Task<Result<NewApiKey>> TenantService::create_service_key(NewKey wanted, KeyMaker maker,
                                                          CallOptions options) {
  auto faults = faults_of_key(wanted, impl_->clock.now());
  const auto patterns = wanted.grant.permissions->patterns();
  for (const std::string& pattern : patterns) {
    if (!is_platform_pattern(pattern))
      faults.emplace_back("/scopes", pattern + " is no operation of the platform");
  }
  if (!faults.empty()) co_return error_of(std::move(faults));
  CO_TRY_DO(check_within(maker.own, wanted.grant));
  NewApiKey made;
  made.secret = make_credential(kAdminTokenPrefix);
  const std::string hint = hint_of_credential(made.secret);
  const Uuid id = Uuid::make_v7(impl_->clock.now());
  auto change = change_of_key(id, "service_key.created", maker.actor);
  change.new_json = key_summary(wanted, hint);
  pg::Params params;
  params.emplace_back(id.to_string());
  params.emplace_back(wanted.name);
  params.emplace_back(hint);
  params.emplace_back(bytea_text(hash_of_credential(made.secret)));
  params.emplace_back(maker.actor.name);
  append_grant(params, wanted.grant);
  append_records(params, change);
  const pg::Statement statement(create_sql(), std::move(params), pg::Access::write);
  auto rows = co_await impl_->platform.run(nullptr, statement, options);
  if (!rows.ok() && violated_constraint(rows.error()) == kNameTaken) {
    co_return Error(ErrorCode::conflict, "there is a service key of this name; revoke it first")
        .with_field("/name", "is taken");
  }
  if (!rows.ok()) co_return std::move(rows).error();
  if (rows->size() == 0) {
    co_return Error(ErrorCode::conflict, "there are " + std::to_string(kMaxActiveKeys) +
                                             " service keys already; revoke one that is not needed");
  }
  made.key = key_from_row(*rows, 0);
  co_return made;
}

Task<Result<void>> TenantService::revoke_service_key(Uuid key_id, Actor actor, CallOptions options) {
  const auto change = change_of_key(key_id, "service_key.revoked", actor);
  pg::Params params;
  params.emplace_back(key_id.to_string());
  append_records(params, change);
  const pg::Statement statement(revoke_sql(), std::move(params), pg::Access::write);
  CO_TRY(const auto rows, co_await impl_->platform.run(nullptr, statement, options));
  if (rows.text(0, 0) == "0") co_return no_such_key(KeyTable::admin_tokens);
  co_return Result<void>();
}

}  // namespace rowhouse::tenancy
