// The guard around the effects of one attempt: asks whether the lease still holds, and tells the observer.
// Private to src/operations.
#pragma once

#include <string>
#include <string_view>

#include "base/effects.h"
#include "operations/engine.h"
#include "operations/held.h"
#include "operations/store.h"

namespace rowhouse::operations {

// What the sessions of every attempt of this operation begin with.
std::string session_prefix(const Uuid& operation);

class Fence final : public EffectGuard {
 public:
  // All must outlive this. `observer` may be null.
  Fence(Held& held, Store& store, Observer* observer, std::string step, Point::Direction direction);

  std::string label() const override { return label_; }
  Task<Result<void>> admit() override;
  Task<Result<void>> around(Moment moment, std::string_view effect) override;
  // Around the whole step.
  Task<Result<void>> around_step(Moment moment);

 private:
  Result<void> may_go_on();

  Held& held_;
  Store& store_;
  Observer* observer_;
  std::string step_, label_;
  Point::Direction direction_;
  int effects_ = 0;
};

// Tells the observer of the effects of a submission: there is no lease yet.
class SubmissionGuard final : public EffectGuard {
 public:
  SubmissionGuard(Observer* observer, std::string kind, std::string step)
      : observer_(observer), kind_(std::move(kind)), step_(std::move(step)) {}
  std::string label() const override { return "rowhouse"; }
  Task<Result<void>> admit() override { co_return Result<void>(); }
  Task<Result<void>> around(Moment moment, std::string_view effect) override;

 private:
  Observer* observer_;
  std::string kind_, step_;
  int effects_ = 0;
};

}  // namespace rowhouse::operations
