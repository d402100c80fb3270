#include "tenancy/schema_batch.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "net/executor.h"
#include "tenancy/checker.h"
#include "tenancy/isolation_sql.h"
#include "tenancy/lint_alike.h"
#include "tenancy/lint_structure.h"
#include "tenancy/pack_migrator.h"
#include "tenancy/schema_batch_script.h"

namespace rowhouse::tenancy {

namespace {

using Clock = std::chrono::steady_clock;
using Looks = std::map<std::string, std::string, std::less<>>;

// Fewer go the slow way: to look at schemas costs a walk through the catalog of the whole database.
constexpr std::size_t kFewestAlike = 8;
// Schemas that are proven by one query.
constexpr std::size_t kProvenTogether = 10'000;
// A session remembers every table it has seen, and becomes slow and large.
constexpr std::size_t kSchemasOfOneSession = 250;
constexpr std::size_t kMaxDifferences = 5;

constexpr std::string_view kAppliedSql = R"sql(
SELECT n.oid IS NOT NULL, h.history
  FROM ROWS FROM (pg_catalog.json_array_elements_text($1::json)) WITH ORDINALITY s (name, position)
  LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = s.name::name
  LEFT JOIN (SELECT schema_name,
                    pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.string_agg(
                      pack || ' ' || number || ' ' || name || ' ' || checksum, ';' ORDER BY number), 'UTF8')), 'hex') AS history
               FROM rowhouse.pack_migrations GROUP BY schema_name) h ON h.schema_name = s.name
 ORDER BY s.position
)sql";

// Where columns were dropped, the numbers of later ones differ, and with them what they look like.
constexpr std::string_view kDroppedSql = R"sql(
SELECT n.nspname, pg_catalog.string_agg(c.relname || ' ' || a.attnum, ',' ORDER BY c.relname, a.attnum)
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE a.attisdropped AND a.attnum > 0
 GROUP BY n.nspname
)sql";

// Writes something, so that its commit waits until everything before it is on disk.
constexpr std::string_view kFlushSql =
    "BEGIN; SET LOCAL synchronous_commit = on; SELECT pg_catalog.pg_logical_emit_message(true, 'rowhouse', "
    "''); COMMIT";

std::string list_of(const std::vector<BatchTarget>& targets) {
  json::Array names;
  for (const BatchTarget& target : targets) names.emplace_back(target.schema);
  return json::serialize(json::Value(std::move(names)));
}

// History of a schema → how many of the bundle's migrations that is.
std::map<std::string, std::size_t, std::less<>> histories_of(const Bundle& bundle) {
  std::map<std::string, std::size_t, std::less<>> histories;
  std::string text;
  std::size_t applied = 0;
  for (const PackMigration& migration : bundle.migrations) {
    text += (applied == 0 ? "" : ";") + bundle.manifest.name + " " + std::to_string(migration.number) + " " +
            migration.name + " " + migration.checksum();
    histories.emplace(to_hex(crypto::sha256(text)), ++applied);
  }
  return histories;
}

bool is_over(const Error& error, const CallOptions& options) {
  return error.code == ErrorCode::cancelled || options.deadline <= Clock::now();
}

class Batch {
 public:
  Batch(const Cluster& cluster, std::string database, const std::vector<BatchTarget>& targets,
        const Bundle& bundle, BatchOptions batch, CallOptions options)
      : cluster_(cluster),
        database_(std::move(database)),
        targets_(targets),
        bundle_(bundle),
        batch_(std::move(batch)),
        options_(options) {
    report_.outcomes.resize(targets.size());
    for (std::size_t i = 0; i < targets.size(); ++i) report_.outcomes[i].target = i;
  }

  Task<Result<BatchReport>> run();

 private:
  // Schemas that look the same.
  struct Group {
    std::vector<std::size_t> members;
    std::size_t led = 0;                // members that went the slow way to lead the others
    std::size_t first = 0;              // the one that succeeded
    std::optional<BatchScript> script;  // what it takes
  };
  struct Item {
    std::size_t target = 0;
    const Group* group = nullptr;
  };
  struct Worker {
    std::optional<pg::Session> session;
    std::size_t schemas = 0;  // that it has seen
  };
  using WorkOnOne = std::function<Task<void>(Worker&, std::size_t)>;
  struct Slow {
    Slow(std::size_t which, MigrationNotes* wanted) : target(which), notes(wanted) {}
    std::size_t target;
    MigrationNotes* notes;
  };

  Task<Result<std::vector<std::size_t>>> find_pending();
  Task<Result<void>> form_groups(std::vector<std::size_t> pending);
  Task<void> work(const WorkOnOne& one, std::size_t count);
  Task<void> work_through(Worker& worker, const WorkOnOne& one, std::size_t count);
  Task<void> lead(Worker& worker, Group& group);
  Task<void> follow(Worker& worker, Item item);
  Task<Result<void>> run_script(Worker& worker, const Item& item);
  Task<Result<int>> go_slowly(Worker& worker, Slow slow);
  Task<Result<int>> try_slowly(Worker& worker, Slow slow);
  Task<Result<void>> open(Worker& worker);
  Task<void> recover(Worker& worker, const Error& error);
  Task<void> prove(std::vector<Item> items);
  Task<Result<Looks>> look_at(std::vector<SchemaScope> scopes);
  Task<void> look_at_half(const std::vector<SchemaScope>& scopes, LookHalf half,
                          std::optional<Result<std::vector<SchemaLook>>>& looks);
  Task<Result<std::vector<SchemaLook>>> read_half(std::vector<SchemaScope> scopes, LookHalf half);
  Task<Result<void>> add_dropped_columns(pg::Session& session, std::vector<SchemaLook>& looks);
  Task<void> mend(Worker& worker, Item item);
  Task<Result<void>> describe_difference(std::size_t target, std::size_t first, Error& error);
  Task<Result<void>> flush();

  SchemaScope scope_of(std::size_t target) const {
    SchemaScope scope;
    scope.schema = targets_[target].schema;
    scope.runtime_role = targets_[target].role;
    return scope;
  }
  bool stopping() const { return over_ || gone_ || (batch_.should_stop && batch_.should_stop()); }
  void tell(std::size_t target, TargetStatus status) {
    report_.outcomes[target].status = status;
    if (batch_.on_finished) batch_.on_finished(report_.outcomes[target]);
  }
  void succeed(std::size_t target, MigrationWay way) {
    TargetOutcome& outcome = report_.outcomes[target];
    outcome.way = way;
    outcome.migrations_run = static_cast<int>(bundle_.migrations.size() - applied_[target].value_or(0));
    tell(target, TargetStatus::done);
  }
  void fail(std::size_t target, MigrationWay way, Error error) {
    if (is_over(error, options_)) {
      if (!over_) over_ = std::move(error);
      return;
    }
    TargetOutcome& outcome = report_.outcomes[target];
    outcome.way = way;
    const TargetStatus status = status_of(error);
    outcome.error = std::move(error);
    tell(target, status);
  }

  const Cluster& cluster_;
  const std::string database_;
  const std::vector<BatchTarget>& targets_;
  const Bundle& bundle_;
  const BatchOptions batch_;
  const CallOptions options_;
  std::vector<std::optional<std::size_t>> applied_;  // migrations that had run before
  std::vector<std::unique_ptr<Group>> groups_;
  std::size_t next_ = 0;        // what the workers take next
  std::vector<Item> unproven_;  // went the fast way
  std::optional<Error> over_;   // cancelled, or the time is over
  std::optional<Error> gone_;   // the database cannot be reached
  BatchReport report_;
};

Task<Result<BatchReport>> Batch::run() {
  auto pending = co_await find_pending();
  if (!pending.ok()) {
    if (is_over(pending.error(), options_)) co_return std::move(pending).error();
    gone_ = std::move(pending).error();
  } else if (!pending->empty()) {
    auto formed = co_await form_groups(std::move(*pending));
    if (!formed.ok()) {
      if (is_over(formed.error(), options_)) co_return std::move(formed).error();
      gone_ = std::move(formed).error();
    }
  }
  const WorkOnOne lead_one = [this](Worker& worker, std::size_t i) { return lead(worker, *groups_[i]); };
  co_await work(lead_one, groups_.size());

  std::vector<Item> items;
  for (const auto& group : groups_) {
    for (std::size_t i = group->led; i < group->members.size(); ++i) {
      Item& item = items.emplace_back();
      item.target = group->members[i];
      item.group = group.get();
    }
  }
  net::TaskGroup proof;  // of what went before, while the next are at work
  for (std::size_t from = 0; from < items.size() && !stopping(); from += kProvenTogether) {
    const std::size_t count = std::min(kProvenTogether, items.size() - from);
    const WorkOnOne follow_one = [&items, from, this](Worker& worker, std::size_t i) {
      return follow(worker, items[from + i]);
    };
    co_await work(follow_one, count);
    co_await proof.join();
    proof.spawn(prove(std::exchange(unproven_, {})));
  }
  co_await proof.join();
  if (over_) co_return std::move(*over_);
  if (gone_) {
    for (std::size_t i = 0; i < targets_.size(); ++i) {
      if (report_.outcomes[i].status != TargetStatus::not_begun) continue;
      report_.outcomes[i].error = gone_;
      tell(i, TargetStatus::outage);
    }
  }
  co_return std::move(report_);
}

Task<Result<std::vector<std::size_t>>> Batch::find_pending() {
  CO_TRY(applied_, co_await count_applied(cluster_, database_, targets_, bundle_, options_));
  std::vector<std::size_t> pending;
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    if (applied_[i] == bundle_.migrations.size()) {
      tell(i, TargetStatus::unchanged);
    } else {
      pending.push_back(i);
    }
  }
  co_return pending;
}

// Whatever cannot be seen is a group of its own.
Task<Result<void>> Batch::form_groups(std::vector<std::size_t> pending) {
  Looks looks;
  if (pending.size() >= kFewestAlike) {
    std::vector<SchemaScope> scopes;
    for (const std::size_t target : pending) scopes.push_back(scope_of(target));
    CO_TRY(looks, co_await look_at(std::move(scopes)));
  }
  std::map<std::pair<std::size_t, std::string_view>, Group*> known;
  for (const std::size_t target : pending) {
    const auto look = looks.find(targets_[target].schema);
    Group* group = nullptr;
    if (look != looks.end() && applied_[target]) {
      Group*& found = known[std::pair(*applied_[target], std::string_view(look->second))];
      if (found == nullptr) found = groups_.emplace_back(std::make_unique<Group>()).get();
      group = found;
    } else {
      group = groups_.emplace_back(std::make_unique<Group>()).get();
    }
    group->members.push_back(target);
  }
  report_.groups = groups_.size();
  co_return Result<void>();
}

// Several sessions take one after the other.
Task<void> Batch::work(const WorkOnOne& one, std::size_t count) {
  const std::size_t sessions = std::clamp<std::size_t>(batch_.sessions, 1, kMaxBatchSessions);
  std::vector<Worker> workers(std::min(sessions, count));
  next_ = 0;
  net::TaskGroup group;
  for (Worker& worker : workers) group.spawn(work_through(worker, one, count));
  co_await group.join();
}

Task<void> Batch::work_through(Worker& worker, const WorkOnOne& one, std::size_t count) {
  while (next_ < count && !stopping()) {
    Task<void> task = one(worker, next_++);
    co_await task;
  }
}

// The first that succeeds shows the way.
Task<void> Batch::lead(Worker& worker, Group& group) {
  while (group.led < group.members.size() && !stopping()) {
    const std::size_t target = group.members[group.led++];
    MigrationNotes notes;
    const Slow slow(target, &notes);
    auto ran = co_await go_slowly(worker, slow);
    if (!ran.ok()) {
      fail(target, MigrationWay::slow, std::move(ran).error());
      continue;
    }
    succeed(target, MigrationWay::slow);
    const bool is_whole =
        applied_[target] && notes.migrations.size() + *applied_[target] == bundle_.migrations.size();
    if (!is_whole) continue;  // another node was at work here
    group.first = target;
    group.script =
        BatchScript::make(targets_[target].schema, bundle_.manifest.name, notes, batch_.lock_timeout);
    if (group.script) co_return;
  }
}

Task<void> Batch::follow(Worker& worker, Item item) {
  const auto began = Clock::now();
  auto ran = co_await run_script(worker, item);
  TargetOutcome& outcome = report_.outcomes[item.target];
  outcome.duration = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began);
  if (ran.ok()) {
    outcome.way = MigrationWay::fast;
    unproven_.push_back(item);
    co_return;
  }
  if (status_of(ran.error()) == TargetStatus::lock_timeout || is_over(ran.error(), options_)) {
    fail(item.target, MigrationWay::fast, std::move(ran).error());
    co_return;
  }
  // It says better what is wrong, and finds what has run already.
  const Slow slow(item.target, nullptr);
  auto slowly = co_await go_slowly(worker, slow);
  if (!slowly.ok()) {
    fail(item.target, MigrationWay::slow, std::move(slowly).error());
  } else if (*slowly == 0) {
    outcome.way = MigrationWay::fast;  // the answer alone was lost
    unproven_.push_back(item);
  } else {
    succeed(item.target, MigrationWay::slow);
  }
}

Task<Result<void>> Batch::run_script(Worker& worker, const Item& item) {
  if (worker.schemas >= kSchemasOfOneSession) worker.session.reset();
  CO_TRY_DO(co_await open(worker));
  ++worker.schemas;
  const std::string script = item.group->script->for_schema(targets_[item.target].schema);
  auto ran = co_await worker.session->script(script, options_);
  if (!ran.ok()) co_await recover(worker, ran.error());
  co_return ran;
}

// Number of migrations that ran. A lost connection is not the end: perhaps only that one was ended.
Task<Result<int>> Batch::go_slowly(Worker& worker, Slow slow) {
  const auto began = Clock::now();
  auto ran = co_await try_slowly(worker, slow);
  if (!ran.ok() && status_of(ran.error()) == TargetStatus::outage && !is_over(ran.error(), options_) &&
      !gone_) {
    if (slow.notes != nullptr) *slow.notes = MigrationNotes();
    ran = co_await try_slowly(worker, slow);
  }
  report_.outcomes[slow.target].duration +=
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began);
  co_return ran;
}

Task<Result<int>> Batch::try_slowly(Worker& worker, Slow slow) {
  CO_TRY_DO(co_await open(worker));
  ++worker.schemas;
  MigrationSettings settings;
  settings.missing_schema = MissingSchema::refuse;
  settings.lock_timeout = batch_.lock_timeout;
  settings.notes = slow.notes;
  const BatchTarget& target = targets_[slow.target];
  auto migrated =
      co_await migrate_schema(*worker.session, target.schema, target.role, bundle_, settings, options_);
  if (!migrated.ok()) {
    co_await recover(worker, migrated.error());
    co_return std::move(migrated).error();
  }
  if (!migrated->findings.empty()) co_return refusal(bundle_.manifest.name, migrated->findings);
  co_return migrated->migrations_run;
}

Task<Result<void>> Batch::open(Worker& worker) {
  if (worker.session) co_return Result<void>();
  auto session = co_await cluster_.migrator(database_, options_);
  if (!session.ok()) {
    if (!is_over(session.error(), options_)) gone_ = session.error();
    co_return std::move(session).error();
  }
  worker.session.emplace(std::move(*session));
  worker.schemas = 0;
  co_return Result<void>();
}

// After an error the session may be in a transaction that failed, or lost.
Task<void> Batch::recover(Worker& worker, const Error& error) {
  if (status_of(error) != TargetStatus::outage && !is_over(error, options_)) {
    const auto rolled_back = co_await worker.session->rollback(options_);
    if (rolled_back.ok()) co_return;
  }
  worker.session.reset();
}

// Do they look as the first of their group does, and are the commits on disk?
Task<void> Batch::prove(std::vector<Item> items) {
  if (items.empty() || over_) co_return;
  std::vector<SchemaScope> scopes;
  std::map<const Group*, std::size_t> firsts;
  for (const Item& item : items) {
    scopes.push_back(scope_of(item.target));
    if (firsts.emplace(item.group, item.group->first).second) scopes.push_back(scope_of(item.group->first));
  }
  auto flushed = co_await flush();
  std::optional<Result<Looks>> looks;
  if (flushed.ok()) looks = co_await look_at(std::move(scopes));
  if (!flushed.ok() || !looks->ok()) {
    const Error error = flushed.ok() ? looks->error() : flushed.error();
    for (const Item& item : items) fail(item.target, MigrationWay::fast, error);
    co_return;
  }
  Worker worker;
  for (const Item& item : items) {
    const auto look = (*looks)->find(targets_[item.target].schema);
    const auto first = (*looks)->find(targets_[item.group->first].schema);
    const bool is_alike =
        look != (*looks)->end() && first != (*looks)->end() && look->second == first->second;
    if (is_alike) {
      succeed(item.target, MigrationWay::fast);
    } else {
      co_await mend(worker, item);
    }
  }
}

// Whatever it is that differs: the slow way runs what is missing and gives the rights; then it is as it
// should be, or somebody has to look.
Task<void> Batch::mend(Worker& worker, Item item) {
  const Slow slow(item.target, nullptr);
  auto ran = co_await go_slowly(worker, slow);
  if (!ran.ok()) {
    fail(item.target, MigrationWay::slow, std::move(ran).error());
    co_return;
  }
  Error error(ErrorCode::migration_failed, "The migrations ran in the schema " +
                                               targets_[item.target].schema +
                                               ", but now it differs from those that were like it before");
  auto described = co_await describe_difference(item.target, item.group->first, error);
  if (!described.ok()) {
    fail(item.target, MigrationWay::slow, std::move(described).error());
  } else if (!error.fields.empty()) {
    fail(item.target, MigrationWay::slow, std::move(error));
  } else {
    succeed(item.target, MigrationWay::slow);
  }
}

// Fields of `error`: what the schema has otherwise than the first, and the rules that it breaks.
Task<Result<void>> Batch::describe_difference(std::size_t target, std::size_t first, Error& error) {
  CO_TRY(auto session, co_await cluster_.migrator(database_, options_));
  CO_TRY_DO(co_await begin_as_owner(session, options_));
  CO_TRY_DO(co_await use_catalog_search_path(session, options_));
  CO_TRY(const Structure expected,
         co_await read_structure(session, scope_of(first), WithPrivileges::no, options_));
  CO_TRY(const Structure actual,
         co_await read_structure(session, scope_of(target), WithPrivileges::no, options_));
  const auto differences = compare_structures(expected, actual, scope_of(target), kMaxDifferences);
  for (const StructureDifference& difference : differences) {
    const std::string fix = difference.fix.empty() ? "" : ". Fix: " + difference.fix;
    error.fields.emplace_back(difference.object, difference.message + fix);
  }
  CO_TRY(const auto findings,
         co_await check_isolation(session, targets_[target].schema, CheckTime::complete, options_));
  for (const Finding& finding : findings)
    error.fields.emplace_back(finding.object, finding.message + ". Fix: " + finding.fix);
  co_return co_await session.rollback(options_);
}

Task<Result<void>> Batch::flush() {
  CO_TRY(auto session, co_await cluster_.migrator(database_, options_));
  const std::string sql(kFlushSql);
  co_return co_await session.script(sql, options_);
}

// By two sessions at once.
Task<Result<Looks>> Batch::look_at(std::vector<SchemaScope> scopes) {
  std::optional<Result<std::vector<SchemaLook>>> tables, rest;
  net::TaskGroup group;
  group.spawn(look_at_half(scopes, LookHalf::tables, tables));
  group.spawn(look_at_half(scopes, LookHalf::rest, rest));
  co_await group.join();
  if (!tables->ok()) co_return tables->error();
  if (!rest->ok()) co_return rest->error();
  std::map<std::string_view, std::string_view> of_rest;
  for (const SchemaLook& look : **rest) of_rest.emplace(look.schema, look.look);
  Looks looks;
  for (const SchemaLook& look : **tables) {
    const auto other = of_rest.find(look.schema);
    if (other != of_rest.end()) looks.emplace(look.schema, look.look + " " + std::string(other->second));
  }
  co_return looks;
}

Task<void> Batch::look_at_half(const std::vector<SchemaScope>& scopes, LookHalf half,
                               std::optional<Result<std::vector<SchemaLook>>>& looks) {
  looks.emplace(co_await read_half(scopes, half));
}

Task<Result<void>> Batch::add_dropped_columns(pg::Session& session, std::vector<SchemaLook>& looks) {
  const pg::Statement query(std::string(kDroppedSql), pg::Params(), pg::Access::read, pg::Reuse::once);
  CO_TRY(const auto rows, co_await session.query(query, options_));
  std::map<std::string_view, std::string_view> dropped;
  for (std::size_t row = 0; row < rows.size(); ++row) dropped.emplace(rows.text(row, 0), rows.text(row, 1));
  for (SchemaLook& look : looks) {
    if (const auto found = dropped.find(look.schema); found != dropped.end())
      look.look += " " + std::string(found->second);
  }
  co_return Result<void>();
}

Task<Result<std::vector<SchemaLook>>> Batch::read_half(std::vector<SchemaScope> scopes, LookHalf half) {
  CO_TRY(auto session, co_await cluster_.migrator(database_, options_));
  CO_TRY_DO(co_await begin_as_owner(session, options_));
  CO_TRY_DO(co_await use_catalog_search_path(session, options_));
  CO_TRY(auto looks, co_await read_looks(session, std::move(scopes), half, options_));
  if (half == LookHalf::rest) CO_TRY_DO(co_await add_dropped_columns(session, looks));
  CO_TRY_DO(co_await session.rollback(options_));
  co_return looks;
}

}  // namespace

std::size_t BatchReport::count(TargetStatus status) const {
  return static_cast<std::size_t>(std::ranges::count(outcomes, status, &TargetOutcome::status));
}

TargetStatus status_of(const Error& error) {
  // 55P03 lock not available, 40P01 deadlock, 40001 serialization; the server's own words have no other mark.
  const std::string_view state = error.detail(pg::kSqlState);
  if (state == "55P03" || state == "40P01" || state == "40001" ||
      error.detail(pg::kServerMessage) == "tuple concurrently updated") {
    return TargetStatus::lock_timeout;
  }
  switch (error.code) {
    case ErrorCode::database_unavailable:
    case ErrorCode::server_unreachable:
    case ErrorCode::statement_timeout:
    case ErrorCode::overloaded:
    case ErrorCode::disk_full:
      return TargetStatus::outage;
    default:
      return TargetStatus::failed;
  }
}

Task<Result<std::vector<std::optional<std::size_t>>>> count_applied(const Cluster& cluster,
                                                                    std::string database,
                                                                    const std::vector<BatchTarget>& targets,
                                                                    const Bundle& bundle,
                                                                    CallOptions options) {
  CO_TRY(auto session, co_await cluster.migrator(database, options));
  CO_TRY_DO(co_await begin_as_owner(session, options));
  pg::Params params;
  params.emplace_back(list_of(targets));
  const pg::Statement query(std::string(kAppliedSql), std::move(params), pg::Access::read, pg::Reuse::once);
  CO_TRY(const auto rows, co_await session.query(query, options));
  CO_TRY_DO(co_await session.rollback(options));
  const auto histories = histories_of(bundle);
  std::vector<std::optional<std::size_t>> applied(targets.size());
  for (std::size_t row = 0; row < rows.size() && row < targets.size(); ++row) {
    if (rows.text(row, 0) != "t") continue;
    if (rows.is_null(row, 1)) {
      applied[row] = 0;
    } else if (const auto found = histories.find(rows.text(row, 1)); found != histories.end()) {
      applied[row] = found->second;
    }
  }
  co_return applied;
}

Task<Result<BatchReport>> migrate_schemas(const Cluster& cluster, std::string database,
                                          const std::vector<BatchTarget>& targets, const Bundle& bundle,
                                          BatchOptions batch, CallOptions options) {
  Batch work(cluster, std::move(database), targets, bundle, std::move(batch), options);
  co_return co_await work.run();
}

}  // namespace rowhouse::tenancy
