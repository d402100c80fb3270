// What a route says about itself: the rows of the route table that the OpenAPI document is made from.
//
// Plain values, built once at start. A table reads like this:
//
//   RouteInfo(Method::patch, "/v1/tenants/{tenant}", Guard::platform("tenants:manage"), "updateTenant",
//             "Change a tenant")
//       .in("Tenants").about("Members that are left out stay as they are.")
//       .header("If-Match", "ETag of the version to change").takes(ref("TenantUpdate")).returns(200,
//       ref("Tenant")) .with_etag()
//
// Path parameters come from the template; the well-known ones ({tenant}, {key}, {pack}, …) are described in
// openapi.cc. Errors need no entry: every operation offers the problem document as its default response.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "http/guard.h"
#include "net/http_message.h"

namespace rowhouse::http {

// A query parameter or a header of a request.
struct ParameterInfo {
  ParameterInfo(std::string parameter_name, std::string text, json::Value value_schema)
      : name(std::move(parameter_name)), description(std::move(text)), schema(std::move(value_schema)) {}
  std::string name;
  std::string description;
  json::Value schema;
};

struct ResponseHeaderInfo {
  ResponseHeaderInfo(std::string header_name, std::string text)
      : name(std::move(header_name)), description(std::move(text)) {}
  std::string name;
  std::string description;
};

struct RouteInfo {
  RouteInfo(net::Method route_method, std::string path_template, Guard route_guard, std::string id,
            std::string title)
      : method(route_method),
        path(std::move(path_template)),
        guard(route_guard),
        audience(route_guard.audience()),
        operation_id(std::move(id)),
        summary(std::move(title)) {}

  RouteInfo&& in(std::string group) && {
    tag = std::move(group);
    return std::move(*this);
  }
  RouteInfo&& about(std::string text) && {
    description = std::move(text);
    return std::move(*this);
  }
  RouteInfo&& query(std::string name, std::string text, json::Value schema) && {
    query_parameters.emplace_back(std::move(name), std::move(text), std::move(schema));
    return std::move(*this);
  }
  RouteInfo&& header(std::string name, std::string text) && {
    request_headers.emplace_back(std::move(name), std::move(text), json::Object{{"type", "string"}});
    return std::move(*this);
  }
  // A JSON body; call content_type() as well for another media type.
  RouteInfo&& takes(json::Value schema) && {
    request_schema = std::move(schema);
    return std::move(*this);
  }
  // The first call replaces application/json.
  RouteInfo&& content_type(std::string media_type) && {
    if (request_content_types.size() == 1 && request_content_types[0] == "application/json") {
      request_content_types.clear();
    }
    request_content_types.push_back(std::move(media_type));
    return std::move(*this);
  }
  RouteInfo&& returns(int status, json::Value schema = nullptr) && {
    success_status = status;
    response_schema = std::move(schema);
    return std::move(*this);
  }
  RouteInfo&& response_type(std::string media_type) && {
    response_content_type = std::move(media_type);
    return std::move(*this);
  }
  // Another success that has the same body: 200 beside 201.
  RouteInfo&& also(int status) && {
    other_statuses.push_back(status);
    return std::move(*this);
  }
  // Another success with a body of its own.
  RouteInfo&& or_returns(int status, json::Value schema) && {
    other_answers.emplace_back(status, std::move(schema));
    return std::move(*this);
  }
  RouteInfo&& response_header(std::string name, std::string text) && {
    response_headers.emplace_back(std::move(name), std::move(text));
    return std::move(*this);
  }
  RouteInfo&& with_etag() && {
    return std::move(*this).response_header("ETag", "Version of the object, quoted");
  }
  RouteInfo&& with_location() && {
    return std::move(*this).response_header("Location", "Path of the object that was created");
  }

  net::Method method;
  std::string path;  // template: "/v1/tenants/{tenant}/keys"
  Guard guard;
  Audience audience;         // the guard's
  std::string operation_id;  // unique, "listTenants"
  std::string summary;
  std::string description;
  std::string tag;
  std::vector<ParameterInfo> query_parameters;
  std::vector<ParameterInfo> request_headers;
  json::Value request_schema;  // null: no body
  std::vector<std::string> request_content_types{"application/json"};
  json::Value response_schema;  // null: no body
  std::string response_content_type = "application/json";
  int success_status = 200;
  std::vector<int> other_statuses;
  std::vector<std::pair<int, json::Value>> other_answers;
  std::vector<ResponseHeaderInfo> response_headers;
};

}  // namespace rowhouse::http
