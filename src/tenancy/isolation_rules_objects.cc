// Rules about everything but ordinary tables and their keys and policies.
#include <array>

#include "tenancy/isolation_rules_parts.h"

namespace rowhouse::tenancy {

namespace {

constexpr Severity kError = Severity::error;
constexpr Severity kWarning = Severity::warning;
constexpr RuleUse kAlways = RuleUse::pack_and_lint;

constexpr auto kRules = std::to_array<IsolationRule>({
    {"view-not-security-invoker", kError, kAlways, R"sql(
SELECT schema, short_name, 'the view reads with its owner''s rights instead of the caller''s',
       pg_catalog.format('ALTER VIEW %s SET (security_invoker = true, security_barrier = true);', quoted)
  FROM relation WHERE kind = 'v' AND NOT is_invoker)sql"},
    {"view-not-security-barrier", kError, kAlways, R"sql(
SELECT schema, short_name, 'a caller''s function could look behind the view''s own conditions',
       pg_catalog.format('ALTER VIEW %s SET (security_invoker = true, security_barrier = true);', quoted)
  FROM relation WHERE kind = 'v' AND NOT is_barrier)sql"},
    {"partition-elsewhere", kError, kAlways, R"sql(
SELECT r.schema, r.short_name || '.' || c.relname, 'the partition is in another schema, where Rowhouse does not close it to direct access',
       pg_catalog.format('ALTER TABLE %s SET SCHEMA %I;', c.oid::pg_catalog.regclass, r.schema)
  FROM relation r
  JOIN pg_catalog.pg_inherits i ON i.inhparent = r.oid
  JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition AND c.relkind IN ('r', 'p', 'f')
 WHERE c.relnamespace <> r.scope_id)sql"},
    {"table-kind", kError, kAlways, R"sql(
SELECT schema, short_name, 'row security cannot hold for a materialized view',
       CASE WHEN prefix = '' THEN 'Use a view, or a table kept by triggers.' ELSE pg_catalog.format('DROP MATERIALIZED VIEW %s;', quoted) END
  FROM relation WHERE kind = 'm'
 UNION ALL
SELECT schema, short_name, 'row security cannot hold for a foreign table', pg_catalog.format('DROP FOREIGN TABLE %s;', quoted)
  FROM relation WHERE kind = 'f'
 UNION ALL
SELECT schema, short_name, 'the table is emptied by a crash', pg_catalog.format('ALTER TABLE %s SET LOGGED;', quoted)
  FROM relation WHERE is_guarded AND persistence <> 'p')sql"},
    {"table-inherits", kError, kAlways, R"sql(
SELECT r.schema, r.short_name, 'rows of an inheriting table are reached through its parent, past its own policies',
       pg_catalog.format('ALTER TABLE %s NO INHERIT %s;', r.quoted, i.inhparent::pg_catalog.regclass)
  FROM relation r JOIN pg_catalog.pg_inherits i ON i.inhrelid = r.oid
 WHERE NOT r.is_partition AND r.is_table)sql"},
    {"rewrite-rule", kError, kAlways, R"sql(
SELECT r.schema, r.short_name || '.' || w.rulename,
       'rewrite rules act with the rights of the table''s owner; a trigger or a function can do the same',
       pg_catalog.format('DROP RULE %I ON %s;', w.rulename, r.quoted)
  FROM relation r JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid
 WHERE w.rulename <> '_RETURN')sql"},
    {"trigger-disabled", kError, kAlways, R"sql(
SELECT r.schema, r.short_name || '.' || t.tgname,
       CASE WHEN t.tgisinternal THEN 'the trigger behind a foreign key does not fire as it should: references are not checked'
            ELSE 'the trigger does not fire as it should' END,
       pg_catalog.format('ALTER TABLE %s ENABLE TRIGGER %I;', r.quoted, t.tgname)
  FROM relation r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid
 WHERE r.is_pack AND t.tgenabled <> 'O')sql"},
    {"trigger-function-elsewhere", kError, kAlways, R"sql(
SELECT r.schema, r.short_name || '.' || t.tgname,
       pg_catalog.format('the trigger calls %s, which is not of the pack: it sees every row that is written', t.tgfoid::pg_catalog.regprocedure),
       pg_catalog.format('DROP TRIGGER %I ON %s;', t.tgname, r.quoted)
  FROM relation r
  JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
  JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
 WHERE p.pronamespace NOT IN (r.scope_id, 'pg_catalog'::pg_catalog.regnamespace))sql"},
    {"function-definer-search-path", kError, kAlways, R"sql(
SELECT schema, short_name, 'a SECURITY DEFINER function without its own search_path runs what its caller puts in the way',
       pg_catalog.format('ALTER ROUTINE %s SET search_path = '''';', quoted)
  FROM routine WHERE is_pack AND is_definer AND search_path IS NULL)sql"},
    {"function-leakproof", kError, kAlways, R"sql(
SELECT schema, short_name, 'a LEAKPROOF function is evaluated before row security, on rows of every tenant',
       pg_catalog.format('ALTER FUNCTION %s NOT LEAKPROOF;', quoted)
  FROM routine WHERE is_leakproof)sql"},
    {"function-setting", kError, kAlways, R"sql(
SELECT f.schema, f.short_name, pg_catalog.format('the function changes the setting %s, which isolation rests on', pg_catalog.split_part(v, '=', 1)),
       pg_catalog.format('ALTER ROUTINE %s RESET %s;', f.quoted, pg_catalog.split_part(v, '=', 1))
  FROM routine f CROSS JOIN LATERAL pg_catalog.unnest(f.settings) v
 WHERE pg_catalog.lower(pg_catalog.split_part(v, '=', 1)) IN ('role', 'session_authorization', 'row_security', 'backtrace_functions')
    OR pg_catalog.lower(v) LIKE 'rowhouse.%'
 UNION ALL
SELECT schema, short_name, 'a SECURITY DEFINER function of a pack has no business with the tenant context: it acts as the owner of its keys',
       CASE WHEN prefix = '' THEN 'Leave the context to Rowhouse.' ELSE pg_catalog.format('DROP ROUTINE %s;', quoted) END
  FROM routine WHERE is_pack AND is_definer AND source ~* 'backtrace_functions|context_keys|context_number|set_context')sql"},
    {"function-language", kError, kAlways, R"sql(
SELECT f.schema, f.short_name, pg_catalog.format('functions in %s are not accepted: not every server has it or can confine it', l.lanname),
       CASE WHEN f.prefix = '' THEN 'Use LANGUAGE sql or plpgsql.' ELSE pg_catalog.format('DROP ROUTINE %s;', f.quoted) END
  FROM routine f JOIN pg_catalog.pg_language l ON l.oid = f.language
 WHERE f.is_pack AND l.lanname NOT IN ('sql', 'plpgsql'))sql"},
    {"extension-object", kError, kAlways, R"sql(
SELECT s.name, x.extname, 'extensions are the server''s business: other tenants and tiers may not have them',
       pg_catalog.format('DROP EXTENSION %I;', x.extname)
  FROM pg_catalog.pg_extension x JOIN scope s ON s.oid = x.extnamespace)sql"},
    {"replica-identity", kWarning, kAlways, R"sql(
SELECT schema, short_name, 'the replica identity is not the primary key: rows would be replicated whole, or not be told apart',
       pg_catalog.format('ALTER TABLE %s REPLICA IDENTITY DEFAULT;', quoted)
  FROM relation WHERE is_table AND replica_identity <> 'd')sql"},
    {"statistics-object", kWarning, kAlways, R"sql(
SELECT r.schema, r.short_name || '.' || x.stxname,
       'extended statistics keep values of all tenants together, outside row security',
       pg_catalog.format('DROP STATISTICS %s;', CASE WHEN r.prefix = '' THEN pg_catalog.quote_ident(x.stxname)
                                                     ELSE x.stxnamespace::pg_catalog.regnamespace::text || '.' || pg_catalog.quote_ident(x.stxname) END)
  FROM relation r JOIN pg_catalog.pg_statistic_ext x ON x.stxrelid = r.oid)sql"},
    {"tablespace", kWarning, RuleUse::lint, R"sql(
SELECT r.schema, r.short_name, pg_catalog.format('the table lies in the tablespace %s: backups and moves of the tenant may miss it', t.spcname),
       pg_catalog.format('ALTER TABLE %s SET TABLESPACE pg_default;', r.quoted)
  FROM relation r JOIN pg_catalog.pg_tablespace t ON t.oid = r.tablespace)sql"},
    {"name-too-long", kError, kAlways, R"sql(
SELECT n.schema, n.object, 'the name has 63 bytes, so PostgreSQL has probably cut it', 'Use at most 62 bytes.'
  FROM (SELECT schema, short_name::text AS object, short_name FROM relation WHERE kind <> 'S'
         UNION ALL
        SELECT schema, short_name::text, short_name FROM routine
         UNION ALL
        SELECT r.schema, r.short_name || '.' || a.attname, a.attname
          FROM relation r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE r.kind <> 'S' AND pg_catalog.octet_length(a.attname::text) >= 63) n
 WHERE pg_catalog.octet_length(n.short_name::text) >= 63)sql"},
});

}  // namespace

std::span<const IsolationRule> isolation_object_rules() { return kRules; }

}  // namespace rowhouse::tenancy
