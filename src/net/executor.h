// The event loop of one worker thread, and what waits on it.
//
// Everything that a worker owns (sockets, database connections, tasks) lives on its Executor's thread and
// needs no locks. post() and stop() may be called from any thread; everything else only from the thread in
// run(), or before run() starts. Asio stays behind this face.
#pragma once

#include <chrono>
#include <coroutine>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>

#include "base/task.h"

namespace boost::asio {
class io_context;
}

namespace rowhouse::net {

// Fires its callback once unless it is destroyed first.
class Timer {
 public:
  virtual ~Timer() = default;
};

// Waits for readiness of a file descriptor that somebody else owns. At most one wait of each kind at a time:
// asking again replaces the callback. A callback runs once, on the loop, and never after the watch is
// destroyed (it may destroy the watch itself). A wait that fails counts as ready: the next read or write
// tells the error. One descriptor may have only one watch at a time.
class FdWatch {
 public:
  virtual ~FdWatch() = default;
  virtual void when_readable(std::function<void()> callback) = 0;
  virtual void when_writable(std::function<void()> callback) = 0;
};

class Executor;
Task<void> offload(Executor& executor, std::function<void()> blocking_work);

class Executor {
 public:
  Executor();
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  void run();                             // until stop(), also one that was called before
  void stop();                            // thread-safe
  void post(std::function<void()> work);  // thread-safe; runs later on the loop, never inline
  std::unique_ptr<Timer> after(std::chrono::milliseconds delay, std::function<void()> callback);
  // The descriptor must outlive the watch; the watch does not close it.
  std::unique_ptr<FdWatch> watch(int descriptor);

  boost::asio::io_context& native();  // for src/net alone

 private:
  friend Task<void> offload(Executor& executor, std::function<void()> blocking_work);
  void run_on_pool(std::function<void()> blocking_work);

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Suspends for a while. `co_await sleep_for(executor, 10ms);`
Task<void> sleep_for(Executor& executor, std::chrono::milliseconds delay);

// Runs a function that blocks (a name look-up, a process to wait for) on a small pool of threads and resumes
// on `executor`. The function must not touch anything that belongs to the executor's thread; what it throws
// is rethrown.
Task<void> offload(Executor& executor, std::function<void()> blocking_work);

// Owns coroutines that run beside their maker. Every spawned coroutine has exactly one such owner.
class TaskGroup {
 public:
  TaskGroup();
  ~TaskGroup();  // the group must be empty: join() it first
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  void spawn(
      Task<void> task);  // starts at once, on the current thread; an exception out of it ends the process
  std::size_t size() const;
  Task<void> join();  // resumes when all have ended; one joiner at a time

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Runs the loop until `task` has ended, whoever calls stop() before; for start-up code, command line tools
// and tests.
void run_until_done(Executor& executor, Task<void> task);

template <class T>
T run_until_done(Executor& executor, Task<T> task) {
  std::optional<T> result;
  const auto keep = [](Task<T> inner, std::optional<T>* out) -> Task<void> { out->emplace(co_await inner); };
  run_until_done(executor, keep(std::move(task), &result));
  return std::move(*result);
}

}  // namespace rowhouse::net
