#include <fmt/format.h>

#include <chrono>
#include <fstream>
#include <ostream>
#include <thread>

#include "base/text.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "verify/report.h"
#include "verify/report_html.h"

namespace rowhouse::cli {
namespace {

constexpr std::chrono::milliseconds kPollEvery{300};
constexpr std::size_t kFindingsShown = 50;

json::Value names(const std::vector<std::string>& values) {
  json::Array array;
  for (const std::string& value : values) array.emplace_back(value);
  return array;
}

const json::Array& list_of(const json::Value& document, std::string_view member) {
  static const json::Array kNone;
  const json::Value* value = document.find(member);
  return value != nullptr && value->as_array() != nullptr ? *value->as_array() : kNone;
}

std::string place_of(const json::Value& surface) {
  return printable(fmt::format("{} {} ({}, {}, {})", text_of(surface, "kind"), text_of(surface, "name"),
                               text_of(surface, "pack"), text_of(surface, "tier"),
                               text_of(surface, "database")));
}

std::string text_report(const Terminal& terminal, const json::Value& report) {
  const std::string result = text_of(report, "result");
  const Style style = result == "proven" ? Style::green : result == "broken" ? Style::red : Style::yellow;
  std::string text =
      fmt::format("{}: {} attempts on {} surfaces, seed {}\n", styled(terminal, style, result),
                  text_of(report, "attempts"), list_of(report, "surfaces").size(), text_of(report, "seed"));
  for (const json::Value& failure : list_of(report, "failures"))
    text += "  could not run: " + printable(text_of(failure)) + "\n";
  std::size_t shown = 0;
  for (const json::Value& finding : list_of(report, "findings")) {
    if (++shown > kFindingsShown) continue;
    text += fmt::format("  {}: {}: {}\n    {}\n", text_of(finding, "result"), place_of(finding),
                        printable(text_of(finding, "attack")), printable(text_of(finding, "message")));
  }
  if (shown > kFindingsShown)
    text += fmt::format("  and {} more; --format json has all\n", shown - kFindingsShown);
  for (const json::Value& surface : list_of(report, "uncovered"))
    text += "  no attack for: " + place_of(surface) + "\n";
  return text;
}

Result<json::Value> await_report(const ApiClient& client, const Terminal& terminal, const std::string& path) {
  std::string told;
  while (true) {
    TRY(const auto reply, client.call("GET", path));
    if (reply.body.find("signature") != nullptr) {
      if (!told.empty() && terminal.err_is_terminal) terminal.err << "\r\x1b[K" << std::flush;
      return reply.body;
    }
    if (text_of(reply.body, "status") == "failed") {
      return Error(ErrorCode::internal, "the verification failed: " + text_of(reply.body, "error"));
    }
    const json::Value* progress = reply.body.find("progress");
    if (progress != nullptr && progress->find("step") != nullptr && terminal.err_is_terminal) {
      const std::string line = fmt::format("[{}/{}] {}", text_of(*progress, "done"),
                                           text_of(*progress, "total"), text_of(*progress, "step"));
      if (line != told) terminal.err << "\r\x1b[K" << printable(line) << std::flush;
      told = line;
    }
    std::this_thread::sleep_for(kPollEvery);
  }
}

Result<void> write_out(const Invocation& invocation, const std::string& text) {
  if (!invocation.has("output")) {
    invocation.terminal().out << text;
    return {};
  }
  const std::string path = invocation.value("output");
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) return Error(ErrorCode::disk_full, "cannot write " + path);
  return {};
}

Result<ExitCode> check_file(const Invocation& invocation) {
  TRY(const std::string text, read_text_argument(invocation.terminal(), invocation.value("check")));
  TRY(const json::Value report, json::parse(text));
  std::string pinned;
  if (invocation.has("key")) {
    const auto key = from_base64url(invocation.value("key"));
    if (!key || key->empty())
      return usage_error("--key is the base64url form that `rowhouse verify --public-key` prints");
    pinned = *key;
  }
  TRY_DO(verify::check_signature(report, pinned));
  const json::Value* signature = report.find("signature");
  invocation.terminal().out << fmt::format("The signature is good. Result: {}, finished {}, signed with {}\n",
                                           printable(text_of(report, "result")),
                                           printable(text_of(report, "finished_at")),
                                           printable(text_of(*signature, "public_key")));
  if (invocation.has("canonical")) {
    std::ofstream file(invocation.value("canonical"), std::ios::binary | std::ios::trunc);
    file << verify::canonical_text(report);
    file.close();
    if (!file) return Error(ErrorCode::disk_full, "cannot write " + invocation.value("canonical"));
  }
  return ExitCode::ok;
}

Result<ExitCode> print_public_key(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("GET", "/v1/verifications"));
  const bool as_pem = invocation.value("format") == "pem";
  const std::string key = text_of(reply.body, as_pem ? "public_key_pem" : "public_key");
  TRY_DO(write_out(invocation, as_pem ? key : key + "\n"));
  return ExitCode::ok;
}

Result<ExitCode> run_verify(Invocation& invocation) {
  if (invocation.has("check")) return check_file(invocation);
  const std::string format = invocation.has("format") ? invocation.value("format") : "text";
  if (invocation.has("public-key")) return print_public_key(invocation);
  if (format != "text" && format != "json" && format != "html")
    return usage_error("--format is text, json or html");
  json::Value body;
  body.set("packs", names(invocation.values("pack")));
  body.set("tiers", names(invocation.values("tier")));
  if (invocation.has("seed")) {
    const auto seed = parse_int64(invocation.value("seed"));
    if (!seed) return usage_error("--seed is a whole number");
    body.set("seed", *seed);
  }
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto begun, client.call("POST", "/v1/verifications", body));
  TRY(const json::Value report,
      await_report(client, invocation.terminal(), path_of("/v1/verifications", {text_of(begun.body, "id")})));
  TRY_DO(verify::check_signature(report, ""));
  std::string text;
  if (format == "json") text = json::serialize_pretty(report) + "\n";
  if (format == "html") text = verify::report_html(report);
  if (format == "text") text = text_report(invocation.terminal(), report);
  TRY_DO(write_out(invocation, text));
  if (invocation.has("output")) invocation.terminal().out << text_report(invocation.terminal(), report);
  return text_of(report, "result") == "proven" ? ExitCode::ok : ExitCode::failed;
}

}  // namespace

std::vector<Command> verify_commands() {
  Command command;
  command.name = "verify";
  command.summary = "Attack the running installation and report, signed, what held";
  command.options = {
      {"pack", "PACK", "Only this pack", {}, Completion::none, Option::Count::many},
      {"tier",
       "TIER",
       "Only this tier",
       {"pool", "schema", "database"},
       Completion::none,
       Option::Count::many},
      {"seed", "N", "Repeat the order and values of an earlier run"},
      {"format", "FORMAT", "text, json or html; with --public-key also pem", {"text", "json", "html", "pem"}},
      {"output", "FILE", "Write the report there", {}, Completion::file},
      {"public-key", "", "Print the key that signs this installation's reports"},
      {"check", "FILE", "Check the signature of a report; needs no server", {}, Completion::file},
      {"key", "KEY", "With --check: the key that it must be signed with"},
      {"canonical",
       "FILE",
       "With --check: write the signed bytes there, for other tools",
       {},
       Completion::file}};
  command.examples = {{"rowhouse verify", "all packs in all tiers"},
                      {"rowhouse verify --format html --output report.html", "for an auditor"},
                      {"rowhouse verify --check report.json", "was it changed?"}};
  command.notes =
      "Makes two throw-away tenants for each pack and tier, plants rows in every table, tries to reach one "
      "tenant's rows as the other in every "
      "way that the catalogs and the API's document offer, and removes everything again. Exit code 0: "
      "proven; 1: something was reached, or "
      "something was left without an attack.";
  command.talks = Talks::to_control_plane;
  command.run = run_verify;
  return {command};
}

}  // namespace rowhouse::cli
