#include <algorithm>

#include "base/text.h"
#include "data/data_service.h"
#include "http/routes/routes.h"

namespace rowhouse::http {
namespace {

constexpr std::size_t kMaxIdempotencyKeyBytes = 255;
constexpr std::int64_t kMaxPage = 500;

}  // namespace

net::HttpResponse json_response(int status, const json::Value& document) {
  net::HttpResponse response(status);
  response.headers.emplace_back("Content-Type", "application/json");
  response.body = json::serialize(document);
  return response;
}

std::string media_type(const net::HttpRequest& request) {
  const std::string_view text = request.header("Content-Type").value_or("");
  return to_lower_ascii(trim(text.substr(0, text.find(';'))));
}

Task<Result<std::string>> read_json_text(net::HttpRequest& request, std::uint64_t limit) {
  const std::string type = media_type(request);
  if (type != "application/json") {
    co_return Error(ErrorCode::unsupported_media_type, "the body must be application/json");
  }
  co_return co_await net::read_whole_body(request, limit);
}

Task<Result<json::Value>> read_json(net::HttpRequest& request, std::uint64_t limit) {
  CO_TRY(const std::string text, co_await read_json_text(request, limit));
  co_return json::parse(text);
}

Result<std::vector<std::pair<std::string, std::string>>> read_query(
    const net::HttpRequest& request, std::initializer_list<std::string_view> known) {
  TRY(auto parameters, data::parse_parameters(request.query));
  for (const auto& [name, value] : parameters) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return Error(ErrorCode::invalid_parameter, "there is no parameter \"" + name + "\" here");
    }
  }
  return parameters;
}

Result<std::string> read_idempotency_key(const net::HttpRequest& request) {
  const auto given = request.header("Idempotency-Key");
  if (!given) return std::string();
  const bool visible =
      std::all_of(given->begin(), given->end(), [](char c) { return c > ' ' && c < '\x7f'; });
  const bool once = request.header_count("Idempotency-Key") == 1;
  if (given->empty() || given->size() > kMaxIdempotencyKeyBytes || !visible || !once) {
    return Error(ErrorCode::invalid_parameter, "Idempotency-Key must be given once, as 1 to " +
                                                   std::to_string(kMaxIdempotencyKeyBytes) +
                                                   " visible ASCII characters");
  }
  return std::string(*given);
}

bool prefers_async(const net::HttpRequest& request) {
  for (const auto& [name, value] : request.headers) {
    if (!equals_ignoring_case(name, "Prefer")) continue;
    for (const std::string_view preference : split(value, ',')) {
      const std::string_view token = trim(preference.substr(0, preference.find(';')));
      if (equals_ignoring_case(token, "respond-async")) return true;
    }
  }
  return false;
}

Result<std::size_t> read_limit(const std::string& text) {
  const auto limit = parse_int64(text);
  if (!limit || *limit < 1 || *limit > kMaxPage) {
    return Error(ErrorCode::invalid_parameter,
                 "limit must be a number from 1 to " + std::to_string(kMaxPage));
  }
  return static_cast<std::size_t>(*limit);
}

}  // namespace rowhouse::http
