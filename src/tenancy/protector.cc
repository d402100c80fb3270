// Brings every object of a schema to the recipe. One query compares the catalog with what ought to be and
// writes the statements that are missing; a schema that is right costs that query alone.
#include "pg/pool.h"
#include "tenancy/cluster.h"
#include "tenancy/isolation_sql.h"
#include "tenancy/packs.h"

namespace rowhouse::tenancy {

namespace {

// $1 schema, $2 runtime role or '', $3 backup role. Objects that somebody else owns are left alone:
// check_schema() reports them. Privileges are compared one by one, so that whatever nobody asked for is
// revoked.
constexpr std::string_view kWants = R"sql(
, owned AS (
  SELECT r.*, r.is_table AND NOT r.is_partition AND r.tenant_type = 'pg_catalog.uuid'::pg_catalog.regtype
              AND NOT r.tenant_is_generated AS is_tenant_table
    FROM relation r WHERE r.owner = (SELECT oid FROM me) AND r.kind IN ('r', 'p', 'v', 'm', 'S')
), callable AS (
  SELECT f.*, f.kind <> 'p' AND NOT f.is_trigger AND (NOT f.is_definer OR f.search_path IS NOT NULL) AS is_callable
    FROM routine f WHERE f.owner = (SELECT oid FROM me)
), runtime AS (
  SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $2
), backup AS (
  SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $3
), wanted (object, column_name, grantee, privilege) AS (
  SELECT 'SCHEMA ' || pg_catalog.quote_ident($1), NULL::name, g.oid, 'USAGE'
    FROM (SELECT oid FROM runtime UNION ALL SELECT oid FROM backup) g
   WHERE (SELECT owner FROM scope) = (SELECT oid FROM me)
   UNION ALL
  SELECT 'TABLE ' || r.name, NULL, g.oid, p.privilege
    FROM owned r CROSS JOIN runtime g CROSS JOIN (VALUES ('SELECT'), ('DELETE')) p (privilege)
   WHERE r.is_tenant_table OR (r.kind = 'v' AND r.is_invoker AND p.privilege = 'SELECT')
   UNION ALL
  SELECT CASE r.kind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || r.name, NULL, g.oid, 'SELECT'
    FROM owned r CROSS JOIN backup g
   UNION ALL
  SELECT 'TABLE ' || r.name, a.attname, g.oid, p.privilege
    FROM owned r
    JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
   CROSS JOIN runtime g CROSS JOIN (VALUES ('INSERT'), ('UPDATE')) p (privilege)
   WHERE r.is_tenant_table AND a.attname <> 'tenant_id' AND a.attgenerated = '' AND a.attidentity <> 'a'
   UNION ALL
  -- A sequence behind a column's default is advanced by whoever inserts; one behind an identity is not.
  SELECT DISTINCT 'SEQUENCE ' || r.name, NULL::name, g.oid, 'USAGE'
    FROM owned r CROSS JOIN runtime g
    JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = r.oid
     AND d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
   WHERE r.kind = 'S'
   UNION ALL
  SELECT 'ROUTINE ' || f.name, NULL, g.oid, 'EXECUTE' FROM callable f CROSS JOIN runtime g WHERE f.is_callable
), granted (object, column_name, grantee, privilege, is_grantable) AS (
  SELECT 'SCHEMA ' || pg_catalog.quote_ident($1), NULL::name, x.grantee, x.privilege_type, x.is_grantable
    FROM scope s CROSS JOIN LATERAL pg_catalog.aclexplode(s.acl) x
   WHERE s.owner = (SELECT oid FROM me) AND x.grantee <> s.owner
   UNION ALL
  SELECT CASE r.kind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || r.name, NULL, x.grantee, x.privilege_type,
         x.is_grantable
    FROM owned r CROSS JOIN LATERAL pg_catalog.aclexplode(r.acl) x WHERE x.grantee <> r.owner
   UNION ALL
  SELECT 'TABLE ' || r.name, a.attname, x.grantee, x.privilege_type, x.is_grantable
    FROM owned r
    JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped
   CROSS JOIN LATERAL pg_catalog.aclexplode(a.attacl) x WHERE x.grantee <> r.owner
   UNION ALL
  SELECT 'ROUTINE ' || f.name, NULL, x.grantee, x.privilege_type, x.is_grantable
    FROM callable f
   CROSS JOIN LATERAL pg_catalog.aclexplode(COALESCE(f.acl, pg_catalog.acldefault('f', f.owner))) x
   WHERE x.grantee <> f.owner
), missing AS (
  SELECT * FROM wanted
  EXCEPT SELECT object, column_name, grantee, privilege FROM granted WHERE NOT is_grantable
), excess AS (
  SELECT object, column_name, grantee, privilege FROM granted g
   WHERE g.is_grantable OR NOT EXISTS (
     SELECT FROM wanted w WHERE w.object = g.object AND w.column_name IS NOT DISTINCT FROM g.column_name
        AND w.grantee = g.grantee AND w.privilege = g.privilege)
)
)sql";

// The statements in their order: revoke before grant, policies after row security is on.
constexpr std::string_view kStatements = R"sql(
, statement (step, subject, sql) AS (
  SELECT 1, r.name, pg_catalog.format('ALTER TABLE %s %s', r.name, pg_catalog.concat_ws(', ',
           CASE WHEN NOT r.is_secured THEN 'ENABLE ROW LEVEL SECURITY' END,
           CASE WHEN NOT r.is_forced THEN 'FORCE ROW LEVEL SECURITY' END,
           CASE WHEN r.is_tenant_table AND NOT r.tenant_has_default THEN
             'ALTER COLUMN tenant_id SET DEFAULT rowhouse.tenant_id()' END))
    FROM owned r
   WHERE r.is_table AND (NOT r.is_secured OR NOT r.is_forced OR (r.is_tenant_table AND NOT r.tenant_has_default))
   UNION ALL
  SELECT 2, r.name, pg_catalog.format('DROP POLICY %I ON %s', y.name, r.name)
    FROM owned r JOIN policy y ON y.relation_id = r.oid
   WHERE y.is_ours AND (NOT y.is_canonical OR r.is_partition)
   UNION ALL
  SELECT 3, r.name, pg_catalog.format(
           'CREATE POLICY %I ON %s AS %s FOR ALL TO PUBLIC'
           ' USING (tenant_id OPERATOR(pg_catalog.=) (SELECT rowhouse.tenant_id()))'
           ' WITH CHECK (tenant_id OPERATOR(pg_catalog.=) (SELECT rowhouse.tenant_id()))', k.name, r.name, k.kind)
    FROM owned r
   CROSS JOIN (VALUES ('rowhouse_tenant', 'PERMISSIVE'), ('rowhouse_wall', 'RESTRICTIVE')) k (name, kind)
   WHERE r.is_tenant_table
     AND NOT EXISTS (SELECT FROM policy y WHERE y.relation_id = r.oid AND y.name = k.name AND y.is_canonical)
   UNION ALL
  SELECT CASE WHEN q.gives THEN 5 ELSE 4 END, q.object, pg_catalog.format('%s %s ON %s %s %s%s',
           CASE WHEN q.gives THEN 'GRANT' ELSE 'REVOKE' END,
           pg_catalog.string_agg(q.privilege, ', ' ORDER BY q.privilege), q.object,
           CASE WHEN q.gives THEN 'TO' ELSE 'FROM' END, q.grantee, CASE WHEN q.gives THEN '' ELSE ' CASCADE' END)
    FROM (SELECT e.gives, e.object, COALESCE(pg_catalog.quote_ident(g.rolname), 'PUBLIC') AS grantee,
                 e.privilege || COALESCE(' (' || pg_catalog.string_agg(
                   pg_catalog.quote_ident(e.column_name), ', ' ORDER BY e.column_name) || ')', '') AS privilege
            FROM (SELECT false AS gives, * FROM excess UNION ALL SELECT true, * FROM missing) e
            LEFT JOIN pg_catalog.pg_roles g ON g.oid = e.grantee
           GROUP BY e.gives, e.object, g.rolname, e.privilege, e.column_name IS NULL) q
   GROUP BY q.gives, q.object, q.grantee
)
SELECT COALESCE(pg_catalog.string_agg(sql, E';\n' ORDER BY step, subject, sql), '') FROM statement
)sql";

}  // namespace

Task<Result<void>> protect_schema(pg::Session& session, const std::string& schema,
                                  const std::string& runtime_role, CallOptions options) {
  CO_TRY_DO(co_await use_catalog_search_path(session, options));
  const pg::Statement plan(std::string(kIsolationCatalog) + std::string(kWants) + std::string(kStatements),
                           three_params(schema, runtime_role, std::string(kBackupRole)), pg::Access::read,
                           pg::Reuse::once);
  CO_TRY(const auto rows, co_await session.query(plan, options));
  const std::string script(rows.text(0, 0));
  if (script.empty()) co_return Result<void>();
  co_return co_await session.script(script, options);
}

}  // namespace rowhouse::tenancy
