// EXPECT: is private within this context
// A TenantContext comes from the Authenticator and from nowhere else.
#include "identity/tenant_context.h"

rowhouse::identity::TenantContext forge(std::shared_ptr<const rowhouse::tenancy::Tenant> tenant) {
  using namespace rowhouse::identity;
  return TenantContext(std::move(tenant), Principal(PrincipalKind::tenant_key, rowhouse::Uuid(), "forged"),
                       {});
}
