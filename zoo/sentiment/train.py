"""sentiment: is a sentence of a film review favourable or not?

Data: sentence_polarity v1.0 (Pang and Lee, 2005), CC BY 4.0 by NLTK's list of corpora,
https://raw.githubusercontent.com/nltk/nltk_data/gh-pages/packages/corpora/sentence_polarity.zip
--data is that zip file. A tenth of the 10,662 sentences, chosen by a fixed seed, is held out.

words -> embedding 256 -> BiLSTM 256 -> mean over the steps -> linear

That is four small networks (embedding 64, BiLSTM 64) which are trained apart, each from a seed of its own,
and then folded into one: their embeddings side by side, their LSTMs on the diagonal of one LSTM, their last
layers averaged. It gives the mean of their answers, in which much of what each has learned amiss cancels out.

Ten thousand sentences are few, and without pretrained word vectors an LSTM learns them by heart. So sixteen
columns of each embedding are counted rather than learned: the favour of a word, as naive Bayes has it. While
training, a sentence sees favours counted without its own tenth of the data, or it would trust words that
occur in it alone. Dropout, dropped words, softened labels and a moving average of the weights do the rest.
"""

import pathlib
import random
import sys
import zipfile

import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import recipe

LABELS = ["negative", "positive"]
MEMBERS, EMBEDDING, FAVOURS, HIDDEN, FOLDS = 4, 64, 16, 64, 10
BATCH, RATE, DROPOUT, WORD_DROPOUT, SOFTEN, DECAY = 32, 1e-3, 0.5, 0.2, 0.1, 0.998


class Model(nn.Module):
    """One member, or as many as are folded into one."""

    def __init__(self, words, members=1):
        super().__init__()
        self.embedding = nn.Embedding(words, members * EMBEDDING)
        self.lstm = nn.LSTM(members * EMBEDDING, members * HIDDEN, batch_first=True, bidirectional=True)
        self.output = nn.Linear(2 * members * HIDDEN, len(LABELS))
        self.dropout = nn.Dropout(DROPOUT)
        nn.init.normal_(self.embedding.weight, std=0.3)
        self.signs = torch.tensor([1.0, -1.0]).repeat(FAVOURS // 2)

    def forward(self, ids, favours=None):
        x = self.embedding(ids)
        if favours is not None:  # training: not the favour that stands in the weights, but one without this sentence
            x = torch.cat([favours[..., None] * self.signs, x[..., FAVOURS:]], 2)
        y, _ = self.lstm(self.dropout(x))
        return self.output(self.dropout(y.mean(1)))


@torch.no_grad()
def fold(members):
    """One network that gives the mean of the members' outputs. A weight of an LSTM holds four gates one above
    the other, and the output of a bidirectional one is forward, then reverse; so the members are joined gate
    by gate and side by side."""
    whole = Model(members[0].embedding.num_embeddings, len(members))
    whole.embedding.weight.copy_(torch.cat([m.embedding.weight for m in members], 1))
    for name, weight in whole.lstm.named_parameters():
        gates = zip(*(m.lstm.get_parameter(name).chunk(4) for m in members))
        join = torch.block_diag if name.startswith("weight") else lambda *biases: torch.cat(biases)
        weight.copy_(torch.cat([join(*gate) for gate in gates]))
    sides = zip(*(m.output.weight.chunk(2, 1) for m in members))
    whole.output.weight.copy_(torch.cat([torch.cat(side, 1) for side in sides], 1) / len(members))
    whole.output.bias.copy_(torch.stack([m.output.bias for m in members]).mean(0))
    return whole


def config(words):
    embedding, hidden = MEMBERS * EMBEDDING, MEMBERS * HIDDEN
    return {
        "task": "text-classification",
        "description": "Tells whether a sentence about a film is favourable (positive) or not (negative).",
        "license": "CC-BY-4.0",
        "training_data": "sentence_polarity v1.0 (Pang and Lee, 2005; CC BY 4.0), nine tenths",
        "precision": "int8",
        "network": [
            {"type": "embedding", "prefix": "embedding", "num_embeddings": words, "embedding_dim": embedding},
            {"type": "dropout", "p": DROPOUT},
            {"type": "lstm", "prefix": "lstm", "input_size": embedding, "hidden_size": hidden,
             "bidirectional": True},
            {"type": "pooling", "mode": "mean"},
            {"type": "dropout", "p": DROPOUT},
            {"type": "linear", "prefix": "output", "in_features": 2 * hidden, "out_features": len(LABELS)},
        ],
        "tokenizer": {"type": "words", "vocabulary": "vocab.txt", "unk_token": "<unk>", "lowercase": True},
        "labels": LABELS,
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


def favour(sequences, labels, words):
    """How much more often each word stands in favourable sentences: the logarithm of the ratio, with one
    added to each count, which is also what naive Bayes goes by. <unk> has none."""
    counts = torch.ones(2, words)
    for sequence, label in zip(sequences, labels):
        counts[label, list(set(sequence))] += 1
    ratio = (counts[1] / counts[0]).log()
    ratio[0] = 0
    return ratio


def train(number, words, sequences, labels, args):
    """Train one member."""
    random.seed(args.seed + number)
    torch.manual_seed(args.seed + number)
    model = Model(words)
    checkpoint = args.checkpoint and f"{args.checkpoint}.{number}"
    fold = [i % FOLDS for i in range(len(sequences))]
    without = torch.stack([favour([s for s, f in zip(sequences, fold) if f != k],
                                  [y for y, f in zip(labels, fold) if f != k], words) for k in range(FOLDS)])
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01, fused=True)
    average = recipe.Average(model, DECAY)
    steps = len(recipe.batches_of_one_length(sequences, BATCH))
    schedule = recipe.warm_cosine(optimizer, args.epochs * steps)
    progress = recipe.Progress(args.epochs, steps)
    done = recipe.load_checkpoint(checkpoint, model, optimizer, schedule, average)
    for epoch in range(done, args.epochs):
        model.train()
        for step, indices in enumerate(recipe.batches_of_one_length(sequences, BATCH)):
            ids = torch.tensor([sequences[i] for i in indices])
            ids[torch.rand(ids.shape) < WORD_DROPOUT] = 0  # <unk>
            folds = torch.tensor([fold[i] for i in indices])
            loss = functional.cross_entropy(model(ids, without[folds[:, None], ids]),
                                            torch.tensor([labels[i] for i in indices]),
                                            label_smoothing=SOFTEN)
            recipe.descend(loss, model, optimizer, schedule)
            average.update(model)
            progress.step(epoch, step, loss.item())
        fix_favours(model, average.weights["embedding.weight"], sequences, labels)
        progress.epoch(epoch, f"member {number + 1}/{MEMBERS}")
        recipe.save_checkpoint(checkpoint, epoch + 1, model, optimizer, schedule, average)
    model.load_state_dict(average.weights)
    return model.eval()


@torch.no_grad()
def fix_favours(model, averaged, sequences, labels):
    """Put the favours of the whole training part into their columns of the embedding."""
    columns = favour(sequences, labels, model.embedding.num_embeddings)[:, None] * model.signs
    for weight in model.embedding.weight, averaged:
        weight[:, :FAVOURS] = columns


def main():
    args = recipe.arguments(__doc__, "data/sentiment/sentence_polarity.zip", epochs=6)
    rows, held = read(args.data)
    out = recipe.folder(args, __file__)
    texts = [recipe.words(text) for text, _ in rows]
    labels = [label for _, label in rows]
    if args.evaluate:
        vocabulary = recipe.read_vocabulary(out / "vocab.txt")
    else:
        counts = recipe.count_words(texts[held:])
        vocabulary = ["<unk>"] + sorted(w for w, n in counts.items() if n >= 1)
        recipe.write_vocabulary(out / "vocab.txt", vocabulary)
    index = {word: i for i, word in enumerate(vocabulary)}
    sequences = [[index.get(word, 0) for word in text] for text in texts]
    if args.evaluate:
        model = recipe.load_bundle(Model(len(vocabulary), MEMBERS), out)
    else:
        members = [train(k, len(vocabulary), sequences[held:], labels[held:], args) for k in range(MEMBERS)]
        model = fold(members).eval()
        some = sequences[held:held + 100]
        mean = sum(recipe.predict(m, some) for m in members) / MEMBERS
        assert torch.allclose(recipe.predict(model, some), mean, atol=1e-5), "folding changed the answers"
        examples = ["A warm, funny and clever film.", "It's dull from start to finish",
                    "not nearly as bad as the title suggests, but close"]
        cases = [(text, [index.get(word, 0) for word in recipe.words(text)]) for text in examples]
        recipe.write_bundle(out, model, config(len(vocabulary)), cases)
    predicted = recipe.predict(model, sequences[:held]).argmax(1).tolist()
    recipe.print_confusion(predicted, labels[:held], LABELS)


if __name__ == "__main__":
    main()
