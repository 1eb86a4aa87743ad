#include "sys/directory.h"

#include <dirent.h>

#include <memory>
#include <string_view>

#include "sys/file.h"

namespace bulkhead {

Result<std::vector<std::string>> list_directory(int directory, const char* path) {
  auto opened = open_at(directory, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!opened) {
    if (opened.error().error == ENOENT) return std::vector<std::string>{};
    return std::unexpected(Error(opened.error()));
  }
  struct Close {
    void operator()(DIR* stream) const { ::closedir(stream); }
  };
  const std::unique_ptr<DIR, Close> stream(::fdopendir(opened->get()));
  if (!stream) return std::unexpected(Error(SysError{"fdopendir", errno, path}));
  (void)opened->release();
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* const entry = ::readdir(stream.get());
    if (entry == nullptr) {
      if (errno != 0) return std::unexpected(Error(SysError{"readdir", errno, path}));
      return names;
    }
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
}

}  // namespace bulkhead
