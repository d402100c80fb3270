#include "identity/attempts.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "identity/sessions.h"

namespace rowhouse::identity {

namespace {

constexpr std::size_t kNetworkBytes = 8;  // of an IPv6 address: what one customer has

// $1 e-mail address, $2 address, $3 to $5 keys of the pair, the address, the account, $6 to $8 their limits,
// $9 now, $10 end of a new window. An address that is known to the account counts for the pair alone.
constexpr std::string_view kBeginSql = R"(
WITH known AS MATERIALIZED (SELECT EXISTS (SELECT FROM identity.known_addresses k
    JOIN identity.users u ON u.id = k.user_id WHERE lower(u.email) = lower($1::text) AND k.address = $2::text) AS yes),
  wanted (key, most) AS (SELECT pg_catalog.decode($3::text, 'hex'), $6::integer
    UNION ALL SELECT pg_catalog.decode($4::text, 'hex'), $7::integer FROM known WHERE NOT yes
    UNION ALL SELECT pg_catalog.decode($5::text, 'hex'), $8::integer FROM known WHERE NOT yes),
  counted AS (INSERT INTO identity.login_attempts AS a (key, attempts, ends_at)
    SELECT key, 1, $10::timestamptz FROM wanted ORDER BY key
    ON CONFLICT (key) DO UPDATE SET
      attempts = CASE WHEN a.ends_at <= $9::timestamptz THEN 1 ELSE a.attempts + 1 END,
      ends_at = CASE WHEN a.ends_at <= $9::timestamptz THEN EXCLUDED.ends_at ELSE a.ends_at END
    RETURNING a.key, a.attempts, a.ends_at)
SELECT pg_catalog.ceil(extract(epoch FROM max(c.ends_at) - $9::timestamptz))::bigint, (SELECT yes FROM known)
FROM counted c JOIN wanted w ON w.key = c.key WHERE c.attempts > w.most)";

// $4: it was right, so that the pair ($1) starts anew. What was not counted is "", which is nobody's key.
constexpr std::string_view kTakeBackSql = R"(
WITH mine AS MATERIALIZED (SELECT key FROM identity.login_attempts WHERE key = ANY (ARRAY[
    pg_catalog.decode($1::text, 'hex'), pg_catalog.decode($2::text, 'hex'), pg_catalog.decode($3::text, 'hex')])
    ORDER BY key FOR UPDATE)
UPDATE identity.login_attempts a SET attempts =
  CASE WHEN $4::boolean AND a.key = pg_catalog.decode($1::text, 'hex') THEN 0 ELSE GREATEST(a.attempts - 1, 0) END
FROM mine WHERE a.key = mine.key)";

std::string key_of(std::string_view kind, std::string_view account, std::string_view address) {
  std::string text(kind);
  text.push_back('\0');
  text += to_lower_ascii(account);
  text.push_back('\0');
  text += address;
  return to_hex(crypto::sha256(text));
}

std::string without_port(std::string_view peer) {
  if (peer.starts_with('[')) return std::string(peer.substr(1, peer.find(']') - 1));
  if (std::count(peer.begin(), peer.end(), ':') == 1) return std::string(peer.substr(0, peer.find(':')));
  return std::string(peer);
}

}  // namespace

std::string address_text(std::string_view peer) {
  const std::string text = without_port(peer);
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  const bool valid = inet_pton(AF_INET, text.c_str(), bytes.data()) == 1 ||
                     inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1;
  return valid ? text : std::string();
}

std::string address_key(std::string_view peer) {
  const std::string text = without_port(peer);
  in6_addr six{};
  if (inet_pton(AF_INET6, text.c_str(), &six) == 1) {
    const std::string bytes(reinterpret_cast<const char*>(&six), sizeof(six));
    if (IN6_IS_ADDR_V4MAPPED(&six)) {
      std::array<char, INET_ADDRSTRLEN> four{};
      inet_ntop(AF_INET, bytes.data() + 12, four.data(), four.size());
      return four.data();
    }
    return to_hex(bytes.substr(0, kNetworkBytes)) + "/64";
  }
  in_addr four{};
  return inet_pton(AF_INET, text.c_str(), &four) == 1 ? text : std::string("local");
}

Task<Result<Attempt>> Attempts::begin(std::string account, std::string address, CallOptions options) {
  Attempt attempt(key_of("pair", account, address), key_of("address", "", address),
                  key_of("account", account, ""));
  const WallTime now = clock_.now();
  pg::Params params;
  params.emplace_back(std::move(account));
  params.emplace_back(std::move(address));
  params.emplace_back(attempt.pair);
  params.emplace_back(attempt.address);
  params.emplace_back(attempt.account);
  params.emplace_back(std::to_string(limits_.per_account_and_address));
  params.emplace_back(std::to_string(limits_.per_address));
  params.emplace_back(std::to_string(limits_.per_account));
  params.emplace_back(to_rfc3339(now));
  params.emplace_back(to_rfc3339(now + limits_.window));
  const pg::Statement statement(std::string(kBeginSql), std::move(params), pg::Access::write);
  CO_TRY(const auto rows, co_await identity_.run(nullptr, statement, options));
  if (rows.text(0, 1) == "t") {
    attempt.address.clear();
    attempt.account.clear();
  }
  if (rows.is_null(0, 0)) co_return attempt;
  const std::string wait_s(rows.text(0, 0));
  CO_TRY_DO(co_await take_back(Ending::given_up, std::move(attempt), options));
  co_return Error(ErrorCode::rate_limited, "too many attempts to sign in; try again later")
      .with_detail(std::string(kRetryAfterS), wait_s);
}

Task<Result<void>> Attempts::take_back(Ending ending, Attempt attempt, CallOptions options) {
  pg::Params params;
  params.emplace_back(std::move(attempt.pair));
  params.emplace_back(std::move(attempt.address));
  params.emplace_back(std::move(attempt.account));
  params.emplace_back(ending == Ending::right ? "true" : "false");
  const pg::Statement statement(std::string(kTakeBackSql), std::move(params), pg::Access::write);
  CO_TRY_DO(co_await identity_.run(nullptr, statement, options));
  co_return Result<void>();
}

}  // namespace rowhouse::identity
