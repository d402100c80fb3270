// `rowhouse pack check DIR`: every rule that an installation would check, on a throw-away cluster of its own.
#pragma once

#include "cli/command.h"
#include "platform/config.h"

namespace rowhouse::platform {

cli::Command pack_check_command(const Environment& environment);

}  // namespace rowhouse::platform
