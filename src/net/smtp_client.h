// A blocking SMTP client: hands one message to one server. libcurl underneath. Not for the server's event
// loops.
#pragma once

#include <chrono>
#include <functional>
#include <string>

namespace rowhouse::net {

// Opportunistic: TLS if the server offers it. None of these matters for smtps://, which is TLS from the first
// byte.
enum class SmtpTls { required, opportunistic, never };

struct SmtpServer {
  std::string url;             // smtp://HOST:PORT or smtps://HOST:PORT
  std::string user, password;  // user "" = no authentication
  SmtpTls tls = SmtpTls::required;
  std::string ca_file;  // PEM, for servers with a private certificate authority; "" = the system's
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds timeout{45'000};  // the whole transfer
};

struct SmtpMessage {
  std::string from, to;  // bare addresses, already checked: they go into commands
  std::string text;      // headers and body, lines ended by CRLF
};

struct SmtpOutcome {
  // again: the server is away, or says that it cannot take the message now, or does not take our credentials,
  // which an operator must put right. refused: it will never take this message (5xx).
  enum class Kind { sent, again, refused } kind = Kind::sent;
  int reply = 0;       // the last reply code; 0 = none
  std::string reason;  // for the operator; "" when sent. May name the recipient: not for logs
};

// A password travels over TLS unless tls is `never`: with it, `opportunistic` means `required`. `stopping`,
// if set, is asked at least once a second; true ends the transfer (outcome again).
SmtpOutcome send_mail(const SmtpServer& server, const SmtpMessage& message,
                      const std::function<bool()>& stopping = {});

}  // namespace rowhouse::net
