#include "net/executor.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace rowhouse::net {
namespace {

namespace asio = boost::asio;

// One worker thread's calls that block are rare (start-up, name look-ups), so few threads are enough.
constexpr std::size_t kOffloadThreads = 2;
// Tells the io_context that one thread runs it, which spares it wake-ups. Posting from elsewhere stays safe.
constexpr int kOneThread = 1;

class AsioTimer final : public Timer {
 public:
  AsioTimer(asio::io_context& context, std::chrono::milliseconds delay, std::function<void()> callback)
      : state_(std::make_shared<State>(context, std::move(callback))) {
    state_->timer.expires_after(delay);
    state_->timer.async_wait([state = state_](const boost::system::error_code&) {
      if (!state->armed) return;
      state->armed = false;
      // The callback may destroy the timer, so nothing of it is touched afterwards.
      const auto run = std::exchange(state->callback, nullptr);
      run();
    });
  }
  ~AsioTimer() override {
    state_->armed = false;
    state_->callback = nullptr;
    state_->timer.cancel();
  }

 private:
  // Shared with the handler that Asio holds: it may already be queued when the timer is destroyed.
  struct State {
    State(asio::io_context& context, std::function<void()> work)
        : timer(context), callback(std::move(work)) {}
    asio::steady_timer timer;
    std::function<void()> callback;
    bool armed = true;
  };
  std::shared_ptr<State> state_;
};

class AsioFdWatch final : public FdWatch {
 public:
  AsioFdWatch(asio::io_context& context, int descriptor)
      : state_(std::make_shared<State>(context, descriptor)) {}
  ~AsioFdWatch() override {
    state_->on_readable = nullptr;
    state_->on_writable = nullptr;
    // Gives the descriptor back unclosed and ends the waits; their handlers find no callback.
    if (state_->descriptor.is_open()) state_->descriptor.release();
  }

  void when_readable(std::function<void()> callback) override {
    start(asio::posix::stream_descriptor::wait_read, &State::on_readable, std::move(callback));
  }
  void when_writable(std::function<void()> callback) override {
    start(asio::posix::stream_descriptor::wait_write, &State::on_writable, std::move(callback));
  }

 private:
  // Shared with the handlers that Asio holds: they may already be queued when the watch is destroyed.
  struct State {
    State(asio::io_context& context, int fd) : descriptor(context) {
      boost::system::error_code error;
      descriptor.assign(fd, error);
      // A second watch of one descriptor would report readiness for ever and burn a processor: a bug, so it
      // ends here.
      if (error == boost::system::errc::file_exists) {
        std::fprintf(stderr, "descriptor %d has a watch already\n", fd);
        std::abort();
      }
    }
    asio::posix::stream_descriptor descriptor;
    std::function<void()> on_readable;
    std::function<void()> on_writable;
  };

  void start(asio::posix::stream_descriptor::wait_type kind, std::function<void()> State::*slot,
             std::function<void()> callback) {
    const bool waiting = static_cast<bool>((*state_).*slot);
    (*state_).*slot = std::move(callback);
    if (waiting) return;  // the wait that is under way serves the new callback
    // A failed wait counts as ready: its owner meets the error when it reads or writes.
    state_->descriptor.async_wait(kind, [state = state_, slot](const boost::system::error_code&) {
      const auto run = std::exchange((*state).*slot, nullptr);
      if (run) run();
    });
  }

  std::shared_ptr<State> state_;
};

// A coroutine that nobody awaits: it starts at once, destroys itself at its end and then resumes `next`.
struct Detached {
  struct promise_type {
    std::coroutine_handle<> next = std::noop_coroutine();

    struct FinalAwaiter {
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> handle) const noexcept {
        const auto next = handle.promise().next;
        handle.destroy();
        return next;
      }
      void await_resume() const noexcept {}
    };

    Detached get_return_object() {
      return Detached{std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    FinalAwaiter final_suspend() const noexcept { return {}; }
    void return_value(std::coroutine_handle<> handle) noexcept {
      if (handle) next = handle;
    }
    // An exception that reaches the root of a task is a bug that no caller can handle.
    void unhandled_exception() const noexcept { std::terminate(); }
  };
  std::coroutine_handle<promise_type> handle;
};

// Suspends and hands its coroutine's handle to `keep`.
template <class Keep>
struct SuspendWith {
  Keep keep;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) { keep(handle); }
  void await_resume() const noexcept {}
};
template <class Keep>
SuspendWith(Keep) -> SuspendWith<Keep>;

}  // namespace

struct Executor::Impl {
  asio::io_context context{kOneThread};
  asio::executor_work_guard<asio::io_context::executor_type> keep_running{context.get_executor()};
  std::unique_ptr<asio::thread_pool> pool;  // made by the first offload()
};

Executor::Executor() : impl_(std::make_unique<Impl>()) {}

Executor::~Executor() {
  if (impl_->pool) impl_->pool->join();
}

void Executor::run() {
  impl_->context.run();
  impl_->context.restart();
}

void Executor::stop() { impl_->context.stop(); }

void Executor::post(std::function<void()> work) { asio::post(impl_->context, std::move(work)); }

std::unique_ptr<Timer> Executor::after(std::chrono::milliseconds delay, std::function<void()> callback) {
  return std::make_unique<AsioTimer>(impl_->context, delay, std::move(callback));
}

std::unique_ptr<FdWatch> Executor::watch(int descriptor) {
  return std::make_unique<AsioFdWatch>(impl_->context, descriptor);
}

boost::asio::io_context& Executor::native() { return impl_->context; }

void Executor::run_on_pool(std::function<void()> blocking_work) {
  if (!impl_->pool) impl_->pool = std::make_unique<asio::thread_pool>(kOffloadThreads);
  asio::post(*impl_->pool, std::move(blocking_work));
}

Task<void> sleep_for(Executor& executor, std::chrono::milliseconds delay) {
  std::unique_ptr<Timer> timer;
  SuspendWith suspension{
      [&](std::coroutine_handle<> handle) { timer = executor.after(delay, [handle] { handle.resume(); }); }};
  co_await suspension;
}

Task<void> offload(Executor& executor, std::function<void()> blocking_work) {
  std::exception_ptr failure;
  SuspendWith suspension{[&](std::coroutine_handle<> handle) {
    executor.run_on_pool([&, handle] {
      try {
        blocking_work();
      } catch (...) {
        failure = std::current_exception();
      }
      executor.post([handle] { handle.resume(); });
    });
  }};
  co_await suspension;
  if (failure) std::rethrow_exception(failure);
}

struct TaskGroup::State {
  std::size_t running = 0;
  std::coroutine_handle<> joiner;
};

TaskGroup::TaskGroup() : state_(std::make_unique<State>()) {}

TaskGroup::~TaskGroup() {
  if (state_->running == 0) return;
  std::fprintf(stderr, "TaskGroup destroyed with %zu running tasks: join() it first\n", state_->running);
  std::abort();
}

void TaskGroup::spawn(Task<void> task) {
  ++state_->running;
  const auto run = [](Task<void> root, State* state) -> Detached {
    {
      // The task's frame, with its parameters, is gone before the joiner resumes.
      Task<void> inner = std::move(root);
      co_await inner;
    }
    --state->running;
    co_return state->running == 0 ? std::exchange(state->joiner, {}) : std::coroutine_handle<>{};
  };
  run(std::move(task), state_.get());
}

std::size_t TaskGroup::size() const { return state_->running; }

Task<void> TaskGroup::join() {
  while (state_->running > 0) {
    SuspendWith suspension{[this](std::coroutine_handle<> handle) { state_->joiner = handle; }};
    co_await suspension;
  }
}

void run_until_done(Executor& executor, Task<void> task) {
  struct Progress {
    bool done = false;
    std::exception_ptr exception;
  } progress;
  const auto run = [](Task<void> inner, Executor* loop, Progress* out) -> Detached {
    try {
      co_await inner;
    } catch (...) {
      out->exception = std::current_exception();
    }
    out->done = true;
    loop->stop();
    co_return std::coroutine_handle<>{};
  };
  run(std::move(task), &executor, &progress);
  // At least one turn, which also uses up the stop() of a task that ended at once.
  do {
    executor.run();
  } while (!progress.done);
  if (progress.exception) std::rethrow_exception(progress.exception);
}

}  // namespace rowhouse::net
