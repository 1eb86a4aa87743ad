// Writes tars for tests, honest and hostile ones: nothing is checked. Included by tests only.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bulkhead::storage::testing {

struct TarEntry {
  std::string name;
  char type = '0';
  std::string content = {};
  std::string link = {};
  unsigned mode = 0644;
  unsigned uid = 0;
  unsigned gid = 0;
  unsigned major = 0;
  unsigned minor = 0;
  // Records of a pax header before the entry.
  std::vector<std::pair<std::string, std::string>> pax = {};
};

class TarWriter {
 public:
  TarWriter& add(const TarEntry& entry) {
    if (!entry.pax.empty()) append("pax", 'x', pax_body(entry.pax), {});
    append(entry.name, entry.type, entry.content, entry);
    return *this;
  }
  TarWriter& file(std::string name, std::string content, unsigned mode = 0644) {
    return add({.name = std::move(name), .content = std::move(content), .mode = mode});
  }
  TarWriter& directory(std::string name, unsigned mode = 0755) {
    return add({.name = std::move(name), .type = '5', .mode = mode});
  }
  TarWriter& symlink(std::string name, std::string target) {
    return add({.name = std::move(name), .type = '2', .link = std::move(target), .mode = 0777});
  }
  TarWriter& hard_link(std::string name, std::string target) {
    return add({.name = std::move(name), .type = '1', .link = std::move(target)});
  }
  std::string finish() const { return bytes_ + std::string(1024, '\0'); }

 private:
  static std::string pax_body(const std::vector<std::pair<std::string, std::string>>& records) {
    std::string body;
    for (const auto& [key, value] : records) {
      const std::string rest = " " + key + "=" + value + "\n";
      std::size_t length = rest.size();
      while (std::to_string(length).size() + rest.size() != length)
        length = std::to_string(length).size() + rest.size();
      body += std::to_string(length) + rest;
    }
    return body;
  }

  void append(const std::string& name, char type, const std::string& content,
              const TarEntry& entry) {
    std::array<char, 512> header{};
    const auto number = [&](std::size_t at, int width, std::uint64_t value) {
      std::snprintf(header.data() + at, static_cast<std::size_t>(width), "%0*llo", width - 1,
                    static_cast<unsigned long long>(value));
    };
    const auto text = [&](std::size_t at, std::size_t width, std::string_view value) {
      std::memcpy(header.data() + at, value.data(), std::min(width, value.size()));
    };
    text(0, 100, name);
    number(100, 8, entry.mode);
    number(108, 8, entry.uid);
    number(116, 8, entry.gid);
    number(124, 12, content.size());
    number(136, 12, 1'000'000'000);
    header[156] = type;
    text(157, 100, entry.link);
    text(257, 8, std::string_view("ustar\00000", 8));
    number(329, 8, entry.major);
    number(337, 8, entry.minor);
    std::memset(header.data() + 148, ' ', 8);
    unsigned sum = 0;
    for (const char c : header) sum += static_cast<unsigned char>(c);
    std::snprintf(header.data() + 148, 8, "%06o", sum);
    bytes_.append(header.data(), header.size());
    bytes_ += content;
    bytes_.append((512 - content.size() % 512) % 512, '\0');
  }

  std::string bytes_;
};

}  // namespace bulkhead::storage::testing
