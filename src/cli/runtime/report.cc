#include "cli/runtime/report.h"

#include <fcntl.h>

#include "base/text.h"
#include "cli/runtime/output.h"
#include "json/writer.h"
#include "runtime/record.h"
#include "sys/file.h"

namespace bulkhead::cli {
namespace {

// The hint in the same sentence: logs have one field for the message.
std::string one_line(const Error& error) {
  if (error.hint().empty()) return error.message();
  return error.message() + " (" + error.hint() + ")";
}

}  // namespace

void Report::warn(const Error& error) { warn(one_line(error)); }

std::string Report::entry(std::string_view level, std::string_view message,
                          std::span<const std::string> warnings) const {
  std::string out;
  if (format_ == LogFormat::kText) {
    for (const std::string& warning : warnings)
      out += "time=\"" + runtime::now_rfc3339() + "\" level=warning msg=" + quoted(warning, 4096) +
             "\n";
    return out + "time=\"" + runtime::now_rfc3339() + "\" level=" + std::string(level) +
           " msg=" + quoted(message, 4096) + "\n";
  }
  json::Writer writer(out);
  writer.begin_object();
  writer.member("level", level);
  writer.member("msg", message);
  writer.member("time", runtime::now_rfc3339());
  if (!warnings.empty()) {
    writer.key("warnings");
    writer.begin_array();
    for (const std::string& warning : warnings) writer.string(warning);
    writer.end_array();
  }
  writer.end_object();
  return out + "\n";
}

void Report::write_log(std::string_view text) const {
  const auto file = open_at(AT_FDCWD, path_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (!file || !write_all(file->get(), text.data(), text.size()))
    print_error("bulkhead-runtime: cannot write the log file " + quoted(path_) + "\n");
}

void Report::finish() {
  if (path_.empty()) {
    for (const std::string& warning : warnings_)
      print_error("bulkhead-runtime: warning: " + warning + "\n");
    return;
  }
  for (const std::string& warning : warnings_) write_log(entry("warning", warning, {}));
}

void Report::finish(const Error& error) {
  std::string text;
  if (path_.empty()) {
    for (const std::string& warning : warnings_)
      text += "bulkhead-runtime: warning: " + warning + "\n";
  } else {
    write_log(entry("error", one_line(error), warnings_));
  }
  text += "bulkhead-runtime: " + error.message() + "\n";
  if (!error.hint().empty()) text += "  " + error.hint() + "\n";
  print_error(text);
}

}  // namespace bulkhead::cli
