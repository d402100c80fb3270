// Brings every object of a schema to the recipe. One query compares the catalog with what ought to be and
// writes the statements that are missing; a schema that is right costs that query alone.
#include "pg/pool.h"
#include "tenancy/cluster.h"
#include "tenancy/isolation_sql.h"
#include "tenancy/packs.h"
#include "tenancy/row_rules.h"

namespace rowhouse::tenancy {

namespace {

// The statements in their order: revoke before grant, policies after row security is on. Objects that
// somebody else owns are left alone: check_schema() reports them.
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
  SELECT 3, r.name, e.sql FROM rule_difference e JOIN owned r ON r.oid = e.relation_id
   UNION ALL
  SELECT CASE WHEN q.gives THEN 5 ELSE 4 END, q.object, pg_catalog.format('%s %s ON %s %s %s%s',
           CASE WHEN q.gives THEN 'GRANT' ELSE 'REVOKE' END,
           pg_catalog.string_agg(q.privilege, ', ' ORDER BY q.privilege), q.object,
           CASE WHEN q.gives THEN 'TO' ELSE 'FROM' END, q.grantee_name, CASE WHEN q.gives THEN '' ELSE ' CASCADE' END)
    FROM (SELECT e.gives, e.object, e.grantee_name,
                 e.privilege || COALESCE(' (' || pg_catalog.string_agg(
                   pg_catalog.quote_ident(e.column_name), ', ' ORDER BY e.column_name) || ')', '') AS privilege
            FROM grant_difference e
           GROUP BY e.gives, e.object, e.grantee_name, e.privilege, e.column_name IS NULL) q
   GROUP BY q.gives, q.object, q.grantee_name
)
SELECT COALESCE(pg_catalog.string_agg(sql, E';\n' ORDER BY step, subject, sql), '') FROM statement
)sql";

}  // namespace

Task<Result<std::string>> write_protection(pg::Session& session, std::string schema, std::string runtime_role,
                                           CallOptions options) {
  CO_TRY_DO(co_await use_catalog_search_path(session, options));
  SchemaScope scope;
  scope.schema = std::move(schema);
  scope.runtime_role = std::move(runtime_role);
  static const std::string kSql = isolation_catalog(CatalogScope::one_schema) + std::string(kRowRuleCatalog) +
                                  std::string(kGrantCatalog) + std::string(kStatements);
  const pg::Statement plan(kSql, catalog_parameters(scope), pg::Access::read, pg::Reuse::once);
  CO_TRY(const auto rows, co_await session.query(plan, options));
  co_return std::string(rows.text(0, 0));
}

Task<Result<void>> protect_schema(pg::Session& session, const std::string& schema,
                                  const std::string& runtime_role, CallOptions options) {
  CO_TRY(const std::string script, co_await write_protection(session, schema, runtime_role, options));
  if (script.empty()) co_return Result<void>();
  co_return co_await session.script(script, options);
}

}  // namespace rowhouse::tenancy
