#include "http/security_headers.h"

namespace rowhouse::http {
namespace {

constexpr std::string_view kBlock =
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "X-Frame-Options: DENY\r\n";
// A year. Not for sub-domains: what runs there is not ours to decide.
constexpr std::string_view kStrictTransport = "Strict-Transport-Security: max-age=31536000\r\n";

constexpr std::string_view kPagePolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

}  // namespace

std::string security_header_block(std::string_view issuer) {
  std::string block(kBlock);
  if (issuer.starts_with("https://")) block += kStrictTransport;
  return block;
}

void add_page_headers(net::HttpResponse& response) {
  response.headers.emplace_back("Content-Security-Policy", kPagePolicy);
  response.headers.emplace_back("Cross-Origin-Opener-Policy", "same-origin");
  response.headers.emplace_back("Cross-Origin-Resource-Policy", "same-origin");
  response.headers.emplace_back("Cache-Control", "no-cache");
}

}  // namespace rowhouse::http
