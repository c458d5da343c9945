"""slots: what does the user of a voice assistant want, and which words say of what? One of seven intents, and the
entities of 39 kinds, from one network.

Data: SNIPS custom intents, https://github.com/sonos/nlu-benchmark (2017-06-custom-intent-engines), CC0: the files
train_INTENT_full.json in one folder (--data). Or a file of your own with a text in each line: its intent, a tab,
and the text with its entities marked: "GetWeather<TAB>will it rain in [New York](city) [tomorrow](time)". A tenth
of the texts, chosen by the hash of their letters, is held out: texts that differ in case, figures or punctuation
only are on the same side.

words -> embedding 96 -> BiLSTM 160 -> BiLSTM 160 -> linear, a score a label at each word and a score an intent, whose
mean over the words counts. The labels are the best path by these scores and by learned scores of each label after
each other (a conditional random field).

In training the vector of a word is a sum: of the word in small letters, of its shape (Xxxxx, dd) and of its last
three and two letters. A word of the vocabulary has its sum in the bundle's table. So has each usual pair of a
shape and an ending, which stands for words that are not in the vocabulary.
"""

import codecs
import collections
import hashlib
import json
import pathlib
import re
import sys

import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import recipe

WIDTH, HIDDEN = 96, 160
BATCH, RATE, DROPOUT, LOWERED, ALPHA = 32, 2e-3, 0.4, 0.3, 0.5
TENTHS, SUFFIX = 10, 3
NEVER = -1e4  # the score of a label that cannot follow another
EXAMPLES = ["Will it rain in Lisbon tomorrow?", "play some jazz by Miles Davis", "Book a table for two at eight",
            "add Xylophonia to my playlist"]


# ---- texts, their tokens and their entities --------------------------------------------------------

def places(text):
    """The words of the server's `words` tokenizer (docs/bundle-format.md) as spans of characters."""
    return [m.span() for m in re.finditer(r"[A-Za-z0-9'\u0080-\U0010ffff]+|[^ \t\n\v\f\r]", text)]


codecs.register_error("latin-1", lambda error: (error.object[error.start:error.end].decode("latin-1"), error.end))


def read_json(path):
    document = json.loads(path.read_bytes().decode("utf-8", "latin-1"))  # one file holds both
    for intent, utterances in document.items():
        for utterance in utterances:
            yield intent, [(part["text"], part.get("entity")) for part in utterance["data"]]


def read_lines(path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        intent, tab, text = line.partition("\t")
        if not tab:
            sys.exit(f"{path}: line {number} has no tab; expected an intent, a tab and a text")
        parts = re.split(r"\[([^\]]*)\]\(([^)]*)\)", text)
        yield intent, [pair for i in range(0, len(parts), 3)
                       for pair in ((parts[i], None), *([tuple(parts[i + 1:i + 3])] if i + 1 < len(parts) else []))]


def read(path):
    """Texts as (text, intent, entities), an entity being (start, end, kind) in characters; each text once."""
    path, rows = pathlib.Path(path), {}
    sources = [read_json(file) for file in sorted(path.glob("*.json"))] if path.is_dir() else [read_lines(path)]
    for intent, parts in (row for source in sources for row in source):
        text, entities = "", []
        for part, kind in parts:
            if kind and part.strip():
                start = len(text) + len(part) - len(part.lstrip())
                entities.append((start, start + len(part.strip()), kind))
            text += part
        rows.setdefault(text, (text, intent, entities))
    return [row for row in rows.values() if row[0].strip()]


def is_held(text):
    letters = re.sub(r"[\W\d_]", "", text.lower())
    return int(hashlib.sha256(letters.encode()).hexdigest(), 16) % TENTHS == 0


def marks(row):
    """A label a word: B-kind, I-kind or O. A word that two entities share is the first one's."""
    text, _, entities = row
    out, before = [], None
    for start, end in places(text):
        entity = next((e for e in entities if e[0] < end and start < e[1]), None)
        out.append("O" if not entity else ("I-" if entity is before else "B-") + entity[2])
        before = entity
    return out


# ---- the vocabulary ---------------------------------------------------------------------------------

def shape(word):
    """A letter for each character: X, x or d; of equal neighbours at most four."""
    kinds = "".join("X" if "A" <= c <= "Z" else "d" if "0" <= c <= "9" else c if c < "\x80" and not c.isalpha() else "x"
                    for c in word)
    return re.sub(r"(.)\1{4,}", r"\1\1\1\1", kinds)


def lowered(word):
    return re.sub("[A-Z]+", lambda m: m[0].lower(), word)


def stand_ins(word):
    """The entries that may stand for a word, the nearest first."""
    return [f"<{shape(word)}:{lowered(word)[-n:]}>" for n in range(SUFFIX, 0, -1)] + [f"<{shape(word)}>"]


class Vocabulary:
    def __init__(self, entries):
        self.entries, self.index = entries, {entry: i for i, entry in enumerate(entries)}

    @staticmethod
    def of(texts):
        """Words that the texts have twice or more, in small letters, as they are and with a capital; what stands for
        others."""
        forms = collections.Counter(text[a:b] for text in texts for a, b in places(text))
        counts = collections.Counter()
        for form, n in forms.items():
            counts[lowered(form)] += n
        known = {word for word, n in counts.items() if n >= 2}
        words = known | {form for form in forms if lowered(form) in known}
        words |= {word[0].upper() + word[1:] for word in known if "a" <= word[0] <= "z"}
        others = collections.Counter(entry for form in {*forms, *counts} for entry in set(stand_ins(form)))
        return Vocabulary(["<unk>"] + sorted(words) + sorted(entry for entry, n in others.items() if n >= 2))

    def id(self, word):
        for entry in (word, lowered(word), *stand_ins(word)):
            if entry in self.index:
                return self.index[entry]
        return 0

    def ids(self, text):
        return [self.id(text[a:b]) for a, b in places(text)]

    def parts(self):
        """Of each entry: numbers of its word, its shape, its last three and its last two letters; 0 is none.
        And how many there are of each."""
        tables, rows = [{None: 0} for _ in range(4)], []
        for entry in self.entries:
            if entry == "<unk>":
                keys = [None] * 4
            elif entry[0] == "<" and len(entry) > 1:
                form, _, end = entry[1:-1].partition(":")
                keys = [None, form, end if len(end) == 3 else None, end[-2:] if len(end) >= 2 else None]
            else:
                word = lowered(entry)
                keys = [word, shape(entry), *(word[-n:] if len(word) >= n else None for n in (3, 2))]
            rows.append([table.setdefault(key, len(table)) for table, key in zip(tables, keys)])
        return torch.tensor(rows), [len(table) for table in tables]


# ---- the network --------------------------------------------------------------------------------------

class Crf(nn.Module):
    """A conditional random field, with the names and the meaning of PyPI's pytorch-crf. I-x follows B-x or I-x."""

    def __init__(self, labels):
        super().__init__()
        lost = torch.tensor([[b[0] == "I" and a[1:] != b[1:] for b in labels] for a in ["O", *labels]]) * NEVER
        self.start_transitions = nn.Parameter(lost[0].clone())
        self.end_transitions = nn.Parameter(torch.zeros(len(labels)))
        self.transitions = nn.Parameter(lost[1:].clone())

    def loss(self, scores, labels):
        """The negative logarithm of the share of the right path among all: scores [B, T, n], labels [B, T] -> [B]."""
        right = scores.gather(2, labels[..., None]).sum((1, 2)) + self.start_transitions[labels[:, 0]]
        right = right + self.transitions[labels[:, :-1], labels[:, 1:]].sum(1) + self.end_transitions[labels[:, -1]]
        every = self.start_transitions + scores[:, 0]
        for t in range(1, scores.shape[1]):
            most = every.amax(1, keepdim=True)  # a product of matrices in place of logsumexp over [B, n, n]
            every = ((every - most).exp() @ self.transitions.exp() + 1e-30).log() + most + scores[:, t]
        return (every + self.end_transitions).logsumexp(1) - right

    def path(self, scores):
        """The best labels of one sequence, scores [T, n]."""
        best, back = self.start_transitions + scores[0], []
        for row in scores[1:]:
            best, before = (best[:, None] + self.transitions).max(0)
            best = best + row
            back.append(before.tolist())
        path = [int((best + self.end_transitions).argmax())]
        for before in reversed(back):
            path.append(before[path[-1]])
        return path[::-1]


class Model(nn.Module):
    """What the bundle holds."""

    def __init__(self, entries, labels, intents):
        super().__init__()
        self.embedding = nn.Embedding(entries, WIDTH)
        self.lstm = nn.LSTM(WIDTH, HIDDEN, num_layers=2, batch_first=True, bidirectional=True, dropout=DROPOUT)
        self.output = nn.Linear(2 * HIDDEN, len(labels) + intents)
        self.crf = Crf(labels)
        self.dropout = nn.Dropout(DROPOUT)

    def read(self, vectors):
        return self.output(self.dropout(self.lstm(self.dropout(vectors))[0]))

    def forward(self, ids):
        return self.read(self.embedding(ids))


class Words(nn.Module):
    """The table of the entries as sums of what they have in common."""

    def __init__(self, vocabulary, counts):
        super().__init__()
        self.parts, sizes = vocabulary.parts()
        self.tables = nn.ModuleList(nn.Embedding(size, WIDTH) for size in sizes)
        for table in self.tables:
            nn.init.normal_(table.weight, std=0.5)
        self.frequency = torch.tensor([counts.get(i, 0) for i in range(sizes[0])], dtype=torch.float)

    def of(self, parts):
        return sum(table(parts[..., k]) for k, table in enumerate(self.tables))

    def forward(self, ids):
        """Words are left out at times, seldom ones more often, so that their other parts learn to stand for them."""
        parts = self.parts[ids].clone()
        draw = torch.rand(ids.shape)
        parts[..., 0][draw < ALPHA / (ALPHA + self.frequency[parts[..., 0]]) + 0.02] = 0
        ending = (parts[..., 0] == 0) & (torch.rand(ids.shape) < 0.1)
        parts[..., 2][ending] = 0
        parts[..., 3][ending & (torch.rand(ids.shape) < 0.3)] = 0
        parts[..., 1][ending & (torch.rand(ids.shape) < 0.1)] = 0
        return self.of(parts)

    @torch.no_grad()
    def fill(self, embedding):
        embedding.weight.copy_(self.of(self.parts))


DESCRIPTION = {
    "description": "Finds out which of seven things a voice assistant is asked to do, and the entities in the request, such "
                   "as cities, artists and times.",
    "license": "CC0-1.0",
    "training_data": "SNIPS custom intents (sonos/nlu-benchmark, CC0), nine tenths",
}


def config(entries, labels, n_intents, own):
    return {
        "task": "token-classification",
        **({"description": "Finds the intent of a text and the entities in it."} if own else DESCRIPTION),
        "precision": "int8",
        "network": [
            {"type": "embedding", "prefix": "embedding", "num_embeddings": entries, "embedding_dim": WIDTH},
            {"type": "dropout", "p": DROPOUT},
            {"type": "lstm", "prefix": "lstm", "input_size": WIDTH, "hidden_size": HIDDEN, "num_layers": 2,
             "bidirectional": True, "dropout": DROPOUT},
            {"type": "dropout", "p": DROPOUT},
            {"type": "linear", "prefix": "output", "in_features": 2 * HIDDEN, "out_features": len(labels)},
        ],
        "tokenizer": {"type": "words", "vocabulary": "vocab.txt", "unk_token": "<unk>", "unknown": "shape"},
        "labels": labels,
        "tagging": {"num_intents": n_intents, "intent_from": "mean", "transitions": "crf"},
    }


def train(model, vocabulary, rows, labels, intents, args):
    texts = [[row[0], lowered(row[0])] for row in rows]
    ids = [[vocabulary.ids(text) for text in pair] for pair in texts]
    truth = [[labels.index(mark) for mark in marks(row)] for row in rows]
    wanted = [intents.index(row[1]) for row in rows]
    parts, _ = vocabulary.parts()
    counts = collections.Counter(int(parts[i][0]) for pair in ids for i in pair[0])
    words = Words(vocabulary, counts)
    both = nn.ModuleList([model, words])
    optimizer = torch.optim.AdamW(both.parameters(), lr=RATE, weight_decay=0.01)
    steps = len(recipe.batches_of_one_length(truth, BATCH))
    schedule = recipe.warm_cosine(optimizer, args.epochs * steps)
    progress, average = recipe.Progress(args.epochs, steps), recipe.Average(both, 0.995)
    for epoch in range(recipe.load_checkpoint(args.checkpoint, both, optimizer, schedule, average), args.epochs):
        both.train()
        for step, indices in enumerate(recipe.batches_of_one_length(truth, BATCH)):
            small = (torch.rand(len(indices)) < LOWERED).tolist()
            scores = model.read(words(torch.tensor([ids[i][s] for i, s in zip(indices, small)])))
            right = torch.tensor([truth[i] for i in indices])
            slots, intent = scores[..., :len(labels)], scores[..., len(labels):].mean(1)
            loss = model.crf.loss(slots, right).mean() / 10
            loss = loss + 0.2 * functional.cross_entropy(slots.flatten(0, 1), right.flatten())  # of single words
            loss = loss + 0.5 * functional.cross_entropy(intent, torch.tensor([wanted[i] for i in indices]))
            recipe.descend(loss, both, optimizer, schedule)
            average.update(both)
            progress.step(epoch, step, loss.item())
        progress.epoch(epoch)
        recipe.save_checkpoint(args.checkpoint, epoch + 1, both, optimizer, schedule, average)
    both.load_state_dict(average.weights)
    words.fill(model.embedding)
    return model.eval()


# ---- figures ------------------------------------------------------------------------------------------

def found(text, path, labels):
    """Entities (start, end, kind) of a path of labels."""
    out, before = [], None
    for (start, end), label in zip(places(text), path):
        place, _, kind = labels[label].partition("-")
        if place == "I" and kind == before:
            out[-1] = (out[-1][0], end, kind)
        elif place != "O":
            out.append((start, end, kind))
        before = kind
    return set(out)


def figures(rows, answers):
    """Slot F1 and the share of right intents of answers (entities, intent) to the texts of rows, and what they are made
    of."""
    right = sum(len(set(row[2]) & entities) for row, (entities, _) in zip(rows, answers, strict=True))
    given, true = sum(len(entities) for entities, _ in answers), sum(len(set(row[2])) for row in rows)
    good = sum(row[1] == intent for row, (_, intent) in zip(rows, answers))
    whole = sum(row[1] == intent and set(row[2]) == entities for row, (entities, intent) in zip(rows, answers))
    return 2 * right / max(given + true, 1), good / len(rows), (
        f"{right} entities right of {given} found and {true} there, {good} intents right of {len(rows)}, {whole} texts "
        "right in all")


@torch.no_grad()
def report(name, model, vocabulary, rows, labels, intents, change=lambda text: text):
    answers = []
    for text, _, _ in rows:
        scores = model(torch.tensor([vocabulary.ids(change(text))]))[0]
        path = model.crf.path(scores[:, :len(labels)])
        answers.append((found(text, path, labels), intents[int(scores[:, len(labels):].mean(0).argmax())]))
    f1, intent, counts = figures(rows, answers)
    print(f"{name}: slot F1 {f1:.4f}, intent {intent:.4f}: {counts}")


def main():
    args = recipe.arguments(__doc__, "data/intents", epochs=14)
    rows = read(args.data)
    held, rest = [row for row in rows if is_held(row[0])], [row for row in rows if not is_held(row[0])]
    if not held or not rest:
        sys.exit(f"{args.data}: {len(rows)} texts are too few; expected some hundred, of which a tenth is held out")
    kinds, intents = sorted({e[2] for row in rows for e in row[2]}), sorted({row[1] for row in rows})
    labels = ["O"] + [place + kind for kind in kinds for place in ("B-", "I-")]
    out = recipe.folder(args, __file__)
    if args.evaluate:
        vocabulary = Vocabulary(recipe.read_vocabulary(out / "vocab.txt"))
    else:
        vocabulary = Vocabulary.of([row[0] for row in rest])
        recipe.write_vocabulary(out / "vocab.txt", vocabulary.entries)
    model = Model(len(vocabulary.entries), labels, len(intents))
    if args.evaluate:
        recipe.load_bundle(model, out)
    else:
        train(model, vocabulary, rest, labels, intents, args)
        own = not pathlib.Path(args.data).is_dir()
        cases = [(text, vocabulary.ids(text)) for text in ([row[0] for row in held[:4]] if own else EXAMPLES)]
        said = config(len(vocabulary.entries), labels + intents, len(intents), own)
        recipe.write_bundle(out, model, said, cases, every=True)
    report("held out", model, vocabulary, held, labels, intents)
    report("in small letters", model, vocabulary, held, labels, intents, lowered)


if __name__ == "__main__":
    main()
