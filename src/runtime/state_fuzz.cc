// A container's directory as an older version, a killed one or somebody else has left it: any content for
// each of its files, separated by NULs. Reading it neither crashes nor hangs, and what is taken for a
// record holds nothing that would lead a delete astray.
#include <sys/stat.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include "oci/decode.h"
#include "runtime/record.h"
#include "runtime/record_json.h"
#include "sys/file.h"

namespace {

using namespace bulkhead;
using namespace bulkhead::runtime;

constexpr const char* kFiles[] = {"state.json", "init", "init.creating", "config.json",
                                  "start.sock"};

const std::string& root() {
  static const std::string made = [] {
    std::string name = "/dev/shm/bulkhead-state-fuzz-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    if (::mkdir((name + "/c1").c_str(), 0700) != 0) std::abort();
    return name;
  }();
  return made;
}

// A text of one byte "-" stands for a file that is not there.
void put(const std::string& path, std::string_view text) {
  (void)::unlink(path.c_str());
  if (text == "-") return;
  const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file || !write_all(file.get(), text.data(), text.size())) std::abort();
}

bool is_absolute_and_plain(std::string_view path) {
  return path.starts_with('/') && (std::string(path) + "/").find("/../") == std::string::npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  for (const char* file : kFiles) {
    const std::size_t end = rest.find('\0');
    put(root() + "/c1/" + file, rest.substr(0, end));
    rest = end == std::string_view::npos ? std::string_view("-") : rest.substr(end + 1);
  }
  const auto listed = ContainerDirectory::list(root());
  if (!listed || listed->size() != 1) std::abort();
  const auto directory = ContainerDirectory::open_locked(root(), "c1");
  if (!directory) std::abort();
  if (const auto first = directory->first_process(); first && *first)
    (void)ContainerDirectory::hold(**first);
  if (const auto config = directory->read_config()) (void)oci::decode_spec(*config);
  const auto record = directory->read_record();
  if (!record) {
    if (record.error().message().empty()) std::abort();
    return 0;
  }
  if (record->id != "c1") std::abort();
  for (const std::string& group : record->cgroup_directories) {
    const std::size_t colon = group.find(':');
    if (colon == std::string::npos || !is_absolute_and_plain(group.substr(colon + 1))) std::abort();
  }
  for (const std::string& path : record->resctrl_directories)
    if (!is_absolute_and_plain(path)) std::abort();
  const auto observed = directory->observe(*record);
  if (observed && oci::name_of(observed->status).empty()) std::abort();
  return 0;
}
