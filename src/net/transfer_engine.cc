#include "net/transfer_engine.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <utility>

namespace rowhouse::net {

struct TransferEngine::Callbacks {
  static int on_socket(CURL*, curl_socket_t socket, int what, void* engine, void*) {
    static_cast<TransferEngine*>(engine)->want(socket, what);
    return 0;
  }
  static int on_timer(CURLM*, long timeout_ms, void* engine) {
    static_cast<TransferEngine*>(engine)->set_timer(timeout_ms);
    return 0;
  }
};

TransferEngine::TransferEngine(Executor& executor, const EgressPolicy& policy, TransferOptions options)
    : executor_(executor), policy_(policy), options_(std::move(options)) {
  static std::once_flag initialized;
  std::call_once(initialized, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  multi_.reset(curl_multi_init());
  if (multi_ == nullptr) std::abort();  // out of memory
  CURLM* multi = multi_.get();
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, Callbacks::on_socket);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, Callbacks::on_timer);
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, static_cast<long>(options_.max_idle_connections));
  curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                    static_cast<long>(options_.max_connections_per_host));
}

TransferEngine::~TransferEngine() {
  if (transfers_ > 0) {
    std::fprintf(stderr, "HttpTransfers destroyed with %zu transfers under way\n", transfers_);
    std::abort();
  }
  multi_.reset();  // closes kept connections by way of close_socket()
}

bool TransferEngine::add(CURL* easy) {
  if (curl_multi_add_handle(multi_.get(), easy) != CURLM_OK) return false;
  ++transfers_;
  return true;
}

void TransferEngine::remove(CURL* easy) {
  curl_multi_remove_handle(multi_.get(), easy);
  --transfers_;
}

void TransferEngine::close_socket(curl_socket_t socket) {
  sockets_.erase(socket);  // before the number means another one
  ::close(socket);
}

void TransferEngine::want(curl_socket_t socket, int what) {
  if (what == CURL_POLL_REMOVE) {
    sockets_.erase(socket);
    return;
  }
  Socket& entry = sockets_[socket];
  if (entry.watch == nullptr) entry.watch = executor_.watch(socket);
  entry.wanted = what;  // CURL_POLL_INOUT is both bits
  arm(socket);
}

void TransferEngine::arm(curl_socket_t socket) {
  const auto found = sockets_.find(socket);
  if (found == sockets_.end()) return;
  Socket& entry = found->second;
  const int missing = entry.wanted & ~entry.armed;
  entry.armed |= missing;
  if ((missing & CURL_POLL_IN) != 0) {
    entry.watch->when_readable([this, socket] { on_ready(socket, CURL_POLL_IN); });
  }
  if ((missing & CURL_POLL_OUT) != 0) {
    entry.watch->when_writable([this, socket] { on_ready(socket, CURL_POLL_OUT); });
  }
}

void TransferEngine::on_ready(curl_socket_t socket, int what) {
  const auto found = sockets_.find(socket);
  if (found == sockets_.end()) return;
  found->second.armed &= ~what;
  if ((found->second.wanted & what) == 0) return;
  drive(socket, what == CURL_POLL_IN ? CURL_CSELECT_IN : CURL_CSELECT_OUT);
  arm(socket);
}

void TransferEngine::set_timer(long timeout_ms) {
  timer_.reset();
  if (timeout_ms < 0) return;
  timer_ = executor_.after(std::chrono::milliseconds(timeout_ms), [this] { drive(CURL_SOCKET_TIMEOUT, 0); });
}

void TransferEngine::drive(curl_socket_t socket, int events) {
  int running = 0;
  curl_multi_socket_action(multi_.get(), socket, events, &running);
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    Transfer* transfer = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    transfer->on_done(message->data.result);
  }
}

}  // namespace rowhouse::net
