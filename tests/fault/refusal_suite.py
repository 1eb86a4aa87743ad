#!/usr/bin/env python3
"""Every system call of the runtime refused in turn, with EPERM, ENOSYS, ENOMEM and EINTR, from its
first instruction to the execve of the program, and in what comes after.

Either the command fails, says why, and nothing is left; or the container runs, is exactly as isolated
as the same container is without a refusal, and the call stands in refusals.py with the reason why it
may be done without."""

import concurrent.futures
import os
import pathlib
import sys
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from refusal_support import ERRORS, GUEST_CODE, SCENARIOS, CreateAndStart, Exec, RunPlainly, difference
from refusals import listed_as
from support.bundles import BUILD, FULL, Workshop
from support.harness import Suite, equal, expect

suite = Suite("refusal")
WEAKENED = os.environ.get("BULKHEAD_WEAKENED") or str(BUILD / "tests/bulkhead-runtime-weakened")
STRIDE = 1 if FULL else 9  # of the sample in ./test
WORKERS = 2


def has_succeeded(scenario, codes):
    expected = [0] * len(scenario.commands("x"))
    if not isinstance(scenario, CreateAndStart):
        expected[-1] = GUEST_CODE
    return codes == expected


def verdict(scenario, call, error, run):
    """None when all is well; otherwise what is wrong."""
    if hang := run.words("hang"):
        return f"hangs: {hang}"
    if not run.words("refused"):
        return None
    codes = run.codes()
    alive = run.words("alive")
    listed = listed_as(scenario, call, error)
    # `start` has nothing to do with the container but to say the word.
    if "1 writable" in run.words("binary"):
        return "the runtime's own binary is within the container's reach"
    succeeded = has_succeeded(scenario, codes)
    if run.told_all() and (succeeded or "output is not complete" not in run.errors):
        may_differ = listed.may_differ if listed else ()
        if worse := difference(scenario.baseline, scenario.normal(run), may_differ):
            return f"the container is not as it was asked for: {worse}"
    if succeeded:
        if not run.told_all():
            return f"success, but the program did not run: {run.output[-200:]!r} {run.errors}"
        if alive:
            return f"still running: {alive}"
        if not listed:
            return f"goes on as if nothing were amiss, and is not listed; it says {run.errors!r}"
    else:
        if not run.errors and not listed:
            return f"no word of why: exit codes {codes}"
        # What `create` made, and `start` could not start, is for delete to end.
        if alive and len(codes) < 2:
            return f"still running: {alive}"
    return leftovers(scenario, run, succeeded)


def leftovers(scenario, run, succeeded):
    left = scenario.left(run.name)
    if not left:
        return None
    # What has been created, or has run and could not be put away: an error was the answer, and
    # delete is the way out.
    created = isinstance(scenario, CreateAndStart) and len(run.codes()) == 2
    ended_badly = not succeeded and not scenario.enters and run.told_all()
    if not created and not ended_badly:
        return f"left behind: {left} ({run.errors})"
    done = scenario.delete(run.name)
    if done.returncode != 0:
        return f"delete --force fails afterwards: {done.stderr}"
    left = scenario.left(run.name)
    return f"left behind after delete --force: {left}" if left else None


def attempt(scenario, call, error):
    name = scenario.work.new_id()
    run = scenario.inject(name, "--refuse", call.role, call.name, str(call.number), error)
    wrong = verdict(scenario, call, error, run)
    if wrong and not scenario.enters:
        scenario.delete(name)
    return wrong, bool(run.words("refused"))


def sample(scenario, rows):
    """All of them, or a ninth; BULKHEAD_SAMPLE chooses which. A row is chosen for what it is, not for where
    it stands: the order of the calls differs from run to run, and the sample does not. What a terminal
    makes more or fewer of each time is left to --full."""
    if FULL:
        return rows, ""
    start = os.environ.get("BULKHEAD_SAMPLE", "0")

    def chosen(call, error):
        if (call.role, call.name) in scenario.unsteady:
            return False
        return zlib.crc32(f"{start} {call.role} {call.name} {call.number} {error}".encode()) % STRIDE == 0
    return [row for row in rows if chosen(*row)], f"(BULKHEAD_SAMPLE={start})"


def sweep(work, make):
    scenario = make(work)
    try:
        calls = scenario.calls()
        expect(len(calls) > 100, f"only {len(calls)} calls were seen")
        rows, which = sample(scenario, [(call, error) for call in calls for error in ERRORS])
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            results = list(pool.map(lambda row: attempt(scenario, *row), rows))
        met = sum(was_met for _, was_met in results)
        wrong = [f"{call} {error}: {what}"
                 for (call, error), (what, _) in zip(rows, results) if what]
        print(f"{scenario.name}: {len(calls)} calls, {len(rows)} refusals, {met} met {which}")
        if os.environ.get("BULKHEAD_TRACE"):
            print("\n".join(wrong))
        # How often a terminal or a socket is looked at differs from run to run.
        expect(rows and met >= len(rows) * 0.75, f"only {met} of {len(rows)} refusals met their call")
        expect(not wrong, f"{len(wrong)} of {len(rows)}: " + " | ".join(wrong[:5]))
    finally:
        scenario.close()


def add(make):
    def test(work):
        sweep(work, make)
    test.__name__ = f"refused_calls_of_{make.name.replace(' ', '_')}_fail_closed"
    suite.test(test)


for scenario_class in SCENARIOS:
    add(scenario_class)


@suite.test
def the_guest_sees_every_layer_that_is_missing(work):
    """The control: with a layer taken out, the facts differ from those of the whole container."""
    whole = RunPlainly(work)
    whole.calls()
    weak = RunPlainly(work.with_runtime(WEAKENED))
    weak.calls()
    equal(weak.baseline, whole.baseline, "the weakened runtime with all its layers")
    for layer in ("devices", "masked paths", "capabilities", "seccomp", "session keyring"):
        name = work.new_id()
        run = weak.inject(name, "--list", env={"BULKHEAD_REMOVED_LAYERS": layer})
        weak.delete(name)
        expect(run.told_all(), f"{layer}: the container did not run: {run.errors}")
        expect(difference(whole.baseline, weak.normal(run)), f"nobody sees that {layer} is missing")


@suite.test
def the_injector_refuses(work):
    """The control: without the program's own execve there is no container, whatever the error."""
    for make in (RunPlainly, Exec):
        scenario = make(work)
        try:
            call = next(call for call in scenario.calls() if call.name == "execve")
            for error in ERRORS:
                run = scenario.inject(work.new_id(), "--refuse", call.role, call.name,
                                      str(call.number), error)
                expect(run.words("refused") and not run.told_all(), f"{error}: {run.report}")
                expect(run.codes()[-1] != 0 and run.errors, f"{error}: {run.report} {run.errors}")
                equal(verdict(scenario, call, error, run), None, error)
        finally:
            scenario.close()


def main():
    if os.geteuid() != 0:
        print("SKIP refusal — needs root")
        return 0
    with Workshop() as work:
        return suite.main(work)


if __name__ == "__main__":
    sys.exit(main())
