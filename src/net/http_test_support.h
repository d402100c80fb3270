// For this folder's tests alone: an HttpServer on its own thread, a client that sends raw bytes, and a
// certificate made on the spot. Header only, so that no product code can link it.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/text.h"
#include "net/http_server.h"

namespace rowhouse::net::test {

// A test that waits longer than this for the other side fails.
inline constexpr int kPatienceSeconds = 30;

struct RawResponse {
  int status = 0;
  std::string head;  // status line and headers, in lower case
  std::string body;  // without chunk framing
  bool whole = false;
  bool has(std::string_view header_line) const { return head.find(header_line) != std::string::npos; }
};

// A blocking socket to 127.0.0.1.
class RawClient {
 public:
  explicit RawClient(std::uint16_t port, int receive_buffer_bytes = 0)
      : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval patience{kPatienceSeconds, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (receive_buffer_bytes > 0) {
      ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  ~RawClient() { close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  // How many bytes went before the server cut the connection.
  std::size_t send(std::string_view bytes) {
    std::size_t sent = 0;
    while (sent < bytes.size()) {
      const ssize_t count = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) break;
      sent += static_cast<std::size_t>(count);
    }
    return sent;
  }
  void end_sending() { ::shutdown(socket_, SHUT_WR); }
  void close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }

  // The bytes up to and including `end`; shorter if the connection ends before.
  std::string read_until(std::string_view end) {
    std::size_t found = received_.find(end);
    while (found == std::string::npos && fill()) found = received_.find(end);
    return take(found == std::string::npos ? received_.size() : found + end.size());
  }
  std::string read_bytes(std::size_t count) {
    while (received_.size() < count && fill()) continue;
    return take(std::min(count, received_.size()));
  }
  // Everything until the server closes or resets.
  std::string read_to_end() {
    while (fill()) continue;
    return take(received_.size());
  }

  RawResponse read_response(std::string_view method = "GET") {
    RawResponse response;
    response.head = to_lower_ascii(read_until("\r\n\r\n"));
    if (!response.head.ends_with("\r\n\r\n")) return response;
    response.status = std::atoi(response.head.c_str() + sizeof "http/1.1");
    const std::size_t length = response.head.find("\r\ncontent-length: ");
    if (method == "HEAD" || response.status < 200 || response.status == 204 || response.status == 304) {
      response.whole = true;
    } else if (length != std::string::npos) {
      const auto wanted = static_cast<std::size_t>(std::atoll(response.head.c_str() + length + 18));
      response.body = read_bytes(wanted);
      response.whole = response.body.size() == wanted;
    } else if (response.has("\r\ntransfer-encoding: chunked\r\n")) {
      read_chunks(response);
    } else {
      response.body = read_to_end();
      response.whole = true;
    }
    return response;
  }

 private:
  void read_chunks(RawResponse& response) {
    while (true) {
      const std::string line = read_until("\r\n");
      if (!line.ends_with("\r\n")) return;
      const auto size = static_cast<std::size_t>(std::strtoul(line.c_str(), nullptr, 16));
      const std::string chunk = read_bytes(size + 2);
      if (chunk.size() != size + 2 || !chunk.ends_with("\r\n")) return;
      if (size == 0) break;
      response.body.append(chunk, 0, size);
    }
    response.whole = true;
  }
  std::string take(std::size_t count) {
    std::string taken = received_.substr(0, count);
    received_.erase(0, count);
    return taken;
  }
  bool fill() {
    char buffer[64 << 10];
    const ssize_t count = ::recv(socket_, buffer, sizeof buffer, 0);
    EXPECT_FALSE(count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) << "the server kept silent";
    if (count <= 0) return false;
    received_.append(buffer, static_cast<std::size_t>(count));
    return true;
  }

  int socket_;
  std::string received_;
};

struct AccessCopy {
  std::string method, path, peer, request_id, tenant, route, error_code, user_agent;
  int status = 0;
  std::uint64_t request_bytes = 0, response_bytes = 0;
};

// Plain text problems that name the code.
inline HttpResponse make_problem(const Error& error, std::string_view request_id) {
  HttpResponse response(error_code_status(error.code));
  response.headers.emplace_back("Content-Type", "text/plain");
  response.headers.emplace_back("X-Request-Id", std::string(request_id));
  response.body = std::string(error_code_name(error.code)) + ": " + error.message;
  response.log_error_code = error_code_name(error.code);
  return response;
}

class TestServer {
 public:
  // For handlers that need the server's executor.
  using HandlerMaker = std::function<HttpHandler(Executor&)>;

  explicit TestServer(HttpHandler handler, ServerOptions options = {}) {
    start(std::move(handler), std::move(options));
  }
  explicit TestServer(const HandlerMaker& make_handler, ServerOptions options = {}) {
    start(make_handler(executor_), std::move(options));
  }
  ~TestServer() {
    drain(std::chrono::milliseconds(0));
    executor_.stop();
    thread_.join();
  }

  std::uint16_t port() const { return port_; }
  Executor& executor() { return executor_; }

  // Runs on the server's thread.
  template <class Function>
  auto on_server(Function function) {
    std::promise<decltype(function())> result;
    executor_.post([&] { result.set_value(function()); });
    return result.get_future().get();
  }
  std::size_t connections() {
    return on_server([this] { return server_->connections(); });
  }
  // Ready when the drain has ended.
  std::future<void> start_drain(std::chrono::milliseconds within) {
    auto done = std::make_shared<std::promise<void>>();
    auto future = done->get_future();
    on_server([&] {
      drains_.spawn(run_drain(server_.get(), deadline_in(within), done));
      return true;
    });
    return future;
  }
  void drain(std::chrono::milliseconds within) { start_drain(within).get(); }

  // The access log, once it has at least this many records.
  std::vector<AccessCopy> access(std::size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(logged_.wait_for(lock, std::chrono::seconds(kPatienceSeconds),
                                 [&] { return access_.size() >= count; }));
    return access_;
  }

 private:
  void start(HttpHandler handler, ServerOptions options) {
    options.port = 0;
    auto created = HttpServer::create(executor_, std::move(options), std::move(handler), make_problem,
                                      [this](const AccessRecord& record) { keep(record); });
    EXPECT_TRUE(created.ok()) << (created.ok() ? "" : created.error().message);
    server_ = std::move(created).value();
    port_ = server_->port();
    server_->start();
    thread_ = std::thread([this] { executor_.run(); });
  }
  static Task<void> run_drain(HttpServer* server, Deadline deadline,
                              std::shared_ptr<std::promise<void>> done) {
    co_await server->drain(deadline);
    done->set_value();
  }
  void keep(const AccessRecord& record) {
    AccessCopy copy;
    copy.method = record.method;
    copy.path = record.path;
    copy.peer = record.peer;
    copy.request_id = record.request_id;
    copy.tenant = record.tenant;
    copy.route = record.route;
    copy.error_code = record.error_code;
    copy.user_agent = record.user_agent;
    copy.status = record.status;
    copy.request_bytes = record.request_bytes;
    copy.response_bytes = record.response_bytes;
    const std::lock_guard lock(mutex_);
    access_.push_back(std::move(copy));
    logged_.notify_all();
  }

  Executor executor_;
  TaskGroup drains_;
  std::unique_ptr<HttpServer> server_;
  std::uint16_t port_ = 0;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable logged_;
  std::vector<AccessCopy> access_;
};

// A self-signed certificate for 127.0.0.1 and localhost, in a directory that goes away with this object.
class TestCertificate {
 public:
  TestCertificate() {
    std::string pattern = testing::TempDir() + "/certificate_XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    certificate_file_ = directory_ + "/certificate.pem";
    key_file_ = directory_ + "/key.pem";
    make();
  }
  ~TestCertificate() {
    ::unlink(certificate_file_.c_str());
    ::unlink(key_file_.c_str());
    ::rmdir(directory_.c_str());
  }
  const std::string& certificate_file() const { return certificate_file_; }
  const std::string& key_file() const { return key_file_; }

 private:
  void make() {
    constexpr long kOneDaySeconds = 24L * 60 * 60;
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = X509_new();
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -kOneDaySeconds);
    X509_gmtime_adj(X509_getm_notAfter(certificate), kOneDaySeconds);
    X509_set_pubkey(certificate, key);
    X509_NAME* name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"),
                               -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
    for (const auto& [kind, value] :
         {std::pair{NID_subject_alt_name, "DNS:localhost,DNS:moving.example,IP:127.0.0.1"},
          std::pair{NID_basic_constraints, "critical,CA:TRUE"}}) {
      X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value);
      X509_add_ext(certificate, extension, -1);
      X509_EXTENSION_free(extension);
    }
    EXPECT_GT(X509_sign(certificate, key, EVP_sha256()), 0);
    std::FILE* file = std::fopen(certificate_file_.c_str(), "w");
    EXPECT_EQ(PEM_write_X509(file, certificate), 1);
    std::fclose(file);
    file = std::fopen(key_file_.c_str(), "w");
    EXPECT_EQ(PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr), 1);
    std::fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
  }

  std::string directory_, certificate_file_, key_file_;
};

}  // namespace rowhouse::net::test
