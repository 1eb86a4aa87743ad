"""What the suites share that run within a guest of the lab."""

import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent))
from support.bundles import BUILD, Workshop, default_config, merge
from support.harness import Suite, equal, expect

BULKHEAD = os.environ["BULKHEAD"]
GUEST = os.environ.get("BULKHEAD_GUEST") or str(BUILD / "tests/escape-guest")
GROUPS = pathlib.Path("/sys/fs/cgroup")
DISK = pathlib.Path("/disk")  # ext4


def bulkhead(*arguments, timeout=120, **more):
    return subprocess.run([BULKHEAD, *map(str, arguments)], stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, errors="replace", timeout=timeout, check=False,
                          **more)


def says(*arguments):
    """What a container of `bulkhead run` says that has to succeed."""
    done = bulkhead("run", "--rm", *arguments)
    equal((done.returncode, done.stderr), (0, ""), f"bulkhead run {arguments}")
    return done.stdout


def keys(text):
    """"a 1\\nb 2" as a dictionary: memory.events, cpu.stat."""
    return {line.split()[0]: int(line.split()[1]) for line in text.splitlines()
            if len(line.split()) == 2 and line.split()[1].isdigit()}


def groups_of_containers():
    return sorted(str(path) for parent in ("bulkhead", "bulkhead-runtime")
                  for path in (GROUPS / parent).glob("*/"))


def main(suite):
    """Runs a suite in a workshop on the disk; afterwards no container's group may be there."""

    def no_group_of_a_container_is_left(_):
        equal(groups_of_containers(), [], "groups")
    suite.test(no_group_of_a_container_is_left)
    with Workshop() as work:
        os.chmod(work.directory, 0o755)
        return suite.main(work)
