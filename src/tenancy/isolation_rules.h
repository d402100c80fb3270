// The rules of isolation, each a query over the catalog. One list for everybody: a pack is checked against it
// when it is installed, and `rowhouse lint` checks everything that is installed.
#pragma once

#include <span>
#include <string_view>

namespace rowhouse::tenancy {

enum class Severity { warning, error };
std::string_view severity_name(Severity severity);

enum class RuleUse {
  // What an author did with privileges is visible only before the protector has put them right.
  pack_before_protection,
  pack,           // a pack that breaks it is refused
  pack_and_lint,  // the same, and whatever is installed is checked
  before_and_lint,
  lint,  // what an author cannot break
};

struct IsolationRule {
  std::string_view name;
  Severity severity;
  RuleUse use;
  // Rows (schema, object, message, fix), over the tables of isolation_catalog(), kRuleCatalog and, for
  // `lint`, kGrantCatalog. The fix is SQL that can be run as it is and ends in ';', or else a sentence.
  std::string_view sql;
};

// Over the schemas of packs, and the schema rowhouse.
std::span<const IsolationRule> isolation_rules();

// Further tables for these rules.
extern const std::string_view kRuleCatalog;

}  // namespace rowhouse::tenancy
