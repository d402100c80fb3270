#include "platform/pack_check.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <ostream>

#include "cli/commands.h"
#include "cli/table.h"
#include "net/executor.h"
#include "pg/embedded_server.h"
#include "pg/pool.h"
#include "platform/config_command.h"
#include "tenancy/bundle.h"
#include "tenancy/packs.h"

namespace rowhouse::platform {
namespace {

constexpr std::chrono::milliseconds kCheckTimeout{600'000};
constexpr std::uint32_t kSharedBuffersMb = 32;

// A directory under /tmp that disappears with this object.
class TemporaryDirectory {
 public:
  static Result<TemporaryDirectory> create() {
    std::string path = (std::filesystem::temp_directory_path() / "rowhouse-check-XXXXXX").string();
    if (mkdtemp(path.data()) == nullptr) {
      return Error(ErrorCode::data_directory_invalid, fmt::format("cannot create {}", path));
    }
    // PostgreSQL runs as another user when we are root.
    std::filesystem::permissions(path, std::filesystem::perms(0711));
    return TemporaryDirectory(std::move(path));
  }
  TemporaryDirectory(TemporaryDirectory&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  explicit TemporaryDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

Task<Result<std::vector<tenancy::Finding>>> check_on(net::Executor& executor,
                                                     const pg::EmbeddedServer& server,
                                                     const tenancy::Bundle& bundle) {
  const CallOptions options{deadline_in(kCheckTimeout)};
  const tenancy::Cluster cluster(executor, server.superuser("postgres"),
                                 tenancy::Credentials(server.master_key()));
  CO_TRY_DO(co_await cluster.bootstrap(options));
  pg::PoolOptions pool_options;
  pool_options.parameters = cluster.as(tenancy::kPlatformRole, tenancy::kPlatformDatabase);
  pg::Pool platform(executor, pool_options);
  tenancy::ContextGuard guard(cluster, platform);
  tenancy::PackStore packs(cluster, platform, guard);
  co_return co_await packs.check(bundle, options);
}

// What is wrong with the files themselves comes as fields of one Error.
std::vector<tenancy::Finding> findings_of(const Error& error) {
  std::vector<tenancy::Finding> findings;
  for (const FieldError& field : error.fields) {
    findings.emplace_back("manifest", field.path, field.message, "see docs/packs.md");
  }
  if (findings.empty()) findings.emplace_back("files", "pack.json", error.message, "see docs/packs.md");
  return findings;
}

Result<std::vector<tenancy::Finding>> check_directory(const std::string& directory, const Config& config,
                                                      const cli::Terminal& terminal) {
  auto bundle = tenancy::bundle_from_directory(directory);
  if (!bundle.ok()) return findings_of(bundle.error());
  TRY(const auto temporary, TemporaryDirectory::create());
  pg::EmbeddedOptions options;
  options.data_directory = temporary.path() + "/data";
  options.binary_directory = config.postgres.binary_directory;
  options.system_user = config.postgres.system_user;
  options.shared_buffers_mb = kSharedBuffersMb;
  options.durability = pg::EmbeddedOptions::Durability::none_for_tests;
  if (terminal.err_is_terminal) terminal.err << "Starting a throw-away PostgreSQL …\n";
  TRY(const auto server, pg::EmbeddedServer::start(options));
  if (terminal.err_is_terminal) terminal.err << "Checking " << bundle->manifest.name << " …\n";
  net::Executor executor;
  auto checked = net::run_until_done(executor, check_on(executor, *server, *bundle));
  server->stop();
  if (!checked.ok() && checked.error().code == ErrorCode::pack_refused) return findings_of(checked.error());
  return checked;
}

void print_findings(const cli::Terminal& terminal, const std::vector<tenancy::Finding>& findings) {
  for (const tenancy::Finding& finding : findings) {
    terminal.out << cli::styled(terminal, cli::Style::red, cli::printable(finding.rule)) << "  "
                 << cli::styled(terminal, cli::Style::bold, cli::printable(finding.object)) << '\n'
                 << "    " << cli::printable(finding.message) << '\n';
    if (!finding.fix.empty()) terminal.out << "    Fix: " << cli::printable(finding.fix) << '\n';
  }
}

json::Value findings_document(const std::vector<tenancy::Finding>& findings) {
  json::Array list;
  for (const tenancy::Finding& finding : findings) {
    json::Value entry{json::Object{}};
    entry.set("rule", json::Value(finding.rule));
    entry.set("object", json::Value(finding.object));
    entry.set("message", json::Value(finding.message));
    entry.set("fix", json::Value(finding.fix));
    list.push_back(std::move(entry));
  }
  json::Value document{json::Object{}};
  document.set("findings", json::Value(std::move(list)));
  return document;
}

Result<cli::ExitCode> run_check(cli::Invocation& invocation, const Environment& environment) {
  const cli::Terminal& terminal = invocation.terminal();
  TRY(const auto resolved, resolve(invocation.options(), environment));
  TRY(const auto findings, check_directory(invocation.argument(0), resolved.config, terminal));
  const auto code = findings.empty() ? cli::ExitCode::ok : cli::ExitCode::failed;
  if (invocation.json()) {
    cli::print_json(terminal, findings_document(findings));
    return code;
  }
  print_findings(terminal, findings);
  if (findings.empty()) {
    terminal.out << invocation.argument(0) << " breaks no rule.\n";
  } else {
    terminal.out << fmt::format("{} finding{}.\n", findings.size(), findings.size() == 1 ? "" : "s");
  }
  return code;
}

}  // namespace

cli::Command pack_check_command(const Environment& environment) {
  cli::Command command;
  command.name = "pack check";
  command.summary = "Check a pack against every rule, without a server";
  command.arguments = {{"DIR",
                        "the folder with pack.json and migrations/",
                        cli::Argument::Presence::required,
                        cli::Completion::directory,
                        {}}};
  command.options = {cli::json_option()};
  const auto flags = flags_of({"postgres"});
  for (const cli::Option& flag : flags) {
    if (flag.name == "postgres-binaries" || flag.name == "postgres-user" || flag.name == "config") {
      command.options.push_back(flag);
    }
  }
  command.notes =
      "The pack is installed in a throw-away PostgreSQL, which takes a few seconds and touches nothing else. "
      "Each finding "
      "names the rule, the object and the fix; docs/packs.md explains the rules. Exit status 1 if there is a "
      "finding.";
  command.examples = {{"rowhouse pack check ./packs/helpdesk", "before `rowhouse pack install`"}};
  command.run = [environment](cli::Invocation& invocation) { return run_check(invocation, environment); };
  return command;
}

}  // namespace rowhouse::platform
