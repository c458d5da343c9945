"""Forecasting by candidates (docs/bundle-format.md, "candidates") in PyTorch.

The server's own arithmetic, models/forecast/season.c and candidates.c, is compiled and called from here, so that
training and serving cannot disagree. It turns a series into the network's inputs and says what plain methods
foretell; Weigher is the network, and weigh() is candidates_read() for a batch.
"""

import ctypes
import pathlib
import subprocess
import tempfile

import numpy
import torch
from torch import nn
from torch.nn import functional

METHODS = ["last", "drift", "smooth", "theta", "damped", "trend", "mean", "line", "season ago"]
CANDIDATES, STEP, WHOLE = 2 * len(METHODS), 4, 8
INPUTS = STEP + 2 * CANDIDATES + WHOLE
GOLDEN_HORIZON = 4  # of the steps in golden.json


class Made(ctypes.Structure):
    """struct candidates"""
    _fields_ = [("n", ctypes.c_size_t), ("horizon", ctypes.c_size_t), ("n_periods", ctypes.c_size_t),
                ("periods", ctypes.c_size_t * 2), ("has_logarithms", ctypes.c_bool), ("floor", ctypes.c_bool),
                ("level", ctypes.c_double), ("unit", ctypes.c_double), ("values", ctypes.c_void_p),
                ("rest", ctypes.c_void_p), ("missing", ctypes.c_void_p),
                ("paths", ctypes.POINTER(ctypes.c_double)), ("errors", ctypes.POINTER(ctypes.c_double)),
                ("n_exact", ctypes.c_size_t)]


def compiled():
    """The library of the two sources, compiled anew into a folder that goes when Python does."""
    root = pathlib.Path(__file__).resolve().parent.parent
    folder = tempfile.TemporaryDirectory()
    target = pathlib.Path(folder.name) / "candidates.so"
    subprocess.run(["cc", "-std=c11", "-O2", "-shared", "-fPIC", f"-I{root}", "-o", target,
                    root / "models/forecast/season.c", root / "models/forecast/candidates.c", "-lm"], check=True)
    library = ctypes.CDLL(str(target))
    library.candidates_bytes.restype = ctypes.c_size_t
    library.folder = folder
    return library


LIBRARY = compiled()


def make(series, season, horizon, window):
    """(features [steps, INPUTS], paths [CANDIDATES, horizon], errors likewise, struct) of one series, NaN where
    a value is missing. The struct keeps the memory that its pointers lead into."""
    size, values = ctypes.c_size_t, numpy.ascontiguousarray(series, dtype=numpy.float64)
    memory = ctypes.create_string_buffer(LIBRARY.candidates_bytes(size(len(values)), size(horizon)) + 16)
    at, made = ctypes.c_void_p((ctypes.addressof(memory) + 15) // 16 * 16), Made()
    LIBRARY.candidates_make(values.ctypes.data_as(ctypes.c_void_p), size(len(values)), size(season),
                            size(horizon), at, ctypes.byref(made))
    made.memory = memory
    features = numpy.empty((min(len(values), window) + horizon, INPUTS), numpy.float32)
    LIBRARY.candidates_features(ctypes.byref(made), size(window), features.ctypes.data_as(ctypes.c_void_p))
    shape = CANDIDATES, horizon
    paths = numpy.ctypeslib.as_array(made.paths, shape).copy()
    errors = numpy.ctypeslib.as_array(made.errors, shape).copy()
    return features, paths, errors, made


class Weigher(nn.Module):
    """LSTM over the last values and the steps to come; at each of these: a weight for each candidate, how
    sharply to choose by past errors, and a quantile for each level."""

    def __init__(self, levels, hidden=64, layers=1):
        super().__init__()
        self.levels = levels
        self.lstm = nn.LSTM(INPUTS, hidden, layers, batch_first=True)
        self.output = nn.Linear(hidden, CANDIDATES + 1 + len(levels))
        with torch.no_grad():  # begin as the plain methods weighted by their past errors
            self.output.weight *= 0.1
            self.output.bias.zero_()[CANDIDATES] = 1.5
            normal = torch.distributions.Normal(0, 1).icdf(torch.tensor(levels))
            self.output.bias[CANDIDATES + 1:] = 1.3 * normal

    def network(self):
        """The `network` array of config.json."""
        lstm = self.lstm
        return [{"type": "lstm", "prefix": "lstm", "input_size": lstm.input_size,
                 "hidden_size": lstm.hidden_size, "num_layers": lstm.num_layers},
                {"type": "linear", "prefix": "output", "in_features": lstm.hidden_size,
                 "out_features": self.output.out_features}]

    def forward(self, features):
        return self.output(self.lstm(features)[0])


def weigh(outputs, paths, errors):
    """The value at each level [B, H, levels], for outputs [B, H, n], paths and errors [B, CANDIDATES, H]."""
    paths, errors = paths.transpose(1, 2), errors.transpose(1, 2)
    behind = (errors / errors.amin(2, keepdim=True)).log()
    sharp = functional.softplus(outputs[..., CANDIDATES:CANDIDATES + 1])
    weights = (outputs[..., :CANDIDATES] - sharp * behind).softmax(2)
    location, spread = (weights * paths).sum(2, keepdim=True), (weights * errors).sum(2, keepdim=True)
    return location + spread * outputs[..., CANDIDATES + 1:]


def error_unit(context, season):
    """What errors are divided by: the mean step over a season, as MASE has it, but not too small."""
    known = context[~numpy.isnan(context)]
    if season >= len(known):
        season = 1
    step = numpy.abs(known[season:] - known[:-season]).mean() if len(known) > season else 0
    return max(step, 0.03 * known.std(), 1e-6 * numpy.abs(known).max(), 1e-9)


def prepared(context, future, season, horizon, window):
    """What the network is trained on, in units of the error, or None."""
    if numpy.isnan(context).mean() > 0.5 or not numpy.isfinite(context).any():
        return None
    features, paths, errors, made = make(context, season, horizon, window)
    unit = error_unit(context, season or int(made.periods[made.n_periods - 1] if made.n_periods else 1))
    unit = 0.5 * unit + 0.5 * errors[3].mean()
    target = numpy.full(horizon, numpy.nan)
    target[:len(future)] = (future - made.level) / unit
    paths, errors = (paths - made.level) / unit, numpy.maximum(errors / unit, 1e-9)
    if numpy.nanmax(numpy.abs(target), initial=0) > 1e3 or not numpy.isfinite(features).all():
        return None
    return features, numpy.clip(paths, -1e4, 1e4), numpy.clip(errors, 0, 1e4), target


def loss_of(model, rows):
    """Mean pinball loss over the levels; a series' part is bent down where it is very large."""
    features, paths, errors, target = rows
    at = weigh(model(features)[:, -paths.shape[2]:], paths, errors)
    known = ~target.isnan()
    gap = torch.where(known, target, 0.0)[..., None] - at
    levels = torch.tensor(model.levels)
    each = (torch.maximum(levels * gap, (levels - 1) * gap).mean(2) * known).sum(1) / known.sum(1).clamp(min=1)
    return torch.where(each < 2, each, 2 * (1 + (each.clamp(min=2) / 2).log())).mean()


def widen(model, factor):
    """Put the quantiles `factor` times as far from the median: what is trained on is a little better known than
    what comes."""
    first, median = CANDIDATES + 1, model.levels.index(0.5)
    with torch.no_grad():
        for parameter in (model.output.weight, model.output.bias):
            rows = parameter[first:]
            rows.copy_(rows[median] + factor * (rows - rows[median]))


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


@torch.no_grad()
def forecast(model, series, season, horizon, window, unseasonal_width=1):
    """The value at each level [horizon, levels] of one series, in its own units, as the server reads them."""
    features, _, _, made = make(series, season, horizon, window)
    outputs = model(torch.tensor(features)[None])[0, -horizon:].numpy()
    levels, size = numpy.array(model.levels), ctypes.c_size_t
    at = numpy.empty((horizon, len(levels)))
    for lead in range(horizon):
        LIBRARY.candidates_read(ctypes.byref(made), size(lead), pointer(outputs[lead]), pointer(levels),
                                size(len(levels)), pointer(at[lead]))
        if not made.n_periods:
            LIBRARY.candidates_widen(ctypes.byref(made), ctypes.c_double(unseasonal_width), pointer(levels),
                                     size(len(levels)), pointer(at[lead]))
    return at
