// The demo tenants of `rowhouse up --demo`: real tenants in all three tiers, made by the same services as any
// other.
#pragma once

#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "tenancy/tenants.h"

namespace rowhouse::platform {

struct DemoTenant {
  DemoTenant(std::string tenant_slug, std::string tenant_name, std::string tenant_pack,
             std::string tenant_tier, std::string tenant_plan, std::string file)
      : slug(std::move(tenant_slug)),
        name(std::move(tenant_name)),
        pack(std::move(tenant_pack)),
        tier(std::move(tenant_tier)),
        plan(std::move(tenant_plan)),
        key_file(std::move(file)) {}
  std::string slug, name, pack, tier, plan;
  std::string key_file;
};

// Creates those that are absent, with sample rows. Each one's key is in `key_directory`/SLUG (mode 0600); a
// key whose file was lost is replaced by a new one. `packs`: the names of those that are installed; tenants
// of others are left out.
Task<Result<std::vector<DemoTenant>>> create_demo_tenants(tenancy::TenantService& tenants,
                                                          std::vector<std::string> packs,
                                                          std::string key_directory, CallOptions options);

}  // namespace rowhouse::platform
