#include "tenancy/schema_batch.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <tuple>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "net/executor.h"
#include "tenancy/checker.h"
#include "tenancy/isolation_sql.h"
#include "tenancy/lint_structure.h"
#include "tenancy/pack_migrator.h"
#include "tenancy/row_rules.h"
#include "tenancy/schema_batch_looks.h"
#include "tenancy/schema_batch_script.h"
#include "tenancy/sql_scanner.h"

namespace rowhouse::tenancy {

namespace {

using Clock = std::chrono::steady_clock;

// Fewer go the slow way: to look at schemas costs a walk through the catalog of the whole database.
constexpr std::size_t kFewestAlike = 8;
// Schemas that are proven by one query.
constexpr std::size_t kProvenTogether = 10'000;
// A session remembers every table it has seen, and becomes slow and large.
constexpr std::size_t kSchemasOfOneSession = 250;
constexpr std::size_t kMaxDifferences = 5;

constexpr std::string_view kAppliedSql = R"sql(
SELECT n.oid IS NOT NULL, h.history, COALESCE(w.rules, '[]') = $2::jsonb
  FROM ROWS FROM (pg_catalog.json_array_elements_text($1::json)) WITH ORDINALITY s (name, position)
  LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = s.name::name
  LEFT JOIN (SELECT schema_name,
                    pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.string_agg(
                      pack || ' ' || number || ' ' || name || ' ' || checksum, ';' ORDER BY number), 'UTF8')), 'hex') AS history
               FROM rowhouse.pack_migrations GROUP BY schema_name) h ON h.schema_name = s.name
  LEFT JOIN rowhouse.row_rules w ON w.schema_name = s.name
 ORDER BY s.position
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

// What a migration can change, ever more.
enum class Reach { tables, definitions, rows };

Reach reach_of(const PackMigration& migration) {
  const auto statements = scan_statements(migration.sql);
  if (std::ranges::any_of(statements, touches_rows)) return Reach::rows;
  return std::ranges::all_of(statements, changes_tables_alone) ? Reach::tables : Reach::definitions;
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
    for (const PackMigration& migration : bundle.migrations) reach_.push_back(reach_of(migration));
  }

  Task<Result<BatchReport>> run();

 private:
  // Schemas that look the same, or are taken to: see form_groups().
  enum class Seen { before, afterwards };
  struct Group {
    Seen seen = Seen::before;
    std::vector<std::size_t> members;
    std::size_t led = 0;                // members that went the slow way to lead the others
    std::size_t first = 0;              // the one that succeeded
    std::optional<BatchScript> script;  // what it takes
  };
  struct Item {
    std::size_t target = 0;
    const Group* group = nullptr;
  };
  enum class Mended { nothing_to_do, changed, failed };
  struct Worker {
    std::optional<pg::Session> session;
    std::size_t schemas = 0;  // that it has seen
  };
  enum class WhenStopped { end, go_on };
  struct Queue {
    std::size_t next = 0, count = 0;
    WhenStopped when_stopped = WhenStopped::end;
  };
  using WorkOnOne = std::function<Task<void>(Worker&, std::size_t)>;
  struct Slow {
    Slow(std::size_t which, MigrationNotes* wanted) : target(which), notes(wanted) {}
    std::size_t target;
    MigrationNotes* notes;
  };

  Task<Result<std::vector<std::size_t>>> find_pending();
  Task<Result<void>> form_groups(std::vector<std::size_t> pending);
  Task<void> work(const WorkOnOne& one, std::size_t count, WhenStopped when_stopped);
  Task<void> work_through(Worker& worker, const WorkOnOne& one, Queue& queue);
  Task<void> lead(Worker& worker, Group& group);
  Task<void> follow(Worker& worker, Item item);
  Task<Result<void>> run_script(Worker& worker, const Item& item);
  Task<Result<int>> go_slowly(Worker& worker, Slow slow);
  Task<Result<int>> try_slowly(Worker& worker, Slow slow);
  Task<Result<void>> open(Worker& worker);
  Task<void> recover(Worker& worker, const Error& error);
  Task<void> prove(std::vector<Item> items);
  Task<void> mend_alike(Worker& worker, const std::vector<Item>& items);
  Task<Mended> mend(Worker& worker, Item item);
  Task<Result<void>> describe_faults(pg::Session& session, const Item& item, Error& error);
  Reach reach_from(const AppliedPack& applied) const;
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
    outcome.migrations_run =
        static_cast<int>(bundle_.migrations.size() - applied_[target].migrations.value_or(0));
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
  std::vector<Reach> reach_;          // of each migration
  std::vector<AppliedPack> applied_;  // what was there before
  std::vector<std::unique_ptr<Group>> groups_;
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
  co_await work(lead_one, groups_.size(), WhenStopped::end);

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
    co_await work(follow_one, count, WhenStopped::end);
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
  CO_TRY(applied_, co_await find_applied(cluster_, database_, targets_, bundle_, options_));
  std::vector<std::size_t> pending;
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    if (applied_[i].is_whole(bundle_)) {
      tell(i, TargetStatus::unchanged);
    } else {
      pending.push_back(i);
    }
  }
  co_return pending;
}

// Definitions that change make alike schemas of alike ones, whatever their rows are: to look at them
// afterwards is enough, and one look costs as much as the migrations. Statements that read rows may do in one
// schema what they do not do in another: to see that, all must have been alike before. Whatever cannot be
// seen is a group of its own.
Task<Result<void>> Batch::form_groups(std::vector<std::size_t> pending) {
  const bool are_many = pending.size() >= kFewestAlike;
  std::vector<SchemaScope> scopes;
  for (const std::size_t target : pending) {
    if (are_many && applied_[target].migrations && reach_from(applied_[target]) == Reach::rows)
      scopes.push_back(scope_of(target));
  }
  SchemaLooks looks;
  if (!scopes.empty()) {
    CO_TRY(looks,
           co_await read_schema_looks(cluster_, database_, std::move(scopes), LookFor::everything, options_));
  }
  std::map<std::tuple<std::size_t, bool, std::string_view, std::string_view>, Group*> known;
  for (const std::size_t target : pending) {
    const auto look = looks.find(targets_[target].schema);
    const bool is_seen = look != looks.end();
    Group* group = nullptr;
    const AppliedPack& applied = applied_[target];
    if (are_many && applied.migrations && (is_seen || reach_from(applied) != Reach::rows)) {
      const std::string_view text = is_seen ? std::string_view(look->second) : std::string_view();
      Group*& found = known[std::tuple(*applied.migrations, applied.has_row_rules,
                                       std::string_view(targets_[target].role), text)];
      if (found == nullptr) found = groups_.emplace_back(std::make_unique<Group>()).get();
      group = found;
      group->seen = is_seen ? Seen::before : Seen::afterwards;
    } else {
      group = groups_.emplace_back(std::make_unique<Group>()).get();
    }
    group->members.push_back(target);
  }
  report_.groups = groups_.size();
  co_return Result<void>();
}

Reach Batch::reach_from(const AppliedPack& applied) const {
  Reach farthest = Reach::tables;
  for (std::size_t i = applied.migrations.value_or(0); i < reach_.size(); ++i)
    farthest = std::max(farthest, reach_[i]);
  return farthest;
}

// Several sessions take one after the other.
Task<void> Batch::work(const WorkOnOne& one, std::size_t count, WhenStopped when_stopped) {
  const std::size_t sessions = std::clamp<std::size_t>(batch_.sessions, 1, kMaxBatchSessions);
  std::vector<Worker> workers(std::min(sessions, count));
  Queue queue;
  queue.count = count;
  queue.when_stopped = when_stopped;
  net::TaskGroup group;
  for (Worker& worker : workers) group.spawn(work_through(worker, one, queue));
  co_await group.join();
}

Task<void> Batch::work_through(Worker& worker, const WorkOnOne& one, Queue& queue) {
  while (queue.next < queue.count && (queue.when_stopped == WhenStopped::go_on || !stopping())) {
    Task<void> task = one(worker, queue.next++);
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
    const auto& before = applied_[target].migrations;
    const bool is_whole = before && notes.migrations.size() + *before == bundle_.migrations.size();
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
  std::set<const Group*> groups;
  LookFor what = LookFor::without_bodies;
  for (const Item& item : items) {
    if (reach_from(applied_[item.target]) != Reach::tables) what = LookFor::everything_there;
    scopes.push_back(scope_of(item.target));
    if (groups.insert(item.group).second) scopes.push_back(scope_of(item.group->first));
  }
  auto flushed = co_await flush();
  std::optional<Result<SchemaLooks>> looks;
  if (flushed.ok()) {
    looks = co_await read_schema_looks(cluster_, database_, std::move(scopes), what, options_);
  }
  if (!flushed.ok() || !looks->ok()) {
    const Error error = flushed.ok() ? looks->error() : flushed.error();
    for (const Item& item : items) fail(item.target, MigrationWay::fast, error);
    co_return;
  }
  std::map<std::pair<const Group*, std::string_view>, std::vector<Item>> others;
  for (const Item& item : items) {
    const auto look = (*looks)->find(targets_[item.target].schema);
    const auto first = (*looks)->find(targets_[item.group->first].schema);
    const bool is_seen = look != (*looks)->end();
    if (is_seen && first != (*looks)->end() && look->second == first->second) {
      succeed(item.target, MigrationWay::fast);
    } else {
      const std::string_view text = is_seen ? std::string_view(look->second) : std::string_view();
      others[std::pair(item.group, text)].push_back(item);
    }
  }
  std::vector<std::vector<Item>> kinds;
  for (auto& [look, alike] : others) {
    if (look.first->seen == Seen::afterwards) ++report_.groups;
    kinds.push_back(std::move(alike));
  }
  const WorkOnOne mend_one = [&kinds, this](Worker& worker, std::size_t i) {
    return mend_alike(worker, kinds[i]);
  };
  co_await work(mend_one, kinds.size(), WhenStopped::go_on);
}

// Schemas that look the same, but not as the first does. One that every rule is content with speaks for all.
Task<void> Batch::mend_alike(Worker& worker, const std::vector<Item>& items) {
  Mended last = Mended::changed;
  for (const Item& item : items) {
    if (last == Mended::nothing_to_do) {
      succeed(item.target, MigrationWay::fast);
    } else {
      last = co_await mend(worker, item);
      if (item.group->seen == Seen::before) last = Mended::changed;
    }
  }
}

// Whatever it is that differs: the slow way runs what is missing and gives the rights; then it is as it
// should be, or somebody has to look.
Task<Batch::Mended> Batch::mend(Worker& worker, Item item) {
  MigrationNotes notes;
  const Slow slow(item.target, &notes);
  auto ran = co_await go_slowly(worker, slow);
  if (!ran.ok()) {
    fail(item.target, MigrationWay::slow, std::move(ran).error());
    co_return Mended::failed;
  }
  Error error(ErrorCode::migration_failed, "The migrations ran in the schema " +
                                               targets_[item.target].schema +
                                               ", but now it is not as it should be");
  auto described = co_await describe_faults(*worker.session, item, error);
  if (!described.ok()) {
    co_await recover(worker, described.error());
    fail(item.target, MigrationWay::slow, std::move(described).error());
  } else if (!error.fields.empty()) {
    fail(item.target, MigrationWay::slow, std::move(error));
  } else {
    succeed(item.target, MigrationWay::slow);
    co_return notes.preparation.empty() && *ran == 0 ? Mended::nothing_to_do : Mended::changed;
  }
  co_return Mended::failed;
}

// Fields of `error`: the rules that the schema breaks, and, if it was like the first before, what it has
// otherwise than that one.
Task<Result<void>> Batch::describe_faults(pg::Session& session, const Item& item, Error& error) {
  CO_TRY_DO(co_await begin_as_owner(session, options_));
  CO_TRY_DO(co_await use_catalog_search_path(session, options_));
  if (item.group->seen == Seen::before) {
    CO_TRY(const Structure expected,
           co_await read_structure(session, scope_of(item.group->first), WithPrivileges::no, options_));
    CO_TRY(const Structure actual,
           co_await read_structure(session, scope_of(item.target), WithPrivileges::no, options_));
    const auto differences = compare_structures(expected, actual, scope_of(item.target), kMaxDifferences);
    for (const StructureDifference& difference : differences) {
      const std::string fix = difference.fix.empty() ? "" : ". Fix: " + difference.fix;
      error.fields.emplace_back(difference.object, difference.message + fix);
    }
  }
  CO_TRY(const auto findings,
         co_await check_isolation(session, targets_[item.target].schema, CheckTime::complete, options_));
  for (const Finding& finding : findings)
    error.fields.emplace_back(finding.object, finding.message + ". Fix: " + finding.fix);
  co_return co_await session.rollback(options_);
}

Task<Result<void>> Batch::flush() {
  CO_TRY(auto session, co_await cluster_.migrator(database_, options_));
  const std::string sql(kFlushSql);
  co_return co_await session.script(sql, options_);
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

Task<Result<std::vector<AppliedPack>>> find_applied(const Cluster& cluster, std::string database,
                                                    const std::vector<BatchTarget>& targets,
                                                    const Bundle& bundle, CallOptions options) {
  CO_TRY(auto session, co_await cluster.migrator(database, options));
  CO_TRY_DO(co_await begin_as_owner(session, options));
  pg::Params params;
  params.emplace_back(list_of(targets));
  params.emplace_back(row_rules_json(bundle));
  const pg::Statement query(std::string(kAppliedSql), std::move(params), pg::Access::read, pg::Reuse::once);
  CO_TRY(const auto rows, co_await session.query(query, options));
  CO_TRY_DO(co_await session.rollback(options));
  const auto histories = histories_of(bundle);
  std::vector<AppliedPack> applied(targets.size());
  for (std::size_t row = 0; row < rows.size() && row < targets.size(); ++row) {
    if (rows.text(row, 0) != "t") continue;
    applied[row].has_row_rules = rows.text(row, 2) == "t";
    if (rows.is_null(row, 1)) {
      applied[row].migrations = 0;
    } else if (const auto found = histories.find(rows.text(row, 1)); found != histories.end()) {
      applied[row].migrations = found->second;
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
