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
#include "testing/blocking_sql.h"

namespace rowhouse::pg {

// Puts any text into a ContextToken, so that row security can be tested below identity.
class ContextTokenForTests {
 public:
  static ContextToken make(std::string text) { return ContextToken(std::move(text)); }
};

}  // namespace rowhouse::pg

namespace rowhouse::testing {

using pg::ContextTokenForTests;

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
// A database with the files of an sql/ folder ("sql/tenant/") applied, as tenant databases have.
std::string fresh_tenant_database();

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
