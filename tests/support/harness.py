"""Runs a suite's test functions, in an empty directory, and prints their lines."""

import os
import subprocess
import sys
import traceback

from support.area import empty_working_directory, settle

settle(os.environ)


class Skip(Exception):
    """Raised by a test, with the reason."""


def expect(condition, message):
    if not condition:
        raise AssertionError(message)


def equal(observed, expected, what=""):
    expect(observed == expected, f"{what}: {observed!r} instead of {expected!r}")


class Suite:
    def __init__(self, name):
        self.name = name
        self.tests = []

    def test(self, function):
        self.tests.append(function)
        return function

    def main(self, *arguments):
        """Calls each test with the arguments; words on the command line choose tests."""
        with empty_working_directory():
            return self._run(arguments)

    def _run(self, arguments):
        chosen = sys.argv[1:]
        failed = 0
        for function in self.tests:
            if chosen and not any(word in function.__name__ for word in chosen):
                continue
            name = f"{self.name}: {function.__name__.replace('_', ' ')}"
            try:
                function(*arguments)
                print("ok", name, flush=True)
            except Skip as reason:
                print(f"SKIP {name} — {reason}", flush=True)
            except (AssertionError, subprocess.TimeoutExpired, OSError, LookupError,
                    ValueError) as error:
                failed += 1
                text = " ".join(f"{type(error).__name__}: {error}".split())
                print(f"FAIL {name} — {text[:900]}", flush=True)
                if os.environ.get("BULKHEAD_TRACE"):
                    traceback.print_exc()
        return 1 if failed else 0
