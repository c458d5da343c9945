"""xlstm_sweep.py: forecasts of xLSTM models against the programs of their authors, in float32, over many lengths.

    make xlstm-sweep                                                (five minutes; pip)
    build/xlstm/venv/bin/python tests/bench/xlstm_sweep.py [--program build/carousel] [--sizes small,full]

The models: TiRex (PyPI's tirex-ts, its cells in float32) and TiRex-2 (PyPI's tirex-2), each small and at full size, with
weights made up from a fixed seed under the names and shapes of the checkpoints. zoo/tirex.py and zoo/tirex2.py make bundles of
them, a server answers /v1/forecast, and the same series go through the package. Contexts of 1 to 2,048 values, with holes and
without, horizons of 1 to 256; waves, lines with noise, steps of zeros and ones. TiRex-2 is asked for several series together
too: two and three targets, covariates that are known up to now and ahead. A difference is the largest of all nine quantiles, as
a share of the largest of the same target. The table has the largest by model and kind; the command fails above 1e-4."""
import argparse
import json
import math
import os
import pathlib
import random
import subprocess
import sys

os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")  # compiling for each length takes longer than all forecasts

import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

import xlstm  # noqa: E402

CONTEXTS, HORIZONS = (1, 2, 3, 4, 5, 31, 32, 33, 100, 512, 1000, 2047, 2048), (1, 7, 32, 33, 64, 256)
LIMIT = 1e-4
KINDS = ("wave", "wave with holes", "line", "line with holes", "zeros and ones", "constant")
# Kinds of the targets, of the past covariates and of those that are known ahead.
GROUPS = {
    "two targets": (["wave", "line"], [], []),
    "three targets with holes": (["wave with holes", "line with holes", "zeros and ones"], [], []),
    "a past covariate": (["wave"], ["line"], []),
    "a known covariate": (["wave"], [], ["zeros and ones"]),
    "two targets, all kinds of covariates": (["line", "wave"], ["wave with holes", "zeros and ones"],
                                             ["line", "wave with holes", "constant"]),
}


def series_of(kind, n):
    draw = random.Random(f"{kind} {n}")
    values = {"wave": lambda i: 10 * math.sin(i / 5) + i % 7 + draw.gauss(0, 1), "line": lambda i: 0.5 * i + draw.gauss(0, 1),
              "zeros": lambda i: float(draw.random() < 0.3), "constant": lambda i: 7.5}[kind.split()[0]]
    out = [torch.tensor(values(i)).item() for i in range(n)]  # rounded to float32, as the packages read them
    if "holes" in kind:
        out = [None if draw.random() < 0.2 and i < n - 1 else x for i, x in enumerate(out)]
    return out


def group_of(kind, n, horizon):
    """An object of a request: no row is like another."""
    targets, past, known = GROUPS[kind]
    names = targets + past + known
    rows = [[x if x is None or name.startswith("zeros") else (i + 1) * x + i for x in series_of(name, n + horizon)]
            for i, name in enumerate(names)]
    first, second = len(targets), len(targets) + len(past)
    body = {"target": rows[:first], "past_covariates": rows[first:second], "future_covariates": rows[second:]}
    return {name: [row if name == "future_covariates" else row[:n] for row in part] for name, part in body.items() if part}


def as_tensor(series):
    return torch.tensor([math.nan if x is None else x for x in series])


class Tirex:
    def __init__(self, folder, full):
        keys = {} if full else {"BLOCKS": 2, "WIDTH": 64, "INNER": 192, "HIDDEN": 96}
        vars(xlstm).update({**FULL, **keys})
        weights = xlstm.made_up()
        self.name = f"TiRex, {'full size' if full else 'small'}"
        self.package = xlstm.Package(weights, self.name, torch.float32)
        torch.save({"state_dict": weights}, folder / "model.ckpt")
        subprocess.run([sys.executable, "zoo/tirex.py", folder / "model.ckpt", folder / "tirex"], check=True)
        self.bundle = folder / "tirex"

    def ask(self, series, horizon):
        with torch.inference_mode():
            answer = self.package.model._forecast_quantiles(
                as_tensor(series)[None], prediction_length=horizon, max_accelerated_rollout_steps=-(-horizon // xlstm.PATCH))
        return (answer[0] if isinstance(answer, tuple) else answer)[0].T


FULL = {k: getattr(xlstm, k) for k in ("BLOCKS", "WIDTH", "INNER", "HIDDEN")}


def configuration(full):
    width, blocks = (512, 12) if full else (64, 2)

    def template(kind):
        return {"time_mixer": {"model_type": kind, "embedding_dim": width, "num_heads": 4, "num_slstm_heads": 4},
                "variate_mixer": {"embedding_dim": width, "num_heads": 4}, "dropout": 0.0, "eps": 1e-7}

    return {"stack_config": {"templates": {"standard": template("bi-mlstm"), "recurrent": template("bi-slstm")},
                             "recipe": ["standard", "recurrent"] * (blocks // 2)},
            "num_blocks": blocks, "embedding_dim": width, "input_patch_size": 32, "output_patch_size": 32,
            "quantiles": xlstm.LEVELS, "scaler_cfg": {"use_arcsinh": True, "binaryaware": True}, "h_expand": 4,
            "tokenizer_cfg": {"input_patch_size": 32, "output_patch_size": 32, "input_patch_stride": 32},
            "context_len": 2048, "future_len": 320, "input_ff_dim": 2048 if full else 96, "act_func": "SiLU", "dropout": 0.0,
            "stack_out_norm_config": {"eps": 1e-7}, "tta_diff": True, "device": "cpu"}


class Tirex2:
    """tirex-2's own modules; its folder holds each tensor once, as the package writes it."""

    def __init__(self, folder, full):
        from tirex2._state_dict import shared_tensor_groups
        from tirex2.model import TiRex2
        self.name = f"TiRex-2, {'full size' if full else 'small'}"
        config = configuration(full)
        torch.manual_seed(1)
        self.model = TiRex2(**config).eval()
        for name, p in self.model.named_parameters():
            size = 0.1 if p.dim() == 1 or "bias" in name else 0.5 * p.shape[1 if "recurrent" in name else -1] ** -0.5
            p.data = size * torch.randn_like(p) + (p.data if p.dim() == 1 else 0)
        aliases = {name for group in shared_tensor_groups(self.model) for name in group[1:]}
        save_file({k: v.contiguous() for k, v in self.model.state_dict().items() if k not in aliases},
                  folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(config))
        subprocess.run([sys.executable, "zoo/tirex2.py", folder, folder / "tirex2"], check=True)
        self.bundle = folder / "tirex2"

    def ask(self, series, horizon):
        return self.ask_group({"target": [series]}, horizon)[0]

    def ask_group(self, group, horizon):
        """[targets, levels, horizon]"""
        from tirex2 import TimeseriesType
        parts = {name: torch.stack([as_tensor(row) for row in group[name]]) if name in group else None
                 for name in ("target", "past_covariates", "future_covariates")}
        with torch.inference_mode():
            return self.model.predict([TimeseriesType(**parts)], horizon)[0]


def lengths():
    """Every context with two horizons, in turn."""
    for i, context in enumerate(CONTEXTS):
        yield from ((context, HORIZONS[(i + k) % len(HORIZONS)]) for k in (0, 3))


def sweep(model, server):
    worst = {}
    for kind in KINDS:
        for context, horizon in lengths():
            series = series_of(kind, context)
            expected = model.ask(series, horizon).sort(0).values
            body = {"model": "tirex", "series": series, "horizon": horizon, "quantiles": xlstm.LEVELS}
            found = torch.tensor(list(server.post(body)["forecasts"][0]["quantiles"].values()))
            difference = ((found - expected).abs().max() / expected.abs().max()).item()
            worst[kind] = max(worst.get(kind, (0,)), (difference, context, horizon))
    return worst


def sweep_groups(model, server):
    worst = {}
    for kind in GROUPS:
        for context, horizon in lengths():
            group = group_of(kind, context, horizon)
            if any(all(x is None for x in row) for row in group["target"]):
                continue
            expected = model.ask_group(group, horizon).sort(1).values
            body = {"model": "tirex", "series": [group], "horizon": horizon, "quantiles": xlstm.LEVELS}
            found = torch.tensor(list(server.post(body)["forecasts"][0]["quantiles"].values())).transpose(0, 1)
            for mine, theirs in zip(found, expected):
                difference = ((mine - theirs).abs().max() / theirs.abs().max()).item()
                worst[kind] = max(worst.get(kind, (0,)), (difference, context, horizon))
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/carousel")
    parser.add_argument("--sizes", default="small,full")
    parser.add_argument("--models", default="TiRex,TiRex-2")
    options = parser.parse_args()
    torch.set_num_threads(1)
    failed = False
    print("| model | series | largest difference | at context | and horizon |\n|---|---|---|---|---|")
    for size in options.sizes.split(","):
        for make in (m for name, m in (("TiRex", Tirex), ("TiRex-2", Tirex2)) if name in options.models.split(",")):
            folder = xlstm.FOLDER / size
            folder.mkdir(parents=True, exist_ok=True)
            model = make(folder, size == "full")
            server = xlstm.Server(options.program, model.bundle, "float32")
            try:
                found = sweep(model, server)
                found.update(sweep_groups(model, server) if isinstance(model, Tirex2) else {})
                for kind, (difference, context, horizon) in found.items():
                    failed = failed or not difference <= LIMIT
                    print(f"| {model.name} | {kind} | {difference:.1e} | {context} | {horizon} |", flush=True)
            finally:
                server.child.terminate()
    if failed:
        sys.exit(f"a difference is above {LIMIT}")


if __name__ == "__main__":
    main()
