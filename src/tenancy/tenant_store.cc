#include "tenancy/tenant_store.h"

#include <utility>

#include "base/text.h"

namespace rowhouse::tenancy {

namespace {

Error strange_row(std::string_view what) {
  return Error(ErrorCode::internal, "the registry holds a tenant with a strange " + std::string(what));
}

}  // namespace

Result<std::shared_ptr<const Tenant>> tenant_from_row(const pg::Rows& rows, std::size_t row,
                                                      std::size_t first_column, const FindPack& find_pack) {
  std::size_t column = first_column;
  const auto next = [&] { return rows.text(row, column++); };
  auto tenant = std::make_shared<Tenant>();
  const auto id = Uuid::parse(next());
  if (!id) return strange_row("id");
  tenant->id = *id;
  tenant->slug = next();
  tenant->name = next();
  const auto status = parse_tenant_status(next());
  if (!status) return strange_row("status");
  tenant->status = *status;
  const auto tier = parse_tier(next());
  if (!tier) return strange_row("tier");
  tenant->placement.tier = *tier;
  tenant->domain = next();
  tenant->subdomain = next();
  for (json::Value* document : {&tenant->settings, &tenant->branding, &tenant->contact}) {
    TRY(*document, json::parse(next()));
  }
  const auto storage = parse_storage_choice(next());
  if (!storage) return strange_row("storage choice");
  tenant->storage = *storage;
  tenant->created_at = next();
  tenant->updated_at = next();
  tenant->version = parse_int64(next()).value_or(0);
  tenant->pack_name = next();
  tenant->plan_name = next();
  tenant->placement.server = next();
  tenant->placement.database = next();
  tenant->placement.schema = next();
  tenant->placement.role = next();
  tenant->pack = find_pack(tenant->pack_name);
  return std::shared_ptr<const Tenant>(std::move(tenant));
}

std::string outbox_sql(int first_parameter, std::string_view source, std::string_view tenant_column) {
  return "INSERT INTO platform.events (tenant_id, type, payload) SELECT " + std::string(tenant_column) +
         ", $" + std::to_string(first_parameter) + "::text, $" + std::to_string(first_parameter + 1) +
         "::jsonb FROM " + std::string(source);
}

json::Value tenant_summary(const Tenant& tenant) {
  json::Value summary;
  summary.set("slug", tenant.slug);
  summary.set("name", tenant.name);
  summary.set("status", tenant_status_name(tenant.status));
  summary.set("pack", tenant.pack_name);
  summary.set("plan", tenant.plan_name);
  summary.set("tier", tier_name(tenant.placement.tier));
  summary.set("domain", tenant.domain);
  summary.set("subdomain", tenant.subdomain);
  summary.set("storage", storage_choice_name(tenant.storage));
  summary.set("settings", tenant.settings);
  summary.set("branding", tenant.branding);
  summary.set("contact", tenant.contact);
  return summary;
}

std::string_view violated_constraint(const Error& error) { return error.detail(pg::kConstraint); }

Error tenant_write_error(Error error) {
  const auto constraint = violated_constraint(error);
  const auto taken = [](const char* path, const char* what) {
    return Error(ErrorCode::conflict, std::string("another tenant has this ") + what)
        .with_field(path, "is taken by another tenant");
  };
  if (constraint == kSlugTaken) return taken("/slug", "slug");
  if (constraint == kDomainTaken) return taken("/domain", "domain");
  if (constraint == kSubdomainTaken) return taken("/subdomain", "subdomain");
  return error;
}

}  // namespace rowhouse::tenancy
