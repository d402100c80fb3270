#include "net/http_fetch.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/text.h"
#include "net/transfer_engine.h"

namespace rowhouse::net {

namespace {

constexpr std::string_view kHttps = "https://";
constexpr std::string_view kHttp = "http://";
constexpr std::size_t kMaxUrlBytes = 2'048;

std::string_view host_of(std::string_view after_scheme) {
  const std::string_view authority = after_scheme.substr(0, after_scheme.find_first_of("/?"));
  if (authority.starts_with('[')) return authority.substr(0, authority.find(']') + 1);
  return authority.substr(0, authority.find(':'));
}

bool is_this_machine(std::string_view host) {
  return host == "localhost" || host == "127.0.0.1" || host == "[::1]";
}

}  // namespace

bool is_fetchable_url(std::string_view url, Reach reach) {
  const bool is_text = url.size() <= kMaxUrlBytes &&
                       std::all_of(url.begin(), url.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (!is_text || url.find_first_of("@#\\\"<>") != std::string_view::npos) return false;
  if (url.starts_with(kHttps)) return !host_of(url.substr(kHttps.size())).empty();
  if (!url.starts_with(kHttp) || reach != Reach::plain_loopback) return false;
  return is_this_machine(host_of(url.substr(kHttp.size())));
}

HttpFetch::HttpFetch(Executor& executor, BlockingWork& background, const EgressPolicy& policy,
                     FetchOptions options)
    : executor_(executor), background_(background), policy_(policy), options_(std::move(options)) {}

Task<Result<ClientResponse>> HttpFetch::send(ClientRequest request, CallOptions options) {
  if (!is_fetchable_url(request.url, options_.reach)) {
    co_return Error(ErrorCode::server_unreachable, "the address " + request.url + " may not be used");
  }
  const auto target = target_of(request.url);
  const bool is_guarded = options_.reach == Reach::public_addresses;
  if (is_guarded) {
    if (!target.ok()) co_return Error(ErrorCode::server_unreachable, target.error().message);
    const auto allowed = policy_.check_host(target->host, target->port);
    if (!allowed.ok()) co_return Error(ErrorCode::server_unreachable, allowed.error().message);
  }
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(options.deadline -
                                                                          std::chrono::steady_clock::now());
  request.timeout = std::clamp(left, std::chrono::milliseconds(1), options_.timeout);
  request.connect_timeout = request.timeout;
  request.ca_file = options_.ca_file;
  request.max_response_bytes = options_.max_response_bytes;
  bool is_refused = false;
  request.may_connect = [this, &target, &is_refused, is_guarded](const sockaddr& address) {
    const bool may = !is_guarded || policy_.may_connect(target->host, address);
    is_refused = is_refused || !may;
    return may;
  };
  BlockingWork& background = background_;
  request.while_waiting = [&background] { return !background.stopping(); };
  std::optional<Result<ClientResponse>> answer;
  std::function<void()> work = [&request, &answer] { answer.emplace(net::send(request)); };
  CO_TRY_DO(co_await background_.run(executor_, std::move(work), options));
  if (is_refused && !answer->ok() && answer->error().code == ErrorCode::server_unreachable) {
    co_return Error(ErrorCode::server_unreachable, egress_refused(target->host).message);
  }
  co_return std::move(*answer);
}

}  // namespace rowhouse::net
