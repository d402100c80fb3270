#include "identity/users.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "identity/outbox.h"
#include "identity/users_impl.h"
#include "tenancy/tenant_input.h"

namespace rowhouse::identity {

namespace {

constexpr std::size_t kMaxListLimit = 500;
constexpr std::size_t kMaxSearchBytes = 200;
constexpr std::size_t kFingerprintBytes = 8;

std::string user_columns() {
  return "u.id, u.email, u.name, u.status, u.platform_admin, u.password_hash IS NOT NULL, u.home_tenant, " +
         timestamp_sql("u.created_at") + ", " + timestamp_sql("u.updated_at") + ", " +
         timestamp_sql("u.last_login_at") + " ";
}

User user_from_row(const pg::Rows& rows, std::size_t row) {
  User user;
  user.id = Uuid::parse(rows.text(row, 0)).value_or(Uuid());
  user.email = rows.text(row, 1);
  user.name = rows.text(row, 2);
  user.status = parse_account_status(rows.text(row, 3)).value_or(AccountStatus::disabled);
  user.platform_admin = rows.text(row, 4) == "t" ? User::PlatformAdmin::yes : User::PlatformAdmin::no;
  user.password = rows.text(row, 5) == "t" ? User::Password::set : User::Password::none;
  user.home_tenant = Uuid::parse(rows.text(row, 6));
  user.created_at = rows.text(row, 7);
  user.updated_at = rows.text(row, 8);
  user.last_login_at = rows.text(row, 9);
  return user;
}

json::Value summary_of(const NewUser& request) {
  json::Value summary;
  summary.set("email", request.email);
  summary.set("name", request.name);
  summary.set("platform_admin", request.platform_admin == User::PlatformAdmin::yes);
  return summary;
}

json::Value summary_of(const UserChange& change) {
  json::Value summary{json::Object{}};
  if (change.email) summary.set("email", *change.email);
  if (change.name) summary.set("name", *change.name);
  if (change.status) summary.set("status", account_status_name(*change.status));
  if (change.platform_admin)
    summary.set("platform_admin", *change.platform_admin == User::PlatformAdmin::yes);
  return summary;
}

Error last_admin() {
  return Error(ErrorCode::conflict, "this is the last active platform admin; make another one first");
}

// The active admins, locked, so that two who go at the same time cannot both find the other.
constexpr std::string_view kOtherAdmins =
    "admins AS MATERIALIZED (SELECT id FROM identity.users WHERE platform_admin AND status = 'active' "
    "ORDER BY id FOR UPDATE)";
constexpr std::string_view kNotTheLast =
    "(NOT u.platform_admin OR u.status <> 'active' OR EXISTS (SELECT FROM admins WHERE admins.id <> u.id))";

Error write_error(Error error) {
  if (error.code == ErrorCode::conflict && error.detail(pg::kConstraint) == "users_email")
    return email_taken();
  return error;
}

}  // namespace

// ------------------------------------------------------------------------------------------------ shared

std::string_view account_status_name(AccountStatus status) {
  return status == AccountStatus::active ? "active" : "disabled";
}

std::optional<AccountStatus> parse_account_status(std::string_view text) {
  if (text == "active") return AccountStatus::active;
  if (text == "disabled") return AccountStatus::disabled;
  return std::nullopt;
}

std::string timestamp_sql(std::string_view column) {
  return "pg_catalog.to_char(" + std::string(column) +
         " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
}

std::string fingerprint_of(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += std::to_string(part.size()) + ":" + part;
  return to_hex(crypto::sha256(text).substr(0, kFingerprintBytes));
}

std::string encode_cursor(std::string_view fingerprint, const PagePosition& last) {
  return to_base64url(std::string(fingerprint) + " " + last.created_at + " " + last.id);
}

Result<PagePosition> decode_cursor(std::string_view fingerprint, std::string_view cursor) {
  const Error invalid(ErrorCode::invalid_cursor,
                      "the cursor does not belong to this list; start again without it");
  const auto text = from_base64url(cursor);
  if (!text) return invalid;
  const auto parts = split(*text, ' ');
  if (parts.size() != 3 || parts[0] != fingerprint || !Uuid::parse(parts[2])) return invalid;
  // As timestamp_sql() writes it, so that the database need not judge it.
  std::string shape(parts[1]);
  for (char& c : shape) c = c >= '0' && c <= '9' ? '0' : c;
  if (shape != "0000-00-00T00:00:00.000000Z") return invalid;
  PagePosition position;
  position.created_at = parts[1];
  position.id = parts[2];
  return position;
}

std::string containing_pattern(std::string_view text) {
  std::string pattern = "%";
  for (const char c : text) {
    if (c == '%' || c == '_' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern + "%";
}

pg::Statement recorded_statement(std::string_view with, std::string_view select, pg::Params params,
                                 const audit::Change& change) {
  const int first = static_cast<int>(params.size()) + 1;
  audit::append_parameters(params, change);
  std::string sql = "WITH " + std::string(with) + ", recorded AS (" + outbox_insert_sql(first, "t") + ") " +
                    std::string(select);
  return pg::Statement(std::move(sql), std::move(params), pg::Access::write);
}

audit::Change change_of(std::string action, const tenancy::Actor& actor, std::string object_type,
                        const Uuid& object) {
  audit::Change change(actor.name, std::move(action));
  change.address = actor.address;
  change.object_type = std::move(object_type);
  change.object_id = object.to_string();
  return change;
}

std::optional<std::string> clean_email(std::string_view text) {
  text = trim(text);
  if (!tenancy::is_email(text)) return std::nullopt;
  return std::string(text);
}

void check_name(std::string_view name, Error& faults) {
  const bool is_text = is_valid_utf8(name) && std::none_of(name.begin(), name.end(), [](char c) {
                         return static_cast<unsigned char>(c) < ' ' || c == '\x7f';
                       });
  if (!is_text) {
    faults.fields.emplace_back("/name", "must be text without control characters");
  } else if (utf8_length(name) > kMaxUserNameCharacters) {
    faults.fields.emplace_back("/name", "is too long: 200 characters at most");
  }
}

Error email_taken() {
  return Error(ErrorCode::conflict, "there is an account with this e-mail address already")
      .with_field("/email", "is taken");
}

Error no_such_user() { return Error(ErrorCode::not_found, "there is no such user"); }

Task<Result<std::optional<std::string>>> UserService::Impl::hash_if_given(std::string password,
                                                                          CallOptions call) {
  std::optional<std::string> hash;
  if (password.empty()) co_return hash;
  CO_TRY(hash, co_await passwords.hash(executor, std::move(password), call));
  co_return hash;
}

UserService::UserService(net::Executor& executor, pg::Pool& identity, Passwords& passwords,
                         const Clock& clock)
    : impl_(std::make_unique<Impl>(executor, identity, passwords, clock)) {}
UserService::~UserService() = default;

void UserService::wire(Changed changed) { impl_->changed = std::move(changed); }

// ---------------------------------------------------------------------------------------------- accounts

Task<Result<User>> UserService::create_user(NewUser request, tenancy::Actor actor, CallOptions options) {
  Error faults(ErrorCode::validation_failed, "the user is not valid");
  const auto email = clean_email(request.email);
  if (!email) faults.fields.emplace_back("/email", "must be an e-mail address");
  check_name(request.name, faults);
  if (!request.password.empty()) {
    auto good = check_new_password(request.password, request.email, impl_->passwords.options());
    if (!good.ok()) faults.fields.push_back(good.error().fields.front());
  }
  if (!faults.fields.empty()) co_return faults;
  request.email = *email;
  CO_TRY(auto hash, co_await impl_->hash_if_given(std::move(request.password), options));

  const Uuid id = Uuid::make_v7(impl_->clock.now());
  pg::Params params;
  params.emplace_back(id.to_string());
  params.emplace_back(request.email);
  params.emplace_back(request.name);
  params.emplace_back(std::move(hash));
  params.emplace_back(request.platform_admin == User::PlatformAdmin::yes ? "true" : "false");
  auto change = change_of("user.created", actor, "user", id);
  change.new_json = json::serialize(summary_of(request));
  const pg::Statement statement = recorded_statement(
      "t AS (INSERT INTO identity.users (id, email, name, password_hash, platform_admin) VALUES ($1::uuid, "
      "$2::text, "
      "$3::text, $4::text, $5::boolean) RETURNING *)",
      "SELECT " + user_columns() + "FROM t u", std::move(params), change);
  auto rows = co_await impl_->identity.run(nullptr, statement, options);
  if (!rows.ok()) co_return write_error(std::move(rows).error());
  co_return user_from_row(*rows, 0);
}

Task<Result<User>> UserService::get_user(Uuid user, CallOptions options) {
  pg::Params params;
  params.emplace_back(user.to_string());
  const pg::Statement statement("SELECT " + user_columns() + "FROM identity.users u WHERE u.id = $1::uuid",
                                std::move(params));
  CO_TRY(const auto rows, co_await impl_->identity.run(nullptr, statement, options));
  if (rows.size() == 0) co_return no_such_user();
  co_return user_from_row(rows, 0);
}

Task<Result<User>> UserService::find_user(std::string email, CallOptions options) {
  const auto address = clean_email(email);
  if (!address) co_return no_such_user();
  pg::Params params;
  params.emplace_back(*address);
  const pg::Statement statement(
      "SELECT " + user_columns() + "FROM identity.users u WHERE lower(u.email) = lower($1::text)",
      std::move(params));
  CO_TRY(const auto rows, co_await impl_->identity.run(nullptr, statement, options));
  if (rows.size() == 0) co_return no_such_user();
  co_return user_from_row(rows, 0);
}

Task<Result<UserPage>> UserService::list_users(UserFilter filter, CallOptions options) {
  filter.limit = std::clamp<std::size_t>(filter.limit, 1, kMaxListLimit);
  UserPage page;
  if (filter.search.size() > kMaxSearchBytes || !is_valid_utf8(filter.search) ||
      filter.search.find('\0') != std::string::npos) {
    co_return page;
  }
  std::string status(filter.status ? account_status_name(*filter.status) : "");
  std::string admin;
  if (filter.platform_admin) admin = *filter.platform_admin == User::PlatformAdmin::yes ? "true" : "false";
  const std::vector<std::string> parts{filter.search, status, admin};
  const std::string fingerprint = fingerprint_of(parts);
  pg::Params params;
  params.push_back(filter.search.empty() ? std::nullopt : pg::Param(containing_pattern(filter.search)));
  params.push_back(status.empty() ? std::nullopt : pg::Param(status));
  params.push_back(admin.empty() ? std::nullopt : pg::Param(admin));
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
      "SELECT " + user_columns() +
          "FROM identity.users u WHERE ($1::text IS NULL OR u.email ILIKE $1 OR u.name ILIKE $1) "
          "AND ($2::text IS NULL OR u.status = $2) AND ($3::boolean IS NULL OR u.platform_admin = "
          "$3::boolean) "
          "AND ($4::timestamptz IS NULL OR (u.created_at, u.id) > ($4::timestamptz, $5::uuid)) "
          "ORDER BY u.created_at, u.id LIMIT $6::bigint",
      std::move(params));
  CO_TRY(const auto rows, co_await impl_->identity.run(nullptr, statement, options));
  for (std::size_t row = 0; row < std::min(rows.size(), filter.limit); ++row) {
    page.users.push_back(user_from_row(rows, row));
  }
  if (rows.size() > filter.limit) {
    const User& last = page.users.back();
    PagePosition position{last.created_at, last.id.to_string()};
    page.next_cursor = encode_cursor(fingerprint, position);
  }
  co_return page;
}

Task<Result<User>> UserService::change_user(Uuid user, UserChange wanted, tenancy::Actor actor,
                                            CallOptions options) {
  Error faults(ErrorCode::validation_failed, "the change is not valid");
  if (wanted.email) {
    const auto email = clean_email(*wanted.email);
    if (!email) faults.fields.emplace_back("/email", "must be an e-mail address");
    if (email) wanted.email = *email;
  }
  if (wanted.name) check_name(*wanted.name, faults);
  if (!faults.fields.empty()) co_return faults;
  CO_TRY(const User before, co_await get_user(user, options));

  pg::Params params;
  params.emplace_back(user.to_string());
  params.push_back(wanted.email);
  params.push_back(wanted.name);
  params.push_back(wanted.status ? pg::Param(account_status_name(*wanted.status)) : std::nullopt);
  std::string admin;
  if (wanted.platform_admin) admin = *wanted.platform_admin == User::PlatformAdmin::yes ? "true" : "false";
  params.push_back(admin.empty() ? std::nullopt : pg::Param(admin));
  auto change = change_of("user.changed", actor, "user", user);
  change.new_json = json::serialize(summary_of(wanted));
  UserChange old;
  old.email = before.email;
  old.name = before.name;
  old.status = before.status;
  old.platform_admin = before.platform_admin;
  change.old_json = json::serialize(summary_of(old));
  const std::string with =
      std::string(kOtherAdmins) +
      ", t AS (UPDATE identity.users u SET email = COALESCE($2::text, u.email), name = COALESCE($3::text, "
      "u.name), "
      "status = COALESCE($4::text, u.status), platform_admin = COALESCE($5::boolean, u.platform_admin), "
      "email_verified_at = CASE WHEN lower($2::text) <> lower(u.email) THEN NULL ELSE u.email_verified_at "
      "END "
      "WHERE u.id = $1::uuid AND ((COALESCE($4::text, 'active') = 'active' AND COALESCE($5::boolean, true)) "
      "OR " +
      std::string(kNotTheLast) +
      ") RETURNING u.*), ended AS (UPDATE identity.sessions s SET revoked_at = pg_catalog.now(), end_reason "
      "= "
      "'account changed' FROM t WHERE s.user_id = t.id AND s.revoked_at IS NULL AND "
      "(t.status <> 'active' OR (s.tenant_id IS NULL AND NOT t.platform_admin)))";
  const pg::Statement statement =
      recorded_statement(with, "SELECT " + user_columns() + "FROM t u", std::move(params), change);
  auto rows = co_await impl_->identity.run(nullptr, statement, options);
  if (!rows.ok()) co_return write_error(std::move(rows).error());
  if (rows->size() == 0) co_return last_admin();
  impl_->announce(user);
  co_return user_from_row(*rows, 0);
}

Task<Result<void>> UserService::set_password(Uuid user, std::string password, tenancy::Actor actor,
                                             CallOptions options) {
  CO_TRY(const User before, co_await get_user(user, options));
  CO_TRY_DO(check_new_password(password, before.email, impl_->passwords.options()));
  CO_TRY(auto hash, co_await impl_->passwords.hash(impl_->executor, std::move(password), options));
  pg::Params params;
  params.emplace_back(user.to_string());
  params.emplace_back(std::move(hash));
  const auto change = change_of("user.password_set", actor, "user", user);
  const pg::Statement statement = recorded_statement(
      "t AS (UPDATE identity.users SET password_hash = $2::text WHERE id = $1::uuid RETURNING id), "
      "ended AS (UPDATE identity.sessions s SET revoked_at = pg_catalog.now(), end_reason = 'password set' "
      "FROM t "
      "WHERE s.user_id = t.id AND s.revoked_at IS NULL)",
      "SELECT id FROM t", std::move(params), change);
  CO_TRY(const auto rows, co_await impl_->identity.run(nullptr, statement, options));
  if (rows.size() == 0) co_return no_such_user();
  impl_->announce(user);
  co_return Result<void>();
}

Task<Result<void>> UserService::remove_user(Uuid user, tenancy::Actor actor, CallOptions options) {
  CO_TRY(const User before, co_await get_user(user, options));
  pg::Params params;
  params.emplace_back(user.to_string());
  auto change = change_of("user.removed", actor, "user", user);
  json::Value old;
  old.set("email", before.email);
  change.old_json = json::serialize(old);
  const std::string with = std::string(kOtherAdmins) +
                           ", t AS (DELETE FROM identity.users u WHERE u.id = $1::uuid AND " +
                           std::string(kNotTheLast) + " RETURNING u.id)";
  const pg::Statement statement = recorded_statement(with, "SELECT id FROM t", std::move(params), change);
  CO_TRY(const auto rows, co_await impl_->identity.run(nullptr, statement, options));
  if (rows.size() == 0) co_return last_admin();
  impl_->announce(user);
  co_return Result<void>();
}

Task<Result<std::vector<Membership>>> UserService::memberships_of(Uuid user, CallOptions options) {
  pg::Params params;
  params.emplace_back(user.to_string());
  const pg::Statement statement("SELECT m.tenant_id, r.name, m.status, " + timestamp_sql("m.created_at") +
                                    " FROM identity.memberships m JOIN identity.roles r ON r.tenant_id = "
                                    "m.tenant_id AND r.id = m.role_id "
                                    "WHERE m.user_id = $1::uuid ORDER BY m.created_at, m.tenant_id",
                                std::move(params));
  CO_TRY(const auto rows, co_await impl_->identity.run(nullptr, statement, options));
  std::vector<Membership> all;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    Membership membership;
    membership.tenant = Uuid::parse(rows.text(row, 0)).value_or(Uuid());
    membership.role = rows.text(row, 1);
    membership.status = parse_account_status(rows.text(row, 2)).value_or(AccountStatus::disabled);
    membership.created_at = rows.text(row, 3);
    all.push_back(std::move(membership));
  }
  co_return all;
}

}  // namespace rowhouse::identity
