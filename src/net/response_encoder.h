// Writes the head of a response by hand into one buffer. Pure: no sockets, no time of its own.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

#include "net/http_message.h"
#include "net/request_decoder.h"

namespace rowhouse::net {

// How the end of the body is marked.
enum class ResponseFraming {
  length,   // Content-Length: the size of HttpResponse::body, or what its stream says
  chunked,  // Transfer-Encoding: chunked
  to_end,   // by the end of the connection (HTTP/1.0 clients know no chunks)
};

// Whether responses of this status have a body at all (RFC 9110, section 6.4.1).
bool status_allows_body(int status);

// The Date header's value, made anew once a second.
class DateCache {
 public:
  std::string_view at(std::time_t now);

 private:
  std::time_t second_ = -1;
  std::string text_;
};

// Appends status line, Date, framing, `fixed` (lines ending in CRLF, as they are), the response's own headers
// and the empty line. Headers that belong to the server (Content-Length, Transfer-Encoding, Date, Connection)
// are left out of the response's own; control characters in their values become spaces, so that no value can
// start a header of its own.
void append_response_head(std::string& out, const HttpResponse& response, ResponseFraming framing,
                          Persistence persistence, std::string_view date, std::string_view fixed = {});

void append_chunk(std::string& out, std::string_view piece);  // piece must not be empty
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace rowhouse::net
