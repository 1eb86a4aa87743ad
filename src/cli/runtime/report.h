// Where errors and warnings go: standard error, and the file that --log names.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead::cli {

enum class LogFormat { kText, kJson };

// Callers read a JSON log as one object: when the command fails, exactly one is written, with the
// warnings inside; when it succeeds, each warning is a line of its own.
class Report {
 public:
  void to_file(std::string path, LogFormat format) { path_ = std::move(path), format_ = format; }

  void warn(std::string message) { warnings_.push_back(std::move(message)); }
  void warn(const Error& error);

  // At the end of the command.
  void finish();
  void finish(const Error& error);

 private:
  std::string entry(std::string_view level, std::string_view message,
                    std::span<const std::string> warnings) const;
  void write_log(std::string_view text) const;

  std::string path_;
  LogFormat format_ = LogFormat::kText;
  std::vector<std::string> warnings_;
};

}  // namespace bulkhead::cli
