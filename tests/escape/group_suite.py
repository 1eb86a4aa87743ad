#!/usr/bin/env python3
"""Attacks on the host by way of control groups and of terminals that an image prepares."""

import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from attack import canaries, capabilities, listing_of, main, run_in
from support.bundles import default_config, merge
from support.harness import Suite, equal, expect

suite = Suite("escape")


def without_cgroup_namespace(config):
    config["linux"]["namespaces"] = [one for one in config["linux"]["namespaces"]
                                     if one["type"] != "cgroup"]
    return config


@suite.test
def cve_2023_25809_the_hosts_groups_are_not_writable_without_a_namespace(work):
    script = ("for d in /sys/fs/cgroup /sys/fs/cgroup/*; do "
              "mkdir $d/made-inside 2>/dev/null && { echo ESCAPED; rmdir $d/made-inside; }; done; true")
    rights = capabilities("CAP_DAC_OVERRIDE")
    config = without_cgroup_namespace(merge(default_config(["sh", "-c", script]), rights))
    done = work.run(config)
    equal((done.returncode, done.stdout), (0, ""), done.stderr)
    # The control: the same attempt where the configuration asks for a mount that can be written.
    for mount in config["mounts"]:
        if mount["type"] == "cgroup":
            mount["options"].remove("ro")
    expect("ESCAPED" in work.run(config).stdout, "the control cannot write either")


@suite.test
def cve_2025_52565_the_console_is_no_link_of_the_image(work):
    """/dev/console and /dev/pts of an image that are links to files of the host."""
    outside = canaries(work)
    before = listing_of(outside)
    for victim in ("dev/console", "dev/pts", "dev/ptmx"):
        root = work.own_root()
        shutil.rmtree(root / "dev", ignore_errors=True)
        (root / "dev").mkdir()
        (root / victim).symlink_to(outside / ("file" if victim == "dev/console" else ""))
        config = merge(default_config(["sh", "-c", "echo said > /dev/console; true"]),
                       {"process": {"terminal": True}})
        # No file system of our own on /dev: the image's stays.
        config["mounts"] = [one for one in config["mounts"] if one["destination"] != "/dev"]
        run_in(work, root, config)
        equal(listing_of(outside), before, f"{victim}: files on the host")
        equal((outside / "file").read_text(), "untouched", victim)
        shutil.rmtree(root)
    # The naive stand-in: opened by its path, the image's console is the host's file.
    root = work.own_root()
    (root / "console").symlink_to(outside / "file")
    with open(root / "console", "w", encoding="utf-8") as console:
        console.write("written")
    equal((outside / "file").read_text(), "written", "the control")


@suite.test
def cve_2025_24965_what_is_made_in_the_root_follows_no_link_out(work):
    """A file that the runtime makes (a mount point) where the image has put a dangling link."""
    outside = canaries(work)
    for target in (outside / "made", pathlib.Path("/" + "../" * 12 + str(outside).lstrip("/")) / "made"):
        root = work.own_root()
        (root / "settings.json").symlink_to(target)
        config = default_config(["true"])
        config["mounts"].append({"destination": "/settings.json", "type": "bind",
                                 "source": str(outside / "file"), "options": ["bind", "ro"]})
        run_in(work, root, config)
        equal(listing_of(outside), ["file"], f"-> {target}: files on the host")
        shutil.rmtree(root)
    # The naive stand-in follows the dangling link.
    root = work.own_root()
    (root / "settings.json").symlink_to(outside / "made")
    os.close(os.open(root / "settings.json", os.O_WRONLY | os.O_CREAT, 0o644))
    expect((outside / "made").exists(), "the control stays inside")


if __name__ == "__main__":
    sys.exit(main(suite))
