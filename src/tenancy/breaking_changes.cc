#include "tenancy/breaking_changes.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "tenancy/widening.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::string_view kContractSql = R"sql(
WITH member AS (
  SELECT d.classid AS class_id, d.objid AS id FROM pg_catalog.pg_namespace n
    JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.refobjid = n.oid
   WHERE n.nspname = $1
), type AS (
  SELECT t.oid, pg_catalog.format_type(t.oid, NULL) AS name, t.typtype AS kind, t.typrelid AS relation_id, t.typnotnull AS is_not_null,
         pg_catalog.format_type(t.typbasetype, t.typtypmod) AS base
    FROM member m JOIN pg_catalog.pg_type t ON t.oid = m.id
   WHERE m.class_id = 'pg_catalog.pg_type'::pg_catalog.regclass
), relation AS (
  SELECT c.oid, c.relname AS name, c.relkind AS kind FROM member m JOIN pg_catalog.pg_class c ON c.oid = m.id
   WHERE m.class_id = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
   UNION ALL
  SELECT c.oid, c.relname, c.relkind FROM type t JOIN pg_catalog.pg_class c ON c.oid = t.relation_id AND c.relkind = 'c'
), part (kind, name, definition, owner, nulls) AS (
  SELECT CASE WHEN kind IN ('r', 'p') THEN 'table' WHEN kind = 'c' THEN 'type' ELSE 'view' END, name::text, '', '', '' FROM relation
   UNION ALL
  SELECT 'column', r.name || '.' || a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), r.name,
         CASE WHEN NOT a.attnotnull OR a.attname = 'tenant_id' THEN '' WHEN a.atthasdef OR a.attidentity <> '' THEN 'filled' ELSE 'refused' END
    FROM relation r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
   UNION ALL
  SELECT CASE k.contype WHEN 'c' THEN 'check' WHEN 'f' THEN 'foreign key' WHEN 'x' THEN 'exclusion' ELSE 'unique' END,
         r.name || '.' || k.conname, pg_catalog.regexp_replace(pg_catalog.pg_get_constraintdef(k.oid), ' NOT VALID$', ''), r.name, ''
    FROM relation r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid AND k.contype IN ('c', 'f', 'u', 'x', 'p')
   UNION ALL
  SELECT 'unique', r.name || '.' || i.relname,
         'UNIQUE (' || (SELECT pg_catalog.string_agg(pg_catalog.pg_get_indexdef(x.indexrelid, p.position::int, false), ', ' ORDER BY p.position)
                          FROM pg_catalog.generate_series(1, x.indnkeyatts) p (position)) || ')'
           || COALESCE(' WHERE ' || pg_catalog.pg_get_expr(x.indpred, x.indrelid), ''), r.name, ''
    FROM relation r
    JOIN pg_catalog.pg_index x ON x.indrelid = r.oid AND x.indisunique
    JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
   WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = x.indexrelid AND k.conrelid = r.oid)
   UNION ALL
  -- Arguments with defaults may be left out: that is why each is named alone.
  SELECT 'function', p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')', pg_catalog.pg_get_function_result(p.oid), '', ''
    FROM member m JOIN pg_catalog.pg_proc p ON p.oid = m.id
   WHERE m.class_id = 'pg_catalog.pg_proc'::pg_catalog.regclass
     AND p.prorettype NOT IN ('pg_catalog.trigger'::pg_catalog.regtype, 'pg_catalog.event_trigger'::pg_catalog.regtype)
   UNION ALL
  SELECT 'label', t.name || '.' || l.enumlabel, '', t.name, '' FROM type t JOIN pg_catalog.pg_enum l ON l.enumtypid = t.oid
   UNION ALL
  SELECT 'domain', t.name, t.base, '', '' FROM type t WHERE t.kind = 'd'
   UNION ALL
  SELECT 'check', t.name || '.' || k.conname, pg_catalog.regexp_replace(pg_catalog.pg_get_constraintdef(k.oid), ' NOT VALID$', ''), t.name, ''
    FROM type t JOIN pg_catalog.pg_constraint k ON k.contypid = t.oid AND k.contype = 'c'
   UNION ALL
  SELECT 'check', t.name || ' NOT NULL', 'NOT NULL', t.name, '' FROM type t WHERE t.kind = 'd' AND t.is_not_null
)
SELECT kind || ' ' || name, definition, owner, nulls FROM part
)sql";

using Findings = std::vector<Finding>;

constexpr std::string_view kHowToRemove =
    "Keep it in this version (expand) and remove it in a later one, in a migration whose first line is "
    "\"-- rowhouse: contract\"";
constexpr std::string_view kHowToRestrict =
    "Fill the rows and let the code keep the rule in this version (expand); add the rule in a later one, in "
    "a migration "
    "whose first line is \"-- rowhouse: contract\"";
constexpr std::string_view kHowToRetype =
    "Add a new column, fill it and keep both in step in this version (expand); remove the old one in a later "
    "one, in a "
    "migration whose first line is \"-- rowhouse: contract\"";

bool is_constraint(std::string_view part) {
  return part.starts_with("check ") || part.starts_with("unique ") || part.starts_with("foreign key ") ||
         part.starts_with("exclusion ");
}

// Tables, views and types that have columns, constraints or labels.
bool has_owner(const SchemaContract& contract, const std::string& owner) {
  constexpr std::array<std::string_view, 4> kKinds = {"table ", "view ", "type ", "domain "};
  return std::ranges::any_of(
      kKinds, [&](std::string_view kind) { return contract.contains(std::string(kind) + owner); });
}

// A constraint under another name is the same to everybody but to messages, and one that forbids more forbids
// this, too.
bool has_rule(const SchemaContract& contract, const ContractPart& wanted) {
  return std::ranges::any_of(contract, [&](const auto& entry) {
    return is_constraint(entry.first) && entry.second.owner == wanted.owner &&
           is_same_or_wider_check(entry.second.definition, wanted.definition);
  });
}

class Comparison {
 public:
  Comparison(const PackMigration& migration, const SchemaContract& before, const SchemaContract& after)
      : migration_(migration), before_(before), after_(after) {}

  Findings run() {
    for (const auto& [name, part] : before_) compare_old(name, part);
    for (const auto& [name, part] : after_) compare_new(name, part);
    return std::move(findings_);
  }

 private:
  void add(std::string_view rule, const std::string& object, const std::string& message,
           std::string_view fix) {
    findings_.emplace_back(std::string(rule), object, migration_.name + ": " + message, std::string(fix));
  }

  void compare_old(const std::string& name, const ContractPart& old) {
    if (is_constraint(name)) {
      compare_old_constraint(name, old);
      return;
    }
    const auto found = after_.find(name);
    if (found == after_.end()) {
      if (!is_replaced(name, old))
        add("breaking-removal", name, "takes it away or renames it, and the code of before uses it",
            kHowToRemove);
      return;
    }
    compare_types(name, old, found->second);
    if (found->second.nulls <= old.nulls) return;
    if (found->second.nulls == ContractPart::Nulls::filled) {
      add("breaking-not-null", name, "makes it NOT NULL, and the code of before may write null",
          kHowToRestrict);
    } else {
      add("breaking-not-null", name,
          "makes it NOT NULL without a default, and the code of before may leave it out", kHowToRestrict);
    }
  }

  // Of all constraints, the code of before needs those that it upserts by.
  void compare_old_constraint(const std::string& name, const ContractPart& old) {
    const bool is_needed = name.starts_with("unique ") && has_owner(after_, old.owner) &&
                           !has_rule(after_, old) && !mentions_column(old, before_, after_);
    if (is_needed)
      add("breaking-removal", name,
          "takes " + old.definition + " away, and the code of before may import or upsert by it",
          kHowToRemove);
  }

  void compare_types(const std::string& name, const ContractPart& old, const ContractPart& now) {
    if (name.starts_with("column ") && is_same_or_wider_type(old.definition, now.definition)) return;
    if (old.definition == now.definition) return;
    // A domain reaches clients as the type that it is based on.
    const auto domain = before_.find("domain " + old.definition);
    const bool is_bare = name.starts_with("column ") && domain != before_.end() &&
                         is_same_or_wider_type(domain->second.definition, now.definition);
    if (is_bare) return;
    add("breaking-type", name, "changes its type from " + old.definition + " to " + now.definition,
        kHowToRetype);
  }

  // Nobody misses what belonged to something that is gone itself, a view that is a table now, a domain, which
  // columns alone refer to.
  bool is_replaced(const std::string& name, const ContractPart& old) const {
    if (name.starts_with("label ")) return false;
    if (name.starts_with("domain ")) return true;
    if (name.starts_with("view "))
      return after_.contains("table " + name.substr(std::string_view("view ").size()));
    return !old.owner.empty() && !has_owner(after_, old.owner);
  }

  void compare_new(const std::string& name, const ContractPart& part) {
    if (before_.contains(name) && !is_constraint(name)) return;
    if (part.owner.empty() || !has_owner(before_, part.owner)) return;
    if (name.starts_with("column ") && part.nulls == ContractPart::Nulls::refused) {
      add("breaking-not-null", name,
          "adds it NOT NULL without a default, and the code of before does not give it",
          "Give it a default, or add it without NOT NULL");
    } else if (is_constraint(name) && !has_rule(before_, part) && !mentions_column(part, after_, before_)) {
      // The code of before gives no column that is new; what it leaves out is the default or null.
      add("breaking-constraint", name,
          "adds " + part.definition + ", which what the code of before writes may break", kHowToRestrict);
    }
  }

  // Whether the constraint is about a column of its table that `has` has and `lacks` lacks.
  static bool mentions_column(const ContractPart& constraint, const SchemaContract& has,
                              const SchemaContract& lacks) {
    for (const auto& [name, column] : has) {
      if (!name.starts_with("column ") || column.owner != constraint.owner || lacks.contains(name)) continue;
      const std::string bare = name.substr(std::string_view("column ").size() + column.owner.size() + 1);
      if (mentions(constraint.definition, bare)) return true;
    }
    return false;
  }

  static bool mentions(std::string_view text, std::string_view word) {
    const auto is_part = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    };
    for (auto at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
      const std::size_t end = at + word.size();
      if ((at == 0 || !is_part(text[at - 1])) && (end == text.size() || !is_part(text[end]))) return true;
    }
    return false;
  }

  const PackMigration& migration_;
  const SchemaContract& before_;
  const SchemaContract& after_;
  Findings findings_;
};

}  // namespace

bool is_contract(const PackMigration& migration) {
  const std::string_view sql = migration.sql;
  return trim(sql.substr(0, sql.find('\n'))) == kContractLine;
}

bool has_contract(const Bundle& bundle, std::size_t released) {
  if (released >= bundle.migrations.size()) return false;
  return std::any_of(bundle.migrations.begin() + static_cast<std::ptrdiff_t>(released),
                     bundle.migrations.end(), is_contract);
}

Task<Result<SchemaContract>> read_contract(pg::Session& session, std::string schema, CallOptions options) {
  // Types and expressions without the name of the schema.
  const std::string enter = "SET LOCAL search_path = " + schema + ", pg_temp";
  CO_TRY_DO(co_await session.script(enter, options));
  pg::Params params;
  params.emplace_back(std::move(schema));
  const pg::Statement query(std::string(kContractSql), std::move(params), pg::Access::read, pg::Reuse::once);
  CO_TRY(const auto rows, co_await session.query(query, options));
  SchemaContract contract;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    ContractPart part;
    part.definition = rows.text(row, 1);
    part.owner = rows.text(row, 2);
    const std::string_view nulls = rows.text(row, 3);
    if (nulls == "filled") part.nulls = ContractPart::Nulls::filled;
    if (nulls == "refused") part.nulls = ContractPart::Nulls::refused;
    contract.emplace(std::string(rows.text(row, 0)), std::move(part));
  }
  co_return contract;
}

std::vector<Finding> find_breaking_changes(const PackMigration& migration, const SchemaContract& before,
                                           const SchemaContract& after) {
  return Comparison(migration, before, after).run();
}

}  // namespace rowhouse::tenancy
