#!/usr/bin/env python3
"""What grows and what does not: tests/bench/growth.py [OPTION]...

Two questions about zoo/shakespeare. What does a token cost after a history of 100 to 1,000,000 tokens? A server reads
the history in pieces, each after the state that the last one left, and then writes --tokens tokens from there,
--rounds times: milliseconds a token, median, as the client sees them. And how many tokens a second do 1 to 1,024
streams make together (bench_generation, without HTTP)? Prints two tables; --svg FILE draws them. Needs build/carousel,
bench_generation in --programs, and Python's standard library only.
"""
import argparse
import http.client
import json
import math
import pathlib
import statistics
import subprocess
import sys
import time

HISTORIES, STREAMS = (100, 1000, 10_000, 100_000, 1_000_000), (1, 4, 16, 64, 256, 1024)
PIECE = 50_000
TEXT = "To be, or not to be, that is the question:\nWhether 'tis nobler in the mind to suffer\n"


class Server:
    def __init__(self, options):
        command = [options.program, "serve", "--model", f"shakespeare={options.bundle}", "--port", "0",
                   "--set", "log.access=false", "--set", "models.folders=", "--set", f"models.precision={options.precision}"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.connection = http.client.HTTPConnection("127.0.0.1", int(self.process.stdout.readline().rsplit(":", 1)[1]))

    def complete(self, **body):
        self.connection.request("POST", "/v1/completions", json.dumps({"model": "shakespeare", "seed": 1, **body}),
                                {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            sys.exit(text)
        return json.loads(text)

    def stop(self):
        self.process.terminate()
        if self.process.wait(60):
            sys.exit("the server ended badly")


def measure_histories(options):
    """{history: ms a token}"""
    server, found, read, last = Server(options), {}, 0, {}
    for history in HISTORIES:
        while read < history:
            n = min(PIECE, history - read)
            prompt = (TEXT * (n // len(TEXT) + 1))[:n]
            last = {"previous_response_id": server.complete(prompt=prompt, max_tokens=0, store=True, **last)["id"]}
            read += n
        times = []
        for _ in range(options.rounds):
            began = time.perf_counter()
            server.complete(max_tokens=options.tokens, **last)
            times.append((time.perf_counter() - began) * 1e3 / options.tokens)
        found[history] = statistics.median(times)
    server.stop()
    return found


def measure_streams(options):
    """{streams: tokens a second}"""
    command = [f"{options.programs}/bench_generation", "--workers", str(options.workers), "--precision", options.precision,
               "--tokens", str(options.tokens), options.bundle, *map(str, STREAMS)]
    rows = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return {int(row.split(",")[3]): float(row.split(",")[4]) for row in rows}


def panel(x, title, found, text, logarithmic):
    """Points over powers of ten, from `x` on; the vertical axis begins at 0, or is logarithmic too."""
    left, top, width, height = x + 30, 40, 290, 150
    high = max(found.values())
    steps = list(found)

    def place(step, value):
        share = math.log(value) / math.log(high) if logarithmic else value / (1.5 * high)
        return left + width * steps.index(step) / (len(steps) - 1), top + height * (1 - share)

    places = [place(*item) for item in found.items()]
    parts = [f'<text x="{left}" y="20" font-weight="bold">{title}</text>',
             f'<path d="M{left} {top} V{top + height} H{left + width}" fill="none" stroke="#8a8f98"/>',
             '<polyline points="' + " ".join(f"{a:.0f},{b:.0f}" for a, b in places) + '" fill="none" stroke="#0b6e4f"/>']
    for (step, value), (a, b) in zip(found.items(), places):
        parts += [f'<circle cx="{a:.0f}" cy="{b:.0f}" r="3" fill="#0b6e4f"/>',
                  f'<text x="{a:.0f}" y="{b - 8:.0f}" text-anchor="middle">{text(value)}</text>',
                  f'<text x="{a:.0f}" y="{top + height + 14}" text-anchor="middle">{step:,}</text>']
    return parts


def write_svg(path, histories, streams):
    parts = panel(0, "ms a token after so many tokens", histories, lambda v: f"{v:.3f}", False)
    parts += panel(370, "tokens a second of so many streams", streams, lambda v: f"{v:,.0f}", True)
    pathlib.Path(path).write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 730 220" font-family="sans-serif" font-size="11">\n'
        '<rect width="730" height="220" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/carousel")
    parser.add_argument("--programs", default="build/release/tests", help="the folder of bench_generation")
    parser.add_argument("--bundle", default="zoo/shakespeare")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--svg")
    options = parser.parse_args()
    histories, streams = measure_histories(options), measure_streams(options)
    for title, found, digits in (("ms a token", histories, 3), ("tokens a second", streams, 0)):
        print("\n| | " + " | ".join(f"{step:,}" for step in found) + " |\n|---|" + "---|" * len(found))
        print(f"| {title} | " + " | ".join(f"{value:,.{digits}f}" for value in found.values()) + " |")
    if options.svg:
        write_svg(options.svg, histories, streams)


if __name__ == "__main__":
    main()
