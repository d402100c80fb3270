// Runs a pack's migrations in one schema: each in a transaction of its own, with its record, protected before
// commit.
//
// Private to this folder. The session is connected as tenant_migrator and outside any transaction, before and
// after. Rows are visible to a migration: it runs as the owner while FORCE ROW LEVEL SECURITY is lifted for
// that transaction (other roles keep it), so that UPDATE fills a new column for every tenant.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "pg/pool.h"
#include "tenancy/bundle.h"
#include "tenancy/packs.h"

namespace rowhouse::tenancy {

// What happens to a migration that breaks a rule: `refuse` undoes it; `collect` goes on, to find everything
// at once.
enum class OnFinding { refuse, collect };

struct MigratedSchema {
  int migrations_run = 0;
  bool row_rules_changed = false;  // other ones hold now than before
  std::vector<Finding> findings;   // empty unless something was refused or collected
};

// What was done in a schema beyond the text of the migrations, as SQL that names the schema.
struct MigrationNotes {
  struct Migration {
    const PackMigration* migration = nullptr;
    std::string before, after;  // in its transaction
  };
  std::string preparation;  // before the first
  std::vector<Migration> migrations;
};

// A schema that is not there: the first migration of all makes it; an upgrade must not bring back that of a
// tenant which was deleted meanwhile.
enum class MissingSchema { create, refuse };

struct MigrationSettings {
  OnFinding on_finding = OnFinding::refuse;
  MissingSchema missing_schema = MissingSchema::create;
  std::chrono::milliseconds lock_timeout{30'000};
  MigrationNotes* notes = nullptr;  // null: nobody wants to know
};

// Creates the schema if it is missing, runs what is missing, protects, grants to `runtime_role` ("" = to
// nobody). The row rules of the bundle hold from its first migration that was missing, or at once if there is
// none. Errors: migration_changed (one that ran is not the one in the bundle), migration_failed (with
// OnFinding::refuse), not_found (with MissingSchema::refuse).
Task<Result<MigratedSchema>> migrate_schema(pg::Session& session, std::string schema,
                                            std::string runtime_role, const Bundle& bundle,
                                            OnFinding on_finding, CallOptions options);

Task<Result<MigratedSchema>> migrate_schema(pg::Session& session, std::string schema,
                                            std::string runtime_role, const Bundle& bundle,
                                            MigrationSettings settings, CallOptions options);

// The first words of every transaction here: BEGIN as tenant_owner.
std::string begin_as_owner_sql(std::chrono::milliseconds lock_timeout);
Task<Result<void>> begin_as_owner(pg::Session& session, CallOptions options);

// pack_refused, with a field for each finding.
Error refusal(const std::string& pack, const std::vector<Finding>& findings);

}  // namespace rowhouse::tenancy
