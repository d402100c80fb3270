// Whether the keys that a database checks contexts with are ours: whoever could put one there could sign.
#pragma once

#include <string>
#include <vector>

#include "pg/pool.h"
#include "tenancy/cluster.h"
#include "tenancy/lint.h"

namespace rowhouse::tenancy {

// Findings "context-key-unknown", without the database's name. `session`: superuser in `database`, which has
// tenant rows. No key leaves the database: digests are compared.
Task<Result<std::vector<LintFinding>>> find_unknown_context_keys(pg::Session& session, const Cluster& cluster,
                                                                 const std::string& database,
                                                                 CallOptions options);

}  // namespace rowhouse::tenancy
