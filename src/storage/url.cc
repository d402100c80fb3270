#include "storage/url.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "base/text.h"

namespace rowhouse::storage {
namespace {

constexpr std::uint16_t kHttpsPort = 443;
constexpr std::uint16_t kHttpPort = 80;
constexpr std::int64_t kMaxPort = 65'535;

Error bad_endpoint(std::string_view why) {
  return Error(ErrorCode::validation_failed,
               "the endpoint is not a URL like https://HOST[:PORT]: " + std::string(why));
}

std::tm utc(WallTime time) {
  const std::time_t seconds =
      std::chrono::system_clock::to_time_t(std::chrono::floor<std::chrono::seconds>(time));
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return parts;
}

std::int64_t to_milliseconds(std::tm& parts) { return static_cast<std::int64_t>(timegm(&parts)) * 1'000; }

}  // namespace

std::string escape_path(std::string_view path) {
  std::string escaped;
  bool first = true;
  for (const std::string_view segment : split(path, '/')) {
    if (!first) escaped.push_back('/');
    first = false;
    escaped += percent_encode(segment);
  }
  return escaped;
}

std::string escape_query(const Query& query) {
  std::string text;
  for (const auto& [name, value] : query) {
    if (!text.empty()) text.push_back('&');
    text += percent_encode(name) + "=" + percent_encode(value);
  }
  return text;
}

Result<Endpoint> parse_endpoint(std::string_view url) {
  const bool printable = std::all_of(url.begin(), url.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (!printable) return bad_endpoint("it has characters that no URL has");
  if (url.find_first_of("?#@\\") != std::string_view::npos)
    return bad_endpoint("it has more than host, port and path");
  Endpoint endpoint;
  const std::size_t colon = url.find("://");
  endpoint.scheme = to_lower_ascii(url.substr(0, std::min(colon, url.size())));
  if (colon == std::string_view::npos || (endpoint.scheme != "https" && endpoint.scheme != "http")) {
    return bad_endpoint("it begins with neither https:// nor http://");
  }
  url.remove_prefix(colon + 3);
  const std::size_t slash = std::min(url.find('/'), url.size());
  endpoint.path = std::string(url.substr(slash));
  while (endpoint.path.ends_with('/')) endpoint.path.pop_back();
  std::string_view authority = url.substr(0, slash);
  const std::uint16_t own_port = endpoint.scheme == "https" ? kHttpsPort : kHttpPort;
  endpoint.port = own_port;
  const std::size_t bracket = authority.rfind(']');
  const std::size_t port_at = authority.rfind(':');
  if (port_at != std::string_view::npos && (bracket == std::string_view::npos || port_at > bracket)) {
    const auto port = parse_int64(authority.substr(port_at + 1));
    if (!port.has_value() || *port < 1 || *port > kMaxPort) return bad_endpoint("its port is none");
    endpoint.port = static_cast<std::uint16_t>(*port);
    authority = authority.substr(0, port_at);
  }
  const std::string host = to_lower_ascii(authority);
  if (host.empty()) return bad_endpoint("it has no host");
  const bool in_brackets = host.front() == '[' && host.back() == ']';
  endpoint.host = in_brackets ? host.substr(1, host.size() - 2) : host;
  endpoint.authority = endpoint.port == own_port ? host : host + ":" + std::to_string(endpoint.port);
  return endpoint;
}

std::string compact_time(WallTime time) {
  const std::tm parts = utc(time);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string seconds_time(WallTime time) {
  const std::tm parts = utc(time);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string http_date(WallTime time) {
  constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const std::tm parts = utc(time);
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays.substr(parts.tm_wday * 3, 3),
                     parts.tm_mday, kMonths.substr(parts.tm_mon * 3, 3), parts.tm_year + 1900, parts.tm_hour,
                     parts.tm_min, parts.tm_sec);
}

std::int64_t parse_http_date(std::string_view text) {
  const std::string copy(text);
  std::tm parts{};
  const char* end = strptime(copy.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return end != nullptr && *end == '\0' ? to_milliseconds(parts) : 0;
}

std::int64_t parse_rfc3339(std::string_view text) {
  const std::string copy(text);
  std::tm parts{};
  const char* end = strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (end == nullptr) return 0;
  std::int64_t milliseconds = 0;
  if (*end == '.') {
    int digits = 0;
    for (++end; *end >= '0' && *end <= '9'; ++end, ++digits) {
      if (digits < 3) milliseconds = milliseconds * 10 + (*end - '0');
    }
    for (; digits < 3; ++digits) milliseconds *= 10;
  }
  return std::string_view(end) == "Z" ? to_milliseconds(parts) + milliseconds : 0;
}

std::string attachment_header(std::string_view file_name) {
  return "attachment; filename*=UTF-8''" + percent_encode(file_name);
}

}  // namespace rowhouse::storage
