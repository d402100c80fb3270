// Keeps the quota of provisioned storage at what the tenant's plan says: after a change of the tenant or of
// its pack's plans, after a start, and once an hour for what was missed or changed at the provider.
//
// Rowhouse's own count is what limits exactly and at once; this is the provider's second look. Every node may
// run one (several do no harm: who was overtaken by a change hears of it and sets it again). On the
// executor's thread; stop() before it is destroyed.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>
#include <unordered_set>

#include "base/call.h"
#include "base/task.h"
#include "base/uuid.h"
#include "net/executor.h"
#include "observe/log.h"
#include "pg/pool.h"
#include "storage/admin.h"
#include "tenancy/tenant.h"

namespace rowhouse::objects {

class StoreQuotas {
 public:
  // Errors: not_found (it is being removed): left out.
  using FindTenant =
      std::function<Task<Result<std::shared_ptr<const tenancy::Tenant>>>(Uuid tenant, CallOptions options)>;

  // `platform`: pool on the platform database as platform_service. `admin`: null when this installation
  // provisions nothing; nothing is ever done then.
  StoreQuotas(net::Executor& executor, pg::Pool& platform, storage::ObjectStoreAdmin* admin,
              const observe::Log& log, FindTenant find_tenant)
      : executor_(executor),
        platform_(platform),
        admin_(admin),
        log_(log),
        find_tenant_(std::move(find_tenant)) {}

  void start();
  // Something of this tenant, or of any (null), may have changed. Kept until start().
  void changed(const Uuid* tenant);
  Task<void> stop();

  // One look at what changed() named, and at all when the last such look is an hour ago. The first error,
  // after all others were tried; what failed is looked at again with the next.
  Task<Result<void>> look();

 private:
  void arm(std::chrono::milliseconds delay);
  Task<void> pass();
  Task<Result<void>> add_all();
  Task<Result<void>> set(Uuid tenant);

  net::Executor& executor_;
  pg::Pool& platform_;
  storage::ObjectStoreAdmin* admin_;
  const observe::Log& log_;
  FindTenant find_tenant_;
  std::unordered_set<Uuid> changed_;
  enum class Scope { changed, all } scope_ = Scope::changed;
  std::unordered_map<Uuid, std::uint64_t> set_before_;  // within the hour
  Deadline forget_at_{};                                // and ask for all of them again
  std::unique_ptr<net::Timer> timer_;
  net::TaskGroup tasks_;
  CancelSource ending_;
  enum class Stage { created, waiting, looking, stopped } stage_ = Stage::created;
};

}  // namespace rowhouse::objects
