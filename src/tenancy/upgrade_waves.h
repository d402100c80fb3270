// Migrates the tenants of an upgrade wave by wave: bounded parallelism, locks that are not waited for, a stop
// when too many fail, and a report for each. Private to this folder.
//
// Every target that was not settled is looked at again by the next run, so a run may be cut off anywhere.
// What is not reached because somebody holds a lock is tried again at the end of its wave; what cannot be
// reached at all is left behind.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "net/executor.h"
#include "operations/kind.h"
#include "tenancy/bundle.h"
#include "tenancy/cluster.h"
#include "tenancy/pack_migrator.h"
#include "tenancy/upgrade_targets.h"

namespace rowhouse::tenancy {

struct WaveSettings {
  std::size_t parallel = 2;  // sessions, at most kMaxBatchSessions
  std::chrono::milliseconds lock_timeout{2'000};
  std::int64_t max_failures = 10;  // of all tenants; in the canary the first one ends it
};

class UpgradeWaves {
 public:
  // All must outlive the task.
  UpgradeWaves(const Cluster& cluster, UpgradeTargets& targets, const Bundle& bundle, WaveSettings settings,
               operations::Run& run)
      : cluster_(cluster), targets_(targets), bundle_(bundle), settings_(settings), run_(run) {}

  // Until every target of the part is settled. Errors: migration_failed with a field for each tenant that
  // failed; operations::paused(); cancelled; those of the platform database.
  enum class Part { canary, all };
  Task<Result<void>> run(Part part);

 private:
  struct Queue;
  enum class WaveEnd { settled, too_many_failed };

  Task<Result<void>> count();
  Task<Result<void>> skip_unchanged();
  Task<Result<WaveEnd>> run_wave(Wave wave);
  Task<Result<void>> run_round(const std::vector<UpgradeTarget>& targets);
  Task<Result<void>> migrate_shared_database(const std::vector<const UpgradeTarget*>& targets);
  Task<void> migrate_own_databases(Queue& queue);
  Task<Result<MigratedSchema>> migrate_own_database(const UpgradeTarget& target);
  Task<Result<void>> wait_between_rounds();
  Task<Result<void>> conclude(Part part, WaveEnd end);

  // Records an attempt soon, together with others.
  void settle(const UpgradeTarget& target, TargetStatus status, int migrations_run,
              std::chrono::microseconds duration, const Error* error);
  Task<void> record_pending();
  bool should_stop() const;
  Task<Result<void>> interruption();

  const Cluster& cluster_;
  UpgradeTargets& targets_;
  const Bundle& bundle_;
  const WaveSettings settings_;
  operations::Run& run_;

  int round_ = 0;
  std::string wave_name_;
  UpgradeCounts counts_;
  std::int64_t failures_ = 0, failure_limit_ = 0, settled_ = 0, total_ = 0;
  std::vector<UpgradeResult> pending_;
  enum class Recording { idle, under_way } recording_ = Recording::idle;
  std::optional<Error> trouble_;  // of the platform database, or the end of our time
  net::TaskGroup tasks_;
};

// Everything that tells a failed attempt from others, PostgreSQL's own words included: for operators.
std::string words_of(const Error& error);

}  // namespace rowhouse::tenancy
