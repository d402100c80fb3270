// What a durable operation consists of: a list of named steps, each idempotent, each with its undo.
//
// A step is one of two kinds.
//   effect  something outside the platform database (a schema, a database, files, a bucket). It may run more
//   than once:
//           after a crash nobody knows how far it got, so it must find out or be repeatable. It calls other
//           modules with run.options(), which carry the deadline, the cancel and the fence.
//   record  rows of the platform database. It runs in the transaction that records the step as done, which
//   also holds the
//           operation's row locked: exactly once, and never by a node that has lost its lease.
// A record step's save() and progress() do nothing: its row is locked, and its state is stored when it ends.
// Steps run in order; when one fails for good, the undos of it and of those before it run in reverse order.
// The undo of a step that never began is not run; that of one that began and did not end is.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/call.h"
#include "base/json.h"
#include "base/result.h"
#include "base/task.h"
#include "base/uuid.h"
#include "pg/pool.h"

namespace rowhouse::operations {

// What a step gets: valid until its task has ended.
class Run {
 public:
  virtual ~Run() = default;
  virtual const Uuid& id() const = 0;
  virtual const std::optional<Uuid>& tenant() const = 0;
  virtual const std::string& requested_by() const = 0;
  virtual const json::Value& input() const = 0;  // an object
  // What steps note for later ones and for their undo; an object, stored whenever a step ends, and by save().
  virtual json::Value& state() = 0;
  // What the operation answers with when it has succeeded; an object. Stored like state().
  virtual json::Value& output() = 0;
  virtual int attempt() const = 0;  // of this step and direction, from 1
  // Why it is being undone; null while it goes forward.
  virtual const Error* failure() const = 0;
  // Deadline of the attempt, the cancel (asked for, lease lost or server stopping), and the fence.
  virtual CallOptions options() = 0;
  // Stores state() now: before an effect whose name was chosen at random.
  virtual Task<Result<void>> save() = 0;
  // For long steps; written at most a few times a second, so call it as often as you like. total 0: unknown.
  virtual Task<Result<void>> progress(std::int64_t done, std::int64_t total, std::string what) = 0;
  // An operator asked to pause: a long step ends its current piece, and returns paused().
  virtual bool pause_requested() const = 0;
};

// The error by which a step says that it stopped where it can go on (see Run::pause_requested).
Error paused();
bool is_paused(const Error& error);

using Effect = std::function<Task<Result<void>>(Run&)>;
using Record = std::function<Task<Result<void>>(Run&, pg::Session& platform)>;

struct Retry {
  int attempts = 8;  // of transient failures; others are tried once
  std::chrono::milliseconds first_delay{200};
  std::chrono::milliseconds max_delay{30'000};  // doubled each time, with jitter
};

// Outages, timeouts, deadlocks, objects in use: worth another attempt.
bool is_transient(const Error& error);

struct Step {
  static Step effect(std::string name, Effect run, Effect undo = {});
  static Step record(std::string name, Record run, Record undo = {});
  Step&& when(std::function<bool(const json::Value& input)> condition) &&;  // left out unless it holds
  Step&& within(std::chrono::milliseconds time) &&;                         // of one attempt
  Step&& retried(Retry policy) &&;

  std::string name;  // "create_schema"
  Effect run_effect, undo_effect;
  Record run_record, undo_record;
  std::function<bool(const json::Value& input)> condition;
  std::chrono::milliseconds timeout{600'000};
  Retry retry;
};

// What happens when a step fails for good, and whether a user may cancel.
//   undo          take everything back; ends as undone or cancelled
//   keep_trying   there is no way back (a deletion): retried with growing pauses until it succeeds, or an
//   operator
//                 looks; cannot be cancelled
//   stop          keep what is done; ends as failed, and `retry` goes on where it stopped
enum class OnFailure { undo, keep_trying, stop };

struct Kind {
  std::string name;  // "tenant.create"
  OnFailure on_failure = OnFailure::undo;
  std::vector<Step> steps;
  // A condition in SQL on `o`, a row of platform.operations: one that has ended is kept while it holds. ""
  // never. Rows of other tables that refer to an operation go with it (ON DELETE CASCADE).
  std::string kept_while{};
};

}  // namespace rowhouse::operations
