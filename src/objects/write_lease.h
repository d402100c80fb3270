// Keeps a write alive while its bytes stream, and ends it where that fails: who cannot renew must not go on,
// because others will take back what is reserved.
//
// Belongs to one request, on the executor's thread. stop() before it is destroyed.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "net/executor.h"

namespace rowhouse::objects {

inline constexpr std::chrono::seconds kLeaseTime{120};
inline constexpr std::chrono::seconds kRenewEvery{30};

class WriteLease {
 public:
  // True: renewed. False: gone. An error: tried again until the lease is nearly over.
  using Renew = std::function<Task<Result<bool>>(CallOptions options)>;

  WriteLease(net::Executor& executor, CallOptions options, Renew renew);
  ~WriteLease();
  WriteLease(const WriteLease&) = delete;
  WriteLease& operator=(const WriteLease&) = delete;

  // For the transfer: cancelled when the request is, or when the lease is lost.
  CallOptions options();
  bool lost() const { return lost_; }
  Task<void> stop();

 private:
  void arm();
  Task<void> renew();

  net::Executor& executor_;
  const CallOptions request_;
  const Renew renew_;
  CancelSource cancel_;
  CancelSource::Registration follows_;
  std::unique_ptr<net::Timer> timer_;
  std::unique_ptr<net::TaskGroup> tasks_;  // made with the first renewal: most writes need none
  std::chrono::steady_clock::time_point renewed_ = std::chrono::steady_clock::now();
  bool lost_ = false;
  bool stopped_ = false;
};

}  // namespace rowhouse::objects
