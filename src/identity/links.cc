#include "identity/links.h"

#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "identity/attempts.h"
#include "identity/sessions_impl.h"
#include "identity/users_impl.h"
#include "tenancy/api_key.h"

namespace rowhouse::identity {

namespace {

using namespace std::chrono_literals;

// A person who has just asked reads the mail now; one whom somebody else sends it to may be on leave.
constexpr std::chrono::hours kAskedForLife = 1h;
constexpr std::chrono::hours kGivenLife = 72h;
constexpr std::chrono::hours kVerificationLife = 24h;
constexpr std::chrono::minutes kForgotWindow = 15min;
constexpr int kMaxForgotPerAccount = 3;
constexpr int kMaxForgotPerAddress = 30;
constexpr std::chrono::minutes kVerificationWindow = 60min;
constexpr int kMaxVerificationsPerUser = 5;

constexpr std::string_view kCountSql = R"(
INSERT INTO identity.login_attempts AS a (key, attempts, ends_at)
VALUES (pg_catalog.decode($1::text, 'hex'), 1, $3::timestamptz)
ON CONFLICT (key) DO UPDATE SET
  attempts = CASE WHEN a.ends_at <= $2::timestamptz THEN 1 ELSE a.attempts + 1 END,
  ends_at = CASE WHEN a.ends_at <= $2::timestamptz THEN EXCLUDED.ends_at ELSE a.ends_at END
RETURNING attempts, pg_catalog.ceil(extract(epoch FROM ends_at - $2::timestamptz))::bigint)";

// A newer link of the kind takes the place of older ones. $1 id, $2 kind, $3 hash, $4 delivery, $5 now, $6
// expiry; `condition` on the account `u`.
std::string insert_link(std::string_view condition) {
  return "u AS MATERIALIZED (SELECT u.id, u.email FROM identity.users u WHERE u.status = 'active' AND " +
         std::string(condition) +
         "), older AS (UPDATE identity.links l SET used_at = $5::timestamptz FROM u WHERE l.user_id = u.id "
         "AND "
         "l.kind = $2::text AND l.used_at IS NULL), "
         "t AS (INSERT INTO identity.links (id, kind, user_id, email, token_hash, delivery, created_at, "
         "expires_at) "
         "SELECT $1::uuid, $2::text, u.id, u.email, $3::bytea, $4::text, $5::timestamptz, $6::timestamptz "
         "FROM u "
         "RETURNING id, user_id, email)";
}

constexpr std::string_view kFindSql = R"(
SELECT l.id, u.id, u.email, l.delivery, u.home_tenant IS NULL OR u.password_hash IS NULL
FROM identity.links l JOIN identity.users u ON u.id = l.user_id
WHERE l.token_hash = $1::bytea AND l.kind = $2::text AND l.used_at IS NULL AND l.expires_at > $3::timestamptz
  AND u.status = 'active' AND pg_catalog.lower(u.email) = pg_catalog.lower(l.email))";

// $1 link, $2 now: `l`, one row if it was still good.
constexpr std::string_view kUseSql =
    "l AS (UPDATE identity.links l SET used_at = $2::timestamptz FROM identity.users u WHERE l.id = $1::uuid "
    "AND l.used_at IS NULL AND l.expires_at > $2::timestamptz AND u.id = l.user_id AND u.status = 'active' "
    "AND pg_catalog.lower(u.email) = pg_catalog.lower(l.email) RETURNING l.user_id, l.delivery)";

Error too_many(std::chrono::seconds wait) {
  return Error(ErrorCode::rate_limited, "too many were asked for; try again later")
      .with_detail(std::string(kRetryAfterS), std::to_string(wait.count()));
}

}  // namespace

std::string link_url(const LinkOptions& options, std::string_view kind, std::string_view token) {
  return options.base_url + "/account/#/" + std::string(kind) + "/" + std::string(token);
}

Error link_refused() { return Error(ErrorCode::credential_unknown, "the link is not valid, or no longer"); }

void record_refused_link(audit::Trail& trail, std::string_view kind, const Origin& origin) {
  audit::SecurityEvent event(audit::SecurityEventKind::link_refused);
  event.detail = kind;
  event.address = origin.address;
  event.agent = origin.agent;
  event.request_id = origin.request_id;
  trail.record(std::move(event));
}

Task<Result<std::chrono::seconds>> count_request(pg::Pool& identity, std::string what, int most,
                                                 std::chrono::minutes window, WallTime now,
                                                 CallOptions options) {
  pg::Params params;
  params.emplace_back(to_hex(crypto::sha256("request " + what)));
  params.emplace_back(to_rfc3339(now));
  params.emplace_back(to_rfc3339(now + window));
  const pg::Statement statement(std::string(kCountSql), std::move(params), pg::Access::write);
  CO_TRY(const auto rows, co_await identity.run(nullptr, statement, options));
  if (parse_int64(rows.text(0, 0)).value_or(0) <= most) co_return std::chrono::seconds(0);
  co_return std::chrono::seconds(std::max<std::int64_t>(1, parse_int64(rows.text(0, 1)).value_or(1)));
}

struct LinkService::Impl {
  Impl(net::Executor& loop, pg::Pool& pool, MailQueue& queue, audit::Trail& events, Passwords& hashing,
       const Clock& wall_clock, LinkOptions link_options)
      : executor(loop),
        identity(pool),
        mail(queue),
        trail(events),
        passwords(hashing),
        clock(wall_clock),
        options(std::move(link_options)) {}

  struct Found {
    Uuid link, user;
    std::string email;
    enum class Delivery { shown, mail } delivery = Delivery::shown;
    // May the address be confirmed while the password stays?
    enum class Password { known_to_a_tenant, own } password = Password::known_to_a_tenant;
  };
  Task<Result<Found>> find(std::string kind, std::string token, Origin origin, CallOptions call);
  Letter letter(mail::Kind kind, mail::Locale locale, std::string to, const std::string& url,
                std::chrono::hours life) const;
  Task<Result<void>> mail_verification(Uuid user, std::string email, mail::Locale locale, CallOptions call);
  Task<Result<void>> mail_password_link(std::string email, std::string_view condition, mail::Locale locale,
                                        tenancy::Actor actor, CallOptions call);

  net::Executor& executor;
  pg::Pool& identity;
  MailQueue& mail;
  audit::Trail& trail;
  Passwords& passwords;
  const Clock& clock;
  const LinkOptions options;
  Changed changed;
};

LinkService::LinkService(net::Executor& executor, pg::Pool& identity, MailQueue& mail, audit::Trail& trail,
                         Passwords& passwords, const Clock& clock, LinkOptions options)
    : impl_(std::make_unique<Impl>(executor, identity, mail, trail, passwords, clock, std::move(options))) {}
LinkService::~LinkService() = default;

void LinkService::wire(Changed changed) { impl_->changed = std::move(changed); }

Letter LinkService::Impl::letter(mail::Kind kind, mail::Locale locale, std::string to, const std::string& url,
                                 std::chrono::hours life) const {
  mail::Content content;
  content.kind = kind;
  content.locale = locale;
  content.branding = mail::default_branding();
  content.link = url;
  content.life = mail::valid_for(locale, life.count());
  return Letter(std::move(content), std::move(to), std::nullopt);
}

// ---------------------------------------------------------------------------------------------- passwords

// `condition`: on `u`, with $7 = the e-mail address.
Task<Result<void>> LinkService::Impl::mail_password_link(std::string email, std::string_view condition,
                                                         mail::Locale locale, tenancy::Actor actor,
                                                         CallOptions call) {
  const WallTime now = clock.now();
  const Uuid id = Uuid::make_v7(now);
  const std::string token = tenancy::make_credential(kLinkTokenPrefix);
  pg::Params params;
  params.emplace_back(id.to_string());
  params.emplace_back("password_reset");
  params.emplace_back(tenancy::bytea_text(tenancy::hash_of_credential(token)));
  params.emplace_back("mail");
  params.emplace_back(to_rfc3339(now));
  params.emplace_back(to_rfc3339(now + kAskedForLife));
  params.emplace_back(email);
  const std::string url = link_url(options, "password", token);
  const Letter mailed = letter(mail::Kind::password_reset, locale, std::move(email), url, kAskedForLife);
  std::string with = insert_link(condition);
  with += ", mailed AS (" + mail.insert_sql(params, mailed, "t") + ")";
  const auto change = change_of("user.password_link_made", actor, "link", id);
  const pg::Statement statement = recorded_statement(with, "SELECT id FROM t", std::move(params), change);
  CO_TRY_DO(co_await identity.run(nullptr, statement, call));
  co_return Result<void>();
}

Task<Result<void>> LinkService::forgot_password(std::string email, mail::Locale locale, Origin origin,
                                                CallOptions options) {
  Impl& impl = *impl_;
  const WallTime now = impl.clock.now();
  CO_TRY(const auto wait, co_await count_request(impl.identity, "forgot from " + address_key(origin.address),
                                                 kMaxForgotPerAddress, kForgotWindow, now, options));
  if (wait.count() > 0) co_return too_many(wait);
  const auto to = clean_email(email);
  if (!to || !impl.mail.sends()) co_return Result<void>();
  CO_TRY(const auto quiet, co_await count_request(impl.identity, "forgot of " + to_lower_ascii(*to),
                                                  kMaxForgotPerAccount, kForgotWindow, now, options));
  // The mail goes to the address of the account: one that differs in case may be somebody else's mailbox.
  pg::Params look;
  look.emplace_back(*to);
  const pg::Statement read("SELECT email FROM identity.users WHERE lower(email) = lower($1::text)",
                           std::move(look));
  CO_TRY(const auto found, co_await impl.identity.run(nullptr, read, options));
  std::string recipient = *to;
  if (found.size() > 0) recipient = found.text(0, 0);
  // The same statement in any case; it finds nobody when there were too many.
  const std::string condition = quiet.count() > 0
                                    ? "false AND $7::text IS NOT NULL"
                                    : "lower(u.email) = lower($7::text) AND u.password_hash IS NOT NULL";
  const tenancy::Actor actor("who asked for a password", address_text(origin.address));
  co_return co_await impl.mail_password_link(std::move(recipient), condition, locale, actor, options);
}

Task<Result<HandedOver>> LinkService::password_link(Uuid user, tenancy::Actor actor, CallOptions options) {
  Impl& impl = *impl_;
  pg::Params look;
  look.emplace_back(user.to_string());
  const pg::Statement read("SELECT email, status FROM identity.users WHERE id = $1::uuid", std::move(look));
  CO_TRY(const auto found, co_await impl.identity.run(nullptr, read, options));
  if (found.size() == 0) co_return no_such_user();
  if (found.text(0, 1) != "active") co_return Error(ErrorCode::conflict, "the account is disabled");
  const std::string email(found.text(0, 0));

  const WallTime now = impl.clock.now();
  const Uuid id = Uuid::make_v7(now);
  const std::string token = tenancy::make_credential(kLinkTokenPrefix);
  HandedOver made;
  made.expires_at = now + kGivenLife;
  const std::string url = link_url(impl.options, "password", token);
  pg::Params params;
  params.emplace_back(id.to_string());
  params.emplace_back("password_reset");
  params.emplace_back(tenancy::bytea_text(tenancy::hash_of_credential(token)));
  params.emplace_back(impl.mail.sends() ? "mail" : "shown_to_platform");
  params.emplace_back(to_rfc3339(now));
  params.emplace_back(to_rfc3339(made.expires_at));
  params.emplace_back(user.to_string());
  std::string with = insert_link("u.id = $7::uuid");
  if (impl.mail.sends()) {
    const Letter letter = impl.letter(mail::Kind::password_reset, mail::Locale::en, email, url, kGivenLife);
    with += ", mailed AS (" + impl.mail.insert_sql(params, letter, "t") + ")";
  } else {
    made.url = url;
  }
  auto change = change_of("user.password_link_made", actor, "user", user);
  const pg::Statement statement = recorded_statement(with, "SELECT id FROM t", std::move(params), change);
  CO_TRY(const auto rows, co_await impl.identity.run(nullptr, statement, options));
  if (rows.size() == 0) co_return no_such_user();
  co_return made;
}

Task<Result<LinkService::Impl::Found>> LinkService::Impl::find(std::string kind, std::string token,
                                                               Origin origin, CallOptions call) {
  const bool shaped = tenancy::has_credential_form(token, kLinkTokenPrefix);
  Found found;
  if (shaped) {
    pg::Params params;
    params.emplace_back(tenancy::bytea_text(tenancy::hash_of_credential(token)));
    params.emplace_back(kind);
    params.emplace_back(to_rfc3339(clock.now()));
    const pg::Statement statement(std::string(kFindSql), std::move(params));
    CO_TRY(const auto rows, co_await identity.run(nullptr, statement, call));
    if (rows.size() > 0) {
      found.link = Uuid::parse(rows.text(0, 0)).value_or(Uuid());
      found.user = Uuid::parse(rows.text(0, 1)).value_or(Uuid());
      found.email = rows.text(0, 2);
      if (rows.text(0, 3) == "mail") found.delivery = Found::Delivery::mail;
      if (rows.text(0, 4) == "t") found.password = Found::Password::own;
      co_return found;
    }
  }
  record_refused_link(trail, kind, origin);
  co_return link_refused();
}

Task<Result<void>> LinkService::reset_password(std::string token, std::string password, Origin origin,
                                               CallOptions options) {
  Impl& impl = *impl_;
  CO_TRY(const auto found, co_await impl.find("password_reset", std::move(token), origin, options));
  CO_TRY_DO(check_new_password(password, found.email, impl.passwords.options()));
  CO_TRY(auto hash, co_await impl.passwords.hash(impl.executor, std::move(password), options));
  pg::Params params;
  params.emplace_back(found.link.to_string());
  params.emplace_back(to_rfc3339(impl.clock.now()));
  params.emplace_back(std::move(hash));
  const auto change = change_of("user.password_reset", user_actor(found.email, origin), "user", found.user);
  const std::string with = std::string(kUseSql) +
                           ", t AS (UPDATE identity.users u SET password_hash = $3::text, email_verified_at "
                           "= CASE WHEN l.delivery = "
                           "'mail' THEN COALESCE(u.email_verified_at, $2::timestamptz) ELSE "
                           "u.email_verified_at END FROM l WHERE u.id = "
                           "l.user_id RETURNING u.id), ended AS (UPDATE identity.sessions s SET revoked_at = "
                           "pg_catalog.now(), end_reason "
                           "= 'password reset' FROM t WHERE s.user_id = t.id AND s.revoked_at IS NULL)";
  const pg::Statement statement = recorded_statement(with, "SELECT id FROM t", std::move(params), change);
  CO_TRY(const auto rows, co_await impl.identity.run(nullptr, statement, options));
  if (rows.size() == 0) {  // used in the meantime
    record_refused_link(impl.trail, "password_reset", origin);
    co_return link_refused();
  }
  if (impl.changed) impl.changed(found.user);
  co_return Result<void>();
}

// ---------------------------------------------------------------------------------------------- addresses

Task<Result<void>> LinkService::Impl::mail_verification(Uuid user, std::string email, mail::Locale locale,
                                                        CallOptions call) {
  const WallTime now = clock.now();
  const Uuid id = Uuid::make_v7(now);
  const std::string token = tenancy::make_credential(kLinkTokenPrefix);
  pg::Params params;
  params.emplace_back(id.to_string());
  params.emplace_back("email_verification");
  params.emplace_back(tenancy::bytea_text(tenancy::hash_of_credential(token)));
  params.emplace_back("mail");
  params.emplace_back(to_rfc3339(now));
  params.emplace_back(to_rfc3339(now + kVerificationLife));
  params.emplace_back(user.to_string());
  const std::string url = link_url(options, "email", token);
  const Letter mailed =
      letter(mail::Kind::email_verification, locale, std::move(email), url, kVerificationLife);
  std::string with = insert_link("u.id = $7::uuid");
  with += ", mailed AS (" + mail.insert_sql(params, mailed, "t") + ")";
  const tenancy::Actor actor("user " + mailed.to, "");
  const auto change = change_of("user.verification_link_made", actor, "user", user);
  const pg::Statement statement = recorded_statement(with, "SELECT id FROM t", std::move(params), change);
  CO_TRY_DO(co_await identity.run(nullptr, statement, call));
  co_return Result<void>();
}

Task<Result<void>> LinkService::request_verification(Uuid user, mail::Locale locale, CallOptions options) {
  Impl& impl = *impl_;
  if (!impl.mail.sends()) {
    co_return Error(ErrorCode::conflict, "this installation sends no mail, so it cannot confirm addresses");
  }
  CO_TRY(const auto wait,
         co_await count_request(impl.identity, "verification of " + user.to_string(),
                                kMaxVerificationsPerUser, kVerificationWindow, impl.clock.now(), options));
  if (wait.count() > 0) co_return too_many(wait);
  pg::Params params;
  params.emplace_back(user.to_string());
  const pg::Statement read(
      "SELECT email, email_verified_at IS NOT NULL, home_tenant IS NULL OR password_hash IS NULL "
      "FROM identity.users WHERE id = $1::uuid",
      std::move(params));
  CO_TRY(const auto found, co_await impl.identity.run(nullptr, read, options));
  if (found.size() == 0 || found.text(0, 1) == "t") co_return Result<void>();
  std::string email(found.text(0, 0));
  if (found.text(0, 2) == "t")
    co_return co_await impl.mail_verification(user, std::move(email), locale, options);
  const tenancy::Actor actor("user " + email, "");
  const std::string condition = "lower(u.email) = lower($7::text)";
  co_return co_await impl.mail_password_link(std::move(email), condition, locale, actor, options);
}

Task<Result<void>> LinkService::verify_email(std::string token, Origin origin, CallOptions options) {
  Impl& impl = *impl_;
  CO_TRY(const auto found, co_await impl.find("email_verification", std::move(token), origin, options));
  pg::Params params;
  params.emplace_back(found.link.to_string());
  params.emplace_back(to_rfc3339(impl.clock.now()));
  const auto change = change_of("user.email_verified", user_actor(found.email, origin), "user", found.user);
  // By now the account may be one whose password a tenant has set.
  const pg::Statement statement =
      recorded_statement(std::string(kUseSql) +
                             ", t AS (UPDATE identity.users u SET email_verified_at = "
                             "COALESCE(u.email_verified_at, $2::timestamptz) "
                             "FROM l WHERE u.id = l.user_id AND (u.home_tenant IS NULL OR u.password_hash IS "
                             "NULL) RETURNING u.id)",
                         "SELECT id FROM t", std::move(params), change);
  CO_TRY(const auto rows, co_await impl.identity.run(nullptr, statement, options));
  if (rows.size() == 0) {
    record_refused_link(impl.trail, "email_verification", origin);
    co_return link_refused();
  }
  co_return Result<void>();
}

}  // namespace rowhouse::identity
