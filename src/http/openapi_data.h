// The data API in the OpenAPI document: one path for each resource and function of the packs. See openapi.h.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "http/route_info.h"
#include "tenancy/pack.h"

namespace rowhouse::http {

class DataPaths {
 public:
  // `packs` in the order of the document; they must outlive this.
  explicit DataPaths(std::vector<const tenancy::Pack*> packs);

  // Is this one of the generic routes that resources and functions stand in for?
  static bool is_generic(const RouteInfo& route);

  // Appends the paths of the generic ones among `routes` and the tags, schemas and filters they refer to.
  void append_paths(std::span<const RouteInfo> routes, json::Value& paths) const;
  void append_schemas(json::Value& schemas) const;
  void append_parameters(json::Value& parameters) const;
  void append_tags(json::Array& tags, json::Array& tag_groups) const;

 private:
  struct Entry {
    Entry(const tenancy::Pack* entry_pack, const tenancy::Resource* entry_resource)
        : pack(entry_pack), resource(entry_resource) {}
    const tenancy::Pack* pack;
    const tenancy::Resource* resource;
  };
  using Entries = std::vector<Entry>;  // packs that have a resource of the same name

  std::vector<const tenancy::Pack*> packs_;
  std::map<std::string_view, Entries> resources_;
};

}  // namespace rowhouse::http
