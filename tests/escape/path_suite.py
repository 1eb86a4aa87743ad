#!/usr/bin/env python3
"""Attacks by paths: links in images, swapped mount points, false devices and file systems."""

import os
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from attack import ALL_CAPABILITIES, canaries, capabilities, listing_of, main, run_in, weakened, without
from support.bundles import default_config, merge
from support.harness import Suite, equal, expect

suite = Suite("escape")


@suite.test
def mount_points_that_are_links_stay_inside(work):
    """CVE-2019-16884, 2026-41579, 2026-47766 and their kind: an image in which mount points lead out."""
    outside = canaries(work)
    before = listing_of(outside)
    targets = [str(outside), "../" * 12 + str(outside).lstrip("/"), "/proc/self/root" + str(outside),
               "/proc/self/cwd", "/nowhere/at/all"]
    for victim in ("dev", "proc", "sys", "data", "etc/resolv.conf"):
        for target in targets:
            root = work.own_root()
            path = root / victim
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.exists() or path.is_symlink():
                path.unlink()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)
            config = default_config(["true"])
            config["mounts"] += [
                {"destination": "/data", "type": "tmpfs", "source": "tmpfs"},
                {"destination": "/etc/resolv.conf", "type": "bind", "source": str(outside / "file"),
                 "options": ["bind", "ro"]}]
            run_in(work, root, config)
            equal(listing_of(outside), before, f"{victim} -> {target}: files on the host")
            equal((outside / "file").read_text(), "untouched", f"{victim} -> {target}")
            shutil.rmtree(root)
    # The naive stand-in: mkdir by path follows the same link.
    root = work.own_root()
    (root / "trap").symlink_to(outside)
    os.makedirs(str(root) + "/trap/made", exist_ok=True)
    expect((outside / "made").exists(), "the control stays inside")


@suite.test
def a_false_procfs_is_refused(work):
    """CVE-2019-19921, 2023-27561, 2025-52881: writes to /proc must meet a procfs."""
    for change in ([{"destination": "/proc", "type": "tmpfs", "source": "tmpfs"}],
                   [{"destination": "/proc", "type": "bind", "source": "/tmp", "options": ["bind"]}],
                   [{"destination": "/proc", "type": "proc", "source": "proc"},
                    {"destination": "/proc/self", "type": "tmpfs", "source": "tmpfs"}]):
        config = default_config(["true"])
        config["mounts"] = change + [m for m in config["mounts"] if m["destination"] != "/proc"]
        done = work.run(config)
        expect(done.returncode != 0, f"{change} was taken")


@suite.test
def cve_2025_31133_masks_are_the_real_null_device(work):
    """An image whose /dev/null is something else must not get it bound over what is masked."""
    for content in ("file", "link"):
        root = work.own_root()
        shutil.rmtree(root / "dev", ignore_errors=True)
        (root / "dev").mkdir()
        if content == "file":
            (root / "dev/null").write_text("not a device")
        else:
            (root / "dev/null").symlink_to("/proc/sys/kernel/core_pattern")
        config = default_config(["sh", "-c", "cat /proc/keys /proc/timer_list; stat -c %t:%T /proc/keys"])
        # No file system of our own on /dev: the image's stays.
        config["mounts"] = [m for m in config["mounts"] if not m["destination"].startswith("/dev")]
        done = run_in(work, root, config)
        if done.returncode == 0:
            equal(done.stdout.strip(), "1:3", f"{content}: what masks /proc/keys")
        shutil.rmtree(root)

    def masked(workshop, env):
        return workshop.shell("cat /proc/timer_list | wc -c", env=env).stdout.strip()

    control = masked(weakened(work), without("masked paths"))
    expect(control not in ("", "0"), f"the control reads nothing: {control!r}")
    equal(masked(work, dict(os.environ)), "0", "bytes of a masked file")


@suite.test
def read_only_paths_cannot_be_written(work):
    script = "echo 1 > /proc/sys/vm/drop_caches && echo ESCAPED; mount | grep ' /proc/sys ' | head -1"
    changes = capabilities("CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE")
    control = weakened(work).shell(script, changes, env=without("masked paths"))
    expect("ESCAPED" in control.stdout, f"the control is stopped: {control.stdout} {control.stderr}")
    done = work.shell(script, changes)
    expect("ESCAPED" not in done.stdout and "ro" in done.stdout, done.stdout)


@suite.test
def the_hosts_files_are_out_of_reach(work):
    """The old root is gone for a process with every right over the mounts of its namespace."""
    script = ("ls /..; cat /proc/1/mountinfo; umount -l / ; cd / ; ls -d work var/lib/dpkg 2>/dev/null; "
              "test -e /etc/debian_version && echo ESCAPED; true")
    marker = canaries(work)
    done = work.shell(f"test -e {marker}/file && echo ESCAPED; {script}", capabilities(*ALL_CAPABILITIES))
    expect("ESCAPED" not in done.stdout, done.stdout[-400:])
    control = weakened(work).shell(f"test -e {marker}/file && echo ESCAPED",
                                   capabilities(*ALL_CAPABILITIES),
                                   env=without("root switch", "working directory", "mounts", "late mounts",
                                               "devices", "masked paths"))
    expect("ESCAPED" in control.stdout, f"the control is stopped: {control}")


@suite.test
def mounts_of_the_container_do_not_reach_the_host(work):
    shared = pathlib.Path(tempfile.mkdtemp(dir=work.directory))
    config = merge(default_config(["sh", "-c", "mount -t tmpfs leak /data && echo mounted"]),
                   capabilities("CAP_SYS_ADMIN"))
    config["mounts"].append({"destination": "/data", "type": "bind", "source": str(shared),
                             "options": ["rbind", "rprivate"]})
    done = work.run(config)
    equal(done.stdout.strip(), "mounted", done.stderr)
    expect(str(shared) not in pathlib.Path("/proc/self/mountinfo").read_text(), "it did")


if __name__ == "__main__":
    sys.exit(main(suite))
