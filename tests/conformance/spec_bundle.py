"""bundle.md, glossary.md and runtime-linux.md: bundles, JSON, descriptors, symbolic links."""

import json
import os

from conform import conforms, equal, expect


@conforms("bundle")
def the_configuration_is_config_json_in_the_root_of_the_bundle(bench):
    bundle = bench.bundle(bench.config("echo right"))
    (bundle / "nested").mkdir()
    (bundle / "nested" / "config.json").write_text(json.dumps(bench.config("echo wrong")),
                                                   encoding="utf-8")
    equal(bench.run_bundle(bundle).out, "right\n", "output")


@conforms("bundle")
def a_bundle_without_config_json_is_refused(bench):
    bundle = bench.bundle(bench.config())
    (bundle / "config.json").rename(bundle / "configuration.json")
    bench.refuses(bundle=bundle)


@conforms("bundle")
def a_config_json_that_is_no_file_is_refused(bench):
    for make in (os.mkdir, os.mkfifo):
        bundle = bench.bundle(bench.config())
        (bundle / "config.json").unlink()
        make(bundle / "config.json")
        bench.refuses(bundle=bundle)


@conforms("bundle")
def the_root_is_looked_for_in_the_bundle(bench):
    bundle = bench.bundle(bench.config("echo here", {"root": {"path": "files"}}))
    os.rename(bench.own_root(), bundle / "files")
    done = bench.run_bundle(bundle, cwd="/")
    equal((done.code, done.out), (0, "here\n"), f"a relative root ({done.err.strip()})")


def text_of(bench, changes=None):
    return json.dumps(bench.config(changes={"root": {"path": str(bench.rootfs)}, **(changes or {})}))


@conforms("glossary/json")
def configuration_that_is_not_utf_8_is_refused(bench):
    text = text_of(bench, {"annotations": {"mark": "@@"}})
    bench.refuses(bundle=bench.raw_bundle(text.encode().replace(b"@@", b"\xff\xfe")))


@conforms("glossary/json")
def configuration_with_a_name_twice_in_an_object_is_refused(bench):
    text = text_of(bench)
    twice = text.replace('"hostname": "container"', '"hostname": "one", "hostname": "other"')
    expect(twice != text, "the configuration has no hostname")
    bench.refuses(bundle=bench.raw_bundle(twice))


@conforms("runtime-linux/descriptors")
def only_the_standard_streams_are_open(bench):
    extra = os.open("/etc/hostname", os.O_RDONLY)
    try:
        # `ls` has the directory itself open as well.
        out = bench.output("ls /proc/self/fd | sort -n | tr '\\n' ' '", pass_fds=(extra,))
    finally:
        os.close(extra)
    equal(out.split()[:3], ["0", "1", "2"], "standard streams")
    expect(len(out.split()) <= 4, f"open: {out}")


for _link, _target in (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"),
                       ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2")):
    @conforms("runtime-linux/dev-symlinks", f"/dev/{_link} leads to {_target}")
    def _(bench, link=_link, target=_target):
        equal(bench.output(f"readlink /dev/{link}").strip(), target, f"/dev/{link}")
