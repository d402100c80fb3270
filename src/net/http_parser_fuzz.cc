// The input is what a client sends on one connection. Three things are checked beside the sanitizers:
// the events do not depend on how the bytes are cut, the decoder keeps its own promises, and where
// Boost.Beast's parser takes the first request too, both agree on where it ends and what it says (a
// disagreement between two readers is what request smuggling is made of).
#include <algorithm>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "net/request_decoder.h"

namespace {

namespace http = boost::beast::http;
using rowhouse::net::BodyFraming;
using rowhouse::net::DecoderLimits;
using rowhouse::net::RequestDecoder;
using Event = RequestDecoder::Event;

void require(bool held, const char* what) {
  if (held) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

struct FirstRequest {
  bool complete = false;
  std::size_t bytes = 0;  // where it ends
  std::string method, target, body;
  std::vector<rowhouse::net::Header> headers;
};

struct Trace {
  std::string text;
  FirstRequest first;
};

constexpr DecoderLimits kLimits{300, 1000};

Trace decode(std::string_view bytes, std::size_t piece_bytes) {
  RequestDecoder decoder(kLimits);
  Trace trace;
  std::string pending, body;
  std::size_t fed = 0, consumed = 0;
  bool inside = false;
  while (true) {
    const auto step = decoder.next(pending);
    require(step.consumed <= pending.size(), "consumed more than there was");
    require(step.body.empty() || (step.body.data() >= pending.data() &&
                                  step.body.data() + step.body.size() <= pending.data() + pending.size()),
            "a piece of the body lies outside of the input");
    require((step.event == Event::body) == !step.body.empty(), "an empty piece of a body");
    body += step.body;
    consumed += step.consumed;
    pending.erase(0, step.consumed);
    switch (step.event) {
      case Event::need_more:
        require(pending.size() < decoder.longest_line(), "a line longer than promised");
        if (fed == bytes.size()) return trace;
        pending += bytes.substr(fed, piece_bytes);
        fed = std::min(bytes.size(), fed + piece_bytes);
        break;
      case Event::head: {
        require(!inside, "a head inside a request");
        inside = true;
        body.clear();
        const auto& head = decoder.head();
        require(head.target.size() <= kLimits.max_target_bytes, "a target longer than its limit");
        trace.text += "head " + head.method_text + ' ' + head.path + '?' + head.query + '\n';
        for (const auto& [name, value] : head.headers) trace.text += name + ": " + value + '\n';
        if (trace.first.method.empty()) {
          trace.first.method = head.method_text;
          trace.first.target = head.target;
          trace.first.headers = head.headers;
        }
        break;
      }
      case Event::body:
        require(inside, "a body without a head");
        break;
      case Event::end:
        require(inside, "an end without a head");
        require(decoder.remaining_body() == 0, "an end with a body still to come");
        inside = false;
        trace.text += "body " + body + '\n';
        if (!trace.first.complete) {
          trace.first.complete = true;
          trace.first.bytes = consumed;
          trace.first.body = body;
        }
        break;
      case Event::failed:
        trace.text += "failed " + decoder.error().message + '\n';
        return trace;
    }
  }
}

void compare_with_beast(std::string_view bytes, const FirstRequest& ours) {
  http::request_parser<http::string_body> parser;
  parser.eager(true);
  parser.body_limit(boost::none);
  boost::system::error_code error;
  std::size_t used = 0;
  while (used < bytes.size() && !parser.is_done()) {
    const std::size_t taken =
        parser.put(boost::asio::buffer(bytes.data() + used, bytes.size() - used), error);
    used += taken;
    if (error || taken == 0) return;
  }
  if (!parser.is_done()) return;
  const auto& theirs = parser.get();
  require(used == ours.bytes, "Beast sees the end of the request elsewhere");
  require(theirs.body() == ours.body, "Beast sees another body");
  require(theirs.method_string() == ours.method, "Beast sees another method");
  require(theirs.target() == ours.target, "Beast sees another target");
  for (const auto& [name, value] : ours.headers) {
    const auto range = theirs.equal_range(name);
    const auto& wanted = value;
    require(std::any_of(range.first, range.second,
                        [&wanted](const auto& field) { return field.value() == wanted; }),
            "Beast sees other headers");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Trace whole = decode(bytes, size + 1);
  const std::size_t piece_bytes = 1 + size % 7;
  require(decode(bytes, piece_bytes).text == whole.text, "the events depend on how the bytes are cut");
  if (whole.first.complete) compare_with_beast(bytes, whole.first);
  return 0;
}
