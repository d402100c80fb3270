#include "testing/postgres.h"

#include <cstdio>
#include <cstdlib>
#include <optional>

#include "base/embedded.h"
#include "pg/quote.h"
#include "testing/temporary_directory.h"

namespace rowhouse::testing {
namespace {

constexpr std::uint32_t kSharedBuffersMb = 32;

struct Cluster {
  TemporaryDirectory directory;  // removed after the server has stopped
  std::unique_ptr<pg::EmbeddedServer> server;
};

std::optional<Cluster> cluster;

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
  pg::EmbeddedOptions options;
  options.data_directory = cluster->directory.path() + "/data";
  options.shared_buffers_mb = kSharedBuffersMb;
  options.durability = pg::EmbeddedOptions::Durability::none_for_tests;
  auto started = pg::EmbeddedServer::start(std::move(options));
  if (!started.ok()) {
    std::fprintf(stderr, "no PostgreSQL for tests: %s\n", started.error().message.c_str());
    std::exit(1);
  }
  cluster->server = std::move(started).value();
  return *cluster->server;
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

std::string fresh_tenant_database() {
  ensure_roles();
  std::string name = fresh_database("tenant_owner");
  BlockingSql sql(superuser(name));
  for (const auto& file : embedded_files()) {
    if (!file.path.starts_with("sql/tenant/")) continue;
    sql.run("BEGIN");
    sql.run(std::string(file.content));
    sql.run("COMMIT");
  }
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
