#include "net/executor.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

namespace rowhouse::net {
namespace {

using std::chrono::milliseconds;

struct SocketPair {
  SocketPair() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0); }
  ~SocketPair() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  int ends[2] = {-1, -1};
};

Task<void> wait_readable(FdWatch& watch) {
  struct Awaiter {
    FdWatch& target;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
      target.when_readable([handle] { handle.resume(); });
    }
    void await_resume() const {}
  } awaiter{watch};
  co_await awaiter;
}

TEST(ExecutorTest, PostRunsLaterAndInOrder) {
  Executor executor;
  std::vector<int> order;
  executor.post([&] {
    executor.post([&] {
      order.push_back(2);
      executor.stop();
    });
    order.push_back(1);
  });
  EXPECT_TRUE(order.empty());
  executor.run();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST(ExecutorTest, StopBeforeRunEndsTheNextRunOnly) {
  Executor executor;
  executor.stop();
  executor.run();
  bool ran = false;
  executor.post([&] {
    ran = true;
    executor.stop();
  });
  executor.run();
  EXPECT_TRUE(ran);
}

TEST(ExecutorTest, PostFromAnotherThreadWakesTheLoop) {
  Executor executor;
  std::thread::id ran_on;
  std::thread other([&] {
    executor.post([&] {
      ran_on = std::this_thread::get_id();
      executor.stop();
    });
  });
  executor.run();
  other.join();
  EXPECT_EQ(ran_on, std::this_thread::get_id());
}

TEST(ExecutorTest, TimerFiresOnceAndNotWhenDestroyed) {
  Executor executor;
  int fired = 0;
  int never = 0;
  auto gone = executor.after(milliseconds(0), [&] { ++never; });
  gone.reset();
  auto kept = executor.after(milliseconds(1), [&] { ++fired; });
  auto last = executor.after(milliseconds(5), [&] { executor.stop(); });
  executor.run();
  EXPECT_EQ(fired, 1);
  EXPECT_EQ(never, 0);
}

TEST(ExecutorTest, TimerDestroyedByAnEarlierHandlerOfTheSameTurnStaysSilent) {
  Executor executor;
  int fired = 0;
  std::unique_ptr<Timer> first, second;
  first = executor.after(milliseconds(0), [&] {
    ++fired;
    second.reset();
  });
  second = executor.after(milliseconds(0), [&] {
    ++fired;
    first.reset();
  });
  auto last = executor.after(milliseconds(5), [&] { executor.stop(); });
  executor.run();
  EXPECT_EQ(fired, 1);
}

TEST(ExecutorTest, TimerMayDestroyItselfInItsCallback) {
  Executor executor;
  std::unique_ptr<Timer> timer;
  timer = executor.after(milliseconds(0), [&] {
    timer.reset();
    executor.stop();
  });
  executor.run();
  EXPECT_EQ(timer, nullptr);
}

TEST(FdWatchTest, TellsReadableAndWritableAndLeavesTheDescriptorOpen) {
  Executor executor;
  SocketPair pair;
  std::string seen;
  {
    auto watch = executor.watch(pair.ends[0]);
    watch->when_writable([&] {
      seen += 'w';
      EXPECT_EQ(::write(pair.ends[1], "x", 1), 1);
    });
    watch->when_readable([&] {
      seen += 'r';
      executor.stop();
    });
    executor.run();
  }
  EXPECT_EQ(seen, "wr");
  char byte = 0;
  EXPECT_EQ(::read(pair.ends[0], &byte, 1), 1);  // still ours
}

TEST(FdWatchTest, IsLevelTriggered) {
  Executor executor;
  SocketPair pair;
  ASSERT_EQ(::write(pair.ends[1], "xy", 2), 2);
  auto watch = executor.watch(pair.ends[0]);
  const auto twice = [](FdWatch* target) -> Task<int> {
    co_await wait_readable(*target);
    co_await wait_readable(*target);  // the bytes are still there
    co_return 2;
  };
  EXPECT_EQ(run_until_done(executor, twice(watch.get())), 2);
}

TEST(FdWatchTest, CallbackNeverRunsAfterDestruction) {
  Executor executor;
  SocketPair pair;
  ASSERT_EQ(::write(pair.ends[1], "x", 1), 1);
  bool ran = false;
  auto watch = executor.watch(pair.ends[0]);
  watch->when_readable([&] { ran = true; });
  watch.reset();
  auto last = executor.after(milliseconds(5), [&] { executor.stop(); });
  executor.run();
  EXPECT_FALSE(ran);
}

TEST(FdWatchTest, TheDescriptorCanBeWatchedAgain) {
  Executor executor;
  SocketPair pair;
  ASSERT_EQ(::write(pair.ends[1], "x", 1), 1);
  int seen = 0;
  for (int i = 0; i < 3; ++i) {
    auto watch = executor.watch(pair.ends[0]);
    watch->when_readable([&] {
      ++seen;
      watch.reset();  // inside its own callback
      executor.stop();
    });
    executor.run();
  }
  EXPECT_EQ(seen, 3);
}

TEST(FdWatchTest, HangUpOfThePeerIsReadable) {
  Executor executor;
  SocketPair pair;
  auto watch = executor.watch(pair.ends[0]);
  bool ran = false;
  watch->when_readable([&] {
    ran = true;
    executor.stop();
  });
  executor.post([&] { ::shutdown(pair.ends[1], SHUT_RDWR); });
  executor.run();
  EXPECT_TRUE(ran);
}

TEST(SleepTest, ResumesAfterTheDelay) {
  Executor executor;
  const auto start = std::chrono::steady_clock::now();
  run_until_done(executor, sleep_for(executor, milliseconds(10)));
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(10));
}

TEST(OffloadTest, RunsElsewhereAndResumesHere) {
  Executor executor;
  const auto work = [](Executor* loop) -> Task<bool> {
    const auto home = std::this_thread::get_id();
    auto worker = std::make_unique<std::thread::id>();
    std::function<void()> block = [out = worker.get()] { *out = std::this_thread::get_id(); };
    co_await offload(*loop, std::move(block));
    co_return *worker != home&&* worker != std::thread::id() && std::this_thread::get_id() == home;
  };
  EXPECT_TRUE(run_until_done(executor, work(&executor)));
}

TEST(OffloadTest, RethrowsInTheAwaiter) {
  Executor executor;
  std::function<void()> fail = [] { throw std::runtime_error("no such host"); };
  EXPECT_THROW(run_until_done(executor, offload(executor, fail)), std::runtime_error);
}

Task<void> count_after(Executor& executor, milliseconds delay, int* counter) {
  co_await sleep_for(executor, delay);
  ++*counter;
}

Task<void> count_now(int* counter) {
  ++*counter;
  co_return;
}

TEST(TaskGroupTest, JoinWaitsForAll) {
  Executor executor;
  TaskGroup group;
  int ended = 0;
  group.spawn(count_now(&ended));
  EXPECT_EQ(ended, 1);
  EXPECT_EQ(group.size(), 0U);
  for (int i = 0; i < 10; ++i) group.spawn(count_after(executor, milliseconds(i % 3), &ended));
  EXPECT_EQ(group.size(), 10U);
  run_until_done(executor, group.join());
  EXPECT_EQ(ended, 11);
  EXPECT_EQ(group.size(), 0U);
  run_until_done(executor, group.join());  // empty: at once
}

TEST(TaskGroupTest, FramesAreGoneBeforeTheJoinerResumes) {
  Executor executor;
  TaskGroup group;
  const auto held = std::make_shared<int>(1);
  const auto hold = [](Executor* loop, std::shared_ptr<int>) -> Task<void> {
    co_await sleep_for(*loop, milliseconds(1));
  };
  group.spawn(hold(&executor, held));
  EXPECT_EQ(held.use_count(), 2);
  run_until_done(executor, group.join());
  EXPECT_EQ(held.use_count(), 1);
}

TEST(TaskGroupTest, TheJoinerMayDestroyTheGroup) {
  Executor executor;
  const auto own = [](Executor* loop) -> Task<int> {
    int ended = 0;
    {
      TaskGroup group;
      group.spawn(count_after(*loop, milliseconds(1), &ended));
      co_await group.join();
    }
    co_return ended;
  };
  EXPECT_EQ(run_until_done(executor, own(&executor)), 1);
}

TEST(TaskGroupDeathTest, ARunningTaskAtDestructionIsABug) {
  const auto destroy_early = [] {
    Executor executor;
    int ended = 0;
    TaskGroup group;
    group.spawn(count_after(executor, milliseconds(1), &ended));
  };
  EXPECT_DEATH(destroy_early(), "join\\(\\) it first");
}

TEST(RunUntilDoneTest, SurvivesAStopInBetween) {
  Executor executor;
  executor.post([&] { executor.stop(); });
  int ended = 0;
  run_until_done(executor, count_after(executor, milliseconds(3), &ended));
  EXPECT_EQ(ended, 1);
}

TEST(RunUntilDoneTest, RethrowsWhatTheTaskThrows) {
  Executor executor;
  const auto fail = []() -> Task<int> {
    throw std::logic_error("a bug");
    co_return 1;
  };
  EXPECT_THROW(run_until_done(executor, fail()), std::logic_error);
}

TEST(RunUntilDoneTest, ManyTasksInTurnLeaveTheLoopUsable) {
  Executor executor;
  int ended = 0;
  for (int i = 0; i < 3; ++i) run_until_done(executor, count_now(&ended));
  EXPECT_EQ(ended, 3);
}

Task<int> ready_at_once() { co_return 1; }

TEST(RunUntilDoneTest, TasksThatNeverWaitDoNotDeepenTheStack) {
  constexpr int kTurns = 1'000'000;
  Executor executor;
  const auto loop = []() -> Task<int> {
    int sum = 0;
    for (int i = 0; i < kTurns; ++i) sum += co_await ready_at_once();
    co_return sum;
  };
  EXPECT_EQ(run_until_done(executor, loop()), kTurns);
}

}  // namespace
}  // namespace rowhouse::net
