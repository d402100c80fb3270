// A wait that ends early when it is cancelled. Private to src/operations.
#pragma once

#include <chrono>

#include "base/call.h"
#include "base/task.h"
#include "net/executor.h"

namespace rowhouse::operations {

// `cancel` may be null.
Task<void> nap(net::Executor& executor, std::chrono::milliseconds time, CancelSource* cancel);

}  // namespace rowhouse::operations
