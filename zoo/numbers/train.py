"""numbers: goes on with a number sequence: 6, 7, 8 -> 9 and 2, 4, 8 -> 16, and says how sure it is where no rule is exact.

Data: generated here, nothing to download (--data is not used). Families: arithmetic, geometric, alternating,
Fibonacci-like, squares (any quadratic), periodic, and sequences of no rule. A checksum of a sequence's parameters decides
whether it may be trained on or is held out, so no sequence is in both parts.

A sequence that follows a rule exactly goes on by it (`rules` in the bundle's output): the rules are models/forecast/rules.c,
which is compiled and called here, so that the figures below are those of the server. For all other sequences plain methods
say what comes next, and an LSTM weighs them by how well each has foretold the terms so far, and gives quantiles:
zoo/candidates.py. It is trained on the same families with noise from a thousandth of their step to twice it.

  python3 zoo/numbers/train.py --start zoo/numbers --epochs 0      writes the golden vectors of the bundle anew
"""

import ctypes
import pathlib
import random
import subprocess
import sys
import tempfile
import zlib

import numpy
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import candidates
import recipe

LEVELS = [0.025, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.975]
HIDDEN, BATCH, STEPS, RATE, AHEAD, LONGEST, WINDOW, LAGS = 32, 64, 100, 3e-3, 5, 32, 32, 6
FORECAST = {"context_length": 64, "window": WINDOW,
            "output": {"type": "candidates", "rules": True, "levels": LEVELS}}


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


def noisy(held):
    """Terms with noise, the context [:-AHEAD] and what comes; noise that no rule survives."""
    kind = random.random()
    if kind < 0.8:
        terms, _ = draw(random.choice(list(FAMILIES)), held, random.randint(2, LONGEST))
        step = numpy.abs(numpy.diff(terms[:-AHEAD])).mean() or 1.0
        noise = numpy.random.randn(len(terms)) * step * 10 ** random.uniform(-3, 0.3)
        if terms[-1] > 0 and random.random() < 0.3:
            return terms * numpy.exp(noise / numpy.abs(terms).max())
        return terms + noise
    walk = numpy.random.randn(random.randint(2, LONGEST) + AHEAD)
    return (numpy.cumsum(walk) if kind < 0.9 else walk + random.uniform(-5, 20)) * 10 ** random.uniform(-1, 3)


def batch():
    """Features, paths, errors and targets of one number of terms."""
    length, rows = random.randint(2, LONGEST), []
    while len(rows) < BATCH:
        terms = numpy.array(noisy(False))
        if len(terms) < length + AHEAD:
            continue
        row = candidates.prepared(terms[-length - AHEAD:-AHEAD], terms[-AHEAD:], 0, AHEAD, WINDOW)
        if row is not None:
            rows.append(row)
    return [torch.tensor(numpy.stack(column), dtype=torch.float32) for column in zip(*rows)]


def train(model, args):
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.03)
    schedule = recipe.warm_cosine(optimizer, args.epochs * STEPS)
    progress, average = recipe.Progress(args.epochs, STEPS), recipe.Average(model)
    done = recipe.load_checkpoint(args.checkpoint, model, optimizer, schedule, average)
    for epoch in range(done, args.epochs):
        for step in range(STEPS):
            loss = candidates.loss_of(model, batch())
            recipe.descend(loss, model, optimizer, schedule)
            average.update(model)
            progress.step(epoch, step, loss.item())
        progress.epoch(epoch)
        recipe.save_checkpoint(args.checkpoint, epoch + 1, model, optimizer, schedule, average)
    model.load_state_dict(average.weights)


def cover(model, held, count):
    """Share of the values to come that lie in the 80 % interval, of sequences with noise."""
    inside = []
    for _ in range(count):
        terms = numpy.array(noisy(held))
        at = walk(model, terms[:-AHEAD], AHEAD)
        inside.append(((at[:, LEVELS.index(0.1)] <= terms[-AHEAD:]) & (terms[-AHEAD:] <= at[:, LEVELS.index(0.9)])).mean())
    return numpy.mean(inside)


def calibrate(model, count=400):
    """Widen the quantiles step by step until 80 % intervals cover 0.80 of sequences as in training."""
    model.eval()
    for _ in range(30):
        covered = cover(model, False, count)
        print(f"cover of the 80 % interval: {covered:.3f}", flush=True)
        if covered >= 0.80:
            break
        candidates.widen(model, 1.05)


class Rule(ctypes.Structure):
    """struct rule"""
    _fields_ = [("kind", ctypes.c_int), ("lag", ctypes.c_size_t), ("a", ctypes.c_double), ("b", ctypes.c_double)]


def compiled():
    """The server's rules as a library, in a folder that goes when Python does."""
    root, folder = pathlib.Path(__file__).resolve().parent.parent.parent, tempfile.TemporaryDirectory()
    target = pathlib.Path(folder.name) / "rules.so"
    subprocess.run(["cc", "-std=c11", "-O2", "-shared", "-fPIC", f"-I{root}", "-o", target,
                    root / "models/forecast/rules.c", "-lm"], check=True)
    library = ctypes.CDLL(str(target))
    library.rules_find.restype, library.rules_span.restype = ctypes.c_bool, ctypes.c_size_t
    library.rules_next.restype = library.rules_round.restype = ctypes.c_double
    library.rules_round.argtypes = [ctypes.c_double]
    library.folder = folder
    return library


RULES = compiled()


def by_rule(context, horizon):
    """What follows the context by the rule that it follows, or None."""
    rule, terms = Rule(), [RULES.rules_round(float(x)) for x in context]
    if not RULES.rules_find((ctypes.c_double * len(terms))(*terms), ctypes.c_size_t(len(terms)), ctypes.byref(rule)):
        return None
    span = RULES.rules_span(ctypes.byref(rule))
    for _ in range(horizon):
        last = [terms[-1 - k] if k < len(terms) else 0.0 for k in range(span)]
        terms.append(RULES.rules_round(RULES.rules_next(ctypes.byref(rule), (ctypes.c_double * span)(*last))))
    return numpy.array(terms[len(context):])


def walk(model, context, horizon):
    """Values at all levels [horizon, levels]: by the rule of the context, or else by the network, as the server does."""
    ruled = by_rule(context, horizon)
    if ruled is not None:
        return numpy.repeat(ruled[:, None], len(LEVELS), 1)
    return candidates.forecast(model, context, 0, horizon, WINDOW)


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
    rows, total, middle = [], 0, LEVELS.index(0.5)
    for name, sequences in held_out().items():
        first, fifth = rates(sequences, [walk(model, terms[:-AHEAD], AHEAD)[:, middle] for terms in sequences])
        rows.append((first, fifth))
        total += len(sequences)
        print(f"  {name}: next within 1 % {first / len(sequences):.3f}, fifth within 5 % {fifth / len(sequences):.3f}")
    print(f"held out: next within 1 % {sum(r[0] for r in rows) / total:.4f}, "
          f"fifth within 5 % {sum(r[1] for r in rows) / total:.4f}, on {total} sequences")
    evaluate_noise(model)
    for context in ([5], [4, 4], [6, 7, 8], [2, 4, 8], [1, 1, 2, 3, 5], [1, 4, 9, 16], [3, 1, 3, 1], [10, 7, 4],
                    [1, 3, 7, 15], [1, 8, 27, 64, 125], [1, 10, 2, 20, 3, 30], [1, -2, 3, -4], [2, 3, 5, 7, 11],
                    [1.1, 1.9, 3.2, 3.9, 5.1]):
        at = walk(model, context, AHEAD)
        print(f"  {context} -> {', '.join(f'{x:.4g}' for x in at[:, middle])}; the next in 80 %: "
              f"{at[0, LEVELS.index(0.1)]:.4g} to {at[0, LEVELS.index(0.9)]:.4g}")


def evaluate_noise(model):
    """Held-out sequences with noise: error beside that of the last term and of the line, and cover of the 80 % interval."""
    random.seed(4712)
    numpy.random.seed(4712)
    errors = []
    for _ in range(1000):
        terms = numpy.array(noisy(True))
        context, truth, ahead = terms[:-AHEAD], terms[-AHEAD:], numpy.arange(1, AHEAD + 1)
        line = numpy.polyval(numpy.polyfit(numpy.arange(len(context)), context, 1), len(context) - 1 + ahead)
        answers = walk(model, context, AHEAD)[:, LEVELS.index(0.5)], context[-1], line
        errors.append([numpy.abs(x - truth).mean() / numpy.abs(numpy.diff(terms)).mean() for x in answers])
    print("with noise: median error in steps {:.3f}, of the last term {:.3f}, of the line {:.3f}; ".format(*numpy.median(errors, 0)) +
          f"cover of the 80 % interval {cover(model, True, 1000):.3f}")


EXAMPLES = [[6, 7, 8], [2, 4, 8], [1, 1, 2, 3, 5], [1, 4, 9, 16.5], [0.5, -3, 0.5, -3.25], [7],
            [1000000001, 1000000002, 1000000003, 1000000004]]


def write(model, out):
    config = {
        "task": "forecasting",
        "description": "Goes on with number sequences: arithmetic, geometric, alternating, Fibonacci-like, quadratic, "
                       "periodic and noisy ones.",
        "license": "CC0-1.0",
        "training_data": "generated by the recipe",
        "precision": "int8",
        "network": model.network(),
        "forecast": FORECAST,
    }
    cases = []
    for example in EXAMPLES:
        steps = candidates.make(example, 0, candidates.GOLDEN_HORIZON, WINDOW)[0]
        cases.append((example, [[round(float(x), 7) for x in row] for row in steps]))
    recipe.write_bundle(out, model, config, cases)


def main():
    args = recipe.arguments(__doc__, "", epochs=60, start="")
    model, out = candidates.Weigher(LEVELS, HIDDEN), recipe.folder(args, __file__)
    if args.start or args.evaluate:
        recipe.load_bundle(model, args.start or out)
    if not args.evaluate:
        if args.epochs:
            train(model, args)
            calibrate(model)
        write(model, out)
    evaluate(model)


if __name__ == "__main__":
    main()
