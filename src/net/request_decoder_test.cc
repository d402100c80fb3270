#include "net/request_decoder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <filesystem>

namespace rowhouse::net {
namespace {

using Event = RequestDecoder::Event;

// What a decoder made of some bytes, as text: one line for each head, body and end.
std::string decode_all(std::string_view bytes, std::size_t piece_bytes, DecoderLimits limits = {}) {
  RequestDecoder decoder(limits);
  std::string trace, body, pending;
  std::size_t fed = 0;
  while (true) {
    const auto step = decoder.next(pending);
    body += step.body;
    pending.erase(0, step.consumed);
    switch (step.event) {
      case Event::need_more:
        if (fed == bytes.size()) return trace + "more";
        pending += bytes.substr(fed, piece_bytes);
        fed = std::min(bytes.size(), fed + piece_bytes);
        break;
      case Event::head: {
        const auto& head = decoder.head();
        trace += fmt::format("{} {} {} {}", head.method_text, head.path, head.query,
                             head.persistence == Persistence::keep_alive ? "keep" : "close");
        for (const auto& [name, value] : head.headers) trace += fmt::format("; {}={}", name, value);
        trace += '\n';
        body.clear();
        break;
      }
      case Event::body:
        break;
      case Event::end:
        trace += fmt::format("body {}\n", body);
        break;
      case Event::failed:
        return trace + fmt::format("{}: {}", error_code_name(decoder.error().code), decoder.error().message);
    }
  }
}

TEST(RequestDecoderTest, EveryCutOfTheBytesGivesTheSameEvents) {
  const std::string_view bytes =
      "\r\nPOST /a%20b?c=d?e HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3;x=\"y\"\r\nabc\r\n0000b\r\nhello world\r\n0\r\nTrailer: t\r\n\r\n"
      "PUT http://h?q HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nConnection: x, close\r\n\r\nbody"
      "GET / HTTP/1.0\r\n\r\n";
  const std::string expected =
      "POST /a%20b c=d?e keep; Host=h; Transfer-Encoding=chunked\n"
      "body abchello world\n"
      "PUT / q close; Host=h; Content-Length=4; Connection=x, close\n"
      "body body\n"
      "GET /  close\n"
      "body \n"
      "more";
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece)
    ASSERT_EQ(decode_all(bytes, piece), expected) << piece;
}

TEST(RequestDecoderTest, AFailureIsForEver) {
  RequestDecoder decoder(DecoderLimits{});
  EXPECT_EQ(decoder.next("GET / HTTP/1.1\n").event, Event::failed);
  EXPECT_EQ(decoder.error().code, ErrorCode::malformed_request);
  EXPECT_EQ(decoder.next("GET / HTTP/1.1\r\nHost: a\r\n\r\n").event, Event::failed);
}

TEST(RequestDecoderTest, NeverNeedsMoreThanItsLongestLine) {
  for (const std::string_view start :
       {"GET /",
        "GET / HTTP/1.1\r\nX: ", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "}) {
    RequestDecoder decoder(DecoderLimits{100, 200});
    std::string pending(start);
    auto step = decoder.next(pending);
    while (step.event != Event::failed) {
      pending.erase(0, step.consumed);
      if (step.event == Event::need_more) pending += 'a';
      ASSERT_LE(pending.size(), decoder.longest_line());
      step = decoder.next(pending);
    }
  }
}

TEST(RequestDecoderTest, RemainingBodyTellsWhatIsToCome) {
  RequestDecoder decoder(DecoderLimits{});
  EXPECT_EQ(decoder.next("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n").event, Event::head);
  EXPECT_EQ(decoder.remaining_body(), 5U);
  EXPECT_EQ(decoder.next("abc").event, Event::body);
  EXPECT_EQ(decoder.remaining_body(), 2U);
  EXPECT_EQ(decoder.next("de").event, Event::body);
  EXPECT_EQ(decoder.remaining_body(), 0U);
  EXPECT_EQ(decoder.next("").event, Event::end);
}

TEST(RequestDecoderTest, ExpectationsAreOfHttp11Only) {
  for (const auto& [version, expected] :
       {std::pair{"1.1", Expectation::continue_100}, std::pair{"1.0", Expectation::none}}) {
    RequestDecoder decoder(DecoderLimits{});
    const auto bytes =
        fmt::format("PUT / HTTP/{}\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n", version);
    EXPECT_EQ(decoder.next(bytes).event, Event::head);
    EXPECT_EQ(decoder.head().expectation, expected);
  }
}

// Why this decoder does not leave framing to Boost.Beast: its parser takes each of these, which another
// reader on the way may frame differently. A newer Boost that refuses one makes this test say so.
TEST(BeastComparisonTest, BeastIsMoreForgiving) {
  namespace http = boost::beast::http;
  const auto beast_accepts = [](std::string_view bytes) {
    http::request_parser<http::string_body> parser;
    parser.eager(true);
    boost::system::error_code error;
    std::size_t used = 0;
    while (used < bytes.size() && !parser.is_done()) {
      used += parser.put(boost::asio::buffer(bytes.data() + used, bytes.size() - used), error);
      if (error) return false;
    }
    return parser.is_done();
  };
  for (const std::string_view bytes :
       {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}) {
    EXPECT_TRUE(beast_accepts(bytes)) << bytes;
    EXPECT_NE(decode_all(bytes, bytes.size()).find("malformed_request"), std::string::npos) << bytes;
  }
}

}  // namespace
}  // namespace rowhouse::net
