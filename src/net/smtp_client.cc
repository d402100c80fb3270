#include "net/smtp_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <string_view>

namespace rowhouse::net {
namespace {

constexpr std::size_t kMaxReasonBytes = 300;
constexpr int kPermanentReplies = 500;
constexpr int kAuthenticationReplies = 530;  // to 539: about our credentials, not about this message
constexpr int kAuthenticationRepliesEnd = 540;

struct EasyCloser {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct ListFreer {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

struct Upload {
  std::string_view left;
  bool begun = false;  // the server has accepted sender and recipient
  const std::function<bool()>& stopping;
};

std::size_t on_read(char* buffer, std::size_t size, std::size_t count, void* context) {
  auto& upload = *static_cast<Upload*>(context);
  upload.begun = true;
  const std::size_t taken = std::min(size * count, upload.left.size());
  std::memcpy(buffer, upload.left.data(), taken);
  upload.left.remove_prefix(taken);
  return taken;
}

int on_progress(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto& stopping = static_cast<Upload*>(context)->stopping;
  return stopping && stopping() ? 1 : 0;
}

long use_ssl(const SmtpServer& server) {
  if (server.tls == SmtpTls::never) return CURLUSESSL_NONE;
  const bool has_secret = !server.user.empty();
  return server.tls == SmtpTls::required || has_secret ? CURLUSESSL_ALL : CURLUSESSL_TRY;
}

std::string printable_reason(std::string_view text) {
  std::string reason(text.substr(0, kMaxReasonBytes));
  std::replace_if(
      reason.begin(), reason.end(), [](char c) { return c < ' ' || c > '~'; }, ' ');
  return reason;
}

// Only what the server said of sender, recipient or message is about the message; a 5xx greeting or a refused
// login is about the server and us.
bool is_refusal(CURLcode code, int reply, const Upload& upload) {
  if (reply < kPermanentReplies || reply >= kPermanentReplies + 100) return false;
  if (reply >= kAuthenticationReplies && reply < kAuthenticationRepliesEnd) return false;
  if (upload.begun) return code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_SEND_ERROR;
  return code == CURLE_SEND_ERROR;
}

}  // namespace

SmtpOutcome send_mail(const SmtpServer& server, const SmtpMessage& message,
                      const std::function<bool()>& stopping) {
  static std::once_flag initialized;
  std::call_once(initialized, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  SmtpOutcome outcome;
  outcome.kind = SmtpOutcome::Kind::again;
  const std::unique_ptr<CURL, EasyCloser> easy(curl_easy_init());
  const std::unique_ptr<curl_slist, ListFreer> recipients(
      curl_slist_append(nullptr, ("<" + message.to + ">").c_str()));
  if (easy == nullptr || recipients == nullptr) {
    outcome.reason = "out of memory";
    return outcome;
  }
  CURL* handle = easy.get();
  char detail[CURL_ERROR_SIZE] = "";
  Upload upload{message.text, false, stopping};
  const std::string from = "<" + message.from + ">";

  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, detail);
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
  curl_easy_setopt(handle, CURLOPT_PROXY, "");  // those of the environment are for HTTP
  curl_easy_setopt(handle, CURLOPT_URL, server.url.c_str());
  curl_easy_setopt(handle, CURLOPT_USE_SSL, use_ssl(server));
  if (!server.ca_file.empty()) curl_easy_setopt(handle, CURLOPT_CAINFO, server.ca_file.c_str());
  if (!server.user.empty()) {
    curl_easy_setopt(handle, CURLOPT_USERNAME, server.user.c_str());
    curl_easy_setopt(handle, CURLOPT_PASSWORD, server.password.c_str());
  }
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(server.connect_timeout.count()));
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(server.timeout.count()));
  curl_easy_setopt(handle, CURLOPT_MAIL_FROM, from.c_str());
  curl_easy_setopt(handle, CURLOPT_MAIL_RCPT, recipients.get());
  curl_easy_setopt(handle, CURLOPT_UPLOAD, 1L);
  curl_easy_setopt(handle, CURLOPT_READFUNCTION, on_read);
  curl_easy_setopt(handle, CURLOPT_READDATA, &upload);
  curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &upload);

  const CURLcode code = curl_easy_perform(handle);
  long reply = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &reply);
  outcome.reply = static_cast<int>(reply);
  if (code == CURLE_OK) {
    outcome.kind = SmtpOutcome::Kind::sent;
    return outcome;
  }
  if (is_refusal(code, outcome.reply, upload)) outcome.kind = SmtpOutcome::Kind::refused;
  outcome.reason = printable_reason(*detail != '\0' ? detail : curl_easy_strerror(code));
  return outcome;
}

}  // namespace rowhouse::net
