#include "net/http_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "net/http_connection.h"
#include "net/stream.h"

namespace rowhouse::net {
namespace {

// One timer looks after the deadlines of all connections, this often at most and at least. A deadline is met
// up to one period late.
constexpr std::chrono::milliseconds kMaxSweepPeriod{250};
constexpr std::chrono::milliseconds kMinSweepPeriod{5};
constexpr int kSweepsPerTimeout = 8;
// Connections beyond max_connections that are told so, rather than just closed.
constexpr std::size_t kMaxRefusals = 64;

std::chrono::milliseconds sweep_period(const ServerOptions& options) {
  const auto shortest = std::min({options.header_timeout, options.body_idle_timeout,
                                  options.write_idle_timeout, options.keep_alive_timeout});
  return std::clamp(shortest / kSweepsPerTimeout, kMinSweepPeriod, kMaxSweepPeriod);
}

class Server final : public HttpServer {
 public:
  Server(Executor& executor, std::unique_ptr<Listener> listener, ServerContext context)
      : executor_(executor),
        listener_(std::move(listener)),
        port_(listener_->port()),
        context_(std::move(context)),
        tls_(!context_.options.certificate_file.empty()),
        sweep_period_(sweep_period(context_.options)) {}

  void start() override {
    listener_->start([this](std::unique_ptr<Stream> stream) { on_stream(std::move(stream)); });
  }
  std::uint16_t port() const override { return port_; }
  std::size_t connections() const override { return connections_.size(); }
  Task<void> drain(Deadline deadline) override;

 private:
  void on_stream(std::unique_ptr<Stream> stream);
  Task<void> serve(std::unique_ptr<Connection> connection);
  Task<void> refuse(std::unique_ptr<Connection> connection);
  void add(Connection& connection);
  void remove(Connection& connection);
  void sweep();
  void schedule_sweep();

  Executor& executor_;
  std::unique_ptr<Listener> listener_;
  std::uint16_t port_;
  ServerContext context_;
  bool tls_;
  std::chrono::milliseconds sweep_period_;
  TaskGroup tasks_;
  std::vector<Connection*> connections_;  // all of them, also those being refused
  std::size_t refusals_ = 0;
  std::unique_ptr<Timer> sweep_timer_;
  std::vector<std::coroutine_handle<>> drainers_;
};

void Server::on_stream(std::unique_ptr<Stream> stream) {
  const bool full = connections_.size() - refusals_ >= context_.options.max_connections;
  if (full && (tls_ || refusals_ >= kMaxRefusals)) {
    stream->close();
    return;
  }
  auto connection = std::make_unique<Connection>(context_, std::move(stream));
  tasks_.spawn(full ? refuse(std::move(connection)) : serve(std::move(connection)));
}

Task<void> Server::serve(std::unique_ptr<Connection> connection) {
  add(*connection);
  co_await connection->serve();
  remove(*connection);
}

Task<void> Server::refuse(std::unique_ptr<Connection> connection) {
  ++refusals_;
  add(*connection);
  Error reason(ErrorCode::overloaded, "The server has as many connections as it may have");
  co_await connection->refuse(std::move(reason));
  --refusals_;
  remove(*connection);
}

void Server::add(Connection& connection) {
  connections_.push_back(&connection);
  if (sweep_timer_ == nullptr) schedule_sweep();
}

void Server::remove(Connection& connection) {
  const auto found = std::find(connections_.begin(), connections_.end(), &connection);
  *found = connections_.back();
  connections_.pop_back();
  if (!connections_.empty()) return;
  // Later, when this connection's coroutine is gone too: the drainer may destroy the server.
  for (const auto handle : std::exchange(drainers_, {})) executor_.post([handle] { handle.resume(); });
}

void Server::schedule_sweep() {
  sweep_timer_ = executor_.after(sweep_period_, [this] { sweep(); });
}

void Server::sweep() {
  // First all, then each: expire() may end a connection and so change the list.
  std::vector<Connection*> due;
  const Deadline now = std::chrono::steady_clock::now();
  std::copy_if(connections_.begin(), connections_.end(), std::back_inserter(due),
               [now](const Connection* connection) { return connection->due(now); });
  for (Connection* connection : due) connection->expire();
  if (connections_.empty()) {
    sweep_timer_.reset();
  } else {
    schedule_sweep();
  }
}

Task<void> Server::drain(Deadline deadline) {
  struct AllGone {
    std::vector<std::coroutine_handle<>>& waiting;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) { waiting.push_back(handle); }
    void await_resume() const noexcept {}
  } all_gone{drainers_};
  context_.draining = true;
  listener_->close();
  const std::vector<Connection*> present = connections_;
  for (Connection* connection : present) connection->start_drain();
  context_.closing->cancel();  // last: what it ends goes from the list
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  const auto cut = executor_.after(std::max(left, std::chrono::milliseconds(0)), [this] {
    const std::vector<Connection*> remaining = connections_;
    for (Connection* connection : remaining) connection->abort();
  });
  while (!connections_.empty()) co_await all_gone;
}

std::string make_request_id_prefix() {
  std::random_device device;  // the kernel's
  return fmt::format("{:08x}", device());
}

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::create(Executor& executor, ServerOptions options,
                                                       HttpHandler handler, ProblemMaker problems,
                                                       AccessSink access) {
  TRY(auto listener,
      Listener::open(executor, {options.address, options.port, options.certificate_file, options.key_file}));
  ServerContext context;
  context.options = std::move(options);
  context.handler = std::move(handler);
  context.problems = std::move(problems);
  context.access = std::move(access);
  context.request_id_prefix = make_request_id_prefix();
  return std::unique_ptr<HttpServer>(
      std::make_unique<Server>(executor, std::move(listener), std::move(context)));
}

}  // namespace rowhouse::net
