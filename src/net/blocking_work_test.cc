#include "net/blocking_work.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <thread>
#include <vector>

namespace rowhouse::net {
namespace {

using namespace std::chrono_literals;

CallOptions patient() { return CallOptions{deadline_in(60s)}; }

BlockingWorkOptions one_thread(std::size_t max_queued) {
  BlockingWorkOptions options;
  options.threads = 1;
  options.max_queued = max_queued;
  return options;
}

Task<void> run_into(BlockingWork& background, Executor& executor, std::function<void()> work,
                    std::vector<Result<void>>& results) {
  auto result = co_await background.run(executor, std::move(work), patient());
  results.push_back(std::move(result));
}

TEST(BlockingWork, RunsElsewhereAndResumesHere) {
  Executor executor;
  BlockingWork background(one_thread(4));
  std::thread::id worked, resumed;
  const auto task = [](BlockingWork& work, Executor& loop, std::thread::id* on,
                       std::thread::id* after) -> Task<void> {
    std::function<void()> note = [on] { *on = std::this_thread::get_id(); };
    const auto done = co_await work.run(loop, std::move(note), patient());
    EXPECT_TRUE(done.ok());
    *after = std::this_thread::get_id();
  };
  run_until_done(executor, task(background, executor, &worked, &resumed));
  EXPECT_NE(worked, std::this_thread::get_id());
  EXPECT_EQ(resumed, std::this_thread::get_id());
  EXPECT_EQ(background.done(), 1u);
}

TEST(BlockingWork, AFullQueueRefusesAtOnceAndTheRestIsServed) {
  Executor executor;
  BlockingWork background(one_thread(2));
  std::promise<void> begun, gate;
  auto opened = gate.get_future().share();
  std::vector<Result<void>> results;
  TaskGroup group;
  group.spawn(run_into(
      background, executor, [&] { begun.set_value(), opened.wait(); }, results));
  begun.get_future().wait();  // so that it is no longer in the queue
  for (int i = 0; i < 5; ++i)
    group.spawn(run_into(
        background, executor, [] {}, results));
  ASSERT_EQ(results.size(), 3u);
  for (const auto& result : results) EXPECT_EQ(result.error().code, ErrorCode::overloaded);
  gate.set_value();
  run_until_done(executor, group.join());
  ASSERT_EQ(results.size(), 6u);
  for (std::size_t i = 3; i < results.size(); ++i) EXPECT_TRUE(results[i].ok());
  EXPECT_EQ(background.done(), 3u);
}

TEST(BlockingWork, WhatComesTooLateIsNotDone) {
  Executor executor;
  BlockingWork background(one_thread(2));
  bool ran = false;
  const CallOptions past{std::chrono::steady_clock::now() - 1s};
  const auto result = run_until_done(executor, background.run(
                                                   executor, [&ran] { ran = true; }, past));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::overloaded);
  EXPECT_FALSE(ran);
}

TEST(BlockingWork, TellsLongWorkToStop) {
  BlockingWork background(one_thread(2));
  EXPECT_FALSE(background.stopping());
  background.stop_soon();
  EXPECT_TRUE(background.stopping());
}

}  // namespace
}  // namespace rowhouse::net
