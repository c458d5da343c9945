"""fleet: replicas of the server, the proxies of docker/ before them, and clients that count what is not 200.

For the tests of replicas and of Kubernetes. Everything listens on 127.0.0.1, on ports that are free. What was
started ends with stop_all()."""
import asyncio
import collections
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

PROGRAM = os.environ.get("CAROUSEL_PROGRAM", "build/carousel")
START_S = 60  # for a server or a proxy to answer on a busy machine
BODY = {"/v1/forecast": {"series": [2, 4, 8, 16], "horizon": 2},
        "/v1/completions": {"model": "tiny-characters", "prompt": "ab", "max_tokens": 40, "seed": 1}}
checks = failures = 0
started = []


def expect(text, good, more=""):
    global checks, failures
    checks += 1
    failures += not good
    print(f"  {'ok' if good else 'FAILED'}: {text}{'' if good or not more else ': ' + str(more)}", flush=True)
    return good


def sum_up(name):
    """Print a line like the one that check prints; the exit code."""
    print(f"{name}: {(checks - failures) * 100 // max(checks, 1)}%: Checks: {checks}, Failures: {failures}, Errors: 0")
    return failures > 0


def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Process:
    """A program that this test started, with its output in a file."""

    def __init__(self, command, log, environment=None):
        self.log = pathlib.Path(log)
        self.began = time.monotonic()
        with open(self.log, "ab") as file:
            self.child = subprocess.Popen([str(part) for part in command], stdout=file, stderr=file,
                                          env={**os.environ, **(environment or {})})
        started.append(self)

    def signal(self, number):
        self.child.send_signal(number)

    def is_running(self):
        return self.child.poll() is None

    def wait(self, seconds=60):
        return self.child.wait(seconds)

    def end(self, tail=False):
        if self.is_running():
            self.child.kill()
            self.child.wait()
        if tail:
            print(self.log.read_text(errors="replace")[-2000:])


def stop_all():
    for process in started:
        process.end()


def address(port):
    """Where a port is: a number is one of 127.0.0.1."""
    return port if isinstance(port, tuple) else ("127.0.0.1", port)


async def ask(port, method="GET", path="/readyz", body=None, headers=None, connection=None):
    """Status, headers and body of one answer; on a connection that is given, which stays open, or on one of its own."""
    reader, writer = connection or await asyncio.open_connection(*address(port))
    text = json.dumps(body).encode() if body is not None else b""
    lines = [f"{method} {path} HTTP/1.1", "Host: carousel", f"Content-Length: {len(text)}",
             "Content-Type: application/json", *(f"{k}: {v}" for k, v in (headers or {}).items())]
    if not connection:
        lines.append("Connection: close")
    try:
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + text)
        await writer.drain()
        return await read_answer(reader)
    finally:
        if not connection:
            writer.close()


async def read_head(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    return int(head[0].split()[1]), {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:])}


async def read_answer(reader):
    status, headers = await read_head(reader)
    if headers.get("transfer-encoding") == "chunked":
        text = b""
        while size := int(await reader.readline(), 16):
            text += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    else:
        text = await reader.readexactly(int(headers.get("content-length", 0)))
    return status, headers, text


class Socket:
    """A WebSocket of GET /v1/stream, whose session's name is the header that proxies hash."""
    KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, section 1.3
    TEXT, CLOSE, PING, PONG = 1, 8, 9, 10

    @classmethod
    async def open(cls, port, session):
        self = cls()
        self.reader, self.writer = await asyncio.open_connection(*address(port))
        lines = ["GET /v1/stream HTTP/1.1", "Host: carousel", "Connection: Upgrade", "Upgrade: websocket",
                 "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {cls.KEY}", f"X-Session-Id: {session}"]
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
        status, headers = await read_head(self.reader)
        assert (status, headers.get("sec-websocket-accept")) == (101, cls.ACCEPT), (status, headers)
        return self

    def send(self, opcode, payload):
        assert len(payload) < 65536
        length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
        mask = os.urandom(4)
        self.writer.write(bytes([0x80 | opcode]) + length + mask + bytes(c ^ mask[i & 3] for i, c in enumerate(payload)))

    async def read(self):
        """Opcode and payload of the next frame that is no ping, which is answered."""
        while True:
            first, n = await self.reader.readexactly(2)
            if n > 125:
                n = int.from_bytes(await self.reader.readexactly(2 if n == 126 else 8), "big")
            payload = await self.reader.readexactly(n)
            if first & 15 != self.PING:
                return first & 15, payload
            self.send(self.PONG, payload)

    async def say(self, message):
        self.send(self.TEXT, json.dumps(message).encode())
        await self.writer.drain()

    async def hear(self):
        opcode, payload = await asyncio.wait_for(self.read(), 60)
        assert opcode == self.TEXT, (opcode, payload)
        return json.loads(payload)

    async def ask(self, message):
        await self.say(message)
        return await self.hear()

    async def until_close(self):
        """The code with which the server closes; 0 if the connection ends without one."""
        try:
            opcode, payload = await self.read()
            while opcode != self.CLOSE:
                opcode, payload = await self.read()
            self.send(self.CLOSE, payload[:2])
            self.writer.close()
            return int.from_bytes(payload[:2], "big")
        except (OSError, asyncio.IncompleteReadError):
            return 0


def status_of(port, path="/readyz"):
    try:
        return asyncio.run(asyncio.wait_for(ask(port, path=path), 10))[0]
    except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
        return 0


def await_status(port, path="/readyz", status=200, seconds=START_S):
    end = time.monotonic() + seconds
    while (found := status_of(port, path)) != status and time.monotonic() < end:
        time.sleep(0.05)
    return found == status


class Load:
    """Clients that keep their connections and post one request after the other through one port until `over` is set."""

    def __init__(self, port, clients, headers=None):
        self.port, self.clients, self.headers, self.over = port, clients, headers, False
        self.statuses, self.faults = collections.Counter(), collections.Counter()

    async def client(self, i):
        connection = None
        paths = list(BODY)
        n = 0
        while not self.over:
            path = paths[(i + n) % len(paths)]
            n += 1
            try:
                if not connection:
                    connection = await asyncio.open_connection(*address(self.port))
                status, headers, text = await asyncio.wait_for(
                    ask(self.port, "POST", path, BODY[path], self.headers, connection), 60)
                self.statuses[status] += 1
                if status != 200:
                    self.faults[text[:150]] += 1
                if headers.get("connection") == "close":
                    connection[1].close()
                    connection = None
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as fault:
                self.statuses["broken"] += 1
                self.faults[repr(fault)[:150]] += 1
                connection = None
            await asyncio.sleep(0.01)
        if connection:
            connection[1].close()

    async def run(self):
        await asyncio.gather(*(self.client(i) for i in range(self.clients)))

    def bad(self):
        return sum(n for status, n in self.statuses.items() if status != 200)

    def good(self):
        return self.statuses[200]


async def under_load(ports, clients, work, headers=None):
    """work() in a thread of its own while clients ask through every port; the loads, by port."""
    loads = [Load(port, clients, headers) for port in ports]
    tasks = [asyncio.create_task(load.run()) for load in loads]
    try:
        await asyncio.to_thread(work)
        await asyncio.sleep(0.5)
    finally:
        for load in loads:
            load.over = True
        await asyncio.gather(*tasks)
    return loads


class Replica(Process):
    """A server, ready to be asked."""

    def __init__(self, port, log, settings=()):
        super().__init__([PROGRAM, "serve", "--port", port, "--models", "tests/http/bundles", "--set",
                          "scheduler.workers=1", *(part for s in settings for part in ("--set", s))], log)
        self.port = port
        if not await_status(port):
            self.end(tail=True)
            sys.exit("the server does not start")



def answered(log):
    """Ids of the requests that a server answered, as its log has them."""
    lines = log.read_text(errors="replace").splitlines()
    return [json.loads(line)["request_id"] for line in lines if line.startswith('{"ts"') and line.endswith("}")]


def homes_of(logs, ids):
    """For each request the number of the log that has it, None if none has it."""
    end = time.monotonic() + 30
    found = {}
    while len(found) < len(set(ids)) and time.monotonic() < end:
        found = {name: i for i, log in enumerate(logs) for name in answered(log) if name in set(ids)}
        time.sleep(0.05)
    return [found.get(name) for name in ids]


class Sessions:
    """Sessions of a generation model, reached through one port. Their names are the header that proxies hash."""

    def __init__(self, port, prefix, n, headers=None):
        self.port, self.headers, self.step = port, headers or {}, 0
        self.names = [f"{prefix}-{i}" for i in range(n)]

    async def ask(self, name, path, body):
        status, headers, text = await ask(self.port, "POST", path, body, {**self.headers, "X-Session-Id": name})
        return status, headers.get("x-request-id"), json.loads(text) if headers.get("content-type") == "application/json" else {}

    def create(self):
        """The ids of the requests; every session must have been made."""
        async def run():
            return [await self.ask(name, "/v1/sessions", {"model": "tiny-characters", "id": name}) for name in self.names]
        answers = asyncio.run(run())
        return [request if status == 201 else (status, said) for status, request, said in answers]

    def step_all(self):
        """Every session takes its next step: (whether it did, the request's id) of each."""
        async def run():
            body = {"model": "tiny-characters", "step": self.step, "prompt": "ab", "max_tokens": 4, "seed": 1}
            return [await self.ask(name, "/v1/completions", body) for name in self.names]
        answers = asyncio.run(run())
        self.step += 1
        return [(status == 200 and said.get("step") == self.step, request) for status, request, said in answers]


# How each proxy is started, from its file in docker/; the rest of its settings is what Debian's packages bring.
NGINX = """daemon off; pid {folder}/nginx.pid; error_log stderr; worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    {text}
}}"""


def proxy_command(name, path, envoy):
    return {"haproxy": ["haproxy", "-db", "-f", path], "nginx": ["nginx", "-c", path, "-e", "stderr"],
            "envoy": [envoy, "-c", path, "--use-dynamic-base-id", "--concurrency", "1", "-l", "warning"]}[name]


def with_replicas(text, backs):
    """A configuration of docker/ with the replicas that are given in place of its two."""
    lines = []
    for line in text.splitlines():
        if "carousel-1" in line:
            for i, (host, port) in enumerate(map(address, backs), 1):
                lines.append(line.replace("carousel-1:8080", f"{host}:{port}").replace(
                    "address: carousel-1, port_value: 8080", f"address: {host}, port_value: {port}").replace(
                    "carousel-1", f"carousel-{i}"))
        elif "carousel-2" not in line:
            lines.append(line)
    return "\n".join(lines) + "\n"


def start_proxy(name, front, backs, folder, envoy):
    """One of docker/'s configurations with ports of this machine. It must reach a replica."""
    source = {"haproxy": "haproxy/haproxy.cfg", "nginx": "nginx/carousel.conf", "envoy": "envoy/envoy.yaml"}[name]
    text = with_replicas(pathlib.Path("docker", source).read_text(), backs)
    changes = {"haproxy": [("bind :8000", f"bind 127.0.0.1:{front}"), ("stdout", "stderr")],
               "nginx": [("listen 8000", f"listen 127.0.0.1:{front}")],
               "envoy": [("address: 0.0.0.0, port_value: 8000", f"address: 127.0.0.1, port_value: {front}")]}[name]
    for old, new in changes:
        assert old in text, f"docker/{source} does not say {old}"
        text = text.replace(old, new)
    if name == "nginx":
        text = NGINX.format(folder=folder, text=text)
    path = folder / pathlib.Path(source).name
    path.write_text(text)
    proxy = Process(proxy_command(name, path, envoy), folder / f"{name}.log")
    away = [i for i, back in enumerate(backs, 1) if not is_listening(back)]
    if not await_status(front, "/livez") or name == "haproxy" and not await_down(proxy.log, away):
        proxy.end(tail=True)
        sys.exit(f"{name} does not start, or does not learn that {away} are away")
    return proxy


def is_listening(port):
    with socket.socket() as s:
        return s.connect_ex(address(port)) == 0


def await_down(log, numbers):
    """HAProxy counts a server as up until its first check: a request at the start may meet one absent after the other."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        text = log.read_text(errors="replace")
        if all(f"Server replicas/carousel-{i} is DOWN" in text for i in numbers):
            return True
        time.sleep(0.05)
    return False
