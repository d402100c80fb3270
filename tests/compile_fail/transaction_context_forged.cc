// EXPECT: is private within this context
// A context for a transaction can be made by session::TenantDatabase (and tenancy's row eraser) alone.
#include "pg/pool.h"

rowhouse::pg::TransactionContext forge(const rowhouse::Uuid& tenant) {
  return rowhouse::pg::TransactionContext(tenant, tenant, rowhouse::pg::ContextRole::service, nullptr);
}
