"""scenes: says what is in a picture: "a large red circle above a small blue seven".

Data: none. Pictures of 48 x 48 pixels are drawn here: one or two things (7 shapes, 10 digits) in 7 colours and 2
sizes, on a background of any other colour, a little turned, with noise. A sentence names everything. Of two
things it names the larger first; if they are of one size, the one that is further left or further up.

In training a quarter of the things have a grey or a hue between those that have names, and nothing is learned from
the word for their colour: so the network learns that the form of a thing does not depend on its colour.

Held out: 17 of the 119 pairs of a colour and a thing (WITHHELD) are in no training picture, though each colour and
each thing is. --evaluate prints the share of sentences that are true and complete, which is the one right sentence
and no other: of 5,000 fresh pictures with known pairs, and of 5,000 with at least one withheld pair.

--start FOLDER begins with the weights of a bundle and a third of the learning rate.

64 patches of 6 x 6 pixels and where they lie -> linear 64, ReLU -> BiLSTM, 2 layers of 96 = memory;
words 32 -> LSTM 96 -> attention -> LSTM 192 -> attention -> linear
"""

import colorsys
import pathlib
import sys

import numpy
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import captions
import recipe
from captions import THINGS

SIZE, PATCH = 48, 6
MEAN, SCALE = 0.5, 0.3
SIZES, DROPOUT, RATE, BATCH, STEPS = (PATCH * PATCH * 3 + 2, 64, 96, 32, 96, 192), 0.1, 3e-3, 64, 250
# hue (degrees), saturation and value, each from and to
COLOURS = {"red": (-8, 6, .75, 1, .65, 1), "orange": (26, 40, .8, 1, .85, 1), "yellow": (52, 62, .7, 1, .85, 1),
           "green": (95, 150, .6, 1, .35, 1), "blue": (205, 242, .6, 1, .55, 1), "purple": (270, 302, .5, 1, .35, .8),
           "pink": (322, 352, .2, .55, .92, 1)}
NAMES = list(COLOURS)
# hues that have no name, with some distance from those that have; the first is grey
UNNAMED, SHARE = [None, (12, 20), (68, 89), (156, 199), (248, 264), (308, 316)], 0.25
WITHHELD = {("red", "star"), ("orange", "ring"), ("yellow", "square"), ("green", "circle"), ("blue", "triangle"),
            ("purple", "cross"), ("pink", "diamond")} | {
            (NAMES[(3 * d + 1) % 7], captions.DIGITS[d]) for d in range(10)}
WORDS = ["<s>", "</s>", "a", "large", "small", *NAMES, *THINGS, "left", "right", "of", "above", "below", "in", "on",
         "at", "the", "middle", "top", "bottom"]


def colour(random, name):
    h0, h1, s0, s1, v0, v1 = COLOURS[name]
    return colorsys.hsv_to_rgb((random.uniform(h0, h1) / 360) % 1, random.uniform(s0, s1), random.uniform(v0, v1))


def colour_without_name(random):
    hue = UNNAMED[random.integers(len(UNNAMED))]
    if not hue:
        return (random.uniform(0, 1),) * 3
    return colorsys.hsv_to_rgb(random.uniform(*hue) / 360, random.uniform(0.5, 1), random.uniform(0.4, 1))


def background(random, colours):
    """A colour that differs from those of the things."""
    while True:
        kind = random.random()
        if kind < 0.35:
            found = numpy.ones(3)
        elif kind < 0.5:
            found = numpy.full(3, random.uniform(0, 0.1))
        else:
            found = numpy.clip(random.uniform(0, 1) + random.uniform(-0.07, 0.07, 3), 0, 1)
        if all(numpy.linalg.norm(found - c) > 0.28 for c in colours):
            return found


def compose(random, withheld):
    """A scene: things [(colour, thing, x, y, radius)] and its sentence. Of a withheld one, a pair at least."""
    while True:
        two = random.random() < 0.75
        things = []
        for _ in range(1 + two):
            large = random.random() < 0.5
            thing = random.integers(7) if random.random() < 0.55 else 7 + random.integers(10)
            things.append((NAMES[random.integers(7)], THINGS[thing], large))
        if any((c, t) in WITHHELD for c, t, _ in things) == withheld:
            break
    radius = [random.uniform(8.5, 11.5) if large else random.uniform(4.5, 6) for _, _, large in things]
    said = [f"a {'large' if large else 'small'} {c} {t}" for c, t, large in things]
    if not two:
        r = radius[0]
        reach = SIZE / 2 - r - 0.5
        place = random.integers(5)
        along, off = random.uniform(0.65, 1) * reach, random.uniform(-0.3, 0.3) * reach
        x, y = [(off * 0.8, random.uniform(-0.24, 0.24) * reach), (-along, off), (along, off), (off, -along), (off, along)][place]
        text = said[0] + [" in the middle", " on the left", " on the right", " at the top", " at the bottom"][place]
        return [(*things[0][:2], SIZE / 2 + x, SIZE / 2 + y, r)], text
    # along one axis they lie side by side, on the other they differ by less than half as much
    a, b = radius
    gap = random.uniform(1.5, max(1.6, SIZE - 2 * (a + b) - 1))
    apart = a + b + gap
    start = random.uniform(a, SIZE - a - b - b - gap) if SIZE - a - 2 * b - gap > a else a
    first = start
    second = first + apart
    middle = random.uniform(max(a, b) + 0.5, SIZE - max(a, b) - 0.5)
    shift = random.uniform(-0.45, 0.45) * apart
    lows = [middle, min(max(middle + shift, b + 0.5), SIZE - b - 0.5)]
    upright = random.random() < 0.5
    places = [(first, lows[0]), (second, lows[1])]
    if upright:
        places = [(y, x) for x, y in places]
    relation = ["above", "below"] if upright else ["left of", "right of"]
    if things[1][2] and not things[0][2]:
        text = f"{said[1]} {relation[1]} {said[0]}"
    else:
        text = f"{said[0]} {relation[0]} {said[1]}"
    return [(*t[:2], *p, r) for t, p, r in zip(things, places, radius)], text


def patches(pictures):
    """What the network reads, [N, 64, 110]: pictures [N, 48, 48, 3] from 0 to 1, patch by patch, and where each
    patch lies, from -1 to 1. As the server does it (docs/bundle-format.md, "picture")."""
    n, side = len(pictures), SIZE // PATCH
    rows = ((pictures - MEAN) / SCALE).reshape(n, side, PATCH, side, PATCH, 3).transpose(0, 1, 3, 2, 4, 5)
    at = (2 * numpy.arange(side) + 1) / side - 1
    where = numpy.stack(numpy.broadcast_arrays(at[None, :], at[:, None]), 2)
    where = numpy.broadcast_to(where, (n, side, side, 2))
    rows = numpy.concatenate([rows.reshape(n, side, side, -1), where], 3)
    return torch.tensor(rows.reshape(n, side * side, -1), dtype=torch.float32)


def draw(random, n, withheld=False, unnamed=0.0):
    """n pictures [n, 48, 48, 3], rounded to bytes as in a file, and their sentences. unnamed: the share of things
    in a colour without a name; an asterisk then marks the word in its place."""
    scenes = [compose(random, withheld) for _ in range(n)]
    pictures, of, place, paint = numpy.empty((n, SIZE, SIZE, 3)), [], [], []
    for i, (things, text) in enumerate(scenes):
        colours = [colour(random, t[0]) for t in things]
        for k, (name, thing, *_) in enumerate(things):
            if random.random() < unnamed and text.count(f" {name} {thing}") == 1:
                colours[k] = colour_without_name(random)
                text = text.replace(f" {name} {thing}", f" *{name} {thing}", 1)
        scenes[i] = things, text
        pictures[i] = background(random, colours)
        for thing, c in zip(things, colours):
            of.append((i, THINGS.index(thing[1])))
            place.append(thing[2:])
            paint.append(c)
    of, place, paint = numpy.array(of), numpy.array(place), numpy.array(paint)
    covers = captions.cover(of[:, 1], place[:, 0], place[:, 1], place[:, 2], random.normal(0, 0.1, len(of)), SIZE)
    for (i, _), c, share in zip(of, paint, covers):
        pictures[i] += share[:, :, None] * (c - pictures[i])
    noise = random.choice([0, 0, 0.01, 0.03], (n, 1, 1, 1))
    pictures += noise * random.standard_normal(pictures.shape)
    return numpy.round(255 * numpy.clip(pictures, 0, 1)).astype(numpy.uint8), [text for _, text in scenes]


def drawer(seed, withheld=False, unnamed=0.0):
    random = numpy.random.default_rng(seed)

    def some(n):
        pictures, texts = draw(random, n, withheld, unnamed)
        return patches(pictures / 255.0), texts
    return some


def config(model):
    return {
        "task": "image-to-text",
        "description": "Says what is in a simple picture: coloured shapes and digits, their sizes and where they lie.",
        "license": "Apache-2.0",
        "training_data": "pictures drawn by the recipe",
        "precision": "float32",
        "network": model.network(),
        "features": {"type": "picture", "width": SIZE, "height": SIZE, "patch": PATCH, "channels": 3,
                     "coordinates": True, "fit": "pad", "mean": MEAN, "scale": SCALE},
        "tokenizer": {"type": "words", "vocabulary": WORDS, "bos_token": "<s>", "eos_token": "</s>"},
        "translation": {"num_beams": 1, "max_tokens": 20},
    }


def golden():
    """Pictures as requests have them, the rows that they become, and the words that the decoder has read."""
    pictures, texts = draw(numpy.random.default_rng(7), 3)
    rows = patches(pictures / 255.0)
    ids = [[WORDS.index(word) for word in text.split()] for text in texts]
    return [(captions.png(picture), [[round(float(x), 6) for x in row] for row in rows[i]],
             [captions.BOS, *ids[i][:n]]) for i, (picture, n) in enumerate(zip(pictures, (0, 3, 30)))]


def main():
    args = recipe.arguments(__doc__, "none", epochs=24, start="")
    out = recipe.folder(args, __file__)
    model = captions.Model(WORDS, SIZES, DROPOUT, layers=2)
    if args.evaluate:
        recipe.load_bundle(model, out)
    else:
        if args.start:
            recipe.load_bundle(model, args.start)
        captions.train(model, drawer(args.seed, unnamed=SHARE), args, RATE / 3 if args.start else RATE, BATCH, STEPS,
                       captions.watch(drawer))
        recipe.write_bundle(out, model.eval(), config(model), golden())
    captions.evaluate(model, "pictures", drawer)


if __name__ == "__main__":
    main()
