#include "operations/kind.h"

#include <array>
#include <utility>

namespace rowhouse::operations {
namespace {

constexpr std::string_view kPausedDetail = "operation_paused";

// Object in use; serialization failure and deadlock; "tuple concurrently updated", which PostgreSQL says when
// two sessions change the privileges of one object.
constexpr std::array<std::string_view, 4> kTransientStates = {"55006", "40001", "40P01", "XX000"};

}  // namespace

Error paused() {
  return Error(ErrorCode::cancelled, "the operation was paused")
      .with_detail(std::string(kPausedDetail), "yes");
}

bool is_paused(const Error& error) { return !error.detail(kPausedDetail).empty(); }

bool is_transient(const Error& error) {
  switch (error.code) {
    case ErrorCode::database_unavailable:
    case ErrorCode::statement_timeout:
    case ErrorCode::overloaded:
    case ErrorCode::disk_full:
    case ErrorCode::server_unreachable:
    case ErrorCode::shutting_down:
      return true;
    default:
      break;
  }
  const auto state = error.detail(pg::kSqlState);
  for (const std::string_view transient : kTransientStates) {
    if (state == transient) return true;
  }
  return false;
}

Step Step::effect(std::string name, Effect run, Effect undo) {
  Step step;
  step.name = std::move(name);
  step.run_effect = std::move(run);
  step.undo_effect = std::move(undo);
  return step;
}

Step Step::record(std::string name, Record run, Record undo) {
  Step step;
  step.name = std::move(name);
  step.run_record = std::move(run);
  step.undo_record = std::move(undo);
  return step;
}

Step&& Step::when(std::function<bool(const json::Value& input)> wanted) && {
  condition = std::move(wanted);
  return std::move(*this);
}

Step&& Step::within(std::chrono::milliseconds time) && {
  timeout = time;
  return std::move(*this);
}

Step&& Step::retried(Retry policy) && {
  retry = policy;
  return std::move(*this);
}

}  // namespace rowhouse::operations
