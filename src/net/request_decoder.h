// Turns the bytes of one HTTP/1.x connection into requests: heads, pieces of bodies, ends. Pure: no sockets,
// no time.
//
// Stricter than RFC 9112 has to be, because two readers who disagree about where a request ends let one
// client slip requests into another's connection. Refused: a bare LF or CR, NUL and other controls, obs-fold,
// white space before a colon, any Transfer-Encoding but one "chunked", Content-Length beside
// Transfer-Encoding, two Content-Lengths (even equal ones), anything but digits in it, a missing or second
// Host, Transfer-Encoding in HTTP/1.0. After a failure the connection cannot be used any more: where the next
// request starts is unknown.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "net/http_message.h"

namespace rowhouse::net {

struct DecoderLimits {
  std::uint32_t max_target_bytes = 8U << 10;
  std::uint32_t max_header_bytes = 32U << 10;  // all header lines together; also all trailer lines
};

inline constexpr std::size_t kMaxMethodBytes = 32;
inline constexpr std::size_t kMaxHeaders = 128;
inline constexpr std::size_t kMaxChunkLineBytes = 256;

enum class HttpVersion { http_1_0, http_1_1 };
enum class BodyFraming { none, length, chunked };
enum class Persistence { close, keep_alive };
enum class Expectation { none, continue_100 };

struct RequestHead {
  Method method = Method::other;
  std::string method_text;
  std::string target;
  std::string path;
  std::string query;
  std::vector<Header> headers;
  HttpVersion version = HttpVersion::http_1_1;
  BodyFraming framing = BodyFraming::none;
  std::uint64_t content_length = 0;  // for BodyFraming::length
  Persistence persistence = Persistence::keep_alive;
  Expectation expectation = Expectation::none;
};

class RequestDecoder {
 public:
  enum class Event {
    need_more,  // call again with more bytes behind those that were not consumed
    head,       // head() is complete
    body,       // a piece of the body: Step::body
    end,        // the request is complete; the next call starts the next one
    failed,     // see error(); for ever
  };
  struct Step {
    Event event = Event::need_more;
    std::size_t consumed = 0;  // bytes at the front that must not be passed again; may be > 0 with any event
    std::string_view body;     // points into the bytes that were passed
  };

  explicit RequestDecoder(DecoderLimits limits) : limits_(limits) {}

  // `bytes`: everything received and not yet consumed. Bytes of an unfinished line stay with the caller, who
  // needs room for at most longest_line() of them.
  Step next(std::string_view bytes);
  std::size_t longest_line() const;

  // Valid from Event::head until the call of next() after Event::end.
  RequestHead& head() { return head_; }
  // Whether bytes of a head have been consumed that is not complete yet.
  bool inside_head() const { return state_ == State::header_line || leading_empty_lines_ > 0; }
  // How many bytes of the body are certainly still to come; at least 1 for an unfinished chunked one, 0 at
  // its end.
  std::uint64_t remaining_body() const;
  const Error& error() const { return *error_; }

 private:
  enum class State {
    request_line,
    header_line,
    body_by_length,
    chunk_size,
    chunk_data,
    chunk_data_end,
    trailer_line,
    failed,
  };
  enum class Outcome { more_work, need_more, head_complete, request_complete, failed };

  Outcome take_line(std::string_view bytes, std::size_t* consumed);
  std::optional<std::string_view> find_line(std::string_view bytes, std::size_t limit, Outcome* outcome);
  Outcome on_request_line(std::string_view line);
  Outcome on_target(std::string_view target);
  Outcome on_header_line(std::string_view line);
  Outcome on_trailer_line(std::string_view line);
  Outcome on_chunk_size(std::string_view line);
  Outcome on_framing_header(std::string_view name, std::string_view value);
  Outcome on_content_length(std::string_view value);
  Outcome on_head_end();
  Outcome check_host() const;
  Outcome count_header_bytes(std::size_t line_bytes);
  Outcome fail(ErrorCode code, std::string message);
  Outcome refuse(std::string message) { return fail(ErrorCode::malformed_request, std::move(message)); }
  void start_request();

  DecoderLimits limits_;
  State state_ = State::request_line;
  RequestHead head_;
  std::optional<Error> error_;
  std::size_t scanned_ = 0;  // bytes of the unfinished line that are known to hold no LF
  std::size_t header_bytes_ = 0;
  std::uint32_t leading_empty_lines_ = 0;
  std::uint32_t content_lengths_ = 0;
  std::uint32_t transfer_encodings_ = 0;
  std::uint32_t hosts_ = 0;
  std::string host_;
  std::string target_authority_;
  std::uint64_t remaining_ = 0;  // of the body (by length) or of the chunk
};

}  // namespace rowhouse::net
