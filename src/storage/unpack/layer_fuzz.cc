// A hostile layer: unpacking it neither crashes nor hangs, and touches nothing beside its directory.
#include <dirent.h>
#include <fcntl.h>
#include <locale.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "storage/unpack/extract.h"
#include "sys/fd.h"
#include "sys/tree.h"

namespace {

// With wrong checksums every mutation would end at the first header.
void repair_checksums(std::string& tar) {
  for (std::size_t at = 0; at + 512 <= tar.size();) {
    char* const header = tar.data() + at;
    std::memset(header + 148, ' ', 8);
    unsigned sum = 0;
    for (int i = 0; i < 512; ++i) sum += static_cast<unsigned char>(header[i]);
    (void)std::snprintf(header + 148, 8, "%06o", sum);
    char size[13] = {};
    std::memcpy(size, header + 124, 12);
    const unsigned long content = std::strtoul(size, nullptr, 8);
    if (content > tar.size()) return;
    at += 512 + (content + 511) / 512 * 512;
  }
}

const std::string& place() {
  static const std::string made = [] {
    (void)::setlocale(LC_CTYPE, "C.UTF-8");
    std::string name = "/dev/shm/bulkhead-layer-fuzz-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    return name;
  }();
  return made;
}

int entries_in(const std::string& path) {
  DIR* const directory = ::opendir(path.c_str());
  if (directory == nullptr) std::abort();
  int count = 0;
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace bulkhead;
  std::string tar(reinterpret_cast<const char*>(data), size);
  repair_checksums(tar);
  const std::string layer = place() + "/layer";
  if (::mkdir(layer.c_str(), 0755) != 0) std::abort();
  {
    const Fd directory(::open(layer.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const Fd input(::memfd_create("layer", MFD_CLOEXEC));
    if (::write(input.get(), tar.data(), tar.size()) != static_cast<ssize_t>(tar.size()) ||
        ::lseek(input.get(), 0, SEEK_SET) != 0)
      std::abort();
    storage::ExtractLimits limits;
    limits.entries = 200;
    limits.bytes = 1 << 20;
    storage::DirectActs acts(directory.get());
    (void)storage::extract_layer(input.get(), directory.get(), acts, limits);
  }
  // ".", ".." and the layer.
  if (entries_in(place()) != 3) std::abort();
  if (!remove_tree_at(AT_FDCWD, layer.c_str())) std::abort();
  return 0;
}
