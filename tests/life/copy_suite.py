#!/usr/bin/env python3
"""`bulkhead cp`: Docker's rules for paths, both ways, whatever state the container is in."""

import io
import os
import pathlib
import stat
import subprocess
import sys
import tarfile

from life_support import container, nothing_left, popen, run_suite
from support.harness import Suite, equal, expect

suite = Suite("copy")


def tree(host, name):
    """A directory of this host with a file, a directory and a link in it."""
    top = host.directory / name
    (top / "sub").mkdir(parents=True)
    (top / "one").write_text("1")
    (top / "sub" / "two").write_text("2")
    (top / "link").symlink_to("one")
    return top


def inside(host, name, script):
    return host.good("exec", name, "sh", "-c", script)


def scratch(host, name):
    directory = host.directory / name
    directory.mkdir()
    return directory


@suite.test
def files_go_in_and_out_while_it_runs(host):
    here = scratch(host, "plain")
    (here / "file").write_text("hello")
    os.chown(here / "file", 4321, 4321)
    (here / "file").chmod(0o640)
    os.utime(here / "file", ns=(0, 1_500_000_000_123_456_789))
    with container(host, "--name", "c"):
        host.good("cp", here / "file", "c:/tmp/")
        equal(inside(host, "c", "cat /tmp/file; stat -c ' %a %u:%g %Y' /tmp/file"),
              "hello 640 0:0 1500000000")
        host.good("cp", "c:/tmp/file", here / "back")
        found = (here / "back").stat()
        equal(((here / "back").read_text(), stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid,
               found.st_mtime_ns), ("hello", 0o640, 0, 0, 1_500_000_000_123_456_789))
        host.good("cp", "-a", here / "file", "c:/tmp/owned")
        equal(inside(host, "c", "stat -c %u:%g /tmp/owned"), "4321:4321")
        host.good("cp", "--archive", "c:/tmp/owned", here / "owned")
        equal((here / "owned").stat().st_uid, 4321)
        host.good("cp", "c:/tmp/owned", here / "mine")
        equal((here / "mine").stat().st_uid, 0)


@suite.test
def it_need_not_run(host):
    here = tree(host, "stopped")
    identity = host.good("create", "--name", "s", "busybox", "cat", "/srv/tree/sub/two")
    host.good("cp", here, "s:/srv/tree")
    equal(host.call("start", "-a", "s").stdout, "2")
    host.good("cp", "s:/srv/tree/.", here / "copy")
    equal(sorted(os.listdir(here / "copy")), ["link", "one", "sub"])
    # Nothing of it stays: it can be started and removed at once.
    equal(host.call("start", "-a", "s").stdout, "2")
    mounts = pathlib.Path("/proc/self/mountinfo").read_text()
    expect(identity not in mounts, mounts)
    host.good("rm", "s")
    nothing_left(host, identity)


@suite.test
def a_program_may_be_copied_to_where_it_is_started(host):
    host.good("create", "--name", "late", "busybox", "/opt/program")
    program = host.directory / "program"
    program.write_text("#!/bin/sh\necho it runs\n")
    program.chmod(0o755)
    host.good("cp", program, "late:/opt/program")
    equal(host.call("start", "-a", "late").stdout, "it runs\n")
    host.good("rm", "late")


@suite.test
def paths_mean_what_dockers_mean(host):
    here = tree(host, "paths")
    out = scratch(host, "out")
    with container(host, "--name", "p"):
        inside(host, "p", "mkdir -p /s/sub /d && echo 1 >/s/one && echo 2 >/s/sub/two && "
                          "ln -s one /s/link && ln -s /s /dirlink && ln -s /d/made /dangling && "
                          "echo f >/file")
        # In: a file.
        host.good("cp", here / "one", "p:/d")
        host.good("cp", here / "one", "p:/d/renamed")
        host.good("cp", here / "one", "p:/d/renamed")
        host.good("cp", here / "one", "p:/dangling")
        host.refused("cp", here / "one", "p:/d/none/", words=["no such directory"])
        host.refused("cp", here / "one", "p:/none/one", words=["could not find", "/none"])
        equal(inside(host, "p", "cd /d; ls; cat one renamed made"), "made\none\nrenamed\n111")
        # In: a directory.
        host.good("cp", here, "p:/d")
        host.good("cp", here, "p:/d/new")
        host.good("cp", f"{here}/.", "p:/d/sub2")
        host.good("cp", f"{here}/.", "p:/d")
        host.refused("cp", here, "p:/file", words=["cannot copy directory"])
        equal(inside(host, "p", "cd /d; find . | sort | tr '\\n' ' '"),
              ". ./link ./made ./new ./new/link ./new/one ./new/sub ./new/sub/two ./one ./paths "
              "./paths/link ./paths/one ./paths/sub ./paths/sub/two ./renamed ./sub ./sub/two "
              "./sub2 ./sub2/link ./sub2/one ./sub2/sub ./sub2/sub/two")
        # In: links.
        host.good("cp", here / "link", "p:/d/aslink")
        host.good("cp", "-L", here / "link", "p:/d/asfile")
        equal(inside(host, "p", "readlink /d/aslink; readlink /d/asfile || cat /d/asfile"),
              "one\n1")
        host.good("cp", here / "one", "p:/dirlink")
        equal(inside(host, "p", "cat /s/one"), "1")
        # Out: a file.
        host.good("cp", "p:/file", out)
        host.good("cp", "p:file", out / "renamed")
        host.refused("cp", "p:/file", f"{out}/none/", words=["no such directory"])
        host.refused("cp", "p:/file", out / "none" / "file", words=["no such directory"])
        host.refused("cp", "p:/nothing", out, words=["could not find", "/nothing", "p"])
        host.refused("cp", "p:/file/", out, words=["not a directory"])
        equal((out / "file").read_text() + (out / "renamed").read_text(), "f\nf\n")
        # Out: a directory.
        host.good("cp", "p:/s", out)
        host.good("cp", "p:/s", out / "new")
        host.good("cp", "p:/s/.", out / "content")
        host.refused("cp", "p:/s", out / "file", words=["cannot copy directory"])
        for name in ("s", "new", "content"):
            equal(sorted(str(path.relative_to(out / name)) for path in (out / name).rglob("*")),
                  ["link", "one", "sub", "sub/two"], name)
        # Out: links.
        host.good("cp", "p:/s/link", out / "aslink")
        host.good("cp", "-L", "p:/s/link", out / "asfile")
        equal((os.readlink(out / "aslink"), (out / "asfile").is_symlink()), ("one", False))
        host.good("cp", "p:/dirlink", out / "dirlink")
        host.good("cp", "p:/dirlink/", out / "dir")
        equal((os.readlink(out / "dirlink"), sorted(os.listdir(out / "dir"))),
              ("/s", ["link", "one", "sub"]))


@suite.test
def the_command_line_is_dockers(host):
    host.refused("cp", "a:/x", "b:/y", code=125, words=["between containers"])
    host.refused("cp", "/x", "/y", code=125, words=["CONTAINER:PATH"])
    host.refused("cp", "./a:b", "/y", code=125, words=["CONTAINER:PATH"])
    host.refused("cp", "a:", "/y", code=125)
    host.refused("cp", "none:/x", "/y", words=["none"])
    host.refused("cp", "/no-such", "none:/x", words=["/no-such"])
    with container(host, "--name", "q"):
        done = host.call("container", "cp", "q:/bin/busybox", host.directory / "quiet")
        equal((done.returncode, done.stdout, done.stderr), (0, "", ""))
        done = host.call("cp", "--quiet=false", "q:/bin/busybox", host.directory / "told")
        expect(done.stderr.startswith("Successfully copied ") and done.stderr.endswith("told\n"), done)


@suite.test
def archives_pass_the_standard_streams(host):
    with container(host, "--name", "a"):
        inside(host, "a", "mkdir -p /s/sub; echo 1 >/s/one; ln -s one /s/link; mkfifo /s/fifo")
        done = subprocess.run(host.command("cp", "a:/s", "-"), stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=60, check=True)
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            equal(sorted(archive.getnames()), ["s", "s/fifo", "s/link", "s/one", "s/sub"])
        done = subprocess.run(host.command("cp", "-", "a:/tmp"), input=done.stdout,
                              capture_output=True, timeout=60, check=True)
        equal(inside(host, "a", "cat /tmp/s/one; readlink /tmp/s/link; test -p /tmp/s/fifo; echo $?"),
              "1\none\n0")
        for destination in ("a:/tmp/s/one", "a:/none"):
            done = subprocess.run(host.command("cp", "-", destination), input=b"",
                                  capture_output=True, text=False, timeout=60, check=False)
            equal(done.returncode, 1)
            expect(b"must be a directory" in done.stderr, done.stderr)
        for compressed, program in ((b"\x1f\x8b\x08\x00", b"gunzip"), (b"\x28\xb5\x2f\xfd", b"unzstd")):
            done = subprocess.run(host.command("cp", "-", "a:/tmp"), input=compressed * 200,
                                  capture_output=True, timeout=60, check=False)
            equal(done.returncode, 1)
            expect(program in done.stderr, done.stderr)
        done = subprocess.run(host.command("cp", "-", "a:/tmp"), input=b"no archive" * 100,
                              capture_output=True, timeout=60, check=False)
        equal(done.returncode, 1)
        expect(b"tar archive is malformed" in done.stderr, done.stderr)


@suite.test
def what_is_mounted_is_copied_through(host):
    volume = scratch(host, "volume")
    (volume / "shared").write_text("from the host")
    flags = ("-v", f"{volume}:/data", "--tmpfs", "/scratch")
    with container(host, "--name", "m", *flags):
        inside(host, "m", "echo hidden >/scratch/file; echo out >/data/out")
        host.good("cp", "m:/data/shared", host.directory / "from-volume")
        equal((host.directory / "from-volume").read_text(), "from the host")
        host.good("cp", "m:/scratch/file", host.directory / "from-tmpfs")
        equal((host.directory / "from-tmpfs").read_text(), "hidden\n")
        host.good("cp", host.directory / "from-volume", "m:/data/in")
        equal((volume / "in").read_text(), "from the host")
        host.good("pause", "m")
        host.good("cp", "m:/data/out", host.directory / "paused")
        equal((host.directory / "paused").read_text(), "out\n")
        host.good("unpause", "m")
        host.good("stop", "-t", "0", "m")
        host.good("cp", "m:/data/out", host.directory / "stopped")
        host.good("cp", host.directory / "from-tmpfs", "m:/data/late")
        equal((volume / "late").read_text(), "hidden\n")
        host.good("start", "m")
        equal(inside(host, "m", "cat /data/late"), "hidden")
    host.good("create", "--name", "fresh", *flags, "busybox", "stat", "-c", "%u", "/data")
    host.good("cp", "fresh:/data/shared", host.directory / "before")
    equal((host.directory / "before").read_text(), "from the host")
    host.good("rm", "fresh")


@suite.test
def what_is_read_only_stays_so(host):
    here = scratch(host, "readonly")
    (here / "file").write_text("x")
    with container(host, "--name", "ro", "--read-only", "-v", f"{here}:/data:ro"):
        for target in ("/tmp/file", "/data/new"):
            host.refused("cp", here / "file", f"ro:{target}", words=["Read-only file system"])
        host.good("cp", "ro:/data/file", here / "copy")
        host.good("stop", "-t", "0", "ro")
        for target in ("/tmp/file", "/data/new"):
            host.refused("cp", here / "file", f"ro:{target}", words=["Read-only file system"])


@suite.test
def directories_are_not_overwritten_by_files(host):
    here = tree(host, "over")
    with container(host, "--name", "o"):
        inside(host, "o", "mkdir -p /d/one; echo f >/d/sub")
        host.refused("cp", f"{here}/.", "o:/d", words=["cannot overwrite"])
        inside(host, "o", "rm -r /d; mkdir /d; echo old >/d/one; ln -s /etc/passwd /d/link")
        host.good("cp", f"{here}/.", "o:/d")
        equal(inside(host, "o", "cat /d/one; readlink /d/link"), "1one")


@suite.test
def holes_and_names_come_through(host):
    here = scratch(host, "shapes")
    with open(here / "sparse", "wb") as sparse:
        sparse.truncate(64 << 20)
        sparse.seek(32 << 20)
        sparse.write(b"middle")
    odd = here / "o\ndd name é"
    odd.write_text("odd")
    deep = here / ("d" * 200) / ("e" * 200)
    deep.mkdir(parents=True)
    (deep / "file").write_text("deep")
    os.link(odd, here / "second")
    os.setxattr(odd, "user.colour", b"blue")
    with container(host, "--name", "h"):
        host.good("cp", here, "h:/shapes")
        equal(inside(host, "h", "cd /shapes; test $(stat -c %b sparse) -lt 1000; echo $?; "
                                "stat -c %h second; cat second"), "0\n2\nodd")
        back = host.directory / "shapes-back"
        host.good("cp", "h:/shapes", back)
        equal(sorted(str(path.relative_to(back)) for path in back.rglob("*")),
              sorted(str(path.relative_to(here)) for path in here.rglob("*")))
        equal((back / "sparse").read_bytes(), (here / "sparse").read_bytes())
        expect((back / "sparse").stat().st_blocks < 1000, "holes")
        equal(os.getxattr(back / "second", "user.colour"), b"blue")


@suite.test
def a_copy_that_is_killed_leaves_nothing(host):
    here = scratch(host, "killed")
    with open(here / "large", "wb") as large:
        large.write(os.urandom(1 << 20) * 64)
    identity = host.good("create", "--name", "k", "busybox", "true")
    reader, writer = os.pipe()
    for _ in range(3):
        # It waits for somebody to take the archive.
        copy = subprocess.Popen(host.command("cp", "k:/bin", "-"), stdin=subprocess.DEVNULL,
                                stdout=writer, stderr=subprocess.DEVNULL)
        os.read(reader, 1)
        copy.kill()
        copy.wait()
    os.close(writer)
    os.close(reader)
    host.good("start", "-a", "k")
    host.good("rm", "k")
    nothing_left(host, identity)


if __name__ == "__main__":
    sys.exit(run_suite(suite))
