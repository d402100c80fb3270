#include "net/http_fetch.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "base/text.h"

namespace rowhouse::net {

namespace {

constexpr std::string_view kHttps = "https://";
constexpr std::string_view kHttp = "http://";
constexpr std::size_t kMaxUrlBytes = 2'048;

struct Network4 {
  std::uint32_t address;
  unsigned prefix;
};

// IANA's special-purpose IPv4 networks, multicast, and what is reserved.
constexpr std::array<Network4, 15> kSpecial4 = {{{0x00000000, 8},
                                                 {0x0a000000, 8},
                                                 {0x64400000, 10},
                                                 {0x7f000000, 8},
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

bool is_public4(std::uint32_t address) {
  return std::none_of(kSpecial4.begin(), kSpecial4.end(), [address](const Network4& network) {
    return (address >> (32 - network.prefix)) == (network.address >> (32 - network.prefix));
  });
}

// Global unicast without what embeds other addresses (Teredo, 6to4) or is for documentation.
bool is_public6(const std::array<std::uint8_t, 16>& address) {
  if ((address[0] & 0xe0) != 0x20) return false;
  const unsigned first = static_cast<unsigned>(address[0]) << 8 | address[1];
  const unsigned second = static_cast<unsigned>(address[2]) << 8 | address[3];
  const bool is_special_2001 = first == 0x2001 && (second < 0x0200 || second == 0x0db8);
  const bool is_documentation = first == 0x3fff && second < 0x1000;
  return !is_special_2001 && first != 0x2002 && !is_documentation;
}

std::string_view host_of(std::string_view after_scheme) {
  const std::string_view authority = after_scheme.substr(0, after_scheme.find_first_of("/?"));
  if (authority.starts_with('[')) return authority.substr(0, authority.find(']') + 1);
  return authority.substr(0, authority.find(':'));
}

bool is_this_machine(std::string_view host) {
  return host == "localhost" || host == "127.0.0.1" || host == "[::1]";
}

}  // namespace

bool is_public_address(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in inet{};
    std::memcpy(&inet, &address, sizeof inet);
    return is_public4(ntohl(inet.sin_addr.s_addr));
  }
  if (address.sa_family != AF_INET6) return false;
  sockaddr_in6 inet6{};
  std::memcpy(&inet6, &address, sizeof inet6);
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), &inet6.sin6_addr, bytes.size());
  return is_public6(bytes);
}

bool is_fetchable_url(std::string_view url, Reach reach) {
  const bool is_text = url.size() <= kMaxUrlBytes &&
                       std::all_of(url.begin(), url.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (!is_text || url.find_first_of("@#\\\"<>") != std::string_view::npos) return false;
  if (url.starts_with(kHttps)) return !host_of(url.substr(kHttps.size())).empty();
  if (!url.starts_with(kHttp) || reach != Reach::plain_loopback) return false;
  return is_this_machine(host_of(url.substr(kHttp.size())));
}

HttpFetch::HttpFetch(Executor& executor, BlockingWork& background, FetchOptions options)
    : executor_(executor), background_(background), options_(std::move(options)) {}

Task<Result<ClientResponse>> HttpFetch::send(ClientRequest request, CallOptions options) {
  if (!is_fetchable_url(request.url, options_.reach)) {
    co_return Error(ErrorCode::server_unreachable, "the address " + request.url + " may not be used");
  }
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(options.deadline -
                                                                          std::chrono::steady_clock::now());
  request.timeout = std::clamp(left, std::chrono::milliseconds(1), options_.timeout);
  request.connect_timeout = request.timeout;
  request.ca_file = options_.ca_file;
  request.max_response_bytes = options_.max_response_bytes;
  const Reach reach = options_.reach;
  request.may_connect = [reach](const sockaddr& address) {
    return reach != Reach::public_addresses || is_public_address(address);
  };
  BlockingWork& background = background_;
  request.while_waiting = [&background] { return !background.stopping(); };
  std::optional<Result<ClientResponse>> answer;
  std::function<void()> work = [&request, &answer] { answer.emplace(net::send(request)); };
  CO_TRY_DO(co_await background_.run(executor_, std::move(work), options));
  co_return std::move(*answer);
}

}  // namespace rowhouse::net
