// create, start and attach.
#include <sys/socket.h>

#include <csignal>

#include "base/text.h"
#include "cli/bulkhead/command.h"
#include "cli/bulkhead/docker_words.h"
#include "cli/bulkhead/each_container.h"
#include "cli/bulkhead/options.h"
#include "cli/bulkhead/run_options.h"
#include "engine/attach.h"
#include "engine/detached.h"
#include "engine/events.h"
#include "engine/life.h"
#include "runtime/terminal_pump.h"
#include "supervise/detach_keys.h"

namespace bulkhead::cli::engine {
namespace {

using bulkhead::engine::ListedContainer;
using supervise::MonitorClient;

Result<int> create(const Invocation& invocation) {
  bulkhead::engine::RunOptions options;
  options.store = invocation.store;
  TRY_ASSIGN(const bool wanted, parse_run(invocation.words, options));
  if (!wanted) {
    print(run_help("bulkhead create [OPTIONS] IMAGE [COMMAND...]"));
    return 0;
  }
  if (!options.result_file.empty())
    return fail(ErrorKind::kUsage, "--result goes with a run in the foreground",
                "bulkhead inspect tells how a container ended");
  TRY_ASSIGN(const std::string id, bulkhead::engine::create(options, print_warning));
  print(id + "\n");
  return 0;
}

bulkhead::engine::AttachChoices choices_for(const Invocation& invocation,
                                            const ListedContainer& container, bool input,
                                            bool proxy, std::string keys) {
  bulkhead::engine::AttachChoices choices;
  choices.input = input && container.record->open_stdin;
  choices.terminal = container.record->terminal;
  choices.proxy_signals = proxy;
  choices.detach_keys = std::move(keys);
  choices.signal = [&invocation, &container](int signal) {
    // Looked at anew: it may have been started since.
    const auto now = bulkhead::engine::find(invocation.store, container.id);
    if (now) (void)bulkhead::engine::kill(invocation.store, *now, signal);
  };
  return choices;
}

Result<int> attached(const Invocation& invocation, const ListedContainer& container,
                     MonitorClient& client, const bulkhead::engine::AttachChoices& choices) {
  const auto subject = bulkhead::engine::EventSubject::of(container);
  bulkhead::engine::record_event(invocation.store, subject, "attach");
  TRY_ASSIGN(const bulkhead::engine::AttachEnd end, bulkhead::engine::attach(client, choices));
  if (end.detached) bulkhead::engine::record_event(invocation.store, subject, "detach");
  if (end.detached) print("read escape sequence\n");
  return end.detached ? 0 : end.code;
}

Result<int> start_attached(const Invocation& invocation, const std::string& name, bool input,
                           bool proxy, std::string keys) {
  TRY_ASSIGN(const ListedContainer container, bulkhead::engine::find(invocation.store, name));
  if (!container.record)
    return fail(ErrorKind::kState, "container " + quoted(name) + " is running already");
  const auto choices = choices_for(invocation, container, input, proxy, std::move(keys));
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return std::unexpected(Error(SysError{"socketpair", errno}));
  MonitorClient client = MonitorClient::of_pair(Fd(ends[0]));
  bulkhead::engine::EarlyAttach early;
  early.monitors_end = Fd(ends[1]);
  early.streams = supervise::kStreamOutput | supervise::kStreamError;
  if (choices.input) early.streams |= supervise::kStreamInput;
  TRY(bulkhead::engine::start(invocation.store, container.id, print_warning, std::move(early)));
  TRY_ASSIGN(const int code, attached(invocation, container, client, choices));
  return code;
}

Result<int> start(const Invocation& invocation) {
  bool attach = false;
  bool interactive = false;
  bool proxy = true;
  std::string keys(supervise::kDefaultDetachKeys);
  const Option options[] = {
      {"attach", 'a', &attach, "", "show what it says, pass signals on, and its exit code"},
      {"interactive", 'i', &interactive, "", "also let it read our standard input"},
      {"sig-proxy", 0, &proxy, "", "pass signals on (default: true)"},
      {"detach-keys", 0, &keys, "KEYS", "keys that leave it running (ctrl-p,ctrl-q)"},
  };
  TRY_ASSIGN(const Words words,
             parse({options, docker_options("start")}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead start [OPTIONS] CONTAINER...\n\nStarts containers that do not run.\n"
        "\nOptions:\n" +
        describe(options));
    return 0;
  }
  TRY(want_containers(words.positional, "start"));
  TRY_ASSIGN(std::string sequence, supervise::parse_detach_keys(keys));
  if (attach || interactive) {
    if (words.positional.size() > 1)
      return fail(ErrorKind::kUsage, "one can attach to one container only");
    return start_attached(invocation, words.positional.front(), interactive, proxy,
                          std::move(sequence));
  }
  return for_each_container(
      invocation, words.positional, [&](const ListedContainer& container) -> Result<void> {
        // As Docker has it: what runs already is fine.
        if (container.status == bulkhead::engine::ContainerStatus::kRunning && container.record)
          return {};
        return bulkhead::engine::start(invocation.store, container.id, print_warning);
      });
}

Result<int> attach(const Invocation& invocation) {
  bool no_stdin = false;
  bool proxy = true;
  std::string keys(supervise::kDefaultDetachKeys);
  const Option options[] = {
      {"no-stdin", 0, &no_stdin, "", "do not let it read our standard input"},
      {"sig-proxy", 0, &proxy, "", "pass signals on (default: true)"},
      {"detach-keys", 0, &keys, "KEYS", "keys that leave it running (ctrl-p,ctrl-q)"},
  };
  TRY_ASSIGN(const Words words, parse({options}, invocation.words, Positionals::kAnywhere));
  if (words.help) {
    print(
        "Usage: bulkhead attach [OPTIONS] CONTAINER\n\nConnects our standard streams to those of "
        "a container that runs detached.\n\nOptions:\n" +
        describe(options));
    return 0;
  }
  if (words.positional.size() != 1)
    return fail(ErrorKind::kUsage, "one container is expected", "bulkhead attach CONTAINER");
  TRY_ASSIGN(std::string sequence, supervise::parse_detach_keys(keys));
  TRY_ASSIGN(const ListedContainer container,
             bulkhead::engine::find(invocation.store, words.positional.front()));
  if (container.status == bulkhead::engine::ContainerStatus::kPaused)
    return fail(ErrorKind::kState, "container " + quoted(container.name) + " is paused",
                "let it go on first: bulkhead unpause " + container.name);
  if (!bulkhead::engine::runs(container.status))
    return fail(ErrorKind::kState, "container " + quoted(container.name) + " is not running");
  TRY_ASSIGN(auto client, MonitorClient::connect(
                              bulkhead::engine::monitor_directory(invocation.store), container.id));
  if (!client || !container.record)
    return fail(ErrorKind::kState,
                "container " + quoted(container.name) + " has no monitor to attach to",
                container.record ? "it was killed; the container runs on without"
                                 : "it runs in the foreground of a bulkhead run");
  const auto choices = choices_for(invocation, container, !no_stdin, proxy, std::move(sequence));
  const auto size = runtime::own_terminal_size().value_or(oci::ConsoleSize{});
  std::uint8_t streams = supervise::kStreamOutput | supervise::kStreamError;
  if (choices.input) streams |= supervise::kStreamInput;
  TRY(client->attach(streams, size.height, size.width));
  return attached(invocation, container, *client, choices);
}

}  // namespace

const Command kCreateCommand{"create",
                             "[OPTIONS] IMAGE [COMMAND...]",
                             "make a container without starting it",
                             create,
                             kSomeFailed,
                             true};
const Command kStartCommand{
    "start", "[OPTIONS] CONTAINER...", "start containers", start, kSomeFailed, true};
const Command kAttachCommand{
    "attach", "[OPTIONS] CONTAINER", "connect to the streams of a container",
    attach,   kSomeFailed,           true};

}  // namespace bulkhead::cli::engine
