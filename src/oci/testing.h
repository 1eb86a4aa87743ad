// Files of tests/data, for the tests of this folder.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace bulkhead::oci {

inline std::filesystem::path test_data(const std::string& name) {
  return std::filesystem::path(BULKHEAD_TEST_DATA) / name;
}

inline std::string read_test_data(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::vector<std::filesystem::path> files_of(const std::string& directory) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(test_data(directory))) {
    files.push_back(entry.path());
  }
  return files;
}

}  // namespace bulkhead::oci
