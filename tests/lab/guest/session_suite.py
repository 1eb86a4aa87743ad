#!/usr/bin/env python3
"""A user's own systemd, below a systemd that is PID 1: containers of that user are scopes of it, and their
limits hold by what the system has delegated to it."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

from inside import GROUPS, Suite, equal, expect, main

suite = Suite("user session")
USER = 4711
NAME = "session"
RUNTIME_DIRECTORY = pathlib.Path(f"/run/user/{USER}")
MANAGER = GROUPS / f"user.slice/user-{USER}.slice/user@{USER}.service"
EATER = "dd if=/dev/zero of=/dev/null bs=96M count=1 2>/dev/null && echo eaten; true"


def start_manager():
    """The user, and its systemd as a login would start it."""
    if MANAGER.is_dir():
        return
    for file, line in (("passwd", f"{NAME}:x:{USER}:{USER}::/tmp:/bin/sh"), ("group", f"{NAME}:x:{USER}:"),
                       ("shadow", f"{NAME}:*:19000:0:99999:7:::")):
        with open(f"/etc/{file}", "a", encoding="utf-8") as entries:
            entries.write(line + "\n")
    done = subprocess.run(["systemctl", "start", f"user@{USER}.service"], capture_output=True, text=True,
                          timeout=300, check=False)
    status = subprocess.run(["systemctl", "status", "--no-pager", f"user@{USER}.service",
                             f"user-runtime-dir@{USER}.service"], capture_output=True, text=True, timeout=60,
                            check=False)
    equal(done.returncode, 0, f"{done.stderr} {status.stdout[-900:]}")
    expect((RUNTIME_DIRECTORY / "systemd/private").exists(), f"no systemd of the user's: {status.stdout}")


def as_user(*words, log=None):
    """A command in the user's session: a service of its systemd. What a container that stays would hold open
    goes to a file, not through pipes."""
    command = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups", "env", "-i",
               f"PATH={os.environ['PATH']}", f"XDG_RUNTIME_DIR={RUNTIME_DIRECTORY}",
               "systemd-run", "--user", "--quiet", "--pipe", "--wait",
               f"--setenv=XDG_RUNTIME_DIR={RUNTIME_DIRECTORY}", "--", *map(str, words)]
    if log is None:
        return subprocess.run(command, stdin=subprocess.DEVNULL, text=True, capture_output=True,
                              errors="replace", timeout=180, check=False)
    with open(log, "w", encoding="utf-8") as output:
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=180,
                              check=False)


def bundle_of(work, script, **resources):
    """A bundle that the user owns, with a program that it can read."""
    place = work.directory / f"session{next(work.numbers)}"
    place.mkdir()
    shutil.copy(work.runtime, place / "runtime")
    subprocess.run(["cp", "-a", str(work.rootfs), str(place / "rootfs")], check=True)
    subprocess.run([work.runtime, "spec", "--rootless", "--bundle", str(place)], check=True)
    config = json.loads((place / "config.json").read_text())
    config["process"].update(terminal=False, args=["sh", "-c", script])
    config["root"]["readonly"] = False
    config["linux"]["resources"] = resources
    for kind in ("uidMappings", "gidMappings"):
        config["linux"][kind][0]["hostID"] = USER
    (place / "config.json").write_text(json.dumps(config))
    subprocess.run(["chown", "-R", f"{USER}:{USER}", str(place)], check=True)
    return place


def runtime(place, *arguments, **more):
    return as_user(place / "runtime", "--systemd-cgroup", "--root", RUNTIME_DIRECTORY / "state", *arguments,
                   **more)


def run(work, script, **resources):
    place = bundle_of(work, script, **resources)
    return runtime(place, "run", "--bundle", place, f"user-{next(work.numbers)}")


def gone(name):
    """No scope of that container, a while after its end."""
    deadline = time.monotonic() + 120
    while left := [path for path, _, _ in os.walk(MANAGER) if name in path.rsplit("/", 1)[-1]]:
        expect(time.monotonic() < deadline, f"left: {left}")
        time.sleep(0.1)


@suite.test
def a_container_is_a_scope_of_the_users_systemd(work):
    start_manager()
    place = bundle_of(work, "sleep 1000", pids={"limit": 77})
    name = f"user-{next(work.numbers)}"
    try:
        done = runtime(place, "create", "--bundle", place, "--pid-file", place / "pid", name,
                       log=place / "log")
        equal(done.returncode, 0, (place / "log").read_text())
        pid = int((place / "pid").read_text())
        group = pathlib.Path(f"/proc/{pid}/cgroup").read_text().strip().removeprefix("0::")
        expect(group.startswith(f"/{MANAGER.relative_to(GROUPS)}/") and name in group
               and ".scope" in group, group)
        equal((GROUPS / group.lstrip("/") / "pids.max").read_text().strip(), "77", "pids.max")
        equal(runtime(place, "start", name).returncode, 0, "start")
    finally:
        equal(runtime(place, "delete", "--force", name).returncode, 0, "delete")
    gone(name)


@suite.test
def limits_hold_by_delegation(work):
    start_manager()
    held = run(work, EATER, memory={"limit": 32 << 20})
    expect("eaten" not in held.stdout, f"96 MiB were eaten under a limit of 32: {held}")
    free = run(work, EATER, memory={"limit": 256 << 20})
    expect("eaten" in free.stdout, f"the control is stopped: {free}")


@suite.test
def a_controller_that_is_not_delegated_is_refused(work):
    """io and cpuset stay with the system: the limit is refused, and the same container without it runs."""
    start_manager()
    expect("cpuset" not in (MANAGER / "cgroup.controllers").read_text().split(), "cpuset is delegated here")
    refused = run(work, "echo ran", cpu={"cpus": "0"})
    expect(refused.returncode != 0 and "ran" not in refused.stdout and "cpu" in refused.stderr, refused)
    equal(run(work, "echo ran").stdout, "ran\n", "without the limit")


if __name__ == "__main__":
    sys.exit(main(suite))
