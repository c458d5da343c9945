"""shakespeare: a character model that writes plays.

Data: text/tinyshakespeare.txt, 1.1 MB of Shakespeare's plays (public-domain text),
https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt
The first 90 % of the characters train the model, the last 10 % are held out and touched only by --evaluate.

characters -> embedding 64 -> 2 x LSTM 512 -> linear. The text is cut into 64 streams that are read side by
side, 64 characters at a time; the state is carried from one piece to the next but gradients are not. On
glibc, training is up to twice as fast when freed memory is kept:
    export MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=8000000000
"""

import math
import pathlib
import random
import sys

import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import recipe

STREAMS, PIECE, CLIP, RATE, DROPOUT = 64, 64, 1.0, 3e-3, 0.4


class Model(nn.Module):
    def __init__(self, characters):
        super().__init__()
        self.embedding = nn.Embedding(characters, 64)
        self.lstm = nn.LSTM(64, 512, 2, batch_first=True, dropout=DROPOUT)
        self.dropout = nn.Dropout(DROPOUT)
        self.output = nn.Linear(512, characters)

    def forward(self, ids, state=None, with_state=False):
        y, state = self.lstm(self.embedding(ids), state)
        y = self.output(self.dropout(y))
        return (y, state) if with_state else y


def read(path):
    """The text, and where its held-out part begins."""
    text = pathlib.Path(path).read_text(encoding="utf-8")
    return text, int(0.9 * len(text))


def config(vocabulary):
    n = len(vocabulary)
    return {
        "task": "text-generation",
        "description": "Writes in the manner of Shakespeare's plays, a character at a time.",
        "license": "CC0-1.0",
        "training_data": "tinyshakespeare (karpathy/char-rnn), first 90 %, public-domain text",
        "precision": "int8",
        "network": [
            {"type": "embedding", "prefix": "embedding", "num_embeddings": n, "embedding_dim": 64},
            {"type": "lstm", "prefix": "lstm", "input_size": 64, "hidden_size": 512, "num_layers": 2},
            {"type": "dropout", "p": DROPOUT},
            {"type": "linear", "prefix": "output", "in_features": 512, "out_features": n},
        ],
        "tokenizer": {"type": "characters", "vocabulary": vocabulary},
        "generation": {"temperature": 0.8, "top_p": 0.95, "max_tokens": 300},
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
    length = (len(ids) - 1) // STREAMS
    steps = math.ceil(length / PIECE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.02, betas=(0.9, 0.99))
    schedule = recipe.warm_cosine(optimizer, args.epochs * steps, warm=200)
    done = recipe.load_checkpoint(args.checkpoint, model, optimizer, schedule)
    progress = recipe.Progress(args.epochs, steps)
    for epoch in range(done, args.epochs):
        start = random.randrange(len(ids))  # another cut every epoch
        rolled = torch.cat([ids[start:], ids[:start]])
        x = rolled[:STREAMS * length].view(STREAMS, length)
        y = rolled[1:STREAMS * length + 1].view(STREAMS, length)
        state = None
        for step in range(steps):
            piece = slice(step * PIECE, (step + 1) * PIECE)
            logits, state = model(x[:, piece], state, with_state=True)
            state = tuple(s.detach() for s in state)
            loss = functional.cross_entropy(logits.flatten(0, 1), y[:, piece].flatten())
            recipe.descend(loss, model, optimizer, schedule, CLIP)
            progress.step(epoch, step, loss.item())
        progress.epoch(epoch)
        recipe.save_checkpoint(args.checkpoint, epoch + 1, model, optimizer, schedule)


def main():
    args = recipe.arguments(__doc__, "data/text/tinyshakespeare.txt", epochs=8)
    text, cut = read(args.data)
    vocabulary = sorted(set(text))
    ids = torch.tensor([vocabulary.index(ch) for ch in text])
    model, out = Model(len(vocabulary)), recipe.folder(args, __file__)
    if args.evaluate:
        recipe.load_bundle(model, out)
    else:
        train(model, ids[:cut], args)
        prompts = ["To be, or not to be", "ROMEO:\n",
                   "First Citizen:\nBefore we proceed any further, hear me speak."]
        cases = [(p, [vocabulary.index(ch) for ch in p]) for p in prompts]
        recipe.write_bundle(out, model, config(vocabulary), cases)
    loss = loss_of(model, ids[cut:])
    print(f"held out: {loss:.4f} nats a character, perplexity {math.exp(loss):.3f}, on {len(ids) - cut} characters")


if __name__ == "__main__":
    main()
