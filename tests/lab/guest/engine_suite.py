#!/usr/bin/env python3
"""`bulkhead run` as it is, on another kernel: its defaults, with the layers' uppers on ext4."""

import os
import sys

from inside import Suite, bulkhead, equal, expect, main, says

suite = Suite("bulkhead run")


@suite.test
def a_container_starts_by_its_defaults(_):
    status = says("busybox", "cat", "/proc/self/status")
    values = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    equal(values["NoNewPrivs"], "1", "no new privileges")
    equal(values["Seccomp"], "2", "seccomp")
    equal(values["CapInh"], "0" * 16, "inheritable capabilities")
    equal(values["CapBnd"], "00000000000005fb", "bounding set")


@suite.test
def its_root_is_an_overlay_with_mapped_ids(_):
    text = says("busybox", "sh", "-c", "cat /proc/self/uid_map; grep ' / / ' /proc/self/mountinfo; "
                "touch /made && stat -c %u:%g /made /bin/busybox")
    first, second, *owners = text.splitlines()
    inside, outside, count = map(int, first.split())
    expect(inside == 0 and outside >= 65536 and count >= 65536, f"uid_map: {first}")
    expect(" - overlay " in second, second)
    equal(owners, ["0:0", "0:0"], "owners as seen from inside")


@suite.test
def a_user_namespace_within_is_refused(_):
    held = bulkhead("run", "--rm", "busybox", "unshare", "-U", "echo", "ESCAPED")
    expect("ESCAPED" not in held.stdout and held.returncode != 0, held.stdout)
    free = bulkhead("run", "--rm", "--security-opt", "seccomp=unconfined", "busybox",
                    "unshare", "-U", "echo", "ESCAPED")
    expect("ESCAPED" in free.stdout, f"the control, without seccomp, is stopped: {free.stderr}")


@suite.test
def a_volume_is_mapped_one_to_one(work):
    volume = work.directory / "volume"
    volume.mkdir()
    (volume / "mine").write_text("text")
    equal(says("-v", f"{volume}:/data", "busybox", "sh", "-c",
               "stat -c %u:%g /data/mine; cat /data/mine; touch /data/new"), "0:0\ntext", "inside")
    equal(os.stat(volume / "new").st_uid, 0, "owner of what it made, on the host")


@suite.test
def flags_of_every_day_work(_):
    equal(says("--read-only", "--user", "1000:1000", "busybox", "sh", "-c",
               "id -u; touch /x 2>/dev/null || echo read-only").split(), ["1000", "read-only"])
    equal(bulkhead("run", "--rm", "busybox", "sh", "-c", "exit 7").returncode, 7, "exit code")
    explained = bulkhead("explain", "run", "busybox")
    equal((explained.returncode, explained.stderr), (0, ""), "explain run")
    expect("cgroup v2" in explained.stdout, explained.stdout)


if __name__ == "__main__":
    sys.exit(main(suite))
