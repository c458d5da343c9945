#!/usr/bin/env python3
"""What the memory of prompts' beginnings spares: tests/bench/prefix.py [--prompts 200] [--shared 1024] [--own 32]

Prompts come one after the other to zoo/shakespeare. Each begins with one of --groups (4) texts of --shared characters,
which are tokens there, and ends with --own characters of its own; --tokens (16) are written. Once with
sessions.prefix_bytes as it is by default, once without. Prints CSV: milliseconds as the client sees them, and what the
server's metrics count; the texts of both runs must be the same. Needs build/carousel and Python's standard library only.
"""
import argparse
import http.client
import json
import os
import random
import subprocess
import sys
import time


def ask(connection, method, path, body=None):
    connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read().decode()
    if answer.status != 200:
        sys.exit(text)
    return text


def count(connection, name):
    for line in ask(connection, "GET", "/metrics").splitlines():
        if line.startswith(f"carousel_{name} "):
            return float(line.split()[1])
    sys.exit(f"no metric {name}")


def measure(options, prompts, setting):
    command = [options.program, "serve", "--model", f"shakespeare={options.bundle}", "--port", "0",
               "--set", "log.access=false"] + setting
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    connection = http.client.HTTPConnection("127.0.0.1", int(process.stdout.readline().rsplit(":", 1)[1]))
    times, texts = [], []
    for prompt in prompts:
        body = {"model": "shakespeare", "prompt": prompt, "max_tokens": options.tokens, "seed": 1}
        began = time.perf_counter()
        texts.append(json.loads(ask(connection, "POST", "/v1/completions", body))["choices"][0]["text"])
        times.append((time.perf_counter() - began) * 1e3)
    counts = [count(connection, f"prefix_cache_{name}") for name in ("lookups_total", "hits_total", "tokens_total", "bytes")]
    process.terminate()
    if process.wait(60):
        sys.exit("the server ended badly")
    return sorted(times), texts, counts


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--groups", type=int, default=4)
    parser.add_argument("--shared", type=int, default=1024)
    parser.add_argument("--own", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--bundle", default="zoo/shakespeare")
    parser.add_argument("--program", default=os.environ.get("CAROUSEL_PROGRAM", "build/carousel"))
    options = parser.parse_args()
    random.seed(1)
    letters = "abcdefghijklmnopqrstuvwxyz ,."
    shared = ["".join(random.choices(letters, k=options.shared)) for _ in range(options.groups)]
    prompts = [random.choice(shared) + "".join(random.choices(letters, k=options.own)) for _ in range(options.prompts)]
    print("memory,prompts,hit_rate,tokens_in,tokens_not_read_again,bytes,p50_ms,p99_ms")
    texts = {}
    for name, setting in (("default", []), ("none", ["--set", "sessions.prefix_bytes=1"])):
        times, texts[name], (lookups, hits, tokens, held) = measure(options, prompts, setting)
        print(f"{name},{len(times)},{hits / lookups if lookups else 0:.3f},{sum(map(len, prompts))},{tokens:.0f},{held:.0f},"
              f"{times[len(times) // 2]:.2f},{times[len(times) * 99 // 100]:.2f}", flush=True)
    if texts["default"] != texts["none"]:
        sys.exit("the texts differ")


main()
