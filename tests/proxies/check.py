#!/usr/bin/env python3
"""check.py PROGRAM FOLDER: the requests of tests/http/smuggling.txt through HAProxy and nginx in front of the server.

A proxy may refuse a request, mend it, or let it pass. Whatever it does, the server must serve nothing that the proxy did
not send as a request of its own: each proxy marks what it sends with an X-Request-Id that begins with its name, and the
server's access log must show no other served request. And connections that clients share behind a proxy must stay in
step: plain requests between the cases get their own answers. Ends with a line like the one that check prints.
"""
import asyncio
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

PROGRAM, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
TABLE = "tests/http/smuggling.txt"
WORDS = {
    "$POST": "POST /v1/forecast HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n",
    "$BODY": '{"series":[2,4,8],"horizon":1}',
    "$HIDDEN": "GET /livez HTTP/1.1\r\nHost: t\r\n\r\n",
}
ESCAPES = {"r": "\r", "n": "\n", "t": "\t", "0": "\0"}
ANSWER_S = 3  # a proxy that waits for the rest of a request gives it up after one
checks = failures = 0


def expect(text, good, more=""):
    global checks, failures
    checks += 1
    failures += not good
    if not good:
        print(f"  FAILED: {text}: {more}")


def unescape(text):
    text = re.sub(r"<(\d+)\*(.*?)>", lambda m: m[2] * int(m[1]), text)
    text = re.sub(r"\$[A-Z]+", lambda m: next(WORDS[w] + m[0][len(w):] for w in WORDS if m[0].startswith(w)), text)
    text = re.sub(r"\\(x([0-9a-f]{2})|.)", lambda m: chr(int(m[2], 16)) if m[2] else ESCAPES[m[1]], text)
    return text.encode("latin-1")


def read_cases():
    with open(TABLE, encoding="ascii") as lines:
        rows = [line.rstrip("\n").split(" | ", 2) for line in lines if line.strip() and line[0] != "#"]
    return [(name, int(status), unescape(text)) for name, status, text in rows]


HAPROXY = """
global
    maxconn 500
defaults
    mode http
    timeout connect 5s
    timeout client 1s
    timeout server 5s
    timeout http-request 1s
frontend front
    bind 127.0.0.1:{front}
    http-request set-header X-Request-Id haproxy-%[req.hdr(X-Request-Id)]
    default_backend back
backend back
    http-reuse always
    server carousel 127.0.0.1:{back}
"""
NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 500; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    client_header_timeout 1s; client_body_timeout 1s; keepalive_timeout 1s;
    large_client_header_buffers 4 32k;
    upstream carousel {{ server 127.0.0.1:{back}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{front};
        location / {{
            proxy_pass http://carousel;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Request-Id nginx-$http_x_request_id;
            proxy_request_buffering off;
        }}
    }}
}}
"""
PROXIES = {
    "haproxy": (HAPROXY, lambda path: ["haproxy", "-db", "-f", path]),
    "nginx": (NGINX, lambda path: ["nginx", "-c", path, "-e", path + ".log"]),
}


async def talk(port, data):
    """All that comes back until the other side closes or is silent for too long."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = b""
    try:
        writer.write(data)
        await writer.drain()
        while True:
            part = await asyncio.wait_for(reader.read(65536), ANSWER_S)
            if not part:
                break
            got += part
    except (ConnectionError, asyncio.TimeoutError):
        pass
    writer.close()
    return got


async def is_in_step(port, name, i):
    request = f"GET /v1/models HTTP/1.1\r\nHost: t\r\nX-Request-Id: plain-{i}\r\nConnection: close\r\n\r\n"
    got = await talk(port, request.encode())
    return got.startswith(b"HTTP/1.1 200") and f"{name}-plain-{i}\r\n".encode().lower() in got.lower()


async def try_cases(port, name, cases):
    at_once = asyncio.Semaphore(16)

    async def one(i, case):
        async with at_once:
            got = await talk(port, case[2])
            step = await is_in_step(port, name, i)
        expect(f"{name}: after {case[0]}, connections are in step", step)
        return case[1] == 200 and got.startswith(b"HTTP/1.1 200")

    return sum(await asyncio.gather(*(one(i, case) for i, case in enumerate(cases))))


def start_server():
    settings = ["--set", "limits.body_bytes=65536", "--set", "log.access=true"]
    log = open(FOLDER / "server.log", "w")
    server = subprocess.Popen([PROGRAM, "serve", "--models", "tests/http/bundles", "--port", "0", *settings],
                              stdout=subprocess.PIPE, stderr=log, text=True)
    for line in server.stdout:
        found = re.search(r"listening on http://[^:]*:(\d+)", line)
        if found:
            return server, int(found[1])
    sys.exit("the server does not start: " + (FOLDER / "server.log").read_text())


def start_proxy(name, back, front):
    text, command = PROXIES[name]
    path = FOLDER / f"{name}.conf"
    path.write_text(text.format(folder=FOLDER, back=back, front=front))
    proxy = subprocess.Popen(command(str(path)), stdout=subprocess.DEVNULL, stderr=open(FOLDER / f"{name}.err", "w"))
    for _ in range(100):
        try:
            if asyncio.run(is_in_step(front, name, "first")):
                return proxy
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f"{name} does not answer: " + (FOLDER / f"{name}.err").read_text())


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    os.environ["PATH"] += ":/usr/sbin"
    cases = read_cases()
    server, back = start_server()
    for i, name in enumerate(PROXIES):
        proxy = start_proxy(name, back, back + 1 + i)
        try:
            served = asyncio.run(try_cases(back + 1 + i, name, cases))
        finally:
            proxy.terminate()
            proxy.wait()
        expect(f"{name}: sound requests are served through it", served > 20, str(served))
        print(f"  {name}: {len(cases)} cases, {served} of the sound ones served")
    server.send_signal(signal.SIGTERM)
    expect("the server ends well", server.wait(60) == 0)
    lines = [json.loads(line) for line in (FOLDER / "server.log").read_text().splitlines() if line.startswith("{")]
    requests = [line for line in lines if "status" in line]
    expect("the access log has the requests", len(requests) > len(cases))
    foreign = [line for line in requests if line["status"] < 400 and not line["request_id"].startswith(tuple(PROXIES))]
    expect("nothing was served that no proxy sent", not foreign, json.dumps(foreign[:3]))
    print(f"proxies: {(checks - failures) * 100 // checks}%: Checks: {checks}, Failures: {failures}, Errors: 0")
    return failures > 0


sys.exit(main())
