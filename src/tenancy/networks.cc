#include "tenancy/networks.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "base/text.h"

namespace rowhouse::tenancy {

namespace {

constexpr int kV4Offset = 96;  // bits before an IPv4 address in its IPv6 form
constexpr int kAllBits = 128;
constexpr std::size_t kMaxAddressCharacters = 45;
constexpr const char* kNotANetwork = "must be an address or a network, such as 10.0.0.0/8 or 2001:db8::/32";

Error not_a_network(std::string what) {
  return Error(ErrorCode::validation_failed, "a network is not valid").with_field("", std::move(what));
}

}  // namespace

std::string_view address_of_peer(std::string_view peer) {
  if (peer.starts_with('[')) {
    const auto end = peer.find(']');
    return end == std::string_view::npos ? std::string_view() : peer.substr(1, end - 1);
  }
  return peer.substr(0, peer.rfind(':'));
}

std::optional<Networks::Address> Networks::parse_address(std::string_view text) {
  if (text.empty() || text.size() > kMaxAddressCharacters) return std::nullopt;
  std::array<char, kMaxAddressCharacters + 1> terminated{};  // inet_pton wants a C string
  std::ranges::copy(text, terminated.begin());
  Address address{};
  if (inet_pton(AF_INET6, terminated.data(), address.data()) == 1) return address;
  constexpr std::size_t kV4Start = kV4Offset / 8;
  address.fill(0);
  address[kV4Start - 2] = address[kV4Start - 1] = 0xff;
  if (inet_pton(AF_INET, terminated.data(), address.data() + kV4Start) == 1) return address;
  return std::nullopt;
}

bool Networks::is_v4(const Address& address) {
  constexpr Address kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};
  return std::equal(address.begin(), address.begin() + kV4Offset / 8, kMapped.begin());
}

bool Networks::contains(const Network& network, const Address& address) {
  if (network.is_v4 != is_v4(address)) return false;
  const auto whole = static_cast<std::size_t>(network.bits / 8);
  if (!std::equal(address.begin(), address.begin() + network.bits / 8, network.address.begin())) return false;
  const int rest = network.bits % 8;
  if (rest == 0) return true;
  const int mask = 0xff00 >> rest & 0xff;
  return (address[whole] & mask) == network.address[whole];
}

Result<Networks::Network> Networks::parse_network(const std::string& text) {
  const auto slash = text.find('/');
  const auto address = parse_address(std::string_view(text).substr(0, slash));
  if (!address) return not_a_network(kNotANetwork);
  Network network;
  network.address = *address;
  network.is_v4 = is_v4(*address);
  network.bits = kAllBits;
  // "::ffff:10.0.0.0/104" counts from the start of the IPv6 form; everybody else who means IPv4 writes it.
  const bool is_short = network.is_v4 && text.find(':') == std::string::npos;
  if (slash != std::string::npos) {
    const auto bits = parse_int64(std::string_view(text).substr(slash + 1));
    const int offset = is_short ? kV4Offset : 0;
    if (!bits || *bits < 0 || *bits > kAllBits - offset) return not_a_network(kNotANetwork);
    network.bits = static_cast<int>(*bits) + offset;
  }
  if (network.is_v4 && network.bits < kV4Offset) network.is_v4 = false;  // "::ffff:0:0/90": IPv6 after all
  Network start = network;
  for (int bit = network.bits; bit < kAllBits; ++bit) {
    start.address[static_cast<std::size_t>(bit / 8)] &= static_cast<std::uint8_t>(~(0x80 >> bit % 8));
  }
  if (start.address != network.address) {
    return not_a_network("has bits behind the prefix; the network is " + text_of(start));
  }
  return network;
}

std::string Networks::text_of(const Network& network) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int family = network.is_v4 ? AF_INET : AF_INET6;
  const std::size_t start = network.is_v4 ? kV4Offset / 8 : 0;
  inet_ntop(family, network.address.data() + start, text.data(), text.size());
  return std::string(text.data()) + "/" + std::to_string(network.bits - (network.is_v4 ? kV4Offset : 0));
}

Result<Networks> Networks::from(const std::vector<std::string>& texts) {
  if (texts.size() > kMaxNetworks) {
    return Error(ErrorCode::validation_failed,
                 "there are more than " + std::to_string(kMaxNetworks) + " networks")
        .with_field("", "must be at most " + std::to_string(kMaxNetworks));
  }
  Networks list;
  list.networks_.reserve(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    auto network = parse_network(texts[i]);
    if (!network.ok()) {
      Error error = std::move(network).error();
      for (auto& field : error.fields) field.path = "/" + std::to_string(i);
      return error;
    }
    list.networks_.push_back(*network);
  }
  return list;
}

bool Networks::contains_peer(std::string_view peer) const {
  const auto address = parse_address(address_of_peer(peer));
  if (!address) return false;
  return std::ranges::any_of(networks_, [&](const Network& network) { return contains(network, *address); });
}

bool Networks::covers(const Networks& other) const {
  return std::ranges::all_of(other.networks_, [&](const Network& inner) {
    return std::ranges::any_of(networks_, [&](const Network& outer) {
      return outer.bits <= inner.bits && outer.is_v4 == inner.is_v4 && contains(outer, inner.address);
    });
  });
}

std::vector<std::string> Networks::texts() const {
  std::vector<std::string> texts;
  texts.reserve(networks_.size());
  for (const Network& network : networks_) texts.push_back(text_of(network));
  return texts;
}

}  // namespace rowhouse::tenancy
