#include "engine/joining.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/text.h"
#include "engine/container_user.h"
#include "engine/device_nodes.h"
#include "engine/registry.h"
#include "runtime/record.h"
#include "sys/file.h"

namespace bulkhead::engine {
namespace {

std::unexpected<Error> refuse(ErrorKind kind, const std::string& name, std::string_view why,
                              std::string hint = {}) {
  return fail(kind, "container:" + name + ": " + std::string(why), std::move(hint));
}

std::string annotation(const runtime::Record& record, std::string_view name) {
  const auto found = record.annotations.find(std::string(name));
  return found == record.annotations.end() ? "" : found->second;
}

class Join {
 public:
  Join(std::string name, PidFd init) : name_(std::move(name)), init_(std::move(init)) {
    joined_.namespaces.name = name_;
    proc_ = "/proc/" + std::to_string(init_.pid().value()) + "/";
  }

  // The path under which the namespace is found for as long as `joined_` lives.
  Result<std::string> hold(const char* kind) {
    TRY_ASSIGN(Fd file, open(std::string("ns/") + kind, O_RDONLY));
    const std::string path = "/proc/self/fd/" + std::to_string(file.get());
    joined_.held.push_back(std::move(file));
    return path;
  }

  Result<void> take_user() {
    struct stat own{};
    struct stat theirs{};
    TRY_ASSIGN(const Fd file, open("ns/user", O_RDONLY));
    if (::stat("/proc/self/ns/user", &own) != 0 || ::fstat(file.get(), &theirs) != 0)
      return std::unexpected(Error(SysError{"stat", errno, "ns/user"}));
    joined_.own_ids = own.st_ino != theirs.st_ino;
    if (!joined_.own_ids) return {};
    TRY_ASSIGN(joined_.namespaces.user, hold("user"));
    const std::string path = proc_ + "uid_map";
    TRY_ASSIGN(const std::string text, read_file_at(AT_FDCWD, path.c_str()));
    std::vector<std::uint32_t> numbers;
    for (std::string_view rest = text; !rest.empty();)
      if (const auto number = parse_number<std::uint32_t>(
              next_field(rest, rest.find(' ') < rest.find('\n') ? ' ' : '\n')))
        numbers.push_back(*number);
    if (numbers.size() != 3 || numbers[0] != 0 || numbers[2] != kContainerIds)
      return refuse(ErrorKind::kUnsupported, name_, "its range of ids is not one of Bulkhead's");
    joined_.first_uid = HostUid(numbers[1]);
    return {};
  }

  Result<void> take_shm() {
    TRY_ASSIGN(const Fd mounts, open("ns/mnt", O_RDONLY));
    TRY_ASSIGN(const Fd root, open("root", O_PATH | O_DIRECTORY));
    auto mount = take_mount(mounts.get(), root.get(), "/dev/shm");
    if (!mount) return std::unexpected(std::move(mount).error().within("its /dev/shm"));
    joined_.mounts.push_back({"/dev/shm", std::move(*mount)});
    joined_.namespaces.shm = true;
    return {};
  }

  // What was opened before is that process's own if it still lives.
  Result<Joined> finish() && {
    if (init_.has_exited()) return refuse(ErrorKind::kState, name_, "it has just ended");
    return std::move(joined_);
  }

  Joined& joined() { return joined_; }

 private:
  Result<Fd> open(const std::string& file, int flags) const {
    const std::string path = proc_ + file;
    auto opened = open_at(AT_FDCWD, path.c_str(), flags);
    if (!opened) return std::unexpected(Error(opened.error()).within("container:" + name_));
    return std::move(*opened);
  }

  std::string name_;
  PidFd init_;
  std::string proc_;
  Joined joined_;
};

Result<void> check_tenant(const std::string& name, const runtime::Record& record, Wish& wish) {
  const std::string tenant = annotation(record, kTenantAnnotation);
  if (wish.metadata.tenant.empty()) wish.metadata.tenant = tenant;
  if (tenant == wish.metadata.tenant) return {};
  return refuse(ErrorKind::kPermission, name,
                tenant.empty()
                    ? "it belongs to no tenant, and the new one to " + quoted(wish.metadata.tenant)
                    : "it belongs to the tenant " + quoted(tenant),
                "containers of different tenants share no namespaces");
}

}  // namespace

Result<Joined> join_container(const storage::Store& store, const std::string& state_root,
                              Wish& wish) {
  Sharing& sharing = wish.sharing;
  const std::string name = sharing.joined();
  TRY_ASSIGN(const std::string id, find_container(store.get(), name));
  auto directory = runtime::ContainerDirectory::open(state_root, id);
  if (!directory) return refuse(ErrorKind::kState, name, "it is not running", "start it first");
  TRY_ASSIGN(const runtime::Record record, directory->read_record());
  TRY_ASSIGN(const runtime::Observation seen, directory->observe(record));
  if (seen.status != runtime::Status::kRunning && seen.status != runtime::Status::kPaused)
    return refuse(ErrorKind::kState, name, "it is not running", "start it first");
  TRY(check_tenant(name, record, wish));
  const bool joins_ipc = sharing.ipc.source == NamespaceSource::kContainer;
  if (joins_ipc && annotation(record, kIpcAnnotation) != "shareable")
    return refuse(ErrorKind::kPermission, name, "its IPC namespace is private",
                  "start it with --ipc shareable");

  TRY_ASSIGN(PidFd init, runtime::ContainerDirectory::hold(seen.init));
  Join join(name, std::move(init));
  TRY(join.take_user());
  if (join.joined().own_ids == sharing.user.host())
    return refuse(ErrorKind::kUsage, name,
                  sharing.user.host() ? "its ids are its own, which --userns host and --privileged "
                                        "contradict"
                                      : "it has the host's ids",
                  sharing.user.host() ? "leave them out" : "give --userns host, too");
  if (sharing.pid.source == NamespaceSource::kContainer) {
    TRY_ASSIGN(join.joined().namespaces.pid, join.hold("pid"));
  }
  if (joins_ipc) {
    TRY_ASSIGN(join.joined().namespaces.ipc, join.hold("ipc"));
    TRY(join.take_shm());
  }
  return std::move(join).finish();
}

}  // namespace bulkhead::engine
