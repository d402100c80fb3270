// What one node leaves to another is done at once: every clock of these nodes is slower than the tests may
// take.
#include "operations/engine_pgtest.h"
#include "operations/nap.h"
#include "pg/listener.h"

namespace rowhouse::operations {
namespace {

using namespace fixture;

class NoticesTest : public EngineTest {
 protected:
  static EngineOptions without_clocks(std::string name) {
    EngineOptions options = TestNode::options(std::move(name));
    options.lease = 24h;
    options.heartbeat = 24h;
    options.poll = 24h;
    return options;
  }
  // Its middle step runs until it is cancelled, asked to pause, or `released`.
  void add_kind(TestNode& node) {
    Kind kind;
    kind.name = "test.long";
    kind.steps.push_back(Step::effect("one", node.noting("one"), node.noting("-one")));
    kind.steps.push_back(Step::effect("long", [this, &node](Run& run) -> Task<Result<void>> {
      running_ = true;
      const CallOptions options = run.options();
      while (!released_) {
        if (run.pause_requested()) co_return paused();
        co_await nap(node.executor, 2ms, options.cancel);
        if (options.cancel->cancelled()) co_return Error(ErrorCode::cancelled, "stopped");
      }
      co_return co_await node.note(run, "long");
    }));
    node.engine.add(std::move(kind));
  }
  TestNode& add_started(EngineOptions options, Engine::Duty duty) {
    TestNode& node = add_node(std::move(options));
    add_kind(node);
    node.engine.start(duty);
    return node;
  }
  // As a process does for all of its engines.
  std::unique_ptr<pg::Listener> listen_for(TestNode& node) {
    listening_ = false;
    auto listener = std::make_unique<pg::Listener>(
        executor(), testing::superuser(database()), kNoticeChannel,
        [&node](std::string_view payload) { node.engine.notice(payload); },
        [&node, this] {
          listening_ = true;
          node.engine.notice("");
        });
    EXPECT_TRUE(eventually([this] { return listening_; }));
    return listener;
  }
  Uuid begin(TestNode& node) {
    running_ = false;
    const Uuid id = submit(node, of("test.long"));
    EXPECT_TRUE(eventually([this] { return running_; }));
    return id;
  }

  bool running_ = false, released_ = false, listening_ = false;
};

TEST_F(NoticesTest, ACancelReachesTheNodeThatRunsIt) {
  TestNode& worker = add_started(without_clocks("a"), Engine::Duty::own);
  TestNode& other = add_started(without_clocks("b"), Engine::Duty::own);
  const auto listener = listen_for(worker);
  const Uuid id = begin(worker);
  ASSERT_TRUE(run(other.engine.cancel(id, "tester", patient())).ok());
  EXPECT_EQ(status_of(wait(other, id)), "cancelled");
  EXPECT_EQ(noted(id), "one -one");
}

TEST_F(NoticesTest, APauseReachesTheNodeThatRunsItAndAResumeTheOneThatAdopts) {
  TestNode& worker = add_started(without_clocks("a"), Engine::Duty::adopt);
  EngineOptions full = without_clocks("b");
  full.max_running = 0;
  TestNode& other = add_started(full, Engine::Duty::own);
  const auto listener = listen_for(worker);
  const Uuid id = begin(worker);
  ASSERT_TRUE(run(other.engine.pause(id, "tester", patient())).ok());
  EXPECT_EQ(status_of(wait(other, id)), "paused");
  released_ = true;
  ASSERT_TRUE(run(other.engine.resume(id, "tester", patient())).ok());
  EXPECT_TRUE(eventually([&] { return status_of(look(other, id)) == "succeeded"; }));
  EXPECT_EQ(noted(id), "one long");
}

TEST_F(NoticesTest, WhatHasNoRoomHereBeginsElsewhere) {
  released_ = true;
  TestNode& worker = add_started(without_clocks("a"), Engine::Duty::adopt);
  EngineOptions full = without_clocks("b");
  full.max_running = 0;
  TestNode& other = add_started(full, Engine::Duty::own);
  const auto listener = listen_for(worker);
  std::vector<Uuid> all;
  for (int i = 0; i < 20; ++i) all.push_back(submit(other, of("test.long")));
  for (const Uuid& id : all) {
    EXPECT_EQ(status_of(wait(other, id)), "succeeded");
    EXPECT_EQ(noted(id), "one long");
  }
}

TEST_F(NoticesTest, WhatAStoppingNodeGivesBackGoesOnElsewhere) {
  TestNode& worker = add_started(without_clocks("a"), Engine::Duty::own);
  TestNode& other = add_started(without_clocks("b"), Engine::Duty::adopt);
  const auto listener = listen_for(other);
  const Uuid id = begin(worker);
  run(worker.engine.stop());
  released_ = true;
  EXPECT_EQ(status_of(wait(other, id)), "succeeded");
  EXPECT_EQ(noted(id), "one long");
}

TEST_F(NoticesTest, ARetryReachesTheNodeThatAdopts) {
  TestNode& worker = add_node(without_clocks("a"));
  EngineOptions full = without_clocks("b");
  full.max_running = 0;
  TestNode& other = add_node(full);
  bool mended = false;
  for (TestNode* node : {&worker, &other}) {
    Kind kind;
    kind.name = "test.stops";
    kind.on_failure = OnFailure::stop;
    kind.steps.push_back(Step::effect("one", [&mended](Run&) -> Task<Result<void>> {
      if (!mended) co_return permanent();
      co_return Result<void>();
    }));
    node->engine.add(std::move(kind));
    node->engine.start(node == &worker ? Engine::Duty::adopt : Engine::Duty::own);
  }
  const auto listener = listen_for(worker);
  const Uuid id = submit(other, of("test.stops"));
  EXPECT_EQ(status_of(wait(other, id)), "failed");
  mended = true;
  ASSERT_TRUE(run(other.engine.retry(id, "tester", patient())).ok());
  EXPECT_TRUE(eventually([&] { return status_of(look(other, id)) == "succeeded"; }));
}

// Between two connections of the listener nothing is heard.
TEST_F(NoticesTest, WhatWasMissedIsLookedForWhenTheListenerIsBack) {
  TestNode& worker = add_started(without_clocks("a"), Engine::Duty::adopt);
  TestNode& other = add_started(without_clocks("b"), Engine::Duty::own);
  const Uuid id = begin(worker);
  ASSERT_TRUE(run(other.engine.cancel(id, "tester", patient())).ok());
  TestNode& waiting = add_node(without_clocks("c"));
  add_kind(waiting);
  const Uuid second = submit(waiting, of("test.long"));
  EXPECT_EQ(status_of(look(other, id)), "running");
  EXPECT_EQ(status_of(look(other, second)), "pending");
  const auto listener = listen_for(worker);
  EXPECT_EQ(status_of(wait(other, id)), "cancelled");
  released_ = true;
  EXPECT_EQ(status_of(wait(other, second)), "succeeded");
}

TEST_F(NoticesTest, WithoutAListenerTheClocksFindIt) {
  EngineOptions options = without_clocks("a");
  options.heartbeat = 20ms;
  TestNode& worker = add_started(options, Engine::Duty::own);
  TestNode& other = add_started(without_clocks("b"), Engine::Duty::own);
  const Uuid id = begin(worker);
  ASSERT_TRUE(run(other.engine.cancel(id, "tester", patient())).ok());
  EXPECT_EQ(status_of(wait(other, id)), "cancelled");
}

}  // namespace
}  // namespace rowhouse::operations
