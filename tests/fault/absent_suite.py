#!/usr/bin/env python3
"""The life of a container where system calls do not exist (ENOSYS), as on older kernels: each step works
in another way, with the same isolation, or is one clear error that names the kernel that is needed."""

import json
import os
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from refusal_support import GUEST_CODE, INJECTOR, RunInUserNamespace, RunPlainly, difference
from support.bundles import Traces, Workshop
from support.harness import Suite, equal, expect

suite = Suite("absent")

# The calls that are taken away, and since which kernel they are there when nothing stands in for them.
SETS = {
    "openat2": ("openat2", None),
    "mount_setattr": ("mount_setattr,open_tree_attr", None),
    "open_tree_attr": ("open_tree_attr", None),
    "the new mount API": ("fsopen,fsconfig,fsmount,fspick,open_tree,open_tree_attr,move_mount,"
                          "mount_setattr", None),
    "clone3": ("clone3", r"5\.3"),
    "pidfd_open and pidfd_send_signal": ("pidfd_open,pidfd_send_signal,pidfd_getfd", r"5\.3"),
    "close_range": ("close_range", r"5\.9"),
    "memfd_create": ("memfd_create", r"3\.17"),
    "faccessat2": ("faccessat2", None),
    "landlock": ("landlock_create_ruleset,landlock_add_rule,landlock_restrict_self", None),
    "keyctl": ("keyctl,add_key,request_key", None),
    "statx": ("statx", None),
    "lsm_list_modules": ("lsm_list_modules", None),
}


def without(names, command):
    return [INJECTOR, "--absent", names, "--", *command]


def step(work, names, *words):
    """Exit code and complaint; through files, for a container may keep what it is given."""
    complaint = work.directory / f"complaint{next(work.numbers)}"
    with open(complaint, "wb") as file:
        code = subprocess.run(without(names, work.command(*words)), stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=file, timeout=60,
                              check=False).returncode
    return code, complaint.read_text(errors="replace").strip()


def is_clear(complaint, kernel):
    """What does not work, and since when it would: a line for each."""
    return len(complaint.splitlines()) == 2 and re.search(rf"Linux {kernel}\b", complaint)


def run_once(work, make, names, kernel):
    scenario = make(work)
    scenario.calls()  # for the facts of a container of which nothing is missing
    name = work.new_id()
    traces = Traces(name)
    output = work.directory / f"output-{name}"
    complaint = work.directory / f"errors-{name}"
    with open(output, "wb") as told, open(complaint, "wb") as errors:
        code = subprocess.run(without(names, scenario.commands(name)[0]), stdin=subprocess.DEVNULL,
                              stdout=told, stderr=errors, timeout=60, check=False,
                              env={"PATH": os.environ["PATH"]}).returncode
    text = complaint.read_text(errors="replace").strip()
    if code == GUEST_CODE:
        run = type("Told", (), {"output": output.read_text(), "name": name})
        facts = scenario.normal(run)
        # The injector's own filter is in there; without keyrings no keyring can be described.
        differs = difference(scenario.baseline, facts,
                             ("status Seccomp*", *(("session keyring",) if "keyctl" in names else ())))
        expect(not differs, f"less isolated: {differs}")
        equal(int(facts["status Seccomp_filters"]), int(scenario.baseline["status Seccomp_filters"]) + 1,
              "seccomp filters, the injector's included")
    else:
        expect(kernel, f"{scenario.name} fails, exit code {code}: {text}")
        expect(is_clear(text, kernel), f"no word of Linux {kernel}: {text}")
    left = scenario.left(name) + traces.leftovers()
    expect(not left, f"left behind: {left[:5]}")
    return code


def whole_life(work, names, kernel):
    """create, start, state, exec, kill, delete; the calls are missing for each of them."""
    bundle = work.bundle(RunPlainly(work).config() | {"hostname": "old"})
    config = json.loads((bundle / "config.json").read_text())
    config["process"]["args"] = ["sleep", "1000"]
    (bundle / "config.json").write_text(json.dumps(config))
    name = work.new_id()
    traces = Traces(name)
    def works(*words):
        """Or is refused in words that help; then the rest of the life is for a newer kernel."""
        code, complaint = step(work, names, *words)
        if code == 0:
            equal(complaint, "", words[0])
            return True
        expect(kernel and is_clear(complaint, kernel), f"{words[0]}: {code}: {complaint}")
        return False
    try:
        if not all(works(*words) for words in (
                ("create", "--bundle", bundle, name), ("start", name), ("exec", name, "true"),
                ("pause", name), ("resume", name), ("kill", name, "KILL"))):
            return
        deadline = time.monotonic() + 60
        while json.loads(work.call("state", name).stdout)["status"] != "stopped":
            expect(time.monotonic() < deadline, "it does not stop")
        equal(step(work, names, "delete", name), (0, ""), "delete")
    finally:
        work.call("delete", "--force", name)
    left = traces.leftovers()
    expect(not left, f"left behind: {left[:5]}")


def add(title, names, kernel):
    def test(work):
        code = run_once(work, RunPlainly, names, kernel)
        # The mounts of an idmapped world are made by the new calls alone.
        run_once(work, RunInUserNamespace, names, kernel or r"5\.(2|12)")
        if code == GUEST_CODE:
            whole_life(work, names, kernel)
            return
        # Refused at the first step; every later one says the same.
        bundle = RunPlainly(work).bundle
        name = work.new_id()
        code, complaint = step(work, names, "create", "--bundle", bundle, name)
        expect(code != 0 and is_clear(complaint, kernel), f"create: {code}: {complaint}")
        expect(not (work.state / name).exists(), "create has left its state")
    test.__name__ = f"a_kernel_without_{title.replace(' ', '_')}"
    suite.test(test)


for a_title, (the_names, the_kernel) in SETS.items():
    add(a_title, the_names, the_kernel)


@suite.test
def the_control_a_call_that_is_absent_is_missed(work):
    """Without execve no container, and without the first call of all not even an error message."""
    name = work.new_id()
    done = subprocess.run(without("pivot_root,chroot", work.command("run", "--bundle",
                                                                   RunPlainly(work).bundle, name)),
                          capture_output=True, text=True, timeout=60, check=False)
    expect(done.returncode != 0 and "pivot_root" in done.stderr, f"{done}")


def main():
    if os.geteuid() != 0:
        print("SKIP absent — needs root")
        return 0
    with Workshop() as work:
        return suite.main(work)


if __name__ == "__main__":
    sys.exit(main())
