// What a worker remembers of the registry: tenants, keys, admin tokens and keys that do not exist, all
// bounded. Pure memory, no queries; one thread.
//
// A look-up that was under way while its tenant changed must not put the old state into the cache. So whoever
// looks something up holds a Lookup from before its query to after it; forget…() marks those that are open.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tenancy/lru_map.h"
#include "tenancy/registry.h"

namespace rowhouse::tenancy {

struct KeyHashHasher {
  std::size_t operator()(const KeyHash& hash) const noexcept {
    std::size_t value = 0;  // the bytes of a SHA-256 are as good as any hash of them
    for (std::size_t i = 0; i < sizeof(value); ++i) value = value << 8 | hash[i];
    return value;
  }
};

class RegistryCache {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // How long an unknown credential is refused without asking again.
  static constexpr std::chrono::seconds kUnknownFor{5};

  // Registered while it lives; see above. Must not outlive the cache.
  class Lookup {
   public:
    explicit Lookup(RegistryCache& cache);
    ~Lookup();
    Lookup(const Lookup&) = delete;
    Lookup& operator=(const Lookup&) = delete;
    bool may_keep(const Uuid& tenant_id) const;
    bool may_keep() const { return !everything_changed_; }

   private:
    friend class RegistryCache;
    RegistryCache& cache_;
    std::vector<Uuid> changed_;
    bool everything_changed_ = false;
  };

  explicit RegistryCache(const RegistryOptions& options);

  const KeyEntry* key(const KeyHash& hash);
  const AdminEntry* admin(const KeyHash& hash);
  std::shared_ptr<const Tenant> tenant(std::string_view id_or_slug);
  std::shared_ptr<const Tenant> tenant(const Uuid& id);
  bool is_unknown(const KeyHash& hash, Time now);

  void keep_key(const KeyHash& hash, KeyEntry entry);
  void keep_admin(const KeyHash& hash, AdminEntry entry);
  void keep_tenant(std::shared_ptr<const Tenant> tenant);
  void keep_unknown(const KeyHash& hash, Time now);

  void forget_tenant(const Uuid& id);  // its keys, too
  void forget_everything();
  std::size_t size() const { return keys_.size() + tenants_.size() + admins_.size() + unknown_.size(); }

 private:
  void unlink_key(const Uuid& tenant_id, const KeyHash& hash);

  LruMap<Uuid, std::shared_ptr<const Tenant>> tenants_;
  std::unordered_map<std::string, Uuid> ids_by_slug_;  // of `tenants_`
  LruMap<KeyHash, KeyEntry, KeyHashHasher> keys_;
  std::unordered_map<Uuid, std::vector<KeyHash>> keys_by_tenant_;  // of `keys_`
  LruMap<KeyHash, AdminEntry, KeyHashHasher> admins_;
  LruMap<KeyHash, Time, KeyHashHasher> unknown_;
  std::set<Lookup*> lookups_;
};

}  // namespace rowhouse::tenancy
