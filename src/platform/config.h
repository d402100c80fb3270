// Every option of Rowhouse: what it is for, its default, its bounds, and where its value comes from.
//
// One name has three spellings: `drain_timeout` in the configuration file, --drain-timeout on the command
// line, ROWHOUSE_DRAIN_TIMEOUT in the environment. Precedence: flag, then environment, then file, then
// default. Secrets have no flag: command lines are readable by everybody on the machine. This is the only
// place that reads the environment.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "data/data_service.h"
#include "identity/access_directory.h"
#include "identity/passwords.h"
#include "identity/sessions.h"
#include "identity/tokens.h"
#include "net/http_fetch.h"
#include "net/http_server.h"
#include "net/smtp_client.h"
#include "observe/log.h"
#include "operations/engine.h"
#include "pg/embedded_server.h"
#include "pg/pool.h"
#include "session/tenant_database.h"
#include "tenancy/context_guard.h"
#include "tenancy/context_rotation.h"
#include "tenancy/registry.h"

namespace rowhouse::platform {

struct ServerSettings {
  std::uint32_t workers = 0;
  std::chrono::milliseconds drain_timeout{30'000};
  std::chrono::milliseconds startup_timeout{600'000};  // for bootstrap and packs together
  observe::Level log_level = observe::Level::info;
  enum class AccessLog { on, off } access_log = AccessLog::on;
  std::string log_file;     // "" = standard error
  std::string base_domain;  // "" = hosts say nothing about tenants
  std::string packs;        // names, separated by commas; "all"; "none"
};

struct CredentialSettings {
  std::string admin_token, admin_token_file;
  std::string master_key, master_key_file;
  std::string wrapping_key, wrapping_key_file, wrapping_key_command;
  std::string wrapping_key_previous, wrapping_key_previous_file;
};

struct MailSettings {
  std::string url;  // "" = this installation sends no mail
  std::string user, password, password_file;
  std::string from;
  net::SmtpTls tls = net::SmtpTls::required;
  std::string ca_file;
};

// Where tenants' endpoints may be: see net/egress.h.
struct EgressSettings {
  std::string allow;  // entries, separated by commas
  std::string ca_file;
  std::string mount_roots;  // directories, separated by commas
};

// Object storage that this installation makes for tenants.
struct ProvisioningSettings {
  enum class Kind { automatic, none, directory, ceph_rgw, minio, garage } kind = Kind::automatic;
  std::string directory;  // "" = "objects" in the data directory
  std::string endpoint, region = "us-east-1";
  std::string admin_endpoint;  // of Garage
  std::string admin_access_key, admin_secret_key, admin_secret_key_file;
};

struct ClientOptions {
  std::string url;
  std::string tenant_key, tenant_key_file;
  std::string certificate_authority;
};

// One member per module, of the module's own options type.
struct Config {
  ServerSettings server;
  CredentialSettings credentials;
  std::string database_url;
  pg::EmbeddedOptions postgres;
  net::ServerOptions http;
  std::chrono::milliseconds request_timeout{30'000};
  pg::PoolOptions platform_pool;
  session::TenantDatabaseOptions tenant_database;
  tenancy::RegistryOptions registry;
  pg::PoolOptions identity_pool;
  identity::TokenOptions tokens;
  identity::PasswordOptions passwords;
  identity::SessionOptions sessions;
  identity::AccessDirectoryOptions access;
  MailSettings mail;
  std::chrono::hours invitation_life{7 * 24};
  net::FetchOptions sso;  // how identity providers are asked
  EgressSettings egress;
  ProvisioningSettings provisioning;
  data::DataOptions data;
  tenancy::GuardMode context_guard = tenancy::GuardMode::automatic;
  tenancy::ContextKeyOptions context_keys;
  operations::EngineOptions operations;  // `node` is chosen by each worker
  std::chrono::milliseconds verify_every{24 * 3'600'000};
  std::string verify_url;  // "" = this node's own address
  ClientOptions client;

  Config();  // the defaults
};

enum class Kind { text, integer, duration, size, address, choice, path, file };
// Secrets have no flag and are never shown; of a URL only the password is hidden.
enum class Secrecy { open, password_in_url, secret };

struct OptionSpec {
  std::string name;
  std::string module;  // "server", "http", …; headings of `rowhouse config` and docs/configuration.md
  Kind kind = Kind::text;
  std::string value_name;  // "ADDR:PORT"
  std::string description;
  std::string bounds;                // for people: "1 to 256"; "" = any text
  std::vector<std::string> choices;  // of Kind::choice
  std::string default_text;          // where the default depends on the machine; "" = the value of Config()
  Secrecy secrecy = Secrecy::open;
  std::function<bool(Config&, std::string_view text)> set;  // false: outside the bounds
  std::function<std::string(const Config&)> get;

  std::string flag() const;         // "drain-timeout"
  std::string environment() const;  // "ROWHOUSE_DRAIN_TIMEOUT"
};

const std::vector<OptionSpec>& option_registry();
const OptionSpec* find_option(std::string_view name);

enum class SourceKind { defaults, file, environment, flag };

struct Source {
  SourceKind kind = SourceKind::defaults;
  std::string where;  // "--listen", "ROWHOUSE_LISTEN", "rowhouse.conf:12", "default"
};

struct ResolvedOption {
  const OptionSpec* spec;
  std::string value;  // as `get` writes it
  Source source;
};

struct Resolved {
  Config config;
  std::vector<ResolvedOption> options;  // in the registry's order
  const ResolvedOption& option(std::string_view name) const;
};

// Looks up an environment variable; nullopt if it is not set.
using Environment = std::function<std::optional<std::string>(std::string_view name)>;
using Flags =
    std::vector<std::pair<std::string, std::string>>;  // "listen", "127.0.0.1:9000"; others are ignored

// `flags` may hold "config", the file; otherwise ROWHOUSE_CONFIG names it; otherwise there is none.
// Error: config_invalid, naming option, value, bounds and source.
Result<Resolved> resolve(const Flags& flags, const Environment& environment);

// The value for people: secrets as "(set)", passwords in URLs as "***".
std::string shown_value(const OptionSpec& spec, const std::string& value);

Environment process_environment();

// Where `rowhouse up` keeps everything unless told otherwise: /var/lib/rowhouse for root, otherwise in the
// user's home.
std::string default_data_directory();

}  // namespace rowhouse::platform
