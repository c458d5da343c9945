"""What each precision costs the bundled models, on the data that their recipes hold out.

    python3 zoo/precisions.py --data data [--models shakespeare,digits]

Runs each recipe's own --evaluate (PyTorch), then starts build/carousel on a free port once a precision, asks
it over HTTP about the same held-out data, which the recipes themselves read and split, and prints a table in
Markdown. --data is the folder in which the recipes' data lie under the names that their cards give them;
where each comes from stands there.

A precision is accepted where each figure of the model stays within its bound of float32's, either way. A
bundle should recommend int8 where that is accepted, else float16 where that is and the weights take more than
1 MB as float32, for only then do bytes bound. Ends with 1 where a config.json recommends something else, or
where float32 over HTTP is not what PyTorch prints (but for the cover of the intervals, whose paths are drawn
with other random numbers).
"""

import argparse
import http.client
import importlib.util
import json
import math
import pathlib
import re
import subprocess
import sys

import numpy

import metrics

ZOO = pathlib.Path(__file__).resolve().parent
PRECISIONS = ["float32", "float16", "bfloat16", "int8"]
PIECE = 50  # inputs a request
STRETCH, BEFORE = 7000, 1000  # characters of a text that are read at a time, and how many before them
BYTES_BOUND = 1 << 20


class Metric:
    """A figure, and how far from float32's it may be: relative (a share of it) or in points (hundredths).
    percent: the figure itself is in hundredths."""

    def __init__(self, name, pattern, bound, relative=False, drawn=False, percent=False):
        self.name, self.pattern, self.bound, self.relative, self.drawn = name, pattern, bound, relative, drawn
        self.percent = percent

    def change(self, value, base):
        if self.percent:
            return value - base
        return 100 * (value / base - 1 if self.relative else value - base)

    def change_text(self, value, base):
        return f"{self.change(value, base):+.3f} {'%' if self.relative else 'points'}"

    def accepts(self, value, base):
        return abs(self.change(value, base)) <= self.bound

    def printed(self, text):
        """The figure as the recipe prints it."""
        found = re.search(r"^held out:.*" + self.pattern + r" ([0-9.]+)", text, re.MULTILINE)
        if not found:
            raise SystemExit(f"no '{self.pattern}' in what the recipe prints:\n{text}")
        return found[1].rstrip(".")

    def agrees(self, value, printed):
        decimals = len(printed.partition(".")[2])
        return self.drawn or f"{value:.{decimals}f}" == printed


class Server:
    """build/carousel with all models in one precision, from `with` to its end."""

    def __init__(self, program, folder, precision):
        self.command = [program, "serve", "--port", "0", "--models", folder, "--set",
                        f"models.precision={precision}",
                        "--set", "log.level=error", "--set", "log.access=false"]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.command[0]} did not start")
        self.connection = http.client.HTTPConnection("127.0.0.1", int(line.rsplit(":", 1)[1]))
        return self

    def __exit__(self, *failure):
        self.process.terminate()
        self.process.wait()

    def ask(self, path, **body):
        self.connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {text.decode()}")
        return json.loads(text)

    def classes(self, model, inputs):
        """The likeliest label of each input."""
        labels = []
        for at in range(0, len(inputs), PIECE):
            results = self.ask("/v1/classify", model=model, input=inputs[at:at + PIECE], top_k=1)["results"]
            labels += [result[0]["label"] for result in results]
        return labels

    def tags(self, model, texts):
        """The entities (start, end, kind) and the intent of each text."""
        answers = []
        for at in range(0, len(texts), PIECE):
            results = self.ask("/v1/classify", model=model, input=texts[at:at + PIECE])["results"]
            answers += [({(e["start"], e["end"], e["label"]) for e in result["entities"]}, result["intent"]["label"])
                        for result in results]
        return answers

    def answers(self, model, context, questions):
        """The answer to each question, and the sentences on which it rests."""
        answers = self.ask("/v1/answer", model=model, context=context, question=questions)["answers"]
        return [(answer["answer"], answer["supporting"]) for answer in answers]

    def translations(self, model, texts):
        found = []
        for at in range(0, len(texts), PIECE):
            found += self.ask("/v1/translate", model=model, input=texts[at:at + PIECE],
                              split_sentences=False)["translations"]
        return [translation["text"] for translation in found]

    def forecasts(self, model, contexts, horizon, **more):
        """The forecast of each context; NaN is a missing value."""
        forecasts = []
        for at in range(0, len(contexts), PIECE):
            series = [[None if math.isnan(x) else float(x) for x in c] for c in contexts[at:at + PIECE]]
            forecasts += self.ask("/v1/forecast", model=model, series=series, horizon=horizon, seed=at,
                                  **more)["forecasts"]
        return forecasts


# Each of these returns how many things were asked about, and the figures in the order of MODELS.

def measure_perplexity(recipe, data, server):
    """The recipe reads the held-out text in one pass. Pieces of it side by side are several times faster and
    come to the same, where each is read from BEFORE characters earlier on, whose own likelihood is then taken
    off: by the end of those an LSTM has long forgotten that it began there."""
    text, cut = recipe.read(data)
    text = text[cut:]
    texts, signs = [], []
    for at in range(0, len(text), STRETCH):
        begin = max(at - BEFORE, 0)
        texts, signs = texts + [text[begin:at + STRETCH]], signs + [1]
        if at:
            texts, signs = texts + [text[begin:at]], signs + [-1]
    results = server.ask("/v1/score", model="shakespeare", input=texts)["results"]
    count = sum(sign * result["tokens_scored"] for sign, result in zip(signs, results, strict=True))
    return count, [math.exp(-sum(sign * result["log_likelihood"] for sign, result in zip(signs, results)) / count)]


def accuracy(answers, labels):
    return len(labels), [sum(a == b for a, b in zip(answers, labels, strict=True)) / len(labels)]


def measure_texts(model):
    def measure(recipe, data, server):
        rows, held = recipe.read(data)
        answers = server.classes(model, [text for text, _ in rows[:held]])
        return accuracy(answers, [recipe.LABELS[label] for _, label in rows[:held]])
    return measure


def measure_splice(recipe, data, server):
    held = [row for row in recipe.read(data)[0] if recipe.tenth(row[0]) == 0]
    return accuracy(server.classes("splice", [sequence for sequence, _ in held]), [label for _, label in held])


def measure_slots(recipe, data, server):
    held = [row for row in recipe.read(data) if recipe.is_held(row[0])]
    return len(held), recipe.figures(held, server.tags("slots", [text for text, _, _ in held]))[:2]


def measure_babi(recipe, data, server):
    """Shares of right answers of each task, then of answers with exactly the right sentences in all."""
    right, found, counts = [], 0, []
    for stories in recipe.read_data(data)["final"].values():
        asked = [(" ".join(sentences[:n]), question, answer, support) for sentences, questions in stories
                 for question, answer, support, n in questions]
        answers = [server.answers("babi", context, [question])[0] for context, question, _, _ in asked]
        right.append(sum(a == row[2] for (a, _), row in zip(answers, asked)) / len(asked))
        found += sum(s == row[3] for (_, s), row in zip(answers, asked))
        counts.append(len(asked))
    return sum(counts), [*right, found / sum(counts)]


def measure_digits(recipe, data, server):
    images, labels = recipe.read(data)
    answers = server.classes("digits", images[:recipe.HELD].tolist())
    return accuracy(answers, [str(label) for label in labels[:recipe.HELD].tolist()])


def measure_numbers(recipe, data, server):
    first = fifth = total = 0
    for sequences in recipe.held_out().values():
        answers = server.forecasts("numbers", [terms[:-recipe.AHEAD] for terms in sequences], recipe.AHEAD)
        near, far = recipe.rates(sequences, [numpy.array(answer["mean"]) for answer in answers])
        first, fifth, total = first + near, fifth + far, total + len(sequences)
    return total, [first / total, fifth / total]


def measure_series(recipe, data, server):
    def ask(contexts, horizon):
        answers = server.forecasts("series", contexts, horizon, quantiles=[0.1, 0.9])
        return [[numpy.array(x) for x in (a["mean"],
                                          a["quantiles"]["0.1"], a["quantiles"]["0.9"])] for a in answers]
    groups = recipe.held_out_groups(recipe.competitions())
    figures = [recipe.figures(recipe.measured(ask([context for context, _, _ in group], len(group[0][1])), group))
               for group in groups.values()]
    mase, cover, _ = numpy.mean(figures, 0)
    return sum(map(len, groups.values())), [mase, cover]


def measure_translation(model):
    def measure(recipe, data, server):
        reverse = model in FLAGS
        _, held = recipe.parts(recipe.split(recipe.read_pairs(data, reverse), reverse)[1])
        answers = server.translations(model, list(held))
        return len(held), [metrics.bleu(answers, held.values()), metrics.chrf(answers, held.values())]
    return measure


def measure_speech(recipe, data, server):
    """Greedily, as the recipe reads: per cent right of single digits, and digit errors in strings."""
    held, figures, asked = recipe.part(recipe.read(data), held=True), [], 0
    alone = [(s, [d]) for takes in held.values() for d in range(10) for s in takes[d]]
    for cases in (alone, recipe.held_strings(held)):
        texts = [server.ask("/v1/transcribe", model="digits-speech-live", samples=samples.tolist(),
                            num_beams=1)["text"] for samples, _ in cases]
        right, errors, total = recipe.count([[int(digit) for digit in text] for text in texts],
                                            [digits for _, digits in cases])
        figures.append((100 * right / len(cases), 100 * errors / total))
        asked += len(cases)
    return asked, [figures[0][0], figures[1][1]]


ACCURACY = [Metric("accuracy", "accuracy", 0.3)]
TRANSLATION = [Metric("BLEU", "all translations: BLEU", 0.5, relative=True),
               Metric("chrF", "all translations:.* chrF", 0.3)]
# A bundle of another's recipe: whose, and how that is run.
FLAGS = {"fra-eng": ("eng-fra", "--reverse"), "digits-speech-live": ("digits-speech", "--live")}
MODELS = {
    "shakespeare": ("text/tinyshakespeare.txt", measure_perplexity,
                    [Metric("perplexity", "perplexity", 0.5, relative=True)]),
    "numbers": (None, measure_numbers, [Metric("next within 1 %", "next within 1 %", 0.3),
                                       Metric("fifth within 5 %", "fifth within 5 %", 0.3)]),
    "series": (None, measure_series, [Metric("mean MASE", "mean MASE", 1, relative=True),
                                     Metric("cover of 80 %", "mean cover", 1)]),
    "sentiment": ("sentiment/sentence_polarity.zip", measure_texts("sentiment"), ACCURACY),
    "intents": ("intents", measure_texts("intents"), ACCURACY),
    "digits": ("package/src/digits", measure_digits, ACCURACY),
    "splice": ("genome/splice.csv", measure_splice, ACCURACY),
    "babi": ("babi", measure_babi, [Metric(f"task {task}", f"task {task}", 0.3) for task in (1, 2, 6)] +
             [Metric("sentences", "sentences", 0.3)]),
    "slots": ("intents", measure_slots, [Metric("slot F1", "slot F1", 0.3), Metric("intent", "intent", 0.3)]),
    "eng-fra": ("translation/eng-fra.tatoeba.tsv.gz", measure_translation("eng-fra"), TRANSLATION),
    "fra-eng": ("translation/eng-fra.tatoeba.tsv.gz", measure_translation("fra-eng"), TRANSLATION),
    "digits-speech-live": ("speech", measure_speech,
                           [Metric("right digits", "one digit,", 0.5, percent=True),
                            Metric("digit errors", "of one speaker,.*digit errors", 0.3, percent=True)]),
}


def load_recipe(model):
    path = ZOO / FLAGS.get(model, (model,))[0] / "train.py"
    sys.path.insert(0, str(path.parent))  # series has a module of its own beside it
    spec = importlib.util.spec_from_file_location(f"{model}_recipe", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_recipe(model, data):
    folder, *flags = FLAGS.get(model, (model,))
    command = [sys.executable, str(ZOO / folder / "train.py"), "--evaluate", "--threads", "1", *flags]
    if data:
        command += ["--data", str(data)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def float32_bytes(model):
    """Of the weights: the sum of the tensors' sizes, from the head of the safetensors file."""
    with open(ZOO / model / "model.safetensors", "rb") as file:
        head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return 4 * sum(math.prod(tensor["shape"]) for name, tensor in head.items() if name != "__metadata__")


def recommendation(model, accepted):
    """int8 if it is accepted: the fastest. Else, for a model of some size, the next that is accepted."""
    if "int8" in accepted:
        return "int8"
    if float32_bytes(model) <= BYTES_BOUND:
        return None
    return next((precision for precision in ("bfloat16", "float16") if precision in accepted), None)


def report(model, metrics, measured, printed):
    """Print the rows of one model; returns whether all is as it should be."""
    accepted, right = set(PRECISIONS[1:]), True
    for k, metric in enumerate(metrics):
        count, base = measured["float32"][0], measured["float32"][1][k]
        figure = metric.printed(printed)
        cells = [model, metric.name, f"{count:,}", figure, f"{base:.5f}"]
        passed = []
        for precision in PRECISIONS[1:]:
            value = measured[precision][1][k]
            cells += [f"{value:.5f}", metric.change_text(value, base)]
            if metric.accepts(value, base):
                passed.append(precision)
        accepted &= set(passed)
        cells += [f"{metric.bound} {'%' if metric.relative else 'points'}", ", ".join(passed) or "none"]
        print("| " + " | ".join(cells) + " |", flush=True)
        if not metric.agrees(base, figure):
            right = False
            print(f"{model}: float32 over HTTP gives {metric.name} {base:.5f}, but the recipe {figure}",
                  file=sys.stderr)
    due = recommendation(model, accepted)
    said = json.loads((ZOO / model / "config.json").read_text(encoding="utf-8")).get("precision")
    if said != due:
        right = False
        print(f"{model}: config.json recommends {said or 'nothing'}; by these figures it should recommend {due or 'nothing'}",
              file=sys.stderr)
    return right


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="data", help="folder of the recipes' data (default %(default)s)")
    there = [model for model in MODELS if (ZOO / model / "model.safetensors").exists()]
    parser.add_argument("--models", default=",".join(there), help="default %(default)s")
    parser.add_argument("--program", default="build/carousel", help="default %(default)s")
    args = parser.parse_args()
    models = args.models.split(",")
    for model in models:
        if model not in MODELS:
            parser.error(f"no model {model}; there are {', '.join(MODELS)}")
        place = MODELS[model][0]  # None: the held-out part needs no file
        if place and not (pathlib.Path(args.data) / place).exists():
            parser.error(f"no {pathlib.Path(args.data) / place}; zoo/{model}/README.md says where it comes from")
    print("| model | figure | n | PyTorch | float32 | float16 | | bfloat16 | | int8 | | bound | accepted |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|", flush=True)
    right = True
    for model in models:
        place, measure, metrics = MODELS[model]
        data, recipe, measured = place and pathlib.Path(args.data) / place, load_recipe(model), {}
        for precision in PRECISIONS:
            with Server(args.program, str(ZOO), precision) as server:
                measured[precision] = measure(recipe, data, server)
        right = report(model, metrics, measured, run_recipe(model, data)) and right
    sys.exit(0 if right else 1)


if __name__ == "__main__":
    main()
