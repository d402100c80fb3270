// Parts of the check that PackStore needs one by one. Private to this folder.
#pragma once

#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "pg/pool.h"
#include "tenancy/isolation_rules.h"
#include "tenancy/packs.h"

namespace rowhouse::tenancy {

// Rules of `stage` alone (before_protection), or all of them (always).
Task<Result<std::vector<Finding>>> check_isolation(pg::Session& session, std::string schema, RuleStage stage,
                                                   CallOptions options);

}  // namespace rowhouse::tenancy
