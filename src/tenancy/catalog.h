// What PostgreSQL's catalog says of one schema: relations, indexes, constraints, functions. Read in a few
// queries.
//
// Private to this folder: load_pack() makes a Pack of it, check_schema() compares it with the manifest.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "pg/pool.h"
#include "tenancy/pack.h"
#include "tenancy/packs.h"

namespace rowhouse::tenancy {

struct CatalogIndex {
  struct Key {
    std::string column;  // "" for an expression
    bool descending = false;
  };
  std::string name;
  std::vector<Key> keys;  // with tenant_id
  bool unique = false;    // and usable by ON CONFLICT: neither partial nor deferrable
  bool sorted = false;    // a valid B-tree over all rows
};

enum class RelationKind { table, partitioned_table, view, other };

struct CatalogRelation {
  std::string name;
  RelationKind kind = RelationKind::other;
  bool is_partition = false;
  std::vector<Column> columns;  // with tenant_id
  std::vector<Constraint> constraints;
  std::vector<CatalogIndex> indexes;

  const Column* find_column(std::string_view column_name) const;
  bool is_table() const { return kind == RelationKind::table || kind == RelationKind::partitioned_table; }
};

struct CatalogFunction {
  Function function;  // description and operation still empty
  // Why it cannot be called by name through the API: a rule and a sentence; empty: it can.
  std::string fault_rule, fault;
  std::size_t overloads = 1;
};

struct Catalog {
  std::map<std::string, CatalogRelation, std::less<>> relations;
  std::map<std::string, CatalogFunction, std::less<>> functions;
};

Task<Result<Catalog>> read_catalog(pg::Session& session, std::string schema, CallOptions options);

// What the manifest names and the catalog does not have. With any of these a pack cannot be served.
std::vector<Finding> find_missing_parts(const Catalog& catalog, const Manifest& manifest);
// What the manifest promises and the catalog does not keep: keys, indexes, names the API can use.
std::vector<Finding> find_broken_promises(const Catalog& catalog, const Manifest& manifest);

}  // namespace rowhouse::tenancy
