// What checkpoint and restore do alike.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "isolation/host_facts.h"
#include "runtime/checkpoint.h"
#include "sys/fd.h"

namespace bulkhead::runtime {

// CRIU knows a joined network namespace by this name; runc and crun give it the same.
inline constexpr std::string_view kJoinedNetwork = "extRootNetNS";

// kPermission for everybody but the host's root.
Result<void> require_host_root(const isolation::HostFacts& host, std::string_view what);

// The directories of the images and of the log, open.
struct CriuPlaces {
  std::string image_path;
  std::string work_path;
  Fd images;
  Fd work;
};
enum class Missing { kMake, kRefuse };
Result<CriuPlaces> open_places(const CriuWish& wish, Missing missing);

// What the wish says, in CRIU's terms.
CriuOptions options_of(const CriuWish& wish, const CriuPlaces& places, std::string_view log_file);

// The path of the network namespace that the configuration joins; empty: none.
std::string joined_network(const oci::Spec& spec);

// Why CRIU says that it has failed, with the last errors of its log.
Error criu_failure(std::string_view what, const CriuPlaces& places, std::string_view log_file,
                   const CriuAnswer& answer);
// An error on the way, with the same.
Error with_log(Error error, const CriuPlaces& places, std::string_view log_file);

}  // namespace bulkhead::runtime
