// Who is calling, for which tenant. The only key to tenant data.
//
// A TenantContext can be made by Authenticator alone: its constructor is private. Code that wants tenant rows
// must be handed one, so "forgot to check" does not compile (tests/compile_fail shows it).
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/uuid.h"
#include "tenancy/tenant.h"

namespace rowhouse::identity {

enum class PrincipalKind { tenant_key, platform_admin };

struct Principal {
  Principal(PrincipalKind principal_kind, Uuid principal_id, std::string principal_name)
      : kind(principal_kind), id(principal_id), name(std::move(principal_name)) {}
  PrincipalKind kind;
  Uuid id;           // of the key or the admin token
  std::string name;  // for the audit: "key production"
};

class TenantContext {
 public:
  const tenancy::Tenant& tenant() const { return *tenant_; }
  const tenancy::Pack& pack() const { return *tenant_->pack; }
  const tenancy::Plan& plan() const { return *tenant_->plan(); }
  const Principal& principal() const { return principal_; }
  // Does the tenant's plan include this operation?
  bool allows(std::string_view operation) const { return plan().features.contains(std::string(operation)); }

 private:
  friend class Authenticator;
  friend class TenantContextForTests;
  TenantContext(std::shared_ptr<const tenancy::Tenant> tenant, Principal principal)
      : tenant_(std::move(tenant)), principal_(std::move(principal)) {}
  // Shared: a snapshot that stays valid for this request while the registry replaces it.
  std::shared_ptr<const tenancy::Tenant> tenant_;
  Principal principal_;
};

// Proof that the caller is a platform admin; for control-plane services.
class PlatformContext {
 public:
  const Principal& principal() const { return principal_; }

 private:
  friend class Authenticator;
  friend class PlatformContextForTests;
  explicit PlatformContext(Principal principal) : principal_(std::move(principal)) {}
  Principal principal_;
};

}  // namespace rowhouse::identity
