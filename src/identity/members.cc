// Members of a tenant, and a tenant that goes; see users.h.
#include <algorithm>
#include <utility>

#include "base/text.h"
#include "identity/users_impl.h"

namespace rowhouse::identity {

namespace {

constexpr std::size_t kMaxListLimit = 500;
constexpr std::size_t kMaxSearchBytes = 200;

std::string member_columns() {
  return "u.id, u.email, u.name, r.name, m.status, u.status, u.password_hash IS NOT NULL, " +
         timestamp_sql("m.created_at") + ", " + timestamp_sql("m.updated_at") + ", " +
         timestamp_sql("u.last_login_at") + " ";
}

constexpr std::string_view kMemberFrom =
    "FROM identity.memberships m JOIN identity.users u ON u.id = m.user_id "
    "JOIN identity.roles r ON r.tenant_id = m.tenant_id AND r.id = m.role_id WHERE m.tenant_id = $1::uuid ";

Member member_from_row(const pg::Rows& rows, std::size_t row) {
  Member member;
  member.user = Uuid::parse(rows.text(row, 0)).value_or(Uuid());
  member.email = rows.text(row, 1);
  member.name = rows.text(row, 2);
  member.role = rows.text(row, 3);
  member.status = parse_account_status(rows.text(row, 4)).value_or(AccountStatus::disabled);
  member.account = parse_account_status(rows.text(row, 5)).value_or(AccountStatus::disabled);
  member.password = rows.text(row, 6) == "t" ? User::Password::set : User::Password::none;
  member.created_at = rows.text(row, 7);
  member.updated_at = rows.text(row, 8);
  member.last_login_at = rows.text(row, 9);
  return member;
}

audit::Change member_change(std::string action, const tenancy::Tenant& tenant, const tenancy::Actor& actor,
                            const Uuid& user) {
  auto change = change_of(std::move(action), actor, "user", user);
  change.tenant = tenant.id;
  return change;
}

Error no_such_member() { return Error(ErrorCode::not_found, "the tenant has no such user"); }
Error last_admin() {
  return Error(ErrorCode::conflict, "this is the tenant's last active admin; make another one first");
}

// The active holders of the pack's admin role, locked, so that two who go at the same time cannot both find
// the other. $1 tenant, $2 user; `parameter`: whether an active admin goes.
std::string other_admins(int name_parameter) {
  return "admins AS MATERIALIZED (SELECT m.user_id FROM identity.memberships m JOIN identity.roles r "
         "ON r.tenant_id = m.tenant_id AND r.id = m.role_id WHERE m.tenant_id = $1::uuid AND m.status = "
         "'active' "
         "AND r.built_in AND r.name = $" +
         std::to_string(name_parameter) + "::text ORDER BY m.user_id FOR UPDATE OF m)";
}
std::string not_the_last(int goes_parameter) {
  return "(NOT $" + std::to_string(goes_parameter) +
         "::boolean OR EXISTS (SELECT FROM admins WHERE admins.user_id <> $2::uuid))";
}

std::string boolean_text(bool value) { return value ? "true" : "false"; }

constexpr std::string_view kStandingSql = R"(
SELECT u.id, u.home_tenant, u.email_verified_at IS NOT NULL, u.platform_admin,
  (SELECT count(*) FROM identity.memberships m WHERE m.user_id = u.id AND m.tenant_id <> $3::uuid)
FROM identity.users u WHERE lower(u.email) = lower($1::text) OR u.id = $2::uuid)";

// May the tenant's admins change what belongs to the account itself?
bool owns_account(const tenancy::Tenant& tenant, const std::optional<Uuid>& home,
                  std::size_t other_memberships, User::PlatformAdmin platform_admin) {
  return home && *home == tenant.id && other_memberships == 0 && platform_admin == User::PlatformAdmin::no;
}

}  // namespace

Task<Result<UserService::Impl::Standing>> UserService::Impl::standing(std::optional<std::string> email,
                                                                      std::optional<Uuid> user, Uuid tenant,
                                                                      CallOptions call) {
  pg::Params params;
  params.push_back(std::move(email));
  params.push_back(user ? pg::Param(user->to_string()) : std::nullopt);
  params.emplace_back(tenant.to_string());
  const pg::Statement statement(std::string(kStandingSql), std::move(params));
  CO_TRY(const auto rows, co_await identity.run(nullptr, statement, call));
  Standing found;
  if (rows.size() == 0) co_return found;
  found.user = Uuid::parse(rows.text(0, 0));
  found.home_tenant = Uuid::parse(rows.text(0, 1));
  found.verified = rows.text(0, 2) == "t" ? Standing::Verified::yes : Standing::Verified::no;
  found.platform_admin = rows.text(0, 3) == "t" ? User::PlatformAdmin::yes : User::PlatformAdmin::no;
  found.other_memberships = static_cast<std::size_t>(parse_int64(rows.text(0, 4)).value_or(0));
  co_return found;
}

std::int64_t seat_limit(const tenancy::Tenant& tenant) {
  const tenancy::Plan* plan = tenant.plan();
  if (plan == nullptr) return tenancy::kUnlimited;
  const auto limit = plan->limits.find("users");
  return limit == plan->limits.end() ? tenancy::kUnlimited : limit->second;
}

Error no_seat_left(const tenancy::Tenant& tenant) {
  return Error(ErrorCode::limit_reached, "the plan " + tenant.plan_name + " allows " +
                                             std::to_string(seat_limit(tenant)) +
                                             " users, open invitations among them");
}

// --------------------------------------------------------------------------------------------------- read

Task<Result<MemberPage>> UserService::list_members(Tenant tenant, MemberFilter filter, CallOptions options) {
  filter.limit = std::clamp<std::size_t>(filter.limit, 1, kMaxListLimit);
  MemberPage page;
  if (filter.search.size() + filter.role.size() > kMaxSearchBytes ||
      !is_valid_utf8(filter.search + filter.role) ||
      (filter.search + filter.role).find('\0') != std::string::npos) {
    co_return page;
  }
  const std::vector<std::string> parts{tenant->id.to_string(), filter.search, filter.role};
  const std::string fingerprint = fingerprint_of(parts);
  pg::Params params;
  params.emplace_back(tenant->id.to_string());
  params.push_back(filter.search.empty() ? std::nullopt : pg::Param(containing_pattern(filter.search)));
  params.push_back(filter.role.empty() ? std::nullopt : pg::Param(filter.role));
  if (filter.cursor.empty()) {
    params.emplace_back(std::nullopt);
    params.emplace_back(std::nullopt);
  } else {
    CO_TRY(auto position, decode_cursor(fingerprint, filter.cursor));
    params.emplace_back(position.created_at);
    params.emplace_back(position.id);
  }
  params.emplace_back(std::to_string(filter.limit + 1));
  const pg::Statement statement(
      "SELECT " + member_columns() + std::string(kMemberFrom) +
          "AND ($2::text IS NULL OR u.email ILIKE $2 OR u.name ILIKE $2) AND ($3::text IS NULL OR r.name = "
          "$3) "
          "AND ($4::timestamptz IS NULL OR (m.created_at, m.user_id) > ($4::timestamptz, $5::uuid)) "
          "ORDER BY m.created_at, m.user_id LIMIT $6::bigint",
      std::move(params));
  CO_TRY(const auto rows, co_await impl_->identity.run(nullptr, statement, options));
  for (std::size_t row = 0; row < std::min(rows.size(), filter.limit); ++row) {
    page.members.push_back(member_from_row(rows, row));
  }
  if (rows.size() > filter.limit) {
    const Member& last = page.members.back();
    PagePosition position{last.created_at, last.user.to_string()};
    page.next_cursor = encode_cursor(fingerprint, position);
  }
  co_return page;
}

Task<Result<Member>> UserService::get_member(Tenant tenant, Uuid user, CallOptions options) {
  pg::Params params;
  params.emplace_back(tenant->id.to_string());
  params.emplace_back(user.to_string());
  const pg::Statement statement(
      "SELECT " + member_columns() + std::string(kMemberFrom) + "AND m.user_id = $2::uuid",
      std::move(params));
  CO_TRY(const auto rows, co_await impl_->identity.run(nullptr, statement, options));
  if (rows.size() == 0) co_return no_such_member();
  co_return member_from_row(rows, 0);
}

// ---------------------------------------------------------------------------------------------------- add

Task<Result<Uuid>> UserService::Impl::make_member_account(Tenant tenant, const NewMember& request,
                                                          const Requester& requester, CallOptions call) {
  CO_TRY(auto hash, co_await hash_if_given(request.password, call));
  const Uuid id = Uuid::make_v7(clock.now());
  pg::Params params;
  params.emplace_back(id.to_string());
  params.emplace_back(request.email);
  params.emplace_back(request.name);
  params.push_back(std::move(hash));
  const bool by_tenant = requester.side == Requester::Side::tenant;
  params.push_back(by_tenant ? pg::Param(tenant->id.to_string()) : std::nullopt);
  auto change = member_change("user.created", *tenant, requester.actor, id);
  json::Value values;
  values.set("email", request.email);
  values.set("name", request.name);
  change.new_json = json::serialize(values);
  const pg::Statement statement = recorded_statement(
      "t AS (INSERT INTO identity.users (id, email, name, password_hash, home_tenant) VALUES ($1::uuid, "
      "$2::text, "
      "$3::text, $4::text, $5::uuid) RETURNING id)",
      "SELECT id FROM t", std::move(params), change);
  auto rows = co_await identity.run(nullptr, statement, call);
  if (!rows.ok() && rows.error().code == ErrorCode::conflict) co_return email_taken();
  if (!rows.ok()) co_return std::move(rows).error();
  co_return id;
}

Task<Result<Uuid>> UserService::Impl::account_to_add(Tenant tenant, const Standing& known,
                                                     const NewMember& request, const Requester& requester,
                                                     CallOptions call) {
  if (!known.user) {
    co_return co_await make_member_account(std::move(tenant), request, requester, call);
  }
  if (!request.password.empty()) {
    co_return Error(ErrorCode::validation_failed, "the account is there already and keeps its password")
        .with_field("/password", "must be left out: the account is there already");
  }
  const bool made_elsewhere = known.home_tenant && *known.home_tenant != tenant->id;
  if (made_elsewhere && known.verified == Standing::Verified::no &&
      requester.side == Requester::Side::tenant) {
    co_return Error(
        ErrorCode::conflict,
        "another tenant made the account of this e-mail address, and the address is not verified; ask the "
        "operator of the platform to add it");
  }
  co_return *known.user;
}

Task<Result<void>> UserService::Impl::check_seats(Tenant tenant, std::string email, CallOptions call) {
  const std::int64_t limit = seat_limit(*tenant);
  if (limit == tenancy::kUnlimited) co_return Result<void>();
  pg::Params params;
  params.emplace_back(tenant->id.to_string());
  params.emplace_back(std::move(email));
  params.emplace_back(to_rfc3339(clock.now()));
  // A write, for it may wait for a lock.
  const pg::Statement statement("SELECT identity.seats_taken($1::uuid, $2::text, $3::timestamptz)",
                                std::move(params), pg::Access::write);
  CO_TRY(const auto rows, co_await identity.run(nullptr, statement, call));
  if (parse_int64(rows.text(0, 0)).value_or(0) >= limit) co_return no_seat_left(*tenant);
  co_return Result<void>();
}

Task<Result<AddedMember>> UserService::add_member(Tenant tenant, NewMember request, Requester requester,
                                                  CallOptions options) {
  const bool is_there =
      tenant->status == tenancy::TenantStatus::active || tenant->status == tenancy::TenantStatus::suspended;
  if (!is_there) {
    co_return Error(ErrorCode::conflict, "the tenant is " + std::string(tenant_status_name(tenant->status)) +
                                             ", so nobody can join it");
  }
  Error faults(ErrorCode::validation_failed, "the user is not valid");
  const auto email = clean_email(request.email);
  if (!email) faults.fields.emplace_back("/email", "must be an e-mail address");
  check_name(request.name, faults);
  if (!request.password.empty()) {
    auto good = check_new_password(request.password, request.email, impl_->passwords.options());
    if (!good.ok()) faults.fields.push_back(good.error().fields.front());
  }
  if (request.role.empty()) {
    const MemberFilter anybody;
    CO_TRY(const auto members, co_await list_members(tenant, anybody, options));
    if (!members.members.empty()) faults.fields.emplace_back("/role", "is required");
    request.role = tenant->pack->manifest.admin_role;
  }
  if (!faults.fields.empty()) co_return faults;
  request.email = *email;
  CO_TRY(const Uuid role, co_await role_to_give(tenant, request.role, requester, options));
  CO_TRY(const auto known, co_await impl_->standing(request.email, std::nullopt, tenant->id, options));
  if (!known.user) CO_TRY_DO(co_await impl_->check_seats(tenant, request.email, options));
  CO_TRY(const Uuid user, co_await impl_->account_to_add(tenant, known, request, requester, options));

  pg::Params params;
  params.emplace_back(tenant->id.to_string());
  params.emplace_back(user.to_string());
  params.emplace_back(role.to_string());
  params.emplace_back(request.email);
  params.emplace_back(to_rfc3339(impl_->clock.now()));
  const std::int64_t limit = seat_limit(*tenant);
  params.push_back(limit == tenancy::kUnlimited ? std::nullopt : pg::Param(std::to_string(limit)));
  auto change = member_change("member.added", *tenant, requester.actor, user);
  json::Value values;
  values.set("email", request.email);
  values.set("role", request.role);
  change.new_json = json::serialize(values);
  const pg::Statement statement = recorded_statement(
      "t AS (INSERT INTO identity.memberships (tenant_id, user_id, role_id) SELECT $1::uuid, $2::uuid, "
      "$3::uuid "
      "WHERE $6::bigint IS NULL OR identity.seats_taken($1::uuid, $4::text, $5::timestamptz) < $6::bigint "
      "ON CONFLICT DO NOTHING RETURNING user_id), "
      // Who is here needs no invitation any more.
      "invited AS (UPDATE identity.invitations i SET revoked_at = $5::timestamptz FROM t WHERE i.tenant_id = "
      "$1::uuid "
      "AND lower(i.email) = lower($4::text) AND i.accepted_at IS NULL AND i.revoked_at IS NULL)",
      "SELECT user_id FROM t", std::move(params), change);
  CO_TRY(const auto rows, co_await impl_->identity.run(nullptr, statement, options));
  if (rows.size() == 0) {
    const auto there = co_await get_member(tenant, user, options);
    if (!there.ok() && there.error().code == ErrorCode::not_found) {
      // Somebody else was faster.
      if (!known.user) CO_TRY_DO(co_await impl_->forget_account(tenant, user, requester.actor, options));
      co_return no_seat_left(*tenant);
    }
    co_return Error(ErrorCode::conflict, "the user is a member of this tenant already");
  }
  AddedMember added;
  added.account = known.user ? AddedMember::Account::known : AddedMember::Account::created;
  CO_TRY(added.member, co_await get_member(tenant, user, options));
  co_return added;
}

// ------------------------------------------------------------------------------------------------- change

Task<Result<Member>> UserService::change_member(Tenant tenant, Uuid user, MemberChange change,
                                                Requester requester, CallOptions options) {
  CO_TRY(const Member before, co_await get_member(tenant, user, options));
  CO_TRY(const auto known, co_await impl_->standing(std::nullopt, user, tenant->id, options));
  Error faults(ErrorCode::validation_failed, "the change is not valid");
  if (change.name) check_name(*change.name, faults);
  if (change.password) {
    auto good = check_new_password(*change.password, before.email, impl_->passwords.options());
    if (!good.ok()) faults.fields.push_back(good.error().fields.front());
  }
  if (!faults.fields.empty()) co_return faults;
  CO_TRY(const auto current, co_await impl_->role(tenant, before.role, options));
  CO_TRY_DO(may_give(requester, *current.permissions, current.info.rows));
  const bool of_the_account = change.name || change.password;
  if (of_the_account &&
      !owns_account(*tenant, known.home_tenant, known.other_memberships, known.platform_admin)) {
    co_return Error(ErrorCode::forbidden,
                    "the account is not this tenant's own: only the user can change it");
  }
  auto next = current;
  if (change.role) {
    auto wanted = co_await impl_->role_to_give(tenant, *change.role, options);
    if (!wanted.ok() && wanted.error().code == ErrorCode::not_found) {
      co_return Error(ErrorCode::validation_failed, "the role is not known")
          .with_field("/role", "is none of the tenant's roles");
    }
    if (!wanted.ok()) co_return std::move(wanted).error();
    next = std::move(wanted).value();
    CO_TRY_DO(may_give(requester, *next.permissions, next.info.rows));
  }
  std::optional<std::string> hash;
  if (change.password) {
    CO_TRY(hash, co_await impl_->passwords.hash(impl_->executor, *change.password, options));
  }
  const std::string& admin_role = tenant->pack->manifest.admin_role;
  const auto is_admin = [&](const Impl::RoleRow& role, AccountStatus status) {
    return role.info.origin == RoleInfo::Origin::pack && role.info.name == admin_role &&
           status == AccountStatus::active;
  };
  const AccountStatus status = change.status.value_or(before.status);
  const bool goes = requester.side == Requester::Side::tenant && is_admin(current, before.status) &&
                    !is_admin(next, status);
  const bool ends_sessions = status == AccountStatus::disabled || change.password;

  pg::Params params;
  params.emplace_back(tenant->id.to_string());
  params.emplace_back(user.to_string());
  params.emplace_back(next.id->to_string());
  params.emplace_back(account_status_name(status));
  params.push_back(change.name);
  params.push_back(std::move(hash));
  params.emplace_back(boolean_text(ends_sessions));
  params.emplace_back(boolean_text(goes));
  params.emplace_back(admin_role);
  auto record = member_change("member.changed", *tenant, requester.actor, user);
  json::Value old_values;
  old_values.set("role", before.role);
  old_values.set("status", account_status_name(before.status));
  old_values.set("name", before.name);
  json::Value new_values;
  new_values.set("role", next.info.name);
  new_values.set("status", account_status_name(status));
  new_values.set("name", change.name.value_or(before.name));
  if (change.password) new_values.set("password", "changed");
  record.old_json = json::serialize(old_values);
  record.new_json = json::serialize(new_values);
  const pg::Statement statement = recorded_statement(
      other_admins(9) +
          ", t AS (UPDATE identity.memberships m SET role_id = $3::uuid, status = $4::text "
          "WHERE m.tenant_id = $1::uuid AND m.user_id = $2::uuid AND " +
          not_the_last(8) +
          " RETURNING *), account AS (UPDATE identity.users u SET name = COALESCE($5::text, u.name), "
          "password_hash = COALESCE($6::text, u.password_hash), "
          // Somebody else knows the password now: being confirmed would let them into other tenants.
          "email_verified_at = CASE WHEN $6::text IS NULL THEN u.email_verified_at END FROM t WHERE u.id = "
          "t.user_id AND ($5::text IS NOT NULL OR "
          "$6::text "
          "IS NOT NULL) AND u.home_tenant = $1::uuid AND NOT u.platform_admin), "
          "ended AS (UPDATE identity.sessions s SET revoked_at = pg_catalog.now(), end_reason = 'member "
          "changed' FROM t "
          "WHERE s.tenant_id = t.tenant_id AND s.user_id = t.user_id AND s.revoked_at IS NULL AND "
          "$7::boolean)",
      "SELECT user_id FROM t", std::move(params), record);
  CO_TRY(const auto rows, co_await impl_->identity.run(nullptr, statement, options));
  if (rows.size() == 0) co_return goes ? last_admin() : no_such_member();
  impl_->announce(user);
  co_return co_await get_member(tenant, user, options);
}

Task<Result<void>> UserService::remove_member(Tenant tenant, Uuid user, Requester requester,
                                              CallOptions options) {
  CO_TRY(const Member before, co_await get_member(tenant, user, options));
  CO_TRY(const auto current, co_await impl_->role(tenant, before.role, options));
  CO_TRY_DO(may_give(requester, *current.permissions, current.info.rows));
  const std::string& admin_role = tenant->pack->manifest.admin_role;
  const bool goes = current.info.origin == RoleInfo::Origin::pack && before.role == admin_role &&
                    before.status == AccountStatus::active && requester.side == Requester::Side::tenant;
  pg::Params params;
  params.emplace_back(tenant->id.to_string());
  params.emplace_back(user.to_string());
  params.emplace_back(boolean_text(goes));
  params.emplace_back(admin_role);
  auto record = member_change("member.removed", *tenant, requester.actor, user);
  json::Value old_values;
  old_values.set("email", before.email);
  old_values.set("role", before.role);
  record.old_json = json::serialize(old_values);
  const pg::Statement statement = recorded_statement(
      other_admins(4) +
          ", t AS (DELETE FROM identity.memberships m WHERE m.tenant_id = $1::uuid AND m.user_id = "
          "$2::uuid AND " +
          not_the_last(3) +
          " RETURNING *), ended AS (UPDATE identity.sessions s SET revoked_at = pg_catalog.now(), end_reason "
          "= 'member "
          "removed' FROM t WHERE s.tenant_id = t.tenant_id AND s.user_id = t.user_id AND s.revoked_at IS "
          "NULL)",
      "SELECT user_id FROM t", std::move(params), record);
  CO_TRY(const auto rows, co_await impl_->identity.run(nullptr, statement, options));
  if (rows.size() == 0) co_return goes ? last_admin() : no_such_member();
  impl_->announce(user);

  // Nobody but this tenant ever knew the account. One that stays because of a crash here goes with the
  // tenant.
  co_return co_await impl_->forget_account(tenant, user, requester.actor, options);
}

Task<Result<void>> UserService::Impl::forget_account(Tenant tenant, Uuid user, tenancy::Actor actor,
                                                     CallOptions call) {
  pg::Params account;
  account.emplace_back(tenant->id.to_string());
  account.emplace_back(user.to_string());
  const auto gone = member_change("user.removed", *tenant, actor, user);
  const pg::Statement forget = recorded_statement(
      "t AS (DELETE FROM identity.users u WHERE u.id = $2::uuid AND u.home_tenant = $1::uuid AND NOT "
      "u.platform_admin "
      "AND NOT EXISTS (SELECT FROM identity.memberships m WHERE m.user_id = u.id) RETURNING u.id)",
      "SELECT id FROM t", std::move(account), gone);
  CO_TRY_DO(co_await identity.run(nullptr, forget, call));
  co_return Result<void>();
}

// ------------------------------------------------------------------------------------- a tenant that goes

Task<Result<void>> UserService::remove_tenant(Uuid tenant, tenancy::Actor actor, CallOptions options) {
  pg::Params params;
  params.emplace_back(tenant.to_string());
  auto change = change_of("tenant.people_removed", actor, "tenant", tenant);
  change.tenant = tenant;
  // Nothing is recorded when nothing was there, so that a repetition tells nothing twice.
  const pg::Statement statement = recorded_statement(
      "s AS (DELETE FROM identity.sessions WHERE tenant_id = $1::uuid), "
      "i AS (DELETE FROM identity.invitations WHERE tenant_id = $1::uuid), "
      "w AS (DELETE FROM identity.mail WHERE tenant_id = $1::uuid), "
      "p AS (DELETE FROM identity.identity_providers WHERE tenant_id = $1::uuid), "
      "d AS (DELETE FROM identity.verified_domains WHERE tenant_id = $1::uuid), "
      "m AS (DELETE FROM identity.memberships WHERE tenant_id = $1::uuid RETURNING user_id), "
      "r AS (DELETE FROM identity.roles WHERE tenant_id = $1::uuid RETURNING id), "
      "t AS (SELECT 1 WHERE EXISTS (SELECT FROM m) OR EXISTS (SELECT FROM r))",
      "SELECT 1", std::move(params), change);
  CO_TRY_DO(co_await impl_->identity.run(nullptr, statement, options));
  pg::Params accounts;
  accounts.emplace_back(tenant.to_string());
  const pg::Statement forget(
      "DELETE FROM identity.users u WHERE u.home_tenant = $1::uuid AND NOT u.platform_admin AND NOT EXISTS "
      "(SELECT FROM "
      "identity.memberships m WHERE m.user_id = u.id)",
      std::move(accounts), pg::Access::write);
  CO_TRY_DO(co_await impl_->identity.run(nullptr, forget, options));
  impl_->announce(tenant);
  co_return Result<void>();
}

Task<Result<void>> UserService::prove_tenant_gone(Uuid tenant, CallOptions options) {
  pg::Params params;
  params.emplace_back(tenant.to_string());
  const pg::Statement statement(
      "SELECT 'sessions' FROM identity.sessions WHERE tenant_id = $1::uuid "
      "UNION ALL SELECT 'identity_providers' FROM identity.identity_providers WHERE tenant_id = $1::uuid "
      "UNION ALL SELECT 'verified_domains' FROM identity.verified_domains WHERE tenant_id = $1::uuid "
      "UNION ALL SELECT 'memberships' FROM identity.memberships WHERE tenant_id = $1::uuid "
      "UNION ALL SELECT 'invitations' FROM identity.invitations WHERE tenant_id = $1::uuid "
      "UNION ALL SELECT 'mail' FROM identity.mail WHERE tenant_id = $1::uuid "
      "UNION ALL SELECT 'roles' FROM identity.roles WHERE tenant_id = $1::uuid "
      "UNION ALL SELECT 'users' FROM identity.users u WHERE u.home_tenant = $1::uuid AND NOT "
      "u.platform_admin AND NOT "
      "EXISTS (SELECT FROM identity.memberships m WHERE m.user_id = u.id) LIMIT 1",
      std::move(params));
  CO_TRY(const auto left, co_await impl_->identity.run(nullptr, statement, options));
  if (left.size() == 0) co_return Result<void>();
  co_return Error(ErrorCode::internal, "the tenant is not wholly removed, a row in identity." +
                                           std::string(left.text(0, 0)) + " is left");
}

}  // namespace rowhouse::identity
