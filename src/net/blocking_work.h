// Work that blocks (hashing, libcurl), done off the event loops by a few threads with one bounded queue.
//
// A BlockingWork belongs to a node and is shared by its workers: what floods it can neither take the
// processors from other requests nor pile up. Thread-safe; each coroutine resumes on the executor it names.
// Destroy it when nobody waits for it any more: work under way ends, what is queued is given up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "net/executor.h"

namespace rowhouse::net {

struct BlockingWorkOptions {
  std::size_t threads = 4;      // 1 to 64
  std::size_t max_queued = 64;  // 1 to 10,000; further ones: overloaded
  int niceness = 0;             // of its threads, 0 to 19: see setpriority(2)
  // Says why work was refused, for people.
  std::string overloaded_message = "too much is under way right now; try again in a moment";
};

class BlockingWork {
 public:
  explicit BlockingWork(BlockingWorkOptions options);
  ~BlockingWork();
  BlockingWork(const BlockingWork&) = delete;
  BlockingWork& operator=(const BlockingWork&) = delete;

  // Runs `work` on one of the threads. It must not throw, and may touch what the caller keeps alive until
  // this has ended. Once begun it is never given up: work that waits on a network needs a time limit of its
  // own, and should look at stopping(). Errors: overloaded (the queue is full, or the deadline passed in it).
  Task<Result<void>> run(Executor& executor, std::function<void()> work, CallOptions options);

  // The node is ending: work that may take long gives up when it sees this. Any thread.
  void stop_soon();
  bool stopping() const;
  // How much was done since the start.
  std::uint64_t done() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rowhouse::net
