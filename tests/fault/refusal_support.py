"""Runs the runtime with one of its system calls refused, and tells what came of it."""

import collections
import dataclasses
import fnmatch
import json
import os
import pathlib
import re
import shutil
import subprocess

from support.bundles import BUILD, default_config, merge

INJECTOR = str(BUILD / "tests/fault-injector")
FACTS = str(BUILD / "tests/fault-facts")
ERRORS = ("EPERM", "ENOSYS", "ENOMEM", "EINTR")
NOBODY = 65534
HOST_ROOT = 800000
GUEST_CODE = 42  # of the guest that tells its facts


@dataclasses.dataclass(frozen=True)
class Call:
    """One system call of one process: the Nth of that name."""
    role: str
    name: str
    number: int
    detail: str

    @property
    def who(self):
        if "t" in self.role:
            return "thread"
        return "child" if "." in self.role else "parent"

    def __str__(self):
        return f"{self.who} {self.role} {self.name} #{self.number} ({self.detail})"


def engine_spec(*args):
    """What an engine asks for: every layer has something to do."""
    return merge(default_config(list(args)), {
        "process": {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 2048},
                                {"type": "RLIMIT_NPROC", "soft": 500, "hard": 500}],
                    "oomScoreAdj": 100,
                    "user": {"uid": 0, "gid": 0, "umask": 18, "additionalGids": [7, 8]}},
        "domainname": "inside",
        "linux": {
            "sysctl": {"kernel.shm_rmid_forced": "1", "net.ipv4.ip_forward": "0"},
            "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229,
                         "fileMode": 0o600, "uid": 0, "gid": 0}],
            "resources": {"devices": [{"allow": False, "access": "rwm"}], "cpu": {"shares": 512}},
            "seccomp": {"defaultAction": "SCMP_ACT_ALLOW",
                        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
                        "syscalls": [{"names": ["io_uring_setup", "userfaultfd", "bpf", "ptrace"],
                                      "action": "SCMP_ACT_ERRNO"}]}}})


def in_user_namespace(config):
    config["linux"]["namespaces"].append({"type": "user"})
    for kind in ("uidMappings", "gidMappings"):
        config["linux"][kind] = [{"containerID": 0, "hostID": HOST_ROOT, "size": 65536}]
    config["linux"].pop("devices", None)
    return config


def rootless_spec(*args):
    config = engine_spec(*args)
    config["linux"]["namespaces"] = [{"type": kind} for kind in
                                     ("pid", "network", "ipc", "uts", "mount", "user", "cgroup")]
    for kind in ("uidMappings", "gidMappings"):
        config["linux"][kind] = [{"containerID": 0, "hostID": NOBODY, "size": 1}]
    for key in ("resources", "devices"):
        config["linux"].pop(key)
    config["process"]["user"].pop("additionalGids")
    config["mounts"] = [mount for mount in config["mounts"] if mount["type"] not in ("cgroup", "sysfs")]
    return config


class Scenario:
    """Commands whose calls are refused, and the container that they are to make or enter."""

    name = ""
    user = None     # who runs the commands
    enters = False  # exec: the container is there before

    def __init__(self, work):
        self.work = work
        self.root = work.own_root()
        shutil.copy(FACTS, self.root / "bin/facts")
        self.state = work.state
        self.runtime = work.runtime
        self.bundle = work.bundle(merge(self.config(), {"root": {"path": str(self.root)}}))
        self.baseline = None
        self.unsteady = set()  # (role, name) of calls whose number differs from run to run
        self.prepare()

    def config(self):
        return engine_spec("/bin/facts")

    def prepare(self):
        """What must be there before any of the commands."""

    def close(self):
        """What prepare() made goes."""

    def commands(self, name):
        raise NotImplementedError

    def command(self, *arguments):
        return [str(self.runtime), "--root", str(self.state), *map(str, arguments)]

    def give_root_to(self, owner):
        os.chmod(self.work.directory, 0o755)
        for path in [self.root, *self.root.rglob("*")]:
            os.lchown(path, owner, owner)

    def call(self, *arguments):
        command = self.command(*arguments)
        if self.user is not None:
            command = ["setpriv", "--reuid", str(self.user), "--regid", str(self.user),
                       "--clear-groups", *command]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False,
                              stdin=subprocess.DEVNULL, cwd=str(self.work.directory))

    def delete(self, name):
        return self.call("delete", "--force", name)

    def inject(self, name, *options, seconds=15, env=None):
        """One run under the injector: a Run."""
        report = self.work.directory / f"report-{name}"
        command = [INJECTOR, "--report", str(report), "--seconds", str(seconds), *options]
        if self.user is not None:
            command += ["--user", str(self.user)]
        for i, words in enumerate(self.commands(name)):
            command += ["--" if i == 0 else "--then", *words]
        output = self.work.directory / f"output-{name}"
        errors = self.work.directory / f"errors-{name}"
        # Not through pipes: a container that stays would hold them open.
        with open(output, "wb") as told, open(errors, "wb") as complaints:
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=told, stderr=complaints,
                           timeout=seconds + 30, check=False, cwd=str(self.work.directory),
                           env={"PATH": os.environ["PATH"], **(env or {})})
        run = Run(name, *(path.read_text(errors="replace") for path in (report, output, errors)))
        for path in (report, output, errors):
            path.unlink()
        return run

    def calls(self):
        """Every call that can be refused; also takes the facts of an undisturbed container."""
        runs = []
        for _ in range(3):  # the first run makes the mount points
            name = self.work.new_id()
            run = self.inject(name, "--list")
            self.delete(name)
            if not run.told_all():
                raise AssertionError(f"{self.name}: the undisturbed run fails: {run.errors} "
                                     f"{run.report[-300:]}")
            runs.append(run)
        self.baseline = self.normal(run)
        self.unsteady = unsteady(runs[-2].calls(), runs[-1].calls())
        return run.calls()

    def normal(self, run):
        return normal_facts(run.output, run.name, self.enters)

    def left(self, name):
        """What is there of a container by that name."""
        found = [f"state of {name}"] if (self.state / name).exists() else []
        groups = pathlib.Path("/sys/fs/cgroup")
        found += [f"cgroup {group}" for pattern in (f"*/bulkhead-runtime/{name}",
                                                    f"bulkhead-runtime/{name}")
                  for group in groups.glob(pattern)]
        mounts = pathlib.Path("/proc/self/mountinfo").read_text(errors="replace")
        if str(self.work.directory) in mounts:
            found.append("a mount")
        return found


def unsteady(one, other):
    """The (role, name) that occur in two runs not equally often: how often a terminal, a socket or a
    thread is looked at depends on who is faster."""
    counts = [collections.Counter((call.role, call.name) for call in calls) for calls in (one, other)]
    return {key for key in counts[0] | counts[1] if counts[0][key] != counts[1][key]}


class Run:
    """What the injector says, what the container said, what the runtime said."""

    def __init__(self, name, report, output, errors):
        self.name = name
        self.report = report
        self.output = output
        self.errors = errors.strip()
        self.lines = [line.split(" ") for line in report.splitlines()]

    def calls(self):
        return [Call(line[1], line[2], int(line[3]), " ".join(line[4:]))
                for line in self.lines if line[0] == "call"]

    def codes(self):
        return [int(line[2]) for line in self.lines if line[0] == "exit"]

    def words(self, kind):
        return [" ".join(line[1:]) for line in self.lines if line[0] == kind]

    def told_all(self):
        return "\ncomplete: yes" in "\n" + self.output.replace("\r", "")


def normal_facts(text, name, same_namespaces):
    """Facts without what differs between any two containers."""
    facts = {}
    for line in text.replace("\r", "").replace(name, "NAME").splitlines():
        key, _, value = line.partition(": ")
        if key.startswith("namespace ") and not same_namespaces:
            kind = key.split()[1]
            value = "the host's" if value == os.readlink(f"/proc/self/ns/{kind}") else "its own"
        elif key in ("status NSpid", "status NSsid"):
            value = f"{len(value.split())} deep"
        elif key.startswith("mount "):
            value = re.sub(r"/tmp/bulkhead-test-\w+(/root\d+)?", "WORK", value)
            # A mount made the old way has another source, and is read-only through and through.
            value = re.sub(r" - (\S+) \S+ r[ow]", r" - \1", value)
            key = f"mount {value.split()[1]}"
        elif key == "environment":
            if value.startswith("HOME="):
                continue
            key = f"environment {value.split('=')[0]}"
        facts[key] = value
    return facts


def difference(baseline, facts, may_differ=()):
    """How the facts of one container differ from another's, in a line."""
    return "; ".join(f"{key}: {baseline.get(key)!r} became {facts.get(key)!r}"
                     for key in sorted(baseline.keys() | facts.keys())
                     if baseline.get(key) != facts.get(key)
                     and not any(fnmatch.fnmatchcase(key, pattern) for pattern in may_differ))


class RunPlainly(Scenario):
    name = "run"

    def commands(self, name):
        return [self.command("run", "--bundle", self.bundle, name)]


class RunWithTerminal(RunPlainly):
    name = "run with a terminal"

    def config(self):
        return merge(engine_spec("/bin/facts"), {"process": {"terminal": True}})


class RunInUserNamespace(RunPlainly):
    name = "run in a user namespace"

    def config(self):
        return in_user_namespace(engine_spec("/bin/facts"))

    def prepare(self):
        self.give_root_to(HOST_ROOT)


class RunRootless(RunPlainly):
    name = "rootless run"
    user = NOBODY

    def config(self):
        return rootless_spec("/bin/facts")

    def prepare(self):
        self.give_root_to(NOBODY)
        place = self.work.directory / "rootless"
        place.mkdir(exist_ok=True)
        self.state = place / "state"
        self.runtime = place / "runtime"
        shutil.copy(self.work.runtime, self.runtime)
        for path in (place, self.runtime, self.bundle, self.bundle / "config.json"):
            os.chown(path, NOBODY, NOBODY)


class CreateAndStart(Scenario):
    """With hooks of every stage."""
    name = "create and start"

    def config(self):
        hook = {"path": "/bin/true"}
        return merge(engine_spec("/bin/facts"),
                     {"hooks": {stage: [hook] for stage in
                                ("prestart", "createRuntime", "createContainer", "startContainer",
                                 "poststart", "poststop")}})

    def commands(self, name):
        return [self.command("create", "--bundle", self.bundle, name), self.command("start", name)]


class Exec(Scenario):
    name = "exec"
    enters = True

    def config(self):
        return engine_spec("/bin/sleep", "100000")

    def prepare(self):
        self.container = self.work.new_id()
        # Not through pipes: the container would hold them open.
        code = subprocess.run(self.command("run", "--detach", "--bundle", self.bundle, self.container),
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=60, check=False).returncode
        if code != 0:
            raise AssertionError(f"{self.name}: run --detach: exit code {code}")

    def close(self):
        self.delete(self.container)

    def commands(self, name):
        # The name makes no difference: the container is one for all.
        return [self.command("exec", self.container, "/bin/facts")]

    def left(self, name):
        """The container lives on; with two at work at once the other's process may be seen."""
        done = self.call("ps", "--format", "json", self.container)
        running = len(json.loads(done.stdout)) if done.returncode == 0 else 0
        return [] if running in (1, 2, 3) else [f"{running} processes in the container: {done.stderr}"]


class ExecInUserNamespace(Exec):
    name = "exec in a user namespace"

    def config(self):
        return in_user_namespace(engine_spec("/bin/sleep", "100000"))

    def prepare(self):
        self.give_root_to(HOST_ROOT)
        super().prepare()


SCENARIOS = (RunPlainly, RunInUserNamespace, CreateAndStart, Exec, ExecInUserNamespace, RunRootless,
             RunWithTerminal)
