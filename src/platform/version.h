// The version of this binary.
#pragma once

#include <string_view>

namespace rowhouse::platform {

inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace rowhouse::platform
