// How durations and sizes are written in options: "250ms", "5s", "2m", "12h"; "512", "32KiB", "8MiB",
// "16GiB". Pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rowhouse::platform {

// nullopt unless it is a whole number directly followed by ms, s, m or h; "0" needs no unit.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
std::string format_duration(std::chrono::milliseconds duration);

// nullopt unless it is a whole number of bytes or directly followed by KiB, MiB or GiB.
std::optional<std::uint64_t> parse_size(std::string_view text);
std::string format_size(std::uint64_t bytes);

// "127.0.0.1:8080", "[::1]:8080". An address, not a name.
struct ListenAddress {
  std::string address;
  std::uint16_t port = 0;
};
std::optional<ListenAddress> parse_listen_address(std::string_view text);
std::string format_listen_address(std::string_view address, std::uint16_t port);

}  // namespace rowhouse::platform
