#include "session/tenant_database.h"

rowhouse::Task<rowhouse::Result<rowhouse::pg::Rows>> rows(rowhouse::session::TenantDatabase& database,
                                                          const rowhouse::identity::TenantContext& context,
                                                          rowhouse::CallOptions options) {
  const rowhouse::pg::Statement statement("SELECT * FROM app.leads");
  co_return co_await database.run(context, statement, options);
}
