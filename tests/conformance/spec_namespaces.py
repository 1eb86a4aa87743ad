"""config-linux.md: namespaces, user mappings, time offsets, sysctls, personality, memory policy."""

import os
import pathlib
import subprocess

from conform import Skip, conforms, equal, expect

# Type -> the file in /proc/PID/ns, and unshare(1)'s option for it.
KINDS = {"pid": ("pid", None), "network": ("net", "--net"), "mount": ("mnt", None),
         "ipc": ("ipc", "--ipc"), "uts": ("uts", "--uts"), "user": ("user", None),
         "cgroup": ("cgroup", "--cgroup"), "time": ("time", None)}
MAPS = {kind: [{"containerID": 0, "hostID": 100000, "size": 65536}]
        for kind in ("uidMappings", "gidMappings")}


def without(bench, kind):
    """The default configuration without the namespaces of this type."""
    config = bench.config()
    config["linux"]["namespaces"] = [entry for entry in config["linux"]["namespaces"]
                                     if entry["type"] != kind]
    if kind == "uts":
        del config["hostname"]
    return config


def with_namespace(bench, kind, path=None):
    config = without(bench, kind)
    config["linux"]["namespaces"].append({"type": kind, **({"path": str(path)} if path else {})})
    return config


def mapped(bench, config):
    """With ids of a user namespace, whose root owns the root file system."""
    config["linux"].update(MAPS)
    root = bench.own_root()
    subprocess.run(["chown", "-R", "100000:100000", root], check=True)
    config["root"]["path"] = str(root)
    return config


def needs_namespace(file):
    if not os.path.exists(f"/proc/self/ns/{file}"):
        raise Skip(f"this kernel has no {file} namespaces")


for _kind, (_file, _option) in KINDS.items():
    @conforms("linux/namespaces", f"a new {_kind} namespace")
    def _(bench, kind=_kind, file=_file):
        needs_namespace(file)
        config = with_namespace(bench, kind)
        container = bench.started(mapped(bench, config) if kind == "user" else config)
        container.wait_for_program()
        expect(container.namespace(file) != os.readlink(f"/proc/self/ns/{file}"),
               "the container has the host's")

    if _kind != "mount":
        @conforms("linux/namespaces", f"a {_kind} namespace that is not listed is the runtime's")
        def _(bench, kind=_kind, file=_file):
            needs_namespace(file)
            container = bench.started(without(bench, kind))
            equal(container.namespace(file), os.readlink(f"/proc/self/ns/{file}"), "namespace")

    if _option:
        @conforms("linux/namespaces", f"a {_kind} namespace given by its path is joined")
        def _(bench, kind=_kind, file=_file, option=_option):
            path = f"/proc/{bench.in_new_namespace(option)}/ns/{file}"
            config = with_namespace(bench, kind, path)
            container = bench.started(config)
            equal(container.namespace(file), os.readlink(path), "namespace")


@conforms("linux/namespaces", "a pid namespace given by its path is joined")
def _(bench):
    process = bench.child("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
                          "echo there; exec sleep 1000")
    equal(process.stdout.readline(), b"there\n", "unshare --pid")
    inner = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(
        encoding="ascii").split()[0]
    path = f"/proc/{inner}/ns/pid"
    container = bench.started(with_namespace(bench, "pid", path))
    equal(container.namespace("pid"), os.readlink(path), "namespace")


@conforms("linux/namespaces")
def a_path_that_is_not_absolute_is_refused(bench):
    process = bench.in_new_namespace("--net")
    name = bench.directory / f"ns{next(bench.numbers)}"
    name.touch()
    bench.mount("--bind", f"/proc/{process}/ns/net", name)
    bundle = bench.bundle(with_namespace(bench, "network", name.name))
    before = os.getcwd()
    os.chdir(bench.directory)  # from where the relative path would lead there
    try:
        bench.refuses(bundle=bundle)
    finally:
        os.chdir(before)


@conforms("linux/namespaces")
def a_path_of_a_namespace_of_another_type_is_refused(bench):
    process = bench.in_new_namespace("--ipc")
    bench.refuses(with_namespace(bench, "network", f"/proc/{process}/ns/ipc"))


@conforms("linux/namespaces")
def a_path_that_is_no_namespace_is_refused(bench):
    for path in ("/etc/hostname", "/no/such/namespace"):
        bench.refuses(with_namespace(bench, "network", path))


@conforms("linux/namespaces")
def a_type_that_stands_twice_is_refused(bench):
    config = bench.config()
    config["linux"]["namespaces"].append({"type": "network"})
    bench.refuses(config)


# --- mappings, offsets, parameters -----------------------------------------------------------------------


@conforms("linux/user-mappings")
def ids_are_mapped_as_configured(bench):
    container = bench.started(mapped(bench, with_namespace(bench, "user")))
    container.wait_for_program()
    for file in ("uid_map", "gid_map"):
        equal(container.proc(file).split(), ["0", "100000", "65536"], file)
    status = container.proc("status").split("Uid:")[1].split()[0]
    equal(status, "100000", "the process's id on the host")


@conforms("linux/time-offset")
def the_clocks_of_a_time_namespace_are_moved(bench):
    needs_namespace("time")
    config = with_namespace(bench, "time")
    config["linux"]["timeOffsets"] = {clock: {"secs": 1_000_000}
                                      for clock in ("boottime", "monotonic")}
    config["process"]["args"] = ["cat", "/proc/uptime"]
    done = bench.run(config)
    equal(done.code, 0, f"exit code ({done.err.strip()})")
    with open("/proc/uptime", encoding="ascii") as own:
        ahead = float(done.out.split()[0]) - float(own.read().split()[0])
    expect(999_000 < ahead < 1_001_000, f"the container's clock is {ahead} s ahead")


@conforms("linux/sysctl")
def a_kernel_parameter_is_set_in_the_container_alone(bench):
    file = pathlib.Path("/proc/sys/kernel/shmmni")
    before = file.read_text(encoding="ascii")
    out = bench.output(f"cat {file}", {"linux": {"sysctl": {"kernel.shmmni": "4097"}}})
    equal(out, "4097\n", "in the container")
    equal(file.read_text(encoding="ascii"), before, "on the host")


@conforms("linux/sysctl")
def a_kernel_parameter_of_the_whole_host_is_refused(bench):
    # Its own value, so that a runtime that sets it changes nothing.
    value = pathlib.Path("/proc/sys/vm/swappiness").read_text(encoding="ascii").strip()
    bench.refuses(bench.config(changes={"linux": {"sysctl": {"vm.swappiness": value}}}))


@conforms("linux/personality")
def the_personality_is_set(bench):
    out = bench.output("uname -m", {"linux": {"personality": {"domain": "LINUX32"}}})
    equal(out, "i686\n", "machine")


@conforms("linux/memory-policy")
def the_memory_policy_is_set(bench):
    container = bench.started(bench.config(changes={"linux": {"memoryPolicy": {
        "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}}}))
    container.wait_for_program()
    expect(" bind=static:0 " in container.proc("numa_maps"),
           f"numa_maps: {container.proc('numa_maps').splitlines()[0]}")


@conforms("linux/memory-policy")
def nodes_and_flags_that_do_not_fit_the_mode_are_refused(bench):
    for policy in ({"mode": "MPOL_BIND"}, {"mode": "MPOL_DEFAULT", "nodes": "0"},
                   {"mode": "MPOL_BIND", "nodes": "0-"},
                   {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_NO_SUCH"]}):
        bench.refuses(bench.config(changes={"linux": {"memoryPolicy": policy}}))


@conforms("linux/intel-rdt")
def a_cache_class_is_refused_where_there_is_no_resctrl(bench):
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        if " - resctrl " in mounts.read():
            raise Skip("this host has resctrl mounted")
    bench.refuses(bench.config(changes={"linux": {"intelRdt": {
        "closID": "conformance", "l3CacheSchema": "L3:0=f"}}}))
