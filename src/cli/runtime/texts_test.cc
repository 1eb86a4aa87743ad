// The small pieces of text that the commands read and write.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "cli/runtime/byte_size.h"
#include "cli/runtime/output.h"
#include "cli/runtime/process_table.h"
#include "cli/runtime/report.h"
#include "cli/runtime/stats_json.h"
#include "cli/runtime/version.h"
#include "json/parse.h"
#include "runtime/signal_name.h"
#include "sys/file.h"

namespace bulkhead::cli {
namespace {

TEST(Signals, AreReadByNameAndNumber) {
  for (const char* text : {"KILL", "SIGKILL", "kill", "sigkill", "9"})
    EXPECT_EQ(runtime::parse_signal(text).value(), SIGKILL) << text;
  EXPECT_EQ(runtime::parse_signal("RTMIN+3").value(), SIGRTMIN + 3);
  EXPECT_EQ(runtime::parse_signal("SIGRTMAX-1").value(), SIGRTMAX - 1);
  EXPECT_EQ(runtime::parse_signal("WINCH").value(), SIGWINCH);
  EXPECT_EQ(runtime::parse_signal("CHLD").value(), SIGCHLD);
  EXPECT_EQ(runtime::parse_signal("0").value(), 0);
  for (const char* text : {"", "SIG", "FOO", "-9", "65", "9x", "RTMIN-1", "RTMIN+", "RTMIN+99"})
    EXPECT_FALSE(runtime::parse_signal(text)) << text;
}

TEST(ByteSize, IsReadWithUnitsOf1024) {
  EXPECT_EQ(parse_byte_size("0"), 0);
  EXPECT_EQ(parse_byte_size("-1"), -1);
  EXPECT_EQ(parse_byte_size("4096"), 4096);
  for (const char* text : {"512m", "512M", "512mb", "512MiB", "512 m"})
    EXPECT_EQ(parse_byte_size(text), 512 << 20) << text;
  EXPECT_EQ(parse_byte_size("1.5g"), 3LL << 29);
  EXPECT_EQ(parse_byte_size("7p"), 7LL << 50);
  for (const char* text : {"", "m", "-2", "1x", "1.", "1.2.3", "1kk", "9223372036854775808",
                           "8192p", "1e3", "0x10", "1 000"})
    EXPECT_FALSE(parse_byte_size(text)) << text;
}

TEST(Table, AlignsItsColumnsAndEscapesWhatContainersSay) {
  EXPECT_EQ(table({{"ID", "CMD"}, {"longer", "a\x1b[2Jb"}, {"x", "\"q\""}}),
            "ID       CMD\nlonger   a\\x1b[2Jb\nx        \\\"q\\\"\n");
}

TEST(ProcessTable, ShowsThisProcess) {
  const HostPid self(::getpid());
  const std::string text = process_table(std::array{self, HostPid(2'000'000'000)});
  EXPECT_TRUE(text.starts_with("UID")) << text;
  EXPECT_NE(text.find(std::to_string(self.value())), std::string::npos);
  EXPECT_NE(text.find("cli_runtime_test"), std::string::npos);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  EXPECT_EQ(cpu_time(0), "00:00:00");
  EXPECT_EQ(cpu_time(2 * 86400 + 3723), "2-01:02:03");
  EXPECT_EQ(terminal_name(0), "?");
  EXPECT_EQ(terminal_name(static_cast<unsigned>(makedev(136, 5))), "pts/5");
  EXPECT_EQ(terminal_name(static_cast<unsigned>(makedev(4, 1))), "tty1");
}

// The log that `body` leaves behind.
template <class Body>
std::string log_of(LogFormat format, Body body) {
  char path[] = "/tmp/bulkhead-log-test-XXXXXX";
  ::close(::mkstemp(path));
  Report report;
  report.to_file(path, format);
  ::testing::internal::CaptureStderr();
  body(report);
  (void)::testing::internal::GetCapturedStderr();
  const std::string text = read_file_at(AT_FDCWD, path).value_or("");
  ::unlink(path);
  return text;
}

TEST(Report, WritesExactlyOneJsonObjectForAnError) {
  const std::string log = log_of(LogFormat::kJson, [](Report& report) {
    report.warn("a default was left out");
    report.finish(Error(ErrorKind::kState, "container \"x\"\n not running", "start it"));
  });
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1);
  const auto document = json::parse(log);
  ASSERT_TRUE(document) << log;
  EXPECT_EQ(document->root().find("level")->as_string(), "error");
  EXPECT_EQ(document->root().find("msg")->as_string(), "container \"x\"\n not running (start it)");
  EXPECT_NE(document->root().find("time"), nullptr);
  EXPECT_EQ(document->root().find("warnings")->items().size(), 1U);
}

TEST(Report, WritesALineForEachWarningOfASuccess) {
  const std::string log = log_of(LogFormat::kJson, [](Report& report) {
    report.warn("one");
    report.warn("two");
    report.finish();
  });
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 2);
  EXPECT_NE(log.find("\"level\":\"warning\""), std::string::npos);
  EXPECT_EQ(log_of(LogFormat::kJson, [](Report& report) { report.finish(); }), "");
}

TEST(Report, WritesTextWithoutControlCharacters) {
  const std::string log = log_of(LogFormat::kText, [](Report& report) {
    report.finish(Error(ErrorKind::kState, "bad\x1b[2J\nname"));
  });
  EXPECT_NE(log.find("level=error msg=\"bad\\x1b[2J\\nname\"\n"), std::string::npos) << log;
}

TEST(Version, HasTheLinesThatCallersRead) {
  const std::string text = version_text();
  EXPECT_TRUE(text.starts_with("bulkhead-runtime version " BULKHEAD_VERSION "\ncommit: "));
  EXPECT_TRUE(text.ends_with("\nspec: 1.3.0\n"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);
}

TEST(StatsEvent, HasTheFieldsThatCallersRead) {
  isolation::CgroupStats stats;
  stats.cpu.usage_ns = 5;
  stats.cpu.per_cpu_ns = {2, 3};
  stats.memory.memory = {.usage = 10, .peak = 20, .limit = UINT64_MAX, .failures = 1};
  stats.memory.raw = {{"cache", 7}};
  stats.memory.pressure.emplace().some.avg10 = 1.5;
  stats.pids.current = 3;
  stats.pids.limit = UINT64_MAX;
  stats.block_io.service_bytes = {{8, 0, "Read", 4096}};
  stats.hugetlb["2MB"].usage = 0;
  const std::string text = stats_event("web", stats);
  EXPECT_TRUE(text.ends_with("}\n"));
  const auto document = json::parse(text);
  ASSERT_TRUE(document) << document.error().message();
  const json::Value& data = *document->root().find("data");
  EXPECT_EQ(document->root().find("type")->as_string(), "stats");
  EXPECT_EQ(data.find("cpu")->find("usage")->find("total")->as_uint64(), 5U);
  EXPECT_EQ(data.find("memory")->find("usage")->find("limit")->as_uint64(), UINT64_MAX);
  EXPECT_EQ(data.find("memory")->find("psi")->find("some")->find("avg10")->fraction_text(), "1.50");
  EXPECT_EQ(data.find("pids")->find("limit"), nullptr);
  EXPECT_EQ(data.find("blkio")->find("ioServiceBytesRecursive")->items().size(), 1U);
  EXPECT_EQ(oom_event("web"), "{\"type\":\"oom\",\"id\":\"web\"}\n");
}

}  // namespace
}  // namespace bulkhead::cli
