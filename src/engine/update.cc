#include "base/text.h"
#include "engine/compose.h"
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

constexpr std::size_t kLargestConfig = 16 << 20;

template <class Value>
void take(const std::optional<Value>& from, std::optional<Value>& to) {
  if (from) to = from;
}

void merge(const oci::Resources& from, oci::Resources& to) {
  if (from.memory) {
    if (!to.memory) to.memory.emplace();
    take(from.memory->limit, to.memory->limit);
    take(from.memory->swap, to.memory->swap);
    take(from.memory->reservation, to.memory->reservation);
  }
  if (from.cpu) {
    if (!to.cpu) to.cpu.emplace();
    take(from.cpu->shares, to.cpu->shares);
    take(from.cpu->period, to.cpu->period);
    take(from.cpu->quota, to.cpu->quota);
    take(from.cpu->realtime_period, to.cpu->realtime_period);
    take(from.cpu->realtime_runtime, to.cpu->realtime_runtime);
    take(from.cpu->cpus, to.cpu->cpus);
    take(from.cpu->mems, to.cpu->mems);
  }
  if (from.block_io) {
    if (!to.block_io) to.block_io.emplace();
    take(from.block_io->weight, to.block_io->weight);
  }
  take(from.pids_limit, to.pids_limit);
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

oci::Resources named_limits(const Wish& wish) {
  oci::Resources resources;
  if (wish.memory || wish.memory_swap || wish.limits.memory_reservation) {
    resources.memory.emplace();
    resources.memory->limit = wish.memory;
    resources.memory->swap = wish.memory_swap;
    resources.memory->reservation = wish.limits.memory_reservation;
  }
  resources.cpu = cpu_limits(wish);
  if (wish.limits.block_weight) {
    resources.block_io.emplace();
    resources.block_io->weight = wish.limits.block_weight;
  }
  resources.pids_limit = wish.pids_limit;
  return resources;
}

bool Update::changes_limits() const {
  return resources.memory || resources.cpu || resources.block_io || resources.pids_limit;
}

namespace {

Result<void> carry_out(const StoreOptions& options, const ListedContainer& container,
                       const Update& wanted) {
  const bool limits = wanted.changes_limits();
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
    TRY(runtime::update_container(state_root_of(options), container.id, wanted.resources));
  if (!container.record) return {};
  TRY_ASSIGN(const storage::Store store, storage::Store::open(options.root));
  if (limits) TRY(change_config(store.get(), container.id, wanted.resources));
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
