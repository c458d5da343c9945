#!/usr/bin/env python3
"""Makes the bundle `group`, a small TiRex-2 with made-up weights, and group.json: requests for several series together, and what
PyPI's tirex-2 foretells for each.

    python3 tests/http/columns/make_group.py          needs what tests/bench/xlstm-requirements.txt says
"""
import json
import math
import pathlib
import sys
import tempfile

import torch

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE / "../../bench"), str(HERE / "../../golden")]

import make_xlstm  # noqa: E402
import xlstm_sweep  # noqa: E402

LEVELS, WIDTH, PATCH = [0.1, 0.5, 0.9], 16, 4
# Values, horizon, targets, past covariates and covariates that are known ahead.
REQUESTS = [(16, 4, 1, 0, 0), (13, 6, 2, 0, 0), (40, 8, 3, 2, 0), (7, 3, 1, 0, 1), (30, 8, 2, 1, 2)]


def configuration(_):
    keys = {"embedding_dim": WIDTH, "num_heads": 2}
    template = {"variate_mixer": keys, "dropout": 0.0, "eps": 1e-7}
    return {"stack_config": {"templates": {kind: dict(
                template, time_mixer=dict(keys, num_slstm_heads=2, model_type=f"bi-{kind}lstm")) for kind in "ms"}, "recipe": ["m", "s"]},
            "num_blocks": 2, "embedding_dim": WIDTH, "input_patch_size": PATCH, "output_patch_size": PATCH,
            "quantiles": LEVELS, "scaler_cfg": {"use_arcsinh": True, "binaryaware": True}, "h_expand": 2,
            "tokenizer_cfg": {"input_patch_size": PATCH, "output_patch_size": PATCH, "input_patch_stride": PATCH},
            "context_len": 40, "future_len": 12, "input_ff_dim": 24, "act_func": "SiLU", "dropout": 0.0,
            "stack_out_norm_config": {"eps": 1e-7}, "tta_diff": True, "device": "cpu"}


def row(kind, n):
    values = [5 * math.sin((kind + 2) * t / 3) + (2.5 * t if kind % 3 == 1 else 0) if kind % 4 < 3 else float(t % 3 == 0)
              for t in range(n)]
    return [None if (t * (kind + 1)) % 11 == 7 else round(x, 2) for t, x in enumerate(values)]


def request(model, n, horizon, targets, past, known):
    rows = [row(i, n + horizon) for i in range(targets + past + known)]
    group = {"target": [r[:n] for r in rows[:targets]], "past_covariates": [r[:n] for r in rows[targets:targets + past]],
             "future_covariates": rows[targets + past:]}
    group = {name: part for name, part in group.items() if part}
    answer = model.ask_group(group, horizon).sort(1).values
    return {"body": {"model": "group", "horizon": horizon, "quantiles": LEVELS, "series": [group]},
            "mean": answer[:, 1].tolist(),
            "quantiles": {f"{level:g}": answer[:, q].tolist() for q, level in enumerate(LEVELS)}}


def main():
    torch.set_num_threads(1)
    xlstm_sweep.configuration = configuration
    with tempfile.TemporaryDirectory() as folder:
        model = xlstm_sweep.Tirex2(pathlib.Path(folder), False)
        make_xlstm.recipe().bundle(pathlib.Path(folder), HERE / "group")
    (HERE / "group.json").write_text(json.dumps([request(model, *sizes) for sizes in REQUESTS]))


if __name__ == "__main__":
    main()
