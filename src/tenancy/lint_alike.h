// Which schemas of a database are alike, so that what holds for one need not be looked up for thousands.
//
// Alike means: whatever a rule of isolation_rules.h reads about a schema, and every line of
// lint_structure.h, is the same but for the schema's name. Whoever adds a rule that reads something else
// of the catalog adds it to the queries here; LintAlike.* and LintBreaks* notice if not. The other way round
// nothing is promised: schemas that rules cannot tell apart may count as different, which costs time alone.
// Private to this folder.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "pg/pool.h"
#include "tenancy/isolation_sql.h"

namespace rowhouse::tenancy {

// For the rest of the transaction: whole catalogs are joined. A nested loop, which the planner likes for
// lists whose length it cannot know, would be quadratic.
enum class JoinsOf { few_schemas, many_schemas };
Task<Result<void>> use_joins(pg::Session& session, JoinsOf joins, CallOptions options);
inline constexpr std::size_t kManySchemas = 50;
inline JoinsOf joins_of(std::size_t schemas) {
  return schemas < kManySchemas ? JoinsOf::few_schemas : JoinsOf::many_schemas;
}

// What a schema looks like; equal texts mean alike. Says nothing in another database.
struct SchemaLook {
  std::string schema;
  std::string look;
};
// Two halves of the same question, of about the same length, so that two connections can share the work:
// tables and rest are everything; columns and others everything but the bodies of views and functions.
enum class LookHalf { tables, rest, columns, others };
// `session`: as superuser, in a transaction with use_catalog_search_path(). Schemas that are not there are
// left out. Leaves other settings of the planner behind: use_joins() afterwards.
Task<Result<std::vector<SchemaLook>>> read_looks(pg::Session& session, std::vector<SchemaScope> schemas,
                                                 LookHalf half, CallOptions options);

// Positions in the list of schemas.
using AlikeSchemas = std::vector<std::size_t>;

// Schemas by what both halves say. Every position of `schemas` is in one group, those that are not there in
// groups of their own; groups and positions are in order. Pure.
std::vector<AlikeSchemas> group_by_look(const std::vector<SchemaScope>& schemas,
                                        const std::vector<SchemaLook>& tables,
                                        const std::vector<SchemaLook>& rest);

// Two are looked at closely for all: should they differ after all, the group is none. The last ones, so that
// the pool's schema, which everybody tries things in, is not what speaks for the others.
AlikeSchemas representatives(const AlikeSchemas& group);

}  // namespace rowhouse::tenancy
