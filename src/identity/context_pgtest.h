// Contexts without credentials, for tests of what lies above identity.
#pragma once

#include <memory>
#include <utility>

#include "identity/tenant_context.h"

namespace rowhouse::identity {

class TenantContextForTests {
 public:
  // A key that may do everything.
  static TenantContext make(std::shared_ptr<const tenancy::Tenant> tenant) {
    return make_key(std::move(tenant), Rights());
  }
  static TenantContext make_key(std::shared_ptr<const tenancy::Tenant> tenant, Rights rights) {
    Principal principal(PrincipalKind::tenant_key, Uuid(), "key of a test");
    return TenantContext(std::move(tenant), std::move(principal), std::move(rights));
  }
  static TenantContext make_user(std::shared_ptr<const tenancy::Tenant> tenant, Uuid user, Rights rights) {
    Principal principal(PrincipalKind::tenant_user, user, "user of a test");
    return TenantContext(std::move(tenant), std::move(principal), std::move(rights));
  }
};

class PlatformContextForTests {
 public:
  static PlatformContext make() { return make(tenancy::all_permissions()); }
  static PlatformContext make(std::shared_ptr<const tenancy::Permissions> permissions) {
    Principal principal(PrincipalKind::platform_admin, Uuid(), "admin of a test");
    tenancy::Grant grant;
    grant.permissions = std::move(permissions);
    return PlatformContext(std::move(principal), std::move(grant));
  }
};

}  // namespace rowhouse::identity
