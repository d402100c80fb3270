// Rules about owners, roles and privileges.
#include <array>

#include "tenancy/isolation_rules_parts.h"

namespace rowhouse::tenancy {

namespace {

constexpr Severity kError = Severity::error;

constexpr auto kRules = std::to_array<IsolationRule>({
    {"owner-not-tenant-owner", kError, RuleUse::pack_and_lint, R"sql(
SELECT o.schema, o.object, pg_catalog.format('it belongs to %s instead of %s', u.rolname, w.rolname),
       CASE WHEN o.prefix = '' THEN 'Let the migration make it as it is run, without OWNER TO.'
            ELSE pg_catalog.format('ALTER %s OWNER TO %I;', o.subject, w.rolname) END
  FROM (SELECT name AS schema, name AS object, owner, prefix, 'SCHEMA ' || pg_catalog.quote_ident(name) AS subject FROM scope
         UNION ALL SELECT schema, short_name, owner, prefix,
                          CASE kind WHEN 'S' THEN 'SEQUENCE ' WHEN 'v' THEN 'VIEW ' WHEN 'm' THEN 'MATERIALIZED VIEW '
                                    WHEN 'f' THEN 'FOREIGN TABLE ' ELSE 'TABLE ' END || quoted FROM relation
         UNION ALL SELECT schema, short_name, owner, prefix, 'ROUTINE ' || quoted FROM routine
         UNION ALL SELECT s.name, t.typname, t.typowner, s.prefix,
                          CASE t.typtype WHEN 'd' THEN 'DOMAIN ' ELSE 'TYPE ' END || s.prefix || pg_catalog.quote_ident(t.typname)
                     FROM type_member t JOIN scope s ON s.oid = t.typnamespace
                    WHERE t.typtype IN ('d', 'e', 'r') AND t.typowner <> (SELECT oid FROM owner_role)
                      AND t.oid NOT IN (SELECT id FROM extension_member WHERE class_id = 'pg_catalog.pg_type'::pg_catalog.regclass)) o
  JOIN pg_catalog.pg_roles u ON u.oid = o.owner
 CROSS JOIN owner_role w
 WHERE o.owner <> w.oid)sql"},
    {"runtime-role-too-strong", kError, RuleUse::pack, R"sql(
SELECT u.schema, u.rolname, 'the role that serves tenants is superuser, bypasses row security, is a member of a role or owns objects',
       pg_catalog.format('ALTER ROLE %I NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION;'
                         ' REVOKE its memberships; REASSIGN OWNED BY %I TO %I', u.rolname, u.rolname, w.rolname)
  FROM runtime_role u CROSS JOIN owner_role w
 WHERE u.rolsuper OR u.rolbypassrls OR u.rolcreaterole OR u.rolcreatedb OR u.rolreplication
    OR EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE m.member = u.oid)
    OR EXISTS (SELECT FROM pg_catalog.pg_shdepend d
                WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = u.oid AND d.deptype = 'o'))sql"},
    {"grant-to-public", kError, RuleUse::before_and_lint, R"sql(
SELECT DISTINCT schema, object || COALESCE('.' || column_name, ''), pg_catalog.format('%s is granted to PUBLIC: to every role there is', privilege),
       pg_catalog.format('REVOKE %s%s ON %s %s FROM PUBLIC;', privilege, COALESCE(' (' || pg_catalog.quote_ident(column_name) || ')', ''), kind, subject)
  FROM privilege WHERE grantee = 0)sql"},
    {"grant-in-migration", kError, RuleUse::pack_before_protection, R"sql(
SELECT DISTINCT schema, object || COALESCE('.' || column_name, ''),
       pg_catalog.format('%s is granted to %s, which has no business here', privilege, grantee_name),
       'Leave GRANT out: Rowhouse grants what is needed.'
  FROM privilege
 WHERE grantee <> 0 AND grantee NOT IN (SELECT oid FROM backup_role) AND grantee NOT IN (SELECT oid FROM runtime_role)
 UNION ALL
SELECT DISTINCT schema, object || COALESCE('.' || column_name, ''),
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
    {"grant-excess", kError, RuleUse::lint, R"sql(
SELECT schema, short_name || COALESCE('.' || column_name, ''),
       pg_catalog.format('%s has %s, which nothing needs%s', grantee_name, privilege,
                         CASE WHEN column_name = 'tenant_id' AND privilege IN ('INSERT', 'UPDATE')
                              THEN ': a row could be given to another tenant' ELSE '' END),
       pg_catalog.format('REVOKE %s%s ON %s FROM %s CASCADE;', privilege,
                         COALESCE(' (' || pg_catalog.quote_ident(column_name) || ')', ''), object, grantee_name)
  FROM grant_difference WHERE NOT gives AND grantee <> 0)sql"},
    {"grant-missing", Severity::warning, RuleUse::lint, R"sql(
SELECT schema, short_name || COALESCE('.' || column_name, ''),
       pg_catalog.format('%s lacks %s, so requests or backups fail', grantee_name, privilege),
       pg_catalog.format('GRANT %s%s ON %s TO %s;', privilege,
                         COALESCE(' (' || pg_catalog.quote_ident(column_name) || ')', ''), object, grantee_name)
  FROM grant_difference WHERE gives)sql"},
});

}  // namespace

std::span<const IsolationRule> isolation_privilege_rules() { return kRules; }

}  // namespace rowhouse::tenancy
