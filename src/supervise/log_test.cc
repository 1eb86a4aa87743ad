#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "supervise/log_entry.h"
#include "supervise/log_file.h"
#include "supervise/log_reader.h"
#include "supervise/stream.h"
#include "sys/file.h"

namespace bulkhead::supervise {
namespace {

std::string encoded(std::string_view line) {
  std::string room(kMostEntry, '\0');
  room.resize(encode_entry(room.data(), line, "stdout", "T"));
  return room;
}

TEST(LogEntry, LooksAsDockers) {
  EXPECT_EQ(encoded("a \"b\" \\ \t\x01\n"),
            "{\"log\":\"a \\\"b\\\" \\\\ \\t\\u0001\\n\",\"stream\":\"stdout\",\"time\":\"T\"}\n");
  EXPECT_EQ(encoded("gr\xc3\xbc\xc3\x9f"),
            "{\"log\":\"gr\xc3\xbc\xc3\x9f\",\"stream\":\"stdout\",\"time\":\"T\"}\n");
}

TEST(LogEntry, ReplacesWhatIsNoUtf8) {
  EXPECT_EQ(encoded("\xff"
                    "a\xc3"),
            "{\"log\":\"\\ufffda\\ufffd\",\"stream\":\"stdout\",\"time\":\"T\"}\n");
}

TEST(LogEntry, ReadsBackEveryByteThatIsText) {
  std::string line;
  for (int i = 0; i < 128; ++i) line += static_cast<char>(i);
  const auto entry = decode_entry(encoded(line));
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->text, line);
  EXPECT_FALSE(entry->error_stream);
}

TEST(LogEntry, RefusesWhatIsNone) {
  for (const char* text : {"", "{}", "[]", "{\"log\":\"x\"}", "nonsense"})
    EXPECT_FALSE(decode_entry(text)) << text;
}

TEST(LogEntry, FitsItsRoomWhateverIsInIt) {
  EXPECT_LE(encoded(std::string(kMostLine, '\x01')).size(), kMostEntry);
}

TEST(TimeText, KnowsTheCalendar) {
  TimeText text;
  EXPECT_EQ(text.of({0, 0}), "1970-01-01T00:00:00.000000000Z");
  EXPECT_EQ(text.of({951'782'399, 123'456'789}), "2000-02-28T23:59:59.123456789Z");
  EXPECT_EQ(text.of({951'782'400, 5}), "2000-02-29T00:00:00.000000005Z");
  EXPECT_EQ(text.of({4'102'444'799, 0}), "2099-12-31T23:59:59.000000000Z");
}

// A directory that goes with the test.
class Logs : public ::testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/bulkhead-log-XXXXXX";
    ASSERT_NE(::mkdtemp(path), nullptr);
    path_ = path;
    directory_ = Fd(::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  void TearDown() override { EXPECT_EQ(std::system(("rm -rf " + path_).c_str()), 0); }

  bool exists(const char* name) { return ::faccessat(directory_.get(), name, F_OK, 0) == 0; }
  std::vector<std::string> texts(std::optional<std::size_t> tail = {}) {
    std::vector<std::string> all;
    LogReader reader(directory_.get());
    EXPECT_TRUE(reader.read(tail, [&](std::string_view line) {
      const auto entry = decode_entry(line);
      all.push_back(entry ? entry->text : "?");
      return true;
    }));
    return all;
  }

  std::string path_;
  Fd directory_;
};

TEST_F(Logs, AppendToWhatIsThere) {
  for (int life = 0; life < 2; ++life) {
    LogFile log(directory_.get(), {});
    log.add("line\n", "stdout", {1, 2});
    log.flush();
  }
  EXPECT_EQ(texts(), (std::vector<std::string>{"line\n", "line\n"}));
}

TEST_F(Logs, RotateAtTheirSizeAndKeepSoManyFiles) {
  LogFile log(directory_.get(), {.most_bytes = 4096, .most_files = 3});
  for (int i = 0; i < 200; ++i) {
    log.add("line " + std::to_string(i) + "\n", "stdout", {1, 2});
    log.flush();
  }
  EXPECT_TRUE(exists("container.log.1"));
  EXPECT_TRUE(exists("container.log.2"));
  EXPECT_FALSE(exists("container.log.3"));
  const auto all = texts();
  EXPECT_EQ(all.back(), "line 199\n");
  // What is left has no gap.
  for (std::size_t i = 0; i < all.size(); ++i)
    EXPECT_EQ(all[i], "line " + std::to_string(200 - all.size() + i) + "\n");
  EXPECT_EQ(texts(3), (std::vector<std::string>{"line 197\n", "line 198\n", "line 199\n"}));
  EXPECT_EQ(texts(1000).size(), all.size());
  EXPECT_TRUE(texts(0).empty());
}

TEST_F(Logs, WithOneFileBeginAnew) {
  LogFile log(directory_.get(), {.most_bytes = 4096, .most_files = 1});
  for (int i = 0; i < 100; ++i) {
    log.add("line " + std::to_string(i) + "\n", "stdout", {1, 2});
    log.flush();
  }
  EXPECT_FALSE(exists("container.log.1"));
  EXPECT_LT(texts().size(), 60U);
}

TEST_F(Logs, SayWhatAFullDiskHasTaken) {
  // A limit of the file's size stands for the full disk: EFBIG instead of ENOSPC.
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  LogFile log(directory_.get(), {});
  log.add("kept\n", "stdout", {1, 2});
  log.flush();
  rlimit small = before;
  small.rlim_cur = 100;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  log.add("lost line\n", "stdout", {1, 2});
  log.flush();
  EXPECT_EQ(log.lost_bytes(), 10U);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  log.add("kept again\n", "stdout", {1, 2});
  log.flush();
  const auto all = texts();
  ASSERT_EQ(all.size(), 3U) << all.size();
  EXPECT_EQ(all[0], "kept\n");
  EXPECT_EQ(all[1], "bulkhead: 10 bytes of this log were lost: File too large\n");
  EXPECT_EQ(all[2], "kept again\n");
}

TEST_F(Logs, AreFollowedThroughRotations) {
  LogFile log(directory_.get(), {.most_bytes = 4096, .most_files = 5});
  LogReader reader(directory_.get());
  std::vector<std::string> seen;
  const auto visit = [&](std::string_view line) {
    seen.push_back(decode_entry(line)->text);
    return true;
  };
  ASSERT_TRUE(reader.read({}, visit));
  for (int i = 0; i < 300; ++i) {
    log.add("line " + std::to_string(i) + "\n", "stdout", {1, 2});
    log.flush();
    if (i % 90 == 0) {
      ASSERT_TRUE(reader.read_new(visit));
    }
  }
  ASSERT_TRUE(reader.read_new(visit));
  ASSERT_EQ(seen.size(), 300U);
  for (std::size_t i = 0; i < seen.size(); ++i)
    ASSERT_EQ(seen[i], "line " + std::to_string(i) + "\n");
}

class Streams : public Logs {
 protected:
  void SetUp() override {
    Logs::SetUp();
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    log_.emplace(directory_.get(), LogSettings{});
    stream_.open(Fd(ends[0]));
    writer_ = Fd(ends[1]);
  }
  void write(std::string_view text) {
    ASSERT_EQ(::write(writer_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void pump() {
    while (stream_.read(65536) < Stream::Read::kNothing) stream_.take_to(&*log_, {1, 2});
    log_->flush();
  }

  std::string room_ = std::string(Stream::kRoom, '\0');
  Stream stream_{"stdout", 2, room_.data()};
  std::optional<LogFile> log_;
  Fd writer_;
};

TEST_F(Streams, HoldBackALineUntilItIsWhole) {
  write("one\ntw");
  pump();
  EXPECT_EQ(texts(), (std::vector<std::string>{"one\n"}));
  write("o\n\nrest");
  pump();
  stream_.finish(&*log_, {1, 2});
  log_->flush();
  EXPECT_EQ(texts(), (std::vector<std::string>{"one\n", "two\n", "\n", "rest"}));
}

TEST_F(Streams, CutLongLinesBetweenCharacters) {
  std::string line = "x";
  while (line.size() < 40'000) line += "\xe2\x82\xac";  // of three bytes: no piece ends evenly
  write(line + "\n");
  pump();
  const auto all = texts();
  ASSERT_EQ(all.size(), 3U);
  std::string together;
  for (const std::string& piece : all) {
    EXPECT_LE(piece.size(), kMostLine);
    EXPECT_EQ(piece.find("\xef\xbf\xbd"), std::string::npos) << "a character was cut";
    together += piece;
  }
  EXPECT_EQ(together, line + "\n");
}

}  // namespace
}  // namespace bulkhead::supervise
