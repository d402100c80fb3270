#include <fmt/format.h>

#include <ostream>

#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/operation_view.h"
#include "cli/operation_watch.h"
#include "cli/table.h"
#include "tenancy/bundle.h"

namespace rowhouse::cli {
namespace {

constexpr std::string_view kTenants = "/v1/tenants";

void print_tenant(const Terminal& terminal, const json::Value& tenant) {
  const json::Value* placement = tenant.find("placement");
  const std::string database = placement == nullptr ? "" : text_of(*placement, "database");
  const std::string schema = placement == nullptr ? "" : text_of(*placement, "schema");
  print_fields(terminal, {{"Slug", text_of(tenant, "slug")},
                          {"Name", text_of(tenant, "name")},
                          {"Id", text_of(tenant, "id")},
                          {"Status", text_of(tenant, "status")},
                          {"Pack", text_of(tenant, "pack")},
                          {"Plan", text_of(tenant, "plan")},
                          {"Tier", text_of(tenant, "tier")},
                          {"Database", database},
                          {"Schema", schema},
                          {"Domain", text_of(tenant, "domain")},
                          {"Subdomain", text_of(tenant, "subdomain")},
                          {"Storage", text_of(tenant, "storage")},
                          {"Settings", text_of(tenant, "settings")},
                          {"Branding", text_of(tenant, "branding")},
                          {"Contact", text_of(tenant, "contact")},
                          {"Created", text_of(tenant, "created_at")},
                          {"Updated", text_of(tenant, "updated_at")},
                          {"Version", text_of(tenant, "version")}});
}

ExitCode show_tenant(Invocation& invocation, const ApiReply& reply) {
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  print_tenant(invocation.terminal(), reply.body);
  return ExitCode::ok;
}

// Sets `member` of `body` when the option was given. "" stays: it clears an optional member.
void copy_option(const Invocation& invocation, std::string_view option, std::string member,
                 json::Value& body) {
  if (invocation.has(option)) body.set(std::move(member), json::Value(invocation.value(option)));
}

Result<void> copy_json_option(const Invocation& invocation, std::string_view option, json::Value& body) {
  if (!invocation.has(option)) return {};
  TRY(const auto text, read_text_argument(invocation.terminal(), invocation.value(option)));
  auto parsed = json::parse(text);
  if (!parsed.ok()) return usage_error(fmt::format("--{}: {}", option, parsed.error().message));
  body.set(std::string(option), std::move(*parsed));
  return {};
}

struct Choice {
  std::string name;  // may be typed instead of the number
  std::string text;
};

// A numbered menu; the name of what was chosen. Error: cancelled when the input ends.
Result<std::string> choose(const Terminal& terminal, std::string_view question,
                           const std::vector<Choice>& choices, std::optional<std::size_t> by_default) {
  terminal.err << question << '\n';
  for (std::size_t i = 0; i < choices.size(); ++i) {
    terminal.err << fmt::format("  {}  {}\n", i + 1, printable(choices[i].text));
  }
  const std::string offer = by_default.has_value() ? fmt::format(" [{}]", *by_default + 1) : "";
  for (;;) {
    const auto answer = ask(terminal, fmt::format("Choose 1 to {}{}: ", choices.size(), offer));
    if (!answer.has_value())
      return Error(ErrorCode::cancelled, "nothing was chosen, and nothing was created");
    if (answer->empty() && by_default.has_value()) return choices[*by_default].name;
    for (std::size_t i = 0; i < choices.size(); ++i) {
      if (*answer == std::to_string(i + 1) || *answer == choices[i].name) return choices[i].name;
    }
    terminal.err << fmt::format("Please answer with a number from 1 to {}.\n", choices.size());
  }
}

// The three choices, asked for on a terminal when --storage was left out.
Result<std::string> storage_choice(const Invocation& invocation) {
  if (invocation.has("storage")) return invocation.value("storage");
  const Terminal& terminal = invocation.terminal();
  if (!terminal.in_is_terminal || !terminal.err_is_terminal) return std::string("none");
  const std::vector<Choice> choices = {
      {"byos", "Its own storage: the customer brings a bucket or a share (byos)"},
      {"provisioned", "Storage that Rowhouse provisions for it (provisioned)"},
      {"none", "None for now (none)"}};
  return choose(terminal, "Where shall this tenant keep its files?", choices, choices.size() - 1);
}

// The pack that was named, or the only one there is; on a terminal it may be chosen from a menu.
Result<std::string> pack_choice(const Invocation& invocation, const ApiClient& client) {
  if (invocation.has("pack")) return invocation.value("pack");
  TRY(const auto reply, client.call("GET", "/v1/packs"));
  std::vector<std::string> names;
  const json::Value* data = reply.body.find("data");
  if (data != nullptr && data->as_array() != nullptr) {
    for (const json::Value& pack : *data->as_array()) names.push_back(text_of(pack, "name"));
  }
  if (names.size() == 1) return names.front();
  const Terminal& terminal = invocation.terminal();
  if (names.empty() || !terminal.in_is_terminal || !terminal.err_is_terminal) {
    return usage_error(names.empty() ? "no pack is installed: `rowhouse pack install DIR`"
                                     : fmt::format("--pack is missing: one of {}", fmt::join(names, ", ")));
  }
  std::vector<Choice> choices;
  choices.reserve(names.size());
  for (const std::string& name : names) choices.push_back({name, name});
  return choose(terminal, "Which product does this tenant subscribe to?", choices, std::nullopt);
}

// Not to be kept waiting.
std::vector<net::Header> asynchronously(const Invocation& invocation) {
  std::vector<net::Header> headers;
  headers.emplace_back("Prefer", "respond-async");
  if (invocation.has("idempotency-key")) {
    headers.emplace_back("Idempotency-Key", invocation.value("idempotency-key"));
  }
  return headers;
}

// Of the tenant's first admin.
void show_invitation(const Invocation& invocation, const json::Value& created) {
  if (invocation.json() || !invocation.has("admin-email")) return;
  show_link(invocation.terminal(), text_of(created, "invitation_link"));
}

Result<ExitCode> show_created(const Invocation& invocation, const json::Value& created) {
  if (invocation.json()) {
    print_json(invocation.terminal(), created);
  } else if (const json::Value* tenant = created.find("tenant")) {
    print_tenant(invocation.terminal(), *tenant);
    if (invocation.has("sample-data")) {
      invocation.terminal().out << fmt::format("{} sample rows were loaded.\n",
                                               text_of(created, "sample_rows"));
    }
  }
  TRY_DO(hand_over_secret(invocation, text_of(created, "api_key"), "tenant's API key"));
  show_invitation(invocation, created);
  return ExitCode::ok;
}

// The key is shown although the tenant is not there yet: nobody can show it later.
Result<ExitCode> leave_creation(const Invocation& invocation, const json::Value& begun,
                                const json::Value& operation) {
  if (invocation.json()) {
    print_json(invocation.terminal(), begun);
  } else {
    invocation.terminal().out << text_of(operation, "id") << '\n';
  }
  const std::string key = text_of(begun, "api_key");
  if (!key.empty())
    TRY_DO(hand_over_secret(invocation, key, "tenant's API key, good as soon as the tenant is active"));
  show_invitation(invocation, begun);
  return ExitCode::ok;
}

Result<ExitCode> follow_creation(const Invocation& invocation, const ApiClient& client,
                                 const json::Value& begun, const json::Value& operation) {
  const std::string id = text_of(operation, "id");
  WatchEnd end{WatchEnd::Why::ended, operation};
  if (!operation_ended(operation)) {
    auto watched = watch_operation(client, invocation.terminal(), id, OnPause::stop);
    if (!watched.ok()) {
      TRY_DO(leave_creation(invocation, begun, operation));
      return std::move(watched).error().with_detail(std::string(kHint), how_to_watch(id));
    }
    end = std::move(*watched);
  }
  if (end.why != WatchEnd::Why::ended) {
    const bool paused = end.why == WatchEnd::Why::paused;
    invocation.terminal().err
        << (paused ? fmt::format("An operator has paused it. `rowhouse operation resume {}` goes on.", id)
                   : how_to_watch(id))
        << '\n';
    TRY_DO(leave_creation(invocation, begun, operation));
    return paused ? ExitCode::failed : ExitCode::interrupted;
  }
  if (!operation_succeeded(end.operation)) return operation_failure(end.operation);
  const std::string path = path_of(kTenants, {text_of(end.operation, "tenant_id")});
  auto tenant = get_patiently(client, invocation.terminal(), path);
  if (!tenant.ok()) {
    TRY_DO(leave_creation(invocation, begun, operation));  // the tenant is there, and so must be its key
    return std::move(tenant).error();
  }
  const json::Value* output = end.operation.find("output");
  const json::Value* sample_rows = output == nullptr ? nullptr : output->find("sample_rows");
  json::Value created;
  created.set("tenant", tenant->body);
  created.set("api_key", text_of(begun, "api_key"));
  created.set("sample_rows", sample_rows == nullptr ? json::Value(0) : *sample_rows);
  const json::Value* link = begun.find("invitation_link");
  created.set("invitation_link", link == nullptr ? json::Value() : *link);
  return show_created(invocation, created);
}

Result<ExitCode> create_tenant(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  json::Value body{json::Object{}};
  body.set("name", json::Value(invocation.argument(0)));
  TRY(auto pack, pack_choice(invocation, client));
  body.set("pack", json::Value(std::move(pack)));
  for (const char* option : {"slug", "plan", "tier", "domain", "subdomain"}) {
    copy_option(invocation, option, option, body);
  }
  copy_option(invocation, "admin-email", "admin_email", body);
  for (const char* option : {"settings", "branding", "contact"}) {
    TRY_DO(copy_json_option(invocation, option, body));
  }
  TRY(auto storage, storage_choice(invocation));
  body.set("storage", json::Value(std::move(storage)));
  if (invocation.has("storage-config")) {
    TRY(auto config, read_storage_config(invocation, "storage-config"));
    body.set("storage_config", std::move(config));
  }
  if (invocation.has("sample-data")) body.set("sample_data", json::Value(true));
  TRY(const auto reply, client.call("POST", std::string(kTenants), body, asynchronously(invocation)));
  const json::Value* operation = reply.body.find("operation");
  if (operation == nullptr) return show_created(invocation, reply.body);  // it did not take it up on that
  if (invocation.has("no-wait")) return leave_creation(invocation, reply.body, *operation);
  return follow_creation(invocation, client, reply.body, *operation);
}

Result<ExitCode> list_tenants(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  std::vector<std::pair<std::string, std::string>> query;
  for (const char* option : {"pack", "plan", "tier", "status", "search", "limit", "cursor"}) {
    query.emplace_back(option, invocation.value(option));
  }
  TRY(const auto reply, client.call("GET", std::string(kTenants) + query_of(query)));
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  Table table;
  for (const char* title : {"SLUG", "NAME", "PACK", "PLAN", "TIER", "STATUS", "CREATED"}) table.column(title);
  const json::Value* data = reply.body.find("data");
  if (data != nullptr && data->as_array() != nullptr) {
    for (const json::Value& tenant : *data->as_array()) {
      table.row({text_of(tenant, "slug"), text_of(tenant, "name"), text_of(tenant, "pack"),
                 text_of(tenant, "plan"), text_of(tenant, "tier"), text_of(tenant, "status"),
                 text_of(tenant, "created_at").substr(0, 10)});
    }
  }
  table.print(invocation.terminal(), "There are no such tenants.");
  const std::string cursor = text_of(reply.body, "next_cursor");
  if (!cursor.empty()) invocation.terminal().err << "There are more: --cursor " << cursor << '\n';
  return ExitCode::ok;
}

Result<ExitCode> get_tenant(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("GET", path_of(kTenants, {invocation.argument(0)})));
  return show_tenant(invocation, reply);
}

Result<ExitCode> update_tenant(Invocation& invocation) {
  json::Value body{json::Object{}};
  for (const char* option : {"name", "plan", "domain", "subdomain"})
    copy_option(invocation, option, option, body);
  for (const char* option : {"settings", "branding", "contact"}) {
    TRY_DO(copy_json_option(invocation, option, body));
  }
  if (body.as_object()->empty()) return usage_error("there is nothing to change: name at least one option");
  TRY(const auto client, ApiClient::create(invocation));
  std::vector<net::Header> headers;
  if (invocation.has("if-match")) headers.emplace_back("If-Match", invocation.value("if-match"));
  TRY(const auto reply, client.call("PATCH", path_of(kTenants, {invocation.argument(0)}), body, headers));
  return show_tenant(invocation, reply);
}

Result<ExitCode> change_status(Invocation& invocation, const char* verb) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("POST", path_of(kTenants, {invocation.argument(0), verb})));
  return show_tenant(invocation, reply);
}

// false: somebody pressed Ctrl-C.
Result<bool> follow_deletion(const Terminal& terminal, const ApiClient& client,
                             const json::Value& operation) {
  const std::string id = text_of(operation, "id");
  auto end = watch_operation(client, terminal, id, OnPause::stop);
  if (!end.ok()) return std::move(end).error().with_detail(std::string(kHint), how_to_watch(id));
  if (end->why == WatchEnd::Why::interrupted) return false;
  if (end->why == WatchEnd::Why::paused) {
    return Error(ErrorCode::conflict, "an operator has paused the deletion")
        .with_detail(std::string(kHint), fmt::format("`rowhouse operation resume {}` goes on", id));
  }
  if (!operation_succeeded(end->operation)) return operation_failure(end->operation);
  return true;
}

Result<ExitCode> delete_tenant(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  const Terminal& terminal = invocation.terminal();
  const std::string path = path_of(kTenants, {invocation.argument(0)});
  TRY(const auto found, client.call("GET", path));
  const std::string slug = text_of(found.body, "slug");
  if (!invocation.has("yes")) {
    if (!terminal.in_is_terminal) {
      return usage_error(
          "deleting needs --yes when there is nobody to ask (standard input is not a terminal)");
    }
    terminal.err << fmt::format("This deletes {} ({}) with all its rows and keys. There is no way back.\n",
                                printable(text_of(found.body, "name")), slug);
    if (ask(terminal, fmt::format("Type {} to go on: ", slug)) != slug) {
      return Error(ErrorCode::cancelled, "that was not the slug; nothing was deleted");
    }
  }
  TRY(const auto reply, client.call("DELETE", path, {}, asynchronously(invocation)));
  if (const json::Value* operation = reply.body.find("operation")) {
    const std::string id = text_of(*operation, "id");
    if (invocation.has("no-wait")) {
      terminal.out << id << '\n';
      return ExitCode::ok;
    }
    TRY(const bool done, follow_deletion(terminal, client, *operation));
    if (!done) {
      terminal.err << how_to_watch(id) << '\n';
      return ExitCode::interrupted;
    }
  }
  terminal.err << fmt::format("{} is deleted.\n", slug);
  return ExitCode::ok;
}

Option setting_option(std::string name, std::string description) {
  return {std::move(name),
          "JSON",
          std::move(description) + ": a JSON object, a file that holds one, or - for standard input",
          {},
          Completion::file};
}

Option no_wait_option() { return {"no-wait", "", "Print the operation's id and leave it to the server"}; }

Argument slug_argument() { return {"TENANT", "the tenant's slug or id"}; }

Command create_command() {
  Command command;
  command.name = "tenant create";
  command.summary = "Create a tenant with its API key";
  command.arguments = {{"NAME", "the customer's name, 1 to 200 characters"}};
  command.options = {
      {"pack", "PACK", "The product it subscribes to (asked on a terminal when there are several)",
       tenancy::embedded_pack_names()},
      {"plan", "PLAN", "The plan (default: the pack's)"},
      {"tier",
       "TIER",
       "Where its rows live: pool, schema or database (default: the pack's)",
       {"pool", "schema", "database"}},
      {"slug", "SLUG", "Short name for URLs and commands (default: made from NAME)"},
      {"domain", "DOMAIN", "The customer's own domain"},
      {"subdomain", "NAME", "Its name under the platform's domain (default: the slug)"},
      {"storage",
       "CHOICE",
       "Where its files go: byos, provisioned or none (asked on a terminal; otherwise none)",
       {"byos", "provisioned", "none"}},
      {"storage-config",
       "FILE",
       "With --storage byos: its configuration, {\"provider\": …, \"config\": {…}}; - reads standard input",
       {},
       Completion::file},
      {"admin-email", "ADDRESS", "Who is invited as its first admin"},
      setting_option("settings", "Settings of the pack"),
      setting_option("branding", "Colours, logo and the like"),
      setting_option("contact", "Contact details"),
      {"sample-data", "", "Load the pack's sample rows"},
      {"key-file",
       "FILE",
       "Write the API key to this new file (mode 0600) instead of showing it",
       {},
       Completion::file},
      no_wait_option(),
      {"idempotency-key", "KEY",
       "Make one tenant however often this is repeated (1 to 255 visible ASCII characters)"},
      json_option()};
  command.notes =
      "Shows its steps while they run. It is an operation of the server, which goes on when this command is "
      "interrupted and "
      "when the server is killed, and which takes back everything if a step fails. Ctrl-C leaves it and "
      "shows the key, which "
      "is good as soon as the tenant is active.";
  command.examples = {
      {"rowhouse tenant create \"Acme Corp\" --pack tekup --plan professional", "in the pack's default tier"},
      {"rowhouse tenant create Fjordnet --pack isp-monitor --tier schema --storage none --sample-data",
       "no questions"},
      {"rowhouse tenant create Fjordnet --pack isp-monitor --no-wait --json | jq -r .operation.id",
       "for scripts"}};
  command.talks = Talks::to_control_plane;
  command.run = create_tenant;
  return command;
}

Command list_command() {
  Command command;
  command.name = "tenant list";
  command.summary = "List tenants";
  command.options = {{"pack", "PACK", "Only those of this pack"},
                     {"plan", "PLAN", "Only those with this plan"},
                     {"tier", "TIER", "Only those of this tier", {"pool", "schema", "database"}},
                     {"status",
                      "STATUS",
                      "Only those with this status",
                      {"active", "suspended", "provisioning", "archived"}},
                     {"search", "TEXT", "Only those with this text in name or slug"},
                     {"limit", "N", "How many (1 to 500; default 50)"},
                     {"cursor", "CURSOR", "Continue a list where the previous page ended"},
                     json_option()};
  command.examples = {{"rowhouse tenant list --pack tekup --status active", "one pack's active tenants"}};
  command.talks = Talks::to_control_plane;
  command.run = list_tenants;
  return command;
}

Command update_command() {
  Command command;
  command.name = "tenant update";
  command.summary = "Change a tenant's name, plan, domain or settings";
  command.arguments = {slug_argument()};
  command.options = {{"name", "NAME", "Its new name"},
                     {"plan", "PLAN", "Its new plan"},
                     {"domain", "DOMAIN", "Its own domain"},
                     {"subdomain", "NAME", "Its name under the platform's domain"},
                     setting_option("settings", "Settings of the pack"),
                     setting_option("branding", "Colours, logo and the like"),
                     setting_option("contact", "Contact details"),
                     {"if-match", "ETAG", "Only if the tenant still has this version, as \"v3\""},
                     json_option()};
  command.examples = {
      {"rowhouse tenant update acme-corp --plan enterprise", "a larger plan, from the next request on"}};
  command.talks = Talks::to_control_plane;
  command.run = update_tenant;
  return command;
}

Command simple_command(std::string verb, std::string summary,
                       std::function<Result<ExitCode>(Invocation&)> function) {
  Command command;
  command.name = "tenant " + verb;
  command.summary = std::move(summary);
  command.arguments = {slug_argument()};
  command.options = {json_option()};
  command.examples = {{fmt::format("rowhouse tenant {} acme-corp", verb), "by slug"}};
  command.talks = Talks::to_control_plane;
  command.run = std::move(function);
  return command;
}

Command delete_command() {
  Command command;
  command.name = "tenant delete";
  command.summary = "Delete a tenant with its rows, schema or database, and keys";
  command.arguments = {slug_argument()};
  command.options = {{"yes", "", "Do not ask"}, no_wait_option()};
  command.notes =
      "Shows its steps while they run. There is no way back: the server goes on until nothing is left, also "
      "when this "
      "command is interrupted.";
  command.examples = {{"rowhouse tenant delete acme-corp", "asks for the slug first"},
                      {"rowhouse tenant delete acme-corp --yes", "for scripts"}};
  command.talks = Talks::to_control_plane;
  command.run = delete_tenant;
  return command;
}

}  // namespace

std::vector<Command> tenant_commands() {
  return {create_command(),
          list_command(),
          simple_command("show", "Show one tenant", get_tenant),
          update_command(),
          simple_command("suspend", "Refuse a tenant's requests; its rows stay",
                         [](Invocation& invocation) { return change_status(invocation, "suspend"); }),
          simple_command("resume", "Serve a suspended tenant again",
                         [](Invocation& invocation) { return change_status(invocation, "resume"); }),
          delete_command()};
}

}  // namespace rowhouse::cli
