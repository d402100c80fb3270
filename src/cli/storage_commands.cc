// rowhouse storage …: the object storage of tenants. And rowhouse encryption-key …: what their secrets are
// under.
#include <fmt/format.h>

#include <ostream>

#include "base/text.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/operation_view.h"
#include "cli/operation_watch.h"
#include "cli/table.h"

namespace rowhouse::cli {
namespace {

constexpr std::string_view kTenants = "/v1/tenants";
constexpr const char* kEncryptionKeys = "/v1/platform/encryption-keys";

std::string storage_path(const Invocation& invocation) {
  return path_of(kTenants, {invocation.value("tenant"), "storage"});
}

Result<void> need_tenant(const Invocation& invocation) {
  if (!invocation.value("tenant").empty()) return {};
  return usage_error("--tenant is missing: whose storage?");
}

std::string config_text(const json::Value& storage) {
  const json::Value* config = storage.find("config");
  std::string text;
  if (config == nullptr || config->as_object() == nullptr) return text;
  for (const auto& [name, value] : *config->as_object()) {
    if (!text.empty()) text += ", ";
    text += name + (value == json::Value(true) ? " (set)" : "=" + text_of(value));
  }
  return text;
}

void print_steps(const Terminal& terminal, const json::Value& storage) {
  const json::Value* test = storage.find("last_test");
  const json::Value* steps = test == nullptr ? nullptr : test->find("steps");
  if (steps == nullptr || steps->as_array() == nullptr) return;
  Table table;
  for (const char* title : {"STEP", "RESULT", "MS"}) table.column(title);
  for (const json::Value& step : *steps->as_array()) {
    const auto micros = parse_int64(text_of(step, "duration_us")).value_or(0);
    const std::string error = text_of(step, "error");
    table.row({text_of(step, "name"), error.empty() ? "ok" : error,
               fmt::format("{:.1f}", static_cast<double>(micros) / 1'000)});
  }
  terminal.out << '\n';
  table.print(terminal, "");
}

// What is said of a move that was not confirmed; "" if there is none.
std::string move_text(const json::Value& storage) {
  const json::Value* move = storage.find("move");
  if (move == nullptr || move->as_object() == nullptr) return "";
  const std::string from = text_of(*move, "from");
  if (text_of(*move, "state") == "copied") return fmt::format("copied from {}, to be confirmed", from);
  return fmt::format("copying from {}: {} objects with {} bytes to go", from,
                     text_of(*move, "remaining_objects"), text_of(*move, "remaining_bytes"));
}

ExitCode print_storage(const Invocation& invocation, const json::Value& storage) {
  if (invocation.json()) return print_json(invocation.terminal(), storage);
  print_fields(invocation.terminal(), {{"Provider", text_of(storage, "provider")},
                                       {"Origin", text_of(storage, "origin")},
                                       {"Configuration", config_text(storage)},
                                       {"Status", text_of(storage, "status")},
                                       {"Last test", text_of(storage, "last_test_at")},
                                       {"Updated", text_of(storage, "updated_at")},
                                       {"Move", move_text(storage)}});
  print_steps(invocation.terminal(), storage);
  return ExitCode::ok;
}

Result<ExitCode> show_storage(Invocation& invocation) {
  TRY_DO(need_tenant(invocation));
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("GET", storage_path(invocation)));
  return print_storage(invocation, reply.body);
}

Result<ExitCode> set_storage(Invocation& invocation) {
  TRY_DO(need_tenant(invocation));
  if (!invocation.has("storage-config"))
    return usage_error("--storage-config is missing: a file, or - for standard input");
  TRY(const auto body, read_storage_config(invocation, "storage-config"));
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("PUT", storage_path(invocation), body));
  return print_storage(invocation, reply.body);
}

Result<ExitCode> test_storage(Invocation& invocation) {
  TRY_DO(need_tenant(invocation));
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("POST", storage_path(invocation) + "/test"));
  const ExitCode code = print_storage(invocation, reply.body);
  return text_of(reply.body, "status") == "working" ? code : ExitCode::failed;
}

Result<ExitCode> remove_storage(Invocation& invocation) {
  TRY_DO(need_tenant(invocation));
  TRY(const auto client, ApiClient::create(invocation));
  TRY_DO(client.call("DELETE", storage_path(invocation)));
  invocation.terminal().err << fmt::format("{} has no object storage any more; what is in it stays there.\n",
                                           printable(invocation.value("tenant")));
  return ExitCode::ok;
}

// Shows what the operation does until it has ended, which it also does when nobody watches.
Result<ExitCode> follow_move(const Invocation& invocation, const ApiClient& client, const ApiReply& reply,
                             const char* done) {
  const Terminal& terminal = invocation.terminal();
  const json::Value* operation = reply.body.find("operation");
  const std::string id = operation == nullptr ? std::string() : text_of(*operation, "id");
  if (invocation.has("no-wait")) {
    if (invocation.json()) return print_json(terminal, reply.body);
    terminal.out << id << '\n';
    return ExitCode::ok;
  }
  TRY(const WatchEnd end, watch_operation(client, terminal, id, OnPause::stop));
  if (end.why == WatchEnd::Why::interrupted) {
    terminal.err << how_to_watch(id) << '\n';
    return ExitCode::interrupted;
  }
  if (end.why == WatchEnd::Why::paused) {
    terminal.err << fmt::format("An operator has paused it. `rowhouse operation resume {}` goes on.\n", id);
    return ExitCode::failed;
  }
  if (invocation.json()) print_json(terminal, end.operation);
  if (!operation_succeeded(end.operation)) {
    terminal.err << fmt::format("After mending: rowhouse operation retry {}\n", id);
    return operation_failure(end.operation);
  }
  if (!invocation.json()) terminal.err << done << '\n';
  return ExitCode::ok;
}

Result<ExitCode> move_storage(Invocation& invocation) {
  TRY_DO(need_tenant(invocation));
  const bool is_provisioned = invocation.has("provisioned");
  if (invocation.has("storage-config") == is_provisioned) {
    return usage_error("say where to: --storage-config (a file, or - for standard input) or --provisioned");
  }
  json::Value body;
  if (is_provisioned) {
    body.set("provider", "provisioned");
  } else {
    TRY(body, read_storage_config(invocation, "storage-config"));
  }
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("POST", storage_path(invocation) + "/move", body));
  return follow_move(invocation, client, reply,
                     "Everything is in the new storage. The former one is kept until `rowhouse storage "
                     "confirm-move`.");
}

Result<ExitCode> confirm_move(Invocation& invocation) {
  TRY_DO(need_tenant(invocation));
  json::Value body{json::Object{}};
  body.set("old_objects", invocation.has("keep-old") ? "keep" : "delete");
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("POST", storage_path(invocation) + "/move/confirm", body));
  return follow_move(invocation, client, reply, "The move is complete; the former storage is forgotten.");
}

Command named(const char* name, const char* summary, Result<ExitCode> (*run)(Invocation&)) {
  Command command;
  command.name = name;
  command.summary = summary;
  command.options = {{"tenant", "TENANT", "Slug or id"}, json_option()};
  command.talks = Talks::to_control_plane;
  command.run = run;
  return command;
}

// ---- encryption keys

void print_keys(const Terminal& terminal, const json::Value& keys) {
  Table table;
  for (const char* title : {"FINGERPRINT", "STATE"}) table.column(title);
  table.column("DATA KEYS", Align::right);
  for (const json::Value& key : data_of(keys)) {
    table.row({text_of(key, "fingerprint"), text_of(key, "state"), text_of(key, "data_keys")});
  }
  table.print(terminal, "There is no key.");
  const std::string since = text_of(keys, "data_key_renewal_since");
  if (!since.empty()) {
    terminal.err << fmt::format(
        "A renewal of data keys that began {} is not over: `rowhouse encryption-key rotate "
        "--data-keys` ends it.\n",
        since);
  }
}

Result<ExitCode> list_keys(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("GET", kEncryptionKeys));
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  print_keys(invocation.terminal(), reply.body);
  return ExitCode::ok;
}

Result<ExitCode> rotate_keys(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  json::Value body{json::Object{}};
  if (invocation.has("data-keys")) body.set("data_keys", true);
  TRY(const auto reply, client.call("POST", std::string(kEncryptionKeys) + "/rotate", body));
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  invocation.terminal().err << fmt::format(
      "{} data keys wrapped again, {} tenants with a new data key, {} secrets sealed again\n",
      text_of(reply.body, "rewrapped"), text_of(reply.body, "renewed"), text_of(reply.body, "resealed"));
  if (const json::Value* keys = reply.body.find("keys")) print_keys(invocation.terminal(), *keys);
  return ExitCode::ok;
}

}  // namespace

Result<json::Value> read_storage_config(const Invocation& invocation, std::string_view option) {
  const std::string argument = invocation.value(option);
  if (trim(argument).starts_with('{')) {
    return usage_error(
        fmt::format("--{}: a configuration holds secrets, and command lines are readable by everybody on "
                    "this machine: give a file, or - for standard input",
                    option));
  }
  TRY(const auto text, read_text_argument(invocation.terminal(), argument));
  auto parsed = json::parse(text);
  if (!parsed.ok()) return usage_error(fmt::format("--{}: {}", option, parsed.error().message));
  return std::move(*parsed);
}

std::vector<Command> storage_commands() {
  Command show = named("storage show", "Show which object storage a tenant has", show_storage);
  show.examples = {
      {"rowhouse storage show --tenant acme-corp", "provider, bucket, last test; never a secret"}};

  Command set = named("storage set", "Set or change the object storage of a tenant", set_storage);
  set.options.insert(
      set.options.begin() + 1,
      Option{"storage-config", "FILE", "The configuration; - reads standard input", {}, Completion::file});
  set.notes =
      "The file holds {\"provider\": …, \"config\": {…}}; docs/storage.md lists the members of each "
      "provider. The "
      "configuration replaces the one before, and becomes active only if a probe object could be written, "
      "read, "
      "listed and deleted.";
  set.examples = {
      {"rowhouse storage set --tenant acme-corp --storage-config acme.json",
       "from a file that only you may read"},
      {"vault read -format=json storage/acme | rowhouse storage set --tenant acme-corp --storage-config -",
       "from a vault"}};

  Command test = named("storage test", "Try the object storage of a tenant", test_storage);
  test.examples = {
      {"rowhouse storage test --tenant acme-corp", "writes, reads, lists and deletes a probe object"}};

  Command remove = named("storage remove", "Forget the object storage of a tenant", remove_storage);
  remove.options.pop_back();
  remove.examples = {{"rowhouse storage remove --tenant acme-corp", "nothing in the bucket is touched"}};

  const Option no_wait{"no-wait", "", "Only begin: prints the operation's id"};
  Command move =
      named("storage move", "Move a tenant's objects to another storage, while it works", move_storage);
  move.options.insert(
      move.options.begin() + 1,
      {Option{"storage-config", "FILE", "The configuration; - reads standard input", {}, Completion::file},
       Option{"provisioned", "", "To storage that this installation makes for the tenant"}, no_wait});
  move.notes =
      "New objects go to the new storage at once; the others are copied, and readable all the time. The "
      "former storage is kept until `rowhouse storage confirm-move`. Cut off anywhere, it goes on by itself.";
  move.examples = {
      {"rowhouse storage move --tenant acme-corp --storage-config new.json", "to a bucket of its own"},
      {"rowhouse storage move --tenant acme-corp --provisioned", "to one of this installation"}};

  Command confirm =
      named("storage confirm-move", "Remove what a move has left in the former storage", confirm_move);
  confirm.options.insert(
      confirm.options.begin() + 1,
      {Option{"keep-old", "", "Leave the copies in the former storage, if it is the tenant's own"}, no_wait});
  confirm.examples = {{"rowhouse storage confirm-move --tenant acme-corp",
                       "the copies go, and the configuration is forgotten"}};
  return {show, set, test, remove, move, confirm};
}

std::vector<Command> encryption_key_commands() {
  Command list = command_of(
      "encryption-key list", "List the keys that tenants' secrets are under", {}, {json_option()},
      {{"rowhouse encryption-key list", "fingerprints, and what is wrapped with each"}}, list_keys);
  Command rotate = command_of(
      "encryption-key rotate", "Bring tenants' secrets under the current wrapping key, without downtime", {},
      {{"data-keys", "", "Also make a new data key for each tenant, and seal its secrets again"},
       json_option()},
      {{"rowhouse encryption-key rotate", "after wrapping_key was changed"},
       {"rowhouse encryption-key rotate --data-keys", "when a data key may have leaked"}},
      rotate_keys);
  rotate.notes =
      "Set wrapping_key to the new key and put the one before into wrapping_key_previous on every node, then "
      "run this. "
      "Cut off anywhere, it goes on when it is run again. When `encryption-key list` shows nothing under the "
      "former "
      "key, it can be taken out of the configuration.";
  return {list, rotate};
}

}  // namespace rowhouse::cli
