"""config.md: version, root, host names, annotations, extensibility, valid values; and its examples."""

import json
import os

from conform import DATA, conforms, equal, expect


@conforms("config/version")
def a_version_that_is_not_semantic_is_refused(bench):
    for version in ("one", "1", "1.0.", ""):
        bench.refuses(bench.config(changes={"ociVersion": version}))


@conforms("config/version")
def a_configuration_without_a_version_is_refused(bench):
    bench.refuses(bench.config(changes={"ociVersion": None}))


@conforms("config/version")
def the_versions_of_the_specification_are_taken(bench):
    for version in ("1.0.0", "1.0.2", "1.0.2-dev"):
        equal(bench.output("echo ok", {"ociVersion": version}), "ok\n", version)


@conforms("config/root")
def a_configuration_without_a_root_is_refused(bench):
    config = bench.config()
    del config["root"]
    bench.refuses(config)


@conforms("config/root")
def a_root_that_is_no_directory_is_refused(bench):
    file = bench.shared_directory() / "file"
    file.touch()
    for path in ("/no/such/directory", str(file)):
        bench.refuses(bench.config(changes={"root": {"path": path}}))


@conforms("config/root")
def a_read_only_root_is_read_only(bench):
    out = bench.output("touch /mark 2>/dev/null && echo written; touch /dev/shm/x && echo shm",
                       {"root": {"readonly": True}})
    equal(out, "shm\n", "what could be written")


@conforms("config/root")
def a_root_is_writable_by_default(bench):
    config = bench.config("touch /mark && echo written")
    del config["root"]["readonly"]
    done = bench.run(config, own_root=True)
    equal(done.out, "written\n", f"output ({done.err.strip()})")


@conforms("config/hostname")
def the_host_name_is_set_in_the_container_s_namespace(bench):
    before = os.uname().nodename
    equal(bench.output("hostname", {"hostname": "conformant"}), "conformant\n", "host name")
    equal(os.uname().nodename, before, "the host's own name")


@conforms("config/domainname")
def the_domain_name_is_set_in_the_container_s_namespace(bench):
    out = bench.output("cat /proc/sys/kernel/domainname", {"domainname": "example.test"})
    equal(out, "example.test\n", "domain name")


# --- annotations -----------------------------------------------------------------------------------


@conforms("config/annotations")
def annotations_that_are_no_map_are_refused(bench):
    bench.refuses(bench.config(changes={"annotations": ["one", "two"]}))


@conforms("config/annotations")
def an_annotation_with_an_empty_key_is_refused(bench):
    bench.refuses(bench.config(changes={"annotations": {"": "value"}}))


@conforms("config/annotations")
def an_annotation_whose_value_is_no_string_is_refused(bench):
    for value in (1, True, {"a": "b"}, ["a"]):
        bench.refuses(bench.config(changes={"annotations": {"org.example.key": value}}))


@conforms("config/annotations")
def an_empty_value_is_allowed_and_kept(bench):
    container = bench.create(bench.config(changes={"annotations": {"org.example.empty": ""}}))
    equal(container.state().get("annotations"), {"org.example.empty": ""}, "annotations")


@conforms("config/annotations")
def an_annotation_that_nobody_knows_changes_nothing(bench):
    for key in ("org.example.unknown", "org.opencontainers.unknown"):
        equal(bench.output("echo ok", {"annotations": {key: "x"}}), "ok\n", key)


# --- extensibility and valid values ----------------------------------------------------------------


@conforms("config/extensibility")
def properties_that_nobody_knows_are_ignored(bench):
    unknown = {"futureField": {"nested": [1, 2]}, "process": {"futureField": "x"},
               "root": {"futureField": 1}, "linux": {"futureField": {}, "resources": {
                   "futureField": {"limit": 1}, "memory": {"futureField": 1}}}}
    equal(bench.output("echo ok", unknown), "ok\n", "output")


def seccomp(**fields):
    return {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["getcwd"], "action": "SCMP_ACT_ERRNO"}], **fields}}}


INVALID = {
    "a namespace of no known type": {"linux": {"namespaces": [{"type": "planet"}]}},
    "a rootfs propagation of no known kind": {"linux": {"rootfsPropagation": "sideways"}},
    "a personality of no known domain": {"linux": {"personality": {"domain": "CPM"}}},
    "a seccomp action of no known name": seccomp(defaultAction="SCMP_ACT_SHRUG"),
    "a seccomp operator of no known name": seccomp(syscalls=[
        {"names": ["getcwd"], "action": "SCMP_ACT_ERRNO",
         "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_NEAR"}]}]),
    "a seccomp architecture of no known name": seccomp(architectures=["SCMP_ARCH_6502"]),
    "a seccomp flag of no known name": seccomp(flags=["SECCOMP_FILTER_FLAG_NO_SUCH"]),
    "a scheduling policy of no known name": {"process": {"scheduler": {"policy": "SCHED_WHENEVER"}}},
    "an io priority class of no known name": {"process": {"ioPriority": {
        "class": "IOPRIO_CLASS_SOMETIME", "priority": 4}}},
    "a memory policy of no known mode": {"linux": {"memoryPolicy": {"mode": "MPOL_SCATTER"}}},
    "an environment entry without a name": {"process": {"env": ["PATH=/bin", "=value"]}},
    "an environment entry without an equals sign": {"process": {"env": ["PATH=/bin", "WORD"]}},
    "an out-of-memory adjustment out of range": {"process": {"oomScoreAdj": 1001}},
    "a device of no known type": {"linux": {"devices": [
        {"path": "/dev/x", "type": "q", "major": 1, "minor": 3}]}},
    "a group id out of range": {"process": {"user": {"uid": 0, "gid": 1 << 32}}},
    "an argument list that is a word": {"process": {"args": "true"}},
    "an argument with a zero byte": {"process": {"args": ["echo", "one\0two"]}},
    "a memory limit that is a text": {"linux": {"resources": {"memory": {"limit": "64m"}}}},
    "a memory limit that no program fits into": {"linux": {"resources": {"memory": {"limit": 1}}}},
    "the hardware of a virtual machine": {"vm": {"hwConfig": {"vcpus": 2}}},
}

for _title, _changes in INVALID.items():
    @conforms("config/valid-values", f"{_title} is refused")
    def _(bench, changes=_changes):
        bench.refuses(bench.config(changes=changes))


# --- the specification's own examples --------------------------------------------------------------


def complete(bench, text):
    """An example with the root and the process that a start needs, where it is JSON at all."""
    try:
        config = json.loads(text)
    except ValueError:
        return text
    own = bench.config(["true"])
    config["root"] = {"path": str(bench.rootfs)}
    config["process"] = {**own["process"], **config.get("process", {}), "args": ["true"],
                         "cwd": "/"}
    config.setdefault("linux", {}).setdefault("namespaces", own["linux"]["namespaces"])
    if config["ociVersion"].startswith("0."):
        config["ociVersion"] = own["ociVersion"]
    return json.dumps(config)


def examples(kind):
    names = sorted((DATA / "schema" / "test" / "config" / kind).glob("*.json"))
    return [path for path in names if not path.name.startswith(("freebsd", "zos"))]


for _path in examples("bad"):
    @conforms("schema/examples", f"the invalid {_path.name} is refused")
    def _(bench, path=_path):
        bench.refuses(bundle=bench.raw_bundle(complete(bench, path.read_text(encoding="utf-8"))))

for _path in examples("good"):
    @conforms("schema/examples", f"the valid {_path.name} is understood")
    def _(bench, path=_path):
        # What it asks for is not on every host; but that is then the answer, not that it cannot be
        # read.
        text = complete(bench, path.read_text(encoding="utf-8"))
        done = bench.run_bundle(bench.raw_bundle(text))
        for word in ("unmarshal", "config.json", "parse"):
            expect(word not in done.err, f"it is not read: {done.err.strip()}")
