#include "net/response_encoder.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/text.h"

namespace rowhouse::net {
namespace {

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 207:
      return "Multi-Status";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 422:
      return "Unprocessable Content";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 507:
      return "Insufficient Storage";
    default:
      return "";
  }
}

bool belongs_to_server(std::string_view name) {
  for (const std::string_view own : {"content-length", "transfer-encoding", "date", "connection"}) {
    if (name.size() == own.size() && equals_ignoring_case(name, own)) return true;
  }
  return false;
}

void append_clean(std::string& out, std::string_view text) {
  const std::size_t start = out.size();
  out += text;
  std::replace_if(
      out.begin() + static_cast<std::ptrdiff_t>(start), out.end(),
      [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; }, ' ');
}

}  // namespace

bool status_allows_body(int status) { return status >= 200 && status != 204 && status != 304; }

std::string_view DateCache::at(std::time_t now) {
  if (now != second_) {
    text_ = fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(now));
    second_ = now;
  }
  return text_;
}

void append_response_head(std::string& out, const HttpResponse& response, ResponseFraming framing,
                          Persistence persistence, std::string_view date, std::string_view fixed) {
  fmt::format_to(std::back_inserter(out), "HTTP/1.1 {} {}\r\nDate: {}\r\n", response.status,
                 reason_phrase(response.status), date);
  out += fixed;
  for (const auto& [name, value] : response.headers) {
    if (belongs_to_server(name)) continue;
    append_clean(out, name);
    out += ": ";
    append_clean(out, value);
    out += "\r\n";
  }
  if (status_allows_body(response.status)) {
    if (framing == ResponseFraming::chunked) {
      out += "Transfer-Encoding: chunked\r\n";
    } else if (framing == ResponseFraming::length) {
      const std::uint64_t bytes =
          response.stream ? response.stream->length().value_or(0) : std::uint64_t{response.body.size()};
      fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n", bytes);
    }
  }
  if (persistence == Persistence::close) out += "Connection: close\r\n";
  out += "\r\n";
}

void append_chunk(std::string& out, std::string_view piece) {
  fmt::format_to(std::back_inserter(out), "{:x}\r\n", piece.size());
  out += piece;
  out += "\r\n";
}

}  // namespace rowhouse::net
