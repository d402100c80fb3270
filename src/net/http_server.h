// An HTTP/1.1 server on one Executor: keep-alive, pipelining one after the other, chunked both ways,
// Expect: 100-continue, TLS, limits and deadlines, graceful drain.
//
// Several servers (one per worker thread) share one port through SO_REUSEPORT. Ambiguous framing
// (Content-Length with Transfer-Encoding, two Content-Lengths, a bare LF, obs-fold, a transfer coding other
// than chunked) is answered with 400 and the connection is closed (RFC 9112, sections 2.2 and 6.3; the whole
// list is in request_decoder.h). HTTP/1.0 is served without keep-alive. A client that ends its sending while
// its request runs counts as gone. Deadlines are kept by one timer for all connections: they are met up to an
// eighth of the shortest timeout late, at most 250 ms. A handler has no deadline here; it gives its own to
// what it calls.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/task.h"
#include "net/executor.h"
#include "net/http_message.h"

namespace rowhouse::net {

struct ServerOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 8080;     // 0: the system picks one; see HttpServer::port()
  std::string certificate_file;  // PEM chain; with key_file: TLS 1.2 and later only
  std::string key_file;
  std::uint64_t max_body_bytes = 8U << 20;
  std::string fixed_headers;  // lines ending in CRLF, in the head of every response
  std::uint32_t max_header_bytes = 32U << 10;
  std::uint32_t max_target_bytes = 8U << 10;
  std::uint32_t max_connections = 10'000;  // further ones are answered 503 and closed
  std::chrono::milliseconds header_timeout{
      10'000};  // from the first byte (or accept) to the end of the headers
  std::chrono::milliseconds body_idle_timeout{30'000};   // without a byte of the body; drops buy less
  std::chrono::milliseconds write_idle_timeout{30'000};  // without a single byte taken by the client
  std::chrono::milliseconds keep_alive_timeout{75'000};  // idle between requests
};

// Answers one request. Must always answer: errors become problem documents before they get here. What it
// throws is answered 500. The request lives until the response, its stream included, has been sent.
using HttpHandler = std::function<Task<HttpResponse>(HttpRequest&)>;

// What the access log needs of a finished request.
struct AccessRecord {
  std::string_view method, path, peer, request_id, tenant, route, error_code, user_agent;
  int status = 0;
  std::uint64_t request_bytes = 0;   // body
  std::uint64_t response_bytes = 0;  // body
  std::chrono::microseconds duration{0};
};
using AccessSink = std::function<void(const AccessRecord&)>;

// Makes the response for a request that never reached the handler (400, 408, 413, 414, 431, 503).
using ProblemMaker = std::function<HttpResponse(const Error&, std::string_view request_id)>;

class HttpServer {
 public:
  // Binds and listens. Errors: address_in_use (naming the address and what to do), config_invalid (bad
  // address, certificate or key). A port that another process holds is in use, although the servers of one
  // process share theirs.
  static Result<std::unique_ptr<HttpServer>> create(Executor& executor, ServerOptions options,
                                                    HttpHandler handler, ProblemMaker problems,
                                                    AccessSink access);
  virtual ~HttpServer() = default;  // no connection may be left: drain() first

  virtual void start() = 0;  // accepts from now on
  virtual std::uint16_t port() const = 0;
  virtual std::size_t connections() const = 0;  // with those that are being refused
  // Stops accepting, closes idle connections, lets running requests end (answered with Connection: close),
  // cuts what is left at the deadline (its handlers are cancelled and waited for). Resumes when no connection
  // is left. May be called twice, also at the same time.
  virtual Task<void> drain(Deadline deadline) = 0;
};

}  // namespace rowhouse::net
