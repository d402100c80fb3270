#include "platform/listen_probe.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cli/api_client.h"
#include "platform/units.h"

namespace rowhouse::platform {
namespace {

Error refused(const std::string& shown, int cause) {
  if (cause == EADDRINUSE) {
    return Error(ErrorCode::address_in_use, fmt::format("{} is in use by another program", shown))
        .with_detail(std::string(cli::kHint),
                     "Stop it (`ss -ltnp` shows who it is), or choose another address with --listen");
  }
  Error error(ErrorCode::config_invalid, fmt::format("cannot listen on {}: {}", shown, std::strerror(cause)));
  if (cause == EADDRNOTAVAIL) {
    return std::move(error).with_detail(std::string(cli::kHint),
                                        "--listen needs an address of this machine, or 0.0.0.0 for all");
  }
  if (cause == EACCES) {
    return std::move(error).with_detail(std::string(cli::kHint),
                                        "Ports below 1024 need root; choose a higher one");
  }
  return error;
}

}  // namespace

Result<void> check_address_is_free(const std::string& address, std::uint16_t port) {
  if (port == 0) return {};
  const bool is_v6 = address.find(':') != std::string::npos;
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  const int parsed = is_v6 ? inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr)
                           : inet_pton(AF_INET, address.c_str(), &v4.sin_addr);
  const std::string shown = format_listen_address(address, port);
  if (parsed != 1) return Error(ErrorCode::config_invalid, fmt::format("{} is not an address", shown));
  const int descriptor = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return refused(shown, errno);
  // Connections of a server that has just ended do not count.
  const int yes = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const int bound = is_v6 ? bind(descriptor, reinterpret_cast<const sockaddr*>(&v6), sizeof v6)
                          : bind(descriptor, reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
  // Without listen() the kernel lets two sockets with SO_REUSEADDR share an address.
  const int cause = bound != 0 || listen(descriptor, 1) != 0 ? errno : 0;
  close(descriptor);
  if (cause != 0) return refused(shown, cause);
  return {};
}

}  // namespace rowhouse::platform
