#include "identity/sessions.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "identity/sessions_impl.h"
#include "tenancy/api_key.h"

namespace rowhouse::identity {

namespace {

constexpr std::size_t kMaxAgentBytes = 300;
constexpr std::size_t kMaxTenantNameBytes = 100;
// Addresses that a user signs in from; older ones are forgotten.
constexpr int kMaxKnownAddresses = 50;

// One row for each active membership, or one without.
constexpr std::string_view kAccountSql = R"(
SELECT u.id, u.email, u.name, COALESCE(u.password_hash, ''), u.status, u.platform_admin, m.tenant_id, r.name,
  EXISTS (SELECT FROM identity.second_factors f WHERE f.user_id = u.id AND f.confirmed_at IS NOT NULL)
FROM identity.users u
LEFT JOIN identity.memberships m ON m.user_id = u.id AND m.status = 'active'
LEFT JOIN identity.roles r ON r.tenant_id = m.tenant_id AND r.id = m.role_id
WHERE lower(u.email) = lower($1::text) OR u.id = $2::uuid)";

// $1 session, $2 user, $3 tenant, $4 hash of the refresh token, $5 now, $6 expiry, $7 address, $8 agent, $9
// new password hash or null, $10 address as it is counted, $11 how many others of these are kept, $12 how
// many other sessions. Nothing if the user or the membership has gone in the meantime.
constexpr std::string_view kStartSql = R"(
t AS (INSERT INTO identity.sessions (id, user_id, tenant_id, token_hash, created_at, last_seen_at, expires_at, address,
    agent)
  SELECT $1::uuid, u.id, $3::uuid, $4::bytea, $5::timestamptz, $5::timestamptz, $6::timestamptz, $7::inet, $8::text
  FROM identity.users u WHERE u.id = $2::uuid AND u.status = 'active' AND CASE WHEN $3::uuid IS NULL
    THEN u.platform_admin ELSE EXISTS (SELECT FROM identity.memberships m WHERE m.tenant_id = $3::uuid
      AND m.user_id = u.id AND m.status = 'active') END
  RETURNING id),
seen AS (UPDATE identity.users SET last_login_at = $5::timestamptz, password_hash = COALESCE($9::text, password_hash)
  WHERE id = $2::uuid AND EXISTS (SELECT FROM t)),
known AS (INSERT INTO identity.known_addresses (user_id, address, last_login_at)
  SELECT $2::uuid, $10::text, $5::timestamptz FROM t
  ON CONFLICT (user_id, address) DO UPDATE SET last_login_at = EXCLUDED.last_login_at),
oldest AS (UPDATE identity.sessions SET revoked_at = pg_catalog.now(), end_reason = 'too many sessions'
  WHERE EXISTS (SELECT FROM t) AND id IN (SELECT s.id FROM identity.sessions s WHERE s.user_id = $2::uuid
    AND s.revoked_at IS NULL ORDER BY s.created_at DESC, s.id DESC OFFSET $12::bigint)),
too_many AS (DELETE FROM identity.known_addresses k WHERE k.user_id = $2::uuid AND k.address IN (
  SELECT o.address FROM identity.known_addresses o WHERE o.user_id = $2::uuid AND o.address <> $10::text
  ORDER BY o.last_login_at DESC OFFSET $11::bigint)))";

constexpr std::string_view kTenantOfTokenSql =
    "SELECT tenant_id FROM identity.sessions WHERE token_hash = $1::bytea AND revoked_at IS NULL";

// $1 hash of the token, $2 of its successor, $3 now, $4 and $5 lives in seconds.
const std::string& rotate_sql() {
  static const std::string sql = R"(
WITH s AS (
  UPDATE identity.sessions s SET token_hash = $2::bytea, last_seen_at = $3::timestamptz,
    expires_at = LEAST($3::timestamptz + pg_catalog.make_interval(secs => $4::double precision),
      s.created_at + pg_catalog.make_interval(secs => $5::double precision))
  FROM identity.users u
  WHERE s.token_hash = $1::bytea AND s.revoked_at IS NULL AND s.expires_at > $3::timestamptz
    AND u.id = s.user_id AND u.status = 'active'
    AND CASE WHEN s.tenant_id IS NULL THEN u.platform_admin ELSE EXISTS (SELECT FROM identity.memberships m
      WHERE m.tenant_id = s.tenant_id AND m.user_id = s.user_id AND m.status = 'active') END
  RETURNING s.id, s.user_id, s.tenant_id, s.expires_at, u.email, u.name),
used AS (INSERT INTO identity.used_refresh_tokens (token_hash, session_id, used_at)
  SELECT $1::bytea, s.id, $3::timestamptz FROM s)
SELECT s.id, s.user_id, s.tenant_id, s.email, s.name, r.name,
  (extract(epoch FROM s.expires_at) * 1000)::bigint
FROM s LEFT JOIN identity.memberships m ON m.tenant_id = s.tenant_id AND m.user_id = s.user_id
LEFT JOIN identity.roles r ON r.tenant_id = m.tenant_id AND r.id = m.role_id)";
  return sql;
}

constexpr std::string_view kReusedSql = R"(
SELECT s.id, s.user_id, s.tenant_id, u.email FROM identity.used_refresh_tokens t
JOIN identity.sessions s ON s.id = t.session_id JOIN identity.users u ON u.id = s.user_id
WHERE t.token_hash = $1::bytea AND s.revoked_at IS NULL)";

// The only words that anybody hears whose login fails.
Error login_refused() {
  return Error(ErrorCode::credential_unknown,
               "the e-mail address, the password, the tenant or the code is not right");
}
Error refresh_refused() {
  return Error(ErrorCode::credential_unknown, "the refresh token is not valid, or no longer");
}
Error suspended() { return Error(ErrorCode::tenant_suspended, "the tenant is suspended; its rows are kept"); }

std::string clean_agent(std::string_view agent) {
  std::string text(agent.substr(0, kMaxAgentBytes));
  while (!text.empty() && !is_valid_utf8(text)) text.pop_back();
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text;
}

}  // namespace

SessionService::SessionService(net::Executor& executor, pg::Pool& identity, tenancy::Registry& registry,
                               audit::Trail& trail, Passwords& passwords, SigningKeys& keys,
                               const Clock& clock, SessionOptions options)
    : impl_(std::make_unique<Impl>(executor, identity, registry, trail, passwords, keys, clock, options)) {}
SessionService::~SessionService() = default;

void SessionService::wire(Changed changed) { impl_->changed = std::move(changed); }
void SessionService::wire(SecondFactors& second_factors) { impl_->second_factors = &second_factors; }

// ------------------------------------------------------------------------------------------------- login

Task<Result<Account>> SessionService::Impl::account(std::optional<std::string> email,
                                                    std::optional<Uuid> user, CallOptions call) {
  pg::Params params;
  params.push_back(std::move(email));
  params.push_back(id_param(user));
  const pg::Statement statement(std::string(kAccountSql), std::move(params));
  CO_TRY(const auto rows, co_await identity.run(nullptr, statement, call));
  Account found;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    found.id = Uuid::parse(rows.text(row, 0));
    found.email = rows.text(row, 1);
    found.name = rows.text(row, 2);
    found.password_hash = rows.text(row, 3);
    found.status = parse_account_status(rows.text(row, 4)).value_or(AccountStatus::disabled);
    found.platform_admin = rows.text(row, 5) == "t" ? User::PlatformAdmin::yes : User::PlatformAdmin::no;
    found.second_factor = rows.text(row, 8) == "t" ? Account::SecondFactor::set : Account::SecondFactor::none;
    const auto tenant = Uuid::parse(rows.text(row, 6));
    if (!tenant) continue;
    Account::Place place;
    place.tenant = *tenant;
    place.role = rows.text(row, 7);
    found.places.push_back(std::move(place));
  }
  co_return found;
}

// Null: none is named, or there is none of this name.
Task<Result<std::shared_ptr<const tenancy::Tenant>>> SessionService::Impl::named_tenant(
    const std::string& name, CallOptions call) {
  std::shared_ptr<const tenancy::Tenant> nobody;
  if (name.empty() || name.size() > kMaxTenantNameBytes) co_return nobody;
  auto found = co_await registry.find_tenant(name, call);
  if (!found.ok() && found.error().code == ErrorCode::not_found) co_return nobody;
  co_return found;
}

// Of somebody whose password was right. Error credential_unknown: there is nothing here for them.
Task<Result<Destination>> SessionService::Impl::destination(const Account& account,
                                                            std::shared_ptr<const tenancy::Tenant> named,
                                                            const std::string& name, CallOptions call) {
  Destination to;
  if (name.empty() && account.platform_admin == User::PlatformAdmin::yes) {
    to.role = kPlatformAdminRole;
    co_return to;
  }
  if (name.empty() && account.places.size() > 1) {
    co_return Error(ErrorCode::validation_failed, "you belong to several tenants: name one")
        .with_field("/tenant", "is required: you belong to several");
  }
  if (name.empty() && account.places.size() == 1) {
    auto only = co_await registry.find_tenant(account.places.front().tenant.to_string(), call);
    if (!only.ok() && only.error().code == ErrorCode::not_found) co_return login_refused();
    if (!only.ok()) co_return std::move(only).error();
    named = std::move(only).value();
  }
  if (named == nullptr) co_return login_refused();
  const auto place = std::find_if(account.places.begin(), account.places.end(),
                                  [&](const Account::Place& each) { return each.tenant == named->id; });
  if (place == account.places.end()) co_return login_refused();
  if (named->status == tenancy::TenantStatus::suspended) co_return suspended();
  if (named->status != tenancy::TenantStatus::active) co_return login_refused();
  to.tenant = std::move(named);
  to.role = place->role;
  co_return to;
}

void SessionService::Impl::record(audit::SecurityEventKind kind, const Account& who,
                                  std::optional<Uuid> tenant, const Error& error, const Origin& origin) {
  audit::SecurityEvent event(kind);
  event.tenant = tenant;
  // What was typed as an e-mail address may be anything, a password too: only that of an account is written
  // down.
  if (who.id) event.actor = "user " + who.email;
  event.detail = error_code_name(error.code);
  event.address = origin.address;
  event.agent = origin.agent;
  event.request_id = origin.request_id;
  trail.record(std::move(event));
}

Result<void> SessionService::Impl::grant(SignedIn& signed_in, const std::optional<Uuid>& tenant) const {
  AccessClaims claims;
  claims.token = Uuid::make_v7(clock.now());
  claims.user = signed_in.user;
  claims.session = signed_in.session;
  claims.tenant = tenant;
  claims.role = signed_in.role;
  claims.issued_at = std::chrono::floor<std::chrono::seconds>(clock.now());
  claims.expires_at = claims.issued_at + keys.options().access_life;
  TRY(signed_in.access_token, keys.sign(claims));
  signed_in.access_expires_at = claims.expires_at;
  return Result<void>();
}

Task<Result<SignedIn>> SessionService::Impl::start(const Account& account, const Destination& to,
                                                   std::string new_hash, const Origin& origin,
                                                   CallOptions call) {
  const WallTime now = clock.now();
  SignedIn signed_in;
  signed_in.session = Uuid::make_v7(now);
  signed_in.user = *account.id;
  signed_in.email = account.email;
  signed_in.name = account.name;
  signed_in.role = to.role;
  signed_in.refresh_token = tenancy::make_credential(kRefreshTokenPrefix);
  signed_in.refresh_expires_at = now + std::min(options.idle_life, options.longest_life);
  std::optional<Uuid> tenant;
  if (to.tenant) tenant = to.tenant->id;
  CO_TRY_DO(grant(signed_in, tenant));

  const std::string address = address_text(origin.address);
  pg::Params params;
  params.emplace_back(signed_in.session.to_string());
  params.emplace_back(signed_in.user.to_string());
  params.push_back(id_param(tenant));
  params.emplace_back(tenancy::bytea_text(tenancy::hash_of_credential(signed_in.refresh_token)));
  params.emplace_back(to_rfc3339(now));
  params.emplace_back(to_rfc3339(signed_in.refresh_expires_at));
  params.push_back(address.empty() ? std::nullopt : pg::Param(address));
  params.emplace_back(clean_agent(origin.agent));
  params.push_back(new_hash.empty() ? std::nullopt : pg::Param(std::move(new_hash)));
  params.emplace_back(address_key(origin.address));
  params.emplace_back(std::to_string(kMaxKnownAddresses - 1));
  params.emplace_back(std::to_string(options.max_sessions_per_user - 1));  // beside the new one
  auto change = change_of("session.started", user_actor(account.email, origin), "session", signed_in.session);
  change.tenant = tenant;
  json::Value values;
  values.set("user", signed_in.user.to_string());
  values.set("role", signed_in.role);
  change.new_json = json::serialize(values);
  const pg::Statement statement =
      recorded_statement(kStartSql, "SELECT id FROM t", std::move(params), change);
  CO_TRY(const auto rows, co_await identity.run(nullptr, statement, call));
  if (rows.size() == 0) co_return login_refused();
  signed_in.tenant = to.tenant;
  co_return signed_in;
}

Task<Result<void>> SessionService::Impl::check_second_factor(const Account& who, const std::string& code,
                                                             Error refusal, const Origin& origin,
                                                             CallOptions call) {
  if (who.second_factor == Account::SecondFactor::none) co_return Result<void>();
  if (second_factors == nullptr) co_return refusal;
  if (code.empty()) {
    co_return Error(ErrorCode::second_factor_required, "the account has a second factor: send its code, too");
  }
  const tenancy::Actor actor = user_actor(who.email, origin);
  CO_TRY(const auto answer, co_await second_factors->spend(*who.id, code, actor, call));
  if (answer == SecondFactors::Answer::wrong) co_return refusal;
  co_return Result<void>();
}

// Whatever fails, the same statements and the same hashing come before it.
Task<Result<SignedIn>> SessionService::Impl::admit(const Login& login, const Origin& origin,
                                                   CallOptions call) {
  const std::string email = clean_email(login.email).value_or("");
  const std::string address = address_key(origin.address);
  const std::optional<std::string> wanted = email;
  CO_TRY(auto named, co_await named_tenant(login.tenant, call));
  CO_TRY(const Account found, co_await account(wanted, std::nullopt, call));
  std::optional<Uuid> tenant;
  if (named) tenant = named->id;
  auto attempt = co_await attempts.begin(email, address, call);
  if (!attempt.ok()) {
    if (attempt.error().code == ErrorCode::rate_limited) {
      record(audit::SecurityEventKind::rate_limit_exceeded, found, tenant, attempt.error(), origin);
    }
    co_return std::move(attempt).error();
  }
  auto checked = co_await passwords.check(executor, found.password_hash, login.password, call);
  if (!checked.ok()) {
    CO_TRY_DO(co_await attempts.take_back(Attempts::Ending::given_up, *attempt, call));
    co_return std::move(checked).error();
  }
  const bool right =
      checked->answer == Passwords::Checked::Answer::right && found.status == AccountStatus::active;
  if (!right) {
    const Error refusal = login_refused();
    record(audit::SecurityEventKind::login_failed, found, tenant, refusal, origin);
    co_return refusal;
  }
  auto to = co_await destination(found, std::move(named), login.tenant, call);
  if (!to.ok() && to.error().code == ErrorCode::credential_unknown) {
    record(audit::SecurityEventKind::login_failed, found, tenant, to.error(), origin);
    co_return std::move(to).error();
  }
  const Error refusal = login_refused();
  Result<void> proved;
  if (to.ok()) proved = co_await check_second_factor(found, login.code, refusal, origin, call);
  if (!proved.ok() && proved.error().code == ErrorCode::credential_unknown) {
    record(audit::SecurityEventKind::login_failed, found, tenant, proved.error(), origin);
    co_return std::move(proved).error();
  }
  // A right password alone must not wipe out the guesses at the code before.
  const bool all_right = proved.ok() && (to.ok() || found.second_factor == Account::SecondFactor::none);
  const auto ending = all_right ? Attempts::Ending::right : Attempts::Ending::given_up;
  CO_TRY_DO(co_await attempts.take_back(ending, *attempt, call));
  if (!to.ok()) co_return std::move(to).error();
  if (!proved.ok()) co_return std::move(proved).error();
  co_return co_await start(found, *to, std::move(checked->new_hash), origin, call);
}

Task<Result<SignedIn>> SessionService::login(Login login, Origin origin, CallOptions options) {
  co_return co_await impl_->admit(login, origin, options);
}

// ----------------------------------------------------------------------------------------------- refresh

// Somebody holds a token that has been used: they or who used it has stolen it, so neither may go on.
Task<Result<void>> SessionService::Impl::end_reused(const tenancy::KeyHash& hash, const Origin& origin,
                                                    CallOptions call) {
  pg::Params params;
  params.emplace_back(tenancy::bytea_text(hash));
  const pg::Statement statement(std::string(kReusedSql), std::move(params));
  CO_TRY(const auto rows, co_await identity.run(nullptr, statement, call));
  if (rows.size() == 0) co_return Result<void>();
  Account who;
  who.id = Uuid::parse(rows.text(0, 1));
  who.email = rows.text(0, 3);
  const auto tenant = Uuid::parse(rows.text(0, 2));
  record(audit::SecurityEventKind::refresh_token_reused, who, tenant, refresh_refused(), origin);
  pg::Params which;
  which.emplace_back(std::string(rows.text(0, 0)));
  const tenancy::Actor actor = user_actor(who.email, origin);
  CO_TRY_DO(co_await end_where("s.id = $1::uuid", std::move(which), "refresh token used twice", actor, call));
  co_return Result<void>();
}

Task<Result<SignedIn>> SessionService::refresh(std::string refresh_token, Origin origin,
                                               CallOptions options) {
  if (!tenancy::has_credential_form(refresh_token, kRefreshTokenPrefix)) co_return refresh_refused();
  Impl& impl = *impl_;
  const tenancy::KeyHash hash = tenancy::hash_of_credential(refresh_token);
  pg::Params which;
  which.emplace_back(tenancy::bytea_text(hash));
  const pg::Statement of_whom(std::string(kTenantOfTokenSql), std::move(which));
  CO_TRY(const auto owner, co_await impl.identity.run(nullptr, of_whom, options));
  SignedIn signed_in;
  const auto tenant = owner.size() > 0 ? Uuid::parse(owner.text(0, 0)) : std::nullopt;
  if (tenant) {
    auto found = co_await impl.registry.find_tenant(tenant->to_string(), options);
    if (!found.ok() && found.error().code != ErrorCode::not_found) co_return std::move(found).error();
    if (!found.ok()) co_return refresh_refused();
    if ((*found)->status == tenancy::TenantStatus::suspended) co_return suspended();
    if ((*found)->status != tenancy::TenantStatus::active) co_return refresh_refused();
    signed_in.tenant = std::move(found).value();
  }
  signed_in.refresh_token = tenancy::make_credential(kRefreshTokenPrefix);
  const auto seconds = [](auto duration) {
    return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(duration).count());
  };
  pg::Params params;
  params.emplace_back(tenancy::bytea_text(hash));
  params.emplace_back(tenancy::bytea_text(tenancy::hash_of_credential(signed_in.refresh_token)));
  params.emplace_back(to_rfc3339(impl.clock.now()));
  params.emplace_back(seconds(impl.options.idle_life));
  params.emplace_back(seconds(impl.options.longest_life));
  const pg::Statement statement(rotate_sql(), std::move(params), pg::Access::write);
  CO_TRY(const auto rows, co_await impl.identity.run(nullptr, statement, options));
  if (rows.size() == 0) {
    CO_TRY_DO(co_await impl.end_reused(hash, origin, options));
    co_return refresh_refused();
  }
  signed_in.session = Uuid::parse(rows.text(0, 0)).value_or(Uuid());
  signed_in.user = Uuid::parse(rows.text(0, 1)).value_or(Uuid());
  signed_in.email = rows.text(0, 3);
  signed_in.name = rows.text(0, 4);
  signed_in.role = tenant ? rows.text(0, 5) : kPlatformAdminRole;
  signed_in.refresh_expires_at =
      WallTime(std::chrono::milliseconds(parse_int64(rows.text(0, 6)).value_or(0)));
  CO_TRY_DO(impl.grant(signed_in, tenant));
  co_return signed_in;
}

}  // namespace rowhouse::identity
