// SQL of platform.tenants, tenant_databases, api_keys and events, and the way from a row to a Tenant.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "pg/types.h"
#include "tenancy/pack.h"
#include "tenancy/tenant.h"

namespace rowhouse::tenancy {

// Columns of a tenant, from `t` (platform.tenants) and `d` (platform.tenant_databases); tenant_from_row()
// reads them.
inline constexpr std::string_view kTenantColumns =
    "t.id, t.slug, t.name, t.status, t.tier, t.domain, t.subdomain, t.settings, t.branding, t.contact, "
    "t.storage_choice, "
    "pg_catalog.to_char(t.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), "
    "pg_catalog.to_char(t.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), "
    "t.version, t.pack, t.plan, d.server, d.database_name, d.schema_name, d.role_name";
inline constexpr std::size_t kTenantColumnCount = 20;

// "FROM platform.tenants t JOIN …": what kTenantColumns is read from.
inline constexpr std::string_view kTenantFrom =
    " FROM platform.tenants t JOIN platform.tenant_databases d ON d.tenant_id = t.id AND d.kind = "
    "'metadata' ";

using FindPack = std::function<std::shared_ptr<const Pack>(std::string_view name)>;

// `pack` of the result is null if `find_pack` does not know it. Error: internal, when the row cannot be
// understood.
Result<std::shared_ptr<const Tenant>> tenant_from_row(const pg::Rows& rows, std::size_t row,
                                                      std::size_t first_column, const FindPack& find_pack);

// "INSERT INTO platform.events …", one event for each row of `source`, a WITH query; `tenant_column` of it is
// the tenant's id. Refers to two parameters: type, payload.
std::string outbox_sql(int first_parameter, std::string_view source, std::string_view tenant_column = "id");

// The tenant as the audit and the outbox show it.
json::Value tenant_summary(const Tenant& tenant);

// An error of a statement that inserted or changed a tenant, in the caller's words: which field is taken.
Error tenant_write_error(Error error);
// The constraint that such an error names, "" if none.
std::string_view violated_constraint(const Error& error);
inline constexpr std::string_view kSlugTaken = "tenants_slug_key";
inline constexpr std::string_view kDomainTaken = "tenants_domain_key";
inline constexpr std::string_view kSubdomainTaken = "tenants_subdomain_key";

}  // namespace rowhouse::tenancy
