#!/usr/bin/env python3
"""What a flood does to the server: tests/bench/overload.py [--seconds 15] [--set section.key=value]...

Measures the capacity in a closed loop, then offers 0.5 to 10 times as much in an open one, whatever the
server answers, and tells what was served and refused, how long the served ones took, and what it cost in
memory. At each level a second client, with an address of its own (127.0.0.2), sends one request a second:
what the flood does to others. At the end a burst of three queues' worth is sent at once, and who is refused
comes back exactly when Retry-After says.

The load comes from the same machine and takes processor time from the server; `load_cpu` says how much, in
parts of one processor. To take little, the open loop looks and sends every 2 ms only: no time below that
means anything. Where others use the machine too, compare served_per_cpu_s: served for each second of the
server's own processor time. Needs build/carousel, and Python's standard library only.
"""
import argparse
import heapq
import json
import re
import resource
import select
import socket
import subprocess
import sys
import time

LEVELS = [0.5, 1, 2, 5, 10]
WARM_S = 4
TICK_S = 0.002
HEADER_END = b"\r\n\r\n"
now = time.monotonic


class Server:
    def __init__(self, settings):
        command = ["build/carousel", "serve", "--config", "config.example.ini", "--port", "0"]
        for setting in ["log.access=false", "limits.connections=4000"] + settings:
            command += ["--set", setting]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])

    def rss_mib(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) / 1024

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def stop(self):
        self.process.terminate()
        return self.process.wait(60)


class Answer:
    __slots__ = ("kind", "sent", "ended", "status", "retry_after")

    def __init__(self, kind, sent):
        self.kind, self.sent, self.ended, self.status, self.retry_after = kind, sent, None, 0, 0


class Load:
    """Connections that are kept alive, an event loop, and what came back. `kind` is "flood" or "other"."""

    def __init__(self, port, request):
        self.port, self.request = port, request
        self.poll = select.epoll()
        self.sockets = {}                      # descriptor -> [socket, answer in wait or None, bytes so far]
        self.idle = {"flood": [], "other": []}
        self.answers, self.waiting = [], 0

    def send(self, kind):
        if self.idle[kind]:
            descriptor = self.idle[kind].pop()
        else:
            connection = socket.socket()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.bind(("127.0.0.2" if kind == "other" else "127.0.0.1", 0))
            connection.connect(("127.0.0.1", self.port))
            connection.setblocking(False)
            descriptor = connection.fileno()
            self.sockets[descriptor] = [connection, None, b""]
            self.poll.register(descriptor, select.EPOLLIN)
        answer = Answer(kind, now())
        entry = self.sockets[descriptor]
        entry[1], entry[2] = answer, b""
        self.answers.append(answer)
        self.waiting += 1
        entry[0].send(self.request)
        return answer

    def receive(self, timeout_s):
        """Answers that are complete."""
        done = []
        for descriptor, _ in self.poll.poll(timeout_s):
            entry = self.sockets[descriptor]
            try:
                got = entry[0].recv(65536)
            except (BlockingIOError, ConnectionResetError):
                got = b""
            answer = entry[1]
            if not got or answer is None:
                self.drop(descriptor)
                if answer is None:
                    continue
                answer.status = -1
            else:
                entry[2] += got
                head, end, body = entry[2].partition(HEADER_END)
                if not end:
                    continue
                if len(body) < int(re.search(rb"(?i)content-length: (\d+)", head).group(1)):
                    continue
                answer.status = int(head[9:12])
                if answer.status in (429, 503):
                    answer.retry_after = int(re.search(rb"(?i)retry-after: (\d+)", head).group(1))
                entry[1] = None
                self.idle[answer.kind].append(descriptor)
            answer.ended = now()
            self.waiting -= 1
            done.append(answer)
        return done

    def drop(self, descriptor):
        self.poll.unregister(descriptor)
        self.sockets.pop(descriptor)[0].close()

    def close(self):
        for descriptor in list(self.sockets):
            self.drop(descriptor)
        self.poll.close()


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))] if values else float("nan")


def closed_loop(server, request, connections, seconds):
    """Served a second, and for each second of the server's processor time, by so many clients who each wait
    for their answer."""
    load = Load(server.port, request)
    begin = now() + WARM_S
    end, cpu = begin + seconds, None
    for _ in range(connections):
        load.send("flood")
    while now() < end:
        if cpu is None and now() >= begin:
            cpu = server.cpu_s()
        for answer in load.receive(0.1):
            if answer.status != 200:
                sys.exit(f"the closed loop got a {answer.status}")
            load.send("flood")
    served = sum(1 for answer in load.answers if answer.ended and begin <= answer.ended < end)
    cpu = server.cpu_s() - cpu
    load.close()
    return served / seconds, served / cpu


def open_loop(server, request, rate, seconds):
    """So many a second, whatever comes back; and one a second of another client."""
    load = Load(server.port, request)
    before_mib, before_cpu, warm_cpu = server.rss_mib(), server.cpu_s(), None
    usage = resource.getrusage(resource.RUSAGE_SELF)
    start = now()
    begin, end, sent, others = start + WARM_S, start + WARM_S + seconds, 0, 0
    while now() < end:
        if warm_cpu is None and now() >= begin:
            warm_cpu = server.cpu_s()
        while (instant := now()) >= start + sent / rate:
            load.send("flood")
            sent += 1
        if instant >= start + others:
            load.send("other")
            others += 1
        load.receive(0)
        time.sleep(TICK_S)
    used = resource.getrusage(resource.RUSAGE_SELF)
    elapsed, cpu, warm_cpu = now() - start, server.cpu_s() - before_cpu, server.cpu_s() - warm_cpu
    peak_mib = server.rss_mib()
    patience = now() + 60
    while load.waiting and now() < patience:
        load.receive(0.2)
    load.close()
    flood = [a for a in load.answers if a.kind == "flood"]
    window = [a for a in flood if begin <= a.sent < end]
    served = [a for a in window if a.status == 200]
    done = sum(1 for a in flood if a.status == 200 and begin <= a.ended < end)
    codes = {}
    for answer in window:
        if answer.status != 200:
            codes[answer.status] = codes.get(answer.status, 0) + 1
    other = [a for a in load.answers if a.kind == "other" and a.sent >= begin]
    good = [a.ended - a.sent for a in other if a.status == 200]
    return {
        "offered_per_s": len(window) / seconds,
        "served_per_s": done / seconds,
        "served_per_cpu_s": done / warm_cpu,
        "refused": " ".join(f"{n}x{code}" for code, n in sorted(codes.items())) or "-",
        "p50_ms": percentile([a.ended - a.sent for a in served], 0.5) * 1e3,
        "p99_ms": percentile([a.ended - a.sent for a in served], 0.99) * 1e3,
        "refusal_p99_ms": percentile([a.ended - a.sent for a in window if a.status == 429], 0.99) * 1e3,
        "other_served": f"{len(good)}/{len(other)}",
        "other_max_ms": max(good, default=float("nan")) * 1e3,
        "rss_before_mib": before_mib, "rss_end_mib": peak_mib,
        "load_cpu": (used.ru_utime + used.ru_stime - usage.ru_utime - usage.ru_stime) / elapsed,
        "server_cpu": cpu / elapsed,
        "hung": load.waiting,
    }


def burst(server, request, n):
    """n at once; who is refused comes back when told. How often each had to come before it was taken in."""
    load = Load(server.port, request)
    tries, later = {}, []
    for _ in range(n):
        tries[load.send("flood")] = 1
    taken, told = {}, []
    patience = now() + 150
    while (load.waiting or later) and now() < patience:
        for answer in load.receive(0.01):
            count = tries.pop(answer)
            if answer.status == 200:
                taken[count] = taken.get(count, 0) + 1
                continue
            told.append(answer.retry_after)
            heapq.heappush(later, (answer.ended + answer.retry_after, count))
        while later and now() >= later[0][0]:
            count = heapq.heappop(later)[1]
            tries[load.send("flood")] = count + 1
    load.close()
    return {"sent": n, "taken_at_try": dict(sorted(taken.items())), "never": n - sum(taken.values()),
            "retry_after_s": f"{min(told, default=0)} to {max(told, default=0)}"}


def measure(server, request, options):
    """Prints it all; how many requests got no answer, or were never taken in."""
    capacity, each = closed_loop(server, request, options.connections, options.seconds)
    print(f"# capacity: {capacity:.1f} requests/s, {each:.1f} for each second of processor time; "
          f"{options.connections} connections, each waiting for its answer", flush=True)
    names, unanswered = None, 0
    for level in [float(level) for level in options.levels.split(",") if level]:
        row = open_loop(server, request, level * capacity, options.seconds)
        unanswered += row["hung"]
        if not names:
            names = list(row)
            print("level," + ",".join(names))
        print(f"{level:g}x," + ",".join(f"{row[n]:.1f}" if isinstance(row[n], float) and "cpu" not in n else
                                        f"{row[n]:.2f}" if isinstance(row[n], float) else str(row[n]) for n in names),
              flush=True)
    if options.burst:
        row = burst(server, request, options.burst)
        unanswered += row["never"]
        print(f"# burst: {row}")
    again, each = closed_loop(server, request, options.connections, options.seconds)
    print(f"# capacity again: {again:.1f} requests/s, {each:.1f} for each second of processor time")
    time.sleep(1)
    print(f"# at rest again: {server.rss_mib():.1f} MiB")
    return unanswered


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seconds", type=int, default=15)
    arguments.add_argument("--levels", default=",".join(map(str, LEVELS)))
    arguments.add_argument("--connections", type=int, default=256)
    arguments.add_argument("--burst", type=int, default=3072)
    arguments.add_argument("--path", default="/v1/completions")
    arguments.add_argument("--body",
                           default='{"model":"shakespeare","prompt":"ROMEO:","max_tokens":64,"seed":1}')
    arguments.add_argument("--set", action="append", default=[], dest="settings")
    options = arguments.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    json.loads(options.body)
    request = (f"POST {options.path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
               f"Content-Length: {len(options.body)}\r\n\r\n{options.body}").encode()
    server = Server(options.settings)
    try:
        unanswered = measure(server, request, options)
    finally:
        code = server.stop()
    print(f"# exit code {code}")
    sys.exit(1 if code or unanswered else 0)


if __name__ == "__main__":
    main()
