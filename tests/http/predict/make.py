#!/usr/bin/env python3
"""Makes the bundles of the tests of POST /v1/predict and of tagging: small networks of PyTorch, and what PyTorch gives
for every step of their golden cases.

    python3 tests/http/predict/make.py          needs torch; nothing else

`tags` is trained for a few seconds on sentences made by a rule, so that tests can expect entities by name. The others
have random weights.
"""
import json
import pathlib
import random
import struct

import torch
from torch import nn

HERE = pathlib.Path(__file__).parent


def write(name, config, module, cases):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    header, data = {}, b""
    for key, value in module.state_dict().items():
        block = value.detach().float().contiguous().numpy().tobytes()
        header[key] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(block)]}
        data += block
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    config = {"format_version": 1, "license": "Apache-2.0", **config}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    (folder / "golden.json").write_text(json.dumps({"tolerance": 1e-5, "cases": cases}) + "\n")


def rows(outputs):
    return [[round(x, 7) for x in row] for row in torch.as_tensor(outputs).tolist()]


class Net(nn.Module):
    """[embedding ->] lstm -> linear, as the bundles' "network" says."""

    def __init__(self, inputs, hidden, outputs, vocabulary=0, bidirectional=False):
        super().__init__()
        if vocabulary:
            self.embed = nn.Embedding(vocabulary, inputs)
        self.lstm = nn.LSTM(inputs, hidden, bidirectional=bidirectional)
        self.head = nn.Linear(hidden * (1 + bidirectional), outputs)

    def forward(self, x):
        return self.head(self.lstm(self.embed(x) if hasattr(self, "embed") else x)[0])

    def layers(self):
        found = []
        if hasattr(self, "embed"):
            found.append({"type": "embedding", "prefix": "embed", "num_embeddings": self.embed.num_embeddings,
                          "embedding_dim": self.embed.embedding_dim})
        lstm = {"type": "lstm", "prefix": "lstm", "input_size": self.lstm.input_size,
                "hidden_size": self.lstm.hidden_size}
        if self.lstm.bidirectional:
            lstm["bidirectional"] = True
        return found + [lstm, {"type": "linear", "prefix": "head", "in_features": self.head.in_features,
                               "out_features": self.head.out_features}]


# ---- tags: cities and days, and what the text is about ----

CITIES, DAYS = ["new york", "paris", "rio de janeiro", "rome"], ["monday", "next friday"]
FORMS = {"travel": ["fly from {c} to {c} on {d}", "a train to {c} please", "book {c} {d}"],
         "weather": ["will it rain in {c} on {d}", "weather in {c}", "is it cold {d}"]}
LABELS = ["O", "B-city", "I-city", "B-day", "I-day"]
INTENTS = list(FORMS)


def sentence(rng):
    intent = rng.choice(INTENTS)
    words, labels = [], []
    for part in rng.choice(FORMS[intent]).split():
        pool, kind = {"{c}": (CITIES, "city"), "{d}": (DAYS, "day")}.get(part, ([part], None))
        chosen = rng.choice(pool).split()
        words += chosen
        labels += [f"B-{kind}"] + [f"I-{kind}"] * (len(chosen) - 1) if kind else ["O"]
    return words, labels, intent


def tags():
    torch.manual_seed(1)
    rng = random.Random(1)
    words = {w for forms in FORMS.values() for form in forms for w in form.split() if w[0] != "{"}
    words |= {w for name in CITIES + DAYS for w in name.split()}
    vocabulary = ["<unk>", "</s>"] + sorted(words)
    net = Net(6, 6, len(LABELS) + len(INTENTS), len(vocabulary), bidirectional=True)
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(1500):
        ws, ls, intent = sentence(rng)
        ids = [vocabulary.index(w) if rng.random() > 0.03 else 0 for w in ws] + [1]
        out = net(torch.tensor(ids))
        loss = nn.functional.cross_entropy(out[:-1, :len(LABELS)], torch.tensor([LABELS.index(x) for x in ls]))
        about = out[:, len(LABELS):].mean(0, keepdim=True)
        loss = loss + nn.functional.cross_entropy(about, torch.tensor([INTENTS.index(intent)]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    cases = []
    for text in ["fly from rome to rio de janeiro on monday", "Will it rain in New York on next Friday?", "book"]:
        found = "".join(c if c.isalnum() or c.isspace() else f" {c} " for c in text.lower()).split()
        ids = [vocabulary.index(w) if w in vocabulary else 0 for w in found] + [1]
        cases.append({"input": text, "tokens": ids, "outputs": rows(net.double()(torch.tensor(ids)))})
        net.float()
    write("tags", {"task": "token-classification", "description": "Cities and days in sentences of a rule.",
                   "training_data": "generated by this script", "network": net.layers(),
                   "tokenizer": {"type": "words", "vocabulary": vocabulary, "unk_token": "<unk>", "eos_token": "</s>",
                                 "lowercase": True},
                   "labels": LABELS + INTENTS, "tagging": {"num_intents": len(INTENTS)}}, net, cases)


# ---- learned: the same network, with scores of labels after each other that nothing else explains ----

def learned():
    config = json.loads((HERE / "tags" / "config.json").read_text())
    raw = (HERE / "tags" / "model.safetensors").read_bytes()
    n = struct.unpack("<Q", raw[:8])[0]
    tensors = nn.Module()
    tensors.state_dict = lambda: {
        **{k: torch.frombuffer(bytearray(raw[8 + n:])[slice(*v["data_offsets"])], dtype=torch.float32).view(v["shape"])
           for k, v in json.loads(raw[8:8 + n]).items() if k != "__metadata__"},
        "crf.transitions": torch.tensor([[0., -200, -200, -200, -200],  # after O nothing begins,
                                         [-200, -200, 50, -200, -200],  # and a city is two words,
                                         [0, -200, -200, -200, -200],   # neither more
                                         [0, -200, -200, 0, 0], [0, -200, -200, 0, 0]]),
        "crf.start_transitions": torch.tensor([0., 0, -200, -200, -200]),
        "crf.end_transitions": torch.tensor([0., -200, 0, 0, 0])}       # nor less
    config["tagging"]["transitions"] = "crf"
    write("learned", config, tensors, json.loads((HERE / "tags" / "golden.json").read_text())["cases"])


# ---- sensor: numbers to numbers, in one direction; letters: labels of a text, in both ----

def sensor():
    torch.manual_seed(2)
    net = Net(2, 6, 3)
    mean, scale = [10, -2], [4, 0.5]
    cases = []
    for n in (1, 5, 40):
        x = [[round(10 + 4 * float(torch.randn(())), 3), round(-2 + float(torch.randn(())), 3)] for _ in range(n)]
        z = [[(v - m) / s for v, m, s in zip(row, mean, scale)] for row in x]
        cases.append({"input": x, "features": rows(z), "outputs": rows(net.double()(torch.tensor(z).double()))})
        net.float()
    write("sensor", {"task": "sequence-prediction", "description": "A small random regressor for the tests.",
                     "training_data": "none: random weights", "network": net.layers(),
                     "features": {"mean": mean, "scale": scale}}, net, cases)


def letters():
    torch.manual_seed(3)
    vocabulary = [" ", *"abcdefgh", "\u00e9", "\U0001f600"]
    net = Net(4, 5, 3, len(vocabulary), bidirectional=True)
    cases = []
    for text in ["abc", "h", "\u00e9 \U0001f600 bad"]:
        ids = [vocabulary.index(c) for c in text]
        cases.append({"input": text, "tokens": ids, "outputs": rows(net.double()(torch.tensor(ids)))})
        net.float()
    write("letters", {"task": "sequence-prediction", "description": "A small random labeller for the tests.",
                      "training_data": "none: random weights", "network": net.layers(),
                      "tokenizer": {"type": "characters", "vocabulary": vocabulary},
                      "labels": ["low", "middle", "high"], "activation": "sigmoid",
                      "prediction": {"return": "all"}}, net, cases)


# ---- gates: a gru, and on it an rnn ----

class Gates(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru, self.rnn, self.head = nn.GRU(2, 6), nn.RNN(6, 5), nn.Linear(5, 2)

    def forward(self, x):
        return self.head(self.rnn(self.gru(x)[0])[0])


def gates():
    torch.manual_seed(4)
    net = Gates()
    network = [{"type": "gru", "prefix": "gru", "input_size": 2, "hidden_size": 6},
               {"type": "rnn", "prefix": "rnn", "input_size": 6, "hidden_size": 5},
               {"type": "linear", "prefix": "head", "in_features": 5, "out_features": 2}]
    cases = []
    for n in (1, 5, 40):
        x = torch.randn(n, 2).round(decimals=3)
        cases.append({"input": rows(x), "features": rows(x), "outputs": rows(net.double()(x.double()))})
        net.float()
    write("gates", {"task": "sequence-prediction", "description": "A small random GRU and RNN for the tests.",
                    "training_data": "none: random weights", "network": network}, net, cases)


if __name__ == "__main__":
    torch.set_num_threads(1)
    tags()
    learned()
    sensor()
    letters()
    gates()
