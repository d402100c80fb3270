// A list of IP networks: from where a credential may be used.
//
// Immutable; IPv4 and IPv6, an IPv4 address written as IPv6 (::ffff:10.0.0.1) counts as IPv4. Pure functions,
// no allocation in contains_peer(). Errors: validation_failed, path "/INDEX".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rowhouse::tenancy {

class Networks {
 public:
  static constexpr std::size_t kMaxNetworks = 50;

  // "10.0.0.0/8", "2001:db8::/32", or an address alone. Bits behind the prefix must be zero.
  static Result<Networks> from(const std::vector<std::string>& texts);

  // `peer`: an address with its port, "10.1.2.3:40123" or "[2001:db8::1]:40123". What is no address is in no
  // network.
  bool contains_peer(std::string_view peer) const;
  // Is every network of `other` inside one of these?
  bool covers(const Networks& other) const;
  // In canonical form, with the prefix: "10.0.0.7/32".
  std::vector<std::string> texts() const;
  bool empty() const { return networks_.empty(); }

 private:
  using Address = std::array<std::uint8_t, 16>;  // IPv4 as ::ffff:a.b.c.d
  struct Network {
    Address address{};
    int bits = 0;  // of 128
    bool is_v4 = false;
  };
  static std::optional<Address> parse_address(std::string_view text);
  static Result<Network> parse_network(const std::string& text);
  static bool is_v4(const Address& address);
  static bool contains(const Network& network, const Address& address);
  static std::string text_of(const Network& network);

  std::vector<Network> networks_;
};

// "10.1.2.3" of "10.1.2.3:40123", "2001:db8::1" of "[2001:db8::1]:40123".
std::string_view address_of_peer(std::string_view peer);

}  // namespace rowhouse::tenancy
