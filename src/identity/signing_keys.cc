#include "identity/signing_keys.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "crypto/ed25519.h"
#include "identity/outbox.h"
#include "observe/log.h"

namespace rowhouse::identity {

namespace {

constexpr std::size_t kKeyIdBytes = 8;

// Retired keys are of no use to anybody.
constexpr std::string_view kReadSql = R"(
SELECT kid, pg_catalog.encode(public_key, 'hex'), (extract(epoch FROM not_before) * 1000)::bigint,
  (extract(epoch FROM retired_at) * 1000)::bigint
FROM identity.signing_keys WHERE retired_at IS NULL OR retired_at > $1::timestamptz
ORDER BY not_before DESC, kid DESC)";

constexpr std::string_view kFirstSql = R"(
WITH k AS (INSERT INTO identity.signing_keys (kid, public_key, not_before)
    VALUES ($1::text, pg_catalog.decode($2::text, 'hex'), $3::timestamptz) RETURNING kid), recorded AS ()";

constexpr std::string_view kRotateSql = R"(
WITH old AS (UPDATE identity.signing_keys SET retired_at = $4::timestamptz
    WHERE kid <> $1::text AND (retired_at IS NULL OR retired_at > $4::timestamptz) RETURNING kid),
  k AS (INSERT INTO identity.signing_keys (kid, public_key, not_before)
    VALUES ($1::text, pg_catalog.decode($2::text, 'hex'), $3::timestamptz) RETURNING kid), recorded AS ()";

WallTime from_ms(std::string_view text) {
  return WallTime(std::chrono::milliseconds(parse_int64(text).value_or(0)));
}

struct Key {
  bool is_retired(WallTime now) const { return info.retired_at && *info.retired_at <= now; }

  SigningKeyInfo info;
  std::string public_key;
  std::shared_ptr<const TokenSigner>
      signer;  // null: another master key's; shared with key sets that come and go
};

}  // namespace

struct SigningKeys::Impl {
  Impl(pg::Pool& pool, Derive derivation, const Clock& wall_clock, TokenOptions token_options)
      : identity(pool),
        derive(std::move(derivation)),
        clock(wall_clock),
        options(std::move(token_options)),
        verifier(options, {}) {}

  std::string seed_of(const std::string& kid) const { return derive("token key " + kid); }

  Task<Result<void>> read(CallOptions call);
  Task<Result<void>> make(std::string_view head, std::string kid, WallTime not_before,
                          std::optional<WallTime> retire_others, tenancy::Actor actor, CallOptions call);
  // The newest whose time has come; nothing if none can sign.
  const Key* current() const {
    const WallTime now = clock.now();
    const auto found = std::find_if(keys.begin(), keys.end(), [&](const Key& key) {
      return key.signer != nullptr && key.info.not_before <= now && !key.is_retired(now);
    });
    return found != keys.end() ? &*found : nullptr;
  }

  pg::Pool& identity;
  const Derive derive;
  const Clock& clock;
  const TokenOptions options;
  std::vector<Key> keys;  // newest first
  TokenVerifier verifier;
};

Task<Result<void>> SigningKeys::Impl::read(CallOptions call) {
  pg::Params params;
  params.emplace_back(to_rfc3339(clock.now()));
  const pg::Statement statement(std::string(kReadSql), std::move(params));
  CO_TRY(const auto rows, co_await identity.run(nullptr, statement, call));
  std::vector<Key> fresh;
  std::vector<VerificationKey> accepted;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    Key key;
    key.info.kid = rows.text(row, 0);
    key.public_key = from_hex(rows.text(row, 1)).value_or("");
    key.info.not_before = from_ms(rows.text(row, 2));
    if (!rows.is_null(row, 3)) key.info.retired_at = from_ms(rows.text(row, 3));
    std::string seed = seed_of(key.info.kid);
    if (crypto::ed25519_public_key(seed) == key.public_key) {
      key.signer = std::make_shared<TokenSigner>(options, SigningKey{key.info.kid, seed});
    }
    crypto::wipe(seed);
    accepted.emplace_back(key.info.kid, key.public_key, key.info.retired_at);
    fresh.push_back(std::move(key));
  }
  keys = std::move(fresh);
  verifier = TokenVerifier(options, accepted);
  co_return Result<void>();
}

Task<Result<void>> SigningKeys::Impl::make(std::string_view head, std::string kid, WallTime not_before,
                                           std::optional<WallTime> retire_others, tenancy::Actor actor,
                                           CallOptions call) {
  std::string seed = seed_of(kid);
  const std::string public_key = crypto::ed25519_public_key(seed);
  crypto::wipe(seed);
  pg::Params params;
  params.emplace_back(kid);
  params.emplace_back(to_hex(public_key));
  params.emplace_back(to_rfc3339(not_before));
  if (retire_others) params.emplace_back(to_rfc3339(*retire_others));
  const int first = static_cast<int>(params.size()) + 1;
  audit::Change change(std::move(actor.name), "signing_key.created");
  change.address = std::move(actor.address);
  change.object_type = "signing_key";
  change.object_id = kid;
  json::Value values;
  values.set("not_before", to_rfc3339(not_before));
  if (retire_others) values.set("others_retired_at", to_rfc3339(*retire_others));
  change.new_json = json::serialize(values);
  audit::append_parameters(params, change);
  std::string sql(head);
  sql += outbox_insert_sql(first, "k") + ") SELECT kid FROM k";
  const pg::Statement statement(std::move(sql), std::move(params), pg::Access::write);
  CO_TRY_DO(co_await identity.run(nullptr, statement, call));
  co_return Result<void>();
}

SigningKeys::SigningKeys(pg::Pool& identity, Derive derive, const Clock& clock, TokenOptions options)
    : impl_(std::make_unique<Impl>(identity, std::move(derive), clock, std::move(options))) {}
SigningKeys::~SigningKeys() = default;

Task<Result<void>> SigningKeys::refresh(CallOptions options) {
  CO_TRY_DO(co_await impl_->read(options));
  if (impl_->current() != nullptr) co_return Result<void>();
  if (!impl_->keys.empty()) {
    observe::log(observe::Level::warning, "signing_key_replaced",
                 {{"reason", "the keys of access tokens were made with another master key"}});
  }
  // Nodes that start at the same time make one each: all are accepted, and soon the newest signs everywhere.
  tenancy::Actor server("server", "");
  CO_TRY_DO(co_await impl_->make(kFirstSql, to_hex(crypto::random_bytes(kKeyIdBytes)), impl_->clock.now(),
                                 std::nullopt, server, options));
  co_return co_await impl_->read(options);
}

Task<Result<SigningKeyInfo>> SigningKeys::rotate(Rotation rotation, tenancy::Actor actor,
                                                 CallOptions options) {
  const WallTime now = impl_->clock.now();
  const bool at_once = rotation == Rotation::now;
  const WallTime not_before = at_once ? now : now + kPublishedAhead;
  const WallTime retired =
      at_once ? now : not_before + impl_->options.access_life + 2 * impl_->options.clock_skew;
  std::string kid = to_hex(crypto::random_bytes(kKeyIdBytes));
  CO_TRY_DO(co_await impl_->make(kRotateSql, kid, not_before, retired, std::move(actor), options));
  CO_TRY_DO(co_await impl_->read(options));
  for (const SigningKeyInfo& info : list()) {
    if (info.kid == kid) co_return info;
  }
  co_return Error(ErrorCode::conflict, "the new signing key was replaced by another one at once");
}

Result<std::string> SigningKeys::sign(const AccessClaims& claims) const {
  const Key* key = impl_->current();
  if (key == nullptr)
    return Error(ErrorCode::database_unavailable, "there is no key to sign access tokens with");
  return key->signer->sign(claims);
}

Result<AccessClaims> SigningKeys::verify(std::string_view token) const {
  return impl_->verifier.verify(token, impl_->clock.now());
}

json::Value SigningKeys::jwks() const {
  std::vector<VerificationKey> accepted;
  for (const Key& key : impl_->keys) {
    if (!key.is_retired(impl_->clock.now())) accepted.emplace_back(key.info.kid, key.public_key);
  }
  return identity::jwks(accepted);
}

std::vector<SigningKeyInfo> SigningKeys::list() const {
  const WallTime now = impl_->clock.now();
  const Key* current = impl_->current();
  std::vector<SigningKeyInfo> all;
  for (const Key& key : impl_->keys) {
    if (key.is_retired(now)) continue;
    all.push_back(key.info);
    all.back().state = &key == current             ? SigningKeyInfo::State::signing
                       : key.info.not_before > now ? SigningKeyInfo::State::announced
                                                   : SigningKeyInfo::State::accepted;
  }
  return all;
}

const TokenOptions& SigningKeys::options() const { return impl_->options; }

}  // namespace rowhouse::identity
