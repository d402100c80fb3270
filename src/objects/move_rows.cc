#include "objects/move_rows.h"

#include <utility>

#include "base/json.h"
#include "base/text.h"

namespace rowhouse::objects {
namespace {

constexpr std::string_view kRaiseFence = R"(
INSERT INTO rowhouse.object_usage AS u (bytes, objects, store) VALUES (0, 0, $1::pg_catalog.int4)
ON CONFLICT (tenant_id) DO UPDATE SET store = GREATEST(u.store, EXCLUDED.store))";

constexpr std::string_view kRest = R"(
SELECT o.objects, o.bytes, w.writes, w.uploads
FROM (SELECT pg_catalog.count(*) AS objects, COALESCE(pg_catalog.sum(bytes), 0) AS bytes
      FROM rowhouse.objects WHERE store = $1::pg_catalog.int4) o,
     (SELECT pg_catalog.count(*) FILTER (WHERE NOT resumable) AS writes,
             pg_catalog.count(*) FILTER (WHERE resumable) AS uploads
      FROM rowhouse.object_writes WHERE store = $1::pg_catalog.int4) w)";

constexpr std::string_view kNext = R"(
SELECT key, version, bytes, pg_catalog.encode(sha256, 'hex'), content_type
FROM rowhouse.objects WHERE key > $2::pg_catalog.text AND store = $1::pg_catalog.int4
ORDER BY key LIMIT $3::pg_catalog.int4)";

// Objects as JSON: [{"k": key, "v": version, "h": sha256}].
constexpr std::string_view kNameCopies = R"(
INSERT INTO rowhouse.object_garbage (store_key, store, due)
SELECT o.key || '~' || o.version, $2::pg_catalog.int4, 'infinity'
FROM pg_catalog.json_to_recordset($1::pg_catalog.json) AS d(k pg_catalog.text, v pg_catalog.text)
JOIN rowhouse.objects o ON o.key = d.k AND o.version = d.v AND o.store < $2::pg_catalog.int4
ON CONFLICT (tenant_id, store, store_key) DO UPDATE SET due = EXCLUDED.due)";

constexpr std::string_view kNameUpload = R"(
UPDATE rowhouse.object_garbage SET upload = NULLIF($3::pg_catalog.text, '')
WHERE store = $1::pg_catalog.int4 AND store_key = $2::pg_catalog.text)";

// The rows are locked in the order of their keys, as every statement does that takes several.
constexpr std::string_view kSwitch = R"(
WITH done AS MATERIALIZED (
  SELECT d.k, d.v, d.h FROM pg_catalog.json_to_recordset($1::pg_catalog.json)
    AS d(k pg_catalog.text, v pg_catalog.text, h pg_catalog.text)),
held AS MATERIALIZED (
  SELECT o.key, o.version FROM rowhouse.objects o JOIN done d ON o.key = d.k AND o.version = d.v
  WHERE o.store = $2::pg_catalog.int4 ORDER BY o.key FOR UPDATE OF o),
switched AS (
  UPDATE rowhouse.objects o
  SET store = $3::pg_catalog.int4,
      sha256 = COALESCE(o.sha256, pg_catalog.decode(NULLIF(d.h, ''), 'hex'))
  FROM done d, held WHERE o.key = d.k AND o.version = d.v AND held.key = o.key AND o.store = $2::pg_catalog.int4
  RETURNING o.key, o.version, o.bytes),
forgotten AS (
  DELETE FROM rowhouse.object_garbage g USING switched s
  WHERE g.store = $3::pg_catalog.int4 AND g.store_key = s.key || '~' || s.version),
left_behind AS (
  INSERT INTO rowhouse.object_garbage (store_key, store, due)
  SELECT s.key || '~' || s.version, $2::pg_catalog.int4, 'infinity' FROM switched s
  ON CONFLICT (tenant_id, store, store_key) DO UPDATE SET due = EXCLUDED.due)
SELECT pg_catalog.count(*), COALESCE(pg_catalog.sum(bytes), 0) FROM switched)";

// A copy whose version no row has will never be needed: it was replaced or deleted while it was copied. One
// that counts already has no business here.
constexpr std::string_view kSettleCopies = R"(
WITH copies AS MATERIALIZED (
  SELECT g.store_key, g.upload, o.store FROM rowhouse.object_garbage g
  LEFT JOIN rowhouse.objects o ON o.key = pg_catalog.left(g.store_key, -23)
    AND o.version = pg_catalog.right(g.store_key, 22)
  WHERE g.store = $1::pg_catalog.int4 AND g.due = 'infinity'),
needless AS (
  UPDATE rowhouse.object_garbage g SET due = pg_catalog.now() FROM copies c
  WHERE g.store = $1::pg_catalog.int4 AND g.store_key = c.store_key AND c.store IS NULL),
counting AS (
  DELETE FROM rowhouse.object_garbage g USING copies c
  WHERE g.store = $1::pg_catalog.int4 AND g.store_key = c.store_key AND c.store = $1::pg_catalog.int4)
SELECT store_key, upload FROM copies WHERE store <> $1::pg_catalog.int4 AND upload IS NOT NULL)";

constexpr std::string_view kReleaseOld = R"(
WITH used AS (
  SELECT EXISTS (SELECT FROM rowhouse.objects WHERE store = $1::pg_catalog.int4)
      OR EXISTS (SELECT FROM rowhouse.object_writes WHERE store = $1::pg_catalog.int4) AS is_used),
released AS (
  UPDATE rowhouse.object_garbage g SET due = pg_catalog.now(), again_at = NULL FROM used
  WHERE NOT used.is_used AND g.store = $1::pg_catalog.int4)
SELECT is_used FROM used)";

constexpr std::string_view kOldCopies = R"(
SELECT store_key, upload FROM rowhouse.object_garbage WHERE store = $1::pg_catalog.int4
ORDER BY store_key LIMIT 500)";

constexpr std::string_view kCountOld = R"(
SELECT pg_catalog.count(*) FROM rowhouse.object_garbage WHERE store = $1::pg_catalog.int4)";

constexpr std::string_view kDropOld = R"(
DELETE FROM rowhouse.object_garbage WHERE store = $1::pg_catalog.int4)";

std::int64_t number(const pg::Rows& rows, std::size_t row, std::size_t column) {
  return parse_int64(rows.text(row, column)).value_or(0);
}

pg::Params of_store(int store) {
  pg::Params params;
  params.emplace_back(std::to_string(store));
  return params;
}

std::string list_of(const std::vector<Object>& objects) {
  json::Array list;
  for (const Object& object : objects) {
    json::Value entry;
    entry.set("k", object.key);
    entry.set("v", object.version);
    entry.set("h", object.sha256);
    list.push_back(std::move(entry));
  }
  return json::serialize(json::Value(std::move(list)));
}

std::vector<GarbageRow> garbage_of(const pg::Rows& rows, int store) {
  std::vector<GarbageRow> garbage;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    GarbageRow piece;
    piece.store = store;
    piece.store_key = rows.text(row, 0);
    piece.upload = rows.text(row, 1);
    garbage.push_back(std::move(piece));
  }
  return garbage;
}

}  // namespace

Task<Result<pg::Rows>> MoveRows::run(const Context& context, std::string_view sql, pg::Params params,
                                     pg::Access access, CallOptions options) {
  const pg::Statement statement(std::string(sql), std::move(params), access);
  co_return co_await database_.run(context, statement, options);
}

Task<Result<void>> MoveRows::raise_fence(const Context& context, int to, CallOptions options) {
  pg::Params params = of_store(to);
  CO_TRY_DO(co_await run(context, kRaiseFence, std::move(params), pg::Access::write, options));
  co_return Result<void>();
}

Task<Result<MoveRest>> MoveRows::rest(const Context& context, int from, CallOptions options) {
  pg::Params params = of_store(from);
  CO_TRY(const auto rows, co_await run(context, kRest, std::move(params), pg::Access::read, options));
  MoveRest rest;
  rest.objects = number(rows, 0, 0);
  rest.bytes = number(rows, 0, 1);
  rest.writes = number(rows, 0, 2);
  rest.uploads = number(rows, 0, 3);
  co_return rest;
}

Task<Result<std::vector<Object>>> MoveRows::next(const Context& context, int from, std::string after,
                                                 int limit, CallOptions options) {
  pg::Params params = of_store(from);
  params.emplace_back(std::move(after));
  params.emplace_back(std::to_string(limit));
  CO_TRY(const auto rows, co_await run(context, kNext, std::move(params), pg::Access::read, options));
  std::vector<Object> objects;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    Object object;
    object.key = rows.text(row, 0);
    object.version = rows.text(row, 1);
    object.bytes = static_cast<std::uint64_t>(number(rows, row, 2));
    object.sha256 = rows.text(row, 3);
    object.content_type = rows.text(row, 4);
    object.store = from;
    objects.push_back(std::move(object));
  }
  co_return objects;
}

Task<Result<void>> MoveRows::name_copies(const Context& context, int to, const std::vector<Object>& objects,
                                         CallOptions options) {
  pg::Params params;
  params.emplace_back(list_of(objects));
  params.emplace_back(std::to_string(to));
  CO_TRY_DO(co_await run(context, kNameCopies, std::move(params), pg::Access::write, options));
  co_return Result<void>();
}

Task<Result<void>> MoveRows::name_upload(const Context& context, int to, std::string store_key,
                                         std::string upload, CallOptions options) {
  pg::Params params = of_store(to);
  params.emplace_back(std::move(store_key));
  params.emplace_back(std::move(upload));
  CO_TRY_DO(co_await run(context, kNameUpload, std::move(params), pg::Access::write, options));
  co_return Result<void>();
}

Task<Result<void>> MoveRows::forget_upload(const Context& context, int to, std::string store_key,
                                           CallOptions options) {
  const std::string none;
  co_return co_await name_upload(context, to, std::move(store_key), none, options);
}

Task<Result<MoveRows::Switched>> MoveRows::switch_rows(const Context& context, int from, int to,
                                                       const std::vector<Object>& objects,
                                                       CallOptions options) {
  pg::Params params;
  params.emplace_back(list_of(objects));
  params.emplace_back(std::to_string(from));
  params.emplace_back(std::to_string(to));
  CO_TRY(const auto rows, co_await run(context, kSwitch, std::move(params), pg::Access::write, options));
  Switched switched;
  switched.objects = number(rows, 0, 0);
  switched.bytes = number(rows, 0, 1);
  co_return switched;
}

Task<Result<std::vector<GarbageRow>>> MoveRows::settle_copies(const Context& context, int to,
                                                              CallOptions options) {
  pg::Params params = of_store(to);
  CO_TRY(const auto rows,
         co_await run(context, kSettleCopies, std::move(params), pg::Access::write, options));
  co_return garbage_of(rows, to);
}

Task<Result<bool>> MoveRows::release_old(const Context& context, int from, CallOptions options) {
  pg::Params params = of_store(from);
  CO_TRY(const auto rows, co_await run(context, kReleaseOld, std::move(params), pg::Access::write, options));
  co_return rows.text(0, 0) == "f";
}

Task<Result<std::vector<GarbageRow>>> MoveRows::old_copies(const Context& context, int from,
                                                           CallOptions options) {
  pg::Params params = of_store(from);
  CO_TRY(const auto rows, co_await run(context, kOldCopies, std::move(params), pg::Access::read, options));
  co_return garbage_of(rows, from);
}

Task<Result<std::int64_t>> MoveRows::count_old(const Context& context, int from, CallOptions options) {
  pg::Params params = of_store(from);
  CO_TRY(const auto rows, co_await run(context, kCountOld, std::move(params), pg::Access::read, options));
  co_return number(rows, 0, 0);
}

Task<Result<void>> MoveRows::drop_old(const Context& context, int from, CallOptions options) {
  pg::Params params = of_store(from);
  CO_TRY_DO(co_await run(context, kDropOld, std::move(params), pg::Access::write, options));
  co_return Result<void>();
}

}  // namespace rowhouse::objects
