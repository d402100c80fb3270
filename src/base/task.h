// Task<T>: a lazy coroutine. It starts when it is awaited and resumes its awaiter when it ends.
//
// Ownership: the Task owns the coroutine frame; destroying a Task that was never awaited destroys the frame.
// Threads: a Task runs on the thread that awaits it; whatever it waits for must resume it on that same thread
// (net::Executor does). Errors travel in Result<T>; an exception is a bug and is rethrown to the awaiter.
// Kept free of Asio on purpose: this header is in every file, and Asio costs 15 s of compile time.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

namespace rowhouse {

template <class T>
class Task;

namespace task_detail {

enum class Phase { starting, suspended, ended };

struct FinalAwaiter {
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> handle) const noexcept {
    auto& promise = handle.promise();
    if (promise.phase == Phase::starting) {
      promise.phase = Phase::ended;  // start() continues the awaiter
      return std::noop_coroutine();
    }
    return promise.continuation ? promise.continuation : std::noop_coroutine();
  }
  void await_resume() const noexcept {}
};

struct PromiseBase {
  std::coroutine_handle<> continuation;
  std::exception_ptr exception;
  Phase phase = Phase::starting;

  std::suspend_always initial_suspend() const noexcept { return {}; }
  FinalAwaiter final_suspend() const noexcept { return {}; }
  void unhandled_exception() { exception = std::current_exception(); }
};

// Runs a coroutine up to its first suspension; false if it ended, so that the awaiter goes on without
// suspending. A plain symmetric transfer would deepen the stack by each task that never waits wherever the
// compiler makes no tail calls (sanitizers, debug builds): 30,000 turns of a loop over such tasks overflowed
// it.
template <class Promise>
bool start(std::coroutine_handle<Promise> handle, std::coroutine_handle<> awaiting) {
  auto& promise = handle.promise();
  promise.continuation = awaiting;
  handle.resume();
  if (promise.phase == Phase::ended) return false;
  promise.phase = Phase::suspended;
  return true;
}

}  // namespace task_detail

template <class T>
class [[nodiscard]] Task {
 public:
  struct promise_type : task_detail::PromiseBase {
    std::optional<T> value;
    Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
    template <class U>
    void return_value(U&& result) {
      value.emplace(std::forward<U>(result));
    }
  };

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, {});
    }
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> awaiting) { return task_detail::start(handle_, awaiting); }
  T await_resume() {
    auto& promise = handle_.promise();
    if (promise.exception) std::rethrow_exception(promise.exception);
    return std::move(*promise.value);
  }

 private:
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

template <>
class [[nodiscard]] Task<void> {
 public:
  struct promise_type : task_detail::PromiseBase {
    Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
    void return_void() const noexcept {}
  };

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, {});
    }
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> awaiting) { return task_detail::start(handle_, awaiting); }
  void await_resume() {
    if (handle_.promise().exception) std::rethrow_exception(handle_.promise().exception);
  }

 private:
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

}  // namespace rowhouse
