#include "cli/bulkhead/docker_words.h"

#include <algorithm>
#include <array>

namespace bulkhead::cli::engine {
namespace {

constexpr std::string_view kCheckpoints = "the engine keeps no checkpoints";
constexpr std::string_view kUseCheckpoint =
    "bulkhead-runtime checkpoint and restore do that for containers of the runtime";
constexpr std::string_view kOnePlatform = "an image here has one platform, that it was pulled for";
constexpr std::string_view kPullPlatform = "choose it when pulling: bulkhead pull --platform";
constexpr std::string_view kTrust = "Docker's content trust is not used";
constexpr std::string_view kUseDigest = "name the image by its digest: NAME@sha256:...";
constexpr std::string_view kSizes = "the sizes of containers are not counted here";
constexpr std::string_view kUseDf = "bulkhead system df --verbose counts them";

constexpr Unsupported kStart[] = {{"checkpoint", 0, kCheckpoints, kUseCheckpoint},
                                  {"checkpoint-dir", 0, kCheckpoints, kUseCheckpoint}};
constexpr Unsupported kRm[] = {
    {"link", 'l', "there are no links between containers", "leave it out"}};
constexpr Unsupported kContainerPrune[] = {
    {"filter", 0, "it removes all that do not run",
     "bulkhead ps --quiet --filter status=exited --filter label=... | xargs bulkhead rm"}};
constexpr Unsupported kPs[] = {{"size", 's', kSizes, kUseDf}};
constexpr Unsupported kExec[] = {
    {"detach-keys", 0, "a command of exec cannot be left alone with its terminal",
     "start it with --detach, or use attach on the container's first process"}};
constexpr Unsupported kInspect[] = {{"size", 's', kSizes, kUseDf}};
constexpr Unsupported kUpdate[] = {
    {"kernel-memory", 0, "Linux has no such limit any more", "--memory counts the kernel's, too"}};
constexpr Unsupported kImages[] = {
    {"tree", 0, "an image here has one platform: there is no tree", "leave it out"}};
constexpr Unsupported kRmi[] = {
    {"no-prune", 0, "there are no parents that are images of their own", "leave it out"},
    {"platform", 0, kOnePlatform, "name the image by its id"}};
constexpr Unsupported kSave[] = {{"platform", 0, kOnePlatform, kPullPlatform}};
constexpr Unsupported kLoad[] = {{"platform", 0,
                                  "of an archive with several platforms this machine's is taken",
                                  "for another one: bulkhead pull --platform"}};
constexpr Unsupported kHistory[] = {{"platform", 0, kOnePlatform, kPullPlatform}};
constexpr Unsupported kImageInspect[] = {{"platform", 0, kOnePlatform, kPullPlatform}};
constexpr Unsupported kPull[] = {{"disable-content-trust", 0, kTrust, kUseDigest}};
constexpr Unsupported kPush[] = {{"disable-content-trust", 0, kTrust, "leave it out"},
                                 {"platform", 0, kOnePlatform, kPullPlatform}};

struct OfCommand {
  std::string_view command;
  std::span<const Unsupported> options;
};
constexpr OfCommand kOptions[] = {
    {"start", kStart},
    {"rm", kRm},
    {"ps", kPs},
    {"container prune", kContainerPrune},
    {"exec", kExec},
    {"inspect", kInspect},
    {"update", kUpdate},
    {"images", kImages},
    {"rmi", kRmi},
    {"save", kSave},
    {"load", kLoad},
    {"history", kHistory},
    {"image inspect", kImageInspect},
    {"pull", kPull},
    {"push", kPush},
};
constexpr auto kNames = [] {
  std::array<std::string_view, std::size(kOptions)> names;
  for (std::size_t i = 0; i < names.size(); ++i) names[i] = kOptions[i].command;
  return names;
}();

constexpr std::string_view kNoBuilder = "Bulkhead does not build images yet";
constexpr std::string_view kBuildElsewhere =
    "build with buildah or docker, then: docker save NAME | bulkhead load";
constexpr std::string_view kNoNetworks = "networks of the container's own do not exist yet";
constexpr std::string_view kUseHost =
    "--network none (the default) or --network host are what there is";
constexpr std::string_view kOneHost = "it is Docker's for many hosts, and Bulkhead is for one";
constexpr std::string_view kNoDaemon = "there is no daemon";

constexpr Unsupported kCommands[] = {
    {"build", 0, kNoBuilder, kBuildElsewhere},
    {"builder", 0, kNoBuilder, kBuildElsewhere},
    {"buildx", 0, kNoBuilder, kBuildElsewhere},
    {"checkpoint", 0, kCheckpoints, kUseCheckpoint},
    {"commit", 0, "containers do not become images yet",
     "tar what belongs into the image: bulkhead exec NAME tar -c ... | bulkhead import - NAME"},
    {"compose", 0, "compose files are not read", "give each service a bulkhead run of its own"},
    {"config", 0, kOneHost, "give files to a container with --volume FILE:/...:ro"},
    {"context", 0, "there is no daemon that commands could be sent to",
     "run bulkhead on the host itself, over ssh"},
    {"diff", 0, "what a container changed is not listed yet", kUseDf},
    {"export", 0, "a container's files are not exported yet",
     "bulkhead cp NAME:/ - writes them, with what is mounted there"},
    {"manifest", 0, "lists of images are not edited", "skopeo and buildah do that"},
    {"network", 0, kNoNetworks, kUseHost},
    {"node", 0, kOneHost, "start containers on each host"},
    {"plugin", 0, kNoDaemon,
     "devices are described by CDI: bulkhead run --device VENDOR/CLASS=NAME"},
    {"port", 0, kNoNetworks, kUseHost},
    {"search", 0, "registries are not searched", "look on the registry's own page"},
    {"secret", 0, kOneHost, "give files to a container with --volume FILE:/...:ro"},
    {"service", 0, kOneHost, "bulkhead run --detach --restart always keeps one running"},
    {"stack", 0, kOneHost, "bulkhead run --detach --restart always keeps one running"},
    {"swarm", 0, kOneHost, "start containers on each host"},
    {"trust", 0, kTrust, kUseDigest},
};

}  // namespace

std::span<const Unsupported> docker_options(std::string_view command) {
  const auto found = std::ranges::find(kOptions, command, &OfCommand::command);
  return found == std::end(kOptions) ? std::span<const Unsupported>() : found->options;
}

std::span<const Unsupported> docker_commands() { return kCommands; }

std::span<const std::string_view> commands_with_docker_options() { return kNames; }

}  // namespace bulkhead::cli::engine
