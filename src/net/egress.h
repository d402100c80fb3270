// Where the server may connect to on behalf of tenants: the guard against server-side request forgery.
//
// Endpoints come from tenants, so by default only addresses of the internet are reached: not this machine,
// not private, link-local, carrier, documentation, multicast or metadata ranges, in no spelling (decimal,
// hexadecimal, octal, short, IPv6-mapped, NAT64, 6to4), and none of the platform's own ports. The operator
// allows more by name, address or network (`egress_allow`). What counts is the address that is really
// connected to: EgressPolicy::may_connect() is asked for each, at the time of connecting, so a name that
// changes its mind in between gains nothing. Ranges: RFC 6890 and the IANA special-purpose registries.
// Immutable after it was made; any thread.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rowhouse::net {

class EgressPolicy {
 public:
  // `allow`: "10.0.0.0/8", "127.0.0.1:9000", "[::1]:9000", "fd00::/8", "minio.internal:9000" (a port is
  // optional; a name allows whatever it leads to, when asked for by that very name). Error: config_invalid,
  // naming the entry.
  static Result<EgressPolicy> create(const std::vector<std::string>& allow);
  EgressPolicy() = default;  // addresses of the internet alone

  // `host` as it was asked for (a name or an address without brackets), lower case; `address` what it leads
  // to, with its port.
  bool may_connect(std::string_view host, const sockaddr& address) const;
  // The same before any look-up: refuses a host that is an address in any spelling and not allowed, or a
  // name that can only be local ("localhost", "*.internal" …). Error: address_refused; the message names
  // the host and what to do, never what is behind it.
  Result<void> check_host(std::string_view host, std::uint16_t port) const;
  // Is plain http allowed to this host? Only where the operator allowed it by an entry.
  bool may_be_plain(std::string_view host, std::uint16_t port) const;

 private:
  struct Entry {
    std::string name;                   // lower case; "" for a network
    std::vector<std::uint8_t> network;  // 4 or 16 bytes
    int prefix_bits = 0;
    std::uint16_t port = 0;  // 0: any
  };
  bool is_allowed(std::string_view host, const sockaddr& address) const;
  std::vector<Entry> entries_;
};

// The refusal of a host, in the same words everywhere.
Error egress_refused(std::string_view host);

// Is it an address of the internet, and not of a private, local or special network?
bool is_public_address(const sockaddr& address);

struct ResolvedAddress {
  sockaddr_storage address{};  // with the port
  std::string text;            // "192.0.2.1", "2001:db8::1"
};
// Looks `host` up (blocking) and returns the addresses of it that may be connected to. For clients that
// connect by themselves (NFS, SMB): they are handed the text, never the name. Errors: address_refused (also
// when only some are forbidden: mixed answers are an attack), server_unreachable (no such name).
Result<std::vector<ResolvedAddress>> resolve_for_egress(const EgressPolicy& policy, const std::string& host,
                                                        std::uint16_t port);

}  // namespace rowhouse::net
