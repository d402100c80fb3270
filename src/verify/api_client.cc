#include "verify/api_client.h"

#include <algorithm>

#include "base/text.h"
#include "verify/arena.h"

namespace rowhouse::verify {
namespace {

constexpr std::chrono::milliseconds kTimeout{30'000};

std::string without_member(std::string text, std::string_view name) {
  const std::string start = "\"" + std::string(name) + "\":\"";
  const std::size_t at = text.find(start);
  if (at == std::string::npos) return text;
  const std::size_t end = text.find('"', at + start.size());
  return end == std::string::npos ? text : text.erase(at, end + 1 - at);
}

}  // namespace

std::string ApiAnswer::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (equals_ignoring_case(key, name)) return value;
  }
  return "";
}

ApiAnswer ApiClient::call(const std::string& method, const std::string& path,
                          std::vector<net::Header> headers, const std::string& body,
                          const std::string& content_type) {
  net::ClientRequest request;
  request.method = method;
  request.url = url_ + path;
  request.headers = std::move(headers);
  request.headers.emplace_back("User-Agent", "rowhouse-verify");
  if (!body.empty()) request.headers.emplace_back("Content-Type", content_type);
  request.body = body;
  request.ca_file = ca_file_;
  request.timeout = kTimeout;
  request.connection = net::ClientRequest::Connection::kept;
  auto response = net::send(request);
  ApiAnswer answer;
  if (!response.ok()) {
    answer.body = response.error().message;
    return answer;
  }
  answer.status = response->status;
  answer.headers = std::move(response->headers);
  answer.body = std::move(response->body);
  return answer;
}

std::string comparable(const ApiAnswer& answer, const std::vector<std::string>& secrets) {
  std::vector<std::string> lines;
  for (const auto& [name, value] : answer.headers) {
    const std::string lower = to_lower_ascii(name);
    if (lower != "date" && lower != "x-request-id" && lower != "content-length")
      lines.push_back(lower + ": " + value);
  }
  std::sort(lines.begin(), lines.end());
  std::string text = std::to_string(answer.status) + "\n";
  for (const std::string& line : lines) text += line + "\n";
  text += without_member(answer.body, "request_id");
  for (const std::string& secret : secrets) {
    if (!secret.empty()) text = replaced(std::move(text), secret, "…");
  }
  return text;
}

}  // namespace rowhouse::verify
