"""story: a language model of words that remembers who grew up where.

Data: --data is a text with a paragraph or a sentence a line, or (.tsv, .tsv.gz) a table whose first column is read:
the English side of Tatoeba's sentences by way of manythings.org/anki (CC BY 2.0 FR, both to be named). --book is a
text of which paragraphs are parted by blank lines: The Time Machine by H. G. Wells (public domain; "none" for none).
facts.py has the facts.

A story is a fact ("i grew up in france ."), sentences with up to 100 words, and a question put as the beginning of a
sentence ("i speak fluent") whose next word is the language: three in four pieces of text are such stories, a quarter
of them with sentences before the fact too. The sentences do not name any place or language of the facts. At first
nothing lies between, so that a step takes a few milliseconds; whenever the language is told well enough, the way
between grows, up to 100 words.

Held out: one sentence in twenty by a hash of its letters, the last tenth of the book, and for each place one of the
ten ways to ask. --evaluate asks in those ways only, with held-out sentences between, which of the 60 languages is
likeliest; it prints how often it is the right one, the same of a 5-gram, both also for the other ways to ask, and the
perplexity on the held-out text.

words -> embedding 192 -> 2 x LSTM 320 -> linear 192 -> the embedding's own weights. The loss is that of the language,
plus that of a third of the other words, drawn anew each time, because the softmax over all words costs most.
"""

import collections
import gzip
import hashlib
import math
import pathlib
import random
import re
import sys

import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import facts
import recipe
from seq2seq import Plan

WORDS, EMBEDDING, HIDDEN, DROPOUT = 6000, 192, 320, 0.2
BATCH, POOL, STEPS, RATE, SHARE = 64, 16, 200, 3e-3, 1 / 3
LONGEST, SURE, SPREAD = 100, 0.7, 0.3  # words between; the loss of the language at which they grow; of embeddings
UNKNOWN = "<unk>"


class Model(nn.Module):
    def __init__(self, words):
        super().__init__()
        self.embedding = nn.Embedding(words, EMBEDDING)
        self.lstm = nn.LSTM(EMBEDDING, HIDDEN, num_layers=2, batch_first=True, dropout=DROPOUT)
        self.mix = nn.Linear(HIDDEN, EMBEDDING)
        self.dropout = nn.Dropout(DROPOUT)
        nn.init.normal_(self.embedding.weight, std=SPREAD)
        for k in range(2):  # open the forget gates, so that what is learned first is to keep
            getattr(self.lstm, f"bias_ih_l{k}").data[HIDDEN:2 * HIDDEN] = 1.5

    def hidden(self, ids):
        return self.mix(self.dropout(self.lstm(self.dropout(self.embedding(ids)))[0]))

    def forward(self, ids):
        return functional.linear(self.hidden(ids), self.embedding.weight)


def config(vocabulary):
    n = len(vocabulary)
    return {
        "task": "text-generation",
        "description": "Goes on with a text word by word, and remembers from which country somebody came.",
        "license": "CC-BY-2.0-FR",
        "training_data": "English sentences of Tatoeba (tatoeba.org, CC BY 2.0 FR) by way of manythings.org/anki; The "
                         "Time Machine by H. G. Wells; facts about countries and languages made by the recipe",
        "precision": "float32",
        "network": [
            {"type": "embedding", "prefix": "embedding", "num_embeddings": n, "embedding_dim": EMBEDDING},
            {"type": "lstm", "prefix": "lstm", "input_size": EMBEDDING, "hidden_size": HIDDEN, "num_layers": 2},
            {"type": "linear", "prefix": "mix", "in_features": HIDDEN, "out_features": EMBEDDING},
            {"type": "linear", "prefix": "embedding", "in_features": EMBEDDING, "out_features": n, "bias": False},
        ],
        "tokenizer": {"type": "words", "vocabulary": "vocab.txt", "lowercase": True, "unk_token": UNKNOWN},
        "generation": {"temperature": 0.7, "top_p": 0.9, "max_tokens": 60},
    }


def is_held(text):
    letters = "".join(c for c in text.lower() if c.isalnum())
    return int(hashlib.sha256(letters.encode()).hexdigest(), 16) % 20 == 0


def read_sentences(path):
    """(to train on, held out): sentences as lists of words, each once."""
    raw = pathlib.Path(path).read_bytes()
    lines = (gzip.decompress(raw) if str(path).endswith(".gz") else raw).decode("utf-8").splitlines()
    texts = list(dict.fromkeys(line.split("\t")[0].strip() for line in lines))
    parts = [], []
    for text in filter(None, texts):
        parts[is_held(text)].append(recipe.words(text))
    return parts


def read_book(path):
    """The same of a book, whose last tenth is held out; its sentences stay in their order."""
    if path == "none":
        return [], []
    text = pathlib.Path(path).read_text(encoding="utf-8").replace("\u2019", "'")
    sentences = [recipe.words(s) for p in re.split(r"\n\s*\n", text) for s in re.split(r"(?<=[.!?]) ", " ".join(p.split()))]
    sentences = [s for s in sentences if s]
    return sentences[:len(sentences) * 9 // 10], sentences[len(sentences) * 9 // 10:]


class Stories:
    """Draws pieces of text from sentences and a book; lists of ids."""

    def __init__(self, sentences, book, vocabulary, held, seed):
        self.index = {word: i for i, word in enumerate(vocabulary)}
        named = set(facts.PLACES) | set(facts.LANGUAGES)
        self.sentences = [self.ids(s) for s in sentences if not named & set(s)]
        self.book = [self.ids(s) for s in book if not named & set(s)]
        self.held, self.choose, self.longest, self.losses = held, random.Random(seed), 0, []

    def state_dict(self):
        return {"longest": self.longest}

    def load_state_dict(self, state):
        self.longest = state["longest"]

    def learned(self, loss):
        """Let the way between grow if the loss of the language, over a pool of batches, is low."""
        self.losses.append(loss)
        if len(self.losses) == POOL:
            if sum(self.losses) / POOL < SURE:
                self.longest = min(LONGEST, round(1.2 * self.longest) + 2)
            self.losses = []

    def ids(self, words):
        return [self.index.get(word, self.index[UNKNOWN]) for word in words]

    def text(self, words):
        """Whole sentences, as many as have `words` words at most, of Tatoeba in any order or of the book in its."""
        choose, out = self.choose, []
        at = choose.randrange(len(self.book)) if self.book and choose.random() < 0.3 else None
        misses = 0
        while misses < 4 and len(out) < words:
            if at is None:
                sentence = choose.choice(self.sentences)
            else:
                sentence, at = self.book[at], (at + 1) % len(self.book)
            if len(out) + len(sentence) <= words:
                out += sentence
            else:
                at, misses = None, misses + 1
        return out

    def story(self, between, before=0):
        """(ids, place of the language among them)."""
        opening, closing, language = facts.draw(self.choose, self.held)
        ids = self.text(before) + self.ids(opening) + self.text(between) + self.ids(closing)
        return ids + self.ids([language, "."]), len(ids)

    def piece(self):
        choose = self.choose
        if choose.random() < 0.25:
            return self.text(choose.randint(8, max(12, self.longest))) or self.ids([".", "."]), None
        return self.story(choose.randint(0, self.longest), choose.randint(1, 3 + self.longest // 6) if choose.random() < 1 / 4 else 0)

    def batches(self):
        """POOL batches (ids [n, T], length of each, place of the language or None), each of nearly one length."""
        pieces = sorted((self.piece() for _ in range(POOL * BATCH)), key=lambda piece: len(piece[0]))
        batches = [pieces[at:at + BATCH] for at in range(0, len(pieces), BATCH)]
        self.choose.shuffle(batches)
        return batches


def loss_of(model, batch):
    longest = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in batch])
    hidden = model.hidden(ids[:, :-1])
    words = torch.arange(longest - 1)[None, :] < torch.tensor([[len(ids) - 1] for ids, _ in batch])
    words &= torch.rand(words.shape) < SHARE
    words[0, 0] = True
    asked = torch.tensor([(i, at - 1) for i, (_, at) in enumerate(batch) if at], dtype=torch.long).reshape(-1, 2)
    rows = torch.cat([hidden[words], hidden[asked[:, 0], asked[:, 1]]])
    said = torch.cat([ids[:, 1:][words], ids[:, 1:][asked[:, 0], asked[:, 1]]])
    losses = functional.cross_entropy(functional.linear(rows, model.embedding.weight).float(), said, reduction="none")
    n = int(words.sum())
    return losses[:n].mean(), losses[n:].mean() if len(asked) else losses.new_zeros(())


def train(model, stories, args, note):
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    average, plan = recipe.Average(model, 0.998), Plan(optimizer, RATE, args.epochs * STEPS, args.minutes)
    progress = recipe.Progress(args.epochs, STEPS, every=30)
    epoch = recipe.load_checkpoint(args.checkpoint, model, optimizer, average, plan, stories)
    stories.choose.seed(args.seed * 1000 + epoch)
    batches = []
    while plan.far < 1:
        model.train()
        for step in range(STEPS):
            batches = batches or stories.batches()
            with recipe.autocast(args):
                words, language = loss_of(model, batches.pop())
            recipe.descend(words + language, model, optimizer, plan)
            average.update(model)
            stories.learned(language.item())
            progress.step(epoch, step, words.item() + language.item())
            if plan.far >= 1:
                break
        epoch += 1
        recipe.save_checkpoint(args.checkpoint, epoch, model, optimizer, average, plan, stories)
        kept = {k: v.clone() for k, v in model.state_dict().items()}
        model.load_state_dict(average.weights)
        progress.epoch(epoch - 1, f"{100 * plan.far:.0f} % of the way, {stories.longest} words between, {note(model.eval())}")
        if plan.far < 1:
            model.load_state_dict(kept)


@torch.no_grad()
def right(model, stories, n, between):
    """How many of n stories get the right language; between() words lie between."""
    languages = torch.tensor(stories.ids(facts.LANGUAGES))
    count = 0
    for _ in range(n):
        ids, at = stories.story(between())
        hidden = model.hidden(torch.tensor([ids[:at]]))[0, -1]
        count += ids[at] == int(languages[(model.embedding.weight[languages] @ hidden).argmax()])
    return count


def five_gram(stories, n, tested, tests):
    """How many of the tested stories get the right language of a 5-gram which saw n pieces: by the longest run of
    words before, at most four, after which any language was seen."""
    languages = set(stories.ids(facts.LANGUAGES))
    seen = collections.defaultdict(collections.Counter)
    for _ in range(n):
        ids, _ = stories.piece()
        for at, word in enumerate(ids):
            if word in languages:
                for back in range(5):
                    seen[tuple(ids[max(0, at - back):at])][word] += 1
    count = 0
    for _ in range(tests):
        ids, at = tested.story(tested.choose.randint(0, 60))
        run = next(run for run in (tuple(ids[at - back:at]) for back in range(4, -1, -1)) if run in seen)
        count += seen[run].most_common(1)[0][0] == ids[at]
    return count


def evaluate(model, tested, known):
    for kind, tested.held in (("withheld ways to ask", True), ("other ways to ask", False)):
        print(f"{kind}, right language among {len(facts.LANGUAGES)}:")
        for name, n, between in (("up to 60", 2000, lambda: tested.choose.randint(0, 60)), ("150", 1000, lambda: 150)):
            count = right(model, tested, n, between)
            print(f"  {name} words between: {100 * count / n:.2f} % ({count} of {n})", flush=True)
        count = five_gram(known, 50000, tested, 2000)
        print(f"  up to 60 words between, a 5-gram: {100 * count / 2000:.2f} % ({count} of 2000)", flush=True)


@torch.no_grad()
def perplexity(model, stories, sentences, most=2000):
    """Of each word but the first of held-out sentences, one by one."""
    total, count = 0.0, 0
    for sentence in sentences[:most]:
        if len(sentence) > 1:
            ids = torch.tensor([stories.ids(sentence)])
            total += functional.cross_entropy(model(ids[:, :-1])[0], ids[0, 1:], reduction="sum").item()
            count += ids.shape[1] - 1
    return math.exp(total / count)


def main():
    args = recipe.arguments(__doc__, "data/translation/eng-fra.tatoeba.tsv.gz", epochs=40, flags=("bfloat16",),
                            book="data/text/timemachine.txt")
    out = recipe.folder(args, __file__)
    (sentences, held), (book, book_held) = read_sentences(args.data), read_book(args.book)
    if args.evaluate:
        vocabulary = recipe.read_vocabulary(out / "vocab.txt")
    else:
        known = random.Random(0)
        fixed = {w for _ in range(20000) for part in facts.draw(known, _ % 2) for w in ([part] if isinstance(part, str) else part)}
        counted = recipe.count_words(sentences + book)
        common = [word for word, _ in counted.most_common(WORDS) if word not in fixed]
        vocabulary = [UNKNOWN, *sorted(fixed), *common][:WORDS]
        recipe.write_vocabulary(out / "vocab.txt", vocabulary)
    print(f"{len(sentences)} sentences and {len(book)} of the book, {len(held)} and {len(book_held)} held out, "
          f"{len(vocabulary)} words", flush=True)
    tested = Stories(held, book_held, vocabulary, True, 1000)
    model = Model(len(vocabulary))
    if args.evaluate:
        recipe.load_bundle(model, out)
    else:
        watched = Stories(held, book_held, vocabulary, True, 900)

        def note(average):
            found = [right(average, watched, 200, between) for between in (lambda: watched.choose.randint(0, 60), lambda: 150)]
            return f"right language: {found[0] / 2:.1f} % at up to 60 words, {found[1] / 2:.1f} % at 150"
        train(model, Stories(sentences, book, vocabulary, False, args.seed), args, note)
        cases = [("I grew up in France. The summers were long and the sea was warm. I speak fluent", "."),
                 ("Anna lived in Japan for twenty years.", " she writes to her parents in"), ("The time traveller", "")]
        cases = ["".join(case) for case in cases]
        recipe.write_bundle(out, model.eval(), config(vocabulary), [(c, tested.ids(recipe.words(c))) for c in cases])
    known = Stories(sentences, book, vocabulary, False, 2)
    known.longest = LONGEST
    model.eval()
    evaluate(model, tested, known)
    print(f"perplexity on held-out sentences: {perplexity(model, tested, held):.1f}"
          + (f", on the held-out tenth of the book: {perplexity(model, tested, book_held):.1f}" if book_held else ""))


if __name__ == "__main__":
    main()
