// Accepting an invitation; see invitations.h.
#include <utility>

#include "base/text.h"
#include "identity/invitations_impl.h"
#include "identity/outbox.h"
#include "tenancy/api_key.h"

namespace rowhouse::identity {

namespace {

constexpr std::string_view kFindSql = R"(
SELECT i.id, i.tenant_id, i.email, r.name, i.delivery,
  pg_catalog.to_char(i.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
  u.id, COALESCE(u.password_hash, ''), u.home_tenant, u.email_verified_at IS NOT NULL, u.platform_admin,
  (SELECT count(*) FROM identity.memberships m WHERE m.user_id = u.id AND m.tenant_id <> i.tenant_id),
  COALESCE(u.status, 'active')
FROM identity.invitations i
JOIN identity.roles r ON r.tenant_id = i.tenant_id AND r.id = i.role_id
LEFT JOIN identity.users u ON lower(u.email) = lower(i.email)
WHERE i.token_hash = $1::bytea AND i.accepted_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > $2::timestamptz)";

// $1 invitation, $2 now.
constexpr std::string_view kAcceptSql =
    "i AS (UPDATE identity.invitations SET accepted_at = $2::timestamptz WHERE id = $1::uuid AND accepted_at "
    "IS NULL "
    "AND revoked_at IS NULL AND expires_at > $2::timestamptz";

// $3 new account, $4 name, $5 hash, $6 whether the address is proved.
const std::string& admit_new_sql() {
  static const std::string sql =
      std::string(kAcceptSql) +
      " RETURNING tenant_id, email, role_id), "
      "made AS (INSERT INTO identity.users (id, email, name, password_hash, home_tenant, email_verified_at) "
      "SELECT $3::uuid, i.email, $4::text, $5::text, i.tenant_id, CASE WHEN $6::boolean THEN $2::timestamptz "
      "END "
      "FROM i RETURNING id), "
      "t AS (INSERT INTO identity.memberships (tenant_id, user_id, role_id) SELECT i.tenant_id, made.id, "
      "i.role_id "
      "FROM i, made RETURNING user_id)";
  return sql;
}

// $3 account, $4 hash that it had, $5 new hash or null, $6 as above. Nothing happens if it is another one by
// now.
const std::string& admit_known_sql() {
  static const std::string sql =
      "u AS MATERIALIZED (SELECT id FROM identity.users WHERE id = $3::uuid AND status = 'active' AND "
      "COALESCE(password_hash, '') = $4::text FOR UPDATE), " +
      std::string(kAcceptSql) +
      " AND EXISTS (SELECT FROM u) RETURNING tenant_id, role_id), "
      "m AS (INSERT INTO identity.memberships (tenant_id, user_id, role_id) SELECT i.tenant_id, u.id, "
      "i.role_id FROM i, "
      "u ON CONFLICT DO NOTHING), "
      "t AS (UPDATE identity.users a SET password_hash = COALESCE($5::text, a.password_hash), "
      "email_verified_at = CASE "
      "WHEN $6::boolean THEN COALESCE(a.email_verified_at, $2::timestamptz) ELSE a.email_verified_at END "
      "FROM i, u WHERE "
      "a.id = u.id RETURNING a.id AS user_id), "
      "ended AS (UPDATE identity.sessions s SET revoked_at = pg_catalog.now(), end_reason = 'password "
      "chosen' FROM t "
      "WHERE s.user_id = t.user_id AND s.revoked_at IS NULL AND $5::text IS NOT NULL)";
  return sql;
}

template <class AnAccount>
InvitationOffer::Password password_rule(const std::string& delivery, const Uuid& tenant,
                                        const AnAccount& account) {
  using Rule = InvitationOffer::Password;
  // Whoever gets in here could do everything: not by an invitation.
  if (account.platform_admin == User::PlatformAdmin::yes) return Rule::keep;
  const bool has_password = !account.password_hash.empty();
  if (delivery == "shown_to_tenant") {
    const bool own = account.home && *account.home == tenant && account.other_memberships == 0;
    return own && !has_password ? Rule::choose : Rule::keep;
  }
  const bool known_to_a_tenant = account.home.has_value() && account.verified == AnAccount::Verified::no;
  return !has_password || known_to_a_tenant ? Rule::choose : Rule::keep;
}

}  // namespace

Task<Result<InvitationService::Impl::Found>> InvitationService::Impl::find(std::string token, Origin origin,
                                                                           CallOptions call) {
  Found found;
  if (!tenancy::has_credential_form(token, kLinkTokenPrefix)) {
    record_refused_link(trail, "invitation", origin);
    co_return link_refused();
  }
  pg::Params params;
  params.emplace_back(tenancy::bytea_text(tenancy::hash_of_credential(token)));
  params.emplace_back(to_rfc3339(clock.now()));
  const pg::Statement statement(std::string(kFindSql), std::move(params));
  CO_TRY(const auto rows, co_await identity.run(nullptr, statement, call));
  if (rows.size() == 0 || rows.text(0, 12) != "active") {
    record_refused_link(trail, "invitation", origin);
    co_return link_refused();
  }
  found.id = Uuid::parse(rows.text(0, 0)).value_or(Uuid());
  found.delivery = rows.text(0, 4);
  found.offer.email = rows.text(0, 2);
  found.offer.role = rows.text(0, 3);
  found.offer.expires_at = rows.text(0, 5);
  auto tenant = co_await registry.find_tenant(std::string(rows.text(0, 1)), call);
  const bool is_gone = !tenant.ok() && tenant.error().code == ErrorCode::not_found;
  if (!tenant.ok() && !is_gone) co_return std::move(tenant).error();
  if (is_gone || (*tenant)->status == tenancy::TenantStatus::deleting ||
      (*tenant)->status == tenancy::TenantStatus::archived) {
    record_refused_link(trail, "invitation", origin);
    co_return link_refused();
  }
  found.offer.tenant = std::move(tenant).value();
  const auto user = Uuid::parse(rows.text(0, 6));
  if (!user) {
    found.offer.password = InvitationOffer::Password::choose;
    co_return found;
  }
  Account account;
  account.id = *user;
  account.password_hash = rows.text(0, 7);
  account.home = Uuid::parse(rows.text(0, 8));
  if (rows.text(0, 9) == "t") account.verified = Account::Verified::yes;
  if (rows.text(0, 10) == "t") account.platform_admin = User::PlatformAdmin::yes;
  account.other_memberships = static_cast<std::size_t>(parse_int64(rows.text(0, 11)).value_or(0));
  found.offer.account = InvitationOffer::Account::known;
  found.offer.password = password_rule(found.delivery, found.offer.tenant->id, account);
  found.account = std::move(account);
  co_return found;
}

Task<Result<InvitationOffer>> InvitationService::look(std::string token, Origin origin, CallOptions options) {
  CO_TRY(const auto found, co_await impl_->find(std::move(token), std::move(origin), options));
  if (found.offer.tenant->status == tenancy::TenantStatus::suspended) {
    co_return Error(ErrorCode::tenant_suspended, "the tenant is suspended; its rows are kept");
  }
  co_return found.offer;
}

Task<Result<void>> InvitationService::Impl::admit_new(const Found& found, std::string name, std::string hash,
                                                      const Origin& origin, CallOptions call) {
  const WallTime now = clock.now();
  const Uuid user = Uuid::make_v7(now);
  pg::Params params;
  params.emplace_back(found.id.to_string());
  params.emplace_back(to_rfc3339(now));
  params.emplace_back(user.to_string());
  params.emplace_back(std::move(name));
  params.emplace_back(std::move(hash));
  params.emplace_back(found.by_mail() ? "true" : "false");
  auto change = change_of("invitation.accepted", user_actor(found.offer.email, origin), "user", user);
  change.tenant = found.offer.tenant->id;
  json::Value values;
  values.set("email", found.offer.email);
  values.set("role", found.offer.role);
  values.set("account", "created");
  change.new_json = json::serialize(values);
  auto added = change;
  added.action = "member.added";
  std::string with = admit_new_sql();
  with += ", added AS (" + outbox_insert_sql(static_cast<int>(params.size()) + 1, "t") + ")";
  audit::append_parameters(params, added);
  const pg::Statement statement =
      recorded_statement(with, "SELECT user_id FROM t", std::move(params), change);
  auto rows = co_await identity.run(nullptr, statement, call);
  if (!rows.ok() && rows.error().code == ErrorCode::conflict) {
    co_return Error(ErrorCode::conflict, "the account was made in this moment; open the link again");
  }
  if (!rows.ok()) co_return std::move(rows).error();
  if (rows->size() > 0) co_return Result<void>();
  record_refused_link(trail, "invitation", origin);
  co_return link_refused();
}

Task<Result<void>> InvitationService::Impl::admit_known(const Found& found, std::optional<std::string> hash,
                                                        const Origin& origin, CallOptions call) {
  const Account& account = *found.account;
  const WallTime now = clock.now();
  // Confirmed: then nobody else knows the password. See links.h.
  const bool is_own_password = hash || account.password_hash.empty() || !account.home;
  pg::Params params;
  params.emplace_back(found.id.to_string());
  params.emplace_back(to_rfc3339(now));
  params.emplace_back(account.id.to_string());
  params.emplace_back(account.password_hash);
  const bool chooses = hash.has_value();
  params.push_back(std::move(hash));
  params.emplace_back(found.by_mail() && is_own_password ? "true" : "false");
  auto change = change_of("invitation.accepted", user_actor(found.offer.email, origin), "user", account.id);
  change.tenant = found.offer.tenant->id;
  json::Value values;
  values.set("email", found.offer.email);
  values.set("role", found.offer.role);
  values.set("account", "known");
  if (chooses) values.set("password", "chosen");
  change.new_json = json::serialize(values);
  auto added = change;
  added.action = "member.added";
  std::string with = admit_known_sql();
  with += ", added AS (" + outbox_insert_sql(static_cast<int>(params.size()) + 1, "t") + ")";
  audit::append_parameters(params, added);
  const pg::Statement statement =
      recorded_statement(with, "SELECT user_id FROM t", std::move(params), change);
  CO_TRY(const auto rows, co_await identity.run(nullptr, statement, call));
  if (rows.size() > 0) {
    if (changed) changed(account.id);
    co_return Result<void>();
  }
  co_return Error(ErrorCode::conflict,
                  "the account or the invitation has changed in this moment; open the link again");
}

Task<Result<InvitationOffer>> InvitationService::accept(std::string token, std::string password,
                                                        std::string name, Origin origin,
                                                        CallOptions options) {
  Impl& impl = *impl_;
  CO_TRY(auto found, co_await impl.find(std::move(token), origin, options));
  const tenancy::TenantStatus status = found.offer.tenant->status;
  if (status == tenancy::TenantStatus::suspended) {
    co_return Error(ErrorCode::tenant_suspended, "the tenant is suspended; its rows are kept");
  }
  if (status != tenancy::TenantStatus::active) {
    co_return Error(ErrorCode::conflict, "the tenant is still being made; try again in a moment");
  }
  const bool is_made_elsewhere = found.account && found.account->home &&
                                 *found.account->home != found.offer.tenant->id &&
                                 found.account->verified == Impl::Account::Verified::no;
  if (is_made_elsewhere && found.delivery == "shown_to_tenant") {
    co_return Error(
        ErrorCode::conflict,
        "another tenant made the account of this e-mail address, and the address is not verified; ask "
        "the operator of the platform to add it");
  }
  Error faults(ErrorCode::validation_failed, "the invitation cannot be accepted like this");
  const bool chooses = found.offer.password == InvitationOffer::Password::choose;
  if (!found.account) check_name(name, faults);
  if (chooses && password.empty()) faults.fields.emplace_back("/password", "is required");
  if (!chooses && !password.empty()) {
    faults.fields.emplace_back("/password",
                               "must be left out: the account is there already and keeps its password");
  }
  if (chooses && !password.empty()) {
    auto good = check_new_password(password, found.offer.email, impl.passwords.options());
    if (!good.ok()) faults.fields.push_back(good.error().fields.front());
  }
  if (!faults.fields.empty()) co_return faults;
  std::optional<std::string> hash;
  if (chooses) {
    CO_TRY(hash, co_await impl.passwords.hash(impl.executor, std::move(password), options));
  }
  if (found.account) {
    CO_TRY_DO(co_await impl.admit_known(found, std::move(hash), origin, options));
  } else {
    CO_TRY_DO(co_await impl.admit_new(found, std::move(name), *hash, origin, options));
  }
  co_return std::move(found.offer);
}

}  // namespace rowhouse::identity
