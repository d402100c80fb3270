#include "tenancy/upgrade_targets.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/json.h"
#include "base/text.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::array<std::string_view, 6> kStatusNames = {"waiting",   "running", "done",
                                                          "unchanged", "failed",  "behind"};
constexpr std::size_t kMaxPage = 500;
constexpr std::size_t kMaxErrorBytes = 4'000;

// Reports of so many upgrades of a pack are kept.
constexpr std::string_view kForgetOldSql = R"sql(
DELETE FROM platform.operation_targets WHERE operation_id IN (
  SELECT o.id FROM platform.operations o
   WHERE o.kind = 'pack.upgrade' AND o.input ->> 'pack' = $1 AND o.finished_at IS NOT NULL
   ORDER BY o.created_at DESC OFFSET 20)
)sql";

// Tenants that are still being made are left to their maker, who prepares them with the stored bundle. The
// canary is the youngest of the cheapest: who would miss least.
constexpr std::string_view kListSql = R"sql(
INSERT INTO platform.operation_targets
  (operation_id, database_name, schema_name, role_name, tenant_id, slug, tier, plan, wave, ordinal)
WITH tenant AS (
  SELECT t.id, t.slug, t.plan, d.tier, d.database_name, d.schema_name, d.role_name,
         COALESCE(p.ordinal, 1000000) AS rank,
         pg_catalog.row_number() OVER (PARTITION BY d.tier ORDER BY COALESCE(p.ordinal, 1000000), t.created_at DESC, t.id DESC)
           <= $4::bigint AS is_canary
    FROM platform.tenants t
    JOIN platform.tenant_databases d ON d.tenant_id = t.id AND d.kind = 'metadata'
    LEFT JOIN pg_catalog.jsonb_array_elements_text($3::jsonb) WITH ORDINALITY AS p (name, ordinal) ON p.name = t.plan
   WHERE t.pack = $2::text AND d.tier IN ('schema', 'database') AND t.status NOT IN ('provisioning', 'deleting')
), waved AS (
  SELECT t.*, CASE WHEN is_canary THEN 1
              ELSE 1 + pg_catalog.dense_rank() OVER (PARTITION BY is_canary ORDER BY rank, tier = 'database', plan) END AS wave
    FROM tenant t
)
SELECT $1::uuid, database_name, schema_name, role_name, id, slug, tier, plan, wave,
       pg_catalog.row_number() OVER (ORDER BY wave, tier = 'database', database_name, slug)
  FROM waved
ON CONFLICT DO NOTHING
)sql";

// Again after a crash: what ran before was recorded in the database itself, not here.
constexpr std::string_view kSharedSql = R"sql(
INSERT INTO platform.operation_targets AS t
  (operation_id, database_name, schema_name, role_name, slug, wave, ordinal, status, attempts, migrations_run, duration_us, finished_at)
VALUES ($1::uuid, $2, $3, '', $4, 0, CASE $4 WHEN 'template' THEN 1 ELSE 2 END, $5, 1, $6::integer, $7::bigint, pg_catalog.clock_timestamp())
ON CONFLICT (operation_id, database_name, schema_name) DO UPDATE SET
  status = CASE WHEN t.status = 'done' THEN t.status ELSE excluded.status END, attempts = t.attempts + 1,
  migrations_run = t.migrations_run + excluded.migrations_run, duration_us = t.duration_us + excluded.duration_us,
  finished_at = excluded.finished_at
)sql";

constexpr std::string_view kResetSql =
    "UPDATE platform.operation_targets SET status = 'waiting', finished_at = NULL, "
    "attempts = CASE status WHEN 'running' THEN attempts ELSE 0 END "
    "WHERE operation_id = $1::uuid AND (status = 'running' OR $2::boolean AND status IN ('failed', "
    "'behind'))";

constexpr std::string_view kWavesSql =
    "SELECT wave, min(plan), CASE WHEN min(tier) = max(tier) THEN min(tier) END FROM "
    "platform.operation_targets "
    "WHERE operation_id = $1::uuid AND status IN ('waiting', 'running') AND wave > 0 GROUP BY wave ORDER BY "
    "wave";

#define ROWHOUSE_TARGET_COLUMNS                                                                           \
  "database_name, schema_name, role_name, tenant_id, slug, tier, plan, wave, ordinal, status, attempts, " \
  "error, migrations_run, duration_us, pg_catalog.to_char(finished_at AT TIME ZONE 'UTC', "               \
  "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"

constexpr std::string_view kBeginWaveSql =
    "WITH begun AS (UPDATE platform.operation_targets SET status = 'running' "
    "WHERE operation_id = $1::uuid AND wave = $2::integer AND status IN ('waiting', 'running') RETURNING *) "
    "SELECT " ROWHOUSE_TARGET_COLUMNS " FROM begun ORDER BY ordinal";

constexpr std::string_view kWaitingSchemasSql =
    "SELECT " ROWHOUSE_TARGET_COLUMNS
    " FROM platform.operation_targets "
    "WHERE operation_id = $1::uuid AND tier = 'schema' AND status = 'waiting' ORDER BY database_name";

constexpr std::string_view kRecordSql = R"sql(
UPDATE platform.operation_targets AS t SET
  status = r.status, attempts = t.attempts + 1, error = r.error, migrations_run = t.migrations_run + r.migrations_run,
  duration_us = t.duration_us + r.duration_us,
  finished_at = CASE WHEN r.status IN ('waiting', 'running') THEN NULL ELSE pg_catalog.clock_timestamp() END
 FROM pg_catalog.jsonb_to_recordset($2::jsonb)
   AS r (database_name text, schema_name text, status text, error text, migrations_run integer, duration_us bigint)
WHERE t.operation_id = $1::uuid AND t.database_name = r.database_name AND t.schema_name = r.schema_name
  AND t.status NOT IN ('done', 'unchanged')
)sql";

constexpr std::string_view kUnchangedSql = R"sql(
UPDATE platform.operation_targets AS t SET status = 'unchanged', finished_at = pg_catalog.clock_timestamp()
 FROM pg_catalog.jsonb_array_elements_text($3::jsonb) AS s (name)
WHERE t.operation_id = $1::uuid AND t.database_name = $2 AND t.schema_name = s.name AND t.status IN ('waiting', 'running')
)sql";

constexpr std::string_view kForgetDepartedSql = R"sql(
DELETE FROM platform.operation_targets AS t
 WHERE t.operation_id = $1::uuid AND t.tenant_id IS NOT NULL AND t.status NOT IN ('done', 'unchanged')
   AND NOT EXISTS (SELECT FROM platform.tenants k WHERE k.id = t.tenant_id AND k.status <> 'deleting')
)sql";

// Of tenants alone.
constexpr std::string_view kCountsSql =
    "SELECT status, pg_catalog.count(*) FROM platform.operation_targets WHERE operation_id = $1::uuid AND "
    "wave > 0 "
    "GROUP BY status";

// What an operation was at when it was cancelled is not being worked on.
constexpr std::string_view kPageSql =
    "SELECT " ROWHOUSE_TARGET_COLUMNS
    " FROM (SELECT t.database_name, t.schema_name, t.role_name, t.tenant_id, t.slug, t.tier, t.plan, t.wave, "
    "t.ordinal, CASE WHEN t.status = 'running' AND o.finished_at IS NOT NULL THEN 'waiting' ELSE t.status "
    "END AS status, t.attempts, t.error, t.migrations_run, t.duration_us, t.finished_at "
    "FROM platform.operation_targets t LEFT JOIN platform.operations o ON o.id = t.operation_id "
    "WHERE t.operation_id = $1::uuid) t WHERE ($2::text IS NULL OR status = $2::text) "
    "AND (wave, ordinal) > ($3::integer, $4::bigint) ORDER BY wave, ordinal LIMIT $5::bigint";
constexpr std::string_view kKnownSql =
    "SELECT FROM platform.pack_uploads WHERE operation_id = $1::uuid "
    "UNION ALL SELECT FROM platform.operations WHERE id = $1::uuid AND kind = 'pack.upgrade'";

constexpr std::string_view kSummarySql =
    "SELECT slug, status, error FROM platform.operation_targets WHERE operation_id = $1::uuid AND status IN "
    "('done', "
    "'failed') ORDER BY wave, ordinal";
constexpr std::string_view kSummaryCountsSql =
    "SELECT pg_catalog.count(*) FILTER (WHERE status = 'unchanged'), pg_catalog.count(*) FILTER (WHERE "
    "status = "
    "'behind'), pg_catalog.count(*) FILTER (WHERE status IN ('waiting', 'running')) FROM "
    "platform.operation_targets "
    "WHERE operation_id = $1::uuid";

UpgradeTarget target_of(const pg::Rows& rows, std::size_t row) {
  std::size_t column = 0;
  const auto next = [&] { return rows.text(row, column++); };
  const auto number = [&] { return parse_int64(next()).value_or(0); };
  UpgradeTarget target;
  target.database = next();
  target.schema = next();
  target.role = next();
  target.tenant = Uuid::parse(next());
  target.slug = next();
  target.tier = parse_tier(next());
  target.plan = next();
  target.wave = static_cast<int>(number());
  target.ordinal = number();
  target.status = parse_upgrade_status(next()).value_or(UpgradeStatus::waiting);
  target.attempts = static_cast<int>(number());
  target.error = next();
  target.migrations_run = static_cast<int>(number());
  target.duration = std::chrono::microseconds(number());
  target.finished_at = next();
  return target;
}

std::vector<UpgradeTarget> targets_of(const pg::Rows& rows) {
  std::vector<UpgradeTarget> targets;
  targets.reserve(rows.size());
  for (std::size_t row = 0; row < rows.size(); ++row) targets.push_back(target_of(rows, row));
  return targets;
}

// Without half a character at the end.
std::string shortened(std::string text) {
  if (text.size() <= kMaxErrorBytes) return text;
  std::size_t end = kMaxErrorBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  text.resize(end);
  return text + "…";
}

pg::Params about(const Uuid& operation) {
  pg::Params params;
  params.emplace_back(operation.to_string());
  return params;
}

struct Position {
  int wave = -1;
  std::int64_t ordinal = 0;
};

Result<Position> position_of(const std::string& cursor) {
  Position position;
  if (cursor.empty()) return position;
  const auto parts = split(cursor, '-');
  const auto wave = parts.size() == 2 ? parse_int64(parts[0]) : std::nullopt;
  const auto ordinal = parts.size() == 2 ? parse_int64(parts[1]) : std::nullopt;
  constexpr std::int64_t kMostWaves = 1'000'000'000;
  if (!wave || !ordinal || *wave < 0 || *wave > kMostWaves) {
    return Error(ErrorCode::invalid_cursor, "the cursor does not belong to this list");
  }
  position.wave = static_cast<int>(*wave);
  position.ordinal = *ordinal;
  return position;
}

}  // namespace

std::string_view upgrade_status_name(UpgradeStatus status) {
  return kStatusNames[static_cast<std::size_t>(status)];
}

std::optional<UpgradeStatus> parse_upgrade_status(std::string_view name) {
  for (std::size_t i = 0; i < kStatusNames.size(); ++i) {
    if (kStatusNames[i] == name) return static_cast<UpgradeStatus>(i);
  }
  return std::nullopt;
}

Task<Result<pg::Rows>> UpgradeTargets::run(std::string_view sql, pg::Params params, CallOptions options) {
  const pg::Statement statement(std::string(sql), std::move(params), pg::Access::write);
  co_return co_await platform_.run(nullptr, statement, options);
}

Task<Result<void>> UpgradeTargets::list(pg::Session& session, Uuid operation, std::string pack,
                                        const std::vector<std::string>& plans, std::size_t canary,
                                        CallOptions options) {
  json::Array names;
  for (const std::string& plan : plans) names.emplace_back(plan);
  pg::Params of_pack;
  of_pack.emplace_back(pack);
  const pg::Statement forget(std::string(kForgetOldSql), std::move(of_pack), pg::Access::write);
  CO_TRY_DO(co_await session.query(forget, options));
  pg::Params params = about(operation);
  params.emplace_back(std::move(pack));
  params.emplace_back(json::serialize(json::Value(std::move(names))));
  params.emplace_back(std::to_string(canary));
  const pg::Statement list(std::string(kListSql), std::move(params), pg::Access::write);
  CO_TRY_DO(co_await session.query(list, options));
  co_return Result<void>();
}

Task<Result<void>> UpgradeTargets::record_shared(Uuid operation, std::string name, UpgradeResult result,
                                                 CallOptions options) {
  pg::Params params = about(operation);
  params.emplace_back(std::move(result.database));
  params.emplace_back(std::move(result.schema));
  params.emplace_back(std::move(name));
  params.emplace_back(std::string(upgrade_status_name(result.status)));
  params.emplace_back(std::to_string(result.migrations_run));
  params.emplace_back(std::to_string(result.duration.count()));
  CO_TRY_DO(co_await run(kSharedSql, std::move(params), options));
  co_return Result<void>();
}

Task<Result<void>> UpgradeTargets::reset(Uuid operation, Again which, CallOptions options) {
  pg::Params params = about(operation);
  params.emplace_back(which == Again::all ? "t" : "f");
  CO_TRY_DO(co_await run(kResetSql, std::move(params), options));
  co_return Result<void>();
}

Task<Result<std::vector<Wave>>> UpgradeTargets::waves(Uuid operation, CallOptions options) {
  CO_TRY(const auto rows, co_await run(kWavesSql, about(operation), options));
  std::vector<Wave> waves;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    Wave& wave = waves.emplace_back();
    wave.number = static_cast<int>(parse_int64(rows.text(row, 0)).value_or(0));
    wave.plan = rows.text(row, 1);
    wave.tier = parse_tier(rows.text(row, 2));
  }
  co_return waves;
}

Task<Result<std::vector<UpgradeTarget>>> UpgradeTargets::begin_wave(Uuid operation, int wave,
                                                                    CallOptions options) {
  pg::Params params = about(operation);
  params.emplace_back(std::to_string(wave));
  CO_TRY(const auto rows, co_await run(kBeginWaveSql, std::move(params), options));
  co_return targets_of(rows);
}

Task<Result<std::vector<UpgradeTarget>>> UpgradeTargets::waiting_schemas(Uuid operation,
                                                                         CallOptions options) {
  CO_TRY(const auto rows, co_await run(kWaitingSchemasSql, about(operation), options));
  co_return targets_of(rows);
}

Task<Result<void>> UpgradeTargets::record(Uuid operation, std::vector<UpgradeResult> results,
                                          CallOptions options) {
  json::Array rows;
  for (UpgradeResult& result : results) {
    json::Value row;
    row.set("database_name", std::move(result.database));
    row.set("schema_name", std::move(result.schema));
    row.set("status", upgrade_status_name(result.status));
    if (!result.error.empty()) row.set("error", shortened(std::move(result.error)));
    row.set("migrations_run", result.migrations_run);
    row.set("duration_us", static_cast<std::int64_t>(result.duration.count()));
    rows.push_back(std::move(row));
  }
  pg::Params params = about(operation);
  params.emplace_back(json::serialize(json::Value(std::move(rows))));
  CO_TRY_DO(co_await run(kRecordSql, std::move(params), options));
  co_return Result<void>();
}

Task<Result<void>> UpgradeTargets::record_unchanged(Uuid operation, std::string database,
                                                    std::vector<std::string> schemas, CallOptions options) {
  json::Array names;
  for (std::string& schema : schemas) names.emplace_back(std::move(schema));
  pg::Params params = about(operation);
  params.emplace_back(std::move(database));
  params.emplace_back(json::serialize(json::Value(std::move(names))));
  CO_TRY_DO(co_await run(kUnchangedSql, std::move(params), options));
  co_return Result<void>();
}

Task<Result<void>> UpgradeTargets::forget_departed(Uuid operation, CallOptions options) {
  CO_TRY_DO(co_await run(kForgetDepartedSql, about(operation), options));
  co_return Result<void>();
}

Task<Result<UpgradeCounts>> UpgradeTargets::counts(Uuid operation, CallOptions options) {
  CO_TRY(const auto rows, co_await run(kCountsSql, about(operation), options));
  UpgradeCounts counts;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const std::int64_t number = parse_int64(rows.text(row, 1)).value_or(0);
    switch (parse_upgrade_status(rows.text(row, 0)).value_or(UpgradeStatus::waiting)) {
      case UpgradeStatus::waiting:
      case UpgradeStatus::running:
        counts.waiting += number;
        break;
      case UpgradeStatus::done:
        counts.done = number;
        break;
      case UpgradeStatus::unchanged:
        counts.unchanged = number;
        break;
      case UpgradeStatus::failed:
        counts.failed = number;
        break;
      case UpgradeStatus::behind:
        counts.behind = number;
        break;
    }
  }
  co_return counts;
}

Task<Result<UpgradePage>> UpgradeTargets::page(Uuid operation, UpgradeFilter filter, CallOptions options) {
  CO_TRY(const Position after, position_of(filter.cursor));
  const std::size_t limit = std::clamp<std::size_t>(filter.limit, 1, kMaxPage);
  pg::Params params = about(operation);
  params.push_back(filter.status ? pg::Param(std::string(upgrade_status_name(*filter.status)))
                                 : std::nullopt);
  params.emplace_back(std::to_string(after.wave));
  params.emplace_back(std::to_string(after.ordinal));
  params.emplace_back(std::to_string(limit + 1));
  CO_TRY(const auto rows, co_await run(kPageSql, std::move(params), options));
  UpgradePage page;
  page.targets = targets_of(rows);
  if (page.targets.empty()) {
    CO_TRY(const auto known, co_await run(kKnownSql, about(operation), options));
    if (known.size() == 0) co_return Error(ErrorCode::not_found, "there is no such upgrade of a pack");
  }
  if (page.targets.size() > limit) {
    page.targets.pop_back();
    const UpgradeTarget& last = page.targets.back();
    page.next_cursor = std::to_string(last.wave) + "-" + std::to_string(last.ordinal);
  }
  co_return page;
}

Task<Result<UpgradeTargets::Summary>> UpgradeTargets::summary(Uuid operation, CallOptions options) {
  CO_TRY(const auto rows, co_await run(kSummarySql, about(operation), options));
  Summary summary;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    std::string slug(rows.text(row, 0));
    if (rows.text(row, 1) == "done") {
      summary.migrated.push_back(std::move(slug));
    } else {
      summary.failed.emplace_back(std::move(slug), std::string(rows.text(row, 2)));
    }
  }
  CO_TRY(const auto counts, co_await run(kSummaryCountsSql, about(operation), options));
  summary.unchanged = static_cast<std::size_t>(parse_int64(counts.text(0, 0)).value_or(0));
  summary.behind = static_cast<std::size_t>(parse_int64(counts.text(0, 1)).value_or(0));
  summary.waiting = static_cast<std::size_t>(parse_int64(counts.text(0, 2)).value_or(0));
  co_return summary;
}

}  // namespace rowhouse::tenancy
