#include "base/text.h"
#include "engine/detached.h"
#include "engine/events.h"
#include "engine/life.h"
#include "engine/prepare.h"
#include "engine/registry.h"
#include "oci/decode.h"
#include "oci/encode.h"
#include "oci/validate.h"
#include "runtime/control.h"
#include "supervise/client.h"
#include "sys/file.h"
#include "sys/lock.h"

namespace bulkhead::engine {
namespace {

constexpr std::uint64_t kPeriod = 100'000;  // microseconds
constexpr std::size_t kLargestConfig = 16 << 20;

// The limits that change, alone.
oci::Resources resources_of(const Update& wanted) {
  oci::Resources resources;
  if (wanted.memory || wanted.memory_swap) {
    resources.memory.emplace();
    if (wanted.memory) resources.memory->limit = *wanted.memory;
    if (wanted.memory_swap) resources.memory->swap = *wanted.memory_swap;
  }
  if (wanted.cpu_thousandths) {
    resources.cpu.emplace();
    resources.cpu->period = kPeriod;
    resources.cpu->quota = *wanted.cpu_thousandths * static_cast<std::int64_t>(kPeriod) / 1000;
  }
  if (wanted.pids) resources.pids_limit = *wanted.pids;
  return resources;
}

void merge(const oci::Resources& from, oci::Resources& to) {
  if (from.memory) {
    if (!to.memory) to.memory.emplace();
    if (from.memory->limit) to.memory->limit = from.memory->limit;
    if (from.memory->swap) to.memory->swap = from.memory->swap;
  }
  if (from.cpu) {
    if (!to.cpu) to.cpu.emplace();
    to.cpu->period = from.cpu->period;
    to.cpu->quota = from.cpu->quota;
  }
  if (from.pids_limit) to.pids_limit = from.pids_limit;
}

Result<void> change_config(int store, const std::string& id, const oci::Resources& resources) {
  // As change_record(): one at a time.
  TRY_ASSIGN(const Fd names, open_at(store, "names", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  TRY(lock_exclusive(names.get()));
  TRY_ASSIGN(const Fd directory, open_container(store, id));
  TRY_ASSIGN(const std::string text, read_file_at(directory.get(), kConfigFile, kLargestConfig));
  TRY_ASSIGN(oci::Spec spec, oci::decode_spec(text));
  if (!spec.linux_.resources) spec.linux_.resources.emplace();
  merge(resources, *spec.linux_.resources);
  TRY(oci::validate(spec));
  return write_container_file(directory.get(), kConfigFile, oci::encode(spec));
}

}  // namespace

namespace {

Result<void> carry_out(const StoreOptions& options, const ListedContainer& container,
                       const Update& wanted) {
  const bool limits = wanted.memory || wanted.memory_swap || wanted.cpu_thousandths || wanted.pids;
  const oci::Resources resources = resources_of(wanted);
  if (!container.record && wanted.restart)
    return fail(ErrorKind::kState,
                "a container in the foreground of a bulkhead run has no restart policy");
  if (container.record && container.record->remove && wanted.restart &&
      wanted.restart->kind != supervise::RestartKind::kNo)
    return fail(ErrorKind::kUsage, "--restart: the container was run with --rm");
  if (limits && container.record && !container.record->runtime.empty())
    return fail(ErrorKind::kUnsupported,
                "limits are changed by Bulkhead's own runtime alone, and container " +
                    quoted(container.name) + " is of " + container.record->runtime,
                "make it anew with other limits");
  // First the kernel, which may refuse.
  if (limits && runs(container.status))
    TRY(runtime::update_container(state_root_of(options), container.id, resources));
  if (!container.record) return {};
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  if (limits) TRY(change_config(store.get(), container.id, resources));
  if (!wanted.restart) return {};
  TRY_ASSIGN(auto monitor,
             supervise::MonitorClient::connect(monitor_directory(options), container.id));
  if (monitor) TRY(monitor->set_restart(*wanted.restart));
  return change_record(store.get(), container.id,
                       [&](ContainerRecord& record) { record.restart = *wanted.restart; });
}

}  // namespace

Result<void> update(const StoreOptions& options, const ListedContainer& container,
                    const Update& wanted) {
  TRY(carry_out(options, container, wanted));
  record_event(options, EventSubject::of(container), "update");
  return {};
}

}  // namespace bulkhead::engine
