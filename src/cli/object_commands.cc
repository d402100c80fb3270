// rowhouse object: files of a tenant, by its key.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <ostream>

#include "base/text.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/interrupts.h"
#include "cli/output_file.h"
#include "cli/table.h"
#include "cli/transfer_progress.h"
#include "crypto/crypto.h"

namespace rowhouse::cli {
namespace {

constexpr std::string_view kObjects = "/v1/objects";

// Slashes of a key separate segments of the path.
std::string path_of_key(const std::string& key) {
  std::vector<std::string> segments;
  for (const std::string_view segment : split(key, '/')) segments.emplace_back(segment);
  return path_of(kObjects, segments);
}

ExitCode show_object(const Invocation& invocation, const json::Value& body) {
  if (invocation.json()) return print_json(invocation.terminal(), body);
  print_fields(invocation.terminal(), {{"Key", text_of(body, "key")},
                                       {"Bytes", text_of(body, "bytes")},
                                       {"Type", text_of(body, "content_type")},
                                       {"SHA-256", text_of(body, "sha256")},
                                       {"Version", text_of(body, "version")}});
  return ExitCode::ok;
}

Result<ExitCode> put_object(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  const std::string path = invocation.argument(1).empty() ? "-" : invocation.argument(1);
  std::ifstream file;
  std::optional<std::uint64_t> total;
  if (path != "-") {
    file.open(path, std::ios::binary);
    std::error_code failed;
    const auto size = std::filesystem::file_size(path, failed);
    if (!file || failed) return usage_error(fmt::format("cannot read {}", path));
    total = size;
  }
  std::istream& source = path == "-" ? invocation.terminal().in : file;
  TransferProgress progress(invocation.terminal(), total);
  crypto::Sha256 hash;
  net::ClientRequest request;
  request.method = "PUT";
  const std::string type =
      invocation.has("type") ? invocation.value("type") : std::string("application/octet-stream");
  request.headers.emplace_back("Content-Type", type);
  if (invocation.has("if-match")) request.headers.emplace_back("If-Match", invocation.value("if-match"));
  if (invocation.has("new")) request.headers.emplace_back("If-None-Match", "*");
  request.body_source = [&](char* buffer, std::size_t capacity) {
    source.read(buffer, static_cast<std::streamsize>(capacity));
    const auto bytes = static_cast<std::size_t>(source.gcount());
    hash.update(std::string_view(buffer, bytes));
    progress.add(bytes);
    return bytes;
  };
  auto reply = client.transfer(std::move(request), path_of_key(invocation.argument(0)));
  progress.finish();
  if (!reply.ok()) return std::move(reply).error();
  const std::string stored = text_of(reply->body, "sha256");
  if (!stored.empty() && stored != to_hex(hash.finish())) {
    return Error(ErrorCode::checksum_mismatch, "the server stored other bytes than were sent");
  }
  return show_object(invocation, reply->body);
}

Result<ExitCode> get_object(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  const bool to_file = invocation.has("output");
  OutputFile file;
  if (to_file) TRY_DO(file.open(invocation.value("output")));
  std::ostream& target = to_file ? file.stream() : invocation.terminal().out;
  TransferProgress progress(invocation.terminal(), std::nullopt);
  crypto::Sha256 hash;
  net::ClientRequest request;
  request.body_sink = [&](std::string_view piece) {
    target.write(piece.data(), static_cast<std::streamsize>(piece.size()));
    hash.update(piece);
    if (to_file) progress.add(piece.size());
    return static_cast<bool>(target);
  };
  const Interrupts interrupts;  // Ctrl-C must not leave half a file behind
  request.while_waiting = [&interrupts] { return !interrupts.arrived(); };
  auto reply = client.transfer(std::move(request), path_of_key(invocation.argument(0)));
  if (to_file) progress.finish();
  target.flush();
  if (!target) return Error(ErrorCode::disk_full, "the object could not be written completely");
  if (!reply.ok()) return std::move(reply).error();
  const std::string expected = reply->header("X-Checksum-SHA256");
  if (!expected.empty() && expected != to_hex(hash.finish())) {
    return Error(ErrorCode::checksum_mismatch, "what arrived is not what was stored; get it again");
  }
  if (to_file) TRY_DO(file.keep());
  return ExitCode::ok;
}

Result<ExitCode> list_objects(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  const std::string delimiter = invocation.has("folders") ? "/" : "";
  const auto query = query_of({{"prefix", invocation.argument(0)},
                               {"delimiter", delimiter},
                               {"limit", invocation.value("limit")},
                               {"cursor", invocation.value("cursor")}});
  TRY(const auto reply, client.call("GET", std::string(kObjects) + query));
  const Terminal& terminal = invocation.terminal();
  if (invocation.json()) return print_json(terminal, reply.body);
  Table table;
  table.column("KEY");
  table.column("BYTES", Align::right);
  for (const char* title : {"TYPE", "MODIFIED"}) table.column(title);
  const json::Value* folders = reply.body.find("folders");
  if (folders != nullptr && folders->as_array() != nullptr) {
    for (const json::Value& folder : *folders->as_array()) table.row({text_of(folder), "", "folder", ""});
  }
  for (const json::Value& object : data_of(reply.body)) {
    table.row({text_of(object, "key"), text_of(object, "bytes"), text_of(object, "content_type"),
               text_of(object, "modified_at")});
  }
  table.print(terminal, "There are no objects.");
  const std::string cursor = text_of(reply.body, "next_cursor");
  if (!cursor.empty()) terminal.err << "There are more: --cursor " << cursor << '\n';
  return ExitCode::ok;
}

Result<ExitCode> delete_object(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("DELETE", path_of_key(invocation.argument(0))));
  invocation.terminal().err << "Deleted.\n";
  return ExitCode::ok;
}

Result<ExitCode> link_object(Invocation& invocation) {
  json::Value body;
  body.set("key", invocation.argument(0));
  body.set("method", invocation.has("put") ? "put" : "get");
  if (invocation.has("expires-in")) {
    const auto seconds = parse_int64(invocation.value("expires-in"));
    if (!seconds) return usage_error("--expires-in takes seconds, as 3600");
    body.set("expires_in", *seconds);
  }
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("POST", std::string(kObjects) + "/link", body));
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  invocation.terminal().out << text_of(reply.body, "url") << '\n';
  return ExitCode::ok;
}

Result<ExitCode> show_usage(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("GET", "/v1/object-usage"));
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  const std::string limit = text_of(reply.body, "limit");
  print_fields(invocation.terminal(), {{"Objects", text_of(reply.body, "objects")},
                                       {"Bytes", text_of(reply.body, "bytes")},
                                       {"Reserved", text_of(reply.body, "reserved")},
                                       {"Limit", limit.empty() ? "none" : limit}});
  return ExitCode::ok;
}

Command object_command(std::string verb, std::string summary, std::vector<Argument> arguments,
                       std::vector<Option> options, std::vector<Example> examples,
                       std::function<Result<ExitCode>(Invocation&)> function) {
  Command command;
  command.name = "object " + verb;
  command.summary = std::move(summary);
  command.arguments = std::move(arguments);
  command.options = std::move(options);
  command.options.push_back(
      {"tenant", "TENANT", "Refuse to go on unless the key belongs to this tenant (slug or id)"});
  command.examples = std::move(examples);
  command.talks = Talks::to_data_plane;
  command.run = std::move(function);
  return command;
}

}  // namespace

std::vector<Command> object_commands() {
  const Argument key = {"KEY", "the object's key, as photos/2026/cat.jpg"};
  return {
      object_command("put", "Store a file as an object",
                     {key,
                      {"FILE", "the file; - or nothing reads standard input", Argument::Presence::optional,
                       Completion::file}},
                     {{"type", "TYPE", "Media type (default: application/octet-stream)"},
                      {"if-match", "ETAG", "Only if the object is still as it was when its ETag was this"},
                      {"new", "", "Only if there is none yet"},
                      json_option()},
                     {{"rowhouse object put photos/cat.jpg cat.jpg --type image/jpeg",
                       "streams; what arrived is compared with what was sent"}},
                     put_object),
      object_command(
          "get", "Read an object", {key},
          {{"output", "FILE", "Write to this file instead of standard output", {}, Completion::file}},
          {{"rowhouse object get photos/cat.jpg --output cat.jpg", "compares the checksum at the end"}},
          get_object),
      object_command("list", "List objects",
                     {{"PREFIX", "only keys that begin so", Argument::Presence::optional}},
                     {{"folders", "", "What follows the next / after the prefix is one folder"},
                      {"limit", "N", "How many (1 to 1000; default 100)"},
                      {"cursor", "CURSOR", "Continue a list where the previous page ended"},
                      json_option()},
                     {{"rowhouse object list photos/ --folders", "one level"}}, list_objects),
      object_command("delete", "Delete an object", {key}, {},
                     {{"rowhouse object delete photos/cat.jpg", "there is no way back"}}, delete_object),
      object_command(
          "link", "Make a link that needs no credential", {key},
          {{"put", "", "To store the object; otherwise to get it"},
           {"expires-in", "SECONDS", "How long it works (1 to 604800; default 900)"},
           json_option()},
          {{"rowhouse object link photos/cat.jpg --expires-in 3600", "whoever has the link may use it"}},
          link_object),
      object_command("usage", "Show what objects use of the plan", {}, {json_option()},
                     {{"rowhouse object usage", "bytes, objects, limit"}}, show_usage)};
}

}  // namespace rowhouse::cli
