#!/usr/bin/env python3
"""Makes the bundles of the tests of POST /v1/answer: small networks of PyTorch.

    python3 tests/http/answering/make.py          needs torch; nothing else

`places` is trained for some seconds on stories made by a rule, so that tests can expect answers and sentences by name:
two persons go to three places. `pooled` has random weights, a pooling layer, and a token for unknown words.
"""
import pathlib
import random
import sys

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "predict"))
import make as plain  # noqa: E402

plain.HERE = pathlib.Path(__file__).parent
PERSONS, PLACES = ["ann", "bob"], ["garden", "office", "kitchen"]
WORDS = ["<s>", "</s>", "where", "is", "?", "went", "to", "the", ".", *PERSONS, *PLACES]


class Net(nn.Module):
    def __init__(self, vocabulary, hidden, layers, outputs, pools):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, 8)
        self.lstm = nn.LSTM(8, hidden, layers, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * hidden, outputs)
        self.pools = pools

    def forward(self, x):
        out, (h, _) = self.lstm(self.embed(x))
        return self.head(torch.cat([h[-2], h[-1]], -1) if self.pools else out)

    def layers(self):
        layers = [{"type": "embedding", "prefix": "embed", "num_embeddings": self.embed.num_embeddings,
                   "embedding_dim": 8},
                  {"type": "lstm", "prefix": "lstm", "input_size": 8, "hidden_size": self.lstm.hidden_size,
                   "num_layers": self.lstm.num_layers, "bidirectional": True},
                  {"type": "linear", "prefix": "head", "in_features": self.head.in_features,
                   "out_features": self.head.out_features}]
        return layers[:2] + [{"type": "pooling", "mode": "last"}] + layers[2:] if self.pools else layers


def split(text):
    return text.replace(".", " .").replace("?", " ?").split()


def story(n):
    """A question, n sentences, the place and the sentence that says so; both persons occur."""
    while True:
        moves = [(random.choice(PERSONS), random.choice(PLACES)) for _ in range(n)]
        person = random.choice(PERSONS)
        found = [i for i, move in enumerate(moves) if move[0] == person]
        if found:
            return (f"where is {person}?", [f"{p} went to the {place}." for p, place in moves], moves[found[-1]][1],
                    found[-1])


def tokens(question, sentences):
    return [0] + [WORDS.index(w) for w in split(" ".join([question, *sentences]))] + [1]


def places():
    torch.manual_seed(1)
    random.seed(1)
    net = Net(len(WORDS), 16, 2, len(PLACES) + 1, False)
    adam = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(1500):
        n = random.randint(1, 5)
        stories = [story(n) for _ in range(32)]
        y = net(torch.tensor([tokens(q, s) for q, s, _, _ in stories]))
        rests = torch.tensor([[float(i == found) for i in range(n)] for _, _, _, found in stories])
        loss = nn.functional.cross_entropy(y[:, -1, :-1], torch.tensor([PLACES.index(p) for _, _, p, _ in stories]))
        loss += nn.functional.binary_cross_entropy_with_logits(y[:, 10:-1:6, -1], rests)
        adam.zero_grad()
        loss.backward()
        adam.step()
    print("places: loss", loss.item())
    cases = []
    for n in (1, 3, 5):
        question, sentences, _, _ = story(n)
        ids = tokens(question, sentences)
        outputs = net(torch.tensor([ids]))[0]
        cases.append({"input": {"question": question, "context": " ".join(sentences)}, "tokens": ids,
                      "outputs": plain.rows(outputs)})
    plain.write("places", {"task": "question-answering", "network": net.layers(), "labels": PLACES,
                           "tokenizer": {"type": "words", "vocabulary": WORDS, "bos_token": "<s>",
                                         "eos_token": "</s>", "lowercase": True},
                           "answering": {"supporting": True}}, net, cases)


def pooled():
    torch.manual_seed(2)
    words = ["<unk>", "is", "it", "red", "blue", ".", "?"]
    net = Net(len(words), 6, 1, 2, True)
    cases = []
    for question, context in ("is it red?", "it is blue."), ("is it green?", "it is."), ("red?", "blue"):
        ids = [words.index(w) if w in words else 0 for w in split(question) + split(context)]
        cases.append({"input": {"question": question, "context": context}, "tokens": ids,
                      "output": plain.rows(net(torch.tensor([ids])))[0]})
    plain.write("pooled", {"task": "question-answering", "network": net.layers(), "labels": ["no", "yes"],
                           "tokenizer": {"type": "words", "vocabulary": words, "unk_token": "<unk>"}}, net, cases)


if __name__ == "__main__":
    torch.set_num_threads(1)
    places()
    pooled()
