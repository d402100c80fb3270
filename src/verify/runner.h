// Runs verifications of a node, one after the other, on a thread of its own: those that are asked for, and
// one when the last is older than `every`.
//
// start() after the node listens; request() from any thread; stop() ends a run early and joins the thread.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "observe/log.h"
#include "verify/engine.h"

namespace rowhouse::verify {

class Runner {
 public:
  struct Job {
    Uuid id;
    std::string slug_prefix;
    Request request;
  };

  // `every` 0: only on request. The first scheduled run comes kFirstRunAfter after the start, or after
  // `every` if that is sooner.
  Runner(EngineSettings settings, std::chrono::milliseconds every, observe::Log& log);
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // `Nodes::this_one`: no other node uses this database, so whatever says that it runs has died, and is
  // cleared away.
  enum class Nodes { this_one, several };
  void start(std::string url, std::string ca_file, Nodes nodes);
  void stop();
  // The job must have been begun in the Store. False if the runner is not there (any more) or has a job.
  bool request(Job job);

 private:
  void loop();
  void run(const Job& job);
  void clear_away();
  std::optional<Job> scheduled();

  EngineSettings settings_;
  std::chrono::milliseconds every_;
  observe::Log& log_;
  // What began earlier is another process's. (A request may be there before the clearing away begins.)
  const WallTime made_at_ = std::chrono::system_clock::now();
  std::chrono::steady_clock::time_point first_due_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::optional<Job> job_;
  std::atomic<bool> stopping_{false};
  bool started_ = false;
  Nodes nodes_ = Nodes::several;
  std::thread thread_;
};

}  // namespace rowhouse::verify
