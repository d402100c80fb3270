// The steps of tenant.create and tenant.delete; see tenant_operations.h.
#include <utility>

#include "tenancy/tenants_impl.h"

namespace rowhouse::tenancy {

namespace {

using namespace std::chrono_literals;
using operations::Run;
using operations::Step;

// A template that somebody is connected to (a pack being upgraded) cannot be cloned right now.
constexpr operations::Retry kCloneRetry{20, 150ms, 1'000ms};

// Somebody waits who can mend what they have typed.
constexpr operations::Retry kStoreRetry{2, 300ms, 1'000ms};

constexpr const char* kPackVersion = "pack_version";  // in the state: of what the schema was prepared with

const std::string& delete_sql() {
  static const std::string sql =
      "WITH t AS (DELETE FROM platform.tenants WHERE id = $1::uuid AND status = 'deleting' "
      "RETURNING *), recorded AS (" +
      audit::insert_sql(2, "t") + "), announced AS (" + outbox_sql(2 + audit::kChangeParameters, "t") +
      ") SELECT id FROM t";
  return sql;
}

// What the registry could still hold of a tenant; usage, operations, audit and events are kept on purpose.
constexpr std::string_view kLeftSql = R"(
SELECT 'tenants' FROM platform.tenants WHERE id = $1::uuid
UNION ALL SELECT 'tenant_databases' FROM platform.tenant_databases WHERE tenant_id = $1::uuid
UNION ALL SELECT 'api_keys' FROM platform.api_keys WHERE tenant_id = $1::uuid
UNION ALL SELECT 'tenant_data_keys' FROM platform.tenant_data_keys WHERE tenant_id = $1::uuid
UNION ALL SELECT 'tenant_storage_configs' FROM platform.tenant_storage_configs WHERE tenant_id = $1::uuid
UNION ALL SELECT 'tenant_store_numbers' FROM platform.tenant_store_numbers WHERE tenant_id = $1::uuid
UNION ALL SELECT 'instances' FROM platform.instances WHERE tenant_id = $1::uuid)";

// Operations of src/objects that make or fill storage of a tenant.
constexpr std::string_view kMovesSql = R"(
SELECT id FROM platform.operations WHERE tenant_id = $1::uuid
   AND kind IN ('storage.move', 'storage.move_confirm') AND finished_at IS NULL)";

// A move may have begun to make some that is written down nowhere else.
constexpr std::string_view kMayHaveStoreSql = R"(
SELECT EXISTS (SELECT FROM platform.tenant_storage_configs WHERE tenant_id = $1::uuid AND origin = 'provisioned')
    OR EXISTS (SELECT FROM platform.operations WHERE tenant_id = $1::uuid AND kind = 'storage.move'
                 AND input @> '{"provisioned": true}'))";

// The rows of the first step were written when the operation was submitted.
Task<Result<void>> done_at_submission(Run&, pg::Session&) { co_return Result<void>(); }

bool is_pool(const json::Value& input) { return has_tier(input, Tier::pool); }
bool is_schema(const json::Value& input) { return has_tier(input, Tier::schema); }
bool is_database(const json::Value& input) { return has_tier(input, Tier::database); }
bool has_own_schema(const json::Value& input) { return !is_pool(input); }
bool shares_a_database(const json::Value& input) { return !is_database(input); }
bool wants_samples(const json::Value& input) {
  const json::Value* wanted = input.find(kSampleRows);
  return wanted != nullptr && wanted->as_bool() != nullptr && *wanted->as_bool();
}
bool is_provisioned(const json::Value& input) {
  const json::Value* storage = input.find(kStorage);
  return storage != nullptr && *storage == json::Value(storage_choice_name(StorageChoice::provisioned));
}
bool has_admin(const json::Value& input) { return input.find(kAdminEmail) != nullptr; }
bool has_storage_config(const json::Value& input) { return input.find(kHasStorageConfig) != nullptr; }
bool is_abandoned(const json::Value& input) {
  const json::Value* reason = input.find(kReason);
  return reason != nullptr && *reason == json::Value(kAbandoned);
}

}  // namespace

// The lambdas are no coroutines: what they capture need not outlive the task.
operations::Effect TenantService::Impl::step(Job job) {
  return [this, job](Run& run) { return run_job(job, run); };
}

operations::Effect TenantService::Impl::step(ProvisionerJob job) {
  return [this, job](Run& run) { return run_provisioner(job, run); };
}

operations::Effect TenantService::Impl::undo(Job job) {
  return [this, job](Run& run) { return run_undo(job, run); };
}

Task<Result<void>> TenantService::Impl::run_job(Job job, Run& run) {
  CO_TRY(const Tenant subject, subject_of(run));
  co_return co_await (this->*job)(subject, run);
}

Task<Result<void>> TenantService::Impl::run_provisioner(ProvisionerJob job, Run& run) {
  CO_TRY(const Tenant subject, subject_of(run));
  co_return co_await (provisioner.*job)(subject, run.options());
}

Task<Result<void>> TenantService::Impl::run_undo(Job job, Run& run) {
  CO_TRY(const Tenant subject, subject_of(run));
  CO_TRY_DO(co_await close_failed(subject, run));
  co_return co_await (this->*job)(subject, run);
}

operations::Kind TenantService::Impl::creation_kind() {
  const auto record = [this](Task<Result<void>> (Impl::*job)(Run&, pg::Session&)) -> operations::Record {
    return [this, job](Run& run, pg::Session& session) { return (this->*job)(run, session); };
  };
  operations::Kind kind;
  kind.name = kCreateOperation;
  kind.on_failure = operations::OnFailure::undo;
  auto& steps = kind.steps;
  steps.push_back(Step::record("register", done_at_submission, record(&Impl::undo_register)));
  steps.push_back(Step::effect("create_schema", step(&Provisioner::create_schema), undo(&Impl::remove_schema))
                      .when(is_schema));
  steps.push_back(Step::effect("create_role", step(&Provisioner::create_role), undo(&Impl::remove_role))
                      .when(is_database));
  steps.push_back(
      Step::effect("create_database", step(&Provisioner::create_database), undo(&Impl::remove_database))
          .when(is_database)
          .retried(kCloneRetry));
  steps.push_back(Step::effect("database_privileges", step(&Provisioner::grant_database)).when(is_database));
  steps.push_back(Step::effect("hand_over", step(&Provisioner::hand_over)).when(is_database));
  steps.push_back(Step::effect("guard", step(&Provisioner::guard_database)).when(is_database));
  steps.push_back(Step::effect("prepare_schema", step(&Impl::prepare_schema)).when(has_own_schema));
  steps.push_back(Step::effect("create_store", step(&Impl::create_store), undo(&Impl::remove_store))
                      .when(is_provisioned));
  steps.push_back(
      Step::effect("try_store", step(&Impl::try_store)).when(has_storage_config).retried(kStoreRetry));
  steps.push_back(Step::effect("load_samples", step(&Impl::load_sample_rows), undo(&Impl::remove_rows))
                      .when(wants_samples));
  steps.push_back(
      Step::effect("invite_admin", step(&Impl::invite_admin), undo(&Impl::remove_people)).when(has_admin));
  steps.push_back(Step::record("activate", record(&Impl::activate), record(&Impl::deactivate)));
  steps.push_back(Step::effect("catch_up", step(&Impl::catch_up)).when(has_own_schema));
  return kind;
}

operations::Kind TenantService::Impl::deletion_kind() {
  operations::Kind kind;
  kind.name = kDeleteOperation;
  kind.on_failure = operations::OnFailure::keep_trying;
  auto& steps = kind.steps;
  steps.push_back(Step::record("close", done_at_submission));
  steps.push_back(Step::effect("end_moves", step(&Impl::end_moves)));
  steps.push_back(Step::effect("wait_for_requests", step(&Impl::let_requests_end)));
  steps.push_back(Step::effect("drop_schema", step(&Provisioner::drop_schema)).when(is_schema));
  steps.push_back(Step::effect("drop_database", step(&Impl::remove_database)).when(is_database));
  steps.push_back(Step::effect("drop_role", step(&Provisioner::drop_role)).when(is_database));
  steps.push_back(Step::effect("erase_rows", step(&Provisioner::erase_rows)).when(shares_a_database));
  steps.push_back(Step::effect("remove_store", step(&Impl::remove_store)));
  steps.push_back(Step::effect("remove_people", step(&Impl::remove_people)));
  steps.push_back(Step::effect("prove", step(&Impl::prove)));
  steps.push_back(Step::record("unregister",
                               [this](Run& run, pg::Session& session) { return unregister(run, session); }));
  return kind;
}

// ---------------------------------------------------------------------------------------------- creation

Task<Result<void>> TenantService::Impl::bring_to(const Bundle& bundle, const Tenant& subject, Run& run) {
  if (subject.placement.tier == Tier::pool) co_return Result<void>();
  const json::Value* prepared = run.state().find(kPackVersion);
  if (prepared != nullptr && *prepared == json::Value(bundle.manifest.version)) co_return Result<void>();
  CO_TRY_DO(co_await provisioner.prepare_schema(subject, bundle, run.options()));
  run.state().set(kPackVersion, bundle.manifest.version);
  co_return Result<void>();
}

Task<Result<void>> TenantService::Impl::prepare_schema(const Tenant& subject, Run& run) {
  CO_TRY(const auto bundle, co_await packs.stored_bundle(subject.pack_name, run.options()));
  co_return co_await bring_to(bundle, subject, run);
}

Task<Result<void>> TenantService::Impl::create_store(const Tenant& subject, Run& run) {
  if (!make_store) {
    co_return Error(ErrorCode::storage_not_configured, "this installation provisions no storage");
  }
  CO_TRY(auto tenant, co_await read(subject.id.to_string(), run.options()));
  co_return co_await make_store(std::move(tenant), run.options());
}

// Its configuration was kept together with the tenant's row.
Task<Result<void>> TenantService::Impl::try_store(const Tenant& subject, Run& run) {
  if (!storage_configs.require_working) co_return Error(ErrorCode::internal, "no storage is wired");
  co_return co_await storage_configs.require_working(subject.id, run.options());
}

Task<Result<void>> TenantService::Impl::load_sample_rows(const Tenant& subject, Run& run) {
  if (!load_samples) co_return Error(ErrorCode::internal, "no loader of sample data is wired");
  // Nobody knows how many of them an attempt before has left.
  if (run.attempt() > 1) CO_TRY_DO(co_await provisioner.erase_rows(subject, run.options()));
  CO_TRY(const auto bundle, co_await packs.stored_bundle(subject.pack_name, run.options()));
  CO_TRY_DO(co_await bring_to(bundle, subject, run));
  CO_TRY(auto tenant, co_await read(subject.id.to_string(), run.options()));
  CO_TRY(const std::size_t rows, co_await load_samples(std::move(tenant), bundle.samples, run.options()));
  run.output().set(kSampleRows, static_cast<std::int64_t>(rows));
  co_return Result<void>();
}

// Before the tenant works, so that a mail that cannot be queued leaves no tenant without an admin.
Task<Result<void>> TenantService::Impl::invite_admin(const Tenant& subject, Run& run) {
  const json::Value* email = run.input().find(kAdminEmail);
  if (!welcome || email == nullptr || email->as_string() == nullptr) co_return Result<void>();
  CO_TRY(auto tenant, co_await read(subject.id.to_string(), run.options()));
  if (tenant->pack == nullptr) co_return Error(ErrorCode::internal, "the tenant's pack is not installed");
  std::string address = *email->as_string();
  std::string token = invitation_of(run.id());
  Actor actor = actor_of(run);
  co_return co_await welcome(std::move(tenant), std::move(address), std::move(token), std::move(actor),
                             run.options());
}

Task<Result<void>> TenantService::Impl::activate(Run& run, pg::Session& session) {
  CO_TRY(const Tenant subject, subject_of(run));
  CO_TRY(const auto tenant, co_await read_locked(subject.id, session, run.options()));
  const auto statement = status_statement(*tenant, TenantStatus::provisioning, TenantStatus::active,
                                          "tenant.created", actor_of(run));
  CO_TRY(const auto rows, co_await session.query(statement, run.options()));
  if (rows.size() == 0) {
    co_return Error(ErrorCode::conflict, "the tenant was deleted while it was being created");
  }
  run.output().set("tenant", subject.id.to_string());
  run.output().set("slug", subject.slug);
  co_return Result<void>();
}

// Nobody may use it any more before it is taken away.
Task<Result<void>> TenantService::Impl::deactivate(Run& run, pg::Session& session) {
  CO_TRY(const Tenant subject, subject_of(run));
  auto tenant = co_await read_locked(subject.id, session, run.options());
  if (!tenant.ok() && tenant.error().code == ErrorCode::not_found) co_return Result<void>();
  if (!tenant.ok()) co_return std::move(tenant).error();
  const auto from = (*tenant)->status;
  if (from == TenantStatus::deleting) co_return Result<void>();
  const auto statement =
      status_statement(**tenant, from, TenantStatus::deleting, "tenant.creation_failed", actor_of(run));
  CO_TRY_DO(co_await session.query(statement, run.options()));
  co_return Result<void>();
}

Task<Result<void>> TenantService::Impl::close_failed(const Tenant& subject, Run& run) {
  const Actor actor = actor_of(run);
  for (;;) {
    auto tenant = co_await read(subject.id.to_string(), run.options());
    if (!tenant.ok() && tenant.error().code == ErrorCode::not_found) co_return Result<void>();
    if (!tenant.ok()) co_return std::move(tenant).error();
    const auto from = (*tenant)->status;
    if (from == TenantStatus::deleting) co_return Result<void>();
    CO_TRY_DO(co_await set_status(**tenant, from, TenantStatus::deleting, "tenant.creation_failed", actor,
                                  run.options()));
  }
}

// An upgrade leaves tenants alone that are still being made. It announces the new migrations before it
// looks for tenants, so either it has seen this one active, or the new migrations are seen here.
Task<Result<void>> TenantService::Impl::catch_up(const Tenant& subject, Run& run) {
  announce(subject.id);
  co_return co_await prepare_schema(subject, run);
}

// ----------------------------------------------------------------------------------------------- removal

// None begins any more, because the tenant is closed.
Task<Result<void>> TenantService::Impl::end_moves(const Tenant& subject, Run& run) {
  const pg::Statement statement(std::string(kMovesSql), {subject.id.to_string()});
  CO_TRY(const auto rows, co_await platform.run(nullptr, statement, run.options()));
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const Uuid id = Uuid::parse(rows.text(row, 0)).value_or(Uuid());
    const auto cancelled = co_await engine.cancel(id, run.requested_by(), run.options());
    if (!cancelled.ok() && cancelled.error().code != ErrorCode::conflict) co_return Error(cancelled.error());
    CO_TRY(const auto ended, co_await engine.wait(id, run.options()));
    if (!operations::has_ended(ended.status)) {
      co_return Error(ErrorCode::overloaded, "operation " + id.to_string() + " on the tenant does not end");
    }
  }
  co_return Result<void>();
}

Task<Result<void>> TenantService::Impl::let_requests_end(const Tenant& subject, Run& run) {
  announce(subject.id);
  // A database of its own is dropped with whoever is connected to it.
  if (subject.placement.tier == Tier::database) co_return Result<void>();
  co_return co_await provisioner.wait_for_running_requests(subject, run.options());
}

Task<Result<void>> TenantService::Impl::remove_rows(const Tenant& subject, Run& run) {
  // In the other tiers they go with what holds them.
  if (subject.placement.tier != Tier::pool) co_return Result<void>();
  CO_TRY_DO(co_await let_requests_end(subject, run));
  CO_TRY_DO(co_await provisioner.erase_rows(subject, run.options()));
  co_return co_await provisioner.prove_nothing_is_left(subject, run.options());
}

Task<Result<void>> TenantService::Impl::remove_schema(const Tenant& subject, Run& run) {
  CO_TRY_DO(co_await let_requests_end(subject, run));
  CO_TRY_DO(co_await provisioner.drop_schema(subject, run.options()));
  CO_TRY_DO(co_await provisioner.erase_rows(subject, run.options()));
  co_return co_await provisioner.prove_nothing_is_left(subject, run.options());
}

Task<Result<void>> TenantService::Impl::remove_database(const Tenant& subject, Run& run) {
  if (close_database) close_database(subject.placement.database);
  co_return co_await provisioner.drop_database(subject, run.options());
}

Task<Result<void>> TenantService::Impl::remove_role(const Tenant& subject, Run& run) {
  CO_TRY_DO(co_await provisioner.drop_role(subject, run.options()));
  co_return co_await provisioner.prove_nothing_is_left(subject, run.options());
}

Task<Result<bool>> TenantService::Impl::may_have_store(const Tenant& subject, Run& run) {
  if (is_provisioned(run.input())) co_return true;
  const pg::Statement statement(std::string(kMayHaveStoreSql), {subject.id.to_string()});
  CO_TRY(const auto rows, co_await platform.run(nullptr, statement, run.options()));
  co_return rows.text(0, 0) == "t";
}

Task<Result<void>> TenantService::Impl::remove_store(const Tenant& subject, Run& run) {
  CO_TRY(const bool may_have_store_now, co_await may_have_store(subject, run));
  if (!remove_tenant_store || !may_have_store_now) co_return Result<void>();
  co_return co_await remove_tenant_store(subject.id, run.options());
}

// By now nobody is let in any more, and a request that made a membership has ended.
Task<Result<void>> TenantService::Impl::remove_people(const Tenant& subject, Run& run) {
  if (!remove_tenant_people) co_return Result<void>();
  const Actor actor = actor_of(run);
  co_return co_await remove_tenant_people(subject.id, actor, run.options());
}

Task<Result<void>> TenantService::Impl::prove(const Tenant& subject, Run& run) {
  // Something was left the last time: to look again would not make it go away.
  if (run.attempt() > 1) {
    switch (subject.placement.tier) {
      case Tier::pool:
        co_return co_await remove_rows(subject, run);
      case Tier::schema:
        co_return co_await remove_schema(subject, run);
      case Tier::database:
        CO_TRY_DO(co_await remove_database(subject, run));
        co_return co_await remove_role(subject, run);
    }
  }
  co_return co_await provisioner.prove_nothing_is_left(subject, run.options());
}

Task<Result<void>> TenantService::Impl::delete_rows(const Tenant& tenant, std::string action, Run& run,
                                                    pg::Session& session) {
  auto change = change_of(tenant.id, std::move(action), actor_of(run));
  change.old_json = json::serialize(tenant_summary(tenant));
  pg::Params params;
  params.emplace_back(tenant.id.to_string());
  audit::append_parameters(params, change);
  params.emplace_back(change.action);
  params.emplace_back(change.old_json);
  const pg::Statement statement(delete_sql(), std::move(params), pg::Access::write);
  CO_TRY_DO(co_await session.query(statement, run.options()));

  pg::Params proof_params;
  proof_params.emplace_back(tenant.id.to_string());
  const pg::Statement proof(std::string(kLeftSql), std::move(proof_params));
  CO_TRY(const auto left, co_await session.query(proof, run.options()));
  if (left.size() > 0) {
    co_return Error(ErrorCode::internal, "tenant " + tenant.slug + " is not wholly removed, a row in " +
                                             std::string(left.text(0, 0)) + " is left");
  }
  co_return Result<void>();
}

Task<Result<void>> TenantService::Impl::unregister(Run& run, pg::Session& session) {
  CO_TRY(const Tenant subject, subject_of(run));
  auto tenant = co_await read_locked(subject.id, session, run.options());
  if (!tenant.ok() && tenant.error().code == ErrorCode::not_found) co_return Result<void>();
  if (!tenant.ok()) co_return std::move(tenant).error();
  std::string action = is_abandoned(run.input()) ? "tenant.swept" : "tenant.deleted";
  co_return co_await delete_rows(**tenant, std::move(action), run, session);
}

// By now whatever the tenant had on the server is gone: the undos of later steps have proved it.
Task<Result<void>> TenantService::Impl::undo_register(Run& run, pg::Session& session) {
  CO_TRY_DO(co_await deactivate(run, session));
  CO_TRY(const Tenant subject, subject_of(run));
  auto tenant = co_await read_locked(subject.id, session, run.options());
  if (!tenant.ok() && tenant.error().code == ErrorCode::not_found) co_return Result<void>();
  if (!tenant.ok()) co_return std::move(tenant).error();
  co_return co_await delete_rows(**tenant, "tenant.creation_undone", run, session);
}

}  // namespace rowhouse::tenancy
