// Rules about one database with tenant rows, outside the packs' schemas.
#include <array>

#include "tenancy/lint_rules.h"

namespace rowhouse::tenancy {

const std::string_view kDatabaseCatalog = R"sql(
WITH known AS MATERIALIZED (
  SELECT n.* FROM ROWS FROM (pg_catalog.json_array_elements_text($1::json), pg_catalog.json_array_elements_text($2::json),
                             pg_catalog.json_array_elements_text($6::json)) n (schema, runtime, pack)
), runtime_role AS MATERIALIZED (
  SELECT oid, rolname FROM pg_catalog.pg_roles
   WHERE rolname IN (SELECT runtime::name FROM known) OR rolname = 'tenant_service'
), owner_role AS MATERIALIZED (
  SELECT oid, rolname FROM pg_catalog.pg_roles WHERE rolname = $3::text
), backup_role AS MATERIALIZED (
  SELECT oid, rolname FROM pg_catalog.pg_roles WHERE rolname = $4::text
), migration AS MATERIALIZED (
  SELECT * FROM pg_catalog.json_to_recordset($5::json) m (pack text, number integer, name text, checksum text)
), declared AS MATERIALIZED (
  SELECT * FROM pg_catalog.json_to_recordset($7::json) d (pack text, rules jsonb)
), extension_member AS MATERIALIZED (
  SELECT classid AS class_id, objid AS id FROM pg_catalog.pg_depend
   WHERE refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND deptype = 'e'
), namespace AS MATERIALIZED (
  SELECT n.oid, n.nspname AS name, n.nspowner AS owner, n.nspacl AS acl, k.pack
    FROM pg_catalog.pg_namespace n LEFT JOIN known k ON k.schema = n.nspname::text
   WHERE n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
), stray AS MATERIALIZED (  -- neither ours nor PostgreSQL's
  SELECT * FROM namespace WHERE pack IS NULL AND name NOT IN ('pg_catalog', 'information_schema', 'rowhouse', 'rowhouse_meta', 'public')
), shut AS MATERIALIZED (  -- what sql/tenant closed
  SELECT p.oid, p.oid::pg_catalog.regprocedure::text AS name, p.proowner AS owner,
         COALESCE(p.proacl, pg_catalog.acldefault('f', p.proowner)) AS acl,
         p.proname ~ '^pg_(try_)?advisory_' AS is_lock
    FROM pg_catalog.pg_proc p
   WHERE p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
     AND (p.proname ~ '^pg_(try_)?advisory_' OR p.proname ~ '^lo_' OR p.proname ~ '^pg_stat_get_(activity|backend_)'
          OR p.proname IN ('loread', 'lowrite', 'pg_notify', 'pg_cancel_backend', 'pg_terminate_backend',
                           'pg_export_snapshot', 'pg_lock_status', 'pg_blocking_pids', 'pg_safe_snapshot_blocking_pids'))
)
)sql";

namespace {

constexpr Severity kError = Severity::error;
constexpr Severity kWarning = Severity::warning;

constexpr auto kRules = std::to_array<LintRule>({
    // What PostgreSQL opens to everybody
    {"catalog-function-open", kError, R"sql(
SELECT 'pg_catalog', s.name, pg_catalog.format('%s may call it: locks, notifications, large objects and activity are shared by all tenants',
                                               COALESCE(u.rolname, 'PUBLIC')),
       pg_catalog.format('REVOKE EXECUTE ON FUNCTION %s FROM %s;', s.name, COALESCE(pg_catalog.quote_ident(u.rolname), 'PUBLIC'))
  FROM shut s CROSS JOIN LATERAL pg_catalog.aclexplode(s.acl) x
  LEFT JOIN pg_catalog.pg_roles u ON u.oid = x.grantee
 WHERE x.grantee <> s.owner AND u.rolname IS DISTINCT FROM 'pg_read_all_stats' AND u.rolname IS DISTINCT FROM 'pg_signal_backend'
   AND NOT (s.is_lock AND COALESCE(u.rolname IN ($3::text, 'tenant_migrator'), false)))sql"},
    {"catalog-relation-open", kError, R"sql(
SELECT 'pg_catalog', c.relname, pg_catalog.format('%s may read what the sessions of other tenants do', COALESCE(u.rolname, 'PUBLIC')),
       pg_catalog.format('REVOKE ALL ON pg_catalog.%I FROM %s;', c.relname, COALESCE(pg_catalog.quote_ident(u.rolname), 'PUBLIC'))
  FROM pg_catalog.pg_class c CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) x
  LEFT JOIN pg_catalog.pg_roles u ON u.oid = x.grantee
 WHERE c.oid IN ('pg_catalog.pg_stat_activity'::pg_catalog.regclass, 'pg_catalog.pg_locks'::pg_catalog.regclass)
   AND x.grantee <> c.relowner)sql"},
    {"catalog-grant-added", kError, R"sql(
SELECT 'pg_catalog', g.object, pg_catalog.format('%s has %s on it, which PostgreSQL does not give: it shows files, passwords or samples of all tenants'' rows',
                                                 COALESCE(u.rolname, 'PUBLIC'), g.privilege),
       pg_catalog.format('REVOKE %s ON %s FROM %s;', g.privilege, g.subject, COALESCE(pg_catalog.quote_ident(u.rolname), 'PUBLIC'))
  FROM (SELECT c.oid::pg_catalog.regclass::text AS object, 'TABLE ' || c.oid::pg_catalog.regclass AS subject, x.grantee, x.privilege_type AS privilege
          FROM pg_catalog.pg_class c
          LEFT JOIN pg_catalog.pg_init_privs i ON i.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND i.objoid = c.oid AND i.objsubid = 0
         CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) x
         WHERE c.relnamespace = 'pg_catalog'::pg_catalog.regnamespace AND x.grantee <> c.relowner
           AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(i.initprivs) y WHERE y.grantee = x.grantee AND y.privilege_type = x.privilege_type)
         UNION ALL
        SELECT pg_catalog.format('%s.%I', a.attrelid::pg_catalog.regclass, a.attname), 'TABLE ' || a.attrelid::pg_catalog.regclass, x.grantee,
               pg_catalog.format('%s (%I)', x.privilege_type, a.attname)
          FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relnamespace = 'pg_catalog'::pg_catalog.regnamespace
          LEFT JOIN pg_catalog.pg_init_privs i ON i.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND i.objoid = c.oid AND i.objsubid = a.attnum
         CROSS JOIN LATERAL pg_catalog.aclexplode(a.attacl) x
         WHERE a.attacl IS NOT NULL AND x.grantee <> c.relowner
           AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(i.initprivs) y WHERE y.grantee = x.grantee AND y.privilege_type = x.privilege_type)
         UNION ALL
        SELECT p.oid::pg_catalog.regprocedure::text, 'ROUTINE ' || p.oid::pg_catalog.regprocedure, x.grantee, x.privilege_type
          FROM pg_catalog.pg_proc p
          LEFT JOIN pg_catalog.pg_init_privs i ON i.classoid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND i.objoid = p.oid AND i.objsubid = 0
         CROSS JOIN LATERAL pg_catalog.aclexplode(p.proacl) x
         WHERE p.proacl IS NOT NULL AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace AND x.grantee <> p.proowner
           AND p.oid NOT IN (SELECT oid FROM shut)
           AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(COALESCE(i.initprivs, pg_catalog.acldefault('f', p.proowner))) y
                            WHERE y.grantee = x.grantee AND y.privilege_type = x.privilege_type)) g
  LEFT JOIN pg_catalog.pg_roles u ON u.oid = g.grantee
 WHERE g.object NOT IN ('pg_stat_activity', 'pg_locks'))sql"},
    {"catalog-object-added", kError, R"sql(
SELECT 'pg_catalog', p.oid::pg_catalog.regprocedure::text, 'somebody put a function into PostgreSQL''s own schema, which every query searches first',
       pg_catalog.format('DROP ROUTINE %s;', p.oid::pg_catalog.regprocedure)
  FROM pg_catalog.pg_proc p
 WHERE p.oid >= 16384 AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
   AND NOT EXISTS (SELECT FROM extension_member e WHERE e.id = p.oid)
 UNION ALL
SELECT 'pg_catalog', c.relname, 'somebody put a relation into PostgreSQL''s own schema, which every query searches first',
       pg_catalog.format('Move it away or drop it: pg_catalog.%I.', c.relname)
  FROM pg_catalog.pg_class c
 WHERE c.oid >= 16384 AND c.relnamespace = 'pg_catalog'::pg_catalog.regnamespace
   AND NOT EXISTS (SELECT FROM extension_member e WHERE e.id = c.oid))sql"},
    {"catalog-function-changed", kError, R"sql(
SELECT 'pg_catalog', p.oid::pg_catalog.regprocedure::text, 'the function that row security compares with is not PostgreSQL''s own',
       'Make the database anew from a backup: nothing that was read or written meanwhile can be trusted.'
  FROM pg_catalog.pg_proc p
 WHERE p.oid IN ('pg_catalog.uuid_eq(uuid,uuid)'::pg_catalog.regprocedure, 'pg_catalog.current_setting(text,boolean)'::pg_catalog.regprocedure,
                 'pg_catalog.sha256(bytea)'::pg_catalog.regprocedure, 'pg_catalog.pg_backend_pid()'::pg_catalog.regprocedure,
                 'pg_catalog.now()'::pg_catalog.regprocedure, 'pg_catalog.clock_timestamp()'::pg_catalog.regprocedure)
   AND (p.prolang <> 12 OR p.prosecdef OR p.proconfig IS NOT NULL OR p.oid >= 16384
        OR p.prosrc NOT IN ('uuid_eq', 'show_config_by_name_missing_ok', 'sha256_bytea', 'pg_backend_pid', 'now', 'clock_timestamp'))
 UNION ALL
SELECT 'pg_catalog', o.oid::pg_catalog.regoperator::text, 'the operator that row security compares with is not PostgreSQL''s own',
       'Make the database anew from a backup: nothing that was read or written meanwhile can be trusted.'
  FROM pg_catalog.pg_operator o
 WHERE o.oid = 'pg_catalog.=(uuid,uuid)'::pg_catalog.regoperator AND o.oprcode <> 'pg_catalog.uuid_eq'::pg_catalog.regproc)sql"},
    {"language-open", kError, R"sql(
SELECT '', l.lanname, pg_catalog.format('%s may run code in it (DO)', COALESCE(u.rolname, 'PUBLIC')),
       pg_catalog.format('REVOKE USAGE ON LANGUAGE %I FROM %s;', l.lanname, COALESCE(pg_catalog.quote_ident(u.rolname), 'PUBLIC'))
  FROM pg_catalog.pg_language l
 CROSS JOIN LATERAL pg_catalog.aclexplode(COALESCE(l.lanacl, pg_catalog.acldefault('l', l.lanowner))) x
  LEFT JOIN pg_catalog.pg_roles u ON u.oid = x.grantee
 WHERE l.lanpltrusted AND x.grantee <> l.lanowner AND x.grantee NOT IN (SELECT oid FROM owner_role))sql"},
    {"language-unknown", kError, R"sql(
SELECT '', l.lanname, 'functions in this language can do more than PostgreSQL can confine',
       CASE WHEN e.extname IS NULL THEN pg_catalog.format('DROP LANGUAGE %I;', l.lanname) ELSE pg_catalog.format('DROP EXTENSION %I;', e.extname) END
  FROM pg_catalog.pg_language l
  LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_language'::pg_catalog.regclass AND d.objid = l.oid AND d.deptype = 'e'
  LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
 WHERE l.lanname NOT IN ('internal', 'c', 'sql', 'plpgsql'))sql"},
    {"schema-open", kError, R"sql(
SELECT n.name, n.name, pg_catalog.format('%s has %s on the schema', COALESCE(u.rolname, 'PUBLIC'), x.privilege_type),
       pg_catalog.format('REVOKE %s ON SCHEMA %I FROM %s;', x.privilege_type, n.name, COALESCE(pg_catalog.quote_ident(u.rolname), 'PUBLIC'))
  FROM namespace n CROSS JOIN LATERAL pg_catalog.aclexplode(n.acl) x
  LEFT JOIN pg_catalog.pg_roles u ON u.oid = x.grantee
 WHERE x.grantee <> n.owner AND n.pack IS NULL AND n.name <> 'rowhouse' AND u.rolname IS DISTINCT FROM 'pg_database_owner'
   AND NOT (n.name IN ('pg_catalog', 'information_schema') AND x.privilege_type = 'USAGE'))sql"},
    {"schema-unknown", kWarning, R"sql(
SELECT name, name, CASE WHEN name ~ '^t_.*_[0-9a-f]{12}$' THEN 'it looks like the schema of a tenant, but the registry knows no such tenant'
                        ELSE 'the schema is neither a pack''s nor Rowhouse''s' END,
       pg_catalog.format('Look at what is in it; then: DROP SCHEMA %I CASCADE', name)
  FROM stray)sql"},
    {"object-outside-packs", kError, R"sql(
SELECT n.name, c.relname, 'tables and views outside the packs are protected by nobody',
       pg_catalog.format('DROP %s %I.%I;', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                                                WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, n.name, c.relname)
  FROM pg_catalog.pg_class c JOIN namespace n ON n.oid = c.relnamespace AND (n.name = 'public' OR n.oid IN (SELECT oid FROM stray))
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT EXISTS (SELECT FROM extension_member e WHERE e.id = c.oid)
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
                      AND c.relkind = 'S')
 UNION ALL
SELECT n.name, p.oid::pg_catalog.regprocedure::text, 'functions outside the packs are protected by nobody',
       pg_catalog.format('DROP ROUTINE %s;', p.oid::pg_catalog.regprocedure)
  FROM pg_catalog.pg_proc p JOIN namespace n ON n.oid = p.pronamespace AND (n.name = 'public' OR n.oid IN (SELECT oid FROM stray))
 WHERE NOT EXISTS (SELECT FROM extension_member e WHERE e.id = p.oid))sql"},
    {"cast-added", kError, R"sql(
SELECT '', pg_catalog.format('%s AS %s', c.castsource::pg_catalog.regtype, c.casttarget::pg_catalog.regtype),
       'a cast changes what comparisons in queries and policies mean',
       pg_catalog.format('DROP CAST (%s AS %s);', c.castsource::pg_catalog.regtype, c.casttarget::pg_catalog.regtype)
  FROM pg_catalog.pg_cast c WHERE c.oid >= 16384 AND NOT EXISTS (SELECT FROM extension_member e WHERE e.id = c.oid))sql"},

    // Ways out
    {"extension", kWarning, R"sql(
SELECT '', x.extname, 'the extension is not of Rowhouse''s making: its functions may look past row security',
       pg_catalog.format('DROP EXTENSION %I;', x.extname)
  FROM pg_catalog.pg_extension x WHERE x.extname NOT IN ('plpgsql', 'rowhouse_guard'))sql"},
    {"publication", kError, R"sql(
SELECT '', p.pubname, 'a publication ships rows of all tenants out, past row security', pg_catalog.format('DROP PUBLICATION %I;', p.pubname)
  FROM pg_catalog.pg_publication p)sql"},
    {"subscription", kError, R"sql(
SELECT '', s.subname, 'a subscription writes rows past row security',
       CASE WHEN s.subslotname IS NULL AND NOT s.subenabled THEN pg_catalog.format('DROP SUBSCRIPTION %I;', s.subname)
            ELSE pg_catalog.format('ALTER SUBSCRIPTION %I DISABLE; ALTER SUBSCRIPTION %I SET (slot_name = NONE); DROP SUBSCRIPTION %I;',
                                   s.subname, s.subname, s.subname) END
  FROM pg_catalog.pg_subscription s
 WHERE s.subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))sql"},
    {"event-trigger", kError, R"sql(
SELECT '', t.evtname, 'an event trigger runs its owner''s code in every change of the schema',
       pg_catalog.format('DROP EVENT TRIGGER %I;', t.evtname)
  FROM pg_catalog.pg_event_trigger t)sql"},
    {"foreign-server", kError, R"sql(
SELECT '', w.fdwname, 'a foreign data wrapper leads out of the database', pg_catalog.format('DROP FOREIGN DATA WRAPPER %I CASCADE;', w.fdwname)
  FROM pg_catalog.pg_foreign_data_wrapper w WHERE NOT EXISTS (SELECT FROM extension_member e WHERE e.id = w.oid)
 UNION ALL
SELECT '', s.srvname, 'a foreign server leads out of the database', pg_catalog.format('DROP SERVER %I CASCADE;', s.srvname)
  FROM pg_catalog.pg_foreign_server s)sql"},
    {"security-label", kWarning, R"sql(
SELECT '', pg_catalog.pg_describe_object(s.classoid, s.objoid, s.objsubid),
       pg_catalog.format('a security label of the provider %s: a module decides about rights beside PostgreSQL', s.provider),
       pg_catalog.format('Take it off with SECURITY LABEL FOR %I ON … IS NULL.', s.provider)
  FROM pg_catalog.pg_seclabel s)sql"},
    {"large-object", kWarning, R"sql(
SELECT '', 'large object ' || l.oid, 'large objects have no tenant, and row security does not hold for them',
       pg_catalog.format('SELECT pg_catalog.lo_unlink(%s);', l.oid)
  FROM pg_catalog.pg_largeobject_metadata l)sql"},
    {"prepared-transaction", kWarning, R"sql(
SELECT '', p.gid, pg_catalog.format('a transaction prepared at %s by %s holds its locks until somebody ends it', p.prepared, p.owner),
       pg_catalog.format('ROLLBACK PREPARED %L;', p.gid)
  FROM pg_catalog.pg_prepared_xacts p WHERE p.database = pg_catalog.current_database())sql"},

    // What new objects get
    {"default-privilege-excess", kError, R"sql(
SELECT COALESCE(n.nspname, ''), pg_catalog.format('%s for %s', k.what, o.rolname),
       pg_catalog.format('new %s of %s give %s to %s', pg_catalog.lower(k.what), o.rolname, x.privilege_type, COALESCE(u.rolname, 'PUBLIC')),
       pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s REVOKE %s ON %s FROM %s;', o.rolname,
         CASE WHEN n.nspname IS NULL THEN '' ELSE ' IN SCHEMA ' || pg_catalog.quote_ident(n.nspname) END, x.privilege_type, k.what,
         COALESCE(pg_catalog.quote_ident(u.rolname), 'PUBLIC'))
  FROM pg_catalog.pg_default_acl d
  JOIN pg_catalog.pg_roles o ON o.oid = d.defaclrole
  JOIN (VALUES ('r', 'TABLES'), ('S', 'SEQUENCES'), ('f', 'FUNCTIONS'), ('T', 'TYPES'), ('n', 'SCHEMAS')) k (type, what) ON k.type = d.defaclobjtype::text
  LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace
 CROSS JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) x
  LEFT JOIN pg_catalog.pg_roles u ON u.oid = x.grantee
 WHERE x.grantee <> d.defaclrole
   AND NOT (d.defaclobjtype = 'T' AND x.grantee = 0)
   AND NOT (x.grantee IN (SELECT oid FROM backup_role) AND d.defaclrole IN (SELECT oid FROM owner_role) AND d.defaclnamespace = 0
            AND (d.defaclobjtype, x.privilege_type) IN (('r', 'SELECT'), ('S', 'SELECT'), ('n', 'USAGE')) AND NOT x.is_grantable))sql"},
    {"default-privilege-missing", kWarning, R"sql(
SELECT '', pg_catalog.format('%s for %s', w.what, o.rolname), pg_catalog.format('new %s of %s are not readable for the backup', pg_catalog.lower(w.what), o.rolname),
       pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I GRANT %s ON %s TO %I;', o.rolname, w.privilege, w.what, b.rolname)
  FROM owner_role o CROSS JOIN backup_role b
 CROSS JOIN (VALUES ('r', 'TABLES', 'SELECT'), ('S', 'SEQUENCES', 'SELECT'), ('n', 'SCHEMAS', 'USAGE')) w (type, what, privilege)
 WHERE NOT EXISTS (
   SELECT FROM pg_catalog.pg_default_acl d CROSS JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) x
    WHERE d.defaclrole = o.oid AND d.defaclnamespace = 0 AND d.defaclobjtype::text = w.type AND x.grantee = b.oid AND x.privilege_type = w.privilege)
 UNION ALL
SELECT '', 'FUNCTIONS for ' || o.rolname, pg_catalog.format('new functions of %s may be called by PUBLIC', o.rolname),
       pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;', o.rolname)
  FROM owner_role o
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_default_acl d WHERE d.defaclrole = o.oid AND d.defaclnamespace = 0 AND d.defaclobjtype = 'f'))sql"},

    // Registry and migrations
    {"schema-missing", kError, R"sql(
SELECT k.schema, k.schema, 'the registry says that a tenant or pack lives in this schema, but it is not there',
       'Restore it from a backup, or delete the tenant.'
  FROM known k WHERE NOT EXISTS (SELECT FROM namespace n WHERE n.name::text = k.schema))sql"},
    {"behind", kWarning, R"sql(
SELECT k.schema, k.schema, pg_catalog.format('%s of %s migrations of %s are missing, first %s', pg_catalog.count(*),
                                             (SELECT pg_catalog.count(*) FROM migration a WHERE a.pack = k.pack), k.pack,
                                             (pg_catalog.array_agg(m.name ORDER BY m.number))[1]),
       pg_catalog.format('Run `rowhouse pack install` with the installed version of %s: it continues where it stopped.', k.pack)
  FROM known k JOIN migration m ON m.pack = k.pack
 WHERE k.pack <> ''
   AND NOT EXISTS (SELECT FROM rowhouse.pack_migrations r WHERE r.schema_name = k.schema AND r.number = m.number)
   AND EXISTS (SELECT FROM namespace n WHERE n.name::text = k.schema)
 GROUP BY k.schema, k.pack)sql"},
    {"migration-differs", kError, R"sql(
SELECT r.schema_name, r.name, CASE WHEN m.number IS NULL THEN 'a migration ran here that the installed pack does not have'
                                   ELSE 'the migration that ran here is not the one of the installed pack' END,
       'Compare the schema with that of another tenant; then restore it, or move its rows into one that is right.'
  FROM rowhouse.pack_migrations r
  JOIN known k ON k.schema = r.schema_name
  LEFT JOIN migration m ON m.pack = k.pack AND m.number = r.number
 WHERE k.pack <> '' AND (r.checksum, r.name, r.pack) IS DISTINCT FROM (m.checksum, m.name, m.pack))sql"},
    {"migration-orphan", kWarning, R"sql(
SELECT r.schema_name, r.schema_name, 'migrations are recorded for a schema that is not there',
       pg_catalog.format('DELETE FROM rowhouse.pack_migrations WHERE schema_name = %L;', r.schema_name)
  FROM rowhouse.pack_migrations r WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = r.schema_name::name)
 GROUP BY r.schema_name)sql"},
    // What is behind follows the rules of its own version.
    {"row-rules-stale", kError, R"sql(
SELECT k.schema, k.schema, pg_catalog.format('the row rules that are written down here are not those of the manifest of %s', k.pack),
       pg_catalog.format('INSERT INTO rowhouse.row_rules (schema_name, rules) VALUES (%L, %L)'
                         ' ON CONFLICT (schema_name) DO UPDATE SET rules = excluded.rules;', k.schema, d.rules)
  FROM known k
  JOIN declared d ON d.pack = k.pack
  LEFT JOIN rowhouse.row_rules w ON w.schema_name = k.schema
 WHERE COALESCE(w.rules, '[]') <> d.rules
   AND EXISTS (SELECT FROM namespace n WHERE n.name::text = k.schema)
   AND NOT EXISTS (SELECT FROM migration m WHERE m.pack = k.pack
                      AND NOT EXISTS (SELECT FROM rowhouse.pack_migrations r WHERE r.schema_name = k.schema AND r.number = m.number))
 UNION ALL
SELECT w.schema_name, w.schema_name, 'row rules are written down for a schema that is not there',
       pg_catalog.format('DELETE FROM rowhouse.row_rules WHERE schema_name = %L;', w.schema_name)
  FROM rowhouse.row_rules w WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = w.schema_name::name))sql"},
});

}  // namespace

std::span<const LintRule> database_rules() { return kRules; }

}  // namespace rowhouse::tenancy
