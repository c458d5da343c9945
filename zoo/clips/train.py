"""clips: says what moves in an animation, and how: "a star moves left then grows".

Data: none. Clips of 16 grey frames of 24 x 24 pixels are drawn here: a dark thing (7 shapes, 10 digits) on light
ground, a little turned, with noise, which does one of 12 motions, or one and then another.

Held out: 17 of the 204 pairs of a thing and a motion (WITHHELD) are in no training clip, though each thing and each
motion is. --evaluate prints the share of sentences that are the one right sentence: of 5,000 fresh clips with known
pairs, and of 5,000 with at least one withheld pair. Those are drawn at any place and size, in training both are
rounded to a quarter of a pixel, so that each picture of a thing is made once.

In training each frame's memory also answers, by a linear layer that the bundle does not have, which thing it shows and
which motion: so it learns of sixteen frames where a sentence names the thing once.

frame -> linear 256, ReLU -> linear 128, ReLU -> BiLSTM 128 = memory;
words 32 -> LSTM 96 -> attention -> LSTM 160 -> attention -> linear
"""

import math
import pathlib
import sys

import numpy
import torch
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import captions
import recipe
from captions import THINGS

SIZE, FRAMES = 24, 16
MEAN, SCALE = 0.5, 0.3
BEFORE, SIZES, DROPOUT, RATE, BATCH, STEPS = 256, (SIZE * SIZE, 128, 128, 32, 96, 160), 0.1, 2e-3, 128, 500
MOTIONS = ["moves left", "moves right", "moves up", "moves down", "circles clockwise", "circles counterclockwise",
           "swings", "bounces", "grows", "shrinks", "blinks", "stands still"]
WITHHELD = {(thing, MOTIONS[(5 * i + 2) % len(MOTIONS)]) for i, thing in enumerate(THINGS)}
WORDS = ["<s>", "</s>", "a", "an", "then", *THINGS, "moves", "left", "right", "up", "down", "circles", "clockwise",
         "counterclockwise", "swings", "bounces", "grows", "shrinks", "blinks", "stands", "still"]
EARLY = 6  # frames that a motion has at least
SMALL, LARGE, STEP = 4.0, 8.5, 0.25  # radii, and how finely the pictures of training are rounded
WINDOW = 2 * math.ceil(LARGE) + 2
TURNS = numpy.array([-0.1, -0.05, 0.0, 0.05, 0.1])




def move(random, motion, n):
    """n steps of a motion, from frame to frame: way to the right and downwards, factor of the radius, and whether
    the thing is seen after it; [n, 4]."""
    steps = numpy.zeros((n, 4))
    steps[:, 2:] = 1
    to_and_fro = motion in ("swings", "bounces")
    turns = random.uniform(1.5, max(1.7, n / 5)) if to_and_fro else random.uniform(0.8, max(0.9, n / 7))
    angle = 2 * math.pi * (turns * numpy.arange(n + 1) / n + random.random())
    if motion.startswith("moves"):
        way = random.uniform(0.65, 1.2) if n < 12 else random.uniform(0.4, 0.75)
        x, y = [(-1, 0), (1, 0), (0, -1), (0, 1)][MOTIONS.index(motion)]
        aside = random.uniform(-0.15, 0.15)
        steps[:, :2] = way * (x + aside * y), way * (y + aside * x)
    elif motion.startswith("circles"):
        radius, side = random.uniform(2.5, 4.5), -1 if "counter" in motion else 1
        steps[:, 0] = radius * numpy.diff(numpy.cos(side * angle))
        steps[:, 1] = radius * numpy.diff(numpy.sin(side * angle))
    elif motion == "swings":
        steps[:, 0] = random.uniform(2.5, 5) * numpy.diff(numpy.sin(angle))
    elif motion == "bounces":
        steps[:, 1] = random.uniform(-9, -5) * numpy.diff(abs(numpy.sin(angle / 2)))
    elif motion == "grows":
        steps[:, 2] = random.uniform(1.35, 1.7) ** (1 / n)
    elif motion == "shrinks":
        steps[:, 2] = random.uniform(1.35, 1.7) ** (-1 / n)
    elif motion == "blinks":
        long = random.integers(1, 3)
        steps[:, 3] = (numpy.arange(n) + random.integers(2 * long)) // long % 2
    return steps


def compose(random, withheld):
    """A thing, where it is in each frame (x, y, radius, seen), [FRAMES, 4], and the sentence. Of a withheld clip one
    pair at least is withheld. A way that does not fit into the picture is drawn again."""
    while True:
        thing = random.integers(7) if random.random() < 0.5 else random.integers(7, len(THINGS))
        name = THINGS[thing]
        cut = random.integers(EARLY, FRAMES - EARLY + 1) if random.random() < 0.6 else FRAMES
        motions = [MOTIONS[i] for i in random.permutation(len(MOTIONS))[:1 + (cut < FRAMES)]]
        if any((name, motion) in WITHHELD for motion in motions) != withheld:
            continue
        steps = numpy.concatenate([move(random, m, n) for m, n in zip(motions, (cut, FRAMES - cut))])
        at = numpy.concatenate([steps[:, :2].cumsum(0), steps[:, 2:3].cumprod(0), steps[:, 3:]], 1)
        at[:, 2] *= random.uniform(5, 7)
        if at[:, 2].min() < SMALL or at[:, 2].max() > LARGE - STEP:
            continue
        low = (at[:, 2:3] - at[:, :2]).max(0)
        high = (SIZE - at[:, 2:3] - at[:, :2]).min(0)
        if (low > high).any():
            continue
        at[:, :2] += random.uniform(low, high)
        return thing, at, f"{'an' if name == 'eight' else 'a'} {name} {' then '.join(motions)}"


class Stamps:
    """Each thing at each radius, place within a pixel and turn, [WINDOW, WINDOW], drawn once."""

    def __init__(self):
        self.radii = numpy.arange(SMALL, LARGE + STEP / 2, STEP)
        self.parts = round(1 / STEP)
        grid = numpy.meshgrid(range(len(THINGS)), self.radii, range(self.parts), range(self.parts), TURNS, indexing="ij")
        thing, radius, x, y, turn = [a.ravel() for a in grid]
        self.shape = grid[0].shape
        self.covers = numpy.concatenate([
            captions.cover(thing[i:i + 4000], WINDOW // 2 + x[i:i + 4000] * STEP, WINDOW // 2 + y[i:i + 4000] * STEP,
                           radius[i:i + 4000], turn[i:i + 4000], WINDOW).astype(numpy.float32)
            for i in range(0, len(thing), 4000)])

    def draw(self, random, things, at):
        """Covers [n, FRAMES, SIZE, SIZE] of things [n] at [n, FRAMES, 4]."""
        n = len(things)
        turn = numpy.broadcast_to(random.integers(len(TURNS), size=n)[:, None], (n, FRAMES))
        places = numpy.round(at[:, :, :2] / STEP).astype(int)
        radius = numpy.round((at[:, :, 2] - SMALL) / STEP).astype(int)
        part, whole = places % self.parts, places // self.parts
        index = numpy.ravel_multi_index((numpy.broadcast_to(things[:, None], (n, FRAMES)), radius, part[:, :, 0],
                                         part[:, :, 1], turn), self.shape)
        out = numpy.zeros((n * FRAMES, SIZE + 2 * WINDOW, SIZE + 2 * WINDOW), dtype=numpy.float32)
        corner = (whole + WINDOW // 2).reshape(-1, 2)
        reach = numpy.arange(WINDOW)
        out[numpy.arange(n * FRAMES)[:, None, None], (corner[:, 1, None] + reach)[:, :, None],
            (corner[:, 0, None] + reach)[:, None, :]] = self.covers[index.ravel()]
        return out[:, WINDOW:-WINDOW, WINDOW:-WINDOW].reshape(n, FRAMES, SIZE, SIZE)


def exactly(random, things, at):
    """The same at any place, radius and turn."""
    n = len(things)
    turn = random.uniform(TURNS[0], TURNS[-1], n)
    flat = at.reshape(-1, 4)
    return captions.cover(things.repeat(FRAMES), flat[:, 0], flat[:, 1], flat[:, 2], turn.repeat(FRAMES),
                          SIZE).reshape(n, FRAMES, SIZE, SIZE)


def draw(random, n, withheld=False, stamps=None):
    """n clips [n, FRAMES, SIZE, SIZE] of bytes, and their sentences."""
    things, at, texts = zip(*(compose(random, withheld) for _ in range(n)))
    things, at = numpy.array(things), numpy.stack(at)
    covers = stamps.draw(random, things, at) if stamps else exactly(random, things, at)
    covers *= at[:, :, 3, None, None]
    ground = random.choice([1.0, 0.0], (n, 1, 1, 1), p=[0.4, 0.6]).astype(numpy.float32)
    ground = numpy.maximum(ground, random.uniform(0.75, 1, (n, 1, 1, 1)).astype(numpy.float32))
    dark = random.uniform(0, 0.3, (n, 1, 1, 1)).astype(numpy.float32)
    clips = ground + covers * (dark - ground)
    noise = random.choice([0, 0, 0.01, 0.02], (n, 1, 1, 1)).astype(numpy.float32)
    clips += noise * random.standard_normal(clips.shape, dtype=numpy.float32)
    return numpy.round(255 * numpy.clip(clips, 0, 1)).astype(numpy.uint8), list(texts)


def rows(clips):
    """What the network reads, [N, FRAMES, SIZE * SIZE]. As the server does it (docs/bundle-format.md, "picture")."""
    scaled = (clips.reshape(len(clips), FRAMES, -1) / numpy.float32(255) - MEAN) / SCALE
    return torch.tensor(scaled, dtype=torch.float32)


def drawer(seed, withheld=False, stamps=None):
    random = numpy.random.default_rng(seed)

    def some(n):
        clips, texts = draw(random, n, withheld, stamps)
        return rows(clips), texts
    return some


class Model(captions.Model):
    """With the layer that is there in training only."""

    def __init__(self):
        super().__init__(WORDS, SIZES, DROPOUT, before=BEFORE)
        self.aid = torch.nn.Linear(2 * SIZES[2], len(THINGS) + len(MOTIONS))

    def aid_loss(self, memory, texts):
        """Frames before the earliest cut show the first motion, frames after the latest cut the last one."""
        told = [text.split(" ", 2) for text in texts]
        thing = torch.tensor([THINGS.index(name) for _, name, _ in told])
        motions = [rest.split(" then ") for _, _, rest in told]
        ends = torch.tensor([[MOTIONS.index(m[0]), MOTIONS.index(m[-1])] for m in motions])
        said = self.aid(memory).float()
        things = said[:, :, :len(THINGS)].flatten(0, 1)
        sure = torch.cat([said[:, :EARLY, len(THINGS):], said[:, -EARLY:, len(THINGS):]], 1).flatten(0, 1)
        return (functional.cross_entropy(things, thing.repeat_interleave(FRAMES))
                + functional.cross_entropy(sure, ends.repeat_interleave(EARLY, 1).flatten()))


def config(model):
    return {
        "task": "image-to-text",
        "description": "Says what moves in an animation, a shape or a digit, and how.",
        "license": "Apache-2.0",
        "training_data": "animations drawn by the recipe",
        "precision": "float32",
        "network": model.network(),
        "features": {"type": "picture", "width": SIZE, "height": SIZE, "channels": 1, "frames": FRAMES, "fit": "pad",
                     "mean": MEAN, "scale": SCALE},
        "tokenizer": {"type": "words", "vocabulary": WORDS, "bos_token": "<s>", "eos_token": "</s>"},
        "translation": {"num_beams": 1, "max_tokens": 20},
    }


def golden():
    """Animations as requests have them, the rows that they become, and the words that the decoder has read. Values
    below 8 bits go into a GIF, so they are rounded first; noise makes a large file."""
    random, cases = numpy.random.default_rng(7), []
    for n in (0, 5):
        thing, at, text = compose(random, False)
        clip = 240 - 200 * exactly(random, numpy.array([thing]), at[None]) * at[:, 3, None, None]
        clip = clip.astype(numpy.uint8) // 2 * 2
        ids = [WORDS.index(word) for word in text.split()]
        cases.append((captions.gif(clip[0]), [[round(float(x), 6) for x in row] for row in rows(clip)[0]],
                      [captions.BOS, *ids[:n]]))
    return cases


def main():
    args = recipe.arguments(__doc__, "none", epochs=20, flags=("bfloat16",))
    out = recipe.folder(args, __file__)
    model = Model()
    if args.evaluate:
        del model.aid
        recipe.load_bundle(model, out)
    else:
        captions.train(model, drawer(args.seed, stamps=Stamps()), args, RATE, BATCH, STEPS,
                       captions.watch(drawer), model.aid_loss)
        del model.aid
        recipe.write_bundle(out, model.eval(), config(model), golden())
    captions.evaluate(model, "clips", drawer)


if __name__ == "__main__":
    main()
