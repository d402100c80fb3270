// Pieces that both halves of the OpenAPI document are made of. Pure functions.
#pragma once

#include <string_view>
#include <vector>

#include "base/json.h"
#include "http/route_info.h"

namespace rowhouse::http {

json::Value parameter_ref(std::string_view name);  // {"$ref": "#/components/parameters/NAME"}
json::Value header_ref(std::string_view name);     // {"$ref": "#/components/headers/NAME"}

// A parameter in "path", "query" or "header". One in the path is required, others are not.
json::Value parameter(std::string_view in, std::string_view name, std::string_view description,
                      json::Value schema);

// The template as OpenAPI writes it, which has no word for the rest of a path: {object...} → {object}.
std::string documented_path(std::string_view path);
// The names in braces: "/v1/tenants/{tenant}/keys" → tenant.
std::vector<std::string_view> template_names(std::string_view path);

// {"text/csv": {"schema": …}, …}
json::Value content_of(const std::vector<std::string>& media_types, const json::Value& schema);
json::Value json_content(json::Value schema);

// A response with the headers that every answer to this audience carries. `content` null: no body.
json::Value response_of(std::string_view description, Audience audience, json::Value content);
void add_header(json::Value& response, std::string_view name, json::Value header);

std::string_view audience_name(Audience audience);
// {"tenantKey": []} and the like; [] for everybody.
json::Value security_of(Audience audience);

// "get", "delete", …
std::string_view path_item_key(net::Method method);
// Standard phrase of a success: 201 → "Created".
std::string_view status_phrase(int status);

}  // namespace rowhouse::http
