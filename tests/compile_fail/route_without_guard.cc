// EXPECT: no matching function for call to
// A route names the operation that guards it, or it is no route.
#include "http/route_info.h"

rowhouse::http::RouteInfo unguarded() {
  using namespace rowhouse;
  return http::RouteInfo(net::Method::get, "/v1/secrets", "listSecrets", "List secrets");
}
