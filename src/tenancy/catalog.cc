#include "tenancy/catalog.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"
#include "tenancy/pack_names.h"

namespace rowhouse::tenancy {

namespace {

// Members of a schema are found by way of pg_depend, which has an index; a database may hold thousands of
// schemas.

// Facts about a type, for every query below. `type_source` yields (type_id, type_mod). Domains are followed
// to their base type, so that a domain over varchar(20) travels like a varchar(20).
constexpr std::string_view kTypeFacts = R"sql(
  CROSS JOIN LATERAL (
    SELECT t.oid AS type_id,
           pg_catalog.format_type(t.oid, source.type_mod) AS display,
           pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.typname) AS cast_name,
           n.nspname = $1 AS is_local,
           CASE WHEN t.typcategory = 'A' THEN e.typname ELSE t.typname END AS local_name,
           t.typcategory = 'A' AND t.typtype = 'b' AS is_array,
           t.typtype AS own_kind, b.typname AS base_name, b.typcategory AS base_category, b.typtype AS base_kind,
           CASE WHEN b.typname IN ('varchar', 'bpchar') AND base.type_mod > 4 THEN base.type_mod - 4 END AS characters,
           (SELECT pg_catalog.json_agg(l.enumlabel ORDER BY l.enumsortorder)
              FROM pg_catalog.pg_enum l WHERE l.enumtypid = b.oid) AS labels
      FROM pg_catalog.pg_type t
      -- One look-up for each type: joined, all schemas would be scanned where there are thousands.
     CROSS JOIN LATERAL (SELECT ns.nspname FROM pg_catalog.pg_namespace ns WHERE ns.oid = t.typnamespace OFFSET 0) n
      LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
     CROSS JOIN LATERAL (
       WITH RECURSIVE chain (id, type_mod) AS (
         SELECT t.oid, source.type_mod
          UNION ALL
         SELECT d.typbasetype, CASE WHEN chain.type_mod = -1 THEN d.typtypmod ELSE chain.type_mod END
           FROM chain JOIN pg_catalog.pg_type d ON d.oid = chain.id WHERE d.typtype = 'd')
       SELECT id, type_mod FROM chain
     ) base
      JOIN pg_catalog.pg_type b ON b.oid = base.id AND b.typtype <> 'd'
     WHERE t.oid = source.type_id
  ) f
)sql";

constexpr std::string_view kTypeColumns =
    "f.type_id, f.display, f.cast_name, f.is_local, f.local_name, f.is_array, f.base_name, f.base_category, "
    "f.base_kind, f.characters, f.labels";
constexpr std::size_t kTypeColumnCount = 11;

constexpr std::string_view kColumnsSource = R"sql(
  SELECT a.atttypid AS type_id, a.atttypmod AS type_mod,
         c.relname, c.relkind, c.relispartition, a.attnum, a.attname, NOT a.attnotnull AS is_nullable,
         a.atthasdef OR a.attidentity <> '' AS has_default,
         a.attgenerated <> '' OR a.attidentity = 'a' AS is_generated,
         pg_catalog.col_description(c.oid, a.attnum) AS remark
    FROM relations m
    JOIN pg_catalog.pg_class c ON c.oid = m.id
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
)sql";
constexpr std::string_view kColumnsOutput =
    ", source.relname, source.relkind, source.relispartition, source.attname, source.is_nullable, "
    "source.has_default, source.is_generated, source.remark";
constexpr std::string_view kColumnsOrder = "source.relname, source.attnum";

// An error names the constraint of the partition that refused the row, so partitions' constraints count as
// their root's. Unique indexes without a constraint raise the same error as one.
constexpr std::string_view kConstraintsQuery = R"sql(
WITH RECURSIVE member (id, root) AS (
  SELECT c.oid, c.oid FROM pg_catalog.pg_class c
   WHERE c.oid IN (
     SELECT d.objid FROM pg_catalog.pg_namespace n
       JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.refobjid = n.oid
      WHERE n.nspname = $1 AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass)
     AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   UNION ALL
  SELECT i.inhrelid, member.root FROM member JOIN pg_catalog.pg_inherits i ON i.inhparent = member.id
)
SELECT DISTINCT ON (r.relname, x.name) r.relname, x.name, x.kind, x.columns
  FROM member m
  JOIN pg_catalog.pg_class r ON r.oid = m.root
 CROSS JOIN LATERAL (
   SELECT k.conname AS name, k.contype::text AS kind,
          (SELECT pg_catalog.json_agg(a.attname ORDER BY p.position)
             FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY p (number, position)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = m.id AND a.attnum = p.number) AS columns
     FROM pg_catalog.pg_constraint k WHERE k.conrelid = m.id AND k.contype IN ('p', 'u', 'f', 'c', 'x')
    UNION ALL
   SELECT i.relname, 'u',
          (SELECT pg_catalog.json_agg(a.attname ORDER BY p.position)
             FROM pg_catalog.unnest(x.indkey::int2[]) WITH ORDINALITY p (number, position)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = m.id AND a.attnum = p.number
            WHERE p.position <= x.indnkeyatts)
     FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
    WHERE x.indrelid = m.id AND x.indisunique
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = x.indexrelid AND k.conrelid = m.id)
 ) x
 ORDER BY r.relname, x.name, (m.id = m.root) DESC
)sql";

constexpr std::string_view kIndexesQuery = R"sql(
SELECT c.relname, i.relname,
       x.indisunique AND x.indimmediate AND x.indisvalid AND x.indpred IS NULL,
       x.indisvalid AND x.indpred IS NULL AND m.amname = 'btree',
       (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(COALESCE(a.attname, ''), x.indoption[p.position - 1] & 1 = 1)
                                   ORDER BY p.position)
          FROM pg_catalog.unnest(x.indkey::int2[]) WITH ORDINALITY p (number, position)
          LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.number AND p.number > 0
         WHERE p.position <= x.indnkeyatts)
  FROM pg_catalog.pg_index x
  JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
  JOIN pg_catalog.pg_am m ON m.oid = i.relam
  JOIN pg_catalog.pg_class c ON c.oid = x.indrelid
 WHERE c.oid IN (
     SELECT d.objid FROM pg_catalog.pg_namespace n
       JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.refobjid = n.oid
      WHERE n.nspname = $1 AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass)
   AND c.relkind IN ('r', 'p') AND NOT c.relispartition
 ORDER BY c.relname, i.relname
)sql";

constexpr std::string_view kFunctionsSource = R"sql(
  SELECT p.prorettype AS type_id, -1 AS type_mod,
         p.oid, p.proname, p.prokind, p.proretset, p.provolatile IN ('s', 'i') AS only_reads,
         p.provariadic <> 0 AS is_variadic, p.pronargdefaults
    FROM functions m
    JOIN pg_catalog.pg_proc p ON p.oid = m.id
)sql";
constexpr std::string_view kFunctionsOutput =
    ", source.oid, source.proname, source.prokind, source.proretset, source.only_reads, f.own_kind, "
    "source.is_variadic, source.pronargdefaults";
constexpr std::string_view kFunctionsOrder = "source.proname, source.oid";

// Arguments (i in, b in and out, v variadic), columns of a result (o out, t table, b), and of composite
// results (c).
constexpr std::string_view kParametersSource = R"sql(
  SELECT x.type_id, x.type_mod, p.oid, x.mode, x.name, x.position
    FROM functions m
    JOIN pg_catalog.pg_proc p ON p.oid = m.id
   CROSS JOIN LATERAL (
     SELECT q.type_id, -1 AS type_mod, COALESCE(p.proargmodes[q.position], 'i')::text AS mode,
            COALESCE(p.proargnames[q.position], '') AS name, q.position
       FROM pg_catalog.unnest(COALESCE(p.proallargtypes, p.proargtypes::oid[])) WITH ORDINALITY q (type_id, position)
      UNION ALL
     SELECT a.atttypid, a.atttypmod, 'c', a.attname, a.attnum
       FROM pg_catalog.pg_type r
       JOIN pg_catalog.pg_attribute a ON a.attrelid = r.typrelid AND a.attnum > 0 AND NOT a.attisdropped
      WHERE r.oid = p.prorettype AND r.typtype = 'c'
   ) x
)sql";
constexpr std::string_view kParametersOutput = ", source.oid, source.mode, source.name";
constexpr std::string_view kParametersOrder = "source.oid, source.position";

std::string members(std::string_view name, std::string_view catalog) {
  std::string sql(name);
  sql +=
      " (id) AS MATERIALIZED (SELECT d.objid FROM pg_catalog.pg_namespace n "
      "JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass "
      "AND d.refobjid = n.oid WHERE n.nspname = $1 AND d.classid = 'pg_catalog.";
  sql += catalog;
  return sql + "'::pg_catalog.regclass)";
}

// The members of the schema first, then what has a type, then the facts about that: MATERIALIZED keeps the
// planner from any other order. Left to itself it has computed the facts of every type of every schema, for
// minutes.
std::string typed_query(std::string_view source, std::string_view output, std::string_view order) {
  std::string sql = "WITH " + members("relations", "pg_class") + ", " + members("functions", "pg_proc");
  sql += ", source AS MATERIALIZED (";
  sql += source;
  sql += ") SELECT ";
  sql += kTypeColumns;
  sql += output;
  sql += " FROM source";
  sql += kTypeFacts;
  sql += " ORDER BY ";
  sql += order;
  return sql;
}

bool is_true(std::string_view text) { return text == "t"; }

std::vector<std::string> string_list(std::string_view text) {
  std::vector<std::string> list;
  const auto parsed = json::parse(text);
  const json::Array* items = parsed.ok() ? parsed.value().as_array() : nullptr;
  if (items == nullptr) return list;
  for (const json::Value& item : *items) {
    if (const std::string* word = item.as_string(); word != nullptr) list.push_back(*word);
  }
  return list;
}

ColumnKind kind_of(std::string_view name, char category, char type_kind) {
  static constexpr std::array<std::pair<std::string_view, ColumnKind>, 18> kKinds = {{
      {"bool", ColumnKind::boolean},
      {"int2", ColumnKind::integer},
      {"int4", ColumnKind::integer},
      {"int8", ColumnKind::integer},
      {"numeric", ColumnKind::number},
      {"float4", ColumnKind::number},
      {"float8", ColumnKind::number},
      {"text", ColumnKind::text},
      {"varchar", ColumnKind::text},
      {"bpchar", ColumnKind::text},
      {"citext", ColumnKind::text},
      {"name", ColumnKind::text},
      {"uuid", ColumnKind::uuid},
      {"date", ColumnKind::date},
      {"timestamptz", ColumnKind::timestamp},
      {"json", ColumnKind::json},
      {"jsonb", ColumnKind::json},
      {"bytea", ColumnKind::bytes},
  }};
  if (type_kind == 'e') return ColumnKind::text;
  if (category == 'A' && type_kind == 'b') return ColumnKind::array;
  if (name == "timestamp") return ColumnKind::timestamp;
  for (const auto& [known, kind] : kKinds) {
    if (known == name) return kind;
  }
  return ColumnKind::other;
}

// The columns of kTypeColumns, which come first in each row.
Column read_type(const pg::Rows& rows, std::size_t row) {
  Column column;
  column.type_id = static_cast<std::uint32_t>(parse_int64(rows.text(row, 0)).value_or(0));
  column.type = rows.text(row, 1);
  if (is_true(rows.text(row, 3))) {
    column.local_type = rows.text(row, 4);
    column.local_type_is_array = is_true(rows.text(row, 5));
    // People need not see in which schema a type lives: it differs from tenant to tenant.
    column.type = column.local_type + (column.local_type_is_array ? "[]" : "");
  } else {
    column.cast = rows.text(row, 2);
  }
  column.kind = kind_of(rows.text(row, 6), rows.text(row, 7)[0], rows.text(row, 8)[0]);
  if (const auto characters = parse_int64(rows.text(row, 9))) {
    column.max_characters = static_cast<std::size_t>(*characters);
  }
  column.labels = string_list(rows.text(row, 10));
  return column;
}

void read_columns(Catalog& catalog, const pg::Rows& rows) {
  constexpr std::size_t kFirst = kTypeColumnCount;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const std::string name(rows.text(row, kFirst));
    CatalogRelation& relation = catalog.relations[name];
    relation.name = name;
    const char kind = rows.text(row, kFirst + 1)[0];
    relation.kind = kind == 'r'   ? RelationKind::table
                    : kind == 'p' ? RelationKind::partitioned_table
                    : kind == 'v' ? RelationKind::view
                                  : RelationKind::other;
    relation.is_partition = is_true(rows.text(row, kFirst + 2));
    Column column = read_type(rows, row);
    column.name = rows.text(row, kFirst + 3);
    column.nullable = is_true(rows.text(row, kFirst + 4));
    column.has_default = is_true(rows.text(row, kFirst + 5));
    column.generated = is_true(rows.text(row, kFirst + 6));
    column.comment = rows.text(row, kFirst + 7);
    relation.columns.push_back(std::move(column));
  }
}

ConstraintKind constraint_kind(char letter) {
  switch (letter) {
    case 'p':
      return ConstraintKind::primary_key;
    case 'u':
      return ConstraintKind::unique;
    case 'f':
      return ConstraintKind::foreign_key;
    case 'x':
      return ConstraintKind::exclusion;
    default:
      return ConstraintKind::check;
  }
}

void read_constraints(Catalog& catalog, const pg::Rows& rows) {
  for (std::size_t row = 0; row < rows.size(); ++row) {
    Constraint constraint;
    constraint.name = rows.text(row, 1);
    constraint.kind = constraint_kind(rows.text(row, 2)[0]);
    constraint.columns = string_list(rows.text(row, 3));
    std::erase(constraint.columns, kTenantColumn);
    catalog.relations[std::string(rows.text(row, 0))].constraints.push_back(std::move(constraint));
  }
}

void read_indexes(Catalog& catalog, const pg::Rows& rows) {
  for (std::size_t row = 0; row < rows.size(); ++row) {
    CatalogIndex index;
    index.name = rows.text(row, 1);
    index.unique = is_true(rows.text(row, 2));
    index.sorted = is_true(rows.text(row, 3));
    const auto keys = json::parse(rows.text(row, 4));
    if (keys.ok() && keys->as_array() != nullptr) {
      for (const json::Value& key : *keys->as_array()) {
        const json::Array& pair = *key.as_array();
        CatalogIndex::Key index_key;
        index_key.column = *pair[0].as_string();
        index_key.descending = *pair[1].as_bool();
        index.keys.push_back(std::move(index_key));
      }
    }
    catalog.relations[std::string(rows.text(row, 0))].indexes.push_back(std::move(index));
  }
}

// A function while its parameters arrive.
struct FunctionDraft {
  CatalogFunction* target = nullptr;
  std::size_t default_count = 0;
  char kind = 'f';
  char result_kind = 'b';
  bool variadic = false;
  Column scalar;
};

void set_fault(CatalogFunction& function, std::string rule, std::string fault) {
  if (!function.fault_rule.empty()) return;
  function.fault_rule = std::move(rule);
  function.fault = std::move(fault);
}

using FunctionDrafts = std::map<std::string, FunctionDraft>;  // by OID

FunctionDrafts read_functions(Catalog& catalog, const pg::Rows& rows) {
  constexpr std::size_t kFirst = kTypeColumnCount;
  FunctionDrafts drafts;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const std::string name(rows.text(row, kFirst + 1));
    const auto [place, is_new] = catalog.functions.try_emplace(name);
    CatalogFunction& entry = place->second;
    if (!is_new) {
      ++entry.overloads;
      continue;
    }
    entry.function.name = name;
    entry.function.returns_set = is_true(rows.text(row, kFirst + 3));
    entry.function.read_only = is_true(rows.text(row, kFirst + 4));
    FunctionDraft draft;
    draft.target = &entry;
    draft.kind = rows.text(row, kFirst + 2)[0];
    draft.result_kind = rows.text(row, kFirst + 5)[0];
    draft.variadic = is_true(rows.text(row, kFirst + 6));
    draft.default_count = static_cast<std::size_t>(parse_int64(rows.text(row, kFirst + 7)).value_or(0));
    draft.scalar = read_type(rows, row);
    draft.scalar.name = name;
    drafts.emplace(std::string(rows.text(row, kFirst)), std::move(draft));
  }
  return drafts;
}

void read_parameters(const FunctionDrafts& drafts, const pg::Rows& rows) {
  constexpr std::size_t kFirst = kTypeColumnCount;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const auto found = drafts.find(std::string(rows.text(row, kFirst)));
    if (found == drafts.end()) continue;  // a further function of the same name
    CatalogFunction& entry = *found->second.target;
    Function& function = entry.function;
    const char mode = rows.text(row, kFirst + 1)[0];
    Column column = read_type(rows, row);
    column.name = rows.text(row, kFirst + 2);
    if (rows.text(row, 8)[0] == 'p') {
      set_fault(entry, "function-polymorphic", "has a parameter of the type " + column.type);
    }
    if (column.name.empty()) {
      set_fault(entry, "function-argument-unnamed", "has a parameter without a name");
    }
    if (mode == 'i' || mode == 'b' || mode == 'v') {
      FunctionArgument argument;
      argument.name = column.name;
      argument.type = column.type;
      argument.cast = column.cast;
      argument.kind = column.kind;
      function.arguments.push_back(std::move(argument));
      if (!column.local_type.empty()) {
        set_fault(entry, "function-argument-local-type",
                  "takes " + column.name + " as " + column.type + ", a type of the pack's own schema");
      }
    }
    if (mode != 'i' && mode != 'v') function.result.push_back(std::move(column));
  }
}

void finish_functions(FunctionDrafts& drafts) {
  for (auto& [id, draft] : drafts) {
    CatalogFunction& entry = *draft.target;
    Function& function = entry.function;
    function.returns_row = !function.result.empty();
    if (draft.kind != 'f') set_fault(entry, "function-not-callable", "is no ordinary function");
    if (draft.variadic) set_fault(entry, "function-not-callable", "takes any number of arguments");
    const std::string_view result = draft.scalar.type;
    if (result == "trigger" || result == "event_trigger") {
      set_fault(entry, "function-not-callable", "is a trigger function");
    } else if (!function.returns_row && draft.result_kind == 'p' && result != "void") {
      set_fault(entry, "function-result-unknown",
                "returns " + draft.scalar.type + " without saying which columns");
    }
    if (!function.returns_row) function.result.push_back(std::move(draft.scalar));
    auto& arguments = function.arguments;
    for (std::size_t i = arguments.size() - std::min(draft.default_count, arguments.size());
         i < arguments.size(); ++i) {
      arguments[i].has_default = true;
    }
  }
}

}  // namespace

const Column* CatalogRelation::find_column(std::string_view column_name) const {
  for (const Column& column : columns) {
    if (column.name == column_name) return &column;
  }
  return nullptr;
}

Task<Result<Catalog>> read_catalog(pg::Session& session, std::string schema, CallOptions options) {
  const pg::Params params(1, schema);
  const auto statement = [&](std::string sql) {
    return pg::Statement(std::move(sql), params, pg::Access::read, pg::Reuse::once);
  };
  const pg::Statement columns_statement =
      statement(typed_query(kColumnsSource, kColumnsOutput, kColumnsOrder));
  const pg::Statement constraints_statement = statement(std::string(kConstraintsQuery));
  const pg::Statement indexes_statement = statement(std::string(kIndexesQuery));
  const pg::Statement functions_statement =
      statement(typed_query(kFunctionsSource, kFunctionsOutput, kFunctionsOrder));
  const pg::Statement parameters_statement =
      statement(typed_query(kParametersSource, kParametersOutput, kParametersOrder));

  CO_TRY(const auto columns, co_await session.query(columns_statement, options));
  CO_TRY(const auto constraints, co_await session.query(constraints_statement, options));
  CO_TRY(const auto indexes, co_await session.query(indexes_statement, options));
  CO_TRY(const auto functions, co_await session.query(functions_statement, options));
  CO_TRY(const auto parameters, co_await session.query(parameters_statement, options));

  Catalog catalog;
  read_columns(catalog, columns);
  read_constraints(catalog, constraints);
  read_indexes(catalog, indexes);
  FunctionDrafts drafts = read_functions(catalog, functions);
  read_parameters(drafts, parameters);
  finish_functions(drafts);
  co_return catalog;
}

}  // namespace rowhouse::tenancy
