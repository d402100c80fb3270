// Where the objects of a tenant are kept: what the object service asks, and storage configurations answer.
//
// Every store that a tenant has had has a number, from 1, which only rises (sql/platform/0017). Rows about
// objects say which one they mean: while a tenant moves there are two.
#pragma once

#include <memory>
#include <string>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "identity/tenant_context.h"
#include "storage/object_store.h"

namespace rowhouse::objects {

inline constexpr int kFirstStore = 1;

// Shared, because a request that runs may outlive a change of the configuration.
struct TenantStore {
  int number = kFirstStore;
  std::shared_ptr<storage::ObjectStore> store;
};

class StoreSource {
 public:
  virtual ~StoreSource() = default;
  // Where new objects go. Errors: storage_not_configured, storage_failed (the configuration cannot be used).
  virtual Task<Result<TenantStore>> open(const identity::TenantContext& context, CallOptions options) = 0;
  // Where others are. Error storage_not_configured: the tenant has that one no longer.
  virtual Task<Result<TenantStore>> open_number(const identity::TenantContext& context, int number,
                                                CallOptions options) = 0;
  // What was said about the tenant is out of date.
  virtual void forget(const identity::TenantContext& context) = 0;
};

}  // namespace rowhouse::objects
