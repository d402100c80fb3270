#include "operations/nap.h"

#include <coroutine>
#include <memory>
#include <utility>

namespace rowhouse::operations {
namespace {

struct Nap {
  net::Executor& executor;
  std::chrono::milliseconds time;
  CancelSource* cancel;
  std::unique_ptr<net::Timer> timer;
  CancelSource::Registration registration;

  bool await_ready() const { return cancel != nullptr && cancel->cancelled(); }
  void await_suspend(std::coroutine_handle<> handle) {
    timer = executor.after(time, [handle] { handle.resume(); });
    if (cancel == nullptr) return;
    // Not from inside cancel(): its caller goes on first.
    registration = cancel->on_cancel([this, handle] {
      timer.reset();
      executor.post([handle] { handle.resume(); });
    });
  }
  void await_resume() const noexcept {}
};

}  // namespace

Task<void> nap(net::Executor& executor, std::chrono::milliseconds time, CancelSource* cancel) {
  Nap waiting{executor, time, cancel, nullptr, {}};
  co_await waiting;
}

}  // namespace rowhouse::operations
