// What many schemas of one database look like, by two sessions at once. Private to this folder.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "tenancy/cluster.h"
#include "tenancy/isolation_sql.h"

namespace rowhouse::tenancy {

// By schema; equal texts mean alike (lint_alike.h). Schemas that are not there are left out.
using SchemaLooks = std::map<std::string, std::string, std::less<>>;

// everything: also columns that were dropped. They leave gaps in the numbers of those that are added later:
// schemas that are alike now are not after the same migration. without_bodies: of views and functions, which
// takes half the time.
enum class LookFor { everything, everything_there, without_bodies };

// `cluster` outlives the task.
Task<Result<SchemaLooks>> read_schema_looks(const Cluster& cluster, std::string database,
                                            std::vector<SchemaScope> scopes, LookFor what,
                                            CallOptions options);

}  // namespace rowhouse::tenancy
