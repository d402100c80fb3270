// The answer of POST /v1/lint, as people and as other tools read it. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "cli/terminal.h"

namespace rowhouse::cli {

// Grouped by database and schema, with a last line that sums up. Colours as `terminal` has them.
std::string lint_text(const Terminal& terminal, const json::Value& report);
// SARIF 2.1.0 (OASIS), which code-review tools show beside the code.
json::Value lint_sarif(const json::Value& report, std::string_view version);

}  // namespace rowhouse::cli
