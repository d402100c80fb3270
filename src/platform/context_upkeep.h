// Keeps one worker's idea of the signing key fresh, and, in one worker of each node, goes on with rotations
// and brings databases that are behind to the current keys.
//
// All of it belongs to the executor's thread. stop() before it is destroyed.
#pragma once

#include <memory>
#include <string>

#include "base/call.h"
#include "base/task.h"
#include "net/executor.h"
#include "observe/log.h"
#include "tenancy/context_keys.h"
#include "tenancy/context_rotation.h"

namespace rowhouse::platform {

class ContextUpkeep {
 public:
  enum class Duty { keys, keys_and_databases };
  // All must outlive this.
  ContextUpkeep(net::Executor& executor, tenancy::ContextKeys& keys, tenancy::ContextRotation& rotation,
                const observe::Log& log, Duty duty)
      : executor_(executor), keys_(keys), rotation_(rotation), log_(log), duty_(duty) {}

  void start();
  // Another key may sign now: reads it in the background, until that has worked.
  void keys_changed();
  // PostgreSQL did not accept a signed context. Says so in the log, once a minute, with what to do.
  void refused(const Error& error);
  // Waits for what runs; may be called without start().
  Task<void> stop();

 private:
  void tick_later();
  Task<void> tick();
  Task<void> refresh();
  void report(const Result<tenancy::GuardReport>& outcome);

  net::Executor& executor_;
  tenancy::ContextKeys& keys_;
  tenancy::ContextRotation& rotation_;
  const observe::Log& log_;
  Duty duty_;
  enum class State { idle, running, stopped } state_ = State::idle;
  enum class Refresh { none, running, again } refresh_ = Refresh::none;
  int ticks_ = 0;
  std::string last_trouble_;  // told already
  std::uint64_t refusals_ = 0;
  Deadline next_refusal_report_{};
  std::unique_ptr<net::Timer> timer_;
  CancelSource stopping_;
  net::TaskGroup tasks_;
};

}  // namespace rowhouse::platform
