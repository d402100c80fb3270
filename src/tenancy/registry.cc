#include "tenancy/registry.h"

#include <algorithm>
#include <coroutine>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/text.h"
#include "observe/log.h"
#include "pg/listener.h"
#include "tenancy/api_key.h"
#include "tenancy/grant_row.h"
#include "tenancy/registry_cache.h"
#include "tenancy/tenant_store.h"

namespace rowhouse::tenancy {

namespace {

using namespace std::chrono_literals;

constexpr const char* kChannel = "rowhouse_registry";
constexpr std::string_view kContextKeysTopic = "context_keys";
constexpr auto kPollDeadline = 5s;
constexpr auto kReloadDeadline = 60s;
// With more changes than this since the last poll, everything is forgotten instead.
constexpr std::size_t kMaxPolledChanges = 1'000;
constexpr std::size_t kMaxUsedKeys = 10'000;
constexpr int kPollsPerPruning = 3'600;

// When the secret of hash $1 ends: the key's own end, or before that the overlap of its rotation.
std::string expiry_of(const std::string& key) {
  return "CASE WHEN " + key + ".hash = $1::bytea THEN " + key + ".expires_at ELSE LEAST(" + key +
         ".expires_at, " + key + ".previous_until) END";
}

const std::string& key_sql() {
  static const std::string sql =
      "SELECT k.id, k.name, " + grant_columns("k", expiry_of("k")) + ", " + std::string(kTenantColumns) +
      std::string(kTenantFrom) +
      "JOIN platform.api_keys k ON k.tenant_id = t.id "
      "WHERE (k.hash = $1::bytea OR k.previous_hash = $1::bytea) AND k.revoked_at IS NULL";
  return sql;
}

const std::string& tenant_sql() {
  static const std::string sql = "SELECT " + std::string(kTenantColumns) + std::string(kTenantFrom) +
                                 "WHERE t.id = $1::uuid OR t.slug = $2::text";
  return sql;
}

const std::string& admin_sql() {
  static const std::string sql =
      "SELECT a.id, a.name, a.kind, " + grant_columns("a", expiry_of("a")) +
      " FROM platform.admin_tokens a WHERE (a.hash = $1::bytea OR a.previous_hash = $1::bytea) AND "
      "a.revoked_at IS NULL";
  return sql;
}

constexpr std::string_view kRevisionSql = "SELECT COALESCE(max(revision), 0) FROM platform.registry_changes";
constexpr std::string_view kChangesSql =
    "SELECT revision, tenant_id, topic FROM platform.registry_changes WHERE revision > $1::bigint ORDER BY "
    "revision "
    "LIMIT "
    "$2::bigint";
constexpr std::string_view kReportUseSql =
    "WITH used AS (SELECT id FROM pg_catalog.unnest($1::uuid[]) AS given (id)), tokens AS ("
    "UPDATE platform.admin_tokens a SET last_used_at = pg_catalog.now() FROM used WHERE a.id = used.id) "
    "UPDATE platform.api_keys k SET last_used_at = pg_catalog.now() FROM used WHERE k.id = used.id";
constexpr std::string_view kPruneSql =
    "DELETE FROM platform.registry_changes WHERE at < pg_catalog.now() - interval '1 day' AND revision < "
    "(SELECT "
    "max(revision) FROM platform.registry_changes)";

// Somebody who wants the result of a look-up that another has started.
template <class T>
struct Flight {
  std::vector<std::coroutine_handle<>> waiting;
  std::optional<Result<T>> result;
};

template <class T>
struct FlightAwaiter {
  Flight<T>& flight;
  bool await_ready() const noexcept { return flight.result.has_value(); }
  void await_suspend(std::coroutine_handle<> handle) { flight.waiting.push_back(handle); }
  void await_resume() const noexcept {}
};

Error unknown_credential() { return Error(ErrorCode::credential_unknown, "the credential is not known"); }

}  // namespace

struct Registry::Impl {
  Impl(const Cluster& registry_cluster, pg::Pool& pool, PackStore& pack_store,
       RegistryOptions registry_options)
      : cluster(registry_cluster),
        platform(pool),
        store(pack_store),
        options(registry_options),
        cache(options) {}

  Task<Result<KeyEntry>> query_key(KeyHash hash, CallOptions call);
  Task<Result<std::shared_ptr<const Tenant>>> query_tenant(std::string id_or_slug, CallOptions call);
  Task<void> fly(KeyHash hash, std::shared_ptr<Flight<KeyEntry>> flight, Deadline deadline);
  Task<Result<void>> make_usable(const Tenant& tenant, CallOptions call);

  Task<Result<void>> load_packs(CallOptions call);
  void reload_in_background();
  Task<void> reload_while_asked();
  std::shared_ptr<const Pack> find_pack(std::string_view name) const;
  FindPack finder() {
    return [this](std::string_view name) { return find_pack(name); };
  }

  void forget_tenant(const Uuid& tenant) {
    cache.forget_tenant(tenant);
    if (forgotten) forgotten(&tenant);
  }
  void forget_everything() {
    cache.forget_everything();
    if (forgotten) forgotten(nullptr);
  }
  void heard(std::string_view payload);
  void listening();
  void tell_of_context_keys() const;
  void poll_later();
  Task<void> poll();
  Task<Result<void>> read_changes(CallOptions call);
  Task<Result<void>> report_use(CallOptions call);
  void note_use(const Uuid& key_id);

  const Cluster& cluster;
  pg::Pool& platform;
  PackStore& store;
  RegistryOptions options;
  RegistryCache cache;
  std::map<std::string, std::shared_ptr<const Pack>, std::less<>> packs;
  std::unordered_map<KeyHash, std::shared_ptr<Flight<KeyEntry>>, KeyHashHasher> flights;
  std::unordered_map<Uuid, int> used_keys;  // since the last report; a set with a value nobody reads

  enum class State { idle, running, stopped } state = State::idle;
  std::int64_t revision = 0;
  int polls = 0;
  std::uint64_t load_turn = 0, loaded_turn = 0;
  enum class Connected { never, before } connected = Connected::never;
  enum class Reload { none, running, again } reload = Reload::none;
  std::function<void()> context_keys_changed;
  Forgotten forgotten;
  std::unique_ptr<pg::Listener> listener;
  std::unique_ptr<net::Timer> poll_timer;
  CancelSource stopping;
  net::TaskGroup tasks;
};

// ------------------------------------------------------------------------------------------------- packs

std::shared_ptr<const Pack> Registry::Impl::find_pack(std::string_view name) const {
  const auto found = packs.find(name);
  return found != packs.end() ? found->second : nullptr;
}

Task<Result<void>> Registry::Impl::load_packs(CallOptions call) {
  const auto turn = ++load_turn;
  CO_TRY(auto loaded, co_await store.load_all(call));
  // One that began later has ended sooner and knows more.
  if (turn < loaded_turn) co_return Result<void>();
  loaded_turn = turn;
  packs.clear();
  for (auto& pack : loaded) {
    std::string name = pack->manifest.name;
    packs.emplace(std::move(name), std::move(pack));
  }
  // Tenants point at the packs of before.
  forget_everything();
  co_return Result<void>();
}

void Registry::Impl::reload_in_background() {
  if (state != State::running) return;
  if (reload != Reload::none) {
    reload = Reload::again;
    return;
  }
  reload = Reload::running;
  tasks.spawn(reload_while_asked());
}

Task<void> Registry::Impl::reload_while_asked() {
  for (bool again = true; again && state == State::running;) {
    reload = Reload::running;
    const CallOptions call{deadline_in(kReloadDeadline), &stopping};
    auto loaded = co_await load_packs(call);
    if (!loaded.ok() && loaded.error().code != ErrorCode::cancelled) {
      observe::process_log().write_error("packs_not_reloaded", loaded.error());
    }
    again = reload == Reload::again;
  }
  reload = Reload::none;
}

// ----------------------------------------------------------------------------------------------- look-up

// A tenant is handed out with its pack and plan, or not at all. Its pack may have been installed by another
// node a moment ago.
Task<Result<void>> Registry::Impl::make_usable(const Tenant& tenant, CallOptions call) {
  if (tenant.plan() != nullptr) co_return Result<void>();
  if (find_pack(tenant.pack_name) == nullptr) CO_TRY_DO(co_await load_packs(call));
  const auto pack = find_pack(tenant.pack_name);
  if (pack == nullptr || pack->manifest.find_plan(tenant.plan_name) == nullptr) {
    co_return Error(ErrorCode::internal, "the tenant's pack or plan is not installed: " + tenant.pack_name +
                                             ", " + tenant.plan_name);
  }
  co_return Result<void>();
}

Task<Result<KeyEntry>> Registry::Impl::query_key(KeyHash hash, CallOptions call) {
  pg::Params params;
  params.emplace_back(bytea_text(hash));
  const pg::Statement statement(key_sql(), std::move(params));
  constexpr std::size_t kFirstGrantColumn = 2;
  constexpr std::size_t kFirstTenantColumn = kFirstGrantColumn + kGrantColumnCount;
  for (int attempt = 1;; ++attempt) {
    RegistryCache::Lookup lookup(cache);
    CO_TRY(auto rows, co_await platform.run(nullptr, statement, call));
    if (rows.size() == 0) {
      if (lookup.may_keep()) cache.keep_unknown(hash, std::chrono::steady_clock::now());
      co_return unknown_credential();
    }
    CO_TRY(auto tenant, tenant_from_row(rows, 0, kFirstTenantColumn, finder()));
    if (tenant->plan() == nullptr && attempt == 1) {
      CO_TRY_DO(co_await make_usable(*tenant, call));
      continue;
    }
    KeyEntry entry;
    const auto id = Uuid::parse(rows.text(0, 0));
    if (!id) co_return Error(ErrorCode::internal, "the registry holds a key with a strange id");
    entry.id = *id;
    entry.name = rows.text(0, 1);
    CO_TRY(entry.grant, grant_from_row(rows, 0, kFirstGrantColumn));
    // Keys of one tenant share its snapshot.
    const auto known = cache.tenant(tenant->id.to_string());
    entry.tenant = known != nullptr && known->version == tenant->version ? known : tenant;
    if (lookup.may_keep(entry.tenant->id)) {
      cache.keep_tenant(entry.tenant);
      cache.keep_key(hash, entry);
    }
    co_return entry;
  }
}

Task<void> Registry::Impl::fly(KeyHash hash, std::shared_ptr<Flight<KeyEntry>> flight, Deadline deadline) {
  const CallOptions call{deadline, &stopping};
  auto result = co_await query_key(hash, call);
  flight->result.emplace(std::move(result));
  flights.erase(hash);
  for (const auto handle : std::exchange(flight->waiting, {})) {
    cluster.executor().post([handle] { handle.resume(); });
  }
}

Task<Result<std::shared_ptr<const Tenant>>> Registry::Impl::query_tenant(std::string id_or_slug,
                                                                         CallOptions call) {
  const auto id = Uuid::parse(id_or_slug);
  pg::Params params;
  params.emplace_back(id ? pg::Param(id->to_string()) : std::nullopt);
  params.emplace_back(id ? std::nullopt : pg::Param(id_or_slug));
  const pg::Statement statement(tenant_sql(), std::move(params));
  for (int attempt = 1;; ++attempt) {
    RegistryCache::Lookup lookup(cache);
    CO_TRY(auto rows, co_await platform.run(nullptr, statement, call));
    if (rows.size() == 0) co_return Error(ErrorCode::not_found, "there is no such tenant");
    CO_TRY(auto tenant, tenant_from_row(rows, 0, 0, finder()));
    if (tenant->plan() == nullptr && attempt == 1) {
      CO_TRY_DO(co_await make_usable(*tenant, call));
      continue;
    }
    if (lookup.may_keep(tenant->id)) cache.keep_tenant(tenant);
    co_return tenant;
  }
}

void Registry::Impl::note_use(const Uuid& key_id) {
  if (used_keys.size() < kMaxUsedKeys) used_keys.try_emplace(key_id);
}

// ----------------------------------------------------------------------------------------------- changes

void Registry::Impl::heard(std::string_view payload) {
  if (const auto tenant = Uuid::parse(payload)) {
    forget_tenant(*tenant);
    return;
  }
  if (payload == kContextKeysTopic) {
    tell_of_context_keys();
    return;
  }
  // A pack or an admin token: it concerns everything.
  forget_everything();
  reload_in_background();
}

// After a reconnection: notifications may have been missed. Asking for the changes would not be enough,
// because their rows are kept for a day only, and who knows how long we were away. Before the first
// connection the poll suffices.
void Registry::Impl::listening() {
  if (std::exchange(connected, Connected::before) == Connected::never) return;
  forget_everything();
  reload_in_background();
  tell_of_context_keys();
}

void Registry::Impl::tell_of_context_keys() const {
  if (context_keys_changed) context_keys_changed();
}

void Registry::Impl::poll_later() {
  if (state != State::running) return;
  poll_timer = cluster.executor().after(options.poll_every, [this] {
    poll_timer.reset();
    tasks.spawn(poll());
  });
}

Task<Result<void>> Registry::Impl::read_changes(CallOptions call) {
  pg::Params params;
  params.emplace_back(std::to_string(revision));
  params.emplace_back(std::to_string(kMaxPolledChanges + 1));
  const pg::Statement statement(std::string(kChangesSql), std::move(params));
  CO_TRY(auto rows, co_await platform.run(nullptr, statement, call));
  if (rows.size() == 0) co_return Result<void>();
  bool everything = rows.size() > kMaxPolledChanges;
  for (std::size_t row = 0; row < rows.size() && !everything; ++row) {
    const auto tenant = Uuid::parse(rows.text(row, 1));
    if (tenant) {
      forget_tenant(*tenant);
    } else if (rows.text(row, 2) == kContextKeysTopic) {
      tell_of_context_keys();
    } else {
      everything = true;
    }
  }
  revision = parse_int64(rows.text(rows.size() - 1, 0)).value_or(revision);
  if (everything) {
    forget_everything();
    reload_in_background();
    tell_of_context_keys();
  }
  co_return Result<void>();
}

Task<Result<void>> Registry::Impl::report_use(CallOptions call) {
  if (used_keys.empty()) co_return Result<void>();
  std::string ids;
  for (const auto& [id, ignored] : std::exchange(used_keys, {}))
    ids += (ids.empty() ? "" : ",") + id.to_string();
  pg::Params params;
  params.emplace_back("{" + ids + "}");
  const pg::Statement statement(std::string(kReportUseSql), std::move(params), pg::Access::write);
  CO_TRY_DO(co_await platform.run(nullptr, statement, call));
  co_return Result<void>();
}

Task<void> Registry::Impl::poll() {
  const CallOptions call{deadline_in(kPollDeadline), &stopping};
  auto outcome = co_await read_changes(call);
  // A database that is away is reported by those who need it; here it only means that caches stay as they are
  // until the listener is back and everything is forgotten.
  ++polls;
  if (outcome.ok() && polls % options.polls_per_use_report == 0) outcome = co_await report_use(call);
  if (outcome.ok() && polls % kPollsPerPruning == 0) {
    const pg::Statement prune(std::string(kPruneSql), {}, pg::Access::write);
    auto pruned = co_await platform.run(nullptr, prune, call);
    if (!pruned.ok()) observe::process_log().write_error("registry_changes_not_pruned", pruned.error());
  }
  poll_later();
}

// -------------------------------------------------------------------------------------------------- face

Registry::Registry(const Cluster& cluster, pg::Pool& platform, PackStore& packs, RegistryOptions options)
    : impl_(std::make_unique<Impl>(cluster, platform, packs, options)) {}

// What stop() has cancelled needs another turn of the loop to end.
Registry::~Registry() {
  stop();
  if (impl_->tasks.size() > 0) net::run_until_done(impl_->cluster.executor(), impl_->tasks.join());
}

Task<Result<void>> Registry::start(CallOptions options) {
  // The revision first: what changes while the packs are read is then seen by the first poll.
  const pg::Statement statement{std::string(kRevisionSql)};
  CO_TRY(auto rows, co_await impl_->platform.run(nullptr, statement, options));
  impl_->revision = parse_int64(rows.text(0, 0)).value_or(0);
  CO_TRY_DO(co_await impl_->load_packs(options));
  impl_->state = Impl::State::running;
  Impl* impl = impl_.get();
  impl_->listener = std::make_unique<pg::Listener>(
      impl_->cluster.executor(), impl_->cluster.as(kPlatformRole, kPlatformDatabase), kChannel,
      [impl](std::string_view payload) { impl->heard(payload); }, [impl] { impl->listening(); });
  impl_->poll_later();
  co_return Result<void>();
}

void Registry::stop() {
  if (impl_->state == Impl::State::stopped) return;
  impl_->state = Impl::State::stopped;
  impl_->listener.reset();
  impl_->poll_timer.reset();
  impl_->stopping.cancel();
}

const KeyEntry* Registry::cached_key(const KeyHash& hash) const {
  const KeyEntry* entry = impl_->cache.key(hash);
  if (entry != nullptr) impl_->note_use(entry->id);
  return entry;
}

Task<Result<KeyEntry>> Registry::find_key(KeyHash hash, CallOptions options) {
  if (const KeyEntry* entry = cached_key(hash)) co_return *entry;
  if (impl_->cache.is_unknown(hash, std::chrono::steady_clock::now())) co_return unknown_credential();
  if (impl_->state == Impl::State::stopped)
    co_return Error(ErrorCode::shutting_down, "the server is shutting down");
  auto found = impl_->flights.find(hash);
  if (found == impl_->flights.end()) {
    found = impl_->flights.emplace(hash, std::make_shared<Flight<KeyEntry>>()).first;
    // Shared by the look-up and everybody who waits for it. It goes on if one of them gives up.
    const auto flight = found->second;
    impl_->tasks.spawn(impl_->fly(hash, flight, options.deadline));
    FlightAwaiter<KeyEntry> awaiter{*flight};
    co_await awaiter;
    if (flight->result->ok()) impl_->note_use((*flight->result)->id);
    co_return *flight->result;
  }
  const auto flight = found->second;
  FlightAwaiter<KeyEntry> awaiter{*flight};
  co_await awaiter;
  co_return *flight->result;
}

Task<Result<AdminEntry>> Registry::find_admin_token(KeyHash hash, CallOptions options) {
  if (const AdminEntry* entry = impl_->cache.admin(hash)) {
    impl_->note_use(entry->id);
    co_return *entry;
  }
  const auto now = std::chrono::steady_clock::now();
  if (impl_->cache.is_unknown(hash, now)) co_return unknown_credential();
  RegistryCache::Lookup lookup(impl_->cache);
  pg::Params params;
  params.emplace_back(bytea_text(hash));
  const pg::Statement statement(admin_sql(), std::move(params));
  CO_TRY(auto rows, co_await impl_->platform.run(nullptr, statement, options));
  if (rows.size() == 0) {
    if (lookup.may_keep()) impl_->cache.keep_unknown(hash, now);
    co_return unknown_credential();
  }
  AdminEntry entry;
  entry.id = Uuid::parse(rows.text(0, 0)).value_or(Uuid());
  entry.name = rows.text(0, 1);
  entry.kind = rows.text(0, 2) == "service" ? AdminEntry::Kind::service : AdminEntry::Kind::admin;
  CO_TRY(entry.grant, grant_from_row(rows, 0, 3));
  if (lookup.may_keep()) impl_->cache.keep_admin(hash, entry);
  impl_->note_use(entry.id);
  co_return entry;
}

std::shared_ptr<const Tenant> Registry::cached_tenant(const Uuid& id) const {
  return impl_->cache.tenant(id);
}

Task<Result<std::shared_ptr<const Tenant>>> Registry::find_tenant(std::string id_or_slug,
                                                                  CallOptions options) {
  if (auto tenant = impl_->cache.tenant(id_or_slug)) co_return tenant;
  // Text from a URL: what could never be stored must not reach the database as a parameter.
  if (!is_valid_utf8(id_or_slug) || id_or_slug.find('\0') != std::string::npos) {
    co_return Error(ErrorCode::not_found, "there is no such tenant");
  }
  co_return co_await impl_->query_tenant(std::move(id_or_slug), options);
}

std::shared_ptr<const Pack> Registry::find_pack(std::string_view name) const {
  return impl_->find_pack(name);
}

std::vector<std::shared_ptr<const Pack>> Registry::packs() const {
  std::vector<std::shared_ptr<const Pack>> packs;
  for (const auto& [name, pack] : impl_->packs) packs.push_back(pack);
  return packs;
}

void Registry::on_forgotten(Forgotten forgotten) { impl_->forgotten = std::move(forgotten); }

void Registry::on_context_keys(std::function<void()> changed) {
  impl_->context_keys_changed = std::move(changed);
}

void Registry::forget_tenant(const Uuid& tenant_id) { impl_->forget_tenant(tenant_id); }

Task<Result<void>> Registry::reload_packs(CallOptions options) { return impl_->load_packs(options); }

}  // namespace rowhouse::tenancy
