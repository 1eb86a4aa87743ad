#!/usr/bin/env python3
"""Attacks on the runtime, each with its positive control: the same attack against a runtime without
the layer that stops it, or against a naive stand-in. A control that does not get through makes the
test fail, because then it shows nothing."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from support.bundles import BUILD, FULL, Traces, Workshop, default_config, merge
from support.harness import Skip, Suite, equal, expect

suite = Suite("escape")
GUEST = os.environ.get("BULKHEAD_GUEST") or str(BUILD / "tests/escape-guest")
WEAKENED = os.environ.get("BULKHEAD_WEAKENED") or str(BUILD / "tests/bulkhead-runtime-weakened")
ALL_CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_SETUID", "CAP_SETGID",
                    "CAP_KILL", "CAP_SYS_CHROOT", "CAP_MKNOD", "CAP_SYS_PTRACE", "CAP_SYS_ADMIN"]


def capabilities(*names, **sets):
    given = {kind: list(names) for kind in ("bounding", "effective", "permitted")}
    given.update(sets)
    return {"process": {"capabilities": given}}


def without(*layers):
    """The environment that takes layers out of the weakened runtime."""
    return dict(os.environ, BULKHEAD_REMOVED_LAYERS=",".join(layers))


def weakened(work):
    return work.with_runtime(WEAKENED)


def run_in(work, root, config, **more):
    return work.run(merge(config, {"root": {"path": str(root)}}), **more)


class Running:
    """A detached container with a shared root of its own."""

    def __init__(self, work, config, env=None):
        self.work = work
        self.name = work.new_id()
        self.root = work.own_root()
        shutil.copy(GUEST, self.root / "bin/guest")
        bundle = work.bundle(config)
        text = json.loads((bundle / "config.json").read_text())
        text["root"]["path"] = str(self.root)
        (bundle / "config.json").write_text(json.dumps(text))
        self.output = open(work.directory / f"{self.name}.out", "w+", encoding="utf-8")
        done = subprocess.run(work.command("run", "--detach", "--bundle", bundle, self.name),
                              stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output,
                              env=env, timeout=60, check=False)
        expect(done.returncode == 0, f"run: {self.text()}")

    def text(self):
        return pathlib.Path(self.output.name).read_text(errors="replace")

    def exec(self, *arguments, options=(), **more):
        return self.work.call("exec", *options, self.name, *arguments, **more)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.work.call("delete", "--force", self.name)
        self.output.close()
        shutil.rmtree(self.root, ignore_errors=True)


# --- processes that enter --------------------------------------------------------------------------


def ambush(work, enter):
    """What an insider says that waits for newcomers, while `enter` brings some in."""
    insider = capabilities("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_SETUID")
    with Running(work, merge(default_config(["guest", "ambush", "4"]), insider)) as container:
        deadline = time.monotonic() + 6
        while time.monotonic() < deadline and not container.text().strip():
            enter(container)
        return container.text()


@suite.test
def cve_2016_9962_nobody_inside_can_take_hold_of_a_process_that_enters(work):
    text = ambush(work, lambda container: container.exec("true"))
    expect(text.startswith("held"), text)

    # The insider is able to: it catches an ordinary program, which does not hide as the runtime does.
    control = ambush(work, lambda container: container.exec("guest", "swap", "/", "/", "0.3"))
    expect("ESCAPED" in control, f"the control does not get through: {control}")


@suite.test
def cve_2019_5736_the_runtimes_binary_cannot_be_written_from_inside(work):
    """Both ways in: the entry point is /proc/self/exe, and exec's target is."""
    binary = pathlib.Path(tempfile.mkdtemp(dir=work.directory)) / "runtime"

    def attack(program, env):
        shutil.copy(program, binary)
        victim = work.with_runtime(binary)
        # "exec /proc/self/exe" makes the runtime's own file the container's program; the insider
        # holds on to it and writes once it has ended.
        config = merge(default_config(["guest", "overwrite", "4"]), capabilities(*ALL_CAPABILITIES))
        with Running(victim, config, env) as container:
            deadline = time.monotonic() + 8
            while time.monotonic() < deadline and "errno" not in container.text():
                container.exec("/proc/self/exe", "spec", "--help", env=env)
            return container.text()

    control = attack(WEAKENED, without("own binary"))
    expect("ESCAPED" in control, f"the control does not get through: {control}")
    text = attack(work.runtime, dict(os.environ))
    expect("ESCAPED" not in text and "held" in text, text)


@suite.test
def cve_2024_21626_no_working_directory_leads_out_by_a_descriptor(work):
    """The attack needs a descriptor of the host that is still open when the directory is entered."""
    for number in range(3, 25):
        config = merge(default_config(["sh", "-c", "pwd -P; ls"]),
                       {"process": {"cwd": f"/proc/self/fd/{number}"}})
        done = work.run(config)
        expect(done.returncode != 0 or "bundle" not in done.stdout,
               f"cwd /proc/self/fd/{number}: {done.stdout}")
        expect(done.returncode != 0, f"cwd /proc/self/fd/{number} was accepted: {done.stdout}")
        done = work.run(merge(default_config([f"/proc/self/fd/{number}/bin/sh", "-c", "echo out"]),
                              {}))
        expect(done.returncode != 0, f"a program under /proc/self/fd/{number} was executed")
    # The naive stand-in: a directory of the host left open, and chdir by the same path.
    descriptor = os.open("/", os.O_RDONLY)
    try:
        control = subprocess.run(
            ["chroot", str(work.rootfs), "/bin/sh", "-c",
             f"cd /fd/{descriptor} && pwd -P"], capture_output=True, text=True,
            pass_fds=[descriptor], check=False)
        os.makedirs(work.rootfs / "fd", exist_ok=True)
        probe = subprocess.run(
            [sys.executable, "-c",
             f"import os; os.chroot({str(work.rootfs)!r}); os.fchdir({descriptor}); "
             "print(os.path.exists('etc/debian_version'))"],
            capture_output=True, text=True, pass_fds=[descriptor], check=False)
        expect("True" in probe.stdout, f"the control does not get out: {probe} {control}")
    finally:
        os.close(descriptor)
        os.rmdir(work.rootfs / "fd")


@suite.test
def only_standard_descriptors_are_open_inside(work):
    with open("/etc/passwd", encoding="utf-8") as leaked:
        os.set_inheritable(leaked.fileno(), True)
        script = "for f in /proc/self/fd/*; do readlink $f; done; true"

        def listing(workshop, env):
            done = workshop.run(default_config(["sh", "-c", script]), env=env,
                                pass_fds=[leaked.fileno()])
            equal(done.returncode, 0, done.stderr)
            return done.stdout

        control = listing(weakened(work), without("descriptors"))
        expect("/etc/passwd" in control, f"the control shows no leak: {control}")
        text = listing(work, dict(os.environ))
        expect("/etc/passwd" not in text, text)
    with Running(work, default_config(["sleep", "100"])) as container:
        done = container.exec("guest", "descriptors")
        numbers = {line.split(" ")[0] for line in done.stdout.splitlines()}
        expect(numbers <= {"0", "1", "2"}, f"exec: {done.stdout}")


# --- privileges --------------------------------------------------------------------------------------


@suite.test
def cve_2022_29162_inheritable_capabilities_are_empty(work):
    with Running(work, default_config(["sleep", "100"])) as container:
        for done in (container.exec("grep", "CapInh", "/proc/self/status"),
                     container.exec("grep", "CapInh", "/proc/1/status")):
            equal(done.stdout.split()[-1], "0" * 16, "inheritable set")


@suite.test
def cve_2026_30892_exec_takes_the_user_that_is_named(work):
    with Running(work, default_config(["sleep", "100"])) as container:
        for user, expected in (("1000", "1000 0"), ("1000:2000", "1000 2000"), ("0", "0 0"),
                               ("65534:65534", "65534 65534")):
            done = container.exec("sh", "-c", "echo $(id -u) $(id -g)", options=("--user", user))
            equal(done.stdout.strip(), expected, f"--user {user}: {done.stderr}")
        for bad in ("root", "1000:", ":5", "-1", "4294967295", "4294967296", "1e3", "", "0x0"):
            done = container.exec("id", options=(f"--user={bad}",))
            if bad == "":
                continue
            expect(done.returncode != 0, f"--user {bad!r} was taken: {done.stdout}")


@suite.test
def exec_has_no_more_than_the_container(work):
    with Running(work, default_config(["sleep", "100"])) as container:
        inside = container.exec("grep", "-E", "Cap|NoNew|Seccomp:", "/proc/self/status").stdout
        init = container.exec("grep", "-E", "Cap|NoNew|Seccomp:", "/proc/1/status").stdout
        equal(inside, init, "status of exec and init")
        for kind in ("mnt", "pid", "net", "ipc", "uts", "cgroup"):
            equal(container.exec("readlink", f"/proc/self/ns/{kind}").stdout,
                  container.exec("readlink", f"/proc/1/ns/{kind}").stdout, kind)
        own = container.exec("cat", "/proc/self/cgroup").stdout
        expect(all(line.endswith(":/") for line in own.splitlines()), own)


SECCOMP = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
           "syscalls": [{"names": ["keyctl", "io_uring_setup", "userfaultfd", "unshare",
                                   "socketcall", "mount"],
                         "action": "SCMP_ACT_ERRNO"}]}


@suite.test
def denied_system_calls_are_denied_by_every_abi(work):
    root = work.own_root()
    shutil.copy(GUEST, root / "bin/guest")
    script = "for a in keyctl io-uring userfaultfd user-namespace socketcall; do guest try $a; done"

    def attempt(workshop, env):
        config = merge(default_config(["sh", "-c", script]), {"linux": {"seccomp": SECCOMP}})
        done = run_in(workshop, root, config, env=env)
        equal(done.returncode, 0, done.stderr)
        return done.stdout

    control = attempt(weakened(work), without("seccomp"))
    expect(control.count("ESCAPED") >= 4, f"the control is stopped by something else: {control}")
    text = attempt(work, dict(os.environ))
    equal(text.count("held"), 5, text)
    expect("ESCAPED" not in text, text)


@suite.test
def cve_2022_0492_a_release_agent_cannot_be_written(work):
    script = ("mkdir -p /tmp/c && unshare -Ur sh -c 'mount -t cgroup -o memory c /tmp/c && "
              "echo /x > /tmp/c/release_agent && echo ESCAPED'; "
              "for f in /sys/fs/cgroup/*/release_agent; do echo /x > $f && echo ESCAPED; done; true")
    done = work.shell(script)
    expect("ESCAPED" not in done.stdout, done.stdout)
    # The control: on the host's own hierarchy, with all the rights, the file can be opened to write.
    agents = list(pathlib.Path("/sys/fs/cgroup").glob("*/release_agent"))
    if not agents:
        raise Skip("no cgroup v1 hierarchy is mounted, so that there is no release_agent")
    expect(os.access(agents[0], os.W_OK), "the control cannot write it either")


@suite.test
def cve_2022_0811_sysctls_that_are_not_the_containers_are_refused(work):
    core = pathlib.Path("/proc/sys/kernel/core_pattern").read_text()
    for name, value in (("kernel.core_pattern", "|/x"), ("kernel.shm_rmid_forced", "1+kernel.core_pattern=|/x"),
                        ("net/../kernel/core_pattern", "|/x"), ("net.ipv4.ip_forward/../../../kernel/core_pattern", "|/x"),
                        ("vm.overcommit_memory", "1"), ("kernel.modprobe", "/x"), ("fs.suid_dumpable", "2"),
                        ("net.", "1"), ("", "1")):
        done = work.run(merge(default_config(), {"linux": {"sysctl": {name: value}}}))
        expect(done.returncode != 0, f"sysctl {name!r}={value!r} was taken")
        equal(pathlib.Path("/proc/sys/kernel/core_pattern").read_text(), core, "core_pattern")
    done = work.run(merge(default_config(["cat", "/proc/sys/kernel/shm_rmid_forced"]),
                          {"linux": {"sysctl": {"kernel.shm_rmid_forced": "1"}}}))
    equal(done.stdout.strip(), "1", f"the control, a sysctl of the ipc namespace: {done.stderr}")


# --- paths --------------------------------------------------------------------------------------------


def canaries(work):
    """A directory on the host that must stay as it is."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="canary-", dir=work.directory))
    (place / "file").write_text("untouched")
    return place


def listing_of(place):
    return sorted(str(path.relative_to(place)) for path in place.rglob("*"))


@suite.test
def mount_points_that_are_links_stay_inside(work):
    """CVE-2019-16884, 2026-41579, 2026-47766 and their kind: an image in which mount points lead out."""
    outside = canaries(work)
    before = listing_of(outside)
    targets = [str(outside), "../" * 12 + str(outside).lstrip("/"), "/proc/self/root" + str(outside),
               "/proc/self/cwd", "/nowhere/at/all"]
    for victim in ("dev", "proc", "sys", "data", "etc/resolv.conf"):
        for target in targets:
            root = work.own_root()
            path = root / victim
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.exists() or path.is_symlink():
                path.unlink()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)
            config = default_config(["true"])
            config["mounts"] += [
                {"destination": "/data", "type": "tmpfs", "source": "tmpfs"},
                {"destination": "/etc/resolv.conf", "type": "bind", "source": str(outside / "file"),
                 "options": ["bind", "ro"]}]
            run_in(work, root, config)
            equal(listing_of(outside), before, f"{victim} -> {target}: files on the host")
            equal((outside / "file").read_text(), "untouched", f"{victim} -> {target}")
            shutil.rmtree(root)
    # The naive stand-in: mkdir by path follows the same link.
    root = work.own_root()
    (root / "trap").symlink_to(outside)
    os.makedirs(str(root) + "/trap/made", exist_ok=True)
    expect((outside / "made").exists(), "the control stays inside")


@suite.test
def a_false_procfs_is_refused(work):
    """CVE-2019-19921, 2023-27561, 2025-52881: writes to /proc must meet a procfs."""
    for change in ([{"destination": "/proc", "type": "tmpfs", "source": "tmpfs"}],
                   [{"destination": "/proc", "type": "bind", "source": "/tmp", "options": ["bind"]}],
                   [{"destination": "/proc", "type": "proc", "source": "proc"},
                    {"destination": "/proc/self", "type": "tmpfs", "source": "tmpfs"}]):
        config = default_config(["true"])
        config["mounts"] = change + [m for m in config["mounts"] if m["destination"] != "/proc"]
        done = work.run(config)
        expect(done.returncode != 0, f"{change} was taken")


@suite.test
def cve_2021_30465_a_mount_point_that_is_swapped_leads_nowhere(work):
    """A neighbour with a shared volume exchanges a directory and a link to the host's root while the
    container is set up."""
    outside = canaries(work)
    shared = work.own_root()
    (shared / "volume").mkdir()
    (shared / "volume/place").mkdir()
    (shared / "volume/trap").symlink_to(outside)
    rounds = 1000 if FULL else 120
    source = canaries(work)
    (source / "file").write_text("mounted")
    config = default_config(["sh", "-c", "cat /volume/place/inner/file 2>/dev/null; true"])
    config["mounts"].append({"destination": "/volume/place/inner", "type": "bind",
                             "source": str(source), "options": ["rbind", "ro"]})
    swapper = subprocess.Popen([GUEST, "swap", str(shared / "volume/place"),
                                str(shared / "volume/trap"), "600"])
    try:
        before = {"file"}
        for _ in range(rounds):
            run_in(work, shared, config)
            equal(set(os.listdir(outside)), before, "files in the host's directory")
        # The naive stand-in loses the race: it makes the directory by path.
        deadline = time.monotonic() + 30
        while not (outside / "inner").exists():
            expect(time.monotonic() < deadline, "the control never loses the race")
            try:
                os.makedirs(shared / "volume/place/inner", exist_ok=True)
            except OSError:
                pass
    finally:
        swapper.kill()
        swapper.wait()
    mounts = pathlib.Path("/proc/self/mountinfo").read_text()
    expect(str(outside) not in mounts, "something was mounted on the host's directory")


@suite.test
def cve_2025_31133_masks_are_the_real_null_device(work):
    """An image whose /dev/null is something else must not get it bound over what is masked."""
    for content in ("file", "link"):
        root = work.own_root()
        shutil.rmtree(root / "dev", ignore_errors=True)
        (root / "dev").mkdir()
        if content == "file":
            (root / "dev/null").write_text("not a device")
        else:
            (root / "dev/null").symlink_to("/proc/sys/kernel/core_pattern")
        config = default_config(["sh", "-c", "cat /proc/keys /proc/timer_list; stat -c %t:%T /proc/keys"])
        # No file system of our own on /dev: the image's stays.
        config["mounts"] = [m for m in config["mounts"] if not m["destination"].startswith("/dev")]
        done = run_in(work, root, config)
        if done.returncode == 0:
            equal(done.stdout.strip(), "1:3", f"{content}: what masks /proc/keys")
        shutil.rmtree(root)

    def masked(workshop, env):
        return workshop.shell("cat /proc/timer_list | wc -c", env=env).stdout.strip()

    control = masked(weakened(work), without("masked paths"))
    expect(control not in ("", "0"), f"the control reads nothing: {control!r}")
    equal(masked(work, dict(os.environ)), "0", "bytes of a masked file")


@suite.test
def read_only_paths_cannot_be_written(work):
    script = "echo 1 > /proc/sys/vm/drop_caches && echo ESCAPED; mount | grep ' /proc/sys ' | head -1"
    changes = capabilities("CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE")
    control = weakened(work).shell(script, changes, env=without("masked paths"))
    expect("ESCAPED" in control.stdout, f"the control is stopped: {control.stdout} {control.stderr}")
    done = work.shell(script, changes)
    expect("ESCAPED" not in done.stdout and "ro" in done.stdout, done.stdout)


@suite.test
def the_hosts_files_are_out_of_reach(work):
    """The old root is gone for a process with every right over the mounts of its namespace."""
    script = ("ls /..; cat /proc/1/mountinfo; umount -l / ; cd / ; ls -d work var/lib/dpkg 2>/dev/null; "
              "test -e /etc/debian_version && echo ESCAPED; true")
    marker = canaries(work)
    done = work.shell(f"test -e {marker}/file && echo ESCAPED; {script}", capabilities(*ALL_CAPABILITIES))
    expect("ESCAPED" not in done.stdout, done.stdout[-400:])
    control = weakened(work).shell(f"test -e {marker}/file && echo ESCAPED",
                                   capabilities(*ALL_CAPABILITIES),
                                   env=without("root switch", "working directory", "mounts", "late mounts",
                                               "devices", "masked paths"))
    expect("ESCAPED" in control.stdout, f"the control is stopped: {control}")


@suite.test
def mounts_of_the_container_do_not_reach_the_host(work):
    shared = pathlib.Path(tempfile.mkdtemp(dir=work.directory))
    config = merge(default_config(["sh", "-c", "mount -t tmpfs leak /data && echo mounted"]),
                   capabilities("CAP_SYS_ADMIN"))
    config["mounts"].append({"destination": "/data", "type": "bind", "source": str(shared),
                             "options": ["rbind", "rprivate"]})
    done = work.run(config)
    equal(done.stdout.strip(), "mounted", done.stderr)
    expect(str(shared) not in pathlib.Path("/proc/self/mountinfo").read_text(), "it did")


# --- neighbours -----------------------------------------------------------------------------------------


@suite.test
def other_processes_are_neither_seen_nor_signalled(work):
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        script = f"kill -9 {bystander.pid} && echo ESCAPED; ls /proc | grep -c '^[0-9]'"
        done = work.shell(script)
        expect("ESCAPED" not in done.stdout and bystander.poll() is None, done.stdout)
        control = merge(default_config(["sh", "-c", f"kill -9 {bystander.pid} && echo ESCAPED"]),
                        capabilities("CAP_KILL"))
        control["linux"]["namespaces"] = [{"type": kind} for kind in
                                          ("network", "ipc", "uts", "mount", "cgroup")]
        expect("ESCAPED" in work.run(control).stdout, "the control, without a pid namespace, is stopped")
    finally:
        bystander.kill()
        bystander.wait()


@suite.test
def limits_hold(work):
    bomb = "for i in $(seq 60); do sleep 20 & done; echo all started"
    held = work.shell(bomb, {"linux": {"resources": {"pids": {"limit": 20}}}})
    expect("all started" not in held.stdout or "can't fork" in held.stderr, held.stdout + held.stderr)
    free = work.shell(bomb, {"linux": {"resources": {"pids": {"limit": 200}}}})
    expect("all started" in free.stdout, f"the control is stopped: {free.stderr}")
    eater = "dd if=/dev/zero of=/dev/null bs=96M count=1 2>/dev/null && echo eaten"
    held = work.shell(eater, {"linux": {"resources": {"memory": {"limit": 32 << 20}}}})
    expect("eaten" not in held.stdout, "96 MiB were eaten under a limit of 32")
    free = work.shell(eater)
    expect("eaten" in free.stdout, f"the control is stopped: {free.stderr}")


@suite.test
def devices_that_are_not_listed_cannot_be_opened(work):
    script = "mknod /tmp/fuse c 10 229 && (exec 3< /tmp/fuse) && echo ESCAPED; true"
    changes = merge(capabilities("CAP_MKNOD", "CAP_DAC_OVERRIDE"),
                    {"linux": {"resources": {"devices": [{"allow": False, "access": "rwm"}]}}})
    root = work.own_root()
    done = run_in(work, root, merge(default_config(["sh", "-c", script]), changes))
    expect("ESCAPED" not in done.stdout, "a device that is not listed was opened")
    control_changes = merge(capabilities("CAP_MKNOD", "CAP_DAC_OVERRIDE"),
                            {"linux": {"resources": {"devices": [
                                {"allow": False, "access": "rwm"},
                                {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rwm"}]}}})
    (root / "tmp/fuse").unlink(missing_ok=True)
    control = run_in(work, root, merge(default_config(["sh", "-c", script]), control_changes))
    if "ESCAPED" not in control.stdout:
        raise Skip("the control cannot open /dev/fuse either: this kernel has none")


# --- hooks and input --------------------------------------------------------------------------------------


@suite.test
def cve_2025_23266_hooks_get_nothing_of_the_runtimes_environment(work):
    record = work.directory / "hook-environment"
    hook = work.directory / "hook.sh"
    hook.write_text(f"#!/bin/sh\nenv > {record}\n")
    hook.chmod(0o755)
    config = merge(default_config(["true"]),
                   {"hooks": {"createRuntime": [{"path": str(hook), "args": ["hook"], "env": ["ONLY=this"]}]}})
    done = work.run(config, env=dict(os.environ, LD_PRELOAD="/no/such.so", SECRET="x"))
    equal(done.returncode, 0, done.stderr)
    text = record.read_text()
    expect("ONLY=this" in text and "SECRET" not in text and "LD_PRELOAD" not in text, text)


@suite.test
def cve_2021_43784_maps_of_any_size_are_taken_whole_or_refused(work):
    """340 ranges are the kernel's limit; more, or more than a page of them, is an error and no
    truncated map."""
    def maps(count):
        return [{"containerID": i * 2, "hostID": 800000 + i * 2, "size": 1} for i in range(count)]
    def config(count):
        changed = default_config(["cat", "/proc/self/uid_map"])
        changed["linux"]["namespaces"].append({"type": "user"})
        changed["linux"]["uidMappings"] = maps(count)
        changed["linux"]["gidMappings"] = [{"containerID": 0, "hostID": 800000, "size": 65536}]
        return changed
    for count in (341, 5000):
        done = work.run(config(count))
        expect(done.returncode != 0, f"{count} ranges were taken")
    root = work.own_root()
    os.chmod(work.directory, 0o755)
    for path in [root, *root.rglob("*")]:
        os.lchown(path, 800000, 800000)
    done = run_in(work, root, config(300))
    equal(len(done.stdout.splitlines()), 300, f"lines of the map: {done.stderr}")


@suite.test
def nothing_of_all_this_is_left_on_the_host(work):
    left = Traces.__new__(Traces)
    left.marker = f"test-{os.getpid()}-"
    left.before = (set(), set(), set())
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        groups, _, running = left._look()
        if not groups and not running:
            return
        time.sleep(0.1)
    expect(False, f"left: {sorted(groups)[:3]} {sorted(running)[:3]}")


def main():
    if os.geteuid() != 0:
        print("SKIP escape — needs root")
        return 0
    with Workshop() as work:
        os.chmod(work.directory, 0o755)
        return suite.main(work)


if __name__ == "__main__":
    sys.exit(main())
