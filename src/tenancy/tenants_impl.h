// Inside TenantService; for its own .cc files alone.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "audit/trail.h"
#include "operations/engine.h"
#include "operations/kind.h"
#include "tenancy/provisioner.h"
#include "tenancy/tenant_operations.h"
#include "tenancy/tenant_store.h"
#include "tenancy/tenants.h"

namespace rowhouse::tenancy {

struct KeyRotation;  // api_key_rows.h

struct Registration;

struct TenantService::Impl {
  Impl(const Cluster& service_cluster, pg::Pool& pool, PackStore& pack_store, Registry& tenant_registry,
       operations::Engine& operation_engine, const Clock& wall_clock);

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
  // The same within a transaction that may change the tenant: its row is locked.
  Task<Result<std::shared_ptr<const Tenant>>> read_locked(const Uuid& id, pg::Session& session,
                                                          CallOptions options);

  // Sets the status if it is `from`, recorded as `action`. The changed tenant, or null if it had another
  // status.
  Task<Result<std::shared_ptr<const Tenant>>> set_status(const Tenant& tenant, TenantStatus from,
                                                         TenantStatus to, std::string action,
                                                         const Actor& actor, CallOptions options);
  Task<Result<std::shared_ptr<const Tenant>>> switch_status(std::string id_or_slug, TenantStatus from,
                                                            TenantStatus to, std::string action, Actor actor,
                                                            CallOptions options);

  // ---- rotating a key (key_rotation.cc). Errors: as rotate_key().
  Task<Result<void>> check_rotation(const KeyRotation& rotation, CallOptions options);
  Task<Result<NewApiKey>> rotate(KeyRotation rotation, CallOptions options);

  // ---- starting a creation (tenant_create.cc)
  Task<Result<std::shared_ptr<const Pack>>> pack_named(std::string name, CallOptions options);
  Task<Result<std::string>> free_slug(std::string base, CallOptions options);
  // Writes the rows of a new tenant and starts the operation, with the first free slug. `blank`: with kind
  // and key alone.
  Task<Result<StartedCreation>> enlist(const NewTenant& request, const Pack& pack, const Actor& actor,
                                       operations::Submission blank, CallOptions options);
  Task<Result<operations::Submitted>> submit_with_rows(Registration& registration, CallOptions options);
  Task<Result<operations::Submitted>> submit_rows_alone(Registration& registration, CallOptions options);
  Task<Result<void>> look_for(Registration& registration, Error error, CallOptions options);
  Task<Result<void>> insert(Registration& registration, operations::Run& run, pg::Session& session);
  Task<Result<StartedCreation>> find_started(Uuid operation, CallOptions options);
  std::string api_key_of(const Uuid& operation) const;
  std::string invitation_of(const Uuid& operation) const;

  // ---- starting a deletion (tenant_delete.cc)
  enum class Closing { asked_for, abandoned };
  Task<Result<StartedRemoval>> start_removal(std::shared_ptr<const Tenant> tenant, Actor actor,
                                             Closing closing, operations::Submission submission,
                                             CallOptions options);
  // Sets the tenant `deleting` in the transaction that starts its deletion, unless something speaks against
  // it.
  Task<Result<void>> close(Closing closing, operations::Run& run, pg::Session& session);

  // ---- steps (tenant_steps.cc)
  using Job = Task<Result<void>> (Impl::*)(const Tenant& subject, operations::Run& run);
  operations::Kind creation_kind();
  operations::Kind deletion_kind();
  operations::Effect step(Job job);
  using ProvisionerJob = Task<Result<void>> (Provisioner::*)(const Tenant& tenant, CallOptions options);
  operations::Effect step(ProvisionerJob job);
  Task<Result<void>> run_job(Job job, operations::Run& run);
  Task<Result<void>> run_provisioner(ProvisionerJob job, operations::Run& run);
  Task<Result<void>> run_undo(Job job, operations::Run& run);
  // Undoing begins with closing the tenant, whichever undo comes first.
  operations::Effect undo(Job job);
  Task<Result<void>> close_failed(const Tenant& subject, operations::Run& run);

  // Migrates the tenant's own schema, unless that was done already with this version of the pack.
  Task<Result<void>> bring_to(const Bundle& bundle, const Tenant& subject, operations::Run& run);
  Task<Result<void>> prepare_schema(const Tenant& subject, operations::Run& run);
  Task<Result<void>> create_store(const Tenant& subject, operations::Run& run);
  Task<Result<void>> try_store(const Tenant& subject, operations::Run& run);
  Task<Result<void>> load_sample_rows(const Tenant& subject, operations::Run& run);
  Task<Result<void>> invite_admin(const Tenant& subject, operations::Run& run);
  Task<Result<void>> activate(operations::Run& run, pg::Session& session);
  Task<Result<void>> deactivate(operations::Run& run, pg::Session& session);
  Task<Result<void>> catch_up(const Tenant& subject, operations::Run& run);

  Task<Result<void>> end_moves(const Tenant& subject, operations::Run& run);
  Task<Result<void>> let_requests_end(const Tenant& subject, operations::Run& run);
  Task<Result<void>> remove_rows(const Tenant& subject, operations::Run& run);
  Task<Result<void>> remove_schema(const Tenant& subject, operations::Run& run);
  Task<Result<void>> remove_database(const Tenant& subject, operations::Run& run);
  Task<Result<void>> remove_role(const Tenant& subject, operations::Run& run);
  Task<Result<void>> remove_store(const Tenant& subject, operations::Run& run);
  Task<Result<bool>> may_have_store(const Tenant& subject, operations::Run& run);
  Task<Result<void>> remove_people(const Tenant& subject, operations::Run& run);
  Task<Result<void>> prove(const Tenant& subject, operations::Run& run);
  // Delete the rows of the registry, and prove that none is left.
  Task<Result<void>> unregister(operations::Run& run, pg::Session& session);
  Task<Result<void>> undo_register(operations::Run& run, pg::Session& session);
  Task<Result<void>> delete_rows(const Tenant& tenant, std::string action, operations::Run& run,
                                 pg::Session& session);

  const Cluster& cluster;
  pg::Pool& platform;
  PackStore& packs;
  Registry& registry;
  operations::Engine& engine;
  const Clock& clock;
  Provisioner provisioner;
  const operations::Kind creation;  // as the engine has it
  Changed changed;
  SampleLoader load_samples;
  CloseDatabase close_database;
  RemovePeople remove_tenant_people;
  Welcome welcome;
  MakeStore make_store;
  RemoveStore remove_tenant_store;
  StorageConfigHooks storage_configs;
};

// The audit's view of one change of a tenant.
audit::Change change_of(const Uuid& tenant, std::string action, const Actor& actor);
// A change of a tenant's status, if it is `from`; answers with the changed tenant. `tenant`: as it is now.
pg::Statement status_statement(const Tenant& tenant, TenantStatus from, TenantStatus to, std::string action,
                               const Actor& actor);

}  // namespace rowhouse::tenancy
