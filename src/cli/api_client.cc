#include "cli/api_client.h"

#include <fmt/format.h>

#include "base/text.h"

namespace rowhouse::cli {
namespace {

constexpr std::size_t kShownBodyBytes = 300;

std::string header_of(const std::vector<net::Header>& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (equals_ignoring_case(key, name)) return value;
  }
  return "";
}

Result<net::Header> credential_for(const ClientSettings& settings, Talks talks) {
  if (talks == Talks::to_data_plane) {
    if (!settings.tenant_key.empty()) return net::Header("X-Tenant-Key", settings.tenant_key);
    return Error(ErrorCode::credential_missing, "this command needs the API key of a tenant")
        .with_detail(std::string(kHint),
                     "Set ROWHOUSE_TENANT_KEY, or name a file that holds the key with --key-file. `rowhouse "
                     "key create "
                     "SLUG` makes a new one");
  }
  if (!settings.admin_token.empty()) return net::Header("Authorization", "Bearer " + settings.admin_token);
  return Error(ErrorCode::credential_missing, "this command needs the admin token")
      .with_detail(std::string(kHint),
                   "Set ROWHOUSE_ADMIN_TOKEN, or name a file that holds the token with "
                   "--admin-token-file. " +
                       settings.admin_token_hint);
}

}  // namespace

std::string ApiReply::header(std::string_view name) const { return header_of(headers, name); }

Result<ApiClient> ApiClient::create(const Invocation& invocation) {
  const Talks talks = invocation.command().talks;
  TRY(auto settings, invocation.app().client_settings(invocation.options(), talks));
  TRY(auto credential, credential_for(settings, talks));
  std::vector<net::Header> headers;
  headers.push_back(std::move(credential));
  headers.emplace_back("User-Agent", "rowhouse/" + invocation.app().version);
  if (invocation.has("tenant")) headers.emplace_back("X-Tenant-ID", invocation.value("tenant"));
  return ApiClient(std::move(settings), std::move(headers));
}

Result<ApiReply> ApiClient::transfer(net::ClientRequest request, std::string path) const {
  std::string base = settings_.url;
  while (base.ends_with('/')) base.pop_back();
  request.url = base + path;
  request.ca_file = settings_.certificate_authority;
  request.headers.insert(request.headers.end(), credential_.begin(), credential_.end());
  TRY(auto response, net::send(request));
  if (response.status < 200 || response.status > 299) {
    return error_from_problem(response.status, response.headers, response.body);
  }
  ApiReply reply;
  reply.status = response.status;
  reply.headers = std::move(response.headers);
  reply.text = std::move(response.body);
  if (auto parsed = json::parse(reply.text); parsed.ok()) reply.body = std::move(*parsed);
  return reply;
}

Result<ApiReply> ApiClient::call(std::string method, std::string path, const json::Value& body,
                                 std::vector<net::Header> headers) const {
  net::ClientRequest request;
  request.method = std::move(method);
  request.headers = std::move(headers);
  if (!body.is_null()) {
    request.body = json::serialize(body);
    request.headers.emplace_back("Content-Type", "application/json");
  }
  return transfer(std::move(request), std::move(path));
}

std::string path_of(std::string_view base, const std::vector<std::string>& parts) {
  std::string path(base);
  for (const std::string& part : parts) path += "/" + percent_encode(part);
  return path;
}

std::string query_of(const std::vector<std::pair<std::string, std::string>>& pairs) {
  std::string query;
  for (const auto& [name, value] : pairs) {
    if (value.empty()) continue;
    query += query.empty() ? "?" : "&";
    query += percent_encode(name) + "=" + percent_encode(value);
  }
  return query;
}

Error error_from_problem(int status, const std::vector<net::Header>& headers, std::string_view body) {
  const auto document = json::parse(body);
  const bool is_problem = document.ok() && document->find("status") != nullptr;
  if (!is_problem) {
    std::string shown(trim(body.substr(0, kShownBodyBytes)));
    return Error(ErrorCode::internal, shown.empty() ? "The answer has no body" : shown)
        .with_detail(std::string(kProblemStatus), std::to_string(status))
        .with_detail(std::string(kProblemTitle), fmt::format("The server answered {}", status));
  }
  Error error(ErrorCode::internal, text_of(*document, "detail"));
  if (const auto* fields = document->find("errors"); fields != nullptr && fields->as_array() != nullptr) {
    for (const json::Value& field : *fields->as_array()) {
      error.fields.emplace_back(text_of(field, "path"), text_of(field, "message"));
    }
  }
  return std::move(error)
      .with_detail(std::string(kProblemStatus), std::to_string(status))
      .with_detail(std::string(kProblemCode), text_of(*document, "code"))
      .with_detail(std::string(kProblemTitle), text_of(*document, "title"))
      .with_detail(std::string(kRequestId), text_of(*document, "request_id"))
      .with_detail(std::string(kRetryAfter), header_of(headers, "Retry-After"));
}

std::string text_of(const json::Value& value) {
  if (value.is_null()) return "";
  if (const std::string* text = value.as_string()) return *text;
  return json::serialize(value);
}

std::string text_of(const json::Value& object, std::string_view member) {
  const json::Value* value = object.find(member);
  return value == nullptr ? "" : text_of(*value);
}

}  // namespace rowhouse::cli
