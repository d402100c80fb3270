// Installs the packs that are compiled into the binary, where they are missing or older.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "observe/log.h"
#include "tenancy/packs.h"

namespace rowhouse::platform {

// Names out of the option `packs`: "all", "none", or "tekup, deeplens". Error: config_invalid, naming an
// unknown one.
Result<std::vector<std::string>> selected_packs(std::string_view option);

// "1.10.0" is newer than "1.9.2": negative, zero or positive as in strcmp. Numbers by value, anything else by
// bytes.
int compare_versions(std::string_view a, std::string_view b);

// Never replaces a newer version, nor another pack of the same version. `progress` hears of each pack that is
// worked on. A tenant whose upgrade failed is logged and tried again at the next start.
Task<Result<void>> install_bundled_packs(tenancy::PackStore& packs, std::vector<std::string> names,
                                         std::function<void(std::string_view pack)> progress,
                                         const observe::Log& log, CallOptions options);

}  // namespace rowhouse::platform
