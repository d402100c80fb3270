// Checks a pack by installing it in a database of its own, which is dropped again. Private to this folder.
#pragma once

#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "tenancy/breaking_changes.h"
#include "tenancy/bundle.h"
#include "tenancy/cluster.h"
#include "tenancy/packs.h"

namespace rowhouse::tenancy {

// What is there already, for changes that would break it (breaking_changes.h).
struct ScratchUpgrade {
  std::size_t released =
      0;  // migrations of the bundle that an installed version has; 0: there is none to break
  Contract contract = Contract::refused;
};

// Drops the databases that checks of dead processes left behind, five minutes after they were begun.
Task<Result<void>> sweep_scratch_databases(const Cluster& cluster, CallOptions options);

// A new name for such a database; sweeps first.
Task<Result<std::string>> new_scratch_name(const Cluster& cluster, CallOptions options);

// Makes the database and drops it again, unless the process dies: whoever wants to clear up then keeps the
// name. Runs the migrations in two schemas of different names, because they must not name one; applies every
// rule; looks for changes outside those schemas; compares sample data with their tables; looks for changes
// that break the code of the installed version.
Task<Result<std::vector<Finding>>> check_in_scratch(const Cluster& cluster, std::string database,
                                                    const Bundle& bundle, ScratchUpgrade upgrade,
                                                    CallOptions options);

// A pack that is installed nowhere.
Task<Result<std::vector<Finding>>> check_in_scratch(const Cluster& cluster, std::string database,
                                                    const Bundle& bundle, CallOptions options);

// Both at once, of a pack that is installed nowhere.
Task<Result<std::vector<Finding>>> check_in_scratch_database(const Cluster& cluster, const Bundle& bundle,
                                                             CallOptions options);

}  // namespace rowhouse::tenancy
