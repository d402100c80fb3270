// Comparing structures: the schemas of one pack with each other and with the manifest, the schema rowhouse
// with what this binary ships. Private to this folder.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "pg/pool.h"
#include "tenancy/cluster.h"
#include "tenancy/lint.h"
#include "tenancy/lint_alike.h"
#include "tenancy/lint_inventory.h"
#include "tenancy/lint_structure.h"

namespace rowhouse::tenancy {

struct LintedSchema {
  const LintTarget* target = nullptr;
  const LintSchema* schema = nullptr;
  std::int64_t migrations = 0;
  std::string hash;
};

// The sessions here are a superuser's, in a transaction with use_catalog_search_path(); references must
// outlive the task. `groups`: of the target's schemas; one that turns out not to be alike is read in full.
Task<Result<std::vector<LintedSchema>>> read_linted_schemas(pg::Session& session, const LintTarget& target,
                                                            const std::vector<AlikeSchemas>& groups,
                                                            CallOptions options);

// How many migrations of its pack each schema has, by name.
Task<Result<std::map<std::string, std::int64_t>>> read_migrations(pg::Session& session, CallOptions options);

// Schemas with the same migrations that are not alike (what most have is what counts; of two, the pool's),
// and schemas that do not keep what the manifest promises.
Task<Result<std::vector<LintFinding>>> find_drift(const Cluster& cluster,
                                                  const std::vector<LintedSchema>& schemas,
                                                  const LintInventory& inventory, CallOptions options);

// What sql/tenant and sql/guard yield on this server. Made in the database `scratch` ("" names one), which is
// dropped again.
Task<Result<Structure>> read_shipped_schema(const Cluster& cluster, std::string guard, std::string scratch,
                                            CallOptions options);

Task<Result<std::vector<LintFinding>>> find_changes_of_rowhouse(pg::Session& session,
                                                                const LintTarget& target,
                                                                const Structure& shipped,
                                                                CallOptions options);

}  // namespace rowhouse::tenancy
