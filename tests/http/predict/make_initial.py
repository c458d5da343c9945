#!/usr/bin/env python3
"""Makes the bundle `begun` and initial.json: requests with an initial_state, and what PyTorch gives for them. And the
bundle `padded` and padded.json: texts that are padded on the left.

    python3 tests/http/predict/make_initial.py          needs torch; nothing else
"""
import json
import pathlib
import struct

import torch
from torch import nn

HERE = pathlib.Path(__file__).parent
torch.manual_seed(3)
torch.set_num_threads(1)


class Model(nn.Module):
    """Two layers of an LSTM with a projection, a GRU whose initial state was learned, and a head."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 6, 2, batch_first=True, proj_size=4)
        self.gru = nn.GRU(4, 5, batch_first=True)
        self.h0 = nn.Parameter(torch.randn(1, 1, 5))
        self.out = nn.Linear(5, 2)

    def forward(self, x, lstm=None, gru=None):
        y, _ = self.lstm(x, lstm)
        y, _ = self.gru(y, self.h0.expand(1, len(x), 5).contiguous() if gru is None else gru)
        return self.out(y[:, -1])


class Classifier(nn.Module):
    """Trained on ids padded on the left with 0, as they are: nothing is masked."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.rnn = nn.LSTM(4, 5, batch_first=True, bidirectional=True)
        self.out = nn.Linear(10, 2)

    def forward(self, x):
        _, (h, _) = self.rnn(self.embed(x))
        return self.out(torch.cat([h[-2], h[-1]], 1))


VOCABULARY, LENGTH = ["<pad>", "<unk>", "the", "film", "is", "bad.", "good."], 5


def padded():
    model, cases, answers = Classifier().eval(), [], []
    for text in ("good.", "the film is bad.", "the film is not so bad. is it"):
        ids = [VOCABULARY.index(word) if word in VOCABULARY else 1 for word in text.split()][-LENGTH:]
        ids = [0] * (LENGTH - len(ids)) + ids
        with torch.no_grad():
            output = model(torch.tensor([ids]))[0]
        cases.append({"input": text, "tokens": ids, "output": output.tolist()})
        answers.append({"text": text, "ids": [i for i in ids if i], "score": torch.softmax(output, 0)[1].item()})
    write("padded", model.state_dict(), {
        "task": "text-classification", "labels": ["bad", "good"],
        "tokenizer": {"type": "whitespace", "vocabulary": VOCABULARY, "unk_token": "<unk>", "pad_token": "<pad>",
                      "pad_length": LENGTH, "accepts_token_ids": True},
        "network": [{"type": "embedding", "prefix": "embed", "num_embeddings": 7, "embedding_dim": 4},
                    {"type": "lstm", "prefix": "rnn", "input_size": 4, "hidden_size": 5, "bidirectional": True},
                    {"type": "pooling", "mode": "last"},
                    {"type": "linear", "prefix": "out", "in_features": 10, "out_features": 2}]}, cases)
    (HERE / "padded.json").write_text(json.dumps(answers) + "\n")


def write(name, state, config, cases):
    header, data = {}, b""
    for key, value in state.items():
        block = value.contiguous().numpy().tobytes()
        header[key] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(block)]}
        data += block
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    config = {"format_version": 1, "license": "Apache-2.0", **config}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    (folder / "golden.json").write_text(json.dumps({"tolerance": 1e-5, "cases": cases}) + "\n")


def main():
    model = Model().eval()
    state = model.state_dict()
    state["gru.h0_l0"] = state.pop("h0").flatten()
    config = {"task": "sequence-prediction", "network": [
        {"type": "lstm", "prefix": "lstm", "input_size": 3, "hidden_size": 6, "num_layers": 2, "proj_size": 4},
        {"type": "gru", "prefix": "gru", "input_size": 4, "hidden_size": 5, "initial_state": True},
        {"type": "linear", "prefix": "out", "in_features": 5, "out_features": 2}]}
    cases, requests = [], []
    with torch.no_grad():
        for n in (1, 3, 7):
            x = torch.randn(1, n, 3)
            cases.append({"input": x[0].tolist(), "features": x[0].tolist(), "output": model(x)[0].tolist()})
        for n, many in ((1, 1), (5, 1), (4, 2), (3, 1)):
            x, h, c, g = torch.randn(many, n, 3), torch.randn(2, 4), torch.randn(2, 6), torch.randn(5)
            repeat = lambda t: t.unsqueeze(1).expand(-1, many, -1).contiguous()
            results = model(x, (repeat(h), repeat(c)), repeat(g[None])).tolist()
            requests.append({"body": {"model": "begun", "input": x.tolist() if many > 1 else x[0].tolist(),
                                      "initial_state": {"h": h.tolist() + [g.tolist()], "c": c.tolist()}},
                             "results": results})
    for request in requests[:2]:
        body = request["body"]
        cases.append({"input": body["input"], "features": body["input"], "initial_state": body["initial_state"],
                      "output": request["results"][0]})
    write("begun", state, config, cases)
    (HERE / "initial.json").write_text("[" + ",\n".join(map(json.dumps, requests)) + "]\n")
    padded()


main()
