#include "runtime/control.h"

#include <gtest/gtest.h>

#include "runtime/testing.h"
#include "runtime/user_names.h"

namespace bulkhead::runtime {
namespace {

using testing::IdleProcess;
using testing::make_created;
using testing::make_running;
using testing::some_record;
using testing::TemporaryDirectory;

bool has_ended(const IdleProcess& process) {
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(process.pid().value()), &info, WEXITED | WNOHANG | WNOWAIT);
  return info.si_pid != 0;
}

TEST(State, ShowsRecordAndProcess) {
  const TemporaryDirectory place;
  IdleProcess process;
  make_running(place.path(), "web", process);
  auto state = container_state(place.path(), "web");
  ASSERT_TRUE(state) << state.error().message();
  EXPECT_EQ(state->status, Status::kRunning);
  EXPECT_EQ(state->pid, process.pid().value());
  EXPECT_EQ(state->bundle, "/srv/bundle");
  EXPECT_EQ(state->rootfs, "/srv/bundle/rootfs");
  EXPECT_EQ(state->oci_version, "1.2.0");
  process.end();
  state = container_state(place.path(), "web");
  EXPECT_EQ(state->status, Status::kStopped);
  EXPECT_EQ(state->pid, 0);
}

TEST(List, ShowsEveryContainerAlsoBrokenOnes) {
  const TemporaryDirectory place;
  IdleProcess process;
  make_running(place.path(), "b", process);
  make_created(place.path(), "a", process);
  testing::write_text(place / "b/state.json", "garbage");
  const auto states = list_containers(place.path());
  ASSERT_TRUE(states);
  ASSERT_EQ(states->size(), 2U);
  EXPECT_EQ((*states)[0].status, Status::kCreated);
  EXPECT_EQ((*states)[0].owner, user_name(::geteuid()));
  EXPECT_EQ((*states)[1].id, "b");
}

TEST(Kill, SignalsTheInit) {
  const TemporaryDirectory place;
  IdleProcess process;
  make_running(place.path(), "web", process);
  ASSERT_TRUE(kill_container(place.path(), "web", 0, SignalTo::kInit));
  EXPECT_FALSE(has_ended(process));
  ASSERT_TRUE(kill_container(place.path(), "web", SIGTERM, SignalTo::kInit));
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(process.pid().value()), &info, WEXITED | WNOWAIT);
  EXPECT_EQ(info.si_status, SIGTERM);
}

TEST(Kill, SaysInItsCallersWordsThatAContainerIsNotRunning) {
  const TemporaryDirectory place;
  IdleProcess process;
  make_running(place.path(), "web", process);
  process.end();
  const auto killed = kill_container(place.path(), "web", SIGTERM, SignalTo::kInit);
  ASSERT_FALSE(killed);
  EXPECT_NE(killed.error().message().find("container not running"), std::string::npos);
  const auto unknown = kill_container(place.path(), "other", SIGTERM, SignalTo::kInit);
  EXPECT_NE(unknown.error().message().find("does not exist"), std::string::npos);
}

TEST(Kill, RefusesEveryProcessWhereTheyAreNotKnown) {
  const TemporaryDirectory place;
  IdleProcess process;
  make_running(place.path(), "web", process);
  EXPECT_EQ(kill_container(place.path(), "web", SIGTERM, SignalTo::kEveryProcess).error().kind(),
            ErrorKind::kUnsupported);
  EXPECT_TRUE(kill_container(place.path(), "web", SIGKILL, SignalTo::kEveryProcess));
}

TEST(Delete, RefusesARunningContainerAndForceKillsIt) {
  const TemporaryDirectory place;
  IdleProcess process;
  make_running(place.path(), "web", process);
  const auto refused = delete_container(place.path(), "web", DeleteMode::kStoppedOnly);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kState);
  EXPECT_FALSE(has_ended(process));
  ASSERT_TRUE(delete_container(place.path(), "web", DeleteMode::kForce));
  EXPECT_TRUE(has_ended(process));
  EXPECT_FALSE(container_state(place.path(), "web"));
}

TEST(Delete, KillsACreatedContainer) {
  const TemporaryDirectory place;
  IdleProcess process;
  make_created(place.path(), "web", process);
  ASSERT_TRUE(delete_container(place.path(), "web", DeleteMode::kStoppedOnly));
  EXPECT_TRUE(has_ended(process));
}

TEST(Delete, OfAnUnknownContainerFailsUnlessForced) {
  const TemporaryDirectory place;
  EXPECT_FALSE(delete_container(place.path(), "web", DeleteMode::kStoppedOnly));
  EXPECT_TRUE(delete_container(place.path(), "web", DeleteMode::kForce));
  EXPECT_FALSE(delete_container(place.path(), "a/b", DeleteMode::kForce));
}

TEST(Delete, RemovesWhatAnInterruptedCreateLeft) {
  const TemporaryDirectory place;
  {
    ASSERT_TRUE(ContainerDirectory::take(place.path(), "web"));
  }
  ASSERT_TRUE(delete_container(place.path(), "web", DeleteMode::kForce));
  IdleProcess process;
  {
    const auto directory = ContainerDirectory::take(place.path(), "web");
    ASSERT_TRUE(directory->write_record(some_record("web")));
    ASSERT_TRUE(directory->write_init(process.init()));
  }
  EXPECT_FALSE(delete_container(place.path(), "web", DeleteMode::kStoppedOnly));
  ASSERT_TRUE(delete_container(place.path(), "web", DeleteMode::kForce));
  EXPECT_TRUE(has_ended(process));
  EXPECT_TRUE(ContainerDirectory::list(place.path()).value().empty());
}

TEST(Delete, RunsThePoststopHooksOnceTheContainerIsGone) {
  const TemporaryDirectory place;
  {
    const auto directory = ContainerDirectory::take(place.path(), "web");
    Record record = some_record("web");
    record.has_poststop_hooks = true;
    ASSERT_TRUE(directory->write_record(record));
    ASSERT_TRUE(directory->write_config(
        R"({"ociVersion":"1.2.0","hooks":{"poststop":[{"path":"/bin/false"},)"
        R"({"path":"/bin/sh","args":["sh","-c","cat > )" +
        place / "state" + "; test ! -e " + place / "web" + R"(; echo $? > )" + place / "gone" +
        R"("],"env":["PATH=/usr/bin:/bin"]}]}})"));
  }
  const auto failures = delete_container(place.path(), "web", DeleteMode::kStoppedOnly);
  ASSERT_TRUE(failures) << failures.error().message();
  ASSERT_EQ(failures->size(), 1U);
  EXPECT_NE(failures->front().message().find("poststop hook \"/bin/false\""), std::string::npos);
  EXPECT_EQ(testing::text_of(place / "gone"), "0\n");
  const auto state = oci::decode_state(testing::text_of(place / "state"));
  ASSERT_TRUE(state);
  EXPECT_EQ(state->status, Status::kStopped);
}

TEST(Pause, NeedsAGroupAndARunningContainer) {
  const TemporaryDirectory place;
  IdleProcess process;
  make_running(place.path(), "web", process);
  EXPECT_EQ(pause_container(place.path(), "web").error().kind(), ErrorKind::kUnsupported);
  process.end();
  EXPECT_EQ(pause_container(place.path(), "web").error().kind(), ErrorKind::kState);
  EXPECT_EQ(resume_container(place.path(), "web").error().kind(), ErrorKind::kState);
  EXPECT_EQ(update_container(place.path(), "web", {}).error().kind(), ErrorKind::kState);
  EXPECT_EQ(container_groups(place.path(), "web").error().kind(), ErrorKind::kState);
}

TEST(Processes, AreTheInitWhereThereAreNoGroups) {
  const TemporaryDirectory place;
  IdleProcess process;
  make_running(place.path(), "web", process);
  EXPECT_EQ(container_processes(place.path(), "web").value(), std::vector<HostPid>{process.pid()});
  process.end();
  EXPECT_TRUE(container_processes(place.path(), "web").value().empty());
}

TEST(UserName, IsTheNumberForAStranger) {
  EXPECT_EQ(user_name(0), "root");
  EXPECT_EQ(user_name(3'999'999'999U), "3999999999");
}

}  // namespace
}  // namespace bulkhead::runtime
