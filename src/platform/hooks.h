// What another main than the product's may wire into the program: for tests of what happens when it is
// interrupted.
#pragma once

#include <functional>
#include <memory>

#include "net/executor.h"
#include "operations/engine.h"

namespace rowhouse::platform {

struct Hooks {
  // Called once for each worker, on the main thread, with the worker's executor. Empty in the product.
  std::function<std::unique_ptr<operations::Observer>(net::Executor&)> make_observer;
};

}  // namespace rowhouse::platform
