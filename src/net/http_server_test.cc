#include "net/http_server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <fstream>
#include <future>
#include <string>

#include "net/http_client.h"
#include "net/http_test_support.h"

namespace rowhouse::net {
namespace {

using std::chrono::milliseconds;
using test::RawClient;
using test::RawResponse;
using test::TestCertificate;
using test::TestServer;

constexpr std::string_view kGet = "GET /v1/echo?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
// Long enough that no test which is not about it meets it, also under sanitizers on a busy machine.
constexpr milliseconds kNever{600'000};

ServerOptions patient_options() {
  ServerOptions options;
  options.header_timeout = options.body_idle_timeout = options.write_idle_timeout =
      options.keep_alive_timeout = kNever;
  return options;
}

std::string request(std::string_view method, std::string_view headers, std::string_view body = "") {
  return fmt::format("{} /v1/echo HTTP/1.1\r\nHost: localhost\r\n{}\r\n{}", method, headers, body);
}
std::string post(std::string_view body) {
  return request("POST", fmt::format("Content-Length: {}\r\n", body.size()), body);
}

// Answers with what was sent: "GET /path?query|body".
Task<HttpResponse> echo(HttpRequest& request) {
  auto body = co_await read_whole_body(request, 1U << 20);
  if (!body.ok()) co_return test::make_problem(body.error(), request.request_id);
  HttpResponse response(200);
  response.headers.emplace_back("X-Request-Id", request.request_id);
  response.body = fmt::format("{} {}|{}", request.method_text, request.target, body.value());
  response.log_route = "/v1/echo";
  response.log_tenant = "acme";
  co_return response;
}

Task<HttpResponse> ignore_body(HttpRequest&) {
  HttpResponse response(200);
  response.body = "ignored";
  co_return response;
}

// Suspends until the client goes away.
struct UntilCancelled {
  CancelSource& cancel;
  CancelSource::Registration registration;
  explicit UntilCancelled(CancelSource& source) : cancel(source) {}
  bool await_ready() const { return cancel.cancelled(); }
  void await_suspend(std::coroutine_handle<> handle) {
    registration = cancel.on_cancel([handle] { handle.resume(); });
  }
  void await_resume() const {}
};

// --- Plain exchange
// --------------------------------------------------------------------------------------------

TEST(HttpServerTest, AnswersAndKeepsTheConnection) {
  TestServer server(echo, patient_options());
  RawClient client(server.port());
  for (int i = 0; i < 3; ++i) {
    client.send(kGet);
    const auto response = client.read_response();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "GET /v1/echo?x=1|");
    EXPECT_TRUE(response.head.starts_with("http/1.1 200 ok\r\ndate: "));
    EXPECT_FALSE(response.has("connection:"));
  }
}

TEST(HttpServerTest, ConnectionCloseIsHonoured) {
  TestServer server(echo, patient_options());
  RawClient client(server.port());
  client.send(request("GET", "Connection: foo, Close\r\n"));
  const auto response = client.read_response();
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(response.has("\r\nconnection: close\r\n"));
  EXPECT_EQ(client.read_to_end(), "");
}

TEST(HttpServerTest, Http10IsServedOncePerConnection) {
  TestServer server(echo, patient_options());
  RawClient client(server.port());
  client.send("GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const auto response = client.read_response();
  EXPECT_EQ(response.body, "GET /old|");
  EXPECT_TRUE(response.has("\r\nconnection: close\r\n"));
  EXPECT_EQ(client.read_to_end(), "");
}

TEST(HttpServerTest, PipelinedRequestsAreAnsweredInOrder) {
  TestServer server(echo, patient_options());
  RawClient client(server.port());
  client.send(post("one") + post("") + std::string(kGet) + post("four"));
  EXPECT_EQ(client.read_response().body, "POST /v1/echo|one");
  EXPECT_EQ(client.read_response().body, "POST /v1/echo|");
  EXPECT_EQ(client.read_response().body, "GET /v1/echo?x=1|");
  EXPECT_EQ(client.read_response().body, "POST /v1/echo|four");
}

TEST(HttpServerTest, ThousandsOfPipelinedRequestsFitInABoundedBuffer) {
  constexpr int kRequests = 5'000;
  TestServer server(echo, patient_options());
  RawClient client(server.port());
  std::thread sender([&] {
    std::string all;
    for (int i = 0; i < kRequests; ++i) all += post(std::to_string(i));
    EXPECT_EQ(client.send(all), all.size());
  });
  for (int i = 0; i < kRequests; ++i) {
    ASSERT_EQ(client.read_response().body, fmt::format("POST /v1/echo|{}", i));
  }
  sender.join();
}

TEST(HttpServerTest, PipelinedRequestsWaitForASlowHandler) {
  const TestServer::HandlerMaker slow = [](Executor& executor) -> HttpHandler {
    return [&executor](HttpRequest& incoming) -> Task<HttpResponse> {
      if (incoming.target == "/slow") co_await sleep_for(executor, milliseconds(20));
      HttpResponse response(200);
      response.body = incoming.target;
      co_return response;
    };
  };
  TestServer server(slow, patient_options());
  RawClient client(server.port());
  client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /fast HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.read_response().body, "/slow");
  EXPECT_EQ(client.read_response().body, "/fast");
}

TEST(HttpServerTest, RequestsThatArriveByteByByteAreTheSame) {
  TestServer server(echo, patient_options());
  RawClient client(server.port());
  const std::string bytes = request("POST", "Transfer-Encoding: chunked\r\nX-A: b\r\n",
                                    "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-T: 1\r\n\r\n") +
                            post("tail");
  for (const char byte : bytes) client.send({&byte, 1});
  EXPECT_EQ(client.read_response().body, "POST /v1/echo|abcde");
  EXPECT_EQ(client.read_response().body, "POST /v1/echo|tail");
}

TEST(HttpServerTest, HeadHasTheHeadersOfGetAndNoBody) {
  TestServer server(echo, patient_options());
  RawClient client(server.port());
  client.send(request("HEAD", ""));
  const auto response = client.read_response("HEAD");
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(response.has("\r\ncontent-length: 14\r\n"));
  client.send(kGet);
  EXPECT_EQ(client.read_response().body, "GET /v1/echo?x=1|");
}

TEST(HttpServerTest, NoContentHasNeitherBodyNorLength) {
  const HttpHandler handler = [](HttpRequest&) -> Task<HttpResponse> {
    HttpResponse response(204);
    response.body = "a bug";
    co_return response;
  };
  TestServer server(handler, patient_options());
  RawClient client(server.port());
  client.send(kGet);
  client.send(kGet);
  for (int i = 0; i < 2; ++i) {
    const auto response = client.read_response();
    EXPECT_EQ(response.status, 204);
    EXPECT_FALSE(response.has("content-length"));
  }
}

TEST(HttpServerTest, LargeResponsesArriveWhole) {
  std::string large;
  while (large.size() < (8U << 20)) large += "0123456789abcdef";
  const HttpHandler handler = [&large](HttpRequest&) -> Task<HttpResponse> {
    HttpResponse response(200);
    response.body = large;
    co_return response;
  };
  TestServer server(handler, patient_options());
  RawClient client(server.port());
  client.send(std::string(kGet) + std::string(kGet));
  EXPECT_TRUE(client.read_response().body == large);
  EXPECT_TRUE(client.read_response().body == large);
}

TEST(HttpServerTest, HandlersCannotSplitAResponse) {
  const HttpHandler handler = [](HttpRequest&) -> Task<HttpResponse> {
    HttpResponse response(200);
    response.headers.emplace_back("X-Name", "a\r\nSet-Cookie: b");
    response.headers.emplace_back("Content-Length", "999");
    co_return response;
  };
  TestServer server(handler, patient_options());
  RawClient client(server.port());
  client.send(kGet);
  const auto response = client.read_response();
  EXPECT_TRUE(response.has("\r\nx-name: a  set-cookie: b\r\n"));
  EXPECT_TRUE(response.has("\r\ncontent-length: 0\r\n"));
  EXPECT_FALSE(response.has("999"));
}

TEST(HttpServerTest, AnExceptionInAHandlerIs500AndTheConnectionLives) {
  const HttpHandler handler = [](HttpRequest& incoming) -> Task<HttpResponse> {
    if (incoming.path == "/bug") throw std::logic_error("secret");
    co_return HttpResponse(200);
  };
  TestServer server(handler, patient_options());
  RawClient client(server.port());
  client.send("GET /bug HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto response = client.read_response();
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(response.body.find("secret"), std::string::npos);
  client.send(kGet);
  EXPECT_EQ(client.read_response().status, 200);
}

TEST(HttpServerTest, RequestIdIsTheClientsIfItIsPlain) {
  TestServer server(echo, patient_options());
  RawClient client(server.port());
  client.send(request("GET", "X-Request-Id: abc-1\r\n"));
  EXPECT_TRUE(client.read_response().has("\r\nx-request-id: abc-1\r\n"));
  client.send(request("GET", "X-Request-Id: \xc3\xa9\r\n"));
  EXPECT_FALSE(client.read_response().has("\xc3\xa9"));
  client.send(request("GET", "X-Request-Id: " + std::string(129, 'x') + "\r\n"));
  EXPECT_FALSE(client.read_response().has("xxx"));
}

TEST(HttpServerTest, TheAccessLogHasWhatHappened) {
  TestServer server(echo, patient_options());
  RawClient client(server.port());
  client.send(request("POST", "Content-Length: 3\r\nUser-Agent: test/1\r\nX-Request-Id: r1\r\n", "abc"));
  client.read_response();
  client.send("nonsense\r\n\r\n");
  client.read_to_end();
  const auto records = server.access(2);
  EXPECT_EQ(records[0].method, "POST");
  EXPECT_EQ(records[0].path, "/v1/echo");
  EXPECT_EQ(records[0].request_id, "r1");
  EXPECT_EQ(records[0].tenant, "acme");
  EXPECT_EQ(records[0].route, "/v1/echo");
  EXPECT_EQ(records[0].user_agent, "test/1");
  EXPECT_EQ(records[0].status, 200);
  EXPECT_EQ(records[0].request_bytes, 3U);
  EXPECT_EQ(records[0].response_bytes, 17U);
  EXPECT_TRUE(records[0].peer.starts_with("127.0.0.1:"));
  EXPECT_EQ(records[1].status, 400);
  EXPECT_EQ(records[1].error_code, "malformed_request");
}

// --- Bodies
// ----------------------------------------------------------------------------------------------------

TEST(HttpBodyTest, LargeBodiesStreamThroughASmallBuffer) {
  constexpr std::size_t kBytes = 20U << 20;
  const HttpHandler count = [](HttpRequest& incoming) -> Task<HttpResponse> {
    incoming.body->set_limit(64U << 20);
    std::size_t bytes = 0, largest = 0;
    while (true) {
      auto piece = co_await incoming.body->read();
      if (!piece.ok()) co_return test::make_problem(piece.error(), incoming.request_id);
      if (!piece.value()) break;
      bytes += piece.value()->size();
      largest = std::max(largest, piece.value()->size());
      for (const char c : *piece.value()) {
        if (c != 'x') co_return HttpResponse(500);
      }
    }
    HttpResponse response(200);
    response.body = fmt::format("{} {}", bytes, largest <= (64U << 10));
    co_return response;
  };
  TestServer server(count, patient_options());
  RawClient client(server.port());
  const std::string body(kBytes, 'x');
  client.send(post(body));
  EXPECT_EQ(client.read_response().body, fmt::format("{} true", kBytes));
  client.send(request("POST", "Transfer-Encoding: chunked\r\n",
                      fmt::format("{:x}\r\n{}\r\n3\r\nxxx\r\n0\r\n\r\n", body.size(), body)));
  EXPECT_EQ(client.read_response().body, fmt::format("{} true", kBytes + 3));
}

TEST(HttpBodyTest, ContinueIsSentWhenTheHandlerReads) {
  TestServer server(echo, patient_options());
  RawClient client(server.port());
  client.send(request("POST", "Content-Length: 5\r\nExpect: 100-continue\r\n"));
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("hello");
  EXPECT_EQ(client.read_response().body, "POST /v1/echo|hello");
  client.send(kGet);
  EXPECT_EQ(client.read_response().status, 200);
}

TEST(HttpBodyTest, ContinueIsNotSentToAClientThatDoesNotWait) {
  TestServer server(echo, patient_options());
  RawClient client(server.port());
  client.send(request("POST", "Content-Length: 5\r\nExpect: 100-continue\r\n", "hello"));
  EXPECT_EQ(client.read_response().body, "POST /v1/echo|hello");
}

TEST(HttpBodyTest, ARefusalComesInsteadOfContinueAndCloses) {
  TestServer server(ignore_body, patient_options());
  RawClient client(server.port());
  client.send(request("POST", "Content-Length: 5\r\nExpect: 100-continue\r\n"));
  const auto response = client.read_response();
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(response.has("\r\nconnection: close\r\n"));
  EXPECT_EQ(client.read_to_end(), "");
}

TEST(HttpBodyTest, ASmallBodyThatNobodyReadIsSkipped) {
  TestServer server(ignore_body, patient_options());
  RawClient client(server.port());
  client.send(post("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n") + std::string(kGet));
  EXPECT_EQ(client.read_response().body, "ignored");
  EXPECT_EQ(client.read_response().body, "ignored");
  client.send(request("POST", "Transfer-Encoding: chunked\r\nConnection: close\r\n", "1\r\nx\r\n0\r\n\r\n"));
  EXPECT_EQ(client.read_response().body, "ignored");
  EXPECT_EQ(client.read_to_end(), "");
  EXPECT_EQ(server.access(3).size(), 3U);
}

TEST(HttpBodyTest, ALargeBodyThatNobodyReadClosesAfterTheResponse) {
  TestServer server(ignore_body, patient_options());
  RawClient client(server.port());
  client.send(request("POST", "Content-Length: 1073741824\r\n", "begin"));
  const auto response = client.read_response();
  EXPECT_EQ(response.body, "ignored");
  EXPECT_TRUE(response.has("\r\nconnection: close\r\n"));
  EXPECT_EQ(client.read_to_end(), "");
}

TEST(HttpBodyTest, AClientThatIsStillSendingGetsTheResponse) {
  TestServer server(ignore_body, patient_options());
  RawClient client(server.port());
  const std::string body(4U << 20, 'x');  // more than the sockets' buffers: the client reads only afterwards
  client.send(post(body));
  EXPECT_EQ(client.read_response().body, "ignored");
}

TEST(HttpBodyTest, TheLimitHoldsForDeclaredAndForChunkedBodies) {
  TestServer server(echo, patient_options());
  RawClient declared(server.port());
  declared.send(request("POST", fmt::format("Content-Length: {}\r\n", (1U << 20) + 1)));
  EXPECT_EQ(declared.read_response().status, 413);
  EXPECT_EQ(declared.read_to_end(), "");
  RawClient chunked(server.port());
  chunked.send(request("POST", "Transfer-Encoding: chunked\r\n"));
  const std::string chunk = fmt::format("{:x}\r\n{}\r\n", 1U << 19, std::string(1U << 19, 'x'));
  chunked.send(chunk + chunk + "1\r\nx\r\n");
  EXPECT_EQ(chunked.read_response().status, 413);
  EXPECT_EQ(chunked.read_to_end(), "");
  RawClient exact(server.port());
  exact.send(post(std::string(1U << 20, 'x')));
  EXPECT_EQ(exact.read_response().status, 200);
}

TEST(HttpBodyTest, BadChunksAreAnErrorForTheHandlerAndEndTheConnection) {
  for (const std::string_view bad :
       {"zz\r\n", "-1\r\nx\r\n", "1\r\nxx\r\n0\r\n\r\n", "1 \r\nx\r\n", "0x1\r\nx\r\n",
        "fffffffffffffffff\r\n", "\r\n", "1\nx\n0\n\n", "0\r\n bad\r\n\r\n"}) {
    TestServer server(echo, patient_options());
    RawClient client(server.port());
    client.send(request("POST", "Transfer-Encoding: chunked\r\n", bad));
    const auto response = client.read_response();
    EXPECT_EQ(response.status, 400) << bad;
    EXPECT_EQ(client.read_to_end(), "") << bad;
  }
}

// --- Streamed responses
// ----------------------------------------------------------------------------------------

class Pieces final : public BodySource {
 public:
  Pieces(std::vector<std::string> pieces, bool fails) : pieces_(std::move(pieces)), fails_(fails) {}
  Task<Result<std::optional<std::string>>> next() override {
    if (position_ < pieces_.size()) co_return std::optional(pieces_[position_++]);
    if (fails_) co_return Error(ErrorCode::database_unavailable, "the cursor broke");
    co_return std::optional<std::string>();
  }

 private:
  std::vector<std::string> pieces_;
  bool fails_;
  std::size_t position_ = 0;
};

HttpHandler streaming(std::vector<std::string> pieces, bool fails) {
  return [pieces, fails](HttpRequest&) -> Task<HttpResponse> {
    HttpResponse response(200);
    response.stream = std::make_unique<Pieces>(pieces, fails);
    co_return response;
  };
}

TEST(HttpStreamTest, PiecesBecomeChunks) {
  TestServer server(streaming({"one", "", "two", std::string(100'000, 'x')}, false), patient_options());
  RawClient client(server.port());
  for (int i = 0; i < 2; ++i) {
    client.send(kGet);
    const auto response = client.read_response();
    EXPECT_TRUE(response.has("\r\ntransfer-encoding: chunked\r\n"));
    EXPECT_FALSE(response.has("content-length"));
    EXPECT_TRUE(response.whole);
    EXPECT_EQ(response.body, "onetwo" + std::string(100'000, 'x'));
  }
}

TEST(HttpStreamTest, AnEmptyStreamIsAnEmptyBody) {
  TestServer server(streaming({}, false), patient_options());
  RawClient client(server.port());
  client.send(kGet);
  const auto response = client.read_response();
  EXPECT_TRUE(response.whole);
  EXPECT_EQ(response.body, "");
}

TEST(HttpStreamTest, HeadDoesNotTouchTheStream) {
  TestServer server(streaming({"x"}, true), patient_options());
  RawClient client(server.port());
  client.send(request("HEAD", ""));
  const auto response = client.read_response("HEAD");
  EXPECT_EQ(response.status, 200);
  client.send(request("HEAD", ""));
  EXPECT_EQ(client.read_response("HEAD").status, 200);
}

TEST(HttpStreamTest, OldClientsGetTheBytesUpToTheEnd) {
  TestServer server(streaming({"one", "two"}, false), patient_options());
  RawClient client(server.port());
  client.send("GET / HTTP/1.0\r\n\r\n");
  const auto response = client.read_response();
  EXPECT_FALSE(response.has("transfer-encoding"));
  EXPECT_EQ(response.body, "onetwo");
}

TEST(HttpStreamTest, AnErrorAfterTheHeadLeavesTheBodyVisiblyIncomplete) {
  TestServer server(streaming({"one"}, true), patient_options());
  RawClient client(server.port());
  client.send(kGet);
  const auto response = client.read_response();
  EXPECT_EQ(response.status, 200);
  EXPECT_FALSE(response.whole);
  EXPECT_EQ(server.access(1)[0].error_code, "database_unavailable");
}

TEST(HttpStreamTest, AnErrorBeforeTheFirstPieceIsAProblem) {
  TestServer server(streaming({}, true), patient_options());
  RawClient client(server.port());
  client.send(kGet);
  const auto response = client.read_response();
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.body, "database_unavailable: the cursor broke");
  client.send(kGet);
  EXPECT_EQ(client.read_response().status, 503);
}

class KnownLength final : public BodySource {
 public:
  KnownLength(std::vector<std::string> pieces, std::uint64_t length)
      : pieces_(std::move(pieces)), length_(length) {}
  Task<Result<std::optional<std::string>>> next() override {
    if (position_ == pieces_.size()) co_return std::optional<std::string>();
    co_return std::optional(pieces_[position_++]);
  }
  std::optional<std::uint64_t> length() const override { return length_; }

 private:
  std::vector<std::string> pieces_;
  std::uint64_t length_;
  std::size_t position_ = 0;
};

HttpHandler measured(std::vector<std::string> pieces, std::uint64_t length) {
  return [pieces, length](HttpRequest&) -> Task<HttpResponse> {
    HttpResponse response(200);
    response.stream = std::make_unique<KnownLength>(pieces, length);
    co_return response;
  };
}

TEST(HttpStreamTest, AKnownLengthIsSaidAndTheBytesAreSentAsTheyAre) {
  TestServer server(measured({"one", "", std::string(100'000, 'x')}, 100'003), patient_options());
  RawClient client(server.port());
  for (int i = 0; i < 2; ++i) {
    client.send(kGet);
    const auto response = client.read_response();
    EXPECT_TRUE(response.has("\r\ncontent-length: 100003\r\n"));
    EXPECT_FALSE(response.has("transfer-encoding"));
    EXPECT_EQ(response.body, "one" + std::string(100'000, 'x'));
  }
  client.send(request("HEAD", ""));
  EXPECT_TRUE(client.read_response("HEAD").has("\r\ncontent-length: 100003\r\n"));
  client.send(kGet);
  EXPECT_EQ(client.read_response().status, 200) << "a HEAD has no body";
}

// Too much would be read as the beginning of the next answer, too little as if more were to come.
TEST(HttpStreamTest, AWrongLengthEndsTheConnection) {
  {
    TestServer server(measured({"one", "two"}, 4), patient_options());
    RawClient client(server.port());
    client.send(kGet);
    const std::string all = client.read_to_end();
    EXPECT_TRUE(all.ends_with("\r\n\r\none")) << all;
  }
  {
    TestServer server(measured({"one"}, 4), patient_options());
    RawClient client(server.port());
    client.send(kGet);
    const std::string all = client.read_to_end();
    EXPECT_TRUE(all.ends_with("\r\n\r\none")) << all;
  }
}

// --- Ambiguous framing
// -----------------------------------------------------------------------------------------

struct BadHead {
  const char* name;
  std::string bytes;
};
void PrintTo(const BadHead& bad, std::ostream* out) { *out << bad.name; }

class HttpFramingTest : public testing::TestWithParam<BadHead> {};

TEST_P(HttpFramingTest, Is400AndTheConnectionIsClosed) {
  TestServer server(echo, patient_options());
  RawClient client(server.port());
  // What follows must not be taken for a request of its own.
  client.send(GetParam().bytes + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto response = client.read_response();
  EXPECT_EQ(response.status, 400) << response.head;
  EXPECT_TRUE(response.has("\r\nconnection: close\r\n"));
  EXPECT_EQ(client.read_to_end(), "");
  for (const auto& record : server.access(1)) EXPECT_NE(record.path, "/smuggled");
}

// A text that holds NUL bytes.
template <std::size_t N>
std::string literal(const char (&text)[N]) {
  return {text, N - 1};
}

std::vector<BadHead> bad_heads() {
  const auto with = [](std::string_view headers) {
    return fmt::format("POST / HTTP/1.1\r\nHost: a\r\n{}\r\n", headers);
  };
  return {
      {"LengthAndChunked", with("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n")},
      {"ChunkedAndLength", with("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n")},
      {"TwoLengths", with("Content-Length: 3\r\nContent-Length: 4\r\n")},
      {"TwoEqualLengths", with("Content-Length: 3\r\nContent-Length: 3\r\n")},
      {"ListOfLengths", with("Content-Length: 3, 3\r\n")},
      {"NegativeLength", with("Content-Length: -1\r\n")},
      {"SignedLength", with("Content-Length: +1\r\n")},
      {"HexLength", with("Content-Length: 0x10\r\n")},
      {"EmptyLength", with("Content-Length: \r\n")},
      {"LengthWithSpace", with("Content-Length: 1 0\r\n")},
      {"HugeLength", with("Content-Length: 18446744073709551616\r\n")},
      {"LengthOf2To63", with("Content-Length: 9223372036854775808\r\n")},
      {"GzipChunked", with("Transfer-Encoding: gzip, chunked\r\n")},
      {"ChunkedIdentity", with("Transfer-Encoding: chunked, identity\r\n")},
      {"Identity", with("Transfer-Encoding: identity\r\n")},
      {"TwoChunked", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")},
      {"ChunkedTwice", with("Transfer-Encoding: chunked, chunked\r\n")},
      {"QuotedChunked", with("Transfer-Encoding: \"chunked\"\r\n")},
      {"EmptyTransferEncoding", with("Transfer-Encoding:\r\n")},
      {"VerticalTabChunked", with("Transfer-Encoding: \x0b"
                                  "chunked\r\n")},
      {"ChunkedInHttp10", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {"BareLfAfterRequestLine", "GET / HTTP/1.1\nHost: a\r\n\r\n"},
      {"BareLfAfterHeader", "GET / HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n"},
      {"BareLfAtTheEnd", "GET / HTTP/1.1\r\nHost: a\r\n\n"},
      {"BareCr", with("X-A: b\rX-B: c\r\n")},
      {"DoubleCr", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"},
      {"Folded", with("X-A: b\r\n c\r\n")},
      {"FoldedFirst", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
      {"SpaceBeforeColon", with("Content-Length : 3\r\n")},
      {"TabBeforeColon", with("Transfer-Encoding\t: chunked\r\n")},
      {"SpaceInName", with("Content Length: 3\r\n")},
      {"NoName", with(": 3\r\n")},
      {"NoColon", with("Content-Length\r\n")},
      {"NulInValue", with(literal("X-A: b\0c\r\n"))},
      {"NulInName", with(literal("X\0: b\r\n"))},
      {"DeleteInValue", with("X-A: \x7f\r\n")},
      {"NonAsciiName", with("X-\xc3\xa9: b\r\n")},
      {"NoHost", "GET / HTTP/1.1\r\nX-A: b\r\n\r\n"},
      {"TwoHosts", with("Host: b\r\n")},
      {"TwoEqualHosts", with("Host: a\r\n")},
      {"HostWithSlash", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
      {"HostList", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"},
      {"HostUnlikeTarget", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"OtherScheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"Connect", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"TwoSpaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"SpaceInTarget", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"TrailingSpace", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"},
      {"TabAsSpace", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"NoTarget", "GET HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"Http09", "GET /\r\n\r\n"},
      {"Http20", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
      {"Http12", "GET / HTTP/1.2\r\nHost: a\r\n\r\n"},
      {"LowerCaseHttp", "GET / http/1.1\r\nHost: a\r\n\r\n"},
      {"VersionWithZeros", "GET / HTTP/01.1\r\nHost: a\r\n\r\n"},
      {"Fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"NulInTarget", literal("GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n")},
      {"RawUtf8InTarget", "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"BadMethod", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"ManyEmptyLines", "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"TlsHello", literal("\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03")},
  };
}
INSTANTIATE_TEST_SUITE_P(All, HttpFramingTest, testing::ValuesIn(bad_heads()),
                         [](const auto& bad) { return std::string(bad.param.name); });

TEST(HttpFramingEdgeTest, WhatMustBeAccepted) {
  TestServer server(echo, patient_options());
  RawClient client(server.port());
  for (const std::string_view good : {
           "\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n",
           "GET http://a/a HTTP/1.1\r\nHost: A\r\n\r\n",
           "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
           "GET /a HTTP/1.1\r\nHost:\r\n\r\n",
           "GET /a HTTP/1.1\r\nhOST:\t [::1]:8080 \t\r\nX-Empty:\r\nX-Text: \xc3\xa9 \t b\r\n\r\n",
           "POST /a HTTP/1.1\r\nHost: a\r\ntransfer-ENCODING:  CHUNKED "
           "\r\n\r\n00A;a=\"b\"\r\n0123456789\r\n0\r\n\r\n",
           "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 003\r\n\r\nabc",
       }) {
    client.send(good);
    EXPECT_EQ(client.read_response().status, 200) << good;
  }
}

// --- Limits
// ----------------------------------------------------------------------------------------------------

TEST(HttpLimitTest, TargetHeadersAndTheirNumber) {
  auto options = patient_options();
  options.max_target_bytes = 1000;
  options.max_header_bytes = 8000;
  TestServer server(echo, options);
  const auto status_of = [&](const std::string& bytes) {
    RawClient client(server.port());
    client.send(bytes);
    return client.read_response().status;
  };
  const auto with_target = [](std::size_t bytes) {
    return fmt::format("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", std::string(bytes - 1, 'a'));
  };
  EXPECT_EQ(status_of(with_target(1000)), 200);
  EXPECT_EQ(status_of(with_target(1001)), 414);
  EXPECT_EQ(status_of("GET /" + std::string(100'000, 'a')), 414);  // no end of line in sight
  const std::size_t rest = sizeof "Host: localhost\r\nX: \r\n" - 1;
  EXPECT_EQ(status_of(request("GET", "X: " + std::string(8000 - rest, 'a') + "\r\n")), 200);
  EXPECT_EQ(status_of(request("GET", "X: " + std::string(8001 - rest, 'a') + "\r\n")), 431);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nX: " + std::string(100'000, 'a')), 431);
  std::string many;
  for (int i = 0; i < 128; ++i) many += "a:b\r\n";
  EXPECT_EQ(status_of(request("GET", many)), 431);
  EXPECT_EQ(status_of(request("GET", many.substr(5))), 200);
}

TEST(HttpLimitTest, ConnectionsBeyondTheLimitAreTold) {
  auto options = patient_options();
  options.max_connections = 2;
  TestServer server(echo, options);
  RawClient first(server.port()), second(server.port());
  for (RawClient* client : {&first, &second}) {
    client->send(kGet);
    EXPECT_EQ(client->read_response().status, 200);
  }
  RawClient third(server.port());
  const auto refusal = third.read_response();
  EXPECT_EQ(refusal.status, 503);
  EXPECT_TRUE(refusal.has("\r\nconnection: close\r\n"));
  EXPECT_EQ(third.read_to_end(), "");
  third.close();
  first.send(kGet);
  EXPECT_EQ(first.read_response().status, 200);
}

// --- Deadlines
// -------------------------------------------------------------------------------------------------

TEST(HttpDeadlineTest, SlowHeadersAre408) {
  auto options = patient_options();
  options.header_timeout = milliseconds(50);
  TestServer server(echo, options);
  RawClient client(server.port());
  client.send("GET / HTTP/1.1\r\nHo");
  const auto response = client.read_response();
  EXPECT_EQ(response.status, 408);
  EXPECT_EQ(client.read_to_end(), "");
}

TEST(HttpDeadlineTest, SlowHeadersOfASecondRequestAre408) {
  auto options = patient_options();
  options.header_timeout = milliseconds(50);
  TestServer server(echo, options);
  RawClient client(server.port());
  client.send(std::string(kGet) + "GET /");
  EXPECT_EQ(client.read_response().status, 200);
  EXPECT_EQ(client.read_response().status, 408);
  EXPECT_EQ(client.read_to_end(), "");
}

TEST(HttpDeadlineTest, AClientThatNeverSpeaksIsClosedInSilence) {
  auto options = patient_options();
  options.header_timeout = milliseconds(50);
  TestServer server(echo, options);
  RawClient client(server.port());
  EXPECT_EQ(client.read_to_end(), "");
}

TEST(HttpDeadlineTest, AnIdleConnectionIsClosedInSilence) {
  auto options = patient_options();
  options.keep_alive_timeout = milliseconds(50);
  TestServer server(echo, options);
  RawClient client(server.port());
  client.send(kGet);
  EXPECT_EQ(client.read_response().status, 200);
  EXPECT_EQ(client.read_to_end(), "");
}

TEST(HttpDeadlineTest, AStalledBodyIs408) {
  auto options = patient_options();
  options.body_idle_timeout = milliseconds(50);
  TestServer server(echo, options);
  RawClient client(server.port());
  client.send(request("POST", "Content-Length: 10\r\n", "half"));
  const auto response = client.read_response();
  EXPECT_EQ(response.status, 408);
  EXPECT_TRUE(response.has("\r\nconnection: close\r\n"));
  EXPECT_EQ(client.read_to_end(), "");
}

TEST(HttpDeadlineTest, AClientThatDoesNotReadIsCut) {
  auto options = patient_options();
  options.write_idle_timeout = milliseconds(100);
  const HttpHandler handler = [](HttpRequest&) -> Task<HttpResponse> {
    HttpResponse response(200);
    response.body.assign(64U << 20, 'x');
    co_return response;
  };
  TestServer server(handler, options);
  RawClient client(server.port(), 4096);
  client.send(kGet);
  server.access(1);  // the response has ended although nobody read it
  EXPECT_LT(client.read_to_end().size(), std::size_t{64} << 20);
}

TEST(HttpDeadlineTest, AHandlerMayTakeLongerThanAnyTimeout) {
  ServerOptions options;
  options.header_timeout = options.body_idle_timeout = options.keep_alive_timeout =
      options.write_idle_timeout = milliseconds(40);
  const TestServer::HandlerMaker slow = [](Executor& executor) -> HttpHandler {
    return [&executor](HttpRequest&) -> Task<HttpResponse> {
      co_await sleep_for(executor, milliseconds(200));
      co_return HttpResponse(200);
    };
  };
  TestServer server(slow, options);
  RawClient client(server.port());
  client.send(kGet);
  EXPECT_EQ(client.read_response().status, 200);
}

// --- Clients that go away
// --------------------------------------------------------------------------------------

HttpHandler wait_for_cancel(std::promise<void>* started, std::promise<void>* cancelled) {
  return [started, cancelled](HttpRequest& incoming) -> Task<HttpResponse> {
    UntilCancelled gone(*incoming.cancel);
    started->set_value();
    co_await gone;
    cancelled->set_value();
    co_return HttpResponse(499);
  };
}

TEST(HttpCancelTest, AVanishedClientCancelsItsRequest) {
  std::promise<void> started, cancelled;
  TestServer server(wait_for_cancel(&started, &cancelled), patient_options());
  RawClient client(server.port());
  client.send(kGet);
  started.get_future().wait();
  client.close();
  EXPECT_EQ(cancelled.get_future().wait_for(std::chrono::seconds(test::kPatienceSeconds)),
            std::future_status::ready);
  EXPECT_EQ(server.access(1)[0].status, 499);
}

TEST(HttpCancelTest, AVanishedClientIsNoticedBehindAPipelinedRequest) {
  std::promise<void> started, cancelled;
  TestServer server(wait_for_cancel(&started, &cancelled), patient_options());
  RawClient client(server.port());
  client.send(std::string(kGet) + std::string(kGet));
  started.get_future().wait();
  client.close();
  EXPECT_EQ(cancelled.get_future().wait_for(std::chrono::seconds(test::kPatienceSeconds)),
            std::future_status::ready);
  server.drain(milliseconds(0));
  EXPECT_EQ(server.access(1).size(), 1U);  // the second one is not served
}

TEST(HttpCancelTest, AVanishedClientEndsTheReadOfItsBody) {
  std::promise<ErrorCode> seen;
  std::promise<bool> fired;
  const HttpHandler handler = [&](HttpRequest& incoming) -> Task<HttpResponse> {
    auto body = co_await read_whole_body(incoming, 1U << 20);
    seen.set_value(body.ok() ? ErrorCode::internal : body.error().code);
    fired.set_value(incoming.cancel->cancelled());
    co_return HttpResponse(499);
  };
  TestServer server(handler, patient_options());
  RawClient client(server.port());
  client.send(request("POST", "Content-Length: 10\r\n", "half"));
  client.close();
  EXPECT_EQ(seen.get_future().get(), ErrorCode::cancelled);
  EXPECT_TRUE(fired.get_future().get());
}

class Endless final : public BodySource {
 public:
  explicit Endless(std::promise<void>* destroyed) : destroyed_(destroyed) {}
  ~Endless() override { destroyed_->set_value(); }
  Task<Result<std::optional<std::string>>> next() override {
    co_return std::optional(std::string(1U << 16, 'x'));
  }

 private:
  std::promise<void>* destroyed_;
};

TEST(HttpCancelTest, AVanishedClientEndsAnEndlessStream) {
  std::promise<void> destroyed;
  const HttpHandler handler = [&](HttpRequest&) -> Task<HttpResponse> {
    HttpResponse response(200);
    response.stream = std::make_unique<Endless>(&destroyed);
    co_return response;
  };
  TestServer server(handler, patient_options());
  RawClient client(server.port());
  client.send(kGet);
  EXPECT_EQ(client.read_bytes(100'000).size(), 100'000U);
  client.close();
  EXPECT_EQ(destroyed.get_future().wait_for(std::chrono::seconds(test::kPatienceSeconds)),
            std::future_status::ready);
}

// --- Drain
// -----------------------------------------------------------------------------------------------------

TEST(HttpDrainTest, IdleConnectionsCloseAndRunningOnesEnd) {
  std::promise<void> started, release;
  const TestServer::HandlerMaker slow = [&](Executor& executor) -> HttpHandler {
    return [&](HttpRequest& incoming) -> Task<HttpResponse> {
      if (incoming.path == "/slow") {
        started.set_value();
        std::function<void()> wait = [&release] { release.get_future().wait(); };
        co_await offload(executor, std::move(wait));
      }
      HttpResponse response(200);
      response.body = "done";
      co_return response;
    };
  };
  TestServer server(slow, patient_options());
  RawClient idle(server.port()), fresh(server.port()), busy(server.port());
  idle.send(kGet);
  EXPECT_EQ(idle.read_response().status, 200);
  busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  started.get_future().wait();
  auto drained = server.start_drain(kNever);
  auto again = server.start_drain(kNever);
  EXPECT_EQ(idle.read_to_end(), "");
  EXPECT_EQ(fresh.read_to_end(), "");
  EXPECT_EQ(drained.wait_for(milliseconds(0)), std::future_status::timeout);
  release.set_value();
  const auto response = busy.read_response();
  EXPECT_EQ(response.body, "done");
  EXPECT_TRUE(response.has("\r\nconnection: close\r\n"));
  EXPECT_EQ(busy.read_to_end(), "");
  drained.get();
  again.get();
  EXPECT_EQ(server.connections(), 0U);
}

// One piece at once, and the end when the server closes.
class UntilClosing final : public BodySource {
 public:
  explicit UntilClosing(CancelSource& closing) : closing_(closing) {}
  Task<Result<std::optional<std::string>>> next() override {
    if (std::exchange(begun_, true)) {
      UntilCancelled wait(closing_);
      co_await wait;
      co_return std::optional<std::string>();
    }
    co_return std::optional<std::string>("first");
  }

 private:
  CancelSource& closing_;
  bool begun_ = false;
};

TEST(HttpDrainTest, AStreamWithoutAnEndIsAskedToEnd) {
  const HttpHandler handler = [](HttpRequest& incoming) -> Task<HttpResponse> {
    HttpResponse response(200);
    response.stream = std::make_unique<UntilClosing>(*incoming.closing);
    co_return response;
  };
  TestServer server(handler, patient_options());
  RawClient one(server.port()), two(server.port());
  for (RawClient* client : {&one, &two}) {
    client->send(kGet);
    EXPECT_TRUE(client->read_until("5\r\nfirst\r\n").ends_with("5\r\nfirst\r\n"));
  }
  server.drain(kNever);
  for (RawClient* client : {&one, &two}) EXPECT_EQ(client->read_to_end(), "0\r\n\r\n");
}

TEST(HttpDrainTest, TheDeadlineCancelsAndCutsWhatIsLeft) {
  std::promise<void> started, cancelled;
  TestServer server(wait_for_cancel(&started, &cancelled), patient_options());
  RawClient running(server.port()), sending(server.port());
  running.send(kGet);
  started.get_future().wait();
  sending.send("GET / HTTP/1.1\r\nHo");
  server.drain(milliseconds(20));
  cancelled.get_future().wait();
  EXPECT_EQ(running.read_to_end(), "");
  EXPECT_EQ(server.connections(), 0U);
}

TEST(HttpDrainTest, NothingIsAcceptedAfterwards) {
  TestServer server(echo, patient_options());
  server.drain(milliseconds(0));
  server.drain(milliseconds(0));
  const int probe = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(server.port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_NE(::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ::close(probe);
}

// --- Listening
// -------------------------------------------------------------------------------------------------

ErrorCode create_error(ServerOptions options, std::string* message = nullptr) {
  Executor executor;
  auto created = HttpServer::create(executor, std::move(options), echo, test::make_problem, nullptr);
  EXPECT_FALSE(created.ok());
  if (created.ok()) return ErrorCode::internal;
  if (message != nullptr) *message = created.error().message;
  return created.error().code;
}

TEST(HttpListenTest, APortInUseIsAClearError) {
  // As another process would hold it, with every option that could let us in.
  const int other = ::socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  ::setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  ::setsockopt(other, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(other, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(other, 1), 0);
  socklen_t size = sizeof address;
  ASSERT_EQ(::getsockname(other, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ServerOptions options;
  options.port = ntohs(address.sin_port);
  std::string message;
  EXPECT_EQ(create_error(options, &message), ErrorCode::address_in_use);
  EXPECT_NE(message.find(fmt::format("127.0.0.1:{}", options.port)), std::string::npos);
  ::close(other);
}

TEST(HttpListenTest, ServersOfOneProcessShareAPort) {
  TestServer server(echo, patient_options());
  Executor executor;
  ServerOptions options;
  options.port = server.port();
  auto second = HttpServer::create(executor, options, echo, test::make_problem, nullptr);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second.value()->port(), server.port());
}

TEST(HttpListenTest, BadConfigurationIsNamed) {
  ServerOptions bad_address;
  bad_address.address = "localhost:80";
  EXPECT_EQ(create_error(bad_address), ErrorCode::config_invalid);
  ServerOptions foreign_address;
  foreign_address.address = "192.0.2.1";
  EXPECT_EQ(create_error(foreign_address), ErrorCode::config_invalid);
  ServerOptions half_tls;
  half_tls.certificate_file = "/none.pem";
  EXPECT_EQ(create_error(half_tls), ErrorCode::config_invalid);
  ServerOptions no_file;
  no_file.certificate_file = no_file.key_file = "/none.pem";
  std::string message;
  EXPECT_EQ(create_error(no_file, &message), ErrorCode::config_invalid);
  EXPECT_NE(message.find("/none.pem"), std::string::npos);
  const TestCertificate one, two;
  ServerOptions mismatch;
  mismatch.certificate_file = one.certificate_file();
  mismatch.key_file = two.key_file();
  EXPECT_EQ(create_error(mismatch), ErrorCode::config_invalid);
}

// --- TLS
// -------------------------------------------------------------------------------------------------------

struct HttpTlsTest : testing::Test {
  ServerOptions options() const {
    auto options = patient_options();
    options.certificate_file = certificate.certificate_file();
    options.key_file = certificate.key_file();
    return options;
  }
  // A connected client, or null if the handshake failed.
  struct Client {
    Client(std::uint16_t port, int max_version) : context(SSL_CTX_new(TLS_client_method())) {
      SSL_CTX_set_max_proto_version(context, max_version);
      SSL_CTX_set_security_level(context, 0);
      SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
      ssl = SSL_new(context);
      static constexpr unsigned char kOffer[] = {2, 'h', '2', 8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
      SSL_set_alpn_protos(ssl, kOffer, sizeof kOffer);
      const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
      const timeval patience{test::kPatienceSeconds, 0};
      ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(port);
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      EXPECT_EQ(::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
      SSL_set_fd(ssl, socket);
      descriptor = socket;
      connected = SSL_connect(ssl) == 1;
    }
    ~Client() {
      SSL_free(ssl);
      SSL_CTX_free(context);
      ::close(descriptor);
    }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    // Until the server says goodbye; `clean`: it did so by TLS, not by cutting.
    std::string read_to_end(bool* clean) {
      std::string all;
      char buffer[16 << 10];
      int count = 0;
      while ((count = SSL_read(ssl, buffer, sizeof buffer)) > 0)
        all.append(buffer, static_cast<std::size_t>(count));
      *clean = SSL_get_error(ssl, count) == SSL_ERROR_ZERO_RETURN;
      return all;
    }
    void send(std::string_view bytes) {
      EXPECT_EQ(SSL_write(ssl, bytes.data(), static_cast<int>(bytes.size())), static_cast<int>(bytes.size()));
    }
    SSL_CTX* context;
    SSL* ssl = nullptr;
    int descriptor = -1;
    bool connected = false;
  };
  TestCertificate certificate;
};

TEST_F(HttpTlsTest, ServesBothVersionsAndClosesCleanly) {
  TestServer server(echo, options());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Client client(server.port(), version);
    ASSERT_TRUE(client.connected);
    EXPECT_EQ(SSL_version(client.ssl), version);
    const unsigned char* protocol = nullptr;
    unsigned int protocol_size = 0;
    SSL_get0_alpn_selected(client.ssl, &protocol, &protocol_size);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(protocol), protocol_size), "http/1.1");
    client.send(std::string(kGet) + request("POST", "Content-Length: 2\r\nConnection: close\r\n", "hi"));
    bool clean = false;
    const std::string all = client.read_to_end(&clean);
    EXPECT_NE(all.find("GET /v1/echo?x=1|"), std::string::npos);
    EXPECT_NE(all.find("POST /v1/echo|hi"), std::string::npos);
    EXPECT_TRUE(clean);
  }
}

TEST_F(HttpTlsTest, OldVersionsAndPlainTextAreRefused) {
  TestServer server(echo, options());
  Client old(server.port(), TLS1_1_VERSION);
  EXPECT_FALSE(old.connected);
  RawClient plain(server.port());
  plain.send(kGet);
  EXPECT_EQ(plain.read_to_end().find("200"), std::string::npos);
}

TEST_F(HttpTlsTest, AHandshakeThatStallsIsCut) {
  auto impatient = options();
  impatient.header_timeout = milliseconds(50);
  TestServer server(echo, impatient);
  RawClient silent(server.port());
  EXPECT_EQ(silent.read_to_end(), "");
}

TEST_F(HttpTlsTest, AVanishedClientCancelsItsRequest) {
  std::promise<void> started, cancelled;
  TestServer server(wait_for_cancel(&started, &cancelled), options());
  Client client(server.port(), TLS1_3_VERSION);
  client.send(kGet);
  started.get_future().wait();
  ::shutdown(client.descriptor, SHUT_RDWR);
  EXPECT_EQ(cancelled.get_future().wait_for(std::chrono::seconds(test::kPatienceSeconds)),
            std::future_status::ready);
}

TEST_F(HttpTlsTest, LargeBodiesGoBothWays) {
  TestServer server(echo, options());
  ClientRequest upload;
  upload.method = "POST";
  upload.url = fmt::format("https://127.0.0.1:{}/v1/echo", server.port());
  upload.ca_file = certificate.certificate_file();
  upload.body.assign(1U << 20, 'x');
  const auto response = send(upload);
  ASSERT_TRUE(response.ok()) << response.error().message;
  EXPECT_EQ(response.value().status, 200);
  EXPECT_EQ(response.value().body, "POST /v1/echo|" + upload.body);
}

TEST_F(HttpTlsTest, DrainClosesIdleConnections) {
  TestServer server(echo, options());
  Client client(server.port(), TLS1_3_VERSION);
  client.send(kGet);
  char byte = 0;
  ASSERT_EQ(SSL_read(client.ssl, &byte, 1), 1);
  auto drained = server.start_drain(kNever);
  bool clean = false;
  client.read_to_end(&clean);
  EXPECT_TRUE(clean);
  ::shutdown(client.descriptor, SHUT_RDWR);
  drained.get();
}

}  // namespace
}  // namespace rowhouse::net
