// A running Rowhouse: `rowhouse up` on its own PostgreSQL, `rowhouse serve` on the operator's.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "cli/command.h"
#include "platform/config.h"
#include "platform/hooks.h"

namespace rowhouse::platform {

enum class ServerKind { embedded, operators_own };
enum class Demo { without, with };

// Where this node reaches itself: on the loopback if it listens everywhere.
std::string own_url(const net::ServerOptions& http, std::uint16_t port);

// Starts, serves until SIGINT or SIGTERM, stops. Returns when everything has ended. Errors are those of the
// start, each with what to do.
Result<cli::ExitCode> run_node(const Resolved& resolved, ServerKind kind, Demo demo,
                               const cli::Terminal& terminal, const Hooks& hooks);

}  // namespace rowhouse::platform
