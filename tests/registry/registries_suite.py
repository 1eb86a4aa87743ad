#!/usr/bin/env python3
"""Against Debian's docker-registry, with skopeo as the other client: what one writes the other reads."""

import sys

from images import Image, Index, noise
from fake_registry import FakeRegistry
from registry_support import (DockerRegistry, NameServer, certificate, digest_by_skopeo, main, skopeo)
from support.harness import Suite, equal, expect
from support.bundles import BUILD

suite = Suite("registries")
BUSYBOX = BUILD / "share/bulkhead/images/busybox.tar"
INSECURE = ["--tls-verify=false"]


def pushed_by_skopeo(registry, image, repository):
    """The image, of which skopeo keeps every byte."""
    target = f"{registry.name}/{repository}:1"
    with FakeRegistry() as source:
        reference = source.add(image)
        skopeo("copy", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false",
               "--preserve-digests", f"docker://{reference}", f"docker://{target}")
    return target


@suite.test
def pulls_what_skopeo_has_pushed_in_every_compression(host):
    with DockerRegistry(host.directory) as registry:
        for how in ("gzip", "zstd", "plain"):
            host.fresh()
            image = Image([{"one": noise(100_000, 1)}, {"two": b"2", "dir/three": b"3"}], how)
            target = pushed_by_skopeo(registry, image, how)
            out = host.does("pull", target)
            expect(f"Digest: {image.digest}" in out, out)
            equal(digest_by_skopeo(target, *INSECURE), image.digest, how)
            equal(host.file_of_layer(image, "one"), noise(100_000, 1), f"{how}: content")
            equal(host.file_of_layer(image, "dir/three"), b"3", f"{how}: content")
            expect({name.split(":")[1] for name in image.blobs} <= host.blobs(), "blobs are kept")


@suite.test
def says_what_docker_users_expect(host):
    host.fresh()
    with DockerRegistry(host.directory) as registry:
        image = Image([{"a": b"1"}])
        target = pushed_by_skopeo(registry, image, "words")
        short = image.layers[0]["digest"][7:19]
        out = host.does("pull", target).splitlines()
        equal(out, [f"1: Pulling from {registry.name}/words", f"{short}: Pulling fs layer",
                    f"{short}: Pull complete", f"Digest: {image.digest}",
                    f"Status: Downloaded newer image for {target}", target], "first")
        out = host.does("pull", target).splitlines()
        expect(f"Status: Image is up to date for {target}" in out, out)
        equal(host.does("pull", "--quiet", target), target + "\n", "--quiet")
        by_digest = f"{registry.name}/words@{image.digest}"
        expect(by_digest in host.does("pull", by_digest), "by digest")
        both = f"{registry.name}/words:1@{image.digest}"
        expect(both in host.does("pull", both), "by both")
        wrong = f"{registry.name}/words@sha256:{'0' * 64}"
        host.fails("pull", wrong, saying="not found")
        host.fails("pull", f"{registry.name}/words:2", saying=["not found", "manifest unknown"])
        host.fails("pull", f"{registry.name}/none", saying="not found")
        host.fails("pull", "team/UPPER", saying="upper-case letters")


@suite.test
def runs_an_image_that_is_not_here_yet(host):
    host.fresh()
    with DockerRegistry(host.directory) as registry:
        target = f"{registry.name}/team/box:1"
        skopeo("copy", "--insecure-policy", "--dest-tls-verify=false", f"oci-archive:{BUSYBOX}",
               f"docker://{target}")
        host.fails("run", "--rm", "--pull", "never", target, "true", code=125)
        done = host.call("run", "--rm", target, "echo", "up")
        equal((done.returncode, done.stdout), (0, "up\n"), done.stderr)
        expect(f"Unable to find image '{target}' locally" in done.stderr, done.stderr)
        expect("Status: Downloaded newer image" in done.stderr, done.stderr)
        done = host.call("run", "--rm", target, "echo", "up")
        equal((done.returncode, done.stdout, done.stderr), (0, "up\n", ""), "the second time")
        done = host.call("run", "--rm", "--pull", "always", target, "echo", "up")
        equal((done.returncode, done.stdout), (0, "up\n"), done.stderr)
        expect("Status: Image is up to date" in done.stderr, done.stderr)
        host.fails("run", "--rm", f"{registry.name}/team/none", "true", code=125,
                   saying=["Unable to find image", "not found"])
        host.fails("explain", "run", f"{registry.name}/team/none", code=125)


@suite.test
def pushes_what_skopeo_reads(host):
    host.fresh()
    with DockerRegistry(host.directory) as registry, DockerRegistry(host.directory) as second:
        for docker in (False, True):
            name = "docker" if docker else "oci"
            image = Image([{"one": noise(50_000, 3)}, {"two": b"2"}], docker=docker)
            host.does("pull", pushed_by_skopeo(registry, image, name))
            target = f"{second.name}/copy/{name}:2"
            host.does("tag", f"{registry.name}/{name}:1", target)
            out = host.does("push", target)
            expect(f"2: digest: {image.digest} size: {len(image.manifest)}" in out, out)
            equal(digest_by_skopeo(target, *INSECURE), image.digest, name)
            skopeo("copy", "--insecure-policy", "--src-tls-verify=false", f"docker://{target}",
                   f"dir:{host.directory / ('dir-' + name)}")
            expect("Layer already exists" in host.does("push", target), "the second time")


@suite.test
def mounts_layers_from_other_repositories(host):
    host.fresh()
    with DockerRegistry(host.directory) as registry:
        image = Image([{"one": noise(50_000, 4)}])
        host.does("pull", pushed_by_skopeo(registry, image, "first"))
        host.does("tag", f"{registry.name}/first:1", f"{registry.name}/second:1")
        out = host.does("push", f"{registry.name}/second:1")
        expect("Mounted from another repository" in out, out)
        equal(digest_by_skopeo(f"{registry.name}/second:1", *INSECURE), image.digest, "digest")


@suite.test
def pushes_large_layers_in_chunks(host):
    host.fresh()
    with DockerRegistry(host.directory) as registry, FakeRegistry() as watched:
        image = Image([{"one": noise(3_500_000, 5)}])
        host.does("pull", pushed_by_skopeo(registry, image, "large"))
        host.settings(f'[registry."{watched.name}"]\nchunk-mib = 1\n'
                      f'[registry."{registry.name}"]\nchunk-mib = 1\n')
        for target in (watched.name, registry.name):
            host.does("tag", f"{registry.name}/large:1", f"{target}/chunked:1")
        host.does("push", f"{watched.name}/chunked:1")
        equal(len(watched.asked("PATCH", "/uploads/")), 4, "chunks")
        expect(image.layers[0]["digest"] in watched.blobs, "the layer is there")
        host.does("pull", f"{registry.name}/large:1")
        host.does("push", f"{registry.name}/chunked:1")
        host.settings("")


@suite.test
def pulls_all_tags(host):
    host.fresh()
    with FakeRegistry() as registry:
        for tag in ("1", "2", "latest"):
            registry.add(Image([{"tag": tag.encode()}]), tag=tag)
        host.does("pull", "--all-tags", f"{registry.name}/app")
        equal(len(host.images()), 3, "images")
        host.fails("pull", "--all-tags", f"{registry.name}/app:1", saying="exclude")
        host.fails("pull", "--all-tags", f"{registry.name}/none", saying="no tags")


@suite.test
def chooses_the_image_for_the_platform(host):
    host.fresh()
    with FakeRegistry() as registry:
        images = {name: Image([{"platform": name.encode()}], architecture=name.split("/")[0],
                              variant=(name.split("/") + [None])[1])
                  for name in ("amd64", "arm64/v8", "arm/v6", "arm/v7")}
        for docker in (False, True):
            target = registry.add(Index(list(images.values()), docker), tag=f"index{docker}")
            host.fresh()
            host.does("pull", target)
            expect(images["amd64"].digest[7:] in host.blobs(), "this machine's")
            for wanted, found in (("linux/arm64", "arm64/v8"), ("linux/arm", "arm/v7"),
                                  ("linux/arm/v6", "arm/v6")):
                host.does("pull", "--platform", wanted, target)
                expect(images[found].digest[7:] in host.blobs(), wanted)
            host.fails("pull", "--platform", "linux/s390x", target,
                       saying=["there is no image for linux/s390x", '"linux/arm64/v8"'])
        single = registry.add(images["arm/v7"], tag="single")
        host.fails("pull", "--platform", "linux/amd64", single, saying='"linux/arm"')
        done = host.call("pull", single)
        equal(done.returncode, 0, done.stderr)
        expect("note: the image is for" in done.stderr, done.stderr)


@suite.test
def trusts_the_authority_that_the_settings_name(host):
    host.fresh()
    pair = certificate(host.directory, "tls")
    tls = f"  tls: {{certificate: {pair[0]}, key: {pair[1]}}}\n"
    with DockerRegistry(host.directory, tls) as registry:
        target = f"{registry.name}/box:1"
        skopeo("copy", "--insecure-policy", "--dest-tls-verify=false", f"oci-archive:{BUSYBOX}",
               f"docker://{target}")
        host.fails("pull", target, saying=["certificate", "registries.toml"])
        host.settings(f'[registry."{registry.name}"]\nca = "{pair[0]}"\n')
        host.does("pull", target)
        host.fresh()
        host.settings(f'[registry."{registry.name}"]\nskip-verify = true\n')
        host.does("pull", target)
        # A certificate that is good, but somebody else's.
        other = certificate(host.directory, "other", names="DNS:other.example")
    tls = f"  tls: {{certificate: {other[0]}, key: {other[1]}}}\n"
    with DockerRegistry(host.directory, tls) as registry:
        host.settings(f'[registry."{registry.name}"]\nca = "{other[0]}"\n')
        host.fails("pull", f"{registry.name}/box:1", saying="certificate")
    host.settings("")


@suite.test
def shows_the_certificate_of_the_client(host):
    host.fresh()
    authority = certificate(host.directory, "authority", subject="authority")
    server = certificate(host.directory, "server", authority=authority)
    client = certificate(host.directory, "client", subject="client", authority=authority)
    tls = (f"  tls: {{certificate: {server[0]}, key: {server[1]}, "
           f"clientcas: [{authority[0]}]}}\n")
    with DockerRegistry(host.directory, tls) as registry:
        target = f"{registry.name}/box:1"
        settings = f'[registry."{registry.name}"]\nca = "{authority[0]}"\n'
        host.settings(settings)
        host.fails("pull", target, saying="certificate")
        host.settings(settings + f'client-cert = "{client[0]}"\nclient-key = "{client[1]}"\n')
        host.fails("pull", target, saying="not found")
        host.settings(settings + f'client-cert = "{client[0]}"\nclient-key = "/nonexistent.key"\n')
        host.fails("pull", target, saying="/nonexistent.key")
    host.settings("")


@suite.test
def speaks_plain_http_to_loopback_or_when_asked(host):
    host.fresh()
    with FakeRegistry("203.0.113.7") as registry:
        target = registry.add(Image([{"a": b"1"}]))
        host.fails("pull", target, saying=["registries.toml", "http = true"])
        equal(registry.requests, [], "requests in the clear")
        host.settings(f'[registry."{registry.name}"]\nhttp = true\n')
        host.does("pull", target)
    with FakeRegistry() as registry:
        target = registry.add(Image([{"a": b"1"}]))
        host.settings(f'[registry."{registry.name}"]\nhttp = false\n')
        host.fails("pull", target)
        host.settings("")
        host.does("pull", target)


@suite.test
def resolves_names_and_checks_certificates_by_them(host):
    pair = certificate(host.directory, "named", names="DNS:registry.test")
    image = Image([{"a": b"1"}])
    names = {"registry.test": "203.0.113.7", "other.test": "203.0.113.7", "inside.test": "127.0.0.1"}
    with NameServer(names) as resolver, FakeRegistry("203.0.113.7", pair) as registry, \
            FakeRegistry("127.0.0.1", pair) as inside:
        port = registry.name.split(":")[1]
        registry.add(image)
        inside.add(image)
        host.settings("".join(f'[registry."{name}:{port}"]\nca = "{pair[0]}"\n'
                              for name in ("registry.test", "other.test")))
        host.fresh()
        host.does("pull", f"registry.test:{port}/app:1")
        expect("registry.test" in resolver.asked, "the name was looked up")
        host.fails("pull", f"other.test:{port}/app:1", saying="certificate")
        said = host.fails("pull", f"none.test:{port}/app:1",
                          saying=['looking up "none.test"', "resolv.conf"])
        expect("Retrying" not in said, f"nobody knows it, and is asked again: {said}")
        # A name of the internet that leads inside is no way in either.
        location = f"https://inside.test:{inside.name.split(':')[1]}"
        registry.faults.append(lambda request: "/blobs/" in request.path and (
            request.answer(307, headers={"Location": location + request.path}) is None))
        host.fresh()
        host.fails("pull", f"registry.test:{port}/app:1", saying=["sent us to", "inside.test"])
        equal(inside.requests, [], "requests that arrived")
    host.settings("")


@suite.test
def goes_through_the_proxy_that_the_environment_names(host):
    image = Image([{"a": b"1"}])
    with FakeRegistry("203.0.113.7") as registry, FakeRegistry() as proxy:
        target = registry.add(image)
        proxy.add(image)
        host.settings(f'[registry."{registry.name}"]\nhttp = true\n')

        def forward(request):
            request.path = request.path.removeprefix(registry.url)
            return False

        proxy.faults.append(forward)
        for variables, through in (({}, False), ({"no_proxy": "203.0.113.7"}, False), (None, True)):
            host.fresh()
            proxy.requests.clear()
            registry.requests.clear()
            environment = {} if variables == {} else {
                "http_proxy": f"http://me:secret@{proxy.name}", **(variables or {})}
            host.does("pull", target, env=host.environment(**environment))
            equal((bool(proxy.requests), bool(registry.requests)), (through, not through),
                  f"{environment}: who was asked")
        expect(all(path.startswith(registry.url) for _, path, _ in proxy.requests), "whole URLs")
        expect(proxy.requests[0][2].get("Proxy-Authorization"), "credentials for the proxy")
    host.settings("")


@suite.test
def finds_images_in_mirrors_first(host):
    image = Image([{"a": noise(1000, 6)}])
    with FakeRegistry() as origin, FakeRegistry() as mirror, FakeRegistry() as empty:
        target = origin.add(image)
        mirror.add(image)
        host.settings(f'[registry."{origin.name}"]\n'
                      f'mirrors = ["127.0.0.1:9", "{empty.name}", "{mirror.name}"]\n')
        host.fresh()
        host.does("pull", target)
        equal(origin.requests, [], "requests to the registry itself")
        expect(empty.asked("GET", "/manifests/"), "the first mirror was asked")
        # A mirror that has the manifest, but not the blobs.
        mirror.blobs.clear()
        host.fresh()
        host.does("pull", target)
        expect(origin.asked("GET", "/blobs/"), "blobs of the registry itself")
        # A push goes to no mirror.
        host.does("push", target)
        expect(not mirror.asked("PUT", "") and origin.asked("PUT", "/manifests/"), "push")
    host.settings("")


@suite.test
def resolves_short_names_by_the_settings(host):
    image = Image([{"a": b"1"}])
    with FakeRegistry() as one, FakeRegistry() as two:
        one.add(image, "only-one")
        for registry in (one, two):
            registry.add(image, "both")
        host.settings(f'search = ["{one.name}", "{two.name}"]\n[aliases]\n'
                      f'nick = "{two.name}/both"\n')
        host.fresh()
        expect(f"{two.name}/both:1" in host.does("pull", "nick:1"), "alias")
        expect(f"{one.name}/only-one:1" in host.does("pull", "only-one:1"), "in one")
        host.fails("pull", "both:1", saying=["ambiguous", f"{one.name}/both:1",
                                             f"{two.name}/both:1"])
        host.fails("pull", "neither:1", saying=["none of", f"{one.name}/neither:1"])
        # Whoever cuts us off from one registry does not decide for the other.
        one.faults.append(lambda request: request.error(403) is None)
        two.faults.append(lambda request: (request.cut(), True)[1])
        host.fails("pull", "only-one:1", saying="looking for")
    host.settings("")


@suite.test
def tells_which_images_are_outdated(host):
    host.fresh()
    with FakeRegistry() as registry:
        for tag in ("same", "changed", "gone"):
            host.does("pull", registry.add(Image([{"tag": tag.encode()}]), tag=tag))
        host.does("tag", f"{registry.name}/app:same", "local/only:1")
        equal(host.call("image", "outdated").returncode, 0, "all current")
        registry.add(Image([{"tag": b"new"}]), tag="changed")
        del registry.manifests["app", "gone"]
        done = host.call("image", "outdated")
        equal(done.returncode, 10, done.stderr)
        states = {line.split()[0].rpartition("/")[2]: line.split()[1]
                  for line in done.stdout.splitlines()[1:]}
        equal(states, {"app:same": "current", "app:changed": "outdated", "app:gone": "gone",
                       "only:1": "local"}, "states")
        host.does("image", "outdated", f"{registry.name}/app:same")
        host.fails("image", "outdated", "no/such:1", saying="no image")
        host.does("pull", f"{registry.name}/app:changed")
        done = host.call("image", "outdated", f"{registry.name}/app:changed")
        equal(done.returncode, 0, "after a pull")
    equal(host.call("image", "outdated", f"{registry.name}/app:same").returncode, 1, "unreachable")


sys.exit(main(suite))
