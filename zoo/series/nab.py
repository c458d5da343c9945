"""How well the bundle `series` finds anomalies: the score of the Numenta Anomaly Benchmark (standard profile).

    build/carousel serve --model series=zoo/series &
    python3 zoo/series/nab.py --data data/anomaly --server http://127.0.0.1:8080

Data: `nab.zip`, series of https://github.com/numenta/NAB (MIT), and `nab_windows.json`, its windows. Each value is
judged by POST /v1/anomalies beside the 1,024 values before it and their scores. One threshold holds for all files, on
the answers' `score` or on their `rarity`: the best one, as the benchmark has it; and the best one on half of the files,
chosen by a hash of their names, for the other half. The score is 0 for a detector that finds nothing and 100 for one
that finds all at once (Lavin and Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms", 2015). --answers FILE keeps
the answers, and goes on from those that it holds.
"""

import argparse
import csv
import hashlib
import io
import json
import math
import pathlib
import statistics
import urllib.request
import zipfile

PAST, BLOCK, LEARNED = 1024, 256, 8  # values of a request: read, judged (limits.series), only learned from
MEMORY = 2048  # scores that a rarity remembers
KEYS = ("score", "rarity")
FALSE_ALARM, MISSED = 0.11, 1.0  # what they cost in the standard profile


def judge(server, values):
    """Each value's {"score", "rarity"}; None where there is none, as of the first values, which are only learned from."""
    found, at = {key: [None] * LEARNED for key in KEYS}, LEARNED
    while at < len(values):
        end, begin = min(len(values), at + BLOCK), max(0, at - PAST)
        body = json.dumps({"model": "series", "series": values[begin:end], "first": at - begin,
                           "past_scores": found["score"][-MEMORY:]}).encode()
        request = urllib.request.Request(server + "/v1/anomalies", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as reply:
            answer = json.load(reply)
        for key in KEYS:
            found[key] += answer[key]
        at = end
    return found


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


def ranking(files):
    """For each threshold, from the highest on: (points, threshold, windows found, false alarms)."""
    marks, n_windows = [], sum(windows for _, _, windows in files)
    for number, (scores, worths, _) in enumerate(files):
        marks += [(score, number, i) for i, score in enumerate(scores) if score is not None and worths[i]]
    marks.sort(key=lambda mark: -mark[0])
    found, total, false = {}, 0, 0
    yield 0.0, math.inf, 0, 0
    for at, (score, number, i) in enumerate(marks):
        worth, window = files[number][1][i]
        if window is None:
            total, false = total + worth, false + 1
        else:
            before = found.get((number, window), -MISSED)
            found[number, window] = max(worth, before)
            total += found[number, window] - before
        if at + 1 == len(marks) or marks[at + 1][0] < score:  # one threshold takes all that are equal
            yield 100 * total / ((1 + MISSED) * n_windows), score, len(found), false


def best(files):
    return max(ranking(files))


def points_at(files, threshold):
    """The points with this threshold; a value that reaches it is marked."""
    return [line for line in ranking(files) if line[1] >= threshold][-1]


def told(files, line):
    points, threshold, found, false = line
    return (f"NAB standard {points:.1f} on {len(files)} files with the threshold {threshold:.3g}: "
            f"{found} of {sum(n for _, _, n in files)} windows found, {false} values marked outside of them")


def threshold_of(key, sensitivity):
    """What the answers call `threshold`."""
    if key == "rarity":
        return -math.log10(sensitivity)
    return statistics.NormalDist().inv_cdf(1 - sensitivity / 2) / statistics.NormalDist().inv_cdf(0.9)


def is_first_half(name):
    return hashlib.sha256(name.encode()).digest()[-1] % 2 == 0


def show(key, files, sensitivity):
    """files: name to (answers, worths, windows)."""
    judged = {name: (answers[key], worths, windows) for name, (answers, worths, windows) in files.items()}
    halves = [[file for name, file in judged.items() if is_first_half(name) == first] for first in (True, False)]
    every = list(judged.values())
    print(f"by {key}: {told(every, best(every))}")
    print(f"  sensitivity {sensitivity}: {told(every, points_at(every, threshold_of(key, sensitivity)))}")
    for half, other in (halves, halves[::-1]):
        if half and other:
            line = best(half)
            print(f"  chosen on {len(half)} files ({line[0]:.1f}), the others: {told(other, points_at(other, line[1]))}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--server", default="http://127.0.0.1:8080")
    parser.add_argument("--answers", default="")
    parser.add_argument("--sensitivity", type=float, default=0.0007, help="as the documentation proposes it")
    options = parser.parse_args()
    data, kept = pathlib.Path(options.data), {}
    windows = json.loads((data / "nab_windows.json").read_text())
    if options.answers and pathlib.Path(options.answers).exists():
        kept = json.loads(pathlib.Path(options.answers).read_text())
    files = {}
    with zipfile.ZipFile(data / "nab.zip") as archive:
        for name in sorted(windows):
            rows = list(csv.reader(io.TextIOWrapper(archive.open(name), "utf-8")))[1:]
            if name not in kept:
                kept[name] = judge(options.server, [float(row[1]) for row in rows])
                print(f"{name}: {len(rows)} values", flush=True)
                if options.answers:
                    pathlib.Path(options.answers).write_text(json.dumps(kept))
            spans = [tuple(edge.split(".")[0] for edge in window) for window in windows[name]]
            files[name] = (kept[name], weigh([row[0] for row in rows], spans), len(spans))
    for key in KEYS:
        show(key, files, options.sensitivity)


if __name__ == "__main__":
    main()
