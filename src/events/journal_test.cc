#include "events/journal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "json/parse.h"

namespace bulkhead::events {
namespace {

class JournalTest : public testing::Test {
 protected:
  JournalTest() {
    char name[] = "/tmp/bulkhead-events-XXXXXX";
    top_ = ::mkdtemp(name);
    directory_ = top_ + "/deep/events";
  }
  ~JournalTest() override { std::filesystem::remove_all(top_); }

  Event event(const std::string& id, const std::string& action = "start") const {
    return {std::string(kContainer), action, id, {{"image", "busybox"}, {"name", "n"}}, {}};
  }
  static std::vector<std::string> ids(Journal& journal) {
    std::vector<std::string> seen;
    EXPECT_TRUE(journal.read([&](const Event& each) {
      seen.push_back(each.id);
      return true;
    }));
    return seen;
  }
  static bool is_readable(int fd) {
    struct pollfd item{fd, POLLIN, 0};
    return ::poll(&item, 1, 0) == 1;
  }

  std::string top_;
  std::string directory_;
};

TEST(Event, HasDockersFieldsAndComesBackTheSame) {
  const Event event{"container", "die", "0123", {{"exitCode", "1"}, {"image", "a\"b\n"}}, {7, 8}};
  const std::string line = encode(event);
  EXPECT_TRUE(line.starts_with(
      R"({"status":"die","id":"0123","from":"a\"b\n","Type":"container","Action":"die",)"
      R"("Actor":{"ID":"0123","Attributes":{"exitCode":"1","image":"a\"b\n"}},)"
      R"("scope":"local","time":7,"timeNano":7000000008})"))
      << line;
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto again = decode(line.substr(0, line.size() - 1));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->attributes, event.attributes);
  EXPECT_EQ(again->time.tv_nsec, 8);
}

TEST(Event, IsBoundedWhateverItsLabels) {
  Event event{"container", "start", "0123", {{"image", "busybox"}}, {1, 0}};
  event.attributes["label"] = std::string(kMostLine, 'x');
  const std::string line = encode(event);
  EXPECT_LT(line.size(), kMostLine);
  EXPECT_NE(line.find("busybox"), std::string::npos);
}

TEST(Event, IsNoneForOtherText) {
  for (const char* text :
       {"", "{}", "[]", "x", R"({"Type":"container","Action":"die"})",
        R"({"Type":"container","Action":"","Actor":{"Attributes":{}},"timeNano":1})",
        R"({"Type":"container","Action":"die","Actor":{"Attributes":{}},"timeNano":-1})",
        R"({"Type":"container","Action":"die","Actor":{"Attributes":{}},"timeNano":"1"})"})
    EXPECT_FALSE(decode(text)) << text;
}

TEST_F(JournalTest, IsEmptyWhereNothingHasHappened) {
  Journal journal(directory_);
  EXPECT_TRUE(ids(journal).empty());
  EXPECT_FALSE(std::filesystem::exists(directory_));
}

TEST_F(JournalTest, TellsWhatIsRecordedBeforeAndAfterItIsOpened) {
  record(directory_, event("1"));
  Journal journal(directory_);
  const auto notify = journal.watch();
  ASSERT_TRUE(notify);
  EXPECT_EQ(ids(journal), std::vector<std::string>{"1"});
  EXPECT_FALSE(is_readable(*notify));
  record(directory_, event("2"));
  EXPECT_TRUE(is_readable(*notify));
  journal.changed();
  EXPECT_FALSE(is_readable(*notify));
  EXPECT_EQ(ids(journal), std::vector<std::string>{"2"});
  EXPECT_TRUE(ids(journal).empty());
}

TEST_F(JournalTest, IsForItsOwnerAlone) {
  record(directory_, event("1"));
  struct stat status{};
  ASSERT_EQ(::stat((directory_ + "/log").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  ASSERT_EQ(::stat(directory_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
}

TEST_F(JournalTest, FollowsNoLinkThatStandsInItsPlace) {
  record(directory_, event("1"));
  const std::string other = top_ + "/other";
  std::filesystem::remove(directory_ + "/log");
  ASSERT_EQ(::symlink(other.c_str(), (directory_ + "/log").c_str()), 0);
  record(directory_, event("2"));
  EXPECT_FALSE(std::filesystem::exists(other));
}

TEST_F(JournalTest, IsBoundedAndLosesNothingForWhoFollowsIt) {
  constexpr std::uint64_t kSmall = 1000;
  Journal journal(directory_);
  ASSERT_TRUE(journal.watch());
  std::vector<std::string> seen;
  std::vector<std::string> wanted;
  for (int i = 0; i < 200; ++i) {
    wanted.push_back(std::to_string(i));
    record(directory_, event(wanted.back()), kSmall);
    // Not at each step, so that rotations lie between two reads.
    if (i % 3 != 0) continue;
    for (std::string& id : ids(journal)) seen.push_back(std::move(id));
  }
  for (std::string& id : ids(journal)) seen.push_back(std::move(id));
  EXPECT_EQ(seen, wanted);
  std::uintmax_t size = 0;
  for (const auto& file : std::filesystem::directory_iterator(directory_)) size += file.file_size();
  EXPECT_LT(size, 4 * kSmall);
  Journal late(directory_);
  EXPECT_EQ(ids(late).back(), "199");
}

TEST_F(JournalTest, TakesALineIntoTheFileThatWasMovedAfterItWasOpened) {
  record(directory_, event("1"));
  Journal journal(directory_);
  EXPECT_EQ(ids(journal).size(), 1U);
  const int late = ::open((directory_ + "/log").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  std::filesystem::rename(directory_ + "/log", directory_ + "/log.1");
  record(directory_, event("2"));
  EXPECT_EQ(ids(journal), std::vector<std::string>{"2"});
  Event third = event("3");
  third.time = {1, 0};
  const std::string line = encode(third);
  ASSERT_EQ(::write(late, line.data(), line.size()), static_cast<ssize_t>(line.size()));
  ::close(late);
  EXPECT_EQ(ids(journal), std::vector<std::string>{"3"});
}

TEST_F(JournalTest, PassesOverWhatAFullDiskHasCutOff) {
  record(directory_, event("1"));
  const int file = ::open((directory_ + "/log").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  ASSERT_EQ(::write(file, "{\"Type\":\"cont\n", 14), 14);
  ::close(file);
  record(directory_, event("2"));
  Journal journal(directory_);
  EXPECT_EQ(ids(journal), (std::vector<std::string>{"1", "2"}));
}

TEST_F(JournalTest, KeepsEachLineWholeWhoeverWrites) {
  constexpr int kWriters = 8;
  constexpr int kEach = 200;
  std::vector<pid_t> writers;
  for (int writer = 0; writer < kWriters; ++writer) {
    const pid_t pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      for (int i = 0; i < kEach; ++i)
        record(directory_, event(std::to_string(writer) + "-" + std::to_string(i)));
      ::_exit(0);
    }
    writers.push_back(pid);
  }
  for (const pid_t pid : writers) ASSERT_EQ(::waitpid(pid, nullptr, 0), pid);
  Journal journal(directory_);
  const auto seen = ids(journal);
  EXPECT_EQ(seen.size(), std::size_t{kWriters} * kEach);
  // Each writer's own stand in their order.
  std::vector<int> next(kWriters);
  for (const std::string& id : seen) {
    const auto writer = static_cast<std::size_t>(id[0] - '0');
    EXPECT_EQ(id.substr(2), std::to_string(next[writer]++));
  }
}

}  // namespace
}  // namespace bulkhead::events
