// Pieces of URLs as the stores need them. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace rowhouse::storage {

using Query = std::vector<std::pair<std::string, std::string>>;  // names and values, not escaped

// All but the unreserved characters of RFC 3986 and "/".
std::string escape_path(std::string_view path);
// "a=1&b=%20": in the order given, names and values escaped.
std::string escape_query(const Query& query);

// "https://host:9000/path" taken apart.
struct Endpoint {
  std::string scheme;  // "https" or "http"
  std::string host;    // lower case; an IPv6 address without brackets
  std::uint16_t port = 0;
  std::string authority;  // as the Host header has it: without the scheme's own port
  std::string path;       // "" or "/path", without a "/" at its end
  std::string origin() const { return scheme + "://" + authority; }
};
// Error: validation_failed. No user, query or fragment; printable ASCII.
Result<Endpoint> parse_endpoint(std::string_view url);

std::string compact_time(WallTime time);  // "20130524T000000Z"
std::string seconds_time(WallTime time);  // "2013-05-24T00:00:00Z"
std::string http_date(WallTime time);     // "Fri, 24 May 2013 00:00:00 GMT"
// Unix time in milliseconds; 0 for what is none.
std::int64_t parse_http_date(std::string_view text);  // "Wed, 21 Oct 2015 07:28:00 GMT"
std::int64_t parse_rfc3339(std::string_view text);    // "2009-10-12T17:50:30.000Z"

// 'attachment; filename*=UTF-8''…' (RFC 6266, RFC 8187).
std::string attachment_header(std::string_view file_name);

}  // namespace rowhouse::storage
