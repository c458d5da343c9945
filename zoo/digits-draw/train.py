"""digits-draw: draws handwritten digits, a pixel at a time.

Data: MNIST's 60,000 training digits as 98 bytes of `images` (a bit a pixel, drawn once with the grey value as its
probability) and `labels`, an .npz file made of https://github.com/rasbt/mnist-pngs, CC BY-SA 3.0. The last 2,000 are
held out.

  python3 zoo/digits-draw/train.py --data MINE.npz --out MINE
                      of your own pictures: an .npz with `images` [N, bytes], rows of bits as numpy.packbits gives
                      them, `labels` [N], and `size`, their height and width (28 x 28 if left out)

Each step reads what has been drawn near the pixel (three rows above it, three columns to both sides, and six pixels
to its left), where the pixel lies, and which digit it is to be, and gives the logit of ink:
39 numbers -> LSTM 192 -> linear 1. An epoch here is 100 batches of 64 pictures, after which a checkpoint is saved; one
pass over the data is nine of them. --bfloat16 multiplies in bfloat16 while it trains: half the time on a processor with
AMX, a quarter on one with AVX512_BF16. --start FOLDER begins with the weights of a bundle and a third of the learning rate.

Figures are nats a picture: given its digit; and without it, which is the one that papers quote, as the mean over all
digits of the likelihood. --evaluate also draws 100 of each digit, lets the bundle `digits` read them, and writes the first eight of each to
plots/drawn.png beside the bundle.
"""

import importlib.util
import math
import pathlib
import sys

import numpy
import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import recipe

HIDDEN, BATCH, PART, RATE, HELD = 192, 64, 100, 5e-3, 2000
ABOVE, BESIDE, LEFT = 3, 3, 6
UNCONDITIONAL, DRAWN = 500, 100  # pictures whose likelihood is summed over all labels; drawn of each label


class Model(nn.Module):
    def __init__(self, labels):
        super().__init__()
        self.lstm = nn.LSTM(window_size() + 2 + labels, HIDDEN, batch_first=True)
        self.output = nn.Linear(HIDDEN, 1)

    def forward(self, features, state=None, with_state=False):
        y, state = self.lstm(features, state)
        return (self.output(y), state) if with_state else self.output(y)


def window_size():
    return ABOVE * (2 * BESIDE + 1) + LEFT


def windows(pictures):
    """[N, height, width] of 0 and 1 -> [N, height * width, window]: what is drawn near each pixel before it."""
    height, width = pictures.shape[1:]
    wide = max(BESIDE, LEFT)
    padded = functional.pad(pictures, (wide, wide, ABOVE, 0))
    near = [(dy, dx) for dy in range(ABOVE, 0, -1) for dx in range(-BESIDE, BESIDE + 1)]
    near += [(0, dx) for dx in range(-LEFT, 0)]
    return torch.stack([padded[:, ABOVE - dy:ABOVE - dy + height, wide + dx:wide + dx + width] for dy, dx in near],
                       -1).flatten(1, 2)


def features(pictures, labels, n_labels):
    """All that the network reads of whole pictures [N, height, width]."""
    n, height, width = pictures.shape
    y = torch.arange(height).div(max(height - 1, 1))[:, None].expand(height, width)
    x = torch.arange(width).div(max(width - 1, 1))[None].expand(height, width)
    place = torch.stack([y, x], -1).view(1, -1, 2).expand(n, -1, -1)
    label = functional.one_hot(labels, n_labels).float()[:, None].expand(-1, height * width, -1)
    return torch.cat([windows(pictures), place, label], -1)


def read(path):
    """Pictures [N, height, width] of 0 and 1, and labels."""
    file = numpy.load(path)
    height, width = file["size"] if "size" in file else (28, 28)
    bits = numpy.unpackbits(file["images"], axis=1)[:, :height * width]
    return torch.tensor(bits).view(-1, int(height), int(width)), torch.tensor(file["labels"]).long()


def nats(model, pictures, labels, n_labels):
    """Of each picture, given its label."""
    pictures = pictures.float()
    logits = model(features(pictures, labels, n_labels))[..., 0].float()
    return functional.binary_cross_entropy_with_logits(logits, pictures.flatten(1), reduction="none").sum(1)


def train(model, pictures, labels, n_labels, args):
    if args.start:
        recipe.load_bundle(model, args.start)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE / 3 if args.start else RATE, weight_decay=1e-4, betas=(0.9, 0.99))
    schedule = recipe.warm_cosine(optimizer, args.epochs * PART)
    average = recipe.Average(model)
    done = recipe.load_checkpoint(args.checkpoint, model, optimizer, schedule, average)
    progress = recipe.Progress(args.epochs, PART)
    pixels = pictures[0].numel()
    for epoch in range(done, args.epochs):
        model.train()
        for step in range(PART):
            chosen = torch.randint(len(pictures), (BATCH,))
            with torch.autocast("cpu", torch.bfloat16, enabled=args.bfloat16):
                loss = nats(model, pictures[chosen], labels[chosen], n_labels).mean() / pixels
            recipe.descend(loss, model, optimizer, schedule)
            average.update(model)
            progress.step(epoch, step, loss.item() * pixels)
        progress.epoch(epoch)
        recipe.save_checkpoint(args.checkpoint, epoch + 1, model, optimizer, schedule, average)
    model.load_state_dict(average.weights)


@torch.no_grad()
def draw(model, labels, n_labels, height, width):
    """One picture of each label, as the server draws at temperature 1."""
    model.eval()
    pictures, state = torch.zeros(len(labels), height, width), None
    for y in range(height):
        for x in range(width):
            step = near(pictures, y, x, labels, n_labels)
            logits, state = model(step[:, None], state, with_state=True)
            pictures[:, y, x] = torch.bernoulli(logits[:, 0, 0].sigmoid())
    return pictures


def near(pictures, y, x, labels, n_labels):
    """features() of one pixel."""
    n, height, width = pictures.shape
    wide = max(BESIDE, LEFT)
    padded = functional.pad(pictures, (wide, wide, ABOVE, 0))
    above = padded[:, y:y + ABOVE, wide + x - BESIDE:wide + x + BESIDE + 1].flatten(1)
    left = padded[:, y + ABOVE, wide + x - LEFT:wide + x]
    place = torch.tensor([y / max(height - 1, 1), x / max(width - 1, 1)]).expand(n, 2)
    return torch.cat([above, left, place, functional.one_hot(labels, n_labels).float()], 1)


def read_by_digits(pictures):
    """What the bundle `digits` reads, whose recipe blurs drawn pictures like this."""
    folder = pathlib.Path(__file__).resolve().parent.parent / "digits"
    spec = importlib.util.spec_from_file_location("digits_recipe", folder / "train.py")
    digits = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(digits)
    reader = recipe.load_bundle(digits.Model(), folder)
    kernel = torch.tensor([1.0, 2.0, 1.0])
    blurred = functional.conv2d(pictures[:, None], (kernel[:, None] * kernel / 16)[None, None], padding=1)[:, 0]
    with torch.no_grad():
        return reader((blurred - digits.MEAN) / digits.SCALE).argmax(1)


def write_sheet(path, pictures, columns, scale=2):
    """Pictures [N, height, width] side by side, black on white, as a PNG file."""
    n, height, width = pictures.shape
    sheet = pictures.view(n // columns, columns, height, width).transpose(1, 2).flatten(2).flatten(0, 1)
    grey = (255 - 255 * sheet.repeat_interleave(scale, 0).repeat_interleave(scale, 1)).to(torch.uint8).numpy()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(recipe.png(grey))


@torch.no_grad()
def evaluate(model, pictures, labels, n_labels, own, out):
    model.eval()
    given = torch.cat([nats(model, p, y, n_labels) for p, y in zip(pictures.split(250), labels.split(250))])
    print(f"held out: {given.mean():.3f} nats a picture given its label, {len(given)} pictures "
          f"(standard error {given.std() / math.sqrt(len(given)):.3f})", flush=True)
    some = pictures[:UNCONDITIONAL]
    each = torch.stack([torch.cat([nats(model, p, torch.full((len(p),), k), n_labels) for p in some.split(250)])
                        for k in range(n_labels)])
    alone = math.log(n_labels) - (-each).logsumexp(0)
    read_right = (each.argmin(0) == labels[:UNCONDITIONAL]).float().mean()
    print(f"held out: {alone.mean():.3f} nats without the label, {len(alone)} pictures (given it, these have "
          f"{given[:UNCONDITIONAL].mean():.3f}); the likeliest label is right for {100 * read_right:.1f} %", flush=True)
    if own:
        return
    torch.manual_seed(1)
    asked = torch.arange(n_labels).repeat_interleave(DRAWN)
    drawn = draw(model, asked, n_labels, *pictures.shape[1:])
    right = int((read_by_digits(drawn) == asked).sum())
    real = (read_by_digits(pictures.float()) == labels).float().mean()
    print(f"drawn: {right} of {len(asked)} are read as asked by the bundle digits, which reads {100 * real:.1f} % of the "
          "held-out pictures right")
    first = torch.arange(8)[:, None] + DRAWN * torch.arange(n_labels)
    write_sheet(out / "plots" / "drawn.png", drawn[first.flatten()], n_labels)


def config(n_labels, height, width, own):
    return {
        "task": "image-generation",
        "description": "Draws a handwritten digit, a pixel at a time." if not own else "Draws a picture of a class.",
        **({} if own else {"license": "CC-BY-SA-3.0", "training_data": "MNIST's training digits, binarised (CC BY-SA 3.0), "
                                                                      "all but the last 2,000"}),
        "network": [
            {"type": "lstm", "prefix": "lstm", "input_size": window_size() + 2 + n_labels, "hidden_size": HIDDEN},
            {"type": "linear", "prefix": "output", "in_features": HIDDEN, "out_features": 1},
        ],
        "labels": [str(label) for label in range(n_labels)],
        "drawing": {"height": height, "width": width, "above": ABOVE, "beside": BESIDE, "left": LEFT},
    }


def main():
    args = recipe.arguments(__doc__, "data/digits/mnist_binarized_train.npz", epochs=60, flags=("bfloat16",), start="")
    pictures, labels = read(args.data)
    own = pathlib.Path(args.data).name != "mnist_binarized_train.npz"
    held = min(HELD, len(pictures) // 10)
    n_labels, (height, width) = int(labels.max()) + 1, pictures.shape[1:]
    model, out = Model(n_labels), recipe.folder(args, __file__)
    if args.evaluate:
        recipe.load_bundle(model, out)
    else:
        print(f"{len(pictures) - held} pictures of {height} x {width}, {n_labels} labels; {held} held out")
        train(model, pictures[:-held], labels[:-held], n_labels, args)
        cases = []
        for i, rows in ((0, 1), (1, 2)):
            beginning = pictures[i:i + 1].float()
            steps = features(beginning, labels[i:i + 1], n_labels)[0, :rows * width]
            cases.append(({"prompt": str(int(labels[i])), "pixels": pictures[i, :rows].tolist()},
                          [[round(float(v), 6) for v in step] for step in steps]))
        recipe.write_bundle(out, model, config(n_labels, height, width, own), cases)
    evaluate(model, pictures[-held:], labels[-held:], n_labels, own, out)


if __name__ == "__main__":
    main()
