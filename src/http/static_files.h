// The files of src/http/static, which are compiled into the binary, as answers for a browser.
#pragma once

#include <string_view>

#include "base/result.h"
#include "net/http_message.h"

namespace rowhouse::http {

// `name`: "docs.html". With the headers of a page (security_headers.h). Error unknown_route.
Result<net::HttpResponse> static_file(std::string_view name);

}  // namespace rowhouse::http
