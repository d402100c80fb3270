#include "platform/config.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

#include "base/text.h"
#include "platform/bundled_packs.h"
#include "platform/config_command.h"
#include "platform/database_url.h"
#include "platform/program.h"
#include "platform/secrets.h"
#include "platform/units.h"
#include "platform/version.h"

namespace rowhouse::platform {
namespace {

class ConfigTest : public ::testing::Test {
 protected:
  ConfigTest() {
    std::string name = (std::filesystem::temp_directory_path() / "rowhouse-config-XXXXXX").string();
    directory_ = mkdtemp(name.data());
  }
  ~ConfigTest() override { std::filesystem::remove_all(directory_); }

  std::string write(const std::string& name, const std::string& text) {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }
  Environment environment() {
    return [this](std::string_view name) -> std::optional<std::string> {
      const auto found = variables.find(std::string(name));
      if (found == variables.end()) return std::nullopt;
      return found->second;
    };
  }
  std::string error_of(const Flags& flags) {
    const auto resolved = resolve(flags, environment());
    if (resolved.ok()) return "";
    EXPECT_EQ(resolved.error().code, ErrorCode::config_invalid);
    return resolved.error().message;
  }

  std::map<std::string, std::string> variables;
  std::string directory_;
};

TEST_F(ConfigTest, AFlagBeatsTheEnvironmentBeatsTheFileBeatsTheDefault) {
  variables["ROWHOUSE_CONFIG"] = write(
      "a.conf", "# a comment\nlisten = 1.1.1.1:1\nworkers=7\ndrain_timeout = 9s # nine\nurl = http://f\n");
  variables["ROWHOUSE_LISTEN"] = "2.2.2.2:2";
  variables["ROWHOUSE_WORKERS"] = "8";
  const auto resolved = resolve({{"listen", "3.3.3.3:3"}}, environment());
  ASSERT_TRUE(resolved.ok()) << resolved.error().message;
  EXPECT_EQ(resolved->option("listen").value, "3.3.3.3:3");
  EXPECT_EQ(resolved->option("listen").source.where, "--listen");
  EXPECT_EQ(resolved->config.http.address, "3.3.3.3");
  EXPECT_EQ(resolved->config.http.port, 3);
  EXPECT_EQ(resolved->option("workers").source.where, "ROWHOUSE_WORKERS");
  EXPECT_EQ(resolved->config.server.workers, 8u);
  EXPECT_EQ(resolved->config.server.drain_timeout, std::chrono::seconds(9));
  EXPECT_EQ(resolved->option("drain_timeout").source.where, directory_ + "/a.conf:4");
  EXPECT_EQ(resolved->option("http_max_body").source.kind, SourceKind::defaults);
}

TEST_F(ConfigTest, TheFlagNamesTheFileBeforeTheEnvironmentDoes) {
  variables["ROWHOUSE_CONFIG"] = write("a.conf", "workers = 7\n");
  const auto resolved = resolve({{"config", write("b.conf", "workers = 9\n")}}, environment());
  ASSERT_TRUE(resolved.ok());
  EXPECT_EQ(resolved->config.server.workers, 9u);
}

TEST_F(ConfigTest, AnEmptyVariableCountsAsNotSet) {
  variables["ROWHOUSE_WORKERS"] = "";
  const auto resolved = resolve({}, environment());
  ASSERT_TRUE(resolved.ok());
  EXPECT_EQ(resolved->option("workers").source.kind, SourceKind::defaults);
}

TEST_F(ConfigTest, ErrorsNameOptionValueBoundsAndSource) {
  EXPECT_EQ(error_of({{"workers", "0"}}),
            "workers = 0 (from --workers) is not valid: it must be a whole number, 1 to 256");
  variables["ROWHOUSE_DRAIN_TIMEOUT"] = "5 minutes";
  EXPECT_EQ(error_of({}),
            "drain_timeout = 5 minutes (from ROWHOUSE_DRAIN_TIMEOUT) is not valid: it must be a duration, 0 "
            "to 1h (ms, s, m, h)");
  variables.clear();
  EXPECT_NE(error_of({{"log-level", "wanring"}}).find("Did you mean warning?"), std::string::npos);
  EXPECT_NE(error_of({{"listen", "localhost:80"}}).find("ADDRESS:PORT"), std::string::npos);
  const std::string path = write("bad.conf", "listen = 127.0.0.1:1\nworkrs = 3\n");
  EXPECT_EQ(error_of({{"config", path}}), path + ":2: there is no option workrs. Did you mean workers?");
  const std::string twice = write("twice.conf", "workers = 1\nworkers = 2\n");
  EXPECT_EQ(error_of({{"config", twice}}), twice + ":2: workers was already set in " + twice + ":1");
  EXPECT_NE(error_of({{"config", write("no.conf", "workers 3\n")}}).find(":1: write `name = value`"),
            std::string::npos);
  EXPECT_NE(error_of({{"config", directory_ + "/none"}}).find("cannot read"), std::string::npos);
}

TEST_F(ConfigTest, TheIssuerIsAUrlAndLivesAreWhole) {
  for (const char* url : {"rowhouse", "https://", "ftp://a.example", "https://a.example/",
                          "https://a.example?x", "https://a.example#x", "https://a b.example"}) {
    EXPECT_NE(error_of({{"issuer", url}}), "") << url;
  }
  EXPECT_NE(error_of({{"access-token-life", "60500ms"}}).find("a multiple of 1s"), std::string::npos);
  EXPECT_NE(error_of({{"session-life", "90m"}}).find("a multiple of 1h"), std::string::npos);
  const auto resolved =
      resolve({{"issuer", "https://rows.example/base"}, {"access-token-life", "61s"}}, environment());
  ASSERT_TRUE(resolved.ok());
  EXPECT_EQ(resolved->config.tokens.issuer, "https://rows.example/base");
  EXPECT_EQ(resolved->config.tokens.access_life, std::chrono::seconds(61));
}

TEST_F(ConfigTest, SecretsHaveNoFlagAndAreNotShown) {
  variables["ROWHOUSE_ADMIN_TOKEN"] = "rha_from_environment";
  const auto resolved = resolve({{"admin-token", "rha_from_argv"}}, environment());
  ASSERT_TRUE(resolved.ok());
  EXPECT_EQ(resolved->config.credentials.admin_token, "rha_from_environment");
  const ResolvedOption& token = resolved->option("admin_token");
  EXPECT_EQ(shown_value(*token.spec, token.value), "(set)");
  for (const cli::Option& option : flags_of({"credentials", "client"})) EXPECT_NE(option.name, "admin-token");
  const OptionSpec* url = find_option("database_url");
  EXPECT_EQ(shown_value(*url, "postgresql://me:p@ss@db/x"), "postgresql://me:***@db/x");
  EXPECT_EQ(shown_value(*url, "postgresql://me@db/x"), "postgresql://me@db/x");
}

TEST_F(ConfigTest, EveryOptionAcceptsItsOwnDefaultAndIsDescribed) {
  std::set<std::string> names;
  for (const OptionSpec& spec : option_registry()) {
    EXPECT_TRUE(names.insert(spec.name).second) << spec.name << " is there twice";
    EXPECT_FALSE(spec.description.empty()) << spec.name;
    EXPECT_FALSE(spec.description.ends_with('.')) << spec.name;
    Config config;
    EXPECT_TRUE(spec.set(config, spec.get(Config())))
        << spec.name << " refuses its default " << spec.get(Config());
    EXPECT_EQ(spec.get(config), spec.get(Config())) << spec.name;
  }
}

TEST_F(ConfigTest, TheDocumentIsWhatTheBinaryPrints) {
  std::ifstream file("docs/configuration.md");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_TRUE(text == configuration_document())
      << "docs/configuration.md is out of date: rowhouse config --markdown > docs/configuration.md";
}

TEST_F(ConfigTest, ASecretMayStandInAFileAndTheStrongerSourceWins) {
  variables["ROWHOUSE_TENANT_KEY"] = "tk_environment";
  const std::string path = write("key", "  tk_file  \nsecond line\n");
  const auto flag = resolve({{"key-file", path}}, environment());
  ASSERT_TRUE(flag.ok());
  EXPECT_EQ(*find_secret(*flag, "tenant_key", "key_file"), "tk_file");
  variables["ROWHOUSE_KEY_FILE"] = path;
  const auto both = resolve({}, environment());
  ASSERT_TRUE(both.ok());
  EXPECT_EQ(*find_secret(*both, "tenant_key", "key_file"), "tk_environment");
  variables.erase("ROWHOUSE_TENANT_KEY");
  const auto file = resolve({}, environment());
  EXPECT_EQ(*find_secret(*file, "tenant_key", "key_file"), "tk_file");
  EXPECT_EQ(read_secret_file(directory_ + "/none").error().code, ErrorCode::config_invalid);
}

TEST_F(ConfigTest, TheAdminTokenIsMadeOnceAndOnlyItsOwnerMayReadIt) {
  variables["ROWHOUSE_DATA"] = directory_;
  const auto resolved = resolve({}, environment());
  ASSERT_TRUE(resolved.ok());
  const auto first = own_admin_token(*resolved);
  ASSERT_TRUE(first.ok()) << first.error().message;
  EXPECT_EQ(first->substr(0, 4), "rha_");
  EXPECT_EQ(*own_admin_token(*resolved), *first);
  const auto permissions = std::filesystem::status(directory_ + "/admin.token").permissions();
  EXPECT_EQ(permissions, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  ASSERT_TRUE(replace_secret_file(directory_ + "/admin.token", "nonsense").ok());
  EXPECT_EQ(own_admin_token(*resolved).error().code, ErrorCode::config_invalid);
}

TEST_F(ConfigTest, TheMasterKeyIs32BytesInHexadecimal) {
  const auto key_of = [&](const std::string& text) {
    variables["ROWHOUSE_ENCRYPTION_KEY"] = text;
    return configured_master_key(*resolve({}, environment()));
  };
  EXPECT_EQ(key_of(std::string(64, 'a'))->size(), 32u);
  for (const char* bad : {"", "abc", "zz"}) EXPECT_EQ(key_of(bad).error().code, ErrorCode::config_invalid);
}

TEST(Units, DurationsAndSizesAreReadAndWrittenBack) {
  for (const char* text : {"250ms", "5s", "90s", "2m", "12h", "0"}) {
    ASSERT_TRUE(parse_duration(text).has_value()) << text;
    EXPECT_EQ(format_duration(*parse_duration(text)), text);
  }
  for (const char* bad :
       {"", "5", "s", "-1s", "5 s", "1.5s", "5d", "99999999999999999999s", "9223372036854775807h"}) {
    EXPECT_FALSE(parse_duration(bad).has_value()) << bad;
  }
  EXPECT_EQ(parse_size("8MiB"), 8u << 20);
  EXPECT_EQ(parse_size("1000"), 1000u);
  EXPECT_EQ(format_size(16ULL << 30), "16GiB");
  EXPECT_EQ(format_size(1000), "1000");
  for (const char* bad : {"", "8MB", "MiB", "-1", "9999999999GiB"})
    EXPECT_FALSE(parse_size(bad).has_value()) << bad;
}

TEST(Units, ListenAddressesAreAddressesWithPorts) {
  EXPECT_EQ(parse_listen_address("[::1]:8080")->address, "::1");
  EXPECT_EQ(parse_listen_address("0.0.0.0:0")->port, 0);
  EXPECT_EQ(format_listen_address("::1", 80), "[::1]:80");
  for (const char* bad :
       {"", "8080", "localhost:1", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:80", "1.2.3.4:-1"}) {
    EXPECT_FALSE(parse_listen_address(bad).has_value()) << bad;
  }
}

TEST(DatabaseUrl, IsTakenApart) {
  const auto full =
      parse_database_url("postgresql://ad%40min:p%3Aw+d@[::1]:6432/maintenance?sslmode=verify-full");
  ASSERT_TRUE(full.ok()) << full.error().message;
  EXPECT_EQ(full->user, "ad@min");
  EXPECT_EQ(full->password, "p:w+d");
  EXPECT_EQ(full->host, "::1");
  EXPECT_EQ(full->port, 6432);
  EXPECT_EQ(full->database, "maintenance");
  EXPECT_EQ(full->sslmode, "verify-full");
  const auto socket = parse_database_url("postgres://me@%2Fvar%2Frun%2Fpostgresql");
  ASSERT_TRUE(socket.ok()) << socket.error().message;
  EXPECT_EQ(socket->host, "/var/run/postgresql");
  EXPECT_EQ(socket->database, "postgres");
  EXPECT_EQ(socket->port, 5432);
}

TEST(DatabaseUrl, RefusesWithoutRepeatingThePassword) {
  for (const char* bad : {"mysql://a:hidden@h", "postgresql://h/db", "postgresql://a:hidden@",
                          "postgresql://a:hidden@h:0", "postgresql://a:hidden@h?application_name=x",
                          "postgresql://:hidden@h", "postgresql://a:hidden%zz@h"}) {
    const auto parsed = parse_database_url(bad);
    ASSERT_FALSE(parsed.ok()) << bad;
    EXPECT_EQ(parsed.error().code, ErrorCode::config_invalid);
    EXPECT_EQ(parsed.error().message.find("hidden"), std::string::npos) << parsed.error().message;
  }
}

TEST(BundledPacks, AreSelectedByName) {
  EXPECT_EQ(*selected_packs("all"), tenancy::embedded_pack_names());
  EXPECT_TRUE(selected_packs("none")->empty());
  EXPECT_EQ(*selected_packs("tekup, deeplens"), (std::vector<std::string>{"tekup", "deeplens"}));
  EXPECT_NE(selected_packs("tekupp").error().message.find("Did you mean tekup?"), std::string::npos);
}

// The words of an example as a shell would pass them, up to a pipe or redirection.
std::vector<std::string> shell_words(const std::string& line) {
  std::vector<std::string> words;
  std::string word;
  char quote = 0;
  for (const char c : line + " ") {
    if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        word += c;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (c != ' ') {
      word += c;
    } else if (word == "|" || word == ">") {
      return words;
    } else if (!word.empty()) {
      words.push_back(std::exchange(word, ""));
    }
  }
  return words;
}

TEST(Program, EveryCommandHasHelpWithExamplesThatParse) {
  const cli::App app = make_app([](std::string_view) -> std::optional<std::string> { return std::nullopt; });
  std::istringstream in;
  std::ostringstream out, err;
  const cli::Terminal terminal{in, out, err};
  std::set<std::string> names;
  for (const cli::Command& command : app.commands) {
    EXPECT_TRUE(names.insert(command.name).second) << command.name;
    EXPECT_FALSE(command.summary.empty()) << command.name;
    EXPECT_FALSE(command.examples.empty()) << command.name;
    EXPECT_TRUE(command.run) << command.name;
    for (const cli::Example& example : command.examples) {
      auto words = shell_words(example.line);
      const auto program = std::find(words.begin(), words.end(), "rowhouse");
      if (program == words.end()) continue;  // "source <(rowhouse …)"
      const auto name_words = split(command.name, ' ');
      words.erase(words.begin(), program + 1);
      if (words == std::vector<std::string>{"--version"}) continue;
      ASSERT_GE(words.size(), name_words.size()) << example.line;
      ASSERT_TRUE(std::equal(name_words.begin(), name_words.end(), words.begin())) << example.line;
      words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(name_words.size()));
      const auto parsed = cli::parse_invocation(app, command, terminal, words);
      EXPECT_TRUE(parsed.ok()) << example.line << ": " << parsed.error().message;
    }
    std::set<std::string> options;
    for (const cli::Option& option : options_of(app, command)) {
      const bool clash = !options.insert(option.name).second;
      EXPECT_FALSE(clash) << command.name << " has --" << option.name << " twice";
    }
  }
}

TEST(Program, TheVersionIsThatOfTheBuild) {
  std::ifstream file("CMakeLists.txt");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_NE(text.find("project(rowhouse VERSION " + std::string(kVersion) + " "), std::string::npos);
}

}  // namespace
}  // namespace rowhouse::platform
