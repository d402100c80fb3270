// Who is calling, for which tenant, with which rights. The only key to tenant data.
//
// A TenantContext can be made by Authenticator alone: its constructor is private. Code that wants tenant rows
// must be handed one, so "forgot to check" does not compile (tests/compile_fail shows it).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/uuid.h"
#include "tenancy/grant.h"
#include "tenancy/permissions.h"
#include "tenancy/tenant.h"

namespace rowhouse::identity {

// server: Rowhouse itself, as a part of what somebody else has asked for.
enum class PrincipalKind { tenant_key, tenant_user, platform_admin, server };

struct Principal {
  Principal(PrincipalKind principal_kind, Uuid principal_id, std::string principal_name)
      : kind(principal_kind), id(principal_id), name(std::move(principal_name)) {}
  PrincipalKind kind;
  Uuid id;                                     // of the key, the user or the admin token
  std::string name;                            // for the audit: "key production", "user ada@acme.example"
  std::optional<Uuid> session = std::nullopt;  // of a person who has signed in; nobody else has one
};

// What a principal may do inside a tenant.
struct Rights {
  std::shared_ptr<const tenancy::Permissions> permissions = tenancy::all_permissions();  // never null
  tenancy::RowScope rows = tenancy::RowScope::all;
  std::string role;  // "" for whoever is no person
  // Of the credential itself, so that it makes no other one that lasts longer or works in more places.
  std::optional<WallTime> expires_at = std::nullopt;
  std::shared_ptr<const tenancy::Networks> networks = nullptr;
};

class TenantContext {
 public:
  const tenancy::Tenant& tenant() const { return *tenant_; }
  const std::shared_ptr<const tenancy::Tenant>& shared_tenant() const { return tenant_; }
  const tenancy::Pack& pack() const { return *tenant_->pack; }
  const tenancy::Plan& plan() const { return *tenant_->plan(); }
  const Principal& principal() const { return principal_; }
  const tenancy::Permissions& permissions() const { return *rights_.permissions; }
  tenancy::RowScope rows() const { return rights_.rows; }
  std::string_view role() const { return rights_.role; }
  // All that this principal could give to a key that it makes.
  tenancy::Grant grant() const { return {rights_.permissions, rights_.expires_at, rights_.networks}; }

  // May this principal do it? Errors, in this order: feature_missing (an operation of the pack that the
  // tenant's plan lacks), permission_missing; each names the operation.
  Result<void> require(std::string_view operation) const;

 private:
  friend class Authenticator;
  friend class TenantContextForTests;
  TenantContext(std::shared_ptr<const tenancy::Tenant> tenant, Principal principal, Rights rights)
      : tenant_(std::move(tenant)), principal_(std::move(principal)), rights_(std::move(rights)) {}
  // Shared: a snapshot that stays valid for this request while the registry replaces it.
  std::shared_ptr<const tenancy::Tenant> tenant_;
  Principal principal_;
  Rights rights_;
};

// Proof that the caller works for the platform (an admin or a service key); for control-plane services.
class PlatformContext {
 public:
  const Principal& principal() const { return principal_; }
  const tenancy::Permissions& permissions() const { return *grant_.permissions; }
  const tenancy::Grant& grant() const { return grant_; }
  // Nothing, or permission_missing, which names the operation.
  Result<void> require(std::string_view operation) const;

 private:
  friend class Authenticator;
  friend class PlatformContextForTests;
  PlatformContext(Principal principal, tenancy::Grant grant)
      : principal_(std::move(principal)), grant_(std::move(grant)) {}
  Principal principal_;
  tenancy::Grant grant_;
};

}  // namespace rowhouse::identity
