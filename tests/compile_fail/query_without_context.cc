// EXPECT: no matching function for call to
// Tenant rows are out of reach for code that has no TenantContext.
#include "session/tenant_database.h"

rowhouse::Task<rowhouse::Result<rowhouse::pg::Rows>> rows(rowhouse::session::TenantDatabase& database,
                                                          rowhouse::CallOptions options) {
  const rowhouse::pg::Statement statement("SELECT * FROM app.leads");
  co_return co_await database.run(statement, options);
}
