#include "operations/operation.h"

#include <algorithm>
#include <array>

#include "operations/error_json.h"
#include "operations/kind.h"

namespace rowhouse::operations {
namespace {

constexpr std::array<std::string_view, 8> kStatusNames = {"pending",   "running", "paused",    "undoing",
                                                          "succeeded", "undone",  "cancelled", "failed"};
constexpr std::array<std::string_view, 6> kStepStatusNames = {"pending", "running", "done",
                                                              "failed",  "undoing", "undone"};

}  // namespace

std::string_view operation_status_name(OperationStatus status) {
  return kStatusNames[static_cast<std::size_t>(status)];
}

std::optional<OperationStatus> parse_operation_status(std::string_view name) {
  for (std::size_t i = 0; i < kStatusNames.size(); ++i) {
    if (kStatusNames[i] == name) return static_cast<OperationStatus>(i);
  }
  return std::nullopt;
}

bool has_ended(OperationStatus status) {
  switch (status) {
    case OperationStatus::succeeded:
    case OperationStatus::undone:
    case OperationStatus::cancelled:
    case OperationStatus::failed:
      return true;
    default:
      return false;
  }
}

std::string_view step_status_name(StepStatus status) {
  return kStepStatusNames[static_cast<std::size_t>(status)];
}

std::optional<StepStatus> parse_step_status(std::string_view name) {
  for (std::size_t i = 0; i < kStepStatusNames.size(); ++i) {
    if (kStepStatusNames[i] == name) return static_cast<StepStatus>(i);
  }
  return std::nullopt;
}

Error operation_error(const Operation& operation) { return error_from_json(operation.error); }

bool is_held_up(const Operation& operation) {
  // One that somebody has just made go on (retry) still shows what stopped it; its step does not run yet.
  const bool waits = std::ranges::any_of(operation.steps, [](const OperationStep& step) {
    return step.status == StepStatus::running && !step.error.is_null();
  });
  return waits && operation.status == OperationStatus::running && operation.node.empty() &&
         !is_transient(operation_error(operation));
}

}  // namespace rowhouse::operations
