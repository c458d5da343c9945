#!/usr/bin/env python3
"""How fast models load, and what they weigh: tests/bench/load.py [OPTION]...

Makes a bundle of --megabytes of float32 weights (a network of LSTM layers with random weights, whose answer to
zeros is known without computing), starts a server with it in each precision, --rounds times, and prints for each the
median time from start to listening in ms, gigabytes of the file a second, and the memory that stays resident
beside the weights in use. The file is read once before, so that it comes from the page cache. Then the same for
the models of zoo/. Needs build/carousel, and Python's standard library only.
"""
import argparse
import array
import json
import os
import random
import re
import statistics
import struct
import subprocess
import tempfile
import time

HIDDEN, LABELS, BLOCK = 2048, 4, 1 << 18
PRECISIONS = ("float32", "float16", "bfloat16", "int8")


def write_bundle(folder, megabytes):
    """Layers of HIDDEN units, as many as make the size; zeros in give the last bias out."""
    n_layers = max(1, round(megabytes * 1e6 / (4 * 4 * HIDDEN * 2 * HIDDEN)))
    shapes, network = {}, []
    for k in range(n_layers):
        shapes[f"lstm{k}.weight_ih_l0"] = [4 * HIDDEN, HIDDEN]
        shapes[f"lstm{k}.weight_hh_l0"] = [4 * HIDDEN, HIDDEN]
        network.append({"type": "lstm", "prefix": f"lstm{k}", "input_size": HIDDEN, "hidden_size": HIDDEN,
                        "bias": False})
    shapes["output.weight"], shapes["output.bias"] = [LABELS, HIDDEN], [LABELS]
    network.append({"type": "pooling", "mode": "last"})
    network.append({"type": "linear", "prefix": "output", "in_features": HIDDEN, "out_features": LABELS})
    bias = [0.5, -1.0, 2.0, 0.25]
    header, end = {}, 0
    for name, shape in shapes.items():
        n = 4 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + n]}
        end += n
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    draw = random.Random(1)
    block = array.array("f", (draw.uniform(-0.05, 0.05) for _ in range(BLOCK))).tobytes()
    with open(f"{folder}/model.safetensors", "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        left = end - 4 * LABELS
        while left:
            left -= out.write(block[:left])
        out.write(struct.pack(f"<{LABELS}f", *bias))
    steps = [[0.0] * HIDDEN] * 2
    case = {"input": steps, "features": steps, "output": bias}
    for name, content in (("golden.json", {"cases": [case]}), ("config.json", {
            "format_version": 1, "task": "sequence-classification", "network": network,
            "labels": [str(i) for i in range(LABELS)]})):
        with open(f"{folder}/{name}", "w") as out:
            json.dump(content, out)
    return os.path.getsize(f"{folder}/model.safetensors")


def start(arguments, options):
    """Milliseconds to listening with all models served, resident kB, and bytes of weights in use."""
    command = [options.binary, "serve", "--port", "0", *arguments]
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        line = server.stdout.readline()
        took = (time.monotonic() - began) * 1e3
        if "listening" not in line:
            raise SystemExit(f"{' '.join(command)}: {server.stderr.read()}")
        with open(f"/proc/{server.pid}/status") as status:
            resident = int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])
        server.terminate()
        log = server.stderr.read()
    weights = sum(int(n) for n in re.findall(r"(\d+) bytes of weights", log))
    if not weights:
        raise SystemExit(log)
    return took, resident, weights


def row(name, file_bytes, runs):
    took = statistics.median(run[0] for run in runs)
    beside = statistics.median(run[1] * 1024 - run[2] for run in runs)
    print(f"{name:24} {took:9.0f} {file_bytes / took / 1e6:9.2f} {runs[0][2] / 1e6:9.1f} {beside / 1e6:9.1f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="build/carousel")
    parser.add_argument("--megabytes", type=int, default=900)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--zoo", default="zoo")
    options = parser.parse_args()
    print(f"{'':24} {'ms':>9} {'GB/s':>9} {'weights':>9} {'beside':>9}   (MB)")
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(f"{folder}/big")
        size = write_bundle(f"{folder}/big", options.megabytes)
        with open(f"{folder}/big/model.safetensors", "rb") as weights:
            while weights.read(1 << 24):
                pass
        for precision in PRECISIONS:
            arguments = ["--models", folder, "--set", f"models.precision={precision}"]
            row(f"{size / 1e6:.0f} MB, {precision}", size, [start(arguments, options) for _ in range(options.rounds)])
    size = sum(os.path.getsize(f"{options.zoo}/{name}/model.safetensors") for name in os.listdir(options.zoo)
               if os.path.exists(f"{options.zoo}/{name}/model.safetensors"))
    row("zoo", size, [start(["--models", options.zoo], options) for _ in range(options.rounds)])


if __name__ == "__main__":
    main()
