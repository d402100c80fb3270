#include "net/http_connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <exception>
#include <utility>

namespace rowhouse::net {
namespace {

// Bodies up to this are copied behind the head, so that a response is one small write.
constexpr std::size_t kJoinedBodyBytes = 16U << 10;
// An output buffer that grew beyond this is given back after the response.
constexpr std::size_t kKeptOutputBytes = 64U << 10;
// How much of a body that the handler left unread is read to keep the connection.
constexpr std::uint64_t kMaxDrainedBytes = 256U << 10;
// How long a connection that is being closed still listens, so that the client reads the response before a
// reset.
constexpr std::chrono::milliseconds kLingerTime{2'000};
// A body that comes drop by drop would hold its connection for as long as its sender likes: each byte buys so
// much waiting, up to body_idle_timeout.
constexpr std::uint64_t kMinBodyBytesPerSecond = 500;
constexpr std::chrono::milliseconds kShortestWait{1};
constexpr std::size_t kMaxRequestIdBytes = 128;
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

bool acceptable_request_id(std::string_view id) {
  return !id.empty() && id.size() <= kMaxRequestIdBytes &&
         std::all_of(id.begin(), id.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

}  // namespace

std::string ServerContext::next_request_id() {
  return fmt::format("{}{:08x}", request_id_prefix, ++request_count);
}

void InputBuffer::make_space() {
  if (lent_ || begin_ == 0) return;
  std::memmove(memory_.get(), memory_.get() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
}

void InputBuffer::grow(std::size_t max_capacity) {
  if (lent_ || space_bytes() > 0 || capacity_ >= max_capacity) return;
  const std::size_t capacity = std::min(capacity_ * 2, max_capacity);
  auto larger = std::make_unique_for_overwrite<char[]>(capacity);
  std::memcpy(larger.get(), memory_.get() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  memory_ = std::move(larger);
  capacity_ = capacity;
}

void InputBuffer::resize_empty(std::size_t capacity) {
  if (lent_ || !empty() || capacity_ == capacity) return;
  memory_ = std::make_unique_for_overwrite<char[]>(capacity);
  capacity_ = capacity;
  begin_ = end_ = 0;
}

// Suspends until input, its end or the deadline; starts a read if none is outstanding.
struct Connection::InputAwaiter {
  explicit InputAwaiter(Connection& owner) : connection(owner) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    connection.reader_ = handle;
    connection.start_read();
  }
  void await_resume() const noexcept {}
  Connection& connection;
};

// Writes what set_output() holds; true if the client's side took all of it.
struct Connection::WriteAwaiter {
  explicit WriteAwaiter(Connection& owner) : connection(owner) {}
  bool await_ready() { return connection.flush_now(); }
  void await_suspend(std::coroutine_handle<> handle) {
    connection.writer_ = handle;
    connection.writing_ = true;
    connection.set_deadline(connection.context_.options.write_idle_timeout);
    connection.stream_->start_write(connection.output_);
  }
  bool await_resume() const { return !connection.write_failed_; }
  Connection& connection;
};

Connection::InputAwaiter Connection::more_input() { return InputAwaiter(*this); }
Connection::WriteAwaiter Connection::flush() { return WriteAwaiter(*this); }

class Connection::Body final : public BodyReader {
 public:
  explicit Body(Connection& connection) : connection_(connection) {}

  void begin(std::uint64_t limit, std::uint64_t declared, bool complete) {
    limit_ = limit;
    declared_ = declared;
    received_ = rewarded_ = 0;
    patience_ = connection_.context_.options.body_idle_timeout;
    complete_ = complete;
    fault_.reset();
  }
  Task<Result<std::optional<std::string_view>>> read() override;
  void set_limit(std::uint64_t bytes) override { limit_ = bytes; }

  bool complete() const { return complete_; }
  bool faulty() const { return fault_.has_value(); }
  std::uint64_t received() const { return received_; }
  void set_complete() { complete_ = true; }

 private:
  Error fail(Error error) {
    fault_.emplace(error);
    return error;
  }
  Error too_large() {
    return fail(Error(ErrorCode::body_too_large, fmt::format("The body is larger than {} bytes", limit_)));
  }
  Task<Result<void>> wait_for_bytes();

  Connection& connection_;
  std::uint64_t limit_ = 0;
  std::uint64_t declared_ = 0;  // Content-Length, 0 if chunked
  std::uint64_t received_ = 0;
  std::uint64_t rewarded_ = 0;             // how much of that has bought patience
  std::chrono::milliseconds patience_{0};  // how long we still wait for the client
  bool complete_ = true;
  std::optional<Error> fault_;
};

Task<Result<std::optional<std::string_view>>> Connection::Body::read() {
  connection_.input_.give_back();
  if (fault_) co_return *fault_;
  if (!complete_ && declared_ > limit_) co_return too_large();
  while (!complete_) {
    const auto step = connection_.decode();
    switch (step.event) {
      case RequestDecoder::Event::body:
        received_ += step.body.size();
        if (received_ > limit_) co_return too_large();
        connection_.input_.lend();
        co_return std::optional(step.body);
      case RequestDecoder::Event::end:
        complete_ = true;
        if (!connection_.reading_) connection_.input_.resize_empty(InputBuffer::kInitialBytes);
        connection_.watch_client();
        break;
      case RequestDecoder::Event::need_more: {
        CO_TRY_DO(co_await wait_for_bytes());
        break;
      }
      case RequestDecoder::Event::failed:
      case RequestDecoder::Event::head:
        co_return fail(connection_.decoder_.error());
    }
  }
  co_return std::optional<std::string_view>();
}

Task<Result<void>> Connection::Body::wait_for_bytes() {
  Connection& connection = connection_;
  if (std::exchange(connection.awaiting_continue_, false) && !connection.response_started_ &&
      connection.input_.empty()) {
    connection.set_output(kContinue);
    co_await connection.flush();  // a failure shows as the end of the input
  }
  if (connection.ended_ || connection.closed_) {
    connection.cancel_->cancel();
    co_return fail(Error(ErrorCode::cancelled, "The client went away in the middle of the body"));
  }
  if (!connection.reading_ && connection.decoder_.remaining_body() > InputBuffer::kInitialBytes) {
    connection.input_.resize_empty(InputBuffer::kBodyBytes);
  }
  // What the server itself takes to work on the body does not count.
  const auto idle_timeout = connection.context_.options.body_idle_timeout;
  const std::chrono::milliseconds earned((received_ - rewarded_) * 1'000 / kMinBodyBytesPerSecond);
  patience_ = std::clamp(patience_ + earned, kShortestWait, idle_timeout);
  rewarded_ = received_;
  const auto began = std::chrono::steady_clock::now();
  connection.set_deadline(patience_);
  co_await connection.more_input();
  patience_ -=
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
  const bool expired = connection.expired_;
  connection.clear_deadline();
  if (expired) co_return fail(Error(ErrorCode::request_timeout, "The body did not arrive in time"));
  co_return Result<void>();
}

Connection::Connection(ServerContext& context, std::unique_ptr<Stream> stream)
    : context_(context),
      stream_(std::move(stream)),
      decoder_(DecoderLimits{context.options.max_target_bytes, context.options.max_header_bytes}),
      peer_(stream_->peer()),
      body_(std::make_unique<Body>(*this)) {
  stream_->set_user(*this);
  request_.peer = peer_;
  request_.body = body_.get();
}

Connection::~Connection() = default;

// --- Input, output, deadline
// -----------------------------------------------------------------------------------

RequestDecoder::Step Connection::decode() {
  const auto step = decoder_.next(input_.bytes());
  input_.consume(step.consumed);
  return step;
}

void Connection::start_read() {
  if (reading_ || ended_ || closed_) return;
  input_.make_space();
  if (reader_) input_.grow(std::max(decoder_.longest_line(), InputBuffer::kBodyBytes));
  if (input_.space_bytes() == 0) return;
  reading_ = true;
  stream_->start_read(input_.space(), input_.space_bytes());
}

void Connection::watch_client() {
  if (ended_) {
    cancel_->cancel();
  } else {
    start_read();
  }
}

void Connection::on_read(IoStatus status, std::size_t bytes) {
  reading_ = false;
  input_.append_done(bytes);
  if (status != IoStatus::ok) ended_ = true;
  if (reader_) {
    std::exchange(reader_, {}).resume();
  } else if (running_ && !closed_) {
    watch_client();  // last: a cancelled handler may run to its end and destroy this connection
  }
}

void Connection::set_deadline(std::chrono::milliseconds duration) {
  expired_ = false;
  deadline_ = std::chrono::steady_clock::now() + duration;
}

void Connection::clear_deadline() {
  expired_ = false;
  deadline_ = Deadline::max();
}

void Connection::expire() {
  deadline_ = Deadline::max();
  expired_ = true;
  if (writing_) {
    closed_ = true;
    stream_->reset();  // ends the write
  } else if (reader_) {
    std::exchange(reader_, {}).resume();
  }
}

void Connection::set_output(std::string_view first, std::string_view second) { output_ = {first, second}; }

void Connection::advance_output(std::size_t bytes) {
  for (auto& piece : output_) {
    const std::size_t taken = std::min(bytes, piece.size());
    piece.remove_prefix(taken);
    bytes -= taken;
  }
}

bool Connection::flush_now() {
  if (closed_) write_failed_ = true;
  while (!write_failed_ && !output_empty()) {
    const std::size_t taken = stream_->write_now(output_);
    if (taken == 0) return false;
    advance_output(taken);
  }
  return true;
}

void Connection::on_written(IoStatus status, std::size_t bytes) {
  if (status == IoStatus::ok) {
    advance_output(bytes);
    if (!output_empty() && !closed_) {
      set_deadline(context_.options.write_idle_timeout);
      stream_->start_write(output_);
      return;
    }
  } else {
    write_failed_ = true;
  }
  writing_ = false;
  clear_deadline();
  std::exchange(writer_, {}).resume();
}

// --- The life of a connection
// -----------------------------------------------------------------------------------

Task<bool> Connection::shake_hands() {
  struct Handshake {
    Connection& connection;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
      connection.writer_ = handle;
      connection.writing_ = true;
      connection.set_deadline(connection.context_.options.header_timeout);
      connection.stream_->start_handshake();
    }
    bool await_resume() const { return !connection.write_failed_; }
  } handshake{*this};
  if (!stream_->needs_handshake()) co_return true;
  co_return co_await handshake;
}

Task<void> Connection::serve() {
  const bool ready = co_await shake_hands();
  Linger linger = Linger::no;
  while (ready && !closed_) {
    const HeadOutcome outcome = co_await read_head();
    if (outcome == HeadOutcome::gone) break;
    if (outcome == HeadOutcome::faulty) {
      Error fault = expired_
                        ? Error(ErrorCode::request_timeout, "The request's headers did not arrive in time")
                        : decoder_.error();
      co_await answer_fault(std::move(fault));
      linger = Linger::yes;
      break;
    }
    if (co_await serve_request() == Persistence::close) {
      linger = body_->complete() && input_.empty() ? Linger::no : Linger::yes;
      break;
    }
  }
  co_await close(linger);
}

Task<void> Connection::refuse(Error reason) {
  co_await answer_fault(std::move(reason));
  co_await close(Linger::yes);
}

Task<Connection::HeadOutcome> Connection::read_head() {
  const auto& options = context_.options;
  const bool first = request_.request_id.empty();
  idle_ = true;
  set_deadline(first ? options.header_timeout : options.keep_alive_timeout);
  while (true) {
    const auto step = decode();
    if (step.event != RequestDecoder::Event::need_more) {
      idle_ = false;
      clear_deadline();
      co_return step.event == RequestDecoder::Event::head ? HeadOutcome::complete : HeadOutcome::faulty;
    }
    if (idle_ && (!input_.empty() || decoder_.inside_head())) {
      idle_ = false;
      if (!first) set_deadline(options.header_timeout);
    }
    if (ended_ || closed_ || (idle_ && (expired_ || context_.draining))) co_return HeadOutcome::gone;
    if (expired_) co_return HeadOutcome::faulty;
    co_await more_input();
  }
}

void Connection::begin_request() {
  RequestHead& head = decoder_.head();
  request_.method = head.method;
  std::swap(request_.method_text, head.method_text);
  std::swap(request_.target, head.target);
  std::swap(request_.path, head.path);
  std::swap(request_.query, head.query);
  std::swap(request_.headers, head.headers);
  const auto given_id = request_.header("x-request-id");
  request_.request_id =
      given_id && acceptable_request_id(*given_id) ? std::string(*given_id) : context_.next_request_id();
  cancel_.emplace();
  request_.cancel = &*cancel_;
  request_.closing = context_.closing.get();
  version_ = head.version;
  wanted_persistence_ = head.persistence;
  awaiting_continue_ = head.expectation == Expectation::continue_100;
  response_started_ = false;
  response_bytes_ = 0;
  const bool bodiless = decoder_.remaining_body() == 0;
  if (bodiless) decode();  // takes the end of the request
  body_->begin(context_.options.max_body_bytes, head.content_length, bodiless);
  running_ = true;
}

Task<HttpResponse> Connection::run_handler() {
  try {
    Task<HttpResponse> handling = context_.handler(request_);
    co_return co_await handling;
  } catch (const std::exception& bug) {
    // The client learns nothing of it; the problem maker, which may log, does.
    co_return context_.problems(
        Error(ErrorCode::internal, "The request could not be served").with_detail("exception", bug.what()),
        request_.request_id);
  }
}

Persistence Connection::persistence_after_request() const {
  if (wanted_persistence_ == Persistence::close || context_.draining || ended_ || closed_)
    return Persistence::close;
  if (body_->faulty()) return Persistence::close;
  if (body_->complete()) return Persistence::keep_alive;
  // Nobody knows whether a client that was never told to continue sends its body.
  const bool drainable = !awaiting_continue_ && decoder_.remaining_body() <= kMaxDrainedBytes;
  return drainable ? Persistence::keep_alive : Persistence::close;
}

Task<Persistence> Connection::serve_request() {
  const Deadline started = std::chrono::steady_clock::now();
  begin_request();
  watch_client();
  HttpResponse response = co_await run_handler();
  Persistence persistence = persistence_after_request();
  const Sent sent = co_await write_response(response, persistence);
  running_ = false;
  record_access(response, started);
  response.stream.reset();
  input_.give_back();
  if (output_head_.capacity() > kKeptOutputBytes) output_head_ = std::string();
  if (sent == Sent::broken && !closed_) {
    closed_ = true;
    stream_->reset();
  }
  if (closed_ || context_.draining) persistence = Persistence::close;
  if (persistence == Persistence::close) co_return persistence;
  const bool drained = co_await drain_body();
  co_return drained ? Persistence::keep_alive : Persistence::close;
}

Task<bool> Connection::drain_body() {
  std::uint64_t drained = 0;
  set_deadline(context_.options.body_idle_timeout);
  while (!body_->complete()) {
    const auto step = decode();
    drained += step.body.size();
    if (step.event == RequestDecoder::Event::end) body_->set_complete();
    if (step.event == RequestDecoder::Event::failed || drained > kMaxDrainedBytes) co_return false;
    if (step.event != RequestDecoder::Event::need_more) continue;
    if (ended_ || closed_ || expired_) co_return false;
    co_await more_input();
  }
  clear_deadline();
  co_return true;
}

// --- Responses
// ---------------------------------------------------------------------------------------------------

Task<Connection::Sent> Connection::write_response(HttpResponse& response, Persistence persistence) {
  if (response.stream == nullptr) co_return co_await write_whole(response, persistence);
  co_return co_await write_stream(response, persistence);
}

Task<Connection::Sent> Connection::write_whole(const HttpResponse& response, Persistence persistence) {
  response_started_ = true;
  output_head_.clear();
  append_response_head(output_head_, response, ResponseFraming::length, persistence,
                       context_.date.at(std::time(nullptr)), context_.options.fixed_headers);
  const bool with_body = request_.method != Method::head && status_allows_body(response.status);
  const bool joined = with_body && response.body.size() <= kJoinedBodyBytes;
  if (joined) output_head_ += response.body;
  set_output(output_head_, with_body && !joined ? std::string_view(response.body) : std::string_view());
  if (with_body) response_bytes_ = response.body.size();
  const bool written = co_await flush();
  co_return written ? Sent::whole : Sent::broken;
}

Task<Connection::Sent> Connection::write_stream(HttpResponse& response, Persistence persistence) {
  const bool with_body = request_.method != Method::head && status_allows_body(response.status);
  // The first piece comes before the head, so that an early error still becomes a problem document.
  Result<std::optional<std::string>> piece = std::optional<std::string>();
  if (with_body) piece = co_await response.stream->next();
  if (!piece.ok()) {
    HttpResponse problem = context_.problems(piece.error(), request_.request_id);
    problem.log_tenant = std::move(response.log_tenant);
    problem.log_route = std::move(response.log_route);
    response = std::move(problem);
    co_return co_await write_whole(response, persistence_after_request());
  }
  response_started_ = true;
  const std::optional<std::uint64_t> length = response.stream->length();
  const bool chunked = version_ == HttpVersion::http_1_1 && !length;
  ResponseFraming framing = chunked ? ResponseFraming::chunked : ResponseFraming::to_end;
  if (length) framing = ResponseFraming::length;
  output_head_.clear();
  append_response_head(output_head_, response, framing, persistence, context_.date.at(std::time(nullptr)),
                       context_.options.fixed_headers);
  while (piece.ok() && piece.value()) {
    const std::string& bytes = *piece.value();
    response_bytes_ += bytes.size();
    if (length && response_bytes_ > *length) co_return Sent::broken;  // it would be read as the next answer
    if (chunked && !bytes.empty()) append_chunk(output_head_, bytes);
    set_output(output_head_, chunked ? std::string_view() : std::string_view(bytes));
    const bool written = co_await flush();
    if (!written) {
      cancel_->cancel();
      co_return Sent::broken;
    }
    output_head_.clear();
    piece = co_await response.stream->next();
  }
  if (!piece.ok()) {
    response.log_error_code = error_code_name(piece.error().code);
    co_return Sent::broken;
  }
  if (with_body && chunked && status_allows_body(response.status)) output_head_ += kLastChunk;
  set_output(output_head_);
  const bool written = co_await flush();
  const bool whole = !with_body || !length || response_bytes_ == *length;
  co_return written&& whole ? Sent::whole : Sent::broken;
}

Task<void> Connection::answer_fault(Error fault) {
  const Deadline started = std::chrono::steady_clock::now();
  request_.method = Method::other;
  request_.method_text = request_.path = "-";  // what was read of them cannot be trusted
  request_.headers.clear();
  request_.request_id = context_.next_request_id();
  body_->begin(0, 0, true);
  response_bytes_ = 0;
  HttpResponse response = context_.problems(fault, request_.request_id);
  if (response.log_error_code.empty()) response.log_error_code = error_code_name(fault.code);
  co_await write_whole(response, Persistence::close);
  record_access(response, started);
}

void Connection::record_access(const HttpResponse& response, Deadline started) {
  if (!context_.access) return;
  AccessRecord record;
  record.method = request_.method_text;
  record.path = request_.path;
  record.peer = peer_;
  record.request_id = request_.request_id;
  record.tenant = response.log_tenant;
  record.route = response.log_route;
  record.error_code = response.log_error_code;
  record.user_agent = request_.header("user-agent").value_or(std::string_view());
  record.status = response.status;
  record.request_bytes = body_->received();
  record.response_bytes = response_bytes_;
  record.duration =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - started);
  context_.access(record);
}

// --- The end
// ------------------------------------------------------------------------------------------------------

Task<void> Connection::close(Linger linger) {
  struct Shutdown {
    Connection& connection;
    bool await_ready() const noexcept { return connection.closed_ || connection.write_failed_; }
    void await_suspend(std::coroutine_handle<> handle) {
      connection.writer_ = handle;
      connection.writing_ = true;
      connection.stream_->start_shutdown();
    }
    void await_resume() const noexcept {}
  } shutdown{*this};
  const bool tls = stream_->needs_handshake();
  if (linger == Linger::yes && !tls) co_await shutdown;
  set_deadline(kLingerTime);
  while (linger == Linger::yes && !ended_ && !closed_ && !expired_) {
    input_.clear();
    co_await more_input();
  }
  if (tls && !expired_ && !ended_) {
    set_deadline(kLingerTime);
    co_await shutdown;
  }
  clear_deadline();
  closed_ = true;
  stream_->close();
  while (reading_) co_await more_input();  // until the outstanding read has told its end
}

void Connection::start_drain() {
  if (idle_ && reader_) std::exchange(reader_, {}).resume();
}

void Connection::abort() {
  closed_ = true;
  stream_->reset();
  if (reader_) {
    // read_head(), drain_body() and close() look at closed_; so does a handler that reads the body.
    std::exchange(reader_, {}).resume();
  } else if (running_) {
    cancel_->cancel();
  }
}

}  // namespace rowhouse::net
