// Tells how the process that it runs as is isolated, as far as it can see by itself: one fact a line,
// "NAME: VALUE". Two containers of one configuration tell the same; what differs between any two
// (namespaces' numbers, say) is for the suite to compare with the host's.
#include <dirent.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>
#include <vector>

extern char** environ;

namespace {

void fact(const std::string& name, const std::string& value) {
  std::printf("%s: %s\n", name.c_str(), value.c_str());
}

std::string failure() { return "errno " + std::to_string(errno); }

// With semicolons for the ends of lines.
std::string read_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return failure();
  std::string text;
  char buffer[4096];
  ssize_t size = 0;
  while ((size = ::read(fd, buffer, sizeof buffer)) > 0)
    text.append(buffer, static_cast<std::size_t>(size));
  if (size < 0) text = failure();
  ::close(fd);
  while (text.ends_with('\n')) text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ';');
  return text;
}

std::string read_link(const std::string& path) {
  char target[4096] = {};
  return ::readlink(path.c_str(), target, sizeof target - 1) < 0 ? failure() : target;
}

std::vector<std::string> names_in(const char* directory) {
  std::vector<std::string> names;
  DIR* const listing = ::opendir(directory);
  if (listing == nullptr) return {failure()};
  while (const dirent* entry = ::readdir(listing))
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  ::closedir(listing);
  std::sort(names.begin(), names.end());
  return names;
}

void namespaces() {
  for (const char* kind : {"user", "pid", "net", "ipc", "uts", "mnt", "cgroup", "time"})
    fact(std::string("namespace ") + kind, read_link(std::string("/proc/self/ns/") + kind));
}

void status() {
  const std::string text = read_file("/proc/self/status");
  for (const char* name :
       {"Umask", "Uid", "Gid", "Groups", "NSpid", "NSsid", "SigBlk", "SigIgn", "CapInh", "CapPrm",
        "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters",
        "Cpus_allowed_list", "Mems_allowed_list"}) {
    const std::string key = std::string(";") + name + ":";
    const std::size_t at = text.find(key);
    if (at == std::string::npos) continue;
    const std::size_t begin = at + key.size();
    std::string value = text.substr(begin, text.find(';', begin) - begin);
    std::replace(value.begin(), value.end(), '\t', ' ');
    fact(std::string("status ") + name, value);
  }
  for (const char* name : {"uid_map", "gid_map", "setgroups", "oom_score_adj", "attr/current",
                           "personality", "timens_offsets", "cgroup", "loginuid"})
    fact(name, read_file(std::string("/proc/self/") + name));
}

// Root, mount point, options, type and options of the file system; not its number.
void mounts() {
  const std::string text = read_file("/proc/self/mountinfo");
  int number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(';', at), text.size());
    std::string value;
    int field_number = 0;
    for (std::size_t field = at; field < end; ++field_number) {
      const std::size_t space = std::min(text.find(' ', field), end);
      if (field_number >= 3) value += text.substr(field, space - field) + " ";
      field = space + 1;
    }
    fact("mount " + std::to_string(number++), value);
    at = end + 1;
  }
}

std::string file_facts(const std::string& path) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) return failure();
  char text[160];
  std::snprintf(text, sizeof text, "mode %o owner %u:%u device %u:%u", status.st_mode,
                status.st_uid, status.st_gid, major(status.st_rdev), minor(status.st_rdev));
  return text;
}

void files() {
  for (const std::string& name : names_in("/dev")) {
    const std::string path = "/dev/" + name;
    const std::string target = read_link(path);
    fact("device " + name, file_facts(path) + (target.starts_with("errno") ? "" : " " + target));
  }
  for (const char* path : {"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/acpi"})
    fact(std::string("masked ") + path, file_facts(path));
  for (const char* path : {"/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"}) {
    const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
    fact(std::string("writing ") + path, fd < 0 ? failure() : "open");
    if (fd >= 0) ::close(fd);
  }
  for (const char* path : {"/proc/sys/kernel/shm_rmid_forced", "/proc/sys/net/ipv4/ip_forward"})
    fact(std::string("sysctl ") + path, read_file(path));
  std::string firmware;
  for (const std::string& name : names_in("/sys/firmware")) firmware += name + " ";
  fact("firmware", firmware);
}

// What is open, but for our own listing of it.
void descriptors() {
  for (int fd = 0; fd < 1024; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0) continue;
    std::string target = read_link("/proc/self/fd/" + std::to_string(fd));
    if (const std::size_t colon = target.find(":["); colon != std::string::npos)
      target.resize(colon);
    fact("descriptor " + std::to_string(fd), target);
  }
}

void limits() {
  for (int i = 0; i < RLIM_NLIMITS; ++i) {
    struct rlimit limit{};
    ::getrlimit(static_cast<__rlimit_resource_t>(i), &limit);
    fact("rlimit " + std::to_string(i),
         std::to_string(limit.rlim_cur) + " " + std::to_string(limit.rlim_max));
  }
  for (const char* file :
       {"memory/memory.limit_in_bytes", "pids/pids.max", "devices/devices.list", "cpu/cpu.shares",
        "cpuset/cpuset.cpus", "memory.max", "pids.max", "cpu.weight", "cpu.max"})
    fact(std::string("group ") + file, read_file(std::string("/sys/fs/cgroup/") + file));
}

void process() {
  fact("prctl dumpable", std::to_string(::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)));
  int number = -1;
  ::prctl(PR_GET_PDEATHSIG, &number, 0, 0, 0);
  fact("prctl death signal", std::to_string(number));
  fact("prctl securebits", std::to_string(::prctl(PR_GET_SECUREBITS, 0, 0, 0, 0)));
  number = -1;
  ::prctl(PR_GET_CHILD_SUBREAPER, &number, 0, 0, 0);
  fact("prctl subreaper", std::to_string(number));
  fact("priority", std::to_string(::getpriority(PRIO_PROCESS, 0)));
  fact("policy", std::to_string(::sched_getscheduler(0)));
  fact("persona", std::to_string(::personality(0xFFFFFFFF)));
  fact("session leader", ::getsid(0) == ::getpid() ? "yes" : "no");
  char directory[4096] = {};
  fact("working directory", ::getcwd(directory, sizeof directory) ? directory : "none");
  struct utsname names{};
  ::uname(&names);
  fact("host name", names.nodename);
  fact("domain name", names.domainname);
  char description[256] = {};
  const long keyring =
      ::syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0L, 0L, 0L);
  if (keyring < 0 ||
      ::syscall(SYS_keyctl, KEYCTL_DESCRIBE, keyring, description, sizeof description, 0L) < 0)
    std::snprintf(description, sizeof description, "errno %d", errno);
  fact("session keyring", description);
  for (char** entry = environ; *entry != nullptr; ++entry) fact("environment", *entry);
}

void network() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct if_nameindex* const all = ::if_nameindex();
  for (auto* one = all; one != nullptr && one->if_index != 0; ++one) {
    struct ifreq request{};
    std::snprintf(request.ifr_name, sizeof request.ifr_name, "%s", one->if_name);
    const bool up = ::ioctl(fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) != 0;
    fact(std::string("interface ") + one->if_name, up ? "up" : "down");
  }
  if (all != nullptr) ::if_freenameindex(all);
  ::close(fd);
}

}  // namespace

int main() {
  descriptors();
  namespaces();
  status();
  mounts();
  files();
  limits();
  process();
  network();
  std::printf("complete: yes\n");
  std::fflush(stdout);
  return 42;
}
