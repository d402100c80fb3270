// Manifest + catalog → Pack.
#include "tenancy/catalog.h"
#include "tenancy/pack_names.h"
#include "tenancy/packs.h"

namespace rowhouse::tenancy {

namespace {

std::string database_name(std::string_view kind, std::string_view pack) {
  std::string name = "rowhouse_" + std::string(kind) + "_";
  for (const char c : pack) name += c == '-' ? '_' : c;  // pack names hold no underscore: nothing can collide
  return name;
}

bool names(const std::map<std::string, std::set<std::string>>& columns, const std::string& resource,
           const std::string& column) {
  const auto found = columns.find(resource);
  return found != columns.end() && found->second.contains(column);
}

Resource complete(Resource resource, const CatalogRelation& relation, const Manifest& manifest) {
  resource.is_view = relation.kind == RelationKind::view;
  resource.is_partitioned = relation.kind == RelationKind::partitioned_table;
  resource.constraints = relation.constraints;
  for (Column column : relation.columns) {
    if (column.name == kTenantColumn) continue;
    column.read_only = names(manifest.read_only, resource.name, column.name);
    column.personal = names(manifest.personal_data, resource.name, column.name);
    resource.columns.push_back(std::move(column));
  }
  return resource;
}

}  // namespace

std::string pool_database_name(std::string_view pack) { return database_name("pool", pack); }
std::string template_database_name(std::string_view pack) { return database_name("template", pack); }

Task<Result<Pack>> load_pack(pg::Session& session, const std::string& schema, Manifest manifest,
                             CallOptions options) {
  CO_TRY(const Catalog catalog, co_await read_catalog(session, schema, options));
  const auto missing = find_missing_parts(catalog, manifest);
  if (!missing.empty()) {
    Error error(ErrorCode::pack_refused,
                "The database of pack " + manifest.name + " does not have what its manifest names");
    for (const Finding& finding : missing) error.fields.emplace_back(finding.object, finding.message);
    co_return error;
  }
  Pack pack;
  for (const Resource& resource : manifest.resources) {
    pack.resources.emplace(resource.name,
                           complete(resource, catalog.relations.find(resource.relation)->second, manifest));
  }
  for (const Function& declared : manifest.functions) {
    Function function = catalog.functions.find(declared.name)->second.function;
    function.description = declared.description;
    function.operation = declared.operation;
    pack.functions.emplace(declared.name, std::move(function));
  }
  pack.pool_database = pool_database_name(manifest.name);
  pack.template_database = template_database_name(manifest.name);
  pack.manifest = std::move(manifest);
  co_return pack;
}

}  // namespace rowhouse::tenancy
