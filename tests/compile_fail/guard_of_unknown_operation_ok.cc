#include "http/guard.h"

constexpr rowhouse::http::Guard kGuard = rowhouse::http::Guard::tenant("tenant:read");
