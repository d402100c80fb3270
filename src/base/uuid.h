// 128-bit identifiers (RFC 9562). Rowhouse makes version 7: ordered by time, unguessable in the last 62 bits.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace rowhouse {

class Uuid {
 public:
  Uuid() = default;  // the nil UUID
  explicit Uuid(const std::array<std::uint8_t, 16>& bytes) : bytes_(bytes) {}

  // A new version 7 UUID; random bits come from the kernel.
  static Uuid make_v7(WallTime now);
  // Accepts the canonical form of 36 characters, either case; nothing else.
  static std::optional<Uuid> parse(std::string_view text);

  std::string to_string() const;  // lower case, 36 characters
  const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
  bool is_nil() const { return *this == Uuid(); }
  auto operator<=>(const Uuid&) const = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
};

}  // namespace rowhouse

template <>
struct std::hash<rowhouse::Uuid> {
  std::size_t operator()(const rowhouse::Uuid& id) const noexcept {
    std::size_t value = 0;
    for (std::size_t i = 8; i < 16; ++i) value = value << 8 | id.bytes()[i];
    return value;
  }
};
