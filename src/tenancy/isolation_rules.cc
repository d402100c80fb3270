#include "tenancy/isolation_rules.h"

#include <array>

namespace rowhouse::tenancy {

const std::string_view kRuleCatalog = R"sql(
, owner_role AS (
  SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $2
), backup_role AS (
  SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $3
), tenant_table AS (  -- what must have tenant_id; partitions have it from their parent
  SELECT * FROM relation WHERE is_table AND NOT is_partition
), key AS (
  SELECT x.indexrelid AS index_id, x.indrelid AS relation_id, r.quoted, r.short_name AS table_name, i.relname AS index_name,
         x.indisprimary AS is_primary, x.indisunique AS is_unique, k.conname AS constraint_name,
         x.indkey[0] = r.tenant_number AS is_led
    FROM relation r
    JOIN pg_catalog.pg_index x ON x.indrelid = r.oid
    JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid AND NOT i.relispartition
    LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = x.indexrelid AND k.conrelid = r.oid AND k.contype IN ('p', 'u', 'x')
   WHERE r.is_table
), foreign_key AS (
  SELECT k.*, r.quoted, r.short_name AS table_name, r.tenant_number, t.relname AS target_name, t.relnamespace AS target_schema,
         p.attnum AS target_tenant_number
    FROM relation r
    JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid AND k.contype = 'f' AND k.conparentid = 0
    JOIN pg_catalog.pg_class t ON t.oid = k.confrelid
    LEFT JOIN pg_catalog.pg_attribute p ON p.attrelid = t.oid AND p.attname = 'tenant_id' AND NOT p.attisdropped
), privilege (object, kind, subject, is_partition, column_name, grantee, grantee_name, privilege) AS (
  SELECT g.object, g.kind, g.subject, g.is_partition, g.column_name, g.grantee, COALESCE(u.rolname, 'PUBLIC'), g.privilege
    FROM (
      SELECT s.name AS object, 'SCHEMA' AS kind, pg_catalog.quote_ident(s.name) AS subject, false AS is_partition,
             NULL::name AS column_name, x.grantee, x.privilege_type AS privilege
        FROM scope s CROSS JOIN LATERAL pg_catalog.aclexplode(s.acl) x
       WHERE x.grantee <> s.owner
       UNION ALL
      SELECT r.short_name, CASE r.kind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, r.quoted, r.is_partition, NULL, x.grantee,
             x.privilege_type
        FROM relation r CROSS JOIN LATERAL pg_catalog.aclexplode(r.acl) x WHERE x.grantee <> r.owner
       UNION ALL
      SELECT r.short_name, 'TABLE', r.quoted, r.is_partition, a.attname, x.grantee, x.privilege_type
        FROM relation r
        JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped
       CROSS JOIN LATERAL pg_catalog.aclexplode(a.attacl) x WHERE x.grantee <> r.owner
       UNION ALL
      SELECT f.short_name, 'ROUTINE', f.short_name, false, NULL, x.grantee, x.privilege_type
        FROM routine f
       CROSS JOIN LATERAL pg_catalog.aclexplode(COALESCE(f.acl, pg_catalog.acldefault('f', f.owner))) x
       WHERE x.grantee <> f.owner
    ) g
    LEFT JOIN pg_catalog.pg_roles u ON u.oid = g.grantee
), runtime_role AS (  -- whoever may use the schema and is neither its owner nor the backup
  SELECT DISTINCT u.* FROM scope s CROSS JOIN LATERAL pg_catalog.aclexplode(s.acl) x
    JOIN pg_catalog.pg_roles u ON u.oid = x.grantee
   WHERE x.privilege_type = 'USAGE' AND x.grantee <> s.owner AND x.grantee NOT IN (SELECT oid FROM backup_role)
)
)sql";

namespace {

constexpr RuleStage kAlways = RuleStage::always;
constexpr RuleStage kBefore = RuleStage::before_protection;

constexpr auto kRules = std::to_array<IsolationRule>({
    // Columns
    {"tenant-id-missing", kAlways, R"sql(
SELECT short_name, 'the table has no column tenant_id, so nobody knows whose its rows are',
       pg_catalog.format('ALTER TABLE %s ADD COLUMN tenant_id uuid NOT NULL;', quoted)
  FROM tenant_table WHERE tenant_number IS NULL)sql"},
    {"tenant-id-wrong-type", kAlways, R"sql(
SELECT short_name, pg_catalog.format('tenant_id must be an ordinary column of type uuid, not %s',
                                     CASE WHEN tenant_is_generated THEN 'a generated one'
                                          ELSE pg_catalog.format_type(tenant_type, NULL) END),
       CASE WHEN tenant_is_generated THEN 'Declare it as: tenant_id uuid NOT NULL'
            ELSE pg_catalog.format('ALTER TABLE %s ALTER COLUMN tenant_id TYPE uuid USING tenant_id::text::uuid;', quoted) END
  FROM tenant_table
 WHERE tenant_number IS NOT NULL
   AND (tenant_type <> 'pg_catalog.uuid'::pg_catalog.regtype OR tenant_is_generated))sql"},
    {"tenant-id-nullable", kAlways, R"sql(
SELECT short_name, 'tenant_id may be null: a row without an owner',
       pg_catalog.format('ALTER TABLE %s ALTER COLUMN tenant_id SET NOT NULL;', quoted)
  FROM tenant_table WHERE tenant_number IS NOT NULL AND NOT tenant_is_required)sql"},
    {"tenant-id-default", kAlways, R"sql(
SELECT r.short_name, 'tenant_id has a default that is not the tenant of the transaction',
       pg_catalog.format('ALTER TABLE %s ALTER COLUMN tenant_id DROP DEFAULT;', r.quoted)
  FROM relation r
  JOIN pg_catalog.pg_attrdef d ON d.adrelid = r.oid AND d.adnum = r.tenant_number
 WHERE r.is_table AND pg_catalog.pg_get_expr(d.adbin, d.adrelid) <> 'rowhouse.tenant_id()')sql"},

    // Keys
    {"primary-key-missing", kAlways, R"sql(
SELECT r.short_name, 'the table has no primary key',
       pg_catalog.format('ALTER TABLE %s ADD PRIMARY KEY (tenant_id, id);', r.quoted)
  FROM tenant_table r
 WHERE NOT EXISTS (SELECT FROM key k WHERE k.relation_id = r.oid AND k.is_primary))sql"},
    {"primary-key-not-tenant-led", kAlways, R"sql(
SELECT table_name, 'the primary key does not begin with tenant_id: tenants would share one space of identifiers',
       pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I, ADD PRIMARY KEY (tenant_id, id);', quoted, constraint_name)
  FROM key WHERE is_primary AND is_led IS NOT TRUE)sql"},
    {"unique-not-tenant-led", kAlways, R"sql(
SELECT table_name || '.' || index_name,
       'a unique index that does not begin with tenant_id tells one tenant which values another one has',
       CASE WHEN constraint_name IS NOT NULL
            THEN pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I, ADD UNIQUE (tenant_id, …);', quoted, constraint_name)
            ELSE pg_catalog.format('DROP INDEX %I; CREATE UNIQUE INDEX ON %s (tenant_id, …);', index_name, quoted) END
  FROM key WHERE is_unique AND NOT is_primary AND is_led IS NOT TRUE)sql"},
    {"exclusion-not-tenant-led", kAlways, R"sql(
SELECT r.short_name || '.' || k.conname, 'the exclusion constraint compares rows of different tenants',
       pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I, ADD EXCLUDE USING gist (tenant_id WITH =, …);', r.quoted, k.conname)
  FROM relation r
  JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid AND k.contype = 'x' AND k.conparentid = 0
 WHERE NOT EXISTS (
   SELECT FROM ROWS FROM (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.conexclop)) c (number, operator)
    WHERE c.number = r.tenant_number AND c.operator = 'pg_catalog.=(uuid,uuid)'::pg_catalog.regoperator))sql"},
    {"foreign-key-not-tenant-led", kAlways, R"sql(
SELECT table_name || '.' || conname, 'a foreign key that does not begin with tenant_id can point at another tenant''s row',
       pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I, ADD FOREIGN KEY (tenant_id, …) REFERENCES %I (tenant_id, …);',
                         quoted, conname, target_name)
  FROM foreign_key
 WHERE (conkey[1] = tenant_number AND confkey[1] = target_tenant_number) IS NOT TRUE)sql"},
    {"foreign-key-outside-pack", kAlways, R"sql(
SELECT table_name || '.' || conname, 'the foreign key refers to a table outside the pack',
       pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I;', quoted, conname)
  FROM foreign_key WHERE target_schema <> (SELECT oid FROM scope))sql"},
    {"foreign-key-clears-tenant-id", kAlways, R"sql(
SELECT k.table_name || '.' || k.conname, 'when the row it points at goes or changes, tenant_id would be overwritten, too',
       pg_catalog.format('Name the columns: ON DELETE SET NULL (%s); and no SET NULL or SET DEFAULT for ON UPDATE.',
         (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum)
            FROM pg_catalog.pg_attribute a
           WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) AND a.attnum <> k.tenant_number))
  FROM foreign_key k
 WHERE (tenant_number = ANY (conkey) AND confupdtype IN ('n', 'd'))
    OR (tenant_number = ANY (conkey) AND confdeltype IN ('n', 'd')
        AND (confdelsetcols IS NULL OR tenant_number = ANY (confdelsetcols))))sql"},

    // Row security
    {"row-security-off", kAlways, R"sql(
SELECT short_name, 'row security is not enabled and forced',
       pg_catalog.format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;', quoted)
  FROM relation WHERE is_table AND NOT (is_secured AND is_forced))sql"},
    {"policy-missing", kAlways, R"sql(
SELECT r.short_name, pg_catalog.format('the policy %s is missing', n.name), 'Install the pack again: Rowhouse makes it.'
  FROM tenant_table r CROSS JOIN (VALUES ('rowhouse_tenant'), ('rowhouse_wall')) n (name)
 WHERE r.tenant_type = 'pg_catalog.uuid'::pg_catalog.regtype AND NOT r.tenant_is_generated
   AND NOT EXISTS (SELECT FROM policy y WHERE y.relation_id = r.oid AND y.name = n.name))sql"},
    {"policy-changed", kAlways, R"sql(
SELECT r.short_name || '.' || y.name, 'the policy is not the one that Rowhouse makes',
       pg_catalog.format('DROP POLICY %I ON %s;', y.name, r.quoted)
  FROM policy y JOIN relation r ON r.oid = y.relation_id
 WHERE y.is_ours AND NOT y.is_canonical)sql"},
    {"policy-permissive", kAlways, R"sql(
SELECT r.short_name || '.' || y.name, 'permissive policies are joined by OR: a further one opens the wall',
       'Declare it AS RESTRICTIVE.'
  FROM policy y JOIN relation r ON r.oid = y.relation_id
 WHERE NOT y.is_ours AND y.is_permissive)sql"},
    {"policy-not-for-public", kAlways, R"sql(
SELECT r.short_name || '.' || y.name, 'a policy for certain roles does not hold for the others, and roles differ by tier',
       'Declare it TO PUBLIC.'
  FROM policy y JOIN relation r ON r.oid = y.relation_id
 WHERE NOT y.is_ours AND NOT y.is_for_all)sql"},
    {"policy-on-partition", kAlways, R"sql(
SELECT r.short_name || '.' || y.name, 'partitions are reached through their parent alone, whose policies hold',
       pg_catalog.format('DROP POLICY %I ON %s;', y.name, r.quoted)
  FROM policy y JOIN relation r ON r.oid = y.relation_id WHERE r.is_partition)sql"},

    // Other kinds of objects
    {"view-not-security-invoker", kAlways, R"sql(
SELECT short_name, 'the view reads with its owner''s rights instead of the caller''s',
       pg_catalog.format('ALTER VIEW %s SET (security_invoker = true, security_barrier = true);', quoted)
  FROM relation WHERE kind = 'v' AND NOT is_invoker)sql"},
    {"view-not-security-barrier", kAlways, R"sql(
SELECT short_name, 'a caller''s function could look behind the view''s own conditions',
       pg_catalog.format('ALTER VIEW %s SET (security_invoker = true, security_barrier = true);', quoted)
  FROM relation WHERE kind = 'v' AND NOT is_barrier)sql"},
    {"partition-elsewhere", kAlways, R"sql(
SELECT r.short_name || '.' || c.relname, 'the partition is in another schema, where Rowhouse does not close it to direct access',
       pg_catalog.format('ALTER TABLE %s SET SCHEMA %I;', c.oid::pg_catalog.regclass, $1::text)
  FROM relation r
  JOIN pg_catalog.pg_inherits i ON i.inhparent = r.oid
  JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition AND c.relkind IN ('r', 'p', 'f')
 WHERE c.relnamespace <> (SELECT oid FROM scope))sql"},
    {"table-kind", kAlways, R"sql(
SELECT short_name, 'row security cannot hold for a materialized view', 'Use a view, or a table kept by triggers.'
  FROM relation WHERE kind = 'm')sql"},
    {"table-kind", kAlways, R"sql(
SELECT short_name, 'row security cannot hold for a foreign table', pg_catalog.format('DROP FOREIGN TABLE %s;', quoted)
  FROM relation WHERE kind = 'f')sql"},
    {"table-kind", kAlways, R"sql(
SELECT short_name, 'the table is emptied by a crash', pg_catalog.format('ALTER TABLE %s SET LOGGED;', quoted)
  FROM relation WHERE is_table AND persistence <> 'p')sql"},
    {"table-inherits", kAlways, R"sql(
SELECT r.short_name, 'rows of an inheriting table are reached through its parent, past its own policies',
       pg_catalog.format('ALTER TABLE %s NO INHERIT %s;', r.quoted, i.inhparent::pg_catalog.regclass)
  FROM relation r JOIN pg_catalog.pg_inherits i ON i.inhrelid = r.oid
 WHERE NOT r.is_partition)sql"},
    {"rewrite-rule", kAlways, R"sql(
SELECT r.short_name || '.' || w.rulename,
       'rewrite rules act with the rights of the table''s owner; a trigger or a function can do the same',
       pg_catalog.format('DROP RULE %I ON %s;', w.rulename, r.quoted)
  FROM relation r JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid
 WHERE w.rulename <> '_RETURN')sql"},
    {"function-definer-search-path", kAlways, R"sql(
SELECT short_name, 'a SECURITY DEFINER function without its own search_path runs what its caller puts in the way',
       pg_catalog.format('ALTER FUNCTION %s SET search_path = '''';',
                         pg_catalog.substr(name, pg_catalog.length(pg_catalog.quote_ident($1)) + 2))
  FROM routine WHERE is_definer AND search_path IS NULL)sql"},
    {"function-setting", kAlways, R"sql(
SELECT f.short_name, pg_catalog.format('the function changes the setting %s, which isolation rests on', pg_catalog.split_part(v, '=', 1)),
       pg_catalog.format('ALTER FUNCTION %s RESET %s;',
                         pg_catalog.substr(f.name, pg_catalog.length(pg_catalog.quote_ident($1)) + 2),
                         pg_catalog.split_part(v, '=', 1))
  FROM routine f CROSS JOIN LATERAL pg_catalog.unnest(f.settings) v
 WHERE pg_catalog.lower(pg_catalog.split_part(v, '=', 1)) IN ('role', 'session_authorization', 'row_security')
    OR pg_catalog.lower(v) LIKE 'rowhouse.%')sql"},
    {"function-language", kAlways, R"sql(
SELECT f.short_name, pg_catalog.format('functions in %s are not accepted: not every server has it or can confine it', l.lanname),
       'Use LANGUAGE sql or plpgsql.'
  FROM routine f JOIN pg_catalog.pg_language l ON l.oid = f.language
 WHERE l.lanname NOT IN ('sql', 'plpgsql'))sql"},
    {"extension-object", kAlways, R"sql(
SELECT x.extname, 'extensions are the server''s business: other tenants and tiers may not have them',
       pg_catalog.format('DROP EXTENSION %I;', x.extname)
  FROM pg_catalog.pg_extension x WHERE x.extnamespace = (SELECT oid FROM scope))sql"},
    {"name-too-long", kAlways, R"sql(
SELECT n.object, 'the name has 63 bytes, so PostgreSQL has probably cut it', 'Use at most 62 bytes.'
  FROM (SELECT short_name::text AS object, short_name FROM relation WHERE kind <> 'S'
         UNION ALL
        SELECT short_name::text, short_name FROM routine
         UNION ALL
        SELECT r.short_name || '.' || a.attname, a.attname
          FROM relation r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE r.kind <> 'S') n
 WHERE pg_catalog.octet_length(n.short_name::text) >= 63)sql"},

    // Who owns and who may
    {"owner-not-tenant-owner", kAlways, R"sql(
SELECT o.object, pg_catalog.format('it belongs to %s instead of %s', u.rolname, $2::text),
       'Let the migration make it as it is run, without OWNER TO.'
  FROM (SELECT name AS object, owner FROM scope
         UNION ALL SELECT short_name, owner FROM relation
         UNION ALL SELECT short_name, owner FROM routine) o
  JOIN pg_catalog.pg_roles u ON u.oid = o.owner
 WHERE o.owner <> (SELECT oid FROM owner_role))sql"},
    {"runtime-role-too-strong", kAlways, R"sql(
SELECT u.rolname, 'the role that serves tenants is superuser, bypasses row security, is a member of a role or owns objects',
       pg_catalog.format('ALTER ROLE %I NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION;'
                         ' REVOKE its memberships; REASSIGN OWNED BY %I TO %I;', u.rolname, u.rolname, $2::text)
  FROM runtime_role u
 WHERE u.rolsuper OR u.rolbypassrls OR u.rolcreaterole OR u.rolcreatedb OR u.rolreplication
    OR EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE m.member = u.oid)
    OR EXISTS (SELECT FROM pg_catalog.pg_shdepend d
                WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = u.oid AND d.deptype = 'o'))sql"},
    {"grant-to-public", kBefore, R"sql(
SELECT DISTINCT object || COALESCE('.' || column_name, ''), pg_catalog.format('%s is granted to PUBLIC: to every role there is', privilege),
       pg_catalog.format('REVOKE %s%s ON %s %s FROM PUBLIC;', privilege, COALESCE(' (' || pg_catalog.quote_ident(column_name) || ')', ''), kind, subject)
  FROM privilege WHERE grantee = 0)sql"},
    {"grant-in-migration", kBefore, R"sql(
SELECT DISTINCT object || COALESCE('.' || column_name, ''),
       pg_catalog.format('%s is granted to %s, which has no business here', privilege, grantee_name),
       'Leave GRANT out: Rowhouse grants what is needed.'
  FROM privilege
 WHERE grantee <> 0 AND grantee NOT IN (SELECT oid FROM backup_role) AND grantee NOT IN (SELECT oid FROM runtime_role))sql"},
    {"grant-in-migration", kBefore, R"sql(
SELECT DISTINCT object || COALESCE('.' || column_name, ''),
       pg_catalog.format('%s may %s%s', grantee_name, pg_catalog.lower(privilege),
                         CASE WHEN is_partition THEN ' a partition directly'
                              WHEN privilege IN ('INSERT', 'UPDATE') THEN ' tenant_id'
                              ELSE '' END),
       'Leave GRANT out: Rowhouse grants what is needed.'
  FROM privilege
 WHERE grantee <> 0
   AND ((is_partition AND NOT (privilege = 'SELECT' AND column_name IS NULL AND grantee IN (SELECT oid FROM backup_role)))
     OR (kind = 'TABLE' AND column_name IS NULL AND privilege NOT IN ('SELECT', 'DELETE'))
     OR (kind = 'TABLE' AND column_name IS NOT NULL AND privilege = 'REFERENCES')
     OR (column_name = 'tenant_id' AND privilege <> 'SELECT')
     OR (kind = 'SEQUENCE' AND privilege = 'UPDATE')
     OR (kind = 'SCHEMA' AND privilege <> 'USAGE')
     OR (grantee IN (SELECT oid FROM backup_role) AND privilege NOT IN ('SELECT', 'USAGE'))))sql"},
});

}  // namespace

std::span<const IsolationRule> isolation_rules() { return kRules; }

}  // namespace rowhouse::tenancy
