"""series: probabilistic forecasts of any univariate series, without training on it first.

Data: most of it is generated (synthetic.py). Real series, one folder for --data:
  monthly-sunspots.csv, daily-min-temperatures.csv, airline-passengers.csv: public series, https://github.com/jbrownlee/Datasets
  pollution.csv: Beijing PM2.5 with weather, hourly, CC BY 4.0, https://archive.ics.uci.edu/dataset/381 (PRSA_data_2010.1.1-2014.12.31.csv)
The first 80 % of the sunspots and of four columns of the Beijing table are trained on. Their last 20 %, the
passengers and the temperatures as a whole, and six kinds of generated series are held out.

16 inputs a step -> 2 x LSTM 80 -> linear: coefficients for the values of 0, 1, ... 24 steps ago and for a
constant, and the scale and the degrees of freedom of a Student t distribution of the next value.
"""

import csv
import pathlib
import random
import sys

import numpy
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import forecasting
import recipe
import synthetic

STEPS, BATCH, RATE, AHEAD, LONGEST = 100, 64, 2e-3, 24, 168
REAL, HOLES = 0.25, 0.2
FORECAST = {
    "context_length": LONGEST,
    "scaling": {"type": "standard", "minimum": 1e-6},
    "inputs": ["value", "missing", "difference", "position"]
              + [{"lag": k} for k in (1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 23, 24)],
    "output": {"type": "student_t",
               "basis": [{"lag": k} for k in (0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 23, 24)] + ["one"]},
    "num_samples": 100,
}


def column(path, name):
    with open(path, newline="", encoding="utf-8") as file:
        cells = [row[name] for row in csv.DictReader(file)]
    return numpy.array([float("nan") if cell in ("NA", "") else float(cell.strip("?")) for cell in cells])


def read(path):
    """Real series: {name: (values, season, share of the beginning that is trained on)}."""
    path = pathlib.Path(path)
    found = {
        "airline passengers": (column(path / "airline-passengers.csv", "Passengers"), 12, 0.0),
        "minimum temperatures": (column(path / "daily-min-temperatures.csv", "Temp"), 7, 0.0),
        "sunspots": (column(path / "monthly-sunspots.csv", "Sunspots"), 12, 0.8),
    }
    for name in ("pm2.5", "DEWP", "TEMP", "PRES"):
        found[f"Beijing {name}"] = (column(path / "pollution.csv", name), 24, 0.8)
    return found


def batch(real, length):
    """[B, length + AHEAD] series, some of them real, some with holes."""
    rows, total = [], length + AHEAD
    while len(rows) < BATCH:
        if random.random() < REAL:
            values, _, share = random.choice(real)
            at = random.randrange(int(len(values) * share) - total)
            row = values[at:at + total].copy()
        else:
            row = random.choice(synthetic.TRAINING)(total) * 10 ** random.uniform(-2, 4)
        context = row[:length][~numpy.isnan(row[:length])]
        if len(context) < length // 2 or context.std() < 1e-3 * abs(context.mean()) + 1e-9:
            continue
        z = (row - context.mean()) / context.std()
        if random.random() < HOLES:
            z[:length][numpy.random.rand(length) < random.uniform(0.02, 0.3)] = numpy.nan
        if numpy.nanmax(abs(z)) < 30:
            rows.append(z)
    return torch.tensor(numpy.stack(rows), dtype=torch.float32)


def loss_of(model, series, length):
    """Mean surprise (negative log likelihood) at every known value after the first dozen steps."""
    mean, scale = model.scaling(series[:, :length])
    z, missing = forecasting.fill((series - mean) / scale)
    location, rest = model.head(model(model.features(z, missing, scale))[:, :-1], z[:, :-1])
    surprise = -model.distribution(location, rest).log_prob(z[:, 1:]).clamp(-12, 12)
    known = (1 - missing[:, 1:]) * (torch.arange(z.shape[1] - 1) >= 12)
    return (surprise * known).sum() / known.sum()


def train(model, real, args):
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    schedule = recipe.warm_cosine(optimizer, args.epochs * STEPS)
    progress = recipe.Progress(args.epochs, STEPS)
    average = recipe.Average(model)
    done = recipe.load_checkpoint(args.checkpoint, model, optimizer, schedule, average)
    for epoch in range(done, args.epochs):
        model.train()
        for step in range(STEPS):
            length = random.choice([24, 36, 48, 72, 96, 120, LONGEST])
            loss = loss_of(model, batch(real, length), length)
            recipe.descend(loss, model, optimizer, schedule)
            average.update(model)
            progress.step(epoch, step, loss.item())
        progress.epoch(epoch)
        recipe.save_checkpoint(args.checkpoint, epoch + 1, model, optimizer, schedule, average)
    model.load_state_dict(average.weights)


def held_out(real, windows=24, long=LONGEST):
    """{name: (season, [window of `long` + AHEAD values, or the whole of a short series])}."""
    sets = {}
    for name, (values, season, share) in real.items():
        part = values[int(len(values) * share):]
        size = min(long + AHEAD, len(part) - AHEAD)
        starts = numpy.linspace(0, len(part) - size, windows).astype(int)
        sets[name] = season, [part[at:at + size] for at in starts]
    numpy.random.seed(4711)
    for kind, season in synthetic.HELD_OUT.items():
        sets[kind.__name__.replace("_", " ")] = season, [kind(long + AHEAD) for _ in range(2 * windows)]
    return sets


@torch.no_grad()
def forecast(model, contexts, samples=100):
    """[(path, low, high)] for each context: the path of the means, and the ends of the 80 % interval."""
    answers = []
    for context in contexts:
        tensor = torch.tensor(context, dtype=torch.float32)[None]
        path = model.walk(tensor, AHEAD)[0].numpy()
        draws = model.walk(tensor.expand(samples, -1), AHEAD, sample=True).numpy()
        answers.append((path, *numpy.quantile(draws, [0.1, 0.9], axis=0)))
    return answers


def figures(ask, season, windows, holes=0.0):
    """Mean absolute scaled errors of the answers that ask(contexts) gives, as forecast() does, and of
    seasonal naive; the coverage of 80 % intervals; and how many windows there are. A share of each context,
    holes, is made missing."""
    contexts, truths, units, naive = [], [], [], []
    for window in windows:
        context, truth = window[:-AHEAD].copy(), window[-AHEAD:]
        filled = forecasting.fill(torch.tensor(context)[None].float())[0][0].numpy().astype(float)
        unit = numpy.nanmean(abs(context[season:] - context[:-season]))
        if numpy.isnan(truth).any() or not unit > 0:
            continue
        context[numpy.random.rand(len(context)) < holes] = numpy.nan
        contexts, truths, units = contexts + [context], truths + [truth], units + [unit]
        naive.append(abs(numpy.resize(filled[-season:], AHEAD) - truth).mean() / unit)
    errors, inside = [], []
    for (path, low, high), truth, unit in zip(ask(contexts), truths, units):
        errors.append(abs(path - truth).mean() / unit)
        inside.append(((low <= truth) & (truth <= high)).mean())
    return numpy.mean(errors), numpy.mean(naive), numpy.mean(inside), len(errors)


def evaluate(model, real):
    model.eval()
    torch.manual_seed(4711)
    sets = held_out(real)
    better, errors, inside = 0, [], []

    def ask(contexts):
        return forecast(model, contexts)
    print(f"held out: {AHEAD} steps ahead; mean absolute scaled error, that of seasonal naive, cover of 80 % intervals")
    for name, (season, windows) in sets.items():
        error, naive, cover, count = figures(ask, season, windows)
        better, errors, inside = better + (error < naive), errors + [error], inside + [cover]
        print(f"  {name} ({count} windows, season {season}): {error:.3f}, {naive:.3f}, {cover:.3f}",
              flush=True)
    print(f"held out: better than seasonal naive on {better} of {len(sets)}, mean error {numpy.mean(errors):.4f}, "
          f"mean cover {numpy.mean(inside):.4f}")
    error, _, cover, _ = figures(ask, *sets["minimum temperatures"], holes=0.2)
    print(f"minimum temperatures with a fifth of the context missing: {error:.3f}, cover {cover:.3f}")


def main():
    args = recipe.arguments(__doc__, "data/timeseries", epochs=16)
    real = read(args.data)
    model, out = forecasting.Forecaster(FORECAST, hidden=80, layers=2), recipe.folder(args, __file__)
    if args.evaluate:
        recipe.load_bundle(model, out)
    else:
        with torch.no_grad():  # begin as the naive forecast: the last value, unless there is reason for more
            model.output.weight *= 0.1
            model.output.bias.zero_()[0] = 1
        train(model, [r for r in real.values() if r[2] > 0], args)
        config = {
            "task": "forecasting",
            "description": "Forecasts any univariate series with intervals, without having been trained on it.",
            "license": "CC-BY-4.0",
            "training_data": "generated series; monthly sunspots; Beijing PM2.5 and weather (UCI, CC BY 4.0); first 80 % of each",
            "network": model.network(),
            "forecast": FORECAST,
        }
        passengers = [112, 118, 132, 129, 121, 135, 148, 148, 136, 119, 104, 118, 115, 126, 141, 135, 125,
                      149, 170, 170,
                      158, 133, 114, 140]
        examples = [passengers, [0, 0, 3, 0, 0, 0, 1, 0, None, 0, 2, 0],
                    [0.1, None, 0.3, 0.2, None, None, 0.5, 0.4], [7]]
        recipe.write_bundle(out, model, config, [model.golden_case(e) for e in examples])
    evaluate(model, real)


if __name__ == "__main__":
    main()
