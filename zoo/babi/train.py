"""babi: questions about little stories, such as where the football is.

Data: --data is a folder with the training files of bAbI's tasks 1, 2 and 6 (Weston et al. 2015; en-10k, CC BY 3.0):
10,000 questions each, about 2,000 stories. A story is held out as a whole, by a hash of its sentences: one in
twenty is watched during training, one in ten is read by --evaluate alone.

The network reads the question, then the story, in one sequence. A first LSTM keeps the question; what it keeps,
projected, multiplies the embedding of each word, so that what comes next can leave out what does not matter. A
convolution sees seven words together, which is a sentence, where the sentence ends. The second LSTM reads both.
Its output at the end of any sentence says the answer, if the story ended there. A last LSTM reads what the second
one gave, in both directions, and says of each sentence whether the answer rests on it.

Training asks more than the files do. A simulator (class World) reads the sentences, so that the right answer is
known after each of them and for any question. Persons, places and things change names in each epoch. Until the
last quarter the second LSTM also has to say where everybody is, by a head that the bundle does not have. Stories
begin short and grow. The last LSTM is trained at the end, and the others no longer change then.

Questions of your own: --data my.tsv, whose lines are a context, a tab, a question, a tab and its answer, one of a
limited number of answers. The same network without its last LSTM learns them, without a simulator; one context in
ten, by a hash, is held out.
"""

import hashlib
import pathlib
import random
import sys

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import recipe
import seq2seq

FILES = {1: "qa1_single-supporting-fact_train.txt", 2: "qa2_two-supporting-facts_train.txt",
         6: "qa6_yes-no-questions_train.txt"}
PERSONS = ["daniel", "john", "mary", "sandra"]
PLACES = ["bathroom", "bedroom", "garden", "hallway", "kitchen", "office"]
THINGS = ["apple", "football", "milk"]
TAKE, DROP = {"got", "grabbed", "took", "picked"}, {"discarded", "dropped", "left", "put"}
LABELS = PLACES + ["no", "yes"]
EMBEDDING, QUESTION, SPAN, PHRASE, STORY, SUPPORT = 48, 64, 7, 64, 192, 48
BATCH, RATE = 32, 3e-3
SUPPORT_EPOCHS = 8
DONE = 1 - 1e-9  # of the way; sums of shares are not exact
SHOWN = 3  # golden cases of each task
UNKNOWN = "<unk>"


class World:
    """What sentences of the three tasks say: where persons are, and who has things or where they lie. Remembers
    which sentence said so."""

    def __init__(self):
        self.at = {}     # person: (place, sentence)
        self.thing = {}  # thing: (person, sentence, is it held, where it was left as in `at`, or None)

    def read(self, sentence, number):
        words = recipe.words(sentence)
        person, verb = words[0], words[1]
        thing = next((w for w in words if w in THINGS), None)
        if thing is None:
            self.at[person] = (next(w for w in words if w in PLACES), number)
        elif verb in TAKE:
            self.thing[thing] = (person, number, True, None)
        else:
            assert verb in DROP, sentence
            self.thing[thing] = (person, number, False, self.at.get(person))

    def answer(self, question):
        """The answer and the sentences that it rests on; None if the story does not tell."""
        words = recipe.words(question)
        if words[0] == "is":
            here = self.at.get(words[1])
            return here and ("yes" if words[4] == here[0] else "no", [here[1]])
        what = words[-2]
        if what in PERSONS:
            here = self.at.get(what)
            return here and (here[0], [here[1]])
        if what not in self.thing:
            return None
        person, number, is_held, left = self.thing[what]
        here = self.at.get(person) if is_held else left
        return here and (here[0], sorted({number, here[1]}))

    def whereabouts(self, question):
        """Targets of the head that is there in training only: the place of each person, and the holder of the
        thing in question; 0 is unknown or nobody, -1 does not count."""
        thing = recipe.words(question)[-2]
        places = [1 + PLACES.index(self.at[p][0]) if p in self.at else 0 for p in PERSONS]
        held = self.thing.get(thing)
        holder = -1 if thing not in THINGS else 1 + PERSONS.index(held[0]) if held and held[2] else 0
        return places + [holder]


def read_stories(path):
    """Stories as (sentences, questions); a question is (text, answer, its sentences, how many come before)."""
    stories, numbers = [], {}
    for line in pathlib.Path(path).read_text().splitlines():
        number, text = line.split(" ", 1)
        if number == "1":
            stories.append(([], []))
            numbers = {}
        sentences, questions = stories[-1]
        if "\t" in text:
            question, answer, support = text.split("\t")
            questions.append((question.strip(), answer, sorted(numbers[s] for s in support.split()),
                              len(sentences)))
        else:
            numbers[number] = len(sentences)
            sentences.append(text.strip())
    return stories


def part_of(story):
    bucket = hashlib.sha256("\n".join(story[0]).encode()).digest()[0] % 20
    return {0: "final", 1: "final", 2: "watched"}.get(bucket, "train")


def read_data(folder):
    """{part: {task: stories}}; the simulator is held against every question of the files."""
    parts = {p: {task: [] for task in FILES} for p in ("train", "watched", "final")}
    for task, name in FILES.items():
        for story in read_stories(pathlib.Path(folder) / name):
            for question, answer, support, n in story[1]:
                world = World()
                for i, sentence in enumerate(story[0][:n]):
                    world.read(sentence, i)
                assert world.answer(question) == (answer, support), (story, question, world.answer(question))
            parts[part_of(story)][task].append(story)
    return parts


def vocabulary_of(parts):
    texts = (recipe.words(t) for p in parts.values() for stories in p.values() for s in stories
             for t in s[0] + [q[0] for q in s[1]])
    return sorted(recipe.count_words(texts))


@torch.no_grad()
def remember(lstm, bias):
    """Open the forget gates of a new LSTM."""
    lstm.bias_ih_l0[lstm.hidden_size:2 * lstm.hidden_size] = bias


class Babi(nn.Module):
    def __init__(self, size, labels=len(LABELS), seeks=True):
        super().__init__()
        self.seeks = seeks  # tells on which sentences an answer rests
        self.words = nn.Embedding(size, EMBEDDING)
        self.question = nn.LSTM(EMBEDDING, QUESTION, batch_first=True)
        self.filter = nn.Linear(QUESTION, EMBEDDING)
        self.phrase = nn.Conv1d(EMBEDDING, PHRASE, SPAN)
        self.story = nn.LSTM(EMBEDDING + PHRASE, STORY, batch_first=True)
        self.answer = nn.Linear(STORY, labels)
        if seeks:
            self.support = nn.LSTM(PHRASE + STORY, SUPPORT, batch_first=True, bidirectional=True)
            self.rests = nn.Linear(2 * SUPPORT, 1)
        nn.init.ones_(self.filter.bias)
        remember(self.question, 5)
        remember(self.story, 3)

    def read(self, tokens):
        """What the second LSTM gives at each step, and the convolution."""
        words = self.words(tokens)
        words = words * self.filter(self.question(words)[0])
        phrases = self.phrase(nn.functional.pad(words.transpose(1, 2), (SPAN - 1, 0))).relu().transpose(1, 2)
        return self.story(torch.cat([words, phrases], -1))[0], phrases

    def seek(self, hidden, phrases, lengths=None):
        rows = torch.cat([phrases, hidden], -1)
        if lengths is not None:
            rows = nn.utils.rnn.pack_padded_sequence(rows, lengths, batch_first=True, enforce_sorted=False)
        out = self.support(rows)[0]
        if lengths is not None:
            out = nn.utils.rnn.pad_packed_sequence(out, batch_first=True)[0]
        return self.rests(out)

    def forward(self, tokens):
        hidden, phrases = self.read(tokens)
        if not self.seeks:
            return self.answer(hidden)
        return torch.cat([self.answer(hidden), self.seek(hidden, phrases)], -1)


def network(model):
    size, labels = model.words.num_embeddings, model.answer.out_features
    answers = [
        {"type": "embedding", "prefix": "words", "num_embeddings": size, "embedding_dim": EMBEDDING,
         "name": "words"},
        {"type": "lstm", "prefix": "question", "input_size": EMBEDDING, "hidden_size": QUESTION},
        {"type": "linear", "prefix": "filter", "in_features": QUESTION, "out_features": EMBEDDING,
         "name": "filter"},
        {"type": "multiply", "inputs": ["words", "filter"], "name": "filtered"},
        {"type": "conv1d", "prefix": "phrase", "in_channels": EMBEDDING, "out_channels": PHRASE, "kernel_size": SPAN,
         "padding": "causal"},
        {"type": "relu", "name": "phrase"},
        {"type": "concat", "inputs": ["filtered", "phrase"]},
        {"type": "lstm", "prefix": "story", "input_size": EMBEDDING + PHRASE, "hidden_size": STORY, "name": "story"},
        {"type": "linear", "prefix": "answer", "in_features": STORY, "out_features": labels, "name": "answer"},
    ]
    return answers if not model.seeks else answers + [
        {"type": "concat", "inputs": ["phrase", "story"]},
        {"type": "lstm", "prefix": "support", "input_size": PHRASE + STORY, "hidden_size": SUPPORT,
         "bidirectional": True},
        {"type": "linear", "prefix": "rests", "in_features": 2 * SUPPORT, "out_features": 1, "name": "rests"},
        {"type": "concat", "inputs": ["answer", "rests"]},
    ]


# ---- examples ----

class Coder:
    def __init__(self, vocabulary):
        self.ids = {w: i for i, w in enumerate(vocabulary)}

    def read(self, text):
        return [self.ids[w] if w in self.ids else self.ids[UNKNOWN] for w in recipe.words(text)]

    def steps(self, question, sentences):
        """Ids of the question and the story, and the steps at which sentences end."""
        ids, ends = self.read(question), []
        for sentence in sentences:
            ids += self.read(sentence)
            ends.append(len(ids) - 1)
        return ids, ends


def renaming():
    """A permutation of the names of persons, of places and of things."""
    names = {}
    for group in PERSONS, PLACES, THINGS:
        names.update(zip(group, random.sample(group, len(group))))
    return names


def renamed(text, names):
    out = []
    for word in text.split(" "):
        stem = word.rstrip(".?").lower()
        if stem in names:
            new = names[stem]
            word = (new.capitalize() if new in PERSONS else new) + word[len(stem):]
        out.append(word)
    return " ".join(out)


def question_for(task, story):
    """One of the story's questions, or another of its kind, or now and then of another kind."""
    question = random.choice(story[1])[0]
    things = [t for t in THINGS if any(t in s for s in story[0])]
    kind = task if random.random() < 0.8 else random.choice([1, 2, 6])
    if kind == 2 and things:
        return f"Where is the {random.choice(things)}?"
    if kind == 2 or random.random() < 0.3:
        return question
    person = random.choice(PERSONS).capitalize()
    return f"Where is {person}?" if kind == 1 else f"Is {person} in the {random.choice(PLACES)}?"


def example(coder, task, story, most):
    names = renaming()
    if most is None:
        most = random.randint(2, len(story[0]))
    question = renamed(question_for(task, story), names)
    sentences = [renamed(s.replace(" there.", ".") if random.random() < 0.2 else s, names) for s in story[0][:most]]
    ids, ends = coder.steps(question, sentences)
    world, answers, states, rests = World(), [], [], [0] * len(sentences)
    for i, sentence in enumerate(sentences):
        world.read(sentence, i)
        found = world.answer(question)
        answers.append(LABELS.index(found[0]) if found else -1)
        states.append(world.whereabouts(question))
    for i in found[1] if found else []:
        rests[i] = 1
    return ids, ends, answers, states, rests


def batches_of(examples):
    """Batches of examples of about the same length, in random order."""
    examples.sort(key=lambda e: len(e[0]) + random.random())
    batches = [examples[i:i + BATCH] for i in range(0, len(examples), BATCH)]
    random.shuffle(batches)
    return batches


def padded(lists, fill=0):
    most = max(map(len, lists))
    return torch.tensor([x + [fill] * (most - len(x)) for x in lists])


def mean_entropy(logits, truth):
    """Of those that count: truth is not -1."""
    total = nn.functional.cross_entropy(logits.transpose(1, 2), truth, ignore_index=-1, reduction="sum")
    return total / (truth >= 0).sum().clamp(min=1)


def loss_of(model, head, batch, weight):
    """Of the answer after each sentence, and `weight` times that of where everybody is."""
    tokens, ends = padded([e[0] for e in batch]), padded([e[1] for e in batch])
    hidden = model.read(tokens)[0]
    hidden = hidden.gather(1, ends[:, :, None].expand(-1, -1, STORY))
    loss = mean_entropy(model.answer(hidden), padded([e[2] for e in batch], -1))
    if weight == 0:
        return loss
    states = padded([e[3] for e in batch], [-1] * 5)
    guesses = head(hidden).split([7] * 4 + [5], -1)
    return loss + weight * sum(mean_entropy(g, states[:, :, i]) for i, g in enumerate(guesses)) / 5


def support_loss(model, batch):
    tokens, ends = padded([e[0] for e in batch]), padded([e[1] for e in batch])
    with torch.no_grad():
        hidden, phrases = model.read(tokens)
    rests = model.seek(hidden, phrases, [len(e[0]) for e in batch])[:, :, 0].gather(1, ends)
    truth = padded([e[4] for e in batch], -1)
    counts = truth >= 0
    return nn.functional.binary_cross_entropy_with_logits(rests[counts], truth[counts].float())


# ---- figures ----

@torch.no_grad()
def evaluate(model, coder, stories):
    """Shares of questions that are answered rightly, and whose sentences are all found and no others."""
    right = found = 0
    cases = [(*coder.steps(q, story[0][:n]), answer, support) for story in stories
             for q, answer, support, n in story[1]]
    for indices in recipe.batches_of_one_length([c[0] for c in cases], 64):
        outputs = model(torch.tensor([cases[i][0] for i in indices]))
        for i, output in zip(indices, outputs):
            _, ends, answer, support = cases[i]
            right += LABELS[output[-1, :-1].argmax()] == answer
            found += [k for k, end in enumerate(ends) if output[end, -1] > 0] == support
    return right / len(cases), found / len(cases), len(cases)


@torch.no_grad()
def evaluate_untold(model, coder, stories):
    """Of questions whose answer the story does not tell: how many rest on no sentence, and how many there are. Where
    is each person or thing, after as many sentences as the story's first question is asked."""
    none, cases = 0, []
    for sentences, questions in stories:
        told = sentences[:questions[0][3]]
        world = World()
        for i, sentence in enumerate(told):
            world.read(sentence, i)
        asked = [f"Where is {p.capitalize()}?" for p in PERSONS] + [f"Where is the {t}?" for t in THINGS]
        cases += [coder.steps(question, told) for question in asked if world.answer(question) is None]
    for ids, ends in cases:
        output = model(torch.tensor([ids]))[0]
        none += not (output[ends, -1] > 0).any()
    return none, len(cases)


def watch(model, coder, stories):
    model.eval()
    shares = {task: evaluate(model, coder, some) for task, some in stories.items()}
    model.train()
    return "watched " + ", ".join(f"task {task} {100 * right:.1f}/{100 * found:.1f} %"
                                  for task, (right, found, _) in shares.items())


def most_sentences(far):
    """Stories grow from 6 sentences to 70 over the first two fifths."""
    return min(70, round(6 + 64 * (far / 0.4) ** 2))


class Stories:
    """What train_answers learns from the files of bAbI."""

    def __init__(self, model, coder, parts):
        self.model, self.coder, self.parts = model, coder, parts
        self.head = nn.Linear(STORY, 4 * 7 + 5)

    def batches(self, most):
        """Task 2 needs most of them. Stories have at most so many sentences, or end anywhere if that is None."""
        return batches_of([example(self.coder, task, story, most) for task, some in self.parts["train"].items()
                           for story in (some * 2 if task == 2 else random.sample(some, len(some) // 2))])

    def epoch(self, far):
        return self.batches(most_sentences(far))

    def loss(self, batch, far):
        return loss_of(self.model, self.head, batch, 1.0 if far < 0.75 else 0.0)

    def watch(self):
        return watch(self.model, self.coder, self.parts["watched"])


class Table:
    """What it learns from a table of contexts, questions and answers."""

    def __init__(self, path):
        rows = [line.split("\t")[:3] for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines() if line]
        parts = {False: [], True: []}
        for row in rows:
            parts[hashlib.sha256(row[0].encode()).digest()[0] % 10 == 0].append(row)
        counts = recipe.count_words(recipe.words(t) for row in parts[False] for t in row[:2])
        self.vocabulary = [UNKNOWN] + sorted(w for w, n in counts.items() if n > 1)
        self.labels = sorted({row[2] for row in rows})
        self.coder, self.head = Coder(self.vocabulary), nn.Identity()
        self.model = Babi(len(self.vocabulary), len(self.labels), False)
        self.train, self.held_out = ([self.example(*row) for row in parts[k]] for k in (False, True))
        self.shown = parts[False][:SHOWN]

    def example(self, context, question, answer):
        ids, ends = self.coder.steps(question, [context])
        return ids, ends, [self.labels.index(answer)]

    def epoch(self, far):
        return batches_of(list(self.train))

    def loss(self, batch, far):
        return loss_of(self.model, self.head, batch, 0)

    @torch.no_grad()
    def watch(self):
        right = 0
        for indices in recipe.batches_of_one_length([e[0] for e in self.held_out], 64):
            outputs = self.model(torch.tensor([self.held_out[i][0] for i in indices]))[:, -1].argmax(-1)
            right += sum(int(y) == self.held_out[i][2][0] for i, y in zip(indices, outputs))
        n = len(self.held_out)
        return f"held out: {right} of {n} answers right ({100 * right / max(n, 1):.2f} %)"


def train_answers(args, lesson):
    """The first part of the training, which is as long as --epochs or --minutes say."""
    model, both = lesson.model, nn.ModuleList([lesson.model, lesson.head])
    steps = len(lesson.epoch(0))
    learning = [p for name, p in both.named_parameters() if "support" not in name and "rests" not in name]
    optimizer = torch.optim.Adam(learning)
    plan = seq2seq.Plan(optimizer, RATE, args.epochs * steps, args.minutes)
    average = recipe.Average(model, 0.995)
    progress = recipe.Progress(args.epochs, steps, every=30)
    epoch = recipe.load_checkpoint(args.checkpoint, both, optimizer, average, plan)
    while plan.far < DONE:
        for step, batch in enumerate(lesson.epoch(plan.far)):
            loss = lesson.loss(batch, plan.far)
            recipe.descend(loss, both, optimizer, plan)
            average.update(model)
            progress.step(epoch, step, loss.item())
            if plan.far >= DONE:
                break
        note = f"{100 * plan.far:.0f} % of the way"
        if epoch % 4 == 3 or plan.far >= DONE:
            current = {k: v.clone() for k, v in model.state_dict().items()}
            model.load_state_dict(average.weights)
            note += ", " + lesson.watch()
            model.load_state_dict(current)
        progress.epoch(epoch, note)
        epoch += 1
        recipe.save_checkpoint(args.checkpoint, epoch, both, optimizer, average, plan)
    model.load_state_dict(average.weights)


def train_support(lesson):
    """The second part: the last LSTM, over what the others give."""
    model = lesson.model
    optimizer = torch.optim.Adam([*model.support.parameters(), *model.rests.parameters()])
    batches = len(lesson.batches(None))
    schedule = seq2seq.Plan(optimizer, RATE, SUPPORT_EPOCHS * batches, None)
    progress = recipe.Progress(SUPPORT_EPOCHS, batches, every=30)
    for epoch in range(SUPPORT_EPOCHS):
        for step, batch in enumerate(lesson.batches(None)):
            loss = support_loss(model, batch)
            recipe.descend(loss, model, optimizer, schedule)
            progress.step(epoch, step, loss.item())
        progress.epoch(epoch, "sentences that answers rest on, " + lesson.watch())


def config_of(model, tokenizer, labels, **more):
    return {"task": "question-answering", "network": network(model),
            "tokenizer": {"type": "words", "lowercase": True, **tokenizer}, "labels": labels, **more}


def run_table(args, folder):
    table = Table(args.data)
    if args.evaluate:
        recipe.load_bundle(table.model, folder)
    else:
        train_answers(args, table)
        recipe.write_vocabulary(folder / "vocab.txt", table.vocabulary)
        config = config_of(table.model, {"vocabulary": "vocab.txt", "unk_token": UNKNOWN}, table.labels)
        cases = [({"question": q, "context": c}, table.coder.steps(q, [c])[0]) for c, q, _ in table.shown]
        recipe.write_bundle(folder, table.model.eval(), config, cases)
    print(table.watch())


def main():
    args = recipe.arguments(__doc__, "data/babi", epochs=48)
    folder = recipe.folder(args, __file__)
    if pathlib.Path(args.data).is_file():
        return run_table(args, folder)
    parts = read_data(args.data)
    vocabulary = vocabulary_of(parts)
    model, coder = Babi(len(vocabulary)), Coder(vocabulary)
    if args.evaluate:
        recipe.load_bundle(model, folder)
    else:
        print(", ".join(f"{p}: {sum(map(len, s.values()))} stories" for p, s in parts.items()), flush=True)
        lesson = Stories(model, coder, parts)
        train_answers(args, lesson)
        train_support(lesson)
        config = config_of(
            model, {"vocabulary": vocabulary}, LABELS, answering={"supporting": True}, license="Apache-2.0",
            description="Answers questions about little stories: where somebody or something is.",
            training_data="bAbI tasks 1, 2 and 6 (CC BY 3.0)", precision="int8")
        cases = [({"question": q, "context": " ".join(story[0][:n])}, coder.steps(q, story[0][:n])[0])
                 for stories in parts["watched"].values() for story in stories[:SHOWN]
                 for q, _, _, n in story[1][-1:]]
        recipe.write_bundle(folder, model.eval(), config, cases)
    shares = {task: evaluate(model.eval(), coder, stories) for task, stories in parts["final"].items()}
    for task, (right, found, n) in shares.items():
        print(f"task {task}: {len(parts['final'][task])} stories, {n} questions, right {right:.4f}, with exactly the "
              f"sentences that the answer rests on {found:.4f}")
    none, n = evaluate_untold(model, coder, [story for stories in parts["final"].values() for story in stories])
    print(f"questions whose answer the story does not tell: {n}, of which {none} rest on no sentence")
    total = sum(n for _, _, n in shares.values())
    print("held out: " + ", ".join(f"task {task} {right:.4f}" for task, (right, _, _) in shares.items()) +
          f", sentences {sum(found * n for _, found, n in shares.values()) / total:.4f} (of {total} questions)")


if __name__ == "__main__":
    main()
