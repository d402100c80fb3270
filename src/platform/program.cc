#include "platform/program.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "cli/commands.h"
#include "cli/completion.h"
#include "platform/config_command.h"
#include "platform/node.h"
#include "platform/pack_check.h"
#include "platform/secrets.h"
#include "platform/version.h"

namespace rowhouse::platform {
namespace {

const std::vector<std::string> kServerModules = {
    "server", "credentials", "postgres", "http", "connections", "data", "isolation", "people", "operations"};

std::vector<cli::Option> connection_options(cli::Talks talks) {
  const std::vector<std::string> wanted =
      talks == cli::Talks::to_data_plane
          ? std::vector<std::string>{"url", "key-file", "ca-file", "config"}
          : std::vector<std::string>{"url", "admin-token-file", "data", "ca-file", "config"};
  std::vector<cli::Option> options;
  for (cli::Option& option : flags_of({"server", "credentials", "client"})) {
    if (std::find(wanted.begin(), wanted.end(), option.name) != wanted.end())
      options.push_back(std::move(option));
  }
  return options;
}

// The admin token of the environment, of a file that was named, or of the data directory of `rowhouse up`.
Result<void> find_admin_token(const Resolved& resolved, cli::ClientSettings& settings) {
  TRY(settings.admin_token, find_secret(resolved, "admin_token", "admin_token_file"));
  const std::string path = admin_token_path(resolved.config);
  settings.admin_token_hint = fmt::format("`rowhouse up` keeps its own in {}", path);
  if (!settings.admin_token.empty() || access(path.c_str(), F_OK) != 0) return {};
  if (access(path.c_str(), R_OK) != 0) {
    settings.admin_token_hint += ", which this user may not read";
    return {};
  }
  TRY(settings.admin_token, read_secret_file(path));
  return {};
}

Result<cli::ClientSettings> client_settings(const cli::OptionValues& options, cli::Talks talks,
                                            const Environment& environment) {
  // Only connection options: a command's own --key-file means something else.
  Flags flags;
  for (const cli::Option& option : connection_options(talks)) {
    for (const auto& [name, value] : options) {
      if (name == option.name) flags.emplace_back(name, value);
    }
  }
  TRY(const auto resolved, resolve(flags, environment));
  cli::ClientSettings settings;
  settings.url = resolved.config.client.url;
  settings.certificate_authority = resolved.config.client.certificate_authority;
  if (talks == cli::Talks::to_control_plane) {
    TRY_DO(find_admin_token(resolved, settings));
  } else {
    TRY(settings.tenant_key, find_secret(resolved, "tenant_key", "key_file"));
  }
  return settings;
}

Result<cli::ExitCode> start(cli::Invocation& invocation, const Environment& environment, const Hooks& hooks,
                            ServerKind kind) {
  TRY(auto resolved, resolve(invocation.options(), environment));
  // `up` is one node, so where it listens is where people reach it; nodes of `serve` must all say the same.
  const bool is_chosen = resolved.option("issuer").source.kind != SourceKind::defaults;
  const net::ServerOptions& http = resolved.config.http;
  if (kind == ServerKind::embedded && !is_chosen && http.port != 0) {
    resolved.config.tokens.issuer = own_url(http, http.port);
  }
  const Demo demo = invocation.has("demo") ? Demo::with : Demo::without;
  return run_node(resolved, kind, demo, invocation.terminal(), hooks);
}

cli::Command up_command(const Environment& environment, const Hooks& hooks) {
  cli::Command command;
  command.name = "up";
  command.summary = "Run everything here: the server and a PostgreSQL of its own";
  command.options = {{"demo", "", "Create demo tenants in every tier, with sample data"}};
  for (cli::Option& option : flags_of(kServerModules)) {
    if (option.name != "database-url" && option.name != "encryption-key-file")
      command.options.push_back(std::move(option));
  }
  command.notes =
      "Ctrl-C lets running requests end, then stops PostgreSQL; a second Ctrl-C stops at once. Nothing is "
      "lost when the process is "
      "killed: the next start recovers. The admin token is made at the first start.";
  command.examples = {{"rowhouse up", "on 127.0.0.1:8080"},
                      {"rowhouse up --demo", "with tenants to try things on"},
                      {"rowhouse up --data /srv/rowhouse --listen 0.0.0.0:8080", "elsewhere, for everybody"}};
  command.run = [environment, hooks](cli::Invocation& invocation) {
    return start(invocation, environment, hooks, ServerKind::embedded);
  };
  return command;
}

cli::Command serve_command(const Environment& environment, const Hooks& hooks) {
  cli::Command command;
  command.name = "serve";
  command.summary = "Run the server on a PostgreSQL of yours";
  for (cli::Option& option : flags_of(kServerModules)) {
    const bool embedded_only = option.name == "data" || option.name.starts_with("postgres-");
    if (!embedded_only) command.options.push_back(std::move(option));
  }
  command.notes =
      "Needs ROWHOUSE_DATABASE_URL (a superuser), ROWHOUSE_ENCRYPTION_KEY and ROWHOUSE_ADMIN_TOKEN, or files "
      "that hold the two "
      "secrets. Several nodes may serve one PostgreSQL: they need the same key and token. Servers that are "
      "too old to keep "
      "tenants apart are refused.";
  command.examples = {{"rowhouse serve --config /etc/rowhouse.conf", "everything from a file"}};
  command.run = [environment, hooks](cli::Invocation& invocation) {
    return start(invocation, environment, hooks, ServerKind::operators_own);
  };
  return command;
}

void append(std::vector<cli::Command>& all, std::vector<cli::Command> more) {
  for (cli::Command& command : more) all.push_back(std::move(command));
}

}  // namespace

cli::App make_app(const Environment& environment, const Hooks& hooks) {
  cli::App app;
  app.version = kVersion;
  app.connection_options = connection_options;
  app.client_settings = [environment](const cli::OptionValues& options, cli::Talks talks) {
    return client_settings(options, talks, environment);
  };
  app.commands = {up_command(environment, hooks), serve_command(environment, hooks),
                  config_command(environment)};
  append(app.commands, cli::status_commands());
  append(app.commands, cli::lint_commands());
  append(app.commands, cli::verify_commands());
  append(app.commands, cli::tenant_commands());
  append(app.commands, cli::key_commands());
  append(app.commands, cli::service_key_commands());
  append(app.commands, cli::people_commands());
  append(app.commands, cli::sso_commands());
  append(app.commands, cli::invitation_commands());
  append(app.commands, cli::mail_commands());
  append(app.commands, cli::operation_commands());
  append(app.commands, cli::pack_commands());
  app.commands.push_back(pack_check_command(environment));
  append(app.commands, cli::data_commands());
  append(app.commands, cli::object_commands());
  append(app.commands, cli::storage_commands());
  append(app.commands, cli::context_key_commands());
  append(app.commands, cli::encryption_key_commands());
  append(app.commands, cli::token_key_commands());
  append(app.commands, cli::general_commands());
  return app;
}

int run_program(const std::vector<std::string>& words, const Hooks& hooks) {
  const Environment environment = process_environment();
  const cli::Terminal terminal = cli::process_terminal(environment("NO_COLOR").value_or(""));
  return cli::run(make_app(environment, hooks), terminal, words);
}

}  // namespace rowhouse::platform
