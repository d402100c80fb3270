// Runs one operation under one lease, step by step, until it ends, waits, is paused, or the lease is gone.
// Private to src/operations.
//
// What PostgreSQL holds is the truth: memory is ahead of it by the end of one effect at most, which may run
// again. After a doubtful answer to the COMMIT of a record step the row is read before anything else is done.
#pragma once

#include <chrono>
#include <set>
#include <string>

#include "base/task.h"
#include "net/executor.h"
#include "observe/log.h"
#include "operations/engine.h"
#include "operations/fence.h"
#include "operations/held.h"
#include "operations/step_run.h"
#include "operations/store.h"

namespace rowhouse::operations {

// What all runners of an engine share; outlives them.
struct Workshop {
  net::Executor& executor;
  const observe::Log& log;
  Store& store;
  Engine::EndSessions end_sessions;
  Observer* observer;
};

class Runner {
 public:
  Runner(Workshop& workshop, Held& held) : shop_(workshop), held_(held) {}

  enum class End {
    over,     // ended, paused, waits for its time, or another has it
    unknown,  // this binary lacks a step of it; leave() it to another
  };
  Task<End> run();
  Task<void> leave();

 private:
  enum class Next { go_on, over, unknown };
  using Direction = Point::Direction;

  Task<Next> turn();
  Task<Next> forward();
  Task<Next> backward();
  Task<Next> run_step(std::size_t index, const Step& step, Direction direction);
  Task<Result<void>> run_effect(std::size_t index, const Step& step, Direction direction);
  Task<Result<void>> run_record(std::size_t index, const Step& step, Direction direction);
  // Whether PostgreSQL may have recorded a step without our knowing.
  enum class Commit { not_sent, sent };
  Task<Result<void>> in_transaction(std::size_t index, const Step& step, Fence& fence, Direction direction,
                                    Commit& commit);
  Task<Next> failed(std::size_t index, const Step& step, Error error);
  Task<Next> undo_failed(std::size_t index, const Step& step, Error error);
  Task<Next> retry_later(const Step& step, int attempt);
  Task<bool> end_older_sessions();

  void begin_undo(const Error& error, std::string_view step);
  // Writes what has changed; false when the lease is lost.
  Task<bool> write(Change change);
  Task<bool> flush();
  Task<bool> reload();
  Task<Next> give_back(std::chrono::milliseconds run_after);
  Task<Next> finish(OperationStatus status, std::string event);
  Next taken_away();
  void mark(std::size_t index, StepStatus status);

  const Step* find_step(const std::string& name) const;
  CallOptions attempt_options(const Step& step, Fence& fence) const;
  void log_step(std::string_view event, std::size_t index, const Error* error) const;

  Workshop& shop_;
  Held& held_;
  std::set<std::size_t> dirty_;       // steps whose rows are older than memory
  bool unsaved_ = false;              // the operation's own row is
  bool sessions_may_linger_ = false;  // of earlier attempts, here or elsewhere
  bool taken_away_ = false;
};

}  // namespace rowhouse::operations
