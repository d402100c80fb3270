#include "http/router.h"

#include <cstdio>
#include <cstdlib>

#include "base/text.h"

namespace rowhouse::http {
namespace {

bool is_parameter(std::string_view segment) { return segment.starts_with('{'); }

[[noreturn]] void bug(const std::string& path, const char* what) {
  std::fprintf(stderr, "route %s: %s\n", path.c_str(), what);
  std::abort();
}

bool takes_rest(const std::vector<std::string>& pattern) { return pattern.back().ends_with("...}"); }

bool matches(const std::vector<std::string>& pattern, const std::vector<std::string_view>& parts) {
  const bool fits = takes_rest(pattern) ? parts.size() >= pattern.size() : parts.size() == pattern.size();
  if (!fits) return false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (is_parameter(pattern[i]) ? parts[i].empty() : pattern[i] != parts[i]) return false;
  }
  return true;
}

}  // namespace

void Router::add(RouteInfo info, std::variant<OpenHandler, TenantHandler, PlatformHandler> handler) {
  if (handler.index() != static_cast<std::size_t>(info.audience))
    bug(info.path, "the handler does not fit the audience");
  for (const Route& route : routes_) {
    if (route.info.path == info.path && route.info.method == info.method) bug(info.path, "is there twice");
  }
  std::vector<std::string> pattern;
  for (const std::string_view part : split(std::string_view(info.path).substr(1), '/'))
    pattern.emplace_back(part);
  segments_.push_back(std::move(pattern));
  routes_.push_back(Route{std::move(info), std::move(handler)});
}

Router::Match Router::match(net::Method method, std::string_view path) const {
  Match match;
  if (!path.starts_with('/')) return match;
  // HEAD is GET whose body the server leaves out.
  if (method == net::Method::head) method = net::Method::get;
  const auto parts = split(path.substr(1), '/');
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    const std::vector<std::string>& pattern = segments_[i];
    if (!matches(pattern, parts)) continue;
    const Route& route = routes_[i];
    if (!match.allowed.empty()) match.allowed += ", ";
    match.allowed += net::method_name(route.info.method);
    if (route.info.method != method) continue;
    for (std::size_t k = 0; k < pattern.size(); ++k) {
      if (!is_parameter(pattern[k])) continue;
      std::string_view part = parts[k];
      if (k + 1 == pattern.size() && takes_rest(pattern)) part = path.substr(part.data() - path.data());
      auto decoded = percent_decode(part, Plus::is_plus);
      if (!decoded || !is_valid_utf8(*decoded)) return Match();
      match.parameters.push_back(std::move(*decoded));
    }
    match.route = &route;
    return match;
  }
  return match;
}

}  // namespace rowhouse::http
