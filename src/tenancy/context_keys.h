// The keys that tenant contexts are signed with: derived from the master key, one for each database and
// generation; none is stored outside the databases that check them.
//
// Which generation signs stands in platform.context_keys (see context_rotation.h). ContextKeys caches that
// and the derived keys in one worker; all of it belongs to the executor's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "pg/pool.h"
#include "pg/transaction_context.h"
#include "tenancy/cluster.h"
#include "tenancy/lru_map.h"

namespace rowhouse::tenancy {

// Key `generation` (>= 1) of a database.
pg::ContextKey derive_context_key(const Credentials& credentials, std::int32_t generation,
                                  const std::string& database);

// The generation that signs now, from the platform database. Error: internal when there is none.
Task<Result<std::int32_t>> signing_generation(pg::Pool& platform, CallOptions options);

class ContextKeys {
 public:
  // Databases whose keys are remembered; further ones cost a derivation each time they come back.
  static constexpr std::size_t kMaxDatabases = 10'000;

  // Both must outlive this. `platform`: pool on the platform database as platform_service.
  ContextKeys(const Credentials& credentials, pg::Pool& platform)
      : credentials_(credentials), platform_(platform) {}

  // Learns which generation signs. Until it has been called once, contexts are signed with a key that no
  // database accepts.
  Task<Result<void>> refresh(CallOptions options);

  // The hot path: a look-up, or one key derivation. Shared with transactions that were begun before a
  // rotation.
  std::shared_ptr<const pg::ContextKey> current(const std::string& database);
  std::int32_t generation() const { return generation_; }

 private:
  const Credentials& credentials_;
  pg::Pool& platform_;
  std::int32_t generation_ = 0;
  LruMap<std::string, std::shared_ptr<const pg::ContextKey>> keys_{kMaxDatabases};
};

}  // namespace rowhouse::tenancy
