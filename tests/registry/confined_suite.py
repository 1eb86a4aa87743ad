#!/usr/bin/env python3
"""A registry that has taken over what speaks to it gains nothing: a payload behind a broken parser,
with the lock-in and, to see that it is an attack at all, without it."""

import shutil
import subprocess
import sys

from fake_registry import FakeRegistry
from images import Image
from registry_support import BUILD, main
from support.harness import Suite, equal, expect

suite = Suite("confined")
PROGRAM = BUILD / "tests/bulkhead-registry-weakened"

DEEDS = ["read-store", "write-store", "read-secret", "read-passwd", "write-tmp", "connect", "listen",
         "unix-socket", "execute", "kill", "read-memory"]
# What even a process of root's cannot be seen to do here without the lock-in, for another reason.
WITHOUT_CONTROL = ["become-root", "unshare", "io-uring", "trace"]
# What the dialer is there for.
DIALER_MAY = {"connect", "listen", "read-passwd"}


class Attack:
    def __init__(self, host):
        self.place = host.directory / "attack"
        shutil.rmtree(self.place, ignore_errors=True)
        (self.place / "store/layers").mkdir(parents=True)
        (self.place / "store").chmod(0o700)
        secret = self.place / "secret"
        secret.write_text("password")
        secret.chmod(0o600)
        self.host = host

    def attempt(self, registry, role, deed, confinement):
        """"done", "could not" or "killed"."""
        (self.place / "port").write_text(registry.name.split(":")[1])
        program = self.place / f"{role}.{deed}.{confinement}"
        shutil.copy(PROGRAM, program)
        done = subprocess.run(
            [program, "pull", f"--store={self.place}/store", "--quiet", f"{registry.name}/app:1"],
            capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
            env=self.host.environment())
        program.unlink()
        expect(done.returncode != 0, f"{program.name}: {done.stdout}")
        for words, meaning in (("payload: done", "done"), ("payload: could not", "could not"),
                               ("killed by signal 31", "killed"), ("is gone", "killed")):
            if words in done.stderr:
                return meaning
        raise AssertionError(f"{program.name}: {done.stderr}")


def attack(host, role, may):
    with FakeRegistry() as registry:
        # Plain HTTP at once, so that the fetcher's first word is the payload's.
        host.settings(f'[registry."{registry.name}"]\nhttp = true\nstall-seconds = 1\n')
        registry.add(Image([{"a": b"1"}]))
        attacker = Attack(host)
        equal(attacker.attempt(registry, role, "compute", "locked"), "done", "the payload runs")
        for deed in DEEDS:
            equal(attacker.attempt(registry, role, deed, "free"), "done",
                  f"{deed} without the lock-in")
            observed = attacker.attempt(registry, role, deed, "locked")
            if deed in may:
                continue
            expect(observed in ("could not", "killed"), f"{deed} with the lock-in: {observed}")
        for deed in WITHOUT_CONTROL:
            observed = attacker.attempt(registry, role, deed, "locked")
            expect(observed in ("could not", "killed"), f"{deed} with the lock-in: {observed}")
    host.settings("")


@suite.test
def what_speaks_http_reaches_neither_files_nor_sockets_nor_processes(host):
    attack(host, "fetcher", set())


@suite.test
def what_resolves_names_reaches_neither_the_store_nor_processes(host):
    attack(host, "dialer", DIALER_MAY)


@suite.test
def an_address_of_this_host_is_not_reached_for_a_registry_on_the_internet(host):
    host.fresh()
    image = Image([{"a": b"1"}])
    with FakeRegistry("203.0.113.7") as registry, FakeRegistry("10.231.0.1") as private, \
            FakeRegistry() as loopback:
        target = registry.add(image)
        settings = f'[registry."{registry.name}"]\nhttp = true\n'
        host.settings(settings)
        victim = [None]
        registry.faults.append(lambda request: "/blobs/" in request.path and (
            request.answer(307, headers={"Location": victim[0].url + request.path}) is None))
        for victim[0] in (private, loopback):
            victim[0].add(image)
            host.settings(settings)
            host.fails("pull", target, saying=["sent us to", "private network"])
            equal(victim[0].requests, [], "requests that arrived")
            # The same is an attack that works where the user allows it.
            host.settings(settings + f'allow-hosts = ["{victim[0].name}"]\n')
            host.fresh()
            host.does("pull", target)
            expect(victim[0].requests, "with allow-hosts it arrives")
            host.fresh()
        # Of a registry on this host, its own other services are no news.
        local = loopback.add(image)
        loopback.faults.append(lambda request: "/blobs/" in request.path and (
            request.answer(307, headers={"Location": private.url + request.path}) is None))
        host.settings("")
        host.does("pull", local)
    host.settings("")


sys.exit(main(suite))
