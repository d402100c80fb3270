#include "tenancy/context_rotation.h"

#include <utility>

#include "audit/trail.h"
#include "base/text.h"
#include "net/executor.h"
#include "observe/log.h"

namespace rowhouse::tenancy {

namespace {

constexpr const char* kObjectType = "context_key";

constexpr std::string_view kStatusSql = R"(
SELECT k.generation,
       CASE WHEN k.activated_at IS NULL THEN 'adding'
            WHEN k.retired_at IS NOT NULL AND EXISTS (
              SELECT FROM platform.guarded_databases g WHERE k.generation = ANY (g.generations)) THEN 'retiring'
            WHEN k.retired_at IS NOT NULL THEN 'retired'
            WHEN k.retire_at IS NOT NULL THEN 'expiring'
            ELSE 'signing' END,
       pg_catalog.to_char(k.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
       pg_catalog.to_char(k.activated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
       pg_catalog.to_char(k.retire_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
       pg_catalog.to_char(k.retired_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
FROM platform.context_keys k ORDER BY k.generation DESC LIMIT 100)";

constexpr std::string_view kChoiceSql = R"(
SELECT COALESCE(s.value ->> 'implementation', 'portable'), COALESCE(s.value ->> 'reason', ''),
       (SELECT count(*) FROM platform.guarded_databases)
FROM (SELECT) AS one LEFT JOIN platform.settings s ON s.key = 'context_guard')";

// $1: now. Which generation is being added, for how long; whether one is expiring; whether one is due; the
// youngest.
constexpr std::string_view kWorkSql = R"(
SELECT (SELECT generation FROM platform.context_keys WHERE activated_at IS NULL),
       (SELECT pg_catalog.date_part('epoch', $1::timestamptz - created_at)::bigint FROM platform.context_keys WHERE activated_at IS NULL),
       EXISTS (SELECT FROM platform.context_keys WHERE retire_at IS NOT NULL AND retired_at IS NULL),
       EXISTS (SELECT FROM platform.context_keys WHERE retire_at <= $1::timestamptz AND retired_at IS NULL),
       (SELECT max(generation) FROM platform.context_keys))";

constexpr std::string_view kDueSql =
    "SELECT generation FROM platform.context_keys WHERE retire_at <= $1::timestamptz AND retired_at IS NULL "
    "ORDER BY generation";

// Each with its audit record, which follows as parameters.
std::string add_sql() {
  return "WITH changed AS (INSERT INTO platform.context_keys (generation, created_at) "
         "VALUES ($1::integer, $2::timestamptz) RETURNING generation), recorded AS (" +
         audit::insert_sql(3, "changed") + ") SELECT generation FROM changed";
}
std::string activate_sql() {
  return "WITH changed AS (UPDATE platform.context_keys SET activated_at = $2::timestamptz "
         "WHERE generation = $1::integer AND activated_at IS NULL RETURNING generation), "
         "superseded AS (UPDATE platform.context_keys SET retire_at = $3::timestamptz "
         "WHERE generation < $1::integer AND retired_at IS NULL AND (retire_at IS NULL OR retire_at > "
         "$3::timestamptz)), recorded AS (" +
         audit::insert_sql(4, "changed") + ") SELECT generation FROM changed";
}
std::string retire_sql() {
  return "WITH changed AS (UPDATE platform.context_keys SET retired_at = $2::timestamptz "
         "WHERE generation = $1::integer AND retired_at IS NULL RETURNING generation), recorded AS (" +
         audit::insert_sql(3, "changed") + ") SELECT generation FROM changed";
}

pg::Statement statement(std::string_view sql, pg::Params params = {}) {
  return pg::Statement(std::string(sql), std::move(params), pg::Access::write, pg::Reuse::once);
}

audit::Change change_of(std::int32_t generation, std::string action, const Actor& actor) {
  audit::Change change(actor.name, std::move(action));
  change.object_type = kObjectType;
  change.object_id = std::to_string(generation);
  change.address = actor.address;
  return change;
}

// The server itself goes on with what somebody began.
Actor server_actor() { return Actor("server", ""); }

struct Work {
  std::optional<std::int32_t> adding;
  std::int64_t adding_for_s = 0;
  enum class Expiring { none, some, due } expiring = Expiring::none;
  std::int32_t youngest = 0;
};

Task<Result<Work>> read_work(pg::Pool& platform, WallTime now, CallOptions options) {
  pg::Params params;
  params.emplace_back(to_rfc3339(now));
  const auto query = statement(kWorkSql, std::move(params));
  CO_TRY(const auto rows, co_await platform.run(nullptr, query, options));
  Work work;
  if (const auto adding = parse_int64(rows.text(0, 0))) {
    work.adding = static_cast<std::int32_t>(*adding);
    work.adding_for_s = parse_int64(rows.text(0, 1)).value_or(0);
  }
  if (rows.text(0, 2) == "t") work.expiring = Work::Expiring::some;
  if (rows.text(0, 3) == "t") work.expiring = Work::Expiring::due;
  work.youngest = static_cast<std::int32_t>(parse_int64(rows.text(0, 4)).value_or(0));
  co_return work;
}

void append(GuardReport& report, GuardReport more) {
  for (auto& name : more.brought) report.brought.push_back(std::move(name));
  report.failed = std::move(more.failed);  // those of the last pass are those that are still behind
}

}  // namespace

const ContextKeyGeneration* ContextStatus::signing() const {
  for (const auto& generation : generations) {
    if (generation.state == "signing") return &generation;
  }
  return nullptr;
}

Task<Result<ContextStatus>> ContextRotation::status(CallOptions options) {
  const auto read_generations = statement(kStatusSql);
  CO_TRY(const auto rows, co_await platform_.run(nullptr, read_generations, options));
  ContextStatus status;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    auto& generation = status.generations.emplace_back();
    generation.generation = static_cast<std::int32_t>(parse_int64(rows.text(row, 0)).value_or(0));
    generation.state = rows.text(row, 1);
    generation.created_at = rows.text(row, 2);
    generation.activated_at = rows.text(row, 3);
    generation.retire_at = rows.text(row, 4);
    generation.retired_at = rows.text(row, 5);
  }
  const auto read_choice = statement(kChoiceSql);
  CO_TRY(const auto choice, co_await platform_.run(nullptr, read_choice, options));
  status.implementation = choice.text(0, 0);
  status.reason = choice.text(0, 1);
  status.databases = parse_int64(choice.text(0, 2)).value_or(0);
  CO_TRY(status.behind, co_await guard_.behind(options));
  co_return status;
}

Task<Result<std::int32_t>> ContextRotation::add(Retire retire, const Actor& actor, CallOptions options) {
  const WallTime now = clock_.now();
  CO_TRY(const Work work, co_await read_work(platform_, now, options));
  if (work.adding && retire == Retire::at_once) co_return *work.adding;  // what is half done becomes ours
  const bool under_way = work.adding || work.expiring != Work::Expiring::none;
  if (under_way && retire == Retire::after_grace) {
    co_return Error(
        ErrorCode::conflict,
        "another rotation is under way: `rowhouse context-key list` tells when the old key retires");
  }
  const std::int32_t generation = work.youngest + 1;
  pg::Params params;
  params.emplace_back(std::to_string(generation));
  params.emplace_back(to_rfc3339(now));
  const audit::Change change = change_of(generation, "context_key.added", actor);
  audit::append_parameters(params, change);
  const auto insert = statement(add_sql(), std::move(params));
  CO_TRY_DO(co_await platform_.run(nullptr, insert, options));
  co_return generation;
}

Task<Result<void>> ContextRotation::activate(std::int32_t generation, std::chrono::milliseconds grace,
                                             const Actor& actor, CallOptions options) {
  const WallTime now = clock_.now();
  pg::Params params;
  params.emplace_back(std::to_string(generation));
  params.emplace_back(to_rfc3339(now));
  params.emplace_back(to_rfc3339(now + grace));
  const audit::Change change = change_of(generation, "context_key.activated", actor);
  audit::append_parameters(params, change);
  const auto update = statement(activate_sql(), std::move(params));
  CO_TRY_DO(co_await platform_.run(nullptr, update, options));
  observe::log(observe::Level::info, "context_key_activated", {{"generation", generation}});
  co_return Result<void>();
}

// Returns how many generations are valid no longer.
Task<Result<std::size_t>> ContextRotation::retire_due(const Actor& actor, CallOptions options) {
  const std::string now = to_rfc3339(clock_.now());
  pg::Params params;
  params.emplace_back(now);
  const auto read_due = statement(kDueSql, std::move(params));
  CO_TRY(const auto due, co_await platform_.run(nullptr, read_due, options));
  for (std::size_t row = 0; row < due.size(); ++row) {
    const auto generation = static_cast<std::int32_t>(parse_int64(due.text(row, 0)).value_or(0));
    pg::Params values;
    values.emplace_back(std::to_string(generation));
    values.emplace_back(now);
    const audit::Change change = change_of(generation, "context_key.retired", actor);
    audit::append_parameters(values, change);
    const auto update = statement(retire_sql(), std::move(values));
    CO_TRY_DO(co_await platform_.run(nullptr, update, options));
    observe::log(observe::Level::info, "context_key_retired", {{"generation", generation}});
  }
  co_return due.size();
}

Task<Result<GuardReport>> ContextRotation::advance_locked(Patience patience, std::chrono::milliseconds grace,
                                                          const Actor& actor, CallOptions options) {
  CO_TRY(GuardReport report, co_await guard_.bring_all(options));
  CO_TRY(const Work work, co_await read_work(platform_, clock_.now(), options));
  if (work.adding) {
    const bool waits = patience == Patience::has_it && work.adding_for_s < kPatience.count();
    if (!report.failed.empty() && waits) co_return report;
    CO_TRY_DO(co_await activate(*work.adding, grace, actor, options));
  }
  CO_TRY(const std::size_t retired, co_await retire_due(actor, options));
  if (retired == 0) co_return report;
  CO_TRY(auto removed, co_await guard_.bring_all(options));
  append(report, std::move(removed));
  co_return report;
}

Task<Result<std::int32_t>> ContextRotation::begin(Retire retire, const Actor& actor, CallOptions options) {
  const bool at_once = retire == Retire::at_once;
  CO_TRY_DO(co_await guard_.bring_all(options));  // or says that keys are another node's to change
  CO_TRY(const std::int32_t generation, co_await add(retire, actor, options));
  CO_TRY_DO(co_await advance_locked(at_once ? Patience::has_none : Patience::has_it,
                                    at_once ? options_.notice : options_.grace, actor, options));
  co_return generation;
}

Task<Result<std::int32_t>> ContextRotation::rotate(Retire retire, Actor actor, CallOptions options) {
  CO_TRY(auto held, co_await guard_.lock(options));
  auto generation = co_await begin(retire, actor, options);
  if (generation.ok() && retire == Retire::at_once) {
    co_await net::sleep_for(guard_.cluster().executor(), options_.notice);
    const auto ended = co_await advance_locked(Patience::has_none, options_.notice, actor, options);
    if (!ended.ok()) generation = ended.error();
  }
  co_await ContextGuard::unlock(held);
  co_return generation;
}

Task<Result<GuardReport>> ContextRotation::advance(Look look, CallOptions options) {
  CO_TRY(const Work work, co_await read_work(platform_, clock_.now(), options));
  bool wanted = work.adding || work.expiring == Work::Expiring::due;
  if (!wanted && look == Look::thorough) {
    CO_TRY(const auto names, co_await guard_.behind(options));
    wanted = !names.empty();
  }
  if (!wanted) co_return GuardReport();
  CO_TRY(auto held, co_await guard_.try_lock(options));
  if (!held) co_return GuardReport();  // whoever holds it does the same
  const Actor actor = server_actor();
  auto report = co_await advance_locked(Patience::has_it, options_.grace, actor, options);
  co_await ContextGuard::unlock(*held);
  co_return report;
}

}  // namespace rowhouse::tenancy
