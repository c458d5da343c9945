"""What the recipes share: arguments, seeds, progress, checkpoints, and writing a bundle.

A bundle is a folder with config.json, model.safetensors and golden.json (docs/bundle-format.md). Weights are
stored as float16 to keep the zoo small. The golden outputs, and every figure that a model card quotes, are
computed from the rounded weights, because those are what the server runs.
"""

import argparse
import collections
import hashlib
import json
import math
import pathlib
import random
import struct
import time
import zlib

import numpy
import torch
from safetensors.torch import load_file, save_file


def arguments(doc, data, epochs, seed=1, flags=(), **more):
    """Parse the command line that all recipes have in common; doc is the head comment of the recipe. `flags` are
    switches of its own, `more` further files that it reads: name=default."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=data, help="the training data (default %(default)s)")
    for name, default in more.items():
        parser.add_argument(f"--{name}", default=default, help="a further file, as said above")
    for name in flags:
        parser.add_argument(f"--{name}", action="store_true", help="as said above")
    parser.add_argument("--out", help="folder that receives the bundle (default: the recipe's own folder)")
    parser.add_argument("--checkpoint",
                        help="file to save to after every epoch and to resume from (default: none)")
    parser.add_argument("--epochs", type=int, default=epochs, help="default %(default)s")
    parser.add_argument("--minutes", type=float,
                        help="end after so many minutes instead, if the recipe can (encoder-decoders)")
    parser.add_argument("--seed", type=int, default=seed, help="default %(default)s")
    parser.add_argument("--threads", type=int, default=2, help="default %(default)s")
    parser.add_argument("--evaluate", action="store_true",
                        help="do not train: print the figures of the bundle")
    args = parser.parse_args()
    random.seed(args.seed)
    numpy.random.seed(args.seed)
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    return args


def folder(args, recipe_file):
    """The bundle's folder: --out, or where the recipe lies."""
    path = pathlib.Path(args.out) if args.out else pathlib.Path(recipe_file).resolve().parent
    path.mkdir(parents=True, exist_ok=True)
    return path


class Progress:
    """Prints one line every few seconds and one line an epoch, and remembers when it began."""

    def __init__(self, epochs, steps, every=10):
        self.epochs, self.steps, self.every = epochs, steps, every
        self.begin = self.spoke = time.time()
        self.total = self.count = 0

    def step(self, epoch, step, loss):
        self.total, self.count = self.total + loss, self.count + 1
        if time.time() - self.spoke > self.every:
            self.spoke = time.time()
            print(f"  epoch {epoch + 1}/{self.epochs} step {step + 1}/{self.steps} loss {self.mean():.4f}",
                  flush=True)

    def mean(self):
        return self.total / max(self.count, 1)

    def epoch(self, epoch, note=""):
        seconds = time.time() - self.begin
        print(f"epoch {epoch + 1}/{self.epochs}: loss {self.mean():.4f}  {note}  [{seconds:.0f} s]",
              flush=True)
        self.total = self.count = 0


def warm_cosine(optimizer, total, warm=100):
    """Learning rate: up in a line over `warm` steps (a fifth of a short training), then down to nought along a
    cosine."""
    warm = max(1, min(warm, total // 5))

    def factor(step):
        rise = min(1.0, (step + 1) / warm)
        return rise * 0.5 * (1 + math.cos(math.pi * min(1.0, step / total)))
    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def autocast(args):
    """Multiply in bfloat16 within this context if --bfloat16 is given, for recipes that have the flag. A processor with
    AVX512_BF16 or AMX then trains whole sequences through an nn.LSTM in a fraction of the time."""
    return torch.autocast("cpu", torch.bfloat16, enabled=getattr(args, "bfloat16", False))


def descend(loss, model, optimizer, schedule, clip=1.0):
    """One step of training, down the gradient of the loss, which is cut to the norm `clip` (None: as it
    is)."""
    optimizer.zero_grad()
    loss.backward()
    if clip:
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    schedule.step()


def save_checkpoint(path, epoch, *parts):
    """Save everything that has a state_dict(); written beside and renamed, so that it is whole or absent."""
    if path:
        target = pathlib.Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"epoch": epoch, "parts": [p.state_dict() for p in parts]}, f"{target}.new")
        pathlib.Path(f"{target}.new").replace(target)


def load_checkpoint(path, *parts):
    """Restore what save_checkpoint() saved; returns the number of epochs already done."""
    if not path or not pathlib.Path(path).exists():
        return 0
    saved = torch.load(path, weights_only=True)
    for part, state in zip(parts, saved["parts"]):
        part.load_state_dict(state)
    return saved["epoch"]


class Average:
    """Moving average of a model's weights over the last steps; usually a little better than the weights
    themselves."""

    def __init__(self, model, decay=0.999):
        self.decay, self.step = decay, 0
        self.weights = {k: v.detach().clone() for k, v in model.state_dict().items()}

    def update(self, model):
        self.step += 1
        decay = min(self.decay, self.step / (self.step + 10))
        for name, value in model.state_dict().items():
            self.weights[name].lerp_(value.detach(), 1 - decay)

    def state_dict(self):
        return {"step": self.step, "weights": self.weights}

    def load_state_dict(self, state):
        self.step, self.weights = state["step"], state["weights"]


def png(pixels):
    """The file of a picture: an array of bytes, [height, width] of greys or [height, width, 3]."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    height, width = pixels.shape[:2]
    lines = b"".join(b"\0" + row.tobytes() for row in pixels)
    colour = 2 if pixels.ndim == 3 else 0
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b""))


def words(text, lowercase=True):
    """Split like the server's `words` tokenizer (docs/bundle-format.md): runs of ASCII letters, digits,
    apostrophes and everything beyond ASCII are words; any other character that is not white space stands
    alone."""
    out, run = [], ""
    for ch in text:
        if lowercase and "A" <= ch <= "Z":
            ch = ch.lower()
        if ord(ch) >= 0x80 or ch == "'" or ch.isalnum():
            run += ch
            continue
        if run:
            out.append(run)
            run = ""
        if ch not in " \t\n\v\f\r":
            out.append(ch)
    return out + [run] if run else out


def count_words(texts):
    return collections.Counter(word for text in texts for word in text)


def read_vocabulary(path):
    return pathlib.Path(path).read_text(encoding="utf-8").split("\n")[:-1]


def write_vocabulary(path, tokens):
    pathlib.Path(path).write_text("".join(t + "\n" for t in tokens), encoding="utf-8")


def load_bundle(model, path):
    """Put a bundle's weights into the model and make it ready to be asked."""
    model.load_state_dict({k: v.float() for k, v in load_file(pathlib.Path(path) / "model.safetensors").items()})
    return model.eval()


def write_bundle(path, model, config, cases, tolerance=1e-4, dtype=torch.float16, every=False):
    """Write config.json, model.safetensors and golden.json, and leave the rounded weights in the model.

    cases: pairs (input, steps); input is what a request would hold, steps the token ids or feature rows that
    the network is fed for it. The model is called with one sequence [1, T] or [1, T, features] and must give
    the raw output vector after the last step as the last row of its result. For an encoder-decoder a case is
    (input, steps, target), and the model is called with both. every: the outputs of every step are written, for a
    network that answers at every step and reads in both directions."""
    path = pathlib.Path(path)
    weights = {k: v.detach().to(dtype).contiguous() for k, v in model.state_dict().items()}
    save_file(weights, path / "model.safetensors")
    (path / "model.safetensors").chmod(0o644)
    load_bundle(model, path)
    key = "features" if "features" in config or "tokenizer" not in config else "tokens"
    golden = {"tolerance": tolerance, "cases": []}
    for value, steps, *target in cases:
        with torch.no_grad():
            output = model(torch.tensor([steps]), *(torch.tensor([t]) for t in target))
        rows = [[round(y, 6) for y in row] for row in output.reshape(-1, output.shape[-1]).tolist()]
        golden["cases"].append({"input": value, key: steps, **({"target": target[0]} if target else {}),
                                **({"outputs": rows} if every else {"output": rows[-1]})})
    (path / "golden.json").write_text(json.dumps(golden, ensure_ascii=False) + "\n", encoding="utf-8")
    digest = hashlib.sha256((path / "model.safetensors").read_bytes()).hexdigest()
    text = json.dumps({"format_version": 1, "sha256": digest, **config}, indent=2, ensure_ascii=False)
    (path / "config.json").write_text(text + "\n", encoding="utf-8")
    print(f"wrote {path}: {sum(w.numel() for w in weights.values())} weights, "
          f"{(path / 'model.safetensors').stat().st_size / 1e6:.2f} MB")


def batches_of_one_length(sequences, size):
    """Shuffled lists of indices; the sequences of a list have equal lengths, so that nothing needs
    padding."""
    by_length = {}
    for i in random.sample(range(len(sequences)), len(sequences)):
        by_length.setdefault(len(sequences[i]), []).append(i)
    lists = [group[at:at + size] for group in by_length.values() for at in range(0, len(group), size)]
    random.shuffle(lists)
    return lists


def batches_of_nearly_one_length(pairs, size, pool=16):
    """The same for pairs of a source and a target: the sources of a list have equal lengths, the targets nearly
    equal ones, because `pool` lists at a time are sorted by them. So little is computed for padding."""
    by_length = {}
    for i in random.sample(range(len(pairs)), len(pairs)):
        by_length.setdefault(len(pairs[i][0]), []).append(i)
    lists = []
    for group in by_length.values():
        for at in range(0, len(group), pool * size):
            some = sorted(group[at:at + pool * size], key=lambda i: len(pairs[i][1]))
            lists += [some[k:k + size] for k in range(0, len(some), size)]
    random.shuffle(lists)
    return lists


@torch.no_grad()
def predict(model, sequences):
    """The outputs [N, labels] of a classification model for sequences of any lengths."""
    model.eval()
    outputs = [None] * len(sequences)
    for indices in batches_of_one_length(sequences, 256):
        for i, y in zip(indices, model(torch.tensor([sequences[i] for i in indices]))):
            outputs[i] = y
    return torch.stack(outputs)


def print_confusion(predicted, truth, labels):
    """Accuracy, and for each label how many there are and what they were taken for."""
    right = sum(p == t for p, t in zip(predicted, truth))
    print(f"held out: accuracy {right / len(truth):.4f} ({right} of {len(truth)})")
    for k, label in enumerate(labels):
        answers = [labels[p] for p, t in zip(predicted, truth) if t == k]
        wrong = ", ".join(f"{answers.count(a)} {a}" for a in labels if a != label and a in answers)
        print(f"  {label}: {len(answers)}, of them right {answers.count(label)}" + (f", taken for {wrong}" if wrong else ""))
