#include "engine/overlay_root.h"

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::engine {

Result<Fd> OverlayRoot::make_root(int user_namespace) {
  TRY_ASSIGN(storage::MountedSnapshot made, storage::mount_snapshot(snapshot_, user_namespace));
  layers_ = std::move(made.layers);
  return std::move(made.mount);
}

Error explain_launch_failure(Error error, const std::vector<Volume>& volumes) {
  for (const Volume& volume : volumes)
    if (error.kind() == ErrorKind::kUnsupported && volume.id_mapped && !volume.is_volume &&
        error.message().find(quoted(volume.source)) != std::string::npos)
      return std::move(error).with_hint(
          "give --volume " + volume.source + ":" + volume.destination +
          ":noidmap: its files then belong to nobody in the container, unless they are given to "
          "the "
          "container's ids; or copy them to ext4, xfs, btrfs or a tmpfs");
  return error;
}

Error in_words_of_flags(Error error) {
  struct Row {
    std::string_view pointer;
    std::string_view flag;
  };
  constexpr Row kRows[] = {{"/linux/sysctl", "--sysctl"},
                           {"/linux/resources/memory/swappiness", "--memory-swappiness"},
                           {"/linux/resources/memory/disableOOMKiller", "--oom-kill-disable"},
                           {"/linux/resources/memory/reservation", "--memory-reservation"},
                           {"/linux/resources/cpu/realtime", "--cpu-rt-period, --cpu-rt-runtime"},
                           {"/linux/resources/cpu/shares", "--cpu-shares"},
                           {"/linux/resources/cpu/cpus", "--cpuset-cpus"},
                           {"/linux/resources/cpu/mems", "--cpuset-mems"},
                           {"/linux/resources/blockIO", "a limit of block devices"},
                           {"/process/rlimits", "--ulimit"},
                           {"oom_score_adj", "--oom-score-adj"}};
  for (const Row& row : kRows)
    if (error.message().find(row.pointer) != std::string::npos)
      return std::move(error).within(row.flag);
  return error;
}

Result<void> write_id_file(const std::string& path, const std::string& id) {
  const auto file = open_at(AT_FDCWD, path.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644);
  if (!file && file.error().error == EEXIST)
    return fail(ErrorKind::kExists, "--cidfile " + quoted(path) + ": the file exists",
                "make sure that its container is not running, and remove the file");
  if (!file) return std::unexpected(Error(file.error()).within("--cidfile"));
  TRY_WITHIN("--cidfile", Result<void>(write_all(file->get(), id.data(), id.size())));
  return {};
}

}  // namespace bulkhead::engine
