// The life of a tenant: create in one of three tiers, list, change, suspend, resume, delete; and its API
// keys.
//
// Creating and deleting are durable operations (kinds tenant.create and tenant.delete, see
// tenant_operations.h): a creation that fails leaves nothing, and what was cut off is resumed by whichever
// node comes next. Every change is recorded in the audit and in the outbox in the same transaction as the
// change.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "base/task.h"
#include "operations/engine.h"
#include "tenancy/cluster.h"
#include "tenancy/packs.h"
#include "tenancy/registry.h"
#include "tenancy/tenant.h"

namespace rowhouse::tenancy {

// Who asks; for the audit.
struct Actor {
  Actor(std::string actor_name, std::string actor_address)
      : name(std::move(actor_name)), address(std::move(actor_address)) {}
  std::string name;
  std::string address;  // "" inside the server
};

// A configuration of object storage that a tenant brings along, with its secrets; see storage/config.h.
struct NewStorage {
  std::string provider;
  json::Value config;
};

struct NewTenant {
  std::string name;  // 1 to 200 characters, no control characters
  std::string slug;  // "" = made from the name, with -2, -3, … if taken
  std::string pack;
  std::string plan;               // "" = the pack's default
  std::optional<Tier> tier;       // nullopt = the pack's default
  std::string domain, subdomain;  // "" = none (subdomain: the slug)
  StorageChoice storage = StorageChoice::none;
  std::optional<NewStorage> storage_config;  // with byos alone; tried before the tenant works
  std::string admin_email;                   // who is invited as its first admin; "" = nobody
  json::Value settings, branding, contact;
  enum class SampleRows { none, load } sample_rows = SampleRows::none;
};

struct TenantChange {  // what is set is changed
  std::optional<std::string> name, plan, domain, subdomain;
  std::optional<json::Value> settings, branding, contact;
  std::optional<std::int64_t> if_version;  // precondition_failed when the tenant has another
};

struct CreatedTenant {
  std::shared_ptr<const Tenant> tenant;
  std::string api_key;  // shown once, never stored
  std::size_t sample_row_count = 0;
  Uuid operation;
  std::string invitation;  // token of the admin's invitation, stored nowhere; "" = nobody was invited
};

// A creation that goes on whether or not anybody waits for it.
struct StartedCreation {
  Uuid operation;
  operations::Submitted::Novelty novelty = operations::Submitted::Novelty::started;
  // As it was registered; of a repeated request as it is now, or null if it is gone.
  std::shared_ptr<const Tenant> tenant;
  std::string
      api_key;  // valid as soon as the tenant is active; a repeated request gets the same; "" if it is gone
  std::string invitation;  // as of CreatedTenant; its link works as soon as the tenant is active
  // The tenant was rows alone and is active already: there is nothing to wait for.
  enum class Stage { under_way, finished } stage = Stage::under_way;
};

struct StartedRemoval {
  Uuid operation;
  operations::Submitted::Novelty novelty = operations::Submitted::Novelty::started;
};

// Who makes or rotates a credential, and what they have themselves: they can give no more.
struct KeyMaker {
  explicit KeyMaker(Actor maker) : actor(std::move(maker)) {}  // who may give everything
  KeyMaker(Actor maker, Grant makers_grant) : actor(std::move(maker)), own(std::move(makers_grant)) {}
  Actor actor;
  Grant own;
};

struct NewKey {
  explicit NewKey(std::string key_name) : name(std::move(key_name)) {}  // that may do everything, for ever
  NewKey(std::string key_name, Grant key_grant) : name(std::move(key_name)), grant(std::move(key_grant)) {}
  std::string name;
  Grant grant;
};

struct ApiKey {
  Uuid id;
  std::string name, hint, created_by;
  std::string created_at, expires_at, revoked_at, last_used_at;  // "" = never
  std::string rotated_at, previous_until;                        // "" = never; when the secret before ends
  std::vector<std::string> scopes, networks;                     // networks: none = from everywhere
};

struct NewApiKey {
  ApiKey key;
  std::string secret;  // "tk_…", or "rha_…" of a service key; shown once
};

inline constexpr std::chrono::seconds kMaxKeyOverlap = std::chrono::days(30);

struct TenantFilter {
  std::string pack, plan, search;  // "" = any; search: in name or slug
  std::optional<Tier> tier;
  std::optional<TenantStatus> status;
  std::size_t limit = 50;  // 1 to 500
  std::string cursor;      // of the previous page
};

struct TenantPage {
  std::vector<std::shared_ptr<const Tenant>> tenants;
  std::string next_cursor;  // "" at the end
};

struct PlatformStatus {
  struct Count {
    std::string pack, plan, tier, status;
    std::int64_t tenants = 0;
  };
  std::vector<Count> counts;
  std::vector<std::pair<std::string, std::int64_t>> databases;  // name, bytes
  std::int64_t connections = 0, max_connections = 0;
  std::string server_version;
};

class TenantService {
 public:
  // `changed` is called after each committed change, so that every worker of this node forgets the tenant at
  // once.
  using Changed = std::function<void(const Uuid& tenant)>;
  // Loads rows of the pack's sample CSVs into a new tenant; wired to the data module, which knows how to
  // import. Returns the number of rows.
  using SampleLoader = std::function<Task<Result<std::size_t>>(
      std::shared_ptr<const Tenant> tenant, const std::vector<SampleData>& samples, CallOptions options)>;
  // Closes the connections of this node to a tenant's own database before it is dropped.
  using CloseDatabase = std::function<void(const std::string& database)>;

  // Adds its kinds of operation to `engine`, which must not have been started, and must have been stopped
  // before this is destroyed.
  TenantService(const Cluster& cluster, pg::Pool& platform, PackStore& packs, Registry& registry,
                operations::Engine& engine, const Clock& clock);
  ~TenantService();
  void wire(Changed changed, SampleLoader samples, CloseDatabase close);
  // Removes what people have of a tenant that goes (memberships, roles, sessions, …), and proves it; wired to
  // the identity module, which is above this one. May be repeated. Without it tenants are thought to have no
  // people.
  using RemovePeople = std::function<Task<Result<void>>(Uuid tenant, Actor actor, CallOptions options)>;
  void wire_people(RemovePeople remove);
  // Invites the first admin of a tenant that is being made, by a one-time link with this token; wired to the
  // identity module. May be repeated. Without it nobody is invited.
  using Welcome = std::function<Task<Result<void>>(std::shared_ptr<const Tenant> tenant, std::string email,
                                                   std::string token, Actor actor, CallOptions options)>;
  void wire_welcome(Welcome welcome);
  // Makes storage of its own for a tenant that asked for it (StorageChoice::provisioned), and removes it with
  // everything in it; wired to what is above. Both may be repeated. Without `make` nobody gets any:
  // validation_failed.
  using MakeStore =
      std::function<Task<Result<void>>(std::shared_ptr<const Tenant> tenant, CallOptions options)>;
  using RemoveStore = std::function<Task<Result<void>>(Uuid tenant, CallOptions options)>;
  void wire_stores(MakeStore make, RemoveStore remove);
  // What becomes of NewTenant::storage_config; wired to what is above.
  struct StorageConfigHooks {
    // Is it well-formed and allowed? Connects to nothing.
    std::function<Result<void>(const NewStorage& wanted)> check;
    // Keeps it, sealed, in the transaction that makes the tenant's row.
    std::function<Task<Result<void>>(pg::Session& session, Uuid tenant, NewStorage wanted,
                                     CallOptions options)>
        save;
    // Tries it; an error says why it does not work. May be repeated.
    std::function<Task<Result<void>>(Uuid tenant, CallOptions options)> require_working;
  };
  void wire_storage_configs(StorageConfigHooks hooks);

  // Starts and finishes. Errors: validation_failed with fields, conflict (slug, domain or subdomain taken;
  // cancelled or paused by an operator; deleted again), not_found never; otherwise what the failing step
  // said. statement_timeout and cancelled say that the caller has stopped waiting: the operation goes on.
  Task<Result<CreatedTenant>> create(NewTenant request, Actor actor, CallOptions options);
  // `request_key`: "" or what the actor calls this request, 1 to 255 visible ASCII characters: a repetition
  // finds what the first one has started. Error idempotency_key_reused: it was used with another request.
  Task<Result<StartedCreation>> start_create(NewTenant request, Actor actor, std::string request_key,
                                             CallOptions options);
  // Waits until the tenant works, or nothing of it is left.
  Task<Result<CreatedTenant>> finish_create(StartedCreation started, CallOptions options);
  Task<Result<std::shared_ptr<const Tenant>>> get(std::string id_or_slug, CallOptions options);
  Task<Result<TenantPage>> list(TenantFilter filter, CallOptions options);
  Task<Result<std::shared_ptr<const Tenant>>> update(std::string id_or_slug, TenantChange change, Actor actor,
                                                     CallOptions options);
  Task<Result<std::shared_ptr<const Tenant>>> suspend(std::string id_or_slug, Actor actor,
                                                      CallOptions options);
  Task<Result<std::shared_ptr<const Tenant>>> resume(std::string id_or_slug, Actor actor,
                                                     CallOptions options);
  // Removes rows, schema or database, role, keys, registry entry; then proves that nothing is left. Starts
  // and finishes. Errors: not_found, conflict (it is being created, has instances, …); otherwise as create().
  Task<Result<void>> remove(std::string id_or_slug, Actor actor, CallOptions options);
  // One that is being removed already is joined.
  Task<Result<StartedRemoval>> start_remove(std::string id_or_slug, Actor actor, std::string request_key,
                                            CallOptions options);
  Task<Result<void>> finish_remove(StartedRemoval started, CallOptions options);

  Task<Result<std::vector<ApiKey>>> keys(std::string id_or_slug, CallOptions options);
  // The scopes must be operations of the tenant's pack or of Rowhouse's own for tenants. Errors: as
  // check_within(), conflict (too many keys).
  Task<Result<NewApiKey>> create_key(std::string id_or_slug, NewKey wanted, KeyMaker maker,
                                     CallOptions options);
  // A new secret for the key; the one before stays good for `overlap` (0: it ends at once). Errors:
  // not_found, permission_missing (the key has more than `maker`), conflict (it is revoked or expired, or an
  // overlap is not over yet: that one would lose its time).
  Task<Result<NewApiKey>> rotate_key(std::string id_or_slug, Uuid key_id, std::chrono::seconds overlap,
                                     KeyMaker maker, CallOptions options);
  Task<Result<void>> revoke_key(std::string id_or_slug, Uuid key_id, Actor actor, CallOptions options);

  // Service keys: tokens of the platform for programs. Scopes are kPlatformOperations.
  Task<Result<std::vector<ApiKey>>> service_keys(CallOptions options);
  Task<Result<NewApiKey>> create_service_key(NewKey wanted, KeyMaker maker, CallOptions options);
  Task<Result<NewApiKey>> rotate_service_key(Uuid key_id, std::chrono::seconds overlap, KeyMaker maker,
                                             CallOptions options);  // as rotate_key()
  Task<Result<void>> revoke_service_key(Uuid key_id, Actor actor, CallOptions options);

  Task<Result<PlatformStatus>> status(CallOptions options);
  // Waits until no creation or deletion of it is under way. Errors: conflict when an operator has paused it.
  Task<Result<void>> settle(Uuid tenant, CallOptions options);
  // Releases before operations left tenants half made or half deleted that no operation belongs to: starts
  // their deletion. Returns how many. `stale`: only those older than ten minutes, for another node of such a
  // release may be at work on the others.
  enum class Abandoned { stale, all };
  Task<Result<std::size_t>> remove_abandoned(Abandoned which, CallOptions options);

  // Stores the hash of an admin token (idempotent by name: replaces).
  Task<Result<void>> set_admin_token(std::string name, std::string token, CallOptions options);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rowhouse::tenancy
