#include "net/request_decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/text.h"

namespace rowhouse::net {
namespace {

// Method, two spaces and "HTTP/1.1" beside the target.
constexpr std::size_t kRequestLineExtraBytes = kMaxMethodBytes + 10;
constexpr std::size_t kLineEndBytes = 2;
// RFC 9112, section 2.2: an empty line before a request line is forgiven, once.
constexpr std::uint32_t kMaxLeadingEmptyLines = 1;
constexpr std::size_t kMaxContentLengthDigits = 18;  // below 2^63
constexpr std::size_t kMaxChunkSizeDigits = 15;      // below 2^63
constexpr unsigned char kTlsHandshakeRecord = 0x16;

// Character classes of RFC 9110, section 5.6.2 (tokens) and 5.5 (field values), and of a request target.
enum CharacterClass : std::uint8_t { kToken = 1, kFieldValue = 2, kTarget = 4, kHost = 8 };

constexpr std::array<std::uint8_t, 256> make_classes() {
  std::array<std::uint8_t, 256> classes{};
  const auto add = [&classes](std::string_view characters, std::uint8_t wanted) {
    for (const char c : characters) classes[static_cast<unsigned char>(c)] |= wanted;
  };
  for (int c = 0x21; c <= 0x7e; ++c) classes[static_cast<std::size_t>(c)] |= kFieldValue | kTarget;
  for (int c = 0x80; c <= 0xff; ++c) classes[static_cast<std::size_t>(c)] |= kFieldValue;
  add(" \t", kFieldValue);
  classes['#'] &= static_cast<std::uint8_t>(~kTarget);  // a fragment is never sent
  constexpr std::string_view alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  add(alphanumeric, kToken | kHost);
  add("!#$%&'*+-.^_`|~", kToken);
  add("-._~!$&'()*+;=%:[]", kHost);  // RFC 3986 without the comma, which would be a list
  return classes;
}
constexpr auto kClasses = make_classes();

bool is_of(char c, CharacterClass wanted) { return (kClasses[static_cast<unsigned char>(c)] & wanted) != 0; }
bool all_of(std::string_view text, CharacterClass wanted) {
  return std::all_of(text.begin(), text.end(), [wanted](char c) { return is_of(c, wanted); });
}

std::string_view trim_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

Method method_of(std::string_view name) {
  for (const Method method : {Method::get, Method::post, Method::patch, Method::put, Method::remove,
                              Method::head, Method::options}) {
    if (method_name(method) == name) return method;
  }
  return Method::other;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::size_t RequestDecoder::longest_line() const {
  const std::size_t request_line = limits_.max_target_bytes + kRequestLineExtraBytes + kLineEndBytes;
  const std::size_t header_line = std::size_t{limits_.max_header_bytes} + kLineEndBytes;
  return std::max({request_line, header_line, kMaxChunkLineBytes + kLineEndBytes}) + 1;
}

std::uint64_t RequestDecoder::remaining_body() const {
  switch (state_) {
    case State::body_by_length:
    case State::chunk_data:
      return remaining_;
    case State::chunk_size:
    case State::chunk_data_end:
    case State::trailer_line:
      return 1;
    default:
      return 0;
  }
}

RequestDecoder::Outcome RequestDecoder::fail(ErrorCode code, std::string message) {
  error_.emplace(code, std::move(message));
  state_ = State::failed;
  return Outcome::failed;
}

void RequestDecoder::start_request() {
  head_.headers.clear();
  head_.version = HttpVersion::http_1_1;
  head_.framing = BodyFraming::none;
  head_.content_length = 0;
  head_.persistence = Persistence::keep_alive;
  head_.expectation = Expectation::none;
  header_bytes_ = 0;
  leading_empty_lines_ = 0;
  content_lengths_ = 0;
  transfer_encodings_ = 0;
  hosts_ = 0;
  host_.clear();
  target_authority_.clear();
  remaining_ = 0;
}

RequestDecoder::Step RequestDecoder::next(std::string_view bytes) {
  Step step;
  while (true) {
    const std::string_view rest = bytes.substr(step.consumed);
    switch (state_) {
      case State::failed:
        step.event = Event::failed;
        return step;
      case State::body_by_length:
      case State::chunk_data: {
        if (remaining_ == 0 && state_ == State::chunk_data) {
          state_ = State::chunk_data_end;
          continue;
        }
        if (remaining_ == 0) {
          state_ = State::request_line;
          step.event = Event::end;
          return step;
        }
        if (rest.empty()) return step;
        step.body =
            rest.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, rest.size())));
        remaining_ -= step.body.size();
        step.consumed += step.body.size();
        step.event = Event::body;
        return step;
      }
      default:
        break;
    }
    switch (take_line(rest, &step.consumed)) {
      case Outcome::more_work:
        continue;
      case Outcome::need_more:
        return step;
      case Outcome::head_complete:
        step.event = Event::head;
        return step;
      case Outcome::request_complete:
        step.event = Event::end;
        return step;
      case Outcome::failed:
        step.event = Event::failed;
        return step;
    }
  }
}

// The line up to CRLF, without it. nullopt: see `outcome`.
std::optional<std::string_view> RequestDecoder::find_line(std::string_view bytes, std::size_t limit,
                                                          Outcome* outcome) {
  const std::size_t window = std::min(bytes.size(), limit + kLineEndBytes);
  const char* found =
      scanned_ < window
          ? static_cast<const char*>(std::memchr(bytes.data() + scanned_, '\n', window - scanned_))
          : nullptr;
  if (found == nullptr) {
    scanned_ = window;
    *outcome = Outcome::need_more;
    if (bytes.size() < limit + kLineEndBytes) return std::nullopt;
    if (state_ == State::request_line) {
      *outcome = fail(ErrorCode::target_too_long,
                      fmt::format("The request target is longer than {} bytes", limits_.max_target_bytes));
    } else if (state_ == State::header_line || state_ == State::trailer_line) {
      *outcome = fail(ErrorCode::headers_too_large,
                      fmt::format("The headers are larger than {} bytes", limits_.max_header_bytes));
    } else {
      *outcome = refuse("A chunk's first line is too long");
    }
    return std::nullopt;
  }
  scanned_ = 0;
  const auto length = static_cast<std::size_t>(found - bytes.data());
  if (length == 0 || bytes[length - 1] != '\r') {
    *outcome = refuse("A line ends without a carriage return");
    return std::nullopt;
  }
  return bytes.substr(0, length - 1);
}

RequestDecoder::Outcome RequestDecoder::take_line(std::string_view bytes, std::size_t* consumed) {
  std::size_t limit = kMaxChunkLineBytes;
  if (state_ == State::request_line) {
    limit = limits_.max_target_bytes + kRequestLineExtraBytes;
    // Tells a stranger at once, instead of waiting for an end of line that never comes.
    if (!bytes.empty() && !is_of(bytes.front(), kToken) && bytes.front() != '\r' && bytes.front() != '\n') {
      return refuse(static_cast<unsigned char>(bytes.front()) == kTlsHandshakeRecord
                        ? "This port speaks plain HTTP, not TLS"
                        : "The request line does not start with a method");
    }
  } else if (state_ == State::header_line || state_ == State::trailer_line) {
    limit = limits_.max_header_bytes;
  }
  Outcome outcome = Outcome::more_work;
  const auto line = find_line(bytes, limit, &outcome);
  if (!line) return outcome;
  *consumed += line->size() + kLineEndBytes;
  switch (state_) {
    case State::request_line:
      return on_request_line(*line);
    case State::header_line:
      return on_header_line(*line);
    case State::chunk_size:
      return on_chunk_size(*line);
    case State::trailer_line:
      return on_trailer_line(*line);
    case State::chunk_data_end:
      if (!line->empty()) return refuse("A chunk is longer than its size says");
      state_ = State::chunk_size;
      return Outcome::more_work;
    default:
      return refuse("No line was expected here");
  }
}

RequestDecoder::Outcome RequestDecoder::on_request_line(std::string_view line) {
  if (line.empty()) {
    if (leading_empty_lines_ == kMaxLeadingEmptyLines) return refuse("The request line is empty");
    ++leading_empty_lines_;
    return Outcome::more_work;
  }
  start_request();
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) {
    return refuse("The request line is not METHOD TARGET VERSION");
  }
  const std::string_view method = line.substr(0, first);
  const std::string_view version = line.substr(last + 1);
  if (method.empty() || method.size() > kMaxMethodBytes || !all_of(method, kToken)) {
    return refuse("The method is not valid");
  }
  if (version == "HTTP/1.1") {
    head_.version = HttpVersion::http_1_1;
  } else if (version == "HTTP/1.0") {
    head_.version = HttpVersion::http_1_0;
    head_.persistence = Persistence::close;
  } else {
    return refuse("The version is neither HTTP/1.1 nor HTTP/1.0");
  }
  head_.method_text.assign(method);
  head_.method = method_of(method);
  state_ = State::header_line;
  return on_target(line.substr(first + 1, last - first - 1));
}

RequestDecoder::Outcome RequestDecoder::on_target(std::string_view target) {
  if (target.size() > limits_.max_target_bytes) {
    return fail(ErrorCode::target_too_long,
                fmt::format("The request target is longer than {} bytes", limits_.max_target_bytes));
  }
  if (target.empty() || !all_of(target, kTarget)) {
    return refuse("The request target holds characters that must be percent-encoded");
  }
  head_.target.assign(target);
  std::string_view rest = target;
  if (target == "*" && head_.method == Method::options) {
    // About the server as a whole.
  } else if (target.front() != '/') {
    // The absolute form, which clients send to proxies (RFC 9112, section 3.2.2).
    const std::size_t scheme = target.find("://");
    if (scheme == std::string_view::npos || (!equals_ignoring_case(target.substr(0, scheme), "http") &&
                                             !equals_ignoring_case(target.substr(0, scheme), "https"))) {
      return refuse("The request target is neither a path nor an http URL");
    }
    rest.remove_prefix(scheme + 3);
    const std::size_t authority = std::min(rest.find_first_of("/?"), rest.size());
    target_authority_.assign(rest.substr(0, authority));
    if (target_authority_.empty()) return refuse("The request target names no host");
    rest.remove_prefix(authority);
  }
  const std::size_t question = std::min(rest.find('?'), rest.size());
  head_.path.assign(rest.substr(0, question));
  if (head_.path.empty()) head_.path = "/";
  head_.query.assign(question < rest.size() ? rest.substr(question + 1) : std::string_view());
  return Outcome::more_work;
}

RequestDecoder::Outcome RequestDecoder::count_header_bytes(std::size_t line_bytes) {
  header_bytes_ += line_bytes + kLineEndBytes;
  if (header_bytes_ <= limits_.max_header_bytes) return Outcome::more_work;
  return fail(ErrorCode::headers_too_large,
              fmt::format("The headers are larger than {} bytes", limits_.max_header_bytes));
}

namespace {

struct FieldLine {
  std::string_view name;
  std::string_view value;
  const char* fault = nullptr;
};

FieldLine split_field(std::string_view line) {
  FieldLine field;
  if (line.front() == ' ' || line.front() == '\t') {
    field.fault = "A header line starts with white space (obsolete line folding)";
    return field;
  }
  const std::size_t colon = line.find(':');
  field.name = line.substr(0, std::min(colon, line.size()));
  if (colon == std::string_view::npos) {
    field.fault = "A header line has no colon";
  } else if (field.name.empty() || !all_of(field.name, kToken)) {
    field.fault = "A header's name is not valid";
  } else {
    field.value = trim_blanks(line.substr(colon + 1));
    if (!all_of(field.value, kFieldValue)) field.fault = "A header's value holds a control character";
  }
  return field;
}

}  // namespace

RequestDecoder::Outcome RequestDecoder::on_header_line(std::string_view line) {
  if (line.empty()) return on_head_end();
  if (const auto counted = count_header_bytes(line.size()); counted == Outcome::failed) return counted;
  const FieldLine field = split_field(line);
  if (field.fault != nullptr) return refuse(field.fault);
  if (head_.headers.size() == kMaxHeaders) {
    return fail(ErrorCode::headers_too_large, fmt::format("There are more than {} headers", kMaxHeaders));
  }
  head_.headers.emplace_back(field.name, field.value);
  return on_framing_header(field.name, field.value);
}

RequestDecoder::Outcome RequestDecoder::on_framing_header(std::string_view name, std::string_view value) {
  const auto is = [name](std::string_view wanted) {
    return name.size() == wanted.size() && equals_ignoring_case(name, wanted);
  };
  if (is("host")) {
    ++hosts_;
    if (!all_of(value, kHost)) return refuse("The Host header is not valid");
    host_.assign(value);
  } else if (is("content-length")) {
    return on_content_length(value);
  } else if (is("transfer-encoding")) {
    ++transfer_encodings_;
    if (!equals_ignoring_case(value, "chunked")) return refuse("The only transfer coding here is chunked");
  } else if (is("connection")) {
    for (const std::string_view option : split(value, ',')) {
      if (equals_ignoring_case(trim_blanks(option), "close")) head_.persistence = Persistence::close;
    }
  } else if (is("expect")) {
    if (equals_ignoring_case(value, "100-continue")) head_.expectation = Expectation::continue_100;
  }
  return Outcome::more_work;
}

RequestDecoder::Outcome RequestDecoder::on_content_length(std::string_view value) {
  ++content_lengths_;
  if (value.empty() || value.size() > kMaxContentLengthDigits)
    return refuse("The Content-Length is not valid");
  std::uint64_t length = 0;
  for (const char c : value) {
    if (c < '0' || c > '9') return refuse("The Content-Length is not valid");
    length = length * 10 + static_cast<std::uint64_t>(c - '0');
  }
  head_.content_length = length;
  return Outcome::more_work;
}

RequestDecoder::Outcome RequestDecoder::check_host() const {
  return hosts_ > 1 || (hosts_ == 0 && head_.version == HttpVersion::http_1_1) ? Outcome::failed
                                                                               : Outcome::more_work;
}

RequestDecoder::Outcome RequestDecoder::on_head_end() {
  if (check_host() == Outcome::failed) return refuse("There must be exactly one Host header");
  if (!target_authority_.empty() && hosts_ == 1 && !equals_ignoring_case(target_authority_, host_)) {
    return refuse("The request target and the Host header name different hosts");
  }
  if (content_lengths_ > 1) return refuse("There is more than one Content-Length");
  if (transfer_encodings_ > 1) return refuse("There is more than one Transfer-Encoding");
  if (content_lengths_ > 0 && transfer_encodings_ > 0) {
    return refuse("Content-Length and Transfer-Encoding exclude each other");
  }
  if (transfer_encodings_ > 0 && head_.version == HttpVersion::http_1_0) {
    return refuse("HTTP/1.0 has no Transfer-Encoding");
  }
  header_bytes_ = 0;  // from here on: of the trailers
  if (transfer_encodings_ > 0) {
    head_.framing = BodyFraming::chunked;
    state_ = State::chunk_size;
  } else {
    head_.framing = content_lengths_ > 0 ? BodyFraming::length : BodyFraming::none;
    remaining_ = head_.content_length;
    state_ = State::body_by_length;
  }
  if (head_.version == HttpVersion::http_1_0) head_.expectation = Expectation::none;
  return Outcome::head_complete;
}

RequestDecoder::Outcome RequestDecoder::on_chunk_size(std::string_view line) {
  const std::size_t digits = std::min(line.find(';'), line.size());
  if (digits == 0 || digits > kMaxChunkSizeDigits) return refuse("A chunk's size is not valid");
  std::uint64_t size = 0;
  for (const char c : line.substr(0, digits)) {
    const int digit = hex_digit(c);
    if (digit < 0) return refuse("A chunk's size is not valid");
    size = size * 16 + static_cast<std::uint64_t>(digit);
  }
  if (!all_of(line.substr(digits), kFieldValue)) return refuse("A chunk extension holds a control character");
  remaining_ = size;
  state_ = size == 0 ? State::trailer_line : State::chunk_data;
  return Outcome::more_work;
}

// Trailers are checked as headers are, and dropped: nothing here may come in behind the body.
RequestDecoder::Outcome RequestDecoder::on_trailer_line(std::string_view line) {
  if (line.empty()) {
    state_ = State::request_line;
    return Outcome::request_complete;
  }
  if (const auto counted = count_header_bytes(line.size()); counted == Outcome::failed) return counted;
  const FieldLine field = split_field(line);
  return field.fault != nullptr ? refuse(field.fault) : Outcome::more_work;
}

}  // namespace rowhouse::net
