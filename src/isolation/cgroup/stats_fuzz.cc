// Any content for the files of a container's groups (texts separated by a NUL, one for each file):
// reading what was accounted neither crashes nor hangs.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "isolation/cgroup/parent.h"
#include "sys/file.h"

namespace {

constexpr const char* kFiles[] = {"cpu.stat",
                                  "memory.stat",
                                  "memory.events",
                                  "memory.current",
                                  "memory.peak",
                                  "memory.max",
                                  "memory.swap.events",
                                  "pids.current",
                                  "pids.max",
                                  "pids.events",
                                  "io.stat",
                                  "cpu.pressure",
                                  "memory.pressure",
                                  "io.pressure",
                                  "memory.oom_control",
                                  "memory.usage_in_bytes",
                                  "cpuacct.usage",
                                  "cpuacct.usage_percpu",
                                  "blkio.throttle.io_service_bytes_recursive",
                                  "cgroup.procs",
                                  "cgroup.freeze"};

const std::string& place() {
  static const std::string made = [] {
    std::string name = "/dev/shm/bulkhead-stats-fuzz-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    return name;
  }();
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace bulkhead;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  for (const char* file : kFiles) {
    const std::size_t end = rest.find('\0');
    const std::string path = place() + "/" + file;
    const Fd target(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    const std::string_view text = rest.substr(0, end);
    if (!target || !write_all(target.get(), text.data(), text.size())) std::abort();
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  for (const char* controllers : {"", "cpu,cpuacct,memory,pids,blkio"}) {
    const std::vector<std::string> record = {std::string(controllers) + ":" + place()};
    const auto groups = isolation::CgroupSet::open(record);
    if (!groups) std::abort();
    (void)groups->stats();
    (void)groups->usage();
    (void)groups->processes();
  }
  return 0;
}
