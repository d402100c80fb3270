#include "objects/content.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "net/executor.h"

namespace rowhouse::objects {
namespace {

class Pieces final : public net::BodyReader {
 public:
  Pieces(std::string text, std::size_t piece) : text_(std::move(text)), piece_(piece) {}
  Task<Result<std::optional<std::string_view>>> read() override {
    if (at_ == text_.size()) co_return std::optional<std::string_view>();
    const auto piece = std::string_view(text_).substr(at_, piece_);
    at_ += piece.size();
    co_return std::optional(piece);
  }
  void set_limit(std::uint64_t) override {}

 private:
  std::string text_;
  std::size_t piece_;
  std::size_t at_ = 0;
};

std::string read_all(storage::ByteSource& source) {
  net::Executor executor;
  const auto drain = [](storage::ByteSource& from) -> Task<std::string> {
    std::string text;
    while (true) {
      auto piece = co_await from.next();
      if (!piece.ok()) co_return text + "!" + std::string(error_code_name(piece.error().code));
      if (!*piece) co_return text;
      text += **piece;
    }
  };
  return net::run_until_done(executor, drain(source));
}

TEST(Content, ComparesBeforeTheLastPieceIsHandedOn) {
  const std::string sha256 = to_hex(crypto::sha256("abcdefgh"));
  {
    Pieces body("abcdefgh", 3);
    CheckedBody source(body, 8, sha256);
    EXPECT_EQ(read_all(source), "abcdefgh");
    EXPECT_EQ(source.sha256(), sha256);
  }
  {
    Pieces body("abcdefgX", 3);
    CheckedBody source(body, 8, sha256);
    EXPECT_EQ(read_all(source), "abcdef!checksum_mismatch");
  }
  {
    Pieces body("abcde", 3);
    CheckedBody source(body, 8, "");
    EXPECT_EQ(read_all(source), "abcde!malformed_request");
  }
  {
    Pieces body("abcdefghi", 3);
    CheckedBody source(body, 8, "");
    EXPECT_EQ(read_all(source), "abcdef!malformed_request");
  }
  {
    Pieces body("", 3);
    CheckedBody source(body, 0, sha256);
    EXPECT_EQ(read_all(source), "!checksum_mismatch");
  }
}

TEST(Content, SlicesAcrossPieces) {
  Pieces body("abcdefgh", 3);
  CheckedBody whole(body, 8, "");
  SlicedSource source(whole);
  source.begin_part(4);
  EXPECT_EQ(read_all(source), "abcd");
  source.begin_part(1);
  EXPECT_EQ(read_all(source), "e");
  source.begin_part(3);
  EXPECT_EQ(read_all(source), "fgh");
}

TEST(Content, FillsPartsAndKnowsTheLast) {
  for (const std::size_t piece : {1UL, 3UL, 4UL, 8UL, 100UL}) {
    Pieces body("abcdefgh", piece);
    BodyParts parts(body);
    net::Executor executor;
    std::vector<std::string> filled;
    while (!parts.at_end()) {
      std::string part;
      ASSERT_TRUE(net::run_until_done(executor, parts.fill(part, 4)).ok());
      filled.push_back(part);
    }
    EXPECT_EQ(filled, (std::vector<std::string>{"abcd", "efgh"})) << piece;
    EXPECT_EQ(parts.bytes(), 8U);
    EXPECT_EQ(parts.finish_sha256(), to_hex(crypto::sha256("abcdefgh")));
  }
}

}  // namespace
}  // namespace rowhouse::objects
