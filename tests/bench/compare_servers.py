#!/usr/bin/env python3
"""Carousel beside other servers of the same weights: tests/bench/compare_servers [OPTION]...

The digit classifier (784 numbers a request) and the likeliest continuation of 64 and 256 characters by
zoo/shakespeare, from 1, 16 and 64 connections that are kept alive, by wrk on the same machine. The others compute
in float32 with ONNX Runtime: FastAPI with two processes of uvicorn, and LitServe with two workers. Carousel runs in
float32 and in its bundles' own precision, with its defaults otherwise. Each server first answers a digit and a
prompt, and is left out if the answer is not ONNX Runtime's: the same label with a score within 0.02, and in
float32 the same text. Contestants run in turn, round after round; the table has medians. A forecast of four numbers is
measured beside the least that libmicrohttpd can do (bench_bare), since no other server here has that model.

Columns: requests a second, and p50 and p99 in ms; memory is that of all processes of a server at rest (Pss), ready
the time from start to the first answer. --svg FILE draws the requests a second.
"""
import argparse
import json
import math
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE / "servers"))
import networks  # noqa: E402

PROMPT, CONNECTIONS = "ROMEO:", (1, 16, 64)


class Server:
    """A process group with an address; `routes` maps a job to its path and body."""

    def __init__(self, name, command, routes, port=None, env=None):
        self.name, self.routes, began = name, routes, time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True, start_new_session=True, env={**os.environ, **(env or {})})
        if port is None:
            line = self.process.stdout.readline()
            self.url = re.search(r"http://\S+", line)[0]
        else:
            self.url = f"http://127.0.0.1:{port}"
        job = next(iter(routes))
        while self.process.poll() is None:
            try:
                self.ask(job)
                break
            except OSError:
                time.sleep(0.01)
        self.ready = time.monotonic() - began

    def ask(self, job):
        path, body = self.routes[job]
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def memory(self):
        """MB of the processes of its session, shared pages divided among them."""
        total = 0
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[3]) == self.process.pid:
                    total += int(re.search(r"Pss:\s+(\d+)", (entry / "smaps_rollup").read_text())[1])
            except (OSError, TypeError):
                continue
        return total / 1024

    def measure(self, job, connections, seconds):
        """Requests a second, p50 and p99 in ms, failed."""
        path, body = self.routes[job]
        run = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "-s", str(HERE / "post.lua"), self.url + path],
            env={**os.environ, "LABEL": "run", "BODY": json.dumps(body)}, capture_output=True, text=True, check=True)
        return [float(x) for x in run.stdout.strip().splitlines()[-1].split(",")[1:]]

    def stop(self):
        self.process.stdin.close()
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def carousel_routes(rows):
    complete = {"model": "shakespeare", "prompt": PROMPT, "temperature": 0, "no_repeat_ngram_size": 0}
    return {"digits": ("/v1/classify", {"model": "digits", "input": rows}),
            **{f"text {n}": ("/v1/completions", {**complete, "max_tokens": n}) for n in (64, 256)},
            "forecast": ("/v1/forecast", {"model": "numbers", "series": [2, 4, 8, 16], "horizon": 1})}


def other_routes(rows, classify, complete):
    return {"digits": (classify, {"input": rows}),
            **{f"text {n}": (complete, {"prompt": PROMPT, "max_tokens": n}) for n in (64, 256)}}


def start_all(options, rows, folder):
    python, env = sys.executable, {"ZOO": options.zoo, "NETWORKS": folder, "OMP_NUM_THREADS": "1"}
    carousel = [options.program, "serve", "--port", "0", "--models", options.zoo, "--set", "log.access=false"]
    return [
        Server("carousel", carousel, carousel_routes(rows)),
        Server("carousel float32", [*carousel, "--set", "models.precision=float32"], carousel_routes(rows)),
        Server("FastAPI", [python, "-m", "uvicorn", "fastapi_app:app", "--app-dir", str(HERE / "servers"), "--workers", "2",
                           "--port", "8871", "--log-level", "warning"],
               other_routes(rows, "/classify", "/complete"), 8871, env),
        Server("LitServe", [python, str(HERE / "servers" / "litserve_app.py"), "8872"],
               other_routes(rows, "/predict", "/predict"), 8872, env),
        Server("bare libmicrohttpd", [f"{options.programs}/bench_bare", "2"],
               {"forecast": carousel_routes(rows)["forecast"]})]


def check(server, models, rows):
    """What is wrong with a server's answers; None: nothing."""
    if "digits" not in server.routes:
        return None
    best, found = models.classify(rows)[0], server.ask("digits")["results"][0][0]
    if found["label"] != best["label"] or abs(found["score"] - best["score"]) > 0.02:
        return f"digits: {found}, expected {best}"
    answer = server.ask("text 64")
    text = answer["choices"][0]["text"] if "choices" in answer else answer["text"]
    expected = models.complete(PROMPT, 64)
    if server.name != "carousel" and text != expected:
        return f"text: {text!r}, expected {expected!r}"
    return None


def run(options, servers):
    """{(job, connections): {server: medians}}"""
    found = {}
    for _ in range(options.rounds):
        for job in options.jobs.split(","):
            for connections in CONNECTIONS:
                for server in servers:
                    if job in server.routes:
                        row = found.setdefault((job, connections), {}).setdefault(server.name, [])
                        row.append(server.measure(job, connections, options.seconds))
    return {key: {name: [statistics.median(column) for column in zip(*rows)] for name, rows in row.items()}
            for key, row in found.items()}


def milliseconds(value):
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def beside_best(row, column, best):
    """Carousel's figure by the best of the others that answered at all; None: none did."""
    others = [row[name][column] for name in ("FastAPI", "LitServe") if name in row and row[name][0]]
    return row["carousel"][column] / best(others) if others else None


def print_ratios(found):
    """Carousel beside the best of the others."""
    for job in dict.fromkeys(job for job, _ in found):
        rows = [found[job, c] for c in CONNECTIONS]
        if "carousel" not in rows[0] or not any(name in rows[0] for name in ("FastAPI", "LitServe")):
            continue
        print(f"\n| {job}, carousel beside the best other | " + " | ".join(map(str, CONNECTIONS)) +
              " |\n|---|" + "---|" * len(CONNECTIONS))
        for title, column, best in (("requests a second, times theirs", 0, max), ("p99, share of theirs", 2, min)):
            cells = [beside_best(row, column, best) for row in rows]
            print(f"| {title} | " + " | ".join("-" if cell is None else f"{cell:.2g}" for cell in cells) + " |")


def print_tables(servers, found):
    print("\n| server | ready, s | memory, MB |\n|---|---|---|")
    for server in servers:
        print(f"| {server.name} | {server.ready:.2f} | {server.memory():.0f} |")
    for job in dict.fromkeys(job for job, _ in found):
        print(f"\n| {job} | " + " | ".join(str(c) for c in CONNECTIONS) + " |\n|---|" + "---|" * len(CONNECTIONS))
        for name in found[job, CONNECTIONS[0]]:
            cells = [found[job, c][name] for c in CONNECTIONS]
            print(f"| {name} | " + " | ".join(f"{r:,.0f}; {milliseconds(p50)}, {milliseconds(p99)}" + (f", {failed:.0f} failed" if failed else "")
                                              for r, p50, p99, failed in cells) + " |")


def write_svg(path, found):
    """Bars on a logarithmic scale, a row of bars for each job and number of connections."""
    names = list(dict.fromkeys(name for row in found.values() for name in row))
    colours = dict(zip(names, ("#0b6e4f", "#7bb662", "#c0563b", "#d9a441", "#8a8f98")))
    most = max(cells[0] for row in found.values() for cells in row.values())
    decades = len(str(int(most)))
    parts, y, left, width = [], 34, 130, 520
    for k, name in enumerate(names):
        parts.append(f'<rect x="{10 + 140 * k}" y="8" width="10" height="10" fill="{colours[name]}"/>'
                     f'<text x="{24 + 140 * k}" y="17">{name}</text>')
    for (job, connections), row in found.items():
        parts.append(f'<text x="10" y="{y + 7 * len(row) + 2}">{job}, {connections}</text>')
        for name, cells in row.items():
            length = max(2, width * (math.log10(max(cells[0], 1)) / decades))
            parts.append(f'<rect x="{left}" y="{y}" width="{length:.0f}" height="12" fill="{colours[name]}"/>'
                         f'<text x="{left + length + 4:.0f}" y="{y + 10}">{cells[0]:,.0f}</text>')
            y += 14
        y += 8
    pathlib.Path(path).write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 730 {y + 20}" font-family="sans-serif" font-size="11">\n'
        f'<rect width="730" height="{y + 20}" fill="#ffffff"/>\n' + "\n".join(parts) +
        f'\n<text x="10" y="{y + 10}">requests a second from so many connections, logarithmic</text>\n</svg>\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/carousel")
    parser.add_argument("--programs", default="build/release/tests", help="the folder of bench_bare")
    parser.add_argument("--zoo", default="zoo")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--jobs", default="digits,text 64,text 256,forecast")
    parser.add_argument("--svg")
    options = parser.parse_args()
    case = json.loads(pathlib.Path(options.zoo, "digits", "golden.json").read_text())["cases"][0]
    with tempfile.TemporaryDirectory() as folder:
        networks.write(options.zoo, folder)
        models = networks.Models(options.zoo, folder)
        servers = start_all(options, case["input"], folder)
        try:
            for server in list(servers):
                fault = check(server, models, case["input"])
                if fault:
                    print(f"{server.name} is left out: {fault}")
                    server.stop()
                    servers.remove(server)
            load = os.getloadavg()[0]
            model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
            found = run(options, servers)
            print(f"{model[1] if model else 'processor'}, {os.cpu_count()} cores; {load:.1f} processes wanted a core before the run")
            print_tables(servers, found)
            print_ratios(found)
            if options.svg:
                write_svg(options.svg, found)
        finally:
            for server in servers:
                server.stop()


if __name__ == "__main__":
    main()
