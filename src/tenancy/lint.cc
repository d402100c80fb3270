#include "tenancy/lint.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "base/text.h"
#include "tenancy/checker.h"
#include "tenancy/lint_alike.h"
#include "tenancy/lint_context_keys.h"
#include "tenancy/lint_drift.h"
#include "tenancy/lint_inventory.h"
#include "tenancy/lint_rules.h"
#include "tenancy/lint_snapshot.h"
#include "tenancy/row_rules.h"

namespace rowhouse::tenancy {

namespace {

// Each works on one database at a time; connections are dear where tenants have databases of their own.
constexpr std::size_t kParallelDatabases = 4;
// Objects may go while their definitions are read.
constexpr int kAttempts = 3;

// Definitions of tables are read under a lock that somebody else may hold against all.
constexpr std::string_view kLockNotAvailable = "55P03";

constexpr std::string_view kLastKey = "lint.last";
constexpr std::string_view kKeepSql =
    "INSERT INTO platform.settings (key, value) VALUES ($1, $2::jsonb || pg_catalog.jsonb_build_object("
    "'finished_at', pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', "
    "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'))) "
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value";
constexpr std::string_view kLastSql =
    "SELECT value->>'finished_at', value->>'errors', value->>'warnings', value->>'databases', "
    "value->>'schemas', "
    "value->>'duration_ms' FROM platform.settings WHERE key = $1";

struct NamedRule {
  std::string_view name, sql;
};

// One query of all rules, over common tables.
std::string union_of(std::string head, const std::vector<NamedRule>& rules) {
  std::string_view separator;
  head += "SELECT * FROM (";
  for (const NamedRule& rule : rules) {
    head += separator;
    append_rule(head, rule.name, rule.sql);
    separator = "\nUNION ALL";
  }
  return head + "\n) findings LIMIT " + std::to_string(kMaxFindings);
}

bool is_linted(RuleUse use) {
  return use == RuleUse::pack_and_lint || use == RuleUse::before_and_lint || use == RuleUse::lint;
}

std::string schema_rules_query() {
  std::vector<NamedRule> rules;
  for (const IsolationRule& rule : isolation_rules()) {
    if (is_linted(rule.use)) rules.push_back(NamedRule{rule.name, rule.sql});
  }
  return union_of(isolation_catalog(CatalogScope::many_schemas) + std::string(kRowRuleCatalog) +
                      std::string(kRuleCatalog) + std::string(kGrantCatalog),
                  rules);
}

std::string lint_rules_query(std::string_view catalog, std::span<const LintRule> list) {
  std::vector<NamedRule> rules;
  for (const LintRule& rule : list) rules.push_back(NamedRule{rule.name, rule.sql});
  return union_of(std::string(catalog), rules);
}

const std::string& server_rules_query() {
  static const std::string kSql = lint_rules_query(kServerCatalog, server_rules());
  return kSql;
}

Severity severity_of_rule(std::string_view name) {
  static const std::vector<RuleInfo> kRules = lint_rules();
  const auto found = std::ranges::find(kRules, name, &RuleInfo::name);
  return found == kRules.end() ? Severity::error : found->severity;
}

LintFinding finding_of(const pg::Rows& rows, std::size_t row) {
  LintFinding finding;
  finding.rule = rows.text(row, 0);
  finding.schema = rows.text(row, 1);
  finding.object = rows.text(row, 2);
  finding.message = rows.text(row, 3);
  finding.fix = rows.text(row, 4);
  return finding;
}

std::string json_of(const std::vector<std::string>& values) {
  json::Array array;
  for (const std::string& value : values) array.emplace_back(value);
  return json::serialize(json::Value(std::move(array)));
}

pg::Params database_parameters(const LintTarget& target, const LintInventory& inventory) {
  std::vector<std::string> schemas, runtimes, packs;
  for (const LintSchema& schema : target.schemas) {
    schemas.push_back(schema.schema);
    runtimes.push_back(schema.runtime_role);
    packs.push_back(schema.pack);
  }
  pg::Params params;
  params.emplace_back(json_of(schemas));
  params.emplace_back(json_of(runtimes));
  params.emplace_back(std::string(kOwnerRole));
  params.emplace_back(std::string(kBackupRole));
  params.emplace_back(inventory.migrations);
  params.emplace_back(json_of(packs));
  params.emplace_back(inventory.row_rules);
  return params;
}

// Whether an error only says that somebody changed the catalog meanwhile.
bool is_race(const Error& error) {
  const std::string_view words = error.detail(pg::kServerMessage);
  return words.find("cache lookup failed") != std::string_view::npos ||
         words.find("could not open relation") != std::string_view::npos ||
         words.find("does not exist") != std::string_view::npos;
}

bool is_over(const Error& error, CallOptions options) {
  return error.code == ErrorCode::cancelled || options.deadline <= std::chrono::steady_clock::now();
}

// One run.
class LintRun {
 public:
  LintRun(const Cluster& cluster, LintInventory inventory, LintRequest request, const Structure& shipped,
          CallOptions options)
      : cluster_(cluster),
        shipped_(shipped),
        inventory_(std::move(inventory)),
        request_(std::move(request)),
        options_(options) {}

  Task<Result<LintReport>> run();

 private:
  bool is_wanted(const LintTarget& target) const;
  Result<void> choose_targets();
  Task<Result<void>> lint_server();
  Task<void> lint_databases();
  Task<Result<void>> lint_database(const LintTarget& target);
  Task<Result<std::vector<LintFinding>>> read_findings(const LintTarget& target);
  Task<Result<std::vector<LintFinding>>> break_down(pg::Session& session, const LintTarget& target,
                                                    const std::vector<AlikeSchemas>& groups);
  Task<Result<void>> apply_schema_rules(pg::Session& session, std::vector<SchemaScope> schemas,
                                        std::vector<LintFinding>& findings);
  void add(LintFinding finding);

  const Cluster& cluster_;
  const Structure& shipped_;
  const LintInventory inventory_;
  const LintRequest request_;
  const CallOptions options_;
  const std::string schema_query_ = schema_rules_query();
  const std::string database_query_ = lint_rules_query(kDatabaseCatalog, database_rules());
  std::vector<const LintTarget*> targets_;
  std::size_t next_ = 0;
  std::vector<LintedSchema> schemas_;
  std::optional<Error> failure_;
  LintReport report_;
};

void LintRun::add(LintFinding finding) {
  finding.severity = severity_of_rule(finding.rule);
  if (report_.findings.size() < kMaxFindings) {
    report_.findings.push_back(std::move(finding));
  } else {
    report_.truncated = true;
  }
}

bool LintRun::is_wanted(const LintTarget& target) const {
  if (!request_.pack.empty() && target.pack != request_.pack) return false;
  return request_.databases.empty() ||
         std::ranges::find(request_.databases, target.database) != request_.databases.end();
}

Result<void> LintRun::choose_targets() {
  for (const LintTarget& target : inventory_.targets) {
    if (is_wanted(target)) targets_.push_back(&target);
  }
  for (const std::string& name : request_.databases) {
    const bool known = std::ranges::any_of(inventory_.targets,
                                           [&](const LintTarget& target) { return target.database == name; });
    if (!known)
      return Error(ErrorCode::not_found, "there is no database \"" + name + "\" with tenants' rows");
  }
  return {};
}

Task<Result<LintReport>> LintRun::run() {
  const auto started = std::chrono::steady_clock::now();
  CO_TRY_DO(choose_targets());
  CO_TRY_DO(co_await lint_server());
  {
    net::TaskGroup group;
    for (std::size_t i = 0; i < std::min(kParallelDatabases, targets_.size()); ++i)
      group.spawn(lint_databases());
    co_await group.join();
  }
  if (failure_) co_return std::move(*failure_);
  CO_TRY(auto drift, co_await find_drift(cluster_, schemas_, inventory_, options_));
  for (LintFinding& finding : drift) add(std::move(finding));
  std::ranges::sort(report_.findings, {}, [](const LintFinding& finding) {
    return std::tie(finding.database, finding.schema, finding.rule, finding.object, finding.message);
  });
  report_.databases = targets_.size();
  for (const LintTarget* target : targets_) report_.schemas += target->schemas.size();
  report_.duration =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - started);
  co_return std::move(report_);
}

Task<Result<void>> LintRun::lint_server() {
  const std::string maintenance(kMaintenanceDatabase);
  CO_TRY(auto session, co_await catalog_snapshot(cluster_, maintenance, options_));
  pg::Params params;
  params.emplace_back(inventory_.databases);
  params.emplace_back(inventory_.runtimes);
  params.emplace_back(std::string(kOwnerRole));
  params.emplace_back(std::string(kBackupRole));
  params.emplace_back(inventory_.pending);
  const pg::Statement query(server_rules_query(), std::move(params), pg::Access::read, pg::Reuse::once);
  CO_TRY(const auto rows, co_await session.query(query, options_));
  const bool filtered = !request_.databases.empty() || !request_.pack.empty();
  for (std::size_t row = 0; row < rows.size(); ++row) {
    LintFinding finding = finding_of(rows, row);
    finding.database = std::exchange(finding.schema, "");  // what these rules name instead
    const bool wanted = std::ranges::any_of(
        targets_, [&](const LintTarget* target) { return target->database == finding.database; });
    if (!filtered || wanted) add(std::move(finding));
  }
  co_return Result<void>();
}

Task<void> LintRun::lint_databases() {
  while (next_ < targets_.size() && !failure_) {
    const LintTarget& target = *targets_[next_++];
    auto linted = co_await lint_database(target);
    if (!linted.ok() && !failure_) failure_ = std::move(linted).error();
  }
}

Task<Result<void>> LintRun::lint_database(const LintTarget& target) {
  for (int attempt = 1;; ++attempt) {
    auto findings = co_await read_findings(target);
    if (findings.ok()) {
      for (LintFinding& finding : *findings) {
        finding.database = target.database;
        add(std::move(finding));
      }
      co_return Result<void>();
    }
    if (is_over(findings.error(), options_)) co_return std::move(findings).error();
    if (is_race(findings.error()) && attempt < kAttempts) continue;
    if (findings.error().code != ErrorCode::database_unavailable && !is_race(findings.error()) &&
        findings.error().detail(pg::kSqlState) != kLockNotAvailable)
      co_return std::move(findings).error();
    LintFinding finding;
    finding.rule = "database-unreachable";
    finding.database = target.database;
    finding.object = target.database;
    const std::string_view words = findings.error().detail(pg::kServerMessage);
    finding.message =
        "the database cannot be read: " + (words.empty() ? findings.error().message : std::string(words));
    finding.fix = "Make it reachable, then lint again: nothing is known about it.";
    add(std::move(finding));
    co_return Result<void>();
  }
}

Task<Result<void>> LintRun::apply_schema_rules(pg::Session& session, std::vector<SchemaScope> schemas,
                                               std::vector<LintFinding>& findings) {
  CO_TRY_DO(co_await use_joins(session, joins_of(schemas.size()), options_));
  const pg::Statement query(schema_query_, catalog_parameters(schemas), pg::Access::read, pg::Reuse::once);
  CO_TRY(const auto rows, co_await session.query(query, options_));
  for (std::size_t row = 0; row < rows.size(); ++row) findings.push_back(finding_of(rows, row));
  co_return Result<void>();
}

// What breaks a rule in one schema breaks it in those that are alike.
Task<Result<std::vector<LintFinding>>> LintRun::break_down(pg::Session& session, const LintTarget& target,
                                                           const std::vector<AlikeSchemas>& groups) {
  std::vector<SchemaScope> first, others;
  for (const AlikeSchemas& group : groups) {
    for (const std::size_t i : representatives(group)) first.push_back(target.schemas[i]);
  }
  SchemaScope own;
  own.schema = "rowhouse";
  first.push_back(std::move(own));
  std::vector<LintFinding> findings;
  CO_TRY_DO(co_await apply_schema_rules(session, std::move(first), findings));
  std::set<std::string> broken;
  for (const LintFinding& finding : findings) broken.insert(finding.schema);
  for (const AlikeSchemas& group : groups) {
    const AlikeSchemas looked_at = representatives(group);
    const bool is_broken = std::ranges::any_of(
        looked_at, [&](std::size_t i) { return broken.contains(target.schemas[i].schema); });
    for (std::size_t k = 0; is_broken && k + looked_at.size() < group.size(); ++k)
      others.push_back(target.schemas[group[k]]);
  }
  if (!others.empty()) CO_TRY_DO(co_await apply_schema_rules(session, std::move(others), findings));
  co_return findings;
}

Task<Result<std::vector<LintFinding>>> LintRun::read_findings(const LintTarget& target) {
  CO_TRY(auto session, co_await catalog_snapshot(cluster_, target.database, options_));
  CO_TRY(const auto groups, co_await find_alike(cluster_, session, target, options_));
  CO_TRY(auto findings, co_await break_down(session, target, groups));
  CO_TRY_DO(co_await use_joins(session, joins_of(target.schemas.size()), options_));
  const pg::Statement database(database_query_, database_parameters(target, inventory_), pg::Access::read,
                               pg::Reuse::once);
  CO_TRY(const auto database_rows, co_await session.query(database, options_));
  for (std::size_t row = 0; row < database_rows.size(); ++row)
    findings.push_back(finding_of(database_rows, row));
  CO_TRY(auto changed, co_await find_changes_of_rowhouse(session, target, shipped_, options_));
  for (LintFinding& finding : changed) findings.push_back(std::move(finding));
  CO_TRY(auto keys, co_await find_unknown_context_keys(session, cluster_, target.database, options_));
  for (LintFinding& finding : keys) findings.push_back(std::move(finding));
  CO_TRY(auto linted, co_await read_linted_schemas(session, target, groups, options_));
  for (LintedSchema& schema : linted) schemas_.push_back(std::move(schema));
  co_return findings;
}

std::int64_t number(std::string_view text) { return parse_int64(text).value_or(0); }

}  // namespace

std::size_t LintReport::count(Severity severity) const {
  return static_cast<std::size_t>(std::ranges::count(findings, severity, &LintFinding::severity));
}

std::vector<RuleInfo> lint_rules() {
  std::vector<RuleInfo> rules;
  const auto add = [&](std::string_view name, Severity severity) {
    rules.push_back(RuleInfo{name, severity});
  };
  for (const IsolationRule& rule : isolation_rules()) {
    if (is_linted(rule.use)) add(rule.name, rule.severity);
  }
  for (const LintRule& rule : database_rules()) add(rule.name, rule.severity);
  for (const LintRule& rule : server_rules()) add(rule.name, rule.severity);
  for (const ComputedRule& rule : computed_rules()) add(rule.name, rule.severity);
  return rules;
}

Task<Result<LintReport>> Linter::run(LintRequest request, CallOptions options) {
  const bool complete = request.databases.empty() && request.pack.empty();
  CO_TRY(auto inventory, co_await read_lint_inventory(platform_, options));
  auto shipped = shipped_.find(inventory.guard);
  if (shipped == shipped_.end()) {
    CO_TRY(auto structure,
           co_await read_shipped_schema(cluster_, inventory.guard, request.scratch_database, options));
    shipped = shipped_.emplace(inventory.guard, std::move(structure)).first;
  }
  LintRun run(cluster_, std::move(inventory), std::move(request), shipped->second, options);
  CO_TRY(auto report, co_await run.run());
  if (complete) CO_TRY_DO(co_await keep_summary(report, options));
  co_return report;
}

Task<Result<void>> Linter::keep_summary(const LintReport& report, CallOptions options) {
  json::Value summary;
  summary.set("errors", static_cast<std::int64_t>(report.count(Severity::error)));
  summary.set("warnings", static_cast<std::int64_t>(report.count(Severity::warning)));
  summary.set("databases", static_cast<std::int64_t>(report.databases));
  summary.set("schemas", static_cast<std::int64_t>(report.schemas));
  summary.set("duration_ms", static_cast<std::int64_t>(report.duration.count()));
  pg::Params params;
  params.emplace_back(std::string(kLastKey));
  params.emplace_back(json::serialize(summary));
  const pg::Statement keep(std::string(kKeepSql), std::move(params), pg::Access::write, pg::Reuse::once);
  CO_TRY_DO(co_await platform_.run(nullptr, keep, options));
  co_return Result<void>();
}

Task<Result<std::optional<LintSummary>>> Linter::last(CallOptions options) {
  pg::Params params;
  params.emplace_back(std::string(kLastKey));
  const pg::Statement query(std::string(kLastSql), std::move(params), pg::Access::read, pg::Reuse::once);
  CO_TRY(const auto rows, co_await platform_.run(nullptr, query, options));
  std::optional<LintSummary> summary;
  if (rows.size() > 0) {
    summary.emplace();
    summary->finished_at = rows.text(0, 0);
    summary->errors = number(rows.text(0, 1));
    summary->warnings = number(rows.text(0, 2));
    summary->databases = number(rows.text(0, 3));
    summary->schemas = number(rows.text(0, 4));
    summary->duration_ms = number(rows.text(0, 5));
  }
  co_return summary;
}

}  // namespace rowhouse::tenancy
