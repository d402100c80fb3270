// The surfaces of one database, out of its catalogs: what there is, whoever made it.
//
// Schemas of PostgreSQL itself and of tenants that do not take part are left out; nothing else is. Values;
// read by a superuser.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "verify/sql_client.h"

namespace rowhouse::verify {

struct ColumnInfo {
  int number = 0;
  std::string name, type;           // as pg_catalog.format_type prints it
  std::string base;                 // pg_type.typname; of a domain, of what it is based on
  char category = 'U', kind = 'b';  // pg_type.typcategory, typtype
  bool not_null = false, has_default = false, generated = false;
  char identity = ' ';  // 'a', 'd' or ' '
  int length = -1;      // of varchar(n), char(n)
  int precision = -1, scale = 0;
  std::vector<std::string> labels;  // of an enum
};

struct RelationInfo {
  std::string oid, schema, name;
  char kind = 'r';  // pg_class.relkind
  bool is_partition = false, row_security = false, forced = false;
  std::vector<ColumnInfo> columns;
  std::vector<std::string> key;  // columns of the primary key

  bool has(std::string_view column) const;
  const ColumnInfo* find(std::string_view column) const;
  std::string qualified() const;
  bool is_table() const { return kind == 'r' || kind == 'p'; }
  bool is_view() const { return kind == 'v' || kind == 'm'; }
};

struct KeyInfo {            // primary key, unique constraint or index, exclusion constraint
  std::string table, name;  // table: OID
  char kind = 'u';          // 'p', 'u', 'x', 'i' (a unique index without a constraint)
  std::vector<std::string> columns;
};

struct ForeignKeyInfo {
  std::string table, name, target;  // OIDs
  std::vector<std::string> columns, target_columns;
};

struct CheckInfo {
  std::string table, name, expression;
  std::vector<int> columns;
};

struct PolicyInfo {
  std::string table, name;
  char command = '*';  // pg_policy.polcmd
  bool permissive = true;
  std::string using_expression, check_expression;  // "" = none
};

struct ObjectInfo {  // trigger, index, rule: something on a table
  std::string table, name;
};

struct FunctionInfo {
  std::string oid, schema, name, arguments;  // arguments: for people
  std::vector<std::string> types;            // of IN arguments, as format_type prints them
  int defaults = 0;
  char kind = 'f';
  bool is_trigger = false, security_definer = false, returns_set = false;
};

struct SequenceInfo {
  std::string oid, schema, name;
};

struct RoleInfo {
  std::string name;
  bool superuser = false, bypasses = false, can_login = false, builtin = false;
  bool of_other_tenant = false;
};

struct Inventory {
  std::vector<RelationInfo> relations;  // in order of schema and name
  std::vector<KeyInfo> keys;
  std::vector<ForeignKeyInfo> foreign_keys;
  std::vector<CheckInfo> checks;
  std::vector<PolicyInfo> policies;
  std::vector<ObjectInfo> triggers, indexes, rules, statistics;
  std::vector<FunctionInfo> functions;
  std::vector<SequenceInfo> sequences;
  std::vector<RoleInfo> roles;         // of the server
  std::vector<std::string> databases;  // of the server
  // What no attack of ours is made for: publications, event triggers, foreign servers, …: "kind", "name".
  std::vector<std::pair<std::string, std::string>> others;

  const RelationInfo* relation(std::string_view oid) const;
};

// `foreign_schemas`: those of tenants that do not take part. Error: internal, with PostgreSQL's words.
Result<Inventory> take_inventory(SqlClient& administrator, const std::set<std::string>& foreign_schemas);

// Elements of an array in PostgreSQL's text form: {a,"b c",NULL}.
std::vector<std::string> array_elements(const std::string& text);
// The other way.
std::string array_text(const std::vector<std::string>& elements);

}  // namespace rowhouse::verify
