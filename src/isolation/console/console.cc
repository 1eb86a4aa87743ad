#include "isolation/console/console.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "base/text.h"
#include "sys/file.h"
#include "sys/mount_api.h"
#include "sys/root_dir.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

namespace bulkhead::isolation {
namespace {

constexpr unsigned kUnix98SlaveMajor = 136;  // to 143
constexpr unsigned kUnix98SlaveMajorLast = 143;

bool is_device(const struct stat& status, unsigned device_major, unsigned device_minor) noexcept {
  return S_ISCHR(status.st_mode) && status.st_rdev == makedev(device_major, device_minor);
}

// exec: the process stands in the container's root already.
SysResult<Fd> container_root(const ChildContext& child) noexcept {
  if (child.root >= 0) return Fd(-1);
  return open_at(AT_FDCWD, "/", O_PATH | O_DIRECTORY);
}

// The multiplexer of the container's own devpts: the device 5:2 on a devpts, whatever the path
// says.
SysResult<Fd> open_multiplexer(const ConsolePlan& plan, const ChildContext& child,
                               int root) noexcept {
  const int anchor = anchor_of(child, plan.multiplexer.anchor);
  const bool anchored = plan.multiplexer.anchor != Anchor::kRoot && anchor >= 0;
  const char* subject = plan.multiplexer.absolute.c_str();
  auto found = RootDir(anchored ? anchor : root)
                   .open(anchored ? plan.multiplexer.path.c_str() : subject, O_PATH);
  if (!found) return sys_fail_with(found.error().error, found.error().call, subject);
  // Checked before it is opened: to open a hostile device could have effects of its own.
  struct stat status{};
  struct statfs system{};
  if (::fstat(found->get(), &status) != 0) return sys_fail("fstat", subject);
  if (::fstatfs(found->get(), &system) != 0) return sys_fail("fstatfs", subject);
  if (!is_device(status, 5, 2) || system.f_type != DEVPTS_SUPER_MAGIC)
    return sys_fail_with(ENOTTY, "the terminal multiplexer is not one of a devpts", subject);
  const DescriptorPath path(found->get());
  const int fd = ::openat(child.proc, path.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) return sys_fail("open", subject);
  return Fd(fd);
}

SysResult<Fd> open_slave(int master, const char* subject) noexcept {
  int locked = 0;
  if (::ioctl(master, TIOCSPTLCK, &locked) != 0) return sys_fail("ioctl(TIOCSPTLCK)", subject);
  // From the master itself: no /dev/pts/N is looked up.
  const int fd = ::ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) return sys_fail("ioctl(TIOCGPTPEER)", subject);
  Fd slave(fd);
  struct stat status{};
  struct statfs system{};
  if (::fstat(fd, &status) != 0) return sys_fail("fstat", subject);
  if (::fstatfs(fd, &system) != 0) return sys_fail("fstatfs", subject);
  const unsigned device_major = major(status.st_rdev);
  if (!S_ISCHR(status.st_mode) || device_major < kUnix98SlaveMajor ||
      device_major > kUnix98SlaveMajorLast || system.f_type != DEVPTS_SUPER_MAGIC)
    return sys_fail_with(ENOTTY, "the terminal is not one of a devpts", subject);
  return slave;
}

// /dev/console shows the terminal: the very descriptor is bound, not a path.
SysResult<void> bind_console(const ConsolePlan& plan, int slave,
                             const ChildContext& child) noexcept {
  const char* subject = plan.console.absolute.c_str();
  const int anchor = anchor_of(child, plan.console.anchor);
  const bool anchored = plan.console.anchor != Anchor::kRoot && anchor >= 0;
  const RootDir root(anchored ? anchor : child.root);
  const auto target = root.make_file(anchored ? plan.console.path.c_str() : subject, 0600);
  if (!target) return sys_fail_with(target.error().error, target.error().call, subject);
  const auto tree = clone_tree(slave, "", Recursion::kThisMount);
  if (tree) {
    const auto attached = attach_mount(tree->get(), target->get(), "");
    if (!attached) return sys_fail_with(attached.error().error, attached.error().call, subject);
    return {};
  }
  if (!is_refused_api(tree.error().error))
    return sys_fail_with(tree.error().error, "open_tree", subject);
  const auto bound = bind_classic(child.proc, slave, target->get(), Recursion::kThisMount);
  if (!bound) return sys_fail_with(bound.error().error, bound.error().call, subject);
  return {};
}

SysResult<void> set_size(const ConsolePlan& plan, int slave) noexcept {
  if (!plan.size) return {};
  struct winsize size{};
  size.ws_row = plan.size->height;
  size.ws_col = plan.size->width;
  if (::ioctl(slave, TIOCSWINSZ, &size) != 0) return sys_fail("ioctl(TIOCSWINSZ)");
  return {};
}

// The process leads its session since launch/ detached it from the caller.
SysResult<void> take_terminal(const ConsolePlan& plan, int slave) noexcept {
  if (::ioctl(slave, TIOCSCTTY, 0) != 0) return sys_fail("ioctl(TIOCSCTTY)");
  if (plan.owner != 0 && ::fchown(slave, plan.owner, static_cast<gid_t>(-1)) != 0)
    return sys_fail("fchown of the terminal");
  for (int fd = 0; fd <= 2; ++fd)
    if (::dup3(slave, fd, 0) < 0) return sys_fail("dup3 of the terminal");
  return {};
}

}  // namespace

Result<ConsolePlan> Console::describe(const Request& request, const HostFacts&) {
  Plan plan;
  if (!request.spec.process || !request.spec.process->terminal) return plan;
  const MountLayout layout(request.spec);
  plan.terminal = true;
  plan.bind_console = !request.joining;
  plan.size = request.spec.process->console_size;
  plan.owner = request.spec.process->user.uid.value();
  plan.multiplexer = layout.place_of("/dev/pts/ptmx");
  plan.console = layout.place_of("/dev/console");
  if (request.joining) {
    plan.multiplexer.anchor = Anchor::kRoot;
    return plan;
  }
  if (layout.mount_at("/dev/pts") == MountLayout::kAll &&
      layout.mount_at("/dev") == MountLayout::kAll)
    return fail(ErrorKind::kInvalid,
                "/process/terminal: the container has no devpts to take a terminal from",
                "add {\"destination\": \"/dev/pts\", \"type\": \"devpts\", \"source\": \"devpts\", "
                "\"options\": "
                "[\"newinstance\", \"ptmxmode=0666\", \"mode=0620\"]} to mounts");
  return plan;
}

Explanation Console::explain(const Plan& plan) {
  Explanation explanation;
  if (!plan.terminal) {
    explanation.standing = Standing::kNotApplicable;
    explanation.reason = "the process asks for no terminal";
    return explanation;
  }
  explanation.facts.push_back({"terminal", "a pair of the container's own devpts", ""});
  if (plan.bind_console) explanation.facts.push_back({"/dev/console", "the same terminal", ""});
  if (plan.size)
    explanation.facts.push_back(
        {"size", std::to_string(plan.size->width) + "x" + std::to_string(plan.size->height), ""});
  return explanation;
}

SysResult<void> Console::apply(const Plan& plan, ChildContext& child) noexcept {
  if (!plan.terminal) return {};
  const char* subject = plan.multiplexer.absolute.c_str();
  const auto own_root = container_root(child);
  if (!own_root) return std::unexpected(own_root.error());
  const auto master = open_multiplexer(plan, child, *own_root ? own_root->get() : child.root);
  if (!master) return std::unexpected(master.error());
  auto slave = open_slave(master->get(), subject);
  if (!slave) return std::unexpected(slave.error());
  TRY(set_size(plan, slave->get()));
  if (plan.bind_console) TRY(bind_console(plan, slave->get(), child));
  TRY(child.parent.send_descriptor(child.parent.self, "console", master->get()));
  TRY(take_terminal(plan, slave->get()));
  child.console = slave->release();
  return {};
}

SysResult<void> Console::verify(const Plan& plan, ChildContext& child) noexcept {
  if (!plan.terminal) return {};
  struct stat slave{};
  if (child.console < 0 || ::fstat(child.console, &slave) != 0)
    return not_held("no terminal was opened", "/dev/console");
  for (int fd = 0; fd <= 2; ++fd) {
    struct stat status{};
    if (::fstat(fd, &status) != 0 || status.st_rdev != slave.st_rdev ||
        status.st_dev != slave.st_dev)
      return not_held("standard input, output or error is not the terminal", "/dev/console");
  }
  pid_t session = 0;
  if (::ioctl(0, TIOCGSID, &session) != 0)
    return not_held("the terminal is not the controlling one", "/dev/console");
  return {};
}

}  // namespace bulkhead::isolation
