#include "data/idempotency.h"

#include <algorithm>

#include "base/text.h"
#include "crypto/crypto.h"

namespace rowhouse::data {
namespace {

constexpr std::size_t kMaxKeyCharacters = 255;

// Takes a new key, or one whose time is over.
constexpr std::string_view kClaim = R"(
INSERT INTO rowhouse.idempotency_keys AS kept (key, fingerprint)
VALUES ($1::pg_catalog.text, $2::pg_catalog.bytea)
ON CONFLICT (tenant_id, key) DO UPDATE
  SET fingerprint = EXCLUDED.fingerprint, status = NULL, headers = NULL, response = NULL, created_at = pg_catalog.now()
  WHERE kept.created_at < pg_catalog.now() - interval '24 hours'
RETURNING true)";

constexpr std::string_view kFind = R"(
SELECT fingerprint = $2::pg_catalog.bytea, status, headers ->> 'etag', headers ->> 'location', response
FROM rowhouse.idempotency_keys WHERE key = $1::pg_catalog.text)";

constexpr std::string_view kStore = R"(
UPDATE rowhouse.idempotency_keys
SET status = $2::pg_catalog.int4, headers = $3::pg_catalog.jsonb, response = $4::pg_catalog.text
WHERE key = $1::pg_catalog.text)";

constexpr std::string_view kForget = R"(
DELETE FROM rowhouse.idempotency_keys WHERE key IN (
  SELECT old.key FROM rowhouse.idempotency_keys AS old
  WHERE old.created_at < pg_catalog.now() - interval '24 hours'
  ORDER BY old.created_at LIMIT 100 FOR UPDATE SKIP LOCKED))";

pg::Statement statement(std::string_view sql, pg::Params params) {
  return pg::Statement(std::string(sql), std::move(params), pg::Access::write, pg::Reuse::prepared);
}

}  // namespace

Result<void> check_idempotency_key(std::string_view key) {
  const bool printable = std::all_of(key.begin(), key.end(), [](char c) { return c >= ' ' && c < '\x7f'; });
  if (key.size() > kMaxKeyCharacters || !printable) {
    return Error(ErrorCode::invalid_parameter, "Idempotency-Key must be at most " +
                                                   std::to_string(kMaxKeyCharacters) +
                                                   " printable ASCII characters");
  }
  return {};
}

std::string request_fingerprint(std::string_view method, std::string_view resource, std::string_view id,
                                std::string_view body, const WriteOptions& write) {
  std::string text;
  const auto add = [&](std::string_view part) {
    text += std::to_string(part.size());
    text.push_back(':');
    text += part;
  };
  add(method);
  add(resource);
  add(id);
  add(write.if_match);
  add(std::to_string(static_cast<int>(write.on_conflict)));
  add(body);
  return crypto::sha256(text);
}

Task<Result<std::optional<Reply>>> claim_key(session::TenantTransaction& transaction, const std::string& key,
                                             const std::string& fingerprint, CallOptions options) {
  pg::Params params;
  params.emplace_back(key);
  params.emplace_back("\\x" + to_hex(fingerprint));
  const pg::Statement claim = statement(kClaim, params);
  auto claimed = co_await transaction.query(claim, options);
  if (!claimed.ok()) {
    if (claimed.error().code != ErrorCode::statement_timeout) co_return std::move(claimed).error();
    co_return Error(ErrorCode::idempotency_conflict, "a request with this Idempotency-Key is still running");
  }
  if (claimed->size() == 1) co_return std::optional<Reply>();
  const pg::Statement find = statement(kFind, params);
  CO_TRY(const pg::Rows rows, co_await transaction.query(find, options));
  if (rows.size() == 0 || rows.is_null(0, 1)) {
    co_return Error(ErrorCode::idempotency_conflict, "a request with this Idempotency-Key is still running");
  }
  if (rows.text(0, 0) != "t") {
    co_return Error(ErrorCode::idempotency_key_reused,
                    "this Idempotency-Key was used with another request; choose a new key for a new request");
  }
  Reply reply;
  reply.replayed = true;
  reply.status = static_cast<int>(parse_int64(rows.text(0, 1)).value_or(200));
  reply.etag = rows.text(0, 2);
  reply.location = rows.text(0, 3);
  reply.body = rows.text(0, 4);
  co_return std::optional<Reply>(std::move(reply));
}

Task<Result<void>> store_reply(session::TenantTransaction& transaction, const std::string& key,
                               const Reply& reply, CallOptions options) {
  json::Value headers{json::Object()};
  if (!reply.etag.empty()) headers.set("etag", reply.etag);
  if (!reply.location.empty()) headers.set("location", reply.location);
  pg::Params params;
  params.emplace_back(key);
  params.emplace_back(std::to_string(reply.status));
  params.emplace_back(json::serialize(headers));
  params.emplace_back(reply.body);
  const pg::Statement store = statement(kStore, std::move(params));
  CO_TRY_DO(co_await transaction.query(store, options));
  co_return Result<void>();
}

Task<Result<void>> forget_expired_keys(session::TenantTransaction& transaction, CallOptions options) {
  const pg::Statement forget = statement(kForget, pg::Params());
  CO_TRY_DO(co_await transaction.query(forget, options));
  co_return Result<void>();
}

}  // namespace rowhouse::data
