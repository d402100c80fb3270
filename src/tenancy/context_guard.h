// The functions in every database with tenant rows that take a signed context and tell whose it is, and the
// keys that they check it with.
//
// There are two implementations of the same contract (sql/guard/): a C library, rowhouse_guard, where the
// server can load it, and portable SQL elsewhere. Which one the installation runs is decided when a node
// starts, and recorded in the platform database: the last node to start decides.
//
// A database is *guarded* when the migrations of sql/tenant have run there, the implementation is installed
// and exactly the valid keys of that database are in rowhouse.context_keys. platform.guarded_databases
// records what each database was brought to, so that ten thousand databases in order cost one query. A clone
// or a restored copy is another database: it accepts nothing before it was brought to its own keys.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "pg/pool.h"
#include "pg/transaction_context.h"
#include "tenancy/cluster.h"

namespace rowhouse::tenancy {

enum class GuardMode { automatic, extension, portable };
enum class GuardImplementation { extension, portable };
std::string_view guard_implementation_name(GuardImplementation implementation);

inline constexpr const char* kGuardLibrary = "rowhouse_guard";

struct GuardChoice {
  GuardImplementation implementation = GuardImplementation::portable;
  std::string reason;  // for the log: why this one
};

struct GuardReport {
  std::vector<std::string> brought;                         // databases that were changed
  std::vector<std::pair<std::string, std::string>> failed;  // database, why; tried again later
};

class ContextGuard {
 public:
  // `platform`: pool on the platform database as platform_service.
  ContextGuard(const Cluster& cluster, pg::Pool& platform) : cluster_(cluster), platform_(platform) {}

  // Decides which implementation the installation runs from now on, and records it. Error: config_invalid
  // when the extension is demanded and the server cannot load it.
  Task<Result<GuardChoice>> choose(GuardMode mode, CallOptions options);

  // Brings one database to what it should be, whatever is recorded of it. Safe while another node does the
  // same.
  Task<Result<void>> bring(std::string database, CallOptions options);

  // Held while all databases are brought and keys are changed: one node at a time. It goes with its session
  // at the latest, a moment after that was destroyed.
  Task<Result<pg::Session>> lock(CallOptions options);
  Task<Result<std::optional<pg::Session>>> try_lock(CallOptions options);  // nullopt: another node holds it
  static Task<void> unlock(pg::Session& held);

  // Databases whose record differs from what they should be. Nobody's to mend here, and so empty, when a node
  // of another version has started since.
  Task<Result<std::vector<std::string>>> behind(CallOptions options);
  // Brings all that are behind, several at a time. The caller holds the lock. A database that cannot be
  // reached is reported and holds up nobody. Error: conflict when a node of another version has started
  // since.
  Task<Result<GuardReport>> bring_all(CallOptions options);
  // What a node does at its start: behind() without the lock, then bring_all() with it.
  Task<Result<GuardReport>> catch_up(CallOptions options);

  // Straight from the platform database, for work that is rare and long. The hot path has ContextKeys.
  Task<Result<std::shared_ptr<const pg::ContextKey>>> signing_key(std::string database, CallOptions options);

  const Cluster& cluster() const { return cluster_; }

 private:
  struct Wanted;
  struct Sweep;
  Task<Result<Wanted>> wanted(CallOptions options);
  Task<Result<std::string>> install(std::string database, const Wanted& wanted, CallOptions options);
  Task<Result<void>> record(std::string database, std::string oid, const Wanted& wanted, CallOptions options);
  Task<Result<void>> bring_to(std::string database, const Wanted& wanted, CallOptions options);
  Task<Result<std::vector<std::string>>> behind_of(const Wanted& wanted, CallOptions options);
  Task<void> sweep(Sweep& work, CallOptions options);

  const Cluster& cluster_;
  pg::Pool& platform_;
};

}  // namespace rowhouse::tenancy
