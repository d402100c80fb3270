#include "platform/signals.h"

#include <pthread.h>
#include <signal.h>

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

namespace rowhouse::platform {
namespace {

// Ends the waiting thread; nobody else sends it to us.
constexpr int kEndOfWaiting = SIGUSR2;

sigset_t watched() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, kEndOfWaiting);
  return set;
}

}  // namespace

struct Signals::Impl {
  mutable std::mutex mutex;
  mutable std::condition_variable arrived;
  int count = 0;
  bool ending = false;
  std::function<void(int)> callback;
  std::thread thread;

  void wait() {
    const sigset_t set = watched();
    for (;;) {
      int signal = 0;
      if (sigwait(&set, &signal) != 0) continue;
      const std::lock_guard lock(mutex);
      if (signal == kEndOfWaiting) {
        if (ending) return;
        continue;
      }
      ++count;
      arrived.notify_all();
      if (callback) callback(count);
    }
  }
};

Signals::Signals() : impl_(std::make_unique<Impl>()) {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  const sigset_t set = watched();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  impl_->thread = std::thread([impl = impl_.get()] { impl->wait(); });
}

Signals::~Signals() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->ending = true;
  }
  pthread_kill(impl_->thread.native_handle(), kEndOfWaiting);
  impl_->thread.join();
}

int Signals::count() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->count;
}

void Signals::wait_for(int count) const {
  std::unique_lock lock(impl_->mutex);
  impl_->arrived.wait(lock, [&] { return impl_->count >= count; });
}

void Signals::on_arrival(std::function<void(int count)> callback) {
  const std::lock_guard lock(impl_->mutex);
  impl_->callback = std::move(callback);
  if (impl_->callback && impl_->count > 0) impl_->callback(impl_->count);
}

}  // namespace rowhouse::platform
