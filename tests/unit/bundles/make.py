#!/usr/bin/env python3
"""Makes the bundles of test_translation.c and of the routes, random weights of a few kilobytes, and what beam search finds with them.

    python3 tests/unit/bundles/make.py

Needs nothing but Python. The networks are the equations in plain loops over doubles, and the beam search below
keeps every hypothesis as a list of tokens, and reads each from its beginning at every step: slow, and so simple that
it is one more opinion on what the server finds.

beams.txt: a line `bundle beams length_penalty coverage_penalty max_tokens text`, then a line a result, best first:
`score log_probability has_ended token token ...`, and an empty line.
attention.txt: a line text, then a row of weights a token of the target, and an empty line.
gradients.txt: a line `bundle text output step`, then the logarithm of the probability of output[step], and by each token
of the source, with those for its ends, the derivative by a factor on the token's vector: (f(1 + d) - f(1 - d)) / 2d.
"""
import base64
import json
import math
import pathlib
import random
import struct
import sys
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "http" / "bundles"))
import make as plain  # noqa: E402

HERE = pathlib.Path(__file__).parent
plain.HERE = HERE
affine, lstm, lstm_weights, matrix = plain.affine, plain.lstm, plain.lstm_weights, plain.matrix

BOS, EOS = 0, 1
VOCABULARY = ["<s>", "</s>", *"abcdefghij"]
V, E = len(VOCABULARY), 5


def softmax(scores):
    top = max(scores)
    shares = [math.exp(s - top) for s in scores]
    return [s / sum(shares) for s in shares]


def log_softmax(scores):
    top = max(scores)
    total = top + math.log(sum(math.exp(s - top) for s in scores))
    return [s - total for s in scores]


def step(tensors, prefix, x, h, c):
    """One LSTM step; gates in the order i, f, g, o."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    w, u, b, d = (tensors[f"{prefix}.{name}_l0"] for name in names)
    gates = [p + q for p, q in zip(affine(w, b, x), affine(u, d, h))]
    n = len(h)
    s = plain.sigmoid
    c = [s(gates[n + k]) * c[k] + s(gates[k]) * math.tanh(gates[2 * n + k]) for k in range(n)]
    return [s(gates[3 * n + k]) * math.tanh(c[k]) for k in range(n)], c


class Translation:
    """Both directions into general attention, with input feeding; the decoder begins at zero."""
    name, H, M = "tiny-translation", 7, 8

    def __init__(self):
        rng = random.Random(81)
        H, M = self.H, self.M
        t = {"source.weight": matrix(rng, V, E, 1.5)}
        t |= lstm_weights(rng, "encoder", E, M // 2, ("", "_reverse"), 1.5)
        t |= {"target.weight": matrix(rng, V, E, 1.5)} | lstm_weights(rng, "decoder", E + H, H, spread=1.2)
        t |= {"attention.weight": matrix(rng, H, M, 1.5), "mix.weight": matrix(rng, H, M + H, 1.0),
              "mix.bias": matrix(rng, 1, H, 0.3)[0], "out.weight": matrix(rng, V, H, 2.5),
              "out.bias": matrix(rng, 1, V, 0.5)[0]}
        t["out.bias"][EOS] = 1.6
        self.tensors = t
        self.network = {"encoder": [
            {"type": "embedding", "prefix": "source", "num_embeddings": V, "embedding_dim": E},
            {"type": "lstm", "prefix": "encoder", "input_size": E, "hidden_size": M // 2, "bidirectional": True},
        ], "decoder": [
            {"type": "embedding", "prefix": "target", "num_embeddings": V, "embedding_dim": E, "name": "words"},
            {"type": "previous", "size": H, "inputs": "mixed", "name": "fed"},
            {"type": "concat", "inputs": ["words", "fed"]},
            {"type": "lstm", "prefix": "decoder", "input_size": E + H, "hidden_size": H, "name": "h"},
            {"type": "attention", "prefix": "attention", "score": "general", "query_size": H, "memory_size": M,
             "name": "context"},
            {"type": "concat", "inputs": ["context", "h"]},
            {"type": "linear", "prefix": "mix", "in_features": M + H, "out_features": H},
            {"type": "tanh", "name": "mixed"},
            {"type": "linear", "prefix": "out", "in_features": H, "out_features": V}]}
        self.settings = {"num_beams": 4}

    def read(self, source):
        return [self.tensors["source.weight"][i] for i in source]

    def logits(self, source, target):
        """After the last token of the target, which begins with bos. Keeps the shares of the last attention."""
        t, H = self.tensors, self.H
        x = self.read(source)
        rows = [a + b for a, b in zip(lstm(t, "encoder", x), lstm(t, "encoder", x, "_reverse"))]
        h, c, fed = [0.0] * H, [0.0] * H, [0.0] * H
        for token in target:
            h, c = step(t, "decoder", t["target.weight"][token] + fed, h, c)
            query = [sum(h[k] * t["attention.weight"][k][m] for k in range(H)) for m in range(self.M)]
            shares = self.shares = softmax([sum(q * r for q, r in zip(query, row)) for row in rows])
            context = [sum(s * row[m] for s, row in zip(shares, rows)) for m in range(self.M)]
            fed = [math.tanh(v) for v in affine(t["mix.weight"], t["mix.bias"], context + h)]
        return affine(t["out.weight"], t["out.bias"], fed)


class Pronunciation:
    """No attention: the decoder goes on from the state in which the encoder ends."""
    name, H, targets, seed, end = "tiny-pronunciation", 9, V, 113, 1.6

    def __init__(self):
        rng = random.Random(self.seed)
        H = self.H
        t = {"source.weight": matrix(rng, V, E, 1.5)} | lstm_weights(rng, "encoder", E, H, spread=1.2)
        t |= {"target.weight": matrix(rng, self.targets, E, 1.5)} | lstm_weights(rng, "decoder", E, H, spread=1.2)
        t |= {"out.weight": matrix(rng, self.targets, H, 2.5), "out.bias": matrix(rng, 1, self.targets, 0.5)[0]}
        t["out.bias"][EOS] = self.end
        self.tensors = t
        self.network = {side: [
            {"type": "embedding", "prefix": words, "num_embeddings": n, "embedding_dim": E},
            {"type": "lstm", "prefix": side, "input_size": E, "hidden_size": H},
            *([{"type": "linear", "prefix": "out", "in_features": H, "out_features": n}] if side == "decoder" else [])]
            for side, words, n in (("encoder", "source", V), ("decoder", "target", self.targets))}
        self.settings = {"initial_state": "encoder", "max_tokens": 20}

    def logits(self, source, target):
        t = self.tensors
        h, c = [0.0] * self.H, [0.0] * self.H
        for token in source:
            h, c = step(t, "encoder", t["source.weight"][token], h, c)
        for token in target:
            h, c = step(t, "decoder", t["target.weight"][token], h, c)
        return affine(t["out.weight"], t["out.bias"], h)


class Phonemes(Pronunciation):
    """The same with a vocabulary of its own for targets."""
    name, targets, seed, end = "tiny-phonemes", 14, 211, -1.0
    phonemes = ["<s>", "</s>", "K", "AE1", "R", "AH0", "S", "EH2", "L", "T", "UW1", "N", "IY2", "AH1"]


class Caption(Translation):
    """Reads rows of numbers: grey pictures of 4 x 4 pixels, in 4 patches with coordinates."""
    name, SIDE, PATCH, MEAN, SCALE = "tiny-caption", 4, 2, 0.5, 0.25
    words = ["<s>", "</s>", "a", "red", "blue", "square", "circle", "on", "the", "left", "right", "top"]

    def __init__(self):
        super().__init__()
        rng = random.Random(17)
        n = self.PATCH ** 2 + 2
        del self.tensors["source.weight"]
        self.tensors |= {"look.weight": matrix(rng, E, n, 1.2), "look.bias": matrix(rng, 1, E, 0.3)[0]}
        self.tensors["out.bias"][BOS] = -20.0
        self.network["encoder"][0:1] = [{"type": "linear", "prefix": "look", "in_features": n, "out_features": E},
                                        {"type": "tanh"}]

    def read(self, source):
        t = self.tensors
        return [[math.tanh(v) for v in affine(t["look.weight"], t["look.bias"], row)] for row in self.scale(source)]

    def scale(self, rows):
        return [[(v - self.MEAN) / self.SCALE for v in row[:-2]] + row[-2:] for row in rows]

    def rows(self, picture):
        """picture: bytes, row by row."""
        p, n = self.PATCH, self.SIDE // self.PATCH
        return [[picture[(v * p + y) * self.SIDE + u * p + x] / 255 for y in range(p) for x in range(p)]
                + [(2 * u + 1) / n - 1, (2 * v + 1) / n - 1] for v in range(n) for u in range(n)]


def png(picture, side):
    """A data URL of a grey picture."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    lines = b"".join(b"\0" + picture[y * side:(y + 1) * side] for y in range(side))
    file = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b""))
    return "data:image/png;base64," + base64.b64encode(file).decode()


def write_captions():
    """captions.txt: a line with a picture, a line with its rows as JSON, a line a result: `score text`, then the
    attention of the best, a line a token and one for the end, and an empty line."""
    model, rng, cases, lines = Caption(), random.Random(5), [], []
    for target in ([0], [0, 3, 5], [0, 2, 4, 6, 7]):
        picture = bytes(rng.randrange(256) for _ in range(model.SIDE ** 2))
        rows = model.rows(picture)
        cases.append({"input": png(picture, model.SIDE), "features": model.scale(rows), "target": target,
                      "output": model.logits(rows, target)})
        lines += [png(picture, model.SIDE), json.dumps(rows)]
        results = search(model, rows, 4, 1, 9)
        for score, _, _, tokens in results:
            lines.append(f"{score:.9f} " + " ".join(model.words[i] for i in tokens))
        _, _, has_ended, tokens = results[0]
        for k in range(len(tokens) + has_ended):
            model.logits(rows, [BOS, *tokens[:k]])
            lines.append(" ".join(f"{share:.9f}" for share in model.shares))
        lines.append("")
    plain.write(model.name, {
        "task": "image-to-text", "description": "Random sentences about pictures, for the tests.",
        "network": model.network,
        "features": {"type": "picture", "width": model.SIDE, "height": model.SIDE, "patch": model.PATCH, "channels": 1,
                     "coordinates": True, "mean": model.MEAN, "scale": model.SCALE},
        "tokenizer": {"type": "words", "vocabulary": model.words, "bos_token": "<s>", "eos_token": "</s>"},
        "translation": {"num_beams": 4, "max_tokens": 9}}, model.tensors, cases)
    (HERE / "captions.txt").write_text("\n".join(lines) + "\n")


def ids(text):
    return [BOS, *(VOCABULARY.index(ch) for ch in text), EOS]


def coverage(model, source, tokens, has_ended):
    """The sum over the source of ln(the attention that a step got from the tokens and the end, 1 at most)."""
    got = [0.0] * len(source)
    for n in range(len(tokens) + has_ended):
        model.logits(source, [BOS, *tokens[:n]])
        got = [a + b for a, b in zip(got, model.shares)]
    return sum(math.log(min(1.0, max(a, 1e-10))) for a in got)


def search(model, source, beams, penalty, max_tokens, covers=0):
    """Results (score, log_probability, has_ended, tokens), best first."""
    live, done = [(0.0, [])], []

    def finish(log_probability, tokens, has_ended):
        score = log_probability / (len(tokens) + has_ended) ** penalty
        if covers:
            score += covers * coverage(model, source, tokens, has_ended)
        done.append((score, log_probability, has_ended, tokens))
        done.sort(key=lambda result: -result[0])
        del done[beams:]

    while True:
        candidates = []
        for k, (score, tokens) in enumerate(live):
            for token, log_p in enumerate(log_softmax(model.logits(source, [BOS, *tokens]))):
                candidates.append((score + log_p, k, token))
        candidates.sort(key=lambda candidate: -candidate[0])
        following = []
        for rank, (score, k, token) in enumerate(candidates[:2 * beams]):
            if token == EOS and rank < beams:
                finish(score, live[k][1], 1)
            elif token != EOS and len(following) < beams:
                following.append((score, live[k][1] + [token]))
        live = following
        if len(done) == beams or not live:
            return done
        if len(live[0][1]) == max_tokens:
            for score, tokens in live:
                finish(score, tokens, 0)
            return done


def write_sentences(model):
    """The translator, sentence by sentence, for texts with other characters."""
    cases = [{"input": text, "tokens": ids(text), "target": [0], "output": model.logits(ids(text), [0])}
             for text in ("a", "bcd")]
    plain.write("tiny-sentences", {
        "task": "translation", "description": "A small random translator of sentences.", "network": model.network,
        "tokenizer": {"type": "characters", "vocabulary": VOCABULARY, "bos_token": "<s>", "eos_token": "</s>",
                      "lowercase": True, "unknown": "skip"},
        "translation": {"num_beams": 4, "max_tokens": 12, "split_sentences": True, "source": "en", "target": "fr"}},
        model.tensors, cases)


def write_phonemes():
    model = Phonemes()
    cases = [{"input": text, "tokens": ids(text), "target": target, "output": model.logits(ids(text), target)}
             for text, target in (("a", [0]), ("bcd", [0, 13, 2]))]
    special = {"bos_token": "<s>", "eos_token": "</s>"}
    plain.write(model.name, {
        "task": "pronunciation", "description": "Random phonemes for the tests.", "network": model.network,
        "tokenizer": {"type": "characters", "vocabulary": VOCABULARY, "lowercase": True, "unknown": "fold", **special},
        "target_tokenizer": {"type": "words", "vocabulary": model.phonemes, **special},
        "translation": {**model.settings, "num_beams": 4}}, model.tensors, cases)


def write_music():
    """Tunes of random notes."""
    rng, H = random.Random(64), 9
    words = ["<s>", "</s>", ".", *map(str, range(48, 84))]
    n = len(words)
    t = {"embedding.weight": matrix(rng, n, E, 1.5)} | lstm_weights(rng, "lstm", E, H, spread=1.2)
    t |= {"out.weight": matrix(rng, n, H, 1.5), "out.bias": matrix(rng, 1, n, 0.5)[0]}
    cases = []
    for text in ("72 67 .", "72 67 60 48 . . 71"):
        tokens = [0, *map(words.index, text.split())]
        h, c = [0.0] * H, [0.0] * H
        for token in tokens:
            h, c = step(t, "lstm", t["embedding.weight"][token], h, c)
        cases.append({"input": text, "tokens": tokens, "output": affine(t["out.weight"], t["out.bias"], h)})
    plain.write("tiny-music", {
        "task": "music-generation", "description": "Random notes for the tests.",
        "network": [{"type": "embedding", "prefix": "embedding", "num_embeddings": n, "embedding_dim": E},
                    {"type": "lstm", "prefix": "lstm", "input_size": E, "hidden_size": H},
                    {"type": "linear", "prefix": "out", "in_features": H, "out_features": n}],
        "tokenizer": {"type": "words", "vocabulary": words, "bos_token": "<s>", "eos_token": "</s>"},
        "music": {"tempo": 96, "max_steps": 40}}, t, cases)


def write_staff(name, lines, seed):
    """Tunes of random words on a staff, whose bar lines are these words."""
    rng, H = random.Random(seed), 9
    lengths = ["n3", "n6", "n9", "n12", "n18", "n24", "t2", "t4"]
    words = ["<s>", "</s>", "2x2", "3x4", "6x8", "major", "minor", "dorian", "[", *lines, "]", ".", *lengths, "z", *map(str, range(57, 75))]
    n = len(words)
    t = {"embedding.weight": matrix(rng, n, E, 1.5)} | lstm_weights(rng, "lstm", E, H, spread=1.2)
    t |= {"out.weight": matrix(rng, n, H, 1.5), "out.bias": matrix(rng, 1, n, 0.5)[0]}
    cases = []
    for text in ("6x8 major [", f"2x2 dorian [ n6 62 {lines[0]} n12 64 66 t4 67 69 71 n6 z"):
        tokens = [0, *map(words.index, text.split())]
        h, c = [0.0] * H, [0.0] * H
        for token in tokens:
            h, c = step(t, "lstm", t["embedding.weight"][token], h, c)
        cases.append({"input": text, "tokens": tokens, "output": affine(t["out.weight"], t["out.bias"], h)})
    plain.write(name, {
        "task": "music-generation", "description": "Random tunes for the tests.",
        "network": [{"type": "embedding", "prefix": "embedding", "num_embeddings": n, "embedding_dim": E},
                    {"type": "lstm", "prefix": "lstm", "input_size": E, "hidden_size": H},
                    {"type": "linear", "prefix": "out", "in_features": H, "out_features": n}],
        "tokenizer": {"type": "words", "vocabulary": words, "bos_token": "<s>", "eos_token": "</s>"},
        "music": {"notation": "staff", "voices": 1, "steps_per_quarter": 12, "tonic": 62, "tempo": 96, "max_steps": 288}}, t, cases)


def windows(pixels, label, height, width, above, beside, left, labels):
    """What the network reads at each pixel of the rows that are given."""
    rows = []
    for at in range(len(pixels) * width):
        y, x = divmod(at, width)

        def ink(v, u):
            return float(pixels[v][u]) if v >= 0 and 0 <= u < width else 0.0
        near = [ink(y - dy, x + dx) for dy in range(above, 0, -1) for dx in range(-beside, beside + 1)]
        near += [ink(y, x + dx) for dx in range(-left, 0)]
        rows.append(near + [y / (height - 1), x / (width - 1)] + [float(k == label) for k in range(labels)])
    return rows


def write_drawing():
    """Pictures of 5 x 4 random pixels; likelihoods.txt: label, nats and pixels of whole pictures."""
    rng, H, height, width, lines = random.Random(65), 7, 5, 4, []
    window = {"above": 2, "beside": 1, "left": 2}
    F = 2 * 3 + 2 + 2 + 3
    t = lstm_weights(rng, "lstm", F, H, spread=1.5)
    t |= {"out.weight": matrix(rng, 1, H, 2.5), "out.bias": matrix(rng, 1, 1, 0.5)[0]}

    def logits(pixels, label):
        h, c, out = [0.0] * H, [0.0] * H, []
        for row in windows(pixels, label, height, width, labels=3, **window):
            h, c = step(t, "lstm", row, h, c)
            out += affine(t["out.weight"], t["out.bias"], h)
        return out

    def picture(rows):
        return [[rng.randrange(2) for _ in range(width)] for _ in range(rows)]

    cases = []
    for label, rows in ((1, 1), (2, 5)):
        pixels = picture(rows)
        cases.append({"input": {"prompt": "abc"[label], "pixels": pixels},
                      "features": windows(pixels, label, height, width, labels=3, **window),
                      "output": logits(pixels, label)[-1:]})
    for label in (0, 1, 2):
        pixels = picture(height)
        flat = [bit for row in pixels for bit in row]
        nats = sum(math.log1p(math.exp(-z if bit else z)) for z, bit in zip(logits(pixels, label), flat))
        lines.append(f"{label} {nats:.9f} {''.join(map(str, flat))}\n")
    plain.write("tiny-drawing", {
        "task": "image-generation", "description": "Random pixels for the tests.",
        "network": [{"type": "lstm", "prefix": "lstm", "input_size": F, "hidden_size": H},
                    {"type": "linear", "prefix": "out", "in_features": H, "out_features": 1}],
        "labels": ["a", "b", "c"], "drawing": {"height": height, "width": width, **window}}, t, cases)
    (HERE / "likelihoods.txt").write_text("".join(lines))


def write_handwriting():
    """Graves' network with a window of 2 and a mixture of 2, which reads one of four letters and a space at a time."""
    rng, H, G, K, M = random.Random(77), 6, 5, 2, 2
    letters = ["</s>", " ", *"abcd"]
    n = len(letters)
    t = lstm_weights(rng, "first", 3 + n, H, spread=1.2) | lstm_weights(rng, "second", 3 + n + H, G, spread=1.2)
    t |= {"window.weight": matrix(rng, 3 * K, H, 0.3), "window.bias": [0.3, -0.2, 0.4, 0.1, -2.2, -2.0],
          "mixture.weight": matrix(rng, 1 + 6 * M, H + G, 1.0), "mixture.bias": matrix(rng, 1, 1 + 6 * M, 0.3)[0]}

    def outputs(text, points):
        h, c, g, d, read, kappa, out = [0.0] * H, [0.0] * H, [0.0] * G, [0.0] * G, [0.0] * n, [0.0] * K, []
        for point in points:
            h, c = step(t, "first", point + read, h, c)
            given = [math.exp(v) for v in affine(t["window.weight"], t["window.bias"], h)]
            kappa = [k + s for k, s in zip(kappa, given[2 * K:])]
            read = [0.0] * n
            for u, letter in enumerate(text, 1):
                read[letter] += sum(given[k] * math.exp(-given[K + k] * (kappa[k] - u) ** 2) for k in range(K))
            g, d = step(t, "second", point + read + h, g, d)
            out.append(affine(t["mixture.weight"], t["mixture.bias"], h + g))
        return out

    cases = []
    for text, steps in (("ab cd", 9), ("d", 1), ("aaaa", 3)):
        ids = [letters.index(letter) for letter in text] + [0]
        points = [[0.0, 0.0, 1.0]] + [[rng.uniform(-1, 1), rng.uniform(-1, 1), float(rng.randrange(2))]
                                      for _ in range(steps - 1)]
        cases.append({"input": text, "tokens": ids, "target": points, "output": outputs(ids, points)[-1]})
    plain.write("tiny-handwriting", {
        "task": "handwriting-generation", "description": "A random hand for the tests.",
        "network": {"encoder": [{"type": "one_hot", "num_classes": n}], "decoder": [
            {"type": "identity", "size": 3, "name": "point"},
            {"type": "previous", "size": n, "inputs": "window", "name": "read"},
            {"type": "concat", "inputs": ["point", "read"]},
            {"type": "lstm", "prefix": "first", "input_size": 3 + n, "hidden_size": H, "name": "h"},
            {"type": "gaussian_attention", "prefix": "window", "query_size": H, "memory_size": n, "num_gaussians": K,
             "name": "window"},
            {"type": "concat", "inputs": ["point", "window", "h"]},
            {"type": "lstm", "prefix": "second", "input_size": 3 + n + H, "hidden_size": G, "name": "g"},
            {"type": "concat", "inputs": ["h", "g"]},
            {"type": "linear", "prefix": "mixture", "in_features": H + G, "out_features": 1 + 6 * M}]},
        "tokenizer": {"type": "characters", "vocabulary": letters, "eos_token": "</s>"},
        "handwriting": {"points_per_character": 20, "bias": 0.5, "line_height": 6}}, t, cases)


def attend(model, text):
    """What each token of the best of 3 hypotheses, and the end, attended to."""
    (_, _, has_ended, tokens), *_ = search(model, ids(text), 3, 1, 12)
    lines = [text]
    for n in range(len(tokens) + has_ended):
        model.logits(ids(text), [BOS, *tokens[:n]])
        lines.append(" ".join(f"{share:.7f}" for share in model.shares))
    return "\n".join(lines) + "\n"


def log_probability(model, source, output, step):
    return log_softmax(model.logits(source, [BOS, *output[:step]]))[output[step]]


def explain(model, text, output, step, d=1e-4):
    source, output, table, numbers = ids(text), ids(output)[1:], model.tensors["source.weight"], []
    for k, token in enumerate(source):
        ends = []
        for factor in (1 + d, 1 - d):
            table.append([factor * v for v in table[token]])
            ends.append(log_probability(model, [*source[:k], V, *source[k + 1:]], output, step))
            table.pop()
        numbers.append((ends[0] - ends[1]) / (2 * d))
    numbers.insert(0, log_probability(model, source, output, step))
    return " ".join(f"{number:.9f}" for number in numbers)


def write_gradients():
    lines = []
    for model in (Translation(), Pronunciation()):
        for text, output, step in (("a", "b", 0), ("bcd", "gab", 2), ("hgfedcba", "decaf", 4), ("hgfedcba", "decaf", 5)):
            lines += [f"{model.name} {text} {output} {step}", explain(model, text, output, step)]
    (HERE / "gradients.txt").write_text("\n".join(lines) + "\n")


def main():
    lines, attention = [], []
    write_gradients()
    write_phonemes()
    write_music()
    write_staff("tiny-staff", ["|"], 71)
    write_staff("tiny-bars", ["b0", "b1", "b2"], 72)
    write_drawing()
    write_handwriting()
    write_captions()
    write_sentences(Translation())
    for model in (Translation(), Pronunciation()):
        texts, cases = ["a", "bcd", "hgfedcba", "jjjjj", "acegibdfhj" * 3], []
        for text, target in zip(texts, ([0], [0, 4], [0, 5, 6, 7, 2, 9], [0, 3, 3], [0, 11])):
            cases.append({"input": text, "tokens": ids(text), "target": target,
                          "output": model.logits(ids(text), target)})
        plain.write(model.name, {
            "task": "translation", "description": "A small random translator for the tests.",
            "network": model.network,
            "tokenizer": {"type": "characters", "vocabulary": VOCABULARY, "bos_token": "<s>", "eos_token": "</s>"},
            "translation": model.settings}, model.tensors, cases)
        for text in texts:
            if isinstance(model, Translation):
                attention.append(attend(model, text))
            wanted = [(1, 1, 0, 12), (3, 1, 0, 12), (4, 0, 0, 9), (6, 2, 0, 15)]
            if isinstance(model, Translation):
                wanted += [(4, 1, 0.3, 12), (6, 0, 2, 4)]
            for beams, penalty, covers, max_tokens in wanted:
                lines.append(f"{model.name} {beams} {penalty} {covers} {max_tokens} {text}")
                found = search(model, ids(text), beams, penalty, max_tokens, covers)
                for score, log_probability, has_ended, tokens in found:
                    lines.append(f"{score:.9f} {log_probability:.9f} {has_ended} " + " ".join(map(str, tokens)))
                lines.append("")
    (HERE / "beams.txt").write_text("\n".join(lines) + "\n")
    (HERE / "attention.txt").write_text("\n".join(attention) + "\n")


if __name__ == "__main__":
    main()
