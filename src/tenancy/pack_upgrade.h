// Installing and upgrading packs, as durable operations of the kind pack.upgrade.
//
//   upload · check · lint · announce · list_tenants · canary · migrate_tenants · migrate_template ·
//   migrate_pool · store · finish
//
// A pack that breaks a rule stops at `check`, in a scratch database, and nothing else was touched. From the
// canary on what is migrated stays migrated: an upgrade that fails keeps what is done, and `retry`, or the
// same pack once more, goes on with the rest. Servers go by the old version until `store`, so tenants that
// have been migrated and those that have not are served alike, however long it takes. An upgrade that takes
// something away (a contract) is the other way round: template, pool and store come first. Tenants are
// migrated in waves: the canary first (a few of each tier), then plan by plan from the cheapest up, schemas
// before databases. One that cannot be reached is left behind and caught up later. One upgrade of a pack at a
// time.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "base/uuid.h"
#include "operations/engine.h"
#include "pg/pool.h"
#include "tenancy/breaking_changes.h"
#include "tenancy/bundle.h"
#include "tenancy/cluster.h"
#include "tenancy/context_guard.h"
#include "tenancy/lint.h"
#include "tenancy/packs.h"
#include "tenancy/upgrade_targets.h"

namespace rowhouse::tenancy {

inline constexpr const char* kUpgradeOperation = "pack.upgrade";
inline constexpr std::string_view kUnderWay =
    "operation";  // detail of a conflict: the id of what is in the way

inline constexpr std::size_t kMaxCanary = 1'000;
inline constexpr std::size_t kMaxUpgradeSessions = kMaxBatchSessions;
inline constexpr std::chrono::milliseconds kMaxLockTimeout{600'000};
inline constexpr std::size_t kMaxFailures = 1'000'000;

// Whether an upgrade begins with looking for errors in every place where the pack is installed (see lint.h).
enum class LintFirst { yes, no };
inline constexpr std::string_view kLintRefused = "lint";

struct UpgradeOptions {
  LintFirst lint = LintFirst::yes;
  // Whether migrations that take something away (docs/packs.md, expand and contract) may run.
  Contract contract = Contract::refused;
  std::size_t canary = 1;    // tenants of each tier that go first; 0: nobody
  std::size_t parallel = 2;  // sessions, 1 to kMaxUpgradeSessions
  std::chrono::milliseconds lock_timeout{2'000};
  std::size_t max_failures = 10;  // so many failed tenants stop it; in the canary the first one does
  enum class Purpose { requested, catch_up } purpose = Purpose::requested;
};

struct InstallReport {
  std::string pack, from_version, to_version;
  std::vector<std::string> migrated;  // targets that changed: "template", "pool", tenant slugs
  std::size_t unchanged = 0;
  std::size_t behind = 0;   // databases that could not be reached: caught up later
  std::size_t waiting = 0;  // not touched, because too many failed before
  std::vector<std::pair<std::string, std::string>> failed;  // target, why; run again after mending
};

struct StartedUpgrade {
  std::optional<Uuid> operation;  // nullopt: everything is as it should be, see `report`
  // repeated: the same upgrade was under way, or the request was answered before
  operations::Submitted::Novelty novelty = operations::Submitted::Novelty::started;
  InstallReport report;  // pack and versions; complete when there is no operation
};

// Compared among schemas of the pack with the same migrations, see lint_drift.h.
struct DriftReport {
  std::size_t schemas = 0;
  std::size_t read_anew = 0;             // the others are proven to be as they were (see pack_drift_memory.h)
  std::vector<std::string> unreachable;  // databases
  std::vector<LintFinding> findings;
};

// Whether schemas that are proven to be unchanged since the last report are read all the same.
enum class DriftReading { what_has_changed, everything };

class PackUpgrades {
 public:
  // Adds its kind of operation to `engine`, which must not have been started. All must outlive this; the
  // engine is stopped before this is destroyed.
  PackUpgrades(const Cluster& cluster, pg::Pool& platform, ContextGuard& guard, PackStore& packs,
               operations::Engine& engine);
  ~PackUpgrades();
  PackUpgrades(const PackUpgrades&) = delete;
  PackUpgrades& operator=(const PackUpgrades&) = delete;

  // Errors: pack_refused (older, other migrations than the released ones, a contract while an earlier upgrade
  // is unfinished), conflict (another upgrade of this pack is under way; detail kUnderWay),
  // idempotency_key_reused. `request_key`: "" or unique over all requests.
  Task<Result<StartedUpgrade>> start(const Bundle& bundle, UpgradeOptions upgrade, std::string requested_by,
                                     std::string request_key, CallOptions options);
  // Waits for the end. Tenants that failed are in the report; everything else that stopped it is the error:
  // pack_refused with a field for each broken rule (detail kLintRefused: in what is about to be upgraded),
  // conflict (paused or cancelled by an operator). statement_timeout and cancelled: the caller has stopped
  // waiting, it goes on.
  Task<Result<InstallReport>> finish(StartedUpgrade started, CallOptions options);
  // start() and finish().
  Task<Result<InstallReport>> install(const Bundle& bundle, UpgradeOptions upgrade, std::string requested_by,
                                      CallOptions options);

  // What became of each tenant. Errors: not_found, invalid_cursor.
  Task<Result<UpgradePage>> targets(Uuid operation, UpgradeFilter filter, CallOptions options);
  // What the catalogs say now. Error: not_found.
  Task<Result<DriftReport>> drift(std::string pack, DriftReading reading, CallOptions options);
  // Starts what brings tenants up that were left behind and can be reached again. Returns the packs.
  Task<Result<std::vector<std::string>>> catch_up(CallOptions options);
  // Drops the databases in which a check was interrupted for good, such as one that was cancelled after a
  // crash.
  Task<Result<void>> clear_up(CallOptions options);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rowhouse::tenancy
