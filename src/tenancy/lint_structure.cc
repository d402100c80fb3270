#include "tenancy/lint_structure.h"

#include "base/text.h"
#include "crypto/crypto.h"

namespace rowhouse::tenancy {

namespace {

// Expressions of the catalog are printed once for each text that is stored (and relation it is about, by
// name, as it may name columns): thousands of schemas share most of them.
constexpr std::string_view kLines = R"sql(
, stored_expression AS MATERIALIZED (
  SELECT 'default' AS kind, d.oid AS id, d.adrelid AS relation_id, r.short_name, pg_catalog.md5(d.adbin::text) AS hash
    FROM relation r JOIN pg_catalog.pg_attrdef d ON d.adrelid = r.oid
   UNION ALL
  SELECT 'check', k.oid, r.oid, r.short_name, pg_catalog.md5(k.conbin::text)
    FROM relation r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid AND k.contype = 'c'
), printed_expression AS MATERIALIZED (
  SELECT e.kind, e.short_name, e.hash,
         CASE e.kind WHEN 'default' THEN (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d WHERE d.oid = e.id)
                     ELSE (SELECT pg_catalog.pg_get_expr(k.conbin, k.conrelid) FROM pg_catalog.pg_constraint k WHERE k.oid = e.id) END AS expression
    FROM (SELECT kind, short_name, hash, pg_catalog.min(id::bigint)::oid AS id FROM stored_expression GROUP BY 1, 2, 3) e
), expression AS MATERIALIZED (
  SELECT s.kind, s.id, p.expression
    FROM stored_expression s JOIN printed_expression p ON p.kind = s.kind AND p.short_name = s.short_name AND p.hash = s.hash
), key_column AS MATERIALIZED (
  SELECT x.indexrelid, pg_catalog.string_agg(a.attname, ',' ORDER BY a.attnum) AS names
    FROM relation r
    JOIN pg_catalog.pg_index x ON x.indrelid = r.oid
    JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indexrelid
   WHERE r.kind <> 'S'
   GROUP BY x.indexrelid
), raw_line (scope_id, kind, object, definition, make, drop) AS (
  SELECT r.scope_id, 'relation', r.short_name::text,
         pg_catalog.concat_ws(' ', r.kind, r.persistence, r.is_partition, r.is_secured, r.is_forced, r.replica_identity, r.is_invoker, r.is_barrier,
           CASE WHEN r.is_partition THEN (SELECT pg_catalog.pg_get_expr(c.relpartbound, c.oid) FROM pg_catalog.pg_class c WHERE c.oid = r.oid) END,
           CASE WHEN r.kind = 'p' THEN pg_catalog.pg_get_partkeydef(r.oid) END), NULL,
         CASE r.kind WHEN 'v' THEN 'DROP VIEW ' WHEN 'S' THEN 'DROP SEQUENCE ' ELSE NULL END || r.name || ';'
    FROM relation r
   UNION ALL
  SELECT r.scope_id, 'column', r.short_name || '.' || a.attname,
         pg_catalog.concat_ws(' ', CASE WHEN t.typnamespace = r.scope_id THEN t.typname ELSE pg_catalog.format_type(a.atttypid, a.atttypmod) END,
           a.attnotnull, a.attidentity, a.attgenerated, a.attcollation, e.expression),
         CASE WHEN r.is_table THEN pg_catalog.format('ALTER TABLE %s.%I %s;', '@schema@', r.short_name, pg_catalog.format('ALTER COLUMN %I %s', a.attname,
           CASE WHEN a.attgenerated <> '' OR a.attidentity <> '' THEN NULL
                WHEN e.expression IS NULL THEN 'DROP DEFAULT' ELSE 'SET DEFAULT ' || e.expression END)
           || pg_catalog.format(', ALTER COLUMN %I %s NOT NULL', a.attname, CASE WHEN a.attnotnull THEN 'SET' ELSE 'DROP' END)) END,
         NULL
    FROM relation r
    JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
    LEFT JOIN expression e ON e.kind = 'default' AND e.id = d.oid
   WHERE r.kind <> 'S'
   UNION ALL
  SELECT r.scope_id, 'index', r.short_name || '.' || i.relname,
         pg_catalog.concat_ws(' ', k.names, x.indisunique, x.indisprimary, x.indimmediate, x.indisexclusion, x.indnkeyatts, x.indoption, x.indcollation,
           x.indclass, i.relam, pg_catalog.pg_get_expr(x.indexprs, x.indrelid), pg_catalog.pg_get_expr(x.indpred, x.indrelid)),
         CASE WHEN is_detailed.yes AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint c WHERE c.conindid = x.indexrelid)
              THEN pg_catalog.pg_get_indexdef(x.indexrelid) || ';' END,
         CASE WHEN is_detailed.yes AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint c WHERE c.conindid = x.indexrelid)
              THEN pg_catalog.format('DROP INDEX %s.%I;', '@schema@', i.relname) END
    FROM relation r
    JOIN pg_catalog.pg_index x ON x.indrelid = r.oid
    JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
    JOIN key_column k ON k.indexrelid = x.indexrelid
   CROSS JOIN is_detailed
   WHERE r.kind <> 'S'
   UNION ALL
  SELECT r.scope_id, 'constraint', r.short_name || '.' || k.conname,
         pg_catalog.concat_ws(' ', k.contype, k.condeferrable, k.condeferred, k.convalidated, k.confupdtype, k.confdeltype, k.confmatchtype,
           f.relname, k.conkey, k.confkey, k.confdelsetcols, k.connoinherit, e.expression),
         CASE WHEN is_detailed.yes AND k.conparentid = 0 THEN pg_catalog.format('ALTER TABLE %s.%I ADD CONSTRAINT %I %s;', '@schema@', r.short_name, k.conname,
           pg_catalog.pg_get_constraintdef(k.oid)) END,
         CASE WHEN is_detailed.yes AND k.conparentid = 0 THEN pg_catalog.format('ALTER TABLE %s.%I DROP CONSTRAINT %I;', '@schema@', r.short_name, k.conname) END
    FROM relation r
    JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid AND k.contype <> 't'
    LEFT JOIN pg_catalog.pg_class f ON f.oid = k.confrelid
    LEFT JOIN expression e ON e.kind = 'check' AND e.id = k.oid
   CROSS JOIN is_detailed
   UNION ALL
  SELECT r.scope_id, 'policy', r.short_name || '.' || y.name,
         pg_catalog.concat_ws(' ', y.is_permissive, y.is_for_all, y.is_canonical,
           CASE WHEN NOT y.is_ours THEN (SELECT pg_catalog.concat_ws(' ', p.polcmd, pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid))
                                           FROM pg_catalog.pg_policy p WHERE p.polrelid = r.oid AND p.polname = y.name) END),
         CASE WHEN is_detailed.yes THEN (
           SELECT pg_catalog.format('CREATE POLICY %I ON %s.%I AS %s FOR %s TO PUBLIC%s%s;', y.name, '@schema@', r.short_name,
                    CASE WHEN y.is_permissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                    CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                    ' USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')', ' WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')')
             FROM pg_catalog.pg_policy p WHERE p.polrelid = r.oid AND p.polname = y.name) END,
         pg_catalog.format('DROP POLICY %I ON %s.%I;', y.name, '@schema@', r.short_name)
    FROM policy y JOIN relation r ON r.oid = y.relation_id CROSS JOIN is_detailed
   UNION ALL
  SELECT r.scope_id, 'trigger', r.short_name || '.' || t.tgname,
         pg_catalog.concat_ws(' ', t.tgtype, t.tgenabled, p.proname, p.pronamespace = r.scope_id, t.tgattr, pg_catalog.encode(t.tgargs, 'hex'),
           CASE WHEN t.tgqual IS NOT NULL THEN pg_catalog.pg_get_triggerdef(t.oid) END),
         CASE WHEN is_detailed.yes AND t.tgparentid = 0 THEN pg_catalog.pg_get_triggerdef(t.oid) || ';' END,
         pg_catalog.format('DROP TRIGGER %I ON %s.%I;', t.tgname, '@schema@', r.short_name)
    FROM relation r
    JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
    JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
   CROSS JOIN is_detailed
   UNION ALL
  SELECT r.scope_id, 'view', r.short_name::text, v.definition,
         CASE WHEN is_detailed.yes THEN pg_catalog.format('CREATE OR REPLACE VIEW %s.%I WITH (security_invoker = true, security_barrier = true) AS %s', '@schema@', r.short_name, v.definition) END,
         pg_catalog.format('DROP VIEW %s.%I;', '@schema@', r.short_name)
    FROM relation r JOIN scope s ON s.oid = r.scope_id
   CROSS JOIN is_detailed
   CROSS JOIN LATERAL (SELECT pg_catalog.replace(pg_catalog.pg_get_viewdef(r.oid), pg_catalog.quote_ident(s.name) || '.', '@schema@.') AS definition) v
   WHERE r.kind = 'v'
   UNION ALL
  SELECT f.scope_id, 'function', pg_catalog.replace(f.quoted, pg_catalog.quote_ident(f.schema) || '.', ''),
         pg_catalog.concat_ws(' ', f.kind, f.is_definer, f.is_leakproof, f.settings, p.provolatile, p.proparallel, p.proisstrict, p.proretset, l.lanname, p.probin,
           p.prosrc, pg_catalog.pg_get_function_sqlbody(p.oid), pg_catalog.pg_get_function_result(p.oid), p.proargnames, p.pronargdefaults),
         CASE WHEN is_detailed.yes AND f.kind <> 'a' THEN pg_catalog.pg_get_functiondef(p.oid) || ';' END,
         pg_catalog.format('DROP ROUTINE %s%s;', CASE f.prefix WHEN '' THEN '@schema@.' ELSE '' END, f.quoted)
    FROM routine f
    JOIN pg_catalog.pg_proc p ON p.oid = f.oid
    JOIN pg_catalog.pg_language l ON l.oid = f.language
   CROSS JOIN is_detailed
   UNION ALL
  SELECT s.oid, 'type', t.typname::text,
         pg_catalog.concat_ws(' ', t.typtype, t.typnotnull, t.typdefault, CASE WHEN t.typtype = 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END,
           (SELECT pg_catalog.string_agg(l.enumlabel, ',' ORDER BY l.enumsortorder) FROM pg_catalog.pg_enum l WHERE l.enumtypid = t.oid),
           (SELECT pg_catalog.string_agg(pg_catalog.pg_get_constraintdef(k.oid), ',' ORDER BY k.conname) FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid)),
         NULL, pg_catalog.format('DROP TYPE %s.%I;', '@schema@', t.typname)
    FROM type_member t JOIN scope s ON s.oid = t.typnamespace
   WHERE t.typtype IN ('d', 'e', 'r')
   UNION ALL
  SELECT r.scope_id, 'sequence', r.short_name::text,
         pg_catalog.concat_ws(' ', q.seqtypid, q.seqstart, q.seqincrement, q.seqmax, q.seqmin, q.seqcycle), NULL, NULL
    FROM relation r JOIN pg_catalog.pg_sequence q ON q.seqrelid = r.oid
), named_line AS MATERIALIZED (
  SELECT w.scope_id, w.kind, w.object, w.make, w.drop,
         pg_catalog.replace(w.definition, pg_catalog.quote_ident(s.name) || '.', '@schema@.') AS definition
    FROM raw_line w JOIN scope s ON s.oid = w.scope_id
), plain_text AS MATERIALIZED (
  -- Without the name of the shared schema, too, which stands where nobody else's can; and a list of strings prints
  -- differently once it was dumped and restored. Once for each text: thousands of schemas share most of them.
  SELECT d.definition,
         pg_catalog.regexp_replace(pg_catalog.regexp_replace(pg_catalog.regexp_replace(d.definition, '\mapp\.', '@schema@.', 'g'),
           '\(''([^'']*)''::character varying\)::text', '''\1''::character varying', 'g'),
           '\((ARRAY\[[^]]*\])\)::text\[\]', '\1', 'g') AS text
    FROM (SELECT DISTINCT definition FROM named_line
           WHERE pg_catalog.strpos(definition, 'ARRAY[') > 0 OR pg_catalog.strpos(definition, 'app.') > 0) d
), line AS (
  SELECT n.scope_id, n.kind, n.object, COALESCE(p.text, n.definition) AS definition, n.make, n.drop
    FROM named_line n LEFT JOIN plain_text p ON p.definition = n.definition
)
)sql";

constexpr std::string_view kFingerprints = R"sql(
, print AS (
  SELECT scope_id, pg_catalog.bit_xor(pg_catalog.hashtextextended(kind || ' ' || object || ' ' || definition, 1)) AS hash, pg_catalog.count(*) AS lines
    FROM line GROUP BY scope_id
)
SELECT s.name, p.lines || ' ' || p.hash FROM scope s JOIN print p ON p.scope_id = s.oid
)sql";

constexpr std::string_view kAllLines = R"sql(
SELECT l.kind || ' ' || l.object, l.definition, pg_catalog.replace(l.make, pg_catalog.quote_ident(s.name) || '.', '@schema@.'),
       pg_catalog.replace(l.drop, pg_catalog.quote_ident(s.name) || '.', '@schema@.')
  FROM line l JOIN scope s ON s.oid = l.scope_id
)sql";

// Owners and grants, where no rule knows what they ought to be.
constexpr std::string_view kPrivilegeLines = R"sql(
 UNION ALL
SELECT pg_catalog.format('grant %s on %s %s%s to %s', x.privilege_type, g.kind, g.name, COALESCE('.' || g.column_name, ''), k.grantee),
       CASE WHEN x.is_grantable THEN 'with grant option' ELSE '' END,
       pg_catalog.format('GRANT %s%s ON %s %s TO %s;', x.privilege_type, COALESCE(' (' || pg_catalog.quote_ident(g.column_name) || ')', ''), g.kind, g.subject, k.grantee),
       pg_catalog.format('REVOKE %s%s ON %s %s FROM %s CASCADE;', x.privilege_type, COALESCE(' (' || pg_catalog.quote_ident(g.column_name) || ')', ''), g.kind, g.subject, k.grantee)
  FROM (SELECT 'SCHEMA' AS kind, name::text AS name, NULL::name AS column_name, pg_catalog.quote_ident(name) AS subject, owner, runtime,
               COALESCE(acl, pg_catalog.acldefault('n', owner)) AS acl FROM scope
         UNION ALL
        SELECT CASE kind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, short_name, NULL, r.name, owner, runtime,
               COALESCE(acl, pg_catalog.acldefault(CASE kind WHEN 'S' THEN 's' ELSE 'r' END::"char", owner)) FROM relation r
         UNION ALL
        SELECT 'TABLE', r.short_name, a.attname, r.name, r.owner, r.runtime, a.attacl
          FROM relation r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped
         UNION ALL
        SELECT 'FUNCTION', f.short_name, NULL, f.name, f.owner, f.runtime, COALESCE(f.acl, pg_catalog.acldefault('f', f.owner)) FROM routine f) g
 CROSS JOIN LATERAL pg_catalog.aclexplode(g.acl) x
  LEFT JOIN pg_catalog.pg_roles u ON u.oid = x.grantee
 CROSS JOIN LATERAL (SELECT CASE WHEN x.grantee = g.runtime THEN '@runtime@' WHEN x.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(u.rolname) END AS grantee) k
 WHERE x.grantee <> g.owner
)sql";

std::string lines_query(CatalogScope scope, std::string_view detailed) {
  return isolation_catalog(scope) + ", is_detailed AS (SELECT " + std::string(detailed) + " AS yes)" +
         std::string(kLines);
}

std::string with_names(std::string sql, const SchemaScope& scope) {
  const auto put = [&](std::string_view mark, const std::string& name) {
    for (auto at = sql.find(mark); at != std::string::npos; at = sql.find(mark, at + name.size()))
      sql.replace(at, mark.size(), name);
  };
  // Names of schemas and roles are made of letters, digits and underscores.
  put("@schema@", scope.schema);
  put("@runtime@", scope.runtime_role);
  return sql;
}

std::string shortened(const std::string& text) {
  constexpr std::size_t kShown = 120;
  return text.size() <= kShown ? text : text.substr(0, text.find_last_not_of("\x80\xbf", kShown)) + "…";
}

}  // namespace

Task<Result<std::vector<SchemaFingerprint>>> read_fingerprints(pg::Session& session,
                                                               const std::vector<SchemaScope>& schemas,
                                                               CallOptions options) {
  const pg::Statement query(lines_query(CatalogScope::many_schemas, "false") + std::string(kFingerprints),
                            catalog_parameters(schemas), pg::Access::read, pg::Reuse::once);
  CO_TRY(const auto rows, co_await session.query(query, options));
  std::vector<SchemaFingerprint> fingerprints;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    SchemaFingerprint fingerprint;
    fingerprint.schema = rows.text(row, 0);
    fingerprint.hash = rows.text(row, 1);
    fingerprints.push_back(std::move(fingerprint));
  }
  co_return fingerprints;
}

std::string fingerprint_recipe() {
  std::string recipe = lines_query(CatalogScope::many_schemas, "false") + std::string(kFingerprints);
  for (const pg::Param& param : catalog_parameters(std::vector<SchemaScope>()))
    recipe += "\n" + param.value_or("");
  return to_hex(crypto::sha256(recipe));
}

Task<Result<Structure>> read_structure(pg::Session& session, SchemaScope schema, WithPrivileges privileges,
                                       CallOptions options) {
  std::string sql = lines_query(CatalogScope::one_schema, "true") + std::string(kAllLines);
  if (privileges == WithPrivileges::yes) sql += kPrivilegeLines;
  const pg::Statement query(std::move(sql), catalog_parameters(schema), pg::Access::read, pg::Reuse::once);
  CO_TRY(const auto rows, co_await session.query(query, options));
  Structure structure;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    StructureLine line;
    line.definition = rows.text(row, 1);
    line.make = rows.text(row, 2);
    line.drop = rows.text(row, 3);
    structure.emplace(std::string(rows.text(row, 0)), std::move(line));
  }
  co_return structure;
}

std::vector<StructureDifference> compare_structures(const Structure& reference, const Structure& actual,
                                                    const SchemaScope& actual_scope, std::size_t limit) {
  std::vector<StructureDifference> differences;
  const auto add = [&](const std::string& object, std::string message, std::string fix) {
    if (differences.size() >= limit) return;
    StructureDifference difference;
    difference.object = with_names(object, actual_scope);
    difference.message = with_names(std::move(message), actual_scope);
    difference.fix = with_names(std::move(fix), actual_scope);
    differences.push_back(std::move(difference));
  };
  for (const auto& [object, line] : reference) {
    const auto found = actual.find(object);
    if (found == actual.end()) {
      add(object, "is missing here", object.starts_with("column ") ? "" : line.make);
    } else if (found->second.definition != line.definition) {
      // Functions, views and columns are replaced in place; everything else goes first.
      const bool in_place =
          object.starts_with("function ") || object.starts_with("view ") || object.starts_with("column ");
      std::string fix = line.make;
      if (!fix.empty() && !in_place) fix = found->second.drop.empty() ? "" : found->second.drop + "\n" + fix;
      add(object,
          "is \"" + shortened(found->second.definition) + "\" here and \"" + shortened(line.definition) +
              "\" elsewhere",
          std::move(fix));
    }
  }
  for (const auto& [object, line] : actual) {
    if (!reference.contains(object)) add(object, "is here and not elsewhere", line.drop);
  }
  return differences;
}

}  // namespace rowhouse::tenancy
