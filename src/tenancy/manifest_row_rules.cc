#include "tenancy/manifest_row_rules.h"

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <string_view>

#include "tenancy/pack_names.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::size_t kMaxOwners = 8;
constexpr std::array<std::string_view, 4> kMembers = {"owners", "creator", "through", "resource"};

class RowRuleReader {
 public:
  RowRuleReader(Manifest& manifest, std::vector<FieldError>& faults) : manifest_(manifest), faults_(faults) {}

  void read(const json::Value& resources) {
    for (Resource& resource : manifest_.resources) {
      const json::Value* declared = resources.find(resource.name);
      const json::Value* rule = declared == nullptr ? nullptr : declared->find("row_rule");
      if (rule != nullptr) read_rule(resource, *rule);
    }
    for (Resource& resource : manifest_.resources) {
      if (resource.row_rule) check(resource);
    }
  }

 private:
  // Names of resources need no escape in a JSON Pointer; those that do were refused.
  static std::string path_of(const Resource& resource) { return "/resources/" + resource.name + "/row_rule"; }
  void fault(const std::string& path, std::string what) { faults_.emplace_back(path, std::move(what)); }

  void read_rule(Resource& resource, const json::Value& value);
  void read_owners(RowRule& rule, const json::Value& owners, const std::string& path);
  std::string column(const json::Value* value, const std::string& path);
  void check(const Resource& resource);
  Resource* find(std::string_view name);
  bool leads_in_circles(const Resource& resource);

  Manifest& manifest_;
  std::vector<FieldError>& faults_;
  std::map<std::string, std::string> through_;  // resource → the resource that its rule goes through
};

Resource* RowRuleReader::find(std::string_view name) {
  const auto found = std::ranges::find(manifest_.resources, name, &Resource::name);
  return found == manifest_.resources.end() ? nullptr : &*found;
}

// A column's name, or "" after a fault or where there is none.
std::string RowRuleReader::column(const json::Value* value, const std::string& path) {
  if (value == nullptr) return "";
  const std::string* name = value->as_string();
  if (name == nullptr) {
    fault(path, "must be a string, not " + std::string(value->type_name()));
  } else if (*name == kTenantColumn) {
    fault(path, "tenant_id is kept by Rowhouse and never named here");
  } else if (!is_simple_name(*name)) {
    fault(path, "is not a column name ([a-z][a-z0-9_]*, at most 63 bytes)");
  } else {
    return *name;
  }
  return "";
}

void RowRuleReader::read_owners(RowRule& rule, const json::Value& owners, const std::string& path) {
  const json::Array* items = owners.as_array();
  if (items == nullptr || items->empty() || items->size() > kMaxOwners) {
    fault(path, "must be an array of 1 to " + std::to_string(kMaxOwners) + " columns that hold a user's id");
    return;
  }
  for (std::size_t i = 0; i < items->size(); ++i) {
    const std::string item_path = path + "/" + std::to_string(i);
    const std::string name = column(&(*items)[i], item_path);
    if (name.empty()) continue;
    if (std::ranges::find(rule.owners, name) != rule.owners.end()) {
      fault(item_path, "stands there twice");
    } else {
      rule.owners.push_back(name);
    }
  }
}

void RowRuleReader::read_rule(Resource& resource, const json::Value& value) {
  const std::string path = path_of(resource);
  const json::Object* members = value.as_object();
  if (members == nullptr) {
    fault(path, "must be an object, not " + std::string(value.type_name()));
    return;
  }
  for (const auto& [name, member] : *members) {
    if (std::ranges::find(kMembers, name) == kMembers.end())
      fault(path + "/" + name, "is not known here; known are owners, creator, through, resource");
  }
  const json::Value* owners = value.find("owners");
  const json::Value* through = value.find("through");
  const json::Value* parent = value.find("resource");
  if ((owners == nullptr) == (through == nullptr)) {
    fault(path,
          "must have either owners (columns that hold a user's id) or through (a column that refers to "
          "a row of another resource)");
    return;
  }
  RowRule& rule = resource.row_rule.emplace();
  rule.creator = column(value.find("creator"), path + "/creator");
  if (owners != nullptr) {
    read_owners(rule, *owners, path + "/owners");
    if (parent != nullptr) fault(path + "/resource", "belongs to through, and there is none");
    return;
  }
  rule.through = column(through, path + "/through");
  const std::string* name = parent == nullptr ? nullptr : parent->as_string();
  if (name == nullptr) {
    fault(path + "/resource", "must name the resource that through refers to");
    return;
  }
  const Resource* target = find(*name);
  if (target == nullptr) {
    fault(path + "/resource", "there is no resource \"" + *name + "\"");
    return;
  }
  rule.parent = target->relation;
  through_[resource.name] = *name;
}

bool RowRuleReader::leads_in_circles(const Resource& resource) {
  std::string at = resource.name;
  for (std::size_t steps = 0; steps <= through_.size(); ++steps) {
    const auto next = through_.find(at);
    if (next == through_.end()) return false;
    at = next->second;
  }
  return true;
}

// What needs all rules.
void RowRuleReader::check(const Resource& resource) {
  const std::string path = path_of(resource);
  for (const Resource& other : manifest_.resources) {
    if (&other == &resource) break;
    if (other.row_rule && other.relation == resource.relation)
      fault(path, "the resource " + other.name + " is of the same table and has a row rule already");
  }
  const auto through = through_.find(resource.name);
  if (through == through_.end()) return;
  if (!find(through->second)->row_rule) {
    fault(
        path + "/resource",
        through->second + " has no row_rule itself, so everybody reaches its rows: nothing is decided there");
  } else if (leads_in_circles(resource)) {
    fault(path + "/resource", "leads in a circle: a chain of resources must end at one with owners");
  }
}

}  // namespace

void read_row_rules(const json::Value& document, Manifest& manifest, std::vector<FieldError>& faults) {
  const json::Value* resources = document.find("resources");
  if (resources == nullptr || resources->as_object() == nullptr) return;
  RowRuleReader(manifest, faults).read(*resources);
}

}  // namespace rowhouse::tenancy
