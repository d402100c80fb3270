// The table of routes: what each offers, who may call it, and the function that answers.
//
// One handler does three things: parse, call one service, render. It never authenticates: the API has done
// that before, by the route's audience, and hands the handler the context that its signature asks for.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "http/route_info.h"
#include "identity/tenant_context.h"
#include "net/http_message.h"

namespace rowhouse::http {

// One request on its way through a handler.
struct Call {
  Call(net::HttpRequest& http_request, CallOptions call_options)
      : request(http_request), options(call_options) {}
  net::HttpRequest& request;
  CallOptions options;
  std::vector<std::string> parameters;  // decoded values of the template's {…}, in order
};

using Reply = Task<Result<net::HttpResponse>>;
using OpenHandler = std::function<Reply(Call&)>;
using TenantHandler = std::function<Reply(Call&, const identity::TenantContext&)>;
using PlatformHandler = std::function<Reply(Call&, const identity::PlatformContext&)>;

struct Route {
  RouteInfo info;
  // The alternative must fit info.audience: Router::add checks it.
  std::variant<OpenHandler, TenantHandler, PlatformHandler> handler;
};

class Router {
 public:
  // A handler that does not fit its audience, or a path and method twice, is a bug and ends the process.
  void add(RouteInfo info, std::variant<OpenHandler, TenantHandler, PlatformHandler> handler);

  struct Match {
    const Route* route = nullptr;         // null: no such route, or not with this method
    std::vector<std::string> parameters;  // decoded
    std::string allowed;                  // methods of the path, "GET, POST"; "" when no route has this path
  };
  // Percent-escapes in a segment are decoded; one that does not decode to UTF-8 matches nothing. A template
  // that ends in {name...} takes the rest of the path, at least one segment and slashes included.
  Match match(net::Method method, std::string_view path) const;
  const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
  std::vector<std::vector<std::string>> segments_;  // of each route's template
};

}  // namespace rowhouse::http
