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
    gradient N                              floats a step: the inputs, or 1 for tokens
    data
      tensors float32; inputs, a sequence after the other, float32 or int32; outputs, a sequence
      after the other, float32; states, float32; gradients, a sequence after the other, float32

Sequence i's gradient is autograd's, of output i mod SIZE of its row 2 ROWS / 3 (rounded down), by each input. By a
token it is the derivative by a factor on the token's vector: the sum of vector times gradient.
"""
import os
import struct

import torch
from torch import nn

import graphs

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


def hard_sigmoid_keras2(x):
    return torch.clamp(0.2 * x + 0.5, 0, 1)


FUNCTIONS = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu,
             "hard_sigmoid": nn.functional.hardsigmoid, "hard_sigmoid_keras2": hard_sigmoid_keras2}


class Conv1d(nn.Conv1d):
    """Over the steps of one sequence [T, C]."""

    def __init__(self, in_channels, out_channels, kernel_size, padding, **keys):
        super().__init__(in_channels, out_channels, kernel_size, **keys)
        reach = (kernel_size - 1) * self.dilation[0]
        self.left, self.right = (reach, 0) if padding == "causal" else (reach // 2, reach - reach // 2)

    def forward(self, x):
        return super().forward(nn.functional.pad(x.T, (self.left, self.right))[None])[0].T

    def past(self, x):
        """What a causal one remembers: the last rows, oldest first."""
        return [nn.functional.pad(x.T, (self.left, 0)).T[-self.left:].flatten()] if self.left and not self.right else []


class AttentionPooling(nn.Sequential):
    def __init__(self, input_size, attention_size, score_bias=True):
        super().__init__(nn.Linear(input_size, attention_size), nn.Tanh(), nn.Linear(attention_size, 1, bias=score_bias))

    def forward(self, x):
        return (torch.softmax(super().forward(x), 0) * x).sum(0)[None]


class PlainAttentionPooling(nn.Linear):
    def __init__(self, input_size):
        super().__init__(input_size, 1)

    def forward(self, x):
        return (torch.softmax(super().forward(x), 0) * x).sum(0)[None]


class Flatten(nn.Module):
    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def forward(self, x):
        return nn.functional.pad(x[-self.steps:].T, (max(self.steps - len(x), 0), 0)).T.reshape(1, -1)


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Cells(nn.Module):
    """What torch.nn's recurrent layers lack, from the equations at the head of core/recurrent/lstm.c and gru.c:
    Keras' activations, peepholes, the original GRU, one direction backwards, initial states."""

    def __init__(self, kind, input_size, hidden_size, num_layers=1, bidirectional=0, reset_after=1,
                 recurrent_activation="sigmoid", activation="tanh", nonlinearity="tanh", peepholes=0, go_backwards=0,
                 initial_state=0, proj_size=0):
        super().__init__()
        self.kind, self.hidden_size, self.num_layers, self.reset_after = kind, hidden_size, num_layers, reset_after
        self.directions, self.go_backwards, self.initial_state = 1 + bidirectional, go_backwards, initial_state
        self.gate, self.squash = FUNCTIONS[recurrent_activation], FUNCTIONS[activation]
        self.outputs = proj_size or hidden_size
        if kind == "rnn":
            self.squash = FUNCTIONS[nonlinearity]
        g, bound = {"lstm": 4, "gru": 3, "rnn": 1}[kind] * hidden_size, hidden_size ** -0.5
        for k in range(num_layers):
            for end in ("", "_reverse")[:self.directions]:
                shapes = {"weight_ih": (g, self.outputs * self.directions if k else input_size),
                          "weight_hh": (g, self.outputs), "bias_ih": (g,), "bias_hh": (g,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                if peepholes:
                    shapes["weight_ch"] = (3 * hidden_size,)
                if initial_state:
                    shapes["h0"] = (self.outputs,)
                if initial_state and kind == "lstm":
                    shapes["c0"] = (hidden_size,)
                for name, shape in shapes.items():
                    self.register_parameter(f"{name}_l{k}{end}", nn.Parameter(torch.empty(shape).uniform_(-bound, bound)))

    def direction(self, x, end):
        """Outputs of one direction of a layer, in the order in which they are made, then the last h and c."""
        w = {name[:-len(end)]: p for name, p in self.named_parameters() if name.endswith(end)}
        h, c = w.get("h0", x.new_zeros(self.outputs)), w.get("c0", x.new_zeros(self.hidden_size))
        pi, pf, po = w.get("weight_ch", x.new_zeros(3 * self.hidden_size)).chunk(3)
        rows = []
        for step in x:
            a, b = w["weight_ih"] @ step + w["bias_ih"], w["weight_hh"] @ h + w["bias_hh"]
            if self.kind == "lstm":
                i, f, g, o = (a + b).chunk(4)
                i, f = self.gate(i + pi * c), self.gate(f + pf * c)
                c = f * c + i * self.squash(g)
                h = self.gate(o + po * c) * self.squash(c)
                h = w["weight_hr"] @ h if "weight_hr" in w else h
            elif self.kind == "gru":
                (ar, az, an), (br, bz, bn) = a.chunk(3), b.chunk(3)
                r, z = self.gate(ar + br), self.gate(az + bz)
                if not self.reset_after:
                    bn = w["weight_hh"].chunk(3)[2] @ (r * h) + w["bias_hh"].chunk(3)[2]
                n = self.squash(an + (r * bn if self.reset_after else bn))
                h = (1 - z) * n + z * h
            else:
                h = self.squash(a + b)
            rows.append(h)
        return torch.stack(rows), [h] + ([c] if self.kind == "lstm" else [])

    def forward(self, x):
        state, whole = [], self.directions == 2 or self.go_backwards
        for k in range(self.num_layers):
            y, last = self.direction(x.flip(0) if self.go_backwards else x, f"_l{k}")
            final, state = last[0], state + last
            if self.directions == 2:
                z, last = self.direction(x.flip(0), f"_l{k}_reverse")
                y, final = torch.cat([y, z.flip(0)], 1), torch.cat([final, last[0]])
            x = y
        if self.initial_state:
            state.append(x.new_ones(1))
        return x, final, [] if whole else state


def cells(kind, i, h, **keys):
    """A row of CASES that PyTorch has no module for."""
    return (kind, dict(input_size=i, hidden_size=h, **keys))


def recurrent(kind):
    return lambda i, h, n=1, bias=1, both=0, **keys: (kind, dict(input_size=i, hidden_size=h, num_layers=n, bias=bias,
                                                                 bidirectional=both, **keys))


gru, rnn = recurrent("gru"), recurrent("rnn")


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

SILU, GELU, GELU_TANH, HARD, HARD_KERAS2, ELU, LEAKY_RELU, SOFTPLUS = (
    (kind, {}) for kind in ("silu", "gelu", "gelu_tanh", "hard_sigmoid", "hard_sigmoid_keras2", "elu", "leaky_relu",
                            "softplus"))

SOFTMAX = ("softmax", {})


def norm(kind, n, groups=None, **keys):
    size = {"layer_norm": "normalized_shape", "rms_norm": "normalized_shape", "batch_norm": "num_features",
            "group_norm": "num_channels"}[kind]
    return (kind, {**({"num_groups": groups} if groups else {}), size: n, **keys})


def conv(i, o, k, padding="causal", **keys):
    return ("conv1d", dict(in_channels=i, out_channels=o, kernel_size=k, padding=padding, **keys))


def attention(n, **keys):
    return ("attention_pooling", dict(input_size=n, **keys))


def flatten(steps):
    return ("flatten", dict(steps=steps))


# name: layers, lengths, and optionally the factor on PyTorch's initial weights and on the inputs.
# PyTorch draws weights from +-1/sqrt(H); twice that makes the gates move (and an rnn of two layers chaotic).
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
    "gru_h5": ([gru(3, 5)], [7, 5, 5, 1]),
    "gru_h64": ([gru(10, 64)], [5, 6, 2, 2]),
    "gru_h70_two_layers": ([gru(6, 70, n=2), linear(70, 3)], [3, 9, 1, 9, 4]),
    "gru_no_bias": ([gru(4, 17, n=3, bias=0)], [12, 3]),
    "gru_both": ([gru(4, 33, n=2, both=1), linear(66, 3)], [9, 4, 6]),
    "gru_pool_last_both": ([embedding(17, 5), gru(5, 9, both=1), pool("last"), linear(18, 3)], [6, 2, 7]),
    "gru_embedding": ([embedding(31, 12), gru(12, 33), linear(33, 31)], [10, 4, 7]),
    "gru_long": ([gru(2, 17)], [200, 113, 64]),
    "gru_original": ([cells("gru", 4, 70, num_layers=2, reset_after=0), linear(70, 3)], [3, 9, 1, 9, 4]),
    "gru_original_both": ([cells("gru", 5, 9, bidirectional=1, reset_after=0)], [6, 2, 7]),
    "gru_original_embedding": ([embedding(11, 5), cells("gru", 5, 17, reset_after=0)], [8, 3]),
    "gru_keras1": ([cells("gru", 4, 17, reset_after=0, recurrent_activation="hard_sigmoid_keras2")], [8, 3, 5]),
    "gru_initial": ([cells("gru", 4, 17, num_layers=2, initial_state=1)], [8, 3, 5]),
    "rnn_tanh": ([rnn(3, 70, n=2), linear(70, 4)], [7, 5, 5, 1], 1.0),
    "rnn_relu": ([rnn(3, 17, nonlinearity="relu")], [4, 2, 3]),
    "rnn_both": ([embedding(19, 6), rnn(6, 17, both=1, bias=0), pool("last")], [6, 3, 7]),
    "rnn_backwards": ([cells("rnn", 3, 9, go_backwards=1), pool("last")], [6, 1, 7]),
    "lstm_peepholes": ([cells("lstm", 4, 33, num_layers=2, peepholes=1)], [9, 4, 6]),
    "lstm_peepholes_projected": ([cells("lstm", 4, 17, peepholes=1, proj_size=6)], [9, 4, 6]),
    "lstm_hard_sigmoid": ([cells("lstm", 4, 17, recurrent_activation="hard_sigmoid"), linear(17, 2)], [9, 4, 6]),
    "lstm_keras2": ([cells("lstm", 4, 17, recurrent_activation="hard_sigmoid_keras2")], [9, 4, 6]),
    "lstm_relu": ([cells("lstm", 1, 20, activation="relu"), linear(20, 1)], [4, 3, 3]),
    "lstm_backwards": ([embedding(19, 6), cells("lstm", 6, 17, go_backwards=1), lstm(17, 5)], [9, 4, 6]),
    "lstm_initial": ([cells("lstm", 3, 17, num_layers=2, initial_state=1)], [9, 1, 6]),
    "embedding_two_lstms": ([embedding(19, 6), lstm(6, 17), lstm(17, 9), gru(9, 5)], [9, 1, 6]),
    "more_activations": ([linear(3, 90), SILU, linear(90, 40), GELU, linear(40, 30), GELU_TANH, linear(30, 9), ELU,
                          gru(9, 8), LEAKY_RELU, linear(8, 9), SOFTPLUS], [4, 6, 1]),
    "hard_sigmoids": ([linear(3, 9), HARD, gru(9, 8), linear(8, 9), HARD_KERAS2], [4, 6, 1], 3.0),
    "layer_norm": ([lstm(3, 17), norm("layer_norm", 17), linear(17, 70), norm("layer_norm", 70, eps=1e-3), TANH],
                   [6, 2, 7]),
    "layer_norm_plain": ([linear(3, 9), norm("layer_norm", 9, elementwise_affine=0), gru(9, 5),
                          norm("layer_norm", 5, bias=0)], [6, 2, 7]),
    "rms_norm": ([linear(3, 17), norm("rms_norm", 17), lstm(17, 9), norm("rms_norm", 9, eps=1e-6)], [6, 2, 7]),
    "group_norm": ([lstm(3, 24), norm("group_norm", 24, 4), linear(24, 3)], [6, 2, 7]),
    "batch_norm": ([linear(3, 17), norm("batch_norm", 17), gru(17, 9), norm("batch_norm", 9, affine=0, eps=1e-3)],
                   [6, 2, 7]),
    "softmax": ([lstm(3, 17), linear(17, 5), SOFTMAX], [6, 2, 7]),
    "conv_causal": ([conv(3, 20, 4), RELU, conv(20, 9, 3, dilation=2), lstm(9, 5)], [6, 2, 11]),
    "conv_same": ([embedding(19, 6), conv(6, 20, 4, "same"), RELU, lstm(20, 9, both=1), pool("max")], [6, 1, 11]),
    "conv_same_dilated": ([conv(3, 20, 3, "same", dilation=3, bias=0), TANH, gru(20, 9)], [6, 1, 11]),
    "conv_depthwise": ([linear(3, 17), TANH, conv(17, 17, 4, groups=17), SILU, lstm(17, 9)], [6, 1, 11]),
    "conv_bounded": ([linear(3, 17), TANH, conv(17, 17, 5), linear(17, 3)], [6, 1, 11]),
    "pool_sum": ([gru(4, 17), pool("sum"), linear(17, 3)], [6, 2, 9]),
    "pool_last_step": ([lstm(4, 9, both=1), pool("last_step"), linear(18, 3)], [6, 2, 9]),
    "attention": ([embedding(19, 6), lstm(6, 9, both=1), attention(18, attention_size=12), linear(18, 3)], [6, 2, 9]),
    "attention_plain": ([gru(4, 9, n=2), attention(9), linear(9, 3)], [6, 2, 9]),
    "flatten": ([lstm(4, 9), flatten(6), linear(54, 3)], [6, 2, 9]),
    "lstm_initial_both": ([cells("lstm", 3, 9, bidirectional=1, initial_state=1), pool("last")], [9, 1, 6]),
    "pool_middle": ([lstm(4, 9, both=1), pool("middle"), linear(18, 3)], [6, 1, 9, 2]),
    "pool_middle_one": ([embedding(19, 6), gru(6, 9), pool("middle")], [6, 1, 9]),
}


def module(kind, keys):
    if kind in ("lstm", "gru", "rnn") and "bias" not in keys:
        return Cells(kind, **keys)
    flags = {k: bool(v) if k in ("bias", "bidirectional", "affine", "elementwise_affine", "score_bias") else v for k, v in keys.items()}
    if kind == "attention_pooling":
        return (AttentionPooling if "attention_size" in keys else PlainAttentionPooling)(**flags)
    if kind.endswith("_norm"):
        m = {"layer_norm": nn.LayerNorm, "rms_norm": nn.RMSNorm, "group_norm": nn.GroupNorm,
             "batch_norm": nn.BatchNorm1d}[kind](**flags)
        for name, p in [*m.named_parameters(), *m.named_buffers()]:
            if p.dtype == torch.float32:
                p.data = torch.rand_like(p) + (0.5 if name in ("weight", "running_var") else -0.5)
        return m
    functions = {"hard_sigmoid_keras2": hard_sigmoid_keras2, "gelu_tanh": nn.GELU("tanh")}
    if kind in functions:
        return Function(functions[kind])
    return {"softmax": lambda: nn.Softmax(-1), "conv1d": Conv1d, "flatten": Flatten, "silu": nn.SiLU, "gelu": nn.GELU, "hard_sigmoid": nn.Hardsigmoid, "elu": nn.ELU, "leaky_relu": nn.LeakyReLU,
            "softplus": nn.Softplus, "lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN, "linear": nn.Linear, "embedding": nn.Embedding, "one_hot": OneHot,
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
        elif isinstance(m, (nn.GRU, nn.RNN)):
            x, h = m(x)
            final = h[-2:].flatten() if m.bidirectional else h[-1]
            state += [] if m.bidirectional else list(h)
        elif isinstance(m, Cells):
            x, final, last = m(x)
            state += last
        elif isinstance(m, Pooling):
            x = {"last": final, "mean": x.mean(0), "max": x.max(0).values, "sum": x.sum(0),
                 "last_step": x[-1], "middle": x[len(x) // 2]}[m.mode][None]
        elif isinstance(m, Conv1d):
            state += m.past(x)
            x, final = m(x), None
        else:
            x = m(x)
            if isinstance(m, nn.Linear):
                final = x[-1]
            elif final is not None:
                final = m(final[None])[0]
    return x, torch.cat(state) if state else torch.zeros(0)


def gradient(modules, x, index):
    """Autograd's gradient of one output of one sequence, by each input number, or by a factor on each token's vector."""
    tokens = x.dtype == torch.int64
    first = 1 if tokens else 0
    inner = (run(modules[:1], x)[0] if tokens else x).detach().clone().requires_grad_()
    y, _ = run(modules[first:], inner)
    y[2 * len(y) // 3, index % y.shape[1]].backward()
    return (inner.grad * inner).sum(1).detach() if tokens else inner.grad


def check_packed(modules, xs):
    """The first layer of torch.nn that recurs, over the whole batch, packed: the same as one sequence at a time."""
    first = next((i for i, m in enumerate(modules) if isinstance(m, (nn.LSTM, nn.GRU, nn.RNN))), None)
    if first is None:
        return
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
    width = next(v for _, keys in layers for k, v in keys.items() if k in ("input_size", "in_features", "in_channels"))
    lines, tensors, counts = [], [], {}
    for (kind, keys), m in zip(layers, modules):
        has_weights = any(True for _ in [*m.parameters(), *m.buffers()])
        counts[kind] = counts.get(kind, 0) + 1
        prefix = f"{kind}{counts[kind]}" if has_weights else "-"
        lines.append(f"layer {kind} {prefix}" + "".join(f" {k}={v}" for k, v in keys.items()))
        buffers = [(n, b) for n, b in m.named_buffers() if b.dtype == torch.float32]
        for tensor_name, p in [*m.named_parameters(), *buffers]:
            if kind != "embedding" and not kind.endswith("_norm"):
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
    gradients = torch.cat([gradient(modules, x, i).flatten() for i, x in enumerate(wide)])
    drift = max((a[j] - b[j]).abs().max().item() for a, b in zip(single, exact) for j in (0, 1) if b[j].numel())
    whole = any(keys.get("bidirectional") or keys.get("go_backwards") or keys.get("padding") == "same"
                or keys.get("mode") == "middle" for _, keys in layers)
    outputs = torch.cat([y for y, _ in exact])
    states = torch.cat([s for _, s in exact]) if not whole else torch.zeros(0)
    lines += [f"tensor {n} " + " ".join(map(str, t.shape)) for n, t in tensors]
    lines += ["input tokens" if tokens else f"input features {width}",
              "lengths " + " ".join(map(str, lengths)),
              f"output {outputs.shape[1]} {outputs.shape[0]}",
              f"state {states.numel() // len(lengths)}", f"gradient {gradients.numel() // sum(lengths)}", "data"]
    inputs = torch.cat(xs)
    path = os.path.join(HERE, "cases", name + ".gold")
    with open(path, "wb") as file:
        file.write("\n".join(["carousel golden 1", f"case {name}"] + lines).encode() + b"\n")
        for values in [t for _, t in tensors] + [inputs, outputs, states, gradients]:
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
gate's sum of K products is off by at most (K + 2) 2^-24 sum |w x| (core/kernels/kernels.h, promise 3; rounding errors that do
not all point the same way make it a tenth of that), which is 1e-6 for K = 100 and a sum of 2; tanh and sigmoid add
3e-7; and c, which carries errors from step to step, forgets: f < 1 makes what is left of them a geometric sum, a few
times the error of one step. The last column is how far PyTorch's own float32 is from its float64 on the same case, for comparison.

Gradients, also those by the memory that a case attends to: those of core/recurrent/trace.h must lie within 1e-4 of the largest of their sequence, in float32. The case
"saturated" is left out: its gates are 1 in float32, so float32 gradients are 0, PyTorch's too.

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
    rows += graphs.make_all(module, os.path.join(HERE, "cases"))
    with open(os.path.join(HERE, "MANIFEST.md"), "w") as file:
        file.write(MANIFEST.format(version=torch.__version__.split("+")[0], tolerance=TOLERANCE,
                                   rows="\n".join(rows)))


if __name__ == "__main__":
    main()
