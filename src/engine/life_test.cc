#include <gtest/gtest.h>

#include <set>

#include "engine/container_record.h"
#include "engine/generated_name.h"
#include "engine/life.h"
#include "engine/make_record.h"
#include "engine/times.h"
#include "engine/values.h"

namespace bulkhead::engine {
namespace {

TEST(ContainerRecord, IsReadAsItWasWritten) {
  ContainerRecord record;
  record.id = std::string(64, 'b');
  record.name = "web";
  record.arguments = {"sh", "-c", "echo \"x\"\n"};
  record.given.privileged = true;
  record.given.devices = {"/dev/fuse"};
  record.given.pid = "host";
  record.labels = {{"a", "1"}, {"b", ""}};
  record.restart = {supervise::RestartKind::kOnFailure, 3};
  record.log.driver = supervise::LogDriver::kNone;
  record.log.most_bytes = 12345;
  record.stop_timeout = -1;
  record.remove = true;
  record.defaults.landlock = true;
  const auto again = decode_container_record(encode(record));
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(encode(*again), encode(record));
  EXPECT_EQ(again->arguments, record.arguments);
  EXPECT_TRUE(again->given.privileged);
  EXPECT_FALSE(again->given.init);
  EXPECT_EQ(again->given.devices, record.given.devices);
  EXPECT_EQ(again->given.pid, "host");
  EXPECT_EQ(again->restart, record.restart);
}

TEST(ContainerRecord, IgnoresWhatIsNewerAndDefaultsWhatIsOlder) {
  const auto record =
      decode_container_record(R"({"id":"x","arguments":["a"],"ofTheFuture":{"deep":[1]}})");
  ASSERT_TRUE(record);
  EXPECT_EQ(record->stop_timeout, 10);
}

TEST(ContainerRecord, RefusesWhatIsNone) {
  for (const char* text :
       {"", "{}", "[]", R"({"id":"x"})", R"({"id":"x","arguments":["a"],"restart":"x"})"})
    EXPECT_FALSE(decode_container_record(text)) << text;
}

TEST(LifeRecord, IsReadAsItWasWritten) {
  LifeRecord life;
  life.status = LifeStatus::kRestarting;
  life.exit_code = 137;
  life.oom_killed = true;
  life.restarts = 7;
  life.peak_memory_bytes = 1U << 31;
  EXPECT_EQ(encode(*decode_life_record(encode(life))), encode(life));
}

TEST(GeneratedNames, AreNamesAndManyOfThem) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const auto name = generated_name(0);
    ASSERT_TRUE(name);
    EXPECT_TRUE(is_container_name(*name)) << *name;
    EXPECT_NE(name->find('_'), std::string::npos);
    EXPECT_NE(name->back(), '_');
    seen.insert(*name);
  }
  EXPECT_GT(seen.size(), 800U);
  EXPECT_NE(generated_name(8)->find_first_of("0123456789"), std::string::npos);
}

TEST(LifeChoices, AreUnderstoodOrRefusedByTheFlagsName) {
  RunOptions options;
  options.log_options = {"max-size=10m", "max-file=3"};
  options.restart = "always";
  const auto choices = read_life_choices(options);
  ASSERT_TRUE(choices);
  EXPECT_EQ(choices->log.most_bytes, 10 << 20);
  EXPECT_EQ(choices->log.most_files, 3);
  const auto refused = [](auto change, const char* flag) {
    RunOptions wrong;
    change(wrong);
    const auto read = read_life_choices(wrong);
    ASSERT_FALSE(read) << flag;
    EXPECT_NE(read.error().message().find(flag), std::string::npos) << read.error().message();
  };
  refused([](RunOptions& o) { o.restart = "sometimes"; }, "--restart");
  refused([](RunOptions& o) { o.log_driver = "syslog"; }, "--log-driver");
  refused([](RunOptions& o) { o.log_options = {"max-size=0"}; }, "--log-opt");
  refused([](RunOptions& o) { o.log_options = {"max-file=0"}; }, "--log-opt");
  refused([](RunOptions& o) { o.log_options = {"colour=red"}; }, "--log-opt");
  refused([](RunOptions& o) { o.log_driver = "none", o.log_options = {"max-size=1m"}; },
          "--log-opt");
}

TEST(Times, AreReadAsDockerReadsThem) {
  const timespec now{1'000'000, 500'000'000};
  EXPECT_EQ(parse_rfc3339("1970-01-01T00:00:01.25Z")->tv_nsec, 250'000'000);
  EXPECT_EQ(parse_rfc3339("1970-01-01T02:00:01+02:00")->tv_sec, 1);
  EXPECT_EQ(parse_moment("1970-01-02", now)->tv_sec, 86'400);
  EXPECT_EQ(parse_moment("1970-01-01T00:00:05", now)->tv_sec, 5);
  EXPECT_EQ(parse_moment("12.5", now)->tv_nsec, 500'000'000);
  EXPECT_EQ(parse_moment("10m", now)->tv_sec, 1'000'000 - 600);
  EXPECT_EQ(parse_moment("700ms", now)->tv_nsec, 800'000'000);
  for (const char* text : {"", "x", "1970-13-01", "1970-01-01T25:00:00Z",
                           "1970-01-01T00:00:00+99:00", "-5", "1970-02-30T00:00:00Z", "10 m"})
    EXPECT_FALSE(parse_moment(text, now)) << text;
}

TEST(Update, NamesTheLimitsThatAreAskedForAlone) {
  Wish wish;
  EXPECT_FALSE((Update{.resources = named_limits(wish), .restart = {}}.changes_limits()));
  wish.memory = 1 << 20;
  wish.limits.cpus = "0-1";
  wish.limits.block_weight = 300;
  const oci::Resources resources = named_limits(wish);
  EXPECT_EQ(resources.memory->limit, 1 << 20);
  EXPECT_FALSE(resources.memory->swap);
  EXPECT_EQ(resources.cpu->cpus, "0-1");
  EXPECT_FALSE(resources.cpu->quota);
  EXPECT_EQ(resources.block_io->weight, 300);
  EXPECT_FALSE(resources.pids_limit);
  wish.cpu_thousandths = 0;  // no limit
  EXPECT_EQ(named_limits(wish).cpu->quota, -1);
}

}  // namespace
}  // namespace bulkhead::engine
