#!/usr/bin/env python3
"""Write cases/*.gold and MANIFEST.md: small networks run by PyTorch, for test_golden.c to repeat.

    python3 tests/golden/make_golden.py          needs torch; nothing else

A case is a network with made-up weights, a batch of sequences of unequal lengths, and what
torch.nn gives for them. Weights and inputs are float32; the answers are computed from them in
float64, one sequence at a time, then rounded to float32: an error found by the test is ours alone.
The same batch goes through pack_padded_sequence as well, and must agree.

A .gold file is text lines up to a line "data", then little-endian numbers without gaps:

    carousel golden 1
    case NAME
    layer TYPE PREFIX KEY=VALUE ...         PREFIX is - where the type has none
    tensor NAME DIMENSION [DIMENSION]       in the order of the data
    input features N | input tokens
    lengths L1 L2 ...                       one a sequence, in no order
    output SIZE ROWS                        ROWS: one a step, or one a sequence where it pools
    state N                                 floats a sequence: h and c of each layer; 0: whole
    data
      tensors float32; inputs, a sequence after the other, float32 or int32; outputs, a sequence
      after the other, float32; states, float32
"""
import os
import struct

import torch
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))
TOLERANCE = 1e-5


class Pooling(nn.Module):
    def __init__(self, mode):
        super().__init__()
        self.mode = mode


class OneHot(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes


def lstm(i, h, n=1, bias=1, both=0, p=0):
    return ("lstm", dict(input_size=i, hidden_size=h, num_layers=n, bias=bias, bidirectional=both,
                         proj_size=p))


def linear(i, o, bias=1):
    return ("linear", dict(in_features=i, out_features=o, bias=bias))


def embedding(v, e):
    return ("embedding", dict(num_embeddings=v, embedding_dim=e))


def one_hot(v):
    return ("one_hot", dict(num_classes=v))


def pool(mode):
    return ("pooling", dict(mode=mode))


RELU, TANH, SIGMOID, DROPOUT = (("relu", {}), ("tanh", {}), ("sigmoid", {}), ("dropout", dict(p=0.25)))

# name: layers, lengths, and optionally the factor on PyTorch's initial weights and on the inputs.
# PyTorch draws weights from +-1/sqrt(H); twice that makes the gates move.
CASES = {
    "h1": ([lstm(1, 1)], [4, 1, 2]),
    "h5": ([lstm(3, 5)], [7, 5, 5, 1]),
    "h17_two_layers_no_bias": ([lstm(6, 17, n=2, bias=0)], [3, 9, 1, 9, 4]),
    "h33_three_layers": ([lstm(5, 33, n=3)], [12, 3, 8]),
    "h64": ([lstm(10, 64)], [5, 6, 2, 2]),
    "h100": ([lstm(2, 100)], [6, 11]),
    "one_step": ([lstm(4, 17, n=2), linear(17, 3)], [1, 1, 1, 1, 1]),
    "long": ([lstm(2, 17)], [200, 113, 64]),
    "wide_batch": ([lstm(3, 5, n=2)], [1 + i * 7 % 10 for i in range(40)]),
    "saturated": ([lstm(3, 33)], [8, 20, 5], 20.0, 30.0),
    "saturated_cells": ([lstm(2, 5, n=2), linear(5, 2)], [60, 31], 6.0, 10.0),
    "projected": ([lstm(4, 17, n=2, p=6)], [6, 2, 9]),
    "projected_no_bias": ([lstm(3, 64, bias=0, p=17), linear(17, 5)], [4, 7]),
    "both_h5": ([lstm(3, 5, both=1)], [5, 2, 7, 1]),
    "both_h33_two_layers": ([lstm(4, 33, n=2, both=1), linear(66, 3)], [9, 4, 6]),
    "both_no_bias": ([lstm(4, 17, bias=0, both=1)], [3, 8]),
    "both_projected": ([lstm(5, 17, n=2, both=1, p=7)], [6, 1, 6, 3]),
    "both_then_one": ([lstm(3, 9, both=1), DROPOUT, lstm(18, 11), linear(11, 4)], [5, 8, 3]),
    "one_then_both": ([lstm(3, 9), lstm(9, 6, both=1)], [5, 8, 3]),
    "stacked_by_hand": ([lstm(3, 12), linear(12, 7), TANH, lstm(7, 17), RELU, linear(17, 2)], [6, 4]),
    "bounded_features": ([linear(5, 8), TANH, lstm(8, 17, n=2), linear(17, 4)], [9, 3, 5]),
    "activations": ([lstm(3, 16), linear(16, 13), RELU, linear(13, 9, bias=0), SIGMOID, linear(9, 4), TANH],
                    [4, 6, 1]),
    "dropout_first": ([DROPOUT, lstm(4, 8), DROPOUT, linear(8, 3), DROPOUT], [4, 2]),
    "embedding": ([embedding(31, 12), lstm(12, 33), linear(33, 31)], [10, 4, 7]),
    "embedding_two_layers": ([embedding(19, 8), DROPOUT, lstm(8, 17, n=2), DROPOUT, linear(17, 19)], [6, 13]),
    "embedding_both": ([embedding(23, 6), lstm(6, 17, n=2, both=1), pool("max"), linear(34, 2)], [5, 9, 1]),
    "embedding_projected": ([embedding(11, 5), lstm(5, 17, p=8), linear(8, 11)], [8, 3]),
    "embedding_linear": ([embedding(13, 6), linear(6, 10), RELU, lstm(10, 9), linear(9, 3)], [5, 2]),
    "one_hot": ([one_hot(29), lstm(29, 33), linear(33, 29)], [12, 5, 8]),
    "one_hot_two_layers_no_bias": ([one_hot(7), lstm(7, 17, n=2, bias=0), linear(17, 7, bias=0)], [9, 6]),
    "one_hot_linear": ([one_hot(9), linear(9, 5), lstm(5, 6)], [4, 3]),
    "pool_last": ([lstm(4, 17, n=2), pool("last"), linear(17, 3)], [6, 2, 1]),
    "pool_mean": ([lstm(4, 17), pool("mean"), linear(17, 3), RELU, linear(3, 2)], [6, 2, 40]),
    "pool_max": ([lstm(4, 17), pool("max"), linear(17, 3)], [6, 2, 9]),
    "pool_last_both": ([lstm(4, 17, n=2, both=1), pool("last"), linear(34, 3)], [6, 2, 7]),
    "pool_last_both_relu": ([lstm(4, 9, both=1), RELU, DROPOUT, pool("last"), linear(18, 3)], [6, 2, 7]),
    "pool_last_both_linear": ([lstm(4, 9, both=1), linear(18, 5), pool("last")], [6, 2, 7]),
    "pool_mean_both": ([embedding(17, 5), lstm(5, 9, both=1), DROPOUT, pool("mean"), linear(18, 4)],
                       [6, 3, 12]),
    "pool_max_embedding": ([embedding(17, 5), lstm(5, 9), pool("max"), SIGMOID], [6, 3, 12]),
}


def module(kind, keys):
    flags = {k: bool(v) if k in ("bias", "bidirectional") else v for k, v in keys.items()}
    return {"lstm": nn.LSTM, "linear": nn.Linear, "embedding": nn.Embedding, "one_hot": OneHot,
            "relu": nn.ReLU,
            "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "dropout": nn.Dropout, "pooling": Pooling}[kind](**flags)


def run(modules, x):
    """One sequence [T, I] or tokens [T] -> outputs [T or 1, O], and h, c of every one-directional layer."""
    state, final = [], None
    for m in modules:
        if isinstance(m, OneHot):
            x = nn.functional.one_hot(x, m.num_classes).to(torch.get_default_dtype())
        elif isinstance(m, nn.LSTM):
            x, (h, c) = m(x)
            final = h[-2:].flatten() if m.bidirectional else h[-1]
            if not m.bidirectional:
                state += [v for k in range(m.num_layers) for v in (h[k], c[k])]
        elif isinstance(m, Pooling):
            x = {"last": final, "mean": x.mean(0), "max": x.max(0).values}[m.mode][None]
        else:
            x = m(x)
            if isinstance(m, nn.Linear):
                final = x[-1]
            elif final is not None:
                final = m(final)
    return x, torch.cat(state) if state else torch.zeros(0)


def check_packed(modules, xs):
    """The first LSTM over the whole batch, packed: the same as one sequence at a time."""
    first = next(i for i, m in enumerate(modules) if isinstance(m, nn.LSTM))
    inputs = [run(modules[:first], x)[0] for x in xs]
    packed = nn.utils.rnn.pack_sequence(inputs, enforce_sorted=False)
    padded, _ = nn.utils.rnn.pad_packed_sequence(modules[first](packed)[0], batch_first=True)
    for i, x in enumerate(inputs):
        assert torch.allclose(padded[i, :len(x)], modules[first](x)[0], atol=1e-12)


def make(index, name, layers, lengths, gain=2.0, input_gain=1.0):
    torch.manual_seed(index)
    torch.set_default_dtype(torch.float32)
    modules = [module(*layer).eval() for layer in layers]
    tokens = layers[0][0] in ("embedding", "one_hot")
    size = layers[0][1].get("num_embeddings") or layers[0][1].get("num_classes")
    width = next(v for _, keys in layers for k, v in keys.items() if k in ("input_size", "in_features"))
    lines, tensors, counts = [], [], {}
    for (kind, keys), m in zip(layers, modules):
        has_weights = any(True for _ in m.parameters())
        counts[kind] = counts.get(kind, 0) + 1
        prefix = f"{kind}{counts[kind]}" if has_weights else "-"
        lines.append(f"layer {kind} {prefix}" + "".join(f" {k}={v}" for k, v in keys.items()))
        for tensor_name, p in m.named_parameters():
            if kind != "embedding":
                p.data *= gain
            tensors.append((f"{prefix}.{tensor_name}", p.data.clone()))
    xs = [torch.randint(size, (n,)) if tokens else input_gain * torch.randn(n, width) for n in lengths]
    with torch.no_grad():
        single = [run(modules, x) for x in xs]
        torch.set_default_dtype(torch.float64)
        for m in modules:
            m.double()
        wide = [x if tokens else x.double() for x in xs]
        check_packed(modules, wide)
        exact = [run(modules, x) for x in wide]
    drift = max((a[j] - b[j]).abs().max().item() for a, b in zip(single, exact) for j in (0, 1) if b[j].numel())
    whole = any(keys.get("bidirectional") for _, keys in layers)
    outputs = torch.cat([y for y, _ in exact])
    states = torch.cat([s for _, s in exact]) if not whole else torch.zeros(0)
    lines += [f"tensor {n} " + " ".join(map(str, t.shape)) for n, t in tensors]
    lines += ["input tokens" if tokens else f"input features {width}",
              "lengths " + " ".join(map(str, lengths)),
              f"output {outputs.shape[1]} {outputs.shape[0]}",
              f"state {states.numel() // len(lengths)}", "data"]
    inputs = torch.cat(xs)
    path = os.path.join(HERE, "cases", name + ".gold")
    with open(path, "wb") as file:
        file.write("\n".join(["carousel golden 1", f"case {name}"] + lines).encode() + b"\n")
        for values in [t for _, t in tensors] + [inputs, outputs, states]:
            kind = "i" if values.dtype == torch.int64 else "f"
            values = values.flatten().tolist()
            file.write(struct.pack(f"<{len(values)}{kind}", *values))
    chain = " ".join(kind for kind, _ in layers if kind != "dropout")
    return f"| {name} | {index} | {chain} | {len(lengths)} | {max(lengths)} | {os.path.getsize(path)} | {drift:.1e} |"


MANIFEST = """# Golden cases

Written by `make_golden.py` with PyTorch {version}; do not edit. The script says how a file is built up and
how its numbers were made. `make golden` runs every case with every kernel set that this machine has, whole
and cut into turns, and prints the largest error of each.

Tolerance in float32: {tolerance:.0e} absolute, on outputs and final states. Where it comes from: a
gate's sum of K products is off by at most (K + 2) 2^-24 sum |w x| (core/kernels.h, promise 3; rounding errors that do
not all point the same way make it a tenth of that), which is 1e-6 for K = 100 and a sum of 2; tanh and sigmoid add
3e-7; and c, which carries errors from step to step, forgets: f < 1 makes what is left of them a geometric sum, a few
times the error of one step. The last column is how far PyTorch's own float32 is from its float64 on the same case, for comparison.

int8 and float16 are approximations; test_golden.c states the bounds it holds them to. The saturated cases are
left out there: rounded weights move a gate that multiplies inputs of 30 by more than its whole range.

Torch's seed is the case's number, set before its weights are drawn. Weights are PyTorch's initial ones times 2
(20 and 6 in the saturated cases, with inputs times 30 and 10), embeddings as they are, inputs from a standard normal.

| case | seed | layers | sequences | longest | bytes | PyTorch float32 |
|---|---|---|---|---|---|---|
{rows}
"""


def main():
    torch.set_num_threads(1)
    os.makedirs(os.path.join(HERE, "cases"), exist_ok=True)
    rows = [make(i + 1, name, *case) for i, (name, case) in enumerate(CASES.items())]
    with open(os.path.join(HERE, "MANIFEST.md"), "w") as file:
        file.write(MANIFEST.format(version=torch.__version__.split("+")[0], tolerance=TOLERANCE,
                                   rows="\n".join(rows)))


if __name__ == "__main__":
    main()
