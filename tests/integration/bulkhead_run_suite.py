#!/usr/bin/env python3
"""The flags of `bulkhead run`, and what it leaves behind."""

import fcntl
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import termios
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from bulkhead_support import BULKHEAD, Host, LIVE, Running, main
from support.bundles import FULL, Traces, image_file
from support.harness import Suite, equal, expect

suite = Suite("bulkhead")


@suite.test
def exit_codes_are_dockers(host):
    for command, code in ((("true",), 0), (("sh", "-c", "exit 42"), 42), (("no-such",), 127),
                          (("/no/such",), 127), (("/etc/passwd",), 126), (("/etc",), 126)):
        done = host.run("busybox", *command)
        equal(done.returncode, code, f"{command}: {done.stderr}")
    for arguments in (("--banana", "busybox"), ("no-such-image",), ("--memory", "lots", "busybox"),
                      ("--cpus", "-1", "busybox"), ("--user", "no-such-user", "busybox"), (),
                      ("--cap-add", "BANANA", "busybox"), ("--security-opt", "x=y", "busybox"),
                      ("--network", "banana", "busybox"), ("--volume", "/no/such:/x", "busybox"),
                      ("--name", "a/b", "busybox"), ("--pids-limit", "x", "busybox"),
                      ("--hostname", "x" * 100, "busybox"), ("--timeout", "soon", "busybox"),
                      ("--result", "/no/such/x", "busybox"), ("--tmpfs", "relative", "busybox")):
        done = host.run(*arguments)
        equal(done.returncode, 125, f"{arguments}: {done.stderr}")
        if arguments:
            word = arguments[1] if len(arguments) > 2 else arguments[0].lstrip("-")
            expect(word.split(":")[0][:60] in done.stderr, f"{arguments}: {done.stderr}")
    for flag in (("-p", "80:80"), ("--dns", "1.1.1.1"), ("--gpus", "some"), ("--pid", "banana")):
        done = host.run(*flag, "busybox")
        expect(done.returncode == 125 and flag[0] in done.stderr, f"{flag}: {done}")
    equal(host.containers(), [], "containers that were left")


@suite.test
def the_first_run_on_a_machine_needs_nothing_prepared(host):
    script = ("mount -t tmpfs tmpfs /var/lib && mount -t tmpfs tmpfs /run && exec " +
              shlex.join(map(str, host.command("run", "--rm", "busybox", "true"))))
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
                          capture_output=True, text=True, timeout=60, check=False)
    equal((done.returncode, done.stderr), (0, ""))


@suite.test
def flags_reach_the_process(host):
    equal(host.says("--env", "A=1", "-e", "FROM_US", "busybox", "sh", "-c", "echo $A $FROM_US $NOT",
                    env=dict(os.environ, FROM_US="ours", NOT="never")), "1 ours")
    equal(host.says("--workdir", "/etc", "busybox", "pwd"), "/etc")
    equal(host.says("-w", "/made/here", "busybox", "pwd"), "/made/here")
    equal(host.says("--hostname", "myname", "busybox", "hostname"), "myname")
    equal(host.says("-i", "busybox", "cat", stdin=None, input="from us"), "from us")
    equal(host.says("busybox", "sh", "-c", "cat; echo end"), "end", "without -i")
    equal(host.says("--pids-limit", "33", "busybox", "true"), "")
    with Running(host, "--pids-limit", "33") as container:
        equal(container.limit("pids", "pids.max"), "33")
    text = host.says("--tmpfs", "/scratch:size=1m,mode=700", "busybox", "sh", "-c",
                     "mount | grep ' /scratch '; stat -c %a /scratch; "
                     "dd if=/dev/zero of=/scratch/x bs=1M count=2 2>&1 | grep -o 'No space.*'")
    for word in ("tmpfs", "nosuid", "nodev", "size=1024k", "700", "No space left"):
        expect(word in text, f"--tmpfs: no {word} in {text}")


@suite.test
def networks_none_and_host(host):
    script = "cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' ' | sort"
    equal(host.says("--network", "none", "busybox", "sh", "-c", script), "lo")
    with Running(host, "--network", "host") as container:
        equal(os.readlink(f"/proc/{container.pid()}/ns/net"), os.readlink("/proc/self/ns/net"))


@suite.test
def volumes_are_idmapped_and_tame(host):
    place = host.directory / "volume"
    place.mkdir()
    (place / "mine").write_text("content")
    (place / "mine").chmod(0o600)
    text = host.says("-v", f"{place}:/data", "busybox", "sh", "-c",
                     "cat /data/mine; echo; stat -c %u:%g /data/mine; echo new > /data/new; "
                     "grep ' /data ' /proc/self/mountinfo")
    lines = text.splitlines()
    equal(lines[:2], ["content", "0:0"], "root's file")
    for option in ("nosuid", "nodev", "idmapped"):
        expect(option in lines[2], f"no {option}: {lines[2]}")
    status = os.stat(place / "new")
    equal((status.st_uid, status.st_gid), (0, 0), "owner of what it wrote")
    equal(host.says("--user", "1000:1001", "--tmpfs", "/x", "-v", f"{place}:/data", "busybox", "sh",
                    "-c", "id -u"), "1000")
    done = host.run("-v", f"{place}:/data:ro", "busybox", "touch", "/data/x")
    expect(done.returncode == 1 and "Read-only" in done.stderr, done)
    # A file system that cannot be idmapped: refused, and the alternative is named.
    done = host.run("-v", "/sys/kernel:/data", "busybox", "true")
    expect(done.returncode == 125 and "noidmap" in done.stderr, done)


@suite.test
def names_are_taken_once_and_given_back(host):
    with Running(host, "--name", "web"):
        listed = [c for c in host.containers() if c.get("name") == "web"]
        equal(len(listed), 1, "containers of that name")
        done = host.run("--name", "web", "busybox", "true")
        expect(done.returncode == 125 and "web" in done.stderr, done)
    equal(host.run("--name", "web", "busybox", "true").returncode, 0, "after --rm")
    equal(host.call("run", "--name", "kept", "busybox", "sh", "-c", "exit 3").returncode, 3)
    equal([c["name"] for c in host.containers()], ["kept"], "without --rm")
    equal(host.call("rm", "kept").returncode, 0)
    equal(host.containers(), [])
    done = host.call("rm", "kept")
    expect(done.returncode != 0 and "kept" in done.stderr, done)


@suite.test
def the_timeout_kills_and_the_result_tells(host):
    result = host.directory / "result.json"
    begin = time.monotonic()
    done = host.run("--timeout", "1s", "--result", result, "busybox", "sleep", "100")
    expect(0.9 < time.monotonic() - begin < 10, "seconds")
    told = json.loads(result.read_text())
    equal((done.returncode, told["exitCode"], told["signal"], told["timedOut"], told["oomKilled"]),
          (137, 137, 9, True, False))
    done = host.run("--result", result, "busybox", "sh", "-c",
                    "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exit 5")
    told = json.loads(result.read_text())
    equal((done.returncode, told["exitCode"], told["signal"], told["timedOut"], told["oomKilled"]),
          (5, 5, None, False, False))
    expect(told["peakMemoryBytes"] > 4096 and told["cpuNanoseconds"] > 0, told)
    done = host.run("--memory", "16m", "--memory-swap", "16m", "--result", result, "busybox", "sh",
                    "-c", "dd if=/dev/zero of=/dev/null bs=64M count=1; exit 9")
    told = json.loads(result.read_text())
    equal((told["oomKilled"], told["exitCode"]), (True, done.returncode), f"{told}")


@suite.test
def signals_are_forwarded(host):
    script = "trap 'echo got; exit 9' TERM INT USR1; " + LIVE
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        with Running(host, script=script) as container:
            container.process.send_signal(number)
            equal((container.process.stdout.read().strip(), container.process.wait(10)),
                  ("got", 9), str(number))


@suite.test
def a_terminal_is_given_and_resized(host):
    command = " ".join(host.command("run", "--rm", "-t", "busybox", "sh", "-c",
                                    "'tty; stty size; test -t 0 -a -t 1 -a -t 2 && echo all'"))
    done = subprocess.run(["script", "-qefc", f"stty rows 21 cols 83; {command}", "/dev/null"],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30,
                          check=False)
    for word in ("/dev/", "21 83", "all"):
        expect(word in done.stdout, f"no {word}: {done}")
    master, slave = os.openpty()
    def resize(rows, columns):
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    def read_until(word, seconds=60):
        text, deadline = "", time.monotonic() + seconds
        while word not in text:
            expect(time.monotonic() < deadline, f"no {word!r} in {text!r}")
            os.set_blocking(master, False)
            try:
                text += os.read(master, 4096).decode(errors="replace")
            except BlockingIOError:
                time.sleep(0.02)
        return text
    resize(20, 70)
    process = subprocess.Popen(
        host.command("run", "--rm", "-it", "busybox", "sh", "-c",
                     "trap 'stty size' WINCH; stty size; read line; echo got $line; "
                     "while :; do sleep 0.05; done"),
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    try:
        read_until("20 70")
        os.write(master, b"word\n")
        read_until("got word")
        resize(44, 99)
        read_until("44 99")
        os.write(master, b"\x03")  # the shell is pid 1, and SIGINT's default does not end it
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)
        host.clear_dead()


@suite.test
def images_come_as_directories_and_archives(host):
    layout = host.directory / "layout"
    layout.mkdir()
    with tarfile.open(image_file()) as archive:
        archive.extractall(layout)
    for image in (str(layout), f"oci:{layout}", image_file(), f"oci-archive:{image_file()}"):
        equal(host.says(image, "echo", "here"), "here", image)
    broken = host.directory / "broken"
    shutil.copytree(layout, broken)
    for blob in (broken / "blobs/sha256").iterdir():
        # The same length, other bytes: only the digest tells.
        content = bytearray(blob.read_bytes())
        content[len(content) // 2] ^= 1
        blob.write_bytes(content)
    fresh = Host(host.work)
    fresh.store = host.directory / "other-store"
    done = fresh.run(f"oci:{broken}", "true")
    expect(done.returncode == 125 and "digest" in done.stderr.lower(), f"changed blobs: {done}")
    for path in ("/etc/passwd", "/no/such", str(host.directory / "volume")):
        done = host.run(path, "true")
        expect(done.returncode == 125 and path in done.stderr, f"{path}: {done}")


@suite.test
def explain_tells_without_doing(host):
    done = host.call("explain", "run", "--network", "host", "--memory", "1g", "busybox")
    equal(done.returncode, 0, done.stderr)
    for word in ("user namespace", "seccomp", "capabilities", "stops:", "does not stop:",
                 "1073741824", "not isolated", "kernel", "clock", "network"):
        expect(word in done.stdout.lower(), f"no {word!r}")
    last = done.stdout.lower().rsplit("not isolated", 1)[1]
    expect("--network host" in last or "network" in last, f"what the flags opened: {last}")
    done = host.call("explain", "--format", "json", "run", "busybox")
    told = json.loads(done.stdout)
    names = [layer["name"] for layer in told["layers"]]
    for name in ("user namespace", "seccomp", "capabilities", "no new privileges", "mounts"):
        expect(name in names, f"no {name} in {names}")
    expect(all(layer["standing"] and layer["stops"] for layer in told["layers"]
               if layer["standing"] == "applied"), told["layers"])
    expect(len(told["notIsolated"]) >= 2, told["notIsolated"])
    equal(host.call("explain", "run", "--banana", "busybox").returncode, 125)
    equal(host.containers(), [], "containers")


def libraries(pid):
    """The shared libraries in the memory of a process."""
    lines = pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {pathlib.Path(line.split()[-1]).name for line in lines if ".so" in line}


@suite.test
def no_library_of_networks_ciphers_or_fuse_is_loaded_on_the_start_path(host):
    expect(any(name.startswith("libc.so") for name in libraries("self")), "the control has no library")
    with Running(host) as container:
        loaded = libraries(container.process.pid)
        bad = [name for name in loaded
               if re.match(r"lib(curl|ssl|crypto|gnutls|fuse|nss|resolv|archive)", name)]
        equal(bad, [], f"of {sorted(loaded)}")


@suite.test
def a_store_that_others_may_write_to_is_refused(host):
    store = host.directory / "shared-store"
    for mode, owner in ((0o777, 0), (0o720, 0), (0o700, 1000)):
        store.mkdir()
        os.chmod(store, mode)
        os.chown(store, owner, owner)
        done = subprocess.run([BULKHEAD, "--root", str(store), "--runroot", str(host.runroot), "run",
                               "--rm", "busybox", "true"], capture_output=True, text=True, timeout=60,
                              check=False, stdin=subprocess.DEVNULL)
        expect(done.returncode == 125 and "others may write to it" in done.stderr,
               f"{mode:o} {owner}: {done}")
        equal(os.listdir(store), [], "made in it")
        store.rmdir()


@suite.test
def nothing_is_left_after_a_run(host):
    traces = Traces(str(host.directory))
    groups = set(pathlib.Path("/sys/fs/cgroup").glob("*/bulkhead/*"))
    for command in (("true",), ("no-such",), ("sh", "-c", "sleep 50 & exit 1")):
        host.run("busybox", *command)
    new = set(pathlib.Path("/sys/fs/cgroup").glob("*/bulkhead/*")) - groups
    gone(new)
    expect(not traces.leftovers(), traces.leftovers())
    equal(os.listdir(host.store / "containers"), [], "what containers wrote")


def gone(groups, seconds=60):
    """Others on this machine make groups too, and remove them: those of now must go."""
    deadline = time.monotonic() + seconds
    while any(path.exists() for path in groups):
        expect(time.monotonic() < deadline, f"groups {[p for p in groups if p.exists()][:4]}")
        time.sleep(0.05)


@suite.test
def bulkhead_run_can_be_killed_at_any_moment(host):
    host.run("busybox", "true")  # the first of all unpacks the image
    def timed():
        begin = time.monotonic()
        host.run("busybox", "true")
        return time.monotonic() - begin
    longest = min(timed() for _ in range(3)) * 1.2
    random.seed(os.environ.get("BULKHEAD_SEED", "bulkhead"))
    hits = 0
    for number in range(200 if FULL else 30):
        traces = Traces(str(host.directory))
        groups = set(pathlib.Path("/sys/fs/cgroup").glob("*/bulkhead/*"))
        marker = f"31{os.getpid()}{number:03}"
        process = subprocess.Popen(host.command("run", *(["--rm"] if number % 2 else []), "busybox",
                                                "sleep", marker), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0, longest))
        hits += process.poll() is None
        process.kill()
        process.wait()
        host.clear_dead()
        left = Traces.leftovers(traces) + list(Traces(marker)._look()[2])
        expect(not left, f"left behind: {left[:4]}")
        gone(set(pathlib.Path("/sys/fs/cgroup").glob("*/bulkhead/*")) - groups)
        equal(os.listdir(host.store / "containers"), [], "what containers wrote")
    expect(hits >= 15, f"only {hits} kills met a living process")


if __name__ == "__main__":
    sys.exit(main(suite))
