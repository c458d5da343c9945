#!/usr/bin/env python3
"""A bundle of a checkpoint of TiRex (arXiv 2505.23719): docs/xlstm.md says where to get one, and its licence.

    python3 zoo/tirex.py model.ckpt bundles/tirex         needs torch and safetensors; nothing of TiRex itself

The checkpoint is a state_dict, alone or below "state_dict" in a dictionary. All sizes are found in its shapes, except
the number of quantiles, which is 9. golden.json holds what `reference` gives below: the equations of the papers in
float64, over the checkpoint's own tensors. --golden takes a file that TiRex itself has made.
"""
import argparse
import hashlib
import json
import math
import pathlib

import torch
from safetensors.torch import save_file

LEVELS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
EPS = 1e-6


class Network:
    """The entries of `network`, with their tensors."""

    def __init__(self, weights):
        self.layers, self.tensors, self.weights = [], {}, weights

    def add(self, name, kind, inputs=None, tensors=None, **keys):
        layer = {"type": kind, "name": name, **({"prefix": name} if tensors else {}), **keys}
        if inputs:
            layer["inputs"] = inputs
        self.layers.append(layer)
        self.tensors.update({f"{name}.{k}": t.float().contiguous() for k, t in (tensors or {}).items()})
        return name

    def linear(self, name, source, old):
        w = self.weights[old + ".weight"]
        bias = {"bias": self.weights[old + ".bias"]} if old + ".bias" in self.weights else {}
        return self.add(name, "linear", [source], {"weight": w, **bias}, in_features=w.shape[1],
                        out_features=w.shape[0], bias=bool(bias))

    def norm(self, name, source, old):
        w = self.weights[old + ".weight"]
        return self.add(name, "rms_norm", [source], {"weight": w}, normalized_shape=len(w), eps=EPS)

    def patch(self, name, source, old):
        """Two layers with relu between, and a straight one beside them."""
        self.linear(name + "_hidden", source, old + ".hidden_layer")
        self.add(name + "_relu", "relu")
        deep = self.linear(name + "_deep", name + "_relu", old + ".output_layer")
        straight = self.linear(name + "_straight", source, old + ".residual_layer")
        return self.add(name, "add", [deep, straight])

    def block(self, name, source, old):
        w = {k[len(old) + 1:]: v for k, v in self.weights.items() if k.startswith(old + ".")}
        heads, d, _ = w["slstm_layer.igate.weight"].shape
        x = self.norm(name + "_norm", source, old + ".norm_slstm")
        kernel = w["slstm_layer.slstm_cell._recurrent_kernel_"]  # [heads, inputs, 4 gates of outputs]
        self.add(name + "_slstm", "slstm", [x], {
            # the package calls the weights of the input gate fgate
            "igate.weight": w["slstm_layer.fgate.weight"], "fgate.weight": w["slstm_layer.igate.weight"],
            "zgate.weight": w["slstm_layer.zgate.weight"], "ogate.weight": w["slstm_layer.ogate.weight"],
            "recurrent": kernel.transpose(1, 2), "bias": bias_of(w["slstm_layer.slstm_cell._bias_"], heads)},
            embedding_dim=heads * d, num_heads=heads)
        y = self.add(name + "_heads", "group_norm", None, {"weight": 1 + w["slstm_layer.group_norm.weight"]},
                     num_channels=heads * d, num_groups=heads, bias=False)
        source = self.add(name + "_sum", "add", [source, y])
        x = self.norm(name + "_ffn_norm", source, old + ".norm_ffn")
        y = self.add(name + "_ffn", "gated_feed_forward", [x], {
            "gate.weight": w["ffn.proj_up_gate.weight"], "up.weight": w["ffn.proj_up.weight"],
            "down.weight": w["ffn.proj_down.weight"]}, embedding_dim=heads * d,
            hidden_size=len(w["ffn.proj_up.weight"]))
        return self.add(name, "add", [source, y])


def bias_of(bias, heads):
    """[heads, 4 gates, d] as slstm has it: gate by gate."""
    return bias.view(heads, 4, -1).transpose(0, 1).flatten()


def convert(weights):
    network = Network(weights)
    at = network.patch("patch", "input", "input_patch_embedding")
    n_blocks = 1 + max(int(k.split(".")[1]) for k in weights if k.startswith("blocks."))
    for i in range(n_blocks):
        at = network.block(f"b{i}", at, f"blocks.{i}")
    at = network.norm("norm", at, "out_norm")
    network.patch("out", at, "output_patch_embedding")
    return network


def reference(weights, x):
    """The network's outputs [T, 9 * patch] of steps x [T, 2 * patch], from the papers' equations."""
    w = {k: v.double() for k, v in weights.items()}

    def linear(name, x):
        return x @ w[name + ".weight"].T + w.get(name + ".bias", 0)

    def norm(name, x):
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + EPS) * w[name + ".weight"]

    def patch(name, x):
        deep = linear(name + ".output_layer", torch.relu(linear(name + ".hidden_layer", x)))
        return deep + linear(name + ".residual_layer", x)

    def cell(name, x):
        n, d, _ = w[name + ".igate.weight"].shape
        parts = x.view(len(x), n, d)
        gates = [torch.einsum("hoi,thi->tho", w[f"{name}.{g}gate.weight"], parts) for g in "fizo"]
        kernel = w[name + ".slstm_cell._recurrent_kernel_"].view(n, d, 4, d)
        bias = w[name + ".slstm_cell._bias_"].view(n, 4, d)
        h, c, norm_, m, rows = *(x.new_zeros(n, d) for _ in range(4)), []
        for t in range(len(x)):
            i, f, z, o = (gates[g][t] + torch.einsum("hio,hi->ho", kernel[:, :, g], h) + bias[:, g] for g in range(4))
            f = torch.nn.functional.logsigmoid(f) + m
            m = torch.maximum(f, i) if t else i
            i, f = torch.exp(i - m), torch.exp(f - m)
            c, norm_ = f * c + i * torch.tanh(z), f * norm_ + i
            h = torch.sigmoid(o) * c / norm_
            rows.append(h)
        y = torch.stack(rows)
        y = (y - y.mean(-1, keepdim=True)) / torch.sqrt(y.var(-1, unbiased=False, keepdim=True) + 1e-5)
        return y.flatten(1) * (1 + w[name + ".group_norm.weight"])

    x = patch("input_patch_embedding", x)
    for i in range(1 + max(int(k.split(".")[1]) for k in w if k.startswith("blocks."))):
        b = f"blocks.{i}"
        x = x + cell(b + ".slstm_layer", norm(b + ".norm_slstm", x))
        y = norm(b + ".norm_ffn", x)
        gate = torch.nn.functional.silu(linear(b + ".ffn.proj_up_gate", y))
        x = x + linear(b + ".ffn.proj_down", gate * linear(b + ".ffn.proj_up", y))
    return patch("output_patch_embedding", norm("out_norm", x))


def golden_cases(weights, patch, context):
    """Two series, one with a hole and shorter than the context, as steps, and the outputs after one patch to come."""
    cases = []
    for n in (context, max(2, context // 3)):
        series = [round(10 * math.sin(i / 3) + i % 7, 2) for i in range(n)]
        x = torch.tensor([math.nan] * (context - n) + series, dtype=torch.float64)
        if n < context:
            series[1], x[context - n + 1] = None, math.nan
        there = ~x.isnan()
        scale = x[there].std(unbiased=False).item()
        z = torch.cat([((x - x[there].mean()) / scale).nan_to_num(0), torch.zeros(patch)]).view(-1, patch)
        mask = torch.cat([there.double(), torch.zeros(patch)]).view(-1, patch)
        steps = torch.cat([z, mask], 1)
        cases.append({"input": series, "features": steps.tolist(), "output": reference(weights, steps)[-1].tolist()})
    return {"cases": cases}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("bundle", type=pathlib.Path)
    parser.add_argument("--context", type=int, default=2048, help="values that the network was trained on")
    parser.add_argument("--golden", type=pathlib.Path, help="golden.json that TiRex itself made")
    args = parser.parse_args()
    weights = torch.load(args.checkpoint, map_location="cpu", weights_only=True)
    weights = weights.get("state_dict", weights)
    weights = {k.removeprefix("model."): v for k, v in weights.items()}
    network = convert(weights)
    patch = weights["input_patch_embedding.hidden_layer.weight"].shape[1] // 2
    args.bundle.mkdir(parents=True, exist_ok=True)
    save_file(network.tensors, args.bundle / "model.safetensors")
    config = {
        "format_version": 1, "task": "forecasting", "description": "TiRex, an xLSTM that forecasts series it has not seen.",
        "sha256": hashlib.sha256((args.bundle / "model.safetensors").read_bytes()).hexdigest(),
        "network": network.layers,
        "forecast": {"context_length": args.context, "patch_length": patch, "full_context": True,
                     "scaling": {"type": "standard", "minimum": 1e-30, "constant": 1e-5},
                     "output": {"type": "patches", "levels": LEVELS}},
    }
    (args.bundle / "config.json").write_text(json.dumps(config, indent=1))
    golden = args.golden.read_text() if args.golden else json.dumps(golden_cases(weights, patch, args.context))
    (args.bundle / "golden.json").write_text(golden)


if __name__ == "__main__":
    main()
