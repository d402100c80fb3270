// EXPECT: ignoring returned value
// An error that nobody looks at must not compile.
#include "base/result.h"

rowhouse::Result<int> count();

void caller() { count(); }
