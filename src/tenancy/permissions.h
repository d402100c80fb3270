// What a principal may do: a set of operations, and the operations of Rowhouse itself.
//
// An operation is "kind:verb" ("lead:read"). A pattern is an operation, all of a kind ("lead:*") or all
// ("*"). Permissions are immutable and shared between threads by shared_ptr<const Permissions>; contains() is
// on the way of every request: two binary searches, no allocation. Errors: validation_failed for what is no
// pattern.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rowhouse::tenancy {

class Permissions {
 public:
  static constexpr std::size_t kMaxPatterns = 500;

  static Permissions everything();
  static Permissions nothing() { return Permissions(); }
  // At most kMaxPatterns; one that stands there twice counts once. The fault's path is "/INDEX".
  static Result<Permissions> from(const std::vector<std::string>& patterns);

  bool contains(std::string_view operation) const;
  // Is everything that `other` allows allowed here, too? Whoever gives rights to another must cover them.
  bool covers(const Permissions& other) const;
  // The first pattern of `other` that is not covered, or "".
  std::string first_not_covered(const Permissions& other) const;
  // In canonical form: sorted, and "*" alone where it is there.
  std::vector<std::string> patterns() const;
  bool is_everything() const { return everything_; }
  bool operator==(const Permissions&) const = default;

 private:
  Permissions() = default;
  bool covers_pattern(std::string_view pattern) const;

  bool everything_ = false;
  std::vector<std::string> kinds_;       // sorted: "lead" of "lead:*"
  std::vector<std::string> operations_;  // sorted, without those of kinds_
};

// Shared by whoever may do everything: keys without scopes, admins.
const std::shared_ptr<const Permissions>& all_permissions();

// "lead:read", "lead:*" or "*".
bool is_permission_pattern(std::string_view text);
// "lead" of "lead:read".
std::string_view operation_kind(std::string_view operation);

// Operations of Rowhouse itself that a tenant's principals need on top of those of the pack. No pack may
// declare their kinds, and no plan has to have them.
struct OwnOperation {
  std::string_view name;
  std::string_view description;
};
inline constexpr std::array<OwnOperation, 15> kTenantOperations = {{
    {"identity_provider:manage", "Set and remove the tenant's identity provider"},
    {"identity_provider:read", "See the tenant's identity provider"},
    {"key:manage", "Make, rotate and revoke the tenant's API keys"},
    {"key:read", "See the tenant's API keys"},
    {"object:delete", "Delete objects (files)"},
    {"object:read", "List and read objects (files)"},
    {"object:write", "Store objects (files)"},
    {"role:manage", "Make, change and delete the tenant's own roles"},
    {"role:read", "See the tenant's roles"},
    {"session:manage", "See and end other users' sessions"},
    {"storage:manage", "Set, try and remove the tenant's object storage"},
    {"storage:read", "See which object storage the tenant has"},
    {"tenant:read", "See the tenant, its plan and its limits"},
    {"user:manage", "Invite, change and remove users of the tenant"},
    {"user:read", "See the users of the tenant"},
}};

// What admins and service keys of the platform may do.
inline constexpr std::array<OwnOperation, 17> kPlatformOperations = {{
    {"context-keys:manage", "Rotate the keys that sign contexts"},
    {"encryption-keys:manage", "Bring tenants' secrets under another encryption key"},
    {"keys:manage", "Make, rotate and revoke API keys of tenants"},
    {"keys:read", "See the API keys of tenants"},
    {"lint:run", "Check every database against the isolation rules"},
    {"operations:manage", "Cancel and retry operations"},
    {"operations:read", "See operations and their steps"},
    {"packs:manage", "Install and upgrade packs"},
    {"packs:read", "See packs, their plans and upgrades"},
    {"platform:read", "See the status of the platform"},
    {"service-keys:manage", "Make and revoke service keys of the platform"},
    {"tenants:manage", "Create, change, suspend and delete tenants"},
    {"tenants:read", "See tenants"},
    {"token-keys:manage", "Rotate the keys that sign access tokens"},
    {"users:manage", "Make, change and remove users of tenants and of the platform"},
    {"users:read", "See users of tenants and of the platform"},
    {"verify:run", "Attack the installation with canary rows, and see the reports"},
}};

bool is_tenant_operation(std::string_view operation);
bool is_platform_operation(std::string_view operation);
// Is the kind one of Rowhouse's own for tenants ("user", "role", "key", "session", "tenant", "object",
// "identity_provider")?
bool is_reserved_kind(std::string_view kind);

}  // namespace rowhouse::tenancy
