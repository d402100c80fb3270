#include "cli/output_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <iterator>

namespace rowhouse::cli {
namespace {

namespace fs = std::filesystem;

class OutputFileTest : public testing::Test {
 protected:
  OutputFileTest() {
    std::string name = (fs::temp_directory_path() / "output-file-XXXXXX").string();
    directory_ = mkdtemp(name.data());
    path_ = (directory_ / "cat.jpg").string();
  }
  ~OutputFileTest() override { fs::remove_all(directory_); }

  void put(const std::string& text) const { std::ofstream(path_) << text; }
  std::string content() const {
    std::ifstream file(path_);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory_), {}));
  }

  fs::path directory_;
  std::string path_;
};

TEST_F(OutputFileTest, TakesTheOldOnesPlaceAtTheEnd) {
  put("before");
  ASSERT_EQ(chmod(path_.c_str(), 0640), 0);
  OutputFile file;
  ASSERT_TRUE(file.open(path_).ok());
  file.stream() << "after";
  file.stream().flush();
  EXPECT_EQ(content(), "before");
  ASSERT_TRUE(file.keep().ok());
  EXPECT_EQ(content(), "after");
  EXPECT_EQ(files(), 1u);
  struct stat now {};
  ASSERT_EQ(stat(path_.c_str(), &now), 0);
  EXPECT_EQ(now.st_mode & 0777, 0640u);
}

TEST_F(OutputFileTest, WithoutKeepNothingHasHappened) {
  {
    OutputFile file;
    ASSERT_TRUE(file.open(path_).ok());
    file.stream() << "half";
  }
  EXPECT_EQ(files(), 0u);
  put("before");
  {
    OutputFile file;
    ASSERT_TRUE(file.open(path_).ok());
    file.stream() << "half";
  }
  EXPECT_EQ(content(), "before");
  EXPECT_EQ(files(), 1u);
}

TEST_F(OutputFileTest, ALinkStaysALink) {
  put("before");
  const fs::path link = directory_ / "link";
  fs::create_symlink("cat.jpg", link);
  OutputFile file;
  ASSERT_TRUE(file.open(link.string()).ok());
  file.stream() << "after";
  ASSERT_TRUE(file.keep().ok());
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(content(), "after");
}

TEST_F(OutputFileTest, WhatIsNoFileIsWrittenToAsItIs) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  const int reader = ::open(path_.c_str(), O_RDONLY | O_NONBLOCK);
  OutputFile file;
  ASSERT_TRUE(file.open(path_).ok());
  file.stream() << "piece";
  ASSERT_TRUE(file.keep().ok());
  char piece[16] = "";
  EXPECT_EQ(::read(reader, piece, sizeof piece), 5);
  ::close(reader);
  EXPECT_TRUE(fs::is_fifo(path_));
}

TEST_F(OutputFileTest, SaysWhatItCannotWrite) {
  OutputFile directory;
  const auto refused = directory.open(directory_.string());
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("directory"), std::string::npos);
  OutputFile nowhere;
  const auto missing = nowhere.open((directory_ / "none" / "x").string());
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(missing.error().message.find("none/x"), std::string::npos);
}

}  // namespace
}  // namespace rowhouse::cli
