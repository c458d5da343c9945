#!/usr/bin/env python3
"""Makes the small bundles of the HTTP and command-line tests: random weights, all of a few kilobytes.

    python3 tests/http/bundles/make.py

Needs nothing but Python: the LSTM below is written from PyTorch's equations in plain loops over doubles, and
so its golden vectors are one more opinion on what the server computes.
"""

import json
import math
import pathlib
import random
import struct

HERE = pathlib.Path(__file__).parent


def matrix(rng, rows, columns, spread):
    return [[single(rng.uniform(-spread, spread)) for _ in range(columns)] for _ in range(rows)]


def single(x):
    """x as float32 holds it."""
    return struct.unpack("<f", struct.pack("<f", x))[0]


def flat(value):
    return [x for row in value for x in flat(row)] if isinstance(value, list) else [value]


def shape(value):
    return [len(value), *shape(value[0])] if isinstance(value, list) else []


def lstm_weights(rng, prefix, inputs, hidden, suffixes=("",), spread=0.9):
    tensors = {}
    for suffix in suffixes:
        tensors[f"{prefix}.weight_ih_l0{suffix}"] = matrix(rng, 4 * hidden, inputs, spread)
        tensors[f"{prefix}.weight_hh_l0{suffix}"] = matrix(rng, 4 * hidden, hidden, spread)
        tensors[f"{prefix}.bias_ih_l0{suffix}"] = matrix(rng, 1, 4 * hidden, spread)[0]
        tensors[f"{prefix}.bias_hh_l0{suffix}"] = matrix(rng, 1, 4 * hidden, spread)[0]
    return tensors


def affine(weight, bias, x):
    return [b + sum(w * v for w, v in zip(row, x)) for row, b in zip(weight, bias)]


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def lstm(tensors, prefix, steps, suffix=""):
    """The hidden vector after each step; gates in the order i, f, g, o."""
    part = [tensors[f"{prefix}.{name}_l0{suffix}"] for name in ("weight_ih", "weight_hh", "bias_ih",
                                                                "bias_hh")]
    n = len(part[2]) // 4
    h, c, out = [0.0] * n, [0.0] * n, []
    for x in reversed(steps) if suffix else steps:
        gates = [a + b for a, b in zip(affine(part[0], part[2], x), affine(part[1], part[3], h))]
        for k in range(n):
            c[k] = sigmoid(gates[n + k]) * c[k] + sigmoid(gates[k]) * math.tanh(gates[2 * n + k])
            h[k] = sigmoid(gates[3 * n + k]) * math.tanh(c[k])
        out.append(list(h))
    return out[::-1] if suffix else out


def write(name, config, tensors, cases):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    header, data = {}, b""
    for key, value in tensors.items():
        numbers = flat(value)
        block = struct.pack(f"<{len(numbers)}f", *numbers)
        header[key] = {"dtype": "F32", "shape": shape(value),
                       "data_offsets": [len(data), len(data) + len(block)]}
        data += block
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    config = {"format_version": 1, "license": "Apache-2.0", "training_data": "none: random weights", **config}
    (folder / "config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n",
                                        encoding="utf-8")
    for case in cases:
        case["output"] = [round(x, 7) for x in case["output"]]
    (folder / "golden.json").write_text(json.dumps({"tolerance": 1e-5, "cases": cases}) + "\n")


def generation(name, seed, vocabulary, tokenizer, texts, hidden=16, favour=None):
    """A one-hot LSTM with a linear output over the vocabulary; favour: a token to be likelier than the
    others."""
    rng = random.Random(seed)
    n = len(vocabulary)
    tensors = lstm_weights(rng, "lstm", n, hidden)
    tensors |= {"head.weight": matrix(rng, n, hidden, 2.0), "head.bias": matrix(rng, 1, n, 0.5)[0]}
    if favour is not None:
        tensors["head.bias"][favour] = 1.0
    cases = []
    for text, tokens in texts:
        steps = [[float(i == token) for i in range(n)] for token in tokens]
        last = lstm(tensors, "lstm", steps)[-1]
        cases.append({"input": text, "tokens": tokens,
                      "output": affine(tensors["head.weight"], tensors["head.bias"], last)})
    write(name, {"task": "text-generation", "description": "A small random writer for the tests.",
                 "network": [{"type": "one_hot", "num_classes": n},
                             {"type": "lstm", "prefix": "lstm", "input_size": n, "hidden_size": hidden},
                             {"type": "linear", "prefix": "head", "in_features": hidden, "out_features": n}],
                 "tokenizer": tokenizer}, tensors, cases)


def characters():
    vocabulary = ["\n", " ", *"abcdefghijklmnopqrstuvwxyz", *".,!?", "é", "ß", "→", "😀"]
    texts = ["ab", "hello, world!", "é→😀", "z"]
    generation("tiny-characters", 1, vocabulary, {"type": "characters", "vocabulary": vocabulary},
               [(text, [vocabulary.index(ch) for ch in text]) for text in texts])


def raw_bytes():
    generation("tiny-bytes", 2, range(256), {"type": "bytes", "accepts_token_ids": True},
               [(text, list(text.encode())) for text in ("ab", "é€", "0")], hidden=8)


def words():
    vocabulary = ["<s>", "</s>", "the", "cat", "dog", "sat", "ran", "on", "mat", ".", ","]
    texts = ["the cat", "the dog ran .", ""]
    generation("tiny-words", 3, vocabulary,
               {"type": "words", "vocabulary": vocabulary, "bos_token": "<s>", "eos_token": "</s>",
                "lowercase": True},
               [(text, [0] + [vocabulary.index(word) for word in text.split()]) for text in texts], favour=1)


def labels():
    """Text classification: embedding, both directions, the largest of each unit over time."""
    rng = random.Random(4)
    vocabulary = ["<unk>", "good", "bad", "film", "a", "not", "very", "."]
    tensors = {"embedding.weight": matrix(rng, len(vocabulary), 6, 1.0)}
    tensors |= lstm_weights(rng, "lstm", 6, 8, ("", "_reverse"))
    tensors |= {"head.weight": matrix(rng, 3, 16, 1.5), "head.bias": matrix(rng, 1, 3, 0.5)[0]}
    cases = []
    for text in ("good", "a very bad film .", "what a film"):
        tokens = [vocabulary.index(w) if w in vocabulary else 0 for w in text.split()]
        steps = [tensors["embedding.weight"][t] for t in tokens]
        rows = [a + b for a, b in zip(lstm(tensors, "lstm", steps), lstm(tensors, "lstm", steps, "_reverse"))]
        pooled = [max(column) for column in zip(*rows)]
        cases.append({"input": text, "tokens": tokens,
                      "output": affine(tensors["head.weight"], tensors["head.bias"], pooled)})
    write("tiny-labels", {
        "task": "text-classification", "description": "A small random judge for the tests.",
        "network": [{"type": "embedding", "prefix": "embedding", "num_embeddings": len(vocabulary),
                     "embedding_dim": 6},
                    {"type": "lstm", "prefix": "lstm", "input_size": 6, "hidden_size": 8,
                     "bidirectional": True},
                    {"type": "pooling", "mode": "max"},
                    {"type": "linear", "prefix": "head", "in_features": 16, "out_features": 3}],
        "tokenizer": {"type": "words", "vocabulary": vocabulary, "unk_token": "<unk>", "lowercase": True},
        "labels": ["positive", "neutral", "negative"]}, tensors, cases)


def gestures():
    """Sequence classification: rows of three features, the mean over time."""
    rng = random.Random(5)
    mean, scale = [1.0, 0.0, -2.0], [2.0, 1.0, 0.5]
    tensors = lstm_weights(rng, "rnn", 3, 8)
    tensors |= {"fc.weight": matrix(rng, 4, 8, 1.5), "fc.bias": matrix(rng, 1, 4, 0.5)[0]}
    cases = []
    for rows in ([[1, 0, -2]], [[0.5, 1, -2], [2.5, -1, -1.5], [3, 0.25, -3]]):
        features = [[(x - m) / s for x, m, s in zip(row, mean, scale)] for row in rows]
        out = lstm(tensors, "rnn", features)
        pooled = [sum(column) / len(column) for column in zip(*out)]
        cases.append({"input": rows, "features": features,
                      "output": affine(tensors["fc.weight"], tensors["fc.bias"], pooled)})
    write("tiny-gestures", {
        "task": "sequence-classification", "description": "A small random watcher for the tests.",
        "network": [{"type": "lstm", "prefix": "rnn", "input_size": 3, "hidden_size": 8},
                    {"type": "pooling", "mode": "mean"},
                    {"type": "linear", "prefix": "fc", "in_features": 8, "out_features": 4}],
        "features": {"mean": mean, "scale": scale},
        "labels": ["left", "right", "up", "down"]}, tensors, cases)


def series():
    """Forecasting: a normal distribution around the last value, scaled by the mean absolute value."""
    rng = random.Random(6)
    tensors = lstm_weights(rng, "lstm", 2, 8, spread=0.6)
    tensors |= {"head.weight": matrix(rng, 2, 8, 0.5), "head.bias": matrix(rng, 1, 2, 0.2)[0]}
    cases = []
    for values in ([2, 4, 8], [5], [1, -1, 2.5, -2.5, 7]):
        scale = max(sum(abs(v) for v in values) / len(values), 1e-6)
        z = [v / scale for v in values]
        features = [[z[t], z[t] - z[t - 1] if t else 0.0] for t in range(len(z))]
        last = lstm(tensors, "lstm", features)[-1]
        cases.append({"input": values, "features": features,
                      "output": affine(tensors["head.weight"], tensors["head.bias"], last)})
    write("tiny-series", {
        "task": "forecasting", "description": "A small random prophet for the tests.",
        "network": [{"type": "lstm", "prefix": "lstm", "input_size": 2, "hidden_size": 8},
                    {"type": "linear", "prefix": "head", "in_features": 8, "out_features": 2}],
        "forecast": {"context_length": 32, "scaling": {"type": "mean_abs"}, "inputs": ["value", "difference"],
                     "output": {"type": "normal", "residual": "last"}, "num_samples": 20}}, tensors, cases)


if __name__ == "__main__":
    for make in (characters, raw_bytes, words, labels, gestures, series):
        make()
