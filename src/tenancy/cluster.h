// The PostgreSQL server that this installation lives on, and the roles and passwords on it.
//
// Roles (all NOSUPERUSER): platform_service owns the platform and identity databases; tenant_owner (NOLOGIN)
// owns tenant tables; tenant_migrator (LOGIN NOINHERIT, member of tenant_owner) runs packs' migrations;
// tenant_service is the runtime (member of nothing, owns nothing); backup_service has BYPASSRLS and SELECT. A
// database-tier tenant has a runtime role of its own. Passwords are derived from the master key, so that
// every node knows them and none is stored.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "net/executor.h"
#include "pg/pool.h"

namespace rowhouse::tenancy {

inline constexpr std::string_view kPlatformDatabase = "rowhouse_platform";
inline constexpr std::string_view kIdentityDatabase = "rowhouse_identity";
// Where roles and databases are managed from. (template1 would block CREATE DATABASE for others.)
inline constexpr std::string_view kMaintenanceDatabase = "postgres";
inline constexpr std::string_view kPlatformRole = "platform_service";
inline constexpr std::string_view kOwnerRole = "tenant_owner";
inline constexpr std::string_view kMigratorRole = "tenant_migrator";
inline constexpr std::string_view kRuntimeRole = "tenant_service";
inline constexpr std::string_view kBackupRole = "backup_service";

// Secrets derived from the master key with HMAC-SHA256, each for one purpose. Copyable; holds the key in
// memory.
class Credentials {
 public:
  static constexpr std::size_t kBytes = 32;
  explicit Credentials(std::string master_key) : master_key_(std::move(master_key)) {}
  std::string password_of(std::string_view role) const;                            // base64url, 43 characters
  std::string derive(std::string_view purpose, std::size_t bytes = kBytes) const;  // raw bytes

 private:
  std::string master_key_;
};

class Cluster {
 public:
  // `administrator`: a superuser of the server; its database is ignored.
  Cluster(net::Executor& executor, pg::ConnectionParameters administrator, Credentials credentials);

  // Parameters to reach a database as a role whose password is derived.
  pg::ConnectionParameters as(std::string_view role, std::string_view database) const;
  pg::ConnectionParameters as_administrator(std::string_view database) const;
  const Credentials& credentials() const { return credentials_; }
  net::Executor& executor() const { return executor_; }

  // Connects to `database` as the administrator (CREATE DATABASE, roles, ACLs).
  Task<Result<pg::Session>> administrator(std::string_view database, CallOptions options) const;
  // Connects as tenant_migrator. The caller says SET LOCAL ROLE tenant_owner inside its transactions.
  Task<Result<pg::Session>> migrator(std::string_view database, CallOptions options) const;

  // Checks the server (version, encoding, rights), creates the roles and the platform and identity databases
  // and runs their migrations. Idempotent; several nodes may call it at once. Errors: server_unsupported,
  // migration_changed, …
  Task<Result<void>> bootstrap(CallOptions options) const;

  // Creates an empty database for tenant tables: owner tenant_owner, nothing for PUBLIC, sql/tenant applied.
  Task<Result<void>> create_tenant_data_database(std::string_view name, CallOptions options) const;
  // CONNECT for the roles that may, nothing for others. Clones and restores lose this, so it is applied after
  // each.
  Task<Result<void>> apply_database_privileges(std::string_view database, std::string_view runtime_role,
                                               CallOptions options) const;
  // Ends its connections and drops it, if it is there.
  Task<Result<void>> drop_database(std::string_view name, CallOptions options) const;

  // Ends every session whose application_name begins with `prefix` and is not `own`, and returns when they
  // are gone.
  Task<Result<void>> end_sessions(std::string prefix, std::string own, CallOptions options) const;

 private:
  net::Executor& executor_;
  pg::ConnectionParameters administrator_;
  Credentials credentials_;
};

}  // namespace rowhouse::tenancy
