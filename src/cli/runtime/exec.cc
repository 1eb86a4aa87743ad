#include "runtime/exec.h"

#include <vector>

#include "base/text.h"
#include "cli/runtime/command.h"

namespace bulkhead::cli {
namespace {

Result<void> add_groups(const std::vector<std::string>& texts, std::vector<std::uint32_t>& groups) {
  for (const std::string& text : texts) {
    for (const std::string_view part : split(text, ',')) {
      const auto gid = parse_number<std::uint32_t>(part);
      if (!gid)
        return fail(ErrorKind::kUsage, "invalid value " + quoted(text) +
                                           " for flag -additional-gids: numbers are expected");
      groups.push_back(*gid);
    }
  }
  return {};
}

Result<void> take_arguments(std::span<const std::string_view> arguments,
                            runtime::ExecOptions& options) {
  options.id = arguments[0];
  arguments = arguments.subspan(1);
  if (!arguments.empty() && arguments[0] == "--") arguments = arguments.subspan(1);
  options.args.assign(arguments.begin(), arguments.end());
  if (options.process_file.empty() == options.args.empty())
    return fail(ErrorKind::kUsage,
                options.args.empty() ? "what to execute is missing"
                                     : "both --process and a command are given",
                "give the command and its arguments after the container, or --process FILE");
  return {};
}

Result<int> exec(Invocation& invocation) {
  runtime::ExecOptions options;
  std::vector<std::string> groups;
  const std::vector<Flag> flags = {
      {"process", 'p', &options.process_file, "FILE",
       "all of the process as JSON; no command then"},
      {"user", 'u', &options.user, "UID[:GID]", "run as that user of the container"},
      {"additional-gids", 'g', &groups, "GID", "supplementary groups; may be given several times"},
      {"cwd", 0, &options.cwd, "DIR", "the working directory in the container"},
      {"env", 'e', &options.env, "NAME=VALUE",
       "add to the environment; may be given several times"},
      {"cap", 'c', &options.capabilities, "NAME", "add a capability; may be given several times"},
      {"tty", 't', &options.tty, "", "give the process a terminal"},
      {"detach", 'd', &options.detach, "", "return once the process runs"},
      {"pid-file", 0, &options.pid_file, "FILE", "write the pid of the process there"},
      {"console-socket", 0, &options.console_socket, "SOCKET",
       "a unix socket that receives the terminal"},
      {"pidfd-socket", 0, &options.pidfd_socket, "SOCKET",
       "a unix socket that receives a pidfd of the process"},
      {"apparmor", 0, &options.apparmor_profile, "PROFILE", "the AppArmor profile of the process"},
      {"process-label", 0, &options.process_label, "LABEL", "the SELinux label of the process"},
      {"no-new-privs", 0, &options.no_new_privileges, "",
       "setuid files and file capabilities have no effect"},
      {"preserve-fds", 0, &options.preserve_fds, "N", "pass N more descriptors from 3 on"},
      {"cgroup", 0, &options.cgroups, "PATH",
       "a group beneath the container's own; cpu,memory:PATH for some controllers of cgroup v1"},
      {"ignore-paused", 0, &options.ignore_paused, "", "also when the container is paused"},
  };
  TRY_ASSIGN(const auto arguments, invocation.parse(flags, 1, kAnyNumber, Order::kBeforeArguments));
  if (!arguments) return 0;
  TRY(add_groups(groups, options.additional_gids));
  TRY(take_arguments(*arguments, options));
  options.common = invocation.common;
  TRY_ASSIGN(options.common.state_root, invocation.state_root());
  TRY_ASSIGN(const runtime::ExecResult result, runtime::exec_in_container(options));
  for (const std::string& warning : result.warnings) invocation.report.warn(warning);
  return result.exit.shell_code();
}

}  // namespace

constexpr Command kExecCommand{
    .name = "exec",
    .arguments = "CONTAINER COMMAND [ARGUMENT...]",
    .summary = "Run one more process in a container",
    .description =
        "The process gets the container's user, environment, capabilities and limits but for what\n"
        "the flags change. The exit code is the process's own; 255 when it could not be "
        "executed.\n\n"
        "Examples:\n"
        "  bulkhead-runtime exec web ls -l /srv\n"
        "  bulkhead-runtime exec -t -e TERM=xterm web sh\n"
        "  bulkhead-runtime exec --process process.json --detach --pid-file /run/x.pid web\n",
    .run = exec,
    .enters_container = true,
    .failure_code = 255,
};

}  // namespace bulkhead::cli
