#include "pg/pool.h"

const rowhouse::Uuid& use(const rowhouse::pg::TransactionContext& context) { return context.tenant(); }
