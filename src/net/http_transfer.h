// Streaming HTTP requests of the server to others (object stores), on the event loop: libcurl's multi
// interface behind a coroutine face.
//
// Bodies go both ways in pieces, at the pace of whoever is slower, in constant memory (at most
// kMaxTransferBuffer a transfer). Connections are kept and reused. No redirects, no proxies, no cookies, no
// authentication of curl's own; TLS certificates are verified. Each address is asked of the EgressPolicy
// when it is connected to. One per worker; belongs to the executor's thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "net/egress.h"
#include "net/executor.h"
#include "net/http_message.h"

namespace rowhouse::net {

inline constexpr std::size_t kMaxTransferBuffer = 512 * 1024;

struct TransferOptions {
  std::string ca_file;  // PEM, beside the system's authorities
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds idle_timeout{30'000};  // without a byte either way: server_unreachable
  std::size_t max_header_bytes = 64 * 1024;        // of one response; more is an error
  std::size_t max_connections_per_host = 64;       // further transfers wait
  std::size_t max_idle_connections = 64;
  // When set, asked for each request: "HOST:PORT:ADDRESS[,ADDRESS]", answers that stand in for the
  // resolver's; for tests of what a name may lead to.
  std::function<std::vector<std::string>()> resolve;
};

// The body of a request, asked for piece by piece. Must outlive the transfer.
class TransferSource {
 public:
  virtual ~TransferSource() = default;
  // The next piece (at most 1 MiB), or nullopt at the end. An error ends the transfer and is its result.
  virtual Task<Result<std::optional<std::string>>> next() = 0;
};

struct TransferRequest {
  TransferRequest(std::string request_method, std::string request_url)
      : method(std::move(request_method)), url(std::move(request_url)) {}
  std::string method;           // "PUT"
  std::string url;              // sent as it is: escaped by the caller
  std::vector<Header> headers;  // curl adds Host and Content-Length alone
  std::string body;             // used when there is no source
  TransferSource* source = nullptr;
  std::uint64_t source_bytes = 0;  // exactly; a source that gives more or fewer is an error (internal)
};

// A response under way. Destroying it ends the transfer; a body that was read to its end leaves the
// connection for the next one.
class TransferResponse {
 public:
  virtual ~TransferResponse() = default;
  virtual int status() const = 0;
  // First header of that name (case-insensitive), or "".
  virtual std::string_view header(std::string_view name) const = 0;
  virtual const std::vector<Header>& headers() const = 0;
  // The next piece of the body, or nullopt at its end. Errors: server_unreachable (ended too early, idle),
  // cancelled, statement… none other.
  virtual Task<Result<std::optional<std::string>>> next(CallOptions options) = 0;
  // The whole rest, at most `limit` bytes; more is an error (server_unreachable: "answered too much").
  virtual Task<Result<std::string>> read_all(std::size_t limit, CallOptions options) = 0;
};

class TransferEngine;

class HttpTransfers {
 public:
  HttpTransfers(Executor& executor, const EgressPolicy& policy, TransferOptions options);
  ~HttpTransfers();  // no response may be left
  HttpTransfers(const HttpTransfers&) = delete;
  HttpTransfers& operator=(const HttpTransfers&) = delete;

  // Resumes when the head of the response is there (1xx are skipped). A response may come before the whole
  // body was sent (a refusal): sending stops then. Errors: address_refused, server_unreachable (the message
  // says what and names host and port, not the URL's path or query), cancelled, those of the source.
  Task<Result<std::unique_ptr<TransferResponse>>> send(TransferRequest request, CallOptions options);

 private:
  std::unique_ptr<TransferEngine> engine_;
};

}  // namespace rowhouse::net
