// Scripts that teach a shell the command table: bash, zsh and fish. Pure functions of the table.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/command.h"

namespace rowhouse::cli {

// Error: invalid_parameter for another shell.
Result<std::string> completion_script(const App& app, std::string_view shell);

// The commands `completion` and `version`.
std::vector<Command> general_commands();

}  // namespace rowhouse::cli
