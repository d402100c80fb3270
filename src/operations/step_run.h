// What a step sees of its operation. Private to src/operations.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/error.h"
#include "operations/fence.h"
#include "operations/held.h"
#include "operations/kind.h"
#include "operations/store.h"

namespace rowhouse::operations {

class StepRun final : public Run {
 public:
  // A record step is stored when its transaction ends, not before.
  enum class Storing { at_once, with_the_step };
  // `failure` may be null. All must outlive this.
  StepRun(Held& held, Store& store, int attempt, const Error* failure, CallOptions options, Storing storing)
      : held_(held),
        store_(store),
        attempt_(attempt),
        failure_(failure),
        options_(options),
        storing_(storing) {}

  const Uuid& id() const override { return held_.stored.lease.operation; }
  const std::optional<Uuid>& tenant() const override { return held_.stored.tenant; }
  const std::string& requested_by() const override { return held_.stored.requested_by; }
  const json::Value& input() const override { return held_.stored.input; }
  json::Value& state() override { return held_.stored.state; }
  json::Value& output() override { return held_.stored.output; }
  int attempt() const override { return attempt_; }
  const Error* failure() const override { return failure_; }
  CallOptions options() override { return options_; }
  Task<Result<void>> save() override;
  Task<Result<void>> progress(std::int64_t done, std::int64_t total, std::string what) override;
  bool pause_requested() const override {
    return held_.stored.pause_requested && held_.stored.status == OperationStatus::running;
  }

 private:
  Result<void> outcome_of(bool held);

  Held& held_;
  Store& store_;
  int attempt_;
  const Error* failure_;
  CallOptions options_;
  Storing storing_;
  std::optional<std::chrono::steady_clock::time_point> last_progress_;
};

// The Run of Submission::first: there is no lease and nothing to store, but state and output.
class SubmissionRun final : public Run {
 public:
  SubmissionRun(const Submission& submission, const Uuid& id, CallOptions options)
      : submission_(submission),
        id_(id),
        options_(options),
        state_(json::Object()),
        output_(json::Object()) {}

  const Uuid& id() const override { return id_; }
  const std::optional<Uuid>& tenant() const override { return submission_.tenant; }
  const std::string& requested_by() const override { return submission_.requested_by; }
  const json::Value& input() const override { return submission_.input; }
  json::Value& state() override { return state_; }
  json::Value& output() override { return output_; }
  int attempt() const override { return 1; }
  const Error* failure() const override { return nullptr; }
  CallOptions options() override { return options_; }
  Task<Result<void>> save() override { co_return Result<void>(); }
  Task<Result<void>> progress(std::int64_t, std::int64_t, std::string) override { co_return Result<void>(); }
  bool pause_requested() const override { return false; }

 private:
  const Submission& submission_;
  const Uuid& id_;
  CallOptions options_;
  json::Value state_, output_;
};

}  // namespace rowhouse::operations
