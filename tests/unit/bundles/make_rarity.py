#!/usr/bin/env python3
"""Writes rarity.txt: rarities of made-up scores, by a plain reading of models/forecast/rarity.h.

    python3 tests/unit/bundles/make_rarity.py

Needs nothing but Python. It keeps a list, sorts it anew for each score, and counts: slow and plain. A line is `stream
room index rarity`, the last one `nan` while fewer than 50 scores are known.
"""
import math
import pathlib

N = 6000


def uniform():
    """Numbers in (0, 1), the same ones as in test_rarity.c."""
    x = 1
    while True:
        x = (x * 1664525 + 1013904223) % 2**32
        yield ((x >> 8) + 0.5) / 2**24


def restless(u, i):
    return 0.8 * u / (1 - u)  # a heavy tail


def calm(u, i):
    return 4 * u if i % 211 == 210 else 0.0


def stepped(u, i):
    return math.floor(12 * u) / 4  # many are equal


def shifted(u, i):
    return u * (1 if i < 1500 else 6)


def rarity(past, score):
    if len(past) < 50:
        return math.nan
    n, k = len(past), max(len(past) // 1000, 1)
    t = max(sorted(past)[::-1][k], 1)
    if score > t:
        return math.log10(n / k) + 3 * math.log10(score / t)
    return math.log10(n / max(k, sum(v >= score for v in past)))


def main():
    lines = []
    for stream in (restless, calm, stepped, shifted):
        for room in (64, 2048):
            numbers, scores = uniform(), []
            for i in range(N):
                scores.append(stream(next(numbers), i))
                if i % 211 in (48, 49, 50, 210) or i in (2047, 2048, 2049):
                    lines.append(f"{stream.__name__} {room} {i} {rarity(scores[:-1][-room:], scores[-1])!r}\n")
    (pathlib.Path(__file__).parent / "rarity.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
