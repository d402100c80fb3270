// The example of README.md: a new step, whose undo and whose crash points come by themselves.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "operations/engine_pgtest.h"

namespace rowhouse::operations {
namespace {

using namespace fixture;

// A store of objects outside PostgreSQL.
class Buckets {
 public:
  Task<Result<void>> create(std::string name, CallOptions options) {
    CO_TRY_DO(co_await options.effects->around(EffectGuard::Moment::before, "put bucket"));
    names.insert(name);
    CO_TRY_DO(co_await options.effects->around(EffectGuard::Moment::after, "put bucket"));
    co_return Result<void>();
  }
  Task<Result<void>> remove(std::string name, CallOptions options) {
    CO_TRY_DO(co_await options.effects->around(EffectGuard::Moment::before, "delete bucket"));
    names.erase(name);
    CO_TRY_DO(co_await options.effects->around(EffectGuard::Moment::after, "delete bucket"));
    co_return Result<void>();
  }
  std::set<std::string> names;
};

class Tenants {
 public:
  explicit Tenants(Buckets& buckets) : buckets_(buckets) {}
  void add_storage(std::vector<Step>& steps) {
    steps.push_back(
        Step::effect(
            "create_bucket",
            [this](Run& run) -> Task<Result<void>> {
              if (run.state().find("bucket") == nullptr) {
                run.state().set("bucket", random_bucket_name());
                CO_TRY_DO(co_await run.save());  // a name that nobody can guess again: before it is used
              }
              std::string name = *run.state().find("bucket")->as_string();
              co_return co_await buckets_.create(std::move(name), run.options());  // "is there" is no error
            },
            [this](Run& run) -> Task<Result<void>> {  // it may have begun and not ended
              const json::Value* bucket = run.state().find("bucket");
              if (bucket == nullptr) co_return Result<void>();
              std::string name = *bucket->as_string();
              co_return co_await buckets_.remove(std::move(name), run.options());  // "is not there", too
            })
            .when([](const json::Value& input) { return input.find("storage") != nullptr; })
            .within(2min));
  }

 private:
  static std::string random_bucket_name() {
    return "bucket-" + Uuid::make_v7(std::chrono::system_clock::now()).to_string();
  }
  Buckets& buckets_;
};

class ExampleTest : public EngineTest {
 protected:
  Kind kind_of(TestNode& node) {
    Kind kind;
    kind.name = "tenant.create";
    kind.steps.push_back(Step::effect("create_schema", node.noting("schema"), node.noting("-schema")));
    tenants_.add_storage(kind.steps);
    kind.steps.push_back(Step::record("activate", node.recording("row")));
    for (Step& step : kind.steps) step.retry = quick();
    return kind;
  }
  // Creates a tenant while the observer's fault happens.
  Operation create(FaultAt& observer) {
    TestNode& node = add_node("node " + std::to_string(++nodes_), &observer);
    node.engine.add(kind_of(node));
    node.engine.start(Engine::Duty::own);
    Submission submission = of("tenant.create");
    submission.input.set("storage", "s3");
    return perform(node, std::move(submission));
  }

  Buckets buckets_;
  Tenants tenants_{buckets_};
  int nodes_ = 0;
};

TEST_F(ExampleTest, EveryPointOfTheNewStepIsThereAndDoesNoHarm) {
  FaultAt nothing("", transient());
  EXPECT_EQ(status_of(create(nothing)), "succeeded");
  EXPECT_EQ(buckets_.names.size(), 1U);
  const std::vector<std::string> points = nothing.seen;
  for (const char* point :
       {"tenant.create/create_bucket/run/before", "tenant.create/create_bucket/run/1 put bucket/before",
        "tenant.create/create_bucket/run/1 put bucket/after", "tenant.create/create_bucket/run/after"}) {
    EXPECT_NE(std::find(points.begin(), points.end(), point), points.end()) << point;
  }
  for (const std::string& point : points) {
    if (point.find("/submit/") != std::string::npos) continue;  // told to the caller, who asks again
    SCOPED_TRACE(point);
    buckets_.names.clear();
    FaultAt passing(point, transient());
    EXPECT_EQ(status_of(create(passing)), "succeeded");
    EXPECT_TRUE(passing.done);
    EXPECT_EQ(buckets_.names.size(), 1U) << "repeated, with the name that it had";
    if (point.find("COMMIT/after") != std::string::npos) continue;  // done, whatever the answer
    buckets_.names.clear();
    FaultAt lasting(point, permanent());
    const Operation undone = create(lasting);
    const bool was_done = point == "tenant.create/activate/run/after";
    EXPECT_EQ(status_of(undone), was_done ? "succeeded" : "undone");
    EXPECT_EQ(buckets_.names.size(), was_done ? 1U : 0U);
  }
}

TEST_F(ExampleTest, IsLeftOutUnlessItIsAskedFor) {
  TestNode& node = add_node("a");
  node.engine.add(kind_of(node));
  node.engine.start(Engine::Duty::own);
  EXPECT_EQ(steps_of(perform(node, of("tenant.create"))), "create_schema:done:1 activate:done:1");
  EXPECT_TRUE(buckets_.names.empty());
}

// Its text without white space, so that the layout may differ.
std::string words_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  std::erase_if(text, [](char c) { return c == ' ' || c == '\n'; });
  return text;
}

// Tests run in the root of the sources.
TEST(Example, IsTheOneThatIsShown) {
  const std::string shown = words_of("src/operations/README.md");
  const std::string here = words_of("src/operations/example_pgtest.cc");
  const std::string begin = "```cppsteps.push_back(";
  const auto start = shown.find(begin);
  ASSERT_NE(start, std::string::npos);
  const auto end = shown.find("```", start + begin.size());
  ASSERT_NE(end, std::string::npos);
  const std::string example = shown.substr(start + 6, end - start - 6);
  EXPECT_GT(example.size(), 500U);
  EXPECT_NE(here.find(example), std::string::npos) << "README.md shows something else than this file";
}

}  // namespace
}  // namespace rowhouse::operations
