#include "tenancy/isolation_rules.h"

#include <array>
#include <vector>

#include "tenancy/isolation_rules_parts.h"

namespace rowhouse::tenancy {

const std::string_view kRuleCatalog = R"sql(
, tenant_table AS (  -- what must have tenant_id; partitions have it from their parent
  SELECT * FROM relation WHERE is_guarded AND NOT is_partition
), key AS MATERIALIZED (
  SELECT x.indexrelid AS index_id, x.indrelid AS relation_id, r.schema, r.quoted, r.prefix, r.short_name AS table_name,
         i.relname AS index_name, r.tenant_number, x.indkey::int2[] AS columns, x.indnkeyatts AS key_count,
         x.indisprimary AS is_primary, x.indisunique AS is_unique, k.conname AS constraint_name,
         x.indkey[0] = r.tenant_number AS is_led, x.indisvalid AND x.indisready AND x.indislive AS is_usable
    FROM relation r
    JOIN pg_catalog.pg_index x ON x.indrelid = r.oid
    JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid AND NOT i.relispartition
    LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = x.indexrelid AND k.conrelid = r.oid AND k.contype IN ('p', 'u', 'x')
   WHERE r.is_guarded
), foreign_key AS MATERIALIZED (
  SELECT k.*, r.schema, r.scope_id, r.quoted, r.prefix, r.short_name AS table_name, r.tenant_number,
         CASE WHEN r.prefix = '' THEN pg_catalog.quote_ident(t.relname) ELSE k.confrelid::pg_catalog.regclass::text END AS target,
         t.relnamespace AS target_schema, p.attnum AS target_tenant_number
    FROM relation r
    JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid AND k.contype = 'f' AND k.conparentid = 0
    JOIN pg_catalog.pg_class t ON t.oid = k.confrelid
    LEFT JOIN pg_catalog.pg_attribute p ON p.attrelid = t.oid AND p.attname = 'tenant_id' AND NOT p.attisdropped
   WHERE r.is_table
), wrong_foreign_key AS (
  SELECT k.*, (k.conkey[1] = k.tenant_number AND k.confkey[1] = k.target_tenant_number) IS NOT TRUE AS is_bare,
         tenant_number = ANY (conkey) AND (confupdtype IN ('n', 'd') OR (confdeltype IN ('n', 'd')
           AND (confdelsetcols IS NULL OR tenant_number = ANY (confdelsetcols)))) AS clears_tenant
    FROM foreign_key k
), corrected_foreign_key AS (  -- the same reference, led by tenant_id on both sides
  SELECT k.*, CASE WHEN c.own IS NULL OR c.others IS NULL THEN 'Name a column beside tenant_id on both sides.' ELSE
         pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I FOREIGN KEY (tenant_id, %s)'
           ' REFERENCES %s (tenant_id, %s)%s%s;', k.quoted, k.conname, k.conname, c.own, k.target, c.others,
           CASE k.confdeltype WHEN 'c' THEN ' ON DELETE CASCADE' WHEN 'r' THEN ' ON DELETE RESTRICT'
             WHEN 'n' THEN ' ON DELETE SET NULL (' || c.own || ')' WHEN 'd' THEN ' ON DELETE SET DEFAULT (' || c.own || ')' ELSE '' END,
           CASE k.confupdtype WHEN 'c' THEN ' ON UPDATE CASCADE' WHEN 'r' THEN ' ON UPDATE RESTRICT' ELSE '' END) END AS correction
    FROM wrong_foreign_key k
   CROSS JOIN LATERAL (
     SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY p.position) FILTER (WHERE a.attname <> 'tenant_id') AS own,
            pg_catalog.string_agg(pg_catalog.quote_ident(b.attname), ', ' ORDER BY p.position) FILTER (WHERE b.attname <> 'tenant_id') AS others
       FROM ROWS FROM (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey)) WITH ORDINALITY p (number, target_number, position)
       JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = p.number
       JOIN pg_catalog.pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = p.target_number) c
   WHERE k.is_bare OR k.clears_tenant
), privilege (schema, object, kind, subject, is_partition, column_name, grantee, grantee_name, privilege) AS (
  SELECT g.schema, g.object, g.kind, g.subject, g.is_partition, g.column_name, g.grantee, COALESCE(u.rolname, 'PUBLIC'), g.privilege
    FROM (
      SELECT s.name AS schema, s.name AS object, 'SCHEMA' AS kind, pg_catalog.quote_ident(s.name) AS subject, false AS is_partition,
             NULL::name AS column_name, x.grantee, x.privilege_type AS privilege
        FROM scope s CROSS JOIN LATERAL pg_catalog.aclexplode(s.acl) x
       WHERE x.grantee <> s.owner
       UNION ALL
      SELECT r.schema, r.short_name, CASE r.kind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, r.quoted, r.is_partition, NULL, x.grantee,
             x.privilege_type
        FROM relation r CROSS JOIN LATERAL pg_catalog.aclexplode(r.acl) x WHERE x.grantee <> r.owner
       UNION ALL
      SELECT r.schema, r.short_name, 'TABLE', r.quoted, r.is_partition, a.attname, x.grantee, x.privilege_type
        FROM relation r
        JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped
         AND a.attacl IS DISTINCT FROM CASE WHEN a.attname <> 'tenant_id' THEN r.column_acl END
       CROSS JOIN LATERAL pg_catalog.aclexplode(a.attacl) x WHERE x.grantee <> r.owner
       UNION ALL
      SELECT f.schema, f.short_name, 'ROUTINE', f.quoted, false, NULL, x.grantee, x.privilege_type
        FROM routine f
       CROSS JOIN LATERAL pg_catalog.aclexplode(COALESCE(f.acl, pg_catalog.acldefault('f', f.owner))) x
       WHERE x.grantee <> f.owner
    ) g
    LEFT JOIN pg_catalog.pg_roles u ON u.oid = g.grantee
), runtime_role AS (  -- whoever may use the schema and is neither its owner nor the backup
  SELECT DISTINCT s.name AS schema, u.* FROM scope s CROSS JOIN LATERAL pg_catalog.aclexplode(s.acl) x
    JOIN pg_catalog.pg_roles u ON u.oid = x.grantee
   WHERE x.privilege_type = 'USAGE' AND x.grantee <> s.owner AND x.grantee NOT IN (SELECT oid FROM backup_role)
)
)sql";

namespace {

constexpr Severity kError = Severity::error;
constexpr RuleUse kAlways = RuleUse::pack_and_lint;

constexpr auto kTableRules = std::to_array<IsolationRule>({
    // Columns
    {"tenant-id-missing", kError, kAlways, R"sql(
SELECT schema, short_name, 'the table has no column tenant_id, so nobody knows whose its rows are',
       pg_catalog.format('ALTER TABLE %s ADD COLUMN tenant_id uuid NOT NULL;', quoted)
  FROM tenant_table WHERE tenant_number IS NULL)sql"},
    {"tenant-id-wrong-type", kError, kAlways, R"sql(
SELECT schema, short_name, pg_catalog.format('tenant_id must be an ordinary column of type uuid, not %s',
                                     CASE WHEN tenant_is_generated THEN 'a generated one'
                                          ELSE pg_catalog.format_type(tenant_type, NULL) END),
       CASE WHEN tenant_is_generated THEN pg_catalog.format('ALTER TABLE %s ALTER COLUMN tenant_id DROP EXPRESSION;', quoted)
            ELSE pg_catalog.format('ALTER TABLE %s ALTER COLUMN tenant_id TYPE uuid USING tenant_id::text::uuid;', quoted) END
  FROM tenant_table
 WHERE tenant_number IS NOT NULL
   AND (tenant_type <> 'pg_catalog.uuid'::pg_catalog.regtype OR tenant_is_generated))sql"},
    {"tenant-id-nullable", kError, kAlways, R"sql(
SELECT schema, short_name, 'tenant_id may be null: a row without an owner',
       pg_catalog.format('ALTER TABLE %s ALTER COLUMN tenant_id SET NOT NULL;', quoted)
  FROM tenant_table WHERE tenant_number IS NOT NULL AND NOT tenant_is_required)sql"},
    {"tenant-id-default", kError, kAlways, R"sql(
SELECT r.schema, r.short_name, 'the default of tenant_id is not the tenant of the transaction',
       pg_catalog.format('ALTER TABLE %s ALTER COLUMN tenant_id SET DEFAULT rowhouse.tenant_id();', r.quoted)
  FROM relation r
  LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = r.oid AND d.adnum = r.tenant_number
 WHERE r.is_table AND r.tenant_type = 'pg_catalog.uuid'::pg_catalog.regtype AND NOT r.tenant_is_generated
   AND NOT (r.is_partition AND d.adbin IS NULL)
   AND pg_catalog.pg_get_expr(d.adbin, d.adrelid) IS DISTINCT FROM 'rowhouse.tenant_id()')sql"},

    // Keys
    {"primary-key-missing", kError, kAlways, R"sql(
SELECT r.schema, r.short_name, 'the table has no primary key',
       CASE WHEN a.attnum IS NOT NULL THEN pg_catalog.format('ALTER TABLE %s ADD PRIMARY KEY (tenant_id, id);', r.quoted)
            ELSE pg_catalog.format('ALTER TABLE %s ADD COLUMN id uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),'
                                   ' ADD PRIMARY KEY (tenant_id, id);', r.quoted) END
  FROM tenant_table r
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attname = 'id' AND a.attnum > 0 AND NOT a.attisdropped
 WHERE NOT EXISTS (SELECT FROM key k WHERE k.relation_id = r.oid AND k.is_primary))sql"},
    {"primary-key-not-tenant-led", kError, kAlways, R"sql(
SELECT k.schema, k.table_name, 'the primary key does not begin with tenant_id: tenants would share one space of identifiers',
       pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I PRIMARY KEY (tenant_id%s);',
         k.quoted, k.constraint_name, k.constraint_name,
         (SELECT pg_catalog.string_agg(', ' || pg_catalog.quote_ident(a.attname), '' ORDER BY p.position)
            FROM pg_catalog.unnest(k.columns) WITH ORDINALITY p (number, position)
            JOIN pg_catalog.pg_attribute a ON a.attrelid = k.relation_id AND a.attnum = p.number AND a.attname <> 'tenant_id'
           WHERE p.position <= k.key_count))
  FROM key k WHERE is_primary AND is_led IS NOT TRUE)sql"},
    {"unique-not-tenant-led", kError, kAlways, R"sql(
SELECT k.schema, k.table_name || '.' || k.index_name,
       'a unique index that does not begin with tenant_id tells one tenant which values another one has',
       CASE WHEN k.constraint_name IS NOT NULL
            THEN pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I %s;', k.quoted, k.constraint_name,
                   k.constraint_name, pg_catalog.regexp_replace(
                     (SELECT pg_catalog.pg_get_constraintdef(c.oid) FROM pg_catalog.pg_constraint c
                       WHERE c.conindid = k.index_id AND c.conrelid = k.relation_id AND c.contype = 'u'),
                     '\(', '(tenant_id, '))
            ELSE pg_catalog.format('DROP INDEX %s; %s;', k.prefix || pg_catalog.quote_ident(k.index_name),
                   pg_catalog.regexp_replace(pg_catalog.regexp_replace(pg_catalog.pg_get_indexdef(k.index_id),
                     '(USING \w+ \()', '\1tenant_id, '), ' ON .* USING ', ' ON ' || k.quoted || ' USING ')) END
  FROM key k WHERE k.is_unique AND NOT k.is_primary AND k.is_led IS NOT TRUE)sql"},
    {"exclusion-not-tenant-led", kError, kAlways, R"sql(
SELECT r.schema, r.short_name || '.' || k.conname, 'the exclusion constraint compares rows of different tenants',
       pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I %s;', r.quoted, k.conname, k.conname,
         pg_catalog.regexp_replace(pg_catalog.pg_get_constraintdef(k.oid), '\(', '(tenant_id WITH =, '))
  FROM relation r
  JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid AND k.contype = 'x' AND k.conparentid = 0
 WHERE NOT EXISTS (
   SELECT FROM ROWS FROM (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.conexclop)) c (number, operator)
    WHERE c.number = r.tenant_number AND c.operator = 'pg_catalog.=(uuid,uuid)'::pg_catalog.regoperator))sql"},
    {"foreign-key-not-tenant-led", kError, kAlways, R"sql(
SELECT schema, table_name || '.' || conname, 'a foreign key that does not begin with tenant_id can point at another tenant''s row',
       correction
  FROM corrected_foreign_key WHERE is_bare)sql"},
    {"foreign-key-outside-pack", kError, kAlways, R"sql(
SELECT schema, table_name || '.' || conname, 'the foreign key refers to a table outside the pack',
       pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I;', quoted, conname)
  FROM foreign_key WHERE target_schema <> scope_id)sql"},
    {"foreign-key-clears-tenant-id", kError, kAlways, R"sql(
SELECT schema, table_name || '.' || conname, 'when the row it points at goes or changes, tenant_id would be overwritten, too',
       correction
  FROM corrected_foreign_key WHERE clears_tenant)sql"},
    {"constraint-not-valid", Severity::warning, kAlways, R"sql(
SELECT r.schema, r.short_name || '.' || k.conname, 'the constraint was never checked against the rows that were there before it',
       pg_catalog.format('ALTER TABLE %s VALIDATE CONSTRAINT %I;', r.quoted, k.conname)
  FROM relation r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid WHERE NOT k.convalidated)sql"},
    {"index-invalid", Severity::warning, kAlways, R"sql(
SELECT schema, table_name || '.' || index_name, 'the index is invalid: nothing is found by it, and it may not keep values unique',
       pg_catalog.format('REINDEX INDEX %s;', prefix || pg_catalog.quote_ident(index_name))
  FROM key WHERE NOT is_usable)sql"},

    // Row security
    {"row-security-off", kError, kAlways, R"sql(
SELECT schema, short_name, 'row security is not enabled and forced',
       pg_catalog.format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;', quoted)
  FROM relation WHERE is_guarded AND NOT (is_secured AND is_forced))sql"},
    {"policy-missing", kError, kAlways, R"sql(
SELECT r.schema, r.short_name, pg_catalog.format('the policy %s is missing', n.name),
       pg_catalog.format('CREATE POLICY %I ON %s AS %s FOR ALL TO PUBLIC USING (tenant_id OPERATOR(pg_catalog.=) (SELECT'
                         ' rowhouse.tenant_id())) WITH CHECK (tenant_id OPERATOR(pg_catalog.=) (SELECT rowhouse.tenant_id()));',
                         n.name, r.quoted, n.kind)
  FROM tenant_table r CROSS JOIN (VALUES ('rowhouse_tenant', 'PERMISSIVE'), ('rowhouse_wall', 'RESTRICTIVE')) n (name, kind)
 WHERE r.tenant_type = 'pg_catalog.uuid'::pg_catalog.regtype AND NOT r.tenant_is_generated
   AND NOT EXISTS (SELECT FROM policy y WHERE y.relation_id = r.oid AND y.name = n.name))sql"},
    {"policy-changed", kError, kAlways, R"sql(
SELECT r.schema, r.short_name || '.' || y.name, 'the policy is not the one that Rowhouse makes',
       pg_catalog.format('DROP POLICY %I ON %s;', y.name, r.quoted)
         || CASE WHEN r.prefix = '' OR r.is_partition THEN '' ELSE pg_catalog.format(
              ' CREATE POLICY %I ON %s AS %s FOR ALL TO PUBLIC USING (tenant_id OPERATOR(pg_catalog.=) (SELECT rowhouse.tenant_id()))'
              ' WITH CHECK (tenant_id OPERATOR(pg_catalog.=) (SELECT rowhouse.tenant_id()));', y.name, r.quoted,
              CASE y.name WHEN 'rowhouse_tenant' THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END) END
  FROM policy y JOIN relation r ON r.oid = y.relation_id
 WHERE y.is_ours AND NOT y.is_canonical)sql"},
    {"policy-permissive", kError, kAlways, R"sql(
SELECT r.schema, r.short_name || '.' || y.name, 'permissive policies are joined by OR: a further one opens the wall',
       CASE WHEN r.prefix = '' THEN 'Declare it AS RESTRICTIVE.' ELSE pg_catalog.format('DROP POLICY %I ON %s;', y.name, r.quoted) END
  FROM policy y JOIN relation r ON r.oid = y.relation_id
 WHERE NOT y.is_ours AND y.is_permissive)sql"},
    {"policy-not-for-public", kError, kAlways, R"sql(
SELECT r.schema, r.short_name || '.' || y.name, 'a policy for certain roles does not hold for the others, and roles differ by tier',
       pg_catalog.format('ALTER POLICY %I ON %s TO PUBLIC;', y.name, r.quoted)
  FROM policy y JOIN relation r ON r.oid = y.relation_id
 WHERE NOT y.is_ours AND NOT y.is_for_all)sql"},
    {"policy-on-partition", kError, kAlways, R"sql(
SELECT r.schema, r.short_name || '.' || y.name, 'partitions are reached through their parent alone, whose policies hold',
       pg_catalog.format('DROP POLICY %I ON %s;', y.name, r.quoted)
  FROM policy y JOIN relation r ON r.oid = y.relation_id WHERE r.is_partition)sql"},

    // Row rules by role. Protection leaves nothing but what is impossible.
    {"row-rule-impossible", kError, kAlways, R"sql(
SELECT schema, relation, pg_catalog.format('its row rule cannot hold: it %s', fault),
       'Correct row_rule in pack.json, or make the table and its columns so in a migration.'
  FROM row_rule WHERE fault IS NOT NULL)sql"},
    {"row-rule-missing", kError, RuleUse::lint, R"sql(
SELECT schema, object, 'the policy rowhouse_role is missing: every user reaches all rows of their tenant', sql || ';'
  FROM rule_difference WHERE kind = 'missing')sql"},
    {"row-rule-changed", kError, RuleUse::lint, R"sql(
SELECT schema, object || '.rowhouse_role', CASE kind WHEN 'changed' THEN 'the policy is not what the row rule of the manifest says'
                                                     ELSE 'the manifest declares no row rule for the table' END, sql || ';'
  FROM rule_difference WHERE kind IN ('changed', 'undeclared'))sql"},
    {"row-rule-default", kError, RuleUse::lint, R"sql(
SELECT schema, object, CASE kind WHEN 'default' THEN 'the default of the column is not the user who inserts: they would not reach their own row'
                                 ELSE 'the column gets the user who inserts, which the manifest does not declare' END, sql || ';'
  FROM rule_difference WHERE kind IN ('default', 'undeclared default'))sql"},
});

}  // namespace

std::string_view severity_name(Severity severity) {
  return severity == Severity::error ? "error" : "warning";
}

std::span<const IsolationRule> isolation_rules() {
  static const std::vector<IsolationRule> kAll = [] {
    std::vector<IsolationRule> all(kTableRules.begin(), kTableRules.end());
    for (const auto part : {isolation_object_rules(), isolation_privilege_rules()})
      all.insert(all.end(), part.begin(), part.end());
    return all;
  }();
  return kAll;
}

}  // namespace rowhouse::tenancy
