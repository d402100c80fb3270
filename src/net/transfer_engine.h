// libcurl's multi interface on an Executor: one Transfer for each request under way.
//
// What waits is a coroutine; what curl calls back only fills buffers and marks the transfer. Waiting
// coroutines are resumed by a post of their own, never from inside curl, so that they may begin, end and
// destroy transfers as they like. Protocol: https://curl.se/libcurl/c/libcurl-multi.html, "multi_socket".
// Everything on the executor's thread.
#pragma once

#include <curl/curl.h>

#include <array>
#include <coroutine>
#include <map>
#include <memory>
#include <string>

#include "net/http_transfer.h"

namespace rowhouse::net {

class TransferEngine;

struct EasyCloser {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct CurlListFreer {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
struct MultiCloser {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
using CurlList = std::unique_ptr<curl_slist, CurlListFreer>;

// Where a URL leads, taken apart in one way only: what curl could read otherwise is refused.
struct TransferTarget {
  std::string host;  // lower case, without brackets
  std::uint16_t port = 0;
  enum class Scheme { http, https } scheme = Scheme::https;
  std::string place() const;  // "host:port", for messages
};
// Errors: address_refused.
Result<TransferTarget> target_of(const std::string& url);

class Transfer : public std::enable_shared_from_this<Transfer> {
 public:
  enum class Upload { running, complete };

  Transfer(TransferEngine& engine, TransferTarget target, TransferRequest request);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  Result<void> start();
  // Pulls the source dry and waits for the head. Resumes with the source idle, whatever happens.
  Task<Result<void>> exchange_head(CallOptions options);
  Task<Result<std::optional<std::string>>> next_piece(CallOptions options);

  int status() const { return status_; }
  const std::vector<Header>& headers() const { return headers_; }

  void on_done(CURLcode code);  // by the engine
  void abandon();               // ends it, if it has not ended; nothing may be awaited then

 private:
  struct Callbacks;  // what curl calls
  enum class Stop { none, head_too_long, answered_early, switched_protocols };

  Result<void> make_header_lines();
  void set_options();
  void set_body();
  void end_head();
  Task<Result<void>> feed_source(CallOptions options);
  Task<Result<void>> give(std::string piece, CallOptions options);
  // Suspends until something happened (or the deadline, a cancellation or idleness: the error says so).
  Task<Result<void>> wait(CallOptions options);
  Result<void> check_caller(const CallOptions& options) const;
  Result<Deadline> give_up_at(const CallOptions& options);
  Error unreachable(std::string_view reason) const;
  void notify();
  void resume_curl();
  Error failure() const;
  void touch() { last_activity_ = std::chrono::steady_clock::now(); }

  TransferEngine& engine_;
  const TransferTarget target_;
  TransferRequest request_;
  std::unique_ptr<CURL, EasyCloser> easy_;
  CurlList header_lines_;
  CurlList resolve_;
  std::array<char, CURL_ERROR_SIZE> detail_{};
  bool is_added_ = false;

  // The head.
  int status_ = 0;
  std::vector<Header> headers_;
  std::size_t header_bytes_ = 0;
  bool has_head_ = false;

  // The body that is sent: one piece at a time, `taken_` bytes of it are curl's.
  std::string piece_;
  std::size_t taken_ = 0;
  std::uint64_t sent_before_ = 0;  // bytes of the pieces before this one
  Upload upload_ = Upload::complete;
  bool is_upload_paused_ = false;

  // The body that is received.
  std::string received_;
  bool is_download_paused_ = false;

  bool is_done_ = false;  // curl has ended it
  CURLcode code_ = CURLE_OK;
  Stop stop_ = Stop::none;

  bool has_begun_ = false;  // a connection is there: silence counts from now on
  Deadline last_activity_;
  curl_off_t last_sent_ = 0;
  bool is_refused_ = false;  // an address that the policy does not allow
  std::coroutine_handle<> waiter_;
  bool is_wake_posted_ = false;
};

class TransferEngine {
 public:
  TransferEngine(Executor& executor, const EgressPolicy& policy, TransferOptions options);
  ~TransferEngine();
  TransferEngine(const TransferEngine&) = delete;
  TransferEngine& operator=(const TransferEngine&) = delete;

  Executor& executor() { return executor_; }
  const EgressPolicy& policy() const { return policy_; }
  const TransferOptions& options() const { return options_; }

  bool add(CURL* easy);
  void remove(CURL* easy);
  void close_socket(curl_socket_t socket);

 private:
  struct Callbacks;
  struct Socket {
    std::unique_ptr<FdWatch> watch;
    int wanted = 0;  // CURL_POLL_IN | CURL_POLL_OUT
    int armed = 0;
  };

  void want(curl_socket_t socket, int what);
  void arm(curl_socket_t socket);
  void on_ready(curl_socket_t socket, int what);
  void set_timer(long timeout_ms);
  void drive(curl_socket_t socket, int events);

  Executor& executor_;
  const EgressPolicy& policy_;
  const TransferOptions options_;
  std::map<curl_socket_t, Socket> sockets_;
  std::unique_ptr<Timer> timer_;
  std::size_t transfers_ = 0;
  std::unique_ptr<CURLM, MultiCloser> multi_;
};

}  // namespace rowhouse::net
