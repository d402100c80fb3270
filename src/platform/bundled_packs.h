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
#include "tenancy/pack_upgrade.h"

namespace rowhouse::platform {

// Names out of the option `packs`: "all", "none", or "tekup, deeplens". Error: config_invalid, naming an
// unknown one.
Result<std::vector<std::string>> selected_packs(std::string_view option);

// Waits for the operations that it starts; a pack that is up to date costs one query. Never replaces a newer
// version, nor another pack of the same version. `progress` hears of each pack that is worked on. A tenant
// whose upgrade failed is logged and tried again at the next start.
Task<Result<void>> install_bundled_packs(tenancy::PackUpgrades& upgrades, std::vector<std::string> names,
                                         std::function<void(std::string_view pack)> progress,
                                         const observe::Log& log, CallOptions options);

}  // namespace rowhouse::platform
