// Finds out whether an address is free before anything expensive starts.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace rowhouse::platform {

// The workers share the port (SO_REUSEPORT), and so would a second Rowhouse by accident; this looks without
// sharing. Errors: address_in_use, config_invalid (not an address of this machine, a port that needs root),
// saying what to do.
Result<void> check_address_is_free(const std::string& address, std::uint16_t port);

}  // namespace rowhouse::platform
