// manifest.json of the archives that `docker save` makes: which members are which image's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead::oci {

struct DockerArchiveImage {
  std::string config;                  // names of members
  std::vector<std::string> repo_tags;  // "busybox:latest"
  std::vector<std::string> layers;     // the lowest first
};

Result<std::vector<DockerArchiveImage>> decode_docker_archive(std::string_view text);
std::string encode_docker_archive(const std::vector<DockerArchiveImage>& images);

}  // namespace bulkhead::oci
