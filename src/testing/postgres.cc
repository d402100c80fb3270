#include "testing/postgres.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "base/embedded.h"
#include "base/text.h"
#include "pg/quote.h"
#include "testing/temporary_directory.h"

namespace rowhouse::testing {
namespace {

constexpr std::uint32_t kSharedBuffersMb = 32;

constexpr std::string_view kGuardLibrary = "rowhouse_guard.so";

struct Cluster {
  TemporaryDirectory directory;  // removed after the server has stopped
  std::unique_ptr<pg::EmbeddedServer> server;
};

std::optional<Cluster> cluster;

void start_server() {
  pg::EmbeddedOptions options;
  options.data_directory = cluster->directory.path() + "/data";
  options.shared_buffers_mb = kSharedBuffersMb;
  options.library_directory = cluster->directory.path() + "/guard";
  options.durability = pg::EmbeddedOptions::Durability::none_for_tests;
  auto started = pg::EmbeddedServer::start(std::move(options));
  if (!started.ok()) {
    std::fprintf(stderr, "no PostgreSQL for tests: %s\n", started.error().message.c_str());
    std::exit(1);
  }
  cluster->server = std::move(started).value();
}

// Beside the cluster: PostgreSQL's user may not be able to enter the build directory.
void copy_guard() {
  const std::filesystem::path to = cluster->directory.path() + "/guard";
  std::filesystem::create_directory(to);
  std::filesystem::copy_file(std::filesystem::path(ROWHOUSE_GUARD_DIRECTORY) / kGuardLibrary,
                             to / kGuardLibrary);
}

std::string embedded_sql(std::string_view path) {
  for (const auto& file : embedded_files()) {
    if (file.path == path) return std::string(file.content);
  }
  std::fprintf(stderr, "not embedded: %s\n", std::string(path).c_str());
  std::exit(1);
}

class StopServer : public ::testing::Environment {
 public:
  void TearDown() override { cluster.reset(); }
};

[[maybe_unused]] ::testing::Environment* const kStopServer =
    ::testing::AddGlobalTestEnvironment(new StopServer);  // owned by GoogleTest

}  // namespace

pg::EmbeddedServer& server() {
  if (cluster) return *cluster->server;
  cluster.emplace();
  copy_guard();
  start_server();
  return *cluster->server;
}

void restart_server() {
  server().stop();
  cluster->server.reset();
  start_server();
}

pg::ConnectionParameters superuser(std::string_view database) { return server().superuser(database); }

std::string fresh_database(std::string_view owner) {
  static int count = 0;
  std::string name = "test_" + std::to_string(++count);
  BlockingSql sql(superuser("postgres"));
  sql.run("CREATE DATABASE " + pg::quote_name(name) + " TEMPLATE template0" +
          (owner.empty() ? "" : " OWNER " + pg::quote_name(owner)));
  return name;
}

void ensure_roles() {
  static bool made = false;
  if (std::exchange(made, true)) return;
  const std::string password = " PASSWORD " + pg::quote_literal(kRolePassword);
  BlockingSql sql(superuser("postgres"));
  sql.run("CREATE ROLE platform_service LOGIN NOSUPERUSER" + password);
  sql.run("CREATE ROLE tenant_owner NOLOGIN NOSUPERUSER NOBYPASSRLS");
  sql.run("CREATE ROLE tenant_migrator LOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS IN ROLE tenant_owner" +
          password);
  sql.run("CREATE ROLE tenant_service LOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS" + password);
  sql.run("CREATE ROLE backup_service LOGIN NOINHERIT NOSUPERUSER BYPASSRLS" + password);
}

pg::ConnectionParameters as_role(std::string_view role, std::string_view database) {
  auto parameters = superuser(database);
  parameters.user = role;
  parameters.password = kRolePassword;
  return parameters;
}

std::string guard_sql(Guard guard) {
  switch (guard) {
    case Guard::portable:
      return embedded_sql("sql/guard/portable.sql");
    case Guard::extension:
      return embedded_sql("sql/guard/extension.sql");
    case Guard::none:
      break;
  }
  return "";
}

pg::ContextKey context_key() {
  pg::ContextKey key;
  key.id = 1;
  key.bytes = std::string(pg::kContextKeyBytes / 2, 'k') + std::string(pg::kContextKeyBytes / 2, '\xF1');
  return key;
}

void install_guard(BlockingSql& sql, Guard guard) {
  sql.run("BEGIN; " + guard_sql(guard) + "; COMMIT");
  const auto key = context_key();
  sql.run("INSERT INTO rowhouse.context_keys (id, key) VALUES (" + std::to_string(key.id) + ", '\\x" +
          to_hex(key.bytes) + "')");
}

std::string fresh_tenant_database(Guard guard) {
  ensure_roles();
  std::string name = fresh_database("tenant_owner");
  BlockingSql sql(superuser(name));
  for (const auto& file : embedded_files()) {
    if (!file.path.starts_with("sql/tenant/")) continue;
    sql.run("BEGIN");
    sql.run(std::string(file.content));
    sql.run("COMMIT");
  }
  install_guard(sql, guard);
  sql.run("GRANT CONNECT ON DATABASE " + pg::quote_name(name) +
          " TO tenant_migrator, tenant_service, backup_service");
  return name;
}

PgTest::PgTest() : database_(fresh_database()) {
  pg::PoolOptions options;
  options.parameters = superuser(database_);
  pool_ = std::make_unique<pg::Pool>(executor_, std::move(options));
  sql_ = std::make_unique<BlockingSql>(superuser(database_));
}

PgTest::~PgTest() = default;

}  // namespace rowhouse::testing
