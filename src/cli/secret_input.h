// Passwords from people: typed without echo, or the first line of standard input. Never from the command
// line.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/terminal.h"

namespace rowhouse::cli {

// On a terminal asks twice, elsewhere reads one line. `whose`: "ada@acme.example". Errors: cancelled (Ctrl-C,
// or the input ended), invalid_parameter (the two differ, or it is empty).
Result<std::string> read_new_password(const Terminal& terminal, std::string_view whose);

}  // namespace rowhouse::cli
