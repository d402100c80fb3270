#include "net/blocking_work.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace rowhouse::net {

namespace {

// What one of the threads does; then whoever waits for it is resumed on its own loop.
struct Job {
  std::function<void()> work;
  Executor* executor = nullptr;
  Deadline deadline;
  std::coroutine_handle<> waiting;
  enum class Outcome { refused, done, too_late } outcome = Outcome::refused;
};

// Suspends until one of the threads has finished with the job; not at all if the queue takes no more.
struct JobAwaiter {
  std::function<bool()> submit;
  Job& job;
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> handle) {
    job.waiting = handle;
    return submit();
  }
  void await_resume() const noexcept {}
};

}  // namespace

struct BlockingWork::Impl {
  explicit Impl(BlockingWorkOptions wanted) : options(std::move(wanted)) {
    for (std::size_t i = 0; i < std::max<std::size_t>(options.threads, 1); ++i) {
      threads.emplace_back([this] { serve(); });
    }
  }
  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      ending = true;
    }
    stopping = true;
    changed.notify_all();
    for (std::thread& thread : threads) thread.join();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void serve() {
    // Of this thread alone, as Linux has it. Without it the work only competes harder.
    if (options.niceness != 0)
      setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), options.niceness);
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [this] { return ending || !queue.empty(); });
      if (ending) return;
      Job* job = queue.front();
      queue.pop_front();
      lock.unlock();
      finish(*job);
      lock.lock();
    }
  }

  void finish(Job& job) {
    if (std::chrono::steady_clock::now() >= job.deadline) {
      job.outcome = Job::Outcome::too_late;
    } else {
      job.work();
      done.fetch_add(1, std::memory_order_relaxed);
      job.outcome = Job::Outcome::done;
    }
    // The job is the coroutine's: gone as soon as it goes on.
    const auto handle = job.waiting;
    job.executor->post([handle] { handle.resume(); });
  }

  bool submit(Job& job) {
    {
      const std::lock_guard lock(mutex);
      if (ending || queue.size() >= options.max_queued) return false;
      queue.push_back(&job);
    }
    changed.notify_one();
    return true;
  }

  const BlockingWorkOptions options;
  std::atomic<std::uint64_t> done{0};
  std::atomic<bool> stopping{false};
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Job*> queue;
  bool ending = false;
  std::vector<std::thread> threads;
};

BlockingWork::BlockingWork(BlockingWorkOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
BlockingWork::~BlockingWork() = default;

Task<Result<void>> BlockingWork::run(Executor& executor, std::function<void()> work, CallOptions options) {
  Impl& impl = *impl_;
  Job job;
  job.work = std::move(work);
  job.executor = &executor;
  job.deadline = options.deadline;
  JobAwaiter awaiter{[&impl, &job] { return impl.submit(job); }, job};
  co_await awaiter;
  if (job.outcome == Job::Outcome::done) co_return Result<void>();
  co_return Error(ErrorCode::overloaded, impl.options.overloaded_message);
}

void BlockingWork::stop_soon() { impl_->stopping = true; }
bool BlockingWork::stopping() const { return impl_->stopping; }
std::uint64_t BlockingWork::done() const { return impl_->done.load(std::memory_order_relaxed); }

}  // namespace rowhouse::net
