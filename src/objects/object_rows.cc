#include "objects/object_rows.h"

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "base/text.h"

namespace rowhouse::objects {
namespace {

// Above every key, and above every key that begins as a prefix does, when it is put behind that: more bytes
// of the last character there is than a key may have.
std::string after_all() {
  std::string text;
  while (text.size() <= kMaxObjectKeyBytes) text += "\xf4\x8f\xbf\xbf";
  return text;
}

// The reservation first: without it there is no write. A write to a store that the tenant has left touches
// the row, so that the number in it is that of just now, and reserves nothing.
constexpr std::string_view kBegin = R"(
WITH usage AS (
  INSERT INTO rowhouse.object_usage AS u (bytes, objects, store)
  SELECT $3::pg_catalog.int8, 1, $11::pg_catalog.int4
  WHERE $4::pg_catalog.int8 < 0 OR $3::pg_catalog.int8 <= $4::pg_catalog.int8
    OR EXISTS (SELECT FROM rowhouse.object_usage)
  ON CONFLICT (tenant_id) DO UPDATE
    SET bytes = u.bytes + CASE WHEN u.store > $11::pg_catalog.int4 THEN 0 ELSE EXCLUDED.bytes END,
        objects = u.objects + CASE WHEN u.store > $11::pg_catalog.int4 THEN 0 ELSE 1 END
    WHERE $4::pg_catalog.int8 < 0 OR u.bytes + EXCLUDED.bytes <= $4::pg_catalog.int8
      OR u.store > $11::pg_catalog.int4
  RETURNING u.store),
written AS (
  INSERT INTO rowhouse.object_writes
    (id, key, reserved, content_type, upload, declared, sha256, resumable, lease_until, store)
  SELECT $1::pg_catalog.text, $2::pg_catalog.text, $3::pg_catalog.int8, $5::pg_catalog.text,
         NULLIF($6::pg_catalog.text, ''), $7::pg_catalog.int8,
         pg_catalog.decode(NULLIF($8::pg_catalog.text, ''), 'hex'), $9::pg_catalog.bool,
         pg_catalog.now() + $10::pg_catalog.int8 * interval '1 second', $11::pg_catalog.int4
  FROM usage WHERE usage.store <= $11::pg_catalog.int4)
SELECT usage.store <= $11::pg_catalog.int4 FROM usage)";

// Locks the write, then the usage, as a commit does.
constexpr std::string_view kGrow = R"(
WITH w AS (SELECT id FROM rowhouse.object_writes WHERE id = $1::pg_catalog.text FOR UPDATE),
usage AS (
  UPDATE rowhouse.object_usage u SET bytes = u.bytes + $2::pg_catalog.int8 FROM w
  WHERE $3::pg_catalog.int8 < 0 OR u.bytes + $2::pg_catalog.int8 <= $3::pg_catalog.int8 RETURNING w.id),
grown AS (
  UPDATE rowhouse.object_writes x SET reserved = x.reserved + $2::pg_catalog.int8 FROM usage
  WHERE x.id = usage.id RETURNING x.id)
SELECT EXISTS (SELECT FROM grown) FROM w)";

constexpr std::string_view kSetUpload = R"(
UPDATE rowhouse.object_writes SET upload = $2::pg_catalog.text WHERE id = $1::pg_catalog.text)";

constexpr std::string_view kRenew = R"(
UPDATE rowhouse.object_writes SET lease_until = pg_catalog.now() + $2::pg_catalog.int8 * interval '1 second'
WHERE id = $1::pg_catalog.text)";

// `replaced` is how a statement learns which version it really took the place of: RETURNING shows new values
// alone, and a look before would be too early when two commits meet.
constexpr std::string_view kCommit = R"(
WITH w AS (DELETE FROM rowhouse.object_writes WHERE id = $1::pg_catalog.text RETURNING id, key, reserved, store),
parts AS (DELETE FROM rowhouse.object_parts p USING w WHERE p.write_id = w.id),
put_any AS (
  INSERT INTO rowhouse.objects AS o (key, version, bytes, sha256, content_type, modified, store)
  SELECT w.key, w.id, $2::pg_catalog.int8, pg_catalog.decode(NULLIF($3::pg_catalog.text, ''), 'hex'),
         $4::pg_catalog.text, pg_catalog.now(), w.store FROM w WHERE $5::pg_catalog.text <> 'version'
  ON CONFLICT (tenant_id, key) DO UPDATE
    SET version = EXCLUDED.version, bytes = EXCLUDED.bytes, sha256 = EXCLUDED.sha256,
        content_type = EXCLUDED.content_type, modified = EXCLUDED.modified, replaced = o.version,
        replaced_bytes = o.bytes, store = EXCLUDED.store, replaced_store = o.store
    WHERE $5::pg_catalog.text = 'none'
  RETURNING o.modified, o.replaced, o.replaced_bytes, o.replaced_store),
put_version AS (
  UPDATE rowhouse.objects o
  SET version = w.id, bytes = $2::pg_catalog.int8, sha256 = pg_catalog.decode(NULLIF($3::pg_catalog.text, ''), 'hex'),
      content_type = $4::pg_catalog.text, modified = pg_catalog.now(), replaced = o.version, replaced_bytes = o.bytes,
      store = w.store, replaced_store = o.store
  FROM w WHERE o.key = w.key AND o.version = $6::pg_catalog.text AND $5::pg_catalog.text = 'version'
  RETURNING o.modified, o.replaced, o.replaced_bytes, o.replaced_store),
put AS (SELECT * FROM put_any UNION ALL SELECT * FROM put_version),
garbage AS (
  INSERT INTO rowhouse.object_garbage (store_key, store, due)
  SELECT w.key || '~' || COALESCE(p.replaced, w.id), COALESCE(p.replaced_store, w.store),
         pg_catalog.now() + interval '1 minute'
  FROM w LEFT JOIN put p ON true WHERE p.modified IS NULL OR p.replaced IS NOT NULL
  ON CONFLICT (tenant_id, store, store_key) DO UPDATE SET due = EXCLUDED.due RETURNING store_key, store),
change AS (
  SELECT CASE WHEN p.modified IS NULL THEN 0 ELSE $2::pg_catalog.int8 - COALESCE(p.replaced_bytes, 0) END
           - w.reserved AS bytes,
         CASE WHEN p.modified IS NULL OR p.replaced IS NOT NULL THEN -1 ELSE 0 END AS objects
  FROM w LEFT JOIN put p ON true),
usage AS (
  UPDATE rowhouse.object_usage u SET bytes = u.bytes + c.bytes, objects = u.objects + c.objects
  FROM change c WHERE c.bytes <> 0 OR c.objects <> 0)
SELECT p.modified IS NOT NULL, p.replaced IS NOT NULL,
       (pg_catalog.date_part('epoch', p.modified) * 1000)::pg_catalog.int8, g.store_key, g.store
FROM w LEFT JOIN put p ON true LEFT JOIN garbage g ON true)";

// Once more after a while: a store may end what a connection that broke had begun.
constexpr std::string_view kAbandon = R"(
WITH w AS (DELETE FROM rowhouse.object_writes WHERE id = $1::pg_catalog.text RETURNING id, key, reserved, upload, store),
parts AS (DELETE FROM rowhouse.object_parts p USING w WHERE p.write_id = w.id),
garbage AS (
  INSERT INTO rowhouse.object_garbage (store_key, store, upload, again_at)
  SELECT w.key || '~' || w.id, w.store, w.upload, pg_catalog.now() + interval '10 minutes' FROM w ON CONFLICT DO NOTHING)
UPDATE rowhouse.object_usage u SET bytes = u.bytes - w.reserved, objects = u.objects - 1 FROM w)";

constexpr std::string_view kFind = R"(
SELECT key, version, bytes, pg_catalog.encode(sha256, 'hex'), content_type,
       (pg_catalog.date_part('epoch', modified) * 1000)::pg_catalog.int8, store
FROM rowhouse.objects WHERE key = $1::pg_catalog.text)";

constexpr std::string_view kList = R"(
SELECT key, version, bytes, pg_catalog.encode(sha256, 'hex'), content_type,
       (pg_catalog.date_part('epoch', modified) * 1000)::pg_catalog.int8, store
FROM rowhouse.objects WHERE key >= $1::pg_catalog.text AND key < $2::pg_catalog.text ORDER BY key
LIMIT $3::pg_catalog.int4)";

// From each entry straight to the next: an index probe for each, whatever a folder holds. ("0" comes after
// "/"; no key has a character below the space.)
constexpr std::string_view kListGrouped = R"(
WITH RECURSIVE page AS (
  SELECT f.*, g.at, CASE WHEN g.at > 0 THEN pg_catalog.left(f.key, $4::pg_catalog.int4 + g.at - 1) || '0'
                         ELSE f.key || pg_catalog.chr(1) END AS next, 1 AS n
  FROM (SELECT o.key, o.version, o.bytes, o.sha256, o.content_type, o.modified, o.store FROM rowhouse.objects o
        WHERE o.key >= $1::pg_catalog.text AND o.key < $2::pg_catalog.text ORDER BY o.key LIMIT 1) f
  CROSS JOIN LATERAL (SELECT pg_catalog.strpos(pg_catalog.substr(f.key, $4::pg_catalog.int4 + 1), '/') AS at) g
  UNION ALL
  SELECT f.*, g.at, CASE WHEN g.at > 0 THEN pg_catalog.left(f.key, $4::pg_catalog.int4 + g.at - 1) || '0'
                         ELSE f.key || pg_catalog.chr(1) END, page.n + 1
  FROM page
  CROSS JOIN LATERAL (SELECT o.key, o.version, o.bytes, o.sha256, o.content_type, o.modified, o.store FROM rowhouse.objects o
        WHERE o.key >= page.next AND o.key < $2::pg_catalog.text ORDER BY o.key LIMIT 1) f
  CROSS JOIN LATERAL (SELECT pg_catalog.strpos(pg_catalog.substr(f.key, $4::pg_catalog.int4 + 1), '/') AS at) g
  WHERE page.n < $3::pg_catalog.int4)
SELECT CASE WHEN at > 0 THEN pg_catalog.left(key, $4::pg_catalog.int4 + at) ELSE key END, version, bytes,
       pg_catalog.encode(sha256, 'hex'), content_type, (pg_catalog.date_part('epoch', modified) * 1000)::pg_catalog.int8,
       store, at > 0
FROM page ORDER BY n)";

constexpr std::string_view kUsage = R"(
SELECT COALESCE((SELECT u.bytes FROM rowhouse.object_usage u), 0) - w.reserved,
       COALESCE((SELECT u.objects FROM rowhouse.object_usage u), 0) - w.writes, w.reserved
FROM (SELECT COALESCE(pg_catalog.sum(reserved), 0)::pg_catalog.int8 AS reserved, pg_catalog.count(*) AS writes
      FROM rowhouse.object_writes) w)";

// Rows are locked in the order of their keys, so that two of these do not wait for each other.
constexpr std::string_view kRemove = R"(
WITH doomed AS (
  SELECT o.key FROM rowhouse.objects o
  WHERE o.key IN (SELECT j.value FROM pg_catalog.json_array_elements_text($1::pg_catalog.json) j)
    AND ($2::pg_catalog.text = '' OR o.version = $2::pg_catalog.text)
  ORDER BY o.key FOR UPDATE),
gone AS (DELETE FROM rowhouse.objects o USING doomed d WHERE o.key = d.key RETURNING o.key, o.version, o.bytes, o.store),
garbage AS (
  INSERT INTO rowhouse.object_garbage (store_key, store, due)
  SELECT g.key || '~' || g.version, g.store, pg_catalog.now() + interval '1 minute' FROM gone g
  ON CONFLICT (tenant_id, store, store_key) DO UPDATE SET due = EXCLUDED.due RETURNING store_key, store),
usage AS (
  UPDATE rowhouse.object_usage u SET bytes = u.bytes - d.bytes, objects = u.objects - d.objects
  FROM (SELECT pg_catalog.sum(g.bytes)::pg_catalog.int8 AS bytes, pg_catalog.count(*) AS objects FROM gone g) d
  WHERE d.objects > 0)
SELECT store_key, store FROM garbage)";

std::uint64_t number(const pg::Rows& rows, std::size_t row, std::size_t column) {
  return static_cast<std::uint64_t>(parse_int64(rows.text(row, column)).value_or(0));
}

Object object_of(const pg::Rows& rows, std::size_t row) {
  Object object;
  object.key = rows.text(row, 0);
  object.version = rows.text(row, 1);
  object.bytes = number(rows, row, 2);
  object.sha256 = rows.text(row, 3);
  object.content_type = rows.text(row, 4);
  object.modified_ms = static_cast<std::int64_t>(number(rows, row, 5));
  object.store = static_cast<int>(number(rows, row, 6));
  return object;
}

std::string_view condition_name(WriteCondition::Kind kind) {
  switch (kind) {
    case WriteCondition::Kind::none:
      return "none";
    case WriteCondition::Kind::absent:
      return "absent";
    case WriteCondition::Kind::version:
      return "version";
  }
  return "none";
}

// Where a page begins: a text that sorts as its first key may.
Result<std::string> start_of(const ListObjects& request) {
  if (request.cursor.empty()) return request.prefix;
  auto start = from_base64url(request.cursor);
  const bool usable = start && start->size() <= kMaxObjectKeyBytes + 1 && is_valid_utf8(*start) &&
                      start->find('\0') == std::string::npos;
  if (!usable) return Error(ErrorCode::invalid_cursor, "the cursor is not one of this list");
  return std::max(*start, request.prefix);
}

}  // namespace

std::string store_key(std::string_view key, std::string_view version) {
  std::string name(key);
  name += '~';
  name += version;
  return name;
}

Task<Result<pg::Rows>> ObjectRows::run(const Context& context, std::string_view sql, pg::Params params,
                                       pg::Access access, CallOptions options) {
  const pg::Statement statement(std::string(sql), std::move(params), access);
  co_return co_await database_.run(context, statement, options);
}

Task<Result<ObjectRows::Begun>> ObjectRows::begin(const Context& context, NewWrite write, std::int64_t limit,
                                                  CallOptions options) {
  pg::Params params;
  params.emplace_back(std::move(write.id));
  params.emplace_back(std::move(write.key));
  params.emplace_back(std::to_string(write.reserved));
  params.emplace_back(std::to_string(limit));
  params.emplace_back(std::move(write.content_type));
  params.emplace_back(std::move(write.upload));
  params.emplace_back();
  if (write.declared) params.back() = std::to_string(*write.declared);
  params.emplace_back(std::move(write.sha256));
  params.emplace_back(write.kind == NewWrite::Kind::resumable ? "true" : "false");
  params.emplace_back(std::to_string(write.lease_s));
  params.emplace_back(std::to_string(write.store));
  CO_TRY(const auto rows, co_await run(context, kBegin, std::move(params), pg::Access::write, options));
  if (rows.size() == 0) co_return Begun::over_limit;
  co_return rows.text(0, 0) == "t" ? Begun::reserved : Begun::left;
}

Task<Result<ObjectRows::Growth>> ObjectRows::grow(const Context& context, std::string id, std::uint64_t more,
                                                  std::int64_t limit, CallOptions options) {
  pg::Params params;
  params.emplace_back(std::move(id));
  params.emplace_back(std::to_string(more));
  params.emplace_back(std::to_string(limit));
  CO_TRY(const auto rows, co_await run(context, kGrow, std::move(params), pg::Access::write, options));
  if (rows.size() == 0) co_return Error(ErrorCode::not_found, "the upload was given up");
  co_return rows.text(0, 0) == "t" ? Growth::done : Growth::over_limit;
}

Task<Result<void>> ObjectRows::set_upload(const Context& context, std::string id, std::string upload,
                                          CallOptions options) {
  pg::Params params;
  params.emplace_back(std::move(id));
  params.emplace_back(std::move(upload));
  CO_TRY(const auto rows, co_await run(context, kSetUpload, std::move(params), pg::Access::write, options));
  if (rows.affected() == 0) co_return Error(ErrorCode::not_found, "the upload was given up");
  co_return Result<void>();
}

Task<Result<bool>> ObjectRows::renew(const Context& context, std::string id, std::int64_t lease_s,
                                     CallOptions options) {
  pg::Params params;
  params.emplace_back(std::move(id));
  params.emplace_back(std::to_string(lease_s));
  CO_TRY(const auto rows, co_await run(context, kRenew, std::move(params), pg::Access::write, options));
  co_return rows.affected() == 1;
}

Task<Result<Committed>> ObjectRows::commit(const Context& context, std::string id, Content content,
                                           WriteCondition condition, CallOptions options) {
  pg::Params params;
  params.emplace_back(std::move(id));
  params.emplace_back(std::to_string(content.bytes));
  params.emplace_back(std::move(content.sha256));
  params.emplace_back(std::move(content.content_type));
  params.emplace_back(std::string(condition_name(condition.kind)));
  params.emplace_back(std::move(condition.version));
  CO_TRY(const auto rows, co_await run(context, kCommit, std::move(params), pg::Access::write, options));
  Committed committed;
  if (rows.size() == 0) co_return committed;
  using Outcome = Committed::Outcome;
  committed.garbage = rows.text(0, 3);
  committed.garbage_store = static_cast<int>(number(rows, 0, 4));
  committed.modified_ms = static_cast<std::int64_t>(number(rows, 0, 2));
  const bool replaced = rows.text(0, 1) == "t";
  committed.outcome = replaced ? Outcome::replaced : Outcome::created;
  if (rows.text(0, 0) != "t") committed.outcome = Outcome::condition_failed;
  co_return committed;
}

Task<Result<void>> ObjectRows::abandon(const Context& context, std::string id, CallOptions options) {
  pg::Params params;
  params.emplace_back(std::move(id));
  CO_TRY_DO(co_await run(context, kAbandon, std::move(params), pg::Access::write, options));
  co_return Result<void>();
}

Task<Result<std::optional<Object>>> ObjectRows::find(const Context& context, std::string key,
                                                     CallOptions options) {
  pg::Params params;
  params.emplace_back(std::move(key));
  CO_TRY(const auto rows, co_await run(context, kFind, std::move(params), pg::Access::read, options));
  std::optional<Object> found;
  if (rows.size() == 1) found = object_of(rows, 0);
  co_return found;
}

Task<Result<ObjectPage>> ObjectRows::list(const Context& context, ListObjects request, CallOptions options) {
  CO_TRY(std::string start, start_of(request));
  const bool grouped = request.folders == ListObjects::Folders::grouped;
  pg::Params params;
  params.emplace_back(std::move(start));
  params.emplace_back(request.prefix + after_all());
  params.emplace_back(std::to_string(request.limit + 1));  // one more tells whether there is another page
  if (grouped) params.emplace_back(std::to_string(utf8_length(request.prefix)));
  const std::string_view sql = grouped ? kListGrouped : kList;
  CO_TRY(const auto rows, co_await run(context, sql, std::move(params), pg::Access::read, options));
  ObjectPage page;
  const std::size_t count = std::min(rows.size(), static_cast<std::size_t>(request.limit));
  for (std::size_t row = 0; row < count; ++row) {
    if (grouped && rows.text(row, 7) == "t") {
      page.folders.emplace_back(rows.text(row, 0));
    } else {
      page.objects.push_back(object_of(rows, row));
    }
  }
  if (rows.size() > count) {
    std::string next(rows.text(count - 1, 0));
    const bool folder = grouped && rows.text(count - 1, 7) == "t";
    if (folder) {
      next.back() = '0';
    } else {
      next += '\x01';
    }
    page.next_cursor = to_base64url(next);
  }
  co_return page;
}

Task<Result<Usage>> ObjectRows::usage(const Context& context, CallOptions options) {
  CO_TRY(const auto rows, co_await run(context, kUsage, pg::Params(), pg::Access::read, options));
  Usage usage;
  usage.bytes = number(rows, 0, 0);
  usage.objects = number(rows, 0, 1);
  usage.reserved = number(rows, 0, 2);
  co_return usage;
}

Task<Result<std::vector<GarbageRow>>> ObjectRows::remove(const Context& context,
                                                         std::vector<std::string> keys, std::string version,
                                                         CallOptions options) {
  json::Array list;
  for (std::string& key : keys) list.emplace_back(std::move(key));
  pg::Params params;
  params.emplace_back(json::serialize(json::Value(std::move(list))));
  params.emplace_back(std::move(version));
  CO_TRY(const auto rows, co_await run(context, kRemove, std::move(params), pg::Access::write, options));
  std::vector<GarbageRow> garbage;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    GarbageRow piece;
    piece.store_key = rows.text(row, 0);
    piece.store = static_cast<int>(number(rows, row, 1));
    garbage.push_back(std::move(piece));
  }
  co_return garbage;
}

}  // namespace rowhouse::objects
