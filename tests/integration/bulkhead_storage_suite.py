#!/usr/bin/env python3
"""Where a container's root file system comes from, and how much it may write to it."""

import concurrent.futures
import json
import os
import pathlib
import random
import shlex
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from bulkhead_support import Host, Running, main
from support.bundles import FULL, Traces
from support.harness import Skip, Suite, equal, expect

suite = Suite("bulkhead storage")

MIB = 1 << 20
FILL = "dd if=/dev/zero of=/big bs=1M count=48 2>&1; wc -c </big; ls -d /etc"
WHOLE = 48 * MIB


def need(program):
    if not any(os.access(f"{place}/{program}", os.X_OK) for place in ("/usr/sbin", "/usr/bin", "/sbin")):
        raise Skip(f"{program} is not installed")


def loop_devices(place):
    """Loop devices whose file lies beneath the place."""
    found = []
    for file in pathlib.Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            if file.read_text().startswith(str(place)):
                found.append(str(file))
        except OSError:
            continue
    return found


def eventually(condition, what, seconds=20):
    """The kernel takes mounts and devices apart after the call that let go of them."""
    deadline = time.monotonic() + seconds
    while not condition():
        expect(time.monotonic() < deadline, what)
        time.sleep(0.02)


def mounts_of(place):
    return [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
            if str(place) in line]


def written(text):
    return int(text.splitlines()[-2])


@suite.test
def a_size_limit_ends_in_no_space(host):
    need("mkfs.ext4")
    equal(written(host.says("busybox", "sh", "-c", FILL)), WHOLE, "without a limit")
    for ways in ((), ("--storage-opt", "limit=image"), ("--storage-opt", "limit=tmpfs")):
        text = host.says("--storage-opt", "size=16m", *ways, "busybox", "sh", "-c", FILL)
        expect("No space left on device" in text, f"{ways}: {text}")
        expect(8 * MIB <= written(text) <= 16 * MIB, f"{ways}: {text}")
    eventually(lambda: not loop_devices(host.directory), "loop devices that stay")
    equal(os.listdir(host.store / "containers"), [])


@suite.test
def space_that_is_freed_can_be_used_again(host):
    need("mkfs.ext4")
    script = ("for i in 1 2 3 4 5; do dd if=/dev/zero of=/big bs=1M count=9 2>/dev/null || exit 1; "
              "rm /big; sync; done; echo done")
    equal(host.says("--storage-opt", "size=16m", "busybox", "sh", "-c", script), "done")


@suite.test
def the_limit_stands_in_what_is_asked_for(host):
    need("mkfs.ext4")
    flags = ("--storage-opt", "size=16m", "--storage-opt", "limit=image")
    told = json.loads(host.call("explain", "--format", "json", "run", *flags, "busybox").stdout)
    facts = {fact["name"]: fact["value"] for layer in told["layers"]
             if layer["name"] == "root file system" for fact in layer["facts"]}
    expect(facts["storage"] == "overlay" and "16777216" in facts["size limit"]
           and "ext4 image" in facts["size limit"], facts)
    opened = "the store's disk"
    expect(not any(opened in line for line in told["notIsolated"]), told["notIsolated"])
    plain = json.loads(host.call("explain", "--format", "json", "run", "busybox").stdout)
    expect(any(opened in line for line in plain["notIsolated"]), "without a limit it is open")
    with Running(host, *flags):
        listed = host.containers()[0]
        equal((listed["storage"], listed["sizeLimit"], listed["sizeLimitBy"]),
              ("overlay", 16 * MIB, "image"))
        state = next((host.runroot / "runtime").glob("*/"))
        text = "".join(file.read_text(errors="replace") for file in state.iterdir()
                       if file.is_file() and not file.is_symlink())
        expect("org.bulkhead.size-limit" in text and "16777216 bytes by" in text, "no annotation")


@suite.test
def a_kept_container_keeps_its_image_file(host):
    need("mkfs.ext4")
    done = host.call("run", "--name", "kept", "--storage-opt", "size=16m", "busybox", "touch", "/x")
    equal(done.returncode, 0, done.stderr)
    image = next((host.store / "containers").glob("*/upper.ext4"))
    expect(os.stat(image).st_blocks * 512 < 8 * MIB, "the file is sparse")
    eventually(lambda: not loop_devices(host.directory), "a loop device without a container")
    checked = subprocess.run(["fsck.ext4", "-fn", image], capture_output=True, text=True, check=False)
    equal(checked.returncode, 0, checked.stdout + checked.stderr)
    equal(host.call("rm", "kept").returncode, 0)
    expect(not image.exists(), "the file stays")


@suite.test
def what_cannot_be_had_is_refused(host):
    need("mkfs.ext4")
    for flags, word in ((("--storage-opt", "size=lots"), "size=lots"),
                        (("--storage-opt", "size=1m"), "too small"),
                        (("--storage-opt", "banana=1"), "banana"),
                        (("--storage-opt", "size=16m", "--storage-opt", "limit=polling"), "polling"),
                        (("--storage-opt", "limit=image"), "size="),
                        (("--storage-opt", "directio"), "--storage erofs"),
                        (("--storage", "erofs", "--storage-opt", "directio=perhaps"), "perhaps"),
                        (("--storage", "zfs"), "zfs")):
        done = host.run(*flags, "busybox", "true")
        expect(done.returncode == 125 and word in done.stderr, f"{flags}: {done}")
    done = host.call("run", "--storage-opt", "size=16m", "--storage-opt", "limit=tmpfs", "busybox",
                     "true")
    expect(done.returncode == 125 and "--rm" in done.stderr, f"a tmpfs that is kept: {done}")
    # A host where nothing enforces a limit: no mkfs.ext4, and a container that is to be kept.
    program = next(p for p in ("/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4") if os.path.exists(p))
    script = f"mount --bind /dev/null $(readlink -f {program}) && exec " + shlex.join(
        host.command("run", "--name", "refused", "--storage-opt", "size=16m", "busybox", "true"))
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
                          capture_output=True, text=True, timeout=60, check=False)
    expect(done.returncode == 125 and "nothing here can enforce it" in done.stderr
           and "mkfs.ext4" in done.stderr, done)
    equal(host.containers(), [])


@suite.test
def layers_as_erofs_images_show_the_same_files(host):
    need("mkfs.erofs")
    script = ("cd / && find . -xdev ! -path './proc*' ! -path './sys*' ! -path './dev*' | sort | "
              "while read -r f; do stat -c '%n %f %u %g %s %Y %h' \"$f\"; done; md5sum /bin/busybox")
    plain = host.says("--read-only", "busybox", "sh", "-c", script)
    lines = [line for line in plain.splitlines() if line.split()[0] not in ("./etc", ".")]
    expect(len(lines) > 10, plain)
    for more in ((), ("--storage-opt", "directio")):
        other = host.says("--read-only", "--storage", "erofs", *more, "busybox", "sh", "-c", script)
        # Directories' sizes and link counts are the file system's own way of counting.
        def tame(text):
            return [line for line in text.splitlines() if " 4" not in line[:line.find(" ") + 2]]
        equal(tame(other), tame(plain), f"{more}")


@suite.test
def both_ways_run_side_by_side(host):
    need("mkfs.erofs")
    with Running(host), Running(host, "--storage", "erofs"), \
            Running(host, "--storage", "erofs", "--storage-opt", "directio"):
        equal(sorted(c["storage"] for c in host.containers()),
              ["erofs", "erofs, direct I/O", "overlay"])
    equal(host.says("--storage", "erofs", "--storage-opt", "size=16m", "--storage-opt",
                    "limit=tmpfs", "busybox", "sh", "-c", "echo x >/etc/new; cat /etc/new"), "x")


@suite.test
def many_first_runs_make_one_image(host):
    need("mkfs.erofs")
    fresh = Host(host.work)
    fresh.store = host.directory / "fresh-store"
    fresh.says("busybox", "true")
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda _: fresh.run("--storage", "erofs", "busybox", "echo", "here"),
                             range(6)))
    equal([(d.returncode, d.stdout) for d in done], [(0, "here\n")] * 6, str(done))
    names = os.listdir(fresh.store / "layers-erofs")
    expect(len(names) == 1 and names[0].endswith(".erofs"), names)


@suite.test
def a_run_with_a_limit_can_be_killed_at_any_moment(host):
    need("mkfs.ext4")
    need("mkfs.erofs")
    flags = ("--storage", "erofs", "--storage-opt", "size=16m", "--storage-opt", "limit=image")
    host.says(*flags, "busybox", "true")
    begin = time.monotonic()
    host.says(*flags, "busybox", "true")
    longest = (time.monotonic() - begin) * 1.2
    random.seed(os.environ.get("BULKHEAD_SEED", "storage"))
    traces = Traces(str(host.directory))
    hits = 0
    for number in range(200 if FULL else 25):
        process = subprocess.Popen(
            host.command("run", *(["--rm"] if number % 2 else []), *flags, "busybox", "sleep", "60"),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0, longest))
        hits += process.poll() is None
        process.kill()
        process.wait()
        host.clear_dead(20)
        equal(os.listdir(host.store / "containers"), [], "what containers wrote")
        eventually(lambda: not loop_devices(host.directory), "a loop device without a container")
        equal(mounts_of(host.directory), [], "mounts on the host")
    expect(hits >= 12, f"only {hits} kills met a living process")
    expect(not traces.leftovers(), traces.leftovers())


@suite.test
def making_an_image_can_be_killed_at_any_moment(host):
    need("mkfs.erofs")
    fresh = Host(host.work)
    fresh.store = host.directory / "killed-store"
    fresh.says("busybox", "true")
    begin = time.monotonic()
    fresh.says("--storage", "erofs", "busybox", "true")
    longest = time.monotonic() - begin
    images = fresh.store / "layers-erofs"
    name = os.listdir(images)[0]
    content = (images / name).stat().st_size
    random.seed(os.environ.get("BULKHEAD_SEED", "images"))
    for _ in range(100 if FULL else 20):
        (images / name).unlink(missing_ok=True)
        process = subprocess.Popen(fresh.command("run", "--rm", "--storage", "erofs", "busybox", "true"),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0, longest))
        process.kill()
        process.wait()
        if (images / name).exists():
            equal((images / name).stat().st_size, content, "an image under its name is whole")
        equal(fresh.says("--storage", "erofs", "busybox", "echo", "next"), "next")
        equal(os.listdir(images), [name], "what a killed one has left")
        fresh.clear_dead(20)


if __name__ == "__main__":
    sys.exit(main(suite))
