#include "identity/second_factors.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "crypto/seal.h"
#include "crypto/totp.h"
#include "identity/users_impl.h"
#include "tenancy/api_key.h"

namespace rowhouse::identity {

namespace {

constexpr std::size_t kRecoveryBytes = 10;
constexpr std::size_t kRecoverySigns = 16;
constexpr std::size_t kRecoveryGroup = 4;
constexpr std::size_t kMaxTypedBytes = 100;

std::string status_sql() {
  return "SELECT " + timestamp_sql("f.confirmed_at") +
         ", (SELECT count(*) FROM identity.recovery_codes r WHERE r.user_id = f.user_id AND r.used_at IS "
         "NULL) "
         "FROM identity.second_factors f WHERE f.user_id = $1::uuid AND f.confirmed_at IS NOT NULL";
}

constexpr std::string_view kSecretSql = R"(
SELECT pg_catalog.encode(sealed_secret, 'hex'), last_step, confirmed_at IS NOT NULL
FROM identity.second_factors WHERE user_id = $1::uuid)";

// $1 user, $2 sealed secret, $3 now.
constexpr std::string_view kBeginSql = R"(
t AS (INSERT INTO identity.second_factors AS f (user_id, sealed_secret, created_at)
  SELECT u.id, $2::bytea, $3::timestamptz FROM identity.users u WHERE u.id = $1::uuid
  ON CONFLICT (user_id) DO UPDATE SET sealed_secret = EXCLUDED.sealed_secret, created_at = EXCLUDED.created_at,
    last_step = NULL WHERE f.confirmed_at IS NULL
  RETURNING user_id))";

// $1 user, $2 hashes in hexadecimal, $3 now, $4 the step, $5 the sealed secret that the code belongs to.
constexpr std::string_view kConfirmSql = R"(
t AS (UPDATE identity.second_factors SET confirmed_at = $3::timestamptz, last_step = $4::bigint
  WHERE user_id = $1::uuid AND confirmed_at IS NULL AND sealed_secret = pg_catalog.decode($5::text, 'hex')
  RETURNING user_id),
made AS (INSERT INTO identity.recovery_codes (user_id, code_hash)
  SELECT t.user_id, pg_catalog.decode(h, 'hex') FROM t, pg_catalog.string_to_table($2::text, ' ') AS h))";

// $1 user, $2 hashes in hexadecimal. Locks the factor, so that two at the same time do not both add theirs.
constexpr std::string_view kRenewSql = R"(
t AS (UPDATE identity.second_factors SET last_step = last_step
  WHERE user_id = $1::uuid AND confirmed_at IS NOT NULL RETURNING user_id),
gone AS (DELETE FROM identity.recovery_codes r USING t WHERE r.user_id = t.user_id),
made AS (INSERT INTO identity.recovery_codes (user_id, code_hash)
  SELECT t.user_id, pg_catalog.decode(h, 'hex') FROM t, pg_catalog.string_to_table($2::text, ' ') AS h))";

constexpr std::string_view kRemoveSql =
    "t AS (DELETE FROM identity.second_factors WHERE user_id = $1::uuid RETURNING user_id)";

constexpr std::string_view kSpendStepSql = R"(
UPDATE identity.second_factors SET last_step = $2::bigint
WHERE user_id = $1::uuid AND confirmed_at IS NOT NULL AND last_step < $2::bigint RETURNING user_id)";

constexpr std::string_view kSpendRecoverySql = R"(
t AS (UPDATE identity.recovery_codes r SET used_at = $3::timestamptz FROM identity.second_factors f
  WHERE r.user_id = $1::uuid AND r.code_hash = $2::bytea AND r.used_at IS NULL
    AND f.user_id = r.user_id AND f.confirmed_at IS NOT NULL
  RETURNING r.user_id))";

std::string seal_context(const Uuid& user) { return "totp " + user.to_string(); }

std::string hash_of_recovery(const Uuid& user, const std::string& code) {
  return crypto::sha256("recovery code " + user.to_string() + " " + code);
}

std::string bytea(std::string_view bytes) { return "\\x" + to_hex(bytes); }

struct RecoveryCodes {
  std::vector<std::string> codes;  // "abcd-efgh-ijkl-mnop"
  std::string hashes;              // in hexadecimal, a space between them
};

RecoveryCodes make_recovery_codes(const Uuid& user) {
  RecoveryCodes made;
  for (std::size_t i = 0; i < kRecoveryCodes; ++i) {
    const std::string code = to_lower_ascii(crypto::to_base32(crypto::random_bytes(kRecoveryBytes)));
    std::string shown;
    for (std::size_t k = 0; k < code.size(); k += kRecoveryGroup) {
      if (k > 0) shown += '-';
      shown += code.substr(k, kRecoveryGroup);
    }
    made.codes.push_back(std::move(shown));
    if (i > 0) made.hashes += ' ';
    made.hashes += to_hex(hash_of_recovery(user, code));
  }
  return made;
}

// Without what people put between the signs.
std::string bare(std::string_view typed) {
  std::string code = to_lower_ascii(typed.substr(0, kMaxTypedBytes));
  std::erase_if(code, [](char c) { return c == ' ' || c == '-'; });
  return code;
}

}  // namespace

SecondFactors::SecondFactors(pg::Pool& identity, const Clock& clock, std::string place, std::string key)
    : identity_(identity), clock_(clock), place_(std::move(place)), key_(std::move(key)) {}

SecondFactors::~SecondFactors() { crypto::wipe(key_); }

Task<Result<SecondFactorStatus>> SecondFactors::status(Uuid user, CallOptions options) {
  pg::Params params;
  params.emplace_back(user.to_string());
  const pg::Statement statement(status_sql(), std::move(params));
  CO_TRY(const auto rows, co_await identity_.run(nullptr, statement, options));
  SecondFactorStatus status;
  if (rows.size() > 0) {
    status.confirmed_at = rows.text(0, 0);
    status.recovery_codes_left = static_cast<std::size_t>(parse_int64(rows.text(0, 1)).value_or(0));
  }
  co_return status;
}

Task<Result<NewSecondFactor>> SecondFactors::begin(Uuid user, std::string email, tenancy::Actor actor,
                                                   CallOptions options) {
  CO_TRY(const SecondFactorStatus before, co_await status(user, options));
  if (!before.confirmed_at.empty()) {
    co_return Error(ErrorCode::conflict, "there is a second factor already: remove it first");
  }
  std::string secret = crypto::random_bytes(crypto::kTotpSecretBytes);
  NewSecondFactor made;
  made.secret = crypto::to_base32(secret);
  made.uri = crypto::totp_uri(secret, place_, email);
  pg::Params params;
  params.emplace_back(user.to_string());
  params.emplace_back(bytea(crypto::seal(key_, seal_context(user), secret)));
  params.emplace_back(to_rfc3339(clock_.now()));
  crypto::wipe(secret);
  const auto change = change_of("user.second_factor_begun", actor, "user", user);
  const pg::Statement statement =
      recorded_statement(kBeginSql, "SELECT user_id FROM t", std::move(params), change);
  CO_TRY(const auto rows, co_await identity_.run(nullptr, statement, options));
  if (rows.size() == 0) {
    co_return Error(ErrorCode::conflict, "the account has changed in the meantime");
  }
  co_return made;
}

Task<Result<std::vector<std::string>>> SecondFactors::confirm(Uuid user, std::string code,
                                                              tenancy::Actor actor, CallOptions options) {
  pg::Params which;
  which.emplace_back(user.to_string());
  const pg::Statement read(std::string(kSecretSql), std::move(which));
  CO_TRY(const auto found, co_await identity_.run(nullptr, read, options));
  if (found.size() == 0 || found.text(0, 2) == "t") {
    co_return Error(ErrorCode::conflict, "no second factor waits for its first code");
  }
  const std::string sealed(found.text(0, 0));
  auto secret = crypto::open_sealed(key_, seal_context(user), from_hex(sealed).value_or(""));
  if (!secret) co_return Error(ErrorCode::internal, "a sealed secret of a second factor does not open");
  const auto step = crypto::find_totp_step(*secret, bare(code), clock_.now(), std::nullopt);
  crypto::wipe(*secret);
  if (!step) {
    co_return Error(ErrorCode::validation_failed, "the code is not right")
        .with_field("/code", "is not the authenticator's code of this moment");
  }
  RecoveryCodes made = make_recovery_codes(user);
  pg::Params params;
  params.emplace_back(user.to_string());
  params.emplace_back(std::move(made.hashes));
  params.emplace_back(to_rfc3339(clock_.now()));
  params.emplace_back(std::to_string(*step));
  params.emplace_back(sealed);
  const auto change = change_of("user.second_factor_set", actor, "user", user);
  const pg::Statement statement =
      recorded_statement(kConfirmSql, "SELECT user_id FROM t", std::move(params), change);
  CO_TRY(const auto rows, co_await identity_.run(nullptr, statement, options));
  if (rows.size() == 0) {
    co_return Error(ErrorCode::conflict, "the second factor has changed in the meantime");
  }
  co_return std::move(made.codes);
}

Task<Result<std::vector<std::string>>> SecondFactors::renew_recovery_codes(Uuid user, tenancy::Actor actor,
                                                                           CallOptions options) {
  RecoveryCodes made = make_recovery_codes(user);
  pg::Params params;
  params.emplace_back(user.to_string());
  params.emplace_back(std::move(made.hashes));
  const auto change = change_of("user.recovery_codes_made", actor, "user", user);
  const pg::Statement statement =
      recorded_statement(kRenewSql, "SELECT user_id FROM t", std::move(params), change);
  CO_TRY(const auto rows, co_await identity_.run(nullptr, statement, options));
  if (rows.size() == 0) co_return Error(ErrorCode::conflict, "there is no second factor");
  co_return std::move(made.codes);
}

Task<Result<void>> SecondFactors::remove(Uuid user, tenancy::Actor actor, CallOptions options) {
  pg::Params params;
  params.emplace_back(user.to_string());
  const auto change = change_of("user.second_factor_removed", actor, "user", user);
  const pg::Statement statement =
      recorded_statement(kRemoveSql, "SELECT user_id FROM t", std::move(params), change);
  CO_TRY(const auto rows, co_await identity_.run(nullptr, statement, options));
  if (rows.size() == 0) co_return Error(ErrorCode::not_found, "there is no second factor");
  co_return Result<void>();
}

Task<Result<SecondFactors::Answer>> SecondFactors::spend_totp(Uuid user, std::string code,
                                                              CallOptions options) {
  pg::Params which;
  which.emplace_back(user.to_string());
  const pg::Statement read(std::string(kSecretSql), std::move(which));
  CO_TRY(const auto found, co_await identity_.run(nullptr, read, options));
  if (found.size() == 0 || found.text(0, 2) != "t") co_return Answer::wrong;
  auto secret = crypto::open_sealed(key_, seal_context(user), from_hex(found.text(0, 0)).value_or(""));
  if (!secret) co_return Error(ErrorCode::internal, "a sealed secret of a second factor does not open");
  const auto step = crypto::find_totp_step(*secret, code, clock_.now(), parse_int64(found.text(0, 1)));
  crypto::wipe(*secret);
  if (!step) co_return Answer::wrong;
  pg::Params params;
  params.emplace_back(user.to_string());
  params.emplace_back(std::to_string(*step));
  const pg::Statement statement(std::string(kSpendStepSql), std::move(params), pg::Access::write);
  CO_TRY(const auto rows, co_await identity_.run(nullptr, statement, options));
  co_return rows.size() > 0 ? Answer::right : Answer::wrong;  // another request was faster
}

Task<Result<SecondFactors::Answer>> SecondFactors::spend_recovery(Uuid user, const std::string& code,
                                                                  const tenancy::Actor& actor,
                                                                  CallOptions options) {
  pg::Params params;
  params.emplace_back(user.to_string());
  params.emplace_back(bytea(hash_of_recovery(user, code)));
  params.emplace_back(to_rfc3339(clock_.now()));
  const auto change = change_of("user.recovery_code_used", actor, "user", user);
  const pg::Statement statement =
      recorded_statement(kSpendRecoverySql, "SELECT user_id FROM t", std::move(params), change);
  CO_TRY(const auto rows, co_await identity_.run(nullptr, statement, options));
  co_return rows.size() > 0 ? Answer::right : Answer::wrong;
}

Task<Result<SecondFactors::Answer>> SecondFactors::spend(Uuid user, std::string code, tenancy::Actor actor,
                                                         CallOptions options) {
  std::string typed = bare(code);
  if (typed.size() == crypto::kTotpDigits) co_return co_await spend_totp(user, std::move(typed), options);
  if (typed.size() != kRecoverySigns) co_return Answer::wrong;
  co_return co_await spend_recovery(user, typed, actor, options);
}

}  // namespace rowhouse::identity
