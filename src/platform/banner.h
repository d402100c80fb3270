// What `rowhouse up` says when it is ready: where everything is and what to do next.
#pragma once

#include <cstdint>
#include <vector>

#include "cli/terminal.h"
#include "platform/config.h"
#include "platform/demo.h"
#include "platform/node.h"

namespace rowhouse::platform {

void print_banner(const cli::Terminal& terminal, const Resolved& resolved, ServerKind kind,
                  std::uint16_t port, const std::vector<DemoTenant>& demo_tenants);

}  // namespace rowhouse::platform
