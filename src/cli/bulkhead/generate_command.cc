#include <unistd.h>

#include <array>
#include <climits>

#include "base/text.h"
#include "cli/bulkhead/command.h"
#include "cli/bulkhead/each_container.h"
#include "cli/bulkhead/options.h"
#include "cli/bulkhead/run_options.h"
#include "engine/containers.h"
#include "engine/systemd_units.h"
#include "sys/file.h"

namespace bulkhead::cli::engine {
namespace {

using bulkhead::engine::ListedContainer;
using bulkhead::engine::UnitWish;

struct GenerateOptions {
  bool files = false;
  bool anew = false;
  bool by_name = false;
  std::string restart_policy = "on-failure";
  std::optional<std::string> time;
  std::optional<std::string> start_timeout;
};

std::vector<Option> generate_options(GenerateOptions& options) {
  return {
      {"files", 'f', &options.files, "",
       "write a file in the working directory, and print its path"},
      {"name", 'n', &options.by_name, "", "call the unit by the container's name, not by its id"},
      {"new", 0, &options.anew, "",
       "make the container anew at each start, and remove it afterwards"},
      {"restart-policy", 0, &options.restart_policy, "POLICY",
       "systemd's: no, on-success, on-failure (default), on-abnormal, on-watchdog, on-abort, "
       "always"},
      {"start-timeout", 0, &options.start_timeout, "SECONDS", "TimeoutStartSec= of the unit"},
      {"time", 't', &options.time, "SECONDS",
       "how long it may take to stop (default: the container's)"},
      {"stop-timeout", 0, &options.time},
  };
}

Result<std::int64_t> seconds(std::string_view flag, const std::string& text) {
  const auto number = parse_number<std::int64_t>(text);
  if (!number || *number < 0)
    return fail(ErrorKind::kUsage,
                std::string(flag) + " " + quoted(text) + ": seconds are expected");
  return *number;
}

// What a unit runs in the foreground of its own.
Result<std::vector<std::string>> run_words(const ListedContainer& container) {
  if (container.record->run_words.empty())
    return fail(ErrorKind::kUnsupported,
                "--new: how container " + quoted(container.name) + " was made is not known",
                "it was made by an older bulkhead: make it anew once");
  constexpr std::array<std::string_view, 8> kNotOfAUnit{
      "detach", "rm", "name", "restart", "cidfile", "interactive", "tty", "log-driver"};
  constexpr std::array<std::string_view, 1> kOptions{"log-opt"};
  const auto words = without_options(container.record->run_words, kNotOfAUnit);
  return without_options(words, kOptions);
}

Result<std::string> write_unit(const std::string& name, const std::string& text) {
  char here[PATH_MAX];
  if (::getcwd(here, sizeof here) == nullptr)
    return std::unexpected(Error(SysError{"getcwd", errno}));
  const std::string path = std::string(here) + "/container-" + name + ".service";
  TRY_ASSIGN(const Fd file,
             open_at(AT_FDCWD, path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  if (auto written = write_all(file.get(), text.data(), text.size()); !written)
    return std::unexpected(Error(written.error()).within(path));
  return path;
}

Result<std::string> unit_of(const Invocation& invocation, const ListedContainer& container,
                            const GenerateOptions& options) {
  if (!container.record)
    return fail(ErrorKind::kState,
                "container " + quoted(container.name) + " runs in the foreground of a bulkhead run",
                "run it with --detach");
  if (container.record->remove && !options.anew)
    return fail(ErrorKind::kUsage, "container " + quoted(container.name) + " goes when it stops",
                "give --new, and the unit makes it anew; or run it without --rm");
  char program[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", program, sizeof program - 1);
  if (size < 0) return std::unexpected(Error(SysError{"readlink", errno, "/proc/self/exe"}));
  UnitWish wish;
  wish.program.assign(program, static_cast<std::size_t>(size));
  const bulkhead::engine::StoreOptions usual;
  if (invocation.store.root != usual.root)
    wish.global.insert(wish.global.end(), {"--root", invocation.store.root});
  if (invocation.store.runroot != usual.runroot)
    wish.global.insert(wish.global.end(), {"--runroot", invocation.store.runroot});
  wish.name = options.by_name ? container.name : container.id;
  wish.container = options.by_name || options.anew ? container.name : container.id;
  wish.restart_policy = options.restart_policy;
  wish.stop_seconds = container.stop_timeout;
  if (options.time) {
    TRY_ASSIGN(wish.stop_seconds, seconds("--time", *options.time));
  }
  if (options.start_timeout) {
    TRY_ASSIGN(wish.start_seconds, seconds("--start-timeout", *options.start_timeout));
  }
  if (options.anew) {
    TRY_ASSIGN(wish.run_words, run_words(container));
  }
  const std::string text = bulkhead::engine::unit_text(wish);
  if (!options.files) return text;
  TRY_ASSIGN(const std::string path, write_unit(wish.name, text));
  return path + "\n";
}

Result<int> generate(const Invocation& invocation) {
  GenerateOptions options;
  const std::vector<Option> table = generate_options(options);
  TRY_ASSIGN(const Words words, parse({table}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead generate systemd [OPTIONS] CONTAINER\n\nPrints a unit for systemd that "
        "runs a container: the one that there is, or with --new one that is made\nanew each time "
        "from the command line of this one (without its terminal and its log: a unit has the "
        "journal).\nA restart policy of the container's own would contend with the unit's: leave "
        "one of them out.\n\nOptions:\n" +
        describe(table) +
        "\nExamples:\n  bulkhead generate systemd --new --name --files web\n"
        "  systemctl enable --now ./container-web.service\n");
    return 0;
  }
  if (words.positional.empty() || words.positional.front() != "systemd")
    return fail(ErrorKind::kUsage, "say what to generate: bulkhead generate systemd CONTAINER");
  if (words.positional.size() != 2)
    return fail(ErrorKind::kUsage, "one container is expected",
                "bulkhead generate systemd CONTAINER");
  if (!bulkhead::engine::is_unit_restart_policy(options.restart_policy))
    return fail(
        ErrorKind::kUsage,
        "--restart-policy " + quoted(options.restart_policy) + ": systemd has no such policy",
        "it has no, on-success, on-failure, on-abnormal, on-watchdog, on-abort and always");
  const auto container = bulkhead::engine::find(invocation.store, words.positional[1]);
  if (!container) {
    print_error(container.error());
    return kSomeFailed;
  }
  TRY_ASSIGN(const std::string text, unit_of(invocation, *container, options));
  print(text);
  return 0;
}

}  // namespace

const Command kGenerateCommand{"generate", "systemd [OPTIONS] CONTAINER",
                               "print a systemd unit for a container", generate};

}  // namespace bulkhead::cli::engine
