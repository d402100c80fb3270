// How lint looks at a database: everything in one snapshot, alike schemas found first. Private to this
// folder.
#pragma once

#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "pg/pool.h"
#include "tenancy/cluster.h"
#include "tenancy/lint_alike.h"
#include "tenancy/lint_inventory.h"

namespace rowhouse::tenancy {

// A session of the superuser in a read-only transaction whose search path is the catalog's.
Task<Result<pg::Session>> catalog_snapshot(const Cluster& cluster, std::string database, CallOptions options);

// The target's schemas in groups that are alike, read by `session` and by a second one beside it. Both
// references must outlive the task. Leaves settings of the planner behind, as read_looks() does.
Task<Result<std::vector<AlikeSchemas>>> find_alike(const Cluster& cluster, pg::Session& session,
                                                   const LintTarget& target, CallOptions options);

}  // namespace rowhouse::tenancy
