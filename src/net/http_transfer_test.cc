#include "net/http_transfer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>

#include "net/http_test_support.h"
#include "net/transfer_engine.h"

namespace rowhouse::net {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMebibyte = 1024 * 1024;

EgressPolicy allowing(const std::vector<std::string>& entries) {
  auto policy = EgressPolicy::create(entries);
  EXPECT_TRUE(policy.ok());
  return *policy;
}

// Bytes that say where they stand, so that a mix-up shows.
std::string pattern(std::uint64_t first, std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>((first + i) * 31 >> 3);
  return text;
}

// Gives `bytes` of the pattern, and counts how far it was asked.
class PatternSource final : public TransferSource {
 public:
  explicit PatternSource(std::uint64_t bytes, std::size_t piece_bytes = 256 * 1024)
      : bytes_(bytes), piece_bytes_(piece_bytes) {}
  Task<Result<std::optional<std::string>>> next() override {
    if (executor != nullptr) co_await sleep_for(*executor, 1ms);
    if (on_next) on_next();
    if (given == bytes_) {
      if (end.has_value()) co_return *end;
      co_return std::optional<std::string>();
    }
    const std::size_t size = std::min<std::uint64_t>(piece_bytes_, bytes_ - given);
    std::optional<std::string> piece = pattern(given, size);
    given += size;
    co_return piece;
  }
  std::uint64_t given = 0;
  Executor* executor = nullptr;   // when set, each piece takes a turn of the loop
  std::function<void()> on_next;  // when set, called for each piece
  std::optional<Error> end;       // instead of a good end

 private:
  const std::uint64_t bytes_;
  const std::size_t piece_bytes_;
};

class PatternBody final : public BodySource {
 public:
  explicit PatternBody(std::uint64_t bytes, std::atomic<std::uint64_t>* counter)
      : bytes_(bytes), given_(counter) {}
  Task<Result<std::optional<std::string>>> next() override {
    if (*given_ == bytes_) co_return std::optional<std::string>();
    const std::size_t size = std::min<std::uint64_t>(64 * 1024, bytes_ - *given_);
    std::optional<std::string> piece = pattern(*given_, size);
    *given_ += size;
    co_return piece;
  }

 private:
  const std::uint64_t bytes_;
  std::atomic<std::uint64_t>* given_;
};

std::atomic<std::uint64_t> served{0};

Task<HttpResponse> store(HttpRequest& request) {
  HttpResponse response(200);
  if (request.path == "/moved") {
    response.status = 302;
    response.headers.emplace_back("Location", "/small");
  } else if (request.path == "/large") {
    served = 0;
    response.stream = std::make_unique<PatternBody>(64 * kMebibyte, &served);
  } else if (request.path == "/refused") {
    response.status = 403;
    response.body = "no";
  } else if (request.method == Method::put || request.method == Method::post) {
    request.body->set_limit(UINT64_MAX);
    std::uint64_t received = 0;
    bool same = true;
    while (true) {
      const auto piece = co_await request.body->read();
      if (!piece.ok() || !piece->has_value()) break;
      same = same && pattern(received, (*piece)->size()) == **piece;
      received += (*piece)->size();
    }
    response.body = std::to_string(received) + (same ? " same" : " different");
  } else {
    for (const auto& [name, value] : request.headers) response.body += name + "=" + value + "\n";
    response.headers.emplace_back("X-Method", request.method_text);
    response.headers.emplace_back("X-Target", request.target);
  }
  co_return response;
}

// One thread that answers each connection with `serve`, until it is destroyed.
class RawServer {
 public:
  explicit RawServer(std::function<void(int socket, int count)> serve) : serve_(std::move(serve)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    socklen_t length = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    ::listen(listener_, 16);
    thread_ = std::thread([this] {
      for (int count = 0;; ++count) {
        const int socket = ::accept(listener_, nullptr, nullptr);
        if (socket < 0) return;
        serve_(socket, count);
        ::close(socket);
      }
    });
  }
  ~RawServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  std::uint16_t port() const { return port_; }

  static std::string read_head(int socket) {
    std::string head;
    char c = 0;
    while (!head.ends_with("\r\n\r\n") && ::recv(socket, &c, 1, 0) == 1) head += c;
    return head;
  }
  static void write(int socket, std::string_view text) {
    while (!text.empty()) {
      const ssize_t count = ::send(socket, text.data(), text.size(), MSG_NOSIGNAL);
      if (count <= 0) return;
      text.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  static void wait_for_end(int socket) {
    char buffer[4096];
    while (::recv(socket, buffer, sizeof buffer, 0) > 0) continue;
  }

 private:
  std::function<void(int, int)> serve_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

// An engine of its own, on its own loop; plain http to this machine is allowed.
struct Client {
  explicit Client(TransferOptions options = {}, std::vector<std::string> allow = {"127.0.0.1"})
      : policy(allowing(allow)), transfers(executor, policy, std::move(options)) {}

  Result<std::unique_ptr<TransferResponse>> send(TransferRequest request, CancelSource* cancel = nullptr,
                                                 std::chrono::milliseconds within = 20s) {
    return run_until_done(executor,
                          transfers.send(std::move(request), CallOptions{deadline_in(within), cancel}));
  }
  Result<std::string> read_all(TransferResponse& response, std::size_t limit = kMebibyte) {
    return run_until_done(executor, response.read_all(limit, CallOptions{deadline_in(20s)}));
  }
  std::string body_of(TransferRequest request) {
    auto response = send(std::move(request));
    if (!response.ok()) return "error: " + response.error().message;
    auto body = read_all(**response);
    return body.ok() ? *body : "error: " + body.error().message;
  }

  Executor executor;
  EgressPolicy policy;
  HttpTransfers transfers;
};

TransferRequest request_to(std::uint16_t port, const std::string& path, const std::string& method = "GET") {
  return TransferRequest(method, "http://127.0.0.1:" + std::to_string(port) + path);
}

TEST(HttpTransfer, SendsWhatItWasGivenAndNoHeaderOfItsOwn) {
  const test::TestServer server(store);
  Client client;
  TransferRequest request = request_to(server.port(), "/a%20b/../c?x=%2F&y");
  request.headers = {{"X-One", "1"}, {"X-Empty", ""}};
  auto response = client.send(std::move(request));
  ASSERT_TRUE(response.ok()) << response.error().message;
  EXPECT_EQ((*response)->status(), 200);
  EXPECT_EQ((*response)->header("x-METHOD"), "GET");
  EXPECT_EQ((*response)->header("X-Target"), "/a%20b/../c?x=%2F&y");
  EXPECT_EQ((*response)->header("X-None"), "");
  auto body = client.read_all(**response);
  ASSERT_TRUE(body.ok());
  EXPECT_EQ(*body, "Host=127.0.0.1:" + std::to_string(server.port()) + "\nX-One=1\nX-Empty=\n");
}

TEST(HttpTransfer, BodiesAndMethods) {
  const test::TestServer server(store);
  Client client;
  TransferRequest post = request_to(server.port(), "/", "POST");
  post.body = pattern(0, 300'000);
  EXPECT_EQ(client.body_of(std::move(post)), "300000 same");
  EXPECT_EQ(client.body_of(request_to(server.port(), "/", "PUT")), "0 same");
  auto head = client.send(request_to(server.port(), "/x", "HEAD"));
  ASSERT_TRUE(head.ok());
  EXPECT_EQ((*head)->header("X-Method"), "HEAD");
  EXPECT_EQ(*client.read_all(**head), "");
  auto removed = client.send(request_to(server.port(), "/x", "DELETE"));
  ASSERT_TRUE(removed.ok());
  EXPECT_EQ((*removed)->header("X-Method"), "DELETE");
}

TEST(HttpTransfer, AnEmptySourceIsAskedBeforeTheRequestIsComplete) {
  const test::TestServer server(store);
  Client client;
  PatternSource source(0);
  TransferRequest request = request_to(server.port(), "/", "PUT");
  request.source = &source;
  EXPECT_EQ(client.body_of(std::move(request)), "0 same");
  source.end = Error(ErrorCode::checksum_mismatch, "no");
  TransferRequest again = request_to(server.port(), "/", "PUT");
  again.source = &source;
  const auto failed = client.send(std::move(again));
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, ErrorCode::checksum_mismatch);
}

TEST(HttpTransfer, LargeBodiesGoBothWays) {
  const test::TestServer server(store);
  Client client;
  for (const bool with_turns : {false, true}) {
    PatternSource source(64 * kMebibyte + 17);
    if (with_turns) source.executor = &client.executor;
    TransferRequest request = request_to(server.port(), "/", "PUT");
    request.source = &source;
    request.source_bytes = 64 * kMebibyte + 17;
    EXPECT_EQ(client.body_of(std::move(request)), std::to_string(64 * kMebibyte + 17) + " same");
  }
  auto response = client.send(request_to(server.port(), "/large"));
  ASSERT_TRUE(response.ok());
  std::uint64_t received = 0;
  while (true) {
    auto piece = run_until_done(client.executor, (*response)->next(CallOptions{deadline_in(20s)}));
    ASSERT_TRUE(piece.ok()) << piece.error().message;
    if (!piece->has_value()) break;
    ASSERT_LE((*piece)->size(), kMaxTransferBuffer);
    ASSERT_EQ(**piece, pattern(received, (*piece)->size()));
    received += (*piece)->size();
  }
  EXPECT_EQ(received, 64 * kMebibyte);
}

TEST(HttpTransfer, AReaderThatStopsHoldsTheServerBack) {
  const test::TestServer server(store);
  Client client;
  auto response = client.send(request_to(server.port(), "/large"));
  ASSERT_TRUE(response.ok());
  // Nobody reads: what the server could get rid of is what buffers hold, and then it stands still.
  std::uint64_t before = 1;
  for (int still = 0; still < 5;) {
    run_until_done(client.executor, sleep_for(client.executor, 50ms));
    still = served == before ? still + 1 : 0;
    before = served;
  }
  EXPECT_LT(before, 24 * kMebibyte);  // two sockets' buffers and our own
  auto body = client.read_all(**response, 100 * kMebibyte);
  ASSERT_TRUE(body.ok());
  EXPECT_EQ(body->size(), 64 * kMebibyte);
}

TEST(HttpTransfer, MoreThanTheLimitIsAnError) {
  const test::TestServer server(store);
  Client client;
  auto response = client.send(request_to(server.port(), "/large"));
  ASSERT_TRUE(response.ok());
  const auto body = client.read_all(**response, 100'000);
  ASSERT_FALSE(body.ok());
  EXPECT_EQ(body.error().code, ErrorCode::server_unreachable);
  EXPECT_NE(body.error().message.find("too much"), std::string::npos);
}

TEST(HttpTransfer, ARedirectIsAnAnswerLikeAnyOther) {
  const test::TestServer server(store);
  Client client;
  auto response = client.send(request_to(server.port(), "/moved"));
  ASSERT_TRUE(response.ok());
  EXPECT_EQ((*response)->status(), 302);
  EXPECT_EQ((*response)->header("location"), "/small");
}

TEST(HttpTransfer, ConnectionsAreUsedAgain) {
  std::atomic<int> connections{0};
  const RawServer server([&](int socket, int count) {
    connections = count + 1;
    while (!RawServer::read_head(socket).empty()) {
      RawServer::write(socket, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
  });
  Client client;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(client.body_of(request_to(server.port(), "/")), "ok");
  EXPECT_EQ(connections, 1);
}

TEST(HttpTransfer, AKeptConnectionThatDiedIsReplaced) {
  const RawServer server([&](int socket, int) {
    RawServer::read_head(socket);
    std::string body(5, ' ');
    static_cast<void>(::recv(socket, body.data(), body.size(), MSG_WAITALL));
    RawServer::write(socket, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + body);
  });
  Client client;
  for (int i = 0; i < 5; ++i) {
    PatternSource source(5);
    TransferRequest request = request_to(server.port(), "/", "PUT");
    request.source = &source;
    request.source_bytes = 5;
    EXPECT_EQ(client.body_of(std::move(request)), pattern(0, 5));
  }
}

TEST(HttpTransfer, InterimResponsesAreSkipped) {
  const RawServer server([&](int socket, int) {
    RawServer::read_head(socket);
    RawServer::write(socket,
                     "HTTP/1.1 102 Processing\r\nX-A: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\nX-B: 1\r\n\r\n"
                     "HTTP/1.1 201 Created\r\nX-C: 1\r\nContent-Length: 0\r\n\r\n");
  });
  Client client;
  auto response = client.send(request_to(server.port(), "/"));
  ASSERT_TRUE(response.ok()) << response.error().message;
  EXPECT_EQ((*response)->status(), 201);
  EXPECT_EQ((*response)->header("X-A"), "");
  EXPECT_EQ((*response)->header("X-B"), "");
  EXPECT_EQ((*response)->header("X-C"), "1");
}

TEST(HttpTransfer, AnEarlyRefusalStopsTheBody) {
  const RawServer server([&](int socket, int) {
    RawServer::read_head(socket);
    char buffer[1000];
    static_cast<void>(::recv(socket, buffer, sizeof buffer, 0));
    RawServer::write(socket, "HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nnot so");
    RawServer::wait_for_end(socket);
  });
  Client client;
  PatternSource source(1024 * kMebibyte);
  source.executor = &client.executor;
  TransferRequest request = request_to(server.port(), "/", "PUT");
  request.source = &source;
  request.source_bytes = 1024 * kMebibyte;
  auto response = client.send(std::move(request));
  ASSERT_TRUE(response.ok()) << response.error().message;
  EXPECT_EQ((*response)->status(), 403);
  EXPECT_LT(source.given, 512 * kMebibyte);
  EXPECT_EQ(*client.read_all(**response), "not so");
}

TEST(HttpTransfer, ASuccessBeforeTheBodyIsNone) {
  const RawServer server([&](int socket, int) {
    RawServer::read_head(socket);
    RawServer::write(socket, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    RawServer::wait_for_end(socket);
  });
  Client client;
  PatternSource source(1024 * kMebibyte);
  source.executor = &client.executor;
  TransferRequest request = request_to(server.port(), "/", "PUT");
  request.source = &source;
  request.source_bytes = 1024 * kMebibyte;
  const auto response = client.send(std::move(request));
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().code, ErrorCode::server_unreachable);
}

TEST(HttpTransfer, ASourceThatFailsOrMiscountsNeverMakesAWholeRequest) {
  std::atomic<std::uint64_t> received{0};
  const RawServer server([&](int socket, int) {
    RawServer::read_head(socket);
    received = 0;
    char buffer[64 * 1024];
    ssize_t count = 0;
    while ((count = ::recv(socket, buffer, sizeof buffer, 0)) > 0)
      received += static_cast<std::uint64_t>(count);
  });
  struct Case {
    std::uint64_t announced, given;
    std::optional<Error> end;
    ErrorCode code;
  };
  for (const Case& one :
       {Case{kMebibyte, kMebibyte, Error(ErrorCode::checksum_mismatch, "x"), ErrorCode::checksum_mismatch},
        Case{kMebibyte, kMebibyte - 1, std::nullopt, ErrorCode::internal},
        Case{kMebibyte, kMebibyte + 1, std::nullopt, ErrorCode::internal},
        Case{0, 1, std::nullopt, ErrorCode::internal}}) {
    Client client;
    PatternSource source(one.given);
    source.end = one.end;
    TransferRequest request = request_to(server.port(), "/", "PUT");
    request.source = &source;
    request.source_bytes = one.announced;
    const auto response = client.send(std::move(request));
    ASSERT_FALSE(response.ok());
    EXPECT_EQ(response.error().code, one.code);
  }
  EXPECT_LT(received, kMebibyte);
}

TEST(HttpTransfer, BrokenAnswersAreErrorsThatNameThePlaceAndNotThePath) {
  const std::string flood = [] {
    std::string head = "HTTP/1.1 200 OK\r\n";
    for (int i = 0; i < 5'000; ++i)
      head += "X-Flood-" + std::to_string(i) + ": " + std::string(50, 'x') + "\r\n";
    return head + "\r\n";
  }();
  std::string answer;
  const RawServer server([&](int socket, int) {
    RawServer::read_head(socket);
    RawServer::write(socket, answer);
  });
  for (const std::string& text :
       {std::string(), std::string("HTTP/1.1 200 OK\r\nContent-Le"), std::string("no http at all\r\n\r\n"),
        std::string("HTTP/0.9 200 OK\r\n\r\n"),
        std::string("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
        "HTTP/1.1 200 OK\r\nX: " + std::string(200'000, 'x') + "\r\n\r\n", flood}) {
    answer = text;
    Client client;
    const auto response = client.send(request_to(server.port(), "/secret?signature=planted"));
    ASSERT_FALSE(response.ok()) << text.substr(0, 40);
    EXPECT_EQ(response.error().code, ErrorCode::server_unreachable) << text.substr(0, 40);
    EXPECT_NE(response.error().message.find("127.0.0.1:" + std::to_string(server.port())), std::string::npos);
    EXPECT_EQ(response.error().message.find("secret"), std::string::npos) << response.error().message;
    EXPECT_EQ(response.error().message.find("planted"), std::string::npos);
  }
}

TEST(HttpTransfer, ABodyThatIsCutIsAnError) {
  const RawServer server([&](int socket, int) {
    RawServer::read_head(socket);
    RawServer::write(socket, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
  });
  Client client;
  auto response = client.send(request_to(server.port(), "/"));
  ASSERT_TRUE(response.ok());
  const auto body = client.read_all(**response);
  ASSERT_FALSE(body.ok());
  EXPECT_EQ(body.error().code, ErrorCode::server_unreachable);
}

TEST(HttpTransfer, SilenceEndsATransferInEachPhase) {
  std::string answer;
  const RawServer server([&](int socket, int) {
    RawServer::write(socket, answer);
    RawServer::wait_for_end(socket);
  });
  TransferOptions options;
  options.idle_timeout = 200ms;
  for (const char* text : {"", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"}) {
    answer = text;
    Client client(options);
    const std::string body = client.body_of(request_to(server.port(), "/"));
    EXPECT_NE(body.find("silent"), std::string::npos) << body;
  }
}

TEST(HttpTransfer, AServerThatDoesNotReadEndsAnUpload) {
  std::promise<void> done;
  auto wait = done.get_future().share();
  const RawServer server([&](int, int) { wait.wait(); });
  TransferOptions options;
  options.idle_timeout = 300ms;
  Client client(options);
  PatternSource source(1024 * kMebibyte);
  TransferRequest request = request_to(server.port(), "/", "PUT");
  request.source = &source;
  request.source_bytes = 1024 * kMebibyte;
  const auto response = client.send(std::move(request));
  done.set_value();
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().code, ErrorCode::server_unreachable);
  EXPECT_LT(source.given, 64 * kMebibyte);
}

TEST(HttpTransfer, TheDeadlineEndsATransfer) {
  const RawServer server([&](int socket, int) { RawServer::wait_for_end(socket); });
  Client client;
  const auto response = client.send(request_to(server.port(), "/"), nullptr, 100ms);
  ASSERT_FALSE(response.ok());
  EXPECT_EQ(response.error().code, ErrorCode::server_unreachable);
}

// Cancelled after 0, 1, 2 … turns of the source or of the clock: always an end, never a hang or a leak.
TEST(HttpTransfer, MayBeCancelledAtAnyMoment) {
  const test::TestServer server(store);
  Client client;
  for (int turn = 1; turn <= 12; ++turn) {
    CancelSource cancel;
    PatternSource source(2 * kMebibyte);
    source.executor = turn % 2 == 0 ? &client.executor : nullptr;
    int turns = 0;
    source.on_next = [&] {
      if (++turns == turn) cancel.cancel();
    };
    TransferRequest request = request_to(server.port(), "/", "PUT");
    request.source = &source;
    request.source_bytes = 2 * kMebibyte;
    const auto response = client.send(std::move(request), &cancel);
    if (turn > 9) continue;  // the source has only nine turns
    ASSERT_FALSE(response.ok()) << turn;
    EXPECT_EQ(response.error().code, ErrorCode::cancelled);
  }
  for (int delay_us = 0; delay_us < 4'000; delay_us += 200) {
    CancelSource cancel;
    const auto timer =
        client.executor.after(std::chrono::milliseconds(delay_us / 1'000), [&] { cancel.cancel(); });
    const auto download = [](Client* of, std::uint16_t port, CancelSource* by) -> Task<Result<std::string>> {
      TransferRequest request = request_to(port, "/large");
      CallOptions options{deadline_in(20s), by};
      CO_TRY(auto response, co_await of->transfers.send(std::move(request), options));
      co_return co_await response->read_all(100 * kMebibyte, options);
    };
    const auto result = run_until_done(client.executor, download(&client, server.port(), &cancel));
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ErrorCode::cancelled);
  }
  EXPECT_EQ(client.body_of(request_to(server.port(), "/", "PUT")), "0 same");
}

TEST(HttpTransfer, ManyAtOnceWaitForTheirTurn) {
  const test::TestServer server(store);
  TransferOptions options;
  options.max_connections_per_host = 3;
  Client client(options);
  int ended = 0;
  TaskGroup group;
  const auto one = [](Client* of, std::uint16_t port, int* count) -> Task<void> {
    PatternSource source(kMebibyte);
    TransferRequest request = request_to(port, "/", "PUT");
    request.source = &source;
    request.source_bytes = kMebibyte;
    const CallOptions call{deadline_in(30s)};
    auto response = co_await of->transfers.send(std::move(request), call);
    EXPECT_TRUE(response.ok()) << response.error().message;
    if (!response.ok()) co_return;
    auto body = co_await (*response)->read_all(1'000, call);
    EXPECT_TRUE(body.ok());
    if (body.ok() && *body == std::to_string(kMebibyte) + " same") ++*count;
  };
  for (int i = 0; i < 40; ++i) group.spawn(one(&client, server.port(), &ended));
  run_until_done(client.executor, group.join());
  EXPECT_EQ(ended, 40);
}

TEST(HttpTransfer, PlacesThatAreNotAllowedAreRefused) {
  const test::TestServer server(store);
  const std::string port = std::to_string(server.port());
  std::vector<std::string> answers;
  for (const char* host : {"a.example", "b.example", "c.example"}) {
    answers.push_back(std::string(host) + ":443:127.0.0.1,10.0.0.1");
    answers.push_back(std::string(host) + ":" + port + ":127.0.0.1");
  }
  TransferOptions options;
  options.resolve = [answers] { return answers; };
  Client client(options, {"127.0.0.1:1"});
  const std::vector<std::string> urls = {"http://127.0.0.1:" + port + "/",
                                         "https://127.0.0.1:" + port + "/",
                                         "https://127.1:" + port + "/",
                                         "https://2130706433:" + port + "/",
                                         "https://[::1]:" + port + "/",
                                         "https://localhost:" + port + "/",
                                         "https://a.example/",
                                         "https://b.example:" + port + "/",
                                         "http://a.example:" + port + "/",
                                         "https://user@a.example/",
                                         "https://a.example@127.0.0.1:1/",
                                         "https://a.example\\@b.example/",
                                         "https://a.example#/",
                                         "ftp://a.example/",
                                         "file:///etc/passwd",
                                         "HTTPS://a.example/",
                                         "https://",
                                         "https://a.example:/",
                                         "https://a.example:0/",
                                         "https://a.example:70000/",
                                         "https://[::1/",
                                         "https://[a.example]/",
                                         "https://a.example\r\nX: y/",
                                         "a.example",
                                         "https://%6c.example/",
                                         "https://\xc3\xa4.example/",
                                         ""};
  for (const std::string& url : urls) {
    const auto response = client.send(TransferRequest("GET", url));
    ASSERT_FALSE(response.ok()) << url;
    EXPECT_EQ(response.error().code, ErrorCode::address_refused) << url << ": " << response.error().message;
    EXPECT_EQ(response.error().message.find("10.0.0.1"), std::string::npos);
  }
}

// The name leads to an allowed place, and elsewhere a moment later: only the first request arrives, and those
// that find its connection still open.
TEST(HttpTransfer, ANameThatChangesItsMindGainsNothing) {
  const test::TestCertificate certificate;
  ServerOptions server_options;
  server_options.certificate_file = certificate.certificate_file();
  server_options.key_file = certificate.key_file();
  const test::TestServer server(store, server_options);
  const std::string port = std::to_string(server.port());
  std::string leads_to = "127.0.0.1";
  TransferOptions options;
  options.ca_file = certificate.certificate_file();
  options.resolve = [&] { return std::vector<std::string>{"moving.example:" + port + ":" + leads_to}; };
  Client client(options, {"127.0.0.1"});
  const auto ask = [&](const char* connection) {
    TransferRequest request("GET", "https://moving.example:" + port + "/");
    request.headers.emplace_back("Connection", connection);
    return client.send(std::move(request));
  };
  const auto arrives = [&](const char* connection) {
    const auto response = ask(connection);
    EXPECT_TRUE(response.ok()) << response.error().message;
    if (!response.ok()) return false;
    const auto body =
        run_until_done(client.executor, (*response)->read_all(kMebibyte, CallOptions{deadline_in(10s)}));
    return body.ok() && (*response)->status() == 200;
  };
  EXPECT_TRUE(arrives("keep-alive"));
  leads_to = "127.0.0.2";  // the same listening machine, and not allowed
  EXPECT_TRUE(arrives("close"));
  const auto refused = ask("close");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::address_refused) << refused.error().message;
  EXPECT_EQ(refused.error().message.find("127.0.0.2"), std::string::npos);

  // Mixed answers: the forbidden one is not connected to, the allowed one is.
  leads_to = "127.0.0.2,127.0.0.1";
  EXPECT_TRUE(arrives("close"));
}

TEST(HttpTransfer, CertificatesAreChecked) {
  const test::TestCertificate certificate;
  ServerOptions server_options;
  server_options.certificate_file = certificate.certificate_file();
  server_options.key_file = certificate.key_file();
  const test::TestServer server(store, server_options);
  const std::string url = "https://127.0.0.1:" + std::to_string(server.port()) + "/";
  Client stranger;
  const auto refused = stranger.send(TransferRequest("GET", url));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::server_unreachable);
  TransferOptions options;
  options.ca_file = certificate.certificate_file();
  Client client(options);
  TransferRequest put("PUT", url);
  PatternSource source(3 * kMebibyte);
  put.source = &source;
  put.source_bytes = 3 * kMebibyte;
  EXPECT_EQ(client.body_of(std::move(put)), std::to_string(3 * kMebibyte) + " same");
}

TEST(HttpTransfer, HeadersThatAreMoreThanOneLineAreNotSent) {
  const test::TestServer server(store);
  Client client;
  for (const Header& header : {Header{"X-A", "1\r\nX-B: 2"}, Header{"X-A: 1\r\nX-B", "2"}, Header{"", "x"}}) {
    TransferRequest request = request_to(server.port(), "/");
    request.headers.push_back(header);
    const auto response = client.send(std::move(request));
    ASSERT_FALSE(response.ok());
    EXPECT_EQ(response.error().code, ErrorCode::internal);
  }
}

}  // namespace
}  // namespace rowhouse::net
