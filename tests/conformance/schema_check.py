#!/usr/bin/env python3
"""Checks documents against the JSON schemas of the runtime-spec.

The golden files are what the encoders write (a unit test compares them); with BULKHEAD_RUNTIME set,
what the runtime itself prints is checked as well. One line per document: ok, FAIL or SKIP.
"""

import json
import os
import pathlib
import subprocess
import sys
import warnings

DATA = pathlib.Path(__file__).resolve().parent.parent / "data" / "runtime-spec"
SCHEMAS = DATA / "schema"
GOLDEN = {
    "everything.json": "config",
    "default.json": "config",
    "rootless.json": "config",
    "state.json": "state",
    "features.json": "features",
}
PRINTED = {
    ("features",): "features",
}


def complaints(schema, document):
    """What the schema `schema`-schema.json says against the document."""
    import jsonschema  # pylint: disable=import-outside-toplevel

    text = (SCHEMAS / f"{schema}-schema.json").read_text(encoding="utf-8")
    rules = json.loads(text)
    with warnings.catch_warnings():
        # Newer versions prefer another interface, which Debian's version does not have.
        warnings.simplefilter("ignore", DeprecationWarning)
        resolver = jsonschema.RefResolver(f"{SCHEMAS.as_uri()}/", rules)
        validator = jsonschema.Draft4Validator(rules, resolver=resolver)
        return [f"{'/'.join(map(str, error.path))}: {error.message}"
                for error in validator.iter_errors(document)]


def report(name, schema, text):
    try:
        found = complaints(schema, json.loads(text))
    except ValueError as error:
        found = [f"is not JSON: {error}"]
    print(f"ok {name}" if not found else f"FAIL {name} — {'; '.join(found[:3])}")
    return not found


def printed_by_runtime(runtime):
    for arguments, schema in PRINTED.items():
        yield f"schema: {' '.join(arguments)}", schema, subprocess.run(
            [runtime, *arguments], capture_output=True, text=True, check=False).stdout


def main():
    try:
        import jsonschema  # noqa: F401  pylint: disable=import-outside-toplevel,unused-import
    except ImportError:
        print("SKIP schema — python3-jsonschema is not installed")
        return 0
    good = True
    for name, schema in GOLDEN.items():
        good &= report(f"schema: golden {name}", schema,
                       (DATA / "golden" / name).read_text(encoding="utf-8"))
    # The check itself must notice something.
    for path in sorted((SCHEMAS / "test" / "config" / "bad").glob("linux-*.json")):
        noticed = complaints("config", json.loads(path.read_text(encoding="utf-8")))
        print(f"ok schema: notices {path.name}" if noticed else
              f"FAIL schema: notices {path.name} — the bad example passes")
        good &= bool(noticed)
    if runtime := os.environ.get("BULKHEAD_RUNTIME"):
        for name, schema, text in printed_by_runtime(runtime):
            good &= report(name, schema, text)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
