#include "secrets/rotation.h"

#include <map>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "secrets/sealed_columns.h"
#include "secrets/tenant_secrets.h"

namespace rowhouse::secrets {

namespace {

constexpr std::string_view kCountSql =
    "SELECT wrapping_key, count(*) FROM platform.tenant_data_keys GROUP BY 1 ORDER BY 1";

// When a renewal began is kept until it has ended: after a crash the same tenants count as done.
constexpr std::string_view kTotalsSql = R"(
SELECT (SELECT count(DISTINCT tenant_id) FROM platform.tenant_data_keys),
       (SELECT value ->> 'since' FROM platform.settings WHERE key = 'data_key_renewal'))";
constexpr std::string_view kBeginSql = R"(
INSERT INTO platform.settings (key, value)
VALUES ('data_key_renewal', pg_catalog.jsonb_build_object('since',
  pg_catalog.to_char(pg_catalog.clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')))
ON CONFLICT (key) DO NOTHING)";
constexpr std::string_view kEndSql =
    "DELETE FROM platform.settings WHERE key = 'data_key_renewal' AND value ->> 'since' = $1::text";

std::string old_wrapping_sql() {
  return "SELECT k.tenant_id, " + std::string(kWrappedKeyColumns) +
         " FROM platform.tenant_data_keys k WHERE k.wrapping_key <> $1::text ORDER BY k.tenant_id, "
         "k.generation "
         "LIMIT $2::bigint FOR UPDATE";
}
constexpr std::string_view kRewrapSql =
    "UPDATE platform.tenant_data_keys SET wrapped = $3::bytea, wrapping_key = $4::text "
    "WHERE tenant_id = $1::uuid AND generation = $2::integer";

constexpr std::string_view kDueSql =
    "SELECT tenant_id FROM platform.tenant_data_keys GROUP BY tenant_id "
    "HAVING max(created_at) < $1::timestamptz ORDER BY tenant_id LIMIT $2::bigint";
std::string tenant_keys_sql() {
  return "SELECT " + std::string(kWrappedKeyColumns) +
         ", k.created_at < $2::timestamptz FROM platform.tenant_data_keys k WHERE k.tenant_id = $1::uuid "
         "ORDER BY k.generation FOR UPDATE";
}
constexpr std::string_view kInsertSql =
    "INSERT INTO platform.tenant_data_keys (tenant_id, generation, wrapped, wrapping_key) "
    "VALUES ($1::uuid, $2::integer, $3::bytea, $4::text)";
// Whoever read the last one's generation just now may still write what it has sealed.
constexpr std::string_view kDropSql =
    "DELETE FROM platform.tenant_data_keys WHERE tenant_id = $1::uuid AND generation < $2::integer";

std::string sealed_sql(const SealedColumn& column) {
  return "SELECT pg_catalog.encode(" + std::string(column.column) + ", 'hex'), " +
         std::string(column.purpose) + ", pg_catalog.get_byte(" + std::string(column.column) +
         ", 1) * 16777216 + pg_catalog.get_byte(" + std::string(column.column) +
         ", 2) * 65536 + pg_catalog.get_byte(" + std::string(column.column) +
         ", 3) * 256 + pg_catalog.get_byte(" + std::string(column.column) + ", 4) FROM " +
         std::string(column.table) + " WHERE tenant_id = $1::uuid FOR UPDATE";
}
// What somebody has set meanwhile stays.
std::string reseal_sql(const SealedColumn& column) {
  return "UPDATE " + std::string(column.table) + " SET " + std::string(column.column) +
         " = $3::bytea WHERE tenant_id = $1::uuid AND " + std::string(column.column) + " = $2::bytea";
}

pg::Statement statement(std::string sql, pg::Params params = {}) {
  return pg::Statement(std::move(sql), std::move(params), pg::Access::write, pg::Reuse::once);
}

std::int32_t to_generation(std::string_view text) {
  return static_cast<std::int32_t>(parse_int64(text).value_or(0));
}

}  // namespace

Task<Result<RotationStatus>> KeyRotation::status(CallOptions options) {
  const auto count = statement(std::string(kCountSql));
  CO_TRY(const auto counted, co_await platform_.run(nullptr, count, options));
  std::map<std::string, std::int64_t, std::less<>> counts;
  for (std::size_t row = 0; row < counted.size(); ++row) {
    counts[std::string(counted.text(row, 0))] = parse_int64(counted.text(row, 1)).value_or(0);
  }
  RotationStatus status;
  for (const WrappingKeys::Key& key : keys_.all()) {
    WrappingKeyStatus entry;
    entry.fingerprint = key.fingerprint;
    entry.state =
        &key == &keys_.current() ? WrappingKeyStatus::State::current : WrappingKeyStatus::State::former;
    const auto found = counts.find(key.fingerprint);
    if (found != counts.end()) {
      entry.data_keys = found->second;
      counts.erase(found);
    }
    status.keys.push_back(std::move(entry));
  }
  for (const auto& [fingerprint, data_keys] : counts) {
    status.keys.push_back({fingerprint, WrappingKeyStatus::State::unknown, data_keys});
  }
  const auto read_totals = statement(std::string(kTotalsSql));
  CO_TRY(const auto totals, co_await platform_.run(nullptr, read_totals, options));
  status.tenants = parse_int64(totals.text(0, 0)).value_or(0);
  status.data_keys_since = totals.text(0, 1);
  co_return status;
}

Task<Result<RotationReport>> KeyRotation::rotate(DataKeys data_keys, CallOptions options) {
  RotationReport report;
  CO_TRY(report.rewrapped, co_await rewrap(options));
  if (data_keys == DataKeys::renew) CO_TRY_DO(co_await renew_data_keys(report, options));
  co_return report;
}

Task<Result<std::int64_t>> KeyRotation::rewrap(CallOptions options) {
  std::int64_t total = 0;
  while (true) {
    CO_TRY(auto session, co_await platform_.acquire(options));
    CO_TRY_DO(co_await session.begin(nullptr, options));
    CO_TRY(const std::int64_t rewrapped, co_await rewrap_batch(session, options));
    CO_TRY_DO(co_await session.commit(options));
    if (rewrapped == 0) co_return total;
    total += rewrapped;
  }
}

Task<Result<std::int64_t>> KeyRotation::rewrap_batch(pg::Session& session, CallOptions options) {
  const auto read = statement(old_wrapping_sql(), {keys_.current().fingerprint, std::to_string(batch_)});
  CO_TRY(const auto rows, co_await session.query(read, options));
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const Uuid tenant = Uuid::parse(rows.text(row, 0)).value_or(Uuid());
    const WrappedKey key = wrapped_key_from(rows, row, 1);
    CO_TRY(std::string data_key, unwrap_data_key(keys_, tenant, key));
    const std::string wrapped = wrap_data_key(keys_, tenant, key.generation, data_key);
    crypto::wipe(data_key);
    const auto update =
        statement(std::string(kRewrapSql), {tenant.to_string(), std::to_string(key.generation),
                                            bytea_text(wrapped), keys_.current().fingerprint});
    CO_TRY_DO(co_await session.query(update, options));
  }
  co_return static_cast<std::int64_t>(rows.size());
}

Task<Result<void>> KeyRotation::renew_data_keys(RotationReport& report, CallOptions options) {
  const auto begin = statement(std::string(kBeginSql));
  CO_TRY_DO(co_await platform_.run(nullptr, begin, options));
  const auto read_totals = statement(std::string(kTotalsSql));
  CO_TRY(const auto totals, co_await platform_.run(nullptr, read_totals, options));
  const std::string since(totals.text(0, 1));
  if (since.empty()) co_return Result<void>();  // another node has ended it meanwhile
  while (true) {
    const auto read_due = statement(std::string(kDueSql), {since, std::to_string(batch_)});
    CO_TRY(const auto due, co_await platform_.run(nullptr, read_due, options));
    if (due.size() == 0) break;
    for (std::size_t row = 0; row < due.size(); ++row) {
      std::string tenant(due.text(row, 0));
      CO_TRY_DO(co_await renew_tenant(std::move(tenant), since, report, options));
    }
  }
  const auto end = statement(std::string(kEndSql), {since});
  CO_TRY_DO(co_await platform_.run(nullptr, end, options));
  co_return Result<void>();
}

Task<Result<void>> KeyRotation::renew_tenant(std::string tenant, std::string since, RotationReport& report,
                                             CallOptions options) {
  CO_TRY(auto session, co_await platform_.acquire(options));
  CO_TRY_DO(co_await session.begin(nullptr, options));
  CO_TRY_DO(co_await renew_in(session, std::move(tenant), std::move(since), report, options));
  co_return co_await session.commit(options);
}

Task<Result<void>> KeyRotation::renew_in(pg::Session& session, std::string tenant, std::string since,
                                         RotationReport& report, CallOptions options) {
  const Uuid id = Uuid::parse(tenant).value_or(Uuid());
  const auto read_keys = statement(tenant_keys_sql(), {tenant, since});
  CO_TRY(const auto rows, co_await session.query(read_keys, options));
  // Deleted, or renewed by another node while this one waited for the lock.
  if (rows.size() == 0 || rows.text(rows.size() - 1, kWrappedKeyColumnCount) != "t") co_return Result<void>();

  std::map<std::int32_t, WrappedKey> keys;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    WrappedKey key = wrapped_key_from(rows, row, 0);
    keys.emplace(key.generation, std::move(key));
  }
  const std::int32_t last = keys.rbegin()->first;
  std::string fresh = crypto::random_bytes(kDataKeyBytes);
  const std::string wrapped = wrap_data_key(keys_, id, last + 1, fresh);
  const auto insert = statement(std::string(kInsertSql), {tenant, std::to_string(last + 1),
                                                          bytea_text(wrapped), keys_.current().fingerprint});
  CO_TRY_DO(co_await session.query(insert, options));

  const TenantSecrets secrets(platform_, keys_);
  for (const SealedColumn& column : kSealedColumns) {
    const auto read_sealed = statement(sealed_sql(column), {tenant});
    CO_TRY(const auto sealed_rows, co_await session.query(read_sealed, options));
    for (std::size_t row = 0; row < sealed_rows.size(); ++row) {
      const std::string sealed = from_hex(sealed_rows.text(row, 0)).value_or("");
      const std::string purpose(sealed_rows.text(row, 1));
      const auto key = keys.find(to_generation(sealed_rows.text(row, 2)));
      if (key == keys.end()) co_return Error(ErrorCode::internal, "a secret has no data key");
      CO_TRY(std::string text, secrets.open_with(key->second, id, purpose, sealed));
      const std::string again = seal_with_key(fresh, last + 1, id, purpose, text);
      crypto::wipe(text);
      const auto update = statement(reseal_sql(column), {tenant, bytea_text(sealed), bytea_text(again)});
      CO_TRY_DO(co_await session.query(update, options));
      ++report.resealed;
    }
  }
  crypto::wipe(fresh);
  const auto drop = statement(std::string(kDropSql), {tenant, std::to_string(last)});
  CO_TRY_DO(co_await session.query(drop, options));
  ++report.renewed;
  co_return Result<void>();
}

}  // namespace rowhouse::secrets
