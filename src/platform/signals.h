// SIGINT and SIGTERM as events: asked to stop, asked again.
//
// Make one at the very start, before any other thread: it blocks both signals in the calling thread, and
// every thread made later inherits that. SIGHUP and SIGPIPE are ignored from then on. A thread of its own
// waits for the signals.
#pragma once

#include <functional>
#include <memory>

namespace rowhouse::platform {

class Signals {
 public:
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // How many have arrived.
  int count() const;
  // Blocks until at least that many have arrived.
  void wait_for(int count) const;
  // Called on the signals' own thread at each arrival, with the count; replaces the one before. At once if
  // signals have arrived already. When this returns, the callback before runs no more.
  void on_arrival(std::function<void(int count)> callback);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rowhouse::platform
