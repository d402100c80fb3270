#include "verify/store.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include "base/text.h"

namespace rowhouse::verify {
namespace {

constexpr std::string_view kColumns =
    "id, status, requested_by, pg_catalog.to_char(started_at AT TIME ZONE 'UTC', "
    "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), "
    "pg_catalog.to_char(finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), result, error, "
    "surfaces, "
    "uncovered, findings, attempts, progress, request";
constexpr std::size_t kColumnCount = 13;

// A run that has fallen silent makes room for the next; what it left behind is swept then.
constexpr std::string_view kEndSilentSql =
    "UPDATE platform.verifications SET status = 'failed', finished_at = now(), error = 'the server that ran "
    "it went away' "
    "WHERE status = 'running' AND heartbeat_at < now() - $1::interval";
constexpr std::string_view kBeginSql =
    "INSERT INTO platform.verifications (id, status, requested_by, request, slug_prefix) "
    "VALUES ($1::uuid, 'running', $2::text, $3::jsonb, $4::text)";
constexpr std::string_view kBeatSql =
    "UPDATE platform.verifications SET heartbeat_at = now(), progress = $2::jsonb WHERE id = $1::uuid AND "
    "status = 'running'";
constexpr std::string_view kFinishSql =
    "UPDATE platform.verifications SET status = 'finished', finished_at = now(), result = $2::text, surfaces "
    "= $3::integer, "
    "uncovered = $4::integer, findings = $5::integer, attempts = $6::bigint, report = $7::text "
    "WHERE id = $1::uuid AND status = 'running'";
constexpr std::string_view kFailSql =
    "UPDATE platform.verifications SET status = 'failed', finished_at = now(), error = $2::text "
    "WHERE id = $1::uuid AND status = 'running'";
constexpr std::string_view kFailAllSql =
    "UPDATE platform.verifications SET status = 'failed', finished_at = now(), error = $1::text WHERE status "
    "= 'running' AND started_at < pg_catalog.to_timestamp($2::double precision)";
constexpr std::string_view kForgetSql =
    "DELETE FROM platform.verifications WHERE cleared AND status <> 'running' AND id NOT IN (SELECT id FROM "
    "platform.verifications ORDER BY started_at DESC, id DESC LIMIT $1::bigint)";
constexpr std::string_view kUnclearedSql =
    "SELECT slug_prefix FROM platform.verifications WHERE NOT cleared AND status <> 'running' ORDER BY "
    "started_at";
constexpr std::string_view kClearedSql =
    "UPDATE platform.verifications SET cleared = true WHERE slug_prefix = $1::text";

const std::string& list_sql() {
  static const std::string sql = "SELECT " + std::string(kColumns) +
                                 " FROM platform.verifications ORDER BY started_at DESC, id DESC LIMIT 100";
  return sql;
}
const std::string& get_sql() {
  static const std::string sql =
      "SELECT " + std::string(kColumns) + ", report FROM platform.verifications WHERE id = $1::uuid";
  return sql;
}
const std::string& latest_sql() {
  static const std::string sql =
      "SELECT " + std::string(kColumns) +
      ", greatest(0, extract(epoch FROM now() - started_at))::bigint FROM platform.verifications "
      "WHERE status = 'finished' ORDER BY started_at DESC, id DESC LIMIT 1";
  return sql;
}

json::Value parsed(std::string_view text) {
  auto value = json::parse(text);
  return value.ok() ? std::move(value).value() : json::Value();
}

Run run_of(const pg::Rows& rows, std::size_t row) {
  Run run;
  run.id = rows.text(row, 0);
  run.status = rows.text(row, 1);
  run.requested_by = rows.text(row, 2);
  run.started_at = rows.text(row, 3);
  run.finished_at = rows.text(row, 4);
  run.result = rows.text(row, 5);
  run.error = rows.text(row, 6);
  run.surfaces = parse_int64(rows.text(row, 7)).value_or(0);
  run.uncovered = parse_int64(rows.text(row, 8)).value_or(0);
  run.findings = parse_int64(rows.text(row, 9)).value_or(0);
  run.attempts = parse_int64(rows.text(row, 10)).value_or(0);
  run.progress = parsed(rows.text(row, 11));
  run.request = parsed(rows.text(row, 12));
  return run;
}

pg::Statement write_statement(std::string_view sql, pg::Params params) {
  return pg::Statement(std::string(sql), std::move(params), pg::Access::write);
}

}  // namespace

Task<Result<void>> Store::begin(Uuid id, std::string slug_prefix, Request request, std::string requested_by,
                                CallOptions options) {
  pg::Params silence;
  silence.emplace_back(fmt::format("{} minutes", kSilence.count()));
  const pg::Statement end_silent = write_statement(kEndSilentSql, std::move(silence));
  CO_TRY_DO(co_await platform_.run(nullptr, end_silent, options));
  pg::Params params;
  params.emplace_back(id.to_string());
  params.emplace_back(std::move(requested_by));
  params.emplace_back(json::serialize(request_document(request)));
  params.emplace_back(std::move(slug_prefix));
  const pg::Statement statement = write_statement(kBeginSql, std::move(params));
  auto begun = co_await platform_.run(nullptr, statement, options);
  if (!begun.ok() && begun.error().code == ErrorCode::conflict) {
    co_return Error(ErrorCode::conflict, "a verification is running already; wait for its end");
  }
  CO_TRY_DO(std::move(begun));
  co_return Result<void>();
}

Task<Result<void>> Store::beat(Uuid id, Progress progress, CallOptions options) {
  json::Value document;
  document.set("done", progress.done);
  document.set("total", progress.total);
  document.set("step", progress.step);
  pg::Params params;
  params.emplace_back(id.to_string());
  params.emplace_back(json::serialize(document));
  const pg::Statement statement = write_statement(kBeatSql, std::move(params));
  CO_TRY_DO(co_await platform_.run(nullptr, statement, options));
  co_return Result<void>();
}

Task<Result<void>> Store::finish(Uuid id, Outcome outcome, std::int64_t surfaces, std::int64_t uncovered,
                                 std::int64_t findings, std::int64_t attempts, std::string report,
                                 CallOptions options) {
  pg::Params params;
  params.emplace_back(id.to_string());
  params.emplace_back(std::string(outcome_name(outcome)));
  for (const std::int64_t number : {surfaces, uncovered, findings, attempts})
    params.emplace_back(std::to_string(number));
  params.emplace_back(std::move(report));
  const pg::Statement statement = write_statement(kFinishSql, std::move(params));
  CO_TRY_DO(co_await platform_.run(nullptr, statement, options));
  pg::Params kept;
  kept.emplace_back(std::to_string(kRunsKept));
  const pg::Statement forget = write_statement(kForgetSql, std::move(kept));
  CO_TRY_DO(co_await platform_.run(nullptr, forget, options));
  co_return Result<void>();
}

Task<Result<void>> Store::fail(Uuid id, std::string error, CallOptions options) {
  pg::Params params;
  params.emplace_back(id.to_string());
  params.emplace_back(std::move(error));
  const pg::Statement statement = write_statement(kFailSql, std::move(params));
  CO_TRY_DO(co_await platform_.run(nullptr, statement, options));
  co_return Result<void>();
}

Task<Result<void>> Store::fail_all_before(WallTime time, std::string error, CallOptions options) {
  const std::chrono::duration<double> seconds = time.time_since_epoch();
  pg::Params params;
  params.emplace_back(std::move(error));
  params.emplace_back(fmt::format("{:.6f}", seconds.count()));
  const pg::Statement statement = write_statement(kFailAllSql, std::move(params));
  CO_TRY_DO(co_await platform_.run(nullptr, statement, options));
  co_return Result<void>();
}

Task<Result<std::vector<std::string>>> Store::uncleared(CallOptions options) {
  const pg::Statement statement{std::string(kUnclearedSql)};
  CO_TRY(const auto rows, co_await platform_.run(nullptr, statement, options));
  std::vector<std::string> prefixes;
  for (std::size_t row = 0; row < rows.size(); ++row) prefixes.emplace_back(rows.text(row, 0));
  co_return prefixes;
}

Task<Result<void>> Store::mark_cleared(std::string slug_prefix, CallOptions options) {
  pg::Params params;
  params.emplace_back(std::move(slug_prefix));
  const pg::Statement statement = write_statement(kClearedSql, std::move(params));
  CO_TRY_DO(co_await platform_.run(nullptr, statement, options));
  co_return Result<void>();
}

Task<Result<std::vector<Run>>> Store::list(CallOptions options) {
  const pg::Statement statement{list_sql()};
  CO_TRY(const auto rows, co_await platform_.run(nullptr, statement, options));
  std::vector<Run> runs;
  for (std::size_t row = 0; row < rows.size(); ++row) runs.push_back(run_of(rows, row));
  co_return runs;
}

Task<Result<Run>> Store::get(std::string id, CallOptions options) {
  const Error missing(ErrorCode::not_found, "there is no such verification");
  if (!Uuid::parse(id)) co_return missing;
  pg::Params params;
  params.emplace_back(std::move(id));
  const pg::Statement statement(get_sql(), std::move(params));
  CO_TRY(const auto rows, co_await platform_.run(nullptr, statement, options));
  if (rows.size() == 0) co_return missing;
  Run run = run_of(rows, 0);
  run.report = rows.text(0, kColumnCount);
  co_return run;
}

Task<Result<std::optional<Store::Latest>>> Store::latest(CallOptions options) {
  const pg::Statement statement{latest_sql()};
  CO_TRY(const auto rows, co_await platform_.run(nullptr, statement, options));
  std::optional<Latest> latest;
  if (rows.size() > 0) {
    latest.emplace();
    latest->run = run_of(rows, 0);
    latest->age_seconds = parse_int64(rows.text(0, kColumnCount)).value_or(0);
  }
  co_return latest;
}

std::string signing_seed(const tenancy::Credentials& credentials) {
  return credentials.derive("signature of verification reports");
}

std::string public_key_pem(std::string_view public_key) {
  // SubjectPublicKeyInfo of an Ed25519 key (RFC 8410): a fixed head and the key.
  const std::string der = *from_hex("302a300506032b6570032100") + std::string(public_key);
  std::string text(4 * ((der.size() + 2) / 3), '\0');
  std::string padded = text + '\0';
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(padded.data()),
                  reinterpret_cast<const unsigned char*>(der.data()), static_cast<int>(der.size()));
  padded.pop_back();
  return "-----BEGIN PUBLIC KEY-----\n" + padded + "\n-----END PUBLIC KEY-----\n";
}

}  // namespace rowhouse::verify
