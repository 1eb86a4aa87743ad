#!/usr/bin/env python3
"""Who we are to a registry: login, logout, tokens, helpers; and to whom credentials are not shown."""

import base64
import json
import os
import sys
import urllib.parse

from fake_registry import FakeRegistry
from images import Image
from registry_support import DockerRegistry, certificate, main
from support.harness import Skip, Suite, equal, expect

suite = Suite("credentials")
SECRET = "s3cret:with colon"


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def log_in(host, registry, password=SECRET, user="me", user_id=None, **more):
    if user_id:
        more.update(user=user_id, group=user_id, extra_groups=[])
    return host.call("login", "--username", user, "--password-stdin", registry.name,
                     input=password + "\n", **more)


class TokenServer(FakeRegistry):
    """Gives tokens to those who know the password, and to anybody for scopes in `open`."""

    def __init__(self, registry, open_scopes=()):
        super().__init__()
        self.open = set(open_scopes)
        self.tokens = {}
        self.scopes = []
        self.identity_tokens = set()
        registry.faults.append(self.guard)

    def guard(self, request):
        token = (request.headers.get("Authorization") or "").removeprefix("Bearer ")
        wanted = "pull,push" if request.command in ("POST", "PUT", "PATCH") else "pull"
        if any(wanted in scope for scope in self.tokens.get(token, ())) or (
                request.path == "/v2/" and token in self.tokens):
            return False
        repository = request.path.split("/")[2] if request.path != "/v2/" else None
        scope = f',scope="repository:{repository}:{wanted}"' if repository else ""
        request.error(401, "UNAUTHORIZED", "authentication required", {
            "WWW-Authenticate": f'Bearer realm="{self.url}/token",service="reg"{scope}'})
        return True

    def serve(self, request):
        query = urllib.parse.parse_qs(urllib.parse.urlparse(request.path).query)
        if request.command == "POST":
            form = urllib.parse.parse_qs(request.body.decode())
            known = form.get("refresh_token", [""])[0] in self.identity_tokens
            scopes = form.get("scope", [""])[0].split()
        else:
            known = request.headers.get("Authorization") == basic("me", SECRET)
            scopes = query.get("scope", [])
        self.scopes.append(scopes)
        if not known and (request.headers.get("Authorization") or not set(scopes) <= self.open):
            request.error(401, "UNAUTHORIZED", "incorrect username or password")
            return
        token = f"token-{len(self.tokens)}"
        self.tokens[token] = scopes
        request.answer(200, json.dumps({"token": token}).encode())


@suite.test
def logs_in_and_out_of_docker_registry(host):
    host.log_out()
    htpasswd = host.directory / "htpasswd"
    # "secret", as htpasswd -B -C 4 writes it.
    htpasswd.write_text("me:$2y$04$" + bcrypt_of_secret() + "\n")
    pair = certificate(host.directory, "login")
    with DockerRegistry(host.directory, f"  tls: {{certificate: {pair[0]}, key: {pair[1]}}}\n",
                        f"auth: {{htpasswd: {{realm: test, path: {htpasswd}}}}}\n") as registry:
        host.settings(f'[registry."{registry.name}"]\nca = "{pair[0]}"\n')
        host.fails("pull", f"{registry.name}/x", saying=["access denied", "bulkhead login"])
        done = log_in(host, registry, "wrong")
        equal(done.returncode, 1, "a wrong password")
        expect("refuses the user or the password" in done.stderr, done.stderr)
        expect(not (host.home / ".docker/config.json").exists(), "nothing is remembered")
        done = log_in(host, registry, "secret")
        equal((done.returncode, done.stdout), (0, "Login Succeeded\n"), done.stderr)
        expect("unencrypted" in done.stderr, done.stderr)
        file = host.home / ".docker/config.json"
        equal(file.stat().st_mode & 0o7777, 0o600, "mode")
        host.fails("pull", f"{registry.name}/x", saying="not found")
        expect("Removing login" in host.does("logout", registry.name), "logout")
        equal(host.config()["auths"], {}, "after logout")
        expect("Not logged in" in host.does("logout", registry.name), "twice")
    host.settings("")


def bcrypt_of_secret():
    import warnings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import crypt
        return crypt.crypt("secret", "$2y$04$" + "abcdefghijklmnopqrstuu").removeprefix("$2y$04$")


@suite.test
def keeps_what_others_wrote_into_the_file(host):
    host.log_out()
    (host.home / ".docker").mkdir()
    file = host.home / ".docker/config.json"
    before = '{\n  "HttpHeaders": {"X": "y"},\n  "auths": {\n    "a.example": {"auth": "YTpi"}\n  }\n}\n'
    file.write_text(before)
    with FakeRegistry() as registry:
        registry.password = f"me:{SECRET}"
        equal(log_in(host, registry).returncode, 0, "login")
        expect(host.config()["HttpHeaders"] == {"X": "y"} and "a.example" in host.config()["auths"],
               "other entries")
        host.does("logout", registry.name)
        equal(file.read_text(), before, "to the byte")


@suite.test
def warns_of_a_password_on_the_command_line(host):
    host.log_out()
    with FakeRegistry() as registry:
        registry.password = f"me:{SECRET}"
        done = host.call("login", "-u", "me", "-p", SECRET, registry.name)
        equal(done.returncode, 0, done.stderr)
        expect("can be seen by other users" in done.stderr, done.stderr)
        host.fails("login", registry.name, saying="no terminal")
        host.fails("login", "--password-stdin", registry.name, saying="needs --username")
        host.fails("login", "-u", "me", "-p", "x", "--password-stdin", registry.name,
                   saying="exclude")
        host.fails("login", "not a registry", saying="not the name")


@suite.test
def logs_in_users_without_privilege(host):
    home = host.directory / "somebody"
    home.mkdir()
    os.chown(home, 65534, 65534)
    with FakeRegistry() as registry:
        registry.password = f"me:{SECRET}"
        try:
            done = log_in(host, registry, env=host.environment(HOME=str(home)), user_id=65534)
        except PermissionError:
            raise Skip("this build is out of other users' reach") from None
        equal((done.returncode, done.stdout), (0, "Login Succeeded\n"), done.stderr)
        equal((home / ".docker/config.json").stat().st_uid, 65534, "owner")


@suite.test
def answers_basic_authentication_once_it_is_asked_for(host):
    host.log_out()
    host.fresh()
    with FakeRegistry() as registry:
        target = registry.add(Image([{"a": b"1"}]))
        registry.password = f"me:{SECRET}"
        host.fails("pull", target, saying="access denied")
        equal(log_in(host, registry).returncode, 0, "login")
        host.does("pull", target)
        host.does("push", target)


@suite.test
def gets_tokens_for_what_it_does_and_no_more(host):
    host.log_out()
    host.fresh()
    with FakeRegistry() as registry, TokenServer(registry) as tokens:
        target = registry.add(Image([{"a": b"1"}]))
        tokens.open = {"repository:app:pull"}
        host.does("pull", target)  # as anybody
        expect(all(scopes == ["repository:app:pull"] for scopes in tokens.scopes), tokens.scopes)
        expect(len(tokens.scopes) <= 2, f"a token for each request: {tokens.scopes}")
        host.fails("push", target, saying=["access denied", "bulkhead login"])
        equal(log_in(host, registry).returncode, 0, "login")
        host.does("tag", target, f"{registry.name}/new:1")
        host.does("push", f"{registry.name}/new:1")
        expect("repository:new:pull,push" in tokens.scopes[-1], tokens.scopes)
        equal(log_in(host, registry, "wrong").returncode, 1, "a wrong password")


@suite.test
def uses_identity_tokens(host):
    host.log_out()
    host.fresh()
    with FakeRegistry() as registry, TokenServer(registry) as tokens:
        target = registry.add(Image([{"a": b"1"}]))
        tokens.identity_tokens = {"identity"}
        (host.home / ".docker").mkdir()
        (host.home / ".docker/config.json").write_text(json.dumps(
            {"auths": {registry.name: {"identitytoken": "identity"}}}))
        host.does("pull", target)
        expect(tokens.asked("POST", "/token"), "the token endpoint was posted to")
    host.log_out()


@suite.test
def asks_credential_helpers(host):
    host.log_out()
    host.fresh()
    helper = host.directory / "docker-credential-testing"
    helper.write_text(
        "#!/bin/sh\nread input\necho \"$1 $input\" >>\"$HOME/calls\"\n"
        f"[ \"$1\" != get ] || echo '{{\"Username\":\"me\",\"Secret\":\"{SECRET}\"}}'\n")
    helper.chmod(0o755)
    path = f"{host.directory}:{os.environ['PATH']}"
    with FakeRegistry() as registry:
        target = registry.add(Image([{"a": b"1"}]))
        registry.password = f"me:{SECRET}"
        (host.home / ".docker").mkdir()
        config = host.home / ".docker/config.json"
        config.write_text(json.dumps({"credHelpers": {registry.name: "testing"}}))
        host.fails("pull", target, saying="docker-credential-testing")  # not on the PATH
        host.does("pull", target, env=host.environment(PATH=path))
        config.write_text('{"credsStore": "testing"}')
        equal(log_in(host, registry, env=host.environment(PATH=path)).returncode, 0, "login")
        expect(base64.b64encode(f"me:{SECRET}".encode()).decode() not in config.read_text(),
               "the password is in the file")
        host.does("logout", registry.name, env=host.environment(PATH=path))
        calls = [line.split()[0] for line in (host.home / "calls").read_text().splitlines()]
        equal([verb for verb in calls if verb != "get"], ["store", "erase"], "calls")
        config.write_text('{"credsStore": "../testing"}')
        host.fails("pull", target, saying="not the name of a credential helper")
    host.log_out()


@suite.test
def shows_credentials_to_nobody_else(host):
    host.log_out()
    host.fresh()
    with FakeRegistry() as registry, FakeRegistry() as elsewhere:
        image = Image([{"a": b"1"}])
        target = registry.add(image)
        elsewhere.add(image)
        registry.password = f"me:{SECRET}"
        equal(log_in(host, registry).returncode, 0, "login")

        def redirect(request):
            if "/blobs/" not in request.path or "Authorization" not in request.headers:
                return False
            request.answer(307, headers={"Location": elsewhere.url + request.path})
            return True

        registry.faults.append(redirect)
        host.does("pull", target)
        expect(elsewhere.requests, "the redirect was followed")
        for _, path, headers in elsewhere.requests:
            expect("Authorization" not in headers, f"credentials were shown for {path}")
        # Neither when the other server asks for them.
        host.fresh()
        elsewhere.password = f"me:{SECRET}"
        elsewhere.requests.clear()
        host.fails("pull", target, saying="access denied")
        for _, path, headers in elsewhere.requests:
            expect("Authorization" not in headers, f"credentials were shown for {path}")
    host.log_out()


sys.exit(main(suite))
