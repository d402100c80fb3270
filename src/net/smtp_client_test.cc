#include "net/smtp_client.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <string>
#include <thread>

namespace rowhouse::net {
namespace {

using Kind = SmtpOutcome::Kind;

// Serves one connection, on a thread of its own: answers each command as told, or with 250.
class FakeServer {
 public:
  using Answers = std::map<std::string, std::string>;  // first word of a command → answer; "" = the greeting

  explicit FakeServer(Answers answers) : answers_(std::move(answers)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (bind(listener_, generic, size) != 0 || listen(listener_, 1) != 0 ||
        getsockname(listener_, generic, &size) != 0) {
      std::abort();
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeServer() { finish(); }
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  SmtpServer server() const {
    SmtpServer found;
    found.url = "smtp://127.0.0.1:" + std::to_string(port_);
    found.tls = SmtpTls::never;
    found.timeout = std::chrono::milliseconds(10'000);
    return found;
  }
  // What it heard, commands and message, when the client has gone.
  const std::string& heard() {
    finish();
    return heard_;
  }

 private:
  void finish() {
    if (!thread_.joinable()) return;
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  std::string answer(const std::string& word, const std::string& otherwise) const {
    const auto found = answers_.find(word);
    return (found == answers_.end() ? otherwise : found->second) + "\r\n";
  }
  static void say(int client, const std::string& text) {
    [[maybe_unused]] const auto written = send(client, text.data(), text.size(), MSG_NOSIGNAL);
  }
  void serve() {
    const int client = accept(listener_, nullptr, nullptr);
    if (client < 0) return;
    say(client, answer("", "220 here"));
    std::string pending;
    bool in_message = false;
    char buffer[4'096];
    for (ssize_t size = 0; (size = recv(client, buffer, sizeof(buffer), 0)) > 0;) {
      pending.append(buffer, static_cast<std::size_t>(size));
      for (std::size_t end = 0; (end = pending.find("\r\n")) != std::string::npos;) {
        const std::string line = pending.substr(0, end);
        pending.erase(0, end + 2);
        heard_ += line + "\n";
        if (in_message && line != ".") continue;
        const std::string word = in_message ? "." : line.substr(0, line.find(' '));
        const std::string otherwise = word == "DATA" ? "354 go on" : "250 fine";
        const std::string said = answer(word, otherwise);
        in_message = word == "DATA" && said.starts_with("354");
        say(client, said);
      }
    }
    close(client);
  }

  const Answers answers_;
  int listener_ = -1;
  int port_ = 0;
  std::string heard_;
  std::thread thread_;
};

SmtpMessage sample() {
  SmtpMessage message;
  message.from = "no-reply@platform.example";
  message.to = "ada@acme.example";
  message.text = "Subject: Hello\r\n\r\nFirst\r\n.hidden\r\n";
  return message;
}

TEST(SmtpClient, HandsOverEnvelopeAndMessage) {
  FakeServer fake(FakeServer::Answers{});
  const auto outcome = send_mail(fake.server(), sample());
  EXPECT_EQ(outcome.kind, Kind::sent) << outcome.reason;
  const std::string& heard = fake.heard();
  EXPECT_NE(heard.find("MAIL FROM:<no-reply@platform.example>"), std::string::npos) << heard;
  EXPECT_NE(heard.find("RCPT TO:<ada@acme.example>"), std::string::npos);
  EXPECT_NE(heard.find("\n..hidden\n"), std::string::npos) << "a dot at the begin of a line is doubled";
}

TEST(SmtpClient, WhatTheServerSaysDecidesWhetherToTryAgain) {
  struct Case {
    const char* command;
    const char* answer;
    Kind kind;
  };
  for (const Case& each :
       {Case{"RCPT", "550 no such mailbox", Kind::refused}, Case{"RCPT", "451 later", Kind::again},
        Case{"MAIL", "552 too much", Kind::refused}, Case{"MAIL", "421 closing", Kind::again},
        Case{".", "554 spam", Kind::refused}, Case{".", "452 disk full", Kind::again},
        Case{"DATA", "554 not here", Kind::refused}, Case{"MAIL", "530 sign in first", Kind::again},
        Case{"", "554 go away", Kind::again}, Case{"", "421 busy", Kind::again}}) {
    FakeServer fake(FakeServer::Answers{{each.command, each.answer}});
    const auto outcome = send_mail(fake.server(), sample());
    EXPECT_EQ(outcome.kind, each.kind) << each.command << ": " << each.answer << ": " << outcome.reason;
    EXPECT_FALSE(outcome.reason.empty());
  }
}

TEST(SmtpClient, NeitherAMessageNorAPasswordTravelsInTheOpenUnlessAllowed) {
  FakeServer without_tls(FakeServer::Answers{});
  SmtpServer server = without_tls.server();
  server.tls = SmtpTls::required;
  EXPECT_EQ(send_mail(server, sample()).kind, Kind::again);
  EXPECT_EQ(without_tls.heard().find("MAIL"), std::string::npos);

  FakeServer with_login(FakeServer::Answers{{"EHLO", "250-here\r\n250 AUTH PLAIN LOGIN"}});
  server = with_login.server();
  server.tls = SmtpTls::opportunistic;
  server.user = "rowhouse";
  server.password = "secret";
  EXPECT_EQ(send_mail(server, sample()).kind, Kind::again);
  EXPECT_EQ(with_login.heard().find("AUTH"), std::string::npos);
}

TEST(SmtpClient, AServerThatIsAwayIsForLater) {
  SmtpServer server;
  {
    FakeServer fake(FakeServer::Answers{});
    server = fake.server();
    EXPECT_EQ(send_mail(server, sample()).kind, Kind::sent);
  }
  const auto outcome = send_mail(server, sample());
  EXPECT_EQ(outcome.kind, Kind::again);
  EXPECT_EQ(outcome.reply, 0);
}

}  // namespace
}  // namespace rowhouse::net
