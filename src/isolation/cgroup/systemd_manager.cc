#include "isolation/cgroup/systemd_manager.h"

#include <cstdlib>

#include "base/text.h"

namespace bulkhead::isolation::cgroup {
namespace {

constexpr std::string_view kDestination = "org.freedesktop.systemd1";
constexpr std::string_view kPath = "/org/freedesktop/systemd1";
constexpr std::string_view kManager = "org.freedesktop.systemd1.Manager";

Error no_manager(const std::string& what) {
  return {ErrorKind::kUnsupported, "the systemd cgroup driver was asked for, but " + what,
          "use the cgroupfs driver (leave out --systemd-cgroup), or start systemd"};
}

}  // namespace

Result<SystemdManager> SystemdManager::connect(bool system) {
  if (system) return connect_to("/run/systemd/private");
  const char* directory = std::getenv("XDG_RUNTIME_DIR");
  if (directory == nullptr || directory[0] != '/')
    return std::unexpected(
        no_manager("XDG_RUNTIME_DIR, where a user's systemd has its socket, is not set"));
  return connect_to(std::string(directory) + "/systemd/private");
}

Result<SystemdManager> SystemdManager::connect_to(const std::string& socket) {
  auto peer = DbusPeer::connect(socket);
  if (!peer && (peer.error().kind() == ErrorKind::kNotFound ||
                peer.error().message().find("refused") != std::string::npos))
    return std::unexpected(no_manager("no systemd listens at " + socket));
  if (!peer) return std::unexpected(std::move(peer).error().within("systemd"));
  // Pids are handed over as numbers: they must mean the same to both.
  if (peer->peer_pid() == 0)
    return std::unexpected(no_manager("systemd runs in another pid namespace"));
  SystemdManager manager(std::move(*peer));
  TRY_WITHIN("systemd", manager.read_root());
  return manager;
}

Result<DbusMessage> SystemdManager::call(std::string_view member, std::string_view signature,
                                         const DbusBody& body, DbusFailure* failure) {
  return peer_.call({kDestination, kPath, kManager, member, signature}, body, failure);
}

Result<void> SystemdManager::read_root() {
  DbusBody body;
  body.string(kManager).string("ControlGroup");
  TRY_ASSIGN(
      const DbusMessage answer,
      peer_.call({kDestination, kPath, "org.freedesktop.DBus.Properties", "Get", "ss"}, body));
  DbusReader reader(answer.body);
  const auto type = reader.signature();
  const auto group = type == "s" ? reader.string() : std::nullopt;
  if (!group || (!group->empty() && group->front() != '/') ||
      group->find("/..") != std::string_view::npos)
    return fail(ErrorKind::kSystem, "it does not say in which cgroup its units are");
  root_ = *group == "/" ? "" : *group;
  return {};
}

Result<void> SystemdManager::start_scope(const SystemdUnit& unit, HostPid init,
                                         const std::vector<DbusProperty>& properties) {
  std::vector<DbusProperty> all = {
      {"Description", {std::string("container ") + unit.name}},
      {"Slice", {unit.slice}},
      {"Delegate", {true}},
      {"DefaultDependencies", {false}},
      {"CollectMode", {std::string("inactive-or-failed")}},
      {"PIDs", {std::vector<std::uint32_t>{static_cast<std::uint32_t>(init.value())}}},
  };
  for (const DbusProperty& property : properties) {
    std::erase_if(all, [&](const DbusProperty& own) { return own.name == property.name; });
    all.push_back(property);
  }
  DbusBody body;
  body.string(unit.name).string("fail").properties(all).empty_array(8);
  for (bool again = false;; again = true) {
    DbusFailure failure;
    auto started = call("StartTransientUnit", "ssa(sv)a(sa(sv))", body, &failure);
    if (started) {
      const auto job = DbusReader(started->body).string();
      if (!job)
        return fail(ErrorKind::kSystem, "systemd: StartTransientUnit answered without a job");
      TRY_ASSIGN(const std::string result, result_of(*job));
      if (result == "done") return {};
      return fail(
          ErrorKind::kSystem,
          "systemd: making the scope " + unit.name + ": the job's result is " + quoted(result),
          "the system's journal says more (journalctl -u " + unit.name + ")");
    }
    if (failure.name != "org.freedesktop.systemd1.UnitExists" || again)
      return std::unexpected(
          std::move(started).error().within("systemd: making the scope " + unit.name));
    DbusBody name;
    name.string(unit.name);
    (void)call("ResetFailedUnit", "s", name);
  }
}

Result<std::string> SystemdManager::result_of(std::string_view job) {
  for (;;) {
    TRY_ASSIGN(const DbusMessage signal, peer_.wait_for_signal("JobRemoved"));
    DbusReader reader(signal.body);
    (void)reader.uint32();
    const auto path = reader.string();
    if (!path || *path != job) continue;
    (void)reader.string();
    return std::string(reader.string().value_or("unknown"));
  }
}

Result<void> SystemdManager::stop(const std::string& unit) {
  DbusFailure failure;
  auto stopped = call("StopUnit", "ss", DbusBody().string(unit).string("replace"), &failure);
  if (!stopped && failure.name == "org.freedesktop.systemd1.NoSuchUnit") return {};
  if (!stopped)
    return std::unexpected(std::move(stopped).error().within("systemd: ending " + unit));
  const auto job = DbusReader(stopped->body).string();
  if (!job) return fail(ErrorKind::kSystem, "systemd: StopUnit answered without a job");
  TRY(result_of(*job));
  return {};
}

Result<void> SystemdManager::set_properties(const std::string& unit,
                                            const std::vector<DbusProperty>& properties) {
  if (properties.empty()) return {};
  DbusBody body;
  body.string(unit).boolean(true).properties(properties);
  TRY_WITHIN("systemd: changing the limits of " + unit, call("SetUnitProperties", "sba(sv)", body));
  return {};
}

}  // namespace bulkhead::isolation::cgroup
