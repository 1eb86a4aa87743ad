#include "storage/erofs_layers.h"

#include <cstdio>
#include <cstring>

#include "storage/helper_process.h"
#include "storage/store.h"
#include "sys/file.h"
#include "sys/loop_device.h"
#include "sys/mount_api.h"

namespace bulkhead::storage {
namespace {

constexpr std::string_view kLayerPrefix = "layers/";

bool is_empty_layer(std::string_view layer) { return layer == kEmptyLayer; }

bool exists(int store, const std::string& path) {
  return ::faccessat(store, path.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

SysResult<Fd> mount_source(const char* source, bool direct) noexcept {
  TRY_ASSIGN(const Fd erofs, open_file_system("erofs"));
  TRY(set_parameter(erofs.get(), "ro", nullptr));
  if (direct) TRY(set_parameter(erofs.get(), "directio", nullptr));
  TRY(set_parameter(erofs.get(), "source", source));
  return create_mount(erofs.get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, "erofs");
}

// The kernel opens the source by a path; this one leads to the very file that we hold.
SysResult<Fd> mount_from_file(int file, bool direct) noexcept {
  char source[32];
  (void)std::snprintf(source, sizeof source, "/proc/self/fd/%d", file);
  return mount_source(source, direct);
}

SysResult<Fd> mount_by_loop_device(int file, bool direct) noexcept {
  TRY_ASSIGN(const LoopDevice loop,
             attach_loop_device(file, LoopAccess::kReadOnly,
                                direct ? LoopCache::kDirect : LoopCache::kShared));
  // It is the device that reads around the page cache: the option is for files only.
  return mount_source(loop.path, false);
}

// ENOTBLK: the kernel mounts block devices only. EINVAL with direct I/O: it knows no such option.
bool wants_loop_device(int error, bool direct) {
  return error == ENOTBLK || (direct && error == EINVAL);
}

}  // namespace

std::string erofs_image_path(std::string_view layer) {
  if (layer.starts_with(kLayerPrefix)) layer.remove_prefix(kLayerPrefix.size());
  std::string path = kErofsDirectory;
  path.append("/").append(layer).append(".erofs");
  return path;
}

SysResult<Fd> mount_erofs_image(int store, const char* path, Layers::Reading reading,
                                ErofsMethod method) noexcept {
  const bool direct = reading == Layers::Reading::kDirect;
  // EINVAL where the store's file system has no direct I/O: the kernel would read through the page
  // cache then, and say nothing.
  auto file = open_at(store, path, O_RDONLY | O_NOFOLLOW | (direct ? O_DIRECT : 0));
  if (!file && direct && file.error().error == EINVAL)
    return sys_fail_with(EOPNOTSUPP, "open(O_DIRECT)", "layers-erofs");
  if (!file) return sys_fail_with(file.error().error, "open", "layers-erofs");
  if (method != ErofsMethod::kLoopDevice) {
    auto mount = mount_from_file(file->get(), direct);
    if (mount || method == ErofsMethod::kFromFile ||
        !wants_loop_device(mount.error().error, direct))
      return mount;
  }
  return mount_by_loop_device(file->get(), direct);
}

Result<void> ErofsLayers::prepare(const Store& store,
                                  const std::vector<std::string>& layers) const {
  std::vector<std::string> words;
  for (const std::string& layer : layers)
    if (!is_empty_layer(layer) && !exists(store.get(), erofs_image_path(layer)))
      words.push_back(layer.substr(kLayerPrefix.size()));
  if (words.empty()) return {};
  TRY_ASSIGN(const std::string program, find_helper("bulkhead-unpack"));
  words.insert(words.begin(), {program, "--erofs", store.path()});
  TRY_WITHIN("making EROFS images of the layers", run_helper_process(words));
  return {};
}

SysResult<Fd> ErofsLayers::mount_layer(int store, const char* layer,
                                       int user_namespace) const noexcept {
  if (is_empty_layer(layer)) return clone_layer_directory(store, layer, user_namespace);
  const std::string path = erofs_image_path(layer);
  TRY_ASSIGN(Fd mount, mount_erofs_image(store, path.c_str(), reading_));
  if (user_namespace < 0) return mount;
  const MountAttributes attributes{MOUNT_ATTR_IDMAP, 0, 0, user_namespace};
  TRY(set_attributes(mount.get(), "", Recursion::kThisMount, attributes));
  return mount;
}

}  // namespace bulkhead::storage
