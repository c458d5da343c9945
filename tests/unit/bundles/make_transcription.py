#!/usr/bin/env python3
"""Makes the bundles of test_transcription.c, random weights of a few kilobytes, and what a naive decoder finds.

    python3 tests/unit/bundles/make_transcription.py

Needs nothing but Python. The front ends are written from their descriptions (docs/bundle-format.md) in plain loops:
the transform is the sum of its definition. The beam search keeps every prefix as a tuple in a dictionary; the
smallest cases are compared with the sum over all paths.

ctc.txt: a line `T V blank beams n_best`, T lines of V outputs, n_best lines `score label label ...`, an empty line.
ctc_language.txt: the same with the language model tiny-characters; the first line goes on `weight bonus labels`, the
labels as one word with an underscore for the blank. The naive decoder reads each text from its beginning.
"""
import itertools
import json
import math
import pathlib
import random
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "http" / "bundles"))
import make as plain  # noqa: E402

HERE = pathlib.Path(__file__).parent
plain.HERE = HERE
NEVER = -math.inf


# ---- front ends ---------------------------------------------------------------------------------

def to_mel(hertz):
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * math.log(hertz / 1000) / math.log(6.4)


def to_hertz(mel):
    return mel * 200 / 3 if mel < 15 else 1000 * math.exp((mel - 15) * math.log(6.4) / 27)


def log_mel(samples, sampling_rate, n_fft, win_length, hop_length, n_mels, log_offset, stack, fmin, fmax,
            remove_mean=True, silence_after=0):
    before = (n_fft - win_length) // 2
    window = [0.0] * n_fft
    for i in range(win_length):
        window[before + i] = 0.5 - 0.5 * math.cos(2 * math.pi * i / win_length)
    edges = [to_hertz(to_mel(fmin) + (to_mel(fmax) - to_mel(fmin)) * i / (n_mels + 1)) for i in range(n_mels + 2)]
    samples = samples + [0.0] * max(silence_after, n_fft + (stack - 1) * hop_length - len(samples))
    frames = []
    for first in range(0, len(samples) - n_fft + 1, hop_length):
        x = [samples[first + i] * window[i] for i in range(n_fft)]
        power = []
        for k in range(n_fft // 2 + 1):
            re = sum(v * math.cos(2 * math.pi * i * k / n_fft) for i, v in enumerate(x))
            im = sum(v * math.sin(2 * math.pi * i * k / n_fft) for i, v in enumerate(x))
            power.append(re * re + im * im)
        row = []
        for left, middle, right in zip(edges, edges[1:], edges[2:]):
            energy = 0.0
            for k, p in enumerate(power):
                hertz = k * sampling_rate / n_fft
                weight = min((hertz - left) / (middle - left), (right - hertz) / (right - middle))
                energy += p * max(0, weight) * 2 / (right - left)
            row.append(math.log(energy + log_offset))
        frames.append(row)
    frames = frames[:len(frames) // stack * stack]
    for m in range(n_mels if remove_mean else 0):
        mean = sum(row[m] for row in frames) / len(frames)
        for row in frames:
            row[m] -= mean
    return [sum(frames[t:t + stack], []) for t in range(0, len(frames), stack)]


def along(strokes, scale, spacing):
    """Points (x, y, begins, ends) each `spacing` of a stroke's length, with its ends."""
    out = []
    for stroke in strokes:
        points = [(x * scale, y * scale) for x, y in stroke]
        mine, left = [points[0]], spacing
        for (x, y), (to_x, to_y) in zip(points, points[1:]):
            length = math.sqrt((to_x - x) ** 2 + (to_y - y) ** 2)
            at = left
            while at <= length:
                mine.append((x + (to_x - x) * (at / length), y + (to_y - y) * (at / length)))
                at += spacing
            left = at - length
        if len(points) > 1:
            mine.append(points[-1])
        out += [(x, y, float(i == 0), float(i == len(mine) - 1)) for i, (x, y) in enumerate(mine)]
    return out


def ink(strokes, height, spacing, stack, least_height=0.12, low=0.05, high=0.95, normalise=True):
    points, middle = normal(strokes, height, spacing, least_height, low, high) if normalise else (along(strokes, 1, spacing), 0)
    numbers = []
    for i, (x, y, begins, ends) in enumerate(points):
        before = points[i - 1] if i else points[0]
        numbers += [(x - before[0]) / spacing, (y - before[1]) / spacing, begins, (y - middle) / height, ends]
    width = 5 * stack
    numbers += [0.0] * (-len(numbers) % width)
    return [numbers[at:at + width] for at in range(0, len(numbers), width)]


def normal(strokes, height, spacing, least_height, low, high):
    """The points at the wanted height, and the middle of their percentiles."""
    xs, ys = [p[0] for s in strokes for p in s], [p[1] for s in strokes for p in s]
    wide = max(xs) - min(xs)
    size = max(max(ys) - min(ys), least_height * wide) or 1.0
    heights = sorted(p[1] for p in along(strokes, height / size, spacing))
    bottom, top = (heights[math.floor(share * (len(heights) - 1))] for share in (low, high))
    more = height / max(top - bottom, least_height * wide * (height / size), 1)
    return along(strokes, height / size * more, spacing), (bottom + top) / 2 * more


# ---- decoding -----------------------------------------------------------------------------------

def log_softmax(row):
    top = max(row)
    total = top + math.log(sum(math.exp(x - top) for x in row))
    return [x - total for x in row]


def add_logs(*values):
    top = max(values)
    return NEVER if top == NEVER else top + math.log(sum(math.exp(v - top) for v in values))


def collapse(path, blank):
    return tuple(k for i, k in enumerate(path) if k != blank and (i == 0 or k != path[i - 1]))


def greedy(rows, blank):
    path = [row.index(max(row)) for row in rows]
    return [(sum(row[k] for row, k in zip(rows, path)), collapse(path, blank))]


def all_paths(rows, blank):
    sums = {}
    for path in itertools.product(range(len(rows[0])), repeat=len(rows)):
        text = collapse(path, blank)
        sums[text] = add_logs(sums.get(text, NEVER), sum(row[k] for row, k in zip(rows, path)))
    return sorted(((score, text) for text, score in sums.items()), reverse=True)


def beam(rows, blank, beams, prior=lambda text: 0.0):
    live = {(): (0.0, NEVER)}
    for row in rows:
        following = {}

        def give(text, in_blank, in_label):
            old = following.get(text, (NEVER, NEVER))
            following[text] = (add_logs(old[0], in_blank), add_logs(old[1], in_label))
        for text, (in_blank, in_label) in live.items():
            total = add_logs(in_blank, in_label)
            for k, log_p in enumerate(row):
                if k == blank:
                    give(text, total + log_p, NEVER)
                elif text and text[-1] == k:
                    give(text, NEVER, in_label + log_p)
                    give(text + (k,), NEVER, in_blank + log_p)
                else:
                    give(text + (k,), NEVER, total + log_p)
        best = sorted(following, key=lambda text: -add_logs(*following[text]) - prior(text))[:beams]
        live = {text: following[text] for text in best}
    return [(add_logs(*pair) + prior(text), text) for text, pair in live.items()]


class Language:
    """A bundle that completes texts of characters, through one LSTM."""

    def __init__(self, folder):
        data = (folder / "model.safetensors").read_bytes()
        length = struct.unpack("<Q", data[:8])[0]
        head, body = json.loads(data[8:8 + length]), data[8 + length:]
        self.tensors = {}
        for name, entry in head.items():
            if name == "__metadata__":
                continue
            begin, end = entry["data_offsets"]
            numbers = list(struct.unpack(f"<{(end - begin) // 4}f", body[begin:end]))
            *rows, columns = entry["shape"]
            self.tensors[name] = [numbers[at:at + columns] for at in range(0, len(numbers), columns)] if rows else numbers
        self.letters = json.loads((folder / "config.json").read_text())["tokenizer"]["vocabulary"]
        self.known = {}

    def after(self, text):
        """The logarithms of the probabilities of each letter behind a text."""
        if text not in self.known:
            rows = [[float(letter == given) for letter in self.letters] for given in text]
            hidden = plain.lstm(self.tensors, "lstm", rows)[-1]
            self.known[text] = log_softmax(plain.affine(self.tensors["head.weight"], self.tensors["head.bias"], hidden))
        return self.known[text]

    def prior(self, labels, weight, bonus):
        """Of a text of labels; those that the model does not know are passed over, and cost as if all were as likely."""
        def of(text):
            total, read = 0.0, " "
            for k in text:
                known = labels[k] in self.letters
                log_p = self.after(read)[self.letters.index(labels[k])] if known else -math.log(len(self.letters))
                total += weight * log_p + bonus
                read += labels[k] if known else ""
            return total
        return of


def language_cases():
    rng, lines = random.Random(6), []
    language = Language(HERE.parents[1] / "http" / "bundles" / "tiny-characters")
    for T, blank, beams, n_best, weight, bonus, labels, spread in (
            (1, 0, 4, 3, 0.5, 0.0, "_ab", 1), (12, 0, 1, 1, 1.0, 0.5, "_abc", 2), (30, 0, 8, 8, 0.7, 0.3, "_abcdefZ", 2),
            (40, 3, 16, 5, 1.5, 1.0, "xyz_helo ", 3), (25, 0, 6, 6, 0.0, -0.4, "_abcdQZ", 2)):
        V = len(labels)
        outputs = [[plain.single(round(rng.uniform(-spread, spread), 4)) for _ in range(V)] for _ in range(T)]
        found = beam([log_softmax(row) for row in outputs], blank, beams, language.prior(labels, weight, bonus))
        lines.append(f"{T} {V} {blank} {beams} {n_best} {weight} {bonus} {labels}")
        lines += [" ".join(f"{x:.9g}" for x in row) for row in outputs]
        lines += [" ".join([f"{score:.9f}", *map(str, text)]) for score, text in found[:n_best]] + [""]
    (HERE / "ctc_language.txt").write_text("\n".join(lines) + "\n")


def decoding_cases():
    rng, lines = random.Random(5), []
    for T, V, blank, beams, n_best, spread in ((1, 2, 0, 1, 1, 2), (6, 4, 0, 1, 1, 3), (5, 3, 2, 64, 10, 1),
                                               (6, 3, 1, 64, 12, 2), (4, 4, 0, 64, 20, 0.3), (40, 8, 0, 4, 4, 3),
                                               (60, 12, 11, 16, 5, 4), (80, 30, 0, 8, 8, 2), (50, 3, 1, 32, 32, 1)):
        outputs = [[plain.single(round(rng.uniform(-spread, spread), 4)) for _ in range(V)] for _ in range(T)]
        rows = [log_softmax(row) for row in outputs]
        found = greedy(rows, blank) if beams == 1 else beam(rows, blank, beams)
        if beams == 64:
            sums = all_paths(rows, blank)
            assert [text for _, text in sums[:n_best]] == [text for _, text in found[:n_best]]
        lines.append(f"{T} {V} {blank} {beams} {n_best}")
        lines += [" ".join(f"{x:.9g}" for x in row) for row in outputs]
        lines += [" ".join([f"{score:.9f}", *map(str, text)]) for score, text in found[:n_best]] + [""]
    (HERE / "ctc.txt").write_text("\n".join(lines) + "\n")


# ---- bundles ------------------------------------------------------------------------------------

def bundle(name, seed, front, inputs, labels, description, settings, directions=("", "_reverse")):
    """A linear layer over an LSTM of one or both directions."""
    rng, run = random.Random(seed), {"log_mel": log_mel, "ink": ink}[front["type"]]
    keys = {key: value for key, value in front.items() if key != "type"}
    steps = [run(given, **keys) for given in inputs]
    width, H, V = len(steps[0][0]), 5, len(labels)
    tensors = plain.lstm_weights(rng, "lstm", width, H, directions, 0.7)
    tensors |= {"out.weight": plain.matrix(rng, V, len(directions) * H, 3.0), "out.bias": plain.matrix(rng, 1, V, 0.3)[0]}
    cases = []
    for given, rows in zip(inputs, steps):
        hidden = [sum(parts, []) for parts in zip(*(plain.lstm(tensors, "lstm", rows, way) for way in directions))]
        cases.append({"input": given, "features": [[round(x, 8) for x in row] for row in rows],
                      "output": plain.affine(tensors["out.weight"], tensors["out.bias"], hidden[-1])})
    plain.write(name, {
        "task": "transcription", "description": description,
        "features": front, "labels": labels, "transcription": settings,
        "network": [{"type": "lstm", "prefix": "lstm", "input_size": width, "hidden_size": H,
                     "bidirectional": len(directions) > 1},
                    {"type": "linear", "prefix": "out", "in_features": len(directions) * H, "out_features": V}]}, tensors, cases)


def main():
    decoding_cases()
    language_cases()
    rng = random.Random(9)
    tones = [[round(0.5 * math.sin(0.02 * i * (1 + i / 900)) + rng.uniform(-0.1, 0.1), 5) for i in range(n)]
             for n in (700, 90)]
    bundle("tiny-speech", 3, {"type": "log_mel", "sampling_rate": 8000, "n_fft": 128, "win_length": 100,
                              "hop_length": 40, "n_mels": 6, "log_offset": 1e-6, "stack": 2, "fmin": 50,
                              "fmax": 3800}, tones, ["<blank>", "a", "b", "c", " "], "Random sounds for the tests.",
           {"num_beams": 4, "language": "en"})
    strokes = [[[0, 0], [30, 45], [33, 2]], [[50, 50]], [[10, 22], [60, 20], [64, -14], [70, -3.5]]]
    bundle("tiny-ink", 4, {"type": "ink", "height": 100, "spacing": 7, "least_height": 0.12, "low": 0.05,
                           "high": 0.95, "stack": 2}, [strokes, [[[5, 5]]], [[[0, 0], [300, 1]]]],
           ["<blank>", "x", "y", "é"], "Random letters for the tests.", {"num_beams": 8})
    bundle("tiny-speech-live", 5, {"type": "log_mel", "sampling_rate": 8000, "n_fft": 128, "win_length": 100,
                                   "hop_length": 40, "n_mels": 6, "log_offset": 1e-6, "stack": 2, "fmin": 50,
                                   "fmax": 3800, "remove_mean": False, "silence_after": 230}, tones, ["<blank>", "a", "b", "c", " "],
           "Random sounds, piece by piece, for the tests.", {"num_beams": 4, "language": "en"}, ("",))
    bundle("tiny-ink-live", 6, {"type": "ink", "height": 100, "spacing": 7, "stack": 2, "normalise": False},
           [strokes, [[[5, 5]]], [[[0, 0], [300, 1]]]], ["<blank>", "x", "y", "é"],
           "Random letters, stroke by stroke, for the tests.", {"num_beams": 8}, ("",))


if __name__ == "__main__":
    main()
