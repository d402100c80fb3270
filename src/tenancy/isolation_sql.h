// What protector and checker share: how the catalog tells a canonical policy from any other. Private to this
// folder.
#pragma once

#include <string>
#include <string_view>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "pg/pool.h"

namespace rowhouse::tenancy {

// Opens both queries. $1 is the schema. A policy is canonical if PostgreSQL prints for it what it prints for
// ours, with only pg_catalog in the search path: every other operator, function or table would be printed
// with its schema.
inline constexpr std::string_view kIsolationCatalog = R"sql(
WITH me AS (
  SELECT oid FROM pg_catalog.pg_roles WHERE rolname = CURRENT_USER
), scope AS (
  SELECT oid, nspname AS name, nspowner AS owner, nspacl AS acl FROM pg_catalog.pg_namespace WHERE nspname = $1
), canonical (expression) AS (
  -- Older and newer servers differ in whether they name the column of the sub-select.
  VALUES ('(tenant_id=(SELECTrowhouse.tenant_id()AStenant_id))'), ('(tenant_id=(SELECTrowhouse.tenant_id()))')
), member (class_id, id) AS (
  -- By way of dependencies, which have an index: a database may hold thousands of schemas.
  SELECT d.classid, d.objid FROM scope s
    JOIN pg_catalog.pg_depend d
      ON d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.refobjid = s.oid
   WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend e  -- parts of an extension, which is refused as a whole
                      WHERE e.classid = d.classid AND e.objid = d.objid AND e.deptype = 'e')
), relation AS (
  SELECT c.oid, c.relname AS short_name, c.relkind AS kind, c.relispartition AS is_partition,
         c.relrowsecurity AS is_secured, c.relforcerowsecurity AS is_forced, c.relowner AS owner, c.relacl AS acl,
         c.relpersistence AS persistence, pg_catalog.format('%I.%I', s.name, c.relname) AS name,
         pg_catalog.quote_ident(c.relname) AS quoted, c.relkind IN ('r', 'p') AS is_table,
         t.attnum AS tenant_number, t.atttypid AS tenant_type, t.attnotnull AS tenant_is_required,
         t.atthasdef AS tenant_has_default, t.attgenerated <> '' OR t.attidentity <> '' AS tenant_is_generated,
         COALESCE((SELECT o.option_value::boolean FROM pg_catalog.pg_options_to_table(c.reloptions) o
                    WHERE o.option_name = 'security_invoker'), false) AS is_invoker,
         COALESCE((SELECT o.option_value::boolean FROM pg_catalog.pg_options_to_table(c.reloptions) o
                    WHERE o.option_name = 'security_barrier'), false) AS is_barrier
    FROM scope s
    JOIN member m ON m.class_id = 'pg_catalog.pg_class'::pg_catalog.regclass
    JOIN pg_catalog.pg_class c ON c.oid = m.id AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    LEFT JOIN pg_catalog.pg_attribute t
      ON t.attrelid = c.oid AND t.attname = 'tenant_id' AND t.attnum > 0 AND NOT t.attisdropped
), routine AS (
  SELECT p.oid, p.proname AS short_name, p.oid::pg_catalog.regprocedure::text AS name, p.prokind AS kind,
         p.proowner AS owner, p.proacl AS acl, p.prosecdef AS is_definer, p.prolang AS language, p.proconfig AS settings,
         p.prorettype IN ('pg_catalog.trigger'::pg_catalog.regtype,
                          'pg_catalog.event_trigger'::pg_catalog.regtype) AS is_trigger,
         (SELECT v FROM pg_catalog.unnest(p.proconfig) v WHERE v LIKE 'search\_path=%') AS search_path
    FROM member m
    JOIN pg_catalog.pg_proc p ON p.oid = m.id
   WHERE m.class_id = 'pg_catalog.pg_proc'::pg_catalog.regclass
), policy AS (
  SELECT y.polrelid AS relation_id, y.polname AS name, y.polpermissive AS is_permissive, y.polroles = '{0}' AS is_for_all,
         y.polname IN ('rowhouse_tenant', 'rowhouse_wall') AS is_ours,
         y.polcmd = '*' AND y.polroles = '{0}' AND y.polpermissive = (y.polname = 'rowhouse_tenant')
           AND COALESCE(pg_catalog.regexp_replace(pg_catalog.pg_get_expr(y.polqual, y.polrelid), '\s+', '', 'g')
                        IN (SELECT expression FROM canonical), false)
           AND COALESCE(pg_catalog.regexp_replace(pg_catalog.pg_get_expr(y.polwithcheck, y.polrelid), '\s+', '', 'g')
                        IN (SELECT expression FROM canonical), false) AS is_canonical
    FROM member m
    JOIN pg_catalog.pg_policy y ON y.polrelid = m.id
   WHERE m.class_id = 'pg_catalog.pg_class'::pg_catalog.regclass
)
)sql";

// For the rest of the transaction; the comparison above relies on it.
Task<Result<void>> use_catalog_search_path(pg::Session& session, CallOptions options);

pg::Params three_params(std::string first, std::string second, std::string third);

}  // namespace rowhouse::tenancy
