// Checks a pack by installing it in a database of its own, which is dropped again. Private to this folder.
#pragma once

#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "tenancy/bundle.h"
#include "tenancy/cluster.h"
#include "tenancy/packs.h"

namespace rowhouse::tenancy {

// Runs the migrations in two schemas of different names, because they must not name one; applies every rule;
// looks for changes outside those schemas; compares sample data with their tables.
Task<Result<std::vector<Finding>>> check_in_scratch_database(const Cluster& cluster, const Bundle& bundle,
                                                             CallOptions options);

}  // namespace rowhouse::tenancy
