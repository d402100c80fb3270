// Rules about the server: roles, who may connect where, settings, what leads out.
#include <array>

#include "tenancy/lint_rules.h"

namespace rowhouse::tenancy {

const std::string_view kServerCatalog = R"sql(
WITH ours AS MATERIALIZED (
  SELECT b.name, b.kind, b.runtime, d.oid, d.datdba AS owner, d.datacl AS acl, d.datistemplate AS is_template
    FROM pg_catalog.json_to_recordset($1::json) b (name text, kind text, runtime text)
    LEFT JOIN pg_catalog.pg_database d ON d.datname = b.name::name
), runtime AS MATERIALIZED (
  SELECT DISTINCT r AS name FROM pg_catalog.json_array_elements_text($2::json) r
), role_recipe (name, is_login, bypasses, is_runtime) AS MATERIALIZED (
  SELECT 'platform_service', true, false, false UNION ALL SELECT 'tenant_migrator', true, false, false
   UNION ALL SELECT $3::text, false, false, false UNION ALL SELECT $4::text, true, true, false
   UNION ALL SELECT name, true, false, true FROM runtime
), own_role AS MATERIALIZED (
  SELECT r.*, p.is_login, p.bypasses, p.is_runtime FROM role_recipe p JOIN pg_catalog.pg_roles r ON r.rolname = p.name::name
), pending AS MATERIALIZED (
  SELECT n AS name FROM pg_catalog.json_array_elements_text($5::json) n
), wanted_access (database, grantee) AS MATERIALIZED (
  SELECT o.name, r.name FROM ours o
   CROSS JOIN LATERAL (SELECT $4::text AS name
                        UNION ALL SELECT 'tenant_migrator' WHERE o.kind <> 'platform'
                        UNION ALL SELECT o.runtime WHERE o.kind <> 'platform') r
), granted_access AS MATERIALIZED (
  SELECT o.name AS database, x.grantee, x.privilege_type AS privilege, x.is_grantable, u.rolname
    FROM ours o CROSS JOIN LATERAL pg_catalog.aclexplode(COALESCE(o.acl, pg_catalog.acldefault('d', o.owner))) x
    LEFT JOIN pg_catalog.pg_roles u ON u.oid = x.grantee
   WHERE x.grantee <> o.owner
), setting AS MATERIALIZED (
  SELECT d.datname, r.rolname, pg_catalog.split_part(v, '=', 1) AS name, pg_catalog.substr(v, pg_catalog.strpos(v, '=') + 1) AS value,
         s.setdatabase = 0 OR d.datname::text IN (SELECT name FROM ours) AS is_our_database,
         s.setrole = 0 OR r.oid IN (SELECT oid FROM own_role) AS is_our_role
    FROM pg_catalog.pg_db_role_setting s
   CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) v
    LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
    LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
)
)sql";

namespace {

constexpr Severity kError = Severity::error;
constexpr Severity kWarning = Severity::warning;

constexpr auto kRules = std::to_array<LintRule>({
    // Roles
    {"role-missing", kError, R"sql(
SELECT '', p.name, 'the role is missing', 'Start a node: it makes Rowhouse''s roles. A tenant''s own role comes back with a restore, or delete the tenant.'
  FROM role_recipe p WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = p.name::name))sql"},
    {"role-attributes", kError, R"sql(
SELECT '', r.rolname, 'the role has attributes that it must not have: ' || a.wrong,
       pg_catalog.format('ALTER ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOINHERIT %s %s;', r.rolname,
         CASE WHEN r.is_login THEN 'LOGIN' ELSE 'NOLOGIN' END, CASE WHEN r.bypasses THEN 'BYPASSRLS' ELSE 'NOBYPASSRLS' END)
  FROM own_role r
 CROSS JOIN LATERAL (SELECT pg_catalog.concat_ws(', ', CASE WHEN r.rolsuper THEN 'SUPERUSER' END,
           CASE WHEN r.rolbypassrls <> r.bypasses THEN CASE WHEN r.bypasses THEN 'NOBYPASSRLS' ELSE 'BYPASSRLS' END END,
           CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END, CASE WHEN r.rolcreatedb THEN 'CREATEDB' END,
           CASE WHEN r.rolreplication THEN 'REPLICATION' END, CASE WHEN r.rolinherit THEN 'INHERIT' END,
           CASE WHEN r.rolcanlogin <> r.is_login THEN CASE WHEN r.is_login THEN 'NOLOGIN' ELSE 'LOGIN' END END) AS wrong) a
 WHERE a.wrong <> '')sql"},
    {"role-membership", kError, R"sql(
SELECT '', member.rolname, pg_catalog.format('%s is a member of %s and may act as it', member.rolname, granted.rolname),
       pg_catalog.format('REVOKE %I FROM %I CASCADE;', granted.rolname, member.rolname)
  FROM pg_catalog.pg_auth_members m
  JOIN pg_catalog.pg_roles granted ON granted.oid = m.roleid
  JOIN pg_catalog.pg_roles member ON member.oid = m.member
 WHERE (granted.oid IN (SELECT oid FROM own_role) OR member.oid IN (SELECT oid FROM own_role))
   AND NOT (granted.rolname = $3::text AND member.rolname = 'tenant_migrator')
 UNION ALL
SELECT '', member.rolname, pg_catalog.format('%s may make others members of %s', member.rolname, granted.rolname),
       pg_catalog.format('REVOKE ADMIN OPTION FOR %I FROM %I CASCADE;', granted.rolname, member.rolname)
  FROM pg_catalog.pg_auth_members m
  JOIN pg_catalog.pg_roles granted ON granted.oid = m.roleid
  JOIN pg_catalog.pg_roles member ON member.oid = m.member
 WHERE m.admin_option AND granted.rolname = $3::text AND member.rolname = 'tenant_migrator')sql"},
    {"role-owns-objects", kError, R"sql(
SELECT COALESCE(b.datname, ''), r.rolname, pg_catalog.format('the role owns %s object(s), and an owner can switch row security off', pg_catalog.count(*)),
       pg_catalog.format('REASSIGN OWNED BY %I TO %I;', r.rolname, $3::text)
  FROM pg_catalog.pg_shdepend d
  JOIN own_role r ON r.oid = d.refobjid
  LEFT JOIN pg_catalog.pg_database b ON b.oid = d.dbid
 WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.deptype = 'o'
   AND (r.is_runtime OR r.rolname IN ('tenant_migrator', $4::name)
        OR (r.rolname = 'platform_service' AND b.datname::text IN (SELECT name FROM ours WHERE kind <> 'platform')))
 GROUP BY b.datname, r.rolname)sql"},
    {"role-bypasses-row-security", kError, R"sql(
SELECT '', r.rolname, 'the role bypasses row security in every database that it can reach', pg_catalog.format('ALTER ROLE %I NOBYPASSRLS;', r.rolname)
  FROM pg_catalog.pg_roles r
 WHERE r.rolbypassrls AND NOT r.rolsuper AND r.oid NOT IN (SELECT oid FROM own_role))sql"},
    {"role-superuser", kWarning, R"sql(
SELECT '', r.rolname, 'a further superuser: nothing holds for it', pg_catalog.format('ALTER ROLE %I NOSUPERUSER;', r.rolname)
  FROM pg_catalog.pg_roles r
 WHERE r.rolsuper AND r.oid <> 10 AND r.rolname <> CURRENT_USER AND r.oid NOT IN (SELECT oid FROM own_role))sql"},
    {"role-reads-everything", kError, R"sql(
SELECT '', member.rolname, pg_catalog.format('as a member of %s it reaches the rows or the files of all tenants', granted.rolname),
       pg_catalog.format('REVOKE %I FROM %I;', granted.rolname, member.rolname)
  FROM pg_catalog.pg_auth_members m
  JOIN pg_catalog.pg_roles granted ON granted.oid = m.roleid
  JOIN pg_catalog.pg_roles member ON member.oid = m.member AND NOT member.rolsuper AND member.oid NOT IN (SELECT oid FROM own_role)
 WHERE granted.rolname IN ('pg_read_all_data', 'pg_write_all_data', 'pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program'))sql"},
    {"role-orphan", kWarning, R"sql(
SELECT '', r.rolname, 'it looks like the role of a tenant, but the registry knows no such tenant', pg_catalog.format('DROP ROLE %I;', r.rolname)
  FROM pg_catalog.pg_roles r
 WHERE r.rolname ~ '^tenant_.*_[0-9a-f]{12}$' AND r.oid NOT IN (SELECT oid FROM own_role) AND r.rolname::text NOT IN (SELECT name FROM pending))sql"},
    {"parameter-granted", kError, R"sql(
SELECT '', p.parname, pg_catalog.format('%s may change the server parameter (%s)', COALESCE(u.rolname, 'PUBLIC'), x.privilege_type),
       pg_catalog.format('REVOKE %s ON PARAMETER %s FROM %s;', x.privilege_type, p.parname, COALESCE(pg_catalog.quote_ident(u.rolname), 'PUBLIC'))
  FROM pg_catalog.pg_parameter_acl p CROSS JOIN LATERAL pg_catalog.aclexplode(p.paracl) x
  LEFT JOIN pg_catalog.pg_roles u ON u.oid = x.grantee
 WHERE x.grantee <> 10
   AND (x.grantee = 0 OR x.grantee IN (SELECT oid FROM own_role) OR p.parname = 'backtrace_functions')
   -- The portable guard keeps a transaction's context there; see sql/guard/portable.sql.
   AND NOT (p.parname = 'backtrace_functions' AND u.rolname = $3::name AND x.privilege_type = 'SET' AND NOT x.is_grantable))sql"},

    // Databases: who may connect where. A clone or a restore loses this.
    {"database-missing", kError, R"sql(
SELECT o.name, o.name, 'the registry says that rows live in this database, but it is not there', 'Restore it from a backup, or delete the tenant.'
  FROM ours o WHERE o.oid IS NULL)sql"},
    {"database-owner", kError, R"sql(
SELECT o.name, o.name, pg_catalog.format('the database belongs to %s', u.rolname),
       pg_catalog.format('ALTER DATABASE %I OWNER TO %I;', o.name, CASE o.kind WHEN 'platform' THEN 'platform_service' ELSE $3::text END)
  FROM ours o JOIN pg_catalog.pg_roles u ON u.oid = o.owner
 WHERE u.rolname <> CASE o.kind WHEN 'platform' THEN 'platform_service' ELSE $3::text END)sql"},
    {"database-grant-excess", kError, R"sql(
SELECT g.database, COALESCE(g.rolname, 'PUBLIC'), pg_catalog.format('%s has %s on the database', COALESCE(g.rolname, 'PUBLIC'), g.privilege),
       pg_catalog.format('REVOKE %s ON DATABASE %I FROM %s CASCADE;', g.privilege, g.database, COALESCE(pg_catalog.quote_ident(g.rolname), 'PUBLIC'))
  FROM granted_access g
 WHERE g.privilege <> 'CONNECT' OR g.is_grantable
    OR NOT EXISTS (SELECT FROM wanted_access w WHERE w.database = g.database AND w.grantee = g.rolname::text))sql"},
    {"database-grant-missing", kWarning, R"sql(
SELECT w.database, w.grantee, pg_catalog.format('%s cannot connect to the database', w.grantee),
       pg_catalog.format('GRANT CONNECT ON DATABASE %I TO %I;', w.database, w.grantee)
  FROM wanted_access w JOIN ours o ON o.name = w.database AND o.oid IS NOT NULL
 WHERE NOT EXISTS (SELECT FROM granted_access g WHERE g.database = w.database AND g.rolname::text = w.grantee AND g.privilege = 'CONNECT'))sql"},
    {"database-open", kError, R"sql(
SELECT d.datname, COALESCE(u.rolname, 'PUBLIC'), pg_catalog.format('%s has %s on a database that is not of tenants: their roles can leave their own', COALESCE(u.rolname, 'PUBLIC'), x.privilege_type),
       pg_catalog.format('REVOKE %s ON DATABASE %I FROM %s;', x.privilege_type, d.datname, COALESCE(pg_catalog.quote_ident(u.rolname), 'PUBLIC'))
  FROM pg_catalog.pg_database d
 CROSS JOIN LATERAL pg_catalog.aclexplode(COALESCE(d.datacl, pg_catalog.acldefault('d', d.datdba))) x
  LEFT JOIN pg_catalog.pg_roles u ON u.oid = x.grantee
 WHERE d.datallowconn AND d.datname::text NOT IN (SELECT name FROM ours) AND d.datname::text NOT IN (SELECT name FROM pending)
   AND d.datname !~ '^rowhouse_check_' AND (x.grantee = 0 OR x.grantee IN (SELECT oid FROM own_role)) AND x.grantee <> d.datdba)sql"},
    {"database-is-template", kError, R"sql(
SELECT o.name, o.name, 'the database is marked as a template: whoever may create databases can copy it with all rows',
       pg_catalog.format('ALTER DATABASE %I IS_TEMPLATE false;', o.name)
  FROM ours o WHERE o.is_template)sql"},
    {"database-orphan", kWarning, R"sql(
SELECT d.datname, d.datname, 'it looks like one of Rowhouse''s databases, but the registry knows nothing of it',
       pg_catalog.format('Look at what is in it; then: DROP DATABASE %I', d.datname)
  FROM pg_catalog.pg_database d
 WHERE d.datname ~ '^(tenant_.*_[0-9a-f]{12}|rowhouse_(pool|template)_.*)$'
   AND d.datname::text NOT IN (SELECT name FROM ours) AND d.datname::text NOT IN (SELECT name FROM pending))sql"},

    // Settings
    {"setting-dangerous", kError, R"sql(
SELECT COALESCE(s.datname, ''), COALESCE(s.rolname, 'ALL'), pg_catalog.format('%s is set to "%s": isolation rests on it', s.name, s.value),
       CASE WHEN s.rolname IS NULL AND s.datname IS NOT NULL THEN pg_catalog.format('ALTER DATABASE %I RESET %s;', s.datname, s.name)
            ELSE pg_catalog.format('ALTER ROLE %s%s RESET %s;', COALESCE(pg_catalog.quote_ident(s.rolname), 'ALL'),
                   COALESCE(' IN DATABASE ' || pg_catalog.quote_ident(s.datname), ''), s.name) END
  FROM setting s
 WHERE s.is_our_database AND s.is_our_role
   AND (pg_catalog.lower(s.name) IN ('row_security', 'session_replication_role', 'role', 'session_authorization', 'allow_system_table_mods',
                                     'session_preload_libraries', 'local_preload_libraries', 'dynamic_library_path', 'default_tablespace',
                                     'ignore_system_indexes', 'transform_null_equals', 'default_table_access_method', 'backtrace_functions')
        OR pg_catalog.lower(s.name) LIKE 'rowhouse.%' OR (pg_catalog.lower(s.name) = 'search_path' AND s.value NOT IN ('""', ''))))sql"},
    {"setting-missing", kWarning, R"sql(
SELECT o.name, o.runtime, pg_catalog.format('the setting %s of the role in this database is gone', w.name),
       pg_catalog.format('ALTER ROLE %I IN DATABASE %I SET %s = %s;', o.runtime, o.name, w.name, w.value)
  FROM ours o JOIN pg_catalog.pg_roles r ON r.rolname = o.runtime::name
 CROSS JOIN (VALUES ('statement_timeout', '''60s'''), ('idle_in_transaction_session_timeout', '''60s'''), ('search_path', '''''')) w (name, value)
 WHERE o.oid IS NOT NULL AND o.kind <> 'platform'
   AND NOT EXISTS (SELECT FROM setting s WHERE s.datname::text = o.name AND s.rolname::text = o.runtime AND s.name = w.name)
 UNION ALL
SELECT o.name, o.name, 'the server''s messages may be translated, and Rowhouse reads them', pg_catalog.format('ALTER DATABASE %I SET lc_messages = ''C'';', o.name)
  FROM ours o
 WHERE o.oid IS NOT NULL
   AND NOT EXISTS (SELECT FROM setting s WHERE s.datname::text = o.name AND s.rolname IS NULL AND s.name = 'lc_messages' AND s.value = 'C'))sql"},
    {"server-setting", kError, R"sql(
SELECT '', g.name, pg_catalog.format('%s is %s for the whole server', g.name, g.reset_val), pg_catalog.format(E'ALTER SYSTEM RESET %s;\nSELECT pg_catalog.pg_reload_conf();', g.name)
  FROM pg_catalog.pg_settings g
 WHERE g.source IN ('configuration file', 'command line', 'environment variable')
   AND ((g.name = 'backtrace_functions' AND g.reset_val <> '') OR (g.name, g.reset_val) IN (('row_security', 'off'), ('session_replication_role', 'replica'), ('session_replication_role', 'local'),
                                 ('allow_system_table_mods', 'on'), ('transform_null_equals', 'on'), ('ignore_system_indexes', 'on'))))sql"},

    // What leads out
    {"replication-slot", kWarning, R"sql(
SELECT COALESCE(s.database, ''), s.slot_name, CASE WHEN s.slot_type = 'logical' THEN 'whoever reads this slot sees the rows of all tenants'
                                                   ELSE 'nobody reads this slot: the server keeps its WAL until the disk is full' END,
       pg_catalog.format('SELECT pg_catalog.pg_drop_replication_slot(%L);', s.slot_name)
  FROM pg_catalog.pg_replication_slots s
 WHERE (s.slot_type = 'logical' AND s.database::text IN (SELECT name FROM ours)) OR (s.slot_type = 'physical' AND NOT s.active))sql"},
});

constexpr auto kComputed = std::to_array<ComputedRule>({
    {"drift", Severity::error},
    {"rowhouse-schema-changed", Severity::error},
    {"context-key-unknown", Severity::error},
    {"order-not-indexed", Severity::warning},
    {"natural-key-not-unique", Severity::error},
    {"manifest-broken", Severity::error},
    {"database-unreachable", Severity::error},
});

}  // namespace

std::span<const LintRule> server_rules() { return kRules; }
std::span<const ComputedRule> computed_rules() { return kComputed; }

}  // namespace rowhouse::tenancy
