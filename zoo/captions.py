"""What the recipes of captions share: drawing on a batch of pictures, the network, its training and its figures.

    picture -> rows of numbers -> (linear, ReLU ->) linear, ReLU -> BiLSTM or LSTM = memory
    words   -> embedding -> LSTM = h1; attention(h1) = c1; [c1, h1] -> LSTM = h2; attention(h2) = c2
            -> linear [c2, h2] -> tanh -> linear

Pictures are drawn while the training needs them, so no picture comes twice. A scene is told by one sentence
only, so a caption is true and complete if it is that sentence.
"""

import base64
import math
import struct

import numpy
import torch
from torch import nn
from torch.nn import functional

import recipe
from seq2seq import BOS, EOS, Attention, Plan

SHAPES = ["circle", "square", "triangle", "diamond", "star", "cross", "ring"]
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
THINGS = SHAPES + DIGITS

# 5 x 7 pixels, one string a row
SPRITES = """
01110 00100 01110 11110 00010 11111 00110 11111 01110 01110
10001 01100 10001 00001 00110 10000 01000 00001 10001 10001
10011 00100 00001 00001 01010 11110 10000 00010 10001 10001
10101 00100 00110 01110 10010 00001 11110 00010 01110 01111
11001 00100 01000 00001 11111 00001 10001 00100 10001 00001
10001 00100 10000 00001 00010 10001 10001 00100 10001 00010
01110 01110 11111 11110 00010 01110 01110 00100 01110 01100
""".split()
SPRITES = numpy.array([[[int(x) for x in SPRITES[row * 10 + d]] for row in range(7)] for d in range(10)])


def distance(thing, x, y, radius):
    """How far (x, y) lies outside of a shape, in pixels and below 0 inside; arrays of one form."""
    name = THINGS[thing]
    far = numpy.hypot(x, y)
    if name == "circle":
        return far - radius
    if name == "square":
        return numpy.maximum(abs(x), abs(y)) - 0.88 * radius
    if name == "triangle":
        return numpy.maximum((abs(x) * 1.8 - y - 0.85 * radius) / 2.06, y - 0.85 * radius)
    if name == "diamond":
        return (abs(x) * 1.25 + abs(y) - radius) / 1.6
    if name == "star":
        angle = numpy.arctan2(x, -y)
        fold = abs((angle + 0.2 * math.pi) % (0.4 * math.pi) - 0.2 * math.pi)
        # the edge from the tip (radius, angle 0) to the notch (0.42 radius, angle 36 degrees)
        across, along = far * numpy.sin(fold), far * numpy.cos(fold)
        nx, ny = 0.42 * math.sin(0.2 * math.pi), 0.42 * math.cos(0.2 * math.pi) - 1
        size = math.hypot(nx, ny)
        return ((along - radius) * nx - across * ny) / size
    if name == "cross":
        a, b = abs(x), abs(y)
        arm = 0.32 * radius
        return numpy.minimum(numpy.maximum(a - arm, b - radius), numpy.maximum(b - arm, a - radius))
    if name == "ring":
        return abs(far - 0.76 * radius) - 0.24 * radius
    raise ValueError(name)


def cover(things, x, y, radius, turn, size):
    """What share of each pixel each thing covers: [N, size, size]. x, y: its centre; all arguments are [N]."""
    at = numpy.arange(size) + 0.5
    dx = (at[None, None, :] - x[:, None, None]) + numpy.zeros((1, size, 1))
    dy = (at[None, :, None] - y[:, None, None]) + numpy.zeros((1, 1, size))
    cos, sin = numpy.cos(turn)[:, None, None], numpy.sin(turn)[:, None, None]
    dx, dy = cos * dx + sin * dy, cos * dy - sin * dx
    out = numpy.zeros((len(things), size, size))
    for k in range(len(THINGS)):
        of = numpy.nonzero(things == k)[0]
        if not len(of):
            continue
        r = radius[of][:, None, None]
        if k < len(SHAPES):
            out[of] = numpy.clip(0.5 - distance(k, dx[of], dy[of], r), 0, 1)
            continue
        # a sprite of 5 x 7 squares of 2/7 radius, with edges that are a pixel wide
        bits = numpy.pad(SPRITES[k - len(SHAPES)], 1)
        u, v = dx[of] / (r * 2 / 7) + 3.5, dy[of] / (r * 2 / 7) + 4.5
        soft = 3.5 / r
        total = 0
        for du in (-0.33, 0, 0.33):
            for dv in (-0.33, 0, 0.33):
                i = numpy.clip(numpy.floor(v + 2 * dv * soft), 0, 8).astype(int)
                j = numpy.clip(numpy.floor(u + 2 * du * soft), 0, 6).astype(int)
                total = total + bits[i, j]
        out[of] = total / 9
    return out


def png(picture):
    """A picture [height, width, 3] of bytes as a data URL."""
    return "data:image/png;base64," + base64.b64encode(recipe.png(picture)).decode()


def lzw(values, bits):
    """The values, all below 1 << bits, packed as in a GIF."""
    clear = 1 << bits
    out, filled, known, width, run = 0, 0, {}, bits + 1, ()

    def put(code):
        nonlocal out, filled
        out |= code << filled
        filled += width

    put(clear)
    for value in values:
        longer = (*run, value)
        if len(longer) == 1 or longer in known:
            run = longer
            continue
        put(known.get(run, run[0]))
        known[longer] = clear + 2 + len(known)
        if known[longer] == 1 << width and width < 12:
            width += 1
        if len(known) == 4000 - clear:  # the table holds 4096
            put(clear)
            known, width = {}, bits + 1
        run = (value,)
    put(known.get(run, run[0]))
    put(clear + 1)
    return out.to_bytes((filled + 7) // 8, "little")


def gif(frames):
    """Grey frames [n, height, width] of bytes, rounded to even numbers, as the data URL of an animated GIF."""
    _, height, width = frames.shape
    file = b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF6, 0, 0)
    file += bytes(2 * level for level in range(128) for _ in range(3))
    for frame in frames:
        data = lzw((frame.reshape(-1) // 2).tolist(), 7)
        file += b"\x21\xf9\x04\0\x0a\0\0\0," + struct.pack("<HHHHBB", 0, 0, width, height, 0, 7)
        file += b"".join(bytes([len(part)]) + part for part in (data[i:i + 255] for i in range(0, len(data), 255))) + b"\0"
    return "data:image/gif;base64," + base64.b64encode(file + b";").decode()


class Model(nn.Module):
    """sizes: of a row, of what it becomes first, of the encoder (a direction), of an embedded word, of both LSTMs
    of the decoder. before: the size of one linear layer more, in front of the others."""

    def __init__(self, words, sizes, dropout, layers=1, both_ways=True, before=None):
        super().__init__()
        inputs, P, H, E, D1, D2 = sizes
        M = 2 * H if both_ways else H
        self.sizes, self.words = sizes, words
        if before:
            self.before = nn.Linear(inputs, before)
        self.look = nn.Linear(before or inputs, P)
        self.encoder = nn.LSTM(P, H, num_layers=layers, bidirectional=both_ways, batch_first=True)
        self.target = nn.Embedding(len(words), E)
        self.decoder1 = nn.LSTM(E, D1, batch_first=True)
        self.attention1 = Attention(D1, M)
        self.decoder2 = nn.LSTM(M + D1, D2, batch_first=True)
        self.attention2 = Attention(D2, M)
        self.mix = nn.Linear(M + D2, D2)
        self.out = nn.Linear(D2, len(words))
        self.dropout = nn.Dropout(dropout)

    def encode(self, rows):
        if hasattr(self, "before"):
            rows = torch.relu(self.before(rows))
        return self.dropout(self.encoder(torch.relu(self.look(rows)))[0])

    def decode(self, target, memory, states=(None, None)):
        h, first = self.decoder1(self.dropout(self.target(target)), states[0])
        h, second = self.decoder2(torch.cat([self.attention1(h, memory), h], 2), states[1])
        mixed = torch.tanh(self.mix(torch.cat([self.attention2(h, memory), h], 2)))
        return self.out(self.dropout(mixed)), (first, second)

    def forward(self, rows, target):
        return self.decode(target, self.encode(rows))[0]

    def network(self):
        """As config.json says it."""
        inputs, P, H, E, D1, D2 = self.sizes
        M, n = self.attention1.weight.shape[1], len(self.words)
        more = {"num_layers": self.encoder.num_layers, "bidirectional": self.encoder.bidirectional}

        def linear(prefix, size, outputs):
            return {"type": "linear", "prefix": prefix, "in_features": size, "out_features": outputs}

        def lstm(prefix, size, hidden, **more):
            return {"type": "lstm", "prefix": prefix, "input_size": size, "hidden_size": hidden, **more}

        def attention(prefix, query, name):
            return {"type": "attention", "prefix": prefix, "score": "general", "scaled": True,
                    "query_size": query, "memory_size": M, "name": name}

        first = self.look.in_features
        before = [linear("before", inputs, first), {"type": "relu"}] if hasattr(self, "before") else []
        return {
            "encoder": [*before, linear("look", first, P), {"type": "relu"}, lstm("encoder", P, H, **more)],
            "decoder": [
                {"type": "embedding", "prefix": "target", "num_embeddings": n, "embedding_dim": E},
                lstm("decoder1", E, D1, name="h1"), attention("attention1", D1, "c1"),
                {"type": "concat", "inputs": ["c1", "h1"]},
                lstm("decoder2", M + D1, D2, name="h2"), attention("attention2", D2, "c2"),
                {"type": "concat", "inputs": ["c2", "h2"]},
                linear("mix", M + D2, D2), {"type": "tanh"}, linear("out", D2, n),
            ],
        }


def encode_texts(words, texts):
    """What the decoder reads and what it is to say, [N, T]; -100 behind the end and for a word that a text marks
    by an asterisk: it is read, but nothing is learned from it."""
    index = {word: i for i, word in enumerate(words)}
    ids = [[index[w.lstrip("*")] for w in text.split()] for text in texts]
    longest = max(map(len, ids)) + 1
    read = torch.full((len(ids), longest), EOS)
    said = torch.full((len(ids), longest), -100)
    for i, row in enumerate(ids):
        read[i, :len(row) + 1] = torch.tensor([BOS, *row])
        said[i, :len(row) + 1] = torch.tensor([*row, EOS])
        said[i, [k for k, w in enumerate(texts[i].split()) if w[0] == "*"]] = -100
    return read, said


@torch.no_grad()
def write(model, rows, most=20):
    """The captions that the model writes, word by word the likeliest."""
    memory, states = model.encode(rows), (None, None)
    token, out = torch.full((len(rows), 1), BOS), []
    for _ in range(most):
        logits, states = model.decode(token, memory, states)
        token = logits.argmax(2)
        out.append(token)
    texts = []
    for ids in torch.cat(out, 1).tolist():
        ids = ids[:ids.index(EOS)] if EOS in ids else ids
        texts.append(" ".join(model.words[i] for i in ids))
    return texts


def train(model, draw, args, rate, batch, steps, note, also=None):
    """draw(n): rows [n, S, inputs] and n texts. An epoch has `steps` steps; the model ends as the moving average
    of its weights. also(memory, texts): a further loss."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    average = recipe.Average(model, 0.998)
    plan = Plan(optimizer, rate, args.epochs * steps, args.minutes)
    progress = recipe.Progress(args.epochs, steps, every=30)
    epoch = recipe.load_checkpoint(args.checkpoint, model, optimizer, average, plan)
    while plan.far < 1:
        model.train()
        for step in range(steps):
            rows, texts = draw(batch)
            read, said = encode_texts(model.words, texts)
            with recipe.autocast(args):
                memory = model.encode(rows)
                logits = model.decode(read, memory)[0].float()
                more = also(memory, texts) if also else 0
            loss = functional.cross_entropy(logits.flatten(0, 1), said.flatten(), label_smoothing=0.02) + more
            recipe.descend(loss, model, optimizer, plan)
            average.update(model)
            progress.step(epoch, step, loss.item())
            if plan.far >= 1:
                break
        epoch += 1
        recipe.save_checkpoint(args.checkpoint, epoch, model, optimizer, average, plan)
        kept = {k: v.clone() for k, v in model.state_dict().items()}
        model.load_state_dict(average.weights)
        progress.epoch(epoch - 1, f"{100 * plan.far:.0f} % of the way, {note(model.eval())}")
        if plan.far < 1:
            model.load_state_dict(kept)
    return model


def judge(model, name, draw, n, show=0):
    """Print the share of exactly right sentences of n drawn pictures, and some wrong ones."""
    right, wrong = 0, []
    for _ in range(n // 250):
        rows, texts = draw(250)
        for found, text in zip(write(model, rows), texts):
            right += found == text
            if found != text:
                wrong.append((text, found))
    for text, found in wrong[:show]:
        print(f"  {text} | written: {found}")
    print(f"{name}: {right / n:.4f} ({right} of {n})", flush=True)
    return right / n


def watch(drawer):
    """What train() notes of an average: right sentences of 500 pictures of drawer(seed, withheld) each."""
    def note(average):
        found = [judge(average, name, drawer(seed, withheld), 500)
                 for name, seed, withheld in (("known", 900, False), ("withheld", 901, True))]
        return f"right: known pairs {100 * found[0]:.1f} %, withheld {100 * found[1]:.1f} %"
    return note


def evaluate(model, what, drawer, n=5000, show=5):
    """Print the held-out figures of drawer(seed, withheld), which draws `what`."""
    model.eval()
    judge(model, f"fresh {what}, known pairs: right sentences", drawer(1000, False), n, show)
    judge(model, "with a withheld pair: right sentences", drawer(1001, True), n, show)
