"""sentiment: is a sentence of a film review favourable or not?

Data: sentence_polarity v1.0 (Pang and Lee, 2005), CC BY 4.0 by NLTK's list of corpora,
https://raw.githubusercontent.com/nltk/nltk_data/gh-pages/packages/corpora/sentence_polarity.zip
--data is that zip file. A tenth of the 10,662 sentences, chosen by a fixed seed, is held out.

words -> embedding 64 -> BiLSTM 64 -> mean over the steps -> linear

Ten thousand sentences are few, and without pretrained word vectors an LSTM learns them by heart. So sixteen columns of
the embedding are counted rather than learned: the favour of a word, as naive Bayes has it. While training, a
sentence sees favours counted without its own tenth of the data, or it would trust words that occur in it alone. Dropout,
dropped words, softened labels and a moving average of the weights do the rest.
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
EMBEDDING, FAVOURS, HIDDEN, FOLDS = 64, 16, 64, 10
BATCH, RATE, DROPOUT, WORD_DROPOUT, SOFTEN, DECAY = 32, 1e-3, 0.5, 0.2, 0.1, 0.998


class Model(nn.Module):
    def __init__(self, words):
        super().__init__()
        self.embedding = nn.Embedding(words, EMBEDDING)
        self.lstm = nn.LSTM(EMBEDDING, HIDDEN, batch_first=True, bidirectional=True)
        self.output = nn.Linear(2 * HIDDEN, len(LABELS))
        self.dropout = nn.Dropout(DROPOUT)
        nn.init.normal_(self.embedding.weight, std=0.3)
        self.signs = torch.tensor([1.0, -1.0]).repeat(FAVOURS // 2)

    def forward(self, ids, favours=None):
        x = self.embedding(ids)
        if favours is not None:  # training: not the favour that stands in the weights, but one without this sentence
            x = torch.cat([favours[..., None] * self.signs, x[..., FAVOURS:]], 2)
        y, _ = self.lstm(self.dropout(x))
        return self.output(self.dropout(y.mean(1)))


def config(words):
    return {
        "task": "text-classification",
        "description": "Tells whether a sentence about a film is favourable (positive) or not (negative).",
        "license": "CC-BY-4.0",
        "training_data": "sentence_polarity v1.0 (Pang and Lee, 2005; CC BY 4.0), nine tenths",
        "network": [
            {"type": "embedding", "prefix": "embedding", "num_embeddings": words, "embedding_dim": EMBEDDING},
            {"type": "dropout", "p": DROPOUT},
            {"type": "lstm", "prefix": "lstm", "input_size": EMBEDDING, "hidden_size": HIDDEN, "bidirectional": True},
            {"type": "pooling", "mode": "mean"},
            {"type": "dropout", "p": DROPOUT},
            {"type": "linear", "prefix": "output", "in_features": 2 * HIDDEN, "out_features": len(LABELS)},
        ],
        "tokenizer": {"type": "words", "vocabulary": "vocab.txt", "unk_token": "<unk>", "lowercase": True},
        "labels": LABELS,
    }


def decode(line):
    """The file mixes UTF-8 and latin-1, and holds Windows punctuation (dashes, quotes) as control characters."""
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
    """How much more often each word stands in favourable sentences: the logarithm of the ratio, with one added to
    each count, which is also what naive Bayes goes by. <unk> has none."""
    counts = torch.ones(2, words)
    for sequence, label in zip(sequences, labels):
        counts[label, list(set(sequence))] += 1
    ratio = (counts[1] / counts[0]).log()
    ratio[0] = 0
    return ratio


def train(model, sequences, labels, args):
    words = model.embedding.num_embeddings
    fold = [i % FOLDS for i in range(len(sequences))]
    without = torch.stack([favour([s for s, f in zip(sequences, fold) if f != k],
                                  [y for y, f in zip(labels, fold) if f != k], words) for k in range(FOLDS)])
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
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
            folds = torch.tensor([fold[i] for i in indices])
            loss = functional.cross_entropy(model(ids, without[folds[:, None], ids]),
                                            torch.tensor([labels[i] for i in indices]), label_smoothing=SOFTEN)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            average.update(model)
            progress.step(epoch, step, loss.item())
        fix_favours(model, average.weights["embedding.weight"], sequences, labels)
        progress.epoch(epoch)
        recipe.save_checkpoint(args.checkpoint, epoch + 1, model, optimizer, schedule, average)
    model.load_state_dict(average.weights)


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
    model = Model(len(vocabulary))
    if args.evaluate:
        recipe.load_bundle(model, out)
    else:
        train(model, sequences[held:], labels[held:], args)
        examples = ["A warm, funny and clever film.", "It's dull from start to finish",
                    "not nearly as bad as the title suggests, but close"]
        cases = [(text, [index.get(word, 0) for word in recipe.words(text)]) for text in examples]
        recipe.write_bundle(out, model, config(len(vocabulary)), cases)
    predicted = recipe.predict(model, sequences[:held]).argmax(1).tolist()
    recipe.print_confusion(predicted, labels[:held], LABELS)


if __name__ == "__main__":
    main()
