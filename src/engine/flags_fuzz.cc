// Values of flags, as scripts and web forms hand them through: the first byte says which flag. What is
// taken is safe to act on: paths of the container are absolute and do not climb, devices lie in /dev,
// and numbers are in their ranges.
#include <cstdlib>
#include <string>

#include "engine/cdi.h"
#include "engine/device_flag.h"
#include "engine/limits.h"
#include "engine/metadata.h"
#include "engine/mount_flag.h"
#include "engine/sharing.h"
#include "engine/wish.h"
#include "runtime/signal_name.h"

namespace {

using namespace bulkhead;
using namespace bulkhead::engine;

void check(bool holds) {
  if (!holds) std::abort();
}

void check_destination(const std::string& path) {
  check(path.starts_with('/') && path.find_first_not_of('/') != std::string::npos);
  check((path + "/").find("/../") == std::string::npos && path.find('\0') == std::string::npos);
}

void check_volume(const Volume& volume) {
  check_destination(volume.destination);
  check(volume.is_volume ? volume.source.empty() : volume.source.starts_with('/'));
  check(!volume.is_volume || volume.name.empty() || volumes::is_volume_name(volume.name));
}

void mounts(std::string_view text) {
  if (const auto volume = parse_volume(text)) check_volume(*volume);
  if (const auto tmpfs = parse_tmpfs(text)) check_destination(tmpfs->destination);
  if (const auto mount = parse_mount(text)) {
    if (const auto* const volume = std::get_if<Volume>(&*mount))
      check_volume(*volume);
    else
      check_destination(std::get<TmpfsMount>(*mount).destination);
  }
}

void devices(std::string_view text) {
  if (const auto device = parse_device(text)) {
    check(device->host.starts_with("/dev/") && device->host.find("/../") == std::string::npos);
    check_destination(device->container);
    check(!device->access.empty() && device->access.find_first_not_of("rwm") == std::string::npos);
  }
  if (const auto rule = parse_device_rule(text))
    check(rule->allow && rule->major.value_or(0) >= 0 && rule->minor.value_or(0) >= 0);
  if (const auto names = parse_gpus(text))
    for (const std::string& name : *names) check(is_cdi_name(name));
  if (is_cdi_name(text)) check(!parse_device(text));
}

void limits(std::string_view text) {
  if (const auto limit = parse_ulimit(text)) check(limit->soft <= limit->hard);
  for (const BlockValue kind : {BlockValue::kBytes, BlockValue::kOperations, BlockValue::kWeight})
    if (const auto limit = parse_block_limit("--x", text, kind))
      check(limit->value > 0 && limit->path.starts_with("/dev/"));
  if (is_number_list(text)) check(text.find_first_not_of("0123456789,-") == text.npos);
  if (const auto ports = parse_exposed(text)) check(!ports->empty() && ports->size() <= 1024);
  if (const auto signal = runtime::parse_signal(text)) check(*signal >= 0 && *signal < 65);
}

void files(std::string_view text) {
  if (const auto entries = parse_environment_file("f", text))
    for (const std::string& entry : *entries)
      check(!entry.empty() && entry.front() != '=' && entry.find('\n') == std::string::npos &&
            entry.find('\0') == std::string::npos);
  if (const auto spec = parse_cdi_spec(text))
    for (const CdiDevice& device : spec->devices)
      check(is_cdi_name(spec->kind + "=" + device.name));
}

void sharing(std::string_view text) {
  RunOptions options;
  options.cgroup_parent = std::string(text);
  if (const auto read = read_sharing(options)) check_destination(read->cgroup_parent);
  RunOptions joining;
  joining.pid_namespace = std::string(text);
  if (const auto read = read_sharing(joining))
    check(read->joined().find_first_of("/\n") == std::string::npos);
  if (const auto settings = read_sysctls({std::string(text)})) check(settings->size() == 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 5) {
    case 0: mounts(text); break;
    case 1: devices(text); break;
    case 2: limits(text); break;
    case 3: files(text); break;
    default: sharing(text); break;
  }
  return 0;
}
