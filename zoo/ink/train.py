"""ink: handwritten words, read from the path of the pen.

Data (--data): `unipen_words.npz`, 30,417 words by 402 writers of UNIPEN train_r01_v07 (Zenodo 1195803, CC BY 4.0;
the CD of 1999 said: for research only): arrays dx, dy [points], pen (np.packbits, 1 at the last point of a
stroke), offset [samples + 1], labels, writer [samples], writers. A writer in ten, chosen by the hash of the
writer's name, is held out.

The path is brought to a height of 100 by percentiles, resampled every 7 units, and two points make one step of 2 x 5
numbers: dx / 7, dy / 7, whether a stroke begins, the height in the line, whether a stroke ends. In training each
word is slanted, turned and stretched anew.

10 numbers a step -> BiLSTM 2 x 128 -> linear -> CTC
"""

import hashlib
import math
import pathlib
import random
import sys

import numpy
import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import ctc
import recipe

HEIGHT, SPACING, LOW, HIGH, FLAT = 100.0, 7.0, 0.05, 0.95, 0.12
HIDDEN, BATCH, LEARNING_RATE = 128, 64, 4e-3


class Model(nn.Module):
    def __init__(self, labels):
        super().__init__()
        self.lstm = nn.LSTM(10, HIDDEN, 2, batch_first=True, bidirectional=True, dropout=0.2)
        self.output = nn.Linear(2 * HIDDEN, labels)

    def forward(self, steps, lengths=None):
        return self.output(ctc.run(self.lstm, steps, lengths))


def config(labels):
    return {
        "task": "transcription",
        "description": "Reads a handwritten word from the path of the pen.",
        "license": "CC-BY-4.0",
        "training_data": "UNIPEN train_r01_v07 (Zenodo 1195803, CC BY 4.0; the CD of 1999: research only)",
        "precision": "int8",
        "features": {"type": "ink", "height": HEIGHT, "spacing": SPACING, "low": LOW, "high": HIGH,
                     "least_height": FLAT, "stack": 2},
        "network": [
            {"type": "lstm", "prefix": "lstm", "input_size": 10, "hidden_size": HIDDEN, "num_layers": 2,
             "bidirectional": True},
            {"type": "linear", "prefix": "output", "in_features": 2 * HIDDEN, "out_features": len(labels)},
        ],
        "labels": labels,
    }


def along(strokes, scale):
    """Points [x, y, begins, ends] every SPACING along each stroke, and where it begins and ends."""
    out = []
    for stroke in strokes:
        x, y = stroke[0][0] * scale, stroke[0][1] * scale
        out.append([x, y, 1.0, 0.0])
        left = SPACING
        for point in stroke[1:]:
            to_x, to_y = point[0] * scale, point[1] * scale
            dx, dy = to_x - x, to_y - y
            length = math.sqrt(dx * dx + dy * dy)
            at = left
            while at <= length:
                part = at / length
                out.append([x + dx * part, y + dy * part, 0.0, 0.0])
                at += SPACING
            left = at - length
            x, y = to_x, to_y
        if out[-1][2] == 0.0 or len(stroke) > 1:
            out.append([x, y, 0.0, 0.0])
        out[-1][3] = 1.0
    return out


def resample(strokes):
    """The points of strokes [[x, y], ...] at the wanted height, and the middle of that height."""
    xs = [p[0] for s in strokes for p in s]
    ys = [p[1] for s in strokes for p in s]
    wide, high = max(xs) - min(xs), max(ys) - min(ys)
    size = max(high, FLAT * wide)
    if not size > 0:
        size = 1.0
    heights = sorted(p[1] for p in along(strokes, HEIGHT / size))
    last = len(heights) - 1
    low, high = heights[math.floor(LOW * last)], heights[math.floor(HIGH * last)]
    least = FLAT * wide * (HEIGHT / size)
    scale = HEIGHT / size * (HEIGHT / max(high - low, least, 1.0))
    middle = (low + high) / 2 * (HEIGHT / max(high - low, least, 1.0))
    return numpy.array(along(strokes, scale)), middle


def steps_of(points, middle):
    """Steps [T, 10] of resampled points."""
    rows = numpy.zeros((len(points) + len(points) % 2, 5))
    rows[1:len(points), :2] = (points[1:, :2] - points[:-1, :2]) / SPACING
    rows[:len(points), 2] = points[:, 2]
    rows[:len(points), 3] = (points[:, 1] - middle) / HEIGHT
    rows[:len(points), 4] = points[:, 3]
    return rows.reshape(-1, 10)


def change(points, middle, choose):
    """Slant, turn and stretch a word."""
    slant, turn = choose.uniform(-0.35, 0.35), choose.uniform(-0.12, 0.12)
    wide, high = choose.uniform(0.75, 1.3), choose.uniform(0.85, 1.15)
    cos, sin = math.cos(turn), math.sin(turn)
    x, y = points[:, 0], points[:, 1] - middle
    x = (x - x.mean() - slant * y) * wide
    y = y * high
    out = points.copy()
    out[:, 0], out[:, 1] = cos * x - sin * y, sin * x + cos * y
    return out, 0.0


def is_held(writer):
    return int(hashlib.sha256(writer.encode()).hexdigest(), 16) % 10 == 0


def strokes_of(z, pen, i):
    """The strokes of sample i."""
    a, b = z["offset"][i], z["offset"][i + 1]
    xy = numpy.cumsum(numpy.stack([z["dx"][a:b], z["dy"][a:b]], 1).astype(float), 0)
    ends = numpy.flatnonzero(pen[a:b]) + 1
    return [part.tolist() for part in numpy.split(xy, ends) if len(part)]


def read_words(path):
    """Samples (strokes, text, writer)."""
    z = {name: array for name, array in numpy.load(path).items()}
    texts = z["labels"].tobytes().decode().split("\n")
    writers = z["writers"].tobytes().decode().split("\n")
    pen = numpy.unpackbits(z["pen"])[:len(z["dx"])].astype(bool)
    return [(strokes_of(z, pen, i), texts[i], writers[z["writer"][i]]) for i in range(len(z["writer"]))]


def read(path):
    """Samples (strokes, text, held)."""
    return [(strokes, text, is_held(writer)) for strokes, text, writer in read_words(path)]


def pick_labels(samples):
    """The blank, and the characters that stand in ten training words or more."""
    counts = {}
    for _, text, held in samples:
        for ch in set(text) if not held else ():
            counts[ch] = counts.get(ch, 0) + 1
    return ["<blank>"] + sorted(ch for ch, n in counts.items() if n >= 10)


def train(model, samples, args):
    """samples: (points, middle, labels) of the training part; the held-out part is only looked at for a figure."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    steps = len(samples) // BATCH
    schedule = recipe.warm_cosine(optimizer, args.epochs * steps)
    average = recipe.Average(model, 0.995)
    progress = recipe.Progress(args.epochs, steps)
    done = recipe.load_checkpoint(args.checkpoint, model, optimizer, schedule, average)
    for epoch in range(done, args.epochs):
        choose = random.Random(args.seed * 1000 + epoch)
        order = sorted(range(len(samples)), key=lambda i: len(samples[i][0]) * choose.uniform(0.9, 1.1))
        batches = [order[at:at + BATCH] for at in range(0, len(order) - BATCH + 1, BATCH)]
        choose.shuffle(batches)
        model.train()
        for step, chosen in enumerate(batches):
            batch = []
            for i in chosen:
                points, middle, labels = samples[i]
                batch.append((steps_of(*change(points, middle, choose)), labels))
            loss = ctc.loss(model, batch)
            recipe.descend(loss, model, optimizer, schedule)
            average.update(model)
            progress.step(epoch, step, loss.item())
        progress.epoch(epoch)
        recipe.save_checkpoint(args.checkpoint, epoch + 1, model, optimizer, schedule, average)
    model.load_state_dict(average.weights)


def evaluate(model, samples, labels):
    """Character errors and whole words on the held-out writers, greedy."""
    held = [(resample(strokes), text) for strokes, text, is_out in samples if is_out]
    found = ctc.read_all(model, [steps_of(*points) for points, _ in held])
    texts = ["".join(labels[k] for k in ids) for ids in found]
    errors = sum(ctc.distance(a, b) for a, (_, b) in zip(texts, held))
    total = sum(len(text) for _, text in held)
    right = sum(a == b for a, (_, b) in zip(texts, held))
    print(f"writers never seen, greedy: character errors {100 * errors / total:.2f} % ({errors} of {total}), "
          f"whole words right {100 * right / len(held):.2f} % ({right} of {len(held)})")
    for text, (_, wanted) in list(zip(texts, held))[::len(held) // 12]:
        print(f"  {wanted!r} read as {text!r}")


def main():
    args = recipe.arguments(__doc__, "unipen_words.npz", epochs=8)
    samples = read(args.data)
    labels = pick_labels(samples)
    out = recipe.folder(args, __file__)
    model = Model(len(labels))
    if args.evaluate:
        recipe.load_bundle(model, out)
    else:
        index = {label: i for i, label in enumerate(labels)}
        training = []
        for strokes, text, held in samples:
            if held or not set(text) <= set(labels):
                continue
            points, middle = resample(strokes)
            if len(points) > 2 * len(text) + 2 and len(points) < 600:
                training.append((points, middle, [index[ch] for ch in text]))
        print(f"{len(training)} words to train on, {sum(held for _, _, held in samples)} held out, "
              f"{len(labels)} labels", flush=True)
        train(model, training, args)
        cases, longest = [], 0
        for strokes, text, held in samples:
            if held and len(text) > longest and len(cases) < 3:
                longest = len(text)
                steps = steps_of(*resample(strokes))
                cases.append((strokes, [[round(float(x), 6) for x in row] for row in steps]))
        recipe.write_bundle(out, model.eval(), config(labels), cases)
    evaluate(model.eval(), samples, labels)


if __name__ == "__main__":
    main()
