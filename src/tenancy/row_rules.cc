#include "tenancy/row_rules.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/json.h"
#include "pg/quote.h"

namespace rowhouse::tenancy {

const std::string_view kRowRuleCatalog = R"sql(
, declared_rule AS MATERIALIZED (
  SELECT s.oid AS scope_id, s.name AS schema, d.relation, d.owners, d.through, d.parent, d.creator
    FROM scope s
    JOIN rowhouse.row_rules w ON w.schema_name = s.name::text
   CROSS JOIN LATERAL pg_catalog.jsonb_to_recordset(w.rules) d (relation text, owners text[], through text, parent text, creator text)
   WHERE s.is_pack
), uuid_column AS MATERIALIZED (  -- ordinary ones, where rules might name one
  SELECT a.attrelid AS relation_id, a.attname::text AS name
    FROM relation r
    JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
   WHERE a.atttypid = 'pg_catalog.uuid'::pg_catalog.regtype AND a.attgenerated = ''
     AND r.is_table AND r.scope_id IN (SELECT scope_id FROM declared_rule)
), row_rule AS MATERIALIZED (
  SELECT d.schema, d.relation, d.creator, r.oid AS relation_id, r.name,
         CASE WHEN r.oid IS NULL OR NOT r.is_table OR r.is_partition THEN 'is not a table'
              WHEN r.tenant_type IS DISTINCT FROM 'pg_catalog.uuid'::pg_catalog.regtype THEN 'has no column tenant_id'
              WHEN m.name IS NOT NULL THEN pg_catalog.format('has no column %I of type uuid', m.name)
              WHEN d.through IS NOT NULL AND (p.oid IS NULL OR NOT p.is_table OR p.is_partition) THEN
                pg_catalog.format('goes through %I, which is not a table', d.parent)
              WHEN d.through IS NOT NULL AND (p.tenant_type IS DISTINCT FROM 'pg_catalog.uuid'::pg_catalog.regtype
                     OR NOT EXISTS (SELECT FROM uuid_column u WHERE u.relation_id = p.oid AND u.name = 'id')) THEN
                pg_catalog.format('goes through %I, which has no columns tenant_id and id of type uuid', d.parent)
         END AS fault,
         'COALESCE((SELECT rowhouse.principal_role()), 0) OPERATOR(pg_catalog.<>) 1 OR '
           || CASE WHEN d.through IS NULL
                   THEN pg_catalog.format('(SELECT rowhouse.principal_id()) OPERATOR(pg_catalog.=) ANY (ARRAY[%s])', o.list)
                   ELSE pg_catalog.format('EXISTS (SELECT FROM %1$I.%2$I rowhouse_parent WHERE rowhouse_parent.tenant_id OPERATOR(pg_catalog.=)'
                          ' %3$I.tenant_id AND rowhouse_parent.id OPERATOR(pg_catalog.=) %3$I.%4$I)', d.schema, d.parent, d.relation, d.through)
              END AS condition,
         -- As PostgreSQL prints it with only pg_catalog in the search path, without spaces and AS.
         pg_catalog.regexp_replace('((COALESCE((SELECTrowhouse.principal_role()),0)<>1)OR('
           || CASE WHEN d.through IS NULL
                   THEN pg_catalog.format('(SELECTrowhouse.principal_id())=ANY(ARRAY[%s])', o.list)
                   ELSE pg_catalog.format('EXISTS(SELECTFROM%1$I.%2$Irowhouse_parentWHERE((rowhouse_parent.tenant_id=%3$I.tenant_id)'
                          'AND(rowhouse_parent.id=%3$I.%4$I)))', d.schema, d.parent, d.relation, d.through)
              END || '))', '\s+', '', 'g') AS printed
    FROM declared_rule d
    LEFT JOIN relation r ON r.scope_id = d.scope_id AND r.short_name = d.relation::name
    LEFT JOIN relation p ON p.scope_id = d.scope_id AND p.short_name = d.parent::name
   CROSS JOIN LATERAL (
     SELECT pg_catalog.string_agg(pg_catalog.quote_ident(c.name), ', ' ORDER BY c.position) AS list
       FROM pg_catalog.unnest(d.owners) WITH ORDINALITY c (name, position)) o
   CROSS JOIN LATERAL (
     SELECT pg_catalog.min(c.name) AS name
       FROM pg_catalog.unnest(d.owners || d.through || d.creator) c (name)
      WHERE c.name IS NOT NULL AND NOT EXISTS (SELECT FROM uuid_column u WHERE u.relation_id = r.oid AND u.name = c.name)) m
), role_policy AS MATERIALIZED (
  SELECT r.oid AS relation_id, NOT y.polpermissive AND y.polcmd = '*' AND y.polroles = '{0}' AS is_whole,
         pg_catalog.regexp_replace(pg_catalog.pg_get_expr(y.polqual, y.polrelid), '\s+|AS principal_(role|id)', '', 'g') AS condition,
         pg_catalog.regexp_replace(pg_catalog.pg_get_expr(y.polwithcheck, y.polrelid), '\s+|AS principal_(role|id)', '', 'g') AS check_condition
    FROM relation r JOIN pg_catalog.pg_policy y ON y.polrelid = r.oid AND y.polname = 'rowhouse_role'
   WHERE r.is_pack
), creator_default AS MATERIALIZED (  -- columns that are filled with whoever inserts
  SELECT r.oid AS relation_id, r.schema, r.short_name, r.name, a.attname::text AS column_name
    FROM relation r
    JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.atthasdef AND NOT a.attisdropped AND a.attgenerated = ''
    JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
   WHERE r.is_pack AND r.is_table AND NOT r.is_partition AND a.atttypid = 'pg_catalog.uuid'::pg_catalog.regtype
     AND pg_catalog.regexp_replace(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '\s+', '', 'g')
         = 'CASEWHEN(rowhouse.principal_role()>0)THENrowhouse.principal_id()ELSENULL::uuidEND'
), rule_difference (schema, relation_id, kind, object, sql) AS MATERIALIZED (
  SELECT w.schema, w.relation_id, CASE WHEN y.relation_id IS NULL THEN 'missing' ELSE 'changed' END, w.relation,
         CASE WHEN y.relation_id IS NULL THEN '' ELSE pg_catalog.format(E'DROP POLICY rowhouse_role ON %s;\n', w.name) END
           || pg_catalog.format('CREATE POLICY rowhouse_role ON %s AS RESTRICTIVE FOR ALL TO PUBLIC USING (%s) WITH CHECK (%s)',
                                w.name, w.condition, w.condition)
    FROM row_rule w LEFT JOIN role_policy y ON y.relation_id = w.relation_id
   WHERE w.fault IS NULL
     AND NOT COALESCE(y.is_whole AND y.condition = w.printed AND y.check_condition = w.printed, false)
   UNION ALL
  SELECT r.schema, r.oid, 'undeclared', r.short_name, pg_catalog.format('DROP POLICY rowhouse_role ON %s', r.name)
    FROM role_policy y JOIN relation r ON r.oid = y.relation_id
   WHERE NOT EXISTS (SELECT FROM row_rule w WHERE w.relation_id = y.relation_id)
   UNION ALL
  SELECT w.schema, w.relation_id, 'default', w.relation || '.' || w.creator,
         pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT CASE WHEN rowhouse.principal_role() OPERATOR(pg_catalog.>) 0'
                           ' THEN rowhouse.principal_id() END', w.name, w.creator)
    FROM row_rule w
   WHERE w.fault IS NULL AND w.creator IS NOT NULL
     AND NOT EXISTS (SELECT FROM creator_default c WHERE c.relation_id = w.relation_id AND c.column_name = w.creator)
   UNION ALL
  SELECT c.schema, c.relation_id, 'undeclared default', c.short_name || '.' || c.column_name,
         pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', c.name, c.column_name)
    FROM creator_default c
   WHERE NOT EXISTS (SELECT FROM row_rule w WHERE w.relation_id = c.relation_id AND w.creator = c.column_name)
)
)sql";

const std::string_view kHasRowRulesSql =
    "SELECT COALESCE((SELECT rules FROM rowhouse.row_rules WHERE schema_name = $1), '[]') "
    "OPERATOR(pg_catalog.=) $2::jsonb";

std::string row_rules_json(const Manifest& manifest) {
  std::vector<std::pair<std::string, json::Value>> rules;
  for (const Resource& resource : manifest.resources) {
    if (!resource.row_rule) continue;
    const RowRule& rule = *resource.row_rule;
    json::Value entry;
    entry.set("relation", resource.relation);
    if (rule.through.empty()) {
      json::Array owners;
      for (const std::string& owner : rule.owners) owners.emplace_back(owner);
      entry.set("owners", json::Value(std::move(owners)));
    } else {
      entry.set("through", rule.through);
      entry.set("parent", rule.parent);
    }
    if (!rule.creator.empty()) entry.set("creator", rule.creator);
    rules.emplace_back(resource.relation, std::move(entry));
  }
  std::ranges::sort(rules, {}, &std::pair<std::string, json::Value>::first);
  json::Array array;
  for (auto& [relation, entry] : rules) array.push_back(std::move(entry));
  return json::serialize(json::Value(std::move(array)));
}

std::string row_rules_json(const Bundle& bundle) {
  return bundle.announced_row_rules ? *bundle.announced_row_rules : row_rules_json(bundle.manifest);
}

// Names of packs have hyphens and no underscores, keys of settings the other way round.
std::string announced_row_rules_key(const std::string& pack) {
  std::string key = "row_rules." + pack;
  std::ranges::replace(key, '-', '_');
  return key;
}

std::string write_row_rules_sql(const std::string& schema, const std::string& rules) {
  const std::string name = pg::quote_literal(schema);
  if (rules == "[]") return "DELETE FROM rowhouse.row_rules WHERE schema_name = " + name;
  return "INSERT INTO rowhouse.row_rules (schema_name, rules) VALUES (" + name + ", " +
         pg::quote_literal(rules) + ") ON CONFLICT (schema_name) DO UPDATE SET rules = excluded.rules";
}

}  // namespace rowhouse::tenancy
