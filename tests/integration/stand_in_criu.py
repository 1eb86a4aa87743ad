#!/usr/bin/env python3
"""Stands in for CRIU where the real one cannot run: answers over its service's socket as STAND_IN
says, and writes what it was asked and what it found around itself to the file STAND_IN_RECORD."""

import array
import json
import os
import signal
import socket
import subprocess
import sys

DUMP, RESTORE, PRE_DUMP, NOTIFY, FEATURES, VERSION = 1, 2, 4, 6, 9, 10
MODE = os.environ.get("STAND_IN", "")


def fields(data):
    """A message of protocol buffers: a list of (number, value)."""
    at = 0
    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    found = []
    while at < len(data):
        tag = varint()
        value = varint()
        if tag & 7 == 2:
            value, at = data[at:at + value], at + value
        found.append((tag >> 3, value))
    return found


def message(*pairs):
    def varint(value):
        out = b""
        while value > 127:
            out, value = out + bytes([value & 127 | 128]), value >> 7
        return out + bytes([value])
    out = b""
    for number, value in pairs:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            value = value if isinstance(value, bytes) else value.encode()
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


class Service:
    def __init__(self, descriptor):
        self.socket = socket.socket(fileno=int(descriptor))
        self.record = {}

    def answer(self, call, success, *more):
        self.socket.send(message((1, call), (2, int(success)), *more))

    def notify(self, stage, pid):
        """Whether the other side lets us go on."""
        self.answer(NOTIFY, True, (5, message((1, stage), (2, pid))))
        return dict(fields(self.socket.recv(65536))).get(3) == 1

    def remember(self, call, options):
        peer = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        peer = array.array("i", peer)[0]
        texts = {}
        for number, value in options:
            if isinstance(value, bytes):
                value = value.decode(errors="replace")
            texts.setdefault(str(number), []).append(value)
        status = open("/proc/self/status", encoding="utf-8").read()
        log = f"/proc/{peer}/fd/{dict(options)[17]}/{texts['10'][0]}"
        with open(log, "w", encoding="utf-8") as stream:
            stream.write("(00.1) began\n(00.2) Error (criu/stand-in.c:7): no more \033[1mpower\n")
        self.record = {
            "call": call, "options": texts, "images": os.readlink(f"/proc/{peer}/fd/{dict(options)[1]}"),
            "NoNewPrivs": status.split("NoNewPrivs:")[1].split()[0],
            "mounts": os.readlink("/proc/self/ns/mnt"),
            "mountinfo": open("/proc/self/mountinfo", encoding="utf-8").read(),
            "inherited": [os.path.exists(f"/proc/self/fd/{dict(fields(value))[2]}")
                          for number, value in options if number == 27]}
        with open(os.environ["STAND_IN_RECORD"], "w", encoding="utf-8") as stream:
            json.dump(self.record, stream)

    def dump(self, call, options):
        options = dict(options)
        if MODE == "dies":
            freezer = options[44].decode()
            name, value = (("cgroup.freeze", "1") if os.path.exists(f"{freezer}/cgroup.freeze")
                           else ("freezer.state", "FROZEN"))
            with open(f"{freezer}/{name}", "w", encoding="utf-8") as stream:
                stream.write(value)
            os._exit(1)
        if MODE == "fails" or not self.notify("network-lock", 0):
            return self.answer(call, False, (7, 16), (9, "out of power"))
        if not options.get(3):
            os.kill(options[2], signal.SIGKILL)
        return self.answer(call, True)

    def restore(self):
        with subprocess.Popen(["sleep", "1000"]) as process:
            went_on = [self.notify(stage, process.pid)
                       for stage in ("setup-namespaces", "post-restore", "pre-resume")]
            process.kill()
        self.answer(RESTORE, MODE != "fails" and all(went_on), (4, message((1, process.pid))))

    def serve(self):
        while data := self.socket.recv(65536):
            request = fields(data)
            call = dict(request)[1]
            options = fields(dict(request).get(2, b""))
            if options:
                self.remember(call, options)
            if call == VERSION:
                minor = 11 if MODE == "old" else 17
                self.answer(call, True, (10, message((1, 3), (2, minor))))
            elif call == FEATURES:
                self.answer(call, True, (8, message((1, int(MODE != "no tracking")))))
            elif call in (DUMP, PRE_DUMP):
                self.dump(call, options)
            elif call == RESTORE:
                self.restore()


if __name__ == "__main__":
    if sys.argv[1] == "swrk":
        Service(sys.argv[2]).serve()
