// The object storage of each tenant: the configuration that it brought along, or that was made for it.
//
// Kept sealed in platform.tenant_storage_configs (src/secrets; purpose "storage PROVIDER config"); nobody
// reads it back, describe_config() says which members are set. One that is set is tried first, with a probe
// object, and becomes active only if everything worked.
//
// Proof of control: a bucket or share that another tenant uses is refused (conflict) until the caller has put
// an object there by means of its own; its key is in the answer. The answer is the same whoever uses it.
//
// A tenant that moves has two: the active one, and one that it is going to or coming from (storage_moves.h).
// What is said here without a number is about the active one.
//
// Stores are kept open for each worker, at most kMaxOpenStores, until the configuration changes: set() and
// remove() tell `changed`, which reaches the other workers; other nodes hear of it as of every change of a
// tenant (a trigger on the table) and call forget(). One per worker; belongs to the executor's thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/json.h"
#include "base/uuid.h"
#include "objects/store_source.h"
#include "pg/pool.h"
#include "secrets/tenant_secrets.h"
#include "storage/admin.h"
#include "storage/config.h"
#include "storage/open.h"
#include "tenancy/lru_map.h"
#include "tenancy/tenants.h"

namespace rowhouse::objects {

inline constexpr std::size_t kMaxOpenStores = 1'000;
inline constexpr std::string_view kControlFolder = ".rowhouse-control/";

// What a caller says: see storage/config.h.
struct StorageSetting {
  StorageSetting() = default;
  StorageSetting(std::string of_provider, json::Value configuration)
      : provider(std::move(of_provider)), config(std::move(configuration)) {}
  std::string provider;  // one of storage::kProviders
  json::Value config;    // an object; with the secrets
};

struct StorageView {
  std::string provider;
  std::string origin;  // byos, provisioned
  json::Value config;  // of byos: which members are set; secrets as true. null for provisioned storage
  std::string status;  // untested, working, failing
  std::string last_test_at, created_at, updated_at;  // RFC 3339; "" = never
  json::Value last_test_result;  // null, or {"ok", "steps": [{"name", "ok", "error", "duration_us"}]}
};

struct StorageConfigsOptions {
  storage::ConfigLimits limits;
  std::chrono::milliseconds probe_timeout{20'000};  // for all steps together
};

class StorageConfigs final : public StoreSource {
 public:
  // `byos` and `provisioned`: what stores of tenants' own and of ours are opened with. `control_key`: secret
  // that tokens of proofs are made with. All references outlive this.
  StorageConfigs(pg::Pool& platform, secrets::TenantSecrets& secrets, storage::StoreTools byos,
                 storage::StoreTools provisioned, std::string control_key, StorageConfigsOptions options);
  ~StorageConfigs() override;

  // `changed`: after each committed change. `has_objects`: whether anything is stored for the tenant, so that
  // its storage cannot be taken away or exchanged below it; without it nothing is thought to be.
  using Changed = std::function<void(const Uuid& tenant)>;
  using HasObjects = std::function<Task<Result<bool>>(Uuid tenant, CallOptions options)>;
  void wire(Changed changed, HasObjects has_objects);

  Task<Result<TenantStore>> open(const identity::TenantContext& context, CallOptions options) override;
  Task<Result<TenantStore>> open_number(const identity::TenantContext& context, int number,
                                        CallOptions options) override;
  void forget(const identity::TenantContext& context) override;
  Task<Result<TenantStore>> open_tenant(Uuid tenant, CallOptions options);
  Task<Result<TenantStore>> open_tenant_number(Uuid tenant, int number, CallOptions options);
  void forget(const Uuid& tenant);
  void forget_all();

  // Error: storage_not_configured.
  Task<Result<StorageView>> get(Uuid tenant, CallOptions options);
  // Errors: validation_failed (each fault with its path in the body: "/provider", "/config/bucket"),
  // address_refused, storage_failed (the probe says which step and why), conflict (proof of control is
  // missing; the tenant has provisioned storage, or objects in another place), not_found (no such tenant).
  Task<Result<StorageView>> set(Uuid tenant, StorageSetting setting, tenancy::Actor actor,
                                CallOptions options);
  // Tries it and stores the result; that it does not work is a result, no error.
  Task<Result<StorageView>> test(Uuid tenant, CallOptions options);
  // Forgets the configuration; what is in the bucket stays. Errors: storage_not_configured, conflict.
  Task<Result<void>> remove(Uuid tenant, tenancy::Actor actor, CallOptions options);

  // For tenants that are made together with a configuration: checks it without connecting; stores it,
  // untested, in the transaction that makes the tenant's row; tries it in a step of the operation. A bucket
  // that another tenant uses is a conflict.
  Result<void> check(const StorageSetting& setting) const;
  Task<Result<void>> save_new(pg::Session& session, Uuid tenant, StorageSetting setting, CallOptions options);
  Task<Result<void>> require_working(Uuid tenant, CallOptions options);

  // For moves (storage_targets.cc). What is to be the target: checked and tried as by set(), sealed. Errors:
  // as set(); storage_not_configured (there is nothing to move away from), validation_failed (it is the place
  // where the tenant's objects are).
  struct Target {
    std::string provider, sealed, store_hash;
    std::string test_result;  // JSON
    enum class Proof { not_needed, given } proof = Proof::not_needed;
  };
  Task<Result<Target>> check_target(Uuid tenant, StorageSetting setting, CallOptions options);
  // As a row that is not active. Before it others that never became active go. Of two tenants that want one
  // bucket the second is refused (conflict).
  Task<Result<void>> save_target(pg::Session& session, Uuid tenant, int number, Target target,
                                 CallOptions options);
  // Both are tried; they must be two places. Errors: storage_failed, validation_failed,
  // storage_not_configured.
  Task<Result<void>> require_target(Uuid tenant, int number, CallOptions options);

 private:
  struct Stored;
  struct Checked;
  using Store = std::shared_ptr<storage::ObjectStore>;
  // Of one tenant.
  struct Opened {
    int current = 0;  // 0 = not asked yet
    std::map<int, Store> stores;
  };

  static constexpr int kActive = 0;  // instead of a number
  Task<Result<Stored>> read(Uuid tenant, int number, CallOptions options);
  Task<Result<TenantStore>> open_one(Uuid tenant, int number, CallOptions options);
  Task<Result<void>> require_working_number(Uuid tenant, int number, CallOptions options);
  Task<Result<void>> require_apart(Store present, Store target, CallOptions options);
  Task<Result<void>> check_not_moving(Uuid tenant, CallOptions options);
  Result<Store> open_stored(const Stored& stored) const;
  Result<Checked> checked(const StorageSetting& setting) const;
  Task<Result<bool>> is_used_by_another(Uuid tenant, std::string store_hash, CallOptions options);
  Task<Result<void>> prove_control(Uuid tenant, const Checked& checked, CallOptions options);
  Task<Result<void>> check_exchange(Uuid tenant, const Checked& checked, CallOptions options);
  Task<Result<void>> save(Uuid tenant, const StorageSetting& setting, const Checked& checked,
                          std::string test_result, tenancy::Actor actor, CallOptions options);
  Task<Result<storage::ProbeResult>> probe(Store store, CallOptions options) const;
  Task<Result<void>> check_unused(Uuid tenant, CallOptions options);
  std::string control_token(const Uuid& tenant, const std::string& store_hash) const;

  pg::Pool& platform_;
  secrets::TenantSecrets& secrets_;
  const storage::StoreTools byos_, provisioned_;
  std::string control_key_;
  const StorageConfigsOptions options_;
  Changed changed_;
  HasObjects has_objects_;
  tenancy::LruMap<Uuid, Opened> stores_{kMaxOpenStores};
  std::uint64_t forgotten_ = 0;  // counts: what was read before is not kept after
};

// "storage aws_s3 config"
std::string storage_purpose(std::string_view provider);

}  // namespace rowhouse::objects
