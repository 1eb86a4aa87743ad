"""A registry that does what a test wants, and remembers what it was asked for."""

import base64
import http.server
import json
import re
import socket
import ssl
import threading
import urllib.parse

from images import digest


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers=None, length=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status, code="UNKNOWN", message="no", headers=None):
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self.answer(status, body, {"Content-Type": "application/json", **(headers or {})})

    def cut(self):
        """Drops the connection in the middle of whatever was said."""
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def handle_one(self):
        registry = self.server.registry
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length) if length else b""
        with registry.lock:
            registry.requests.append((self.command, self.path, dict(self.headers.items())))
        for fault in list(registry.faults):
            if fault(self):
                return
        registry.serve(self)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = handle_one

    def handle(self):
        try:
            super().handle()
        except (ConnectionError, ssl.SSLError, ValueError):
            pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        pass


class FakeRegistry:
    def __init__(self, address="127.0.0.1", certificate=None):
        self.blobs = {}
        self.manifests = {}  # (repository, tag or digest): (media type, bytes)
        self.uploads = {}
        self.requests = []
        self.faults = []
        self.sent = {}  # bytes of each blob that left
        self.password = None  # "user:password"
        self.lock = threading.Lock()
        self.server = Server((address, 0), Handler)
        self.server.registry = self
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
        self.scheme = "https" if certificate else "http"
        self.name = f"{address}:{self.server.server_address[1]}"
        self.url = f"{self.scheme}://{self.name}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def add(self, image, repository="app", tag="1"):
        for one in getattr(image, "images", []):
            self.add(one, repository, None)
        self.blobs.update(getattr(image, "blobs", {}))
        for version in filter(None, (tag, image.digest)):
            self.manifests[repository, version] = (image.media_type, image.manifest)
        return f"{self.name}/{repository}:{tag}"

    def asked(self, method, pattern):
        return [entry for entry in self.requests
                if entry[0] == method and re.search(pattern, entry[1])]

    def serve(self, request):
        if self.password:
            wanted = "Basic " + base64.b64encode(self.password.encode()).decode()
            if request.headers.get("Authorization") != wanted:
                request.error(401, "UNAUTHORIZED", "authentication required",
                              {"WWW-Authenticate": 'Basic realm="test"'})
                return
        path, _, query = request.path.partition("?")
        if path == "/v2/":
            request.answer(200, b"{}")
        elif match := re.fullmatch(r"/v2/(.+)/manifests/(.+)", path):
            self.serve_manifest(request, *match.groups())
        elif match := re.fullmatch(r"/v2/(.+)/blobs/(sha256:.+)", path):
            self.serve_blob(request, match[2])
        elif match := re.fullmatch(r"/v2/(.+)/blobs/uploads/(.*)", path):
            self.serve_upload(request, match[1], match[2], urllib.parse.parse_qs(query))
        elif match := re.fullmatch(r"/v2/(.+)/tags/list", path):
            tags = sorted(version for name, version in self.manifests
                          if name == match[1] and ":" not in version)
            request.answer(200, json.dumps({"name": match[1], "tags": tags}).encode())
        else:
            request.error(404)

    def serve_manifest(self, request, repository, version):
        if request.command == "PUT":
            kept = (request.headers["Content-Type"], request.body)
            self.manifests[repository, version] = kept
            self.manifests[repository, digest(request.body)] = kept
            request.answer(201, headers={"Docker-Content-Digest": digest(request.body)})
            return
        found = self.manifests.get((repository, version))
        if not found:
            request.error(404, "MANIFEST_UNKNOWN", "manifest unknown")
            return
        request.answer(200, found[1], {"Content-Type": found[0],
                                       "Docker-Content-Digest": digest(found[1])})

    def part_wanted(self, request):
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range") or "")
        return int(wanted[1]) if wanted else 0

    def serve_blob(self, request, name):
        blob = self.blobs.get(name)
        if blob is None:
            request.error(404, "BLOB_UNKNOWN", "blob unknown")
            return
        first = self.part_wanted(request)
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": name}
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(blob) - 1}/{len(blob)}"
        request.answer(206 if first else 200, blob[first:], headers)
        if request.command == "GET":
            self.count(name, len(blob) - first)

    def count(self, name, size):
        with self.lock:
            self.sent[name] = self.sent.get(name, 0) + size

    def serve_part(self, request, name, count):
        """Says that it sends all that was asked for, sends `count` bytes of it, and hangs up."""
        blob = self.blobs[name]
        first = self.part_wanted(request)
        headers = {}
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(blob) - 1}/{len(blob)}"
        count = min(count, len(blob) - first)
        request.answer(206 if first else 200, blob[first:first + count], headers,
                       length=len(blob) - first)
        request.wfile.flush()
        self.count(name, count)
        request.cut()

    def serve_upload(self, request, repository, session, query):
        if request.command == "POST":
            if mounted := query.get("mount"):
                if mounted[0] in self.blobs:
                    request.answer(201, headers={"Location": f"/v2/{repository}/blobs/{mounted[0]}"})
                    return
            session = str(len(self.uploads))
            self.uploads[session] = b""
            request.answer(202, headers={"Location": f"/v2/{repository}/blobs/uploads/{session}",
                                         "Range": "0-0"})
            return
        if session not in self.uploads:
            request.error(404, "BLOB_UPLOAD_UNKNOWN")
            return
        here = f"/v2/{repository}/blobs/uploads/{session}"
        if request.command == "GET":
            request.answer(204, headers={
                "Location": here, "Range": f"0-{max(0, len(self.uploads[session]) - 1)}"})
            return
        if request.command == "PATCH":
            first = int(request.headers["Content-Range"].split("-")[0])
            if first != len(self.uploads[session]):
                request.error(416)
                return
        self.uploads[session] += request.body
        if request.command == "PATCH":
            request.answer(202, headers={
                "Location": here, "Range": f"0-{len(self.uploads[session]) - 1}"})
            return
        blob = self.uploads.pop(session)
        if digest(blob) != query["digest"][0]:
            request.error(400, "DIGEST_INVALID", "digest invalid")
            return
        self.blobs[digest(blob)] = blob
        request.answer(201, headers={"Location": f"/v2/{repository}/blobs/{digest(blob)}"})
