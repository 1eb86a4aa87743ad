"""What runs suites on builds with the sanitizers: tests/sanitize and tests/threads."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from support.area import ROOT, settle  # noqa: E402

settle(os.environ)
UNIT_TESTS = str(ROOT / "tests/unit/run")
RESULT = re.compile(r"^(ok|FAIL|SKIP) (.*)$")
FOUND = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:")


def options(log, leaks):
    """What a sanitizer finds ends the program by SIGABRT, which no test takes for an expected failure, and
    is written to files: the standard error of a container's first process may lead anywhere."""
    common = f"log_path={log}:abort_on_error=1:halt_on_error=1:handle_abort=0"
    # A bare thread shares its maker's storage, in which the stack of the checked frames is kept.
    return {"ASAN_OPTIONS": f"{common}:detect_stack_use_after_return=0:detect_leaks={leaks}",
            "LSAN_OPTIONS": "print_suppressions=0",
            "UBSAN_OPTIONS": f"{common}:print_stacktrace=1",
            "TSAN_OPTIONS": f"{common}:second_deadlock_stack=1"}


def findings(directory):
    """What the sanitizers wrote: a file for each process that had something to say."""
    for path in sorted(directory.iterdir()):
        lines = [line.strip() for line in path.read_text(errors="replace").splitlines()]
        # Where a process may not start the symbolizer, addresses stand in the place of names.
        lines = [line for line in lines if line and "symbolizer" not in line and set(line) - set("=-")]
        told = [line for line in lines if FOUND.search(line) or "SUMMARY:" in line]
        frames = [line for line in lines if re.match(r"#\d+ ", line) and str(ROOT) in line]
        if lines:
            yield " / ".join(told[:2] + frames[:3]) or " / ".join(lines[:3])


def relay(what, command, environment, leaks=1):
    """Runs a suite; its lines, and one for what the sanitizer has found in all of its programs."""
    failed, count = False, 0
    with tempfile.TemporaryDirectory(prefix="bulkhead-sanitize-") as place:
        os.chmod(place, 0o777)  # containers' first processes are anybody
        log = pathlib.Path(place)
        settings = {**os.environ, **options(log / "report", leaks), **environment}
        process = subprocess.Popen(command, env=settings, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   errors="replace")
        for line in process.stdout:
            if match := RESULT.match(line):
                count += 1
                failed |= match[1] == "FAIL"
                print(f"{match[1]} {what}: {match[2]}", flush=True)
        code = process.wait()
        found = list(findings(log))
    for text in found[:10]:
        print(f"FAIL {what}: nothing is found — {text[:700]}")
    if not count:
        print(f"FAIL {what}: the suite runs — exit code {code} and no result")
    elif not found:
        print(f"ok {what}: nothing is found in {count} tests")
    return failed or bool(found) or not count


def speaks(*kinds):
    """The control: a program with a fault of each kind dies and leaves a report."""
    source = ("#include <cstdlib>\n#include <thread>\nint race; int main(int n, char** v) {\n"
              "  if (v[1][0] == 'a') { char* p = new char[n]; delete[] p; return p[0]; }\n"
              "  if (v[1][0] == 'u') return (0x7fffffff - 1 + n) + n;\n"
              "  std::thread other([] { ++race; }); ++race; other.join(); return 0; }\n")
    failed = False
    with tempfile.TemporaryDirectory() as place:
        work = pathlib.Path(place)
        (work / "fault.cc").write_text(source)
        for kind in kinds:
            sanitizer = "thread" if kind == "t" else "address,undefined"
            reports = work / kind
            reports.mkdir()
            subprocess.run(["clang++-19", f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all", "-g",
                            work / "fault.cc", "-o", work / "fault"], check=True)
            done = subprocess.run([work / "fault", kind], env={**os.environ, **options(reports / "r", 1)},
                                  capture_output=True, check=False)
            good = done.returncode == -6 and any(FOUND.search(path.read_text(errors="replace"))
                                                 for path in reports.iterdir())
            failed |= not good
            print(f"ok a fault is found ({sanitizer} {kind})" if good else
                  f"FAIL a fault is found ({sanitizer} {kind}) — exit code {done.returncode}")
    return failed
