"""intents: what does the user of a voice assistant want? Seven intents.

Data: SNIPS custom intents, https://github.com/sonos/nlu-benchmark (2017-06-custom-intent-engines), CC0:
the seven files train_INTENT_full.json in one folder. A tenth of the utterances, chosen by a fixed seed, is
held out.

words -> embedding 64 -> BiLSTM 64 -> maximum over the steps -> linear
"""

import json
import pathlib
import random
import sys

import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import recipe

LABELS = ["AddToPlaylist", "BookRestaurant", "GetWeather", "PlayMusic", "RateBook", "SearchCreativeWork",
          "SearchScreeningEvent"]
BATCH, RATE, DROPOUT, WORD_DROPOUT = 32, 2e-3, 0.4, 0.1


class Model(nn.Module):
    def __init__(self, words):
        super().__init__()
        self.embedding = nn.Embedding(words, 64)
        self.lstm = nn.LSTM(64, 64, batch_first=True, bidirectional=True)
        self.output = nn.Linear(128, len(LABELS))
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, ids):
        y, _ = self.lstm(self.dropout(self.embedding(ids)))
        return self.output(self.dropout(y.amax(1)))


def config(words):
    return {
        "task": "text-classification",
        "description": "Recognises which of seven things a voice assistant is asked to do.",
        "license": "CC0-1.0",
        "training_data": "SNIPS custom intents (sonos/nlu-benchmark, CC0), nine tenths",
        "precision": "int8",
        "network": [
            {"type": "embedding", "prefix": "embedding", "num_embeddings": words, "embedding_dim": 64},
            {"type": "dropout", "p": DROPOUT},
            {"type": "lstm", "prefix": "lstm", "input_size": 64, "hidden_size": 64, "bidirectional": True},
            {"type": "pooling", "mode": "max"},
            {"type": "dropout", "p": DROPOUT},
            {"type": "linear", "prefix": "output", "in_features": 128, "out_features": len(LABELS)},
        ],
        "tokenizer": {"type": "words", "vocabulary": "vocab.txt", "unk_token": "<unk>", "lowercase": True},
        "labels": LABELS,
    }


def read(path):
    """Utterances as (text, label) in a fixed shuffled order, and how many of the first are held out."""
    rows = []
    for label, name in enumerate(LABELS):
        raw = (pathlib.Path(path) / f"train_{name}_full.json").read_bytes()
        try:
            utterances = json.loads(raw.decode("utf-8"))[name]
        except UnicodeDecodeError:
            utterances = json.loads(raw.decode("latin-1"))[name]
        rows += [("".join(part["text"] for part in u["data"]).strip(), label) for u in utterances]
    rows = sorted(set(row for row in rows if row[0]))  # an utterance must not be on both sides
    random.Random(1).shuffle(rows)
    return rows, len(rows) // 10


def train(model, sequences, labels, args):
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    steps = len(recipe.batches_of_one_length(sequences, BATCH))
    schedule = recipe.warm_cosine(optimizer, args.epochs * steps)
    progress = recipe.Progress(args.epochs, steps)
    done = recipe.load_checkpoint(args.checkpoint, model, optimizer, schedule)
    for epoch in range(done, args.epochs):
        model.train()
        for step, indices in enumerate(recipe.batches_of_one_length(sequences, BATCH)):
            ids = torch.tensor([sequences[i] for i in indices])
            ids[torch.rand(ids.shape) < WORD_DROPOUT] = 0  # <unk>: be prepared for words never seen
            loss = functional.cross_entropy(model(ids), torch.tensor([labels[i] for i in indices]))
            recipe.descend(loss, model, optimizer, schedule, clip=None)
            progress.step(epoch, step, loss.item())
        progress.epoch(epoch)
        recipe.save_checkpoint(args.checkpoint, epoch + 1, model, optimizer, schedule)


def main():
    args = recipe.arguments(__doc__, "data/intents", epochs=8)
    rows, held = read(args.data)
    out = recipe.folder(args, __file__)
    texts = [recipe.words(text) for text, _ in rows]
    labels = [label for _, label in rows]
    if args.evaluate:
        vocabulary = recipe.read_vocabulary(out / "vocab.txt")
    else:
        counts = recipe.count_words(texts[held:])
        vocabulary = ["<unk>"] + sorted(w for w, n in counts.items() if n >= 2)
        recipe.write_vocabulary(out / "vocab.txt", vocabulary)
    index = {word: i for i, word in enumerate(vocabulary)}
    sequences = [[index.get(word, 0) for word in text] for text in texts]
    model = Model(len(vocabulary))
    if args.evaluate:
        recipe.load_bundle(model, out)
    else:
        train(model, sequences[held:], labels[held:], args)
        examples = ["Will it rain in Lisbon tomorrow?", "play some jazz by Miles Davis",
                    "Book a table for two at eight"]
        cases = [(text, [index.get(word, 0) for word in recipe.words(text)]) for text in examples]
        recipe.write_bundle(out, model, config(len(vocabulary)), cases)
    predicted = recipe.predict(model, sequences[:held]).argmax(1).tolist()
    recipe.print_confusion(predicted, labels[:held], LABELS)


if __name__ == "__main__":
    main()
