#include <algorithm>
#include <chrono>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "tenancy/api_key.h"
#include "tenancy/names.h"
#include "tenancy/tenant_input.h"
#include "tenancy/tenants_impl.h"

namespace rowhouse::tenancy {

namespace {

// A few tenants with one name at the same moment; after that the name gets random digits.
constexpr int kSlugAttempts = 8;
constexpr const char* kFirstKeyName = "default";
// After a broken connection: a server that restarts is back by then, and one that is down is answered with an
// error.
constexpr std::chrono::seconds kLookPatience{5};
constexpr std::chrono::milliseconds kLookAgainAfter{200};

constexpr int kTenantParameters = 21;
constexpr int kInsertParameters = kTenantParameters + audit::kChangeParameters + 2;

// Everything of a new tenant in one statement. `source`: " FROM …", of one row; "" = one row.
std::string insert_sql(std::string_view source) {
  const int audit_parameter = kTenantParameters + 1;
  return "t AS (INSERT INTO platform.tenants (id, slug, name, pack, plan, status, tier, domain, subdomain, "
         "settings, branding, contact, storage_choice) SELECT $1::uuid, $2::text, $3::text, $4::text, "
         "$5::text, "
         "$6::text, $7::text, $8::text, $9::text, $10::jsonb, $11::jsonb, $12::jsonb, $13::text" +
         std::string(source) +
         " RETURNING *), "
         "d AS (INSERT INTO platform.tenant_databases (tenant_id, tier, server, database_name, schema_name, "
         "role_name) SELECT id, tier, $14::text, $15::text, $16::text, $17::text FROM t RETURNING *), "
         "k AS (INSERT INTO platform.api_keys (id, tenant_id, name, hint, hash) "
         "SELECT $18::uuid, id, $19::text, $20::text, $21::bytea FROM t), "
         "recorded AS (" +
         audit::insert_sql(audit_parameter, "t") + "), announced AS (" +
         outbox_sql(audit_parameter + audit::kChangeParameters, "t") + ") SELECT " +
         std::string(kTenantColumns) + " FROM t, d";
}

const std::string& insert_within_operation_sql() {
  static const std::string sql = "WITH " + insert_sql("");
  return sql;
}

// With an operation that is over in the same round trip. No row when its request key was used before.
const std::string& insert_with_operation_sql() {
  static const std::string sql = "WITH " + operations::finished_operation_sql(kInsertParameters + 1) + ", " +
                                 insert_sql(" FROM operation");
  return sql;
}

// Numbers behind a slug that are in use, as slugs or as subdomains.
constexpr std::string_view kHighestNumberSql = R"(
SELECT COALESCE(max(pg_catalog.substring(used.label, '-([0-9]{1,9})$')::bigint), 1)
FROM (SELECT slug FROM platform.tenants UNION ALL SELECT subdomain FROM platform.tenants) AS used (label)
WHERE used.label ~ ('^' || $1::text || '-[0-9]{1,9}$'))";

Placement place(Tier tier, const Pack& pack, std::string_view slug, const Uuid& id) {
  Placement placement;
  placement.tier = tier;
  placement.database = pack.pool_database;
  placement.schema = kSharedSchema;
  placement.role = kRuntimeRole;
  switch (tier) {
    case Tier::pool:
      break;
    case Tier::schema:
      placement.schema = tenant_schema_name(slug, id);
      break;
    case Tier::database:
      placement.database = tenant_database_name(slug, id);
      placement.role = tenant_role_name(slug, id);
      break;
  }
  return placement;
}

pg::Param text_or_null(const std::string& text) { return text.empty() ? std::nullopt : pg::Param(text); }

pg::Params insert_params(const Tenant& tenant, std::string_view api_key, const Uuid& key_id,
                         const Actor& actor) {
  const std::string summary = json::serialize(tenant_summary(tenant));
  auto change = change_of(
      tenant.id, tenant.status == TenantStatus::active ? "tenant.created" : "tenant.creation_started", actor);
  change.new_json = summary;
  pg::Params params;
  params.emplace_back(tenant.id.to_string());
  params.emplace_back(tenant.slug);
  params.emplace_back(tenant.name);
  params.emplace_back(tenant.pack_name);
  params.emplace_back(tenant.plan_name);
  params.emplace_back(std::string(tenant_status_name(tenant.status)));
  params.emplace_back(std::string(tier_name(tenant.placement.tier)));
  params.push_back(text_or_null(tenant.domain));
  params.push_back(text_or_null(tenant.subdomain));
  params.emplace_back(json::serialize(tenant.settings));
  params.emplace_back(json::serialize(tenant.branding));
  params.emplace_back(json::serialize(tenant.contact));
  params.emplace_back(std::string(storage_choice_name(tenant.storage)));
  params.emplace_back(tenant.placement.server);
  params.emplace_back(tenant.placement.database);
  params.emplace_back(tenant.placement.schema);
  params.emplace_back(tenant.placement.role);
  params.emplace_back(key_id.to_string());
  params.emplace_back(std::string(kFirstKeyName));
  params.emplace_back(hint_of_credential(api_key));
  params.emplace_back(bytea_text(hash_of_credential(api_key)));
  audit::append_parameters(params, change);
  params.emplace_back(change.action);
  params.emplace_back(summary);
  return params;
}

Tenant tenant_of(const NewTenant& request, const Pack& pack, TenantStatus status, const Uuid& id) {
  Tenant tenant;
  tenant.id = id;
  tenant.name = request.name;
  tenant.status = status;
  tenant.domain = request.domain;
  tenant.settings = request.settings;
  tenant.branding = request.branding;
  tenant.contact = request.contact;
  tenant.storage = request.storage;
  tenant.pack_name = pack.manifest.name;
  tenant.plan_name = request.plan;
  return tenant;
}

Error unknown_pack(const std::string& name, const std::vector<std::shared_ptr<const Pack>>& installed) {
  std::string list;
  for (const auto& pack : installed) list += (list.empty() ? "" : ", ") + pack->manifest.name;
  const std::string what = name.empty() ? "is required" : "is not installed";
  Faults faults;
  faults.emplace_back("/pack", what + "; installed packs: " + (list.empty() ? "none" : list));
  return error_of(std::move(faults));
}

// What was asked for, as far as it makes a difference: a repetition must ask for the same.
// `storage_config`: "" or what stands for it. A plain hash of a password could be tried out.
std::string digest_of(const NewTenant& request, const std::string& storage_config) {
  json::Value document;
  document.set("name", request.name);
  document.set("slug", request.slug);
  document.set("pack", request.pack);
  document.set("plan", request.plan);
  document.set("tier", request.tier ? json::Value(tier_name(*request.tier)) : json::Value());
  document.set("domain", request.domain);
  document.set("subdomain", request.subdomain);
  document.set("storage", storage_choice_name(request.storage));
  if (!storage_config.empty()) document.set("storage_config", storage_config);
  document.set("admin_email", request.admin_email);
  document.set("settings", request.settings);
  document.set("branding", request.branding);
  document.set("contact", request.contact);
  document.set(kSampleRows, request.sample_rows == NewTenant::SampleRows::load);
  return to_hex(crypto::sha256(json::serialize(document)));
}

Error stopped_by_operator(const operations::Operation& operation) {
  const bool paused = operation.status == operations::OperationStatus::paused;
  return Error(ErrorCode::conflict, "the creation was " + std::string(paused ? "paused" : "cancelled") +
                                        " by an operator; operation " + operation.id.to_string());
}

}  // namespace

// One attempt to write a new tenant down.
struct Registration {
  Tenant tenant;
  Uuid key_id;
  std::string api_key;
  Actor actor;
  operations::Submission submission;
  std::shared_ptr<const Tenant> registered;
  std::optional<NewStorage> storage_config;
};

Task<Result<std::shared_ptr<const Pack>>> TenantService::Impl::pack_named(std::string name,
                                                                          CallOptions options) {
  auto pack = registry.find_pack(name);
  if (pack == nullptr && !name.empty()) {
    // Installed by another node a moment ago?
    CO_TRY_DO(co_await registry.reload_packs(options));
    pack = registry.find_pack(name);
  }
  if (pack == nullptr) co_return unknown_pack(name, registry.packs());
  co_return pack;
}

Task<Result<std::string>> TenantService::Impl::free_slug(std::string base, CallOptions options) {
  // What is cut off for the number is not known before the number is; one digit more than needed does no
  // harm.
  constexpr std::uint64_t kLongestNumber = 999'999'999;
  const std::string longest = slug_with_number(base, kLongestNumber);
  const std::string stem = longest.substr(0, longest.rfind('-'));
  pg::Params params;
  params.emplace_back(base.size() > stem.size() ? stem : base);
  const pg::Statement statement(std::string(kHighestNumberSql), std::move(params));
  CO_TRY(auto rows, co_await platform.run(nullptr, statement, options));
  const auto highest = static_cast<std::uint64_t>(parse_int64(rows.text(0, 0)).value_or(1));
  co_return slug_with_number(base.size() > stem.size() ? stem : base, highest + 1);
}

// Repeatable, so that a repeated request can be told the key again: it is stored nowhere.
std::string TenantService::Impl::api_key_of(const Uuid& operation) const {
  const std::string secret = cluster.credentials().derive("tenant key of operation " + operation.to_string(),
                                                          kCredentialRandomBytes);
  return std::string(kTenantKeyPrefix) + to_base64url(secret);
}

// The same for the link of its first admin.
std::string TenantService::Impl::invitation_of(const Uuid& operation) const {
  const std::string secret = cluster.credentials().derive("invitation of operation " + operation.to_string(),
                                                          kCredentialRandomBytes);
  return "rhl_" + to_base64url(secret);
}

Task<Result<operations::Submitted>> TenantService::Impl::submit_with_rows(Registration& registration,
                                                                          CallOptions options) {
  operations::Submission submission = registration.submission;
  submission.first = [this, &registration](operations::Run& run, pg::Session& session) {
    return insert(registration, run, session);
  };
  co_return co_await engine.submit(std::move(submission), options);
}

Task<Result<void>> TenantService::Impl::insert(Registration& registration, operations::Run& run,
                                               pg::Session& session) {
  auto params =
      insert_params(registration.tenant, registration.api_key, registration.key_id, registration.actor);
  const pg::Statement statement(insert_within_operation_sql(), std::move(params), pg::Access::write);
  CO_TRY(const auto rows, co_await session.query(statement, run.options()));
  CO_TRY(registration.registered, tenant_from_row(rows, 0, 0, finder()));
  if (!registration.storage_config) co_return Result<void>();
  NewStorage storage = *registration.storage_config;
  co_return co_await storage_configs.save(session, registration.tenant.id, std::move(storage), run.options());
}

// After an answer that says nothing about what has happened: whether the tenant is there. `error` if it is
// not.
Task<Result<void>> TenantService::Impl::look_for(Registration& registration, Error error,
                                                 CallOptions options) {
  if (error.code != ErrorCode::database_unavailable) co_return error;
  const CallOptions patient{std::min(options.deadline, deadline_in(kLookPatience))};
  while (std::chrono::steady_clock::now() < patient.deadline) {
    const auto found = co_await engine.get(*registration.submission.id, patient);
    if (!found.ok() && found.error().code == ErrorCode::not_found) co_return error;
    if (found.ok()) {
      CO_TRY(registration.registered, co_await read(registration.tenant.id.to_string(), patient));
      co_return Result<void>();
    }
    co_await net::sleep_for(cluster.executor(), kLookAgainAfter);
  }
  co_return error;
}

// One round trip, one transaction: most tenants are made so.
Task<Result<operations::Submitted>> TenantService::Impl::submit_rows_alone(Registration& registration,
                                                                           CallOptions options) {
  auto params =
      insert_params(registration.tenant, registration.api_key, registration.key_id, registration.actor);
  operations::append_finished_parameters(params, registration.submission, creation);
  const pg::Statement statement(insert_with_operation_sql(), std::move(params), pg::Access::write);
  operations::Submitted submitted;
  submitted.id = *registration.submission.id;
  const auto guard = engine.submission_guard(kCreateOperation);
  const CallOptions watched{options.deadline, options.cancel, guard.get()};
  auto rows = co_await platform.run(nullptr, statement, watched);
  if (!rows.ok()) {
    CO_TRY_DO(co_await look_for(registration, std::move(rows).error(), options));
    co_return submitted;
  }
  if (rows->size() > 0) {
    CO_TRY(registration.registered, tenant_from_row(*rows, 0, 0, finder()));
    co_return submitted;
  }
  // The key was used before; the engine compares and finds.
  operations::Submission submission = registration.submission;
  submission.first = [](operations::Run&, pg::Session&) -> Task<Result<void>> {
    co_return Error(ErrorCode::conflict, "the operation that had this key is gone; try again");
  };
  co_return co_await engine.submit(std::move(submission), options);
}

Task<Result<StartedCreation>> TenantService::Impl::enlist(const NewTenant& request, const Pack& pack,
                                                          const Actor& actor, operations::Submission blank,
                                                          CallOptions options) {
  const bool rows_only = request.tier == Tier::pool && request.sample_rows == NewTenant::SampleRows::none &&
                         request.admin_email.empty() && request.storage != StorageChoice::provisioned &&
                         !request.storage_config;
  const Uuid id = Uuid::make_v7(clock.now());
  Registration registration{.tenant = tenant_of(request, pack, TenantStatus::provisioning, id),
                            .key_id = Uuid::make_v7(clock.now()),
                            .api_key = "",
                            .actor = actor,
                            .submission = std::move(blank),
                            .registered = nullptr,
                            .storage_config = request.storage_config};
  Tenant& tenant = registration.tenant;
  if (rows_only) tenant.status = TenantStatus::active;
  const bool derived_slug = request.slug.empty();
  const std::string base = derived_slug ? slug_from_name(request.name, id) : request.slug;
  tenant.slug = base;
  for (int attempt = 1;; ++attempt) {
    tenant.subdomain = request.subdomain.empty() ? tenant.slug : request.subdomain;
    tenant.placement = place(*request.tier, pack, tenant.slug, id);
    const Uuid operation = Uuid::make_v7(clock.now());
    registration.api_key = api_key_of(operation);
    registration.submission.id = operation;
    registration.submission.tenant = id;
    registration.submission.input = operation_input(tenant, actor);
    registration.submission.input.set(kSampleRows, request.sample_rows == NewTenant::SampleRows::load);
    if (!request.admin_email.empty()) registration.submission.input.set(kAdminEmail, request.admin_email);
    if (request.storage_config) registration.submission.input.set(kHasStorageConfig, true);
    // No conditional expression around two co_awaits.
    std::optional<Result<operations::Submitted>> submitted;
    if (rows_only) {
      submitted.emplace(co_await submit_rows_alone(registration, options));
    } else {
      submitted.emplace(co_await submit_with_rows(registration, options));
    }
    if (submitted->ok()) {
      if ((*submitted)->novelty == operations::Submitted::Novelty::repeated) {
        CO_TRY(auto before, co_await find_started((*submitted)->id, options));
        // It asked for the same.
        if (before.tenant && !request.admin_email.empty())
          before.invitation = invitation_of(before.operation);
        co_return before;
      }
      StartedCreation started;
      started.operation = operation;
      started.tenant = std::move(registration.registered);
      started.api_key = std::move(registration.api_key);
      if (!request.admin_email.empty()) started.invitation = invitation_of(operation);
      if (rows_only) started.stage = StartedCreation::Stage::finished;
      co_return started;
    }
    const auto constraint = violated_constraint(submitted->error());
    const bool name_taken =
        constraint == kSlugTaken || (constraint == kSubdomainTaken && request.subdomain.empty());
    if (!derived_slug || !name_taken || attempt > kSlugAttempts) {
      co_return tenant_write_error(std::move(*submitted).error());
    }
    if (attempt == kSlugAttempts) {
      constexpr std::size_t kSuffixBytes = 13;
      tenant.slug = base.substr(0, std::min(base.size(), kMaxSlugBytes - kSuffixBytes)) + "-" + short_id(id);
    } else {
      CO_TRY(tenant.slug, co_await free_slug(base, options));
    }
  }
}

Task<Result<StartedCreation>> TenantService::Impl::find_started(Uuid operation, CallOptions options) {
  StartedCreation started;
  started.operation = operation;
  started.novelty = operations::Submitted::Novelty::repeated;
  CO_TRY(const auto found, co_await engine.get(operation, options));
  if (!found.tenant) co_return started;
  auto tenant = co_await read(found.tenant->to_string(), options);
  if (!tenant.ok() && tenant.error().code != ErrorCode::not_found) co_return std::move(tenant).error();
  if (tenant.ok()) {
    started.tenant = std::move(tenant).value();
    started.api_key = api_key_of(operation);
  }
  co_return started;
}

Task<Result<StartedCreation>> TenantService::start_create(NewTenant request, Actor actor,
                                                          std::string request_key, CallOptions options) {
  operations::Submission blank;
  blank.kind = kCreateOperation;
  blank.requested_by = actor.name;
  if (!request_key.empty()) {
    blank.request_key = request_key_of(kCreateOperation, actor, request_key);
    std::string storage_config;
    if (request.storage_config) {
      const NewStorage& storage = *request.storage_config;
      storage_config =
          to_hex(crypto::hmac_sha256(impl_->cluster.credentials().derive("digest of a storage configuration"),
                                     storage.provider + json::serialize(storage.config)));
    }
    blank.request_digest = digest_of(request, storage_config);
  }
  CO_TRY(const auto pack, co_await impl_->pack_named(request.pack, options));
  Faults faults;
  check_name("/name", request.name, faults);
  if (!request.slug.empty() && !is_valid_slug(request.slug)) {
    faults.emplace_back(
        "/slug",
        "must be 1 to 40 letters a to z, digits and dashes, with no dash at either end, and no UUID");
  }
  check_new_tenant(request, pack->manifest, faults);
  if (request.storage == StorageChoice::provisioned && !impl_->make_store) {
    faults.emplace_back("/storage", "this installation provisions no storage (storage_provisioned)");
  }
  if (request.storage_config && request.storage != StorageChoice::byos) {
    faults.emplace_back("/storage_config", "belongs to storage byos");
  }
  if (!faults.empty()) co_return error_of(std::move(faults));
  if (request.storage_config) {
    if (!impl_->storage_configs.check) co_return Error(ErrorCode::internal, "no storage is wired");
    auto checked = impl_->storage_configs.check(*request.storage_config);
    if (!checked.ok()) {
      for (FieldError& field : checked.error().fields) field.path = "/storage_config" + field.path;
      co_return checked.error();
    }
  }
  CO_TRY(auto started, co_await impl_->enlist(request, *pack, actor, std::move(blank), options));
  if (started.tenant != nullptr) impl_->announce(started.tenant->id);
  co_return started;
}

Task<Result<CreatedTenant>> TenantService::finish_create(StartedCreation started, CallOptions options) {
  using operations::OperationStatus;
  CreatedTenant created;
  created.operation = started.operation;
  created.api_key = std::move(started.api_key);
  created.invitation = std::move(started.invitation);
  if (started.stage == StartedCreation::Stage::finished) {
    created.tenant = std::move(started.tenant);
    co_return created;
  }
  CO_TRY(const auto operation, co_await impl_->engine.wait(started.operation, options));
  if (operation.tenant) impl_->announce(*operation.tenant);
  if (operation.status == OperationStatus::paused || operation.status == OperationStatus::cancelled) {
    co_return stopped_by_operator(operation);
  }
  if (operation.status != OperationStatus::succeeded) co_return operations::operation_error(operation);
  const std::string id = operation.tenant ? operation.tenant->to_string() : "";
  auto tenant = co_await impl_->read(id, options);
  if (!tenant.ok() && tenant.error().code == ErrorCode::not_found) {
    co_return Error(ErrorCode::conflict, "the tenant was created and has been deleted since");
  }
  if (!tenant.ok()) co_return std::move(tenant).error();
  created.tenant = std::move(tenant).value();
  const json::Value* rows = operation.output.find(kSampleRows);
  created.sample_row_count = static_cast<std::size_t>(rows == nullptr ? 0 : rows->as_int64().value_or(0));
  co_return created;
}

Task<Result<CreatedTenant>> TenantService::create(NewTenant request, Actor actor, CallOptions options) {
  const std::string no_key;
  CO_TRY(auto started, co_await start_create(std::move(request), std::move(actor), no_key, options));
  co_return co_await finish_create(std::move(started), options);
}

}  // namespace rowhouse::tenancy
