"""What one model's requests feel while another model is loaded again and again.

    python3 tests/bench/reload.py [--model shakespeare] [--loads sentiment] [--clients 1] [--rounds 10] [--seconds 4]

Starts build/carousel on a free port with the zoo and an administrator's key. Clients ask one model for short
completions (or forecasts, or classes) on kept-alive connections, one after the other. Rounds of two halves
alternate, so that the machine's moods fall on both alike: in one half nothing else happens, in the other the
second model is reloaded without a pause. Prints a CSV: half, requests, p50, p90, p99 and the largest latency
in milliseconds, loads and their median time; and last the ratios. Needs nothing but Python.
"""

import argparse
import concurrent.futures
import hashlib
import http.client
import json
import os
import statistics
import subprocess
import tempfile
import time

KEY = "bench-of-reloads"
BODIES = {
    "shakespeare": ("/v1/completions", {"prompt": "ROMEO:", "max_tokens": 16, "seed": 1}),
    "series": ("/v1/forecast", {"series": [12, 15, 11, 18, 21, 17, 24, 27], "horizon": 12}),
    "sentiment": ("/v1/classify", {"input": "A film to fall in love with."}),
}
HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer " + KEY}


def start(arguments, folder):
    keys = os.path.join(folder, "keys")
    with open(keys, "w", encoding="ascii") as file:
        file.write(f"bench sha256:{hashlib.sha256(KEY.encode()).hexdigest()} scopes=infer,admin\n")
    command = [arguments.program, "serve", "--port", "0", "--models", arguments.folder,
               "--set", "auth.keys_file=" + keys, "--set", "log.level=error", "--set", "log.access=false"]
    for setting in arguments.set:
        command += ["--set", setting]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    line = server.stdout.readline()
    return server, int(line.rsplit(":", 1)[1])


def post(connection, path, body):
    connection.request("POST", path, json.dumps(body), HEADERS)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{path}: {answer.status} {text.decode()}")


def ask(port, model, until, latencies):
    path, body = BODIES[model]
    connection = http.client.HTTPConnection("127.0.0.1", port)
    while time.monotonic() < until:
        begin = time.perf_counter()
        post(connection, path, dict(body, model=model))
        latencies.append(1e3 * (time.perf_counter() - begin))


def load(port, model, until, times):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    while time.monotonic() < until:
        begin = time.perf_counter()
        post(connection, f"/v1/models/{model}/reload", {})
        times.append(1e3 * (time.perf_counter() - begin))


def half(port, arguments, reloads, latencies, times):
    until = time.monotonic() + arguments.seconds
    with concurrent.futures.ThreadPoolExecutor(arguments.clients + 1) as pool:
        jobs = [pool.submit(ask, port, arguments.model, until, latencies) for _ in range(arguments.clients)]
        if reloads:
            jobs.append(pool.submit(load, port, arguments.loads, until, times))
    for job in jobs:
        job.result()  # an answer that is none ends the program


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default="build/carousel")
    parser.add_argument("--folder", default="zoo")
    parser.add_argument("--model", default="shakespeare", choices=BODIES)
    parser.add_argument("--loads", default="sentiment")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    arguments = parser.parse_args()
    latencies, times = ([], []), []
    with tempfile.TemporaryDirectory() as folder:
        server, port = start(arguments, folder)
        try:
            half(port, arguments, False, [], [])
            for _ in range(arguments.rounds):
                for reloads in (False, True):
                    half(port, arguments, reloads, latencies[reloads], times)
        finally:
            server.terminate()
            server.wait()
    print("half,requests,p50_ms,p90_ms,p99_ms,max_ms,loads,load_ms")
    for reloads, name in ((0, "quiet"), (1, "reloading")):
        found = latencies[reloads]
        tail = f"{len(times)},{statistics.median(times):.0f}" if reloads else "0,"
        print(f"{name},{len(found)}," + ",".join(f"{quantile(found, q):.3f}" for q in (0.5, 0.9, 0.99, 1)) + "," + tail)
    ratios = [quantile(latencies[1], q) / quantile(latencies[0], q) for q in (0.5, 0.9, 0.99)]
    print("ratio,," + ",".join(f"{r:.3f}" for r in ratios))


if __name__ == "__main__":
    main()
