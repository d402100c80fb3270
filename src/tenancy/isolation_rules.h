// The rules of isolation, each a query over the catalog. Private to this folder.
#pragma once

#include <span>
#include <string_view>

namespace rowhouse::tenancy {

// What an author did with privileges is visible only before the protector has put them right; the rest only
// after.
enum class RuleStage { before_protection, always };

struct IsolationRule {
  std::string_view name;
  RuleStage stage;
  // Rows (object, message, fix), over the tables of kIsolationCatalog and kRuleCatalog.
  std::string_view sql;
};

std::span<const IsolationRule> isolation_rules();

// Further tables for the rules. $2 is the owner role, $3 the backup role.
extern const std::string_view kRuleCatalog;

}  // namespace rowhouse::tenancy
