// EXPECT: is private within this context
// The setting that row security reads can be filled by session::TenantDatabase alone.
#include "pg/pool.h"

rowhouse::pg::ContextToken forge() { return rowhouse::pg::ContextToken("a tenant's id"); }
