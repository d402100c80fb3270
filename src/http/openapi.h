// The OpenAPI 3.1 document: the route table, with the routes of the data API written out for every resource
// and function of the installed packs.
//
// Pure and deterministic: the same routes and packs give the same document, byte for byte. A route whose
// template has {resource} or {function} is replaced by one path for each resource that offers its verb, or
// each function; it stays as it is only if there is no pack. Where several packs share a name there is one
// path, whose schemas are anyOf theirs (a row may well fit two packs, so oneOf would refuse good answers).
//
// Extensions: x-rowhouse-audience ("open", "tenant", "platform") of every operation, and
// x-rowhouse-operation, what its guard asks for (an object pack → operation if packs differ; none for routes
// that are open or about the caller alone); x-rowhouse-pack (a name; a list if several) of those of packs;
// x-rowhouse-personal-data of columns; x-tagGroups, which gathers a pack's tags.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "http/route_info.h"
#include "tenancy/pack.h"

namespace rowhouse::http {

// `pack_filter`: one pack's name, or "" for all. `version`: of the binary.
json::Value build_openapi(std::span<const RouteInfo> routes,
                          const std::vector<std::shared_ptr<const tenancy::Pack>>& packs,
                          std::string_view pack_filter, std::string_view version = "1");

}  // namespace rowhouse::http
