// The life of the generations of the context key: added to every database, then signing, then, when every
// node has noticed its successor, retired from every database.
//
//   rotate(): record n+1 · put its key into every database · let it sign · set when n retires
//   advance(): goes on with whatever is half done, and retires what is due
//
// Every step is recorded before the next begins, and repeating one does no harm: a server that is killed at
// any point leaves a rotation that advance() of any node ends. A database that cannot be reached holds a new
// generation up for kPatience; after that its tenants wait until it has been brought to the new keys.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "pg/pool.h"
#include "tenancy/context_guard.h"
#include "tenancy/tenants.h"

namespace rowhouse::tenancy {

struct ContextKeyOptions {
  // From the moment that a new generation signs until the one before it is refused. Nodes hear of a new
  // generation within seconds; contexts live a minute (pg::kContextLifetime).
  std::chrono::milliseconds grace{120'000};
  // The same for a generation that must go at once: as long as every node needs to notice.
  std::chrono::milliseconds notice{3'000};
};

struct ContextKeyGeneration {
  std::int32_t generation = 0;
  // adding: not in every database yet · signing · expiring: valid until retire_at · retiring: valid nowhere
  // it can be reached, but still in a database that is behind · retired
  std::string state;
  std::string created_at, activated_at, retire_at, retired_at;  // RFC 3339, UTC; "" = not yet
};

struct ContextStatus {
  std::string implementation, reason;
  std::vector<ContextKeyGeneration> generations;  // youngest first
  std::int64_t databases = 0;                     // with tenant rows
  std::vector<std::string> behind;                // those that must still be brought to the current state
  const ContextKeyGeneration* signing() const;    // null only if somebody emptied the table
};

class ContextRotation {
 public:
  static constexpr std::chrono::seconds kPatience{60};

  // `clock` decides when a generation is due.
  ContextRotation(ContextGuard& guard, pg::Pool& platform, const Clock& clock, ContextKeyOptions options)
      : guard_(guard), platform_(platform), clock_(clock), options_(options) {}

  Task<Result<ContextStatus>> status(CallOptions options);

  // Returns the new generation: signing, or adding while a database cannot be reached. after_grace: error
  // conflict while an earlier rotation is not over. at_once: every older generation goes within
  // `notice`, also those of an earlier rotation; returns when they are gone.
  enum class Retire { after_grace, at_once };
  Task<Result<std::int32_t>> rotate(Retire retire, Actor actor, CallOptions options);

  // Called every second by one worker of each node; costs one small query when nothing is to do. `thorough`
  // also looks for databases that are behind.
  enum class Look { at_keys, thorough };
  Task<Result<GuardReport>> advance(Look look, CallOptions options);

 private:
  enum class Patience { has_it, has_none };
  Task<Result<std::int32_t>> begin(Retire retire, const Actor& actor, CallOptions options);
  Task<Result<std::int32_t>> add(Retire retire, const Actor& actor, CallOptions options);
  Task<Result<GuardReport>> advance_locked(Patience patience, std::chrono::milliseconds grace,
                                           const Actor& actor, CallOptions options);
  Task<Result<void>> activate(std::int32_t generation, std::chrono::milliseconds grace, const Actor& actor,
                              CallOptions options);
  Task<Result<std::size_t>> retire_due(const Actor& actor, CallOptions options);

  ContextGuard& guard_;
  pg::Pool& platform_;
  const Clock& clock_;
  ContextKeyOptions options_;
};

}  // namespace rowhouse::tenancy
