#include "net/http_message.h"

#include <algorithm>

#include "base/text.h"

namespace rowhouse::net {

std::string_view method_name(Method method) {
  switch (method) {
    case Method::get:
      return "GET";
    case Method::head:
      return "HEAD";
    case Method::post:
      return "POST";
    case Method::put:
      return "PUT";
    case Method::patch:
      return "PATCH";
    case Method::remove:
      return "DELETE";
    case Method::options:
      return "OPTIONS";
    case Method::other:
      break;
  }
  return "OTHER";
}

std::optional<std::string_view> HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key.size() == name.size() && equals_ignoring_case(key, name)) return value;
  }
  return std::nullopt;
}

std::size_t HttpRequest::header_count(std::string_view name) const {
  return static_cast<std::size_t>(std::count_if(headers.begin(), headers.end(), [name](const Header& header) {
    return equals_ignoring_case(header.first, name);
  }));
}

Task<Result<std::string>> read_whole_body(HttpRequest& request, std::uint64_t limit) {
  request.body->set_limit(limit);
  std::string whole;
  while (true) {
    CO_TRY(const auto piece, co_await request.body->read());
    if (!piece) break;
    whole.append(*piece);
  }
  co_return whole;
}

}  // namespace rowhouse::net
