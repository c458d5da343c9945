#!/usr/bin/env python3
"""Makes the bundles of the tests of forecasts with several rows: small networks of PyTorch with random weights, their
golden cases, and requests.json: requests, and what PyTorch foretells for each.

    python3 tests/http/columns/make.py          needs torch and numpy; nothing else
"""
import datetime
import json
import pathlib
import struct

import numpy as np
import torch
from torch import nn

HERE = pathlib.Path(__file__).parent
REQUESTS = {}


class Forecaster(nn.Module):
    """As people write it: an LSTM, and one Linear over its last output for all steps of the horizon."""

    def __init__(self, n_inputs, n_outputs, hidden=8, num_layers=1, bidirectional=False):
        super().__init__()
        self.lstm = nn.LSTM(n_inputs, hidden, num_layers, batch_first=True, bidirectional=bidirectional)
        self.head = nn.Linear(hidden * (1 + bidirectional), n_outputs)

    def forward(self, x, state=None):
        out, state = self.lstm(x, state)
        last = out.mean(dim=1) if self.lstm.bidirectional else out[:, -1]
        return self.head(last), state

    def layers(self):
        lstm = self.lstm
        layers = [{"type": "lstm", "prefix": "lstm", "input_size": lstm.input_size, "hidden_size": lstm.hidden_size,
                   "num_layers": lstm.num_layers, "bidirectional": lstm.bidirectional}]
        if lstm.bidirectional:
            layers.append({"type": "pooling", "mode": "mean"})
        return layers + [{"type": "linear", "prefix": "head", "in_features": self.head.in_features,
                          "out_features": self.head.out_features}]


def write(name, module, forecast, cases):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    header, data = {}, b""
    for key, value in module.state_dict().items():
        block = value.detach().float().contiguous().numpy().tobytes()
        header[key] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(block)]}
        data += block
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    config = {"format_version": 1, "task": "forecasting", "license": "Apache-2.0", "network": module.layers(),
              "forecast": forecast}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    (folder / "golden.json").write_text(json.dumps({"tolerance": 1e-5, "cases": cases}) + "\n")


def numbers(array, digits=4):
    return [None if np.isnan(x) else round(float(x), digits) for x in array]


def filled(z):
    """Holes hold the value before them, or 0 at the start."""
    z, last = z.copy(), 0.0
    for t in range(len(z)):
        last = z[t] = last if np.isnan(z[t]) else z[t]
    return z


def run(module, features, state=None):
    with torch.no_grad():
        out, state = module(torch.tensor(np.asarray(features)[None], dtype=torch.float32), state)
    return out[0].double().numpy(), state


def golden(request, features, output):
    return {"input": request, "features": np.float32(features).astype(float).round(7).tolist(),
            "output": [float(x) for x in np.float32(output)]}


# One target and 24 steps, four covariates; two of them follow from the calendar.
def weather(rng):
    columns = [{"name": "load", "role": "target", "scaling": {"type": "constant", "mean": 512.5, "scale": 88.25}},
               {"name": "price", "role": "past", "scaling": {"type": "minmax", "min": 10, "max": 90}},
               {"name": "temperature", "role": "future", "scaling": {"type": "constant", "mean": 11, "scale": 7.5}},
               *({"name": f"hour_{wave}", "role": "future",
                  "calendar": {"part": "hour", "wave": wave, "period": 24}} for wave in ("sin", "cos"))]
    module, context, horizon = Forecaster(5, 24, num_layers=2), 48, 24
    requests, cases = [], []
    for n, hole, asked in ((60, 7, 24), (48, 0, 24), (5, 2, 6)):
        start = datetime.datetime(2026, 3, 1, 5)
        hours = np.array([(start + datetime.timedelta(hours=t)).hour for t in range(n + 24)])
        load = 500 + 90 * np.sin(hours[:n] / 24 * 6.28) + rng.normal(0, 9, n)
        price, temperature = rng.uniform(5, 95, n), rng.normal(11, 7, n + 24)
        sin, cos = np.sin(2 * np.pi * hours / 24), np.cos(2 * np.pi * hours / 24)
        load[hole], price[1], temperature[3] = np.nan, np.nan, np.nan
        sent = {"target": numbers(load), "past_covariates": {"price": numbers(price)},
                "future_covariates": {"temperature": numbers(temperature[:n + asked])}}
        load, price, temperature = (np.array([np.nan if x is None else x for x in numbers(row)])
                                    for row in (load, price, temperature))
        tail = slice(max(0, n - context), n)
        features = np.stack([filled((load[tail] - 512.5) / 88.25), filled((price[tail] - 10) / 80),
                             filled((temperature[tail] - 11) / 7.5), sin[tail], cos[tail]], axis=1)
        output, _ = run(module, features)
        mean = (output * 88.25 + 512.5)[:asked].tolist()
        body = {"model": "weather", "horizon": asked}
        requests.append({"body": {**body, "series": [{**sent, "start": "2026-03-01T05:00:00", "freq": "h"}]},
                         "mean": mean})
        # without the calendar, and by rows
        plain = {**sent, "future_covariates": [sent["future_covariates"]["temperature"], sin[:n + asked].tolist(),
                                               cos[:n + asked].tolist()],
                 "past_covariates": [sent["past_covariates"]["price"]]}
        requests.append({"body": {**body, "series": [plain]}, "mean": mean})
        if asked == horizon:
            cases.append(golden({**sent, "future_covariates": {
                "temperature": sent["future_covariates"]["temperature"], "hour_sin": sin.tolist(),
                "hour_cos": cos.tolist()}}, features, output))
    write("weather", module, {"context_length": context, "columns": columns,
                              "output": {"type": "horizons", "horizon": horizon}}, cases)
    REQUESTS["weather"] = requests


# Two targets on their own scales, three levels, 3 steps at once, and on from there; a plan that is read ahead.
def twins(rng):
    columns = [{"name": "a", "role": "target", "scaling": {"type": "standard"}},
               {"name": "plan", "role": "future"},
               {"name": "b", "role": "target", "scaling": {"type": "mean_abs"}}]
    inputs = [{"column": "a"}, {"column": "b"}, {"column": "b", "lag": 2}, {"column": "a", "missing": True},
              {"column": "plan", "lead": 1}, {"column": "plan", "lead": 3}, "value", "difference"]
    levels = [0.1, 0.5, 0.9]
    module = Forecaster(len(inputs), 3 * 2 * 3, hidden=6)
    requests, cases = [], []
    for n, asked in ((20, 9), (1, 3), (14, 3)):
        a, b, plan = rng.normal(50, 12, n), rng.normal(-3, 2, n), rng.uniform(-1, 1, n + asked)
        if n > 5:
            a[4], b[0] = np.nan, np.nan
        sent = {"target": [numbers(a), numbers(b)], "past_covariates": {"plan": numbers(plan[:n])},
                "future_covariates": {"plan": numbers(plan[n:])}}
        a, b = (np.array([np.nan if x is None else x for x in row]) for row in sent["target"])
        plan = np.array(sent["past_covariates"]["plan"] + sent["future_covariates"]["plan"])
        skip = max(0, n - 16)
        a, b, plan, n = a[skip:], b[skip:], plan[skip:], n - skip
        m, s, s_b = np.nanmean(a), max(np.nanstd(a), 1e-6), max(np.nanmean(abs(b)), 1e-6)
        za, zb, missing = filled((a - m) / s), filled(b / s_b), np.isnan(a).astype(float)

        def step(t):
            return [za[t], zb[t], zb[t - 2] if t >= 2 else 0, missing[t], plan[t + 1], plan[t + 3], za[t],
                    za[t] - za[t - 1] if t else 0]

        features, state, quantiles = [step(t) for t in range(n)], None, []
        first = features
        for _ in range(asked // 3):
            output, state = run(module, features, state)
            if not quantiles:
                kept = output
            table = output.reshape(3, 3, 2) + np.array([za[-1], zb[-1]])  # level, step, column
            table = np.sort(table, axis=0)
            quantiles += [table[:, h] for h in range(3)]
            begin = len(za)
            za, zb = np.append(za, table[1, :, 0]), np.append(zb, table[1, :, 1])
            missing = np.append(missing, [0.0] * 3)
            if len(za) - n < asked:
                features = [step(t) for t in range(begin, begin + 3)]
        table = np.stack(quantiles, axis=1)  # level, step, column
        x = np.stack([table[..., 0] * s + m, table[..., 1] * s_b], axis=1)  # level, column, step
        requests.append({"body": {"model": "twins", "horizon": asked, "quantiles": levels, "series": [sent]},
                         "mean": x[1].tolist(), "quantiles": {str(q): x[i].tolist() for i, q in enumerate(levels)}})
        if asked == 3:
            cases.append(golden(sent, first, kept))
    write("twins", module, {"context_length": 16, "columns": columns, "inputs": inputs,
                            "output": {"type": "horizons", "horizon": 3, "roll_on": True, "levels": levels,
                                       "residual": "last", "shape": ["level", "step", "column"]}}, cases)
    REQUESTS["twins"] = requests


# The next value from the value and from a covariate of the next step: it walks, as DeepAR does.
def walker(rng):
    columns = [{"name": "sales", "role": "target", "scaling": {"type": "mean_abs"}},
               {"name": "holiday", "role": "future"}]
    module = Forecaster(2, 1, hidden=5)
    requests, cases = [], []
    for n, asked in ((12, 6), (3, 1)):
        sales, holiday = rng.uniform(5, 20, n), rng.integers(0, 2, n + asked).astype(float)
        sent = {"target": numbers(sales), "future_covariates": {"holiday": holiday.tolist()}}
        sales = np.array(sent["target"])
        scale = abs(sales).mean()
        z, state = list(sales / scale), None
        features = [[z[t], holiday[t + 1]] for t in range(n)]
        first, mean = features, []
        for h in range(asked):
            output, state = run(module, features, state)
            if not mean:
                kept = output
            z.append(output[0])
            mean.append(output[0] * scale)
            if h + 1 < asked:
                features = [[z[-1], holiday[n + h + 1]]]
        requests.append({"body": {"model": "walker", "horizon": asked, "series": [sent]}, "mean": mean})
        if asked == 1:
            cases.append(golden(sent, first, kept))
    write("walker", module, {"context_length": 24, "columns": columns,
                             "inputs": [{"column": "sales"}, {"column": "holiday", "lead": 1}],
                             "output": {"type": "mean"}}, cases)
    REQUESTS["walker"] = requests


# One series, read in both directions; no columns.
def both(rng):
    module = Forecaster(1, 6, hidden=4, bidirectional=True)
    requests, cases = [], []
    for n, asked in ((9, 6), (3, 2)):
        values = np.array(numbers(rng.normal(7, 3, n)))
        m, s = values.mean(), values.std()
        features = ((values - m) / s)[:, None]
        output, _ = run(module, features)
        requests.append({"body": {"model": "both", "horizon": asked, "series": values.tolist()},
                         "mean": (output * s + m)[:asked].tolist()})
        cases.append(golden(values.tolist(), features, output))
    write("both", module, {"context_length": 32, "scaling": {"type": "standard"}, "inputs": ["value"],
                           "output": {"type": "horizons", "horizon": 6}}, cases)
    REQUESTS["both"] = requests


def main():
    torch.manual_seed(5)
    rng = np.random.default_rng(5)
    for make in (weather, twins, walker, both):
        make(rng)
    text = ",\n".join(json.dumps(row) for rows in REQUESTS.values() for row in rows)
    (HERE / "requests.json").write_text(f"[{text}]\n")


main()
