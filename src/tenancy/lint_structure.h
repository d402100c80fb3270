// What schemas are made of, line by line, so that two of them can be compared wherever they are. Private to
// this folder.
//
// A line says what one object is, without the name of its schema, of its runtime role, and without
// identifiers. A fingerprint is a hash over all lines, whatever their order: one query gives those of
// thousands of schemas.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "pg/pool.h"
#include "tenancy/isolation_sql.h"

namespace rowhouse::tenancy {

struct SchemaFingerprint {
  std::string schema;
  std::string hash;  // of the lines, with their number
};

// `session`: as superuser, in a transaction with use_catalog_search_path().
Task<Result<std::vector<SchemaFingerprint>>> read_fingerprints(pg::Session& session,
                                                               const std::vector<SchemaScope>& schemas,
                                                               CallOptions options);

// Fingerprints are worth comparing if they were made by the same recipe.
std::string fingerprint_recipe();

struct StructureLine {
  std::string definition;
  std::string make;  // SQL that makes the object as it is here, or ""; with marks for schema and role
  std::string drop;  // SQL that takes it away, or ""
};
// By "kind name": "column leads.email", "policy leads.rowhouse_wall".
using Structure = std::map<std::string, StructureLine>;

// One schema in full. Privileges in a pack's schema are compared by rules, not here.
enum class WithPrivileges { no, yes };
Task<Result<Structure>> read_structure(pg::Session& session, SchemaScope schema, WithPrivileges privileges,
                                       CallOptions options);

struct StructureDifference {
  std::string object;   // "column leads.email"
  std::string message;  // "is missing", "is not in the others", "differs: … instead of …"
  std::string fix;      // SQL, or ""
};
// What makes `actual` other than `reference`, at most `limit` differences. Pure.
std::vector<StructureDifference> compare_structures(const Structure& reference, const Structure& actual,
                                                    const SchemaScope& actual_scope, std::size_t limit);

}  // namespace rowhouse::tenancy
