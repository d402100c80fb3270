#include "objects/storage_moves.h"

#include <utility>

#include "base/text.h"
#include "objects/storage_configs_impl.h"
#include "objects/storage_moves_impl.h"
#include "tenancy/tenant_store.h"

namespace rowhouse::objects {
namespace {

constexpr std::string_view kStoresSql = R"(
SELECT c.store, c.active, c.provider, c.origin = 'provisioned'
FROM platform.tenant_storage_configs c WHERE c.tenant_id = $1::uuid ORDER BY c.store)";

constexpr std::string_view kOperationSql = R"(
SELECT o.id, o.finished_at IS NULL FROM platform.operations o
WHERE o.tenant_id = $1::uuid AND o.id <> $2::uuid AND o.kind IN ('storage.move', 'storage.move_confirm')
ORDER BY (o.finished_at IS NULL) DESC, o.created_at DESC LIMIT 1)";

Error moving(const std::string& operation) {
  return Error(ErrorCode::conflict,
               "the tenant's objects are being moved already: operation " + operation + " has not ended");
}

Error not_confirmed() {
  return Error(ErrorCode::conflict,
               "the tenant's last move waits for its confirmation (storage confirm-move)");
}

}  // namespace

StorageMoves::StorageMoves(Parts parts)
    : parts_(std::move(parts)), mover_(parts_.executor, parts_.database, parts_.configs) {
  parts_.engine.add(move_kind());
  parts_.engine.add(confirm_kind());
}

// ---------------------------------------------------------------------------------------------- reading

Task<Result<StorageMoves::Stores>> StorageMoves::read_stores(Uuid tenant, CallOptions options) {
  CO_TRY(auto session, co_await parts_.platform.acquire(options));
  co_return co_await read_stores_in(session, tenant, Uuid(), options);
}

Task<Result<StorageMoves::Stores>> StorageMoves::read_stores_in(pg::Session& session, Uuid tenant,
                                                                Uuid except_operation, CallOptions options) {
  const pg::Statement list(std::string(kStoresSql), {tenant.to_string()});
  CO_TRY(const auto rows, co_await session.query(list, options));
  Stores stores;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    Stores::One one;
    one.number = static_cast<int>(parse_int64(rows.text(row, 0)).value_or(0));
    one.provider = rows.text(row, 2);
    one.is_provisioned = rows.text(row, 3) == "t";
    const bool is_active = rows.text(row, 1) == "t";
    Stores::One& place = is_active ? stores.active : stores.active.is_there() ? stores.target : stores.former;
    place = std::move(one);
  }
  const pg::Statement last(std::string(kOperationSql), {tenant.to_string(), except_operation.to_string()});
  CO_TRY(const auto operation, co_await session.query(last, options));
  if (operation.size() > 0) {
    stores.operation = operation.text(0, 0);
    stores.is_running = operation.text(0, 1) == "t";
  }
  co_return stores;
}

Task<Result<std::optional<MoveView>>> StorageMoves::view(Uuid tenant, CallOptions options) {
  std::optional<MoveView> view;
  CO_TRY(const Stores stores, co_await read_stores(tenant, options));
  const bool is_beginning = stores.target.is_there() && stores.is_running;
  if (!stores.former.is_there() && !is_beginning) co_return view;
  const Stores::One& from = stores.former.is_there() ? stores.former : stores.active;
  const auto context = co_await parts_.context_of(tenant, options);
  if (!context.ok()) co_return view;  // it is being removed
  MoveView found;
  found.from = from.provider;
  found.operation = stores.operation;
  CO_TRY(found.rest, co_await mover_.rows().rest(*context, from.number, options));
  const bool is_copied = found.rest.objects == 0 && found.rest.writes == 0 && stores.former.is_there();
  if (is_copied && !stores.is_running) found.state = MoveView::State::copied;
  view = std::move(found);
  co_return view;
}

// ------------------------------------------------------------------------------------------------ beginning

Task<Result<Uuid>> StorageMoves::start(Uuid tenant, StorageSetting setting, tenancy::Actor actor,
                                       CallOptions options) {
  CO_TRY(const Stores stores, co_await read_stores(tenant, options));
  if (stores.is_running) co_return moving(stores.operation);
  if (stores.former.is_there()) co_return not_confirmed();
  CO_TRY(auto target, co_await parts_.configs.check_target(tenant, std::move(setting), options));
  std::optional<StorageConfigs::Target> wanted(std::move(target));
  co_return co_await submit(tenant, std::move(wanted), std::move(actor), options);
}

Task<Result<Uuid>> StorageMoves::start_provisioned(Uuid tenant, tenancy::Actor actor, CallOptions options) {
  if (!parts_.provisioned.available()) {
    co_return Error(ErrorCode::storage_not_configured,
                    "this installation provisions no storage (storage_provisioned)");
  }
  CO_TRY_DO(co_await parts_.configs.get(tenant, options));  // says so where there is nothing to move from
  std::optional<StorageConfigs::Target> none;
  co_return co_await submit(tenant, std::move(none), std::move(actor), options);
}

Task<Result<Uuid>> StorageMoves::submit(Uuid tenant, std::optional<StorageConfigs::Target> target,
                                        tenancy::Actor actor, CallOptions options) {
  operations::Submission submission;
  submission.kind = kMoveOperation;
  submission.tenant = tenant;
  submission.requested_by = actor.name;
  submission.input = json::Value(json::Object{});
  submission.input.set(kAddress, actor.address);
  if (target) {
    submission.input.set(kProvider, target->provider);
  } else {
    submission.input.set(kProvisioned, true);
  }
  submission.first = [this, target = std::move(target)](Run& run, pg::Session& session) {
    return register_move(target, run, session);
  };
  CO_TRY(const auto submitted, co_await parts_.engine.submit(std::move(submission), options));
  co_return submitted.id;
}

Task<Result<Uuid>> StorageMoves::confirm(Uuid tenant, OldObjects old_objects, tenancy::Actor actor,
                                         CallOptions options) {
  CO_TRY(const Stores stores, co_await read_stores(tenant, options));
  if (stores.is_running) co_return moving(stores.operation);
  if (!stores.former.is_there()) {
    co_return Error(ErrorCode::conflict, "the tenant's objects were not moved: there is nothing to confirm");
  }
  CO_TRY(const auto context, co_await parts_.context_of(tenant, options));
  CO_TRY(const MoveRest rest, co_await mover_.rows().rest(context, stores.former.number, options));
  if (rest.uploads > 0) {
    co_return Error(ErrorCode::conflict, std::to_string(rest.uploads) +
                                             " uploads that began before the move are open; complete them or "
                                             "give them up first");
  }
  operations::Submission submission;
  submission.kind = kConfirmOperation;
  submission.tenant = tenant;
  submission.requested_by = actor.name;
  submission.input = json::Value(json::Object{});
  submission.input.set(kAddress, actor.address);
  submission.input.set(kProvider, stores.former.provider);
  if (stores.former.is_provisioned) submission.input.set(kProvisioned, true);
  submission.input.set(kOldObjects, old_objects == OldObjects::keep ? kKeep : "delete");
  submission.first = [this](Run& run, pg::Session& session) { return register_confirmation(run, session); };
  CO_TRY(const auto submitted, co_await parts_.engine.submit(std::move(submission), options));
  co_return submitted.id;
}

// ---- in the transaction that submits the operation

// Of two that begin at the same moment, and of one that begins and a deletion, the second sees the first.
Task<Result<StorageMoves::Stores>> StorageMoves::lock(Run& run, pg::Session& session) {
  const pg::Statement statement(
      "SELECT status IN ('active', 'suspended') FROM platform.tenants WHERE id = $1::uuid FOR UPDATE",
      {run.tenant()->to_string()}, pg::Access::write);
  CO_TRY(const auto tenant, co_await session.query(statement, run.options()));
  if (tenant.size() == 0) co_return Error(ErrorCode::not_found, "there is no such tenant");
  if (tenant.text(0, 0) != "t") co_return Error(ErrorCode::conflict, "the tenant is being made or removed");
  co_return co_await read_stores_in(session, *run.tenant(), run.id(), run.options());
}

Task<Result<void>> StorageMoves::record(pg::Session& session, const Run& run, std::string action,
                                        std::string provider, CallOptions options) {
  const json::Value* address = run.input().find(kAddress);
  const bool has_address = address != nullptr && address->as_string() != nullptr;
  const tenancy::Actor actor(run.requested_by(), has_address ? *address->as_string() : std::string());
  static const std::string sql =
      "WITH t AS (SELECT $1::uuid AS id), recorded AS (" + audit::insert_sql(2, "t") + "), announced AS (" +
      tenancy::outbox_sql(2 + audit::kChangeParameters, "t") + ") SELECT id FROM t";
  pg::Params params;
  params.emplace_back(run.tenant()->to_string());
  append_record(params, change_of(*run.tenant(), std::move(action), provider, actor));
  const pg::Statement statement(sql, std::move(params), pg::Access::write);
  CO_TRY_DO(co_await session.query(statement, options));
  co_return Result<void>();
}

Task<Result<void>> StorageMoves::register_move(std::optional<StorageConfigs::Target> target, Run& run,
                                               pg::Session& session) {
  CO_TRY(const Stores stores, co_await lock(run, session));
  if (stores.is_running) co_return moving(stores.operation);
  if (stores.former.is_there()) co_return not_confirmed();
  if (!stores.active.is_there()) {
    co_return Error(ErrorCode::storage_not_configured, "the tenant has no object storage to move away from");
  }
  if (!target && stores.active.is_provisioned) {
    co_return Error(ErrorCode::conflict, "the tenant has provisioned storage already");
  }
  // Half made, perhaps: only a move there can end it.
  const bool is_half_made = stores.target.is_there() && stores.target.is_provisioned;
  if (target && is_half_made) {
    co_return Error(ErrorCode::conflict,
                    "a move of the tenant to provisioned storage has not ended: go on with operation " +
                        stores.operation + ", or move there again");
  }
  int number = stores.target.number;
  if (!is_half_made) {
    const pg::Statement next("SELECT platform.next_store($1::uuid)", {run.tenant()->to_string()},
                             pg::Access::write);
    CO_TRY(const auto given, co_await session.query(next, run.options()));
    number = static_cast<int>(parse_int64(given.text(0, 0)).value_or(0));
  }
  run.state().set(kFrom, static_cast<std::int64_t>(stores.active.number));
  run.state().set(kTo, static_cast<std::int64_t>(number));
  std::string provider = target ? target->provider : std::string(kProvisioned);
  if (target) {
    CO_TRY_DO(co_await parts_.configs.save_target(session, *run.tenant(), number, std::move(*target),
                                                  run.options()));
  }
  co_return co_await record(session, run, "storage.move_started", std::move(provider), run.options());
}

Task<Result<void>> StorageMoves::register_confirmation(Run& run, pg::Session& session) {
  CO_TRY(const Stores stores, co_await lock(run, session));
  if (stores.is_running) co_return moving(stores.operation);
  if (!stores.former.is_there()) {
    co_return Error(ErrorCode::conflict, "the tenant's objects were not moved: there is nothing to confirm");
  }
  run.state().set(kFrom, static_cast<std::int64_t>(stores.former.number));
  run.state().set(kTo, static_cast<std::int64_t>(stores.active.number));
  co_return co_await record(session, run, "storage.move_confirmed", stores.former.provider, run.options());
}

}  // namespace rowhouse::objects
