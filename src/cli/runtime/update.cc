#include <unistd.h>

#include "base/text.h"
#include "cli/runtime/byte_size.h"
#include "cli/runtime/command.h"
#include "oci/decode.h"
#include "oci/validate.h"
#include "runtime/control.h"
#include "sys/file.h"

namespace bulkhead::cli {
namespace {

constexpr std::size_t kLargestFile = 16U << 20;

using Given = std::optional<std::string>;

struct UpdateFlags {
  std::string resources_file;
  Given blkio_weight, cpu_period, cpu_quota, cpu_burst, cpu_share, cpu_rt_period, cpu_rt_runtime,
      cpu_idle;
  Given cpuset_cpus, cpuset_mems, memory, memory_reservation, memory_swap, memory_swappiness,
      kernel_memory, kernel_memory_tcp;
  Given pids_limit, l3_cache_schema, mem_bw_schema;

  std::vector<Flag> flags() {
    return {
        {"resources", 'r', &resources_file, "FILE",
         "a JSON object of linux.resources; - reads standard input"},
        {"blkio-weight", 0, &blkio_weight, "N", "share of disk bandwidth, 10 to 1000"},
        {"cpu-period", 0, &cpu_period, "MICROSECONDS", "the period of the CPU quota"},
        {"cpu-quota", 0, &cpu_quota, "MICROSECONDS", "CPU time in each period; -1 for no limit"},
        {"cpu-burst", 0, &cpu_burst, "MICROSECONDS", "unused quota that may be kept for later"},
        {"cpu-share", 0, &cpu_share, "N", "share of CPU time beside others (1024 is normal)"},
        {"cpu-rt-period", 0, &cpu_rt_period, "MICROSECONDS", "the period of real-time CPU time"},
        {"cpu-rt-runtime", 0, &cpu_rt_runtime, "MICROSECONDS", "real-time CPU time in each period"},
        {"cpu-idle", 0, &cpu_idle, "0|1", "1: run only when nobody else wants to"},
        {"cpuset-cpus", 0, &cpuset_cpus, "LIST", "CPUs to use: 0-3,7"},
        {"cpuset-mems", 0, &cpuset_mems, "LIST", "memory nodes to use"},
        {"memory", 0, &memory, "BYTES", "limit of memory; k, m and g may follow; -1 for no limit"},
        {"memory-reservation", 0, &memory_reservation, "BYTES",
         "memory that is kept when the host runs short"},
        {"memory-swap", 0, &memory_swap, "BYTES",
         "limit of memory and swap together; -1 for no limit"},
        {"memory-swappiness", 0, &memory_swappiness, "N", "readiness to swap, 0 to 100"},
        {"kernel-memory", 0, &kernel_memory, "BYTES", ""},
        {"kernel-memory-tcp", 0, &kernel_memory_tcp, "BYTES", ""},
        {"pids-limit", 0, &pids_limit, "N", "limit of processes and threads; -1 for no limit"},
        {"l3-cache-schema", 0, &l3_cache_schema, "SCHEMA", ""},
        {"mem-bw-schema", 0, &mem_bw_schema, "SCHEMA", ""},
    };
  }
};

template <class Number>
Result<void> set_number(const Given& given, std::string_view flag, std::optional<Number>& target) {
  if (!given) return {};
  target = parse_number<Number>(*given);
  if (!target)
    return fail(ErrorKind::kUsage, "invalid value " + quoted(*given) + " for flag -" +
                                       std::string(flag) + ": a number is expected");
  return {};
}

Result<void> set_size(const Given& given, std::string_view flag,
                      std::optional<std::int64_t>& target) {
  if (!given) return {};
  target = parse_byte_size(*given);
  if (!target)
    return fail(ErrorKind::kUsage,
                "invalid value " + quoted(*given) + " for flag -" + std::string(flag) +
                    ": a number of bytes is expected, with k, m or g behind it if you like");
  return {};
}

Result<void> set_cpu(const UpdateFlags& given, oci::Resources& resources) {
  oci::CpuLimits cpu = resources.cpu.value_or(oci::CpuLimits{});
  TRY(set_number(given.cpu_period, "cpu-period", cpu.period));
  TRY(set_number(given.cpu_quota, "cpu-quota", cpu.quota));
  TRY(set_number(given.cpu_burst, "cpu-burst", cpu.burst));
  TRY(set_number(given.cpu_share, "cpu-share", cpu.shares));
  TRY(set_number(given.cpu_rt_period, "cpu-rt-period", cpu.realtime_period));
  TRY(set_number(given.cpu_rt_runtime, "cpu-rt-runtime", cpu.realtime_runtime));
  TRY(set_number(given.cpu_idle, "cpu-idle", cpu.idle));
  if (given.cpuset_cpus) cpu.cpus = *given.cpuset_cpus;
  if (given.cpuset_mems) cpu.mems = *given.cpuset_mems;
  const bool any = given.cpu_period || given.cpu_quota || given.cpu_burst || given.cpu_share ||
                   given.cpu_rt_period || given.cpu_rt_runtime || given.cpu_idle ||
                   given.cpuset_cpus || given.cpuset_mems;
  if (any) resources.cpu = std::move(cpu);
  return {};
}

Result<void> set_memory(const UpdateFlags& given, oci::Resources& resources) {
  oci::MemoryLimits memory = resources.memory.value_or(oci::MemoryLimits{});
  TRY(set_size(given.memory, "memory", memory.limit));
  TRY(set_size(given.memory_reservation, "memory-reservation", memory.reservation));
  TRY(set_size(given.memory_swap, "memory-swap", memory.swap));
  TRY(set_size(given.kernel_memory, "kernel-memory", memory.kernel));
  TRY(set_size(given.kernel_memory_tcp, "kernel-memory-tcp", memory.kernel_tcp));
  TRY(set_number(given.memory_swappiness, "memory-swappiness", memory.swappiness));
  const bool any = given.memory || given.memory_reservation || given.memory_swap ||
                   given.kernel_memory || given.kernel_memory_tcp || given.memory_swappiness;
  if (any) resources.memory = memory;
  return {};
}

Result<void> set_other(const UpdateFlags& given, oci::Resources& resources) {
  if (given.blkio_weight) {
    if (!resources.block_io) resources.block_io.emplace();
    TRY(set_number(given.blkio_weight, "blkio-weight", resources.block_io->weight));
  }
  return set_number(given.pids_limit, "pids-limit", resources.pids_limit);
}

Result<oci::Resources> read_resources(const std::string& path) {
  auto text = path == "-" ? read_fd(STDIN_FILENO, kLargestFile)
                          : read_file_at(AT_FDCWD, path.c_str(), kLargestFile);
  const std::string place =
      path == "-" ? "--resources from standard input" : "--resources " + quoted(path);
  if (!text) return std::unexpected(std::move(text).error().within(place));
  auto resources = oci::decode_resources(*text);
  if (!resources) return std::unexpected(std::move(resources).error().within(place));
  return resources;
}

Result<int> update(Invocation& invocation) {
  UpdateFlags given;
  const std::vector<Flag> flags = given.flags();
  TRY_ASSIGN(const auto arguments, invocation.parse(flags, 1, 1));
  if (!arguments) return 0;
  if (given.l3_cache_schema || given.mem_bw_schema)
    return fail(ErrorKind::kUnsupported,
                "the resctrl group of a running container cannot be changed",
                "leave out --l3-cache-schema and --mem-bw-schema");
  oci::Resources resources;
  if (!given.resources_file.empty()) {
    TRY_ASSIGN(resources, read_resources(given.resources_file));
  }
  TRY(set_cpu(given, resources));
  TRY(set_memory(given, resources));
  TRY(set_other(given, resources));
  TRY(oci::validate_resources(resources));
  TRY_ASSIGN(const std::string root, invocation.state_root());
  TRY(runtime::update_container(root, arguments->front(), resources));
  return 0;
}

}  // namespace

constexpr Command kUpdateCommand{
    .name = "update",
    .arguments = "CONTAINER",
    .summary = "Change the limits of a container",
    .description =
        "What is not named stays as it is. When one limit is refused, none is changed.\n\n"
        "Examples:\n"
        "  bulkhead-runtime update --memory 512m --pids-limit 100 web\n"
        "  echo '{\"cpu\": {\"quota\": 50000, \"period\": 100000}}' |\n"
        "    bulkhead-runtime update --resources - web\n",
    .run = update,
};

}  // namespace bulkhead::cli
