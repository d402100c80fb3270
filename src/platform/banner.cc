#include "platform/banner.h"

#include <fmt/format.h>

#include <filesystem>
#include <ostream>

#include "cli/table.h"
#include "platform/secrets.h"
#include "platform/units.h"
#include "platform/version.h"

namespace rowhouse::platform {
namespace {

// An address that a client on this machine can use.
std::string url_of(const Config& config, std::uint16_t port) {
  std::string address = config.http.address;
  if (address == "0.0.0.0") address = "127.0.0.1";
  if (address == "::") address = "::1";
  return fmt::format("{}://{}", config.http.certificate_file.empty() ? "http" : "https",
                     format_listen_address(address, port));
}

// What the command line needs to be told because it would not find it by itself.
std::string shell_settings(const Resolved& resolved, ServerKind kind, const std::string& url) {
  std::string text;
  if (url != Config().client.url) text += fmt::format("  export ROWHOUSE_URL={}\n", url);
  const ResolvedOption& data = resolved.option("data");
  if (kind == ServerKind::embedded && data.source.kind != SourceKind::defaults) {
    text += fmt::format("  export ROWHOUSE_DATA={}\n", std::filesystem::absolute(data.value).string());
  }
  return text;
}

}  // namespace

void print_banner(const cli::Terminal& terminal, const Resolved& resolved, ServerKind kind,
                  std::uint16_t port, const std::vector<DemoTenant>& demo_tenants) {
  const Config& config = resolved.config;
  const std::string url = url_of(config, port);
  terminal.out << '\n'
               << cli::styled(terminal, cli::Style::bold, fmt::format("Rowhouse {} is ready.", kVersion))
               << "\n\n";
  std::vector<std::pair<std::string, std::string>> fields = {
      {"API", url}, {"Reference", url + "/docs"}, {"OpenAPI", url + "/openapi.json"}};
  if (kind == ServerKind::embedded) {
    fields.emplace_back("Data", std::filesystem::absolute(config.postgres.data_directory).string());
    fields.emplace_back("Admin token", std::filesystem::absolute(admin_token_path(config)).string());
  }
  cli::print_fields(terminal, fields);
  if (!demo_tenants.empty()) {
    cli::Table table;
    for (const char* title : {"TENANT", "NAME", "PACK", "TIER", "PLAN", "API KEY IN"}) table.column(title);
    for (const DemoTenant& tenant : demo_tenants) {
      table.row({tenant.slug, tenant.name, tenant.pack, tenant.tier, tenant.plan, tenant.key_file});
    }
    terminal.out << '\n';
    table.print(terminal, "");
  }
  terminal.out << "\nIn another terminal:\n"
               << shell_settings(resolved, kind, url)
               << "  rowhouse status\n"
                  "  rowhouse tenant create \"Your Company\" --pack tekup --sample-data\n"
                  "  rowhouse help\n\n"
                  "Ctrl-C stops it.\n"
               << std::flush;
}

}  // namespace rowhouse::platform
