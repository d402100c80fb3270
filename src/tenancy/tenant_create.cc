#include <algorithm>
#include <utility>

#include "base/text.h"
#include "observe/log.h"
#include "tenancy/api_key.h"
#include "tenancy/names.h"
#include "tenancy/tenant_input.h"
#include "tenancy/tenants_impl.h"

namespace rowhouse::tenancy {

namespace {

// A few tenants with one name at the same moment; after that the name gets random digits.
constexpr int kSlugAttempts = 8;
constexpr const char* kFirstKeyName = "default";

// Everything of a new tenant in one statement: one round trip, one transaction.
const std::string& insert_sql() {
  static const std::string sql =
      "WITH t AS (INSERT INTO platform.tenants (id, slug, name, pack, plan, status, tier, domain, subdomain, "
      "settings, "
      "branding, contact, storage_choice) VALUES ($1::uuid, $2::text, $3::text, $4::text, $5::text, "
      "$6::text, "
      "$7::text, $8::text, $9::text, $10::jsonb, $11::jsonb, $12::jsonb, $13::text) RETURNING *), "
      "d AS (INSERT INTO platform.tenant_databases (tenant_id, tier, server, database_name, schema_name, "
      "role_name) "
      "SELECT id, tier, $14::text, $15::text, $16::text, $17::text FROM t RETURNING *), "
      "k AS (INSERT INTO platform.api_keys (id, tenant_id, name, hint, hash) "
      "SELECT $18::uuid, id, $19::text, $20::text, $21::bytea FROM t), "
      "recorded AS (" +
      audit::insert_sql(22, "t") + "), announced AS (" + outbox_sql(22 + audit::kChangeParameters, "t") +
      ") SELECT " + std::string(kTenantColumns) + " FROM t, d";
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

pg::Statement insert_statement(const Tenant& tenant, std::string_view api_key, const Uuid& key_id,
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
  return pg::Statement(insert_sql(), std::move(params), pg::Access::write);
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

}  // namespace

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

Task<Result<std::shared_ptr<const Tenant>>> TenantService::Impl::insert(const NewTenant& request,
                                                                        const Pack& pack, TenantStatus status,
                                                                        std::string_view api_key,
                                                                        const Actor& actor,
                                                                        CallOptions options) {
  const Uuid id = Uuid::make_v7(clock.now());
  const Uuid key_id = Uuid::make_v7(clock.now());
  Tenant tenant = tenant_of(request, pack, status, id);
  const bool derived_slug = request.slug.empty();
  const std::string base = derived_slug ? slug_from_name(request.name, id) : request.slug;
  tenant.slug = base;
  for (int attempt = 1;; ++attempt) {
    tenant.subdomain = request.subdomain.empty() ? tenant.slug : request.subdomain;
    tenant.placement = place(*request.tier, pack, tenant.slug, id);
    const auto statement = insert_statement(tenant, api_key, key_id, actor);
    auto rows = co_await platform.run(nullptr, statement, options);
    if (rows.ok()) co_return tenant_from_row(*rows, 0, 0, finder());
    const auto constraint = violated_constraint(rows.error());
    const bool name_taken =
        constraint == kSlugTaken || (constraint == kSubdomainTaken && request.subdomain.empty());
    if (!derived_slug || !name_taken || attempt > kSlugAttempts) {
      co_return tenant_write_error(std::move(rows).error());
    }
    if (attempt == kSlugAttempts) {
      constexpr std::size_t kSuffixBytes = 13;
      tenant.slug = base.substr(0, std::min(base.size(), kMaxSlugBytes - kSuffixBytes)) + "-" + short_id(id);
    } else {
      CO_TRY(tenant.slug, co_await free_slug(base, options));
    }
  }
}

Task<Result<std::size_t>> TenantService::Impl::furnish(std::shared_ptr<const Tenant> tenant,
                                                       NewTenant::SampleRows samples,
                                                       std::string& furnished_version, CallOptions options) {
  const bool wants_samples = samples == NewTenant::SampleRows::load;
  if (wants_samples && !load_samples)
    co_return Error(ErrorCode::internal, "no loader of sample data is wired");
  CO_TRY(const auto bundle, co_await packs.stored_bundle(tenant->pack_name, options));
  CO_TRY_DO(co_await provisioner.create(*tenant, bundle, options));
  furnished_version = bundle.manifest.version;
  if (!wants_samples) co_return std::size_t{0};
  co_return co_await load_samples(tenant, bundle.samples, options);
}

// An upgrade leaves tenants alone that are still being made. It stores the new version before it looks for
// tenants, so either it has seen this one active, or the new version is seen here.
Task<Result<void>> TenantService::Impl::catch_up(const Tenant& tenant, const std::string& furnished_version,
                                                 CallOptions options) {
  if (tenant.placement.tier == Tier::pool) co_return Result<void>();
  CO_TRY(const auto bundle, co_await packs.stored_bundle(tenant.pack_name, options));
  if (bundle.manifest.version == furnished_version) co_return Result<void>();
  CO_TRY_DO(co_await packs.prepare_schema(tenant.placement.database, tenant.placement.schema,
                                          tenant.placement.role, bundle, options));
  co_return Result<void>();
}

Task<Result<CreatedTenant>> TenantService::Impl::finish(std::shared_ptr<const Tenant> tenant,
                                                        std::string api_key, NewTenant::SampleRows samples,
                                                        Actor actor, CallOptions options) {
  std::string furnished_version;
  auto furnished = co_await furnish(tenant, samples, furnished_version, options);
  std::optional<Error> failure;
  CreatedTenant created;
  if (furnished.ok()) {
    auto activated = co_await set_status(*tenant, TenantStatus::provisioning, TenantStatus::active,
                                         "tenant.created", actor, options);
    if (!activated.ok()) {
      failure = std::move(activated).error();
    } else if (*activated == nullptr) {
      failure = Error(ErrorCode::conflict, "the tenant was deleted while it was being created");
    } else {
      auto caught_up = co_await catch_up(*tenant, furnished_version, options);
      if (caught_up.ok()) {
        created.tenant = std::move(activated).value();
        created.api_key = std::move(api_key);
        created.sample_row_count = *furnished;
        co_return created;
      }
      failure = std::move(caught_up).error();
    }
  } else {
    failure = std::move(furnished).error();
  }
  auto undone = co_await undo(std::move(tenant), std::move(actor));
  if (!undone.ok()) observe::process_log().write_error("tenant_creation_not_undone", undone.error());
  co_return std::move(*failure);
}

Task<Result<void>> TenantService::Impl::undo(std::shared_ptr<const Tenant> tenant, Actor actor) {
  const CallOptions options{deadline_in(kClearDeadline)};
  // Active, if only the answer to the last step was lost: nobody may use it any more before it is taken away.
  for (const TenantStatus from : {TenantStatus::provisioning, TenantStatus::active}) {
    CO_TRY_DO(
        co_await set_status(*tenant, from, TenantStatus::deleting, "tenant.creation_failed", actor, options));
  }
  co_return co_await clear_away(std::move(tenant), "tenant.creation_undone", std::move(actor));
}

Task<Result<CreatedTenant>> TenantService::create(NewTenant request, Actor actor, CallOptions options) {
  CO_TRY(const auto pack, co_await impl_->pack_named(request.pack, options));
  Faults faults;
  check_name("/name", request.name, faults);
  if (!request.slug.empty() && !is_valid_slug(request.slug)) {
    faults.emplace_back(
        "/slug",
        "must be 1 to 40 letters a to z, digits and dashes, with no dash at either end, and no UUID");
  }
  check_new_tenant(request, pack->manifest, faults);
  if (!faults.empty()) co_return error_of(std::move(faults));

  const bool rows_only = request.tier == Tier::pool && request.sample_rows == NewTenant::SampleRows::none;
  const auto status = rows_only ? TenantStatus::active : TenantStatus::provisioning;
  std::string api_key = make_credential(kTenantKeyPrefix);
  CO_TRY(auto tenant, co_await impl_->insert(request, *pack, status, api_key, actor, options));
  impl_->announce(tenant->id);
  if (rows_only) {
    CreatedTenant created;
    created.tenant = std::move(tenant);
    created.api_key = std::move(api_key);
    co_return created;
  }
  co_return co_await impl_->finish(std::move(tenant), std::move(api_key), request.sample_rows,
                                   std::move(actor), options);
}

}  // namespace rowhouse::tenancy
