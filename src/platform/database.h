// The PostgreSQL server that a node stands on: its own, or the operator's.
#pragma once

#include <memory>

#include "base/result.h"
#include "pg/embedded_server.h"
#include "platform/config.h"
#include "platform/node.h"
#include "tenancy/cluster.h"

namespace rowhouse::platform {

struct Database {
  std::unique_ptr<pg::EmbeddedServer> embedded;  // null: the operator's
  pg::ConnectionParameters administrator;
  tenancy::Credentials credentials;

  bool ready() const { return embedded == nullptr || embedded->state() == pg::ServerState::ready; }
};

// Blocks while the embedded server starts. Errors: those of EmbeddedServer::start, or config_invalid.
Result<Database> open_database(const Resolved& resolved, ServerKind kind);

}  // namespace rowhouse::platform
