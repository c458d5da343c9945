"""LSTM, GRU and simple RNN beside PyTorch: same weights, same tokens, one machine, one run.

    make bench-programs && python3 tests/bench/recurrent.py [--threads 1] [--rounds 5] [--shapes 1x1,16x1,...]

The networks: embedding 100x64 -> 2 x LSTM, GRU or RNN of 512 -> linear 100, weights by PyTorch from a fixed seed. A
shape BxT is one call: B sequences of T steps, the linear layer on the last step. Answers are compared first, within
1e-4. Then rounds: both in turn, a median of calls each; the table gives the median over rounds in milliseconds, and how
many times as fast Carousel is. Needs torch, numpy and safetensors.
"""
import argparse
import csv
import io
import json
import pathlib
import statistics
import subprocess
import time

import numpy as np
import torch
from safetensors.torch import save_file

V, E, H, LAYERS, TOLERANCE = 100, 64, 512, 2, 1e-4


class Network(torch.nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.embedding = torch.nn.Embedding(V, E)
        self.rnn = getattr(torch.nn, kind)(E, H, LAYERS)
        self.head = torch.nn.Linear(H, V)

    def forward(self, tokens):
        return self.head(self.rnn(self.embedding(tokens))[0][-1])


def tokens_of(B, T):
    """[T, B], as bench_network.c makes them."""
    b, i = np.meshgrid(np.arange(B), np.arange(T))
    return torch.from_numpy(((7 * b + 3 * i + b * i) % V).astype(np.int64))


def write_bundle(net, kind, folder):
    folder.mkdir(parents=True, exist_ok=True)
    save_file(net.state_dict(), folder / "model.safetensors")
    letters, ids = [chr(256 + i) for i in range(V)], [3, 1, 41, 59]
    config = {"format_version": 1, "task": "text-generation", "tokenizer": {"type": "characters", "vocabulary": letters},
              "network": [{"type": "embedding", "prefix": "embedding", "num_embeddings": V, "embedding_dim": E},
                          {"type": kind.lower(), "prefix": "rnn", "input_size": E, "hidden_size": H, "num_layers": LAYERS},
                          {"type": "linear", "prefix": "head", "in_features": H, "out_features": V}]}
    output = net(torch.tensor(ids)[:, None])[0].tolist()
    golden = {"cases": [{"input": "".join(letters[i] for i in ids), "tokens": ids, "output": output}]}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "golden.json").write_text(json.dumps(golden), encoding="utf-8")


def bench(command, *options):
    printed = subprocess.run([*command, *options], check=True, capture_output=True, text=True).stdout
    return next(csv.reader(io.StringIO(printed)))


def time_torch(net, tokens, seconds=0.25):
    times, until = [], time.perf_counter() + seconds
    net(tokens)
    while len(times) < 9 or time.perf_counter() < until:
        start = time.perf_counter()
        net(tokens)
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shapes", default="1x1,16x1,64x1,1x128,16x128")
    parser.add_argument("--programs", default="build/release/tests")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    shapes = [tuple(map(int, shape.split("x"))) for shape in args.shapes.split(",")]
    print(f"{'':6} {'shape':>8} {'carousel':>10} {'pytorch':>10}")
    for kind in ("LSTM", "GRU", "RNN"):
        torch.manual_seed(1)
        net, folder = Network(kind).eval(), pathlib.Path("build/bench") / kind.lower()
        with torch.inference_mode():
            write_bundle(net, kind, folder)
            command = [f"{args.programs}/bench_network", "--threads", str(args.threads)]
            bench(command, "--samples", "1", "--outputs", str(folder / "outputs"), str(folder), "5x9")
            found = np.fromfile(folder / "outputs", np.float32).reshape(5, V)
            difference = float(np.abs(found - net(tokens_of(5, 9)).numpy()).max())
            if difference > TOLERANCE:
                raise SystemExit(f"{kind}: the answers differ by {difference:.2g}")
            for B, T in shapes:
                ours, theirs = [], []
                for _ in range(args.rounds):
                    ours.append(float(bench(command, str(folder), f"{B}x{T}")[4]))
                    theirs.append(time_torch(net, tokens_of(B, T)))
                a, b = statistics.median(ours), statistics.median(theirs)
                print(f"{kind:6} {f'{B}x{T}':>8} {a:10.3f} {b:10.3f}   {b / a:.1f} times as fast", flush=True)


main()
