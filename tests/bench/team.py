#!/usr/bin/env python3
"""What a second worker gains, and that it never costs: tests/bench/team.py [OPTION]... [CONDITION]...

Starts two servers, one with scheduler.workers=1 and one with 2, and asks them in turn, A B A B, for
completions of shakespeare, one stream at a time, in each condition: idle, pauses between the requests,
streamed, the first request after a start, busy processes beside the server, a quota of one processor, 64
other connections. Without CONDITION: all of them. Prints a row for each condition and precision: median,
p90 and p99 of both in milliseconds, and the ratios two / one of median and p99. A row ends with "slower" if
the median is more than 5 % or the p99 more than 20 % above that of one worker.

Other load on the machine disturbs the pair together, because the two alternate every few requests. Yet p99
of a few hundred requests is noise of the machine in part: --rounds asks for more. A quota needs a writable
cgroup; without one both servers are bound to one processor instead. Needs build/carousel, and Python's
standard library only.
"""
import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time

WORKERS = (1, 2)
SPIN = "while True: pass"
WARM_REQUESTS = 3
OTHERS_PAUSE_S = 0.02
# name: options of a condition; tokens of a completion are --tokens unless named
CONDITIONS = {
    "back-to-back": {},
    "pause-1": {"pause_ms": 1},
    "pause-10": {"pause_ms": 10},
    "pause-50": {"pause_ms": 50},
    "pause-200": {"pause_ms": 200},
    "streamed": {"stream": True},
    "first": {"first": True},
    "busy-1": {"busy": 1, "pause_ms": 10},
    "busy-4": {"busy": 4, "pause_ms": 10},
    "quota-1": {"quota": 1},
    "connections-64": {"connections": 64},
}


class Group:
    """A cgroup with a quota of `processors`; .path is None where the system gives none."""

    def __init__(self, name, processors):
        self.path = None
        for root, file, text in (("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", f"{int(processors * 100000)}"),
                                 ("/sys/fs/cgroup", "cpu.max", f"{int(processors * 100000)} 100000")):
            path = f"{root}/carousel-bench-{os.getpid()}-{name}"
            try:
                os.mkdir(path)
                self.path = path
                with open(f"{path}/{file}", "w") as out:
                    out.write(text)
                return
            except OSError:
                self.close()

    def close(self):
        if self.path:
            with contextlib.suppress(OSError):
                os.rmdir(self.path)
        self.path = None


class Server:
    def __init__(self, options, precision, workers, quota):
        self.group = Group(str(workers), quota) if quota else None
        command = [options.binary, "serve", "--config", "config.example.ini", "--port", "0"]
        for setting in [f"scheduler.workers={workers}", f"models.precision={precision}", "log.access=false",
                        "limits.connections=4000"] + options.settings:
            command += ["--set", setting]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                        preexec_fn=self.confine if quota else None)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])
        self.socket = None

    def confine(self):
        if self.group.path:
            with open(f"{self.group.path}/cgroup.procs", "w") as out:
                out.write(str(os.getpid()))
        else:
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    def ask(self, body):
        """Milliseconds from the request's first byte to the answer's last."""
        if not self.socket:
            self.socket = connect(self.port)
        began = time.monotonic()
        answer(self.socket, post("/v1/completions", body))
        return (time.monotonic() - began) * 1e3

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def stop(self):
        if self.socket:
            self.socket.close()
        self.process.terminate()
        code = self.process.wait(60)
        if self.group:
            self.group.close()
        return code


def connect(port):
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def post(path, body):
    text = json.dumps(body)
    return (f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(text)}\r\n\r\n{text}").encode()


def answer(connection, request):
    """Send a request and read its answer whole, by its length or in chunks."""
    connection.sendall(request)
    got = b""
    while True:
        piece = connection.recv(1 << 16)
        if not piece:
            sys.exit("the server closed the connection")
        got += piece
        head, end, body = got.partition(b"\r\n\r\n")
        if not end:
            continue
        if not head.startswith(b"HTTP/1.1 200"):
            sys.exit(f"the server answered {head[:40]!r}")
        lower = head.lower()
        if b"chunked" in lower:
            if body.endswith(b"0\r\n\r\n"):
                return
        elif len(body) >= int(lower.split(b"content-length:")[1].split(b"\r\n")[0]):
            return


def other_connections(n, port, stopped):
    """n connections that ask for the health of the server again and again, with a short pause between."""
    request = b"GET /health/live HTTP/1.1\r\nHost: bench\r\n\r\n"
    sockets = [connect(port) for _ in range(n)]
    while not stopped.is_set():
        for connection in sockets:
            answer(connection, request)
        stopped.wait(OTHERS_PAUSE_S)
    for connection in sockets:
        connection.close()


def body_of(options, condition, seed):
    body = {"model": "shakespeare", "prompt": "\n", "max_tokens": options.tokens, "temperature": 1, "top_p": 1,
            "seed": seed}
    if condition.get("stream"):
        body["stream"] = True
    return body


def ask_pairs(options, condition, servers, times):
    """A few requests to the one, as many to the other, and so on; the first of a pair alternates."""
    pause_s = condition.get("pause_ms", 0) / 1e3
    for r in range(options.rounds):
        for workers in WORKERS if r % 2 == 0 else reversed(WORKERS):
            for i in range(options.requests):
                time.sleep(pause_s)
                times[workers].append(servers[workers].ask(body_of(options, condition, r * 1000 + i)))


def measure_first(options, condition, precision, times):
    for r in range(options.rounds):
        for workers in WORKERS if r % 2 == 0 else reversed(WORKERS):
            server = Server(options, precision, workers, None)
            try:
                times[workers].append(server.ask(body_of(options, condition, r)))
            finally:
                server.stop()


def measure(options, condition, precision, times):
    if condition.get("first"):
        return measure_first(options, condition, precision, times)
    servers, busy, stopped, threads = {}, [], threading.Event(), []
    try:
        for workers in WORKERS:
            servers[workers] = Server(options, precision, workers, condition.get("quota"))
        busy = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(condition.get("busy", 0))]
        if condition.get("connections"):
            threads = [threading.Thread(target=other_connections,
                                        args=(condition["connections"], s.port, stopped))
                       for s in servers.values()]
            for thread in threads:
                thread.start()
        for server in servers.values():
            for i in range(WARM_REQUESTS):
                server.ask(body_of(options, condition, i))
        ask_pairs(options, condition, servers, times)
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
        for process in busy:
            process.kill()
            process.wait()
        for server in servers.values():
            server.stop()


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))]


def report(name, precision, times):
    """Print a row. false: slower."""
    one, two = ([percentile(times[workers], part) for part in (0.5, 0.9, 0.99)] for workers in WORKERS)
    slower = two[0] > 1.05 * one[0] or two[2] > 1.2 * one[2]
    print(f"| {name} | {precision} | {one[0]:.1f}, {one[1]:.1f}, {one[2]:.1f} | {two[0]:.1f}, {two[1]:.1f}, "
          f"{two[2]:.1f} | {two[0] / one[0]:.2f} | {two[2] / one[2]:.2f} | {'slower' if slower else ''} |",
          flush=True)
    return not slower


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("condition", nargs="*", help=", ".join(CONDITIONS))
    arguments.add_argument("--binary", default="build/carousel")
    arguments.add_argument("--precision", default="float32,int8")
    arguments.add_argument("--tokens", type=int, default=256)
    arguments.add_argument("--rounds", type=int, default=20)
    arguments.add_argument("--requests", type=int, default=5, help="in a row to one server, in a round")
    for option in ("pause_ms", "busy", "quota", "connections"):
        arguments.add_argument("--" + option.replace("_", "-"), type=float if option == "quota" else int,
                               help="in place of what the condition says")
    arguments.add_argument("--stream", action="store_true", default=None)
    arguments.add_argument("--set", action="append", default=[], dest="settings")
    options = arguments.parse_args()
    changed = {name: value for name in ("pause_ms", "busy", "quota", "connections", "stream")
               if (value := getattr(options, name)) is not None}
    print("| condition | precision | one worker: median, p90, p99 ms | two workers | median | p99 | |")
    print("|---|---|---|---|---|---|---|")
    good = True
    for name in options.condition or CONDITIONS:
        for precision in options.precision.split(","):
            times = {workers: [] for workers in WORKERS}
            measure(options, {**CONDITIONS[name], **changed}, precision, times)
            good = report(name, precision, times) and good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
