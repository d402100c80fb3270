// A blocking HTTP client, for the command line and for threads that may wait. libcurl underneath. Not for
// event loops: http_fetch.h is. Redirects are not followed.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/http_message.h"

namespace rowhouse::net {

struct ClientRequest {
  std::string method = "GET";
  std::string url;
  std::vector<Header> headers;
  std::string body;
  // When set, the body is read from here instead: fills at most `capacity` bytes, returns how many (0 = end).
  std::function<std::size_t(char* buffer, std::size_t capacity)> body_source;
  // When set, a 2xx response body goes here piece by piece instead of into `body`; false stops the transfer.
  std::function<bool(std::string_view piece)> body_sink;
  // When set, asked at least once a second, and whenever a signal arrives; false stops the transfer.
  std::function<bool()> while_waiting;
  std::string ca_file;  // PEM, for servers with a private certificate authority
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds timeout{0};  // whole transfer; 0 = none
  // `kept`: on a connection of this thread that stays open for its next request, for many in a row.
  enum class Connection { fresh, kept } connection = Connection::fresh;
  // A longer response body (sinks apart) is an error; 0 = any.
  std::size_t max_response_bytes = 0;
  // When set, asked for each address before it is connected to; false refuses it. No proxy is used then.
  std::function<bool(const sockaddr& address)> may_connect;
};

struct ClientResponse {
  int status = 0;
  std::vector<Header> headers;
  std::string body;
};

// Errors: server_unreachable, with the URL and what to try; cancelled (by while_waiting).
Result<ClientResponse> send(const ClientRequest& request);

}  // namespace rowhouse::net
