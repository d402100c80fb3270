// Starting deletions, and waiting for them; the steps are in tenant_steps.cc.
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "observe/log.h"
#include "tenancy/tenants_impl.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::string_view kStaleAfter = "10 minutes";
constexpr std::size_t kMaxAbandoned = 1'000;

// Of a refused submission: the operation that removes the tenant already.
constexpr std::string_view kRemovedBy = "removed_by";

// What speaks against deleting a tenant: its instances, an operation that has not ended. The row of the
// tenant is locked by then, so that two deletions cannot overlook each other.
constexpr std::string_view kObstaclesSql = R"(
SELECT EXISTS (SELECT FROM platform.instances WHERE tenant_id = $1::uuid),
       (SELECT id FROM platform.operations WHERE tenant_id = $1::uuid AND id <> $2::uuid
          AND kind IN ('tenant.create', 'tenant.delete') AND finished_at IS NULL LIMIT 1),
       EXISTS (SELECT FROM platform.operations WHERE tenant_id = $1::uuid AND id <> $2::uuid
                 AND kind IN ('tenant.create', 'tenant.delete')))";

constexpr std::string_view kUnfinishedSql = R"(
SELECT id FROM platform.operations WHERE tenant_id = $1::uuid
   AND kind IN ('tenant.create', 'tenant.delete') AND finished_at IS NULL ORDER BY created_at LIMIT 1)";

const std::string& abandoned_sql() {
  static const std::string sql =
      "SELECT " + std::string(kTenantColumns) + std::string(kTenantFrom) +
      "WHERE t.status IN ('provisioning', 'deleting') AND ($1::interval IS NULL OR "
      "t.updated_at < pg_catalog.now() - $1::interval) AND NOT EXISTS (SELECT FROM platform.operations o "
      "WHERE o.tenant_id = t.id AND o.kind IN ('tenant.create', 'tenant.delete')) "
      "ORDER BY t.created_at LIMIT " +
      std::to_string(kMaxAbandoned);
  return sql;
}

Error no_such_tenant() { return Error(ErrorCode::not_found, "there is no such tenant"); }

Task<Result<void>> refuse_unknown(operations::Run&, pg::Session&) { co_return no_such_tenant(); }

}  // namespace

Task<Result<void>> TenantService::Impl::close(Closing closing, operations::Run& run, pg::Session& session) {
  CO_TRY(const auto tenant, co_await read_locked(*run.tenant(), session, run.options()));
  pg::Params params;
  params.emplace_back(tenant->id.to_string());
  params.emplace_back(run.id().to_string());
  const pg::Statement statement(std::string(kObstaclesSql), std::move(params));
  CO_TRY(const auto obstacles, co_await session.query(statement, run.options()));
  const bool has_instances = obstacles.text(0, 0) == "t";
  const std::string unfinished(obstacles.text(0, 1));
  if (closing == Closing::abandoned && obstacles.text(0, 2) == "t") {
    co_return Error(ErrorCode::conflict, "an operation belongs to the tenant by now");
  }
  if (tenant->status == TenantStatus::deleting && !unfinished.empty()) {
    co_return Error(ErrorCode::conflict, "the tenant is being removed already")
        .with_detail(std::string(kRemovedBy), unfinished);
  }
  const bool is_being_created = tenant->status == TenantStatus::provisioning || !unfinished.empty();
  if (closing == Closing::asked_for && is_being_created) {
    co_return Error(ErrorCode::conflict, "the tenant is being created; delete it when that has ended");
  }
  if (has_instances) {
    co_return Error(ErrorCode::conflict, "the tenant still has running instances; remove them first");
  }
  if (tenant->status == TenantStatus::deleting) co_return Result<void>();
  // From here on its keys are refused everywhere.
  std::string action =
      closing == Closing::abandoned ? "tenant.creation_abandoned" : "tenant.deletion_started";
  const auto set_deleting =
      status_statement(*tenant, tenant->status, TenantStatus::deleting, std::move(action), actor_of(run));
  CO_TRY_DO(co_await session.query(set_deleting, run.options()));
  co_return Result<void>();
}

Task<Result<StartedRemoval>> TenantService::Impl::start_removal(std::shared_ptr<const Tenant> tenant,
                                                                Actor actor, Closing closing,
                                                                operations::Submission submission,
                                                                CallOptions options) {
  submission.tenant = tenant->id;
  submission.input = operation_input(*tenant, actor);
  if (closing == Closing::abandoned) submission.input.set(kReason, kAbandoned);
  submission.first = [this, closing](operations::Run& run, pg::Session& session) {
    return close(closing, run, session);
  };
  StartedRemoval started;
  auto submitted = co_await engine.submit(std::move(submission), options);
  if (submitted.ok()) {
    announce(tenant->id);
    started.operation = submitted->id;
    started.novelty = submitted->novelty;
    co_return started;
  }
  const auto running = Uuid::parse(submitted.error().detail(kRemovedBy));
  if (!running) co_return std::move(submitted).error();
  started.operation = *running;
  started.novelty = operations::Submitted::Novelty::repeated;
  // Whoever asks again may have mended what it waits for.
  const auto retried = co_await engine.retry(*running, actor.name, options);
  if (!retried.ok() && retried.error().code != ErrorCode::conflict) co_return Error(retried.error());
  co_return started;
}

Task<Result<StartedRemoval>> TenantService::start_remove(std::string id_or_slug, Actor actor,
                                                         std::string request_key, CallOptions options) {
  operations::Submission submission;
  submission.kind = kDeleteOperation;
  submission.requested_by = actor.name;
  submission.input = json::Value(json::Object{});
  if (!request_key.empty()) {
    submission.request_key = request_key_of(kDeleteOperation, actor, request_key);
    submission.request_digest = to_hex(crypto::sha256(id_or_slug));
  }
  auto tenant = co_await impl_->read(std::move(id_or_slug), options);
  if (tenant.ok()) {
    co_return co_await impl_->start_removal(std::move(tenant).value(), std::move(actor),
                                            Impl::Closing::asked_for, std::move(submission), options);
  }
  if (tenant.error().code != ErrorCode::not_found || submission.request_key.empty()) {
    co_return std::move(tenant).error();
  }
  // The tenant may be gone because of this very request.
  submission.first = refuse_unknown;
  CO_TRY(const auto submitted, co_await impl_->engine.submit(std::move(submission), options));
  StartedRemoval started;
  started.operation = submitted.id;
  started.novelty = submitted.novelty;
  co_return started;
}

Task<Result<void>> TenantService::finish_remove(StartedRemoval started, CallOptions options) {
  using operations::OperationStatus;
  CO_TRY(const auto operation, co_await impl_->engine.wait(started.operation, options));
  if (operation.tenant) impl_->announce(*operation.tenant);
  if (operation.status == OperationStatus::failed) co_return operations::operation_error(operation);
  if (operation.status == OperationStatus::paused) {
    co_return Error(ErrorCode::conflict,
                    "the deletion was paused by an operator; operation " + operation.id.to_string());
  }
  if (operations::is_held_up(operation)) {
    Error error = operations::operation_error(operation);
    error.message += "; the tenant is closed, and operation " + operation.id.to_string() +
                     " deletes it as soon as the cause is mended";
    co_return error;
  }
  // A creation that was taken back leaves as little as a deletion.
  co_return Result<void>();
}

Task<Result<void>> TenantService::remove(std::string id_or_slug, Actor actor, CallOptions options) {
  const std::string no_key;
  CO_TRY(auto started, co_await start_remove(std::move(id_or_slug), std::move(actor), no_key, options));
  co_return co_await finish_remove(started, options);
}

Task<Result<void>> TenantService::settle(Uuid tenant, CallOptions options) {
  pg::Params params;
  params.emplace_back(tenant.to_string());
  const pg::Statement statement(std::string(kUnfinishedSql), std::move(params));
  for (;;) {
    CO_TRY(const auto rows, co_await impl_->platform.run(nullptr, statement, options));
    const auto operation = rows.size() == 0 ? std::nullopt : Uuid::parse(rows.text(0, 0));
    if (!operation) co_return Result<void>();
    CO_TRY(const auto ended, co_await impl_->engine.wait(*operation, options));
    if (ended.status == operations::OperationStatus::paused) {
      co_return Error(ErrorCode::conflict,
                      "operation " + operation->to_string() + " on the tenant is paused; resume it");
    }
    if (operations::is_held_up(ended)) co_return operations::operation_error(ended);
  }
}

Task<Result<std::size_t>> TenantService::remove_abandoned(Abandoned which, CallOptions options) {
  pg::Params params;
  params.emplace_back(which == Abandoned::stale ? pg::Param(kStaleAfter) : std::nullopt);
  const pg::Statement statement(abandoned_sql(), std::move(params));
  CO_TRY(const auto rows, co_await impl_->platform.run(nullptr, statement, options));
  const auto find_pack = impl_->finder();
  std::size_t started_count = 0;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    CO_TRY(auto tenant, tenant_from_row(rows, row, 0, find_pack));
    const std::string slug = tenant->slug;
    Actor server("server", "");
    operations::Submission submission;
    submission.kind = kDeleteOperation;
    submission.requested_by = server.name;
    auto started = co_await impl_->start_removal(std::move(tenant), std::move(server),
                                                 Impl::Closing::abandoned, std::move(submission), options);
    if (started.ok()) {
      ++started_count;
      continue;
    }
    // One that cannot be removed must not keep the others.
    observe::process_log().write_error("abandoned_tenant_not_removed", started.error(), {{"tenant", slug}});
  }
  co_return started_count;
}

}  // namespace rowhouse::tenancy
