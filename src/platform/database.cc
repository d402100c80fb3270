#include "platform/database.h"

#include <filesystem>

#include "cli/api_client.h"
#include "observe/log.h"
#include "platform/database_url.h"
#include "platform/guard_library.h"
#include "platform/secrets.h"

namespace rowhouse::platform {
namespace {

constexpr std::string_view kAnyDatabase = "postgres";

// The relative path of a data directory means nothing to a server that changes directory.
std::string absolute(const std::string& path) {
  return std::filesystem::absolute(path).lexically_normal().string();
}

// Without the library, contexts are checked by SQL: reason enough for a line in the log, none to stop.
void place_library(const std::string& directory) {
  const std::string source = guard_library_of_binary();
  if (directory.empty()) {
    observe::log(observe::Level::warning, "guard_library_not_placed",
                 {{"reason", "PostgreSQL cannot load from a data directory with a colon in its name"}});
    return;
  }
  const auto placed = place_guard_library(source, directory);
  if (!placed.ok()) {
    observe::log(observe::Level::warning, "guard_library_not_placed", {{"reason", placed.error().message}});
  }
}

}  // namespace

Result<Database> open_database(const Resolved& resolved, ServerKind kind) {
  if (kind == ServerKind::embedded) {
    pg::EmbeddedOptions options = resolved.config.postgres;
    options.data_directory = absolute(options.data_directory);
    options.library_directory = guard_library_directory(options.data_directory);
    const std::string library_directory = options.library_directory;
    TRY(auto server, pg::EmbeddedServer::start(std::move(options)));
    place_library(library_directory);
    auto administrator = server->superuser(kAnyDatabase);
    tenancy::Credentials credentials(server->master_key());
    return Database{std::move(server), std::move(administrator), std::move(credentials)};
  }
  if (resolved.config.database_url.empty()) {
    return Error(ErrorCode::config_invalid, "`rowhouse serve` needs a PostgreSQL server")
        .with_detail(std::string(cli::kHint),
                     "Set ROWHOUSE_DATABASE_URL=postgresql://USER:PASSWORD@HOST:5432/postgres, or run "
                     "`rowhouse up`, which "
                     "brings its own");
  }
  TRY(auto administrator, parse_database_url(resolved.config.database_url));
  TRY(auto key, configured_master_key(resolved));
  return Database{nullptr, std::move(administrator), tenancy::Credentials(std::move(key))};
}

}  // namespace rowhouse::platform
