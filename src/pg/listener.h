// LISTEN on one channel, for as long as it lives; connects again by itself.
//
// After a connection was lost, notifications may have been missed: `on_connected` is called after each
// (re)connect, so that the owner can look for itself. Callbacks run on the executor's thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "net/executor.h"
#include "pg/types.h"

namespace rowhouse::pg {

class Listener {
 public:
  Listener(net::Executor& executor, ConnectionParameters parameters, std::string channel,
           std::function<void(std::string_view payload)> on_notification, std::function<void()> on_connected);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rowhouse::pg
