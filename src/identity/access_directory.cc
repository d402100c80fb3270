#include "identity/access_directory.h"

#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "identity/external_tokens.h"
#include "identity/sessions.h"
#include "identity/sso.h"
#include "observe/log.h"
#include "pg/listener.h"
#include "tenancy/api_key.h"
#include "tenancy/lru_map.h"
#include "tenancy/registry_cache.h"

namespace rowhouse::identity {

namespace {

using namespace std::chrono_literals;
using TokenHash = tenancy::KeyHash;
using Hasher = tenancy::KeyHashHasher;

constexpr const char* kChannel = "rowhouse_identity";
constexpr auto kPollDeadline = 5s;
constexpr auto kRefusedFor = 2s;
// With more changes than this since the last poll, everything is forgotten instead.
constexpr std::size_t kMaxPolledChanges = 1'000;
constexpr int kPollsPerPruning = 3'600;

constexpr std::string_view kSessionSql = R"(
SELECT u.email, u.name, r.name, r.built_in, r.row_scope,
  (SELECT pg_catalog.string_agg(o.operation, ' ') FROM identity.role_operations o
   WHERE o.tenant_id = r.tenant_id AND o.role_id = r.id)
FROM identity.sessions s
JOIN identity.users u ON u.id = s.user_id
LEFT JOIN identity.memberships m ON m.tenant_id = s.tenant_id AND m.user_id = s.user_id AND m.status = 'active'
LEFT JOIN identity.roles r ON r.tenant_id = m.tenant_id AND r.id = m.role_id
WHERE s.id = $1::uuid AND s.user_id = $2::uuid AND s.tenant_id IS NOT DISTINCT FROM $3::uuid AND s.revoked_at IS NULL
  AND u.status = 'active' AND CASE WHEN s.tenant_id IS NULL THEN u.platform_admin ELSE r.id IS NOT NULL END)";

// The same for a token of another issuer: of the provider $1, whose person $2 is at its tenant $3.
constexpr std::string_view kExternalSql = R"(
SELECT u.email, u.name, r.name, r.built_in, r.row_scope,
  (SELECT pg_catalog.string_agg(o.operation, ' ') FROM identity.role_operations o
   WHERE o.tenant_id = r.tenant_id AND o.role_id = r.id)
FROM identity.identity_providers p
JOIN identity.external_identities e ON e.provider_id = p.id AND e.user_id = $2::uuid
JOIN identity.users u ON u.id = e.user_id
JOIN identity.memberships m ON m.tenant_id = p.tenant_id AND m.user_id = u.id AND m.status = 'active'
JOIN identity.roles r ON r.tenant_id = m.tenant_id AND r.id = m.role_id
WHERE p.id = $1::uuid AND p.tenant_id = $3::uuid AND p.status = 'active' AND p.accepts_tokens
  AND u.status = 'active' AND NOT u.platform_admin)";

// The outbox rides along: one query a second is enough.
constexpr std::string_view kRevisionSql =
    "SELECT COALESCE(max(revision), 0), EXISTS (SELECT FROM identity.outbox) FROM identity.changes";
constexpr std::string_view kChangesSql =
    "SELECT revision, subject FROM identity.changes WHERE revision > $1::bigint ORDER BY revision LIMIT "
    "$2::bigint";
constexpr std::string_view kPruneSql =
    "DELETE FROM identity.changes WHERE at < pg_catalog.now() - interval '1 day' AND revision < "
    "(SELECT max(revision) FROM identity.changes)";

Error refused() {
  return Error(ErrorCode::credential_unknown, "the access token is not valid, or no longer");
}

// Tokens that are remembered, findable by whom they concern. Pure memory.
class TokenMemory {
 public:
  explicit TokenMemory(const AccessDirectoryOptions& options)
      : tokens_(options.max_tokens), refused_(options.max_refused) {}

  // Registered while it lives, from before its query to after it: what changed meanwhile must not be kept.
  class Lookup {
   public:
    explicit Lookup(TokenMemory& memory) : memory_(memory) { memory_.lookups_.insert(this); }
    ~Lookup() { memory_.lookups_.erase(this); }
    Lookup(const Lookup&) = delete;
    Lookup& operator=(const Lookup&) = delete;
    bool may_keep(const AccessClaims& claims) const {
      const auto changed = [this](const Uuid& id) {
        return std::find(changed_.begin(), changed_.end(), id) != changed_.end();
      };
      return !everything_ && !changed(claims.user) && !changed(claims.session) &&
             !(claims.tenant && changed(*claims.tenant));
    }

   private:
    friend class TokenMemory;
    TokenMemory& memory_;
    std::vector<Uuid> changed_;
    bool everything_ = false;
  };

  std::shared_ptr<const Access> find(const TokenHash& hash) {
    const auto* access = tokens_.find(hash);
    return access != nullptr ? *access : nullptr;
  }
  bool is_refused(const TokenHash& hash) {
    const auto* until = refused_.find(hash);
    return until != nullptr && std::chrono::steady_clock::now() < *until;
  }
  void keep(const TokenHash& hash, std::shared_ptr<const Access> access) {
    drop(hash);
    link(hash, access->claims);
    const auto evicted = tokens_.put(hash, std::move(access));
    if (evicted) unlink(evicted->first, evicted->second->claims);
  }
  void refuse(const TokenHash& hash) { refused_.put(hash, std::chrono::steady_clock::now() + kRefusedFor); }
  void drop(const TokenHash& hash) {
    const auto taken = tokens_.take(hash);
    if (taken) unlink(hash, (*taken)->claims);
  }
  void forget(const Uuid& subject) {
    for (Lookup* lookup : lookups_) lookup->changed_.push_back(subject);
    const auto found = by_subject_.find(subject);
    if (found == by_subject_.end()) return;
    const auto hashes = std::move(found->second);
    by_subject_.erase(found);
    for (const TokenHash& hash : hashes) drop(hash);
  }
  void forget_everything() {
    for (Lookup* lookup : lookups_) lookup->everything_ = true;
    tokens_.clear();
    refused_.clear();
    by_subject_.clear();
  }
  std::size_t size() const { return tokens_.size(); }

 private:
  void link(const TokenHash& hash, const AccessClaims& claims) {
    by_subject_[claims.user].insert(hash);
    by_subject_[claims.session].insert(hash);
    if (claims.tenant) by_subject_[*claims.tenant].insert(hash);
  }
  void unlink(const TokenHash& hash, const AccessClaims& claims) {
    unlink_one(claims.user, hash);
    unlink_one(claims.session, hash);
    if (claims.tenant) unlink_one(*claims.tenant, hash);
  }
  void unlink_one(const Uuid& subject, const TokenHash& hash) {
    const auto found = by_subject_.find(subject);
    if (found == by_subject_.end()) return;
    found->second.erase(hash);
    if (found->second.empty()) by_subject_.erase(found);
  }

  tenancy::LruMap<TokenHash, std::shared_ptr<const Access>, Hasher> tokens_;
  tenancy::LruMap<TokenHash, std::chrono::steady_clock::time_point, Hasher> refused_;
  std::unordered_map<Uuid, std::unordered_set<TokenHash, Hasher>> by_subject_;  // of `tokens_`
  std::set<Lookup*> lookups_;
};

}  // namespace

struct AccessDirectory::Impl {
  Impl(const tenancy::Cluster& tenancy_cluster, pg::Pool& pool, SigningKeys& signing_keys, Outbox& box,
       const Clock& wall_clock, AccessDirectoryOptions directory_options)
      : cluster(tenancy_cluster),
        identity(pool),
        keys(signing_keys),
        outbox(box),
        clock(wall_clock),
        options(directory_options),
        memory(directory_options) {}

  Task<Result<std::shared_ptr<const Access>>> look_up(const AccessClaims& claims, Access::Via via,
                                                      CallOptions call);

  void heard(std::string_view payload);
  void listening();
  void read_keys_in_background();
  Task<void> read_keys_while_asked();
  void poll_later();
  Task<void> poll();
  Task<Result<void>> read_news(CallOptions call);
  Task<Result<void>> read_changes(CallOptions call);
  Task<Result<void>> prune(CallOptions call);

  const tenancy::Cluster& cluster;
  pg::Pool& identity;
  SigningKeys& keys;
  Outbox& outbox;
  const Clock& clock;
  const AccessDirectoryOptions options;
  TokenMemory memory;
  ExternalTokens* external = nullptr;

  enum class State { idle, running, stopped } state = State::idle;
  enum class Connected { never, before } connected = Connected::never;
  enum class Reading { none, running, again } reading_keys = Reading::none;
  std::int64_t revision = 0;
  int polls = 0;
  std::unique_ptr<pg::Listener> listener;
  std::unique_ptr<net::Timer> poll_timer;
  CancelSource stopping;
  net::TaskGroup tasks;
};

// ----------------------------------------------------------------------------------------------- look-up

Task<Result<std::shared_ptr<const Access>>> AccessDirectory::Impl::look_up(const AccessClaims& claims,
                                                                           Access::Via via,
                                                                           CallOptions call) {
  pg::Params params;
  params.emplace_back(claims.session.to_string());
  params.emplace_back(claims.user.to_string());
  params.push_back(claims.tenant ? pg::Param(claims.tenant->to_string()) : std::nullopt);
  const pg::Statement statement(std::string(via == Access::Via::session ? kSessionSql : kExternalSql),
                                std::move(params));
  CO_TRY(const auto rows, co_await identity.run(nullptr, statement, call));
  if (rows.size() == 0) co_return refused();
  auto access = std::make_shared<Access>();  // shared by the memory and requests in flight
  access->claims = claims;
  access->via = via;
  access->email = rows.text(0, 0);
  access->name = rows.text(0, 1);
  if (!claims.tenant) {
    access->role = kPlatformAdminRole;
    access->role_of = Access::RoleOf::platform;
    access->permissions = tenancy::all_permissions();
  } else {
    access->role = rows.text(0, 2);
    if (rows.text(0, 3) != "t") {
      std::vector<std::string> patterns;
      if (!rows.is_null(0, 5)) {
        for (const auto pattern : split(rows.text(0, 5), ' ')) patterns.emplace_back(pattern);
      }
      CO_TRY(auto permissions, tenancy::Permissions::from(patterns));
      access->role_of = Access::RoleOf::tenant;
      access->permissions = std::make_shared<const tenancy::Permissions>(std::move(permissions));
      access->rows = rows.text(0, 4) == "own" ? tenancy::RowScope::own : tenancy::RowScope::all;
    }
  }
  std::shared_ptr<const Access> found = std::move(access);
  co_return found;
}

// ----------------------------------------------------------------------------------------------- changes

void AccessDirectory::Impl::heard(std::string_view payload) {
  if (const auto subject = Uuid::parse(payload)) {
    memory.forget(*subject);
    return;
  }
  read_keys_in_background();
}

// After a reconnection: notifications may have been missed, for who knows how long. Before the first
// connection the poll suffices.
void AccessDirectory::Impl::listening() {
  if (std::exchange(connected, Connected::before) == Connected::never) return;
  read_keys_in_background();
}

// A key may be trusted no more: nothing that it signed is remembered.
void AccessDirectory::Impl::read_keys_in_background() {
  memory.forget_everything();
  if (state != State::running) return;
  if (reading_keys != Reading::none) {
    reading_keys = Reading::again;
    return;
  }
  reading_keys = Reading::running;
  tasks.spawn(read_keys_while_asked());
}

Task<void> AccessDirectory::Impl::read_keys_while_asked() {
  for (bool again = true; again && state == State::running;) {
    reading_keys = Reading::running;
    const CallOptions call{deadline_in(kPollDeadline), &stopping};
    auto read = co_await keys.refresh(call);
    memory.forget_everything();
    if (!read.ok() && read.error().code != ErrorCode::cancelled) {
      observe::process_log().write_error("signing_keys_not_read", read.error());
    }
    again = reading_keys == Reading::again;
  }
  reading_keys = Reading::none;
}

void AccessDirectory::Impl::poll_later() {
  if (state != State::running) return;
  poll_timer = cluster.executor().after(options.poll_every, [this] {
    poll_timer.reset();
    tasks.spawn(poll());
  });
}

Task<Result<void>> AccessDirectory::Impl::read_changes(CallOptions call) {
  pg::Params params;
  params.emplace_back(std::to_string(revision));
  params.emplace_back(std::to_string(kMaxPolledChanges + 1));
  const pg::Statement statement(std::string(kChangesSql), std::move(params));
  CO_TRY(const auto rows, co_await identity.run(nullptr, statement, call));
  if (rows.size() == 0) co_return Result<void>();
  bool everything = rows.size() > kMaxPolledChanges;
  for (std::size_t row = 0; row < rows.size() && !everything; ++row) {
    const auto subject = Uuid::parse(rows.text(row, 1));
    if (subject) memory.forget(*subject);
    if (!subject) everything = true;
  }
  revision = parse_int64(rows.text(rows.size() - 1, 0)).value_or(revision);
  if (everything) read_keys_in_background();
  co_return Result<void>();
}

Task<Result<void>> AccessDirectory::Impl::read_news(CallOptions call) {
  const pg::Statement statement{std::string(kRevisionSql)};
  CO_TRY(const auto rows, co_await identity.run(nullptr, statement, call));
  const bool has_outbox = rows.text(0, 1) == "t";
  if (parse_int64(rows.text(0, 0)).value_or(0) != revision) CO_TRY_DO(co_await read_changes(call));
  if (!has_outbox) co_return Result<void>();
  const auto carried = co_await outbox.carry(call);
  if (!carried.ok() && carried.error().code != ErrorCode::cancelled) {
    observe::process_log().write_error("identity_outbox_not_carried", carried.error());
  }
  co_return Result<void>();
}

Task<Result<void>> AccessDirectory::Impl::prune(CallOptions call) {
  const pg::Statement changes(std::string(kPruneSql), {}, pg::Access::write);
  CO_TRY_DO(co_await identity.run(nullptr, changes, call));
  CO_TRY_DO(co_await prune_sessions(identity, clock.now(), call));
  CO_TRY_DO(co_await prune_sso_logins(identity, clock.now(), call));
  co_return co_await outbox.prune(call);
}

Task<void> AccessDirectory::Impl::poll() {
  const CallOptions call{deadline_in(kPollDeadline), &stopping};
  // A database that is away is reported by those who need it; everything is forgotten when the listener is
  // back.
  const auto news = co_await read_news(call);
  ++polls;
  if (news.ok() && polls % kPollsPerPruning == 0) {
    const auto pruned = co_await prune(call);
    if (!pruned.ok()) observe::process_log().write_error("identity_not_pruned", pruned.error());
  }
  poll_later();
}

// -------------------------------------------------------------------------------------------------- face

AccessDirectory::AccessDirectory(const tenancy::Cluster& cluster, pg::Pool& identity, SigningKeys& keys,
                                 Outbox& outbox, const Clock& clock, AccessDirectoryOptions options)
    : impl_(std::make_unique<Impl>(cluster, identity, keys, outbox, clock, options)) {}

// What stop() has cancelled needs another turn of the loop to end.
AccessDirectory::~AccessDirectory() {
  stop();
  if (impl_->tasks.size() > 0) net::run_until_done(impl_->cluster.executor(), impl_->tasks.join());
}

void AccessDirectory::accept_external(ExternalTokens& tokens) { impl_->external = &tokens; }

Task<Result<void>> AccessDirectory::start(CallOptions options) {
  const pg::Statement statement{std::string(kRevisionSql)};
  CO_TRY(const auto rows, co_await impl_->identity.run(nullptr, statement, options));
  impl_->revision = parse_int64(rows.text(0, 0)).value_or(0);
  CO_TRY_DO(co_await impl_->keys.refresh(options));
  impl_->state = Impl::State::running;
  Impl* impl = impl_.get();
  impl_->listener = std::make_unique<pg::Listener>(
      impl_->cluster.executor(), impl_->cluster.as(tenancy::kPlatformRole, tenancy::kIdentityDatabase),
      kChannel, [impl](std::string_view payload) { impl->heard(payload); }, [impl] { impl->listening(); });
  impl_->poll_later();
  co_return Result<void>();
}

void AccessDirectory::stop() {
  if (impl_->state == Impl::State::stopped) return;
  impl_->state = Impl::State::stopped;
  impl_->listener.reset();
  impl_->poll_timer.reset();
  impl_->stopping.cancel();
}

std::shared_ptr<const Access> AccessDirectory::cached(std::string_view token) {
  if (token.size() > kMaxAccessTokenBytes) return nullptr;
  const TokenHash hash = tenancy::hash_of_credential(token);
  auto access = impl_->memory.find(hash);
  if (access == nullptr) return nullptr;
  if (impl_->clock.now() < access->claims.expires_at + impl_->keys.options().clock_skew) return access;
  impl_->memory.drop(hash);
  return nullptr;
}

Task<Result<std::shared_ptr<const Access>>> AccessDirectory::find(std::string token, CallOptions options) {
  if (!has_access_token_form(token)) co_return refused();
  if (auto remembered = cached(token)) co_return remembered;
  const TokenHash hash = tenancy::hash_of_credential(token);
  if (impl_->memory.is_refused(hash)) co_return refused();
  if (impl_->state == Impl::State::stopped) {
    co_return Error(ErrorCode::shutting_down, "the server is shutting down");
  }
  const TokenMemory::Lookup lookup(impl_->memory);
  auto via = Access::Via::session;
  auto claims = impl_->keys.verify(token);
  const bool is_ours = claims.ok() || !claims.error().detail(kTokenExpired).empty();
  if (!is_ours && impl_->external != nullptr) {
    via = Access::Via::issuer;
    claims = co_await impl_->external->verify(std::move(token), options);
    if (!claims.ok() && claims.error().code == ErrorCode::credential_unknown) impl_->memory.refuse(hash);
  }
  if (!claims.ok()) co_return std::move(claims).error();
  auto access = co_await impl_->look_up(*claims, via, options);
  // A session that ended stays ended; other refusals may be mended at any moment, so they are soon asked
  // again.
  if (!access.ok() && access.error().code == ErrorCode::credential_unknown) impl_->memory.refuse(hash);
  if (access.ok() && lookup.may_keep(*claims)) impl_->memory.keep(hash, *access);
  co_return access;
}

void AccessDirectory::forget(const Uuid& subject) {
  if (subject.is_nil()) {
    impl_->memory.forget_everything();
  } else {
    impl_->memory.forget(subject);
  }
}

std::size_t AccessDirectory::size() const { return impl_->memory.size(); }

}  // namespace rowhouse::identity
