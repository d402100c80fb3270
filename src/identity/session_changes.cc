// Ending and listing sessions, changing a password; see sessions.h.
#include <utility>

#include "base/text.h"
#include "identity/sessions_impl.h"
#include "tenancy/api_key.h"

namespace rowhouse::identity {

namespace {

constexpr std::string_view kPruneSql = R"(
WITH ended AS (DELETE FROM identity.sessions
    WHERE revoked_at < $1::timestamptz - interval '30 days' OR expires_at < $1::timestamptz - interval '30 days'),
  attempts AS (DELETE FROM identity.login_attempts WHERE ends_at <= $1::timestamptz)
DELETE FROM identity.known_addresses WHERE last_login_at < $1::timestamptz - interval '180 days')";

// The scope as conditions on `s`, only those that are set, so that each has its index; adds their parameters.
std::string within(const SessionScope& scope, pg::Params& params) {
  std::string condition;
  const auto add = [&](std::string_view column, const std::optional<Uuid>& id) {
    if (!id) return;
    params.emplace_back(id->to_string());
    condition += " AND s." + std::string(column) + " = $" + std::to_string(params.size()) + "::uuid";
  };
  add("user_id", scope.user);
  add("tenant_id", scope.tenant);
  return condition;
}

}  // namespace

// Each session is an entry of its own.
Task<Result<std::size_t>> SessionService::Impl::end_where(std::string_view condition, pg::Params params,
                                                          std::string reason, const tenancy::Actor& actor,
                                                          CallOptions call) {
  const auto parameter = [&params](pg::Param value) {
    params.push_back(std::move(value));
    return "$" + std::to_string(params.size());
  };
  json::Value values;
  values.set("reason", reason);
  const std::string address = address_text(actor.address);
  const std::string reason_text = parameter(std::move(reason));
  const std::string actor_text = parameter(actor.name);
  const std::string values_text = parameter(json::serialize(values));
  const std::string address_parameter = parameter(address.empty() ? std::nullopt : pg::Param(address));
  std::string sql =
      "WITH t AS (UPDATE identity.sessions s SET revoked_at = pg_catalog.now(), end_reason = " + reason_text +
      "::text WHERE s.revoked_at IS NULL AND " + std::string(condition) +
      " RETURNING s.id, s.tenant_id), recorded AS (INSERT INTO identity.outbox (tenant_id, actor, action, "
      "object_type, object_id, new_values, address) SELECT t.tenant_id, " +
      actor_text + "::text, 'session.ended', 'session', t.id::text, " + values_text + "::jsonb, " +
      address_parameter + "::inet FROM t) SELECT id FROM t";
  const pg::Statement statement(std::move(sql), std::move(params), pg::Access::write);
  CO_TRY(const auto rows, co_await identity.run(nullptr, statement, call));
  for (std::size_t row = 0; row < rows.size(); ++row)
    announce(Uuid::parse(rows.text(row, 0)).value_or(Uuid()));
  co_return rows.size();
}

Task<Result<void>> SessionService::logout(std::string refresh_token, Origin origin, CallOptions options) {
  if (!tenancy::has_credential_form(refresh_token, kRefreshTokenPrefix)) co_return Result<void>();
  pg::Params params;
  params.emplace_back(tenancy::bytea_text(tenancy::hash_of_credential(refresh_token)));
  // A token that was used before will do: whoever wants to be signed out is not asked how.
  const std::string condition =
      "(s.token_hash = $1::bytea OR s.id = (SELECT u.session_id FROM identity.used_refresh_tokens u "
      "WHERE u.token_hash = $1::bytea))";
  const tenancy::Actor actor("holder of the refresh token", origin.address);
  CO_TRY_DO(co_await impl_->end_where(condition, std::move(params), "logout", actor, options));
  co_return Result<void>();
}

Task<Result<std::vector<SessionInfo>>> SessionService::list(SessionScope scope, CallOptions options) {
  pg::Params params;
  params.emplace_back(to_rfc3339(impl_->clock.now()));
  params.emplace_back(std::to_string(kMaxListed));
  const std::string condition = within(scope, params);
  const pg::Statement statement("SELECT s.id, s.user_id, u.email, s.tenant_id, " +
                                    timestamp_sql("s.created_at") + ", " + timestamp_sql("s.expires_at") +
                                    ", " + timestamp_sql("s.last_seen_at") +
                                    ", pg_catalog.host(s.address), s.agent FROM identity.sessions s JOIN "
                                    "identity.users u ON u.id = s.user_id "
                                    "WHERE s.revoked_at IS NULL AND s.expires_at > $1::timestamptz" +
                                    condition + " ORDER BY s.created_at DESC, s.id DESC LIMIT $2::bigint",
                                std::move(params));
  CO_TRY(const auto rows, co_await impl_->identity.run(nullptr, statement, options));
  std::vector<SessionInfo> sessions;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    SessionInfo info;
    info.id = Uuid::parse(rows.text(row, 0)).value_or(Uuid());
    info.user = Uuid::parse(rows.text(row, 1)).value_or(Uuid());
    info.email = rows.text(row, 2);
    info.tenant = Uuid::parse(rows.text(row, 3));
    info.created_at = rows.text(row, 4);
    info.expires_at = rows.text(row, 5);
    info.last_seen_at = rows.text(row, 6);
    info.address = rows.text(row, 7);
    info.agent = rows.text(row, 8);
    sessions.push_back(std::move(info));
  }
  co_return sessions;
}

Task<Result<void>> SessionService::end(Uuid session, SessionScope scope, tenancy::Actor actor,
                                       CallOptions options) {
  pg::Params params;
  params.emplace_back(session.to_string());
  const std::string condition = "s.id = $1::uuid" + within(scope, params);
  CO_TRY(const auto count, co_await impl_->end_where(condition, std::move(params), "ended", actor, options));
  if (count == 0) co_return Error(ErrorCode::not_found, "there is no such session");
  co_return Result<void>();
}

Task<Result<std::size_t>> SessionService::end_all(SessionScope scope, std::optional<Uuid> keep,
                                                  tenancy::Actor actor, CallOptions options) {
  if (!scope.user && !scope.tenant) co_return Error(ErrorCode::internal, "nobody's sessions were named");
  pg::Params params;
  params.push_back(id_param(keep));
  const std::string condition = "s.id IS DISTINCT FROM $1::uuid" + within(scope, params);
  co_return co_await impl_->end_where(condition, std::move(params), "all ended", actor, options);
}

Task<Result<void>> SessionService::Impl::check_again(const Account& who, std::string password,
                                                     const std::string* code, Error refusal,
                                                     const Origin& origin, CallOptions call) {
  const std::string address = address_key(origin.address);
  CO_TRY(const auto attempt, co_await attempts.begin(who.email, address, call));
  auto checked = co_await passwords.check(executor, who.password_hash, std::move(password), call);
  if (!checked.ok()) {
    CO_TRY_DO(co_await attempts.take_back(Attempts::Ending::given_up, attempt, call));
    co_return std::move(checked).error();
  }
  Result<void> outcome;
  if (checked->answer != Passwords::Checked::Answer::right) {
    outcome = refusal;
  } else if (code != nullptr) {
    outcome = co_await check_second_factor(who, *code, refusal, origin, call);
  }
  if (!outcome.ok() && outcome.error().code == ErrorCode::credential_unknown) {
    record(audit::SecurityEventKind::login_failed, who, std::nullopt, outcome.error(), origin);
    co_return outcome;
  }
  // Guesses at the code are wiped out by a code alone.
  const bool all_right =
      outcome.ok() && (code != nullptr || who.second_factor == Account::SecondFactor::none);
  const auto ending = all_right ? Attempts::Ending::right : Attempts::Ending::given_up;
  CO_TRY_DO(co_await attempts.take_back(ending, attempt, call));
  co_return outcome;
}

Task<Result<void>> SessionService::change_password(Uuid user, std::string current, std::string new_password,
                                                   std::optional<Uuid> keep, Origin origin,
                                                   CallOptions options) {
  Impl& impl = *impl_;
  CO_TRY(const Account found, co_await impl.account(std::nullopt, user, options));
  const Error refusal(ErrorCode::credential_unknown, "the current password is not right");
  CO_TRY_DO(co_await impl.check_again(found, std::move(current), nullptr, refusal, origin, options));
  auto good = check_new_password(new_password, found.email, impl.passwords.options());
  if (!good.ok()) {
    for (FieldError& field : good.error().fields) field.path = "/new_password";
    co_return std::move(good).error();
  }
  CO_TRY(auto hash, co_await impl.passwords.hash(impl.executor, std::move(new_password), options));
  pg::Params params;
  params.emplace_back(user.to_string());
  params.emplace_back(std::move(hash));
  params.push_back(id_param(keep));
  params.emplace_back(found.password_hash);
  const auto change = change_of("user.password_changed", user_actor(found.email, origin), "user", user);
  const pg::Statement statement = recorded_statement(
      "t AS (UPDATE identity.users SET password_hash = $2::text WHERE id = $1::uuid AND status = 'active' "
      "AND "
      "password_hash = $4::text RETURNING id), ended AS (UPDATE identity.sessions s SET revoked_at = "
      "pg_catalog.now(), "
      "end_reason = 'password changed' FROM t WHERE s.user_id = t.id AND s.revoked_at IS NULL AND s.id IS "
      "DISTINCT "
      "FROM $3::uuid)",
      "SELECT id FROM t", std::move(params), change);
  CO_TRY(const auto rows, co_await impl.identity.run(nullptr, statement, options));
  if (rows.size() == 0) co_return Error(ErrorCode::conflict, "the account has changed in the meantime");
  impl.announce(user);
  co_return Result<void>();
}

Task<Result<void>> SessionService::prove(Uuid user, std::string password, std::string code, Origin origin,
                                         CallOptions options) {
  CO_TRY(const Account found, co_await impl_->account(std::nullopt, user, options));
  const Error refusal(ErrorCode::credential_unknown, "the password or the code is not right");
  co_return co_await impl_->check_again(found, std::move(password), &code, refusal, origin, options);
}

Task<Result<void>> prune_sessions(pg::Pool& identity, WallTime now, CallOptions options) {
  pg::Params params;
  params.emplace_back(to_rfc3339(now));
  const pg::Statement statement(std::string(kPruneSql), std::move(params), pg::Access::write);
  CO_TRY_DO(co_await identity.run(nullptr, statement, options));
  co_return Result<void>();
}

}  // namespace rowhouse::identity
