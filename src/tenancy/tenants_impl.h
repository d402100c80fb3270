// Inside TenantService; for its own .cc files alone.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "audit/trail.h"
#include "tenancy/provisioner.h"
#include "tenancy/tenant_store.h"
#include "tenancy/tenants.h"

namespace rowhouse::tenancy {

// Undoing, deleting and sweeping have a deadline of their own: a request that ran out of time, or whose
// client went away, must still leave nothing.
inline constexpr std::chrono::minutes kClearDeadline{10};

struct TenantService::Impl {
  Impl(const Cluster& service_cluster, pg::Pool& pool, PackStore& pack_store, Registry& tenant_registry,
       const Clock& wall_clock)
      : cluster(service_cluster),
        platform(pool),
        packs(pack_store),
        registry(tenant_registry),
        clock(wall_clock),
        provisioner(service_cluster, pack_store) {}

  FindPack finder() {
    return [this](std::string_view name) { return registry.find_pack(name); };
  }

  // Every node and worker shall look again.
  void announce(const Uuid& tenant) {
    registry.forget_tenant(tenant);
    if (changed) changed(tenant);
  }

  // Straight from the database: the control plane must see its own writes, whichever worker made them.
  // not_found.
  Task<Result<std::shared_ptr<const Tenant>>> read(std::string id_or_slug, CallOptions options);

  // Sets the status if it is `from`, recorded as `action`. The changed tenant, or null if it had another
  // status.
  Task<Result<std::shared_ptr<const Tenant>>> set_status(const Tenant& tenant, TenantStatus from,
                                                         TenantStatus to, std::string action,
                                                         const Actor& actor, CallOptions options);
  Task<Result<std::shared_ptr<const Tenant>>> switch_status(std::string id_or_slug, TenantStatus from,
                                                            TenantStatus to, std::string action, Actor actor,
                                                            CallOptions options);

  Task<Result<std::shared_ptr<const Pack>>> pack_named(std::string name, CallOptions options);
  // Inserts the rows of a new tenant with the first free slug.
  Task<Result<std::shared_ptr<const Tenant>>> insert(const NewTenant& request, const Pack& pack,
                                                     TenantStatus status, std::string_view api_key,
                                                     const Actor& actor, CallOptions options);
  Task<Result<std::string>> free_slug(std::string base, CallOptions options);
  // Everything of a creation that is more than registry rows, with the pack as it is stored now; says which
  // version that was, and returns the number of sample rows.
  Task<Result<std::size_t>> furnish(std::shared_ptr<const Tenant> tenant, NewTenant::SampleRows samples,
                                    std::string& furnished_version, CallOptions options);
  Task<Result<void>> catch_up(const Tenant& tenant, const std::string& furnished_version,
                              CallOptions options);
  Task<Result<CreatedTenant>> finish(std::shared_ptr<const Tenant> tenant, std::string api_key,
                                     NewTenant::SampleRows samples, Actor actor, CallOptions options);

  // Takes back a creation that failed.
  Task<Result<void>> undo(std::shared_ptr<const Tenant> tenant, Actor actor);
  // Removes a tenant whose status is `deleting`, wherever its creation or deletion had got to.
  Task<Result<void>> clear_away(std::shared_ptr<const Tenant> tenant, std::string action, Actor actor);

  // 1 if it was cleared away, 0 if there was nothing to clear.
  Task<Result<std::size_t>> sweep_one(std::shared_ptr<const Tenant> tenant, CallOptions options);

  const Cluster& cluster;
  pg::Pool& platform;
  PackStore& packs;
  Registry& registry;
  const Clock& clock;
  Provisioner provisioner;
  Changed changed;
  SampleLoader load_samples;
  CloseDatabase close_database;
};

// The audit's view of one change of a tenant.
audit::Change change_of(const Uuid& tenant, std::string action, const Actor& actor);

}  // namespace rowhouse::tenancy
