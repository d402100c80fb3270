#include "tenancy/tenants.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "tenancy/api_key.h"
#include "tenancy/tenant_input.h"
#include "tenancy/tenants_impl.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::size_t kMaxListLimit = 500;
constexpr int kUpdateAttempts = 5;

const std::string& read_sql() {
  static const std::string sql = "SELECT " + std::string(kTenantColumns) + std::string(kTenantFrom) +
                                 "WHERE t.id = $1::uuid OR t.slug = $2::text";
  return sql;
}

const std::string& read_locked_sql() {
  static const std::string sql = "SELECT " + std::string(kTenantColumns) + std::string(kTenantFrom) +
                                 "WHERE t.id = $1::uuid FOR UPDATE OF t";
  return sql;
}

// A filter that is null lets everything through.
const std::string& list_sql() {
  static const std::string sql =
      "SELECT " + std::string(kTenantColumns) + std::string(kTenantFrom) +
      "WHERE ($1::text IS NULL OR t.pack = $1) AND ($2::text IS NULL OR t.plan = $2) "
      "AND ($3::text IS NULL OR t.tier = $3) AND ($4::text IS NULL OR t.status = $4) "
      "AND ($5::text IS NULL OR t.name ILIKE $5 OR t.slug ILIKE $5) "
      "AND ($6::timestamptz IS NULL OR (t.created_at, t.id) > ($6::timestamptz, $7::uuid)) "
      "ORDER BY t.created_at, t.id LIMIT $8::bigint";
  return sql;
}

// `t` = the changed row, if it still had the version that the new values were made from.
std::string changing_sql(std::string_view assignments, std::string_view condition,
                         int first_record_parameter) {
  const int outbox_parameter = first_record_parameter + audit::kChangeParameters;
  return "WITH t AS (UPDATE platform.tenants SET " + std::string(assignments) + " WHERE " +
         std::string(condition) + " RETURNING *), recorded AS (" +
         audit::insert_sql(first_record_parameter, "t") + "), announced AS (" +
         outbox_sql(outbox_parameter, "t") + ") SELECT " + std::string(kTenantColumns) +
         " FROM t JOIN platform.tenant_databases d ON d.tenant_id = t.id AND d.kind = 'metadata'";
}

const std::string& update_sql() {
  static const std::string sql = changing_sql(
      "name = $3::text, plan = $4::text, domain = $5::text, subdomain = $6::text, settings = $7::jsonb, "
      "branding = $8::jsonb, contact = $9::jsonb",
      "id = $1::uuid AND version = $2::bigint", 10);
  return sql;
}

const std::string& status_sql() {
  static const std::string sql = changing_sql("status = $2::text", "id = $1::uuid AND status = $3::text", 4);
  return sql;
}

constexpr std::string_view kCountsSql =
    "SELECT pack, plan, tier, status, count(*) FROM platform.tenants "
    "WHERE slug !~ '^rowhouse-verify-[0-9a-f]{8}-[0-9]+$' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4";
constexpr std::string_view kSizesSql =
    "SELECT datname, pg_catalog.pg_database_size(oid) FROM pg_catalog.pg_database "
    "WHERE datallowconn AND (datname LIKE 'rowhouse\\_%' OR datname LIKE 'tenant\\_%') ORDER BY datname";
constexpr std::string_view kConnectionsSql =
    "SELECT (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend'), "
    "current_setting('max_connections')::bigint, current_setting('server_version')";
constexpr std::string_view kAdminTokenSql = R"(
INSERT INTO platform.admin_tokens (id, name, hash) VALUES ($1::uuid, $2::text, $3::bytea)
ON CONFLICT (name) WHERE kind = 'admin' DO UPDATE SET hash = EXCLUDED.hash, revoked_at = NULL
WHERE admin_tokens.hash IS DISTINCT FROM EXCLUDED.hash OR admin_tokens.revoked_at IS NOT NULL)";

pg::Param text_or_null(const std::string& text) { return text.empty() ? std::nullopt : pg::Param(text); }

std::string like_pattern(std::string_view search) {
  std::string pattern = "%";
  for (const char c : search) {
    if (c == '%' || c == '_' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern + "%";
}

bool is_storable(std::string_view text) {
  return is_valid_utf8(text) && text.find('\0') == std::string_view::npos;
}

// Which tenants a cursor pages through: a cursor of another filter would silently skip some.
std::string filter_fingerprint(const TenantFilter& filter) {
  std::string text;
  for (const std::string& part :
       {filter.pack, filter.plan, filter.search, std::string(filter.tier ? tier_name(*filter.tier) : ""),
        std::string(filter.status ? tenant_status_name(*filter.status) : "")}) {
    text += std::to_string(part.size()) + ":" + part;
  }
  return to_hex(crypto::sha256(text).substr(0, 8));
}

struct Position {
  std::string created_at, id;
};

std::string encode_cursor(const TenantFilter& filter, const Tenant& last) {
  return to_base64url(filter_fingerprint(filter) + " " + last.created_at + " " + last.id.to_string());
}

Result<Position> decode_cursor(const TenantFilter& filter) {
  const Error invalid(ErrorCode::invalid_cursor,
                      "the cursor does not belong to this list; start again without it");
  const auto text = from_base64url(filter.cursor);
  if (!text) return invalid;
  const auto parts = split(*text, ' ');
  if (parts.size() != 3 || parts[0] != filter_fingerprint(filter) || !Uuid::parse(parts[2])) return invalid;
  // As encode_cursor wrote it, so that the database need not judge it: 2026-11-21T05:40:00.123456Z
  constexpr std::string_view kShape = "0000-00-00T00:00:00.000000Z";
  std::string shape(parts[1]);
  for (char& c : shape) c = c >= '0' && c <= '9' ? '0' : c;
  if (shape != kShape) return invalid;
  Position position;
  position.created_at = parts[1];
  position.id = parts[2];
  return position;
}

// The members of `after` that differ, as they are in `of`.
json::Value differing_members(const json::Value& of, const json::Value& before, const json::Value& after) {
  json::Value differing{json::Object{}};
  for (const auto& [name, value] : *after.as_object()) {
    const json::Value* old = before.find(name);
    if (old == nullptr || *old != value) differing.set(name, *of.find(name));
  }
  return differing;
}

Error wrong_status(const Tenant& tenant, TenantStatus wanted) {
  return Error(ErrorCode::conflict, "the tenant is " + std::string(tenant_status_name(tenant.status)) +
                                        ", so it cannot become " + std::string(tenant_status_name(wanted)));
}

// The new state of a tenant, or what is wrong with it.
Result<Tenant> changed_tenant(const Tenant& current, const TenantChange& change) {
  if (!current.pack)
    return Error(ErrorCode::internal, "the tenant's pack is not installed: " + current.pack_name);
  Faults faults;
  Tenant next = current;
  if (change.name) {
    check_name("/name", *change.name, faults);
    next.name = *change.name;
  }
  if (change.plan) next.plan_name = choose_plan(current.pack->manifest, *change.plan, faults);
  if (change.domain) {
    next.domain = to_lower_ascii(*change.domain);
    if (!next.domain.empty()) check_domain("/domain", next.domain, faults);
  }
  if (change.subdomain) {
    next.subdomain = to_lower_ascii(*change.subdomain);
    if (!next.subdomain.empty()) check_subdomain("/subdomain", next.subdomain, faults);
  }
  if (change.settings) {
    next.settings = merge_settings(current.pack->manifest, current.settings, *change.settings, faults);
  }
  if (change.branding) {
    check_document("/branding", *change.branding, faults);
    next.branding = change.branding->is_null() ? json::Value(json::Object{}) : *change.branding;
  }
  if (change.contact) {
    check_document("/contact", *change.contact, faults);
    next.contact = change.contact->is_null() ? json::Value(json::Object{}) : *change.contact;
  }
  if (!faults.empty()) return error_of(std::move(faults));
  return next;
}

pg::Statement update_statement(const Tenant& current, const Tenant& next, const Actor& actor) {
  const auto before = tenant_summary(current);
  const auto after = tenant_summary(next);
  auto change = change_of(current.id, "tenant.updated", actor);
  change.old_json = json::serialize(differing_members(before, before, after));
  change.new_json = json::serialize(differing_members(after, before, after));
  pg::Params params;
  params.emplace_back(current.id.to_string());
  params.emplace_back(std::to_string(current.version));
  params.emplace_back(next.name);
  params.emplace_back(next.plan_name);
  params.push_back(text_or_null(next.domain));
  params.push_back(text_or_null(next.subdomain));
  params.emplace_back(json::serialize(next.settings));
  params.emplace_back(json::serialize(next.branding));
  params.emplace_back(json::serialize(next.contact));
  audit::append_parameters(params, change);
  params.emplace_back(change.action);
  params.emplace_back(change.new_json);
  return pg::Statement(update_sql(), std::move(params), pg::Access::write);
}

}  // namespace

audit::Change change_of(const Uuid& tenant, std::string action, const Actor& actor) {
  audit::Change change(actor.name, std::move(action));
  change.tenant = tenant;
  change.object_type = "tenant";
  change.object_id = tenant.to_string();
  change.address = actor.address;
  return change;
}

TenantService::Impl::Impl(const Cluster& service_cluster, pg::Pool& pool, PackStore& pack_store,
                          Registry& tenant_registry, operations::Engine& operation_engine,
                          const Clock& wall_clock)
    : cluster(service_cluster),
      platform(pool),
      packs(pack_store),
      registry(tenant_registry),
      engine(operation_engine),
      clock(wall_clock),
      provisioner(service_cluster, pack_store),
      creation(creation_kind()) {
  engine.add(creation);
  engine.add(deletion_kind());
}

TenantService::TenantService(const Cluster& cluster, pg::Pool& platform, PackStore& packs, Registry& registry,
                             operations::Engine& engine, const Clock& clock)
    : impl_(std::make_unique<Impl>(cluster, platform, packs, registry, engine, clock)) {}
TenantService::~TenantService() = default;

void TenantService::wire(Changed changed, SampleLoader samples, CloseDatabase close) {
  impl_->changed = std::move(changed);
  impl_->load_samples = std::move(samples);
  impl_->close_database = std::move(close);
}

void TenantService::wire_people(RemovePeople remove) { impl_->remove_tenant_people = std::move(remove); }

void TenantService::wire_stores(MakeStore make, RemoveStore remove) {
  impl_->make_store = std::move(make);
  impl_->remove_tenant_store = std::move(remove);
}

void TenantService::wire_storage_configs(StorageConfigHooks hooks) {
  impl_->storage_configs = std::move(hooks);
}

void TenantService::wire_welcome(Welcome welcome) { impl_->welcome = std::move(welcome); }

// -------------------------------------------------------------------------------------------------- read

Task<Result<std::shared_ptr<const Tenant>>> TenantService::Impl::read(std::string id_or_slug,
                                                                      CallOptions options) {
  if (!is_storable(id_or_slug)) co_return Error(ErrorCode::not_found, "there is no such tenant");
  const auto id = Uuid::parse(id_or_slug);
  pg::Params params;
  params.emplace_back(id ? pg::Param(id->to_string()) : std::nullopt);
  params.emplace_back(id ? std::nullopt : pg::Param(id_or_slug));
  const pg::Statement statement(read_sql(), std::move(params));
  CO_TRY(auto rows, co_await platform.run(nullptr, statement, options));
  if (rows.size() == 0) co_return Error(ErrorCode::not_found, "there is no such tenant");
  co_return tenant_from_row(rows, 0, 0, finder());
}

Task<Result<std::shared_ptr<const Tenant>>> TenantService::Impl::read_locked(const Uuid& id,
                                                                             pg::Session& session,
                                                                             CallOptions options) {
  pg::Params params;
  params.emplace_back(id.to_string());
  const pg::Statement statement(read_locked_sql(), std::move(params));
  CO_TRY(const auto rows, co_await session.query(statement, options));
  if (rows.size() == 0) co_return Error(ErrorCode::not_found, "there is no such tenant");
  co_return tenant_from_row(rows, 0, 0, finder());
}

Task<Result<std::shared_ptr<const Tenant>>> TenantService::get(std::string id_or_slug, CallOptions options) {
  return impl_->read(std::move(id_or_slug), options);
}

Task<Result<TenantPage>> TenantService::list(TenantFilter filter, CallOptions options) {
  if (filter.limit < 1 || filter.limit > kMaxListLimit) {
    co_return Error(ErrorCode::invalid_parameter,
                    "limit must be between 1 and " + std::to_string(kMaxListLimit))
        .with_field("limit", "must be between 1 and " + std::to_string(kMaxListLimit));
  }
  TenantPage page;
  if (!is_storable(filter.pack) || !is_storable(filter.plan) || !is_storable(filter.search)) co_return page;
  pg::Params params;
  params.push_back(text_or_null(filter.pack));
  params.push_back(text_or_null(filter.plan));
  params.push_back(filter.tier ? pg::Param(tier_name(*filter.tier)) : std::nullopt);
  params.push_back(filter.status ? pg::Param(tenant_status_name(*filter.status)) : std::nullopt);
  params.push_back(filter.search.empty() ? std::nullopt : pg::Param(like_pattern(filter.search)));
  if (filter.cursor.empty()) {
    params.emplace_back(std::nullopt);
    params.emplace_back(std::nullopt);
  } else {
    CO_TRY(auto position, decode_cursor(filter));
    params.emplace_back(position.created_at);
    params.emplace_back(position.id);
  }
  params.emplace_back(std::to_string(filter.limit + 1));
  const pg::Statement statement(list_sql(), std::move(params));
  CO_TRY(auto rows, co_await impl_->platform.run(nullptr, statement, options));
  const auto find_pack = impl_->finder();
  for (std::size_t row = 0; row < std::min(rows.size(), filter.limit); ++row) {
    CO_TRY(auto tenant, tenant_from_row(rows, row, 0, find_pack));
    page.tenants.push_back(std::move(tenant));
  }
  if (rows.size() > filter.limit) page.next_cursor = encode_cursor(filter, *page.tenants.back());
  co_return page;
}

// ------------------------------------------------------------------------------------------------ change

Task<Result<std::shared_ptr<const Tenant>>> TenantService::update(std::string id_or_slug, TenantChange change,
                                                                  Actor actor, CallOptions options) {
  for (int attempt = 1;; ++attempt) {
    CO_TRY(const auto current, co_await impl_->read(id_or_slug, options));
    if (change.if_version && *change.if_version != current->version) {
      co_return Error(
          ErrorCode::precondition_failed,
          "the tenant has changed in the meantime: its version is " + std::to_string(current->version));
    }
    if (current->status == TenantStatus::deleting) {
      co_return Error(ErrorCode::conflict, "the tenant is being deleted");
    }
    CO_TRY(const auto next, changed_tenant(*current, change));
    if (tenant_summary(next) == tenant_summary(*current)) co_return current;
    const auto statement = update_statement(*current, next, actor);
    auto rows = co_await impl_->platform.run(nullptr, statement, options);
    if (!rows.ok()) co_return tenant_write_error(std::move(rows).error());
    if (rows->size() > 0) {
      impl_->announce(current->id);
      co_return tenant_from_row(*rows, 0, 0, impl_->finder());
    }
    // Somebody else was faster: what was asked for is put on top of theirs, unless it was meant for one
    // version.
    if (attempt == kUpdateAttempts) {
      co_return Error(ErrorCode::conflict, "the tenant is being changed by others all the time; try again");
    }
  }
}

pg::Statement status_statement(const Tenant& tenant, TenantStatus from, TenantStatus to, std::string action,
                               const Actor& actor) {
  const auto status_json = [](TenantStatus status) {
    json::Value value;
    value.set("status", tenant_status_name(status));
    return json::serialize(value);
  };
  auto change = change_of(tenant.id, std::move(action), actor);
  change.old_json = status_json(from);
  change.new_json = status_json(to);
  pg::Params params;
  params.emplace_back(tenant.id.to_string());
  params.emplace_back(std::string(tenant_status_name(to)));
  params.emplace_back(std::string(tenant_status_name(from)));
  audit::append_parameters(params, change);
  params.emplace_back(change.action);
  params.emplace_back(json::serialize(tenant_summary(tenant)));
  return pg::Statement(status_sql(), std::move(params), pg::Access::write);
}

Task<Result<std::shared_ptr<const Tenant>>> TenantService::Impl::set_status(
    const Tenant& tenant, TenantStatus from, TenantStatus to, std::string action, const Actor& actor,
    CallOptions options) {
  const auto statement = status_statement(tenant, from, to, std::move(action), actor);
  CO_TRY(auto rows, co_await platform.run(nullptr, statement, options));
  announce(tenant.id);
  if (rows.size() == 0) co_return std::shared_ptr<const Tenant>();
  co_return tenant_from_row(rows, 0, 0, finder());
}

Task<Result<std::shared_ptr<const Tenant>>> TenantService::Impl::switch_status(
    std::string id_or_slug, TenantStatus from, TenantStatus to, std::string action, Actor actor,
    CallOptions options) {
  for (int attempt = 1;; ++attempt) {
    CO_TRY(auto current, co_await read(id_or_slug, options));
    if (current->status == to) co_return current;
    if (current->status != from || attempt == kUpdateAttempts) co_return wrong_status(*current, to);
    CO_TRY(auto changed_one, co_await set_status(*current, from, to, action, actor, options));
    if (changed_one != nullptr) co_return changed_one;
  }
}

Task<Result<std::shared_ptr<const Tenant>>> TenantService::suspend(std::string id_or_slug, Actor actor,
                                                                   CallOptions options) {
  return impl_->switch_status(std::move(id_or_slug), TenantStatus::active, TenantStatus::suspended,
                              "tenant.suspended", std::move(actor), options);
}

Task<Result<std::shared_ptr<const Tenant>>> TenantService::resume(std::string id_or_slug, Actor actor,
                                                                  CallOptions options) {
  return impl_->switch_status(std::move(id_or_slug), TenantStatus::suspended, TenantStatus::active,
                              "tenant.resumed", std::move(actor), options);
}

// ---------------------------------------------------------------------------------------------- platform

Task<Result<PlatformStatus>> TenantService::status(CallOptions options) {
  PlatformStatus status;
  const pg::Statement counts_statement{std::string(kCountsSql)};
  CO_TRY(auto counts, co_await impl_->platform.run(nullptr, counts_statement, options));
  for (std::size_t row = 0; row < counts.size(); ++row) {
    auto& count = status.counts.emplace_back();
    count.pack = counts.text(row, 0);
    count.plan = counts.text(row, 1);
    count.tier = counts.text(row, 2);
    count.status = counts.text(row, 3);
    count.tenants = parse_int64(counts.text(row, 4)).value_or(0);
  }
  // Sizes of databases that the platform role may not enter, and everybody's connections.
  const pg::Statement sizes_statement{std::string(kSizesSql)};
  const pg::Statement connections_statement{std::string(kConnectionsSql)};
  CO_TRY(auto server, co_await impl_->cluster.administrator(kMaintenanceDatabase, options));
  CO_TRY(auto sizes, co_await server.query(sizes_statement, options));
  for (std::size_t row = 0; row < sizes.size(); ++row) {
    status.databases.emplace_back(std::string(sizes.text(row, 0)),
                                  parse_int64(sizes.text(row, 1)).value_or(0));
  }
  CO_TRY(auto connections, co_await server.query(connections_statement, options));
  status.connections = parse_int64(connections.text(0, 0)).value_or(0);
  status.max_connections = parse_int64(connections.text(0, 1)).value_or(0);
  status.server_version = connections.text(0, 2);
  co_return status;
}

Task<Result<void>> TenantService::set_admin_token(std::string name, std::string token, CallOptions options) {
  if (!has_credential_form(token, kAdminTokenPrefix)) {
    co_return Error(ErrorCode::config_invalid,
                    "an admin token is \"rha_\" and 43 characters of base64url, 32 random bytes");
  }
  pg::Params params;
  params.emplace_back(Uuid::make_v7(impl_->clock.now()).to_string());
  params.emplace_back(std::move(name));
  params.emplace_back(bytea_text(hash_of_credential(token)));
  const pg::Statement statement(std::string(kAdminTokenSql), std::move(params), pg::Access::write);
  CO_TRY_DO(co_await impl_->platform.run(nullptr, statement, options));
  co_return Result<void>();
}

}  // namespace rowhouse::tenancy
