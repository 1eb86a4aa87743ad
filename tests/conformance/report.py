#!/usr/bin/env python3
"""Runs the conformance suite for Bulkhead, crun and runc, and compares.

  report.py           the results, one a line; what docs/compatibility.md says is held against them
  report.py --table   the table of passed tests by section
  report.py --write   writes the table and the differences into docs/compatibility.md

What another runtime does otherwise is listed in differences.json with its explanation: a test that it
fails and that is not listed there is a failure of ours, for then either the suite or the page is wrong.
CONFORMANCE_ONLY=NAME asks one runtime alone.
"""

import argparse
import fnmatch
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import conform
import tests_of_all_sections  # noqa: F401  pylint: disable=unused-import

HERE = pathlib.Path(__file__).resolve().parent
PAGE = conform.ROOT / "docs" / "compatibility.md"
BEGIN, END = "<!-- begin: ./dev conformance --write -->\n", "<!-- end -->\n"
NAMES = [test.name for test in conform.TESTS]
RUNTIMES = {"bulkhead": os.environ["BULKHEAD_RUNTIME"],
            "crun": shutil.which("crun"), "runc": shutil.which("runc")}
# One of them, for a run of the suite on another build of it: the page is not asked then.
if ONLY := os.environ.get("CONFORMANCE_ONLY"):
    RUNTIMES = {ONLY: RUNTIMES[ONLY]}
TITLES = {"bulkhead": "Bulkhead", "crun": "crun", "runc": "runc"}
SECONDS = 300


def load(name):
    return json.loads((HERE / name).read_text(encoding="utf-8"))


def matching(pattern):
    """The tests that a name stands for; "*" in it stands for anything."""
    return [name for name in NAMES if name == pattern or fnmatch.fnmatchcase(name, pattern)]


# --- the list of clauses -----------------------------------------------------------------------------


def check_clauses():
    """(verdict, name, reason) of the list; prints what has no test."""
    listed = load("clauses.json")
    named, wrong = set(), []
    for clause in listed["clauses"]:
        if clause["section"] not in listed["sections"]:
            wrong.append(f"no section {clause['section']}")
        if "untested" in clause:
            print(f"untested {clause['section']}: {clause['clause']} — {clause['untested']}")
            continue
        for pattern in clause["tests"]:
            found = matching(pattern)
            if not found:
                wrong.append(f"{clause['section']}: there is no test {pattern!r}")
            named.update(found)
    yield ("FAIL", "clauses: each names tests that exist", "; ".join(wrong)) if wrong else \
        ("ok", "clauses: each names tests that exist", "")
    alone = sorted(set(NAMES) - named)
    yield ("FAIL", "clauses: each test belongs to one", "; ".join(alone)) if alone else \
        ("ok", "clauses: each test belongs to one", "")
    twice = sorted({name for name in NAMES if NAMES.count(name) > 1})
    yield ("FAIL", "clauses: test names are unique", "; ".join(twice)) if twice else \
        ("ok", "clauses: test names are unique", "")


# --- running -----------------------------------------------------------------------------------------


def run_all():
    """Runtime -> test -> [verdict, reason]; all at once, for they mostly wait."""
    results = {}
    deadline = time.monotonic() + SECONDS
    with tempfile.TemporaryDirectory(prefix="bulkhead-conformance-") as directory:
        running = {}
        for name, program in RUNTIMES.items():
            if not program or not os.path.exists(program):
                continue
            file = pathlib.Path(directory) / f"{name}.json"
            command = [sys.executable, str(HERE / "suite.py"), "--runtime", program,
                       "--results", str(file)]
            running[name] = file, subprocess.Popen(
                command + ([] if name == "bulkhead" else ["--hide-v2"]),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for name, (file, process) in running.items():
            try:
                errors = process.communicate(timeout=max(deadline - time.monotonic(), 1))[1]
            except subprocess.TimeoutExpired:
                process.kill()
                errors = process.communicate()[1] + f"not done after {SECONDS} s".encode()
            if not file.exists():
                text = " ".join(errors.decode(errors="replace").split())
                print(f"FAIL conformance: the suite runs on {name} — {text[-500:]}")
            results[name] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return results


def listed_differences(differences, runtime):
    """Test -> title of the difference that explains it."""
    found = {}
    for difference in differences:
        for pattern in difference["tests"].get(runtime, []):
            if not matching(pattern):
                raise LookupError(f"differences.json: {difference['title']}: no test {pattern!r}")
            found.update({name: difference["title"] for name in matching(pattern)})
    return found


def at_times(differences, runtime):
    """Tests whose outcome depends on who is faster; they count as not passed."""
    return {name for difference in differences
            for pattern in difference.get("at_times", {}).get(runtime, [])
            for name in matching(pattern)}


def judged(results, differences):
    for runtime, verdicts in results.items():
        listed = listed_differences(differences, runtime)
        either = at_times(differences, runtime)
        for name, (verdict, reason) in verdicts.items():
            shown = f"{runtime}: {name}"
            if name in either:
                yield "ok", f"{shown} (differs at times)", ""
            elif verdict == "FAIL" and name in listed:
                yield "ok", f"{shown} (differs: {listed[name]})", ""
            elif verdict == "FAIL" and runtime != "bulkhead":
                yield "FAIL", shown, f"not among the differences: {reason}"
            elif verdict == "ok" and name in listed:
                yield "FAIL", shown, f"passes, but is listed as a difference: {listed[name]}"
            elif verdict == "SKIP" and runtime != "bulkhead":
                yield "ok", f"{shown} (not asked: {reason})", ""
            else:
                yield verdict, shown, reason


# --- the page ------------------------------------------------------------------------------------------


def section_of(name):
    return name.split(": ", 1)[0]


def table(results, differences):
    either = {runtime: at_times(differences, runtime) for runtime in results}
    sections = load("clauses.json")["sections"]
    rows = ["| Section | Tests | " + " | ".join(TITLES[name] for name in results) + " |",
            "|---|---:|" + "---:|" * len(results)]
    totals = {name: [0, 0] for name in results}
    for section, about in sections.items():
        names = [name for name in NAMES if section_of(name) == section]
        if not names:
            continue
        cells = []
        for runtime, verdicts in results.items():
            passed = sum(verdicts.get(name, [""])[0] == "ok" and name not in either[runtime]
                         for name in names)
            asked = sum(verdicts.get(name, ["SKIP"])[0] != "SKIP" for name in names)
            totals[runtime][0] += passed
            totals[runtime][1] += asked
            cells.append(f"{passed}" if asked == len(names) else f"{passed} of {asked}"
                         if asked else "–")
        rows.append(f"| {about['title']} ({about['anchor'].split('#')[0]}) | {len(names)} | "
                    + " | ".join(cells) + " |")
    rows.append(f"| **All** | {len(NAMES)} | "
                + " | ".join(f"**{passed} of {asked}**" for passed, asked in totals.values()) + " |")
    return "\n".join(rows) + "\n"


def described(differences):
    text = ""
    for difference in differences:
        text += f"\n### {difference['title']}\n\n"
        text += f"**The specification:** {difference['asks']}\n\n"
        for runtime, title in TITLES.items():
            text += f"- **{title}** {difference[runtime]}\n"
        text += f"\n{difference['why']}\n"
        counts = [f"{len({n for p in patterns for n in matching(p)})} of {TITLES[runtime]}"
                  for runtime, patterns in difference["tests"].items() if patterns]
        sometimes = [f"{len({n for p in patterns for n in matching(p)})} of {TITLES[runtime]}"
                     for runtime, patterns in difference.get("at_times", {}).items()]
        text += f"\nTests: {', '.join(counts)}"
        text += f"; at times: {', '.join(sometimes)}.\n" if sometimes else ".\n"
    return text


def generated(results, differences):
    clauses = load("clauses.json")["clauses"]
    untested = sum("untested" in clause for clause in clauses)
    return (f"{BEGIN}{len(clauses)} clauses, {len(clauses) - untested} of them with tests, "
            f"{len(NAMES)} tests.\n\n{table(results, differences)}\n"
            f"## Differences\n{described(differences)}{END}")


def with_generated(page, text):
    begin, end = page.index(BEGIN), page.index(END) + len(END)
    return page[:begin] + text + page[end:]


def check_page(results, differences):
    name = "docs/compatibility.md says what the suite finds"
    if absent := set(RUNTIMES) - set(results):
        return "SKIP", name, f"not installed: {', '.join(sorted(absent))}"
    skipped = [test for test, (verdict, _) in results["bulkhead"].items() if verdict == "SKIP"]
    if skipped:
        return "SKIP", name, f"this host cannot show {len(skipped)} of the tests: {skipped[0]}, …"
    page = PAGE.read_text(encoding="utf-8")
    if with_generated(page, generated(results, differences)) != page:
        return "FAIL", name, "write it anew by ./dev conformance --write, and read what changed"
    return "ok", name, ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("SKIP conformance — needs root")
        return 0
    differences = load("differences.json")
    results = run_all()
    if arguments.table:
        print(table(results, differences), end="")
        return 0
    if arguments.write and not ONLY:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(with_generated(page, generated(results, differences)), encoding="utf-8")
    failed = False
    page = [] if ONLY else [check_page(results, differences)]
    for verdict, name, reason in [*check_clauses(), *judged(results, differences), *page]:
        failed |= verdict == "FAIL"
        print(f"{verdict} {name}" + (f" — {reason}" if reason else ""), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
