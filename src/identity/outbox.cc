#include "identity/outbox.h"

#include <utility>

#include "base/text.h"

namespace rowhouse::identity {

namespace {

constexpr std::string_view kReadSql = R"(
SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(o) ORDER BY o.sequence), count(*)
FROM (SELECT * FROM identity.outbox ORDER BY sequence LIMIT $1::bigint) o)";

// A repetition (the node before was cut off, or another is at it now) finds its ids there and adds nothing.
constexpr std::string_view kCarrySql = R"(
WITH e AS (SELECT * FROM pg_catalog.jsonb_to_recordset($1::jsonb) AS e (id uuid, sequence bigint, at timestamptz,
    tenant_id uuid, actor text, action text, object_type text, object_id text, old_values jsonb, new_values jsonb,
    address inet)),
  fresh AS (INSERT INTO platform.relayed_events (id) SELECT id FROM e ORDER BY id ON CONFLICT DO NOTHING RETURNING id),
  recorded AS (
    INSERT INTO platform.audit_log (at, tenant_id, actor, action, object_type, object_id, old_values, new_values,
      address)
    SELECT e.at, e.tenant_id, e.actor, e.action, e.object_type, e.object_id, e.old_values, e.new_values, e.address
    FROM e JOIN fresh USING (id) ORDER BY e.sequence)
INSERT INTO platform.events (at, tenant_id, type, payload)
SELECT e.at, e.tenant_id, e.action, pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('actor', e.actor,
  'object_type', e.object_type, 'object_id', e.object_id, 'old', e.old_values, 'new', e.new_values))
FROM e JOIN fresh USING (id) ORDER BY e.sequence)";

constexpr std::string_view kDeleteSql = R"(
DELETE FROM identity.outbox o USING pg_catalog.jsonb_to_recordset($1::jsonb) AS e (id uuid) WHERE o.id = e.id)";

constexpr std::string_view kPruneSql =
    "DELETE FROM platform.relayed_events WHERE at < pg_catalog.now() - interval '1 day'";

}  // namespace

std::string outbox_insert_sql(int first_parameter, std::string_view source) {
  static constexpr const char* kCasts[audit::kChangeParameters] = {"uuid", "text",  "text",  "text",
                                                                   "text", "jsonb", "jsonb", "inet"};
  std::string sql =
      "INSERT INTO identity.outbox (tenant_id, actor, action, object_type, object_id, old_values, "
      "new_values, "
      "address) SELECT ";
  for (int i = 0; i < audit::kChangeParameters; ++i) {
    if (i > 0) sql += ", ";
    sql += "$" + std::to_string(first_parameter + i) + "::" + kCasts[i];
  }
  return sql + " FROM " + std::string(source);
}

Task<Result<std::size_t>> Outbox::carry(CallOptions options) {
  pg::Params limit;
  limit.emplace_back(std::to_string(kMaxCarried));
  const pg::Statement read(std::string(kReadSql), std::move(limit));
  CO_TRY(const auto found, co_await identity_.run(nullptr, read, options));
  const auto count = parse_int64(found.text(0, 1)).value_or(0);
  if (count == 0) co_return std::size_t{0};
  pg::Params entries;
  entries.emplace_back(std::string(found.text(0, 0)));
  const pg::Statement carried(std::string(kCarrySql), entries, pg::Access::write);
  CO_TRY_DO(co_await platform_.run(nullptr, carried, options));
  const pg::Statement forget(std::string(kDeleteSql), std::move(entries), pg::Access::write);
  CO_TRY_DO(co_await identity_.run(nullptr, forget, options));
  co_return static_cast<std::size_t>(count);
}

Task<Result<void>> Outbox::prune(CallOptions options) {
  const pg::Statement statement(std::string(kPruneSql), {}, pg::Access::write);
  CO_TRY_DO(co_await platform_.run(nullptr, statement, options));
  co_return Result<void>();
}

}  // namespace rowhouse::identity
