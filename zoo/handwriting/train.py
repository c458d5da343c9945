"""handwriting: writes a text as the path of a pen.

Data (--data): `unipen_words.npz`, the pen strokes of words that zoo/ink/train.py describes; the same writers are held
out. Of the others those are learned from who are neat, that is, the bundle `ink` reads at most 8 % of their characters
wrong, and who lift the pen often, with 0.6 strokes a character and more: a small network learns separate letters sooner
than joined ones. Lines are made by joining up to four words of one writer on one baseline; the heights of words are set by
their letters, because the data bring every word to one height.

Each step reads the way from the point before, in spacings of 7 of a line 100 high, and 1 if a stroke ends there:
3 numbers and a window over the text -> LSTM 256 -> window of 8 Gaussians -> LSTM 256 -> mixture of 16 (Graves,
"Generating Sequences With Recurrent Neural Networks", 2013, section 5).

--start FILE begins with the weights of a bundle's model.safetensors, whose letters must be those of the data.

--evaluate writes held-out words in hands of the model's own, lets `ink` read them, and compares with how it reads the
held-out writers.
"""

import importlib.util
import json
import math
import pathlib
import random
import sys

import numpy
import torch
from safetensors.torch import load_file
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import ctc
import recipe
from recurrence import Recurrence, heights_of, window_of

HIDDEN, GAUSSIANS, MIXTURES, BATCH, RATE = 256, 8, 16, 32, 8e-4
NEAT, LIFTS, KNOWN, WORDS, POINTS, GAP, WRITTEN, BIAS = 0.08, 0.6, 20, 4, 450, 40.0, 300, 1.5
TALL, DEEP = set("bdfhiklt'\"!?()&/") | set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"), set("gjpqyQ,;()")


def ink_recipe():
    path = pathlib.Path(__file__).resolve().parent.parent / "ink" / "train.py"
    spec = importlib.util.spec_from_file_location("ink_recipe", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ink = ink_recipe()


class Window(nn.Linear):
    """gaussian_attention of the server: (a, b, k) of each Gaussian."""

    def __init__(self, query, gaussians):
        super().__init__(query, 3 * gaussians)
        with torch.no_grad():
            self.bias[2 * gaussians:] -= math.log(20)  # about as many points a letter

    def forward(self, x, kappa, positions):
        shape, kappa, far = window_of(super().forward(x), kappa, positions)
        return heights_of(shape, far).sum(1), kappa


class Model(nn.Module):
    def __init__(self, letters):
        super().__init__()
        self.letters = letters
        self.first = nn.LSTM(3 + letters, HIDDEN, batch_first=True)
        self.window = Window(HIDDEN, GAUSSIANS)
        self.second = nn.LSTM(3 + letters + HIDDEN, HIDDEN, batch_first=True)
        self.mixture = nn.Linear(2 * HIDDEN, 1 + 6 * MIXTURES)

    def begin(self, texts):
        """Of texts [B, U] of ids, padded with -1: what the steps look at, and the state of the first half."""
        rows = nn.functional.one_hot(texts.clamp(min=0), self.letters).float() * (texts >= 0)[..., None]
        n = len(texts)
        return rows, (torch.zeros(n, HIDDEN), torch.zeros(n, HIDDEN), torch.zeros(n, self.letters),
                      torch.zeros(n, GAUSSIANS))

    def recurrent_weights(self):
        """What the first LSTM multiplies what was read and its own output by."""
        return torch.cat([self.first.weight_ih_l0[:, 3:], self.first.weight_hh_l0], 1).T.contiguous()

    def half_step(self, gates, weights, rows, state):
        """The first LSTM and the window; gates: what the point gives to the LSTM, with its biases."""
        h, c, read, kappa = state
        i, f, g, o = (gates + torch.cat([read, h], 1) @ weights).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        positions = torch.arange(1, rows.shape[1] + 1)
        phi, kappa = self.window(h, kappa, positions)
        return phi, (h, c, (phi[:, None] @ rows)[:, 0], kappa)

    def point_gates(self, points):
        return points @ self.first.weight_ih_l0[:, :3].T + self.first.bias_ih_l0 + self.first.bias_hh_l0

    def forward(self, texts, points, kind=torch.float32):
        """kind: what the first LSTM multiplies in; autocast decides for the rest."""
        rows, _ = self.begin(texts)
        with torch.autocast("cpu", enabled=False):
            gates = self.point_gates(points).transpose(0, 1).contiguous()
            window = self.window.weight, self.window.bias
            x = Recurrence.apply(gates, self.recurrent_weights(), *window, rows, kind).transpose(0, 1)
        g, _ = self.second(torch.cat([points, x], -1))
        return self.mixture(torch.cat([x[..., self.letters:], g], -1))


def nats(outputs, targets):
    """Of each point [B, T]: outputs [B, T, 1 + 6 M], targets [B, T, 3]."""
    ends, *parts = outputs.split([1] + [MIXTURES] * 6, -1)
    weights, mean_x, mean_y, log_x, log_y, rho = parts
    rho = rho.tanh() * 0.999
    x, y = (targets[..., 0:1] - mean_x) / log_x.exp(), (targets[..., 1:2] - mean_y) / log_y.exp()
    z = x * x + y * y - 2 * rho * x * y
    normal = -z / (2 * (1 - rho * rho)) - log_x - log_y - 0.5 * torch.log1p(-rho * rho) - math.log(2 * math.pi)
    pen = nn.functional.binary_cross_entropy_with_logits(ends[..., 0], targets[..., 2], reduction="none")
    return pen - (weights.log_softmax(-1) + normal).logsumexp(-1)


# ---- the data ------------------------------------------------------------------------------------


def height_of(text):
    """The share of a line's height that a word with these letters has, and the part of it below the baseline."""
    tall, deep = bool(set(text) & TALL), bool(set(text) & DEEP)
    return 0.4 + 0.3 * tall + 0.3 * deep, 0.3 * deep


def on_line(strokes, text):
    """A word's strokes at its height in a line of 100, with the baseline at 0."""
    ys = [p[1] for s in strokes for p in s]
    share, below = height_of(text)
    top, bottom = min(ys), max(ys)
    scale = 100 * share / max(bottom - top, 20.0)
    base = bottom * scale - 100 * below
    left = min(p[0] for s in strokes for p in s) * scale
    return [[[p[0] * scale - left, p[1] * scale - base] for p in s] for s in strokes]


def line_of(words):
    """The points [T, 3] of words (strokes, text) side by side, and the text."""
    strokes, at = [], 0.0
    for word, _ in words:
        strokes += [[[x + at, y] for x, y in stroke] for stroke in word]
        at = max(x for stroke in strokes for x, _ in stroke) + GAP
    points = numpy.array(ink.along(strokes, 1.0))
    steps = numpy.zeros((len(points), 3), dtype=numpy.float32)
    steps[1:, :2] = (points[1:, :2] - points[:-1, :2]) / ink.SPACING
    steps[:, 2] = points[:, 3]
    return steps, " ".join(text for _, text in words)


def reader():
    """The bundle `ink`, which judges."""
    folder = pathlib.Path(__file__).resolve().parent.parent / "ink"
    labels = json.loads((folder / "config.json").read_text())["labels"]
    return recipe.load_bundle(ink.Model(len(labels)), folder), labels


def errors_of(judge, labels, words):
    """Wrong characters of each word (strokes, text)."""
    found = ctc.read_all(judge, [ink.steps_of(*ink.resample(strokes)) for strokes, _ in words])
    return [ctc.distance("".join(labels[k] for k in ids), text) for ids, (_, text) in zip(found, words)]


def neat_writers(samples):
    """Words by writer, of those who are neat and lift the pen; what `ink` reads of them with more than a third wrong is
    left out."""
    judge, labels = reader()
    errors, by = errors_of(judge, labels, [(strokes, text) for strokes, text, _ in samples]), {}
    for (strokes, text, writer), wrong in zip(samples, errors):
        by.setdefault(writer, []).append((strokes, text, wrong))
    neat = {}
    for writer, own in by.items():
        characters = sum(len(t) for _, t, _ in own)
        lifts = sum(len(s) for s, _, _ in own)
        if sum(w for _, _, w in own) <= NEAT * characters and lifts >= LIFTS * characters and len(own) >= 10:
            neat[writer] = [(on_line(s, t), t) for s, t, w in own if 3 * w <= len(t)]
    return neat


def lines_of(neat, choose):
    """Every word once, in lines of one writer."""
    lines = []
    for words in neat.values():
        words = words[:]
        choose.shuffle(words)
        while words:
            n = choose.randint(1, WORDS)
            steps, text = line_of(words[:n])
            words = words[n:]
            if len(steps) <= POINTS:
                lines.append((steps, text))
    return lines


def letters_of(neat):
    counts = {}
    for words in neat.values():
        for _, text in words:
            for letter in set(text):
                counts[letter] = counts.get(letter, 0) + 1
    return ["</s>", " "] + sorted(letter for letter, n in counts.items() if n >= KNOWN and letter != " ")


def batch_of(lines, ids):
    """Texts [B, U], what is read [B, T, 3], what comes next, and which points count."""
    texts = nn.utils.rnn.pad_sequence([torch.tensor([ids[c] for c in text] + [0]) for _, text in lines], True, -1)
    steps = nn.utils.rnn.pad_sequence([torch.tensor(s) for s, _ in lines], True, 0.0)
    first = torch.tensor([0.0, 0.0, 1.0]).expand(len(lines), 1, 3)
    lengths = torch.tensor([len(s) for s, _ in lines])
    return texts, torch.cat([first, steps[:, :-1]], 1), steps, torch.arange(steps.shape[1]) < lengths[:, None]


def train(model, neat, letters, args):
    ids = {letter: i for i, letter in enumerate(letters)}
    neat = {writer: [(s, t) for s, t in words if set(t) <= set(letters)] for writer, words in neat.items()}
    steps = len(lines_of(neat, random.Random(0))) // BATCH
    kind = torch.bfloat16 if args.bfloat16 else torch.float32
    if args.start:
        model.load_state_dict({name: w.float() for name, w in load_file(args.start).items()})
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=1e-3, betas=(0.9, 0.98))
    schedule = recipe.warm_cosine(optimizer, args.epochs * steps)
    average = recipe.Average(model, 0.998)
    done = recipe.load_checkpoint(args.checkpoint, model, optimizer, schedule, average)
    progress = recipe.Progress(args.epochs, steps)
    for epoch in range(done, args.epochs):
        choose = random.Random(args.seed * 1000 + epoch)
        lines = sorted(lines_of(neat, choose), key=lambda line: len(line[0]) * choose.uniform(0.9, 1.1))
        batches = [lines[at:at + BATCH] for at in range(0, len(lines) - BATCH + 1, BATCH)]
        choose.shuffle(batches)
        for step, chosen in enumerate(batches[:steps]):
            texts, given, wanted, counts = batch_of(chosen, ids)
            with torch.autocast("cpu", torch.bfloat16, enabled=args.bfloat16):
                outputs = model(texts, given, kind)
            loss = nats(outputs.float(), wanted)[counts].mean()
            recipe.descend(loss, model, optimizer, schedule)
            average.update(model)
            progress.step(epoch, step, loss.item())
        progress.epoch(epoch)
        recipe.save_checkpoint(args.checkpoint, epoch + 1, model, optimizer, schedule, average)
    model.load_state_dict(average.weights)


# ---- what it writes ------------------------------------------------------------------------------


@torch.no_grad()
def write(model, texts, bias, most):
    """Points [T, 3] of each text [U] of ids, as the server draws them, and whether it ended by itself."""
    padded = nn.utils.rnn.pad_sequence(texts, True, -1)
    rows, state = model.begin(padded)
    point, second = torch.tensor([0.0, 0.0, 1.0]).expand(len(texts), 3), None
    last = torch.tensor([len(text) - 1 for text in texts])
    points, ended = [], torch.zeros(len(texts), dtype=torch.long)
    weights = model.recurrent_weights()
    for t in range(most):
        phi, state = model.half_step(model.point_gates(point), weights, rows, state)
        ended[(phi.argmax(1) == last) & (point[:, 2] > 0) & (ended == 0)] = t
        if (ended > 0).all():
            break
        g, second = model.second(torch.cat([point, state[2], state[0]], -1)[:, None], second)
        y = model.mixture(torch.cat([state[0], g[:, 0]], -1))
        ends, *parts = y.split([1] + [MIXTURES] * 6, -1)
        k = torch.distributions.Categorical(logits=parts[0] * (1 + bias)).sample()[:, None]
        mean_x, mean_y, log_x, log_y, rho = (part.gather(1, k)[:, 0] for part in parts[1:])
        rho, x, z = rho.tanh(), torch.randn(len(texts)), torch.randn(len(texts))
        point = torch.stack([mean_x + (log_x - bias).exp() * x,
                             mean_y + (log_y - bias).exp() * (rho * x + (1 - rho * rho).sqrt() * z),
                             torch.bernoulli(ends[:, 0].sigmoid())], -1)
        points.append(point)
    path = torch.stack(points, 1)
    return [(path[i, :ended[i] or len(points)].numpy(), bool(ended[i])) for i in range(len(texts))]


def strokes_of(points):
    xy = numpy.cumsum(points[:, :2], 0) * ink.SPACING
    ends = numpy.flatnonzero(points[:, 2] > 0) + 1
    return [part.tolist() for part in numpy.split(xy, ends) if len(part)]


def evaluate(model, samples, letters):
    judge, labels = reader()
    held = [(s, t) for s, t, writer in samples if ink.is_held(writer) and set(t) <= set(letters) and len(t) > 2]
    choose = random.Random(9)
    words = choose.sample(held, min(WRITTEN, len(held)))
    real, total = sum(errors_of(judge, labels, words)), sum(len(t) for _, t in words)
    print(f"held-out writers: ink reads {100 * real / total:.2f} % of the characters wrong ({len(words)} words)")
    ids = {letter: i for i, letter in enumerate(letters)}
    torch.manual_seed(9)
    for bias in (0.0, 0.7, BIAS):
        drawn = write(model, [torch.tensor([ids[c] for c in t] + [0]) for _, t in words], bias, 900)
        wrong = sum(errors_of(judge, labels, [(strokes_of(p), t) for (p, _), (_, t) in zip(drawn, words)]))
        print(f"written with bias {bias}: {100 * wrong / total:.2f} % wrong; "
              f"{100 * sum(e for _, e in drawn) / len(drawn):.1f} % end by themselves")


def config(letters):
    n = len(letters)
    return {
        "task": "handwriting-generation",
        "description": "Writes a text by hand.",
        "license": "CC-BY-4.0",
        "training_data": "UNIPEN train_r01_v07 (Zenodo 1195803, CC BY 4.0; the CD of 1999: research only)",
        "network": {"encoder": [{"type": "one_hot", "num_classes": n}], "decoder": [
            {"type": "identity", "size": 3, "name": "point"},
            {"type": "previous", "size": n, "inputs": "window", "name": "read"},
            {"type": "concat", "inputs": ["point", "read"]},
            {"type": "lstm", "prefix": "first", "input_size": 3 + n, "hidden_size": HIDDEN, "name": "h"},
            {"type": "gaussian_attention", "prefix": "window", "query_size": HIDDEN, "memory_size": n,
             "num_gaussians": GAUSSIANS, "name": "window"},
            {"type": "concat", "inputs": ["point", "window", "h"]},
            {"type": "lstm", "prefix": "second", "input_size": 3 + n + HIDDEN, "hidden_size": HIDDEN, "name": "g"},
            {"type": "concat", "inputs": ["h", "g"]},
            {"type": "linear", "prefix": "mixture", "in_features": 2 * HIDDEN, "out_features": 1 + 6 * MIXTURES}]},
        "tokenizer": {"type": "characters", "vocabulary": letters, "eos_token": "</s>"},
        "handwriting": {"points_per_character": 60, "bias": BIAS, "line_height": round(100 / ink.SPACING, 1)},
    }


def main():
    args = recipe.arguments(__doc__, "unipen_words.npz", epochs=60, flags=("bfloat16",), start="")
    samples, out = ink.read_words(args.data), recipe.folder(args, __file__)
    if args.evaluate:
        letters = json.loads((out / "config.json").read_text())["tokenizer"]["vocabulary"]
        model = recipe.load_bundle(Model(len(letters)), out)
    else:
        neat = neat_writers([sample for sample in samples if not ink.is_held(sample[2])])
        letters = letters_of(neat)
        print(f"{len(neat)} neat writers, {sum(map(len, neat.values()))} words, {len(letters)} characters", flush=True)
        model = Model(len(letters))
        train(model, neat, letters, args)
        ids, cases = {letter: i for i, letter in enumerate(letters)}, []
        for steps, text in sorted(lines_of(neat, random.Random(1)), key=lambda line: len(line[0]))[20:60:20]:
            given = [[0.0, 0.0, 1.0]] + [[round(float(v), 5) for v in row] for row in steps[:-1]]
            cases.append((text, [ids[c] for c in text] + [0], given))
        recipe.write_bundle(out, model.eval(), config(letters), cases)
    evaluate(model.eval(), samples, letters)


if __name__ == "__main__":
    main()
