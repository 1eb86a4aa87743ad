#include "isolation/time/time.h"

#include <sched.h>
#include <sys/prctl.h>

#include <array>

#include "base/text.h"
#include "sys/file.h"

namespace bulkhead::isolation {
namespace {

constexpr const char* kOffsets = "self/timens_offsets";
constexpr const char* kForChildren = "self/ns/time_for_children";

void append_line(std::string& text, std::string_view clock, const TimeNamespace::Offset& offset) {
  if (offset == TimeNamespace::Offset{}) return;
  text.append(clock).append(" ").append(std::to_string(offset.seconds)).append(" ");
  text.append(std::to_string(offset.nanoseconds)).append("\n");
}

std::string in_words(const TimeNamespace::Offset& offset) {
  std::string fraction = std::to_string(offset.nanoseconds);
  fraction.insert(0, 9 - fraction.size(), '0');
  return std::to_string(offset.seconds) + " s + 0." + fraction + " s";
}

// Next number in a line of blank-separated fields.
template <class Number>
std::optional<Number> next_number(std::string_view& line) noexcept {
  while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  return parse_number<Number>(next_field(line, ' '));
}

// One line as the kernel prints it ("monotonic  86400  0"); nothing of it is another clock's.
bool line_says(std::string_view text, std::string_view clock,
               const TimeNamespace::Offset& wanted) noexcept {
  while (!text.empty()) {
    std::string_view line = next_field(text, '\n');
    if (!line.starts_with(clock)) continue;
    line.remove_prefix(clock.size());
    const auto seconds = next_number<std::int64_t>(line);
    const auto nanoseconds = next_number<std::uint32_t>(line);
    return seconds == wanted.seconds && nanoseconds == wanted.nanoseconds;
  }
  return false;
}

SysResult<void> write_offsets(const TimeNamespace::Plan& plan, ChildContext& child) noexcept {
  auto written = write_file_at(child.proc, kOffsets, plan.offsets);
  if (written || written.error().error != EACCES) return written;
  // In a user namespace the file is not ours while we are not dumpable: /proc then gives it to the
  // host's root. Dumpable for this one write: nobody else is in these namespaces yet.
  if (::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) return sys_fail("prctl(PR_SET_DUMPABLE)");
  written = write_file_at(child.proc, kOffsets, plan.offsets);
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return sys_fail("prctl(PR_SET_DUMPABLE)");
  return written;
}

}  // namespace

Result<TimeNamespace::Plan> TimeNamespace::describe(const Request& request, const HostFacts& host) {
  Plan plan;
  TRY_ASSIGN(static_cast<NamespacePlan&>(plan),
             plan_namespace(oci::NamespaceType::kTime, request, host));
  for (const auto& [clock, offset] : request.spec.linux_.time_offsets) {
    const std::string where = "/linux/timeOffsets/" + clock;
    if (clock != "monotonic" && clock != "boottime")
      return fail(ErrorKind::kInvalid, "/linux/timeOffsets: no clock " + quoted(clock),
                  "the kernel can shift \"monotonic\" and \"boottime\"");
    if (offset.nanosecs >= 1'000'000'000U)
      return fail(
          ErrorKind::kInvalid,
          where + "/nanosecs: " + std::to_string(offset.nanosecs) + " is not below 1000000000",
          "put whole seconds into secs");
    if (plan.wish != NamespaceWish::kNew && plan.wish != NamespaceWish::kInside)
      return fail(ErrorKind::kInvalid,
                  where + ": offsets need a time namespace of the container's own",
                  "add {\"type\": \"time\"} without a path to /linux/namespaces");
    (clock == "monotonic" ? plan.monotonic : plan.boottime) = {offset.secs, offset.nanosecs};
  }
  append_line(plan.offsets, "monotonic", plan.monotonic);
  append_line(plan.offsets, "boottime", plan.boottime);
  return plan;
}

Explanation TimeNamespace::explain(const Plan& plan) {
  Explanation explanation = explain_namespace(plan, "its monotonic and boot clocks are the host's");
  // A shared clock is what everybody expects of a container, and no door that somebody opened.
  if (!plan.own()) explanation.standing = Standing::kNotApplicable;
  if (plan.wish != NamespaceWish::kNew) return explanation;
  explanation.facts.push_back({"monotonic", in_words(plan.monotonic), ""});
  explanation.facts.push_back({"boottime", in_words(plan.boottime), ""});
  return explanation;
}

SysResult<void> TimeNamespace::apply(const Plan& plan, ChildContext& child) noexcept {
  TRY(enter_namespace(plan, child));
  if (plan.wish != NamespaceWish::kNew) return {};
  if (!plan.offsets.empty()) TRY(write_offsets(plan, child));
  // unshare(2) has made the namespace for our children only, and not every kernel moves the process
  // itself at execve (6.3 and later do). setns(2) does on all.
  TRY_ASSIGN(const Fd for_children, open_at(child.proc, kForChildren, O_RDONLY));
  if (::setns(for_children.get(), static_cast<int>(namespace_flag(plan.type))) != 0)
    return sys_fail("setns", kForChildren);
  return {};
}

SysResult<void> TimeNamespace::verify(const Plan& plan, ChildContext& child) noexcept {
  TRY(verify_namespace(plan, child));
  if (plan.wish != NamespaceWish::kNew || plan.offsets.empty()) return {};
  std::array<char, 256> buffer;
  TRY_ASSIGN(const std::string_view text, read_small_file_at(child.proc, kOffsets, buffer));
  if (!line_says(text, "monotonic", plan.monotonic))
    return not_held("the offset is another", "monotonic");
  if (!line_says(text, "boottime", plan.boottime))
    return not_held("the offset is another", "boottime");
  return {};
}

}  // namespace bulkhead::isolation
