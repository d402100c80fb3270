#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/text.h"
#include "net/transfer_engine.h"

namespace rowhouse::net {
namespace {

constexpr std::size_t kMaxUrlBytes = 16 * 1024;
constexpr std::size_t kMaxReceivedBytes = kMaxTransferBuffer / 2;
constexpr long kCurlBufferBytes = 64 * 1024;
constexpr std::chrono::milliseconds kLongestWait{60'000};
constexpr std::chrono::milliseconds kShortestWait{1};

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

bool is_header_value(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

struct Suspension {
  std::coroutine_handle<>& waiter;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) { waiter = handle; }
  void await_resume() const noexcept {}
};

}  // namespace

std::string TransferTarget::place() const {
  return fmt::format(fmt::runtime(host.find(':') == std::string::npos ? "{}:{}" : "[{}]:{}"), host, port);
}

Result<TransferTarget> target_of(const std::string& url) {
  const Error refused(ErrorCode::address_refused, "the URL cannot be used: it is not https://HOST[:PORT]/…");
  const bool is_text = url.size() <= kMaxUrlBytes && std::all_of(url.begin(), url.end(), [](char c) {
                         return c > ' ' && c < 0x7f && c != '\\' && c != '#';
                       });
  if (!is_text) return refused;
  TransferTarget target;
  std::string_view rest = url;
  if (rest.starts_with("https://")) {
    target.port = 443;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    target.scheme = TransferTarget::Scheme::http;
    target.port = 80;
    rest.remove_prefix(7);
  } else {
    return refused;
  }
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  if (authority.find('@') != std::string_view::npos) return refused;
  std::size_t host_end = authority.find(':');
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return refused;
    target.host = to_lower_ascii(authority.substr(1, close - 1));
    if (target.host.find(':') == std::string::npos) return refused;
    host_end = close + 1;
  } else {
    target.host = to_lower_ascii(authority.substr(0, host_end));
  }
  if (host_end >= authority.size()) return target;
  const std::string_view port = authority.substr(host_end + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), target.port);
  const bool is_port = authority[host_end] == ':' && error == std::errc() && end == port.data() + port.size();
  if (!is_port || target.port == 0) return refused;
  return target;
}

struct Transfer::Callbacks {
  static std::size_t on_header(char* data, std::size_t, std::size_t size, void* context) {
    auto& transfer = *static_cast<Transfer*>(context);
    transfer.touch();
    transfer.header_bytes_ += size;
    if (transfer.header_bytes_ > transfer.engine_.options().max_header_bytes) {
      transfer.stop_ = Stop::head_too_long;
      return CURL_WRITEFUNC_ERROR;
    }
    if (transfer.has_head_) return size;  // trailers
    const std::string_view line = trim({data, size});
    const std::size_t colon = line.find(':');
    if (line.starts_with("HTTP/")) {
      transfer.headers_.clear();  // of an interim response
    } else if (line.empty()) {
      transfer.end_head();
    } else if (colon != std::string_view::npos) {
      transfer.headers_.emplace_back(line.substr(0, colon), trim(line.substr(colon + 1)));
    }
    return transfer.stop_ == Stop::none ? size : CURL_WRITEFUNC_ERROR;
  }

  static std::size_t on_body(char* data, std::size_t, std::size_t size, void* context) {
    auto& transfer = *static_cast<Transfer*>(context);
    if (transfer.received_.size() >= kMaxReceivedBytes) {
      transfer.is_download_paused_ = true;
      return CURL_WRITEFUNC_PAUSE;
    }
    transfer.touch();
    transfer.received_.append(data, size);
    transfer.notify();
    return size;
  }

  static std::size_t on_upload(char* buffer, std::size_t, std::size_t capacity, void* context) {
    auto& transfer = *static_cast<Transfer*>(context);
    const std::size_t count = std::min(capacity, transfer.piece_.size() - transfer.taken_);
    if (count == 0) {
      if (transfer.upload_ == Upload::complete) return 0;
      transfer.is_upload_paused_ = true;
      return CURL_READFUNC_PAUSE;
    }
    transfer.touch();
    std::copy_n(transfer.piece_.data() + transfer.taken_, count, buffer);
    transfer.taken_ += count;
    if (transfer.taken_ == transfer.piece_.size()) transfer.notify();
    return count;
  }

  // A kept connection may turn out to be dead; what was handed out of the first piece can be sent again.
  static int on_seek(void* context, curl_off_t offset, int origin) {
    auto& transfer = *static_cast<Transfer*>(context);
    if (origin != SEEK_SET || offset != 0 || transfer.sent_before_ != 0) return CURL_SEEKFUNC_FAIL;
    transfer.taken_ = 0;
    return CURL_SEEKFUNC_OK;
  }

  static curl_socket_t on_open_socket(void* context, curlsocktype, curl_sockaddr* address) {
    auto& transfer = *static_cast<Transfer*>(context);
    if (!transfer.engine_.policy().may_connect(transfer.target_.host, address->addr)) {
      transfer.is_refused_ = true;
      return CURL_SOCKET_BAD;
    }
    return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  }

  // The connection may outlive the transfer that opened it.
  static int on_close_socket(void* engine, curl_socket_t socket) {
    static_cast<TransferEngine*>(engine)->close_socket(socket);
    return 0;
  }

  static int on_connected(void* context, char*, char*, int, int) {
    auto& transfer = *static_cast<Transfer*>(context);
    transfer.has_begun_ = true;
    transfer.touch();
    transfer.notify();  // who waits has another time to give up at now
    return CURL_PREREQFUNC_OK;
  }
};

Transfer::Transfer(TransferEngine& engine, TransferTarget target, TransferRequest request)
    : engine_(engine), target_(std::move(target)), request_(std::move(request)) {
  if (request_.source == nullptr) {
    piece_ = std::move(request_.body);
  } else {
    upload_ = Upload::running;
  }
  touch();
}

Transfer::~Transfer() { abandon(); }

void Transfer::abandon() {
  if (is_added_) engine_.remove(easy_.get());
  is_added_ = false;
  easy_.reset();
}

Result<void> Transfer::start() {
  TRY_DO(make_header_lines());
  easy_.reset(curl_easy_init());
  if (easy_ == nullptr) return Error(ErrorCode::internal, "curl_easy_init failed");
  set_options();
  set_body();
  is_added_ = engine_.add(easy_.get());
  if (!is_added_) return Error(ErrorCode::internal, "curl_multi_add_handle failed");
  return {};
}

Result<void> Transfer::make_header_lines() {
  const auto add = [this](const std::string& line) {
    curl_slist* extended = curl_slist_append(header_lines_.get(), line.c_str());
    if (extended == nullptr) return;
    static_cast<void>(header_lines_.release());
    header_lines_.reset(extended);
  };
  if (!is_token(request_.method)) return Error(ErrorCode::internal, "the method is no token");
  // curl adds these by itself unless they are named without a value.
  std::vector<std::string> unwanted = {"Accept", "Expect", "Content-Type"};
  for (const Header& header : request_.headers) {
    const std::string& name = header.first;
    const std::string& value = header.second;
    if (!is_token(name) || !is_header_value(value)) {
      return Error(ErrorCode::internal, "a header of the request is not one line");
    }
    std::erase_if(unwanted, [&](const std::string& other) { return equals_ignoring_case(other, name); });
    add(value.empty() ? name + ";" : fmt::format("{}: {}", name, value));
  }
  for (const std::string& name : unwanted) add(name + ":");
  return {};
}

void Transfer::set_options() {
  CURL* easy = easy_.get();
  const TransferOptions& options = engine_.options();
  curl_easy_setopt(easy, CURLOPT_PRIVATE, this);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, detail_.data());
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  // Without it, ending a transfer waits for its name look-up: a slow name server would stop the loop.
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR,
                   target_.scheme == TransferTarget::Scheme::http ? "http" : "https");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(easy, CURLOPT_URL, request_.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, kCurlBufferBytes);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  if (!options.ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, options.ca_file.c_str());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, header_lines_.get());
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, Callbacks::on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, Callbacks::on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, Callbacks::on_open_socket);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, this);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, Callbacks::on_close_socket);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, &engine_);
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, Callbacks::on_connected);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, this);
  const std::vector<std::string> answers = options.resolve ? options.resolve() : std::vector<std::string>();
  for (const std::string& entry : answers) {
    curl_slist* extended = curl_slist_append(resolve_.get(), entry.c_str());
    if (extended == nullptr) continue;
    static_cast<void>(resolve_.release());
    resolve_.reset(extended);
  }
  if (resolve_ != nullptr) curl_easy_setopt(easy, CURLOPT_RESOLVE, resolve_.get());
}

void Transfer::set_body() {
  CURL* easy = easy_.get();
  const std::string& method = request_.method;
  const bool has_body = request_.source != nullptr || !piece_.empty() || method == "POST" ||
                        method == "PUT" || method == "PATCH";
  if (has_body) {
    const std::uint64_t bytes = request_.source != nullptr ? request_.source_bytes : piece_.size();
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(bytes));
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, Callbacks::on_upload);
    curl_easy_setopt(easy, CURLOPT_READDATA, this);
    curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, Callbacks::on_seek);
    curl_easy_setopt(easy, CURLOPT_SEEKDATA, this);
  } else if (method == "HEAD") {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  }
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method.c_str());
}

void Transfer::end_head() {
  long status = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status == 101) stop_ = Stop::switched_protocols;
  if (status < 200) return;
  status_ = static_cast<int>(status);
  has_head_ = true;
  // Success without having seen the body cannot be true.
  if (upload_ == Upload::running && status < 300) stop_ = Stop::answered_early;
  notify();
}

void Transfer::on_done(CURLcode code) {
  is_done_ = true;
  code_ = code;
  notify();
}

void Transfer::notify() {
  if (!waiter_ || is_wake_posted_) return;
  is_wake_posted_ = true;
  engine_.executor().post([weak = weak_from_this()] {
    const std::shared_ptr<Transfer> transfer = weak.lock();
    if (transfer == nullptr) return;
    transfer->is_wake_posted_ = false;
    const std::coroutine_handle<> waiter = std::exchange(transfer->waiter_, {});
    if (waiter) waiter.resume();
  });
}

Error Transfer::unreachable(std::string_view reason) const {
  return Error(ErrorCode::server_unreachable, fmt::format("{}: {}", target_.place(), reason));
}

Error Transfer::failure() const {
  if (stop_ == Stop::head_too_long) return unreachable("the head of the answer is too long");
  if (stop_ == Stop::answered_early) return unreachable("it answered before it had read the request");
  if (stop_ == Stop::switched_protocols) return unreachable("it answered in another protocol");
  if (is_refused_ && code_ == CURLE_COULDNT_CONNECT) return egress_refused(target_.host);
  return unreachable(detail_[0] != '\0' ? detail_.data() : curl_easy_strerror(code_));
}

Result<void> Transfer::check_caller(const CallOptions& options) const {
  if (options.cancel != nullptr && options.cancel->cancelled()) {
    return Error(ErrorCode::cancelled, "the transfer was given up");
  }
  if (std::chrono::steady_clock::now() < options.deadline) return {};
  return unreachable("no answer within the time that was given");
}

// When to stop waiting, or why to stop at once.
Result<Deadline> Transfer::give_up_at(const CallOptions& options) {
  TRY_DO(check_caller(options));
  if (!has_begun_ || is_done_) return options.deadline;
  curl_off_t sent = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_SIZE_UPLOAD_T, &sent);
  if (std::exchange(last_sent_, sent) != sent) touch();
  const Deadline idle = last_activity_ + engine_.options().idle_timeout;
  if (std::chrono::steady_clock::now() >= idle) return unreachable("the connection is silent");
  return std::min(idle, options.deadline);
}

Task<Result<void>> Transfer::wait(CallOptions options) {
  CO_TRY(const Deadline until, give_up_at(options));
  CancelSource::Registration registration;
  if (options.cancel != nullptr) registration = options.cancel->on_cancel([this] { notify(); });
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
  const auto delay = std::clamp(left + kShortestWait, kShortestWait, kLongestWait);
  const std::unique_ptr<Timer> timer = engine_.executor().after(delay, [this] { notify(); });
  Suspension suspension{waiter_};
  co_await suspension;
  co_return Result<void>();
}

void Transfer::resume_curl() {
  const int still_paused = (is_upload_paused_ ? CURLPAUSE_SEND : CURLPAUSE_CONT) |
                           (is_download_paused_ ? CURLPAUSE_RECV : CURLPAUSE_CONT);
  curl_easy_pause(easy_.get(), still_paused);
}

Task<Result<void>> Transfer::give(std::string piece, CallOptions options) {
  while (taken_ < piece_.size() && !has_head_ && !is_done_) CO_TRY_DO(co_await wait(options));
  if (has_head_ || is_done_) co_return Result<void>();
  sent_before_ += piece_.size();
  piece_ = std::move(piece);
  taken_ = 0;
  touch();
  if (std::exchange(is_upload_paused_, false)) resume_curl();
  co_return Result<void>();
}

// The last bytes are held back until the source has said that it ended well: a body whose checksum turns
// out to be wrong never becomes whole at the other side.
Task<Result<void>> Transfer::feed_source(CallOptions options) {
  std::uint64_t given = 0;
  std::optional<std::string> last;
  while (!has_head_ && !is_done_) {
    CO_TRY_DO(check_caller(options));
    CO_TRY(std::optional<std::string> piece, co_await request_.source->next());
    if (!piece.has_value()) break;
    given += piece->size();
    if (given > request_.source_bytes)
      co_return Error(ErrorCode::internal, "the body is longer than announced");
    if (piece->empty()) continue;
    if (given == request_.source_bytes) {
      last = std::move(piece);
      continue;
    }
    CO_TRY_DO(co_await give(std::move(*piece), options));
  }
  if (has_head_ || is_done_) co_return Result<void>();
  if (given < request_.source_bytes)
    co_return Error(ErrorCode::internal, "the body is shorter than announced");
  if (last.has_value()) CO_TRY_DO(co_await give(std::move(*last), options));
  upload_ = Upload::complete;
  co_return Result<void>();
}

Task<Result<void>> Transfer::exchange_head(CallOptions options) {
  // A request without a byte of body would be complete before its source was asked.
  const bool asks_first = request_.source != nullptr && request_.source_bytes == 0;
  if (asks_first) CO_TRY_DO(co_await feed_source(options));
  CO_TRY_DO(start());
  if (request_.source != nullptr && !asks_first) CO_TRY_DO(co_await feed_source(options));
  touch();
  while (!has_head_ && !is_done_) CO_TRY_DO(co_await wait(options));
  if (stop_ != Stop::none || !has_head_) co_return failure();
  upload_ = Upload::complete;
  if (std::exchange(is_upload_paused_, false) && !is_done_) resume_curl();
  co_return Result<void>();
}

Task<Result<std::optional<std::string>>> Transfer::next_piece(CallOptions options) {
  touch();
  while (received_.empty() && !is_done_) CO_TRY_DO(co_await wait(options));
  if (received_.empty() && code_ != CURLE_OK) co_return failure();
  if (received_.empty()) co_return std::optional<std::string>();
  std::optional<std::string> piece = std::exchange(received_, std::string());
  if (std::exchange(is_download_paused_, false) && !is_done_) resume_curl();
  co_return piece;
}

}  // namespace rowhouse::net
