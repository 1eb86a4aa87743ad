#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstring>

#include "storage/overlay.h"
#include "sys/mount_api.h"

namespace bulkhead::storage {
namespace {

// What the assembling process says: its errno and call (static text of the same program, so the
// pointer holds on both sides of the fork), with the mount beside it when the errno is 0.
struct Answer {
  int error = 0;
  const char* call = "";
};

void send_answer(int socket, const Answer& answer, int fd) noexcept {
  Answer copy = answer;
  struct iovec part = {&copy, sizeof copy};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  struct msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    struct cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  (void)::sendmsg(socket, &message, MSG_NOSIGNAL);
}

SysResult<Fd> receive_answer(int socket) noexcept {
  Answer answer;
  struct iovec part = {&answer, sizeof answer};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  struct msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t size = -1;
  do size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  while (size < 0 && errno == EINTR);
  if (size < 0) return sys_fail("recvmsg");
  if (size != static_cast<ssize_t>(sizeof answer)) return sys_fail_with(EPIPE, "recvmsg");
  Fd mount;
  if (const struct cmsghdr* const header = CMSG_FIRSTHDR(&message);
      header != nullptr && header->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    mount = Fd(fd);
  }
  if (answer.error != 0) return sys_fail_with(answer.error, answer.call, "overlay");
  if (!mount) return sys_fail_with(EPROTO, "recvmsg");
  return mount;
}

SysResult<void> mount_classic(const char* source, const char* target, const char* type,
                              unsigned long flags, const char* data) noexcept {
  if (::mount(source, target, type, flags, data) != 0) return sys_fail("mount", target);
  return {};
}

SysResult<void> attach_at(int tree, const char* name) noexcept {
  if (::mkdir(name, 0700) != 0) return sys_fail("mkdir");
  return attach_mount(tree, AT_FDCWD, name);
}

// In the process of its own. Mounts stand at short names ("0", "1", ... and "c") on a private tmpfs,
// so that the option string of many layers fits the one page that mount(2) takes.
SysResult<Fd> assemble(const Snapshot& snapshot, int user_namespace) {
  // Also moves the working directory into the new namespace: what follows is relative to it.
  if (::fchdir(snapshot.store) != 0) return sys_fail("fchdir");
  if (::unshare(CLONE_NEWNS) != 0) return sys_fail("unshare(CLONE_NEWNS)");
  TRY(mount_classic(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr));

  std::vector<Fd> trees;
  const Snapshotter& snapshotter = snapshotter_of(snapshot.form);
  for (const std::string& layer : snapshot.layers) {
    TRY_ASSIGN(Fd tree, snapshotter.mount_layer(AT_FDCWD, layer.c_str(), user_namespace));
    trees.push_back(std::move(tree));
  }
  Fd container;
  if (!snapshot.space) {
    TRY_ASSIGN(container, clone_tree(AT_FDCWD, snapshot.container.c_str(), Recursion::kThisMount));
  }
  TRY(mount_classic("none", snapshot.container.c_str(), "tmpfs", 0, "size=64k,mode=0700"));
  if (::chdir(snapshot.container.c_str()) != 0) return sys_fail("chdir");

  std::string options = "upperdir=c/upper,workdir=c/work,lowerdir=";
  for (std::size_t i = 0; i < trees.size(); ++i) {
    const std::string name = std::to_string(i);
    TRY(attach_at(trees[i].get(), name.c_str()));
    if (i != 0) options += ':';
    options += name;
  }
  TRY(attach_at(snapshot.space ? snapshot.space.get() : container.get(), "c"));
  for (const OverlayOption& option : kOverlayOptions)
    options.append(",").append(option.key).append("=").append(option.value);
  if (snapshot.upper == Upper::kDiscarded) options += ",volatile";
  if (::mkdir("m", 0700) != 0) return sys_fail("mkdir");
  TRY(mount_classic("overlay", "m", "overlay", MS_NODEV, options.c_str()));
  return clone_tree(AT_FDCWD, "m", Recursion::kThisMount);
}

}  // namespace

SysResult<Fd> mount_in_private_namespace(const Snapshot& snapshot, int user_namespace) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return sys_fail("socketpair");
  const Fd ours(ends[0]);
  Fd theirs(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return sys_fail("fork");
  if (child == 0) {
    const auto mount = assemble(snapshot, user_namespace);
    if (mount)
      send_answer(theirs.get(), {}, mount->get());
    else
      send_answer(theirs.get(), {mount.error().error, mount.error().call}, -1);
    ::_exit(0);
  }
  theirs.reset();
  auto mount = receive_answer(ours.get());
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) continue;
  return mount;
}

}  // namespace bulkhead::storage
