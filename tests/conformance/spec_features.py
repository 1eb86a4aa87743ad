"""features.md and features-linux.md: what a runtime says that it knows, it must know."""

import json
import re

from conform import Skip, complaints, conforms, equal, expect
from spec_hooks import Place, record
from spec_namespaces import MAPS


def features(bench):
    done = bench.call("features")
    if done.code != 0:
        raise Skip("this runtime has no features command, which it need not have")
    return json.loads(done.out)


def part(bench, *path):
    found = features(bench)
    for key in path:
        if found.get(key) is None:
            raise Skip(f"the features do not speak of {'.'.join(path)}")
        found = found[key]
    return found


def taken(bench, name, changes):
    done = bench.run(bench.config("true", changes))
    equal(done.code, 0, f"{name}: exit code ({done.err.strip()[-300:]})")


def known(bench, name, changes, complaint):
    """The element is understood; the host may still not have it."""
    done = bench.run(bench.config("true", changes))
    expect(done.code == 0 or not re.search(complaint, done.err),
           f"{name} is not known: {done.err.strip()[-300:]}")


def number(version):
    return tuple(int(word) for word in re.match(r"(\d+)\.(\d+)\.(\d+)", version).groups())


@conforms("features/version")
def the_oldest_and_the_newest_version_are_taken(bench):
    for field in ("ociVersionMin", "ociVersionMax"):
        taken(bench, field, {"ociVersion": part(bench, field)})


@conforms("features/version")
def the_newest_version_is_not_below_the_oldest(bench):
    found = features(bench)
    expect(number(found["ociVersionMin"]) <= number(found["ociVersionMax"]),
           f"{found['ociVersionMin']} to {found['ociVersionMax']}")


@conforms("features/version")
def the_features_say_what_the_schema_allows(bench):
    found = features(bench)
    equal(complaints("features", found), [], "the schema")
    known_fields = {"ociVersionMin", "ociVersionMax", "hooks", "mountOptions", "linux",
                    "annotations", "potentiallyUnsafeConfigAnnotations"}
    equal(set(found) - known_fields, set(), "properties that the specification does not define")


@conforms("features/nulls")
def empty_is_not_the_same_as_unknown(bench):
    # Nothing is said to be empty that the runtime in fact has.
    found = features(bench)
    for field in ("hooks", "mountOptions"):
        expect(found.get(field) != [], f"{field} is empty")
    for field in ("namespaces", "capabilities"):
        expect(found.get("linux", {}).get(field) != [], f"{field} is empty")


@conforms("features/hooks")
def every_kind_of_hook_that_is_named_runs(bench):
    place = Place(bench)
    stages = part(bench, "hooks")
    hooks = {stage: [place.hook(stage, record(stage))] for stage in stages}
    container = bench.started(place.config(hooks, "sleep 1000"))
    container.stop().good("delete")
    equal(sorted(place.order()), sorted(stages), "hooks that ran")


@conforms("features/mount-options")
def every_mount_option_that_is_named_is_known(bench):
    shared = bench.shared_directory()
    mounts = bench.config()["mounts"]
    for option in part(bench, "mountOptions"):
        mount = {"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": [option]}
        if option in ("bind", "rbind", "idmap", "ridmap", "remount", "acl", "noacl"):
            # These are seen in config/mount-options, or belong to other file systems.
            continue
        known(bench, option, {"mounts": mounts + [mount]},
              f"nknown .*option|invalid.*option|unsupported.*option|Invalid argument.*{shared}")


@conforms("features/annotations")
def annotations_map_names_to_texts(bench):
    found = features(bench).get("annotations") or {}
    expect(all(key and isinstance(value, str) for key, value in found.items()),
           f"annotations {found}")


@conforms("features-linux/namespaces")
def every_namespace_that_is_named_is_known(bench):
    for name in part(bench, "linux", "namespaces"):
        config = {"linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "uts"}]}}
        if name not in ("mount", "pid", "uts"):
            config["linux"]["namespaces"].append({"type": name})
        if name == "user":
            config["linux"].update(MAPS)
        known(bench, name, config, f"nknown|not supported|invalid.*{name}|does not exist")


@conforms("features-linux/capabilities")
def every_capability_that_is_named_is_known(bench):
    names = part(bench, "linux", "capabilities")
    done = bench.run(bench.config("true", {"process": {"capabilities": {"bounding": names}}}))
    equal(done.code, 0, f"exit code ({done.err.strip()[-300:]})")
    expect("nknown" not in done.err, f"some are not known: {done.err.strip()[-300:]}")


def seccomp(bench, **fields):
    return {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["getcwd"], "action": "SCMP_ACT_ERRNO"}], **fields}}}


REFUSAL = r"nknown|invalid|not support|is no "


@conforms("features-linux/seccomp")
def every_seccomp_action_that_is_named_is_known(bench):
    for name in part(bench, "linux", "seccomp", "actions"):
        if name == "SCMP_ACT_NOTIFY":
            continue  # it needs an agent: see linux/seccomp
        known(bench, name, seccomp(bench, syscalls=[{"names": ["sethostname"], "action": name}]),
              REFUSAL)


@conforms("features-linux/seccomp")
def every_seccomp_operator_that_is_named_is_known(bench):
    for name in part(bench, "linux", "seccomp", "operators"):
        known(bench, name, seccomp(bench, syscalls=[
            {"names": ["sethostname"], "action": "SCMP_ACT_ERRNO",
             "args": [{"index": 0, "value": 1, "valueTwo": 1, "op": name}]}]), REFUSAL)


@conforms("features-linux/seccomp")
def every_seccomp_architecture_that_is_named_is_known(bench):
    for name in part(bench, "linux", "seccomp", "archs"):
        known(bench, name, seccomp(bench, architectures=["SCMP_ARCH_X86_64", name]
                                   if name != "SCMP_ARCH_X86_64" else [name]), REFUSAL)


@conforms("features-linux/seccomp")
def every_seccomp_flag_that_is_supported_is_taken(bench):
    for name in part(bench, "linux", "seccomp", "supportedFlags"):
        if name == "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV":
            continue  # it needs an agent
        taken(bench, name, seccomp(bench, flags=[name]))


@conforms("features-linux/seccomp")
def every_seccomp_flag_that_is_named_is_known(bench):
    for name in part(bench, "linux", "seccomp", "knownFlags"):
        known(bench, name, seccomp(bench, flags=[name]), REFUSAL)


@conforms("features-linux/memory-policy")
def every_memory_policy_and_flag_that_is_named_is_known(bench):
    for name in part(bench, "linux", "memoryPolicy", "modes"):
        nodes = {} if name in ("MPOL_DEFAULT", "MPOL_LOCAL") else {"nodes": "0"}
        known(bench, name, {"linux": {"memoryPolicy": {"mode": name, **nodes}}}, REFUSAL)
    for name in part(bench, "linux", "memoryPolicy", "flags"):
        known(bench, name, {"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0",
                                                       "flags": [name]}}}, REFUSAL)


@conforms("features-linux/mount-extensions")
def id_mapped_mounts_are_announced_if_they_are_understood(bench):
    found = features(bench).get("linux", {}).get("mountExtensions", {}).get("idmap", {})
    shared = bench.shared_directory()
    maps = [{"containerID": 0, "hostID": 100000, "size": 1000}]
    mount = {"destination": "/data", "type": "none", "source": str(shared),
             "options": ["bind", "idmap"], "uidMappings": maps, "gidMappings": maps}
    done = bench.run(bench.config("stat -c %u /data",
                                  {"mounts": bench.config()["mounts"] + [mount]}))
    understood = done.code == 0 and done.out == "100000\n"
    expect(not understood or found.get("enabled"), "they work, and are not announced")
    expect(understood or not found.get("enabled"), f"they do not work: {done.err.strip()}")
