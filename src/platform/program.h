// The whole program: every command, and what they need to know about this process.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "platform/config.h"

namespace rowhouse::platform {

cli::App make_app(const Environment& environment);

// Runs one command line; returns the exit status of the process.
int run_program(const std::vector<std::string>& words);

}  // namespace rowhouse::platform
