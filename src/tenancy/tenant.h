// A tenant as the running server knows it. Immutable snapshots; a change makes a new one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/uuid.h"
#include "tenancy/pack.h"

namespace rowhouse::tenancy {

enum class TenantStatus { provisioning, active, suspended, archived, deleting };
std::string_view tenant_status_name(TenantStatus status);
std::optional<TenantStatus> parse_tenant_status(std::string_view text);

// The tenant's choice at creation; what fulfils it comes with object storage.
enum class StorageChoice { byos, provisioned, none };
std::string_view storage_choice_name(StorageChoice choice);
std::optional<StorageChoice> parse_storage_choice(std::string_view text);

// Schema of a pack's tables in pool and tenant databases. Schema-tier tenants have one of their own.
inline constexpr std::string_view kSharedSchema = "app";

// Where a tenant's rows live, and as whom they are reached.
struct Placement {
  Tier tier = Tier::pool;
  std::string server = "local";
  std::string database;
  std::string schema;
  std::string role;  // runtime role: tenant_service, or the role of the tenant's own database
};

struct Tenant {
  Uuid id;
  std::string slug;
  std::string name;
  TenantStatus status = TenantStatus::provisioning;
  std::string domain;     // "" if none
  std::string subdomain;  // "" if none
  json::Value settings, branding, contact;
  StorageChoice storage = StorageChoice::none;
  Placement placement;
  std::string created_at, updated_at;  // RFC 3339
  std::int64_t version = 0;
  std::string pack_name;
  std::string plan_name;
  // Shared with every other tenant of the pack and kept alive by requests that still run while the pack is
  // upgraded.
  std::shared_ptr<const Pack> pack;

  // The plan within `pack`; never null in a snapshot that the registry hands out.
  const Plan* plan() const { return pack ? pack->manifest.find_plan(plan_name) : nullptr; }
};

}  // namespace rowhouse::tenancy
