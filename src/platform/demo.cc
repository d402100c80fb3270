#include "platform/demo.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "platform/secrets.h"

namespace rowhouse::platform {
namespace {

using tenancy::Tier;

struct Entry {
  const char* slug;
  const char* name;
  const char* pack;
  const char* plan;
  Tier tier;
  const char* email;
};

constexpr std::array kDemoTenants = {
    Entry{"nordwind", "Nordwind Vertrieb", "tekup", "professional", Tier::pool, "vertrieb@nordwind.example"},
    Entry{"acme-corp", "Acme Corp", "tekup", "basic", Tier::pool, "ops@acme.example"},
    Entry{"fjordnet", "Fjordnet", "isp-monitor", "", Tier::pool, "noc@fjordnet.example"},
    Entry{"alpen-glasfaser", "Alpen Glasfaser", "isp-monitor", "", Tier::schema,
          "noc@alpen-glasfaser.example"},
    Entry{"galerie-lumen", "Galerie Lumen", "deeplens", "", Tier::database, "archiv@galerie-lumen.example"},
    Entry{"studio-kestrel", "Studio Kestrel", "deeplens", "", Tier::schema, "hello@studio-kestrel.example"},
};

tenancy::NewTenant request_for(const Entry& entry) {
  tenancy::NewTenant request;
  request.name = entry.name;
  request.slug = entry.slug;
  request.pack = entry.pack;
  request.plan = entry.plan;
  request.tier = entry.tier;
  request.contact.set("admin_email", entry.email);  // nobody is invited: these addresses are made up
  request.sample_rows = tenancy::NewTenant::SampleRows::load;
  return request;
}

Task<Result<DemoTenant>> ensure(tenancy::TenantService& tenants, const Entry& entry, std::string key_file,
                                CallOptions options) {
  const tenancy::Actor actor("rowhouse up --demo", "");
  const std::string slug = entry.slug;
  auto found = co_await tenants.get(slug, options);
  if (found.ok() && (*found)->status != tenancy::TenantStatus::active) {
    // A start before this one was cut off: what it began is gone on with by now.
    const Uuid id = (*found)->id;
    CO_TRY_DO(co_await tenants.settle(id, options));
    found = co_await tenants.get(slug, options);
  }
  if (!found.ok() && found.error().code != ErrorCode::not_found) co_return std::move(found).error();
  std::shared_ptr<const tenancy::Tenant> tenant;
  if (found.ok()) {
    tenant = std::move(found).value();
    if (access(key_file.c_str(), F_OK) != 0) {
      const tenancy::NewKey wanted("demo");
      const tenancy::KeyMaker maker(actor);
      CO_TRY(const auto key, co_await tenants.create_key(slug, wanted, maker, options));
      CO_TRY_DO(replace_secret_file(key_file, key.secret));
    }
  } else {
    const auto request = request_for(entry);
    CO_TRY(const auto created, co_await tenants.create(request, actor, options));
    CO_TRY_DO(replace_secret_file(key_file, created.api_key));
    tenant = created.tenant;
  }
  co_return DemoTenant(tenant->slug, tenant->name, tenant->pack_name,
                       std::string(tenancy::tier_name(tenant->placement.tier)), tenant->plan_name, key_file);
}

bool is_installed(const std::vector<std::string>& packs, std::string_view name) {
  return std::find(packs.begin(), packs.end(), name) != packs.end();
}

}  // namespace

Task<Result<std::vector<DemoTenant>>> create_demo_tenants(tenancy::TenantService& tenants,
                                                          std::vector<std::string> packs,
                                                          std::string key_directory, CallOptions options) {
  if (mkdir(key_directory.c_str(), 0700) != 0 && errno != EEXIST) {
    co_return Error(ErrorCode::data_directory_invalid,
                    "cannot create " + key_directory + ": " + std::strerror(errno));
  }
  std::vector<DemoTenant> result;
  for (const Entry& entry : kDemoTenants) {
    if (!is_installed(packs, entry.pack)) continue;
    std::string key_file = key_directory + "/" + entry.slug;
    CO_TRY(auto tenant, co_await ensure(tenants, entry, key_file, options));
    result.push_back(std::move(tenant));
  }
  co_return result;
}

}  // namespace rowhouse::platform
