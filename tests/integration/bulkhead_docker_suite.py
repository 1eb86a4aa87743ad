#!/usr/bin/env python3
"""Docker's lines with the first word changed, and the default layers; what they promise is read
from the kernel."""

import os
import pathlib
import re
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from bulkhead_support import DEFAULT_CAPABILITIES, FORBIDDEN, GUEST, Running, bits, main
from support.harness import Suite, equal, expect

suite = Suite("bulkhead")


@suite.test
def docker_memory_512m_cpus_1_5(host):
    with Running(host, "--memory=512m", "--cpus=1.5") as container:
        equal(container.limit("memory", "memory.limit_in_bytes"), str(512 << 20))
        quota = int(container.limit("cpu", "cpu.cfs_quota_us"))
        equal(quota / int(container.limit("cpu", "cpu.cfs_period_us")), 1.5, "processors")


@suite.test
def docker_user_1000_1000(host):
    with Running(host, "--user", "1000:1000") as container:
        first = int(pathlib.Path(f"/proc/{container.pid()}/uid_map").read_text().split()[1])
        equal(container.status("Uid"), [str(first + 1000)] * 4)
        equal(container.status("Gid"), [str(first + 1000)] * 4)
        equal(int(container.status("CapEff")[0], 16), 0, "effective capabilities")
        equal(container.status("Groups"), [], "supplementary groups")


@suite.test
def docker_cap_drop_all_cap_add_net_bind_service(host):
    with Running(host, "--cap-drop=ALL", "--cap-add=NET_BIND_SERVICE") as container:
        for kind in ("CapPrm", "CapEff", "CapBnd"):
            equal(int(container.status(kind)[0], 16), bits(10), kind)
        for kind in ("CapInh", "CapAmb"):
            equal(int(container.status(kind)[0], 16), 0, kind)


@suite.test
def docker_read_only(host):
    with Running(host, "--read-only") as container:
        text = pathlib.Path(f"/proc/{container.pid()}/mountinfo").read_text()
        root = [line.split() for line in text.splitlines() if line.split()[4] == "/"][-1]
        expect("ro" in root[5].split(","), root)
    done = host.run("--read-only", "busybox", "touch", "/file")
    expect(done.returncode == 1 and "Read-only" in done.stderr, done)
    equal(host.run("busybox", "touch", "/file").returncode, 0, "the control")


@suite.test
def docker_security_opt_no_new_privileges(host):
    with Running(host, "--security-opt=no-new-privileges") as container:
        equal(container.status("NoNewPrivs"), ["1"])


@suite.test
def docker_cpus_2_memory_1g(host):
    with Running(host, "--cpus=2", "--memory=1g") as container:
        equal(container.limit("memory", "memory.limit_in_bytes"), str(1 << 30))
        quota = int(container.limit("cpu", "cpu.cfs_quota_us"))
        equal(quota / int(container.limit("cpu", "cpu.cfs_period_us")), 2.0, "processors")


@suite.test
def the_default_layers_stand_in_the_kernel(host):
    with Running(host) as container:
        pid = container.pid()
        for kind in ("user", "pid", "mnt", "net", "ipc", "uts", "cgroup", "time"):
            expect(os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"),
                   f"the {kind} namespace is the host's")
        for kind in ("uid_map", "gid_map"):
            inside, outside, size = map(int, pathlib.Path(f"/proc/{pid}/{kind}").read_text().split())
            expect(inside == 0 and outside >= 65536 and size == 65536, f"{kind}: {outside} {size}")
        equal(container.status("Uid")[0],
              pathlib.Path(f"/proc/{pid}/uid_map").read_text().split()[1], "root on the host")
        equal((container.status("NoNewPrivs"), container.status("Seccomp")), (["1"], ["2"]))
        bounding = int(container.status("CapBnd")[0], 16)
        equal(bounding, bits(*DEFAULT_CAPABILITIES.values()), f"bounding set {bounding:x}")
        equal(bounding & bits(*FORBIDDEN.values()), 0, "capabilities that nobody needs")
        expect(re.fullmatch(r"[0-9a-f]{12}", container.hostname), container.hostname)
        for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controller, path = line.split(":", 2)
            expect(re.fullmatch(rf"/bulkhead/{container.hostname}[0-9a-f]{{52}}", path),
                   f"group in {controller or 'v2'}: {path}")
        equal(container.limit("pids", "pids.max"), "2048")
        expect(int(container.limit("memory", "memory.limit_in_bytes"))
               < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), "memory")
        devices = pathlib.Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
        equal([line.split(":")[0].strip() for line in devices], ["lo"], "network devices")


@suite.test
def two_containers_have_host_ids_of_their_own(host):
    with Running(host) as first, Running(host) as second:
        ranges = [int(pathlib.Path(f"/proc/{c.pid()}/uid_map").read_text().split()[1])
                  for c in (first, second)]
        expect(abs(ranges[0] - ranges[1]) >= 65536, f"ranges {ranges}")


ATTEMPTS = ("af-alg", "af-vsock", "io-uring", "user-namespace", "keyctl", "userfaultfd", "bpf",
            "perf", "socketcall")


@suite.test
def the_default_profile_denies_what_attacks_begin_with(host):
    tools = host.directory / "guest"
    tools.mkdir()
    os.chmod(tools, 0o755)
    shutil.copy(GUEST, tools / "guest")
    script = f"for a in {' '.join(ATTEMPTS)}; do echo $a $(/tools/guest try $a); done"
    def attempt(*flags):
        text = host.says(*flags, "-v", f"{tools}:/tools:ro", "busybox", "sh", "-c", script)
        return {line.split()[0]: line.split(" ", 1)[1] for line in text.splitlines()}
    held = attempt()
    equal([name for name in ATTEMPTS if not held[name].startswith("held")], [], f"denied: {held}")
    free = attempt("--security-opt", "seccomp=unconfined")
    through = [name for name in ATTEMPTS if free[name].startswith("ESCAPED")]
    missing = {"io-uring", "user-namespace", "keyctl", "socketcall"} - set(through)
    expect(not missing, f"the control is stopped at {missing}: {free}")
    for name in ATTEMPTS:
        # By the profile, not by what else might fail: the kernel's own answer is another.
        number = int(re.search(r"errno (\d+)", held[name])[1])
        expect(number in (1, 38), f"{name}: errno {number} instead of EPERM or ENOSYS")


if __name__ == "__main__":
    sys.exit(main(suite))
