"""Golden cases of networks that are not a chain: named inputs, concat, add, multiply, previous, attention.

make_golden.py writes them with its own. A case is a list of (name, layer, inputs): `inputs` are names of layers, or
"input", and None is the layer before. Three more things stand in the lines of such a case:

    layer TYPE PREFIX KEY=VALUE ... inputs=I,J    places in the list of layers; -1 is what enters
    memory SIZE S1 S2 ...                         numbers a row, and rows a sequence
    data: the memories follow the inputs

Where a layer recalls another ("previous"), the reference runs the network step by step, as a decoder's loop in
PyTorch does; elsewhere layer by layer. Gradients are those of make_golden.py, and none if there is a
gaussian_attention: by a token they are the sum over all embeddings of it. Behind them, of a case with memories, are
those by the memories.
"""
import os
import struct

import torch
from torch import nn

F = nn.functional


class Attention(nn.Module):
    def __init__(self, score, query_size, memory_size, attention_size=0, bias=0, scaled=0):
        super().__init__()
        self.score, self.scale = score, query_size ** -0.5 if scaled else 1.0
        if score == "general":
            made = nn.Linear(memory_size, query_size, bias=bool(bias))
            self.weight, self.bias = made.weight, made.bias
        if score == "additive":
            self.query = nn.Linear(query_size, attention_size, bias=bool(bias))
            self.key = nn.Linear(memory_size, attention_size, bias=bool(bias))
            self.energy = nn.Linear(attention_size, 1, bias=False)

    def forward(self, q, memory):
        if self.score == "additive":
            e = self.energy(torch.tanh(self.query(q)[:, None] + self.key(memory)[None])).squeeze(-1)
            return torch.softmax(e, 1) @ memory
        keys = F.linear(memory, self.weight, self.bias) if self.score == "general" else memory
        return F.scaled_dot_product_attention(q[None], keys[None], memory[None], scale=self.scale)[0]


class GaussianAttention(nn.Linear):
    """Graves' window (2013, equations 46 to 51)."""
    def __init__(self, query_size, memory_size, num_gaussians, first_position):
        super().__init__(query_size, 3 * num_gaussians)
        self.first = first_position

    def forward(self, x, memory, kappa):
        u, rows = torch.arange(len(memory)) + self.first, []
        for given in super().forward(x).exp():
            alpha, beta, step = given.chunk(3)
            kappa = step if kappa is None else kappa + step
            phi = (alpha[:, None] * (-beta[:, None] * (kappa[:, None] - u) ** 2).exp()).sum(0)
            rows.append(phi @ memory)
        return torch.stack(rows), kappa


def lstm(i, h, n=1, both=0):
    return ("lstm", dict(input_size=i, hidden_size=h, num_layers=n, bias=1, bidirectional=both, proj_size=0))


def linear(i, o):
    return ("linear", dict(in_features=i, out_features=o, bias=1))


def embedding(v, e):
    return ("embedding", dict(num_embeddings=v, embedding_dim=e))


def attention(score, q, m, a=0, bias=0, scaled=0):
    return ("attention", dict(score=score, query_size=q, memory_size=m, attention_size=a, bias=bias, scaled=scaled))


def window(q, m, k, first=1):
    return ("gaussian_attention", dict(query_size=q, memory_size=m, num_gaussians=k, first_position=first))


def previous(n):
    return ("previous", dict(size=n))


CONCAT, ADD, MULTIPLY, TANH, SIGMOID, RELU, DROPOUT = (
    (kind, {}) for kind in ("concat", "add", "multiply", "tanh", "sigmoid", "relu", "dropout"))
DROPOUT = ("dropout", dict(p=0.25))


def decoder(vocabulary, e, h, m, score, **keys):
    """Luong's: input feeding, attention, a tanh layer over context and h."""
    return [("words", embedding(vocabulary, e), ["input"]), ("fed", previous(h), ["mixed"]),
            ("step", CONCAT, ["words", "fed"]), ("h", lstm(e + h, h), None), ("c", attention(score, h, m, **keys), None),
            ("both", CONCAT, ["c", "h"]), (None, linear(m + h, h), None), ("mixed", TANH, None),
            (None, linear(h, vocabulary), None)]


# name: layers, lengths, lengths of the memories or None
GRAPHS = {
    "graph_skip": ([("a", lstm(4, 9), None), (None, CONCAT, ["input", "a"]), (None, linear(13, 5), None)], [6, 2, 9],
                   None),
    "graph_residual": ([("x", linear(4, 8), None), ("a", lstm(8, 8), None), ("b", ADD, ["x", "a"]),
                        (None, DROPOUT, None), ("c", lstm(8, 8), None), (None, ADD, ["c", "b", "x"]),
                        (None, linear(8, 3), None)], [5, 8, 1], None),
    "graph_highway": ([("h", lstm(4, 7), None), ("t", linear(7, 7), ["h"]), ("gate", SIGMOID, None),
                       ("u", linear(7, 7), ["h"]), ("new", RELU, None), ("in", MULTIPLY, ["gate", "new"]),
                       (None, ADD, ["in", "h"]), (None, linear(7, 2), None)], [4, 7], None),
    "graph_shared_embedding": ([("e", embedding(15, 6), None), ("a", lstm(6, 9), None), (None, CONCAT, ["e", "a"]),
                                ("b", lstm(15, 5), None), (None, CONCAT, ["b", "a", "e"]), (None, linear(20, 15), None)],
                               [7, 3, 5], None),
    "graph_two_embeddings": ([("e", embedding(15, 6), ["input"]), ("f", embedding(15, 4), ["input"]),
                              (None, CONCAT, ["e", "f"]), (None, lstm(10, 9), None), (None, linear(9, 15), None)],
                             [7, 3, 5], None),
    "graph_both": ([("e", embedding(15, 6), None), ("a", lstm(6, 9, both=1), None), (None, CONCAT, ["e", "a"]),
                    (None, lstm(24, 5, both=1), None), (None, linear(10, 4), None)], [7, 3, 5], None),
    "graph_previous": ([("last", previous(5), ["y"]), (None, CONCAT, ["last", "x"]), ("h", lstm(8, 9), None),
                        (None, linear(9, 5), None), ("y", TANH, None)], [6, 2, 9], None),
    "attention_dot": ([("e", embedding(15, 6), None), ("h", lstm(6, 8), None), ("c", attention("dot", 8, 8), None),
                       (None, CONCAT, ["c", "h"]), (None, linear(16, 15), None)], [7, 3, 5], [4, 40, 1]),
    "attention_scaled": ([("h", lstm(3, 8), None), (None, attention("dot", 8, 8, scaled=1), None),
                          (None, linear(8, 2), None)], [7, 3, 5], [4, 100, 32]),
    "attention_general": ([("h", lstm(3, 9), None), ("c", attention("general", 9, 13), None),
                           (None, CONCAT, ["h", "c"]), (None, lstm(22, 6), None)], [7, 3, 5], [33, 9, 1]),
    "attention_general_bias": ([("h", linear(3, 9), None), ("c", attention("general", 9, 20, bias=1, scaled=1), None)],
                               [4, 2], [3, 64]),
    "attention_additive": ([("h", lstm(3, 9), None), ("c", attention("additive", 9, 13, a=17), None),
                            (None, CONCAT, ["h", "c"]), (None, linear(22, 6), None)], [7, 3, 5], [33, 9, 1]),
    "attention_twice": ([("h", lstm(3, 9), None), ("c", attention("additive", 9, 7, a=5, bias=1), None),
                         ("d", attention("general", 9, 7), ["h"]), (None, CONCAT, ["h", "c", "d"]),
                         (None, linear(23, 6), None)], [7, 3, 5], [33, 9, 70]),
    "decoder_general": (decoder(19, 6, 16, 12, "general"), [9, 4, 1, 12], [7, 50, 1, 20]),
    "decoder_additive": (decoder(11, 5, 9, 7, "additive", a=8, bias=1), [9, 4], [7, 50]),
    "gaussian_attention": ([("h", lstm(3, 8), None), ("w", window(8, 5, 3), None), (None, CONCAT, ["w", "h"]),
                            (None, linear(13, 4), None)], [7, 3, 15], [4, 40, 1]),
    "gaussian_handwriting": ([("read", previous(6), ["w"]), ("x", ("identity", dict(size=3)), ["input"]),
                              (None, CONCAT, ["x", "read"]), ("h", lstm(9, 8), None),
                              ("w", window(8, 6, 2, first=0), None), (None, CONCAT, ["x", "w", "h"]),
                              ("g", lstm(17, 7), None), (None, CONCAT, ["h", "g"]), (None, linear(15, 13), None)],
                             [12, 5], [6, 9]),
}
# "x" of graph_previous is what enters: its first layer must give the size.
GRAPHS["graph_previous"][0].insert(1, ("x", linear(3, 3), ["input"]))


def sources(layers):
    places = {name: i for i, (name, _, _) in enumerate(layers) if name} | {"input": -1}
    return [[places[name] for name in inputs] if inputs else [i - 1] for i, (_, _, inputs) in enumerate(layers)]


def apply(kind, m, xs, memory, cell):
    """One layer over rows; `cell` is the state that an LSTM goes on from. Rows, and the state after them."""
    if kind == "lstm":
        return m(xs[0], cell)
    if kind == "attention":
        return m(xs[0], memory), None
    if kind == "gaussian_attention":
        return m(xs[0], memory, cell)
    joined = {"concat": lambda: torch.cat(xs, -1), "add": lambda: sum(xs), "multiply": lambda: torch.stack(xs).prod(0)}
    return (joined[kind]() if kind in joined else m(xs[0])), None


def run(layers, modules, x, memory):
    """Outputs [T, O], and the final states in the order of the layers."""
    from_, T = sources(layers), len(x)
    recalls = any(kind == "previous" for _, (kind, _), _ in layers)
    cells, last, rows = [None] * len(layers), [None] * len(layers), []
    for part in (x.split(1) if recalls else [x]):
        made = {-1: part}
        for i, (_, (kind, keys), _) in enumerate(layers):
            if kind == "previous":
                gone = last[from_[i][0]]
                made[i] = torch.zeros(1, keys["size"], dtype=torch.get_default_dtype()) if gone is None else gone
                continue
            made[i], cells[i] = apply(kind, modules[i], [made[s] for s in from_[i]], memory, cells[i])
        last = [made[i] for i in range(len(layers))]
        rows.append(last[-1])
    state = []
    for i, (_, (kind, keys), _) in enumerate(layers):
        if kind == "lstm" and not keys["bidirectional"]:
            h, c = cells[i]
            state += [v for k in range(keys["num_layers"]) for v in (h[k], c[k])]
        if kind == "gaussian_attention":
            state.append(cells[i])
        if kind == "previous":
            state.append(last[from_[i][0]][0])
    y = torch.cat(rows)
    assert len(y) == T
    return y, torch.cat(state) if state else torch.zeros(0)


def gradient(layers, modules, x, memory, index):
    """Autograd's gradient of one output of one sequence: as make_golden.py's, over all layers that read the input, and
    by the memory."""
    if any(kind == "gaussian_attention" for _, (kind, _), _ in layers):
        return torch.zeros(0), torch.zeros(0)
    by = torch.ones(len(x), 1, requires_grad=True) if x.dtype == torch.int64 else x.detach().clone().requires_grad_()
    memory = memory if memory is None else memory.detach().clone().requires_grad_()
    if x.dtype == torch.int64:
        modules = [Scaled(m, by) if kind == "embedding" else m for (_, (kind, _), _), m in zip(layers, modules)]
    y, _ = run(layers, modules, x if x.dtype == torch.int64 else by, memory)
    y[2 * len(y) // 3, index % y.shape[1]].backward()
    return by.grad, torch.zeros(0) if memory is None else memory.grad


class Scaled:
    """An embedding whose vectors have a factor a step. It is called with the steps in their order, some at a time."""

    def __init__(self, embedding, factor):
        self.embedding, self.factor, self.done = embedding, factor, 0

    def __call__(self, x):
        first, self.done = self.done, self.done + len(x)
        return self.embedding(x) * self.factor[first:self.done]


ATTENTIONS = {"attention": Attention, "gaussian_attention": GaussianAttention}


def make(index, name, case, module, folder, gain=2.0):
    layers, lengths, spans = case
    torch.manual_seed(index)
    torch.set_default_dtype(torch.float32)
    joins = ("concat", "add", "multiply", "previous", "identity")
    modules = [nn.Identity() if kind in joins else ATTENTIONS[kind](**keys) if kind in ATTENTIONS else module(kind, keys)
               for _, (kind, keys), _ in layers]
    tokens = next((keys["num_embeddings"] for _, (kind, keys), _ in layers if kind == "embedding"), 0)
    width = 0 if tokens else next(keys.get("input_size") or keys.get("in_features") or keys["size"]
                                  for _, (kind, keys), _ in layers if kind in ("lstm", "linear", "identity"))
    size = next((keys["memory_size"] for _, (kind, keys), _ in layers if kind in ATTENTIONS), 0)
    lines, tensors, from_ = [], [], sources(layers)
    for i, ((_, (kind, keys), _), m) in enumerate(zip(layers, modules)):
        m.eval()
        prefix = f"{kind}{i}" if kind in ATTENTIONS or any(True for _ in m.parameters()) else "-"
        lines.append(f"layer {kind} {prefix}" + "".join(f" {k}={v}" for k, v in keys.items())
                     + " inputs=" + ",".join(map(str, from_[i])))
        for tensor_name, p in m.named_parameters():
            if kind not in ("embedding", "gaussian_attention"):
                p.data *= gain
            tensors.append((f"{prefix}.{tensor_name}", p.data.clone()))
    xs = [torch.randint(tokens, (n,)) if tokens else torch.randn(n, width) for n in lengths]
    memories = [torch.randn(s, size) for s in spans or []]
    with torch.no_grad():
        single = [run(layers, modules, x, memory) for x, memory in zip(xs, memories or [None] * len(xs))]
        torch.set_default_dtype(torch.float64)
        for m in modules:
            m.double()
        exact = [run(layers, modules, x if tokens else x.double(), memory if memory is None else memory.double())
                 for x, memory in zip(xs, memories or [None] * len(xs))]
    pairs = [gradient(layers, modules, x if tokens else x.double(), memory if memory is None else memory.double(), i)
             for i, (x, memory) in enumerate(zip(xs, memories or [None] * len(xs)))]
    gradients, by_memory = (torch.cat([pair[k].flatten() for pair in pairs]) for k in (0, 1))
    drift = max((a[j] - b[j]).abs().max().item() for a, b in zip(single, exact) for j in (0, 1) if b[j].numel())
    whole = any(keys.get("bidirectional") for _, (_, keys), _ in layers)
    outputs = torch.cat([y for y, _ in exact])
    states = torch.zeros(0) if whole else torch.cat([s for _, s in exact])
    lines += [f"tensor {n} " + " ".join(map(str, t.shape)) for n, t in tensors]
    lines += ["input tokens" if tokens else f"input features {width}", "lengths " + " ".join(map(str, lengths))]
    lines += [f"memory {size} " + " ".join(map(str, spans))] if spans else []
    lines += [f"output {outputs.shape[1]} {outputs.shape[0]}", f"state {states.numel() // len(lengths)}",
              f"gradient {gradients.numel() // sum(lengths)}", "data"]
    path = os.path.join(folder, name + ".gold")
    with open(path, "wb") as file:
        file.write("\n".join(["carousel golden 1", f"case {name}"] + lines).encode() + b"\n")
        for values in [t for _, t in tensors] + [torch.cat(xs)] + memories + [outputs, states, gradients, by_memory]:
            kind = "i" if values.dtype == torch.int64 else "f"
            values = values.flatten().tolist()
            file.write(struct.pack(f"<{len(values)}{kind}", *values))
    chain = " ".join(kind for _, (kind, _), _ in layers if kind != "dropout")
    return f"| {name} | {index} | {chain} | {len(lengths)} | {max(lengths)} | {os.path.getsize(path)} | {drift:.1e} |"


def make_all(module, folder):
    return [make(1001 + i, name, case, module, folder) for i, (name, case) in enumerate(GRAPHS.items())]
