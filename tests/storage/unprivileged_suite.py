#!/usr/bin/env python3
"""Unpacking by who is not root: refused with what to do where ids are lacking; and the same files where a
user namespace has a range of them, as newuidmap makes it."""

import ctypes
import os
import shutil
import subprocess
import sys
import traceback

from exchange_suite import rich_image, run
from image_maker import differences, tree_of
from store_support import Skip, Suite, equal, expect, main

suite = Suite("unprivileged")
USER = 12345
FIRST, COUNT = 200_000, 65_536
CLONE_NEWUSER = 0x10000000
ADVICE = "unshare --map-root-user --map-auto"


def given_to(store, owner):
    """The store's directory becomes somebody else's."""
    os.chown(store.directory, owner, owner)
    archive = rich_image().write_docker_archive(store.directory / "image.tar", "rich:1")
    archive.chmod(0o644)
    return archive


def called(store, *words, before=(), enter=None):
    return subprocess.run([*before, *store.command(*words)], stdin=subprocess.DEVNULL, timeout=120,
                          capture_output=True, text=True, errors="replace", check=False,
                          env={"PATH": os.environ["PATH"], "HOME": str(store.directory)},
                          preexec_fn=enter)


def within_a_range():
    """In a child before it executes: root of a user namespace with the ids of FIRST and on."""
    ready, made = os.pipe(), os.pipe()
    child = os.getpid()
    helper = os.fork()
    if helper == 0:  # stands for newuidmap: it has the privilege
        try:
            os.read(ready[0], 1)
            for name in ("uid_map", "gid_map"):
                with open(f"/proc/{child}/{name}", "w", encoding="ascii") as file:
                    file.write(f"0 {FIRST} {COUNT}")
            os.write(made[1], b".")
        except OSError:
            traceback.print_exc()
        os._exit(0)
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    os.write(ready[1], b".")
    os.close(made[1])
    if os.read(made[0], 1) != b".":
        raise OSError("no map was written")
    os.waitpid(helper, 0)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


@suite.test
def a_user_is_told_what_is_missing(store):
    archive = given_to(store, USER)
    before = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    for words in (("load", "-i", archive), ("import", archive, "n:1"), ("pull", "127.0.0.1:1/x"),
                  ("system", "check", "--repair")):
        done = called(store, *words, before=before)
        expect(done.returncode != 0, f"{words}: {done.stdout}")
        expect("needs to be root: the files of an image have many owners" in done.stderr and
               ADVICE in done.stderr and "/etc/subuid" in done.stderr, f"{words}: {done.stderr}")


@suite.test
def a_namespace_of_one_id_is_not_enough(store):
    archive = given_to(store, USER)
    before = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups",
              "unshare", "--user", "--map-root-user"]
    for words in (("load", "-i", archive), ("pull", "127.0.0.1:1/x")):
        done = called(store, *words, before=before)
        if "unshare failed" in done.stderr:
            raise Skip("users may not make user namespaces here")
        expect(done.returncode != 0, f"{words}: {done.stdout}")
        expect("needs more than the one id" in done.stderr and ADVICE in done.stderr,
               f"{words}: {done.stderr}")


def as_within(facts):
    """What a process in the namespace sees: its own ids, and capabilities as of its own root."""
    facts = {**facts, "uid": facts["uid"] - FIRST, "gid": facts["gid"] - FIRST}
    xattrs = facts["xattrs"]
    if capability := xattrs.get("security.capability"):
        equal(capability[20:24], FIRST.to_bytes(4, "little"), "whose capability it is")
        facts["xattrs"] = {**xattrs, "security.capability": b"\1\0\0\2" + capability[4:20]}
    return facts


@suite.test
def a_range_of_ids_is_as_good_as_root(store):
    if not shutil.which("umoci"):
        raise Skip("umoci is not installed")
    layout = rich_image().write_layout(store.directory / "layout", "1")
    run("umoci", "raw", "unpack", "--image", f"{layout}:1", store.directory / "judge")
    archive = given_to(store, FIRST)
    done = called(store, "load", "-i", archive, enter=within_a_range)
    equal((done.returncode, done.stdout), (0, "Loaded image: rich:1\n"), done.stderr)
    done = called(store, "system", "check", "--contents", enter=within_a_range)
    expect(done.returncode == 0 and "The store is whole." in done.stdout, f"{done}")
    done = called(store, "image", "inspect", "--format", "{{.GraphDriver.Data.LowerDir}}", "rich:1",
                  enter=within_a_range)
    equal(done.returncode, 0, done.stderr)
    target = store.directory / "tree"
    target.mkdir()
    # Without the privilege for trusted.*, the overlay's marks are in user.*.
    subprocess.run(["mount", "-t", "overlay", "-o", f"ro,userxattr,lowerdir={done.stdout.strip()}",
                    "overlay", str(target)], check=True)
    try:
        found = {name: as_within(facts) for name, facts in tree_of(target).items()}
    finally:
        subprocess.run(["umount", str(target)], check=True)
    equal(differences(tree_of(store.directory / "judge"), found), [])


if __name__ == "__main__":
    sys.exit(main(suite))
