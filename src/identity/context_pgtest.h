// Contexts without credentials, for tests of what lies above identity.
#pragma once

#include <memory>
#include <utility>

#include "identity/tenant_context.h"

namespace rowhouse::identity {

class TenantContextForTests {
 public:
  static TenantContext make(std::shared_ptr<const tenancy::Tenant> tenant) {
    Principal principal(PrincipalKind::tenant_key, Uuid(), "key of a test");
    return TenantContext(std::move(tenant), std::move(principal));
  }
};

class PlatformContextForTests {
 public:
  static PlatformContext make() {
    Principal principal(PrincipalKind::platform_admin, Uuid(), "admin of a test");
    return PlatformContext(std::move(principal));
  }
};

}  // namespace rowhouse::identity
