"""chorales: four-part harmony in the manner of Bach, a note at a time.

Data: music/jsb-chorales-quarter.json, 382 chorales by quarter notes, with its own split (229 train, 76 validate, 77 test),
https://github.com/czhuang/JSB-Chorales-dataset/blob/master/jsb-chorales-quarter.json
The music is in the public domain. The file writes every note an octave higher than it sounds (its sopranos lie
around B5), so 12 semitones are taken off.

A step is a quarter note: its notes from high to low as MIDI numbers, then a full stop. So the soprano comes first,
and a melody can be given while the other voices are drawn. Every epoch transposes every chorale anew.

  python3 zoo/chorales/train.py --data MINE.json --octaves 0 --out MINE
                      of your own music: {"train": [[[notes of a step], ...], ...], "valid": [...], "test": [...]};
                      --octaves says how many octaves each note is moved (default -1)

notes -> embedding 64 -> 2 x LSTM 256 -> linear. Figures are nats a step: the sum over a step's notes and its full stop,
which is the negative log-likelihood that papers quote for this file.
"""

import json
import pathlib
import random
import sys

import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import recipe

HIDDEN, BATCH, RATE, DROPOUT = 256, 16, 4e-3, 0.4
SHIFT = 6  # semitones up or down, at most
BOS, EOS, STOP, FIRST = 0, 1, 2, 3
IGNORED = -100


class Model(nn.Module):
    def __init__(self, tokens):
        super().__init__()
        self.embedding = nn.Embedding(tokens, 64)
        self.lstm = nn.LSTM(64, HIDDEN, 2, batch_first=True, dropout=DROPOUT)
        self.dropout = nn.Dropout(DROPOUT)
        self.output = nn.Linear(HIDDEN, tokens)

    def forward(self, ids):
        return self.output(self.dropout(self.lstm(self.embedding(ids))[0]))


def read(path, octaves):
    """The parts of the file: {name: chorales}, each a list of steps, each a list of notes from high to low."""
    parts = json.loads(pathlib.Path(path).read_text())
    return {name: [[sorted(note + 12 * octaves for note in step)[::-1] for step in chorale] for chorale in chorales]
            for name, chorales in parts.items()}


def encode(chorale, lowest, shift=0):
    """Token ids, with those that begin and end the chorale."""
    ids = [BOS]
    for step in chorale:
        ids += [FIRST + note + shift - lowest for note in step] + [STOP]
    return ids + [EOS]


def text(chorale):
    return " ".join(" ".join([*map(str, step), "."]) for step in chorale)


def pad(rows):
    """Inputs and targets [N, longest]; targets beyond the end of a row are ignored."""
    longest = max(map(len, rows)) - 1
    x = torch.full((len(rows), longest), STOP)
    y = torch.full((len(rows), longest), IGNORED)
    for i, row in enumerate(rows):
        x[i, :len(row) - 1] = torch.tensor(row[:-1])
        y[i, :len(row) - 1] = torch.tensor(row[1:])
    return x, y


def loss_of(model, rows, reduction="mean"):
    x, y = pad(rows)
    return functional.cross_entropy(model(x).flatten(0, 1), y.flatten(), ignore_index=IGNORED, reduction=reduction)


@torch.no_grad()
def nats_a_step(model, chorales, lowest):
    """The token that ends a chorale is no part of a step and does not count."""
    model.eval()
    total = 0.0
    for at in range(0, len(chorales), BATCH):
        rows = [encode(chorale, lowest)[:-1] for chorale in chorales[at:at + BATCH]]
        total += loss_of(model, rows, "sum").item()
    return total / sum(map(len, chorales))


def config(notes, own):
    return {
        "task": "music-generation",
        "description": "Writes four voices a quarter note at a time" + ("." if own else ", in the manner of Bach's chorales."),
        **({} if own else {"license": "CC0-1.0", "training_data": "J. S. Bach's chorales, public domain: JSB-Chorales-dataset "
                                                                  "(czhuang), quarter notes, the train part"}),
        "network": [
            {"type": "embedding", "prefix": "embedding", "num_embeddings": FIRST + len(notes), "embedding_dim": 64},
            {"type": "lstm", "prefix": "lstm", "input_size": 64, "hidden_size": HIDDEN, "num_layers": 2},
            {"type": "dropout", "p": DROPOUT},
            {"type": "linear", "prefix": "output", "in_features": HIDDEN, "out_features": FIRST + len(notes)},
        ],
        "tokenizer": {"type": "words", "vocabulary": ["<s>", "</s>", "."] + [str(note) for note in notes],
                      "bos_token": "<s>", "eos_token": "</s>"},
        "music": {"voices": 4, "steps_per_quarter": 1, "tempo": 80, "temperature": 0.8, "top_p": 0.95},
    }


def train(model, parts, notes, args):
    chorales = parts["train"]
    steps = -(-len(chorales) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.02, betas=(0.9, 0.99))
    schedule = recipe.warm_cosine(optimizer, args.epochs * steps)
    average = recipe.Average(model, 0.995)
    done = recipe.load_checkpoint(args.checkpoint, model, optimizer, schedule, average)
    progress = recipe.Progress(args.epochs, steps)
    for epoch in range(done, args.epochs):
        model.train()
        by_length = sorted(random.sample(chorales, len(chorales)), key=lambda c: len(c) + random.uniform(0, 20))
        batches = [by_length[at:at + BATCH] for at in range(0, len(by_length), BATCH)]
        for step, batch in enumerate(random.sample(batches, len(batches))):
            loss = loss_of(model, [encode(c, notes[0], random.randint(-SHIFT, SHIFT)) for c in batch])
            recipe.descend(loss, model, optimizer, schedule)
            average.update(model)
            progress.step(epoch, step, loss.item())
        note = f"valid {nats_a_step(model, parts['valid'], notes[0]):.4f} nats a step" if epoch % 5 == 4 else ""
        progress.epoch(epoch, note)
        recipe.save_checkpoint(args.checkpoint, epoch + 1, model, optimizer, schedule, average)
    model.load_state_dict(average.weights)


def main():
    args = recipe.arguments(__doc__, "data/music/jsb-chorales-quarter.json", epochs=150, octaves=-1)
    parts, out = read(args.data, int(args.octaves)), recipe.folder(args, __file__)
    if args.evaluate:
        words = json.loads((out / "config.json").read_text())["tokenizer"]["vocabulary"]
        notes = [int(word) for word in words[FIRST:]]
    else:
        heard = [note for part in parts.values() for chorale in part for step in chorale for note in step]
        notes = list(range(max(0, min(heard) - SHIFT), min(127, max(heard) + SHIFT) + 1))
    model = Model(FIRST + len(notes))
    if args.evaluate:
        recipe.load_bundle(model, out)
    else:
        print(f"{ {name: len(part) for name, part in parts.items()} } chorales, notes {notes[0]} to {notes[-1]}")
        train(model, parts, notes, args)
        beginnings = [parts["train"][0][:4], parts["valid"][0][:12], parts["test"][0]]
        cases = [(text(piece), encode(piece, notes[0])[:-1]) for piece in beginnings]
        own = pathlib.Path(args.data).name != "jsb-chorales-quarter.json"
        recipe.write_bundle(out, model, config(notes, own), cases)
    for name in ("valid", "test"):
        print(f"{name}: {nats_a_step(model, parts[name], notes[0]):.4f} nats a step, "
              f"{sum(map(len, parts[name]))} steps of {len(parts[name])} chorales")


if __name__ == "__main__":
    main()
