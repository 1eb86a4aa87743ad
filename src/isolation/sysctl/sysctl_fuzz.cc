// Names and values of parameters from the input ("name=value"): what is accepted leads beneath the few
// places that namespaces own, by a path without tricks, and is written as one line.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "isolation/sysctl/sysctl.h"

using namespace bulkhead::isolation;
namespace oci = bulkhead::oci;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

void check(const Sysctls::Setting& setting) {
  const std::string& path = setting.path;
  require(path.starts_with("sys/net/") || path.starts_with("sys/fs/mqueue/") ||
          path.starts_with("sys/kernel/msg") || path.starts_with("sys/kernel/sem") ||
          path.starts_with("sys/kernel/shm") || path == "sys/kernel/auto_msgmni" ||
          path == "sys/kernel/domainname");
  require(!has(path, "//") && !has(path, "/../") && !has(path, "/./"));
  require(!path.ends_with("/") && !path.ends_with("/..") && !path.ends_with("/."));
  require(path.find('\0') == std::string::npos);
  require(setting.value.find('\n') == setting.value.size() - 1);
  require(setting.value.find_first_of("+=|$;") == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t equals = input.find('=');
  oci::Spec spec;
  spec.linux_.namespaces = {{oci::NamespaceType::kNetwork, ""},
                            {oci::NamespaceType::kIpc, ""},
                            {oci::NamespaceType::kUts, "/proc/1/ns/uts"}};
  const bool has_value = equals != std::string_view::npos;
  spec.linux_.sysctl[std::string(input.substr(0, equals))] =
      has_value ? std::string(input.substr(equals + 1)) : "1";
  HostFacts host;
  host.namespaces.fill(1);
  const auto plan = Sysctls::describe({.spec = spec}, host);
  if (!plan) return 0;
  for (const Sysctls::Setting& setting : plan->settings) check(setting);
  return 0;
}
