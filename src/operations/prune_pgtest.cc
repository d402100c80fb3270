// What has ended goes after a while, and nothing else does.
#include "operations/engine_pgtest.h"

namespace rowhouse::operations {
namespace {

using namespace fixture;

class PruneTest : public EngineTest {
 protected:
  static EngineOptions short_memory() {
    EngineOptions options = TestNode::options("a");
    options.retention = 24h;
    options.prune_batch = 2;
    return options;
  }
  void add_kind(TestNode& node, const std::string& name, std::string kept_while = "") {
    Kind kind;
    kind.name = name;
    kind.kept_while = std::move(kept_while);
    kind.on_failure = fails_ ? OnFailure::stop : OnFailure::undo;
    const bool fails = fails_;
    kind.steps.push_back(Step::effect("one", [fails](Run&) -> Task<Result<void>> {
      if (fails) co_return permanent();
      co_return Result<void>();
    }));
    node.engine.add(std::move(kind));
  }
  // As if this many hours had passed since it ended.
  void age(const Uuid& id, int hours) {
    sql().run(
        "UPDATE platform.operations SET created_at = created_at - h, finished_at = finished_at - h FROM "
        "make_interval(hours => " +
        std::to_string(hours) + ") AS h WHERE id = '" + id.to_string() + "'");
  }
  bool is_there(const Uuid& id) { return column(id, "1") == "1"; }
  std::size_t prune(TestNode& node) {
    const auto pruned = run(node.engine.prune(patient()));
    EXPECT_TRUE(pruned.ok()) << pruned.error().message << pruned.error().detail(pg::kServerMessage);
    return pruned.ok() ? *pruned : 0;
  }

  bool fails_ = false;
};

TEST_F(PruneTest, WhatEndedLongAgoGoesWithItsStepsInPieces) {
  TestNode& node = add_node(short_memory());
  add_kind(node, "test.short");
  node.engine.start(Engine::Duty::own);
  std::vector<Uuid> old_ones;
  for (int i = 0; i < 5; ++i) {
    old_ones.push_back(perform(node, of("test.short")).id);
    age(old_ones.back(), 25);
  }
  const Uuid young = perform(node, of("test.short")).id;
  age(young, 23);
  EXPECT_EQ(prune(node), 5U);
  for (const Uuid& id : old_ones) EXPECT_FALSE(is_there(id));
  EXPECT_TRUE(is_there(young));
  EXPECT_EQ(sql().value("SELECT count(*) FROM platform.operation_steps"), "1");
  EXPECT_EQ(prune(node), 0U);
}

TEST_F(PruneTest, WhatHasNotEndedStaysHoweverOldItIs) {
  TestNode& node = add_node(short_memory());
  add_kind(node, "test.short");
  const Uuid waiting = submit(node, of("test.short"));
  age(waiting, 1'000);
  EXPECT_EQ(prune(node), 0U);
  EXPECT_TRUE(is_there(waiting));
}

TEST_F(PruneTest, WhatFailedStaysUntilItWasMended) {
  TestNode& node = add_node(short_memory());
  fails_ = true;
  add_kind(node, "test.fails");
  node.engine.start(Engine::Duty::own);
  const Operation failed = perform(node, of("test.fails"));
  EXPECT_EQ(status_of(failed), "failed");
  age(failed.id, 1'000);
  EXPECT_EQ(prune(node), 0U);
  EXPECT_TRUE(is_there(failed.id));
}

TEST_F(PruneTest, AKindSaysWhatIsStillNeeded) {
  TestNode& node = add_node(short_memory());
  sql().run("CREATE TABLE needed (operation uuid)");
  add_kind(node, "test.needed", "EXISTS (SELECT FROM public.needed AS n WHERE n.operation = o.id)");
  node.engine.start(Engine::Duty::own);
  const Uuid needed = perform(node, of("test.needed")).id;
  const Uuid other = perform(node, of("test.needed")).id;
  for (const Uuid& id : {needed, other}) age(id, 25);
  sql().run("INSERT INTO needed VALUES ('" + needed.to_string() + "')");
  EXPECT_EQ(prune(node), 1U);
  EXPECT_TRUE(is_there(needed));
  sql().run("DELETE FROM needed");
  EXPECT_EQ(prune(node), 1U);
}

TEST_F(PruneTest, KindsOfANewerVersionAreLeftAlone) {
  TestNode& newer = add_node(short_memory());
  add_kind(newer, "test.newer");
  newer.engine.start(Engine::Duty::own);
  const Uuid id = perform(newer, of("test.newer")).id;
  age(id, 25);
  TestNode& older = add_node("b");
  EXPECT_EQ(prune(older), 0U);
  add_kind(older, "test.short");
  EXPECT_EQ(prune(older), 0U);
  EXPECT_TRUE(is_there(id));
}

// An idempotency key lives as long as its operation.
TEST_F(PruneTest, AKeyIsFreeAgain) {
  TestNode& node = add_node(short_memory());
  add_kind(node, "test.short");
  node.engine.start(Engine::Duty::own);
  Submission submission = of("test.short");
  submission.request_key = "the key";
  submission.request_digest = "one";
  const Uuid first = perform(node, submission).id;
  EXPECT_EQ(submit(node, submission), first);
  age(first, 25);
  EXPECT_EQ(prune(node), 1U);
  submission.request_digest = "two";
  EXPECT_NE(perform(node, submission).id, first);
}

TEST_F(PruneTest, TheNodeThatAdoptsDoesItByItself) {
  EngineOptions options = short_memory();
  options.prune_every = 5ms;
  TestNode& node = add_node(options);
  add_kind(node, "test.short");
  node.engine.start(Engine::Duty::adopt);
  for (int round = 0; round < 2; ++round) {
    const Uuid id = perform(node, of("test.short")).id;
    age(id, 25);
    EXPECT_TRUE(eventually([&] { return !is_there(id); }));
  }
  // The row is gone before the node has heard of it and says so.
  EXPECT_TRUE(eventually([&] { return node.sink.count_of("operations_pruned") == 2U; }));
}

}  // namespace
}  // namespace rowhouse::operations
