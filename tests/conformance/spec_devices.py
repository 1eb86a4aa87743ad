"""config-linux.md: default file systems, devices, masked and read-only paths, rootfs propagation."""

import array
import os
import socket
import stat
import subprocess

from conform import conforms, equal, expect
from spec_process import Terminal, with_terminal


for _path, _type in (("/proc", "proc"), ("/sys", "sysfs"), ("/dev/pts", "devpts"),
                     ("/dev/shm", "tmpfs")):
    @conforms("linux/default-filesystems", f"{_path} is a {_type}")
    def _(bench, path=_path, kind=_type):
        out = bench.output("cat /proc/self/mountinfo")
        found = [line.split(" - ")[1].split()[0] for line in out.splitlines()
                 if line.split(" ")[4] == path]
        equal(found[-1:], [kind], f"file systems at {path}")


# --- devices -----------------------------------------------------------------------------------------

for _name, _numbers in (("null", "1:3"), ("zero", "1:5"), ("full", "1:7"), ("random", "1:8"),
                        ("urandom", "1:9"), ("tty", "5:0")):
    @conforms("linux/default-devices", f"/dev/{_name} is there")
    def _(bench, name=_name, numbers=_numbers):
        out = bench.output(f"stat -c '%F %t:%T' /dev/{name}")
        equal(out, f"character special file {numbers}\n", f"/dev/{name}")


@conforms("linux/default-devices")
def the_default_devices_can_be_used(bench):
    out = bench.output("echo x > /dev/null && head -c 3 /dev/zero | od -An -tx1 && "
                       "head -c 4 /dev/urandom | wc -c; echo x 2>/dev/null > /dev/full || echo full")
    equal(out.split(), ["00", "00", "00", "4", "full"], "what they gave")


@conforms("linux/default-devices")
def dev_ptmx_makes_terminals_of_the_container_s_own_dev_pts(bench):
    out = bench.output("readlink /dev/ptmx; stat -c '%t:%T' -L /dev/ptmx")
    lines = out.splitlines()
    equal(lines[-1], "5:2", "device number")
    if len(lines) == 2:
        expect(lines[0] in ("pts/ptmx", "/dev/pts/ptmx"), f"/dev/ptmx leads to {lines[0]}")


@conforms("linux/default-devices")
def dev_console_is_the_terminal(bench):
    with Terminal(bench) as terminal:
        container = bench.create(
            with_terminal(bench, "stat -c '%t:%T' /dev/console; stat -Lc '%t:%T' /dev/stdin; echo end;"
                                 " sleep 1000"),
            options=("--console-socket", terminal.path))
        terminal.take()
        container.start()
        lines = terminal.read_until(b"end").split()
        equal(lines[0], lines[1], "/dev/console and the terminal")


def device(**fields):
    return {"linux": {"devices": [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 3,
                                   **fields}]}}


@conforms("linux/devices")
def a_device_is_there_with_its_numbers_mode_and_owner(bench):
    out = bench.output("stat -c '%F %t:%T %a %u %g' /dev/mine",
                       device(minor=5, fileMode=0o640, uid=12, gid=34))
    equal(out, "character special file 1:5 640 12 34\n", "the device")


@conforms("linux/devices")
def a_device_may_lie_outside_dev(bench):
    config = bench.config("stat -c %t:%T /odd/place/null", device(path="/odd/place/null"))
    done = bench.run(config, own_root=True)
    equal((done.code, done.out), (0, "1:3\n"), f"the device ({done.err.strip()})")


@conforms("linux/devices")
def a_named_pipe_needs_no_numbers(bench):
    changes = {"linux": {"devices": [{"path": "/dev/pipe", "type": "p", "fileMode": 0o600}]}}
    equal(bench.output("stat -c %F /dev/pipe", changes), "fifo\n", "the device")


@conforms("linux/devices")
def a_file_in_the_device_s_place_is_an_error(bench):
    root = bench.own_root()
    (root / "place").write_text("a file", encoding="ascii")
    config = bench.config(changes=device(path="/place"))
    config["root"]["path"] = str(root)
    bench.refuses(config)
    equal((root / "place").read_text(encoding="ascii"), "a file", "the file")


@conforms("linux/devices")
def another_device_in_the_device_s_place_is_an_error(bench):
    root = bench.own_root()
    os.mknod(root / "place", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    config = bench.config(changes=device(path="/place"))
    config["root"]["path"] = str(root)
    bench.refuses(config)


@conforms("linux/devices")
def a_device_without_its_numbers_is_refused(bench):
    changes = {"linux": {"devices": [{"path": "/dev/mine", "type": "c"}]}}
    bench.refuses(bench.config(changes=changes))


# --- masked and read-only paths ------------------------------------------------------------------------


@conforms("linux/masked-paths")
def masked_paths_cannot_be_read(bench):
    root = bench.own_root()
    (root / "secrets").mkdir()
    (root / "secrets" / "file").write_text("secret", encoding="ascii")
    (root / "key").write_text("secret", encoding="ascii")
    config = bench.config("cat /key; ls -A /secrets", {"linux": {
        "maskedPaths": ["/key", "/secrets", "/no/such/path"]}})
    config["root"]["path"] = str(root)
    done = bench.run(config)
    equal((done.code, done.out), (0, ""), f"what was read ({done.err.strip()})")


@conforms("linux/readonly-paths")
def read_only_paths_cannot_be_written(bench):
    config = bench.config("touch /kept/x 2>/dev/null; ls -A /kept; touch /tmp/x && echo elsewhere",
                          {"linux": {"readonlyPaths": ["/kept", "/no/such/path"]}})
    root = bench.own_root()
    (root / "kept").mkdir()
    config["root"]["path"] = str(root)
    done = bench.run(config)
    equal((done.code, done.out), (0, "elsewhere\n"), f"what was written ({done.err.strip()})")


for _field in ("maskedPaths", "readonlyPaths"):
    _section = "linux/masked-paths" if _field[0] == "m" else "linux/readonly-paths"

    @conforms(_section, f"a relative path in {_field} is refused")
    def _(bench, field=_field):
        bench.refuses(bench.config(changes={"linux": {field: ["proc/kcore"]}}))


# --- propagation of the root ---------------------------------------------------------------------------

for _word, _shown in (("private", []), ("slave", ["master"]), ("shared", ["shared"]),
                      ("unbindable", ["unbindable"])):
    @conforms("linux/rootfs-propagation", f"a {_word} root")
    def _(bench, word=_word, shown=_shown):
        root = bench.own_root()
        bench.mount("--bind", root, root)
        subprocess.run(["mount", "--make-shared", root], check=True)
        config = bench.config("cat /proc/self/mountinfo", {"linux": {"rootfsPropagation": word}})
        config["root"]["path"] = str(root)
        done = bench.run(config)
        equal(done.code, 0, f"exit code ({done.err.strip()})")
        line = next(line for line in done.out.splitlines() if line.split(" ")[4] == "/")
        found = [field.split(":")[0] for field in line.split(" - ")[0].split(" ")[6:]]
        expect(all(kind in found for kind in shown), f"propagation of the root: {found}")
        if not shown:
            equal(found, [], "propagation of the root")


def received(connection):
    """A message with its descriptors."""
    text, control, _, _ = connection.recvmsg(1 << 16, socket.CMSG_SPACE(16))
    numbers = array.array("i")
    for level, kind, data in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers.frombytes(data[:len(data) - len(data) % numbers.itemsize])
    return text, list(numbers)
