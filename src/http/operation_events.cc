#include "http/operation_events.h"

#include <algorithm>
#include <coroutine>
#include <optional>
#include <utility>

#include "http/documents.h"

namespace rowhouse::http {
namespace {

using std::chrono::milliseconds;

// The operation is looked at this often while it moves, and less often while it does not.
constexpr milliseconds kShortestPause{40};
constexpr milliseconds kLongestPause{500};
constexpr std::chrono::seconds kHeartbeat{15};  // shorter than what proxies wait for the next byte

// Suspends for a while, less if the client goes or the server stops.
class Pause {
 public:
  Pause(net::Executor& executor, milliseconds delay, const OperationEventsOptions& options)
      : executor_(executor), delay_(delay), options_(options) {}
  bool await_ready() const { return fired(options_.gone) || fired(options_.closing); }
  void await_suspend(std::coroutine_handle<> handle) {
    handle_ = handle;
    timer_ = executor_.after(delay_, [this] { wake(); });
    if (options_.gone != nullptr) gone_ = options_.gone->on_cancel([this] { wake(); });
    if (options_.closing != nullptr) closing_ = options_.closing->on_cancel([this] { wake(); });
  }
  void await_resume() const {}

 private:
  static bool fired(const CancelSource* source) { return source != nullptr && source->cancelled(); }
  void wake() {
    timer_.reset();
    gone_.release();
    closing_.release();
    handle_.resume();  // last: this is gone afterwards
  }

  net::Executor& executor_;
  milliseconds delay_;
  const OperationEventsOptions& options_;
  std::coroutine_handle<> handle_;
  std::unique_ptr<net::Timer> timer_;
  CancelSource::Registration gone_, closing_;
};

class OperationEvents final : public net::BodySource {
 public:
  OperationEvents(net::Executor& executor, operations::Engine& engine, Uuid operation,
                  OperationEventsOptions options, std::unique_ptr<WatcherCount::Seat> seat)
      : executor_(executor),
        engine_(engine),
        id_(operation),
        options_(options),
        seat_(std::move(seat)),
        seen_revision_(options.seen_revision) {}

  Task<Result<std::optional<std::string>>> next() override {
    while (!ended_) {
      const CallOptions asking{deadline_in(options_.query_timeout), options_.gone};
      CO_TRY(const operations::Operation operation, co_await engine_.get(id_, asking));
      if (auto event = event_of(operation)) co_return event;
      const auto now = std::chrono::steady_clock::now();
      if (now >= options_.until || (options_.closing != nullptr && options_.closing->cancelled())) break;
      if (now - spoke_at_ >= kHeartbeat) {
        spoke_at_ = now;
        co_return std::optional<std::string>(": still here\n\n");
      }
      Pause pause(executor_, pause_, options_);
      co_await pause;
      pause_ = std::min(pause_ * 3 / 2, kLongestPause);
      if (options_.gone != nullptr && options_.gone->cancelled()) {
        co_return Error(ErrorCode::cancelled, "the client went away");
      }
    }
    co_return std::optional<std::string>();
  }

 private:
  // nullopt: nothing has changed.
  std::optional<std::string> event_of(const operations::Operation& operation) {
    ended_ = operations::has_ended(operation.status);
    if (operation.revision == seen_revision_ && !ended_) return std::nullopt;
    const std::string fields = "id: " + std::to_string(operation.revision) +
                               "\ndata: " + json::serialize(operation_document(operation)) + "\n\n";
    std::string text;
    if (operation.revision != seen_revision_) text = fields;
    if (ended_) text += "event: end\n" + fields;
    seen_revision_ = operation.revision;
    spoke_at_ = std::chrono::steady_clock::now();
    pause_ = kShortestPause;
    return text;
  }

  net::Executor& executor_;
  operations::Engine& engine_;
  Uuid id_;
  OperationEventsOptions options_;
  std::unique_ptr<WatcherCount::Seat> seat_;
  std::int64_t seen_revision_;
  milliseconds pause_ = kShortestPause;
  std::chrono::steady_clock::time_point spoke_at_ = std::chrono::steady_clock::now();
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<net::BodySource> watch_operation(net::Executor& executor, operations::Engine& engine,
                                                 Uuid operation, OperationEventsOptions options,
                                                 std::unique_ptr<WatcherCount::Seat> seat) {
  return std::make_unique<OperationEvents>(executor, engine, operation, options, std::move(seat));
}

}  // namespace rowhouse::http
