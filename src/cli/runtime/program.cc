// The global flags, and which command it is.
#include "cli/runtime/program.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/text.h"
#include "cli/runtime/command.h"
#include "cli/runtime/output.h"
#include "cli/runtime/version.h"
#include "isolation/descriptors/self_protection.h"
#include "sys/error.h"

namespace bulkhead::cli {
namespace {

struct GlobalFlags {
  std::string root;
  std::string log;
  std::string log_format = "text";
  std::string log_level;
  std::string cgroup_manager;
  std::string rootless;
  std::string criu;
  bool debug = false;
  bool systemd_cgroup = false;
  bool version = false;

  std::vector<Flag> flags() {
    return {
        {"root", 0, &root, "DIR",
         "where containers are remembered (default /run/bulkhead/runtime)"},
        {"log", 0, &log, "FILE", "write errors and warnings to FILE, too"},
        {"log-format", 0, &log_format, "FORMAT", "of the log file: text or json"},
        {"log-level", 0, &log_level, "LEVEL", ""},
        {"debug", 0, &debug, "", "say more about what is done"},
        {"systemd-cgroup", 0, &systemd_cgroup, "", "let systemd make the cgroups"},
        {"cgroup-manager", 0, &cgroup_manager, "MANAGER",
         "who makes the cgroups: cgroupfs, systemd or disabled"},
        {"rootless", 0, &rootless, "BOOL",
         "true, false or auto: whether to do without root's rights"},
        {"criu", 0, &criu, "PATH", ""},
        {"version", 'v', &version, "", "print the version"},
    };
  }
};

std::string overview(std::span<const Flag> flags) {
  std::string text =
      "bulkhead-runtime runs containers as the OCI runtime specification says.\n\n"
      "Usage: bulkhead-runtime [flags] COMMAND [command's flags] [arguments]\n\nCommands:\n";
  for (const Command* command : commands()) {
    std::string line = "  " + std::string(command->name);
    line.append(line.size() < 14 ? 14 - line.size() : 1, ' ').append(command->summary);
    text += line + "\n";
  }
  text += "\nFlags:\n" + describe_flags(flags) +
          "\nExample:\n"
          "  mkdir -p bundle/rootfs && cd bundle   # and put a root file system into rootfs\n"
          "  bulkhead-runtime spec && bulkhead-runtime run my-container\n\n"
          "bulkhead-runtime COMMAND --help says more about each command.\n";
  return text;
}

Result<std::string> absolute(const std::string& path) {
  if (path.empty() || path.starts_with('/')) return path;
  char* const directory = ::getcwd(nullptr, 0);
  if (directory == nullptr) return std::unexpected(Error(SysError{"getcwd", errno}));
  std::string result = std::string(directory) + "/" + path;
  std::free(directory);
  return result;
}

Result<void> set_up_log(const GlobalFlags& given, Report& report) {
  if (given.log_format != "text" && given.log_format != "json")
    return fail(ErrorKind::kUsage,
                "invalid value " + quoted(given.log_format) + " for flag -log-format",
                "text or json is expected");
  std::string_view path = given.log;
  if (path.starts_with("journald:") || path.starts_with("syslog:"))
    return fail(ErrorKind::kUnsupported,
                "--log " + quoted(path) + ": only files are supported as a log",
                "give the path of a file");
  if (path.starts_with("file:")) path.remove_prefix(5);
  if (!path.empty())
    report.to_file(std::string(path),
                   given.log_format == "json" ? LogFormat::kJson : LogFormat::kText);
  return {};
}

Result<runtime::CommonOptions> common_options(const GlobalFlags& given) {
  runtime::CommonOptions common;
  using isolation::CgroupDriver;
  TRY_ASSIGN(common.state_root, absolute(given.root));
  common.debug = given.debug;
  if (given.systemd_cgroup || given.cgroup_manager == "systemd") {
    common.cgroup_driver = CgroupDriver::kSystemd;
  } else if (given.cgroup_manager == "disabled") {
    common.cgroup_driver = CgroupDriver::kDisabled;
  } else if (!given.cgroup_manager.empty() && given.cgroup_manager != "cgroupfs") {
    return fail(ErrorKind::kUsage,
                "invalid value " + quoted(given.cgroup_manager) + " for flag -cgroup-manager",
                "cgroupfs, systemd or disabled is expected");
  }
  if (given.rootless == "true" || given.rootless == "1") {
    common.rootless = true;
  } else if (given.rootless == "false" || given.rootless == "0") {
    common.rootless = false;
  } else if (!given.rootless.empty() && given.rootless != "auto") {
    return fail(ErrorKind::kUsage,
                "invalid value " + quoted(given.rootless) + " for flag -rootless",
                "true, false or auto is expected");
  }
  return common;
}

int finish(Report& report, const Error& error, int code) {
  report.finish(error);
  return code;
}

const Command* find_command(std::string_view name) {
  const auto known = commands();
  const auto found =
      std::ranges::find_if(known, [&](const Command* one) { return one->name == name; });
  return found == known.end() ? nullptr : *found;
}

int run(std::span<const std::string_view> words, char** values,
        std::vector<std::string> removed_layers, Report& report) {
  GlobalFlags given;
  const std::vector<Flag> flags = given.flags();
  auto parsed = parse_flags(flags, words, Order::kBeforeArguments);
  const Command* command = parsed && !parsed->help && !parsed->arguments.empty()
                               ? find_command(parsed->arguments[0])
                               : nullptr;
  // Before anything is opened, for this may be the first of two starts of ourselves.
  Result<void> hardened;
  const bool unprotected = std::ranges::find(removed_layers, "own binary") != removed_layers.end();
  std::erase(removed_layers, "own binary");
  if (command != nullptr && command->enters_container && !unprotected)
    hardened = isolation::protect_own_binary(values, environ);
  // The log first: what is wrong with the other flags belongs into it as well.
  if (auto log = set_up_log(given, report); !log) return finish(report, log.error(), 1);
  if (!parsed) return finish(report, parsed.error(), 1);
  if (!hardened) return finish(report, hardened.error(), 1);
  auto common = common_options(given);
  if (!common) return finish(report, common.error(), 1);

  Result<void> printed;
  const std::vector<std::string_view>& arguments = parsed->arguments;
  const bool help = parsed->help || (arguments.size() == 1 && arguments[0] == "help");
  if (given.version || help) {
    printed = print(given.version ? version_text() : overview(flags));
    if (!printed) return finish(report, printed.error(), 1);
    return 0;
  }
  if (arguments.empty())
    return finish(
        report, Error(ErrorKind::kUsage, "no command given", "bulkhead-runtime --help lists them"),
        1);

  if (command == nullptr)
    return finish(report,
                  Error(ErrorKind::kUsage, "unknown command " + quoted(arguments[0]),
                        "bulkhead-runtime --help lists the commands"),
                  1);
  common->removed_layers = std::move(removed_layers);
  Invocation invocation(*command, std::span(arguments).subspan(1), *std::move(common), report);
  auto code = command->run(invocation);
  if (!code) return finish(report, code.error(), command->failure_code);
  report.finish();
  return *code;
}

// A descriptor that we open must not become number 0, 1 or 2: what is written there is meant for
// somebody else.
void occupy_standard_descriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0 || ::open("/dev/null", O_RDWR) == fd) continue;
    ::dprintf(STDERR_FILENO,
              "bulkhead-runtime: standard descriptor %d is closed, and /dev/null: %s\n", fd,
              ::strerrordesc_np(errno));
    ::_exit(1);
  }
}

}  // namespace

int run_runtime(int count, char** values, std::vector<std::string> removed_layers) {
  occupy_standard_descriptors();
  Report report;
  const std::vector<std::string_view> words(values + std::min(count, 1), values + count);
  return run(words, values, std::move(removed_layers), report);
}

}  // namespace bulkhead::cli
