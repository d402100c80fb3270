// Roles: the pack's and the tenant's own; see users.h.
#include <algorithm>
#include <set>
#include <utility>

#include "base/text.h"
#include "identity/users_impl.h"

namespace rowhouse::identity {

namespace {

using tenancy::Permissions;
using tenancy::RowScope;

constexpr std::size_t kMaxRoleNameCharacters = 63;
constexpr std::size_t kMaxDescriptionCharacters = 500;

std::string_view row_scope_name(RowScope rows) { return rows == RowScope::own ? "own" : "all"; }

const tenancy::Role* pack_role(const tenancy::Tenant& tenant, std::string_view name) {
  const auto& roles = tenant.pack->manifest.roles;
  const auto found =
      std::find_if(roles.begin(), roles.end(), [&](const auto& role) { return role.name == name; });
  return found != roles.end() ? &*found : nullptr;
}

RoleInfo info_of(const tenancy::Role& role) {
  RoleInfo info;
  info.name = role.name;
  info.title = role.title;
  info.description = role.description;
  info.origin = RoleInfo::Origin::pack;
  info.operations = role.permissions->patterns();
  info.rows = role.rows;
  return info;
}

bool is_role_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= kMaxRoleNameCharacters && name.front() >= 'a' &&
         name.front() <= 'z' && std::all_of(name.begin(), name.end(), allowed);
}

// Something that the tenant's plan or Rowhouse has; of a kind, at least one such thing.
bool is_offered(const tenancy::Tenant& tenant, std::string_view pattern) {
  if (pattern == "*") return true;
  const auto kind = tenancy::operation_kind(pattern);
  const auto& features = tenant.plan()->features;
  if (!pattern.ends_with(":*")) {
    return tenancy::is_tenant_operation(pattern) || features.contains(std::string(pattern));
  }
  return tenancy::is_reserved_kind(kind) ||
         std::any_of(features.begin(), features.end(),
                     [&](const auto& feature) { return tenancy::operation_kind(feature) == kind; });
}

void check_description(std::string_view text, Error& faults) {
  if (!is_valid_utf8(text) || text.find('\0') != std::string_view::npos) {
    faults.fields.emplace_back("/description", "must be text");
  } else if (utf8_length(text) > kMaxDescriptionCharacters) {
    faults.fields.emplace_back("/description", "is too long: 500 characters at most");
  }
}

void check_operations(const tenancy::Tenant& tenant, const std::vector<std::string>& operations,
                      Error& faults) {
  if (operations.empty()) faults.fields.emplace_back("/operations", "must name at least one operation");
  if (operations.size() > kMaxRolePermissions) {
    faults.fields.emplace_back("/operations", "are too many: 200 at most");
    return;
  }
  for (std::size_t i = 0; i < operations.size(); ++i) {
    const std::string path = "/operations/" + std::to_string(i);
    if (!tenancy::is_permission_pattern(operations[i])) {
      faults.fields.emplace_back(path, R"(must be an operation, like "lead:read", "lead:*" or "*")");
    } else if (!is_offered(tenant, operations[i])) {
      faults.fields.emplace_back(path, "the tenant's plan has no such operation");
    }
  }
}

// '{"a","b"}' for text[]; operations need no escapes.
std::string array_text(const std::vector<std::string>& operations) {
  std::string text = "{";
  for (const std::string& operation : operations) text += (text.size() > 1 ? ",\"" : "\"") + operation + "\"";
  return text + "}";
}

json::Value summary_of(const RoleInfo& role) {
  json::Array operations;
  for (const std::string& operation : role.operations) operations.emplace_back(operation);
  json::Value summary;
  summary.set("name", role.name);
  summary.set("description", role.description);
  summary.set("operations", json::Value(std::move(operations)));
  summary.set("rows", row_scope_name(role.rows));
  return summary;
}

audit::Change role_change(std::string action, const tenancy::Tenant& tenant, const tenancy::Actor& actor,
                          const std::string& name) {
  auto change = change_of(std::move(action), actor, "role", tenant.id);
  change.tenant = tenant.id;
  change.object_id = name;
  return change;
}

Error no_such_role() { return Error(ErrorCode::not_found, "the tenant has no such role"); }
Error name_taken() {
  return Error(ErrorCode::conflict, "there is a role of this name already").with_field("/name", "is taken");
}
Error of_the_pack() {
  return Error(ErrorCode::forbidden, "this role belongs to the pack; make one of your own instead");
}

}  // namespace

Result<void> may_give(const Requester& requester, const Permissions& permissions, RowScope rows) {
  const std::string missing = requester.permissions->first_not_covered(permissions);
  if (!missing.empty()) {
    return Error(ErrorCode::permission_missing,
                 "this takes the permission " + missing + ", which you do not have");
  }
  if (requester.rows == RowScope::own && rows == RowScope::all) {
    return Error(ErrorCode::permission_missing, "this takes access to all rows, which you do not have");
  }
  return Result<void>();
}

Task<Result<std::vector<RoleInfo>>> UserService::Impl::own_roles(Uuid tenant, std::optional<std::string> name,
                                                                 CallOptions call) {
  pg::Params params;
  params.emplace_back(tenant.to_string());
  params.push_back(std::move(name));
  const pg::Statement statement("SELECT r.name, r.description, r.row_scope, " +
                                    timestamp_sql("r.created_at") + ", " + timestamp_sql("r.updated_at") +
                                    ", (SELECT pg_catalog.string_agg(o.operation, ' ' ORDER BY o.operation) "
                                    "FROM identity.role_operations o "
                                    "WHERE o.tenant_id = r.tenant_id AND o.role_id = r.id) "
                                    "FROM identity.roles r WHERE r.tenant_id = $1::uuid AND NOT r.built_in "
                                    "AND ($2::text IS NULL OR r.name = $2) ORDER BY r.name",
                                std::move(params));
  CO_TRY(const auto rows, co_await identity.run(nullptr, statement, call));
  std::vector<RoleInfo> roles;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    RoleInfo info;
    info.name = rows.text(row, 0);
    info.title = info.name;
    info.description = rows.text(row, 1);
    info.rows = rows.text(row, 2) == "own" ? RowScope::own : RowScope::all;
    info.created_at = rows.text(row, 3);
    info.updated_at = rows.text(row, 4);
    if (!rows.is_null(row, 5)) {
      for (const auto operation : split(rows.text(row, 5), ' ')) info.operations.emplace_back(operation);
    }
    roles.push_back(std::move(info));
  }
  co_return roles;
}

Task<Result<UserService::Impl::RoleRow>> UserService::Impl::role(Tenant tenant, std::string name,
                                                                 CallOptions call) {
  RoleRow found;
  if (!is_role_name(name)) co_return no_such_role();
  pg::Params params;
  params.emplace_back(tenant->id.to_string());
  params.emplace_back(name);
  const pg::Statement statement(
      "SELECT id, built_in FROM identity.roles WHERE tenant_id = $1::uuid AND name = $2::text",
      std::move(params));
  CO_TRY(const auto rows, co_await identity.run(nullptr, statement, call));
  if (rows.size() > 0) found.id = Uuid::parse(rows.text(0, 0));
  if (rows.size() > 0 && rows.text(0, 1) != "t") {
    CO_TRY(auto own, co_await own_roles(tenant->id, name, call));
    if (own.empty()) co_return no_such_role();
    found.info = std::move(own.front());
    CO_TRY(auto permissions, Permissions::from(found.info.operations));
    found.permissions = std::make_shared<const Permissions>(std::move(permissions));
    co_return found;
  }
  const tenancy::Role* role = pack_role(*tenant, name);
  if (role == nullptr && !found.id) co_return no_such_role();
  if (role != nullptr) {
    found.info = info_of(*role);
    found.permissions = role->permissions;
  } else {
    // The pack has it no more, but somebody still holds it: it permits nothing.
    found.info.name = std::move(name);
    found.info.origin = RoleInfo::Origin::pack;
    found.info.rows = RowScope::own;
    found.permissions = std::make_shared<const Permissions>(Permissions::nothing());
  }
  co_return found;
}

Task<Result<UserService::Impl::RoleRow>> UserService::Impl::role_to_give(Tenant tenant, std::string name,
                                                                         CallOptions call) {
  CO_TRY(auto found, co_await role(tenant, name, call));
  if (found.id) {
    if (found.info.origin == RoleInfo::Origin::pack && pack_role(*tenant, name) == nullptr)
      co_return no_such_role();
    co_return found;
  }
  pg::Params params;
  params.emplace_back(tenant->id.to_string());
  params.emplace_back(Uuid::make_v7(clock.now()).to_string());
  params.emplace_back(name);
  // The row of another who was faster will do; it must be touched to be returned.
  const pg::Statement statement(
      "INSERT INTO identity.roles (tenant_id, id, name, built_in) VALUES ($1::uuid, $2::uuid, $3::text, "
      "true) "
      "ON CONFLICT (tenant_id, name) DO UPDATE SET description = roles.description RETURNING id, built_in",
      std::move(params), pg::Access::write);
  CO_TRY(const auto rows, co_await identity.run(nullptr, statement, call));
  if (rows.text(0, 1) != "t") co_return name_taken();
  found.id = Uuid::parse(rows.text(0, 0));
  co_return found;
}

Task<Result<std::vector<RoleInfo>>> UserService::list_roles(Tenant tenant, CallOptions options) {
  CO_TRY(auto own, co_await impl_->own_roles(tenant->id, std::nullopt, options));
  std::vector<RoleInfo> roles;
  for (const auto& role : tenant->pack->manifest.roles) {
    const bool hidden =
        std::any_of(own.begin(), own.end(), [&](const RoleInfo& info) { return info.name == role.name; });
    if (!hidden) roles.push_back(info_of(role));
  }
  for (RoleInfo& info : own) roles.push_back(std::move(info));
  co_return roles;
}

Task<Result<RoleInfo>> UserService::get_role(Tenant tenant, std::string name, CallOptions options) {
  CO_TRY(auto found, co_await impl_->role(std::move(tenant), std::move(name), options));
  co_return std::move(found.info);
}

Task<Result<RoleInfo>> UserService::create_role(Tenant tenant, NewRole request, Requester requester,
                                                CallOptions options) {
  Error faults(ErrorCode::validation_failed, "the role is not valid");
  if (!is_role_name(request.name)) {
    faults.fields.emplace_back("/name", "must be 1 to 63 of a-z, 0-9, '-' and '_', beginning with a letter");
  }
  check_description(request.description, faults);
  check_operations(*tenant, request.operations, faults);
  if (!faults.fields.empty()) co_return faults;
  if (pack_role(*tenant, request.name) != nullptr) co_return name_taken();
  CO_TRY(const auto permissions, Permissions::from(request.operations));
  CO_TRY_DO(may_give(requester, permissions, request.rows));

  RoleInfo info;
  info.name = request.name;
  info.title = request.name;
  info.description = request.description;
  info.operations = permissions.patterns();
  info.rows = request.rows;
  pg::Params params;
  params.emplace_back(tenant->id.to_string());
  params.emplace_back(Uuid::make_v7(impl_->clock.now()).to_string());
  params.emplace_back(info.name);
  params.emplace_back(info.description);
  params.emplace_back(row_scope_name(info.rows));
  params.emplace_back(array_text(info.operations));
  params.emplace_back(std::to_string(kMaxRoles));
  auto change = role_change("role.created", *tenant, requester.actor, info.name);
  change.new_json = json::serialize(summary_of(info));
  const pg::Statement statement = recorded_statement(
      "t AS (INSERT INTO identity.roles (tenant_id, id, name, description, row_scope) "
      "SELECT $1::uuid, $2::uuid, $3::text, $4::text, $5::text WHERE (SELECT count(*) FROM identity.roles "
      "WHERE tenant_id = $1::uuid AND NOT built_in) < $7::bigint RETURNING *), "
      "o AS (INSERT INTO identity.role_operations (tenant_id, role_id, operation) "
      "SELECT t.tenant_id, t.id, o.operation FROM t, pg_catalog.unnest($6::text[]) AS o (operation))",
      "SELECT " + timestamp_sql("t.created_at") + ", " + timestamp_sql("t.updated_at") + " FROM t",
      std::move(params), change);
  auto rows = co_await impl_->identity.run(nullptr, statement, options);
  if (!rows.ok() && rows.error().code == ErrorCode::conflict) co_return name_taken();
  if (!rows.ok()) co_return std::move(rows).error();
  if (rows->size() == 0) co_return Error(ErrorCode::conflict, "the tenant has 100 roles of its own already");
  info.created_at = rows->text(0, 0);
  info.updated_at = rows->text(0, 1);
  impl_->announce(tenant->id);
  co_return info;
}

Task<Result<RoleInfo>> UserService::change_role(Tenant tenant, std::string name, RoleChange change,
                                                Requester requester, CallOptions options) {
  CO_TRY(auto found, co_await impl_->role(tenant, name, options));
  if (found.info.origin == RoleInfo::Origin::pack) co_return of_the_pack();
  Error faults(ErrorCode::validation_failed, "the change is not valid");
  if (change.description) check_description(*change.description, faults);
  if (change.operations) check_operations(*tenant, *change.operations, faults);
  if (!faults.fields.empty()) co_return faults;
  // Neither what it was nor what it becomes may be more than the requester has.
  CO_TRY_DO(may_give(requester, *found.permissions, found.info.rows));
  RoleInfo next = found.info;
  if (change.description) next.description = *change.description;
  if (change.rows) next.rows = *change.rows;
  if (change.operations) {
    CO_TRY(const auto permissions, Permissions::from(*change.operations));
    next.operations = permissions.patterns();
    CO_TRY_DO(may_give(requester, permissions, next.rows));
  } else {
    CO_TRY_DO(may_give(requester, *found.permissions, next.rows));
  }
  pg::Params params;
  params.emplace_back(tenant->id.to_string());
  params.emplace_back(found.id->to_string());
  params.emplace_back(next.description);
  params.emplace_back(row_scope_name(next.rows));
  params.emplace_back(array_text(next.operations));
  auto record = role_change("role.changed", *tenant, requester.actor, name);
  record.old_json = json::serialize(summary_of(found.info));
  record.new_json = json::serialize(summary_of(next));
  const pg::Statement statement = recorded_statement(
      "t AS (UPDATE identity.roles SET description = $3::text, row_scope = $4::text WHERE tenant_id = "
      "$1::uuid AND "
      "id = $2::uuid AND NOT built_in RETURNING *), "
      "gone AS (DELETE FROM identity.role_operations o USING t WHERE o.tenant_id = t.tenant_id AND o.role_id "
      "= t.id "
      "AND NOT o.operation = ANY ($5::text[])), "
      "added AS (INSERT INTO identity.role_operations (tenant_id, role_id, operation) "
      "SELECT t.tenant_id, t.id, o.operation FROM t, pg_catalog.unnest($5::text[]) AS o (operation) "
      "ON CONFLICT DO NOTHING)",
      "SELECT " + timestamp_sql("t.updated_at") + " FROM t", std::move(params), record);
  CO_TRY(const auto rows, co_await impl_->identity.run(nullptr, statement, options));
  if (rows.size() == 0) co_return no_such_role();
  next.updated_at = rows.text(0, 0);
  impl_->announce(tenant->id);
  co_return next;
}

Task<Result<void>> UserService::remove_role(Tenant tenant, std::string name, Requester requester,
                                            CallOptions options) {
  CO_TRY(auto found, co_await impl_->role(tenant, name, options));
  if (found.info.origin == RoleInfo::Origin::pack) co_return of_the_pack();
  CO_TRY_DO(may_give(requester, *found.permissions, found.info.rows));
  pg::Params params;
  params.emplace_back(tenant->id.to_string());
  params.emplace_back(found.id->to_string());
  auto record = role_change("role.removed", *tenant, requester.actor, name);
  record.old_json = json::serialize(summary_of(found.info));
  const pg::Statement statement = recorded_statement(
      "t AS (DELETE FROM identity.roles WHERE tenant_id = $1::uuid AND id = $2::uuid AND NOT built_in "
      "RETURNING *)",
      "SELECT id FROM t", std::move(params), record);
  auto rows = co_await impl_->identity.run(nullptr, statement, options);
  // Its memberships refer to it.
  if (!rows.ok() && rows.error().detail(pg::kSqlState) == "23503") {
    co_return Error(ErrorCode::conflict, "members have this role; give them another one first");
  }
  if (!rows.ok()) co_return std::move(rows).error();
  if (rows->size() == 0) co_return no_such_role();
  impl_->announce(tenant->id);
  co_return Result<void>();
}

Task<Result<Uuid>> UserService::role_to_give(Tenant tenant, std::string name, Requester requester,
                                             CallOptions options) {
  auto role = co_await impl_->role_to_give(std::move(tenant), std::move(name), options);
  if (!role.ok() && role.error().code == ErrorCode::not_found) {
    co_return Error(ErrorCode::validation_failed, "the role is not known")
        .with_field("/role", "is none of the tenant's roles");
  }
  if (!role.ok()) co_return std::move(role).error();
  CO_TRY_DO(may_give(requester, *role->permissions, role->info.rows));
  co_return *role->id;
}

}  // namespace rowhouse::identity
