// Help texts, generated from the command table. Pure functions of the table.
#pragma once

#include <string>

#include "cli/command.h"

namespace rowhouse::cli {

// `rowhouse help`: every command with its summary.
std::string overview(const App& app, const Terminal& terminal);
// `rowhouse help tenant`: the commands that begin with that word; "" if there is none.
std::string group_help(const App& app, const Terminal& terminal, std::string_view group);
// `rowhouse help tenant create`: usage, arguments, options, notes, examples.
std::string command_help(const App& app, const Terminal& terminal, const Command& command);
// "rowhouse tenant create NAME [options]"
std::string usage_line(const Command& command);

}  // namespace rowhouse::cli
