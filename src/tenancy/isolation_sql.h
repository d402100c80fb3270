// What protector, checker and linter share: the catalog as they see it. Private to this folder.
//
// One text serves a single schema (while a pack migrates: found by way of dependencies, which have an index,
// because a database may hold thousands of schemas) and all schemas of a database at once (the linter: whole
// catalogs, joined by namespace). Parameters, always these four:
//   $1 the schema, or a JSON array of schemas    $2 its runtime role ("" = none), or a JSON array, in the
//   same order $3 the owner role                            $4 the backup role
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "pg/pool.h"

namespace rowhouse::tenancy {

enum class CatalogScope { one_schema, many_schemas };

// "WITH scope …, relation …, routine …, policy …": opens every query over the catalog.
std::string isolation_catalog(CatalogScope scope);

// Follows it: what ought to be granted (wanted), what is (granted), and the differences (missing, excess).
// Privileges are compared one by one; columns only where their ACL is not the usual one, for there are many.
extern const std::string_view kGrantCatalog;

// For the rest of the transaction. A policy is canonical if PostgreSQL prints for it what it prints for ours,
// with only pg_catalog in the search path: every other operator, function or table is printed with its
// schema.
Task<Result<void>> use_catalog_search_path(pg::Session& session, CallOptions options);

struct SchemaScope {
  std::string schema;
  std::string runtime_role;  // "" = nobody works there
};
// The statements that the schema lacks, or "" (see protect_schema). In a transaction as there; leaves
// use_catalog_search_path() behind.
Task<Result<std::string>> write_protection(pg::Session& session, std::string schema, std::string runtime_role,
                                           CallOptions options);

pg::Params catalog_parameters(const SchemaScope& scope);
pg::Params catalog_parameters(const std::vector<SchemaScope>& scopes);

}  // namespace rowhouse::tenancy
