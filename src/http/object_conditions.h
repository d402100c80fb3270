// Headers of requests for objects: which version, which bytes (RFC 9110, sections 13 and 14). Pure functions.
//
// ETags of objects are strong and quoted: "\"VERSION\"".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http_message.h"
#include "objects/object_model.h"
#include "storage/object_store.h"

namespace rowhouse::http {

std::string object_etag(std::string_view version);
// Is `etag` one of the header's list, or is the list "*"? Weak ones count only where `weak` says so.
enum class WeakEtags { count, differ };
bool etag_listed(std::string_view header, std::string_view etag, WeakEtags weak);

// What a write asks of the object that is there: If-None-Match: *, or If-Match with one ETag. "If-Match: *"
// is told as Kind::version without a version: whatever is there. Error: invalid_parameter for anything else.
Result<objects::WriteCondition> write_condition(const net::HttpRequest& request);

// The one range of bytes that a request asks for. nullopt: all of them (no Range header, one of another
// unit, of several ranges or not well-formed, as RFC 9110 wants it). Error: range_not_satisfiable.
Result<std::optional<storage::ByteRange>> read_range(std::string_view header, std::uint64_t object_bytes);

// "attachment; filename=…", safe for any name; `inline` for what a browser may show without running anything.
std::string content_disposition(std::string_view content_type, std::string_view name);
// The key's last segment.
std::string_view file_name_of(std::string_view key);
// "Sun, 06 Nov 1994 08:49:37 GMT"
std::string http_date(std::int64_t unix_ms);

}  // namespace rowhouse::http
