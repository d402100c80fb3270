#include "cli/operation_watch.h"

#include <fmt/format.h>

#include <chrono>
#include <thread>
#include <utility>

#include "base/text.h"
#include "cli/event_stream.h"
#include "cli/interrupts.h"
#include "cli/operation_view.h"

namespace rowhouse::cli {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kPollEvery = 500ms;
constexpr auto kSlice = 100ms;          // how long a Ctrl-C may have to wait
constexpr int kPollsBeforeStream = 10;  // then the stream is tried again
constexpr auto kSilence = 45s;          // three heartbeats of the server that did not come
constexpr auto kPatience = 120s;        // with a server that does not answer

// An answer that a later attempt may not get: the server is gone, stops, or is busy.
bool may_pass(const Error& error) {
  if (error.code == ErrorCode::server_unreachable) return true;
  const auto status = parse_int64(error.detail(kProblemStatus));
  return status && (*status >= 500 || *status == 429);
}

class Watch {
 public:
  Watch(const ApiClient& client, const Terminal& terminal, std::string id, OnPause on_pause)
      : client_(client), view_(terminal), id_(std::move(id)), on_pause_(on_pause) {}

  Result<WatchEnd> run() {
    while (!over()) {
      TRY_DO(stream());
      for (int poll = 0; poll < kPollsBeforeStream && !over(); ++poll) {
        TRY_DO(ask());
        if (!over()) pause();
      }
    }
    WatchEnd end;
    end.why = finished_ ? WatchEnd::Why::ended : paused_ ? WatchEnd::Why::paused : WatchEnd::Why::interrupted;
    end.operation = std::move(operation_);
    return end;
  }

 private:
  bool over() const { return finished_ || paused_ || interrupts_.arrived(); }

  void take(json::Value operation) {
    heard_at_ = Clock::now();
    operation_ = std::move(operation);
    finished_ = operation_ended(operation_);
    paused_ = on_pause_ == OnPause::stop && text_of(operation_, "status") == "paused";
    view_.show(operation_, heard_at_);
  }

  // Ends when there is nothing more to see, or the stream is broken; that one is no error.
  Result<void> stream() {
    EventStreamReader reader;
    auto bytes_at = Clock::now();
    net::ClientRequest request;
    request.headers.emplace_back("Accept", "text/event-stream");
    const std::string revision = text_of(operation_, "revision");
    if (!revision.empty()) request.headers.emplace_back("Last-Event-ID", revision);
    request.body_sink = [&](std::string_view piece) {
      bytes_at = heard_at_ = Clock::now();
      return reader.feed(piece, [this](const ServerEvent& event) {
        auto operation = json::parse(event.data);
        if (operation.ok()) take(std::move(*operation));
        return !over();
      });
    };
    request.while_waiting = [&] {
      view_.tick(Clock::now());
      return !over() && Clock::now() - bytes_at < kSilence;
    };
    const auto reply = client_.transfer(std::move(request), operation_path(id_) + "/events");
    if (reply.ok() || reply.error().code == ErrorCode::cancelled || may_pass(reply.error())) return {};
    return reply.error();
  }

  Result<void> ask() {
    net::ClientRequest request;
    request.timeout = std::chrono::duration_cast<std::chrono::milliseconds>(kSilence);
    request.while_waiting = [this] {
      view_.tick(Clock::now());
      return !over();
    };
    auto reply = client_.transfer(std::move(request), operation_path(id_));
    if (reply.ok()) {
      take(std::move(reply->body));
    } else if (reply.error().code != ErrorCode::cancelled) {
      if (!may_pass(reply.error()) || Clock::now() - heard_at_ > kPatience) return reply.error();
      view_.say("The server does not answer; trying again.", Clock::now());
    }
    return {};
  }

  void pause() {
    const auto until = Clock::now() + kPollEvery;
    while (!over() && Clock::now() < until) std::this_thread::sleep_for(kSlice);
    view_.tick(Clock::now());
  }

  const ApiClient& client_;
  OperationView view_;
  std::string id_;
  OnPause on_pause_;
  Interrupts interrupts_;
  json::Value operation_;
  Clock::time_point heard_at_ = Clock::now();
  bool finished_ = false;
  bool paused_ = false;
};

}  // namespace

Result<WatchEnd> watch_operation(const ApiClient& client, const Terminal& terminal, const std::string& id,
                                 OnPause on_pause) {
  return Watch(client, terminal, id, on_pause).run();
}

Result<ApiReply> get_patiently(const ApiClient& client, const Terminal& terminal, const std::string& path) {
  const Interrupts interrupts;
  const auto began = Clock::now();
  bool told = false;
  while (true) {
    auto reply = client.call("GET", path);
    const bool again = !reply.ok() && may_pass(reply.error()) && Clock::now() - began < kPatience;
    if (!again || interrupts.arrived()) return reply;
    if (!std::exchange(told, true))
      terminal.err << "The server does not answer; trying again.\n" << std::flush;
    std::this_thread::sleep_for(kPollEvery);
  }
}

std::string operation_path(const std::string& id) { return path_of("/v1/operations", {id}); }

std::string how_to_watch(const std::string& id) {
  return fmt::format("Operation {} goes on by itself. To watch it: rowhouse operation watch {}", id, id);
}

Error operation_failure(const json::Value& operation) {
  const std::string status = text_of(operation, "status"), id = text_of(operation, "id");
  const json::Value* stored = operation.find("error");
  std::string message = stored == nullptr ? "" : text_of(*stored, "message");
  const std::string step = stored == nullptr ? "" : text_of(*stored, "step");
  const std::string code = stored == nullptr ? "" : text_of(*stored, "code");
  if (!step.empty()) message += fmt::format(" (step: {})", step_title(step));
  Error error(ErrorCode::internal, message);
  if (stored != nullptr) {
    if (const json::Value* fields = stored->find("fields");
        fields != nullptr && fields->as_array() != nullptr) {
      for (const json::Value& field : *fields->as_array()) {
        error.fields.emplace_back(text_of(field, "path"), text_of(field, "message"));
      }
    }
  }
  const auto titled = [&](std::string title) {
    return std::move(error).with_detail(std::string(kProblemTitle), std::move(title));
  };
  if (status == "cancelled") return titled("The operation was cancelled");
  if (status == "undone") {
    return titled("It failed, and nothing is left of it").with_detail(std::string(kProblemCode), code);
  }
  return titled("The operation has stopped")
      .with_detail(std::string(kHint), fmt::format("Mend the cause, then: rowhouse operation retry {}", id));
}

}  // namespace rowhouse::cli
