#!/usr/bin/env python3
"""How fast the models draw, write, read and hear: tests/bench/pen_and_voice.py [--runs 9] [--precision int8]

Prints CSV: what, milliseconds (the server's own total of a request, with one worker; the median of the runs, which are
taken in turns), and the quantity that counts: 64 pictures as a multiple of one, a line of 40 letters in ms, and the
real-time factors of ink (a writing at 100 points a second) and of speech, whole, and in pieces of 0.2 s as from a
microphone (the sum of the requests). Needs build/carousel and Python's standard library only.
"""
import argparse
import json
import math
import pathlib
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import wave

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINE = "a line of forty letters, as it is asked."  # 40


class Server:
    def __init__(self, models, precision):
        command = [str(ROOT / "build/carousel"), "serve", "--port", "0", "--set", "scheduler.workers=1",
                   "--set", "limits.choices=64", "--set", "models.required=all"]
        if precision:
            command += ["--set", f"models.precision={precision}"]
        for name, path in models.items():
            command += ["--model", f"{name}={path}"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = self.process.stdout.readline().split()[-1]
        while not self.is_ready():
            time.sleep(0.1)

    def is_ready(self):
        try:
            return urllib.request.urlopen(self.url + "/readyz").status == 200
        except urllib.error.HTTPError:
            return False

    def total_ms(self, route, body, content_type="application/json"):
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        request = urllib.request.Request(self.url + route, body, {"Content-Type": content_type})
        with urllib.request.urlopen(request) as reply:
            reply.read()
            parts = dict(part.strip().split(";dur=") for part in reply.headers["Server-Timing"].split(","))
        return float(parts["total"])

    def live_ms(self, model, seconds, rate=8000, each=1600):
        """The sum over a session to which pieces of a recording are sent."""
        noise, sent = random.Random(1), json.dumps({"model": model}).encode()
        request = urllib.request.Request(self.url + "/v1/sessions", sent, {"Content-Type": "application/json"})
        session = json.load(urllib.request.urlopen(request))["id"]
        pieces = [[noise.uniform(-0.1, 0.1) for _ in range(each)] for _ in range(seconds * rate // each)]
        return sum(self.total_ms("/v1/transcribe", {"session": session, "samples": piece}) for piece in pieces)


def a_writing(seconds):
    """Loops of a pen at 100 points a second, a stroke a second."""
    return [[[0.3 * i + 8 * math.sin(0.21 * i), 20 * math.sin(0.17 * i)] for i in range(100 * s, 100 * s + 100)]
            for s in range(seconds)]


def a_recording(path, seconds, rate=8000):
    noise = random.Random(1)
    with wave.open(path, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(b"".join(struct.pack("<h", noise.randrange(-3000, 3000)) for _ in range(seconds * rate)))
    return pathlib.Path(path).read_bytes()


def as_form(model, file):
    parts = [f'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n{model}\r\n'.encode(),
             b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n', file, b"\r\n--x--\r\n"]
    return b"".join(parts)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=9)
    arguments.add_argument("--precision", help="of all models; the bundles' own if left out")
    options = arguments.parse_args()
    runs = options.runs
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        names = ("digits-draw", "handwriting", "ink", "digits-speech", "digits-speech-live")
        models = {name: ROOT / "zoo" / name for name in names}
        server = Server(models, options.precision)
        form = as_form("digits-speech", a_recording(str(scratch / "a.wav"), 10))
        speech = ("/v1/audio/transcriptions", form, "multipart/form-data; boundary=x")
        asks = {"draw 1": ("/v1/images/generations", {"model": "digits-draw", "prompt": "3", "seed": 1}),
                "draw 64": ("/v1/images/generations", {"model": "digits-draw", "prompt": "3", "n": 64, "seed": 1}),
                "write 40 letters": ("/v1/handwriting", {"model": "handwriting", "input": LINE, "seed": 1}),
                "read 10 s of a pen": ("/v1/transcribe", {"model": "ink", "strokes": a_writing(10)}),
                "hear 10 s": speech}
        times = {name: [] for name in [*asks, "hear 10 s live"]}
        for _ in range(runs + 1):  # the first one warms up
            for name, ask in asks.items():
                times[name].append(server.total_ms(*ask))
            times["hear 10 s live"].append(server.live_ms("digits-speech-live", 10))
        server.process.terminate()
    median = {name: statistics.median(all_of[1:]) for name, all_of in times.items()}
    print("what,total_ms,quantity,value,wanted")
    for name, quantity, value, wanted in (
            ("draw 1", "", "", ""), ("draw 64", "times one", median["draw 64"] / median["draw 1"], 2),
            ("write 40 letters", "ms", median["write 40 letters"], 50),
            ("read 10 s of a pen", "real-time factor", median["read 10 s of a pen"] / 1e4, 0.01),
            ("hear 10 s", "real-time factor", median["hear 10 s"] / 1e4, 0.01),
            ("hear 10 s live", "real-time factor", median["hear 10 s live"] / 1e4, 0.01)):
        print(f"{name},{median[name]:.2f},{quantity},{value if value == '' else f'{value:.4f}'},{wanted}")


if __name__ == "__main__":
    sys.exit(main())
