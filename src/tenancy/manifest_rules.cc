// Compares the manifest with the catalog. Pure functions over both.
#include <algorithm>

#include "pg/quote.h"
#include "tenancy/catalog.h"
#include "tenancy/pack_names.h"

namespace rowhouse::tenancy {

namespace {

using Findings = std::vector<Finding>;

std::string column_list(const std::vector<std::string>& columns) {
  std::string list = "tenant_id";
  for (const std::string& column : columns) list += ", " + pg::quote_name(column);
  return list;
}

std::string in_words(const std::vector<OrderTerm>& terms) {
  std::string words;
  for (const OrderTerm& term : terms) {
    if (!words.empty()) words += ", ";
    words += (term.descending ? "-" : "") + term.column;
  }
  return words;
}

bool same_columns(const std::vector<CatalogIndex::Key>& keys, const std::vector<std::string>& columns) {
  if (keys.size() != columns.size() + 1 || keys[0].column != kTenantColumn) return false;
  return std::ranges::all_of(columns, [&](const std::string& column) {
    return std::ranges::any_of(keys, [&](const CatalogIndex::Key& key) { return key.column == column; });
  });
}

// Is there a unique index over (tenant_id, columns), in any order behind tenant_id, that ON CONFLICT can use?
bool is_unique(const CatalogRelation& relation, const std::vector<std::string>& columns) {
  return std::ranges::any_of(relation.indexes, [&](const CatalogIndex& index) {
    return index.unique && same_columns(index.keys, columns);
  });
}

// Does an index start with tenant_id and then these columns, in these directions or in all the opposite ones?
bool serves(const CatalogIndex& index, const std::vector<OrderTerm>& terms) {
  if (!index.sorted || index.keys.size() < terms.size() + 1 || index.keys[0].column != kTenantColumn)
    return false;
  const auto fits = [&](bool reversed) {
    for (std::size_t i = 0; i < terms.size(); ++i) {
      const CatalogIndex::Key& key = index.keys[i + 1];
      if (key.column != terms[i].column || (key.descending != terms[i].descending) != reversed) return false;
    }
    return true;
  };
  return fits(false) || fits(true);
}

void find_missing_columns(Findings& findings, const CatalogRelation& relation, const Resource& resource,
                          const Manifest& manifest) {
  const auto require = [&](const std::string& column, std::string_view where) {
    if (relation.find_column(column) != nullptr) return;
    findings.emplace_back("column-missing", resource.name + "." + column,
                          "pack.json names the column in " + std::string(where) + " of " + resource.name +
                              ", but " + relation.name + " has no such column",
                          "Correct the name, or add the column in a migration.");
  };
  for (const std::string& column : resource.natural_key) require(column, "natural_key");
  for (const OrderTerm& term : resource.default_order) require(term.column, "default_order");
  for (const auto& order : resource.orders) {
    for (const OrderTerm& term : order) require(term.column, "orders");
  }
  if (const auto personal = manifest.personal_data.find(resource.name);
      personal != manifest.personal_data.end()) {
    for (const std::string& column : personal->second) require(column, "personal_data");
  }
  if (const auto fixed = manifest.read_only.find(resource.name); fixed != manifest.read_only.end()) {
    for (const std::string& column : fixed->second) require(column, "read_only");
  }
  for (const Metric& metric : manifest.metrics) {
    if (metric.resource != resource.name) continue;
    for (const std::string& label : metric.labels) require(label, "the labels of metric " + metric.name);
  }
}

void find_missing_functions(Findings& findings, const Catalog& catalog, const Manifest& manifest) {
  for (const Function& declared : manifest.functions) {
    const auto found = catalog.functions.find(declared.name);
    if (found == catalog.functions.end()) {
      findings.emplace_back("function-missing", declared.name,
                            "pack.json declares the function, but no migration makes it",
                            "CREATE FUNCTION " + pg::quote_name(declared.name) + "(…) …");
      continue;
    }
    const CatalogFunction& function = found->second;
    if (function.overloads > 1) {
      findings.emplace_back("function-overloaded", declared.name,
                            "there are " + std::to_string(function.overloads) + " functions of this name",
                            "Give each its own name: the API calls functions by name alone.");
    }
    if (!function.fault_rule.empty()) {
      findings.emplace_back(function.fault_rule, declared.name, "the function " + function.fault,
                            "Declare named arguments and results of definite built-in types.");
    }
  }
}

void check_uniqueness(Findings& findings, const CatalogRelation& relation, const Resource& resource) {
  const std::string table = pg::quote_name(relation.name);
  const std::vector<std::string> id_alone(1, std::string(kIdColumn));
  if (relation.find_column(kIdColumn) != nullptr && !is_unique(relation, id_alone)) {
    findings.emplace_back("id-missing", resource.name, "id is not unique within a tenant",
                          "ALTER TABLE " + table + " ADD UNIQUE (tenant_id, id);");
  }
  if (!resource.natural_key.empty() && !is_unique(relation, resource.natural_key)) {
    findings.emplace_back(
        "natural-key-not-unique", resource.name,
        "no unique constraint over exactly tenant_id and the natural key that is neither partial nor "
        "deferrable",
        "ALTER TABLE " + table + " ADD UNIQUE (" + column_list(resource.natural_key) + ");");
  }
}

void check_order(Findings& findings, const CatalogRelation& relation, const Resource& resource,
                 const std::vector<OrderTerm>& terms) {
  for (const CatalogIndex& index : relation.indexes) {
    if (serves(index, terms)) return;
  }
  std::string list = "tenant_id";
  for (const OrderTerm& term : terms)
    list += ", " + pg::quote_name(term.column) + (term.descending ? " DESC" : "");
  findings.emplace_back(
      "order-not-indexed", resource.name + "." + in_words(terms),
      "the order " + in_words(terms) + " is promised, but no index begins with tenant_id and it",
      "CREATE INDEX ON " + pg::quote_name(relation.name) + " (" + list + ");");
}

void check_table(Findings& findings, const CatalogRelation& relation, const Resource& resource) {
  if (relation.is_partition) {
    findings.emplace_back("resource-is-partition", resource.name,
                          relation.name + " is a partition, which only its parent may reach",
                          "Name the partitioned table in \"relation\".");
  }
  check_uniqueness(findings, relation, resource);
  // What a list without parameters costs is a promise as well.
  check_order(findings, relation, resource, resource.default_order);
  for (const auto& order : resource.orders) {
    if (in_words(order) != in_words(resource.default_order)) check_order(findings, relation, resource, order);
  }
}

void check_view(Findings& findings, const CatalogRelation& relation, const Resource& resource,
                const Manifest& manifest) {
  for (const Verb verb : {Verb::create, Verb::update, Verb::remove, Verb::import_rows}) {
    if (!resource.operations.contains(verb)) continue;
    findings.emplace_back("view-not-writable", resource.name,
                          relation.name + " is a view, and views are only read",
                          "Leave create, update, delete and import out of its operations.");
    break;
  }
  if (!resource.natural_key.empty()) {
    findings.emplace_back("natural-key-not-unique", resource.name,
                          relation.name + " is a view and has no keys", "Leave natural_key out.");
  }
  for (const SampleFile& sample : manifest.sample_data) {
    if (sample.resource != resource.name) continue;
    findings.emplace_back("sample-data-for-view", resource.name,
                          relation.name + " is a view and takes no rows",
                          "Load the tables that the view reads.");
  }
}

}  // namespace

std::vector<Finding> find_missing_parts(const Catalog& catalog, const Manifest& manifest) {
  Findings findings;
  for (const Resource& resource : manifest.resources) {
    const auto found = catalog.relations.find(resource.relation);
    if (found == catalog.relations.end() ||
        (!found->second.is_table() && found->second.kind != RelationKind::view)) {
      findings.emplace_back("resource-relation-missing", resource.name,
                            "there is no table or view " + resource.relation + " behind the resource",
                            "Create it in a migration, or name another in \"relation\".");
      continue;
    }
    if (found->second.find_column(kIdColumn) == nullptr) {
      findings.emplace_back("id-missing", resource.name, found->second.name + " has no column id",
                            "Every resource has a column id, unique within a tenant.");
    }
    find_missing_columns(findings, found->second, resource, manifest);
  }
  find_missing_functions(findings, catalog, manifest);
  return findings;
}

std::vector<Finding> find_broken_promises(const Catalog& catalog, const Manifest& manifest) {
  Findings findings;
  for (const Resource& resource : manifest.resources) {
    const auto found = catalog.relations.find(resource.relation);
    if (found == catalog.relations.end()) continue;
    const CatalogRelation& relation = found->second;
    if (relation.is_table()) check_table(findings, relation, resource);
    if (relation.kind == RelationKind::view) check_view(findings, relation, resource, manifest);
    for (const Column& column : relation.columns) {
      if (!is_reserved_column(column.name)) continue;
      findings.emplace_back("column-name-reserved", resource.name + "." + column.name,
                            "the data API uses this name for a query parameter",
                            "ALTER TABLE " + pg::quote_name(relation.name) + " RENAME COLUMN " +
                                pg::quote_name(column.name) + " TO …;");
    }
  }
  return findings;
}

}  // namespace rowhouse::tenancy
