// `rowhouse config`: every option with description, default, bounds, value and source; and
// docs/configuration.md.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "platform/config.h"

namespace rowhouse::platform {

// The options of some modules as command-line options; secrets have none. --config comes last.
std::vector<cli::Option> flags_of(const std::vector<std::string>& modules);

// The whole of docs/configuration.md; the same on every machine.
std::string configuration_document();

cli::Command config_command(const Environment& environment);

}  // namespace rowhouse::platform
