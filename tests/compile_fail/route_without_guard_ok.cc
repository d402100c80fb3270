#include "http/route_info.h"

rowhouse::http::RouteInfo guarded() {
  using namespace rowhouse;
  return http::RouteInfo(net::Method::get, "/v1/tenants", http::Guard::platform("tenants:read"),
                         "listTenants", "List tenants");
}
