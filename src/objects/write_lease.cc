#include "objects/write_lease.h"

#include <utility>

namespace rowhouse::objects {
namespace {

constexpr std::chrono::milliseconds kRenewTimeout{10'000};
// Without a renewal for so long the transfer is ended; the rest of the lease is for that.
constexpr std::chrono::seconds kGiveUpAfter{90};

}  // namespace

WriteLease::WriteLease(net::Executor& executor, CallOptions options, Renew renew)
    : executor_(executor), request_(options), renew_(std::move(renew)) {
  if (request_.cancel != nullptr) {
    if (request_.cancel->cancelled()) {
      cancel_.cancel();
    } else {
      follows_ = request_.cancel->on_cancel([this] { cancel_.cancel(); });
    }
  }
  arm();
}

WriteLease::~WriteLease() = default;

CallOptions WriteLease::options() {
  CallOptions options = request_;
  options.cancel = &cancel_;
  return options;
}

void WriteLease::arm() {
  timer_ = executor_.after(kRenewEvery, [this] {
    if (!tasks_) tasks_ = std::make_unique<net::TaskGroup>();
    tasks_->spawn(renew());
  });
}

Task<void> WriteLease::renew() {
  const CallOptions options{deadline_in(kRenewTimeout)};
  const auto begun = std::chrono::steady_clock::now();
  const auto renewed = co_await renew_(options);
  if (stopped_) co_return;
  if (renewed.ok() && *renewed) renewed_ = begun;
  const bool gone = renewed.ok() && !*renewed;
  if (gone || std::chrono::steady_clock::now() - renewed_ > kGiveUpAfter) {
    lost_ = true;
    cancel_.cancel();
    co_return;
  }
  arm();
}

Task<void> WriteLease::stop() {
  stopped_ = true;
  timer_.reset();
  follows_.release();
  if (tasks_) co_await tasks_->join();
}

}  // namespace rowhouse::objects
