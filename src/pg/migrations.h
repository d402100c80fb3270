// Runs numbered SQL files once each, in order, on one database.
//
// Each file runs in a transaction of its own together with its record in `rowhouse_meta.migrations` (number,
// name, SHA-256 of the text, when). An advisory lock lets several nodes start at once: one migrates, the
// others wait and find nothing to do. A file that was applied and has since changed, or is missing, is
// refused (migration_changed).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "pg/pool.h"

namespace rowhouse::pg {

struct Migration {
  Migration(int migration_number, std::string migration_name, std::string text)
      : number(migration_number), name(std::move(migration_name)), sql(std::move(text)) {}
  int number = 0;
  std::string name;  // "0001_tenants"
  std::string sql;
};

// Files of one folder ("sql/platform/") among those embedded in the binary, by number. Errors: config_invalid
// when a number is missing or used twice.
Result<std::vector<Migration>> migrations_from_embedded(std::string_view folder);

// Returns how many were applied now. `session` must be connected as the owner of the database.
Task<Result<int>> run_migrations(Session& session, const std::vector<Migration>& migrations,
                                 CallOptions options);

}  // namespace rowhouse::pg
