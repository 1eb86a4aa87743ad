#!/usr/bin/env python3
"""Registries that stall, break, lie or attack: a pull ends with the image whole or with nothing that
could be taken for one, and does not fetch twice what it has."""

import json
import os
import random
import signal
import subprocess
import sys
import time

from fake_registry import FakeRegistry
from images import MEBIBYTE, Image, big_image, blob_of, noise
from registry_support import main
from support.harness import Suite, equal, expect

suite = Suite("faults")


def blobs_only(fault):
    """The fault, for requests of layers."""
    return lambda request: request.command == "GET" and "/blobs/" in request.path and fault(request)


@suite.test
def drops_in_the_middle_are_taken_up_where_they_were(host):
    host.fresh()
    image = big_image()
    name = blob_of(image)
    chance = random.Random(7)
    with FakeRegistry() as registry:
        target = registry.add(image)
        cuts = [chance.randrange(1, 4 * MEBIBYTE) for _ in range(4)]

        def cut(request):
            if not request.path.endswith(name) or not cuts:
                return False
            registry.serve_part(request, name, cuts.pop())
            return True

        registry.faults.append(blobs_only(cut))
        done = host.call("pull", target)
        equal(done.returncode, 0, done.stderr)
        expect("Retrying in" in done.stdout, done.stdout)
        equal(host.file_of_layer(image, "file0"), noise(12 * MEBIBYTE, 100), "content")
        equal(registry.sent[name], len(image.blobs[name]), "bytes that were sent in all")
        parts = [headers.get("Range") for _, path, headers in registry.requests
                 if path.endswith(name)]
        equal(len(parts), 5, "requests")
        expect(parts[0] is None and all(part for part in parts[1:]), parts)


@suite.test
def a_killed_pull_leaves_what_the_next_one_uses(host):
    host.fresh()
    image = big_image(2)
    name = blob_of(image)
    with FakeRegistry() as registry:
        target = registry.add(image)
        half = len(image.blobs[name]) // 2

        def hang(request):
            if not request.path.endswith(name) or "Range" in request.headers:
                return False
            request.answer(200, image.blobs[name][:half], length=len(image.blobs[name]))
            request.wfile.flush()
            registry.count(name, half)
            time.sleep(300)
            return True

        registry.faults.append(blobs_only(hang))
        pull = subprocess.Popen(host.command("pull", target), stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, env=host.environment(),
                                start_new_session=True)
        deadline = time.monotonic() + 100
        while sum(host.partial().values() if host.store.exists() else [0]) < half:
            expect(time.monotonic() < deadline, f"partial blobs: {host.partial()}")
            time.sleep(0.05)
        os.kill(pull.pid, signal.SIGKILL)
        pull.wait(30)
        # Those that it had started follow it.
        deadline = time.monotonic() + 30
        while workers_of(pull.pid):
            expect(time.monotonic() < deadline, f"processes that stay: {workers_of(pull.pid)}")
            time.sleep(0.05)
        equal(host.images(), [], "images")
        host.does("pull", target)
        equal(registry.sent[name], len(image.blobs[name]), "bytes that were sent in all")
        equal(host.file_of_layer(image, "file0"), noise(12 * MEBIBYTE, 200), "content")
        equal(host.partial(), {}, "partial blobs")


def workers_of(session):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = open(f"/proc/{entry}/stat").read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(entry))
    return found


@suite.test
def what_an_earlier_pull_left_is_not_believed(host):
    host.fresh()
    image = big_image(3, size=MEBIBYTE)
    name = blob_of(image)
    with FakeRegistry() as registry:
        target = registry.add(image)
        for left in (b"x" * 1000, b"x" * len(image.blobs[name]), b"x" * (2 * MEBIBYTE)):
            host.fresh()
            partial = host.store / "blobs/partial"
            partial.mkdir(parents=True)
            host.store.chmod(0o700)
            (partial / name[7:]).write_bytes(left)
            host.does("pull", target)
            equal(host.file_of_layer(image, "file0"), noise(MEBIBYTE, 300), "content")


@suite.test
def a_registry_without_ranges_is_read_from_the_beginning(host):
    host.fresh()
    image = big_image(4, size=MEBIBYTE)
    name = blob_of(image)
    with FakeRegistry() as registry:
        target = registry.add(image)
        cuts = [300_000]

        def whole_only(request):
            if not request.path.endswith(name):
                return False
            if cuts:
                registry.serve_part(request, name, cuts.pop())
            else:
                request.answer(200, image.blobs[name])
            return True

        registry.faults.append(blobs_only(whole_only))
        host.does("pull", target)
        equal(host.file_of_layer(image, "file0"), noise(MEBIBYTE, 400), "content")


@suite.test
def lies_about_a_blob_are_found_out(host):
    image = Image([{"file": noise(200_000, 5)}], "plain")
    name = blob_of(image)
    blob = image.blobs[name]
    lies = {
        "does not have that digest": lambda request: request.answer(200, bytes(len(blob))),
        "bytes of it, the manifest says": lambda request: request.answer(200, blob[:-1]),
        "more than it should": lambda request: request.answer(200, blob + b"x"),
    }
    for words, lie in lies.items():
        host.fresh()
        with FakeRegistry() as registry:
            target = registry.add(image)
            registry.faults.append(blobs_only(
                lambda request, lie=lie: request.path.endswith(name) and lie(request) is None))
            host.fails("pull", target, saying=words)
            host.holds_nothing()
            # The truth helps, whatever was left of the lie.
            registry.faults.clear()
            host.does("pull", target)


@suite.test
def lies_about_documents_are_found_out(host):
    image = Image([{"file": b"1"}])
    other = Image([{"file": b"2"}])
    with FakeRegistry() as registry:
        registry.add(image)
        registry.manifests["app", image.digest] = (other.media_type, other.manifest)
        host.fresh()
        host.fails("pull", f"{registry.name}/app@{image.digest}", saying="another document")
        host.holds_nothing()
        registry.add(image)
        config = image.document["config"]["digest"]
        registry.blobs[config] = b"{}"
        host.fails("pull", f"{registry.name}/app:1", saying="does not have that digest")
        host.holds_nothing()


def document_fault(body, media_type):
    def fault(request):
        if request.command != "GET" or "/manifests/" not in request.path:
            return False
        request.answer(200, body, {"Content-Type": media_type})
        return True
    return fault


@suite.test
def documents_that_are_bombs_or_nonsense_are_refused(host):
    image = Image([{"file": b"1"}])
    config = image.document["config"]
    many = {**image.document, "layers": image.layers * 600}
    bombs = {
        "nested deeper": b"[" * 100_000,
        "sends more than it should": b'{"x":"' + b"a" * (8 * MEBIBYTE) + b'"}',
        "schema 1": b'{"schemaVersion":1,"name":"x","fsLayers":[]}',
        "is required": b'{"schemaVersion":2,"x":1}',
        "artifact": json.dumps({**image.document, "config": {
            **config, "mediaType": "application/vnd.example"}}).encode(),
        "layers": json.dumps(many).encode(),
        "both": json.dumps({**image.document, "manifests": []}).encode(),
        "unknown type": json.dumps({**image.document, "layers": [
            {**image.layers[0], "mediaType": "application/x-evil"}]}).encode(),
        "digest": json.dumps({**image.document, "layers": [
            {**image.layers[0], "digest": "sha256:../../../etc/passwd"}]}).encode(),
        "twice": b'{"schemaVersion":2,"schemaVersion":2}',
    }
    for words, body in bombs.items():
        host.fresh()
        with FakeRegistry() as registry:
            target = registry.add(image)
            registry.faults.append(document_fault(body, image.media_type))
            host.fails("pull", target, saying=words if words not in ("both",) else ())
            host.holds_nothing()


@suite.test
def endless_answers_end(host):
    host.fresh()
    image = Image([{"file": b"1"}])
    with FakeRegistry() as registry:
        target = registry.add(image)

        def endless(request):
            if "/manifests/" not in request.path:
                return False
            request.send_response(200)
            request.send_header("Transfer-Encoding", "chunked")
            request.end_headers()
            while True:
                request.wfile.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")

        registry.faults.append(endless)
        host.fails("pull", target, saying="more than it should")

        def headers(request):
            request.send_response(200)
            while True:
                request.send_header("X-Filler", "a" * 1000)
                request.flush_headers()

        registry.faults[:] = [headers]
        host.fails("pull", target)
    host.holds_nothing()


@suite.test
def redirects_are_bounded_and_lead_to_http_servers_only(host):
    host.fresh()
    image = Image([{"file": b"1"}])
    with FakeRegistry() as registry:
        target = registry.add(image)
        for location, words in (("", None), ("LOOP", "redirects more than"),
                                ("file:///etc/passwd", "neither http nor https"),
                                ("gopher://127.0.0.1/", "neither http nor https"),
                                ("http://user:pw@127.0.0.1/", "user name or a password"),
                                ("http://127.0.0.1/\x7f", "malformed")):
            if words is None:
                continue
            registry.faults[:] = [lambda request, location=location: (
                "/manifests/" in request.path and request.answer(
                    302, headers={"Location": request.path if location == "LOOP" else location})
                is None)]
            host.fails("pull", target, saying=words)
        expect(len(registry.asked("GET", "/manifests/")) < 100, "requests")


@suite.test
def passing_troubles_are_waited_for(host):
    image = Image([{"file": b"1"}])
    for status in (429, 500, 502, 503, 504):
        host.fresh()
        with FakeRegistry() as registry:
            target = registry.add(image)
            left = {"manifests": 2, "blobs": 2}

            def fault(request, left=left, status=status):
                kind = request.path.split("/")[3] if request.path.count("/") > 3 else ""
                if not left.get(kind):
                    return False
                left[kind] -= 1
                request.error(status, headers={"Retry-After": "1"} if status == 429 else {})
                return True

            registry.faults.append(fault)
            begun = time.monotonic()
            done = host.call("pull", target)
            equal(done.returncode, 0, f"{status}: {done.stderr}")
            expect("Retrying in" in done.stderr, done.stderr)
            if status == 429:
                expect(time.monotonic() - begun >= 3, "Retry-After is honoured")


@suite.test
def lasting_troubles_end_in_an_error(host):
    host.fresh()
    image = Image([{"file": b"1"}])
    with FakeRegistry() as registry:
        target = registry.add(image)
        for status, words in ((401, "access denied"), (403, "access denied"), (404, "not found"),
                              (400, "status 400")):
            registry.requests.clear()
            registry.faults[:] = [lambda request, status=status: request.error(
                status, message="\x1b[31mred") is None]
            host.fails("pull", target, saying=words)
            expect(len(registry.requests) <= 3, f"{status} is tried again: {registry.requests}")
        registry.requests.clear()
        registry.faults[:] = [lambda request: request.error(503) is None]
        host.fails("pull", target, saying="status 503")
        expect(3 <= len(registry.requests) <= 8, f"attempts: {len(registry.requests)}")
    host.holds_nothing()


@suite.test
def stalls_are_noticed(host):
    host.fresh()
    image = big_image(6, size=MEBIBYTE)
    name = blob_of(image)
    with FakeRegistry() as registry:
        target = registry.add(image)
        host.settings(f'[registry."{registry.name}"]\nstall-seconds = 2\n')
        stalls = [1]

        def stall(request):
            if not request.path.endswith(name) or not stalls:
                return False
            stalls.pop()
            request.answer(200, image.blobs[name][:100_000], length=len(image.blobs[name]))
            request.wfile.flush()
            time.sleep(120)
            return True

        registry.faults.append(blobs_only(stall))
        done = host.call("pull", target)
        equal(done.returncode, 0, done.stderr)
        equal(host.file_of_layer(image, "file0"), noise(MEBIBYTE, 600), "content")
    host.settings("")


sys.exit(main(suite))
