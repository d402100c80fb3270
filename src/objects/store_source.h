// Where the objects of a tenant are kept: what the object service asks, and storage configurations answer.
#pragma once

#include <memory>
#include <string>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "identity/tenant_context.h"
#include "storage/object_store.h"

namespace rowhouse::objects {

class StoreSource {
 public:
  virtual ~StoreSource() = default;
  // The tenant's store of just now. Shared, because a request that runs may outlive a change of the
  // configuration. Errors: storage_not_configured, storage_failed (the configuration cannot be used).
  virtual Task<Result<std::shared_ptr<storage::ObjectStore>>> open(const identity::TenantContext& context,
                                                                   CallOptions options) = 0;
};

}  // namespace rowhouse::objects
