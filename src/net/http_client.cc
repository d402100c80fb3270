#include "net/http_client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <cstring>
#include <memory>
#include <mutex>

#include "base/text.h"

namespace rowhouse::net {
namespace {

struct EasyCloser {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct ListFreer {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
struct UrlCloser {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Easy = std::unique_ptr<CURL, EasyCloser>;
using List = std::unique_ptr<curl_slist, ListFreer>;

enum class Stopped { no, by_sink, while_waiting, too_long };

struct Transfer {
  CURL* easy;
  const ClientRequest& request;
  ClientResponse response;
  Stopped stopped = Stopped::no;
};

bool is_success(long status) { return status >= 200 && status < 300; }

std::size_t on_header(char* data, std::size_t, std::size_t size, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  const std::string_view line = trim({data, size});
  const std::size_t colon = line.find(':');
  if (line.starts_with("HTTP/")) {
    transfer.response.headers.clear();  // of an interim response
  } else if (colon != std::string_view::npos) {
    transfer.response.headers.emplace_back(line.substr(0, colon), trim(line.substr(colon + 1)));
  }
  return size;
}

std::size_t on_body(char* data, std::size_t, std::size_t size, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  long status = 0;
  curl_easy_getinfo(transfer.easy, CURLINFO_RESPONSE_CODE, &status);
  if (!transfer.request.body_sink || !is_success(status)) {
    const std::size_t most = transfer.request.max_response_bytes;
    if (most > 0 && transfer.response.body.size() + size > most) {
      transfer.stopped = Stopped::too_long;
      return CURL_WRITEFUNC_ERROR;
    }
    transfer.response.body.append(data, size);
    return size;
  }
  if (transfer.request.body_sink({data, size})) return size;
  transfer.stopped = Stopped::by_sink;
  return CURL_WRITEFUNC_ERROR;
}

std::size_t on_upload(char* buffer, std::size_t, std::size_t capacity, void* context) {
  return static_cast<Transfer*>(context)->request.body_source(buffer, capacity);
}

int on_progress(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& transfer = *static_cast<Transfer*>(context);
  if (transfer.request.while_waiting()) return 0;
  transfer.stopped = Stopped::while_waiting;
  return 1;
}

curl_socket_t on_open_socket(void* context, curlsocktype, curl_sockaddr* address) {
  const auto& transfer = *static_cast<const Transfer*>(context);
  if (!transfer.request.may_connect(address->addr)) return CURL_SOCKET_BAD;
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// A proxy from the environment is right for a far server and wrong for the one on this machine.
bool is_loopback(const std::string& url) {
  const std::unique_ptr<CURLU, UrlCloser> parsed(curl_url());
  char* host = nullptr;
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK ||
      curl_url_get(parsed.get(), CURLUPART_HOST, &host, 0) != CURLUE_OK) {
    return false;
  }
  const std::string_view name = host;
  const bool loopback = name == "localhost" || name == "[::1]" || name.starts_with("127.");
  curl_free(host);
  return loopback;
}

List make_headers(const ClientRequest& request) {
  List list;
  const auto add = [&list](const std::string& line) {
    curl_slist* extended = curl_slist_append(list.get(), line.c_str());
    if (extended == nullptr) return;
    static_cast<void>(list.release());
    list.reset(extended);
  };
  bool has_content_type = false;
  for (const auto& [name, value] : request.headers) {
    if (equals_ignoring_case(name, "content-type")) has_content_type = true;
    // libcurl drops a header without a value unless it ends in a semicolon.
    add(value.empty() ? name + ";" : fmt::format("{}: {}", name, value));
  }
  if (!has_content_type) add("Content-Type:");  // libcurl would claim a form
  return list;
}

void set_body(CURL* easy, Transfer& transfer) {
  const ClientRequest& request = transfer.request;
  if (request.body_source) {
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_upload);
    curl_easy_setopt(easy, CURLOPT_READDATA, &transfer);
  } else if (!request.body.empty() || request.method == "POST" || request.method == "PUT" ||
             request.method == "PATCH") {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.data());
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  } else if (request.method == "HEAD") {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  }
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
}

std::string advice(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
      return "Is the server running, and is the address right?";
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return "Name the certificate authority's file if it is a private one.";
    case CURLE_OPERATION_TIMEDOUT:
      return "The server did not answer in time; try again or allow more time.";
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
      return "The connection broke before the response was complete; look at the server's log.";
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return "A server's address looks like http://127.0.0.1:8080.";
    default:
      return "Look at the server's log.";
  }
}

Error unreachable(const ClientRequest& request, CURLcode code, const char* detail) {
  const std::string_view reason = *detail != '\0' ? std::string_view(detail) : curl_easy_strerror(code);
  return Error(ErrorCode::server_unreachable,
               fmt::format("{} {} failed: {}. {}", request.method, request.url, reason, advice(code)));
}

}  // namespace

Result<ClientResponse> send(const ClientRequest& request) {
  static std::once_flag initialized;
  std::call_once(initialized, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });

  const bool kept = request.connection == ClientRequest::Connection::kept;
  thread_local Easy kept_handle;
  Easy fresh_handle;
  Easy& easy = kept ? kept_handle : fresh_handle;
  if (easy == nullptr) easy.reset(curl_easy_init());
  if (easy == nullptr) return unreachable(request, CURLE_FAILED_INIT, "");
  CURL* handle = easy.get();
  curl_easy_reset(handle);  // options alone: its connection stays
  Transfer transfer{handle, request, {}, Stopped::no};
  char detail[CURL_ERROR_SIZE] = "";
  const List headers = make_headers(request);

  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, detail);
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(handle, CURLOPT_PATH_AS_IS, 1L);
  if (is_loopback(request.url)) curl_easy_setopt(handle, CURLOPT_PROXY, "");
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.connect_timeout.count()));
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
  if (!request.ca_file.empty()) curl_easy_setopt(handle, CURLOPT_CAINFO, request.ca_file.c_str());
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &transfer);
  if (request.while_waiting) {
    curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &transfer);
  }
  if (request.may_connect) {
    curl_easy_setopt(handle, CURLOPT_PROXY, "");
    curl_easy_setopt(handle, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(handle, CURLOPT_OPENSOCKETDATA, &transfer);
  }
  set_body(handle, transfer);

  const CURLcode code = curl_easy_perform(handle);
  if (transfer.stopped == Stopped::while_waiting)
    return Error(ErrorCode::cancelled, "the transfer was stopped");
  if (transfer.stopped == Stopped::too_long) {
    return Error(ErrorCode::server_unreachable,
                 fmt::format("{} {} failed: the answer is longer than {} bytes", request.method, request.url,
                             request.max_response_bytes));
  }
  if (code != CURLE_OK && transfer.stopped == Stopped::no) return unreachable(request, code, detail);
  long status = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  transfer.response.status = static_cast<int>(status);
  return std::move(transfer.response);
}

}  // namespace rowhouse::net
