"""What the child half of a launch may call.

Between clone and execve the child is the copy of a process that may have held any lock and any
half-done allocation. So from the layers' apply and verify, from child_main and from the hooks'
run_* functions, everything that is reachable inside the product may end only in functions of the C
library that are listed here. Reachable is what the linker would keep: with one section for each
function, a section reaches what its relocations name, addresses of functions and tables of them
included. Virtual calls are covered by naming their targets as roots.
"""

import re
import shutil
import subprocess
import tempfile
import pathlib

import elf
import source_rules
from tools import BUILD, Skip, text

ROOTS = re.compile(
    r"^_ZN8bulkhead9isolation.*(?:5applyE|6verifyE).*ChildContext"
    r"|^_ZN8bulkhead6launch10child_mainE"
    r"|^_ZN8bulkhead.*(?:20run_create_container|19run_start_container)Ev")

# Thin wrappers of system calls, and functions that touch only the memory that they are given.
ALLOWED = set("""
    __errno_location syscall __stack_chk_fail _ZSt9terminatev __cxa_call_terminate _exit _Exit
    _Unwind_Resume __gxx_personality_v0 __cxa_begin_catch __clang_call_terminate
    memcpy memmove memset memcmp memchr memrchr memmem bcmp strlen strnlen strcmp strncmp strchr
    strrchr strstr stpcpy strcspn strspn
    __memcpy_chk __memmove_chk __memset_chk __chk_fail __strcpy_chk __explicit_bzero_chk
    explicit_bzero
    access faccessat chdir fchdir chmod fchmod fchmodat chown fchown fchownat lchown chroot close
    close_range dup dup2 dup3 execve execveat fexecve fork vfork getpid getppid getpgid getsid gettid
    getuid geteuid getgid getegid getresuid getresgid getgroups setuid setgid setresuid setresgid
    setgroups setreuid setregid setpgid setsid setfsuid setfsgid kill tgkill raise
    sigaction sigprocmask sigemptyset sigfillset sigaddset sigdelset sigismember sigtimedwait
    sigwaitinfo signalfd pause nanosleep clock_gettime clock_nanosleep
    open openat open64 openat64 __open_2 __openat_2 __open64_2 __openat64_2 read __read_chk pread
    pread64 __pread_chk __pread64_chk readv write pwrite pwrite64 writev lseek lseek64
    ftruncate ftruncate64 fcntl fcntl64 ioctl flock pipe pipe2 eventfd
    stat lstat fstat fstatat stat64 lstat64 fstat64 fstatat64 statx statfs fstatfs statfs64 fstatfs64
    mkdir mkdirat mknod mknodat unlink unlinkat rename renameat renameat2 rmdir link linkat symlink
    symlinkat readlink readlinkat __readlink_chk __readlinkat_chk getcwd __getcwd_chk umask
    utimensat getdents64
    futimens sendfile sendfile64 copy_file_range
    clone fsopen fsconfig fsmount fspick open_tree move_mount mount_setattr
    mount umount umount2 pivot_root setns unshare setxattr fsetxattr getxattr fgetxattr
    socket socketpair bind connect listen accept accept4 shutdown send sendto sendmsg sendmmsg recv
    recvfrom recvmsg recvmmsg __recv_chk __recvfrom_chk setsockopt getsockopt getsockname
    getpeername poll ppoll __poll_chk __fdelt_chk epoll_create1 epoll_ctl epoll_wait
    wait wait4 waitpid waitid prctl personality capget capset ptrace
    getrlimit setrlimit getrlimit64 setrlimit64 prlimit prlimit64 getpriority setpriority
    sched_setscheduler sched_getscheduler sched_setparam sched_setaffinity sched_getaffinity
    sched_get_priority_max sched_get_priority_min sched_yield
    sethostname setdomainname gethostname uname mmap mmap64 munmap mprotect madvise
    environ __environ
    __cmsg_nxthdr gnu_dev_major gnu_dev_minor gnu_dev_makedev
    __libc_current_sigrtmin __libc_current_sigrtmax
""".split()) | {
    # string_view::substr beyond the end: a bug, which ends a noexcept function and with it the child.
    "_ZSt24__throw_out_of_range_fmtPKcz",
}


class Program:
    """All object files of the product, as one graph of sections."""

    def __init__(self, objects):
        self.objects = objects
        self.definitions = {}
        for number, found in enumerate(objects):
            for symbol in found.symbols:
                if symbol.section and symbol.name and not symbol.is_local:
                    self.definitions.setdefault(symbol.name, (number, symbol.section))

    def roots(self):
        return {name: node for name, node in self.definitions.items() if ROOTS.search(name)}

    def neighbours(self, node):
        """What a section refers to: nodes inside the product, and names outside it."""
        number, section = node
        found = self.objects[number]
        for index in found.references.get(section, ()):
            symbol = found.symbols[index]
            if symbol.section:
                # A weak definition may be replaced by another object's: they are all the same.
                yield (number, symbol.section), None
            elif symbol.name in self.definitions:
                yield self.definitions[symbol.name], None
            elif symbol.name:
                yield None, symbol.name

    def reached_from(self, roots):
        """Outside names that are reachable, each with the shortest way there."""
        came_from = {node: None for node in roots}
        queue, outside = list(came_from), {}
        for node in queue:
            for target, name in self.neighbours(node):
                if name is not None:
                    outside.setdefault(name, node)
                elif target not in came_from:
                    came_from[target] = node
                    queue.append(target)
        ways = {}
        for name, node in outside.items():
            way = []
            while node is not None:
                way.append(self.label(node))
                node = came_from[node]
            ways[name] = way[::-1]
        return ways

    def label(self, node):
        number, section = node
        found = self.objects[number]
        for symbol in found.symbols:
            if symbol.section == section and symbol.name and not symbol.is_section:
                return symbol.name
        return found.sections[section]


def demangled(names):
    names = list(names)
    if not names or not shutil.which("c++filt"):
        return dict(zip(names, names))
    output = subprocess.run(["c++filt", "-p"], input="\n".join(names), capture_output=True,
                            text=True, check=True).stdout.splitlines()
    return dict(zip(names, output))


def forbidden(program, roots):
    ways = {name: way for name, way in program.reached_from(roots).items() if name not in ALLOWED}
    plain = demangled({name for way in ways.values() for name in way} | set(ways))
    return [f"{' > '.join(plain[step] for step in way)} > {plain[name]}"
            for name, way in sorted(ways.items())]


def check():
    libraries = sorted(BUILD.glob("src/**/libbulkhead_*.a"))
    if not libraries:
        raise Skip(f"no library under {BUILD}: build first")
    program = Program([found for path in libraries for found in elf.objects(path)])
    roots = program.roots()
    problems = []
    plain = demangled(roots)
    for header in source_rules.layer_headers():
        for layer in re.findall(r"^(?:struct|class) (\w+)(?: final)? \{(?:(?!^\};).)*?\bkCard\b",
                                text(header), re.MULTILINE | re.DOTALL):
            for function in ("apply", "verify"):
                if f"bulkhead::isolation::{layer}::{function}" not in plain.values():
                    problems.append(f"{header}: {layer}::{function} is not in the libraries")
    return problems + forbidden(program, roots.values())


SAMPLE = """
#include <cstdlib>
#include <unistd.h>
namespace bulkhead::isolation {
struct ChildContext;
struct Clean { static int apply(ChildContext&) noexcept; };
int Clean::apply(ChildContext&) noexcept { return ::getppid(); }
namespace { void* helper() { return std::malloc(1); }
int forward() { return helper() == nullptr; }
int (*const kTable[])() = {forward}; }
struct Dirty { static int verify(ChildContext&, unsigned) noexcept; };
int Dirty::verify(ChildContext&, unsigned n) noexcept { return kTable[n](); }
}
"""


def self_test():
    """An object with one clean layer and one that allocates behind a table of functions."""
    compiler = shutil.which("g++")
    if not compiler:
        raise Skip("g++ is not installed")
    with tempfile.TemporaryDirectory() as directory:
        source, result = pathlib.Path(directory, "sample.cc"), pathlib.Path(directory, "sample.o")
        source.write_text(SAMPLE, encoding="utf-8")
        subprocess.run([compiler, "-O2", "-ffunction-sections", "-fdata-sections", "-c",
                        str(source), "-o", str(result)], check=True)
        program = Program(elf.objects(result))
    roots = program.roots()
    problems = []
    if len(roots) != 2:
        problems.append(f"the sample has 2 roots, {len(roots)} were found")
    for name, node in roots.items():
        found = forbidden(program, [node])
        if "Clean" in name and found:
            problems.append(f"it accuses the clean layer: {found}")
        if "Dirty" in name and not any("malloc" in line for line in found):
            problems.append("it does not see the allocation")
    return problems
