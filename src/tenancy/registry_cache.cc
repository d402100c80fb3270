#include "tenancy/registry_cache.h"

#include <algorithm>
#include <utility>

namespace rowhouse::tenancy {

namespace {

constexpr std::size_t kMaxAdminTokens = 1'000;
// A look-up that saw more changes than this keeps nothing.
constexpr std::size_t kMaxChangesPerLookup = 64;

}  // namespace

RegistryCache::Lookup::Lookup(RegistryCache& cache) : cache_(cache) { cache_.lookups_.insert(this); }
RegistryCache::Lookup::~Lookup() { cache_.lookups_.erase(this); }

bool RegistryCache::Lookup::may_keep(const Uuid& tenant_id) const {
  return !everything_changed_ && std::find(changed_.begin(), changed_.end(), tenant_id) == changed_.end();
}

RegistryCache::RegistryCache(const RegistryOptions& options)
    : tenants_(options.max_tenants),
      keys_(options.max_keys),
      admins_(kMaxAdminTokens),
      unknown_(options.max_unknown_keys) {}

const KeyEntry* RegistryCache::key(const KeyHash& hash) { return keys_.find(hash); }
const AdminEntry* RegistryCache::admin(const KeyHash& hash) { return admins_.find(hash); }

std::shared_ptr<const Tenant> RegistryCache::tenant(std::string_view id_or_slug) {
  auto id = Uuid::parse(id_or_slug);
  if (!id) {
    const auto found = ids_by_slug_.find(std::string(id_or_slug));
    if (found == ids_by_slug_.end()) return nullptr;
    id = found->second;
  }
  return tenant(*id);
}

std::shared_ptr<const Tenant> RegistryCache::tenant(const Uuid& id) {
  const auto* tenant = tenants_.find(id);
  return tenant != nullptr ? *tenant : nullptr;
}

bool RegistryCache::is_unknown(const KeyHash& hash, Time now) {
  const Time* since = unknown_.find(hash);
  return since != nullptr && now - *since < kUnknownFor;
}

void RegistryCache::keep_tenant(std::shared_ptr<const Tenant> tenant) {
  if (const auto* old = tenants_.find(tenant->id)) ids_by_slug_.erase((*old)->slug);
  ids_by_slug_[tenant->slug] = tenant->id;
  const Uuid id = tenant->id;
  const auto evicted = tenants_.put(id, std::move(tenant));
  if (evicted) ids_by_slug_.erase(evicted->second->slug);
}

void RegistryCache::keep_key(const KeyHash& hash, KeyEntry entry) {
  const Uuid tenant_id = entry.tenant->id;
  if (const KeyEntry* old = keys_.find(hash)) unlink_key(old->tenant->id, hash);
  keys_by_tenant_[tenant_id].push_back(hash);
  const auto evicted = keys_.put(hash, std::move(entry));
  if (evicted) unlink_key(evicted->second.tenant->id, evicted->first);
}

void RegistryCache::keep_admin(const KeyHash& hash, AdminEntry entry) { admins_.put(hash, std::move(entry)); }
void RegistryCache::keep_unknown(const KeyHash& hash, Time now) { unknown_.put(hash, now); }

void RegistryCache::unlink_key(const Uuid& tenant_id, const KeyHash& hash) {
  const auto found = keys_by_tenant_.find(tenant_id);
  if (found == keys_by_tenant_.end()) return;
  std::erase(found->second, hash);
  if (found->second.empty()) keys_by_tenant_.erase(found);
}

void RegistryCache::forget_tenant(const Uuid& id) {
  for (Lookup* lookup : lookups_) {
    if (lookup->changed_.size() >= kMaxChangesPerLookup) lookup->everything_changed_ = true;
    if (!lookup->everything_changed_) lookup->changed_.push_back(id);
  }
  if (const auto tenant = tenants_.take(id)) ids_by_slug_.erase((*tenant)->slug);
  const auto found = keys_by_tenant_.find(id);
  if (found == keys_by_tenant_.end()) return;
  for (const KeyHash& hash : found->second) keys_.take(hash);
  keys_by_tenant_.erase(found);
}

void RegistryCache::forget_everything() {
  for (Lookup* lookup : lookups_) lookup->everything_changed_ = true;
  tenants_.clear();
  ids_by_slug_.clear();
  keys_.clear();
  keys_by_tenant_.clear();
  admins_.clear();
  unknown_.clear();
}

}  // namespace rowhouse::tenancy
