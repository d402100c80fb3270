// One client's connection: reads requests, runs the handler, writes responses. Used by http_server.cc alone.
//
// A read is kept outstanding while the handler runs. It tells when the client goes away (which fires
// HttpRequest::cancel; the end of the client's sending counts as going away) and what else it reads is the
// next pipelined request, kept in a bounded buffer until its turn.
#pragma once

#include <array>
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/http_server.h"
#include "net/request_decoder.h"
#include "net/response_encoder.h"
#include "net/stream.h"

namespace rowhouse::net {

// What the connections of one server share.
struct ServerContext {
  ServerOptions options;
  HttpHandler handler;
  ProblemMaker problems;
  AccessSink access;
  DateCache date;
  bool draining = false;
  std::unique_ptr<CancelSource> closing = std::make_unique<CancelSource>();  // fires with `draining`
  std::string request_id_prefix;
  std::uint64_t request_count = 0;

  std::string next_request_id();
};

// Bytes received and not yet consumed, in one block of memory: a read in flight writes behind end(), a piece
// of the body that was lent to the handler lies before it, so the block moves only when neither is the case.
class InputBuffer {
 public:
  static constexpr std::size_t kInitialBytes = 4U << 10;
  static constexpr std::size_t kBodyBytes = 64U << 10;

  InputBuffer() : memory_(std::make_unique_for_overwrite<char[]>(kInitialBytes)), capacity_(kInitialBytes) {}

  std::string_view bytes() const { return {memory_.get() + begin_, end_ - begin_}; }
  bool empty() const { return begin_ == end_; }
  void consume(std::size_t count) { begin_ += count; }
  void append_done(std::size_t count) { end_ += count; }
  void clear() { begin_ = end_; }
  void lend() { lent_ = true; }
  void give_back() { lent_ = false; }

  char* space() { return memory_.get() + end_; }
  std::size_t space_bytes() const { return capacity_ - end_; }
  // Each of these only while no read is in flight.
  void make_space();                        // moves the bytes to the front where that is allowed
  void grow(std::size_t max_capacity);      // doubles, if the block is full and not lent
  void resize_empty(std::size_t capacity);  // another block, if this one is empty and not lent

 private:
  std::unique_ptr<char[]> memory_;
  std::size_t capacity_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool lent_ = false;
};

class Connection final : private StreamUser {
 public:
  Connection(ServerContext& context, std::unique_ptr<Stream> stream);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Ends when the connection is closed and nothing of it is under way any more.
  Task<void> serve();
  // Answers with a problem instead, without reading the request.
  Task<void> refuse(Error reason);

  bool due(Deadline now) const { return now >= deadline_; }
  void expire();  // the deadline has passed
  // The next two may end and destroy the connection before they return.
  void start_drain();  // closes now if idle, otherwise after the current response
  void abort();        // cancels the handler and cuts the connection

 private:
  class Body;
  struct InputAwaiter;
  struct WriteAwaiter;
  enum class HeadOutcome { complete, faulty, gone };
  enum class Sent { whole, broken };
  enum class Linger { no, yes };

  void on_read(IoStatus status, std::size_t bytes) override;
  void on_written(IoStatus status, std::size_t bytes) override;

  InputAwaiter more_input();
  WriteAwaiter flush();
  RequestDecoder::Step decode();
  void start_read();
  void watch_client();
  void set_deadline(std::chrono::milliseconds duration);
  void clear_deadline();

  void set_output(std::string_view first, std::string_view second = {});
  bool flush_now();
  void advance_output(std::size_t bytes);
  bool output_empty() const { return output_[0].empty() && output_[1].empty(); }

  Task<bool> shake_hands();
  Task<HeadOutcome> read_head();
  void begin_request();
  Task<Persistence> serve_request();
  Task<HttpResponse> run_handler();
  Persistence persistence_after_request() const;
  Task<Sent> write_response(HttpResponse& response, Persistence persistence);
  Task<Sent> write_whole(const HttpResponse& response, Persistence persistence);
  Task<Sent> write_stream(HttpResponse& response, Persistence persistence);
  Task<bool> drain_body();
  Task<void> answer_fault(Error fault);
  Task<void> close(Linger linger);
  void record_access(const HttpResponse& response, Deadline started);

  ServerContext& context_;
  std::unique_ptr<Stream> stream_;
  RequestDecoder decoder_;
  InputBuffer input_;
  std::string peer_;

  // The request that is being served.
  HttpRequest request_;
  std::unique_ptr<Body> body_;
  std::optional<CancelSource> cancel_;
  HttpVersion version_ = HttpVersion::http_1_1;
  Persistence wanted_persistence_ = Persistence::keep_alive;
  bool awaiting_continue_ = false;  // the client waits for "100 Continue" before it sends the body
  bool response_started_ = false;
  bool running_ = false;  // between the head and the end of the response
  std::uint64_t response_bytes_ = 0;

  // Input and output under way.
  std::coroutine_handle<> reader_;  // waits for input, its end, or the deadline
  std::coroutine_handle<> writer_;  // waits for a write, handshake or shutdown to end
  bool reading_ = false;
  bool writing_ = false;
  bool ended_ = false;   // no more input will come
  bool closed_ = false;  // the stream was closed
  bool write_failed_ = false;
  bool expired_ = false;  // the deadline passed since it was set
  bool idle_ = false;     // between requests: a drain may close at once
  Deadline deadline_ = Deadline::max();
  std::string output_head_;
  std::array<std::string_view, 2> output_;
};

}  // namespace rowhouse::net
