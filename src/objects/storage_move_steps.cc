// The steps of storage.move and storage.move_confirm; see storage_moves.h.
#include <algorithm>
#include <utility>

#include "objects/storage_limit.h"
#include "objects/storage_moves_impl.h"
#include "storage/admin.h"

namespace rowhouse::objects {
namespace {

using namespace std::chrono_literals;
using operations::Step;

// Copying takes as long as it takes; who holds the lease is what limits it.
constexpr std::chrono::milliseconds kCopyTime = std::chrono::hours(24 * 30);
// A store that is away for half an hour is waited for.
constexpr operations::Retry kCopyRetry{40, 500ms, 60'000ms};

constexpr std::string_view kLeaveSql = R"(
UPDATE platform.tenant_storage_configs SET active = false
WHERE tenant_id = $1::uuid AND store = $2::integer AND active)";
constexpr std::string_view kEnterSql = R"(
WITH entered AS (
  UPDATE platform.tenant_storage_configs SET active = true
  WHERE tenant_id = $1::uuid AND store = $2::integer RETURNING tenant_id, provider, origin),
chosen AS (
  UPDATE platform.tenants t SET storage_choice = e.origin FROM entered e
  WHERE t.id = e.tenant_id AND t.storage_choice <> e.origin)
SELECT provider FROM entered)";
constexpr std::string_view kForgetSql = R"(
DELETE FROM platform.tenant_storage_configs WHERE tenant_id = $1::uuid AND store = $2::integer AND NOT active)";

// The rows of the first step were written when the operation was submitted.
Task<Result<void>> done_at_submission(operations::Run&, pg::Session&) { co_return Result<void>(); }

Error superseded() {
  return Error(ErrorCode::conflict, "another move of the tenant has taken the place of this one");
}

}  // namespace

Result<ObjectMover::Way> way_of(operations::Run& run) {
  const auto number = [&](const char* name) -> int {
    const json::Value* value = run.state().find(name);
    const auto found = value == nullptr ? std::nullopt : value->as_int64();
    return found ? static_cast<int>(*found) : 0;
  };
  ObjectMover::Way way;
  way.from = number(kFrom);
  way.to = number(kTo);
  if (!run.tenant() || way.from == 0 || way.to == 0) {
    return Error(ErrorCode::internal, "the operation does not say which storage it is about");
  }
  return way;
}

bool is_provisioned(const json::Value& input) { return input.find(kProvisioned) != nullptr; }

operations::Kind StorageMoves::move_kind() {
  operations::Kind kind;
  kind.name = kMoveOperation;
  kind.on_failure = operations::OnFailure::stop;
  auto& steps = kind.steps;
  steps.push_back(Step::record("register", done_at_submission));
  steps.push_back(
      Step::effect("create_store", [this](Run& run) { return create_store(run); }).when(is_provisioned));
  steps.push_back(Step::effect("try_store", [this](Run& run) { return try_store(run); }));
  steps.push_back(Step::record(
      "switch_store", [this](Run& run, pg::Session& session) { return switch_store(run, session); }));
  steps.push_back(Step::effect("fence_writes", [this](Run& run) { return fence_writes(run); }));
  steps.push_back(Step::effect("copy_objects", [this](Run& run) { return copy_objects(run); })
                      .within(kCopyTime)
                      .retried(kCopyRetry));
  return kind;
}

operations::Kind StorageMoves::confirm_kind() {
  operations::Kind kind;
  kind.name = kConfirmOperation;
  kind.on_failure = operations::OnFailure::stop;
  auto& steps = kind.steps;
  steps.push_back(Step::record("register", done_at_submission));
  steps.push_back(Step::effect("copy_rest", [this](Run& run) { return copy_rest(run); })
                      .within(kCopyTime)
                      .retried(kCopyRetry));
  steps.push_back(Step::effect("remove_old_objects", [this](Run& run) { return remove_old_objects(run); })
                      .within(kCopyTime)
                      .retried(kCopyRetry));
  steps.push_back(
      Step::effect("remove_store", [this](Run& run) { return remove_store(run); }).when(is_provisioned));
  steps.push_back(Step::record(
      "forget_store", [this](Run& run, pg::Session& session) { return forget_store(run, session); }));
  return kind;
}

// ------------------------------------------------------------------------------------------------ moving

Task<Result<void>> StorageMoves::create_store(Run& run) {
  CO_TRY(const auto way, way_of(run));
  // Of a tenant that is being removed nothing is made any more.
  CO_TRY(const auto context, co_await parts_.context_of(*run.tenant(), run.options()));
  const std::uint64_t quota = storage_quota_of(context.tenant());
  co_return co_await parts_.provisioned.make_target(*run.tenant(), way.to, quota, run.options());
}

Task<Result<void>> StorageMoves::try_store(Run& run) {
  CO_TRY(const auto way, way_of(run));
  parts_.configs.forget(*run.tenant());
  auto tried = co_await parts_.configs.require_target(*run.tenant(), way.to, run.options());
  if (!tried.ok() && tried.error().code == ErrorCode::storage_not_configured) co_return superseded();
  co_return tried;
}

Task<Result<void>> StorageMoves::switch_store(Run& run, pg::Session& session) {
  CO_TRY(const auto way, way_of(run));
  CO_TRY(const Stores stores, co_await lock(run, session));
  if (stores.active.number != way.from || stores.target.number != way.to) co_return superseded();
  const std::string tenant = run.tenant()->to_string();
  const pg::Statement leave(std::string(kLeaveSql), {tenant, std::to_string(way.from)}, pg::Access::write);
  CO_TRY_DO(co_await session.query(leave, run.options()));
  const pg::Statement enter(std::string(kEnterSql), {tenant, std::to_string(way.to)}, pg::Access::write);
  CO_TRY_DO(co_await session.query(enter, run.options()));
  co_return co_await record(session, run, "storage.move_switched", stores.target.provider, run.options());
}

Task<Result<void>> StorageMoves::fence_writes(Run& run) {
  CO_TRY(const auto way, way_of(run));
  parts_.changed(*run.tenant());
  CO_TRY(const auto context, co_await parts_.context_of(*run.tenant(), run.options()));
  co_return co_await mover_.rows().raise_fence(context, way.to, run.options());
}

Task<Result<void>> StorageMoves::copy_objects(Run& run) {
  CO_TRY(const auto way, way_of(run));
  CO_TRY(const auto context, co_await parts_.context_of(*run.tenant(), run.options()));
  CO_TRY_DO(co_await mover_.copy_all(context, way, run));
  // Copies of what was replaced or deleted while it was copied.
  parts_.writes.sweep_soon(context);
  co_return Result<void>();
}

// ------------------------------------------------------------------------------------------- confirming

Task<Result<void>> StorageMoves::copy_rest(Run& run) {
  CO_TRY(const auto way, way_of(run));
  CO_TRY(const auto context, co_await parts_.context_of(*run.tenant(), run.options()));
  CO_TRY_DO(co_await mover_.rows().raise_fence(context, way.to, run.options()));
  CO_TRY_DO(co_await mover_.copy_all(context, way, run));
  parts_.writes.sweep_soon(context);
  CO_TRY(const MoveRest rest, co_await mover_.rows().rest(context, way.from, run.options()));
  if (rest.uploads == 0) co_return Result<void>();
  co_return Error(ErrorCode::conflict,
                  "uploads that began before the move are open; complete them or give "
                  "them up, then retry");
}

Task<Result<void>> StorageMoves::remove_old_objects(Run& run) {
  CO_TRY(const auto way, way_of(run));
  CO_TRY(const auto context, co_await parts_.context_of(*run.tenant(), run.options()));
  MoveRows& rows = mover_.rows();
  CO_TRY(const bool is_free, co_await rows.release_old(context, way.from, run.options()));
  if (!is_free) co_return Error(ErrorCode::conflict, "there are still objects in the former storage");
  const json::Value* wish = run.input().find(kOldObjects);
  const bool is_kept = wish != nullptr && *wish == json::Value(kKeep);
  // What was made for the tenant goes as a whole.
  if (is_kept || is_provisioned(run.input())) {
    co_return co_await rows.drop_old(context, way.from, run.options());
  }
  CO_TRY(const std::int64_t all, co_await rows.count_old(context, way.from, run.options()));
  std::int64_t removed = 0;
  while (true) {
    CO_TRY(auto garbage, co_await rows.old_copies(context, way.from, run.options()));
    if (garbage.empty()) break;
    removed += static_cast<std::int64_t>(garbage.size());
    const std::function<Task<Result<void>>()> work = [&] {
      return parts_.writes.remove_listed(context, garbage, run.options());
    };
    CO_TRY_DO(co_await storage::as_effect("remove old objects", work, run.options()));
    const std::string what = "old objects";
    CO_TRY_DO(co_await run.progress(removed, std::max(all, removed), what));
    if (run.pause_requested()) co_return operations::paused();
  }
  run.output().set("removed", removed);
  co_return Result<void>();
}

Task<Result<void>> StorageMoves::remove_store(Run& run) {
  co_return co_await parts_.provisioned.remove(*run.tenant(), run.options());
}

Task<Result<void>> StorageMoves::forget_store(Run& run, pg::Session& session) {
  CO_TRY(const auto way, way_of(run));
  const pg::Statement forget(std::string(kForgetSql), {run.tenant()->to_string(), std::to_string(way.from)},
                             pg::Access::write);
  CO_TRY_DO(co_await session.query(forget, run.options()));
  co_return Result<void>();
}

}  // namespace rowhouse::objects
