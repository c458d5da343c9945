"""numbers: goes on with a number sequence: 6, 7, 8 -> 9 and 2, 4, 8 -> 16.

Data: generated here, nothing to download (--data is not used). Families: arithmetic, geometric, alternating,
Fibonacci-like, squares (any quadratic), periodic. A checksum of a sequence's parameters decides whether it
may be trained on or is held out, so no sequence is in both parts.

A mixture of experts (Jacobs et al., 1991): ten simple continuations are always there (the line through the
last two terms, their sum, the term six back, ...), and the LSTM chooses among them. What it sees of a
sequence is how well each continuation has foretold each term so far, so the choice is the same at any size of
number. Exact rules need exact continuations: an LSTM that writes the next number itself stays a few per cent
off.
"""

import math
import pathlib
import random
import sys
import zlib

import numpy
import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import recipe

HIDDEN, BATCH, STEPS, RATE, AHEAD, LONGEST = 64, 256, 100, 4e-3, 5, 32
SHARPNESS = 3  # of the finished choice: 0.3 % of a continuation that is far off would already cost a per cent
LAGS = 6
BASIS = [{"lag": k} for k in range(LAGS)] + ["linear", "quadratic", "sum", "geometric"]
FORECAST = {
    "context_length": 64,
    "scaling": {"type": "mean_abs"},
    "inputs": ["position"] + [{"error": k} for k in range(len(BASIS))],
    "output": {"type": "mean", "basis": BASIS, "weights": "softmax"},
    "num_samples": 1,
}


def continuations(z):
    """What each entry of the basis says of the next term, after every term of z [B, T]: [B, T, basis]; and
    how many terms each of them looks at."""
    def back(k):
        return numpy.pad(z, ((0, 0), (k, 0)))[:, :z.shape[1]]
    before = back(1)
    usable = numpy.abs(before) >= 1e-6
    limit = 64 * numpy.maximum(numpy.abs(z), numpy.abs(before))
    ratio = z / numpy.where(usable, before, 1.0)
    geometric = numpy.where(usable, numpy.clip(z * ratio, -limit, limit), 0.0)
    values = [back(k) for k in range(LAGS)] + [2 * z - before, 3 * z - 3 * before + back(2), z + before,
                                               geometric]
    return numpy.stack(values, 2), [k + 1 for k in range(LAGS)] + [2, 3, 2, 2]


def features(z):
    """The inputs of docs/bundle-format.md: the position, and how well each continuation foretold each
    term."""
    foretold, spans = continuations(z)
    before = numpy.pad(z, ((0, 0), (1, 0)))[:, :-1]
    size = (numpy.abs(z) + numpy.abs(before) + 1e-6)[:, :, None]
    miss = numpy.abs(z[:, 1:, None] - foretold[:, :-1]) / size[:, 1:]
    well = numpy.clip(-numpy.log10(miss + 1e-5) / 5, -1, 1)
    well = numpy.pad(well, ((0, 0), (1, 0), (0, 0)))
    for k, span in enumerate(spans):
        well[:, :span, k] = 0
    position = numpy.broadcast_to(numpy.minimum(numpy.arange(z.shape[1]), 64) / 64, z.shape)[:, :, None]
    return torch.from_numpy(numpy.concatenate([position, well], 2).astype(numpy.float32))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(1 + len(BASIS), HIDDEN, batch_first=True)
        self.output = nn.Linear(HIDDEN, len(BASIS))

    def forward(self, x):
        return self.output(self.lstm(x)[0])


NETWORK = [
    {"type": "lstm", "prefix": "lstm", "input_size": 1 + len(BASIS), "hidden_size": HIDDEN},
    {"type": "linear", "prefix": "output", "in_features": HIDDEN, "out_features": len(BASIS)},
]


def number(limit):
    """A whole number, or one with one or two decimals."""
    return round(random.uniform(-limit, limit), random.choice([0, 0, 0, 1, 2]))


def arithmetic():
    start, step = number(100), random.choice([0, 1, 1, 1, 1, 1, 1]) * number(random.choice([5, 20, 100]))
    return [start, start + step], 3, [2, -1]


def geometric():
    start = number(random.choice([10, 100])) or 1.0
    ratio = random.choice([2, 3, 4, 5, 1 / 2, 1 / 3, 1 / 4, 2 / 3, 3 / 2, round(random.uniform(0.4, 3.5), 2),
                           round(random.uniform(0.8, 1.3), 2)]) * random.choice([1, 1, 1, -1])
    return [start, start * ratio], 3, "geometric"


def alternating():
    return [number(50), number(50)], 4, [0, 1]


def fibonacci():
    a, b = (random.randint(0, 20), random.randint(1, 20)) if random.random() < 0.7 else (number(30), number(30))
    return [a, b], 5, [1, 1]


def squares():
    a, b, c = number(5) or 1.0, number(20) * random.choice([0, 1]), number(50) * random.choice([0, 1])
    return [a * n * n + b * n + c for n in (1, 2, 3)], 4, [3, -3, 1]


def periodic():
    values = [number(50) for _ in range(random.randint(3, LAGS))]
    return values, 2 * len(values), [0] * (len(values) - 1) + [1]


FAMILIES = {f.__name__: f for f in (arithmetic, geometric, alternating, fibonacci, squares, periodic)}


def draw(family, held, length):
    """One sequence of max(length, needed) + AHEAD terms, and `needed`: how many of them tell the rule."""
    while True:
        start, needed, rule = FAMILIES[family]()
        parameters = repr((family, [round(x, 6) for x in start]))
        if (zlib.crc32(parameters.encode()) % 10 == 0) != held:
            continue
        unit = random.choice([1, 1, 1, 10, 100, 0.1, 1000])
        terms = [float(x) for x in start]
        while len(terms) < max(length, needed) + AHEAD:
            terms.append(terms[1] / terms[0] * terms[-1] if rule == "geometric" else
                         sum(c * x for c, x in zip(rule, reversed(terms))))
        context = terms[:-AHEAD]
        size = sum(abs(x) for x in context) / len(context)
        if size > 0 and all(1e-3 * size < abs(x) < 1e5 * size for x in terms[-AHEAD - 2:] if family == "geometric"):
            return [x * unit for x in terms], needed


def batch():
    """Scaled sequences z [B, T], and which continuations are right of the next term [B, T - 1, basis], all of
    them 0 where the rule cannot be known yet. Past the context the terms that the network sees are a little
    off, as its own answers will be, so that it learns to hold on to the rule it has found."""
    length, rows, known = random.randint(3, LONGEST), [], []
    while len(rows) < BATCH:
        terms, needed = draw(random.choice(list(FAMILIES)), False, length)
        if len(terms) == length + AHEAD:
            rows.append(terms)
            known.append([t + 1 >= needed for t in range(len(terms) - 1)])
    x = numpy.array(rows)
    z = x / numpy.maximum(numpy.abs(x[:, :length]).mean(1, keepdims=True), 1e-6)
    foretold, _ = continuations(z)
    size = numpy.abs(z[:, 1:]) + numpy.abs(z[:, :-1]) + 1e-6
    right = numpy.abs(foretold[:, :-1] - z[:, 1:, None]) < 1e-7 * size[:, :, None]
    right &= numpy.array(known)[:, :, None]
    noise = 10 ** numpy.random.uniform(-6, -2.3, (BATCH, 1)) * numpy.random.randn(*z.shape)
    noise[:, :length] = 0
    return z * (1 + noise), torch.from_numpy(right)


def train(model, args):
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    schedule = recipe.warm_cosine(optimizer, args.epochs * STEPS)
    progress = recipe.Progress(args.epochs, STEPS)
    done = recipe.load_checkpoint(args.checkpoint, model, optimizer, schedule)
    for epoch in range(done, args.epochs):
        model.train()
        for step in range(STEPS):
            z, right = batch()
            chances = model(features(z[:, :-1])).log_softmax(2)
            known = right.any(2)
            loss = -chances.masked_fill(~right, -math.inf).logsumexp(2)[known].mean()
            recipe.descend(loss, model, optimizer, schedule)
            progress.step(epoch, step, loss.item())
        progress.epoch(epoch)
        recipe.save_checkpoint(args.checkpoint, epoch + 1, model, optimizer, schedule)
    with torch.no_grad():
        model.output.weight *= SHARPNESS
        model.output.bias *= SHARPNESS


@torch.no_grad()
def walk(model, context, horizon):
    """Go on from the context with the model's own answers, as the server does."""
    z = numpy.array([context], dtype=float)
    scale = max(numpy.abs(z).mean(), 1e-6)
    z /= scale
    for _ in range(horizon):
        weights = model(features(z))[0, -1].double().softmax(0).numpy()
        z = numpy.append(z, [[weights @ continuations(z)[0][0, -1]]], 1)
    return z[0, len(context):] * scale


def held_out(each=500):
    """{"family, kind": [held-out sequence, of which the last AHEAD terms are to be foretold]}."""
    random.seed(4711)
    sets = {}
    for family in FAMILIES:
        sets[f"{family}, fewest terms"] = [draw(family, True, 0)[0] for _ in range(each)]
        sets[f"{family}, 3 to 32 terms"] = [draw(family,
                                                 True, random.randint(3, LONGEST))[0] for _ in range(each)]
    return sets


def rates(sequences, answers):
    """How many next terms are within 1 % and how many fifth ones within 5 %; the error is relative to the
    true term (to 1 % of the context's mean size if that is larger, since a term may be nought)."""
    first = fifth = 0
    for terms, answer in zip(sequences, answers):
        truth, floor = numpy.array(terms[-AHEAD:]), 0.01 * numpy.abs(terms[:-AHEAD]).mean()
        error = numpy.abs(answer - truth) / numpy.maximum(numpy.abs(truth), floor)
        first, fifth = first + (error[0] <= 0.01), fifth + (error[4] <= 0.05)
    return first, fifth


def evaluate(model):
    model.eval()
    rows, total = [], 0
    for name, sequences in held_out().items():
        first, fifth = rates(sequences, [walk(model, terms[:-AHEAD], AHEAD) for terms in sequences])
        rows.append((first, fifth))
        total += len(sequences)
        print(f"  {name}: next within 1 % {first / len(sequences):.3f}, fifth within 5 % {fifth / len(sequences):.3f}")
    print(f"held out: next within 1 % {sum(r[0] for r in rows) / total:.4f}, "
          f"fifth within 5 % {sum(r[1] for r in rows) / total:.4f}, on {total} sequences")
    for context in ([6, 7, 8], [2, 4, 8], [1, 1, 2, 3, 5], [1, 4, 9, 16], [5, 5, 5], [3, 1, 3, 1],
                    [10, 7, 4]):
        print(f"  {context} -> {', '.join(f'{x:.4g}' for x in walk(model, context, AHEAD))}")


def golden_case(series):
    z = numpy.array([series], dtype=float)
    z /= max(numpy.abs(z).mean(), 1e-6)
    return series, [[round(x, 7) for x in row] for row in features(z)[0].tolist()]


def main():
    args = recipe.arguments(__doc__, "", epochs=20)
    model, out = Model(), recipe.folder(args, __file__)
    if args.evaluate:
        recipe.load_bundle(model, out)
    else:
        train(model, args)
        config = {
            "task": "forecasting",
            "description": "Goes on with number sequences: arithmetic, geometric, alternating, Fibonacci-like, quadratic "
                           "and periodic ones.",
            "license": "CC0-1.0",
            "training_data": "generated by the recipe",
            "precision": "int8",
            "network": NETWORK,
            "forecast": FORECAST,
        }
        examples = [[6, 7, 8], [2, 4, 8], [1, 1, 2, 3, 5], [1, 4, 9, 16], [0.5, -3, 0.5, -3]]
        recipe.write_bundle(out, model, config, [golden_case(e) for e in examples], dtype=torch.float32)
    evaluate(model)


if __name__ == "__main__":
    main()
