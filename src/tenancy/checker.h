// Parts of the check that PackStore and the linter need one by one. Private to this folder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "pg/pool.h"
#include "tenancy/isolation_rules.h"
#include "tenancy/packs.h"

namespace rowhouse::tenancy {

enum class CheckTime { before_protection, complete };

// What a pack's schema breaks: before the protector ran, or after everything.
Task<Result<std::vector<Finding>>> check_isolation(pg::Session& session, std::string schema, CheckTime time,
                                                   CallOptions options);

// Appends "SELECT name, schema, object, message, fix FROM (query)".
void append_rule(std::string& sql, std::string_view name, std::string_view query);

}  // namespace rowhouse::tenancy
