#include "storage/file_paths.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "base/text.h"
#include "storage/object_store.h"

namespace rowhouse::storage {
namespace {

TEST(FilePaths, Names) {
  EXPECT_EQ(path_of_key("images/2024/photo.jpg"), "images/2024/photo.jpg");
  EXPECT_EQ(path_of_key("readme"), "readme!f");
  EXPECT_EQ(path_of_key("v1.2/readme"), "v1.2!d/readme!f");
  EXPECT_EQ(path_of_key("README.TXT"), "^r^e^a^d^m^e.^t^x^t");
  EXPECT_EQ(path_of_key("\xc3\xa4?.txt"), "%c3a43f%.txt");
  EXPECT_EQ(path_of_key("a%!^.txt"), "a%25215e%.txt");
  EXPECT_EQ(path_of_key("con.txt"), "%63%on.txt");
  EXPECT_EQ(path_of_key("AUX"), "%41%^u^x!f");
  EXPECT_EQ(path_of_key("console.txt"), "console.txt");
  EXPECT_EQ(path_of_key("dot."), "dot%2e%!f");
  EXPECT_EQ(path_of_key(" a b .txt"), "%20%a b .txt");
  EXPECT_EQ(path_of_key("long~1.txt"), "long%7e%1.txt");
  EXPECT_EQ(path_of_key("photo.jpg~abcdefgh"), "photo.jpg~abcdefgh");
  EXPECT_EQ(path_of_key(".hidden"), ".hidden!f");
  EXPECT_EQ(path_of_key(".rowhouse-tmp/x.y"), "%2e%rowhouse-tmp/x.y");
  EXPECT_EQ(path_of_key(".rowhouse-control/x.y"), ".rowhouse-control/x.y");
  EXPECT_EQ(path_of_folder("a/b.c"), "a/b.c!d");
  EXPECT_EQ(path_of_folder(""), "");
}

TEST(FilePaths, LongSegmentsArePieces) {
  const std::string key = std::string(kPieceCharacters, 'a') + std::string(kPieceCharacters, 'b') + "c";
  EXPECT_EQ(path_of_key(key),
            std::string(kPieceCharacters, 'a') + "!c/_" + std::string(kPieceCharacters, 'b') + "!c/_c!f");
  for (const std::size_t extra : {0, 1, 199, 200, 201, 399}) {
    const std::string text = std::string(kPieceCharacters + extra, 'x');
    for (const std::string& one : {text, text + "/y.z", "a.b/" + text + "/c", std::string(extra + 1, '%')}) {
      EXPECT_EQ(key_of_path(path_of_key(one)), one);
    }
  }
}

// No name may be longer than file systems take, or be special to any of them.
void check_names(const std::string& key, const std::string& path) {
  EXPECT_LE(path.size(), 3 * key.size() + 16) << key;
  for (const std::string_view name : split(path, '/')) {
    EXPECT_FALSE(name.empty() || name == "." || name == ".." || name.size() > 255) << path;
    EXPECT_NE(name.back(), '.') << path;
    EXPECT_NE(name.back(), ' ') << path;
    EXPECT_FALSE(is_own_folder(name)) << path;
    for (const char c : name) {
      EXPECT_FALSE((c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 0x7f) << path;
      EXPECT_EQ(std::string_view("\\:*?\"<>|").find(c), std::string_view::npos) << path;
    }
  }
}

// One to one: random keys of awkward pieces never share a path, and come back as they were.
TEST(FilePaths, OneToOne) {
  const std::string_view pieces[] = {"a",
                                     "A",
                                     "b",
                                     ".",
                                     "..",
                                     "/",
                                     "~1",
                                     "%",
                                     "^",
                                     "!",
                                     "!f",
                                     "!d",
                                     "!c",
                                     "_",
                                     " ",
                                     "con",
                                     "nul.",
                                     "\xc3\xa4",
                                     "\xc3\x84",
                                     "e\xcc\x81",
                                     "\xc3\xa9",
                                     "%41%",
                                     "^a",
                                     "+",
                                     "?",
                                     "x.y",
                                     ".rowhouse-tmp",
                                     "\xe6\x97\xa5",
                                     "-",
                                     "0"};
  std::mt19937 random(7);
  std::map<std::string, std::string> seen;
  int valid = 0;
  for (int i = 0; i < 60'000; ++i) {
    std::string key;
    const std::size_t count = 1 + random() % (i % 50 == 0 ? 300 : 7);
    for (std::size_t j = 0; j < count; ++j) key += pieces[random() % std::size(pieces)];
    if (!check_key(key).ok()) continue;
    ++valid;
    const std::string path = path_of_key(key);
    check_names(key, path);
    ASSERT_EQ(key_of_path(path), key) << path;
    const auto [at, is_new] = seen.emplace(path, key);
    ASSERT_TRUE(is_new || at->second == key) << key << " and " << at->second << " share " << path;
  }
  EXPECT_GT(valid, 10'000);
}

// Files and folders of all keys can lie beside each other: no file has the name of a folder.
TEST(FilePaths, NoFileIsInTheWayOfAFolder) {
  for (const std::string& key :
       {std::string("a"), std::string("a.b"), std::string(".a"), std::string("A."), std::string(300, 'x'),
        std::string(250, 'x') + "." + std::string(100, 'y')}) {
    const std::string file = path_of_key(key);
    const std::string below = path_of_key(key + "/c");
    EXPECT_FALSE(below.starts_with(file + "/")) << file;
  }
}

TEST(FilePaths, ForeignFilesAreNoKeys) {
  for (const char* path :
       {"Photo.jpg", "readme", "a.b/c.d", "x!f!f", "a!f/b.c", "%4", "%zz%.txt", "^", "a.b!f", "", "/",
        "a//b.c", "x!c", "x!c/y.z", "%61%.txt", ".rowhouse-tmp/x.y", "\xc3\xa4.txt"}) {
    EXPECT_EQ(key_of_path(path), std::nullopt) << path;
  }
}

TEST(FilePaths, FoldersThatMayHoldKeys) {
  EXPECT_TRUE(may_hold_keys("images", ""));
  EXPECT_TRUE(may_hold_keys("images", "im"));
  EXPECT_TRUE(may_hold_keys("v1.2!d", "v1"));
  EXPECT_TRUE(may_hold_keys("^images", "I"));
  EXPECT_FALSE(may_hold_keys("images", "x"));
  EXPECT_FALSE(may_hold_keys("Images", ""));
  EXPECT_FALSE(may_hold_keys("v1.2", ""));
  EXPECT_FALSE(may_hold_keys(".rowhouse-uploads", ""));
}

TEST(CheckKey, Table) {
  for (const char* key : {"a", "a/b", "...", ".a", "a..b", "\xf0\x9f\x93\xb7", "a b", "-", "\\"}) {
    EXPECT_TRUE(check_key(key).ok()) << key;
  }
  const std::string bad[] = {"",
                             "/",
                             "a/",
                             "/a",
                             "a//b",
                             ".",
                             "..",
                             "a/..",
                             "./a",
                             "a\tb",
                             std::string(1, '\0'),
                             "\x7f",
                             "\xc2\x80",
                             "\xc2\x9f",
                             "\xff",
                             "\xed\xa0\x80",
                             std::string(801, 'a')};
  for (const std::string& key : bad) {
    const auto checked = check_key(key);
    ASSERT_FALSE(checked.ok()) << key;
    EXPECT_EQ(checked.error().code, ErrorCode::validation_failed);
    EXPECT_EQ(checked.error().fields.front().path, "/key");
  }
  EXPECT_TRUE(check_key(std::string(800, 'a')).ok());
  EXPECT_TRUE(check_key("\xc2\xa0").ok());
}

}  // namespace
}  // namespace rowhouse::storage
