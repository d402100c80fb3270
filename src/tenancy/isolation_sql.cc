#include "tenancy/isolation_sql.h"

#include <utility>

#include "base/json.h"
#include "tenancy/cluster.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::string_view kScopeOfOne = R"sql(
WITH scope_name (schema_name, role_name) AS (
  VALUES ($1::text, $2::text)
), member (class_id, id) AS (
  SELECT d.classid, d.objid FROM pg_catalog.pg_namespace n
    JOIN pg_catalog.pg_depend d
      ON d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.refobjid = n.oid
   WHERE n.nspname = $1
), class_member AS (
  SELECT c.* FROM member m JOIN pg_catalog.pg_class c ON c.oid = m.id
   WHERE m.class_id = 'pg_catalog.pg_class'::pg_catalog.regclass
), routine_member AS (
  SELECT p.* FROM member m JOIN pg_catalog.pg_proc p ON p.oid = m.id
   WHERE m.class_id = 'pg_catalog.pg_proc'::pg_catalog.regclass
), type_member AS (
  SELECT t.* FROM member m JOIN pg_catalog.pg_type t ON t.oid = m.id
   WHERE m.class_id = 'pg_catalog.pg_type'::pg_catalog.regclass
), wording AS (SELECT false AS is_qualified
)
)sql";

constexpr std::string_view kScopeOfMany = R"sql(
WITH scope_name (schema_name, role_name) AS (
  SELECT * FROM ROWS FROM (pg_catalog.json_array_elements_text($1::json), pg_catalog.json_array_elements_text($2::json)) n
), scope_id AS MATERIALIZED (
  SELECT n.oid FROM scope_name s JOIN pg_catalog.pg_namespace n ON n.nspname = s.schema_name::name
), class_member AS (
  SELECT * FROM pg_catalog.pg_class WHERE relnamespace IN (SELECT oid FROM scope_id)
), routine_member AS (
  SELECT * FROM pg_catalog.pg_proc WHERE pronamespace IN (SELECT oid FROM scope_id)
), type_member AS (
  SELECT * FROM pg_catalog.pg_type WHERE typnamespace IN (SELECT oid FROM scope_id)
), wording AS (SELECT true AS is_qualified
)
)sql";

// Policies are printed once for each text that the catalog holds of them and each place of tenant_id:
// thousands of schemas share a handful. The same stored text means the same functions and columns, so it
// prints the same.
constexpr std::string_view kCatalog = R"sql(
, owner_role AS MATERIALIZED (
  SELECT oid, rolname FROM pg_catalog.pg_roles WHERE rolname = $3
), backup_role AS MATERIALIZED (
  SELECT oid, rolname FROM pg_catalog.pg_roles WHERE rolname = $4
), scope AS MATERIALIZED (
  SELECT n.oid, n.nspname AS name, n.nspowner AS owner, n.nspacl AS acl, n.nspname <> 'rowhouse' AS is_pack, u.oid AS runtime,
         CASE WHEN w.is_qualified THEN pg_catalog.quote_ident(n.nspname) || '.' ELSE '' END AS prefix,
         ARRAY[(pg_catalog.quote_ident(u.rolname) || '=aw/' || pg_catalog.quote_ident(o.rolname))::aclitem] AS column_acl
    FROM scope_name s
   CROSS JOIN wording w
   CROSS JOIN owner_role o
    JOIN pg_catalog.pg_namespace n ON n.nspname = s.schema_name::name
    LEFT JOIN pg_catalog.pg_roles u ON u.rolname = s.role_name::name
), canonical (expression) AS (
  -- Older and newer servers differ in whether they name the column of the sub-select.
  VALUES ('(tenant_id=(SELECTrowhouse.tenant_id()AStenant_id))'), ('(tenant_id=(SELECTrowhouse.tenant_id()))')
), extension_member AS MATERIALIZED (  -- an extension is reported as a whole
  SELECT classid AS class_id, objid AS id FROM pg_catalog.pg_depend
   WHERE refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND deptype = 'e'
), relation AS MATERIALIZED (
  SELECT c.oid, s.oid AS scope_id, s.name AS schema, s.prefix, s.is_pack, s.runtime, s.column_acl,
         c.relname AS short_name, c.relkind AS kind, c.relispartition AS is_partition,
         c.relrowsecurity AS is_secured, c.relforcerowsecurity AS is_forced, c.relowner AS owner, c.relacl AS acl,
         c.relpersistence AS persistence, c.relreplident AS replica_identity, c.reltablespace AS tablespace,
         pg_catalog.format('%I.%I', s.name, c.relname) AS name,
         s.prefix || pg_catalog.quote_ident(c.relname) AS quoted, c.relkind IN ('r', 'p') AS is_table,
         t.attnum AS tenant_number, t.atttypid AS tenant_type, t.attnotnull AS tenant_is_required,
         t.atthasdef AS tenant_has_default, t.attgenerated <> '' OR t.attidentity <> '' AS tenant_is_generated,
         -- Tables with rows of tenants. Beside a pack's tables Rowhouse keeps a few without.
         c.relkind IN ('r', 'p') AND (s.is_pack OR t.attnum IS NOT NULL) AS is_guarded,
         COALESCE((SELECT o.option_value::boolean FROM pg_catalog.pg_options_to_table(c.reloptions) o
                    WHERE o.option_name = 'security_invoker'), false) AS is_invoker,
         COALESCE((SELECT o.option_value::boolean FROM pg_catalog.pg_options_to_table(c.reloptions) o
                    WHERE o.option_name = 'security_barrier'), false) AS is_barrier
    FROM class_member c
    JOIN scope s ON s.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_attribute t
      ON t.attrelid = c.oid AND t.attname = 'tenant_id' AND t.attnum > 0 AND NOT t.attisdropped
    LEFT JOIN extension_member e ON e.class_id = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.id = c.oid
   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND e.id IS NULL
), routine AS MATERIALIZED (
  SELECT p.oid, s.oid AS scope_id, s.name AS schema, s.prefix, s.is_pack, s.runtime,
         p.proname AS short_name, p.oid::pg_catalog.regprocedure::text AS name, p.prokind AS kind,
         p.proowner AS owner, p.proacl AS acl, p.prosecdef AS is_definer, p.proleakproof AS is_leakproof,
         p.prolang AS language, p.proconfig AS settings, p.prosrc AS source,
         CASE WHEN s.prefix <> '' THEN p.oid::pg_catalog.regprocedure::text
              ELSE pg_catalog.substr(p.oid::pg_catalog.regprocedure::text,
                                     pg_catalog.length(pg_catalog.quote_ident(s.name)) + 2) END AS quoted,
         p.prorettype IN ('pg_catalog.trigger'::pg_catalog.regtype,
                          'pg_catalog.event_trigger'::pg_catalog.regtype) AS is_trigger,
         (SELECT v FROM pg_catalog.unnest(p.proconfig) v WHERE v LIKE 'search\_path=%') AS search_path
    FROM routine_member p
    JOIN scope s ON s.oid = p.pronamespace
    LEFT JOIN extension_member e ON e.class_id = 'pg_catalog.pg_proc'::pg_catalog.regclass AND e.id = p.oid
   WHERE e.id IS NULL
), stored_policy AS MATERIALIZED (
  SELECT y.oid, r.oid AS relation_id, r.tenant_number, y.polname AS name, y.polpermissive AS is_permissive,
         y.polroles = '{0}' AS is_for_all, y.polcmd AS command,
         pg_catalog.md5(y.polqual::text) AS condition, pg_catalog.md5(y.polwithcheck::text) AS check_condition
    FROM relation r JOIN pg_catalog.pg_policy y ON y.polrelid = r.oid
), printed AS MATERIALIZED (
  SELECT e.text_hash, e.tenant_number,
         pg_catalog.regexp_replace(CASE WHEN e.is_check THEN pg_catalog.pg_get_expr(y.polwithcheck, y.polrelid)
                                        ELSE pg_catalog.pg_get_expr(y.polqual, y.polrelid) END, '\s+', '', 'g')
           IN (SELECT expression FROM canonical) AS is_canonical
    FROM (SELECT condition AS text_hash, tenant_number, false AS is_check, pg_catalog.min(oid::bigint)::oid AS id
            FROM stored_policy GROUP BY 1, 2
           UNION ALL
          SELECT check_condition, tenant_number, true, pg_catalog.min(oid::bigint)::oid FROM stored_policy GROUP BY 1, 2) e
    JOIN pg_catalog.pg_policy y ON y.oid = e.id
), canonical_text AS MATERIALIZED (
  SELECT DISTINCT text_hash, tenant_number FROM printed WHERE is_canonical
), policy AS MATERIALIZED (
  SELECT y.relation_id, y.name, y.is_permissive, y.is_for_all,
         y.name IN ('rowhouse_tenant', 'rowhouse_wall') AS is_ours,
         y.command = '*' AND y.is_for_all AND y.is_permissive = (y.name = 'rowhouse_tenant')
           AND q.text_hash IS NOT NULL AND w.text_hash IS NOT NULL AS is_canonical
    FROM stored_policy y
    LEFT JOIN canonical_text q ON q.text_hash = y.condition AND q.tenant_number = y.tenant_number
    LEFT JOIN canonical_text w ON w.text_hash = y.check_condition AND w.tenant_number = y.tenant_number
)
)sql";

}  // namespace

const std::string_view kGrantCatalog = R"sql(
, owned AS MATERIALIZED (
  SELECT r.*, r.is_table AND NOT r.is_partition AND r.tenant_type = 'pg_catalog.uuid'::pg_catalog.regtype
              AND NOT r.tenant_is_generated AS is_tenant_table
    FROM relation r WHERE r.is_pack AND r.owner = (SELECT oid FROM owner_role) AND r.kind IN ('r', 'p', 'v', 'm', 'S')
), callable AS MATERIALIZED (
  SELECT f.*, f.kind <> 'p' AND NOT f.is_trigger AND (NOT f.is_definer OR f.search_path IS NOT NULL) AS is_callable
    FROM routine f WHERE f.is_pack AND f.owner = (SELECT oid FROM owner_role)
), default_sequence AS MATERIALIZED (
  -- A sequence behind a column's default is advanced by whoever inserts; one behind an identity is not.
  SELECT DISTINCT r.oid
    FROM owned r
    JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = r.oid
     AND d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
   WHERE r.kind = 'S'
), unusual_column AS MATERIALIZED (
  SELECT r.oid AS relation_id, a.attname, a.attacl, r.runtime, k.is_writable
    FROM owned r
    JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
   CROSS JOIN LATERAL (
     SELECT r.is_tenant_table AND r.runtime IS NOT NULL AND a.attname <> 'tenant_id' AND a.attgenerated = ''
            AND a.attidentity <> 'a' AS is_writable) k
   WHERE a.attacl IS DISTINCT FROM CASE WHEN k.is_writable THEN r.column_acl END
), wanted (scope_id, kind, id, column_name, grantee, privilege) AS (
  SELECT s.oid, 'SCHEMA', s.oid, NULL::name, g.oid, 'USAGE'
    FROM scope s CROSS JOIN LATERAL (SELECT s.runtime AS oid UNION ALL SELECT oid FROM backup_role) g
   WHERE s.is_pack AND s.owner = (SELECT oid FROM owner_role) AND g.oid IS NOT NULL
   UNION ALL
  SELECT r.scope_id, 'TABLE', r.oid, NULL, r.runtime, p.privilege
    FROM owned r CROSS JOIN (VALUES ('SELECT'), ('DELETE')) p (privilege)
   WHERE r.runtime IS NOT NULL AND (r.is_tenant_table OR (r.kind = 'v' AND r.is_invoker AND p.privilege = 'SELECT'))
   UNION ALL
  SELECT r.scope_id, CASE r.kind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, r.oid, NULL, g.oid, 'SELECT'
    FROM owned r CROSS JOIN backup_role g
   UNION ALL
  SELECT r.scope_id, 'TABLE', r.oid, c.attname, r.runtime, p.privilege
    FROM unusual_column c JOIN owned r ON r.oid = c.relation_id
   CROSS JOIN (VALUES ('INSERT'), ('UPDATE')) p (privilege)
   WHERE c.is_writable
   UNION ALL
  SELECT r.scope_id, 'SEQUENCE', r.oid, NULL, r.runtime, 'USAGE'
    FROM owned r JOIN default_sequence q ON q.oid = r.oid WHERE r.runtime IS NOT NULL
   UNION ALL
  SELECT f.scope_id, 'ROUTINE', f.oid, NULL, f.runtime, 'EXECUTE' FROM callable f WHERE f.is_callable AND f.runtime IS NOT NULL
), granted (scope_id, kind, id, column_name, grantee, privilege, is_grantable) AS (
  SELECT s.oid, 'SCHEMA', s.oid, NULL::name, x.grantee, x.privilege_type, x.is_grantable
    FROM scope s CROSS JOIN LATERAL pg_catalog.aclexplode(s.acl) x
   WHERE s.is_pack AND s.owner = (SELECT oid FROM owner_role) AND x.grantee <> s.owner
   UNION ALL
  SELECT r.scope_id, CASE r.kind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, r.oid, NULL, x.grantee, x.privilege_type,
         x.is_grantable
    FROM owned r CROSS JOIN LATERAL pg_catalog.aclexplode(r.acl) x WHERE x.grantee <> r.owner
   UNION ALL
  SELECT r.scope_id, 'TABLE', r.oid, c.attname, x.grantee, x.privilege_type, x.is_grantable
    FROM unusual_column c JOIN owned r ON r.oid = c.relation_id
   CROSS JOIN LATERAL pg_catalog.aclexplode(c.attacl) x WHERE x.grantee <> r.owner
   UNION ALL
  SELECT f.scope_id, 'ROUTINE', f.oid, NULL, x.grantee, x.privilege_type, x.is_grantable
    FROM callable f
   CROSS JOIN LATERAL pg_catalog.aclexplode(COALESCE(f.acl, pg_catalog.acldefault('f', f.owner))) x
   WHERE x.grantee <> f.owner
), difference AS MATERIALIZED (
  SELECT COALESCE(w.scope_id, g.scope_id) AS scope_id, COALESCE(w.kind, g.kind) AS kind, COALESCE(w.id, g.id) AS id,
         COALESCE(w.column_name, g.column_name) AS column_name, COALESCE(w.grantee, g.grantee) AS grantee,
         COALESCE(w.privilege, g.privilege) AS privilege, g.id IS NULL AS gives, w.id IS NULL AS takes
    FROM wanted w
    FULL JOIN granted g
      ON g.id = w.id AND g.kind = w.kind AND COALESCE(g.column_name, '') = COALESCE(w.column_name, '')
     AND g.grantee = w.grantee AND g.privilege = w.privilege
   WHERE w.id IS NULL OR g.id IS NULL OR g.is_grantable
), grant_difference AS (  -- what is there with GRANT OPTION is taken, and given again without
  SELECT d.scope_id, s.name AS schema, d.kind, d.column_name, d.privilege, k.gives,
         COALESCE(r.short_name, f.short_name, s.name) AS short_name,
         CASE d.kind WHEN 'SCHEMA' THEN 'SCHEMA ' || pg_catalog.quote_ident(s.name)
                     WHEN 'ROUTINE' THEN 'ROUTINE ' || f.name ELSE d.kind || ' ' || r.name END AS object,
         d.grantee, COALESCE(pg_catalog.quote_ident(u.rolname), 'PUBLIC') AS grantee_name
    FROM difference d
    JOIN scope s ON s.oid = d.scope_id
   CROSS JOIN LATERAL (SELECT true AS gives WHERE NOT d.takes UNION ALL SELECT false WHERE NOT d.gives) k
    LEFT JOIN relation r ON r.oid = d.id AND d.kind IN ('TABLE', 'SEQUENCE')
    LEFT JOIN routine f ON f.oid = d.id AND d.kind = 'ROUTINE'
    LEFT JOIN pg_catalog.pg_roles u ON u.oid = d.grantee
)
)sql";

std::string isolation_catalog(CatalogScope scope) {
  return std::string(scope == CatalogScope::one_schema ? kScopeOfOne : kScopeOfMany) + std::string(kCatalog);
}

Task<Result<void>> use_catalog_search_path(pg::Session& session, CallOptions options) {
  static const std::string kSql = "SET LOCAL search_path = pg_catalog, pg_temp";
  return session.script(kSql, options);
}

pg::Params catalog_parameters(const SchemaScope& scope) {
  pg::Params params;
  params.emplace_back(scope.schema);
  params.emplace_back(scope.runtime_role);
  params.emplace_back(std::string(kOwnerRole));
  params.emplace_back(std::string(kBackupRole));
  return params;
}

pg::Params catalog_parameters(const std::vector<SchemaScope>& scopes) {
  json::Array schemas, roles;
  for (const SchemaScope& scope : scopes) {
    schemas.emplace_back(scope.schema);
    roles.emplace_back(scope.runtime_role);
  }
  SchemaScope lists;
  lists.schema = json::serialize(json::Value(std::move(schemas)));
  lists.runtime_role = json::serialize(json::Value(std::move(roles)));
  return catalog_parameters(lists);
}

}  // namespace rowhouse::tenancy
