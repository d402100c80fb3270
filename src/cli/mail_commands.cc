// rowhouse mail …
#include <fmt/format.h>

#include <ostream>

#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/table.h"

namespace rowhouse::cli {
namespace {

constexpr std::string_view kMail = "/v1/mail";

Result<ExitCode> list_mail(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply,
      client.call("GET", std::string(kMail) + query_of({{"status", invocation.value("status")}})));
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  Table table;
  for (const char* title : {"QUEUED", "KIND", "TO", "STATUS", "ATTEMPTS", "NEXT", "LAST ERROR", "ID"}) {
    table.column(title);
  }
  const json::Value* data = reply.body.find("data");
  if (data != nullptr && data->as_array() != nullptr) {
    for (const json::Value& mail : *data->as_array()) {
      table.row({text_of(mail, "queued_at"), text_of(mail, "kind"), text_of(mail, "recipient"),
                 text_of(mail, "status"), text_of(mail, "attempts"), text_of(mail, "next_attempt_at"),
                 text_of(mail, "last_error"), text_of(mail, "id")});
    }
  }
  table.print(invocation.terminal(), "There is no such mail.");
  return ExitCode::ok;
}

Result<ExitCode> retry_mail(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY_DO(client.call("POST", path_of(kMail, {invocation.argument(0), "retry"})));
  invocation.terminal().err << "It is tried again now, for a day.\n";
  return ExitCode::ok;
}

Result<ExitCode> test_mail(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  json::Value body{json::Object{}};
  body.set("to", json::Value(invocation.argument(0)));
  TRY(const auto reply, client.call("POST", path_of(kMail, {"test"}), body));
  if (invocation.json()) {
    print_json(invocation.terminal(), reply.body);
  } else if (text_of(reply.body, "outcome") == "sent") {
    invocation.terminal().err << "The mail server has taken the message.\n";
  } else {
    invocation.terminal().err << fmt::format("Not sent: {}\n", printable(text_of(reply.body, "reason")));
  }
  return text_of(reply.body, "outcome") == "sent" ? ExitCode::ok : ExitCode::failed;
}

}  // namespace

std::vector<Command> mail_commands() {
  Command list;
  list.name = "mail list";
  list.summary = "List the mail that was sent or waits";
  list.options = {{"status", "STATUS", "Only these", {"queued", "sent", "failed"}}, json_option()};
  list.examples = {{"rowhouse mail list --status failed", "what the mail server refused"}};
  list.talks = Talks::to_control_plane;
  list.run = list_mail;

  Command retry;
  retry.name = "mail retry";
  retry.summary = "Try to send a mail again, now";
  retry.arguments = {{"MAIL", "Id of the mail"}};
  retry.examples = {{"rowhouse mail retry 018f2b7e-3c1d-7a10-9e6b-0c5d2f4a8b11", "also one that has failed"}};
  retry.talks = Talks::to_control_plane;
  retry.run = retry_mail;

  Command test;
  test.name = "mail test";
  test.summary = "Send a test mail, and say what the mail server answers";
  test.arguments = {{"ADDRESS", "Where to"}};
  test.options = {json_option()};
  test.examples = {{"rowhouse mail test ada@platform.example", "is smtp_url right?"}};
  test.talks = Talks::to_control_plane;
  test.run = test_mail;
  return {list, retry, test};
}

}  // namespace rowhouse::cli
