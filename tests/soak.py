#!/usr/bin/env python3
"""A long time of everything at once: tests/soak.py [--minutes 20] [--clients 10] [--program build/carousel]
[--seed 1].

Starts the server on the zoo with API keys and lets clients do, in random order: every task, streams, clients
who leave at a random moment, bad input of every kind, wrong keys, late and endless bodies, deadlines that
cannot be kept, scrapes, and an administrator who reloads, unloads and loads models and rereads files. At the
end it holds that

- every answer had a status that was asked for, and the server ended with 0 and logged no error;
- /metrics has counted exactly what the clients have: requests by route and code, ends by reason, refusals by
  reason. Of a client who left, only how many there were is known: they are counted as 200 or 499, and end in
  any way;
- nothing waits, nothing is computed, no memory of jobs and bodies is held;
- descriptors and threads are as many as at the beginning, and the resident memory has not grown: the median
  of the last fifth of the time is at most MARGIN above that of the second fifth. That is judged from ten
  minutes on: it takes some to settle.

Needs a built server and Python's standard library only. Exit code 0 where all held.
"""
import argparse
import collections
import hashlib
import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

JUDGED_MINUTES = 10
MARGIN_PART, MARGIN_MIB = 0.03, 4  # of the resident memory; sanitizers' own memory is not ours: no check there
PATIENCE_S = 120
BODY_S = 2                         # timeouts.body_s of this server
KEYS = {"infer": "scopes=infer", "metrics": "scopes=metrics", "admin": "scopes=admin",
        "limited": "scopes=infer requests_per_minute=60",
        "few-steps": "scopes=infer steps_per_minute=2000"}
ROUTE_MODEL, ROUTE_NONE = "/v1/models/{id}", "none"
RELOAD, LOAD, UNLOAD = "/v1/models/{id}/reload", "/v2/repository/models/{id}/load", "/v2/repository/models/{id}/unload"
COMPUTES = {"/v1/completions", "/v1/score", "/v1/forecast", "/v1/classify", "/v1/embeddings", RELOAD,
            LOAD, UNLOAD}
TEXTS = ["ROMEO:", "To be, or not to be", "A film to fall in love with.", "play some jazz",
         "Two hours of my life are gone.", "x" * 400]


class Tally:
    """What the clients know. requests[route, code]; ends[reason]; refusals[code]; left[route]: who left,
    however it ended."""

    def __init__(self):
        self.lock = threading.Lock()
        self.requests, self.ends, self.refusals, self.left = (collections.Counter() for _ in range(4))
        self.kinds, self.faults = collections.Counter(), []
        self.tokens = 0

    def add(self, route, status, end=None, refusal=None, tokens=0):
        with self.lock:
            self.requests[route, status] += 1
            self.tokens += tokens
            if end:
                self.ends[end] += 1
            if refusal:
                self.refusals[refusal] += 1

    def leave(self, route):
        with self.lock:
            self.left[route] += 1

    def fault(self, text):
        with self.lock:
            self.faults.append(text)
        print("FAULT", text, flush=True)


class Gone(Exception):
    """The server closed before an answer."""


class Client:
    """One connection at a time, opened when needed."""

    def __init__(self, port, rng):
        self.port, self.rng, self.wire, self.buffer = port, rng, None, b""

    def open(self):
        if self.wire is None:
            self.wire = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
            self.buffer = b""

    def close(self, reset=False):
        if self.wire is None:
            return
        if reset:
            self.wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.wire.close()
        self.wire = None

    def send(self, data):
        self.open()
        try:
            self.wire.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # a refusal may have come first; it can still be read

    def more(self):
        try:
            got = self.wire.recv(65536)
        except ConnectionResetError:
            got = b""
        if not got:
            raise Gone()
        self.buffer += got

    def line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def take(self, n):
        while len(self.buffer) < n:
            self.more()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def read(self, has_body=True):
        """Status and body of one answer; the connection is closed where the server said so."""
        status, headers = int(self.line().split()[1]), {}
        while True:
            line = self.line()
            if not line:
                break
            name, value = line.split(b":", 1)
            headers[name.lower()] = value.strip().lower()
        body = b""
        if b"chunked" in headers.get(b"transfer-encoding", b""):
            while True:
                n = int(self.line(), 16)
                body += self.take(n)
                self.take(2)
                if not n:
                    break
        elif has_body:
            body = self.take(int(headers.get(b"content-length", b"0")))
        if headers.get(b"connection") == b"close":
            self.close()
        return status, body


def head(method, path, key="infer", length=None, extra=()):
    lines = [f"{method} {path} HTTP/1.1", "Host: soak"]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    if length is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {length}"]
    return ("\r\n".join(lines + list(extra)) + "\r\n\r\n").encode()


def request(method, path, body=None, key="infer", extra=()):
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return head(method, path, key, None if body is None else len(data), extra) + data


def end_of(route, body):
    """Why a request that was answered with 200 ended, and how many tokens it made."""
    if route not in COMPUTES:
        return None, 0
    if route != "/v1/completions":
        return "complete", 0
    answer = json.loads(body)
    reasons = {choice["finish_reason"] for choice in answer["choices"]}
    return "length" if "length" in reasons else "stop", answer["usage"]["completion_tokens"]


class Soak:
    def __init__(self, port, tally, seed, stop):
        self.tally, self.rng, self.stop = tally, random.Random(seed), stop
        self.client = Client(port, self.rng)

    # ---- one request and its answer ----

    def ask(self, kind, data, route, expected, has_body=True):
        """Send, read, and count. Where the connection had to be closed for the answer, it is."""
        self.client.send(data)
        try:
            status, body = self.client.read(has_body)
        except Gone:
            self.client.close()
            self.tally.fault(f"{kind}: no answer")
            return None
        self.count(kind, route, status, body, expected)
        return status

    def count(self, kind, route, status, body, expected):
        self.tally.kinds[kind] += 1
        end, tokens = end_of(route, body) if status == 200 else (None, 0)
        refusal = None
        if status in (413, 429, 503, 504):
            refusal = json.loads(body)["error"]["code"]
        if route in (RELOAD, LOAD, UNLOAD) and status in (404, 422):
            end = "error"
        self.tally.add(route, status, end, refusal, tokens)
        if status not in expected:
            self.tally.fault(f"{kind}: {status}, expected {expected}: {body[:300]}")

    def post(self, kind, path, body, expected=(200,), key="infer"):
        return self.ask(kind, request("POST", path, body, key), path, expected)

    # ---- what clients ask for ----

    def inputs(self, n_max):
        texts = [self.rng.choice(TEXTS) for _ in range(self.rng.randint(1, n_max))]
        return texts if len(texts) > 1 or self.rng.random() < 0.5 else texts[0]

    def digits(self):
        sequence = [[self.rng.random() for _ in range(28)] for _ in range(self.rng.randint(1, 28))]
        return sequence if self.rng.random() < 0.5 else [sequence, sequence[:3]]

    def completion_body(self):
        rng, body = self.rng, {"model": "shakespeare", "prompt": self.inputs(3),
                               "max_tokens": self.rng.randint(1, 60)}
        if rng.random() < 0.5:
            body.update(temperature=rng.random() * 2, top_p=rng.random(), top_k=rng.randint(0, 40),
                        seed=rng.randint(0, 10**9))
        if rng.random() < 0.3:
            body.update(n=rng.randint(1, 3), stop=rng.choice([".", ["\n", "the"]]),
                        logprobs=rng.randint(0, 5))
        if rng.random() < 0.2:
            body.update(echo=True, logit_bias={"3": -100}, presence_penalty=1, repetition_penalty=1.1)
        return body

    def completion(self):
        self.post("completion", "/v1/completions", self.completion_body())

    def stream(self):
        body = dict(self.completion_body(), stream=True, stream_options={"include_usage": True})
        self.client.send(request("POST", "/v1/completions", body))
        try:
            status, text = self.client.read()
        except Gone:
            self.client.close()
            return self.tally.fault("stream: no answer, or cut off")
        if status != 200:
            return self.count("stream", "/v1/completions", status, text, (200,))
        self.count_stream(text)

    def count_stream(self, text):
        events = [line[6:] for line in text.split(b"\n") if line.startswith(b"data: ")]
        self.tally.kinds["stream"] += 1
        if not events or events[-1] != b"[DONE]":
            return self.tally.fault(f"stream: ends with {text[-300:]}")
        reasons, tokens = set(), 0
        for event in map(json.loads, events[:-1]):
            reasons |= {choice["finish_reason"] for choice in event["choices"]}
            tokens = event["usage"]["completion_tokens"] if event.get("usage") else tokens
        self.tally.add("/v1/completions", 200, "length" if "length" in reasons else "stop", None, tokens)

    def score(self):
        body = {"model": "shakespeare", "input": self.inputs(3)}
        if self.rng.random() < 0.3:
            body["choices"] = ["be", "not"]
        self.post("score", "/v1/score", body)

    def forecast(self):
        rng = self.rng
        body = {"model": rng.choice(["numbers", "series"]), "horizon": rng.randint(1, 12),
                "series": [[rng.choice([None, rng.randint(1, 99)]) for _ in range(rng.randint(2, 40))] + [5] for _ in range(rng.randint(1, 8))]}
        if body["model"] == "series" and rng.random() < 0.4:
            body.update(quantiles=[0.1, 0.9], num_samples=rng.randint(2, 20))
        self.post("forecast", "/v1/forecast", body)

    def classify(self):
        model = self.rng.choice(["sentiment", "intents", "digits"])
        self.post("classify", "/v1/classify",
                  {"model": model, "input": self.digits() if model == "digits" else self.inputs(4)})

    def embeddings(self):
        body = {"model": self.rng.choice(["shakespeare", "sentiment"]), "input": self.inputs(3)}
        if self.rng.random() < 0.5:
            body["encoding_format"] = "base64"
        self.post("embeddings", "/v1/embeddings", body)

    def tokenize(self):
        self.post("tokenize", "/v1/tokenize", {"model": "shakespeare", "input": self.inputs(4)})
        self.post("detokenize", "/v1/detokenize",
                  {"model": "shakespeare", "tokens": [self.rng.randint(0, 60) for _ in range(20)]})

    def look(self):
        path, route, key = self.rng.choice([
            ("/v1/models", "/v1/models", "infer"), ("/v1/models/series", ROUTE_MODEL, "infer"),
            ("/v1/info", "/v1/info", "admin"),
            ("/metrics", "/metrics", "metrics"), ("/livez", "/livez", None), ("/health", "/health", None),
            ("/readyz", "/readyz", None), ("/openapi.json", "/openapi.json", None)])
        method = self.rng.choice(["GET", "GET", "HEAD"])
        self.ask("look", request(method, path, key=key,
                                 extra=["Origin: https://a.example", "X-Request-Id: soak"]), route, (200,),
                 method == "GET")

    def pipelined(self):
        self.client.send(request("GET", "/livez", key=None) * 3)
        for _ in range(3):
            try:
                status, body = self.client.read()
            except Gone:
                self.client.close()
                return self.tally.fault("pipelined: no answer")
            self.count("pipelined", "/livez", status, body, (200,))

    # ---- what they get wrong ----

    BAD_BODIES = [
        ("/v1/completions", b"", 400), ("/v1/completions", b"{", 400), ("/v1/completions", b"[]", 400),
        ("/v1/completions", b"\xff\xfe", 400),
        ("/v1/completions", b"[" * 5000, 400), ("/v1/completions", b'{"prompt":"a"} x', 400),
        ("/v1/score", b'{"input":1,"input":2}', 400),
        ("/v1/completions", {"model": "shakespeare"}, 400),
        ("/v1/completions", {"model": "shakespeare", "prompt": 7}, 400),
        ("/v1/completions", {"model": "shakespeare", "prompt": "a", "max_tokens": "b"}, 400),
        ("/v1/completions", {"model": "shakespeare", "prompt": "a", "temperature": 9}, 400),
        ("/v1/completions", {"model": "shakespeare", "prompt": [1, 10**6]}, 400),
        ("/v1/completions", {"model": "shakespeare", "prompt": "a", "n": 10**6}, 400),
        ("/v1/completions", {"model": "shakespeare", "prompt": "a\0b"}, 400),
        ("/v1/completions", {"model": "none", "prompt": "a"}, 404),
        ("/v1/completions", {"model": "series", "prompt": "a"}, 422),
        ("/v1/completions", {"model": "shakespeare", "prompt": "a", "session": "s"}, 404),
        ("/v1/forecast", {"model": "series", "series": [[]]}, 400),
        ("/v1/forecast", {"model": "series", "series": "a"}, 400),
        ("/v1/forecast", {"model": "series", "series": [1, 2], "quantiles": [2]}, 400),
        ("/v1/forecast", b'{"model":"series","series":[1e999,2]}', 400),
        ("/v1/classify", {"model": "digits", "input": [[1, 2]]}, 400),
        ("/v1/classify", {"model": "sentiment", "input": 3}, 400),
        ("/v1/embeddings", {"model": "sentiment", "input": "a", "dimensions": 3}, 422),
        ("/v1/tokenize", {"model": "digits", "input": "a"}, 422),
        ("/v1/detokenize", {"model": "shakespeare", "tokens": [-1]}, 400)]

    def bad_body(self):
        path, body, status = self.rng.choice(self.BAD_BODIES)
        self.post("bad body", path, body, (status,))

    def bad_request(self):
        self.client.close()  # some of these are answered before the body is read, and then the connection closes
        body = {"model": "shakespeare", "prompt": "a"}
        path = "/v1/completions"
        data, route, status = self.rng.choice([
            (request("GET", "/nothing"), ROUTE_NONE, 404), (request("GET", "/%ff%00/v1"), ROUTE_NONE, 404),
            (request("POST", "/v1/models"), "/v1/models", 405), (request("DELETE", path), path, 405),
            (request("GET", "/v1/models/nobody"), ROUTE_MODEL, 404),
            (request("POST", path, body, key="wrong"), path, 401),
            (request("POST", path, body, key=None), path, 401),
            (request("POST", path, body, key="metrics"), path, 403),
            (request("GET", "/metrics"), "/metrics", 403),
            (request("POST", path, body, extra=["Content-Encoding: br"]), path, 415),
            (request("POST", path, body, extra=["Content-Encoding: gzip"]), path, 400),
            (request("POST", path, body).replace(b"application/json", b"text/plain"), path, 415),
            (head("POST", path, length=1 << 30), path, 413), (head("POST", path, length=1 << 60), path, 400),
            (head("POST", path, extra=["Transfer-Encoding: chunked"]) + b"40000\r\n" + b"1" * 0x40000 + b"\r\n" + b"0\r\n\r\n", path, 413),
            (request("POST", "/v1/models/series/reload"), RELOAD, 403)])
        self.ask("bad request", data, route, (status,))
        self.client.close()

    def late_body(self):
        self.client.close()
        self.ask("late body", head("POST", "/v1/score", length=100) + b'{"model":', "/v1/score", (408,))
        self.client.close()

    def not_http(self):
        """Heads in doubt, whose answers are not read; their path has no route, so that they spoil no other count."""
        self.client.close()
        self.client.send(self.rng.choice([b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3", b"GET\r\n\r\n",
                                          b"POST /nowhere HTTP/1.1\r\nContent-Len",
                                          head("POST", "/nowhere", length=1 << 70),
                                          head("GET", "/nowhere", extra=["X: " + "y" * 40000]), b"\0" * 50]))
        self.tally.kinds["not http"] += 1
        time.sleep(self.rng.random() * 0.1)
        self.client.close(reset=self.rng.random() < 0.5)

    def too_late(self):
        body = {"model": "shakespeare", "prompt": "a", "max_tokens": 16000, "n": 3,
                "timeout_ms": self.rng.randint(1, 150)}
        self.post("too late", "/v1/completions", body, (504, 429))

    def over_quota(self):
        if self.rng.random() < 0.5:
            self.post("over quota", "/v1/tokenize", {"model": "shakespeare", "input": "a"}, (200, 429),
                      "limited")
        else:
            self.post("over quota", "/v1/score", {"model": "shakespeare", "input": "a" * 100}, (200, 429),
                      "few-steps")

    # ---- clients who leave ----

    def leave(self):
        """After the whole request: with an end, or a reset once the server has read it, which an answer's
        first byte proves."""
        path, body = self.rng.choice([
            ("/v1/completions", dict(self.completion_body(), max_tokens=3000, stream=True)),
            ("/v1/completions", dict(self.completion_body(), max_tokens=3000)),
            ("/v1/score", {"model": "shakespeare", "input": "b" * 3000}),
            ("/v1/forecast", {"model": "series", "series": [[1, 2, 3]] * 20, "num_samples": 50,
                              "horizon": 12})])
        self.client.close()
        self.client.send(request("POST", path, body))
        time.sleep(self.rng.choice([0, 0.001, 0.02, 0.3]))
        reset = False
        if body.get("stream"):
            try:
                self.client.more()
                reset = self.rng.random() < 0.5
            except Gone:
                self.tally.fault("leave: closed before the first byte")
        self.client.close(reset)
        self.tally.leave(path)
        self.tally.kinds["leave"] += 1

    def leave_in_body(self):
        self.client.close()
        self.client.send(head("POST", "/v1/score", length=5000) + b'{"model":"shakes')
        time.sleep(self.rng.choice([0, 0.01, 0.1]))
        self.client.close()
        self.tally.leave("/v1/score")
        self.tally.kinds["leave in body"] += 1

    KINDS = [(completion, 12), (stream, 12), (score, 8), (forecast, 10), (classify, 10), (embeddings, 6),
             (tokenize, 6), (look, 8),
             (pipelined, 1), (bad_body, 12), (bad_request, 8), (late_body, 0.2), (not_http, 2), (too_late, 2),
             (over_quota, 2), (leave, 5),
             (leave_in_body, 2)]

    def run(self):
        kinds, weights = zip(*self.KINDS)
        while not self.stop.is_set():
            try:
                self.rng.choices(kinds, weights)[0](self)
            except Exception as reason:  # a fault of this program, or an answer that is none
                self.tally.fault(f"{type(reason).__name__}: {reason}")
                self.client.close()
            if self.rng.random() < 0.05:
                self.client.close()
        self.client.close()


class Administrator(Soak):
    """Reloads what others use, and takes a model of his own (a copy called "guest") out and in."""

    def run(self):
        def change(path, route, expected):
            self.ask("administer", request("POST", path, {}, "admin"), route, expected)

        while not self.stop.wait(self.rng.random()):
            change(f"/v1/models/{self.rng.choice(['series', 'numbers', 'digits', 'shakespeare'])}/reload",
                   RELOAD, (200,))
            change("/v2/repository/models/guest/unload", UNLOAD, (200,))
            self.post("administer", "/v1/forecast", {"model": "guest", "series": [1, 2], "horizon": 1}, (404,))
            change("/v2/repository/models/guest/load", LOAD, (200,))
            self.post("administer", "/v1/forecast", {"model": "guest", "series": [1, 2], "horizon": 1}, (200,))
            change("/v2/repository/models/nobody/load", LOAD, (404,))
            self.ask("administer", request("POST", "/v2/repository/index", {}, "admin"),
                     "/v2/repository/index", (200,))
        self.client.close()


class Server:
    def __init__(self, program, folder):
        with open(f"{folder}/keys", "w", encoding="ascii") as file:
            for name, rest in KEYS.items():
                file.write(f"{name} sha256:{hashlib.sha256(name.encode()).hexdigest()} {rest}\n")
        os.makedirs(f"{folder}/models")
        shutil.copytree("zoo/numbers", f"{folder}/models/guest")
        self.log = open(f"{folder}/log", "w+", encoding="utf-8")
        settings = {"models.folders": f"zoo:{folder}/models", "auth.keys_file": f"{folder}/keys",
                    "timeouts.body_s": BODY_S,
                    "limits.body_bytes": "128KiB", "http.cors_origins": "https://a.example",
                    "models.load_percent": 50}
        command = [program, "serve", "--port", "0"]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])

    def facts(self):
        """Resident MiB, descriptors, threads."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            text = file.read()
        number = lambda name: int(re.search(name + r":\s+(\d+)", text).group(1))
        return number("VmRSS") / 1024, len(os.listdir(f"/proc/{self.process.pid}/fd")), number("Threads")

    def metrics(self, tally):
        client = Client(self.port, None)
        client.send(request("GET", "/metrics", key="metrics"))
        status, body = client.read()
        client.close()
        values = {}
        for line in body.decode().splitlines():
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                values[name.removeprefix("carousel_")] = float(value)
        tally.add("/metrics", status)
        return values

    def errors(self):
        self.log.seek(0)
        return [line.strip() for line in self.log if not re.match(r'\{"ts":|\S+Z (info|warning) ', line)]


# ---- what must hold at the end --------------------------------------------------------------------

def label(metrics, name):
    """name{a="x",b="y"} value -> {("x", "y"): value}"""
    found = {}
    for key, value in metrics.items():
        if key.startswith(name + "{"):
            found[tuple(re.findall(r'="([^"]*)"', key))] = int(value)
    return found


def by_labels(metrics, name, key):
    """key(labels...): the sum of the values"""
    sums = collections.Counter()
    for labels, value in label(metrics, name).items():
        sums[key(*labels)] += value
    return sums


def most_unseen(left):
    """A client that resets its connection before the server has read of it has sent no request. On a busy machine that is
    one in some hundreds."""
    return 1 + left // 100


def check_requests(metrics, tally, fail):
    counted = by_labels(metrics, "requests_total", lambda route, code, model: (route, int(code)))
    left = tally.left
    for route, code in sorted(set(counted) | set(tally.requests)):
        if code in (200, 499) and left[route] or route in (ROUTE_NONE, "/") and code in (400, 431):
            continue  # clients that left, and heads in doubt (of GET / among others), have read no answer
        if counted[route, code] != tally.requests[route, code]:
            fail(f"requests_total {route} {code}: {counted[route, code]}, the clients had {tally.requests[route, code]}")
    for route in left:
        unseen = tally.requests[route, 200] + left[route] - counted[route, 200] - counted[route, 499]
        if not 0 <= unseen <= most_unseen(left[route]) or counted[route, 200] < tally.requests[route, 200]:
            fail(f"requests_total {route}: {counted[route, 200]} with 200 and {counted[route, 499]} with 499; the clients had "
                 f"{tally.requests[route, 200]} and {left[route]} left")
    # requests_total and the histogram of durations are two counters of one thing
    durations = by_labels(metrics, "request_duration_seconds_count", lambda route, model: route)
    for route in {route for route, _ in counted}:
        n = sum(value for (other, _), value in counted.items() if other == route)
        if durations[route] != n:
            fail(f"request_duration_seconds_count {route}: {durations[route]}, requests_total {n}")


def check_ends(metrics, tally, in_body, fail):
    ends = {key[0]: n for key, n in label(metrics, "requests_finished_total").items()}
    rejected = {key[0]: n for key, n in label(metrics, "rejected_total").items()}
    left = sum(tally.left.values()) - in_body
    extra = {reason: ends[reason] - tally.ends[reason] for reason in ends}
    late = tally.refusals["deadline_exceeded"]
    for reason in ("stop", "length", "complete", "cancelled"):
        if extra[reason] < 0:
            fail(f"requests_finished_total {reason}: {ends[reason]}, the clients had {tally.ends[reason]}")
    unseen = left - sum(extra[reason] for reason in ("stop", "length", "complete", "cancelled"))
    if not 0 <= unseen <= most_unseen(left):
        fail(f"requests_finished_total: {extra} more than the clients had, of whom {left} left")
    if extra["error"]:
        fail(f"requests_finished_total error: {ends['error']}, the clients had {tally.ends['error']}")
    if ends["deadline"] + rejected["deadline_exceeded"] != late:
        fail(f"{ends['deadline']} ended by a deadline, {rejected['deadline_exceeded']} refused for it; the clients had {late}")
    for reason, n in rejected.items():
        if reason != "deadline_exceeded" and n != tally.refusals[reason]:
            fail(f"rejected_total {reason}: {n}, the clients had {tally.refusals[reason]}")
    if metrics["queue_duration_seconds_count"] > sum(ends.values()):
        fail(f"queue_duration_seconds_count {metrics['queue_duration_seconds_count']} is over all ends {sum(ends.values())}")


def check_idle(metrics, fail):
    for name in ("queue_depth", "queue_steps", "sequences_active", "job_bytes", "body_bytes"):
        if metrics[name]:
            fail(f"{name} is {metrics[name]:g} at the end")
    if metrics["rows_total"] != metrics["batch_rows_sum"] or metrics["turns_total"] != metrics["batch_rows_count"]:
        fail("rows_total and turns_total are not those of batch_rows")


def check_memory(samples, fail):
    fifth = len(samples) // 5
    before, after = (statistics.median(part) for part in (samples[fifth:2 * fifth], samples[-fifth:]))
    print(f"resident memory: {before:.1f} MiB in the second fifth of the time, {after:.1f} in the last, at most {max(samples):.1f}")
    if after > before * (1 + MARGIN_PART) + MARGIN_MIB:
        fail(f"resident memory has grown from {before:.1f} to {after:.1f} MiB")


def settle(server, tally, start, fail):
    """Until what was left behind has ended: at most PATIENCE_S."""
    until = time.monotonic() + PATIENCE_S
    while True:
        metrics, (_, descriptors, threads) = server.metrics(tally), server.facts()
        busy = metrics["queue_depth"] + metrics["sequences_active"] + metrics["job_bytes"] + metrics["body_bytes"] + metrics["reply_bytes"]
        if not busy and (descriptors, threads) == start:
            return
        if time.monotonic() > until:
            return fail(f"descriptors and threads were {start}, are {(descriptors, threads)}; {busy:g} at work")
        time.sleep(0.2)


def watch(server, tally, minutes):
    began, samples, shown = time.monotonic(), [], 0
    while time.monotonic() < began + 60 * minutes and server.process.poll() is None:
        time.sleep(0.5)
        rss, descriptors, _ = server.facts()
        samples.append(rss)
        if time.monotonic() > began + shown * 30:
            shown += 1
            print(f"{time.monotonic() - began:6.0f} s: {sum(tally.requests.values())} answers, {sum(tally.left.values())} left, "
                  f"{len(tally.faults)} faults, {rss:.1f} MiB, {descriptors} descriptors", flush=True)
    return samples


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--program", default="build/carousel")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--any-memory", action="store_true",
                        help="do not judge the resident memory (sanitizers keep what was freed)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return soak(options, Server(options.program, folder))


def soak(options, server):
    tally, stop = Tally(), threading.Event()
    server.metrics(tally)
    time.sleep(1)
    start = server.facts()[1:]
    clients = [Soak(server.port, tally, options.seed * 1000 + i, stop) for i in range(options.clients)]
    clients.append(Administrator(server.port, tally, options.seed * 1000 - 1, stop))
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    samples = watch(server, tally, options.minutes)
    stop.set()
    for thread in threads:
        thread.join()
    if server.process.poll() is None:
        settle(server, tally, start, tally.fault)
        metrics = server.metrics(Tally())  # which does not count itself
        check_requests(metrics, tally, tally.fault)
        check_ends(metrics, tally, tally.kinds["leave in body"], tally.fault)
        check_idle(metrics, tally.fault)
        if options.minutes >= JUDGED_MINUTES and not options.any_memory:
            check_memory(samples, tally.fault)
        server.process.send_signal(signal.SIGTERM)
    code = server.process.wait(PATIENCE_S)
    if code:
        tally.fault(f"the server ended with {code}")
    for line in server.errors()[:20]:
        tally.fault(f"in the log: {line}")
    print(f"{sum(tally.requests.values())} answers, {sum(tally.left.values())} clients left, {tally.tokens} tokens read:",
          ", ".join(f"{n} {kind}" for kind, n in sorted(tally.kinds.items())))
    print("by status:", dict(sorted(collections.Counter({s: sum(n for (_, t), n in tally.requests.items() if t == s)
                                                         for _, s in tally.requests}).items())))
    checks = len(tally.kinds) + 6  # each kind of request, and what must hold at the end
    failures = min(len(tally.faults), checks)
    print(f"soak: {options.minutes:g} minutes: {100 * (checks - failures) // checks}%: Checks: {checks}, Failures: {failures}, Errors: 0")
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
