#include "pg/listener.h"

#include <libpq-fe.h>

#include "pg/connection.h"
#include "pg/quote.h"

namespace rowhouse::pg {
namespace {

using namespace std::chrono_literals;

constexpr auto kConnectTimeout = 5s;
constexpr auto kReconnectAfter = 250ms;

// A connection that listens and hands on what it hears.
class ListeningConnection final : public Connection {
 public:
  ListeningConnection(net::Executor& executor, const ConnectionParameters& parameters, Connected connected,
                      std::function<void(std::string_view)> heard, std::function<void(bool)> listening)
      : Connection(executor, parameters, deadline_in(kConnectTimeout), std::move(connected)),
        heard_(std::move(heard)),
        listening_(std::move(listening)) {}

  void listen(const std::string& channel) {
    const std::string sql = "LISTEN " + quote_name(channel);
    if (PQsendQuery(native(), sql.c_str()) == 0) {
      fail(PQerrorMessage(native()));
      return;
    }
    flush();
  }

 protected:
  void on_input() override {
    while (PQisBusy(native()) == 0) {
      PGresult* result = PQgetResult(native());
      if (result == nullptr) break;
      const bool worked = PQresultStatus(result) == PGRES_COMMAND_OK;
      PQclear(result);
      if (!worked) {
        fail("LISTEN was refused");
        return;
      }
      listening_(true);
    }
    while (PGnotify* notification = PQnotifies(native())) {
      const std::string payload = notification->extra;
      PQfreemem(notification);
      heard_(payload);
    }
  }
  void on_broken(const Error&) override { listening_(false); }

 private:
  std::function<void(std::string_view)> heard_;
  std::function<void(bool)> listening_;
};

}  // namespace

struct Listener::Impl {
  void connect() {
    // Replaced on a turn of its own: the old connection may be the one that calls.
    connection = std::make_unique<ListeningConnection>(
        executor, parameters,
        [this](const Result<void>& outcome) {
          if (outcome.ok()) {
            connection->listen(channel);
          } else {
            connect_later();
          }
        },
        on_notification,
        [this](bool listening) {
          if (listening) {
            on_connected();
          } else {
            connect_later();
          }
        });
  }
  void connect_later() {
    timer = executor.after(kReconnectAfter, [this] { connect(); });
  }

  net::Executor& executor;
  ConnectionParameters parameters;
  std::string channel;
  std::function<void(std::string_view)> on_notification;
  std::function<void()> on_connected;
  std::unique_ptr<ListeningConnection> connection;
  std::unique_ptr<net::Timer> timer;
};

Listener::Listener(net::Executor& executor, ConnectionParameters parameters, std::string channel,
                   std::function<void(std::string_view payload)> on_notification,
                   std::function<void()> on_connected)
    : impl_(new Impl{executor, std::move(parameters), std::move(channel), std::move(on_notification),
                     std::move(on_connected), nullptr, nullptr}) {
  impl_->connect();
}

Listener::~Listener() = default;

}  // namespace rowhouse::pg
