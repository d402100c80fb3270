#include "pg/canceller.h"

#include <libpq-fe.h>

#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace rowhouse::pg {
namespace {

// More waiting requests than this means that the server does not answer; further ones would not help.
constexpr std::size_t kMaxWaiting = 1'000;

class Canceller {
 public:
  static Canceller& instance() {
    static Canceller canceller;
    return canceller;
  }

  ~Canceller() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

  void add(PGcancel* request) {
    {
      const std::lock_guard lock(mutex_);
      if (requests_.size() >= kMaxWaiting) {
        PQfreeCancel(request);
        return;
      }
      requests_.push_back(request);
    }
    changed_.notify_one();
  }

 private:
  Canceller() : thread_([this] { work(); }) {}

  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return stopping_ || !requests_.empty(); });
      if (stopping_) break;
      PGcancel* request = requests_.front();
      requests_.pop_front();
      lock.unlock();
      std::array<char, 256> message{};
      PQcancel(request, message.data(), static_cast<int>(message.size()));
      PQfreeCancel(request);
      lock.lock();
    }
    for (PGcancel* request : requests_) PQfreeCancel(request);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<PGcancel*> requests_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace

void cancel_in_background(pg_cancel* request) {
  if (request != nullptr) Canceller::instance().add(request);
}

}  // namespace rowhouse::pg
