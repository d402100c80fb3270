// Runs durable operations: takes a lease on one, runs its steps, records each, resumes what a dead node left.
//
// One engine per worker; all of it belongs to the executor's thread. What is submitted here begins here at
// once. The engine that has Duty::adopt also looks for operations that wait or whose lease ran out, whoever
// submitted them.
//
// Fencing. A lease has an epoch, raised by whoever takes the operation. Every write about an operation says
// which epoch it belongs to and changes nothing under another. Sessions of effects carry operation and epoch
// in application_name, and ask for the lease after they were opened (base/effects.h); a node that takes over
// raises the epoch first and then ends the sessions of older ones. Times are those of PostgreSQL's clock.
// Source of the idea: Gray, Cheriton 1989 (leases); fencing tokens as in Chubby's sequencers (Burrows
// 2006, 2.4).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/call.h"
#include "base/effects.h"
#include "base/result.h"
#include "base/task.h"
#include "net/executor.h"
#include "observe/log.h"
#include "operations/kind.h"
#include "operations/operation.h"
#include "pg/pool.h"

namespace rowhouse::operations {

// One place where an operation can be interrupted.
struct Point {
  std::string kind, step;
  enum class Direction { run, undo } direction = Direction::run;
  // effect: around the ordinal-th effect of this attempt; step: around the whole of it, before it is recorded
  enum class Scope { step, effect } scope = Scope::step;
  int ordinal = 0;
  std::string effect;  // "CREATE SCHEMA"
  EffectGuard::Moment moment = EffectGuard::Moment::before;
  std::string name() const;  // "tenant.create/create_schema/run/2 CREATE SCHEMA/after"
};

// Sees every point. For tests, which end the process there or lose the answer; null in the product.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual Task<Result<void>> at(const Point& point) = 0;
  // A kind whose operations may pass here; before any does.
  virtual void knows(const Kind&) {}
};

struct EngineOptions {
  std::string node;  // name of this node and worker, unique among running ones
  std::chrono::milliseconds lease{15'000};
  std::chrono::milliseconds heartbeat{3'000};  // renews leases, notices cancel and pause
  std::chrono::milliseconds poll{1'000};       // looks for work of others
  std::size_t max_running = 8;                 // of this engine
  // How long an operation that has ended is kept, and with it its idempotency key. Those that failed are kept
  // until somebody has made them go on.
  std::chrono::milliseconds retention = std::chrono::days(90);
  std::chrono::milliseconds prune_every{600'000};
  std::size_t prune_batch = 500;  // deleted by one statement
};

struct Submission {
  std::string kind;
  std::optional<Uuid> id;  // nullopt: made here
  std::optional<Uuid> tenant;
  json::Value input;  // an object; no secrets: it is shown and backed up
  std::string requested_by;
  // Idempotency: a second submission with the same key finds the first. "" none. Its digest must be the same,
  // otherwise idempotency_key_reused.
  std::string request_key, request_digest;
  // Stands for the first step of the kind (a record step): runs in the transaction that inserts the
  // operation, and that step counts as done. Not run for a repeated submission. An error of it is the
  // submission's, and nothing stays.
  Record first;
};

struct Submitted {
  Uuid id;
  enum class Novelty { started, repeated } novelty = Novelty::started;
};

// What a transaction notifies that leaves something to do to another node: an operation that waits, or a
// request to one that runs. The payload is the operation's id.
inline constexpr const char* kNoticeChannel = "rowhouse_operations";

class Engine {
 public:
  // Ends every session on the server whose application_name begins with `prefix` and is not `own`, and waits
  // until they are gone. Needs a superuser, so it comes from outside.
  using EndSessions =
      std::function<Task<Result<void>>(std::string prefix, std::string own, CallOptions options)>;

  Engine(net::Executor& executor, pg::Pool& platform, const observe::Log& log, EndSessions end_sessions,
         EngineOptions options, Observer* observer = nullptr);
  ~Engine();  // stop() first
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  void add(Kind kind);  // before start()
  enum class Duty { own, adopt };
  void start(Duty duty);
  // On its own PostgreSQL a node is the only one: leases of before its start belong to nobody. Before
  // start().
  Task<Result<void>> release_all_leases(CallOptions options);
  // For whoever listens on kNoticeChannel: looks at once for what it would otherwise find at its next
  // heartbeat or poll. "": a notice may have been missed, as after a new connection.
  void notice(std::string_view payload);
  // Deletes what has ended longer ago than EngineOptions::retention; every prune_every by Duty::adopt.
  // Returns how many.
  Task<Result<std::size_t>> prune(CallOptions options);
  // Cancels what runs, gives the leases back so that another node goes on at once.
  Task<void> stop();

  Task<Result<Submitted>> submit(Submission submission, CallOptions options);
  // Watches a statement with finished_operation_sql(), which is a submission, too. Null unless there is an
  // observer; for one call.
  std::unique_ptr<EffectGuard> submission_guard(std::string kind);
  // Until it has ended, is paused or held up. Errors: not_found, statement_timeout (it goes on).
  Task<Result<Operation>> wait(Uuid id, CallOptions options);

  Task<Result<Operation>> get(Uuid id, CallOptions options);
  Task<Result<OperationPage>> list(OperationFilter filter, CallOptions options);
  // Errors: not_found; conflict with the reason (ended already, cannot be cancelled, is not paused, …).
  // Doing what is done already is no error.
  Task<Result<Operation>> cancel(Uuid id, std::string actor, CallOptions options);
  Task<Result<Operation>> pause(Uuid id, std::string actor, CallOptions options);
  Task<Result<Operation>> resume(Uuid id, std::string actor, CallOptions options);
  // One that has failed, or that waits for its next attempt.
  Task<Result<Operation>> retry(Uuid id, std::string actor, CallOptions options);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The beginning of a statement (WITH queries without the word WITH) that inserts an operation which is over
// already, with all its steps done: for operations whose every step is rows of the same statement. Defines
// `operation (id)`, which is empty when the request key was used before: let everything else be SELECT … FROM
// operation. Refers to kFinishedParameters parameters.
inline constexpr int kFinishedParameters = 8;
std::string finished_operation_sql(int first_parameter);
void append_finished_parameters(pg::Params& params, const Submission& submission, const Kind& kind);

}  // namespace rowhouse::operations
