#!/usr/bin/env python3
"""SIGKILL at random moments of a pull and of a push: the store stays whole, and so does the registry."""

import json
import sys

from fake_registry import FakeRegistry
from images import MEBIBYTE, Image, big_image, noise
from registry_support import main
from support.bundles import FULL
from support.harness import Suite, equal, expect
from support.kills import Kills, settled, timed

suite = Suite("kill")
ROUNDS = 500 if FULL else 8
EACH = 4  # kills of what goes on with what those before have left


def image_of(seed):
    """Layers of many files and of one large one; the first is the same in all."""
    many = {f"base/{number}": noise(3000, number) for number in range(100)}
    return Image([many, {f"own/{seed}": noise(MEBIBYTE, seed)}, {"last": str(seed).encode() * 999}])


def campaign(host, prepare, victim, look, finish):
    """All are given the number of an image. `look` must hold after each kill; `finish` does it whole
    and takes the image away."""
    times = []
    for seed in range(-3, 0):
        prepare(seed)
        times.append(timed(victim(seed), host.environment()))
        finish(seed)
    kills = Kills(min(times))
    for number in range(ROUNDS):
        seed = number // EACH
        if number % EACH == 0:
            prepare(seed)
        kills.kill(victim(seed), host.environment())
        settled(host.store)
        expect("The store is whole." in host.does("system", "check"), "system check")
        look(seed)
        if number % EACH == EACH - 1:
            finish(seed)
    print(f"{kills.hits} of {ROUNDS} kills met a living process", flush=True)
    expect(kills.hits >= ROUNDS // 4, f"only {kills.hits} of {ROUNDS} kills met a living process")
    host.does("image", "prune", "--force")
    equal(host.partial(), {}, "partial blobs")
    equal(list((host.store / "staging").iterdir()), [], "staging")


@suite.test
def a_pull_can_be_killed_at_any_moment(host):
    host.fresh()
    with FakeRegistry() as registry:
        kept = registry.add(big_image(3, size=MEBIBYTE), tag="kept")
        host.does("pull", kept)
        images = {}

        def name(seed):
            return f"{registry.name}/app:v{seed}"

        def prepare(seed):
            images[seed] = image_of(seed)
            registry.add(images[seed], tag=f"v{seed}")

        def look(seed):
            expect(kept in host.does("images", "--format", "{{.Repository}}:{{.Tag}}").split(), "lost")
            host.does("save", "-o", host.directory / "kept.tar", kept)

        def finish(seed):
            host.does("pull", name(seed))
            equal(host.file_of_layer(images[seed], f"own/{seed}"), noise(MEBIBYTE, seed), "content")
            host.does("rmi", name(seed))
            host.does("image", "prune", "--force")

        campaign(host, prepare, lambda seed: host.command("pull", name(seed)), look, finish)


@suite.test
def a_push_can_be_killed_at_any_moment(host):
    host.fresh()
    with FakeRegistry() as source, FakeRegistry() as registry:
        def name(seed):
            return f"{registry.name}/app:v{seed}"

        def prepare(seed):
            pulled = source.add(image_of(seed), tag=f"v{seed}")
            host.does("pull", pulled)
            host.does("tag", pulled, name(seed))

        def look(_):
            """No manifest is there before what it is made of."""
            for (_, version), (_, text) in list(registry.manifests.items()):
                document = json.loads(text)
                for part in (document["config"], *document["layers"]):
                    expect(part["digest"] in registry.blobs, f"{version} lacks {part['digest']}")

        def finish(seed):
            host.does("push", name(seed))
            look(seed)
            expect(("app", f"v{seed}") in registry.manifests, "it is not there")
            host.does("rmi", name(seed))
            host.does("rmi", f"{source.name}/app:v{seed}")

        campaign(host, prepare, lambda seed: host.command("push", name(seed)), look, finish)


if __name__ == "__main__":
    sys.exit(main(suite))
