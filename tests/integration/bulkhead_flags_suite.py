#!/usr/bin/env python3
"""The flags of `bulkhead run` as the kernel shows them, and what each of them opens or closes."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from bulkhead_support import Running, main
from support.harness import Skip, Suite, equal, expect

suite = Suite("bulkhead flags")

CDI = pathlib.Path("/etc/cdi")


def refused(host, *words, says, **more):
    done = host.run(*words, "busybox", "true", **more)
    equal(done.returncode, 125, f"{words}: {done.stderr}")
    for text in (says,) if isinstance(says, str) else says:
        expect(text in done.stderr, f"{words}: no {text!r} in {done.stderr}")
    expect("\n  " in done.stderr or "expected" in done.stderr or "must" in done.stderr,
           f"{words}: what to do instead? {done.stderr}")


def own(kind):
    return os.readlink(f"/proc/self/ns/{kind}")


@contextlib.contextmanager
def named(host, name, *flags, script="echo up $(hostname); while :; do sleep 0.05; done"):
    with Running(host, "--name", name, *flags, script=script) as container:
        yield container


@suite.test
def the_program_and_its_surroundings(host):
    variables = host.directory / "variables"
    variables.write_text("# comment\n\nA=file\n  B=two words \nFROM_US\nNOT_SET\n")
    text = host.says("--env-file", variables, "--env", "A=flag", "--group-add", "44", "--group-add",
                     "tty", "--user", "7:8", "busybox", "sh", "-c",
                     "echo \"$A|$B|$FROM_US|${NOT_SET-unset}\"; id -G; cat /proc/sys/kernel/domainname",
                     env=dict(os.environ, FROM_US="ours"))
    equal(text.splitlines(), ["flag|two words |ours|unset", "8 5 44", "(none)"])
    equal(host.says("--domainname", "example.org", "busybox", "cat", "/proc/sys/kernel/domainname"),
          "example.org")
    refused(host, "--group-add", "no-such-group", says="--group-add")
    variables.write_text("A B=1\n")
    refused(host, "--env-file", variables, says=("--env-file", "line 1"))
    refused(host, "--env-file", "/no/such/file", says="--env-file")


@suite.test
def a_file_with_the_id_is_made_once(host):
    file = host.directory / "id"
    with Running(host, "--cidfile", str(file)) as container:
        expect(re.fullmatch("[0-9a-f]{64}", file.read_text()), file.read_text())
        equal(file.read_text()[:12], container.hostname)
    refused(host, "--cidfile", file, says="the file exists")
    file.unlink()
    done = host.run("--cidfile", str(file), "busybox", "no-such-command")
    equal((done.returncode, file.exists()), (127, False), "of a container that never was")


@suite.test
def limits_reach_the_control_groups(host):
    if not os.path.isdir("/sys/fs/cgroup/memory"):
        raise Skip("cgroup v1 is not mounted")
    with Running(host, "--memory", "64m", "--memory-reservation", "32m", "--memory-swappiness", "10",
                 "--oom-kill-disable", "--cpu-shares", "512", "--cpu-period", "50000", "--cpu-quota",
                 "25000", "--cpuset-cpus", "0", "--cpuset-mems", "0") as container:
        for hierarchy, file, wanted in (("memory", "memory.soft_limit_in_bytes", str(32 << 20)),
                                        ("memory", "memory.swappiness", "10"),
                                        ("cpu", "cpu.shares", "512"),
                                        ("cpu", "cpu.cfs_period_us", "50000"),
                                        ("cpu", "cpu.cfs_quota_us", "25000"),
                                        ("cpuset", "cpuset.cpus", "0"),
                                        ("cpuset", "cpuset.mems", "0")):
            equal(container.limit(hierarchy, file), wanted, file)
        expect("oom_kill_disable 1" in container.limit("memory", "memory.oom_control"), "OOM killer")
        equal(container.status("Cpus_allowed_list"), ["0"])
    disk = next((path for path in ("/dev/loop0", "/dev/vda", "/dev/sda") if os.path.exists(path)), None)
    if disk:
        number = os.stat(disk).st_rdev
        number = f"{os.major(number)}:{os.minor(number)}"
        flags = [word for flag, value in (("read-bps", "1mb"), ("write-bps", "2mb"),
                                          ("read-iops", "7"), ("write-iops", "8"))
                 for word in (f"--device-{flag}", f"{disk}:{value}")]
        with Running(host, *flags) as container:
            for file, wanted in (("read_bps", 1 << 20), ("write_bps", 2 << 20), ("read_iops", 7),
                                 ("write_iops", 8)):
                equal(container.limit("blkio", f"blkio.throttle.{file}_device"), f"{number} {wanted}")
    refused(host, "--device-read-bps", "/dev/null:1mb", says="not a block device")
    refused(host, "--oom-kill-disable", says="--memory")
    refused(host, "--cpus", "1", "--cpu-quota", "50000", says="--cpus")


@suite.test
def limits_reach_the_process(host):
    with Running(host, "--ulimit", "nofile=100:200", "--ulimit", "core=0", "--oom-score-adj", "300",
                 "--shm-size", "1m", "--sysctl", "kernel.msgmax=9000", "--sysctl",
                 "net.ipv4.ip_forward=1") as container:
        proc = pathlib.Path(f"/proc/{container.pid()}")
        limits = (proc / "limits").read_text()
        expect(re.search(r"Max open files +100 +200 ", limits), limits)
        expect(re.search(r"Max core file size +0 +0 ", limits), limits)
        equal((proc / "oom_score_adj").read_text().strip(), "300")
        expect(re.search(r" /dev/shm .*size=1024k", (proc / "mounts").read_text()), "--shm-size")
        nsenter = ["nsenter", "-t", str(container.pid()), "-i", "-n", "--"]
        for name, wanted in (("kernel/msgmax", "9000"), ("net/ipv4/ip_forward", "1")):
            done = subprocess.run([*nsenter, "cat", f"/proc/sys/{name}"], capture_output=True,
                                  text=True, timeout=20, check=True)
            equal(done.stdout.strip(), wanted, name)
    before = pathlib.Path("/proc/sys/kernel/core_pattern").read_text()
    refused(host, "--sysctl", "kernel.core_pattern=|/tmp/x", says=("--sysctl", "whole host"))
    equal(pathlib.Path("/proc/sys/kernel/core_pattern").read_text(), before)
    refused(host, "--sysctl", "net.ipv4.ip_forward=1", "--network", "host", says="shared with the host")


@suite.test
def namespaces_are_the_containers_own_unless_shared(host):
    kinds = ("pid", "ipc", "uts", "cgroup", "user", "time")
    read = "for i in pid ipc uts cgroup user time; do readlink /proc/self/ns/$i; done; "
    private = host.says("busybox", "sh", "-c", read).split()
    for kind, link in zip(kinds, private):
        expect(link != own(kind), f"{kind}: {link}")
    shared = host.says("--pid", "host", "--ipc", "host", "--uts", "host", "--cgroupns", "host",
                       "--time-offset", "host", "busybox", "sh", "-c",
                       read + "ls -d /proc/[0-9]* | wc -l; hostname").split()
    for kind, link in zip(kinds, shared):
        expect((link == own(kind)) == (kind != "user"), f"{kind}: {link}")
    expect(int(shared[6]) >= 5, "the host's processes")
    equal(shared[7], os.uname().nodename)
    equal(host.says("--userns", "host", "busybox", "sh", "-c", "readlink /proc/self/ns/user; "
                    "grep -c . /proc/self/uid_map; awk '{print $3}' /proc/self/uid_map").split(),
          [own("user"), "1", "4294967295"])
    up = float(host.says("--time-offset", "48h", "busybox", "cat", "/proc/uptime").split()[0])
    expect(48 * 3600 <= up < 48 * 3600 + 600, f"uptime {up}")
    equal(host.says("--ipc", "none", "busybox", "sh", "-c", "ls -d /dev/shm || true", ), "")
    # What a shared namespace shows is masked as ever, and may not be changed.
    expect("Read-only" in host.run("--pid", "host", "busybox", "sh", "-c",
                                   "echo x > /proc/sys/kernel/core_pattern").stderr, "core_pattern")


@suite.test
def two_containers_share_namespaces(host):
    with named(host, "one", "--ipc", "shareable", "--tenant", "acme",
               script="echo hello > /dev/shm/x; echo up $(hostname); while :; do sleep 0.05; done") as one:
        links = {kind: os.readlink(f"/proc/{one.pid()}/ns/{kind}") for kind in ("pid", "ipc", "user")}
        text = host.says("--pid", "container:one", "--ipc", "container:one", "busybox", "sh", "-c",
                         "cat /dev/shm/x; for i in pid ipc user; do readlink /proc/self/ns/$i; done; "
                         "cat /proc/1/comm; ls -n /dev/shm/x | awk '{print $3}'; echo back > /dev/shm/y; "
                         "kill -0 1 && echo reached").split()
        equal(text, ["hello", links["pid"], links["ipc"], links["user"], "sh", "0", "reached"])
        equal(pathlib.Path(f"/proc/{one.pid()}/root/dev/shm/y").read_text(), "back\n")
        # Without being told, none of it.
        equal(host.says("busybox", "sh", "-c", "ls /dev/shm; cat /proc/1/comm; true"), "sh")
        refused(host, "--pid", "container:one", "--tenant", "other", says='the tenant "acme"')
        refused(host, "--pid", "container:one", "--userns", "host", says="contradict")
        with named(host, "two") as two:
            refused(host, "--ipc", "container:two", says="--ipc shareable")
            refused(host, "--pid", "container:one", "--ipc", "container:two", says="two containers")
            expect(os.readlink(f"/proc/{two.pid()}/ns/user") != links["user"], "two")
    done = host.run("--pid", "container:one", "busybox", "true")
    expect(done.returncode == 125 and "one" in done.stderr, done.stderr)


@suite.test
def ids_that_are_shared_stay_taken(host):
    pool = pathlib.Path("/var/lib/bulkhead/id-pool")
    with named(host, "first", "--ipc", "shareable") as first:
        begin = pathlib.Path(f"/proc/{first.pid()}/uid_map").read_text().split()[1]
        with named(host, "second", "--userns", "container:first"):
            equal(len(list(pool.glob(f"{begin}-*"))), 2, "owners of the range")
            os.kill(first.pid(), signal.SIGKILL)
            first.process.wait(20)
            equal(len(list(pool.glob(f"{begin}-*"))), 1, "the second still has it")
            with named(host, "third") as third:
                expect(pathlib.Path(f"/proc/{third.pid()}/uid_map").read_text().split()[1] != begin,
                       "the range of a running container was given away")
    equal(list(pool.glob(f"{begin}-*")), [])


@suite.test
def devices_are_handed_in(host):
    if not os.path.exists("/dev/fuse"):
        raise Skip("there is no /dev/fuse")
    number = os.stat("/dev/fuse").st_rdev
    text = host.says("--device", "/dev/fuse", "--device", "/dev/fuse:/dev/sub/mine:r", "busybox", "sh",
                     "-c", "stat -c '%F %u %t:%T' /dev/fuse; head -c0 /dev/fuse && echo opened; "
                     "head -c0 /dev/sub/mine && echo read; (: > /dev/sub/mine) 2>&1; "
                     "mknod /tmp/x c 1 1 2>&1 || true; ls /dev/kmsg /dev/mem 2>/dev/null || true")
    lines = text.splitlines()
    equal(lines[:3], [f"character special file 0 {os.major(number):x}:{os.minor(number):x}", "opened",
                      "read"])
    # The rule of the first, whose access is rwm, is of the same device: both may write.
    expect(any("not permitted" in line for line in lines[3:]), f"mknod: {lines}")
    # Positive control: what was not handed in cannot be opened, even where its node is.
    done = host.run("--volume", "/dev:/hostdev:noidmap", "busybox", "sh", "-c",
                    "head -c0 /hostdev/fuse")
    expect(done.returncode != 0 and ("denied" in done.stderr or "not permitted" in done.stderr),
           done.stderr)
    done = host.run("--device", "/dev/fuse:/dev/fuse:r", "busybox", "sh", "-c", ": > /dev/fuse")
    expect(done.returncode != 0 and "not permitted" in done.stderr, f"read only: {done.stderr}")
    allow = f"c {os.major(number)}:{os.minor(number)} rwm"
    with Running(host, "--device-cgroup-rule", allow) as container:
        expect(allow in container.limit("devices", "devices.list"), "the rule")
    refused(host, "--device", "/dev/no-such", says="--device")
    refused(host, "--device", "/etc/passwd", says="--device")


@suite.test
def cdi_devices_bring_what_their_files_say(host):
    if CDI.exists():
        raise Skip("this host has CDI files of its own")
    mark = host.directory / "hook-ran"
    CDI.mkdir()
    try:
        edits = {"env": ["ONE=1"], "additionalGids": [44],
                 "deviceNodes": [{"path": "/dev/net/one", "hostPath": "/dev/null"}],
                 "mounts": [{"hostPath": "/etc/hostname", "containerPath": "/given/name",
                             "options": ["ro", "nosuid", "nodev", "bind"]}],
                 "hooks": [{"hookName": "createRuntime", "path": shutil.which("touch"),
                            "args": ["touch", str(mark)]}]}
        spec = {"cdiVersion": "0.6.0", "kind": "example.com/net",
                "devices": [{"name": "one", "containerEdits": edits}]}
        (CDI / "test.json").write_text(json.dumps(spec))
        text = host.says("--device", "example.com/net=one", "busybox", "sh", "-c",
                         "echo $ONE; id -G; stat -c %F /dev/net/one; cat /given/name")
        equal(text.splitlines(), ["1", "0 44", "character special file",
                                  pathlib.Path("/etc/hostname").read_text().strip()])
        expect(mark.exists(), "the hook")
        refused(host, "--device", "example.com/net=two", says=("no CDI device", "one"))
        refused(host, "--gpus", "all", says=("nvidia.com/gpu=all", "nvidia-ctk"))
        (CDI / "test.json").chmod(0o666)
        refused(host, "--device", "example.com/net=one", says="only root can write")
    finally:
        shutil.rmtree(CDI)


@suite.test
def mounts_are_as_their_fields_say(host):
    place = host.directory / "shown"
    place.mkdir()
    (place / "file").write_text("content")
    text = host.says("--mount", f"type=bind,source={place},target=/shown,readonly", "--mount",
                     f"type=bind,src={place},dst=/raw,idmap=false", "--mount",
                     "type=tmpfs,destination=/scratch,tmpfs-size=1m,tmpfs-mode=1700", "busybox", "sh",
                     "-c", "cat /shown/file; stat -c %u /shown/file /raw/file; "
                     "(: > /shown/new) 2>&1; stat -c %a /scratch; "
                     "dd if=/dev/zero of=/scratch/x bs=1M count=2 2>&1 | grep -o 'No space.*'")
    for word in ("content", "0", "65534", "Read-only", "1700", "No space left"):
        expect(word in text, f"no {word} in {text}")
    refused(host, "--mount", "type=volume,source=../x,target=/x", says="is a name")
    refused(host, "--mount", "type=bind,source=/etc,target=/x,bind-propagation=shared", says="propagation")


@suite.test
def privileged_opens_what_docker_opens_and_says_so(host):
    read = ("grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status | awk '{print $2}'; "
            "readlink /proc/self/ns/user; ls /dev | wc -l; mount -t tmpfs none /mnt && echo mounted; "
            "grep -c ' /proc/kcore ' /proc/mounts; grep ' /sys sysfs' /proc/mounts | cut -c1-40")
    script = ["busybox", "sh", "-c", read]
    plain = host.run(*script).stdout.split()
    done = host.run("--privileged", *script)
    opened = done.stdout.split()
    expect("warning: --privileged opens" in done.stderr and "devices" in done.stderr, done.stderr)
    equal(opened[1:4], ["0", "0", own("user")])
    expect(int(opened[0], 16).bit_count() >= 38 > int(plain[0], 16).bit_count(), opened[0])
    expect(int(opened[4]) > int(plain[4]) + 5, f"devices: {opened[4]}, {plain[4]}")
    expect("mounted" in opened and "mounted" not in plain, "mount")
    equal(plain[1:3], ["1", "2"], "positive control: without the flag")
    kept = host.run("--privileged", "--userns", "private", *script)
    expect(kept.stdout.split()[3] != own("user"), "--userns private")
    expect("--userns private" in kept.stderr, kept.stderr)
    text = host.call("explain", "run", "--privileged", "busybox").stdout
    expect("root on the host" in text and "every disk" in text, text[-2000:])


@suite.test
def untrusted_code_gets_the_strictest(host):
    out = host.directory / "out"
    out.mkdir()
    text = host.says("--preset", "untrusted", "-v", f"{out}:/out", "busybox", "sh", "-c",
                     "grep -E '^(CapBnd|Seccomp|NoNewPrivs):' /proc/self/status | awk '{print $2}'; "
                     "ulimit -n; (: > /etc/x) 2>&1; : > /tmp/x && echo tmp; echo y > /out/y && echo out; "
                     "tail -n +3 /proc/net/dev | cut -d: -f1; cat /proc/self/oom_score_adj")
    lines = text.splitlines()
    equal(lines[:4], ["0000000000000000", "1", "2", "1024"])
    expect("Read-only" in lines[4] or "denied" in lines[4], lines[4])
    equal([line.strip() for line in lines[5:]], ["tmp", "out", "lo", "500"])
    # Landlock, and not only the read-only mount: a place that the mounts would let it write.
    probe = ["--tmpfs", "/tmp", "busybox", "sh", "-c", ": > /dev/pts/../x 2>/dev/null && echo made"]
    equal(host.says(*probe), "made", "positive control")
    done = host.run("--preset", "untrusted", *probe)
    explained = host.call("explain", "run", "--preset", "untrusted", "busybox").stdout
    if "landlock: applied" in explained:
        expect("made" not in done.stdout, "a file in /dev in spite of Landlock")
    for flags in (("--privileged",), ("--network", "host"), ("--cap-add", "CHOWN"),
                  ("--security-opt", "seccomp=unconfined"), ("--device", "/dev/fuse")):
        refused(host, "--preset", "untrusted", *flags, says=("--preset", flags[0]))


@suite.test
def output_beyond_the_limit_ends_the_container(host):
    result = host.directory / "result.json"
    done = host.run("--output-limit", "10k", "--result", str(result), "busybox", "sh", "-c",
                    "yes; sleep 60")
    equal(done.returncode, 137, done.stderr)
    equal(len(done.stdout), 10 << 10)
    expect("--output-limit" in done.stderr, done.stderr)
    equal(json.loads(result.read_text())["outputLimited"], True)
    done = host.run("--output-limit", "10k", "--result", str(result), "busybox", "sh", "-c",
                    "echo out; echo err >&2; exit 3")
    equal((done.returncode, done.stdout, done.stderr), (3, "out\n", "err\n"))
    equal(json.loads(result.read_text())["outputLimited"], False)
    # Both streams count together.
    done = host.run("--output-limit", "1000", "busybox", "sh", "-c",
                    "head -c 600 /dev/zero; head -c 600 /dev/zero >&2; sleep 60")
    equal(done.returncode, 137)


@suite.test
def signals_are_kept_when_asked(host):
    script = "trap 'echo trapped' TERM; echo up $(hostname); while :; do sleep 0.05; done"
    with Running(host, "--sig-proxy=false", script=script) as container:
        container.process.terminate()
        equal(container.process.wait(20), 128 + signal.SIGTERM)
        equal(container.process.stdout.read(), "", "it was passed on")
    with Running(host, script="trap 'echo trapped; exit 5' TERM; echo up $(hostname); "
                              "while :; do sleep 0.05; done") as container:
        container.process.terminate()
        equal(container.process.wait(20), 5, "positive control")


@suite.test
def what_is_recorded_is_in_the_record(host):
    labels = host.directory / "labels"
    labels.write_text("from=file\nboth=file\n")
    with named(host, "recorded", "--label-file", str(labels), "--label", "both=flag", "--annotation",
               "org.example.a=b", "--expose", "80", "--tenant", "acme", "--stop-signal", "INT",
               "--stop-timeout", "3") as container:
        state = next((host.runroot / "runtime").glob(f"{container.hostname}*")) / "state.json"
        annotations = json.loads(state.read_text())["annotations"]
        equal(json.loads(annotations["org.bulkhead.labels"]), {"both": "flag", "from": "file"})
        for name, wanted in (("org.example.a", "b"), ("org.bulkhead.tenant", "acme"),
                             ("org.opencontainers.image.exposedPorts", "80/tcp"),
                             ("org.opencontainers.image.stopSignal", str(int(signal.SIGINT))),
                             ("org.bulkhead.stop-timeout", "3")):
            equal(annotations[name], wanted, name)
    refused(host, "--annotation", "org.bulkhead.tenant=other", says="Bulkhead's own")


@suite.test
def a_group_above_the_containers(host):
    parent = "/bulkhead-flags-suite/inner"
    with Running(host, "--cgroup-parent", parent, "--pids-limit", "33") as container:
        group = pathlib.Path(f"/proc/{container.pid()}/cgroup").read_text()
        expect(f":{parent}/" in group, group)
    for place in pathlib.Path("/sys/fs/cgroup").glob("*/bulkhead-flags-suite"):
        (place / "inner").rmdir()
        place.rmdir()


@suite.test
def the_hosts_policy_is_kept(host):
    """In a mount namespace of its own: the host's /etc/bulkhead is left alone."""
    place = host.directory / "policy"
    place.mkdir()
    log = place / "audit.log"
    policy = place / "policy.json"

    def call(*words):
        script = ('mkdir -p /etc/bulkhead && mount -t tmpfs none /etc/bulkhead && chmod 755 /etc/bulkhead '
                  f'&& cp -p {policy} /etc/bulkhead/policy.json && exec "$@"')
        return subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh",
                               *host.command(*words)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=60, check=False)

    had = os.path.isdir("/etc/bulkhead")
    try:
        policy.write_text(json.dumps({
            "forbid": ["privileged", "host-network", "host-mounts"], "hostMounts": [str(place)],
            "processes": 100, "audit": str(log)}))
        policy.chmod(0o644)
        plain = ("--pids-limit", "50", "busybox", "echo", "hello")
        done = call("run", "--rm", *plain)
        equal((done.returncode, done.stdout), (0, "hello\n"), done.stderr)
        for flags, word in ((("--network", "host"), "host-network"), (("--privileged",), "privileged"),
                            (("-v", "/etc:/x"), "host-mounts"), (("--pids-limit", "101"), "processes")):
            words = (*flags, *(plain[2:] if flags[0] == "--pids-limit" else plain))
            done = call("run", "--rm", *words)
            equal(done.returncode, 125, f"{flags}: {done.stderr}")
            expect("the host's policy forbids" in done.stderr and f"{word}: " in done.stderr, done.stderr)
            equal(host.run(*words).returncode, 0, f"positive control: {flags} without the policy")
            done = call("policy", "check", "run", *words)
            expect(done.returncode == 1 and f"forbidden: {word}: " in done.stdout, done)
        equal(call("run", "--rm", "-v", f"{place}:/x", *plain).returncode, 0, "a tree that is allowed")
        done = call("run", "--rm", "--init", *plain)
        equal(done.returncode, 0, f"our own init: {done.stderr}")
        done = call("run", "--detach", "--name", "never", "--network", "host", *plain)
        expect(done.returncode == 125 and "host-network" in done.stderr, f"detached: {done}")
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        equal([line["event"] for line in lines], ["start", *["refused"] * 4, "start", "start", "refused"])
        expect(all(line["uid"] == 0 and line["container"] for line in lines), lines)
        expect(any("network" in text for text in lines[1]["weakened"]), lines[1])
        for text, mode in (("{", 0o644), ('{"forbid": ["banana"]}', 0o644), ("{}", 0o666)):
            policy.write_text(text)
            policy.chmod(mode)
            done = call("run", "--rm", *plain)
            expect(done.returncode == 125 and "policy" in done.stderr, f"{text}: {done}")
            equal(call("policy", "check").returncode, 125, text)
    finally:
        if not had:
            os.rmdir("/etc/bulkhead")


@suite.test
def every_missing_option_says_what_to_use(host):
    help_text = host.call("run", "--help").stdout
    for flag in ("-d", "-p", "--dns", "--restart", "--log-driver", "--health-cmd"):
        if re.search(rf"[ ,]{flag}[ ,=\n]", help_text):
            continue  # it is there by now
        refused(host, flag, "x", says=("is not supported: ", flag))


if __name__ == "__main__":
    sys.exit(main(suite))
