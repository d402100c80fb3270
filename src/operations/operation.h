// An operation as it is stored and shown.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/uuid.h"

namespace rowhouse::operations {

// pending    waits for a node to begin it
// running    goes forward; between attempts when `run_after` is in the future
// paused     an operator stopped it where it can go on
// undoing    takes back what it did, after a failure or a cancel
// succeeded · undone (failed, nothing is left) · cancelled (on request, nothing is left)
// failed     stopped where it is and needs an operator: see `error`, mend it, then retry
enum class OperationStatus { pending, running, paused, undoing, succeeded, undone, cancelled, failed };
std::string_view operation_status_name(OperationStatus status);
std::optional<OperationStatus> parse_operation_status(std::string_view name);
bool has_ended(OperationStatus status);  // succeeded, undone, cancelled, failed

enum class StepStatus { pending, running, done, failed, undoing, undone };
std::string_view step_status_name(StepStatus status);
std::optional<StepStatus> parse_step_status(std::string_view name);

struct OperationStep {
  std::string name;
  StepStatus status = StepStatus::pending;
  int attempts = 0;
  json::Value error;                    // null: none
  std::string started_at, finished_at;  // RFC 3339, UTC; "" = not yet
};

struct Progress {
  std::int64_t done = 0, total = 0;  // total 0: unknown
  std::string what;                  // "tenant acme-3"
};

struct Operation {
  Uuid id;
  std::string kind;
  std::optional<Uuid> tenant;
  OperationStatus status = OperationStatus::pending;
  std::string requested_by;
  json::Value output;  // of a succeeded one; null
  json::Value error;   // {code, message, step}; null: none. Why it is undone, or of the last attempt
  Progress progress;   // of the running step
  bool cancel_requested = false, pause_requested = false;
  int attempts = 0;           // how often a node took it up
  std::int64_t revision = 0;  // rises with every change that can be seen
  std::string node;           // that works on it now, "" none
  std::string created_at, started_at, finished_at, run_after;
  std::vector<OperationStep> steps;  // in their order; empty in lists
};

// What stopped an operation, as an error that its caller can be given: the code, the words and the fields
// that the failing step answered with. `internal` when nothing is stored.
Error operation_error(const Operation& operation);

// Whether it goes on only by trying again, later, what was refused for another reason than an outage: what
// kinds with OnFailure::keep_trying do until somebody mends the cause.
bool is_held_up(const Operation& operation);

struct OperationFilter {
  std::optional<OperationStatus> status;
  std::string kind;  // "" any
  std::optional<Uuid> tenant;
  std::size_t limit = 50;  // 1 to 500
  std::string cursor;
};

struct OperationPage {
  std::vector<Operation> operations;  // newest first
  std::string next_cursor;            // "" at the end
};

}  // namespace rowhouse::operations
