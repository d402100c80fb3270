// Goes through all tenants that have object storage, for what nobody else will tidy up: writes and garbage of
// a process that was killed, uploads that nobody went on with.
//
// One per node is enough (several do no harm). Twice soon after the start, because leases of a process that
// was killed take a while to end, then once an hour; one tenant after the other, so that it stays unnoticed.
// On the executor's thread; stop() before it is destroyed.
#pragma once

#include <functional>
#include <memory>

#include "identity/tenant_context.h"
#include "net/executor.h"
#include "objects/object_writes.h"
#include "observe/log.h"
#include "pg/pool.h"

namespace rowhouse::objects {

class ObjectSweeper {
 public:
  // The context that a tenant is tidied with. Errors: not_found, credential_unknown (not active): left out.
  using ContextOf = std::function<Task<Result<identity::TenantContext>>(Uuid tenant, CallOptions options)>;

  ObjectSweeper(net::Executor& executor, pg::Pool& platform, ObjectWrites& writes, observe::Log& log,
                ContextOf context_of)
      : executor_(executor),
        platform_(platform),
        writes_(writes),
        log_(log),
        context_of_(std::move(context_of)) {}

  void start();
  Task<void> stop();
  // One pass over all tenants.
  Task<Result<void>> sweep_all();

 private:
  void arm(std::chrono::milliseconds delay);
  Task<void> pass();

  net::Executor& executor_;
  pg::Pool& platform_;
  ObjectWrites& writes_;
  observe::Log& log_;
  ContextOf context_of_;
  std::unique_ptr<net::Timer> timer_;
  net::TaskGroup tasks_;
  CancelSource ending_;
  int passes_ = 0;
  bool stopped_ = false;
};

}  // namespace rowhouse::objects
