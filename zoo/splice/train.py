"""splice: where does a gene's text begin and end? EI, IE or N: the middle of a piece of DNA is the end of an exon,
its beginning, or neither.

Data: UCI, Molecular Biology (Splice-junction Gene Sequences), CC BY 4.0, as a CSV without a head: class, name,
60 bases; or a file of your own with a class first and a sequence last in each line (--data). Letters are those of
IUPAC: A, C, G, T (or U), and R, Y, S, W, K, M, B, D, H, V, N for a base that is one of several. A tenth of the
sequences, chosen by the hash of their letters, is held out. --folds trains once for each tenth and prints the
accuracy over all of them, without writing a bundle. --inner chooses between networks without a look at the held-out
tenth: it trains three times on two thirds of the other nine, and prints the accuracy on the third that is left.
--bfloat16 multiplies in bfloat16 while it trains.

letters -> 4 shares -> convolution over 9 letters, 64 channels, ReLU -> BiLSTM 64 -> the step in the middle -> linear. The shares are not learned: A is
1, 0, 0, 0, and R, which is A or G, is 1/2, 0, 1/2, 0.
"""

import csv
import hashlib
import pathlib
import random
import sys

import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import recipe

CODES = {"a": "a", "c": "c", "g": "g", "t": "t", "u": "t", "r": "ag", "y": "ct", "s": "cg", "w": "at", "k": "gt",
         "m": "ac", "b": "cgt", "d": "agt", "h": "act", "v": "acg", "n": "acgt"}
LETTERS = "".join(CODES)
N = LETTERS.index("n")
TENTHS = 10
BATCH, RATE, DROPOUT, DECAY, HIDDEN, NOISE = 32, 2e-3, 0.4, 0.05, 64, 0.05
WIDTH, CHANNELS = 9, 64


class Model(nn.Module):
    def __init__(self, labels):
        super().__init__()
        shares = torch.tensor([[(base in bases) / len(bases) for base in "acgt"] for bases in CODES.values()])
        self.letters = nn.Embedding.from_pretrained(shares)
        self.look = nn.Conv1d(4, CHANNELS, WIDTH, padding="same")
        self.lstm = nn.LSTM(CHANNELS, HIDDEN, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(DROPOUT)
        self.output = nn.Linear(2 * HIDDEN, labels)

    def forward(self, ids):
        seen = torch.relu(self.look(self.letters(ids).transpose(1, 2)).transpose(1, 2))
        y, _ = self.lstm(self.dropout(seen))
        return self.output(self.dropout(y[:, y.shape[1] // 2]))


DESCRIPTION = {
    "description": "Tells whether the middle of a piece of DNA, 60 bases, is the end of an exon (EI), the beginning of "
                   "one (IE) or neither (N).",
    "license": "CC-BY-4.0",
    "training_data": "UCI, Molecular Biology (Splice-junction Gene Sequences), CC BY 4.0, nine tenths",
}


def config(labels, own):
    return {
        "task": "text-classification",
        **({"description": "Tells what the middle of a piece of DNA is."} if own else DESCRIPTION),
        "precision": "int8",
        "network": [
            {"type": "embedding", "prefix": "letters", "num_embeddings": len(LETTERS), "embedding_dim": 4},
            {"type": "conv1d", "prefix": "look", "in_channels": 4, "out_channels": CHANNELS, "kernel_size": WIDTH,
             "padding": "same"},
            {"type": "relu"},
            {"type": "lstm", "prefix": "lstm", "input_size": CHANNELS, "hidden_size": HIDDEN, "bidirectional": True},
            {"type": "pooling", "mode": "middle"},
            {"type": "dropout", "p": DROPOUT},
            {"type": "linear", "prefix": "output", "in_features": 2 * HIDDEN, "out_features": len(labels)},
        ],
        "tokenizer": {"type": "characters", "vocabulary": list(LETTERS), "lowercase": True},
        "labels": labels,
    }


def read(path):
    """Pairs (sequence in small letters, label), each sequence once, and the labels in order."""
    rows = {}
    for line, fields in enumerate(csv.reader(pathlib.Path(path).read_text(encoding="utf-8").splitlines()), 1):
        if not fields:
            continue
        sequence = fields[-1].strip().lower()
        strange = set(sequence) - set(LETTERS)
        if len(fields) < 2 or not sequence or strange:
            what = f"the letters {''.join(sorted(strange))}" if strange else "no sequence"
            sys.exit(f"{path}: line {line} has {what}; expected a class first and a sequence of IUPAC letters last")
        rows.setdefault(sequence, fields[0].strip())
    return list(rows.items()), sorted(set(rows.values()))


def tenth(sequence):
    return int(hashlib.sha256(sequence.encode()).hexdigest(), 16) % TENTHS


def ids_of(sequence):
    return [LETTERS.index(letter) for letter in sequence]


def train(rows, labels, args, checkpoint=None, quiet=False):
    model = Model(len(labels))
    sequences, truth = [ids_of(s) for s, _ in rows], [labels.index(label) for _, label in rows]
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    steps = len(recipe.batches_of_one_length(sequences, BATCH))
    schedule = recipe.warm_cosine(optimizer, args.epochs * steps)
    progress, average = recipe.Progress(args.epochs, steps), recipe.Average(model, 0.99)
    for epoch in range(recipe.load_checkpoint(checkpoint, model, optimizer, schedule, average), args.epochs):
        model.train()
        for step, indices in enumerate(recipe.batches_of_one_length(sequences, BATCH)):
            ids = torch.tensor([sequences[i] for i in indices])
            ids[torch.rand(ids.shape) < NOISE] = N  # be prepared for a base that is not known
            with recipe.autocast(args):
                said = model(ids).float()
            loss = functional.cross_entropy(said, torch.tensor([truth[i] for i in indices]))
            recipe.descend(loss, model, optimizer, schedule)
            average.update(model)
            if not quiet:
                progress.step(epoch, step, loss.item())
        if not quiet:
            progress.epoch(epoch)
        recipe.save_checkpoint(checkpoint, epoch + 1, model, optimizer, schedule, average)
    model.load_state_dict(average.weights)
    return model.eval()


def answers(model, rows, labels):
    """What the model answers and what is right, as indices of labels."""
    return (recipe.predict(model, [ids_of(s) for s, _ in rows]).argmax(1).tolist(),
            [labels.index(label) for _, label in rows])


def cross_validate(rows, labels, args, folds, fold_of):
    predicted, truth = [], []
    for fold in range(folds):
        model = train([row for row in rows if fold_of(row[0]) != fold], labels, args, quiet=True)
        answer, right = answers(model, [row for row in rows if fold_of(row[0]) == fold], labels)
        predicted, truth = predicted + answer, truth + right
        print(f"part {fold}: {sum(a == r for a, r in zip(answer, right))} of {len(right)}", flush=True)
    recipe.print_confusion(predicted, truth, labels)


def main():
    args = recipe.arguments(__doc__, "data/genome/splice.csv", epochs=30, flags=["folds", "inner", "bfloat16"])
    rows, labels = read(args.data)
    if args.folds:
        return cross_validate(rows, labels, args, TENTHS, tenth)
    if args.inner:
        kept = [row for row in rows if tenth(row[0]) != 0]
        return cross_validate(kept, labels, args, 3, lambda sequence: (tenth(sequence) - 1) // 3)
    out = recipe.folder(args, __file__)
    held = [row for row in rows if tenth(row[0]) == 0]
    if not held or len(held) == len(rows):
        sys.exit(f"{args.data}: {len(rows)} sequences are too few; expected some hundred, of which a tenth is held out")
    if args.evaluate:
        model = recipe.load_bundle(Model(len(labels)), out)
    else:
        model = train([row for row in rows if tenth(row[0]) != 0], labels, args, args.checkpoint)
        own = pathlib.Path(args.data).name != "splice.csv"
        examples = [next(s for s, known in held if known == label) for label in labels]
        examples.append(examples[0][:-4] + "nryk")
        recipe.write_bundle(out, model, config(labels, own), [(s.upper(), ids_of(s)) for s in examples])
    recipe.print_confusion(*answers(model, held, labels), labels)


if __name__ == "__main__":
    main()
