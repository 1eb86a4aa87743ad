#include "runtime/hooks.h"

#include <gtest/gtest.h>

#include <chrono>

#include "runtime/testing.h"

namespace bulkhead::runtime {
namespace {

using testing::TemporaryDirectory;
using testing::text_of;

oci::Hook shell(std::string script) {
  return {"/bin/sh", {"sh", "-c", std::move(script)}, {"PATH=/usr/bin:/bin"}, std::nullopt};
}

Result<void> run(oci::Hook hook, std::string_view state = "{}") {
  return run_hooks(HookStage::kCreateRuntime, {&hook, 1}, state);
}

double seconds_of(auto&& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

TEST(Hooks, ReadTheStateFromStandardInput) {
  const TemporaryDirectory place;
  const std::string state = "{\"id\":\"web\",\"pid\":42," + std::string(200'000, ' ') + "}";
  const std::vector<oci::Hook> hooks = {shell("cat > " + place / "one"),
                                        shell("cat > " + place / "two")};
  ASSERT_TRUE(run_hooks(HookStage::kPrestart, hooks, state));
  EXPECT_EQ(text_of(place / "one"), state);
  EXPECT_EQ(text_of(place / "two"), state);
}

TEST(Hooks, AreQuotedByTheLastOfWhatTheySaid) {
  const auto failed =
      run(shell("i=0; while [ $i -lt 400 ]; do echo line $i of many; i=$((i+1)); done; "
                "printf 'the end\\033[2J'; exit 3"));
  ASSERT_FALSE(failed);
  const std::string& message = failed.error().message();
  EXPECT_NE(message.find("exit code 3"), std::string::npos) << message;
  EXPECT_NE(message.find("the end\\x1b[2J\""), std::string::npos) << message;
}

TEST(Hooks, CannotChangeWhatTheNextOneReads) {
  const TemporaryDirectory place;
  const std::vector<oci::Hook> hooks = {shell("echo forged > /proc/self/fd/0; true"),
                                        shell("cat > " + place / "state")};
  ASSERT_TRUE(run_hooks(HookStage::kPrestart, hooks, "true state"));
  EXPECT_EQ(text_of(place / "state"), "true state");
}

TEST(Hooks, GetExactlyTheirArgumentsAndEnvironment) {
  const TemporaryDirectory place;
  ::setenv("BULKHEAD_TEST_LEAK", "1", 1);
  oci::Hook hook = shell("tr '\\0' '\\n' < /proc/self/environ > " + place / "env");
  hook.env = {"A=1", "B=two words", "PATH=/usr/bin:/bin"};
  const auto done = run(hook);
  ::unsetenv("BULKHEAD_TEST_LEAK");
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(text_of(place / "env"), "A=1\nB=two words\nPATH=/usr/bin:/bin\n");
}

TEST(Hooks, AreNamedByTheirPathWhenTheyHaveNoArguments) {
  const TemporaryDirectory place;
  testing::write_text(place / "hook", "#!/bin/sh\nprintf '%s' \"$0 $#\" > " + place / "out", 0755);
  ASSERT_TRUE(run({place / "hook", {}, {}, std::nullopt}));
  EXPECT_EQ(text_of(place / "out"), place / "hook" + " 0");
}

TEST(Hooks, InheritNoDescriptorsAndNoBlockedSignals) {
  const TemporaryDirectory place;
  const int leak = ::open("/dev/null", O_RDONLY);  // not close-on-exec
  ASSERT_EQ(::fcntl(leak, F_GETFD), 0);
  const auto done = run(shell("ls /proc/self/fd > " + place / "fds" +
                              "; grep SigBlk /proc/self/status > " + place / "signals"));
  ::close(leak);
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(text_of(place / "fds"), "0\n1\n2\n3\n");  // 3 is ls's own
  EXPECT_EQ(text_of(place / "signals"), "SigBlk:\t0000000000000000\n");
}

TEST(Hooks, FailWithTheirStagePathAndLastWords) {
  const auto failed = run(shell("echo no such network >&2; exit 3"));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message(),
            "createRuntime hook \"/bin/sh\": exit code 3; it said: \"no such network\"");
  EXPECT_NE(run(shell("kill -9 $$")).error().message().find("killed by signal 9"),
            std::string::npos);
}

TEST(Hooks, StopAtTheFirstFailure) {
  const TemporaryDirectory place;
  const std::vector<oci::Hook> hooks = {shell("exit 1"), shell("touch " + place / "ran")};
  EXPECT_FALSE(run_hooks(HookStage::kPoststart, hooks, "{}"));
  EXPECT_NE(::access((place / "ran").c_str(), F_OK), 0);
  EXPECT_EQ(run_all_hooks(HookStage::kPoststop, hooks, "{}").size(), 1U);
  EXPECT_EQ(::access((place / "ran").c_str(), F_OK), 0);
}

TEST(Hooks, AreKilledWithTheirChildrenAfterTheirTimeout) {
  oci::Hook hook = shell("sleep 30 & sleep 30");
  hook.timeout = 1;
  Result<void> done;
  EXPECT_LT(seconds_of([&] { done = run(hook); }), 5);
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message().find("killed after its timeout of 1 s"), std::string::npos);
}

TEST(Hooks, MayLeaveAProcessBehindThatHoldsTheirOutput) {
  EXPECT_LT(seconds_of([] { EXPECT_TRUE(run(shell("sleep 3 & exit 0"))); }), 2);
}

TEST(Hooks, MayWriteMoreThanAPipeHolds) {
  EXPECT_TRUE(run(shell("head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2")));
}

TEST(Hooks, SayWhenTheyCannotBeExecuted) {
  const auto missing = run({"/no/such/hook", {}, {}, std::nullopt});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message(),
            "createRuntime hook \"/no/such/hook\": execve: No such file or directory");
  EXPECT_FALSE(run({"relative", {}, {}, std::nullopt}));
  EXPECT_FALSE(run({"/bin/true", {}, {}, 0}));
  EXPECT_FALSE(run({"/bin/true", {}, {}, -1}));
}

TEST(PreparedHooks, RunAfterAForkWithTheStateWrittenLater) {
  const TemporaryDirectory place;
  const std::vector<oci::Hook> hooks = {shell("cat > " + place / "one"),
                                        shell("cat > " + place / "two")};
  const auto prepared = PreparedHooks::prepare(HookStage::kCreateContainer, hooks);
  ASSERT_TRUE(prepared);
  int go[2];
  ASSERT_EQ(::pipe2(go, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char byte;
    if (::read(go[0], &byte, 1) != 1) ::_exit(2);
    ::_exit(prepared->run() ? 0 : 1);
  }
  ASSERT_TRUE(prepared->write_state("pid " + std::to_string(child)));
  ASSERT_EQ(::write(go[1], "", 1), 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  ::close(go[0]);
  ::close(go[1]);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(text_of(place / "one"), "pid " + std::to_string(child));
  EXPECT_EQ(text_of(place / "two"), text_of(place / "one"));
}

TEST(PreparedHooks, ReportTheHookAndItsLastLine) {
  oci::Hook hook = shell("echo first >&2; echo 'it is full' >&2; exit 1");
  const auto prepared = PreparedHooks::prepare(HookStage::kStartContainer, {&hook, 1});
  const auto failed = prepared->run();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().error, ECANCELED);
  EXPECT_STREQ(failed.error().subject, "/bin/sh: exit code 1: it is full");
  hook = shell("kill -9 $$");
  const auto killed = PreparedHooks::prepare(HookStage::kStartContainer, {&hook, 1});
  EXPECT_STREQ(killed->run().error().subject, "/bin/sh: killed by signal 9");
  hook = shell("sleep 30");
  hook.timeout = 1;
  const auto slow = PreparedHooks::prepare(HookStage::kStartContainer, {&hook, 1});
  EXPECT_STREQ(slow->run().error().subject, "/bin/sh: killed after its timeout");
  hook = {"/no/such/hook", {}, {}, std::nullopt};
  const auto missing = PreparedHooks::prepare(HookStage::kStartContainer, {&hook, 1});
  EXPECT_EQ(missing->run().error().error, ENOENT);
}

TEST(PreparedHooks, AreNothingWhenThereAreNone) {
  const auto prepared = PreparedHooks::prepare(HookStage::kCreateContainer, {});
  ASSERT_TRUE(prepared);
  EXPECT_TRUE(prepared->empty());
  EXPECT_EQ(prepared->state_descriptor(), -1);
  EXPECT_TRUE(prepared->write_state("{}"));
  EXPECT_TRUE(prepared->run());
}

}  // namespace
}  // namespace bulkhead::runtime
