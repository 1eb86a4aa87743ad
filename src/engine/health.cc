#include "engine/health.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "engine/container_record.h"
#include "engine/flag_error.h"
#include "engine/values.h"
#include "json/parse.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

using supervise::Health;

constexpr std::size_t kMostResults = 5;
constexpr std::size_t kLargestRecord = 256 << 10;
constexpr std::int64_t kNanosecondsEach = 1'000'000;  // millisecond
constexpr std::uint32_t kMostRetries = 1'000'000;

struct Times {
  std::int64_t interval = 0;  // milliseconds; 0: not said
  std::int64_t timeout = 0;
  std::int64_t start_period = 0;
  std::int64_t start_interval = 0;
  std::uint32_t retries = 0;
};

Result<Times> read_times(const RunOptions& options) {
  Times times;
  const auto read = [](std::string_view flag, const std::optional<std::string>& text,
                       std::int64_t& out) -> Result<void> {
    if (!text || *text == "0" || *text == "0s") return {};
    const auto milliseconds = parse_duration(*text);
    if (!milliseconds)
      return refuse_flag(flag, *text, "a duration such as 30s, 500ms or 1m30s is expected");
    out = *milliseconds;
    return {};
  };
  TRY(read("--health-interval", options.health_interval, times.interval));
  TRY(read("--health-timeout", options.health_timeout, times.timeout));
  TRY(read("--health-start-period", options.health_start_period, times.start_period));
  TRY(read("--health-start-interval", options.health_start_interval, times.start_interval));
  if (options.health_retries) {
    const auto retries = parse_number<std::uint32_t>(*options.health_retries);
    if (!retries || *retries > kMostRetries)
      return refuse_flag("--health-retries", *options.health_retries,
                         "how many failures in a row make it unhealthy is expected");
    times.retries = *retries;
  }
  return times;
}

// Nanoseconds of an image's author, who may write anything.
std::int64_t from_image(std::int64_t nanoseconds) {
  if (nanoseconds <= 0) return 0;
  return std::clamp<std::int64_t>(nanoseconds / kNanosecondsEach, 1, 1LL << 40);
}

template <class Number>
void choose(Number& setting, Number users, Number images) {
  if (users != 0)
    setting = users;
  else if (images != 0)
    setting = images;
}

std::string_view text_member(const json::Value& object, std::string_view key) {
  const json::Value* const value = object.find(key);
  return value == nullptr ? std::string_view() : value->as_string();
}

std::int64_t number_member(const json::Value& object, std::string_view key) {
  const json::Value* const value = object.find(key);
  return value == nullptr ? 0 : value->as_int64().value_or(0);
}

void write_texts(json::Writer& writer, std::string_view key,
                 const std::vector<std::string>& texts) {
  writer.key(key);
  writer.begin_array();
  for (const std::string& text : texts) writer.string(text);
  writer.end_array();
}

std::vector<std::string> read_texts(const json::Value& object, std::string_view key) {
  std::vector<std::string> texts;
  if (const json::Value* const list = object.find(key))
    for (const json::Value& item : list->items()) texts.emplace_back(item.as_string());
  return texts;
}

}  // namespace

std::vector<std::string> HealthCheck::arguments() const {
  if (test.empty()) return {};
  if (test.front() == "CMD") return {test.begin() + 1, test.end()};
  std::vector<std::string> words = shell;
  if (words.empty()) words = {"/bin/sh", "-c"};
  words.insert(words.end(), test.begin() + 1, test.end());
  return words;
}

Result<void> check_health_flags(const RunOptions& options) {
  TRY(read_times(options));
  const bool any = options.health_command || options.health_interval || options.health_timeout ||
                   options.health_start_period || options.health_start_interval ||
                   options.health_retries;
  if (options.no_health_check && any)
    return fail(ErrorKind::kUsage, "--no-healthcheck and the --health flags contradict each other");
  if (options.health_command && options.health_command->find('\0') != std::string::npos)
    return refuse_flag("--health-cmd", *options.health_command, "not a command");
  return {};
}

Result<HealthCheck> choose_health_check(const RunOptions& options,
                                        const oci::ExecutionParameters& image) {
  HealthCheck check;
  if (options.no_health_check) return check;
  const oci::HealthTest theirs = image.healthcheck.value_or(oci::HealthTest{});
  if (options.health_command && !options.health_command->empty())
    check.test = {"CMD-SHELL", *options.health_command};
  else
    check.test = theirs.test;
  if (check.test.empty() || check.test.front() == "NONE") return HealthCheck{};
  const bool shell = check.test.front() == "CMD-SHELL";
  if ((!shell && check.test.front() != "CMD") || check.test.size() < 2 ||
      (shell && check.test.size() != 2))
    return fail(ErrorKind::kUnsupported,
                "the image's health check " + quoted(check.test.front()) + " is none that is known",
                "give one of your own with --health-cmd, or --no-healthcheck");
  if (shell) check.shell = image.shell;
  TRY_ASSIGN(const Times times, read_times(options));
  supervise::HealthSettings& settings = check.settings;
  settings.enabled = true;
  choose(settings.interval, times.interval, from_image(theirs.interval));
  choose(settings.timeout, times.timeout, from_image(theirs.timeout));
  choose(settings.start_period, times.start_period, from_image(theirs.start_period));
  choose(settings.start_interval, times.start_interval, from_image(theirs.start_interval));
  const auto retries = std::clamp<std::int64_t>(theirs.retries, 0, kMostRetries);
  choose(settings.retries, times.retries, static_cast<std::uint32_t>(retries));
  return check;
}

void add_result(HealthRecord& record, HealthResult result, const HealthCheck& check,
                bool starting) {
  const bool healthy = result.exit_code == 0;
  while (record.log.size() >= kMostResults) record.log.erase(record.log.begin());
  record.log.push_back(std::move(result));
  if (healthy) {
    record.health = Health::kHealthy;
    record.failing_streak = 0;
    return;
  }
  if (starting && record.health == Health::kStarting) return;
  ++record.failing_streak;
  if (record.failing_streak >= check.settings.retries) record.health = Health::kUnhealthy;
}

std::string encode(const HealthRecord& record) {
  std::string text;
  json::Writer writer(text);
  writer.begin_object();
  writer.member("status", name_of(record.health));
  writer.member("failingStreak", record.failing_streak);
  writer.key("log");
  writer.begin_array();
  for (const HealthResult& result : record.log) {
    writer.begin_object();
    writer.member("start", result.start);
    writer.member("end", result.end);
    writer.member("exitCode", result.exit_code);
    writer.member("output", result.output);
    writer.end_object();
  }
  writer.end_array();
  writer.end_object();
  text += '\n';
  return text;
}

Result<HealthRecord> decode_health_record(std::string_view text) {
  TRY_ASSIGN(const json::Document document, json::parse(text));
  const json::Value& root = document.root();
  HealthRecord record;
  const std::string_view status = text_member(root, "status");
  for (const Health each : {Health::kStarting, Health::kHealthy, Health::kUnhealthy})
    if (status == name_of(each)) record.health = each;
  record.failing_streak = static_cast<std::uint32_t>(number_member(root, "failingStreak"));
  if (const json::Value* const log = root.find("log"))
    for (const json::Value& item : log->items())
      record.log.push_back({std::string(text_member(item, "start")),
                            std::string(text_member(item, "end")),
                            static_cast<int>(number_member(item, "exitCode")),
                            std::string(text_member(item, "output"))});
  return record;
}

Result<std::optional<HealthRecord>> read_health_record(int directory) {
  const auto text = read_file_at(directory, kHealthFile, kLargestRecord);
  if (!text && text.error().kind() == ErrorKind::kNotFound) return std::nullopt;
  if (!text) return std::unexpected(text.error());
  auto record = decode_health_record(*text);
  if (!record) return std::unexpected(std::move(record).error().within(kHealthFile));
  return *std::move(record);
}

Result<void> reset_health_record(int directory) {
  // What cannot be read is of no use to anybody.
  HealthRecord record =
      read_health_record(directory).value_or(std::nullopt).value_or(HealthRecord{});
  record.health = Health::kStarting;
  record.failing_streak = 0;
  return write_container_file(directory, kHealthFile, encode(record));
}

void write_health_check(json::Writer& writer, const HealthCheck& check) {
  writer.begin_object();
  write_texts(writer, "test", check.test);
  write_texts(writer, "shell", check.shell);
  writer.member("interval", check.settings.interval);
  writer.member("timeout", check.settings.timeout);
  writer.member("startPeriod", check.settings.start_period);
  writer.member("startInterval", check.settings.start_interval);
  writer.member("retries", check.settings.retries);
  writer.end_object();
}

HealthCheck read_health_check(const json::Value& value) {
  HealthCheck check;
  check.test = read_texts(value, "test");
  check.shell = read_texts(value, "shell");
  check.settings.interval = number_member(value, "interval");
  check.settings.timeout = number_member(value, "timeout");
  check.settings.start_period = number_member(value, "startPeriod");
  check.settings.start_interval = number_member(value, "startInterval");
  check.settings.retries = static_cast<std::uint32_t>(number_member(value, "retries"));
  check.settings.enabled = !check.test.empty();
  return check;
}

}  // namespace bulkhead::engine
