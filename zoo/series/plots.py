"""Draw ten held-out forecasts of the bundle as plots/*.svg: the five where it gains most over seasonal naive, and the
five where it loses most, one of each set. Grey: what was read; black: what came; blue: median, 80 % and 95 % bands.

  python3 zoo/series/plots.py
"""

import pathlib
import sys

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import train

WIDTH, HEIGHT, SHOWN = 420, 150, 60
BANDS = ((0, 10, "#cfe0f5"), (1, 9, "#9fc2ea"))


def svg(title, context, truth, at):
    context = context[-SHOWN:]
    values = numpy.concatenate([context, truth, at[:, 0], at[:, 10]])
    low, high, count = values.min(), values.max(), len(context) + len(truth)

    def points(start, series):
        return " ".join(f"{5 + (start + i) / (count - 1) * (WIDTH - 10):.1f},"
                        f"{22 + (high - v) / (high - low or 1) * (HEIGHT - 28):.1f}" for i, v in enumerate(series))

    def line(start, series, colour):
        return f'<polyline points="{points(start, series)}" fill="none" stroke="{colour}"/>'

    now = len(context)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/><text x="5" y="14" font-size="11">{title}</text>']
    for lower, upper, colour in BANDS:
        back = points(now, at[:, lower]).split()[::-1]
        parts.append(f'<polygon points="{points(now, at[:, upper])} {" ".join(back)}" fill="{colour}"/>')
    parts += [line(0, context, "#888"), line(now - 1, numpy.concatenate([context[-1:], truth]), "#000"),
              line(now, at[:, 5], "#1f5fae"), "</svg>"]
    return "\n".join(parts) + "\n"


def main():
    model = train.candidates.Weigher(train.LEVELS, train.HIDDEN)
    folder = pathlib.Path(__file__).resolve().parent
    train.recipe.load_bundle(model, folder)
    (folder / "plots").mkdir(exist_ok=True)
    found, unseasonal = [], train.unseasonal_width(folder)
    for name, series, season, horizon, context, truth in train.competitions():
        if train.is_held_out(series):
            at = train.candidates.forecast(model, context, 0, horizon, train.WINDOW, unseasonal)
            error = numpy.abs(at[:, 5] - truth).mean() / train.unit_of(context, season)
            found.append((error - train.naive(context, truth, season), error, name, series, context, truth, at))
    found.sort(key=lambda one: one[0])
    for kind, order in (("good", found), ("bad", found[::-1])):
        seen = set()
        for _, error, name, series, context, truth, at in order:
            if name in seen or len(seen) == 5:
                continue
            seen.add(name)
            title = f"{name}, {series.split('/')[1]}: MASE {error:.2f}"
            (folder / "plots" / f"{kind}-{len(seen)}.svg").write_text(svg(title, context, truth, at))


if __name__ == "__main__":
    main()
