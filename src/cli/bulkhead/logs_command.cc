#include <unistd.h>

#include "base/text.h"
#include "cli/bulkhead/command.h"
#include "cli/bulkhead/each_container.h"
#include "cli/bulkhead/options.h"
#include "engine/logs.h"
#include "sys/file.h"

namespace bulkhead::cli::engine {
namespace {

constexpr std::size_t kBlock = 64 * 1024;

// Both streams, in order, in large pieces.
class Printer {
 public:
  Printer(bool timestamps, bool details) : timestamps_(timestamps), details_(details) {}
  ~Printer() { flush(); }
  Printer(const Printer&) = delete;
  Printer& operator=(const Printer&) = delete;

  bool add(const supervise::LogEntry& entry) {
    const int to = entry.error_stream ? STDERR_FILENO : STDOUT_FILENO;
    if (to != to_ || text_.size() > kBlock) flush();
    to_ = to;
    if (timestamps_) text_.append(entry.time).append(" ");
    if (details_) text_.append(details_of(entry)).append(" ");
    text_.append(entry.text);
    return !failed_;
  }
  void flush() {
    if (!text_.empty() && !write_all(to_, text_.data(), text_.size())) failed_ = true;
    text_.clear();
  }

 private:
  // "name=value,name=value", as Docker has it.
  static std::string details_of(const supervise::LogEntry& entry) {
    std::string text;
    for (const auto& [name, value] : entry.attributes)
      text.append(text.empty() ? "" : ",").append(name).append("=").append(value);
    return text;
  }

  bool timestamps_;
  bool details_;
  bool failed_ = false;
  int to_ = STDOUT_FILENO;
  std::string text_;
};

Result<int> logs(const Invocation& invocation) {
  bulkhead::engine::LogChoices choices;
  bool timestamps = false;
  bool details = false;
  std::string tail = "all";
  std::optional<std::string> since;
  std::optional<std::string> until;
  const Option options[] = {
      {"details", 0, &details, "", "also what --log-opt labels, env and tag have added"},
      {"follow", 'f', &choices.follow, "", "go on until the container ends"},
      {"since", 0, &since, "TIME", "only from then on: 2026-01-31T12:00:00Z, 10m (ago)"},
      {"tail", 'n', &tail, "NUMBER", "only so many lines from the end (all)"},
      {"timestamps", 't', &timestamps, "", "show when each line was written"},
      {"until", 0, &until, "TIME", "only up to then"},
  };
  TRY_ASSIGN(const Words words, parse({options}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead logs [OPTIONS] CONTAINER\n\nPrints what a container has said: its "
        "standard output to ours, its standard error to ours.\n\nOptions:\n" +
        describe(options));
    return 0;
  }
  if (words.positional.size() != 1)
    return fail(ErrorKind::kUsage, "one container is expected", "bulkhead logs CONTAINER");
  if (tail != "all") {
    const auto number = parse_number<std::int64_t>(tail);
    if (!number)
      return fail(ErrorKind::kUsage, "--tail " + quoted(tail) + ": a number is expected");
    if (*number >= 0) choices.tail = static_cast<std::size_t>(*number);
  }
  TRY(bulkhead::engine::read_log_times(since, until, choices));
  const auto container = bulkhead::engine::find(invocation.store, words.positional.front());
  if (!container) {
    print_error(container.error());
    return kSomeFailed;
  }
  Printer printer(timestamps, details);
  TRY(bulkhead::engine::logs(
      invocation.store, *container, choices,
      [&](const supervise::LogEntry& entry) { return printer.add(entry); },
      [&] { printer.flush(); }));
  return 0;
}

}  // namespace

const Command kLogsCommand{"logs", "[OPTIONS] CONTAINER", "print what a container has said",
                           logs,   kSomeFailed,           true};

}  // namespace bulkhead::cli::engine
