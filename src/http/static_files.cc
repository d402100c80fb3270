#include "http/static_files.h"

#include <string>

#include "base/embedded.h"
#include "http/security_headers.h"

namespace rowhouse::http {
namespace {

constexpr std::string_view kFolder = "src/http/static/";

std::string_view content_type_of(std::string_view path) {
  if (path.ends_with(".html")) return "text/html; charset=utf-8";
  if (path.ends_with(".css")) return "text/css; charset=utf-8";
  if (path.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (path.ends_with(".svg")) return "image/svg+xml";
  return "application/octet-stream";
}

}  // namespace

Result<net::HttpResponse> static_file(std::string_view name) {
  const std::string path = std::string(kFolder) + std::string(name);
  for (const EmbeddedFile& candidate : embedded_files()) {
    if (candidate.path != path) continue;
    net::HttpResponse response(200);
    response.headers.emplace_back("Content-Type", content_type_of(path));
    add_page_headers(response);
    response.body = candidate.content;
    return response;
  }
  return Error(ErrorCode::unknown_route, "there is no such page");
}

}  // namespace rowhouse::http
