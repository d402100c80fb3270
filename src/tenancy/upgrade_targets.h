// The places that an upgrade of a pack migrates, as they are recorded: template, pool, and each tenant with a
// schema or database of its own. Every statement about platform.operation_targets.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "base/uuid.h"
#include "pg/pool.h"
#include "tenancy/pack.h"
#include "tenancy/schema_batch.h"

namespace rowhouse::tenancy {

// waiting · running (its wave is being worked on) · done (migrated) · unchanged (nothing was missing) ·
// failed · behind (its database could not be reached: caught up later)
enum class UpgradeStatus { waiting, running, done, unchanged, failed, behind };
std::string_view upgrade_status_name(UpgradeStatus status);
std::optional<UpgradeStatus> parse_upgrade_status(std::string_view name);

inline constexpr int kSharedWave = 0;  // template and pool
inline constexpr int kCanaryWave = 1;

struct UpgradeTarget {
  std::string database, schema, role;
  std::optional<Uuid> tenant;  // nullopt: template or pool
  std::string slug;            // or "template", "pool"
  std::optional<Tier> tier;
  std::string plan;
  int wave = 0;
  std::int64_t ordinal = 0;
  UpgradeStatus status = UpgradeStatus::waiting;
  int attempts = 0;
  std::string error;  // of the last attempt
  int migrations_run = 0;
  std::chrono::microseconds duration{0};
  std::string finished_at;  // RFC 3339; "" = not yet
};

struct UpgradeFilter {
  std::optional<UpgradeStatus> status;
  std::size_t limit = 50;  // 1 to 500
  std::string cursor;      // of the previous page
};
struct UpgradePage {
  std::vector<UpgradeTarget> targets;  // in the order of the waves
  std::string next_cursor;             // "" at the end
};

struct UpgradeCounts {
  std::int64_t waiting = 0, done = 0, unchanged = 0, failed = 0, behind = 0;  // waiting: with running
  std::int64_t settled() const { return done + unchanged + failed + behind; }
  std::int64_t total() const { return waiting + settled(); }
};

// What one attempt at a target came to.
struct UpgradeResult {
  std::string database, schema;
  UpgradeStatus status = UpgradeStatus::done;
  std::string error;
  int migrations_run = 0;
  std::chrono::microseconds duration{0};
};

struct Wave {
  int number = 0;
  std::string plan;
  std::optional<Tier> tier;  // nullopt: of both (the canary)
};

class UpgradeTargets {
 public:
  explicit UpgradeTargets(pg::Pool& platform) : platform_(platform) {}

  // In the transaction of `session`: all tenants of the pack that are not being made or deleted. `canary`:
  // how many of each tier go first: of the first plans, the youngest. `plans`: from the cheapest up. Once for
  // each operation.
  Task<Result<void>> list(pg::Session& session, Uuid operation, std::string pack,
                          const std::vector<std::string>& plans, std::size_t canary, CallOptions options);
  // Template or pool, whenever it was worked on.
  Task<Result<void>> record_shared(Uuid operation, std::string name, UpgradeResult result,
                                   CallOptions options);

  // Makes what was begun wait again; with Again::all also what failed or was behind.
  enum class Again { interrupted, all };
  Task<Result<void>> reset(Uuid operation, Again which, CallOptions options);
  // Waves with targets that wait, in order.
  Task<Result<std::vector<Wave>>> waves(Uuid operation, CallOptions options);
  // Marks the waiting targets of a wave as running, and returns them.
  Task<Result<std::vector<UpgradeTarget>>> begin_wave(Uuid operation, int wave, CallOptions options);
  // Those of all waves that wait, by database.
  Task<Result<std::vector<UpgradeTarget>>> waiting_schemas(Uuid operation, CallOptions options);
  // Records attempts, several at once. What is done or unchanged stays so.
  Task<Result<void>> record(Uuid operation, std::vector<UpgradeResult> results, CallOptions options);
  Task<Result<void>> record_unchanged(Uuid operation, std::string database, std::vector<std::string> schemas,
                                      CallOptions options);
  // Drops targets whose tenant is gone or going.
  Task<Result<void>> forget_departed(Uuid operation, CallOptions options);
  Task<Result<UpgradeCounts>> counts(Uuid operation, CallOptions options);

  // Error not_found: the operation has no targets (or there is none).
  Task<Result<UpgradePage>> page(Uuid operation, UpgradeFilter filter, CallOptions options);
  struct Summary {
    std::vector<std::string> migrated;
    std::size_t unchanged = 0, behind = 0, waiting = 0;
    std::vector<std::pair<std::string, std::string>> failed;
  };
  Task<Result<Summary>> summary(Uuid operation, CallOptions options);

 private:
  Task<Result<pg::Rows>> run(std::string_view sql, pg::Params params, CallOptions options);

  pg::Pool& platform_;
};

}  // namespace rowhouse::tenancy
