#!/usr/bin/env python3
"""Attacks on `bulkhead cp` from within a container, and by what a container holds. Each has its control: a
copy that goes about it as others did, and falls for it."""

import contextlib
import io
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tarfile
import time

from life_support import container, run_suite, until
from bulkhead_support import GUEST
from support.bundles import FULL
from support.harness import Skip, Suite, equal, expect

suite = Suite("copy attack")
ROUNDS = 2000 if FULL else 25
SECRET = "the host's secret"
WORKER_CAPABILITIES = {0, 1, 3, 4, 31}  # CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETFCAP


def arena(host, name):
    """A volume whose content changes places with a link to a directory of the host."""
    top = host.directory / name
    (top / "shared" / "dir").mkdir(parents=True)
    (top / "shared" / "dir" / "file").write_text("the container's")
    (top / "host").mkdir()
    (top / "host" / "file").write_text(SECRET)
    (top / "shared" / "link").symlink_to(top / "host")
    return top


@contextlib.contextmanager
def swapping(host, top):
    """A container that exchanges /shared/dir and /shared/link all the time."""
    flags = ("-v", f"{top}/shared:/shared", "-v", f"{pathlib.Path(GUEST).resolve()}:/guest:ro")
    with container(host, "--name", "swapper", *flags,
                   command=("/guest", "swap", "/shared/dir", "/shared/link", "100000")):
        until(lambda: changes_places(top / "shared" / "dir"), "the names change places")
        yield


def changes_places(path):
    kinds = {stat.S_IFMT(os.lstat(path).st_mode) for _ in range(2000)}
    return len(kinds) == 2


def loses(naive):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if naive():
                return
    expect(False, "the control never loses the race")


@suite.test
def cve_2018_15664_a_link_that_is_swapped_leads_nowhere(host):
    top = arena(host, "race")
    out = host.directory / "race-out"
    shared = top / "shared"
    with swapping(host, top):
        def naive_out():
            # Looked at, and then opened by its path on the host.
            if not stat.S_ISDIR(os.lstat(shared / "dir").st_mode):
                return False
            return (shared / "dir" / "file").read_text() == SECRET
        loses(naive_out)
        copied = 0
        for _ in range(ROUNDS):
            done = host.call("cp", "swapper:/shared/dir/file", out)
            if done.returncode == 0:
                copied += 1
                equal(out.read_text(), "the container's", "what was copied out")
            host.call("cp", "swapper:/shared", host.directory / "race-tree")
            tree = host.directory / "race-tree"
            for path in tree.rglob("*"):
                expect(path.is_symlink() or not path.is_file() or path.read_text() != SECRET, path)
            shutil.rmtree(tree, ignore_errors=True)
        expect(copied > 0, "it was never copied at all")


@suite.test
def cve_2018_15664_nothing_is_written_through_a_link_that_is_swapped(host):
    top = arena(host, "race-in")
    evil = host.directory / "evil"
    evil.write_text("evil")
    shared = top / "shared"
    with swapping(host, top):
        def naive_in():
            if not stat.S_ISDIR(os.lstat(shared / "dir").st_mode):
                return False
            (shared / "dir" / "naive").write_text("evil")
            return (top / "host" / "naive").exists()
        loses(naive_in)
        (top / "host" / "naive").unlink()
        copied = 0
        for _ in range(ROUNDS):
            copied += host.call("cp", evil, "swapper:/shared/dir/new").returncode == 0
            copied += host.call("cp", evil, "swapper:/shared/dir/file").returncode == 0
        expect(copied > 0, "it was never copied at all")
        equal(os.listdir(top / "host"), ["file"])
        equal((top / "host" / "file").read_text(), SECRET)


@suite.test
def cve_2026_42306_a_mount_point_that_is_swapped_shows_nothing_of_the_host(host):
    top = arena(host, "mounts")
    inner = top / "inner"
    inner.mkdir()
    (inner / "mark").write_text("inner")
    host.good("create", "--name", "mounted", "-v", f"{top}/shared:/shared",
              "-v", f"{inner}:/shared/dir/place", "busybox", "true")
    shared = top / "shared"
    with swapping(host, top):
        def naive():
            # The mount point made by its path on the host.
            if not stat.S_ISDIR(os.lstat(shared / "dir").st_mode):
                return False
            os.makedirs(shared / "dir" / "naive", exist_ok=True)
            return (top / "host" / "naive").exists()
        loses(naive)
        (top / "host" / "naive").rmdir()
        for _ in range(ROUNDS):
            out = host.directory / "mark"
            done = host.call("cp", "mounted:/shared/dir/place/mark", out)
            if done.returncode == 0:
                equal(out.read_text(), "inner")
            equal(os.listdir(top / "host"), ["file"], "the host's directory")
    host.good("rm", "mounted")


def traced(command, path):
    try:
        subprocess.run(["strace", "-f", "-e", "trace=execve,openat,openat2,open,mmap", "-o", path,
                        *command], stdin=subprocess.DEVNULL, capture_output=True, timeout=120,
                       check=True)
    except FileNotFoundError:
        raise Skip("strace is not installed") from None
    return path.read_text(errors="replace").splitlines()


def looked_up(calls):
    words = ("nsswitch", "libnss", "ld.so", "/etc/passwd", "/etc/group", "libc.so", "locale")
    return [call for call in calls if any(word in call for word in words)]


@suite.test
def cve_2019_14271_nothing_of_the_container_is_loaded(host):
    trace = host.directory / "trace"
    here = host.directory / "loaded"
    here.mkdir()
    with container(host, "--name", "loaded"):
        host.good("exec", "loaded", "sh", "-c",
                  "mkdir -p /lib64 /etc && for f in /etc/nsswitch.conf /lib64/libnss_files.so.2 "
                  "/etc/ld.so.preload /etc/passwd /etc/group; do echo x >$f; done; echo 1 >/one")
        for arguments in (("cp", "loaded:/one", here / "out"), ("cp", here / "out", "loaded:/two"),
                          ("cp", "-a", "loaded:/one", here / "again"),
                          ("cp", "-a", here / "out", "loaded:/three")):
            calls = traced(host.command(*arguments), trace)
            equal(looked_up(calls), [], arguments)
            equal(len([call for call in calls if "execve(" in call]), 1, arguments)
            # Nothing that could be code is mapped from a file.
            equal([call for call in calls if "mmap(" in call and "PROT_EXEC" in call], [], arguments)
    # The control: a program that looks names up is seen to do so.
    calls = traced([sys.executable, "-c", "import pwd; pwd.getpwuid(0)"], trace)
    expect(looked_up(calls), "the trace shows no look-up at all")


@suite.test
def cve_2026_41567_no_program_of_the_container_is_executed(host):
    tools = ("tar", "xz", "unpigz", "gunzip", "zstd", "sh", "cat", "cp")
    mark = host.directory / "mark-of-trojan"
    mark.mkdir()
    mark.chmod(0o777)
    with container(host, "--name", "trojan", "-v", f"{mark}:/mark",
                   command=("/bin/busybox", "sleep", "100000")):
        script = "".join(f"printf '#!/bin/busybox sh\\n/bin/busybox touch /mark/{tool}\\n' >/t/{tool};"
                         f"/bin/busybox chmod 755 /t/{tool};" for tool in tools)
        host.good("exec", "trojan", "/bin/busybox", "sh", "-c",
                  "/bin/busybox mkdir /t;" + script +
                  "for f in /t/*; do /bin/busybox rm -f /bin/${f#/t/};"
                  "/bin/busybox cp $f /bin/${f#/t/}; done; echo content >/file")
        host.good("cp", "trojan:/file", host.directory / "untouched")
        host.good("cp", host.directory / "untouched", "trojan:/again")
        equal(os.listdir(mark), [])
        # The control: a copy that lets the container's tar do it.
        pid = int(host.told("trojan", "{{.State.Pid}}"))
        subprocess.run(["nsenter", "--target", str(pid), "--user", "--mount", "/bin/tar", "-c", "/file"],
                       stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        equal(os.listdir(mark), ["tar"])


@suite.test
def magic_links_lead_nowhere(host):
    with container(host, "--name", "magic"):
        host.good("exec", "magic", "sh", "-c", "echo there >/file; ln -s /proc/self/root /magic")
        for path in ("/proc/self/root/file", "/proc/self/cwd/file", "/magic/file"):
            equal(host.good("exec", "magic", "cat", path), "there", "the control: it is there")
        for path in ("/proc/self/root/file", "/proc/1/root/file", "/proc/self/cwd/file",
                     "/magic/file"):
            done = host.call("cp", f"magic:{path}", host.directory / "magic")
            equal(done.returncode, 1, path)
            expect(not (host.directory / "magic").exists(), path)


@suite.test
def pipes_and_devices_do_not_hold_it_up(host):
    with container(host, "--name", "pipes"):
        host.good("exec", "pipes", "sh", "-c", "mkdir /p; mkfifo /p/fifo; echo 1 >/p/one")
        host.good("cp", "pipes:/p", host.directory / "p")
        equal(sorted(os.listdir(host.directory / "p")), ["fifo", "one"])
        done = host.call("cp", "pipes:/dev", host.directory / "devices")
        equal(done.returncode, 0, done.stderr)
        expect("device nodes were left out" in done.stderr, done.stderr)
        for path in (host.directory / "devices").rglob("*"):
            mode = path.lstat().st_mode
            expect(not stat.S_ISCHR(mode) and not stat.S_ISBLK(mode), path)


@suite.test
def no_privilege_of_a_file_gets_out(host):
    with container(host, "--name", "setuid"):
        host.good("exec", "setuid", "sh", "-c", "cp /bin/busybox /tmp/su; chmod 6755 /tmp/su")
        host.good("cp", "setuid:/tmp/su", host.directory / "su")
        equal(stat.S_IMODE((host.directory / "su").stat().st_mode), 0o755)
        host.good("cp", "-a", "setuid:/tmp/su", host.directory / "su-a")
        equal(stat.S_IMODE((host.directory / "su-a").stat().st_mode), 0o6755,
              "the control: what is asked for with --archive")


@suite.test
def a_hostile_archive_stays_in_the_container(host):
    top = arena(host, "archive")
    target = top / "host"

    def member(name, kind=tarfile.REGTYPE, link=""):
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size = kind, link, 4 if kind == tarfile.REGTYPE else 0
        return info
    attacks = [
        [member("../" * 20 + str(target) + "/new")],
        [member("link", tarfile.SYMTYPE, str(target)), member("link/new")],
        [member("link", tarfile.SYMTYPE, "../" * 20 + str(target)), member("link/new")],
        [member("hard", tarfile.LNKTYPE, str(target / "file"))],
    ]
    with container(host, "--name", "archive"):
        for members in attacks:
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode="w") as archive:
                for info in members:
                    archive.addfile(info, io.BytesIO(b"evil") if info.size else None)
            subprocess.run(host.command("cp", "-", "archive:/tmp"), input=stream.getvalue(),
                           capture_output=True, timeout=60, check=False)
            equal(sorted(os.listdir(target)), ["file"], members)
            equal((target / "file").stat().st_nlink, 1, members)
    # The control: a reader that follows what is there.
    os.symlink(target, host.directory / "followed")
    (host.directory / "followed" / "new").write_text("evil")
    equal(sorted(os.listdir(target)), ["file", "new"])


def worker_of(pid):
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else 0


def facts(pid):
    status = dict(line.split(":\t", 1) for line in
                  pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    sets = {name: {bit for bit in range(64) if int(status[name], 16) >> bit & 1}
            for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")}
    return sets, status["NoNewPrivs"].strip(), status["Seccomp"].strip()


@suite.test
def who_stands_in_the_container_has_nothing_of_the_hosts(host):
    with container(host, "--name", "inside", "--pid", "host") as identity:
        init = int(host.told(identity, "{{.State.Pid}}"))
        reader, writer = os.pipe()
        # It waits for somebody to take the archive.
        copy = subprocess.Popen(host.command("cp", "inside:/bin", "-"), stdin=subprocess.DEVNULL,
                                stdout=writer, stderr=subprocess.DEVNULL)
        try:
            os.read(reader, 1)
            worker = until(lambda: worker_of(copy.pid), "the process that copies")
            until(lambda: facts(worker)[2] == "2", "it is locked in")
            sets, no_new_privileges, _ = facts(worker)
            equal((sets["CapEff"], sets["CapPrm"], sets["CapBnd"], sets["CapInh"], sets["CapAmb"]),
                  (WORKER_CAPABILITIES, WORKER_CAPABILITIES, WORKER_CAPABILITIES, set(), set()))
            equal(no_new_privileges, "1")
            for kind in ("user", "mnt"):
                equal(os.readlink(f"/proc/{worker}/ns/{kind}"), os.readlink(f"/proc/{init}/ns/{kind}"))
            open_files = [os.readlink(f"/proc/{worker}/fd/{number}")
                          for number in os.listdir(f"/proc/{worker}/fd")]
            for opened in open_files:
                inside = opened.startswith("/bin")
                expect(inside or opened.startswith(("socket:", "pipe:")) or opened == "/", open_files)
            # The control: who started it has all of the host's.
            expect(len(facts(copy.pid)[0]["CapEff"]) > 10 and facts(copy.pid)[2] == "0", "the command")
            # Root in the container sees it, and can do nothing to it.
            look = host.call("exec", "inside", "sh", "-c",
                             f"ls /proc/{worker}/fd /proc/{worker}/root/ /proc/{worker}/map_files")
            equal((look.returncode, look.stderr.count("Permission denied")), (1, 3), look)
            equal(host.call("exec", "inside", "sh", "-c", "ls /proc/self/fd").returncode, 0)
        finally:
            copy.kill()
            copy.wait()
            os.close(reader)
            os.close(writer)
        until(lambda: not pathlib.Path(f"/proc/{worker}").exists(), "it goes with the command")


if __name__ == "__main__":
    sys.exit(run_suite(suite))
