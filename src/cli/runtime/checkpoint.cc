// checkpoint and restore.
#include "runtime/checkpoint.h"

#include <vector>

#include "base/text.h"
#include "cli/runtime/command.h"
#include "runtime/restore.h"

namespace bulkhead::cli {
namespace {

using runtime::CriuCgroupMode;

Result<CriuCgroupMode> parse_cgroup_mode(std::string_view text) {
  if (text.empty() || text == "soft") return CriuCgroupMode::kSoft;
  if (text == "full") return CriuCgroupMode::kFull;
  if (text == "strict") return CriuCgroupMode::kStrict;
  if (text == "ignore") return CriuCgroupMode::kIgnore;
  return fail(ErrorKind::kUsage, "invalid value " + quoted(text) + " for flag -manage-cgroups-mode",
              "it is soft, full, strict or ignore");
}

// What checkpoint and restore have in common, and what callers know that is refused.
struct CriuFlags {
  runtime::CriuWish wish;
  std::string cgroup_mode, status_fd;
  std::vector<std::string> empty_namespaces;
  bool lazy_pages = false;

  void add_to(std::vector<Flag>& flags) {
    const Flag common[] = {
        {"image-path", 0, &wish.image_path, "DIR",
         "where the checkpoint's files are (default: checkpoint)"},
        {"work-path", 0, &wish.work_path, "DIR", "where CRIU's log goes (default: the same)"},
        {"manage-cgroups-mode", 0, &cgroup_mode, "MODE",
         "soft (default), full, strict or ignore: see below"},
        {"empty-ns", 0, &empty_namespaces, "NAMESPACE",
         "leave out what is in that namespace: network"},
        {"tcp-established", 0, &wish.tcp_established, "", "take open TCP connections along"},
        {"ext-unix-sk", 0, &wish.external_unix_sockets, "",
         "allow unix sockets that are connected to the outside"},
        {"shell-job", 0, &wish.shell_job, "", "allow a session or terminal that came from outside"},
        {"file-locks", 0, &wish.file_locks, "", "take file locks along"},
        // Refused: what there is of them is said by the error.
        {"lazy-pages", 0, &lazy_pages, "", ""},
        {"status-fd", 0, &status_fd, "N", ""},
    };
    flags.insert(flags.end(), std::begin(common), std::end(common));
  }

  Result<runtime::CriuWish> finish() {
    if (lazy_pages || !status_fd.empty())
      return fail(ErrorKind::kUnsupported,
                  "--lazy-pages and --status-fd: memory that follows later is not supported",
                  "use --pre-dump and --parent-path for a short interruption");
    TRY_ASSIGN(wish.cgroup_mode, parse_cgroup_mode(cgroup_mode));
    for (const std::string& name : empty_namespaces) {
      if (name != "network")
        return fail(ErrorKind::kUnsupported,
                    "--empty-ns: only what is in the network namespace can be left out, not " +
                        quoted(name));
      wish.empty_network = true;
    }
    return std::move(wish);
  }
};

Result<int> checkpoint(Invocation& invocation) {
  CriuFlags criu;
  runtime::CheckpointOptions options;
  std::string page_server;
  std::vector<Flag> flags = {
      {"leave-running", 0, &options.leave_running, "", "let the container go on"},
      {"pre-dump", 0, &options.pre_dump, "",
       "the memory alone, while the container goes on; a checkpoint with --parent-path follows"},
      {"parent-path", 0, &options.parent_path, "DIR",
       "an earlier pre-dump, relative to --image-path"},
      {"page-server", 0, &page_server, "ADDRESS:PORT", ""},
  };
  criu.add_to(flags);
  TRY_ASSIGN(const auto arguments, invocation.parse(flags, 1, 1));
  if (!arguments) return 0;
  if (!page_server.empty())
    return fail(ErrorKind::kUnsupported, "--page-server is not supported",
                "make the checkpoint here and copy its directory");
  TRY_ASSIGN(options.criu, criu.finish());
  options.id = arguments->front();
  options.common = invocation.common;
  TRY_ASSIGN(options.common.state_root, invocation.state_root());
  TRY(runtime::checkpoint_container(options));
  return 0;
}

Result<int> restore(Invocation& invocation) {
  CriuFlags criu;
  runtime::RestoreOptions options;
  bool no_pivot = false;
  bool no_subreaper = false;
  std::vector<Flag> flags = {
      {"bundle", 'b', &options.create.bundle, "DIR",
       "the bundle's directory (default: where you are)"},
      {"console-socket", 0, &options.create.console_socket, "SOCKET",
       "a unix socket that receives the terminal"},
      {"pid-file", 0, &options.create.pid_file, "FILE",
       "write the pid of the container's first process there"},
      {"detach", 'd', &options.detach, "", "return once the container runs"},
      {"tcp-close", 0, &options.tcp_close, "", "close TCP connections instead of restoring them"},
      {"lsm-profile", 0, &options.lsm_profile, "TYPE:LABEL",
       "another label for the processes: apparmor:NAME or selinux:LABEL"},
      {"lsm-mount-context", 0, &options.lsm_mount_context, "CONTEXT",
       "another SELinux label for the mounts"},
      {"no-pivot", 0, &no_pivot, "", ""},
      // runc's: whether it adopts the container's orphans. We never do.
      {"no-subreaper", 0, &no_subreaper, "", ""},
  };
  criu.add_to(flags);
  TRY_ASSIGN(const auto arguments, invocation.parse(flags, 1, 1));
  if (!arguments) return 0;
  if (no_pivot)
    return fail(ErrorKind::kUnsupported, "--no-pivot: CRIU always switches the root by pivot_root",
                "restore on a host whose root is no ramdisk");
  if (options.tcp_close && criu.wish.tcp_established)
    return fail(ErrorKind::kUsage, "--tcp-close and --tcp-established contradict each other");
  TRY_ASSIGN(options.criu, criu.finish());
  options.create.id = arguments->front();
  options.create.common = invocation.common;
  TRY_ASSIGN(options.create.common.state_root, invocation.state_root());
  TRY_ASSIGN(const runtime::RunResult result, runtime::restore_container(options));
  for (const std::string& warning : result.warnings) invocation.report.warn(warning);
  return result.exit.shell_code();
}

}  // namespace

constexpr Command kCheckpointCommand{
    .name = "checkpoint",
    .arguments = "CONTAINER",
    .summary = "Write a running container's processes to files, and end it",
    .description =
        "CRIU does it: the program criu must be installed, and it needs the host's root. The "
        "files\n"
        "hold all of the container's memory, for its owner alone. Files and volumes of the\n"
        "container are not taken along. When it fails, the container goes on as it was.\n\n"
        "Of cgroups that the container has made beneath its own, --manage-cgroups-mode soft keeps\n"
        "which there were and their limits, and ignore nothing; full and strict differ from soft\n"
        "at the restore.\n\n"
        "Examples:\n"
        "  bulkhead-runtime checkpoint --image-path /srv/web.checkpoint web\n"
        "  bulkhead-runtime checkpoint --pre-dump --image-path /srv/first web\n"
        "  bulkhead-runtime checkpoint --image-path /srv/second --parent-path ../first web\n",
    .run = checkpoint,
};

constexpr Command kRestoreCommand{
    .name = "restore",
    .arguments = "CONTAINER",
    .summary = "Start a container from what checkpoint has written",
    .description =
        "The bundle is the one that the container had; sources of its bind mounts may be others.\n"
        "Before it goes on, the kernel is asked whether it is as isolated as the configuration\n"
        "says: what CRIU has not brought back ends the restore. A checkpoint is as trusted as a\n"
        "program that root runs: restore none that others could have written.\n\n"
        "--manage-cgroups-mode: with soft, the container's limits are those of its configuration,\n"
        "and those of the groups that it made itself are restored; with full, all are as they\n"
        "were; strict is full where no such group is there; with ignore, groups of its own are\n"
        "not restored.\n\n"
        "Example:\n"
        "  bulkhead-runtime restore --bundle /srv/web --image-path /srv/web.checkpoint --detach "
        "web\n",
    .run = restore,
};

}  // namespace bulkhead::cli
