#include "http/openapi.h"

#include <algorithm>
#include <map>
#include <string>

#include "http/openapi_data.h"
#include "http/openapi_parts.h"
#include "http/schemas.h"

namespace rowhouse::http {
namespace {

using tenancy::Pack;

// What the parameters in paths of fixed routes mean.
struct PathParameter {
  std::string_view name, description, format;
};
constexpr PathParameter kPathParameters[] = {
    {"tenant", "Id or slug of the tenant", ""},
    {"key", "Id of the API key", "uuid"},
    {"pack", "Name of the pack", ""},
    {"resource", "Name of a resource of the tenant's pack", ""},
    {"id", "Identifier of the row", ""},
    {"function", "Name of a function of the tenant's pack", ""},
    {"asset", "Name of the file", ""},
    {"verification", "Id of the verification", "uuid"},
    {"operation", "Id of the operation", "uuid"},
    {"user", "Id of the user", "uuid"},
    {"role", "Name of the role", ""},
    {"session", "Id of the session", "uuid"},
    {"invitation", "Id of the invitation", "uuid"},
    {"mail", "Id of the mail", "uuid"},
    {"object", "Key of the object; its slashes may stand in the path as they are", ""},
    {"upload", "Id of the upload", ""},
    {"part", "Number of the part, 1 to 10000", ""},
};

json::Value path_parameter(std::string_view name) {
  json::Value schema = string_schema();
  std::string_view description;
  for (const PathParameter& known : kPathParameters) {
    if (known.name != name) continue;
    description = known.description;
    if (!known.format.empty()) schema.set("format", known.format);
  }
  return parameter("path", name, description, std::move(schema));
}

json::Value parameters_of(const RouteInfo& route) {
  json::Array parameters;
  for (const std::string_view name : template_names(route.path)) parameters.push_back(path_parameter(name));
  for (const ParameterInfo& info : route.query_parameters) {
    parameters.push_back(parameter("query", info.name, info.description, info.schema));
  }
  for (const ParameterInfo& info : route.request_headers) {
    parameters.push_back(parameter("header", info.name, info.description, info.schema));
  }
  if (route.audience == Audience::tenant) parameters.push_back(parameter_ref("X-Tenant-ID"));
  return parameters;
}

json::Value responses_of(const RouteInfo& route) {
  json::Value content;
  if (!route.response_schema.is_null())
    content = content_of({route.response_content_type}, route.response_schema);
  std::map<int, json::Value> answers;
  for (const int status : route.other_statuses) answers.emplace(status, content);
  for (const auto& [status, schema] : route.other_answers) answers.emplace(status, json_content(schema));
  answers.emplace(route.success_status, std::move(content));
  json::Value responses;
  for (const auto& [status, answer] : answers) {
    json::Value response = response_of(status_phrase(status), route.audience, answer);
    for (const ResponseHeaderInfo& header : route.response_headers) {
      add_header(response, header.name,
                 json::Object{{"description", header.description}, {"schema", string_schema()}});
    }
    responses.set(std::to_string(status), std::move(response));
  }
  responses.set("default", json::Object{{"$ref", "#/components/responses/Problem"}});
  return responses;
}

json::Value operation_of(const RouteInfo& route) {
  json::Value operation;
  operation.set("operationId", route.operation_id);
  operation.set("summary", route.summary);
  if (!route.description.empty()) operation.set("description", route.description);
  if (!route.tag.empty()) operation.set("tags", json::Array{json::Value(route.tag)});
  operation.set("x-rowhouse-audience", audience_name(route.audience));
  if (!route.guard.operation().empty()) operation.set("x-rowhouse-operation", route.guard.operation());
  operation.set("security", security_of(route.audience));
  json::Value parameters = parameters_of(route);
  if (!parameters.as_array()->empty()) operation.set("parameters", std::move(parameters));
  if (!route.request_schema.is_null()) {
    operation.set("requestBody",
                  json::Object{{"required", true},
                               {"content", content_of(route.request_content_types, route.request_schema)}});
  }
  operation.set("responses", responses_of(route));
  return operation;
}

json::Value shared_parameters() {
  json::Value all;
  json::Value at_least_one = json::Object{{"type", "integer"}, {"minimum", 1}};
  all.set("limit", parameter("query", "limit",
                             "Number of rows of a page: 50 unless given, 1,000 at most, unless the server is "
                             "configured otherwise.",
                             std::move(at_least_one)));
  all.set("cursor",
          parameter("query", "cursor", "`next_cursor` of the page before, with the same filters and order.",
                    string_schema()));
  all.set("count",
          parameter("query", "count", "`exact` also counts all rows that match.", enum_schema({"exact"})));
  json::Value format = enum_schema({"csv", "ndjson"});
  format.set("default", "csv");
  all.set("format", parameter("query", "format", "Format of the answer.", std::move(format)));
  json::Value on_error = enum_schema({"skip", "abort"});
  on_error.set("default", "skip");
  all.set("on_error",
          parameter("query", "on_error",
                    "What a row that is not valid does: `skip` reports it and goes on, `abort` makes the "
                    "whole import fail, and nothing is written.",
                    std::move(on_error)));
  json::Value key = string_schema();
  key.set("maxLength", 255);
  all.set(
      "Idempotency-Key",
      parameter(
          "header", "Idempotency-Key",
          "A value of the caller's choosing. A repeated request with the same key is answered as the first "
          "was, without being carried out again.",
          std::move(key)));
  all.set("If-Match", parameter("header", "If-Match",
                                "ETag that the row must still have; otherwise 412 and nothing changes.",
                                string_schema()));
  all.set("If-None-Match",
          parameter("header", "If-None-Match", "ETag of the version that the caller has.", string_schema()));
  all.set("X-Tenant-ID",
          parameter("header", "X-Tenant-ID",
                    "Id or slug of the tenant. Not needed: the credential decides. If given, it must agree.",
                    string_schema()));
  return all;
}

json::Value shared_headers() {
  struct HeaderText {
    std::string_view name, description;
  };
  constexpr HeaderText kHeaders[] = {
      {"X-Request-Id", "Finds the request in the server's log"},
      {"X-Tenant-ID", "Id of the tenant"},
      {"X-Tenant-Name", "Name of the tenant, percent-encoded UTF-8 if it is not ASCII"},
      {"ETag", "Version of the object, quoted"},
      {"Location", "Path of the object that was created"},
      {"Idempotency-Replayed",
       "`true` if this is the answer to an earlier request with the same Idempotency-Key"},
      {"Content-Disposition", "Name under which a browser saves the file"},
      {"Retry-After", "Seconds to wait before the next attempt; with 429 and 503"},
  };
  json::Value all;
  for (const HeaderText& header : kHeaders) {
    json::Value schema =
        header.name == "Retry-After" ? json::Value(json::Object{{"type", "integer"}}) : string_schema();
    all.set(std::string(header.name),
            json::Object{{"description", header.description}, {"schema", std::move(schema)}});
  }
  return all;
}

json::Value security_schemes() {
  return json::Object{
      {"tenantKey",
       json::Object{{"type", "apiKey"},
                    {"in", "header"},
                    {"name", "X-Tenant-Key"},
                    {"description", "API key of a tenant (tk_…). It decides whose rows are seen."}}},
      {"userToken", json::Object{{"type", "http"},
                                 {"scheme", "bearer"},
                                 {"bearerFormat", "JWT"},
                                 {"description",
                                  "Access token of a user of a tenant, from POST "
                                  "/v1/auth/login. Instead of a key, not beside one."}}},
      {"adminToken", json::Object{{"type", "http"},
                                  {"scheme", "bearer"},
                                  {"description",
                                   "Admin token or service key (rha_…), or the access token of a platform "
                                   "admin who has signed in."}}},
      {"browserSession",
       json::Object{{"type", "apiKey"},
                    {"in", "cookie"},
                    {"name", "__Host-rowhouse_access"},
                    {"description",
                     "Of a browser that has signed in by POST /v1/auth/browser/login (rowhouse_access where "
                     "there is no https). Requests that change something also need X-CSRF-Token."}}}};
}

json::Value problem_response() {
  json::Value response;
  response.set("description", "The request failed; `code` says why");
  add_header(response, "X-Request-Id", header_ref("X-Request-Id"));
  add_header(response, "Retry-After", header_ref("Retry-After"));
  response.set("content", content_of({"application/problem+json"}, ref("Problem")));
  return response;
}

json::Value components(const DataPaths& data) {
  json::Value schemas = component_schemas();
  data.append_schemas(schemas);
  json::Value parameters = shared_parameters();
  data.append_parameters(parameters);
  json::Value all;
  all.set("securitySchemes", security_schemes());
  all.set("schemas", std::move(schemas));
  all.set("parameters", std::move(parameters));
  all.set("headers", shared_headers());
  all.set("responses", json::Object{{"Problem", problem_response()}});
  return all;
}

json::Value information(std::string_view version) {
  return json::Object{
      {"title", "Rowhouse"},
      {"version", version},
      {"summary", "One PostgreSQL, many tenants, rows kept apart"},
      {"description",
       "Routes below `/v1/data`, `/v1/rpc`, `/v1/import` and `/v1/export` work on the rows of one tenant and "
       "take the "
       "tenant's key in `X-Tenant-Key`, or a user's access token in `Authorization`. Which of them there are "
       "depends on the tenant's pack. The other "
       "routes manage "
       "the platform and take an administrator's token. Errors are `application/problem+json` with a stable "
       "`code`."},
      {"license", json::Object{{"name", "Apache License 2.0"}, {"identifier", "Apache-2.0"}}}};
}

std::vector<const Pack*> choose(const std::vector<std::shared_ptr<const Pack>>& packs,
                                std::string_view filter) {
  std::vector<const Pack*> chosen;
  for (const auto& pack : packs) {
    if (filter.empty() || pack->manifest.name == filter) chosen.push_back(pack.get());
  }
  std::sort(chosen.begin(), chosen.end(),
            [](const Pack* a, const Pack* b) { return a->manifest.name < b->manifest.name; });
  return chosen;
}

}  // namespace

json::Value build_openapi(std::span<const RouteInfo> routes,
                          const std::vector<std::shared_ptr<const Pack>>& packs, std::string_view pack_filter,
                          std::string_view version) {
  const std::vector<const Pack*> chosen = choose(packs, pack_filter);
  const DataPaths data(chosen);
  json::Value paths{json::Object()};
  json::Array tags, platform_tags, tag_groups;
  for (const RouteInfo& route : routes) {
    if (!chosen.empty() && DataPaths::is_generic(route)) continue;
    const std::string path = documented_path(route.path);
    const json::Value* existing = paths.find(path);
    json::Value item = existing == nullptr ? json::Value() : *existing;
    item.set(std::string(path_item_key(route.method)), operation_of(route));
    paths.set(path, std::move(item));
    if (route.tag.empty() || std::find(platform_tags.begin(), platform_tags.end(), json::Value(route.tag)) !=
                                 platform_tags.end()) {
      continue;
    }
    platform_tags.emplace_back(route.tag);
    tags.emplace_back(json::Object{{"name", route.tag}});
  }
  if (!chosen.empty()) data.append_paths(routes, paths);
  if (!platform_tags.empty()) {
    tag_groups.emplace_back(json::Object{{"name", "Platform"}, {"tags", std::move(platform_tags)}});
  }
  data.append_tags(tags, tag_groups);

  json::Value document;
  document.set("openapi", "3.1.0");
  document.set("info", information(version));
  document.set("servers", json::Array{json::Value(json::Object{{"url", "/"}})});
  document.set("tags", std::move(tags));
  document.set("x-tagGroups", std::move(tag_groups));
  document.set("paths", std::move(paths));
  document.set("components", components(data));
  return document;
}

}  // namespace rowhouse::http
