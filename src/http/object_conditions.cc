#include "http/object_conditions.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "base/text.h"

namespace rowhouse::http {
namespace {

// What browsers draw and never run. No SVG, no HTML, no PDF.
constexpr std::array<std::string_view, 14> kShown = {
    "image/png",  "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp",  "text/plain",
    "audio/mpeg", "audio/ogg",  "audio/wav", "audio/mp4",  "video/mp4",  "video/webm", "video/ogg"};

std::optional<std::uint64_t> number_of(std::string_view digits) {
  const bool plain = !digits.empty() &&
                     std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!plain) return std::nullopt;
  const auto number = parse_int64(digits);
  if (!number) return std::nullopt;
  return static_cast<std::uint64_t>(*number);
}

}  // namespace

std::string object_etag(std::string_view version) {
  std::string etag = "\"";
  etag += version;
  etag += '"';
  return etag;
}

bool etag_listed(std::string_view header, std::string_view etag, WeakEtags weak) {
  if (trim(header) == "*") return true;
  for (std::string_view one : split(header, ',')) {
    one = trim(one);
    if (weak == WeakEtags::count && one.starts_with("W/")) one.remove_prefix(2);
    if (one == etag) return true;
  }
  return false;
}

Result<objects::WriteCondition> write_condition(const net::HttpRequest& request) {
  objects::WriteCondition condition;
  const auto match = request.header("If-Match");
  const auto none_match = request.header("If-None-Match");
  if (match && none_match) {
    return Error(ErrorCode::invalid_parameter, "If-Match and If-None-Match exclude each other");
  }
  if (none_match) {
    if (trim(*none_match) != "*") {
      return Error(ErrorCode::invalid_parameter, "If-None-Match of a write must be *");
    }
    condition.kind = objects::WriteCondition::Kind::absent;
  }
  if (match) {
    condition.kind = objects::WriteCondition::Kind::version;
    std::string_view etag = trim(*match);
    if (etag == "*") return condition;
    const bool quoted = etag.size() > 2 && etag.starts_with('"') && etag.ends_with('"');
    if (quoted) etag = etag.substr(1, etag.size() - 2);
    if (!quoted || etag.find('"') != std::string_view::npos) {
      return Error(ErrorCode::invalid_parameter, "If-Match of a write must be one ETag, quoted, or *");
    }
    condition.version = etag;
  }
  return condition;
}

Result<std::optional<storage::ByteRange>> read_range(std::string_view header, std::uint64_t object_bytes) {
  constexpr std::string_view kUnit = "bytes=";
  std::optional<storage::ByteRange> range;
  header = trim(header);
  if (!header.starts_with(kUnit)) return range;
  header.remove_prefix(kUnit.size());
  const std::size_t dash = header.find('-');
  if (dash == std::string_view::npos || header.find(',') != std::string_view::npos) return range;
  const std::string_view first_text = trim(header.substr(0, dash));
  const std::string_view last_text = trim(header.substr(dash + 1));
  const auto first = number_of(first_text);
  const auto last = number_of(last_text);
  if ((!first_text.empty() && !first) || (!last_text.empty() && !last)) return range;
  if (!first && !last) return range;
  const Error beyond(ErrorCode::range_not_satisfiable,
                     "the object has " + std::to_string(object_bytes) + " bytes");
  storage::ByteRange wanted;
  if (!first) {  // the last so many
    if (*last == 0 || object_bytes == 0) return beyond;
    wanted.first = object_bytes - std::min(*last, object_bytes);
    wanted.last = object_bytes - 1;
  } else {
    if (last && *last < *first) return range;
    if (*first >= object_bytes) return beyond;
    wanted.first = *first;
    wanted.last = std::min(last.value_or(object_bytes - 1), object_bytes - 1);
  }
  range = wanted;
  return range;
}

std::string_view file_name_of(std::string_view key) {
  const std::size_t slash = key.rfind('/');
  return slash == std::string_view::npos ? key : key.substr(slash + 1);
}

// RFC 6266: a plain name for old clients, the true one percent-encoded beside it.
std::string content_disposition(std::string_view content_type, std::string_view name) {
  const std::string type = to_lower_ascii(trim(content_type.substr(0, content_type.find(';'))));
  std::string value = std::find(kShown.begin(), kShown.end(), type) == kShown.end() ? "attachment" : "inline";
  std::string plain(name);
  std::replace_if(
      plain.begin(), plain.end(),
      [](char c) { return c < ' ' || c > '~' || c == '"' || c == '\\' || c == '/' || c == '%'; }, '_');
  value += "; filename=\"" + plain + "\"";
  if (plain != name) value += "; filename*=UTF-8''" + percent_encode(name);
  return value;
}

std::string http_date(std::int64_t unix_ms) {
  const auto seconds = static_cast<std::time_t>(unix_ms / 1'000);
  return fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(seconds));
}

}  // namespace rowhouse::http
