#include <condition_variable>
#include <mutex>

#include "operations/engine_pgtest.h"
#include "operations/nap.h"

namespace rowhouse::operations {
namespace {

using namespace fixture;

// A node whose loop has a thread of its own, as processes of a cluster have.
class ThreadedNode {
 public:
  ThreadedNode(const std::string& database, EngineOptions options, Observer* observer,
               const std::function<void(TestNode&)>& add_kinds)
      : node_(std::make_unique<TestNode>(executor_, database, std::move(options), observer)) {
    add_kinds(*node_);
    thread_ = std::thread([this] {
      node_->engine.start(Engine::Duty::adopt);
      executor_.run();
    });
  }
  ~ThreadedNode() {
    stop();
    node_.reset();
  }
  void stop() {
    if (!thread_.joinable()) return;
    executor_.stop();
    thread_.join();
    net::run_until_done(executor_, node_->engine.stop());
  }
  TestNode& node() { return *node_; }

 private:
  net::Executor executor_;
  std::unique_ptr<TestNode> node_;
  std::thread thread_;
};

// Blocks the whole thread at a point, as SIGSTOP or a long pause of a virtual machine would.
class FreezeAt final : public Observer {
 public:
  explicit FreezeAt(std::string point) : point_(std::move(point)) {}
  Task<Result<void>> at(const Point& point) override {
    if (point.name() == point_ && !std::exchange(frozen_once_, true)) {
      std::unique_lock lock(mutex_);
      frozen_ = true;
      changed_.notify_all();
      changed_.wait(lock, [this] { return thawed_; });
    }
    co_return Result<void>();
  }
  void wait_until_frozen() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return frozen_; });
  }
  void thaw() {
    const std::lock_guard lock(mutex_);
    thawed_ = true;
    changed_.notify_all();
  }

 private:
  std::string point_;
  bool frozen_once_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool frozen_ = false, thawed_ = false;
};

class FencingTest : public EngineTest {
 protected:
  static EngineOptions short_lease(std::string name) {
    EngineOptions options = TestNode::options(std::move(name));
    options.lease = 2s;  // a busy machine is late by less
    options.heartbeat = 50ms;
    options.poll = 30ms;
    options.max_running = 16;
    return options;
  }
  // Every effect says whose it is.
  static Kind kind_of(TestNode& node, const std::string& name) {
    Kind kind;
    kind.name = "test.fenced";
    kind.steps.push_back(Step::effect("one", node.noting("one@" + name)).retried(quick()));
    kind.steps.push_back(Step::effect("two", node.noting("two@" + name)).retried(quick()));
    kind.steps.push_back(Step::record("row", node.recording("row@" + name)).retried(quick()));
    return kind;
  }
  static std::function<void(TestNode&)> kinds(const std::string& name) {
    return [name](TestNode& node) { node.engine.add(kind_of(node, name)); };
  }

  // Freezes node a at the point, lets b finish the work, thaws a and waits until it has seen that it is too
  // late.
  std::string frozen_at(const std::string& point) {
    TestNode& submitter = add_node("submitter");
    submitter.engine.add(kind_of(submitter, "nobody"));
    const Uuid id = submit(submitter, of("test.fenced"));
    FreezeAt freeze(point);
    ThreadedNode a(database(), short_lease("a"), &freeze, kinds("a"));
    freeze.wait_until_frozen();
    ThreadedNode b(database(), short_lease("b"), nullptr, kinds("b"));
    EXPECT_EQ(status_of(wait(submitter, id)), "succeeded");
    b.stop();
    const std::string before = noted(id);
    const std::string row = column(id, "operations::text");
    const auto lost = [&] { return a.node().sink.count_of("operation_lease_lost"); };
    const std::size_t lost_before = lost();
    freeze.thaw();
    EXPECT_TRUE(eventually([&] { return lost() > lost_before; }));
    a.stop();
    EXPECT_EQ(noted(id), before) << "the stale node had no effect";
    EXPECT_EQ(column(id, "operations::text"), row) << "and wrote nothing";
    EXPECT_EQ(events(id), "operation.started operation.succeeded");
    return before;
  }

  void submit_many(const std::string& kind, int count) {
    TestNode& submitter = add_node("submitter");
    Kind known;
    known.name = kind;
    known.steps.push_back(Step::effect("one", submitter.noting("nobody")));
    known.steps.push_back(Step::record("row", submitter.recording("nobody")));
    submitter.engine.add(std::move(known));
    net::TaskGroup group;
    const auto one = [&]() -> Task<void> {
      Submission submission = of(kind);
      const auto submitted = co_await submitter.engine.submit(std::move(submission), patient());
      EXPECT_TRUE(submitted.ok()) << submitted.error().message;
    };
    for (int i = 0; i < count; ++i) group.spawn(one());
    run(group.join());
  }
  static bool all_succeeded(testing::BlockingSql& sql) {
    return sql.value("SELECT count(*) FROM platform.operations WHERE status <> 'succeeded'") == "0";
  }
};

TEST_F(FencingTest, FrozenBeforeAStepOpensItsSession) {
  EXPECT_EQ(frozen_at("test.fenced/two/run/before"), "one@a two@b row@b");
}

TEST_F(FencingTest, FrozenBetweenTheLookAtTheLeaseAndTheStatement) {
  EXPECT_EQ(frozen_at("test.fenced/two/run/1 INSERT INTO/before"), "one@a two@b row@b");
}

TEST_F(FencingTest, FrozenAfterAnEffectThatIsNotRecorded) {
  EXPECT_EQ(frozen_at("test.fenced/two/run/after"), "one@a two@a two@b row@b")
      << "nobody can know: it is repeated";
}

TEST_F(FencingTest, FrozenInTheTransactionOfARecordStep) {
  EXPECT_EQ(frozen_at("test.fenced/row/run/1 INSERT INTO/after"), "one@a two@a row@b");
}

TEST_F(FencingTest, FrozenBeforeCommit) {
  EXPECT_EQ(frozen_at("test.fenced/row/run/2 COMMIT/before"), "one@a two@a row@b");
}

TEST_F(FencingTest, ADeadNodesOperationIsTakenOverAndItsSessionsEnd) {
  TestNode& node = add_node(short_lease("b"));
  node.engine.add(kind_of(node, "b"));
  const Uuid id = submit(node, of("test.fenced"));
  // As a process leaves it that was killed in the second step while PostgreSQL still runs its statement.
  sql().run(
      "UPDATE platform.operations SET status = 'running', started_at = now(), attempts = 1, lease_epoch = 1, "
      "lease_holder = 'dead', lease_expires_at = now() + interval '300 milliseconds'");
  sql().run(
      "UPDATE platform.operation_steps SET status = CASE name WHEN 'one' THEN 'done' ELSE 'running' END, "
      "attempts = 1 WHERE name <> 'row'");
  testing::BlockingSql orphan(testing::superuser(database()));
  orphan.run("SET application_name = 'rowhouse op " + id.to_string() + " 1.2'");
  const std::string pid = std::to_string(orphan.backend_pid());
  node.engine.start(Engine::Duty::adopt);
  const Operation operation = wait(node, id);
  EXPECT_EQ(status_of(operation), "succeeded");
  EXPECT_EQ(noted(id), "two@b row@b");
  EXPECT_EQ(steps_of(operation), "one:done:1 two:done:2 row:done:1");
  EXPECT_EQ(operation.attempts, 2);
  EXPECT_EQ(sql().value("SELECT count(*) FROM pg_stat_activity WHERE pid = " + pid), "0");
}

TEST_F(FencingTest, LeasesOfTheLastRunBelongToNobody) {
  TestNode& node = add_node("b");
  node.engine.add(kind_of(node, "b"));
  const Uuid id = submit(node, of("test.fenced"));
  sql().run(
      "UPDATE platform.operations SET status = 'running', lease_epoch = 1, lease_holder = 'dead', "
      "lease_expires_at = now() + interval '1 hour'");
  ASSERT_TRUE(run(node.engine.release_all_leases(patient())).ok());
  node.engine.start(Engine::Duty::adopt);
  EXPECT_EQ(status_of(wait(node, id)), "succeeded");
}

TEST_F(FencingTest, LeasesAreRenewedWhileAStepRuns) {
  TestNode& node = add_node(short_lease("a"));
  TestNode& other = add_node(short_lease("b"));
  for (TestNode* each : {&node, &other}) {
    Kind kind;
    kind.name = "test.slow";
    // Longer than two leases, once as an effect and once in a transaction that holds the row.
    kind.steps.push_back(Step::effect("slow", [each](Run& run) -> Task<Result<void>> {
      co_await nap(each->executor, 4500ms, run.options().cancel);
      co_return co_await each->note(run, "slow");
    }));
    kind.steps.push_back(Step::record("row", [each](Run& run, pg::Session& platform) -> Task<Result<void>> {
      const pg::Statement sleep("SELECT pg_sleep(4.5)");
      CO_TRY_DO(co_await platform.query(sleep, run.options()));
      co_return co_await each->record(run, platform, "row");
    }));
    each->engine.add(std::move(kind));
  }
  node.engine.start(Engine::Duty::own);
  other.engine.start(Engine::Duty::adopt);
  const Operation operation = perform(node, of("test.slow"));
  EXPECT_EQ(status_of(operation), "succeeded");
  EXPECT_EQ(operation.attempts, 1);
  EXPECT_EQ(noted(operation.id), "slow row");
  EXPECT_EQ(other.sink.count_of("operation_resumed"), 0U);
}

TEST_F(FencingTest, AThousandOnTwoNodesEachRunOnce) {
  submit_many("test.many", 1000);
  const auto add = [](const std::string& name) {
    return [name](TestNode& node) {
      Kind kind;
      kind.name = "test.many";
      kind.steps.push_back(Step::effect("one", [&node, name](Run& run) -> Task<Result<void>> {
        const pg::Statement statement = node.note_statement(run, "one@" + name);
        CO_TRY_DO(co_await node.pool.run(nullptr, statement, run.options()));
        co_return Result<void>();
      }));
      kind.steps.push_back(Step::record("row", node.recording("row@" + name)));
      node.engine.add(std::move(kind));
    };
  };
  EngineOptions options = short_lease("a");
  options.lease = 30s;
  ThreadedNode a(database(), options, nullptr, add("a"));
  options.node = "b";
  ThreadedNode b(database(), options, nullptr, add("b"));
  EXPECT_TRUE(eventually([&] { return all_succeeded(sql()); }));
  a.stop();
  b.stop();
  EXPECT_EQ(sql().value("SELECT count(*) || ' ' || count(DISTINCT (operation, left(what, 3))) FROM effects"),
            "2000 2000");
  EXPECT_EQ(
      sql().value("SELECT count(*) FROM platform.operations WHERE attempts <> 1 OR lease_holder IS NOT NULL"),
      "0");
  EXPECT_EQ(sql().value("SELECT count(DISTINCT right(what, 1)) FROM effects"), "2") << "both had their share";
  EXPECT_EQ(sql().value("SELECT count(*) FROM platform.events WHERE type = 'operation.succeeded'"), "1000");
}

TEST_F(FencingTest, ANodeThatFreezesAmongManyDoesNoHarm) {
  sql().run(
      "ALTER TABLE effects ADD COLUMN epoch bigint DEFAULT "
      "substring(current_setting('application_name') FROM ' ([0-9]+)[.]')::bigint");
  submit_many("test.many", 200);
  const auto add = [](const std::string& name) {
    return [name](TestNode& node) {
      Kind kind;
      kind.name = "test.many";
      kind.steps.push_back(Step::effect("one", node.noting("one@" + name)).retried(quick()));
      kind.steps.push_back(Step::record("row", node.recording("row@" + name)).retried(quick()));
      node.engine.add(std::move(kind));
    };
  };
  FreezeAt freeze("test.many/one/run/1 INSERT INTO/before");
  ThreadedNode a(database(), short_lease("a"), &freeze, add("a"));
  freeze.wait_until_frozen();
  ThreadedNode b(database(), short_lease("b"), nullptr, add("b"));
  EXPECT_TRUE(eventually([&] { return all_succeeded(sql()); }));
  const std::string before = sql().value("SELECT count(*) FROM effects");
  const std::size_t lost_before = a.node().sink.count_of("operation_lease_lost");
  freeze.thaw();
  EXPECT_TRUE(eventually([&] { return a.node().sink.count_of("operation_lease_lost") > lost_before; }));
  a.stop();
  b.stop();
  EXPECT_EQ(sql().value("SELECT count(*) FROM effects"), before);
  EXPECT_EQ(sql().value("SELECT count(*) FROM effects WHERE what LIKE 'row%'"), "200") << "rows exactly once";
  EXPECT_EQ(sql().value("SELECT count(*) FROM effects AS older JOIN effects AS newer USING (operation) WHERE "
                        "older.id > newer.id AND older.epoch < newer.epoch"),
            "0")
      << "nothing of an older lease after something of a newer one";
}

TEST_F(FencingTest, ARestartOfPostgresInTheMiddleLosesNothing) {
  constexpr int kCount = 60;
  submit_many("test.many", kCount);
  const auto add = [](TestNode& node) {
    Kind kind;
    kind.name = "test.many";
    kind.steps.push_back(Step::effect("one", node.noting("one@a")));
    kind.steps.push_back(Step::record("row", node.recording("row@a")));
    node.engine.add(std::move(kind));
  };
  EngineOptions options = short_lease("a");
  options.max_running = 4;
  ThreadedNode a(database(), options, nullptr, add);
  ASSERT_TRUE(
      eventually([&] { return sql().value("SELECT count(*) FROM effects WHERE what LIKE 'row%'") != "0"; }));
  testing::restart_server();
  testing::BlockingSql after(testing::superuser(database()));
  EXPECT_TRUE(eventually([&] { return all_succeeded(after); }));
  a.stop();
  EXPECT_EQ(
      after.value("SELECT count(*) || ' ' || count(DISTINCT operation) FROM effects WHERE what LIKE 'row%'"),
      std::to_string(kCount) + " " + std::to_string(kCount));
  EXPECT_EQ(after.value("SELECT count(DISTINCT operation) FROM effects WHERE what LIKE 'one%'"),
            std::to_string(kCount));
}

}  // namespace
}  // namespace rowhouse::operations
