#!/usr/bin/env python3
"""A bundle of TiRex-2 (arXiv 2607.01204): docs/xlstm.md says where to get it, and its licence.

    python3 zoo/tirex2.py TiRex-2 bundles/tirex2          needs torch and safetensors; nothing of TiRex-2 itself

TiRex-2 is a folder with model.safetensors and config.json. Sizes are found in the shapes of the tensors. --one-series leaves
out what mixes several series (variate_mixer, combination), which is half of the weights: for one series the model does not use
it. golden.json holds what `reference` gives below: the equations of the papers in float64, over the checkpoint's own tensors.
"""
import argparse
import hashlib
import json
import math
import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file

import tirex

EPS, CAP, HEAD_EPS = 1e-6, 15.0, 2.0 ** -23
# What a mixer's tensors are called in a bundle, and in the checkpoint.
MIXER = {"attention_norm": "norm_attn", "query": "attn.WQ", "key": "attn.WK", "value": "attn.WV", "out": "attn.WO",
         "hidden_norm": "norm_ffn", "up": "ffn.wi", "down": "ffn.wo"}
# The package's own constants, which its configuration does not hold.
BAND, TREND = {"scale": 0.9, "exponent": 0.52}, {"r2": 0.87, "scale": 1.68, "exponent": 0.51}


def complete(weights):
    """Tensors that have several names are in the file once: give each the name that is read below."""
    out = {}
    for name, tensor in weights.items():
        name = name.replace(".rev_cell.", ".fwd_cell.")
        for part in ("recurrent_kernel", "bias"):
            name = name.replace(f"fwd_cell.{part}", f"fwd_cell._{part}_")
        out[name] = tensor
    return out


def n_blocks(weights):
    return 1 + max(int(k.split(".")[1]) for k in weights if k.startswith("stack."))


class Network(tirex.Network):
    def __init__(self, weights, activation, eps):
        super().__init__(weights)
        self.activation, self.eps = activation, eps

    def patch(self, name, source, old):
        self.linear(name + "_hidden", source, old + ".hidden_layer")
        self.add(name + "_act", self.activation)
        deep = self.linear(name + "_deep", name + "_act", old + ".output_layer")
        straight = self.linear(name + "_straight", source, old + ".residual_layer")
        return self.add(name, "add", [deep, straight])

    def heads(self, name, source, old, n):
        w = self.weights[old + ".weight"]
        return self.add(name, "group_norm", [source], {"weight": w}, num_channels=len(w), num_groups=n, eps=EPS, bias=False)

    def mlstm(self, name, x, old):
        w = self.weights
        rows = [self.linear(f"{name}_{part}", x, f"{old}.{part}") for part in "qkv"]
        heads = len(w[old + ".igate_preact.weight"])
        self.add(name + "_mlstm", "mlstm", [*rows, x], {
            f"{gate}gate.{kind}": w[f"{old}.{gate}gate_preact.{kind}"] for gate in "if" for kind in ("weight", "bias")},
            embedding_dim=len(w[old + ".v.weight"]), qk_dim=len(w[old + ".q.weight"]), num_heads=heads, eps=EPS,
            gate_soft_cap=CAP)
        h = self.heads(name + "_heads", name + "_mlstm", old + ".multihead_norm", heads)
        self.linear(name + "_o", x, old + ".ogate_preact")
        gate = self.add(name + "_gate", "sigmoid")
        gated = self.add(name + "_gated", "multiply", [h, gate])
        return self.linear(name + "_down", gated, old + ".out_proj")

    def slstm(self, name, x, old):
        w = {k[len(old) + 1:]: v for k, v in self.weights.items() if k.startswith(old + ".")}
        heads, d, _ = w["igate.weight"].shape
        kernel = w["_recurrent_kernel_"].reshape(heads, d, 4 * d)  # [heads, inputs, gates, outputs]
        self.add(name + "_slstm", "slstm", [x], {
            # the package calls the weights of the input gate fgate
            "igate.weight": w["fgate.weight"], "fgate.weight": w["igate.weight"], "zgate.weight": w["zgate.weight"],
            "ogate.weight": w["ogate.weight"], "recurrent": kernel.transpose(1, 2), "bias": tirex.bias_of(w["_bias_"], heads)},
            embedding_dim=heads * d, num_heads=heads)
        return self.heads(name + "_heads", name + "_slstm", old + ".group_norm", heads)

    def block(self, name, source, old, mixer):
        x = self.norm(name + "_norm", source, old + ".norm_lstm")
        kind = self.mlstm if old + ".fwd_cell.q.weight" in self.weights else self.slstm
        y = kind(name, x, old + ".fwd_cell")
        if mixer:
            w = self.weights[old + ".combination.weight"]
            y = self.add(name + "_both", "both_ways", [y], {"weight": w}, embedding_dim=len(w))
        source = self.add(name + "_sum", "add", [source, y])
        x = self.norm(name + "_ffn_norm", source, old + ".norm_ffn")
        w = {part: self.weights[f"{old}.ffn.{part}.weight"] for part in ("proj_up_gate", "proj_up", "proj_down")}
        y = self.add(name + "_ffn", "gated_feed_forward", [x], {
            "gate.weight": w["proj_up_gate"], "up.weight": w["proj_up"], "down.weight": w["proj_down"]},
            embedding_dim=len(w["proj_down"]), hidden_size=len(w["proj_up"]))
        if not mixer:
            return self.add(name, "add", [source, y])
        source = self.add(name + "_time", "add", [source, y])
        old, heads = mixer["name"], mixer["num_heads"]
        w = {new: self.weights[f"{old}.{part}.weight"] for new, part in MIXER.items()}
        return self.add(name, "variate_mixer", [source], {f"{new}.weight": tensor for new, tensor in w.items()},
                        embedding_dim=len(w["query"]), num_heads=heads, hidden_size=len(w["up"]))


def mixers(weights, config):
    """The mixer of each block, by the configuration; None if the checkpoint has none."""
    out, stack = [], config["stack_config"]
    for i in range(n_blocks(weights)):
        name, kind = f"stack.{i}.variate_mixer", stack["recipe"][i % len(stack["recipe"])]
        is_there = name + ".attn.WQ.weight" in weights
        out.append(dict(stack["templates"][kind]["variate_mixer"], name=name) if is_there else None)
    return out


def without_mixers(weights):
    return {k: v for k, v in weights.items() if ".variate_mixer." not in k and ".combination." not in k}


def convert(weights, config):
    eps = (config.get("stack_out_norm_config") or {}).get("eps", EPS)
    network = Network(weights, config["act_func"].lower(), eps)
    at = network.patch("patch", "input", "input_patch_embedding")
    for i, mixer in enumerate(mixers(weights, config)):
        at = network.block(f"b{i}", at, f"stack.{i}.time_mixer", mixer)
    if "stack_out_norm.weight" in weights:
        w = weights["stack_out_norm.weight"]
        at = network.add("norm", "rms_norm", [at], {"weight": w}, normalized_shape=len(w), eps=eps)
    network.patch("out", at, "output_patch_embedding")
    return network


def mlstm(w, name, x):
    """The cell with matrix memory over rows x [T, D], step by step."""
    q, k, v = (x @ w[f"{name}.{part}.weight"].T for part in "qkv")
    gates = [CAP * torch.tanh((x @ w[f"{name}.{g}gate_preact.weight"].T + w[f"{name}.{g}gate_preact.bias"]) / CAP) for g in "if"]
    n = gates[0].shape[1]
    q, k, v = (rows.view(len(x), n, -1) for rows in (q, k / math.sqrt(k.shape[1] / n), v))
    c, norm, m, rows = x.new_zeros(n, k.shape[2], v.shape[2]), x.new_zeros(n, k.shape[2]), x.new_zeros(n), []
    for t in range(len(x)):
        f = torch.nn.functional.logsigmoid(gates[1][t]) + m
        m = torch.maximum(f, gates[0][t])
        i, f = torch.exp(gates[0][t] - m), torch.exp(f - m)
        c = f[:, None, None] * c + i[:, None, None] * k[t][:, :, None] * v[t][:, None]
        norm = f[:, None] * norm + i[:, None] * k[t]
        scale = torch.maximum((norm * q[t]).sum(-1).abs(), torch.exp(-m)) + EPS
        rows.append((q[t][:, :, None] * c).sum(1) / scale[:, None])
    y = head_norm(torch.stack(rows)) * w[name + ".multihead_norm.weight"]
    return (torch.sigmoid(x @ w[name + ".ogate_preact.weight"].T) * y) @ w[name + ".out_proj.weight"].T


def slstm(w, name, x):
    """The cell with scalar memory over rows x [T, D]."""
    n, d, _ = w[name + ".igate.weight"].shape
    parts = x.view(len(x), n, d)
    gates = [torch.einsum("hoi,thi->tho", w[f"{name}.{g}gate.weight"], parts) for g in "fizo"]
    kernel, bias = w[name + "._recurrent_kernel_"].view(n, d, 4, d), w[name + "._bias_"].view(n, 4, d)
    h, c, norm, m, rows = *(x.new_zeros(n, d) for _ in range(4)), []
    for t in range(len(x)):
        i, f, z, o = (gates[g][t] + torch.einsum("hio,hi->ho", kernel[:, :, g], h) + bias[:, g] for g in range(4))
        f = torch.nn.functional.logsigmoid(f) + m
        m = torch.maximum(f, i) if t else i
        i, f = torch.exp(i - m), torch.exp(f - m)
        c, norm = f * c + i * torch.tanh(z), f * norm + i
        h = torch.sigmoid(o) * c / norm
        rows.append(h)
    return head_norm(torch.stack(rows)) * w[name + ".group_norm.weight"]


def head_norm(y):
    """[T, heads, d] to [T, heads * d]."""
    return ((y - y.mean(-1, keepdim=True)) / torch.sqrt(y.var(-1, unbiased=False, keepdim=True) + EPS)).flatten(1)


def rms(x, weight, eps=EPS):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps) * weight


def time_mixer(w, b, x, known):
    """A block over one series x [T, D]; one that is known ahead goes both ways."""
    cell = mlstm if b + ".fwd_cell.q.weight" in w else slstm
    y = rms(x, w[b + ".norm_lstm.weight"])
    ways = [cell(w, b + ".fwd_cell", y)]
    if known:
        ways.append(cell(w, b + ".fwd_cell", y.flip(0)).flip(0))
    x = x + (torch.cat(ways, 1) @ w[b + ".combination.weight"].T if known else ways[0])
    y = rms(x, w[b + ".norm_ffn.weight"])
    gate = torch.nn.functional.silu(y @ w[b + ".ffn.proj_up_gate.weight"].T)
    return x + (gate * (y @ w[b + ".ffn.proj_up.weight"].T)) @ w[b + ".ffn.proj_down.weight"].T


def variate_mixer(w, mixer, x, n_targets):
    """Attention across series, x [V, T, D], targets first; then a feed-forward part."""
    n, b, size = mixer["num_heads"], mixer["name"], x.shape
    y = rms(x, w[b + ".norm_attn.weight"])
    q, k, v = ((y @ w[f"{b}.attn.W{part}.weight"].T).view(*size[:2], n, -1) for part in "QKV")
    q, k = (rows / torch.sqrt((rows * rows).mean(-1, keepdim=True) + HEAD_EPS) for rows in (q, k))
    scores = torch.einsum("athd,bthd->htab", q, k) / math.sqrt(q.shape[-1])
    scores[:, :, n_targets:, :n_targets] = -math.inf  # a covariate reads no target
    x = x + torch.einsum("htab,bthd->athd", scores.softmax(-1), v).reshape(size) @ w[b + ".attn.WO.weight"].T
    y = rms(x, w[b + ".norm_ffn.weight"])
    return x + torch.nn.functional.silu(y @ w[b + ".ffn.wi.weight"].T) @ w[b + ".ffn.wo.weight"].T


def reference(weights, config, x, n_targets=1, n_known=0):
    """The network's outputs [V, T, levels * patch] of steps x [V, T, 2 * patch] of series that are read together, from
    the papers' equations: targets first, series that are known ahead last."""
    w = {k: v.double() for k, v in weights.items()}
    act = getattr(torch.nn, config["act_func"])()

    def linear(name, x):
        return x @ w[name + ".weight"].T + w[name + ".bias"]

    def patch(name, x):
        return linear(name + ".output_layer", act(linear(name + ".hidden_layer", x))) + linear(name + ".residual_layer", x)

    x = patch("input_patch_embedding", x)
    for i, mixer in enumerate(mixers(w, config)):
        x = torch.stack([time_mixer(w, f"stack.{i}.time_mixer", row, v >= len(x) - n_known) for v, row in enumerate(x)])
        if len(x) > 1:
            x = variate_mixer(w, mixer, x, n_targets)
    if "stack_out_norm.weight" in w:
        x = rms(x, w["stack_out_norm.weight"], (config.get("stack_out_norm_config") or {}).get("eps", EPS))
    return patch("output_patch_embedding", x)


def steps(series, patch, context, ahead=1, known=0):
    """Steps of a series (None if missing) without a trend, whose last `known` values are to come, through `ahead` patches to come."""
    before, after = context + known - len(series), ahead * patch - known
    x = torch.tensor([math.nan] * before + [math.nan if v is None else v for v in series] + [math.nan] * after).double()
    there = ~x.isnan()
    scale = max(x[there].std(unbiased=False).item(), 1e-8)
    z = torch.asinh((x - x[there].mean()) / scale).nan_to_num(0).view(-1, patch)
    return torch.cat([z, there.double().view(-1, patch)], 1)


def wave(n, row=0):
    """A series with neither a trend nor zeros and ones alone."""
    return [round((10 + row) * math.sin((i + row) / (3 + row)) + (i * (row + 1)) % 7, 2) for i in range(n)]


def rounded(rows):
    """Rows as golden.json has them: a feature may differ by 1e-5."""
    return [[round(value, 7) for value in row] for row in rows.tolist()]


def group_case(weights, config):
    """Two targets, one with a hole, a past covariate and one that is known ahead by one value: what mixes series is proved too."""
    patch, context = config["input_patch_size"], config["context_len"]
    n, ahead = max(8, context // 4), max(2, config["future_len"] // patch)
    targets, past, known = [wave(n), wave(n, 1)], wave(n, 2), wave(n + 1, 3)
    targets[1][2] = None
    x = torch.stack([steps(row, patch, context, ahead) for row in (*targets, past)] + [steps(known, patch, context, ahead, 1)])
    seats = torch.cat([x, x[-1:].flip(1)]).flatten(0, 1)  # what is known ahead is read from its end too
    return {"input": {"target": targets, "past_covariates": [past], "future_covariates": [known]},
            "features": rounded(seats), "output": reference(weights, config, x, 2, 1)[:2, -1].tolist()}


def golden_cases(weights, config):
    """Two series, one with a hole and shorter than the context, as steps, and the outputs after one patch to come; then several
    series, if the network mixes them."""
    cases, patch, context = [], config["input_patch_size"], config["context_len"]
    for n in (context, max(8, context // 3)):
        series = wave(n)
        if n < context:
            series[1] = None
        x = steps(series, patch, context)
        cases.append({"input": series, "features": rounded(x), "output": reference(weights, config, x[None])[0, -1].tolist()})
    if any(mixers(weights, config)):
        cases.append(group_case(weights, config))
    return {"cases": cases}


def describe(config, mixes):
    """The section `forecast` of the bundle."""
    scaler = config["scaler_cfg"]
    scaling = {"type": "standard", "minimum": scaler.get("eps", 1e-8)}
    if scaler.get("use_arcsinh"):
        scaling["squash"] = "asinh"
    if scaler.get("binaryaware"):
        scaling["binary"] = True
    output = {"type": "patches", "levels": config["quantiles"], "band": BAND}
    if config.get("tta_diff", True):
        output["trend"] = TREND
    return {"context_length": config["context_len"], "patch_length": config["input_patch_size"], "full_context": True,
            **({"future_length": config["future_len"]} if mixes else {}), "scaling": scaling, "output": output}


def bundle(folder, to, one_series=False):
    weights = complete(load_file(folder / "model.safetensors"))
    if one_series:
        weights = without_mixers(weights)
    config = json.loads((folder / "config.json").read_text())
    if config["input_patch_size"] != config["output_patch_size"]:
        sys.exit("patches are read and foretold in different sizes: expected input_patch_size and output_patch_size to be equal")
    if config.get("tta_sign_flip"):
        print("the checkpoint asks for two passes, one of the series upside down: the bundle makes the first", file=sys.stderr)
    network = convert(weights, config)
    to.mkdir(parents=True, exist_ok=True)
    save_file(network.tensors, to / "model.safetensors")
    (to / "config.json").write_text(json.dumps({
        "format_version": 1, "task": "forecasting", "description": "TiRex-2, an xLSTM that forecasts series it has not seen.",
        "sha256": hashlib.sha256((to / "model.safetensors").read_bytes()).hexdigest(),
        "network": network.layers, "forecast": describe(config, any(mixers(weights, config)))}, indent=1))
    (to / "golden.json").write_text(json.dumps(golden_cases(weights, config)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint", type=pathlib.Path, help="the folder with model.safetensors and config.json")
    parser.add_argument("bundle", type=pathlib.Path)
    parser.add_argument("--one-series", action="store_true", help="leave out what mixes several series")
    args = parser.parse_args()
    bundle(args.checkpoint, args.bundle, args.one_series)


if __name__ == "__main__":
    main()
