#include <algorithm>

#include "base/text.h"
#include "cli/bulkhead/command.h"
#include "cli/bulkhead/docker_words.h"
#include "cli/bulkhead/options.h"
#include "cli/bulkhead/ps_rows.h"
#include "engine/containers.h"

namespace bulkhead::cli::engine {
namespace {

using bulkhead::engine::ListedContainer;

Result<int> ps(const Invocation& invocation) {
  bool all = false;
  bool quiet = false;
  bool latest = false;
  bool full = false;
  std::optional<std::string> last;
  std::string format = "table";
  std::vector<std::string> filters;
  const Option options[] = {
      {"all", 'a', &all, "", "also containers that do not run"},
      {"filter", 'f', &filters, "KEY=VALUE",
       "only those with this status, name, id, label, ancestor, exited, health, network or volume, "
       "or "
       "made before or since another"},
      {"format", 0, &format, "FORMAT", "table (default), json, or a Go template"},
      {"last", 'n', &last, "NUMBER", "the last created ones, whether they run or not"},
      {"latest", 'l', &latest, "", "the last created one"},
      {"no-trunc", 0, &full, "", "show ids and commands in full"},
      {"quiet", 'q', &quiet, "", "print ids alone"},
  };
  TRY_ASSIGN(const Words words,
             parse({options, docker_options("ps")}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print("Usage: bulkhead ps [OPTIONS]\n\nLists containers, the youngest first.\n\nOptions:\n" +
          describe(options) +
          "\nA dead container is one whose bulkhead run in the foreground was killed: bulkhead rm "
          "--dead\nclears it away.\n\nExamples:\n  bulkhead ps --filter status=exited --quiet\n"
          "  bulkhead ps --format 'table {{.Names}}\\t{{.Status}}'\n");
    return 0;
  }
  if (!words.positional.empty()) return fail(ErrorKind::kUsage, "ps takes no arguments");
  TRY_ASSIGN(ContainerFilter filter, ContainerFilter::read(filters));
  std::size_t most = latest ? 1 : static_cast<std::size_t>(-1);
  if (last) {
    const auto number = parse_number<std::uint32_t>(*last);
    if (!number)
      return fail(ErrorKind::kUsage, "--last " + quoted(*last) + ": a number is expected");
    most = *number;
  }
  TRY_ASSIGN(auto containers, bulkhead::engine::list(invocation.store));
  TRY(filter.look_up(containers));
  const bool also_ended = all || latest || last || filter.names_status();
  std::erase_if(containers, [&](const ListedContainer& container) {
    return (!also_ended && !bulkhead::engine::runs(container.status) &&
            container.status != bulkhead::engine::ContainerStatus::kRestarting) ||
           !filter.matches(container);
  });
  if (containers.size() > most) containers.resize(most);
  if (quiet) {
    for (const ListedContainer& container : containers)
      print((full ? container.id : container.id.substr(0, 12)) + "\n");
    return 0;
  }
  TRY_ASSIGN(const std::string text, format_rows(containers, format, full));
  print(text);
  return 0;
}

}  // namespace

const Command kPsCommand{"ps", "[OPTIONS]", "list containers", ps, kSomeFailed, true};

}  // namespace bulkhead::cli::engine
