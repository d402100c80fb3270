// Headers that tell browsers what not to do: a fixed block on every answer, and more of them on pages.
#pragma once

#include <string>
#include <string_view>

#include "net/http_message.h"

namespace rowhouse::http {

// Lines that end in CRLF, for net::ServerOptions::fixed_headers: no guessing of media types, no address sent
// to other sites, in nobody's frame; and only https from now on (HSTS), if the issuer says https.
std::string security_header_block(std::string_view issuer);

// A page of ours, or a part of one: it loads from here alone, runs no inline script and no inline style, and
// shares no window with other sites.
void add_page_headers(net::HttpResponse& response);

}  // namespace rowhouse::http
