"""An encoder-decoder in Carousel, ONNX Runtime and PyTorch: same weights, same tokens, greedy, one core.

    make bench-translation
    build/translation/venv/bin/python tests/bench/translation.py [--rounds 7] [--sentences 1,16,64] [--programs ...]

The network has the shape of zoo/eng-fra (zoo/seq2seq.py): 4,000 pieces, tied embedding 192, BiLSTM 2 x 192, attention,
LSTM 192, LSTM 384, attention; weights by PyTorch from a fixed seed. A call translates so many sentences of 12 tokens, all
of one length, so that nothing is padded, into at most 24 tokens each. PyTorch and ONNX Runtime encode all sentences at
once and then run the decoder step by step for all until each has ended; Carousel gets them as requests of their own.
Tokens are compared first: float32 contestants that do not write PyTorch's are left out; of int8 the share of sentences
with the same tokens is printed. Then rounds, every contestant in turn. Times are of the processor, medians over rounds:
they do not count what other processes take.
"""
import argparse
import csv
import io
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "zoo"))
import seq2seq  # noqa: E402

V, SIZES, STEPS, MOST = 4000, (192, 192, 192, 384), 12, 24
FOLDER = pathlib.Path("build/translation")
BOS, EOS = seq2seq.BOS, seq2seq.EOS


def sources(n):
    """[n, STEPS + 2]: as bench_translation.c makes them, between the marks of begin and end."""
    i, k = np.meshgrid(np.arange(n), np.arange(STEPS), indexing="ij")
    return np.pad((2 + (7 * i + 3 * k + i * k) % (V - 2)).astype(np.int64), ((0, 0), (1, 1)), constant_values=((0, 0), (BOS, EOS)))


def write_bundle(model):
    FOLDER.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, FOLDER / "model.safetensors")
    words = ["<s>", "</s>", *(f"w{i}" for i in range(V - 2))]
    ids, target = [2, 700, 31, 3999], [BOS, 5, 1234]
    config = {"format_version": 1, "task": "translation", "network": model.network(),
              "tokenizer": {"type": "words", "vocabulary": words, "bos_token": "<s>", "eos_token": "</s>"}}
    golden = {"cases": [{"input": " ".join(words[i] for i in ids), "tokens": [BOS, *ids, EOS], "target": target,
                         "output": model(torch.tensor([[BOS, *ids, EOS]]), torch.tensor([target]))[0, -1].tolist()}]}
    (FOLDER / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (FOLDER / "golden.json").write_text(json.dumps(golden), encoding="utf-8")


def cut(rows):
    """Tokens up to the end."""
    return [row[:row.index(EOS)] if EOS in row else row for row in rows]


class Torch:
    def __init__(self, model):
        self.model = model

    def translate(self, source):
        with torch.inference_mode():
            memory, states = self.model.encode(torch.from_numpy(source)), (None, None)
            token, out = torch.full((len(source), 1), BOS), []
            ended = torch.zeros(len(source), 1, dtype=torch.bool)
            for _ in range(MOST):
                logits, states = self.model.decode(token, memory, states)
                token = logits.argmax(2)
                out.append(token)
                ended |= token == EOS
                if ended.all():
                    break
            return cut(torch.cat(out, 1).tolist())


class Graph:
    """Nodes of an ONNX graph, with PyTorch's weights."""

    def __init__(self, model):
        self.weights = {k: v.detach().numpy() for k, v in model.state_dict().items()}
        self.tensors, self.nodes = [], []

    def constant(self, value, name=None):
        name = name or f"constant{len(self.tensors)}"
        if name not in [t.name for t in self.tensors]:
            self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def weight(self, name, transposed=False):
        value = self.weights[name]
        return self.constant(value.T if transposed else value, name + (".T" if transposed else ""))

    def add(self, kind, inputs, outputs=None, **more):
        outputs = outputs or [f"v{len(self.nodes)}"]
        self.nodes.append(helper.make_node(kind, inputs, outputs, **more))
        return outputs[0]

    def ints(self, *values):
        return self.constant(np.array(values, np.int64))

    def lstm(self, x, name, layer, hidden, state=None, both=False):
        """x [T, B, inputs]; the outputs [T, B, hidden, of each direction]. state: names of h and c, both [1, B, hidden]."""
        ways = ("", "_reverse") if both else ("",)

        def iofc(part):
            rows = []
            for way in ways:
                i, f, g, o = np.split(self.weights[f"{name}.{part}_l{layer}{way}"], 4)
                rows.append(np.concatenate([i, o, f, g]))
            return np.stack(rows)
        bias = np.concatenate([iofc("bias_ih"), iofc("bias_hh")], 1)
        h, c = (f"{state}_h", f"{state}_c") if state else ("", "")
        outputs = [f"{name}{layer}_y", f"{state}_h_out", f"{state}_c_out"] if state else [f"{name}{layer}_y"]
        y = self.add("LSTM", [x, self.constant(iofc("weight_ih")), self.constant(iofc("weight_hh")), self.constant(bias), "",
                              h, c], outputs, hidden_size=hidden, direction="bidirectional" if both else "forward")
        y = self.add("Transpose", [y], perm=[0, 2, 1, 3])
        return self.add("Reshape", [y, self.ints(0, 0, hidden * len(ways))])

    def attention(self, h, name):
        """h [1, B, D], memory [B, S, M] and its transpose: [1, B, M]."""
        D = self.weights[f"{name}.weight"].shape[0]
        query = self.add("MatMul", [self.add("Transpose", [h], perm=[1, 0, 2]), self.weight(f"{name}.weight")])
        scores = self.add("MatMul", [query, "memory_T"])
        scores = self.add("Mul", [scores, self.constant(np.array(1 / math.sqrt(D), np.float32))])
        context = self.add("MatMul", [self.add("Softmax", [scores], axis=2), "memory"])
        return self.add("Transpose", [context], perm=[1, 0, 2])

    def save(self, path, inputs, outputs):
        def value(name, kind, shape):
            return helper.make_tensor_value_info(name, kind, shape)
        graph = helper.make_graph(self.nodes, "graph", [value(*i) for i in inputs], [value(*o) for o in outputs],
                                  self.tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.checker.check_model(model)
        onnx.save(model, path)


def write_encoder(model, path):
    E, H, _, _ = SIZES
    g = Graph(model)
    x = g.add("Gather", [g.weight("source.weight"), "tokens"])
    for layer in range(2):
        x = g.lstm(x, "encoder", layer, H, both=True)
    g.add("Transpose", [x], ["memory"], perm=[1, 0, 2])
    g.add("Transpose", [x], ["memory_T"], perm=[1, 2, 0])
    g.save(path, [("tokens", TensorProto.INT64, ["S", "B"])],
           [("memory", TensorProto.FLOAT, ["B", "S", 2 * H]), ("memory_T", TensorProto.FLOAT, ["B", 2 * H, "S"])])


def write_decoder(model, path):
    E, H, D1, D2 = SIZES
    g = Graph(model)
    x = g.add("Gather", [g.weight("source.weight"), "tokens"])
    h1 = g.lstm(x, "decoder1", 0, D1, "first")
    h2 = g.lstm(g.add("Concat", [g.attention(h1, "attention1"), h1], axis=2), "decoder2", 0, D2, "second")
    x = g.add("Concat", [g.attention(h2, "attention2"), h2], axis=2)
    x = g.add("Squeeze", [x, g.ints(0)])
    x = g.add("Tanh", [g.add("Gemm", [x, g.weight("mix.weight"), g.weight("mix.bias")], transB=1)])
    logits = g.add("MatMul", [x, g.weight("source.weight", True)])
    g.add("ArgMax", [logits], ["token"], axis=1, keepdims=0)
    states = [(f"{s}_{p}", TensorProto.FLOAT, [1, "B", D]) for s, D in (("first", D1), ("second", D2)) for p in "hc"]
    g.save(path, [("tokens", TensorProto.INT64, [1, "B"]), ("memory", TensorProto.FLOAT, ["B", "S", 2 * H]),
                  ("memory_T", TensorProto.FLOAT, ["B", 2 * H, "S"]), *states],
           [("token", TensorProto.INT64, ["B"]), *((n + "_out", k, s) for n, k, s in states)])


class Onnx:
    def __init__(self, model):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        write_encoder(model, FOLDER / "encoder.onnx")
        write_decoder(model, FOLDER / "decoder.onnx")
        self.encoder, self.decoder = (
            ort.InferenceSession(FOLDER / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
            for name in ("encoder", "decoder"))

    def translate(self, source):
        B = len(source)
        memory, memory_T = self.encoder.run(None, {"tokens": source.T})
        feed = {"memory": memory, "memory_T": memory_T}
        for name, size in (("first", SIZES[2]), ("second", SIZES[3])):
            for part in "hc":
                feed[f"{name}_{part}"] = np.zeros((1, B, size), np.float32)
        token, out, ended = np.full(B, BOS, np.int64), [], np.zeros(B, bool)
        for _ in range(MOST):
            token, *states = self.decoder.run(None, {**feed, "tokens": token[None]})
            for name, state in zip(("first_h", "first_c", "second_h", "second_c"), states):
                feed[name] = state
            out.append(token)
            ended |= token == EOS
            if ended.all():
                break
        return cut(np.stack(out, 1).tolist())


def time_calls(contestant, source, seconds=1.0):
    """Median milliseconds of the processor."""
    contestant.translate(source)
    times, until = [], time.process_time() + seconds
    while len(times) < 3 or time.process_time() < until:
        start = time.process_time()
        contestant.translate(source)
        times.append(time.process_time() - start)
    return 1e3 * statistics.median(times)


class Carousel:
    def __init__(self, program, precision):
        self.command = [program, "--precision", precision, "--steps", str(STEPS), "--tokens", str(MOST)]

    def run(self, n, *options):
        printed = subprocess.run([*self.command, *options, FOLDER, str(n)], check=True, capture_output=True, text=True)
        return next(csv.reader(io.StringIO(printed.stdout)))

    def translate(self, source):
        path = FOLDER / "outputs"
        self.run(len(source), "--runs", "1", "--outputs", path)
        return [[int(token) for token in line.split()] for line in path.read_text().splitlines()]


def measure(contestant, n):
    if isinstance(contestant, Carousel):
        return float(contestant.run(n, "--runs", "25" if n < 32 else "9")[6])
    return time_calls(contestant, sources(n))


def check(contestants, n):
    expected = contestants["pytorch float32"].translate(sources(n))
    print(f"# {n} sentences, {sum(map(len, expected))} tokens")
    for name in list(contestants):
        found = contestants[name].translate(sources(n))
        same = sum(a == b for a, b in zip(found, expected)) / n
        print(f"# {name}: the same tokens in {100 * same:.1f} % of the sentences")
        if "float32" in name and found != expected:
            print(f"# {name}: left out")
            del contestants[name]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sentences", default="1,16,64")
    parser.add_argument("--programs", default="build/release/tests")
    args = parser.parse_args()
    numbers = [int(n) for n in args.sentences.split(",")]
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = seq2seq.Model(V, V, SIZES, 0, tied=True).eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights *= 2.5  # or all sentences become one
        write_bundle(model)
    program = f"{args.programs}/bench_translation"
    contestants = {"carousel float32": Carousel(program, "float32"), "carousel int8": Carousel(program, "int8"),
                   "onnxruntime float32": Onnx(model), "pytorch float32": Torch(model)}
    for n in numbers:
        check(contestants, n)
    times = {name: {n: [] for n in numbers} for name in contestants}
    for r in range(args.rounds):
        print(f"round {r + 1} of {args.rounds}", file=sys.stderr)
        for n in numbers:
            for name, contestant in contestants.items():
                times[name][n].append(measure(contestant, n))
    medians = {name: {n: statistics.median(t) for n, t in by.items()} for name, by in times.items()}
    print(f"# onnxruntime {ort.__version__}, torch {torch.__version__}; ms of the processor a call, median of rounds")
    header = "| | " + " | ".join(str(n) for n in numbers) + " |" + "\n" + "|---" * (len(numbers) + 1) + "|"
    print(header)
    for name, by in medians.items():
        print(f"| {name} | " + " | ".join(f"{by[n]:.3g}" for n in numbers) + " |")
    print("\n# how many times faster", header, sep="\n")
    for ours in ("carousel float32", "carousel int8"):
        for other in ("onnxruntime float32", "pytorch float32"):
            if ours in medians and other in medians:
                print(f"| {ours} than {other} | "
                      + " | ".join(f"{medians[other][n] / medians[ours][n]:.2f}" for n in numbers) + " |")


if __name__ == "__main__":
    main()
