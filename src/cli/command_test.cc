#include "cli/command.h"

#include <gtest/gtest.h>

#include <sstream>

#include "cli/api_client.h"
#include "cli/completion.h"
#include "cli/help.h"
#include "cli/suggest.h"

namespace rowhouse::cli {
namespace {

// A small table, and what its command was called with.
class CommandLine : public ::testing::Test {
 protected:
  CommandLine() {
    Command create;
    create.name = "box create";
    create.summary = "Make a box";
    create.arguments = {{"NAME", "what it is called"}};
    create.options = {{"size", "SIZE", "How large", {"small", "large"}},
                      {"tag", "TEXT", "A tag", {}, Completion::none, Option::Count::many},
                      {"json", "", "As JSON"}};
    create.examples = {{"rowhouse box create lunch --size small", "a small one"}};
    create.run = [this](Invocation& invocation) {
      name = invocation.argument(0);
      size = invocation.value("size");
      tags = invocation.values("tag");
      json = invocation.json();
      return answer;
    };
    Command list;
    list.name = "box list";
    list.summary = "List boxes";
    list.run = [](Invocation&) { return Result<ExitCode>(ExitCode::ok); };
    app.commands = {create, list};
    for (Command& command : general_commands()) app.commands.push_back(command);
    app.connection_options = [](Talks) { return std::vector<Option>(); };
    app.version = "1.2.3";
  }

  int call(const std::vector<std::string>& words) { return run(app, terminal, words); }

  App app;
  std::istringstream in;
  std::ostringstream out, err;
  Terminal terminal{in, out, err};
  std::string name, size;
  std::vector<std::string> tags;
  bool json = false;
  Result<ExitCode> answer = ExitCode::ok;
};

TEST_F(CommandLine, HandsOverArgumentsAndOptionsInBothSpellings) {
  EXPECT_EQ(call({"box", "create", "--size=large", "lunch", "--tag", "a", "--tag", "b", "--json"}), 0);
  EXPECT_EQ(name, "lunch");
  EXPECT_EQ(size, "large");
  EXPECT_EQ(tags, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(json);
}

TEST_F(CommandLine, TwoDashesEndTheOptions) {
  EXPECT_EQ(call({"box", "create", "--", "--size"}), 0);
  EXPECT_EQ(name, "--size");
}

TEST_F(CommandLine, MistakesAreUsageErrorsThatNameTheWord) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"box", "create", "x", "--sise", "small"}, "no option --sise. Did you mean --size?"},
      {{"box", "create", "x", "-s"}, "no option -s"},
      {{"box", "create", "x", "--size"}, "--size needs a value"},
      {{"box", "create", "x", "--json=yes"}, "--json takes no value"},
      {{"box", "create", "x", "--size", "a", "--size", "b"}, "--size is given twice"},
      {{"box", "create"}, "NAME is missing"},
      {{"box", "create", "x", "y"}, "takes 1 argument, but 2"},
      {{"box", "crate", "x"}, "Did you mean box create?"},
      {{"bx"}, "no command `rowhouse bx`"},
  };
  for (const auto& [words, message] : cases) {
    err.str("");
    EXPECT_EQ(call(words), 2) << message;
    EXPECT_NE(err.str().find(message), std::string::npos) << err.str();
  }
}

TEST_F(CommandLine, HelpComesFromTheTable) {
  EXPECT_EQ(call({"help"}), 0);
  EXPECT_NE(out.str().find("box create"), std::string::npos);
  out.str("");
  EXPECT_EQ(call({"box", "create", "--help"}), 0);
  for (const char* part : {"rowhouse box create NAME [options]", "--size SIZE", "may be repeated",
                           "rowhouse box create lunch --size small"}) {
    EXPECT_NE(out.str().find(part), std::string::npos) << part << " in " << out.str();
  }
  const std::string by_option = out.str();
  out.str("");
  EXPECT_EQ(call({"help", "box", "create"}), 0);
  EXPECT_EQ(out.str(), by_option);
  out.str("");
  EXPECT_EQ(call({"help", "box"}), 0);
  EXPECT_NE(out.str().find("List boxes"), std::string::npos);
}

TEST_F(CommandLine, AGroupAloneIsAUsageErrorThatListsItsCommands) {
  EXPECT_EQ(call({"box"}), 2);
  EXPECT_NE(err.str().find("box list"), std::string::npos);
  EXPECT_EQ(call({}), 2);
}

TEST_F(CommandLine, VersionHasTwoSpellings) {
  EXPECT_EQ(call({"--version"}), 0);
  EXPECT_EQ(call({"version"}), 0);
  EXPECT_EQ(out.str(), "rowhouse 1.2.3\nrowhouse 1.2.3\n");
}

TEST_F(CommandLine, ProblemsAreReadableAndDecideTheExitCode) {
  const std::string problem =
      R"({"title":"The content is not valid","status":422,"code":"validation_failed","detail":"2 faults",)"
      R"("errors":[{"path":"/email","message":"is taken"}],"request_id":"r-1"})";
  answer = error_from_problem(422, {}, problem);
  EXPECT_EQ(call({"box", "create", "x"}), 1);
  EXPECT_EQ(err.str(), "Error: The content is not valid: 2 faults\n  /email: is taken\nRequest r-1\n");
}

TEST_F(CommandLine, ExitCodesTellCausesApart) {
  const auto status = [](int code, const char* problem) {
    const std::string body =
        R"({"title":"t","detail":"d","status":)" + std::to_string(code) + R"(,"code":")" + problem + "\"}";
    return exit_code_of(error_from_problem(code, {}, body));
  };
  EXPECT_EQ(status(404, "not_found"), ExitCode::not_found);
  EXPECT_EQ(status(401, "credential_unknown"), ExitCode::credential);
  EXPECT_EQ(status(403, "forbidden"), ExitCode::credential);
  EXPECT_EQ(status(403, "feature_missing"), ExitCode::failed);
  EXPECT_EQ(status(503, "overloaded"), ExitCode::failed);
  EXPECT_EQ(exit_code_of(Error(ErrorCode::server_unreachable, "")), ExitCode::unreachable);
  EXPECT_EQ(exit_code_of(Error(ErrorCode::config_invalid, "")), ExitCode::usage);
  EXPECT_EQ(exit_code_of(Error(ErrorCode::credential_missing, "")), ExitCode::credential);
  EXPECT_EQ(exit_code_of(Error(ErrorCode::address_in_use, "")), ExitCode::failed);
}

TEST_F(CommandLine, RetryAfterBecomesAHint) {
  answer = error_from_problem(429, {{"retry-after", "7"}},
                              R"({"title":"Too many requests","status":429,"code":"rate_limited"})");
  EXPECT_EQ(call({"box", "create", "x"}), 1);
  EXPECT_NE(err.str().find("Try again in 7 s"), std::string::npos) << err.str();
}

TEST_F(CommandLine, AnAnswerThatIsNoProblemDocumentIsShownShortened) {
  answer = error_from_problem(502, {}, "<html>bad gateway</html>");
  EXPECT_EQ(call({"box", "create", "x"}), 1);
  EXPECT_NE(err.str().find("The server answered 502: <html>bad gateway</html>"), std::string::npos)
      << err.str();
}

TEST_F(CommandLine, CompletionScriptsKnowCommandsOptionsAndChoices) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const auto script = completion_script(app, shell);
    ASSERT_TRUE(script.ok()) << shell;
    for (const char* word : {"box", "create", "size", "small large"}) {
      EXPECT_NE(script->find(word), std::string::npos) << shell << ": " << word;
    }
  }
  EXPECT_EQ(call({"completion", "tcsh"}), 2);
}

TEST(Suggest, FindsTheNearestWordButNotAFarOne) {
  EXPECT_EQ(edit_distance("lsiten", "listen"), 1u);  // neighbours swapped
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(nearest("lsiten", {"listen", "workers"}), "listen");
  EXPECT_EQ(nearest("banana", {"listen", "workers"}), std::nullopt);
}

TEST(Paths, AreEncoded) {
  EXPECT_EQ(path_of("/v1/tenants", {"a/b", "ü"}), "/v1/tenants/a%2Fb/%C3%BC");
  EXPECT_EQ(query_of({{"pack", "tekup"}, {"plan", ""}, {"search", "a b&c"}}), "?pack=tekup&search=a%20b%26c");
  EXPECT_EQ(query_of({}), "");
}

}  // namespace
}  // namespace rowhouse::cli
