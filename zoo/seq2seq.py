"""What the recipes of encoder-decoders share: the network, its training, and beam search.

    source -> embedding -> BiLSTM, 2 layers = memory
    target -> embedding -> LSTM = h1; attention(h1) = c1; [c1, h1] -> LSTM = h2; attention(h2) = c2
           -> linear [c2, h2] -> tanh -> linear

The first decoder LSTM knows what has been written, the second one also where it was read, because the first
attention is among its inputs. No layer reads what a later one gave in the step before ("input feeding"), so a
training step runs each LSTM once over all steps.
"""

import math
import random
import time

import torch
from torch import nn
from torch.nn import functional

import recipe

BOS, EOS = 0, 1  # the first two entries of each vocabulary


class Attention(nn.Module):
    """General attention: the score of a row m of the memory is q . (W m) / sqrt(size of q)."""

    def __init__(self, query_size, memory_size):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(query_size, memory_size))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, query, memory):
        scores = (query @ self.weight) @ memory.transpose(1, 2) / math.sqrt(self.weight.shape[0])
        return scores.softmax(2) @ memory


class Model(nn.Module):
    """sizes: embedding, encoder (of each direction), decoder1, decoder2. All sources of a batch have the same
    length. `tied`: source and target have one vocabulary, and one matrix is the embedding of both and the weight
    of the output (Press and Wolf, 2017), so `mix` gives vectors of the embedding's size."""

    def __init__(self, sources, targets, sizes, dropout, tied=False):
        super().__init__()
        E, H, D1, D2 = sizes
        M = 2 * H
        self.names, self.targets, self.tied = (sources, targets, sizes, tied), targets, tied
        self.source = nn.Embedding(sources, E)
        if not tied:
            self.target = nn.Embedding(targets, E)
        self.encoder = nn.LSTM(E, H, num_layers=2, bidirectional=True, dropout=dropout, batch_first=True)
        self.decoder1 = nn.LSTM(E, D1, batch_first=True)
        self.attention1 = Attention(D1, M)
        self.decoder2 = nn.LSTM(M + D1, D2, batch_first=True)
        self.attention2 = Attention(D2, M)
        self.mix = nn.Linear(M + D2, E if tied else D2)
        if tied:
            nn.init.normal_(self.source.weight, std=0.3)  # smaller ones are slow to learn from
        else:
            self.out = nn.Linear(D2, targets)
        self.dropout = nn.Dropout(dropout)

    def encode(self, source):
        memory, _ = self.encoder(self.dropout(self.source(source)))
        return self.dropout(memory)

    def decode(self, target, memory, states=(None, None)):
        """Logits after each step of the target, and the states with which to go on."""
        embedding = self.source if self.tied else self.target
        h, first = self.decoder1(self.dropout(embedding(target)), states[0])
        h = self.dropout(h)
        h, second = self.decoder2(torch.cat([self.attention1(h, memory), h], 2), states[1])
        h = self.dropout(h)
        mixed = torch.tanh(self.mix(torch.cat([self.attention2(h, memory), h], 2)))
        mixed = self.dropout(mixed)
        logits = functional.linear(mixed, self.source.weight) if self.tied else self.out(mixed)
        return logits, (first, second)

    def forward(self, source, target):
        return self.decode(target, self.encode(source))[0]

    def network(self):
        """As config.json says it."""
        sources, targets, (E, H, D1, D2), tied = self.names
        M, O = 2 * H, E if tied else D2

        def embedding(prefix, n):
            return {"type": "embedding", "prefix": prefix, "num_embeddings": n, "embedding_dim": E}

        def lstm(prefix, inputs, size, **more):
            return {"type": "lstm", "prefix": prefix, "input_size": inputs, "hidden_size": size, **more}

        def attention(prefix, query, name):
            return {"type": "attention", "prefix": prefix, "score": "general", "scaled": True,
                    "query_size": query, "memory_size": M, "name": name}

        return {
            "encoder": [embedding("source", sources), lstm("encoder", E, H, num_layers=2, bidirectional=True)],
            "decoder": [
                embedding("source" if tied else "target", targets),
                lstm("decoder1", E, D1, name="h1"),
                attention("attention1", D1, "c1"),
                {"type": "concat", "inputs": ["c1", "h1"]},
                lstm("decoder2", M + D1, D2, name="h2"),
                attention("attention2", D2, "c2"),
                {"type": "concat", "inputs": ["c2", "h2"]},
                {"type": "linear", "prefix": "mix", "in_features": M + D2, "out_features": O},
                {"type": "tanh"},
                {"type": "linear", "prefix": "source" if tied else "out", "in_features": O, "out_features": targets,
                 **({"bias": False} if tied else {})},
            ],
        }


class Plan:
    """The learning rate: up in a line over the first 2 % of the training, then down along a cosine. How far the
    training is follows the epochs, or the clock if `minutes` are given: it then ends on time, on any machine and
    beside any other work, because what is left of the way is spread over what is left of the time."""

    def __init__(self, optimizer, rate, steps, minutes):
        self.optimizer, self.rate, self.share = optimizer, rate, 1 / steps
        self.far, self.last = 0.0, time.time()
        self.end = self.last + 60 * minutes if minutes else None

    def step(self):
        now = time.time()
        if self.end:
            left = self.end - now
            took = min(now - self.last, 20)  # a process that was stopped for a while loses no part of the way
            self.far = 1.0 if left <= took else self.far + took / left * (1 - self.far)
        else:
            self.far += self.share
            if self.far > 1 - self.share / 2:  # the sum is rounded
                self.far = 1.0
        self.last = now
        factor = min(1.0, self.far / 0.02 + 0.01) * 0.5 * (1 + math.cos(math.pi * self.far))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * factor

    def state_dict(self):
        return {"far": self.far}

    def load_state_dict(self, state):
        self.far = state["far"]


def pad(targets):
    """What the decoder reads, and what it is to say: [n, T] each, with -100 after the end of the shorter."""
    longest = max(len(t) for t in targets) + 1
    read = torch.tensor([[BOS, *t] + [EOS] * (longest - 1 - len(t)) for t in targets])
    said = torch.tensor([[*t, EOS] + [-100] * (longest - 1 - len(t)) for t in targets])
    return read, said


def train(model, pairs, args, rate, batch, note):
    """pairs: (source, target), ids without BOS and EOS of the target. note(average model): what to print after
    an epoch. The model ends as the moving average of its weights."""
    steps = len(recipe.batches_of_nearly_one_length(pairs, batch))
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    average = recipe.Average(model, 0.998)
    plan = Plan(optimizer, rate, args.epochs * steps, args.minutes)
    progress = recipe.Progress(args.epochs, steps, every=30)
    epoch = recipe.load_checkpoint(args.checkpoint, model, optimizer, average, plan)
    while plan.far < 1:
        model.train()
        for step, indices in enumerate(recipe.batches_of_nearly_one_length(pairs, batch)):
            read, said = pad([pairs[i][1] for i in indices])
            with recipe.autocast(args):
                logits = model(torch.tensor([pairs[i][0] for i in indices]), read).float()
            loss = functional.cross_entropy(logits.flatten(0, 1), said.flatten(), label_smoothing=0.1)
            recipe.descend(loss, model, optimizer, plan)
            average.update(model)
            progress.step(epoch, step, loss.item())
            if plan.far >= 1:
                break
        epoch += 1
        recipe.save_checkpoint(args.checkpoint, epoch, model, optimizer, average, plan)
        kept = {k: v.clone() for k, v in model.state_dict().items()}
        model.load_state_dict(average.weights)
        progress.epoch(epoch - 1, f"{100 * plan.far:.0f} % of the way, {note(model.eval())}")
        if plan.far < 1:
            model.load_state_dict(kept)
    return model


def reorder(states, rows):
    return tuple(tuple(part[:, rows] for part in state) for state in states)


@torch.no_grad()
def search(model, sources, beams, max_tokens, length_penalty=1.0):
    """The results of beam search for sources of one length, as the server finds them: for each a list of
    (score, tokens), best first. models/translation/translation.h says how."""
    n, V = len(sources), model.targets
    memory = model.encode(torch.tensor(sources)).repeat_interleave(beams, 0)
    token, states = torch.full((n * beams, 1), BOS), (None, None)
    scores = torch.full((n, beams), -math.inf)
    scores[:, 0] = 0
    texts = [[[] for _ in range(beams)] for _ in range(n)]
    done, open_ = [[] for _ in range(n)], set(range(n))
    for length in range(1, max_tokens + 1):
        logits, states = model.decode(token, memory, states)
        total = scores[:, :, None] + logits[:, 0].log_softmax(1).view(n, beams, V)
        best, at = total.view(n, -1).topk(2 * beams)
        rows, token = torch.arange(n * beams), token.clone()
        scores = torch.full((n, beams), -math.inf)
        for i in sorted(open_):
            alive = []
            for rank, (score, place) in enumerate(zip(best[i].tolist(), at[i].tolist())):
                parent, word = divmod(place, V)
                if score == -math.inf:
                    continue
                if word == EOS:
                    if rank < beams:
                        done[i].append((score / length ** length_penalty, texts[i][parent]))
                elif len(alive) < beams:
                    alive.append((score, parent, texts[i][parent] + [word]))
            if len(done[i]) >= beams or not alive or length == max_tokens:
                open_.discard(i)
                if length == max_tokens:
                    done[i] += [(score / length ** length_penalty, text) for score, _, text in alive]
            for k, (score, parent, text) in enumerate(alive):
                scores[i, k], rows[i * beams + k], token[i * beams + k] = score, i * beams + parent, text[-1]
            texts[i] = [text for _, _, text in alive] + [[]] * (beams - len(alive))
        states = reorder(states, rows)
        if not open_:
            break
    return [sorted(results, key=lambda r: -r[0])[:beams] for results in done]


def search_all(model, sources, beams, max_tokens, length_penalty=1.0, size=256):
    """The same for sources of any lengths, in their order."""
    results = [None] * len(sources)
    state = random.getstate()
    for indices in recipe.batches_of_one_length(sources, size):
        found = search(model, [sources[i] for i in indices], beams, max_tokens, length_penalty)
        for i, result in zip(indices, found):
            results[i] = result
    random.setstate(state)
    return results
