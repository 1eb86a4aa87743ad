#!/usr/bin/env python3
"""Uploads that break, and several transfers at once."""

import subprocess
import sys
import time

from fake_registry import FakeRegistry
from images import MEBIBYTE, big_image, blob_of
from registry_support import main
from support.harness import Suite, equal, expect

suite = Suite("transfers")


@suite.test
def uploads_are_taken_up_after_a_drop(host):
    host.fresh()
    image = big_image(7, size=3 * MEBIBYTE)
    with FakeRegistry() as source, FakeRegistry() as registry:
        host.does("pull", source.add(image))
        target = f"{registry.name}/app:1"
        host.does("tag", f"{source.name}/app:1", target)
        host.settings(f'[registry."{registry.name}"]\nchunk-mib = 1\n')
        drops = [1, 1]  # the client's library sends once more what a kept connection lost

        def drop(request):
            if request.command != "PATCH" or not drops or "Content-Range" not in request.headers:
                return False
            if request.headers["Content-Range"].startswith("0-"):
                return False
            drops.pop()
            request.cut()
            return True

        registry.faults.append(drop)
        host.does("push", target)
        expect(registry.asked("GET", "/uploads/"), "the registry is asked how far it came")
        expect(blob_of(image) in registry.blobs, "the layer is there")
        equal(len(registry.asked("POST", "/uploads/$")), 2, "uploads that were begun")
        # Without chunks, an upload that breaks is begun anew.
        other = big_image(8, size=MEBIBYTE)
        host.does("pull", source.add(other, tag="2"))
        host.does("tag", f"{source.name}/app:2", f"{registry.name}/app:2")
        host.settings("")
        tries = [1, 1]
        registry.faults[:] = [lambda request: request.command == "PUT" and "/uploads/" in
                              request.path and bool(tries) and (tries.pop(), request.cut(), True)[2]]
        host.does("push", f"{registry.name}/app:2")
        expect(blob_of(other) in registry.blobs, "the layer is there")


@suite.test
def several_layers_move_at_once_within_bounds(host):
    host.fresh()
    image = big_image(9, layers=6, size=MEBIBYTE)
    with FakeRegistry() as registry:
        target = registry.add(image)
        moving = [0]
        most = [0]

        def watch(request):
            if not any(request.path.endswith(layer["digest"]) for layer in image.layers):
                return False
            with registry.lock:
                moving[0] += 1
                most[0] = max(most[0], moving[0])
            time.sleep(0.5)
            registry.serve(request)
            with registry.lock:
                moving[0] -= 1
            return True

        registry.faults.append(watch)
        host.does("pull", target)
        equal(most[0], 3, "layers at once")


@suite.test
def two_pulls_of_one_image_share_the_work(host):
    host.fresh()
    image = big_image(10, layers=3, size=2 * MEBIBYTE)
    with FakeRegistry() as registry:
        target = registry.add(image)
        pulls = [subprocess.Popen(host.command("pull", target), stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, env=host.environment(), text=True)
                 for _ in range(3)]
        for pull in pulls:
            _, errors = pull.communicate(timeout=120)
            equal(pull.returncode, 0, errors)
        equal(len(host.images()), 1, "images")
        for layer in image.layers:
            equal(registry.sent[layer["digest"]], layer["size"], "bytes that were sent in all")


sys.exit(main(suite))
