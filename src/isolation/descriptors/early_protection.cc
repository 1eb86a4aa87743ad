// Compiled without whatever needs a C library that has started: no stack protector, no sanitizer, no
// memcpy or memset of the compiler's (CMakeLists.txt). Functions of libc may not be used here.
#include "isolation/descriptors/early_protection.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "sys/raw_call.h"
#include "sys/uapi.h"

#if defined(BULKHEAD_HAS_RAW_CALL)

namespace bulkhead::isolation {
namespace {

constexpr const char* kOwnFile = "/proc/self/exe";

bool equals(const char* text, const char* word) noexcept {
  while (*word != '\0' && *text == *word) ++text, ++word;
  return *text == *word;
}

// Whether a command is named that puts a process into a container. An argument that merely looks
// like one costs a second start and nothing else.
bool enters_container(const char* const* arguments) noexcept {
  for (; *arguments != nullptr; ++arguments)
    if (equals(*arguments, "run") || equals(*arguments, "create") || equals(*arguments, "exec"))
      return true;
  return false;
}

bool is_read_only(const struct statfs& status) noexcept {
  return (static_cast<unsigned long>(status.f_flags) & ST_RDONLY) != 0;
}

// A file on a tmpfs may be the sealed copy in memory: that is for main() to see.
bool may_be_overwritten() noexcept {
  struct statfs system;
  struct stat file;
  return raw_call(SYS_statfs, as_argument(kOwnFile), as_argument(&system)) == 0 &&
         !is_read_only(system) && system.f_type != TMPFS_MAGIC &&
         raw_call(SYS_newfstatat, AT_FDCWD, as_argument(kOwnFile), as_argument(&file)) == 0 &&
         file.st_uid == static_cast<unsigned>(raw_call(SYS_geteuid, 0));
}

long clone_read_only() noexcept {
  struct mount_attr attributes;
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  attributes.attr_clr = 0;
  attributes.propagation = 0;
  attributes.userns_fd = 0;
  constexpr long kFlags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
  long clone = raw_call(SYS_open_tree_attr, AT_FDCWD, as_argument(kOwnFile), kFlags,
                        as_argument(&attributes), sizeof attributes);
  if (clone >= 0) return clone;
  clone = raw_call(SYS_open_tree, AT_FDCWD, as_argument(kOwnFile), kFlags);
  if (clone >= 0)
    (void)raw_call(SYS_mount_setattr, clone, as_argument(""), AT_EMPTY_PATH,
                   as_argument(&attributes), sizeof attributes);
  return clone;
}

}  // namespace

void protect_own_binary_early(const long* stack) noexcept {
  const auto* const arguments = reinterpret_cast<const char* const*>(stack + 1);
  if (stack[0] < 2 || !enters_container(arguments + 1) || !may_be_overwritten()) return;
  const long clone = clone_read_only();
  if (clone < 0) return;
  // The second start decides by this very flag: without it we would go round in circles.
  struct statfs status;
  if (raw_call(SYS_fstatfs, clone, as_argument(&status)) == 0 && is_read_only(status))
    (void)raw_call(SYS_execveat, clone, as_argument(""), as_argument(arguments),
                   as_argument(arguments + stack[0] + 1), AT_EMPTY_PATH);
  (void)raw_call(SYS_close, clone);
}

}  // namespace bulkhead::isolation

extern "C" [[gnu::used]] void bulkhead_protect_early(const long* stack) {
  bulkhead::isolation::protect_own_binary_early(stack);
}

// Where the kernel enters the program. The stack pointer stands at the argument count, and rdx holds
// what _start hands to atexit(3): both are left as they were found.
__asm__(
    ".globl bulkhead_entry\n"
    ".type bulkhead_entry, @function\n"
    "bulkhead_entry:\n"
    "  xor %ebp, %ebp\n"
    "  mov %rsp, %rbx\n"
    "  mov %rdx, %r12\n"
    "  mov %rsp, %rdi\n"
    "  and $-16, %rsp\n"
    "  call bulkhead_protect_early\n"
    "  mov %rbx, %rsp\n"
    "  mov %r12, %rdx\n"
    "  jmp _start\n"
    ".size bulkhead_entry, . - bulkhead_entry\n");

#endif
