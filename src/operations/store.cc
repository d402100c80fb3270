#include "operations/store.h"

#include <utility>

#include "base/text.h"
#include "pg/quote.h"

namespace rowhouse::operations {
namespace {

// Columns of a claimed or loaded operation, see stored_of().
constexpr std::string_view kStoredColumns =
    "o.id, o.lease_epoch, o.kind, o.tenant_id, o.status, o.requested_by, o.input, o.state, "
    "COALESCE(o.output, '{}'), o.error, o.failure, o.cancel_requested_at IS NOT NULL, "
    "o.pause_requested_at IS NOT NULL, COALESCE(o.cancel_requested_by, ''), "
    "(SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('name', s.name, 'status', s.status, "
    "'attempts', s.attempts, 'undo_attempts', s.undo_attempts, 'error', s.error) ORDER BY s.ordinal) "
    "FROM platform.operation_steps AS s WHERE s.operation_id = o.id)";

const std::string& claim_sql() {
  static const std::string sql =
      "WITH next AS (SELECT id, status FROM platform.operations "
      "WHERE status IN ('pending', 'running', 'undoing') AND run_after <= pg_catalog.now() "
      "AND (lease_expires_at IS NULL OR lease_expires_at < pg_catalog.now()) "
      "AND kind IN (SELECT pg_catalog.jsonb_array_elements_text($1::jsonb)) "
      "AND id::text NOT IN (SELECT pg_catalog.jsonb_array_elements_text($6::jsonb)) "
      "AND ($5::uuid IS NULL OR id = $5::uuid) "
      "ORDER BY run_after LIMIT $2::bigint FOR UPDATE SKIP LOCKED), "
      "o AS (UPDATE platform.operations AS target SET lease_holder = $3::text, "
      "lease_expires_at = pg_catalog.clock_timestamp() + $4::bigint * interval '1 millisecond', "
      "lease_epoch = target.lease_epoch + 1, lease_write = 0, attempts = target.attempts + 1, revision = "
      "target.revision + 1, "
      "started_at = COALESCE(target.started_at, pg_catalog.clock_timestamp()), "
      "status = CASE target.status WHEN 'pending' THEN 'running' ELSE target.status END "
      "FROM next WHERE target.id = next.id RETURNING target.*), "
      "announced AS (INSERT INTO platform.events (tenant_id, type, payload) "
      "SELECT o.tenant_id, 'operation.started', pg_catalog.jsonb_build_object('operation', o.id, 'kind', "
      "o.kind) FROM o JOIN next ON next.id = o.id WHERE o.lease_epoch = 1) "
      "SELECT " +
      std::string(kStoredColumns) + " FROM o";
  return sql;
}

const std::string& load_sql() {
  static const std::string sql =
      "SELECT " + std::string(kStoredColumns) +
      " FROM platform.operations AS o WHERE o.id = $1::uuid AND o.lease_epoch = $2::bigint AND "
      "o.lease_holder = $3::text";
  return sql;
}

constexpr std::string_view kChangeSql = R"(
WITH o AS (
  UPDATE platform.operations SET
    status = $4::text, state = $5::jsonb, output = $6::jsonb, error = $7::jsonb, failure = $8::jsonb,
    revision = revision + 1,
    run_after = CASE WHEN $9::boolean THEN run_after
                ELSE pg_catalog.clock_timestamp() + $10::bigint * interval '1 millisecond' END,
    lease_holder = CASE WHEN $9::boolean THEN lease_holder END,
    lease_expires_at = CASE WHEN $9::boolean
                       THEN pg_catalog.clock_timestamp() + $11::bigint * interval '1 millisecond' END,
    finished_at = CASE WHEN $4::text IN ('succeeded', 'undone', 'cancelled', 'failed')
                  THEN pg_catalog.clock_timestamp() END,
    progress_done = CASE WHEN $9::boolean OR $4::text = 'succeeded' THEN NULL ELSE progress_done END,
    progress_total = CASE WHEN $9::boolean OR $4::text = 'succeeded' THEN NULL ELSE progress_total END,
    progress_what = CASE WHEN $9::boolean OR $4::text = 'succeeded' THEN NULL ELSE progress_what END,
    lease_write = $14::bigint
  WHERE id = $1::uuid AND lease_epoch = $2::bigint AND lease_holder = $3::text AND lease_write <= $14::bigint
  RETURNING id, tenant_id, kind, cancel_requested_at, pause_requested_at, cancel_requested_by),
steps AS (
  UPDATE platform.operation_steps AS s SET
    status = c.status, attempts = c.attempts, undo_attempts = c.undo_attempts, error = c.error,
    started_at = COALESCE(s.started_at, pg_catalog.clock_timestamp()),
    finished_at = CASE WHEN c.status IN ('done', 'failed', 'undone') THEN pg_catalog.clock_timestamp() END
  FROM o, pg_catalog.jsonb_to_recordset($12::jsonb)
    AS c (ordinal integer, status text, attempts integer, undo_attempts integer, error jsonb)
  WHERE s.operation_id = o.id AND s.ordinal = c.ordinal),
announced AS (
  INSERT INTO platform.events (tenant_id, type, payload)
  SELECT tenant_id, $13::text, pg_catalog.jsonb_build_object('operation', id, 'kind', kind) FROM o
  WHERE $13::text IS NOT NULL)
SELECT cancel_requested_at IS NOT NULL, pause_requested_at IS NOT NULL, COALESCE(cancel_requested_by, ''),
  CASE WHEN NOT $9::boolean AND $10::bigint = 0 AND $4::text IN ('running', 'undoing')
       THEN pg_catalog.pg_notify('rowhouse_operations', id::text)::text END
FROM o)";

// Both rows are locked, so that a COMMIT whose answer was lost, and which is still under way, is waited for
// and seen.
constexpr std::string_view kLockSql =
    "SELECT s.status FROM platform.operations AS o JOIN platform.operation_steps AS s ON s.operation_id = "
    "o.id WHERE o.id = $1::uuid AND o.lease_epoch = $2::bigint AND o.lease_holder = $3::text AND s.ordinal = "
    "$4::integer FOR UPDATE OF o, s";

constexpr std::string_view kSaveStateSql =
    "UPDATE platform.operations SET state = $4::jsonb WHERE id = $1::uuid AND lease_epoch = $2::bigint AND "
    "lease_holder = $3::text";
constexpr std::string_view kSaveProgressSql =
    "UPDATE platform.operations SET progress_done = $4::bigint, progress_total = $5::bigint, progress_what = "
    "$6::text, revision = revision + 1 WHERE id = $1::uuid AND lease_epoch = $2::bigint AND lease_holder = "
    "$3::text";
constexpr std::string_view kHoldsSql =
    "SELECT FROM platform.operations WHERE id = $1::uuid AND lease_epoch = $2::bigint AND lease_holder = "
    "$3::text";

// A record step's transaction holds its operation's row: waiting for that would keep the other leases from
// being renewed. Nobody can take over such a row, so it is well without.
constexpr std::string_view kRenewSql = R"(
WITH mine AS (
  SELECT o.id, o.lease_epoch, o.cancel_requested_at IS NOT NULL AS cancel, o.pause_requested_at IS NOT NULL AS pause,
         COALESCE(o.cancel_requested_by, '') AS cancel_by
  FROM platform.operations AS o
  JOIN pg_catalog.jsonb_to_recordset($1::jsonb) AS l (id uuid, epoch bigint) ON l.id = o.id AND l.epoch = o.lease_epoch
  WHERE o.lease_holder = $2::text),
renewed AS (
  UPDATE platform.operations SET lease_expires_at = pg_catalog.clock_timestamp() + $3::bigint * interval '1 millisecond'
  WHERE id IN (SELECT o.id FROM platform.operations AS o JOIN mine ON mine.id = o.id AND mine.lease_epoch = o.lease_epoch
               WHERE o.lease_holder = $2::text FOR UPDATE OF o SKIP LOCKED)
  RETURNING id)
SELECT mine.id, mine.cancel, mine.pause, mine.cancel_by, renewed.id IS NOT NULL
FROM mine LEFT JOIN renewed ON renewed.id = mine.id)";

constexpr std::string_view kReleaseAllSql =
    "UPDATE platform.operations SET lease_holder = NULL, lease_expires_at = NULL WHERE lease_holder IS NOT "
    "NULL";

// Several at once with one request key wait here for the first one's transaction.
constexpr std::string_view kInsertSql = R"(
WITH operation AS (
  INSERT INTO platform.operations (id, kind, tenant_id, status, input, requested_by, request_key, request_digest,
    attempts, lease_epoch, lease_holder, lease_expires_at, started_at)
  VALUES ($1::uuid, $2::text, $3::uuid, CASE WHEN $10::boolean THEN 'running' ELSE 'pending' END, $4::jsonb, $5::text,
    $6::text, $7::text, $10::boolean::integer, $10::boolean::integer, CASE WHEN $10::boolean THEN $11::text END,
    CASE WHEN $10::boolean THEN pg_catalog.clock_timestamp() + $12::bigint * interval '1 millisecond' END,
    CASE WHEN $10::boolean THEN pg_catalog.clock_timestamp() END)
  ON CONFLICT (request_key) DO NOTHING
  RETURNING id, tenant_id, kind),
steps AS (
  INSERT INTO platform.operation_steps (operation_id, ordinal, name, status, attempts, started_at, finished_at)
  SELECT operation.id, s.ordinal - 1, s.name, CASE WHEN s.ordinal <= $9::bigint THEN 'done' ELSE 'pending' END,
    (s.ordinal <= $9::bigint)::integer, CASE WHEN s.ordinal <= $9::bigint THEN pg_catalog.clock_timestamp() END,
    CASE WHEN s.ordinal <= $9::bigint THEN pg_catalog.clock_timestamp() END
  FROM operation, pg_catalog.jsonb_array_elements_text($8::jsonb) WITH ORDINALITY AS s (name, ordinal)),
announced AS (
  INSERT INTO platform.events (tenant_id, type, payload)
  SELECT tenant_id, 'operation.started', pg_catalog.jsonb_build_object('operation', id, 'kind', kind) FROM operation
  WHERE $10::boolean)
SELECT id, CASE WHEN NOT $10::boolean THEN pg_catalog.pg_notify('rowhouse_operations', id::text)::text END
FROM operation)";

constexpr std::string_view kStateSql =
    "UPDATE platform.operations SET state = $2::jsonb, output = $3::jsonb WHERE id = $1::uuid";
constexpr std::string_view kFindRequestSql =
    "SELECT id, COALESCE(request_digest, '') FROM platform.operations WHERE request_key = $1::text";
constexpr std::string_view kExistsSql = "SELECT FROM platform.operations WHERE id = $1::uuid";

json::Value parsed(std::string_view text) {
  if (text.empty()) return json::Value();
  auto value = json::parse(text);
  return value.ok() ? std::move(value).value() : json::Value();
}

std::string object_text(const json::Value& value) {
  return value.is_null() ? std::string("{}") : json::serialize(value);
}

pg::Param json_or_null(const json::Value& value) {
  return value.is_null() ? std::nullopt : pg::Param(json::serialize(value));
}

std::string names_json(const std::vector<std::string>& names) {
  json::Array array;
  for (const std::string& name : names) array.emplace_back(name);
  return json::serialize(json::Value(std::move(array)));
}

int integer_of(const json::Value& object, std::string_view name) {
  const json::Value* value = object.find(name);
  return value == nullptr ? 0 : static_cast<int>(value->as_int64().value_or(0));
}

std::string text_of(const json::Value& object, std::string_view name) {
  const json::Value* value = object.find(name);
  const std::string* text = value == nullptr ? nullptr : value->as_string();
  return text == nullptr ? "" : *text;
}

Result<Stored> stored_of(const pg::Rows& rows, std::size_t row) {
  std::size_t column = 0;
  const auto next = [&] { return rows.text(row, column++); };
  Stored stored;
  stored.lease.operation = Uuid::parse(next()).value_or(Uuid());
  stored.lease.epoch = parse_int64(next()).value_or(0);
  stored.kind = next();
  stored.tenant = Uuid::parse(next());
  const auto status = parse_operation_status(next());
  if (!status) return Error(ErrorCode::internal, "an operation has a status that is not known here");
  stored.status = *status;
  stored.requested_by = next();
  for (json::Value* document :
       {&stored.input, &stored.state, &stored.output, &stored.error, &stored.failure}) {
    *document = parsed(next());
  }
  stored.cancel_requested = next() == "t";
  stored.pause_requested = next() == "t";
  stored.cancel_requested_by = next();
  const json::Value steps = parsed(next());
  if (steps.as_array() == nullptr) return stored;
  for (const json::Value& step : *steps.as_array()) {
    const auto step_status = parse_step_status(text_of(step, "status"));
    if (!step_status) return Error(ErrorCode::internal, "a step has a status that is not known here");
    StoredStep read;
    read.name = text_of(step, "name");
    read.status = *step_status;
    read.attempts = integer_of(step, "attempts");
    read.undo_attempts = integer_of(step, "undo_attempts");
    if (const json::Value* error = step.find("error")) read.error = *error;
    stored.steps.push_back(std::move(read));
  }
  return stored;
}

std::string steps_json(const Stored& stored, const std::vector<std::size_t>& ordinals) {
  json::Array array;
  for (const std::size_t ordinal : ordinals) {
    const StoredStep& step = stored.steps[ordinal];
    json::Value change;
    change.set("ordinal", static_cast<std::int64_t>(ordinal));
    change.set("status", step_status_name(step.status));
    change.set("attempts", step.attempts);
    change.set("undo_attempts", step.undo_attempts);
    if (!step.error.is_null()) change.set("error", step.error);
    array.push_back(std::move(change));
  }
  return json::serialize(json::Value(std::move(array)));
}

pg::Statement write_statement(std::string_view sql, pg::Params params) {
  return pg::Statement(std::string(sql), std::move(params), pg::Access::write);
}

pg::Params lease_params(const LeaseId& lease, const std::string& node) {
  pg::Params params;
  params.emplace_back(lease.operation.to_string());
  params.emplace_back(std::to_string(lease.epoch));
  params.emplace_back(node);
  return params;
}

pg::Param text_or_null(const std::string& text) { return text.empty() ? std::nullopt : pg::Param(text); }

}  // namespace

Store::Store(pg::Pool& platform, std::string node, std::chrono::milliseconds lease)
    : platform_(platform), node_(std::move(node)), lease_(lease) {}

Task<Result<std::vector<Stored>>> Store::claim(std::vector<std::string> kinds, std::size_t limit,
                                               std::optional<Uuid> only, std::vector<std::string> except,
                                               CallOptions options) {
  pg::Params params;
  params.emplace_back(names_json(kinds));
  params.emplace_back(std::to_string(limit));
  params.emplace_back(node_);
  params.emplace_back(std::to_string(lease_.count()));
  params.push_back(only ? pg::Param(only->to_string()) : std::nullopt);
  params.emplace_back(names_json(except));
  const pg::Statement statement = write_statement(claim_sql(), std::move(params));
  CO_TRY(const auto rows, co_await platform_.run(nullptr, statement, options));
  std::vector<Stored> claimed;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    auto stored = stored_of(rows, row);
    if (!stored.ok()) continue;  // of a newer version: its lease runs out, and another may know it
    claimed.push_back(std::move(stored).value());
  }
  co_return claimed;
}

Task<Result<std::optional<Stored>>> Store::load(LeaseId lease, CallOptions options) {
  const pg::Statement statement = write_statement(load_sql(), lease_params(lease, node_));
  CO_TRY(const auto rows, co_await platform_.run(nullptr, statement, options));
  std::optional<Stored> found;
  if (rows.size() > 0) {
    CO_TRY(found, stored_of(rows, 0));
  }
  co_return found;
}

pg::Statement Store::change_statement(const Stored& stored, const Change& change) const {
  pg::Params params = lease_params(stored.lease, node_);
  params.emplace_back(std::string(operation_status_name(stored.status)));
  params.emplace_back(object_text(stored.state));
  params.emplace_back(object_text(stored.output));
  params.push_back(json_or_null(stored.error));
  params.push_back(json_or_null(stored.failure));
  params.emplace_back(change.lease == Change::Lease::keep ? "t" : "f");
  params.emplace_back(std::to_string(change.run_after.count()));
  params.emplace_back(std::to_string(lease_.count()));
  params.emplace_back(steps_json(stored, change.steps));
  params.push_back(text_or_null(change.event));
  params.emplace_back(std::to_string(stored.writes));
  return write_statement(kChangeSql, std::move(params));
}

Wishes Store::wishes_of(const pg::Rows& rows) {
  Wishes wishes;
  wishes.cancel = rows.text(0, 0) == "t";
  wishes.pause = rows.text(0, 1) == "t";
  wishes.cancel_by = rows.text(0, 2);
  return wishes;
}

pg::Statement Store::lock_statement(const LeaseId& lease, std::size_t step) const {
  pg::Params params = lease_params(lease, node_);
  params.emplace_back(std::to_string(step));
  return write_statement(kLockSql, std::move(params));
}

Task<Result<bool>> Store::changed_one(pg::Statement statement, CallOptions options) {
  CO_TRY(const auto rows, co_await platform_.run(nullptr, statement, options));
  co_return rows.affected() == 1;
}

Task<Result<bool>> Store::save_state(LeaseId lease, std::string state, CallOptions options) {
  pg::Params params = lease_params(lease, node_);
  params.emplace_back(std::move(state));
  return changed_one(write_statement(kSaveStateSql, std::move(params)), options);
}

Task<Result<bool>> Store::save_progress(LeaseId lease, Progress progress, CallOptions options) {
  pg::Params params = lease_params(lease, node_);
  params.emplace_back(std::to_string(progress.done));
  params.emplace_back(std::to_string(progress.total));
  params.emplace_back(std::move(progress.what));
  return changed_one(write_statement(kSaveProgressSql, std::move(params)), options);
}

Task<Result<bool>> Store::holds(LeaseId lease, CallOptions options) {
  const pg::Statement statement = write_statement(kHoldsSql, lease_params(lease, node_));
  CO_TRY(const auto rows, co_await platform_.run(nullptr, statement, options));
  co_return rows.size() == 1;
}

Task<Result<std::vector<Store::Renewed>>> Store::renew(std::vector<LeaseId> leases, CallOptions options) {
  json::Array array;
  for (const LeaseId& lease : leases) {
    json::Value entry;
    entry.set("id", lease.operation.to_string());
    entry.set("epoch", lease.epoch);
    array.push_back(std::move(entry));
  }
  pg::Params params;
  params.emplace_back(json::serialize(json::Value(std::move(array))));
  params.emplace_back(node_);
  params.emplace_back(std::to_string(lease_.count()));
  const pg::Statement statement = write_statement(kRenewSql, std::move(params));
  CO_TRY(const auto rows, co_await platform_.run(nullptr, statement, options));
  std::vector<Renewed> renewed;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    Renewed& one = renewed.emplace_back();
    one.operation = Uuid::parse(rows.text(row, 0)).value_or(Uuid());
    one.wishes.cancel = rows.text(row, 1) == "t";
    one.wishes.pause = rows.text(row, 2) == "t";
    one.wishes.cancel_by = rows.text(row, 3);
    one.outcome = rows.text(row, 4) == "t" ? Renewed::Outcome::renewed : Renewed::Outcome::locked;
  }
  co_return renewed;
}

Task<Result<void>> Store::release_all(CallOptions options) {
  const pg::Statement statement = write_statement(kReleaseAllSql, {});
  CO_TRY_DO(co_await platform_.run(nullptr, statement, options));
  co_return Result<void>();
}

pg::Statement Store::insert_statement(const Submission& submission, const Uuid& id,
                                      const std::vector<std::string>& steps, std::size_t steps_done,
                                      Begin begin) const {
  pg::Params params;
  params.emplace_back(id.to_string());
  params.emplace_back(submission.kind);
  params.push_back(submission.tenant ? pg::Param(submission.tenant->to_string()) : std::nullopt);
  params.emplace_back(object_text(submission.input));
  params.emplace_back(submission.requested_by);
  params.push_back(text_or_null(submission.request_key));
  params.push_back(text_or_null(submission.request_digest));
  params.emplace_back(names_json(steps));
  params.emplace_back(std::to_string(steps_done));
  params.emplace_back(begin == Begin::started ? "t" : "f");
  params.emplace_back(node_);
  params.emplace_back(std::to_string(lease_.count()));
  return write_statement(kInsertSql, std::move(params));
}

pg::Statement Store::state_statement(const Uuid& id, const json::Value& state,
                                     const json::Value& output) const {
  pg::Params params;
  params.emplace_back(id.to_string());
  params.emplace_back(object_text(state));
  params.emplace_back(object_text(output));
  return write_statement(kStateSql, std::move(params));
}

Task<Result<std::optional<Store::Earlier>>> Store::find_request(std::string request_key,
                                                                CallOptions options) {
  pg::Params params;
  params.emplace_back(std::move(request_key));
  const pg::Statement statement{std::string(kFindRequestSql), std::move(params)};
  CO_TRY(const auto rows, co_await platform_.run(nullptr, statement, options));
  std::optional<Earlier> found;
  if (rows.size() > 0) {
    found.emplace();
    found->id = Uuid::parse(rows.text(0, 0)).value_or(Uuid());
    found->digest = rows.text(0, 1);
  }
  co_return found;
}

// The oldest ones first, by the index that lists them: what has ended before a moment was created before it.
Task<Result<std::size_t>> Store::prune(std::vector<KeptWhile> kinds, std::chrono::milliseconds retention,
                                       std::size_t limit, CallOptions options) {
  if (kinds.empty()) co_return std::size_t{0};
  std::string may_go;
  for (const KeptWhile& kind : kinds) {
    may_go += (may_go.empty() ? "" : " OR ") + ("o.kind = " + pg::quote_literal(kind.name));
    if (!kind.condition.empty()) may_go += " AND NOT (" + kind.condition + ")";
  }
  pg::Params params;
  params.emplace_back(std::to_string(retention.count()));
  params.emplace_back(std::to_string(limit));
  const pg::Statement statement = write_statement(
      "WITH cutoff (moment) AS (SELECT pg_catalog.now() - $1::bigint * interval '1 millisecond') "
      "DELETE FROM platform.operations WHERE id IN (SELECT o.id FROM platform.operations AS o "
      "WHERE o.created_at < (SELECT moment FROM cutoff) AND o.finished_at < (SELECT moment FROM cutoff) "
      "AND o.status IN ('succeeded', 'undone', 'cancelled') AND (" +
          may_go + ") ORDER BY o.created_at, o.id LIMIT $2::bigint FOR UPDATE OF o SKIP LOCKED)",
      std::move(params));
  CO_TRY(const auto rows, co_await platform_.run(nullptr, statement, options));
  co_return static_cast<std::size_t>(rows.affected());
}

Task<Result<bool>> Store::exists(Uuid id, CallOptions options) {
  pg::Params params;
  params.emplace_back(id.to_string());
  const pg::Statement statement{std::string(kExistsSql), std::move(params)};
  CO_TRY(const auto rows, co_await platform_.run(nullptr, statement, options));
  co_return rows.size() == 1;
}

// ----------------------------------------------------------------------------------------------------------
// operations that are over when they are inserted

std::string finished_operation_sql(int first_parameter) {
  const auto parameter = [first_parameter](int offset) {
    return "$" + std::to_string(first_parameter + offset);
  };
  return "operation AS (INSERT INTO platform.operations (id, kind, tenant_id, status, input, requested_by, "
         "request_key, request_digest, attempts, started_at, finished_at) VALUES (" +
         parameter(0) + "::uuid, " + parameter(1) + "::text, " + parameter(2) + "::uuid, 'succeeded', " +
         parameter(3) + "::jsonb, " + parameter(4) + "::text, " + parameter(5) + "::text, " + parameter(6) +
         "::text, 1, pg_catalog.now(), pg_catalog.now()) ON CONFLICT (request_key) DO NOTHING RETURNING id, "
         "tenant_id, kind), "
         "operation_steps_done AS (INSERT INTO platform.operation_steps (operation_id, ordinal, name, "
         "status, "
         "attempts, started_at, finished_at) SELECT operation.id, s.ordinal - 1, s.name, 'done', 1, "
         "pg_catalog.now(), pg_catalog.now() FROM operation, pg_catalog.jsonb_array_elements_text(" +
         parameter(7) +
         "::jsonb) WITH ORDINALITY AS s (name, ordinal)), "
         "operation_announced AS (INSERT INTO platform.events (tenant_id, type, payload) SELECT tenant_id, "
         "'operation.succeeded', pg_catalog.jsonb_build_object('operation', id, 'kind', kind) FROM "
         "operation)";
}

void append_finished_parameters(pg::Params& params, const Submission& submission, const Kind& kind) {
  const Uuid id = submission.id ? *submission.id : Uuid::make_v7(std::chrono::system_clock::now());
  std::vector<std::string> names;
  for (const Step& step : kind.steps) {
    if (!step.condition || step.condition(submission.input)) names.push_back(step.name);
  }
  params.emplace_back(id.to_string());
  params.emplace_back(kind.name);
  params.push_back(submission.tenant ? pg::Param(submission.tenant->to_string()) : std::nullopt);
  params.emplace_back(object_text(submission.input));
  params.emplace_back(submission.requested_by);
  params.push_back(text_or_null(submission.request_key));
  params.push_back(text_or_null(submission.request_digest));
  params.emplace_back(names_json(names));
}

}  // namespace rowhouse::operations
