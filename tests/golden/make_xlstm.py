#!/usr/bin/env python3
"""Write the cases xlstm_*.gold: xLSTM's layers run by their authors' own program, for test_golden.c to repeat.

    python3 tests/golden/make_xlstm.py          needs torch, and xlstm==2.0.6 from PyPI (pip install --no-deps xlstm
                                                omegaconf einops dacite huggingface_hub is enough for its CPU paths);
                                                tirex-2==0.4.0 for the last cases

As in make_golden.py, whose file format this is: weights are float32, answers are computed in float64 and rounded.
The differences that are measured here are printed: float32 of the package against its own float64.
"""
import importlib.util
import os
import struct
import sys

import torch
from torch import nn

import make_golden as golden


def slot(owner, name, *shape):
    """A made-up parameter "name.weight" of a module."""
    inner = nn.Module()
    inner.weight = nn.Parameter(torch.randn(*shape) * shape[-1] ** -0.5)
    setattr(owner, name, inner)


class Slstm(golden.Cells):
    """slstm of docs/bundle-format.md, computed by xlstm's sLSTMCell (backend vanilla)."""

    def __init__(self, embedding_dim, num_heads, forget_gate="sigmoid"):
        nn.Module.__init__(self)
        d = embedding_dim // num_heads
        self.size, self.heads, self.forget_gate = embedding_dim, num_heads, forget_gate
        for name in ("igate", "fgate", "zgate", "ogate"):
            slot(self, name, num_heads, d, d)
        self.recurrent = nn.Parameter(torch.randn(num_heads, 4 * d, d) * d ** -0.5)
        self.bias = nn.Parameter(torch.randn(4 * embedding_dim) * 0.5)

    def project(self, x, gate):
        """One product a head: x [T, D]."""
        parts = x.view(len(x), self.heads, -1)
        return torch.einsum("hoi,thi->tho", gate.weight, parts).reshape(len(x), -1)

    def forward(self, x, wide=None):
        first = x if wide is None else wide
        gates = torch.cat([self.project(first, self.igate), self.project(first, self.fgate), self.project(x, self.zgate),
                           self.project(x, self.ogate)], 1)
        if self.forget_gate == "exp":
            return self.by_the_paper(gates)
        from xlstm.blocks.slstm.cell import sLSTMCell, sLSTMCellConfig
        cell = sLSTMCell(sLSTMCellConfig(hidden_size=self.size, num_heads=self.heads, backend="vanilla")).to(x.dtype)
        cell._recurrent_kernel_.data = self.recurrent.data
        cell._bias_.data = self.bias.data
        y, state = cell(gates[None])
        y = y[0].transpose(0, 1).reshape(len(x), -1)
        return y, y[-1], [part.flatten() for part in state]

    def by_the_paper(self, gates):
        """Equations 8 to 17 of arXiv 2405.04517, with f = exp: the package's CPU path has no such forget gate."""
        d, n_heads = self.size // self.heads, self.heads
        h = c = n = m = gates.new_zeros(n_heads, d)
        rows = []
        for t, row in enumerate(gates):
            recurrent = torch.einsum("hoi,hi->ho", self.recurrent, h).view(n_heads, 4, d).transpose(0, 1)
            i, f, z, o = row.view(4, n_heads, d) + recurrent + self.bias.view(4, n_heads, d)
            largest = torch.maximum(f + m, i) if t else i
            i, f, m = torch.exp(i - largest), torch.exp(f + m - largest) if t else torch.zeros_like(f), largest
            c, n = f * c + i * torch.tanh(z), f * n + i
            h = torch.sigmoid(o) * c / n
            rows.append(h.flatten())
        return torch.stack(rows), rows[-1], [part.flatten() for part in (h, c, n, m)]


class GatedFeedForward(nn.Module):
    """gated_feed_forward, computed by xlstm's GatedFeedForward where that has the activation."""

    def __init__(self, embedding_dim, hidden_size, activation="silu", bias=0):
        super().__init__()
        self.gate, self.up, self.down = (nn.Linear(embedding_dim, hidden_size, bias=bool(bias)),
                                         nn.Linear(embedding_dim, hidden_size, bias=bool(bias)),
                                         nn.Linear(hidden_size, embedding_dim, bias=bool(bias)))
        self.name = {"silu": "swish"}.get(activation, activation)

    def forward(self, x):
        from xlstm.components.feedforward import FeedForwardConfig, GatedFeedForward as Theirs
        config = FeedForwardConfig(proj_factor=1, act_fn=self.name, embedding_dim=self.gate.in_features,
                                   bias=self.gate.bias is not None)
        config._proj_up_dim = self.gate.out_features
        theirs = Theirs(config).to(x.dtype)
        theirs.proj_up.weight.data = torch.cat([self.gate.weight.data, self.up.weight.data])
        theirs.proj_down.weight.data = self.down.weight.data
        if self.gate.bias is not None:
            theirs.proj_up.bias.data = torch.cat([self.gate.bias.data, self.up.bias.data])
            theirs.proj_down.bias.data = self.down.bias.data
        return theirs(x)


MODULES = {"slstm": Slstm, "gated_feed_forward": GatedFeedForward}


def slstm(n, heads, **keys):
    return ("slstm", dict(embedding_dim=n, num_heads=heads, **keys))


def feed_forward(n, hidden, **keys):
    return ("gated_feed_forward", dict(embedding_dim=n, hidden_size=hidden, **keys))


CASES = {
    "xlstm_slstm": ([golden.linear(3, 32), slstm(32, 4)], [7, 5, 5, 1], 1.0),
    "xlstm_slstm_one_head": ([golden.linear(3, 17), slstm(17, 1), golden.linear(17, 2)], [9, 4], 1.0),
    "xlstm_slstm_saturated": ([golden.linear(3, 20), slstm(20, 5)], [30, 12], 3.0),
    "xlstm_slstm_norm": ([golden.linear(3, 24), slstm(24, 2), golden.norm("group_norm", 24, 2, bias=0),
                          golden.linear(24, 4)], [6, 40, 3], 0.8),
    "xlstm_slstm_exp": ([golden.linear(3, 12), slstm(12, 3, forget_gate="exp")], [6, 3], 0.5),
    "xlstm_feed_forward": ([golden.linear(3, 12), feed_forward(12, 70)], [4, 2], 1.0),
    "xlstm_feed_forward_gelu": ([golden.linear(3, 12), golden.TANH, feed_forward(12, 20, activation="gelu", bias=1),
                                 slstm(12, 2)], [4, 2], 1.0),
}


# Whole blocks ------------------------------------------------------------------------------


class Chain:
    """Layers by name, with the tensors that they take: what a bundle's network and its file hold."""

    def __init__(self):
        self.layers, self.tensors, self.places = [], {}, {"input": -1}

    def add(self, name, kind, inputs=None, keys=None, **tensors):
        sources = [self.places[i] for i in inputs] if inputs else [len(self.layers) - 1]
        prefix = name if tensors else "-"
        self.layers.append((kind, prefix, keys or {}, sources))
        self.places[name] = len(self.layers) - 1
        self.tensors.update({f"{prefix}.{tensor.replace('__', '.')}": t.detach() for tensor, t in tensors.items()})
        return name

    def norm(self, name, source, weight):
        return self.add(name, "layer_norm", [source], {"normalized_shape": len(weight), "bias": 0}, weight=1 + weight)

    def convolution(self, name, source, conv):
        n, _, k = conv["weight"].shape
        return self.add(name, "conv1d", [source], {"in_channels": n, "out_channels": n, "kernel_size": k,
                                                   "padding": "causal", "groups": n}, **conv)

    def linear(self, name, source, weight):
        return self.add(name, "linear", [source], {"in_features": weight.shape[1], "out_features": weight.shape[0],
                                                   "bias": 0}, weight=weight)

    def heads(self, name, source, weight, n):
        """The norm of each head; the package stores the weight less 1."""
        return self.add(name, "group_norm", [source], {"num_channels": len(weight), "num_groups": n, "bias": 0},
                        weight=1 + weight)


def slstm_block(chain, name, source, w, heads):
    """A block of the package with sLSTM, w its state_dict."""
    n = len(w["xlstm_norm.weight"])
    x = chain.norm(name + ".norm", source, w["xlstm_norm.weight"])
    chain.convolution(name + ".conv", x, {"weight": w["xlstm.conv1d.conv.weight"], "bias": w["xlstm.conv1d.conv.bias"]})
    xc = chain.add(name + ".silu", "silu")
    cell = chain.add(name + ".slstm", "slstm", [xc, x], {"embedding_dim": n, "num_heads": heads},
                     igate__weight=w["xlstm.fgate.weight"], fgate__weight=w["xlstm.igate.weight"],
                     zgate__weight=w["xlstm.zgate.weight"], ogate__weight=w["xlstm.ogate.weight"],
                     recurrent=w["xlstm.slstm_cell._recurrent_kernel_"], bias=w["xlstm.slstm_cell._bias_"])
    y = chain.heads(name + ".heads", cell, w["xlstm.group_norm.weight"], heads)
    source = chain.add(name + ".sum", "add", [source, y])
    if "ffn_norm.weight" not in w:
        return source
    x = chain.norm(name + ".ffn_norm", source, w["ffn_norm.weight"])
    gate, up = w["ffn.proj_up.weight"].chunk(2)
    y = chain.add(name + ".ffn", "gated_feed_forward", [x], {"embedding_dim": n, "hidden_size": len(up),
                                                             "activation": "gelu"},
                  gate__weight=gate, up__weight=up, down__weight=w["ffn.proj_down.weight"])
    return chain.add(name + ".out", "add", [source, y])


def mlstm_block(chain, name, source, w, heads):
    """A block of the package with mLSTM."""
    x = chain.norm(name + ".norm", source, w["xlstm_norm.weight"])
    inner, z = w["xlstm.proj_up.weight"].chunk(2)
    xm = chain.linear(name + ".up", x, inner)
    chain.convolution(name + ".conv", xm, {"weight": w["xlstm.conv1d.conv.weight"], "bias": w["xlstm.conv1d.conv.bias"]})
    xc = chain.add(name + ".silu", "silu")
    rows = [chain.linear(f"{name}.{part}", xm if part == "v" else xc, torch.block_diag(*w[f"xlstm.{part}_proj.weight"]))
            for part in "qkv"]
    cell = chain.add(name + ".mlstm", "mlstm", rows, {"embedding_dim": len(inner), "num_heads": heads},
                     **{f"{gate}gate__{kind}": w[f"xlstm.mlstm_cell.{gate}gate.{kind}"]
                        for gate in "if" for kind in ("weight", "bias")})
    h = chain.heads(name + ".heads", cell, w["xlstm.mlstm_cell.outnorm.weight"], heads)
    skip = chain.add(name + ".skip", "conv1d", [xc], {"in_channels": len(inner), "out_channels": len(inner),
                                                      "kernel_size": 1, "padding": "causal", "groups": len(inner),
                                                      "bias": 0}, weight=w["xlstm.learnable_skip"].view(-1, 1, 1))
    h = chain.add(name + ".skipped", "add", [h, skip])
    chain.linear(name + ".gate", x, z)
    gate = chain.add(name + ".gate_silu", "silu")
    chain.add(name + ".gated", "multiply", [h, gate])
    y = chain.linear(name + ".down", name + ".gated", w["xlstm.proj_down.weight"])
    return chain.add(name + ".out", "add", [source, y])


def stack(n, heads, kinds, T, gain):
    """An xLSTMBlockStack of the package with made-up weights, and the same as a chain."""
    from xlstm import (FeedForwardConfig, mLSTMBlockConfig, mLSTMLayerConfig, sLSTMBlockConfig, sLSTMLayerConfig,
                       xLSTMBlockStack, xLSTMBlockStackConfig)
    config = xLSTMBlockStackConfig(
        mlstm_block=mLSTMBlockConfig(mlstm=mLSTMLayerConfig(conv1d_kernel_size=4, qkv_proj_blocksize=4, num_heads=heads)),
        slstm_block=sLSTMBlockConfig(slstm=sLSTMLayerConfig(backend="vanilla", num_heads=heads, conv1d_kernel_size=4),
                                     feedforward=FeedForwardConfig(proj_factor=1.3, act_fn="gelu")),
        context_length=T, num_blocks=len(kinds), embedding_dim=n, slstm_at=[i for i, k in enumerate(kinds) if k == "s"])
    theirs = xLSTMBlockStack(config).eval()
    for name, p in theirs.named_parameters():
        p.data += torch.randn_like(p) * gain * p.shape[-1] ** -0.5
    chain, at = Chain(), "input"
    for i, kind in enumerate(kinds):
        w = {name: p.data for name, p in theirs.blocks[i].named_parameters()}
        at = (slstm_block if kind == "s" else mlstm_block)(chain, f"b{i}", at, w, heads)
    chain.norm("norm", at, theirs.post_blocks_norm.weight.data)
    return theirs, chain


def make_stack(index, name, n, heads, kinds, lengths, gain=0.3):
    torch.manual_seed(index)
    torch.set_default_dtype(torch.float32)
    theirs, chain = stack(n, heads, kinds, max(lengths), gain)
    xs = [torch.randn(length, n) for length in lengths]
    with torch.no_grad():
        single = [theirs(x[None])[0] for x in xs]
        exact = [theirs.double()(x.double()[None])[0] for x in xs]
    drift = max((a - b).abs().max().item() for a, b in zip(single, exact))
    size = write(name, chain, lambda x: theirs(x[None])[0], [x.double() for x in xs])
    return f"| {name} | {index} | {kinds} | {len(lengths)} | {max(lengths)} | {size} | {drift:.1e} |"


def write(name, chain, run, xs, groups=None):
    """The file of a case: the network `run` over each of xs; or over each group of xs, whose sizes and roles `groups` holds,
    without gradients. Returns its bytes."""
    exact, gradients = [], []
    if groups:
        with torch.no_grad():
            exact = run(xs)
    for i, x in enumerate([] if groups else xs):
        x = x.clone().requires_grad_()
        y = run(x)
        y[2 * len(x) // 3, i % y.shape[1]].backward()
        exact.append(y.detach())
        gradients.append(x.grad)
    lines = [f"layer {kind} {prefix}" + "".join(f" {k}={v}" for k, v in keys.items())
             + " inputs=" + ",".join(map(str, sources)) for kind, prefix, keys, sources in chain.layers]
    lines += [f"tensor {k} " + " ".join(map(str, t.shape)) for k, t in chain.tensors.items()]
    lines += [f"input features {xs[0].shape[1]}", "lengths " + " ".join(str(len(x)) for x in xs)]
    lines += [f"{part} " + " ".join(map(str, numbers)) for part, numbers in (groups or {}).items()]
    lines += [f"output {exact[0].shape[1]} {sum(map(len, xs))}", "state 0",
              f"gradient {0 if groups else xs[0].shape[1]}", "data"]
    path = os.path.join(golden.HERE, "cases", name + ".gold")
    with open(path, "wb") as file:
        file.write("\n".join(["carousel golden 1", f"case {name}"] + lines).encode() + b"\n")
        for values in [*chain.tensors.values(), torch.cat(xs), torch.cat(exact), *gradients]:
            values = values.flatten().tolist()
            file.write(struct.pack(f"<{len(values)}f", *values))
    return os.path.getsize(path)


def recipe():
    """zoo/tirex2.py; the package has its name."""
    zoo = os.path.join(golden.HERE, "..", "..", "zoo")
    spec = importlib.util.spec_from_file_location("recipe", os.path.join(zoo, "tirex2.py"))
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, zoo)
    spec.loader.exec_module(module)
    sys.path.remove(zoo)
    return module


def tirex2(n, index, gain):
    """TiRex-2 of both kinds of blocks, with made-up weights: PyPI's tirex-2, its configuration, and the same as a chain, as
    zoo/tirex2.py has it."""
    from tirex2.model import TiRex2
    torch.manual_seed(index)
    torch.set_default_dtype(torch.float32)
    mixer = {"embedding_dim": n, "num_heads": 2}
    config = {"stack_config": {"recipe": ["m", "s"], "templates": {
        kind: {"time_mixer": {"model_type": f"bi-{kind}lstm", "num_slstm_heads": 2, **mixer}, "variate_mixer": mixer,
               "dropout": 0.0, "eps": EPS} for kind in "ms"}},
        "num_blocks": 2, "embedding_dim": n, "input_patch_size": 4, "output_patch_size": 4, "quantiles": [0.1, 0.5, 0.9],
        "tokenizer_cfg": {"input_patch_size": 4, "output_patch_size": 4, "input_patch_stride": 4}, "scaler_cfg": {},
        "h_expand": 2, "context_len": 16, "future_len": 8, "input_ff_dim": 24, "act_func": "SiLU", "dropout": 0.0,
        "stack_out_norm_config": {"eps": EPS}, "device": "cpu"}
    theirs = TiRex2(**config).eval()
    for part, p in theirs.named_parameters():
        p.data += torch.randn_like(p) * gain * p.shape[1 if "recurrent" in part and p.dim() > 1 else -1] ** -0.5
    return theirs, config


def chain_of(network):
    """The layers of a recipe's network as a chain."""
    chain = Chain()
    for layer in network.layers:
        keys = {k: int(v) if isinstance(v, bool) else v for k, v in layer.items()
                if k not in ("type", "name", "prefix", "inputs")}
        sources = [chain.places[i] for i in layer["inputs"]] if "inputs" in layer else [len(chain.layers) - 1]
        chain.layers.append((layer["type"], layer.get("prefix", "-"), keys, sources))
        chain.places[layer["name"]] = len(chain.layers) - 1
    chain.tensors = network.tensors
    return chain


def run_tirex2(theirs, x, roles):
    """The outputs of series x [V, T, D] that are read together; a series that is known ahead stands before its mirror in
    `roles`, and once in x."""
    known = [roles[i + 1:i + 2] == [MIRROR] for i, role in enumerate(roles) if role != MIRROR]
    targets = [role == TARGET for role in roles if role != MIRROR]
    x = theirs.input_patch_embedding(x)
    for block in theirs.stack:
        x = block(x, group_vector=torch.ones(len(x)), target_mask=torch.tensor(targets),
                  known_covariate_mask=torch.tensor(known))[0]
    return theirs.output_patch_embedding(theirs.stack_out_norm(x))


def make_tirex2(index, name, n, lengths):
    """TiRex-2's network for one series."""
    theirs, config = tirex2(n, index, 0.2)
    own = recipe()
    chain = chain_of(own.convert(own.without_mixers(own.complete(theirs.state_dict())), config))
    xs = [torch.randn(length, 8) for length in lengths]
    size = write(name, chain, lambda x: run_tirex2(theirs, x[None], [TARGET])[0], xs)
    return f"| {name} | {index} | tirex-2, float32 | {len(lengths)} | {max(lengths)} | {size} | |"


def make_group(index, name, n, groups):
    """TiRex-2's network for several series: groups of (steps, roles)."""
    theirs, config = tirex2(n, index, 0.1)
    own = recipe()
    chain = chain_of(own.convert(own.complete(theirs.state_dict()), config))
    series = [torch.randn(sum(role != MIRROR for role in roles), steps, 8) for steps, roles in groups]

    def spread(rows, roles):
        """One row a ride: a mirror has the row before it, from its end."""
        rows, out = list(rows), []
        for role in roles:
            out.append(out[-1].flip(0) if role == MIRROR else rows.pop(0))
        return out

    def run(_):
        return [row for x, (_, roles) in zip(series, groups) for row in spread(run_tirex2(theirs, x, roles), roles)]

    xs = [row for x, (_, roles) in zip(series, groups) for row in spread(x, roles)]
    size = write(name, chain, run, xs, {"groups": [len(roles) for _, roles in groups],
                                        "roles": [role for _, roles in groups for role in roles]})
    return f"| {name} | {index} | tirex-2, float32 | {len(xs)} | {max(steps for steps, _ in groups)} | {size} | |"


TARGET, COVARIATE, MIRROR = range(3)  # as enum ride_role
EPS = 1e-7
STACKS = {
    "xlstm_block_s": (16, 4, "s", [7, 3, 12]),
    "xlstm_block_m": (16, 4, "m", [7, 3, 12]),
    "xlstm_stack": (16, 2, "msm", [20, 1, 9]),
}


def main():
    torch.set_num_threads(1)
    plain = golden.module
    golden.module = lambda kind, keys: MODULES[kind](**keys) if kind in MODULES else plain(kind, keys)
    for i, (name, case) in enumerate(CASES.items()):
        print(golden.make(1000 + i, name, *case))
    for i, (name, case) in enumerate(STACKS.items()):
        print(make_stack(1100 + i, name, *case))
    print(make_tirex2(1200, "xlstm_tirex2", 16, [9, 3, 20]))
    print(make_group(1201, "xlstm_tirex2_targets", 16, [(9, [TARGET] * 3), (5, [TARGET]), (7, [TARGET] * 2)]))
    print(make_group(1202, "xlstm_tirex2_covariates", 16, [
        (8, [TARGET, COVARIATE]), (3, [TARGET]), (6, [TARGET, TARGET, COVARIATE, COVARIATE, MIRROR, COVARIATE, MIRROR]),
        (6, [TARGET, COVARIATE, MIRROR])]))


if __name__ == "__main__":
    main()
