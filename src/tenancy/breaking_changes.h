// Which changes of a migration break the code of before: that code still runs while the tenants are migrated
// in waves, and other people's programs run on. A change that takes something away is made in two steps,
// "expand and contract": one version adds the new and keeps the old, a later one, once nobody uses the old
// any more, takes it away. Such a migration says so in its first line, `-- rowhouse: contract`, and the
// operator asks for it. docs/packs.md tells authors the same. Private to this folder.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "pg/pool.h"
#include "tenancy/bundle.h"
#include "tenancy/packs.h"

namespace rowhouse::tenancy {

// Whether migrations that are declared as contract may run.
enum class Contract { refused, allowed };

inline constexpr std::string_view kContractLine = "-- rowhouse: contract";
bool is_contract(const PackMigration& migration);
// Whether any of the bundle's migrations after the first `released` ones is declared so: the caller refuses
// while an earlier upgrade is unfinished or tenants are behind.
bool has_contract(const Bundle& bundle, std::size_t released);

// What callers of a schema can rely on, by "column leads.email", "function lead_total(numeric)", "check
// leads.leads_value_check".
struct ContractPart {
  std::string definition;  // type of a column, result or domain; what a constraint says
  std::string owner;       // the table, view or type of a column, constraint or label; "" otherwise
  // Of a column, ever stricter: null may be written; it is NOT NULL, and filled when it is left out; it must
  // be given.
  enum class Nulls { allowed, filled, refused } nulls = Nulls::allowed;
};
using SchemaContract = std::map<std::string, ContractPart>;

// `session`: in a transaction that may read the catalog.
Task<Result<SchemaContract>> read_contract(pg::Session& session, std::string schema, CallOptions options);

// Pure. What nobody can notice is no breaking change: everything that is new and need not be given, types and
// CHECKs that allow more (widening.h), constraints that go, but for those that rows are upserted by.
std::vector<Finding> find_breaking_changes(const PackMigration& migration, const SchemaContract& before,
                                           const SchemaContract& after);

}  // namespace rowhouse::tenancy
