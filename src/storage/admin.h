// Object storage that Rowhouse makes for a tenant: a directory or a bucket of its own, and a key that opens
// nothing else.
//
// Every call may be repeated, also after it was cut off anywhere, and then does what is still missing; each
// effect outside is announced to CallOptions::effects. What is made for a tenant is named by its id, so
// nothing has to be remembered to remove it. Belongs to one executor's thread.
//
// Errors: storage_failed (refused or failed; the message names no credential), server_unreachable,
// address_refused, disk_full, cancelled.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/call.h"
#include "base/json.h"
#include "base/result.h"
#include "base/task.h"
#include "base/uuid.h"
#include "storage/config.h"

namespace rowhouse::storage {

// As it is kept, sealed: what read_provisioned_config() takes.
struct MadeStore {
  std::string provider;  // "directory", or one of kProviders
  json::Value config;
};

class ObjectStoreAdmin {
 public:
  virtual ~ObjectStoreAdmin() = default;

  // Answers with the same store each time. `quota_bytes`: what the provider shall refuse to go beyond, where
  // it can; 0 = no limit.
  virtual Task<Result<MadeStore>> create(Uuid tenant, std::uint64_t quota_bytes, CallOptions options) = 0;
  virtual Task<Result<void>> set_quota(Uuid tenant, std::uint64_t quota_bytes, CallOptions options) = 0;
  // Objects, unfinished uploads, bucket and key. What is not there is no error.
  virtual Task<Result<void>> remove(Uuid tenant, CallOptions options) = 0;
  // The ids of all tenants that something is there for, also half made or half removed: for inventories.
  virtual Task<Result<std::vector<Uuid>>> list_ours(CallOptions options) = 0;
};

// "directory" {"root": "/…"}; any other provider as read_config() reads it.
Result<StoreConfig> read_provisioned_config(std::string_view provider, const json::Value& config);

// Runs `work` as one effect called `name`: fenced, and seen by CallOptions::effects.
Task<Result<void>> as_effect(std::string name, std::function<Task<Result<void>>()> work, CallOptions options);

}  // namespace rowhouse::storage
