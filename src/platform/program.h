// The whole program: every command, and what they need to know about this process.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "platform/config.h"
#include "platform/hooks.h"

namespace rowhouse::platform {

cli::App make_app(const Environment& environment, const Hooks& hooks = {});

// Runs one command line; returns the exit status of the process.
int run_program(const std::vector<std::string>& words, const Hooks& hooks = {});

}  // namespace rowhouse::platform
