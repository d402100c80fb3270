// A pack as the running server knows it: its manifest, plus what the catalog says of its tables.
//
// Values, immutable once loaded. docs/packs.md and docs/pack.schema.json describe the manifest for its
// author.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "tenancy/permissions.h"

namespace rowhouse::tenancy {

enum class Tier { pool, schema, database };
std::string_view tier_name(Tier tier);
std::optional<Tier> parse_tier(std::string_view text);

// How a column's values travel in JSON.
enum class ColumnKind { boolean, integer, number, text, uuid, date, timestamp, json, array, bytes, other };

struct Column {
  std::string name;
  std::string type;        // for people and OpenAPI: "character varying(255)", "timestamp with time zone"
  std::string cast;        // for SQL: "pg_catalog.uuid"; empty when the type lives in the pack's own schema
  std::string local_type;  // then: the type's bare name there, and
  bool local_type_is_array = false;  // whether the column is an array of it
  std::uint32_t type_id = 0;  // pg_type OID in the pool database (built-in ones are the same everywhere)
  ColumnKind kind = ColumnKind::other;
  bool nullable = true;
  bool has_default = false;                   // or identity
  bool generated = false;                     // GENERATED ALWAYS (stored or identity): never in a body
  std::optional<std::size_t> max_characters;  // of varchar(n), char(n)
  std::vector<std::string> labels;            // of an enum type
  std::string comment;
  bool read_only = false;  // by the manifest
  bool personal = false;   // by the manifest
};

enum class ConstraintKind { primary_key, unique, foreign_key, check, exclusion };

struct Constraint {
  std::string name;  // of the constraint or unique index
  ConstraintKind kind = ConstraintKind::check;
  std::vector<std::string> columns;  // without tenant_id
};

struct OrderTerm {
  std::string column;
  bool descending = false;
};

enum class Verb { read, create, update, remove, import_rows, export_rows };

// Which rows of the table a user reaches whose role has RowScope::own (docs/packs.md). Either owners or
// through.
struct RowRule {
  std::vector<std::string> owners;  // columns with a user's id: the rows where one of them is the user's
  std::string through;  // column with the id of a row of `parent`: the rows whose parent they reach
  std::string parent;   // relation, with a rule of its own
  std::string creator;  // column that gets the user's id if it is not given; "" = none
};

struct Resource {
  std::string name;
  std::string relation;  // table or view in the pack's schema
  std::string description;
  bool is_view = false;
  bool is_partitioned = false;
  std::map<Verb, std::string>
      operations;  // verb → operation ("lead:read"); a verb that is missing is not offered
  std::vector<std::string> natural_key;  // without tenant_id; empty: none
  std::vector<OrderTerm> default_order;
  std::vector<std::vector<OrderTerm>> orders;
  std::optional<RowRule> row_rule;
  std::vector<Column> columns;  // in table order, without tenant_id
  std::vector<Constraint> constraints;

  const Column* find_column(std::string_view column_name) const;
};

struct FunctionArgument {
  std::string name;
  std::string type;
  std::string cast;
  ColumnKind kind = ColumnKind::other;
  bool has_default = false;
};

struct Function {
  std::string name;
  std::string description;
  std::string operation;
  bool returns_set = false;
  bool returns_row = false;  // a composite or TABLE(…); otherwise one scalar
  bool read_only = true;     // STABLE or IMMUTABLE
  std::vector<FunctionArgument> arguments;
  std::vector<Column> result;  // of a row; one column named as the function for a scalar
};

inline constexpr std::int64_t kUnlimited = -1;

struct Limit {
  std::string name, description, unit, resource;
};

struct Plan {
  std::string name, title, description, support;
  std::map<std::string, std::int64_t> limits;  // every declared limit; kUnlimited = none
  std::set<std::string, std::less<>> features;
};

// Which rows of a table with a row rule a role reaches: all of the tenant's, or those of the user.
enum class RowScope { all, own };

struct Role {
  std::string name, title, description;
  std::shared_ptr<const Permissions> permissions = all_permissions();  // never null
  RowScope rows = RowScope::all;
};

struct Setting {
  std::string name, type, description;
  json::Value default_value;
  std::vector<json::Value> allowed;  // empty: any of the type
  std::optional<std::int64_t> minimum, maximum;
};

struct SampleFile {
  std::string resource, file;
};

struct Metric {
  std::string name, help, resource, on;
  std::vector<std::string> labels;
};

struct Manifest {
  std::string name, title, version, description;
  Tier default_tier = Tier::pool;
  std::string default_plan;
  std::vector<std::string> services;
  std::map<std::string, std::string> features;  // name → description
  std::vector<Limit> limits;
  std::vector<Plan> plans;
  std::vector<Setting> settings;
  std::vector<Resource> resources;                             // columns and constraints still empty
  std::map<std::string, std::set<std::string>> personal_data;  // resource → columns
  std::map<std::string, std::set<std::string>> read_only;
  std::vector<Function> functions;  // name, description, operation
  std::vector<SampleFile> sample_data;
  std::vector<Metric> metrics;
  std::vector<Role> roles;  // never empty
  std::string admin_role;   // the one that a tenant's first user gets

  const Role* find_role(std::string_view role_name) const;
  const Plan* find_plan(std::string_view plan_name) const;
};

// Strict: error pack_refused with one field per fault, path as JSON Pointer ("/plans/basic/limits/leads").
Result<Manifest> parse_manifest(const json::Value& document);

// Manifest + catalog. `resources` and `functions` by name.
struct Pack {
  Manifest manifest;
  std::map<std::string, Resource, std::less<>> resources;
  std::map<std::string, Function, std::less<>> functions;
  std::string pool_database;      // "rowhouse_pool_isp_monitor"
  std::string template_database;  // "rowhouse_template_isp_monitor"
};

}  // namespace rowhouse::tenancy
