// PostgreSQL for tests: one cluster per process, made at first use, gone at its end; a fresh database for
// each test.
//
// Tests may create roles and databases as they like; nobody else sees this cluster.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/call.h"
#include "base/result.h"
#include "net/executor.h"
#include "pg/embedded_server.h"
#include "pg/pool.h"
#include "pg/transaction_context.h"
#include "testing/blocking_sql.h"

namespace rowhouse::pg {

// Makes a context of any claims, so that row security can be tested below identity.
class TransactionContextForTests {
 public:
  static TransactionContext make(const Uuid& tenant, std::shared_ptr<const ContextKey> key,
                                 const Uuid& principal = Uuid()) {
    return TransactionContext(tenant, principal, ContextRole::service, std::move(key));
  }
};

}  // namespace rowhouse::pg

namespace rowhouse::testing {

using pg::TransactionContextForTests;

// Ends the process when it cannot start: no test could run.
pg::EmbeddedServer& server();
pg::ConnectionParameters superuser(std::string_view database);

// Creates an empty database, owned by `owner` ("" = the superuser); returns its name.
std::string fresh_database(std::string_view owner = "");
// The roles of architecture's recipe (platform_service, tenant_owner, tenant_migrator, tenant_service,
// backup_service), made once; their password is kRolePassword.
inline constexpr std::string_view kRolePassword = "role password of tests";
void ensure_roles();
// Logs in as one of those.
pg::ConnectionParameters as_role(std::string_view role, std::string_view database);
// The two implementations of the signed tenant context (sql/guard/); none leaves the stubs of sql/tenant/.
enum class Guard { portable, extension, none };
// The statements that install one; run by a superuser in a transaction.
std::string guard_sql(Guard guard);
// The one key that tenant databases of tests know; signed_session.h signs with it.
pg::ContextKey context_key();
// Into a database with sql/tenant/ applied, as a superuser, together with context_key().
void install_guard(BlockingSql& sql, Guard guard);
// A database with sql/tenant/ applied, a guard and context_key(), as tenant databases have.
std::string fresh_tenant_database(Guard guard = Guard::portable);
// Ends all connections; for settings that a server reads when it starts (ALTER SYSTEM).
void restart_server();

// Far enough for a machine under load, near enough to end a hanging test.
inline CallOptions patient() { return CallOptions{deadline_in(std::chrono::seconds(60)), nullptr}; }

// A test with an executor, a fresh database and a superuser's pool on it.
class PgTest : public ::testing::Test {
 protected:
  PgTest();
  ~PgTest() override;

  template <class T>
  T run(Task<T> task) {
    return net::run_until_done(executor_, std::move(task));
  }
  void run(Task<void> task) { net::run_until_done(executor_, std::move(task)); }

  net::Executor& executor() { return executor_; }
  const std::string& database() const { return database_; }
  pg::Pool& pool() { return *pool_; }
  BlockingSql& sql() { return *sql_; }

 private:
  net::Executor executor_;
  std::string database_;
  std::unique_ptr<pg::Pool> pool_;
  std::unique_ptr<BlockingSql> sql_;
};

}  // namespace rowhouse::testing
