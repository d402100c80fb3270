#include "operations/fence.h"

#include <utility>

namespace rowhouse::operations {
namespace {

using namespace std::chrono_literals;

constexpr auto kAdmitDeadline = 5s;

Error interrupted() { return Error(ErrorCode::cancelled, "the operation is not to go on here"); }

}  // namespace

std::string Point::name() const {
  std::string text = kind + "/" + step + (direction == Direction::run ? "/run" : "/undo");
  if (scope == Scope::effect) text += "/" + std::to_string(ordinal) + " " + effect;
  return text + (moment == EffectGuard::Moment::before ? "/before" : "/after");
}

std::string session_prefix(const Uuid& operation) { return "rowhouse op " + operation.to_string() + " "; }

Fence::Fence(Held& held, Store& store, Observer* observer, std::string step, Point::Direction direction)
    : held_(held),
      store_(store),
      observer_(observer),
      step_(std::move(step)),
      label_(session_prefix(held.stored.lease.operation) + std::to_string(held.stored.lease.epoch) + "." +
             std::to_string(++held.attempts_made)),
      direction_(direction) {}

Result<void> Fence::may_go_on() {
  if (!held_.lost() && held_.expired()) held_.lose();
  if (held_.lost() || (held_.attempt != nullptr && held_.attempt->cancelled())) return interrupted();
  return {};
}

Task<Result<void>> Fence::admit() {
  CO_TRY_DO(may_go_on());
  const CallOptions options{deadline_in(kAdmitDeadline), held_.attempt.get()};
  CO_TRY(const bool holds, co_await store_.holds(held_.stored.lease, options));
  if (!holds) held_.lose();
  co_return may_go_on();
}

Task<Result<void>> Fence::around(Moment moment, std::string_view effect) {
  if (moment == Moment::before) {
    CO_TRY_DO(may_go_on());
    ++effects_;
  }
  if (observer_ == nullptr) co_return Result<void>();
  Point point;
  point.kind = held_.kind.name;
  point.step = step_;
  point.direction = direction_;
  point.scope = Point::Scope::effect;
  point.ordinal = effects_;
  point.effect = effect;
  point.moment = moment;
  co_return co_await observer_->at(point);
}

Task<Result<void>> Fence::around_step(Moment moment) {
  if (observer_ == nullptr) co_return Result<void>();
  Point point;
  point.kind = held_.kind.name;
  point.step = step_;
  point.direction = direction_;
  point.moment = moment;
  co_return co_await observer_->at(point);
}

Task<Result<void>> SubmissionGuard::around(Moment moment, std::string_view effect) {
  if (moment == Moment::before) ++effects_;
  if (observer_ == nullptr) co_return Result<void>();
  Point point;
  point.kind = kind_;
  point.step = step_;
  point.scope = Point::Scope::effect;
  point.ordinal = effects_;
  point.effect = effect;
  point.moment = moment;
  co_return co_await observer_->at(point);
}

}  // namespace rowhouse::operations
