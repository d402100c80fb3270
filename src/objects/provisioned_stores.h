// Provisioned storage of tenants: made by an ObjectStoreAdmin, kept sealed in platform.tenant_storage_configs
// (origin `provisioned`). The two steps of tenant operations that concern it; wired by the platform.
//
// Both may be repeated, also after they were cut off anywhere. What was made and not yet written down is
// found by the tenant's id. Errors: those of ObjectStoreAdmin, TenantSecrets and the database.
#pragma once

#include <cstdint>
#include <optional>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "base/uuid.h"
#include "pg/pool.h"
#include "secrets/tenant_secrets.h"
#include "storage/admin.h"

namespace rowhouse::objects {

class ProvisionedStores {
 public:
  // `platform`: pool on the platform database as platform_service. `admin`: null when this installation
  // provisions nothing. All outlive this.
  ProvisionedStores(pg::Pool& platform, secrets::TenantSecrets& secrets, storage::ObjectStoreAdmin* admin)
      : platform_(platform), secrets_(secrets), admin_(admin) {}

  bool available() const { return admin_ != nullptr; }
  // A storage of its own for a tenant that has none. Error conflict: it has brought its own by now.
  Task<Result<void>> make(Uuid tenant, std::uint64_t quota_bytes, CallOptions options);
  // The same as the target of a move, under this number; see storage_moves.h.
  Task<Result<void>> make_target(Uuid tenant, int number, std::uint64_t quota_bytes, CallOptions options);
  // With everything in it. Storage that a tenant brought along is left alone. Error storage_not_configured:
  // there is some, and this server no longer knows how to remove it.
  Task<Result<void>> remove(Uuid tenant, CallOptions options);

 private:
  Task<Result<void>> make_as(Uuid tenant, std::optional<int> number, std::uint64_t quota_bytes,
                             CallOptions options);
  Task<Result<bool>> has_store(Uuid tenant, CallOptions options);

  pg::Pool& platform_;
  secrets::TenantSecrets& secrets_;
  storage::ObjectStoreAdmin* admin_;
};

}  // namespace rowhouse::objects
