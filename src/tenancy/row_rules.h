// Row rules by role: which rows of a table a user reaches who does not reach all of the tenant's. Private to
// this folder.
//
// The manifest declares them (RowRule in pack.h). What is declared is written down in each database, in
// rowhouse.row_rules, when migrations run; from there the protector, the rules of the checker and the linter,
// and the batches of an upgrade take it alike, so that none of them has to be handed a manifest, and a schema
// that is behind is judged by the rules that hold there. The linter compares the table with the manifest.
//
// A declared rule is a policy "rowhouse_role" (RESTRICTIVE, FOR ALL TO PUBLIC, USING and WITH CHECK the same)
// beside those of the tenant:
//   COALESCE((SELECT rowhouse.principal_role()), 0) <> 1 OR …           1: pg::ContextRole::user_own_rows
//   … (SELECT rowhouse.principal_id()) = ANY (ARRAY[assigned_to, created_by])
//   … EXISTS (SELECT FROM leads rowhouse_parent WHERE tenant_id and id are those of the row)
// The selects around the functions make PostgreSQL evaluate them once for a query; the parent's own policies
// hold inside EXISTS. COALESCE and <> in place of IS DISTINCT FROM, because that one does not print which
// operator it uses.
#pragma once

#include <string>
#include <string_view>

#include "tenancy/bundle.h"
#include "tenancy/pack.h"

namespace rowhouse::tenancy {

// What rowhouse.row_rules holds of a pack: a JSON array, "[]" for none. Equal rules give equal texts.
std::string row_rules_json(const Manifest& manifest);
// Those that schemas of the bundle are to have.
std::string row_rules_json(const Bundle& bundle);

// Row rules of a version whose upgrade is under way, until its manifest is stored: its migrations are known
// then, too. In platform.settings, under this key.
std::string announced_row_rules_key(const std::string& pack);
// The same in SQL, of packs p.
inline constexpr std::string_view kAnnouncedRowRulesKeySql =
    "'row_rules.' || pg_catalog.replace(p.name, '-', '_')";

// Follows isolation_catalog(): what ought to be there (row_rule), what is (role_policy, creator_default), and
// what to do about it (rule_difference). A rule that cannot be made, because a table or column is not (yet)
// what it has to be, leaves what is there alone: never is a table open in between.
extern const std::string_view kRowRuleCatalog;

// $1 the schema, $2 the rules: whether these hold there.
extern const std::string_view kHasRowRulesSql;
// Writes them down. Literals, as it becomes part of scripts.
std::string write_row_rules_sql(const std::string& schema, const std::string& rules);

}  // namespace rowhouse::tenancy
