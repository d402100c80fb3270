#include "http/problem.h"

#include "base/json.h"
#include "identity/sessions.h"

namespace rowhouse::http {
namespace {

// A client that was turned away comes back after this long: enough for a restart of the database.
constexpr std::string_view kRetryAfterSeconds = "1";

json::Value error_list(const std::vector<FieldError>& fields) {
  json::Array list;
  for (const FieldError& field : fields) {
    json::Value entry;
    entry.set("path", field.path);
    entry.set("message", field.message);
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace

net::HttpResponse problem_response(const Error& error, std::string_view request_id) {
  const std::string code(error_code_name(error.code));
  const int status = error_code_status(error.code);
  json::Value document;
  document.set("type", "urn:rowhouse:error:" + code);
  document.set("title", error_code_title(error.code));
  document.set("status", status);
  document.set("code", code);
  document.set("detail", error.code == ErrorCode::internal
                             ? std::string("see the server's log under this request id")
                             : error.message);
  if (!error.fields.empty()) document.set("errors", error_list(error.fields));
  document.set("request_id", request_id);

  net::HttpResponse response(status);
  response.headers.emplace_back("Content-Type", "application/problem+json");
  response.headers.emplace_back("X-Request-Id", request_id);
  if (status == 503 || status == 429) {
    const std::string_view wait_s = error.detail(identity::kRetryAfterS);
    response.headers.emplace_back("Retry-After", wait_s.empty() ? kRetryAfterSeconds : wait_s);
  }
  if (status == 405) response.headers.emplace_back("Allow", error.detail("allow"));
  if (status == 401) {
    response.headers.emplace_back("WWW-Authenticate",
                                  "Bearer realm=\"rowhouse\", X-Tenant-Key realm=\"rowhouse\"");
  }
  response.body = json::serialize(document);
  response.log_error_code = code;
  return response;
}

}  // namespace rowhouse::http
