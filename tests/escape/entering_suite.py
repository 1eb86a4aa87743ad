#!/usr/bin/env python3
"""Attacks on processes that enter a container, from those who are in it."""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from attack import ALL_CAPABILITIES, WEAKENED, Running, capabilities, main, weakened, without
from support.bundles import default_config, merge
from support.harness import Suite, equal, expect

suite = Suite("escape")


def ambush(work, enter, seconds=4):
    """What an insider says that waits for newcomers so long, while `enter` brings some in."""
    insider = capabilities("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_SETUID")
    with Running(work, merge(default_config(["guest", "ambush", str(seconds)]), insider)) as container:
        deadline = time.monotonic() + seconds + 2
        while time.monotonic() < deadline and not container.text().strip():
            enter(container)
        return container.text()


@suite.test
def cve_2016_9962_nobody_inside_can_take_hold_of_a_process_that_enters(work):
    text = ambush(work, lambda container: container.exec("true"))
    expect(text.startswith("held"), text)

    # The insider is able to: it catches an ordinary program, which does not hide as the runtime does.
    control = ambush(work, lambda container: container.exec("guest", "swap", "/", "/", "0.3"), 60)
    expect("ESCAPED" in control, f"the control does not get through: {control}")


@suite.test
def cve_2019_5736_the_runtimes_binary_cannot_be_written_from_inside(work):
    """Both ways in: the entry point is /proc/self/exe, and exec's target is."""
    def attack(program, env):
        binary = pathlib.Path(tempfile.mkdtemp(dir=work.directory)) / "runtime"
        shutil.copy(program, binary)
        victim = work.with_runtime(binary)
        # "exec /proc/self/exe" makes the runtime's own file the container's program; the insider
        # holds on to it and writes once it has ended.
        config = merge(default_config(["guest", "overwrite", "4"]), capabilities(*ALL_CAPABILITIES))
        with Running(victim, config, env) as container:
            deadline = time.monotonic() + 8
            while time.monotonic() < deadline and "errno" not in container.text():
                # While the insider has the file open for writing, nobody can execute it.
                with contextlib.suppress(OSError):
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


def abstract_sockets_of(pid):
    """The names that every process of the network namespace could connect to, whatever its root."""
    held = set()
    for file in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            held.add(os.readlink(file).removeprefix("socket:[").rstrip("]"))
    lines = pathlib.Path("/proc/self/net/unix").read_text(errors="replace").splitlines()[1:]
    return [fields[7] for fields in map(str.split, lines)
            if len(fields) > 7 and fields[7].startswith("@") and fields[6] in held]


@suite.test
def cve_2020_15257_a_container_brings_no_abstract_socket(work):
    with socket.socket(socket.AF_UNIX) as control:
        control.bind(f"\0bulkhead-test-{os.getpid()}")
        expect(abstract_sockets_of("self"), "the control is not seen")
    config = default_config(["sleep", "100"])
    config["linux"]["namespaces"] = [one for one in config["linux"]["namespaces"] if one["type"] != "network"]
    bundle, name = work.bundle(config), work.new_id()
    # Not through pipes: the container would hold them open.
    done = subprocess.run(work.command("create", "--bundle", bundle, name), stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=False)
    try:
        equal(done.returncode, 0, "create")
        pid = json.loads(work.call("state", name).stdout)["pid"]
        equal(abstract_sockets_of(pid), [], "while it waits for its start")
        equal(work.call("start", name).returncode, 0, "start")
        equal(abstract_sockets_of(pid), [], "while it runs")
    finally:
        work.call("delete", "--force", name)


if __name__ == "__main__":
    sys.exit(main(suite))
