// Runs what is missing of a pack's migrations in many schemas of one database: thousands, several at a time.
//
// Schemas where the same migrations have run form a group. The first of a group goes the slow way, with every
// check (pack_migrator.h), and what Rowhouse did there beyond the migration's own text is noted. The others
// go the fast way: the same statements in one round trip, one transaction for each migration. Afterwards one
// look at the catalog proves that they are as the first is: structure, privileges and role. Those that are
// not were not before either: they are brought to what the rules want, and checked, one for all that are
// alike. A schema that is alone in its group, or whose fast way failed, goes the slow way.
//
// A migration with statements that read or write rows (sql_scanner.h) may do different things in schemas that
// were alike: there groups are formed by a look beforehand, too, and whatever differs afterwards has failed.
// One that changes tables alone cannot change the bodies of views and functions: these are not looked at.
// Where no migration is missing but the pack's row rules are others than before, these alone are brought.
//
// Whatever happens (an error, a lost connection, kill -9), in each schema each migration has run with its
// record or has not run at all. Running it again goes on where it stopped. Commits of the fast way are
// flushed to disk once for many schemas, always before a schema is reported as done.
//
// Belongs to the executor's thread. Everything handed over by reference outlives the task.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/error.h"
#include "base/result.h"
#include "base/task.h"
#include "tenancy/bundle.h"
#include "tenancy/cluster.h"

namespace rowhouse::tenancy {

struct BatchTarget {
  std::string slug;    // for messages alone
  std::string schema;  // "t_acme_0123456789ab"
  std::string role;    // its runtime role; "" = nobody works there
};

enum class TargetStatus {
  done,          // at least one migration ran now, or other row rules hold, and the schema was proven
  unchanged,     // nothing was missing
  lock_timeout,  // somebody holds a lock: try again later; what ran before that migration stays
  outage,        // the database went away or its disk is full: try again when it is back
  failed,        // see the error: the migration failed, a rule is broken, the schema is not what it should be
  not_begun      // the batch was stopped before
};

enum class MigrationWay { none, slow, fast };

struct TargetOutcome {
  std::size_t target = 0;  // position in the list
  TargetStatus status = TargetStatus::not_begun;
  MigrationWay way = MigrationWay::none;
  int migrations_run = 0;
  std::chrono::microseconds duration{0};  // of its own statements
  std::optional<Error> error;             // lock_timeout, outage, failed
};

inline constexpr std::size_t kMaxBatchSessions = 16;

struct BatchOptions {
  std::size_t sessions = 2;  // at most kMaxBatchSessions; each works on one schema at a time
  std::chrono::milliseconds lock_timeout{2'000};
  // Each target exactly once, in any order: what failed at once, what is done as soon as it was proven,
  // together with others. Targets that were not begun are not told. May be empty; must not destroy the batch.
  std::function<void(const TargetOutcome&)> on_finished;
  // Asked before each target; true: begin no more (pause, cancel, too many failures). What was begun is ended
  // and proven. May be empty.
  std::function<bool()> should_stop;
};

struct BatchReport {
  std::vector<TargetOutcome> outcomes;  // one for each target, in the order of the list
  std::size_t groups = 0;               // of schemas that were told apart
  std::size_t count(TargetStatus status) const;
};

// `database` holds all the schemas. Errors: cancelled, statement_timeout (the deadline of `options`);
// everything else is an outcome, also a database that cannot be reached.
Task<Result<BatchReport>> migrate_schemas(const Cluster& cluster, std::string database,
                                          const std::vector<BatchTarget>& targets, const Bundle& bundle,
                                          BatchOptions batch, CallOptions options);

// What kind of failure an error is: lock_timeout, outage or failed. For migrations that others run, too.
TargetStatus status_of(const Error& error);

struct AppliedPack {
  // How many of the bundle's migrations have run; nullopt where what ran is not what the bundle begins with,
  // or the schema is not there.
  std::optional<std::size_t> migrations;
  bool has_row_rules = false;  // those of the bundle hold
  bool is_whole(const Bundle& bundle) const {
    return migrations == bundle.migrations.size() && has_row_rules;
  }
};

// What each schema has of the bundle, by one query. 10,000 schemas take a fraction of a second. `database` as
// above.
Task<Result<std::vector<AppliedPack>>> find_applied(const Cluster& cluster, std::string database,
                                                    const std::vector<BatchTarget>& targets,
                                                    const Bundle& bundle, CallOptions options);

}  // namespace rowhouse::tenancy
