// EXPECT: is not a constant expression
// A guard names an operation of tenancy/permissions.h: nobody could ever be given another one.
#include "http/guard.h"

constexpr rowhouse::http::Guard kGuard = rowhouse::http::Guard::tenant("tenants:fly");
