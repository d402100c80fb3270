#include "platform/units.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <array>
#include <limits>
#include <utility>

#include "base/text.h"

namespace rowhouse::platform {
namespace {

using Unit = std::pair<std::string_view, std::int64_t>;
// Largest first: formatting takes the first that divides. "ms" stands before "s" and "m" in parsing by its
// length.
constexpr std::array kDurations = {Unit{"h", 3'600'000}, Unit{"m", 60'000}, Unit{"s", 1'000}, Unit{"ms", 1}};
constexpr std::array kSizes = {Unit{"GiB", 1 << 30}, Unit{"MiB", 1 << 20}, Unit{"KiB", 1 << 10}, Unit{"", 1}};

template <std::size_t N>
std::optional<std::int64_t> parse_with(const std::array<Unit, N>& units, std::string_view text) {
  const std::size_t digits = text.find_first_not_of("0123456789");
  const std::string_view suffix = digits == std::string_view::npos ? "" : text.substr(digits);
  const auto number = parse_int64(text.substr(0, digits));
  if (!number.has_value() || *number < 0) return std::nullopt;
  if (*number == 0 && suffix.empty()) return 0;
  for (const auto& [name, factor] : units) {
    if (name != suffix) continue;
    if (*number > std::numeric_limits<std::int64_t>::max() / factor) return std::nullopt;
    return *number * factor;
  }
  return std::nullopt;
}

template <std::size_t N>
std::string format_with(const std::array<Unit, N>& units, std::int64_t value) {
  if (value == 0) return "0";
  for (const auto& [name, factor] : units) {
    if (value % factor == 0) return fmt::format("{}{}", value / factor, name);
  }
  return std::to_string(value);
}

}  // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto value = parse_with(kDurations, text);
  if (!value.has_value()) return std::nullopt;
  return std::chrono::milliseconds(*value);
}

std::string format_duration(std::chrono::milliseconds duration) {
  return format_with(kDurations, duration.count());
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const auto value = parse_with(kSizes, text);
  if (!value.has_value()) return std::nullopt;
  return static_cast<std::uint64_t>(*value);
}

std::string format_size(std::uint64_t bytes) { return format_with(kSizes, static_cast<std::int64_t>(bytes)); }

std::optional<ListenAddress> parse_listen_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const auto port = parse_int64(text.substr(colon + 1));
  if (!port.has_value() || *port < 0 || *port > 65'535) return std::nullopt;
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  ListenAddress result{std::string(host), static_cast<std::uint16_t>(*port)};
  std::array<unsigned char, 16> buffer{};
  const int family = bracketed ? AF_INET6 : AF_INET;
  if (inet_pton(family, result.address.c_str(), buffer.data()) != 1) return std::nullopt;
  return result;
}

std::string format_listen_address(std::string_view address, std::uint16_t port) {
  return address.find(':') == std::string_view::npos ? fmt::format("{}:{}", address, port)
                                                     : fmt::format("[{}]:{}", address, port);
}

}  // namespace rowhouse::platform
