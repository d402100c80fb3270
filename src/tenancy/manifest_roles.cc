#include "tenancy/manifest_roles.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "tenancy/pack_names.h"
#include "tenancy/permissions.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::size_t kMaxRoles = 50;
constexpr std::size_t kMaxTitleCharacters = 200;
constexpr std::size_t kMaxDescriptionCharacters = 2'000;
constexpr std::string_view kOnlyRole = "admin";
// Without these nobody could ever give a role to a second person.
constexpr std::array<std::string_view, 2> kNeededByAdmin = {"user:manage", "role:manage"};

class RoleReader {
 public:
  RoleReader(const Manifest& manifest, std::vector<FieldError>& faults)
      : manifest_(manifest), faults_(faults) {}

  Role read(const std::string& name, const json::Value& value, const std::string& path);

 private:
  void fault(std::string path, std::string what) { faults_.emplace_back(std::move(path), std::move(what)); }
  std::string words(const json::Value& value, const std::string& path, std::string_view name,
                    std::size_t max_characters);
  std::vector<std::string> operations(const json::Value& value, const std::string& path);

  const Manifest& manifest_;
  std::vector<FieldError>& faults_;
};

std::string RoleReader::words(const json::Value& value, const std::string& path, std::string_view name,
                              std::size_t max_characters) {
  const json::Value* member = value.find(name);
  const std::string* content = member == nullptr ? nullptr : member->as_string();
  if (content == nullptr || content->empty() || utf8_length(*content) > max_characters ||
      content->find('\0') != std::string::npos) {
    fault(path + "/" + std::string(name),
          "must be a string of 1 to " + std::to_string(max_characters) + " characters, without NUL");
    return "";
  }
  return *content;
}

std::vector<std::string> RoleReader::operations(const json::Value& value, const std::string& path) {
  std::vector<std::string> patterns;
  const json::Value* member = value.find("operations");
  const json::Array* items = member == nullptr ? nullptr : member->as_array();
  if (items == nullptr || items->empty() || items->size() > Permissions::kMaxPatterns) {
    fault(path, "must be an array of 1 to " + std::to_string(Permissions::kMaxPatterns) + " operations");
    return patterns;
  }
  for (std::size_t i = 0; i < items->size(); ++i) {
    const std::string* item = (*items)[i].as_string();
    const std::string item_path = path + "/" + std::to_string(i);
    if (item == nullptr || !is_permission_pattern(*item)) {
      fault(item_path, "must be like lead:read, lead:* or *");
    } else if (!is_permission_of(manifest_, *item)) {
      fault(item_path, "is neither declared in /features nor an operation of Rowhouse");
    } else if (std::ranges::find(patterns, *item) != patterns.end()) {
      fault(item_path, "stands there twice");
    } else {
      patterns.push_back(*item);
    }
  }
  return patterns;
}

Role RoleReader::read(const std::string& name, const json::Value& value, const std::string& path) {
  Role role;
  role.name = name;
  if (!is_simple_name(name)) fault(path, "is not a name ([a-z][a-z0-9_]*, at most 63 bytes)");
  const json::Object* members = value.as_object();
  if (members == nullptr) {
    fault(path, "must be an object, not " + std::string(value.type_name()));
    return role;
  }
  constexpr std::array<std::string_view, 4> kMembers = {"title", "description", "operations", "rows"};
  for (const auto& [member, ignored] : *members) {
    if (std::ranges::find(kMembers, member) != kMembers.end()) continue;
    fault(path + "/" + member, "is not known here; known are title, description, operations, rows");
  }
  role.title = words(value, path, "title", kMaxTitleCharacters);
  role.description = words(value, path, "description", kMaxDescriptionCharacters);
  auto permissions = Permissions::from(operations(value, path + "/operations"));
  if (permissions.ok()) role.permissions = std::make_shared<const Permissions>(std::move(*permissions));
  if (const json::Value* rows = value.find("rows"); rows != nullptr) {
    const std::string* scope = rows->as_string();
    if (scope == nullptr || (*scope != "all" && *scope != "own")) {
      fault(path + "/rows", "must be one of all, own");
    } else {
      role.rows = *scope == "own" ? RowScope::own : RowScope::all;
    }
  }
  return role;
}

void read_admin_role(const json::Value& document, Manifest& manifest, std::vector<FieldError>& faults) {
  const json::Value* given = document.find("admin_role");
  const std::string* name = given == nullptr ? nullptr : given->as_string();
  if (name == nullptr) {
    faults.emplace_back("/admin_role", "must name the role that a tenant's first user gets");
    return;
  }
  manifest.admin_role = *name;
  const Role* role = manifest.find_role(*name);
  if (role == nullptr) {
    faults.emplace_back("/admin_role", "is not declared in /roles");
    return;
  }
  for (const std::string_view needed : kNeededByAdmin) {
    if (role->permissions->contains(needed)) continue;
    faults.emplace_back(
        "/admin_role", "names a role without " + std::string(needed) + ": nobody could give roles to others");
  }
}

}  // namespace

bool is_permission_of(const Manifest& manifest, std::string_view pattern) {
  if (pattern == "*" || is_tenant_operation(pattern)) return true;
  if (manifest.features.contains(std::string(pattern))) return true;
  if (!pattern.ends_with(":*")) return false;
  const auto kind = operation_kind(pattern);
  return is_reserved_kind(kind) || std::ranges::any_of(manifest.features, [&](const auto& feature) {
           return operation_kind(feature.first) == kind;
         });
}

void read_roles(const json::Value& document, Manifest& manifest, std::vector<FieldError>& faults) {
  const json::Value* roles = document.find("roles");
  if (roles == nullptr) {
    if (document.find("admin_role") != nullptr) faults.emplace_back("/admin_role", "needs roles as well");
    Role only;
    only.name = kOnlyRole;
    only.title = "Administrator";
    only.description = "May do everything in the tenant.";
    manifest.roles.push_back(std::move(only));
    manifest.admin_role = kOnlyRole;
    return;
  }
  const json::Object* members = roles->as_object();
  if (members == nullptr || members->empty() || members->size() > kMaxRoles) {
    faults.emplace_back("/roles", "must be an object with 1 to " + std::to_string(kMaxRoles) + " roles");
    return;
  }
  RoleReader reader(manifest, faults);
  for (const auto& [name, value] : *members) {
    manifest.roles.push_back(reader.read(name, value, "/roles/" + name));
  }
  read_admin_role(document, manifest, faults);
}

}  // namespace rowhouse::tenancy
