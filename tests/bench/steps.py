#!/usr/bin/env python3
"""One step of a session over HTTP and over a WebSocket: tests/bench/steps.py [--live 1,100,10000] [--steps 2000]

Of so many sessions that live at one time, one chosen at random takes its next step, and the next one when it has
answered. Over HTTP all steps travel on one connection that is kept; over WebSockets each session has its own. The
step is one row of tests/http/bundles/tiny-gestures, so that what is measured is the way to the network and back.
Prints CSV: milliseconds as this client sees them, which is Python and needs some of them itself. Needs
build/carousel, room for as many open files, and Python's standard library only.
"""
import argparse
import json
import os
import random
import resource
import socket
import struct
import subprocess
import sys
import time

ROW = [1, 0, -2]


class Server:
    def __init__(self, program, live):
        settings = [f"limits.connections={live + 100}", f"stream.sockets={live}", f"sessions.entries={3 * live + 10}",
                    "stream.idle_s=86400", "stream.ping_s=3600", "timeouts.idle_s=3600", "log.access=false"]
        command = [program, "serve", "--models", "tests/http/bundles", "--port", "0"]
        for setting in settings:
            command += ["--set", setting]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])

    def stop(self):
        self.process.terminate()
        return self.process.wait(120)


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def fill(self, n):
        while len(self.buffer) < n:
            part = self.socket.recv(65536)
            if not part:
                sys.exit("the server closed a connection")
            self.buffer += part

    def take(self, n):
        self.fill(n)
        part, self.buffer = self.buffer[:n], self.buffer[n:]
        return part

    def head(self):
        while b"\r\n\r\n" not in self.buffer:
            self.fill(len(self.buffer) + 1)
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        return head

    def post(self, path, body):
        text = json.dumps(body).encode()
        self.socket.sendall(b"POST %s HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n%s" % (path.encode(), len(text), text))
        head = self.head().lower()
        return self.take(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))


class WebSocket(Connection):
    def __init__(self, port):
        super().__init__(port)
        self.socket.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        head = self.head()
        if b" 101 " not in head:
            sys.exit(head.decode())

    def ask(self, opcode, payload):
        n = len(payload)
        length = bytes([0x80 | n]) if n < 126 else b"\xfe" + n.to_bytes(2, "big")
        self.socket.sendall(bytes([0x80 | opcode]) + length + bytes(4) + payload)  # a mask of zeros changes nothing
        first, n = self.take(2)
        if n > 125:
            n = int.from_bytes(self.take(2 if n == 126 else 8), "big")
        if first != 0x81:
            sys.exit(f"a frame begins with {first:02x}")
        return self.take(n)


def measure(step, live, steps):
    """Milliseconds of each step, sorted; a tenth before them is not counted."""
    random.seed(1)
    times = []
    for i in range(steps + steps // 10):
        chosen = random.randrange(live)
        began = time.perf_counter()
        answer = step(chosen)
        if i >= steps // 10:
            times.append((time.perf_counter() - began) * 1e3)
        if b'"step":' not in answer:
            sys.exit(answer.decode())
    return sorted(times)


def over_http(server, live, steps):
    connection = Connection(server.port)
    for i in range(live):
        connection.post("/v1/sessions", {"model": "tiny-gestures", "id": f"s-{i}"})
    return measure(lambda i: connection.post("/v1/classify", {"session": f"s-{i}", "input": [ROW]}), live, steps)


def over_websocket(server, live, steps):
    sockets = [WebSocket(server.port) for _ in range(live)]
    for one in sockets:
        one.ask(1, b'{"model":"tiny-gestures"}')
    row = struct.pack("<3f", *ROW)
    return measure(lambda i: sockets[i].ask(2, row), live, steps)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--live", default="1,100,10000")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--program", default=os.environ.get("CAROUSEL_PROGRAM", "build/carousel"))
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print("way,live_sessions,p50_ms,p99_ms,steps_per_s")
    for live in map(int, options.live.split(",")):
        for name, way in (("http", over_http), ("websocket", over_websocket)):
            server = Server(options.program, live)
            times = way(server, live, options.steps)
            print(f"{name},{live},{times[len(times) // 2]:.3f},{times[len(times) * 99 // 100]:.3f},"
                  f"{1000 * len(times) / sum(times):.0f}", flush=True)
            server.stop()


main()
