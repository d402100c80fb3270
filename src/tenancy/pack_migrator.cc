#include "tenancy/pack_migrator.h"

#include <algorithm>
#include <utility>

#include "pg/quote.h"
#include "tenancy/checker.h"
#include "tenancy/isolation_sql.h"
#include "tenancy/row_rules.h"
#include "tenancy/sql_scanner.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::string_view kAppliedSql =
    "SELECT number, pack, name, checksum FROM rowhouse.pack_migrations WHERE schema_name = $1 ORDER BY "
    "number";

// The record comes first and serves as the lock: another node that runs the same migration waits here until
// this transaction has ended, and then finds it done.
constexpr std::string_view kRecordSql =
    "INSERT INTO rowhouse.pack_migrations (schema_name, pack, number, name, checksum) "
    "VALUES ($1, $2, $3::integer, $4, $5) ON CONFLICT DO NOTHING";

constexpr std::string_view kStateSql =
    "SELECT pg_catalog.pg_current_xact_id_if_assigned()::text, CURRENT_USER::text, "
    "pg_catalog.current_setting('search_path'), pg_catalog.current_setting('session_replication_role')";

constexpr std::string_view kSchemaExistsSql = "SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1";

constexpr std::string_view kRuntimeReadySql =
    "SELECT pg_catalog.has_schema_privilege($1, 'rowhouse', 'USAGE') "
    "AND pg_catalog.has_function_privilege($1, 'rowhouse.tenant_id()', 'EXECUTE') "
    "AND pg_catalog.has_table_privilege($1, 'rowhouse.idempotency_keys', 'SELECT, DELETE')";

// Rows are hidden from the owner by FORCE alone; see the contract in the header.
constexpr std::string_view kUnforceSql = R"sql(
SELECT COALESCE(pg_catalog.string_agg(pg_catalog.format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', r.name), ';' ORDER BY r.name), '')
  FROM relation r WHERE r.is_table AND r.is_forced AND r.owner = (SELECT oid FROM owner_role)
)sql";

pg::Params list(std::initializer_list<std::string_view> values) {
  pg::Params params;
  for (const std::string_view value : values) params.emplace_back(std::string(value));
  return params;
}

pg::Statement once(std::string_view sql, pg::Params params) {
  return pg::Statement(std::string(sql), std::move(params), pg::Access::write, pg::Reuse::once);
}

struct SessionState {
  std::string transaction, user, search_path, replication_role;
  bool operator==(const SessionState&) const = default;
};

Task<Result<SessionState>> read_state(pg::Session& session, CallOptions options) {
  const pg::Statement statement = once(kStateSql, pg::Params());
  CO_TRY(const auto rows, co_await session.query(statement, options));
  SessionState state;
  state.transaction = rows.text(0, 0);
  state.user = rows.text(0, 1);
  state.search_path = rows.text(0, 2);
  state.replication_role = rows.text(0, 3);
  co_return state;
}

// What the migration did to the session that it must not.
std::vector<Finding> compare_states(const PackMigration& migration, const SessionState& before,
                                    const SessionState& after) {
  std::vector<Finding> findings;
  if (after.transaction != before.transaction) {
    findings.emplace_back("migration-ends-transaction", migration.name, "the migration ended its transaction",
                          "Leave COMMIT and ROLLBACK out: Rowhouse commits when everything is in place.");
  }
  if (after.user != before.user) {
    findings.emplace_back("migration-changes-role", migration.name,
                          "the migration changed the role to " + after.user,
                          "Leave SET ROLE and SET SESSION AUTHORIZATION out.");
  }
  if (after.transaction == before.transaction &&
      (after.search_path != before.search_path || after.replication_role != before.replication_role)) {
    findings.emplace_back("migration-changes-settings", migration.name,
                          "the migration changed the session's settings",
                          "Leave SET out, or give functions their own settings.");
  }
  return findings;
}

std::vector<Finding> check_statements(const PackMigration& migration,
                                      const std::vector<SqlStatement>& statements) {
  std::vector<Finding> findings;
  for (const SqlStatement& statement : statements) {
    const std::string_view fault = fault_of_statement(statement);
    if (fault.empty()) continue;
    findings.emplace_back(
        "migration-statement", migration.name + ":" + std::to_string(statement.line),
        statement.words[0] + " in line " + std::to_string(statement.line) + ": " + std::string(fault),
        "Leave the statement out.");
  }
  return findings;
}

Error failure_of(const PackMigration& migration, const Error& cause) {
  std::string message = "Migration " + migration.name + " failed";
  const std::string_view words = cause.detail(pg::kServerMessage);
  message += ": " + (words.empty() ? cause.message : std::string(words));
  Error error(ErrorCode::migration_failed, std::move(message));
  error.details = cause.details;
  return error;
}

// Errors that say nothing about the migration: the server or the caller went away.
bool is_outage(const Error& error) {
  return error.code == ErrorCode::database_unavailable || error.code == ErrorCode::cancelled ||
         error.code == ErrorCode::statement_timeout || error.code == ErrorCode::disk_full;
}

// One schema while its migrations run.
class SchemaMigrator {
 public:
  SchemaMigrator(pg::Session& session, std::string schema, std::string runtime_role, const Bundle& bundle,
                 MigrationSettings settings, CallOptions options)
      : session_(session),
        schema_(std::move(schema)),
        runtime_role_(std::move(runtime_role)),
        bundle_(bundle),
        settings_(settings),
        begin_(begin_as_owner_sql(settings.lock_timeout)),
        options_(options),
        row_rules_(row_rules_json(bundle)) {}

  Task<Result<MigratedSchema>> run();

 private:
  enum class Step { ran, done_by_another, refused };

  Task<Result<std::size_t>> count_applied();
  Task<Result<void>> prepare();
  Task<Result<Step>> apply(const PackMigration& migration);
  Task<Result<Step>> apply_in_transaction(const PackMigration& migration);
  Task<Result<void>> execute(const PackMigration& migration, const std::vector<SqlStatement>& statements);
  Task<Result<void>> lift_force();
  Task<Result<std::string>> protect();
  Task<Result<void>> settle_row_rules();
  Task<Result<std::string>> take_row_rules();
  Task<Result<Step>> refuse();
  bool is_last(const PackMigration& migration) const { return &migration == &bundle_.migrations.back(); }
  bool must_refuse() const { return settings_.on_finding == OnFinding::refuse && !result_.findings.empty(); }
  void add(std::vector<Finding> findings) {
    for (Finding& finding : findings) result_.findings.push_back(std::move(finding));
  }

  pg::Session& session_;
  const std::string schema_;
  const std::string runtime_role_;
  const Bundle& bundle_;
  const MigrationSettings settings_;
  const std::string begin_;
  const CallOptions options_;
  const std::string row_rules_;
  enum class RowRules { unknown, taken } row_rules_state_ = RowRules::unknown;
  std::string before_;  // what ran before the text of the current migration
  MigratedSchema result_;
};

Task<Result<MigratedSchema>> SchemaMigrator::run() {
  CO_TRY_DO(co_await prepare());
  CO_TRY(const std::size_t applied, co_await count_applied());
  if (applied == bundle_.migrations.size()) CO_TRY_DO(co_await settle_row_rules());
  for (std::size_t i = applied; i < bundle_.migrations.size(); ++i) {
    CO_TRY(const Step step, co_await apply(bundle_.migrations[i]));
    if (step == Step::refused) break;
    if (step == Step::ran) ++result_.migrations_run;
  }
  co_return std::move(result_);
}

// The schema itself, and what its roles need, also where no migration is missing: a clone has another runtime
// role.
Task<Result<void>> SchemaMigrator::prepare() {
  CO_TRY_DO(co_await session_.script(begin_, options_));
  const pg::Statement exists = once(kSchemaExistsSql, list({schema_}));
  CO_TRY(const auto schemas, co_await session_.query(exists, options_));
  if (schemas.size() == 0 && settings_.missing_schema == MissingSchema::refuse) {
    CO_TRY_DO(co_await session_.rollback(options_));
    co_return Error(ErrorCode::not_found, "There is no schema " + schema_);
  }
  if (schemas.size() == 0) {
    const std::string create = "CREATE SCHEMA IF NOT EXISTS " + pg::quote_name(schema_);
    CO_TRY_DO(co_await session_.script(create, options_));
  }
  if (!runtime_role_.empty()) {
    const pg::Statement ready_query = once(kRuntimeReadySql, list({runtime_role_}));
    CO_TRY(const auto ready, co_await session_.query(ready_query, options_));
    if (ready.text(0, 0) != "t") {
      const pg::Statement grant = once("SELECT rowhouse.grant_runtime($1)", list({runtime_role_}));
      CO_TRY_DO(co_await session_.query(grant, options_));
    }
  }
  CO_TRY(auto preparation, co_await protect());
  if (settings_.notes != nullptr) settings_.notes->preparation = std::move(preparation);
  co_return co_await session_.commit(options_);
}

// Returns what it ran.
Task<Result<std::string>> SchemaMigrator::protect() {
  CO_TRY(std::string script, co_await write_protection(session_, schema_, runtime_role_, options_));
  if (!script.empty()) CO_TRY_DO(co_await session_.script(script, options_));
  co_return script;
}

// No migration is missing, so nothing else brings them.
Task<Result<void>> SchemaMigrator::settle_row_rules() {
  CO_TRY_DO(co_await session_.script(begin_, options_));
  CO_TRY(auto script, co_await take_row_rules());
  if (settings_.notes != nullptr) {
    std::string& preparation = settings_.notes->preparation;
    if (!preparation.empty() && !script.empty()) preparation += ";\n";
    preparation += script;
  }
  co_return co_await session_.commit(options_);
}

// Those of the bundle, in place of what held here before. Where a rule needs what a migration has yet to
// make, the policy of before stays until then. Returns what it ran.
Task<Result<std::string>> SchemaMigrator::take_row_rules() {
  if (row_rules_state_ == RowRules::taken) co_return std::string();
  row_rules_state_ = RowRules::taken;
  const pg::Statement known = once(kHasRowRulesSql, list({schema_, row_rules_}));
  CO_TRY(const auto rows, co_await session_.query(known, options_));
  if (rows.text(0, 0) == "t") co_return std::string();
  std::string script = write_row_rules_sql(schema_, row_rules_);
  CO_TRY_DO(co_await session_.script(script, options_));
  CO_TRY(const auto policies, co_await protect());
  if (!policies.empty()) script += ";\n" + policies;
  result_.row_rules_changed = true;
  co_return script;
}

// How many migrations ran here; they must be the first ones of the bundle.
Task<Result<std::size_t>> SchemaMigrator::count_applied() {
  CO_TRY_DO(co_await session_.script(begin_, options_));
  const pg::Statement query = once(kAppliedSql, list({schema_}));
  CO_TRY(const auto rows, co_await session_.query(query, options_));
  CO_TRY_DO(co_await session_.commit(options_));
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const std::string name(rows.text(row, 2));
    if (rows.text(row, 1) != bundle_.manifest.name) {
      co_return Error(ErrorCode::migration_changed,
                      "The schema " + schema_ + " belongs to the pack " + std::string(rows.text(row, 1)));
    }
    if (row >= bundle_.migrations.size()) {
      co_return Error(ErrorCode::migration_changed, "Migration " + name + " has run in the schema " +
                                                        schema_ + ", but the pack does not have it");
    }
    const PackMigration& migration = bundle_.migrations[row];
    if (migration.name != name || migration.checksum() != rows.text(row, 3)) {
      co_return Error(ErrorCode::migration_changed,
                      "Migration " + name + " has run in the schema " + schema_ +
                          " and was changed since; add a further migration instead");
    }
  }
  co_return rows.size();
}

Task<Result<SchemaMigrator::Step>> SchemaMigrator::apply(const PackMigration& migration) {
  const auto statements = scan_statements(migration.sql);
  add(check_statements(migration, statements));
  // Never run, not even in a scratch database: what they do cannot be undone.
  if (!result_.findings.empty() && result_.findings.back().rule == "migration-statement")
    co_return Step::refused;

  CO_TRY_DO(co_await session_.script(begin_, options_));
  const std::string number = std::to_string(migration.number);
  const pg::Statement record =
      once(kRecordSql, list({schema_, bundle_.manifest.name, number, migration.name, migration.checksum()}));
  CO_TRY(const auto recorded, co_await session_.query(record, options_));
  if (recorded.affected() == 0) {
    CO_TRY_DO(co_await session_.rollback(options_));
    co_return Step::done_by_another;
  }
  auto executed = co_await execute(migration, statements);
  if (!executed.ok()) {
    if (is_outage(executed.error())) co_return std::move(executed).error();
    CO_TRY_DO(co_await session_.rollback(options_));
    Error failure = failure_of(migration, executed.error());
    if (settings_.on_finding == OnFinding::refuse) co_return failure;
    result_.findings.emplace_back("migration-failed", migration.name, failure.message,
                                  "Correct the migration.");
    co_return Step::refused;
  }
  co_return co_await apply_in_transaction(migration);
}

// The script itself, and what it did to the session.
Task<Result<void>> SchemaMigrator::execute(const PackMigration& migration,
                                           const std::vector<SqlStatement>& statements) {
  CO_TRY(before_, co_await take_row_rules());
  if (std::ranges::any_of(statements, touches_rows)) CO_TRY_DO(co_await lift_force());
  const std::string enter = "SET LOCAL search_path = " + pg::quote_name(schema_) + ", pg_temp";
  CO_TRY_DO(co_await session_.script(enter, options_));
  CO_TRY(const SessionState before, co_await read_state(session_, options_));
  CO_TRY_DO(co_await session_.script(migration.sql, options_));
  CO_TRY(const SessionState after, co_await read_state(session_, options_));
  add(compare_states(migration, before, after));
  co_return Result<void>();
}

Task<Result<void>> SchemaMigrator::lift_force() {
  SchemaScope scope;
  scope.schema = schema_;
  const pg::Statement query(isolation_catalog(CatalogScope::one_schema) + std::string(kUnforceSql),
                            catalog_parameters(scope), pg::Access::read, pg::Reuse::once);
  CO_TRY(const auto rows, co_await session_.query(query, options_));
  const std::string lift(rows.text(0, 0));
  if (lift.empty()) co_return Result<void>();
  before_ += (before_.empty() ? "" : ";\n") + lift;
  co_return co_await session_.script(lift, options_);
}

// After the script: privileges as the author left them, protection, rules, commit.
Task<Result<SchemaMigrator::Step>> SchemaMigrator::apply_in_transaction(const PackMigration& migration) {
  const auto changed_session = [](const Finding& finding) { return finding.rule.starts_with("migration-"); };
  if (std::ranges::any_of(result_.findings, changed_session)) co_return co_await refuse();
  CO_TRY(auto privileges,
         co_await check_isolation(session_, schema_, CheckTime::before_protection, options_));
  add(std::move(privileges));
  if (must_refuse()) co_return co_await refuse();
  CO_TRY(auto protection, co_await protect());
  if (settings_.on_finding == OnFinding::refuse && is_last(migration)) {
    CO_TRY(auto broken, co_await check_isolation(session_, schema_, CheckTime::complete, options_));
    add(std::move(broken));
    if (must_refuse()) co_return co_await refuse();
  }
  CO_TRY_DO(co_await session_.commit(options_));
  if (settings_.notes != nullptr) {
    MigrationNotes::Migration& note = settings_.notes->migrations.emplace_back();
    note.migration = &migration;
    note.before = before_;
    note.after = std::move(protection);
  }
  co_return Step::ran;
}

Task<Result<SchemaMigrator::Step>> SchemaMigrator::refuse() {
  CO_TRY_DO(co_await session_.rollback(options_));
  co_return Step::refused;
}

}  // namespace

// A migration that waits for a lock makes everybody behind it wait, too: it gives up and is run again later.
std::string begin_as_owner_sql(std::chrono::milliseconds lock_timeout) {
  return "BEGIN; SET LOCAL ROLE tenant_owner; SET LOCAL lock_timeout = " +
         std::to_string(lock_timeout.count());
}

Task<Result<void>> begin_as_owner(pg::Session& session, CallOptions options) {
  static const std::string kSql = begin_as_owner_sql(MigrationSettings().lock_timeout);
  return session.script(kSql, options);
}

Task<Result<MigratedSchema>> migrate_schema(pg::Session& session, std::string schema,
                                            std::string runtime_role, const Bundle& bundle,
                                            OnFinding on_finding, CallOptions options) {
  MigrationSettings settings;
  settings.on_finding = on_finding;
  co_return co_await migrate_schema(session, std::move(schema), std::move(runtime_role), bundle, settings,
                                    options);
}

Task<Result<MigratedSchema>> migrate_schema(pg::Session& session, std::string schema,
                                            std::string runtime_role, const Bundle& bundle,
                                            MigrationSettings settings, CallOptions options) {
  SchemaMigrator migrator(session, std::move(schema), std::move(runtime_role), bundle, settings, options);
  co_return co_await migrator.run();
}

Error refusal(const std::string& pack, const std::vector<Finding>& findings) {
  Error error(ErrorCode::pack_refused, "The pack " + pack + " breaks " + std::to_string(findings.size()) +
                                           (findings.size() == 1 ? " rule" : " rules"));
  for (const Finding& finding : findings) {
    error.fields.emplace_back(finding.object,
                              finding.rule + ": " + finding.message + ". Fix: " + finding.fix);
  }
  return error;
}

}  // namespace rowhouse::tenancy
