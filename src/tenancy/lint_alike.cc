#include "tenancy/lint_alike.h"

#include <map>
#include <utility>

namespace rowhouse::tenancy {

namespace {

constexpr std::string_view kFewSql =
    "SET LOCAL enable_nestloop = on; SET LOCAL enable_mergejoin = on; SET LOCAL enable_sort = on";
constexpr std::string_view kManySql =
    "SET LOCAL enable_nestloop = off; SET LOCAL enable_mergejoin = on; SET LOCAL enable_sort = on";
// Sorting millions of rows, which spills, takes longer than hashing them; the planner does not know how many
// there will be.
constexpr std::string_view kHashSql =
    "SET LOCAL enable_nestloop = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_sort = off";

// A line is a hash of what the catalog holds of one object; identifiers that differ from schema to schema are
// replaced by names, and others kept: whatever points out of the schema differs from what points into it. No
// texts are built, but where only a text says it without the schema's name.
constexpr std::string_view kObjects = R"sql(
WITH scope_name (schema_name, role_name) AS (
  SELECT * FROM ROWS FROM (pg_catalog.json_array_elements_text($1::json), pg_catalog.json_array_elements_text($2::json)) n
), scope AS MATERIALIZED (
  SELECT n.oid, n.nspname AS name, pg_catalog.quote_ident(n.nspname) || '.' AS prefix, n.nspowner AS owner, n.nspacl AS acl, u.oid AS runtime
    FROM scope_name s
    JOIN pg_catalog.pg_namespace n ON n.nspname = s.schema_name::name
    LEFT JOIN pg_catalog.pg_roles u ON u.rolname = s.role_name::name
), extension_member AS MATERIALIZED (
  SELECT classid AS class_id, objid AS id FROM pg_catalog.pg_depend
   WHERE refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND deptype = 'e'
), class AS MATERIALIZED (
  SELECT c.oid, s.oid AS scope_id, s.prefix, c.relname AS name, c.relkind AS kind
    FROM pg_catalog.pg_class c JOIN scope s ON s.oid = c.relnamespace
), routine AS MATERIALIZED (
  SELECT p.oid, s.oid AS scope_id, s.prefix, p.proname AS name
    FROM pg_catalog.pg_proc p JOIN scope s ON s.oid = p.pronamespace
), own_type AS MATERIALIZED (
  SELECT t.oid, t.typnamespace AS scope_id, t.typname AS name, t.typtype AS kind
    FROM pg_catalog.pg_type t WHERE t.typnamespace IN (SELECT oid FROM scope)
)
)sql";

// Expressions are printed once for each tree that is stored, and relation it is about, by name: thousands of
// schemas share most of them. Only one that names anything by its schema may name this one.
constexpr std::string_view kExpressions = R"sql(
, stored AS MATERIALIZED (
  SELECT 1 AS kind, d.oid AS id, c.scope_id, c.prefix, c.name AS table_name, NULL::name AS name, d.adnum AS number,
         pg_catalog.hashtextextended(d.adbin::text, 1) AS hash
    FROM class c JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid
   UNION ALL
  SELECT 2, k.oid, c.scope_id, c.prefix, c.name, k.conname, 0, pg_catalog.hashtextextended(k.conbin::text, 1)
    FROM class c JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.conbin IS NOT NULL
   UNION ALL
  SELECT 3, y.oid, c.scope_id, c.prefix, c.name, y.polname, 0, pg_catalog.hashtextextended(y.polqual::text, 1)
    FROM class c JOIN pg_catalog.pg_policy y ON y.polrelid = c.oid AND y.polqual IS NOT NULL
   UNION ALL
  SELECT 4, y.oid, c.scope_id, c.prefix, c.name, y.polname, 0, pg_catalog.hashtextextended(y.polwithcheck::text, 1)
    FROM class c JOIN pg_catalog.pg_policy y ON y.polrelid = c.oid AND y.polwithcheck IS NOT NULL
   UNION ALL
  SELECT 5, x.indexrelid, c.scope_id, c.prefix, c.name, i.name, 0,
         pg_catalog.hashtextextended(pg_catalog.concat_ws(' & ', x.indexprs::text, x.indpred::text), 1)
    FROM pg_catalog.pg_index x JOIN class c ON c.oid = x.indrelid JOIN class i ON i.oid = x.indexrelid
   WHERE x.indexprs IS NOT NULL OR x.indpred IS NOT NULL
), printed AS MATERIALIZED (
  SELECT e.kind, e.table_name, e.hash, p.text, pg_catalog.hashtextextended(p.text, 2) AS text_hash,
         pg_catalog.strpos(p.text, '.') > 0 AS is_qualified
    FROM (SELECT kind, table_name, hash, pg_catalog.min(id::bigint)::oid AS id FROM stored GROUP BY 1, 2, 3) e
   CROSS JOIN LATERAL (
     SELECT CASE e.kind
              WHEN 1 THEN (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d WHERE d.oid = e.id)
              WHEN 2 THEN (SELECT pg_catalog.pg_get_expr(k.conbin, k.conrelid) FROM pg_catalog.pg_constraint k WHERE k.oid = e.id)
              WHEN 3 THEN (SELECT pg_catalog.pg_get_expr(y.polqual, y.polrelid) FROM pg_catalog.pg_policy y WHERE y.oid = e.id)
              WHEN 4 THEN (SELECT pg_catalog.pg_get_expr(y.polwithcheck, y.polrelid) FROM pg_catalog.pg_policy y WHERE y.oid = e.id)
              ELSE (SELECT pg_catalog.concat_ws(' & ', pg_catalog.pg_get_expr(x.indexprs, x.indrelid), pg_catalog.pg_get_expr(x.indpred, x.indrelid))
                      FROM pg_catalog.pg_index x WHERE x.indexrelid = e.id) END AS text
    OFFSET 0) p
)
)sql";

constexpr std::string_view kExpressionLines = R"sql(
  SELECT e.scope_id, pg_catalog.hash_record_extended(ROW(e.kind, e.table_name, e.name, e.number,
           CASE WHEN p.is_qualified THEN pg_catalog.hashtextextended(pg_catalog.replace(p.text, e.prefix, '@schema@.'), 2) ELSE p.text_hash END), 0)
    FROM stored e JOIN printed p ON p.kind = e.kind AND p.table_name = e.table_name AND p.hash = e.hash
)sql";

constexpr std::string_view kTableLines = R"sql(
  SELECT c.scope_id, pg_catalog.hash_record_extended(ROW(7, c.name, a.attname, a.attnum, t.name, CASE WHEN t.oid IS NULL THEN a.atttypid END,
           a.atttypmod, a.attnotnull, a.attidentity, a.attgenerated, a.attcollation, a.atthasdef, a.attacl), 0)
    FROM pg_catalog.pg_attribute a
    JOIN class c ON c.oid = a.attrelid
    LEFT JOIN own_type t ON t.oid = a.atttypid AND t.scope_id = c.scope_id
   WHERE a.attnum > 0 AND NOT a.attisdropped
   UNION ALL
  SELECT i.scope_id, pg_catalog.hash_record_extended(ROW(8, i.name, c.name, x.indisunique, x.indisprimary, x.indisexclusion, x.indimmediate,
           x.indisvalid, x.indisready, x.indislive, x.indnkeyatts, x.indkey::int2[], x.indcollation, x.indclass, x.indoption::int2[]), 0)
    FROM pg_catalog.pg_index x
    JOIN class i ON i.oid = x.indexrelid
    JOIN class c ON c.oid = x.indrelid
   UNION ALL
  SELECT c.scope_id, pg_catalog.hash_record_extended(ROW(9, c.name, k.conname, k.contype, k.condeferrable, k.condeferred, k.convalidated,
           k.confupdtype, k.confdeltype, k.confmatchtype, k.conkey, k.confkey, k.confdelsetcols, k.connoinherit, k.conexclop,
           k.conparentid = 0, f.name, CASE WHEN f.oid IS NULL THEN k.confrelid END, i.name), 0)
    FROM pg_catalog.pg_constraint k
    JOIN class c ON c.oid = k.conrelid
    LEFT JOIN class f ON f.oid = k.confrelid AND f.scope_id = c.scope_id
    LEFT JOIN class i ON i.oid = k.conindid
)sql";

// Trees of views and functions are not printed, which takes too long, but compared as they are stored: with
// names in place of the schema's own objects, which pg_depend knows. Should a number that is replaced be none
// of those, two schemas would have to differ in just that number to be confused. What pg_depend does not
// know, or what is not stored as a number of its own (types of columns, values of enums, sequences as
// constants), would make every schema another one: trees with these are printed.
constexpr std::string_view kBodies = R"sql(
, with_types AS MATERIALIZED (
  SELECT DISTINCT scope_id FROM own_type WHERE kind IN ('d', 'e', 'r')
), tree AS (
  SELECT w.oid AS id, 'pg_catalog.pg_rewrite'::pg_catalog.regclass AS class_id, c.scope_id, c.prefix, c.name, w.rulename::text AS detail,
         CASE WHEN y.scope_id IS NULL THEN w.ev_action::text || COALESCE(w.ev_qual::text, '') END AS tree
    FROM class c
    JOIN pg_catalog.pg_rewrite w ON w.ev_class = c.oid
    LEFT JOIN with_types y ON y.scope_id = c.scope_id
   UNION ALL
  SELECT p.oid, 'pg_catalog.pg_proc'::pg_catalog.regclass, r.scope_id, r.prefix, r.name,
         pg_catalog.replace(pg_catalog.oidvectortypes(p.proargtypes), r.prefix, '@schema@.'),
         CASE WHEN y.scope_id IS NULL THEN p.prosqlbody::text END
    FROM routine r
    JOIN pg_catalog.pg_proc p ON p.oid = r.oid AND p.prosqlbody IS NOT NULL
    LEFT JOIN with_types y ON y.scope_id = r.scope_id
)
)sql";

constexpr std::string_view kBodyLines = R"sql(
  SELECT t.scope_id, pg_catalog.hash_record_extended(ROW(12, t.class_id::oid, t.name, t.detail, d.strange,
           CASE WHEN t.tree IS NULL OR d.has_sequence OR pg_catalog.strpos(t.tree, ':varattno 0 ') > 0
                THEN pg_catalog.replace(CASE WHEN t.class_id = 'pg_catalog.pg_rewrite'::pg_catalog.regclass THEN pg_catalog.pg_get_ruledef(t.id)
                                             ELSE pg_catalog.pg_get_function_sqlbody(t.id) END, t.prefix, '@schema@.')
                WHEN d.ids IS NULL THEN t.tree
                WHEN pg_catalog.cardinality(d.ids) = 1 THEN pg_catalog.replace(t.tree, d.ids[1], d.names[1])
                WHEN pg_catalog.cardinality(d.ids) = 2 THEN pg_catalog.replace(pg_catalog.replace(t.tree, d.ids[1], d.names[1]), d.ids[2], d.names[2])
                WHEN pg_catalog.cardinality(d.ids) = 3
                THEN pg_catalog.replace(pg_catalog.replace(pg_catalog.replace(t.tree, d.ids[1], d.names[1]), d.ids[2], d.names[2]), d.ids[3], d.names[3])
                ELSE (WITH RECURSIVE named (position, tree) AS (
                        SELECT 0, t.tree
                         UNION ALL
                        SELECT n.position + 1, pg_catalog.replace(n.tree, d.ids[n.position + 1], d.names[n.position + 1])
                          FROM named n WHERE n.position < pg_catalog.cardinality(d.ids))
                      SELECT n.tree FROM named n WHERE n.position = pg_catalog.cardinality(d.ids)) END), 0)
    FROM tree t
   CROSS JOIN LATERAL (
     SELECT pg_catalog.array_agg(' ' || o.id || ' ') FILTER (WHERE o.name IS NOT NULL) AS ids,
            pg_catalog.array_agg(' ' || o.name || ' ') FILTER (WHERE o.name IS NOT NULL) AS names,
            pg_catalog.string_agg(o.class_id::oid || ' ' || o.id, ',' ORDER BY o.class_id, o.id) FILTER (WHERE o.name IS NULL) AS strange,
            COALESCE(pg_catalog.bool_or(pg_catalog.starts_with(o.name, 'sequence ')), false) AS has_sequence
       FROM (SELECT DISTINCT b.refclassid AS class_id, b.refobjid AS id,
                    CASE b.refclassid
                      WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN
                        (SELECT CASE x.relkind WHEN 'S' THEN 'sequence ' ELSE 'class ' END || x.relname FROM pg_catalog.pg_class x WHERE x.oid = b.refobjid AND x.relnamespace = t.scope_id)
                      WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN
                        (SELECT 'routine ' || x.proname || ' ' || x.proargtypes::text FROM pg_catalog.pg_proc x WHERE x.oid = b.refobjid AND x.pronamespace = t.scope_id)
                      WHEN 'pg_catalog.pg_type'::pg_catalog.regclass THEN
                        (SELECT 'type ' || x.typname FROM pg_catalog.pg_type x WHERE x.oid = b.refobjid AND x.typnamespace = t.scope_id)
                      WHEN 'pg_catalog.pg_namespace'::pg_catalog.regclass THEN
                        (SELECT 'schema' WHERE b.refobjid = t.scope_id)
                    END AS name
               FROM pg_catalog.pg_depend b WHERE b.classid = t.class_id AND b.objid = t.id) o) d
)sql";

constexpr std::string_view kRestLines = R"sql(
  SELECT s.oid, pg_catalog.hash_record_extended(ROW(0, s.owner, s.acl, s.runtime), 0) FROM scope s
   UNION ALL
  SELECT s.oid, pg_catalog.hash_record_extended(ROW(21, w.rules), 0) FROM scope s JOIN rowhouse.row_rules w ON w.schema_name = s.name::text
   UNION ALL
  SELECT k.scope_id, pg_catalog.hash_record_extended(ROW(6, k.name, c.relkind, c.relpersistence, c.relispartition, c.relrowsecurity,
           c.relforcerowsecurity, c.relreplident, c.reltablespace, c.relowner, c.relacl, c.reloptions, c.relam,
           CASE WHEN c.relispartition THEN pg_catalog.replace(pg_catalog.pg_get_expr(c.relpartbound, c.oid), k.prefix, '@schema@.') END,
           CASE WHEN c.relkind = 'p' THEN pg_catalog.replace(pg_catalog.pg_get_partkeydef(c.oid), k.prefix, '@schema@.') END,
           CASE WHEN c.relkind = 'S' THEN EXISTS (
             SELECT FROM pg_catalog.pg_depend d WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = c.oid
                AND d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass) END,
           e.id IS NOT NULL), 0)
    FROM class k JOIN pg_catalog.pg_class c ON c.oid = k.oid
    LEFT JOIN extension_member e ON e.class_id = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.id = c.oid
   UNION ALL
  SELECT c.scope_id, pg_catalog.hash_record_extended(ROW(10, c.name, y.polname, y.polcmd, y.polpermissive, y.polroles), 0)
    FROM pg_catalog.pg_policy y JOIN class c ON c.oid = y.polrelid
   UNION ALL
  SELECT c.scope_id, pg_catalog.hash_record_extended(ROW(11, c.name, t.tgisinternal, CASE WHEN NOT t.tgisinternal THEN t.tgname END, t.tgtype,
           t.tgenabled, r.name, CASE WHEN r.oid IS NULL THEN t.tgfoid END, t.tgattr::int2[], t.tgargs, t.tgparentid = 0,
           CASE WHEN t.tgqual IS NOT NULL THEN pg_catalog.replace(pg_catalog.pg_get_triggerdef(t.oid), c.prefix, '@schema@.') END), 0)
    FROM pg_catalog.pg_trigger t
    JOIN class c ON c.oid = t.tgrelid
    LEFT JOIN routine r ON r.oid = t.tgfoid AND r.scope_id = c.scope_id
   UNION ALL
  SELECT c.scope_id, pg_catalog.hash_record_extended(ROW(13, c.name, w.rulename, w.ev_type, w.ev_enabled, w.is_instead), 0)
    FROM pg_catalog.pg_rewrite w JOIN class c ON c.oid = w.ev_class
   UNION ALL
  SELECT r.scope_id, pg_catalog.hash_record_extended(ROW(14, r.name, pg_catalog.replace(pg_catalog.oidvectortypes(p.proargtypes), r.prefix, '@schema@.'),
           pg_catalog.replace(pg_catalog.pg_get_function_result(p.oid), r.prefix, '@schema@.'),
           p.prokind, p.proowner, p.proacl, p.prosecdef, p.proleakproof, p.prolang, pg_catalog.replace(p.proconfig::text, r.prefix, '@schema@.'),
           pg_catalog.replace(p.prosrc, r.prefix, '@schema@.'), p.provolatile, p.proparallel, p.proisstrict, p.proretset, p.probin,
           p.proargnames, p.proargmodes, p.pronargdefaults, e.id IS NOT NULL), 0)
    FROM routine r JOIN pg_catalog.pg_proc p ON p.oid = r.oid
    LEFT JOIN extension_member e ON e.class_id = 'pg_catalog.pg_proc'::pg_catalog.regclass AND e.id = p.oid
   UNION ALL
  SELECT s.oid, pg_catalog.hash_record_extended(ROW(15, t.typname, t.typtype, t.typowner, t.typnotnull, pg_catalog.replace(t.typdefault, s.prefix, '@schema@.'),
           CASE WHEN t.typtype = 'd' THEN pg_catalog.replace(pg_catalog.format_type(t.typbasetype, t.typtypmod), s.prefix, '@schema@.') END,
           (SELECT pg_catalog.string_agg(l.enumlabel, ',' ORDER BY l.enumsortorder) FROM pg_catalog.pg_enum l WHERE l.enumtypid = t.oid),
           (SELECT pg_catalog.string_agg(pg_catalog.replace(pg_catalog.pg_get_constraintdef(k.oid), s.prefix, '@schema@.'), ',' ORDER BY k.conname)
              FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid),
           e.id IS NOT NULL), 0)
    FROM pg_catalog.pg_type t JOIN scope s ON s.oid = t.typnamespace
    LEFT JOIN extension_member e ON e.class_id = 'pg_catalog.pg_type'::pg_catalog.regclass AND e.id = t.oid
   WHERE t.typtype IN ('d', 'e', 'r')
   UNION ALL
  SELECT c.scope_id, pg_catalog.hash_record_extended(ROW(16, c.name, q.seqtypid, q.seqstart, q.seqincrement, q.seqmax, q.seqmin, q.seqcycle), 0)
    FROM pg_catalog.pg_sequence q JOIN class c ON c.oid = q.seqrelid
   UNION ALL
  SELECT c.scope_id, pg_catalog.hash_record_extended(ROW(17, c.name, o.relname, o.relkind, o.relispartition,
           CASE WHEN o.relnamespace <> c.scope_id THEN o.oid END), 0)
    FROM pg_catalog.pg_inherits i JOIN class c ON c.oid = i.inhparent JOIN pg_catalog.pg_class o ON o.oid = i.inhrelid
   UNION ALL
  SELECT c.scope_id, pg_catalog.hash_record_extended(ROW(18, c.name, o.relname, CASE WHEN o.relnamespace <> c.scope_id THEN o.oid END), 0)
    FROM pg_catalog.pg_inherits i JOIN class c ON c.oid = i.inhrelid JOIN pg_catalog.pg_class o ON o.oid = i.inhparent
   UNION ALL
  SELECT c.scope_id, pg_catalog.hash_record_extended(ROW(19, c.name, x.stxname, CASE WHEN x.stxnamespace <> c.scope_id THEN x.stxnamespace END), 0)
    FROM pg_catalog.pg_statistic_ext x JOIN class c ON c.oid = x.stxrelid
   UNION ALL
  SELECT s.oid, pg_catalog.hash_record_extended(ROW(20, x.extname), 0) FROM pg_catalog.pg_extension x JOIN scope s ON s.oid = x.extnamespace
)sql";

constexpr std::string_view kLooks = R"sql(
, print AS (
  SELECT scope_id, pg_catalog.sum(hash) AS hash, pg_catalog.count(*) AS lines FROM line GROUP BY scope_id
)
SELECT s.name, COALESCE(p.lines, 0) || ' ' || COALESCE(p.hash, 0) FROM scope s LEFT JOIN print p ON p.scope_id = s.oid
)sql";

std::string lines_of(std::string_view parts, std::string_view first, std::string_view second) {
  std::string sql(parts);
  sql += ", line (scope_id, hash) AS (";
  sql += first;
  if (!second.empty()) sql += "   UNION ALL";
  sql += second;
  return sql + ")";
}

std::string lines_of(LookHalf half) {
  switch (half) {
    case LookHalf::tables:
      return lines_of(kExpressions, kExpressionLines, kTableLines);
    case LookHalf::rest:
      return lines_of(kBodies, kRestLines, kBodyLines);
    case LookHalf::columns:
      return lines_of("", kTableLines, "");
    case LookHalf::others:
      break;
  }
  return lines_of(kExpressions, kExpressionLines, kRestLines);
}

}  // namespace

Task<Result<void>> use_joins(pg::Session& session, JoinsOf joins, CallOptions options) {
  const std::string sql(joins == JoinsOf::few_schemas ? kFewSql : kManySql);
  co_return co_await session.script(sql, options);
}

Task<Result<std::vector<SchemaLook>>> read_looks(pg::Session& session, std::vector<SchemaScope> schemas,
                                                 LookHalf half, CallOptions options) {
  const std::string settings(kHashSql);
  CO_TRY_DO(co_await session.script(settings, options));
  pg::Params params = catalog_parameters(schemas);
  params.resize(2);  // owner and backup are roles like all others here
  std::string sql(kObjects);
  sql += lines_of(half);
  sql += kLooks;
  const pg::Statement query(std::move(sql), std::move(params), pg::Access::read, pg::Reuse::once);
  CO_TRY(const auto rows, co_await session.query(query, options));
  std::vector<SchemaLook> looks;
  looks.reserve(rows.size());
  for (std::size_t row = 0; row < rows.size(); ++row) {
    SchemaLook look;
    look.schema = rows.text(row, 0);
    look.look = rows.text(row, 1);
    looks.push_back(std::move(look));
  }
  co_return looks;
}

std::vector<AlikeSchemas> group_by_look(const std::vector<SchemaScope>& schemas,
                                        const std::vector<SchemaLook>& tables,
                                        const std::vector<SchemaLook>& rest) {
  std::map<std::string_view, std::pair<std::string_view, std::string_view>> looks;
  for (const SchemaLook& look : tables) looks[look.schema].first = look.look;
  for (const SchemaLook& look : rest) looks[look.schema].second = look.look;
  std::vector<AlikeSchemas> groups;
  std::map<std::pair<std::string_view, std::string_view>, std::size_t> known;
  for (std::size_t i = 0; i < schemas.size(); ++i) {
    const auto found = looks.find(schemas[i].schema);
    // What only one half has seen was made or dropped meanwhile.
    const bool is_seen =
        found != looks.end() && !found->second.first.empty() && !found->second.second.empty();
    const auto at = is_seen ? known.emplace(found->second, groups.size()).first->second : groups.size();
    if (at == groups.size()) groups.emplace_back();
    groups[at].push_back(i);
  }
  return groups;
}

AlikeSchemas representatives(const AlikeSchemas& group) {
  constexpr std::size_t kSpokesmen = 2;
  if (group.size() <= kSpokesmen) return group;
  return AlikeSchemas(group.end() - kSpokesmen, group.end());
}

}  // namespace rowhouse::tenancy
