"""folk: dance tunes of Ireland and Scotland, one voice, in the form AABB.

Data: --data is a folder with .abc files below it: three collections, all in the public domain, as music21's
corpus has them (oneills1850, airdsAirs, ryansMammoth; `pip install music21`, then music21/corpus/ in
site-packages).

tunes.py reads them and moves each to the tonic D. Kept are tunes of two to four parts of equal length (4, 8 or 16
bars), each repeated; if a tune has no repeat sign at all, each part of 8 bars is repeated, as players do. Tunes
that share a title or a run of 24 intervals lie in the same part of the split.

  python3 zoo/folk/train.py --data MINE --any --out MINE
                      of your own tunes, whatever their form
  python3 zoo/folk/train.py --data DATA --evaluate --tunes 100
                      also draws so many tunes through build/carousel (--program) and judges them with music21

--bfloat16 multiplies in bfloat16 (autocast), which is twice as fast on processors that can.

words -> embedding 64 -> 2 x LSTM 256 -> linear.
"""

import collections
import json
import math
import pathlib
import random
import sys

import torch
from torch import nn
from torch.nn import functional

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import recipe
import seq2seq
import tunes as notation

HIDDEN, BATCH, RATE, DROPOUT = 256, 16, 4e-3, 0.4
BOS, EOS = 0, 1
IGNORED = -100
HELD_OUT, LARGEST = 0.08, 4  # the share of groups that is held out, twice; groups of more tunes are for training
LONGEST = 500                # words of a tune


class Model(nn.Module):
    def __init__(self, words):
        super().__init__()
        self.embedding = nn.Embedding(words, 64)
        self.lstm = nn.LSTM(64, HIDDEN, 2, batch_first=True, dropout=DROPOUT)
        self.dropout = nn.Dropout(DROPOUT)
        self.output = nn.Linear(HIDDEN, words)

    def forward(self, ids):
        return self.output(self.dropout(self.lstm(self.embedding(ids))[0]))


# ---- data ----

def form(tune):
    """Put the tune into the form of dances; False if it has another form."""
    lengths = tune.lengths()
    if not any(repeated for _, repeated in tune.parts) and set(lengths) == {8}:
        tune.parts = [(bars, True) for bars, _ in tune.parts]
    return 2 <= len(lengths) <= 4 and set(lengths) in ({4}, {8}, {16}) and all(repeated for _, repeated in tune.parts)


def groups_of(tunes):
    """Lists of tunes; those that share a name are in the same one."""
    parent = list(range(len(tunes)))

    def root(i):
        while parent[i] != i:
            i = parent[i]
        return i
    seen = {}
    for i, tune in enumerate(tunes):
        for name in tune.names():
            if name in seen:
                parent[root(i)] = root(seen[name])
            else:
                seen[name] = i
    groups = collections.defaultdict(list)
    for i, tune in enumerate(tunes):
        groups[root(i)].append(tune)
    return list(groups.values())


def read(folder, every):
    """The parts of the split, {name: tunes}."""
    tunes, reasons = notation.read_folder(folder)
    print(f"{len(tunes)} tunes read, {sum(reasons.values())} not: "
          + ", ".join(f"{n} for {reason}" for reason, n in sorted(reasons.items(), key=lambda r: -r[1])))
    kept = [tune for tune in tunes if (every or form(tune)) and len(tune.words()) <= LONGEST]
    once = list({" ".join(tune.words()): tune for tune in kept}.values())
    groups = groups_of(once)
    random.Random(7).shuffle(groups)
    small = [group for group in groups if len(group) <= LARGEST]
    n = max(1, int(HELD_OUT * len(groups)))
    held = {"valid": small[:n], "test": small[n:2 * n]}
    ids = {id(group) for part in held.values() for group in part}
    parts = {"train": [group for group in groups if id(group) not in ids], **held}
    parts = {name: [tune for group in part for tune in group] for name, part in parts.items()}
    print(f"{len(tunes) - len(kept)} of another form, {len(kept) - len(once)} twice; "
          f"{ {name: len(part) for name, part in parts.items()} } in {len(groups)} groups")
    return parts


def vocabulary(parts):
    used = {word for part in parts.values() for tune in part for word in tune.words()}
    used |= {f"b{i}" for i in range(notation.NUMBERS)}  # the server wants all, used or not
    pitches = sorted(int(word) for word in used if word.isdigit())
    rest = sorted(used - set(map(str, pitches)), key=lambda word: (word[0], len(word), word))
    return ["<s>", "</s>", *rest, *map(str, range(pitches[0], pitches[-1] + 1))]


def pad(rows):
    """Inputs and targets [N, longest]; targets beyond the end of a row are ignored."""
    longest = max(map(len, rows)) - 1
    x = torch.full((len(rows), longest), EOS)
    y = torch.full((len(rows), longest), IGNORED)
    for i, row in enumerate(rows):
        x[i, :len(row) - 1] = torch.tensor(row[:-1])
        y[i, :len(row) - 1] = torch.tensor(row[1:])
    return x, y


def loss_of(model, rows, reduction="mean"):
    x, y = pad(rows)
    return functional.cross_entropy(model(x).flatten(0, 1), y.flatten(), ignore_index=IGNORED, reduction=reduction)


@torch.no_grad()
def nats(model, rows):
    """The sum over all rows: how unlikely their words, and their ends, are."""
    model.eval()
    return sum(loss_of(model, rows[at:at + BATCH], "sum").item() for at in range(0, len(rows), BATCH))


# ---- training ----

def config(words, own):
    return {
        "task": "music-generation",
        "description": "Writes tunes of one voice" + ("." if own else ": jigs, reels, hornpipes and other dances, in the form AABB."),
        **({} if own else {"license": "CC0-1.0", "training_data": "O'Neill's Music of Ireland (1903), Aird's Airs (1782-1801), "
                                                                  "Ryan's Mammoth Collection (1883), public domain, as music21's "
                                                                  "corpus has them"}),
        "network": [
            {"type": "embedding", "prefix": "embedding", "num_embeddings": len(words), "embedding_dim": 64},
            {"type": "lstm", "prefix": "lstm", "input_size": 64, "hidden_size": HIDDEN, "num_layers": 2},
            {"type": "dropout", "p": DROPOUT},
            {"type": "linear", "prefix": "output", "in_features": HIDDEN, "out_features": len(words)},
        ],
        "tokenizer": {"type": "words", "vocabulary": words, "bos_token": "<s>", "eos_token": "</s>"},
        "music": {"notation": "staff", "voices": 1, "steps_per_quarter": notation.TICKS // 4, "tonic": notation.TONIC,
                  "tempo": 180, "max_steps": 64 * notation.TICKS, "temperature": 0.65, "top_p": 0.9},
    }


def train(model, rows, args):
    steps = -(-len(rows["train"]) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.05, betas=(0.9, 0.99))
    average = recipe.Average(model, 0.998)
    plan = seq2seq.Plan(optimizer, RATE, args.epochs * steps, args.minutes)
    epoch = recipe.load_checkpoint(args.checkpoint, model, optimizer, average, plan)
    progress = recipe.Progress(args.epochs, steps, every=60)
    words = sum(len(row) - 1 for row in rows["valid"])
    while plan.far < 1 - 1e-9:  # sums of shares
        model.train()
        by_length = sorted(rows["train"], key=lambda row: len(row) + random.uniform(0, 20))
        batches = [by_length[at:at + BATCH] for at in range(0, len(by_length), BATCH)]
        for step, batch in enumerate(random.sample(batches, len(batches))):
            with torch.autocast("cpu", torch.bfloat16, enabled=args.bfloat16):
                loss = loss_of(model, batch)
            recipe.descend(loss, model, optimizer, plan)
            average.update(model)
            progress.step(epoch, step, loss.item())
            if plan.far >= 1 - 1e-9:
                break
        fast = {name: value.clone() for name, value in model.state_dict().items()}
        model.load_state_dict(average.weights)
        progress.epoch(epoch, f"valid {nats(model, rows['valid']) / words:.4f} nats a word")
        model.load_state_dict(fast)
        epoch += 1
        recipe.save_checkpoint(args.checkpoint, epoch, model, optimizer, average, plan)
    model.load_state_dict(average.weights)


def main():
    args = recipe.arguments(__doc__, "data/music", epochs=30, flags=["any", "bfloat16"], tunes=0, program="build/carousel")
    parts, out = read(args.data, args.any), recipe.folder(args, __file__)
    words = json.loads((out / "config.json").read_text())["tokenizer"]["vocabulary"] if args.evaluate else vocabulary(parts)
    number = {word: i for i, word in enumerate(words)}
    rows = {name: [[BOS, *(number[word] for word in tune.words()), EOS] for tune in part] for name, part in parts.items()}
    model = Model(len(words))
    if args.evaluate:
        recipe.load_bundle(model, out)
    else:
        print(f"{len(words)} words, {sum(map(len, rows['train']))} to train on", flush=True)
        train(model, rows, args)
        beginnings = [rows["train"][0][:6], rows["valid"][0][:40], rows["test"][0][:-1]]
        cases = [(" ".join(words[i] for i in row[1:]), row) for row in beginnings]
        recipe.write_bundle(out, model, config(words, args.any), cases)
    for name in ("valid", "test"):
        total, count = nats(model, rows[name]), sum(len(row) - 1 for row in rows[name])
        notes = sum(len(tune.notes()) for tune in parts[name])
        print(f"{'held out' if name == 'test' else name}: {total / count:.4f} nats a word, {total / count / math.log(2):.4f} bits a word, "
              f"{total / notes / math.log(2):.4f} bits a note; {len(rows[name])} tunes of {count} words and {notes} notes")
    if args.evaluate and int(args.tunes):
        import judge
        judge.judge(args.program, out, parts["train"], parts["test"], int(args.tunes))


if __name__ == "__main__":
    main()
