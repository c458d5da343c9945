"""intents: what does the user of a voice assistant want? Seven intents, and None for everything else.

Data: SNIPS custom intents, https://github.com/sonos/nlu-benchmark (2017-06-custom-intent-engines), CC0:
the seven files train_INTENT_full.json in one folder. A tenth of the utterances, chosen by a fixed seed, is
held out.

None is learned from other requests, which other.py makes from templates, and from everyday English sentences
of Tatoeba (CC BY 2.0 FR): --sentences is https://www.manythings.org/anki/ fra-eng as a gzipped file of
tab-separated pairs, English first (default: ../translation/eng-fra.tatoeba.tsv.gz beside --data). An eighth of the templates and half of the sentences are held out.

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
import other
import recipe

LABELS = ["AddToPlaylist", "BookRestaurant", "GetWeather", "PlayMusic", "RateBook", "SearchCreativeWork",
          "SearchScreeningEvent", "None"]
NONE = len(LABELS) - 1
REQUESTS, SENTENCES = 5000, 3000  # of None, in training
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
        "description": "Recognises which of seven things a voice assistant is asked to do, or None of these.",
        "license": "CC0-1.0 AND CC-BY-2.0-FR",
        "training_data": "SNIPS custom intents (sonos/nlu-benchmark, CC0), nine tenths; templates; English "
                         "sentences of Tatoeba (CC BY 2.0 FR)",
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
    for label, name in enumerate(LABELS[:NONE]):
        raw = (pathlib.Path(path) / f"train_{name}_full.json").read_bytes()
        try:
            utterances = json.loads(raw.decode("utf-8"))[name]
        except UnicodeDecodeError:
            utterances = json.loads(raw.decode("latin-1"))[name]
        rows += [("".join(part["text"] for part in u["data"]).strip(), label) for u in utterances]
    rows = sorted(set(row for row in rows if row[0]))  # an utterance must not be on both sides
    random.Random(1).shuffle(rows)
    return rows, len(rows) // 10


def read_none(path):
    """Requests that none of the seven intents is about: for training, and held out as (name, texts)."""
    requests = other.templates(REQUESTS, 1, held=False)
    sentences = other.sentences(path, 2 * SENTENCES, 1)
    held = [("other requests", sorted(set(other.templates(600, 2, held=True)))),
            ("sentences of Tatoeba", sentences[SENTENCES:])]
    return requests + sentences[:SENTENCES], held


def make_vocabulary(intents, none):
    """Words that the intents have twice or more, and frequent words of the other requests."""
    counts, others = recipe.count_words(intents), recipe.count_words(none)
    return ["<unk>"] + sorted({w for w, n in counts.items() if n >= 2} | {w for w, n in others.items() if n >= 4})


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
    args = recipe.arguments(__doc__, "data/intents", epochs=10, sentences=None)
    sentences = args.sentences or pathlib.Path(args.data).parent / "translation" / "eng-fra.tatoeba.tsv.gz"
    rows, held = read(args.data)
    none, none_held = read_none(sentences)
    out = recipe.folder(args, __file__)
    texts = [recipe.words(text) for text in [text for text, _ in rows] + none]
    labels = [label for _, label in rows] + [NONE] * len(none)
    if args.evaluate:
        vocabulary = recipe.read_vocabulary(out / "vocab.txt")
    else:
        vocabulary = make_vocabulary(texts[held:len(rows)], texts[len(rows):])
        recipe.write_vocabulary(out / "vocab.txt", vocabulary)
    index = {word: i for i, word in enumerate(vocabulary)}
    sequences = [[index.get(word, 0) for word in text] for text in texts]
    model = Model(len(vocabulary))
    if args.evaluate:
        recipe.load_bundle(model, out)
    else:
        train(model, sequences[held:], labels[held:], args)
        examples = ["Will it rain in Lisbon tomorrow?", "play some jazz by Miles Davis",
                    "Book a table for two at eight", "turn on the kitchen lights"]
        cases = [(text, [index.get(word, 0) for word in recipe.words(text)]) for text in examples]
        recipe.write_bundle(out, model, config(len(vocabulary)), cases)
    predicted = recipe.predict(model, sequences[:held]).argmax(1).tolist()
    recipe.print_confusion(predicted, labels[:held], LABELS)
    for name, texts in none_held:
        answers = recipe.predict(model, [[index.get(w, 0) for w in recipe.words(t)] for t in texts]).argmax(1)
        right = int((answers == NONE).sum())
        print(f"{name}: None for {right / len(texts):.4f} ({right} of {len(texts)})")


if __name__ == "__main__":
    main()
