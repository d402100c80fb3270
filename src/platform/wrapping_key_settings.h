// The keys that wrap the data keys of tenants, as the configuration names them.
#pragma once

#include <memory>

#include "base/result.h"
#include "platform/config.h"
#include "secrets/wrapping_keys.h"
#include "tenancy/cluster.h"

namespace rowhouse::platform {

// The current one is `wrapping_key`, its file, or what `wrapping_key_command` prints; if none of them is set,
// one that is derived from the master key. The derived one and those of `wrapping_key_previous` still unwrap.
// Runs the command (with /bin/sh, at most kKeyCommandTimeout) and blocks meanwhile; what it prints is shown
// to nobody. Error: config_invalid, naming the option.
Result<std::unique_ptr<secrets::WrappingKeys>> wrapping_keys(const Resolved& resolved,
                                                             const tenancy::Credentials& credentials);
inline constexpr std::chrono::seconds kKeyCommandTimeout{10};

}  // namespace rowhouse::platform
