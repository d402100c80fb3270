// Moving a tenant to another object store with its data in place, while it works.
//
//   storage.move          register · create_store · try_store · switch_store · fence_writes · copy_objects
//   storage.move_confirm  register · copy_rest · remove_old_objects · remove_store · forget_store
//
// The new store gets the next number (store_source.h) and a configuration row that is not active. From
// switch_store on new objects go there; fence_writes refuses what still begins in the former one;
// copy_objects copies the rest, object by object (object_mover.h). Everything stays readable all the time,
// from wherever its row says. The former store and the copies in it are kept until somebody confirms: then
// they are removed (or left to whom they belong), and its configuration is forgotten. What Rowhouse made
// itself (provisioned) is removed in any case.
//
// A step that fails stops the operation where it is; `retry` goes on. Two moves at a time, or another one
// before the confirmation, are refused. One per worker; belongs to the executor's thread.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "objects/object_mover.h"
#include "objects/object_writes.h"
#include "objects/provisioned_stores.h"
#include "objects/storage_configs.h"
#include "operations/engine.h"

namespace rowhouse::objects {

inline constexpr const char* kMoveOperation = "storage.move";
inline constexpr const char* kConfirmOperation = "storage.move_confirm";

struct MoveView {
  enum class State {
    copying,  // not all is in the new store
    copied,   // waits for the confirmation
  } state = State::copying;
  std::string from;       // provider
  MoveRest rest;          // in the former store
  std::string operation;  // id of the last one about this move; "" = it was pruned
};

enum class OldObjects { remove, keep };

class StorageMoves {
 public:
  using ContextOf = std::function<Task<Result<identity::TenantContext>>(Uuid tenant, CallOptions options)>;

  // Adds its kinds of operation to `engine`, which must not have been started, and must have been stopped
  // before this is destroyed. `changed`: every worker shall look again where the tenant's objects go.
  struct Parts {
    net::Executor& executor;
    pg::Pool& platform;
    session::TenantDatabase& database;
    operations::Engine& engine;
    StorageConfigs& configs;
    ProvisionedStores& provisioned;
    ObjectWrites& writes;
    ContextOf context_of;
    StorageConfigs::Changed changed;
  };
  explicit StorageMoves(Parts parts);
  StorageMoves(const StorageMoves&) = delete;
  StorageMoves& operator=(const StorageMoves&) = delete;

  // Start an operation, and answer its id. Errors: as StorageConfigs::check_target(); conflict (a move is
  // under way or waits for its confirmation; the tenant has provisioned storage already; it is being
  // removed); storage_not_configured (this installation provisions none).
  Task<Result<Uuid>> start(Uuid tenant, StorageSetting setting, tenancy::Actor actor, CallOptions options);
  Task<Result<Uuid>> start_provisioned(Uuid tenant, tenancy::Actor actor, CallOptions options);
  // Error conflict: there is nothing to confirm, the move has not ended, uploads of before are open.
  Task<Result<Uuid>> confirm(Uuid tenant, OldObjects old_objects, tenancy::Actor actor, CallOptions options);
  // nullopt: the tenant is not being moved.
  Task<Result<std::optional<MoveView>>> view(Uuid tenant, CallOptions options);

 private:
  struct Stores;
  using Run = operations::Run;
  operations::Kind move_kind();
  operations::Kind confirm_kind();
  Task<Result<Stores>> read_stores(Uuid tenant, CallOptions options);
  Task<Result<Stores>> read_stores_in(pg::Session& session, Uuid tenant, Uuid except_operation,
                                      CallOptions options);
  Task<Result<Uuid>> submit(Uuid tenant, std::optional<StorageConfigs::Target> target, tenancy::Actor actor,
                            CallOptions options);
  Task<Result<void>> record(pg::Session& session, const Run& run, std::string action, std::string provider,
                            CallOptions options);
  Task<Result<Stores>> lock(Run& run, pg::Session& session);

  // ---- steps
  Task<Result<void>> register_move(std::optional<StorageConfigs::Target> target, Run& run,
                                   pg::Session& session);
  Task<Result<void>> create_store(Run& run);
  Task<Result<void>> try_store(Run& run);
  Task<Result<void>> switch_store(Run& run, pg::Session& session);
  Task<Result<void>> fence_writes(Run& run);
  Task<Result<void>> copy_objects(Run& run);
  Task<Result<void>> register_confirmation(Run& run, pg::Session& session);
  Task<Result<void>> copy_rest(Run& run);
  Task<Result<void>> remove_old_objects(Run& run);
  Task<Result<void>> remove_store(Run& run);
  Task<Result<void>> forget_store(Run& run, pg::Session& session);

  Parts parts_;
  ObjectMover mover_;
};

}  // namespace rowhouse::objects
