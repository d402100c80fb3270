#include "pg/embedded_server.h"

#include <gtest/gtest.h>

#include <limits>

#include "pg/embedded_server_binaries.h"
#include "pg/embedded_server_directory.h"
#include "pg/embedded_server_settings.h"

namespace rowhouse::pg {
namespace {

ErrorCode code_of(const Result<void>& result) {
  return result.ok() ? ErrorCode::not_found : result.error().code;
}

TEST(ServerVersion, FixedMinorsAndLaterOnesAreTaken) {
  for (const int version : {150020, 150021, 160016, 170012, 180006, 180010, 190000, 200003}) {
    EXPECT_TRUE(check_server_version(version).ok()) << version;
  }
}

TEST(ServerVersion, MinorsThatLeakRowsAreRefused) {
  for (const int version : {150000, 150019, 160015, 170011, 180005}) {
    EXPECT_EQ(code_of(check_server_version(version)), ErrorCode::server_unsupported) << version;
  }
  const auto refused = check_server_version(150018);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("15.18"), std::string::npos) << refused.error().message;
  EXPECT_NE(refused.error().message.find("15.20"), std::string::npos) << refused.error().message;
}

TEST(ServerVersion, OldMajorsAreRefused) {
  for (const int version : {90624, 100023, 130099, 140099}) {
    EXPECT_EQ(code_of(check_server_version(version)), ErrorCode::server_unsupported) << version;
  }
}

TEST(ServerVersion, IsReadFromTheProgram) {
  EXPECT_EQ(parse_server_version("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n"), 150020);
  EXPECT_EQ(parse_server_version("postgres (PostgreSQL) 18.6"), 180006);
  EXPECT_EQ(parse_server_version("postgres (PostgreSQL) 19devel\n"), 190000);
  EXPECT_EQ(parse_server_version("postgres (PostgreSQL) 19beta2\n"), 190000);
  EXPECT_EQ(parse_server_version("postgres (PostgreSQL) "), std::nullopt);
  EXPECT_EQ(parse_server_version("postgres (PostgreSQL) x.y"), std::nullopt);
  EXPECT_EQ(parse_server_version("bash 5.2"), std::nullopt);
  EXPECT_EQ(version_text(150020), "15.20");
}

Binaries installation(int version_number) {
  Binaries binaries;
  binaries.directory = "/usr/lib/postgresql/" + std::to_string(version_number / 10'000) + "/bin";
  binaries.version_number = version_number;
  return binaries;
}

TEST(ChooseBinaries, NewestForANewCluster) {
  const auto chosen =
      choose_binaries({installation(160016), installation(150020)}, std::nullopt, "/d/postgres");
  ASSERT_TRUE(chosen.ok());
  EXPECT_EQ(chosen->version_number, 160016);
}

TEST(ChooseBinaries, NewestSafeOneWhenALaterOneIsRefused) {
  const auto chosen =
      choose_binaries({installation(180001), installation(150020)}, std::nullopt, "/d/postgres");
  ASSERT_TRUE(chosen.ok());
  EXPECT_EQ(chosen->version_number, 150020);
}

TEST(ChooseBinaries, TheClustersVersionAmongSeveral) {
  const auto chosen = choose_binaries({installation(160016), installation(150020)}, 15, "/d/postgres");
  ASSERT_TRUE(chosen.ok());
  EXPECT_EQ(chosen->version_number, 150020);
}

TEST(ChooseBinaries, AMissingVersionIsNamedWithAWayOut) {
  const auto chosen = choose_binaries({installation(160016)}, 15, "/d/postgres");
  ASSERT_FALSE(chosen.ok());
  EXPECT_EQ(chosen.error().code, ErrorCode::data_directory_invalid);
  for (const char* part : {"/d/postgres", "15", "16.16", "pg_upgrade", "pg_dumpall"}) {
    EXPECT_NE(chosen.error().message.find(part), std::string::npos) << part << ": " << chosen.error().message;
  }
}

TEST(ChooseBinaries, ARefusedMinorOfTheClustersVersionSaysSo) {
  const auto chosen = choose_binaries({installation(160016), installation(150003)}, 15, "/d/postgres");
  ASSERT_FALSE(chosen.ok());
  EXPECT_EQ(chosen.error().code, ErrorCode::server_unsupported);
  EXPECT_NE(chosen.error().message.find("15.3"), std::string::npos) << chosen.error().message;
}

TEST(ChooseBinaries, NothingInstalled) {
  const auto chosen = choose_binaries({}, std::nullopt, "/d/postgres");
  ASSERT_FALSE(chosen.ok());
  EXPECT_EQ(chosen.error().code, ErrorCode::server_unsupported);
}

std::string settings(std::uint64_t memory_mb, std::uint64_t disk_mb, EmbeddedOptions options = {}) {
  Machine machine;
  machine.memory_bytes = memory_mb << 20;
  machine.disk_bytes = disk_mb << 20;
  return render_settings(options, machine);
}

TEST(EmbeddedSettings, FollowTheMachine) {
  const std::string small = settings(512, 2'000);
  EXPECT_NE(small.find("shared_buffers = '128MB'"), std::string::npos) << small;
  EXPECT_NE(small.find("effective_cache_size = '384MB'"), std::string::npos) << small;
  EXPECT_NE(small.find("max_wal_size = '128MB'"), std::string::npos) << small;
  EXPECT_EQ(small.find("fsync"), std::string::npos) << small;
  const std::string large = settings(256'000, 4'000'000);
  EXPECT_NE(large.find("shared_buffers = '8192MB'"), std::string::npos) << large;
  EXPECT_NE(large.find("maintenance_work_mem = '1024MB'"), std::string::npos) << large;
  EXPECT_NE(large.find("max_wal_size = '4096MB'"), std::string::npos) << large;
}

TEST(EmbeddedSettings, FollowTheOptions) {
  EmbeddedOptions options;
  options.shared_buffers_mb = 40;
  options.max_connections = 77;
  options.durability = EmbeddedOptions::Durability::none_for_tests;
  const std::string text = settings(8'000, 8'000, options);
  EXPECT_NE(text.find("shared_buffers = '40MB'"), std::string::npos) << text;
  EXPECT_NE(text.find("max_connections = '77'"), std::string::npos) << text;
  EXPECT_NE(text.find("fsync = 'off'"), std::string::npos) << text;
}

TEST(EmbeddedSettings, ModulesAreSearchedInADirectoryOfOurs) {
  EXPECT_EQ(settings(8'000, 8'000).find("dynamic_library_path"), std::string::npos);
  EmbeddedOptions options;
  options.library_directory = "/opt/it's/back\\slash";
  const std::string text = settings(8'000, 8'000, options);
  EXPECT_NE(text.find("dynamic_library_path = '/opt/it''s/back\\\\slash:$libdir'\n"), std::string::npos)
      << text;
}

TEST(FreeSpace, TooLittleNamesPathAndNeed) {
  EXPECT_TRUE(check_free_space("/tmp", 1).ok());
  const auto refused = check_free_space("/tmp", std::uint64_t{1} << 60);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::disk_full);
  EXPECT_NE(refused.error().message.find("/tmp"), std::string::npos);
  EXPECT_NE(refused.error().message.find("1099511627776 MB"), std::string::npos) << refused.error().message;
}

TEST(FileErrors, FullDisksAreToldApart) {
  EXPECT_EQ(file_error("write", "/x", ENOSPC).code, ErrorCode::disk_full);
  EXPECT_EQ(file_error("write", "/x", EDQUOT).code, ErrorCode::disk_full);
  EXPECT_EQ(file_error("write", "/x", EACCES).code, ErrorCode::data_directory_invalid);
}

}  // namespace
}  // namespace rowhouse::pg
