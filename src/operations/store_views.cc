// What people see and ask for: showing and listing operations, and the requests of operators.
#include <algorithm>
#include <utility>

#include "base/text.h"
#include "operations/store.h"

namespace rowhouse::operations {
namespace {

constexpr std::size_t kMaxListed = 500;
constexpr char kCursorSeparator = '|';
constexpr std::string_view kCursorTime = "YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"";
constexpr std::size_t kCursorTimeBytes = 27;

std::string time_sql(std::string_view column) {
  return "pg_catalog.to_char(" + std::string(column) +
         " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')";
}

const std::string& shown_columns() {
  static const std::string columns =
      "o.id, o.kind, o.tenant_id, o.status, o.requested_by, CASE WHEN o.status = 'succeeded' THEN "
      "COALESCE(o.output, '{}') END, o.error, o.progress_done, o.progress_total, o.progress_what, "
      "o.cancel_requested_at IS NOT NULL, o.pause_requested_at IS NOT NULL, o.attempts, o.revision, "
      "CASE WHEN o.lease_expires_at > pg_catalog.now() THEN o.lease_holder ELSE '' END, " +
      time_sql("o.created_at") + ", " + time_sql("o.started_at") + ", " + time_sql("o.finished_at") + ", " +
      time_sql("o.run_after");
  return columns;
}
constexpr std::size_t kShownColumns = 19;

const std::string& get_sql() {
  static const std::string sql =
      "SELECT " + shown_columns() +
      ", (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('name', s.name, 'status', s.status, "
      "'attempts', CASE WHEN s.undo_attempts > 0 THEN s.undo_attempts ELSE s.attempts END, 'error', s.error, "
      "'started_at', " +
      time_sql("s.started_at") + ", 'finished_at', " + time_sql("s.finished_at") +
      ") ORDER BY s.ordinal) FROM platform.operation_steps AS s WHERE s.operation_id = o.id) "
      "FROM platform.operations AS o WHERE o.id = $1::uuid";
  return sql;
}

const std::string& list_sql() {
  static const std::string sql =
      "SELECT " + shown_columns() + ", pg_catalog.to_char(o.created_at AT TIME ZONE 'UTC', '" +
      std::string(kCursorTime) +
      "') FROM platform.operations AS o WHERE ($1::text IS NULL OR o.status = $1::text) AND ($2::text IS "
      "NULL "
      "OR o.kind = $2::text) AND ($3::uuid IS NULL OR o.tenant_id = $3::uuid) AND ($4::timestamptz IS NULL "
      "OR "
      "(o.created_at, o.id) < ($4::timestamptz, $5::uuid)) ORDER BY o.created_at DESC, o.id DESC LIMIT "
      "$6::bigint";
  return sql;
}

// A paused one goes on, so that somebody takes back what it did.
constexpr std::string_view kCancelSql =
    "UPDATE platform.operations SET revision = revision + 1, cancel_requested_at = "
    "COALESCE(cancel_requested_at, pg_catalog.clock_timestamp()), cancel_requested_by = "
    "COALESCE(cancel_requested_by, $2::text), pause_requested_at = NULL, pause_requested_by = NULL, status = "
    "CASE status WHEN 'paused' THEN 'running' ELSE status END, run_after = CASE WHEN lease_holder IS NULL "
    "THEN pg_catalog.clock_timestamp() ELSE run_after END WHERE id = $1::uuid AND status IN ('pending', "
    "'running', 'paused') RETURNING pg_catalog.pg_notify('rowhouse_operations', id::text)";
constexpr std::string_view kPauseSql =
    "UPDATE platform.operations SET revision = revision + 1, pause_requested_at = "
    "COALESCE(pause_requested_at, pg_catalog.clock_timestamp()), pause_requested_by = "
    "COALESCE(pause_requested_by, $2::text), status = CASE WHEN lease_holder IS NULL THEN 'paused' ELSE "
    "status "
    "END WHERE id = $1::uuid AND status IN ('pending', 'running') AND cancel_requested_at IS NULL RETURNING "
    "pg_catalog.pg_notify('rowhouse_operations', id::text)";
constexpr std::string_view kResumeSql =
    "UPDATE platform.operations SET revision = revision + 1, pause_requested_at = NULL, pause_requested_by = "
    "NULL, run_after = CASE status WHEN 'paused' THEN pg_catalog.clock_timestamp() ELSE run_after END, "
    "status "
    "= CASE WHEN status <> 'paused' THEN status WHEN lease_epoch = 0 THEN 'pending' ELSE 'running' END WHERE "
    "id = $1::uuid AND (status = 'paused' OR (status = 'running' AND pause_requested_at IS NOT NULL)) "
    "RETURNING "
    "pg_catalog.pg_notify('rowhouse_operations', id::text)";
// Every step gets all of its attempts again.
// One that waits for its next attempt begins it; its step's error goes, so that who waits for the operation
// is told of the next one (is_held_up).
constexpr std::string_view kRetrySql =
    "WITH o AS (UPDATE platform.operations SET revision = revision + 1, finished_at = NULL, "
    "pause_requested_at = NULL, pause_requested_by = NULL, run_after = pg_catalog.clock_timestamp(), status "
    "= CASE WHEN failure IS NULL THEN 'running' ELSE 'undoing' END WHERE id = $1::uuid AND (status = "
    "'failed' OR status IN ('running', 'undoing') AND lease_holder IS NULL) "
    "RETURNING id), s AS (UPDATE platform.operation_steps AS s SET attempts = 0, undo_attempts = 0, "
    "error = CASE s.status WHEN 'failed' THEN s.error END FROM o WHERE s.operation_id = o.id AND s.status IN "
    "('failed', 'running', 'undoing')) SELECT pg_catalog.pg_notify('rowhouse_operations', id::text) FROM o";

json::Value parsed(std::string_view text) {
  if (text.empty()) return json::Value();
  auto value = json::parse(text);
  return value.ok() ? std::move(value).value() : json::Value();
}

std::string text_of(const json::Value& object, std::string_view name) {
  const json::Value* value = object.find(name);
  const std::string* text = value == nullptr ? nullptr : value->as_string();
  return text == nullptr ? "" : *text;
}

Operation shown_of(const pg::Rows& rows, std::size_t row) {
  std::size_t column = 0;
  const auto next = [&] { return rows.text(row, column++); };
  const auto number = [&] { return parse_int64(next()).value_or(0); };
  Operation operation;
  operation.id = Uuid::parse(next()).value_or(Uuid());
  operation.kind = next();
  operation.tenant = Uuid::parse(next());
  operation.status = parse_operation_status(next()).value_or(OperationStatus::failed);
  operation.requested_by = next();
  operation.output = parsed(next());
  operation.error = parsed(next());
  operation.progress.done = number();
  operation.progress.total = number();
  operation.progress.what = next();
  operation.cancel_requested = next() == "t";
  operation.pause_requested = next() == "t";
  operation.attempts = static_cast<int>(number());
  operation.revision = number();
  operation.node = next();
  operation.created_at = next();
  operation.started_at = next();
  operation.finished_at = next();
  operation.run_after = next();
  return operation;
}

void add_steps(Operation& operation, const json::Value& steps) {
  if (steps.as_array() == nullptr) return;
  for (const json::Value& step : *steps.as_array()) {
    OperationStep& shown = operation.steps.emplace_back();
    shown.name = text_of(step, "name");
    shown.status = parse_step_status(text_of(step, "status")).value_or(StepStatus::pending);
    const json::Value* attempts = step.find("attempts");
    if (attempts != nullptr) shown.attempts = static_cast<int>(attempts->as_int64().value_or(0));
    if (const json::Value* error = step.find("error")) shown.error = *error;
    shown.started_at = text_of(step, "started_at");
    shown.finished_at = text_of(step, "finished_at");
  }
}

struct Position {
  std::string created_at;
  Uuid id;
};

// Text of a cursor is a caller's: only what to_char() above writes gets through.
std::optional<Position> parse_cursor(const std::string& cursor) {
  const auto text = from_base64url(cursor);
  if (!text || text->size() <= kCursorTimeBytes || (*text)[kCursorTimeBytes] != kCursorSeparator)
    return std::nullopt;
  Position position;
  position.created_at = text->substr(0, kCursorTimeBytes);
  constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:dd.ddddddZ";
  for (std::size_t i = 0; i < kCursorTimeBytes; ++i) {
    const char c = position.created_at[i];
    const bool fits = kShape[i] == 'd' ? c >= '0' && c <= '9' : c == kShape[i];
    if (!fits) return std::nullopt;
  }
  const auto id = Uuid::parse(std::string_view(*text).substr(kCursorTimeBytes + 1));
  if (!id) return std::nullopt;
  position.id = *id;
  return position;
}

pg::Statement about(std::string_view sql, const Uuid& id) {
  pg::Params params;
  params.emplace_back(id.to_string());
  return pg::Statement(std::string(sql), std::move(params), pg::Access::write);
}

pg::Statement about(std::string_view sql, const Uuid& id, std::string actor) {
  pg::Statement statement = about(sql, id);
  statement.params.emplace_back(std::move(actor));
  return statement;
}

}  // namespace

// Not on a read connection: an operation is shown to the one who has just changed it.
Task<Result<Operation>> Store::get(Uuid id, CallOptions options) {
  const pg::Statement statement = about(get_sql(), id);
  CO_TRY(const auto rows, co_await platform_.run(nullptr, statement, options));
  if (rows.size() == 0) co_return Error(ErrorCode::not_found, "there is no such operation");
  Operation operation = shown_of(rows, 0);
  add_steps(operation, parsed(rows.text(0, kShownColumns)));
  co_return operation;
}

Task<Result<OperationPage>> Store::list(OperationFilter filter, CallOptions options) {
  std::optional<Position> after;
  if (!filter.cursor.empty()) {
    after = parse_cursor(filter.cursor);
    if (!after) co_return Error(ErrorCode::invalid_cursor, "the cursor is not one of this list");
  }
  const std::size_t limit = std::clamp<std::size_t>(filter.limit, 1, kMaxListed);
  pg::Params params;
  params.push_back(filter.status ? pg::Param(std::string(operation_status_name(*filter.status)))
                                 : std::nullopt);
  params.push_back(filter.kind.empty() ? std::nullopt : pg::Param(filter.kind));
  params.push_back(filter.tenant ? pg::Param(filter.tenant->to_string()) : std::nullopt);
  params.push_back(after ? pg::Param(after->created_at) : std::nullopt);
  params.push_back(after ? pg::Param(after->id.to_string()) : std::nullopt);
  params.emplace_back(std::to_string(limit + 1));
  const pg::Statement statement{list_sql(), std::move(params)};
  auto answer = co_await platform_.run(nullptr, statement, options);
  if (!answer.ok() && answer.error().code == ErrorCode::validation_failed && after) {
    co_return Error(ErrorCode::invalid_cursor, "the cursor is not one of this list");  // no such day
  }
  CO_TRY(const auto rows, std::move(answer));
  OperationPage page;
  for (std::size_t row = 0; row < std::min(rows.size(), limit); ++row)
    page.operations.push_back(shown_of(rows, row));
  if (rows.size() > limit) {
    const Operation& last = page.operations.back();
    page.next_cursor = to_base64url(std::string(rows.text(limit - 1, kShownColumns)) + kCursorSeparator +
                                    last.id.to_string());
  }
  co_return page;
}

Task<Result<bool>> Store::request_cancel(Uuid id, std::string actor, CallOptions options) {
  return changed_one(about(kCancelSql, id, std::move(actor)), options);
}

Task<Result<bool>> Store::request_pause(Uuid id, std::string actor, CallOptions options) {
  return changed_one(about(kPauseSql, id, std::move(actor)), options);
}

Task<Result<bool>> Store::resume(Uuid id, CallOptions options) {
  return changed_one(about(kResumeSql, id), options);
}

Task<Result<bool>> Store::retry(Uuid id, CallOptions options) {
  return changed_one(about(kRetrySql, id), options);
}

}  // namespace rowhouse::operations
