#include "net/stream.h"

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

namespace rowhouse::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::size_t kMaxPieces = 4;
constexpr int kListenBacklog = 4096;
constexpr std::chrono::milliseconds kNoDescriptorsPause{100};

IoStatus status_of(const error_code& error) {
  if (!error) return IoStatus::ok;
  if (error == asio::error::eof || error == asio::ssl::error::stream_truncated) return IoStatus::end;
  if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor)
    return IoStatus::closed;
  return IoStatus::failed;
}

// At most kMaxPieces buffers; unused ones are empty.
std::array<asio::const_buffer, kMaxPieces> to_buffers(std::span<const std::string_view> pieces) {
  std::array<asio::const_buffer, kMaxPieces> buffers{};
  const std::size_t count = std::min(pieces.size(), kMaxPieces);
  for (std::size_t i = 0; i < count; ++i) buffers[i] = asio::buffer(pieces[i].data(), pieces[i].size());
  return buffers;
}

void close_socket(tcp::socket& socket) {
  error_code ignored;
  socket.close(ignored);
}

// Makes the coming close() send a reset instead of an orderly end.
void make_close_abortive(tcp::socket& socket) {
  error_code ignored;
  socket.set_option(asio::socket_base::linger(true, 0), ignored);
}

std::string peer_of(const tcp::socket& socket) {
  error_code error;
  const auto endpoint = socket.remote_endpoint(error);
  if (error) return "-";
  const std::string address = endpoint.address().to_string();
  return endpoint.address().is_v6() ? fmt::format("[{}]:{}", address, endpoint.port())
                                    : fmt::format("{}:{}", address, endpoint.port());
}

class PlainStream final : public Stream {
 public:
  explicit PlainStream(tcp::socket socket) : socket_(std::move(socket)) {}

  bool needs_handshake() const override { return false; }
  void start_handshake() override { tell_later(); }
  void start_read(char* buffer, std::size_t capacity) override {
    socket_.async_read_some(
        asio::buffer(buffer, capacity),
        [this](const error_code& error, std::size_t bytes) { user_->on_read(status_of(error), bytes); });
  }

  // Straight to the kernel: nearly always it takes everything, and the way through the loop is saved.
  std::size_t write_now(std::span<const std::string_view> pieces) override {
    std::array<iovec, kMaxPieces> vectors{};
    msghdr message{};
    message.msg_iov = vectors.data();
    for (const auto piece : pieces.first(std::min(pieces.size(), kMaxPieces))) {
      if (piece.empty()) continue;
      vectors[message.msg_iovlen].iov_base = const_cast<char*>(piece.data());  // sendmsg only reads
      vectors[message.msg_iovlen++].iov_len = piece.size();
    }
    ssize_t sent = -1;
    do {
      sent = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent > 0 ? static_cast<std::size_t>(sent) : 0;
  }

  void start_write(std::span<const std::string_view> pieces) override {
    socket_.async_write_some(to_buffers(pieces), [this](const error_code& error, std::size_t bytes) {
      user_->on_written(status_of(error), bytes);
    });
  }

  void start_shutdown() override {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    tell_later();
  }
  void close() override { close_socket(socket_); }
  void reset() override {
    make_close_abortive(socket_);
    close_socket(socket_);
  }
  std::string peer() const override { return peer_of(socket_); }

 private:
  void tell_later() {
    asio::post(socket_.get_executor(), [this] { user_->on_written(IoStatus::ok, 0); });
  }

  tcp::socket socket_;
};

class TlsStream final : public Stream {
 public:
  TlsStream(tcp::socket socket, asio::ssl::context& context) : stream_(std::move(socket), context) {}

  bool needs_handshake() const override { return true; }
  void start_handshake() override {
    stream_.async_handshake(asio::ssl::stream_base::server,
                            [this](const error_code& error) { user_->on_written(status_of(error), 0); });
  }
  void start_read(char* buffer, std::size_t capacity) override {
    stream_.async_read_some(
        asio::buffer(buffer, capacity),
        [this](const error_code& error, std::size_t bytes) { user_->on_read(status_of(error), bytes); });
  }
  std::size_t write_now(std::span<const std::string_view>) override {
    return 0;
  }  // encryption goes by the loop
  void start_write(std::span<const std::string_view> pieces) override {
    stream_.async_write_some(to_buffers(pieces), [this](const error_code& error, std::size_t bytes) {
      user_->on_written(status_of(error), bytes);
    });
  }
  void start_shutdown() override {
    stream_.async_shutdown([this](const error_code& error) { user_->on_written(status_of(error), 0); });
  }
  void close() override { close_socket(stream_.next_layer()); }
  void reset() override {
    make_close_abortive(stream_.next_layer());
    close_socket(stream_.next_layer());
  }
  std::string peer() const override { return peer_of(stream_.next_layer()); }

 private:
  asio::ssl::stream<tcp::socket> stream_;
};

// RFC 7301: HTTP/1.1 is the only protocol here. A client that offers others only is served HTTP/1.1 without
// ALPN.
int select_http_1_1(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                    unsigned int offered_size, void*) {
  static constexpr unsigned char kProtocols[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* selected = nullptr;
  if (SSL_select_next_proto(&selected, out_size, kProtocols, sizeof kProtocols, offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = selected;
  return SSL_TLSEXT_ERR_OK;
}

Result<std::unique_ptr<asio::ssl::context>> make_tls_context(const ListenOptions& options) {
  auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  SSL_CTX_set_options(context->native_handle(), SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_alpn_select_cb(context->native_handle(), select_http_1_1, nullptr);
  error_code error;
  context->use_certificate_chain_file(options.certificate_file, error);
  if (error) {
    return Error(ErrorCode::config_invalid, fmt::format("The TLS certificate {} cannot be used: {}",
                                                        options.certificate_file, error.message()));
  }
  context->use_private_key_file(options.key_file, asio::ssl::context::pem, error);
  if (error) {
    return Error(ErrorCode::config_invalid,
                 fmt::format("The TLS key {} cannot be used with the certificate {}: {}", options.key_file,
                             options.certificate_file, error.message()));
  }
  return context;
}

// SO_REUSEPORT lets the listeners of this process share a port, but it would also let a second process of the
// same user take half of the connections in silence. So the first listener of an address makes sure that
// nobody else has it, by a bind without that option; this table says who is first.
class OwnPorts {
 public:
  static OwnPorts& instance() {
    static OwnPorts ports;
    return ports;
  }
  // Calls `bind` with whether this process listens there already, and counts the listener if that succeeds.
  template <class Bind>
  error_code claim(const tcp::endpoint& endpoint, Bind bind) {
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(endpoint);
    const error_code error = bind(found != counts_.end());
    if (!error && endpoint.port() != 0) ++counts_[endpoint];
    return error;
  }
  void add(const tcp::endpoint& endpoint) {
    const std::lock_guard lock(mutex_);
    ++counts_[endpoint];
  }
  void release(const tcp::endpoint& endpoint) {
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(endpoint);
    if (found != counts_.end() && --found->second == 0) counts_.erase(found);
  }

 private:
  std::mutex mutex_;
  std::map<tcp::endpoint, int> counts_;
};

error_code probe(asio::io_context& context, const tcp::endpoint& endpoint) {
  error_code error;
  tcp::acceptor acceptor(context);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  return error;
}

error_code listen_on(tcp::acceptor& acceptor, const tcp::endpoint& endpoint) {
  using reuse_port = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;
  error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.set_option(reuse_port(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(kListenBacklog, error);
  return error;
}

class TcpListener final : public Listener {
 public:
  TcpListener(Executor& executor, std::unique_ptr<asio::ssl::context> tls)
      : executor_(executor), state_(std::make_shared<State>(executor.native())), tls_(std::move(tls)) {}
  ~TcpListener() override { TcpListener::close(); }

  error_code listen(const tcp::endpoint& endpoint) {
    auto& ports = OwnPorts::instance();
    error_code error = ports.claim(endpoint, [&](bool ours) {
      error_code failure;
      if (!ours && endpoint.port() != 0) failure = probe(executor_.native(), endpoint);
      return failure ? failure : listen_on(state_->acceptor, endpoint);
    });
    if (error) return error;
    endpoint_ = state_->acceptor.local_endpoint(error);
    if (!error && endpoint.port() == 0) ports.add(endpoint_);
    claimed_ = true;
    return error;
  }

  std::uint16_t port() const override { return endpoint_.port(); }

  void start(std::function<void(std::unique_ptr<Stream>)> on_stream) override {
    on_stream_ = std::move(on_stream);
    accept();
  }

  void close() override {
    pause_.reset();
    state_->owner = nullptr;
    error_code ignored;
    state_->acceptor.close(ignored);
    if (std::exchange(claimed_, false)) OwnPorts::instance().release(endpoint_);
  }

 private:
  // Shared with the handler that Asio holds: it may already be queued when the listener is closed.
  struct State {
    explicit State(asio::io_context& context) : acceptor(context) {}
    tcp::acceptor acceptor;
    TcpListener* owner = nullptr;
  };

  void accept() {
    state_->owner = this;
    state_->acceptor.async_accept([state = state_](const error_code& error, tcp::socket socket) {
      if (state->owner != nullptr) state->owner->on_accept(error, std::move(socket));
    });
  }

  void on_accept(const error_code& error, tcp::socket socket) {
    if (error) {
      // Out of descriptors or memory: trying again at once would only burn time. A client that left meanwhile
      // is no reason to wait.
      const bool exhausted = error == asio::error::no_descriptors || error.value() == ENFILE ||
                             error == asio::error::no_buffer_space || error == asio::error::no_memory;
      if (exhausted) {
        pause_ = executor_.after(kNoDescriptorsPause, [this] { accept(); });
      } else {
        accept();
      }
      return;
    }
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    accept();
    if (tls_) {
      on_stream_(std::make_unique<TlsStream>(std::move(socket), *tls_));
    } else {
      on_stream_(std::make_unique<PlainStream>(std::move(socket)));
    }
  }

  Executor& executor_;
  std::shared_ptr<State> state_;
  std::unique_ptr<asio::ssl::context> tls_;
  tcp::endpoint endpoint_;
  bool claimed_ = false;
  std::function<void(std::unique_ptr<Stream>)> on_stream_;
  std::unique_ptr<Timer> pause_;
};

}  // namespace

Result<std::unique_ptr<Listener>> Listener::open(Executor& executor, const ListenOptions& options) {
  error_code error;
  const auto address = asio::ip::make_address(options.address, error);
  if (error) {
    return Error(ErrorCode::config_invalid,
                 fmt::format("\"{}\" is not an IP address to listen on, such as 127.0.0.1, 0.0.0.0 or ::1",
                             options.address));
  }
  if (options.certificate_file.empty() != options.key_file.empty()) {
    return Error(ErrorCode::config_invalid, "TLS needs both a certificate file and a key file");
  }
  std::unique_ptr<asio::ssl::context> tls;
  if (!options.certificate_file.empty()) {
    TRY(tls, make_tls_context(options));
  }
  auto listener = std::make_unique<TcpListener>(executor, std::move(tls));
  const tcp::endpoint endpoint(address, options.port);
  error = listener->listen(endpoint);
  if (error == asio::error::address_in_use) {
    return Error(ErrorCode::address_in_use,
                 fmt::format("Another process listens on {}:{}. Stop it, or listen on another port",
                             options.address, options.port));
  }
  if (error) {
    return Error(ErrorCode::config_invalid,
                 fmt::format("Cannot listen on {}:{}: {}", options.address, options.port, error.message()));
  }
  return std::unique_ptr<Listener>(std::move(listener));
}

}  // namespace rowhouse::net
