// Statements of resumable uploads, and of what is taken back. See object_rows.h.
#include <utility>

#include "base/json.h"
#include "base/text.h"
#include "objects/object_rows.h"

namespace rowhouse::objects {
namespace {

constexpr std::string_view kFindUpload = R"(
SELECT id, key, content_type, (pg_catalog.date_part('epoch', started) * 1000)::pg_catalog.int8,
       (pg_catalog.date_part('epoch', lease_until) * 1000)::pg_catalog.int8, declared, reserved, upload,
       pg_catalog.encode(sha256, 'hex'), store
FROM rowhouse.object_writes WHERE id = $1::pg_catalog.text AND resumable AND upload IS NOT NULL)";

constexpr std::string_view kListUploads = R"(
SELECT id, key, content_type, (pg_catalog.date_part('epoch', started) * 1000)::pg_catalog.int8,
       (pg_catalog.date_part('epoch', lease_until) * 1000)::pg_catalog.int8, declared, reserved
FROM rowhouse.object_writes WHERE resumable AND upload IS NOT NULL ORDER BY id LIMIT $1::pg_catalog.int4)";

constexpr std::string_view kParts = R"(
SELECT number, bytes, pg_catalog.encode(sha256, 'hex'), etag FROM rowhouse.object_parts
WHERE write_id = $1::pg_catalog.text AND etag IS NOT NULL ORDER BY number)";

// Where the whole was declared, it is reserved already. Otherwise a part is reserved as it comes; one that is
// sent again may count twice until the upload ends, never too little.
constexpr std::string_view kReservePart = R"(
WITH w AS (
  SELECT id, declared FROM rowhouse.object_writes
  WHERE id = $1::pg_catalog.text AND resumable AND upload IS NOT NULL FOR UPDATE),
change AS MATERIALIZED (
  SELECT w.id,
         CASE WHEN w.declared IS NOT NULL THEN 0
              ELSE GREATEST(0, $3::pg_catalog.int8 - COALESCE((SELECT p.bytes FROM rowhouse.object_parts p
                     WHERE p.write_id = w.id AND p.number = $2::pg_catalog.int4), 0)) END AS more,
         COALESCE($3::pg_catalog.int8 + (SELECT COALESCE(pg_catalog.sum(p.bytes), 0) FROM rowhouse.object_parts p
                     WHERE p.write_id = w.id AND p.number <> $2::pg_catalog.int4) > w.declared, false) AS too_much
  FROM w),
usage AS (
  UPDATE rowhouse.object_usage u SET bytes = u.bytes + c.more FROM change c
  WHERE NOT c.too_much AND (c.more = 0 OR $4::pg_catalog.int8 < 0 OR u.bytes + c.more <= $4::pg_catalog.int8)
  RETURNING c.id, c.more),
renewed AS (
  UPDATE rowhouse.object_writes x
  SET reserved = x.reserved + usage.more,
      lease_until = pg_catalog.now() + $5::pg_catalog.int8 * interval '1 second'
  FROM usage WHERE x.id = usage.id RETURNING x.id),
part AS (
  INSERT INTO rowhouse.object_parts AS o (write_id, number, bytes)
  SELECT r.id, $2::pg_catalog.int4, $3::pg_catalog.int8 FROM renewed r
  ON CONFLICT (tenant_id, write_id, number) DO UPDATE SET bytes = EXCLUDED.bytes, etag = NULL, sha256 = NULL
  RETURNING o.number)
SELECT c.too_much, EXISTS (SELECT FROM part) FROM change c)";

constexpr std::string_view kRecordPart = R"(
UPDATE rowhouse.object_parts
SET bytes = $3::pg_catalog.int8, etag = $4::pg_catalog.text,
    sha256 = pg_catalog.decode(NULLIF($5::pg_catalog.text, ''), 'hex')
WHERE write_id = $1::pg_catalog.text AND number = $2::pg_catalog.int4)";

constexpr std::string_view kGiveUpDead = R"(
WITH dead AS (
  SELECT w.id FROM rowhouse.object_writes w WHERE w.lease_until < pg_catalog.now()
  ORDER BY w.lease_until LIMIT 100 FOR UPDATE SKIP LOCKED),
gone AS (
  DELETE FROM rowhouse.object_writes w USING dead d WHERE w.id = d.id RETURNING w.id, w.key, w.reserved, w.upload, w.store),
parts AS (DELETE FROM rowhouse.object_parts p USING gone g WHERE p.write_id = g.id),
garbage AS (
  INSERT INTO rowhouse.object_garbage (store_key, store, upload, again_at)
  SELECT g.key || '~' || g.id, g.store, g.upload, pg_catalog.now() + interval '10 minutes' FROM gone g ON CONFLICT DO NOTHING),
usage AS (
  UPDATE rowhouse.object_usage u SET bytes = u.bytes - d.bytes, objects = u.objects - d.writes
  FROM (SELECT pg_catalog.sum(g.reserved)::pg_catalog.int8 AS bytes, pg_catalog.count(*) AS writes FROM gone g) d
  WHERE d.writes > 0)
SELECT pg_catalog.count(*) FROM gone)";

constexpr std::string_view kDueGarbage = R"(
SELECT store_key, upload, store FROM rowhouse.object_garbage WHERE due <= pg_catalog.now() ORDER BY due LIMIT 500)";

constexpr std::string_view kForgetGarbage = R"(
WITH removed AS (SELECT j.value AS store_key FROM pg_catalog.json_array_elements_text($1::pg_catalog.json) j),
later AS (
  UPDATE rowhouse.object_garbage g SET due = g.again_at, again_at = NULL FROM removed r
  WHERE g.store = $2::pg_catalog.int4 AND g.store_key = r.store_key AND g.again_at IS NOT NULL)
DELETE FROM rowhouse.object_garbage g USING removed r
WHERE g.store = $2::pg_catalog.int4 AND g.store_key = r.store_key AND g.again_at IS NULL)";

constexpr std::string_view kPostponeGarbage = R"(
UPDATE rowhouse.object_garbage SET due = pg_catalog.now() + interval '5 minutes'
WHERE store = $2::pg_catalog.int4 AND due < 'infinity' AND store_key IN (SELECT j.value FROM pg_catalog.json_array_elements_text($1::pg_catalog.json) j))";

constexpr std::string_view kChores = R"(
SELECT EXISTS (SELECT FROM rowhouse.object_writes WHERE lease_until < pg_catalog.now()),
       EXISTS (SELECT FROM rowhouse.object_garbage WHERE due <= pg_catalog.now()),
       EXISTS (SELECT FROM rowhouse.object_writes) OR EXISTS (SELECT FROM rowhouse.object_garbage WHERE due < 'infinity'))";

std::int64_t number(const pg::Rows& rows, std::size_t row, std::size_t column) {
  return parse_int64(rows.text(row, column)).value_or(0);
}

Upload upload_of(const pg::Rows& rows, std::size_t row) {
  Upload upload;
  upload.id = rows.text(row, 0);
  upload.key = rows.text(row, 1);
  upload.content_type = rows.text(row, 2);
  upload.started_ms = number(rows, row, 3);
  upload.expires_ms = number(rows, row, 4);
  if (!rows.is_null(row, 5)) upload.declared = static_cast<std::uint64_t>(number(rows, row, 5));
  upload.reserved = static_cast<std::uint64_t>(number(rows, row, 6));
  return upload;
}

std::string list_of(std::vector<std::string> texts) {
  json::Array list;
  for (std::string& text : texts) list.emplace_back(std::move(text));
  return json::serialize(json::Value(std::move(list)));
}

pg::Params one(std::string text) {
  pg::Params params;
  params.emplace_back(std::move(text));
  return params;
}

}  // namespace

Task<Result<std::optional<WriteRow>>> ObjectRows::find_upload(const Context& context, std::string id,
                                                              CallOptions options) {
  pg::Params params = one(std::move(id));
  CO_TRY(const auto rows, co_await run(context, kFindUpload, std::move(params), pg::Access::read, options));
  std::optional<WriteRow> found;
  if (rows.size() == 0) co_return found;
  found.emplace();
  found->upload = upload_of(rows, 0);
  found->store_upload = rows.text(0, 7);
  found->sha256 = rows.text(0, 8);
  found->store = static_cast<int>(number(rows, 0, 9));
  co_return found;
}

Task<Result<std::vector<Upload>>> ObjectRows::list_uploads(const Context& context, int limit,
                                                           CallOptions options) {
  pg::Params params = one(std::to_string(limit));
  CO_TRY(const auto rows, co_await run(context, kListUploads, std::move(params), pg::Access::read, options));
  std::vector<Upload> uploads;
  for (std::size_t row = 0; row < rows.size(); ++row) uploads.push_back(upload_of(rows, row));
  co_return uploads;
}

Task<Result<std::vector<PartRow>>> ObjectRows::parts(const Context& context, std::string id,
                                                     CallOptions options) {
  pg::Params params = one(std::move(id));
  CO_TRY(const auto rows, co_await run(context, kParts, std::move(params), pg::Access::read, options));
  std::vector<PartRow> parts;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    PartRow part;
    part.part.number = static_cast<int>(number(rows, row, 0));
    part.part.bytes = static_cast<std::uint64_t>(number(rows, row, 1));
    part.part.sha256 = rows.text(row, 2);
    part.etag = rows.text(row, 3);
    parts.push_back(std::move(part));
  }
  co_return parts;
}

Task<Result<ObjectRows::PartPlace>> ObjectRows::reserve_part(const Context& context, std::string id,
                                                             UploadPart part, std::int64_t limit,
                                                             std::int64_t lease_s, CallOptions options) {
  pg::Params params = one(std::move(id));
  params.emplace_back(std::to_string(part.number));
  params.emplace_back(std::to_string(part.bytes));
  params.emplace_back(std::to_string(limit));
  params.emplace_back(std::to_string(lease_s));
  CO_TRY(const auto rows, co_await run(context, kReservePart, std::move(params), pg::Access::write, options));
  if (rows.size() == 0) co_return PartPlace::gone;
  if (rows.text(0, 0) == "t") co_return PartPlace::over_declared;
  co_return rows.text(0, 1) == "t" ? PartPlace::reserved : PartPlace::over_limit;
}

Task<Result<void>> ObjectRows::record_part(const Context& context, std::string id, PartRow part,
                                           CallOptions options) {
  pg::Params params = one(std::move(id));
  params.emplace_back(std::to_string(part.part.number));
  params.emplace_back(std::to_string(part.part.bytes));
  params.emplace_back(std::move(part.etag));
  params.emplace_back(std::move(part.part.sha256));
  CO_TRY(const auto rows, co_await run(context, kRecordPart, std::move(params), pg::Access::write, options));
  if (rows.affected() == 0) co_return Error(ErrorCode::not_found, "the upload was given up");
  co_return Result<void>();
}

Task<Result<std::size_t>> ObjectRows::give_up_dead(const Context& context, CallOptions options) {
  CO_TRY(const auto rows, co_await run(context, kGiveUpDead, pg::Params(), pg::Access::write, options));
  co_return static_cast<std::size_t>(number(rows, 0, 0));
}

Task<Result<std::vector<GarbageRow>>> ObjectRows::due_garbage(const Context& context, CallOptions options) {
  CO_TRY(const auto rows, co_await run(context, kDueGarbage, pg::Params(), pg::Access::read, options));
  std::vector<GarbageRow> garbage;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    GarbageRow piece;
    piece.store_key = rows.text(row, 0);
    piece.upload = rows.text(row, 1);
    piece.store = static_cast<int>(number(rows, row, 2));
    garbage.push_back(std::move(piece));
  }
  co_return garbage;
}

Task<Result<void>> ObjectRows::forget_garbage(const Context& context, int store,
                                              std::vector<std::string> store_keys, CallOptions options) {
  pg::Params params = one(list_of(std::move(store_keys)));
  params.emplace_back(std::to_string(store));
  CO_TRY_DO(co_await run(context, kForgetGarbage, std::move(params), pg::Access::write, options));
  co_return Result<void>();
}

Task<Result<void>> ObjectRows::postpone_garbage(const Context& context, int store,
                                                std::vector<std::string> store_keys, CallOptions options) {
  pg::Params params = one(list_of(std::move(store_keys)));
  params.emplace_back(std::to_string(store));
  CO_TRY_DO(co_await run(context, kPostponeGarbage, std::move(params), pg::Access::write, options));
  co_return Result<void>();
}

Task<Result<ObjectRows::Chores>> ObjectRows::chores(const Context& context, CallOptions options) {
  CO_TRY(const auto rows, co_await run(context, kChores, pg::Params(), pg::Access::read, options));
  Chores chores;
  chores.dead_writes = rows.text(0, 0) == "t";
  chores.garbage = rows.text(0, 1) == "t";
  chores.later = rows.text(0, 2) == "t";
  co_return chores;
}

}  // namespace rowhouse::objects
