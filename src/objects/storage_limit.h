// What a tenant's plan allows to be stored. The limit `storage_bytes` if the plan has it, else `storage_mb`
// (10^6).
#pragma once

#include <cstdint>

#include "tenancy/tenant.h"

namespace rowhouse::objects {

// In bytes; tenancy::kUnlimited = any number.
std::int64_t storage_limit(const tenancy::Plan& plan);
// The same as ObjectStoreAdmin takes it; 0 = no limit there. A plan that allows nothing is enforced by
// Rowhouse's own count alone, which comes first anyway.
std::uint64_t storage_quota_of(const tenancy::Tenant& tenant);

}  // namespace rowhouse::objects
