#!/usr/bin/env python3
"""The x32 system calls, which Debian's kernel has when it is booted with syscall.x32=y: a second way to
every call, by other numbers, that no filter may forget."""

import shutil
import sys

from inside import GUEST, Suite, bulkhead, default_config, equal, expect, main, merge

suite = Suite("x32")
TRY = "for a in x32 x32-keyctl; do guest try $a; echo code $?; done"


def attempt(work, architectures):
    """With a filter that denies keyctl; none at all without architectures."""
    root = work.own_root()
    shutil.copy(GUEST, root / "bin/guest")
    config = merge(default_config(["sh", "-c", TRY]), {"root": {"path": str(root)}})
    if architectures:
        config["linux"]["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW", "architectures": architectures,
            "syscalls": [{"names": ["keyctl"], "action": "SCMP_ACT_ERRNO"}]}
    done = work.run(config)
    equal(done.returncode, 0, done.stderr)
    return done.stdout


@suite.test
def without_a_filter_the_kernel_answers_them(work):
    """The control: with this kernel they work."""
    text = attempt(work, [])
    equal(text.count("ESCAPED"), 2, f"calls that work without seccomp: {text}")


@suite.test
def a_filter_that_does_not_name_x32_refuses_all_of_it(work):
    for architectures in (["SCMP_ARCH_X86_64"], ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]):
        text = attempt(work, architectures)
        expect("ESCAPED" not in text and "code" in text, f"{architectures}: {text}")


@suite.test
def a_filter_that_names_x32_filters_it(work):
    text = attempt(work, ["SCMP_ARCH_X86_64", "SCMP_ARCH_X32"])
    equal(text.count("ESCAPED"), 1, f"getpid is allowed, keyctl is not: {text}")
    expect("held x32 keyctl" in text, text)


@suite.test
def the_default_profile_of_bulkhead_run_refuses_them(work):
    tools = work.directory / "tools"
    tools.mkdir()
    shutil.copy(GUEST, tools / "guest")
    def text(*options):
        return bulkhead("run", "--rm", *options, "-v", f"{tools}:/tools:ro", "busybox", "sh", "-c",
                        f"PATH=$PATH:/tools; {TRY}").stdout
    held = text()
    expect("ESCAPED" not in held and "code" in held, held)
    free = text("--security-opt", "seccomp=unconfined")
    equal(free.count("ESCAPED"), 2, f"the control, without the profile: {free}")


if __name__ == "__main__":
    sys.exit(main(suite))
