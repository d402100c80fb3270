#include "base/embedded.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace rowhouse {
namespace {

// ctest runs the unit tests in the root of the repository; the originals are there to compare with.
std::string original(std::string_view path) {
  std::ifstream stream(std::filesystem::path(path), std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
}

TEST(Embedded, HoldsTheFilesOfTheRepositoryByteForByte) {
  ASSERT_FALSE(embedded_files().empty());
  for (const EmbeddedFile& file : embedded_files()) {
    ASSERT_TRUE(std::filesystem::exists(file.path)) << file.path;
    EXPECT_TRUE(file.content == original(file.path)) << file.path << " differs";
  }
}

TEST(Embedded, HoldsEveryMigrationAndPack) {
  size_t expected = 0;
  for (const char* directory : {"sql", "packs"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
      std::string extension = entry.path().extension();
      expected +=
          entry.is_regular_file() && (extension == ".sql" || extension == ".json" || extension == ".csv");
    }
  }
  size_t found = 0;
  for (const EmbeddedFile& file : embedded_files()) {
    std::string extension = std::filesystem::path(file.path).extension();
    bool is_data = file.path.starts_with("sql/") || file.path.starts_with("packs/");
    found += is_data && (extension == ".sql" || extension == ".json" || extension == ".csv");
  }
  EXPECT_GT(expected, 0u);
  EXPECT_EQ(found, expected);
}

TEST(Embedded, IsSortedByPathWithoutDuplicates) {
  auto files = embedded_files();
  for (size_t i = 1; i < files.size(); ++i) {
    EXPECT_LT(files[i - 1].path, files[i].path);
  }
}

TEST(Embedded, ContentsAreFollowedByNul) {
  for (const EmbeddedFile& file : embedded_files()) {
    EXPECT_EQ(file.content.data()[file.content.size()], '\0') << file.path;
  }
}

}  // namespace
}  // namespace rowhouse
