"""The forecasting part of docs/bundle-format.md in PyTorch: scaling, inputs, basis, and paths.

A recipe writes the `forecast` object of its config.json; Forecaster reads the same object, so that training
and serving cannot disagree. Series are [B, T] tensors, in float32, NaN where a value is missing.
"""

import torch
from torch import nn
from torch.nn import functional


def fill(z):
    """A missing value is replaced by the one before it, or 0 at the start; also returns the 0/1 flags."""
    missing = torch.isnan(z)
    columns, last = [], torch.zeros(len(z))
    for t in range(z.shape[1]):
        last = torch.where(missing[:, t], last, z[:, t])
        columns.append(last)
    return torch.stack(columns, 1), missing.float()


def lagged(z, lag, start):
    """Column t holds z[t - lag], or 0 where t < lag; columns start.. only."""
    return functional.pad(z, (lag, 0))[:, start:z.shape[1]]


class Forecaster(nn.Module):
    def __init__(self, forecast, hidden, layers):
        super().__init__()
        self.forecast = forecast
        self.basis = forecast["output"].get("basis", [])
        self.kind = forecast["output"]["type"]
        outputs = max(len(self.basis), 1) + {"mean": 0, "normal": 1, "student_t": 2}[self.kind]
        self.lstm = nn.LSTM(len(forecast["inputs"]), hidden, layers, batch_first=True)
        self.output = nn.Linear(hidden, outputs)

    def network(self):
        """The `network` array of config.json."""
        lstm = self.lstm
        return [{"type": "lstm", "prefix": "lstm", "input_size": lstm.input_size,
                 "hidden_size": lstm.hidden_size,
                 "num_layers": lstm.num_layers},
                {"type": "linear", "prefix": "output", "in_features": lstm.hidden_size,
                 "out_features": self.output.out_features}]

    def step(self, features, state=None):
        """Outputs [B, T, n] of the network and the state after the last step."""
        y, state = self.lstm(features, state)
        return self.output(y), state

    def forward(self, features):
        return self.step(features)[0]

    def scaling(self, context):
        """m and s [B, 1] of the values read."""
        known = ~torch.isnan(context)
        count = known.sum(1, keepdim=True).clamp(min=1)
        x = torch.where(known, context, 0.0).double()
        floor = self.forecast["scaling"].get("minimum", 1e-6)
        if self.forecast["scaling"]["type"] == "mean_abs":
            mean, scale = torch.zeros_like(x[:, :1]), x.abs().sum(1, keepdim=True) / count
        else:
            mean = x.sum(1, keepdim=True) / count
            scale = (torch.where(known, x - mean, 0.0).square().sum(1, keepdim=True) / count).sqrt()
        return mean.float(), scale.clamp(min=floor).float()

    def features(self, z, missing, scale, start=0):
        """The inputs of steps start.. : [B, T - start, F]; z has no holes any more."""
        now, before = z[:, start:], lagged(z, 1, start)
        steps = torch.arange(start, z.shape[1], dtype=torch.float32).expand_as(now)
        ratio = torch.where(before.abs() < 1e-6, 0.0, now / torch.where(before.abs() < 1e-6, 1.0, before))
        table = {
            "value": lambda: now,
            "missing": lambda: missing[:, start:],
            "difference": lambda: torch.where(steps == 0, 0.0, now - before),
            "ratio": lambda: ratio.clamp(-8, 8),
            "asinh": lambda: torch.asinh(now),
            "log_scale": lambda: scale.log().expand_as(now),
            "position": lambda: steps.clamp(max=64) / 64,
        }
        columns = [lagged(z, i["lag"], start) if isinstance(i, dict) else table[i]() for i in self.forecast["inputs"]]
        return torch.stack(columns, 2)

    def head(self, outputs, z, start=0):
        """Location of the next scaled value [B, T - start], and the network's outputs behind it."""
        if not self.basis:
            location, used = outputs[..., 0], 1
        else:
            location, used = 0.0, len(self.basis)
            for k, entry in enumerate(self.basis):
                location = location + outputs[..., k] * self.term(entry, z, start)
        if self.forecast["output"].get("residual") == "last":
            location = location + z[:, start:]
        return location, outputs[..., used:]

    @staticmethod
    def term(entry, z, start):
        now, before = z[:, start:], lagged(z, 1, start)
        if entry == "one":
            return torch.ones_like(now)
        if entry == "geometric":
            usable, limit = before.abs() >= 1e-6, 64 * torch.maximum(now.abs(), before.abs())
            value = now * (now / torch.where(usable, before, 1.0))
            return torch.where(usable, torch.minimum(torch.maximum(value, -limit), limit), 0.0)
        return lagged(z, entry["lag"], start)

    def distribution(self, location, rest):
        scale = functional.softplus(rest[..., 0]) + 1e-6
        if self.kind == "normal":
            return torch.distributions.Normal(location, scale)
        return torch.distributions.StudentT(2 + functional.softplus(rest[..., 1]), location, scale)

    def walk(self, context, horizon, sample=False):
        """Go on from the context with the model's own means or draws: [B, horizon], in the units of the
        series."""
        context = context[:, -self.forecast["context_length"]:]
        mean, scale = self.scaling(context)
        z, missing = fill((context - mean) / scale)
        start, state, path = 0, None, []
        for _ in range(horizon):
            y, state = self.step(self.features(z, missing, scale, start), state)
            start = z.shape[1]
            location, rest = self.head(y[:, -1:], z, start - 1)
            value = self.distribution(location, rest).sample() if sample else location
            path.append(value)
            z = torch.cat([z, value], 1)
            missing = functional.pad(missing, (0, 1))
        return torch.cat(path, 1) * scale + mean

    def golden_case(self, series):
        """(input, features) for recipe.write_bundle(); None in the series is a missing value."""
        context = torch.tensor([[float("nan") if x is None else float(x) for x in series]])
        mean, scale = self.scaling(context)
        z, missing = fill((context - mean) / scale)
        return series, [[round(x, 7) for x in row] for row in self.features(z, missing, scale)[0].tolist()]
