#include "runtime/record.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "isolation/testing.h"
#include "runtime/record_json.h"
#include "runtime/testing.h"

namespace bulkhead::runtime {
namespace {

using testing::IdleProcess;
using testing::make_created;
using testing::make_running;
using testing::some_record;
using testing::TemporaryDirectory;

Status status_of(const std::string& root, std::string_view id) {
  const auto directory = ContainerDirectory::open(root, id);
  return directory->observe(directory->read_record().value_or(Record{}))->status;
}

TEST(StateRoot, IsTheUsersOwnForEverybodyButRoot) {
  const char* const before = ::getenv("XDG_RUNTIME_DIR");
  const std::string kept = before == nullptr ? "" : before;
  ::setenv("XDG_RUNTIME_DIR", "/run/user/1000", 1);
  const bool root = ::geteuid() == 0;
  EXPECT_EQ(default_state_root().value(),
            root ? "/run/bulkhead/runtime" : "/run/user/1000/bulkhead/runtime");
  EXPECT_TRUE(isolation::testing::in_child_as_root_of_user_namespace(
      [] { return default_state_root().value_or("") == "/run/user/1000/bulkhead/runtime"; }));
  ::unsetenv("XDG_RUNTIME_DIR");
  EXPECT_EQ(default_state_root().has_value(), root);
  if (!kept.empty()) ::setenv("XDG_RUNTIME_DIR", kept.c_str(), 1);
}

TEST(ContainerId, TakesLettersDigitsAndSomePunctuation) {
  EXPECT_TRUE(check_id("web"));
  EXPECT_TRUE(check_id("Web_1+2-3.4"));
  EXPECT_TRUE(check_id("..."));
  EXPECT_TRUE(check_id(std::string(1024, 'a')));
}

TEST(ContainerId, RefusesWhatCouldNameAnotherPlace) {
  for (const char* id : {"", ".", "..", "a/b", "/", "a b", "a\n", "ä", "a\\b", "a:b", "../../etc"})
    EXPECT_FALSE(check_id(id)) << id;
  EXPECT_FALSE(check_id(std::string(1025, 'a')));
  EXPECT_FALSE(check_id(std::string_view("a\0b", 3)));
}

TEST(ContainerDirectory, TakesAnIdOnce) {
  const TemporaryDirectory place;
  const std::string root = place / "deep/state";
  const auto first = ContainerDirectory::take(root, "web");
  ASSERT_TRUE(first) << first.error().message();
  const auto second = ContainerDirectory::take(root, "web");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kExists);
  EXPECT_NE(second.error().message().find("already exists"), std::string::npos);
}

TEST(ContainerDirectory, SaysThatAnUnknownContainerDoesNotExist) {
  const TemporaryDirectory place;
  for (const std::string& root : {place.path(), place / "missing"}) {
    const auto directory = ContainerDirectory::open(root, "web");
    ASSERT_FALSE(directory);
    EXPECT_EQ(directory.error().kind(), ErrorKind::kNotFound);
    EXPECT_EQ(directory.error().message(), "container \"web\" does not exist");
  }
}

TEST(ContainerDirectory, RefusesAnIdThatTheFileSystemCannotHold) {
  const TemporaryDirectory place;
  const auto taken = ContainerDirectory::take(place.path(), std::string(300, 'a'));
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().kind(), ErrorKind::kInvalid);
  const auto opened = ContainerDirectory::open(place.path(), std::string(300, 'a'));
  EXPECT_EQ(opened.error().kind(), ErrorKind::kNotFound);
}

TEST(ContainerDirectory, DoesNotFollowALinkInTheStateRoot) {
  const TemporaryDirectory place;
  ASSERT_EQ(::mkdir((place / "elsewhere").c_str(), 0700), 0);
  ASSERT_EQ(::symlink("elsewhere", (place / "web").c_str()), 0);
  EXPECT_FALSE(ContainerDirectory::open(place.path(), "web"));
}

TEST(ContainerDirectory, RefusesADirectoryThatAnotherUserPutInItsPlace) {
  SKIP_UNLESS_ROOT();
  const TemporaryDirectory place;
  ASSERT_TRUE(ContainerDirectory::take(place.path(), "web"));
  ASSERT_TRUE(ContainerDirectory::open(place.path(), "web"));
  ASSERT_EQ(::chown((place / "web").c_str(), 1000, 1000), 0);
  const auto opened = ContainerDirectory::open(place.path(), "web");
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message().find("belongs to user 1000"), std::string::npos);
}

TEST(ContainerDirectory, KeepsTheRecordAsItWas) {
  const TemporaryDirectory place;
  Record record = some_record("web");
  record.annotations = {{"a", "b\n\"c\""}, {"", "empty"}};
  record.cgroup_directories = {":/sys/fs/cgroup/x", "cpu,cpuacct:/sys/fs/cgroup/cpu/x"};
  record.found_cgroups = {"cpu,cpuacct:/sys/fs/cgroup/cpu/x"};
  record.cgroup_driver = isolation::CgroupDriver::kSystemd;
  record.own_pid_namespace = false;
  record.has_poststop_hooks = true;
  const auto directory = ContainerDirectory::take(place.path(), "web");
  ASSERT_TRUE(directory->write_record(record));
  const auto read = directory->read_record();
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->annotations, record.annotations);
  EXPECT_EQ(read->cgroup_directories, record.cgroup_directories);
  EXPECT_EQ(read->found_cgroups, record.found_cgroups);
  EXPECT_EQ(encode_record(*read), encode_record(record));
}

TEST(ContainerDirectory, RefusesARecordThatIsNone) {
  for (const char* text : {"", "{", "[]", "{\"id\":1}", "{\"bundle\":\"/\"}"})
    EXPECT_FALSE(decode_record(text)) << text;
}

TEST(ContainerDirectory, RefusesARecordOfAnotherMaking) {
  for (const char* field :
       {R"("cgroups":"memory:/x")", R"("cgroups":[1])", R"("cgroups":["memory"])",
        R"("cgroups":["memory:relative"])", R"("cgroups":["memory:/sys/fs/cgroup/memory/x/../.."])",
        R"("foundCgroups":{})", R"("resctrl":["x"])", R"("resctrl":["/sys/./fs"])",
        R"("annotations":[])", R"("annotations":{"a":1})", R"("cgroupDriver":"other")",
        R"("cgroupDriver":1)", R"("ownPidNamespace":"no")", R"("poststopHooks":0)",
        R"("bundle":1)"})
    EXPECT_FALSE(decode_record(std::string(R"({"id":"web",)") + field + "}")) << field;
}

TEST(ContainerDirectory, TakesTheRecordOfAnOlderVersion) {
  const auto record =
      decode_record(R"({"id":"web","bundle":"/b","cgroups":["pids:/x"],"later":1})");
  ASSERT_TRUE(record) << record.error().message();
  EXPECT_EQ(record->cgroup_directories, std::vector<std::string>{"pids:/x"});
  EXPECT_TRUE(record->own_pid_namespace);
}

TEST(ContainerDirectory, KeepsTheConfiguration) {
  const TemporaryDirectory place;
  const auto directory = ContainerDirectory::take(place.path(), "web");
  ASSERT_TRUE(directory->write_config("{\"ociVersion\":\"1.0.0\"}"));
  EXPECT_EQ(directory->read_config().value(), "{\"ociVersion\":\"1.0.0\"}");
}

TEST(ContainerDirectory, ListsContainersInOrderAndNothingElse) {
  const TemporaryDirectory place;
  ASSERT_TRUE(ContainerDirectory::list(place / "missing").value().empty());
  for (const char* id : {"web", "api", "db"})
    ASSERT_TRUE(ContainerDirectory::take(place.path(), id));
  testing::write_text(place / "file", "");
  EXPECT_EQ(ContainerDirectory::list(place.path()).value(),
            (std::vector<std::string>{"api", "db", "web"}));
}

TEST(ContainerDirectory, FreesTheIdWithEverythingInIt) {
  const TemporaryDirectory place;
  IdleProcess process;
  make_created(place.path(), "web", process);
  auto directory = ContainerDirectory::open_locked(place.path(), "web");
  ASSERT_EQ(::mkdirat(directory->get(), "notify", 0700), 0);
  testing::write_text(place / "web/notify/notify.sock", "");
  ASSERT_TRUE(directory->write_config("{}"));
  ASSERT_TRUE(std::move(*directory).remove());
  EXPECT_TRUE(ContainerDirectory::take(place.path(), "web"));
}

TEST(ContainerDirectory, DoesNotRemoveANewContainerOfTheSameId) {
  const TemporaryDirectory place;
  auto old = ContainerDirectory::take(place.path(), "web");
  old->unlock();
  ASSERT_TRUE(std::move(*ContainerDirectory::open_locked(place.path(), "web")).remove());
  const auto fresh = ContainerDirectory::take(place.path(), "web");
  ASSERT_TRUE(fresh);
  EXPECT_TRUE(std::move(*old).remove());
  EXPECT_TRUE(ContainerDirectory::open(place.path(), "web"));
}

TEST(ContainerDirectory, MakesAnotherChangeWaitForTheLock) {
  const TemporaryDirectory place;
  const auto held = ContainerDirectory::take(place.path(), "web");
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    // A new open file description: the lock of the parent's is not ours.
    const bool locked = ContainerDirectory::open_locked(place.path(), "web").has_value();
    const char answer = locked ? 'y' : 'n';
    ::_exit(::write(ends[1], &answer, 1) == 1 ? 0 : 1);
  }
  ::close(ends[1]);
  struct timespec patience{0, 50'000'000};
  ::nanosleep(&patience, nullptr);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  char answer = 0;
  EXPECT_EQ(::read(ends[0], &answer, 1), -1) << "the lock did not hold";
  held->unlock();
  ::fcntl(ends[0], F_SETFL, 0);
  EXPECT_EQ(::read(ends[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
}

TEST(ContainerStatus, IsCreatingWhileCreateHoldsTheLock) {
  const TemporaryDirectory place;
  IdleProcess process;
  const auto creator = ContainerDirectory::take(place.path(), "web");
  EXPECT_EQ(status_of(place.path(), "web"), Status::kCreating);
  ASSERT_TRUE(creator->write_record(some_record("web")));
  EXPECT_EQ(status_of(place.path(), "web"), Status::kCreating);
  ASSERT_TRUE(creator->write_init(process.init()));
  EXPECT_EQ(status_of(place.path(), "web"), Status::kCreating);
}

TEST(ContainerStatus, IsStoppedWhenCreateDiedBeforeItHadAProcess) {
  const TemporaryDirectory place;
  {
    const auto creator = ContainerDirectory::take(place.path(), "web");
    ASSERT_TRUE(creator->write_record(some_record("web")));
  }
  EXPECT_EQ(status_of(place.path(), "web"), Status::kStopped);
}

TEST(ContainerStatus, FollowsTheProcessFromCreatedToStopped) {
  const TemporaryDirectory place;
  IdleProcess process;
  make_created(place.path(), "web", process);
  EXPECT_EQ(status_of(place.path(), "web"), Status::kCreated);
  ASSERT_TRUE(ContainerDirectory::open(place.path(), "web")->remove_start_socket());
  EXPECT_EQ(status_of(place.path(), "web"), Status::kRunning);
  process.end();
  EXPECT_EQ(status_of(place.path(), "web"), Status::kStopped);
}

TEST(ContainerStatus, IsStoppedForAZombie) {
  const TemporaryDirectory place;
  IdleProcess process;
  make_running(place.path(), "web", process);
  ::kill(process.pid().value(), SIGKILL);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(process.pid().value()), &info, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(status_of(place.path(), "web"), Status::kStopped);
}

TEST(ContainerStatus, IsStoppedWhenThePidBelongsToAnotherProcess) {
  const TemporaryDirectory place;
  IdleProcess process;
  make_running(place.path(), "web", process);
  InitProcess other = process.init();
  ++other.start_time;
  const auto directory = ContainerDirectory::open(place.path(), "web");
  ASSERT_TRUE(directory->write_init(other));
  ASSERT_TRUE(directory->confirm_init());
  EXPECT_EQ(status_of(place.path(), "web"), Status::kStopped);
  EXPECT_FALSE(ContainerDirectory::hold(other));
}

TEST(ContainerStatus, IsPausedWhenTheGroupIsFrozen) {
  const TemporaryDirectory place;
  IdleProcess process;
  make_running(place.path(), "web", process);
  const auto directory = ContainerDirectory::open(place.path(), "web");
  Record record = some_record("web");
  const auto status_with = [&](std::vector<std::string> groups) {
    record.cgroup_directories = std::move(groups);
    return directory->observe(record)->status;
  };
  testing::write_text(place / "freezer.state", "FROZEN\n");
  testing::write_text(place / "cgroup.events", "populated 1\nfrozen 0\n");
  EXPECT_EQ(status_with({"cpu:/nowhere", "freezer:" + place.path()}), Status::kPaused);
  EXPECT_EQ(status_with({"freezer:" + place.path(), ":" + place.path()}), Status::kRunning)
      << "the v2 group is the one that is frozen where there is one";
  testing::write_text(place / "cgroup.events", "populated 1\nfrozen 1\n");
  EXPECT_EQ(status_with({":" + place.path()}), Status::kPaused);
  EXPECT_EQ(status_with({"cpu:" + place.path()}), Status::kRunning);
}

TEST(StartSocket, CanBeReachedBehindALongPath) {
  const TemporaryDirectory place;
  const std::string root = place / std::string(150, 'r');
  const auto directory = ContainerDirectory::take(root, std::string(200, 'i'));
  ASSERT_TRUE(directory) << directory.error().message();
  EXPECT_EQ(directory->connect_start_socket().error().error, ENOENT);
  {
    const auto listener = directory->bind_start_socket();
    ASSERT_TRUE(listener) << errno_text(listener.error().error);
    const auto client = directory->connect_start_socket();
    ASSERT_TRUE(client);
    const Fd server(::accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_TRUE(server);
    ASSERT_EQ(::send(client->get(), "go", 2, 0), 2);
    char text[2];
    EXPECT_EQ(::recv(server.get(), text, 2, 0), 2);
  }
  EXPECT_EQ(directory->connect_start_socket().error().error, ECONNREFUSED);
  EXPECT_TRUE(directory->remove_start_socket());
  EXPECT_TRUE(directory->remove_start_socket());
}

TEST(Now, IsWrittenWithNanoseconds) {
  const std::string now = now_rfc3339();
  ASSERT_EQ(now.size(), std::string_view("2026-01-31T23:59:59.123456789Z").size());
  EXPECT_EQ(now[10], 'T');
  EXPECT_EQ(now[19], '.');
  EXPECT_EQ(now.back(), 'Z');
}

}  // namespace
}  // namespace bulkhead::runtime
