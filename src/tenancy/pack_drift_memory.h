// What the last drift report saw, so that the next one reads only the schemas that have changed since.
// Private to this folder.
//
// The proof that a schema is unchanged comes from the catalogs themselves, not from anybody's good will: all
// transactions before the horizon had ended when the schema was read, so rows of the catalogs that they made
// can since only have gone, never come. As many of them as then, and none of a later transaction, means the
// very same rows: no DDL, no GRANT, no UPDATE of a catalog by a superuser. Statistics and flags that
// PostgreSQL writes in place belong to no structure. What is in no schema of a tenant (the schemas rowhouse
// and public, extensions) is counted, too: a change there makes all schemas changed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "pg/pool.h"
#include "tenancy/lint_alike.h"
#include "tenancy/lint_inventory.h"

namespace rowhouse::tenancy {

// By the name of the schema.
using Fingerprints = std::map<std::string, std::string>;

// For one report on one database, in this order: recall(), changed(), remember(). One thread.
class DriftMemory {
 public:
  // All must outlive this.
  DriftMemory(pg::Pool& platform, const LintTarget& target) : platform_(platform), target_(target) {}

  // Before the snapshot is taken.
  Task<Result<void>> recall(CallOptions options);
  // Positions of the target's schemas that must be read. `session`: as catalog_snapshot() makes it; leaves
  // settings of the planner behind. Trust::nothing: all of them.
  enum class Trust { what_is_proven, nothing };
  Task<Result<AlikeSchemas>> changed(pg::Session& session, Trust trust, CallOptions options);
  // Adds what is known of the other schemas to what was read in that snapshot, and remembers all of it,
  // unless another report was faster. A schema that is not there has no fingerprint.
  Task<Result<void>> remember(Fingerprints& fingerprints, CallOptions options);

 private:
  struct Schema {
    std::int64_t rows = 0;  // of the catalogs
    std::string role, fingerprint;
  };
  struct Count {
    std::int64_t all = 0;
    std::int64_t recent =
        0;  // made by a transaction that may have ended after the horizon that is remembered
    std::int64_t unsettled = 0;  // … after the horizon of now
    bool is_still(std::int64_t rows) const { return recent == 0 && all == rows; }
  };

  Task<Result<void>> look_where_we_are(pg::Session& session, CallOptions options);
  Task<Result<void>> count_rows(pg::Session& session, CallOptions options);
  Task<Result<void>> count_recent_rows(pg::Session& session, CallOptions options);
  void compare_surroundings();
  bool is_proven(const LintSchema& schema) const;
  // Whether it was read, and whether nobody was at it meanwhile.
  bool is_worth_remembering(const LintSchema& schema, const Fingerprints& fingerprints) const;
  std::string rows_to_remember(const Fingerprints& fingerprints) const;
  std::string schemas_to_forget(const Fingerprints& fingerprints) const;

  pg::Pool& platform_;
  const LintTarget& target_;
  // Remembered.
  std::int64_t revision_ = 0;
  std::string recipe_;
  std::int64_t horizon_ = 0;  // 0: nothing
  std::int64_t surroundings_ = 0;
  std::map<std::string, Schema> schemas_;
  // Now.
  std::string recipe_now_;
  std::int64_t horizon_now_ = 0;
  enum class Found { nothing_new, changes } found_ = Found::nothing_new;
  std::map<std::string, Count, std::less<>> counts_;  // of every schema of the database, also of nobody's
  Count around_;
};

}  // namespace rowhouse::tenancy
