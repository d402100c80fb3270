// The HTTP API as client commands use it: JSON in, JSON out, problem documents as Errors.
//
// An Error that came from the server carries the details below; report_error() prints them. Blocking, one
// thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cli/command.h"
#include "net/http_client.h"

namespace rowhouse::cli {

// Details of an Error made from a problem document.
inline constexpr std::string_view kProblemStatus = "status";
inline constexpr std::string_view kProblemCode = "problem_code";
inline constexpr std::string_view kProblemTitle = "title";
inline constexpr std::string_view kRequestId = "request_id";
inline constexpr std::string_view kRetryAfter = "retry_after";
inline constexpr std::string_view kHint = "hint";  // what to do; also on local errors

struct ApiReply {
  int status = 0;
  std::vector<net::Header> headers;
  std::string text;
  json::Value body;  // null if there is none or it is no JSON

  std::string header(std::string_view name) const;  // "" if none
};

class ApiClient {
 public:
  // Error: credential_missing when the command needs a credential and there is none, saying where it was
  // looked for.
  static Result<ApiClient> create(const Invocation& invocation);

  // `path` begins with '/', percent-encoded (see path_of). A null body sends none.
  Result<ApiReply> call(std::string method, std::string path, const json::Value& body = {},
                        std::vector<net::Header> headers = {}) const;
  // For streams: fills in URL, credential and certificate authority; the rest is the caller's.
  Result<ApiReply> transfer(net::ClientRequest request, std::string path) const;

 private:
  ApiClient(ClientSettings settings, std::vector<net::Header> credential)
      : settings_(std::move(settings)), credential_(std::move(credential)) {}
  ClientSettings settings_;
  std::vector<net::Header> credential_;
};

// "/v1/tenants" + "/" + each part, percent-encoded.
std::string path_of(std::string_view base, const std::vector<std::string>& parts);
// "?a=b&c=d", percent-encoded; pairs with empty values are left out; "" if none is left.
std::string query_of(const std::vector<std::pair<std::string, std::string>>& pairs);

// The Error of a response that is not 2xx.
Error error_from_problem(int status, const std::vector<net::Header>& headers, std::string_view body);

// A member as text for a table: strings as they are, null and missing as "", everything else as JSON.
std::string text_of(const json::Value& object, std::string_view member);
std::string text_of(const json::Value& value);

}  // namespace rowhouse::cli
