#include "http/openapi_parts.h"

#include <string>

namespace rowhouse::http {
namespace {

json::Value reference(std::string_view section, std::string_view name) {
  return json::Object{{"$ref", "#/components/" + std::string(section) + "/" + std::string(name)}};
}

}  // namespace

json::Value parameter_ref(std::string_view name) { return reference("parameters", name); }
json::Value header_ref(std::string_view name) { return reference("headers", name); }

json::Value parameter(std::string_view in, std::string_view name, std::string_view description,
                      json::Value schema) {
  json::Value value;
  value.set("name", name);
  value.set("in", in);
  if (!description.empty()) value.set("description", description);
  if (in == "path") value.set("required", true);
  value.set("schema", std::move(schema));
  return value;
}

std::string documented_path(std::string_view path) {
  const auto rest = path.find("...}");
  if (rest == std::string_view::npos) return std::string(path);
  return std::string(path.substr(0, rest)) + "}";
}

std::vector<std::string_view> template_names(std::string_view path) {
  std::vector<std::string_view> names;
  while (true) {
    const auto open = path.find('{');
    const auto close = path.find('}', open);
    if (open == std::string_view::npos || close == std::string_view::npos) return names;
    std::string_view name = path.substr(open + 1, close - open - 1);
    if (name.ends_with("...")) name.remove_suffix(3);
    names.push_back(name);
    path.remove_prefix(close + 1);
  }
}

json::Value content_of(const std::vector<std::string>& media_types, const json::Value& schema) {
  json::Object content;
  for (const std::string& type : media_types) content.emplace_back(type, json::Object{{"schema", schema}});
  return content;
}

json::Value json_content(json::Value schema) { return content_of({"application/json"}, schema); }

json::Value response_of(std::string_view description, Audience audience, json::Value content) {
  json::Value response;
  response.set("description", description);
  add_header(response, "X-Request-Id", header_ref("X-Request-Id"));
  if (audience == Audience::tenant) {
    add_header(response, "X-Tenant-ID", header_ref("X-Tenant-ID"));
    add_header(response, "X-Tenant-Name", header_ref("X-Tenant-Name"));
  }
  if (!content.is_null()) response.set("content", std::move(content));
  return response;
}

void add_header(json::Value& response, std::string_view name, json::Value header) {
  const json::Value* existing = response.find("headers");
  json::Value headers = existing == nullptr ? json::Value() : *existing;
  headers.set(std::string(name), std::move(header));
  response.set("headers", std::move(headers));
}

std::string_view audience_name(Audience audience) {
  switch (audience) {
    case Audience::open:
      return "open";
    case Audience::tenant:
      return "tenant";
    case Audience::platform:
      return "platform";
  }
  return "";
}

json::Value security_of(Audience audience) {
  json::Array schemes;
  if (audience == Audience::tenant) {
    schemes.emplace_back(json::Object{{"tenantKey", json::Array()}});
    schemes.emplace_back(json::Object{{"userToken", json::Array()}});
  }
  if (audience == Audience::platform) schemes.emplace_back(json::Object{{"adminToken", json::Array()}});
  if (audience != Audience::open) schemes.emplace_back(json::Object{{"browserSession", json::Array()}});
  return schemes;
}

std::string_view path_item_key(net::Method method) {
  switch (method) {
    case net::Method::get:
      return "get";
    case net::Method::head:
      return "head";
    case net::Method::post:
      return "post";
    case net::Method::put:
      return "put";
    case net::Method::patch:
      return "patch";
    case net::Method::remove:
      return "delete";
    case net::Method::options:
      return "options";
    case net::Method::other:
      break;
  }
  return "trace";
}

std::string_view status_phrase(int status) {
  switch (status) {
    case 200:
      return "Success";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "Done; there is no body";
    case 304:
      return "Not changed since If-None-Match";
    default:
      return "Answer";
  }
}

}  // namespace rowhouse::http
