#include "net/egress.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>

#include "base/text.h"

namespace rowhouse::net {
namespace {

constexpr std::size_t kMaxHostBytes = 253;
constexpr std::size_t kMaxLabelBytes = 63;

struct Network4 {
  std::uint32_t address;
  unsigned prefix;
};

// IANA's special-purpose IPv4 networks, multicast, what is reserved, and the one address of the internet
// that is a cloud's machine service (168.63.129.16, Azure).
constexpr std::array<Network4, 16> kSpecial4 = {{{0x00000000, 8},
                                                 {0x0a000000, 8},
                                                 {0x64400000, 10},
                                                 {0x7f000000, 8},
                                                 {0xa83f8110, 32},
                                                 {0xa9fe0000, 16},
                                                 {0xac100000, 12},
                                                 {0xc0000000, 24},
                                                 {0xc0000200, 24},
                                                 {0xc0586300, 24},
                                                 {0xc0a80000, 16},
                                                 {0xc6120000, 15},
                                                 {0xc6336400, 24},
                                                 {0xcb007100, 24},
                                                 {0xe0000000, 4},
                                                 {0xf0000000, 4}}};

// Top-level names that never lead into the internet.
constexpr std::array<std::string_view, 12> kLocalSuffixes = {
    "localhost", "local", "localdomain", "internal", "intranet",  "lan",
    "home",      "corp",  "private",     "test",     "home.arpa", "in-addr.arpa"};

bool is_public4(std::uint32_t address) {
  return std::none_of(kSpecial4.begin(), kSpecial4.end(), [address](const Network4& network) {
    return (address >> (32 - network.prefix)) == (network.address >> (32 - network.prefix));
  });
}

// Global unicast without what embeds other addresses (Teredo, 6to4) or is for documentation.
bool is_public6(const std::uint8_t* address) {
  if ((address[0] & 0xe0) != 0x20) return false;
  const unsigned first = static_cast<unsigned>(address[0]) << 8 | address[1];
  const unsigned second = static_cast<unsigned>(address[2]) << 8 | address[3];
  const bool is_special_2001 = first == 0x2001 && (second < 0x0200 || second == 0x0db8);
  const bool is_documentation = first == 0x3fff && second < 0x1000;
  return !is_special_2001 && first != 0x2002 && !is_documentation;
}

// An address without its port: 4 or 16 bytes, none for other families.
struct Endpoint {
  std::vector<std::uint8_t> bytes;
  std::uint16_t port = 0;
};

Endpoint endpoint_of(const sockaddr& address) {
  Endpoint endpoint;
  if (address.sa_family == AF_INET) {
    sockaddr_in inet{};
    std::memcpy(&inet, &address, sizeof inet);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&inet.sin_addr);
    endpoint.bytes.assign(bytes, bytes + sizeof inet.sin_addr);
    endpoint.port = ntohs(inet.sin_port);
  } else if (address.sa_family == AF_INET6) {
    sockaddr_in6 inet6{};
    std::memcpy(&inet6, &address, sizeof inet6);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&inet6.sin6_addr);
    endpoint.bytes.assign(bytes, bytes + sizeof inet6.sin6_addr);
    endpoint.port = ntohs(inet6.sin6_port);
  }
  return endpoint;
}

bool is_public_bytes(const std::vector<std::uint8_t>& bytes) {
  if (bytes.size() == 16) return is_public6(bytes.data());
  if (bytes.size() != 4) return false;
  return is_public4(static_cast<std::uint32_t>(bytes[0]) << 24 | static_cast<std::uint32_t>(bytes[1]) << 16 |
                    static_cast<std::uint32_t>(bytes[2]) << 8 | bytes[3]);
}

// A machine with an address of the internet: what listens here counts on its firewall, which does not see
// connections from inside.
bool is_of_this_machine(const std::vector<std::uint8_t>& bytes) {
  ifaddrs* interfaces = nullptr;
  if (getifaddrs(&interfaces) != 0) return true;  // cannot be ruled out
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(interfaces, freeifaddrs);
  for (const ifaddrs* one = interfaces; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr != nullptr && endpoint_of(*one->ifa_addr).bytes == bytes) return true;
  }
  return false;
}

// Exactly one spelling is an address: four decimal numbers without leading zeros, or what inet_pton takes
// as IPv6 (without a zone).
std::vector<std::uint8_t> address_bytes(std::string_view text) {
  std::vector<std::uint8_t> bytes(16);
  const std::string copy(text);
  if (inet_pton(AF_INET6, copy.c_str(), bytes.data()) == 1) return bytes;
  bytes.resize(4);
  if (inet_pton(AF_INET, copy.c_str(), bytes.data()) == 1) return bytes;
  return {};
}

// What resolvers take for an address in another spelling: the last label is a number, decimal, octal or
// hexadecimal (WHATWG URL, "ends in a number").
bool ends_in_number(std::string_view host) {
  const std::string_view last =
      host.substr(host.rfind('.') == std::string_view::npos ? 0 : host.rfind('.') + 1);
  if (last.empty()) return false;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto is_hex = [&](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); };
  if (std::all_of(last.begin(), last.end(), is_digit)) return true;
  return last.starts_with("0x") && std::all_of(last.begin() + 2, last.end(), is_hex);
}

// Letters, digits, "-" and "_" in labels: the spelling that every resolver and every URL parser agrees on.
bool is_name(std::string_view host) {
  if (host.empty() || host.size() > kMaxHostBytes) return false;
  std::size_t label = 0;
  for (const char c : host) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
      continue;
    }
    const bool fits = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (!fits || ++label > kMaxLabelBytes) return false;
  }
  return label > 0;
}

bool is_local_name(std::string_view name) {
  if (name.find('.') == std::string_view::npos) return true;
  return std::any_of(kLocalSuffixes.begin(), kLocalSuffixes.end(), [name](std::string_view suffix) {
    return name.ends_with(suffix) &&
           (name.size() == suffix.size() || name[name.size() - suffix.size() - 1] == '.');
  });
}

// As names are compared: lower case, without the dot at the end that says "absolute".
std::string normal_host(std::string_view host) {
  std::string name = to_lower_ascii(host);
  if (name.size() > 1 && name.ends_with('.')) name.pop_back();
  return name;
}

bool has_prefix(const std::vector<std::uint8_t>& address, const std::vector<std::uint8_t>& network,
                int bits) {
  if (address.size() != network.size()) return false;
  for (std::size_t i = 0; i < address.size() && bits > 0; ++i, bits -= 8) {
    const auto mask = static_cast<std::uint8_t>(bits >= 8 ? 0xff : 0xff << (8 - bits));
    if ((address[i] & mask) != (network[i] & mask)) return false;
  }
  return true;
}

bool has_host_bits(const std::vector<std::uint8_t>& network, int bits) {
  for (std::size_t i = 0; i < network.size(); ++i, bits -= 8) {
    const int kept = std::clamp(bits, 0, 8);
    if ((network[i] & (0xff >> kept)) != 0) return true;
  }
  return false;
}

std::optional<int> number_up_to(std::string_view text, int most) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > most)
    return std::nullopt;
  return value;
}

// "[A]:9000", "A:9000", "A" → host part and port (0 = none); an IPv6 address with a port needs brackets.
struct SplitEntry {
  std::string host;
  std::optional<int> port;
};
SplitEntry split_entry(std::string_view entry) {
  std::string_view rest;
  std::string_view host = entry;
  if (entry.starts_with('[')) {
    const std::size_t close = entry.find(']');
    if (close == std::string_view::npos) return {"", std::nullopt};
    host = entry.substr(1, close - 1);
    rest = entry.substr(close + 1);
  } else if (std::count(entry.begin(), entry.end(), ':') == 1) {
    host = entry.substr(0, entry.find(':'));
    rest = entry.substr(entry.find(':'));
  }
  if (rest.empty()) return {to_lower_ascii(host), 0};
  if (!rest.starts_with(':')) return {"", std::nullopt};
  const std::optional<int> port = number_up_to(rest.substr(1), 65'535);
  return {to_lower_ascii(host), port == 0 ? std::nullopt : port};
}

Error bad_entry(std::string_view entry, std::string_view why) {
  return Error(ErrorCode::config_invalid,
               fmt::format("egress_allow: \"{}\" {}; write 10.0.0.0/8, 127.0.0.1:9000, [fd00::1]:9000, "
                           "fd00::/8 or minio.internal:9000",
                           entry, why));
}

}  // namespace

Error egress_refused(std::string_view host) {
  return Error(
      ErrorCode::address_refused,
      fmt::format("\"{}\" may not be reached from here: only addresses of the internet are, and what "
                  "the operator allows (egress_allow)",
                  host));
}

bool is_public_address(const sockaddr& address) { return is_public_bytes(endpoint_of(address).bytes); }

Result<EgressPolicy> EgressPolicy::create(const std::vector<std::string>& allow) {
  EgressPolicy policy;
  for (const std::string& text : allow) {
    const SplitEntry split = split_entry(text);
    if (!split.port.has_value()) return bad_entry(text, "has a port that is none");
    Entry entry;
    entry.port = static_cast<std::uint16_t>(*split.port);
    const std::size_t slash = split.host.find('/');
    const std::string host = split.host.substr(0, slash);
    entry.network = address_bytes(host);
    if (!entry.network.empty()) {
      const int most = static_cast<int>(entry.network.size()) * 8;
      const std::optional<int> bits =
          slash == std::string::npos ? most : number_up_to(split.host.substr(slash + 1), most);
      if (!bits.has_value()) return bad_entry(text, "has a prefix length that is none");
      if (has_host_bits(entry.network, *bits))
        return bad_entry(text, "has bits set behind its prefix length");
      entry.prefix_bits = *bits;
    } else {
      entry.name = normal_host(host);
      if (slash != std::string::npos || !is_name(entry.name) || ends_in_number(entry.name)) {
        return bad_entry(text, "is neither a name nor an address nor a network");
      }
    }
    policy.entries_.push_back(std::move(entry));
  }
  return policy;
}

bool EgressPolicy::is_allowed(std::string_view host, const sockaddr& address) const {
  const Endpoint endpoint = endpoint_of(address);
  if (endpoint.bytes.empty()) return false;
  const std::string name = normal_host(host);
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    if (entry.port != 0 && entry.port != endpoint.port) return false;
    if (!entry.name.empty()) return entry.name == name;
    return has_prefix(endpoint.bytes, entry.network, entry.prefix_bits);
  });
}

bool EgressPolicy::may_connect(std::string_view host, const sockaddr& address) const {
  if (is_allowed(host, address)) return true;
  const Endpoint endpoint = endpoint_of(address);
  return is_public_bytes(endpoint.bytes) && !is_of_this_machine(endpoint.bytes);
}

bool EgressPolicy::may_be_plain(std::string_view host, std::uint16_t port) const {
  const std::string name = normal_host(host);
  const std::vector<std::uint8_t> bytes = address_bytes(name);
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    if (entry.port != 0 && entry.port != port) return false;
    if (!entry.name.empty()) return entry.name == name;
    return !bytes.empty() && has_prefix(bytes, entry.network, entry.prefix_bits);
  });
}

Result<void> EgressPolicy::check_host(std::string_view host, std::uint16_t port) const {
  const std::string name = normal_host(host);
  const std::vector<std::uint8_t> bytes = address_bytes(name);
  if (!bytes.empty()) {
    if (host.ends_with('.')) return egress_refused(host);  // an address with a dot is another spelling
    if (may_be_plain(name, port) || is_public_bytes(bytes)) return {};
    return egress_refused(host);
  }
  // Percent signs, letters outside of ASCII and empty labels are where two parsers differ.
  if (!is_name(name) || ends_in_number(name)) return egress_refused(host);
  if (is_local_name(name) && !may_be_plain(name, port)) return egress_refused(host);
  return {};
}

Result<std::vector<ResolvedAddress>> resolve_for_egress(const EgressPolicy& policy, const std::string& host,
                                                        std::uint16_t port) {
  TRY_DO(policy.check_host(host, port));
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failure = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (failure != 0) {
    return Error(ErrorCode::server_unreachable, fmt::format("\"{}\": {}", host, gai_strerror(failure)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
  std::vector<ResolvedAddress> addresses;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    if (!policy.may_connect(host, *one->ai_addr)) return egress_refused(host);
    ResolvedAddress address;
    std::memcpy(&address.address, one->ai_addr,
                std::min<std::size_t>(one->ai_addrlen, sizeof address.address));
    std::array<char, INET6_ADDRSTRLEN> text{};
    const Endpoint endpoint = endpoint_of(*one->ai_addr);
    if (inet_ntop(one->ai_family, endpoint.bytes.data(), text.data(), text.size()) == nullptr) continue;
    address.text = text.data();
    addresses.push_back(std::move(address));
  }
  return addresses;
}

}  // namespace rowhouse::net
