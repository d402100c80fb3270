// The tenants, keys and packs of the platform database, cached in one worker.
//
// A look-up that is in the cache costs no query and no lock. The cache is bounded, and told of changes three
// ways: directly by the node that makes one, by LISTEN/NOTIFY from other nodes, and by a poll of the
// registry's revision every second in case a notification was lost. Unknown keys are remembered too, briefly
// and boundedly.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/call.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "pg/pool.h"
#include "tenancy/cluster.h"
#include "tenancy/grant.h"
#include "tenancy/packs.h"
#include "tenancy/tenant.h"

namespace rowhouse::tenancy {

using KeyHash = std::array<std::uint8_t, 32>;  // SHA-256 of the whole key text

struct KeyEntry {
  Uuid id;
  std::string name;
  Grant grant;  // of the secret that was looked up: the one before a rotation ends earlier
  std::shared_ptr<const Tenant> tenant;  // shared with requests in flight
};

struct AdminEntry {
  Uuid id;
  std::string name;
  enum class Kind { admin, service } kind = Kind::admin;
  Grant grant;
};

struct RegistryOptions {
  std::size_t max_tenants = 50'000;
  std::size_t max_keys = 100'000;
  std::size_t max_unknown_keys = 10'000;
  std::chrono::milliseconds poll_every{1'000};
  // Keys that were used are written down (last_used_at) once in so many polls, not at each use.
  int polls_per_use_report = 60;
};

class Registry {
 public:
  Registry(const Cluster& cluster, pg::Pool& platform, PackStore& packs, RegistryOptions options);
  ~Registry();

  // Loads the packs and starts listening.
  Task<Result<void>> start(CallOptions options);
  // Ends listening and look-ups; may be called twice, also inside the loop. Destroy the registry outside the
  // loop.
  void stop();

  // In the cache or null. The hot path: then no coroutine is needed.
  const KeyEntry* cached_key(const KeyHash& hash) const;
  // Errors: credential_unknown (unknown, revoked; what the grant says is the caller's to check),
  // database_unavailable.
  Task<Result<KeyEntry>> find_key(KeyHash hash, CallOptions options);
  Task<Result<AdminEntry>> find_admin_token(KeyHash hash, CallOptions options);
  std::shared_ptr<const Tenant> cached_tenant(const Uuid& id) const;  // the same; null if it is not there
  // By id or slug. Error: not_found.
  Task<Result<std::shared_ptr<const Tenant>>> find_tenant(std::string id_or_slug, CallOptions options);
  std::shared_ptr<const Pack> find_pack(std::string_view name) const;  // null if not installed
  std::vector<std::shared_ptr<const Pack>> packs() const;

  // Called when another key may sign tenant contexts (see context_keys.h), also after a time in which news of
  // it may have been lost. Once, before start().
  void on_context_keys(std::function<void()> changed);

  // Called whenever something of a tenant may have changed, on whichever node; null: of any tenant. For what
  // others remember of tenants. Once, before start().
  using Forgotten = std::function<void(const Uuid* tenant)>;
  void on_forgotten(Forgotten forgotten);

  void forget_tenant(const Uuid& tenant_id);             // its keys, too
  Task<Result<void>> reload_packs(CallOptions options);  // and forget every tenant

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rowhouse::tenancy
