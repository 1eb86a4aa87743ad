#!/usr/bin/env python3
"""AppArmor, enforcing: Bulkhead's own profile and others, each seen to deny what goes without it."""

import json
import pathlib
import subprocess
import sys
import time

from inside import Suite, bulkhead, default_config, equal, expect, main, merge, says

suite = Suite("apparmor")
OWN = "/proc/self/attr/current"
LOADED = pathlib.Path("/sys/kernel/security/apparmor/profiles")
# With the other walls opened by flags, the profile stands alone.
OPENED = ("--cap-add", "ALL", "--security-opt", "seccomp=unconfined",
          "--security-opt", "systempaths=unconfined")
WITHOUT = ("--security-opt", "apparmor=unconfined")
PROFILES = """
abi <abi/3.0>,
include <tunables/global>
profile lab-custom flags=(attach_disconnected, mediate_deleted) {
  file,
  capability,
  signal,
  deny /etc/passwd r,
}
profile lab-complaining flags=(complain, attach_disconnected, mediate_deleted) {
  file,
}
"""


def load(work):
    source = work.directory / "profiles"
    source.write_text(PROFILES)
    subprocess.run(["apparmor_parser", "--replace", "--skip-cache", str(source)], check=True)


@suite.test
def the_default_profile_loads_by_itself_and_is_taken_on(_):
    equal("bulkhead-default" in LOADED.read_text(), False, "loaded before")
    equal(says("busybox", "cat", OWN), "bulkhead-default (enforce)\n", "the first start")
    equal(says("busybox", "cat", OWN), "bulkhead-default (enforce)\n", "the second")
    equal(LOADED.read_text().count("bulkhead-default"), 1, "loaded once")
    equal(says(*WITHOUT, "busybox", "cat", OWN), "unconfined\n", "unconfined")


@suite.test
def the_default_profile_denies_mounts(_):
    script = "mount -t tmpfs x /mnt && echo ESCAPED; mount -o remount,rw / && echo ESCAPED; true"
    command = ("busybox", "sh", "-c", f"mkdir /mnt; {script}")
    held = bulkhead("run", "--rm", *OPENED, *command)
    expect("ESCAPED" not in held.stdout, held.stdout)
    free = bulkhead("run", "--rm", *OPENED, *WITHOUT, *command)
    expect("ESCAPED" in free.stdout, f"the control, without the profile, is stopped: {free.stderr}")


@suite.test
def the_default_profile_denies_the_kernels_knobs(work):
    """By the runtime, as root of the host without a user namespace: only the profile is in the way."""
    paths = ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/panic_on_oom",
             "/sys/kernel/uevent_seqnum", "/sys/fs/bpf"]
    script = "".join(f"(: >> {path}) 2>/dev/null && echo ESCAPED {path}; " for path in paths)
    mounts = [merge(dict(mount), {"options": [option for option in mount.get("options", [])
                                              if option != "ro"]})
              for mount in default_config()["mounts"]]
    def attempt(profile):
        done = work.shell(f"{script} cat {OWN}", {
            "process": {"apparmorProfile": profile}, "mounts": mounts,
            "linux": {"maskedPaths": [], "readonlyPaths": []}})
        equal(done.returncode, 0, done.stderr)
        return done.stdout
    held = attempt("bulkhead-default")
    expect("ESCAPED" not in held and "bulkhead-default (enforce)" in held, held)
    free = attempt("unconfined")
    expect(free.count("ESCAPED") >= 3, f"the control, without the profile, is stopped: {free}")


@suite.test
def everyday_work_goes_on_under_the_default_profile(_):
    script = ("touch /made && rm /made && mkdir -p /d/e && ln -s /d/e /l && cd /l && "
              "(sleep 5 & kill $!; wait) ; echo 1 > /proc/self/oom_score_adj; nc -h 2>&1 | head -n 1; "
              "ip addr show lo | grep -c LOOPBACK; ps > /dev/null && echo fine")
    done = bulkhead("run", "--rm", "busybox", "sh", "-c", script)
    equal((done.returncode, done.stdout.split()[-2:]), (0, ["1", "fine"]), done.stderr)


@suite.test
def processes_signal_each_other_and_obey_the_engine(work):
    config = merge(default_config(["sh", "-c", "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done"]),
                   {"process": {"apparmorProfile": "bulkhead-default"}})
    name, bundle = work.new_id(), work.bundle(config)
    with open(work.directory / "out", "w", encoding="utf-8") as out:
        subprocess.run(work.command("run", "--detach", "--bundle", bundle, name), check=True,
                       stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=60)
    try:
        done = work.call("exec", name, "sh", "-c", f"cat {OWN}; kill -0 1 && echo reached")
        equal(done.stdout, "bulkhead-default (enforce)\nreached\n", f"exec: {done.stderr}")
        deadline = time.monotonic() + 120
        while "up" not in (work.directory / "out").read_text(encoding="utf-8"):
            expect(time.monotonic() < deadline, "its trap does not stand")
        equal(work.call("kill", name, "TERM").returncode, 0, "kill")
        for _ in range(100):
            if json.loads(work.call("state", name).stdout)["status"] == "stopped":
                return
        expect(False, "the signal did not arrive")
    finally:
        equal(work.call("delete", "--force", name).returncode, 0, "delete")


@suite.test
def a_custom_profile_is_enforced(work):
    load(work)
    command = ("busybox", "sh", "-c", f"cat {OWN}; head -n 1 /etc/passwd")
    held = bulkhead("run", "--rm", "--security-opt", "apparmor=lab-custom", *command)
    equal(held.stdout, "lab-custom (enforce)\n", f"confined: {held.stderr}")
    expect("Permission denied" in held.stderr, held.stderr)
    free = bulkhead("run", "--rm", *WITHOUT, *command)
    expect("root:" in free.stdout, f"the control, without the profile, is stopped: {free.stderr}")


@suite.test
def a_profile_that_only_complains_is_reported(work):
    load(work)
    chosen = ("--security-opt", "apparmor=lab-complaining")
    done = bulkhead("run", "--rm", *chosen, "busybox", "cat", OWN)
    equal((done.returncode, done.stdout), (0, "lab-complaining (complain)\n"), done.stderr)
    expect("complain mode" in done.stderr, f"not said: {done.stderr!r}")
    explained = bulkhead("explain", "run", *chosen, "busybox").stdout
    expect("complain mode" in explained, explained)
    done = bulkhead("explain", "run", "busybox")
    expect("complain" not in done.stdout + done.stderr, "said of a profile that enforces")


@suite.test
def a_profile_that_is_not_loaded_is_an_error(work):
    done = bulkhead("run", "--rm", "--security-opt", "apparmor=no-such", "busybox", "echo", "ran")
    equal((done.returncode, done.stdout), (125, ""), done.stderr)
    expect("no-such" in done.stderr and "not loaded" in done.stderr, done.stderr)
    done = work.run(merge(default_config(["echo", "ran"]),
                          {"process": {"apparmorProfile": "no-such"}}))
    equal((done.returncode, done.stdout), (1, ""), done.stderr)


if __name__ == "__main__":
    sys.exit(main(suite))
