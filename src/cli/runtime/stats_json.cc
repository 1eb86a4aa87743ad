#include "cli/runtime/stats_json.h"

#include <array>
#include <charconv>

#include "json/writer.h"

namespace bulkhead::cli {
namespace {

using json::Writer;

void member_if(Writer& writer, std::string_view name, const std::optional<std::uint64_t>& value) {
  if (value) writer.member(name, *value);
}

void write_percent(Writer& writer, std::string_view name, double value) {
  std::array<char, 32> text;
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed, 2).ptr;
  writer.key(name);
  writer.value(json::Value::fraction({text.data(), static_cast<std::size_t>(end - text.data())}));
}

void write_pressure_line(Writer& writer, std::string_view name,
                         const isolation::PressureLine& line) {
  writer.key(name);
  writer.begin_object();
  write_percent(writer, "avg10", line.avg10);
  write_percent(writer, "avg60", line.avg60);
  write_percent(writer, "avg300", line.avg300);
  writer.member("total", line.total);
  writer.end_object();
}

void write_pressure(Writer& writer, const std::optional<isolation::Pressure>& pressure) {
  if (!pressure) return;
  writer.key("psi");
  writer.begin_object();
  write_pressure_line(writer, "some", pressure->some);
  write_pressure_line(writer, "full", pressure->full);
  writer.end_object();
}

void write_cpu(Writer& writer, const isolation::CpuStats& cpu) {
  writer.key("cpu");
  writer.begin_object();
  writer.key("usage");
  writer.begin_object();
  member_if(writer, "total", cpu.usage_ns);
  if (!cpu.per_cpu_ns.empty()) {
    writer.key("percpu");
    writer.begin_array();
    for (const std::uint64_t value : cpu.per_cpu_ns) writer.integer(value);
    writer.end_array();
  }
  writer.member("kernel", cpu.system_ns.value_or(0));
  writer.member("user", cpu.user_ns.value_or(0));
  writer.end_object();
  writer.key("throttling");
  writer.begin_object();
  member_if(writer, "periods", cpu.periods);
  member_if(writer, "throttledPeriods", cpu.throttled_periods);
  member_if(writer, "throttledTime", cpu.throttled_ns);
  writer.end_object();
  if (cpu.bursts || cpu.burst_ns) {
    writer.key("burst");
    writer.begin_object();
    member_if(writer, "burstsPeriods", cpu.bursts);
    member_if(writer, "burstTime", cpu.burst_ns);
    writer.end_object();
  }
  write_pressure(writer, cpu.pressure);
  writer.end_object();
}

void write_counter(Writer& writer, std::string_view name, const isolation::MemoryCounter& counter) {
  writer.key(name);
  writer.begin_object();
  writer.member("limit", counter.limit.value_or(0));
  member_if(writer, "usage", counter.usage);
  member_if(writer, "max", counter.peak);
  writer.member("failcnt", counter.failures.value_or(0));
  writer.end_object();
}

void write_memory(Writer& writer, const isolation::MemoryStats& memory) {
  writer.key("memory");
  writer.begin_object();
  member_if(writer, "cache", memory.cache);
  write_counter(writer, "usage", memory.memory);
  write_counter(writer, "swap", memory.swap);
  write_counter(writer, "kernel", memory.kernel);
  write_counter(writer, "kernelTCP", memory.kernel_tcp);
  if (!memory.raw.empty()) {
    writer.key("raw");
    writer.begin_object();
    for (const auto& [name, value] : memory.raw) writer.member(name, value);
    writer.end_object();
  }
  write_pressure(writer, memory.pressure);
  writer.end_object();
}

void write_pids(Writer& writer, const isolation::PidsStats& pids) {
  writer.key("pids");
  writer.begin_object();
  member_if(writer, "current", pids.current);
  // Unlimited is said by leaving the limit out.
  if (pids.limit && *pids.limit != UINT64_MAX) writer.member("limit", *pids.limit);
  writer.end_object();
}

void write_block_io_entries(Writer& writer, std::string_view name,
                            const std::vector<isolation::BlockIoEntry>& entries) {
  if (entries.empty()) return;
  writer.key(name);
  writer.begin_array();
  for (const isolation::BlockIoEntry& entry : entries) {
    writer.begin_object();
    writer.member("major", entry.major);
    writer.member("minor", entry.minor);
    writer.member("op", entry.operation);
    writer.member("value", entry.value);
    writer.end_object();
  }
  writer.end_array();
}

void write_block_io(Writer& writer, const isolation::BlockIoStats& block_io) {
  writer.key("blkio");
  writer.begin_object();
  write_block_io_entries(writer, "ioServiceBytesRecursive", block_io.service_bytes);
  write_block_io_entries(writer, "ioServicedRecursive", block_io.serviced);
  write_pressure(writer, block_io.pressure);
  writer.end_object();
}

void write_hugetlb(Writer& writer, const std::map<std::string, isolation::HugetlbStats>& hugetlb) {
  writer.key("hugetlb");
  writer.begin_object();
  for (const auto& [size, stats] : hugetlb) {
    writer.key(size);
    writer.begin_object();
    member_if(writer, "usage", stats.usage);
    member_if(writer, "max", stats.peak);
    writer.member("failcnt", stats.failures.value_or(0));
    writer.end_object();
  }
  writer.end_object();
}

}  // namespace

std::string stats_event(std::string_view id, const isolation::CgroupStats& stats) {
  std::string text;
  Writer writer(text);
  writer.begin_object();
  writer.member("type", "stats");
  writer.member("id", id);
  writer.key("data");
  writer.begin_object();
  write_cpu(writer, stats.cpu);
  write_memory(writer, stats.memory);
  write_pids(writer, stats.pids);
  write_block_io(writer, stats.block_io);
  write_hugetlb(writer, stats.hugetlb);
  writer.end_object();
  writer.end_object();
  return text + "\n";
}

std::string oom_event(std::string_view id) {
  std::string text;
  Writer writer(text);
  writer.begin_object();
  writer.member("type", "oom");
  writer.member("id", id);
  writer.end_object();
  return text + "\n";
}

}  // namespace bulkhead::cli
