#!/usr/bin/env python3
"""Holds any runtime with the customary command line against the runtime-spec.

  suite.py [--runtime PATH] [--results FILE] [--list] [WORD...]

One line per test: ok, FAIL or SKIP. WORDs choose tests by their names. The default runtime is that of
BULKHEAD_RUNTIME. --results writes the verdicts as JSON, for report.py.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time
import traceback

import conform
from support.area import empty_working_directory
import tests_of_all_sections  # noqa: F401  pylint: disable=unused-import

FAILURES = (AssertionError, subprocess.SubprocessError, OSError, LookupError, ValueError)


def enter_own_mount_namespace(hide_v2):
    """Runs this program anew in a mount namespace, where the mounts of the tests stay; without a cgroup
    v2 hierarchy that stands beside v1 ones, if so asked: crun refuses a host that has both."""
    if os.environ.get("CONFORMANCE_INSIDE"):
        return
    mounted = conform.hierarchies()
    script = 'exec "$0" "$@"'
    if hide_v2 and "" in mounted and len(mounted) > 1:
        script = f"umount {mounted['']} && {script}"
    os.environ["CONFORMANCE_INSIDE"] = "1"
    os.execvp("unshare", ["unshare", "--mount", "sh", "-c", script, sys.executable, *sys.argv])


def verdict_of(test, bench):
    """(ok, FAIL or SKIP, and why)"""
    try:
        test.body(bench)
        return "ok", ""
    except conform.Skip as reason:
        return "SKIP", str(reason)
    except FAILURES as error:
        if os.environ.get("BULKHEAD_TRACE"):
            traceback.print_exc()
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return "FAIL", text.removeprefix("AssertionError: ")[:600]
    finally:
        bench.clean_up()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runtime", default=os.environ["BULKHEAD_RUNTIME"])
    parser.add_argument("--hide-v2", action="store_true",
                        help="hide a cgroup v2 hierarchy that stands beside v1 ones")
    parser.add_argument("--results", type=pathlib.Path, help="write the verdicts here")
    parser.add_argument("--list", action="store_true", help="print the tests' names")
    parser.add_argument("words", nargs="*", metavar="WORD")
    arguments = parser.parse_args()
    if arguments.list:
        print(*(test.name for test in conform.TESTS), sep="\n")
        return 0
    if os.geteuid() != 0:
        print("SKIP conformance — needs root")
        return 0
    enter_own_mount_namespace(arguments.hide_v2)

    verdicts = {}
    with empty_working_directory(), conform.Bench(str(arguments.runtime)) as bench:
        for test in conform.TESTS:
            if arguments.words and not any(word in test.name for word in arguments.words):
                continue
            began = time.monotonic()
            verdict, reason = verdict_of(test, bench)
            if os.environ.get("BULKHEAD_TIMES"):
                print(f"{time.monotonic() - began:6.2f} s", end=" ")
            verdicts[test.name] = [verdict, reason]
            print(f"{verdict} {test.name}" + (f" — {reason}" if reason else ""), flush=True)
    if arguments.results:
        arguments.results.write_text(json.dumps(verdicts, indent=1, ensure_ascii=False),
                                     encoding="utf-8")
    return 1 if any(verdict == "FAIL" for verdict, _ in verdicts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
