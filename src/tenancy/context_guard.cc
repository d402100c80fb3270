#include "tenancy/context_guard.h"

#include <algorithm>

#include "base/embedded.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "net/executor.h"
#include "pg/migrations.h"
#include "pg/quote.h"
#include "tenancy/context_keys.h"
#include "tenancy/packs.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::string_view kTenantMigrations = "sql/tenant/";
// Databases that are brought at the same time, each over a connection of its own.
constexpr std::size_t kParallelDatabases = 8;
// What should be may change while it is being done: a rotation goes on, a tenant is made.
constexpr int kMaxPasses = 5;
constexpr std::size_t kMarkDigits = 16;  // of a SHA-256, in hexadecimal
constexpr std::string_view kMarkPrefix =
    "Sets the tenant of this transaction, proven by a signature over all arguments and this backend. "
    "Installed: ";
constexpr std::string_view kCannotLoadHint =
    "run `make install-guard` on the machine of the PostgreSQL server, or set context_guard = auto";

// One node at a time changes keys or brings all databases; 'rowh' in ASCII, and a number of our own below it.
constexpr std::string_view kLockSql = "SELECT pg_catalog.pg_advisory_lock(1919907688, 4)";
constexpr std::string_view kUnlockSql = "SELECT pg_catalog.pg_advisory_unlock(1919907688, 4)";
constexpr std::chrono::seconds kUnlockDeadline{5};
constexpr std::string_view kTryLockSql = "SELECT pg_catalog.pg_try_advisory_lock(1919907688, 4)";
// In the database itself: one at a time installs there.
constexpr std::string_view kDatabaseLockSql = "SELECT pg_catalog.pg_advisory_xact_lock(1919907688, 3)";

// Keys travel as parameters. They must not reach the server's log, whatever the operator has set.
constexpr std::string_view kQuietSql =
    "SET log_statement = 'none'; SET log_duration = off; SET log_min_duration_statement = -1; "
    "SET log_min_duration_sample = -1; SET log_transaction_sample_rate = 0; "
    "SET log_min_error_statement = 'panic'; SET log_parameter_max_length = 0; "
    "SET log_parameter_max_length_on_error = 0";

// Loads the library and looks for a function of it; leaves nothing.
constexpr std::string_view kProbeSql =
    "BEGIN; CREATE FUNCTION pg_temp.rowhouse_probe() RETURNS trigger LANGUAGE c "
    "AS 'rowhouse_guard', 'rowhouse_context_keys_changed'; ROLLBACK";

constexpr std::string_view kRecordChoiceSql = R"(
INSERT INTO platform.settings AS s (key, value)
VALUES ('context_guard', pg_catalog.jsonb_build_object('implementation', $1::text, 'version', $2::text, 'reason', $3::text))
ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE s.value <> excluded.value)";

constexpr std::string_view kWantedSql = R"(
SELECT (SELECT value ->> 'implementation' FROM platform.settings WHERE key = 'context_guard'),
       (SELECT value ->> 'version' FROM platform.settings WHERE key = 'context_guard'),
       (SELECT pg_catalog.array_agg(generation ORDER BY generation)::text FROM platform.context_keys WHERE retired_at IS NULL))";

constexpr std::string_view kPacksSql = "SELECT name FROM platform.packs";

// Dropped, or under a name that somebody has made anew.
constexpr std::string_view kForgetSql = R"(
DELETE FROM platform.guarded_databases g
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_database d WHERE d.datname = g.database_name))";

// $1: databases of packs; $2: version; $3: generations. A tenant that is being made is its maker's until the
// maker has recorded its database; one that is being deleted is nobody's.
constexpr std::string_view kBehindSql = R"(
WITH own AS (
  SELECT d.database_name, t.status FROM platform.tenant_databases d JOIN platform.tenants t ON t.id = d.tenant_id
  WHERE d.kind = 'metadata' AND d.tier = 'database'
), wanted (name) AS (
  SELECT pg_catalog.unnest($1::text[])
  UNION SELECT database_name FROM own WHERE status NOT IN ('provisioning', 'deleting')
  UNION SELECT g.database_name FROM platform.guarded_databases g
        WHERE NOT EXISTS (SELECT FROM own WHERE own.database_name = g.database_name AND own.status = 'deleting')
)
SELECT w.name
FROM wanted w
LEFT JOIN platform.guarded_databases g ON g.database_name = w.name
LEFT JOIN pg_catalog.pg_database d ON d.datname = w.name
WHERE g.database_name IS NULL OR g.version <> $2::text OR g.generations <> $3::integer[]
   OR d.oid IS DISTINCT FROM g.database_oid
ORDER BY w.name)";

constexpr std::string_view kRecordSql = R"(
INSERT INTO platform.guarded_databases AS g (database_name, database_oid, version, generations)
VALUES ($1::text, $2::oid, $3::text, $4::integer[])
ON CONFLICT (database_name) DO UPDATE SET database_oid = excluded.database_oid, version = excluded.version,
  generations = excluded.generations, guarded_at = pg_catalog.clock_timestamp())";
constexpr std::string_view kRecordedVersionSql = R"(
SELECT g.version FROM platform.guarded_databases g
JOIN pg_catalog.pg_database d ON d.datname = g.database_name AND d.oid = g.database_oid
WHERE g.database_name = $1)";

// The mark that install() left, what it would be for the functions as they are now, and the database.
// A function that somebody replaced no longer fits the mark, nor does a restored dump, which holds no keys.
constexpr std::string_view kMarkSql = R"(
SELECT (SELECT pg_catalog.obj_description(p.oid, 'pg_proc') FROM pg_catalog.pg_proc p
        WHERE p.pronamespace = 'rowhouse'::pg_catalog.regnamespace AND p.proname = 'set_context'),
       (SELECT pg_catalog.md5(pg_catalog.concat_ws('|', pg_catalog.to_regclass('rowhouse.context_keys'),
               pg_catalog.to_regclass('rowhouse.context_number'),
               (SELECT pg_catalog.concat(s.seqcache, s.seqcycle, s.seqincrement) FROM pg_catalog.pg_sequence s
                WHERE s.seqrelid = pg_catalog.to_regclass('rowhouse.context_number')),
               (SELECT pg_catalog.string_agg(pg_catalog.concat(t.tgname, t.tgenabled), '|' ORDER BY t.tgname) FROM pg_catalog.pg_trigger t
                WHERE t.tgrelid = pg_catalog.to_regclass('rowhouse.context_keys') AND NOT t.tgisinternal),
               pg_catalog.string_agg(pg_catalog.concat_ws('|', p.proname, l.lanname, p.prosrc, p.probin, pg_catalog.pg_get_function_sqlbody(p.oid),
                 p.prosecdef, p.provolatile, p.proparallel, p.proowner, p.proconfig::text), '|' ORDER BY p.proname, p.oid)))
        FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
        WHERE p.pronamespace = 'rowhouse'::pg_catalog.regnamespace
          AND p.proname IN ('set_context', 'context_number', 'tenant_id', 'principal_id', 'principal_role', 'context_keys_changed')),
       (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))";

// Exactly these keys: $1 generations, $2 their bytes.
constexpr std::string_view kKeysSql = R"(
WITH valid AS (SELECT id, key FROM ROWS FROM (pg_catalog.unnest($1::integer[]), pg_catalog.unnest($2::bytea[])) AS k (id, key)),
gone AS (DELETE FROM rowhouse.context_keys c WHERE c.id <> ALL ($1::integer[]))
INSERT INTO rowhouse.context_keys AS c (id, key) SELECT id, key FROM valid
ON CONFLICT (id) DO UPDATE SET key = excluded.key WHERE c.key <> excluded.key)";

// One row or two, which to read as a whole takes less than to search an index. The planner has to be told.
constexpr std::string_view kAnalyzeKeysSql = "ANALYZE rowhouse.context_keys (id)";

pg::Statement statement(std::string_view sql, pg::Params params = {}) {
  return pg::Statement(std::string(sql), std::move(params), pg::Access::write, pg::Reuse::once);
}

std::string text_array(const std::vector<std::string>& names) {
  std::string array = "{";
  for (const auto& name : names) array += (array.size() > 1 ? ",\"" : "\"") + name + "\"";
  return array + "}";
}

// The SQL of an implementation. A binary without it cannot have been built.
Result<std::string> sql_of(GuardImplementation implementation) {
  const std::string path = "sql/guard/" + std::string(guard_implementation_name(implementation)) + ".sql";
  for (const auto& file : embedded_files()) {
    if (file.path == path) return std::string(file.content);
  }
  return Error(ErrorCode::internal, "this binary holds no " + path);
}

// What `version` in the platform database is: the implementation, and a digest of all SQL that belongs to it.
Result<std::string> version_of(GuardImplementation implementation) {
  TRY(const std::string sql, sql_of(implementation));
  crypto::Sha256 digest;
  digest.update(sql);
  for (const auto& file : embedded_files()) {
    if (file.path.starts_with(kTenantMigrations)) digest.update(file.content);
  }
  return std::string(guard_implementation_name(implementation)) + " " +
         to_hex(digest.finish()).substr(0, kMarkDigits);
}

// For the operator: PostgreSQL's own words, where it said something.
std::string words_of(const Error& error) {
  const auto words = error.detail(pg::kServerMessage);
  return words.empty() ? error.message : std::string(words);
}

bool is_over(const Error& error, CallOptions options) {
  return error.code == ErrorCode::cancelled || options.deadline <= std::chrono::steady_clock::now();
}

// "{1,2}" → 1, 2.
std::vector<std::int32_t> parse_generations(std::string_view array) {
  std::vector<std::int32_t> generations;
  if (array.size() < 2) return generations;
  for (const auto number : split(array.substr(1, array.size() - 2), ',')) {
    if (const auto value = parse_int64(number)) generations.push_back(static_cast<std::int32_t>(*value));
  }
  return generations;
}

std::string keys_array(const Credentials& credentials, const std::vector<std::int32_t>& generations,
                       const std::string& database) {
  std::string array = "{";
  for (const auto generation : generations) {
    const auto key = derive_context_key(credentials, generation, database);
    array += (array.size() > 1 ? ",\"\\\\x" : "\"\\\\x") + to_hex(key.bytes) + "\"";
  }
  return array + "}";
}

}  // namespace

// What every database should be brought to.
struct ContextGuard::Wanted {
  GuardImplementation implementation = GuardImplementation::portable;
  std::string version;
  std::string generations;  // "{1,2}"
  // A node of another version has started since: it brings all databases to its own.
  enum class Decider { this_version, another_version } decider = Decider::this_version;
  bool operator==(const Wanted&) const = default;
};

// The work of bring_all(), shared by the coroutines that do it.
struct ContextGuard::Sweep {
  Sweep(std::vector<std::string> names, const Wanted& what) : databases(std::move(names)), wanted(what) {}
  std::vector<std::string> databases;
  const Wanted& wanted;
  std::size_t next = 0;
  GuardReport report;
  std::optional<Error> over;  // no time left, or nobody waits
};

std::string_view guard_implementation_name(GuardImplementation implementation) {
  return implementation == GuardImplementation::extension ? "extension" : "portable";
}

Task<Result<GuardChoice>> ContextGuard::choose(GuardMode mode, CallOptions options) {
  GuardChoice choice;
  choice.reason = "the configuration says so";
  if (mode != GuardMode::portable) {
    CO_TRY(auto session, co_await cluster_.administrator(kMaintenanceDatabase, options));
    const std::string probe(kProbeSql);
    const auto loaded = co_await session.script(probe, options);
    if (!loaded.ok() && is_over(loaded.error(), options)) co_return loaded.error();
    if (!loaded.ok() && loaded.error().code == ErrorCode::database_unavailable) co_return loaded.error();
    if (loaded.ok()) {
      choice.implementation = GuardImplementation::extension;
      if (mode == GuardMode::automatic) choice.reason = "the server can load the library";
    } else if (mode == GuardMode::extension) {
      co_return Error(ErrorCode::config_invalid,
                      "context_guard = extension, but the PostgreSQL server cannot load " +
                          std::string(kGuardLibrary) + ": " + words_of(loaded.error()) + "; " +
                          std::string(kCannotLoadHint));
    } else {
      choice.reason = "the server cannot load the library: " + words_of(loaded.error());
    }
  }
  CO_TRY(const std::string version, version_of(choice.implementation));
  pg::Params params;
  params.emplace_back(std::string(guard_implementation_name(choice.implementation)));
  params.emplace_back(version);
  params.emplace_back(choice.reason);
  const auto store = statement(kRecordChoiceSql, std::move(params));
  CO_TRY_DO(co_await platform_.run(nullptr, store, options));
  co_return choice;
}

Task<Result<ContextGuard::Wanted>> ContextGuard::wanted(CallOptions options) {
  const auto query = statement(kWantedSql);
  CO_TRY(const auto rows, co_await platform_.run(nullptr, query, options));
  Wanted result;
  if (rows.text(0, 0) == guard_implementation_name(GuardImplementation::extension)) {
    result.implementation = GuardImplementation::extension;
  }
  CO_TRY(result.version, version_of(result.implementation));
  if (!rows.is_null(0, 1) && rows.text(0, 1) != result.version) {
    result.decider = Wanted::Decider::another_version;
  }
  result.generations = rows.is_null(0, 2) ? "{}" : std::string(rows.text(0, 2));
  co_return result;
}

// Returns the OID of the database.
Task<Result<std::string>> ContextGuard::install(std::string database, const Wanted& wanted,
                                                CallOptions options) {
  CO_TRY(auto session, co_await cluster_.administrator(database, options));
  const std::string quiet(kQuietSql);
  CO_TRY_DO(co_await session.script(quiet, options));
  pg::Params name;
  name.emplace_back(database);
  const auto recorded_version = statement(kRecordedVersionSql, std::move(name));
  CO_TRY(const auto recorded, co_await platform_.run(nullptr, recorded_version, options));
  if (recorded.size() == 0 || recorded.text(0, 0) != wanted.version) {
    CO_TRY(const auto migrations, pg::migrations_from_embedded(kTenantMigrations));
    CO_TRY_DO(co_await pg::run_migrations(session, migrations, options));
  }

  CO_TRY_DO(co_await session.begin(nullptr, options));
  const auto lock = statement(kDatabaseLockSql);
  CO_TRY_DO(co_await session.query(lock, options));
  const auto read_mark = statement(kMarkSql);
  CO_TRY(auto marks, co_await session.query(read_mark, options));
  const auto mark_for = [&](const pg::Rows& rows) {
    return std::string(kMarkPrefix) + wanted.version + " " + std::string(rows.text(0, 1));
  };
  std::string oid(marks.text(0, 2));
  if (marks.text(0, 0) != mark_for(marks)) {
    CO_TRY(const std::string sql, sql_of(wanted.implementation));
    CO_TRY_DO(co_await session.script(sql, options));
    CO_TRY(marks, co_await session.query(read_mark, options));
    const std::string set_mark =
        "RESET ROLE; COMMENT ON FUNCTION rowhouse.set_context IS " + pg::quote_literal(mark_for(marks));
    CO_TRY_DO(co_await session.script(set_mark, options));
  }
  pg::Params keys;
  keys.emplace_back(wanted.generations);
  keys.emplace_back(keys_array(cluster_.credentials(), parse_generations(wanted.generations), database));
  const auto put_keys = statement(kKeysSql, std::move(keys));
  CO_TRY_DO(co_await session.query(put_keys, options));
  const auto analyze = statement(kAnalyzeKeysSql);
  CO_TRY_DO(co_await session.query(analyze, options));
  CO_TRY_DO(co_await session.commit(options));
  co_return oid;
}

Task<Result<void>> ContextGuard::record(std::string database, std::string oid, const Wanted& wanted,
                                        CallOptions options) {
  pg::Params params;
  params.emplace_back(std::move(database));
  params.emplace_back(std::move(oid));
  params.emplace_back(wanted.version);
  params.emplace_back(wanted.generations);
  const auto store = statement(kRecordSql, std::move(params));
  CO_TRY_DO(co_await platform_.run(nullptr, store, options));
  co_return Result<void>();
}

Task<Result<void>> ContextGuard::bring_to(std::string database, const Wanted& wanted, CallOptions options) {
  CO_TRY(std::string oid, co_await install(database, wanted, options));
  co_return co_await record(std::move(database), std::move(oid), wanted, options);
}

// What should be is read again after it was recorded: a rotation that began before sees the record, one that
// begins later is seen here.
Task<Result<void>> ContextGuard::bring(std::string database, CallOptions options) {
  CO_TRY(Wanted current, co_await wanted(options));
  for (int pass = 1; pass <= kMaxPasses; ++pass) {
    CO_TRY_DO(co_await bring_to(database, current, options));
    CO_TRY(Wanted after, co_await wanted(options));
    if (after == current) co_return Result<void>();
    current = std::move(after);
  }
  co_return Error(ErrorCode::conflict, "the keys of tenant contexts keep changing; try again");
}

Task<Result<pg::Session>> ContextGuard::lock(CallOptions options) {
  CO_TRY(auto session, co_await platform_.acquire(options));
  const auto take = statement(kLockSql);
  CO_TRY_DO(co_await session.query(take, options));
  co_return session;
}

Task<Result<std::optional<pg::Session>>> ContextGuard::try_lock(CallOptions options) {
  CO_TRY(auto session, co_await platform_.acquire(options));
  const auto take = statement(kTryLockSql);
  CO_TRY(const auto rows, co_await session.query(take, options));
  if (rows.text(0, 0) != "t") co_return std::optional<pg::Session>();
  co_return std::optional<pg::Session>(std::move(session));
}

// A session that does not answer in time is as good as gone, and the lock with it.
Task<void> ContextGuard::unlock(pg::Session& held) {
  const CallOptions options{deadline_in(kUnlockDeadline), nullptr};
  const auto release = statement(kUnlockSql);
  [[maybe_unused]] const auto released = co_await held.query(release, options);
}

Task<Result<std::vector<std::string>>> ContextGuard::behind_of(const Wanted& wanted, CallOptions options) {
  std::vector<std::string> names;
  if (wanted.decider == Wanted::Decider::another_version) co_return names;
  const auto list_packs = statement(kPacksSql);
  CO_TRY(const auto packs, co_await platform_.run(nullptr, list_packs, options));
  std::vector<std::string> shared;
  for (std::size_t row = 0; row < packs.size(); ++row) {
    shared.push_back(pool_database_name(packs.text(row, 0)));
    shared.push_back(template_database_name(packs.text(row, 0)));
  }
  pg::Params params;
  params.emplace_back(text_array(shared));
  params.emplace_back(wanted.version);
  params.emplace_back(wanted.generations);
  const auto query = statement(kBehindSql, std::move(params));
  CO_TRY(const auto rows, co_await platform_.run(nullptr, query, options));
  for (std::size_t row = 0; row < rows.size(); ++row) names.emplace_back(rows.text(row, 0));
  co_return names;
}

Task<Result<std::vector<std::string>>> ContextGuard::behind(CallOptions options) {
  const auto forget = statement(kForgetSql);
  CO_TRY_DO(co_await platform_.run(nullptr, forget, options));
  CO_TRY(const Wanted current, co_await wanted(options));
  co_return co_await behind_of(current, options);
}

// One of the coroutines that work through the list.
Task<void> ContextGuard::sweep(Sweep& work, CallOptions options) {
  while (work.next < work.databases.size() && !work.over) {
    const std::string database = work.databases[work.next++];
    const auto brought = co_await bring_to(database, work.wanted, options);
    if (brought.ok()) {
      work.report.brought.push_back(database);
    } else if (is_over(brought.error(), options)) {
      work.over = brought.error();
    } else {
      work.report.failed.emplace_back(database, words_of(brought.error()));
    }
  }
}

Task<Result<GuardReport>> ContextGuard::bring_all(CallOptions options) {
  const auto forget = statement(kForgetSql);
  CO_TRY_DO(co_await platform_.run(nullptr, forget, options));
  CO_TRY(const Wanted current, co_await wanted(options));
  if (current.decider == Wanted::Decider::another_version) {
    co_return Error(
        ErrorCode::conflict,
        "a node of another version of Rowhouse, or with another context_guard, has started since this "
        "one; keys are its to change");
  }
  CO_TRY(auto names, co_await behind_of(current, options));
  Sweep work(std::move(names), current);
  net::TaskGroup group;
  const std::size_t parallel = std::min(kParallelDatabases, work.databases.size());
  for (std::size_t i = 0; i < parallel; ++i) group.spawn(sweep(work, options));
  co_await group.join();
  if (work.over) co_return *work.over;
  co_return std::move(work.report);
}

Task<Result<GuardReport>> ContextGuard::catch_up(CallOptions options) {
  CO_TRY(const auto names, co_await behind(options));
  if (names.empty()) co_return GuardReport();
  CO_TRY(auto held, co_await lock(options));
  auto report = co_await bring_all(options);
  co_await unlock(held);
  co_return report;
}

Task<Result<std::shared_ptr<const pg::ContextKey>>> ContextGuard::signing_key(std::string database,
                                                                              CallOptions options) {
  CO_TRY(const std::int32_t generation, co_await signing_generation(platform_, options));
  co_return std::make_shared<const pg::ContextKey>(
      derive_context_key(cluster_.credentials(), generation, database));
}

}  // namespace rowhouse::tenancy
