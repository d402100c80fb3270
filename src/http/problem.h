// Errors as they leave the server: RFC 9457 problem documents. The only place that turns an Error into HTTP.
#pragma once

#include <string_view>

#include "base/error.h"
#include "net/http_message.h"

namespace rowhouse::http {

// {"type", "title", "status", "code", "detail", "errors": [{"path", "message"}], "request_id"}. Adds
// X-Request-Id to all, Retry-After to 429 and 503, WWW-Authenticate to 401, Allow (the error's detail
// "allow") to 405. Errors of class `internal` keep their message to themselves: it is in the log, under the
// request id.
net::HttpResponse problem_response(const Error& error, std::string_view request_id);

}  // namespace rowhouse::http
