"""What the suites of the engines share: the runtime and image under test, and what the kernel says."""

import os
import pathlib
import re
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from support.harness import Skip, Suite, equal, expect

__all__ = ["Skip", "Suite", "equal", "expect"]

RUNTIME = os.environ["BULKHEAD_RUNTIME"]  # settled by the harness, like
BUILD = pathlib.Path(os.environ["BULKHEAD_BUILD"])
# "docker" alone is the product's; on another runtime (the suite's own proof) its name is added.
ON = "" if pathlib.Path(RUNTIME).name == "bulkhead-runtime" else f" on {pathlib.Path(RUNTIME).name}"


def image_file():
    """busybox as an OCI archive."""
    return os.environ.get("BULKHEAD_IMAGE") or str(BUILD / "share/bulkhead/images/busybox.tar")


def run_suite(suite, programs, host):
    """Runs a suite on what the context manager `host` gives; a whole skip where a program is missing."""
    suite.name += ON
    if os.geteuid() != 0:
        print(f"SKIP {suite.name} — needs root")
        return 0
    for program, package in programs.items():
        if not shutil.which(program):
            print(f"SKIP {suite.name} — {program} is missing: the package {package} is not installed")
            return 0
    try:
        engine = host()
    except Skip as reason:
        print(f"SKIP {suite.name} — {reason}")
        return 0
    except (AssertionError, OSError) as error:
        print(f"FAIL {suite.name} — {' '.join(str(error).split())[:900]}")
        return 1
    with engine:
        return suite.main(engine)


def go_apart():
    """Starts this program again in a mount and a network namespace of its own, for engines without a
    daemon: no bridge and no firewall rule of theirs reaches the machine's network.

    The mounts are private to it and then shared anew, as on a host: podman starts the monitor of a
    container with id maps in a mount namespace of its own, and what the monitor unmounts when the
    container ends must go here, too. Were it private, `podman rm` would fail whenever the monitor comes
    first."""
    if os.environ.get("BULKHEAD_APART") == "1" or os.geteuid() != 0:
        return
    script = 'mount --make-rshared / && ip link set lo up && exec "$@"'
    os.execvpe("unshare", ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", script,
                           "sh", sys.executable, *sys.argv],
               dict(os.environ, BULKHEAD_APART="1"))


def eventually(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def deaf_until_ready(script):
    """A shell's words that first make /ready: a signal that comes before its trap stands is lost."""
    return ("sh", "-c", script.replace("while ", "touch /ready; while ", 1))


def wait_until_ready(pid):
    expect(eventually(pathlib.Path(f"/proc/{pid}/root/ready").exists), "the program does not get ready")


def status_of(pid):
    """/proc/PID/status as a dictionary."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def cgroup_directory(pid, v1_controller):
    """The group that a process is in, in whichever hierarchy has the controller."""
    unified = None
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if v1_controller in controllers.split(","):
            return pathlib.Path(f"/sys/fs/cgroup/{controllers}{path}")
        if not controllers:
            unified = path
    return pathlib.Path(f"/sys/fs/cgroup{unified}")


def cgroup_value(pid, v1_controller, v1_file, v2_file):
    directory = cgroup_directory(pid, v1_controller)
    is_v2 = (directory / "cgroup.controllers").exists()
    return (directory / (v2_file if is_v2 else v1_file)).read_text().strip()


def limit_of(pid, name):
    """The soft limit of a process: limit_of(pid, "open files")."""
    text = pathlib.Path(f"/proc/{pid}/limits").read_text()
    return re.search(rf"^Max {name} +(\S+)", text, re.M)[1]


def namespace(pid, kind):
    return os.readlink(f"/proc/{pid}/ns/{kind}")


def root_lacks_a_capability():
    """Some machines keep a capability from root; runc then refuses to give all of them."""
    bounding = int(status_of("self")["CapBnd"], 16)
    return bounding & (bounding + 1) != 0
