"""How well the bundle `series` finds anomalies: the score of the Numenta Anomaly Benchmark (standard profile).

    build/carousel serve --model series=zoo/series &
    python3 zoo/series/nab.py --data data/anomaly --server http://127.0.0.1:8080

Data: `nab.zip`, series of https://github.com/numenta/NAB (MIT), and `nab_windows.json`, its windows. Each value is
judged by POST /v1/anomalies beside the 1,024 values before it. One threshold on the answers' `score` holds for all files:
the best one, as the benchmark has it. The score is 0 for a detector that finds nothing and 100 for one that finds all
at once (Lavin and Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms", 2015). --scores FILE keeps the answers,
and goes on from those that it holds.
"""

import argparse
import bisect
import csv
import io
import json
import math
import pathlib
import urllib.request
import zipfile

PAST, BLOCK = 1024, 256
FALSE_ALARM, MISSED = 0.11, 1.0  # what they cost in the standard profile


def judge(server, values):
    """The score of each value; None for the first ones, which are only learned from."""
    scores, at = [None] * len(values), 8
    while at < len(values):
        end, begin = min(len(values), at + BLOCK), max(0, at - PAST)
        body = json.dumps({"model": "series", "series": values[begin:end]}).encode()
        request = urllib.request.Request(server + "/v1/anomalies", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as reply:
            answer = json.load(reply)
        for i in range(at, end):
            scores[i] = answer["score"][i - begin - answer["first"]]
        at = end
    return scores


def relative(scores):
    """Each score divided by what one in a thousand of the scores before it is above: a restless series is used to more."""
    past, out = [], []
    for score in scores:
        known = score is not None
        out.append(score / max(past[int(0.999 * (len(past) - 1))], 1) if known and len(past) > 50 else 0 if known else None)
        if known:
            bisect.insort(past, score)
    return out


def sigmoid(x):
    """From 1 far before a window's end to -1 far behind it."""
    return -1.0 if x > 3 else 2 / (1 + math.exp(5 * x)) - 1


def weigh(times, windows):
    """Of each row: (what marking it is worth, its window or None). The first 15 % are not counted."""
    first, rows, before = min(int(0.15 * len(times)), 750), [], None
    spans = [(times.index(a), times.index(b)) for a, b in windows]
    for i in range(len(times)):
        inside = next((k for k, (a, b) in enumerate(spans) if a <= i <= b), None)
        if inside is not None:
            a, b = spans[inside]
            worth = sigmoid(-(b - i + 1) / (b - a + 1)) / sigmoid(-1)
            before = (a, b)
        elif before is None:
            worth = -FALSE_ALARM
        else:
            worth = FALSE_ALARM * sigmoid((i - before[1]) / max(before[1] - before[0], 1))
        rows.append((worth, inside) if i >= first else None)
    return rows


def best(files):
    """(score, threshold, windows found, false alarms) of the best threshold; files: (scores, worths, windows)."""
    marks, n_windows = [], sum(windows for _, _, windows in files)
    for number, (scores, worths, _) in enumerate(files):
        marks += [(score, number, i) for i, score in enumerate(scores) if score is not None and worths[i]]
    marks.sort(key=lambda mark: -mark[0])
    found, total, false = {}, -MISSED * n_windows, 0
    result = (0.0, math.inf, 0, 0)
    for at, (score, number, i) in enumerate(marks):
        worth, window = files[number][1][i]
        if window is None:
            total, false = total + worth, false + 1
        else:
            key = (number, window)
            total += max(worth, found.get(key, -MISSED)) - found.get(key, -MISSED)
            found[key] = max(worth, found.get(key, -MISSED))
        if at + 1 < len(marks) and marks[at + 1][0] == score:
            continue  # one threshold takes all of them
        points = 100 * (total + MISSED * n_windows) / ((1 + MISSED) * n_windows)
        result = max(result, (points, score, len(found), false))
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--server", default="http://127.0.0.1:8080")
    parser.add_argument("--scores", default="")
    options = parser.parse_args()
    data, kept = pathlib.Path(options.data), {}
    windows = json.loads((data / "nab_windows.json").read_text())
    if options.scores and pathlib.Path(options.scores).exists():
        kept = json.loads(pathlib.Path(options.scores).read_text())
    files = []
    with zipfile.ZipFile(data / "nab.zip") as archive:
        for name in sorted(windows):
            rows = list(csv.reader(io.TextIOWrapper(archive.open(name), "utf-8")))[1:]
            if name not in kept:
                kept[name] = judge(options.server, [float(row[1]) for row in rows])
                print(f"{name}: {len(rows)} values", flush=True)
                if options.scores:
                    pathlib.Path(options.scores).write_text(json.dumps(kept))
            spans = [tuple(edge.split(".")[0] for edge in window) for window in windows[name]]
            files.append((kept[name], weigh([row[0] for row in rows], spans), len(spans)))
    for what, change in (("the scores as they are", list), ("relative to the series' own past", relative)):
        points, threshold, found, false = best([(change(scores), *rest) for scores, *rest in files])
        print(f"NAB standard {points:.1f} on {len(files)} files, {what}, with the threshold {threshold:.3g}: "
              f"{found} of {sum(n for _, _, n in files)} windows found, {false} values marked outside of them")


if __name__ == "__main__":
    main()
