// HTTP requests of the server to others (identity providers), off the event loop, within limits.
//
// Where a request may go is the operator's decision: addresses come from tenants, so by default the
// EgressPolicy decides, for the host before any look-up and for each address when it is connected to; a
// wider Reach replaces it. https alone; no redirects, no proxies; size and time are limited. One per worker;
// belongs to the executor's thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "net/blocking_work.h"
#include "net/egress.h"
#include "net/executor.h"
#include "net/http_client.h"

namespace rowhouse::net {

enum class Reach {
  public_addresses,  // https to addresses of the internet, and to what the EgressPolicy allows beside it
  any_address,       // https to every address: providers in the operator's own network
  plain_loopback,    // the same, and http to this machine: for development and tests
};

struct FetchOptions {
  Reach reach = Reach::public_addresses;
  std::string ca_file;  // PEM, for servers with a private certificate authority
  std::chrono::milliseconds timeout{10'000};
  std::size_t max_response_bytes = 512 * 1024;
};

// "https://HOST…", or what `reach` allows beside it; printable ASCII without user and password, without a
// fragment.
bool is_fetchable_url(std::string_view url, Reach reach);

class HttpFetch {
 public:
  // Everything but the options outlives it.
  HttpFetch(Executor& executor, BlockingWork& background, const EgressPolicy& policy, FetchOptions options);

  // Method, URL, headers and body of `request` count; limits are this object's. Errors: server_unreachable
  // (with the reason; also an address that may not be reached), overloaded, cancelled (the server is ending).
  Task<Result<ClientResponse>> send(ClientRequest request, CallOptions options);
  const FetchOptions& options() const { return options_; }

 private:
  Executor& executor_;
  BlockingWork& background_;
  const EgressPolicy& policy_;
  const FetchOptions options_;
};

}  // namespace rowhouse::net
