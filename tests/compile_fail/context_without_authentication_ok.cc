#include "identity/tenant_context.h"

const rowhouse::tenancy::Tenant& use(const rowhouse::identity::TenantContext& context) {
  return context.tenant();
}
