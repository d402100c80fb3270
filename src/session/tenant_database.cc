#include "session/tenant_database.h"

#include <algorithm>
#include <list>
#include <unordered_map>
#include <utility>

namespace rowhouse::session {

namespace {

// The role must be nothing more than itself: else row security would not hold for it, or it could lift it.
constexpr std::string_view kSessionCheckSql = R"(
SELECT NOT r.rolsuper AND NOT r.rolbypassrls AND NOT r.rolcreaterole AND NOT r.rolcreatedb AND NOT r.rolreplication
       AND session_user = current_user
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE m.member = r.oid)
       AND NOT EXISTS (
         SELECT FROM pg_catalog.pg_shdepend s
         WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = r.oid AND s.deptype = 'o'
           AND s.dbid IN (0, (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database()))),
       rowhouse.context_number()
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)";

// DISCARD ALL, but for the sequences: a session that forgets its numbers takes another range of them
// (sql/guard/portable.sql). Advisory locks need no release: a runtime role cannot take any.
constexpr const char* kSessionResetSql =
    "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; DEALLOCATE ALL; UNLISTEN *; DISCARD PLANS; "
    "DISCARD TEMP";

constexpr int kMaxBeginAttempts = 3;
constexpr const char* kIdleInTransactionTimeout = "60s";

using Settings = std::vector<std::pair<std::string, std::string>>;

Settings runtime_settings(const std::string& statement_timeout) {
  Settings settings;
  settings.emplace_back("search_path", "");
  settings.emplace_back("statement_timeout", statement_timeout);
  settings.emplace_back("idle_in_transaction_session_timeout", kIdleInTransactionTimeout);
  settings.emplace_back("DateStyle", "ISO, YMD");
  settings.emplace_back("IntervalStyle", "iso_8601");
  settings.emplace_back("TimeZone", "UTC");
  settings.emplace_back("bytea_output", "hex");
  settings.emplace_back("extra_float_digits", "1");
  settings.emplace_back("plan_cache_mode", "auto");
  settings.emplace_back("default_transaction_isolation", "read committed");
  // A role may change its own settings, for all who come later; these would refuse everybody's writes and
  // reads.
  settings.emplace_back("default_transaction_read_only", "off");
  settings.emplace_back("row_security", "on");
  return settings;
}

// Row rules are for people alone: a key or the server has no rows of its own.
pg::ContextRole role_of(const identity::TenantContext& caller) {
  if (caller.principal().kind != identity::PrincipalKind::tenant_user) return pg::ContextRole::service;
  return caller.rows() == tenancy::RowScope::own ? pg::ContextRole::user_own_rows
                                                 : pg::ContextRole::user_all_rows;
}

}  // namespace

// A pool, kept alive by the requests that use it: it may be dropped from the map while they run.
struct PooledDatabase {
  PooledDatabase(net::Executor& executor, pg::PoolOptions options, std::string database_name)
      : database(std::move(database_name)), pool(executor, std::move(options)) {}
  std::string database;
  pg::Pool pool;
};

struct TenantDatabase::Impl {
  using Handle = std::shared_ptr<PooledDatabase>;

  Impl(net::Executor& database_executor, TenantDatabaseOptions database_options, PasswordOf derive,
       ContextKeyOf key_of)
      : executor(database_executor),
        options(std::move(database_options)),
        password_of(std::move(derive)),
        context_key_of(std::move(key_of)) {}

  // In the name of whom: the caller's principal, acting for its tenant.
  pg::TransactionContext context_for(const identity::TenantContext& caller) const {
    const tenancy::Tenant& tenant = caller.tenant();
    return pg::TransactionContext(tenant.id, caller.principal().id, role_of(caller),
                                  context_key_of(tenant.placement.database));
  }

  Result<Handle> handle_for(const tenancy::Placement& placement);
  Result<Handle> dedicated(const tenancy::Placement& placement);
  Handle open(const tenancy::Placement& placement, pg::PoolOptions shape);
  bool make_room();

  net::Executor& executor;
  TenantDatabaseOptions options;
  PasswordOf password_of;
  ContextKeyOf context_key_of;
  // By database and role, so that nobody is ever served over another role's connection.
  std::unordered_map<std::string, Handle> shared_pools;
  std::list<Handle> dedicated_pools;  // most recently used first
  std::unordered_map<std::string, std::list<Handle>::iterator> dedicated_by_name;
  // Shared with the handles, which requests may hold longer than this lives.
  std::shared_ptr<bool> ending = std::make_shared<bool>(false);
};

namespace {

std::string pool_name(const tenancy::Placement& placement) {
  return placement.database + "\n" + placement.role;
}

}  // namespace

TenantDatabase::Impl::Handle TenantDatabase::Impl::open(const tenancy::Placement& placement,
                                                        pg::PoolOptions shape) {
  auto& parameters = shape.parameters;
  parameters.host = options.host;
  parameters.port = options.port;
  parameters.sslmode = options.sslmode;
  parameters.database = placement.database;
  parameters.user = placement.role;
  parameters.password = password_of(placement.role);
  parameters.settings = runtime_settings(options.statement_timeout);
  shape.session_check = kSessionCheckSql;
  shape.session_reset = kSessionResetSql;
  // The last user may let go in the middle of a callback of the pool itself, so it is destroyed on a turn of
  // its own; at the end, when there will be no further turn, at once.
  const auto destroy_later = [loop = &executor, ending = ending](PooledDatabase* database) {
    std::shared_ptr<PooledDatabase> owned(database);
    if (!*ending) loop->post([owned] {});
  };
  return Handle(new PooledDatabase(executor, std::move(shape), placement.database), destroy_later);
}

Result<TenantDatabase::Impl::Handle> TenantDatabase::Impl::handle_for(const tenancy::Placement& placement) {
  if (placement.tier == tenancy::Tier::database) return dedicated(placement);
  auto name = pool_name(placement);
  const auto found = shared_pools.find(name);
  if (found != shared_pools.end()) return found->second;
  auto handle = open(placement, options.shared_pool);
  shared_pools.emplace(std::move(name), handle);
  return handle;
}

Result<TenantDatabase::Impl::Handle> TenantDatabase::Impl::dedicated(const tenancy::Placement& placement) {
  auto name = pool_name(placement);
  const auto found = dedicated_by_name.find(name);
  if (found != dedicated_by_name.end()) {
    dedicated_pools.splice(dedicated_pools.begin(), dedicated_pools, found->second);
    return dedicated_pools.front();
  }
  if (dedicated_pools.size() >= options.max_dedicated_pools && !make_room()) {
    return Error(ErrorCode::overloaded, "all connections to tenants' own databases are in use");
  }
  dedicated_pools.push_front(open(placement, options.dedicated_pool));
  dedicated_by_name.emplace(std::move(name), dedicated_pools.begin());
  return dedicated_pools.front();
}

// Closes the least recently used pool that nobody uses.
bool TenantDatabase::Impl::make_room() {
  for (auto entry = dedicated_pools.end(); entry != dedicated_pools.begin();) {
    --entry;
    if (entry->use_count() > 1 || (*entry)->pool.in_use()) continue;
    std::erase_if(dedicated_by_name, [&](const auto& named) { return named.second == entry; });
    dedicated_pools.erase(entry);
    return true;
  }
  return false;
}

TenantDatabase::TenantDatabase(net::Executor& executor, TenantDatabaseOptions options, PasswordOf password_of,
                               ContextKeyOf context_key_of)
    : impl_(std::make_unique<Impl>(executor, std::move(options), std::move(password_of),
                                   std::move(context_key_of))) {}

TenantDatabase::~TenantDatabase() { *impl_->ending = true; }

Task<Result<pg::Rows>> TenantDatabase::run(const identity::TenantContext& context,
                                           const pg::Statement& statement, CallOptions options) {
  CO_TRY(const auto handle, impl_->handle_for(context.tenant().placement));
  const pg::TransactionContext transaction = impl_->context_for(context);
  co_return co_await handle->pool.run(&transaction, statement, options);
}

Task<Result<TenantTransaction>> TenantDatabase::begin(const identity::TenantContext& context,
                                                      CallOptions options) {
  CO_TRY(auto handle, impl_->handle_for(context.tenant().placement));
  const pg::TransactionContext transaction = impl_->context_for(context);
  for (int attempt = 1;; ++attempt) {
    CO_TRY(auto session, co_await handle->pool.acquire(options));
    auto begun = co_await session.begin(&transaction, options);
    if (begun.ok()) co_return TenantTransaction(std::move(handle), std::move(session));
    // The connection may be spoilt by what ran on it before; it is closed, and another one is tried.
    const bool refused = !begun.error().detail(pg::kContextRefused).empty();
    if (!refused || attempt == kMaxBeginAttempts) co_return std::move(begun).error();
  }
}

void TenantDatabase::close_dedicated(const std::string& database) {
  for (auto entry = impl_->dedicated_pools.begin(); entry != impl_->dedicated_pools.end();) {
    const auto current = entry++;
    if ((*current)->database != database) continue;
    std::erase_if(impl_->dedicated_by_name, [&](const auto& named) { return named.second == current; });
    impl_->dedicated_pools.erase(current);
  }
}

TenantDatabaseStats TenantDatabase::stats() const {
  TenantDatabaseStats stats;
  const auto add = [&](const Impl::Handle& handle) {
    const auto pool = handle->pool.stats();
    ++stats.pools;
    stats.open_connections += pool.open_connections;
    stats.busy_connections += pool.busy_connections;
    stats.waiting += pool.waiting;
  };
  for (const auto& [name, handle] : impl_->shared_pools) add(handle);
  for (const auto& handle : impl_->dedicated_pools) add(handle);
  return stats;
}

Task<Result<pg::Rows>> TenantTransaction::query(const pg::Statement& statement, CallOptions options) {
  return session_.query(statement, options);
}

Task<Result<void>> TenantTransaction::script(const std::string& sql, CallOptions options) {
  return session_.script(sql, options);
}

Task<Result<void>> TenantTransaction::commit(CallOptions options) { return session_.commit(options); }

}  // namespace rowhouse::session
