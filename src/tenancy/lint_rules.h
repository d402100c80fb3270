// Rules of the linter that are not about one schema: about a database with tenant rows, and about the server.
// Private to this folder, but for lint.cc.
#pragma once

#include <span>
#include <string_view>

#include "tenancy/isolation_rules.h"

namespace rowhouse::tenancy {

struct LintRule {
  std::string_view name;
  Severity severity;
  // Rows (schema, object, message, fix), as in IsolationRule; rules of the server give the database in place
  // of the schema ("" = none).
  std::string_view sql;
};

// Inside each database with tenant rows, over the tables of kDatabaseCatalog.
//   $1 JSON array of the schemas that belong here    $2 JSON array of the runtime role of each
//   $3 owner role    $4 backup role    $5 JSON array {pack, number, name, checksum} of the migrations that
//   are known $6 JSON array of the pack of each schema ("" for rowhouse)
//   $7 JSON array {pack, rules} of what manifests declare, as rowhouse.row_rules holds it
std::span<const LintRule> database_rules();
extern const std::string_view kDatabaseCatalog;

// Once, from the maintenance database, over the tables of kServerCatalog.
//   $1 JSON array {name, kind, runtime} of our databases (kind: platform, template, pool, tenant)
//   $2 JSON array of the runtime roles    $3 owner role    $4 backup role
//   $5 JSON array of names that the registry knows beside these (tenants that are being made or deleted)
std::span<const LintRule> server_rules();
extern const std::string_view kServerCatalog;

// Rules without a query of their own.
struct ComputedRule {
  std::string_view name;
  Severity severity;
};
std::span<const ComputedRule> computed_rules();

}  // namespace rowhouse::tenancy
