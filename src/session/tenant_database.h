// The only way to run SQL on tenant rows. Takes a TenantContext, finds the tenant's placement, and runs the
// statement as the runtime role in a transaction whose first act sets the signed context that row security
// reads.
//
// One per worker thread. Pools of pool databases stay; those of tenant databases are few and the least
// recently used idle one is closed for a new one.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "identity/tenant_context.h"
#include "net/executor.h"
#include "pg/pool.h"

namespace rowhouse::session {

struct TenantDatabaseOptions {
  std::string host;  // of the server "local"
  std::uint16_t port = 5432;
  std::string sslmode = "prefer";
  pg::PoolOptions shared_pool;     // shape of a pool database's pool (parameters are filled in)
  pg::PoolOptions dedicated_pool;  // shape of a tenant database's pool
  std::size_t max_dedicated_pools = 32;
  std::string statement_timeout = "5s";
};

struct PooledDatabase;

// A transaction on a connection of its own; destroyed without commit() it is rolled back.
class TenantTransaction {
 public:
  TenantTransaction(TenantTransaction&&) noexcept = default;
  TenantTransaction& operator=(TenantTransaction&&) = delete;
  Task<Result<pg::Rows>> query(const pg::Statement& statement, CallOptions options);
  Task<Result<void>> script(const std::string& sql, CallOptions options);  // SAVEPOINT and the like
  Task<Result<void>> commit(CallOptions options);

 private:
  friend class TenantDatabase;
  TenantTransaction(std::shared_ptr<PooledDatabase> database, pg::Session session)
      : database_(std::move(database)), session_(std::move(session)) {}
  // Shared with the map of pools: a pool that is dropped from it must outlive the connections it has lent.
  std::shared_ptr<PooledDatabase> database_;
  pg::Session session_;
};

struct TenantDatabaseStats {
  std::size_t pools = 0, open_connections = 0, busy_connections = 0, waiting = 0;
};

class TenantDatabase {
 public:
  // Derives the password of a runtime role.
  using PasswordOf = std::function<std::string(const std::string& role)>;
  // The key that signs contexts in a database just now; see tenancy/context_keys.h.
  using ContextKeyOf = std::function<std::shared_ptr<const pg::ContextKey>(const std::string& database)>;

  TenantDatabase(net::Executor& executor, TenantDatabaseOptions options, PasswordOf password_of,
                 ContextKeyOf context_key_of);
  ~TenantDatabase();

  // One round trip, one implicit transaction. Errors: as pg::Pool::run.
  Task<Result<pg::Rows>> run(const identity::TenantContext& context, const pg::Statement& statement,
                             CallOptions options);
  // BEGIN on the exclusive lane, for slow or multi-statement work.
  Task<Result<TenantTransaction>> begin(const identity::TenantContext& context, CallOptions options);

  // Drops the pool of a tenant's own database, so that it can be dropped or altered.
  void close_dedicated(const std::string& database);
  TenantDatabaseStats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rowhouse::session
