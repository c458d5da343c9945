"""An encoder-decoder in Carousel, ONNX Runtime and PyTorch: same weights, same tokens, greedy, one core.

    make bench-translation
    build/translation/venv/bin/python tests/bench/translation.py [--rounds 3] [--sentences 1,16,64] [--programs ...]
        [--bundle zoo/eng-fra --pairs data/translation/eng-fra.tatoeba.tsv.gz [--batches 4]]

Without --bundle the network has the shape of zoo/eng-fra (zoo/seq2seq.py): 4,000 pieces, tied embedding 192, BiLSTM 2 x
192, attention, LSTM 192, LSTM 384, attention; weights by PyTorch from a fixed seed. A call translates so many sentences
of 12 tokens, all of one length, so that nothing is padded, into at most 24 tokens each: these weights hardly ever end one.

With --bundle they are a trained model's, written by zoo/eng-fra/train.py, and a call translates so many sentences that
the recipe holds out, drawn at random, each until it ends or has 60 tokens. PyTorch packs the sources for its LSTM, pads
what the encoder gives, and masks the padding before the softmax; so does ONNX Runtime. A time is then the mean of several
such calls with other sentences.

PyTorch and ONNX Runtime encode all sentences at once and then run the decoder step by step for all until each has ended.
"pytorch" is zoo/seq2seq.py as it stands; "cells" calls nn.LSTMCell's function in each step of the decoder, which is faster;
"dropping" is a longer loop that also drops sentences as they end, which costs copies of all that is left. Carousel gets
the sentences as requests of their own. Tokens are compared first: float32 contestants that do not write PyTorch's
are left out; of other precisions the share of sentences with the same tokens is printed. Then rounds, every contestant
in turn. Times are of the processor, medians over rounds: they do not count what other processes take.
"""
import argparse
import csv
import importlib.util
import io
import json
import math
import os
import pathlib
import random
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
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "zoo"))
import bpe  # noqa: E402
import recipe  # noqa: E402
import seq2seq  # noqa: E402

V, SIZES, STEPS = 4000, (192, 192, 192, 384), 12
FOLDER = pathlib.Path("build/translation")
BOS, EOS = seq2seq.BOS, seq2seq.EOS


class Case:
    """What is translated: a model, its bundle, and for each number of sentences the calls that are timed."""

    def __init__(self, model, bundle, most, padded, calls):
        self.model, self.bundle, self.most, self.padded, self.calls = model.eval(), bundle, most, padded, calls


def made_up(numbers):
    """Random weights; the sentences are those of bench_translation.c."""
    torch.manual_seed(1)
    model = seq2seq.Model(V, V, SIZES, 0, tied=True).eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights *= 2.5  # or all sentences become one
        write_bundle(model)
    return Case(model, FOLDER, 24, False, {n: [sources(n)] for n in numbers})


def trained(bundle, pairs, numbers, batches):
    """The model of a bundle, and sentences that its recipe holds out."""
    spec = importlib.util.spec_from_file_location("recipe_of_bundle", ROOT / "zoo/eng-fra/train.py")
    train = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(train)
    _, held = train.split(train.read_pairs(pairs, False), False)
    tokenizer = bpe.read(bundle)
    n = len(tokenizer.vocabulary)
    model = recipe.load_bundle(seq2seq.Model(n, n, train.SIZES, 0, tied=True), bundle)
    texts = random.Random(1).sample(sorted(held), batches * max(numbers))
    ids = [[BOS, *tokenizer.encode(text), EOS] for text in texts]
    calls = {n: [ids[i * n:(i + 1) * n] for i in range(batches)] for n in numbers}
    return Case(model, bundle, 60, True, calls)


def sources(n):
    """As bench_translation.c makes them, between the marks of begin and end."""
    return [[BOS, *(2 + (7 * i + 3 * k + i * k) % (V - 2) for k in range(STEPS)), EOS] for i in range(n)]


def padded(source):
    """[n, S] filled up with the mark of the end, and the lengths."""
    longest = max(map(len, source))
    rows = np.array([row + [EOS] * (longest - len(row)) for row in source], np.int64)
    return rows, np.array([len(row) for row in source], np.int64)


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
    """zoo/seq2seq.py's network. `cells`: a step of the decoder calls the function of nn.LSTMCell, not nn.LSTM, which
    packs its weights anew at each call. `drops`: what has ended is taken out of all tensors after each step."""

    def __init__(self, case, cells=False, drops=False):
        self.model, self.most, self.padded = case.model, case.most, case.padded
        self.cells, self.drops = cells, drops

    def encode(self, rows, lengths):
        """The memory, and what is added to the scores before the softmax: 0, or minus infinity at padding."""
        if not self.padded:
            return self.model.encode(rows), None
        packed = pack_padded_sequence(self.model.source(rows), lengths, batch_first=True, enforce_sorted=False)
        memory, _ = pad_packed_sequence(self.model.encoder(packed)[0], batch_first=True)
        past = torch.arange(rows.shape[1])[None, None] >= lengths[:, None, None]
        return memory, torch.zeros(past.shape).masked_fill_(past, -math.inf)

    def attend(self, attention, h, memory, mask):
        if mask is None:
            return attention(h, memory)
        scores = (h @ attention.weight) @ memory.transpose(1, 2) / math.sqrt(attention.weight.shape[0])
        return (scores + mask).softmax(2) @ memory

    def recur(self, lstm, x, state):
        if not self.cells:
            return lstm(x, state)
        h, c = state or (torch.zeros(1, len(x), lstm.hidden_size),) * 2
        h, c = torch.lstm_cell(x[:, 0], (h[0], c[0]), lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0,
                               lstm.bias_hh_l0)
        return h[:, None], (h[None], c[None])

    def step(self, token, memory, mask, states):
        model = self.model
        h, first = self.recur(model.decoder1, model.source(token), states[0])
        h, second = self.recur(model.decoder2,
                               torch.cat([self.attend(model.attention1, h, memory, mask), h], 2), states[1])
        mixed = torch.tanh(model.mix(torch.cat([self.attend(model.attention2, h, memory, mask), h], 2)))
        return torch.nn.functional.linear(mixed, model.source.weight).argmax(2), (first, second)

    def translate(self, source):
        with torch.inference_mode():
            rows, lengths = map(torch.from_numpy, padded(source))
            memory, mask = self.encode(rows, lengths)
            token, states, out = torch.full((len(source), 1), BOS), (None, None), []
            ended = torch.zeros(len(source), 1, dtype=torch.bool)
            at, texts = torch.arange(len(source)), [[] for _ in source]
            for _ in range(self.most):
                token, states = self.step(token, memory, mask, states)
                if not self.drops:
                    out.append(token)
                    ended |= token == EOS
                    if ended.all():
                        break
                    continue
                for i, word in zip(at.tolist(), token[:, 0].tolist()):
                    texts[i].append(word)
                goes_on = (token[:, 0] != EOS).nonzero()[:, 0]
                if len(goes_on) == 0:
                    break
                if len(goes_on) < len(at):
                    at, token, memory = at[goes_on], token[goes_on], memory[goes_on]
                    mask = mask if mask is None else mask[goes_on]
                    states = seq2seq.reorder(states, goes_on)
            return cut(texts if self.drops else torch.cat(out, 1).tolist())


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

    def lstm(self, x, name, layer, hidden, state=None, both=False, lengths=""):
        """x [T, B, inputs]; the outputs [T, B, hidden, of each direction]. state: names of h and c, both [1, B, hidden].
        lengths: the name of the sequences' lengths, or all have T steps."""
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
        y = self.add("LSTM", [x, self.constant(iofc("weight_ih")), self.constant(iofc("weight_hh")), self.constant(bias), lengths,
                              h, c], outputs, hidden_size=hidden, direction="bidirectional" if both else "forward")
        y = self.add("Transpose", [y], perm=[0, 2, 1, 3])
        return self.add("Reshape", [y, self.ints(0, 0, hidden * len(ways))])

    def attention(self, h, name, mask):
        """h [1, B, D], memory [B, S, M] and its transpose: [1, B, M]. mask: whether there is one, [B, 1, S]."""
        D = self.weights[f"{name}.weight"].shape[0]
        query = self.add("MatMul", [self.add("Transpose", [h], perm=[1, 0, 2]), self.weight(f"{name}.weight")])
        scores = self.add("MatMul", [query, "memory_T"])
        scores = self.add("Mul", [scores, self.constant(np.array(1 / math.sqrt(D), np.float32))])
        if mask:
            scores = self.add("Add", [scores, "mask"])
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


def write_encoder(model, path, padded):
    E, H, _, _ = SIZES
    lengths = "lengths" if padded else ""
    g = Graph(model)
    x = g.add("Gather", [g.weight("source.weight"), "tokens"])
    for layer in range(2):
        x = g.lstm(x, "encoder", layer, H, both=True, lengths=lengths)
    g.add("Transpose", [x], ["memory"], perm=[1, 0, 2])
    g.add("Transpose", [x], ["memory_T"], perm=[1, 2, 0])
    g.save(path, [("tokens", TensorProto.INT64, ["S", "B"]), *([("lengths", TensorProto.INT32, ["B"])] if padded else [])],
           [("memory", TensorProto.FLOAT, ["B", "S", 2 * H]), ("memory_T", TensorProto.FLOAT, ["B", 2 * H, "S"])])


def write_decoder(model, path, padded):
    E, H, D1, D2 = SIZES
    g = Graph(model)
    x = g.add("Gather", [g.weight("source.weight"), "tokens"])
    h1 = g.lstm(x, "decoder1", 0, D1, "first")
    h2 = g.lstm(g.add("Concat", [g.attention(h1, "attention1", padded), h1], axis=2), "decoder2", 0, D2, "second")
    x = g.add("Concat", [g.attention(h2, "attention2", padded), h2], axis=2)
    x = g.add("Squeeze", [x, g.ints(0)])
    x = g.add("Tanh", [g.add("Gemm", [x, g.weight("mix.weight"), g.weight("mix.bias")], transB=1)])
    logits = g.add("MatMul", [x, g.weight("source.weight", True)])
    g.add("ArgMax", [logits], ["token"], axis=1, keepdims=0)
    states = [(f"{s}_{p}", TensorProto.FLOAT, [1, "B", D]) for s, D in (("first", D1), ("second", D2)) for p in "hc"]
    g.save(path, [("tokens", TensorProto.INT64, [1, "B"]), ("memory", TensorProto.FLOAT, ["B", "S", 2 * H]),
                  ("memory_T", TensorProto.FLOAT, ["B", 2 * H, "S"]), *states,
                  *([("mask", TensorProto.FLOAT, ["B", 1, "S"])] if padded else [])],
           [("token", TensorProto.INT64, ["B"]), *((n + "_out", k, s) for n, k, s in states)])


class Onnx:
    def __init__(self, case):
        self.most, self.padded = case.most, case.padded
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        write_encoder(case.model, FOLDER / "encoder.onnx", case.padded)
        write_decoder(case.model, FOLDER / "decoder.onnx", case.padded)
        self.encoder, self.decoder = (
            ort.InferenceSession(FOLDER / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
            for name in ("encoder", "decoder"))

    def begin(self, source):
        """The inputs of the decoder that stay the same, and its first states."""
        rows, lengths = padded(source)
        more = {"lengths": lengths.astype(np.int32)} if self.padded else {}
        memory, memory_T = self.encoder.run(None, {"tokens": np.ascontiguousarray(rows.T), **more})
        feed = {"memory": memory, "memory_T": memory_T}
        if self.padded:
            past = np.arange(rows.shape[1])[None, None] >= lengths[:, None, None]
            feed["mask"] = np.where(past, np.float32(-1e30), np.float32(0))
        for name, size in (("first", SIZES[2]), ("second", SIZES[3])):
            for part in "hc":
                feed[f"{name}_{part}"] = np.zeros((1, len(source), size), np.float32)
        return feed

    def translate(self, source):
        feed = self.begin(source)
        token, out, ended = np.full(len(source), BOS, np.int64), [], np.zeros(len(source), bool)
        for _ in range(self.most):
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
    def __init__(self, case, program, precision):
        self.bundle = case.bundle
        self.command = [program, "--precision", precision, "--tokens", str(case.most), "--inputs", FOLDER / "inputs"]

    def run(self, source, *options):
        (FOLDER / "inputs").write_text("".join(" ".join(map(str, row[1:-1])) + "\n" for row in source))
        printed = subprocess.run([*self.command, *options, self.bundle, str(len(source))], check=True, capture_output=True,
                                 text=True)
        return next(csv.reader(io.StringIO(printed.stdout)))

    def translate(self, source):
        path = FOLDER / "outputs"
        self.run(source, "--runs", "1", "--outputs", path)
        return [[int(token) for token in line.split()] for line in path.read_text().splitlines()]


def measure(contestant, source):
    if isinstance(contestant, Carousel):
        return float(contestant.run(source, "--runs", "25" if len(source) < 32 else "9")[6])
    return time_calls(contestant, source)


def check(contestants, calls):
    expected = [row for call in calls for row in contestants["pytorch float32"].translate(call)]
    n, lengths = len(expected), [len(row) for call in calls for row in call]
    print(f"# {len(calls)} x {len(calls[0])} sentences of {statistics.mean(lengths):.1f} tokens, marks included, "
          f"{max(lengths)} at most; {sum(map(len, expected))} tokens written, {max(map(len, expected))} at most")
    for name in list(contestants):
        found = [row for call in calls for row in contestants[name].translate(call)]
        same = sum(a == b for a, b in zip(found, expected)) / n
        print(f"# {name}: the same tokens in {100 * same:.1f} % of the sentences")
        if "float32" in name and found != expected:
            print(f"# {name}: left out")
            del contestants[name]


def print_table(medians, numbers):
    print(f"# onnxruntime {ort.__version__}, torch {torch.__version__}; ms of the processor a call, median of rounds")
    header = "| | " + " | ".join(str(n) for n in numbers) + " |" + "\n" + "|---" * (len(numbers) + 1) + "|"
    print(header)
    for name, by in medians.items():
        print(f"| {name} | " + " | ".join(f"{by[n]:.3g}" for n in numbers) + " |")
    print("\n# how many times faster", header, sep="\n")
    for ours in medians:
        for other in medians:
            if ours.startswith("carousel") and not other.startswith("carousel"):
                print(f"| {ours} than {other} | "
                      + " | ".join(f"{medians[other][n] / medians[ours][n]:.2f}" for n in numbers) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sentences", default="1,16,64")
    parser.add_argument("--programs", default="build/release/tests")
    parser.add_argument("--bundle", type=pathlib.Path, help="a trained model's (default: random weights)")
    parser.add_argument("--pairs", default="data/translation/eng-fra.tatoeba.tsv.gz", help="default %(default)s")
    parser.add_argument("--batches", type=int, default=4, help="calls of a trained model (default %(default)s)")
    args = parser.parse_args()
    numbers = [int(n) for n in args.sentences.split(",")]
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    case = trained(args.bundle, args.pairs, numbers, args.batches) if args.bundle else made_up(numbers)
    program = f"{args.programs}/bench_translation"
    contestants = {f"carousel {p}": Carousel(case, program, p) for p in ("float32", "bfloat16", "int8")}
    contestants |= {"onnxruntime float32": Onnx(case), "pytorch float32": Torch(case),
                    "pytorch float32, cells": Torch(case, cells=True),
                    "pytorch float32, cells, dropping": Torch(case, cells=True, drops=True)}
    for n in numbers:
        check(contestants, case.calls[n])
    times = {name: {n: [] for n in numbers} for name in contestants}
    for r in range(args.rounds):
        print(f"round {r + 1} of {args.rounds}", file=sys.stderr)
        for n in numbers:
            for name, contestant in contestants.items():
                times[name][n].append(statistics.mean(measure(contestant, call) for call in case.calls[n]))
    print_table({name: {n: statistics.median(t) for n, t in by.items()} for name, by in times.items()}, numbers)


if __name__ == "__main__":
    main()
