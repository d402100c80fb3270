// HTTP requests and responses as the rest of Rowhouse sees them. No Asio, no Beast.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"

namespace rowhouse::net {

enum class Method { get, head, post, put, patch, remove, options, other };
std::string_view method_name(Method method);  // "GET", "DELETE", …

using Header = std::pair<std::string, std::string>;

// The body of a request, read piece by piece. Reading sends "100 Continue" first where the client expects it.
class BodyReader {
 public:
  virtual ~BodyReader() = default;
  // The next piece (valid until the next call), or nullopt at the end. Errors: request_timeout,
  // body_too_large, malformed_request (bad chunk framing), cancelled (client gone).
  virtual Task<Result<std::optional<std::string_view>>> read() = 0;
  // Raises or lowers the limit for this request; bytes already read count. Default:
  // ServerOptions::max_body_bytes.
  virtual void set_limit(std::uint64_t bytes) = 0;
};

struct HttpRequest {
  Method method = Method::other;
  std::string method_text;
  std::string target;           // as received: "/v1/data/leads?limit=5"
  std::string path;             // up to '?', still percent-encoded
  std::string query;            // after '?', still percent-encoded; "" if none
  std::vector<Header> headers;  // in order, names as received
  std::string peer;             // "127.0.0.1:40123"
  std::string request_id;  // ours, or the client's X-Request-Id if it is printable ASCII of at most 128 bytes
  BodyReader* body = nullptr;      // never null inside a handler
  CancelSource* cancel = nullptr;  // fires when the client goes away; never null inside a handler
  // Fires when the server begins to drain: a response without an end of its own ends then. Never null inside
  // a handler.
  CancelSource* closing = nullptr;

  // First header of that name (case-insensitive), or nullopt.
  std::optional<std::string_view> header(std::string_view name) const;
  // How many headers have that name.
  std::size_t header_count(std::string_view name) const;
};

// A response body that is produced piece by piece: sent as chunks, in constant memory, at the client's pace.
class BodySource {
 public:
  virtual ~BodySource() = default;
  // The next piece, or nullopt at the end. An error ends the connection without the last chunk, so that the
  // client sees that the body is incomplete.
  virtual Task<Result<std::optional<std::string>>> next() = 0;
  // How many bytes the pieces have together, when that is known before the first: then they are sent with
  // Content-Length and unchanged, not as chunks, and a HEAD is told it, too. A source that gives more or
  // fewer ends the connection.
  virtual std::optional<std::uint64_t> length() const { return std::nullopt; }
};

struct HttpResponse {
  HttpResponse() = default;
  explicit HttpResponse(int status_code) : status(status_code) {}

  int status = 200;
  std::vector<Header> headers;  // without Content-Length, Transfer-Encoding, Date, Connection: the server's
  std::string body;             // sent with Content-Length unless `stream` is set
  std::unique_ptr<BodySource> stream;  // sent chunked, unless it knows its length
  // What the access log says beside the request line; filled by the handler.
  std::string log_tenant;
  std::string log_route;       // the route's template: "/v1/data/{resource}"
  std::string log_error_code;  // stable code of a problem, "" if none
};

// The whole body, at most `limit` bytes (error body_too_large).
Task<Result<std::string>> read_whole_body(HttpRequest& request, std::uint64_t limit);

}  // namespace rowhouse::net
