// What operators and callers ask of operations: look, wait, cancel, pause, resume, retry.
#include <algorithm>
#include <utility>

#include "operations/engine_impl.h"
#include "operations/nap.h"

namespace rowhouse::operations {
namespace {

using namespace std::chrono_literals;

// An operation that runs here tells when it has ended; one elsewhere is looked at.
constexpr std::chrono::milliseconds kFirstLook = 20ms;
constexpr std::chrono::milliseconds kLongestLook = 500ms;

Error ended_already(OperationStatus status) {
  return Error(ErrorCode::conflict,
               "the operation has ended already: " + std::string(operation_status_name(status)));
}

}  // namespace

const Kind* Engine::Impl::find_kind(const std::string& name) const {
  const auto found = kinds.find(name);
  return found == kinds.end() ? nullptr : &found->second;
}

Task<Result<Operation>> Engine::get(Uuid id, CallOptions options) { return impl_->store.get(id, options); }

Task<Result<OperationPage>> Engine::list(OperationFilter filter, CallOptions options) {
  return impl_->store.list(std::move(filter), options);
}

// Sleeps until the operation has changed here, for `time` at most.
Task<void> Engine::Impl::watch(Watcher& watcher, std::chrono::milliseconds time, CancelSource* cancel) {
  CancelSource::Registration registration;
  if (cancel != nullptr) {
    if (cancel->cancelled()) co_return;
    registration = cancel->on_cancel([&watcher] { watcher.changed.cancel(); });
  }
  co_await nap(executor, time, &watcher.changed);
}

Task<Result<Operation>> Engine::wait(Uuid id, CallOptions options) {
  Impl& impl = *impl_;
  std::chrono::milliseconds look = kFirstLook;
  while (true) {
    // Registered before the look, so that no change between the look and the sleep is missed.
    Impl::Watcher watcher(id);
    const Impl::Watching watching(impl.watchers, watcher);
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(options.deadline -
                                                                            std::chrono::steady_clock::now());
    if (impl.held_of(id) != nullptr && look == kFirstLook && left > 0ms) {
      look = kLongestLook;
      const std::chrono::milliseconds time = std::min(look, left);
      co_await impl.watch(watcher, time, options.cancel);
      continue;
    }
    auto operation = co_await impl.store.get(id, options);
    const bool over = !operation.ok() || has_ended(operation->status) ||
                      operation->status == OperationStatus::paused || is_held_up(*operation);
    if (over) co_return operation;
    if (options.cancel != nullptr && options.cancel->cancelled()) {
      co_return Error(ErrorCode::cancelled, "the caller went away");
    }
    if (left <= 0ms) co_return Error(ErrorCode::statement_timeout, "the operation takes longer; it goes on");
    if (impl.state == Impl::State::stopped)
      co_return Error(ErrorCode::shutting_down, "the server is shutting down");
    const std::chrono::milliseconds time = std::min(look, left);
    look = std::min(look * 2, kLongestLook);
    co_await impl.watch(watcher, time, options.cancel);
  }
}

// What is there after a request; conflict when the row was in no state for it.
Task<Result<Operation>> Engine::Impl::changed(Uuid id, bool possible, CallOptions call) {
  CO_TRY(auto operation, co_await store.get(id, call));
  if (possible) co_return operation;
  if (has_ended(operation.status)) co_return ended_already(operation.status);
  co_return Error(ErrorCode::conflict, "the operation is " +
                                           std::string(operation_status_name(operation.status)) +
                                           "; this cannot be done now");
}

Task<Result<Operation>> Engine::cancel(Uuid id, std::string actor, CallOptions options) {
  Impl& impl = *impl_;
  CO_TRY(auto operation, co_await impl.store.get(id, options));
  const bool done = operation.status == OperationStatus::cancelled ||
                    operation.status == OperationStatus::undoing ||
                    (operation.cancel_requested && !has_ended(operation.status));
  if (done) co_return operation;
  if (has_ended(operation.status)) co_return ended_already(operation.status);
  const Kind* kind = impl.find_kind(operation.kind);
  if (kind == nullptr)
    co_return Error(ErrorCode::conflict, "this server does not know operations of this kind");
  if (kind->on_failure == OnFailure::keep_trying) {
    co_return Error(ErrorCode::conflict,
                    "an operation of this kind cannot be cancelled: there is no way back");
  }
  CO_TRY(const bool possible, co_await impl.store.request_cancel(id, actor, options));
  const std::string text = id.to_string();
  impl.log.write(observe::Level::info, "operation_cancel_requested", {{"operation", text}, {"actor", actor}});
  if (possible) {
    Wishes wishes;
    wishes.cancel = true;
    wishes.cancel_by = actor;
    if (Held* held = impl.held_of(id)) {
      held->take_wishes(wishes);
    } else {
      impl.wake(id);
    }
  }
  co_return co_await impl.changed(id, possible, options);
}

Task<Result<Operation>> Engine::pause(Uuid id, std::string actor, CallOptions options) {
  Impl& impl = *impl_;
  CO_TRY(auto operation, co_await impl.store.get(id, options));
  if (operation.status == OperationStatus::paused) co_return operation;
  if (has_ended(operation.status)) co_return ended_already(operation.status);
  if (operation.status == OperationStatus::undoing) {
    co_return Error(ErrorCode::conflict, "the operation is being undone, which cannot be paused");
  }
  CO_TRY(const bool possible, co_await impl.store.request_pause(id, actor, options));
  const std::string text = id.to_string();
  impl.log.write(observe::Level::info, "operation_pause_requested", {{"operation", text}, {"actor", actor}});
  Held* held = impl.held_of(id);
  if (possible && held != nullptr) held->stored.pause_requested = true;
  if (possible) impl.tell(id);
  co_return co_await impl.changed(id, possible, options);
}

Task<Result<Operation>> Engine::resume(Uuid id, std::string actor, CallOptions options) {
  Impl& impl = *impl_;
  CO_TRY(auto operation, co_await impl.store.get(id, options));
  if (has_ended(operation.status)) co_return ended_already(operation.status);
  if (operation.status != OperationStatus::paused && !operation.pause_requested) {
    co_return Error(ErrorCode::conflict, "the operation is not paused");
  }
  CO_TRY(const bool possible, co_await impl.store.resume(id, options));
  const std::string text = id.to_string();
  impl.log.write(observe::Level::info, "operation_resume_requested", {{"operation", text}, {"actor", actor}});
  Held* held = impl.held_of(id);
  if (possible && held != nullptr) held->stored.pause_requested = false;
  if (possible && held == nullptr) impl.wake(id);
  co_return co_await impl.changed(id, possible, options);
}

Task<Result<Operation>> Engine::retry(Uuid id, std::string actor, CallOptions options) {
  Impl& impl = *impl_;
  CO_TRY(auto operation, co_await impl.store.get(id, options));
  const bool waits = operation.node.empty() && (operation.status == OperationStatus::running ||
                                                operation.status == OperationStatus::undoing);
  if (operation.status != OperationStatus::failed && !waits) {
    if (has_ended(operation.status)) co_return ended_already(operation.status);
    co_return Error(ErrorCode::conflict, "the operation has not failed, and does not wait to be tried again");
  }
  CO_TRY(const bool possible, co_await impl.store.retry(id, options));
  const std::string text = id.to_string();
  impl.log.write(observe::Level::info, "operation_retry_requested", {{"operation", text}, {"actor", actor}});
  if (possible) impl.wake(id);
  co_return co_await impl.changed(id, possible, options);
}

}  // namespace rowhouse::operations
