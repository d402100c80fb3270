// Operations in the platform database: every statement about their rows. Private to src/operations.
//
// Whatever a running operation writes names the lease that it belongs to, and changes nothing under another
// one.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/call.h"
#include "base/json.h"
#include "base/result.h"
#include "base/task.h"
#include "base/uuid.h"
#include "operations/engine.h"
#include "operations/operation.h"
#include "pg/pool.h"

namespace rowhouse::operations {

// Which operation under which lease: what every write is fenced by.
struct LeaseId {
  Uuid operation;
  std::int64_t epoch = 0;
  bool operator==(const LeaseId&) const = default;
};

struct StoredStep {
  std::string name;
  StepStatus status = StepStatus::pending;
  int attempts = 0, undo_attempts = 0;
  json::Value error;
};

// An operation as the one who works on it knows it.
struct Stored {
  LeaseId lease;
  std::string kind;
  std::optional<Uuid> tenant;
  OperationStatus status = OperationStatus::pending;
  std::string requested_by;
  json::Value input, state, output, error, failure;  // failure: why it is undone; null while it goes forward
  bool cancel_requested = false, pause_requested = false;
  std::string cancel_requested_by;
  std::vector<StoredStep> steps;
  // Number of the last write under this lease: one that PostgreSQL runs late, after a newer one, changes
  // nothing.
  std::int64_t writes = 0;
};

// Requests that came in meanwhile, answered by every write.
struct Wishes {
  bool cancel = false, pause = false;
  std::string cancel_by;
};

// What a write changes besides the whole of `Stored`.
struct Change {
  enum class Lease { keep, give_back } lease = Lease::keep;
  std::chrono::milliseconds run_after{0};
  std::string event;               // "operation.succeeded"; "" none
  std::vector<std::size_t> steps;  // whose rows are written
};

class Store {
 public:
  Store(pg::Pool& platform, std::string node, std::chrono::milliseconds lease);

  pg::Pool& platform() { return platform_; }
  const std::string& node() const { return node_; }
  std::chrono::milliseconds lease() const { return lease_; }

  // Takes up to `limit` operations of these kinds that wait or whose lease ran out; `only`: that one, if it
  // can be taken. `except`: operations that this binary has found it cannot work on.
  Task<Result<std::vector<Stored>>> claim(std::vector<std::string> kinds, std::size_t limit,
                                          std::optional<Uuid> only, std::vector<std::string> except,
                                          CallOptions options);
  // Of a lease that is still held; nullopt when it is not.
  Task<Result<std::optional<Stored>>> load(LeaseId lease, CallOptions options);

  // For Pool::run or, in a transaction, Session::query; understood by wishes_of(). No rows: the lease is
  // lost.
  pg::Statement change_statement(const Stored& stored, const Change& change) const;
  static Wishes wishes_of(const pg::Rows& rows);
  // Locks the operation and a step; one row with the step's status. No rows: the lease is lost.
  pg::Statement lock_statement(const LeaseId& lease, std::size_t step) const;

  // False: the lease is lost.
  Task<Result<bool>> save_state(LeaseId lease, std::string state, CallOptions options);
  Task<Result<bool>> save_progress(LeaseId lease, Progress progress, CallOptions options);
  Task<Result<bool>> holds(LeaseId lease, CallOptions options);

  struct Renewed {
    Uuid operation;
    Wishes wishes;
    enum class Outcome {
      renewed,
      locked
    } outcome = Outcome::renewed;  // locked: by the transaction of a record step
  };
  // Leases that are not in the answer are lost.
  Task<Result<std::vector<Renewed>>> renew(std::vector<LeaseId> leases, CallOptions options);
  Task<Result<void>> release_all(CallOptions options);

  // Inserts the operation with its steps. `started` takes the lease with it. One row, (id), unless the
  // request key was used.
  enum class Begin { waiting, started };
  pg::Statement insert_statement(const Submission& submission, const Uuid& id,
                                 const std::vector<std::string>& steps, std::size_t steps_done,
                                 Begin begin) const;
  pg::Statement state_statement(const Uuid& id, const json::Value& state, const json::Value& output) const;
  struct Earlier {
    Uuid id;
    std::string digest;
  };
  Task<Result<std::optional<Earlier>>> find_request(std::string request_key, CallOptions options);
  Task<Result<bool>> exists(Uuid id, CallOptions options);

  struct KeptWhile {
    std::string name, condition;  // see Kind::kept_while
  };
  // Deletes up to `limit` operations of these kinds that ended longer ago than that. Returns how many.
  Task<Result<std::size_t>> prune(std::vector<KeptWhile> kinds, std::chrono::milliseconds retention,
                                  std::size_t limit, CallOptions options);

  Task<Result<Operation>> get(Uuid id, CallOptions options);
  Task<Result<OperationPage>> list(OperationFilter filter, CallOptions options);

  // Requests of operators; true when the row was in a state in which it is possible, which the statement
  // decides.
  Task<Result<bool>> request_cancel(Uuid id, std::string actor, CallOptions options);
  Task<Result<bool>> request_pause(Uuid id, std::string actor, CallOptions options);
  Task<Result<bool>> resume(Uuid id, CallOptions options);
  Task<Result<bool>> retry(Uuid id, CallOptions options);

 private:
  Task<Result<bool>> changed_one(pg::Statement statement, CallOptions options);

  pg::Pool& platform_;
  std::string node_;
  std::chrono::milliseconds lease_;
};

}  // namespace rowhouse::operations
