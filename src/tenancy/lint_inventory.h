// What there is to lint, as the registry says. Private to this folder.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/json.h"
#include "base/result.h"
#include "base/task.h"
#include "pg/pool.h"
#include "tenancy/isolation_sql.h"
#include "tenancy/pack.h"

namespace rowhouse::tenancy {

enum class DatabaseKind { template_database, pool, tenant };

struct LintSchema : SchemaScope {
  std::string pack;
};

struct LintTarget {
  std::string database;
  DatabaseKind kind = DatabaseKind::pool;
  std::string pack;
  std::string runtime_role;         // who may connect
  std::vector<LintSchema> schemas;  // of packs
};

struct LintInventory {
  std::vector<LintTarget> targets;  // template and pool of a pack first
  std::map<std::string, Manifest> manifests;
  std::string guard =
      "portable";          // implementation of the context; unless a node has chosen, as ContextGuard says
  std::string migrations;  // JSON array {pack, number, name, checksum}
  std::string row_rules;   // JSON array {pack, rules}
  std::string databases;   // JSON array {name, kind, runtime} of all our databases
  std::string runtimes;    // JSON array of all runtime roles
  std::string pending;     // JSON array of names that belong to tenants that are being made or deleted
};

Task<Result<LintInventory>> read_lint_inventory(pg::Pool& platform, CallOptions options);

}  // namespace rowhouse::tenancy
