// `rowhouse lint`: checks everything that is installed against the rules of isolation, from the catalogs
// alone.
//
// Reads only. Looks at the server (roles, who may connect where, settings), and in every database with tenant
// rows (pools, templates, database-tier tenants) at all schemas at once. Tenants that are being made or
// deleted are left out. Rules: isolation_rules.h and lint_rules.h; docs/isolation-rules.md explains them.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/call.h"
#include "base/json.h"
#include "base/result.h"
#include "base/task.h"
#include "pg/pool.h"
#include "tenancy/cluster.h"
#include "tenancy/isolation_rules.h"
#include "tenancy/lint_structure.h"

namespace rowhouse::tenancy {

struct LintFinding {
  std::string rule;
  Severity severity = Severity::error;
  std::string database;  // "" = the server
  std::string schema;    // "" = not in one
  std::string object;
  std::string message;
  std::string fix;  // SQL to be run in `database` as a superuser if it ends in ';', otherwise a sentence
  bool operator==(const LintFinding&) const = default;
};

struct LintRequest {
  std::vector<std::string> databases;  // these alone; empty: all
  std::string pack;                    // databases of this pack alone; "" = all
  std::string scratch_database;        // name of the one that is made meanwhile; "" = any
};

struct LintReport {
  std::vector<LintFinding> findings;  // by database, schema, rule
  std::size_t databases = 0, schemas = 0;
  std::chrono::milliseconds duration{0};
  bool truncated = false;  // there were more findings than kMaxFindings
  std::size_t count(Severity severity) const;
};
inline constexpr std::size_t kMaxFindings = 100'000;

// The last run over everything, as any node did it.
struct LintSummary {
  std::string finished_at;  // RFC 3339
  std::int64_t errors = 0, warnings = 0, databases = 0, schemas = 0, duration_ms = 0;
};

// Every rule there is, with the severity of its findings.
struct RuleInfo {
  std::string_view name;
  Severity severity;
};
std::vector<RuleInfo> lint_rules();

class Linter {
 public:
  // `platform`: pool on the platform database as platform_service.
  Linter(const Cluster& cluster, pg::Pool& platform) : cluster_(cluster), platform_(platform) {}

  // Errors: not_found (a database of the request is none of ours), those of the database.
  Task<Result<LintReport>> run(LintRequest request, CallOptions options);
  Task<Result<std::optional<LintSummary>>> last(CallOptions options);

 private:
  Task<Result<void>> keep_summary(const LintReport& report, CallOptions options);

  const Cluster& cluster_;
  pg::Pool& platform_;
  // What this binary ships as the schema rowhouse, by implementation of the context; read once.
  std::map<std::string, Structure> shipped_;
};

}  // namespace rowhouse::tenancy
