// The registry: every option in one table, by module.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <thread>

#include "base/text.h"
#include "mail/message.h"
#include "platform/config.h"
#include "platform/units.h"

namespace rowhouse::platform {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMaxIssuerBytes = 200;

// Builds one module's options. Each `member` is a function from Config& to the place of the value.
class Module {
 public:
  Module(std::vector<OptionSpec>& registry, std::string name) : registry_(registry), name_(std::move(name)) {}

  template <class Member>
  OptionSpec& text(std::string name, Member member, std::string description, Kind kind = Kind::text,
                   std::string value_name = "TEXT") {
    OptionSpec& spec = add(std::move(name), kind, std::move(value_name), std::move(description));
    spec.set = [member](Config& config, std::string_view value) {
      member(config) = std::string(value);
      return true;
    };
    spec.get = [member](const Config& config) { return member(const_cast<Config&>(config)); };
    return spec;
  }

  template <class Member>
  OptionSpec& secret(std::string name, Member member, std::string description) {
    OptionSpec& spec = text(std::move(name), member, std::move(description));
    spec.secrecy = Secrecy::secret;
    return spec;
  }

  template <class Member>
  void integer(std::string name, Member member, std::int64_t minimum, std::int64_t maximum,
               std::string description) {
    OptionSpec& spec = add(std::move(name), Kind::integer, "N", std::move(description));
    spec.bounds = fmt::format("a whole number, {} to {}", minimum, maximum);
    spec.set = [member, minimum, maximum](Config& config, std::string_view value) {
      const auto number = parse_int64(value);
      if (!number.has_value() || *number < minimum || *number > maximum) return false;
      auto& place = member(config);
      place = static_cast<std::remove_reference_t<decltype(place)>>(*number);
      return true;
    };
    spec.get = [member](const Config& config) { return std::to_string(member(const_cast<Config&>(config))); };
  }

  template <class Member>
  void size(std::string name, Member member, std::uint64_t minimum, std::uint64_t maximum,
            std::string description) {
    OptionSpec& spec = add(std::move(name), Kind::size, "SIZE", std::move(description));
    spec.bounds =
        fmt::format("a size, {} to {} (bytes, KiB, MiB, GiB)", format_size(minimum), format_size(maximum));
    spec.set = [member, minimum, maximum](Config& config, std::string_view value) {
      const auto bytes = parse_size(value);
      if (!bytes.has_value() || *bytes < minimum || *bytes > maximum) return false;
      auto& place = member(config);
      place = static_cast<std::remove_reference_t<decltype(place)>>(*bytes);
      return true;
    };
    spec.get = [member](const Config& config) { return format_size(member(const_cast<Config&>(config))); };
  }

  template <class Member>
  void duration(std::string name, Member member, milliseconds minimum, milliseconds maximum,
                std::string description) {
    OptionSpec& spec = add(std::move(name), Kind::duration, "DURATION", std::move(description));
    spec.bounds =
        fmt::format("a duration, {} to {} (ms, s, m, h)", format_duration(minimum), format_duration(maximum));
    using Unit = std::remove_reference_t<std::invoke_result_t<Member, Config&>>;
    if (Unit(1) > milliseconds(1)) spec.bounds += ", a multiple of " + format_duration(Unit(1));
    spec.set = [member, minimum, maximum](Config& config, std::string_view value) {
      const auto parsed = parse_duration(value);
      if (!parsed.has_value() || *parsed < minimum || *parsed > maximum) return false;
      const auto whole = std::chrono::duration_cast<Unit>(*parsed);
      if (whole != *parsed) return false;
      member(config) = whole;
      return true;
    };
    spec.get = [member](const Config& config) {
      return format_duration(member(const_cast<Config&>(config)));
    };
  }

  // `Enum` values in the order of `names`.
  template <class Member>
  void choice(std::string name, Member member, std::vector<std::string> names, std::string description) {
    OptionSpec& spec = add(std::move(name), Kind::choice, "WORD", std::move(description));
    spec.choices = names;
    spec.bounds = fmt::format("one of {}", fmt::join(names, ", "));
    spec.set = [member, names](Config& config, std::string_view value) {
      const auto found = std::find(names.begin(), names.end(), value);
      if (found == names.end()) return false;
      auto& place = member(config);
      place = static_cast<std::remove_reference_t<decltype(place)>>(found - names.begin());
      return true;
    };
    spec.get = [member, names](const Config& config) {
      return names[static_cast<std::size_t>(member(const_cast<Config&>(config)))];
    };
  }

  OptionSpec& add(std::string name, Kind kind, std::string value_name, std::string description) {
    OptionSpec spec;
    spec.name = std::move(name);
    spec.module = name_;
    spec.kind = kind;
    spec.value_name = std::move(value_name);
    spec.description = std::move(description);
    registry_.push_back(std::move(spec));
    return registry_.back();
  }

 private:
  std::vector<OptionSpec>& registry_;
  std::string name_;
};

// A function from Config& to the place of one value.
// NOLINTBEGIN(bugprone-macro-parentheses)
#define ROWHOUSE_MEMBER(path) \
  [](Config & config) -> auto& { return config.path; }
// NOLINTEND(bugprone-macro-parentheses)

void add_server(std::vector<OptionSpec>& registry) {
  Module module(registry, "server");
  module
      .text("data", ROWHOUSE_MEMBER(postgres.data_directory),
            "Data directory of `rowhouse up`: the PostgreSQL cluster, secrets, the admin token", Kind::path,
            "DIR")
      .default_text = "/var/lib/rowhouse for root, otherwise ~/.local/share/rowhouse";
  OptionSpec& listen =
      module.add("listen", Kind::address, "ADDR:PORT", "Where to serve HTTP; port 0: the system picks one");
  listen.bounds = "ADDRESS:PORT, as 127.0.0.1:8080 or [::1]:8080 (0.0.0.0 is every address)";
  listen.set = [](Config& config, std::string_view value) {
    auto parsed = parse_listen_address(value);
    if (!parsed.has_value()) return false;
    config.http.address = std::move(parsed->address);
    config.http.port = parsed->port;
    return true;
  };
  listen.get = [](const Config& config) {
    return format_listen_address(config.http.address, config.http.port);
  };
  module
      .text("base_domain", ROWHOUSE_MEMBER(server.base_domain),
            "Domain under which tenants have subdomains. When set, a request whose Host names another "
            "tenant, or none, is "
            "refused",
            Kind::text, "DOMAIN")
      .default_text = "none: hosts say nothing about tenants";
  module.integer("workers", ROWHOUSE_MEMBER(server.workers), 1, 256,
                 "Threads that serve requests; PostgreSQL needs processors, too");
  registry.back().default_text = "half of the processors";
  module.duration("drain_timeout", ROWHOUSE_MEMBER(server.drain_timeout), milliseconds(0),
                  milliseconds(3'600'000),
                  "How long running requests may take to end when the server is asked to stop");
  module.duration("startup_timeout", ROWHOUSE_MEMBER(server.startup_timeout), milliseconds(1'000),
                  milliseconds(24 * 3'600'000), "How long migrations and packs may take at the start");
  module.text("packs", ROWHOUSE_MEMBER(server.packs),
              "Bundled packs to install or upgrade at the start, separated by commas; all; none", Kind::text,
              "NAMES");
  module.choice("log_level", ROWHOUSE_MEMBER(server.log_level), {"debug", "info", "warning", "error"},
                "The least important events that are logged");
  module.choice("access_log", ROWHOUSE_MEMBER(server.access_log), {"on", "off"}, "One JSON line per request");
  module.text("log_file", ROWHOUSE_MEMBER(server.log_file), "Append the log to this file", Kind::file, "FILE")
      .default_text = "standard error";
}

void add_credentials(std::vector<OptionSpec>& registry) {
  Module module(registry, "credentials");
  module.secret("admin_token", ROWHOUSE_MEMBER(credentials.admin_token),
                "Token of the platform admin (rha_…), for `serve` and the command line");
  module
      .text("admin_token_file", ROWHOUSE_MEMBER(credentials.admin_token_file),
            "File that holds the admin token", Kind::file, "FILE")
      .default_text = "admin.token in the data directory";
  module.secret("encryption_key", ROWHOUSE_MEMBER(credentials.master_key),
                "Master key of a `serve` installation: 64 hexadecimal digits, the same on every node. `up` "
                "makes its own");
  module.text("encryption_key_file", ROWHOUSE_MEMBER(credentials.master_key_file),
              "File that holds the master key", Kind::file, "FILE");
  module
      .secret(
          "wrapping_key", ROWHOUSE_MEMBER(credentials.wrapping_key),
          "Key that wraps the data keys of tenants' secrets: 64 hexadecimal digits, the same on every node. "
          "See `rowhouse encryption-key rotate`")
      .default_text = "derived from the master key";
  module.text("wrapping_key_file", ROWHOUSE_MEMBER(credentials.wrapping_key_file),
              "File that holds the wrapping key", Kind::file, "FILE");
  module.text(
      "wrapping_key_command", ROWHOUSE_MEMBER(credentials.wrapping_key_command),
      "Command that prints the wrapping key, for a vault or a key management service. Run with /bin/sh "
      "at the start, for at most 10 s",
      Kind::text, "COMMAND");
  module.secret("wrapping_key_previous", ROWHOUSE_MEMBER(credentials.wrapping_key_previous),
                "Other wrapping keys that secrets may still be sealed under, separated by commas");
  module.text("wrapping_key_previous_file", ROWHOUSE_MEMBER(credentials.wrapping_key_previous_file),
              "File that holds them, in one line", Kind::file, "FILE");
}

void add_postgres(std::vector<OptionSpec>& registry) {
  Module module(registry, "postgres");
  OptionSpec& url =
      module.text("database_url", ROWHOUSE_MEMBER(database_url),
                  "PostgreSQL server of `serve`, as a superuser. A password belongs into the environment or "
                  "the file: command lines are readable by everybody on the machine",
                  Kind::text, "URL");
  url.secrecy = Secrecy::password_in_url;
  url.bounds = "postgresql://USER:PASSWORD@HOST:PORT/postgres?sslmode=require";
  module
      .text("postgres_binaries", ROWHOUSE_MEMBER(postgres.binary_directory),
            "Folder of initdb and postgres for `up`", Kind::path, "DIR")
      .default_text = "the newest under /usr/lib/postgresql";
  module.text("postgres_user", ROWHOUSE_MEMBER(postgres.system_user),
              "System user that PostgreSQL runs as when `up` is started as root", Kind::text, "USER");
  module.integer("postgres_shared_buffers_mb", ROWHOUSE_MEMBER(postgres.shared_buffers_mb), 0, 1'048'576,
                 "Memory for PostgreSQL's own cache, in MiB; 0: a quarter of the machine's, at most 8,192");
  module.integer("postgres_max_connections", ROWHOUSE_MEMBER(postgres.max_connections), 50, 10'000,
                 "Connections that the embedded PostgreSQL accepts");
  module.choice("postgres_durability", ROWHOUSE_MEMBER(postgres.durability), {"full", "none_for_tests"},
                "none_for_tests does not wait for the disk: a crash loses data");
}

void add_http(std::vector<OptionSpec>& registry) {
  Module module(registry, "http");
  module.text("tls_certificate", ROWHOUSE_MEMBER(http.certificate_file),
              "PEM certificate chain; with tls_key, the server speaks HTTPS (TLS 1.2 and later)", Kind::file,
              "FILE");
  module.text("tls_key", ROWHOUSE_MEMBER(http.key_file), "PEM private key of the certificate", Kind::file,
              "FILE");
  module.size("http_max_body", ROWHOUSE_MEMBER(http.max_body_bytes), 1024, std::uint64_t{1} << 30,
              "Largest request body; imports have data_max_import");
  module.size("http_max_header", ROWHOUSE_MEMBER(http.max_header_bytes), 1024, 1 << 20,
              "Largest request head");
  module.size("http_max_target", ROWHOUSE_MEMBER(http.max_target_bytes), 256, 1 << 16,
              "Longest path with query");
  module.integer("http_max_connections", ROWHOUSE_MEMBER(http.max_connections), 1, 1'000'000,
                 "Connections per worker; further ones are answered 503");
  module.duration("http_header_timeout", ROWHOUSE_MEMBER(http.header_timeout), milliseconds(100),
                  milliseconds(600'000), "From the first byte of a request to the end of its head");
  module.duration("http_body_timeout", ROWHOUSE_MEMBER(http.body_idle_timeout), milliseconds(100),
                  milliseconds(600'000), "Without a byte of the body");
  module.duration("http_write_timeout", ROWHOUSE_MEMBER(http.write_idle_timeout), milliseconds(100),
                  milliseconds(600'000), "Without a byte taken by the client");
  module.duration("http_keep_alive_timeout", ROWHOUSE_MEMBER(http.keep_alive_timeout), milliseconds(100),
                  milliseconds(3'600'000), "Idle between two requests");
  module.duration("request_timeout", ROWHOUSE_MEMBER(request_timeout), milliseconds(100),
                  milliseconds(3'600'000),
                  "For one request, from head to answer; streams have their own deadlines");
}

void add_pools(std::vector<OptionSpec>& registry) {
  Module module(registry, "connections");
  module.integer("platform_connections", ROWHOUSE_MEMBER(platform_pool.write_connections), 1, 100,
                 "Connections of one worker to the platform database for changes");
  module.integer("identity_connections", ROWHOUSE_MEMBER(identity_pool.write_connections), 1, 100,
                 "The same to the identity database");
  module.integer("pool_read_connections", ROWHOUSE_MEMBER(tenant_database.shared_pool.read_connections), 1,
                 100, "Connections of one worker to each pack's pool database for reads");
  module.integer("pool_read_depth", ROWHOUSE_MEMBER(tenant_database.shared_pool.read_depth), 1, 16,
                 "Requests in flight on one such connection; more than 4 costs latency");
  module.integer("pool_write_connections", ROWHOUSE_MEMBER(tenant_database.shared_pool.write_connections), 1,
                 200, "Connections of one worker to each pack's pool database for writes, one request each");
  module.integer("pool_exclusive_connections",
                 ROWHOUSE_MEMBER(tenant_database.shared_pool.exclusive_connections), 1, 200,
                 "The same for imports, exports and other long work");
  module.integer("pool_max_waiting", ROWHOUSE_MEMBER(tenant_database.shared_pool.max_waiting), 1, 1'000'000,
                 "Requests that may wait for a connection; further ones are answered 503");
  module.integer(
      "tenant_databases", ROWHOUSE_MEMBER(tenant_database.max_dedicated_pools), 1, 10'000,
      "Tenants with a database of their own that one worker stays connected to; the least recently used "
      "makes room");
  module.integer("tenant_read_connections", ROWHOUSE_MEMBER(tenant_database.dedicated_pool.read_connections),
                 1, 100, "Connections of one worker to each of those for reads");
  module.integer("tenant_write_connections",
                 ROWHOUSE_MEMBER(tenant_database.dedicated_pool.write_connections), 1, 100,
                 "The same for writes");
  module.integer("tenant_exclusive_connections",
                 ROWHOUSE_MEMBER(tenant_database.dedicated_pool.exclusive_connections), 1, 100,
                 "The same for long work");
  OptionSpec& timeout = module.add("statement_timeout", Kind::duration, "DURATION",
                                   "Longest statement of a tenant; longer ones are answered 503");
  timeout.bounds = "a duration, 100ms to 1h (ms, s, m, h)";
  timeout.set = [](Config& config, std::string_view value) {
    const auto parsed = parse_duration(value);
    if (!parsed.has_value() || *parsed < milliseconds(100) || *parsed > milliseconds(3'600'000)) return false;
    // PostgreSQL knows no "m": milliseconds are understood everywhere.
    config.tenant_database.statement_timeout = fmt::format("{}ms", parsed->count());
    return true;
  };
  timeout.get = [](const Config& config) {
    const auto parsed = parse_duration(config.tenant_database.statement_timeout);
    return parsed.has_value() ? format_duration(*parsed) : config.tenant_database.statement_timeout;
  };
}

void add_data(std::vector<OptionSpec>& registry) {
  Module module(registry, "data");
  module.integer("cached_tenants", ROWHOUSE_MEMBER(registry.max_tenants), 100, 10'000'000,
                 "Tenants that one worker keeps in memory");
  module.integer("cached_keys", ROWHOUSE_MEMBER(registry.max_keys), 100, 10'000'000,
                 "API keys that one worker keeps in memory");
  module.integer("data_default_limit", ROWHOUSE_MEMBER(data.default_limit), 1, 10'000,
                 "Rows of a list without `limit`");
  module.integer("data_max_limit", ROWHOUSE_MEMBER(data.max_limit), 1, 10'000, "Largest `limit` of a list");
  module.integer("data_max_batch", ROWHOUSE_MEMBER(data.max_batch_rows), 1, 10'000, "Rows of one POST");
  module.integer("data_max_filters", ROWHOUSE_MEMBER(data.max_filters), 1, 100, "Filters of one request");
  module.size("data_max_import", ROWHOUSE_MEMBER(data.max_import_bytes), 1024, std::uint64_t{1} << 42,
              "Largest import");
  module.size("data_max_import_row", ROWHOUSE_MEMBER(data.max_import_row_bytes), 1024, std::uint64_t{1} << 28,
              "Largest row of an import");
}

void add_isolation(std::vector<OptionSpec>& registry) {
  Module module(registry, "isolation");
  module.choice(
      "context_guard", ROWHOUSE_MEMBER(context_guard), {"auto", "extension", "portable"},
      "What checks signed tenant contexts in PostgreSQL: the library rowhouse_guard, portable SQL, or the "
      "library where the server can load it. The node that starts last decides for the installation");
  module.duration(
      "context_key_grace", ROWHOUSE_MEMBER(context_keys.grace), milliseconds(1'000),
      milliseconds(24 * 3'600'000),
      "After a rotation, how long the key before is still accepted; nodes notice within seconds, and "
      "contexts live a minute");
  module.duration("verify_every", ROWHOUSE_MEMBER(verify_every), milliseconds(0),
                  milliseconds(366LL * 24 * 3'600'000),
                  "How often the server attacks itself (`rowhouse verify`); 0: only when asked");
  module
      .text("verify_url", ROWHOUSE_MEMBER(verify_url), "Address of the API as `rowhouse verify` reaches it",
            Kind::text, "URL")
      .default_text = "the node's own listening address";
}

void add_people(std::vector<OptionSpec>& registry) {
  Module module(registry, "people");
  OptionSpec& issuer = module.text(
      "issuer", ROWHOUSE_MEMBER(tokens.issuer),
      "Base URL under which people and applications reach this installation; "
      "the issuer of access tokens, the same on every node. `up` takes the address that it listens on",
      Kind::text, "URL");
  issuer.bounds = "an http or https URL without query, fragment and slash at the end";
  issuer.set = [](Config& config, std::string_view value) {
    const bool is_url = (value.starts_with("https://") && value.size() > 8) ||
                        (value.starts_with("http://") && value.size() > 7);
    if (!is_url || value.size() > kMaxIssuerBytes || value.ends_with('/')) return false;
    if (value.find_first_of(" ?#\"\\") != std::string_view::npos) return false;
    config.tokens.issuer = std::string(value);
    return true;
  };
  module.duration("access_token_life", ROWHOUSE_MEMBER(tokens.access_life), milliseconds(60'000),
                  milliseconds(3'600'000), "How long an access token is good; then it is refreshed");
  module.duration("session_idle_life", ROWHOUSE_MEMBER(sessions.idle_life), milliseconds(3'600'000),
                  std::chrono::days(90), "A session that was not refreshed for so long ends");
  module.duration("session_life", ROWHOUSE_MEMBER(sessions.longest_life), milliseconds(3'600'000),
                  std::chrono::days(365), "A session ends after so long, however often it was refreshed");
  module.size("password_memory", ROWHOUSE_MEMBER(passwords.cost.memory_bytes), 8 << 20, 1 << 30,
              "Memory of one argon2id hash; hashes of another cost are made again when their user signs in");
  module.integer("password_passes", ROWHOUSE_MEMBER(passwords.cost.passes), 1, 20,
                 "Passes of argon2id over that memory");
  module.integer("password_threads", ROWHOUSE_MEMBER(passwords.threads), 1, 64,
                 "Passwords that one node hashes at the same time");
  module.integer("password_queue", ROWHOUSE_MEMBER(passwords.max_queued), 1, 10'000,
                 "Passwords that may wait for that; further ones are answered 503");
  module.integer("password_min_length", ROWHOUSE_MEMBER(passwords.min_characters), 8, 64,
                 "Characters that a new password must have");
  module.duration("login_attempt_window", ROWHOUSE_MEMBER(sessions.attempt_window), milliseconds(60'000),
                  milliseconds(24 * 3'600'000), "Failed attempts to sign in are counted for so long");
  module.integer("login_attempts", ROWHOUSE_MEMBER(sessions.attempts_per_account_and_address), 1, 1'000,
                 "Failed attempts for one account from one address");
  module.integer("login_attempts_per_address", ROWHOUSE_MEMBER(sessions.attempts_per_address), 1, 1'000'000,
                 "Failed attempts from one address, for all accounts together");
  module.integer("login_attempts_per_account", ROWHOUSE_MEMBER(sessions.attempts_per_account), 1, 1'000'000,
                 "Failed attempts for one account from all addresses that it was never signed in from");
  module.integer("cached_tokens", ROWHOUSE_MEMBER(access.max_tokens), 100, 10'000'000,
                 "Access tokens that one worker keeps in memory");
}

void add_sso(std::vector<OptionSpec>& registry) {
  Module module(registry, "sso");
  module.choice(
      "sso_reach", ROWHOUSE_MEMBER(sso.reach), {"public", "private", "development"},
      "Where identity providers of tenants may be: public: https at addresses of the internet and of "
      "egress_allow; private: in this network, too; development: also http on this machine");
  module
      .text("sso_ca_file", ROWHOUSE_MEMBER(sso.ca_file),
            "PEM certificates to trust with identity providers, instead of the system's", Kind::file, "FILE")
      .default_text = "the system's";
  module.duration("sso_timeout", ROWHOUSE_MEMBER(sso.timeout), milliseconds(500), milliseconds(60'000),
                  "How long an identity provider may take for one answer");
}

void add_egress(std::vector<OptionSpec>& registry) {
  Module module(registry, "egress");
  module
      .text("egress_allow", ROWHOUSE_MEMBER(egress.allow),
            "Places beside the internet that the server may reach for tenants (object storage, identity "
            "providers), separated by commas: 10.0.0.0/8, 127.0.0.1:9000, minio.internal:9000. Object "
            "storage may use http there",
            Kind::text, "PLACES")
      .default_text = "none: only https at addresses of the internet";
  module
      .text("egress_ca_file", ROWHOUSE_MEMBER(egress.ca_file),
            "PEM certificates to trust with object storage, beside the system's", Kind::file, "FILE")
      .default_text = "the system's";
  OptionSpec& roots = module.text(
      "storage_mount_roots", ROWHOUSE_MEMBER(egress.mount_roots),
      "Directories below which tenants may name a mounted share (mount_path), separated by commas",
      Kind::text, "DIRS");
  roots.bounds = "absolute paths";
  roots.default_text = "none: mount_path is refused";
  roots.set = [](Config& config, std::string_view value) {
    for (const std::string_view path : split(value, ',')) {
      if (!value.empty() && !trim(path).starts_with('/')) return false;
    }
    config.egress.mount_roots = std::string(value);
    return true;
  };
}

void add_provisioning(std::vector<OptionSpec>& registry) {
  Module module(registry, "provisioned storage");
  module.choice("storage_provisioned", ROWHOUSE_MEMBER(provisioning.kind),
                {"auto", "none", "directory", "ceph_rgw", "minio", "garage"},
                "What a tenant with `--storage provisioned` gets: a directory below storage_directory, or a "
                "bucket of a Ceph Object Gateway, of MinIO or of Garage; auto: a directory with `up`, none "
                "with `serve`");
  module
      .text("storage_directory", ROWHOUSE_MEMBER(provisioning.directory),
            "Where such directories are made; on every node the same, shared one", Kind::path, "DIR")
      .default_text = "objects in the data directory";
  module.text("storage_endpoint", ROWHOUSE_MEMBER(provisioning.endpoint),
              "Address of that gateway: https://HOST:PORT", Kind::text, "URL");
  module.text("storage_region", ROWHOUSE_MEMBER(provisioning.region),
              "Region that requests to it are signed for", Kind::text, "NAME");
  module.text("storage_admin_endpoint", ROWHOUSE_MEMBER(provisioning.admin_endpoint),
              "Garage: address of its administration API, where storage_endpoint is the one of S3",
              Kind::text, "URL");
  module.text("storage_admin_access_key", ROWHOUSE_MEMBER(provisioning.admin_access_key),
              "Access key of a gateway user that may administer users and buckets; not for Garage",
              Kind::text, "KEY");
  module.secret("storage_admin_secret_key", ROWHOUSE_MEMBER(provisioning.admin_secret_key),
                "Secret key of that user; with Garage the token of its administration API");
  module.text("storage_admin_secret_key_file", ROWHOUSE_MEMBER(provisioning.admin_secret_key_file),
              "File that holds the secret key", Kind::file, "FILE");
}

void add_mail(std::vector<OptionSpec>& registry) {
  Module module(registry, "mail");
  OptionSpec& url =
      module.text("smtp_url", ROWHOUSE_MEMBER(mail.url),
                  "Server that sends invitations and links. Without one, links are shown once to "
                  "the admin who makes them",
                  Kind::text, "URL");
  url.bounds = "smtp://HOST:PORT or smtps://HOST:PORT";
  url.set = [](Config& config, std::string_view value) {
    const bool is_url = (value.starts_with("smtp://") && value.size() > 7) ||
                        (value.starts_with("smtps://") && value.size() > 8);
    if (!value.empty() && (!is_url || value.find_first_of("@ ?#\"\\") != std::string_view::npos))
      return false;
    config.mail.url = std::string(value);
    return true;
  };
  url.default_text = "none: no mail is sent";
  OptionSpec& from =
      module.text("smtp_from", ROWHOUSE_MEMBER(mail.from), "Sender of the mails", Kind::text, "ADDRESS");
  from.bounds = "an e-mail address, or NAME <ADDRESS>";
  from.set = [](Config& config, std::string_view value) {
    if (!value.empty() && !mail::parse_mailbox(value)) return false;
    config.mail.from = std::string(value);
    return true;
  };
  module.text("smtp_user", ROWHOUSE_MEMBER(mail.user), "User at the mail server; none: it asks for none",
              Kind::text, "USER");
  module.secret("smtp_password", ROWHOUSE_MEMBER(mail.password), "Password of that user");
  module.text("smtp_password_file", ROWHOUSE_MEMBER(mail.password_file), "File that holds the password",
              Kind::file, "FILE");
  module.choice("smtp_tls", ROWHOUSE_MEMBER(mail.tls), {"required", "opportunistic", "never"},
                "TLS with an smtp:// server (STARTTLS). A password makes opportunistic required");
  module
      .text("smtp_ca_file", ROWHOUSE_MEMBER(mail.ca_file), "PEM certificates to trust with the mail server",
            Kind::file, "FILE")
      .default_text = "the system's";
  module.duration("invitation_life", ROWHOUSE_MEMBER(invitation_life), milliseconds(3'600'000),
                  std::chrono::days(90), "How long an invitation can be accepted");
}

void add_operations(std::vector<OptionSpec>& registry) {
  Module module(registry, "operations");
  OptionSpec& lease =
      module.add("operation_lease", Kind::duration, "DURATION",
                 "How long a node that no longer answers keeps its operations; then another one goes on with "
                 "them. Renewed five times in that time");
  lease.bounds = "a duration, 1s to 10m (ms, s, m, h)";
  lease.set = [](Config& config, std::string_view value) {
    const auto parsed = parse_duration(value);
    if (!parsed.has_value() || *parsed < milliseconds(1'000) || *parsed > milliseconds(600'000)) return false;
    config.operations.lease = *parsed;
    config.operations.heartbeat = *parsed / 5;
    return true;
  };
  lease.get = [](const Config& config) { return format_duration(config.operations.lease); };
  module.duration("operation_retention", ROWHOUSE_MEMBER(operations.retention), milliseconds(3'600'000),
                  std::chrono::days(3'650),
                  "How long an operation that has ended is kept, and with it its idempotency key. One that "
                  "failed is kept until it was retried");
}

void add_client(std::vector<OptionSpec>& registry) {
  Module module(registry, "client");
  module.text("url", ROWHOUSE_MEMBER(client.url), "Server that the command line talks to", Kind::text, "URL");
  module.secret("tenant_key", ROWHOUSE_MEMBER(client.tenant_key),
                "API key of a tenant (tk_…), for `rowhouse data`");
  module.text("key_file", ROWHOUSE_MEMBER(client.tenant_key_file), "File that holds the API key", Kind::file,
              "FILE");
  module
      .text("ca_file", ROWHOUSE_MEMBER(client.certificate_authority), "PEM certificates to trust", Kind::file,
            "FILE")
      .default_text = "the system's";
}

#undef ROWHOUSE_MEMBER

}  // namespace

std::string default_data_directory() {
  if (geteuid() == 0) return "/var/lib/rowhouse";
  const char* data_home = std::getenv("XDG_DATA_HOME");
  if (data_home != nullptr && *data_home == '/') return std::string(data_home) + "/rowhouse";
  const char* home = std::getenv("HOME");
  return home != nullptr && *home == '/' ? std::string(home) + "/.local/share/rowhouse" : "rowhouse-data";
}

Config::Config() {
  server.workers = std::max(1U, std::thread::hardware_concurrency() / 2);
  server.packs = "all";
  postgres.data_directory = default_data_directory();
  client.url = "http://127.0.0.1:8080";
  tokens.issuer = "http://127.0.0.1:8080";
  identity_pool.read_connections = 1;
  identity_pool.write_connections = 2;
  identity_pool.exclusive_connections = 1;
  platform_pool.read_connections = 2;
  platform_pool.write_connections = 4;
  platform_pool.exclusive_connections = 4;
  // One connection less here is one tenant database more within PostgreSQL's limit.
  tenant_database.dedicated_pool.read_connections = 1;
  tenant_database.dedicated_pool.write_connections = 2;
  tenant_database.dedicated_pool.exclusive_connections = 1;
}

const std::vector<OptionSpec>& option_registry() {
  static const std::vector<OptionSpec> registry = [] {
    std::vector<OptionSpec> options;
    add_server(options);
    add_credentials(options);
    add_postgres(options);
    add_http(options);
    add_pools(options);
    add_data(options);
    add_isolation(options);
    add_people(options);
    add_mail(options);
    add_sso(options);
    add_egress(options);
    add_provisioning(options);
    add_operations(options);
    add_client(options);
    return options;
  }();
  return registry;
}

}  // namespace rowhouse::platform
