#include "engine/journal_reader.h"

#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <utility>

#include "base/text.h"
#include "json/parse.h"
#include "storage/helper_process.h"
#include "supervise/log_entry.h"
#include "sys/pidfd.h"

namespace bulkhead::engine {
namespace {

constexpr std::size_t kMostLine = 64 << 20;

// A journalctl that writes to a pipe of ours. The destructor ends it.
class Journalctl {
 public:
  static Result<Journalctl> start(const std::string& program, std::vector<std::string> words) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(Error(SysError{"pipe2", errno}));
    Journalctl journal;
    journal.output_ = Fd(ends[0]);
    const Fd write_end(ends[1]);
    words.insert(words.begin(), "journalctl");
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    char locale[] = "LC_ALL=C.UTF-8";
    char* const environment[] = {locale, nullptr};
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDOUT_FILENO);
    pid_t pid = -1;
    const int error =
        ::posix_spawn(&pid, program.c_str(), &actions, nullptr, arguments.data(), environment);
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) return std::unexpected(Error(SysError{"posix_spawn", error, program.c_str()}));
    journal.pid_ = pid;
    return journal;
  }
  Journalctl(Journalctl&& other) noexcept
      : output_(std::move(other.output_)), pid_(std::exchange(other.pid_, -1)) {}
  Journalctl& operator=(Journalctl&&) = delete;
  ~Journalctl() {
    if (pid_ <= 0) return;
    (void)::kill(pid_, SIGTERM);
    (void)::waitpid(pid_, nullptr, 0);
  }

  int get() const { return output_.get(); }
  // After the end of its output.
  int wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
    pid_ = -1;
    return status;
  }

 private:
  Journalctl() = default;
  Fd output_;
  pid_t pid_ = -1;
};

std::string microseconds_text(const timespec& time) {
  std::string fraction = std::to_string(time.tv_nsec / 1000);
  fraction.insert(0, 6 - fraction.size(), '0');
  return "@" + std::to_string(time.tv_sec) + "." + fraction;
}

// A field of text, or of bytes that are no text, as a list of numbers.
std::string field(const json::Value& entry, std::string_view name) {
  const json::Value* const value = entry.find(name);
  if (value == nullptr) return {};
  if (value->type() != json::Type::kArray) return std::string(value->as_string());
  std::string bytes;
  for (const json::Value& byte : value->items())
    bytes += static_cast<char>(byte.as_uint64().value_or('?'));
  return bytes;
}

// Fields that every entry has; what else begins with a letter is what was asked for.
bool is_attribute(std::string_view name) {
  constexpr std::array<std::string_view, 5> kOwn{"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER",
                                                 "IMAGE_NAME", "SYSLOG_RAW"};
  return !name.starts_with('_') && !name.starts_with("CONTAINER_") &&
         std::ranges::find(kOwn, name) == kOwn.end();
}

supervise::LogEntry entry_of(const json::Value& value) {
  supervise::LogEntry entry;
  entry.text = field(value, "MESSAGE");
  if (field(value, "CONTAINER_PARTIAL_MESSAGE") != "true") entry.text += '\n';
  entry.error_stream = field(value, "PRIORITY") == "3";
  const auto microseconds = parse_number<std::int64_t>(field(value, "__REALTIME_TIMESTAMP"));
  timespec time{};
  time.tv_sec = microseconds.value_or(0) / 1'000'000;
  time.tv_nsec = microseconds.value_or(0) % 1'000'000 * 1000;
  supervise::TimeText text;
  entry.time = text.of(time);
  if (const std::string tag = field(value, "CONTAINER_TAG"); !tag.empty())
    entry.attributes.emplace_back("tag", tag);
  for (const json::Member& member : value.members())
    if (is_attribute(member.key))
      entry.attributes.emplace_back(member.key, field(value, member.key));
  return entry;
}

class Reader {
 public:
  Reader(const std::string& id, const LogChoices& choices, const VisitEntry& visit)
      : id_(id), choices_(choices), visit_(visit) {}

  Result<void> find_program() {
    TRY_ASSIGN(program_, storage::find_system_program("journalctl", "systemd"));
    return {};
  }

  // All that is there, from the last entry on.
  Result<bool> read_all() {
    TRY_ASSIGN(Journalctl journal, Journalctl::start(program_, words(false)));
    TRY_ASSIGN(const bool on, take(journal, -1, [] {}));
    if (!on) return false;
    const int status = journal.wait();
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
      return fail(ErrorKind::kSystem,
                  "journalctl failed: what is missing of this log is not known");
    return true;
  }

  // Until `ended` is readable.
  Result<bool> follow(int ended, const std::function<void()>& pause) {
    TRY_ASSIGN(Journalctl journal, Journalctl::start(program_, words(true)));
    return take(journal, ended, pause);
  }

 private:
  std::vector<std::string> words(bool follow) const {
    std::vector<std::string> words{"--output=json", "--all", "--quiet", "--no-pager",
                                   "CONTAINER_ID_FULL=" + id_};
    if (!cursor_.empty())
      words.push_back("--after-cursor=" + cursor_);
    else if (choices_.tail)
      words.push_back("--lines=" + std::to_string(*choices_.tail));
    else if (follow)
      words.emplace_back("--no-tail");
    if (choices_.since) words.push_back("--since=" + microseconds_text(*choices_.since));
    if (choices_.until) words.push_back("--until=" + microseconds_text(*choices_.until));
    if (follow) words.emplace_back("--follow");
    return words;
  }

  // False: enough.
  Result<bool> take(Journalctl& journal, int ended, const std::function<void()>& pause) {
    std::string text;
    std::array<char, 64 * 1024> bytes;
    for (;;) {
      std::array<struct pollfd, 2> items{{{journal.get(), POLLIN, 0}, {ended, POLLIN, 0}}};
      if (::poll(items.data(), items.size(), -1) < 0 && errno != EINTR)
        return std::unexpected(Error(SysError{"poll", errno}));
      if (items[0].revents == 0 && items[1].revents != 0) return true;
      if (items[0].revents == 0) continue;
      const ssize_t count = ::read(journal.get(), bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return std::unexpected(Error(SysError{"read", errno}));
      if (count == 0) return true;
      text.append(bytes.data(), static_cast<std::size_t>(count));
      std::size_t begin = 0;
      for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
        if (!visit_line(std::string_view(text).substr(begin, end - begin))) return false;
      text.erase(0, begin);
      if (text.size() > kMostLine)
        return fail(ErrorKind::kInvalid, "an entry of the journal is too long");
      pause();
    }
  }

  bool visit_line(std::string_view line) {
    const auto document = json::parse(line);
    if (!document) return true;
    cursor_ = field(document->root(), "__CURSOR");
    return visit_(entry_of(document->root()));
  }

  const std::string& id_;
  const LogChoices& choices_;
  const VisitEntry& visit_;
  std::string program_;
  std::string cursor_;  // of the last entry
};

}  // namespace

Result<void> read_journal(const std::string& id, const LogChoices& choices, int ended,
                          const VisitEntry& visit, const std::function<void()>& pause) {
  Reader reader(id, choices, visit);
  TRY(reader.find_program());
  if (ended >= 0) {
    TRY_ASSIGN(const bool on, reader.follow(ended, pause));
    if (!on) return {};
  }
  TRY(reader.read_all());
  pause();
  return {};
}

}  // namespace bulkhead::engine
